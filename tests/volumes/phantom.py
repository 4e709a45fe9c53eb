"""The oracle: DICOM series whose HU is a linear function of patient position (LPS, mm).

Every voxel of every output can then be checked at its own world position, so a wrong order, spacing, flip, mirrored
axis, offset or lost slice shows, and linear resampling keeps it exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

ROOT = "1.2.826.0.1.3680043.8.498"

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
FEET_FIRST_PRONE = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)

GRADIENT_HU_PER_MM = np.array([3.0, -2.0, 5.0])
"""Three different slopes, so that no exchange or mirroring of axes goes unseen."""
OFFSET_HU = 40.0

Edit = Callable[[Dataset, int], None]


def linear_hu(points_lps: np.ndarray) -> np.ndarray:
    """HU of the phantom at (..., 3) points, mm, LPS."""
    return points_lps @ GRADIENT_HU_PER_MM + OFFSET_HU


@dataclass(frozen=True)
class Series:
    """A series to write; `edit` changes the data set of each slice before it is saved."""

    n: int = 12
    rows: int = 20
    columns: int = 24
    pixel_spacing: tuple[float, float] = (1.5, 1.25)
    spacing: float = 2.0
    orientation: tuple[float, ...] = AXIAL
    origin: tuple[float, float, float] = (-14.0, -15.0, -10.0)
    tilt_deg: float = 0.0
    slope: float = 1.0
    intercept: float = -1024.0
    series_uid: str = f"{ROOT}.2.1"
    study_uid: str = f"{ROOT}.1.1"
    patient_id: str = "PHANTOM-1"
    modality: str = "CT"
    series_number: int = 3
    first_instance: int = 1
    positions_mm: tuple[float, ...] | None = None
    edit: Edit | None = None
    hu: Callable[[np.ndarray], np.ndarray] = linear_hu

    @property
    def directions(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        row, column = np.array(self.orientation[:3]), np.array(self.orientation[3:])
        return row, column, np.cross(row, column)

    def position(self, k: int) -> np.ndarray:
        """ImagePositionPatient of slice k: a tilted gantry moves the slices along the column direction."""
        _, column, normal = self.directions
        along = self.positions_mm[k] if self.positions_mm else k * self.spacing
        return np.array(self.origin) + along * (normal + np.tan(np.radians(self.tilt_deg)) * column)

    def points(self, k: int) -> np.ndarray:
        """(rows, columns, 3) mm, LPS, of the pixel centres of slice k."""
        row, column, _ = self.directions
        r = np.arange(self.rows)[:, None, None] * self.pixel_spacing[0] * column
        c = np.arange(self.columns)[None, :, None] * self.pixel_spacing[1] * row
        return self.position(k) + r + c

    def dataset(self, k: int) -> Dataset:
        """Slice k as a pydicom data set."""
        stored = np.rint((self.hu(self.points(k)) - self.intercept) / self.slope)
        ds = _header(self, k)
        ds.PixelData = stored.astype(np.int16).tobytes()
        if self.edit:
            self.edit(ds, k)
        return ds


def _header(series: Series, k: int) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID = CTImageStorage if series.modality == "CT" else "1.2.840.10008.5.1.4.1.1.4"
    ds.SOPInstanceUID = f"{series.series_uid}.{series.first_instance + k}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = series.study_uid, series.series_uid
    ds.Modality, ds.PatientID, ds.PatientName = series.modality, series.patient_id, "Phantom^Linear"
    ds.StudyDate, ds.StudyTime, ds.PatientBirthDate, ds.PatientSex = "20200102", "101112", "19600101", "O"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = series.series_number, series.first_instance + k, 1
    ds.SeriesDescription, ds.Manufacturer = "linear phantom", "SIEMENS"
    ds.SliceThickness = series.spacing
    ds.ImagePositionPatient = [f"{value:.6f}"[:16] for value in series.position(k)]
    ds.ImageOrientationPatient = [f"{value:.9f}"[:16] for value in series.orientation]
    ds.PixelSpacing = list(series.pixel_spacing)
    ds.Rows, ds.Columns, ds.SamplesPerPixel = series.rows, series.columns, 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    if series.modality == "CT":
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = series.slope, series.intercept, "HU"
    return ds


def save(ds: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> Path:
    """Write a data set as a DICOM file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID or f"{ROOT}.9.{ds.get('InstanceNumber') or 0}"
    meta.TransferSyntaxUID = syntax
    ds.file_meta = meta
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def write_series(folder: Path, series: Series, *, skip: tuple[int, ...] = ()) -> list[Path]:
    """Write the slices of a series, in an order that is not the spatial one."""
    order = np.random.default_rng(7).permutation(series.n)
    names = {int(k): f"im{position:04d}.dcm" for position, k in enumerate(order)}
    return [save(series.dataset(k), folder / names[k]) for k in range(series.n) if k not in skip]


