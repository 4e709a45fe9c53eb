"""Dates in every written form, shifted by a number of days and written back in the same form.

Enters: folded text, the shift, the dates known for the patient. Leaves: findings with their replacement. Refuses
to touch what only looks like a date: ``5/12 mm``, ``T12``, ``3-4``, blood pressures, image numbers.

A birth date is never shifted but hidden, since a shift of at most a year leaves the age.

Months and weekdays are words of ``lexicon/deid.toml``. Years alone stay, as 45 CFR 164.514(b)(2)(i)(C) allows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, lru_cache
from itertools import chain, permutations

from reports.deid.findings import Finding
from reports.deid.tokens import Tokens, matches_at
from reports.deid.words import words

_UNIT = r"(?!\d|[./-]\d| ?(?:mm|cm|ml|cc|hu|mg|kg|mmhg|%|x \d|degrees|images?|views?|strength)\b)"
_PIVOT = 50
"""Two-digit years below it are 20xx, as POSIX has at 69; reports about future years do not exist, old births do."""
_SURE = frozenset(["JAN", "FEB", "APR", "JUN", "JUL", "AUG", "NOV", "DEC"])
_CUED = re.compile(r"(?<![a-z])(?:on|of|since|dated|from|until)[ \t\n]$", re.IGNORECASE)
_REACH = 30
"""Characters that a written date takes at most before or after its month's name."""
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_YEAR = r"(?:19|20)\d\d"
_NO_MORE = r"(?!\d|[/-]\d(?!\d{0,3}[/.-]\d))"
"""No digit follows, nor a mark and a number, unless those begin another date: the end of a range."""
_ISO = re.compile(
    rf"(?:(?<![\d./-])|(?<=\d\d/))(?P<y>{_YEAR})(?P<s>[-/.])(?P<m>\d{{1,2}})(?P=s)(?P<d>\d{{1,2}}){_NO_MORE}"
)
_NUMERIC = re.compile(
    rf"(?:(?<![\w./-])|(?<=_)|(?<=[A-Za-z])(?=\d{{1,2}}/)|(?<=\d\d-)(?=\d{{1,2}}/)|(?<=\d\d/)(?=\d{{1,2}}-))"
    rf"(?P<a>\d{{1,2}})(?P<s>[-/.]|\. )(?P<b>\d{{1,2}})(?P=s)(?P<y>{_YEAR}){_NO_MORE}"
)
_SHORT_YEAR = re.compile(
    rf"(?:(?<![\w./-])|(?<=/\d\d-)(?=\d{{1,2}}/))(?:(?P<a>\d{{1,2}})(?P<s>/)(?P<b>\d{{1,2}})/|(?P<c>\d\d)(?P<t>[-.])(?P<e>\d\d)(?P=t))(?P<y>'?\d\d)"
    rf"(?:(?!\w){_UNIT}|(?=-\d{{1,2}}/\d{{1,2}}/\d\d)|(?=[A-Z]:))"
)
_SHORT_DASHED = re.compile(rf"(?<![\w./-])(?P<a>\d{{1,2}})(?P<s>-)(?P<b>\d{{1,2}})-(?P<y>\d\d)(?!\w|-){_UNIT}")
_NO_VERSION = r"(?<!version )(?<!ersion: )(?<!release )(?<!oftware )(?<! v )(?<! v\.)(?<!section )(?<!item )(?<!table )(?<!rev )(?<!rev\. )(?<!level )"  # noqa: E501
_DOTTED = re.compile(
    rf"(?<![\w./-]){_NO_VERSION}(?P<a>\d{{1,2}})(?P<s>\.)(?P<b>\d{{1,2}})\.(?P<y>\d\d)(?!\w|\.\d){_UNIT}", re.IGNORECASE
)
"""Day, month and two digits of the year: two points between three numbers are no measurement; versions are spared."""
_SPACED = re.compile(
    r"(?<![\w./-])(?P<a>\d{1,2})(?P<s>[ \t\n]{0,2}[/.-][ \t\n]{0,2})(?P<b>\d{1,2})(?P<u>[ \t\n]{0,2}[/.-][ \t\n]{0,2})"
    rf"(?P<y>{_YEAR}|(?<=/)\d\d|(?<=/[ \n])\d\d)(?!\d|[ \t]?[./-]\d){_UNIT}"
)
_APART = re.compile(
    rf"(?<![\w./-])(?:(?P<a>\d\d)(?P<s> )(?P<b>\d\d) (?P<y>{_YEAR})|(?P<z>{_YEAR}) (?P<m>\d\d) (?P<d>\d\d))(?![\w/-]|\.\d| \d(?!\d?:\d\d|\d{{3}} ?h)){_UNIT}"  # noqa: E501
)
_CJK = re.compile(rf"(?P<y>{_YEAR})年(?P<m>\d{{1,2}})月(?P<d>\d{{1,2}})(?=日)")
_DAY_RANGE = re.compile(
    rf"(?<![\w./-])(?:{_DAY}/{_DAY} ?- ?{_DAY}/{_DAY}/(?:{_YEAR}|\d\d)|{_DAY} ?- ?{_DAY}[./]{_DAY}[./](?:{_YEAR}|\d\d))(?![\w/-])"  # noqa: E501
)
"""Days of which only the last has its year."""
_NAMED_DAY = re.compile(
    rf"(?<![\w./-])(?!1/[234]|2/3|3/4)(?P<hide>(?P<m>0?[1-9]|1[0-2])(?P<s>/)(?P<d>{_DAY}))(?= (?:CT|MRI?|PET|exam|study|scan|film|x-?ray|radiograph|visit|admission|surgery)\b)",  # noqa: E501
    re.IGNORECASE,
)
_ROMAN_MONTHS = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")
_ROMAN = re.compile(
    rf"(?<![\w./-])(?P<d>{_DAY})(?P<s>\.? |[./-])(?P<m>X?(?:I{{1,3}}|I?V|VI{{1,3}}|IX)|X)(?P<t>\.? |[./-])(?P<y>{_YEAR}|(?<=[./-])\d\d)(?!\w|\.\d){_UNIT}"  # noqa: E501
)
_PACKED = re.compile(rf"(?<![^\W_])(?P<y>{_YEAR})(?P<m>0[1-9]|1[0-2])(?P<d>0[1-9]|[12]\d|3[01])(?=T\d{{4}}|(?![^\W_]))")
_MONTH_YEAR = re.compile(
    rf"(?<![\w/.-])(?:(?P<m>0?[1-9]|1[0-2])/|(?P<n>0[1-9]|1[0-2])(?P<s>[.-]))(?P<y>{_YEAR})(?![\d/-]|\.\d){_UNIT}"
)
_YEAR_MONTH = re.compile(rf"(?<![\w/.-])(?P<y>{_YEAR})(?P<s>[-])(?P<m>0[1-9]|1[0-2])(?![\w/-]|\.\d){_UNIT}")
_ANY_YEAR = re.compile(_YEAR)
_ANY_MONTH_YEAR = re.compile(rf"\d[/.-]{_YEAR}")
_ANY_SLASHED = re.compile(rf"\d/\d{{1,2}}/{_YEAR}")
_ANY_ISO = re.compile(rf"{_YEAR}([-/.])\d{{1,2}}\1\d")
_ANY_PACKED = re.compile(rf"{_YEAR}[01]\d[0-3]\d")
_ANY_NUMERIC = re.compile(rf"\d([-/.]|\. )\d{{1,2}}\1{_YEAR}")
_ANY_SLASH = re.compile(r"\d/\d")
_ANY_ROMAN = re.compile(r"\d(?:\.? |[./-])[IVX]{1,4}(?:\.? |[./-])\d\d")
_ANY_DASHED = re.compile(r"\d-\d{1,2}-\d\d")
_ANY_DOTTED = re.compile(r"\d\.\d{1,2}\.\d\d")
_ANY_SPACED = re.compile(r"\d[ \t\n]{0,2}[/.-][ \t\n]{0,2}\d{1,2}[ \t\n]{0,2}[/.-][ \t\n]{0,2}\d\d")
_ANY_SHORT = re.compile(r"\d(?:/\d{1,2}/'?\d\d|\d([-.])\d\d\1'?\d\d)")
_CUED_DAY = re.compile(
    rf"\b(?:on|dated|since|until|between|prior|LMP|EDD|EDC|DOS|compared (?:to|with)|scheduled for|exam(?:ination)? (?:of|from)|study (?:of|from)"  # noqa: E501
    rf"|(?:CT|MRI?|film|radiograph|scan) (?:of|from|dated)|performed|date:?|LMP:|EDD:|DOS:|vom)"
    rf"[ \t]{{1,2}}(?P<hide>(?P<m>0?[1-9]|1[0-2])(?P<s>/)(?P<d>{_DAY}))(?![\d/-]|\.\d){_UNIT}"
    rf"(?! ?(?:strength|of|power|leads?))",
    re.IGNORECASE,
)
_CUED_MONTH = re.compile(
    r"\b(?:in|since|until|from|through|of|by)(?: late| early)? "
    r"(?P<hide>(?P<m>0[1-9]|1[0-2]|[1-9](?=/[4-9]))(?P<s>/)(?P<y>\d\d))(?![\d/-]|\.\d)" + _UNIT,
    re.IGNORECASE,
)


