"""DICOM bytes to elements: tag, VR and raw value, nested sequences included.

Enters: bytes, a position, an encoding. Leaves: a dictionary of raw elements, and where the pixels lie. Refuses: to
interpret a value (`volumes.values` does), to read pixels, to nest deeper than `MAX_NESTING`.

pydicom is not used for this step because a header scan needs to know what pydicom forgives (a header that ends
inside an element, a wrong group length, a syntax that lies), and because it is several times slower. Tests compare
every value with pydicom's. Source: DICOM PS3.5 6.2.2 (unknown VR), 7.1 (element layouts), 7.5 (sequences).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from volumes.dictionary import dictionary_vr

MAX_NESTING = 32
"""Levels of sequences; SR trees of real reports stay below 15."""

MAX_REMEMBERED_BYTES = 4096
"""Longest sequence whose items are kept for the next file."""

UNDEFINED_LENGTH = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD

PIXEL_DATA = 0x7FE00010
BULK_TAGS = frozenset({0x7FE00008, 0x7FE00009, PIXEL_DATA, 0x00420011})
"""Where reading stops at the top level: float, double and integer pixel data, encapsulated document."""

LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
"""VRs whose explicit length takes 32 bits after two reserved bytes. PS3.5 7.1.2."""

KNOWN_VRS = LONG_VRS | frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())


_SHORT_PLAIN = {vr: vr.decode("ascii") for vr in KNOWN_VRS - LONG_VRS}
_LONG_PLAIN = {vr: vr.decode("ascii") for vr in LONG_VRS - {b"SQ", b"UN"}}
_LITTLE = (struct.Struct("<HH2sH").unpack_from, struct.Struct("<I").unpack_from, struct.Struct("<HHI").unpack_from)
_BIG = (struct.Struct(">HH2sH").unpack_from, struct.Struct(">I").unpack_from, struct.Struct(">HHI").unpack_from)
"""Head of an explicit element, a 32-bit length, head of an item or implicit element; compiled once."""


class Overrun(Exception):
    """The data go on beyond the bytes at hand."""


class Malformed(Exception):
    """The bytes do not follow PS3.5."""


class Encoding(NamedTuple):
    """How elements are laid out: VR implied or written, byte order."""

    implicit: bool = False
    little: bool = True


_EXPLICIT_LITTLE = Encoding()


class Element(NamedTuple):
    """One raw element; `items` is None unless it is a sequence that could be parsed."""

    vr: str
    value: bytes
    items: tuple[Elements, ...] | None = None


Elements = dict[int, Element]


@dataclass(frozen=True)
class Bulk:
    """Where the element at which reading stopped lies; `length` is None when it is undefined (encapsulated)."""

    tag: int
    vr: str
    offset: int
    length: int | None


def parse_elements(
    buffer: bytes, position: int, encoding: Encoding, *, into: Elements, only_group: int | None = None
) -> tuple[int, Bulk | None]:
    """Read top-level elements from `position` until the bulk element, the end of `buffer`, or another group.

    Parameters
    ----------
    buffer : bytes
    position : int
    encoding : Encoding
    into : dict
        Filled as parsing proceeds, so that a caller keeps what a truncated header held. A repeated tag: the last wins.
    only_group : int, optional
        Stop before the first element of any other group (the file meta group).

    Returns
    -------
    (int, Bulk or None)
        Where parsing stopped, and the bulk element if that is why.

    Raises
    ------
    Overrun
        An element goes on beyond the buffer.
    Malformed
        Sequences do not follow PS3.5 7.5.
    """
    end = len(buffer)
    is_plain = only_group is None and encoding == _EXPLICIT_LITTLE
    while position < end:
        if is_plain:
            position = _parse_plain(buffer, position, end, into)
            if position == end:
                break
        if end - position < 8:
            if not any(buffer[position:end]):
                return end, None  # zeros behind the last element
            raise Overrun
        tag, vr, length, start = _element_head(buffer, position, end, encoding)
        if only_group is not None and tag >> 16 != only_group:
            return position, None
        if tag in BULK_TAGS:
            return position, Bulk(tag, vr, start, None if length == UNDEFINED_LENGTH else length)
        into[tag], position = _element(buffer, tag, vr, length, start, end, encoding, 0)
    return position, None


def _parse_plain(buffer: bytes, position: int, end: int, into: Elements) -> int:
    """Read explicit little endian elements that are no sequences, the bulk of a header, in one tight loop.

    Stops before the first element that is anything else, or that does not fit: the caller takes the careful way.
    """
    unpack, unpack_length, short, long, make = _LITTLE[0], _LITTLE[1], _SHORT_PLAIN, _LONG_PLAIN, tuple.__new__
    while position + 12 <= end:
        group, number, vr, length = unpack(buffer, position)
        name = short.get(vr)
        start = position + 8
        if name is None:
            name = long.get(vr)
            if name is None:
                return position
            (length,) = unpack_length(buffer, start)
            start += 4
        stop = start + length
        if stop > end or group >= 0x7FE0:
            return position
        into[group << 16 | number] = make(Element, (name, buffer[start:stop], None))
        position = stop
    return position


def _element_head(buffer: bytes, position: int, end: int, encoding: Encoding) -> tuple[int, str, int, int]:
    """Tag, VR, length and start of the value of the element at `position`."""
    unpack_head, unpack_length, _ = _LITTLE if encoding.little else _BIG
    if position + 8 > end:
        raise Overrun
    group, element, vr, length = unpack_head(buffer, position)
    tag = group << 16 | element
    if encoding.implicit or group == 0xFFFE or (vr not in KNOWN_VRS and not _is_printable(vr)):
        # Implicit elements inside explicit data sets exist: their length's low bytes are hardly ever printable.
        (length,) = unpack_length(buffer, position + 4)
        return tag, dictionary_vr(tag), length, position + 8
    if vr in LONG_VRS:
        if position + 12 > end:
            raise Overrun
        (length,) = unpack_length(buffer, position + 8)
        return tag, vr.decode("ascii"), length, position + 12
    return tag, vr.decode("ascii"), length, position + 8


def _element(
    buffer: bytes, tag: int, vr: str, length: int, start: int, end: int, encoding: Encoding, depth: int
) -> tuple[Element, int]:
    if length == UNDEFINED_LENGTH:
        items, stop = _undefined_items(buffer, vr, start, end, encoding, depth)
        return Element("SQ", b"", items), stop
    stop = start + length
    if stop > end:
        raise Overrun
    value = buffer[start:stop]
    may_nest = vr == "SQ" or (vr == "UN" and value[:4] == b"\xfe\xff\x00\xe0")
    if not may_nest:
        return Element(vr, value), stop
    inner = Encoding(implicit=True) if vr == "UN" else encoding  # PS3.5 6.2.2, note 4
    try:
        items = _value_items(value, inner, depth + 1)
    except (Overrun, Malformed):
        return Element(vr, value), stop  # damaged inside, but its own end is known: kept as bytes
    return Element("SQ", value, items), stop


def _value_items(value: bytes, encoding: Encoding, depth: int) -> tuple[Elements, ...]:
    """The items of a sequence whose bytes are known; the slices of a series mostly repeat each other's."""
    if len(value) > MAX_REMEMBERED_BYTES:
        return _items(value, 0, len(value), encoding, depth, has_length=True)[0]
    return _remembered_items(value, encoding, depth)


