"""A small hospital export, written in a second: enough anatomy to pass as CT, enough headers to be linked."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset as DicomDataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

ROOT = "1.2.826.0.1.3680043.10.1451"
TEXT = (
    "FINDINGS:\nThe liver is normal in size. There is a {size} mm cyst in the right kidney (series 2, image 7). "
    "The spleen is unremarkable. No pleural effusion. {name} was seen before.\n\nIMPRESSION:\n"
    "1. Simple cyst of the right kidney, {size} mm.\n2. No acute abnormality."
)


@dataclass(frozen=True)
class StudyPlan:
    """One study of the small export and its report."""

    number: int
    patient: str
    name: str
    accession: str
    date: str
    has_report: bool = True
    report_patient: str | None = None

    @property
    def uid(self) -> str:
        return f"{ROOT}.1.{self.number}"


PLANS = (
    StudyPlan(1, "MRN700101", "Quillfeather^Augusta", "ACC5500101", "20210304"),
    StudyPlan(2, "MRN700102", "Brambleworth^Otis", "ACC5500102", "20210305"),
    StudyPlan(3, "MRN700103", "Vandersloot^Ilse", "ACC5500103", "20210306"),
    StudyPlan(4, "MRN700101", "Quillfeather^Augusta", "ACC5500104", "20210901"),
    StudyPlan(5, "MRN700105", "Oxenstierna^Birgitta", "ACC5500105", "20210308", has_report=False),
    StudyPlan(6, "MRN700106", "Tzimiskes^Leo", "ACC5500106", "20210309", report_patient="MRN799999"),
)


def write_slice(
    path: Path, plan: StudyPlan, *, series: int, number: int, hu: np.ndarray, z_mm: float, **extra: object
) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = f"{plan.uid}.{series}.{number}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header = DicomDataset()
    header.file_meta = meta
    header.SOPClassUID, header.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    header.StudyInstanceUID, header.SeriesInstanceUID = plan.uid, f"{plan.uid}.{series}"
    header.PatientID, header.PatientName = plan.patient, plan.name
    header.PatientBirthDate, header.PatientSex = "19520617", "F"
    header.AccessionNumber, header.StudyDate, header.StudyTime = plan.accession, plan.date, "101500"
    header.Modality, header.Manufacturer = "CT", "SIEMENS"
    header.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    header.SeriesNumber, header.InstanceNumber, header.AcquisitionNumber = series, number, 1
    header.ConvolutionKernel, header.SliceThickness = "B30f", 5.0
    header.FrameOfReferenceUID = f"{plan.uid}.9"
    header.Rows, header.Columns = hu.shape
    header.PixelSpacing = [5.0, 5.0]
    header.ImagePositionPatient, header.ImageOrientationPatient = [-157.5, -157.5, z_mm], [1, 0, 0, 0, 1, 0]
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 12, 11, 0
    header.RescaleSlope, header.RescaleIntercept, header.RescaleType = 1, -1024, "HU"
    header.PixelData = (hu + 1024).astype("<u2").tobytes()
    for keyword, value in extra.items():
        setattr(header, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    header.save_as(path, enforce_file_format=True)


def write_study(folder: Path, plan: StudyPlan, *, n_slices: int = 20) -> None:
    """A trunk-like phantom: air, fat, soft tissue, a spine, noise seeded by the study."""
    generator = np.random.default_rng(plan.number)
    y, x = np.mgrid[0:64, 0:64].astype(float) - 31.5
    outer, inner = (x / 29) ** 2 + (y / 20) ** 2, (x / 26) ** 2 + (y / 17) ** 2
    for number in range(1, n_slices + 1):
        hu = np.full((64, 64), -1000.0)
        hu[outer < 1], hu[inner < 1] = -95.0, 45.0
        hu[(x**2 + (y - 12) ** 2) < 9] = 350.0
        hu[((x + 9) ** 2 + (y + 1) ** 2) < 30 - 0.3 * (number - 10) ** 2] = 110.0
        hu += generator.normal(0, 12, hu.shape)
        hu = np.clip(np.round(hu), -1024, 3071)
        write_slice(folder / f"s2/i{number:03d}.dcm", plan, series=2, number=number, hu=hu, z_mm=5.0 * number)
    write_slice(
        folder / "s1/i001.dcm",
        plan,
        series=1,
        number=1,
        hu=hu,
        z_mm=0.0,
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
    )


def report_row(plan: StudyPlan) -> dict[str, str]:
    return {
        "accession_number": plan.accession,
        "patient_id": plan.report_patient or plan.patient,
        "patient_name": plan.name,
        "study_date": plan.date,
        "modality": "CT",
        "report_text": TEXT.format(size=10 + plan.number, name=plan.name.split("^")[0]),
    }


def write_reports(path: Path, rows: list[dict[str, str]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_export(root: Path, plans: tuple[StudyPlan, ...] = PLANS) -> Path:
    for plan in plans:
        write_study(root / "dicom" / f"study{plan.number}", plan)
    (root / "dicom" / "Thumbs.db").write_bytes(b"not a picture of anything")
    write_reports(root / "reports.csv", [report_row(plan) for plan in plans if plan.has_report])
    return root


def tree_hash(root: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


KEY = "0123456789abcdef0123456789abcdef"
CONFIG = "[grid]\nspacing_mm = 3\n[volumes]\nmin_slices = 8\n"


def configured(root: Path, config: str = CONFIG) -> Path:
    """An export with the configuration and the key that `curate` takes."""
    (root / "config.toml").write_text(config)
    (root / "key").write_text(KEY)
    return root


def curate(export: Path, dataset: Path, *words: str) -> int:
    """`python -m curation run` in this process."""
    from curation.__main__ import main

    return main(
        [
            "run", str(export / "dicom"), "--reports", str(export / "reports.csv"), "--out", str(dataset),
            "--config", str(export / "config.toml"), "--key", str(export / "key"), "--quiet", *words,
        ]
    )  # fmt: skip
