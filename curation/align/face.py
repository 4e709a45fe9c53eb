"""Takes the face off a head scan: whoever renders the skin must not recognise anybody.

Enters: a volume with the boxes that were located in it. Leaves: the volume with the front of the head, a hand's
breadth below the brow downward, replaced by air; and the boxes that are still true. Refuses: a scan in which a face
may be seen but not well enough located to be removed (answers None): such a volume must not be released.

The skin is followed, not cut by a plane: in every column that meets the face from the front, what lies in front of
the skin and `DEPTH_MM` behind it becomes air. Nose, lips, lids, cheeks and chin go, and what is worn over them; the
brain above the brow and behind the orbits stays. Removing the surface is what public de-facing tools do too (Bischoff-
Grethe et al., Hum Brain Mapp 2007); ears and the vault stay, so a rare skull can still be known by who knows it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from curation.align.records import Location, RegionBox
from volumes.intensity import AIR_HU

FACE_REGIONS = ("face", "orbits", "orbit_left", "orbit_right", "sinuses")
"""Regions whose boxes say that a face is in the scan, and which are no longer shown once it is off."""
SKIN_HU = -300
DEPTH_MM = 25.0
"""Nose and lips stand out by less from the bone behind them."""
BROW_MM = 10.0
"""So far above the located face the removal begins: levels are not exact."""
SIDE_MM = 60.0
"""A column whose skin lies so far behind the foremost of its slice belongs to the side of the head."""
MIN_CONFIDENCE = 0.25
"""Of the best box of the face; below, its height is a guess."""


@dataclass(frozen=True)
class Defaced:
    """A volume without its face.

    Parameters
    ----------
    data : (i, j, k) int16, HU
    location : Location
        Without the boxes of what was removed.
    share : float
        Of the body's voxels that were removed.
    """

    data: np.ndarray
    location: Location
    share: float


def face_boxes(location: Location) -> list[RegionBox]:
    """The boxes that say that the scan shows a face; empty where it shows none."""
    return [box for box in location.boxes if box.region in FACE_REGIONS]


def remove_face(data: np.ndarray, affine_ras: np.ndarray, location: Location) -> Defaced | None:
    """Remove the face; None where it cannot be located well enough.

    Parameters
    ----------
    data : (i, j, k) int16, HU
        RAS+ closest axes; not changed.
    affine_ras : (4, 4) float64
    location : Location
        With at least one of `face_boxes`.
    """
    boxes = face_boxes(location)
    if not boxes or max(box.confidence for box in boxes) < MIN_CONFIDENCE:
        return None
    spacing_mm = np.linalg.norm(affine_ras[:3, :3], axis=0)
    low = min(box.start_ijk[2] for box in boxes)
    high = max(box.stop_ijk[2] for box in boxes) + int(np.ceil(BROW_MM / spacing_mm[2]))
    zone = data[:, :, low:high]
    skin = zone > SKIN_HU
    front = zone.shape[1] - 1 - np.argmax(skin[:, ::-1], axis=1)  # (i, k): foremost voxel of the body
    front = np.where(skin.any(axis=1), front, -1)
    depth, side = DEPTH_MM / spacing_mm[1], SIDE_MM / spacing_mm[1]
    is_face = (front >= 0) & (front > front.max(axis=0, keepdims=True) - side)
    if not is_face.any():
        return None
    index = np.arange(zone.shape[1])[None, :, None]
    gone = is_face[:, None, :] & (index > (front - depth)[:, None, :])
    cleared = data.copy(order="K")
    cleared[:, :, low:high][gone] = AIR_HU
    left = tuple(box for box in location.boxes if box.region not in FACE_REGIONS)
    share = float(np.count_nonzero(gone & skin)) / max(int(np.count_nonzero(data > SKIN_HU)), 1)
    return Defaced(cleared, replace(location, boxes=left), share)
