"""Boxes for every region that a scan shows: from masks where given, else from landmarks and the atlas.

Enters: a volume and its affine, a label map or None. Leaves: a `Location`. Refuses: to raise on an odd volume, and to
place a region outside the scanned range.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from curation.align.atlas import Placed, place_boxes, place_parts
from curation.align.body import component_table, litres
from curation.align.coarse import STEP_MM, Coarse, make_coarse
from curation.align.confidence import stated
from curation.align.coverage import Cover, find_coverage, held_regions
from curation.align.frame import LEVEL_APEX, LEVEL_RECESS
from curation.align.landmarks import Landmarks, find_landmarks
from curation.align.masks import boxes_of_masks
from curation.align.reasons import AlignFlag
from curation.align.records import LabelMap, Location, RegionBox
from curation.align.situs import find_situs
from reports.regions import region_tree
from volumes.reasons import Flag

MIN_VISIBLE = 0.08
"""A box of which less than this share of its height lies in the scan is not given."""
MIN_VISIBLE_MM, ENOUGH_VISIBLE_MM = 4.0, 8.0
"""A box of which less than the first lies in the scan is not given, one of which the second does, however long, is."""
SUSPECT_FACTOR = 0.5
"""On every landmark confidence of a volume that looks mirrored: its sides may be wrong."""
FREE_LEVELS = 2.0
"""Within so many vertebrae of a seen landmark an atlas position keeps its confidence; beyond it loses 7 % a level."""
LEVEL_S1_END = 25.6
"""The spine of the region tree ends with S1; the sacrum belongs to the pelvis."""
LEVEL_SACRAL_CANAL = 24.8
NEXT_MM = 20.0
"""A box may lie so far beyond the body regions that the scan shows: levels are not exact."""
SHOULDER_ACROSS = 0.8
"""Beyond this share of the half width lies the humeral head; the clavicle's end and the scapula reach less far out."""
MIN_HUMERUS_MM2 = 170.0
"""The tip of a humeral head; its middle has ten times as much."""
TIP_CONFIDENCE = 0.45
"""The atlas alone says 0.3 of a humerus; here its bone is seen."""
LEVEL_AXILLA = 9.2
"""A scan that ends below shows no humerus, whatever bone it shows."""
LIMBS = ("upper_limbs", "lower_limbs")
"""They lie far apart at the end of a scan, and where one is seen the other mostly reaches into it as well."""
WHOLE_BODY = ("body", "bones", "muscles", "subcutaneous_tissue", "vessels")
"""Regions that fill whatever is scanned."""


def locate_regions(
    data: np.ndarray, affine_ras: np.ndarray, *, modality: str = "CT", mask: LabelMap | None = None
) -> Location:
    """Locate anatomical regions in a volume.

    Parameters
    ----------
    data : (i, j, k) int16, HU
        RAS+ closest axes, any spacing.
    affine_ras : (4, 4) float64
        Voxel ijk -> mm, RAS.
    modality : str
        The landmarks need HU: other modalities than CT get boxes from a mask only.
    mask : LabelMap or None
        Masks in world space, on any grid.

    Returns
    -------
    Location
        With a flag and no box where nothing could be located.
    """
    location = _locate_by_landmarks(data, affine_ras, modality)
    if mask is None:
        return location
    found = boxes_of_masks(mask, data.shape, affine_ras)
    by_region = {box.region: box for box in location.boxes} | {box.region: box for box in found.boxes}
    flags = (*(flag for flag in location.flags if flag != AlignFlag.NOT_LOCATED or not by_region), *found.flags)
    return Location(_in_tree_order(by_region), location.body_regions, flags, {**location.notes, **found.notes})


def _locate_by_landmarks(data: np.ndarray, affine_ras: np.ndarray, modality: str) -> Location:
    if modality != "CT":
        return Location(flags=(str(AlignFlag.MODALITY_NOT_LOCATED),))
    coarse = make_coarse(data, affine_ras)
    landmarks = None if coarse is None else find_landmarks(coarse)
    if landmarks is None:
        return Location(flags=(str(AlignFlag.NOT_LOCATED),))
    covers = find_coverage(landmarks)
    placed = place_regions(landmarks, covers)
    situs = find_situs(landmarks)
    factor = landmarks.trust * (SUSPECT_FACTOR if situs.is_suspect else 1.0)
    boxes = {region: _to_box(region, box, landmarks.coarse, factor) for region, box in placed.items()}
    flags = (str(Flag.LATERALITY_SUSPECT),) if situs.is_suspect else ()
    notes = {flag: f"liver {situs.liver:.1f}, heart {situs.heart:.1f}, aorta {situs.aorta:.1f}" for flag in flags}
    return Location(_in_tree_order(boxes), held_regions(covers), flags, notes)


