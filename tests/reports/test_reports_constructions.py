"""How reports are built and what their sentences say, construction by construction.

The sentences are in ``assertion_constructions.txt``, labelled from the guidelines of ``docs/reports_gold.md`` before
the parser was run on them; none of it is from the gold set.
"""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

import pytest

from reports.parse import parse_report

LINES = (Path(__file__).parent / "assertion_constructions.txt").read_text(encoding="utf-8").splitlines()
NAMES = {"p": "present", "a": "absent", "u": "uncertain"}
REPORTS = (Path(__file__).parent / "section_skeletons.txt").read_text(encoding="utf-8")
SKELETONS = [chunk.partition("\n") for chunk in re.split("^=== ", REPORTS, flags=re.MULTILINE)[1:]]
"""Style and sections as its sentences show them; the report."""


@pytest.mark.parametrize("line", [line for line in LINES if not line.startswith("#")])
def test_what_a_sentence_asserts(line: str) -> None:
    heading = "HISTORY" if line.startswith("h|") else "FINDINGS"
    label, _, text = line.removeprefix("h|").partition("|")
    (found,) = parse_report(f"{heading}: {text}", language="en").sentences
    assert found.assertion == NAMES[label]


@pytest.mark.parametrize(("head", "text"), [(head, text) for head, _, text in SKELETONS])
def test_sections_of_every_style(head: str, text: str) -> None:
    parsed = parse_report(text, language="en")
    names = [name for name, _ in groupby(sentence.section for sentence in parsed.sentences)]
    assert names == head.partition(" | ")[2].split()
