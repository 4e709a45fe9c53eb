"""The benchmark's errors are what they say, and its counts are honest."""

import numpy as np
import pytest

from benchmarks import audit_planted_errors as errors
from benchmarks.audit_planted import KINDS, Score
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