def place_regions(landmarks: Landmarks, covers: tuple[Cover, ...]) -> dict[str, Placed]:
    """Every visible region on the coarse grid: seen itself, else by the atlas, else as a union."""
    atlas = place_boxes(landmarks.frame)
    placed = {region: _discount(box, landmarks) for region, box in atlas.items() if _is_covered(box, landmarks, covers)}
    for region in ("humerus_left", "humerus_right"):
        if atlas[region].edges[2, 1] > landmarks.coarse.hu.shape[2] - 1:
            placed.pop(region, None)
            if (tip := _humeral_tip(atlas[region], landmarks)) is not None:
                placed[region] = _discount(tip, landmarks)
    placed |= _seen(landmarks)
    placed |= place_parts(placed | _whole_lungs(placed, landmarks))
    placed |= _body_boxes(landmarks, covers)
    visible = {region: cut for region, box in placed.items() if (cut := _cut(box, landmarks)) is not None}
    return _with_unions(visible)


def _seen(landmarks: Landmarks) -> dict[str, Placed]:
    """Boxes of what was found by intensity and shape."""
    thorax, skeleton, frame = landmarks.thorax, landmarks.skeleton, landmarks.frame
    seen = {region: Placed(mask_edges(organ.mask), organ.confidence) for region, organ in landmarks.organs.items()}
    for region, mask in (("lung_left", thorax.lung_left), ("lung_right", thorax.lung_right)):
        if mask.any():
            is_recess = litres(np.count_nonzero(mask)) < 0.15
            seen[region] = Placed(mask_edges(mask), 0.6 if is_recess else 0.95)
    if thorax.carina is not None:
        seen["trachea"] = Placed(mask_edges(thorax.airway), 0.9)
    spine = skeleton.spine
    if spine is not None and spine.strength > 0.3:
        for region, lowest, half, (back, front), confidence in (
            ("spine", LEVEL_S1_END, 40 / STEP_MM, (spine.back, spine.front), 0.9),
            ("spinal_cord", LEVEL_SACRAL_CANAL, 3.5, (spine.canal - 3.5, spine.canal + 3.5), 0.75),
        ):
            low = max(0.0, frame.bones.to_z(lowest))
            high = min(float(len(spine.x)), frame.bones.to_z(0.4))
            if high - low > 2:
                rows = slice(int(low), int(np.ceil(high)))
                x = (spine.x[rows].min() - half, spine.x[rows].max() + half)
                seen[region] = Placed(np.array([x, (back[rows].min(), front[rows].max()), (low, high)]), confidence)
    return seen


def _whole_lungs(placed: Mapping[str, Placed], landmarks: Landmarks) -> dict[str, Placed]:
    """The lungs as they would be without the ends of the scan, so that a lobe beyond one is not placed in the rest."""
    n_z = landmarks.coarse.hu.shape[2]
    wholes = {}
    for region in ("lung_left", "lung_right"):
        if region in placed:
            edges = placed[region].edges.copy()
            if edges[2, 1] >= n_z - 1:
                edges[2, 1] = max(edges[2, 1], landmarks.frame.organs.to_z(LEVEL_APEX))
            if edges[2, 0] <= 1:
                edges[2, 0] = min(edges[2, 0], landmarks.frame.organs.to_z(LEVEL_RECESS))
            wholes[region] = Placed(edges, placed[region].confidence, (LEVEL_APEX, LEVEL_RECESS))
    return wholes


def mask_edges(mask: np.ndarray) -> np.ndarray:
    """Coarse edges (3, 2) of a mask, the last half percent of its voxels at each side left out."""
    edges = []
    for axis in range(3):
        counts = mask.sum(axis=tuple(other for other in range(3) if other != axis)).astype(float)
        share = np.cumsum(counts) / max(counts.sum(), 1.0)
        low = int(np.searchsorted(share, 0.004, side="right"))
        high = int(np.searchsorted(share, 0.996)) + 1
        edges.append((float(low), float(min(high, mask.shape[axis]))))
    return np.array(edges)


def _is_covered(box: Placed, landmarks: Landmarks, covers: tuple[Cover, ...]) -> bool:
    """Whether enough of an atlas box lies in the scan, in a part of the body that the scan shows."""
    (low, high), n_z = box.edges[2], landmarks.coarse.hu.shape[2]
    inside = min(high, n_z) - max(low, 0.0)
    if inside < max(MIN_VISIBLE_MM / STEP_MM, min(MIN_VISIBLE * (high - low), ENOUGH_VISIBLE_MM / STEP_MM)):
        return False
    return any(min(high, cover.high) - max(low, cover.low) > -NEXT_MM / STEP_MM for cover in covers)


