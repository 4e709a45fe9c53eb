"""Parquet tables with a fixed schema and reproducible bytes.

Enters: rows as dictionaries, a pyarrow schema. Leaves: a Parquet file, or the rows again. Refuses: a row with a
column that the schema does not name, or a table without a column that it does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from t3dkit.atomic import write_with
from t3dkit.errors import ContractError

if TYPE_CHECKING:
    import pandas as pd


def write_table(
    path: Path, rows: Iterable[Mapping[str, Any]], schema: pa.Schema, *, sort_by: Sequence[str] = ()
) -> int:
    """Write `rows` to `path`, sorted by `sort_by`, atomically; returns the number of rows.

    Raises
    ------
    ContractError
        A row has a column that `schema` lacks.
    """
    ordered = sorted(rows, key=lambda row: tuple(str(row[column]) for column in sort_by)) if sort_by else list(rows)
    known = set(schema.names)
    for row in ordered:
        unknown = set(row) - known
        if unknown:
            raise ContractError(f"{path.name}: columns {sorted(unknown)} are not in the schema {sorted(known)}")
    table = pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in ordered], schema=schema)
    # Without dictionaries: their indexes in a row can spell what nobody wrote, and most columns are ids anyway.
    layout = {"compression": "zstd", "version": "2.6", "use_dictionary": False}
    write_with(path, lambda temporary: pq.write_table(table, temporary, **layout))
    return len(ordered)


def read_table(path: Path, schema: pa.Schema | None = None) -> pa.Table:
    """Read a Parquet table and require the columns of `schema`.

    Raises
    ------
    ContractError
        The file is absent, is no Parquet, or lacks a column.
    """
    if not path.is_file():
        raise ContractError(
            f"{path.name} is missing in {path.parent}: the data set is incomplete, run the curation again"
        )
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise ContractError(f"{path.name} cannot be read as Parquet ({type(error).__name__})") from None
    missing = [name for name in (schema.names if schema else ()) if name not in table.column_names]
    if missing:
        raise ContractError(f"{path.name}: expected columns {missing}, found {table.column_names}")
    return table


def read_rows(path: Path, schema: pa.Schema | None = None) -> list[dict[str, Any]]:
    """Read a Parquet table as a list of dictionaries."""
    return read_table(path, schema).to_pylist()


def read_frame(path: Path, schema: pa.Schema | None = None) -> pd.DataFrame:
    """Read a Parquet table as a pandas frame."""
    return read_table(path, schema).to_pandas()
