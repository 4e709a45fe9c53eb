"""What the stored values of a CT are in Hounsfield units.

Enters: the counts of the stored codes. Leaves: a `Reading` (a table from codes to HU, and which codes are padding) with
what had to be put right. Refuses: to believe a header that the values contradict, or to repair without evidence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from t3dkit.verdict import Repair
from volumes import fingerprint
from volumes.codes import N_CODES, Rescale, Tally, code_values
from volumes.errors import IntensityError
from volumes.reasons import DropReason, Flag, RepairCode
from volumes.records import Instance

PADDING_BELOW_HU = -1100
"""An undeclared constant below this, in the corners of the slices, is padding: air is at -1000."""

MIN_PADDING_VOXELS = 100


@dataclass(frozen=True)
class Reading:
    """One way to read a `Tally`: per rescale, HU of each code and which codes are padding."""

    tables: dict[Rescale, np.ndarray]  # (65536,) float64
    padding: dict[Rescale, np.ndarray]  # (65536,) bool

    def histogram(self, tally: Tally) -> np.ndarray:
        """Counts over HU of what is not padding: (65536,) int64."""
        total = np.zeros(N_CODES, np.int64)
        for rescale, counts in tally.counts.items():
            hu = np.clip(np.rint(self.tables[rescale]), -32768, 32767).astype(np.int64) + 32768
            total += np.bincount(hu, np.where(self.padding[rescale], 0, counts), N_CODES).astype(np.int64)
        return total


def decide(tally: Tally, head: Instance) -> tuple[Reading, list[Repair]]:
    """How the codes of a CT stack are to be read, and what was put right for it.

    Raises
    ------
    IntensityError
        BLANK, HU_SLOPE, HU_UNKNOWN, HU_SIGN, HU_IMPLAUSIBLE, WINDOWED.
    """
    _require_slopes(tally)
    repairs: list[Repair] = []
    reading = _reading(tally)
    if not _varies(tally, reading):
        raise IntensityError(DropReason.BLANK, "one value everywhere")
    if any(_is_rescale_missing(rescale) for rescale in tally.counts):
        reading, repair = _assume_rescale(tally, head)
        repairs.append(repair)
    elif len({(item.slope, item.intercept, item.lut) for item in tally.counts}) > 1:
        repairs.append(Repair(RepairCode.RESCALE_PER_SLICE, f"{len(tally.counts)} different"))
    if any(rescale.lut for rescale in tally.counts):
        repairs.append(Repair(RepairCode.MODALITY_LUT))
    reading, undeclared = _undeclared_padding(tally, reading)
    problem = _sign_conflict(tally, head, reading)
    is_sign = problem is not None
    problem = problem or fingerprint.why_implausible(reading.histogram(tally))
    if problem is not None:
        reading, repair = _reread(tally, head, problem, is_sign=is_sign)
        repairs.append(repair)
        reading, undeclared = _undeclared_padding(tally, reading)
    histogram = reading.histogram(tally)
    windowed = fingerprint.why_windowed(histogram)
    if windowed is not None:
        raise IntensityError(DropReason.WINDOWED, windowed)
    shifted = fingerprint.why_shifted(histogram)
    flags = [Repair(Flag.HU_SHIFT, shifted)] if shifted is not None else []
    return reading, [*repairs, *undeclared, *flags]


def _varies(tally: Tally, reading: Reading) -> bool:
    """Whether there is more than one value that is not padding; asked of codes, since HU may all be out of range."""
    values = [
        reading.tables[rescale][(counts > 0) & ~reading.padding[rescale]] for rescale, counts in tally.counts.items()
    ]
    return len(np.unique(np.concatenate(values))) > 1


def _require_slopes(tally: Tally) -> None:
    for rescale in tally.counts:
        if rescale.lut is not None or _is_rescale_missing(rescale):
            continue
        slope, intercept = rescale.slope, rescale.intercept
        if not (np.isfinite(slope) and np.isfinite(intercept) and slope > 0):  # type: ignore[operator, arg-type]
            raise IntensityError(DropReason.HU_SLOPE, f"RescaleSlope {slope}, RescaleIntercept {intercept}")


def _is_rescale_missing(rescale: Rescale) -> bool:
    return rescale.lut is None and (rescale.slope is None or rescale.intercept is None)


def _reading(
    tally: Tally,
    *,
    intercept: float | None = None,
    is_signed: bool | None = None,
    wrap_bits: int | None = None,
    lut: Callable[[np.ndarray], np.ndarray] = lambda output: output,
) -> Reading:
    """Read as the header says, except for what is overridden; `lut` changes what a modality LUT puts out."""
    tables, padding = {}, {}
    for rescale in tally.counts:
        values = code_values(rescale.is_signed if is_signed is None else is_signed, wrap_bits=wrap_bits)
        if rescale.lut is not None:
            table = lut(rescale.lut.apply(values))
        else:
            offset = intercept if intercept is not None else rescale.intercept
            table = values * (1.0 if rescale.slope is None else rescale.slope) + (0.0 if offset is None else offset)
        tables[rescale] = table
        padding[rescale] = _declared_padding(tally, rescale, code_values(rescale.is_signed), table)
    return Reading(tables, padding)


def _declared_padding(tally: Tally, rescale: Rescale, values: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Which codes are declared padding and may be believed.

    A padding value that is also a tissue's (0 with an intercept of 0 is water) is believed only when it fills the
    corners, and a range that reaches into the body never is.
    """
    mask = np.zeros(N_CODES, bool)
    if rescale.padding is None:
        return mask
    mask = (values >= rescale.padding[0]) & (values <= rescale.padding[1])
    is_air = table <= -900
    if not np.all(is_air[mask]):
        mask &= is_air | np.isin(np.arange(N_CODES), corner_constant(tally))
    return mask


