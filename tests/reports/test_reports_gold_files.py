"""The gold set is well formed, and its halves depend on the ids alone."""

from __future__ import annotations

from itertools import pairwise

import pytest
from reports_real import REAL

from benchmarks.reports_gold import score
from benchmarks.reports_gold_files import GoldReport, read_real, read_written
from reports.parse import parse_report


def check(report: GoldReport) -> None:
    spans = [one.span for one in report.sentences]
    assert all(one.start < one.end <= len(report.text) for one in spans)
    assert all(a.end <= b.start for a, b in pairwise(spans))
    for sentence in report.sentences:
        owners = [name for name, s in report.sections if s.start <= sentence.span.start and sentence.span.end <= s.end]
        assert owners == [sentence.section], (report.name, sentence.span)


def test_at_least_forty_written_reports_are_well_formed() -> None:
    reports = read_written()
    assert len(reports) >= 40
    for report in reports:
        check(report)
    assert len({report.is_tuning for report in reports}) == 2


@pytest.mark.real
def test_at_least_sixty_real_notes_are_well_formed() -> None:
    notes = REAL / "mtsamples" / "notes.csv"
    if not notes.is_file():
        pytest.skip("the real notes are not beside this checkout")
    reports = read_real(notes)
    assert len(reports) >= 60
    assert sum(report.kind == "ct" for report in reports) >= 11
    for report in reports:
        check(report)


def test_the_tuning_half_of_the_written_reports_scores_as_documented() -> None:
    ours = [one for one in read_written() if one.is_tuning and one.kind == "written"]
    scores = score(ours, lambda text: parse_report(text, language="en"))
    assert scores.section.f1 >= 0.97
    assert scores.sentence.f1 >= 0.97
    assert scores.region.f1 >= 0.91
    assert scores.macro >= 0.90
    assert scores.measurement.f1 == scores.pointer.f1 == 1.0


def test_a_wrong_parser_scores_badly() -> None:
    scores = score(read_written()[:5], lambda text: parse_report(text, language="de"), peer=False)
    assert scores.region.f1 == 0.0
    assert scores.macro < 0.5
