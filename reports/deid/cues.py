"""Words that tell people from things: the lists, and the grade of a word.

Enters: ``lexicon/deid_cues.toml``, ``deid_people.toml`` and ``deid_english.toml``. Leaves: `Cues`, `grade`, `is_word`.
Refuses: nothing.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from reports.deid.fold import fold
from reports.deid.words import words

SPECIALTIES = (
    "ology", "ologist", "ologists", "iatrics", "iatry", "iatrist", "surgery", "ectomy", "oscopy", "graphy", "itis",
    "osis",
)  # fmt: skip
"""Endings of what doctors are, do and diagnose."""
_ENDINGS = (
    *SPECIALTIES, "pathy", "plasty", "gram", "grams", "ation", "ations", "emia", "aemia", "uria", "algia", "ostomy",
    "otomy", "oses", "oma", "omas", "omatous", "ated", "ating", "ically", "ness", "ment", "ments", "eous", "ious",
    "aceous", "scopic", "graphic", "genic", "trophy", "trophic", "plasia", "plastic", "megaly",
)  # fmt: skip


class Grade(IntEnum):
    """How much a capitalised word looks like part of a name."""

    WORD = 0
    UNKNOWN = 1
    BOTH = 2
    NAME = 3


@dataclass(frozen=True)
class Cues:
    """The lists of ``lexicon/deid_cues.toml``, ``deid_people.toml`` and ``deid_english.toml``."""

    titles: frozenset[str]
    plural_titles: frozenset[str]
    roles: frozenset[str]
    labels: frozenset[tuple[str, ...]]
    phrases: frozenset[tuple[str, ...]]
    weak: frozenset[str]
    credentials: frozenset[str]
    verbs: frozenset[str]
    follow: frozenset[str]
    suffixes: frozenset[str]
    particles: frozenset[str]
    talk: frozenset[str]
    receivers: frozenset[str]
    agents: frozenset[str]
    personal: frozenset[tuple[str, ...]]
    stages: frozenset[str]
    alone: frozenset[str]
    makers: frozenset[str]
    headings: frozenset[str]
    told: frozenset[str]
    done: frozenset[str]
    onward: frozenset[str]
    auxiliaries: frozenset[str]
    household: frozenset[str]
    possessives: frozenset[str]
    closings: frozenset[str]
    eponyms: frozenset[str]
    nouns: frozenset[str]
    common: frozenset[str]
    given: frozenset[str]
    family: frozenset[str]
    english: frozenset[str]


@cache
def cue_table() -> dict[str, Any]:
    """``lexicon/deid_cues.toml``, read once; people, telephones and places each take their part."""
    return _table("deid_cues")


def _table(name: str) -> dict[str, Any]:
    return tomllib.loads(files("reports").joinpath(f"lexicon/{name}.toml").read_text(encoding="utf-8"))


@cache
def cues() -> Cues:
    """The built-in lists."""
    table, people, english = cue_table(), _table("deid_people"), _table("deid_english")

    def phrases(text: str) -> frozenset[tuple[str, ...]]:
        split = (tuple(re.findall(r"[a-z0-9]+", one)) for line in text.split("\n") for one in line.split("|"))
        return frozenset(one for one in split if one)

    def one(part: str, *names: str) -> dict[str, frozenset[str]]:
        return {name: frozenset(table[part][name].split()) for name in names}

    roles = table["roles"]["words"].split()
    more = table["more"]
    return Cues(
        titles=frozenset(table["titles"]["one"].split()),
        plural_titles=frozenset(table["titles"]["plural"].split()),
        roles=frozenset(form for word in roles for form in (word, f"{word}s" if len(word) > 3 else word)),
        labels=phrases(table["labels"]["phrases"]),
        phrases=phrases(table["phrases"]["strong"]),
        personal=phrases(table["phrases"]["personal"]),
        **one("phrases", "weak", "talk", "receivers", "agents", "stages"),
        **one("things", "alone", "makers", "headings"),
        **one("after", "credentials", "verbs", "follow", "told", "done", "onward", "auxiliaries", "household"),
        **one("after", "possessives", "closings"),
        suffixes=frozenset(table["suffixes"]["words"].split()),
        particles=frozenset(table["particles"]["words"].split()),
        eponyms=frozenset(table["eponyms"]["words"].split()) | words().eponyms.keys(),
        nouns=frozenset(table["eponyms"]["nouns"].split()),
        common=frozenset(more["given"].split()),
        given=frozenset(people["given"].split()) | words().first_names | frozenset(more["given"].split()),
        family=frozenset(people["family"].split())
        | words().surnames
        | frozenset(more["family"].split())
        | frozenset(more["words"].split()),
        english=frozenset(english["words"].split()) | words().ordinary | words().month_numbers.keys(),
    )


@lru_cache(maxsize=1 << 16)
def grade(word: str) -> Grade:
    """What a word in lower case is."""
    lists = cues()
    is_name = word in lists.given or word in lists.family
    if word in lists.common:
        return Grade.NAME
    if is_word(word):
        return Grade.BOTH if is_name and word not in never() else Grade.WORD
    return Grade.NAME if is_name else Grade.UNKNOWN if word.isalpha() and len(word) > 1 else Grade.WORD


@lru_cache(maxsize=1 << 16)
def is_word(word: str) -> bool:
    """Whether a word in lower case belongs to the language or to medicine."""
    lists = cues()
    if word in lists.english or word in lists.roles or word in lists.titles or word in lists.credentials:
        return True
    is_name = word in lists.given or word in lists.family
    is_formed = (word.endswith("s") and word[:-1] in lists.english) or (len(word) > 6 and word.endswith(_ENDINGS))
    return is_formed and not is_name


def is_given_name(word: str) -> bool:
    """Whether a word in lower case is a given name and nothing else."""
    return word in cues().given and grade(word) is Grade.NAME


@cache
def heading_words() -> frozenset[str]:
    """Words that stand alone in a line as headings, in the languages that the lexicon has and some that it lacks."""
    folder = files("reports").joinpath("lexicon")
    names = (
        "headings.toml",
        "es/headings.toml",
        "es/anatomy.toml",
        "es/findings.toml",
        "anatomy.toml",
        "findings.toml",
    )
    texts = [folder.joinpath(name).read_text(encoding="utf-8") for name in names]
    words_of = (re.findall(r"[a-z]{3,}", fold(text).text.lower()) for text in texts)
    return cues().headings.union(*words_of)


@cache
def never() -> frozenset[str]:
    """Words that are in the lists of names and yet nobody's name in a report."""
    weekdays = {name for names in words().weekdays for name in names}
    return frozenset(
        weekdays
        | cues().weak
        | cues().titles
        | cues().credentials
        | {"the", "no", "not", "in", "on", "is", "as", "an", "us", "we", "he", "it", "baby", "boy", "girl", "infant"}
    )
