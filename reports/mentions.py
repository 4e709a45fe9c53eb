"""Where a sentence names anatomy and findings, before sides are settled.

Enters: the words of a sentence. Leaves: `Mentions`. Refuses: to resolve an abbreviation without a cue.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple

from reports.grammar import ENGLISH, Grammar
from reports.levels import liver_segments, rib_numbers, vertebral_levels
from reports.vocabulary import Hit, Term, TermKind, Trie, Vocabulary, Word, split_words, vocabulary

_STATION_REACH = 16
_LEVEL = re.compile(r"[CTLS]\d")


class Mention(NamedTuple):
    """A range of words that names anatomy.

    Parameters
    ----------
    stem : str
        Region code, or stem that becomes one with a side.
    side : str
        What the term itself says: left, right, bilateral, or "".
    is_elliptic : bool
        "upper" in "upper and lower lobes": the noun comes later, so the side does too.
    numbers : tuple of int
        Rib numbers.
    is_listed : bool
        It is named beside another structure ("heart and pericardium"), so neither stands for the other.
    """

    start: int
    end: int
    stem: str
    kind: TermKind
    side: str = ""
    is_elliptic: bool = False
    numbers: tuple[int, ...] = ()
    is_listed: bool = False


class Mentions(NamedTuple):
    """Anatomy, sides and findings of a sentence, each in reading order.

    Parameters
    ----------
    anatomy : tuple of Mention
    sides : tuple of (int, int, str)
        Half-open range of words and the side.
    findings : tuple of (int, int)
        Half-open ranges of words that name an abnormality.
    """

    anatomy: tuple[Mention, ...]
    sides: tuple[tuple[int, int, str], ...]
    findings: tuple[tuple[int, int], ...]


def find_mentions(
    text: str, words: Sequence[Word], aliases: Mapping[str, str] | None = None, language: str = ENGLISH
) -> Mentions:
    """Find what a sentence names.

    Parameters
    ----------
    text : str
        The sentence, cleaned; `words` are its words.
    aliases : mapping, optional
        Abbreviation -> its long form, as the report itself defines them.
    language : str
        One of `reports.grammar.tagged_languages`.
    """
    lexicon = vocabulary(language)
    small = lexicon.grammar
    terms, also = lexicon.both.find(words)
    hits = [_settle(hit, words, lexicon) if hit.value.kind == "ambiguous" else hit for hit in terms]
    anatomy = [_mention(hit, words, text, small) for hit in hits if hit.value.stem]
    anatomy += [Mention(hit.start, hit.end, stem, "anatomy") for hit in also for stem in hit.value]
    anatomy += _alias_mentions(words, hits, aliases, lexicon) if aliases else []
    if _LEVEL.search(text):
        anatomy += [Mention(*level, kind="anatomy") for level in vertebral_levels(text, words)]
    is_liver = any(mention.stem == "liver" for mention in anatomy)
    anatomy += [Mention(*level, kind="anatomy") for level in liver_segments(words, small, is_liver=is_liver)]
    anatomy += [part for mention in anatomy if _is_lobe(mention.stem) for part in _lobes_before(mention, words, small)]
    heads = [hit for hit in hits if hit.value.kind == "node"]
    if heads:
        anatomy = _with_stations(anatomy, heads, words, lexicon)
    findings = [(hit.start, hit.end) for hit in hits if _is_finding(hit.value)]
    sides = [(hit.start, hit.end, hit.value.side) for hit in hits if hit.value.kind == "side"]
    if len(anatomy) > 1:
        anatomy = _marked_lists(sorted(anatomy, key=lambda m: (m.start, m.end, m.stem)), words, small)
    return Mentions(tuple(anatomy), tuple(sides), tuple(findings))


def _marked_lists(anatomy: Sequence[Mention], words: Sequence[Word], small: Grammar) -> list[Mention]:
    marked = list(anatomy)
    for index, (one, other) in enumerate(pairwise(anatomy)):
        between = {word.lower for word in words[one.end : other.start]}
        is_list = not between.isdisjoint(small.and_or) and between <= small.joints_and_articles
        # a hilum without side has no region of its own, so it stands for none in a list
        if is_list and one.kind == other.kind == "anatomy" and "hilum" not in (one.stem, other.stem):
            marked[index] = marked[index]._replace(is_listed=True)
            marked[index + 1] = other._replace(is_listed=True)
    return marked


def _is_finding(term: Term) -> bool:
    return term.kind in {"finding", "weak", "generic"} or (term.kind == "node" and "adenopathy" in term.concept)


def _settle(hit: Hit[Term], words: Sequence[Word], lexicon: Vocabulary) -> Hit[Term]:
    """An ambiguous abbreviation gets the first meaning whose cue is in the sentence, or the one that needs none."""
    present = {word.lower for word in words}
    for meaning in lexicon.ambiguous[hit.value.concept]:
        if not meaning.cues or meaning.cues & present:
            kind: TermKind = "node" if meaning.is_node else ("anatomy" if "artery" in meaning.concept else "finding")
            return hit._replace(value=Term(kind, meaning.concept, meaning.stem))
    return hit


def _mention(hit: Hit[Term], words: Sequence[Word], text: str, small: Grammar) -> Mention:
    start, end, term = hit
    numbers = tuple(rib_numbers(words, start, end, text, small)) if term.stem == "ribs" else ()
    return Mention(start, end, term.stem, term.kind, term.side, False, numbers)


def _alias_mentions(
    words: Sequence[Word], hits: Sequence[Hit[Term]], aliases: Mapping[str, str], lexicon: Vocabulary
) -> list[Mention]:
    """What the report's own abbreviations name, with the side their long form gives."""
    covered = {index for hit in hits for index in range(hit.start, hit.end)}
    found: list[Mention] = []
    for index, word in enumerate(words):
        if index in covered or word.raw not in aliases:
            continue
        terms = [hit.value for hit in lexicon.terms.find(split_words(aliases[word.raw]))]
        sides = {term.side for term in terms if term.kind == "side"}
        side = sides.pop() if len(sides) == 1 else ""
        found += [Mention(index, index + 1, term.stem, term.kind, term.side or side) for term in terms if term.stem]
    return found


