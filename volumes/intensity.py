"""From stored values to Hounsfield units, once.

Enters: a stack. Leaves: one int16 array of HU, with what was repaired. Refuses: values that
do not show what they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from t3dkit.verdict import Repair
from volumes import fingerprint
from volumes.codes import N_CODES, Rescale, Tally, code_values, read_codes
from volumes.errors import IntensityError
from volumes.geometry import SourceGrid
from volumes.hounsfield import Reading, corner_constant, decide
from volumes.reasons import DropReason, RepairCode
from volumes.records import Stack

AIR_HU = -1024

PERCENTILES = (0.5, 5.0, 25.0, 50.0, 75.0, 95.0, 99.5)


@dataclass(frozen=True)
class Intensities:
    """The values of a stack.

    Parameters
    ----------
    data : (slices, rows, columns) int16
        HU for CT, arbitrary units for MR. Slices in the order of the grid's nodes, rows and columns as stored.
    fill : int
        Air: what lies outside.
    shift : int or None
        What is still to be added to each of `data` (which may be uint16), and the sum to be clipped to the HU range,
        as the resampler does it on the way; None where the values are HU already.
    padding_fraction : float
    percentiles : tuple of float
        `PERCENTILES` of the voxels that are not padding.
    repairs : tuple of Repair
    """

    data: np.ndarray
    fill: int
    padding_fraction: float
    percentiles: tuple[float, ...]
    repairs: tuple[Repair, ...]
    shift: int | None = None


def settled(values: Intensities, hu_range: tuple[int, int]) -> Intensities:
    """`values` with no shift pending; changed in place."""
    from volumes.kernels import apply_table

    if values.shift is None:
        return values
    codes = values.data.view(np.uint16)
    hu = code_values(values.data.dtype.kind == "i") + values.shift
    table = np.clip(hu, *hu_range).astype(np.int16)
    data = codes.view(np.int16)
    apply_table(codes.reshape(-1), table, data.reshape(-1))
    return replace(values, data=data, shift=None)


def read_intensities(stack: Stack, grid: SourceGrid, hu_range: tuple[int, int], *, threads: int = 1) -> Intensities:
    """Read the slices of a stack and turn them to HU.

    Raises
    ------
    IntensityError
        HU_SLOPE, HU_UNKNOWN, HU_SIGN, HU_IMPLAUSIBLE, WINDOWED, BLANK, BITS.
    DecodeError
        A slice cannot be decoded: the stack is never shorter than its header says.
    """
    tally = read_codes(stack, grid, threads=threads)
    if stack.head.modality == "CT":
        reading, repairs = decide(tally, stack.head)
        return apply_reading(tally, reading, hu_range, repairs, may_wait=True)
    return _arbitrary(tally)


def apply_reading(
    tally: Tally, reading: Reading, hu_range: tuple[int, int], repairs: list[Repair], *, may_wait: bool = False
) -> Intensities:
    """Turn the codes to HU in place: padding to air, clipped to `hu_range`.

    Where that is one addition for all of them and it `may_wait`, it is left to whoever reads them next.
    """
    from volumes.kernels import apply_table

    low, high = hu_range
    repairs = [*tally.repairs, *repairs]
    histogram = reading.histogram(tally)
    n_voxels = tally.codes.size
    outside = _circle_constant(tally, reading)
    n_padding = sum(int(counts[reading.padding[rescale]].sum()) for rescale, counts in tally.counts.items())
    tables = {}
    for rescale, hu in reading.tables.items():
        hu = np.where(reading.padding[rescale], AIR_HU, hu)
        tables[rescale] = np.rint(np.clip(hu, low, high)).astype(np.int16)
    data = tally.codes.view(np.int16)
    beyond = _beyond_circle(tally.codes.shape[1:]) if outside is not None else None
    n_outside = 0
    shift = _one_shift(tally, tables, hu_range) if may_wait and outside is None else None
    if shift is not None and not tally.rescale_of_slice[0].is_signed:
        data = tally.codes
    for number, rescale in enumerate(tally.rescale_of_slice if shift is None else ()):
        cut = beyond & (tally.codes[number] == outside) if beyond is not None else None
        apply_table(tally.codes[number].reshape(-1), tables[rescale], data[number].reshape(-1))
        if cut is not None:
            n_outside += int(cut.sum())
            data[number][cut] = max(AIR_HU, low)
    if n_padding:
        repairs.append(Repair(RepairCode.PADDING_TO_AIR, f"{n_padding / n_voxels:.1%} of the voxels"))
    if n_outside:
        detail = f"a constant outside of the reconstruction circle, {n_outside / n_voxels:.1%} of the voxels"
        repairs.append(Repair(RepairCode.PADDING_UNDECLARED, detail))
    below, above = int(histogram[: low + 32768].sum()), int(histogram[high + 32768 + 1 :].sum())
    if below or above:
        repairs.append(Repair(RepairCode.CLIPPED, f"{below} voxels below {low}, {above} above {high}"))
    clipped = histogram.copy()
    clipped[low + 32768] += clipped[: low + 32768].sum()
    clipped[high + 32768] += clipped[high + 32768 + 1 :].sum()
    clipped[: low + 32768] = 0
    clipped[high + 32768 + 1 :] = 0
    return Intensities(
        data=data,
        fill=max(AIR_HU, low),
        padding_fraction=(n_padding + n_outside) / n_voxels,
        percentiles=fingerprint.percentiles(clipped, PERCENTILES),
        repairs=tuple(dict.fromkeys(repairs)),
        shift=shift,
    )


def _one_shift(tally: Tally, tables: dict[Rescale, np.ndarray], hu_range: tuple[int, int]) -> int | None:
    """The number that turns every code that occurs into its HU, up to clipping; None where there is none."""
    if len(tables) != 1:
        return None
    ((rescale, table),) = tables.items()
    if rescale.slope != 1 or rescale.intercept is None or rescale.intercept != int(rescale.intercept):
        return None
    occurring = tally.counts[rescale] > 0
    hu = np.clip(code_values(rescale.is_signed) + rescale.intercept, *hu_range)
    return int(rescale.intercept) if np.array_equal(hu[occurring], table[occurring]) else None


def _circle_constant(tally: Tally, reading: Reading) -> int | None:
    """Code of a constant that fills the plane outside of the inscribed circle and is not air, nor padding already."""
    corner = corner_constant(tally)
    if len(corner) != 1 or len(reading.tables) != 1:
        return None
    code = int(corner[0])
    (rescale,) = reading.tables
    hu = reading.tables[rescale][code]
    if reading.padding[rescale][code] or hu <= -900:
        return None
    beyond = _beyond_circle(tally.codes.shape[1:])
    middle = tally.codes[len(tally.codes) // 2]
    inside_edge = middle[~beyond]
    is_constant_outside = bool(beyond.any()) and float(np.mean(middle[beyond] == code)) > 0.98
    # a picture that is this value nearly everywhere is no circle on a background
    return code if is_constant_outside and float(np.mean(inside_edge == code)) < 0.2 else None


def _beyond_circle(shape: tuple[int, ...]) -> np.ndarray:
    rows, columns = shape
    y = np.arange(rows)[:, None] - (rows - 1) / 2
    x = np.arange(columns)[None, :] - (columns - 1) / 2
    return np.hypot(y, x) > min(rows, columns) / 2 + 1


def _arbitrary(tally: Tally) -> Intensities:
    """MR: stored values, brought to one scale when slices differ; no HU, no fingerprint."""
    from volumes.kernels import apply_table

    slopes = [
        item.slope for item in tally.counts if item.slope is not None and np.isfinite(item.slope) and item.slope > 0
    ]
    repairs = list(tally.repairs)
    is_uneven = len({(item.slope, item.intercept) for item in tally.counts}) > 1
    scale = max(slopes) if is_uneven and len(slopes) == len(tally.counts) else None
    if scale is not None:
        repairs.append(Repair(RepairCode.RESCALE_PER_SLICE, f"{len(tally.counts)} different, brought to one scale"))
    tables, histogram = {}, np.zeros(N_CODES, np.int64)
    n_clipped = 0
    for rescale, counts in tally.counts.items():
        values = code_values(rescale.is_signed)
        if scale is not None:
            values = (values * (rescale.slope or 1.0) + (rescale.intercept or 0.0)) / scale
        n_clipped += int(counts[(values > 32767) | (values < -32768)].sum())
        values = np.rint(np.clip(values, -32768, 32767))
        tables[rescale] = values.astype(np.int16)
        histogram += np.bincount(values.astype(np.int64) + 32768, counts, N_CODES).astype(np.int64)
    if np.count_nonzero(histogram) <= 1:
        raise IntensityError(DropReason.BLANK, "one value everywhere")
    if n_clipped:
        repairs.append(Repair(RepairCode.CLIPPED, f"{n_clipped} voxels beyond 16 bits"))
    data = tally.codes.view(np.int16)
    for number, rescale in enumerate(tally.rescale_of_slice):
        apply_table(tally.codes[number].reshape(-1), tables[rescale], data[number].reshape(-1))
    return Intensities(data, 0, 0.0, fingerprint.percentiles(histogram, PERCENTILES), tuple(dict.fromkeys(repairs)))
