"""Parquet tables and JSON, one record per row, line or list entry.

Enters: a file. Leaves: a report or a drop for every record; FHIR resources go to `fhir`. Refuses: a table
without usable text column; a JSON line that is broken or names a key twice is dropped with its line number.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reports.errors import SourceError
from reports.reasons import DropReason
from reports.records import RawReport, ReportDrop
from reports.sources.columns import ColumnMap, NoTextColumnError, map_columns, row_report, table_reports
from reports.sources.encoding import decode, detect_encoding
from reports.sources.fhir import is_resource, read_resource

_BATCH_ROWS = 1024


def read_parquet(path: Path, key: str, columns: Mapping[str, str] | None) -> Iterator[RawReport | ReportDrop]:
    """Every row of a Parquet table.

    Raises
    ------
    ConfigError
        No usable text column.
    SourceError
        The file is no Parquet.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError):
        raise SourceError(DropReason.READ_ERROR, "not a readable Parquet file") from None
    with file:
        rows: Iterator[tuple[str, Mapping[str, str]] | ReportDrop] = (
            (f"{key}#{number}", {name: as_text(value) for name, value in row.items()})
            for number, row in enumerate(_parquet_rows(file), start=1)
        )
        yield from table_reports(rows, file.schema_arrow.names, columns)


def _parquet_rows(file: Any) -> Iterator[dict[str, Any]]:
    for batch in file.iter_batches(batch_size=_BATCH_ROWS):
        yield from batch.to_pylist()


def read_json_lines(path: Path, key: str, columns: Mapping[str, str] | None) -> Iterator[RawReport | ReportDrop]:
    """Every line of a JSON lines file: rows of a table, or FHIR resources (NDJSON).

    Raises
    ------
    ConfigError
        No line has a usable text column.
    """
    with path.open(encoding=detect_encoding(path), errors="replace") as file:
        lines = ((number, line.replace("\0", "")) for number, line in enumerate(file, start=1))
        items = ((f"{key}#{number}", f"line {number}", _loads(line)) for number, line in lines if line.strip())
        yield from _json_items(items, columns)


def read_json(path: Path, key: str, columns: Mapping[str, str] | None) -> Iterator[RawReport | ReportDrop]:
    """A JSON file: a FHIR resource or Bundle, one row, a list of rows, or JSON lines under the wrong name.

    Raises
    ------
    ConfigError
        The rows have no usable text column.
    """
    value = _loads(decode(path.read_bytes()))
    if value is None:
        yield from read_json_lines(path, key, columns)
        return
    rows = value if isinstance(value, list) else [value]
    items = ((f"{key}#{number}", f"entry {number}", row) for number, row in enumerate(rows, start=1))
    yield from _json_items(items, columns)


def _json_items(
    items: Iterator[tuple[str, str, Any]], columns: Mapping[str, str] | None
) -> Iterator[RawReport | ReportDrop]:
    layouts: dict[tuple[str, ...], ColumnMap | None] = {}
    refusal: NoTextColumnError | None = None
    for source_key, place, row in items:
        if not isinstance(row, dict):
            yield ReportDrop(source_key, DropReason.ROW_PARSE, f"{place}: no JSON object, or a key named twice")
            continue
        if is_resource(row):
            yield from read_resource(row, source_key)
            continue
        names = tuple(row)
        if names not in layouts:
            try:
                present = {k: v for k, v in (columns or {}).items() if v in names} if any(layouts.values()) else columns
                layouts[names] = map_columns(names, present)
            except NoTextColumnError as error:
                refusal, layouts[names] = refusal or error, None
        layout = layouts[names]
        if layout is None:
            yield ReportDrop(source_key, DropReason.EMPTY_TEXT, f"{place}: no key that could be report text")
        else:
            yield row_report({name: as_text(value) for name, value in row.items()}, layout, source_key)
    if refusal and not any(layouts.values()):
        raise refusal


def as_text(value: Any) -> str:
    """A cell's value as text; lists join with line breaks, dates in ISO 8601."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return decode(value)
    if isinstance(value, list):
        return "\n".join(as_text(item) for item in value)
    if isinstance(value, dict):
        return "\n".join(f"{name}: {as_text(item)}" for name, item in value.items())
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _loads(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise ValueError("a key is named twice")
    return keys
