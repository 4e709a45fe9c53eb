"""Cleaning that never changes the original: a cleaned text for the rules, and a map back.

Enters: the report as it is. Leaves: `Cleaned`, whose every character knows its place in the original. Refuses: to
alter, translate or spell-check words.

In the cleaned text a space is soft and `BREAK` is hard: no sentence crosses it. Two of them stand for a blank line,
which ends a paragraph. One line break may be soft or hard, and a line's length decides, since a printer wraps full
lines and an author ends short ones.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from string import ascii_lowercase, ascii_uppercase

from reports.grammar import read_data, tagged_languages
from reports.records import Span

BREAK = "\u2029"
"""PARAGRAPH SEPARATOR: one character, so that the map stays one to one."""

MIN_WRAP_WIDTH = 50
"""Characters. Nobody wraps narrower than this; a shorter line ended because its author ended it."""
MAX_WRAP_WIDTH = 140
"""Characters. A longer line was never wrapped, so it says nothing about the width."""
WRAP_RAGGED = 15
"""Characters. A word that did not fit leaves a wrapped line at most about this much shorter than the width."""

_SAME = str.maketrans({"\u00a0": " ", "\u2007": " ", "\u202f": " ", "\u2009": " ", "\t": " ", "’": "'", "‘": "'", "“": '"', "”": '"', "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "\u2212": "-"})  # fmt: skip  # noqa: E501
_CONTROL = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f\x80-\x84\x86-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufffe]+"
)
_NEWLINE = re.compile("\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]")
_HARD_NEWLINE = frozenset(f"\x0c{BREAK}")
_SPACES = re.compile(" {2,}")
_COMMA_AFTER_STOP = re.compile(r"[.:?!] {0,4},(?=\s*\S)")
_COMMA_BEFORE_HEADING = re.compile(r",(?=[A-Z][A-Za-z&/ -]{1,60}:)")
_COMMA_BEFORE_CAPITAL = re.compile(r",(?=[A-Z][a-z]{2})(?<=[a-z0-9)],)")
_LIST_ITEM = re.compile(r"(?:\(?\d{1,2}[.)]\s|\(?\d{1,2}[.)](?=[A-Z])|[-*•·>o+]\s|[a-hA-H][.)]\s)")
_HEADING_START = re.compile(r"\W{0,3}[A-Z][A-Za-z0-9 ,/&()'-]{1,50}:(?:\s|$)")
_CAPITALS, _SMALL = ascii_uppercase.encode(), ascii_lowercase.encode()
_KEYWORDS_AT_LEAST = 5
_KEYWORDS_AT_MOST = 3000
"""Characters of a keyword list; a bound keeps the time linear in a text full of commas."""


@dataclass(frozen=True)
class Cleaned:
    """A cleaned text and the way back.

    Parameters
    ----------
    original : str
        The text as it came; every span of a parsed report slices it.
    text : str
        The cleaned text, `BREAK` between logical lines.
    origin : list of int
        For each character of `text`, its index in `original`; never decreasing.
    removed : tuple of Span
        Page furniture and keyword tails of `original` that are no narrative.
    """

    original: str
    text: str
    origin: list[int]
    removed: tuple[Span, ...] = ()

    def span(self, start: int, end: int) -> Span:
        """The range of `original` that the half-open range [start, end) of `text` was made from."""
        if start >= end:
            at = self.origin[start] if start < len(self.origin) else len(self.original)
            return Span(at, at)
        return Span(self.origin[start], self.origin[end - 1] + 1)


Edit = tuple[int, int, str]


def clean(original: str, headings: Container[str] = ()) -> Cleaned:
    """Clean a report's text; cleaning a cleaned text changes nothing.

    `headings` are those of an institution, in lower case: alone on its line such a word is no part of a wrapped one.

    Control characters go, runs of spaces shrink, typographic quotes and dashes become plain, line breaks that were
    written as commas become breaks, wrapped lines are joined, page headers and glued keyword lists are left out.
    """
    text, origin = original.translate(_SAME), list(range(len(original)))
    text, origin = _rewrite(text, origin, [(m.start(), m.end(), "") for m in _CONTROL.finditer(text)])
    text, origin = _rewrite(text, origin, [(m.start() + 1, m.end(), "") for m in _SPACES.finditer(text)])
    text, origin = _rewrite(text, origin, _comma_breaks(text))
    removed: list[Span] = []
    for join in (partial(_line_edits, headings=headings), _furniture_edits, _keyword_tail_edits):
        edits, dropped = join(text)
        removed += [Span(origin[start], origin[end - 1] + 1) for start, end in dropped]
        text, origin = _rewrite(text, origin, edits)
    return Cleaned(original, text, origin, tuple(sorted(removed, key=lambda span: span.start)))


def _rewrite(text: str, origin: list[int], edits: list[Edit]) -> tuple[str, list[int]]:
    """Apply sorted, disjoint edits; a replacement is never longer than what it replaces."""
    if not edits:
        return text, origin
    pieces: list[str] = []
    places: list[int] = []
    at = 0
    for start, end, replacement in edits:
        pieces += [text[at:start], replacement]
        places += origin[at:start]
        places += origin[start : start + len(replacement)]
        at = end
    pieces.append(text[at:])
    places += origin[at:]
    return "".join(pieces), places


def _comma_breaks(text: str) -> list[Edit]:
    """Line breaks that an export wrote as commas: ``FINDINGS:,The liver is normal.,IMPRESSION:,``."""
    after_stop = [m for m in _COMMA_AFTER_STOP.finditer(text) if not _is_abbreviation(text, m.start() + 1)]
    if len(after_stop) < 2:
        return []
    spans = {(m.start() + 1, m.end()) for m in after_stop}
    spans |= {(m.start(), m.end()) for m in _COMMA_BEFORE_CAPITAL.finditer(text)}
    for match in _COMMA_BEFORE_HEADING.finditer(text):
        start = match.start() - (text[match.start() - 1] == " ")
        if start > 0 and ((text[start - 1].isascii() and text[start - 1].isalnum()) or text[start - 1] in ")]"):
            spans.add((start, match.end()))
    edits: list[Edit] = []
    for start, end in sorted(spans):
        if not edits or start >= edits[-1][1]:
            edits.append((start, end, BREAK))
    return edits


def _is_abbreviation(text: str, stop: int) -> bool:
    word = re.search(r"[A-Za-z.]{1,8}$", text[max(stop - 8, 0) : stop])
    return word is not None and word.group().lower().rstrip(".") in {
        "e.g",
        "i.e",
        "etc",
        "vs",
        "jr",
        "sr",
        "inc",
        "approx",
    }


def _lines(text: str) -> list[tuple[int, int, str]]:
    """(start, end, what surely parts it from the one before) of each line that is not blank, edges trimmed."""
    lines: list[tuple[int, int, str]] = []
    start, hard, blank = 0, False, False
    for match in (*_NEWLINE.finditer(text), None):
        end = match.start() if match else len(text)
        first, last = start, end
        while first < last and text[first] in " ,":
            first += 1
        while first < last and text[last - 1] == " ":
            last -= 1
        if first < last:
            lines.append((first, last, BREAK * 2 if blank else BREAK * hard))
            hard = blank = False
        else:
            blank = True
        if match:
            hard = hard or match.group() in _HARD_NEWLINE
            start = match.end()
    return lines


def _line_edits(text: str, headings: Container[str]) -> tuple[list[Edit], list[tuple[int, int]]]:
    """Join wrapped lines, break the others, leave out page furniture."""
    kept: list[tuple[int, int, str]] = []
    dropped: list[tuple[int, int]] = []
    for line in _lines(text):
        if _is_furniture(text[line[0] : line[1]]):
            dropped.append(line[:2])
        else:
            kept.append(line)
    if not kept:
        return ([(0, len(text), "")] if text else []), dropped
    width = _wrap_width([text[start:end] for start, end, _ in kept])
    edits: list[Edit] = [(0, kept[0][0], "")] if kept[0][0] else []
    for (start, end, _), (next_start, next_end, surely) in pairwise(kept):
        joint = surely or _joint(text[start:end], text[next_start:next_end], width, headings)
        if (end, next_start) and text[end:next_start] != joint:
            edits.append((end, next_start, joint))
    if kept[-1][1] < len(text):
        edits.append((kept[-1][1], len(text), ""))
    return edits, dropped


def _wrap_width(lines: list[str]) -> int:
    """The width a printer wrapped at: the longest line's, if another comes near it; else no line is full.

    A wrapped text goes on in lower case somewhere, unless it has none.
    """
    longest = sorted(len(line) for line in lines if len(line) <= MAX_WRAP_WIDTH)[-2:]
    is_near = len(longest) == 2 and longest[1] - longest[0] <= WRAP_RAGGED
    is_wrapped = is_near and (_goes_on(lines) or _is_in_capitals(lines))
    return max(MIN_WRAP_WIDTH, longest[1]) if is_wrapped else MAX_WRAP_WIDTH


def _goes_on(lines: list[str]) -> bool:
    return any(line[-1] not in ".:?!" and following[0].islower() for line, following in pairwise(lines))


def _is_in_capitals(lines: list[str]) -> bool:
    long = "".join(line for line in lines if len(line) >= MIN_WRAP_WIDTH)
    if not long.isascii():
        return sum(map(str.isupper, long)) > 2 * sum(map(str.islower, long))
    raw = long.encode()  # bytes lose a set of letters at once
    return len(raw) - len(raw.translate(None, _CAPITALS)) > 2 * (len(raw) - len(raw.translate(None, _SMALL)))


@cache
def _heading_words() -> frozenset[str]:
    tables = [read_data("headings", language)["section"] for language in tagged_languages()]
    return frozenset(alias for table in tables for aliases in table.values() for alias in aliases)


@cache
def _never_last() -> frozenset[str]:
    return frozenset(read_data("layout")["full_stop"]["not_before_starter"])


def _is_heading(line: str, headings: Container[str]) -> bool:
    words = line.strip(" *#:").lower()
    return line[0].isupper() and (words in _heading_words() or words in headings)


def _joint(line: str, following: str, width: int, headings: Container[str]) -> str:
    """What stands between two lines that one line break parted: `BREAK`, a space, or nothing after a hyphen."""
    if _LIST_ITEM.match(following) or _HEADING_START.match(following) or line.endswith(":"):
        return BREAK
    head, colon, _ = following.partition(":")
    if colon and head.strip().lower() in _heading_words():
        return BREAK
    if line.isupper() != following.isupper() and (
        len(line) < MIN_WRAP_WIDTH or (following.isupper() and line[-1] == ".")
    ):
        return BREAK
    if line[-1] == "-" and line[-2:-1].isalpha() and following[0].islower():
        return ""
    if _is_heading(line, headings) or _is_heading(following, headings):
        return BREAK
    if line.rpartition(" ")[2].lower() in _never_last():
        return " "
    word = following.partition(" ")[0]
    if len(line) + 1 + len(word) > width or (following[0].islower() and line[-1] not in ".?!"):
        return " "
    return " " if line[-1] == "," else BREAK


@cache
def _page_line() -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{line})" for line in read_data("layout")["page_lines"]), re.IGNORECASE)


def _is_furniture(line: str) -> bool:
    return len(line) <= 160 and _page_line().fullmatch(line) is not None


def _furniture_edits(text: str) -> tuple[list[Edit], list[tuple[int, int]]]:
    """Page furniture that only the joined lines show: ``Page 1`` and ``of 2`` on two lines."""
    edits: list[Edit] = []
    dropped: list[tuple[int, int]] = []
    start = 0
    for line in text.split(BREAK):
        end = start + len(line)
        if _is_furniture(line):
            dropped.append((start, end))
            edits.append((start, min(end + 1, len(text)), ""))
        start = end + 1
    if edits and edits[-1][1] == len(text):  # the break before a last line goes with it
        kept_end = edits[-1][0]
        while len(edits) > 1 and edits[-2][1] == kept_end:
            kept_end = edits[-2][0]
            edits.pop(-2)
        edits[-1] = (max(kept_end - 1, 0), len(text), "")
    return edits, dropped


_GLUED_LIST = re.compile(r"(?<=[A-Za-z0-9)\]])[.,](?=[a-z])")


def _keyword_tail_edits(text: str) -> tuple[list[Edit], list[tuple[int, int]]]:
    """A list of keywords behind the text, on a line of its own or glued: ``right cheek.radiology, sinuses, ct``."""
    line = text.rfind(BREAK) + 1
    if line and text[line : line + 1].islower() and _is_keywords(text[line:]):
        return [(line - 1, len(text), "")], [(line, len(text))]
    last_sentence = max(text.rstrip(" .").rfind(". "), line, len(text) - _KEYWORDS_AT_MOST)
    for glue in _GLUED_LIST.finditer(text, last_sentence):
        if _is_keywords(text[glue.end() :]):
            start = glue.end() if text[glue.start()] == "." else glue.start()
            return [(start, len(text), "")], [(start, len(text))]
    return [], []


def _is_keywords(tail: str) -> bool:
    items = [item for item in tail.rstrip(" ,").split(",") if item.strip()]
    is_list = len(items) >= _KEYWORDS_AT_LEAST and "." not in tail
    return is_list and all(len(item.split()) <= 6 for item in items)
