"""How well two readers agree.

Enters: the latest verdict of each reader on each pair. Leaves: counts and Cohen's kappa for every two readers.

References
----------
J. Cohen, Educational and Psychological Measurement 20 (1960) 37: kappa = (p_o - p_e) / (1 - p_e).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from curation.audit.verdicts import Decision


@dataclass(frozen=True)
class Agreement:
    """Two readers: pairs that both judged, pairs on which they agree, kappa (None where chance alone would agree)."""

    one: str
    other: str
    n_both: int
    n_agree: int
    kappa: float | None


def agreements(by_reader: Mapping[str, Mapping[str, Decision]]) -> list[Agreement]:
    """Every two readers who judged a pair in common."""
    both: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for readers in by_reader.values():
        given = sorted((name, entry.verdict) for name, entry in readers.items() if entry.verdict)
        for (one, first), (other, second) in combinations(given, 2):
            both.setdefault((one, other), []).append((first or "", second or ""))
    return [
        Agreement(one, other, len(pairs), sum(a == b for a, b in pairs), cohens_kappa(pairs))
        for (one, other), pairs in sorted(both.items())
    ]


def cohens_kappa(pairs: list[tuple[str, str]]) -> float | None:
    """Cohen's kappa of two readers' verdicts; None where both always say the same one thing, or nothing was read."""
    n = len(pairs)
    if not n:
        return None
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    observed = sum(a == b for a, b in pairs) / n
    expected = sum(first[name] * second[name] for name in first) / n**2
    return None if expected == 1 else (observed - expected) / (1 - expected)
