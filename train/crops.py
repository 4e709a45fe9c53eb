"""Which crops a step sees: a stateless, seeded draw.

Enters: a catalogue and (seed, step, slot). Leaves: a `Draw`: a sentence, the part of its region that both views
cover, two crops and the sentences each crop covers. Refuses: nothing; the same key gives the same draw anywhere,
so a resumed run, another process or an audit sees the same crops.
"""

from __future__ import annotations

import hashlib
import struct
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from train.catalogue import Box, Catalogue, Ijk, Sentence, as_ijk

REDRAW_SENTENCE = 3
"""From this attempt on, a slot whose crops were padding only draws another sentence."""
PLAY = 8
"""A crop's place varies by at least this part of its edge, where volume and target leave it."""
N_CHANCES = 12
"""What `draw_views` leaves to chance: a region, three edges of its part, three places and an order for each view."""


@dataclass(frozen=True)
class View:
    """One crop and what is said about it."""

    start_ijk: Ijk  # first voxel; negative where the volume is smaller than the crop
    sentences: tuple[tuple[str, float], ...]  # sentence_id and covered fraction, the drawn sentence first


@dataclass(frozen=True)
class Draw:
    """One slot of a batch, enough to make its crops again and to show them."""

    pair_id: str
    sentence_id: str
    volume_id: str
    region: str
    target: Box  # the box of the region, or the part of it that both views cover
    size_vox: int
    views: tuple[View, View]


def draw(catalogue: Catalogue, *, seed: int, step: int, slot: int, n_slots: int, attempt: int = 0) -> Draw:
    """The draw of one slot of a batch.

    Half of a batch (`crop.same_region_share`) shares a region: the first slot of such a group draws freely, the
    others draw a sentence on the same region from different patients while there are any. So an anchor's negatives
    cannot be told apart by region alone.

    Parameters
    ----------
    seed, step, slot, n_slots : int
        The key: run, batch, place in the batch over all processes, and how many places there are.
    attempt : int
        Raised by the caller while the crops hold nothing but padding.
    """
    crop = catalogue.crop
    size = max(1, round(crop.same_region_share * n_slots)) if crop.policy != "whole" else 1
    leader_slot = slot - slot % size
    first, *order = chances(size, seed, step, leader_slot, 0)
    leader = catalogue.weighted(first)
    free, *rest = chances(1 + N_CHANCES, seed, step, slot, attempt, 1)
    chosen = leader
    if attempt >= REDRAW_SENTENCE:
        chosen = catalogue.weighted(free)
    elif slot != leader_slot:
        chosen = _companion(catalogue, leader, order[: slot - leader_slot], free)
    return draw_views(catalogue, chosen, rest, prefer=leader)


def chances(n: int, *key: int) -> tuple[float, ...]:
    """`n` uniform numbers in [0, 1) that depend on `key` alone.

    A hash rather than a seeded generator, whose making takes ten times as long.

    References
    ----------
    FIPS 202, SHAKE128; 53 bits of every 8 bytes.
    """
    words = struct.unpack(f"<{n}Q", hashlib.shake_128(repr(key).encode("ascii")).digest(8 * n))
    return tuple((word >> 11) * 2.0**-53 for word in words)


def _companion(catalogue: Catalogue, leader: int, order: Sequence[float], free: float) -> int:
    """A sentence on the leader's region, from the next of the other patients in the group's order, drawn so far."""
    first = catalogue.located[leader]
    patients, rows = catalogue.on_region[first.boxes[0][0]]
    if len(order) > len(rows) - 1:
        return catalogue.weighted(free)
    place = _drawn_last(order, len(rows) - 1)
    return catalogue.weighted_of(rows[place + (place >= bisect_left(patients, first.patient_id))], free)


def _drawn_last(order: Sequence[float], n: int) -> int:
    """The last of `len(order)` places drawn without replacement from `n`; a shuffle that stores only what it swaps."""
    swapped: dict[int, int] = {}
    drawn = 0
    for step, chance in enumerate(order):
        other = step + below(chance, n - step)
        drawn = swapped.get(other, other)
        swapped[other] = swapped.get(step, step)
    return drawn


def below(chance: float, n: int) -> int:
    """An integer of 0 .. n - 1 from a number in [0, 1)."""
    return min(int(chance * n), n - 1)


