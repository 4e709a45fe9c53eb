"""Which of a study's stacks is the one to use, and why.

Enters: stacks. Leaves: the same stacks, best first, each with the reasons for its place. Refuses: to hide a rule: the
score is a sum of the points named in the reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from volumes import classify
from volumes.reasons import Flag
from volumes.records import Stack
from volumes.stacks import plane

SOFT_KERNELS = (
    *("B2", "B3", "B4", "BR3", "BR4", "BF3", "BV", "I2", "I3", "I4", "QR4"),  # Siemens
    *("STANDARD", "SOFT"),  # GE
    *("FC0", "FC1", "FC2"),  # Canon
)
SHARP_KERNELS = (
    *("B6", "B7", "B8", "BL", "BR6", "BR7", "BV6", "I6", "I7", "H6", "H7", "HR6"),  # Siemens
    *("LUNG", "BONE", "EDGE", "DETAIL"),  # GE
    *("FC3", "FC5", "FC8"),  # Canon
    *("YB", "YC", "YD", "YE", "L", "E", "D"),  # Philips
)
"""First letters of ConvolutionKernel, in capitals. Facts from the vendors' DICOM conformance statements and public
series metadata."""

SOFT_LETTERS = ("A", "B", "C")
"""Philips writes one letter; these are its smooth body filters."""


@dataclass(frozen=True)
class Preferences:
    """What makes a stack good; every number is points, added up.

    Parameters
    ----------
    modality : str
        Preferred modality.
    spacing_mm : (float, float)
        Best range of slice spacing.
    min_extent_mm, min_slices
        Below either, a stack is not usable.
    axial, thin, soft_kernel, sharp_kernel, original, lossy, tilted, cropped : float
        Points for each property.
    per_100_mm, extent_cap_mm : float
        Points for coverage, up to a cap, so that a whole body does not outweigh a thick slice.
    """

    modality: str = "CT"
    spacing_mm: tuple[float, float] = (0.5, 3.0)
    min_extent_mm: float = 40.0
    min_slices: int = 8
    axial: float = 40.0
    thin: float = 30.0
    soft_kernel: float = 15.0
    sharp_kernel: float = -10.0
    original: float = 15.0
    lossy: float = -15.0
    tilted: float = -5.0
    cropped: float = -20.0
    per_100_mm: float = 6.0
    extent_cap_mm: float = 700.0


@dataclass(frozen=True)
class Ranked:
    """A stack with its place among its study's.

    Parameters
    ----------
    stack : Stack
    rank : int
        1 is best.
    reasons : tuple of str
        One per rule that gave or took points.
    usable : bool
        False when it should not be chosen even if it is alone.
    """

    stack: Stack
    rank: int
    reasons: tuple[str, ...]
    usable: bool


@dataclass
class _Score:
    points: float = 0.0
    reasons: list[str] = field(default_factory=list)
    is_usable: bool = True

    def add(self, points: float, why: str) -> None:
        self.points += points
        self.reasons.append(f"{points:+.0f} {why}")

    def refuse(self, why: str) -> None:
        self.is_usable = False
        self.reasons.append(f"not usable: {why}")


def rank_stacks(stacks: Sequence[Stack], preferences: Preferences | None = None) -> tuple[Ranked, ...]:
    """Order a study's stacks, best first; usable ones before the others, ties by number of slices and series UID."""
    preferences = preferences or Preferences()
    scored = [(_score(stack, preferences), stack) for stack in stacks]
    scored.sort(
        key=lambda pair: (
            not pair[0].is_usable,
            -round(pair[0].points, 3),
            -len(pair[1].slices),
            pair[1].series_instance_uid,
            pair[1].index,
        )
    )
    return tuple(
        Ranked(stack, rank, tuple(score.reasons), score.is_usable)
        for rank, (score, stack) in enumerate(scored, start=1)
    )


def kernel_kind(kernel: str | None) -> str | None:
    """soft, sharp, or None when the kernel is absent or unknown."""
    if not kernel:
        return None
    name = kernel.strip().upper()
    if name in SOFT_LETTERS:
        return "soft"
    if len(name) == 1:
        return "sharp" if name in SHARP_KERNELS else None
    long_sharp = tuple(start for start in SHARP_KERNELS if len(start) > 1)
    if name.startswith(tuple(start for start in long_sharp if len(start) > 2)):
        return "sharp"
    if name.startswith(SOFT_KERNELS):
        return "soft"
    return "sharp" if name.startswith(long_sharp) else None


def _score(stack: Stack, wanted: Preferences) -> _Score:
    score = _Score()
    head = stack.head
    if head.modality != wanted.modality:
        score.refuse(f"modality {head.modality}, wanted {wanted.modality}")
    n, extent = len(stack.slices), stack.spacing_mm * len(stack.slices)
    if n < wanted.min_slices:
        score.refuse(f"{n} slices, at least {wanted.min_slices} wanted")
    if extent < wanted.min_extent_mm:
        score.refuse(f"{extent:.0f} mm covered, at least {wanted.min_extent_mm:.0f} wanted")
    where = plane(stack)
    score.add(wanted.axial if where == "axial" else 0.0, where)
    score.add(_thinness(stack.spacing_mm, wanted) * wanted.thin, f"spacing {stack.spacing_mm:.2f} mm")
    kind = kernel_kind(head.convolution_kernel)
    if kind:
        score.add(wanted.soft_kernel if kind == "soft" else wanted.sharp_kernel, f"{kind} kernel")
    words = classify.image_type_words(head)
    is_original = not classify.is_derived(head) and "SECONDARY" not in words
    score.add(wanted.original if is_original else 0.0, "original" if is_original else "derived")
    score.add(min(extent, wanted.extent_cap_mm) / 100 * wanted.per_100_mm, f"covers {extent:.0f} mm")
    flags = {repair.code for repair in stack.repairs}
    for flag, points in (
        (Flag.LOSSY, wanted.lossy),
        (Flag.TILTED, wanted.tilted),
        (Flag.POSSIBLY_CROPPED, wanted.cropped),
    ):
        if flag in flags:
            score.add(points, flag.value)
    return score


def _thinness(spacing_mm: float, wanted: Preferences) -> float:
    """1 within the best range, falling to 0 at four times its upper end; very thin slices lose half of it."""
    low, high = wanted.spacing_mm
    if spacing_mm > high:
        return max(0.0, 1 - (spacing_mm - high) / (3 * high))
    return 1.0 if spacing_mm >= low else 0.5 + 0.5 * spacing_mm / low
