"""Volumes that arrive as NIfTI, written by nibabel: right at every voxel's own place, or dropped with a reason."""

from __future__ import annotations

import io
import itertools
import json
import zipfile

import nibabel
import numpy as np
import pytest
from phantom import Series, write_series

from t3dkit.tables import read_rows
from t3dkit.verdict import Dropped
from volumes.__main__ import main
from volumes.nifti_input import NiftiImage, check_nifti, convert_nifti, describe_nifti, read_nifti_header
from volumes.reasons import DropReason, Flag, RepairCode
from volumes.records import FileDrop, Grid
from volumes.sources import iter_files

NATIVE, COARSE = Grid(spacing_mm=None), Grid(spacing_mm=(3.1, 2.9, 3.3))
SHAPE = (30, 34, 28)
SPACING = np.array([1.7, 1.5, 2.0])
GRADIENT = np.array([9.0, -7.0, 11.0])  # RAS; the phantom spans air, fat, soft tissue and bone
MIDDLE_HU = -150.0


def hu_at(ras):
    return ras @ GRADIENT + MIDDLE_HU


def rotation(angle, axes=(0, 1)):
    matrix = np.eye(3)
    c, s = np.cos(angle), np.sin(angle)
    matrix[np.ix_(axes, axes)] = [[c, -s], [s, c]]
    return matrix


def affine_of(directions, shape=SHAPE, spacing=SPACING):
    """An affine with `directions` as columns whose grid is centred on the origin."""
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) - 1) / 2
    return affine


def places(shape, affine):
    ijk = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
    return ijk @ affine[:3, :3].T + affine[:3, 3]


def write(path, affine, *, dtype=np.int16, slope=None, intercept=None, kind=nibabel.Nifti1Image, change=None):
    """The phantom as a NIfTI file; with a slope, stored values are HU less intercept by slope."""
    hu = hu_at(places(SHAPE, affine))
    stored = (hu - (intercept or 0)) / (slope or 1)
    stored = np.rint(stored) if np.dtype(dtype).kind in "iu" else stored
    order = ">" if np.dtype(dtype).byteorder == ">" else "<"
    image = kind(stored.astype(dtype), affine, kind.header_class(endianness=order))
    image.set_data_dtype(dtype)
    if change:
        change(image)
    data = bytearray(image.to_bytes())
    if slope is not None:  # nibabel scales on its own when it writes, so the header is patched
        at, word = (112, "f4") if kind is nibabel.Nifti1Image else (176, "f8")
        size = np.dtype(word).itemsize
        data[at : at + 2 * size] = np.array([slope, intercept], order + word).tobytes()
    if path.name.endswith(".gz"):
        import gzip

        data = gzip.compress(bytes(data))
    path.write_bytes(data)
    return path


def read(path):
    (ref,) = iter_files(path)
    return read_nifti_header(ref)


def error_hu(volume, margin=0):
    inner = tuple(slice(margin, n - margin) for n in volume.data.shape)
    wanted = np.clip(hu_at(places(volume.data.shape, volume.affine_ras)), -1024, 3071)
    return float(np.abs(volume.data - wanted)[inner].max())


def require_right(path):
    image = read(path)
    assert isinstance(image, NiftiImage), image
    volume = convert_nifti(image, NATIVE).value
    assert error_hu(volume) <= 0.51
    assert volume.data.size == np.prod(SHAPE)
    diagonal = np.abs(volume.affine_ras[:3, :3]).argmax(axis=0)
    assert list(diagonal) == [0, 1, 2]
    assert np.all(np.diag(volume.affine_ras)[:3] > 0)
    coarse = convert_nifti(image, COARSE).value
    assert error_hu(coarse, margin=1) <= 1.05
    return volume


CODES = [
    "".join(letters) for axes in itertools.permutations(("RL", "AP", "SI")) for letters in itertools.product(*axes)
]


@pytest.mark.parametrize("code", CODES)
def test_every_orientation_ends_as_ras(tmp_path, code):
    ornt = nibabel.orientations.axcodes2ornt(tuple(code))
    directions = np.zeros((3, 3))
    for axis, (row, sign) in enumerate(ornt):
        directions[int(row), axis] = sign
    require_right(write(tmp_path / "v.nii", affine_of(directions)))


@pytest.mark.parametrize("angle", [0.3, -0.4])
def test_oblique_grids_keep_their_places(tmp_path, angle):
    directions = rotation(angle) @ rotation(0.2, (1, 2)) @ np.diag([-1, 1, 1])
    require_right(write(tmp_path / "v.nii.gz", affine_of(directions)))


