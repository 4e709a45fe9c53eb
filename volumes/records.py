"""The records that pass through `volumes`: file, instance, stack, grid, volume.

Enters: nothing. Leaves: frozen records. Refuses: mutation.

An `Instance` and a `Stack` hold real identifiers; a `Volume` holds none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from t3dkit.verdict import Code, Repair

InstanceKind = Literal["image", "report", "other"]
"""image: pixels that may become a volume; report: SR or encapsulated document; other: everything else DICOM."""


@dataclass(frozen=True, order=True)
class FileRef:
    """One file of a source, found but not read.

    Parameters
    ----------
    path : str
        File on disk, as given to the operating system.
    members : tuple of str
        Way into nested archives: ``("inner.zip", "a/b.dcm")``; empty for a plain file.
    name : str
        Relative to the source, members joined with ``!/``; what tables show.
    size_bytes : int
    is_salvaged : bool
        Found by scanning an archive whose directory is damaged.
    """

    name: str
    path: str
    members: tuple[str, ...] = ()
    size_bytes: int = 0
    is_salvaged: bool = False


@dataclass(frozen=True)
class FileDrop:
    """A file that goes no further, and why.

    `series_instance_uid` is known when the header could still be read that far: the rest of that series is incomplete.
    """

    file: FileRef
    reason: Code
    detail: str = ""
    series_instance_uid: str = ""


@dataclass(frozen=True)
class Frame:
    """What may differ from frame to frame of a multi-frame image (functional groups); None where absent."""

    image_position_lps: tuple[float, float, float] | None = None
    image_orientation_lps: tuple[float, ...] | None = None
    pixel_spacing_mm: tuple[float, float] | None = None
    slice_thickness_mm: float | None = None
    rescale_slope: float | None = None
    rescale_intercept: float | None = None
    acquisition_time: str | None = None
    temporal_position: int | None = None
    image_type: tuple[str, ...] = ()
    stack_id: str | None = None
    in_stack_position: int | None = None


@dataclass(frozen=True)
class Instance:
    """The header of one DICOM instance, typed; None where an element is absent or empty.

    Field names are the DICOM keywords in snake case; ``patient_key`` is (IssuerOfPatientID, PatientID).
    """

    file: FileRef
    kind: InstanceKind
    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    modality: str | None = None
    # patient and order: identifying
    patient_id: str | None = None
    issuer_of_patient_id: str | None = None
    patient_birth_date: str | None = None  # YYYYMMDD
    patient_sex: str | None = None
    patient_age_years: float | None = None
    accession_number: str | None = None
    issuer_of_accession: str | None = None
    study_date: str | None = None  # YYYYMMDD
    study_time: str | None = None  # HHMMSS
    identifiers: tuple[tuple[str, str], ...] = ()
    """(DICOM keyword, value) of every element that names a person, place, number or date, nested ones included."""
    # series
    series_number: int | None = None
    instance_number: int | None = None
    acquisition_number: int | None = None
    acquisition_time: str | None = None
    temporal_position: int | None = None
    images_in_acquisition: int | None = None
    study_description: str | None = None
    series_description: str | None = None
    protocol_name: str | None = None
    body_part_examined: str | None = None
    image_type: tuple[str, ...] = ()
    manufacturer: str | None = None
    model_name: str | None = None
    convolution_kernel: str | None = None
    contrast_bolus_agent: str | None = None
    burned_in_annotation: str | None = None
    patient_position: str | None = None
    frame_of_reference_uid: str | None = None
    kvp: float | None = None
    slice_thickness_mm: float | None = None
    gantry_tilt_deg: float | None = None
    # pixels
    rows: int | None = None
    columns: int | None = None
    number_of_frames: int = 1
    samples_per_pixel: int | None = None
    photometric_interpretation: str | None = None
    bits_allocated: int | None = None
    bits_stored: int | None = None
    pixel_representation: int | None = None
    pixel_spacing_mm: tuple[float, float] | None = None  # (between rows, between columns)
    image_position_lps: tuple[float, float, float] | None = None
    image_orientation_lps: tuple[float, ...] | None = None  # 6: row direction, column direction
    rescale_slope: float | None = None
    rescale_intercept: float | None = None
    rescale_type: str | None = None
    has_modality_lut: bool = False
    pixel_padding_value: int | None = None
    pixel_padding_limit: int | None = None
    high_bit: int | None = None
    pixel_offset: int | None = None  # where the value of PixelData starts in the file; None in a deflated one
    pixel_length: int | None = None  # bytes; None where it is undefined, as of compressed pixels
    has_pixels: bool = False
    frames: tuple[Frame, ...] = ()
    """One per frame of a multi-frame image, shared values filled in; empty for a single-frame image."""
    repairs: tuple[Repair, ...] = ()

    @property
    def patient_key(self) -> tuple[str, str]:
        """(issuer, patient id); both empty when the file names no patient."""
        return (self.issuer_of_patient_id or "", self.patient_id or "")


@dataclass(frozen=True)
class Stack:
    """Slices of one series that belong to one volume, ordered along the normal.

    Parameters
    ----------
    series_instance_uid : str
    index : int
        Number of the stack within its series, from 0, stable under file order.
    slices : tuple of (Instance, int)
        Instance and frame number within it (0 for single-frame), in order of position along ``normal_lps``.
    positions_lps : (n, 3) float64, mm, LPS
        ImagePositionPatient of each slice.
    orientation_lps : (6,) float64
        Unit row direction (index along a row grows) and unit column direction.
    pixel_spacing_mm : (2,) float64
        Between rows, between columns.
    spacing_mm : float
        Distance of slice centres along the normal, least squares.
    shape_rcs : tuple of int
        Rows, columns, slices.
    tilt_deg : float
        Angle between the step from slice to slice and the normal.
    repairs : tuple of Repair
    """

    series_instance_uid: str
    index: int
    slices: tuple[tuple[Instance, int], ...]
    positions_lps: np.ndarray
    orientation_lps: np.ndarray
    pixel_spacing_mm: tuple[float, float]
    spacing_mm: float
    shape_rcs: tuple[int, int, int]
    tilt_deg: float = 0.0
    repairs: tuple[Repair, ...] = ()

    @property
    def head(self) -> Instance:
        """The first slice's header: what is the same for all slices is read from it."""
        return self.slices[0][0]


