"""Identifiers in radiology reports, for testing a de-identification program that the author has not seen.

Every person, number and address is drawn at random from the invented pools of `reports_unseen_world.txt`.
`known_variants` writes identifiers that stand in the DICOM header as people write them in a report.
`unseen_sentences` writes identifiers that no header holds, in the places where real reports hold them.
`clinical_tokens` gives clinical text that must survive.

Search for a piece without regard to case.  A program that shifts dates may print a piece by chance
(about once in 400 short numeric dates): look at such a hit before counting it.
Consecutive `Planted` may share one text: a signature block gives one for its name, one for its telephone.
"""

from __future__ import annotations

import argparse
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import NamedTuple


class Name(NamedTuple):
    """A person's name in parts; `sex` is M or F."""

    given: str
    middle: str
    family: str
    suffix: str
    sex: str


@dataclass(frozen=True)
class Patient:
    """What the program is told (strings as in DICOM; dates YYYYMMDD), and the names as people know them.

    A header may have lost the diacritics which `person`, `referrer` and `performer` still have."""

    name: str
    birth_date: str
    sex: str
    patient_id: str
    accession: str
    telephone: str
    address: str
    mail: str
    referring: str
    performing: str
    study_date: str
    person: Name
    referrer: Name
    performer: Name


@dataclass(frozen=True)
class Planted:
    """One identifier in its text; it leaked if any of `pieces` is still found, case ignored."""

    text: str
    kind: str
    pieces: tuple[str, ...]
    how: str


class Slot(NamedTuple):
    """A filled blank of a template: no `kind` for no identifier; `pieces` overrides the rule of the kind
    (an empty tuple: too short or common to stand alone, so a piece only with its neighbour in the text)."""

    kind: str
    text: str
    pieces: tuple[str, ...] | None = None


_PLAIN = str.maketrans(
    {
        "ø": "o",
        "Ø": "O",
        "ł": "l",
        "Ł": "L",
        "đ": "d",
        "Đ": "D",
        "ß": "ss",
        "æ": "ae",
        "ʻ": "'",
        "þ": "th",
        "Þ": "Th",
        "ð": "d",
        "ı": "i",
    }
)
_GERMAN = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ø": "oe", "Ø": "Oe", "å": "aa", "Å": "Aa"}
)


def _strip(text: str) -> str:
    """The text without diacritics."""
    text = unicodedata.normalize("NFD", text.translate(_PLAIN))
    return "".join(c for c in text if not unicodedata.combining(c))


def _key(text: str) -> str:
    return re.sub(r"[^a-z]", "", _strip(text).lower())


def _sections() -> dict[str, str]:
    """The sections of the data file by title; its signs for line break and tab become real ones."""
    text = Path(__file__).with_suffix(".txt").read_text("utf-8")
    return {part.split("\n", 1)[0]: part.split("\n", 1)[1].strip() for part in text.split("\n## ")[1:]}


_DATA = _sections()
_CLINICAL = _DATA["CLINICAL"].lower()


def _rows(section: str, mark: str) -> list[list[str]]:
    """The lines of a section, each split in two or three at `mark`."""
    return [
        line.split(mark, 2 if section in ("NAMES", "MASKS", "FORMS") else 1) for line in _DATA[section].splitlines()
    ]


def _real(pattern: str) -> str:
    return pattern.replace("⏎", "\n").replace("⇥", "\t")


def _patterns(section: str, parts: dict[str, str]) -> list[tuple[str, str, str]]:
    """(group, how, written form) of every pattern of the section whose parts are all there."""
    return [
        (group, how, _real(pattern).format(**parts))
        for group, how, pattern in _rows(section, " | ")
        if all(parts[key] for key in re.findall(r"\{(\w+)", pattern))
    ]


