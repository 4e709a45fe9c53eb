"""Sections of a cleaned report, and the organ sub-headings inside them.

Enters: a cleaned text, the headings of ``lexicon/headings.toml``. Leaves: `Block`s, each a stretch of text under one
heading and at most one sub-heading. Refuses: to take a finding ("Pleural effusion: none.") for a heading.

A heading ends with a colon, or stands alone on its line, or (the chief ones, in capitals) straight before its text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal, NamedTuple, cast

from reports.clean import BREAK
from reports.mentions import Mention
from reports.records import SectionName
from reports.tags import heading_mentions
from reports.vocabulary import read_data, split_words, vocabulary

MAX_HEADING = 64
"""Characters. Longer is prose with a colon."""
FUZZY_CUTOFF = 88.0
"""rapidfuzz ratio, per cent. "IMPRESION" is 95 from "impression"; "medication" is 80 from "indication"."""
FUZZY_LENGTH = 7
"""Shorter headings lie too near to each other to be repaired."""

HeadingKind = Literal["section", "organ", "neutral", "title", "unknown"]

_MARKER = re.compile(r"[\s\d.)(\[\]*#=_|>-]{0,8}")
_EDGE = " .-*_=#[](){}|:;>"
_PROSE_PIECE = re.compile(rf"[^.!?{BREAK}]+")
_SENTENCE_END = re.compile(r"[.!?;:\]]\s")


class Resolved(NamedTuple):
    """What a heading's words mean."""

    kind: HeadingKind
    name: SectionName
    context: tuple[Mention, ...] = ()


@dataclass(frozen=True)
class Block:
    """A stretch of the cleaned text.

    Parameters
    ----------
    section : SectionName
    opens : bool
        Whether a section starts here; else this is a sub-heading's stretch within the section.
    heading : str
        The words of the heading or sub-heading; "" where there is none.
    start, body, end : int
        Offsets: with the heading, after the heading, behind the last character.
    context : tuple of Mention
        Anatomy that the organ sub-heading names.
    is_unknown : bool
        The heading is in no list.
    """

    section: SectionName
    opens: bool
    heading: str
    start: int
    body: int
    end: int
    context: tuple[Mention, ...] = ()
    is_unknown: bool = False


class _Found(NamedTuple):
    start: int
    body: int
    words: str
    resolved: Resolved
    has_colon: bool


def find_blocks(text: str) -> list[Block]:
    """Cut a cleaned text into blocks that cover it without overlap, in order."""
    found = list(_headings(text))
    blocks: list[Block] = []
    section: SectionName | None = None
    first = found[0].start if found else len(text)
    if text[:first].strip(f" {BREAK}"):
        section = _section_of_preamble(text[:first], found)
        blocks.append(Block(section, True, "", 0, 0, first))
    for index, heading in enumerate(found):
        end = found[index + 1].start if index + 1 < len(found) else len(text)
        name, opens = _place(heading, section, is_empty=not text[heading.body : end].strip(f" {BREAK}"))
        is_sub = heading.resolved.kind in ("organ", "neutral") or (heading.resolved.kind == "title" and not opens)
        section = name
        is_text = heading.resolved.kind == "title" and not heading.has_colon
        blocks.append(
            Block(
                name,
                opens,
                "" if is_text else heading.words,
                heading.start,
                heading.start if is_text else heading.body,
                end,
                heading.resolved.context if is_sub or heading.resolved.kind == "title" else (),
                heading.resolved.kind == "unknown",
            )
        )
    return blocks


def _section_of_preamble(text: str, found: list[_Found]) -> SectionName:
    """What stands before the first heading: the findings if nothing else is, a title, or something else."""
    has_findings = any(h.resolved == Resolved("section", "findings") for h in found)
    if not has_findings and (not found or any(map(_is_prose, _PROSE_PIECE.findall(text)))):
        return "findings"
    return "procedure" if _is_title(text.strip(f" {BREAK}").lower()) else "other"


def _is_prose(sentence: str) -> bool:
    words = sentence.split()
    is_title = sentence.isupper() or _is_title(sentence.strip().lower())
    return len(words) >= 3 and not is_title and not _words("prose").isdisjoint(words)