@lru_cache(maxsize=1024)
def _remembered_items(value: bytes, encoding: Encoding, depth: int) -> tuple[Elements, ...]:
    return _items(value, 0, len(value), encoding, depth, has_length=True)[0]


def _undefined_items(
    buffer: bytes, vr: str, start: int, end: int, encoding: Encoding, depth: int
) -> tuple[tuple[Elements, ...], int]:
    if vr != "UN" or encoding.implicit:
        return _items(buffer, start, end, encoding, depth + 1, has_length=False)
    try:
        return _items(buffer, start, end, Encoding(implicit=True), depth + 1, has_length=False)
    except Malformed:  # writers that keep explicit VR inside UN
        return _items(buffer, start, end, encoding, depth + 1, has_length=False)


def _items(
    buffer: bytes, position: int, end: int, encoding: Encoding, depth: int, *, has_length: bool
) -> tuple[tuple[Elements, ...], int]:
    if depth > MAX_NESTING:
        raise Malformed("sequences nest too deep")
    items: list[Elements] = []
    _, _, unpack_item = _LITTLE if encoding.little else _BIG
    while not (has_length and position >= end):
        if position + 8 > end:
            raise Overrun
        group, element, length = unpack_item(buffer, position)
        tag, position = group << 16 | element, position + 8
        if tag == SEQUENCE_END:
            break
        if tag != ITEM:
            raise Malformed("a sequence holds something that is no item")
        stop = end if length == UNDEFINED_LENGTH else position + length
        if stop > end:
            raise Overrun
        item, position = _item(buffer, position, stop, encoding, depth, has_length=length != UNDEFINED_LENGTH)
        items.append(item)
    return tuple(items), position


def _item(
    buffer: bytes, position: int, end: int, encoding: Encoding, depth: int, *, has_length: bool
) -> tuple[Elements, int]:
    elements: Elements = {}
    is_plain = encoding == _EXPLICIT_LITTLE
    while not (has_length and position >= end):
        if is_plain:
            position = _parse_plain(buffer, position, end, elements)
            if has_length and position >= end:
                break
        tag, vr, length, start = _element_head(buffer, position, end, encoding)
        if tag in (ITEM_END, SEQUENCE_END):
            # A missing item delimiter before the sequence's own: hand the latter back.
            return elements, start if tag == ITEM_END else position
        if tag == PIXEL_DATA and length == UNDEFINED_LENGTH:
            position = _skip_fragments(buffer, start, end, encoding)  # compressed icon image
            continue
        elements[tag], position = _element(buffer, tag, vr, length, start, end, encoding, depth)
    return elements, position


def _skip_fragments(buffer: bytes, position: int, end: int, encoding: Encoding) -> int:
    _, _, unpack_item = _LITTLE if encoding.little else _BIG
    while True:
        if position + 8 > end:
            raise Overrun
        group, element, length = unpack_item(buffer, position)
        position += 8
        if group << 16 | element == SEQUENCE_END:
            return position
        if group << 16 | element != ITEM or length == UNDEFINED_LENGTH:
            raise Malformed("compressed pixels hold something that is no fragment")
        position += length


def _is_printable(vr: bytes) -> bool:
    return 0x20 <= vr[0] <= 0x7E and 0x20 <= vr[1] <= 0x7E
