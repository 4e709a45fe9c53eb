"""The stored values of a stack, as 16-bit codes with their counts.

Enters: a stack. Leaves: one uint16 array and how often each code occurs. Refuses: values
that do not fit 16 bits, slices of another size than their header says.

Every stored value is one of 65536 codes. What has to be decided about a series (was the rescale left out, is the sign
wrong, which constant is padding) is decided on the counts of the codes (`volumes.hounsfield`), and whatever is decided
is a table from codes to HU that is applied in place (`volumes.intensity`): one pass to read, one pass to convert, two
bytes per voxel.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from t3dkit.verdict import Repair
from volumes import scratch
from volumes.errors import IntensityError
from volumes.geometry import SourceGrid
from volumes.pool import threads_pool
from volumes.reasons import DropReason
from volumes.records import Instance, Stack

if TYPE_CHECKING:
    from volumes.decode import ModalityLut

N_CODES = 65536


@dataclass(frozen=True)
class Rescale:
    """How the codes of a slice are to be read; slices with the same one share a table and a count.

    Parameters
    ----------
    is_signed : bool
    slope, intercept : float or None
    lut : ModalityLut or None
    padding : (int, int) or None
        Lowest and highest stored value that means padding.
    """

    is_signed: bool
    slope: float | None
    intercept: float | None
    lut: ModalityLut | None = None
    padding: tuple[int, int] | None = None


@dataclass
class Tally:
    """The codes of a stack and how often each occurs, per `Rescale`."""

    codes: np.ndarray
    rescale_of_slice: list[Rescale]
    counts: dict[Rescale, np.ndarray]
    corners: np.ndarray  # (slices, 4) codes of the corners
    repairs: list[Repair] = field(default_factory=list)


def read_codes(stack: Stack, grid: SourceGrid, *, threads: int = 1) -> Tally:
    """Stored values of all slices as 16-bit codes, and their counts.

    Slices are in the order of the grid's nodes; rows and columns are as stored (`SourceGrid.flips` says which run
    the other way). `threads` slices are decompressed at a time.
    """
    tally = _read_codes(stack, grid, threads, is_careful=False)
    bits = stack.head.bits_stored or 16
    if _has_stray_bits(tally, bits) and all((item.bits_stored or 16) == bits for item, _ in stack.slices):
        scratch.give_back(tally.codes)
        tally = _read_codes(stack, grid, threads, is_careful=True)
    return tally


def _read_codes(stack: Stack, grid: SourceGrid, threads: int, *, is_careful: bool) -> Tally:
    from volumes.kernels import count_codes

    n, rows, columns = grid.shape
    codes = scratch.take((n, rows, columns))
    tally = Tally(codes, [], {}, np.empty((n, 4), np.uint16))
    repairs: dict[Repair, int] = {}
    target = codes[::-1] if grid.flips[0] else codes
    filled = _fill_with_care(stack.slices, target) if is_careful else _fill(stack, target, threads)
    for number, (rescale, found) in enumerate(filled):
        counts = tally.counts.get(rescale)
        if counts is None:
            counts = tally.counts[rescale] = np.zeros(N_CODES, np.int64)
        plane = target[number]
        count_codes(plane.reshape(-1), counts)
        tally.rescale_of_slice.append(rescale)
        tally.corners[number] = plane[0, 0], plane[0, -1], plane[-1, 0], plane[-1, -1]
        for repair in set(found):
            repairs[repair] = repairs.get(repair, 0) + 1
    if grid.flips[0]:
        tally.rescale_of_slice.reverse()
        tally.corners = tally.corners[::-1]
    tally.repairs = [
        Repair(item.code, "; ".join(filter(None, [item.detail, f"{count} of {n} slices" if count < n else ""])))
        for item, count in sorted(repairs.items(), key=lambda pair: (pair[0].code, pair[0].detail))
    ]
    return tally


def _has_stray_bits(tally: Tally, bits: int) -> bool:
    """Whether some code has bits above the stored ones that are neither 0 nor a copied sign."""
    if bits >= 16:
        return False
    half, whole = 1 << bits - 1, 1 << bits
    return any(
        bool(counts[half : N_CODES - half].any() if rescale.is_signed else counts[whole:].any())
        for rescale, counts in tally.counts.items()
    )


def _fill(stack: Stack, codes: np.ndarray, threads: int) -> Iterator[tuple[Rescale, tuple[Repair, ...]]]:
    """Read the slices into `codes`, one after the other, those that need no care by the short way."""
    from volumes.plain import is_packed, is_plain

    number = 0
    for is_easy, run in itertools.groupby(stack.slices, key=lambda item: is_plain(item[0]) or is_packed(item[0])):
        slices = list(run)
        targets = codes[number : number + len(slices)]
        number += len(slices)
        if not is_easy:
            yield from _fill_with_care(slices, targets)
            continue
        n_threads = threads if is_packed(slices[0][0]) else 1
        answers = _fill_all(slices, targets, n_threads)
        for index, ((instance, frame), repairs) in enumerate(zip(slices, answers, strict=True)):
            if repairs is not None:
                yield _rescale_of(instance), repairs
            else:
                yield from _fill_with_care([(instance, frame)], targets[index : index + 1])


def _fill_all(
    slices: Sequence[tuple[Instance, int]], targets: np.ndarray, threads: int
) -> Iterator[tuple[Repair, ...] | None]:
    """`_fill_easily` for each slice, in their order, `threads` at a time."""
    if threads <= 1:
        for (instance, _), target in zip(slices, targets, strict=True):
            yield _fill_easily(instance, target)
        return
    pool = threads_pool(threads)
    futures = [pool.submit(_fill_easily, item, target) for (item, _), target in zip(slices, targets, strict=True)]
    try:
        for future in futures:
            yield future.result()
    finally:  # one slice failed: the others need not be read
        for future in futures:
            future.cancel()


def _fill_easily(instance: Instance, target: np.ndarray) -> tuple[Repair, ...] | None:
    """Fill `target` with an instance's words; None where that needs care after all."""
    from volumes.plain import is_plain, read_packed, read_plain

    if is_plain(instance):
        return () if read_plain(instance, target) else None
    answer = read_packed(instance)
    is_signed = instance.pixel_representation == 1
    if answer is None or answer[0].dtype.itemsize > 2 or (answer[0].dtype.kind == "i") != is_signed:
        return None
    np.copyto(target, answer[0], casting="unsafe")
    return answer[1]


