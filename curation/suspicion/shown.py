"""How much of a finding each side of a CT shows.

Enters: a volume, its boxes. Leaves: amounts, ml as a rule, of one side within some rows. Refuses: to say what is
normal: amounts are for comparing the two sides of one patient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from curation.align.coarse import block_means

Box = tuple[np.ndarray, np.ndarray]
"""First voxel and one past the last, (3,) int each."""

STEP_MM = 2.5
"""The volume is averaged to about this step: finer shows nothing more of what is compared here."""
AIR_HU, SOLID_HU, FREE_AIR_HU, LUNG_HU = -500.0, -300.0, -965.0, -800.0
WATER_HU = (-12.0, 26.0)
"""Of the smoothed volume: effusions, cysts and a wide collecting system; parenchyma is denser."""
DENSE_HU = (-350.0, 130.0)
MEDIASTINUM_MM, AORTA_MM, HEART_MM, HEART_DEPTH = 30.0, 42.0, 50.0, 0.3
"""From the midline outwards the lungs are compared from here on; filled lung from beyond the aorta. What is dense
before the fourth (0 the back, 1 the front of the lungs) and begins within the third belongs to the heart."""
COLLAPSE_MM = 10.0
"""Lung beside an effusion is pressed airless this far."""
BAND_MM, BAND_WIDTH_MM, BAND_HU = 14.0, 10.0, 120.0
"""A band of atelectasis is thinner than the first from above to below, wider than the second across, which no vessel
is, and so much denser than the lung about it."""
MIN_NODULE_MM, MIN_SPOT_HU, HILUM_MM = 7.0, 25.0, 22.0
SOLID_MM, FAINT_HU = 12.0, 420.0
"""From the first on a solid nodule is denser than the lung by the second, on slices of 5 mm too; ground-glass less."""
URINE_HU, WALL_HU, WALL_MM, BLADDER_MARGIN_MM = (-15.0, 24.0), (28.0, 150.0), 4.0, 12.0
"""A mass is thicker than twice the third; what a bladder that lies askew shows of its wall is not."""
CORE_SHARE, CORE_WATER_HU = 0.65, (-15.0, 20.0)
USUAL_CYST_MM, CYST_HU, UNLIKE_HU = 20.0, 7.0, (12.0, 14.0)
"""A ball whose mean is off by the first, or whose voxels spread by the second, is less like a cyst by a factor of e."""


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

    def band_ml(self, side: str, rows: slice, _size_mm: float | None) -> float:
        """Plates of lung without air that lie across."""
        if self.chest is None:
            return 0.0
        bands = self.chest.bands_hu[self.chest.half(side), :, rows]
        return float(bands.sum()) / -LUNG_HU * self.ml

    def nodule_hu(self, side: str, rows: slice, size_mm: float | None) -> float:
        """How clearly the roundest spot of that size stands out of the lung; solid where it is wide enough to tell."""
        return self._spot_hu(side, rows, size_mm, lambda over: (over > FAINT_HU) | ((size_mm or 0) < SOLID_MM))

    def faint_nodule_hu(self, side: str, rows: slice, size_mm: float | None) -> float:
        """The same for ground-glass."""
        return self._spot_hu(side, rows, size_mm, lambda over: over < FAINT_HU)

    def _spot_hu(
        self, side: str, rows: slice, size_mm: float | None, fits: Callable[[np.ndarray], np.ndarray]
    ) -> float:
        if self.chest is None:
            return 0.0
        spots = self.chest.spots(max(size_mm or 0.0, MIN_NODULE_MM))
        here = (spots.at[:, 2] >= rows.start) & (spots.at[:, 2] < rows.stop) & fits(spots.over_lung_hu)
        here &= (spots.at[:, 0] < self.chest.middle) == (side == "left")
        return float(spots.strength_hu[here].max(initial=0.0))

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

    def core_water_share(self, side: str, _rows: slice, _size_mm: float | None) -> float:
        """Share of water in the middle of a kidney's box: there lies fat, unless the collecting system is wide."""
        box = self.boxes.get(f"kidney_{side}")
        if box is None:
            return 0.0
        kidney = self.hu[cut(np.maximum(box[0], 0), np.minimum(box[1], self.hu.shape))]
        radii = np.array(kidney.shape) / 2
        axes = np.ogrid[tuple(slice(0, n) for n in kidney.shape)]
        off = sum(((axis - r + 0.5) / r) ** 2 for axis, r in zip(axes, radii, strict=True))
        calm = ndimage.gaussian_filter(np.clip(kidney, -120, 200), 0.7)[off < CORE_SHARE**2]
        return float(((calm > CORE_WATER_HU[0]) & (calm < CORE_WATER_HU[1])).mean()) if calm.size else 0.0

    def cyst_likeness(self, side: str, rows: slice, size_mm: float | None) -> float:
        """How like water, and how even, the best ball half as wide as the cyst inside a kidney's box is, 0 to 1."""
        box = self.boxes.get(f"kidney_{side}")
        if box is None:
            return 0.0
        radii = (size_mm or USUAL_CYST_MM) / 4 / self.step_mm
        reach = np.ceil(radii).astype(int)
        ball = sum((axis / r) ** 2 for axis, r in zip(np.ogrid[tuple(slice(-n, n + 1) for n in reach)], radii,
                                                      strict=True)) <= 1  # fmt: skip
        low, high = np.maximum(box[0], 0), np.minimum(box[1], self.hu.shape)
        low[2], high[2] = max(low[2], rows.start), min(high[2], rows.stop)
        if (high <= low).any():
            return 0.0
        about = tuple(np.clip(np.arange(a - n, b + n), 0, size - 1)
                      for a, b, n, size in zip(low, high, reach, self.hu.shape, strict=True))  # fmt: skip
        hu = np.clip(self.hu[np.ix_(*about)], -200, 300).astype(np.float64)
        inner = tuple(slice(n, size - n) for n, size in zip(reach, hu.shape, strict=True))
        # scipy.signal would be faster for the largest, and cost every worker 50 MB
        mean, square = (ndimage.convolve(part, ball / ball.sum())[inner] for part in (hu, hu**2))
        spread = np.sqrt(np.maximum(0, square - mean**2))
        return float(np.exp(-(np.abs(mean - CYST_HU) / UNLIKE_HU[0] + spread / UNLIKE_HU[1]).min()))

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
            wall[place] = ndimage.binary_opening(tissue, iterations=max(1, round(WALL_MM / float(self.step_mm.mean()))))
        return wall, middle


