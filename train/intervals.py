"""Means with intervals, resampled by patient.

Enters: one number per crop, the patient of each. Leaves: mean and 95 % percentile interval. Refuses: to resample
crops as if those of one patient were independent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

ENDS = ((1 - 0.95) / 2, (1 + 0.95) / 2)
"""Of a 95 % interval."""


def mean_interval(values: np.ndarray, groups: Sequence[Any] | np.ndarray, *, n: int, seed: int) -> dict[str, float]:
    """Mean of `values` with a cluster-bootstrap interval.

    Parameters
    ----------
    values : (m,) float
        One per crop, sentence or batch.
    groups : sequence of m
        What is drawn with replacement: patients, or batches.
    n, seed : int
        Resamples, and their seed.

    Returns
    -------
    dict
        mean, low, high, n, n_groups.
    """
    values = np.asarray(values, dtype=np.float64)
    if not len(values):
        return {"mean": float("nan"), "low": float("nan"), "high": float("nan"), "n": 0, "n_groups": 0}
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.bincount(place, weights=values, minlength=len(names))
    counts = np.bincount(place, minlength=len(names))
    drawn = np.random.default_rng(seed).integers(0, len(names), size=(n, len(names)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, ENDS).tolist()
    return {"mean": float(values.mean()), "low": low, "high": high, "n": len(values), "n_groups": len(names)}


def statistic_interval(
    statistic: Callable[[np.ndarray], float], n_items: int, *, n: int, seed: int
) -> dict[str, float]:
    """`statistic` of all items, and its interval over resampled items; resamples where it is undefined are left out.

    Parameters
    ----------
    statistic : callable
        Takes (m,) item numbers, gives a number or NaN.
    n_items : int
        Items, one per patient.
    """
    rng = np.random.default_rng(seed)
    drawn = [statistic(rng.integers(0, n_items, size=n_items)) for _ in range(n)]
    known = np.asarray([value for value in drawn if value == value])
    low, high = np.quantile(known, ENDS) if len(known) else (np.nan, np.nan)
    return {"mean": float(statistic(np.arange(n_items))), "low": float(low), "high": float(high), "n": n_items}