def _rescale_of(instance: Instance) -> Rescale:
    """How a plain instance's codes are to be read."""
    is_signed = instance.pixel_representation == 1
    padding = _padding(instance.pixel_padding_value, instance.pixel_padding_limit, is_signed)
    return Rescale(is_signed, instance.rescale_slope, instance.rescale_intercept, None, padding)


def _fill_with_care(
    slices: Sequence[tuple[Instance, int]], codes: np.ndarray
) -> Iterator[tuple[Rescale, tuple[Repair, ...]]]:
    from volumes.decode import read_slices

    rows, columns = codes.shape[1:]
    for target, pixels in zip(codes, read_slices(slices), strict=True):
        stored = pixels.stored
        if stored.shape != (rows, columns):
            detail = f"slice is {stored.shape[0]}x{stored.shape[1]}, header says {rows}x{columns}"
            raise IntensityError(DropReason.PIXEL_LENGTH, detail)
        is_signed = _require_16_bits(stored)
        np.copyto(target, stored, casting="unsafe")
        padding = _padding(pixels.padding_value, pixels.padding_limit, is_signed)
        yield Rescale(is_signed, pixels.slope, pixels.intercept, pixels.modality_lut, padding), pixels.repairs


def _require_16_bits(stored: np.ndarray) -> bool:
    """Whether the values are signed; they must fit 16 bits either way."""
    is_signed = stored.dtype.kind == "i"
    if stored.dtype.itemsize > 2:
        low, high = int(stored.min()), int(stored.max())
        is_signed = low < 0 or high <= 32767
        if low < -32768 or high > (32767 if low < 0 else 65535):
            raise IntensityError(DropReason.BITS, f"stored values {low} to {high} do not fit 16 bits")
    return is_signed


def _padding(value: int | None, limit: int | None, is_signed: bool) -> tuple[int, int] | None:
    """Declared padding as a range of stored values, whichever sign the element was written with (PS3.3 C.7.5.1.1.2)."""
    if value is None:
        return None
    ends = sorted(_stored(int(end) & 0xFFFF, is_signed) for end in (value, value if limit is None else limit))
    return ends[0], ends[1]


def _stored(code: int, is_signed: bool) -> int:
    return code - N_CODES if is_signed and code >= N_CODES // 2 else code


def code_values(is_signed: bool, *, wrap_bits: int | None = None) -> np.ndarray:
    """Stored value of each code: (65536,) float64. `wrap_bits` reads codes as signed numbers of fewer bits."""
    values = np.arange(N_CODES, dtype=float)
    if wrap_bits is not None:
        modulus = 1 << wrap_bits
        values = values % modulus
        return np.where(values >= modulus // 2, values - modulus, values)
    return np.where(values >= N_CODES // 2, values - N_CODES, values) if is_signed else values
