"""A whole source parsed: what ``reports parse`` writes.

Enters: a source and settings. Leaves: rows of the sentence, entity, report and drop tables in sinks, and counts for the
summary, with rows in = reports + merged versions + dropped. Refuses: to hold what a sink takes; the texts of the source
are held, since a later row may correct an earlier one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol

from reports.records import MergedReport, RawReport, ReportDrop
from reports.sources import read_reports
from reports.versions import merge_versions
from reports.work import Outcome, ParseSettings, Row, id_of, process_report
from t3dkit.progress import Progress

_CHUNK = 16
"""Reports a process takes at a time."""


class Sink(Protocol):
    """Where rows go: a list, or a table on disk."""

    def extend(self, rows: Iterable[Row], /) -> None:
        """Take rows."""

    def __len__(self) -> int: ...


def _rows() -> list[Row]:
    return []


@dataclass
class Corpus:
    """Rows and counts of a parsed source; reports come in the order of their ids, whatever the source's."""

    n_rows: int = 0
    n_merged: int = 0
    n_located: int = 0
    n_covered: int = 0
    n_unknown_headings: int = 0
    sentences: Sink = field(default_factory=_rows)
    entities: Sink = field(default_factory=_rows)
    reports: Sink = field(default_factory=_rows)
    dropped: list[Row] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)
    sections: Counter[str] = field(default_factory=Counter)
    replaced: Counter[str] = field(default_factory=Counter)


def parse_source(source: Path, settings: ParseSettings, progress: Progress, corpus: Corpus | None = None) -> Corpus:
    """Read, merge, de-identify and parse every report of `source` into `corpus`, or a new one whose sinks are lists.

    Raises
    ------
    ConfigError
        As `read_reports`; or a model of the settings cannot be loaded.
    """
    corpus = Corpus() if corpus is None else corpus
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
    raws.clear()
    for drop in outcome.dropped:
        _drop(corpus, "merge", drop)
    reports = sorted(outcome.reports, key=lambda report: id_of("report", report.raw.source_key))
    with progress.task("parse", len(reports)) as task:
        for result in _process(reports, settings):
            _take(corpus, result)
            task.advance()
    return corpus


_SETTINGS: list[ParseSettings] = []
"""Of this worker process; sent once, since parsers cache by the profile's identity."""


def _start(settings: ParseSettings) -> None:
    _SETTINGS.append(settings)


def _process_here(report: MergedReport) -> Outcome:
    return process_report(report, _SETTINGS[-1])


def _process(reports: Sequence[MergedReport], settings: ParseSettings) -> Iterator[Outcome]:
    """Outcomes in the order of `reports`, from this process or from several."""
    if settings.workers <= 1 or len(reports) <= _CHUNK:
        yield from (process_report(report, settings) for report in reports)
        return
    context = get_context("spawn")  # a forked copy of threads that hold locks may hang
    with ProcessPoolExecutor(settings.workers, mp_context=context, initializer=_start, initargs=(settings,)) as pool:
        yield from pool.map(_process_here, reports, chunksize=_CHUNK)


def _take(corpus: Corpus, outcome: Outcome) -> None:
    for stage, drop in outcome.drops:
        _drop(corpus, stage, drop)
    if outcome.report is None:
        return
    names = {section["name"] for section in outcome.report["sections"]}
    corpus.flags.update(outcome.report["flags"])
    corpus.sections.update(names)
    corpus.replaced.update(outcome.replaced)
    corpus.n_merged += outcome.n_merged
    corpus.n_covered += bool(names & {"findings", "impression"})
    corpus.n_unknown_headings += outcome.n_unknown_headings
    corpus.n_located += sum(bool(row["regions"]) for row in outcome.sentences)
    corpus.reports.extend([outcome.report])
    corpus.sentences.extend(outcome.sentences)
    corpus.entities.extend(outcome.entities)


def _drop(corpus: Corpus, stage: str, drop: ReportDrop) -> None:
    corpus.reasons[str(drop.reason)] += 1
    item = id_of("row", drop.source_key)
    row = {"stage": stage, "kind": "report", "item_id": item, "reason": str(drop.reason), "detail": drop.detail}
    corpus.dropped.append(row)