def _place(heading: _Found, section: SectionName | None, *, is_empty: bool) -> tuple[SectionName, bool]:
    """The section a heading's text belongs to, and whether the section starts there."""
    kind, name, _ = heading.resolved
    if kind in ("section", "unknown"):
        return name, True
    if kind == "title":
        if heading.has_colon and not is_empty:  # "CT ABDOMEN: The liver is normal."
            return ("findings", section != "findings")
        return "procedure", True
    if section in ("findings", "impression", "addendum", "other", "recommendation"):
        return section, False
    return "findings", True  # an organ straight after the technique: the findings heading is missing


def _headings(text: str) -> Iterator[_Found]:
    start = 0
    for line in text.split(BREAK):
        if line.strip():
            yield from _line_headings(line, start)
        start += len(line) + 1


def _line_headings(line: str, offset: int) -> Iterator[_Found]:
    whole = _whole_line(line)
    if whole:
        yield _Found(offset, offset + len(line), _tidy(line), whole, line.rstrip(_EDGE.replace(":", "")).endswith(":"))
        return
    at = 0
    bare = _bare_heading(line, 0)
    if bare:
        yield _Found(offset, offset + bare[1], bare[0], bare[2], False)
        at = bare[1]
    elif _signature(line):
        yield _Found(offset, offset, "", Resolved("section", "other"), False)
        return
    scanned = at
    for colon in (match.start() for match in re.finditer(":", line)):
        if colon < at or line[colon + 1 : colon + 2] not in ("", " ", "*", "]"):
            continue
        start, at_line_start = _heading_start(line, colon, at)
        for inline in _bare_inside(line, scanned, start):
            yield _Found(offset + inline[0], offset + inline[1], inline[2], inline[3], False)
        scanned = max(scanned, start)
        words = _tidy(line[start:colon]) if start >= 0 else ""
        resolved = _resolve(words, at_line_start) if words else None
        if resolved:
            at = scanned = colon + 1
            while line[at : at + 1] in (" ", "*", "_", "]"):
                at += 1
            yield _Found(offset + start, offset + at, words, resolved, True)
    for inline in _bare_inside(line, scanned, len(line)):
        yield _Found(offset + inline[0], offset + inline[1], inline[2], inline[3], False)


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


def _whole_line(line: str) -> Resolved | None:
    """A heading alone on its line, with or without a colon."""
    words = _tidy(line)
    if not words or len(words) > 120 or line.rstrip().endswith((".", ",")):
        return None
    if line.rstrip(_EDGE.replace(":", "")).endswith(":"):
        return _resolve(words, True) if len(words) <= MAX_HEADING else None
    known = _sections().get(words.lower())
    if known and (words[0].isupper() or line.lstrip()[:1] in "*#["):
        return Resolved("section", known)
    if not words.isupper():
        return None
    if _is_title(words.lower()):
        return Resolved("title", "procedure", _organ(words) or ())
    resolved = _resolve(words, True) if len(words) <= 40 and len(words.split()) <= 4 else None
    # a line in capitals that is in no list is prose more often than a heading
    return resolved if resolved and resolved.kind != "unknown" else None


@cache
def _bare_pattern() -> re.Pattern[str]:
    names = sorted((name.upper() for name in read_data("headings")["bare"]), key=len, reverse=True)
    return re.compile(rf"(?:{'|'.join(map(re.escape, names))})(?:\s?[-:]\s?|\s)(?=[A-Z0-9\[(*-])")


def _bare_heading(line: str, at: int) -> tuple[str, int, Resolved] | None:
    """A chief heading in capitals straight before its text: ``IMPRESSION No acute disease.``"""
    marker = _MARKER.match(line, at)
    match = _bare_pattern().match(line, marker.end() if marker else at)
    if not match:
        return None
    words = _tidy(match.group())
    following = line[match.end() : match.end() + MAX_HEADING]
    if following.startswith(("OF ", "FOR ", "AND ", "ON ", "IS ", "ARE ")) or _colon_is_near(following):
        return None
    return words, match.end(), Resolved("section", _sections()[words.lower()])


def _colon_is_near(following: str) -> bool:
    """ "HISTORY OF PRESENT ILLNESS:" is a longer heading, which its colon will show."""
    head, colon, _ = following.partition(":")
    return bool(colon) and head.isupper() and "." not in head