_BIRTH_REACH = 60
"""Characters before a date in which a birth cue may stand."""


@dataclass(frozen=True)
class _Form:
    """A written date: its day (the 15th when none is written), and how to write another one the same way."""

    start: int
    end: int
    day: date
    write: Callable[[date], str]


def find_dates(
    tokens: Tokens, *, shift_days: int, known: Sequence[date] = (), births: Sequence[date] = ()
) -> list[Finding]:
    """Every date in a text, with its replacement.

    Parameters
    ----------
    shift_days : int
        Added to every date.
    known : sequence of date
        Dates of this patient: they decide between month-day and day-month, and give the year of dates without one.
    births : sequence of date
        Birth dates of this patient, hidden wherever they stand.
    """
    text, shift = tokens.text, timedelta(days=shift_days)
    both = [*known, *births]
    order = _order(tokens, both)
    year = known[-1].year if known else 2001
    windows, numbers = _month_windows(tokens), tokens.number_starts
    forms = chain(_forms(tokens, numbers, order, both, year), _worded(tokens, windows, year))
    found = [_shifted(form, shift, text, births) for form in forms]
    found += _spelled(tokens, windows)
    found += [
        Finding(match.start(), match.end(), "DATE")
        for match in (matches_at(_DAY_RANGE, text, numbers) if "/" in tokens.numerals else ())
    ]
    found += [*_known_apart(tokens, shift, known, births)]
    return found + _known_packed(text, shift, known) + _hidden_packed(text, births)


