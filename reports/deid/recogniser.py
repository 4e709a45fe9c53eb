"""People whom no rule shows and a statistical model sees: the optional spaCy pipeline of de-identification.

Enters: the words of a folded text, what the rules found in it, a `NameModel`. Leaves: findings. Refuses: a model that
is not there or has no label for people (`ConfigError`): who asked for a model gets nothing without it.

A model only adds. What the rules found stays found, and an entity made of nothing but words of the language, eponyms,
makers and the words of our anatomy, findings and headings is no person, nor is what names a sign or device behind it:
"Baker", "Hill-Sachs", "Hepatic Flexure", "Panda sign".
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from reports.deid.cues import Grade, cues, grade, heading_words, is_given_name
from reports.deid.findings import Finding
from reports.deid.strangers import is_thing, names_a_thing
from reports.deid.tokens import Tokens
from t3dkit.errors import ConfigError

if TYPE_CHECKING:
    from spacy.language import Language

PEOPLE = ("PERSON", "PER")
"""Labels of people in spaCy's own models, of OntoNotes and of WikiNER."""
_PIECE_CHARS = 20_000
"""A model's memory grows with the text it is given; longer ones are read in pieces."""


@dataclass(frozen=True)
class NameModel:
    """A spaCy pipeline whose people are hidden besides.

    Parameters
    ----------
    where : str
        Name of an installed package, or folder.
    labels : tuple of str
        Labels of the entities that name people.
    """

    where: str
    labels: tuple[str, ...] = PEOPLE


@cache
def load_recogniser(model: NameModel) -> Language:
    """The pipeline of a model, loaded once per process, without the parts that only cost time.

    Raises
    ------
    ConfigError
        The model cannot be loaded, or none of its components gives one of the labels.
    """
    from reports.pipeline import BoundedTokenizer, load_model  # spaCy is slow to import, and seldom needed here

    nlp = load_model(model.where, "install it, give the folder it lies in, or hide names by the rules alone")
    known = {label for labels in nlp.pipe_labels.values() for label in labels}
    if known.isdisjoint(model.labels):
        raise ConfigError(
            f"spaCy model {model.where!r} gives none of the labels {', '.join(model.labels)}: it knows "
            f"{', '.join(sorted(known)) or 'no label'}; name those that mean people"
        )
    nlp.tokenizer = BoundedTokenizer(nlp.vocab, nlp.tokenizer)
    return nlp


@cache
def model_record(model: NameModel) -> str:
    """What is recorded of a model: the digest of its files, its name and version; not where it lies.

    Raises
    ------
    ConfigError
        As `load_recogniser`.
    """
    from spacy.util import get_package_path, is_package

    meta, digest = load_recogniser(model).meta, hashlib.sha256()
    folder = get_package_path(model.where) if is_package(model.where) else Path(model.where)
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return f"sha256:{digest.hexdigest()[:16]} {meta['lang']}_{meta['name']}-{meta['version']}"


def find_modelled(tokens: Tokens, model: NameModel, found: Iterable[Finding]) -> list[Finding]:
    """People whom the model sees, where nothing is `found` yet.

    Raises
    ------
    ConfigError
        As `load_recogniser`.
    """
    starts, ends = [start for start, _, _ in tokens.words], [end for _, end, _ in tokens.words]
    taken = {
        at for one in found for at in range(bisect_right(ends, one.start), bisect_left(starts, one.end))
    }  # words that a finding covers in part are covered
    people: list[Finding] = []
    for start, end in _entities(tokens.text, model):
        places = range(bisect_right(ends, start), bisect_left(starts, end))
        if not all(_is_clinical(tokens.words[at][2]) for at in places) and not _is_eponymous(tokens, places):
            people += [Finding(starts[run[0]], ends[run[-1]], "NAME") for run in _free(tokens, places, taken) if run]
    return people


def _entities(text: str, model: NameModel) -> Iterator[tuple[int, int]]:
    """Half-open ranges of the entities that name people."""
    nlp = load_recogniser(model)
    for offset, piece in _pieces(text):
        with nlp.memory_zone():  # the words of a hundred thousand reports would stay in memory
            spans = [(one.start_char, one.end_char) for one in nlp(piece).ents if one.label_ in model.labels]
        yield from ((offset + start, offset + end) for start, end in spans)


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """The text in pieces that a model can hold, cut between lines or words where there are any."""
    start = 0
    while start < len(text):
        end = start + _PIECE_CHARS
        if end < len(text):
            end = max(text.rfind("\n", start, end), text.rfind(" ", start, end)) + 1 or end
        yield start, text[start:end]
        start = end


def _is_clinical(word: str) -> bool:
    """Whether a word alone is nobody's name: of the language or lexicon, an eponym, a thing, an abbreviation.

    A word that is only a name in the lists of people is one here too when it is written large ("Delgado").
    """
    low, level = word.lower(), grade(word.lower())
    if level is Grade.WORD or low in cues().eponyms or low in cues().makers or is_thing(low):
        return True
    if len(low) < 3 or (level is Grade.UNKNOWN and word.isupper() and len(low) < 5):
        return True
    return low in heading_words() and (level is not Grade.NAME or word.islower())


def _is_eponymous(tokens: Tokens, places: range) -> bool:
    """Whether a sign, disease or device behind the entity is called by it, and no given name is in it."""
    return names_a_thing(tokens, places.stop) and not any(is_given_name(tokens.low[at]) for at in places)


def _free(tokens: Tokens, places: range, taken: set[int]) -> Iterator[list[int]]:
    """Runs of an entity's words that nothing covers yet, without the words of the language at their ends."""
    run: list[int] = []
    for at in (*places, None):
        if at is not None and at not in taken:
            run.append(at)
            continue
        while run and _is_edge(tokens.low[run[-1]]):
            run.pop()
        while run and _is_edge(tokens.low[run[0]]):
            run.pop(0)
        yield run
        run = []


def _is_edge(low: str) -> bool:
    """Whether a word at the end of an entity is none of its name: "Dr", "the", "12"; initials and particles are."""
    return grade(low) is Grade.WORD and low not in cues().particles and not (len(low) == 1 and low.isalpha())
