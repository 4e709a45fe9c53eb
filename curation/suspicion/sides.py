"""On which side the images show what a report says of one side.

Enters: a CT volume, its boxes, the sentences of its report. Leaves: per sided sentence whether its own side, the other
or neither shows the finding. Refuses: to judge where both sides look alike, or where the finding leaves no clear trace:
it compares the two sides of one patient, never a side with a norm.
"""

from __future__ import annotations

import re
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
AIR_HU, SOLID_HU = -500.0, -300.0
FLUID_HU = (-12.0, 26.0)
"""Of the smoothed volume: effusions, cysts and a wide collecting system; parenchyma is denser."""
WATER_HU = (-12.0, 26.0)
SIDE = {"left": -1.0, "right": 1.0}
"""Sign of the first axis, RAS+."""


@dataclass(frozen=True)
class Kind:
    """A finding that shows on one side.

    Parameters
    ----------
    words : pattern
        How reports name it.
    regions : tuple of str
        Prefixes of the sided regions that it is said of.
    amount : callable (Sides, region, side, size in mm or None) -> ml
        How much of it a side shows.
    least_ml : float
        Less on both sides is no trace.
    ratio : float
        The side that shows it shows at least so many times as much as the other.
    """

    name: str
    words: re.Pattern[str]
    regions: tuple[str, ...]
    amount: Callable[[Sides, str, str, float | None], float]
    least_ml: float
    ratio: float


class Sides:
    """A volume averaged to about `STEP_MM`, and what each side of it holds.

    Parameters
    ----------
    data : (i, j, k) int16, HU, RAS+
    spacing_mm : (3,) float
    boxes : mapping
        Region -> first voxel and one past the last, on the volume's grid.
    """

    def __init__(self, data: np.ndarray, spacing_mm: Sequence[float], boxes: Mapping[str, Box]) -> None:
        factors = [max(1, int(STEP_MM / spacing)) for spacing in spacing_mm]
        self.step = np.asarray(spacing_mm, float) * factors
        self.ml = float(np.prod(self.step)) / 1000
        self.boxes = {name: (low // factors, -(-high // factors)) for name, (low, high) in boxes.items()}
        self._hu = block_mean(data, factors)

    def vox(self, mm: float) -> tuple[int, int, int]:
        """A length as voxels of each axis, at least 1."""
        i, j, k = (max(1, round(mm / step)) for step in self.step)
        return i, j, k

    # chest

    @cached_property
    def chest(self) -> Chest | None:
        """The lungs and what lies around them; None where either was not located."""
        if not {"lung_left", "lung_right"} <= self.boxes.keys():
            return None
        return Chest.of(self)

    def opaque_ml(self, region: str, side: str, _size_mm: float | None) -> float:
        """Lung that is filled, as far as the box of a lobe reaches."""
        return 0.0 if self.chest is None else self.chest.within(self.chest.opaque, self.rows(region), side) * self.ml

    def rows(self, region: str) -> slice:
        """The slices of a region's box."""
        low, high = self.boxes[region]
        return slice(int(low[2]), int(high[2]))

    def fluid_ml(self, _region: str, side: str, _size_mm: float | None) -> float:
        """Fluid behind the lung."""
        return 0.0 if self.chest is None else self.chest.within(self.chest.fluid, slice(None), side) * self.ml

    def free_air_ml(self, _region: str, side: str, _size_mm: float | None) -> float:
        """Air before the lung without any lung in it."""
        return 0.0 if self.chest is None else self.chest.within(self.chest.free_air, slice(None), side) * self.ml

    def nodule_ml(self, region: str, side: str, size_mm: float | None) -> float:
        """The largest compact spot in a lung about as large as the report says, in the slices of a lobe."""
        if self.chest is None or size_mm is None:
            return 0.0
        half = slice(None, self.chest.middle) if side == "left" else slice(self.chest.middle, None)
        spots = self.chest.spots[half, :, self.rows(region)]
        best = 0.0
        for label, cut in enumerate(ndimage.find_objects(spots), start=1):
            if cut is None:
                continue
            extent = np.array([part.stop - part.start for part in cut]) * self.step
            if not 0.5 * size_mm <= extent.max() <= 1.7 * size_mm + 2.0 or extent.min() < 0.35 * size_mm:
                continue
            n = int(np.count_nonzero(spots[cut] == label))
            if n >= 0.3 * np.prod([part.stop - part.start for part in cut]):
                best = max(best, n * self.ml)
        return best / (np.pi / 6 * (size_mm / 10) ** 3)

    def wall_ml(self, region: str, side: str, _size_mm: float | None) -> float:
        """Soft tissue in one half of the bladder's box."""
        low, high = self.boxes[region]
        hu = self._hu[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))]
        middle = hu.shape[0] / 2
        half = hu[: int(middle)] if side == "left" else hu[int(np.ceil(middle)) :]
        calm = ndimage.gaussian_filter(half, 1.0)
        i, j, k = (np.linspace(-1, 1, n) for n in hu.shape)
        ball = (i[:, None, None] ** 2 + j[None, :, None] ** 2 + k[None, None, :] ** 2) < 0.9
        ball = ball[: half.shape[0]] if side == "left" else ball[-half.shape[0] :]
        return float(np.count_nonzero((calm > 28) & (calm < 140) & ball)) * self.ml

    # kidneys

    def stone_ml(self, _region: str, side: str, _size_mm: float | None) -> float:
        """What is much denser than the kidney inside it."""

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
        hu = self._hu[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))]
        labels, n = ndimage.label(what(hu))
        if not n:
            return 0.0
        # what reaches from face to face, as a rib or bowel does, is no part of the kidney
        faces = np.zeros(n + 1, int)
        for axis in range(3):
            for place in (0, -1):
                faces[np.unique(np.take(labels, place, axis=axis))] += 1
        sizes = np.bincount(labels.ravel(), minlength=n + 1)
        sizes[0] = 0
        return float(sizes[faces == 0].sum()) * self.ml


