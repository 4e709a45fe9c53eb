"""What a run changed: which pairs, volumes and reports came, went, or are other than before.

Enters: the rows on disk before a run and those it is about to write. Leaves: the ids that differ, as counts for the
summary and as one line of ``changes.jsonl`` in the private folder. Refuses: to write a line where nothing changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curation.contract import TABLES
from t3dkit.errors import ContractError
from t3dkit.tables import read_rows

Row = dict[str, Any]
Changes = dict[str, dict[str, list[str]]]

KEYS = {"pairs": "pair_id", "volumes": "volume_id", "reports": "report_id"}
FILE = "changes.jsonl"


def rows_on_disk(root: Path) -> dict[str, list[Row]]:
    """The rows of the tables with an id, as the last run left them; none where a table is absent or damaged."""
    rows: dict[str, list[Row]] = {}
    for table in KEYS:
        try:
            rows[table] = read_rows(root / f"{table}.parquet", TABLES[table])
        except ContractError:
            rows[table] = []
    return rows


def changes_between(before: Mapping[str, Sequence[Row]], after: Mapping[str, Sequence[Row]]) -> Changes:
    """Ids that were added, removed or changed, by table; sorted, empty lists left out."""
    changes: Changes = {}
    for table, key in KEYS.items():
        old = {row[key]: _canonical(row) for row in before[table]}
        new = {row[key]: _canonical(row) for row in after[table]}
        kinds = {
            "added": sorted(new.keys() - old.keys()),
            "removed": sorted(old.keys() - new.keys()),
            "changed": sorted(one for one in new.keys() & old.keys() if new[one] != old[one]),
        }
        if any(kinds.values()):
            changes[table] = {kind: ids for kind, ids in kinds.items() if ids}
    return changes


def counted(changes: Changes) -> dict[str, dict[str, int]]:
    """How many of each."""
    return {table: {kind: len(ids) for kind, ids in kinds.items()} for table, kinds in changes.items()}


def keep_changes(private: Path, cause: str, changes: Changes) -> None:
    """Append a line that says what changed and because of what; nothing where nothing did."""
    if changes:
        path = private / FILE
        path.touch(mode=0o600)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"cause": cause, **changes}) + "\n")


def _canonical(row: Row) -> str:
    return json.dumps(row, sort_keys=True, default=str)
