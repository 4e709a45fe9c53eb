"""The ledger: what was seen, what was decided, what is done; in ``DATASET.private``, never exported.

Enters: rows from the driver, the one writer. Leaves: the same rows, after any kill. Refuses: a second writer, a
damaged database, one made under another key or by a newer program.

SQLite in WAL mode: a commit is atomic, and a kill between commits loses only what was not committed. Stage results
are keyed by the digest of their input, configuration subset and stage version, so that a changed input or
configuration redoes what it touches and nothing else.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.errors import BusyError, LedgerError
from volumes.reasons import DropReason
from volumes.records import FileRef

LEDGER_VERSION = 3
LIMIT = str(DropReason.RESOURCE_LIMIT)
PASSING = frozenset({str(DropReason.READ_ERROR), str(DropReason.UNSTABLE_INPUT), LIMIT})
"""Reasons of the moment rather than of the file: the next run tries again."""
MAX_STRIKES = 2
"""Runs in which something met RESOURCE_LIMIT (killed, hung or swelled) before it is given up: a poison file costs every
run some seconds and a worker, a machine that was short of memory once does not cost a study."""
_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS file (
    name BLOB PRIMARY KEY, path BLOB NOT NULL, members TEXT NOT NULL, is_salvaged INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL, stamp TEXT NOT NULL,
    kind TEXT NOT NULL, reason TEXT, detail TEXT NOT NULL DEFAULT '',
    study_uid TEXT, series_uid TEXT, sop_uid TEXT, header TEXT, content TEXT, binding TEXT, lacks TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS file_by_study ON file (study_uid, series_uid);
CREATE INDEX IF NOT EXISTS file_by_series ON file (series_uid, kind);
CREATE INDEX IF NOT EXISTS file_by_sop ON file (sop_uid);
CREATE INDEX IF NOT EXISTS file_by_reason ON file (reason) WHERE reason IS NOT NULL;
CREATE INDEX IF NOT EXISTS file_that_lacks ON file (name) WHERE lacks IS NOT NULL;
CREATE TABLE IF NOT EXISTS identifier (
    owner TEXT NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (owner, kind, value)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS crosswalk (
    kind TEXT NOT NULL, value TEXT NOT NULL, pseudonym TEXT NOT NULL, PRIMARY KEY (kind, value)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS crosswalk_by_pseudonym ON crosswalk (kind, pseudonym);
CREATE TABLE IF NOT EXISTS result (
    stage TEXT NOT NULL, item TEXT NOT NULL, key TEXT NOT NULL, payload BLOB NOT NULL, PRIMARY KEY (stage, item)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS strike (
    kind TEXT NOT NULL, item BLOB NOT NULL, key TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (kind, item)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS withdrawn (owner TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS decision (
    kind TEXT NOT NULL, item TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, PRIMARY KEY (kind, item)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class FileRow:
    """One file of the export as the ledger holds it.

    Parameters
    ----------
    stamp : str
        Size and time of the file on disk (of the outer archive for a member): when it is unchanged, so is the file.
    kind : str
        image, report, other, or dropped.
    reason, detail : str
        Why it was dropped, when it was.
    header : mapping
        What identity and linking need of the header; None for a file without one.
    binding : mapping
        What binds an image to its series beside that (`curation.uids`); None until it is needed.
    lacks : mapping
        For an image without all of its UIDs: which, and what was put in their place (`curation.uids`).
    """

    ref: FileRef
    stamp: str
    kind: str
    reason: str | None = None
    detail: str = ""
    study_uid: str | None = None
    series_uid: str | None = None
    sop_uid: str | None = None
    header: Mapping[str, Any] | None = None
    binding: Mapping[str, Any] | None = None
    lacks: Mapping[str, Any] | None = None


class Ledger:
    """The open ledger of one data set; use `open_ledger`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._db = sqlite3.connect(path)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._bring_up_to_date()
            self._db.executescript(_TABLES)
            self._db.execute("CREATE TEMP TABLE seen (name BLOB PRIMARY KEY) WITHOUT ROWID")
            version = int(self.meta("ledger_version", str(LEDGER_VERSION)) or 0)
        except (sqlite3.DatabaseError, ValueError):
            raise LedgerError(
                f"the ledger {path} is damaged: move the private folder's ledger.sqlite* away and run again; "
                "everything is done anew under the same key"
            ) from None
        if version > LEDGER_VERSION:
            raise LedgerError(
                f"the ledger {path} has version {version}, this program reads {LEDGER_VERSION}: update t3dkit"
            )
        self.set_meta("ledger_version", str(LEDGER_VERSION))
        os.chmod(path, 0o600)

    def _bring_up_to_date(self) -> None:
        """Version 2 added two columns; files that lacked a UID were dropped before, and are read again. Version 3 has
        no number of the run that saw a file last: what a run sees is of that run alone, and an unchanged file costs
        no write.
        """
        columns = {row[1] for row in self._db.execute("PRAGMA table_info(file)")}
        if columns and "lacks" not in columns:
            with self.transaction():
                self._db.execute("ALTER TABLE file ADD COLUMN binding TEXT")
                self._db.execute("ALTER TABLE file ADD COLUMN lacks TEXT")
                self._db.execute("DELETE FROM file WHERE reason = ?", (str(DropReason.NO_UID),))
        if "run" in columns:
            with self.transaction():
                self._db.execute("ALTER TABLE file DROP COLUMN run")
                self._db.execute("DELETE FROM meta WHERE key = 'run'")

    def close(self) -> None:
        """Close the database; what was committed stays."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of the writes in the block."""
        self._db.execute("SAVEPOINT block")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK TO block")
            self._db.execute("RELEASE block")
            self._db.commit()
            raise
        self._db.execute("RELEASE block")
        self._db.commit()

    # meta

    def meta(self, key: str, default: str | None = None) -> str | None:
        """A single value, or `default`."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else default

    def set_meta(self, key: str, value: str) -> None:
        """Set a single value; writes nothing when it is set already."""
        if self.meta(key) != value:
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
            self._db.commit()

    # files

    def file_stamps(self, names: Sequence[str]) -> dict[str, str]:
        """Name -> stamp of those of `names` that are known, and not to be read again for a reason that may pass."""
        known: dict[str, str] = {}
        for name in names:
            row = self._db.execute("SELECT stamp, reason FROM file WHERE name = ?", (_raw(name),)).fetchone()
            if row and not self.may_pass({row[1]}, "file", name, row[0]):
                known[name] = row[0]
        return known

    def put_files(self, rows: Iterable[FileRow]) -> None:
        """Insert or replace files; they count as seen."""
        rows = list(rows)
        self._see(row.ref.name for row in rows)
        self._db.executemany(
            "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?)",
            [
                (
                    _raw(row.ref.name), _raw(row.ref.path), json.dumps(row.ref.members), int(row.ref.is_salvaged),
                    row.ref.size_bytes, row.stamp, row.kind, row.reason, row.detail,
                    row.study_uid, row.series_uid, row.sop_uid,
                    _json(row.header), _json(row.binding), _json(row.lacks),
                )
                for row in rows
            ],
        )  # fmt: skip

    def mark_seen(self, refs: Iterable[FileRef]) -> None:
        """Unchanged files are seen, at the place where they are now; nothing is written where that is the old place."""
        places = [(_raw(ref.path), _raw(ref.name)) for ref in refs]
        self._see(ref.name for ref in refs)
        self._db.executemany("UPDATE file SET path = ?1 WHERE name = ?2 AND path <> ?1", places)

    def _see(self, names: Iterable[str]) -> None:
        self._db.executemany("INSERT OR IGNORE INTO seen VALUES (?)", [(_raw(name),) for name in names])

    def forget_unseen(self) -> int:
        """Delete files that were not seen since this ledger was opened; returns how many."""
        return self._db.execute("DELETE FROM file WHERE name NOT IN (SELECT name FROM seen)").rowcount

    def files(self, where: str = "1", parameters: Sequence[Any] = ()) -> Iterator[FileRow]:
        """Files in order of name; `where` is SQL on the table's columns."""
        columns = (
            "name, path, members, size_bytes, is_salvaged, stamp, kind, reason, detail, "
            "study_uid, series_uid, sop_uid, header, binding, lacks"
        )
        # `where` is always a literal of ours, values go through `parameters`.
        sql = f"SELECT {columns} FROM file WHERE {where} ORDER BY name"  # noqa: S608
        for row in self._db.execute(sql, parameters):
            ref = FileRef(_text(row[0]), _text(row[1]), tuple(json.loads(row[2])), row[3], bool(row[4]))
            yield FileRow(ref, *row[5:12], *(None if text is None else json.loads(text) for text in row[12:15]))

    def files_named(self, names: Iterable[str]) -> Iterator[FileRow]:
        """The files of these names, as far as they are known."""
        for name in names:
            yield from self.files("name = ?", (_raw(name),))

    def update_files(self, rows: Iterable[FileRow]) -> None:
        """Replace, and commit, what was decided about files that are known."""
        with self.transaction():
            self._db.executemany(
                "UPDATE file SET kind = ?, reason = ?, detail = ?, study_uid = ?, series_uid = ?, sop_uid = ?, "
                "binding = ?, lacks = ? WHERE name = ?",
                [
                    (row.kind, row.reason, row.detail, row.study_uid, row.series_uid, row.sop_uid,
                     _json(row.binding), _json(row.lacks), _raw(row.ref.name))
                    for row in rows
                ],
            )  # fmt: skip

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Read-only look at the tables; `sql` is always a literal of ours."""
        yield from self._db.execute(sql, parameters)

    def content(self, name: str) -> str | None:
        """Digest of a file's content, where it was needed to tell copies apart."""
        row = self._db.execute("SELECT content FROM file WHERE name = ?", (_raw(name),)).fetchone()
        return row[0] if row else None

    def set_content(self, digests: Mapping[str, str]) -> None:
        """Keep digests of file contents."""
        self._db.executemany("UPDATE file SET content = ? WHERE name = ?", [(d, _raw(n)) for n, d in digests.items()])
        self._db.commit()

    def names_beside(self, folder: str) -> list[str]:
        """Names of the images in a folder ("." is the export's own), sorted; not those in folders below it."""
        low, high = ("", "") if folder == "." else (f"{folder}/", f"{folder}0")  # 0 comes after / in ASCII
        rows = self._db.execute(
            "SELECT name FROM file WHERE name >= ? AND (? = '' OR name < ?) AND (kind = 'image' OR lacks IS NOT NULL) "
            "ORDER BY name",
            (_raw(low), high, _raw(high)),
        )
        return [name for name in (_text(raw) for (raw,) in rows) if "/" not in name[len(low) :]]

    # identifiers and crosswalk

    def put_identifiers(self, rows: Iterable[tuple[str, str, str]]) -> None:
        """Add (owner, kind, value): what identifies, and whose study or report it came from."""
        self._db.executemany("INSERT OR IGNORE INTO identifier VALUES (?, ?, ?)", rows)

    def identifiers(self) -> Iterator[tuple[str, str]]:
        """Every distinct (kind, value) of the batch."""
        yield from self._db.execute("SELECT DISTINCT kind, value FROM identifier ORDER BY kind, value")

    def put_crosswalk(self, rows: Iterable[tuple[str, str, str]]) -> None:
        """Add (kind, real identifier, pseudonym)."""
        self._db.executemany("INSERT OR IGNORE INTO crosswalk VALUES (?, ?, ?)", rows)

    def real(self, kind: str, pseudonym: str) -> str | None:
        """The real identifier behind a pseudonym."""
        row = self._db.execute(
            "SELECT value FROM crosswalk WHERE kind = ? AND pseudonym = ?", (kind, pseudonym)
        ).fetchone()
        return row[0] if row else None

    def crosswalk(self, kind: str) -> dict[str, str]:
        """Pseudonym -> real identifier of one kind."""
        return {
            pseudonym: value
            for value, pseudonym in self._db.execute("SELECT value, pseudonym FROM crosswalk WHERE kind = ?", (kind,))
        }

    # consent

    def put_withdrawn(self, owners: Iterable[str]) -> None:
        """Remember, and commit, that these patients (`curation.index.patient_owner`) took their consent back."""
        self._db.executemany("INSERT OR IGNORE INTO withdrawn VALUES (?)", [(owner,) for owner in sorted(owners)])
        self._db.commit()

    def withdrawn(self) -> set[str]:
        """The patients who took their consent back."""
        return {owner for (owner,) in self._db.execute("SELECT owner FROM withdrawn")}

    # stage results

    def result(self, stage: str, item: str, key: str) -> Any | None:
        """The stored result of `item`, if it was made under the same `key`."""
        row = self._db.execute(
            "SELECT payload FROM result WHERE stage = ? AND item = ? AND key = ?", (stage, item, key)
        ).fetchone()
        return json.loads(zlib.decompress(row[0])) if row else None

    def put_result(self, stage: str, item: str, key: str, value: Any) -> None:
        """Store a result and commit: from here on it survives a kill."""
        payload = zlib.compress(json.dumps(value, sort_keys=True, separators=(",", ":")).encode(), 3)
        self._db.execute("INSERT OR REPLACE INTO result VALUES (?, ?, ?, ?)", (stage, item, key, payload))
        self._db.commit()

    def forget_results(self, stage: str, keep: Iterable[str]) -> None:
        """Delete the results of items that are no longer part of the data set."""
        kept = set(keep)
        gone = [i for (i,) in self._db.execute("SELECT item FROM result WHERE stage = ?", (stage,)) if i not in kept]
        self._db.executemany("DELETE FROM result WHERE stage = ? AND item = ?", [(stage, item) for item in gone])
        self._db.commit()

    # what is given up: RESOURCE_LIMIT in one run after the other

    def may_pass(self, reasons: AbstractSet[str | None], kind: str, item: str, key: str) -> bool:
        """Whether one of the `reasons` for which `item` was dropped may be gone when it is tried again."""
        passing = reasons & PASSING
        return bool(passing) and (passing != {LIMIT} or not self.is_given_up(kind, item, key))

    def is_given_up(self, kind: str, item: str, key: str) -> bool:
        """Whether `item` has met RESOURCE_LIMIT in `MAX_STRIKES` runs under the same `key`."""
        row = self._db.execute(
            "SELECT n FROM strike WHERE kind = ? AND item = ? AND key = ?", (kind, _raw(item), key)
        ).fetchone()
        return bool(row) and row[0] >= MAX_STRIKES

    def strike(self, kind: str, item: str, key: str) -> None:
        """Count, without commit, that `item` met RESOURCE_LIMIT in this run."""
        self._db.execute(
            "INSERT INTO strike VALUES (?, ?, ?, 1) "
            "ON CONFLICT DO UPDATE SET n = iif(key = excluded.key, n + 1, 1), key = excluded.key",
            (kind, _raw(item), key),
        )

    def forgive(self) -> None:
        """Forget, and commit, every strike: all that was given up is tried again."""
        self._db.execute("DELETE FROM strike")
        self._db.commit()

    # decisions: both sides of what was not linked, named; private

    def replace_decisions(self, rows: Iterable[tuple[str, str, str, str]]) -> None:
        """Replace the drop decisions (kind, real item, reason, detail naming the other side); equal ones stay."""
        rows = list(rows)
        if sorted(rows) == sorted(self._db.execute("SELECT kind, item, reason, detail FROM decision")):
            return
        with self.transaction():
            self._db.execute("DELETE FROM decision")
            self._db.executemany("INSERT OR REPLACE INTO decision VALUES (?, ?, ?, ?)", rows)


