"""Volumes that arrive as NIfTI: the same checks as for a stack of DICOM images.

Enters: a file of a source that is a NIfTI-1 or NIfTI-2 image. Leaves: its geometry (`NiftiImage`), later a `Volume`, or
the reason why there is none. Refuses: an affine that nothing declares, values that do not show that they are Hounsfield
units. A NIfTI file does not say what was measured, so a label map, an MR, or a CT whose intercept stayed behind in some
table (fault E21) is told by its values alone.

References
----------
NIfTI-1 and NIfTI-2 data format, https://nifti.nimh.nih.gov (nifti1.h: orientation methods, scl_slope, xyzt_units).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from t3dkit.verdict import Dropped, Kept, Repair
from volumes import fingerprint
from volumes.codes import N_CODES, Rescale, Tally
from volumes.errors import IntensityError, VolumeError
from volumes.geometry import TILT_TOLERANCE_DEG, SourceGrid, closest_axes
from volumes.hounsfield import decide
from volumes.intensity import Intensities, apply_reading
from volumes.nifti import MAX_NIFTI1_DIM
from volumes.reasons import DropReason, Flag, RepairCode
from volumes.records import FileDrop, FileRef, Grid, Instance, SliceMap, Volume
from volumes.resample import native, resample
from volumes.sources import open_file, read_bytes

HEAD_BYTES = 544
"""A NIfTI-2 header and its extension flag."""
MAX_VOXELS = 2**31
VOXEL_RANGE_MM = (0.05, 30.0)
MIN_EXTENT = 3
"""Voxels along every axis; fewer make no volume."""
PERPENDICULAR_TOLERANCE = 1e-3
FORMS_TOLERANCE_MM = 0.5
"""How far sform and qform may put a corner apart before neither is believed."""
MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
"""By the spatial code of xyzt_units; 0 (unknown) is what many writers leave behind for millimetres."""
NOT_A_NUMBER = -32768
"""Where NaN and infinity go before they become air."""


@dataclass(frozen=True)
class NiftiImage:
    """What the header of a NIfTI file says.

    Parameters
    ----------
    file : FileRef
    shape_ijk : (int, int, int)
    dtype : str
        numpy's, with its byte order.
    offset_bytes : int
        Where the voxels start.
    slope, intercept : float
        1 and 0 where the header leaves them out.
    affine_ras : (4, 4) float64, mm
    """

    file: FileRef
    shape_ijk: tuple[int, int, int]
    dtype: str
    offset_bytes: int
    slope: float
    intercept: float
    affine_ras: np.ndarray


def read_nifti_header(ref: FileRef) -> NiftiImage | FileDrop:
    """The header of `ref`; NIFTI_DAMAGED, TOO_FEW_SLICES or what reading the file met where it is of no use."""
    try:
        with open_file(ref) as stream:
            return _image(ref, stream.read(HEAD_BYTES))
    except VolumeError as error:
        return FileDrop(ref, error.reason, error.detail)


def convert_nifti(image: NiftiImage, grid: Grid, *, threads: int = 1) -> Kept[Volume] | Dropped:
    """Read, check and resample a NIfTI image, as `volumes.convert.convert_stack` does a stack."""
    try:
        volume = _convert(image, grid, threads)
    except VolumeError as error:
        return error.dropped()
    return Kept(volume, volume.repairs)


def check_nifti(image: NiftiImage) -> Dropped | None:
    """Why the voxels of a NIfTI image cannot become a volume; None when they can."""
    try:
        _intensities(image, source_grid(image), Grid().hu_range)
    except VolumeError as error:
        return error.dropped()
    return None


def describe_nifti(image: NiftiImage) -> str:
    """One line: plane, matrix and voxel size."""
    grid = source_grid(image)
    plane = ("sagittal", "coronal", "axial")[grid.axes[0]]
    size = "x".join(f"{grid.spacing_mm[axis]:.2f}" for axis in (2, 1, 0))
    tilt = _tilt_deg(grid)
    matrix = "x".join(map(str, image.shape_ijk))
    return f"{plane} {matrix} {size} mm" + (f", tilt {tilt:.1f} deg" if tilt else "")


# ------------------------------------------------------------------------------------------------------ header


def _image(ref: FileRef, head: bytes) -> NiftiImage:
    header = _parse(head)
    if header["magic"].item().rstrip(b"\0")[:3] == b"ni1":
        raise _damaged("a .hdr and .img pair; only single files are read")
    dim = [int(n) for n in header["dim"]]
    if not 3 <= dim[0] <= 7 or any(n != 1 for n in dim[4 : dim[0] + 1]):
        raise _damaged(f"{dim[0]} dimensions, expected one volume of three")
    i, j, k = dim[1:4]
    if min(i, j, k) < 1 or i * j * k > MAX_VOXELS:
        raise _damaged(f"{i}x{j}x{k} voxels")
    if min(i, j, k) < MIN_EXTENT:
        raise VolumeError(DropReason.TOO_FEW_SLICES, f"{i}x{j}x{k} voxels, at least {MIN_EXTENT} are needed each way")
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf":
        raise _damaged("voxels are no plain numbers")
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or np.isnan(slope):  # nifti1.h: a slope of 0 means that there is no scaling
        slope, intercept = 1.0, 0.0
    image = NiftiImage(
        ref, (i, j, k), dtype.str, int(header["vox_offset"]), slope, intercept, _affine(header, (i, j, k))
    )
    source_grid(image)  # whatever is wrong with the affine is wrong now
    return image


def _parse(head: bytes) -> Any:
    import nibabel
    from nibabel.spatialimages import HeaderDataError

    is_second = 540 in (int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big"))
    kind, size = (nibabel.Nifti2Header, 540) if is_second else (nibabel.Nifti1Header, 348)
    if len(head) < size:
        raise _damaged("the file ends inside its header")
    try:
        header = kind(head[:size], check=False)
        header.get_data_dtype()
    except (HeaderDataError, ValueError, KeyError) as error:
        raise _damaged(type(error).__name__) from None
    return header


def _affine(header: Any, shape: tuple[int, int, int]) -> np.ndarray:
    """sform, else qform; never the voxel sizes alone, which put every volume at the same place and side."""
    with np.errstate(invalid="ignore"):
        try:
            sform, qform = header.get_sform(coded=True)[0], header.get_qform(coded=True)[0]
        except (ValueError, ArithmeticError) as error:
            raise _damaged(f"orientation: {type(error).__name__}") from None
    affine = sform if sform is not None else qform
    if affine is None:
        raise _damaged("neither sform nor qform says where the voxels lie")
    if not np.all(np.isfinite(affine)):
        raise _damaged("the affine is not finite")
    if sform is not None and qform is not None:
        corners = np.array([[x, y, z, 1] for x in (0, shape[0]) for y in (0, shape[1]) for z in (0, shape[2])])
        apart = float(np.linalg.norm((corners @ (sform - qform).T)[:, :3], axis=1).max())
        if not apart <= FORMS_TOLERANCE_MM and not _is_sheared(sform):  # a qform cannot hold a shear
            raise _damaged(f"sform and qform put a corner {apart:.1f} mm apart")
    unit = MM_PER_UNIT.get(int(header["xyzt_units"]) & 7)
    if unit is None:
        raise _damaged("the unit of length is unknown")
    return np.vstack([affine[:3] * unit, [0.0, 0.0, 0.0, 1.0]])


def _is_sheared(affine: np.ndarray) -> bool:
    directions = affine[:3, :3] / np.maximum(np.linalg.norm(affine[:3, :3], axis=0), 1e-12)
    return float(np.abs(directions.T @ directions - np.eye(3)).max()) > PERPENDICULAR_TOLERANCE


def source_grid(image: NiftiImage) -> SourceGrid:
    """The image's grid, its axes (k, j, i) turned to the closest RAS+ directions.

    Raises
    ------
    VolumeError
        NIFTI_DAMAGED: voxel sizes are absurd, or the axes within a slice are not perpendicular.
    """
    columns = image.affine_ras[:3, :3].T[::-1]  # rows: steps along k, j, i
    sizes = np.linalg.norm(columns, axis=1)
    low, high = VOXEL_RANGE_MM
    if not np.all((sizes >= low) & (sizes <= high)):
        raise _damaged(f"voxels of {sizes[2]:.3g}x{sizes[1]:.3g}x{sizes[0]:.3g} mm, expected {low:g} to {high:g}")
    units = columns / sizes[:, None]
    if abs(units[1] @ units[2]) > PERPENDICULAR_TOLERANCE:
        raise _damaged("rows and columns are not perpendicular")
    normal = np.cross(units[2], units[1])
    normal = normal / np.linalg.norm(normal) * np.sign(normal @ units[0] or 1.0)
    if normal @ units[0] < 0.5:
        raise _damaged("slices lie nearly within their own plane")
    directions = np.stack([normal, units[1], units[2]])
    axes = closest_axes(directions)
    flips = tuple(bool(directions[axis, axes[axis]] < 0) for axis in range(3))
    signs = np.where(flips, -1.0, 1.0)
    shape = image.shape_ijk[::-1]
    origin = image.affine_ras[:3, 3] + sum(columns[axis] * (shape[axis] - 1) for axis in range(3) if flips[axis])
    directions = directions * signs[:, None]
    step = columns[0] * signs[0]
    spacing = float(step @ directions[0])
    number = np.arange(shape[0])
    return SourceGrid(
        flips=(flips[0], flips[1], flips[2]),
        axes=axes,
        directions_ras=directions,
        nodes_mm=number * spacing,
        offsets_mm=number[:, None] * (step @ directions[1:].T)[None, :],
        spacing_mm=(spacing, float(sizes[1]), float(sizes[2])),
        shape=(shape[0], shape[1], shape[2]),
        origin_ras=np.asarray(origin, dtype=float),
        step_ras=step,
    )


def _tilt_deg(grid: SourceGrid) -> float:
    cosine = grid.spacing_mm[0] / float(np.linalg.norm(grid.step_ras))
    tilt = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    return tilt if tilt > TILT_TOLERANCE_DEG else 0.0


def _damaged(detail: str) -> VolumeError:
    return VolumeError(DropReason.NIFTI_DAMAGED, detail)


# ------------------------------------------------------------------------------------------------------ voxels


def _convert(image: NiftiImage, grid: Grid, threads: int) -> Volume:
    source = source_grid(image)
    values = _intensities(image, source, grid.hu_range)
    tilt = _tilt_deg(source)
    remarks: list[Repair] = []
    if grid.spacing_mm is None:
        resampled = native(values.data, source)
        remarks += [Repair(Flag.TILTED, f"{tilt:.2f} degrees, from the affine")] if tilt else []
    else:
        resampled = resample(
            values.data, source, grid.spacing_mm, fill=values.fill, limits=grid.hu_range, threads=threads
        )
        remarks += [Repair(RepairCode.TILT_RESAMPLED, f"{tilt:.2f} degrees, from the affine")] if tilt else []
    if max(resampled.data.shape) > MAX_NIFTI1_DIM:
        remarks.append(Repair(RepairCode.NIFTI2, "x".join(map(str, resampled.data.shape))))
    outside = resampled.outside_fraction
    normal = source.directions_ras[0]
    return Volume(
        data=resampled.data,
        affine_ras=resampled.affine_ras,
        modality="CT",
        slice_map=SliceMap(None, (), (), (-float(normal[0]), -float(normal[1]), float(normal[2]))),
        n_slices_source=source.shape[0],
        spacing_source_mm=(source.spacing_mm[2], source.spacing_mm[1], source.spacing_mm[0]),
        padding_fraction=outside + (1 - outside) * values.padding_fraction,
        hu_percentiles=values.percentiles,
        repairs=tuple(dict.fromkeys((*remarks, *values.repairs))),
    )


def _intensities(image: NiftiImage, source: SourceGrid, hu_range: tuple[int, int]) -> Intensities:
    tally = _tally(image, source)
    head = Instance(image.file, "image", "", "", "", "", "", modality="CT", bits_stored=16)
    try:
        reading, repairs = decide(tally, head)
    except IntensityError as error:
        if error.reason == DropReason.HU_IMPLAUSIBLE:  # no header claimed that these are HU
            raise IntensityError(DropReason.HU_UNKNOWN, error.detail) from None
        raise
    unproven = fingerprint.why_unproven(reading.histogram(tally))
    if unproven is not None:
        raise IntensityError(DropReason.HU_UNKNOWN, unproven)
    return apply_reading(tally, reading, hu_range, repairs)


def _tally(image: NiftiImage, source: SourceGrid) -> Tally:
    """Voxels as 16-bit codes: as stored where they are of 16 bits or fewer, else as rounded values."""
    from volumes.kernels import count_codes

    stored = _voxels(image)
    if stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2:
        rescale = Rescale(stored.dtype.kind == "i", image.slope, image.intercept)
        words = stored.astype(np.int16 if rescale.is_signed else np.uint16).view(np.uint16)
    else:
        rescale = Rescale(True, 1.0, 0.0, padding=(NOT_A_NUMBER, NOT_A_NUMBER))
        words = _rounded(stored, image).view(np.uint16)
    codes = np.ascontiguousarray(words[::-1] if source.flips[0] else words)
    counts = np.zeros(N_CODES, np.int64)
    count_codes(codes.reshape(-1), counts)
    corners = codes[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    return Tally(codes, [rescale] * len(codes), {rescale: counts}, corners)


def _voxels(image: NiftiImage) -> np.ndarray:
    """(k, j, i) voxels as stored, in the machine's byte order."""
    data = read_bytes(image.file)
    dtype = np.dtype(image.dtype)
    i, j, k = image.shape_ijk
    wanted = image.offset_bytes + i * j * k * dtype.itemsize
    if image.offset_bytes < 0 or len(data) < wanted:
        raise VolumeError(DropReason.TRUNCATED, f"{len(data)} bytes, the header announces {wanted}")
    stored = np.frombuffer(data, dtype, i * j * k, image.offset_bytes).reshape(k, j, i)
    return stored.astype(dtype.newbyteorder("="), copy=False)


def _rounded(stored: np.ndarray, image: NiftiImage) -> np.ndarray:
    """Values to whole units, slice by slice, so that no second volume of floats is held."""
    rounded = np.empty(stored.shape, np.int16)
    for number, plane in enumerate(stored):
        values = plane.astype(np.float64) * image.slope + image.intercept
        values = np.clip(values, -32767, 32767)  # NaN stays NaN
        rounded[number] = np.rint(np.nan_to_num(values, nan=NOT_A_NUMBER))
    return rounded
