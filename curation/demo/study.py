"""One study made whole: phantom, lesions, series, files, report, truth.

Enters: a `StudyPlan` and the export's folder. Leaves: the study's DICOM and mask files, and `StudyTruth` for the
tables. Every draw comes from the plan's seed, so a study is the same whoever makes it and whenever.
"""

from __future__ import annotations

import gzip
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

from curation.demo import acquire, faults, labels, layout, report_text
from curation.demo.dicom_files import (
    VENDORS,
    SeriesImages,
    capture_dataset,
    enhanced_dataset,
    planted,
    slice_datasets,
)
from curation.demo.disease import ORDER, paint_lesions
from curation.demo.faults import Fault
from curation.demo.labels import NUMBER
from curation.demo.lesions import Lesion, LesionBrush
from curation.demo.painter import GridSpec, Painter
from curation.demo.person import Person, draw_body, tissue_hu
from curation.demo.phantom import add_texture, paint_anatomy
from curation.demo.plan import StudyPlan, shown_findings

_RANGE = {"chest": (-22.0, 282.0), "abdomen": (-338.0, 88.0), "chest_abdomen_pelvis": (-338.0, 282.0)}
"""Lowest and highest scanned height, body mm."""


@dataclass(frozen=True)
class SeriesTruth:
    """A row of truth/series.csv."""

    series_uid: str
    kind: str
    is_best: bool
    fault: str
    expected: str
    reason: str


@dataclass(frozen=True)
class StudyTruth:
    """What is true about a study."""

    plan: StudyPlan
    series: tuple[SeriesTruth, ...]
    lesions: tuple[Lesion, ...]
    named: tuple[bool, ...]
    report: str
    identifiers: tuple[tuple[str, str], ...]
    report_identifiers: tuple[tuple[str, str], ...]
    faults: tuple[Fault, ...]
    n_files: int


def make_study(plan: StudyPlan, out: Path, *, coarse: float = 1.0) -> StudyTruth:
    """Make one study under `out` (dicom/, truth/).

    Parameters
    ----------
    coarse : float
        Voxels this much larger; tests make small studies with it.
    """
    rng = np.random.default_rng([plan.seed, 81])
    painter, brush, lesions = paint_study(plan, rng, coarse=coarse)
    series = _number(plan, _series(plan, painter, rng))
    thin = next(s for s in series if s.kind == "thin")
    _write_masks(out, thin, painter.label, brush.mask, painter.grid)
    pointers = _pointers(lesions, thin, plan)
    written = report_text.ReportWriter(plan, lesions, pointers).write()
    truths, done, uids, n_files = _write_series(plan, series, out, rng)
    return StudyTruth(
        plan=plan,
        series=tuple(truths),
        lesions=lesions,
        named=written.named,
        report=written.text,
        identifiers=(*planted(plan), *(("series_uid", uid) for uid in uids)),
        report_identifiers=written.identifiers,
        faults=tuple(done),
        n_files=n_files,
    )


def paint_study(
    plan: StudyPlan, rng: np.random.Generator, *, coarse: float = 1.0
) -> tuple[Painter, LesionBrush, tuple[Lesion, ...]]:
    """The phantom of one study with its lesions and the table, before a scanner sees it."""
    person = _person(plan)
    grid = _grid(plan, person, rng, coarse=coarse)
    painter = paint_anatomy(grid, person)
    brush = LesionBrush(painter, person, np.random.default_rng([plan.seed, 83]))
    lesions = paint_lesions(brush, [kind for kind in ORDER if kind in plan.findings])
    add_texture(painter, np.random.default_rng([plan.seed, 85]))
    acquire.add_table(painter.hu, painter.label, grid, style=plan.number)
    return painter, brush, lesions