def _read_pools() -> tuple[dict[str, dict[str, list[str]]], set[str]]:
    """The names by origin, and the keys of the name parts that are pieces by themselves."""
    pools: dict[str, dict[str, list[str]]] = {}
    alone: set[str] = set()
    group: dict[str, list[str]] = {}
    part: list[str] = []
    for token in _DATA["POOLS"].split():
        if token[0] == "@":
            group = pools.setdefault(token[1:], {"m": [], "f": [], "s": []})
        elif token[1:] == ":":
            part = group[token[0]]
        else:
            part.append(token.replace("*", "").replace("_", " "))
            for word in re.findall(r"[^_\-*]+(?![^_\-]*\*)", token):
                alone |= {_key(word), _key(word.translate(_GERMAN))}
                alone |= {_key(end) for end in word.split("'")[1:] if len(end) > 4}
    return pools, {key for key in alone if len(key) > 3}


_BY_ORIGIN, _ALONE = _read_pools()
_NICK = dict(zip(_DATA["NICKS"].split()[::2], _DATA["NICKS"].split()[1::2], strict=True))
_WORDS = {key: text.split(";") for key, text in _rows("WORDS", " ")}
_TOWNS = {key: text.split("|") for key, text in _rows("TOWNS", " ")}
_MASKS: dict[str, tuple[str, list[str]]] = {}
for _slot, _kind, _text in _rows("MASKS", " "):
    _MASKS[_slot] = (_kind.strip("-"), _MASKS.get(_slot, ("", []))[1] + _text.split(";"))
_PHONES = sorted(slot for slot in _MASKS if slot.startswith("t_"))


def draw_name(rng: Random, sex: str = "") -> Name:
    """An invented name; one in six mixes two origins."""
    sex = sex or rng.choice("MF")
    given_pool = _BY_ORIGIN[rng.choice(sorted(_BY_ORIGIN))]
    family_pool = given_pool if rng.random() < 5 / 6 else _BY_ORIGIN[rng.choice(sorted(_BY_ORIGIN))]
    given, second = rng.sample(given_pool[sex.lower()], 2)
    family, other = rng.sample(family_pool["s"], 2)
    if rng.random() < 0.10 and not re.search("[ -]", family + other):
        family += rng.choice("- ") + other
    middle = rng.choice(["", "", rng.choice("ABCDEFGHJKLMNPRSTVW"), second])
    if middle != second and rng.random() < 0.05 and not re.search("[ -]", given + second):
        given += rng.choice("- ") + second
    suffix = rng.choice(["Jr", "Sr", "II", "III", "IV"]) if sex == "M" and rng.random() < 0.08 else ""
    return Name(given, middle, family, suffix, sex)


def _dicom(name: Name, rng: Random, title: str = "") -> str:
    """The name as some hospital's DICOM header holds it."""
    parts = [name.family, name.given, name.middle, title, name.suffix]
    if rng.random() < 0.2 and name.middle:
        parts[1:3] = [f"{name.given} {name.middle}", ""]
    text = "^".join(parts).rstrip("^")
    return rng.choice([text, text.upper(), _strip(text).upper(), _strip(text.translate(_GERMAN)).upper()])


def _parts(name: Name) -> dict[str, str]:
    """What the patterns of a name are made of."""
    g, m, f, s, _ = name
    return {
        "g": g,
        "m": m if len(m) > 1 else "",
        "f": f,
        "s": s,
        "i": g[0],
        "mi": m[:1],
        "fi": f[0].upper(),
        "G": g.upper(),
        "F": f.upper(),
        "S": s.upper(),
        "gl": g.lower(),
        "fl": f.lower(),
        "ini": (g[0] + m[:1] + f[0]).upper(),
        "inil": (g[0] + m[:1] + f[0]).lower(),
        "inid": ".".join((g[0] + m[:1] + f[0]).upper()) + ".",
    }


