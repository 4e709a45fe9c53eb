"""The faults of a demo export: what goes wrong between scanner and export, applied to data sets and files.

Enters: a study's series as data sets. Leaves: altered data sets or files, and a `Fault` that says what was done.
The numbers are rows of the fault catalogue (`plan.CATALOGUE_ID`).
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from curation.demo.plan import CATALOGUE_ID


@dataclass(frozen=True)
class Fault:
    """What was done to a study; `reason` is the code expected for the file or series, empty where it is kept."""

    fault: str
    detail: str
    series_uid: str = ""
    reason: str = ""

    @property
    def catalogue_id(self) -> str:
        """Row of the fault catalogue."""
        return CATALOGUE_ID[self.fault]


SERIES_OF_FAULT = {
    "instance_numbers": "thin",
    "jpeg_ls": "thin",
    "gantry_tilt": "thin",
    "monochrome1": "thin",
    "duplicate_slice": "thin",
    "rle": "thin",
    "high_bits": "thin",
    "enhanced": "thin",
    "wrong_thickness": "thin",
    "padding_undeclared": "thin",
    "localizer_inside": "thin",
    "jpeg_2000": "thin",
    "deflated": "thin",
    "jpeg_lossless": "thin",
    "big_endian": "thin",
    "missing_slice": "thick",
    "truncated": "thick",
    "duplicate_file": "thin",
}
DROPPED = {"missing_slice": "GEOM_MISSING_SLICE"}
"""Series that end as dropped, with the reason."""
DROPPED_WHEN_READ = {"truncated": "TRUNCATED"}
"""Series with whole headers: dropped once their pixels are read, and only a selected series' are."""


def garble_numbers(n: int, rng: np.random.Generator) -> list[int]:
    """Instance numbers that say nothing about the order."""
    return [int(v) + 1 for v in rng.permutation(n)]


def alter_datasets(fault: str, datasets: list[Dataset], rng: np.random.Generator) -> list[Dataset]:
    """Apply a fault to the data sets of the series it concerns; other faults leave them as they are."""
    change = _CHANGES.get(fault)
    return change(datasets, rng) if change else datasets


def _missing_slice(datasets: list[Dataset], rng: np.random.Generator) -> list[Dataset]:
    gone = len(datasets) // 2 + int(rng.integers(0, 4))
    return datasets[:gone] + datasets[gone + 1 :]


def _duplicate_slice(datasets: list[Dataset], rng: np.random.Generator) -> list[Dataset]:
    """The same slice sent twice under two instance UIDs."""
    twin = deepcopy(datasets[int(rng.integers(3, len(datasets) - 3))])
    twin.SOPInstanceUID = twin.file_meta.MediaStorageSOPInstanceUID = UID(str(twin.SOPInstanceUID)[:-3] + "777")
    twin.InstanceNumber = len(datasets) + 1
    return [*datasets, twin]


def _wrong_thickness(datasets: list[Dataset], _rng: np.random.Generator) -> list[Dataset]:
    for ds in datasets:
        ds.SliceThickness, ds.SpacingBetweenSlices = "10", "-7.5"
    return datasets


def _monochrome1(datasets: list[Dataset], _rng: np.random.Generator) -> list[Dataset]:
    for ds in datasets:
        ds.PhotometricInterpretation = "MONOCHROME1"
    return datasets


def _padding_undeclared(datasets: list[Dataset], _rng: np.random.Generator) -> list[Dataset]:
    """-2000 outside the circle, stored signed, and no PixelPaddingValue."""
    from curation.demo.acquire import circle

    for ds in datasets:
        pixels = _pixels(ds).astype(np.int32) + int(ds.RescaleIntercept)
        pixels[~circle((ds.Rows, ds.Columns))] = -2000 - 1024
        ds.RescaleIntercept, ds.PixelRepresentation, ds.BitsStored, ds.HighBit = "-1024", 1, 16, 15
        ds.PixelData = (pixels + 1024).astype("<i2").tobytes()
        if "PixelPaddingValue" in ds:
            del ds["PixelPaddingValue"]
    return datasets