def _shifted(form: _Form, shift: timedelta, text: str, births: Sequence[date]) -> Finding:
    if form.day in births or _birth_before().search(text[max(0, form.start - _BIRTH_REACH) : form.start]):
        return Finding(form.start, form.end, "DATE")
    try:
        moved = form.day + shift
    except OverflowError:
        return Finding(form.start, form.end, "DATE")
    return _with_weekday(Finding(form.start, form.end, "DATE", form.write(moved)), form.day, moved, text)


@cache
def _birth_before() -> re.Pattern[str]:
    cues = "|".join(sorted(map(re.escape, words().birth_cues), key=len, reverse=True))
    return re.compile(
        rf"(?<![A-Za-z])(?:{cues})\.?(?: ?\(?[mdy]{{1,4}}[/.-][mdy]{{1,4}}[/.-][mdy]{{2,4}}\)?)?[\s:#=,.\-]{{0,6}}"
        r"(?:(?:is|was|on|am|el|dem|of|in)[\s:]{1,3}){0,2}(?:[A-Za-z]{3,10}\.?,? )?$",
        re.IGNORECASE,
    )


def _forms(tokens: Tokens, numbers: Sequence[int], order: str, known: Sequence[date], year: int) -> Iterator[_Form]:
    text = tokens.text
    has_year, has_slash = (pattern.search(tokens.numerals) is not None for pattern in (_ANY_YEAR, _ANY_SLASH))
    for match in matches_at(_ROMAN, text, numbers) if _ANY_ROMAN.search(text) else ():
        yield from _roman(match)
    if has_year:
        for match in matches_at(_APART, text, numbers):
            if match["z"] is None:
                yield from _ambiguous(match, order, known)
            elif day := _valid(int(match["z"]), int(match["m"]), int(match["d"])):
                yield _numbers(match, day, "Y M D", (2, 2))
        for match in _CJK.finditer(text) if not text.isascii() else ():
            if day := _valid(int(match["y"]), int(match["m"]), int(match["d"])):
                yield _numbers(match, day, "Y年M月D", (len(match["m"]), len(match["d"])))
        for match in matches_at(_YEAR_MONTH, text, numbers):
            yield _numbers(match, date(int(match["y"]), int(match["m"]), 15), "Y-M", (2, 2))
    for match in matches_at(_SHORT_DASHED, text, numbers) if _ANY_DASHED.search(tokens.numerals) else ():
        yield from _ambiguous(match, order, known)
    if _ANY_DOTTED.search(tokens.numerals):
        for match in matches_at(_DOTTED, text, numbers):
            yield from _ambiguous(match, order, known)
    if _ANY_SPACED.search(tokens.numerals):
        for match in matches_at(_SPACED, text, numbers):
            yield from _spaced(match, order, known)
    if has_year:
        for pattern, gate in ((_ISO, _ANY_ISO), (_PACKED, _ANY_PACKED)):
            for match in pattern.finditer(text) if gate.search(tokens.numerals) else ():
                if day := _valid(int(match["y"]), int(match["m"]), int(match["d"])):
                    mark = match.groupdict().get("s") or ""
                    yield _numbers(match, day, f"Y{mark}M{mark}D", (len(match["m"]), len(match["d"])))
        for match in _NUMERIC.finditer(text) if _ANY_NUMERIC.search(tokens.numerals) else ():
            yield from _ambiguous(match, order, known)
    if _ANY_SHORT.search(tokens.numerals):
        for match in _SHORT_YEAR.finditer(text):
            yield from _ambiguous(match, order, known)
    if has_slash or has_year:
        yield from _slashed(tokens, numbers, year)


