"""Sections of a cleaned report, and the organ sub-headings inside them.

Enters: a cleaned text and its headings. Leaves: `Block`s, each a stretch of text under one heading and at most one
sub-heading. Refuses: to let an administrative line swallow the narrative behind it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from reports.clean import BREAK
from reports.heading_words import NO_LISTS, Lists, Resolved, is_title, listed
from reports.headings import Heading, find_headings
from reports.mentions import Mention
from reports.records import SectionName
from reports.vocabulary import split_words, vocabulary

MAX_TITLE_WORDS = 14
_FIRST_SENTENCE = re.compile(rf"[^.!?{BREAK}]+\.(?= )")
_PROSE_PIECE = re.compile(rf"[^.!?{BREAK}]+")
_BLANK = f" {BREAK}"
_FIELD_VALUE = re.compile(r"(?:\[[A-Z]{2,8}\]|[\s,.:/()-]|\d|M\.?D\b|D\.?O\b|AM\b|PM\b|at\b|on\b)*")
_BACKGROUND = ("indication", "history", "comparison", "technique")
_NARRATIVE = ("findings", "impression", "recommendation", "addendum")
_BEFORE_FINDINGS = ("procedure", "other")


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
    context_end : int
        Sentences that start before it inherit `context`: the end of the paragraph for a heading that begins a line or
        list item, the heading's own first sentence for one inside prose.
    is_unknown : bool
        The heading is in no list.
    is_administrative : bool
        The stretch is about who, when and by whom; it holds no sentence.
    """

    section: SectionName
    opens: bool
    heading: str
    start: int
    body: int
    end: int
    context: tuple[Mention, ...] = ()
    context_end: int = 0
    is_unknown: bool = False
    is_administrative: bool = False


def find_blocks(text: str, lists: Lists = NO_LISTS) -> list[Block]:
    """Cut a cleaned text into blocks that cover it without overlap, in order."""
    language = lists.language
    found = _as_findings(_as_note(list(find_headings(text, lists)), language), text)
    blocks: list[Block] = []
    first = found[0].start if found else len(text)
    if text[:first].strip(_BLANK):
        blocks += _preamble(text[:first], found, language)
    narrative: SectionName = blocks[-1].section if blocks else "other"
    has_findings = _has_findings(found)
    for index, heading in enumerate(found):
        end = found[index + 1].start if index + 1 < len(found) else len(text)
        stop = _line_bound_end(heading, text, end, language)
        if stop is None and heading.resolved.name in _BACKGROUND and not has_findings:
            stop = _background_end(text, heading.body, end, language)
        section = blocks[-1].section if blocks else None
        block = _block(heading, section, text, end if stop is None else stop)
        is_more = block.is_administrative and bool(blocks) and blocks[-1].is_administrative
        blocks.append(replace(block, opens=not is_more) if block.is_administrative else block)
        if stop is None:
            narrative = blocks[-1].section
        elif text[stop:end].strip(_BLANK):
            is_new = heading.resolved.kind in ("title", "section") or narrative in _BEFORE_FINDINGS
            if is_new and narrative not in _NARRATIVE:
                narrative = _section_of_preamble(text[stop:end], found, language)
            blocks.append(Block(narrative, narrative != blocks[-1].section, "", stop, stop, end))
    return blocks


def _as_note(found: list[Heading], language: str) -> list[Heading]:
    """In a clinical note "EXAM" is the examination of a patient, not the name of a radiological one."""
    names = [h.words.lower() for h in found]
    if "findings" in names and "description" in names[: names.index("findings")]:  # of what was done, in a procedure
        at = names.index("description")
        found = [*found[:at], found[at]._replace(resolved=Resolved("section", "technique")), *found[at + 1 :]]
    if len(set(names) & listed("clinical", language)) < 2:
        return found
    return [
        h._replace(resolved=Resolved("section", "other")) if h.words.lower() in ("exam", "examination") else h
        for h in found
    ]


def _as_findings(found: list[Heading], text: str) -> list[Heading]:
    """Between "FINDINGS" and the next section an unknown heading among organs is one, "CT HEAD" no title."""
    settled: list[Heading] = []
    is_inside = is_list = is_over = False
    for index, heading in enumerate(found):
        kind, name, context = heading.resolved
        if kind == "title" and _is_text_of(heading, found[index - 1] if index else None, text):
            continue
        if kind in ("organ", "title") and heading.has_colon and not is_over:  # where the findings heading is missing
            is_inside = is_list = True
        if kind == "section":
            is_over = name in ("impression", "recommendation", "addendum")
            is_inside, end = name == "findings", found[index + 1].start if index + 1 < len(found) else len(text)
            is_list = is_inside and not text[heading.body : end].strip(_BLANK)
        elif kind in ("organ", "neutral"):
            is_list = True
        elif is_inside and kind == "title" and not heading.has_colon:
            heading = heading._replace(resolved=Resolved("neutral", "findings", context))
        elif kind == "unknown" and not heading.has_colon:  # a line in capitals: among organs a label, else prose
            if not (is_inside and is_list):
                continue
            heading = heading._replace(resolved=Resolved("unknown", "findings"))
        elif is_inside and is_list and kind == "unknown" and heading.is_at_start:
            heading = heading._replace(resolved=Resolved("unknown", "findings"))
        elif is_over and kind == "unknown" and not heading.words.isupper():  # "1. Partial response: smaller nodes"
            continue
        elif kind in ("administrative", "signature"):
            is_inside = False
        settled.append(heading)
    return settled


