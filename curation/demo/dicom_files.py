"""DICOM files of a series in the header style of four vendors.

Enters: int16 HU volumes with their grids, a study plan. Leaves: pydicom data sets. Identifying values are planted in
ordinary, nested and private elements, and handed back for the truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from curation.demo.acquire import SeriesGrid, circle
from curation.demo.plan import StudyPlan

IMPLEMENTATION_UID = "2.25.329800735698586629295641978511506172918"


@dataclass(frozen=True)
class Vendor:
    """How a vendor fills a header and stores HU; kernel names for soft, sharp (lung) series."""

    manufacturer: str
    model: str
    kernels: Mapping[str, str]
    signed: bool
    intercept: int
    padding: int | None
    head_first: bool = True
    implicit: bool = False


VENDORS = {
    "siemens": Vendor("SIEMENS", "SOMATOM Definition AS", {"soft": "B30f", "sharp": "B70f"}, False, -1024, None),
    "ge": Vendor("GE MEDICAL SYSTEMS", "LightSpeed VCT", {"soft": "STANDARD", "sharp": "LUNG"}, True, -1024, -2000),
    "philips": Vendor("Philips", "Brilliance 64", {"soft": "B", "sharp": "YA"}, False, -1024, None, implicit=True),
    "canon": Vendor(
        "Canon Medical Systems", "Aquilion ONE", {"soft": "FC08", "sharp": "FC51"}, True, 0, -2000, head_first=False
    ),
}


@dataclass(frozen=True)
class SeriesImages:
    """One series to be written.

    Parameters
    ----------
    kind : str
        scout, thin, thick, coronal, lung, capture or dose.
    hu : (k, j, i) int16
    """

    kind: str
    number: int
    description: str
    kernel: str
    image_type: tuple[str, ...]
    hu: np.ndarray
    grid: SeriesGrid
    uid: str
    instance_numbers: tuple[int, ...] = ()
    overrides: Mapping[str, object] = field(default_factory=dict)

    def with_numbers(self, numbers: Sequence[int]) -> SeriesImages:
        """The same series with other instance numbers, one per slice."""
        return replace(self, instance_numbers=tuple(int(n) for n in numbers))


def planted(plan: StudyPlan) -> list[tuple[str, str]]:
    """(kind, value) of everything identifying that the headers of a study hold."""
    patient, site = plan.patient, plan.site
    family, _, given = patient.name.partition("^")
    return [
        ("patient_name", patient.name), ("patient_name", family), ("patient_name", given),
        ("patient_id", patient.patient_id), ("birth_date", patient.birth_date.replace("-", "")),
        ("phone", patient.phone), ("address", patient.address), ("other_patient_id", patient.other_id),
        ("accession_number", plan.accession_number), ("study_uid", plan.study_uid),
        ("study_date", plan.study_date.replace("-", "")), ("institution", site.institution), ("address", site.address),
        ("referring_physician", plan.referring), ("radiologist", plan.radiologist), ("operator", plan.operator),
        ("issuer", site.issuer), ("station", _station(plan)), ("device_serial", _serial(plan)),
    ]  # fmt: skip


def slice_datasets(plan: StudyPlan, series: SeriesImages) -> list[Dataset]:
    """One data set per slice, in stack order; `series.instance_numbers` says how they are numbered."""
    vendor = VENDORS[plan.vendor]
    stored = _stored(series, vendor)
    datasets = []
    for k in range(len(series.hu)):
        ds = _header(plan, series, vendor)
        position = series.grid.position_lps(k)
        ds.SOPInstanceUID = UID(plan.uid(series.uid, k))
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.InstanceNumber = series.instance_numbers[k]
        ds.ImagePositionPatient = [_ds(v) for v in position]
        ds.SliceLocation = _ds(position[2] if series.kind != "coronal" else position[1])
        seconds = int(plan.study_time[2:4]) * 60 + int(plan.study_time[4:]) + series.number * 20
        ds.AcquisitionTime = ds.ContentTime = f"{plan.study_time[:2]}{seconds // 60 % 60:02d}{seconds % 60:02d}"
        ds.PixelData = stored[k].tobytes()
        for keyword, value in series.overrides.items():
            setattr(ds, keyword, value)
        datasets.append(ds)
    return datasets


def _stored(series: SeriesImages, vendor: Vendor) -> np.ndarray:
    """Stored values: rescaled, and outside the circle of the field of view what the vendor puts there."""
    stored = series.hu.astype(np.int32) - vendor.intercept
    if series.kind in ("thin", "thick", "lung"):
        outside = ~circle((stored.shape[1], stored.shape[2]))
        stored[:, outside] = vendor.padding if vendor.padding is not None else (0 if not vendor.signed else -1024)
    if not vendor.signed:
        return np.clip(stored, 0, 4095).astype("<u2")
    return stored.astype("<i2")


def _header(plan: StudyPlan, series: SeriesImages, vendor: Vendor) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if vendor.implicit else ExplicitVRLittleEndian
    ds.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    ds.file_meta.ImplementationVersionName = "T3DKIT_DEMO"
    ds.ImageType = list(series.image_type)
    ds.SOPClassUID = CTImageStorage
    ds.Modality = "CT"
    _who(ds, plan)
    ds.Manufacturer, ds.ManufacturerModelName = vendor.manufacturer, vendor.model
    ds.SeriesDescription, ds.SeriesNumber, ds.SeriesInstanceUID = series.description, series.number, series.uid
    ds.AcquisitionNumber = 1
    ds.KVP = "120"
    ds.SliceThickness = _ds(series.grid.slab_mm)
    ds.SpacingBetweenSlices = _ds(float(np.linalg.norm(series.grid.affine_lps[:3, 2])))
    if series.kind != "scout":
        ds.ConvolutionKernel = series.kernel
    if plan.phase != "none":
        ds.ContrastBolusAgent = "IOHEXOL 350"
    ds.PatientPosition = "HFS"
    a = series.grid.affine_lps
    row, column = a[:3, 0] / np.linalg.norm(a[:3, 0]), a[:3, 1] / np.linalg.norm(a[:3, 1])
    ds.ImageOrientationPatient = [_ds(v) for v in (*row, *column)]
    ds.FrameOfReferenceUID = plan.uid("frame of reference")
    ds.PixelSpacing = [_ds(np.linalg.norm(a[:3, 1])), _ds(np.linalg.norm(a[:3, 0]))]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = series.hu.shape[1:]
    ds.BitsAllocated = 16
    ds.BitsStored = 16 if vendor.signed else 12
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(vendor.signed)
    if vendor.padding is not None:
        ds.add_new(0x00280120, "SS", vendor.padding)
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = str(vendor.intercept), "1", "HU"
    ds.WindowCenter, ds.WindowWidth = "40", "400"
    return ds


def _who(ds: Dataset, plan: StudyPlan) -> None:
    """Everything that identifies, in public, nested and private elements."""
    patient, site = plan.patient, plan.site
    ds.PatientName, ds.PatientID, ds.IssuerOfPatientID = patient.name, patient.patient_id, patient.issuer
    ds.PatientBirthDate, ds.PatientSex = patient.birth_date.replace("-", ""), patient.sex
    age = int(plan.study_date[:4]) - int(patient.birth_date[:4])
    ds.PatientAge = f"{age:03d}Y"
    ds.PatientTelephoneNumbers, ds.PatientAddress = patient.phone, patient.address
    other = Dataset()
    other.PatientID, other.IssuerOfPatientID = patient.other_id, "NATIONAL"
    ds.OtherPatientIDsSequence = DicomSequence([other])
    ds.AccessionNumber, ds.StudyID = plan.accession_number, str(1000 + plan.number)
    ds.StudyInstanceUID, ds.StudyDescription = plan.study_uid, study_description(plan)
    ds.BodyPartExamined = {"chest": "CHEST", "abdomen": "ABDOMEN"}.get(plan.coverage, "CHESTABDPELV")
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = plan.study_date.replace("-", "")
    ds.StudyTime = ds.SeriesTime = plan.study_time
    ds.InstitutionName, ds.InstitutionAddress = site.institution, site.address
    ds.StationName, ds.DeviceSerialNumber = _station(plan), _serial(plan)
    ds.ReferringPhysicianName, ds.OperatorsName = plan.referring, plan.operator
    ds.PhysiciansOfRecord = plan.radiologist
    request = Dataset()
    request.RequestedProcedureID, request.ScheduledProcedureStepID = plan.accession_number, plan.accession_number
    request.RequestingPhysician = plan.referring
    ds.RequestAttributesSequence = DicomSequence([request])
    ds.ImageComments = f"{patient.name.partition('^')[0]} called from {patient.phone}"
    block = ds.private_block(0x0011, "T3DKIT DEMO RIS", create=True)
    block.add_new(0x01, "LO", patient.name.replace("^", " "))
    block.add_new(0x02, "SH", patient.patient_id)


def study_description(plan: StudyPlan) -> str:
    """StudyDescription in the site's manner."""
    part = {"chest": "Chest", "abdomen": "Abdomen Pelvis"}.get(plan.coverage, "Chest Abdomen Pelvis")
    contrast = "wo contrast" if plan.phase == "none" else "w contrast"
    return (f"CT {part} {contrast}", f"{part.upper()}^ROUTINE", f"CT {part}", f"TC {part} {contrast}")[plan.site.number]


