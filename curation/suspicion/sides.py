"""On which side the images show what a report says of one side.

Enters: a CT volume, its boxes, the sentences of its report. Leaves: which findings the images show on the other side.
Refuses: to judge where both sides look alike, where the report names the finding on both, or where the finding leaves
no clear trace: it compares the two sides of one patient, never a side with a norm.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import ndimage

Row = dict[str, Any]
Box = tuple[np.ndarray, np.ndarray]
"""First voxel and one past the last, (3,) int each."""

STEP_MM = 2.5
"""The volume is averaged to about this step: finer shows nothing more of what is compared here."""
AIR_HU, SOLID_HU, FREE_AIR_HU = -500.0, -300.0, -965.0
WATER_HU = (-12.0, 26.0)
"""Of the smoothed volume: effusions, cysts and a wide collecting system; parenchyma is denser."""
DENSE_HU = (-350.0, 130.0)
SPOT_HU = -550.0
MEDIASTINUM_MM, AORTA_MM = 30.0, 42.0
"""From the midline outwards the lungs are compared from here on; filled lung from beyond the aorta."""
MIN_NODULE_MM = 10.0
STRICTER = 1.3
ENOUGH = 2.0
"""Weight of the evidence against a report's sides from which on the pair is worth a look."""
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
    amount : callable (Sides, region, side, size in mm or None) -> float
        How much of it a side shows, ml; of a nodule the share of the volume that its size lets expect.
    least, ratio : float
        The stated side shows it when it holds so much, and so many times as much as the other.
    least_other : float
        So much the other side must hold to show it, and `STRICTER` times the ratio: a doubt needs more than a yes.
    is_local : bool
        Findings in several lobes are several findings.
    weight : float
        About ln(P(on the stated side) / P(on the other)), from the demo's truth.
    """

    name: str
    words: re.Pattern[str]
    regions: tuple[str, ...]
    amount: Callable[[Sides, str, str, float | None], float]
    least: float
    least_other: float
    ratio: float
    weight: float
    is_local: bool = False


def opposite_sides(
    sentences: Sequence[Row], data: np.ndarray, spacing_mm: Sequence[float], boxes: Mapping[str, Box]
) -> str | None:
    """What the images show on the other side than the report, in words; None where nothing says so clearly.

    Parameters
    ----------
    sentences : sequence of rows of ``sentences.parquet``
    data : (i, j, k) int16, HU, RAS+ closest axes
    spacing_mm : (3,) float
    boxes : mapping
        Region -> first voxel and one past the last.
    """
    said = list(sided(sentences))
    if not said:
        return None
    sides = Sides(data, spacing_mm, boxes)
    votes: dict[tuple[str, str, str], float] = {}
    for kind, region, side, size_mm in said:
        if region in boxes:
            votes[kind.name, region if kind.is_local else "", side] = _vote(kind, sides, region, side, size_mm)
    if sum(votes.values()) > -ENOUGH:
        return None
    against = sorted({(name, side) for (name, _, side), vote in votes.items() if vote < 0})
    return "; ".join(f"{name}: {side} in the text, {OTHER_SIDE[side]} in the images" for name, side in against)


def sided(sentences: Sequence[Row]) -> Iterator[tuple[Kind, str, str, float | None]]:
    """Findings that are said of one side, each with its region, side and size."""
    found: dict[str, list[tuple[Kind, str, str, float | None]]] = defaultdict(list)
    for row in sentences:
        side = row["laterality"]
        if row["assertion"] != "present" or row["is_normal"] or row["is_prior_comparison"]:
            continue
        for kind in KINDS:
            regions = [region for region in row["regions"] or () if region.startswith(kind.regions)]
            if regions and kind.words.search(row["text"]):
                size = max(row["measurements_mm"] or (), default=None)
                found[kind.name].append((kind, regions[0], side or "", size))
    for name, all_of_kind in found.items():
        named = {side for _, _, side, _ in all_of_kind}
        if name == NODULE or (len(named) == 1 and named <= OTHER_SIDE.keys()):
            yield from (one for one in all_of_kind if one[2] in OTHER_SIDE)


def _vote(kind: Kind, sides: Sides, region: str, side: str, size_mm: float | None) -> float:
    """Above zero where the stated side shows the finding, below where the other does."""
    own, other = (kind.amount(sides, region, one, size_mm) for one in (side, OTHER_SIDE[side]))
    if own >= kind.least and own >= kind.ratio * other:
        return kind.weight
    return -kind.weight if other >= kind.least_other and other >= STRICTER * kind.ratio * own else 0.0


class Sides:
    """A volume averaged to about `STEP_MM`, and what each side of it holds.

    Parameters
    ----------
    data, spacing_mm, boxes
        See `opposite_sides`.
    """

    def __init__(self, data: np.ndarray, spacing_mm: Sequence[float], boxes: Mapping[str, Box]) -> None:
        factors = np.array([max(1, int(STEP_MM / spacing)) for spacing in spacing_mm])
        self.step_mm = np.asarray(spacing_mm, float) * factors
        self.ml = float(np.prod(self.step_mm)) / 1000
        self.boxes = {name: (low // factors, -(-high // factors)) for name, (low, high) in boxes.items()}
        self.hu = block_mean(data, factors)

    # lungs

    @cached_property
    def chest(self) -> Chest | None:
        """What the lungs show; None where either was not located."""
        return Chest.of(self) if {"lung_left", "lung_right"} <= self.boxes.keys() else None

    def fluid_ml(self, _region: str, side: str, _size_mm: float | None) -> float:
        """Fluid behind a lung."""
        return self._in_chest("fluid", side, slice(None))

    def free_air_ml(self, _region: str, side: str, _size_mm: float | None) -> float:
        """Air before a lung without any lung in it."""
        return self._in_chest("free_air", side, slice(None))

    def filled_ml(self, region: str, side: str, _size_mm: float | None) -> float:
        """Lung without air, in the slices of a lobe."""
        return self._in_chest("filled", side, self._rows(region))

    def nodule_share(self, region: str, side: str, size_mm: float | None) -> float:
        """The largest compact spot about as large as the report says, in the slices of a lobe."""
        if self.chest is None or size_mm is None or size_mm < MIN_NODULE_MM:
            return 0.0
        spots = self.chest.spots[self.chest.half(side), :, self._rows(region)]
        best = 0
        for label, cut in enumerate(ndimage.find_objects(spots), start=1):
            if cut is None:
                continue
            edges = np.array([part.stop - part.start for part in cut])
            extent_mm = edges * self.step_mm
            if extent_mm.max() <= 1.7 * size_mm + 2 and extent_mm.min() >= 0.35 * size_mm:
                n = int(np.count_nonzero(spots[cut] == label))
                best = max(best, n if n >= 0.3 * np.prod(edges) else 0)
        return best * self.ml / (np.pi / 6 * (size_mm / 10) ** 3)

    def _in_chest(self, what: str, side: str, rows: slice) -> float:
        if self.chest is None:
            return 0.0
        return float(np.count_nonzero(getattr(self.chest, what)[self.chest.half(side), :, rows])) * self.ml

    def _rows(self, region: str) -> slice:
        low, high = self.boxes[region]
        return slice(int(low[2]), int(high[2]))

    # kidneys

    def stone_ml(self, _region: str, side: str, _size_mm: float | None) -> float:
        """What is much denser than the kidney inside its box."""

        def stone(hu: np.ndarray) -> np.ndarray:
            tissue = hu[(hu > 15) & (hu < 300)]
            return hu > max(230.0, float(np.percentile(tissue, 98)) + 60 if tissue.size else 0.0)

        return self._in_kidney(side, stone, margin=1)

    def water_ml(self, _region: str, side: str, _size_mm: float | None) -> float:
        """Water in and on a kidney: cysts, a wide collecting system."""

        def water(hu: np.ndarray) -> np.ndarray:
            calm = ndimage.gaussian_filter(hu, 1.0)
            return ndimage.binary_opening((calm > WATER_HU[0]) & (calm < WATER_HU[1]), np.ones((3, 3, 3)))

        return self._in_kidney(side, water, margin=3)

    def _in_kidney(self, side: str, what: Callable[[np.ndarray], np.ndarray], *, margin: int) -> float:
        box = self.boxes.get(f"kidney_{side}")
        if box is None:
            return 0.0
        low, high = np.maximum(box[0] - margin, 0), box[1] + margin
        labels, n = ndimage.label(what(self.hu[_cut(low, high)]))
        sizes = np.bincount(labels.ravel(), minlength=n + 1)
        sizes[0] = 0
        for axis in range(3):  # what reaches a face of the box, as rib, bowel and spine do, is no part of the kidney
            for place in (0, -1):
                sizes[np.unique(np.take(labels, place, axis=axis))] = 0
        return float(sizes.sum()) * self.ml


@dataclass(frozen=True)
class Chest:
    """Masks on the averaged grid.

    Parameters
    ----------
    middle : int
        First index right of the midline.
    fluid, free_air, filled : (i, j, k) bool
    spots : (i, j, k) int
        Labels of what is dense inside a lung.
    """

    middle: int
    fluid: np.ndarray
    free_air: np.ndarray
    filled: np.ndarray
    spots: np.ndarray

    def half(self, side: str) -> slice:
        """The indices of one side."""
        return slice(None, self.middle) if side == "left" else slice(self.middle, None)

    @classmethod
    def of(cls, sides: Sides) -> Chest:
        """Find the lungs around their boxes; what is no lung where the other side's mirror image is, is filled."""
        (left_low, left_high), (right_low, right_high) = sides.boxes["lung_left"], sides.boxes["lung_right"]
        low, high = np.minimum(left_low, right_low), np.maximum(left_high, right_high)
        margin = np.maximum(1, np.round(20.0 / sides.step_mm)).astype(int)
        start, stop = np.maximum(low - margin, 0), np.minimum(high + margin, sides.hu.shape)
        hu = sides.hu[_cut(start, stop)]
        middle = round((int(left_high[0]) + int(right_low[0])) / 2) - int(start[0])
        inside = _filled_in_plane(ndimage.binary_opening(hu > SOLID_HU))
        lung, smooth = inside & (hu < AIR_HU), ndimage.gaussian_filter(hu, 1.0)
        mirrored, holes = mirror(lung, middle), _filled_in_plane(lung)
        off_mm = np.abs(np.arange(hu.shape[0])[:, None, None] + 0.5 - middle) * sides.step_mm[0]
        depth = (np.arange(hu.shape[1])[None, :, None] + start[1] - low[1]) / (high[1] - low[1])  # 0 back, 1 front
        water = (smooth > WATER_HU[0]) & (smooth < WATER_HU[1])
        fluid = mirrored & ~lung & inside & (depth < 0.30) & (off_mm > MEDIASTINUM_MM) & water
        hull = holes | ndimage.binary_closing(lung, iterations=3) | (mirrored & (depth < 0.45))
        hull &= np.maximum.accumulate(lung, axis=2)  # not below the diaphragm
        dense = hull & inside & (off_mm > AORTA_MM) & (smooth > DENSE_HU[0]) & (smooth < DENSE_HU[1])
        dense &= ~ndimage.binary_dilation(fluid)
        if "heart" in sides.boxes:
            first, last = (np.clip(edge - start, 0, hu.shape) for edge in sides.boxes["heart"])
            dense[_cut(first, last)] = False
        free_air = ndimage.binary_opening(inside & (depth >= 0.45) & (smooth < FREE_AIR_HU))
        spots, _ = ndimage.label(ndimage.binary_opening(holes & (smooth > SPOT_HU) & (off_mm > MEDIASTINUM_MM)))
        pad = [(int(a), int(n - b)) for a, b, n in zip(start, stop, sides.hu.shape, strict=True)]
        masks = (np.pad(mask, pad) for mask in (fluid, free_air, ndimage.binary_opening(dense), spots))
        return cls(middle + int(start[0]), *masks)


