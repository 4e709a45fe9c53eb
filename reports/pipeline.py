"""The spaCy pipeline: a blank English model, scispaCy's tokenizer and abbreviations, and this package's components.

Enters: a cleaned text. Leaves: a `Doc` with sections (``doc.spans["t3d_sections"]``), sentences (``doc.sents``), the
report's own abbreviations, and `BlockSentence` records (``doc.user_data["t3d_sentences"]``). Refuses: to download.

The components are registered as factories, so that any pipeline can add them: ``t3d_abbreviations``,
``t3d_sections``, ``t3d_sentences``, ``t3d_tags``. They run in this order, and are thin: what they do is in
`reports.reading`, which `reports.parse` calls without making a `Doc` unless a model or an abbreviation needs one.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
from scispacy.abbreviation import AbbreviationDetector, filter_matches, find_abbreviation
from scispacy.custom_tokenizer import combined_rule_tokenizer
from spacy.attrs import IDX, ORTH, SENT_START
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from reports.clean import BREAK
from reports.heading_words import NO_LISTS, Lists
from reports.reading import BlockSentence, find_sentences, tag_sentences
from reports.sections import Block, find_blocks
from t3dkit.errors import ConfigError

MAX_ABBREVIATION_TOKENS = 10
"""Tokens between parentheses. scispaCy ignores longer ones; looking no further keeps the time linear."""
_TOO_LONG = re.compile(r"\S{120}")
_CHUNK = re.compile(r"\S+|\s{2,}|[^\S ]")
"""What the tokenizer takes apart by itself: it parts a text at spaces first."""
_PLAIN_TOKEN = re.compile(r"\w+|[^\w ]| ")


class BoundedAbbreviationDetector(AbbreviationDetector):
    """scispaCy's Schwartz-Hearst detector with a bounded search for parentheses.

    The original matches every pair of parentheses, which is quadratic on hostile text.

    References
    ----------
    Schwartz and Hearst, Pac Symp Biocomput 2003:451-462.
    """

    def __call__(self, doc: Doc) -> Doc:
        """Set ``doc._.abbreviations`` and each one's ``._.long_form``."""
        doc._.abbreviations = []
        pairs = _parentheses(doc)
        if pairs:
            candidates = filter_matches([(0, start, end) for start, end in pairs], doc)
            candidates = [(long, short) for long, short in candidates if find_abbreviation(long, short)[1] is not None]
            if not candidates:
                return doc
            for long_form, shorts in self.find_matches_for(candidates, doc):
                for short in shorts:
                    short._.long_form = long_form
                    doc._.abbreviations.append(short)
        return doc


def _parentheses(doc: Doc) -> list[tuple[int, int]]:
    """Token ranges between an opening parenthesis and the next closing one."""
    orth = doc.to_array(ORTH)
    left, right = doc.vocab.strings["("], doc.vocab.strings[")"]
    pairs: list[tuple[int, int]] = []
    opened: int | None = None
    for index in np.flatnonzero((orth == left) | (orth == right)).tolist():
        if orth[index] == left:
            opened = index + 1
        elif opened is not None:
            if 0 < index - opened <= MAX_ABBREVIATION_TOKENS and opened > 1:
                pairs.append((opened, index))
            opened = None
    return pairs


class BoundedTokenizer:
    """A tokenizer, kept from words so long that peeling their punctuation is quadratic.

    A text with such a word, hostile or a base64 blob, is cut at words and punctuation marks instead.
    """

    def __init__(self, vocab: Vocab, tokenizer: Callable[[str], Doc]) -> None:
        self.vocab, self._tokenizer = vocab, tokenizer

    def __call__(self, text: str) -> Doc:
        """Tokens of `text`; joined again they are `text`."""
        if _TOO_LONG.search(text) is None:
            return self._tokenizer(text)
        words: list[str] = []
        spaces: list[bool] = []
        for match in _PLAIN_TOKEN.finditer(text):
            if match.group() == " " and spaces and not spaces[-1]:
                spaces[-1] = True
            else:
                words.append(match.group())
                spaces.append(False)
        return Doc(self.vocab, words=words, spaces=spaces)


@Language.factory("t3d_abbreviations")
def make_abbreviations(nlp: Language, name: str) -> BoundedAbbreviationDetector:
    """Abbreviations that the report itself defines."""
    return BoundedAbbreviationDetector(nlp, name)


