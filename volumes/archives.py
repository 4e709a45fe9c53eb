"""Zip, tar and gzip as lists of members that can be opened, with limits; nothing is ever unpacked under its own name.

Enters: a seekable binary file. Leaves: members, each with a key to open it or a reason why not. Refuses: names that
leave the archive, links and devices, encryption, sizes and ratios that only bombs have.

Since members are read into memory or an unnamed temporary file, a hostile name can escape nowhere; it is reported all
the same, because such an archive is not what a PACS writes.
"""

from __future__ import annotations

import gzip
import lzma
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, BinaryIO, Literal, Protocol, TypeVar, cast

from volumes.errors import SourceError
from volumes.reasons import DropReason

MEMBER_SEPARATOR = "!/"
"""Between an archive and its member in the name of a file."""
MAX_DEPTH = 3
"""Archives within archives; a ``.tar.gz`` counts as two."""
MAX_MEMBERS = 500_000
"""Members of one archive of the source, nested ones included."""
MEMBER_LIMIT_BYTES = 2 * 1024**3
"""One member, unpacked; an Enhanced CT of 4,000 frames of 512 x 512 is 2 GiB."""
SPOOL_MEMORY_BYTES = 64 * 1024**2
"""A nested archive larger than this is kept in an unnamed temporary file."""
MAX_RATIO = 200
"""Unpacked to packed, beyond `RATIO_FREE_BYTES`. Blank slices pack 1,000 to 1, so small members are free of it."""
RATIO_FREE_BYTES = 256 * 1024**2

T = TypeVar("T")
ArchiveKind = Literal["zip", "tar", "gzip", "unsupported"]
HEAD_BYTES = 262
"""As much of a file as `sniff` needs: the tar mark ends at 262."""
ISO_MARK_OFFSET, ISO_MARK = 32769, b"CD001"
"""ISO 9660: the first volume descriptor follows 16 sectors of 2 KiB."""

DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    tarfile.TarError,
    gzip.BadGzipFile,
    NotImplementedError,
    RuntimeError,
    UnicodeError,
    ValueError,
)
"""What the standard library raises on damaged archives; several of them are documented nowhere."""


@dataclass(frozen=True)
class Member:
    """One file in an archive.

    `refusal` says why it is not read; `packed_bytes` and `size_bytes` are 0 where the archive does not tell.
    """

    key: str
    size_bytes: int = 0
    packed_bytes: int = 0
    refusal: tuple[DropReason, str] | None = None


class Archive(Protocol):
    """An open archive."""

    is_damaged: bool

    def members(self) -> list[Member]:
        """Every file in it, sorted by key."""

    def open(self, key: str) -> BinaryIO:
        """A member as a stream."""

    def close(self) -> None:
        """Let go of the file."""


def sniff(head: bytes) -> ArchiveKind | None:
    """The kind of archive that starts with `head` (`HEAD_BYTES` of it); None for anything else.

    A DICOM file whose preamble imitates an archive is a DICOM file.
    """
    if head[128:132] == b"DICM":
        return None
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return "zip"
    if head[:3] == b"\x1f\x8b\x08":
        return "gzip"
    if head[257:262] == b"ustar":
        return "tar"
    if head.startswith((b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")) or (
        head[:3] == b"BZh" and head[4:10] == b"1AY&SY"
    ):
        return "unsupported"
    return None


def open_archive(kind: ArchiveKind, file: BinaryIO, *, name: str) -> Archive:
    """Open `file`, which the archive owns from now on; `name` names the one member of a gzip file.

    Raises
    ------
    SourceError
        ARCHIVE_DAMAGED, CONTAINER_UNSUPPORTED.
    """
    try:
        if kind == "zip":
            return _open_zip(file)
        if kind == "tar":
            return TarArchive(file)
        if kind == "gzip":
            return GzipArchive(file, name)
    except DAMAGE as error:
        file.close()
        raise SourceError(DropReason.ARCHIVE_DAMAGED, type(error).__name__) from None
    file.close()
    raise SourceError(DropReason.CONTAINER_UNSUPPORTED, "7z, rar, xz, bzip2, zstd or ISO image")


def spool(stream: BinaryIO, *, packed_bytes: int) -> BinaryIO:
    """`stream` as a seekable file in memory or, when large, in an unnamed temporary file.

    Raises
    ------
    SourceError
        ARCHIVE_LIMIT.
    """
    limit = MEMBER_LIMIT_BYTES if not packed_bytes else size_limit_bytes(packed_bytes)
    file = cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=SPOOL_MEMORY_BYTES))  # noqa: SIM115 - handed on
    size = 0
    try:
        while chunk := stream.read(1024**2):
            size += len(chunk)
            if size > limit:
                raise SourceError(DropReason.ARCHIVE_LIMIT, f"a nested archive exceeds {limit} bytes")
            file.write(chunk)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def size_limit_bytes(packed_bytes: int) -> int:
    """How large something of `packed_bytes` may become."""
    return min(MEMBER_LIMIT_BYTES, max(RATIO_FREE_BYTES, MAX_RATIO * packed_bytes))


