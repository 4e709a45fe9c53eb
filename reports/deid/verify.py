"""Whether a known identifier is still in a text: the second pair of eyes.

Enters: a de-identified text, the identifiers as values. Leaves: the kinds that leaked. Refuses to share code with
the layers it checks: it squeezes, splits and compares strings, so that a bug there is not repeated here. Only the
lists of words are common to both, since what may stay is one decision.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from datetime import date, datetime
from functools import lru_cache
from itertools import pairwise

from reports.deid.cues import is_word
from reports.deid.words import words

_MIN_ID = 5
_FORMS = ("%Y%m%d", "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y")
_WORDED = ("%B %d, %Y", "%b %d, %Y", "%d %B %Y", "%d %b %Y", "%d-%b-%Y", "%B %d %Y", "%d%b%Y")
_TITLES = ("mr", "mrs", "ms", "dr", "miss")


def leaks(text: str, identifiers: Iterable[str]) -> tuple[str, ...]:
    """Kinds of known identifiers that are still in `text`, sorted; empty when it is clean.

    Kinds are name, id and date. A name that is also an ordinary word counts only beside a title or another part
    of the name; a longer one also with one letter wrong, lost, doubled or swapped.
    A date counts in any usual form: shift dates backwards, so that no shifted date meets a known one.
    """
    plain = _plain(_repaired(text))
    parts = _without_eponyms(_split(plain))
    unusual = {part for part in parts if len(part) >= _NEAR_LENGTH - 1 and part.isalpha() and not is_word(part)}
    tight, found = _squeeze(plain).replace("|", ""), set()
    for identifier in identifiers:
        value = _plain(identifier.strip())
        day = _date(value)
        if day and _has_date(plain, day):
            found.add("date")
        elif not day and any(letter.isdigit() for letter in value):
            found |= {"id"} if _has_any_id(plain, tight, value) or _has_street(parts, value) else set()
        elif not day and _has_name(parts, unusual, value):
            found.add("name")
    return tuple(sorted(found))


_SEPARATORS = "-./_ "
_INITIALS = "bcdefghjklmnopqrstuvwxyz"
_NEAR_LENGTH = 5
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii")
_DIRECTIONS = ("n", "s", "e", "w", "ne", "nw", "se", "sw", "north", "south", "east", "west", "rue", "via", "calle")
_ASCII_WORDS = str.maketrans({chr(n): " " for n in range(128) if not chr(n).isalnum()})
_ASCII_SQUEEZED = str.maketrans(
    {chr(n): "" if chr(n) in _SEPARATORS else "|" for n in range(128) if not chr(n).isalnum()}
)


def _repaired(text: str) -> str:
    """`text` with its words that are UTF-8 read as Windows-1252 behind it as they were meant."""
    if text.isascii():
        return text
    meant = []
    for word in text.split():
        for encoding in () if word.isascii() else ("cp1252", "latin-1"):
            try:
                meant.append(word.encode(encoding).decode("utf-8"))
            except UnicodeError:
                continue
    return "\n".join([text, *meant])


def _plain(text: str) -> str:
    if text.isascii():  # holds no mark and no format character
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text)
    kept = (letter for letter in decomposed if unicodedata.category(letter) not in ("Mn", "Cf"))
    return "".join(kept).lower()


def _split(plain: str) -> list[str]:
    if plain.isascii():
        return plain.translate(_ASCII_WORDS).split()
    return "".join(letter if letter.isalnum() else " " for letter in plain).split()


def _without_eponyms(parts: list[str]) -> list[str]:
    """Words with those of disease names struck out: "baker s cyst", "hill sachs"."""
    kept = list(parts)
    for index in [index for index, part in enumerate(parts) if part in words().eponyms]:
        nexts = parts[index + 1 : index + 3]
        nexts = nexts[1:] if nexts[:1] == ["s"] else nexts
        if nexts and nexts[0] in words().eponyms[parts[index]]:
            kept[index] = "-"
            if nexts[0] in words().eponyms:
                kept[parts.index(nexts[0], index)] = "-"
    return kept


def _squeeze(plain: str) -> str:
    """Letters and digits, one bar for everything that separates more than an id's own separators do."""
    if plain.isascii():
        return plain.translate(_ASCII_SQUEEZED)
    kept = (letter if letter.isalnum() else "" if letter in _SEPARATORS else "|" for letter in plain)
    return "".join(kept)


def _has_any_id(plain: str, tight: str, value: str) -> bool:
    """Whether an id stands in the text, on one line or broken over two."""
    if _squeeze(value).replace("|", "").lstrip("0") not in tight:
        return False
    unwrapped = plain.replace("\n", " ")
    return _has_id(plain, _squeeze(plain), value) or _has_id(unwrapped, _squeeze(unwrapped), value)


