"""What the words of a heading mean: a section, an organ, a field about the patient, nothing known.

Enters: the words before a colon or alone on a line, the lists of ``lexicon/headings.toml`` of a language and those of
an institution. Leaves: `Resolved`, or None where the words are no heading. Refuses: a finding ("Pleural effusion").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Literal, NamedTuple, cast

from reports.grammar import ENGLISH, Grammar, grammar, read_data
from reports.mentions import Mention
from reports.profiles import NO_PROFILE, Profile
from reports.records import SectionName
from reports.tags import heading_mentions
from reports.vocabulary import split_words, vocabulary

MAX_HEADING = 64
"""Characters. Longer is prose with a colon."""
FUZZY_CUTOFF = 88.0
"""rapidfuzz ratio, per cent. "IMPRESION" is 95 from "impression"; "medication" is 80 from "indication"."""
FUZZY_LENGTH = 7
"""Shorter headings lie too near to each other to be repaired."""
MAX_TITLE_WORDS = 14
_DATED = re.compile(
    r"(?:[ ,(#]{1,3}(?:on|dated|of|at|\[(?:date|time)\]?|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{1,2}:\d\d|\d)[)]?){1,5}$"
)
"""What follows the word in "ADDENDUM [DATE] 14:05:" and "Addendum #2:", in lower case."""
HeadingKind = Literal["section", "organ", "neutral", "title", "administrative", "signature", "unknown"]
_FINDINGS = ("finding", "weak", "generic")


class Resolved(NamedTuple):
    """What a heading's words mean."""

    kind: HeadingKind
    name: SectionName
    context: tuple[Mention, ...] = ()


class Lists(NamedTuple):
    """Where the words of headings are looked up: an institution's own, and a language's beside the English ones."""

    profile: Profile = NO_PROFILE
    language: str = ENGLISH


NO_LISTS = Lists()


def section_aliases() -> Mapping[str, SectionName]:
    """Every built-in English heading of a section in lower case, and its section."""
    return sections_of(ENGLISH)


@cache
def sections_of(language: str) -> Mapping[str, SectionName]:
    """Every heading of a section in lower case, and its section: English ones and those of the language."""
    aliases: dict[str, SectionName] = {}
    for code in dict.fromkeys((ENGLISH, language)):
        for name, words in read_data("headings", code)["section"].items():
            aliases |= dict.fromkeys(words, cast(SectionName, name))
    return aliases


def known_heading(lower: str, lists: Lists) -> Resolved | None:
    """What a heading means that is in a list."""
    kind = lists.profile.headings.get(lower)
    if kind:
        is_section = kind not in ("administrative", "neutral")
        meant = cast(SectionName, kind if is_section else {"administrative": "other", "neutral": "findings"}[kind])
        return Resolved("section" if is_section else cast(HeadingKind, kind), meant)
    if lower in listed("administrative", lists.language) or lower.endswith(_signers(lists.language)):
        return Resolved("administrative", "other")
    name = sections_of(lists.language).get(lower)
    return Resolved("section", name) if name else None


@cache
def _signers(language: str) -> tuple[str, ...]:
    return tuple(f" {words}" for words in sorted(listed("signers", language)))


@cache
def all_listed(lists: Lists) -> frozenset[str]:
    """Every heading of a list that is known in a language and to an institution."""
    sections = frozenset(sections_of(lists.language))
    return sections | listed("administrative", lists.language) | frozenset(lists.profile.headings)


@cache
def listed(name: str, language: str = ENGLISH) -> frozenset[str]:
    """The words of one list of the data files: English ones, and those of the language."""
    return frozenset(word for code in (ENGLISH, language) for word in read_data("headings", code)[name])


def is_title(words: str, language: str = ENGLISH) -> bool:
    """Whether words in lower case begin as the name of an examination does."""
    return words.startswith(_titles(language))


@cache
def _titles(language: str) -> tuple[str, ...]:
    return tuple(f"{title} " for title in sorted(listed("titles", language)))


def is_named_examination(words: str, language: str) -> bool:
    """Whether a line is the name of an examination in any case: "CT Chest Abdomen Pelvis with contrast"."""
    lower = words.lower()
    if not words[0].isupper() or not is_title(lower, language):
        return False
    parts = lower.replace(",", " ").split()
    return 2 <= len(parts) <= MAX_TITLE_WORDS and listed("verbs", language).isdisjoint(parts)


def names_examination(capitals: str, language: str) -> bool:
    """Whether a line in capitals is the name of an examination: "LEFT LEG VENOUS DOPPLER ULTRASOUND"."""
    words = capitals.lower().split()
    return (
        len(words) <= 14
        and not listed("modalities", language).isdisjoint(words)
        and listed("prose", language).isdisjoint(words)
    )


