"""On which side the images show what a report says of one side.

Enters: a CT volume, its boxes, the sentences of its report. Leaves: which findings the images show on the other side.
Refuses: to judge from one weak sign, or where the report names the finding on both sides: what every sentence is worth
is added up as evidence is, and only a clear sum against the report's sides speaks.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curation.align.pointers import pointer_box
from curation.suspicion.facts import NARRATIVE
from curation.suspicion.shown import Box, Shown

Row = dict[str, Any]
RowOf = Callable[[Row], float | None]
"""The slice of the volume that a sentence points at; None where it points at none."""

ENOUGH = 0.7
"""Logarithm of the odds against a report's sides from which on the pair is worth a look."""
OTHER_SIDE = {"left": "right", "right": "left"}


@dataclass(frozen=True)
class Kind:
    """A finding that shows on one side.

    Parameters
    ----------
    words : pattern
        How reports name it.
    regions : tuple of str
        Beginnings of the region codes that it is said of.
    amount : callable (Shown, side, rows, size in mm or None) -> float
        How much of it a side shows.
    floor : float
        So much means nothing: it is added to both sides.
    weight : float
        Log odds that the stated side is right per unit of ln(stated / other), fitted on the demo's truth.
    most : float
        A sentence counts no more than this, whatever it shows: even the clearest sign has another cause now and then.
    reach_mm : float
        A sentence that points at an image is looked up within so many mm of it; 0 where the whole side is compared.
    least_mm : tuple of 2 float
        Smaller ones tell nothing: than the first never, than the second unless the sentence points at an image.
    is_local : bool
        Findings in several lobes are several findings.
    """

    name: str
    words: re.Pattern[str]
    regions: tuple[str, ...]
    amount: Callable[[Shown, str, slice, float | None], float]
    floor: float
    weight: float
    most: float
    reach_mm: float = 0.0
    least_mm: tuple[float, float] = (0.0, 0.0)
    is_local: bool = False


@dataclass(frozen=True)
class Statement:
    """A finding that a sentence puts on one side."""

    kind: Kind
    region: str
    side: str
    size_mm: float | None
    row: float | None
    grade: int


def opposite_sides(
    sentences: Sequence[Row],
    data: np.ndarray,
    spacing_mm: Sequence[float],
    boxes: Mapping[str, Box],
    row_of: RowOf = lambda _row: None,
) -> str | None:
    """What the images show on the other side than the report, in words; None where nothing says so clearly.

    Parameters
    ----------
    sentences : sequence of rows of ``sentences.parquet``
    data : (i, j, k) int16, HU, RAS+ closest axes
    spacing_mm : (3,) float
    boxes : mapping
        Region -> first voxel and one past the last.
    row_of : callable
    """
    said = list(sided(sentences, row_of))
    if not said:
        return None
    shown = Shown(data, spacing_mm, boxes)
    signs = [(statement, evidence(statement, shown)) for statement in said]
    if sum(sign for _, sign in signs) > -ENOUGH:
        return None
    against = sorted({(one.kind.name, one.side) for one, sign in signs if sign < -0.1 * ENOUGH})
    return "; ".join(f"{name}: {side} in the text, {OTHER_SIDE[side]} in the images" for name, side in against)


def sided(sentences: Sequence[Row], row_of: RowOf = lambda _row: None) -> Iterator[Statement]:
    """Findings that are said of one side; each once, pointed at where a sentence points at it."""
    found: dict[str, dict[tuple[str | int, ...], Statement]] = defaultdict(dict)
    named: dict[str, set[str]] = defaultdict(set)
    for row in sentences:
        if row["section"] not in NARRATIVE or row["assertion"] != "present":
            continue
        if row["is_normal"] or (row["is_prior_comparison"] and not _STILL.search(row["text"])):
            continue
        for kind in KINDS:
            regions = [region for region in row["regions"] or () if region.startswith(kind.regions)]
            if not regions or not kind.words.search(row["text"]):
                continue
            side = row["laterality"]
            if side is not None:  # a summary that leaves the side out takes nothing back
                named[kind.name].add(side)
            if side in OTHER_SIDE:
                size_mm = max(row["measurements_mm"] or (), default=None)
                one = Statement(kind, regions[0], side, size_mm, row_of(row), _grade(row["text"]))
                key: tuple[str | int, ...] = (side, regions[0]) if kind.is_local else (side,)
                if kind.name in (NODULE, FAINT):
                    key = (*key, round(size_mm or 0))
                if key not in found[kind.name] or one.row is not None:
                    found[kind.name][key] = one
    if {"filled lung", "band of atelectasis"} & named.keys():
        found.pop("collapsed lung", None)  # the same trace, and the smaller one; the band said again in short
    faint = {(side, size) for side, *_, size in found[FAINT]}  # named once more in short
    found[NODULE] = {key: one for key, one in found[NODULE].items() if (key[0], key[-1]) not in faint}
    for name, statements in found.items():
        if name in (NODULE, FAINT) or len(named[name]) == 1:
            yield from statements.values()
        elif named[name] == OTHER_SIDE.keys():
            yield from _graver([one for one in statements.values() if one.grade])


def _graver(statements: Sequence[Statement]) -> Iterator[Statement]:
    """Of "large left, small right" the large one."""
    sides = {one.side: one for one in statements}
    if len(sides) == 2 and sides["left"].grade != sides["right"].grade:
        yield max(sides.values(), key=lambda one: one.grade)


