"""A source (folder, file, archive) to the files in it.

Enters: a path. Leaves: a `FileRef` per file, those in archives included, or a `FileDrop` with its reason; later, the
bytes of a `FileRef`. Refuses: to open devices, pipes and sockets, to follow a link to what the source holds anyway, to
unpack archives onto the disk, to raise for a bad file.

Plain files are read no further than the 262 bytes that tell an archive.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from volumes.archives import (
    DAMAGE,
    HEAD_BYTES,
    ISO_MARK,
    ISO_MARK_OFFSET,
    MAX_DEPTH,
    MEMBER_LIMIT_BYTES,
    MEMBER_SEPARATOR,
    Archive,
    ArchiveKind,
    Budget,
    Member,
    open_archive,
    sniff,
    spool,
)
from volumes.errors import SourceError
from volumes.folders import error_words, file_drop, open_regular, shown, source_error, walk_folder
from volumes.reasons import DropReason
from volumes.records import FileDrop, FileRef

KEPT_OPEN = 2
"""Archives that stay open between reads, per thread."""


def iter_files(source: Path | tuple[Path, ...]) -> Iterator[FileRef | FileDrop]:
    """Every file of `source`, in order of path; archives expanded in place.

    Parameters
    ----------
    source : Path or tuple of Path
        A folder, a file, an archive, or a DICOMDIR, which stands for the folder that it lies in. Of several, names are
        the paths as they were given, and a file that is reached twice is yielded once.
    """
    if not isinstance(source, tuple):
        yield from _iter_one(os.fspath(source))
        return
    seen: set[str] = set()
    for given in source:
        path = os.fspath(given)
        for item in _iter_one(path):
            ref = item.file if isinstance(item, FileDrop) else item
            way = "\0".join([os.path.realpath(ref.path), *ref.members])
            if way in seen:
                continue
            seen.add(way)
            root = path if os.path.isdir(path) else os.path.dirname(path)
            named = replace(ref, name=shown(os.path.join(root, "")) + ref.name if root else ref.name)
            yield replace(item, file=named) if isinstance(item, FileDrop) else named


def _iter_one(path: str) -> Iterator[FileRef | FileDrop]:
    if os.path.isdir(path):
        found: Iterator[tuple[str, str] | FileDrop] = walk_folder(path)
    elif os.path.basename(path).upper() == "DICOMDIR":
        found = walk_folder(os.path.dirname(path) or ".")
    else:
        found = iter([(path, os.path.basename(path))])
    for item in found:
        if isinstance(item, FileDrop):
            yield item
        else:
            yield from _expand_file(*item)


@contextmanager
def open_file(ref: FileRef) -> Iterator[BinaryIO]:
    """The file as a stream; a plain file can be sought in, a member only read on.

    Raises
    ------
    SourceError
        READ_ERROR, UNSTABLE_INPUT, SPECIAL_FILE, ARCHIVE_DAMAGED, ARCHIVE_LIMIT; also for errors inside the block.
    """
    try:
        if ref.members:
            with _open_member(_containers().archive(ref), ref.members[-1]) as stream:
                yield stream
        else:
            with open_regular(ref.path) as stream:
                if os.fstat(stream.fileno()).st_size != ref.size_bytes:
                    raise SourceError(DropReason.UNSTABLE_INPUT, "its size changed since it was found")
                yield stream
    except DAMAGE as error:
        if not ref.members:
            raise
        raise SourceError(DropReason.ARCHIVE_DAMAGED, type(error).__name__) from None
    except OSError as error:
        raise source_error(error) from None


def _open_member(archive: Archive, key: str) -> BinaryIO:
    try:
        return archive.open(key)
    except KeyError:
        raise SourceError(DropReason.UNSTABLE_INPUT, "the archive changed since it was found") from None


def read_bytes(ref: FileRef, limit_bytes: int = MEMBER_LIMIT_BYTES) -> bytes:
    """The whole file.

    Raises
    ------
    SourceError
        As `open_file`; ARCHIVE_LIMIT or READ_ERROR when it exceeds `limit_bytes`.
    """
    with open_file(ref) as stream:
        data = stream.read(limit_bytes + 1)
        if len(data) > limit_bytes:
            reason = DropReason.ARCHIVE_LIMIT if ref.members else DropReason.READ_ERROR
            raise SourceError(reason, f"larger than {limit_bytes} bytes")
        if not ref.members and len(data) != ref.size_bytes:
            raise SourceError(DropReason.UNSTABLE_INPUT, "its size changed while it was read")
        return data


def _expand_file(path: str, name: str) -> Iterator[FileRef | FileDrop]:
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(HEAD_BYTES)
            kind = sniff(head)
            if kind is None and head[:4] == bytes(4) and head[128:132] != b"DICM" and size > ISO_MARK_OFFSET:
                file.seek(ISO_MARK_OFFSET)
                kind = "unsupported" if file.read(len(ISO_MARK)) == ISO_MARK else None
    except SourceError as error:
        yield file_drop(name, path, DropReason(error.reason), error.detail)
        return
    except OSError as error:
        yield file_drop(name, path, DropReason(source_error(error).reason), error_words(error))
        return
    ref = FileRef(shown(name), path, size_bytes=size)
    if size == 0:
        yield FileDrop(ref, DropReason.EMPTY_FILE)
    elif kind is None:
        yield ref
    else:
        yield from _expand_archive(ref, kind, Budget(size))


def _expand_archive(ref: FileRef, kind: ArchiveKind, budget: Budget) -> Iterator[FileRef | FileDrop]:
    if len(ref.members) >= MAX_DEPTH:
        yield FileDrop(ref, DropReason.ARCHIVE_LIMIT, f"archives nest deeper than {MAX_DEPTH}")
        return
    try:
        # Opened apart from the archives that reads keep open, since the caller reads while this goes on.
        archive = _open_container(ref, kind)
    except (SourceError, OSError) as error:
        failure = error if isinstance(error, SourceError) else source_error(error)
        yield FileDrop(ref, failure.reason, failure.detail)
        return
    try:
        members = archive.members()
        for member in members:
            budget.spend(member)
            yield from _expand_member(ref, archive, member, budget)
        if archive.is_damaged:
            n_kept = sum(member.refusal is None for member in members)
            yield FileDrop(ref, DropReason.ARCHIVE_DAMAGED, f"{n_kept} members could be read")
    except SourceError as error:
        yield FileDrop(ref, error.reason, error.detail)
    finally:
        archive.close()


def _expand_member(outer: FileRef, archive: Archive, member: Member, budget: Budget) -> Iterator[FileRef | FileDrop]:
    ref = FileRef(
        outer.name + MEMBER_SEPARATOR + shown(member.key),
        outer.path,
        (*outer.members, member.key),
        member.size_bytes,
        is_salvaged=archive.is_damaged,
    )
    if member.refusal:
        yield FileDrop(ref, *member.refusal)
        return
    try:
        with archive.open(member.key) as stream:
            head = stream.read(HEAD_BYTES)
    except (*DAMAGE, OSError) as error:
        yield FileDrop(ref, DropReason.ARCHIVE_DAMAGED, type(error).__name__)
        return
    kind = sniff(head)
    if not head:
        yield FileDrop(ref, DropReason.EMPTY_FILE)
    elif kind is None:
        yield ref
    else:
        yield from _expand_archive(ref, kind, budget)


def _open_container(ref: FileRef, kind: ArchiveKind | None = None) -> Archive:
    """Open the archive that `ref` is, through the archives around it; they are closed again once it is spooled."""
    if not ref.members:
        file = open_regular(ref.path)
        return open_archive(kind or _kind_of(file), file, name=ref.path)
    around = _open_container(FileRef("", ref.path, ref.members[:-1]))
    try:
        key = ref.members[-1]
        packed = next((member.packed_bytes for member in around.members() if member.key == key), 0)
        with around.open(key) as stream:
            file = spool(stream, packed_bytes=packed)
    except DAMAGE as error:
        raise SourceError(DropReason.ARCHIVE_DAMAGED, type(error).__name__) from None
    finally:
        around.close()
    return open_archive(kind or _kind_of(file), file, name=ref.members[-1])


def _kind_of(file: BinaryIO) -> ArchiveKind:
    head = file.read(HEAD_BYTES)
    file.seek(0)
    kind = sniff(head)
    if kind is None:
        file.close()
        raise SourceError(DropReason.UNSTABLE_INPUT, "it is no archive any more")
    return kind


class _Containers:
    """The archives that this thread read from last, kept open, so that a zip's directory is not read per member."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self._open: OrderedDict[tuple, Archive] = OrderedDict()
        weakref.finalize(self, _close_all, self._open)

    def archive(self, ref: FileRef) -> Archive:
        """The innermost archive around `ref`."""
        status = os.stat(ref.path)
        key = (ref.path, status.st_ino, status.st_size, status.st_mtime_ns, ref.members[:-1])
        if key not in self._open:
            self._open[key] = _open_container(FileRef("", ref.path, ref.members[:-1]))
        self._open.move_to_end(key)
        while len(self._open) > KEPT_OPEN:
            self._open.popitem(last=False)[1].close()
        return self._open[key]

    def close(self) -> None:
        """Close them all."""
        _close_all(self._open)


def _close_all(archives: OrderedDict[tuple, Archive]) -> None:
    while archives:
        archives.popitem()[1].close()


_local = threading.local()


def _containers() -> _Containers:
    kept = getattr(_local, "containers", None)
    if kept is None or kept.process != os.getpid():  # a forked child shares file offsets with its parent
        kept = _local.containers = _Containers()
    return kept


def close_archives() -> None:
    """Close the archives that this thread keeps open."""
    _containers().close()
