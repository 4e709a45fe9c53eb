"""Headings of a cleaned report, and what their words mean.

Enters: a cleaned text, the lists of ``lexicon/headings.toml``. Leaves: `Heading`s in reading order. Refuses: to take a
finding ("Pleural effusion: none.") for a heading.

A heading ends with a colon, or stands alone on its line, or (the chief ones, in capitals) straight before its text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import Literal, NamedTuple, cast

from reports.clean import BREAK
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

HeadingKind = Literal["section", "organ", "neutral", "title", "administrative", "signature", "unknown"]

_MARKER = re.compile(r"[\s\d.)(\[\]*#=_|>-]{0,8}")
_DASHED = re.compile(r"[\s\d.)*]{0,6}([A-Za-z][A-Za-z/ ]{2,40}?) - (?=\S)")
_EDGE = " .-*_=#[](){}|:;>"
_FINDINGS = ("finding", "weak", "generic")
_SENTENCE_END = re.compile(r"[.!?;:\]]\s")


_LETTERHEAD = re.compile(
    r"(?:\[(?:NAME|PLACE|ADDRESS|PHONE|DATE|TIME|ID)\]|[\s,.:/()-]|M\.?D\b|D\.?O\b|Ph\.?D\b|Dr\b|Department|Dept|of\b|Radiology"
    r"|Imaging|Diagnostic|Hospital|Clinic|University|Medical|Health|Cent(?:er|re)|AM\b|PM\b|at\b|on\b|by\b){1,40}"
)
"""A line of placeholders and what stands beside names and places."""


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


class Heading(NamedTuple):
    """A heading: where it starts, where its text starts, its words, whether a colon ends it and where it stands."""

    start: int
    body: int
    words: str
    resolved: Resolved
    has_colon: bool
    is_at_start: bool = True  # of a line or list item, of a section's text, or of a chain of such headings


def find_headings(text: str, lists: Lists = NO_LISTS) -> Iterator[Heading]:
    """Every heading of a cleaned text, in order; `lists` say in which language, with what an institution adds."""
    start = 0
    for line in text.split(BREAK):
        if line.strip():
            yield from _line_headings(line, start, lists)
        start += len(line) + 1


def _line_headings(line: str, offset: int, lists: Lists) -> Iterator[Heading]:
    whole = _whole_line(line, lists)
    if whole:
        yield Heading(offset, offset + len(line), _tidy(line), whole, line.rstrip(_EDGE.replace(":", "")).endswith(":"))
        return
    if _signature(line, lists):
        yield Heading(offset, offset, "", Resolved("signature", "other"), False)
        return
    last: Heading | None = None
    for found in _inline_headings(line, lists):
        at_start = not line[: found.start].strip(_EDGE + "0123456789") or (
            last is not None and (found.start <= last.body or (last.is_at_start and last.resolved.kind != "section"))
        )
        last = found._replace(is_at_start=at_start)
        yield last._replace(start=offset + found.start, body=offset + found.body)


def _inline_headings(line: str, lists: Lists) -> Iterator[Heading]:
    at = 0
    bare = _bare_heading(line, 0, lists.language)
    if bare:
        yield Heading(0, bare[1], bare[0], bare[2], False)
        at = bare[1]
    dashed = None if bare else _dashed_heading(line, lists)
    if dashed:
        yield dashed
        at = dashed.body
    scanned, is_administrative = at, False
    for colon in (match.start() for match in re.finditer(":", line)):
        if colon < at or line[colon + 1 : colon + 2] not in ("", " ", "*", "]"):
            continue
        start, at_line_start = _heading_start(line, colon, at)
        if is_administrative and line[start : start + 1].isdigit():  # the value of a field is no list number
            start, at_line_start = -1, False
        yield from _bare_inside(line, scanned, start, lists.language)
        scanned = max(scanned, start)
        words = _tidy(line[start:colon]) if start >= 0 else ""
        resolved = _resolve(words, at_line_start, lists) if words else None
        if is_administrative and words.lower() not in _all_listed(lists):
            start, words, resolved = _heading_behind_value(line, max(at, colon - MAX_HEADING), colon, lists)
        if resolved:
            at = scanned = colon + 1
            while line[at : at + 1] in (" ", "*", "_", "]"):
                at += 1
            is_administrative = resolved.kind == "administrative"
            yield Heading(start, at, words, resolved, True)
    yield from _bare_inside(line, scanned, len(line), lists.language)


def _dashed_heading(line: str, lists: Lists) -> Heading | None:
    """A heading that a dash ends: "Clinical indication - cough", "Right maxillary sinus - clear"."""
    match = _DASHED.match(line)
    words = _tidy(match.group(1)) if match else ""
    if not match or not words or not words[0].isupper():
        return None
    resolved = _known(words.lower(), lists)
    organ = None if resolved else _organ(words, lists.language)
    resolved = resolved or (Resolved("organ", "findings", organ) if organ else None)
    return Heading(match.start(1), match.end(), words, resolved, True) if resolved else None


def _heading_behind_value(line: str, low: int, colon: int, lists: Lists) -> tuple[int, str, Resolved | None]:
    """The known heading that follows an administrative value: "MRN" in "Patient: Jane Doe MRN: 123"."""
    starts = [match.start() for match in re.finditer(r"(?<![^ ])[A-Z]", line[low:colon])][-3:]
    for start in starts:
        words = _tidy(line[low + start : colon])
        resolved = _resolve(words, False, lists) if words else None
        if resolved and resolved.kind in ("section", "administrative") and words.lower() in _all_listed(lists):
            return low + start, words, resolved
    return -1, "", None


def _heading_start(line: str, colon: int, at: int) -> tuple[int, bool]:
    """Where the words before a colon begin: after the last sentence, or at the line's start; -1 if too far."""
    low = max(at, colon - MAX_HEADING)
    ends = [match.end() for match in _SENTENCE_END.finditer(line, low, colon)]
    start = ends[-1] if ends else (low if low == at else -1)
    if start < 0:
        return -1, False
    is_line_start = start <= 8 and not line[:start].strip(_EDGE + "0123456789")
    return start + len(line[start:colon]) - len(line[start:colon].lstrip()), is_line_start


