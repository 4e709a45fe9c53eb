"""Where slices lie: unit directions, positions along the normal, spacing, tilt, affines.

Enters: positions and orientations in patient coordinates (LPS, mm). Leaves: numbers and small frozen records.
Refuses: to guess a direction, a position or a spacing that the positions do not show.

Everything here is arithmetic on arrays; nothing knows DICOM elements or files.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from volumes.errors import SeriesGeometryError
from volumes.reasons import DropReason
from volumes.records import Stack

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

UNIT_TOLERANCE = 1e-3
"""How far a direction may be from unit length, or two from perpendicular, before the header is not believed."""

POSITION_TOLERANCE_MM = 0.051
"""Scanners that print positions with one decimal are off by 0.05 mm at most."""

FIT_TOLERANCE_MM = 0.08
"""How far such a position may be from the fitted row of slices, which leans a little after the roundings."""

SPACING_TOLERANCE = 0.01
"""Jitter of positions that is still regular, as a share of the spacing."""

TILT_TOLERANCE_DEG = 0.1
"""A step that leans less than this moves a slice of a 500 mm stack by less than a pixel: no tilt."""

PIXEL_SPACING_RANGE_MM = (0.05, 5.0)
"""Outside of this, a pixel spacing of a body scan is a mistake."""

SOLITARY_RUN = 1


@dataclass(frozen=True)
class Spacing:
    """A regular series of positions, fitted by least squares.

    Parameters
    ----------
    step_lps : (3,) float64, mm
        From one slice to the next.
    origin_lps : (3,) float64, mm
        Fitted position of the first slice.
    spacing_mm : float
        Component of the step along the normal.
    residual_mm : float
        Largest distance of a position from its fitted place.
    tilt_deg : float
        Angle between step and normal; 0 when within `TILT_TOLERANCE_DEG`.
    """

    step_lps: np.ndarray
    origin_lps: np.ndarray
    spacing_mm: float
    residual_mm: float
    tilt_deg: float


def unit_orientation(orientation: tuple[float, ...] | np.ndarray | None) -> np.ndarray:
    """ImageOrientationPatient as perpendicular unit vectors.

    Returns
    -------
    (6,) float64, read-only
        Row direction (along which the column index grows), then column direction.

    Raises
    ------
    SeriesGeometryError
        GEOM_NO_ORIENTATION: absent or not six numbers. GEOM_ORIENTATION: not unit, not perpendicular.

    References
    ----------
    DICOM PS3.3 C.7.6.2.1.1: the vectors shall be orthogonal and of unit length.
    """
    if orientation is None or len(orientation) != 6:
        raise SeriesGeometryError(DropReason.GEOM_NO_ORIENTATION, "ImageOrientationPatient is absent")
    return _unit_orientation(tuple(map(float, orientation)))


@lru_cache(maxsize=1024)
def _unit_orientation(orientation: tuple[float, ...]) -> np.ndarray:
    row, column = np.array(orientation).reshape(2, 3)
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if not np.all(np.isfinite(lengths)) or max(abs(length - 1) for length in lengths) > UNIT_TOLERANCE:
        detail = f"lengths of the direction vectors are {lengths[0]:.4g} and {lengths[1]:.4g}, expected 1"
        raise SeriesGeometryError(DropReason.GEOM_ORIENTATION, detail)
    row, column = row / lengths[0], column / lengths[1]
    if abs(row @ column) > UNIT_TOLERANCE:
        detail = f"direction vectors are {np.degrees(np.arccos(row @ column)):.2f} degrees apart, expected 90"
        raise SeriesGeometryError(DropReason.GEOM_ORIENTATION, detail)
    column = column - (row @ column) * row
    unit = np.concatenate([row, column / np.linalg.norm(column)])
    unit.flags.writeable = False  # the slices of a series share it
    return unit


def require_pixel_spacing(spacing_mm: tuple[float, float] | None) -> tuple[float, float]:
    """PixelSpacing (between rows, between columns) when it is believable.

    Raises
    ------
    SeriesGeometryError
        GEOM_SPACING: absent, no number, or outside `PIXEL_SPACING_RANGE_MM`.
    """
    if spacing_mm is None or len(spacing_mm) != 2:
        raise SeriesGeometryError(DropReason.GEOM_SPACING, "PixelSpacing is absent")
    low, high = PIXEL_SPACING_RANGE_MM
    if not all(low <= value <= high for value in spacing_mm):  # also False for NaN
        detail = f"PixelSpacing {spacing_mm[0]:g}, {spacing_mm[1]:g} mm, expected {low:g} to {high:g}"
        raise SeriesGeometryError(DropReason.GEOM_SPACING, detail)
    return float(spacing_mm[0]), float(spacing_mm[1])


def normal(orientation_lps: np.ndarray) -> np.ndarray:
    """Unit stack normal, row direction x column direction: (3,) float64, LPS."""
    return np.cross(orientation_lps[:3], orientation_lps[3:])


def fit_spacing(positions_lps: np.ndarray, normal_lps: np.ndarray) -> Spacing:
    """Fit equally spaced positions to `positions_lps` by least squares.

    The first pair alone would carry the rounding of two positions into every slice of the stack.

    Parameters
    ----------
    positions_lps : (n, 3) float64, mm, LPS
        In order along the normal, n >= 2.
    normal_lps : (3,) float64
    """
    n = len(positions_lps)
    index = np.arange(n) - (n - 1) / 2
    centre = positions_lps.mean(axis=0)
    step = index @ (positions_lps - centre) / (index @ index)
    fitted = centre + index[:, None] * step
    along = float(step @ normal_lps)
    across = float(np.linalg.norm(step - along * normal_lps))
    tilt = float(np.degrees(np.arctan2(across, along)))
    return Spacing(
        step_lps=step,
        origin_lps=fitted[0],
        spacing_mm=along,
        residual_mm=float(np.linalg.norm(positions_lps - fitted, axis=1).max()),
        tilt_deg=tilt if tilt > TILT_TOLERANCE_DEG else 0.0,
    )


def is_regular(spacing: Spacing) -> bool:
    """Whether the fit explains the positions within rounding and jitter."""
    step = abs(spacing.spacing_mm)
    return spacing.residual_mm <= max(min(FIT_TOLERANCE_MM, 0.2 * step), SPACING_TOLERANCE * step)


def step_runs(steps_mm: np.ndarray) -> list[tuple[int, int]]:
    """Runs of equal steps: half-open ranges of indices into `steps_mm`.

    Equal means within rounding of the run's first step, so that a slow drift does not join unlike steps.
    """
    runs: list[tuple[int, int]] = []
    start = 0
    for index in range(1, len(steps_mm) + 1):
        if index == len(steps_mm) or not _same_step(steps_mm[index], steps_mm[start]):
            runs.append((start, index))
            start = index
    return runs


def missing_slices(steps_mm: np.ndarray) -> list[int] | None:
    """How many slices are missing after each slice, when gaps are whole multiples of the usual step.

    Parameters
    ----------
    steps_mm : (n - 1,) float64
        Between neighbours along the normal, all positive.

    Returns
    -------
    list of int or None
        0 where nothing is missing; None when some step is no multiple, or none is missing.
    """
    usual = float(np.median(np.sort(steps_mm)[: max(len(steps_mm) // 2, 1)]))
    multiples = np.rint(steps_mm / usual)
    tolerance = np.maximum(2 * POSITION_TOLERANCE_MM, 2 * SPACING_TOLERANCE * usual * np.maximum(multiples, 1))
    explained = np.abs(steps_mm - multiples * usual) <= tolerance
    if not explained.all() or multiples.min() < 1 or multiples.max() < 2:
        return None
    return [int(multiple) - 1 for multiple in multiples]


def regular_blocks(steps_mm: np.ndarray, *, min_slices: int) -> list[tuple[int, int]] | None:
    """Blocks of equally spaced slices: half-open ranges of slice indices that cover every slice once.

    A lone step between two blocks of *different* spacing is the passage from one to the other (a head scanned with
    4 mm below and 7 mm above). A lone step between two blocks of the same spacing is a gap, and no pattern. The
    slice shared by two adjacent blocks goes to the finer one.

    Returns
    -------
    list of (start, stop) or None
        None when the steps are not made of at least two such blocks.
    """
    runs = step_runs(steps_mm)
    blocks: list[tuple[int, int]] = []
    previous: tuple[int, int] | None = None
    for run in runs:
        if run[1] - run[0] == SOLITARY_RUN:
            continue
        start, stop = run[0], run[1] + 1  # a run of m steps joins m + 1 slices
        if previous is not None:
            if run[0] - previous[1] > SOLITARY_RUN or _same_step(steps_mm[run[0]], steps_mm[previous[0]]):
                return None
            if blocks[-1][1] > start:
                if steps_mm[run[0]] < steps_mm[previous[0]]:
                    blocks[-1] = (blocks[-1][0], start)
                else:
                    start += 1
        blocks.append((start, stop))
        previous = run
    whole = len(blocks) > 1 and blocks[0][0] == 0 and blocks[-1][1] == len(steps_mm) + 1
    return blocks if whole and min(stop - start for start, stop in blocks) >= min_slices else None


def _same_step(one_mm: float, other_mm: float) -> bool:
    return abs(one_mm - other_mm) <= max(2 * POSITION_TOLERANCE_MM, 2 * SPACING_TOLERANCE * other_mm)


@dataclass(frozen=True)
class SourceGrid:
    """The grid of a stack whose three array axes (slice, row, column) were turned to point along R, A or S.

    Parameters
    ----------
    flips : tuple of 3 bool
        Which array axes (slice, row, column) have to be reversed to get there.
    axes : tuple of 3 int
        Patient axis (0 = x, 1 = y, 2 = z) of the array axes slice, row, column, after flipping.
    directions_ras : (3, 3) float64
        Rows: unit vectors of slice normal, row and column axis, after flipping.
    nodes_mm : (n_slices,) float64
        Places of the slices along the turned normal, rising; the first is 0.
    offsets_mm : (n_slices, 2) float64
        In-plane place of each slice's first pixel along the row and column axis, relative to the first slice's.
    spacing_mm : tuple of 3 float
        Along slice normal, row axis, column axis.
    shape : tuple of 3 int
        Slices, rows, columns.
    origin_ras : (3,) float64
        Centre of the first voxel after flipping.
    step_ras : (3,) float64
        From slice to slice, fitted; not along the normal when the gantry was tilted.
    """

    flips: tuple[bool, bool, bool]
    axes: tuple[int, int, int]
    directions_ras: np.ndarray
    nodes_mm: np.ndarray
    offsets_mm: np.ndarray
    spacing_mm: tuple[float, float, float]
    shape: tuple[int, int, int]
    origin_ras: np.ndarray
    step_ras: np.ndarray

    def affine_ras(self) -> np.ndarray:
        """(4, 4) float64: voxel ijk of the turned and transposed array -> mm, RAS; sheared when tilted."""
        affine = np.eye(4)
        columns = (
            self.step_ras,
            self.directions_ras[1] * self.spacing_mm[1],
            self.directions_ras[2] * self.spacing_mm[2],
        )
        for axis, column in zip(self.axes, columns, strict=True):
            affine[:3, axis] = column
        affine[:3, 3] = self.origin_ras
        return affine


def closest_axes(directions: np.ndarray) -> tuple[int, int, int]:
    """Patient axis closest to each of three perpendicular directions (rows), each axis used once.

    Of the six permutations the one with the largest sum of cosines wins; ties go to the first in order.
    """
    best = max(
        itertools.permutations(range(3)), key=lambda p: round(sum(abs(directions[i, p[i]]) for i in range(3)), 9)
    )
    return best[0], best[1], best[2]


def source_grid(stack: Stack) -> SourceGrid:
    """The stack's grid, turned to the closest RAS+ axes; only axis order and direction change, never a position."""
    row_lps, column_lps = stack.orientation_lps[:3], stack.orientation_lps[3:]
    normal_lps = normal(stack.orientation_lps)
    # array axes: slice, row (runs along the column direction), column (runs along the row direction)
    lps = np.stack([normal_lps, column_lps, row_lps])
    axes = closest_axes(lps)
    ras = lps @ LPS_TO_RAS[:3, :3]
    flips = tuple(bool(ras[array_axis, axes[array_axis]] < 0) for array_axis in range(3))
    directions = np.where(np.array(flips)[:, None], -ras, ras)
    n, rows, columns = stack.shape_rcs[2], stack.shape_rcs[0], stack.shape_rcs[1]
    in_plane = (stack.pixel_spacing_mm[0], stack.pixel_spacing_mm[1])
    positions = stack.positions_lps @ LPS_TO_RAS[:3, :3]
    for axis, count, step in ((1, rows, in_plane[0]), (2, columns, in_plane[1])):
        if flips[axis]:  # the first voxel is now the one that was last
            positions = positions + ras[axis] * (count - 1) * step
    if flips[0]:
        positions = positions[::-1]
    fit = fit_spacing(positions, directions[0])
    along = (positions - positions[0]) @ directions[0]
    regular = is_regular(fit)
    across = (positions - positions[0]) @ directions[1:].T
    if regular:  # the fitted grid, not the rounded positions, so that native and resampled volumes agree
        along = np.arange(n) * fit.spacing_mm
        across = np.arange(n)[:, None] * (fit.step_lps @ directions[1:].T)[None, :]
    return SourceGrid(
        flips=(flips[0], flips[1], flips[2]),
        axes=axes,
        directions_ras=directions,
        nodes_mm=along,
        offsets_mm=across,
        spacing_mm=(float(fit.spacing_mm), *in_plane),
        shape=(n, rows, columns),
        origin_ras=fit.origin_lps if regular else positions[0],
        step_ras=fit.step_lps,
    )
