"""The data files of `lexicon/`, compiled: word tries that find terms in linear time.

Enters: TOML. Leaves: `Vocabulary` (what each term means) and `Trie` (where terms stand in a list of words).
Refuses: a region code that the tree does not know.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import accumulate
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from reports.grammar import ENGLISH, Grammar, grammar, read_data
from reports.regions import region_tree

T = TypeVar("T")
TermKind = Literal["anatomy", "pair", "finding", "weak", "generic", "node", "side", "ignore", "ambiguous"]

_WORD = re.compile(r"([A-Za-z0-9\u00c0-\u024f]+|[^\sA-Za-z0-9\u00c0-\u024f'\"*-])")
"""A word or punctuation mark; hyphens and quotes are no words, so that they cannot hide a term."""


class Word(NamedTuple):
    """A word or punctuation mark of a text."""

    lower: str
    raw: str
    start: int
    end: int


_new_word: Callable[[tuple[str, str, int, int]], Word] = partial(tuple.__new__, Word)
"""`Word` from a tuple, in half the time its constructor takes."""


def split_words(text: str) -> list[Word]:
    """Words of `text`, in order. scispaCy keeps hyphenated compounds whole; terms need their parts."""
    parts = _WORD.split(text)  # what is between words, a word, what is between, ...
    raws, ends = parts[1::2], list(accumulate(map(len, parts)))
    return list(map(_new_word, zip(map(str.lower, raws), raws, ends[::2], ends[1::2], strict=False)))


def without_accents(text: str, keep: str = "") -> str:
    """`text` as somebody types it who leaves accents out, all but those in `keep` (a tilde makes another letter)."""
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFD", text)
    kept = "".join(letter for letter in decomposed if letter in keep or not unicodedata.combining(letter))
    return unicodedata.normalize("NFC", kept)


class Hit(NamedTuple, Generic[T]):
    """A term found: the half-open range of words, and what it means."""

    start: int
    end: int
    value: T


_new_hit: Callable[[tuple[int, int, Any]], Hit[Any]] = partial(tuple.__new__, Hit)


@dataclass
class Trie(Generic[T]):
    """Terms as word sequences; at each place the longest one is found, and found terms never overlap."""

    _root: dict[str, Any] = field(default_factory=dict)

    def add(self, term: str, value: T, *, overwrite: bool = False) -> None:
        """Add a term; one in capitals (`GB`) matches only in capitals, one with accents also without them.

        The first meaning of a term stays.
        """
        for folded in {without_accents(term), without_accents(term, keep="\u0303")} - {term}:
            self.add(folded, value, overwrite=overwrite)
        node = self._root
        words = split_words(term)
        for word in words:
            node = node.setdefault(word.lower, {})
        raw = tuple(word.raw for word in words if word.raw.isupper()) if term.isupper() else ()
        key = " capitals" if raw else " any"  # a word never begins with a space
        if overwrite or key not in node:
            node[key] = value

    def first_words(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """The words that terms begin with, and where each leads."""
        return self._root.items()

    def find(self, words: Sequence[Word]) -> list[Hit[T]]:
        """Leftmost longest matches; the time is linear, since terms have a greatest length."""
        root, free, hits = self._root, 0, list[Hit[T]]()
        for at, word in enumerate(words):
            if at >= free and word.lower in root and (hit := _longest(root[word.lower], words, at)):
                hits.append(hit)
                free = hit.end
        return hits

    def begins(self, words: Sequence[Word]) -> bool:
        """Whether a term stands at the first of `words`."""
        return bool(words) and _longest(self._root.get(words[0].lower), words, 0) is not None


def _longest(node: Mapping[str, Any] | None, words: Sequence[Word], at: int) -> Hit[Any] | None:
    """The longest term at word `at`, whose first word leads to `node`."""
    best: Hit[Any] | None = None
    end, n = at + 1, len(words)
    while node is not None:
        if " any" in node:
            best = _new_hit((at, end, node[" any"]))
        if " capitals" in node and all(word.raw.isupper() for word in words[at:end] if word.raw.isalpha()):
            best = _new_hit((at, end, node[" capitals"]))
        if end == n:
            break
        node, end = node.get(words[end][0]), end + 1
    return best


class Tries:
    """Several tries, searched in one pass; the hits of each are what its own `find` gives."""

    def __init__(self, *tries: Trie[Any]) -> None:
        self._n = len(tries)
        self._roots: dict[str, list[tuple[int, Mapping[str, Any], bool]]] = {}
        for number, trie in enumerate(tries):
            for word, node in trie.first_words():
                is_term = " any" in node or " capitals" in node
                self._roots.setdefault(word, []).append((number, node, is_term))

    def find(self, words: Sequence[Word]) -> list[list[Hit[Any]]]:
        """For each trie its leftmost longest matches."""
        roots, free = self._roots, [0] * self._n
        hits: list[list[Hit[Any]]] = [[] for _ in free]
        last = len(words) - 1
        for at, word in enumerate(words):
            found = roots.get(word[0])
            if found is None:
                continue
            following = words[at + 1][0] if at < last else ""
            for number, node, is_term in found:  # most words only begin terms that go on otherwise
                if at >= free[number] and (is_term or following in node) and (hit := _longest(node, words, at)):
                    hits[number].append(hit)
                    free[number] = hit.end
        return hits


@dataclass(frozen=True)
class Term:
    """What a term means.

    Parameters
    ----------
    kind : TermKind
        anatomy, pair (a paired organ in the plural), finding (implies its anatomy), weak (implies it only where nothing
        else is named), generic (a finding anywhere), node (lymph nodes), side, ignore, ambiguous.
    concept : str
        Preferred name.
    stem : str
        Region code, or stem that becomes one with a side; "" where the term names no anatomy.
    side : str
        left, right, bilateral, or "".
    """

    kind: TermKind
    concept: str
    stem: str = ""
    side: str = ""


@dataclass(frozen=True)
class Meaning:
    """One meaning of an ambiguous abbreviation, taken where a cue stands in the same sentence."""

    concept: str
    stem: str
    is_node: bool
    cues: frozenset[str]


@dataclass(frozen=True)
class Vocabulary:
    """Every term of the anatomy and findings files.

    Parameters
    ----------
    terms : Trie of Term
    unsided : mapping
        Stem without code of its own -> region that stands for it when no side is known.
    stations : mapping
        Words of a lymph node station -> stem.
    ambiguous : mapping
        Abbreviation in lower case -> its meanings, in order.
    n_concepts : int
        Concepts with a region.
    grammar : Grammar
        The small words of the language.
    near : frozenset of str
        Words that may stand between a node and its station.
    both : Tries
        `terms`, and those that name more than their own region with the stems besides: a hiatal hernia is in the
        diaphragm too.
    """

    terms: Trie[Term]
    unsided: Mapping[str, str]
    stations: Mapping[str, str]
    ambiguous: Mapping[str, tuple[Meaning, ...]]
    n_concepts: int
    grammar: Grammar
    near: frozenset[str]
    both: Tries


def _plural(name: str) -> str:
    if name.isupper() or name.endswith(("s", "ed", "ic", "al", "ar", "ing")):
        return name
    if name.endswith("y") and name[-2:-1] not in "aeiou":
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith(("x", "ch", "sh")) else f"{name}s"


def _literal_side(name: str, stem: str, words: Grammar) -> str:
    """The side a term's own words give: ``right upper lobe``; the heart's and its vessels' are names, not sides."""
    if stem in {"heart", "coronary_arteries", "atrial_appendage_left", "hepatic_veins"} or "flexure" in name:
        return ""
    sides = {words.side_words[word] for word in name.lower().split() if word in words.side_words}
    return sides.pop() if len(sides) == 1 else words.side_abbreviations.get(name, "")


