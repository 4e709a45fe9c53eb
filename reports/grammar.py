"""The small words of a language: what joins, parts and sides the things a sentence names.

Enters: ``lexicon/grammar.toml`` or ``lexicon/LANGUAGE/grammar.toml``. Leaves: `Grammar`. Refuses: one that
is not there.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

ENGLISH = "en"


@cache
def read_data(name: str, language: str = ENGLISH) -> Mapping[str, Any]:
    """The data file ``lexicon/<name>.toml``, or ``lexicon/<language>/<name>.toml`` of another language."""
    folder = "lexicon" if language == ENGLISH else f"lexicon/{language}"
    return tomllib.loads(files("reports").joinpath(f"{folder}/{name}.toml").read_text(encoding="utf-8"))


@cache
def lexicon_version() -> str:
    """A digest of all data files of ``lexicon/``: another one means that sentences may be tagged differently."""
    total = hashlib.sha256()
    for name, raw in sorted(_data_files(files("reports").joinpath("lexicon"), "")):
        total.update(name.encode() + b"\0" + hashlib.sha256(raw).digest())
    return total.hexdigest()[:16]


def _data_files(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _data_files(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".toml"):
            yield prefix + entry.name, entry.read_bytes()


@dataclass(frozen=True)
class Grammar:
    """The small words of one language, in lower case; see the comments of ``lexicon/grammar.toml``."""

    language: str
    makes_plurals: bool
    is_side_behind: bool
    and_or: frozenset[str]
    joints: frozenset[str]
    ranges: frozenset[str]
    joints_and_articles: frozenset[str]
    separators: frozenset[str]
    with_words: frozenset[str]
    but: frozenset[str]
    comparatives: frozenset[str]
    beside: frozenset[str]
    announces: frozenset[str]
    announced: frozenset[str]
    side_headings: frozenset[str]
    segment_words: frozenset[str]
    side_words: Mapping[str, str]
    side_abbreviations: Mapping[str, str]
    lobes: Mapping[str, str]


@cache
def grammar(language: str = ENGLISH) -> Grammar:
    """The grammar of a language, read once."""
    data = read_data("grammar", language)
    and_or, articles = frozenset(data["and_or"]), frozenset(data["articles"])
    return Grammar(
        language=language,
        makes_plurals=data["makes_plurals"],
        is_side_behind=data["side_is"] == "behind",
        and_or=and_or,
        joints=and_or | {","},
        ranges=frozenset(data["ranges"]),
        joints_and_articles=and_or | {","} | articles,
        separators=frozenset(data["separators"]),
        with_words=frozenset(data["with"]),
        but=frozenset(data["but"]),
        comparatives=frozenset(data["comparatives"]),
        beside=frozenset(data["beside"]),
        announces=frozenset(data["announces"]),
        announced=frozenset(data["announced"]),
        side_headings=frozenset(data["side_headings"]),
        segment_words=frozenset(data["segment_words"]),
        side_words={word: side for side, word in data["side_words"].items()},
        side_abbreviations=data["side_abbreviations"],
        lobes=data["lobes"],
    )


def tagged_languages() -> tuple[str, ...]:
    """Languages whose anatomy and assertion are known here."""
    return tuple(read_data("languages")["tagged"])
