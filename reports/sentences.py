"""Sentence boundaries in a cleaned report.

Enters: a block of cleaned text and the tokens a tokenizer made of it. Leaves: half-open ranges that hold one sentence
each, list numbers and dashes left out. Refuses: to end a sentence inside a number, a title or an abbreviation.

A `BREAK` always ends a sentence. A full stop does, unless a rule of ``lexicon/layout.toml`` says otherwise. A missing
full stop shows where a word that begins sentences follows a word in lower case.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from functools import cache
from typing import NamedTuple

from reports.clean import BREAK
from reports.grammar import read_data

MAX_SENTENCE = 1000
"""Characters. What is longer lost its full stops or is no prose; cut, it costs no more than its length."""

_STOP = re.compile(r"[.?!]+[)\"'\]]{0,2}")
_MARKER = re.compile(
    r"\s*(?:\(?\d{1,2}[.)](?!\d)\s*|[-*•·>]+\s*|[a-hA-H][.)]\s+|[IVX]{1,4}[.)]\s+|#\s?\d{1,2}[.:)]?\s+)"
)
_LIST_NUMBER = re.compile(r"\d{1,2}[.)]")
_ITEM_NUMBER = re.compile(r"[ (]{0,3}(?:\d{0,9}|[IVX]{1,4})")
_ITEM = re.compile(r"(?<![^\s,;])\(?(\d{1,2})\)\s(?=\S)")
_NEXT_LENGTH = re.compile(r"\d{1,3}(?:\.\d{1,2})?(?:[ -]?[cm]m|st|nd|rd|th)\b(?! ?[x.,;)])")
_WORD_BEFORE = re.compile(r"[A-Za-z0-9.,%-]{1,24}$")
_ALNUM = re.compile(r"[^\W_]")
_GLUED = re.compile(r"[A-Z][a-z]|[A-Z]\s|\[")


class _Rules(NamedTuple):
    never: frozenset[str]
    before_capital: frozenset[str]
    number_follows: frozenset[str]
    missing: re.Pattern[str]
    not_before: frozenset[str]
    not_a_surname: frozenset[str]


@cache
def _rules() -> _Rules:
    data = read_data("layout")["full_stop"]
    missing = re.compile(
        rf"\s(?<=[a-z0-9%)]\s)(?=(?:{'|'.join(data['starters'])})\b)"  # begins with a space: found fast
    )
    return _Rules(
        frozenset(data["never"]),
        frozenset(data["before_capital"]),
        frozenset(data["number_follows"]),
        missing,
        frozenset(data["not_before_starter"]),
        frozenset(data["not_a_surname"]),
    )


def split_sentences(text: str, start: int, end: int, *, inside_tokens: Container[int] = ()) -> list[tuple[int, int]]:
    """Sentences of ``text[start:end]``.

    Parameters
    ----------
    text : str
        A cleaned text.
    inside_tokens : container of int
        Offsets of full stops that a tokenizer keeps inside a token ("e.g.", "Fig.").
    """
    sentences: list[tuple[int, int]] = []
    line_start = start
    for line in text[start:end].split(BREAK):
        line_end = line_start + len(line)
        at = line_start
        for cut in _cuts(text, line_start, line_end, inside_tokens):
            sentences += _trimmed(text, at, cut)
            at = cut
        sentences += _trimmed(text, at, line_end)
        line_start = line_end + 1
    return sentences


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The range without list marker and spaces, if a word is left."""
    marker = _MARKER.match(text, start, end)
    if marker and (text[marker.end() : end].strip() or _LIST_NUMBER.fullmatch(text[start:end].strip())):
        start = marker.end()
    while start < end:
        while start < end and text[start] in " ,;":
            start += 1
        cut = _cut_of_long(text, start, end)
        last = cut
        while start < last and text[last - 1] in " ,;":
            last -= 1
        if _ALNUM.search(text, start, last) or "___" in text[start:last]:  # a placeholder
            yield start, last
        start = cut


def _cut_of_long(text: str, start: int, end: int) -> int:
    """Where a sentence ends at the latest: at its last semicolon, comma or space before `MAX_SENTENCE`."""
    if end - start <= MAX_SENTENCE:
        return end
    limit = start + MAX_SENTENCE
    cuts = (text.rfind(mark, start + 1, limit) for mark in (";", ","))
    return max([cut + 1 for cut in cuts if cut > 0] or [text.rfind(" ", start + 1, limit) + 1]) or limit


