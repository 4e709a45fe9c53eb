"""What a corpus of parsed reports looks like to the parser, and what a profile could teach it.

Enters: a parsed `Corpus`. Leaves: a `Survey`: headings with the unmatched first, how many reports have each section,
sentences without region, unknown words near anatomy, duplicates, sentences that many reports repeat. Refuses: to
decide; it proposes. Its texts are de-identified as the corpus is, but they are reports: keep a survey where reports
may be.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from reports.clean import clean
from reports.corpus import Corpus
from reports.grammar import ENGLISH, read_data, tagged_languages
from reports.heading_words import FUZZY_LENGTH, Lists, section_aliases
from reports.headings import find_headings
from reports.profiles import Profile, plain
from reports.vocabulary import Word, split_words, vocabulary

NARRATIVE = ("findings", "impression")
"""Sections whose sentences ought to name anatomy."""
UNMATCHED = "unknown"
REPEATED_SHARE = 0.2
REPEATED_AT_LEAST = 3
"""A sentence in so many reports, and no fewer, that says nothing of a body may be boilerplate."""
REPEATED_WORDS = 5
NEAR = 3
"""Words between an unknown word and the anatomy beside it."""
SUGGESTION_CUTOFF = 80.0
"""rapidfuzz ratio; lower than the parser's own, since a person reads the suggestion."""
_NUMBERS = re.compile(r"\d+(?:[.,/:-]\d+)*")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class HeadingCount:
    """A heading, what the parser takes it for, in how many reports it stands, and what it could mean."""

    words: str
    kind: str
    n_reports: int
    suggestion: str = ""


@dataclass(frozen=True)
class Survey:
    """What `survey_corpus` found; every list is in falling order.

    Parameters
    ----------
    n_reports, n_sentences, n_narrative, n_unlocated : int
        Reports; sentences; those in findings or impression; those of them without region.
    headings : tuple of HeadingCount
        Unmatched ones first.
    coverage : tuple of (str, int)
        Section and how many reports have it.
    unlocated : tuple of (str, int)
        Sentences of findings or impression without region, numbers as ``#``, and how many reports hold them.
    unknown_words : tuple of (str, int, str)
        Word in no list beside anatomy, how many reports, a place where it stands.
    repeated : tuple of (str, int)
        Sentences that may be boilerplate, as `plain` gives them.
    duplicates : tuple of (str, int)
        Report id of the first of several reports with one text, and how many there are.
    n_same_but_numbers : int
        Reports whose text is another's but for numbers and dates.
    """

    n_reports: int
    n_sentences: int
    n_narrative: int
    n_unlocated: int
    headings: tuple[HeadingCount, ...]
    coverage: tuple[tuple[str, int], ...]
    unlocated: tuple[tuple[str, int], ...]
    unknown_words: tuple[tuple[str, int, str], ...]
    repeated: tuple[tuple[str, int], ...]
    duplicates: tuple[tuple[str, int], ...]
    n_same_but_numbers: int


def survey_corpus(corpus: Corpus, profile: Profile) -> Survey:
    """Survey a parsed corpus whose sinks are lists; `profile` is the one it was parsed with."""
    assert isinstance(corpus.sentences, list)
    assert isinstance(corpus.reports, list)
    sentences = defaultdict[str, list[Row]](list)
    for row in corpus.sentences:
        sentences[row["report_id"]].append(row)
    reports = sorted(corpus.reports, key=lambda row: str(row["report_id"]))
    narrative = [row for row in corpus.sentences if row["section"] in NARRATIVE]
    return Survey(
        n_reports=len(reports),
        n_sentences=len(corpus.sentences),
        n_narrative=len(narrative),
        n_unlocated=sum(not row["regions"] for row in narrative),
        headings=_headings(reports, profile),
        coverage=tuple(corpus.sections.most_common()),
        unlocated=_ranked(_per_report(sentences, _unlocated)),
        unknown_words=_unknown_words(sentences),
        repeated=_repeated(sentences, len(reports)),
        duplicates=_duplicates(reports),
        n_same_but_numbers=_n_same_but_numbers(reports),
    )


