"""What is missing from the series of an export, or may be, as the driver sees it.

Enters: the ledger. Leaves: per series, files that name it and cannot be read, files beside it that cannot be read at
all, images that a DICOMDIR lists and that are not there. Refuses: to judge; `volumes.gaps` does, in the study stage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from curation.executor import Executor, Failure
from curation.ledger import FileRow, Ledger
from curation.pseudonyms import Pseudonyms
from curation.uids import as_instance
from volumes.gaps import Gaps
from volumes.reasons import DropReason
from volumes.records import FileDrop, FileRef
from volumes.scan import UNREAD, Scan

Directory = dict[str, frozenset[str]]
"""SeriesInstanceUID -> SOPInstanceUIDs that a media directory lists."""
MEDIA = "media"
"""The stage, in the ledger, of reading a media directory."""


@dataclass(frozen=True)
class Absences:
    """What is missing from each series; asked per study.

    Parameters
    ----------
    missing : mapping
        SeriesInstanceUID -> images that a media directory lists and that are not there.
    """

    ledger: Ledger
    missing: Mapping[str, int]

    def of(self, study_uid: str, rows: Sequence[FileRow]) -> dict[str, list[Any]]:
        """SeriesInstanceUID -> [reason of the first lost file, lost files, unread files beside it, images missing].

        Parameters
        ----------
        rows : sequence of FileRow
            The images of the study.
        """
        by_series: dict[str, list[FileRow]] = {}
        for row in rows:
            by_series.setdefault(str(row.series_uid), []).append(row)
        lost = self._lost(study_uid)
        found = {
            uid: [
                *lost.get(uid, ("", 0)),
                self._scan.n_unread_beside([as_instance(row) for row in members]) if self._scan.dropped else 0,
                self.missing.get(uid, 0),
            ]
            for uid, members in sorted(by_series.items())
        }
        return {uid: counts for uid, counts in found.items() if any(counts)}

    def _lost(self, study_uid: str) -> dict[str, tuple[str, int]]:
        found = self.ledger.query(
            "SELECT series_uid, reason, count(*), min(name) FROM file WHERE kind = 'dropped' AND reason <> ? "
            "AND series_uid IN (SELECT series_uid FROM file WHERE study_uid = ? AND kind = 'image') "
            "GROUP BY series_uid",  # SQLite answers the reason of the row that has the least name
            (str(DropReason.NOT_IMAGE), study_uid),
        )
        return {series_uid: (reason, n) for series_uid, reason, n, _name in found}

    @cached_property
    def _scan(self) -> Scan:
        """Every file of the export that could not be read so far as to know what it is."""
        reasons = [str(reason) for reason in sorted(UNREAD)]
        marks = ", ".join("?" * len(reasons))
        rows = self.ledger.files(f"kind = 'dropped' AND series_uid IS NULL AND reason IN ({marks})", reasons)
        return Scan((), tuple(FileDrop(row.ref, DropReason(str(row.reason))) for row in rows))


def gaps_of(counts: Sequence[Any] | None) -> Gaps:
    """The gaps of a series from one entry of `Absences.of`."""
    if counts is None:
        return Gaps()
    reason, n_lost, n_unread, n_missing = counts
    lost = [FileDrop(FileRef("", ""), DropReason(reason)) for _ in range(n_lost)]
    return Gaps(lost, n_unread, n_missing)


def find_absences(ledger: Ledger, executor: Executor, pseudonyms: Pseudonyms) -> Absences:
    """Read the media directories of the export and compare them with what was found."""
    from volumes.media import count_missing

    missing: dict[str, int] = {}
    for directory in _directories(ledger, executor, pseudonyms):
        listed = sorted({uid for uids in directory.values() for uid in uids})
        found = [as_instance(row) for row in _images(ledger, listed)]
        for uid, n in count_missing([directory], found).items():
            missing[uid] = max(missing.get(uid, 0), n)
    return Absences(ledger, missing)


def _directories(ledger: Ledger, executor: Executor, pseudonyms: Pseudonyms) -> Iterator[Directory]:
    """What each media directory lists; one whose stamp the ledger has is not read again."""
    rows = {
        pseudonyms.of("file", row.ref.name): row
        for row in ledger.files("kind = 'dropped' AND reason = ?", (str(DropReason.DICOMDIR),))
    }
    ledger.forget_results(MEDIA, rows)
    unread = []
    for item, row in rows.items():
        listed = ledger.result(MEDIA, item, row.stamp)
        if listed is None:
            unread.append((item, row.ref))
        else:
            yield {uid: frozenset(images) for uid, images in listed.items()}
    for item, directory in executor.run(read_media, unread):
        if isinstance(directory, Failure):
            continue
        if directory:  # an empty one may be one that could not be read this time
            ledger.put_result(MEDIA, item, rows[item].stamp, {uid: sorted(uids) for uid, uids in directory.items()})
        yield directory


def read_media(ref: FileRef) -> Directory:
    """What one media directory lists; runs in a worker."""
    from volumes.media import read_directory

    return read_directory(ref)


def _images(ledger: Ledger, sop_uids: Sequence[str]) -> Iterator[FileRow]:
    for uid in sop_uids:
        yield from ledger.files("kind = 'image' AND sop_uid = ?", (uid,))