@contextmanager
def open_ledger(private: Path) -> Iterator[Ledger]:
    """The ledger in `private` (made with mode 0700), held by this process alone.

    Raises
    ------
    BusyError
        Another run holds it.
    LedgerError
        It is damaged or newer.
    """
    private.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chmod(private, 0o700)
    with locked(private / "lock"):
        ledger = Ledger(private / "ledger.sqlite")
        try:
            yield ledger
        finally:
            ledger.close()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path`; the kernel lets go of it however the process ends.

    Raises
    ------
    BusyError
        Another process holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(
                "another run is at work on this data set: wait for it to end, or stop it, then run again"
            ) from None
        yield
    finally:
        os.close(descriptor)


def read_only(private: Path) -> sqlite3.Connection | None:
    """A read-only connection to the ledger in `private`, or None where there is none.

    Raises
    ------
    LedgerError
        It is damaged.
    """
    path = private / "ledger.sqlite"
    if not path.is_file():
        return None
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        connection.execute("SELECT count(*) FROM meta").fetchone()
    except sqlite3.DatabaseError:
        raise LedgerError(f"the ledger {path} is damaged and cannot be read") from None
    return connection


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, sort_keys=True)


def _raw(text: str) -> bytes:
    # File names need not be UTF-8; SQLite text must be.
    return text.encode("utf-8", "surrogateescape")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