def _cuts(text: str, start: int, end: int, inside_tokens: Container[int]) -> Iterator[int]:
    """Offsets within a line where one sentence ends and the next begins, in order."""
    rules = _rules()
    stops = [(m.start(), m.end(), True) for m in _STOP.finditer(text, start, end)]
    missing = [(m.start(), m.end(), False) for m in rules.missing.finditer(text, start, end)]
    items = set(_item_starts(text, start, end)) if text.find(")", start, end) >= 0 else set()
    at = start
    for low, high, is_stop in sorted([*stops, *missing, *((item, item, True) for item in items)]):
        if low in items:
            at = low
            yield low
            continue
        if is_stop:
            is_cut = _ends_sentence(text, at, low, high, end, inside_tokens, rules)
        else:
            is_cut = _is_missing_stop(text, at, low, rules)
        if is_cut:
            at = high
            yield high


def _item_starts(text: str, start: int, end: int) -> Iterator[int]:
    """Where the items of an enumeration inside a line begin: ``1) Cholecystectomy, 2) Gout``."""
    number = 1
    for match in _ITEM.finditer(text, start, end):
        if int(match.group(1)) == number:
            if number > 1:
                yield match.start()
            number += 1


def _ends_sentence(
    text: str, sentence_start: int, low: int, high: int, end: int, inside_tokens: Container[int], rules: _Rules
) -> bool:
    if text[low] == "?" and (low == sentence_start or text[low - 1] in " (,/"):
        return False  # "? PE", "?fracture": a doubt, not the end of a question
    before = _word_before(text, sentence_start, low)
    following = text[high:end].lstrip(" ") if high < end and text[high] == " " else text[high : min(high + 3, end)]
    if not following:
        return False  # the line ends here anyway
    is_glued = text[high] != " "
    if is_glued and not (_GLUED.match(following) and len(before) > 1 and before[-1:].isalnum()):
        return False
    if text[low] in "?!":
        return True
    return _full_stop_ends(text, sentence_start, low, before, following, low in inside_tokens, rules)


def _word_before(text: str, sentence_start: int, low: int) -> str:
    match = _WORD_BEFORE.search(text[max(sentence_start, low - 24) : low])
    return match.group() if match else ""


def _full_stop_ends(
    text: str, sentence_start: int, low: int, before: str, following: str, is_inside: bool, rules: _Rules
) -> bool:
    word = before.lower()
    if _ITEM_NUMBER.fullmatch(text, sentence_start, low):
        return False
    if word in rules.never:
        return False
    if word in rules.number_follows and following[0].isdigit():
        return False
    starts_new = following[0].isupper() or following[0] in '[("-*' or _LIST_NUMBER.match(following) is not None
    if len(before) == 1 and before.isalpha():
        is_new = following.partition(" ")[0].strip(",") in rules.not_a_surname
        return is_new or (starts_new and not _is_initial(text, sentence_start, low))
    if _NEXT_LENGTH.match(following):  # "... measures 8 mm. 9 mm nodule ..."
        return True
    if word in rules.before_capital or is_inside:  # who writes no capitals has none to begin with
        return starts_new or (not is_inside and following[0].isalpha() and text[sentence_start:low][-200:].islower())
    if not word and text[low - 1] in ")]":
        return True
    return starts_new or following[0].isdigit() or len(word.rpartition("-")[2]) > 2 or word[-1:].isdigit()


def _is_initial(text: str, sentence_start: int, low: int) -> bool:
    """ "J." in "Dr. J. Smith"; but not "C." in "hepatitis C."."""
    if not text[low - 1].isupper():
        return False
    previous = text[max(sentence_start, low - 24) : low - 1].split()
    return not previous or previous[-1].endswith(".") or previous[-1][0].isupper()


def _is_missing_stop(text: str, sentence_start: int, low: int, rules: _Rules) -> bool:
    previous = text[max(sentence_start, low - 24) : low].split()
    return len(previous) > 1 and previous[-1].lower() not in rules.not_before