def _roman(match: re.Match[str]) -> Iterator[_Form]:
    """3.IV.2020: the month in Roman numerals."""
    month = _ROMAN_MONTHS.index(match["m"]) + 1 if match["m"] in _ROMAN_MONTHS else 13
    day = _valid(_full_year(match["y"]), month, int(match["d"]))
    if day is None:
        return

    def write(moved: date) -> str:
        year = f"{moved.year:04d}"[-len(match["y"]) :]
        return f"{moved.day:0{len(match['d'])}d}{match['s']}{_ROMAN_MONTHS[moved.month - 1]}{match['t']}{year}"

    yield _Form(match.start(), match.end(), day, write)


def _spaced(match: re.Match[str], order: str, known: Sequence[date]) -> Iterator[_Form]:
    """3 / 4 / 2020: blanks or a line break around the marks."""
    marks = match["s"], match["u"]
    if marks[0].strip() != marks[1].strip() or not any(letter.isspace() for letter in "".join(marks)):
        return
    if marks[0].strip() == "-" and len(match["y"]) == 2:
        return
    yield from _ambiguous(match, order, known)


def _slashed(tokens: Tokens, numbers: Sequence[int], year: int) -> Iterator[_Form]:
    """Dates that lack their day or their year."""
    text = tokens.text
    for match in matches_at(_MONTH_YEAR, text, numbers) if _ANY_MONTH_YEAR.search(tokens.numerals) else ():
        month = match["m"] or match["n"]
        yield _numbers(match, date(int(match["y"]), int(month), 15), f"M{match['s'] or '/'}Y", (len(month), 2))
    slashed = [at for at in tokens.numbers if text.startswith("/", tokens.words[at][1])]
    cued = sorted({tokens.words[at - n][0] for at in slashed for n in (1, 2, 3) if at >= n})
    named = [tokens.words[at][0] for at in slashed]
    for match in chain(matches_at(_CUED_DAY, text, cued), matches_at(_NAMED_DAY, text, named)):
        is_cued = match["m"] != match["d"] or match[0][:2].lower() == "on"
        if is_cued and (day := _valid(year, int(match["m"]), int(match["d"]))):
            yield _numbers(match, day, "M/D", (len(match["m"]), len(match["d"])), group="hide")
    for match in matches_at(_CUED_MONTH, text, cued):
        if match["m"] != match["y"]:
            day = date(_full_year(match["y"]), int(match["m"]), 15)
            yield _numbers(match, day, "M/y", (len(match["m"]), 2), group="hide")


