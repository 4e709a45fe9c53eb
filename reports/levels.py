"""Numbered anatomy: vertebral levels, ribs, liver segments.

Enters: a sentence's text or words. Leaves: region codes with the words they stand on. Refuses: T1 and T2 where they
are signals or stages, numbers with a unit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

from reports.grammar import Grammar
from reports.vocabulary import Word


class Level(NamedTuple):
    """A numbered structure: the half-open range of words, and the stem it names."""

    start: int
    end: int
    stem: str


_VERTEBRA = re.compile(
    r"(?<![A-Za-z0-9])([CTLS])(\d{1,2})"
    r"(?:\s?(-|/|,| to | through |and | and )\s?([CTLS])?(\d{1,2}))?"
    r"(?![A-Za-z0-9%]|\.\d)"
)
_COLUMN = [f"C{n}" for n in range(1, 8)] + [f"T{n}" for n in range(1, 13)] + [f"L{n}" for n in range(1, 6)] + ["S1"]
_NOT_SPINE_AFTER = re.compile(
    r"[\s-]{0,2}(?:weighted|signal|hyper|hypo|image|sequence|flair|bright|dark|shine|prolong|stir|fat|n\d)", re.I
)
_NOT_SPINE_BEFORE = re.compile(r"(?:rads|stage|staged|grade|series|increased|decreased|bright|low|high)\s$", re.I)
_RANGE_JOINTS = frozenset({"-", " to ", " through "})

_ORDINAL_WORDS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
_ORDINALS = {name: number for number, name in enumerate(_ORDINAL_WORDS.split(" "), 1)}
_RIB_NUMBER = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?")
_RIB_PARTS = frozenset(
    {"right", "left", "bilateral", "anterior", "posterior", "lateral", "anterolateral", "posterolateral"}
)
_ROMAN = {"i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5, "vi": 6, "vii": 7, "viii": 8}
_NOT_LIVER = ("lung", "pulmon", "lobe", "bronch", "bowel", "colon", "loop", "rib", "arter", "apical", "vertebr")


def vertebral_levels(text: str, words: Sequence[Word]) -> list[Level]:
    """Vertebrae named by level: ``L4-L5``, ``C5/6``, ``T4 through T6``, ``T12``."""
    index_at = {word.start: index for index, word in enumerate(words)}
    levels: list[Level] = []
    at = 0
    while match := _VERTEBRA.search(text, at):
        at = match.end()
        if _NOT_SPINE_AFTER.match(text, at) or _NOT_SPINE_BEFORE.search(
            text, max(0, match.start() - 12), match.start()
        ):
            continue
        first, joint, column, number = match.group(1) + match.group(2), match.group(3), match.group(4), match.group(5)
        last = (column or match.group(1)) + number if number else first
        if first not in _COLUMN:
            continue
        if last not in _COLUMN or (not column and joint not in ("-", "/")):
            last, at = first, match.end(2)
        start = index_at.get(match.start(), 0)
        a, b = _COLUMN.index(first), _COLUMN.index(last)
        names = _COLUMN[a : b + 1] if joint in _RANGE_JOINTS and a < b else sorted({first, last})
        end = next((i for i in range(start, len(words)) if words[i].start >= at), len(words))
        levels += [Level(start, end, f"vertebrae_{name}") for name in names]
    return levels


def rib_numbers(words: Sequence[Word], head_start: int, head_end: int, text: str, small: Grammar) -> list[int]:
    """Numbers of the ribs named around the word "rib": ``left 4th-7th ribs``, ``ribs 3 and 5``."""
    before = _rib_run(words, range(head_start - 1, max(head_start - 14, -1), -1), small)
    after = _rib_run(words, range(head_end, min(head_end + 12, len(words))), small)
    found = sorted(before) or sorted(after)
    numbers: set[int] = set()
    for (index, number), following in zip_longest(found, found[1:]):
        numbers.add(number)
        if following and _is_range(text[words[index].end : words[following[0]].start], small):
            numbers.update(range(number, following[1]))
    return sorted(numbers)


def _rib_run(words: Sequence[Word], indices: range, small: Grammar) -> list[tuple[int, int]]:
    run: list[tuple[int, int]] = []
    for index in indices:
        word = words[index].lower
        number = _ORDINALS.get(word) or (int(m.group(1)) if (m := _RIB_NUMBER.fullmatch(word)) else 0)
        has_unit = index + 1 < len(words) and words[index + 1].lower in {"mm", "cm"}
        if 1 <= number <= 12 and not has_unit:
            run.append((index, number))
        elif word not in small.joints | small.ranges | _RIB_PARTS:
            break
    return run


def _is_range(between: str, small: Grammar) -> bool:
    return between.strip().lower() in {"-"} | small.ranges


def liver_segments(words: Sequence[Word], small: Grammar, *, is_liver: bool) -> Iterator[Level]:
    """Couinaud segments: ``segment IVb``, ``segments 5/6``; only where nothing else in the sentence has segments."""
    segment_words = small.segment_words
    places = [at for at, word in enumerate(words) if word[0] in segment_words]
    if not places or (not is_liver and any(_is_elsewhere(words, index) for index in range(len(words)))):
        return
    for at in places:
        word = words[at]
        first = at + 1 + (word.lower == "seg" and words[at + 1 : at + 2] != [] and words[at + 1].lower == ".")
        for index in range(first, min(at + 8, len(words))):
            number = _segment_number(words[index])
            if number and words[index + 1 : index + 2] and words[index + 1].lower in ("mm", "cm"):
                break  # "left lateral segment 6 mm focus"
            if number:
                yield Level(index, index + 1, f"liver_segment_{number}")
            elif words[index].lower not in small.joints:
                break


def _is_elsewhere(words: Sequence[Word], index: int) -> bool:
    """Whether a word names what has segments of its own; "arterial phase" does not."""
    following = words[index + 1].lower if index + 1 < len(words) else ""
    is_phase = words[index].lower == "arterial" and following.startswith(("phase", "hyper", "enhanc", "series"))
    return words[index].lower.startswith(_NOT_LIVER) and not is_phase


def _segment_number(word: Word) -> int:
    name = word.lower.rstrip("ab") if word.lower[:1] in "iv12345678" else ""
    if name in _ROMAN and word.raw[0].isupper():
        return _ROMAN[name]
    return int(name) if name.isdigit() and 1 <= int(name) <= 8 else 0
