"""Which report belongs to which study.

Enters: small records of studies and reports. Leaves: links with rule and confidence, and a drop with a reason for
everything left over. Refuses to choose between equals: one wrong link is worse than ten lost ones.

Rules, tried in this order; each links only where it is unique both ways:

accession           same accession number, issuers compatible; patient, date, modality and UID do not contradict; where
                    patient and day do not both agree, a number that differs in zeros or prefix is a rival
study_uid           same StudyInstanceUID, patient does not contradict
accession_variant   same accession number up to zeros, prefix and punctuation, and patient **and** date agree
patient_date        the report has no accession number; same patient and study date (or reported within a window of it)

Evidence that contradicts (another patient id, birth date, sex, day or modality, or accession number and
StudyInstanceUID pointing at different studies) makes LINK_CONFLICT: the report does not fall through to a weaker rule.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from curation.config import LinkConfig
from curation.reasons import DropReason

Agreement = bool | None
"""True: agrees; False: contradicts; None: one side does not say."""

MODALITIES = frozenset(["CT", "MR", "US", "CR", "DX", "DR", "RF", "XA", "NM", "PT", "MG", "OT", "RG", "ES"])
"""Modality codes that a report may carry (DICOM PS3.3 C.7.3.1.1.1); another one than the study's contradicts."""


@dataclass(frozen=True)
class StudyRecord:
    """What linking knows of a study; dates are YYYYMMDD."""

    key: str  # StudyInstanceUID
    issuer: str
    patient_id: str
    accessions: frozenset[str] = frozenset()
    issuer_of_accession: str = ""
    study_date: str | None = None
    birth_date: str | None = None
    sex: str | None = None
    name: str | None = None
    modalities: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ReportRecord:
    """What linking knows of a report; dates are YYYYMMDD."""

    key: str
    accession: str = ""
    issuer_of_accession: str = ""
    issuer: str = ""
    patient_id: str = ""
    study_uid: str = ""
    study_date: str | None = None
    report_date: str | None = None
    birth_date: str | None = None
    sex: str | None = None
    name: str | None = None
    modality: str | None = None


@dataclass(frozen=True)
class Link:
    """A report and the study it belongs to."""

    report: str
    study: str
    rule: str
    confidence: float


@dataclass(frozen=True)
class LinkDrop:
    """A report or study left without a partner; `others` names the other side, for the private ledger only."""

    key: str
    reason: DropReason
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class LinkOutcome:
    """Every study and every report is in exactly one of these."""

    links: tuple[Link, ...]
    dropped_reports: tuple[LinkDrop, ...]
    dropped_studies: tuple[LinkDrop, ...]


def link_reports(
    studies: Iterable[StudyRecord], reports: Iterable[ReportRecord], config: LinkConfig | None = None
) -> LinkOutcome:
    """Link reports to studies; the same outcome whatever the order of either.

    Parameters
    ----------
    studies, reports : iterable of records
        Keys are unique within each.
    config : LinkConfig, optional
        Rules in use and their windows in days.
    """
    config = config or LinkConfig()
    by_study = {study.key: study for study in sorted(studies, key=lambda study: study.key)}
    by_report = {report.key: report for report in sorted(reports, key=lambda report: report.key)}
    linker = _Linker(by_study, by_report, config)
    for rule in ("accession", "study_uid", "accession_variant", "patient_date"):
        if rule in config.rules:
            linker.apply(rule)
    return linker.outcome()


