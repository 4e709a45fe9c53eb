"""The body on the coarse copy: without table and air around it, its lean inside, its gas.

Enters: coarse HU. Leaves: masks. Refuses: nothing; an empty mask says that there is no body.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from curation.align.coarse import STEP_MM

TISSUE_HU = -300.0
"""Above: tissue, even mixed with air in a 4 mm voxel. Lung and gas lie below."""
LEAN_HU = -25.0
"""Above: muscle and organs; below: fat (-120 to -60)."""
GAS_HU = -500.0
"""Below: lung or bowel gas; -500 keeps partial volume at the diaphragm out."""
ROOM_AIR_HU = -940.0
"""Air outside the body; inflated lung is denser, emphysema seldom reaches the border of the field of view."""
MIN_BODY_VOXELS = 500
"""32 ml: less is no body."""

IN_PLANE = np.zeros((3, 3, 3), dtype=bool)
IN_PLANE[:, 1, 1] = IN_PLANE[1, :, 1] = True
"""Axial neighbours only: what is closed in an axial slice counts as inside, whatever happens at the scan's ends."""
CUBE = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True)
class Body:
    """Masks (x, y, z) of the coarse grid.

    Parameters
    ----------
    inside : bool
        Body with all that it encloses, table removed.
    gas : bool
        Lung and gas inside the body.
    lean : bool
        Body without the fat under the skin, holes filled: muscle wall and all within.
    """

    inside: np.ndarray
    gas: np.ndarray
    lean: np.ndarray


def find_body(hu: np.ndarray) -> Body | None:
    """Separate the body from table, arms that lie apart, and air; None where there is none."""
    outside = _connected_to_border(hu < GAS_HU, seed=hu < ROOM_AIR_HU)
    tissue = ~outside & (hu > TISSUE_HU)
    # tables and blankets are shells; 8 mm of opening removes them and cuts what touches the back
    core = ndimage.binary_erosion(tissue | enclosed(tissue), IN_PLANE, iterations=2, border_value=1)
    core = largest_component(core)
    if np.count_nonzero(core) < MIN_BODY_VOXELS:
        return None
    solid = ndimage.binary_dilation(core, IN_PLANE, iterations=3) & tissue
    gas_at_border = (hu < TISSUE_HU) & ~outside
    inside = solid | enclosed(solid) | (gas_at_border & _between(solid))
    gas = inside & (hu < GAS_HU)
    lean_parts = largest_component(ndimage.binary_opening(inside & (hu > LEAN_HU), IN_PLANE))
    lean = _between(lean_parts, both=True) & inside
    return Body(inside=inside, gas=gas, lean=lean)


def largest_component(mask: np.ndarray) -> np.ndarray:
    """The component with the most voxels, face neighbours; an empty mask stays empty."""
    labels, n_labels = ndimage.label(mask)
    if n_labels <= 1:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == int(sizes.argmax())


def component_table(mask: np.ndarray, structure: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Labels of the components of `mask` and their sizes in voxels, index 0 being background with size 0."""
    labels, _ = ndimage.label(mask, structure)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels, sizes


def litres(n_voxels: float) -> float:
    """Volume of so many coarse voxels."""
    return float(n_voxels) * STEP_MM**3 / 1e6


def section_frame(lean: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Per slice: centre and half width along x, rear and front along y, of the lean section; gaps interpolated."""
    n_z = lean.shape[2]
    frame = np.full((4, n_z), np.nan)
    wide, deep = lean.sum(axis=1), lean.sum(axis=0)  # (x, z), (y, z)
    for z in range(n_z):
        xs, ys = np.flatnonzero(wide[:, z] > 2), np.flatnonzero(deep[:, z] > 4)
        if len(xs) > 5 and len(ys) > 5:
            weight = wide[xs, z] / wide[xs, z].sum()
            frame[:, z] = float((xs * weight).sum()), (xs[-1] - xs[0]) / 2, ys[0], ys[-1]
    known = ~np.isnan(frame[0])
    if not known.any():
        frame[:] = np.array([lean.shape[0] / 2, lean.shape[0] / 2, 0, lean.shape[1]])[:, None]
        return frame[0], frame[1], frame[2], frame[3]
    slices = np.arange(n_z)
    filled = [np.interp(slices, slices[known], row[known]) for row in frame]
    return filled[0], filled[1], filled[2], filled[3]


def enclosed(mask: np.ndarray) -> np.ndarray:
    """What `mask` encloses in axial slices."""
    labels, n_labels = ndimage.label(~mask, IN_PLANE)
    open_labels = np.zeros(n_labels + 1, dtype=bool)
    for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        open_labels[np.unique(side)] = True
    open_labels[0] = True
    return ~open_labels[labels]


def _connected_to_border(mask: np.ndarray, *, seed: np.ndarray) -> np.ndarray:
    """Parts of `mask` (axial neighbours) that hold a voxel of `seed` on the border of their slice."""
    labels, n_labels = ndimage.label(mask, IN_PLANE)
    reached = np.zeros(n_labels + 1, dtype=bool)
    border = np.zeros(mask.shape[:2], dtype=bool)
    border[[0, -1], :] = border[:, [0, -1]] = True
    reached[np.unique(labels[seed & border[:, :, None]])] = True
    reached[0] = False
    return reached[labels]


def _between(solid: np.ndarray, *, both: bool = False) -> np.ndarray:
    """Voxels with tissue before and behind along y, and on one side (or `both`) along x, in their axial slice."""
    from_left = np.maximum.accumulate(solid, axis=0)
    from_right = np.maximum.accumulate(solid[::-1], axis=0)[::-1]
    from_back = np.maximum.accumulate(solid, axis=1)
    from_front = np.maximum.accumulate(solid[:, ::-1], axis=1)[:, ::-1]
    sideways = (from_left & from_right) if both else (from_left | from_right)
    return sideways & from_back & from_front
