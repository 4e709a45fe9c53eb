"""Blind test generator of identifiers in radiology reports (standard library only).

It was written without sight of the de-identification program that it tests.  All people, numbers and
places are invented (telephone numbers use the reserved 555-01xx range, mail uses example domains).

    draw_patient(rng)      an invented patient, as a DICOM header would hold it
    known_variants(p, rng) identifiers of that patient as people write them in reports
    unseen_sentences(rng)  identifiers that no header told, placed where reports hold them
    clinical_tokens()      clinical sentences that must come through unchanged
    leaked(planted, out)   the pieces of a planted identifier that are still in an output text

One text may hold several identifiers; it is then yielded once per kind, each time with the pieces of that
kind.  Every piece stands in its text exactly as given.  `leaked` looks for whole words, ignores case and
line breaks; a plain case-insensitive substring test also works, as short or ordinary words are never pieces.
The word pools are in benchmarks.reports_unseen_words.
"""

from __future__ import annotations

import argparse
import re
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from random import Random

from benchmarks.reports_unseen_words import (
    ACC_CONTEXTS,
    BIRTH_CONTEXTS,
    CLINICAL,
    COMMON,
    DATE_CONTEXTS,
    DOCTOR_CONTEXTS,
    DOCTOR_LABELS,
    FOREIGN,
    FOREIGN_ADDRESSES,
    HOSPITALS,
    ID_CONTEXTS,
    LABEL_CONTEXTS,
    MONTHS,
    NAME_CONTEXTS,
    NAME_ROWS,
    NICK,
    NUMBERS,
    ONES,
    ORDINALS,
    OWNER_CONTEXTS,
    STREETS,
    TEMPLATES,
    TENS,
    TOWNS_US,
)


@dataclass(frozen=True)
class Person:
    """A person's true name; the given and family names may hold several words."""

    given: str
    family: str
    middle: str = ""
    suffix: str = ""
    sex: str = "F"


@dataclass(frozen=True)
class Patient:
    """What the DICOM header or a table tells about one patient (names as PN, dates as DA), and the true people."""

    name: str
    birth_date: str
    sex: str
    patient_id: str
    accession: str
    telephone: str
    address: str  # parts separated by ", ": street, [unit,] town and postal code
    mail: str
    referring: str
    performing: str
    study_date: str
    people: tuple[Person, Person, Person]  # patient, referrer, performer: header names may lack their diacritics


@dataclass(frozen=True)
class Planted:
    """An identifier inside a text; it leaked if any piece is still in the output.  `how` names the variant."""

    text: str
    kind: str
    pieces: tuple[str, ...]
    how: str = ""


Filled = tuple[str, str, list[str]]  # what a slot writes, its kind, its pieces
PlantedIter = Iterator[Planted]
TITLE = r"(?:mr|mister|mrs|ms|miss|drs?|doctor|prof|professor|pt)\b\.?\s*"
AFTER = r"(?:['’]s|\^+Dr\.?|,?\s+(?:M\.?D\.?|D\.?O\.?|MBBS|FRCR|Ph\.?D\.?|PA-C|RN|F\.?A\.?C\.?R\.?|Jr\.?|Sr\.?|I{2,3}|IV)\b\.?)+$"


def _rows() -> list[tuple[list[str], list[str], list[str]]]:
    cells = [
        [[w.replace("_", " ") for w in cell.split()] for cell in row.split("|")]
        for row in NAME_ROWS.strip().split("\n")
    ]
    return [(c[0], c[1], c[2]) for c in cells]


def _bar(block: str) -> list[str]:
    return [" ".join(part.split()) for part in block.split("|") if part.strip()]


def clinical_tokens() -> list[str]:
    """Clinical sentences without any identifier: all of them must come through unchanged."""
    return _bar(CLINICAL)


