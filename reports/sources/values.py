"""Field values as sources write them, in the one form `RawReport` holds.

Enters: strings. Leaves: YYYYMMDD, ISO 8601, a `ReportStatus`, M/F/O. Refuses to guess: what cannot be read
without doubt is None.
"""

from __future__ import annotations

import re
from datetime import date, datetime

from reports.records import ReportStatus

_YEARS = range(1850, 2151)
_ISO = re.compile(
    r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?)?\s*(Z|[+-]\d{2}:?\d{2})?"
)
_PACKED = re.compile(r"(\d{4})(\d{2})(\d{2})(?:T?(\d{2})(\d{2})(\d{2})?(?:\.\d+)?)?\s*([+-]\d{4}|Z)?")
_WRITTEN = re.compile(
    r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})(?:[T ,]+(\d{1,2}):(\d{2})(?::(\d{2}))?\s*([AaPp])?\.?[Mm]?\.?)?"
)

_STATUS: dict[str, ReportStatus] = {
    # words of RIS exports
    **dict.fromkeys(
        (
            "final",
            "finalized",
            "finalised",
            "signed",
            "approved",
            "verified",
            "complete",
            "completed",
            "endgültig",
            "freigegeben",
            "validado",
        ),
        "final",
    ),
    **dict.fromkeys(
        (
            "preliminary",
            "prelim",
            "draft",
            "wetread",
            "wet read",
            "dictated",
            "transcribed",
            "pending",
            "unsigned",
            "unverified",
            "vorläufig",
            "preliminar",
        ),
        "preliminary",
    ),
    **dict.fromkeys(
        ("corrected", "correction", "amended", "revised", "modified", "korrigiert", "corregido"), "corrected"
    ),
    **dict.fromkeys(("addendum", "addended", "addenda", "nachtrag"), "addendum"),
    **dict.fromkeys(
        ("cancelled", "canceled", "void", "voided", "deleted", "retracted", "storniert", "anulado"), "cancelled"
    ),
    # FHIR R4 DiagnosticReport.status; a resource always holds the whole text, so "appended" replaces too
    **dict.fromkeys(("registered", "partial"), "preliminary"),
    "appended": "corrected",
    **dict.fromkeys(("entered-in-error", "entered in error"), "cancelled"),
    # HL7 v2 tables 0123 and 0085. A is "some results available" in the standard and "addendum" in radiology practice
    "f": "final",
    "c": "corrected",
    **dict.fromkeys(("p", "r", "s", "i", "o"), "preliminary"),
    "a": "addendum",
    **dict.fromkeys(("x", "d", "w"), "cancelled"),
}


def status_of(value: str | None) -> ReportStatus:
    """The status that a word or code stands for; ``unknown`` when empty or not known."""
    return _STATUS.get((value or "").strip().casefold(), "unknown")


def date_of(value: str | None) -> str | None:
    """YYYYMMDD of a written date or date and time; None when absent, impossible or ambiguous.

    ``05/06/2020`` is ambiguous (May or June) and gives None; ``13/06/2020`` and ``06/13/2020`` do not. Dates with
    points are day first.
    """
    parts = _parts(value)
    return f"{parts[0]:%Y%m%d}" if parts else None


def datetime_of(value: str | None) -> str | None:
    """ISO 8601 of a written date and time, to the second; a date alone stays a date. None as in `date_of`."""
    parts = _parts(value)
    if not parts:
        return None
    moment, has_time, zone = parts
    if not has_time:
        return f"{moment:%Y-%m-%d}"
    return f"{moment:%Y-%m-%dT%H:%M:%S}{zone}"


def sex_of(value: str | None) -> str | None:
    """M, F or O."""
    first = (value or "").strip()[:1].upper()
    return {"M": "M", "F": "F", "W": "F", "H": "M", "O": "O"}.get(first)


def written_dates(value: str) -> tuple[date, ...]:
    """Every date that `value` may mean: both readings of ``05/06/2020``."""
    readings = {moment.date() for order in ("mdy", "dmy") if (moment := _moment(value.strip(), order)) is not None}
    return tuple(sorted(readings))


def _parts(value: str | None) -> tuple[datetime, bool, str] | None:
    text = (value or "").strip()
    readings = {_moment(text, order) for order in ("mdy", "dmy")} - {None}
    if len(readings) != 1:
        return None
    (moment,) = readings
    match = _ISO.fullmatch(text) or _PACKED.fullmatch(text)
    has_time = bool(match and match[4]) or bool((written := _WRITTEN.fullmatch(text)) and written[5])
    zone = (match[7] or "") if match and match[4] else ""
    if zone and zone != "Z" and ":" not in zone:
        zone = f"{zone[:3]}:{zone[3:]}"
    assert moment is not None  # for mypy: None was taken out above
    return moment, has_time, zone.replace("Z", "+00:00")


def _moment(text: str, order: str) -> datetime | None:
    match = _ISO.fullmatch(text) or _PACKED.fullmatch(text)
    if match:
        numbers = [int(part) if part else 0 for part in match.groups()[:6]]
        return _valid(*numbers)
    match = _WRITTEN.fullmatch(text)
    if not match:
        return None
    first, mark, second, year, hour, minute, second_s, half = match.groups()
    day_first = order == "dmy" or mark == "."
    day, month = (first, second) if day_first else (second, first)
    hours = int(hour or 0)
    if half:
        hours = hours % 12 + (12 if half in "Pp" else 0)
    return _valid(int(year), int(month), int(day), hours, int(minute or 0), int(second_s or 0))


def _valid(year: int, month: int, day: int, hour: int, minute: int, second: int) -> datetime | None:
    if year not in _YEARS:
        return None
    try:
        return datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None
