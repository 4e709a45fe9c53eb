"""What a sentence states beside its findings: "The stent ends in the duodenum, without obstruction."

Enters: the words of a sentence and its cues. Leaves: whether a neutral statement stands in it. Refuses: to take for one
what only names anatomy, or only says that something was looked at.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence, Set
from itertools import pairwise
from typing import Any, NamedTuple

from reports.vocabulary import Hit, Word


class Neutral(NamedTuple):
    """The words of the table ``neutral`` of ``lexicon/assertion.toml``; see its comments."""

    empty: frozenset[str]
    opens: frozenset[str]
    asks: frozenset[str]
    verbs: frozenset[str]
    advised: frozenset[str]
    examinations: frozenset[str]
    settings: frozenset[str]


class Marked(NamedTuple):
    """The words of a sentence and what is known of them.

    Parameters
    ----------
    cues, normal : sequence of Hit
        Cues of negation and doubt; words of normality.
    breaks, restarts : set of int
        Words that end every scope; those of them that begin a new statement after a comma.
    covered : set of int
        Words that name anatomy, sides or what is judged apart.
    """

    words: Sequence[Word]
    cues: Sequence[Hit[frozenset[str]]]
    normal: Sequence[Hit[str]]
    breaks: Set[int]
    restarts: Set[int]
    covered: Set[int]


def states_something(marked: Marked, neutral: Neutral, *, is_doubtful: bool) -> bool:
    """Whether a statement that no cue governs stands in the sentence.

    In one that doubts (`is_doubtful`) only a statement with no cue in it counts, or what stands before a question.
    """
    n = len(marked.words)
    starts = _starts(marked, neutral)
    ends = sorted({*starts[1:], *(marked.breaks - (marked.restarts - set(starts))), n})
    return any(
        _is_stated(marked, start, ends[bisect_right(ends, start)], neutral, is_doubtful=is_doubtful)
        for start in starts
        if start < n
    )


def _starts(marked: Marked, neutral: Neutral) -> list[int]:
    """Where statements begin; behind no verb and no cue a list goes on: "Both ACAs and the arch are patent"."""
    words, opened = marked.words, {i + 1 for i in marked.breaks if marked.words[i].lower in neutral.opens}
    judged = [*(hit.start for hit in marked.cues), *(hit.start for hit in marked.normal)]
    starts = [0]
    for start in sorted(opened | marked.restarts):
        is_said = any(word.lower in neutral.verbs for word in words[starts[-1] : start])
        is_joined = start not in opened and words[start - 1].lower != ","
        if not is_joined or is_said or any(starts[-1] <= at <= start for at in judged):
            starts.append(start)
    return starts


def _is_stated(marked: Marked, start: int, end: int, neutral: Neutral, *, is_doubtful: bool) -> bool:
    """Whether the words of one statement, up to the first cue in it, say something."""
    words = marked.words
    lowers = {word.lower for word in words[start:end]}
    if not neutral.advised.isdisjoint(lowers) and not neutral.examinations.isdisjoint(lowers):
        return False
    start = next((index + 1 for index in range(end - 1, start - 1, -1) if _ends_label(words, index)), start)
    hits: list[Hit[Any]] = [*marked.cues, *marked.normal]
    inside = [hit for hit in hits if start <= hit.start < end]
    has_verb = not neutral.verbs.isdisjoint(lowers)
    if not inside and is_doubtful and words[end - 1].lower == "," and any(cue.start == end for cue in marked.cues):
        return words[start].lower not in neutral.settings and _says(marked, start, end, neutral)
    if not inside:
        is_own = has_verb if is_doubtful else has_verb or start == 0 or words[start - 1].lower in neutral.opens
        return is_own and end - start > 1 and _says(marked, start, end, neutral)
    first = min(inside, key=lambda hit: (hit.start, hit.end))
    is_question = " ".join(word.lower for word in words[first.start : first.end]) in neutral.asks
    if is_question or (not is_doubtful and first in marked.cues and "absent pre" in first.value):
        return _says(marked, start, first.start, neutral)
    comma = next((index for index in range(first.start - 1, start - 1, -1) if words[index].lower == ","), start)
    has_verb = any(word.lower in neutral.verbs for word in words[start:comma])
    if is_doubtful:  # "Diffuse uptake, likely physiologic": only what it is is doubted
        is_nature = first.start - comma <= 2 and words[start].lower not in neutral.settings
        return is_nature and (_says(marked, start, comma, neutral) or is_measured(words[start:comma]))
    return has_verb and _says(marked, start, comma, neutral)


def _ends_label(words: Sequence[Word], index: int) -> bool:
    """Whether a colon ends a sub-heading: "Lungs: clear", not "RV:LV"."""
    return words[index].lower == ":" and index + 1 < len(words) and words[index + 1].start > words[index].end


def is_advice(words: Sequence[Word], cues: Sequence[Hit[frozenset[str]]], neutral: Neutral) -> bool:
    """Whether an examination is advised, and only what it is to show is doubted: "MRI could help to exclude X"."""
    first = min((cue.start for cue in cues if cue.value), default=len(words))
    named = next((i for i, word in enumerate(words) if word.lower in neutral.examinations), len(words))
    return named < first and any(word.lower in neutral.advised for word in words)


def _says(marked: Marked, start: int, end: int, neutral: Neutral) -> bool:
    return any(
        index not in marked.covered and word.raw[0].isalpha() and word.lower not in neutral.empty
        for index, word in enumerate(marked.words[start:end], start)
    )


def is_measured(words: Sequence[Word]) -> bool:
    """Whether a length stands there: what was measured is there, whatever its nature."""
    return any(word.lower in {"mm", "cm"} and before.raw[-1].isdigit() for before, word in pairwise(words))
