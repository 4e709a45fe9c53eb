"""The words of a text, found once for all layers.

Enters: folded text. Leaves: `Tokens`. Refuses: nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports.deid.fold import TOKEN, Token

_NUMERALS = re.compile(r"\d(?:.{0,8}\d)*.{0,8}", re.DOTALL)


@dataclass(frozen=True)
class Tokens:
    """A folded text cut into words.

    Parameters
    ----------
    text : str
        The folded text.
    words : sequence of (int, int, str)
        Start, end and text of each word.
    places : mapping
        Word in lower case -> the indices at which it stands.
    numerals : str
        The stretches with digits, with up to 8 characters between and behind them: short, so quick to search.
    """

    text: str
    words: Sequence[Token]
    places: Mapping[str, Sequence[int]]
    numerals: str

    def gap(self, index: int) -> str:
        """What stands between word `index` and the next."""
        return self.text[self.words[index][1] : self.words[index + 1][0]]


def tokenize(text: str) -> Tokens:
    """Cut folded `text` into words."""
    words: list[Token] = []
    places: dict[str, list[int]] = {}
    for index, match in enumerate(TOKEN.finditer(text)):
        word = match[0]
        words.append((match.start(), match.end(), word))
        places.setdefault(word.lower(), []).append(index)
    return Tokens(text, words, places, "\n".join(_NUMERALS.findall(text)))
