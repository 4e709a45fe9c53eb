"""The reports of a run, read and merged, and the records that linking compares.

Enters: a source of reports (and the report objects inside the export), the indexed headers. Leaves: merged reports
with pseudonyms, what was dropped on the way, study and report records. Refuses a source that holds no report at all.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.index import patient_owner
from curation.ledger import Ledger
from curation.link import ReportRecord, StudyRecord
from curation.pseudonyms import Pseudonyms
from reports.records import MergedReport, RawReport, ReportDrop

IDENTIFYING_FIELDS = {
    "patient_id": "PatientID",
    "patient_name": "PatientName",
    "patient_birth_date": "PatientBirthDate",
    "accession_number": "AccessionNumber",
    "study_instance_uid": "StudyInstanceUID",
    "report_number": "ReportNumber",
}
"""Field of `RawReport` -> kind of identifier; beside them `RawReport.known_identifiers`: other columns that name."""

ReportDropRow = tuple[str, str, str]
"""(source key, reason, detail)"""


@dataclass(frozen=True)
class Intake:
    """The reports of a run.

    Parameters
    ----------
    reports : mapping
        report_id (pseudonym) -> merged report.
    dropped : list of (source key, reason, detail)
        Rows that gave no report of their own.
    n_rows, n_used : int
        Rows and messages read, dropped ones included; those that went into a report.
    """

    reports: Mapping[str, MergedReport]
    dropped: Sequence[ReportDropRow]
    n_rows: int
    n_used: int


def read_source(source: Path, columns: Mapping[str, str] | None = None) -> list[RawReport | ReportDrop]:
    """Every report row of a source, dropped ones included.

    Raises
    ------
    ConfigError
        A table has no usable column.
    """
    from reports.sources import read_reports

    return list(read_reports(source, columns=columns or None))


def merge_intake(items: Sequence[RawReport | ReportDrop], pseudonyms: Pseudonyms) -> Intake:
    """Merge the versions of each report and give it its pseudonym."""
    from reports.versions import merge_versions

    raws = [item for item in items if isinstance(item, RawReport)]
    outcome = merge_versions(raws)
    drops = [item for item in items if not isinstance(item, RawReport)] + list(outcome.dropped)
    dropped = [(drop.source_key, str(drop.reason), drop.detail) for drop in drops]
    gone = {key for key, _reason, _detail in dropped}
    used = {key for report in outcome.reports for key in report.versions} - gone
    return Intake(_with_ids(outcome.reports, pseudonyms), dropped, n_rows=len(items), n_used=len(used))


def _with_ids(reports: Iterable[MergedReport], pseudonyms: Pseudonyms) -> dict[str, MergedReport]:
    """Pseudonyms that survive another order of rows and, where the source numbers its reports, a corrected text."""
    named: dict[tuple[str, ...], list[MergedReport]] = defaultdict(list)
    for report in reports:
        raw = report.raw
        identity = (raw.accession_number, raw.issuer_of_accession, raw.patient_id, raw.issuer_of_patient_id)
        named[tuple(part or "" for part in (*identity, raw.study_instance_uid, raw.report_number))].append(report)
    ids: dict[str, MergedReport] = {}
    for parts, group in sorted(named.items()):
        if len(group) == 1 and any(parts):
            ids[pseudonyms.of("report", *parts)] = group[0]
            continue
        seen: Counter[str] = Counter()
        for report in sorted(group, key=lambda one: (one.raw.text, one.raw.source_key)):
            digest = hashlib.sha256(report.raw.text.encode("utf-8", "replace")).hexdigest()
            seen[digest] += 1
            ids[pseudonyms.of("report", *parts, digest, str(seen[digest]))] = report
    return ids


def keep_identifiers(intake: Intake, ledger: Ledger) -> None:
    """Add what identifies in the reports to the ledger, for the search through the whole data set."""
    rows = []
    for report_id, merged in intake.reports.items():
        owner = patient_owner("report", report_id)
        rows += [(owner, kind, value) for kind, value in identifiers_of(merged.raw) if not is_date_kind(kind)]
    with ledger.transaction():
        ledger.put_identifiers(rows)


def identifiers_of(raw: RawReport) -> list[tuple[str, str]]:
    """(kind, value) of every field of a report that says whose it is; docs/curation_identifiers.md lists them."""
    named = ((kind, getattr(raw, name)) for name, kind in IDENTIFYING_FIELDS.items())
    return [(kind, value) for kind, value in (*named, *raw.known_identifiers) if value]


def is_date_kind(kind: str) -> bool:
    """Whether a field holds a date or time: these are shifted, and cannot be searched for."""
    name = kind.casefold()
    return any(word in name for word in ("date", "time", "birth", "dob"))


def report_record(report_id: str, merged: MergedReport) -> ReportRecord:
    """What linking compares of a report."""
    raw = merged.raw
    return ReportRecord(
        key=report_id,
        accession=raw.accession_number or "",
        issuer_of_accession=raw.issuer_of_accession or "",
        issuer=raw.issuer_of_patient_id or "",
        patient_id=raw.patient_id or "",
        study_uid=raw.study_instance_uid or "",
        study_date=raw.study_date,
        report_date=_day(raw.report_datetime),
        birth_date=raw.patient_birth_date,
        sex=raw.patient_sex,
        name=raw.patient_name,
        modality=raw.modality,
    )


def study_records(facts: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[StudyRecord]:
    """What linking compares of each study; of several headers the first that says something speaks."""
    return [
        StudyRecord(
            key=uid,
            issuer=_first(headers, "issuer") or "",
            patient_id=_first(headers, "patient_id") or "",
            accessions=frozenset(str(h["accession"]).strip() for h in headers if h["accession"]),
            issuer_of_accession=_first(headers, "issuer_of_accession") or "",
            study_date=_first(headers, "study_date"),
            birth_date=_first(headers, "birth_date"),
            sex=_first(headers, "sex"),
            name=_first(headers, "name"),
            modalities=frozenset(str(h["modality"]) for h in headers if h["modality"]),
        )
        for uid, headers in sorted(facts.items())
    ]


def _first(headers: Sequence[Mapping[str, Any]], name: str) -> str | None:
    return next((str(header[name]) for header in headers if header[name]), None)


def _day(moment: str | None) -> str | None:
    digits = (moment or "")[:10].replace("-", "")
    return digits if len(digits) == 8 and digits.isdigit() else None