class _Linker:
    """The indexes over one batch, and the links made so far."""

    def __init__(self, studies: dict[str, StudyRecord], reports: dict[str, ReportRecord], config: LinkConfig) -> None:
        self.studies, self.reports, self.config = studies, reports, config
        self.links: dict[str, Link] = {}
        self.linked_studies: set[str] = set()
        self.report_drops: dict[str, LinkDrop] = {}
        self.study_drops: dict[str, LinkDrop] = {}
        self.by_accession = _index(studies.values(), lambda study: study.accessions)
        self.by_variant = _index(studies.values(), lambda study: {accession_core(a) for a in study.accessions})
        self.by_patient = _index(studies.values(), lambda study: {study.patient_id})
        if {"accession", "study_uid"} <= set(config.rules):
            self._refuse_divided_evidence()

    def apply(self, rule: str) -> None:
        """Link what `rule` makes unique; drop what it makes ambiguous or contradictory."""
        candidates: dict[str, list[str]] = {}
        contradicted: dict[str, list[str]] = {}
        for key, report in self.reports.items():
            if key in self.links or key in self.report_drops:
                continue
            for study in self._named_by(rule, report):
                verdict = self._admits(rule, report, study)
                if verdict is not None:
                    (candidates if verdict else contradicted).setdefault(key, []).append(study.key)
            if rule == "accession" and key in candidates:
                candidates[key] += self._look_alikes(report, candidates[key])
            # Several studies under one order number, and the report names one of them.
            if report.study_uid in candidates.get(key, ()):
                candidates[key] = [report.study_uid]
        self._link_unique(rule, candidates)
        for key, studies in contradicted.items():
            if key not in candidates:
                self._drop_report(key, DropReason.LINK_CONFLICT, studies, (key,))

    def outcome(self) -> LinkOutcome:
        """Everything, with the unmatched named as such."""
        reports = [
            self.report_drops.get(key, LinkDrop(key, DropReason.UNMATCHED_REPORT))
            for key in self.reports
            if key not in self.links
        ]
        studies = [
            self.study_drops.get(key, LinkDrop(key, DropReason.UNMATCHED_STUDY))
            for key in self.studies
            if key not in self.linked_studies
        ]
        links = sorted(self.links.values(), key=lambda link: (link.study, link.report))
        return LinkOutcome(tuple(links), tuple(reports), tuple(studies))

    def _named_by(self, rule: str, report: ReportRecord) -> list[StudyRecord]:
        if rule == "accession":
            return self.by_accession.get(_trimmed(report.accession), [])
        if rule == "study_uid":
            return [self.studies[report.study_uid]] if report.study_uid in self.studies else []
        if rule == "accession_variant":
            return self.by_variant.get(accession_core(report.accession), [])
        return self.by_patient.get(report.patient_id, []) if report.patient_id else []

    def _look_alikes(self, report: ReportRecord, named: Sequence[str]) -> list[str]:
        """Studies whose number differs only in zeros and prefix, where patient and day do not settle it."""
        studies = [self.studies[key] for key in named]
        if any(same_patient(report, study) and self._same_day(report, study) for study in studies):
            return []
        return [
            study.key
            for study in self.by_variant.get(accession_core(report.accession), [])
            if study.key not in named and _is_possible(report, study, self._same_day(report, study))
        ]

    def _admits(self, rule: str, report: ReportRecord, study: StudyRecord) -> bool | None:
        """True: a candidate; False: named, but contradicted; None: not named after all."""
        patient, day = same_patient(report, study), self._same_day(report, study)
        modality = _modality_fits(report, study)
        if rule == "accession":
            if not _compatible(report.issuer_of_accession, study.issuer_of_accession):
                return None
            # A number reused for another day or person is a collision, not evidence about this study,
            # but a report that has no better candidate must not be linked by weaker evidence either.
            return _is_possible(report, study, day)
        if rule == "study_uid":
            return patient is not False and (patient is True or not _orders_differ(report, study))
        # From here on evidence is weak: whatever else the report says about its study has to agree.
        if not patient or modality is False or not _compatible(report.study_uid, study.key):
            return None
        if rule == "accession_variant":
            return True if day else None
        if report.accession:  # it names an order, and the order is not this study's
            return None
        if report.study_date:
            return True if report.study_date == study.study_date else None
        return True if _within(report.report_date, study.study_date, self.config.window_days) else None

    def _link_unique(self, rule: str, candidates: dict[str, list[str]]) -> None:
        wanted_by: dict[str, list[str]] = defaultdict(list)
        for key, studies in candidates.items():
            for study in studies:
                wanted_by[study].append(key)
        for key, studies in candidates.items():
            rivals = sorted({rival for study in studies for rival in wanted_by[study]} - {key})
            if len(studies) == 1 and not rivals and self._is_free(studies[0], rule):
                self.links[key] = Link(key, studies[0], rule, self._confidence(rule, self.reports[key], studies[0]))
                self.linked_studies.add(studies[0])
            else:
                self._drop_report(key, DropReason.LINK_AMBIGUOUS, studies, (key, *rivals))

    def _is_free(self, study: str, rule: str) -> bool:
        if study in self.linked_studies:
            return False
        # A stranger's report under this study's order number does not keep it from the report that names its UID,
        # but weak evidence is not enough any more.
        held = self.study_drops.get(study)
        return held is None or (rule == "study_uid" and held.reason == DropReason.LINK_CONFLICT)

    def _refuse_divided_evidence(self) -> None:
        for key, report in self.reports.items():
            numbered = {study.key for study in self._named_by("accession", report)}
            named = {study.key for study in self._named_by("study_uid", report)}
            if numbered and named and not numbered & named:
                self._drop_report(key, DropReason.LINK_CONFLICT, sorted(numbered | named), (key,))

    def _drop_report(self, key: str, reason: DropReason, studies: Sequence[str], reports: tuple[str, ...]) -> None:
        self.report_drops[key] = LinkDrop(key, reason, tuple(studies))
        for study in studies:
            if study not in self.linked_studies:
                self.study_drops.setdefault(study, LinkDrop(study, reason, reports))

    def _same_day(self, report: ReportRecord, study: StudyRecord) -> Agreement:
        if report.study_date:
            return _within(report.study_date, study.study_date, self.config.accession_days)
        return _within(report.report_date, study.study_date, self.config.report_days)

    def _confidence(self, rule: str, report: ReportRecord, study_key: str) -> float:
        study = self.studies[study_key]
        patient, day = same_patient(report, study), self._same_day(report, study)
        confirmed = 0.0 if patient else 0.05 if day else 0.1
        base = {"accession": 1.0, "study_uid": 1.0, "accession_variant": 0.95, "patient_date": 0.8}[rule]
        return round(base - confirmed, 2)


