"""Shapes painted into a voxel grid: the brush of the phantom.

Enters: a grid in patient coordinates (mm, LPS) and shapes in body coordinates. Leaves: a HU volume and a label
volume. Refuses to walk the whole volume for a small shape: every shape is evaluated in its own box only.

Body coordinates are those of a standard adult; a person's proportions and a smooth random warp map every voxel to
them (`BodyMap`), so the whole anatomy is described once and still differs from person to person.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

Vector = Sequence[float] | np.ndarray
"""Three numbers."""
Points = Sequence[Vector] | np.ndarray
"""(n, 3) or more columns."""

KEEP = 255
"""Label value of a shape that changes HU only."""
SOFT_MM = 2.2
"""Width of the blended edge, about one voxel: the partial volume effect."""


@dataclass(frozen=True)
class GridSpec:
    """An axial voxel grid in patient coordinates.

    Parameters
    ----------
    origin_lps : tuple of 3 float, mm
        Centre of voxel (0, 0, 0): right, anterior, inferior.
    pixel_mm, step_mm : float
        In plane; from slice to slice.
    shape_kji : tuple of 3 int
        Slices, rows, columns.
    """

    origin_lps: tuple[float, float, float]
    pixel_mm: float
    step_mm: float
    shape_kji: tuple[int, int, int]

    def axes_mm(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Patient coordinates of the voxel centres along x, y, z."""
        k, j, i = (np.arange(n, dtype=np.float64) for n in self.shape_kji)
        x, y, z = self.origin_lps
        return x + i * self.pixel_mm, y + j * self.pixel_mm, z + k * self.step_mm


