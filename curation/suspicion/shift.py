"""Blocks of reports that slipped by a row: the one fault that ruins thousands of pairs at once.

Enters: per row of the source and per offset, how much better the text fits the study of the row that far away than its
own. Leaves: `Shift` with its first and last row. Refuses: to call a few odd rows a block.

Each row's gain is summed along the rows (CUSUM; Page, Biometrika 41, 1954): a block starts where the sum leaves zero
and ends at its peak, once the sum has fallen clearly below that. One pass per offset, linear in the number of rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile

OFFSETS = (-1, 1, -2, 2, -3, 3)
MIN_ROWS = 4
MIN_SUM, MIN_SUM_PER_LOG = 8.0, 2.0
"""A block's sum must exceed the first plus the second times ln(rows): chance sums grow with the number of rows."""
FALL = 10.0
"""A block has ended when the sum lies this far below its peak."""
COST = 0.4
"""Taken off each row's gain, so that rows without evidence extend no block."""
MAX_GAIN = 8.0
INDIFFERENT, MAX_BESIDE = 1.0, 3
"""Rows beside a block whose gain is no larger fit both studies; so many of them at most may belong to it."""


@dataclass(frozen=True)
class Shift:
    """Rows `first` to `last` (places in the sequence, both included) fit the study `offset` rows on.

    The rows from `earliest` to `latest` that lie beside them fit both studies.
    """

    first: int
    last: int
    offset: int
    gain: float
    earliest: int
    latest: int


def find_shifts(n_rows: int, fit: Callable[[int, int], float]) -> list[Shift]:
    """The blocks that slipped, in the order of their rows; where blocks of two offsets overlap, the better one stays.

    Parameters
    ----------
    n_rows : int
    fit : callable (row of the text, row of the study) -> float
        0 where nothing is known.
    """
    own = [fit(row, row) for row in range(n_rows)]
    found: list[Shift] = []
    for offset in OFFSETS:
        gains = [
            max(-MAX_GAIN, min(MAX_GAIN, fit(row, row + offset) - own[row])) if 0 <= row + offset < n_rows else 0.0
            for row in range(n_rows)
        ]
        found += _blocks(gains, offset)
    kept: list[Shift] = []
    for shift in sorted(found, key=lambda one: (-one.gain, one.first, one.offset)):
        if all(shift.last < other.first or shift.first > other.last for other in kept):
            kept.append(shift)
    return sorted(kept, key=lambda one: one.first)


def _blocks(gains: Sequence[float], offset: int) -> list[Shift]:
    blocks: list[Shift] = []
    least = MIN_SUM + MIN_SUM_PER_LOG * math.log(max(2, len(gains)))
    total = peak = 0.0
    first = last = 0
    for row, gain in enumerate([*gains, -FALL - MAX_GAIN]):
        if total <= 0:
            total, peak, first, last = 0.0, 0.0, row, row
        total += gain - COST
        if total > peak:
            peak, last = total, row
        if total <= 0 or total < peak - FALL:
            if peak >= least and last - first + 1 >= MIN_ROWS:
                blocks.append(Shift(first, last, offset, peak, *_reach(gains, first, last)))
            total = 0.0
    return blocks


def _reach(gains: Sequence[float], first: int, last: int) -> tuple[int, int]:
    """The first and last row that may belong to a block."""
    before = takewhile(
        lambda row: abs(gains[row]) <= INDIFFERENT, range(first - 1, max(-1, first - 1 - MAX_BESIDE), -1)
    )
    after = takewhile(
        lambda row: abs(gains[row]) <= INDIFFERENT, range(last + 1, min(len(gains), last + 1 + MAX_BESIDE))
    )
    return first - len(list(before)), last + len(list(after))