def block_mean(data: np.ndarray, factors: Sequence[int] | np.ndarray) -> np.ndarray:
    """Means of blocks of voxels, float32; an incomplete block at the end is left out."""
    shape = [n // factor for n, factor in zip(data.shape, factors, strict=True)]
    cut = data[tuple(slice(0, n * factor) for n, factor in zip(shape, factors, strict=True))]
    blocks = cut.reshape([part for pair in zip(shape, factors, strict=True) for part in pair])
    return blocks.mean(axis=(1, 3, 5), dtype=np.float32)


def mirror(mask: np.ndarray, middle: int) -> np.ndarray:
    """A mask reflected at the plane before index `middle` of the first axis; False comes in from outside."""
    answer = np.zeros_like(mask)
    reach = max(0, min(middle, mask.shape[0] - middle))
    answer[middle - reach : middle + reach] = mask[middle - reach : middle + reach][::-1]
    return answer


def _filled_in_plane(mask: np.ndarray) -> np.ndarray:
    """Holes filled slice by slice."""
    return np.stack([ndimage.binary_fill_holes(mask[:, :, k]) for k in range(mask.shape[2])], axis=2)


def _cut(low: np.ndarray, high: np.ndarray) -> tuple[slice, ...]:
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


def _any_of(*parts: str) -> re.Pattern[str]:
    return re.compile("|".join(parts), re.IGNORECASE)


NODULE = "nodule"
_PLEURA, _LUNG, _KIDNEY = ("pleura", "lung"), ("lung",), ("kidney",)
KINDS = (
    Kind("pleural effusion", _any_of(r"\beffusions?\b", "pleuraerg(?:u|ü)ss"), _PLEURA,
         Sides.fluid_ml, 6.0, 15.0, 2.0, 2.0),
    Kind("pneumothorax", _any_of("pneumothora"), _PLEURA, Sides.free_air_ml, 1.5, 3.0, 4.0, 3.0),
    Kind("filled lung", _any_of("consolidation", r"\bopacit", "pneumonia", "konsolidierung"), _LUNG,
         Sides.filled_ml, 5.0, 12.0, 2.2, 2.0, is_local=True),
    Kind(NODULE, _any_of(r"\bnodules?\b", "rundherd"), _LUNG, Sides.nodule_share, 0.35, 0.5, 3.0, 1.0,
         is_local=True),
    Kind("kidney stone", _any_of(r"calcul(?:us|i)\b", r"\bstones?\b", "lithiasis", "konkrement"), _KIDNEY,
         Sides.stone_ml, 0.03, 0.05, 4.0, 3.0),
    Kind("water in the kidney", _any_of(r"\bcysts?\b", "hydronephros", "dilat", "zysten?"), _KIDNEY,
         Sides.water_ml, 1.5, 5.0, 3.0, 2.0),
)  # fmt: skip