def corner_constant(tally: Tally) -> np.ndarray:
    """The code that fills all corners of all slices, if one does."""
    values = np.unique(tally.corners)
    return values if len(values) == 1 else values[:0]


def _assume_rescale(tally: Tally, head: Instance) -> tuple[Reading, Repair]:
    """Find the intercept that puts air and soft tissue where they belong; only one may (fault E01)."""
    is_original = not head.image_type or head.image_type[0].upper() == "ORIGINAL"
    if is_original:
        for intercept in (0.0, -1024.0):
            reading = _reading(tally, intercept=intercept)
            reading, _ = _undeclared_padding(tally, reading)
            if fingerprint.is_decisive(reading.histogram(tally)):
                return reading, Repair(RepairCode.RESCALE_ASSUMED, f"slope 1, intercept {intercept:g}")
    raise IntensityError(DropReason.HU_UNKNOWN, "RescaleSlope or RescaleIntercept is absent")


def _sign_conflict(tally: Tally, head: Instance, reading: Reading) -> str | None:
    """What shows that the sign is wrong (fault E04); None when nothing does.

    Declared unsigned, values are negative: they come out above 20000 HU. Declared signed with 12 bits, values are
    unsigned: bone and metal come out far below any air, since their top bit was taken for a sign.
    """
    above = fingerprint.why_far_above(reading.histogram(tally))
    if above is not None and not all(rescale.is_signed for rescale in tally.counts):
        return above
    bits = head.bits_stored or 16
    if bits >= 16 or not all(rescale.is_signed for rescale in tally.counts):
        return None
    histogram = reading.histogram(tally)
    low = histogram[: -2000 + 32768]
    if np.count_nonzero(low) >= 8 and low.sum() > 1e-5 * histogram.sum():
        return f"signed {bits}-bit values far below air"
    return None


def _reread(tally: Tally, head: Instance, problem: str, *, is_sign: bool) -> tuple[Reading, Repair]:
    """Another sign or word length that makes plausible what was not; the header's rescale stays.

    Raises
    ------
    IntensityError
        HU_SIGN when the sign is at fault but no reading is plausible; HU_IMPLAUSIBLE otherwise.
    """
    bits = head.bits_stored or 16
    declared_signed = all(rescale.is_signed for rescale in tally.counts)
    candidates: list[tuple[Reading, Repair]] = []
    if all(rescale.lut is not None for rescale in tally.counts):
        candidates = _lut_readings(tally)
    elif not declared_signed:
        detail = "declared unsigned, values are signed"
        candidates.append((_reading(tally, is_signed=True), Repair(RepairCode.PIXREP, detail)))
        if bits == 12:
            detail = "values from 2048 up are negative"
            candidates.append((_reading(tally, wrap_bits=12), Repair(RepairCode.WRAP_12BIT, detail)))
    else:
        candidates.append((_unsigned(tally, bits), Repair(RepairCode.PIXREP, "declared signed, values are unsigned")))
    for reading, repair in candidates:
        read, _ = _undeclared_padding(tally, reading)
        histogram = read.histogram(tally)
        if fingerprint.why_implausible(histogram) is None and not np.count_nonzero(histogram[: -2000 + 32768]) > 8:
            return reading, repair
    raise IntensityError(DropReason.HU_SIGN if is_sign else DropReason.HU_IMPLAUSIBLE, problem)


def _lut_readings(tally: Tally) -> list[tuple[Reading, Repair]]:
    """A modality LUT puts out unsigned words (PS3.3 C.11.1.1), so HU below 0 are either folded or shifted."""
    signed = _reading(tally, lut=lambda output: np.where(output >= N_CODES // 2, output - N_CODES, output))
    shifted = _reading(tally, lut=lambda output: output - 1024)
    return [
        (signed, Repair(RepairCode.PIXREP, "values of the modality LUT are signed")),
        (shifted, Repair(RepairCode.RESCALE_ASSUMED, "values of the modality LUT less 1024")),
    ]


def _unsigned(tally: Tally, bits: int) -> Reading:
    """Read codes as unsigned numbers of `bits` bits: undoes a sign extension."""
    tables, padding = {}, {}
    values = np.arange(N_CODES, dtype=float) % (1 << bits)
    for rescale in tally.counts:
        table = values * (rescale.slope or 1.0) + (rescale.intercept or 0.0)
        tables[rescale] = table
        padding[rescale] = _declared_padding(tally, rescale, code_values(rescale.is_signed), table)
    return Reading(tables, padding)


def _undeclared_padding(tally: Tally, reading: Reading) -> tuple[Reading, list[Repair]]:
    """A constant far below air that fills the corners is padding, declared or not (fault E07).

    A constant that is *not* below air (0 HU, say) may occur in the body too: `volumes.intensity` cuts it away outside
    of the reconstruction circle alone.
    """
    found: dict[Rescale, np.ndarray] = {}
    is_found = False
    for rescale, table in reading.tables.items():
        mask = reading.padding[rescale].copy()
        mine = np.array([item == rescale for item in tally.rescale_of_slice])
        values, counts = np.unique(tally.corners[mine], return_counts=True)
        for code, count in zip(values, counts, strict=True):
            n_voxels = tally.counts[rescale][code]
            if (
                table[code] < PADDING_BELOW_HU
                and not mask[code]
                and count >= 0.5 * counts.sum()
                and n_voxels > MIN_PADDING_VOXELS
            ):
                mask[code] = True
                is_found = True
        found[rescale] = mask
    repairs = [Repair(RepairCode.PADDING_UNDECLARED, "a constant below air in the corners")] if is_found else []
    return Reading(reading.tables, found), repairs