def _person(plan: StudyPlan) -> Person:
    """The patient on the day of the study: the same build every time, contrast and illness of the day."""
    own, day = np.random.default_rng([plan.patient.seed, 5]), np.random.default_rng([plan.seed, 87])
    body = draw_body(own, sex=plan.patient.sex, size=plan.patient.size)
    found = set(plan.findings)
    aneurysm = fracture = hydronephrosis = None
    scale = float(body.scale[:2].mean())
    if "aortic_aneurysm" in found:
        thoracic = plan.coverage == "chest"
        aneurysm = (
            (105.0, day.uniform(21, 30) / scale) if thoracic else (day.uniform(-80, -60), day.uniform(17, 29) / scale)
        )
    if "vertebral_fracture" in found:
        levels = {"chest": ["T6", "T7", "T8", "T9", "T11"], "abdomen": ["L1", "L2", "L3", "L4"]}.get(
            plan.coverage, ["T7", "T8", "T11", "T12", "L1", "L2", "L3"]
        )
        fracture = (f"vertebrae_{levels[int(day.integers(0, len(levels)))]}", float(day.uniform(0.25, 0.6)))
    if "hydronephrosis" in found:
        hydronephrosis = ("left" if day.random() < 0.5 else "right", float(day.uniform(0, 1)))
    age = int(plan.study_date[:4]) - int(plan.patient.birth_date[:4])
    return Person(
        body=body,
        seed=plan.patient.seed,
        sex=plan.patient.sex,
        fat_mm=float(own.uniform(6, 12) + 24 * plan.patient.size),
        hu=tissue_hu(day, plan.phase, steatosis="hepatic_steatosis" in found),
        bone_marrow_hu=float(max(70, 300 - 2.3 * age + own.normal(0, 20))),
        bone_cortex_hu=float(own.uniform(560, 820)),
        heart_scale=float(day.uniform(1.2, 1.36) if "cardiomegaly" in found else own.uniform(0.92, 1.07)),
        spleen_scale=float(day.uniform(1.24, 1.5) if "splenomegaly" in found else own.uniform(0.86, 1.06)),
        aneurysm=aneurysm,
        fracture=fracture,
        hydronephrosis=hydronephrosis,
        lung_shift_hu=float(day.normal(0, 12)),
    )