@cache
def vocabulary(language: str = ENGLISH) -> Vocabulary:
    """The built-in vocabulary of a language, compiled once per process; names match with and without their accents.

    Raises
    ------
    ValueError
        A data file uses a region code that ``regions.toml`` does not define.
    """
    anatomy, findings, small = read_data("anatomy", language), read_data("findings", language), grammar(language)
    unsided: Mapping[str, str] = read_data("anatomy")["unsided"]
    tree = region_tree()
    terms: Trie[Term] = Trie()
    n_concepts = 0
    # "right hilar" is anatomy before it is a station, so stations are looked up beside the terms, not among them
    stations = {name: code for code, names in anatomy["nodes"]["stations"].items() for name in names}
    for side, names in anatomy["sides"].items():
        for name in names:
            _add(terms, name, Term("side", side, side=side))
    for term in findings["ambiguous"]:
        terms.add(term["term"], Term("ambiguous", term["term"].lower()))
    for name in anatomy["nodes"]["heads"]:
        _add(terms, name, Term("node", name))
    kinds: tuple[TermKind, ...] = ("pair", "anatomy", "finding", "weak")
    for kind in kinds:
        for stem, concepts in {**anatomy.get(kind, {}), **findings.get(kind, {})}.items():
            if stem not in tree and stem not in unsided:
                raise ValueError(f"the lexicon names the unknown region {stem!r}")
            n_concepts += len(concepts)
            for concept, synonyms in concepts.items():
                for name in (concept, *synonyms):
                    meaning = Term(kind, concept, stem, _literal_side(name, stem, small))
                    _add(terms, name, meaning, makes_plural=small.makes_plurals and kind != "pair")
    for concept, synonyms in findings["generic"].items():
        for name in (concept, *synonyms):
            _add(terms, name, Term("generic", concept), makes_plural=small.makes_plurals)
    for concept, names in findings["ignore"].items():
        for name in names:
            _add(terms, name, Term("ignore", concept))
    near = frozenset(anatomy["nodes"]["near"])
    both = Tries(terms, _also(anatomy["also"], makes_plurals=small.makes_plurals))
    return Vocabulary(terms, unsided, stations, _meanings(findings["ambiguous"]), n_concepts, small, near, both)


def _also(table: Mapping[str, Sequence[str]], *, makes_plurals: bool) -> Trie[tuple[str, ...]]:
    stems: dict[str, tuple[str, ...]] = {}
    for stem, names in table.items():
        for name in names:
            for form in {name, _plural(name)} if makes_plurals else {name}:
                stems[form] = (*stems.get(form, ()), stem)
    trie: Trie[tuple[str, ...]] = Trie()
    for name, found in stems.items():
        trie.add(name, found)
    return trie


def _add(terms: Trie[Term], name: str, meaning: Term, *, makes_plural: bool = False) -> None:
    for form in (name, _plural(name)) if makes_plural else (name,):
        terms.add(form, meaning)


def _meanings(entries: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Meaning, ...]]:
    meanings: dict[str, tuple[Meaning, ...]] = {}
    for entry in entries:
        meaning = Meaning(
            entry["meaning"],
            entry.get("region", ""),
            bool(entry.get("node")),
            frozenset(c.lower() for c in entry.get("cues", ())),
        )
        key = entry["term"].lower()
        meanings[key] = (*meanings.get(key, ()), meaning)
    return meanings
