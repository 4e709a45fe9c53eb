"""The coarse copy on which landmarks are found: 4 mm cubes, block means.

Enters: a volume (i, j, k) of HU with RAS+ closest axes. Leaves: a `Coarse` grid of 4 mm and the way back to the
volume's voxels. Refuses: a volume too small to hold anatomy (answers None).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

STEP_MM = 4.0
"""Edge of a coarse voxel: the aorta, a rib and the trachea still show, and a trunk has about a million voxels."""
MIN_EXTENT_MM = (60.0, 60.0, 30.0)
"""A smaller piece shows no landmark: narrower than a neck, or thinner than two vertebrae."""
MAX_LINES_PER_BLOCK = 3
"""Of a block's slices at most so many are read: neighbours add little to a 4 mm mean, and reading costs most."""


@dataclass(frozen=True)
class Coarse:
    """A volume at 4 mm.

    Parameters
    ----------
    hu : (x, y, z) float32, HU
        Index grows to the patient's right, front and head.
    scale : (3,) float64
        Coarse voxels per voxel of the volume, along each axis.
    offset : (3,) float64
        Coarse index of the volume's voxel 0: ``coarse = scale * ijk + offset``.
    shape_ijk : tuple of 3 int
        Of the volume.
    """

    hu: np.ndarray
    scale: np.ndarray
    offset: np.ndarray
    shape_ijk: tuple[int, int, int]

    def edge_to_ijk(self, edge: float, axis: int) -> float:
        """A coarse edge coordinate (voxel n spans n to n + 1) as an edge coordinate of the volume."""
        return float((edge - 0.5 - self.offset[axis]) / self.scale[axis] + 0.5)


def make_coarse(data: np.ndarray, affine_ras: np.ndarray) -> Coarse | None:
    """Shrink a volume to 4 mm cubes.

    Parameters
    ----------
    data : (i, j, k) int16, HU
        RAS+ closest axes; C or Fortran order.
    affine_ras : (4, 4) float64
        Voxel ijk -> mm, RAS. A tilt or a small rotation is not undone: boxes follow the volume's own axes.

    Returns
    -------
    Coarse or None
        None when the volume is not 3-D, has no usable spacing, or is too small.
    """
    if data.ndim != 3 or min(data.shape) < 2:
        return None
    spacing_mm = np.linalg.norm(np.asarray(affine_ras, dtype=np.float64)[:3, :3], axis=0)
    if not np.all(np.isfinite(spacing_mm)) or spacing_mm.min() <= 0:
        return None
    extent_mm = spacing_mm * data.shape
    if np.any(extent_mm < MIN_EXTENT_MM) or np.any(extent_mm > 4000):
        return None
    factors = np.minimum(np.maximum(1, np.rint(STEP_MM / spacing_mm)).astype(int), data.shape)
    means = block_means(data, (int(factors[0]), int(factors[1]), int(factors[2])))
    block_mm = spacing_mm * factors
    n_coarse = np.maximum(2, np.floor(block_mm * means.shape / STEP_MM)).astype(int)
    # the first coarse voxel begins where the first block begins
    ratio = STEP_MM / block_mm
    hu = ndimage.affine_transform(
        means, ratio, offset=0.5 * ratio - 0.5, output_shape=tuple(n_coarse), order=1, mode="nearest"
    )
    scale = spacing_mm / STEP_MM
    i, j, k = data.shape
    return Coarse(hu=hu, scale=scale, offset=0.5 * scale - 0.5, shape_ijk=(i, j, k))


def block_means(
    data: np.ndarray, factors: tuple[int, int, int], *, most_lines: int = MAX_LINES_PER_BLOCK
) -> np.ndarray:
    """Mean of each block of `factors` voxels, float32; of the slowest axis `most_lines` lines per block are read.

    What is left over at the far end, less than a block, is ignored; what is no number counts as air.
    """
    if data.flags.f_contiguous and not data.flags.c_contiguous:
        return block_means(data.T, (factors[2], factors[1], factors[0]), most_lines=most_lines).T
    n0, n1, n2 = (size // factor for size, factor in zip(data.shape, factors, strict=True))
    f0, f1, f2 = factors
    lines = np.unique(np.linspace(0, f0 - 1, min(f0, most_lines)).round().astype(int))
    means = np.empty((n0, n1, n2), dtype=np.float32)
    for block in range(n0):
        slab: np.ndarray = np.zeros((n1 * f1, n2 * f2), dtype=np.int32 if data.dtype.kind in "iu" else np.float32)
        for line in lines:
            slab += data[block * f0 + line, : n1 * f1, : n2 * f2]
        rows = slab.reshape(n1, f1, n2 * f2).sum(axis=1)
        means[block] = rows.reshape(n1, n2, f2).sum(axis=2)
    means /= len(lines) * f1 * f2
    return np.nan_to_num(means, copy=False, nan=-1024.0)