def _tidy(words: str) -> str:
    words = words.strip(_EDGE)
    marker = _MARKER.match(words)
    return words[marker.end() :].strip(_EDGE) if marker else words


def _whole_line(line: str, lists: Lists) -> Resolved | None:
    """A heading alone on its line, with or without a colon."""
    words = _tidy(line)
    if not words or len(words) > 120 or line.rstrip().endswith((".", ",")) or ": " in words:
        return None
    if line.rstrip(_EDGE.replace(":", "")).endswith(":"):
        resolved = _resolve(words, True, lists) if len(words) <= MAX_HEADING else None
        return resolved or (Resolved("neutral", "findings") if _is_label(words, lists.language) else None)
    known = _known(words.lower(), lists)
    if known and (words[0].isupper() or line.lstrip()[:1] in "*#["):
        return known
    if _is_named_examination(words, lists.language):
        return Resolved("title", "procedure", _organ(words, lists.language) or ())
    if not words.isupper():
        return None
    if is_title(words.lower(), lists.language) or _names_examination(words, lists.language):
        return Resolved("title", "procedure", _organ(words, lists.language) or ())
    resolved = _resolve(words, True, lists) if len(words) <= 40 and len(words.split()) <= 4 else None
    # a line in capitals that is in no list is prose more often than a heading
    return resolved if resolved and resolved.kind != "unknown" else None


@cache
def _bare_pattern(language: str) -> re.Pattern[str]:
    names = sorted((name.upper() for name in listed("bare", language)), key=lambda name: (-len(name), name))
    return re.compile(rf"(?:{'|'.join(map(re.escape, names))})(?:\s?[-:]\s?|\s)(?=[A-Z0-9\[(*-])")


def _bare_heading(line: str, at: int, language: str) -> tuple[str, int, Resolved] | None:
    """A chief heading in capitals straight before its text: ``IMPRESSION No acute disease.``"""
    marker = _MARKER.match(line, at)
    match = _bare_pattern(language).match(line, marker.end() if marker else at)
    if not match:
        return None
    words = _tidy(match.group())
    following = line[match.end() : match.end() + MAX_HEADING]
    if following.startswith(("OF ", "FOR ", "AND ", "ON ", "IS ", "ARE ")) or _colon_is_near(following):
        return None
    return words, match.end(), Resolved("section", _sections(language)[words.lower()])


def _colon_is_near(following: str) -> bool:
    """ "HISTORY OF PRESENT ILLNESS:" is a longer heading, which its colon will show."""
    head, colon, _ = following.partition(":")
    return bool(colon) and head.isupper() and "." not in head


def _bare_inside(line: str, low: int, high: int, language: str) -> Iterator[Heading]:
    for match in re.finditer(r"[.!?]\s(?=[A-Z]{4})", line[low:high]):
        start = low + match.end()
        bare = _bare_heading(line, start, language)
        if bare:
            yield Heading(start, bare[1], bare[0], bare[2], False)


def _signature(line: str, lists: Lists) -> bool:
    if _LETTERHEAD.fullmatch(line) and "[" in line:
        return True
    return line.lstrip("/*- [").lower().startswith((*listed("signature", lists.language), *lists.profile.signature))


def section_aliases() -> Mapping[str, SectionName]:
    """Every built-in English heading of a section in lower case, and its section."""
    return _sections(ENGLISH)


@cache
def _sections(language: str) -> Mapping[str, SectionName]:
    aliases: dict[str, SectionName] = {}
    for code in dict.fromkeys((ENGLISH, language)):
        for name, words in read_data("headings", code)["section"].items():
            aliases |= dict.fromkeys(words, cast(SectionName, name))
    return aliases