def name_forms(name: Name) -> list[tuple[str, str, str]]:
    """(shape, how, written form) of one name; the shape is full, list (as in a header), family, given or initials."""
    g, f = name.given, name.family
    forms = _patterns("NAMES", _parts(name))
    full = [("nickname", f"{_NICK[g]} {f}"), ("nickname in brackets", f"{g} ({_NICK[g]}) {f}")] if g in _NICK else []
    if len(f) > 5 and f.isalpha():
        k = len(f) // 2
        full += [
            ("letters swapped", f"{g} {f[:k]}{f[k + 1]}{f[k]}{f[k + 2 :]}"),
            ("letter doubled", f"{g} {f[:k]}{f[k - 1 :]}"),
        ]
    for how, family in _spellings(f):
        full += [(how, f"{g} {family}"), (how + ", reversed", f"{family}, {g}")]
    full += [("given: " + how, f"{given} {f}") for how, given in _spellings(g)]
    return forms + [("list" if how.endswith("reversed") else "full", how, form) for how, form in full]


def _spellings(f: str) -> Iterator[tuple[str, str]]:
    """Other spellings of a name part: diacritics, apostrophes, hyphens, particles."""
    if _strip(f) != f:
        yield "no diacritics", _strip(f)
        yield "decomposed diacritics", unicodedata.normalize("NFD", f)
        yield "transliterated", _strip(f.translate(_GERMAN))
    for mark, swaps in (
        ("'", {"curly apostrophe": "’", "no apostrophe": "", "blank": " ", "grave": "`"}),
        (
            "-",
            {
                "hyphen as blank": " ",
                "hyphen dropped": "",
                "blanks round hyphen": " - ",
                "hyphen at line end": "-\n",
                "en dash": "–",
            },
        ),
        (" ", {"joined": "", "hyphen for blank": "-", "line break in part": "\n"}),
    ):
        if mark in f:
            yield from ((how, f.replace(mark, new)) for how, new in swaps.items())
    if "-" in f or " " in f:
        yield "title case", f.title()
        yield "last half only", re.split("[- ]", f)[-1]


def date_forms(d: date) -> list[tuple[str, str, str]]:
    """(group, how, written form); groups: us, eu, iso (numeric), ust, eut (textual), stamp."""
    n, b = f"{d:%B}", "Sept" if d.month == 9 else f"{d:%b}"
    th = "th" if 10 < d.day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(d.day % 10, "th")
    parts = {
        "y": d.year,
        "yy": f"{d:%y}",
        "m": d.month,
        "mm": f"{d:%m}",
        "d": d.day,
        "dd": f"{d:%d}",
        "n": n,
        "b": b,
        "th": th,
        "l": n.lower(),
        "N": n.upper(),
        "B": b.upper(),
        "c": n[:3],
        "C": n[:3].upper(),
    }
    return [
        (group, f"{group} {re.sub('[{}]', '', pattern)}", _real(pattern).format(**parts))
        for group, line in _rows("DATES", " ")
        for pattern in line.split(" ; ")
        if b != n or "{b}." not in pattern
    ]


def _mask(rng: Random, masks: list[str]) -> str:
    """One of the masks, drawn: # any digit, N before a digit 2 to 9, @ a capital letter."""
    marks = {"#": "0123456789", "\0": "23456789", "@": "ABCDEFGHJKLMNPQRSTUVWXY"}
    return re.sub("[#@\0]", lambda mark: rng.choice(marks[mark[0]]), re.sub("N(?=#)", "\0", rng.choice(masks)))


def draw_address(rng: Random, region: str = "") -> str:
    """An invented address on one line, its parts separated by commas; region us, uk, eu, xx or any."""
    region = region or rng.choice(["us", "us", "uk", "eu", "xx", "xx"])
    town = re.sub("[#@]", lambda mark: _mask(rng, [mark[0]]), rng.choice(_TOWNS[region]))
    if region == "eu":
        return f"{rng.choice(_DATA['EUSTREETS'].split())} {rng.randint(2, 240)}, {town}"
    kind = rng.choice(["Street", "St", "Road", "Rd", "Avenue", "Ave.", "Lane", "Drive", "Dr", "Close", "Court", "Blvd"])
    street = " ".join(rng.sample(_DATA["STREETS"].split(), rng.choice((1, 1, 2))))
    flat = rng.choice(["", "", f", {'Apt' if region == 'us' else 'Flat'} {rng.randint(1, 40)}{rng.choice('ABC')}"])
    return f"{rng.randint(2, 9899 if region == 'us' else 240)} {street} {kind}{flat}, {town}"


