"""Whole reports and sentences in other institutions' styles, labelled before the parser was run on them, then tuned on.

The reports are in ``styles``, the sentences in ``region_sentences.txt``, both with the labels of the gold set
(`benchmarks.reports_gold_files`); none of it is from the gold set, and what it scores says how well the rules fit it,
not how well they read what they never saw.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.reports_gold import Scores, score
from benchmarks.reports_gold_files import GoldReport, read_written
from reports.parse import parse_report
from reports.records import Span

HERE = Path(__file__).parent
LINES = (HERE / "region_sentences.txt").read_text(encoding="utf-8").splitlines()[1:]
REPORTS = read_written(HERE / "styles")


def scored(reports: list[GoldReport]) -> Scores:
    return score(reports, lambda text: parse_report(text, language="en"), peer=False)


def test_whole_reports_in_other_styles_are_read() -> None:
    scores = scored(REPORTS)
    assert scores.section.f1 == 1.0
    assert scores.sentence.f1 >= 0.995
    assert scores.measurement.f1 == 1.0
    assert scores.pointer.f1 == 1.0
    assert scores.region.f1 >= 0.96
    assert scores.side.f1 >= 0.97
    assert scores.macro >= 0.99


@pytest.mark.parametrize("line", LINES)
def test_places_and_sides_of_a_sentence(line: str, tmp_path: Path) -> None:
    (tmp_path / "written_x.txt").write_text(f"=== x00 one sentence\n@findings FINDINGS: \n{line}\n", encoding="utf-8")
    (gold,) = read_written(tmp_path)
    scores = scored([gold])
    assert gold.sections[0][1] == Span(10, len(gold.text.rstrip()))
    for counts in (scores.region, scores.side, scores.sentence, scores.measurement):
        assert (counts.missed, counts.extra) == (0, 0)
