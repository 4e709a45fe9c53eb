"""A cleaned text read: its blocks cut into sentences, the sentences tagged.

Enters: a cleaned text, its blocks, what a tokenizer knows about its full stops and abbreviations. Leaves:
`BlockSentence`s. Refuses: to know about spaCy; `reports.pipeline` wraps this into its components.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import NamedTuple

from reports.assertion import Judgement, is_denial_alone, judge_sentence
from reports.mentions import find_mentions
from reports.sections import Block
from reports.sentences import split_sentences
from reports.tags import Context, Tags, tag_sentence
from reports.vocabulary import split_words

_WITHOUT_PICTURE = ("history", "indication", "other", "comparison")
"""Sections where "worse" and "previously" compare complaints, not examinations, and the one that only names them."""
_BACKGROUND = ("history", "indication")


class BlockSentence(NamedTuple):
    """A sentence of a cleaned text: its block, its half-open range, what it says."""

    block: Block
    start: int
    end: int
    tags: Tags | None = None
    judgement: Judgement | None = None


def find_sentences(text: str, blocks: Iterable[Block], inside_tokens: Container[int]) -> list[BlockSentence]:
    """The sentences of a text, not yet tagged; `inside_tokens` as in `reports.sentences.split_sentences`."""
    sentences: list[BlockSentence] = []
    for block in blocks:
        if block.is_administrative:
            continue
        first, low = True, block.body
        has_inline = bool(block.context) and block.heading != "" and text[block.body : block.body + 1].isalnum()
        for start, end in split_sentences(text, low, block.end, inside_tokens=inside_tokens):
            # "LIVER: Normal." is one sentence; a sub-heading on a line of its own is none
            at = _heading_start(text, block) if first and has_inline and not block.opens else start
            sentences.append(BlockSentence(block, at, end))
            first = False
    return sentences


def _heading_start(text: str, block: Block) -> int:
    """Where a sub-heading's words begin, behind its list number."""
    at = text.find(block.heading, block.start, block.body)
    return at if at >= 0 else block.body


def tag_sentences(
    text: str, sentences: Sequence[BlockSentence], aliases: Mapping[str, str], language: str
) -> list[BlockSentence]:
    """The sentences with regions, laterality and assertion; `aliases` are the report's own abbreviations."""
    tagged: list[BlockSentence] = []
    last: Block | None = None
    for sentence in sentences:
        tagged.append(_tagged(text, sentence, aliases, language, is_own=sentence.block is not last))
        last = sentence.block
    return tagged


def _tagged(
    text: str, sentence: BlockSentence, aliases: Mapping[str, str], language: str, *, is_own: bool
) -> BlockSentence:
    block, words_text = sentence.block, text[sentence.start : sentence.end]
    words = split_words(words_text)
    body = block.body - sentence.start
    body_start = 0 if body <= 0 else next((i for i, word in enumerate(words) if word.start >= body), len(words))
    mentions = find_mentions(words_text, words, aliases, language)
    judgement = judge_sentence(
        words,
        mentions.findings,
        language,
        anatomy=[(one.start, one.end) for one in mentions.anatomy] + [side[:2] for side in mentions.sides],
        is_background=block.section in _BACKGROUND,
    )
    if is_denial_alone(text[max(sentence.start, block.body) : sentence.end], language):
        judgement = Judgement("absent", True, False)
    if judgement.is_prior_comparison and block.section in _WITHOUT_PICTURE:
        judgement = judgement._replace(is_prior_comparison=False)
    context = Context(block.context if is_own or sentence.start < block.context_end else (), is_own=is_own)
    tags = tag_sentence(
        words, mentions, context=context, body_start=body_start, is_normal=judgement.is_normal, language=language
    )
    return BlockSentence(block, sentence.start, sentence.end, tags, judgement)