def _high_bits(datasets: list[Dataset], rng: np.random.Generator) -> list[Dataset]:
    """Twelve bits stored, rubbish in the four above."""
    for ds in datasets:
        hu = _pixels(ds).astype(np.int32) + int(ds.RescaleIntercept)
        stored = np.clip(hu + 1024, 0, 4095).astype(np.uint16)
        rubbish = rng.integers(0, 16, stored.shape) * (rng.random(stored.shape) < 0.1)
        stored = stored | (rubbish << 12).astype(np.uint16)
        ds.RescaleIntercept, ds.PixelRepresentation, ds.BitsStored, ds.HighBit = "-1024", 0, 12, 11
        ds.PixelData = stored.astype("<u2").tobytes()
        if "PixelPaddingValue" in ds:
            del ds["PixelPaddingValue"]
    return datasets


def _pixels(ds: Dataset) -> np.ndarray:
    kind = "<i2" if ds.PixelRepresentation else "<u2"
    return np.frombuffer(ds.PixelData, dtype=kind).reshape(ds.Rows, ds.Columns)


def _recode(datasets: list[Dataset], syntax: UID, encode: Callable[[np.ndarray], bytes | bytearray]) -> list[Dataset]:
    for ds in datasets:
        ds.PixelData = encapsulate([bytes(encode(np.ascontiguousarray(_pixels(ds))))])
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
        ds.file_meta.TransferSyntaxUID = syntax
    return datasets


def _jpeg_ls(datasets: list[Dataset], _rng: np.random.Generator) -> list[Dataset]:
    import imagecodecs

    return _recode(datasets, JPEGLSLossless, lambda a: imagecodecs.jpegls_encode(a.view(np.uint16)))


def _jpeg_lossless(datasets: list[Dataset], _rng: np.random.Generator) -> list[Dataset]:
    """JPEG lossless, first-order prediction: 16 bit words of unsigned value, as scanners send them."""
    import imagecodecs

    return _recode(datasets, JPEGLosslessSV1, lambda a: imagecodecs.ljpeg_encode(a.view(np.uint16), bitspersample=16))


def _jpeg_2000(datasets: list[Dataset], _rng: np.random.Generator) -> list[Dataset]:
    import imagecodecs

    def encode(a: np.ndarray) -> bytes:
        return bytes(imagecodecs.jpeg2k_encode(a, codecformat="j2k", reversible=True, level=0, numthreads=1))

    return _recode(datasets, JPEG2000Lossless, encode)


def _rle(datasets: list[Dataset], _rng: np.random.Generator) -> list[Dataset]:
    for ds in datasets:
        uid = ds.SOPInstanceUID
        ds.compress(RLELossless, generate_instance_uid=False)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid
    return datasets


def _deflated(datasets: list[Dataset], _rng: np.random.Generator) -> list[Dataset]:
    for ds in datasets:
        ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return datasets


def _big_endian(datasets: list[Dataset], _rng: np.random.Generator) -> list[Dataset]:
    for ds in datasets:
        ds.PixelData = np.frombuffer(ds.PixelData, dtype="<u2").astype(">u2").tobytes()
        ds["PixelData"].VR = "OW"
        ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    return datasets


_CHANGES: dict[str, Callable[[list[Dataset], np.random.Generator], list[Dataset]]] = {
    "missing_slice": _missing_slice,
    "duplicate_slice": _duplicate_slice,
    "wrong_thickness": _wrong_thickness,
    "monochrome1": _monochrome1,
    "padding_undeclared": _padding_undeclared,
    "high_bits": _high_bits,
    "jpeg_ls": _jpeg_ls,
    "jpeg_lossless": _jpeg_lossless,
    "jpeg_2000": _jpeg_2000,
    "rle": _rle,
    "deflated": _deflated,
    "big_endian": _big_endian,
}


# ---- files


def truncate(path: Path) -> None:
    """Cut a file inside its pixel data."""
    payload = path.read_bytes()
    path.write_bytes(payload[: len(payload) * 2 // 3])


def strew_other_files(folder: Path) -> int:
    """What a Windows or Mac machine leaves in an export."""
    (folder / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504))
    (folder / ".DS_Store").write_bytes(struct.pack(">I4sI", 1, b"Bud1", 4096) + bytes(300))
    (folder / "INDEX.HTM").write_text("<html><body>Viewer</body></html>\n", encoding="utf-8")
    return 3


def zip_folder(folder: Path) -> Path:
    """Replace a folder by a zip of it, with fixed times so that the bytes depend on the content alone."""
    target = folder.with_name(folder.name + ".zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=4) as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            info = zipfile.ZipInfo(path.relative_to(folder.parent).as_posix(), date_time=(2024, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, path.read_bytes())
            path.unlink()
    for path in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
        path.rmdir()
    folder.rmdir()
    return target
