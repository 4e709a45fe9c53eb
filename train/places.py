"""The part of a region that a sentence tells of.

Enters: a region, a sentence. Leaves: which share of the region's box ``places.toml`` knows for the sentence's words: an
effusion lies at the back and below, a pneumothorax in front. Refuses: nothing; without such words it is the whole box.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files

Shares = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
"""Of a box, along x, y, z: from 0 (left, back, below) to 1."""
WHOLE: Shares = ((0.0, 1.0), (0.0, 1.0), (0.0, 1.0))
_Rule = tuple[re.Pattern[str], Shares]


@cache
def _rules() -> dict[str, tuple[list[_Rule], list[_Rule]]]:
    """region -> the rules of findings and those of places."""
    table = tomllib.loads(files("train").joinpath("places.toml").read_text(encoding="utf-8"))
    rules: dict[str, tuple[list[_Rule], list[_Rule]]] = {}
    for kind, name in enumerate(("finding", "place")):
        for entry in table[name]:
            words = re.compile(rf"\b(?:{'|'.join(map(re.escape, entry['words']))})\b", re.IGNORECASE)
            x, y, z = ((float(low), float(high)) for low, high in (entry.get(axis, (0, 1)) for axis in "xyz"))
            for region in entry["regions"]:
                rules.setdefault(region, ([], []))[kind].append((words, (x, y, z)))
    return rules


def share_told(region: str, text: str) -> Shares:
    """The share of a region's box that a sentence tells of.

    Negated findings count too, since their place is where to look for their absence.
    """
    share = WHOLE
    for rules in _rules().get(region, ()):
        said = [shares for words, shares in rules if words.search(text)]
        if said:
            x, y, z = (_overlap(share[axis], [one[axis] for one in said]) for axis in range(3))
            share = (x, y, z)
    return share


def _overlap(held: tuple[float, float], said: list[tuple[float, float]]) -> tuple[float, float]:
    """What `held` and the hull of `said` share; `held` where that is nothing."""
    low, high = max(held[0], min(low for low, _ in said)), min(held[1], max(high for _, high in said))
    return (low, high) if low < high else held
