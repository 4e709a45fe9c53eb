"""Sentences labelled by hand, one by one through the whole parser."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from reports.parse import parse_report
from reports.records import ImagePointer, Sentence

GOLD: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "gold_sentences.toml").read_text())["sentence"]


def only_sentence(text: str) -> Sentence:
    parsed = parse_report(f"FINDINGS:\n{text}", language="en")
    assert [sentence.text for sentence in parsed.sentences] == [text]
    return parsed.sentences[0]


@pytest.mark.parametrize("gold", GOLD, ids=[entry["text"][:40] for entry in GOLD])
def test_gold(gold: dict[str, Any]) -> None:
    found = only_sentence(gold["text"])
    pointer = gold.get("pointer")
    assert {
        "regions": list(found.regions),
        "laterality": found.laterality,
        "assertion": found.assertion,
        "normal": found.is_normal,
        "prior": found.is_prior_comparison,
        "mm": list(found.measurements_mm),
        "pointer": found.image_pointer,
    } == {
        "regions": gold.get("regions", []),
        "laterality": gold.get("laterality"),
        "assertion": gold.get("assertion", "present"),
        "normal": gold.get("normal", False),
        "prior": gold.get("prior", False),
        "mm": gold.get("mm", []),
        "pointer": ImagePointer(*pointer) if pointer else None,
    }
