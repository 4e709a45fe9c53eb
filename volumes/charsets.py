"""Bytes of a text element to text, whatever SpecificCharacterSet says or forgets.

Enters: bytes and the raw SpecificCharacterSet. Leaves: text; never an error. Refuses: to trust a declaration that the
bytes contradict (UTF-8 is tried first then, Latin-1 last).

References
----------
DICOM PS3.3 C.12.1.1.2 (defined terms), PS3.5 6.1 (code extensions). The code extensions are pydicom's.
"""

from __future__ import annotations

import warnings
from functools import lru_cache

_DELIMITERS = {0x0A, 0x0C, 0x0D, 0x09, 0x5C, 0x5E, 0x3D}
"""Characters at which code extensions reset: LF, FF, CR, TAB, backslash, caret, equals sign. PS3.5 6.1.2.5.3."""


def decode_text(value: bytes, charset: bytes) -> str:
    """`value` as text, without the padding at its ends.

    Parameters
    ----------
    value : bytes
    charset : bytes
        Raw value of SpecificCharacterSet in force; empty where absent.
    """
    value = value.strip(b"\0 ")
    if value.isascii() and b"\x1b" not in value:
        return value.decode("ascii")
    return _decode(value, encodings_of(charset)).strip("\0 ")


@lru_cache(maxsize=256)
def encodings_of(charset: bytes) -> tuple[str, ...]:
    """Python's names of the character sets in `charset`; ``iso8859`` stands for the default repertoire."""
    from pydicom.charset import convert_encodings  # not at import: most headers are plain ASCII

    terms = [term.strip() for term in charset.decode("latin-1").strip("\0 ").split("\\")]
    with warnings.catch_warnings():  # misspelt terms warn, and the warning would quote the file
        warnings.simplefilter("ignore")
        try:
            return tuple(convert_encodings(terms))
        except (LookupError, ValueError):
            return ("iso8859",)


def _decode(value: bytes, encodings: tuple[str, ...]) -> str:
    if b"\x1b" in value and len(encodings) > 1:
        from pydicom.charset import decode_bytes

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return str(decode_bytes(value, list(encodings), _DELIMITERS))
            except (LookupError, ValueError):
                pass
    if encodings[0] not in ("iso8859", "ascii"):
        try:
            return value.decode(encodings[0])
        except (LookupError, ValueError):
            pass
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