def _is_text_of(heading: Heading, before: Heading | None, text: str) -> bool:
    """Whether a title without colon is the text of the heading above it: "Technique", then "CT angiography"."""
    if before is None or heading.has_colon or before.resolved.kind != "section":
        return False
    is_below = text[before.body : heading.start].strip(" ") in ("", BREAK)
    own = ("technique", "comparison", "indication", "history", "impression", "recommendation")
    return is_below and before.resolved.name in own


def _block(heading: Heading, section: SectionName | None, text: str, end: int) -> Block:
    """The stretch under a heading that ends at `end` and stands in or behind `section`."""
    name, opens = _place(heading, section, is_empty=not text[heading.body : end].strip(_BLANK))
    kind = heading.resolved.kind
    is_text = kind == "title" and not heading.has_colon
    return Block(
        name,
        opens,
        "" if is_text else heading.words,
        heading.start,
        heading.start if is_text else heading.body,
        end,
        heading.resolved.context if kind in ("organ", "neutral", "title") else (),
        _paragraph_end(text, heading.body, end) if heading.is_at_start else heading.body,
        is_unknown=kind == "unknown",
        is_administrative=kind in ("administrative", "signature"),
    )


def _paragraph_end(text: str, body: int, end: int) -> int:
    """Where the paragraph under a heading ends: with its line, or at a blank line for a heading alone on its line."""
    start = body
    while start < end and text[start] in _BLANK:
        start += 1
    mark = BREAK * 2 if BREAK in text[body:start] else BREAK
    at = text.find(mark, start, end)
    return end if at < 0 else at


def _line_bound_end(heading: Heading, text: str, end: int, language: str) -> int | None:
    """Where the text of a heading ends that cannot own more than a line or a few; None where it owns all."""
    kind = heading.resolved.kind
    if kind == "title" and not heading.has_colon:
        return heading.body
    if kind not in ("administrative", "signature"):
        return None
    at = heading.body
    for number, line in enumerate(text[heading.body : end].split(BREAK)):
        is_first = number <= 2 and not text[heading.body : at].strip(_BLANK)
        is_value = is_first or _FIELD_VALUE.fullmatch(line) is not None
        if _is_clinical(line, language) or not (is_value or kind == "signature"):
            break
        at = min(at + len(line) + 1, end)
    return at


def _background_end(text: str, body: int, end: int, language: str) -> int | None:
    """Where the history ends in a report without a findings heading: at a blank line before prose about a body."""
    start = body
    while start < end and text[start] in _BLANK:
        start += 1
    at = text.find(BREAK * 2, start, end)
    return at if at >= 0 and _is_clinical(text[at:end], language) else None


def _has_findings(found: list[Heading]) -> bool:
    return any(heading.resolved.name == "findings" for heading in found if heading.resolved.kind == "section")


def _is_clinical(line: str, language: str) -> bool:
    """Whether a line is prose about a body: what an administrative line never is."""
    return _holds_prose(line, language) and any(vocabulary(language).terms.find(split_words(line)))


def _preamble(text: str, found: list[Heading], language: str) -> list[Block]:
    """What stands before the first heading, the examination's name as a sentence of its own apart from the rest."""
    title = _FIRST_SENTENCE.match(text)
    words = title[0].strip(" .").lower() if title else ""
    blocks = []
    start = 0
    if title and text[title.end() :].strip(_BLANK) and _is_bare_title(words, language):
        start = title.end()
        blocks.append(Block("procedure", True, "", 0, 0, start))
    return [*blocks, Block(_section_of_preamble(text[start:], found, language), True, "", start, start, len(text))]


def _is_bare_title(words: str, language: str) -> bool:
    is_short = len(words.split()) <= MAX_TITLE_WORDS
    return is_short and is_title(f"{words} ", language) and listed("prose", language).isdisjoint(words.split())


def _section_of_preamble(text: str, found: list[Heading], language: str) -> SectionName:
    """What stands before the first heading: the findings if nothing else is, a title, or something else."""
    if not _has_findings(found) and (not found or _holds_prose(text, language)):
        return "findings"
    return "procedure" if is_title(text.strip(f" {BREAK}").lower(), language) else "other"


def _holds_prose(text: str, language: str) -> bool:
    return any(_is_prose(piece, language) for piece in _PROSE_PIECE.findall(text))


def _is_prose(sentence: str, language: str) -> bool:
    words = sentence.lower().split()
    if len(words) < 3 or is_title(sentence.strip().lower(), language):
        return False
    # in capitals "CT OF THE CHEST" is a title, so a verb has to tell
    return not listed("verbs" if sentence.isupper() else "prose", language).isdisjoint(words)


def _place(heading: Heading, section: SectionName | None, *, is_empty: bool) -> tuple[SectionName, bool]:
    """The section a heading's text belongs to, and whether the section starts there."""
    kind, name, _ = heading.resolved
    if kind in ("section", "administrative", "signature") or (kind == "unknown" and name != "findings"):
        return name, True
    if kind == "title":
        if heading.has_colon and not is_empty:  # "CT ABDOMEN: The liver is normal."
            return ("findings", section != "findings")
        return "procedure", True
    if section in ("findings", "impression", "addendum", "other", "recommendation"):
        return section, False
    return "findings", True  # an organ straight after the technique: the findings heading is missing