@pytest.mark.parametrize(
    ("dtype", "slope", "intercept"),
    [
        (np.int16, None, None),
        (np.int16, 1.0, -1024.0),
        (np.int16, 0.5, -1024.0),
        (np.uint16, 1.0, -1024.0),
        (np.uint16, 2.0, -2000.0),
        (np.int32, None, None),
        (np.float32, None, None),
        (np.float64, None, None),
        (np.float32, 2.0, -100.0),
        (">i2", None, None),
        (">f4", None, None),
        (">u2", 1.0, -1024.0),
    ],
)
def test_types_and_scalings(tmp_path, dtype, slope, intercept):
    affine = affine_of(np.diag([-1, -1, 1]))
    path = write(tmp_path / "v.nii", affine, dtype=dtype, slope=slope, intercept=intercept)
    image = read(path)
    volume = convert_nifti(image, NATIVE).value
    coarseness = (slope or 1) / 2 if np.dtype(dtype).kind in "iu" else 0
    assert error_hu(volume) <= coarseness + 0.51


def test_nifti_2_and_qform_alone(tmp_path):
    require_right(write(tmp_path / "two.nii", affine_of(np.eye(3)), kind=nibabel.Nifti2Image))

    def only_qform(image):
        image.set_qform(image.affine, 1)
        image.set_sform(None)

    require_right(write(tmp_path / "q.nii", affine_of(rotation(0.2)), change=only_qform))


def test_units_of_metres_are_understood(tmp_path):
    def metres(image):
        affine = np.diag([0.001, 0.001, 0.001, 1]) @ image.affine
        image.set_sform(affine, 1)
        image.set_qform(affine, 1)
        image.header.set_xyzt_units("meter")

    require_right(write(tmp_path / "v.nii", affine_of(np.eye(3)), change=metres))


def test_a_sheared_grid_is_kept_or_straightened(tmp_path):
    directions = np.eye(3)
    directions[1, 2] = np.tan(np.radians(15))
    affine = affine_of(directions)
    image = read(write(tmp_path / "v.nii", affine, change=lambda image: image.set_qform(None)))
    assert "tilt 15.0 deg" in describe_nifti(image)
    kept = convert_nifti(image, NATIVE)
    assert error_hu(kept.value) <= 0.51
    assert Flag.TILTED in {repair.code for repair in kept.repairs}
    straight = convert_nifti(image, Grid(spacing_mm=(1.5, 1.5, 1.5)))
    assert RepairCode.TILT_RESAMPLED in {repair.code for repair in straight.repairs}
    directions = straight.value.affine_ras[:3, :3] / 1.5
    np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-6)


def test_what_is_no_number_becomes_air(tmp_path):
    def hole(image):
        data = np.asarray(image.dataobj)
        data[:4] = np.nan
        data[-1, 0, 0] = np.inf

    image = read(write(tmp_path / "v.nii", affine_of(np.eye(3)), dtype=np.float32, change=hole))
    answer = convert_nifti(image, NATIVE)
    assert RepairCode.PADDING_TO_AIR in {repair.code for repair in answer.repairs}
    assert np.all(answer.value.data[:4] == -1024)
    assert answer.value.padding_fraction == pytest.approx(4 / 30, abs=1e-3)


# ------------------------------------------------------------------------------------------------------ refused


def image_of(stored, affine=None):
    return nibabel.Nifti1Image(stored, np.diag([1.5, 1.5, 2.0, 1]) if affine is None else affine)


def body(seed=0):
    """HU of a body in air with some noise: (40, 40, 30)."""
    x, y, _ = np.meshgrid(*[np.linspace(-1, 1, n) for n in (40, 40, 30)], indexing="ij")
    radius = np.hypot(x, y)
    hu = np.where(radius < 0.6, 45.0, np.where(radius < 0.7, -100.0, -1000.0))
    return hu + np.random.default_rng(seed).normal(0, 12, hu.shape)


@pytest.mark.parametrize(
    ("stored", "reasons"),
    [
        (body() + 1024, {DropReason.HU_UNKNOWN, DropReason.HU_IMPLAUSIBLE}),  # the intercept stayed behind
        (body() + 8192, {DropReason.HU_IMPLAUSIBLE, DropReason.HU_UNKNOWN}),
        (np.abs(body()) * 0.6, {DropReason.HU_UNKNOWN}),  # an MR
        (np.digitize(body(), [-500, -50, 40]), {DropReason.HU_UNKNOWN}),  # a label map
        (np.clip((body() + 160) / 400 * 255, 0, 255), {DropReason.WINDOWED, DropReason.HU_UNKNOWN}),
        (np.full((40, 40, 30), 7), {DropReason.BLANK}),
    ],
    ids=["no intercept", "other intercept", "MR", "labels", "windowed", "blank"],
)
def test_values_that_are_no_hu_are_refused(tmp_path, stored, reasons):
    path = tmp_path / "v.nii"
    nibabel.save(image_of(np.rint(stored).astype(np.int16)), path)
    answer = convert_nifti(read(path), NATIVE)
    assert isinstance(answer, Dropped)
    assert answer.reason in reasons
    problem = check_nifti(read(path))
    assert problem == answer


