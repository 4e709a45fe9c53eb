"""What a box's confidence means: the chance that a crop around the box's centre shows the region.

Enters: how sure a step was, in its own terms. Leaves: the stated confidence, from ``confidence.toml``, which
``python -m benchmarks.localizer_confidence`` fits on labelled volumes. Refuses: to raise a region of which no labelled
volume was seen (the head).
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

import numpy as np

from reports.regions import region_tree

UNMEASURED = "head"
"""Whatever lies within keeps the step's own, lower figure: whether a face can be removed hangs on it."""


@cache
def knots() -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The landmarks' own figures and what is stated for them, both rising."""
    table = tomllib.loads(files("curation.align").joinpath("confidence.toml").read_text(encoding="utf-8"))
    return tuple(table["landmark"]["own"]), tuple(table["landmark"]["stated"])


def stated(region: str, own: float) -> float:
    """The confidence to state for a landmark box of `region` whose step was `own` sure, 0 .. 1."""
    tree = region_tree()
    if UNMEASURED in (region, *tree.ancestors(region)):
        return own
    return float(np.interp(own, *knots()))


def own_of(confidence: float) -> float:
    """The step's own figure behind a stated confidence; for fitting."""
    own, said = knots()
    return float(np.interp(confidence, said, own))
