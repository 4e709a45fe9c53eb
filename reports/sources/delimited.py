"""CSV and its relatives, strictly.

Enters: a file of any encoding and delimiter. Leaves: a report or a drop for every record. Refuses to guess: a
record that breaks the quoting rules or has another number of fields than the header is dropped with its line
number, and reading goes on at the next line.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

from reports.reasons import DropReason
from reports.records import RawReport, ReportDrop
from reports.sources.columns import NoTextColumnError, map_columns, table_reports
from reports.sources.encoding import detect_encoding
from t3dkit.errors import ConfigError

DELIMITERS = (",", ";", "\t", "|")
_FIELD_LIMIT = 1 << 26
"""Characters in one field; the csv module's own limit of 131,072 is less than long reports with appended tables."""
_RECORD_LINES = 20_000
"""Lines in one quoted field; a quote that is never closed is given up there instead of swallowing the file."""


class _Lines:
    """Lines of a file that can be put back, so that parsing resumes after the first line of a broken record."""

    def __init__(self, source: Iterator[str]) -> None:
        self._source = source
        self._waiting: deque[str] = deque()
        self.taken: list[str] = []
        self.number = 0  # lines taken so far

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if len(self.taken) > _RECORD_LINES:
            raise csv.Error("record too long")
        line = self._waiting.popleft() if self._waiting else next(self._source)
        self.taken.append(line)
        self.number += 1
        return line

    def put_back(self) -> None:
        """Return all lines of the current record but its first."""
        rest = self.taken[1:]
        self._waiting.extendleft(reversed(rest))
        self.number -= len(rest)


def read_delimited(path: Path, key: str, columns: Mapping[str, str] | None) -> Iterator[RawReport | ReportDrop]:
    """Every record of a delimited file.

    Raises
    ------
    ConfigError
        No usable text column, or no header.
    """
    csv.field_size_limit(_FIELD_LIMIT)
    with path.open(encoding=detect_encoding(path), errors="replace", newline="") as file:
        lines = _Lines(line.replace("\0", "") for line in file)
        header, delimiter = _header(lines, columns)
        records = _records(lines, delimiter, len(header))
        rows: Iterator[tuple[str, Mapping[str, str]] | ReportDrop] = (
            ReportDrop(f"{key}#{number}", DropReason.ROW_PARSE, record)
            if isinstance(record, str)
            else (f"{key}#{number}", dict(zip(reversed(header), reversed(record), strict=True)))
            for number, record in records
        )
        yield from table_reports(rows, header, columns)


def _header(lines: _Lines, columns: Mapping[str, str] | None) -> tuple[list[str], str]:
    """Column names and the delimiter: the one under which most columns are known, then the one with most columns."""
    first = next(lines, "")
    if first.strip().strip('"').casefold().startswith("sep=") and len(first.strip().strip('"')) == 5:  # Excel's hint
        first = next(lines, "")
    if not first.strip():
        raise NoTextColumnError("the table is empty: expected a first line with column names")
    best: tuple[tuple[int, int, int], list[str], str] | None = None
    for delimiter in DELIMITERS:
        names = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
        try:
            found = map_columns(names, columns)
            score = (1, len(found.fields) + len(found.sections), len(names))
        except ConfigError:
            score = (0, 0, len(names))
        if best is None or score > best[0]:
            best = (score, names, delimiter)
    assert best is not None  # for mypy: DELIMITERS is not empty
    return best[1], best[2]


def _records(lines: _Lines, delimiter: str, width: int) -> Iterator[tuple[int, list[str] | str]]:
    """(line number, fields), or (line number, what is wrong) for a record that is dropped."""
    while True:
        lines.taken.clear()
        start = lines.number + 1
        try:
            record = next(csv.reader(lines, delimiter=delimiter, strict=True))
        except StopIteration:
            return
        except csv.Error:
            lines.put_back()
            if lines.taken[0].strip():
                yield start, f"line {start}: quotes do not pair, or a field is too long"
            continue
        if not record:
            continue  # an empty line is no row; one of empty fields is
        while len(record) > width and not record[-1].strip():
            record.pop()  # trailing delimiters
        if len(record) != width:
            yield start, f"line {start}: {len(record)} fields where the header has {width}"
            continue
        yield start, record
