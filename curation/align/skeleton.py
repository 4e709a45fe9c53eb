"""Spine, pelvis and skull on the coarse copy, by bone threshold and position.

Enters: coarse HU and the body. Leaves: the spine's course and the levels of pelvis and skull. Refuses: contrast in
bowel and kidneys as bone of the pelvis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from curation.align.body import Body, component_table, enclosed, section_frame
from curation.align.coarse import STEP_MM

BONE_HU = 160.0
"""Above, in a 4 mm mean: trabecular bone with its cortex; also dense contrast, which position has to tell apart."""
SKULL_HU = 220.0
MIN_CASE_SLICES = 4
"""Fewer coarse slices closed by bone may be a pelvic ring or a belt."""
COLUMN_HALF_MM = 24.0
"""Half width of a vertebral body with its arch."""
PELVIS_HEIGHT_MM = 215.0
"""Iliac crest to ischial tuberosity of an adult (Gray's Anatomy; 200 to 230)."""
MAX_CREST_MM = 56.0
"""So far above the last thick section the crest may end."""
CANAL_TO_FRONT_MM = 48.0
"""From the middle of the canal to the front of a lumbar body, the deepest."""
MIN_WING_MM2 = 420.0
"""An iliac wing cut by an axial slice; a rib is below 300, both sides must reach it."""


@dataclass(frozen=True)
class Spine:
    """Course of the spine: one value per coarse slice, coarse voxel coordinates.

    Parameters
    ----------
    x, front, canal, back : (z,) float64
        Midline; front of the vertebral bodies; centre of the canal; tip of the spinous processes.
    strength : float
        Share of slices in which bone was where the spine runs.
    """

    x: np.ndarray
    front: np.ndarray
    canal: np.ndarray
    back: np.ndarray
    strength: float


@dataclass(frozen=True)
class Skeleton:
    """What the bones say.

    Parameters
    ----------
    bone : (x, y, z) bool
        Bright voxels inside the body.
    spine : Spine or None
    pelvis_top, pelvis_bottom : float or None
        Iliac crest and lower end of the ischium, coarse z edges; None where not in the scan.
    skull_top, skull_bottom : float or None
        Extent of the closed brain case, coarse z edges.
    """

    bone: np.ndarray
    spine: Spine | None
    pelvis_top: float | None = None
    pelvis_bottom: float | None = None
    skull_top: float | None = None
    skull_bottom: float | None = None


def find_skeleton(hu: np.ndarray, body: Body, *, lung_bottom: float | None) -> Skeleton:
    """Find the bony landmarks.

    Parameters
    ----------
    hu : (x, y, z) float32, HU
    body : Body
    lung_bottom : float or None
        Coarse z below which no scapula or shoulder can be mistaken for a pelvis.
    """
    bone = body.inside & (hu > BONE_HU)
    skull = _find_skull(hu, body)
    spine = _find_spine(hu, bone, body)
    pelvis: tuple[float | None, float | None] = (None, None)
    if skull is None and spine is not None:
        pelvis = _find_pelvis(bone, spine, top=hu.shape[2] if lung_bottom is None else lung_bottom)
    return Skeleton(bone, spine, *pelvis, *((None, None) if skull is None else (skull[1], skull[0])))


def _find_skull(hu: np.ndarray, body: Body) -> tuple[float, float] | None:
    """Lowest and highest slice in which bone encloses most of the section: the brain case."""
    bone = body.inside & (hu > SKULL_HU)
    interior = enclosed(bone) & ~bone
    area = interior.sum(axis=(0, 1))
    section = np.maximum(body.inside.sum(axis=(0, 1)), 1)
    is_case = (area / section > 0.35) & (area * STEP_MM**2 > 2500)
    slices = np.flatnonzero(is_case)
    at_end = len(slices) > 1 and slices[-1] == len(area) - 1 and (area / section)[slices].min() > 0.5
    if len(slices) < MIN_CASE_SLICES and not at_end:  # a scan of the skull base ends in the case
        return None
    dense = bone.sum(axis=(0, 1)) / section > 0.35  # the vault, cut tangentially
    top = int(slices[-1]) + 1
    while top < len(dense) and dense[top]:
        top += 1
    return float(slices[0]), float(top)


def _find_spine(hu: np.ndarray, bone: np.ndarray, body: Body) -> Spine | None:
    n_x, n_y = bone.shape[:2]
    section = body.lean.any(axis=(0, 1))
    if not section.any():
        return None
    center, half, rear, ahead = section_frame(body.lean)
    x_index, y_index = np.arange(n_x)[:, None], np.arange(n_y)[:, None]
    rear_half = y_index <= (rear + 0.6 * (ahead - rear))[None, :]  # (y, z)
    profile = (bone & rear_half[None]).sum(axis=1).astype(np.float64)  # (x, z)
    profile = ndimage.uniform_filter1d(profile, 11, axis=0, mode="constant")
    profile[np.abs(x_index - center[None, :]) > 0.3 * half[None, :]] = 0
    # neighbours along z vote: a calcification or the tip of a rib does not move the column
    votes = ndimage.uniform_filter1d(profile, 9, axis=1, mode="nearest")
    found = votes.max(axis=0) > 1.5
    if found.mean() < 0.3:
        return None
    peak = np.argmax(votes, axis=0).astype(np.float64)
    # below the sacrum the brightest thing is a femur: it is no spine, the course is continued straight
    found &= np.abs(peak - np.median(peak[found])) < 36 / STEP_MM
    x = _smooth_course(peak, found)
    column = bone & (np.abs(x_index - x[None, :]) <= COLUMN_HALF_MM / STEP_MM)[:, None, :]
    front, back, seen = _column_depth(column, rear, ahead)
    seen &= found
    if seen.mean() < 0.3:
        return None
    front, back = _smooth_course(front, seen), _smooth_course(back, seen)
    canal = _smooth_course(_canal_depth(hu, x, front, back), seen)
    # a bright aorta before the spine is no vertebra
    front = np.minimum(front, canal + CANAL_TO_FRONT_MM / STEP_MM)
    return Spine(x=x, front=front, canal=canal, back=back, strength=float(seen.mean()))


def _column_depth(column: np.ndarray, rear: np.ndarray, ahead: np.ndarray) -> tuple[np.ndarray, ...]:
    """Per slice the front and the back of the bony column, coarse y, and whether there was one."""
    counts = column.sum(axis=0)  # (y, z)
    n_y, n_z = counts.shape
    limit = rear + 0.65 * (ahead - rear)
    counts = np.where(np.arange(n_y)[:, None] <= limit[None, :], counts, 0)
    counts = ndimage.uniform_filter1d(counts.astype(np.float64), 5, axis=1, mode="nearest")
    front, back, seen = np.zeros(n_z), np.zeros(n_z), np.zeros(n_z, dtype=bool)
    for z in range(n_z):
        ys = np.flatnonzero(counts[:, z] > 1.2)
        if len(ys) < 3:
            continue
        runs = np.split(ys, np.flatnonzero(np.diff(ys) > 3) + 1)
        run = runs[int(np.argmax([counts[run, z].sum() for run in runs]))]
        front[z], back[z], seen[z] = run[-1] + 1, run[0], True
    return front, back, seen


def _canal_depth(hu: np.ndarray, x: np.ndarray, front: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Per slice the darkest place between spinous process and vertebral body, coarse y."""
    n_y, n_z = hu.shape[1:]
    depth = np.zeros(n_z)
    smooth = ndimage.uniform_filter1d(hu, 5, axis=2, mode="nearest")
    for z in range(n_z):
        columns = slice(max(0, int(x[z]) - 1), int(x[z]) + 2)
        low = int(np.clip(back[z] + 18 / STEP_MM, 0, n_y - 1))
        high = int(np.clip(min(back[z] + 62 / STEP_MM, front[z] - 16 / STEP_MM), low + 1, n_y))
        depth[z] = low + int(np.argmin(smooth[columns, low:high, z].mean(axis=0)))
    return depth


def _smooth_course(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """A curve through the known slices: median over 60 mm, then mean; constant beyond the ends."""
    slices = np.arange(len(values))
    filled = np.interp(slices, slices[known], values[known])
    window = min(15, 2 * (len(values) // 2) - 1)
    if window >= 3:
        filled = ndimage.median_filter(filled, window, mode="nearest")
        filled = ndimage.uniform_filter1d(filled, min(7, window), mode="nearest")
    return filled


def _find_pelvis(bone: np.ndarray, spine: Spine, *, top: float) -> tuple[float | None, float | None]:
    """Iliac crest and ischial end.

    A pelvis is a run of slices with a large bone on both sides that reaches the scan's lower end (below a pelvis come
    femora) and holds plates: bright kidneys and bowel are compact or end above.
    """
    n_z = bone.shape[2]
    offset_mm = (np.arange(bone.shape[0])[:, None] - spine.x[None, :]) * STEP_MM  # (x, z)
    halves = [bone & on_side[:, None, :] for on_side in (offset_mm < -30, offset_mm > 30)]
    sides = [_largest_sections(half) for half in halves]
    area, is_plate = np.minimum(sides[0][0], sides[1][0]), sides[0][1] & sides[1][1]
    below_ribs = np.arange(n_z) < top - 60 / STEP_MM if top < n_z else np.ones(n_z, dtype=bool)
    both = (area > MIN_WING_MM2) & below_ribs
    both = ndimage.binary_closing(np.pad(both, 3))[3:-3] & below_ribs
    runs, _ = component_table(both)
    lowest = np.flatnonzero(both)
    if not len(lowest) or lowest[0] > 12 / STEP_MM:
        return None, None
    slices = np.flatnonzero(runs == runs[lowest[0]])
    plates = slices[is_plate[slices]]
    if len(slices) * STEP_MM < 16 or len(plates) < 3:
        return None, None
    slices = slices[slices <= plates[-1]]
    crest = float(min(_follow_up(half, int(slices[-1])) for half in halves))
    return crest, float(max(slices[0], crest - PELVIS_HEIGHT_MM / STEP_MM))


def _follow_up(half: np.ndarray, start: int) -> int:
    """Upper z edge of a wing: from a slice that surely shows it upwards, while bone stands on bone."""
    labels, sizes = component_table(half[:, :, start])
    section = labels == int(sizes.argmax())
    z = start
    while z + 1 < half.shape[2] and z < start + MAX_CREST_MM / STEP_MM:
        section = half[:, :, z + 1] & ndimage.binary_dilation(section)
        if np.count_nonzero(section) * STEP_MM**2 < 80:
            break
        z += 1
    return z + 1


def _largest_sections(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per slice the area, mm2, of the largest axial component, and whether it is a plate rather than compact."""
    n_z = mask.shape[2]
    area, is_plate = np.zeros(n_z), np.zeros(n_z, dtype=bool)
    labels, sizes = component_table(mask, _axial_structure())
    boxes = ndimage.find_objects(labels)
    for label, box in enumerate(boxes, start=1):
        size, z = sizes[label] * STEP_MM**2, box[2].start
        if size > area[z]:
            extent = max(box[0].stop - box[0].start, box[1].stop - box[1].start) * STEP_MM
            area[z], is_plate[z] = size, size < 0.42 * extent**2
    return area, is_plate


def _axial_structure() -> np.ndarray:
    structure = np.zeros((3, 3, 3), dtype=bool)
    structure[:, :, 1] = True
    return structure
