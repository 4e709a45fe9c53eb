"""Telephone numbers that nobody told us of, in any country's way of writing.

Enters: a folded text cut into words. Leaves: findings. Refuses: what a unit follows, dates, numbers of images and
codes. The rules of ``lexicon/deid_rules.toml`` know shapes that are telephone numbers wherever they stand; here the
digits are counted, and where there are as many as a number has, a word beside them or their grouping decides. In
doubt it goes.

References
----------
ITU-T E.164 (at most 15 digits) and E.123 (notation); 7 digits are the shortest local number of North America.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from reports.deid.cues import cue_table, cues
from reports.deid.findings import Finding
from reports.deid.tokens import Tokens

_MARK = r"(?:[ \t]{0,2}[-./][ \t]{0,2}|[ \t]{1,2}|[ \t]?\n[ \t]{0,3}|-\n)"
_RUN = re.compile(
    rf"(?:(?<![\w.,/])|(?<=[A-Za-z]\.))(?<!\d-)(?<!\d[ -][x*])"
    rf"[+(]{{0,2}}\d{{1,11}}(?:[)]{{0,1}}{_MARK}?[(]?\d{{1,8}}[)]?){{0,6}}(?![\w])"
)
_EXTENSION = re.compile(
    r"[,;]?[ \t\n]{0,2}(?:x|extn?\.?|extension|durchwahl|poste|p\.|#|anexo|ramal|int\.?|app\.?)"
    r"[ \t.:]{0,2}\d{1,6}(?!\w)"
    r"|[,;][ \t]\d{1,6}#",
    re.IGNORECASE,
)
_UNIT = re.compile(
    r"[.,:/]\d|[ \t\n]{0,2}(?:mm|cm|m|ml|cc|hu|mg|mgy|kg|g|ms|s|sec|mas?|kvp?|%|x|degrees|images?|views?|years?"
    r"|days?|weeks?|months?|hours?|minutes?|cells|mhz|hz|lpm|bpm|mmhg|units?)\b",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"(?<!\d)(?:\d{1,2}[-/. ]{1,3}\d{1,2}[-/. ]{1,3}(?:19|20)\d\d|(?:19|20)\d\d[-/.]\d{1,2}[-/.]\d{1,2})(?!\d)"
)
_SHORT_DATE = re.compile(r"\d{1,2}([-/.])\d{1,2}\1\d\d(?!\d)")
_LOCAL = re.compile(r"[2-9]\d\d[-.]\d{4}|[2-9]\d\d \d{4}")
_VANITY = re.compile(
    r"(?<![\w.-])(?:\+?1[-. ])?(?:8(?:00|33|44|55|66|77|88)[-. ][A-Z0-9]{2,8}(?:-[A-Z0-9]{2,8}){0,2}"
    r"|\(?[2-9]\d\d\)?[-. ]{1,2}(?:\d{3}-[A-Z]{4}|[A-Z]{3}-[A-Z]{4}|[A-Z]{3}-\d{4}|[A-Z]{7}))(?![\w-])"
)
_ANY_VANITY = re.compile(r"\d\d\d[)]?[-. ]{1,2}[\d-]{0,30}[A-Z]")
_PAGER = re.compile(
    r"(?:pager|beeper|bleep|pgr|ext|extension|extn|extensions|x)s?\W{0,4}(?:no|number|nr|is)?\W{0,3}$", re.IGNORECASE
)
_INTERNAL = re.compile(r"\d{4,5}|\d{1,2}[- ]\d{4}")
_HOUSE = re.compile(r"[2-9]-(?!(?:19|20)\d\d)\d{4}")
"""A number of the house with the digit that stands for its exchange."""
_DESK = re.compile(
    r"\b(?:dect|spectralink|vocera|ascom|cisco|voip|vm|blp|hotline|(?:tie|direct|results?) line|reading room|dw"
    r"|app|apparat|poste|int|interno|ramal|dahili|anexo|toestel|wewn?|klapka|mellek|anknytning|internal|voicemail|mailbox"
    r"|klappe|kl|nst|nebenstelle|piepser|funk|bip|cercapersone|busca|interfono|linka|phs|local|loc|intercom|calling|puh"
    r"|gsm|hp|ward|room|suite|icu|ed|er|control|station|nurse"
    r"|(?:please )?(?:call|page)|dial)(?: (?:no|number|nr)\b)?[ \t).:,#]{1,3}$",
    re.IGNORECASE,
)
"""Before a number of the house, of four or five digits."""
_YEAR = re.compile(r"(?:19|20)\d\d")
_LISTED = re.compile(r"[ \t]{0,2}(?:[/,;&]|or|and)[ \t]{0,2}")
_SHORT_PAGER = re.compile(
    r"\b(?:pager|beeper|bleep|bleeper|blp|pgr|extn|piepser|busca|loc|local|intercom|cercapersone|bip)"
    r"(?: ?(?:no|number|nr))?[ \t:.#]{1,3}$",
    re.IGNORECASE,
)
_WORD_BEFORE = re.compile(r"([A-Za-z]+)([^A-Za-z\d]{0,6})$")
_MOST = 15
"""Digits of the longest number."""
_REACH = 40
"""Characters before a number in which its cue may stand."""


@dataclass(frozen=True)
class _Lists:
    cues: frozenset[str]
    letters: frozenset[str]
    behind: frozenset[str]
    never: frozenset[str]
    fillers: frozenset[str]


@cache
def _lists() -> _Lists:
    return _Lists(**{name: frozenset(text.split()) for name, text in cue_table()["phones"].items()})


def find_phones(tokens: Tokens) -> Iterator[Finding]:
    """Telephone, fax and pager numbers, with their extensions."""
    text, last = tokens.text, -1
    for match in _runs(text) if _may_hold(tokens) else ():
        is_next = last >= 0 and _LISTED.fullmatch(text, last, match.start()) and _is_listed(text, match)
        if is_next or _is_phone(text, match):
            last = match.end()
            more = _EXTENSION.match(text, match.end())
            yield Finding(match.start(), more.end() if more else match.end(), "PHONE")
    for match in _VANITY.finditer(text) if _ANY_VANITY.search(tokens.numerals) else ():
        if any(letter.isalpha() for letter in match[0]):
            yield Finding(match.start(), match.end(), "PHONE")


def _is_listed(text: str, match: re.Match[str]) -> bool:
    """Whether digits behind a telephone number and a mark may be another one."""
    n_digits = sum(map(str.isdigit, match[0]))
    return 7 <= n_digits <= _MOST and not _UNIT.match(text, match.end()) and not _DATE.search(match[0])


def _runs(text: str) -> Iterator[re.Match[str]]:
    """Runs of digits; where a slash stands in one too long for a number, its sides are two, and so are lines of a list."""  # noqa: E501
    for match in _RUN.finditer(text):
        if "/" in match[0] and sum(map(str.isdigit, match[0])) > _MOST:
            yield from _parts(text, match, _SIDE)
        elif "\n" in match[0] and _ITEM.match(text, match.start() + match[0].rindex("\n")):
            yield from _parts(text, match, _LINE)
        else:
            yield match


_SIDE = re.compile(r"[^/\s][^/]*")
_LINE = re.compile(r"\S[^\n]*")
_ITEM = re.compile(r"\n[ \t]{0,3}\d{1,2}(?:[.):][ \t]|[ \t]{1,2}[A-Za-z])")
"""The number of a list's item, or of a count: no part of a telephone number that was wrapped."""


