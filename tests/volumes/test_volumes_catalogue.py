"""The fault catalogue, sections A, D, E and F: every row is generated and judged by the oracle, three times."""

from __future__ import annotations

import fault_rows
import fault_rows_clean
import fault_rows_files
import fault_rows_geometry
import fault_rows_intensity
import fault_rows_series
import numpy as np
import pytest
from fault_rows import CASES, SEEDS, Outcome, Result, Wanted, judge, run_case

LAST_ROW = {"A": 20, "D": 30, "E": 21, "F": 14}
ROWS = [f"{section}{number:02d}" for section, last in LAST_ROW.items() for number in range(1, last + 1)]
SECTIONS = (fault_rows_files, fault_rows_geometry, fault_rows_intensity, fault_rows_series)

NOT_YET = {
    "D22": "a mirrored volume shows only in its organs: curation, which localizes them, raises LATERALITY_SUSPECT",
    "D30": "a header that names another part of the body shows only in the organs: curation raises BODYPART_MISMATCH",
}
"""Rows without a case here, and why."""


def test_every_row_is_covered_or_excused():
    covered = {one.row for one in CASES}
    assert covered <= set(ROWS)
    assert covered.isdisjoint(NOT_YET)
    assert sorted(covered | set(NOT_YET)) == ROWS


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("one", CASES, ids=[one.label.replace(" ", "-") for one in CASES])
def test_row(one, seed, tmp_path):
    result = run_case(one, tmp_path, seed)
    assert result.outcome == Outcome.RIGHT, result.detail


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("one", [fault_rows_clean.CLEAN, fault_rows_clean.ODD], ids=["clean", "odd"])
def test_harmless_series_come_out_right(one, seed, tmp_path):
    result = run_case(one, tmp_path, seed)
    assert result.outcome == Outcome.RIGHT, result.detail


# ------------------------------------------------------------------------------------------- the judge is judged


def converted(tmp_path, make):
    one = fault_rows.Case("A01", "x", "R", make, {})
    return one, run_case(one, tmp_path, 1)


def test_the_judge_sees_what_is_wrong(tmp_path):
    def shifted(folder, rng):
        wanted = fault_rows.control(folder, rng)
        yield Wanted(fault_rows.replace(wanted.series, hu=lambda points: wanted.series.hu(points) + 1.5))

    assert converted(tmp_path, shifted)[1].outcome == Outcome.SILENTLY_WRONG


def test_the_judge_sees_a_lost_slice(tmp_path):
    def shorter(folder, rng):
        series = fault_rows.linear(rng)
        fault_rows.write_series(folder, series, skip=(series.n - 1,))
        yield Wanted(series)

    assert converted(tmp_path, shorter)[1].outcome == Outcome.SILENTLY_WRONG


def test_the_judge_sees_a_volume_that_nobody_wanted(tmp_path):
    def none(folder, rng):
        fault_rows.control(folder, rng)
        return []

    assert converted(tmp_path, none)[1].outcome == Outcome.SILENTLY_WRONG


def test_the_judge_sees_what_is_lost_without_a_word(tmp_path):
    def kept(folder, rng):
        yield fault_rows.control(folder, rng)

    one, result = converted(tmp_path, kept)
    assert result == Result(Outcome.RIGHT)
    another = Wanted(fault_rows.linear(np.random.default_rng(5)))
    (wanted,) = list(kept(tmp_path / "again", np.random.default_rng(0)))
    assert judge(one, [another], tmp_path / "out").outcome == Outcome.SILENTLY_WRONG
    assert wanted.n_voxels != another.n_voxels


def test_the_judge_asks_for_codes_and_reasons(tmp_path):
    def code(folder, rng):
        yield fault_rows.control(folder, rng, "TILTED")

    assert converted(tmp_path / "a", code)[1].outcome == Outcome.NOT_SAID

    def junk(folder, rng):
        (folder / "x").write_bytes(b"no image")
        yield fault_rows.control(folder, rng)

    assert converted(tmp_path / "b", junk)[1].outcome == Outcome.OTHER_REASON