def test_a_body_is_hu_and_so_is_one_stored_unsigned_by_mistake(tmp_path):
    nibabel.save(image_of(np.rint(body()).astype(np.int16)), tmp_path / "a.nii")
    assert check_nifti(read(tmp_path / "a.nii")) is None
    nibabel.save(image_of(np.rint(body()).astype(np.int16).view(np.uint16)), tmp_path / "b.nii")
    answer = convert_nifti(read(tmp_path / "b.nii"), NATIVE)
    assert RepairCode.PIXREP in {repair.code for repair in answer.repairs}
    np.testing.assert_array_equal(answer.value.data, np.clip(np.rint(body()), -1024, None).astype(np.int16))


def no_forms(image):
    image.set_sform(None)
    image.set_qform(None)


def forms_apart(image):
    image.set_qform(affine_of(np.diag([-1, 1, 1])), 1)


def sheared_plane(image):
    directions = np.eye(3)
    directions[0, 1] = 0.3
    image.set_sform(affine_of(directions), 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (no_forms, "neither sform nor qform"),
        (forms_apart, "mm apart"),
        (sheared_plane, "not perpendicular"),
        (lambda image: image.set_sform(np.diag([np.nan, 1, 1, 1]), 1), "not finite"),
        (lambda image: image.set_sform(np.diag([900.0, 1, 1, 1]), 1), "voxels of"),
        (lambda image: image.header.__setitem__("dim", [4, *SHAPE[:2], 14, 2, 1, 1, 1]), "dimensions"),
        (lambda image: image.header.__setitem__("magic", b"ni1"), ".hdr and .img"),
        (lambda image: image.header.__setitem__("datatype", 1), "numbers"),
    ],
)
def test_headers_that_say_no_place_are_refused(tmp_path, change, words):
    affine = affine_of(np.eye(3))
    image = nibabel.Nifti1Image(np.zeros(SHAPE, np.int16), affine)
    change(image)
    header = image.header.copy()
    for key, code in (("sform_code", image.header["sform_code"]), ("qform_code", image.header["qform_code"])):
        header[key] = code
    (tmp_path / "v.nii").write_bytes(header.binaryblock + bytes(4 + 2 * int(np.prod(SHAPE))))
    drop = read(tmp_path / "v.nii")
    assert isinstance(drop, FileDrop)
    assert drop.reason == DropReason.NIFTI_DAMAGED
    assert words in drop.detail


def test_truncated_and_thin_files_are_refused(tmp_path):
    path = write(tmp_path / "v.nii", affine_of(np.eye(3)))
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    answer = convert_nifti(read(path), NATIVE)
    assert isinstance(answer, Dropped)
    assert answer.reason == DropReason.TRUNCATED
    (tmp_path / "head").write_bytes(data[:100])
    nibabel.save(image_of(np.zeros((40, 40, 2), np.int16)), tmp_path / "thin.nii")
    assert read(tmp_path / "thin.nii").reason == DropReason.TOO_FEW_SLICES


# --------------------------------------------------------------------------------------------------- the program


def test_a_folder_of_both_is_accounted_for(tmp_path, capsys):
    source = tmp_path / "source"
    write_series(source / "dicom", Series())
    write(source / "a.nii", affine_of(np.eye(3)))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("in/b.nii.gz", write(tmp_path / "b.nii.gz", affine_of(rotation(0.2))).read_bytes())
    (source / "c.zip").write_bytes(buffer.getvalue())
    nibabel.save(image_of(np.full((40, 40, 30), 7, np.int16)), source / "blank.nii")
    assert main(["convert", str(source), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["files"] == {"found": 15, "kept": 14, "dropped": 1}
    assert summary["dropped_stacks"] == {"BLANK": 1}
    rows = read_rows(tmp_path / "out" / "series.parquet")
    assert {row["source"]: row["verdict"] for row in rows} == {
        "a.nii": "kept",
        "blank.nii": "dropped",
        "c.zip!/in/b.nii.gz!/b.nii": "kept",
        "dicom": "kept",
    }
    outputs = [row["output"] for row in rows if row["output"]]
    assert len(set(outputs)) == 3
    assert main(["inspect", str(source), "--quiet"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert seen["files"] == summary["files"]
    assert seen["dropped_stacks"] == {"BLANK": 1}


def test_a_single_nifti_file_is_a_source_and_converts_to_itself(tmp_path, capsys):
    path = write(tmp_path / "v.nii.gz", affine_of(np.eye(3)))
    assert main(["convert", str(path), "--out", str(tmp_path / "a"), "--quiet"]) == 0
    (row,) = read_rows(tmp_path / "a" / "series.parquet")
    once = tmp_path / "a" / row["output"]
    assert main(["convert", str(once), "--out", str(tmp_path / "b"), "--quiet"]) == 0
    (again,) = read_rows(tmp_path / "b" / "series.parquet")
    assert again["sha256"] == row["sha256"]
    assert "v.nii" not in row["output"]
