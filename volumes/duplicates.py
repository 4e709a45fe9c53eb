"""Slices that are there twice: true copies are set aside, impostors under one UID are refused.

Enters: the placed slices of one series. Leaves: each slice once, and the rest with a reason. Refuses: to call two
slices copies without having compared their pixels.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np

from t3dkit.verdict import Code
from volumes.errors import VolumeError
from volumes.reasons import DropReason
from volumes.split import SliceHeader

Copies = tuple[Code, str, list[SliceHeader]]


def drop_identical(slices: Sequence[SliceHeader]) -> tuple[list[SliceHeader], list[Copies]]:
    """Keep one of each set of slices with the same place, grid and pixels.

    Pixels are decoded only where two slices share a place or a SOPInstanceUID, so that a clean series costs nothing.

    Returns
    -------
    kept : list of SliceHeader
    copies : list of (reason, detail, slices)
        DUPLICATE_IMAGE: same place and pixels as one that is kept. UID_COLLISION: different images under one
        SOPInstanceUID, all of them, since none can be told to be the true one (fault C04).
    """
    keys: dict[int, Hashable] = {}
    suspects = _crowded(slices)
    for item in suspects:
        keys[id(item)] = _content_key(item)
    collided = _collided(slices, keys)
    kept: list[SliceHeader] = []
    copies: list[SliceHeader] = []
    seen: set[Hashable] = set()
    # single-frame images first: of a classic series and its enhanced twin, one is kept whole, not some of each
    for item in sorted(slices, key=lambda item: (bool(item.instance.frames), item.order)):
        if id(item) in collided:
            continue
        key = keys.get(id(item))
        if key is not None and key in seen:
            copies.append(item)
            continue
        if key is not None:
            seen.add(key)
        kept.append(item)
    answer: list[Copies] = []
    if copies:
        answer.append((DropReason.DUPLICATE_IMAGE, _count(copies), copies))
    if collided:
        items = [item for item in slices if id(item) in collided]
        detail = f"{_count(items)} under instance UIDs that other images bear too"
        answer.append((DropReason.UID_COLLISION, detail, items))
    return kept, answer


def _count(items: Sequence[SliceHeader]) -> str:
    return f"{len(items)} slice" + ("s" if len(items) != 1 else "")


def _crowded(slices: Sequence[SliceHeader]) -> list[SliceHeader]:
    at_place: dict[Hashable, list[SliceHeader]] = defaultdict(list)
    under_uid: dict[Hashable, list[SliceHeader]] = defaultdict(list)
    for item in slices:
        at_place[_place_key(item)].append(item)
        if item.instance.sop_instance_uid:
            under_uid[item.instance.sop_instance_uid, item.frame].append(item)
    crowded = {
        id(item): item for group in (*at_place.values(), *under_uid.values()) if len(group) > 1 for item in group
    }
    return [item for item in slices if id(item) in crowded]


def _place_key(item: SliceHeader) -> Hashable:
    return (
        *(round(value, 2) for value in item.position_lps.tolist()),
        *(round(value, 3) for value in item.orientation_lps.tolist()),
        *(round(value, 4) for value in item.pixel_spacing_mm),
        item.instance.rows,
        item.instance.columns,
    )


def _content_key(item: SliceHeader) -> Hashable:
    """Place and pixels; None when the pixels cannot be decoded, which `volumes.convert` will report."""
    from volumes.decode import read_slice  # pixels are needed only here, and only when slices coincide

    try:
        pixels = read_slice(item.instance, item.frame)
    except VolumeError:
        return None
    digest = hashlib.sha256(np.ascontiguousarray(pixels.stored, dtype=np.int64).tobytes()).hexdigest()
    return (_place_key(item), digest, pixels.slope, pixels.intercept)


def _collided(slices: Sequence[SliceHeader], keys: dict[int, Hashable]) -> set[int]:
    """Slices whose SOPInstanceUID is borne by a different image of another file."""
    under_uid: dict[tuple[str, int], list[SliceHeader]] = defaultdict(list)
    for item in slices:
        if item.instance.sop_instance_uid:
            under_uid[item.instance.sop_instance_uid, item.frame].append(item)
    return {
        id(item)
        for group in under_uid.values()
        if len(group) > 1 and len({keys.get(id(item)) for item in group}) > 1
        for item in group
    }