def _parts(text: str, match: re.Match[str], part: re.Pattern[str]) -> Iterator[re.Match[str]]:
    at = [(match.start() + side.start(), match.start() + side.end()) for side in part.finditer(match[0])]
    yield from (found for start, end in at if (found := _RUN.match(text, start, end)))


def _may_hold(tokens: Tokens) -> bool:
    return any(sum(map(str.isdigit, line)) > 2 for line in tokens.numerals.split("\n"))


def _is_phone(text: str, match: re.Match[str]) -> bool:
    written = match[0]
    groups = re.findall(r"\d+", written)
    n_digits = sum(map(len, groups))
    has_unit = _UNIT.match(text, match.end()) is not None and not _EXTENSION.match(text, match.end())
    if n_digits < 3 or n_digits > _MOST or has_unit:
        return False
    before = text[max(0, match.start() - _REACH) : match.start()]
    if _INTERNAL.fullmatch(written) and _DESK.search(before) and not _YEAR.fullmatch(written):
        return True
    if _HOUSE.fullmatch(written) and re.search(r"[A-Za-z:(][ \t]{0,2}$", before):
        return _word_before(before) not in _lists().never
    if n_digits <= 7 and len(groups) == 1:
        return (_PAGER if n_digits > 3 else _SHORT_PAGER).search(before) is not None
    if n_digits < 7 or _DATE.search(written):
        return False
    near = _word_before(before)
    if near in _lists().never or all(len(group) == 4 and group[:2] in ("19", "20") for group in groups):
        return False
    has_cue = _is_cued(before, near) or _is_cued_behind(text, match.end())
    if _SHORT_DATE.search(written):
        return has_cue and len(groups) > 3 and n_digits > 8  # 01.23.45.67.89, 0475/48.11.22
    return has_cue or _is_shaped(before, written, groups)


def _is_shaped(before: str, written: str, groups: list[str]) -> bool:
    """Whether the grouping alone makes a telephone number: a local one, or 9 to 13 digits in few groups."""
    if _LOCAL.fullmatch(written):
        return " " not in written or before.endswith(("[", "("))
    if "\n" in written and not written.startswith(("+", "(", "0")):
        return False
    n_digits, lengths = sum(map(len, groups)), {len(group) for group in groups}
    is_mixed = 9 <= n_digits <= 12 and 4 <= len(groups) <= 5 and len(lengths) > 1 and min(lengths) > 1
    is_long = 9 <= n_digits <= 13 and 2 <= len(groups) <= 6 and max(map(len, groups)) > 3
    is_pairs = n_digits >= 9 and len(groups) > 3 and all(len(group) == 2 for group in groups[1:])
    has_plus = written.startswith(("+", "(+")) and n_digits > 7
    has_bracket = re.match(r"\(\d{2,5}\)", written) is not None and n_digits > 7
    return any((is_long, is_pairs, is_mixed, has_plus, has_bracket))


def _word_before(before: str) -> str:
    """The last word before a number that is no filler."""
    rest = before
    while found := _WORD_BEFORE.search(rest):
        word = found[1].lower()
        if word not in _lists().fillers:
            return word
        rest = rest[: found.start()]
    return ""


def _is_cued(before: str, near: str) -> bool:
    found = _WORD_BEFORE.search(before)
    if found and found[1].lower() in _lists().letters and ":" in found[2]:
        return True
    return near in _lists().cues or near in cues().roles or near in cues().credentials


def _is_cued_behind(text: str, end: int) -> bool:
    following = re.match(r"[ \t\n]{0,2}[(\[]?([A-Za-z]{1,9})(?![A-Za-z])", text[end : end + 16])
    if not following:
        return False
    word = following[1].lower()
    return word in _lists().behind and (len(word) > 1 or following[0].strip().startswith(("(", "[")))