@dataclass(frozen=True)
class Chest:
    """Masks on the averaged grid, the midline at `middle`.

    Parameters
    ----------
    middle : int
        First index right of the midline.
    opaque, fluid, free_air : (i, j, k) bool
    spots : (i, j, k) int
        Labels of what is dense inside a lung.
    """

    middle: int
    opaque: np.ndarray
    fluid: np.ndarray
    free_air: np.ndarray
    spots: np.ndarray

    @classmethod
    def of(cls, sides: Sides) -> Chest:
        """Find the lungs within their boxes and fill each by the mirror image of the other."""
        (left_low, left_high), (right_low, right_high) = sides.boxes["lung_left"], sides.boxes["lung_right"]
        low, high = np.minimum(left_low, right_low), np.maximum(left_high, right_high)
        margin = np.array(sides.vox(20.0))
        start = np.maximum(low - margin, 0)
        stop = np.minimum(high + margin, sides._hu.shape)
        hu = sides._hu[tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))]
        middle = int(round((left_high[0] + right_low[0]) / 2)) - int(start[0])
        body = ndimage.binary_opening(hu > SOLID_HU, iterations=1)
        inside = np.stack([ndimage.binary_fill_holes(body[:, :, k]) for k in range(hu.shape[2])], axis=2)
        lung = inside & (hu < AIR_HU)
        mirrored = mirror(lung, middle)
        smooth = ndimage.gaussian_filter(hu, 1.0)
        i, j = np.arange(hu.shape[0])[:, None, None], np.arange(hu.shape[1])[None, :, None]
        lateral = np.abs(i + 0.5 - middle) * sides.step[0] > 30.0
        back = j < (low[1] + 0.45 * (high[1] - low[1])) - start[1]
        filled = mirrored & ~lung & inside
        rear = j < (low[1] + 0.30 * (high[1] - low[1])) - start[1]
        fluid = filled & rear & lateral & (smooth > FLUID_HU[0]) & (smooth < FLUID_HU[1])
        holes = np.stack([ndimage.binary_fill_holes(lung[:, :, k]) for k in range(hu.shape[2])], axis=2)
        hull = holes | ndimage.binary_closing(lung, iterations=3) | (mirrored & back)
        above = np.maximum.accumulate(lung, axis=2)  # not below the diaphragm
        dense = hull & above & inside & lateral & (smooth > -350) & (smooth < 130) & ~ndimage.binary_dilation(fluid)
        if "heart" in sides.boxes:
            first, last = (np.clip(edge - start, 0, hu.shape).astype(int) for edge in sides.boxes["heart"])
            dense[first[0] : last[0], first[1] : last[1], first[2] : last[2]] = False
        opaque = ndimage.binary_opening(dense, iterations=1)
        labels, _ = ndimage.label(holes & inside & (smooth > -550) & lateral)
        free_air = ndimage.binary_opening(inside & ~back & (smooth < -965), iterations=1)
        pad = [(int(a), int(n - b)) for a, b, n in zip(start, stop, sides._hu.shape, strict=True)]
        opaque, fluid, free_air = (np.pad(mask, pad) for mask in (opaque, fluid, free_air))
        return cls(middle + int(start[0]), opaque, fluid, free_air, np.pad(labels, pad))

    def within(self, mask: np.ndarray, rows: slice, side: str) -> int:
        """Voxels of a mask on one side of the midline, in some slices."""
        half = slice(None, self.middle) if side == "left" else slice(self.middle, None)
        return int(np.count_nonzero(mask[half, :, rows]))