def _humeral_tip(box: Placed, landmarks: Landmarks) -> Placed | None:
    """The box of a humerus in a scan that ends within the shoulder, if compact bone at its end says that it shows one.

    With raised arms levels do not tell.
    """
    bone, frame = landmarks.skeleton.bone, landmarks.frame
    z = bone.shape[2] - 1
    if frame.bones.to_level(z + 1) > LEVEL_AXILLA:
        return None
    side = np.sign(box.edges[0].mean() - frame.middle[z])
    beside = side * (np.arange(bone.shape[0]) - frame.middle[z]) > SHOULDER_ACROSS * frame.half[z]
    _, sizes = component_table(bone[:, :, z] & beside[:, None])
    if sizes.max() * STEP_MM**2 < MIN_HUMERUS_MM2:
        return None
    edges = box.edges.copy()
    edges[2, 0] = min(edges[2, 0], z + 1 - 2 * MIN_VISIBLE_MM / STEP_MM)
    return replace(box, edges=edges, confidence=TIP_CONFIDENCE)


def _discount(box: Placed, landmarks: Landmarks) -> Placed:
    """Less confidence for an atlas box that is far from every landmark."""
    if box.levels is None:
        return box
    ruler = landmarks.frame.bones if box.scale == "bones" else landmarks.frame.organs
    beyond = max(0.0, ruler.distance((box.levels[0] + box.levels[1]) / 2) - FREE_LEVELS)
    return Placed(box.edges, box.confidence * max(0.5, 1 - 0.07 * beyond), box.levels, box.scale)


def _body_boxes(landmarks: Landmarks, covers: tuple[Cover, ...]) -> dict[str, Placed]:
    """The body regions between their levels, and what fills the whole scan."""
    inside = landmarks.body.inside
    boxes = {}
    for cover in covers:
        part = inside[:, :, int(cover.low) : max(int(cover.low) + 1, int(np.ceil(cover.high)))]
        if part.any():
            edges = mask_edges(part)
            edges[2] = cover.low, cover.high
            boxes[cover.region] = Placed(edges, 0.6 + 0.35 * cover.share)
    whole = Placed(mask_edges(inside), 0.95)
    boxes |= dict.fromkeys(WHOLE_BODY, whole)
    if "head" in boxes:
        boxes["skull"] = boxes["head"]
    return boxes


def _cut(box: Placed, landmarks: Landmarks) -> Placed | None:
    """The box within the scan; its confidence falls with what is cut off. None where nothing is left."""
    shape = np.array(landmarks.coarse.hu.shape, dtype=float)
    edges = np.clip(box.edges, 0, shape[:, None])
    sizes, full = edges[:, 1] - edges[:, 0], np.maximum(box.edges[:, 1] - box.edges[:, 0], 1e-6)
    if np.any(sizes < 1.0) or (box.levels is not None and sizes[2] < min(MIN_VISIBLE_MM / STEP_MM, full[2])):
        return None
    at_end = box.levels is None and (edges[2, 0] <= 0.5 or edges[2, 1] >= shape[2] - 0.5)
    visible = float(np.prod(sizes / full)) if not at_end else 0.8
    return Placed(edges, box.confidence * (0.6 + 0.4 * visible), box.levels, box.scale)


def _with_unions(placed: Mapping[str, Placed]) -> dict[str, Placed]:
    """Adds each region without a box whose children have boxes: their union, with their mean confidence.

    Limbs of which one alone was located get none.
    """
    tree = region_tree()
    result = dict(placed)
    for region in reversed(tree.codes):  # contained regions come later in the tree, so they are joined first
        names = tree.children(region)
        children = [result[child] for child in names if child in result]
        if region in result or not children or (region in LIMBS and len(children) == 1):
            continue
        edges = np.stack([child.edges for child in children])
        union = np.stack([edges[:, :, 0].min(axis=0), edges[:, :, 1].max(axis=0)], axis=1)
        whole = len(children) == len(names)
        confidence = float(np.mean([child.confidence for child in children])) * (1.0 if whole else 0.8)
        result[region] = Placed(union, confidence)
    return result


def _to_box(region: str, box: Placed, coarse: Coarse, factor: float) -> RegionBox:
    """A coarse box on the volume's own grid, at least one voxel, inside the volume."""
    start, size = [], []
    for axis in range(3):
        n_voxels = coarse.shape_ijk[axis]
        first = int(np.clip(np.floor(coarse.edge_to_ijk(box.edges[axis, 0], axis)), 0, n_voxels - 1))
        last = int(np.clip(np.ceil(coarse.edge_to_ijk(box.edges[axis, 1], axis)), first + 1, n_voxels))
        start.append(first)
        size.append(last - first)
    confidence = round(factor * stated(region, float(np.clip(box.confidence, 0.0, 1.0))), 3)
    return RegionBox(region, "landmark", (start[0], start[1], start[2]), (size[0], size[1], size[2]), confidence)


def _in_tree_order(boxes: Mapping[str, RegionBox]) -> tuple[RegionBox, ...]:
    return tuple(boxes[code] for code in region_tree().codes if code in boxes)
