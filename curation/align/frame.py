"""A patient's own coordinates: across in half widths, forward in depths, up and down in vertebral levels.

Enters: the landmarks. Leaves: a `Frame` that turns atlas coordinates into coarse voxels. Refuses: a scan without any
landmark along z (answers None).

Levels count vertebrae from above: C1 is 1, C7 7, T1 8, T12 19, L1 20, L5 24, S1 25; a vertebra n spans n - 0.5 to
n + 0.5, and the vertex of the skull is about -6. Two scales share the counting: bones keep their own level, while
organs follow the diaphragm, whose dome is by definition level 17 of the organ scale wherever it stands in breathing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curation.align.body import Body, section_frame
from curation.align.coarse import STEP_MM
from curation.align.skeleton import Skeleton, Spine
from curation.align.thorax import Thorax

LEVEL_VERTEX, LEVEL_SKULL_BASE, LEVEL_APEX, LEVEL_CARINA = -6.0, 1.0, 8.3, 12.4
LEVEL_DOME_RIGHT, LEVEL_DOME_LEFT, LEVEL_RECESS, LEVEL_CREST = 17.0, 17.5, 19.5, 23.4
"""Surface anatomy (Gray's Anatomy, 41st ed.): lung apex at the neck of the first rib, carina at T4/T5 to T5 supine,
domes at T9 to T10 supine, the highest point of the iliac crests at L4 and L4/L5, the costophrenic recess ends at
T12 to L1."""
MM_PER_LEVEL = ((-6.0, 20.0), (1.0, 18.0), (8.0, 23.0), (19.0, 34.0), (24.5, 31.0))
"""From this level on, mm per vertebra with its disc, adult mean (cervical 18, thoracic 23, lumbar 34)."""


@dataclass(frozen=True)
class Scale:
    """Piecewise linear map between levels and coarse z edges.

    Parameters
    ----------
    levels : (n,) float64, increasing
    z : (n,) float64, decreasing
    anchors : tuple of float
        The levels that were seen; the others continue them with adult mean heights.
    """

    levels: np.ndarray
    z: np.ndarray
    anchors: tuple[float, ...]

    def to_z(self, level: float) -> float:
        """Coarse z edge of a level."""
        return float(np.interp(level, self.levels, self.z))

    def to_level(self, z: float) -> float:
        """Level at a coarse z edge."""
        return float(np.interp(-z, -self.z, self.levels))

    def distance(self, level: float) -> float:
        """Levels to the nearest anchor: how far a position is extrapolated."""
        return min(abs(level - anchor) for anchor in self.anchors)


@dataclass(frozen=True)
class Frame:
    """The patient's coordinates on the coarse grid.

    Parameters
    ----------
    bones, organs : Scale
        Levels of the skeleton, and of what moves with the diaphragm.
    middle, front, rear, ahead, half : (z,) float64
        Spine midline x; front of the vertebrae y; rear and front surface of the lean body y; half width of it.
    """

    bones: Scale
    organs: Scale
    middle: np.ndarray
    front: np.ndarray
    rear: np.ndarray
    ahead: np.ndarray
    half: np.ndarray

    def box(
        self,
        across: tuple[float, float],
        forward: tuple[float, float],
        levels: tuple[float, float],
        *,
        scale: str = "organs",
    ) -> np.ndarray:
        """An atlas box as coarse edges.

        Parameters
        ----------
        across : (float, float)
            -1 the patient's left flank, 0 the spine, 1 the right flank.
        forward : (float, float)
            -1 the back, 0 the front of the vertebrae, 1 the front of the body.
        levels : (float, float)
            Upper and lower level.
        scale : str
            bones or organs.

        Returns
        -------
        (3, 2) float64
            Edges along x, y, z; may reach out of the grid.
        """
        ruler: Scale = self.bones if scale == "bones" else self.organs
        high, low = ruler.to_z(levels[0]), ruler.to_z(levels[1])
        first = int(np.clip(low, 0, len(self.middle) - 1))
        last = int(np.clip(np.ceil(high), first + 1, len(self.middle)))
        middle, front, half = (float(line[first:last].mean()) for line in (self.middle, self.front, self.half))
        rear, ahead = float(self.rear[first:last].mean()), float(self.ahead[first:last].mean())
        depths = [front + value * ((ahead - front) if value > 0 else (front - rear)) for value in forward]
        return np.array([[middle + across[0] * half, middle + across[1] * half], depths, [low, high]])


def make_frame(body: Body, thorax: Thorax, skeleton: Skeleton, *, fallback: Scale | None = None) -> Frame | None:
    """Coordinates from the landmarks; None where no level is known and there is no `fallback` scale."""
    bones = make_scale(_bone_anchors(thorax, skeleton))
    organs = make_scale(_organ_anchors(thorax, skeleton))
    if bones is not None and thorax.apex is not None and min(bones.anchors) > LEVEL_DOME_LEFT:
        # from the crest alone thoracic levels are extrapolated far: half of the dome's say is better than none
        between = {level: (z + bones.to_z(level)) / 2 for level, z in _dome_anchor(thorax).items()}
        bones = make_scale({**_bone_anchors(thorax, skeleton), **between})
    bones, organs = bones or organs or fallback, organs or bones or fallback
    if bones is None or organs is None:
        return None
    center, half, rear, ahead = section_frame(body.lean)
    spine: Spine | None = skeleton.spine
    middle = center if spine is None else spine.x
    front = rear + 0.4 * (ahead - rear) if spine is None else spine.front
    return Frame(
        bones=bones,
        organs=organs,
        middle=middle,
        front=front,
        rear=np.minimum(rear, front - 4),
        ahead=np.maximum(ahead, front + 4),
        half=half,
    )


def make_scale(anchors: dict[float, float]) -> Scale | None:
    """Levels through the seen anchors, continued with adult mean heights; anchors out of order are dropped."""
    seen: list[tuple[float, float]] = []
    for level, z in sorted(anchors.items()):
        if not seen or z < seen[-1][1] - 1:
            seen.append((level, z))
    if not seen:
        return None
    grid = np.arange(-8.0, 33.0, 0.25)
    heights = np.interp(grid, *_step_heights())
    mean_z = -np.concatenate([[0.0], np.cumsum(0.25 * heights[:-1])]) / STEP_MM
    levels, places = np.array([pair[0] for pair in seen]), np.array([pair[1] for pair in seen])
    # between anchors the mean heights are stretched, beyond them they are kept
    shift = np.interp(grid, levels, places - np.interp(levels, grid, mean_z))
    result = mean_z + shift
    result = np.minimum.accumulate(result - 1e-6 * np.arange(len(result)))
    return Scale(levels=grid, z=result, anchors=tuple(float(level) for level in levels))


def _step_heights() -> tuple[list[float], list[float]]:
    """`MM_PER_LEVEL` as steps that `numpy.interp` can read."""
    levels: list[float] = []
    heights: list[float] = []
    for (level, height), following in zip(MM_PER_LEVEL, [*MM_PER_LEVEL[1:], (40.0, 0.0)], strict=True):
        levels += [level, following[0] - 1e-3]
        heights += [height, height]
    return levels, heights


def _bone_anchors(thorax: Thorax, skeleton: Skeleton) -> dict[float, float]:
    anchors = _end_anchors(thorax, skeleton)
    if thorax.carina is not None:
        anchors[LEVEL_CARINA] = thorax.carina
    if not anchors:
        return _dome_anchor(thorax)
    return anchors


def _organ_anchors(thorax: Thorax, skeleton: Skeleton) -> dict[float, float]:
    anchors = _end_anchors(thorax, skeleton) | _dome_anchor(thorax)
    if thorax.carina is not None:
        anchors[LEVEL_CARINA] = thorax.carina
    return anchors


def _end_anchors(thorax: Thorax, skeleton: Skeleton) -> dict[float, float]:
    """Anchors that both scales share: skull, lung apex, pelvis; only where they are not cut by the scan's end."""
    n_z = skeleton.bone.shape[2]
    anchors: dict[float, float] = {}
    if skeleton.skull_top is not None and skeleton.skull_top < n_z - 1:
        anchors[LEVEL_VERTEX] = skeleton.skull_top
    if skeleton.skull_bottom is not None and skeleton.skull_bottom > 1:
        anchors[LEVEL_SKULL_BASE - 1.0] = skeleton.skull_bottom
    if thorax.apex is not None and thorax.apex < n_z - 1:
        anchors[LEVEL_APEX] = thorax.apex
    if skeleton.pelvis_top is not None and skeleton.pelvis_top < n_z:
        anchors[LEVEL_CREST] = skeleton.pelvis_top
    return anchors


def _dome_anchor(thorax: Thorax) -> dict[float, float]:
    if thorax.dome_right is not None:
        return {LEVEL_DOME_RIGHT: thorax.dome_right}
    if thorax.dome_left is not None:
        return {LEVEL_DOME_LEFT: thorax.dome_left}
    if thorax.base is not None and thorax.base > 1:
        return {LEVEL_RECESS: thorax.base}
    return {}
