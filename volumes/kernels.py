"""The loops over voxels, compiled.

Enters: contiguous arrays and tables. Leaves: filled arrays. Refuses: to allocate more than a few planes, or to hold
the interpreter lock.

Import this module inside functions: importing numba takes half a second that `--help` need not wait for.
No fast-math: the same input gives the same bits on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np


def _compiled(function: Callable[..., Any]) -> Any:
    """Compile with a cache on disk where one can be written; without one where it cannot (read-only installs)."""
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # "cannot cache function: no locator available for file"
        return numba.njit(nogil=True)(function)


@_compiled
def count_codes(codes: np.ndarray, counts: np.ndarray) -> None:
    """Add how often each 16-bit code occurs in `codes` (1-D uint16) to `counts` (65536 int64)."""
    for index in range(codes.size):
        counts[codes[index]] += 1


@_compiled
def apply_table(codes: np.ndarray, table: np.ndarray, out: np.ndarray) -> None:
    """out[i] = table[codes[i]]; `codes` (1-D uint16) and `out` (1-D int16) may share memory."""
    for index in range(codes.size):
        out[index] = table[codes[index]]


@_compiled
def resample_planes(
    source: np.ndarray,
    fill: float,
    limits: np.ndarray,
    z_first: np.ndarray,
    z_weights: np.ndarray,
    y_first: np.ndarray,
    y_weights: np.ndarray,
    x_first: np.ndarray,
    x_weights: np.ndarray,
    out: np.ndarray,
    begin: int,
    end: int,
) -> None:
    """Fill output planes `begin` .. `end` of a separable resampling.

    Source planes are resampled in their own plane once, into a ring of as many planes as the kernel along z spans, and
    combined from there: memory is a few output planes, whatever the series.

    Parameters
    ----------
    source : (z, y, x) int16
    fill : float
        Where all weights of an axis are zero, this value comes out.
    limits : (2,) float32
        Results are clipped to these.
    z_first : (zo,) int64, z_weights : (zo, t) float32
        First source plane and weights of each output plane.
    y_first, x_first : (1 or z, yo or xo) int64, with weights (1 or z, yo or xo, t) float32
        The same within a plane; one set for all planes, or one per source plane when a tilted gantry shifts them.
    out : (zo, yo, xo) int16
    """
    n_z, n_y, n_x = source.shape
    n_yo, n_xo = out.shape[1], out.shape[2]
    taps_z, taps_y, taps_x = z_weights.shape[1], y_weights.shape[2], x_weights.shape[2]
    offset = np.float32(fill)
    low, high = limits[0] - offset, limits[1] - offset
    ring = np.empty((taps_z, n_yo, n_xo), np.float32)
    held = np.full(taps_z, -1, np.int64)
    row = np.empty(n_x, np.float32)
    total = np.empty((n_yo, n_xo), np.float32)
    for zo in range(begin, end):
        total[:, :] = 0.0
        for tz in range(taps_z):
            z = z_first[zo] + tz
            weight = z_weights[zo, tz]
            if weight == 0.0 or z < 0 or z >= n_z:
                continue
            slot = z % taps_z
            plane = ring[slot]
            if held[slot] != z:
                held[slot] = z
                ty = z if y_first.shape[0] > 1 else 0
                tx = z if x_first.shape[0] > 1 else 0
                for yo in range(n_yo):
                    row[:] = 0.0
                    for t in range(taps_y):
                        y = y_first[ty, yo] + t
                        w = y_weights[ty, yo, t]
                        if w != 0.0 and 0 <= y < n_y:
                            line = source[z, y]
                            for x in range(n_x):
                                row[x] += w * (np.float32(line[x]) - offset)
                    for xo in range(n_xo):
                        value = np.float32(0.0)
                        start = x_first[tx, xo]
                        for t in range(taps_x):
                            w = x_weights[tx, xo, t]
                            if w != 0.0:
                                value += w * row[start + t]
                        plane[yo, xo] = value
            for yo in range(n_yo):
                for xo in range(n_xo):
                    total[yo, xo] += weight * plane[yo, xo]
        for yo in range(n_yo):
            for xo in range(n_xo):
                value = min(max(total[yo, xo], low), high) + offset
                out[zo, yo, xo] = np.int16(np.floor(value + np.float32(0.5)))