def _ambiguous(match: re.Match[str], order: str, known: Sequence[date]) -> Iterator[_Form]:
    found = match.groupdict()
    first, second, mark = found.get("a") or found["c"], found.get("b") or found["e"], found.get("s") or found["t"]
    year = _full_year(match["y"])
    readings = {"mdy": _valid(year, int(first), int(second)), "dmy": _valid(year, int(second), int(first))}
    order = "dmy" if "." in mark else order
    if readings[order] not in known:
        order = next((name for name, day in readings.items() if day and day in known), order)
    if readings[order] is None:
        order = "dmy" if order == "mdy" else "mdy"
    day = readings[order]
    last = {4: "Y", 3: "'y"}.get(len(match["y"]), "y")
    other = found.get("u") or mark
    form = f"M{mark}D{other}{last}" if order == "mdy" else f"D{mark}M{other}{last}"
    widths = (len(first), len(second)) if order == "mdy" else (len(second), len(first))
    if day:
        yield _numbers(match, day, form, widths)
    elif len(match["y"]) == 4:  # 31.02.2020 is meant as a date; its placeholder is all that can be written
        yield _Form(match.start(), match.end(), date(2000, 1, 1), lambda _moved: "[DATE]")


def _numbers(match: re.Match[str], day: date, form: str, widths: tuple[int, int], *, group: str | int = 0) -> _Form:
    """`form` has Y, y (two digits), M and D where the numbers stand; widths are those of month and day."""

    def write(moved: date) -> str:
        parts = {
            "Y": f"{moved.year:04d}",
            "y": f"{moved.year % 100:02d}",
            "M": f"{moved.month:0{widths[0]}d}",
            "D": f"{moved.day:0{widths[1]}d}",
        }
        return "".join(parts.get(letter, letter) for letter in form)

    return _Form(match.start(group), match.end(group), day, write)


@cache
def _month_word() -> re.Pattern[str]:
    """Words that begin as a month does."""
    starts = "|".join(sorted({name[:3] for name in words().month_numbers}))
    return re.compile(rf"(?<![A-Za-z])(?:{starts})[A-Za-z]{{0,9}}", re.IGNORECASE)


@lru_cache(maxsize=1 << 16)
def _has_month(word: str) -> bool:
    """Whether a month's name is in a word: "mar", "03mar2020"."""
    return any(match[0].lower() in words().month_numbers for match in _month_word().finditer(word))


def _month_windows(tokens: Tokens) -> list[tuple[int, int]]:
    """Ranges around month names, joined where they meet; the worded patterns are only tried there."""
    windows: list[tuple[int, int]] = []
    for index in sorted(index for word, places in tokens.places.items() if _has_month(word) for index in places):
        start, end = tokens.words[index][:2]
        start, end = max(0, start - _REACH), min(len(tokens.text), end + _REACH)
        if windows and start <= windows[-1][1]:
            windows[-1] = (windows[-1][0], end)
        else:
            windows.append((start, end))
    return windows


def _month_names() -> str:
    return "|".join(sorted(words().month_numbers, key=lambda name: (-len(name), name)))