def _grade(text: str) -> int:
    """3 large, 2 moderate, 1 small, 0 unsaid."""
    return next((grade for grade, words in GRADES if words.search(text)), 0)


def pointed_row(slice_map: Any, affine_ras: np.ndarray, shape_ijk: Sequence[int]) -> RowOf:
    """Finds the slice of a volume that a sentence points at (`curation.align.pointers`)."""

    def row_of(sentence: Row) -> float | None:
        pointer = sentence["image_pointer"]
        box = pointer_box(pointer, slice_map, affine_ras, shape_ijk) if pointer else None
        return None if box is None else box.start_ijk[2] + box.size_ijk[2] / 2

    return row_of


def evidence(statement: Statement, shown: Shown) -> float:
    """Logarithm of the odds that the finding lies on the stated side, by what both sides show."""
    kind = statement.kind
    if statement.size_mm is not None and statement.size_mm < kind.least_mm[statement.row is None]:
        return 0.0
    sides = (statement.side, OTHER_SIDE[statement.side])
    own, other = (
        kind.amount(shown, side, _rows(statement, shown, side), statement.size_mm) + kind.floor for side in sides
    )
    return max(-kind.most, min(kind.most, kind.weight * math.log(own / other)))


def _rows(statement: Statement, shown: Shown, side: str) -> slice:
    """Where a side is looked up: about the image pointed at, in its own such lobe, or all over."""
    if statement.kind.reach_mm and statement.row is not None:
        return shown.rows_at(statement.row, statement.kind.reach_mm)
    if not statement.kind.is_local:
        return slice(0, shown.hu.shape[2])
    region = statement.region.replace(statement.side, side)  # the left upper lobe reaches further down
    return shown.rows_of(region if region in shown.boxes else statement.region)


def _any_of(*parts: str) -> re.Pattern[str]:
    return re.compile("|".join(parts), re.IGNORECASE)


_STILL = _any_of(r"\b(?:new|unchanged|stable|increased?|larger|enlarged)\b")
"""A comparison that speaks of what is there today."""
GRADES = (
    (3, _any_of(r"\b(?:large|massive|extensive|severe)\b")),
    (2, _any_of(r"\bmoderate")),
    (1, _any_of(r"\b(?:small|mild|trace|tiny|minimal|minor)\b")),
)
NODULE, FAINT = "nodule", "ground-glass nodule"
_PLEURA, _LUNG, _KIDNEY = ("pleura", "lung"), ("lung",), ("kidney",)
KINDS = (
    Kind("pleural effusion", _any_of(r"\beffusions?\b", "pleuraerg(?:u|ü)ss"), _PLEURA, Shown.fluid_ml, 2.0, 2.5, 3.5),
    Kind("pneumothorax", _any_of("pneumothora"), _PLEURA, Shown.free_air_ml, 0.3, 1.4, 3.5),
    Kind("filled lung", _any_of("consolidation", r"\bopacit", "pneumonia", "konsolidierung"), _LUNG,
         Shown.filled_ml, 2.0, 1.75, 3.0, reach_mm=15.0, is_local=True),
    Kind("collapsed lung", _any_of(r"(?<!compressive )(?<!passive )(?<!relaxation )atele[ck]ta"), _LUNG,
         Shown.filled_ml, 2.0, 1.1, 1.3, reach_mm=15.0, is_local=True),
    Kind("band of atelectasis", _any_of(r"\b(?:linear|band-?like|plate-?like|discoid|subsegmental)\b.*\batelecta",
         "plattenatelekta"), _LUNG, Shown.band_ml, 0.5, 2.5, 3.0, reach_mm=15.0, is_local=True),
    Kind(NODULE, _any_of(r"\bnodules?\b", "rundherd"), _LUNG, Shown.nodule_hu, 10.0, 4.0, 3.0, reach_mm=7.0,
         least_mm=(0.0, 10.0), is_local=True),
    Kind(FAINT, _any_of(r"\bground[- ]?glass\b.*\bnodules?\b", r"\bnodules?\b.*\bground[- ]?glass\b"), _LUNG,
         Shown.faint_nodule_hu, 10.0, 2.0, 2.0, reach_mm=7.0, least_mm=(14.0, 14.0), is_local=True),
    Kind("kidney stone", _any_of(r"calcul(?:us|i)\b", r"\bstones?\b", "lithiasis", "konkrement"), _KIDNEY,
         Shown.stone_ml, 0.03, 2.2, 3.5, reach_mm=8.0),
    Kind("hydronephrosis", _any_of("hydronephros", "dilat", "harnstau"), _KIDNEY, Shown.core_water_share,
         0.03, 5.0, 2.5),
    Kind("renal cyst", _any_of(r"\bcysts?\b", "zysten?"), _KIDNEY, Shown.cyst_likeness, 0.05, 2.5, 2.5, reach_mm=8.0,
         least_mm=(16.0, 16.0)),
    Kind("bladder wall", _any_of(r"\bmass\b", r"\blesion\b", "thickening", r"\btumou?r\b"), ("urinary_bladder",),
         Shown.wall_ml, 0.3, 1.6, 2.5, reach_mm=18.0),
)  # fmt: skip
