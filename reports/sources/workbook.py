"""XLSX workbooks, with an eye on what spreadsheets do to numbers.

Enters: a workbook. Leaves: a report or a drop for every row of every sheet that has report text. Refuses to
guess: a number that Excel rounded, turned into a date or stripped of zeros is EXCEL_MANGLED.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from reports.errors import SourceError
from reports.reasons import DropReason
from reports.records import RawReport, ReportDrop
from reports.sources.columns import ColumnMap, NoTextColumnError, map_columns, row_report

_EXACT_DIGITS = 15
"""Decimal digits an IEEE double, and so a numeric Excel cell, holds without loss."""
_NUMBERS = ("accession_number", "patient_id", "report_number")
_ZEROS = re.compile(r"0{2,20}")


def read_workbook(path: Path, key: str, columns: Mapping[str, str] | None) -> Iterator[RawReport | ReportDrop]:
    """Every row of every sheet with report text.

    Raises
    ------
    ConfigError
        No sheet has a usable text column.
    SourceError
        The file is no workbook.
    """
    import openpyxl

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except Exception:  # openpyxl lets zipfile, xml and key errors through
        raise SourceError(DropReason.READ_ERROR, "not a readable workbook") from None
    try:
        refusal: NoTextColumnError | None = None
        usable = 0
        for sheet in book.worksheets:
            rows = [[cell for cell in row] for row in sheet.iter_rows()]
            while rows and all(cell.value in (None, "") for cell in rows[0]):
                rows.pop(0)
            names = [str(cell.value or "").strip() for cell in rows[0]] if rows else []
            try:
                layout = map_columns(names, columns)
            except NoTextColumnError as error:
                refusal = error
                continue
            usable += 1
            yield from _sheet(rows[1:], names, layout, f"{key}#{sheet.title}")
        if not usable:
            raise refusal or NoTextColumnError("the workbook has no sheet with rows")
    finally:
        book.close()


def _sheet(
    rows: Sequence[Sequence[Any]], names: Sequence[str], layout: ColumnMap, key: str
) -> Iterator[RawReport | ReportDrop]:
    widths = {
        field: _padded_width(rows, names.index(layout.fields[field])) for field in _NUMBERS if field in layout.fields
    }
    for row in rows:
        if all(cell.value in (None, "") for cell in row):
            continue
        cells = (
            dict(zip(reversed(names), reversed(row[: len(names)]), strict=False))
            if len(row) >= len(names)
            else dict(zip(names, row, strict=False))
        )
        source_key = f"{key}#{next(cell.row for cell in row if cell.value not in (None, ''))}"
        mangled = [field for field, width in widths.items() if _is_mangled(cells.get(layout.fields[field]), width)]
        if mangled:
            yield ReportDrop(source_key, DropReason.EXCEL_MANGLED, f"{', '.join(mangled)}: changed by the spreadsheet")
            continue
        yield row_report({name: _text(cell) for name, cell in cells.items()}, layout, source_key)


def _padded_width(rows: Sequence[Sequence[Any]], index: int) -> int:
    """Length of the zero-padded numbers that a column holds as text; 0 when there are none, or of several lengths."""
    texts = [row[index].value for row in rows if index < len(row) and isinstance(row[index].value, str)]
    lengths = {len(text) for text in texts if text.isdigit()}
    return lengths.pop() if len(lengths) == 1 and any(text.startswith("0") for text in texts) else 0


def _is_mangled(cell: Any, width: int) -> bool:
    value = None if cell is None else cell.value
    if isinstance(value, bool | date | datetime | time):
        return True
    if isinstance(value, float) and not value.is_integer():
        return True
    if isinstance(value, int | float):
        digits = str(abs(int(value)))
        padded = bool(_ZEROS.fullmatch(str(cell.number_format or "")))
        return len(digits) > _EXACT_DIGITS or (len(digits) < width and not padded)
    return False


def _text(cell: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d" if value.time() == time(0) else "%Y-%m-%dT%H:%M:%S")
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        pattern = str(cell.number_format or "")
        return str(int(value)).zfill(len(pattern)) if _ZEROS.fullmatch(pattern) else str(int(value))
    return str(value)
