"""Labels: label maps land on the volume's own grid at the right place, findings at the right volume."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hospital import PLANS

from curation.__main__ import main
from curation.contract import Dataset, affine_of
from curation.verify import verify_dataset


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Label maps on the source grids (5 mm): an ellipsoid at a known place of study 1 and 2."""
    folder = tmp_path / "organs"
    folder.mkdir()
    (folder / "labels.json").write_text('{"1": "spleen", "4": "liver"}')
    # RAS: x grows to the right's left-hand end, so the source's columns run against it
    affine = np.array([[-5.0, 0, 0, 157.5], [0, -5, 0, 157.5], [0, 0, 5, 5], [0, 0, 0, 1]])
    i, j, k = np.mgrid[0:64, 0:64, 0:20]
    data = np.zeros((64, 64, 20), dtype=np.uint8)
    data[(i - 40) ** 2 + (j - 30) ** 2 + (k - 10) ** 2 < 36] = 4
    data[(i - 15) ** 2 + (j - 30) ** 2 + (k - 8) ** 2 < 16] = 1
    for plan in PLANS[:2]:
        nibabel.save(nibabel.Nifti1Image(data, affine), folder / f"{plan.uid}.2.nii.gz")
    return folder


def centre_mm(data: np.ndarray, affine: np.ndarray, value: int) -> np.ndarray:
    return affine[:3, :3] @ np.argwhere(data == value).mean(axis=0) + affine[:3, 3]


def test_label_maps_keep_their_place(own_dataset: Path, labels: Path, capsys):
    assert main(["labels", str(own_dataset), str(labels), "--name", "organs", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["written"] == 2
    data = Dataset.open(own_dataset)
    assert data.label_names("organs") == {1: "spleen", 4: "liver"}
    source = nibabel.load(next(labels.glob("*.nii.gz")))
    found = 0
    for row in data.rows("volumes"):
        path = data.label_path("organs", row["volume_id"])
        if path is None:
            continue
        found += 1
        image = nibabel.load(path)
        assert list(image.shape) == row["shape_ijk"]
        assert image.get_data_dtype() == np.uint8
        assert np.allclose(image.affine, affine_of(row), atol=1e-3)
        for value in (1, 4):
            here = centre_mm(np.asarray(image.dataobj), image.affine, value)
            assert np.allclose(here, centre_mm(np.asarray(source.dataobj), source.affine, value), atol=1.0)
    assert found == 2
    assert verify_dataset(own_dataset)[0] == []


def test_findings_reach_every_volume_of_their_study(own_dataset: Path, tmp_path: Path):
    table = tmp_path / "findings.csv"
    rows = [f"{PLANS[0].uid},nodule,1", f"{PLANS[0].uid},effusion,0", f"{PLANS[1].uid},nodule,0", "9.9,nodule,1"]
    table.write_text("study_instance_uid,finding,value\n" + "\n".join(rows) + "\n")
    assert main(["labels", str(own_dataset), "--findings", str(table), "--quiet"]) == 0
    found = Dataset.open(own_dataset).findings()
    assert sorted((row["finding"], row["value"]) for row in found) == [("effusion", 0), ("nodule", 0), ("nodule", 1)]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], 2),
        (["FOLDER"], 2),
        (["FOLDER", "--name", "../x"], 2),
        (["EMPTY", "--name", "organs"], 2),
        (["STRANGERS", "--name", "organs"], 1),
        (["--findings", "BAD"], 1),
        (["--findings", "COLUMNS"], 2),
    ],
)
def test_what_cannot_be_joined_is_refused(own_dataset: Path, labels: Path, tmp_path: Path, words: list[str], code: int):
    (tmp_path / "EMPTY").mkdir()
    (tmp_path / "STRANGERS").mkdir()
    (tmp_path / "STRANGERS" / "labels.json").write_text('{"1": "spleen"}')
    (tmp_path / "BAD").write_text(f"study_instance_uid,finding,value\n{PLANS[0].uid},nodule,maybe\n")
    (tmp_path / "COLUMNS").write_text("a,b\n1,2\n")
    places = {
        "FOLDER": str(labels),
        **{name: str(tmp_path / name) for name in ("EMPTY", "STRANGERS", "BAD", "COLUMNS")},
    }
    assert main(["labels", str(own_dataset), *(places.get(word, word) for word in words), "--quiet"]) == code