def block_mean(data: np.ndarray, factors: Sequence[int]) -> np.ndarray:
    """Means of blocks of voxels, float32; an incomplete block at the end is left out."""
    if all(factor == 1 for factor in factors):
        return np.asarray(data, dtype=np.float32)
    shape = [n // factor for n, factor in zip(data.shape, factors, strict=True)]
    cut = data[tuple(slice(0, n * factor) for n, factor in zip(shape, factors, strict=True))]
    blocks = cut.reshape([part for pair in zip(shape, factors, strict=True) for part in pair])
    return blocks.mean(axis=(1, 3, 5), dtype=np.float32)


def mirror(mask: np.ndarray, middle: int) -> np.ndarray:
    """A mask reflected at the plane before index `middle` of the first axis; False comes in from outside."""
    answer = np.zeros_like(mask)
    reach = min(middle, mask.shape[0] - middle)
    answer[middle - reach : middle + reach] = mask[middle - reach : middle + reach][::-1]
    return answer


def _words(*parts: str) -> re.Pattern[str]:
    return re.compile("|".join(parts), re.IGNORECASE)


KINDS = (
    Kind("pleural effusion", _words(r"\beffusions?\b", "pleuraerguss"), ("pleura", "lung"), Sides.fluid_ml, 8.0, 2.5),
    Kind("pneumothorax", _words("pneumothora"), ("pleura", "lung"), Sides.free_air_ml, 1.5, 4.0),
    Kind("opacity", _words("consolidation", r"\bopacit", "pneumonia", "infiltrat"), ("lung",), Sides.opaque_ml, 15.0, 2.5),
    Kind("stone", _words("calcul[ui]", r"\bstones?\b", "lithiasis"), ("kidney",), Sides.stone_ml, 0.03, 4.0),
    Kind("nodule", _words(r"\bnodules?\b"), ("lung",), Sides.nodule_ml, 0.35, 3.0),
    Kind("bladder wall", _words("mass", "lesion", "thickening", "polyp"), ("urinary_bladder",), Sides.wall_ml, 0.5, 2.0),
    Kind("cyst or wide calyces", _words(r"\bcysts?\b", "hydronephrosis", "dilat"), ("kidney",), Sides.water_ml, 1.5, 3.0),
)
