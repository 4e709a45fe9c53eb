"""How much of a finding each side of a CT shows.

Enters: a volume, its boxes. Leaves: amounts, ml as a rule, of one side within some rows. Refuses: to say what is
normal: amounts are for comparing the two sides of one patient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np
from scipy import ndimage

from curation.align.coarse import block_means

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
COLLAPSE_MM = 10.0
"""Lung beside an effusion is pressed airless this far."""
MIN_NODULE_MM, VESSEL_HU = 10.0, 60.0
URINE_HU, WALL_HU, BLADDER_MARGIN_MM = (-15.0, 24.0), (28.0, 150.0), 12.0
KIDNEY_MARGIN_MM, RENAL_WATER_HU, ENHANCED_HU = 8.0, 22.0, 60.0
"""Cysts bulge out of the box; fluid in the bowel beside it is a little denser. Of what a kidney's box holds a quarter
is denser than the third where contrast was given."""


class Shown:
    """A volume averaged to about `STEP_MM`, and what each side of it holds.

    Parameters
    ----------
    data : (i, j, k) int16, HU, RAS+ closest axes
    spacing_mm : (3,) float
    boxes : mapping
        Region -> first voxel and one past the last.
    """

    def __init__(self, data: np.ndarray, spacing_mm: Sequence[float], boxes: Mapping[str, Box]) -> None:
        i, j, k = (max(1, int(STEP_MM / spacing)) for spacing in spacing_mm)
        self.factors = np.array([i, j, k])
        self.step_mm = np.asarray(spacing_mm, float) * self.factors
        self.ml = float(np.prod(self.step_mm)) / 1000
        self.boxes = {name: (low // self.factors, -(-high // self.factors)) for name, (low, high) in boxes.items()}
        self.hu = block_means(data, (i, j, k), most_lines=max(i, j, k))

    def rows_of(self, region: str) -> slice:
        """The slices of a region's box; all of them where it has none."""
        if region not in self.boxes:
            return slice(0, self.hu.shape[2])
        low, high = self.boxes[region]
        return slice(int(low[2]), int(high[2]))

    def rows_at(self, row: float, reach_mm: float) -> slice:
        """The slices around a row of the volume as it came."""
        middle, reach = row / self.factors[2], reach_mm / self.step_mm[2]
        return slice(max(0, int(middle - reach)), int(middle + reach) + 1)

    # chest

    @cached_property
    def chest(self) -> Chest | None:
        """What the lungs show; None where either was not located."""
        return Chest(self) if {"lung_left", "lung_right"} <= self.boxes.keys() else None

    def fluid_ml(self, side: str, rows: slice, _size_mm: float | None) -> float:
        """Fluid behind a lung."""
        return self._in_chest("fluid", side, rows)

    def free_air_ml(self, side: str, rows: slice, _size_mm: float | None) -> float:
        """Air before a lung without any lung in it."""
        return self._in_chest("free_air", side, rows)

    def filled_ml(self, side: str, rows: slice, _size_mm: float | None) -> float:
        """Lung without air."""
        return self._in_chest("filled", side, rows)

    def nodule_share(self, side: str, rows: slice, size_mm: float | None) -> float:
        """The largest compact spot about as large as the report says, as a share of a ball of that size."""
        if self.chest is None or size_mm is None or size_mm < MIN_NODULE_MM:
            return 0.0
        spots = self.chest.spots[self.chest.half(side), :, rows]
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

    def nodule_hu(self, side: str, rows: slice, size_mm: float | None) -> float:
        """Contrast of the most conspicuous ball of that size; the more if it is compact."""
        if self.chest is None:
            return 0.0
        hu = self.chest.blob_hu(side, rows, size_mm or MIN_NODULE_MM)
        return (self.nodule_share(side, rows, size_mm) + 0.1) * (hu + VESSEL_HU)

    def _in_chest(self, what: str, side: str, rows: slice) -> float:
        if self.chest is None:
            return 0.0
        return float(np.count_nonzero(getattr(self.chest, what)[self.chest.half(side), :, rows])) * self.ml

    # abdomen

    def stone_ml(self, side: str, rows: slice, _size_mm: float | None) -> float:
        """What is much denser than the kidney inside its box."""

        def stone(hu: np.ndarray) -> np.ndarray:
            tissue = hu[(hu > 15) & (hu < 300)]
            return hu > max(230.0, float(np.percentile(tissue, 98)) + 60 if tissue.size else 0.0)

        return float(self._in_kidney(side, rows, stone, margin_mm=2.5).sum()) * self.ml

    @cached_property
    def _is_enhanced(self) -> bool:
        """Whether contrast sets the kidneys off from water; without it noise makes water of either."""
        boxes = [self.boxes[name] for name in ("kidney_left", "kidney_right") if name in self.boxes]
        tissue = [hu[(hu > 0) & (hu < 300)] for hu in (self.hu[cut(*box)] for box in boxes)]
        return all(part.size and np.percentile(part, 75) >= ENHANCED_HU for part in tissue)

    def water_ml(self, side: str, rows: slice, _size_mm: float | None) -> float:
        """The largest body of water in and on a kidney: a cyst, a wide collecting system; 0 without contrast."""
        if not self._is_enhanced:
            return 0.0

        def water(hu: np.ndarray) -> np.ndarray:
            calm = ndimage.gaussian_filter(hu, 0.7)
            return ndimage.binary_opening((calm > WATER_HU[0]) & (calm < RENAL_WATER_HU), np.ones((2, 2, 2)))

        return float(self._in_kidney(side, rows, water, margin_mm=KIDNEY_MARGIN_MM).max(initial=0)) * self.ml

    def _in_kidney(
        self, side: str, rows: slice, what: Callable[[np.ndarray], np.ndarray], *, margin_mm: float
    ) -> np.ndarray:
        """Voxels of each piece in some rows; what reaches a face of box and margin, as rib and bowel do, is none."""
        box = self.boxes.get(f"kidney_{side}")
        if box is None:
            return np.zeros(0, int)
        margin = np.ceil(margin_mm / self.step_mm).astype(int)
        low, high = np.maximum(box[0] - margin, 0), np.minimum(box[1] + margin, self.hu.shape)
        labels, n = ndimage.label(what(self.hu[cut(low, high)]))
        sizes = np.bincount(labels.ravel(), minlength=n + 1)
        sizes[0] = 0
        for axis in range(3):
            for place in (0, -1):
                sizes[np.unique(np.take(labels, place, axis=axis))] = 0
        shown = labels[:, :, max(0, rows.start - low[2]) : max(0, rows.stop - low[2])]
        return sizes[np.unique(shown)]

    def wall_ml(self, side: str, rows: slice, _size_mm: float | None) -> float:
        """Tissue where the other half of the bladder holds urine."""
        wall, middle = self._bladder_wall
        return float(np.count_nonzero(wall[half(side, middle), :, rows])) * self.ml

    @cached_property
    def _bladder_wall(self) -> tuple[np.ndarray, int]:
        """The tissue across from urine, or from ascites about the bladder, and the index of the midline."""
        wall = np.zeros(self.hu.shape, bool)
        if "urinary_bladder" not in self.boxes:
            return wall, 0
        margin = np.ceil(BLADDER_MARGIN_MM / self.step_mm).astype(int)
        low, high = self.boxes["urinary_bladder"] - np.array([margin, -margin])
        low, high = np.maximum(low, 0), np.minimum(high, self.hu.shape)
        rows = slice(low[2], high[2])
        middle = body_middle(self.hu[:, :, rows])
        reach = max(high[0] - middle, middle - low[0])  # the box holds the urine, which a mass pushes to one side
        place = (slice(max(0, middle - reach), middle + reach), slice(low[1], high[1]), rows)
        calm = ndimage.gaussian_filter(self.hu[place], 0.8)
        water, n = ndimage.label(ndimage.binary_opening((calm > URINE_HU[0]) & (calm < URINE_HU[1])))
        if n:
            water = ndimage.binary_closing(water == 1 + np.bincount(water.ravel())[1:].argmax())
            tissue = (calm > WALL_HU[0]) & (calm < WALL_HU[1]) & mirror(water, middle - place[0].start) & ~water
            wall[place] = ndimage.binary_opening(tissue)
        return wall, middle


