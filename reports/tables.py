"""The tables that ``reports parse`` writes.

Enters: nothing. Leaves: schemas. `SENTENCES` has the columns of a curated data set's ``sentences.parquet``, so that
what reads one reads the other; a test holds the two together, since `reports` may not import `curation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from t3dkit.atomic import atomic_path

_TEXTS = pa.list_(pa.string())
_SPAN = pa.struct([("name", pa.string()), ("char_start", pa.int64()), ("char_end", pa.int64())])

SENTENCES = pa.schema(
    [
        ("sentence_id", pa.string()),
        ("report_id", pa.string()),
        ("pair_id", pa.string()),  # null: a report alone is no pair
        ("section", pa.string()),
        ("index", pa.int64()),
        ("char_start", pa.int64()),  # in the text column of the reports table
        ("char_end", pa.int64()),
        ("text", pa.string()),
        ("regions", _TEXTS),
        ("laterality", pa.string()),  # left, right, bilateral, or null
        ("assertion", pa.string()),  # present, absent, uncertain
        ("is_normal", pa.bool_()),
        ("is_prior_comparison", pa.bool_()),
        ("image_pointer", pa.struct([("series", pa.int64()), ("image", pa.int64())])),
        ("measurements_mm", pa.list_(pa.float64())),
    ]
)
REPORTS = pa.schema(
    [
        ("report_id", pa.string()),
        ("pair_id", pa.string()),
        ("language", pa.string()),
        ("status", pa.string()),
        ("text", pa.string()),  # de-identified
        ("sections", pa.list_(_SPAN)),
        ("flags", _TEXTS),
        ("n_versions", pa.int64()),
        ("n_sentences", pa.int64()),
        ("n_replaced", pa.int64()),  # identifiers taken out or shifted
    ]
)
DROPPED = pa.schema(
    [
        ("stage", pa.string()),
        ("kind", pa.string()),
        ("item_id", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)
ENTITIES = pa.schema(
    [
        ("report_id", pa.string()),
        ("char_start", pa.int64()),  # in the text column of the reports table
        ("char_end", pa.int64()),
        ("text", pa.string()),
        ("label", pa.string()),
        ("concepts", pa.list_(pa.struct([("concept", pa.string()), ("score", pa.float64())]))),
    ]
)
ROWS_PER_GROUP = 20_000
"""Rows that a table sink holds before it writes them: some tens of megabytes."""


class TableSink:
    """Rows straight to a Parquet file, a group at a time; see `table_sink`."""

    def __init__(self, writer: pq.ParquetWriter, schema: pa.Schema) -> None:
        self._writer, self._schema = writer, schema
        self._held: list[Mapping[str, Any]] = []
        self._n_written = 0

    def extend(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take rows; a column that a row lacks is null."""
        self._held += rows
        while len(self._held) >= ROWS_PER_GROUP:
            self._write(self._held[:ROWS_PER_GROUP])
            del self._held[:ROWS_PER_GROUP]

    def __len__(self) -> int:
        return self._n_written + len(self._held)

    def flush(self) -> None:
        """Write what is held."""
        self._write(self._held)
        self._held.clear()

    def _write(self, rows: list[Mapping[str, Any]]) -> None:
        columns = [{name: row.get(name) for name in self._schema.names} for row in rows]
        self._writer.write_table(pa.Table.from_pylist(columns, schema=self._schema), row_group_size=ROWS_PER_GROUP)
        self._n_written += len(rows)


@contextmanager
def table_sink(path: Path, schema: pa.Schema) -> Iterator[TableSink]:
    """A table that is written as rows come and gets its name when the block ends without an error."""
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd", version="2.6") as writer,
    ):
        sink = TableSink(writer, schema)
        yield sink
        sink.flush()
