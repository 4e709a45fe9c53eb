"""The word lists of de-identification, read once.

Enters: ``lexicon/deid.toml``. Leaves: `Words`. Refuses: nothing.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Words:
    """Lower-case words without accents.

    Parameters
    ----------
    months, weekdays : tuple of tuple of str
        Each inner tuple is one language in one length, January or Monday first.
    month_numbers : mapping
        Every month name -> 1..12.
    birth_cues : tuple of str
        Words before a birth date.
    titles, not_parts, prefixes, person_verbs, not_initials, first_names, surnames : frozenset
        Words around and in names.
    nicknames : mapping
        Given name -> its short forms.
    eponyms : mapping
        Eponym -> words that may follow it as the name of a disease or structure.
    ordinary : frozenset
        Words that are also names: removed as a name only where the text shows that a person is meant.
    """

    months: tuple[tuple[str, ...], ...]
    weekdays: tuple[tuple[str, ...], ...]
    month_numbers: Mapping[str, int]
    birth_cues: tuple[str, ...]
    titles: frozenset[str]
    not_parts: frozenset[str]
    prefixes: frozenset[str]
    person_verbs: frozenset[str]
    not_initials: frozenset[str]
    first_names: frozenset[str]
    surnames: frozenset[str]
    nicknames: Mapping[str, tuple[str, ...]]
    eponyms: Mapping[str, frozenset[str]]
    ordinary: frozenset[str]


@cache
def words() -> Words:
    """The built-in lists."""
    table = tomllib.loads(files("reports").joinpath("lexicon/deid.toml").read_text(encoding="utf-8"))
    other = table["months"].pop("other")
    months = tuple(tuple(names) for names in table["months"].values())
    numbers = {name: number for names in months for number, name in enumerate(names, start=1)} | other
    names = table["names"]
    eponyms = {name: frozenset(following) for name, following in table["eponyms"].items()}
    return Words(
        months=months,
        weekdays=tuple(tuple(names) for names in table["weekdays"].values()),
        month_numbers=numbers,
        birth_cues=tuple(table["birth"]["cues"]),
        titles=frozenset(names["titles"]),
        not_parts=frozenset(names["not_parts"]),
        prefixes=frozenset(names["prefixes"]),
        person_verbs=frozenset(names["person_verbs"]),
        not_initials=frozenset(names["not_initials"]),
        first_names=frozenset(names["first"]),
        surnames=frozenset(names["surnames"]),
        nicknames={name: tuple(short) for name, short in names["nicknames"].items()},
        eponyms=eponyms,
        ordinary=frozenset(table["ordinary"]["words"].split()),
    )
