"""A stream of bytes to a header: file meta, transfer syntax, raw elements, where the pixels are.

Enters: a binary stream. Leaves: a `Header`, with what had to be assumed as repairs. Refuses: what is no DICOM, what
ends inside its header, what cannot be parsed. Reads only as far as the pixels.

References
----------
DICOM PS3.10 section 7.1 (file meta information), PS3.5 section 10 and annex A (transfer syntaxes).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import BinaryIO

from t3dkit.verdict import Code, Repair
from volumes.dictionary import dictionary_vr
from volumes.elements import (
    KNOWN_VRS,
    Bulk,
    Element,
    Elements,
    Encoding,
    Malformed,
    Overrun,
    parse_elements,
)
from volumes.errors import HeaderError
from volumes.reasons import DropReason, RepairCode

FIRST_READ_BYTES = 16 * 1024
"""Holds the whole header of nearly every CT slice (3 to 10 KiB)."""
GROWTH = 4
HEADER_LIMIT_BYTES = 64 * 1024**2
"""An Enhanced image of 5,000 frames has a header of some 10 MiB."""

IMPLICIT_LE, EXPLICIT_LE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
DEFLATED_LE, EXPLICIT_BE = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
NATIVE_SYNTAXES = frozenset({IMPLICIT_LE, EXPLICIT_LE, DEFLATED_LE, EXPLICIT_BE})
"""Transfer syntaxes whose pixels are not compressed one by one."""

META_SOP_CLASS_UID, META_SOP_INSTANCE_UID, META_TRANSFER_SYNTAX_UID = 0x00020002, 0x00020003, 0x00020010
DEFLATED_JPIP = frozenset({"1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})


class TruncatedHeaderError(HeaderError):
    """The header ends inside an element; `elements` is what was read before."""

    def __init__(self, reason: Code, detail: str = "", elements: Elements | None = None) -> None:
        super().__init__(reason, detail)
        self.elements: Elements = elements or {}


@dataclass(frozen=True)
class Header:
    """One parsed header.

    Parameters
    ----------
    meta, elements : dict
        Raw elements of the file meta group and of the data set.
    transfer_syntax_uid : str
        In force: declared, or found from the bytes.
    encoding : Encoding
        Of the data set.
    bulk : Bulk or None
        The pixels (or document); offsets count from the file's start, or for a deflated file from the data set's.
    deflated_from : int or None
        Where the deflated data set starts in the file.
    """

    meta: Elements
    elements: Elements
    transfer_syntax_uid: str
    encoding: Encoding
    bulk: Bulk | None
    deflated_from: int | None = None
    repairs: tuple[Repair, ...] = ()


@dataclass
class _Start:
    """Where the data set begins, and how it is said, or seems, to be encoded."""

    position: int
    meta: Elements = field(default_factory=dict)
    has_meta: bool = True
    repairs: list[Repair] = field(default_factory=list)


def read_header(stream: BinaryIO) -> Header:
    """Read from `stream` no more than the header takes.

    Raises
    ------
    HeaderError
        NOT_DICOM, TRUNCATED_HEADER (a `TruncatedHeaderError`), HEADER_DAMAGED, DECOMP_LIMIT.
    """
    buffer = stream.read(FIRST_READ_BYTES)
    is_whole = len(buffer) < FIRST_READ_BYTES
    while True:
        elements: Elements = {}
        try:
            return _parse(buffer, is_whole, elements)
        except Malformed as error:
            raise HeaderError(DropReason.HEADER_DAMAGED, str(error)) from None
        except Overrun:
            if is_whole:
                raise _truncated(buffer, elements) from None
            if len(buffer) >= HEADER_LIMIT_BYTES:
                detail = f"the header exceeds {HEADER_LIMIT_BYTES} bytes"
                raise HeaderError(DropReason.HEADER_DAMAGED, detail) from None
        wanted = len(buffer) * (GROWTH - 1)
        more = stream.read(wanted)
        is_whole = len(more) < wanted
        buffer += more


def _parse(buffer: bytes, is_whole: bool, elements: Elements) -> Header:
    start = _find_start(buffer)
    declared = _uid(start.meta.get(META_TRANSFER_SYNTAX_UID))
    body, position, deflated_from = buffer, start.position, None
    if declared == DEFLATED_LE or declared in DEFLATED_JPIP:
        inflated = _inflate(buffer[position:], HEADER_LIMIT_BYTES)
        if inflated is not None:
            (body, is_whole), position, deflated_from = inflated, 0, start.position
    if position + 8 > len(body):
        raise Overrun
    encoding = _peek_encoding(body, position)
    syntax = _settle_syntax(declared, encoding, start, is_deflated=deflated_from is not None)
    position, bulk = parse_elements(body, position, encoding, into=elements)
    if bulk is None and not is_whole:
        raise Overrun
    if not start.has_meta and not (0x00080016 in elements or 0x00080060 in elements):
        raise HeaderError(DropReason.NOT_DICOM, "no DICM mark and neither SOPClassUID nor Modality")
    return Header(start.meta, elements, syntax, encoding, bulk, deflated_from, tuple(start.repairs))


def _find_start(buffer: bytes) -> _Start:
    if buffer[128:132] == b"DICM":
        return _after_meta(buffer, 132)
    if buffer[:4] == b"DICM":
        return _after_meta(buffer, 4)
    if len(buffer) >= 8 and _is_plausible_first(buffer):
        if buffer[:2] == b"\x02\x00":
            return _after_meta(buffer, 0)
        return _Start(0, has_meta=False)
    raise HeaderError(DropReason.NOT_DICOM, guess_format(buffer))


def _after_meta(buffer: bytes, position: int) -> _Start:
    meta: Elements = {}
    first = position
    position, _ = parse_elements(buffer, position, Encoding(), into=meta, only_group=0x0002)
    start = _Start(position, meta)
    length = meta.get(0x00020000)
    # The length counts from behind its own element: 4 bytes of tag, 4 of VR and length, 4 of value.
    actual = position - first - 12
    if meta and (length is None or len(length.value) != 4 or struct.unpack("<I", length.value)[0] != actual):
        found = "missing" if length is None else "wrong"
        start.repairs.append(Repair(RepairCode.META_LENGTH, f"FileMetaInformationGroupLength {found}"))
    if first != 132:
        start.repairs.append(Repair(RepairCode.META_LENGTH, "the preamble is missing"))
    return start


def _peek_encoding(buffer: bytes, position: int) -> Encoding:
    """The encoding that the first element shows: groups are small numbers, explicit VRs are known letters."""
    group_le, group_be = struct.unpack_from("<H", buffer, position)[0], struct.unpack_from(">H", buffer, position)[0]
    return Encoding(implicit=buffer[position + 4 : position + 6] not in KNOWN_VRS, little=group_le <= group_be)


def _settle_syntax(declared: str, seen: Encoding, start: _Start, *, is_deflated: bool) -> str:
    native = IMPLICIT_LE if seen.implicit else EXPLICIT_LE if seen.little else EXPLICIT_BE
    if not declared:
        code = RepairCode.TS_GUESSED if start.meta else RepairCode.ASSUME_IMPLICIT_LE
        start.repairs.append(Repair(code, f"TransferSyntaxUID absent, read as {native}"))
        return native
    expected = Encoding(implicit=declared == IMPLICIT_LE, little=declared != EXPLICIT_BE)
    if seen == expected and (is_deflated or declared != DEFLATED_LE):
        return declared
    is_compressed = declared not in NATIVE_SYNTAXES
    in_force = declared if is_compressed else native
    start.repairs.append(Repair(RepairCode.TS_GUESSED, f"TransferSyntaxUID {declared}, the bytes are {native}"))
    return in_force


def _inflate(data: bytes, limit_bytes: int) -> tuple[bytes, bool] | None:
    """Inflated bytes and whether they are all; None when `data` is not deflated."""
    machine = zlib.decompressobj(-zlib.MAX_WBITS)  # PS3.5 A.5: no zlib header
    try:
        inflated = machine.decompress(data, limit_bytes)
    except zlib.error:
        return None
    if len(inflated) >= limit_bytes:
        raise HeaderError(DropReason.DECOMP_LIMIT, f"the deflated header exceeds {limit_bytes} bytes")
    return inflated, machine.eof


def _truncated(buffer: bytes, elements: Elements) -> HeaderError:
    if buffer[128:132] != b"DICM" and buffer[:4] != b"DICM" and 0x00080016 not in elements:
        return HeaderError(DropReason.NOT_DICOM, guess_format(buffer))
    return TruncatedHeaderError(DropReason.TRUNCATED_HEADER, "the file ends inside an element", elements)


def _is_plausible_first(buffer: bytes) -> bool:
    """Whether a file without a DICM mark starts like a data set: a public tag of group 0002 or 0008, a sane length."""
    encoding = _peek_encoding(buffer, 0)
    group, element = struct.unpack_from("<HH" if encoding.little else ">HH", buffer, 0)
    if group not in (0x0002, 0x0008) or (element and dictionary_vr(group << 16 | element) == "UN"):
        return False
    order = "<" if encoding.little else ">"
    length = struct.unpack_from(order + ("I" if encoding.implicit else "H"), buffer, 4 if encoding.implicit else 6)[0]
    return length <= FIRST_READ_BYTES


def _uid(element: Element | None) -> str:
    return element.value.decode("ascii", "replace").strip("\0 ") if element else ""


NIFTI = "NIfTI"
_FORMATS = (
    (b"%PDF", "PDF"),
    (b"\xff\xd8\xff", "JPEG picture"),
    (b"\x89PNG", "PNG picture"),
    (b"GIF8", "GIF picture"),
    (b"BM", "BMP picture"),
    (b"II*\0", "TIFF picture"),
    (b"MM\0*", "TIFF picture"),
    (b"MZ", "Windows program"),
    (b"\x7fELF", "program"),
    (b"\xd0\xcf\x11\xe0", "old Office or Thumbs.db"),
    (b"NRRD", "NRRD"),
    (b"PAR1", "Parquet"),
    (b"{\\rtf", "RTF"),
    (b"SQLite format 3", "SQLite"),
    (b"<?xml", "XML"),
)


def guess_format(head: bytes) -> str:
    """What a file that is no DICOM seems to be, in words, from its first bytes; for counts by type."""
    for magic, words in _FORMATS:
        if head.startswith(magic):
            return words
    if head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] == b"n+2\0":
        return NIFTI
    if head[:512].lstrip().lower().startswith((b"<html", b"<!doctype html")):
        return "HTML"
    if head and all(byte >= 32 or byte in b"\t\n\r\f" for byte in head[:512]):
        return "text"
    return "unknown format"
