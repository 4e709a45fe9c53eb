"""Lungs, airway, carina and diaphragm domes on the coarse copy.

Enters: coarse HU and the body. Leaves: lung masks by patient side and their landmarks. Refuses: bowel gas as lung.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from curation.align.body import CUBE, IN_PLANE, Body, component_table, largest_component, litres, section_frame
from curation.align.coarse import STEP_MM

LUNG_HU = (-930.0, -600.0)
"""Mean HU of a component that is lung at any breath; bowel gas has -950 to -1000 in its middle."""
MIN_LUNG_LITRES = 0.06
"""Less on a side is a costophrenic tip or bowel gas."""
RECESS_HU = -380.0
"""A recess is hardly thicker than a coarse voxel: partial volume raises its values."""
INNER_SHARE = 0.3
"""Of a lung's footprint, next to the heart, in which the lowest lung is no diaphragm."""
BELOW_MM = 60.0
"""A small part of lung ends at most so far below the highest part; bowel gas ends lower."""
MAX_FORWARD = 0.62
"""Lungs fill the back and the middle of the body."""
AIRWAY_FORWARD = (0.3, 0.85)
"""The trachea lies before the spine."""
WALL_MM = 28.0
"""Recesses lie within this depth of the lean surface: behind ribs and intercostal muscle."""
MIN_RECESS_VOXELS = 60
"""4 ml of lung base at the upper end of a scan."""
MAX_RECESS_MM = 110.0
"""From the costophrenic recess up to the dome; more is lung cut by a small field of view."""


@dataclass(frozen=True)
class Thorax:
    """Lung landmarks, coarse grid; None where not in the scan.

    Parameters
    ----------
    lung_left, lung_right : (x, y, z) bool
        By patient side; empty where there is none.
    airway : (x, y, z) bool
        Trachea as far as the carina.
    apex, carina, dome_left, dome_right, base : float or None
        Coarse z edges: top of the lungs, end of the trachea, highest point of each half of the diaphragm, lowest lung.
    """

    lung_left: np.ndarray
    lung_right: np.ndarray
    airway: np.ndarray
    apex: float | None = None
    carina: float | None = None
    dome_left: float | None = None
    dome_right: float | None = None
    base: float | None = None

    @property
    def lungs(self) -> np.ndarray:
        """Both lungs."""
        return self.lung_left | self.lung_right


def find_thorax(hu: np.ndarray, body: Body) -> Thorax:
    """Find the lungs and what they show; masks are empty and levels None where there is no lung."""
    empty = np.zeros(hu.shape, dtype=bool)
    lungs = _lung_components(hu, body)
    if np.count_nonzero(lungs) < MIN_RECESS_VOXELS:
        return Thorax(empty, empty, empty)
    middle = _midline(lungs, body)
    airway, carina = _trace_airway(hu, body, lungs, middle)
    lungs = lungs & ~ndimage.binary_dilation(airway)
    left, right = _split_sides(lungs, middle)
    slices = np.flatnonzero((left | right).sum(axis=(0, 1)) > 4)
    if not len(slices):
        return Thorax(empty, empty, empty)
    return Thorax(
        lung_left=left,
        lung_right=right,
        airway=airway,
        apex=float(slices[-1] + 1),
        carina=carina,
        dome_left=_dome(left, outwards=-1),
        dome_right=_dome(right, outwards=1),
        base=float(slices[0]),
    )


