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


def compiled(function: Callable[..., Any]) -> Any:
    """Compile with a cache on disk where one can be written; without one where it cannot (read-only installs)."""
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # "cannot cache function: no locator available for file"
        return numba.njit(nogil=True)(function)


@compiled
def count_codes(codes: np.ndarray, counts: np.ndarray) -> None:
    """Add how often each 16-bit code occurs in `codes` (1-D uint16) to `counts` (65536 int64)."""
    for index in range(codes.size):
        counts[codes[index]] += 1


@compiled
def unpack_segment(packed: Any, words: Any, column: int) -> int:
    """Unpack one RLE segment (1-D uint8) into a column of `words` ((n, k) uint8); bytes written, at most n.

    PS3.5 G.3.2: a length n of 0 .. 127 is followed by n + 1 literal bytes, 129 .. 255 by one byte that repeats
    257 - n times, 128 by nothing.
    """
    n_words, end = words.shape[0], packed.size
    position = written = np.int64(0)
    while position < end and written < n_words:
        length = np.int64(packed[position])
        position += 1
        if length < 128:
            count = min(length + 1, n_words - written, end - position)
            for index in range(count):
                words[written + index, column] = packed[position + index]
            position += length + 1
            written += count
        elif length > 128:
            if position >= end:
                break
            count = min(257 - length, n_words - written)
            value = packed[position]
            for index in range(count):
                words[written + index, column] = value
            position += 1
            written += count
    return int(written)


@compiled
def turn_planes(data: np.ndarray, flip_rows: bool, flip_columns: bool) -> None:
    """Reverse rows, columns or both of every plane of a (z, y, x) array, in place."""
    n_z, n_y, n_x = data.shape
    plane = np.empty((n_y, n_x), data.dtype)
    for z in range(n_z):
        for y in range(n_y):
            source, target = data[z, n_y - 1 - y if flip_rows else y], plane[y]
            if flip_columns:
                for x in range(n_x):
                    target[x] = source[n_x - 1 - x]
            else:
                for x in range(n_x):
                    target[x] = source[x]
        data[z] = plane


@compiled
def apply_table(codes: np.ndarray, table: np.ndarray, out: np.ndarray) -> None:
    """out[i] = table[codes[i]]; `codes` (1-D uint16) and `out` (1-D int16) may share memory."""
    for index in range(codes.size):
        out[index] = table[codes[index]]


@compiled
def _held(code, low, high):  # type: ignore[no-untyped-def]
    """A code held within `low` and `high`; compared as the 16-bit integer that it is, which costs a fourth."""
    return np.float32(min(max(code, low), high))


@compiled
def _mix_slices(source, y, first, begin, end, weights, codes, offset, line):  # type: ignore[no-untyped-def]
    """line = sum over t in [begin, end) of weights[t] * (source[first + t, y] within `codes` + offset)."""
    n, a = line.size, begin
    low, high = codes[0], codes[1]
    if end - begin == 1:
        w0, s0 = weights[a], source[first + a, y]
        all_offset = w0 * offset
        for x in range(n):
            line[x] = w0 * _held(s0[x], low, high) + all_offset
    elif end - begin == 2:
        w0, s0 = weights[a], source[first + a, y]
        w1, s1 = weights[a + 1], source[first + a + 1, y]
        all_offset = (w0 + w1) * offset
        for x in range(n):
            line[x] = w0 * _held(s0[x], low, high) + w1 * _held(s1[x], low, high) + all_offset
    elif end - begin == 3:
        w0, s0 = weights[a], source[first + a, y]
        w1, s1 = weights[a + 1], source[first + a + 1, y]
        w2, s2 = weights[a + 2], source[first + a + 2, y]
        all_offset = (w0 + w1 + w2) * offset
        for x in range(n):
            line[x] = (
                w0 * _held(s0[x], low, high) + w1 * _held(s1[x], low, high) + w2 * _held(s2[x], low, high) + all_offset
            )
    else:
        for x in range(n):
            line[x] = np.float32(0.0)
        for t in range(begin, end):
            w0, s0 = weights[t], source[first + t, y]
            for x in range(n):
                line[x] += w0 * (_held(s0[x], low, high) + offset)


@compiled
def _mix_rows(ring, slots, weights, row):  # type: ignore[no-untyped-def]
    """row = sum over t of weights[t] * ring[slots[t]]; unrolled, so that `row` is written once."""
    n = row.size
    if slots.size == 1:
        w0, r0 = weights[0], ring[slots[0]]
        for x in range(n):
            row[x] = w0 * r0[x]
    elif slots.size == 2:
        w0, r0 = weights[0], ring[slots[0]]
        w1, r1 = weights[1], ring[slots[1]]
        for x in range(n):
            row[x] = w0 * r0[x] + w1 * r1[x]
    elif slots.size == 3:
        w0, r0 = weights[0], ring[slots[0]]
        w1, r1 = weights[1], ring[slots[1]]
        w2, r2 = weights[2], ring[slots[2]]
        for x in range(n):
            row[x] = w0 * r0[x] + w1 * r1[x] + w2 * r2[x]
    elif slots.size == 4:
        w0, r0 = weights[0], ring[slots[0]]
        w1, r1 = weights[1], ring[slots[1]]
        w2, r2 = weights[2], ring[slots[2]]
        w3, r3 = weights[3], ring[slots[3]]
        for x in range(n):
            row[x] = w0 * r0[x] + w1 * r1[x] + w2 * r2[x] + w3 * r3[x]
    elif slots.size == 5:
        w0, r0 = weights[0], ring[slots[0]]
        w1, r1 = weights[1], ring[slots[1]]
        w2, r2 = weights[2], ring[slots[2]]
        w3, r3 = weights[3], ring[slots[3]]
        w4, r4 = weights[4], ring[slots[4]]
        for x in range(n):
            row[x] = w0 * r0[x] + w1 * r1[x] + w2 * r2[x] + w3 * r3[x] + w4 * r4[x]
    else:
        for x in range(n):
            row[x] = np.float32(0.0)
        for t in range(slots.size):
            w0, r0 = weights[t], ring[slots[t]]
            for x in range(n):
                row[x] += w0 * r0[x]


