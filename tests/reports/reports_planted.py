"""Identifiers planted in report sentences, in the ways people write them. Deterministic; no test itself."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

FAMILY = [
    "Smith",
    "Johansson",
    "Okafor",
    "O'Brien",
    "Smith-Jones",
    "McDonald",
    "Müller",
    "Weiß",
    "García",
    "Nguyen",
    "Kowalczyk",
    "De La Cruz",
    "Van der Berg",
    "Öztürk",
    "Łukaszewski",
    "Yamamoto",
    "Al-Hassan",
    "D'Angelo",
    "Fitzgerald",
    "Sørensen",
    "Papadopoulos",
    "Ramírez",
    "Mueller",
    "Goetz",
    "Schröder",
    "Ivanova",
    "Castellanos",
    "Thompson",
    "Abernathy",
    "Zhang",
]
GIVEN = [
    "John",
    "Mary",
    "Wilhelmina",
    "José",
    "Anne-Marie",
    "Siobhán",
    "Björn",
    "Fatima",
    "Katarzyna",
    "Robert",
    "Elizabeth",
    "Hiroshi",
    "Olumide",
    "Renée",
    "Margaret",
    "Theodore",
    "Guadalupe",
    "Ingeborg",
    "Matthew",
    "Valentina",
]
MIDDLE = ["", "A", "James", "Q", "Lynn"]
CONTEXTS = [
    "{x} was seen today. Liver is normal.",
    "No acute finding. Discussed with {x}.",
    "FINDINGS: The spleen of {x} measures 12 cm.",
    "IMPRESSION:\n1. Stable nodule.\n{x}\n2. No effusion.",
    "Patient: {x}, seen for follow up.",
    "as noted for {x}, no change",
    "Kidneys ({x}) are unremarkable.",
    "Re: {x}; CT chest",
]


@dataclass(frozen=True)
class Planted:
    """A text with one identifier in it.

    Parameters
    ----------
    known : (field, value) pairs that the de-identifier is given.
    planted : the form written in the text.
    secrets : lower-case pieces that must be gone.
    """

    kind: str
    known: tuple[tuple[str, str], ...]
    planted: str
    text: str
    secrets: tuple[str, ...]


def plant(seed: int, n_people: int) -> Iterator[Planted]:
    """Every variant of `n_people` invented people, each in a drawn sentence."""
    draw = random.Random(seed)
    for _ in range(n_people):
        family, given, middle = draw.choice(FAMILY), draw.choice(GIVEN), draw.choice(MIDDLE)
        birth = date(1930, 1, 1) + timedelta(days=draw.randrange(25_000))
        number = str(draw.randrange(10**5, 10**9)).zfill(draw.choice([8, 9, 10]))
        accession = draw.choice(["ACC{}", "A-2020-{}", "{}", "CT.{}", "2020{}"]).format(draw.randrange(10**5, 10**7))
        known = (
            ("patient_name", f"{family}^{given}^{middle}".rstrip("^")),
            ("patient_id", number),
            ("accession_number", accession),
            ("patient_birth_date", f"{birth:%Y%m%d}"),
        )
        forms = [("name", form, _pieces(family, given)) for form in _names(family, given, middle)]
        forms += [("id", form, (number.lstrip("0"),)) for form in _numbers(number)]
        forms += [("id", form, (accession.lower(),)) for form in _accessions(accession)]
        forms += [("date", form, (form.lower(),)) for form in _dates(birth)]
        for kind, form, secrets in forms:
            yield Planted(kind, known, form, draw.choice(CONTEXTS).replace("{x}", form), secrets)


def _pieces(family: str, given: str) -> tuple[str, ...]:
    return tuple(
        piece.lower()
        for whole in (family, given)
        for piece in whole.replace("-", " ").replace("'", " ").split()
        if len(piece) > 3
    )


def _names(family: str, given: str, middle: str) -> list[str]:
    first = given[0]
    forms = [
        f"{family}, {given}",
        f"{given} {family}",
        f"{family} {given}",
        f"{family},{given}",
        f"{family}^{given}",
        f"{first}. {family}",
        f"{first} {family}",
        f"{family}, {first}.",
        f"{family}, {first}",
        f"Mr. {family}",
        f"Mrs {family}",
        f"Ms. {family}",
        family,
        given,
        f"{given}'s",
        f"{family}'s",
        f"{given}\n{family}",
        f"{family}_{given}",
        f"{given}.{family}",
    ]
    if middle:
        forms += [
            f"{given} {middle} {family}",
            f"{family}, {given} {middle}",
            f"{given} {middle[0]}. {family}",
            f"{family}, {given} {middle[0]}.",
        ]
    forms += [form.upper() for form in forms] + [form.lower() for form in forms]
    plain = _plain(family)
    forms += [
        plain,
        f"{given} {plain}",
        family.replace("'", ""),
        family.replace("-", " "),
        family.replace("-", ""),
        family.replace(" ", ""),
    ]
    forms += [
        family.replace("o", "0"),
        family.replace("O", "0"),
        family[:2] + "\u200b" + family[2:],
        "\u00a0".join((given, family)),
    ]
    forms += [
        " ".join(family.replace("'", "").replace("-", "").replace(" ", "").upper()),
        f"{given}{family}",
        f"{first}{family}".lower(),
    ]
    return list(dict.fromkeys(forms))


def _plain(name: str) -> str:
    table = str.maketrans(
        {"ü": "ue", "ö": "oe", "ä": "ae", "ß": "ss", "í": "i", "ø": "o", "Ł": "L", "Ö": "Oe", "é": "e", "á": "a"}
    )
    return name.translate(table)


def _numbers(number: str) -> list[str]:
    bare = number.lstrip("0")
    return [
        number,
        bare,
        f"MRN {number}",
        f"MRN: {bare}",
        f"MRN{number}",
        f"00{number}",
        f"{number[:3]}-{number[3:]}",
        f"{number[:3]} {number[3:]}",
        f"{number[:2]}.{number[2:5]}.{number[5:]}",
        f"#{number}",
        f"(ID {bare})",
        f"{number}.",
        "/".join((number, "CT")),
    ]


def _accessions(accession: str) -> list[str]:
    joined = accession.replace("-", "").replace(".", "")
    return [
        accession,
        accession.lower(),
        joined,
        f"Acc# {accession}",
        f"accession number: {joined}",
        f"[{accession}]",
        accession.replace("-", " "),
    ]


def _dates(day: date) -> list[str]:
    forms = [
        "%m/%d/%Y",
        "%Y-%m-%d",
        "%Y%m%d",
        "%d.%m.%Y",
        "%d-%b-%Y",
        "%B %d, %Y",
        "%b %d, %Y",
        "%d %B %Y",
        "%d%b%Y",
        "%Y/%m/%d",
        "%m-%d-%Y",
        "%d/%m/%Y",
    ]
    forms += ["%A, %B %d, %Y", "%b. %d, %Y", "%d%m%Y", "%m/%d/%y", "%Y.%m.%d"]
    written = [day.strftime(form) for form in forms]
    return [
        *written,
        f"{day.month}/{day.day}/{day.year}",
        f"{day:%B} {day.day}th, {day.year}",
        f"{day:%d-%b-%Y}".upper(),
        f"{day:%B %d}, {day.year}".upper(),
    ]
