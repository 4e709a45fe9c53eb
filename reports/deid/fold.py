"""Text as the matchers see it: compatibility forms, accents, format characters and typographic marks folded away.

Enters: any text. Leaves: a `Folded` text and the way back to the original's characters. Refuses: nothing. The
original is never rewritten, so that what is not an identifier comes out as it came in.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

Token = tuple[int, int, str]
"""Start, end and text of a word of a folded text."""
TOKEN = re.compile(r"[^\W_]{1,200}")

_LETTERS = str.maketrans(
    {"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ı": "i", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe",
     "ß": "ss", "ẞ": "SS", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ħ": "h", "Ħ": "H", "ŧ": "t", "ŋ": "n", "ə": "a", "Ə": "A",  # noqa: E501
     "ʻ": "'", "ʾ": "'", "ʿ": "'", "′": "'", "‘": "'", "’": "'", "ʼ": "'", "`": "'", "´": "'", "“": '"', "”": '"',
     "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "−": "-", "﹣": "-", "－": "-", "\u2028": "\n", "\u2029": "\n",
     "·": ".", "\u2044": "/", "\u2215": "/"}
)  # fmt: skip
"""What Unicode's compatibility decomposition leaves alone and people write interchangeably."""


@dataclass(frozen=True)
class Folded:
    """A folded text.

    Parameters
    ----------
    text : str
        Folded, case kept.
    starts : sequence of int or None
        For every folded character the original character it comes from; None when the two are the same text.
    length : int
        Characters in the original.
    """

    text: str
    starts: Sequence[int] | None
    length: int

    def original(self, start: int, end: int) -> tuple[int, int]:
        """A half-open range of the folded text as a range of the original, with format characters it covers."""
        if self.starts is None or end <= start:
            return start, end
        first = self.starts[start]
        last = self.starts[end] if end < len(self.starts) else self.length
        return first, max(last, self.starts[end - 1] + 1)


def fold(text: str) -> Folded:
    """Fold `text`; plain ASCII is its own folded form."""
    if text.isascii():
        return Folded(text, None, len(text))
    pieces: list[str] = []
    starts: list[int] = []
    broken = {match.start(): match[0] for match in _mistaken().finditer(text)} if _LEAD.search(text) else {}
    skip = 0
    for index, letter in enumerate(text):
        if index < skip:
            continue
        if index in broken:
            piece, skip = _fold_letter(_repairs()[broken[index]]), index + len(broken[index])
        else:
            piece = letter if letter.isascii() else _fold_letter(letter)
        pieces.append(piece)
        starts.extend([index] * len(piece))
    return Folded("".join(pieces), starts, len(text))


_LEAD = re.compile("[ÂÃÄÅÆá]")


@cache
def _repairs() -> dict[str, str]:
    """UTF-8 that was read as Windows-1252 or Latin-1 -> the letter that was meant: "Ã¶" -> "ö"."""
    letters = [chr(code) for code in (*range(0xC0, 0x180), *range(0x1E00, 0x1F00)) if chr(code).isalpha()]
    table = {}
    for letter in letters:
        raw = letter.encode("utf-8")
        table[raw.decode("latin-1")] = letter
        table["".join(bytes([byte]).decode("cp1252", errors="ignore") or chr(byte) for byte in raw)] = letter
    return {written: letter for written, letter in table.items() if len(written) == len(letter.encode("utf-8"))}


@cache
def _mistaken() -> re.Pattern[str]:
    return re.compile("|".join(sorted(map(re.escape, _repairs()), key=len, reverse=True)))


@lru_cache(maxsize=4096)
def _fold_letter(letter: str) -> str:
    if unicodedata.category(letter) == "Cf":
        return ""
    parts = unicodedata.normalize("NFKD", letter.translate(_LETTERS))
    return "".join(part for part in parts if not unicodedata.combining(part)).translate(_LETTERS)
