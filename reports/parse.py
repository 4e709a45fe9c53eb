"""One report's text to sections and tagged sentences.

Enters: a text, best de-identified before. Leaves: `ParsedReport`, whose every span slices the text as it was given.
Refuses: to tag anatomy in a language whose words it does not know; such a report keeps its sections and sentences.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from typing import Any

from reports.clean import BREAK, Cleaned, clean
from reports.grammar import ENGLISH, read_data, tagged_languages
from reports.heading_words import Lists
from reports.measurements import find_measurements_mm
from reports.pointers import find_pointer
from reports.profiles import NO_PROFILE, Profile, plain
from reports.reasons import ReportFlag
from reports.records import Entity, ParsedReport, Section, Sentence
from reports.sections import Block

_LANGUAGE_SAMPLE = 4000
"""Characters that decide the language."""


def parse_report(
    text: str, *, language: str | None = None, profile: Profile = NO_PROFILE, model: str = ""
) -> ParsedReport:
    """Parse one report.

    Parameters
    ----------
    text : str
        The narrative; de-identified text may hold placeholders such as ``[NAME]``.
    language : str, optional
        ISO 639-1 code, or a tag that begins with one; guessed from the text if None.
    profile : Profile
        What an institution adds to the built-in lists.
    model : str
        Name or folder of a spaCy model whose entities are wanted besides; see `reports.pipeline.build_pipeline`.

    Returns
    -------
    ParsedReport
        Sections and sentences do not overlap and come in reading order; `Sentence.text` is its slice of `text`.

    Raises
    ------
    ConfigError
        The model cannot be loaded.
    """
    from reports.pipeline import cached_pipeline, read_text, run_pipeline

    code = language.lower()[:2] if language else guess_language(text)
    is_tagged = code in tagged_languages()
    cleaned = clean(text, profile.headings)
    lists = Lists(profile, code if is_tagged else ENGLISH)
    if model:
        doc = run_pipeline(cached_pipeline(tags=is_tagged, model=model), cleaned.text, lists)
        blocks, tagged = doc.user_data["t3d_blocks"], doc.user_data["t3d_sentences"]
        entities = _entities(cleaned, doc)
    else:
        blocks, tagged = read_text(cleaned.text, lists, tags=is_tagged)
        entities = ()
    sentences: list[Sentence] = []
    for found in tagged:
        span = cleaned.span(found.start, found.end)
        words = cleaned.text[found.start : found.end]
        if profile.boilerplate and plain(words) in profile.boilerplate:
            continue
        sentences.append(
            Sentence(
                section=found.block.section,
                index=len(sentences),
                span=span,
                text=text[span.start : span.end],
                regions=found.tags.regions if found.tags else (),
                laterality=found.tags.laterality if found.tags else None,
                # an unread language must not pass for a positive finding
                assertion=found.judgement.assertion if found.judgement else "uncertain",
                is_normal=found.judgement.is_normal if found.judgement else False,
                is_prior_comparison=found.judgement.is_prior_comparison if found.judgement else False,
                image_pointer=find_pointer(words),
                measurements_mm=find_measurements_mm(words),
            )
        )
    unknown = tuple(block.heading for block in blocks if block.is_unknown)
    flags = _flags(cleaned, blocks, is_tagged=is_tagged, has_unknown=bool(unknown))
    return ParsedReport(text, _sections(cleaned, blocks), tuple(sentences), code, unknown, flags, entities)


def _entities(cleaned: Cleaned, doc: Any) -> tuple[Entity, ...]:
    """A model's entities, with what a linker such as scispaCy's left on them; none crosses a break."""
    return tuple(
        Entity(
            cleaned.span(found.start_char, found.end_char),
            found.label_,
            tuple((str(name), float(value)) for name, value in found._.kb_ents) if found._.has("kb_ents") else (),
        )
        for found in doc.ents
        if BREAK not in found.text
    )


def guess_language(text: str) -> str:
    """The language whose commonest words the text uses most; English where none is seen."""
    words = Counter(re.findall(r"[a-zà-ÿ]+", text[:_LANGUAGE_SAMPLE].lower()))
    counts = {code: sum(words[word] for word in known & words.keys()) for code, known in _function_words().items()}
    best = max(counts.values())
    return "en" if counts["en"] == best else max(sorted(counts), key=counts.__getitem__)


@cache
def _function_words() -> dict[str, frozenset[str]]:
    return {code: frozenset(words) for code, words in read_data("languages")["words"].items()}


def _sections(cleaned: Cleaned, blocks: list[Block]) -> tuple[Section, ...]:
    """Runs of blocks between two section headings, trimmed; a heading without text is no section."""
    openers = [block for block in blocks if block.opens]
    ends = [block.start for block in openers[1:]] + [len(cleaned.text)]
    sections: list[Section] = []
    for block, end in zip(openers, ends, strict=False):  # no opener at all in an empty text
        # a section that an organ sub-heading opens keeps it if its text is on the same line: its words are findings
        is_inline = cleaned.text[block.body : block.body + 1] != BREAK
        is_organ = block.context and block.section == "findings" and not block.heading.lower().endswith("findings")
        start = block.start if is_organ and is_inline else block.body
        while start < end and cleaned.text[start] in f" {BREAK}":
            start += 1
        while start < end and cleaned.text[end - 1] in f" {BREAK}":
            end -= 1
        if start < end:
            sections.append(Section(block.section, cleaned.span(start, end), block.heading))
    return tuple(sections)


def _flags(cleaned: Cleaned, blocks: list[Block], *, is_tagged: bool, has_unknown: bool) -> tuple[str, ...]:
    flags: list[ReportFlag] = []
    if not any(block.heading for block in blocks if block.opens):
        flags.append(ReportFlag.NO_SECTIONS)
    if has_unknown:
        flags.append(ReportFlag.UNKNOWN_HEADING)
    if not is_tagged:
        flags.append(ReportFlag.UNTAGGED_LANGUAGE)
    if cleaned.removed:
        flags.append(ReportFlag.TEXT_LEFT_OUT)
    return tuple(str(flag.value) for flag in flags)