def _is_possible(report: ReportRecord, study: StudyRecord, day: Agreement) -> bool:
    """Whether nothing that both sides say speaks against a link."""
    agreements = (same_patient(report, study), day, _modality_fits(report, study))
    return False not in agreements and _compatible(report.study_uid, study.key)


def accession_core(accession: str) -> str:
    """An accession number without prefix, leading zeros and punctuation: ``CT-000123 -> 123``; "" when nothing is left.

    Only ever a proposal: numbers of two systems share their cores, so patient and date must confirm.
    """
    digits = re.findall(r"\d+", accession)
    return "".join(digits).lstrip("0")


def same_patient(report: ReportRecord, study: StudyRecord) -> Agreement:
    """Whether a report and a study concern the same person.

    Ids decide; birth date, sex and (Latin) name can only contradict, since others share them.
    """
    for mine, theirs in ((report.birth_date, study.birth_date), (_sex(report.sex), _sex(study.sex))):
        if mine and theirs and mine != theirs:
            return False
    if _names_contradict(report.name, study.name):
        return False
    if not report.patient_id or not study.patient_id or not _compatible(report.issuer, study.issuer):
        return None if not report.patient_id or not study.patient_id else False
    return report.patient_id == study.patient_id


def _names_contradict(mine: str | None, theirs: str | None) -> bool:
    # Only names in Latin letters are compared: one person is written in several scripts.
    if not mine or not theirs or not (mine.isascii() and theirs.isascii()):
        return False
    words = [set(re.findall(r"[a-z]{2,}", name.lower())) for name in (mine, theirs)]
    return bool(words[0] and words[1] and not words[0] & words[1])


def _orders_differ(report: ReportRecord, study: StudyRecord) -> bool:
    cores = {accession_core(accession) for accession in study.accessions}
    return bool(report.accession and cores and accession_core(report.accession) not in cores)


def _sex(text: str | None) -> str | None:
    letter = (text or "").strip().upper()[:1]
    return letter if letter in ("M", "F") else None


def _compatible(mine: str, theirs: str) -> bool:
    return not mine or not theirs or mine == theirs


def _trimmed(accession: str) -> str:
    return accession.strip()


def _within(mine: str | None, theirs: str | None, days: int) -> Agreement:
    first, second = _day(mine), _day(theirs)
    if first is None or second is None:
        return None
    return abs((first - second).days) <= days


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(f"{text[:4]}-{text[4:6]}-{text[6:8]}") if text and len(text) >= 8 else None
    except ValueError:
        return None


def _modality_fits(report: ReportRecord, study: StudyRecord) -> Agreement:
    said = (report.modality or "").strip().upper()
    if said not in MODALITIES or not study.modalities:
        return None  # free words (CTA, "CT chest") neither confirm nor contradict
    return said in study.modalities


def _index(
    studies: Iterable[StudyRecord], keys_of: Callable[[StudyRecord], Iterable[str]]
) -> dict[str, list[StudyRecord]]:
    index: dict[str, list[StudyRecord]] = defaultdict(list)
    for study in studies:
        for key in sorted(keys_of(study)):
            if key:
                index[key].append(study)
    return dict(index)
