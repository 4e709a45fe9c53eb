"""Lesions: where they sit, how they look, and what the truth about each of them is.

Enters: a painter that holds a whole person, the findings drawn for the study. Leaves: altered volumes, a lesion label
volume and a `Lesion` per lesion. Refuses to record a lesion that did not come out: truth is what was painted.

Organ labels keep covering a lesion inside their organ, as a radiographer's mask would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from curation.demo import labels
from curation.demo.labels import LESION_NUMBER
from curation.demo.painter import SOFT_MM, Painter, only, rotation_deg
from curation.demo.person import Person

MIN_VOXELS = 3
NOWHERE = (float("nan"),) * 3


class Spot(NamedTuple):
    """A place in the body (mm) and the label found there."""

    at: np.ndarray
    label: int


@dataclass(frozen=True)
class Lesion:
    """One lesion as painted.

    Parameters
    ----------
    kind : str
        A finding of `labels.FINDINGS`.
    region : str
        Region code.
    laterality : str
        left, right, bilateral or empty.
    size_mm : float
        Longest diameter, or depth of a fluid; 0 where a size says nothing.
    centre_lps : tuple of 3 float, mm
        The lesion's voxel nearest to its centroid, patient coordinates.
    words : mapping
        What a reporter sees: type, place, count.
    """

    kind: str
    region: str
    laterality: str
    size_mm: float
    centre_lps: tuple[float, float, float]
    words: Mapping[str, str] = field(default_factory=dict)


class LesionBrush:
    """Paints lesions one after the other and keeps their truth."""

    def __init__(self, painter: Painter, person: Person, rng: np.random.Generator) -> None:
        self.painter, self.person, self.rng = painter, person, rng
        self.mask = np.zeros_like(painter.label)
        self._noted: list[tuple[Lesion, np.ndarray]] = []
        self.scale = np.asarray(person.body.scale)

    # ---- plumbing

    def mm(self, *radii_mm: float) -> np.ndarray:
        """Radii in body mm of a shape that shall measure `radii_mm` in the patient."""
        return np.asarray(radii_mm, dtype=np.float64) / self.scale

    def voxels(self, hosts: Sequence[int], *, margin_slices: int = 4) -> np.ndarray:
        """(n, 3) indices of the voxels with one of the labels `hosts`, ends of the scan aside."""
        inner = self.painter.label[margin_slices : len(self.painter.label) - margin_slices]
        where = np.argwhere(only(hosts)[inner])
        where[:, 0] += margin_slices
        return where

    def spot(
        self,
        hosts: Sequence[int],
        clear_mm: float,
        accept: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> Spot | None:
        """A healthy place whose surroundings within `clear_mm` belong to `hosts`; None where there is none."""
        where = self.voxels(hosts)
        if len(where) == 0:
            return None
        tries = where[self.rng.integers(0, len(where), 300)]
        points = self.painter.coordinates(tries)
        good = self.mask[tuple(tries.T)] == 0
        if accept is not None:
            good &= accept(points)
        table, label, grid = only(hosts), self.painter.label, self.painter.grid
        steps = np.round(clear_mm / np.array([grid.step_mm, grid.pixel_mm, grid.pixel_mm])).astype(int)
        for axis in range(3):
            for sign in (-1, 1):
                moved = tries.copy()
                moved[:, axis] = np.clip(moved[:, axis] + sign * steps[axis], 0, label.shape[axis] - 1)
                good &= table[label[tuple(moved.T)]]
        chosen = np.flatnonzero(good)
        return Spot(points[chosen[0]], int(label[tuple(tries[chosen[0]])])) if len(chosen) else None

    def take(self, kind: str, back_to: Mapping[int, int] | int | None, before: np.ndarray | None = None) -> np.ndarray:
        """Move what carries LESION into the lesion mask, and give its voxels an organ label again.

        `back_to` is that label; with `before` (the label volume before painting) every voxel gets its own back.
        """
        where = np.nonzero(self.painter.label == labels.LESION)
        self.mask[where] = LESION_NUMBER[kind]
        self.painter.label[where] = before[where] if before is not None else (back_to or 0)
        return np.stack(where, axis=1)

    def record(self, kind: str, region: str, laterality: str, size_mm: float, voxels: np.ndarray, **words: str) -> None:
        """Note a lesion; whether it stays is decided by `found`, once everything is painted."""
        self._noted.append((Lesion(kind, region, laterality, float(size_mm), NOWHERE, words), voxels))

    def has(self, kind: str) -> bool:
        """Whether a lesion of this kind was noted before."""
        return any(lesion.kind == kind for lesion, _ in self._noted)

    def found(self) -> tuple[Lesion, ...]:
        """The lesions that can be seen: those of which later ones, or the ends of the scan, left enough."""
        x, y, z = self.painter.grid.axes_mm()
        seen = []
        for lesion, voxels in self._noted:
            left = voxels
            if lesion.kind in LESION_NUMBER:
                left = voxels[self.mask[tuple(voxels.T)] == LESION_NUMBER[lesion.kind]]
            if len(left) < max(MIN_VOXELS, 0.3 * len(voxels)):
                if lesion.kind in LESION_NUMBER:
                    self.mask[tuple(left.T)] = 0
                continue
            k, j, i = left[np.argmin(((left - left.mean(axis=0)) ** 2).sum(axis=1))]
            seen.append(replace(lesion, centre_lps=(float(x[i]), float(y[j]), float(z[k]))))
        return tuple(seen)

    def blob(
        self,
        kind: str,
        at: np.ndarray,
        radii: np.ndarray,
        hu: float,
        hosts: Sequence[int],
        *,
        rough: float = 0.0,
        soft_mm: float = SOFT_MM,
    ) -> np.ndarray:
        """Paint one ellipsoid lesion over `hosts`; returns its voxels."""
        before = self.painter.label.copy()
        turn = rotation_deg(*self.rng.uniform(-40, 40, 3))
        self.painter.ellipsoid(
            at,
            radii,
            hu,
            labels.LESION,
            only=only(hosts),
            rotation=turn,
            phase=float(self.rng.uniform(0, 6)),
            rough=rough,
            soft_mm=soft_mm,
        )
        return self.take(kind, None, before)

    def side(self) -> str:
        """Left or right."""
        return "left" if self.rng.random() < 0.5 else "right"


def side_of(name: str) -> str:
    """left, right or empty, from the end of a region code."""
    return "left" if name.endswith("_left") else ("right" if name.endswith("_right") else "")


def longest_mm(b: LesionBrush, voxels: np.ndarray) -> float:
    """Longest side of the box around `voxels`."""
    if len(voxels) == 0:
        return 0.0
    grid = b.painter.grid
    return float(((np.ptp(voxels, axis=0) + 1) * np.array([grid.step_mm, grid.pixel_mm, grid.pixel_mm])).max())


def depth_mm(b: LesionBrush, voxels: np.ndarray) -> float:
    """Greatest front-to-back run of `voxels` along one line."""
    if len(voxels) == 0:
        return 0.0
    keys = voxels[:, 0] * 100_000 + voxels[:, 2]
    return float(np.unique(keys, return_counts=True)[1].max() * b.painter.grid.pixel_mm)
