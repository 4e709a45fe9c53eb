"""Which crops a step sees: a stateless, seeded draw.

Enters: a catalogue and (seed, step, slot). Leaves: a `Draw`: a sentence, the part of its region that both views
cover, two crops and the sentences each crop covers. Refuses: nothing; the same key gives the same draw anywhere,
so a resumed run, another process or an audit sees the same crops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from train.catalogue import Box, Catalogue, Ijk, Sentence

REDRAW_SENTENCE = 3
"""From this attempt on, a slot whose crops were padding only draws another sentence."""


@dataclass(frozen=True)
class View:
    """One crop and what is said about it.

    Parameters
    ----------
    start_ijk : (3,) int
        First voxel; negative where the volume is smaller than the crop.
    sentences : tuple of (str, float)
        sentence_id and covered fraction, the drawn sentence first, then as configured.
    """

    start_ijk: Ijk
    sentences: tuple[tuple[str, float], ...]


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
    catalogue : Catalogue
        What can be drawn.
    seed, step, slot, n_slots : int
        The key: run, batch, place in the batch over all processes, and how many places there are.
    attempt : int
        Raised by the caller while the crops hold nothing but padding.
    """
    crop = catalogue.crop
    size = max(1, round(crop.same_region_share * n_slots)) if crop.policy != "whole" else 1
    leader_slot = slot - slot % size
    leader_rng = np.random.default_rng([seed, step, leader_slot, 0])
    leader = int(leader_rng.choice(len(catalogue.located), p=catalogue.weights))
    rng = np.random.default_rng([seed, step, slot, attempt, 1])
    chosen = leader
    if attempt >= REDRAW_SENTENCE:
        chosen = int(rng.choice(len(catalogue.located), p=catalogue.weights))
    elif slot != leader_slot:
        chosen = _companion(catalogue, leader, slot - leader_slot, leader_rng, rng)
    sentence = catalogue.located[chosen]
    return draw_views(catalogue, sentence, rng, prefer=catalogue.located[leader])


def _companion(
    catalogue: Catalogue, leader: int, place: int, leader_rng: np.random.Generator, rng: np.random.Generator
) -> int:
    """A sentence on the leader's region, from the `place`-th of the other patients in the group's order."""
    first = catalogue.located[leader]
    patients = catalogue.on_region[first.boxes[0][0]]
    order = [str(name) for name in leader_rng.permutation(sorted(patients)) if name != first.patient_id]
    if place > len(order):
        return int(rng.choice(len(catalogue.located), p=catalogue.weights))
    indices = patients[order[place - 1]]
    weights = catalogue.weights[list(indices)]
    return int(rng.choice(indices, p=weights / weights.sum()))


def draw_views(
    catalogue: Catalogue, sentence: Sentence, rng: np.random.Generator, *, prefer: Sentence | None = None
) -> Draw:
    """Two crops on `sentence`, placed independently; `prefer` says whose region to take where it names several."""
    crop = catalogue.crop
    shape = catalogue.shapes_ijk[sentence.volume_id]
    if crop.policy == "random":
        edge = [max(1, round(crop.part_fraction * crop.size_vox))] * 3
        start = [int(rng.integers(0, max(n - e, 0) + 1)) for n, e in zip(shape, edge, strict=True)]
        region, target = "", _box_within(start, edge, shape)
    else:
        wanted = prefer.boxes[0][0] if prefer else ""
        region, box = (
            next((pair for pair in sentence.boxes if pair[0] == wanted), None)
            or sentence.boxes[int(rng.integers(len(sentence.boxes)))]
        )
        target = _part(box, shape, round(crop.part_fraction * crop.size_vox), rng)
    views = [_view(catalogue, sentence, _place(target, shape, crop.size_vox, rng), rng) for _ in range(2)]
    return Draw(
        pair_id=sentence.pair_id,
        sentence_id=sentence.sentence_id,
        volume_id=sentence.volume_id,
        region=region,
        target=target,
        size_vox=crop.size_vox,
        views=(views[0], views[1]),
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


def _view(catalogue: Catalogue, sentence: Sentence, start: Ijk, rng: np.random.Generator) -> View:
    crop = catalogue.crop
    others = [other for other in catalogue.by_pair[sentence.pair_id] if other is not sentence]
    if crop.policy == "aligned":
        rated = [(other, covered(other, start, crop.size_vox)) for other in others]
        rated = [(other, fraction) for other, fraction in rated if fraction >= crop.coverage_threshold]
        # Findings first: "no effusion" says less about a crop than the nodule in it.
        rated.sort(key=lambda pair: (not pair[0].is_abnormal, -pair[1], pair[0].sentence_id))
        own = covered(sentence, start, crop.size_vox)
    elif crop.policy == "random":
        order = rng.permutation(len(others))
        rated, own = [(others[int(index)], 0.0) for index in order], 0.0
    else:
        rated, own = [(other, 1.0) for other in others], 1.0
    kept = [(sentence, own), *rated][: crop.max_sentences]
    return View(start_ijk=start, sentences=tuple((one.sentence_id, round(fraction, 4)) for one, fraction in kept))


def covered(sentence: Sentence, start: Ijk, size_vox: int) -> float:
    """The largest `covered_fraction` of a sentence's boxes; 0 where none is located."""
    return max((covered_fraction(box, start, size_vox) for _, box in sentence.boxes), default=0.0)


def _part(box: Box, shape: Ijk, longest: int, rng: np.random.Generator) -> Box:
    """`box`, or along each axis that is longer than `longest`, a random stretch of it."""
    start, edge = [], []
    for first, stop in zip(box.start_ijk, box.stop_ijk, strict=True):
        length = min(stop - first, longest)
        start.append(first + int(rng.integers(0, stop - first - length + 1)))
        edge.append(length)
    return _box_within(start, edge, shape)


def _box_within(start: Sequence[int], edge: Sequence[int], shape: Ijk) -> Box:
    first = [min(max(int(s), 0), n - 1) for s, n in zip(start, shape, strict=True)]
    stop = [min(max(int(s) + int(e), f + 1), n) for s, e, f, n in zip(start, edge, first, shape, strict=True)]
    return Box((first[0], first[1], first[2]), (stop[0], stop[1], stop[2]))


def _place(target: Box, shape: Ijk, size_vox: int, rng: np.random.Generator) -> Ijk:
    """A crop that holds `target`, inside the volume where it fits, else around it."""
    start = []
    for first, stop, length in zip(target.start_ijk, target.stop_ijk, shape, strict=True):
        low, high = min(0, length - size_vox), max(0, length - size_vox)
        start.append(int(rng.integers(max(stop - size_vox, low), min(first, high) + 1)))
    return start[0], start[1], start[2]