def _is_lobe(stem: str) -> bool:
    return stem.startswith(("lung_upper_lobe", "lung_middle_lobe", "lung_lower_lobe"))


def _lobes_before(mention: Mention, words: Sequence[Word], small: Grammar) -> list[Mention]:
    """ "upper" and "middle" of "right upper, middle and lower lobes"."""
    parts: list[Mention] = []
    index = mention.start - 1
    if index < 0 or words[index].lower not in small.joints:
        return parts
    while index >= 0:
        word = words[index].lower
        if word in small.lobes:
            parts.append(Mention(index, index + 1, small.lobes[word], "anatomy", is_elliptic=True))
        elif word not in small.joints:
            break
        index -= 1
    return parts


@cache
def _stations(language: str) -> Trie[str]:
    trie: Trie[str] = Trie()
    for name, stem in vocabulary(language).stations.items():
        trie.add(name, stem)
    return trie


def _with_stations(
    anatomy: list[Mention], heads: Sequence[Hit[Term]], words: Sequence[Word], lexicon: Vocabulary
) -> list[Mention]:
    """Turn "mediastinal" beside "lymphadenopathy" into the mediastinal nodes."""
    near = lexicon.near
    stations = list(_stations(lexicon.grammar.language).find(words))
    owner = {index: hit for hit in stations for index in range(hit.start, hit.end)}
    chosen: set[Hit[str]] = set()
    for head in heads:
        back = range(head.start - 1, max(head.start - _STATION_REACH, -1), -1)
        ahead = range(head.end, min(head.end + _STATION_REACH, len(words)))
        for indices in (back, ahead):
            for index in indices:
                if index in owner:
                    chosen.add(owner[index])
                elif words[index].lower not in near and not words[index].lower.isdigit():
                    break
    for hit in sorted(chosen):
        is_inside = [hit.start <= m.start < hit.end and not m.stem.startswith("hilum") for m in anatomy]
        side = next((m.side for m, inside in zip(anatomy, is_inside, strict=True) if inside and m.side), "")
        anatomy = [m for m, inside in zip(anatomy, is_inside, strict=True) if not inside]
        station = Mention(hit.start, hit.end, hit.value, "pair" if hit.value == "axilla" else "anatomy")
        anatomy.append(station._replace(side=side))
    return anatomy