def _bare_inside(line: str, low: int, high: int) -> Iterator[tuple[int, int, str, Resolved]]:
    for match in re.finditer(r"[.!?]\s(?=[A-Z]{4})", line[low:high]):
        start = low + match.end()
        bare = _bare_heading(line, start)
        if bare:
            yield start, bare[1], bare[0], bare[2]


def _signature(line: str) -> bool:
    return line.lstrip("/*- [").lower().startswith(tuple(read_data("headings")["signature"]))


@cache
def _sections() -> Mapping[str, SectionName]:
    table = read_data("headings")["section"]
    return {alias: cast(SectionName, name) for name, aliases in table.items() for alias in aliases}


@cache
def _words(name: str) -> frozenset[str]:
    return frozenset(read_data("headings")[name])


def _is_title(words: str) -> bool:
    return words.startswith(tuple(f"{title} " for title in read_data("headings")["titles"]))


@lru_cache(maxsize=4096)
def _resolve(words: str, at_line_start: bool) -> Resolved | None:
    """What a heading means, or None where it is none."""
    lower = re.sub(r"\s+", " ", words.lower())
    if not words[0].isalpha() or len(words) > MAX_HEADING:
        return None
    if lower in _sections() and (at_line_start or words[0].isupper()):
        return Resolved("section", _sections()[lower])
    if lower in _words("neutral") and words[0].isupper():
        return Resolved("neutral", "findings")
    if not words[0].isupper():
        return None
    if words.isupper() and _is_title(lower):
        return Resolved("title", "procedure", _organ(words) or ())
    organ = _organ(words)
    if organ is not None:
        return Resolved("organ", "findings", organ)
    near = _nearest(lower) if words.isupper() or at_line_start else None
    if near:
        return Resolved("section", near)
    return Resolved("unknown", "other") if _looks_like_heading(words, at_line_start) else None


def _organ(words: str) -> tuple[Mention, ...] | None:
    """The anatomy of an organ sub-heading; None where other words or a finding stand in it."""
    split = split_words(words)
    hits = list(vocabulary().terms.find(split))
    if not any(hit.value.stem or hit.value.kind == "node" for hit in hits) and not _is_level(words):
        return None
    if _is_title(words.lower()):
        return tuple(m for m in heading_mentions(words, split) if m.kind != "finding")
    if any(hit.value.kind in ("finding", "weak", "generic", "ignore") for hit in hits):
        return None
    covered = {index for hit in hits for index in range(hit.start, hit.end)}
    if not _is_level(words) and any(w.lower not in _words("fillers") for i, w in enumerate(split) if i not in covered):
        return None
    return heading_mentions(words, split)


def _is_level(words: str) -> bool:
    return (
        re.fullmatch(r"[CTL]\d{1,2}(?:[-/](?:[CTLS])?\d{1,2})?(?:, ?[CTL]\d{1,2}(?:[-/](?:[CTLS])?\d{1,2})?)?", words)
        is not None
    )


def _nearest(lower: str) -> SectionName | None:
    """The section of the alias that a mistyped heading is nearest to, if it is near enough."""
    if len(lower) < FUZZY_LENGTH or lower in read_data("headings")["notlike"]:
        return None
    from rapidfuzz import fuzz, process

    best = process.extractOne(lower, _long_aliases(), scorer=fuzz.ratio, score_cutoff=FUZZY_CUTOFF)
    return _sections()[best[0]] if best else None


@cache
def _long_aliases() -> tuple[str, ...]:
    return tuple(alias for alias in _sections() if len(alias) >= FUZZY_LENGTH)


def _looks_like_heading(words: str, at_line_start: bool) -> bool:
    parts = words.split()
    if (
        len(parts) > 6
        or any(mark in words for mark in ".,;?!")
        or any(part.lower() in _words("prose") for part in parts[1:])
    ):
        return False
    if words.isupper():
        return sum(c.isalpha() for c in words) >= 2 and (at_line_start or len(words) >= 4)
    has_finding = any(
        hit.value.kind in ("finding", "weak", "generic") for hit in vocabulary().terms.find(split_words(words))
    )
    return at_line_start and len(parts) <= 4 and not has_finding and not any(c.isdigit() for c in words)