def _ranked(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _per_report(sentences: Mapping[str, Sequence[Row]], items: Any) -> Counter[str]:
    """In how many reports each item stands."""
    counts: Counter[str] = Counter()
    for rows in sentences.values():
        counts.update(set(items(rows)))
    return counts


def _headings(reports: Sequence[Row], profile: Profile) -> tuple[HeadingCount, ...]:
    counts: Counter[tuple[str, str]] = Counter()
    for row in reports:
        lists = Lists(profile, row["language"] if row["language"] in tagged_languages() else ENGLISH)
        found = find_headings(clean(row["text"], profile.headings).text, lists)
        counts.update({(plain(one.words), _kind(one.resolved)) for one in found if one.words.strip()})
    listed = [
        HeadingCount(words, kind, n, suggest_section(words) if kind == UNMATCHED else "")
        for (words, kind), n in counts.items()
    ]
    return tuple(sorted(listed, key=lambda one: (one.kind != UNMATCHED, -one.n_reports, one.words)))


def _kind(resolved: Any) -> str:
    return str(resolved.name if resolved.kind == "section" else resolved.kind)


def suggest_section(words: str) -> str:
    """The section of the alias that an unmatched heading contains or nearly is; "" where none is near."""
    from rapidfuzz import fuzz, process

    aliases = section_aliases()
    padded = f" {words} "
    inside = [alias for alias in aliases if len(alias) >= FUZZY_LENGTH and f" {alias} " in padded]
    if inside:
        return str(aliases[max(inside, key=len)])
    best = process.extractOne(words, list(aliases), scorer=fuzz.ratio, score_cutoff=SUGGESTION_CUTOFF)
    return str(aliases[best[0]]) if best and len(words) >= FUZZY_LENGTH else ""


def _unlocated(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        if row["section"] in NARRATIVE and not row["regions"]:
            yield _NUMBERS.sub("#", " ".join(str(row["text"]).split()))


def _repeated(sentences: Mapping[str, Sequence[Row]], n_reports: int) -> tuple[tuple[str, int], ...]:
    def candidates(rows: Sequence[Row]) -> Iterator[str]:
        for row in rows:
            says_nothing = not row["regions"] and row["assertion"] == "present" and not row["measurements_mm"]
            if says_nothing and len(row["text"].split()) >= REPEATED_WORDS:
                yield plain(row["text"])

    least = max(REPEATED_AT_LEAST, REPEATED_SHARE * n_reports)
    return tuple((text, n) for text, n in _ranked(_per_report(sentences, candidates)) if n >= least)


def _unknown_words(sentences: Mapping[str, Sequence[Row]]) -> tuple[tuple[str, int, str], ...]:
    counts: Counter[str] = Counter()
    places: dict[str, str] = {}
    for rows in sentences.values():
        found: set[str] = set()
        for row in rows:
            if row["section"] in NARRATIVE:
                for word, place in _strangers(str(row["text"])):
                    found.add(word)
                    places.setdefault(word, place)
        counts.update(found)
    return tuple((word, n, places[word]) for word, n in _ranked(counts))


def _strangers(text: str) -> Iterator[tuple[str, str]]:
    words = split_words(text)
    hits = list(vocabulary().terms.find(words))
    covered = {index for hit in hits for index in range(hit.start, hit.end)}
    anatomy = [hit for hit in hits if hit.value.stem or hit.value.kind == "node"]
    for index, word in enumerate(words):
        is_near = any(hit.start - NEAR <= index < hit.end + NEAR for hit in anatomy)
        if is_near and index not in covered and _is_strange(word):
            low, high = max(index - NEAR, 0), min(index + NEAR + 1, len(words))
            yield word.lower, " ".join(text[words[low].start : words[high - 1].end].split())


def _is_strange(word: Word) -> bool:
    return len(word.raw) >= 4 and word.raw.isalpha() and word.lower not in _known_words()


@cache
def _known_words() -> frozenset[str]:
    """Words of every data file, and the commonest of the language."""
    from spacy.lang.en.stop_words import STOP_WORDS

    texts: list[str] = []
    for name in ("anatomy", "findings", "assertion", "headings", "deid", "languages"):
        _collect(read_data(name), texts)
    words = {word.lower for text in texts for word in split_words(text)}
    return frozenset(words | {f"{word}s" for word in words} | STOP_WORDS | set(read_data("survey")["usual"]))


def _collect(data: Any, texts: list[str]) -> None:
    if isinstance(data, str):
        texts.append(data)
    elif isinstance(data, Mapping):
        texts += data
        for value in data.values():
            _collect(value, texts)
    elif isinstance(data, list):
        for value in data:
            _collect(value, texts)


def _duplicates(reports: Sequence[Row]) -> tuple[tuple[str, int], ...]:
    groups = defaultdict[str, list[str]](list)
    for row in reports:
        groups[" ".join(str(row["text"]).split())].append(str(row["report_id"]))
    return _ranked(Counter({ids[0]: len(ids) for ids in groups.values() if len(ids) > 1}))


def _n_same_but_numbers(reports: Sequence[Row]) -> int:
    texts = {" ".join(str(row["text"]).split()) for row in reports}
    return len(texts) - len({_NUMBERS.sub("#", text) for text in texts})
