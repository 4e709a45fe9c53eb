"""The benchmark's errors are what they say, and its counts are honest."""

import time

import numpy as np
import pytest

from benchmarks import audit_planted_errors as errors
from benchmarks import audit_planted_work as work
from benchmarks.audit_planted import KINDS, Score, unseen
from benchmarks.audit_sides import tables
from curation.codes import ROOMS
from curation.demo.plan import plan_studies
from curation.suspicion import RULES

N = 60


@pytest.fixture
def ground(tmp_path):
    plans = plan_studies(N, 3)
    rows = [
        {
            "report_number": plan.report_number,
            "status": "final",
            "report_text": f"Patient: {plan.patient.name}\nLeft kidney of study {plan.number}. Right lung clear.",
        }
        for plan in plans
    ]
    return errors.Ground(tmp_path, plans, rows, np.random.default_rng(5))


def text_of(ground, number):
    return ground.reports[number]["report_text"]


def test_a_shift_moves_every_text_of_its_block_and_no_other(ground):
    before = [row["report_text"] for row in ground.reports]
    errors.shift_rows(ground, 12)
    first, last = ground.rows
    assert last - first + 1 == 18 == len(ground.planted)
    for place, row in enumerate(ground.reports):
        is_in = first <= place + 1 <= last
        assert row["report_text"] == before[place - 1 if is_in else place]
        assert (ground.plans[place].number in ground.planted) == is_in


def test_a_scrubbed_shift_names_nobody_in_and_around_the_block(ground):
    errors.shift_scrubbed_rows(ground, 12)
    first, last = ground.rows
    assert not any("Patient:" in row["report_text"] for row in ground.reports[first - 2 : last + 1])


def test_swapped_reports_change_places(ground):
    before = [row["report_text"] for row in ground.reports]
    errors.swap_reports(ground, 10)
    moved = {n for n in range(N) if text_of(ground, n) != before[n]}
    assert moved == ground.planted
    assert sorted(before) == sorted(row["report_text"] for row in ground.reports)
    assert len(moved) == 10


def test_a_repeated_report_is_there_twice_and_its_owner_counts_as_touched(ground):
    before = [row["report_text"] for row in ground.reports]
    errors.repeat_reports(ground, 6)
    assert len(ground.planted) == len(ground.touched) == 6
    texts = [row["report_text"] for row in ground.reports]
    assert all(texts.count(texts[n]) == 2 and texts[n] != before[n] for n in ground.planted)


def test_exchanged_sides_exchange_back(ground):
    before = [row["report_text"] for row in ground.reports]
    errors.exchange_sides(ground, 4)
    for number in ground.planted:
        assert "Right kidney" in text_of(ground, number)
        assert "Left lung" in text_of(ground, number)
    assert sum(text_of(ground, n) != before[n] for n in range(N)) == 4


def test_shares_count_what_was_withheld_as_found_and_looks_as_flagged():
    score = Score("kind", planted=20, flagged=17, withheld=2, alarmed=15, clean=100, clean_flagged=3)
    assert score.found_share == pytest.approx(0.95)
    assert score.clean_share == pytest.approx(0.03)
    assert "95.0%" in score.row()


def test_the_right_rules_are_rules_and_the_right_reasons_are_reasons():
    known = {str(code) for kinds in ROOMS.values() for kind in kinds for code in kind}
    for kind in KINDS:
        assert kind.rules <= RULES.keys()
        assert kind.drops <= known


def test_short_names_of_lobes_change_sides_too():
    assert errors.exchanged("RUL nodule, left kidney. Rule out LLL pneumonia.") == (
        "LUL nodule, right kidney. Rule out RLL pneumonia."
    )


def test_texts_without_a_finding_on_one_side_alone_are_counted_apart(tmp_path):
    plans = plan_studies(4, 3)
    rows = [
        (0, "pleural_effusion", "left", 1), (0, "pleural_effusion", "right", 1),  # both sides: nothing to exchange
        (1, "kidney_stone", "left", 1), (1, "liver_lesion", "", 1),
        (2, "kidney_stone", "left", 0),  # not named in the report
        (3, "bladder_mass", "", 1),  # its side is in its words
    ]  # fmt: skip
    (tmp_path / "truth").mkdir()
    lines = ["study_instance_uid,kind,laterality,named_in_report"]
    lines += [f"{plans[n].study_uid},{kind},{side},{named}" for n, kind, side, named in rows]
    (tmp_path / "truth/lesions.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert unseen(tmp_path, plans, range(4)) == {plans[0].number, plans[2].number}


def test_a_part_stops_when_its_minutes_are_over():
    with pytest.raises(work.TimeUp), work.minutes(0.001):
        time.sleep(5)
    with work.minutes(None):
        time.sleep(0.1)


def test_what_is_remembered_is_made_once_and_again_for_another_key(tmp_path):
    made = []
    for known in (b"a", b"a", b"b"):
        assert work._remembered(tmp_path, "volume", known, lambda: made.append(1) or len(made)) == len(made)
    assert len(made) == 2


def test_a_rewritten_file_is_another_file_and_a_hard_link_is_the_same(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"x")
    before = work._stamp(one)
    other.hardlink_to(one)
    assert work._stamp(other) == before
    one.unlink()
    one.write_bytes(b"y")
    assert work._stamp(one) != before
    assert work._stamp(other) == before


def test_sides_are_counted_over_the_threshold():
    measured = [  # as it is, exchanged: evidence and a lobe on the wrong side; findings that are measured
        ((1.5, False), (-1.5, False), 2),
        ((-0.75, False), (0.75, False), 1),
        ((0.0, False), (0.0, True), 0),
        ((0.0, False), (0.0, False), 0),
    ]
    lines = tables({"demo": measured})
    assert "| demo | 4 | 2 (50.0%) | 1 (25.0%) | 2 |" in lines
    assert "| 0.2 | 2 (50.0%) | 1 (25.0%) |" in lines
    assert "| 1 | 2 (50.0%) | 0 (0.0%) |" in lines
    assert "| 2 | 1 (25.0%) | 0 (0.0%) |" in lines
