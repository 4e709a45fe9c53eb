"""From the grid of a stack to the grid of a volume.

Enters: a stack's values as they are stored, its grid and the wanted spacing. Leaves: an (i, j, k)
array with its affine. Refuses: to rotate. The axes stay those of the scanner, so that sampling stays separable and an
oblique scan stays sharp; only the shear of a tilted gantry is undone.

The kernel is linear. Where the grid shrinks it is widened by the ratio of the spacings (a triangle), which removes
what the coarser grid cannot carry; where it does not, this is plain linear interpolation. Its weights are corrected to
have their centre of mass exactly at the target, so that a ramp comes through unchanged: the linear-HU oracle of the
tests relies on it, and so does a landmark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from volumes.geometry import SourceGrid
from volumes.pool import threads_pool

SAME_SPACING_MM = 1e-6


@dataclass(frozen=True)
class Resampled:
    """Values on their new grid.

    Parameters
    ----------
    data : (i, j, k) int16, Fortran order
    affine_ras : (4, 4) float64
    outside_fraction : float
        Share of voxels that lie outside of the source grid.
    """

    data: np.ndarray
    affine_ras: np.ndarray
    outside_fraction: float


@dataclass(frozen=True)
class Axis:
    """Weights of one axis: target m is sum over t of weights[m, t] * source[first[m] + t]."""

    first: np.ndarray
    weights: np.ndarray

    @property
    def inside(self) -> float:
        """Share of targets with any weight."""
        return float(np.mean(self.weights.any(axis=1)))


def axis_weights(nodes_mm: np.ndarray, targets_mm: np.ndarray, spacing_mm: float) -> Axis:
    """Weights that sample values at `nodes_mm` at `targets_mm`.

    A target within half a voxel beyond the first or last node takes that node's value; beyond, it has no weights.

    Parameters
    ----------
    nodes_mm : (n,) float64, rising, n >= 2 or a single node
    targets_mm : (m,) float64
    spacing_mm : float
        Distance of the targets: the kernel reaches as far as the larger of this and the local distance of nodes.
    """
    n = len(nodes_mm)
    if n == 1:
        inside = np.abs(targets_mm - nodes_mm[0]) <= spacing_mm
        return Axis(np.zeros(len(targets_mm), np.int64), inside.astype(np.float32)[:, None])
    gaps = np.diff(nodes_mm)
    inside = (targets_mm >= nodes_mm[0] - gaps[0] / 2 - 1e-9) & (targets_mm <= nodes_mm[-1] + gaps[-1] / 2 + 1e-9)
    targets = np.clip(targets_mm, nodes_mm[0], nodes_mm[-1])
    gap = gaps[np.clip(np.searchsorted(nodes_mm, targets, side="right") - 1, 0, n - 2)]
    # near an end the kernel narrows, so that it stays symmetric and the ramp stays a ramp
    reach = np.minimum(targets - nodes_mm[0] + gaps[0], nodes_mm[-1] - targets + gaps[-1])
    half = np.maximum(np.minimum(max(spacing_mm, 0.0), reach), gap)
    first = np.searchsorted(nodes_mm, targets - half, side="right")
    last = np.searchsorted(nodes_mm, targets + half, side="left")
    taps = max(int((last - first).max()), 1)
    first = np.minimum(first, n - taps) if taps <= n else np.zeros_like(first)
    index = first[:, None] + np.arange(taps)[None, :]
    distance = nodes_mm[np.minimum(index, n - 1)] - targets[:, None]
    weights = np.maximum(1.0 - np.abs(distance) / half[:, None], 0.0)
    weights[(weights < 1e-7) | (index >= n)] = 0.0  # rounding at the kernel's foot; taps beyond the last node
    weights = _centred(weights, distance)
    weights[~inside] = 0.0
    return Axis(first.astype(np.int64), weights.astype(np.float32))


def _centred(weights: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Weights times (a + b * distance) with sum 1 and first moment 0."""
    m0 = weights.sum(axis=1)
    m1 = (weights * distance).sum(axis=1)
    m2 = (weights * distance**2).sum(axis=1)
    determinant = m0 * m2 - m1 * m1
    solvable = determinant > 1e-12 * np.maximum(m0 * m2, 1e-300)
    safe = np.where(solvable, determinant, 1.0)
    a = np.where(solvable, m2 / safe, 1.0 / m0)
    b = np.where(solvable, -m1 / safe, 0.0)
    return weights * (a[:, None] + b[:, None] * distance)