@dataclass(frozen=True)
class Grid:
    """What a volume is resampled to.

    Parameters
    ----------
    spacing_mm : tuple of 3 float, or None
        Along x, y, z of the patient (closest axes); None keeps the source's own grid (``native``).
    hu_range : (float, float)
        Values are clipped to this range; the lower end is air and fills what lies outside.
    """

    spacing_mm: tuple[float, float, float] | None = (1.5, 1.5, 1.5)
    hu_range: tuple[int, int] = (-1024, 3071)


@dataclass(frozen=True)
class SliceMap:
    """From the slice a report points at to a place along the stack normal."""

    series_number: int | None
    instance_number: tuple[int, ...]
    position_mm: tuple[float, ...]
    normal_lps: tuple[float, float, float]


@dataclass(frozen=True)
class Volume:
    """A volume ready to be written; nothing in it identifies anyone.

    Parameters
    ----------
    data : (i, j, k) int16, HU (arbitrary units for MR)
        RAS+ closest axes.
    affine_ras : (4, 4) float64
        Voxel ijk -> mm, RAS.
    padding_fraction : float
        Share of voxels outside the reconstructed field of view, or outside the source grid.
    hu_percentiles : tuple of float
        0.5, 5, 25, 50, 75, 95, 99.5 % of the voxels that are not padding.
    """

    data: np.ndarray
    affine_ras: np.ndarray
    modality: str
    slice_map: SliceMap
    n_slices_source: int
    spacing_source_mm: tuple[float, float, float]
    padding_fraction: float
    hu_percentiles: tuple[float, ...]
    kernel: str | None = None
    vendor: str | None = None
    repairs: tuple[Repair, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
