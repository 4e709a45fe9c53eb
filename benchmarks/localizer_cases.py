"""Labelled volumes to measure the localizer on: real ones from files, and demo studies painted in memory.

A painted study is the demo export's own phantom with its lesions and a scanner's noise, without DICOM around it, so
that two hundred of them take minutes. Seeds used for tuning so far: 0 (the demo), 1001, 1002, 1003, 9101.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel
import numpy as np

from curation.align.records import LabelMap

if TYPE_CHECKING:
    from curation.demo.plan import StudyPlan

REAL = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "totalsegmentator_tests"
REAL_PAIR = (REAL / "example_ct.nii.gz", REAL / "example_seg_fast_force_split.nii.gz")
SLAB_MM = (40.0, 180.0)
NO_ANATOMY = ("kidney_cyst_left", "kidney_cyst_right")
"""Classes that not everybody has: their absence says nothing about the scanned range."""


@dataclass(frozen=True)
class Lesion:
    """A painted lesion that the report names: its region, the voxel nearest to its centre, mm RAS, and the sentence."""

    kind: str
    region: str
    centre_ras: np.ndarray
    text: str = ""


@dataclass(frozen=True)
class Case:
    """A labelled volume, RAS+ closest axes.

    Parameters
    ----------
    classes : tuple of str
        The classes that a body of this kind has, shown or not; only they can be "not covered".
    """

    name: str
    data: np.ndarray
    affine_ras: np.ndarray
    labels: LabelMap
    lesions: tuple[Lesion, ...] = ()
    classes: tuple[str, ...] = ()


def read_case(name: str, volume: Path, labels: Path, names: dict[int, str]) -> Case:
    """A volume and its label map, turned to RAS+ closest axes."""
    image = nibabel.as_closest_canonical(nibabel.load(volume))
    mask = nibabel.load(labels)
    data = np.clip(np.asarray(image.dataobj), -1024, 3071).astype(np.int16)
    label_map = LabelMap(np.asarray(mask.dataobj).astype(np.uint8), np.asarray(mask.affine), names)
    return Case(name, data, np.asarray(image.affine), label_map)


def slabs_of(case: Case, n_slabs: int, *, seed: int) -> Iterator[Case]:
    """Slabs of `SLAB_MM` cut from a volume at random; few landmarks lie in them."""
    rng = np.random.default_rng([seed, 82])
    step_mm = float(np.linalg.norm(case.affine_ras[:3, 2]))
    n_slices = case.data.shape[2]
    for number in range(n_slabs):
        height = min(n_slices, round(float(rng.uniform(*SLAB_MM)) / step_mm))
        first = int(rng.integers(n_slices - height + 1))
        affine_ras = case.affine_ras.copy()
        affine_ras[:3, 3] += first * affine_ras[:3, 2]
        data = case.data[:, :, first : first + height]
        yield replace(case, name=f"{case.name}/{number}", data=data, affine_ras=affine_ras, lesions=())


def made_cases(seed: int, n_studies: int) -> Iterator[Case]:
    """Demo studies of a seed, each with its label map and the lesions that its report names."""
    from curation.demo.plan import plan_studies

    for plan in plan_studies(n_studies, seed):
        yield made_case(plan, name=f"seed{seed}-{plan.number}")


def made_case(plan: StudyPlan, *, name: str) -> Case:
    """One demo study as a scanner without faults shows it."""
    from curation.demo import acquire
    from curation.demo.labels import NAME
    from curation.demo.report_text import ReportWriter
    from curation.demo.study import paint_study

    plan = replace(plan, image_fault="", report_fault="")
    rng = np.random.default_rng([plan.seed, 81])
    painter, _, lesions = paint_study(plan, rng)
    hu = acquire.reconstruct(painter.hu, sharp=False, noise_hu=float(rng.uniform(9, 24)), rng=rng)
    affine_ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ acquire.base_grid(painter.grid).affine_lps
    for axis in (0, 1):  # (k, j, i) of LPS to (i, j, k) of RAS
        affine_ras[:, 3] += affine_ras[:, axis] * (hu.shape[2 - axis] - 1)
        affine_ras[:, axis] *= -1
    data, labels = (np.asfortranarray(array.transpose(2, 1, 0)[::-1, ::-1]) for array in (hu, painter.label))
    labels[~np.isin(labels, list(NAME))] = 0
    sentences: dict[int, str] = {}

    class Writer(ReportWriter):
        def _present(self, n: int) -> str:
            return sentences.setdefault(n, super()._present(n))

    named = Writer(plan, lesions, [None] * len(lesions)).write().named
    return Case(
        name=name,
        data=np.clip(data, -1024, 3071),
        affine_ras=affine_ras,
        labels=LabelMap(labels, affine_ras, NAME),
        lesions=tuple(
            Lesion(one.kind, one.region, np.array(one.centre_lps) * [-1, -1, 1], sentences[number])
            for number, (one, is_named) in enumerate(zip(lesions, named, strict=True))
            if is_named and np.all(np.isfinite(one.centre_lps))
        ),
        classes=tuple(
            name for name in NAME.values() if name not in NO_ANATOMY and (name != "prostate" or plan.patient.sex == "M")
        ),
    )
