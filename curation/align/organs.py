"""Large organs on the coarse copy, by intensity, homogeneity, size and place.

Enters: coarse HU, body, landmarks and the patient's frame. Leaves: an `Organ` for each one found, with the mask it was
found by and a confidence. Refuses: what has the wrong size for the organ; the atlas then places it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from curation.align.body import IN_PLANE, Body, component_table, largest_component, litres
from curation.align.coarse import STEP_MM
from curation.align.frame import Frame
from curation.align.skeleton import Skeleton
from curation.align.thorax import Thorax

SOFT_HU = (15.0, 240.0)
"""Parenchyma: a fatty liver without contrast to a spleen in the arterial phase."""
MAX_TEXTURE_HU = 26.0
"""Standard deviation over 12 mm cubes: vessels inside a liver stay below, its border with fat does not."""
BAND_HU = 24.0
"""Half width of the intensities around an organ's mode that are taken for it."""
ZONES = {
    "liver": ((-0.55, 1.05), (-0.95, 1.1), (16.4, 23.2)),
    "spleen": ((-1.05, -0.22), (-0.95, 0.55), (16.8, 21.8)),
    "kidney_left": ((-0.85, -0.14), (-0.85, 0.42), (18.4, 23.4)),
    "kidney_right": ((0.14, 0.85), (-0.85, 0.42), (18.7, 23.7)),
    "urinary_bladder": ((-0.5, 0.5), (-0.25, 1.05), (25.4, 29.2)),
}
"""Where an organ may be at all, in frame coordinates (across, forward, levels): the atlas box with wide margins."""
SPLEEN_PLACE = ((-0.95, -0.4), (-0.7, 0.25), (17.5, 20.6))
SIZES_LITRES = {"liver": (0.45, 4.0), "spleen": (0.04, 1.2), "kidney": (0.05, 0.45), "urinary_bladder": (0.02, 1.5)}
"""Adult range, cysts and enlargement included; below: a fragment, above: several organs run together."""
MAX_KIDNEY_FORWARD_MM = 28.0
"""Before the middle of its zone: a kidney lies behind the peritoneum (24 mm at most in the CT looked at), a stomach
full of contrast in front of it."""
MAX_KIDNEY_OUTWARD_MM = 12.0
"""Beyond the middle of its zone: a kidney lies beside the spine, the spleen and the bends of the colon at the flank."""
KIDNEY_OVER_LIVER_HU = 22.0
"""So much brighter than the liver is its cortex once contrast has reached it; before, nothing parts the two."""
POLE_LITRES = 0.0025
"""Less of a kidney at the end of the scan cannot be told from a vessel or a loop of bowel."""
POLE_PLACE_MM = ((-32.0, 9.0), (-20.0, 16.0))
"""Outward and forward from the middle of its zone: upper poles lie toward the spine and back, the spleen's tip and the
bend of the colon beside them, the stomach and the pancreas before them."""
MIN_POLE_FILL = 0.33
"""Share of its box that a pole fills: a ball half."""


@dataclass(frozen=True)
class Organ:
    """An organ that was seen.

    Parameters
    ----------
    mask : (x, y, z) bool
    confidence : float
    """

    mask: np.ndarray
    confidence: float


@dataclass(frozen=True)
class Field:
    """What every search needs, computed once.

    Parameters
    ----------
    smooth, texture : (x, y, z) float32, HU
        Mean and standard deviation over 12 mm cubes.
    free : (x, y, z) bool
        Lean body without its outer wall, spine and lungs.
    frame : Frame
    """

    smooth: np.ndarray
    texture: np.ndarray
    free: np.ndarray
    frame: Frame


def make_field(hu: np.ndarray, body: Body, thorax: Thorax, skeleton: Skeleton, frame: Frame) -> Field:
    """Prepare the search for organs."""
    smooth = ndimage.uniform_filter(hu, 3, mode="nearest")
    square = ndimage.uniform_filter(hu * hu, 3, mode="nearest")
    texture = np.sqrt(np.maximum(square - smooth * smooth, 0))
    n_x, n_y = hu.shape[:2]
    wall = ndimage.distance_transform_edt(np.pad(body.lean, ((1, 1), (1, 1), (0, 0))), sampling=(1, 1, 50))
    free = (wall[1:-1, 1:-1] > 10 / STEP_MM) & ~thorax.lungs & ~body.gas
    if skeleton.spine is not None:
        x, y = np.arange(n_x)[:, None, None], np.arange(n_y)[None, :, None]
        behind = y < (skeleton.spine.front + 1)[None, None, :]
        beside = np.abs(x - skeleton.spine.x[None, None, :]) < 26 / STEP_MM
        free &= ~(behind & beside)
        free &= y > (skeleton.spine.back + 2)[None, None, :]
    return Field(smooth=smooth, texture=texture, free=free, frame=frame)


