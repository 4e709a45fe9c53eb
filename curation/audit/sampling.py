"""A sampling plan: which cases to read so that the share of wrong pairs is known with its interval.

Enters: strata of ids, a seed, a size, the verdicts given so far. Leaves: the sample, the rate, how many more cases a
target width needs. Refuses: to let the order of the data set decide; a larger sample contains the smaller one.

References
----------
E. B. Wilson, JASA 22 (1927) 209, for the interval; for a stratified sample its n is the number of cases of a simple
random sample with the same variance (L. Kish, Survey Sampling, 1965, design effect).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, sqrt

Z = 1.959964
"""Two-sided 95 % of the normal distribution."""


@dataclass(frozen=True)
class Rate:
    """A share with its 95 % interval, of `n_read` cases; `n_effective` of a simple random sample."""

    share: float
    low: float
    high: float
    n_read: int
    n_effective: float

    @property
    def width(self) -> float:
        """Width of the interval."""
        return self.high - self.low


def draw(strata: Mapping[str, Sequence[str]], *, size: int, seed: int) -> dict[str, list[str]]:
    """A stratified random sample: proportional to the strata, at least one of each that is not empty.

    Returns
    -------
    mapping
        Stratum -> ids, in the order in which to read them.
    """
    total = sum(len(ids) for ids in strata.values())
    sample = {}
    for name, ids in strata.items():
        wanted = min(len(ids), max(1, round(size * len(ids) / max(1, total)))) if ids else 0
        sample[name] = sorted(ids, key=lambda one: (_draw(seed, one), one))[:wanted]
    return sample


def wilson(share: float, n: float) -> tuple[float, float]:
    """Low and high end of the 95 % interval of a share seen in `n` cases; 0 to 1 where there is none."""
    if n <= 0:
        return 0.0, 1.0
    scale = 1 + Z**2 / n
    centre = (share + Z**2 / (2 * n)) / scale
    half = Z / scale * sqrt(max(0.0, share * (1 - share) / n + Z**2 / (4 * n**2)))
    return max(0.0, centre - half), min(1.0, centre + half)


def rate(strata: Mapping[str, Sequence[str]], read: Mapping[str, Mapping[str, bool]]) -> Rate:
    """The share of wrong cases over all strata.

    Parameters
    ----------
    strata : mapping
        Stratum -> ids of the whole.
    read : mapping
        Stratum -> id -> whether that case is wrong, of the cases with a verdict.
    """
    seen = {name: cases for name, cases in read.items() if cases}
    total = sum(len(strata[name]) for name in seen)
    if not total:
        return Rate(0.0, 0.0, 1.0, 0, 0.0)
    weight = {name: len(strata[name]) / total for name in seen}
    share_of = {name: sum(cases.values()) / len(cases) for name, cases in seen.items()}
    share = sum(weight[name] * share_of[name] for name in seen)
    n_read = sum(len(cases) for cases in seen.values())
    # A stratum without a wrong case has no variance of its own: the pooled share stands in, which is the careful side.
    spread = sum(
        weight[name] ** 2 * max(share_of[name] * (1 - share_of[name]), share * (1 - share)) / len(cases)
        for name, cases in seen.items()
    )
    balance = 1 / sum(weight[name] ** 2 / len(cases) for name, cases in seen.items())
    n = min(share * (1 - share) / spread if spread > 0 else inf, balance, float(n_read))
    low, high = wilson(share, n)
    return Rate(share, low, high, n_read, n)


def more_needed(current: Rate, *, width: float) -> int:
    """How many more cases bring the interval to `width`, if the share stays as it is; 0 where it is there."""
    if current.width <= width:
        return 0
    efficiency = current.n_effective / current.n_read if current.n_read else 1.0
    share = current.share if current.n_read else 0.5
    low, high = 1, 10_000_000
    while low < high:
        middle = (low + high) // 2
        ends = wilson(share, middle)
        low, high = (low, middle) if ends[1] - ends[0] <= width else (middle + 1, high)
    return max(1, round(low / efficiency) - current.n_read)


def _draw(seed: int, item: str) -> str:
    return hashlib.sha256(f"{seed}\x1f{item}".encode()).hexdigest()
