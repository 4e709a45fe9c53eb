"""How likely it is that a pair is wrong: a first, simple score, so that the audit starts where it pays.

Enters: what the stages noticed about a pair. Leaves: its flags and a number from 0 (clean) to 1. Refuses: nothing; it
drops no pair, it only orders them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from curation.reasons import PairFlag
from reports.regions import region_tree

STRONG_LINK = 0.95
MIN_SENTENCES = 3

WEIGHTS = {
    "LATERALITY_SUSPECT": 0.5,
    "COVERAGE_MISMATCH": 0.5,
    "BODYPART_MISMATCH": 0.3,
    "HU_SHIFT": 0.3,
    "LINK_WEAK": 0.2,
    "NOTHING_LOCATED": 0.2,
    "POSSIBLY_CROPPED": 0.15,
    "RESCALE_ASSUMED": 0.15,
    "FEW_SENTENCES": 0.1,
    "UNUSED_STACK": 0.1,
    "DATE_SUSPECT": 0.1,
    "LOSSY": 0.05,
}
"""Chance, guessed and to be calibrated on verdicts, that a pair with this flag alone is wrong."""

OTHER_FLAG = 0.02


def judge_pair(
    *,
    confidence: float,
    sentences: Sequence[dict[str, Any]],
    n_located: int,
    body_regions: Sequence[str],
    flags: Sequence[str],
) -> tuple[list[str], float]:
    """Flags of a pair, sorted, and its suspicion (noisy-or of the flags' weights and the link's doubt)."""
    found = {str(flag) for flag in flags}
    if confidence < STRONG_LINK:
        found.add(PairFlag.LINK_WEAK)
    if len(sentences) < MIN_SENTENCES:
        found.add(PairFlag.FEW_SENTENCES)
    if n_located == 0:
        found.add(PairFlag.NOTHING_LOCATED)
    if _is_elsewhere(sentences, body_regions):
        found.add(PairFlag.COVERAGE_MISMATCH)
    clean = confidence
    for flag in sorted(found):
        clean *= 1 - WEIGHTS.get(flag, OTHER_FLAG)
    return sorted(map(str, found)), round(1 - clean, 4)


def _is_elsewhere(sentences: Sequence[dict[str, Any]], body_regions: Sequence[str]) -> bool:
    """Whether most sentences that name anatomy name anatomy outside the scanned body regions."""
    tree = region_tree()
    shown = {region for region in body_regions if region in tree}
    if not shown:
        return False
    inside = outside = 0
    for row in sentences:
        if row["section"] not in ("findings", "impression"):
            continue
        for region in row["regions"]:
            within = [part for part in ("head", "neck", "chest", "abdomen", "pelvis") if _is_within(region, part)]
            if within:
                inside += bool(shown & set(within))
                outside += not shown & set(within)
    return outside > inside


def _is_within(region: str, part: str) -> bool:
    tree = region_tree()
    return region in tree and part in tree and tree.is_within(region, part)
