"""Raw elements to typed values, by keyword.

Enters: elements of one data set or sequence item. Leaves: text, numbers, items; None where an element is absent or
empty. Refuses: a number that cannot be read or is not finite, and a wrong count of numbers, where the value is
required to be right (`needed`).

References
----------
DICOM PS3.5 6.2 (value representations), PS3.6 (keywords and their VRs).
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator

from t3dkit.verdict import Repair
from volumes.charsets import decode_text
from volumes.dictionary import dictionary_vr, tag_of
from volumes.elements import Element, Elements
from volumes.errors import HeaderError
from volumes.reasons import DropReason, RepairCode

_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_NUMERIC_VRS = frozenset(_BINARY) | {"DS", "IS"}
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
"""One comma and no point: DS knows no thousands separator (PS3.5 6.2), so it can only be a decimal comma."""
SPECIFIC_CHARACTER_SET = 0x00080005


class Values:
    """Typed access to the elements of one data set or item.

    Parameters
    ----------
    elements : dict
    little : bool
        Byte order of binary values.
    charset : bytes
        SpecificCharacterSet of the enclosing data set.
    repairs : list of Repair, optional
        Where repairs are noted; shared with the items of sequences.
    """

    def __init__(
        self, elements: Elements, *, little: bool = True, charset: bytes = b"", repairs: list[Repair] | None = None
    ) -> None:
        self.elements = elements
        self.little = little
        own = elements.get(SPECIFIC_CHARACTER_SET)
        self.charset = own.value if own and own.value else charset
        self.repairs = repairs if repairs is not None else []

    def text(self, keyword: str) -> str | None:
        """The first value as text."""
        texts = self.texts(keyword)
        return texts[0] or None if texts else None

    def texts(self, keyword: str) -> tuple[str, ...]:
        """All values as text; empty when the element is absent or empty."""
        element = self.elements.get(tag_of(keyword))
        if element is None or not element.value:
            return ()
        whole = decode_text(element.value, self.charset)
        return tuple(part.strip("\0 ") for part in whole.split("\\")) if whole else ()

    def uid(self, keyword: str) -> str:
        """A UID, kept as it is even when it is no legal one; empty when absent."""
        element = self.elements.get(tag_of(keyword))
        return element.value.decode("ascii", "backslashreplace").strip("\0 ") if element else ""

    def numbers(self, keyword: str, *, count: int | None = None) -> tuple[float, ...] | None:
        """All values as finite numbers.

        Raises
        ------
        HeaderError
            BAD_NUMBER: a value is no finite number. BAD_VM: there are not `count` of them.
        """
        element = self.elements.get(tag_of(keyword))
        if element is None:
            return None
        plain = _plain_numbers(element)
        if plain is not None and (count is None or len(plain) == count):
            return plain
        if self._is_empty(keyword, element):
            return None
        values = tuple(self._parse(keyword, element))
        if count is not None and len(values) != count:
            raise HeaderError(DropReason.BAD_VM, f"{keyword} has {len(values)} values, expected {count}")
        if not all(map(math.isfinite, values)):
            raise HeaderError(DropReason.BAD_NUMBER, f"{keyword} is not finite")
        return values

    def number(self, keyword: str, *, needed: bool = False) -> float | None:
        """One finite number; when it is not `needed`, None for one that cannot be read."""
        try:
            values = self.numbers(keyword, count=1 if needed else None)
        except HeaderError:
            if needed:
                raise
            return None
        return values[0] if values else None

    def integer(self, keyword: str, *, needed: bool = False) -> int | None:
        """One whole number; ``12.0`` counts as one."""
        value = self.number(keyword, needed=needed)
        if value is None or value == int(value):
            return None if value is None else int(value)
        if needed:
            raise HeaderError(DropReason.BAD_NUMBER, f"{keyword} is not whole")
        return None

    def items(self, keyword: str) -> tuple[Values, ...]:
        """The items of a sequence; empty when it is absent."""
        element = self.elements.get(tag_of(keyword))
        return tuple(self.item_values(item) for item in (element.items or ())) if element else ()

    def item(self, keyword: str) -> Values | None:
        """The first item of a sequence."""
        element = self.elements.get(tag_of(keyword))
        return self.item_values(element.items[0]) if element and element.items else None

    def item_values(self, item: Elements) -> Values:
        """`item` with this data set's byte order, character set and notes."""
        return Values(item, little=self.little, charset=self.charset, repairs=self.repairs)

    def _is_empty(self, keyword: str, element: Element) -> bool:
        if self._vr(keyword, element) in _BINARY:
            return not element.value  # a binary zero is made of NULs
        return not element.value.strip(b"\0 ")

    def _vr(self, keyword: str, element: Element) -> str:
        if element.vr in _NUMERIC_VRS:
            return element.vr
        return dictionary_vr(tag_of(keyword))

    def _parse(self, keyword: str, element: Element) -> Iterator[float]:
        vr = self._vr(keyword, element)
        if vr != element.vr and not (element.vr == "OW" and vr in ("US", "SS")):
            self._note(RepairCode.VR_BY_DICTIONARY, f"{keyword} with VR {_shown_vr(element.vr)} read as {vr}")
        kind = _BINARY.get(vr)
        if kind:
            size = struct.calcsize(kind)
            if len(element.value) % size:
                raise HeaderError(DropReason.BAD_NUMBER, f"{keyword} has {len(element.value)} bytes as {vr}")
            order = "<" if self.little else ">"
            yield from map(float, struct.unpack(f"{order}{len(element.value) // size}{kind}", element.value))
            return
        for part in element.value.decode("latin-1").strip("\0 ").split("\\"):
            yield self._parse_text(keyword, part.strip("\0 \t\r\n"))

    def _parse_text(self, keyword: str, text: str) -> float:
        if _DECIMAL_COMMA.fullmatch(text):
            self._note(RepairCode.DECIMAL_COMMA, keyword)
            text = text.replace(",", ".")
        try:
            if "_" in text:  # Python reads 1_0 as ten
                raise ValueError
            return float(text)
        except ValueError:
            raise HeaderError(DropReason.BAD_NUMBER, f"{keyword} is no number") from None

    def _note(self, code: RepairCode, detail: str) -> None:
        repair = Repair(code, detail)
        if repair not in self.repairs:
            self.repairs.append(repair)


def _plain_numbers(element: Element) -> tuple[float, ...] | None:
    """Decimal strings that need no care; None sends the caller the long way, which repairs or says what is wrong."""
    value = element.value
    if element.vr not in ("DS", "IS") or b"_" in value:  # Python reads 1_0 as ten
        return None
    try:
        numbers = tuple(map(float, value.split(b"\\")))
    except ValueError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def _shown_vr(vr: str) -> str:
    return vr if vr.isascii() and vr.isalpha() else "unknown"