class Chest:
    """Masks of the slices that hold lung, on the averaged grid of a `Shown`."""

    def __init__(self, shown: Shown) -> None:
        self.step_mm = shown.step_mm
        (left_low, left_high), (right_low, right_high) = shown.boxes["lung_left"], shown.boxes["lung_right"]
        low, high = np.minimum(left_low, right_low), np.maximum(left_high, right_high)
        self.hu = shown.hu
        self.rows = slice(max(0, int(low[2])), int(high[2]))
        self.middle = round((int(left_low[0]) + int(right_high[0])) / 2)  # inner edges differ: a lung may cross it
        hu = shown.hu[:, :, self.rows]
        self.inside = filled_in_plane(ndimage.binary_opening(hu > SOLID_HU))
        self.lung = self.inside & (hu < AIR_HU)
        self.holes = filled_in_plane(self.lung)
        self.smooth = ndimage.gaussian_filter(hu, 1.0)
        self.off_mm = np.abs(np.arange(hu.shape[0])[:, None, None] + 0.5 - self.middle) * self.step_mm[0]
        self.depth = (np.arange(hu.shape[1])[None, :, None] - low[1]) / (high[1] - low[1])  # 0 back, 1 front
        self.heart = shown.boxes.get("heart")
        self._blobs: dict[float, np.ndarray] = {}  # size of ball, in voxels -> response

    def half(self, side: str) -> slice:
        """The indices of one side."""
        return half(side, self.middle)

    @cached_property
    def mirrored(self) -> np.ndarray:
        """The lungs reflected at the midline."""
        return mirror(self.lung, self.middle)

    @cached_property
    def _fluid(self) -> np.ndarray:
        water = (self.smooth > WATER_HU[0]) & (self.smooth < WATER_HU[1])
        behind = (self.depth < 0.30) & (self.off_mm > MEDIASTINUM_MM)
        return self.mirrored & ~self.lung & self.inside & behind & water

    @cached_property
    def fluid(self) -> np.ndarray:
        """Water where the other side has lung, at the back."""
        return self._whole(self._fluid)

    @cached_property
    def free_air(self) -> np.ndarray:
        """Air without lung, at the front."""
        return self._whole(ndimage.binary_opening(self.inside & (self.depth >= 0.45) & (self.smooth < FREE_AIR_HU)))

    @cached_property
    def filled(self) -> np.ndarray:
        """Lung without air: denser than lung, inside a lung's outline or where the other side has lung."""
        outline = self.holes | ndimage.binary_closing(self.lung, iterations=3) | (self.mirrored & (self.depth < 0.45))
        outline &= np.maximum.accumulate(self.lung, axis=2)  # not below the diaphragm
        dense = outline & self.inside & (self.off_mm > AORTA_MM)
        dense &= (self.smooth > DENSE_HU[0]) & (self.smooth < DENSE_HU[1])
        if self._fluid.any():
            dense &= ndimage.distance_transform_edt(~self._fluid, self.step_mm) > COLLAPSE_MM
        dense &= ~(self._heart | mirror(self._heart, self.middle))
        return self._whole(ndimage.binary_opening(dense))

    @cached_property
    def _heart(self) -> np.ndarray:
        """The box of the heart, but for the lung behind it."""
        box = np.zeros_like(self.lung)
        if self.heart is not None:
            (i, j, k), (i_end, j_end, k_end) = self.heart
            box[i:i_end, j:j_end, max(0, k - self.rows.start) : max(0, k_end - self.rows.start)] = True
        return box & (self.depth > 0.3)

    @cached_property
    def spots(self) -> np.ndarray:
        """Labels of what is dense inside a lung."""
        dense = self.holes & (self.smooth > SPOT_HU) & (self.off_mm > MEDIASTINUM_MM)
        return self._whole(ndimage.label(ndimage.binary_opening(dense))[0])

    def blob_hu(self, side: str, rows: slice, size_mm: float) -> float:
        """How much denser than its surroundings the most conspicuous ball of that size is, HU."""
        sigma = round(max(1.0, size_mm / 3.5 / float(self.step_mm[0])) * 2) / 2
        if sigma not in self._blobs:
            self._blobs[sigma] = self._response(sigma)
        response = self._blobs[sigma]
        return max(0.0, float(response[self.half(side), :, rows].max(initial=0.0)))

    def _response(self, sigma: float) -> np.ndarray:
        hu = np.clip(self.hu[:, :, self.rows], -1000, 100)
        response = ndimage.gaussian_filter(hu, sigma) - ndimage.gaussian_filter(hu, 1.7 * sigma)
        return self._whole(np.where(ndimage.binary_erosion(self.holes) & (self.off_mm > MEDIASTINUM_MM), response, 0))

    def _whole(self, part: np.ndarray) -> np.ndarray:
        """A mask of the lungs' slices as one of the volume."""
        return np.pad(part, ((0, 0), (0, 0), (self.rows.start, self.hu.shape[2] - self.rows.start - part.shape[2])))


