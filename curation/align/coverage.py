"""Which of head, neck, chest, abdomen and pelvis a scan holds, and between which slices.

Enters: the landmarks. Leaves: the share of each body region that is visible, with its z range. Refuses: to call a few
slices at a border a region.
"""

from __future__ import annotations

from dataclasses import dataclass

from curation.align.coarse import STEP_MM
from curation.align.landmarks import Landmarks

BODY_REGIONS = ("head", "neck", "chest", "abdomen", "pelvis")
EXTENTS = {
    "head": (-6.0, 3.2),
    "neck": (3.2, 8.2),
    "chest": (8.2, 17.0),
    "abdomen": (17.0, 23.6),
    "pelvis": (23.6, 30.5),
}
"""Upper and lower level: chin, lung apex, dome of the diaphragm, iliac crest, ischial tuberosity."""
HELD_SHARES = {"head": 0.3, "neck": 0.5, "chest": 0.3, "abdomen": 0.3, "pelvis": 0.3}
"""A scan holds a region when it shows this share of its height: lung bases do not make a chest CT, nor does the root of
the neck, which every chest CT shows, a neck CT."""
SEEN_MM = 12.0
"""From this much on, a region gets a box all the same."""


@dataclass(frozen=True)
class Cover:
    """How much of a body region is visible.

    Parameters
    ----------
    region : str
    low, high : float
        Coarse z edges within the scan.
    share : float
        Visible part of its height.
    """

    region: str
    low: float
    high: float
    share: float


def find_coverage(landmarks: Landmarks) -> tuple[Cover, ...]:
    """The visible body regions from above, those of less than `SEEN_MM` left out."""
    covers = []
    n_z = landmarks.coarse.hu.shape[2]
    for region in BODY_REGIONS:
        upper, lower = EXTENTS[region]
        scale = landmarks.frame.organs if region in ("chest", "abdomen") else landmarks.frame.bones
        high, low = scale.to_z(upper), scale.to_z(lower)
        seen_low, seen_high = max(0.0, low), min(float(n_z), high)
        if seen_high - seen_low < SEEN_MM / STEP_MM or not _has_evidence(landmarks, region):
            continue
        covers.append(Cover(region, seen_low, seen_high, min(1.0, (seen_high - seen_low) / (high - low))))
    return tuple(covers)


def held_regions(covers: tuple[Cover, ...]) -> tuple[str, ...]:
    """The body regions of which a substantial share is visible; of a thin slab, the one that it shows most of."""
    held = tuple(cover.region for cover in covers if cover.share >= HELD_SHARES[cover.region])
    return held or tuple(cover.region for cover in sorted(covers, key=lambda cover: -cover.share)[:1])


def _has_evidence(landmarks: Landmarks, region: str) -> bool:
    """Whether something of the region itself was seen: levels alone are extrapolated too far."""
    skull = landmarks.skeleton.skull_top is not None
    if region == "head":
        return skull
    if region == "chest":
        return landmarks.thorax.base is not None or not skull
    if region in ("abdomen", "pelvis"):
        return not skull or landmarks.thorax.base is not None
    return True
