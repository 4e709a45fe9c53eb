"""Headings of a cleaned report: where they stand.

Enters: a cleaned text. Leaves: `Heading`s in reading order, what each means as `reports.heading_words` says. Refuses:
to take prose with a colon for a heading.

A heading ends with a colon or a dash, or stands alone on its line, or (the chief ones, in capitals) straight before its
text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from reports.clean import BREAK
from reports.heading_words import (
    MAX_HEADING,
    NO_LISTS,
    Lists,
    Resolved,
    all_listed,
    is_label,
    is_named_examination,
    is_title,
    known_heading,
    listed,
    names_examination,
    organ_of,
    resolve,
    sections_of,
)
from reports.vocabulary import split_words, vocabulary

_MARKER = re.compile(r"[\s\d.)(\[\]*#=_|>-]{0,8}")
_DASHED = re.compile(r"[\s\d.)*]{0,6}([A-Za-z][A-Za-z/ ]{2,40}?) - (?=\S)")
_STOPPED = re.compile(r"([A-Z][A-Za-z]{3,14}(?: [A-Za-z]{3,14})?)\. (?=[A-Z0-9])")
_SIGNED = re.compile(r"(?:(?:Dr|Prof|Mr|Mrs|Ms|Miss)\.? )?\[NAME\][^.:]{0,100}\.?")
_EDGE = " .-*_=#[](){}|:;<>"
_DATE_BEHIND = re.compile(r"[ *=_-]{1,8}(?:\[(?:DATE|TIME)\]?[ ,]{0,2}){1,2}$")
_EDGE_BUT_COLON = _EDGE.replace(":", "")
_COLON = re.compile(":")
_CAPITALS_BEHIND = re.compile(r"[.!?]\s(?=[A-Z]{4})")
_VERB = re.compile(r"\b(?:is|was|were|has|had|have|with|who|by|at|on|informed|notified|called|discussed)\b")
_SENTENCE_END = re.compile(r"[.!?;:\]]\s")


_LETTERHEAD = re.compile(
    r"(?:\[(?:NAME|PLACE|ADDRESS|PHONE|DATE|TIME|ID)\]|[\s,.:/()-]|M\.?D\b|D\.?O\b|Ph\.?D\b|Dr\b|Department|Dept|of\b|Radiology"
    r"|Imaging|Diagnostic|Hospital|Clinic|University|Medical|Health|Cent(?:er|re)|AM\b|PM\b|at\b|on\b|by\b){1,40}"
)
"""A line of placeholders and what stands beside names and places."""


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
    start, has_small = 0, not text.isupper()
    lines = text.split(BREAK)
    opens = True
    for number, line in enumerate(lines):
        if line.strip():
            following = lines[number + 1] if number + 1 < len(lines) else ""
            is_over_text = has_small and bool(following.strip()) and not following.isupper()
            found = list(
                _line_headings(line, start, lists, is_over_text=is_over_text, opens=opens, has_small=has_small)
            )
            yield from found
            opens = bool(found) and found[-1].body == start + len(line)
        else:
            opens = True
        start += len(line) + 1


def _line_headings(
    line: str, offset: int, lists: Lists, *, is_over_text: bool, opens: bool, has_small: bool
) -> Iterator[Heading]:
    whole = _whole_line(line, lists)
    if whole is None and has_small and line.isupper():
        whole = _label_line(line, lists.language, is_over_text=is_over_text)
    if whole is None and is_over_text and opens:
        whole = _organ_line(line, lists.language)
    if whole:
        yield Heading(offset, offset + len(line), _tidy(line), whole, line.rstrip(_EDGE_BUT_COLON).endswith(":"))
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
    dashed = None if bare else _dashed_heading(line, lists) or _stopped_heading(line, lists.language)
    if dashed:
        yield dashed
        at = dashed.body
    scanned, is_administrative = at, False
    for colon in (match.start() for match in _COLON.finditer(line)):
        if colon < at or line[colon + 1 : colon + 2] not in ("", " ", "*", "]"):
            continue
        start, at_line_start = _heading_start(line, colon, at)
        if is_administrative and line[start : start + 1].isdigit():  # the value of a field is no list number
            start, at_line_start = -1, False
        yield from _bare_inside(line, scanned, start, lists.language)
        scanned = max(scanned, start)
        words = _tidy(line[start:colon]) if start >= 0 else ""
        resolved = resolve(words, at_line_start, lists) if words else None
        if words.lower() not in all_listed(lists) and (is_administrative or not resolved or resolved.kind == "title"):
            is_value = is_administrative or resolved is not None
            behind = _heading_behind_value(line, max(at, colon - MAX_HEADING), colon, lists, any_case=is_value)
            start, words, resolved = behind if behind[2] or is_administrative else (start, words, resolved)
        if resolved:
            at = scanned = colon + 1
            while line[at : at + 1] in (" ", "*", "_", "]") and not line.startswith("___", at):
                at += 1
            is_administrative = resolved.kind == "administrative"
            yield Heading(start, at, words, resolved, True)
    yield from _bare_inside(line, scanned, len(line), lists.language)


def _dashed_heading(line: str, lists: Lists) -> Heading | None:
    """A heading that a dash ends: "Clinical indication - cough", "Right maxillary sinus - clear"."""
    match = _DASHED.match(line) if " - " in line else None
    words = _tidy(match.group(1)) if match else ""
    if not match or not words or not words[0].isupper():
        return None
    resolved = known_heading(words.lower(), lists)
    organ = None if resolved else organ_of(words, lists.language)
    resolved = resolved or (Resolved("organ", "findings", organ) if organ else None)
    return Heading(match.start(1), match.end(), words, resolved, True) if resolved else None


def _stopped_heading(line: str, language: str) -> Heading | None:
    """A chief heading that a full stop ends: "Impression. No acute disease."."""
    match = _STOPPED.match(line)
    words = match[1].lower() if match else ""
    if not match or words not in listed("bare", language):
        return None
    return Heading(0, match.end(), match[1], Resolved("section", sections_of(language)[words]), True)


def _heading_behind_value(
    line: str, low: int, colon: int, lists: Lists, *, any_case: bool
) -> tuple[int, str, Resolved | None]:
    """The known heading behind the text of the one before: "MRN" in "Patient: Jane Doe MRN: 123".

    Behind a narrative only one in capitals, or a chief one, is taken for a heading, unless `any_case`.
    """
    chief = listed("bare", lists.language)
    starts = [match.start() for match in re.finditer(r"(?<![^ ])[A-Z]", line[low:colon])][-3:]
    for start in starts:
        words = _tidy(line[low + start : colon])
        resolved = resolve(words, False, lists) if words else None
        is_own = not line[low : low + start].isupper() if words.isupper() else words.lower() in chief
        is_plain = any_case or is_own
        if (
            resolved
            and is_plain
            and resolved.kind in ("section", "administrative")
            and words.lower() in all_listed(lists)
        ):
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
    if line.rstrip(_EDGE_BUT_COLON).endswith(":"):
        resolved = resolve(words, True, lists) if len(words) <= MAX_HEADING else None
        return resolved or (Resolved("neutral", "findings") if is_label(words, lists.language) else None)
    known = known_heading(words.lower(), lists)
    if not known and "[" in words:
        known = known_heading(_DATE_BEHIND.sub("", words).strip(_EDGE).lower(), lists)
    if known and (words[0].isupper() or line.lstrip()[:1] in "*#["):
        return known
    if is_named_examination(words, lists.language):
        return Resolved("title", "procedure", organ_of(words, lists.language) or ())
    if not words.isupper():
        return None
    if is_title(words.lower(), lists.language) or names_examination(words, lists.language):
        return Resolved("title", "procedure", organ_of(words, lists.language) or ())
    resolved = resolve(words, True, lists) if len(words) <= 40 and len(words.split()) <= 4 else None
    # a line in capitals that is in no list is prose more often than a heading
    return resolved if resolved and resolved.kind != "unknown" else None


def _organ_line(line: str, language: str) -> Resolved | None:
    """An organ alone on the first line of a paragraph, its text below: "Lungs"."""
    words = _tidy(line)
    if not words[:1].isupper() or len(words.split()) > 4 or line.rstrip().endswith((".", ",", ";")) or ":" in words:
        return None
    organ = organ_of(words, language)
    return Resolved("organ", "findings", organ) if organ else None


def _label_line(line: str, language: str, *, is_over_text: bool) -> Resolved | None:
    """A line in capitals that is in no list and may be a sub-heading: "ACCESS VESSELS"; its neighbours decide.

    One that names a finding ("RIGHT HEART STRAIN") states it, unless its text follows straight below.
    """
    words = line.strip(_EDGE)
    is_short = len(words.split()) <= 5 and len(words) >= 4 and not line.rstrip().endswith((".", ","))
    is_plain = is_short and all(mark.isalpha() or mark in " /&-," for mark in words)
    if not is_plain or not listed("verbs", language).isdisjoint(words.lower().split()):
        return None
    hits = vocabulary(language).terms.find(split_words(words))
    is_finding = any(hit.value.kind in ("finding", "weak", "generic") for hit in hits)
    return None if is_finding and not is_over_text else Resolved("unknown", "other")


@cache
def _bare_pattern(language: str) -> re.Pattern[str]:
    names = sorted((name.upper() for name in listed("bare", language)), key=lambda name: (-len(name), name))
    return re.compile(rf"<?(?:{'|'.join(map(re.escape, names))})(?:\s?[-:>]\s?|\s)(?=[A-Z0-9\[(*-])")


def _bare_heading(line: str, at: int, language: str) -> tuple[str, int, Resolved] | None:
    """A chief heading in capitals straight before its text: ``IMPRESSION No acute disease.``"""
    marker = _MARKER.match(line, at)
    match = _bare_pattern(language).match(line, marker.end() if marker else at)
    if not match:
        return None
    words = _tidy(match.group())
    following = line[match.end() : match.end() + MAX_HEADING]
    is_subject = following.partition(" ")[0].lower() in listed("goes_on", language)
    if is_subject or _colon_is_near(following):
        return None
    return words, match.end(), Resolved("section", sections_of(language)[words.lower()])


def _colon_is_near(following: str) -> bool:
    """ "HISTORY OF PRESENT ILLNESS:" is a longer heading, which its colon will show."""
    head, colon, _ = following.partition(":")
    return bool(colon) and head.isupper() and "." not in head


def _bare_inside(line: str, low: int, high: int, language: str) -> Iterator[Heading]:
    for match in _CAPITALS_BEHIND.finditer(line[low:high]):
        start = low + match.end()
        bare = _bare_heading(line, start, language)
        if bare:
            yield Heading(start, bare[1], bare[0], bare[2], False)


def _signature(line: str, lists: Lists) -> bool:
    if "[" in line and _LETTERHEAD.fullmatch(line):
        return True
    if "[" in line and _SIGNED.fullmatch(line) and not _VERB.search(line):
        return True  # "Dr [NAME] (Fellow) / Dr [NAME] (Consultant)"
    return line.lstrip("/*- [").lower().startswith(_signatures(lists))


@cache
def _signatures(lists: Lists) -> tuple[str, ...]:
    return (*sorted(listed("signature", lists.language)), *lists.profile.signature)
