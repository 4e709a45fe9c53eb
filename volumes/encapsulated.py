"""Encapsulated pixel data to one compressed stream per frame.

Enters: the bytes behind the PixelData element's head. Leaves: frames, each joined from its fragments. Refuses: data
that ends inside a fragment, fragments that cannot be told apart into the announced frames.

References
----------
DICOM PS3.5 A.4 (encapsulation, Basic Offset Table), PS3.3 C.7.6.3.1.8 (Extended Offset Table).
"""

from __future__ import annotations

import struct
from itertools import pairwise

from volumes.errors import DecodeError
from volumes.reasons import DropReason

PREAMBLE_BYTES = 132
"""The preamble and DICM: how a file starts."""
_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_FRAME_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP")
"""SOI of the JPEG family, SOC and SIZ of a JPEG 2000 codestream, signature box of a JP2 file."""


def split_frames(data: bytes, n_frames: int, *, extended_offsets: bytes = b"") -> list[list[bytes]]:
    """The fragments of each of `n_frames` frames.

    Parameters
    ----------
    data : bytes
        From the Basic Offset Table item on; what follows the sequence delimiter is ignored.
    n_frames : int
    extended_offsets : bytes
        Raw value of ExtendedOffsetTable; empty where absent.

    Raises
    ------
    DecodeError
        TRUNCATED, DECODE_FAIL, TRAILING_DATA.
    """
    table, fragments, offsets = _fragments(data)
    if n_frames == 1:
        return [fragments]
    if len(fragments) == n_frames:
        return [[fragment] for fragment in fragments]
    starts = _starts(table, "<%dI") or _starts(extended_offsets, "<%dQ")
    if len(starts) != n_frames or not set(starts) <= set(offsets):
        starts = [at for at, fragment in zip(offsets, fragments, strict=True) if fragment.startswith(_FRAME_STARTS)]
    if len(starts) != n_frames:
        detail = f"{len(fragments)} fragments cannot be told apart into {n_frames} frames"
        raise DecodeError(DropReason.DECODE_FAIL, detail)
    bounds = [offsets.index(start) for start in starts] + [len(fragments)]
    return [fragments[first:last] for first, last in pairwise(bounds)]


def _fragments(data: bytes) -> tuple[bytes, list[bytes], list[int]]:
    """The offset table, the fragments, and the offset of each from the first one's item."""
    table, position = _item(data, 0)
    first = position
    fragments: list[bytes] = []
    offsets: list[int] = []
    while position < len(data) and data[position : position + 4] != _END:
        offsets.append(position - first)
        fragment, position = _item(data, position)
        fragments.append(fragment)
    require_no_data_set(data[position + 8 : position + 8 + PREAMBLE_BYTES])
    if not fragments:
        raise DecodeError(DropReason.TRUNCATED, "no fragment of pixel data")
    return table, fragments, offsets


def require_no_data_set(rest: bytes) -> None:
    """Refuse what follows the pixels when it is a file of its own (fault A10): its image would be lost in silence."""
    if rest[128:132] == b"DICM":
        raise DecodeError(DropReason.TRAILING_DATA, "a second DICOM file follows the first")


def _item(data: bytes, position: int) -> tuple[bytes, int]:
    if position + 8 > len(data):
        raise DecodeError(DropReason.TRUNCATED, "the file ends between fragments")
    if data[position : position + 4] != _ITEM:
        raise DecodeError(DropReason.DECODE_FAIL, "the pixel data holds something that is no fragment")
    (length,) = struct.unpack_from("<I", data, position + 4)
    stop = position + 8 + length
    if stop > len(data):
        raise DecodeError(DropReason.TRUNCATED, f"the file ends {stop - len(data)} bytes before its fragment does")
    return data[position + 8 : stop], stop


def _starts(table: bytes, layout: str) -> list[int]:
    size = struct.calcsize(layout % 1)
    return list(struct.unpack(layout % (len(table) // size), table)) if table and not len(table) % size else []
