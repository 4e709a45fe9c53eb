"""From messages to reports: preliminary, final, corrected, addendum and cancelled versions of one report made one.

Enters: raw reports in the order of their source. Leaves: one `MergedReport` per report, and a drop for every
version that is not part of its text, so that rows in = versions merged + dropped. Refuses: a group whose
versions name different patients.

Rules (fault catalogue G08-G11, G14): the newest final-class version wins; a correction replaces what it corrects;
addenda are appended in order, each once; a cancellation voids what came before it; a preliminary version is kept
only when there is nothing better.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

from reports.reasons import DropReason, ReportFlag
from reports.records import MergedReport, RawReport, ReportDrop

_FINAL_CLASS = ("final", "corrected", "unknown")
_STRENGTH = {"preliminary": 0, "unknown": 1, "final": 2, "corrected": 3, "addendum": 4, "cancelled": 5}
"""Decides between versions of the same time: the one that is safer to believe comes later."""
_FIXED_WIDTHS = frozenset({254, 255, 256, 512, 1000, 1024, 2000, 2048, 4000, 4096, 8000, 8192, 32000, 32766, 65535})
"""Text column widths of databases and exports (catalogue H03)."""
_ADDENDUM_HEADING = re.compile(r"[\s*_=-]{0,40}(?:addend(?:um|a)|nachtrag|adenda)\b", re.IGNORECASE)
_TEMPLATE = re.compile(r"\[ {0,3}\]|\*\*\*|_{4,40}|\[(?:insert|select|free text|text)[^\]\n]{0,60}\]", re.IGNORECASE)
_OUTSIDE = re.compile(
    r"\b(?:outside (?:study|films?|images?|ct|mri?) (?:was |were )?(?:read|review|interpret)|second opinion)",
    re.IGNORECASE,
)
_WRONG = re.compile(
    r"\b(?:dictated (?:on|under|for|in) the wrong|wrong (?:patient|accession)\b|entered (?:on|in|under) the wrong)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class VersionOutcome:
    """What became of the raw reports: merged ones, and those that went no further."""

    reports: tuple[MergedReport, ...]
    dropped: tuple[ReportDrop, ...]


def merge_versions(reports: Sequence[RawReport]) -> VersionOutcome:
    """Group the versions of each report and make one text of each group.

    Versions share issuer and accession number; without accession number the report number, else the study
    instance UID, where that belongs to one group only. A number reused for another patient is another report.
    """
    merged: list[MergedReport] = []
    dropped: list[ReportDrop] = []
    for group in (part for whole in _groups(reports) for part in _apart(whole)):
        if _names_several_patients(group):
            detail = f"{len(group)} versions under one accession or report number"
            dropped += [ReportDrop(raw.source_key, DropReason.PATIENT_CONFLICT, detail) for raw in group]
            continue
        report, drops = _merge(group)
        merged += [report] if report else []
        dropped += drops
    return VersionOutcome(tuple(merged), tuple(dropped))


def text_flags(text: str) -> tuple[ReportFlag, ...]:
    """Flags that the text alone justifies: template placeholders, a cut end, an outside read, a wrong patient."""
    flags = []
    if _TEMPLATE.search(text):
        flags.append(ReportFlag.TEMPLATE)
    if len(text) in _FIXED_WIDTHS and not text.rstrip().endswith((".", "!", ":", ")")):
        flags.append(ReportFlag.TRUNC_TEXT)
    if _OUTSIDE.search(text):
        flags.append(ReportFlag.OUTSIDE_READ)
    if _WRONG.search(text):
        flags.append(ReportFlag.WRONG_PATIENT)
    return tuple(flags)


def _groups(reports: Sequence[RawReport]) -> list[list[RawReport]]:
    """Versions that belong together, in the order of the source."""
    owners: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for raw in reports:
        for alias in _aliases(raw):
            owners.setdefault(alias, set()).add(_aliases(raw)[0])
    groups: dict[tuple[str, ...], list[RawReport]] = {}
    for raw in reports:
        key = _aliases(raw)[0]
        if key[0] != "accession":  # an addendum without accession number joins the report it numbers
            found = {owner for alias in _aliases(raw) for owner in owners[alias] if owner[0] == "accession"}
            key = found.pop() if len(found) == 1 else key
        groups.setdefault(key, []).append(raw)
    return list(groups.values())


def _aliases(raw: RawReport) -> list[tuple[str, ...]]:
    """What a version can be grouped by, best first."""
    found: list[tuple[str, ...]] = []
    if raw.accession_number:
        found.append(("accession", _normal(raw.issuer_of_accession), _normal(raw.accession_number)))
    if raw.report_number:
        found.append(("report", _normal(raw.report_number)))
    if raw.study_instance_uid:
        found.append(("study", raw.study_instance_uid))
    return found or [("row", raw.source_key)]


def _apart(group: list[RawReport]) -> list[list[RawReport]]:
    """A reused accession number (catalogue C10) taken apart by patient.

    Only where every row has a patient id and a report number of its own patient: then they are different reports.
    The same report number under two patients stays together, and is a conflict.
    """
    owners: dict[str, set[tuple[str, str]]] = {}
    for raw in group:
        if not raw.patient_id or not raw.report_number:
            return [group]
        owners.setdefault(_normal(raw.report_number), set()).add(
            (_normal(raw.issuer_of_patient_id), _normal(raw.patient_id))
        )
    if any(len(patients) > 1 for patients in owners.values()) or len(owners) == 1:
        return [group]
    parts: dict[tuple[str, str], list[RawReport]] = {}
    for raw in group:
        parts.setdefault((_normal(raw.issuer_of_patient_id), _normal(raw.patient_id)), []).append(raw)
    return list(parts.values())


def _normal(value: str | None) -> str:
    return "".join((value or "").split()).casefold()


def _names_several_patients(group: Sequence[RawReport]) -> bool:
    """Whether patient ids differ; where not every version has one, whether the names have no part in common."""
    ids = {(_normal(raw.issuer_of_patient_id), _normal(raw.patient_id)) for raw in group if raw.patient_id}
    issuers = {issuer for issuer, _ in ids if issuer}
    if len({number for _, number in ids}) > 1 or len(issuers) > 1:
        return True
    if ids and all(raw.patient_id for raw in group):
        return False
    names = [set(re.findall(r"\w+", raw.patient_name.casefold())) for raw in group if raw.patient_name]
    return any(not names[0] & other for other in names[1:])


def _merge(group: Sequence[RawReport]) -> tuple[MergedReport | None, list[ReportDrop]]:
    ordered = sorted(group, key=_sort_key)
    flags = [ReportFlag.VERSION_ORDER] if _is_ambiguous(group) else []
    drops: list[ReportDrop] = []
    voids = [index for index, raw in enumerate(ordered) if raw.status == "cancelled"]
    if voids:
        void, ordered = ordered[: voids[-1] + 1], ordered[voids[-1] + 1 :]
        drops += [ReportDrop(raw.source_key, DropReason.VOID_REPORT, "cancelled or entered in error") for raw in void]
    if not ordered:
        return None, drops
    bodies = [raw for raw in ordered if raw.status in _FINAL_CLASS] or [
        raw for raw in ordered if raw.status == "preliminary"
    ]
    addenda = [raw for raw in ordered if raw.status == "addendum"]
    winner = bodies[-1] if bodies else addenda[0]
    if not bodies:
        flags.append(ReportFlag.ADDENDUM_ONLY)
    elif winner.status == "preliminary":
        flags.append(ReportFlag.PRELIM)
    text, used = _append(winner, addenda)
    kept = {winner.source_key, *used}
    superseded = [raw for raw in ordered if raw.source_key not in kept]
    drops += [ReportDrop(raw.source_key, DropReason.SUPERSEDED, f"{raw.status} version") for raw in superseded]
    flags += text_flags(text)
    versions = tuple(raw.source_key for raw in ordered if raw.source_key in kept)
    return MergedReport(_filled(winner, text, group), versions, tuple(str(flag) for flag in flags)), drops


def _append(winner: RawReport, addenda: Iterable[RawReport]) -> tuple[str, list[str]]:
    """The winner's text with each addendum once, and the source keys of the addenda that are in it.

    An addendum message may hold the addendum alone, or the whole report again with the addendum in it.
    """
    text, used = _headed(winner.text) if winner.status == "addendum" else winner.text, []
    for addendum in addenda:
        if addendum is winner:
            continue
        used.append(addendum.source_key)
        whole, part = _squeezed(text), _squeezed(addendum.text)
        if part in whole:
            continue
        text = addendum.text if whole in part else f"{text.rstrip()}\n\n{_headed(addendum.text)}"
    return text, used


def _headed(text: str) -> str:
    body = text.strip() + "\n"
    return body if _ADDENDUM_HEADING.match(body) else f"ADDENDUM:\n{body}"


def _squeezed(text: str) -> str:
    return " ".join(text.split()).casefold()


def _sort_key(raw: RawReport) -> tuple[str, int]:
    """Time in UTC, then strength; Python's sort keeps the order of the source between equals."""
    return _moment(raw), _STRENGTH[raw.status]


def _moment(raw: RawReport) -> str:
    if not raw.report_datetime:
        return ""
    try:
        moment = datetime.fromisoformat(raw.report_datetime)
    except ValueError:
        return ""
    if moment.tzinfo:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.isoformat()


def _is_ambiguous(group: Sequence[RawReport]) -> bool:
    """Whether two final-class versions with different texts have no time that orders them."""
    finals = [raw for raw in group if raw.status in _FINAL_CLASS]
    keys = {_sort_key(raw) for raw in finals}
    texts = {_squeezed(raw.text) for raw in finals}
    missing = any(not _moment(raw) for raw in finals)
    return len(texts) > 1 and (missing or len(keys) < len(finals))


def _filled(winner: RawReport, text: str, group: Sequence[RawReport]) -> RawReport:
    """The winner with the merged text, and with what other versions know and it does not."""
    values: dict[str, Any] = {}
    for field in fields(RawReport):
        if getattr(winner, field.name) is None:
            values[field.name] = next((value for raw in group if (value := getattr(raw, field.name)) is not None), None)
    known = tuple(dict.fromkeys(pair for raw in group for pair in raw.known_identifiers))
    return replace(winner, text=text, known_identifiers=known, **values)
