"""The words of a text, found once for all layers.

Enters: folded text. Leaves: `Tokens`. Refuses: nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from reports.deid.cues import Grade, grade
from reports.deid.fold import TOKEN, Token

_STRANGE = 0.25
"""Share of small words that no list has from which on a text is in a language without lists."""
_FEW = 6
"""Small words below which a text is read as one in capitals."""
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

    @cached_property
    def low(self) -> list[str]:
        """The words in lower case."""
        return [word.lower() for _, _, word in self.words]

    @cached_property
    def numbers(self) -> list[int]:
        """The places of the words that begin with a digit."""
        return sorted(at for word, places in self.places.items() if word[0].isdigit() for at in places)

    @cached_property
    def capitals(self) -> list[int]:
        """The places of the words that begin with a capital letter."""
        return [index for index, (_, _, word) in enumerate(self.words) if word[0].isupper()]

    @cached_property
    def number_starts(self) -> list[int]:
        """Offsets of the words that begin with a digit."""
        return [self.words[index][0] for index in self.numbers]

    @cached_property
    def capital_starts(self) -> list[int]:
        """Offsets of the words that begin with a capital letter."""
        return [self.words[index][0] for index in self.capitals]

    @cached_property
    def is_foreign(self) -> bool:
        """Whether the text is in a language that has no lists here: that no list has a word says nothing then."""
        small = {word for _, _, word in self.words if len(word) > 3 and word.islower()}
        if len(small) < _FEW:
            large = {low for low in self.places if len(low) > 3 and low.isalpha()}
            small = large if len(large) > 2 * _FEW else small
        return sum([grade(word) is Grade.UNKNOWN for word in small]) > _STRANGE * len(small)

    def gap(self, index: int) -> str:
        """What stands between word `index` and the next."""
        return self.text[self.words[index][1] : self.words[index + 1][0]]


def tokenize(text: str) -> Tokens:
    """Cut folded `text` into words."""
    words: list[Token] = [(*match.span(), match[0]) for match in TOKEN.finditer(text)]
    places: dict[str, list[int]] = {}
    for index, low in enumerate([word.lower() for _, _, word in words]):
        if low in places:
            places[low].append(index)
        else:
            places[low] = [index]
    return Tokens(text, words, places, "\n".join(_NUMERALS.findall(text)))


def matches_at(pattern: re.Pattern[str], text: str, starts: Iterable[int]) -> Iterator[re.Match[str]]:
    """What `finditer` finds, if every match begins at one of the sorted `starts`."""
    end = 0
    for start in starts:
        match = pattern.match(text, start) if start >= end else None
        if match:
            end = match.end()
            yield match