def draw_views(catalogue: Catalogue, index: int, chances: Sequence[float], *, prefer: int | None = None) -> Draw:
    """Two crops on the located sentence `index`, placed independently by `N_CHANCES` floats in [0, 1).

    Of several regions it takes that of the located sentence `prefer`.
    """
    sentence = catalogue.located[index]
    crop = catalogue.crop
    shape = catalogue.shapes_ijk[sentence.volume_id]
    which, part, places = chances[0], chances[1:4], (chances[4:7], chances[7:10])
    longest = max(1, round(crop.part_fraction * crop.size_vox))
    if crop.policy == "random":
        start = [below(chance, max(n - longest, 0) + 1) for chance, n in zip(part, shape, strict=True)]
        region, box = "", Box((0, 0, 0), shape)
        target = _box_within(start, [longest] * 3, shape)
    else:
        wanted = "" if prefer is None else catalogue.located[prefer].boxes[0][0]
        region, box = (
            next((pair for pair in sentence.boxes if pair[0] == wanted), None)
            or sentence.boxes[below(which, len(sentence.boxes))]
        )
        target = _part(box, shape, longest, part)
    starts = [_place(target, box, shape, crop.size_vox, place) for place in places]
    listed = _listed(catalogue, index, starts, chances[10:12])
    return Draw(
        pair_id=sentence.pair_id,
        sentence_id=sentence.sentence_id,
        volume_id=sentence.volume_id,
        region=region,
        target=target,
        size_vox=crop.size_vox,
        views=(View(starts[0], listed[0]), View(starts[1], listed[1])),
    )


def covered_fraction(box: Box, start_ijk: Sequence[int], size_vox: int) -> float:
    """How much of what a crop could hold of `box` it does hold, 0 .. 1.

    Along each axis the overlap is divided by the shorter of box and crop, so that a crop deep inside the liver
    covers a sentence on the liver, though it holds a tenth of the organ.
    """
    fraction = 1.0
    for start, first, stop in zip(start_ijk, box.start_ijk, box.stop_ijk, strict=True):
        overlap = min(start + size_vox, stop) - max(start, first)
        fraction *= max(overlap, 0) / max(1, min(size_vox, stop - first))
    return fraction


def _listed(
    catalogue: Catalogue, index: int, starts: Sequence[Ijk], chances: Sequence[float]
) -> list[tuple[tuple[str, float], ...]]:
    """The sentences of each view, the drawn one first, with what the crop covers of their regions."""
    crop, drawn = catalogue.crop, catalogue.located[index]
    if crop.policy == "aligned":
        first, fractions = catalogue.covered(drawn.pair_id, starts)
        kept = [_covered(catalogue, first, index - first, row, crop.coverage_threshold) for row in fractions.tolist()]
    else:
        others = [other for other in catalogue.by_pair[drawn.pair_id] if other is not drawn]
        share = 0.0 if crop.policy == "random" else 1.0
        kept = []
        for chance in chances:
            if crop.policy == "random":
                np.random.default_rng(below(chance, 2**53)).shuffle(others)  # type: ignore[arg-type]
            kept.append([(share, one) for one in (drawn, *others)])
    return [tuple((one.sentence_id, round(share, 4)) for share, one in rows[: crop.max_sentences]) for rows in kept]


def _covered(
    catalogue: Catalogue, first: int, own: int, fractions: Sequence[float], threshold: float
) -> list[tuple[float, Sentence]]:
    """The drawn sentence, then the others of its pair that one crop covers enough of."""
    located = catalogue.located
    rated = [
        (share, located[first + place]) for place, share in enumerate(fractions) if share >= threshold and place != own
    ]
    # Findings first: "no effusion" says less about a crop than the nodule in it.
    rated.sort(key=lambda pair: (not pair[1].is_abnormal, -pair[0], pair[1].sentence_id))
    return [(fractions[own], located[first + own]), *rated]


def covered(sentence: Sentence, start: Ijk, size_vox: int) -> float:
    """The largest `covered_fraction` of a sentence's boxes; 0 where none is located."""
    return max((covered_fraction(box, start, size_vox) for _, box in sentence.boxes), default=0.0)


def _part(box: Box, shape: Ijk, longest: int, chances: Sequence[float]) -> Box:
    """`box`, or along each axis that is longer than `longest`, a random stretch of it."""
    start, edge = [], []
    for first, stop, chance in zip(box.start_ijk, box.stop_ijk, chances, strict=True):
        length = min(stop - first, longest)
        start.append(first + below(chance, stop - first - length + 1))
        edge.append(length)
    return _box_within(start, edge, shape)


def _box_within(start: Sequence[int], edge: Sequence[int], shape: Ijk) -> Box:
    first = as_ijk(min(max(s, 0), n - 1) for s, n in zip(start, shape, strict=True))
    stop = as_ijk(min(max(s + e, f + 1), n) for s, e, f, n in zip(start, edge, first, shape, strict=True))
    return Box(first, stop)


def _place(target: Box, box: Box, shape: Ijk, size_vox: int, chances: Sequence[float]) -> Ijk:
    """A crop that holds `target`, inside the volume where it fits, else around it.

    What a sentence tells of lies anywhere in the `box` of its region. So a crop holds the box where it can, and
    stays inside a larger one, give or take the play that sets two views apart.
    """
    start = []
    for axis, (length, chance) in enumerate(zip(shape, chances, strict=True)):
        near, far = sorted((box.start_ijk[axis], box.stop_ijk[axis] - size_vox))
        play = max(0, size_vox // PLAY - (far - near)) // 2
        least = max(target.stop_ijk[axis] - size_vox, min(0, length - size_vox), near - play)
        most = min(target.start_ijk[axis], max(0, length - size_vox), far + play)
        start.append(least + below(chance, most - least + 1))
    return as_ijk(start)