def native(data: np.ndarray, grid: SourceGrid) -> Resampled:
    """The stack's own voxels in RAS+ order: no value is changed, a tilted gantry's shear stays in the affine.

    `data` is turned in place.
    """
    if grid.flips[1] or grid.flips[2]:
        from volumes.kernels import turn_planes

        turn_planes(data, grid.flips[1], grid.flips[2])
    return Resampled(_as_ijk(data, grid), grid.affine_ras(), 0.0)


def resample(
    data: np.ndarray,
    grid: SourceGrid,
    spacing_xyz_mm: tuple[float, float, float],
    *,
    fill: int,
    limits: tuple[int, int],
    shift: int = 0,
    threads: int = 1,
) -> Resampled:
    """Sample a stack at `spacing_xyz_mm` along its own, straightened axes.

    The new grid is centred on the source and covers it whole.

    Parameters
    ----------
    data : (slices, rows, columns) int16
        C order; slices in the order of the grid's nodes, rows and columns as stored.
    grid : SourceGrid
    spacing_xyz_mm : tuple of 3 float
        Along the patient axes x, y, z; each goes to the array axis closest to it.
    fill : int
        Value of air, for what lies outside.
    limits : (int, int)
        Results are clipped to these.
    shift : int
        Added to every value of `data` first, the sum clipped to `limits`; 0 for a grid that is not straight.
    threads : int
        The compiled loops hold no interpreter lock.
    """
    spacing = tuple(spacing_xyz_mm[axis] for axis in grid.axes)
    straight = is_straight(grid)
    is_even = np.allclose(np.diff(grid.nodes_mm), grid.spacing_mm[0], atol=1e-6)
    is_same = all(abs(a - b) < SAME_SPACING_MM for a, b in zip(spacing, grid.spacing_mm, strict=True))
    if straight and is_even and is_same:
        return native(_shifted(data, shift, limits), grid)
    if not straight:
        data = _shifted(data, shift, limits)
    slice_targets = _targets(
        grid.nodes_mm[0], grid.nodes_mm[-1], _end_gaps(grid.nodes_mm, grid.spacing_mm[0]), spacing[0]
    )
    z = axis_weights(grid.nodes_mm, slice_targets, spacing[0])
    offsets = grid.offsets_mm[:1] if straight else grid.offsets_mm
    rows, row_targets = _plane_axis(grid, 1, spacing[1], offsets[:, 0])
    columns, column_targets = _plane_axis(grid, 2, spacing[2], offsets[:, 1])
    out = np.empty((len(slice_targets), len(row_targets), len(column_targets)), np.int16)
    sample(data, (float(shift), float(fill)), limits, (z, rows, columns), out, threads)
    affine = np.eye(4)
    firsts = (slice_targets[0], row_targets[0], column_targets[0])
    affine[:3, 3] = grid.origin_ras + sum(
        first * direction for first, direction in zip(firsts, grid.directions_ras, strict=True)
    )
    for array_axis, patient_axis in enumerate(grid.axes):
        affine[:3, patient_axis] = grid.directions_ras[array_axis] * spacing[array_axis]
    return Resampled(_as_ijk(out, grid), affine, 1.0 - _inside_fraction(z, rows, columns))


def is_straight(grid: SourceGrid) -> bool:
    """Whether the slices lie straight above one another."""
    return not np.any(np.abs(grid.offsets_mm - grid.offsets_mm[:1]) > 1e-6)


def _shifted(data: np.ndarray, shift: int, limits: tuple[int, int]) -> np.ndarray:
    if shift == 0 and data.dtype == np.int16:
        return data
    return np.clip(data.astype(np.int32) + shift, *limits).astype(np.int16)


def _inside_fraction(z: Axis, rows: list[Axis], columns: list[Axis]) -> float:
    """Share of target voxels to which any source voxel contributes."""
    row_inside = np.stack([axis.weights.any(axis=1) for axis in rows])
    column_inside = np.stack([axis.weights.any(axis=1) for axis in columns])
    if len(rows) == 1:
        return z.inside * float(row_inside.mean()) * float(column_inside.mean())
    total = 0.0
    for first, weights in zip(z.first, z.weights, strict=True):
        slices = first + np.flatnonzero(weights)
        planes = row_inside[slices][:, :, None] & column_inside[slices][:, None, :]
        total += float(planes.any(axis=0).mean()) if len(slices) else 0.0
    return total / len(z.first)