@compiled
def _along_row(row, first, weights, values):  # type: ignore[no-untyped-def]
    """values[x] = sum over t of weights[x, t] * row[first[x] + t]; unrolled for the usual numbers of taps.

    Indexes are unsigned: a signed one is first asked whether it counts from the end, which costs a third of the time.
    """
    n, taps = weights.shape
    if taps == 2:
        for x in range(n):
            f = first[x]
            values[x] = weights[x, 0] * row[f] + weights[x, 1] * row[f + np.uint32(1)]
    elif taps == 3:
        for x in range(n):
            f = first[x]
            values[x] = (
                weights[x, 0] * row[f] + weights[x, 1] * row[f + np.uint32(1)] + weights[x, 2] * row[f + np.uint32(2)]
            )
    elif taps == 4:
        for x in range(n):
            f = first[x]
            values[x] = (
                weights[x, 0] * row[f]
                + weights[x, 1] * row[f + np.uint32(1)]
                + weights[x, 2] * row[f + np.uint32(2)]
                + weights[x, 3] * row[f + np.uint32(3)]
            )
    elif taps == 5:
        for x in range(n):
            f = first[x]
            values[x] = (
                weights[x, 0] * row[f]
                + weights[x, 1] * row[f + np.uint32(1)]
                + weights[x, 2] * row[f + np.uint32(2)]
                + weights[x, 3] * row[f + np.uint32(3)]
                + weights[x, 4] * row[f + np.uint32(4)]
            )
    else:
        for x in range(n):
            f = first[x]
            value = np.float32(0.0)
            for t in range(taps):
                value += weights[x, t] * row[f + np.uint32(t)]
            values[x] = value


@compiled
def resample_straight(
    source: np.ndarray,
    codes: np.ndarray,
    shift: float,
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
    """Fill output planes `begin` .. `end` of a separable resampling whose slices lie straight above one another.

    Slices are mixed first, row by row, then rows, then voxels of a row: what is in work fits the first-level cache,
    and only `source` streams through.

    Parameters
    ----------
    source : (z, y, x) int16 or uint16
    codes : (2,) of the type of `source`
        Source values are held within these.
    shift : float
        Added to every source value afterwards.
    fill : float
        Where all weights of an axis are zero, this value comes out.
    limits : (2,) float32
        Results are held within these.
    z_first, y_first, x_first : (zo,), (yo,), (xo,) int64
        First source index of each target; may lie outside where its weights are zero.
    z_weights, y_weights, x_weights : (zo, tz), (yo, ty), (xo, tx) float32
    out : (zo, yo, xo) int16
    """
    n_z, n_y, n_x = source.shape
    n_yo, n_xo = out.shape[1], out.shape[2]
    taps_z, taps_y, taps_x = z_weights.shape[1], y_weights.shape[1], x_weights.shape[1]
    offset = np.float32(fill)
    low, high = limits[0] - offset, limits[1] - offset
    ring = np.empty((taps_y, n_x), np.float32)
    held = np.empty(taps_y, np.int64)
    slots, used = np.empty(taps_y, np.int64), np.empty(taps_y, np.float32)
    padded = np.zeros(n_x + 2 * taps_x, np.float32)  # zeros at both ends, so that no tap needs a test
    row = padded[taps_x : taps_x + n_x]
    start = np.minimum(np.maximum(x_first + taps_x, 0), n_x + taps_x).astype(np.uint32)
    values = np.empty(n_xo, np.float32)
    for zo in range(begin, end):
        held[:] = -1
        first, a, b = z_first[zo], 0, taps_z
        while a < b and (z_weights[zo, a] == 0.0 or first + a < 0):
            a += 1
        while b > a and (z_weights[zo, b - 1] == 0.0 or first + b > n_z):
            b -= 1
        for yo in range(n_yo):
            n_used = 0
            for t in range(taps_y):
                y, weight = y_first[yo] + t, y_weights[yo, t]
                if weight == 0.0 or y < 0 or y >= n_y:
                    continue
                slot = y % taps_y
                if held[slot] != y:
                    held[slot] = y
                    _mix_slices(source, y, first, a, b, z_weights[zo], codes, np.float32(shift) - offset, ring[slot])
                slots[n_used], used[n_used] = slot, weight
                n_used += 1
            _mix_rows(ring, slots[:n_used], used, row)
            _along_row(padded, start, x_weights, values)
            target = out[zo, yo]
            for x in range(n_xo):
                target[x] = np.int16(np.floor(min(max(values[x], low), high) + offset + np.float32(0.5)))


@compiled
def resample_sheared(
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
    """Fill output planes `begin` .. `end` of a separable resampling whose slices are shifted in their plane.

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
    y_first, x_first : (z, yo or xo) int64, with weights (z, yo or xo, t) float32
        The same within a plane, for each source plane.
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
                for yo in range(n_yo):
                    row[:] = 0.0
                    for t in range(taps_y):
                        y = y_first[z, yo] + t
                        w = y_weights[z, yo, t]
                        if w != 0.0 and 0 <= y < n_y:
                            line = source[z, y]
                            for x in range(n_x):
                                row[x] += w * (np.float32(line[x]) - offset)
                    for xo in range(n_xo):
                        value = np.float32(0.0)
                        start = x_first[z, xo]
                        for t in range(taps_x):
                            w = x_weights[z, xo, t]
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
