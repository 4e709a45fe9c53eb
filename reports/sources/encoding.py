"""Bytes to text, whatever the encoding.

Enters: bytes, or a file. Leaves: text without byte-order mark and NUL. Refuses: nothing; what is not UTF-8 or
UTF-16 is read as Windows-1252, and as Latin-1 where even that does not fit.
"""

from __future__ import annotations

import codecs
from pathlib import Path

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark starts with UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHUNK_BYTES = 1 << 20
_SIXTEEN_BIT_SHARE = 0.3
"""Western text in UTF-16 has a NUL in nearly every second byte; stray NULs in 8-bit text are far rarer."""


def detect_encoding(path: Path) -> str:
    """The name of the encoding that reads the whole file; reads it once, a piece at a time."""
    with path.open("rb") as file:
        chunk = file.read(_CHUNK_BYTES)
        marked = _marked(chunk)
        if marked:
            return marked
        decoders = {name: codecs.getincrementaldecoder(name)() for name in ("utf-8", "cp1252")}
        while decoders:
            for name in list(decoders):
                try:
                    decoders[name].decode(chunk, final=not chunk)  # the last, empty piece shows a character cut short
                except UnicodeDecodeError:
                    del decoders[name]
            if not chunk:
                break
            chunk = file.read(_CHUNK_BYTES)
    return next(iter(decoders), "latin-1")


def decode(payload: bytes) -> str:
    """`payload` as text, without byte-order mark and NUL."""
    marked = _marked(payload)
    if marked:
        return payload.decode(marked, errors="replace").replace("\0", "")
    for name in ("utf-8", "cp1252"):
        try:
            return payload.decode(name).replace("\0", "")
        except UnicodeDecodeError:
            continue
    return payload.decode("latin-1").replace("\0", "")


def _marked(start: bytes) -> str | None:
    for mark, name in _MARKS:
        if start.startswith(mark):
            return name
    sample = start[:4096]
    if len(sample) >= 4:
        half = len(sample) / 2
        if sample[1::2].count(0) > _SIXTEEN_BIT_SHARE * half and not sample[0::2].count(0):
            return "utf-16-le"
        if sample[0::2].count(0) > _SIXTEEN_BIT_SHARE * half and not sample[1::2].count(0):
            return "utf-16-be"
    return None