def zone_mask(frame: Frame, shape: tuple[int, ...], name: str) -> np.ndarray:
    """The voxels in which an organ is searched."""
    return box_mask(shape, frame.box(*ZONES[name]))


def box_mask(shape: tuple[int, ...], edges: np.ndarray) -> np.ndarray:
    """A coarse box as a mask."""
    mask = np.zeros(shape, dtype=bool)
    cut = tuple(
        slice(max(0, int(np.floor(low))), max(0, int(np.ceil(high)))) for low, high in np.asarray(edges, dtype=float)
    )
    mask[cut] = True
    return mask


def find_liver(field: Field, thorax: Thorax) -> Organ | None:
    """The largest homogeneous organ of the upper abdomen, most of it right of the spine, below the diaphragm."""
    zone = zone_mask(field.frame, field.smooth.shape, "liver")
    right = np.arange(zone.shape[0])[:, None, None] > (field.frame.middle + 20 / STEP_MM)[None, None, :]
    z_index = np.arange(zone.shape[2])[None, None, :]
    for on_side, dome in ((right, thorax.dome_right), (~right, thorax.dome_left)):
        if dome is not None:  # above lies the heart
            zone &= ~(on_side & (z_index > np.ceil(dome)))
    calm = field.free & zone & (field.texture < MAX_TEXTURE_HU)
    mode = _mode_hu(field.smooth[calm & right])
    if mode is None:
        return None
    organ = _grow(field, zone, mode, erosions=2)
    return _sized(organ, "liver", 0.9)


def find_spleen(field: Field, liver: Organ | None) -> Organ | None:
    """The homogeneous organ at the left flank's back, under the left dome, about as bright as the liver."""
    shape = field.smooth.shape
    taken = np.zeros(shape, dtype=bool) if liver is None else liver.mask
    low, high = SOFT_HU[0] + 18, SOFT_HU[1]
    if liver is not None:
        liver_hu = float(np.median(field.smooth[liver.mask]))
        low, high = max(low, liver_hu - 32), liver_hu + 62
    zone = zone_mask(field.frame, shape, "spleen") & field.free & ~taken
    band = zone & (field.smooth > low) & (field.smooth < high)
    core = ndimage.binary_erosion(band & (field.texture < MAX_TEXTURE_HU), border_value=1) & zone
    labels, sizes = component_table(core)
    center = field.frame.box(*SPLEEN_PLACE).mean(axis=1)
    best, best_score = 0, 0.0
    for label in np.flatnonzero(sizes * litres(1) > 0.006):
        off_mm = np.abs(np.argwhere(labels == label).mean(axis=0) - center) * STEP_MM
        distance_mm = off_mm[0] + 0.7 * off_mm[1] + 0.3 * off_mm[2]
        # a big stomach or a kidney counts less than a spleen in its place
        score = float(np.cbrt(sizes[label])) * float(np.exp(-distance_mm / 30))
        if score > best_score:
            best, best_score = int(label), score
    if not best:
        return None
    grown = ndimage.binary_dilation(labels == best, iterations=2) & band
    return _sized(grown, "spleen", 0.8)


