"""The NIfTI writer against nibabel and SimpleITK, and against itself."""

from __future__ import annotations

import gzip
import hashlib

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volumes.errors import VolumeError
from volumes.nifti import header_bytes, read_volume, write_array
from volumes.reasons import DropReason


def rotation(a, b, c):
    ca, sa, cb, sb, cc, sc = np.cos(a), np.sin(a), np.cos(b), np.sin(b), np.cos(c), np.sin(c)
    return (
        np.array([[ca, -sa, 0], [sa, ca, 0], [0, 0, 1]])
        @ np.array([[cb, 0, sb], [0, 1, 0], [-sb, 0, cb]])
        @ np.array([[1, 0, 0], [0, cc, -sc], [0, sc, cc]])
    )


def make_affine(a=0.3, b=-0.2, c=0.1, spacing=(0.7, 0.8, 2.5), origin=(-120.5, 33.25, -400.125), mirror=False):
    affine = np.eye(4)
    affine[:3, :3] = rotation(a, b, c) @ np.diag([-1 if mirror else 1, 1, 1]) @ np.diag(spacing)
    affine[:3, 3] = origin
    return affine


def voxels(shape=(5, 6, 7), dtype=np.int16):
    return np.asfortranarray(np.random.default_rng(0).integers(0, 200, shape).astype(dtype))


angles = st.floats(-3.1, 3.1)


@given(a=angles, b=angles, c=angles, mirror=st.booleans())
@settings(max_examples=40, deadline=None)
def test_nibabel_reads_the_same_affine_from_sform_and_qform(a, b, c, mirror):
    affine = make_affine(a, b, c, mirror=mirror)
    head = nibabel.Nifti1Header(header_bytes(voxels(), affine)[:348])
    np.testing.assert_allclose(head.get_sform(), affine, atol=1e-4)
    if head["qform_code"]:
        np.testing.assert_allclose(head.get_qform(), affine, atol=2e-3)


@pytest.mark.parametrize(("angle", "has_qform"), [(0.0, True), (1e-6, True), (1e-3, False), (3e-3, True)])
def test_a_turn_that_the_qform_would_round_away_is_told_by_the_sform_alone(angle, has_qform):
    affine = make_affine(0.0, angle, 0.0, mirror=True)  # mirrored: a half turn but for the angle
    head = nibabel.Nifti1Header(header_bytes(voxels(), affine)[:348])
    assert bool(head["qform_code"]) == has_qform
    np.testing.assert_allclose(head.get_best_affine(), affine, atol=1e-4)
    if has_qform:
        np.testing.assert_allclose(head.get_qform(), affine, atol=2e-4)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32])
def test_nibabel_and_simpleitk_read_what_was_written(tmp_path, suffix, dtype):
    sitk = pytest.importorskip("SimpleITK")
    data, affine = voxels(dtype=dtype), make_affine()
    path = tmp_path / f"v{suffix}"
    digest = write_array(data, affine, path)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    image = nibabel.load(path)
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), data)
    np.testing.assert_allclose(image.affine, affine, atol=1e-4)
    assert image.header.get_xyzt_units()[0] == "mm"
    theirs = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(theirs).transpose(2, 1, 0), data)
    point = theirs.TransformIndexToPhysicalPoint((4, 3, 2))
    wanted = affine @ [4, 3, 2, 1]
    np.testing.assert_allclose(np.array(point) * [-1, -1, 1], wanted[:3], atol=1e-3)
    back, back_affine = read_volume(path)
    np.testing.assert_array_equal(back, data)
    np.testing.assert_allclose(back_affine, affine, atol=1e-4)


def test_uncompressed_voxels_are_memory_mapped_at_352(tmp_path):
    data = voxels()
    write_array(data, np.eye(4), tmp_path / "v.nii")
    mapped, _ = read_volume(tmp_path / "v.nii")
    assert isinstance(mapped, np.memmap)
    raw = np.memmap(tmp_path / "v.nii", "<i2", "r", 352, data.shape, order="F")
    np.testing.assert_array_equal(raw, data)


def test_header_carries_no_text_and_bytes_repeat(tmp_path):
    data = voxels()
    for suffix in (".nii", ".nii.gz"):
        write_array(data, make_affine(), tmp_path / f"a{suffix}")
        write_array(np.ascontiguousarray(data), make_affine(), tmp_path / f"another-name{suffix}")
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"another-name{suffix}").read_bytes()
    head = nibabel.load(tmp_path / "a.nii").header
    for element in ("descrip", "aux_file", "intent_name", "db_name", "data_type"):
        assert bytes(head[element]).strip(b"\0") == b""
    packed = (tmp_path / "a.nii.gz").read_bytes()
    assert packed[3] == 0  # FLG: no file name
    assert packed[4:8] == b"\0\0\0\0"  # MTIME
    assert gzip.decompress(packed) == (tmp_path / "a.nii").read_bytes()


def test_sheared_affine_has_sform_only():
    affine = make_affine()
    affine[:3, 2] += 0.4 * affine[:3, 1]
    head = nibabel.Nifti1Header(header_bytes(voxels(), affine)[:348])
    assert int(head["qform_code"]) == 0
    np.testing.assert_allclose(head.get_sform(), affine, atol=1e-4)


def test_dimension_beyond_int16_becomes_nifti2(tmp_path):
    data = np.asfortranarray(np.arange(40000, dtype=np.int32).astype(np.int16).reshape(40000, 1, 1))
    write_array(data, np.eye(4), tmp_path / "long.nii")
    image = nibabel.load(tmp_path / "long.nii")
    assert isinstance(image, nibabel.Nifti2Image)
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), data)
    back, _ = read_volume(tmp_path / "long.nii")
    np.testing.assert_array_equal(back, data)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_damage_is_named(tmp_path, suffix):
    path = tmp_path / f"v{suffix}"
    write_array(voxels(), np.eye(4), path)
    for broken in (path.read_bytes()[:-40], b"", b"not a nifti at all" * 40):
        path.write_bytes(broken)
        with pytest.raises(VolumeError) as caught:
            read_volume(path)
        assert caught.value.reason == DropReason.NIFTI_DAMAGED
