"""A whole source parsed: what ``reports parse`` writes.

Enters: a source and settings. Leaves: rows of the sentence, report and drop tables, and counts for the summary,
with rows in = reports + merged versions + dropped. Refuses: to write a text in which `leaks` finds a known
identifier; it is dropped.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reports.deidentify import Deidentifier, leaks
from reports.profiles import NO_PROFILE, Profile
from reports.reasons import DropReason
from reports.records import MergedReport, ParsedReport, RawReport, ReportDrop
from reports.sources import read_reports
from reports.versions import merge_versions
from t3dkit.errors import ConfigError
from t3dkit.progress import Progress

_ID_CHARS = 16
_SHIFT_DAYS = 365
"""Dates move back by 1 to 365 days, as PS3.15 suggests no figure and common practice is within a year."""


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
    profile : Profile
        What the institution adds to the built-in lists.
    model : str
        Name or folder of a spaCy model whose entities are wanted besides.
    """

    columns: Mapping[str, str] | None = None
    key: bytes = b""
    language: str | None = None
    deidentify: bool = True
    profile: Profile = NO_PROFILE
    model: str = ""


@dataclass
class Corpus:
    """Rows and counts of a parsed source."""

    n_rows: int = 0
    n_merged: int = 0
    n_located: int = 0
    n_covered: int = 0
    n_unknown_headings: int = 0
    sentences: list[dict[str, Any]] = field(default_factory=list)
    entities: list[dict[str, Any]] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[dict[str, Any]] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)
    sections: Counter[str] = field(default_factory=Counter)
    replaced: Counter[str] = field(default_factory=Counter)


def parse_source(source: Path, settings: ParseSettings, progress: Progress) -> Corpus:
    """Read, merge, de-identify and parse every report of `source`.

    Raises
    ------
    ConfigError
        As `read_reports`.
    """
    corpus = Corpus()
    raws: list[RawReport] = []
    with progress.task("read") as task:
        for item in read_reports(source, columns=settings.columns):
            corpus.n_rows += 1
            task.advance()
            if isinstance(item, ReportDrop):
                _drop(corpus, "read", item)
            else:
                raws.append(item)
    outcome = merge_versions(raws)
    for drop in outcome.dropped:
        _drop(corpus, "merge", drop)
    with progress.task("parse", len(outcome.reports)) as task:
        for report in outcome.reports:
            _parse_one(corpus, report, settings)
            task.advance()
    return corpus


def id_of(kind: str, source_key: str) -> str:
    """The id of a report or dropped row: a hash of where it stands in the source, never its number."""
    return hashlib.sha256(f"{kind}\0{source_key}".encode()).hexdigest()[:_ID_CHARS]


def shift_of(raw: RawReport, key: bytes) -> int:
    """Days by which the dates of this report's patient move: -365 to -1, one number per patient and key."""
    patient = f"{raw.issuer_of_patient_id or ''}\0{raw.patient_id}" if raw.patient_id else f"row\0{raw.source_key}"
    digest = hmac.new(key, patient.encode(), hashlib.sha256).digest()
    return -1 - int.from_bytes(digest[:8], "big") % _SHIFT_DAYS


def _parse_one(corpus: Corpus, report: MergedReport, settings: ParseSettings) -> None:
    from reports.parse import parse_report  # spaCy is slow to import; --help and errors should not wait for it

    raw = report.raw
    text, replaced = raw.text, 0
    if settings.deidentify:
        clean = Deidentifier(raw.known_identifiers, shift_days=shift_of(raw, settings.key), seed=settings.key).apply(
            text
        )
        text, replaced = clean.text, clean.n_replaced
        found = leaks(text, (value for _, value in raw.known_identifiers))
        if found:
            detail = f"still there: {', '.join(found)}"
            _drop_all(corpus, report, "deidentify", DropReason.DEID_LEAK, detail)
            return
        corpus.replaced.update(clean.kinds)
    try:
        parsed = parse_report(
            text, language=settings.language or raw.language, profile=settings.profile, model=settings.model
        )
    except ConfigError:
        raise  # the model is not there: no report's fault
    except Exception as error:
        _drop_all(corpus, report, "parse", DropReason.PARSE_FAILED, type(error).__name__)
        return
    corpus.n_merged += len(report.versions) - 1
    _add(corpus, report, parsed, replaced)


def _add(corpus: Corpus, report: MergedReport, parsed: ParsedReport, replaced: int) -> None:
    report_id = id_of("report", report.raw.source_key)
    flags = list(dict.fromkeys([*report.flags, *parsed.flags]))
    names = {section.name for section in parsed.sections}
    corpus.flags.update(flags)
    corpus.sections.update(names)
    corpus.n_covered += bool(names & {"findings", "impression"})
    corpus.n_unknown_headings += len(parsed.unknown_headings)
    corpus.n_located += sum(bool(sentence.regions) for sentence in parsed.sentences)
    spans = [{"name": one.name, "char_start": one.span.start, "char_end": one.span.end} for one in parsed.sections]
    corpus.reports.append(
        {
            "report_id": report_id,
            "language": parsed.language,
            "status": report.raw.status,
            "text": parsed.text,
            "sections": spans,
            "flags": flags,
            "n_versions": len(report.versions),
            "n_sentences": len(parsed.sentences),
            "n_replaced": replaced,
        }
    )
    corpus.sentences += sentence_rows(parsed, report_id)
    corpus.entities += entity_rows(parsed, report_id)


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


def _drop(corpus: Corpus, stage: str, drop: ReportDrop) -> None:
    corpus.reasons[str(drop.reason)] += 1
    item = id_of("row", drop.source_key)
    row = {"stage": stage, "kind": "report", "item_id": item, "reason": str(drop.reason), "detail": drop.detail}
    corpus.dropped.append(row)


def _drop_all(corpus: Corpus, report: MergedReport, stage: str, reason: DropReason, detail: str) -> None:
    """A merged report goes with all its versions, so that the rows still add up."""
    for source_key in report.versions:
        _drop(corpus, stage, ReportDrop(source_key, reason, detail))