def _address_pieces(address: str, written: str = "") -> tuple[str, ...]:
    """House number with street name, and the end of the line with the postcode, as they stand in the written form."""
    first, *rest = address.split(", ")
    words = first.split(" ")
    pieces = [" ".join(words[:-1]) if len(words) == 4 else first, *rest[-1:]]
    found = [re.search(r"\s+".join(map(re.escape, piece.split())), written or address, re.I) for piece in pieces]
    return tuple(match[0] for match in found if match)


def _address(text: str, mark: str = ", ") -> Slot:
    return Slot("address", text.replace(", ", mark), _address_pieces(text))


def draw_mail(rng: Random, name: Name) -> str:
    """An invented mail address made from the name."""
    g, f = _key(name.given), _key(name.family)
    local = rng.choice(
        [f"{g}.{f}", f"{g[0]}.{f}", f"{g[0]}{f}{rng.randint(2, 99)}", f"{f}_{g}", f"dr.{f}", f"{f}{g[0]}"]
    )
    return f"{local}@{rng.choice(_DATA['HOSTS'].split())}"


def _mail(text: str) -> Slot:
    local = re.split(r" ?@| \[?at\b", text)[0]
    return Slot("mail", text, (text, local) if len(local) > 8 else (text,))


def _day(rng: Random) -> date:
    return date(2009, 1, 1) + timedelta(rng.randrange(5400))


