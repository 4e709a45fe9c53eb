"""All landmarks of one volume, found in order: body, lungs, bones, frame, organs.

Enters: the coarse copy. Leaves: `Landmarks`. Refuses: what is no human trunk or head (answers None).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from curation.align.body import Body, find_body, section_frame
from curation.align.coarse import STEP_MM, Coarse
from curation.align.frame import Frame, Scale, make_frame, make_scale
from curation.align.organs import (
    Field,
    Organ,
    find_bladder,
    find_heart,
    find_kidney,
    find_liver,
    find_spleen,
    make_field,
)
from curation.align.skeleton import Skeleton, find_skeleton
from curation.align.thorax import Thorax, find_thorax

MIN_TRUNK_MM = 180.0
"""Width of the lean section below which a piece without landmarks is taken for a limb or a neck, not for a trunk."""
SOFT_RANGE_HU = (-200.0, 250.0)
MIN_SOFT_SHARE = 0.3
"""Fat, water and parenchyma fill more of any body than bone and metal do."""
LEVEL_MID_BRAIN = -2.5
"""Half-way between vertex and skull base."""
MARGIN_VOX = 2
"""Air kept around the body, so that no morphology meets the border of the grid."""
FALLBACK_TRUST = 0.95
"""Factor on every confidence when no level was seen. Such slabs of phantoms are placed as well as others (0.92 of the
boxes of either are right), but nothing seen speaks for it."""
LEVEL_SLAB_CHEST, LEVEL_SLAB_RIBS, LEVEL_SLAB_LOINS, LEVEL_SLAB_PELVIS = 14.7, 20.0, 21.5, 26.5
"""Middle of a slab that shows no level: between carina and dome; below the lungs with ribs, without; in the pelvis."""
FLANK, MIN_RIB_VOXELS = 0.6, 3
"""Bone farther out than this share of the half width, so many voxels of a slice, is ribs."""


@dataclass(frozen=True)
class Landmarks:
    """What the anatomy of one volume shows, on the coarse grid.

    Parameters
    ----------
    coarse, body, thorax, skeleton, frame
        See their modules.
    field : Field
        Smoothed intensities and where organs may lie.
    organs : mapping
        Region -> Organ, for those that were seen.
    trust : float
        1, or less when the levels were guessed from what fills the slab.
    """

    coarse: Coarse
    body: Body
    thorax: Thorax
    skeleton: Skeleton
    frame: Frame
    field: Field
    organs: Mapping[str, Organ]
    trust: float


def find_landmarks(coarse: Coarse) -> Landmarks | None:
    """Find the landmarks; None where there is no body or nothing tells where in the body the scan is."""
    body = find_body(coarse.hu)
    if body is None or _soft_share(coarse.hu, body) < MIN_SOFT_SHARE:
        return None
    coarse, body = _crop(coarse, body)
    thorax = find_thorax(coarse.hu, body)
    skeleton = find_skeleton(coarse.hu, body, lung_bottom=thorax.base)
    frame, trust = make_frame(body, thorax, skeleton), 1.0
    if frame is None:
        fallback = _scale_of_slab(body, thorax, skeleton)
        frame, trust = make_frame(body, thorax, skeleton, fallback=fallback), FALLBACK_TRUST
    if frame is None:
        return None
    field = make_field(coarse.hu, body, thorax, skeleton, frame)
    organs = {} if skeleton.skull_top is not None and thorax.base is None else _find_organs(coarse, body, thorax, field)
    return Landmarks(coarse, body, thorax, skeleton, frame, field, organs, trust)


def _find_organs(coarse: Coarse, body: Body, thorax: Thorax, field: Field) -> dict[str, Organ]:
    """Organs in the order in which one rules out the next."""
    organs: dict[str, Organ] = {}
    taken = np.zeros(coarse.hu.shape, dtype=bool)

    def keep(region: str, organ: Organ | None) -> None:
        nonlocal taken
        if organ is not None:
            organs[region] = organ
            taken = taken | organ.mask

    keep("heart", find_heart(coarse.hu, body, thorax, field.frame))
    taken = np.zeros_like(taken)  # heart and liver touch; the dome, not the heart's mask, parts them
    keep("liver", find_liver(field, thorax))
    keep("spleen", find_spleen(field, organs.get("liver")))
    keep("kidney_left", find_kidney(field, coarse.hu, "left", taken))
    keep("kidney_right", find_kidney(field, coarse.hu, "right", taken))
    keep("urinary_bladder", find_bladder(field))
    return organs


def _crop(coarse: Coarse, body: Body) -> tuple[Coarse, Body]:
    """The grid without the air beside and before the body: half of the work of every later step."""
    places = [np.flatnonzero(body.inside.any(axis=other)) for other in ((1, 2), (0, 2))]
    cut = tuple(slice(max(0, int(ends[0]) - MARGIN_VOX), int(ends[-1]) + 1 + MARGIN_VOX) for ends in places)
    masks = [np.ascontiguousarray(mask[cut]) for mask in (body.inside, body.gas, body.lean)]
    offset = coarse.offset - np.array([cut[0].start, cut[1].start, 0])
    return replace(coarse, hu=np.ascontiguousarray(coarse.hu[cut]), offset=offset), Body(*masks)


def _soft_share(hu: np.ndarray, body: Body) -> float:
    """Share of the body without gas that has the HU of fat, water or soft tissue."""
    solid = hu[body.inside & ~body.gas]
    return float(np.mean((solid > SOFT_RANGE_HU[0]) & (solid < SOFT_RANGE_HU[1]))) if solid.size else 0.0


def _scale_of_slab(body: Body, thorax: Thorax, skeleton: Skeleton) -> Scale | None:
    """Levels of a slab without landmarks, by what fills it: a skull, a pelvis, lungs, or none of these."""
    if skeleton.skull_top is not None and skeleton.skull_bottom is not None:
        return make_scale({LEVEL_MID_BRAIN: (skeleton.skull_top + skeleton.skull_bottom) / 2})
    widths = body.lean.any(axis=1).sum(axis=0) * STEP_MM
    if skeleton.spine is None or float(np.median(widths)) < MIN_TRUNK_MM:
        return None
    n_z = body.lean.shape[2]
    if thorax.base is not None:
        level = LEVEL_SLAB_CHEST
    elif skeleton.pelvis_top is not None:
        level = LEVEL_SLAB_PELVIS
    else:
        level = LEVEL_SLAB_RIBS if _has_ribs(body, skeleton.bone, skeleton.spine.x) else LEVEL_SLAB_LOINS
    return make_scale({level: n_z / 2})


def _has_ribs(body: Body, bone: np.ndarray, middle: np.ndarray) -> bool:
    """Whether most slices show bone in the flanks."""
    half = section_frame(body.lean)[1]
    off = np.abs(np.arange(bone.shape[0])[:, None] - middle[None, :])  # (x, z)
    in_flanks = (bone & (off > FLANK * half)[:, None, :]).sum(axis=(0, 1))
    return bool(np.mean(in_flanks >= MIN_RIB_VOXELS) > 0.5)
