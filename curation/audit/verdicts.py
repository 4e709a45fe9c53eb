"""What analysts decided: kept with its history in the private folder, published without notes to the data set.

Enters: a pair, a verdict, who and when. Leaves: rows in ``DATASET.private/verdicts.sqlite`` and the latest
verdict of each pair in ``DATASET/verdicts.parquet``, which training reads. Notes may identify and stay private.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from curation.contract import VERDICT_ROWS, VERDICTS, private_folder
from t3dkit.tables import read_rows, write_table

_SCHEMA = """
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY,
    pair_id TEXT NOT NULL,
    verdict TEXT,           -- NULL takes the verdict back
    reader TEXT NOT NULL,
    note TEXT NOT NULL,
    at TEXT NOT NULL        -- UTC, ISO 8601
);
CREATE INDEX IF NOT EXISTS event_by_pair ON event (pair_id, id);
"""


@dataclass(frozen=True)
class Decision:
    """One entry of a pair's history."""

    pair_id: str
    verdict: str | None
    reader: str
    note: str
    at: str


class VerdictStore:
    """The verdicts of one data set; safe for several writers, durable once `decide` returns."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._path = private_folder(root) / "verdicts.sqlite"
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._open() as base:
            base.executescript(_SCHEMA)

    def decide(self, pair_id: str, verdict: str | None, *, reader: str = "", note: str = "") -> None:
        """Record a verdict (None takes it back) and publish the latest ones.

        Raises
        ------
        ValueError
            The verdict is none of `VERDICTS`.
        """
        if verdict is not None and verdict not in VERDICTS:
            raise ValueError(f"a verdict is one of {', '.join(VERDICTS)}")
        at = datetime.now(UTC).isoformat(timespec="seconds")
        with self._open() as base:
            base.execute(
                "INSERT INTO event (pair_id, verdict, reader, note, at) VALUES (?, ?, ?, ?, ?)",
                (pair_id, verdict, reader, note, at),
            )
        self.publish()

    def undo(self, pair_id: str, *, reader: str = "") -> str | None:
        """Go back to the verdict before the latest one; returns it."""
        verdicts = [decision.verdict for decision in self.history(pair_id)]
        before = verdicts[-2] if len(verdicts) > 1 else None
        if verdicts:
            self.decide(pair_id, before, reader=reader, note="undo")
        return before

    def history(self, pair_id: str) -> list[Decision]:
        """Every entry of a pair, oldest first."""
        with self._open() as base:
            rows = base.execute(
                "SELECT pair_id, verdict, reader, note, at FROM event WHERE pair_id = ? ORDER BY id", (pair_id,)
            ).fetchall()
        return [Decision(*row) for row in rows]

    def latest(self) -> dict[str, Decision]:
        """The last entry of every pair, those that were taken back included."""
        with self._open() as base:
            rows = base.execute(
                "SELECT pair_id, verdict, reader, note, at FROM event "
                "WHERE id IN (SELECT max(id) FROM event GROUP BY pair_id)"
            ).fetchall()
        return {row[0]: Decision(*row) for row in rows}

    def publish(self) -> None:
        """Write ``verdicts.parquet``: the latest verdict of each pair that was ever audited."""
        rows = [
            {"pair_id": decision.pair_id, "verdict": decision.verdict, "updated_at": decision.at}
            for decision in self.latest().values()
        ]
        write_table(self.root / "verdicts.parquet", rows, VERDICT_ROWS, sort_by=("pair_id",))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=30.0)) as base:
            base.execute("PRAGMA journal_mode=WAL")
            base.execute("PRAGMA synchronous=FULL")
            with base:
                yield base


def published_verdicts(root: Path) -> dict[str, str | None]:
    """What ``verdicts.parquet`` says; {} where nothing was audited."""
    path = root / "verdicts.parquet"
    return {row["pair_id"]: row["verdict"] for row in read_rows(path, VERDICT_ROWS)} if path.is_file() else {}