def capture_dataset(plan: StudyPlan, *, kind: str, number: int) -> Dataset:
    """A secondary capture with the patient's name burned in, or a dose report page."""
    from PIL import Image, ImageDraw

    page = Image.new("L", (256, 192), 0)
    draw = ImageDraw.Draw(page)
    family, _, given = plan.patient.name.partition("^")
    lines = [f"{family}, {given}", f"ID {plan.patient.patient_id}", f"Acc {plan.accession_number}", plan.study_date]
    lines += ["Dose report", "CTDIvol 11.2 mGy", "DLP 512 mGycm"] if kind == "dose" else ["Key image 1/1"]
    for n, line in enumerate(lines):
        draw.text((8, 8 + 18 * n), line, fill=255)
    blank = np.zeros((1, 192, 256), dtype=np.int16)
    uid = plan.uid("series", kind)
    description = "Dose Report" if kind == "dose" else "Screen Save"
    series = SeriesImages(kind, number, description, "", ("DERIVED", "SECONDARY", "OTHER"), blank,
                          SeriesGrid(np.eye(4), (1, 192, 256), 1.0), uid)  # fmt: skip
    ds = _header(plan, series, VENDORS[plan.vendor])
    for keyword in (
        "ImageOrientationPatient",
        "PixelSpacing",
        "RescaleIntercept",
        "RescaleSlope",
        "RescaleType",
        "PixelPaddingValue",
        "SliceThickness",
        "SpacingBetweenSlices",
        "FrameOfReferenceUID",
        "KVP",
    ):
        if keyword in ds:
            del ds[keyword]
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(plan.uid(uid, 0))
    ds.ConversionType, ds.BurnedInAnnotation = "WSD", "YES"
    ds.InstanceNumber = 1
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = np.asarray(page, dtype=np.uint8).tobytes()
    return ds