def _has_id(plain: str, squeezed: str, value: str) -> bool:
    whole = _squeeze(value).replace("|", "")
    needle = whole.lstrip("0")
    if len(needle) < _MIN_ID < len(whole):
        return f" {whole} " in f" {' '.join(_split(plain))} "
    if len(needle) < _MIN_ID:
        return len(needle) >= 4 and not needle.isdigit() and needle in _split(plain)
    start = squeezed.find(needle)
    while start >= 0:
        before, after = squeezed[:start].rstrip("0")[-1:], squeezed[start + len(needle) :][:1]
        if not (before.isdigit() and needle[0].isdigit()) and not (after.isdigit() and needle[-1].isdigit()):
            return _stands_alone(plain, needle)
        start = squeezed.find(needle, start + 1)
    return False


def _stands_alone(plain: str, needle: str) -> bool:
    """Whether the characters of `needle` follow each other in the text with at most one separator between two."""
    start = plain.find(needle[0])
    while start >= 0:
        position, matched = start, 0
        while position < len(plain) and matched < len(needle):
            if plain[position] == needle[matched]:
                matched += 1
            elif not (plain[position] in _SEPARATORS and plain[max(0, position - 2) : position].rstrip(_SEPARATORS)):
                break
            position += 1
        previous = plain[max(0, start - 1) : start]
        following = plain[position : position + 1]
        clean = not (previous.isdigit() and previous != "0" and needle[0].isdigit()) and not (
            following.isdigit() and needle[-1].isdigit()
        )
        if matched == len(needle) and clean:
            return True
        start = plain.find(needle[0], start + 1)
    return False


def _has_name(parts: list[str], unusual: set[str], value: str) -> bool:
    names = [part for part in _split(value) if len(part) > 1 and part not in words().not_parts]
    plain = {name for name in names if len(name) > 2 and name not in words().ordinary}
    plain -= words().prefixes
    if not plain.isdisjoint(parts):
        return True
    long = [name for name in plain if len(name) >= _NEAR_LENGTH and name.isalpha()]
    if any(_is_slip(part, name) for part in unusual for name in long):
        return True
    weak = [name for name in names if name not in plain and name not in words().prefixes]
    pairs = _pairs(parts) if not set(weak).isdisjoint(parts) else set()
    together = any((one, other) in pairs for one in weak for other in names if one != other)
    return (len(names) > 1 and together) or any((title, name) in pairs for title in _TITLES for name in weak)


def _pairs(parts: list[str]) -> set[tuple[str, str]]:
    """Words side by side, or with one letter between that is no word: "mark t brown"."""
    across = zip(parts, parts[1:], parts[2:], strict=False)
    return {
        *pairwise(parts),
        *((one, other) for one, letter, other in across if len(letter) == 1 and letter in _INITIALS),
    }


def _is_slip(part: str, name: str) -> bool:
    """Whether one letter wrong, lost, doubled or swapped with the next makes `part` of `name`."""
    if abs(len(part) - len(name)) > 1 or len(part) < _NEAR_LENGTH - 1 or not part.isalpha():
        return False
    start = 0
    while start < min(len(part), len(name)) and part[start] == name[start]:
        start += 1
    one, other = part[start:], name[start:]
    swapped = one[1:2] + one[:1] + one[2:] == other
    return one[1:] == other[1:] or one[1:] == other or one == other[1:] or swapped


def _has_street(parts: list[str], value: str) -> bool:
    """Whether the number and the first word of a street stand side by side."""
    street = _split(value.partition(",")[0])
    if (
        len(street) < 3
        or not street[0].isdigit()
        or not street[1].isalpha()
        or len(street[1]) < 3
        or street[1] in _DIRECTIONS
    ):
        return False
    return any(parts[index] == street[0] and parts[index + 1] == street[1] for index in range(len(parts) - 1))


@lru_cache(maxsize=4096)
def _date(value: str) -> date | None:
    for form in (*_FORMS[:4], "%Y-%m-%dt%h:%M:%S"):
        try:
            return datetime.strptime(value[:10] if "-" in form else value, form).date()
        except ValueError:
            continue
    return None


def _has_date(plain: str, day: date) -> bool:
    if f"{day.year}" not in plain and f"{day.year % 100:02d}" not in plain:
        return False
    close = plain
    for mark in "/.-":
        for blank in (" ", "\n"):
            close = close.replace(f"{blank}{mark}", mark).replace(f"{mark}{blank}", mark)
    return any(_bounded(text, form) for text in {plain, close} for form in _written(day))


@lru_cache(maxsize=4096)
def _written(day: date) -> frozenset[str]:
    written = {day.strftime(form).lower() for form in (*_FORMS, *_WORDED)}
    written |= {form.replace("/0", "/").lstrip("0") for form in written if "/" in form and not form.startswith("20")}
    roman = _ROMAN[day.month - 1]
    written |= {f"{day.day}{mark}{roman}{mark}{day.year}" for mark in ".-/ "} | {
        f"{day.day}.{day.month}.{day.year % 100:02d}"
    }
    return frozenset(
        written | {day.strftime("%d.%m.%y"), day.strftime("%d-%b-%y").lower(), day.strftime("%d%b%y").lower()}
    )


def _bounded(plain: str, form: str) -> bool:
    start = plain.find(form)
    while start >= 0:
        if not plain[max(0, start - 1) : start].isdigit() and not plain[start + len(form) :][:1].isdigit():
            return True
        start = plain.find(form, start + 1)
    return False