def find_kidney(field: Field, hu: np.ndarray, side: str, taken: np.ndarray) -> Organ | None:
    """The kidney of one side: a compact organ beside the spine, brighter than muscle after contrast.

    Parameters
    ----------
    field : Field
    hu : (x, y, z) float32
    side : str
        left or right.
    taken : (x, y, z) bool
        Liver and spleen.
    """
    name = f"kidney_{side}"
    zone = zone_mask(field.frame, hu.shape, name) & field.free
    beside = zone & ~ndimage.binary_dilation(taken)
    center = field.frame.box(*ZONES[name]).mean(axis=1)
    outward = -1.0 if side == "left" else 1.0
    muscle = _muscle_hu(field)
    brighter = float(np.median(field.smooth[taken])) + KIDNEY_OVER_LIVER_HU if taken.any() else np.inf
    # a pole in the bed that the liver makes for it is told from the liver by its brightness alone
    for room, threshold, confidence in (
        (beside, muscle + 45, 0.85),
        (beside, muscle + 25, 0.75),
        (zone, max(muscle + 45, brighter), 0.75),
    ):
        found = _best_kidney(_opened(room & (field.smooth > threshold)), center, outward=outward, max_off_mm=70)
        if found is not None:
            return Organ(found, confidence)
    # without contrast: blobs that fat sets apart, from their cores
    soft = beside & (hu > 0)
    if not soft.any():
        return None
    cut = _room_around(soft)  # distances cost by the voxel, and beyond lies no kidney
    depth_mm = ndimage.distance_transform_edt(soft[cut], sampling=STEP_MM)
    for core_mm in (9.0, 13.0):
        labels, _ = component_table(depth_mm > core_mm)
        grown = np.zeros(hu.shape, dtype=labels.dtype)
        grown[cut] = _grow_labels(labels, soft[cut], core_mm)
        found = _best_kidney(grown, center, outward=outward, max_off_mm=34)
        if found is not None:
            return Organ(found, 0.65)
    return None


def find_bladder(field: Field) -> Organ | None:
    """The homogeneous water in the middle of the pelvis."""
    zone = zone_mask(field.frame, field.smooth.shape, "urinary_bladder") & field.free
    water = zone & (field.smooth > -12) & (field.smooth < 28) & (field.texture < 20)
    core = largest_component(ndimage.binary_opening(water))
    grown = ndimage.binary_dilation(core, iterations=1) & zone
    return _sized(grown if core.any() else core, "urinary_bladder", 0.8)


def find_heart(hu: np.ndarray, body: Body, thorax: Thorax, frame: Frame) -> Organ | None:
    """The soft tissue between the lungs, in front of the spine, from the domes to below the carina."""
    domes = [dome for dome in (thorax.dome_left, thorax.dome_right) if dome is not None]
    if not domes or not thorax.lung_left.any() or not thorax.lung_right.any():
        return None
    low, high = min(domes) - 12 / STEP_MM, min(domes) + 100 / STEP_MM
    if thorax.carina is not None:
        high = float(np.clip(thorax.carina - 16 / STEP_MM, low + 70 / STEP_MM, low + 130 / STEP_MM))
    n_z = hu.shape[2]
    # only above the higher dome is what lies between the lungs heart and no liver
    first, last = int(max(0, max(domes) + 1)), int(min(n_z, np.ceil(high)))
    if last - first < 4:
        return None
    y_index = np.arange(hu.shape[1])[None, :, None]
    between = (
        np.maximum.accumulate(thorax.lung_left, axis=0) & np.maximum.accumulate(thorax.lung_right[::-1], axis=0)[::-1]
    )
    mask = between & body.inside & (hu > -20) & (y_index > (frame.front + 4 / STEP_MM)[None, None, :])
    mask[:, :, :first] = mask[:, :, last:] = False
    mask = largest_component(ndimage.binary_opening(mask, IN_PLANE, iterations=2))
    if not 0.03 < litres(np.count_nonzero(mask)) < 2.5:
        return None
    # downwards the heart rests on the diaphragm: its lowest section seen is continued to the lower dome
    lowest = int(np.flatnonzero(mask.any(axis=(0, 1)))[0])
    mask[:, :, int(max(0, low)) : lowest] = mask[:, :, lowest, None]
    confidence = 0.9 if thorax.carina is not None else 0.8
    return Organ(mask, confidence)


def _muscle_hu(field: Field) -> float:
    """Median of the muscles beside the spinous processes."""
    frame = field.frame
    edges = frame.box((-0.3, 0.3), (-0.9, -0.55), (15.0, 24.0))
    values = field.smooth[box_mask(field.smooth.shape, edges) & (field.smooth > 10) & (field.smooth < 110)]
    return float(np.median(values)) if values.size > 50 else 55.0


def _mode_hu(values: np.ndarray) -> float | None:
    """The most frequent intensity of parenchyma; None where there is too little of it."""
    values = values[(values > SOFT_HU[0]) & (values < SOFT_HU[1])]
    if values.size < 300:
        return None
    counts, edges = np.histogram(values, bins=np.arange(SOFT_HU[0], SOFT_HU[1] + 4, 4.0))
    smooth = ndimage.gaussian_filter1d(counts.astype(float), 1.5)
    return float(edges[int(smooth.argmax())] + 2)