def enhanced_dataset(plan: StudyPlan, series: SeriesImages) -> Dataset:
    """The whole series as one Enhanced CT multi-frame object (PS3.3 A.38)."""
    slices = slice_datasets(plan, series)
    order = np.argsort([ds.InstanceNumber for ds in slices])
    ds = slices[0]
    for keyword in (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "SliceThickness",
        "SliceLocation",
        "RescaleIntercept",
        "RescaleSlope",
        "RescaleType",
        "SpacingBetweenSlices",
        "WindowCenter",
        "WindowWidth",
        "AcquisitionTime",
    ):
        del ds[keyword]
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(plan.uid(series.uid, "enhanced"))
    ds.InstanceNumber, ds.NumberOfFrames = 1, len(slices)
    source = slice_datasets(plan, replace(series, hu=series.hu[:1], instance_numbers=(1,)))[0]
    shared = Dataset()
    shared.PixelMeasuresSequence = _item(source, "PixelSpacing", "SliceThickness", "SpacingBetweenSlices")
    shared.PlaneOrientationSequence = _item(source, "ImageOrientationPatient")
    shared.PixelValueTransformationSequence = _item(source, "RescaleIntercept", "RescaleSlope", "RescaleType")
    shared.FrameVOILUTSequence = _item(source, "WindowCenter", "WindowWidth")
    frame_type = Dataset()
    frame_type.FrameType = list(series.image_type)
    shared.CTImageFrameTypeSequence = DicomSequence([frame_type])
    ds.SharedFunctionalGroupsSequence = DicomSequence([shared])
    frames, pixels = [], []
    for n, k in enumerate(order, start=1):
        group, content, place = Dataset(), Dataset(), Dataset()
        content.StackID, content.InStackPositionNumber, content.DimensionIndexValues = "1", n, [n]
        place.ImagePositionPatient = [_ds(v) for v in series.grid.position_lps(int(k))]
        group.FrameContentSequence = DicomSequence([content])
        group.PlanePositionSequence = DicomSequence([place])
        frames.append(group)
        pixels.append(slices[int(k)].PixelData if k else source.PixelData)
    ds.PerFrameFunctionalGroupsSequence = DicomSequence(frames)
    ds.PixelData = b"".join(pixels)
    return ds


def _item(source: Dataset, *keywords: str) -> DicomSequence:
    item = Dataset()
    for keyword in keywords:
        setattr(item, keyword, source[keyword].value)
    return DicomSequence([item])


def _ds(value: float | np.floating) -> str:
    """A decimal string of at most 16 characters (PS3.5 6.2)."""
    text = f"{float(value):.6f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _station(plan: StudyPlan) -> str:
    return f"CT{plan.site.issuer[:4]}{plan.site.number + 1:02d}"


def _serial(plan: StudyPlan) -> str:
    return f"SN{48200 + 977 * plan.site.number}"