def edited(series: Series, edit: Edit, **changes: Any) -> Series:
    """The series with an edit and other fields."""
    return replace(series, edit=edit, **changes)


def setter(**elements: Any) -> Edit:
    """An edit that sets elements in every slice; None deletes."""

    def edit(ds: Dataset, _k: int) -> None:
        for keyword, value in elements.items():
            if value is None:
                if keyword in ds:
                    delattr(ds, keyword)
            else:
                setattr(ds, keyword, value)

    return edit


def oracle_error_hu(
    data: np.ndarray, affine_ras: np.ndarray, *, margin: int = 0, low: float = -1024, high: float = 3071
) -> float:
    """Largest difference of a volume's HU from the phantom's, at each voxel's own world position."""
    ijk = np.stack(np.meshgrid(*[np.arange(n) for n in data.shape], indexing="ij"), axis=-1)
    ras = ijk @ affine_ras[:3, :3].T + affine_ras[:3, 3]
    wanted = np.clip(linear_hu(ras * [-1, -1, 1]), low, high)
    error = np.abs(data - wanted)
    inner = tuple(slice(margin, n - margin) if n > 2 * margin else slice(None) for n in data.shape)
    return float(error[inner].max())


def shuffled(paths: list[Path], seed: int = 0) -> list[Path]:
    """The paths in another order."""
    return [paths[i] for i in np.random.default_rng(seed).permutation(len(paths))]


def enhanced(
    series: Series, *, order: tuple[int, ...] | None = None, slopes: tuple[float, ...] | None = None
) -> Dataset:
    """The series as one Enhanced CT: frames in any order, each with its own rescale (PS3.3 A.38)."""
    order = order or tuple(range(series.n))
    slopes = slopes or (series.slope,) * series.n
    ds = _header(series, 0)
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    ds.SOPInstanceUID = f"{series.series_uid}.777"
    for keyword in (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "RescaleSlope",
        "RescaleIntercept",
    ):
        delattr(ds, keyword)
    ds.NumberOfFrames = series.n
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = list(series.pixel_spacing), series.spacing
    plane.ImageOrientationPatient = [f"{value:.9f}"[:16] for value in series.orientation]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    ds.SharedFunctionalGroupsSequence = [shared]
    groups, pixels = [], []
    for k, slope in zip(order, slopes, strict=True):
        group, position, transform = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [f"{value:.6f}"[:16] for value in series.position(k)]
        transform.RescaleSlope, transform.RescaleIntercept, transform.RescaleType = slope, series.intercept, "HU"
        group.PlanePositionSequence, group.PixelValueTransformationSequence = [position], [transform]
        groups.append(group)
        pixels.append(np.rint((series.hu(series.points(k)) - series.intercept) / slope).astype(np.int16).tobytes())
    ds.PerFrameFunctionalGroupsSequence = groups
    ds.PixelData = b"".join(pixels)
    return ds
