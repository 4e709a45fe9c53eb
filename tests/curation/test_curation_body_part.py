"""A header that names a part of the body which the images do not show (fault D30)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hospital import PLANS, configured, curate, write_export
from pydicom import dcmread

from curation.contract import Dataset


@pytest.mark.parametrize(("named", "is_flagged"), [("HEAD", True), ("CHESTABDOMEN", False)])
def test_a_part_that_is_not_there_is_flagged(tmp_path: Path, named: str, is_flagged: bool):
    export = configured(write_export(tmp_path / "export", PLANS[:1]))
    for path in (export / "dicom").rglob("*.dcm"):
        header = dcmread(path)
        header.BodyPartExamined = named
        header.save_as(path)
    assert curate(export, tmp_path / "set") == 0
    data = Dataset.open(tmp_path / "set")
    (volume,), (pair,) = data.rows("volumes"), data.rows("pairs")
    assert "abdomen" in volume["body_regions"]
    assert ("BODYPART_MISMATCH" in {repair["code"] for repair in volume["repairs"]}) == is_flagged
    assert ("BODYPART_MISMATCH" in pair["flags"]) == is_flagged