class _Cast:
    """The people of one text, and the filling of its slots."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.people = {who: draw_name(rng) for who in ("doc", "doc2", "patient", "other")}
        self.people |= {"man": draw_name(rng, "M"), "woman": draw_name(rng, "F")}
        self.day, self.shape = _day(rng), rng.random()  # the dates of one text follow each other and look alike

    def fill(self, slot: str) -> Slot:
        """The slot, filled; raises KeyError for an unknown one."""
        rng = self.rng
        if slot in _MASKS:
            kind, masks = _MASKS[slot]
            return Slot(kind, _mask(rng, masks), () if slot in _DATA["SHORT"].split() else None)
        if slot in _WORDS:
            return Slot("", rng.choice(_WORDS[slot]))
        if slot not in _SLOTS:
            return _OTHER[slot](self)
        kind, who, what = _SLOTS[slot]
        if kind in ("name", "initials"):
            parts = _parts(self.people[who])
            pattern = rng.choice(what.split(";"))
            if pattern in _STYLES:
                pattern = rng.choice(
                    [style for style in _STYLES[pattern] if all(parts[key] for key in re.findall(r"\{(\w+)", style))]
                )
            text = _real(pattern).format(**parts).strip(" ^,")
            return Slot(kind, text, () if kind == "initials" else None)
        day = date(1930, 1, 1) + timedelta(rng.randrange(29000)) if kind == "birth date" else self.day
        self.day += timedelta(rng.randrange(3) if who == "near" else rng.randrange(20, 300))
        group, part = divmod(self.shape * len(what.split()), 1)
        forms = [form for which, _, form in date_forms(day) if which == what.split()[int(group)]]
        return Slot(kind, forms[int(part * len(forms))])


_SLOTS = {slot: tuple(rest.split(" | ")) for slot, rest in _rows("SLOTS", " | ")}
_STYLES = {
    "natural": ["{g} {f}"] * 4
    + ["{i}. {f}", "{g} {mi}. {f}", "{g} {mi}. {f}", "{g} {m} {f}", "{i}{mi} {f}", "{g} {f} {s}", "{g} {f}, {s}"],
    "short": ["{i}. {f}", "{i} {f}", "{i}{mi} {f}"],
}
_OTHER: dict[str, Callable[[_Cast], Slot]] = {
    "t": lambda c: c.fill(c.rng.choice(_PHONES)),
    "Mr": lambda c: Slot("", "Mr." if c.people["patient"].sex == "M" else c.rng.choice(["Mrs.", "Ms.", "Miss"])),
    "inis": lambda c: Slot("initials", c.fill("ini").text + c.rng.choice("/:") + c.fill("ini2").text, ()),
    "my": lambda c: Slot("date", format(_day(c.rng), c.rng.choice(["%B %Y", "%b %Y", "%m/%Y", "%B of %Y"])), ()),
    "wd": lambda c: (lambda text: Slot("date", text, (text.split(", ", 1)[1],)))(
        format(_day(c.rng), c.rng.choice(["%A, %d %B %Y", "%A, %B %-d, %Y", "%a, %-d %b %Y"]))
    ),
    "md": lambda c: Slot("date", f"{c.rng.randint(1, 12)}/{c.rng.randint(13, 28)}", ()),
    "addr": lambda c: _address(draw_address(c.rng)),
    "addr_us": lambda c: _address(draw_address(c.rng, "us")),
    "addr_uk": lambda c: _address(draw_address(c.rng, "uk")),
    "addr_lines": lambda c: _address(draw_address(c.rng), "\n"),
    "mail": lambda c: _mail(draw_mail(c.rng, c.people["doc"])),
    "site": lambda c: Slot(
        "url",
        c.rng.choice(["www.dr-{}.com", "https://northfold-imaging.org/patients/{}"]).format(
            _key(c.people["doc"].family)
        ),
    ),
}


def _with_neighbour(text: str, a: int, b: int, side: str = "any") -> list[str]:
    """text[a:b] with the word before it (or else, or on the side "after", the word after it), none if there is none.

    The other identifiers in the text must be NUL signs."""
    word = r"[^\s\0]*[^\W_][^\w\0]*"
    before = re.search(word + "$", text[:a])
    if before and b - before.start() < 12:  # short: one word more, and the sign that follows
        before, b = re.search(word + word + "$", text[:a]) or before, b + (text[b : b + 1] in {*".,;:)"})
    if before and side != "after":
        return [text[before.start() : b]]
    after = re.match(r"(?:'s|[^\w\s\0]*\s*[^\W_][^\s\0]*)(?: [^\s\0]+)?", text[b:])
    return [text[a : b + after.end()]] if after and side != "before" else []


_NO_NAME = {
    *["jr", "sr", "ii", "iii", "iv", "van", "von", "der", "den", "dos", "del", "ter", "ten", "bin", "ben", "abu"]
}  # no leak when left behind


def _name_pieces(text: str, a: int, b: int) -> list[str]:
    """The whole name, each part that is no ordinary word, and the other end parts with their neighbours."""
    word = r"[^\W\d_][\w\u0300-\u036fʻ]*(?:['’`][^\W\d_]{2}[\w\u0300-\u036f]*)?"
    words = [(a + w.start(), a + w.end()) for w in re.finditer(word, text[a:b].replace("_", " "))]
    pieces = (
        [text[a:b]] if len(words) > 1 and b - a > 7 else _with_neighbour(text, a, b) or [text[a:b]] * (len(words) > 1)
    )
    words = [(start, end) for start, end in words if _key(text[start:end]) not in _NO_NAME] or words
    for start, end in words:
        rest = _key(text[end:b])
        if _key(text[start:end]) in _ALONE:
            pieces.append(text[start:end])
        elif end - start > 2 and len(words) > 1:
            if len(rest) == 1 or rest in _NO_NAME:  # an initial or "Jr" follows: "Rose Y" left behind is a leak
                pieces.append(text[start:b])
            elif start == words[0][0] or not rest:
                pieces += _with_neighbour(text, start, end, "after" if not rest else "before")
    return pieces


def _pieces(slot: Slot, text: str, a: int, b: int) -> list[str]:
    """The pieces of the slot that stands at text[a:b]."""
    if slot.kind == "name":
        return _name_pieces(text, a, b)
    if slot.pieces is not None:
        return list(slot.pieces) or _with_neighbour(text, a, b)
    whole = re.sub(r"\^.*", "", slot.text).strip("()*#[]") if slot.kind in ("telephone", "id") else slot.text
    pieces = [whole] if len(re.sub(r"\W", "", whole)) > 4 else _with_neighbour(text, a, b)
    if slot.kind in ("telephone", "id"):  # the end of a number alone is a leak, too
        tails = [whole[m.end() :] for m in re.finditer(r"\W+|(?<=[A-Za-z])(?=\d)", whole)]
        pieces += [t for t in tails if sum(c.isdigit() for c in t) > 5]
    return pieces


def _render(template: str, how: str, cast: _Cast, given: Slot | None = None) -> Iterator[Planted]:
    """One `Planted` for each kind of identifier in the filled template; with `given` for the slot x, only for that."""
    text, spans = "", []
    for i, part in enumerate(re.split(r"\{(\w+)\}", _real(template))):
        if i % 2:
            slot = given if given and part == "x" else cast.fill(part)
            spans.append((slot, len(text), len(text) + len(slot.text)))
            part = slot.text
        text += part
    spans = [span for span in spans if span[0].kind]
    kinds: dict[str, list[str]] = {}
    for slot, a, b in spans:
        if given in (None, slot):
            hidden = list(text)  # hide the other identifiers, so that no piece leans on one
            for _, c, d in (span for span in spans if span[1] != a):
                hidden[c:d] = "\0" * (d - c)
            kinds.setdefault(slot.kind, []).extend(_pieces(slot, "".join(hidden), a, b))
    for kind, pieces in kinds.items():
        pieces += [" ".join(p.split()) for p in pieces]
        kept = tuple(dict.fromkeys(p.strip() for p in pieces if len(p.strip()) > 2 and p.lower() not in _CLINICAL))
        if kept:
            yield Planted(text, kind, kept, how)


def draw_patient(rng: Random) -> Patient:
    """An invented patient with the two physicians of the study."""
    cast, study = _Cast(rng), _day(rng)
    person, referrer, performer = (cast.people[who] for who in ("patient", "doc", "doc2"))
    phone = cast.fill("t_us" if rng.random() < 0.4 else "t").text
    return Patient(
        _dicom(person, rng),
        f"{study - timedelta(rng.randrange(200, 34000)):%Y%m%d}",
        person.sex,
        cast.fill("mrn").text,
        cast.fill("acc").text,
        phone,
        draw_address(rng),
        draw_mail(rng, person),
        _dicom(referrer, rng, rng.choice(["", "", "Dr", "MD"])),
        _dicom(performer, rng),
        f"{study:%Y%m%d}",
        person,
        referrer,
        performer,
    )


def value_forms(group: str, x: str) -> dict[str, str]:
    """Written forms, with their names, of a value; groups of patterns: id, phone, us, plus, local, address, mail."""
    bare, digits, streets = (
        re.sub(r"\W", "", x),
        re.sub(r"\D", "", x.replace("(0)", "")),
        {"Street": "St.", "Road": "Rd."},
    )
    third, apart, (local, _, host) = max(2, len(bare) // 3), r"(?<=[A-Za-z])(?=\d)", x.partition("@")
    parts = {
        "x": x,
        "low": x.lower(),
        "up": x.upper(),
        "title": x.title(),
        "bare": bare,
        "digits": digits,
        "nz": x.lstrip("0"),
        "g1": bare[:third],
        "g2": bare[third : 2 * third],
        "g3": bare[2 * third :],
        "sp": re.sub(apart, " ", x),
        "da": re.sub(apart, "-", x),
        "h3": bare[:3],
        "r3": bare[3:],
        "a": digits[-10:-7],
        "b": digits[-7:-4],
        "c": digits[-4:],
        "d3": digits[:3],
        "e3": digits[3:],
        "m3": digits[3:6],
        "d4": digits[:4],
        "e4": digits[4:],
        "e6": digits[6:],
        "pairs": " ".join(re.findall("..?", digits)),
        "unplus": x[1:],
        "code": x[:3],
        "num": x[3:].strip(),
        "dots": x.replace(" ", "."),
        "dashes": x.replace(" ", "-"),
        "brk": x.replace(" ", "\n", 1),
        "local": local,
        "host": host,
        "lines": x.replace(", ", "\n"),
        "open": x.replace(", ", " "),
        "street": x.split(",")[0],
        "wide": x.replace(" ", "  "),
        "semi": x.replace(",", ";"),
        "noflat": re.sub(r", (Apt|Flat)[^,]*", "", x),
        "swap": re.sub(r"\b(Street|Road)\b", lambda kind: streets[kind[0]], x),
    }
    return {form: how for which, how, form in _patterns("FORMS", parts)[::-1] if which == group}


def known_variants(patient: Patient, rng: Random) -> Iterator[Planted]:
    """Every identifier of the patient's header in every written variant, each in a sentence drawn for it."""
    templates = {key: text.split(" || ") for key, text in _rows("KNOWN", " | ")}
    cast = _Cast(rng)
    cast.people["patient"] = patient.person

    def put(role: str, how: str, slot: Slot) -> Iterator[Planted]:
        yield from _render(rng.choice(templates[role]), f"{role.split()[0]}: {how}", cast, slot)

    for role, name, header in (
        ("patient", patient.person, patient.name),
        ("referring", patient.referrer, patient.referring),
        ("performing", patient.performer, patient.performing),
    ):
        yield from put(f"{role} list", "header string", Slot("name", header))
        for shape, how, form in name_forms(name):
            yield from put(
                f"{role} {shape}", how, Slot("initials", form, ()) if shape == "initials" else Slot("name", form)
            )
    for role, value in (("mrn", patient.patient_id), ("accession", patient.accession)):
        for form, how in value_forms("id", value).items():
            yield from put(role, how, Slot("id", form))
    phone = patient.telephone
    group = (
        "us"
        if sum(map(str.isdigit, phone)) in (10, 11) and (phone[:2] == "+1" or phone[0] not in "+0")
        else ("plus" if phone[0] == "+" else "local")
    )
    for form, how in (value_forms("phone", phone) | value_forms(group, phone)).items():
        yield from put("telephone", how, Slot("telephone", form))
    for form, how in value_forms("address", patient.address).items():
        source = form if how == "abbreviated" else patient.address
        yield from put("address", how, Slot("address", form, _address_pieces(source, form)))
    for form, how in value_forms("mail", patient.mail).items():
        yield from put("mail", how, _mail(form.strip("<>").removeprefix("mailto:"))._replace(text=form))
    for role, kind, value in (("birth", "birth date", patient.birth_date), ("study", "date", patient.study_date)):
        for _, how, form in date_forms(date(int(value[:4]), int(value[4:6]), int(value[6:]))):
            yield from put(role, how, Slot(kind, form))


def unseen_sentences(rng: Random) -> Iterator[Planted]:
    """Identifiers that no header holds: every context once, in random order, with newly drawn people and numbers."""
    rows = _rows("UNSEEN", " | ")
    for how, template in rng.sample(rows, len(rows)):
        yield from _render(template, how, _Cast(rng))


def clinical_tokens() -> list[str]:
    """Clinical sentences without identifiers; a program should leave every one as it is."""
    return _DATA["CLINICAL"].splitlines()


def main() -> None:
    """Print examples."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--n", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = Random(args.seed)
    patient = draw_patient(rng)
    print(patient)
    for title, planted in (("KNOWN", list(known_variants(patient, rng))), ("UNSEEN", list(unseen_sentences(rng)))):
        print(f"\n{title} ({len(planted)})")
        for p in rng.sample(planted, min(args.n, len(planted))):
            print(f"[{p.kind}; {p.how}] {p.text!r}\n    {p.pieces}")
    print("\nCLINICAL", *rng.sample(clinical_tokens(), min(args.n, len(clinical_tokens()))), sep="\n")


if __name__ == "__main__":
    main()
