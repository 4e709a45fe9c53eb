"""Crops are slices of the volume, air outside; a bad volume stops with its id."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from train_data import EDGE, write_tiny_dataset

from curation.contract import Dataset
from t3dkit.errors import DataError
from train.batch import augment, normalise, to_hu
from train.config import IntensityConfig
from train.errors import UnreadableVolume
from train.reader import AIR_HU, VolumeStore, cut, map_nifti


@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    start=st.tuples(*[st.integers(-12, 12)] * 3),
    size=st.integers(1, 8),
)
@settings(max_examples=80, deadline=None)
def test_cut_equals_a_slice_of_the_padded_volume(shape: tuple[int, ...], start: tuple[int, ...], size: int) -> None:
    volume = np.random.default_rng(0).integers(-1000, 1000, size=shape).astype(np.int16)
    padded = np.pad(volume, 24, constant_values=AIR_HU)
    expected = padded[tuple(slice(s + 24, s + 24 + size) for s in start)]
    np.testing.assert_array_equal(cut(volume, start, size, fill=AIR_HU), expected)


def test_map_equals_nibabel(tiny_dataset: Path) -> None:
    path = next((tiny_dataset / "volumes").glob("*.nii"))
    np.testing.assert_array_equal(map_nifti(path), np.asarray(nibabel.load(path).dataobj))


def test_compressed_volumes_are_unpacked_once_and_read_the_same(tmp_path: Path) -> None:
    plain = Dataset.open(write_tiny_dataset(tmp_path / "plain", n_patients=2))
    packed = Dataset.open(write_tiny_dataset(tmp_path / "packed", n_patients=2, suffix=".nii.gz"))
    one, two = VolumeStore(plain, tmp_path / "c1"), VolumeStore(packed, tmp_path / "c2")
    np.testing.assert_array_equal(one.crop("volume001", (-3, 4, 30), 16), two.crop("volume001", (-3, 4, 30), 16))
    unpacked = list((tmp_path / "c2").iterdir())
    assert len(unpacked) == 1
    before = unpacked[0].stat().st_mtime_ns
    VolumeStore(packed, tmp_path / "c2").volume("volume001")
    assert unpacked[0].stat().st_mtime_ns == before
    assert not (tmp_path / "c1").exists()


@pytest.mark.parametrize("damage", ["missing", "torn", "no_nifti", "shape"])
def test_an_unreadable_volume_stops_with_its_id_and_no_path(tiny_dataset: Path, tmp_path: Path, damage: str) -> None:
    root = tmp_path / "dataset"
    shutil.copytree(tiny_dataset, root)
    path = root / "volumes" / "volume003.nii"
    if damage == "missing":
        path.unlink()
    elif damage == "torn":
        path.write_bytes(path.read_bytes()[:-10])
    elif damage == "no_nifti":
        path.write_bytes(b"nothing" * 100)
    else:
        nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4)), path)
    with pytest.raises(UnreadableVolume, match="volume003") as caught:
        VolumeStore(Dataset.open(root), tmp_path / "cache").volume("volume003")
    assert str(tmp_path) not in str(caught.value)


def test_scaled_voxels_are_refused(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4))
    image.header.set_slope_inter(2.0, 0.0)
    nibabel.save(image, tmp_path / "scaled.nii")
    with pytest.raises(DataError, match="scaled"):
        map_nifti(tmp_path / "scaled.nii")


def test_labels_come_from_the_same_place(tiny_dataset: Path, tmp_path: Path) -> None:
    store = VolumeStore(Dataset.open(tiny_dataset), tmp_path)
    labels = store.label_crop("organs", "volume000", (0, 0, 0), EDGE)
    assert labels is not None
    assert set(np.unique(labels)) == {0, 1, 2, 3, 4}
    assert store.label_crop("lesions", "volume000", (0, 0, 0), EDGE) is None


def test_normalise_and_back() -> None:
    config = IntensityConfig(hu_range=(-1000.0, 500.0))
    hu = np.asarray([-1024, -1000, -250, 0, 500, 3000], dtype=np.int16)
    seen = normalise(hu, config)
    assert seen.dtype == np.float32
    np.testing.assert_allclose(seen, [-1, -1, 0, 1 / 3, 1, 1], atol=1e-6)
    np.testing.assert_allclose(to_hu(seen, config), [-1000, -1000, -250, 0, 500, 500], atol=1e-3)


def test_a_view_keeps_left_and_right() -> None:
    ramp = np.broadcast_to(np.linspace(-1, 1, 8, dtype=np.float32)[:, None, None], (8, 8, 8)).copy()
    for seed in range(5):
        view = augment(ramp, IntensityConfig(), np.random.default_rng(seed))
        assert view[-1].mean() > view[0].mean() + 1.0
