"""The records of `curation.align`: a box, a label map, what was located in a volume.

Enters: nothing. Leaves: frozen records. Refuses: mutation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

Ijk = tuple[int, int, int]


@dataclass(frozen=True)
class RegionBox:
    """Where a region lies on a volume's grid.

    Parameters
    ----------
    region : str
        Code of `reports.regions`.
    source : str
        mask, pointer or landmark.
    start_ijk, size_ijk : tuple of 3 int, voxels
        First voxel and extent; the box lies inside the volume and holds at least one voxel.
    confidence : float
        0 to 1; 1.0 is a mask.
    """

    region: str
    source: str
    start_ijk: Ijk
    size_ijk: Ijk
    confidence: float

    @property
    def stop_ijk(self) -> Ijk:
        """One past the last voxel on each axis."""
        i, j, k = (start + size for start, size in zip(self.start_ijk, self.size_ijk, strict=True))
        return (i, j, k)


@dataclass(frozen=True)
class LabelMap:
    """Masks on their own grid: one label value per class.

    Parameters
    ----------
    data : (i, j, k) uint8 or uint16
        0 is background.
    affine_ras : (4, 4) float64
        Voxel ijk -> mm, RAS.
    names : mapping
        Label value -> class name, for the values that have one.
    """

    data: np.ndarray
    affine_ras: np.ndarray
    names: Mapping[int, str]


@dataclass(frozen=True)
class Location:
    """What was located in one volume.

    Parameters
    ----------
    boxes : tuple of RegionBox
        At most one per region and source, in the order of the region tree; a region outside the scan has none.
    body_regions : tuple of str
        Those of head, neck, chest, abdomen, pelvis of which the scan holds a substantial part, from above.
    flags : tuple of str
        Codes of `AlignFlag` and `volumes.reasons.Flag`.
    notes : mapping
        Flag -> numbers or class names that make it concrete; nothing identifying.
    """

    boxes: tuple[RegionBox, ...] = ()
    body_regions: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