def half(side: str, middle: int) -> slice:
    """The indices of one side: the first axis runs from the left of the patient to the right."""
    return slice(None, middle) if side == "left" else slice(middle, None)


def body_middle(hu: np.ndarray) -> int:
    """The index of the plane half way between the sides of the body: the median over the slices."""
    across = ndimage.binary_opening(hu > SOLID_HU, iterations=2).any(axis=1)
    edges = [np.flatnonzero(across[:, k]) for k in range(hu.shape[2])]
    return round(float(np.median([(cols[0] + cols[-1] + 1) / 2 for cols in edges if len(cols)] or [hu.shape[0] / 2])))


def mirror(mask: np.ndarray, middle: int) -> np.ndarray:
    """A mask reflected at the plane before index `middle` of the first axis; False comes in from outside."""
    answer = np.zeros_like(mask)
    reach = max(0, min(middle, mask.shape[0] - middle))
    answer[middle - reach : middle + reach] = mask[middle - reach : middle + reach][::-1]
    return answer


def filled_in_plane(mask: np.ndarray) -> np.ndarray:
    """Holes filled slice by slice."""
    return np.stack([ndimage.binary_fill_holes(mask[:, :, k]) for k in range(mask.shape[2])], axis=2)


def cut(low: np.ndarray, high: np.ndarray) -> tuple[slice, ...]:
    """The part of an array between two corners."""
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