@Language.component("t3d_sections")
def set_sections(doc: Doc) -> Doc:
    """Sections and sub-headings, as spans labelled with the section's name and as blocks in ``user_data``."""
    blocks = find_blocks(text_of(doc), doc.user_data.get("t3d_lists", NO_LISTS))
    doc.user_data["t3d_blocks"] = blocks
    offsets = doc.to_array(IDX)
    spans = []
    for block in blocks:
        if block.opens:
            first, last = np.searchsorted(offsets, [block.start, block.end]).tolist()
            if first < last:
                spans.append(Span(doc, first, last, label=block.section))
    doc.spans["t3d_sections"] = spans
    return doc


@Language.component("t3d_sentences")
def set_sentences(doc: Doc) -> Doc:
    """Sentences, as spaCy sentence starts and as ranges in ``user_data``."""
    text = text_of(doc)
    sentences = find_sentences(text, doc.user_data["t3d_blocks"], _stops_inside_tokens(doc, text))
    doc.user_data["t3d_sentences"] = sentences
    # token by token, spaCy looks through the whole Doc at each assignment
    is_start = np.where(np.isin(doc.to_array(IDX), [sentence.start for sentence in sentences]), 1, -1)
    if len(is_start):
        is_start[0] = 1
        starts: Any = is_start.astype(np.int64).astype(np.uint64)[:, None]
        doc.from_array([SENT_START], starts)
    return doc


def _stops_inside_tokens(doc: Doc, text: str) -> set[int]:
    """Offsets of the full stops that belong to a longer token: "e.g.", "3.2"."""
    stops = [match.start() for match in re.finditer(r"\.", text)]
    if not stops:
        return set()
    offsets = doc.to_array(IDX)
    owners = offsets[np.searchsorted(offsets, stops, side="right") - 1]
    return {stop for stop, owner in zip(stops, owners.tolist(), strict=True) if owner < stop}


@Language.component("t3d_tags")
def set_tags(doc: Doc) -> Doc:
    """Regions, laterality and assertion of each sentence."""
    language = doc.user_data.get("t3d_lists", NO_LISTS).language
    doc.user_data["t3d_sentences"] = tag_sentences(
        text_of(doc), doc.user_data["t3d_sentences"], abbreviations_of(doc), language
    )
    return doc


def abbreviations_of(doc: Doc) -> dict[str, str]:
    """The abbreviations that a report itself defines, with their long forms."""
    if not doc.has_extension("abbreviations"):
        return {}
    return {short.text: short._.long_form.text for short in doc._.abbreviations}


def build_pipeline(*, tags: bool = True, model: str = "") -> Language:
    """A new pipeline: scispaCy's tokenizer on a blank English model, then the components above.

    Parameters
    ----------
    tags : bool
        False leaves regions and assertions out, for a language whose anatomy is not known here.
    model : str
        Name or folder of an installed spaCy model, for example ``en_core_sci_sm``: its entities, and the concepts its
        linker gives them, are found besides. Nothing else depends on it.

    Raises
    ------
    ConfigError
        The model is not there or cannot be loaded.
    """
    import spacy

    advice = "install it, give the folder it lies in, or leave it out; nothing but entities depends on it"
    nlp = load_model(model, advice) if model else spacy.blank("en")
    nlp.max_length = 50_000_000  # characters; no statistical model runs here by default, so memory is not at stake
    with warnings.catch_warnings():  # spaCy compiles scispaCy's patterns, whose "[[" alarms Python's re
        warnings.simplefilter("ignore", FutureWarning)
        nlp.tokenizer = BoundedTokenizer(nlp.vocab, combined_rule_tokenizer(nlp))
    names = ("t3d_abbreviations", "t3d_sections", "t3d_sentences", "t3d_tags")
    for name in names if tags else names[1:3]:
        nlp.add_pipe(name)
    return nlp


_NOT_FROM_A_MODEL = ("parser", "senter", "sentencizer", "tagger", "morphologizer", "lemmatizer", "attribute_ruler")
"""Components of a model that would cut sentences their own way, or that only cost time."""


def load_model(model: str, advice: str) -> Language:
    """An installed spaCy model, by name or folder, without the components that nothing here needs.

    Parameters
    ----------
    advice : str
        What to do when it is not there, for the message.

    Raises
    ------
    ConfigError
        The model is not there or cannot be loaded.
    """
    import spacy

    try:
        return spacy.load(model, exclude=_NOT_FROM_A_MODEL)
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError(f"spaCy model {model!r} cannot be loaded ({type(error).__name__}): {advice}") from None