@cache
def _worded_patterns() -> tuple[re.Pattern[str], ...]:
    month = rf"(?P<month>(?:{_month_names()}))(?P<dot>\.?)"
    year = rf"(?P<y>{_YEAR}|(?<=[\s,])'\d\d|(?<=[-'/A-Za-z])\d\d(?!\d|[./-]\d| ?(?:mm|cm|ml|%|x )))"
    short = rf"(?P<y>{_YEAR}|'?\d\d(?!\d|[./-]\d)(?! ?(?:x )){_UNIT})"  # 19 MAR 24
    suffix = r"(?P<suffix>st|nd|rd|th|\.)?"
    gap = r"(?:[ \t\n]{0,2}-?[ \t\n]{0,2}|/| de | of )"
    return (
        # 3 March 2020, 03-MAR-2020, 3. Maerz 2020, 3 de marzo de 2020, 03MAR2020
        re.compile(
            rf"(?<![\w.])(?P<d>{_DAY}){suffix}{gap}{month}(?:,? ?-?/? ?| de | del ){short}(?!\w)", re.IGNORECASE
        ),
        # March 3rd, 2020; March the 3rd, 2020; Mar-03-2020; MAR032020
        re.compile(
            rf"(?<!\w){month}(?:[ \t\n./-]{{1,2}}(?:the )?(?P<d>{_DAY}){suffix}(?:,[ \t\n]?|[ \t\n./-],?| of )|(?P<e>\d\d)(?={_YEAR})){year}(?!\w)",  # noqa: E501
            re.IGNORECASE,
        ),
        # 2020 March 3, 2020-Mar-03, 2020Mar03
        re.compile(rf"(?<!\w)(?P<y>{_YEAR})[ \t./-]?{month}[ \t./-]?(?P<d>{_DAY})(?!\w)", re.IGNORECASE),
        # March 2020, March of 2020
        re.compile(rf"(?<!\w){month},?(?:[ \t\n/-]| of | de | del )(?P<y>{_YEAR}|(?<=\s)'\d\d)(?!\w)", re.IGNORECASE),
        # March 3rd
        re.compile(rf"(?<!\w){month}(?:[ \t\n](?:the )?|-)(?P<d>{_DAY}){suffix}(?![\w])(?!-\d)", re.IGNORECASE),
        # 3 March
        re.compile(rf"(?<![\w./-])(?P<d>{_DAY}){suffix}(?:[ \t\n-]| de | of ){month}(?!\w)", re.IGNORECASE),
    )


def _worded(tokens: Tokens, windows: Sequence[tuple[int, int]], year: int) -> Iterator[_Form]:
    text = tokens.text
    taken = bytearray(len(text))  # an earlier pattern has this character: no search among matches, which may be many
    for pattern in _worded_patterns() if windows else ():
        for match in chain.from_iterable(pattern.finditer(text, *window) for window in windows):
            if any(taken[match.start() : match.end()]):
                continue
            found = match.groupdict()
            yearless = not found.get("y")
            if yearless and not _is_month_word(match, text):
                continue
            number = words().month_numbers[match["month"].lower()]
            day = _valid(
                year if yearless else _full_year(found["y"]), number, int(found.get("d") or found.get("e") or 15)
            )
            if day:
                taken[match.start() : match.end()] = b"\1" * (match.end() - match.start())
                yield _Form(match.start(), match.end(), day, _writer(match, text))


@cache
def _spelled_patterns() -> tuple[re.Pattern[str], ...]:
    """Days in words; what follows as a year belongs to them."""
    ones = "first|second|third|fourth|fifth|sixth|seventh|eighth|ninth"
    teens = "tenth|eleventh|twelfth|thirteenth|fourteenth|fifteenth|sixteenth|seventeenth|eighteenth|nineteenth"
    day = rf"(?:(?:twenty|thirty)[- ](?:{ones})|{teens}|twentieth|thirtieth|{ones})"
    number = (
        "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|"
        "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|and|oh|o"
    )
    year = rf"(?:,?[ \t\n]{{1,2}}(?:{_YEAR}|(?:two thousand|nineteen|twenty|eighteen)(?:[ \t\n-]{{1,2}}(?:{number})){{0,4}}))?"  # noqa: E501
    month = rf"(?:{_month_names()})\.?"
    until = rf"{_DAY}(?:st|nd|rd|th)?(?: ?- ?| to | and ){_DAY}(?:st|nd|rd|th)?"
    numbers = rf"(?:,? ?(?:{_YEAR}|'\d\d))?"
    return (
        re.compile(rf"(?<!\w){month} {until}{numbers}(?![\w./-]\d|\w)", re.IGNORECASE),
        re.compile(rf"(?<![\w./-]){until} {month}{numbers}(?!\w)", re.IGNORECASE),
        re.compile(rf"(?<!\w){month},?[ \t\n](?:the )?{day}{year}(?!\w)", re.IGNORECASE),
        re.compile(rf"(?<!\w){day}(?: day)?(?: of)?[ \t\n]{month}{year}(?!\w)", re.IGNORECASE),
    )


def _spelled(tokens: Tokens, windows: Sequence[tuple[int, int]]) -> list[Finding]:
    """Dates with the day in words and ranges of days, hidden: May thirty-first, two thousand twenty-four; May 3-5."""
    text = tokens.text
    found = []
    for pattern in _spelled_patterns() if windows else ():
        for start, end in windows:
            for match in pattern.finditer(text, start, min(len(text), end + _REACH)):
                if not match[0].lower().startswith(("may second", "second may", "march second")):
                    found.append(Finding(match.start(), match.end(), "DATE"))
    return found


