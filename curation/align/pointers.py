"""From "series 3, image 45" in a report to a slab in the volume.

Enters: a pointer, the slice map of a volume, its grid. Leaves: a box, or None. Refuses: a pointer into another series,
and an image number that stands for places far apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from curation.align.records import RegionBox

HALF_SLAB_MM = 15.0
"""To each side of the slice: a finding reaches beyond the slice that shows it best."""
CONFIDENCE_SERIES = 0.95
CONFIDENCE_NO_SERIES = 0.7
"""Without a series number the pointer may mean another series of the study."""
MISS_FACTOR = 0.7
"""The slab misses the region's box: one of the two is wrong."""


def pointer_box(
    pointer: Any,
    slice_map: Mapping[str, Any] | Any,
    affine_ras: np.ndarray,
    shape_ijk: Sequence[int],
    region_box: RegionBox | None = None,
) -> RegionBox | None:
    """The slab around a pointed slice, cut to the region's box where the two meet.

    Parameters
    ----------
    pointer : ImagePointer, or mapping with series and image
        As of `reports.records`; series may be None.
    slice_map : mapping or SliceMap
        series_number, instance_number, position_mm, normal_lps: as in `curation.contract.VOLUMES` or `volumes.records`.
    affine_ras : (4, 4) float64
        Of the volume, voxel ijk -> mm, RAS.
    shape_ijk : 3 int
    region_box : RegionBox or None
        Box of the region that the sentence names; None gives the whole slab, as region "body".

    Returns
    -------
    RegionBox or None
        None when the pointer means another series, an unknown image, or a slice outside the volume.
    """
    series, image = _get(pointer, "series"), _get(pointer, "image")
    if image is None or (series is not None and series != _get(slice_map, "series_number")):
        return None
    position_mm = _position_mm(slice_map, int(image))
    if position_mm is None:
        return None
    normal_lps = np.asarray(_get(slice_map, "normal_lps"), dtype=np.float64)
    slab = _slab(position_mm, normal_lps, np.asarray(affine_ras, dtype=np.float64), shape_ijk)
    if slab is None:
        return None
    confidence = CONFIDENCE_SERIES if series is not None else CONFIDENCE_NO_SERIES
    low, high = slab
    region = "body"
    if region_box is not None:
        region = region_box.region
        meet_low = np.maximum(low, region_box.start_ijk)
        meet_high = np.minimum(high, region_box.stop_ijk)
        if np.all(meet_high > meet_low):
            low, high = meet_low, meet_high
        else:
            confidence *= MISS_FACTOR
    size = high - low
    start_ijk, size_ijk = (int(low[0]), int(low[1]), int(low[2])), (int(size[0]), int(size[1]), int(size[2]))
    return RegionBox(region, "pointer", start_ijk, size_ijk, round(confidence, 3))


def _get(record: Any, name: str) -> Any:
    return record.get(name) if isinstance(record, Mapping) else getattr(record, name)


def _position_mm(slice_map: Any, image: int) -> float | None:
    """Where an image lies along the normal; None when unknown, or when its number stands for places far apart."""
    numbers, positions = _get(slice_map, "instance_number"), _get(slice_map, "position_mm")
    places = [float(place) for number, place in zip(numbers, positions, strict=True) if number == image]
    if not places or max(places) - min(places) > HALF_SLAB_MM:
        return None
    return sum(places) / len(places)


def _slab(
    position_mm: float, normal_lps: np.ndarray, affine_ras: np.ndarray, shape_ijk: Sequence[int]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Bounding box, first and one past the last voxel, of the voxels within half a slab of a plane.

    The distance along the normal is linear in ijk, so the box is exact for an oblique plane too.
    """
    normal_ras = normal_lps * np.array([-1.0, -1.0, 1.0])
    slope, offset = normal_ras @ affine_ras[:3, :3], float(normal_ras @ affine_ras[:3, 3]) - position_mm
    last = np.asarray(shape_ijk, dtype=np.float64) - 1
    ends = np.stack([np.zeros(3), slope * last])
    least, most = ends.min(axis=0), ends.max(axis=0)
    low, high = np.zeros(3, dtype=int), np.asarray(shape_ijk, dtype=int).copy()
    for axis in range(3):
        others = [other for other in range(3) if other != axis]
        reach = np.array([-HALF_SLAB_MM - most[others].sum() - offset, HALF_SLAB_MM - least[others].sum() - offset])
        if abs(slope[axis]) * last[axis] < 1e-6:
            if reach[0] > 0 or reach[1] < 0:
                return None
            continue
        first, final = np.sort(reach / slope[axis])
        low[axis] = max(0, int(np.ceil(first - 1e-6)))
        high[axis] = min(int(shape_ijk[axis]), int(np.floor(final + 1e-6)) + 1)
        if high[axis] <= low[axis]:
            return None
    return low, high