@dataclass(frozen=True)
class Spots:
    """Spots in the lungs: (n, 3) indices in the volume; (n,) least curvature and density above the lung, HU."""

    at: np.ndarray
    strength_hu: np.ndarray
    over_lung_hu: np.ndarray


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
        self._spots: dict[float, Spots] = {}  # by scale, in voxels

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
        outline = self.holes | ndimage.binary_closing(self.lung, iterations=3) | self._facing_lung
        outline &= np.maximum.accumulate(self.lung, axis=2)  # not below the diaphragm
        dense = outline & self.inside & (self.off_mm > AORTA_MM)
        dense &= (self.smooth > DENSE_HU[0]) & (self.smooth < DENSE_HU[1])
        if self._fluid.any():
            dense &= ndimage.distance_transform_edt(~self._fluid, self.step_mm) > COLLAPSE_MM
        dense &= ~(self._heart | mirror(self._heart, self.middle))
        return self._whole(ndimage.binary_opening(dense))

    @cached_property
    def bands_hu(self) -> np.ndarray:
        """How much denser than the lung above and below it a plate is, HU; 0 where there is none."""
        labels, _ = ndimage.label(self.lung)  # gas of the bowel does not reach the upper half
        upper = np.unique(labels[:, :, labels.shape[2] // 2 :])
        lung = np.isin(labels, upper[upper > 0])
        hu = np.clip(self.hu[:, :, self.rows], -1000, 0).astype(np.float32)
        hu[(hu < SOLID_HU) & ~ndimage.binary_dilation(lung, iterations=2)] = 0
        thin, i, j = (round(mm / step) | 1 for mm, step in zip((BAND_MM, BAND_WIDTH_MM, BAND_WIDTH_MM),
                                                               self.step_mm[[2, 0, 1]], strict=True))  # fmt: skip
        bands = ndimage.grey_opening(hu - ndimage.grey_opening(hu, (1, 1, thin)), (i, j, 1))
        between = np.maximum.accumulate(lung, axis=2) & np.maximum.accumulate(lung[:, :, ::-1], axis=2)[:, :, ::-1]
        bands = np.where(between & (self.off_mm > MEDIASTINUM_MM), bands - BAND_HU, 0)
        return self._whole(np.maximum(0, bands))

    @cached_property
    def _facing_lung(self) -> np.ndarray:
        """Where the other side has lung; before the spine without what reaches out of the mediastinum, as the heart."""
        front = self.mirrored & (self.depth >= HEART_DEPTH)
        labels, _ = ndimage.label(ndimage.binary_opening(front & self.inside & (self.smooth > DENSE_HU[0])))
        free = ~np.isin(labels, np.unique(labels[np.broadcast_to(self.off_mm <= HEART_MM, labels.shape)]))
        return (self.mirrored & (self.depth < HEART_DEPTH)) | (front & free & (labels > 0))

    @cached_property
    def _heart(self) -> np.ndarray:
        """The box of the heart, but for the lung behind it."""
        box = np.zeros_like(self.lung)
        if self.heart is not None:
            (i, j, k), (i_end, j_end, k_end) = self.heart
            box[i:i_end, j:j_end, max(0, k - self.rows.start) : max(0, k_end - self.rows.start)] = True
        return box & (self.depth > HEART_DEPTH)

    def spots(self, size_mm: float) -> Spots:
        """Spots of about that size in the lungs.

        The volume is smoothed to the scale of the size. What counts of a spot is its least curvature over the three
        axes: a vessel has none along itself, a plate in two directions, the wall of the chest is left out.

        References
        ----------
        Li, Sone, Doi: Selective enhancement filters for nodules, vessels, and airway walls. Med Phys 30 (2003).
        """
        sigma = round(max(1.0, size_mm / 3 / float(self.step_mm.mean())) * 2) / 2
        if sigma not in self._spots:
            self._spots[sigma] = self._find_spots(sigma)
        return self._spots[sigma]

    def _find_spots(self, sigma: float) -> Spots:
        where = ndimage.find_objects(self.holes.astype(np.uint8))
        if not where or not self.lung.any():
            return Spots(np.zeros((0, 3), int), np.zeros(0), np.zeros(0))
        holes, hu = self.holes[where[0]], self.hu[:, :, self.rows][where[0]]
        lung_hu = float(np.median(self.hu[:, :, self.rows][self.lung]))
        hu = np.where(holes, np.clip(hu, -1000, 100), lung_hu).astype(np.float32)
        smooth = ndimage.gaussian_filter(hu, sigma, truncate=3)
        curved = -ndimage.laplace(smooth)
        at = np.argwhere((ndimage.maximum_filter(curved, 3) == curved) & holes & (curved * sigma**2 > MIN_SPOT_HU))
        first = np.array([part.start for part in where[0]])
        at = at[self.off_mm.ravel()[at[:, 0] + first[0]] > HILUM_MM]
        strength = np.maximum(0, -curvatures(smooth, at)[:, -1]) * sigma**2
        over = ndimage.gaussian_filter(hu, 1.0)[tuple(at.T)] - lung_hu
        return Spots(at + first + (0, 0, self.rows.start), strength, over)

    def _whole(self, part: np.ndarray) -> np.ndarray:
        """A mask of the lungs' slices as one of the volume."""
        return np.pad(part, ((0, 0), (0, 0), (self.rows.start, self.hu.shape[2] - self.rows.start - part.shape[2])))


def curvatures(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(n, 3) eigenvalues, ascending, of the second derivatives per voxel of `values` at (n, 3) indices."""
    padded, at = np.pad(values, 1, mode="edge"), at + 1
    steps = np.eye(3, dtype=int)
    hessian = np.zeros((len(at), 3, 3))

    def near(step: np.ndarray) -> np.ndarray:
        return padded[tuple((at + step).T)]

    for a in range(3):
        hessian[:, a, a] = near(steps[a]) + near(-steps[a]) - 2 * near(0 * steps[a])
        for b in range(a):
            one, other = steps[a] + steps[b], steps[a] - steps[b]
            hessian[:, a, b] = hessian[:, b, a] = (near(one) + near(-one) - near(other) - near(-other)) / 4
    return np.linalg.eigvalsh(hessian)


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
