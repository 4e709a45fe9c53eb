"""From an ideal phantom to what a scanner shows: table, kernel, noise, field of view, reformats, scout.

Enters: HU and labels on the base grid. Leaves: int16 HU volumes on the grids of the study's series.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from curation.demo.painter import GridSpec

AIR_HU = -1000


@dataclass(frozen=True)
class SeriesGrid:
    """The grid of a series: slices, rows, columns.

    Parameters
    ----------
    affine_lps : (4, 4) float64
        Index (column, row, slice) -> mm, LPS.
    shape_kji : tuple of 3 int
    slab_mm : float
        Thickness over which a slice averages.
    """

    affine_lps: np.ndarray
    shape_kji: tuple[int, int, int]
    slab_mm: float

    def position_lps(self, k: int) -> np.ndarray:
        """Centre of the first voxel of slice `k`: ImagePositionPatient."""
        return self.affine_lps[:3, 2] * k + self.affine_lps[:3, 3]

    def slice_of(self, point_lps: tuple[float, float, float]) -> int:
        """The slice that lies nearest to a point."""
        index = np.linalg.solve(self.affine_lps, np.array([*point_lps, 1.0]))
        return int(np.clip(round(index[2]), 0, self.shape_kji[0] - 1))


def base_grid(grid: GridSpec) -> SeriesGrid:
    """The phantom's own grid as a series grid."""
    affine = np.diag([grid.pixel_mm, grid.pixel_mm, grid.step_mm, 1.0])
    affine[:3, 3] = grid.origin_lps
    return SeriesGrid(affine, grid.shape_kji, grid.step_mm)


