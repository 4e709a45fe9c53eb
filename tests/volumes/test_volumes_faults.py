"""Real files with real faults: each is accounted for, with the reason that was looked up by hand."""

from __future__ import annotations

import json

import pytest

from t3dkit.tables import read_rows
from volumes.__main__ import main
from volumes.reasons import DropReason, Flag, RepairCode

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def converted(real, tmp_path_factory):
    """Convert a folder of the real data once."""
    known = {}

    def run(name):
        if name not in known:
            out = tmp_path_factory.mktemp("real")
            assert main(["convert", str(real / name), "--out", str(out), "--quiet"]) == 0
            known[name] = (read_rows(out / "series.parquet"), read_rows(out / "dropped.parquet"))
        return known[name]

    return run


def codes(row):
    return {item["code"] for item in row["repairs"]}


def test_stubs_that_break_another_converter(converted):
    series, _ = converted("dicom2nifti_failing")
    assert {row["source"].rsplit(".", 1)[1] for row in series if row["verdict"] == "kept"} == {"nii"}
    reasons = sorted(row["reason"] for row in series if row["verdict"] == "dropped")
    assert reasons == [
        DropReason.BOLUS_TRACKING,
        DropReason.GEOM_MISSING_SLICE,
        DropReason.GEOM_MISSING_SLICE,
        DropReason.HU_IMPLAUSIBLE,  # its pixels were replaced by a shallow ramp
        DropReason.TOO_FEW_SLICES,
        DropReason.TOO_FEW_SLICES,
        DropReason.TOO_FEW_SLICES,
    ]


def test_tilted_heads_with_two_spacings(converted):
    series, _ = converted("dcm_qa_ct_philips_ge")
    kept = [row for row in series if row["verdict"] == "kept"]
    assert [row["n_instances"] for row in kept] == [14, 14, 54]
    assert all(Flag.TILTED in codes(row) for row in kept)
    assert [RepairCode.SPLIT in codes(row) for row in kept] == [True, True, False]
    assert {row["reason"] for row in series} == {None, DropReason.SECONDARY, DropReason.LOCALIZER}


def test_classic_and_multi_frame_copies_in_one_folder(converted):
    series, _ = converted("panimg")
    kept = [row for row in series if row["verdict"] == "kept"]
    assert [row["n_instances"] for row in kept] == [7]
    assert {row["reason"] for row in series if row["verdict"] == "dropped"} == {DropReason.SECONDARY, DropReason.BLANK}


def test_every_file_of_a_messy_folder_is_accounted_for(real, tmp_path, capsys):
    assert main(["convert", str(real / "pydicom_data"), "--out", str(tmp_path), "--quiet"]) == 0
    summary = json.loads(capsys.readouterr().out)
    found = sum(path.is_file() for path in (real / "pydicom_data").rglob("*"))
    assert summary["files"]["found"] >= found  # members of archives count as files
    assert summary["files"]["found"] == summary["files"]["kept"] + summary["files"]["dropped"]
    assert sum(summary["dropped_files"].values()) == summary["files"]["dropped"]


def test_enhanced_ct_equals_its_classic_twin(real, tmp_path):
    import nibabel
    import numpy as np

    assert main(["convert", str(real / "dcmqi" / "24x38x3"), "--out", str(tmp_path), "--quiet"]) == 0
    kept = [row for row in read_rows(tmp_path / "series.parquet") if row["verdict"] == "kept"]
    classic, enhanced = (nibabel.load(tmp_path / row["output"]) for row in kept)
    assert {row["n_instances"] for row in kept} == {1, 3}
    np.testing.assert_array_equal(np.asarray(classic.dataobj), np.asarray(enhanced.dataobj))
    np.testing.assert_allclose(classic.affine, enhanced.affine, atol=1e-4)