def _targets(start_mm: float, stop_mm: float, gaps_mm: tuple[float, float], spacing_mm: float) -> np.ndarray:
    """Centres of voxels of `spacing_mm` that cover all source voxels, centred on them."""
    low, high = start_mm - gaps_mm[0] / 2, stop_mm + gaps_mm[1] / 2
    count = max(int(np.ceil((high - low) / spacing_mm - 1e-6)), 1)
    first = (low + high) / 2 - (count - 1) / 2 * spacing_mm
    return first + np.arange(count) * spacing_mm


def _end_gaps(nodes_mm: np.ndarray, spacing_mm: float) -> tuple[float, float]:
    if len(nodes_mm) < 2:
        return spacing_mm, spacing_mm
    return float(nodes_mm[1] - nodes_mm[0]), float(nodes_mm[-1] - nodes_mm[-2])


def _plane_axis(grid: SourceGrid, axis: int, target_mm: float, offsets_mm: np.ndarray) -> tuple[list[Axis], np.ndarray]:
    """Weights of an in-plane axis for every distinct offset of a slice, and the common targets."""
    count, source_mm = grid.shape[axis], grid.spacing_mm[axis]
    nodes = np.arange(count) * source_mm
    targets = _targets(offsets_mm.min(), nodes[-1] + offsets_mm.max(), (source_mm, source_mm), target_mm)
    axes = [axis_weights(nodes, targets - offset, target_mm) for offset in offsets_mm]
    return [_reversed(one, count) for one in axes] if grid.flips[axis] else axes, targets


def _reversed(axis: Axis, count: int) -> Axis:
    """The same weights on values that are stored the other way round."""
    taps = axis.weights.shape[1]
    return Axis(count - taps - axis.first, np.ascontiguousarray(axis.weights[:, ::-1]))


def sample(
    data: np.ndarray,
    shift_and_fill: tuple[float, float],
    limits: tuple[int, int],
    axes: tuple[Axis, list[Axis], list[Axis]],
    out: np.ndarray,
    threads: int,
) -> None:
    """Fill `out` from `data` by the weights of its three axes; one set of rows and columns, or one for each slice."""
    from volumes.kernels import resample_sheared, resample_straight  # numba starts here, not at import

    z, rows, columns = axes
    shift, fill = shift_and_fill
    work: tuple[Any, ...] = (fill, np.array(limits, np.float32), z.first, z.weights)
    if len(rows) == 1:
        kernel = resample_straight
        kind = np.iinfo(data.dtype)
        codes = np.clip(np.array(limits) - int(shift), kind.min, kind.max).astype(data.dtype)
        work = (data, codes, shift, *work)
        work += (rows[0].first, rows[0].weights, columns[0].first, columns[0].weights, out)
    else:
        kernel = resample_sheared
        work = (data, *work)
        work += (*_stacked(rows), *_stacked(columns), out)
    parts = np.linspace(0, len(out), max(threads, 1) + 1).astype(int)
    if threads <= 1:
        kernel(*work, 0, len(out))
        return
    list(threads_pool(threads).map(lambda begin, end: kernel(*work, begin, end), parts[:-1], parts[1:]))


def _stacked(axes: list[Axis]) -> tuple[np.ndarray, np.ndarray]:
    """Weights of all slices in one array, padded with zeros to the widest; first taps moved so that none overruns."""
    taps = max(axis.weights.shape[1] for axis in axes)
    weights = np.zeros((len(axes), len(axes[0].first), taps), np.float32)
    first = np.stack([axis.first for axis in axes])
    for number, axis in enumerate(axes):
        weights[number, :, : axis.weights.shape[1]] = axis.weights
    return first, weights


def _as_ijk(data: np.ndarray, grid: SourceGrid) -> np.ndarray:
    """(slices, rows, columns) -> (i, j, k) in Fortran order; for axial stacks this is a view."""
    return np.asfortranarray(data.transpose(tuple(int(a) for a in np.argsort(grid.axes))))
