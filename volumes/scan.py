"""What is in a source: every file read or dropped, every image in its series.

Enters: a folder, file or archive, or several of them. Leaves: series of instances, NIfTI images, and the files that are
neither. Refuses: to lose a file: each is an instance of a series, a NIfTI image or a drop.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from t3dkit.errors import DataError
from t3dkit.progress import Progress
from volumes.archives import MEMBER_SEPARATOR
from volumes.headers import NIFTI
from volumes.pool import processes_pool
from volumes.reasons import DropReason
from volumes.records import FileDrop, FileRef, Instance

if TYPE_CHECKING:
    from volumes.nifti_input import NiftiImage

UNREAD = frozenset(
    {
        DropReason.EMPTY_FILE,
        DropReason.READ_ERROR,
        DropReason.UNSTABLE_INPUT,
        DropReason.TRUNCATED_HEADER,
        DropReason.HEADER_DAMAGED,
        DropReason.DECOMP_LIMIT,
        DropReason.ARCHIVE_DAMAGED,
        DropReason.ARCHIVE_LIMIT,
        DropReason.ENCRYPTED,
    }
)
"""Reasons that leave open what the file was."""

PIECE_FILES = 128
"""Files whose headers a process reads at a time: a few hundredths of a second."""

Source = Path | tuple[Path, ...]
"""A folder, file or archive, or several."""


@dataclass(frozen=True)
class Scan:
    """Everything found under a source.

    Parameters
    ----------
    series : tuple of tuple of Instance
        Sorted by study, series and, where the UID is missing, folder.
    dropped : tuple of FileDrop
    niftis : tuple of NiftiImage
        Sorted by name.
    missing : dict
        SeriesInstanceUID -> images that a DICOMDIR lists and that were not found.
    """

    series: tuple[tuple[Instance, ...], ...]
    dropped: tuple[FileDrop, ...]
    niftis: tuple[NiftiImage, ...] = ()
    missing: Mapping[str, int] = field(default_factory=dict)

    @property
    def n_files(self) -> int:
        """Files found; the sum of those that are kept and those that are dropped."""
        return sum(len(instances) for instances in self.series) + len(self.dropped) + len(self.niftis)

    @cached_property
    def _by_series(self) -> dict[str, list[FileDrop]]:
        by_series: dict[str, list[FileDrop]] = defaultdict(list)
        for drop in self.dropped:
            by_series[drop.series_instance_uid].append(drop)
        return by_series

    @cached_property
    def _unread(self) -> dict[str, list[FileDrop]]:
        """By folder; an archive that could not be read by its own name and ``!/``."""
        by_folder: dict[str, list[FileDrop]] = defaultdict(list)
        for drop in self.dropped:
            if drop.reason in UNREAD and not drop.series_instance_uid:
                by_folder[str(PurePosixPath(drop.file.name).parent)].append(drop)
                by_folder[drop.file.name + MEMBER_SEPARATOR].append(drop)
        return by_folder

    def lost_of(self, series_instance_uid: str) -> tuple[FileDrop, ...]:
        """Files that name a series but could not be read."""
        return tuple(self._by_series.get(series_instance_uid, ())) if series_instance_uid else ()

    def n_unread_beside(self, instances: Sequence[Instance]) -> int:
        """Files beside those of a series, or archives around them, that could not be read: any may be of the series."""
        folders = {PurePosixPath(item.file.name).parent for item in instances}
        outer = {place for folder in folders for place in (folder, *folder.parents) if place.name.endswith("!")}
        around = [*map(str, folders), *(f"{place}/" for place in outer)]
        suffixes = {PurePosixPath(item.file.name).suffix for item in instances}
        drops = {drop.file: drop for name in around for drop in self._unread.get(name, ())}
        return sum(_may_be_a_slice(drop, suffixes) for drop in drops.values())


def _may_be_a_slice(drop: FileDrop, suffixes: set[str]) -> bool:
    """Whether an unread file may be of the series; an empty file of another suffix is a mark that some program left."""
    return drop.reason != DropReason.EMPTY_FILE or PurePosixPath(drop.file.name).suffix in suffixes


def scan_source(source: Source, progress: Progress, *, workers: int = 1) -> Scan:
    """Read the header of every file under `source`, in `workers` processes.

    Raises
    ------
    DataError
        There is no file at all.
    """
    from volumes.media import count_missing, read_directory
    from volumes.missing_uids import fill_uids
    from volumes.sources import iter_files

    instances: list[Instance] = []
    dropped: list[FileDrop] = []
    niftis: list[NiftiImage] = []
    directories: list[dict[str, frozenset[str]]] = []
    with progress.task("reading headers") as task:
        files = iter_files(source)
        for answer in map(_read, files) if workers <= 1 else _read_in_pool(list(files), workers):
            if isinstance(answer, FileDrop):
                dropped.append(answer)
                if answer.reason == DropReason.DICOMDIR:
                    directories.append(read_directory(answer.file))
                task.advance(1, dropped=1)
            elif isinstance(answer, Instance):
                instances.append(answer)
                task.advance(1, DICOM=1)
            else:
                niftis.append(answer)
                task.advance(1, NIfTI=1)
    instances, without_uid = fill_uids(instances)
    dropped += without_uid
    if not instances and not dropped and not niftis:
        raise DataError("the source holds no files: expected a folder, file or archive with DICOM or NIfTI in it")
    return Scan(
        group_series(instances),
        tuple(sorted(dropped, key=lambda drop: drop.file)),
        tuple(sorted(niftis, key=lambda image: image.file)),
        count_missing(directories, instances),
    )


def _read_in_pool(files: Sequence[FileRef | FileDrop], workers: int) -> Iterator[Instance | NiftiImage | FileDrop]:
    """`_read` of all `files`, in their order: processes take pieces from the back, this one takes them from the front.

    So nobody waits while the processes start, and a process that dies costs no more than time.
    """
    pieces = [files[start : start + PIECE_FILES] for start in range(0, len(files), PIECE_FILES)]
    left = deque(range(len(pieces)))
    futures: dict[int, Future[list[Instance | NiftiImage | FileDrop]]] = {}
    n_read = 0

    with processes_pool(workers) as pool:

        def feed(_: object = None) -> None:
            with suppress(IndexError, RuntimeError):  # nothing is left; the pool broke or closes
                number = left.pop()
                futures[number] = pool.submit(_read_all, pieces[number])
                futures[number].add_done_callback(feed)

        for _ in range(workers + 1):
            feed()
        with suppress(IndexError):
            while True:
                n_read = left.popleft() + 1
                yield from _read_all(pieces[n_read - 1])
    for number in range(n_read, len(pieces)):
        try:
            answers = futures[number].result()
        except (KeyError, BrokenProcessPool):
            answers = _read_all(pieces[number])
        yield from answers


def _read_all(files: Sequence[FileRef | FileDrop]) -> list[Instance | NiftiImage | FileDrop]:
    return [_read(found) for found in files]


def _read(ref: FileRef | FileDrop) -> Instance | NiftiImage | FileDrop:
    from volumes.index import read_instance

    if isinstance(ref, FileDrop):
        return ref
    answer = read_instance(ref, may_lack_uids=True)
    if isinstance(answer, FileDrop) and answer.reason == DropReason.NOT_DICOM and answer.detail == NIFTI:
        from volumes.nifti_input import read_nifti_header

        return read_nifti_header(ref)
    return answer


def group_series(instances: Sequence[Instance]) -> tuple[tuple[Instance, ...], ...]:
    """Instances by SeriesInstanceUID; where it is missing, by study and folder, since nothing else binds them."""
    groups: dict[tuple[str, str, str], list[Instance]] = defaultdict(list)
    for item in instances:
        folder = "" if item.series_instance_uid else str(PurePosixPath(item.file.name).parent)
        study = "" if item.series_instance_uid else item.study_instance_uid
        groups[item.series_instance_uid, study, folder].append(item)
    ordered = sorted(groups.items(), key=lambda pair: (pair[1][0].study_instance_uid, pair[0]))
    return tuple(tuple(sorted(items, key=lambda item: item.file)) for _, items in ordered)
