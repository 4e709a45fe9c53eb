"""A zip file whose directory is lost: its members found again by their local headers.

Enters: a damaged zip. Leaves: the members whose checksum is right; the others refused. Refuses: encryption, methods
other than stored and deflated, stored members of unknown length.

References
----------
PKWARE APPNOTE 4.3.7 (local file header), 4.3.9 (data descriptor), 4.4.4 (flags).
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from volumes.archives import MAX_MEMBERS, Member, name_refusal, size_limit_bytes, size_refusal, unique_keys
from volumes.errors import SourceError
from volumes.reasons import DropReason

_SIGNATURE = b"PK\x03\x04"
_HEADER = struct.Struct("<4s5H3I2H")
_CHUNK_BYTES = 4 * 1024**2
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _HAS_DESCRIPTOR, _UTF8 = 0x1, 0x8, 0x800
_ZIP64 = 0xFFFFFFFF


@dataclass(frozen=True)
class _Local:
    name: str
    flags: int
    method: int
    crc: int
    packed_bytes: int | None  # None: only the end of the deflate stream tells
    size_bytes: int
    start: int


class SalvagedZip:
    """The readable members of a damaged zip file."""

    is_damaged = True

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, 2)
        self._locals: dict[str, _Local] = {}
        self._members: list[Member] = []
        for key, (local, member) in unique_keys((local.name, (local, member)) for local, member in self._scan()):
            self._locals[key] = local
            self._members.append(Member(key, member.size_bytes, member.packed_bytes, member.refusal))
            if len(self._members) > MAX_MEMBERS:
                break

    def members(self) -> list[Member]:
        """Every file whose local header was found."""
        return sorted(self._members, key=lambda member: member.key)

    def open(self, key: str) -> BinaryIO:
        """A member, unpacked."""
        data, _ = self._unpack(self._locals[key])
        return io.BytesIO(data)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _scan(self) -> Iterator[tuple[_Local, Member]]:
        position = 0
        while (position := self._find(position)) >= 0:
            local = self._local(position)
            if local is None or not local.name or local.name.endswith("/"):
                position += len(_SIGNATURE)
                continue
            member, position = self._verify(local)
            yield local, member

    def _find(self, position: int) -> int:
        while position < self._size:
            self._file.seek(position)
            chunk = self._file.read(_CHUNK_BYTES)
            found = chunk.find(_SIGNATURE)
            if found >= 0:
                return position + found
            if len(chunk) < _CHUNK_BYTES:
                break
            position += len(chunk) - len(_SIGNATURE) + 1
        return -1

    def _local(self, position: int) -> _Local | None:
        self._file.seek(position)
        fixed = self._file.read(_HEADER.size)
        if len(fixed) < _HEADER.size:
            return None
        _, _, flags, method, _, _, crc, packed, size, n_name, n_extra = _HEADER.unpack(fixed)
        name = self._file.read(n_name).decode("utf-8" if flags & _UTF8 else "cp437", "backslashreplace")
        unknown = flags & _HAS_DESCRIPTOR or packed == _ZIP64
        start = position + _HEADER.size + n_name + n_extra
        return _Local(name, flags, method, crc, None if unknown else packed, size, start)

    def _verify(self, local: _Local) -> tuple[Member, int]:
        """The member, refused unless it unpacks to its checksum, and where to go on searching."""
        refusal = name_refusal(local.name)
        if local.flags & _ENCRYPTED:
            refusal = DropReason.ENCRYPTED, "zip encryption"
        elif local.method not in (_STORED, _DEFLATED) or (local.method == _STORED and local.packed_bytes is None):
            refusal = DropReason.CONTAINER_UNSUPPORTED, f"zip compression method {local.method}"
        elif local.packed_bytes is not None and refusal is None:
            refusal = size_refusal(local.size_bytes, local.packed_bytes)
        if refusal:
            return Member(local.name, local.size_bytes, local.packed_bytes or 0, refusal), local.start
        try:
            data, end = self._unpack(local)
        except SourceError as error:
            return Member(local.name, refusal=(DropReason(error.reason), error.detail)), local.start
        return Member(local.name, len(data), end - local.start), end

    def _unpack(self, local: _Local) -> tuple[bytes, int]:
        self._file.seek(local.start)
        packed_bytes = self._size - local.start if local.packed_bytes is None else local.packed_bytes
        limit = size_limit_bytes(packed_bytes)
        if packed_bytes > limit or local.start + packed_bytes > self._size:
            raise SourceError(DropReason.ARCHIVE_DAMAGED, "the member goes on beyond the archive")
        if local.method == _STORED:
            data, end, crc = self._file.read(packed_bytes), local.start + packed_bytes, local.crc
        else:
            data, end = self._inflate(local.start, packed_bytes, limit)
            crc = local.crc if local.packed_bytes is not None else self._descriptor_crc(end)
        if zlib.crc32(data) != crc:
            raise SourceError(DropReason.ARCHIVE_DAMAGED, "wrong checksum")
        return data, end

    def _inflate(self, start: int, packed_bytes: int, limit: int) -> tuple[bytes, int]:
        machine, parts, size, consumed = zlib.decompressobj(-zlib.MAX_WBITS), [], 0, 0
        self._file.seek(start)
        try:
            while not machine.eof:
                chunk = machine.unconsumed_tail or self._file.read(min(_CHUNK_BYTES, packed_bytes - consumed))
                if not chunk:
                    raise SourceError(DropReason.ARCHIVE_DAMAGED, "the member breaks off")
                consumed += 0 if machine.unconsumed_tail else len(chunk)
                part = machine.decompress(chunk, _CHUNK_BYTES)
                size += len(part)
                if size > limit:
                    raise SourceError(DropReason.ARCHIVE_LIMIT, f"the member exceeds {limit} bytes")
                parts.append(part)
        except zlib.error:
            raise SourceError(DropReason.ARCHIVE_DAMAGED, "the member cannot be unpacked") from None
        return b"".join(parts), start + consumed - len(machine.unused_data)

    def _descriptor_crc(self, position: int) -> int:
        self._file.seek(position)
        head = self._file.read(8)
        if head[:4] == b"PK\x07\x08":
            head = head[4:]
        return struct.unpack("<I", head[:4])[0] if len(head) >= 4 else -1
