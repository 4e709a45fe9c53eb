"""Identifiers planted wherever an export may hold them are in nothing that a curation writes or says.

docs/curation_identifiers.md has the figures of 30,000; here are some hundreds.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.curation_identifiers import Search, plant, survivors
from curation.terms import known_kernel, known_vendor


def test_no_planted_identifier_survives(tmp_path: Path):
    plants = plant(tmp_path, 900, seed=3)
    search = Search(plants)
    export = [path for path in (tmp_path / "dicom").rglob("*") if path.is_file()]
    there = set().union(search.in_text((tmp_path / "reports.csv").read_text()), *map(search.in_file, export))
    assert there == set(plants.placed), "the search finds what is there"
    assert list(survivors(tmp_path, plants)) == []
    assert (tmp_path / "set" / "pairs.parquet").is_file()


@pytest.mark.parametrize("kernel", ["B30f", "STANDARD", "FC51", "UB", "Br38f 3"])
def test_a_kernel_is_shown(kernel: str):
    assert known_kernel(kernel) == kernel


@pytest.mark.parametrize("text", ["Quillfeather", "B30f Quillfeather", "Quillfeather^Augusta", "MRN700101"])
def test_a_name_in_the_place_of_a_kernel_or_a_maker_is_not(text: str):
    assert known_kernel(text) == known_vendor(text) == "other"