def thick_grid(grid: GridSpec, step_mm: float) -> SeriesGrid:
    """Axial slices further apart, each averaging over its thickness."""
    n = int((grid.shape_kji[0] - 1) * grid.step_mm // step_mm)
    affine = base_grid(grid).affine_lps.copy()
    affine[2, 2] = step_mm
    affine[2, 3] += step_mm / 2
    return SeriesGrid(affine, (n, *grid.shape_kji[1:]), step_mm)


def tilted_grid(grid: GridSpec, angle_deg: float) -> SeriesGrid:
    """Slices tilted about x while the table moves along z: sheared, as a tilted gantry leaves them."""
    affine = base_grid(grid).affine_lps.copy()
    angle = np.radians(angle_deg)
    affine[:3, 1] = grid.pixel_mm * np.array([0.0, np.cos(angle), np.sin(angle)])
    lift = (grid.shape_kji[1] - 1) / 2 * affine[:3, 1]
    affine[1, 3] += (grid.shape_kji[1] - 1) / 2 * grid.pixel_mm - lift[1]
    affine[2, 3] -= lift[2]
    return SeriesGrid(affine, grid.shape_kji, grid.step_mm)


def coronal_grid(grid: GridSpec, step_mm: float) -> SeriesGrid:
    """Coronal slices from front to back, rows from head to foot, square pixels."""
    k, j, i = grid.shape_kji
    rows = int((k - 1) * grid.step_mm // grid.pixel_mm) + 1
    first, last = 0.16 * j * grid.pixel_mm, 0.84 * j * grid.pixel_mm
    affine = np.zeros((4, 4))
    affine[:3, 0] = (grid.pixel_mm, 0, 0)
    affine[:3, 1] = (0, 0, -grid.pixel_mm)
    affine[:3, 2] = (0, step_mm, 0)
    affine[:, 3] = (grid.origin_lps[0], grid.origin_lps[1] + first, grid.origin_lps[2] + (k - 1) * grid.step_mm, 1)
    return SeriesGrid(affine, (int((last - first) // step_mm), rows, i), step_mm)


def resample(volume: np.ndarray, grid: GridSpec, target: SeriesGrid, *, nearest: bool = False) -> np.ndarray:
    """`volume` ((k, j, i) on `grid`) on another grid, averaged over the slab; int16 HU, or the labels themselves.

    Outside the phantom's grid there is air, or label 0.
    """
    to_index = np.linalg.inv(base_grid(grid).affine_lps) @ target.affine_lps
    normal = to_index[:3, 2] / max(float(np.linalg.norm(target.affine_lps[:3, 2])), 1e-9)
    n_slab = 1 if nearest else max(1, round(target.slab_mm / 2.0))
    offsets = (np.arange(n_slab) - (n_slab - 1) / 2) * (target.slab_mm / n_slab)
    out = np.empty(target.shape_kji, dtype=volume.dtype)
    _resample(volume, to_index, normal, offsets, out, nearest, 0 if nearest else AIR_HU)
    return out


def add_table(hu: np.ndarray, label: np.ndarray, grid: GridSpec, *, style: int) -> None:
    """A curved table top under the patient, where no patient is."""
    x, y, _ = grid.axes_mm()
    rows = np.flatnonzero((label > 0).any(axis=(0, 2)))
    back = float(y[rows[-1]]) if len(rows) else 120.0
    top = back + 3.0 - (0.0007 if style % 2 else 0.0002) * x**2
    depth = y[:, None] - top[None, :]
    wide = np.abs(x)[None, :] < 205.0
    core = (depth > 0) & (depth < 26) & wide
    shell = core & ((depth < 3.2) | (depth > 22.8))
    air = label == 0
    hu[air & core[None]] = -945.0
    hu[air & shell[None]] = -240.0 if style % 3 else 60.0


def reconstruct(hu: np.ndarray, *, sharp: bool, noise_hu: float, rng: np.random.Generator) -> np.ndarray:
    """Apply a kernel and its noise: smooth and blotchy, or sharp and grainy; int16 HU.

    Noise grows with the mass of the slice, and streaks sideways where shoulders and hips absorb most.
    """
    mass = np.clip((hu[:, ::4, ::4] + 1000.0) / 1000.0, 0.0, 2.2).mean(axis=(1, 2))
    strength = (noise_hu * np.exp(2.1 * (mass - mass.mean()))).astype(np.float32)
    noise = rng.standard_normal(hu.shape, dtype=np.float32)
    streak = rng.standard_normal(hu.shape[:2], dtype=np.float32)
    excess = np.clip(mass / max(mass.mean(), 1e-6) - 1.15, 0.0, 1.0).astype(np.float32)
    out = np.empty(hu.shape, dtype=np.int16)
    _reconstruct(hu, noise, streak, strength, excess, -0.10 if sharp else 0.15, 0.02 if sharp else 0.24, out)
    return out


def circle(shape: tuple[int, int]) -> np.ndarray:
    """(rows, columns) bool: inside the reconstructed circle."""
    rows, columns = shape
    y, x = np.ogrid[:rows, :columns]
    return (y - (rows - 1) / 2) ** 2 + (x - (columns - 1) / 2) ** 2 <= (min(rows, columns) / 2) ** 2


def scout(hu: np.ndarray, grid: GridSpec) -> tuple[np.ndarray, SeriesGrid]:
    """A frontal projection of the scan: one image, head up."""
    depth = np.clip((hu + 1000.0) / 1000.0, 0.0, 2.4).sum(axis=1)[::-1] * grid.pixel_mm
    rows = int((len(depth) - 1) * grid.step_mm // grid.pixel_mm) + 1
    at = np.minimum((np.arange(rows) * grid.pixel_mm / grid.step_mm).astype(int), len(depth) - 1)
    image = np.round(depth[at] * 3.2 - 500.0).astype(np.int16)[None]
    target = coronal_grid(grid, 10.0)
    return image, SeriesGrid(target.affine_lps, (1, rows, hu.shape[2]), 10.0)


@njit(cache=True)
def _reconstruct(hu, noise, streak, strength, excess, w, v, out):  # type: ignore[no-untyped-def]
    nz, ny, nx = hu.shape
    # gain that brings smoothed white noise back to unit variance
    gain = 1.0 / ((1.0 - 2.0 * v) ** 2 + 2.0 * v * v)
    rows_hu, rows_noise = np.empty((ny, nx), dtype=np.float32), np.empty((ny, nx), dtype=np.float32)
    for k in range(nz):
        for j in range(ny):
            for i in range(nx):
                a, b = max(i - 1, 0), min(i + 1, nx - 1)
                rows_hu[j, i] = (1 - 2 * w) * hu[k, j, i] + w * (hu[k, j, a] + hu[k, j, b])
                rows_noise[j, i] = (1 - 2 * v) * noise[k, j, i] + v * (noise[k, j, a] + noise[k, j, b])
        for j in range(ny):
            a, b = max(j - 1, 0), min(j + 1, ny - 1)
            for i in range(nx):
                value = (1 - 2 * w) * rows_hu[j, i] + w * (rows_hu[a, i] + rows_hu[b, i])
                grain = (1 - 2 * v) * rows_noise[j, i] + v * (rows_noise[a, i] + rows_noise[b, i])
                value += strength[k] * (gain * grain + 1.4 * excess[k] * streak[k, j])
                out[k, j, i] = np.int16(np.round(min(max(value, -1024.0), 3000.0)))


@njit(cache=True)
def _resample(volume, matrix, normal, offsets, out, nearest, fill):  # type: ignore[no-untyped-def]
    nz, ny, nx = volume.shape
    for k in range(out.shape[0]):
        for j in range(out.shape[1]):
            for i in range(out.shape[2]):
                x0 = matrix[0, 0] * i + matrix[0, 1] * j + matrix[0, 2] * k + matrix[0, 3]
                y0 = matrix[1, 0] * i + matrix[1, 1] * j + matrix[1, 2] * k + matrix[1, 3]
                z0 = matrix[2, 0] * i + matrix[2, 1] * j + matrix[2, 2] * k + matrix[2, 3]
                if nearest:
                    a, b, c = int(np.round(x0)), int(np.round(y0)), int(np.round(z0))
                    if 0 <= a < nx and 0 <= b < ny and 0 <= c < nz:
                        out[k, j, i] = volume[c, b, a]
                    else:
                        out[k, j, i] = fill
                    continue
                total = 0.0
                for n in range(len(offsets)):
                    x, y, z = x0 + normal[0] * offsets[n], y0 + normal[1] * offsets[n], z0 + normal[2] * offsets[n]
                    if x < -0.5 or y < -0.5 or z < -0.5 or x > nx - 0.5 or y > ny - 0.5 or z > nz - 0.5:
                        total += fill
                        continue
                    x, y, z = min(max(x, 0.0), nx - 1.0), min(max(y, 0.0), ny - 1.0), min(max(z, 0.0), nz - 1.0)
                    a, b, c = min(int(x), nx - 2), min(int(y), ny - 2), min(int(z), nz - 2)
                    u, v, w = x - a, y - b, z - c
                    low = (1 - v) * ((1 - u) * volume[c, b, a] + u * volume[c, b, a + 1]) + v * (
                        (1 - u) * volume[c, b + 1, a] + u * volume[c, b + 1, a + 1]
                    )
                    high = (1 - v) * ((1 - u) * volume[c + 1, b, a] + u * volume[c + 1, b, a + 1]) + v * (
                        (1 - u) * volume[c + 1, b + 1, a] + u * volume[c + 1, b + 1, a + 1]
                    )
                    total += (1 - w) * low + w * high
                out[k, j, i] = np.int16(np.round(total / len(offsets)))
