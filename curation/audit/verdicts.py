"""What analysts decided: kept with its history in the private folder, published without notes to the data set.

Enters: a pair, a verdict, who and when. Leaves: rows in ``DATASET.private/verdicts.sqlite`` and the verdict of each
pair in ``DATASET/verdicts.parquet``, which training reads. Notes may identify and stay private.

Two readers may judge one pair. Where they disagree, the pair is disputed, and a verdict that excludes it holds until
they agree: a wrong pair in training is worse than a lost one.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from curation.contract import EXCLUDING_VERDICTS, VERDICT_ROWS, VERDICTS, private_folder
from t3dkit.tables import read_rows, write_table

_SCHEMA = """
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY,
    pair_id TEXT NOT NULL,
    verdict TEXT,           -- NULL: none
    reader TEXT NOT NULL,
    note TEXT NOT NULL,
    at TEXT NOT NULL,       -- UTC, ISO 8601
    undoes INTEGER          -- the event that this one takes back
);
CREATE INDEX IF NOT EXISTS event_by_pair ON event (pair_id, id);
"""
_READ = "SELECT id, pair_id, verdict, reader, note, at, undoes FROM event "


@dataclass(frozen=True)
class Decision:
    """One entry of a pair's history."""

    id: int
    pair_id: str
    verdict: str | None
    reader: str
    note: str
    at: str
    undoes: int | None = None


class VerdictStore:
    """The verdicts of one data set; safe for several writers, durable once `decide` returns."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._path = private_folder(root) / "verdicts.sqlite"
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.touch(mode=0o600)
        self._lock = threading.Lock()
        self._seen = 0
        self._by_reader: dict[str, dict[str, Decision]] = {}  # pair_id -> reader -> latest entry
        with self._open() as base:
            base.executescript(_SCHEMA)
            if "undoes" not in {row[1] for row in base.execute("PRAGMA table_info(event)")}:
                base.execute("ALTER TABLE event ADD COLUMN undoes INTEGER")

    def decide(self, pair_id: str, verdict: str | None, *, reader: str = "", note: str = "") -> None:
        """Record a verdict (None takes it back) and publish.

        Raises
        ------
        ValueError
            The verdict is none of `VERDICTS`.
        """
        if verdict is not None and verdict not in VERDICTS:
            raise ValueError(f"a verdict is one of {', '.join(VERDICTS)}")
        self._add(pair_id, verdict, reader, note, None)

    def undo(self, pair_id: str, *, reader: str = "") -> str | None:
        """Take back the reader's last entry that was not taken back yet; returns the verdict that holds again."""
        own = [entry for entry in self.history(pair_id) if entry.reader == reader]
        gone = {entry.undoes for entry in own}
        standing = [entry for entry in own if entry.undoes is None and entry.id not in gone]
        if not standing:
            return None
        before = standing[-2].verdict if len(standing) > 1 else None
        self._add(pair_id, before, reader, "", standing[-1].id)
        return before

    def history(self, pair_id: str) -> list[Decision]:
        """Every entry of a pair, oldest first."""
        with self._open() as base:
            rows = base.execute(_READ + "WHERE pair_id = ? ORDER BY id", (pair_id,)).fetchall()
        return [Decision(*row) for row in rows]

    def by_reader(self) -> Mapping[str, Mapping[str, Decision]]:
        """pair_id -> reader -> the reader's latest entry; only what is new is read."""
        with self._lock:
            with self._open() as base:
                rows = base.execute(_READ + "WHERE id > ? ORDER BY id", (self._seen,)).fetchall()
            for row in rows:
                entry = Decision(*row)
                # a new inner mapping: who iterates over the old one is not disturbed
                self._by_reader[entry.pair_id] = self._by_reader.get(entry.pair_id, {}) | {entry.reader: entry}
                self._seen = entry.id
            return dict(self._by_reader)

    def latest(self) -> dict[str, Decision]:
        """The entry that holds for every pair that was ever judged."""
        return {pair_id: holding(readers) for pair_id, readers in self.by_reader().items()}

    def disputed(self) -> list[str]:
        """Pairs on which two readers disagree."""
        return sorted(
            pair_id
            for pair_id, readers in self.by_reader().items()
            if len({entry.verdict for entry in readers.values() if entry.verdict}) > 1
        )

    def publish(self) -> None:
        """Write ``verdicts.parquet``: the verdict that holds for each pair that was ever judged."""
        rows = [
            {"pair_id": pair_id, "verdict": entry.verdict, "updated_at": entry.at}
            for pair_id, entry in self.latest().items()
            if "/" not in pair_id  # verdicts on dropped things concern no pair
        ]
        write_table(self.root / "verdicts.parquet", rows, VERDICT_ROWS, sort_by=("pair_id",))

    def _add(self, pair_id: str, verdict: str | None, reader: str, note: str, undoes: int | None) -> None:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        with self._open() as base:
            base.execute(
                "INSERT INTO event (pair_id, verdict, reader, note, at, undoes) VALUES (?, ?, ?, ?, ?, ?)",
                (pair_id, verdict, reader, note, at, undoes),
            )
        self.publish()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=30.0)) as base:
            base.execute("PRAGMA journal_mode=WAL")
            base.execute("PRAGMA synchronous=FULL")
            with base:
                yield base


def holding(readers: Mapping[str, Decision]) -> Decision:
    """Of the readers' latest entries the one that holds: an excluding verdict before others, then the newest."""
    return max(
        readers.values(),
        key=lambda entry: (entry.verdict in EXCLUDING_VERDICTS, entry.verdict is not None, entry.id),
    )


def published_verdicts(root: Path) -> dict[str, str | None]:
    """What ``verdicts.parquet`` says; {} where nothing was audited."""
    path = root / "verdicts.parquet"
    return {row["pair_id"]: row["verdict"] for row in read_rows(path, VERDICT_ROWS)} if path.is_file() else {}
