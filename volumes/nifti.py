"""NIfTI files with exact, reproducible bytes.

Enters: a volume. Leaves: ``.nii`` whose voxels can be memory-mapped, or ``.nii.gz``; the same volume gives the same
bytes. Refuses: header text of any kind. ``descrip``, ``aux_file`` and ``intent_name`` are where other converters put
what identifies a patient.

References
----------
NIfTI-1 and NIfTI-2 data format, https://nifti.nimh.nih.gov (nifti1.h, nifti2.h).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from t3dkit.atomic import atomic_path
from volumes.errors import VolumeError
from volumes.reasons import DropReason
from volumes.records import Volume

MAX_NIFTI1_DIM = 32767
"""NIfTI-1 keeps dimensions as int16."""

COMPRESSION_LEVEL = 1
"""Of igzip: on CT, level 2 and 3 save two per cent and cost twice the time."""

NEARLY_HALF_TURN = (1e-5, 1e-3)
"""Cosine of half the angle of a turn that single precision cannot tell from 180 degrees, and that matters: from 0.001
degrees, which no voxel notices."""

MILLIMETRES = 2
SCANNER = 1
DATA_TYPES: dict[int, Any] = {
    2: np.uint8,
    4: np.int16,
    8: np.int32,
    16: np.float32,
    64: np.float64,
    256: np.int8,
    512: np.uint16,
    768: np.uint32,
}

NIFTI1 = np.dtype(
    [
        ("sizeof_hdr", "<i4"), ("data_type", "S10"), ("db_name", "S18"), ("extents", "<i4"), ("session_error", "<i2"),
        ("regular", "S1"), ("dim_info", "u1"), ("dim", "<i2", 8), ("intent_p", "<f4", 3), ("intent_code", "<i2"),
        ("datatype", "<i2"), ("bitpix", "<i2"), ("slice_start", "<i2"), ("pixdim", "<f4", 8), ("vox_offset", "<f4"),
        ("scl_slope", "<f4"), ("scl_inter", "<f4"), ("slice_end", "<i2"), ("slice_code", "u1"), ("xyzt_units", "u1"),
        ("cal_max", "<f4"), ("cal_min", "<f4"), ("slice_duration", "<f4"), ("toffset", "<f4"), ("glmax", "<i4"),
        ("glmin", "<i4"), ("descrip", "S80"), ("aux_file", "S24"), ("qform_code", "<i2"), ("sform_code", "<i2"),
        ("quatern", "<f4", 3), ("qoffset", "<f4", 3), ("srow", "<f4", (3, 4)), ("intent_name", "S16"), ("magic", "S4"),
        ("extension", "u1", 4),
    ]
)  # fmt: skip
NIFTI2 = np.dtype(
    [
        ("sizeof_hdr", "<i4"), ("magic", "S8"), ("datatype", "<i2"), ("bitpix", "<i2"), ("dim", "<i8", 8),
        ("intent_p", "<f8", 3), ("pixdim", "<f8", 8), ("vox_offset", "<i8"), ("scl_slope", "<f8"), ("scl_inter", "<f8"),
        ("cal_max", "<f8"), ("cal_min", "<f8"), ("slice_duration", "<f8"), ("toffset", "<f8"), ("slice_start", "<i8"),
        ("slice_end", "<i8"), ("descrip", "S80"), ("aux_file", "S24"), ("qform_code", "<i4"), ("sform_code", "<i4"),
        ("quatern", "<f8", 3), ("qoffset", "<f8", 3), ("srow", "<f8", (3, 4)), ("slice_code", "<i4"),
        ("xyzt_units", "<i4"), ("intent_code", "<i4"), ("intent_name", "S16"), ("dim_info", "u1"), ("unused", "S15"),
        ("extension", "u1", 4),
    ]
)  # fmt: skip


def write_volume(volume: Volume, path: Path) -> str:
    """Write a volume; ``.nii`` or ``.nii.gz`` by the path's suffix.

    Returns
    -------
    str
        SHA-256 of the file, computed while it was written.
    """
    return write_array(volume.data, volume.affine_ras, path)


def write_array(data: np.ndarray, affine_ras: np.ndarray, path: Path) -> str:
    """Write an (i, j, k) array of a type in `DATA_TYPES` with its affine (label maps: uint8); atomic.

    Returns
    -------
    str
        SHA-256 of the file.
    """
    header = header_bytes(data, affine_ras)
    voxels = np.asfortranarray(data, dtype=data.dtype.newbyteorder("<")).ravel(order="F")
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        sink = _HashingSink(file)
        if path.name.endswith(".gz"):
            from isal import igzip

            # mtime 0 and no name: the gzip header would otherwise differ from run to run and carry the file's name
            with igzip.IGzipFile(
                filename="", mode="wb", compresslevel=COMPRESSION_LEVEL, fileobj=sink, mtime=0
            ) as packed:
                packed.write(header)
                _in_chunks(voxels, packed.write)
        else:
            sink.write(header)
            _in_chunks(voxels, sink.write)
        return sink.digest.hexdigest()


def header_bytes(data: np.ndarray, affine_ras: np.ndarray) -> bytes:
    """Header and empty extension flag: 352 bytes of NIfTI-1, or 544 of NIfTI-2 where a dimension needs it."""
    code = next((code for code, kind in DATA_TYPES.items() if data.dtype == np.dtype(kind)), None)
    if code is None or data.ndim != 3:
        raise ValueError(
            f"expected a 3-D array of {sorted(np.dtype(t).name for t in DATA_TYPES.values())}, got {data.dtype}"
        )
    is_big = max(data.shape) > MAX_NIFTI1_DIM
    header = np.zeros((), NIFTI2 if is_big else NIFTI1)
    header["sizeof_hdr"] = 540 if is_big else 348
    header["magic"] = b"n+2\0\r\n\x1a\n" if is_big else b"n+1"
    header["vox_offset"] = header.dtype.itemsize
    header["dim"] = [3, *data.shape, 1, 1, 1, 1]
    header["datatype"], header["bitpix"] = code, data.dtype.itemsize * 8
    header["scl_slope"] = 1.0
    header["xyzt_units"] = MILLIMETRES
    if not is_big:
        header["regular"] = b"r"
    header["sform_code"] = SCANNER
    header["srow"] = affine_ras[:3]
    spacing = np.linalg.norm(affine_ras[:3, :3], axis=0)
    quaternion, handedness = _quaternion(affine_ras[:3, :3] / spacing)
    header["pixdim"] = [handedness, *spacing, 0, 0, 0, 0]
    if quaternion is not None:  # without a qform the sform alone tells the truth
        header["qform_code"] = SCANNER
        header["quatern"] = quaternion
        header["qoffset"] = affine_ras[:3, 3]
    return header.tobytes()


def read_volume(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels (memory-mapped for ``.nii``) and affine of a file as `write_array` writes it.

    Raises
    ------
    VolumeError
        NIFTI_DAMAGED: no NIfTI, truncated, big-endian, scaled, not 3-D or without an sform.
    """
    payload: Any
    if path.name.endswith(".gz"):
        from isal import igzip, igzip_lib

        try:
            payload = igzip.decompress(path.read_bytes())
        except (OSError, EOFError, ValueError, igzip_lib.IsalError) as error:  # type: ignore[misc]
            raise _damaged(f"cannot be unpacked ({type(error).__name__})") from None
        size = len(payload)
        head = payload[: NIFTI2.itemsize]
    else:
        size = path.stat().st_size
        with open(path, "rb") as file:
            head = file.read(NIFTI2.itemsize)
    header = _parse_header(head)
    dim = header["dim"]
    kind = DATA_TYPES.get(int(header["datatype"]))
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if kind is None or dim[0] != 3 or slope not in (0.0, 1.0) or intercept != 0.0 or header["sform_code"] <= 0:
        raise _damaged("not an unscaled 3-D volume with an sform")
    shape = tuple(int(n) for n in dim[1:4])
    offset, dtype = int(header["vox_offset"]), np.dtype(kind).newbyteorder("<")
    if min(shape) < 1 or size < offset + dtype.itemsize * int(np.prod(shape, dtype=np.int64)):
        raise _damaged("the file is shorter than its header says")
    data: np.ndarray
    if path.name.endswith(".gz"):
        data = np.frombuffer(payload, dtype, int(np.prod(shape)), offset).reshape(shape, order="F")
    else:
        data = np.memmap(path, dtype, "r", offset, shape, order="F")
    affine = np.eye(4)
    affine[:3] = header["srow"]
    return data, affine