def _grow(field: Field, zone: np.ndarray, mode: float, *, erosions: int) -> np.ndarray:
    """The largest part of the zone near `mode`, after cutting thin bridges."""
    band = field.free & zone & (np.abs(field.smooth - mode) < BAND_HU)
    core = ndimage.binary_erosion(band, iterations=erosions, border_value=0 if erosions == 1 else 1) & zone
    core = largest_component(core)
    return ndimage.binary_dilation(core, iterations=erosions + 1) & zone & (np.abs(field.smooth - mode) < 2.5 * BAND_HU)


def _room_around(mask: np.ndarray) -> tuple[slice, ...]:
    """The box of a mask that is not empty, and one voxel more to each side, where the grid has it."""
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    return tuple(slice(max(0, part.start - 1), part.stop + 1) for part in box)


def _grow_labels(labels: np.ndarray, within: np.ndarray, reach_mm: float) -> np.ndarray:
    """Labels spread to the voxels of `within` that lie at most `reach_mm` from them."""
    distance, nearest = ndimage.distance_transform_edt(labels == 0, sampling=STEP_MM, return_indices=True)
    return np.where(within & (distance <= reach_mm), labels[tuple(nearest)], 0)


def _opened(mask: np.ndarray) -> np.ndarray:
    """Opening by the nearest neighbours to which the ends of the scan are no border."""
    ends = ((0, 0), (0, 0), (1, 1))
    return ndimage.binary_opening(np.pad(mask, ends, mode="edge"))[:, :, 1:-1]


def _best_kidney(parts: np.ndarray, center: np.ndarray, *, outward: float, max_off_mm: float) -> np.ndarray | None:
    """The part (a mask, or labels) nearest to where a kidney is expected: of kidney size, or a pole that the scan cuts.

    Parameters
    ----------
    outward : float
        -1 on the left, 1 on the right.
    """
    labels = parts if parts.dtype.kind == "i" else component_table(parts)[0]
    best, best_cost = None, np.inf
    low, high = SIZES_LITRES["kidney"]
    for label, cut in enumerate(ndimage.find_objects(labels), start=1):
        if cut is None:
            continue
        mask = labels[cut] == label
        size = litres(np.count_nonzero(mask))
        extent_mm = np.array(mask.shape) * STEP_MM
        off_mm = (np.argwhere(mask).mean(axis=0) + [axis.start for axis in cut] - center) * STEP_MM
        if cut[2].start == 0 and POLE_LITRES < size < low:
            if not _is_pole(mask, outward * off_mm[0], off_mm[1]):
                continue
            off_mm[2] = 0.0  # it ends where the scan does, wherever its middle would be
        elif not low < size < high or extent_mm[:2].max() > 105 or extent_mm[2] > 190:
            continue
        if off_mm[1] > MAX_KIDNEY_FORWARD_MM or outward * off_mm[0] > MAX_KIDNEY_OUTWARD_MM:
            continue
        cost = abs(off_mm[0]) + 0.7 * abs(off_mm[1]) + 0.5 * abs(off_mm[2])
        if cost < min(best_cost, max_off_mm):
            best, best_cost = labels == label, cost
    return best


def _is_pole(mask: np.ndarray, outward_mm: float, forward_mm: float) -> bool:
    """Whether a part that the scan's lower end cuts is as round as an upper pole and lies where one does."""
    across, deep = np.array(mask.shape[:2]) * STEP_MM
    is_round = max(across, deep) < 2.0 * min(across, deep) and mask.mean() > MIN_POLE_FILL
    (inmost, outmost), (back, front) = POLE_PLACE_MM
    return bool(is_round and inmost < outward_mm < outmost and back < forward_mm < front)


def _sized(mask: np.ndarray, name: str, confidence: float) -> Organ | None:
    """The organ when its size is possible."""
    low, high = SIZES_LITRES[name]
    size = litres(np.count_nonzero(mask))
    touches_end = bool(mask[:, :, 0].any() or mask[:, :, -1].any())
    if size > high or size < (0.3 * low if touches_end else low):
        return None
    return Organ(mask, confidence)