def _is_month_word(match: re.Match[str], text: str) -> bool:
    """Whether a month without a year is one: ``may 3`` and ``MAR 3`` are not, and nothing that a unit follows."""
    word = match["month"]
    if re.match(
        r"[ ]?(?:mm|cm|ml|cc|hu|%|x|mg|days?|weeks?|months?|years?)\b|\.\d",
        text[match.end() : match.end() + 8],
        re.IGNORECASE,
    ):
        return False
    if word.islower():
        return len(word) > 3 and (word not in ("march", "may") or match.start("d") < match.start("month"))
    return (
        word[1:].islower()
        or len(word) > 3
        or word in _SURE
        or _CUED.search(text[max(0, match.start() - 8) : match.start()]) is not None
    )


def _writer(match: re.Match[str], text: str) -> Callable[[date], str]:
    """Writes another date in the words of this match: each part is replaced in place, from the last to the first."""
    word = match["month"]
    number = words().month_numbers[word.lower()]
    table = next((names for names in words().months if names[number - 1] == word.lower()), words().months[0])
    if word.lower() == "may" and "-" in match[0]:
        table = next(names for names in words().months if names[:2] == ("jan", "feb"))

    def write(moved: date) -> str:
        parts = {"month": _cased(table[moved.month - 1], word)}
        found = match.groupdict()
        if found.get("d"):
            parts["d"] = f"{moved.day:0{len(found['d'])}d}" if found["d"].startswith("0") else str(moved.day)
            if len(found["d"]) == 2 and re.fullmatch(r"\d\d[-/]?[A-Za-z]{3}[-/]?\d{2,4}", match[0]):
                parts["d"] = f"{moved.day:02d}"
        if found.get("e"):
            parts["e"] = f"{moved.day:02d}"
        if found.get("suffix") and found["suffix"] != ".":
            ending = {1: "st", 2: "nd", 3: "rd"}.get(moved.day % 10 if moved.day not in (11, 12, 13) else 0, "th")
            parts["suffix"] = ending
        if found.get("y"):
            apostrophe = found["y"].startswith("'")
            parts["y"] = f"'{moved.year % 100:02d}" if apostrophe else f"{moved.year:04d}"[-len(found["y"]) :]
        return _put(match, parts)

    return write


def _put(match: re.Match[str], parts: dict[str, str]) -> str:
    written, offset = match[0], match.start()
    for name in sorted(parts, key=match.start, reverse=True):
        start, end = match.start(name) - offset, match.end(name) - offset
        written = written[:start] + parts[name] + written[end:]
    return written


def _cased(word: str, model: str) -> str:
    if model.isupper():
        return word.upper()
    return word if model.islower() else word.capitalize()


def _with_weekday(finding: Finding, day: date, moved: date, text: str) -> Finding:
    """The finding together with the weekday before it, when that is the date's own."""
    before = text[max(0, finding.start - 14) : finding.start]
    match = re.search(r"\b([A-Za-z]{3,10})\.?(,? ?)$", before)
    if not match or finding.replacement is None:
        return finding
    for names in words().weekdays:
        if names[day.weekday()] == match[1].lower():
            written = _cased(names[moved.weekday()], match[1]) + before[match.end(1) :]
            return Finding(
                finding.end - (finding.end - finding.start) - (len(before) - match.start(1)),
                finding.end,
                "DATE",
                written + finding.replacement,
            )
    return finding


def _hidden_packed(text: str, births: Sequence[date]) -> list[Finding]:
    """Birth dates as digits only."""
    written = {
        day.strftime(form) for day in births for form in ("%d%m%Y", "%m%d%Y", "%Y%m%d", "%d%m%y", "%m%d%y", "%y%m%d")
    }
    return [
        Finding(match.start(), match.end(), "DATE")
        for digits in sorted(written)
        if digits in text
        for match in re.finditer(rf"(?<![\w.]){digits}(?![\w]|\.\d)", text)
    ]


