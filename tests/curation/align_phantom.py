"""A trunk of ellipsoids for the tests of `curation.align`: coarse, but with every landmark the localizer looks for.

Coordinates in mm, RAS: x 0 at the spine's midline, y 0 at the front of the vertebrae, z 0 at the iliac crest.
"""

from __future__ import annotations

import numpy as np

# region: (centre, half axes, HU)
ORGANS = {
    "heart": ((-25, 70, 335), (52, 42, 52), 45),
    "liver": ((65, 40, 195), (80, 80, 82), 60),
    "spleen": ((-100, -15, 195), (28, 38, 50), 52),
    "kidney_left": ((-62, -15, 120), (27, 25, 52), 160),
    "kidney_right": ((64, -15, 105), (27, 25, 52), 160),
    "urinary_bladder": ((0, 40, -130), (42, 36, 34), 5),
}
LUNGS = {"lung_left": (-84, 18, 400), "lung_right": (84, 18, 400)}
LUNG_AXES = (58, 72, 155)
DOME_Z = 275.0
APEX_Z, CARINA_Z = 545.0, 430.0
BODY_AXES = (175.0, 118.0)
BODY_Y = 12.0


def trunk(
    low_mm: float, high_mm: float, *, spacing_mm: float = 3.0, noise_hu: float = 8.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """HU, int16, and affine of the trunk between two heights: -205 perineum, 0 iliac crest, 275 dome, 545 lung apex."""
    x = np.arange(-225, 225, spacing_mm)[:, None, None]
    y = np.arange(-160, 185, spacing_mm)[None, :, None]
    z = np.arange(low_mm, high_mm, spacing_mm)[None, None, :]
    grid = np.broadcast_shapes(x.shape, y.shape, z.shape)
    section = (x / BODY_AXES[0]) ** 2 + ((y - BODY_Y) / BODY_AXES[1]) ** 2
    hu = np.where(np.broadcast_to(section < 1, grid), -100.0, -1000.0)
    wall = ((x / (BODY_AXES[0] - 8)) ** 2 + ((y - BODY_Y) / (BODY_AXES[1] - 8)) ** 2 < 1) & (z > -400)
    inner = ((x / (BODY_AXES[0] - 22)) ** 2 + ((y - BODY_Y) / (BODY_AXES[1] - 22)) ** 2 < 1) & (z > -400)
    hu[wall & ~inner] = 55
    hu[inner & (z < DOME_Z)] = -95
    hu[inner & (z >= DOME_Z)] = 40
    for center in LUNGS.values():
        hu[ellipsoid(x, y, z, center, LUNG_AXES) & (z > 225)] = -850
    for name, (center, axes, value) in ORGANS.items():
        inside = ellipsoid(x, y, z, center, axes)
        hu[inside & ((z < DOME_Z) | (name == "heart"))] = value
    hu[((x / 9) ** 2 + ((y - 25) / 9) ** 2 < 1) & (z > CARINA_Z)] = -980
    _paint_bones(hu, x, y, z)
    hu[(np.abs(y + 130) < 5) & (np.abs(x) < 200) & (z > -400)] = -200  # the table
    hu += np.random.default_rng(seed).normal(0, noise_hu, hu.shape)
    affine_ras = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine_ras[:3, 3] = (-225, -160, low_mm)
    return np.clip(hu, -1024, 3071).astype(np.int16), affine_ras


def ellipsoid(x, y, z, center, axes) -> np.ndarray:
    """Voxels inside an ellipsoid."""
    return sum(((axis - c) / a) ** 2 for axis, c, a in zip((x, y, z), center, axes, strict=True)) < 1


def center_ijk(point_mm, affine_ras: np.ndarray) -> np.ndarray:
    """Voxel of a point in mm."""
    return (np.linalg.inv(affine_ras) @ np.array([*point_mm, 1.0]))[:3]


def _paint_bones(hu: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> None:
    column = (z > -60) & (z < 640)
    hu[((x / 21) ** 2 + ((y + 17) / 17) ** 2 < 1) & column] = 260  # bodies
    hu[(np.abs(x) < 16) & (np.abs(y + 52) < 22) & column] = 320  # arches
    hu[((x / 9) ** 2 + ((y + 43) / 9) ** 2 < 1) & column] = 35  # canal
    hu[(np.abs(x) < 42) & (np.abs(y + 45) < 20) & (z > -110) & (z < -30)] = 320  # sacrum
    for side in (-1, 1):
        plate = np.abs(y + 10 - 0.9 * (side * x - 95)) < 9
        hu[plate & (side * x > 45) & (side * x < 140) & (z > -110) & (z < 0)] = 420  # iliac wings
        hu[ellipsoid(x, y, z, (side * 92, 5, -125), (33, 33, 40))] = 400  # hip joints
        hu[(np.abs(side * x - 60) < 18) & (np.abs(y + 5) < 22) & (z < -120) & (z > -205)] = 380  # ischium
        hu[(((side * x - 100) / 16) ** 2 + ((y - 5) / 16) ** 2 < 1) & (z < -120)] = 400  # femur
    ring = (x / (BODY_AXES[0] - 12)) ** 2 + ((y - BODY_Y) / (BODY_AXES[1] - 12)) ** 2
    ribs = (np.abs(ring - 1) < 0.07) & (z > 130) & (((z + y) % 32) < 11)  # slanting, as ribs do
    hu[ribs & (np.abs(x) > 30)] = 350