def _lung_components(hu: np.ndarray, body: Body) -> np.ndarray:
    """Gas in the body that is lung: large, of lung density, and not in the belly's front."""
    gas = body.gas
    core = ndimage.binary_erosion(gas, CUBE, border_value=1)  # borders of the scan do not erode
    labels, sizes = component_table(core)
    if not sizes.any():
        return _recesses(hu, body)
    means = ndimage.mean(hu, labels, np.arange(len(sizes)))
    smooth_air = ndimage.mean(hu < -945, labels, np.arange(len(sizes)))
    top = _highest_slice(labels, len(sizes))
    keep = (sizes >= 20) & (means > LUNG_HU[0]) & (means < LUNG_HU[1]) & (smooth_air < 0.5)
    # emphysema and low noise: a litre of gas reaching high up is lung whatever its density
    keep |= (litres(1) * sizes > 0.8) & (top > 0.5 * gas.shape[2])
    keep[0] = False
    if keep.any():
        # gas in stomach and colon lies lower than the lungs, and in front; a trachea may reach higher
        is_big = keep & (sizes > 0.2 * np.where(keep, sizes, 0).max())
        keep &= is_big | (top >= top[is_big].max() - BELOW_MM / STEP_MM)
        keep &= np.array([0.0, *_mean_forward(labels, body)]) <= MAX_FORWARD
    if not keep.any():
        return _recesses(hu, body)
    largest = int(np.where(keep, sizes, 0).max())
    keep &= sizes > 0.01 * largest
    lungs = ndimage.binary_dilation(keep[labels], CUBE) & gas
    return lungs if litres(np.count_nonzero(lungs)) > 0.15 else lungs | _recesses(hu, body)


def _mean_forward(labels: np.ndarray, body: Body) -> np.ndarray:
    """Per component its mean place between back (0) and front (1) of the body."""
    _, _, rear, ahead = section_frame(body.inside)
    y = np.arange(labels.shape[1])[:, None]
    share = np.broadcast_to(((y - rear) / np.maximum(ahead - rear, 1))[None], labels.shape)
    return np.atleast_1d(ndimage.mean(share, labels, np.arange(1, labels.max() + 1)))