class Budget:
    """What one archive of the source may still unfold into, nested archives included."""

    def __init__(self, archive_bytes: int) -> None:
        self.archive_bytes = archive_bytes
        self.members = 0
        self.unpacked_bytes = 0

    def spend(self, member: Member) -> None:
        """Count `member`.

        Raises
        ------
        SourceError
            ARCHIVE_LIMIT: too many members, or far more bytes than the archive can honestly hold.
        """
        self.members += 1
        self.unpacked_bytes += member.size_bytes if member.refusal is None else 0
        if self.members > MAX_MEMBERS:
            raise SourceError(DropReason.ARCHIVE_LIMIT, f"more than {MAX_MEMBERS} members")
        if self.unpacked_bytes > 4 * RATIO_FREE_BYTES and self.unpacked_bytes > MAX_RATIO * self.archive_bytes:
            raise SourceError(DropReason.ARCHIVE_LIMIT, f"unpacks to more than {MAX_RATIO} times its size")


class ZipArchive:
    """A zip file with a sound directory."""

    is_damaged = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._zip = zipfile.ZipFile(cast(IO[bytes], file))
        self._infos = dict(unique_keys((info.filename, info) for info in self._zip.infolist() if not info.is_dir()))
        self._packed_bytes = sum(info.compress_size for info in self._infos.values())

    def members(self) -> list[Member]:
        """Every file; all refused when their parts overlap, as only bombs' do."""
        size = self._file.seek(0, 2)
        overlap = (DropReason.ARCHIVE_LIMIT, "members overlap") if self._packed_bytes > size else None
        return [
            Member(key, info.file_size, info.compress_size, overlap or _zip_refusal(info))
            for key, info in sorted(self._infos.items())
        ]

    def open(self, key: str) -> BinaryIO:
        """A member as a stream."""
        return cast(BinaryIO, self._zip.open(self._infos[key]))

    def close(self) -> None:
        """Let go of the file."""
        self._zip.close()
        self._file.close()


class TarArchive:
    """A tar file; one that breaks off keeps the members before."""

    def __init__(self, file: BinaryIO) -> None:
        self.is_damaged = False
        self._file = file
        self._tar = tarfile.open(fileobj=file, mode="r:", errors="surrogateescape")  # noqa: SIM115 - see close
        self._infos = dict(unique_keys((info.name, info) for info in self._read_infos() if not info.isdir()))

    def _read_infos(self) -> Iterator[tarfile.TarInfo]:
        count = 0
        try:
            for info in self._tar:
                yield info
                count += 1
                if count > MAX_MEMBERS:
                    return
        except DAMAGE:
            self.is_damaged = True

    def members(self) -> list[Member]:
        """Every file."""
        return [Member(key, info.size, info.size, _tar_refusal(info)) for key, info in sorted(self._infos.items())]

    def open(self, key: str) -> BinaryIO:
        """A member as a stream."""
        stream = self._tar.extractfile(self._infos[key])
        if stream is None:
            raise SourceError(DropReason.SPECIAL_FILE, "no regular file")
        return cast(BinaryIO, stream)

    def close(self) -> None:
        """Let go of the file."""
        self._tar.close()
        self._file.close()


class GzipArchive:
    """A gzip file: one member, named as the file without its suffix."""

    is_damaged = False

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        base = name.replace("\\", "/").rsplit("/", 1)[-1]
        lowered = base.lower()
        self._key = base[:-4] + ".tar" if lowered.endswith(".tgz") else base[:-3] if lowered.endswith(".gz") else base

    def members(self) -> list[Member]:
        """The one file; its packed size is the whole file's."""
        return [Member(self._key or "data", packed_bytes=self._file.seek(0, 2))]

    def open(self, key: str) -> BinaryIO:
        """The unpacked stream, from its start."""
        self._file.seek(0)
        return cast(BinaryIO, gzip.GzipFile(fileobj=self._file, mode="rb"))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _open_zip(file: BinaryIO) -> Archive:
    try:
        return ZipArchive(file)
    except DAMAGE:
        from volumes.zip_salvage import SalvagedZip

        return SalvagedZip(file)


def _zip_refusal(info: zipfile.ZipInfo) -> tuple[DropReason, str] | None:
    mode = info.external_attr >> 16
    if info.flag_bits & 0x1:
        return DropReason.ENCRYPTED, "zip encryption"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return DropReason.SPECIAL_FILE, "a link or device in the archive"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        return DropReason.CONTAINER_UNSUPPORTED, f"zip compression method {info.compress_type}"
    return name_refusal(info.filename) or size_refusal(info.file_size, info.compress_size)


def _tar_refusal(info: tarfile.TarInfo) -> tuple[DropReason, str] | None:
    if not info.isreg() or info.issparse():
        return DropReason.SPECIAL_FILE, "a link, device or sparse file in the archive"
    return name_refusal(info.name) or size_refusal(info.size, info.size)


def name_refusal(name: str) -> tuple[DropReason, str] | None:
    """Whether a member's name points out of its archive: absolute, with a drive, or with ``..``."""
    path = name.replace("\\", "/")
    if path.startswith("/") or path[1:2] == ":" or ".." in path.split("/"):
        return DropReason.ARCHIVE_ESCAPE, ""
    return None


def size_refusal(size_bytes: int, packed_bytes: int) -> tuple[DropReason, str] | None:
    """Whether a member is larger than it may be."""
    limit = size_limit_bytes(packed_bytes)
    if size_bytes > limit:
        return DropReason.ARCHIVE_LIMIT, f"{size_bytes} bytes from {packed_bytes}, at most {limit}"
    return None


def unique_keys(pairs: Iterable[tuple[str, T]]) -> Iterator[tuple[str, T]]:
    """Give repeated names a number, so that each member can be told apart."""
    seen: dict[str, int] = {}
    for name, value in pairs:
        count = seen[name] = seen.get(name, 0) + 1
        yield (name if count == 1 else f"{name}#{count}"), value