@lru_cache(maxsize=4096)
def resolve(words: str, at_line_start: bool, lists: Lists) -> Resolved | None:
    """What a heading means, or None where it is none."""
    lower = _DATED.sub("", re.sub(r"\s+", " ", words.lower()))
    if not words[0].isalpha() or len(words) > MAX_HEADING:
        return None
    known = known_heading(lower, lists) or _joined(lower, lists)
    if known and (at_line_start or words[0].isupper()):
        return known
    if lower in listed("neutral", lists.language) and words[0].isupper():
        return Resolved("neutral", "findings")
    if not words[0].isupper():
        near = _nearest(lower, lists.language) if at_line_start else None
        return Resolved("section", near) if near else None
    if words.isupper() and is_title(lower, lists.language):
        return Resolved("title", "procedure", organ_of(words, lists.language) or ())
    side = _side(lower, grammar(lists.language))
    organ = (Mention(0, 1, "", "side", side),) if side else organ_of(words, lists.language)
    if organ is not None:
        return Resolved("organ", "findings", organ)
    near = _nearest(lower, lists.language) if words.isupper() or at_line_start else None
    if near:
        return Resolved("section", near)
    return Resolved("unknown", "other") if _looks_like_heading(words, at_line_start, lists.language) else None


_JOINT = re.compile(r"\s*(?:/|&|\+|\band\b)\s*")


def _joined(lower: str, lists: Lists) -> Resolved | None:
    """The first of two headings in one, where both are known: "findings/discussion"."""
    parts = _JOINT.split(lower)
    known = [known_heading(part, lists) for part in parts] if len(parts) == 2 else [None]
    return known[0] if None not in known else None


def _side(lower: str, small: Grammar) -> str:
    """The side that a sub-heading such as "RIGHT:" gives to what follows."""
    words = set(lower.split())
    found = words & set(small.side_words)
    is_side = len(found) == 1 and words <= set(small.side_words) | small.side_headings
    return small.side_words[found.pop()] if is_side else ""


def organ_of(words: str, language: str) -> tuple[Mention, ...] | None:
    """The anatomy of an organ sub-heading; None where other words or a finding stand in it."""
    split = split_words(words)
    hits = list(vocabulary(language).terms.find(split))
    if len(hits) == 1 and hits[0].value.kind == "ambiguous" and len(split) == 1:
        meanings = vocabulary(language).ambiguous[hits[0].value.concept]
        return tuple(Mention(0, 1, one.stem, "anatomy") for one in meanings[:1] if one.stem) or None
    if not any(hit.value.stem or hit.value.kind == "node" for hit in hits) and not _is_level(words):
        return None
    if is_title(words.lower(), language):
        return tuple(m for m in heading_mentions(words, split, language) if m.kind != "finding")
    if any(hit.value.kind in ("finding", "weak", "generic", "ignore") for hit in hits):
        return None
    covered = {index for hit in hits for index in range(hit.start, hit.end)}
    if not _is_level(words) and any(
        w.lower not in listed("fillers", language) for i, w in enumerate(split) if i not in covered
    ):
        return None
    return heading_mentions(words, split, language)


def _is_level(words: str) -> bool:
    return (
        re.fullmatch(r"[CTL]\d{1,2}(?:[-/](?:[CTLS])?\d{1,2})?(?:, ?[CTL]\d{1,2}(?:[-/](?:[CTLS])?\d{1,2})?)?", words)
        is not None
    )


def _nearest(lower: str, language: str) -> SectionName | None:
    """The section of the alias that a mistyped heading is nearest to, if it is near enough."""
    if len(lower) < FUZZY_LENGTH or lower in listed("notlike", language):
        return None
    from rapidfuzz import fuzz, process

    best = process.extractOne(lower, _long_aliases(language), scorer=fuzz.ratio, score_cutoff=FUZZY_CUTOFF)
    return sections_of(language)[best[0]] if best else None


@cache
def _long_aliases(language: str) -> tuple[str, ...]:
    return tuple(alias for alias in sections_of(language) if len(alias) >= FUZZY_LENGTH)


def _looks_like_heading(words: str, at_line_start: bool, language: str) -> bool:
    parts = words.split()
    if (
        len(parts) > 6
        or any(mark in words for mark in ".,;?!")
        or any(part.lower() in listed("prose", language) for part in parts[1:])
    ):
        return False
    if words.isupper():
        return (
            not is_label(words, language)
            and sum(c.isalpha() for c in words) >= 2
            and (at_line_start or len(words) >= 4)
        )
    hits = vocabulary(language).terms.find(split_words(words))
    has_finding = any(hit.value.kind in _FINDINGS for hit in hits)
    return at_line_start and len(parts) <= 4 and not has_finding and not any(c.isdigit() for c in words)


def is_label(words: str, language: str) -> bool:
    """Whether the words name a finding and nothing else: "PLEURAL EFFUSION: none", "Nodules:"."""
    split = split_words(words)
    hits = list(vocabulary(language).terms.find(split))
    covered = {index for hit in hits for index in range(hit.start, hit.end)}
    rest = [word for index, word in enumerate(split) if index not in covered and not word.raw.isdigit()]
    is_finding = any(hit.value.kind in _FINDINGS for hit in hits)
    return is_finding and words[:1].isupper() and all(word.lower in listed("fillers", language) for word in rest)