def _known(lower: str, lists: Lists) -> Resolved | None:
    """What a heading means that is in a list."""
    kind = lists.profile.headings.get(lower)
    if kind:
        is_section = kind not in ("administrative", "neutral")
        meant = cast(SectionName, kind if is_section else {"administrative": "other", "neutral": "findings"}[kind])
        return Resolved("section" if is_section else cast(HeadingKind, kind), meant)
    if lower in listed("administrative", lists.language) or lower.endswith(_signers(lists.language)):
        return Resolved("administrative", "other")
    name = _sections(lists.language).get(lower)
    return Resolved("section", name) if name else None


@cache
def _signers(language: str) -> tuple[str, ...]:
    return tuple(f" {words}" for words in sorted(listed("signers", language)))


@cache
def _all_listed(lists: Lists) -> frozenset[str]:
    sections = frozenset(_sections(lists.language))
    return sections | listed("administrative", lists.language) | frozenset(lists.profile.headings)


@cache
def listed(name: str, language: str = ENGLISH) -> frozenset[str]:
    """The words of one list of the data files: English ones, and those of the language."""
    return frozenset(word for code in (ENGLISH, language) for word in read_data("headings", code)[name])


def is_title(words: str, language: str = ENGLISH) -> bool:
    """Whether words in lower case begin as the name of an examination does."""
    return words.startswith(tuple(f"{title} " for title in listed("titles", language)))


def _is_named_examination(words: str, language: str) -> bool:
    """Whether a line is the name of an examination in any case: "CT Chest Abdomen Pelvis with contrast"."""
    lower = words.lower()
    parts = lower.replace(",", " ").split()
    is_short = 2 <= len(parts) <= MAX_TITLE_WORDS and words[0].isupper()
    return is_short and is_title(lower, language) and listed("verbs", language).isdisjoint(parts)


def _names_examination(capitals: str, language: str) -> bool:
    """Whether a line in capitals is the name of an examination: "LEFT LEG VENOUS DOPPLER ULTRASOUND"."""
    words = capitals.lower().split()
    return (
        len(words) <= 14
        and not listed("modalities", language).isdisjoint(words)
        and listed("prose", language).isdisjoint(words)
    )


@lru_cache(maxsize=4096)
def _resolve(words: str, at_line_start: bool, lists: Lists) -> Resolved | None:
    """What a heading means, or None where it is none."""
    lower = re.sub(r"\s+", " ", words.lower())
    if not words[0].isalpha() or len(words) > MAX_HEADING:
        return None
    known = _known(lower, lists)
    if known and (at_line_start or words[0].isupper()):
        return known
    if lower in listed("neutral", lists.language) and words[0].isupper():
        return Resolved("neutral", "findings")
    if not words[0].isupper():
        near = _nearest(lower, lists.language) if at_line_start else None
        return Resolved("section", near) if near else None
    if words.isupper() and is_title(lower, lists.language):
        return Resolved("title", "procedure", _organ(words, lists.language) or ())
    side = _side(lower, grammar(lists.language))
    organ = (Mention(0, 1, "", "side", side),) if side else _organ(words, lists.language)
    if organ is not None:
        return Resolved("organ", "findings", organ)
    near = _nearest(lower, lists.language) if words.isupper() or at_line_start else None
    if near:
        return Resolved("section", near)
    return Resolved("unknown", "other") if _looks_like_heading(words, at_line_start, lists.language) else None


def _side(lower: str, small: Grammar) -> str:
    """The side that a sub-heading such as "RIGHT:" gives to what follows."""
    words = set(lower.split())
    found = words & set(small.side_words)
    is_side = len(found) == 1 and words <= set(small.side_words) | small.side_headings
    return small.side_words[found.pop()] if is_side else ""


def _organ(words: str, language: str) -> tuple[Mention, ...] | None:
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
    return _sections(language)[best[0]] if best else None


@cache
def _long_aliases(language: str) -> tuple[str, ...]:
    return tuple(alias for alias in _sections(language) if len(alias) >= FUZZY_LENGTH)


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
            not _is_label(words, language)
            and sum(c.isalpha() for c in words) >= 2
            and (at_line_start or len(words) >= 4)
        )
    hits = vocabulary(language).terms.find(split_words(words))
    has_finding = any(hit.value.kind in _FINDINGS for hit in hits)
    return at_line_start and len(parts) <= 4 and not has_finding and not any(c.isdigit() for c in words)


def _is_label(words: str, language: str) -> bool:
    """Whether the words name a finding and nothing else: "PLEURAL EFFUSION: none", "Nodules:"."""
    split = split_words(words)
    hits = list(vocabulary(language).terms.find(split))
    covered = {index for hit in hits for index in range(hit.start, hit.end)}
    rest = [word for index, word in enumerate(split) if index not in covered and not word.raw.isdigit()]
    is_finding = any(hit.value.kind in _FINDINGS for hit in hits)
    return is_finding and words[:1].isupper() and all(word.lower in listed("fillers", language) for word in rest)