def _grid(plan: StudyPlan, person: Person, rng: np.random.Generator, *, coarse: float) -> GridSpec:
    """The scan: a field of view that holds the body (or just misses it), a range that holds the coverage."""
    low, high = (value * person.body.scale[2] + rng.uniform(-6, 6) for value in _RANGE[plan.coverage])
    width = 2 * (160 + person.fat_mm) * person.body.scale[0]
    fov = float(np.clip(width * rng.uniform(0.99, 1.12), 320, 420))
    matrix = int(rng.choice([160, 176, 192] if plan.coverage != "chest" else [176, 192, 208]) / coarse)
    step = float(rng.choice([2.5, 3.0])) * coarse
    pixel = round(fov / matrix, 4)
    x0 = -(matrix - 1) / 2 * pixel + rng.uniform(-6, 6)
    y0 = -(matrix - 1) / 2 * pixel + rng.uniform(-4, 12)
    return GridSpec(
        (round(x0, 3), round(y0, 3), round(low, 2)), pixel, step, (int((high - low) // step), matrix, matrix)
    )


def _series(plan: StudyPlan, painter: Painter, rng: np.random.Generator) -> list[SeriesImages]:
    """Scout, thin, perhaps its lung-kernel twin, thick, coronal."""
    grid, kernels = painter.grid, VENDORS[plan.vendor].kernels
    noise = float(rng.uniform(9, 24))
    soft = acquire.reconstruct(painter.hu, sharp=False, noise_hu=noise, rng=rng)
    names = _SERIES_NAMES[plan.vendor]
    image, scout_grid = acquire.scout(painter.hu, grid)
    axial = ("ORIGINAL", "PRIMARY", "AXIAL")
    derived = (
        ("DERIVED", "SECONDARY", "REFORMATTED")
        if plan.vendor != "siemens"
        else ("DERIVED", "SECONDARY", "AXIAL", "CT_SOM5 MPR")
    )
    thin_hu, thin_grid = soft, acquire.base_grid(grid)
    if plan.image_fault == "gantry_tilt":
        thin_grid = acquire.tilted_grid(grid, 12.0)
        thin_hu = acquire.resample(soft, grid, thin_grid)
    made: list[tuple[str, str, str, tuple[str, ...], np.ndarray, acquire.SeriesGrid]] = [
        ("scout", names["scout"], "", ("ORIGINAL", "PRIMARY", "LOCALIZER"), image, scout_grid),
        ("thin", names["thin"], kernels["soft"], axial, thin_hu, thin_grid),
    ]
    if plan.coverage != "abdomen" and rng.random() < 0.35:
        sharp = acquire.reconstruct(painter.hu, sharp=True, noise_hu=noise * 2.2, rng=rng)
        made.append(("lung", names["lung"], kernels["sharp"], axial, sharp, acquire.base_grid(grid)))
    needs_thick = faults.SERIES_OF_FAULT.get(plan.image_fault) == "thick"
    if needs_thick or rng.random() < 0.7:
        target = acquire.thick_grid(grid, 5.0 * max(1.0, grid.step_mm / 3.0))
        made.append(("thick", names["thick"], kernels["soft"], axial, acquire.resample(soft, grid, target), target))
    if rng.random() < 0.7:
        target = acquire.coronal_grid(grid, 4.0 * max(1.0, grid.step_mm / 3.0))
        made.append(
            ("coronal", names["coronal"], kernels["soft"], derived, acquire.resample(soft, grid, target), target)
        )
    return [
        SeriesImages(kind, n, name, kernel, image_type, hu, at, plan.uid("series", kind))
        for n, (kind, name, kernel, image_type, hu, at) in enumerate(made, start=1)
    ]


_SERIES_NAMES = {
    "siemens": {
        "scout": "Topogram",
        "thin": "Body 2.5 B30f",
        "lung": "Lung 2.5 B70f",
        "thick": "Body 5.0 B30f",
        "coronal": "Body 4.0 MPR cor",
    },
    "ge": {
        "scout": "Scout",
        "thin": "RECON 2: THIN STD",
        "lung": "THIN LUNG",
        "thick": "AXIAL 5MM",
        "coronal": "COR REFORMAT",
    },
    "philips": {
        "scout": "Surview",
        "thin": "thin soft",
        "lung": "thin lung",
        "thick": "5mm axial",
        "coronal": "coronal",
    },
    "canon": {
        "scout": "Scanogram",
        "thin": "Body Thin",
        "lung": "Lung Thin",
        "thick": "Body 5.0",
        "coronal": "MPR Coronal",
    },
}


def _number(plan: StudyPlan, series: list[SeriesImages]) -> list[SeriesImages]:
    """Instance numbers: from the head down, from the feet up, or garbage."""
    rng = np.random.default_rng([plan.seed, 89])
    numbered = []
    for one in series:
        n = len(one.hu)
        numbers = (
            list(range(n, 0, -1))
            if VENDORS[plan.vendor].head_first and one.kind != "coronal"
            else list(range(1, n + 1))
        )
        if plan.image_fault == "instance_numbers" and one.kind == "thin":
            numbers = faults.garble_numbers(n, rng)
        numbered.append(one.with_numbers(numbers))
    return numbered


def _pointers(lesions: tuple[Lesion, ...], thin: SeriesImages, plan: StudyPlan) -> list[report_text.Pointer | None]:
    """Where in the thin series each lesion is seen; a multi-frame file has no instance numbers to point at."""
    if plan.image_fault == "enhanced":
        return [None] * len(lesions)
    return [
        report_text.Pointer(thin.number, thin.instance_numbers[thin.grid.slice_of(lesion.centre_lps)])
        for lesion in lesions
    ]


def _write_series(
    plan: StudyPlan, series: list[SeriesImages], out: Path, rng: np.random.Generator
) -> tuple[list[SeriesTruth], list[Fault], list[str], int]:
    folder = out / "dicom" / layout.study_folder(plan)
    truths, done, n_files = [], [], 0
    fault = plan.image_fault
    for one in series:
        hit = faults.SERIES_OF_FAULT.get(fault) == one.kind
        datasets = _datasets(plan, one, series, fault if hit else "", rng)
        place = out / "dicom" / layout.series_folder(plan, one.number, one.description)
        n_files += _write(plan, datasets, place, fault if hit else "")
        expected, reason = _expected(one.kind, fault if hit else "")
        truths.append(
            SeriesTruth(
                one.uid, one.kind, one.kind == "thin", faults.CATALOGUE_ID[fault] if hit else "", expected, reason
            )
        )
        if hit:
            done.append(Fault(fault, one.kind, one.uid, {**faults.DROPPED, **faults.DROPPED_WHEN_READ}.get(fault, "")))
    if fault in ("secondary_capture", "dose_report"):
        kind = "dose" if fault == "dose_report" else "capture"
        ds = capture_dataset(plan, kind=kind, number=501)
        n_files += _write(plan, [ds], out / "dicom" / layout.series_folder(plan, 501, "extra"), "")
        truths.append(
            SeriesTruth(str(ds.SeriesInstanceUID), kind, False, faults.CATALOGUE_ID[fault], "dropped", "SECONDARY")
        )
        done.append(Fault(fault, kind, str(ds.SeriesInstanceUID), "SECONDARY"))
    if fault == "not_dicom":
        n_files += faults.strew_other_files(folder)
        done.append(Fault(fault, "Thumbs.db, .DS_Store, INDEX.HTM", "", "NOT_DICOM"))
    if fault == "zero_byte":
        (folder / "IM999999").write_bytes(b"")
        n_files += 1
        done.append(Fault(fault, "IM999999", "", "EMPTY_FILE"))
    if fault == "zip":
        target = faults.zip_folder(folder)
        done.append(Fault(fault, target.suffix, "", ""))
    return truths, done, [row.series_uid for row in truths], n_files


def _datasets(
    plan: StudyPlan, one: SeriesImages, series: list[SeriesImages], fault: str, rng: np.random.Generator
) -> list[Dataset]:
    if fault == "enhanced":
        return [enhanced_dataset(plan, one)]
    datasets = faults.alter_datasets(fault, slice_datasets(plan, one), rng)
    if fault == "localizer_inside":
        scout = next(s for s in series if s.kind == "scout")
        extra = slice_datasets(
            plan, replace(scout, uid=one.uid, number=one.number, instance_numbers=(len(one.hu) + 1,))
        )
        extra[0].SOPInstanceUID = extra[0].file_meta.MediaStorageSOPInstanceUID = UID(plan.uid(one.uid, "localizer"))
        datasets += extra
    return datasets


def _write(plan: StudyPlan, datasets: list[Dataset], place: Path, fault: str) -> int:
    """Files in the order of their instance numbers."""
    place.mkdir(parents=True, exist_ok=True)
    ordered = sorted(datasets, key=lambda ds: int(ds.InstanceNumber))
    paths = []
    for n, ds in enumerate(ordered, start=1):
        path = place / layout.file_name(plan, n, str(ds.SOPInstanceUID))
        ds.save_as(path, enforce_file_format=True)
        paths.append(path)
    if fault == "truncated":
        faults.truncate(paths[len(paths) // 2])
    if fault == "duplicate_file":
        shutil.copyfile(paths[2], place / f"copy_of_{paths[2].name}")
        return len(paths) + 1
    return len(paths)


def _expected(kind: str, fault: str) -> tuple[str, str]:
    if kind == "scout":
        return "dropped", "LOCALIZER"
    if fault in faults.DROPPED:
        return "dropped", faults.DROPPED[fault]
    return ("kept", "") if kind == "thin" else ("not_selected", "NOT_SELECTED")


def _write_masks(out: Path, thin: SeriesImages, label: np.ndarray, lesion: np.ndarray, grid: GridSpec) -> None:
    """Organ and lesion label maps on the grid of the best series."""
    organs = np.where(label > labels.LAST_CLASS, 0, label).astype(np.uint8)
    if thin.grid.slab_mm and not np.array_equal(thin.grid.affine_lps, acquire.base_grid(grid).affine_lps):
        organs = acquire.resample(organs, grid, thin.grid, nearest=True)
        lesion = acquire.resample(lesion, grid, thin.grid, nearest=True)
    for name, data in (("organs", organs), ("lesions", lesion)):
        path = out / "truth" / name / f"{thin.uid}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(_nifti_bytes(data, thin.grid.affine_lps), compresslevel=3, mtime=0))


def _nifti_bytes(data_kji: np.ndarray, affine_lps: np.ndarray) -> bytes:
    import nibabel as nib

    affine_ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine_lps
    image = nib.Nifti1Image(np.ascontiguousarray(data_kji).transpose(2, 1, 0), affine_ras, dtype=np.uint8)
    image.set_sform(affine_ras, code=1)
    return image.to_bytes()


def finding_values(truth: StudyTruth) -> dict[str, int]:
    """0 or 1 for every finding that the study's coverage shows: what was painted, not what was planned."""
    found = {lesion.kind for lesion in truth.lesions}
    return {name: int(name in found) for name in shown_findings(truth.plan.coverage)}


assert NUMBER["spleen"] == 1
