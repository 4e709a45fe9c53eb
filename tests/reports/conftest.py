"""Fixtures of the tests of `reports`."""

from __future__ import annotations

import csv

import pytest
from reports_real import REAL


@pytest.fixture(scope="session")
def real_notes() -> dict[str, tuple[str, str]]:
    """note_id -> (description, text) of the real dictated notes."""
    path = REAL / "mtsamples" / "notes.csv"
    if not path.is_file():
        pytest.skip("the real notes (shared/data/mtsamples) are not beside this checkout")
    with path.open(encoding="utf-8", newline="") as stream:
        return {row["note_id"]: (row["description"].strip(), row["text"]) for row in csv.DictReader(stream)}


@pytest.fixture(scope="session")
def german_templates() -> list[str]:
    """Structured German report templates, as HTML."""
    paths = sorted((REAL / "radreport_templates_de").rglob("template.html"))
    if not paths:
        pytest.skip("the German templates (shared/data/radreport_templates_de) are not beside this checkout")
    return [path.read_text(encoding="utf-8") for path in paths]
