"""A data set that is made coarser stays where it was, in mm, and stays sound."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from benchmarks.train_scale import _auroc, bound, make
from curation.contract import Dataset, affine_of
from train.reader import map_nifti


def _centre_mm(labels: np.ndarray, value: int, affine: np.ndarray) -> np.ndarray:
    return nibabel.affines.apply_affine(affine, np.argwhere(labels == value).mean(axis=0))


def test_a_coarser_data_set_keeps_places_and_means_and_boxes_inside(tiny_dataset: Path, tmp_path: Path) -> None:
    summary = make(tmp_path / "coarse", [tiny_dataset], 2)
    assert summary["volumes"] == 12
    fine, coarse = Dataset.open(tiny_dataset), Dataset.open(tmp_path / "coarse")
    assert coarse.manifest["grid"]["spacing_mm"] == 8.0
    for before, after in zip(fine.rows("volumes"), coarse.rows("volumes"), strict=True):
        voxels = map_nifti(coarse.volume_path(after))
        assert list(voxels.shape) == after["shape_ijk"] == [20, 20, 20]
        assert abs(voxels.mean() - map_nifti(fine.volume_path(before)).mean()) < 1
        paths = [one.label_path("organs", before["volume_id"]) for one in (fine, coarse)]
        maps = [map_nifti(path) for path in paths if path]
        for value in np.unique(maps[0])[1:]:
            places = [_centre_mm(one, value, affine_of(row)) for one, row in zip(maps, (before, after), strict=True)]
            assert np.abs(places[0] - places[1]).max() < 8.0  # a voxel
    for row in coarse.rows("regions"):
        assert min(row["size_ijk"]) >= 1
        assert max(np.add(row["start_ijk"], row["size_ijk"])) <= 20


def test_the_bound_is_trained_with_labels_and_measured_on_other_patients(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.train_scale.HELD_OUT_BATCHES", 40)
    words = ("crop.size_vox=24", "image.channels=[8, 16, 16]", "loop.threads=1")
    found = bound(tiny_dataset, 40, 0, tmp_path / "kept.pt", words=words)
    assert found["patients"] == 8
    assert found["regions"]["classes"] == 4
    assert "lesions" not in found  # the tiny set has no lesion maps
    assert found["regions"]["low"] > 0.6  # chance is 0.5; lungs and abdominal organs differ in HU
    assert bound(tiny_dataset, 40, 0, tmp_path / "kept.pt", words=words) == found  # nothing is left to train


def test_among_crops_of_one_region_the_region_answers_nothing() -> None:
    region = np.repeat(["liver", "lung"], 40)
    lesion = np.tile([0, 1, 0, 0], 20) * (region == "lung")  # a quarter of the crops of one region, none of the other
    by_place = (region == "lung").astype(float)
    assert _auroc(lesion, by_place, None) > 0.7
    assert _auroc(lesion, by_place, region) == 0.5
    assert _auroc(lesion, lesion, region) == 1.0
    assert np.isnan(_auroc(lesion * (region == "liver"), by_place, region))  # no case anywhere