def _parse_header(head: bytes) -> Any:
    for dtype, size in ((NIFTI1, 348), (NIFTI2, 540)):
        if len(head) >= dtype.itemsize and int.from_bytes(head[:4], "little") == size:
            return np.frombuffer(head, dtype, 1)[0]
    raise _damaged("no little-endian NIfTI header")


def _damaged(detail: str) -> VolumeError:
    return VolumeError(DropReason.NIFTI_DAMAGED, detail)


def _in_chunks(voxels: np.ndarray, write: Callable[[Any], Any], size: int = 1 << 23) -> None:
    """Write in pieces, so that hashing and writing stay in the processor's cache."""
    octets = voxels.view(np.uint8)
    for start in range(0, len(octets), size):
        write(octets[start : start + size].data)


class _HashingSink:
    """A file that hashes what goes through it."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.digest = hashlib.sha256()

    def write(self, chunk: Any) -> int:
        """Write and hash a chunk."""
        self.digest.update(chunk)
        return self.file.write(chunk)

    def flush(self) -> None:
        """Flush the file; the compressor calls this."""
        self.file.flush()


def _quaternion(directions: np.ndarray) -> tuple[np.ndarray | None, float]:
    """The qform's (b, c, d) and handedness of unit column directions; None when it cannot say them.

    That is so for directions that are not perpendicular, and for a turn by nearly, but not quite, 180 degrees: a reader
    gets a from 1 - b*b - c*c - d*d in single precision, and nibabel takes a square below 3.6e-7 for zero.

    References
    ----------
    nifti1.h, "METHOD 2": the rotation matrix is written as a quaternion with a >= 0.
    """
    if np.abs(directions.T @ directions - np.eye(3)).max() > 1e-5:
        return None, 1.0
    handedness = 1.0 if np.linalg.det(directions) > 0 else -1.0
    r = directions * np.array([1.0, 1.0, handedness])
    # The eigenvector of the largest eigenvalue of this matrix is the rotation's quaternion (Bar-Itzhack 2000):
    # unlike the formula by the trace it needs no cases.
    k = np.array(
        [
            [r[0, 0] + r[1, 1] + r[2, 2], r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], r[0, 0] - r[1, 1] - r[2, 2], r[1, 0] + r[0, 1], r[2, 0] + r[0, 2]],
            [r[0, 2] - r[2, 0], r[1, 0] + r[0, 1], r[1, 1] - r[0, 0] - r[2, 2], r[2, 1] + r[1, 2]],
            [r[1, 0] - r[0, 1], r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], r[2, 2] - r[0, 0] - r[1, 1]],
        ]
    )
    quaternion = np.linalg.eigh(k)[1][:, -1]
    if quaternion[0] < 0 or (abs(quaternion[0]) < 1e-12 and quaternion[np.argmax(np.abs(quaternion))] < 0):
        quaternion = -quaternion
    if NEARLY_HALF_TURN[0] < abs(quaternion[0]) < NEARLY_HALF_TURN[1]:
        return None, handedness
    quaternion = np.where(np.abs(quaternion) < 1e-12, 0.0, quaternion)
    return quaternion[1:], handedness
