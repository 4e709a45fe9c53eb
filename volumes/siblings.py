"""Stacks of one study that show that another of them has lost its end.

Enters: the stacks of one study. Leaves: the same stacks, some with a flag. Refuses: to drop anything. Two
reconstructions of one acquisition usually cover the same range, but a range may also be chosen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np

from t3dkit.verdict import Repair
from volumes import geometry
from volumes.reasons import Flag
from volumes.records import Stack

SAME_PLACE_MM = 0.1
MAX_LOST_SLICES = 5
"""More than this, and the range was chosen."""


def flag_cropped(stacks: Sequence[Stack]) -> list[Stack]:
    """Flag a stack that ends some slices before a sibling does: another series of the same acquisition, on the same
    lattice of slices, with the same other end."""
    groups: dict[tuple[Hashable, ...], list[int]] = defaultdict(list)
    for index, stack in enumerate(stacks):
        if stack.head.frame_of_reference_uid:
            groups[_acquisition(stack)].append(index)
    answer = list(stacks)
    for members in groups.values():
        for index in members:
            lost = max((_lost_slices(stacks[index], stacks[other]) for other in members), default=0)
            if lost:
                repair = Repair(Flag.POSSIBLY_CROPPED, f"a series of the same acquisition has {lost} slices more")
                answer[index] = replace(stacks[index], repairs=(*stacks[index].repairs, repair))
    return answer


def _acquisition(stack: Stack) -> tuple[Hashable, ...]:
    head = stack.head
    return (
        head.study_instance_uid,
        head.frame_of_reference_uid,
        head.modality,
        head.acquisition_number,
        tuple(np.round(stack.orientation_lps, 3)),
        round(stack.spacing_mm, 3),
    )


def _lost_slices(stack: Stack, other: Stack) -> int:
    """How many slices `other` has beyond one end of `stack`; 0 unless the other ends meet and the lattices agree."""
    if stack.series_instance_uid == other.series_instance_uid:
        return 0
    direction = geometry.normal(stack.orientation_lps)
    mine, theirs = stack.positions_lps @ direction, other.positions_lps @ direction
    low, high = float(mine[0] - theirs[0]), float(theirs[-1] - mine[-1])
    for beyond, rest in ((low, high), (high, low)):
        count = round(beyond / stack.spacing_mm)
        is_on_lattice = abs(beyond - count * stack.spacing_mm) <= SAME_PLACE_MM
        if abs(rest) <= SAME_PLACE_MM and is_on_lattice and 1 <= count <= MAX_LOST_SLICES:
            return count
    return 0