def fold(text: str, german: bool = False) -> str:
    """The text in plain ASCII letters; german writes ae, oe, ue for umlauts."""
    pairs = {
        "ß": "ss",
        "ø": "o",
        "Ø": "O",
        "ł": "l",
        "Ł": "L",
        "đ": "d",
        "Đ": "D",
        "ı": "i",
        "Þ": "Th",
        "þ": "th",
        "ð": "d",
        "ʻ": "'",
        "’": "'",
    }
    if german:
        pairs |= {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"}
    for old, new in pairs.items():
        text = text.replace(old, new)
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


@cache
def _norm(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


ROWS = _rows()
HOSPITAL_LIST, STREET_LIST, TOWN_LIST = _bar(HOSPITALS), _bar(STREETS), [t.split(",") for t in _bar(TOWNS_US)]
TEMPLATE_LIST = _bar(TEMPLATES)
CORPUS = _norm(
    " ".join(
        [
            *clinical_tokens(),
            COMMON,
            NAME_CONTEXTS,
            LABEL_CONTEXTS,
            OWNER_CONTEXTS,
            DOCTOR_CONTEXTS,
            ID_CONTEXTS,
            ACC_CONTEXTS,
            DATE_CONTEXTS,
            *(re.sub(r"\{\w+\}", "|", t) for t in TEMPLATE_LIST),
        ]
    )
)
WORDS = {_norm(w) for pool in ROWS[-1] for w in pool}


def leaked(planted: Planted, output: str) -> list[str]:
    """The pieces that are still in the output as whole words or numbers, ignoring case, line breaks and Unicode composition."""
    out, edges = _norm(output), {True: r"\d", False: r"[^\W\d_]"}
    found = []
    for piece in planted.pieces:
        p = _norm(piece)
        if re.search(rf"(?<!{edges[p[0].isdigit()]}){re.escape(p)}(?!{edges[p[-1].isdigit()]})", out):
            found.append(piece)
    return found


@cache
def _solo(word: str) -> bool:
    """Whether a name is rare enough that finding it by itself means a leak."""
    return len(word) >= 4 and _norm(word) not in CORPUS and _norm(word) not in WORDS


def _name_pieces(written: str) -> list[str]:
    """The whole name as written, without title and degrees if two words remain, and each of its unambiguous words."""
    plain = unicodedata.normalize("NFC", written)
    bare = re.sub(AFTER, "", re.sub(rf"(?i)^(?:{TITLE})+(?=\S)", "", plain)).rstrip(",")
    words = re.findall(r"[^\W\d_]+(?:['’ʻ‐-][^\W\d_]+)*", bare)
    pieces = [bare if len(words) > 1 or _solo(bare) else re.sub(r"['’]s$", "", plain), *(w for w in words if _solo(w))]
    return [unicodedata.normalize("NFD", p) for p in pieces] if written != plain else pieces


def _id_pieces(written: str) -> list[str]:
    """An id or number as written, its long digit runs, and its second half if that is long enough to be telling."""
    halves = [m[0] for m in re.finditer(r"(?<=[ .\-/])\d[\d .\-/]*$", written) if sum(c.isdigit() for c in m[0]) >= 6]
    return [written, *re.findall(r"\d{6,}", written), *halves[:1]]


def _plant(text: str, kind: str, pieces: Iterable[str], how: str = "") -> PlantedIter:
    """One planted identifier, its pieces exactly as they stand in the text; nothing if no piece is telling."""
    found: dict[str, None] = {}
    for piece in pieces:
        match = re.search(r"\s+".join(re.escape(part) for part in piece.split()), text, re.IGNORECASE)
        assert match, (piece, text)
        if _norm(piece) not in CORPUS and len(piece) > 3:
            found[match[0]] = None
    if found:
        yield Planted(text, kind, tuple(found), how)


# ---- People, numbers, dates -----------------------------------------------------------------------------------------
def draw_person(rng: Random, sex: str = "") -> Person:
    """An invented person, in most cases with given and family names of one origin."""
    sex = sex or rng.choice("FM")
    row = rng.choice(ROWS)
    other = row if rng.random() < 0.75 else rng.choice(ROWS)
    given = rng.choice(row[sex == "M"])
    middle = rng.choice(rng.choice([row, ROWS[0]])[sex == "M"]) if rng.random() < 0.5 else ""
    suffix = rng.choice(["Jr.", "III", "Sr.", "II"]) if sex == "M" and rng.random() < 0.12 else ""
    return Person(given, rng.choice(other[2]), middle if middle != given else "", suffix, sex)


def _pn(p: Person, rng: Random) -> str:
    """The DICOM form of a name: often in capitals, at times without diacritics."""
    text = "^".join([p.family, p.given, p.middle, "", p.suffix.rstrip(".")]).rstrip("^")
    text = fold(text, rng.random() < 0.5) if rng.random() < 0.4 else text
    return text.upper() if rng.random() < 0.5 else text


def _shape(rng: Random, shape: str) -> str:
    """A random id: # becomes a digit, @ a capital letter, ~ a digit that is not 0."""
    return "".join(
        rng.choice({"#": "0123456789", "@": "ABCDEFGHKLMNPRSTVWXYZ", "~": "123456789"}.get(c, c)) for c in shape
    )


def _phone(rng: Random) -> str:
    return f"({rng.choice(['206', '212', '303', '312', '404', '415', '504', '602', '617', '713', '786', '919'])}) {_shape(rng, '555-01##')}"


def _day(rng: Random, first: int, last: int) -> date:
    return date(first, 1, 1) + timedelta(days=rng.randrange(365 * (last - first + 1)))


def _town(rng: Random) -> tuple[str, str]:
    """A street with number and a town with postal code."""
    if rng.random() < 0.45:
        street, town = rng.choice(_bar(FOREIGN_ADDRESSES)).split(";")
        return street, town
    name, state, code = rng.choice(TOWN_LIST)
    unit = rng.choice(["", "", "", ", Apt. 4B", ", Unit 12", " #310"])
    return (
        f"{_shape(rng, rng.choice(['~#', '~##', '~###']))} {rng.choice(STREET_LIST)}{unit}",
        f"{name}, {state} {code}",
    )


def _mail(p: Person, rng: Random) -> str:
    given, family = (re.sub(r"[^a-z]", "", fold(x).lower()) for x in (p.given, p.family))
    user = rng.choice(
        [f"{given}.{family}", f"{given[0]}{family}", f"{family}_{given}", f"{given}{rng.randrange(40, 99)}.{family}"]
    )
    return f"{user}@{rng.choice(['example.com', 'mail.example.org', 'radiology.example.edu', 'example.co.uk', 'klinik.example.de'])}"


def draw_patient(rng: Random) -> Patient:
    """An invented patient; one in twelve is over 89 years old."""
    people = (draw_person(rng), draw_person(rng), draw_person(rng))
    study = _day(rng, 2004, 2025)
    old = rng.random() < 0.08
    born = study - timedelta(days=rng.randrange(365 * 91, 365 * 104) if old else rng.randrange(30, 365 * 89))
    pid = _shape(
        rng,
        rng.choice(
            ["~######", "00######", "H00######", "###-##-##", "A-00#####", "1000######", "PAT00####", "@@######"]
        ),
    )
    acc = _shape(
        rng,
        rng.choice(
            [
                "1#-00#####",
                f"A{study:%Y%m%d}0##",
                f"RAD{study:%y%m%d}00##",
                "7######",
                "E########",
                f"CT-{study:%Y}-00####",
            ]
        ),
    )
    street, town = _town(rng)
    return Patient(
        _pn(people[0], rng),
        f"{born:%Y%m%d}",
        people[0].sex,
        pid,
        acc,
        _phone(rng),
        f"{street}, {town}",
        _mail(people[0], rng),
        _pn(people[1], rng),
        _pn(people[2], rng),
        f"{study:%Y%m%d}",
        people,
    )


def _number(n: int) -> str:
    return ONES[n] if n < 20 else TENS[n // 10] + (f"-{ONES[n % 10]}" if n % 10 else "")


def _ordinal(n: int) -> str:
    return ORDINALS[n - 1] if n <= 20 else f"{TENS[n // 10]}-{ORDINALS[n % 10 - 1]}" if n % 10 else "thirtieth"


def date_forms(d: date) -> dict[str, str]:
    """A date in the ways in which people write it, by the name of the way."""
    y, m, dd, yy, mon = d.year, d.month, d.day, f"{d:%y}", MONTHS[d.month - 1]
    th = "th" if 10 < dd < 20 else {1: "st", 2: "nd", 3: "rd"}.get(dd % 10, "th")
    tail = _number(y % 100) if y % 100 > 9 else f"oh {_number(y % 100)}" if y % 100 else "hundred"
    year_words = f"two thousand {_number(y - 2000) if y > 2000 else ''}".strip() if y >= 2000 else f"nineteen {tail}"
    roman = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"][m - 1]
    forms = {
        "iso": f"{d:%Y-%m-%d}",
        "compact": f"{d:%Y%m%d}",
        "ymd/": f"{d:%Y/%m/%d}",
        "ymd.": f"{d:%Y.%m.%d}",
        "timestamp": f"{d:%Y-%m-%d}T14:32:05",
        "digits14": f"{d:%Y%m%d}143205",
        "us": f"{d:%m/%d/%Y}",
        "us-short": f"{m}/{dd}/{y}",
        "us-yy": f"{m}/{dd}/{yy}",
        "us-0yy": f"{d:%m/%d/%y}",
        "us-dash": f"{m}-{dd}-{y}",
        "us-dash-yy": f"{d:%m-%d-%y}",
        "us-dots": f"{d:%m.%d.%Y}",
        "us'yy": f"{m}/{dd}/'{yy}",
        "us-blanks": f"{m} / {dd} / {y}",
        "us-weekday": f"{d:%a} {m}/{dd}/{yy}",
        "eu": f"{d:%d/%m/%Y}",
        "eu-short": f"{dd}/{m}/{yy}",
        "eu-dots": f"{d:%d.%m.%Y}",
        "eu-dots-short": f"{dd}.{m}.{yy}",
        "eu-dots-blank": f"{dd}. {m}. {y}",
        "eu-dash": f"{d:%d-%m-%Y}",
        "long": f"{mon} {dd}, {y}",
        "long-nocomma": f"{mon} {dd} {y}",
        "long-th": f"{mon} {dd}{th}, {y}",
        "long-upper": f"{mon.upper()} {dd}, {y}",
        "abbr": f"{mon[:3]} {dd}, {y}",
        "abbr-dot": f"{mon[:3]}. {dd}, {y}",
        "dmy": f"{dd} {mon} {y}",
        "dmy-th": f"{dd}{th} {mon} {y}",
        "of": f"the {dd}{th} of {mon}, {y}",
        "dicom-ish": f"{dd:02}-{mon[:3]}-{y}",
        "military": f"{dd:02}{mon[:3].upper()}{y}",
        "abbr-yy": f"{dd} {mon[:3]} {yy}",
        "upper-yy": f"{dd:02}-{mon[:3].upper()}-{yy}",
        "mon-first-dash": f"{mon[:3]}-{dd:02}-{y}",
        "weekday": f"{d:%A}, {mon} {dd}, {y}",
        "break": f"{mon} {dd},\n{y}",
        "break2": f"{mon}\n{dd}, {y}",
        "ymd-text": f"{y} {mon} {dd}",
        "roman": f"{dd}.{roman}.{y}",
        "words": f"{mon} {_ordinal(dd)}, {year_words}",
        "half-words": f"{mon} {_ordinal(dd)} {y}",
        "lower": f"{mon.lower()} {dd} {y}",
    }
    for lang, names in FOREIGN.items():
        forms[lang] = (
            f"{dd}{'.' if lang == 'de' else ' de' if lang == 'es' else ''} {names.split()[m - 1]}{' de' if lang == 'es' else ''} {y}"
        )
    return forms


def _date_pieces(written: str) -> list[str]:
    """The full date, and the day with the month where these are words."""
    months = "|".join(MONTHS + [m[:3] for m in MONTHS])
    day = re.search(
        rf"(?i)\b(?:{months})\b\.?[ -]\d\d?(?:st|nd|rd|th)?\b|\b\d\d?(?:st|nd|rd|th)?(?: of)?[ -](?:{months})\b",
        written,
    )
    return [written, day[0]] if day and "\n" not in day[0] else [written]


def phone_forms(phone: str) -> dict[str, str]:
    """A ten-digit number in the ways in which people write it."""
    digits = re.sub(r"\D", "", phone)
    a, b, c = digits[:3], digits[3:6], digits[6:]
    return {
        "as told": phone,
        "dash": f"{a}-{b}-{c}",
        "dots": f"{a}.{b}.{c}",
        "blanks": f"{a} {b} {c}",
        "digits": a + b + c,
        "glued": f"({a}){b}-{c}",
        "plus": f"+1 {a} {b} {c}",
        "plus-brackets": f"+1 ({a}) {b}-{c}",
        "one": f"1-{a}-{b}-{c}",
        "slash": f"{a}/{b}-{c}",
        "local": f"{b}-{c}",
        "break": f"({a})\n{b}-{c}",
        "tel": f"tel:+1{a}{b}{c}",
        "e164": f"+1{a}{b}{c}",
        "spaced": f"{a} - {b} - {c}",
        "ext": f"{a}-{b}-{c} x214",
        "nbsp": f"{a}\u00a0{b}\u00a0{c}",
        "00": f"001 {a} {b}{c}",
        "en dash": f"{a}–{b}–{c}",
    }


def _phone_pieces(written: str) -> list[str]:
    last = re.search(r"\b\d{3}[ .\-–\u00a0]{1,3}\d{4}\b", written)
    return [written, last[0]] if last else [written]


# ---- Known identifiers ----------------------------------------------------------------------------------------------


def family_forms(family: str) -> dict[str, str]:
    """A family name and its usual misspellings and shortened or joined forms."""
    typo = family if _norm(family) in WORDS or len(family) < 6 else family[:2] + family[3] + family[2] + family[4:]
    forms = {
        "": family,
        "no diacritics": fold(family),
        "german": fold(family, True),
        "no apostrophe": re.sub("['’ʻ]", "", family),
        "curly apostrophe": family.replace("'", "’"),
        "blank apostrophe": family.replace("'", "' "),
        "hyphen to blank": family.replace("-", " "),
        "hyphen glued": family.replace("-", ""),
        "spaced hyphen": family.replace("-", " - "),
        "unicode hyphen": family.replace("-", "‐"),
        "joined": family.replace(" ", ""),
        "blank to hyphen": family.replace(" ", "-"),
        "particles changed": family.title()
        if family != family.title()
        else re.sub(r"\b(Van|De|Der|Di|Du|La|Le|Lo|Della|El|Al)\b", lambda m: m[0].lower(), family),
        "mc": re.sub(r"^(Ma?c)([A-Z])", r"\1 \2", family),
        "mc low": re.sub(r"^(Ma?c[A-Z]\w+)", lambda m: m[0].capitalize(), family),
        "saint": family.replace("St. ", "Saint "),
        "last part": re.split(r"[ -]", family)[-1],
        "first part": re.split(r"-", family)[0],
        "abbreviated": family.replace("van der ", "v.d. ").replace("von ", "v. "),
        "typo": typo,
        "letter lost": family[:-2] + family[-1:] if typo != family else family,
        "mojibake": family.encode().decode("cp1252", "replace") if fold(family) != family else family,
    }
    kept: dict[str, str] = {}
    for how, form in forms.items():
        if form not in kept.values() and "\ufffd" not in form:
            kept[how] = form
    return kept


def name_forms(p: Person) -> dict[str, str]:
    """A patient's name as people write it, by the name of the variant."""
    g, f, m = p.given, p.family, p.middle
    first, i, mi = re.split(r"[ ]", g)[0], f"{g[0]}.", f"{m[0]}." if m else ""
    mr = "Mr." if p.sex == "M" else "Ms."
    forms = {
        "first last": f"{g} {f}",
        "last, first": f"{f}, {g}",
        "last first": f"{f} {g}",
        "LAST, FIRST": f"{f}, {g}".upper(),
        "LAST,FIRST": f"{f},{g}".upper(),
        "upper": f"{g} {f}".upper(),
        "lower": f"{g} {f}".lower(),
        "last,first lower": f"{f},{g}".lower(),
        "initial last": f"{i} {f}",
        "last, initial": f"{f}, {i}",
        "title last": f"{mr} {f}",
        "title no dot": f"{mr[:-1]} {f}",
        "TITLE LAST": f"{mr} {f}".upper(),
        "mrs": f"{'Mister' if p.sex == 'M' else 'Mrs.'} {f}",
        "title first last": f"{mr} {g} {f}",
        "caret": f"{f}^{g}",
        "caret upper": f"{f}^{g}^{m}^^".upper(),
        "underscore": f"{f}_{g}",
        "no diacritics": fold(f"{g} {f}"),
        "german last, first": fold(f"{f}, {g}", True),
        "double blank": f"{g}  {f}",
        "line break": f"{g}\n{f}",
        "break after comma": f"{f},\n{g}",
        "break after title": f"{mr}\n{f}",
        "nbsp": f"{g}\u00a0{f}",
        "tab": f"{f}\t{g}",
        "blank comma": f"{f} , {g}",
        "decomposed": unicodedata.normalize("NFD", f"{g} {f}"),
        "possessive": f"{g} {f}'s",
        "title possessive": f"{mr} {f}’s",
        "first word only": f"{first} {f}",
        "bold": f"**{g} {f}**",
        "slash": f"{f}/{g}",
        "LAST First": f"{f.upper()} {g}",
        "glued": (f + g).replace(" ", ""),
        "title doubled": f"{mr}  {g}  {f}",
        "bracketed": f"{f} ({g})",
        "semicolon": f"{f}; {g}",
    }
    if m:
        forms |= {
            "first middle last": f"{g} {m} {f}",
            "first m. last": f"{g} {mi} {f}",
            "first m last": f"{g} {mi[0]} {f}",
            "last, first m": f"{f}, {g} {mi[0]}",
            "f.m. last": f"{i}{mi} {f}",
            "f. m. last": f"{i} {mi} {f}",
            "LAST, FIRST M": f"{f}, {g} {mi}".upper(),
            "last, f.m.": f"{f}, {i}{mi}",
            "called by middle": f"{i} {m} {f}",
            "middle last": f"{m} {f}",
            "last first middle": f"{f}, {g} {m}",
        }
    if p.suffix:
        forms |= {
            "suffix": f"{g} {f} {p.suffix}",
            "suffix comma": f"{g} {f}, {p.suffix}",
            "suffix last": f"{f} {p.suffix}, {g}",
            "title suffix": f"{mr} {f}, {p.suffix}",
        }
    if g in NICK:
        forms["nickname"] = f"{NICK[g]} {f}"
    for how, form in family_forms(f).items():
        forms |= (
            {f"{how}/first last": f"{g} {form}", f"{how}/last, first": f"{form}, {g}", f"{how}/title": f"{mr} {form}"}
            if how
            else {}
        )
    if _solo(g):
        forms |= {"given only": g, "given only possessive": f"{g}'s"}
    if _solo(f):
        forms |= {
            "family only": f,
            "family upper": f.upper(),
            "last initial": f"{f} {g[0]}",
            "initial no dot": f"{g[0]} {f}",
        }
    return forms


def doctor_forms(p: Person) -> dict[str, str]:
    """A physician's name as people write it."""
    g, f, m = p.given, p.family, p.middle
    forms = {
        "dr": f"Dr. {f}",
        "dr no dot": f"Dr {f}",
        "dr glued": f"Dr.{f}",
        "DR": f"DR. {f.upper()}",
        "dr lower": f"dr. {f.lower()}",
        "dr first last": f"Dr. {g} {f}",
        "dr initial": f"Dr. {g[0]}. {f}",
        "doctor": f"Doctor {f}",
        "md": f"{g} {f}, MD",
        "m.d.": f"{g} {f}, M.D.",
        "last, first md": f"{f}, {g} MD",
        "UPPER MD": f"{f}, {g} MD".upper(),
        "initial md": f"{g[0]}. {f} MD",
        "prof": f"Prof. Dr. {f}",
        "dr break": f"Dr.\n{f}",
        "dr possessive": f"Dr. {f}'s",
        "frcr": f"{g[0]} {f} FRCR" if _solo(f) else f"{g} {f} FRCR",
        "comma glued": f"{f},{g}".upper(),
        "caret": f"{f}^{g}^^Dr.",
        "double blank": f"Dr.  {g}  {f}",
        "no diacritics": fold(f"Dr. {g} {f}"),
        "plain": f"{g} {f}",
        "dr last first": f"Dr. {f}, {g}",
        "do": f"{g} {f}, D.O., FACR",
    }
    if m:
        forms |= {"middle md": f"{g} {m[0]}. {f}, M.D., Ph.D.", "dr initials": f"Dr. {g[0]}.{m[0]}. {f}"}
    forms |= {f"{how}/dr": f"Dr. {form}" for how, form in family_forms(f).items() if how}
    return forms


def id_forms(told: str) -> dict[str, str]:
    """An id as people write it: zeros, prefixes, blanks, dashes, case."""
    digits = re.sub(r"\D", "", told)
    groups = re.sub(r"(?<=\d)(?=(?:\d{3})+$)", "_", digits)
    pairs = re.sub(r"(?<=\d)(?=(?:\d\d)+$)", "_", digits)
    forms = {
        "as told": told,
        "lower": told.lower(),
        "no separators": re.sub(r"\W", "", told),
        "no zeros": re.sub(r"(?<!\d)0+|(?<=\D)0+", "", told),
        "digits": digits,
        "digits no zeros": digits.lstrip("0"),
        "zeros added": "00" + digits,
        "zeros to ten": digits.zfill(10),
        "blanks": groups.replace("_", " "),
        "dashes": groups.replace("_", "-"),
        "dots": pairs.replace("_", "."),
        "pairs": pairs.replace("_", "-"),
        "prefix": f"MRN{told}",
        "prefix dash": f"ID-{told}",
        "site": f"{told}-01",
        "suffix": f"{told}/2",
        "letter split": re.sub(r"(?<=[A-Z])(?=\d)", " ", told),
        "letter dash": re.sub(r"(?<=[A-Z])(?=\d)", "-", told),
        "broken": told[:-4] + "\n" + told[-4:],
        "starred": f"*{told}*",
        "underscore": re.sub(r"\W", "_", told),
        "blank dash": told.replace("-", " - "),
    }
    return {
        how: form
        for k, (how, form) in enumerate(forms.items())
        if form not in list(forms.values())[:k] and len(form) > 4
    }


def address_forms(address: str) -> dict[str, str]:
    """An address on one or more lines, shortened, or in part."""
    parts = address.split(", ")
    short = address
    for word, abbr in {
        "Avenue": "Ave",
        "Street": "St.",
        "Road": "Rd",
        "Boulevard": "Blvd.",
        "Lane": "Ln",
        "Drive": "Dr.",
        "straße": "str.",
        "North": "N.",
        "Court": "Ct",
    }.items():
        short = short.replace(word, abbr)
    forms = {
        "as told": address,
        "lines": address.replace(", ", ",\n"),
        "lines no comma": address.replace(", ", "\n"),
        "no commas": address.replace(", ", " "),
        "upper": address.upper(),
        "short": short,
        "short upper": short.upper(),
        "no diacritics": fold(address, True),
        "street only": parts[0],
        "town only": ", ".join(parts[1:]),
        "double blank": address.replace(" ", "  "),
    }
    return {how: form for how, form in forms.items() if how == "as told" or form != address}


def _address_pieces(written: str) -> list[str]:
    """The whole, and each part that is telling: the street with its number, the town, the postal code."""
    parts = [p.strip() for p in re.split(r",\s+|\n", written)]
    return [
        written,
        *(
            p
            for p in parts
            if ((p[:1].isalpha() and _solo(p)) or (len(p) > 7 and " " in p))
            and not re.match(r"(?i)(?:apt|app|unit|flat)\b", p)
        ),
        *re.findall(r"\b\d{5}\b(?!-)", written),
    ]


def mail_forms(mail: str) -> dict[str, str]:
    user, host = mail.split("@")
    return {
        "as told": mail,
        "upper": mail.upper(),
        "mailto": f"mailto:{mail}",
        "angle": f"<{mail}>",
        "blanks": f"{user} @ {host}",
        "spoken": f"{user} at {host.replace('.', ' dot ')}",
        "bracket at": f"{user}[at]{host}",
        "break": f"{user}@\n{host}",
        "full stop": f"{mail}.",
        "quoted": f'"{mail}"',
        "other host": f"{user}@example.net",
    }


def known_variants(patient: Patient, rng: Random) -> PlantedIter:
    """Every identifier of the patient's header in every known way of writing, each in a short context."""

    def put(
        kind: str, forms: dict[str, str], contexts: str, pieces: Callable[[str], list[str]], labels: str = ""
    ) -> PlantedIter:
        seen: set[str] = set()
        for how, form in forms.items():
            chosen = (
                OWNER_CONTEXTS
                if labels and re.search("['’]s$", form)
                else labels
                if labels and re.search(r"[,^_;/\t|]", form)
                else contexts
            )
            text = rng.choice(_bar(chosen)).replace("{}", form)
            if form not in seen:
                yield from _plant(text, kind, pieces(form), how)
            seen.add(form)

    yield from put(
        "name", name_forms(patient.people[0]), NAME_CONTEXTS, lambda w: _name_pieces(w.strip("*")), LABEL_CONTEXTS
    )
    for person in patient.people[1:]:
        yield from put("physician", doctor_forms(person), DOCTOR_CONTEXTS, _name_pieces, DOCTOR_LABELS)
    yield from put("id", id_forms(patient.patient_id), ID_CONTEXTS, _id_pieces)
    yield from put("accession", id_forms(patient.accession), ACC_CONTEXTS, _id_pieces)
    study, born = (date(int(d[:4]), int(d[4:6]), int(d[6:])) for d in (patient.study_date, patient.birth_date))
    yield from put("date", date_forms(study), DATE_CONTEXTS, _date_pieces)
    yield from put("birth date", date_forms(born), BIRTH_CONTEXTS, _date_pieces)
    yield from put(
        "telephone",
        phone_forms(patient.telephone),
        "Tel. {}|Call {} for an appointment.|Home {}|Reached at {}.|Phone: {}",
        _phone_pieces,
    )
    parts = [p for p in patient.address.split(", ") if len(p) > 7 and _norm(p) not in CORPUS]
    yield from put(
        "address",
        address_forms(patient.address),
        "Address: {}|Lives at {}.|Home: {}|Mail copy to {}",
        lambda w: _address_pieces(w) + [p for p in parts if p in w],
    )
    yield from put(
        "mail",
        mail_forms(patient.mail),
        "E-mail: {}|Contact {}|Sent to {}",
        lambda w: [w.strip('<>."'), patient.mail.split("@")[0]],
    )
    years = (study - born).days // 365.25
    if years > 89:
        yield from put(
            "age",
            {"age": f"{years:.0f}-year-old", "yo": f"{years:.0f} y/o"},
            "This {} patient fell.|{} with pain.",
            lambda w: [w],
        )


# ---- Unseen identifiers ---------------------------------------------------------------------------------------------
def _md(p: Person, rng: Random) -> str:
    middle = f" {p.middle[0]}." if p.middle and rng.random() < 0.6 else ""
    return f"{p.given}{middle} {p.family}{rng.choice([', MD', ', M.D.', ' MD', ', DO', ', MD, PhD', ', MBBS FRCR', ', M.D., F.A.C.R.'])}"


def _fill(slot: str, rng: Random, day: date, style: str) -> Filled:
    """What stands in a slot of an unseen sentence: the text, its kind, its pieces; day and style of its dates."""
    p = draw_person(rng, {"relf": "F", "relm": "M", "fullf": "F"}.get(slot, ""))
    g, f, one = p.given, p.family, rng.choice

    def named(written: str) -> Filled:
        return written, "name", _name_pieces(written)

    def cued(cue: str, name: str) -> Filled:
        return f"{cue} {name}", "name", _name_pieces(name) if " " in name or _solo(name) else [f"{cue} {name}"]

    forms = date_forms(_day(rng, 1926, 2003) if slot == "dob" else day)
    wordy = [
        "long",
        "long",
        "abbr",
        "abbr-dot",
        "long-th",
        "dmy",
        "dicom-ish",
        "long-nocomma",
        "of",
        "weekday",
        "upper-yy",
        "military",
    ]
    rare = [k for k in forms if k not in NUMERIC + wordy]
    mixed = one(NUMERIC + wordy) if rng.random() < 0.88 else one(rare)
    d, old = day, rng.randrange(90, 106)
    inits = _shape(rng, one(["@@", "@@@"]))
    street, town = _town(rng)
    phone = (
        one(list(phone_forms(_phone(rng)).values()))
        if rng.random() < 0.85
        else one(
            [
                _shape(rng, s)
                for s in (
                    "+44 20 7946 0###",
                    "020 7946 0###",
                    "+49 89 ~#####-##",
                    "0#1 / ~## ~# ##",
                    "+33 1 ~# ## ## ##",
                    "07700 900###",
                )
            ]
        )
    )
    if slot in NUMBERS:
        number = _shape(rng, one(NUMBERS[slot][1].split("|")))
        while (
            slot == "nhs"
            and sum(int(n) * (10 - k) for k, n in enumerate(re.sub(r"\D", "", number)[:9])) % 11
            != -int(number[-1]) % 11
        ):
            number = _shape(rng, one(NUMBERS[slot][1].split("|")))  # until its check digit is valid
        return number, NUMBERS[slot][0], [number] if slot == "uid" else _id_pieces(number)
    match slot:
        case "full" | "fullf":
            return named(
                one([f"{g} {f}", f"{g} {f}", f"{g[0]}. {f}", f"{g} {p.middle[:1] or 'A'}. {f}", f"{g} {f}".upper()])
            )
        case "md":
            return named(_md(p, rng))
        case "dr":
            return named(
                one(
                    [
                        f"Dr. {f}",
                        f"Dr. {f}",
                        f"Dr. {g} {f}",
                        f"Dr {f}",
                        f"Dr. {g[0]}. {f}",
                        f"DR. {f.upper()}",
                        f"Dr. {g} {p.middle[:1] or 'J'}. {f}",
                        f"Prof. {f}",
                    ]
                )
            )
        case "mr":
            return named(
                f"{one(['Mr.', 'Mr']) if p.sex == 'M' else one(['Ms.', 'Mrs.', 'Miss', 'Ms'])} {one([f, f, f'{g} {f}'])}"
            )
        case "lastfirst":
            return named(
                one([f"{f}, {g}", f"{f}, {g}".upper(), f"{f.upper()}, {g} {p.middle[:1] or 'R'}.", f"{f},{g}".upper()])
            )
        case "caret":
            return named(f"{f}^{g}^{p.middle}".rstrip("^").upper())
        case "last" | "given":
            name = f if slot == "last" else g
            return named(name) if _solo(name) else _fill(slot, rng, day, style)
        case "nurse":
            return cued(one(["nurse", "RN", "charge nurse"]), one([f, f"{g} {f}"]))
        case "relf":
            return cued(one(["daughter", "sister", "wife", "mother", "aunt", "granddaughter"]), one([g, g, f"{g} {f}"]))
        case "relm":
            return cued(one(["son", "husband", "brother", "father", "uncle", "nephew"]), one([g, g, f"{g} {f}"]))
        case "tech" | "inits":
            return inits, "initials", []  # the pieces follow in unseen_sentences, with the word before
        case "stamp":
            return (
                (
                    w := one(
                        [
                            f"{inits}/{_shape(rng, '@@').lower()}",
                            f"{inits.lower()}/{_shape(rng, '@@').lower()}",
                            f"{inits}:{_shape(rng, '@@@')}",
                        ]
                    )
                ),
                "initials",
                [w],
            )
        case "login":
            return (
                (
                    w := one(
                        [
                            f"{fold(g)[0]}{re.sub('[^A-Za-z]', '', fold(f))[:7]}{rng.randrange(1, 99)}".lower(),
                            _shape(rng, "@@####"),
                            _shape(rng, "u######"),
                        ]
                    )
                ),
                "login",
                [w],
            )
        case "date" | "dob" | "ndate":
            w = forms[style if slot == "ndate" else mixed]
            return w, "birth date" if slot == "dob" else "date", _date_pieces(w)
        case "monthyear":
            return (w := one([f"{d:%B %Y}", f"{d:%b} {d.year}", f"{d:%m/%Y}", f"{d:%b}. '{d:%y}"])), "partial date", [w]
        case "monthday":
            return (
                (
                    w := one(
                        [f"on {d:%B} {d.day}", f"on {d.month}/{d.day}", f"on {d.day} {d:%b}", f"on {d:%b}. {d.day}"]
                    )
                ),
                "partial date",
                [w],
            )
        case "from_to":
            e = d + timedelta(days=9)
            return (
                (
                    w := one(
                        [
                            f"from {d.month}/{d.day}-{e.month}/{e.day}/{e:%y}",
                            f"of {d:%m/%d/%Y}-{e:%m/%d/%Y}",
                            f"from {d:%B} {d.day} to {e:%B} {e.day}, {e.year}",
                        ]
                    )
                ),
                "date",
                [w],
            )
        case "time":
            return f"{rng.randrange(24):02}:{rng.randrange(60):02}", "", []
        case "phone":
            return phone, "telephone", _phone_pieces(phone)
        case "mail":
            return (w := _mail(p, rng)), "mail", [w, w.split("@")[0]]
        case "url":
            w = f"{one(['https://', 'http://', 'www.', ''])}{one(['pacs.example.org/viewer?pid=', 'portal.example.com/report/', 'images.example.edu/share#'])}{_shape(rng, '@@~#######')}"
            return w, "url", [w, w[-10:]]
        case "ip":
            return (w := f"10.{rng.randrange(100, 255)}.{rng.randrange(255)}.{rng.randrange(10, 255)}"), "ip", [w]
        case "age":
            return (
                (w := one([f"{old}-year-old", f"{old} year old", f"{old} y/o", f"{old}yo", f"{old}-yr-old"])),
                "age",
                [w],
            )
        case "oldnum":
            return str(old), "age", []
        case "agewords":
            return (
                (
                    w
                    := f"{_number(old) if old < 100 else 'one hundred' + (f' and {_number(old - 100)}' if old > 100 else '')} years old"
                ),
                "age",
                [w],
            )
        case "address":
            return (
                (w := one([f"{street}, {town}", f"{street}\n{town}", f"{street}, {town}".upper()])),
                "address",
                _address_pieces(w),
            )
        case "street":
            return street, "address", [street]
        case "town":
            return (
                (w := town if rng.random() < 0.5 else one(TOWN_LIST)[0]),
                "place",
                [w] if _norm(w) not in CORPUS else [],
            )
        case "hospital":
            return (w := one(HOSPITAL_LIST)), "place", [w]
    raise KeyError(slot)


NUMERIC = [
    "iso",
    "us",
    "us",
    "us",
    "us-short",
    "us-yy",
    "us-yy",
    "us-0yy",
    "us-dash",
    "us-dash-yy",
    "eu",
    "eu-dots",
    "dicom-ish",
    "ymd/",
]


def unseen_sentences(rng: Random) -> PlantedIter:
    """Every template once in random order, freshly filled; call it again with another seed for more."""
    for template in rng.sample(TEMPLATE_LIST, len(TEMPLATE_LIST)):
        text, kinds, day, style = "", dict[str, list[str]](), _day(rng, 2004, 2024), rng.choice(NUMERIC)
        for part in re.split(r"(\{\w+\})", template.replace("¶", "\n")):
            if not part.startswith("{"):
                text += part
                continue
            written, kind, pieces = _fill(part[1:-1], rng, day, style)
            day += timedelta(days=rng.choice([0, 1, 2, 30]) if "date" in part else 0)
            if (
                not pieces and kind
            ):  # initials, bare ages and towns like Bath are telling only together with the word before them
                cue = re.search(r"\S+\s*$", text)
                pieces = [(cue[0] if cue else "") + written]
            text += written
            kinds.setdefault(kind, []).extend(pieces)
        text = text.replace("..", ".")
        how, draw = template, rng.random()
        if draw < 0.08:
            text, kinds = text.upper(), {k: [p.upper() for p in v] for k, v in kinds.items()}
        elif draw < 0.2 and "\n" not in text:
            text = textwrap.fill(text, rng.randrange(28, 60), break_long_words=False, break_on_hyphens=False)
        for kind, pieces in kinds.items():
            if kind:
                yield from _plant(text, kind, pieces, how)


def main() -> None:
    """Prints examples, or with --counts the sizes of the pools."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--n", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--counts", action="store_true")
    args = parser.parse_args()
    rng = Random(args.seed)
    patient = draw_patient(rng)
    known, unseen = list(known_variants(patient, rng)), list(unseen_sentences(rng))
    if args.counts:
        print(
            {
                "given": len({g for r in ROWS for g in r[0] + r[1]}),
                "family": len({f for r in ROWS for f in r[2]}),
                "origins": len(ROWS),
                "templates": len(TEMPLATE_LIST),
                "clinical": len(clinical_tokens()),
                "known": len(known),
                "unseen": len(unseen),
            }
        )
        print({k: sum(p.kind == k for p in known + unseen) for k in sorted({p.kind for p in known + unseen})})
        return
    print(patient)
    for source, pool in (("known", known), ("unseen", unseen)):
        for planted in rng.sample(pool, min(args.n, len(pool))):
            print(f"{source:7} {planted.kind:12} {planted.text!r}\n{'':20} {list(planted.pieces)}  [{planted.how}]")
    print(*(f"keep    {s}" for s in rng.sample(clinical_tokens(), min(args.n, 99))), sep="\n")


if __name__ == "__main__":
    main()
