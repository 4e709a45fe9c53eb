"""The numbers known for the patient, with and without their zeros, letters and separators.

Enters: ids squeezed to letters and digits; folded text cut into words. Leaves: findings. Refuses to take a
measurement or a year for a short id without a cue word before it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

from reports.deid.findings import Finding
from reports.deid.fold import TOKEN, Token, fold
from reports.deid.tokens import Tokens

_OCR = str.maketrans({"o": "0", "i": "1", "l": "1"})
_ID_GAP = re.compile(r"[-./_ \t]{0,3}|[-./_ \t]{0,2}\n[ \t]{0,4}")
_LONG_GAP = re.compile(r"[-./_,:# \t]{0,3}|[-./_, \t]{0,2}\n[ \t]{0,4}")
_PHONE_GAP = re.compile(r"[-./_ ()+,]{0,3}|[-./_ ()]{0,2}\n[ \t(]{0,4}")
_CUE = re.compile(r"(?:mrn|id|acc(?:ession)?|patient|pat|no|nr|number|#)\W{0,4}$", re.IGNORECASE)
_UNIT = re.compile(r" ?(?:mm[23]?|cm[23]?|ml|cc|hu|mg|kg|%|x)\b|[.,]\d", re.IGNORECASE)
_MIN_ID = 4
_LONG_ID = 6
"""From this length on an id is found without its letters, and anything may stand behind it."""
_PARTED_ID = 5
"""From this length on an id is found with separators inside."""


def phone_needles(value: str) -> set[str]:
    """A phone number whole, without country code, and without area code."""
    digits = "".join(letter for letter in fold(value).text if letter.isdigit())
    return {digits[-length:].translate(_OCR) for length in (len(digits), 10, 7) if 7 <= length <= len(digits)}


def id_needles(value: str) -> set[str]:
    """An id without separators, with and without leading zeros, and its long runs of digits; empty when it has no digit."""  # noqa: E501
    squeezed = "".join(TOKEN.findall(fold(value).text)).lower()
    runs = [run.lstrip("0") for run in re.findall(r"\d{1,64}", squeezed)]
    whole = squeezed.lstrip("0") if runs else ""
    padded = squeezed if len(squeezed) >= _LONG_ID else ""
    return {
        needle.translate(_OCR)
        for needle in (whole, padded, *(run for run in runs if len(run) >= _LONG_ID - 1))
        if needle
    }


def find_ids(needles: Mapping[str, bool], text: str, tokens: Sequence[Token]) -> Iterator[Finding]:
    """Findings of `needles` (squeezed id -> whether it is a phone number) in folded `text`."""
    squeezed = "".join([token for _, _, token in tokens]).lower().translate(_OCR)
    if not any(needle in squeezed for needle in needles):
        return
    offsets = list(accumulate((len(token) for _, _, token in tokens), initial=0))
    if offsets.pop() != len(squeezed):  # a letter that changes length in lower case: positions would be wrong
        return
    for needle, is_phone in needles.items():
        start = squeezed.find(needle)
        while start >= 0:
            found = _id_finding(text, tokens, offsets, start, start + len(needle), is_phone)
            if found:
                yield found
            start = squeezed.find(needle, start + 1)


_SPOKEN = {
    "zero": "0", "oh": "0", "o": "0", "nought": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5",
    "six": "6", "seven": "7", "eight": "8", "nine": "9", "niner": "9", "ten": "10", "eleven": "11", "twelve": "12",
    "thirteen": "13", "fourteen": "14", "fifteen": "15", "sixteen": "16", "seventeen": "17", "eighteen": "18",
    "nineteen": "19",
}  # fmt: skip
_TENS = {
    "twenty": "2", "thirty": "3", "forty": "4", "fifty": "5", "sixty": "6", "seventy": "7", "eighty": "8", "ninety": "9"
}  # fmt: skip
_TIMES = {"double": 2, "triple": 3}
_JOINING = frozenset(["dash", "hyphen", "slash", "and", "hundred", *_TIMES])


def find_spoken(needles: Mapping[str, bool], tokens: Tokens) -> Iterator[Finding]:
    """Findings of `needles` dictated as words: "A B one double two", "forty-two seventeen"."""
    spoken = tokens.places.keys() & (_SPOKEN.keys() | _TENS.keys()) if needles else ()
    stop = -1
    for place in sorted(index for word in spoken for index in tokens.places[word]):
        if place < stop:
            continue
        first = place
        while first > 0 and _heard(tokens, first - 1) is not None:
            first -= 1
        stop, pieces = first, []
        while stop < len(tokens.words) and (piece := _heard(tokens, stop)) is not None:
            pieces.append(piece)
            stop += 1
        written = "".join(pieces).translate(_OCR)
        for needle, is_phone in needles.items():
            if len(needle) >= _MIN_ID and needle in written and len(pieces) > 1:
                yield Finding(tokens.words[first][0], tokens.words[stop - 1][1], "PHONE" if is_phone else "ID")


_SAID = frozenset(_SPOKEN) - {"o"} | frozenset(_TENS)
_SAID_BETWEEN = _JOINING | {"o", "at", "is", "point"}
_SAID_GAP = re.compile(r"[ \t]?[-,.]?[ \t\n]{0,2}")
_NUMBER_CUE = frozenset(
    ["mrn", "number", "numbers", "id", "accession", "acc", "record", "account", "chart", "job", "case", "order",
     "ending", "ssn", "security", "policy", "badge", "identifier", "code", "no", "nr", "n"]
)  # fmt: skip
_PHONE_CUE = frozenset(
    ["phone", "telephone", "tel", "call", "called", "cell", "mobile", "extension", "ext", "pager", "beeper", "fax",
     "back", "me", "reached", "line", "page"]
)  # fmt: skip
_CUE_REACH = 6
"""Words before a dictated number within which its cue stands."""


def find_dictated(tokens: Tokens) -> Iterator[Finding]:
    """Numbers that nobody told, dictated as words behind a cue: "MRN forty-eight eleven twenty-two"."""
    places = sorted(at for word in tokens.places.keys() & _SAID for at in tokens.places[word])
    stop = -1
    for first in places if len(places) > 3 else ():
        if first < stop:
            continue
        stop = last = first + 1
        while stop < len(tokens.words) and _SAID_GAP.fullmatch(tokens.gap(stop - 1)):
            if tokens.low[stop] in _SAID or (tokens.low[stop].isdigit() and len(tokens.low[stop]) < 5):
                last = stop + 1
            elif tokens.low[stop] not in _SAID_BETWEEN:
                break
            stop += 1
        near = set(tokens.low[max(0, first - _CUE_REACH) : first])
        if sum(low in _SAID for low in tokens.low[first:last]) > 2 and near & (_NUMBER_CUE | _PHONE_CUE):
            kind = "ID" if near & _NUMBER_CUE else "PHONE"
            yield Finding(tokens.words[first][0], tokens.words[last - 1][1], kind)


def _heard(tokens: Tokens, index: int) -> str | None:
    """What a word of a dictated number stands for; None when it belongs to none."""
    word = tokens.words[index][2].lower()
    before = tokens.words[index - 1][2].lower() if index else ""
    following = tokens.words[index + 1][2].lower() if index + 1 < len(tokens.words) else ""
    if word in _TENS:
        return _TENS[word] if len(_SPOKEN.get(following, "ten")) == 1 else f"{_TENS[word]}0"
    if word in _SPOKEN:
        return _SPOKEN[word] * _TIMES.get(before, 1)
    return word if len(word) == 1 or word.isdigit() else "" if word in _JOINING else None


def _id_finding(
    text: str, tokens: Sequence[Token], offsets: Sequence[int], first: int, stop: int, is_phone: bool
) -> Finding | None:
    """The place of a squeezed match in the text, when what stands around and inside it lets it be the id."""
    left, right = bisect_right(offsets, first) - 1, bisect_right(offsets, stop - 1) - 1
    start = tokens[left][0] + first - offsets[left]
    end = tokens[right][0] + stop - offsets[right]
    is_long = stop - first >= _LONG_ID
    gap = _PHONE_GAP if is_phone else _LONG_GAP if is_long else _ID_GAP
    for index in range(left, right):
        between = text[tokens[index][1] : tokens[index + 1][0]]
        if stop - first < _PARTED_ID or not gap.fullmatch(between):
            return None
    while start > tokens[left][0] and text[start - 1] in "0Oo":
        start -= 1
    before, after = text[start - 1 : start], text[end : end + 1]
    if start > tokens[left][0] and before.isdigit() == text[start].isdigit() and (before.isdigit() or not is_long):
        return None
    if end < tokens[right][1] and after.isdigit() == text[end - 1].isdigit():
        return None
    if is_long:
        return Finding(start, end, "PHONE" if is_phone else "ID")
    cued = _CUE.search(text[max(0, start - 20) : start])
    if not cued and (stop - first < _MIN_ID or _looks_clinical(text, start, end)):
        return None
    return Finding(start, end, "ID")


def _looks_clinical(text: str, start: int, end: int) -> bool:
    """Whether a short number may be a measurement, a decimal or a year."""
    number = text[start:end]
    if not number.isdigit():
        return False
    if _UNIT.match(text, end) or re.search(r"\d[.,]$", text[max(0, start - 2) : start]):
        return True
    return len(number) == 4 and number[:2] in ("19", "20")