def _recesses(hu: np.ndarray, body: Body) -> np.ndarray:
    """Lung bases cut by the upper end of an abdominal scan: thin crescents along the wall that reach the last slice."""
    dark = body.inside & (hu < RECESS_HU)
    thick = ndimage.binary_opening(dark, np.ones((5, 5, 1), dtype=bool))
    wall = body.lean & ~ndimage.binary_erosion(body.lean, IN_PLANE, iterations=int(WALL_MM / STEP_MM))
    labels, sizes = component_table(dark & ~thick & wall, CUBE)
    at_top = np.zeros(len(sizes), dtype=bool)
    at_top[np.unique(labels[:, :, -1])] = True
    keep = at_top & (sizes >= MIN_RECESS_VOXELS // 4)
    recesses = keep[labels]
    recesses[:, :, : -int(MAX_RECESS_MM / STEP_MM)] = False
    return recesses if np.count_nonzero(recesses) >= MIN_RECESS_VOXELS else np.zeros_like(recesses)


def _highest_slice(labels: np.ndarray, n_labels: int) -> np.ndarray:
    top = np.zeros(n_labels)
    for z in range(labels.shape[2]):
        top[np.unique(labels[:, :, z])] = z
    return top


def _midline(lungs: np.ndarray, body: Body) -> np.ndarray:
    """Per slice the middle of the body at lung height, coarse x: the middle of the lungs where both show."""
    n_z = lungs.shape[2]
    profile = lungs.sum(axis=1)  # (x, z)
    middle = np.full(n_z, np.nan)
    for z in range(n_z):
        xs = np.flatnonzero(profile[:, z])
        if len(xs) and xs[-1] - xs[0] > 120 / STEP_MM:
            middle[z] = (xs[0] + xs[-1]) / 2
    if np.isnan(middle).all():
        xs = np.flatnonzero(body.inside.any(axis=(1, 2)))
        return np.full(n_z, (xs[0] + xs[-1]) / 2)
    slices, known = np.arange(n_z), ~np.isnan(middle)
    middle = np.interp(slices, slices[known], middle[known])
    return ndimage.median_filter(middle, 9, mode="nearest")


def _trace_airway(hu: np.ndarray, body: Body, lungs: np.ndarray, middle: np.ndarray) -> tuple[np.ndarray, float | None]:
    """The trachea, followed down from the highest slices until it splits; mask and carina."""
    airway = np.zeros_like(lungs)
    n_z = hu.shape[2]
    lung_slices = np.flatnonzero(lungs.any(axis=(0, 1)))
    start = min(n_z - 1, int(lung_slices[-1]) + int(40 / STEP_MM))
    place: np.ndarray | None = None
    carina: float | None = None
    missed = 0
    for z in range(start, max(-1, int(lung_slices[-1]) - int(190 / STEP_MM)), -1):
        spot = _airway_section(hu[:, :, z], body.inside[:, :, z], middle[z], place)
        if spot is None:
            missed += 1
            if place is not None and missed > 2:
                break
            continue
        airway[:, :, z], missed = spot, 0
        place = np.argwhere(spot).mean(axis=0)
        carina = float(z)
    n_slices = np.count_nonzero(airway.any(axis=(0, 1)))
    if n_slices * STEP_MM < 32:
        return np.zeros_like(lungs), None
    return airway, carina


def _airway_section(hu: np.ndarray, inside: np.ndarray, middle: float, place: np.ndarray | None) -> np.ndarray | None:
    """The trachea's section in one slice: a round hole of 1 to 7 cm2 near the midline or the section above."""
    labels, sizes = component_table(inside & (hu < -420))
    rows = np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return None
    low, high = (rows[0] + share * (rows[-1] - rows[0]) for share in AIRWAY_FORWARD)
    best, best_distance = None, 26.0 / STEP_MM if place is None else 13.0 / STEP_MM
    for label in np.flatnonzero((sizes * STEP_MM**2 >= 60) & (sizes * STEP_MM**2 <= 700)):
        points = np.argwhere(labels == label)
        extent = np.ptp(points, axis=0) + 1
        if extent.max() * STEP_MM > 36:
            continue
        center = points.mean(axis=0)
        if not low <= center[1] <= high:
            continue
        distance = abs(center[0] - middle) if place is None else float(np.linalg.norm(center - place))
        if distance < best_distance:
            best, best_distance = labels == label, distance
    return best


def _split_sides(lungs: np.ndarray, middle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Patient's left and right lung; where they touch, the nearer separate core decides."""
    on_left = np.broadcast_to((np.arange(lungs.shape[0])[:, None] < middle[None, :])[:, None, :], lungs.shape)
    core = ndimage.binary_erosion(lungs, iterations=2, border_value=1)
    labels, sizes = component_table(core)
    n_left = np.bincount(labels[on_left], minlength=len(sizes)).astype(float)
    share = n_left / np.maximum(sizes, 1)
    seed = np.zeros(lungs.shape, dtype=np.int8)
    seed[core & on_left] = 1
    seed[core & ~on_left] = 2
    sure_left, sure_right = (share > 0.8) & (sizes > 50), (share < 0.2) & (sizes > 50)
    seed[core & sure_left[labels]] = 1
    seed[core & sure_right[labels]] = 2
    if not seed.any():
        return lungs & on_left, lungs & ~on_left
    nearest = ndimage.distance_transform_edt(seed == 0, return_distances=False, return_indices=True)
    side = seed[tuple(nearest)]
    left, right = lungs & (side == 1), lungs & (side == 2)
    return _drop_specks(left), _drop_specks(right)


def _drop_specks(lung: np.ndarray) -> np.ndarray:
    if not lung.any():
        return lung
    labels, sizes = component_table(lung)
    return (sizes > 0.05 * sizes.max())[labels]


def _dome(lung: np.ndarray, *, outwards: int) -> float | None:
    """Highest point of the diaphragm under one lung, coarse z edge; None when it lies above the scan or is not seen."""
    if litres(np.count_nonzero(lung)) < MIN_LUNG_LITRES:
        return None
    heights = lung.sum(axis=2)
    bottom = np.where(heights > 0, lung.argmax(axis=2), -1)
    footprint = largest_component(heights >= 3)
    # the middle of the footprint's outer part: away from the heart and from the steep costal edge
    xs = outwards * np.arange(lung.shape[0])
    counts = footprint.sum(axis=1)
    if not counts.any():
        return None
    inner = np.quantile(np.repeat(xs, counts), INNER_SHARE)
    depth = ndimage.distance_transform_edt(footprint)
    middle = footprint & (depth > 0.4 * depth.max()) & (xs >= inner)[:, None]
    values = bottom[middle]
    if len(values) < 4 or np.mean(values == 0) > 0.5:
        return None
    base = float(np.flatnonzero(lung.any(axis=(0, 1)))[0])
    level = min(float(np.percentile(values, 80)), base + MAX_RECESS_MM / STEP_MM)
    return level if level < lung.shape[2] - 8 / STEP_MM else None
