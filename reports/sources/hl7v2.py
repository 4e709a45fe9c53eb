"""HL7 v2 result messages (ORU^R01), single, concatenated or in batches.

Enters: a file of messages with any line ends. Leaves: a report or a drop for every OBR with results. Refuses:
messages of another kind, segments before the first MSH, text that is only there as a PDF.

References: HL7 v2.5.1 chapters 2 (encoding, escapes, batches), 4 (OBR) and 7 (OBX, tables 0085, 0123).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reports.reasons import DropReason
from reports.records import RawReport, ReportDrop
from reports.sources.encoding import decode
from reports.sources.markup import plain_text
from reports.sources.values import date_of, datetime_of, sex_of, status_of
from t3dkit.errors import ConfigError

_ENVELOPE = ("FHS", "BHS", "BTS", "FTS")
_TEXT_TYPES = ("TX", "FT", "ST", "CWE", "CE", "")
_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}(?=\W|$)")
_REPEATED_TEXT_STATUS = ("D", "X", "W")
_PLACE = re.compile(r"([A-Z][A-Z0-9]{2})-(\d{1,2})(?:\.(\d{1,2}))?")
_IMPRESSION = ("IMP", "19005-8", "59777-3")
_ADDENDUM = ("ADT", "ADD", "ADDENDUM", "55107-7")

DEFAULT_PLACES: dict[str, tuple[str, ...]] = {
    "accession_number": ("OBR-18", "OBR-3.1", "ORC-3.1", "OBR-2.1"),  # OBR-18 carries it in IHE Scheduled Workflow
    "report_number": ("OBR-3.1", "OBR-2.1"),
    "patient_id": ("PID-3.1", "PID-2.1"),
    "issuer_of_patient_id": ("PID-3.4",),
    "patient_name": ("PID-5",),
    "patient_birth_date": ("PID-7",),
    "patient_sex": ("PID-8",),
    "study_instance_uid": ("ZDS-1.1",),
    "study_date": ("OBR-7",),
    "report_datetime": ("OBR-22", "OBR-6"),
    "modality": ("OBR-24",),
    "description": ("OBR-4.2", "OBR-44.2", "OBR-4.1"),
    "status": ("OBR-25",),
}
_IDENTIFYING: dict[str, tuple[str, ...]] = {
    "name": ("PID-6", "PID-9", "NK1-2", "OBR-10", "OBR-16", "OBR-28", "OBR-32", "OBR-33", "OBR-34", "OBR-35", "ORC-10",
             "ORC-12", "PV1-7", "PV1-8", "PV1-9", "PV1-17", "OBX-16"),
    "id": ("PID-2.1", "PID-3.1", "PID-4.1", "PID-18.1", "PID-19", "PV1-19.1", "OBR-2.1", "OBR-3.1", "ORC-2.1",
           "ORC-3.1"),
    "phone": ("PID-13", "PID-14", "OBR-17"),
    "address": ("PID-11",),
}  # fmt: skip


@dataclass(frozen=True)
class _Message:
    """Segments split into fields, and the separators the message declares."""

    segments: tuple[tuple[str, ...], ...]
    component: str
    repetition: str
    escape: str
    subcomponent: str


def read_hl7(path: Path, key: str, columns: Mapping[str, str] | None) -> Iterator[RawReport | ReportDrop]:
    """Every result of every message. `columns` may name places: ``{"accession_number": "OBR-18"}``.

    Raises
    ------
    ConfigError
        `columns` names something that is no place in a message.
    """
    places = _places(columns or {})
    for number, lines in enumerate(_split(decode(path.read_bytes())), start=1):
        source_key = f"{key}#{number}"
        if not lines[0].startswith("MSH") or len(lines[0]) < 8:
            yield ReportDrop(source_key, DropReason.ROW_PARSE, f"message {number}: segments without MSH")
            continue
        yield from _read_message(_parse(lines), places, source_key)


def _places(columns: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    places = dict(DEFAULT_PLACES)
    for name, place in columns.items():
        target = {"accession": "accession_number", "patient": "patient_id", "date": "study_date"}.get(name, name)
        if target not in places or not _PLACE.fullmatch(place):
            raise ConfigError(
                f"columns: {name}={place}: for HL7 give a field of {', '.join(places)} and a place such as OBR-18"
            )
        places[target] = (place,)
    return places


def _split(text: str) -> Iterator[list[str]]:
    """Messages as lists of segment lines; a line that starts no segment continues the one before it."""
    text = text.replace("\x0b", "").replace("\x1c", "\r")  # MLLP frames
    segments: list[str] = []
    for line in text.replace("\r\n", "\r").replace("\n", "\r").split("\r"):
        if not line.strip() or line[:3] in _ENVELOPE:
            continue
        if line.startswith("MSH") and segments:
            yield segments
            segments = []
        if segments and not _SEGMENT.match(line):
            segments[-1] += "\n" + line
        else:
            segments.append(line)
    if segments:
        yield segments


def _parse(lines: Sequence[str]) -> _Message:
    mark, encoding = lines[0][3], lines[0][4:9].split(lines[0][3])[0].ljust(4, "\0")
    segments = tuple(tuple(line.split(mark)) for line in lines)
    return _Message(segments, encoding[0], encoding[1], encoding[2], encoding[3])


def _read_message(
    message: _Message, places: Mapping[str, tuple[str, ...]], source_key: str
) -> Iterator[RawReport | ReportDrop]:
    kind = message.segments[0][8] if len(message.segments[0]) > 8 else ""
    if not kind.startswith("ORU") and not any(segment[0] == "OBX" for segment in message.segments):
        yield ReportDrop(source_key, DropReason.NOT_REPORT, "a message that is no result (ORU)")
        return
    shared: list[tuple[str, ...]] = []
    groups: list[list[tuple[str, ...]]] = []
    order: list[tuple[str, ...]] = []
    for segment in message.segments[1:]:
        if segment[0] == "OBR":
            groups.append([*order, segment])
            order = []
        elif segment[0] == "ORC":
            order = [segment]
        elif segment[0] == "ZDS" or not groups:
            shared.append(segment)
        else:
            groups[-1].append(segment)
    if not groups:
        yield ReportDrop(source_key, DropReason.EMPTY_TEXT, "a result message without OBR")
    for number, group in enumerate(groups, start=1):
        key = source_key if len(groups) == 1 else f"{source_key}.{number}"
        yield _report(message, [*shared, *group], places, key)


def _report(
    message: _Message, segments: Sequence[tuple[str, ...]], places: Mapping[str, tuple[str, ...]], source_key: str
) -> RawReport | ReportDrop:
    text, unreadable = _narrative(message, segments)
    values = {name: _first(message, segments, found) for name, found in places.items()}
    status = status_of(values.pop("status"))
    if not text.strip() and status != "cancelled":
        reason = DropReason.PDF_SCAN if unreadable else DropReason.EMPTY_TEXT
        return ReportDrop(source_key, reason, "only as PDF or picture" if unreadable else "no text in OBX or NTE")
    known = [
        (name, value)
        for name, value in values.items()
        if value and name not in ("modality", "description", "patient_sex", "issuer_of_patient_id")
    ]
    for kind, found in _IDENTIFYING.items():
        known += [(kind, value) for place in found for value in _all(message, segments, place)]
    values["patient_birth_date"] = date_of((values["patient_birth_date"] or "")[:8])
    values["study_date"] = date_of((values["study_date"] or "")[:8])
    values["report_datetime"] = datetime_of(values["report_datetime"])
    values["patient_sex"] = sex_of(values["patient_sex"])
    return RawReport(
        source_key=source_key, text=text, status=status, known_identifiers=tuple(dict.fromkeys(known)), **values
    )


def _narrative(message: _Message, segments: Sequence[tuple[str, ...]]) -> tuple[str, bool]:
    """The text of the OBX in set-id order, and whether an attachment could not be read. NTE where no OBX has text."""
    parts: list[str] = []
    unreadable, label = False, ""
    for segment in _ordered(segment for segment in segments if segment[0] == "OBX"):
        if _field(segment, 11) in _REPEATED_TEXT_STATUS:
            continue
        body, failed = _observation(message, segment)
        unreadable |= failed
        if not body:
            if not failed and parts:
                parts.append("")  # an empty OBX is an empty line
            continue
        found = _label(message, _field(segment, 3))
        if found and found != label and not body.lstrip().upper().startswith(found):
            parts.append(f"\n{found}:")
        label = found
        parts.append(body)
    if not any(parts):
        parts = [_unescape(message, _field(segment, 3)) for segment in segments if segment[0] == "NTE"]
    return plain_text("\n".join(parts)), unreadable


def _ordered(segments: Iterator[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """By OBX-1 when every set id is a number of its own, else as they came."""
    found = list(segments)
    ids = [_field(segment, 1) for segment in found]
    if len(set(ids)) == len(ids) and all(value.isdigit() for value in ids):
        found.sort(key=lambda segment: int(_field(segment, 1)))
    return found


def _observation(message: _Message, segment: tuple[str, ...]) -> tuple[str, bool]:
    kind, raw = _field(segment, 2), _field(segment, 5)
    if kind in ("ED", "RP"):
        return _attachment(message, raw)
    if kind not in _TEXT_TYPES:
        return "", False
    lines = [_unescape(message, part) for part in raw.split(message.repetition)]
    if kind in ("CE", "CWE"):  # coded entry: the text is its second component
        parts = [part.split(message.component) for part in raw.split(message.repetition)]
        lines = [_unescape(message, part[1] if len(part) > 1 else part[0]) for part in parts]
    return "\n".join(lines), False


def _attachment(message: _Message, raw: str) -> tuple[str, bool]:
    parts = raw.split(message.component)
    if len(parts) >= 5 and parts[3].casefold() == "base64":
        try:
            payload = base64.b64decode(parts[4])
        except (binascii.Error, ValueError):
            return "", True
        text = "" if payload.startswith(b"%PDF") or b"\0\0" in payload[:512] else decode(payload)
        return text, not text
    return "", True


def _label(message: _Message, identifier: str) -> str:
    """The heading that OBX-3 stands for: ``IMP^Impression``, ``71250&ADT``, LOINC codes."""
    parts = set(re.split("[" + re.escape(message.component + message.subcomponent) + "]", identifier.upper()))
    if parts & set(_ADDENDUM):
        return "ADDENDUM"
    return "IMPRESSION" if parts & set(_IMPRESSION) else ""


def _unescape(message: _Message, text: str) -> str:
    r"""Escape sequences of chapter 2.7: delimiters, ``\.br\`` and its kin, ``\Xdd..\`` bytes, highlighting."""
    if message.escape == "\0" or message.escape not in text:
        return text
    marks = {
        "F": "|",
        "S": message.component,
        "R": message.repetition,
        "E": message.escape,
        "T": message.subcomponent,
        "H": "",
        "N": "",
    }

    def replace(match: re.Match[str]) -> str:
        code = match[1]
        if code in marks:
            return marks[code]
        if code.startswith("."):
            return "\n" if code[1:3] in ("br", "sp", "ce") else ""
        if code.startswith("X"):
            try:
                return decode(bytes.fromhex(code[1:])).replace("\r", "\n")
            except ValueError:
                return ""
        return "" if code[:1] in "CMZ" else match[0]

    escape = re.escape(message.escape)
    return (
        re.sub(rf"{escape}([A-Za-z.][A-Za-z0-9.+-]{{0,64}}){escape}", replace, text)
        .replace("\r\n", "\n")
        .replace("\n\n\n", "\n\n")
    )


def _field(segment: tuple[str, ...], number: int) -> str:
    return segment[number] if len(segment) > number else ""


def _all(message: _Message, segments: Sequence[tuple[str, ...]], place: str) -> list[str]:
    match = _PLACE.fullmatch(place)
    assert match  # for mypy: places are checked where they enter
    values = []
    for segment in segments:
        if segment[0] != match[1]:
            continue
        for part in _field(segment, int(match[2])).split(message.repetition):
            if match[3]:
                components = part.split(message.component)
                part = components[int(match[3]) - 1] if len(components) >= int(match[3]) else ""
            value = _unescape(message, part).replace(message.component, "^").strip(" ^")
            values += [value] if value and value != '""' else []
    return values


def _first(message: _Message, segments: Sequence[tuple[str, ...]], places: Sequence[str]) -> str | None:
    return next((value for place in places for value in _all(message, segments, place)), None)
