"""What Hounsfield units look like, and what a histogram that is none looks like.

Enters: a histogram over HU of everything that is not padding. Leaves: nothing when it is plausible, or what is wrong.
Refuses: to judge a volume of a few thousand voxels.

Air is at -1000 and water at 0 by definition; fat lies near -100 and soft tissue at 20 to 80. A rescale that is missing
or was applied twice moves all of them by 1024, away from anything a body holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

HU_BINS = np.arange(-32768, 32768)
"""HU of each bin of a histogram."""

MIN_VOXELS = 10_000
"""Below this a histogram shows nothing: stubs and test patterns pass unjudged."""

AIR_RANGE_HU = (-1150, -850)
SOFT_RANGE_HU = (-200, 300)
FAT_RANGE_HU = (-140, -50)
AIR_OFF_HU = 40
"""Air of real scanners lies within this of -1000; clipped air at -1024 as well."""

GREY_LEVELS = 256


@dataclass(frozen=True)
class Fingerprint:
    """Peaks of a histogram: HU, or None where there is none.

    Parameters
    ----------
    air_hu, soft_hu : float or None
    air_share, soft_share : float
        Share of voxels in the range where the peak is looked for.
    """

    air_hu: float | None
    soft_hu: float | None
    air_share: float
    soft_share: float


def fingerprint(histogram: np.ndarray) -> Fingerprint:
    """Air and soft-tissue peaks of a (65536,) histogram over `HU_BINS`."""
    total = max(int(histogram.sum()), 1)
    air, air_count = _peak(histogram, AIR_RANGE_HU)
    soft, soft_count = _peak(histogram, (-50, 150))
    return Fingerprint(
        air_hu=air if air_count > 0.02 * total else None,
        soft_hu=soft if soft_count > 0.02 * total else None,
        air_share=air_count / total,
        soft_share=_share(histogram, *SOFT_RANGE_HU),
    )


def why_implausible(histogram: np.ndarray) -> str | None:
    """What shows that the values are no HU; None when they may be."""
    if histogram.sum() < MIN_VOXELS:
        return None
    checks = (
        (_share(histogram, 2500, 32767) > 0.05, "more than 5 % of the voxels are above 2500 HU"),
        (_share(histogram, -32768, -1500) > 0.01, "more than 1 % of the voxels are below -1500 HU"),
        (not _has_soft_tissue(histogram), "nothing stands out within -200 to 300 HU, where soft tissue lies"),
        (_looks_unshifted(histogram), "nothing is below -50 HU and there is a peak near 1050: no rescale was applied"),
    )
    return next((detail for is_bad, detail in checks if is_bad), None)


def why_far_above(histogram: np.ndarray) -> str | None:
    """Whether values lie where only negative numbers read as unsigned ones do."""
    if histogram.sum() < MIN_VOXELS or _share(histogram, 20000, 32767) <= 0.005:
        return None
    return "more than 0.5 % of the voxels are above 20000 HU"


def is_decisive(histogram: np.ndarray) -> bool:
    """Whether the histogram proves that its values are HU: air and soft tissue both at their places, both common."""
    marks = fingerprint(histogram)
    return (
        histogram.sum() >= MIN_VOXELS
        and why_implausible(histogram) is None
        and marks.air_hu is not None
        and abs(marks.air_hu + 1000) <= AIR_OFF_HU
        and marks.air_share > 0.05
        and marks.soft_hu is not None
        and marks.soft_share > 0.05
    )


def why_unproven(histogram: np.ndarray) -> str | None:
    """What is missing before values of an unknown kind may be called HU: something as light as air or fat.

    MR, PET and label maps have nothing well below zero, and neither has a CT that was stored without its intercept.
    """
    if histogram.sum() < MIN_VOXELS:
        return "too few voxels to show what their values are"
    if _share(histogram, *AIR_RANGE_HU) > 0.005 or _share(histogram, *FAT_RANGE_HU) > 0.005:
        return None
    return "nothing lies where air or fat would"


def why_shifted(histogram: np.ndarray) -> str | None:
    """What suggests a calibration off by some tens of HU; worth a flag, no more."""
    if histogram.sum() < MIN_VOXELS:
        return None
    marks = fingerprint(histogram)
    if marks.air_hu is not None and marks.air_share > 0.05 and abs(marks.air_hu + 1000) > AIR_OFF_HU:
        return f"air at {marks.air_hu:.0f} HU"
    return None


def why_windowed(histogram: np.ndarray) -> str | None:
    """What shows that a display window was burned into the values (fault E12).

    A window leaves at most 256 equally spaced levels over its whole range with both ends saturated; or, when it was
    written back as HU, a range of less than 1000 HU with both ends saturated. A few levels, or levels here and there,
    are a phantom or a mask, not a window.
    """
    occupied = np.flatnonzero(histogram)
    total = int(histogram.sum())
    if total < MIN_VOXELS or len(occupied) < 16:
        return None
    bottom, top = histogram[occupied[0]] / total, histogram[occupied[-1]] / total
    gaps = np.diff(occupied)
    extent = int(HU_BINS[occupied[-1]] - HU_BINS[occupied[0]])
    near = np.abs(gaps - np.median(gaps)) <= 1
    step = float(gaps[near].mean())
    is_even = float(near.mean()) > 0.8 and extent <= 1.05 * GREY_LEVELS * step
    if len(occupied) <= GREY_LEVELS and is_even and bottom > 0.005 and top > 0.0005:
        return f"{len(occupied)} grey levels, the lowest and highest saturated"
    is_spike = top > 0.0005 and histogram[occupied[-1]] > 3 * histogram[occupied[-4:-1]].max()
    if extent <= 1000 and bottom > 0.01 and (top > 0.01 or is_spike):
        return f"a range of {extent} HU with {bottom:.0%} and {top:.1%} of the voxels at its ends"
    return None


def percentiles(histogram: np.ndarray, shares: tuple[float, ...]) -> tuple[float, ...]:
    """Values below which `shares` (per cent) of the voxels lie; zeros for an empty histogram."""
    cumulative = np.cumsum(histogram)
    total = int(cumulative[-1])
    if total == 0:
        return tuple(0.0 for _ in shares)
    return tuple(float(HU_BINS[np.searchsorted(cumulative, share / 100 * total)]) for share in shares)


def _share(histogram: np.ndarray, low: int, high: int) -> float:
    return float(histogram[low + 32768 : high + 32768 + 1].sum() / max(int(histogram.sum()), 1))


def _peak(histogram: np.ndarray, limits: tuple[int, int], width: int = 15) -> tuple[float, int]:
    """Place of the highest point of the smoothed histogram within `limits`, and the voxels within them."""
    low, high = limits[0] + 32768, limits[1] + 32768 + 1
    part = histogram[low - width : high + width].astype(float)
    smooth = np.convolve(part, np.ones(width) / width, mode="same")[width:-width]
    return float(HU_BINS[low + int(np.argmax(smooth))]), int(histogram[low:high].sum())


def _has_soft_tissue(histogram: np.ndarray) -> bool:
    """Soft tissue is common, or it is rare (a finger in a wide field) and still a peak above the slope from air."""
    share = _share(histogram, *SOFT_RANGE_HU)
    peak = _share(histogram, -150, 150) / 300
    slope = _share(histogram, -700, -300) / 400
    return share >= 0.01 or (share >= 0.001 and peak > 3 * slope)


def _looks_unshifted(histogram: np.ndarray) -> bool:
    """Values from 0 up with soft tissue near 1050: the stored values of a scanner, taken for HU."""
    return _share(histogram, -32768, -50) < 0.001 and _share(histogram, 900, 1150) > 0.05