@dataclass(frozen=True)
class BodyMap:
    """From patient coordinates to body coordinates: scale, then a smooth warp of few sine products.

    Parameters
    ----------
    scale : (3,) float64
        Patient mm per body mm along x, y, z.
    amplitude : (3, m) float64, body mm
        Of each warp term, per axis moved.
    frequency : (3, m, 3) float64, rad per body mm
    phase : (3, m, 3) float64, rad
    """

    scale: np.ndarray
    amplitude: np.ndarray
    frequency: np.ndarray
    phase: np.ndarray

    @property
    def reach_mm(self) -> float:
        """No point moves further than this through the warp."""
        return float(np.abs(self.amplitude).sum(axis=1).max())

    def tables(self, axes: Sequence[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
        """Scaled coordinates per axis, and the (3, m, 3, n) sine tables of the warp (padded to the longest axis)."""
        scaled = [np.asarray(axis / s) for axis, s in zip(axes, self.scale, strict=True)]
        longest = max(len(axis) for axis in scaled)
        sines = np.zeros((*self.frequency.shape, longest), dtype=np.float32)
        for d, axis in enumerate(scaled):
            sines[:, :, d, : len(axis)] = np.sin(
                self.frequency[:, :, d, None] * axis[None, None] + self.phase[:, :, d, None]
            )
        sines[:, :, 0] *= self.amplitude[:, :, None]
        return scaled, sines


class Painter:
    """A HU volume and a label volume, and the shapes that can be put into them.

    Parameters
    ----------
    grid : GridSpec
    body : BodyMap
    air_hu : float
        What the grid holds at first.
    """

    def __init__(self, grid: GridSpec, body: BodyMap, *, air_hu: float = -1000.0) -> None:
        self.grid, self.body = grid, body
        self.hu = np.full(grid.shape_kji, air_hu, dtype=np.float32)
        self.label = np.zeros(grid.shape_kji, dtype=np.uint8)
        (self.x, self.y, self.z), self.warp = body.tables(grid.axes_mm())
        self.reach = body.reach_mm + SOFT_MM

    def box(self, low: np.ndarray, high: np.ndarray) -> tuple[int, int, int, int, int, int] | None:
        """Index ranges (k0, k1, j0, j1, i0, i1) that can hold body coordinates between `low` and `high`."""
        ranges: list[int] = []
        for axis, a, b in zip((self.z, self.y, self.x), low[::-1], high[::-1], strict=True):
            first = int(np.searchsorted(axis, a - self.reach))
            last = int(np.searchsorted(axis, b + self.reach))
            if first >= last:
                return None
            ranges += [first, last]
        return tuple(ranges)  # type: ignore[return-value]

    def ellipsoid(
        self,
        centre: Vector,
        radii: Vector,
        hu: float,
        label: int = KEEP,
        *,
        rotation: np.ndarray | None = None,
        power: float = 2.0,
        rough: float = 0.0,
        phase: float = 0.0,
        only: np.ndarray | None = None,
        soft_mm: float = SOFT_MM,
        gas_hu: float | None = None,
        gas_level: float = 0.0,
        shear_z: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Paint a superellipsoid.

        Parameters
        ----------
        centre, radii : 3 float, body mm
        rotation : (3, 3) float64
            Rows are the axes of `radii`.
        power : float
            2 is an ellipsoid, larger is boxier.
        rough : float
            Relative bumpiness of the surface; `phase` moves the bumps.
        only : (256,) bool
            Labels that may be painted over; all by default.
        gas_hu, gas_level : float
            Fill above (anterior of) the level, in units of the y radius from the centre, with gas.
        shear_z : 2 float
            Relative change of the z radius per unit of x and of y: wedges.
        """
        c, r = np.asarray(centre, dtype=np.float64), np.asarray(radii, dtype=np.float64)
        rot = np.eye(3) if rotation is None else np.asarray(rotation, dtype=np.float64)
        extent = np.abs(rot.T) @ r * (1.0 + rough)
        box = self.box(c - extent, c + extent)
        if box is None:
            return
        _ellipsoid(
            self.hu, self.label, self.x, self.y, self.z, self.warp, box, c, r, rot,
            (power, rough, phase, soft_mm, hu, hu if gas_hu is None else gas_hu, c[1] + gas_level * r[1], *shear_z),
            label, _allowed(only),
        )  # fmt: skip

    def tube(
        self,
        points: Points,
        radii: float | Vector,
        hu: float,
        label: int = KEEP,
        *,
        only: np.ndarray | None = None,
        soft_mm: float = SOFT_MM,
        gas_hu: float | None = None,
        gas_level: float = 0.0,
        flat_z: float = 1.0,
    ) -> None:
        """Paint a chain of capsules along `points` ((n, 3), body mm) with a radius per point.

        `flat_z` scales radii along z (ribs are taller than thick).
        """
        p = np.asarray(points, dtype=np.float64)
        r = np.broadcast_to(np.asarray(radii, dtype=np.float64), (len(p),))
        for n in range(len(p) - 1):
            reach = max(r[n], r[n + 1]) * np.array([1.0, 1.0, flat_z])
            box = self.box(np.minimum(p[n], p[n + 1]) - reach, np.maximum(p[n], p[n + 1]) + reach)
            if box is not None:
                _capsule(
                    self.hu, self.label, self.x, self.y, self.z, self.warp, box, p[n], p[n + 1],
                    (r[n], r[n + 1], soft_mm, hu, hu if gas_hu is None else gas_hu, gas_level, flat_z),
                    label, _allowed(only),
                )  # fmt: skip

    def coordinates(self, where: np.ndarray) -> np.ndarray:
        """Body coordinates (n, 3) of voxel indices `where` ((n, 3) int, k j i)."""
        return _body_points(self.x, self.y, self.z, self.warp, np.ascontiguousarray(where, dtype=np.int64))


def only(*labels: int | Iterable[int]) -> np.ndarray:
    """The (256,) table that lets a shape paint over `labels` alone."""
    table = np.zeros(256, dtype=np.bool_)
    for label in labels:
        for value in [label] if isinstance(label, int) else label:
            table[value] = True
    return table


def rotation_deg(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    """Rotation whose rows are the turned axes: about x, then y, then z, degrees."""
    a, b, c = np.radians([x, y, z])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return (about_z @ about_y @ about_x).T


def curve(points: Points, n: int) -> np.ndarray:
    """`n` points on a smooth (Catmull-Rom) curve through `points`: (n, 3), or (n, 4) with a radius as fourth."""
    p = np.asarray(points, dtype=np.float64)
    padded = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    t = np.linspace(0, len(p) - 1, n)
    s = np.minimum(t.astype(int), len(p) - 2)
    u = (t - s)[:, None]
    a, b, c, d = (padded[s + m] for m in range(4))
    return 0.5 * (2 * b + (c - a) * u + (2 * a - 5 * b + 4 * c - d) * u**2 + (3 * b - a - 3 * c + d) * u**3)


_EVERYTHING = np.ones(256, dtype=np.bool_)


def _allowed(table: np.ndarray | None) -> np.ndarray:
    return _EVERYTHING if table is None else table


@njit(cache=True, inline="always")
def _warped(x, y, z, warp, k, j, i):  # type: ignore[no-untyped-def]
    bx, by, bz = x[i], y[j], z[k]
    for m in range(warp.shape[1]):
        bx += warp[0, m, 0, i] * warp[0, m, 1, j] * warp[0, m, 2, k]
        by += warp[1, m, 0, i] * warp[1, m, 1, j] * warp[1, m, 2, k]
        bz += warp[2, m, 0, i] * warp[2, m, 1, j] * warp[2, m, 2, k]
    return bx, by, bz


@njit(cache=True)
def _ellipsoid(hu, label, x, y, z, warp, box, c, r, rot, numbers, value, allowed):  # type: ignore[no-untyped-def]
    power, rough, phase, soft, inside, gas, level, shear_x, shear_y = numbers
    scale = (r[0] * r[1] * r[2]) ** (1.0 / 3.0)
    thin = min(r[0], min(r[1], r[2]))
    margin = 1.0 + rough + soft / thin
    for k in range(box[0], box[1]):
        for j in range(box[2], box[3]):
            for i in range(box[4], box[5]):
                if not allowed[label[k, j, i]]:
                    continue
                bx, by, bz = _warped(x, y, z, warp, k, j, i)
                dx, dy, dz = bx - c[0], by - c[1], bz - c[2]
                u = abs(rot[0, 0] * dx + rot[0, 1] * dy + rot[0, 2] * dz) / r[0]
                v = abs(rot[1, 0] * dx + rot[1, 1] * dy + rot[1, 2] * dz) / r[1]
                w = abs(rot[2, 0] * dx + rot[2, 1] * dy + rot[2, 2] * dz) / r[2]
                if shear_x != 0.0 or shear_y != 0.0:
                    w /= max(0.2, 1.0 + shear_x * dx / r[0] + shear_y * dy / r[1])
                if u > margin or v > margin or w > margin:
                    continue
                if power == 2.0:
                    q = np.sqrt(u * u + v * v + w * w)
                else:
                    q = (u**power + v**power + w**power) ** (1.0 / power)
                if q > margin:
                    continue
                if rough > 0.0:
                    f = 5.0 / scale
                    q *= 1.0 + rough * np.sin(f * bx + phase) * np.sin(f * by + 1.7 * phase) * np.sin(
                        f * bz + 2.9 * phase
                    )
                # distance to the surface along the ray from the centre, in body mm
                radial = np.sqrt(dx * dx + dy * dy + dz * dz)
                distance = radial * (1.0 - 1.0 / q) if q > 0.05 else -scale
                a = 0.5 - distance / soft
                if a <= 0.0:
                    continue
                a = min(a, 1.0)
                paint = gas if by < level else inside
                hu[k, j, i] += a * (paint - hu[k, j, i])
                if a >= 0.5 and value != 255:
                    label[k, j, i] = value


@njit(cache=True)
def _capsule(hu, label, x, y, z, warp, box, p, q, numbers, value, allowed):  # type: ignore[no-untyped-def]
    ra, rb, soft, inside, gas, gas_level, flat = numbers
    vx, vy, vz = q[0] - p[0], q[1] - p[1], (q[2] - p[2]) / flat
    length = max(vx * vx + vy * vy + vz * vz, 1e-9)
    for k in range(box[0], box[1]):
        for j in range(box[2], box[3]):
            for i in range(box[4], box[5]):
                if not allowed[label[k, j, i]]:
                    continue
                bx, by, bz = _warped(x, y, z, warp, k, j, i)
                dx, dy, dz = bx - p[0], by - p[1], (bz - p[2]) / flat
                t = min(1.0, max(0.0, (dx * vx + dy * vy + dz * vz) / length))
                ex, ey, ez = dx - t * vx, dy - t * vy, dz - t * vz
                radius = ra + t * (rb - ra)
                a = 0.5 - (np.sqrt(ex * ex + ey * ey + ez * ez) - radius) / soft
                if a <= 0.0:
                    continue
                a = min(a, 1.0)
                paint = gas if ey < gas_level * radius else inside
                hu[k, j, i] += a * (paint - hu[k, j, i])
                if a >= 0.5 and value != 255:
                    label[k, j, i] = value


@njit(cache=True)
def _body_points(x, y, z, warp, where):  # type: ignore[no-untyped-def]
    out = np.empty((len(where), 3), dtype=np.float64)
    for n in range(len(where)):
        out[n, 0], out[n, 1], out[n, 2] = _warped(x, y, z, warp, where[n, 0], where[n, 1], where[n, 2])
    return out