@cache
def cached_pipeline(*, tags: bool = True, model: str = "") -> Language:
    """The pipeline, built once per process."""
    return build_pipeline(tags=tags, model=model)


def text_of(doc: Doc) -> str:
    """The text of `doc`, put together once: spaCy joins it from the tokens at every call."""
    if "t3d_text" not in doc.user_data:
        doc.user_data["t3d_text"] = doc.text
    text: str = doc.user_data["t3d_text"]
    return text


def read_text(text: str, lists: Lists = NO_LISTS, *, tags: bool = True) -> tuple[list[Block], list[BlockSentence]]:
    """Blocks and sentences of a cleaned text: what the components leave on a `Doc`, in a third less time.

    Only words with a full stop in them are tokenized, and the whole text only where a parenthesis defines an
    abbreviation.
    """
    blocks = find_blocks(text, lists)
    sentences = find_sentences(text, blocks, stops_inside_words(text))
    if not tags:
        return blocks, sentences
    return blocks, tag_sentences(text, sentences, find_abbreviations(text), lists.language)


def find_abbreviations(text: str) -> dict[str, str]:
    """The abbreviations a text defines; a `Doc`, which costs as much as all sentences, is made only if it does."""
    if "(" not in text or (_TOO_LONG.search(text) is None and not _defines_abbreviation(text)):
        return {}
    nlp = cached_pipeline()
    return abbreviations_of(nlp.get_pipe("t3d_abbreviations")(nlp.make_doc(text)))


def _defines_abbreviation(text: str) -> bool:
    """Whether scispaCy's `filter_matches` and `find_abbreviation` find a pair; here on words tokenized before."""
    tokens = [part for word in _CHUNK.findall(text) for part in _tokens_of(word)]
    opened = 0
    for index, word in enumerate(tokens):
        if word == "(":
            opened = index + 1
        elif word == ")":
            if opened > 1 and 0 < index - opened <= 8 and _is_definition(tokens, opened, index):
                return True
            opened = 0
    return False


def _is_definition(tokens: Sequence[str], start: int, end: int) -> bool:
    """Whether the tokens in parentheses and those before them are a short and a long form, in either order."""
    short, long = tokens[start:end], tokens[start - 2 : start - 1]
    if end - start > 3:
        short, long = long, short
    else:
        n = sum(map(len, short))
        long = tokens[max(start - min(n + 5, 2 * n) - 1, 0) : start - 1]
    name, words = " ".join(short), " ".join(long)
    n_letters, n_blanks = sum(map(str.isalpha, name)), len(short) - 1
    if not all(2 <= len(one) < 10 for one in short) or not name[0].isalpha() or 2 * n_letters < len(name) - n_blanks:
        return False
    at = len(words) - 1
    for index in range(len(name) - 1, -1, -1):
        char = name[index].lower()
        if not char.isalnum():
            continue
        while at >= 0 and (words[at].lower() != char or (index == 0 and at > 0 and words[at - 1].isalnum())):
            at -= 1
        if at < 0:
            return False
        at -= 1
    return True


@lru_cache(maxsize=1 << 14)
def _tokens_of(word: str) -> tuple[str, ...]:
    return tuple(token.text for token in cached_pipeline().make_doc(word))


def stops_inside_words(text: str) -> set[int]:
    """Offsets of the full stops that the tokenizer keeps inside a token; it parts a text at spaces first."""
    found: set[int] = set()
    at = 0
    for word in text.replace(BREAK, " ").split(" "):
        if "." in word:
            found.update(at + stop for stop in _inner_stops(word))
        at += len(word) + 1
    return found


@lru_cache(maxsize=1 << 14)
def _inner_stops(word: str) -> frozenset[int]:
    return frozenset(_stops_inside_tokens(cached_pipeline().make_doc(word), word))


def run_pipeline(nlp: Language, text: str, lists: Lists = NO_LISTS) -> Doc:
    """Run `nlp` on a cleaned text; `lists` say in which language it is, and what an institution adds."""
    doc = nlp.make_doc(text)
    doc.user_data["t3d_text"] = text  # the tokenizer loses no character
    doc.user_data["t3d_lists"] = lists
    return nlp(doc)
