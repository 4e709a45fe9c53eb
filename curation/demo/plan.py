"""What the demo hospital will hold: patients, studies, findings, faults, all drawn before anything is made.

Enters: number of studies, seed. Leaves: a tuple of `StudyPlan`, each complete, so that one study can be made without
the others. Names, numbers and places are invented; every word comes from the lists below.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from curation.demo.labels import FINDINGS
from curation.demo.names import DOCTORS, FAMILY_NAMES, GIVEN_NAMES, STREETS

COVERAGES = ("chest", "abdomen", "chest_abdomen_pelvis")
VENDORS = ("siemens", "ge", "philips", "canon")

CHEST_FINDINGS = {
    "lung_nodule": 0.42, "consolidation": 0.33, "pleural_effusion": 0.33, "emphysema": 0.28, "atelectasis": 0.28,
    "pneumothorax": 0.2, "pericardial_effusion": 0.22, "cardiomegaly": 0.3, "rib_fracture": 0.22,
}  # fmt: skip
ABDOMEN_FINDINGS = {
    "liver_lesion": 0.38, "hepatic_steatosis": 0.28, "gallstone": 0.3, "splenomegaly": 0.25, "splenic_lesion": 0.2,
    "kidney_stone": 0.3, "kidney_cyst": 0.35, "hydronephrosis": 0.25, "pancreatic_mass": 0.25, "bladder_stone": 0.2,
    "bladder_mass": 0.22, "ascites": 0.28,
}  # fmt: skip
TRUNK_FINDINGS = {"aortic_aneurysm": 0.25, "lymphadenopathy": 0.32, "vertebral_fracture": 0.28}
"""Share of the covering studies in which a finding is drawn."""

IMAGE_FAULTS = (
    "instance_numbers",
    "jpeg_ls",
    "secondary_capture",
    "missing_slice",
    "not_dicom",
    "gantry_tilt",
    "monochrome1",
    "duplicate_slice",
    "rle",
    "high_bits",
    "enhanced",
    "zip",
    "wrong_thickness",
    "padding_undeclared",
    "localizer_inside",
    "jpeg_2000",
    "dose_report",
    "truncated",
    "deflated",
    "jpeg_lossless",
    "big_endian",
    "zero_byte",
    "duplicate_file",
)
CATALOGUE_ID = {
    "instance_numbers": "D09", "jpeg_ls": "B03", "secondary_capture": "F02", "missing_slice": "D01", "not_dicom": "A02",
    "gantry_tilt": "D11", "monochrome1": "E13", "duplicate_slice": "D03", "rle": "B03", "high_bits": "E09",
    "enhanced": "D26", "zip": "A11", "wrong_thickness": "D07", "padding_undeclared": "E07", "localizer_inside": "F01",
    "jpeg_2000": "B03", "dose_report": "F02", "truncated": "A07", "deflated": "B02", "jpeg_lossless": "B03",
    "big_endian": "B01", "zero_byte": "A01", "duplicate_file": "A16",
    "preliminary": "G08", "addendum": "G09", "no_report": "G18", "accession_collision": "C10", "cancelled": "G11",
    "same_day": "G15", "corrected": "G10", "preliminary_only": "G08", "report_without_study": "G18",
}  # fmt: skip
REPORT_FAULTS = (
    "preliminary",
    "no_report",
    "addendum",
    "accession_collision",
    "cancelled",
    "same_day",
    "corrected",
    "preliminary_only",
)


@dataclass(frozen=True)
class Site:
    """A hospital of the demo: how it numbers, files and writes."""

    number: int
    institution: str
    address: str
    issuer: str
    phone: str


SITES = (
    Site(0, "St. Brannoc General Hospital", "14 Harborview Lane, Wexcombe", "STBRANNOC", "555-0132"),
    Site(1, "Lakemoor University Clinic", "200 Foundry Way, Lakemoor", "LAKEMOOR", "555-0178"),
    Site(2, "Northfell Imaging Centre", "3 Quarry Street, Northfell", "NORTHFELL", "555-0119"),
    Site(3, "Cedarholt Regional Hospital", "77 Larkspur Avenue, Cedarholt", "CEDARHOLT", "555-0165"),
)


@dataclass(frozen=True)
class Patient:
    """An invented patient; `size` 0..1 is small to large, `name` is DICOM's FAMILY^GIVEN."""

    number: int
    seed: int
    name: str
    patient_id: str
    issuer: str
    birth_date: str
    sex: str
    phone: str
    address: str
    other_id: str
    size: float