_MARKS = re.compile(r"[^\w\n]{1,3}|[ \t]{0,2}[^\w\s]?[ \t]{0,2}\n[ \t]{0,4}|_{1,2}")
_SHORT_MARKS = re.compile(r" ?[-/._:'|\\] ?'?|\. ?")
_ORDERS = tuple(permutations(range(3)))


@lru_cache(maxsize=1 << 10)
def _parts(day: date) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """Year, month and day as they are written, in lower case."""
    names = {name for name, number in words().month_numbers.items() if number == day.month}
    days = {f"{day.day}{ending}" for ending in ("", "st", "nd", "rd", "th")}
    return (
        frozenset([f"{day.year:04d}", f"{day.year % 100:02d}"]),
        frozenset([str(day.month), f"{day.month:02d}", *names]),
        frozenset([f"{day.day:02d}", *days]),
    )


def _known_apart(tokens: Tokens, shift: timedelta, known: Sequence[date], births: Sequence[date]) -> Iterator[Finding]:
    """Known dates whose day, month and year stand in a row, whatever their order and marks: 03|04|2020, 3.4 2020."""
    for day in {*known, *births}:
        parts = _parts(day)
        if any(part.isdisjoint(tokens.places) for part in parts):
            continue
        for first in sorted(at for part in parts for word in part for at in tokens.places.get(word, ())):
            row = tokens.low[first : first + 3]
            order = next((one for one in _ORDERS if all(w in parts[n] for w, n in zip(row, one, strict=False))), None)
            if len(row) < 3 or order is None or not _is_row(tokens, first, row[order.index(0)]):
                continue
            start, end = tokens.words[first][0], tokens.words[first + 2][1]
            if day in births or not all(map(str.isdigit, row)):
                yield Finding(start, end, "DATE")
                continue
            moved = day + shift
            numbers = (moved.year, moved.month, moved.day)
            new = [
                f"{numbers[n]:0{len(word)}d}"[-max(len(word), 2) :] if not n else f"{numbers[n]:0{len(word)}d}"
                for word, n in zip(row, order, strict=True)
            ]
            yield Finding(start, end, "DATE", new[0] + tokens.gap(first) + new[1] + tokens.gap(first + 1) + new[2])


def _is_row(tokens: Tokens, first: int, year: str) -> bool:
    """Whether only marks part three words; those of a short year are marks of dates, those of two dates differ."""
    gaps, marks = (tokens.gap(first), tokens.gap(first + 1)), _MARKS if len(year) == 4 else _SHORT_MARKS
    start, end = tokens.words[first][0], tokens.words[first + 2][1]
    near = tokens.text[max(0, start - 2) : start], tokens.text[end : end + 2]
    is_cut = re.fullmatch(r"\d[-/.]", near[0]) or re.fullmatch(r"[-/.]\d", near[1])
    return all(map(marks.fullmatch, gaps)) and (gaps[0].strip() == gaps[1].strip() or not is_cut)


def _known_packed(text: str, shift: timedelta, known: Sequence[date]) -> list[Finding]:
    """Known dates as digits only: DDMMYYYY and MMDDYYYY, which nothing but knowing them tells from a number."""
    found = []
    for day in known:
        for form in ("%d%m%Y", "%m%d%Y", "%d%m%y", "%m%d%y", "%y%m%d"):
            written = day.strftime(form)
            for match in re.finditer(rf"(?<![\w.]){written}(?![\w]|\.\d)", text) if written in text else ():
                found.append(Finding(match.start(), match.end(), "DATE", (day + shift).strftime(form)))
    return found


def _order(tokens: Tokens, known: Sequence[date]) -> str:
    """mdy or dmy, by the dates in the text that can only be read one way; month first when none tells."""
    votes = {"mdy": 0, "dmy": 0}
    for match in _NUMERIC.finditer(tokens.text) if _ANY_SLASHED.search(tokens.numerals) else ():
        first, second = int(match["a"]), int(match["b"])
        if match["s"] != "/" or (first > 12) == (second > 12):
            continue
        votes["dmy" if first > 12 else "mdy"] += 1
    return "dmy" if votes["dmy"] > votes["mdy"] else "mdy"


def _full_year(written: str) -> int:
    year = int(written.lstrip("'"))
    return year if len(written) == 4 else year + (2000 if year < _PIVOT else 1900)


def _valid(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
