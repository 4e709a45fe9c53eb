"""One merged report to rows: de-identified, checked, parsed.

Enters: a `MergedReport` and settings. Leaves: an `Outcome` of small records, so that it travels between processes.
Refuses: a text in which `leaks` finds a known identifier.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reports.deidentify import Deidentifier, NameModel, leaks
from reports.profiles import NO_PROFILE, Profile
from reports.reasons import DropReason
from reports.records import MergedReport, ParsedReport, RawReport, ReportDrop
from t3dkit.errors import ConfigError

_ID_CHARS = 16
_SHIFT_DAYS = 365
"""Dates move back by 1 to 365 days, as PS3.15 suggests no figure and common practice is within a year."""

Row = dict[str, Any]


@dataclass(frozen=True)
class ParseSettings:
    """What ``reports parse`` can be told.

    Parameters
    ----------
    columns : mapping or None
        As in `read_reports`.
    key : bytes
        Key of the date shift.
    language : str or None
        Language of every report; None to find out.
    deidentify : bool
        False keeps the texts as they are.
    name_model : NameModel or None
        A spaCy model whose people are hidden besides.
    profile : Profile
        What the institution adds to the built-in lists.
    model : str
        Name or folder of a spaCy model whose entities are wanted besides.
    workers : int
        Processes that parse; 1 parses in this one.
    """

    columns: Mapping[str, str] | None = None
    key: bytes = b""
    language: str | None = None
    deidentify: bool = True
    name_model: NameModel | None = None
    profile: Profile = NO_PROFILE
    model: str = ""
    workers: int = 1


@dataclass(frozen=True)
class Outcome:
    """What became of one merged report: rows, or a drop for each of its versions.

    Parameters
    ----------
    report : dict or None
        Row of the report table.
    n_merged, n_unknown_headings : int
        Versions that went into it besides the one that won; headings in no list.
    replaced : mapping
        Kind of identifier -> places replaced.
    """

    report: Row | None = None
    sentences: tuple[Row, ...] = ()
    entities: tuple[Row, ...] = ()
    drops: tuple[tuple[str, ReportDrop], ...] = ()  # stage and drop
    n_merged: int = 0
    n_unknown_headings: int = 0
    replaced: Mapping[str, int] = field(default_factory=dict)


def id_of(kind: str, source_key: str) -> str:
    """The id of a report or dropped row: a hash of where it stands in the source, never its number."""
    return hashlib.sha256(f"{kind}\0{source_key}".encode()).hexdigest()[:_ID_CHARS]


def shift_of(raw: RawReport, key: bytes) -> int:
    """Days by which the dates of this report's patient move: -365 to -1, one number per patient and key."""
    patient = f"{raw.issuer_of_patient_id or ''}\0{raw.patient_id}" if raw.patient_id else f"row\0{raw.source_key}"
    digest = hmac.new(key, patient.encode(), hashlib.sha256).digest()
    return -1 - int.from_bytes(digest[:8], "big") % _SHIFT_DAYS


def process_report(report: MergedReport, settings: ParseSettings) -> Outcome:
    """De-identify and parse one report.

    Raises
    ------
    ConfigError
        A model of the settings cannot be loaded.
    """
    from reports.parse import parse_report  # spaCy is slow to import; --help and errors should not wait for it

    raw, text = report.raw, report.raw.text
    replaced: Mapping[str, int] = {}
    stage = "deidentify"
    try:
        if settings.deidentify:
            shift = shift_of(raw, settings.key)
            known, model = raw.known_identifiers, settings.name_model
            clean = Deidentifier(known, shift_days=shift, seed=settings.key, model=model).apply(text)
            text, replaced = clean.text, clean.kinds
            found = leaks(text, (value for _, value in known))
            if found:
                return _dropped(report, stage, DropReason.DEID_LEAK, f"still there: {', '.join(found)}")
        stage = "parse"
        language = settings.language or raw.language
        parsed = parse_report(text, language=language, profile=settings.profile, model=settings.model)
    except ConfigError:
        raise  # a model is not there: no report's fault
    except Exception as error:  # a bug of ours, or a user's model that fails on this text
        return _dropped(report, stage, DropReason.PARSE_FAILED, type(error).__name__)
    report_id = id_of("report", raw.source_key)
    return Outcome(
        _report_row(report, parsed, report_id, sum(replaced.values())),
        tuple(sentence_rows(parsed, report_id)),
        tuple(entity_rows(parsed, report_id)),
        n_merged=len(report.versions) - 1,
        n_unknown_headings=len(parsed.unknown_headings),
        replaced=dict(replaced),
    )


def _dropped(report: MergedReport, stage: str, reason: DropReason, detail: str) -> Outcome:
    """A merged report goes with all its versions, so that the rows still add up."""
    return Outcome(drops=tuple((stage, ReportDrop(key, reason, detail)) for key in report.versions))


def _report_row(report: MergedReport, parsed: ParsedReport, report_id: str, n_replaced: int) -> Row:
    spans = [{"name": one.name, "char_start": one.span.start, "char_end": one.span.end} for one in parsed.sections]
    return {
        "report_id": report_id,
        "language": parsed.language,
        "status": report.raw.status,
        "text": parsed.text,
        "sections": spans,
        "flags": list(dict.fromkeys([*report.flags, *parsed.flags])),
        "n_versions": len(report.versions),
        "n_sentences": len(parsed.sentences),
        "n_replaced": n_replaced,
    }


def sentence_rows(parsed: ParsedReport, report_id: str) -> list[dict[str, Any]]:
    """Rows of the sentence table; `pair_id` is left to who makes pairs."""
    return [
        {
            "sentence_id": f"{report_id}-{sentence.index:04d}",
            "report_id": report_id,
            "section": sentence.section,
            "index": sentence.index,
            "char_start": sentence.span.start,
            "char_end": sentence.span.end,
            "text": sentence.text,
            "regions": list(sentence.regions),
            "laterality": sentence.laterality,
            "assertion": sentence.assertion,
            "is_normal": sentence.is_normal,
            "is_prior_comparison": sentence.is_prior_comparison,
            "image_pointer": _pointer(sentence.image_pointer),
            "measurements_mm": list(sentence.measurements_mm),
        }
        for sentence in parsed.sentences
    ]


def entity_rows(parsed: ParsedReport, report_id: str) -> list[dict[str, Any]]:
    """Rows of the entity table."""
    return [
        {
            "report_id": report_id,
            "char_start": one.span.start,
            "char_end": one.span.end,
            "text": parsed.text[one.span.start : one.span.end],
            "label": one.label,
            "concepts": [{"concept": name, "score": score} for name, score in one.concepts],
        }
        for one in parsed.entities
    ]


def _pointer(pointer: Any) -> dict[str, int | None] | None:
    return None if pointer is None else {"series": pointer.series, "image": pointer.image}