@dataclass(frozen=True)
class StudyPlan:
    """Everything that one study is made from."""

    number: int
    seed: int
    patient: Patient
    site: Site
    study_uid: str
    accession_number: str
    report_number: str
    study_date: str
    study_time: str
    coverage: str
    phase: str
    vendor: str
    findings: tuple[str, ...]
    image_fault: str
    report_fault: str
    referring: str
    radiologist: str
    operator: str
    prior_date: str

    def uid(self, *parts: object) -> str:
        """A UID under this study."""
        return make_uid(self.study_uid, *parts)


def make_uid(*parts: object) -> str:
    """A 2.25 UID (PS3.5 B.2) that depends on `parts` alone."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def covers(coverage: str, part: str) -> bool:
    """Whether a coverage holds all of "chest" or "abdomen"."""
    return coverage == "chest_abdomen_pelvis" or coverage == part


def shown_findings(coverage: str) -> tuple[str, ...]:
    """The findings that a coverage can show, in the order of `FINDINGS`."""
    known = set(TRUNK_FINDINGS)
    known |= set(CHEST_FINDINGS) if covers(coverage, "chest") else set()
    known |= set(ABDOMEN_FINDINGS) if covers(coverage, "abdomen") else set()
    return tuple(name for name in FINDINGS if name in known)


def plan_studies(n_studies: int, seed: int) -> tuple[StudyPlan, ...]:
    """Draw `n_studies` studies; each finding comes out in its share of the studies that cover it."""
    rng = np.random.default_rng([seed, 1])
    image_faults, report_faults = _place_faults(rng, n_studies)
    coverages = _balanced(rng, n_studies, COVERAGES, (0.38, 0.34, 0.28))
    findings = _draw_findings(rng, coverages)
    studies: list[StudyPlan] = []
    for n in range(n_studies):
        again = bool(studies) and (n % 7 == 5 or report_faults[n] == "same_day")
        site = studies[-1].patient if again else None
        studies.append(
            _study(
                n, seed, coverages[n], findings[n], (image_faults[n], report_faults[n]),
                earlier=studies[-1] if site is not None else None, others=studies,
            )
        )  # fmt: skip
    return tuple(studies)


def _study(number: int, seed: int, coverage: str, findings: tuple[str, ...], faults: tuple[str, str], *,
           earlier: StudyPlan | None, others: list[StudyPlan]) -> StudyPlan:  # fmt: skip
    rng = np.random.default_rng([seed, 2, number])
    site = earlier.site if earlier else SITES[int(rng.integers(0, len(SITES)))]
    patient = earlier.patient if earlier else _patient(rng, number, seed, site)
    day = date(2020, 1, 6) + timedelta(days=int(rng.integers(0, 1700)))
    if earlier:
        before = date.fromisoformat(earlier.study_date)
        day = before if faults[1] == "same_day" else before + timedelta(days=int(rng.integers(30, 400)))
    accession = (f"{day:%y}{100000 + number * 37 + int(rng.integers(0, 30))}", f"CT-{day:%Y}-{4000 + number:06d}",
                 f"A{7000000 + number * 113}", f"{day:%Y%m%d}{number:04d}")[site.number]  # fmt: skip
    candidates = [s for s in others if s.patient.number != patient.number and s.report_fault == ""]
    if faults[1] == "accession_collision" and candidates:
        twin = candidates[int(rng.integers(0, len(candidates)))]
        accession = twin.accession_number
        if site.number == twin.site.number or str(day) == twin.study_date:
            day = date.fromisoformat(twin.study_date) + timedelta(days=371)
    doctors = rng.permutation(len(DOCTORS))
    initials = "ABCDEGHJKLMNPRSTW"
    names = [f"{DOCTORS[int(d)]}^{initials[int(rng.integers(0, len(initials)))]}" for d in doctors[:3]]
    return StudyPlan(
        number=number,
        seed=int(rng.integers(1, 2**31)),
        patient=patient,
        site=site,
        study_uid=make_uid("t3dkit demo", seed, "study", number),
        accession_number=accession,
        report_number=f"R{site.number}{800000 + number * 17}",
        study_date=str(day),
        study_time=f"{int(rng.integers(7, 19)):02d}{int(rng.integers(0, 60)):02d}{int(rng.integers(0, 60)):02d}",
        coverage=coverage,
        phase=str(rng.choice(["none", "arterial", "portal"], p=[0.34, 0.2, 0.46])),
        vendor=VENDORS[int(rng.integers(0, len(VENDORS)))],
        findings=findings,
        image_fault=faults[0],
        report_fault=faults[1],
        referring=names[0],
        radiologist=names[1],
        operator=names[2],
        prior_date=str(day - timedelta(days=int(rng.integers(60, 900)))),
    )


def _patient(rng: np.random.Generator, number: int, seed: int, site: Site) -> Patient:
    sex = "M" if rng.random() < 0.5 else "F"
    family = FAMILY_NAMES[(number * 5 + seed) % len(FAMILY_NAMES)]
    given = GIVEN_NAMES[sex][int(rng.integers(0, len(GIVEN_NAMES[sex])))]
    mrn = (f"{4410000 + number * 271 + int(rng.integers(0, 200))}", f"LK{90000 + number * 7}", f"{310000 + number}",
           f"C-{55000 + number * 3}")[site.number]  # fmt: skip
    return Patient(
        number=number,
        seed=int(rng.integers(1, 2**31)),
        name=f"{family}^{given}",
        patient_id=mrn,
        issuer=site.issuer,
        birth_date=str(date(1930, 3, 1) + timedelta(days=int(rng.integers(0, 25000)))),
        sex=sex,
        phone=f"555-{int(rng.integers(2000, 9999))}",
        address=f"{int(rng.integers(1, 240))} {STREETS[int(rng.integers(0, len(STREETS)))]}",
        other_id=f"NID{int(rng.integers(10**8, 10**9))}",
        size=float(rng.beta(1.6, 1.6)),
    )


def _balanced(rng: np.random.Generator, n: int, values: tuple[str, ...], shares: tuple[float, ...]) -> list[str]:
    """`n` values whose counts follow `shares` as closely as possible, shuffled."""
    edges = np.cumsum(shares) / sum(shares)
    ordered = [values[int(np.searchsorted(edges, (k + 0.5) / n))] for k in range(n)]
    return [ordered[int(k)] for k in rng.permutation(n)]


def _draw_findings(rng: np.random.Generator, coverages: list[str]) -> list[tuple[str, ...]]:
    """Per study the findings drawn; a finding's positives are spread evenly, so that small exports hold each too."""
    drawn: list[set[str]] = [set() for _ in coverages]
    for name, share in {**CHEST_FINDINGS, **ABDOMEN_FINDINGS, **TRUNK_FINDINGS}.items():
        able = [n for n, coverage in enumerate(coverages) if name in shown_findings(coverage)]
        wanted = int(np.floor(share * len(able) + rng.random())) if able else 0
        for k in rng.permutation(len(able))[: max(wanted, min(1, len(able)))]:
            drawn[able[int(k)]].add(name)
    return [tuple(name for name in FINDINGS if name in kinds) for kinds in drawn]


def _place_faults(rng: np.random.Generator, n: int) -> tuple[list[str], list[str]]:
    """An image fault for about a third of the studies and a report fault for about an eighth, never both."""
    order = [int(k) for k in rng.permutation(n)]
    n_image = (
        min(len(IMAGE_FAULTS), round((0.36 if n >= 60 else 0.3) * n))
        if n < 2 * len(IMAGE_FAULTS)
        else max(len(IMAGE_FAULTS), n // 4)
    )
    n_report = min(2 * len(REPORT_FAULTS), max(1, n // 8 + 1), n - n_image)
    image, report = [""] * n, [""] * n
    for place, study in enumerate(order[:n_image]):
        image[study] = IMAGE_FAULTS[place % len(IMAGE_FAULTS)]
    free = [study for study in order[n_image:] if study > 0]
    for place, study in enumerate(free[:n_report]):
        report[study] = REPORT_FAULTS[place % len(REPORT_FAULTS)]
    return image, report
