"""The trunk: skin, fat, muscle, the two cavities, the diaphragm between them, and the five lobes.

Enters: a painter and a person. Leaves: every voxel of the body filled with a base tissue, for organs to be painted
over. Body coordinates: x to the patient's left, y backwards, z upwards, mm; z = 0 is the lower end of T12.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from curation.demo import labels
from curation.demo.labels import NUMBER
from curation.demo.painter import Painter, _warped
from curation.demo.person import Person

# z, muscle outline (half width, half depth), cavity (half width, half depth, centre y); measured by eye on an adult
# CT (TotalSegmentator's example, Apache-2.0) and rounded.
_SECTIONS = np.array(
    [
        (340.0, 96.0, 66.0, 5.0, 5.0, 12.0),
        (300.0, 142.0, 74.0, 10.0, 10.0, 12.0),
        (280.0, 162.0, 80.0, 30.0, 16.0, 12.0),
        (262.0, 170.0, 85.0, 76.0, 42.0, 10.0),
        (240.0, 170.0, 90.0, 98.0, 60.0, 6.0),
        (200.0, 164.0, 96.0, 114.0, 76.0, 3.0),
        (150.0, 158.0, 100.0, 123.0, 84.0, 1.0),
        (100.0, 153.0, 102.0, 129.0, 88.0, 0.0),
        (40.0, 149.0, 102.0, 131.0, 89.0, 0.0),
        (-20.0, 145.0, 101.0, 128.0, 88.0, -1.0),
        (-100.0, 141.0, 99.0, 124.0, 84.0, -4.0),
        (-160.0, 147.0, 98.0, 120.0, 82.0, -5.0),
        (-210.0, 155.0, 99.0, 104.0, 78.0, -4.0),
        (-250.0, 159.0, 101.0, 76.0, 74.0, -2.0),
        (-300.0, 160.0, 101.0, 58.0, 66.0, 0.0),
        (-330.0, 158.0, 98.0, 44.0, 50.0, 2.0),
        (-370.0, 152.0, 94.0, 10.0, 10.0, 5.0),
        (-420.0, 148.0, 90.0, 5.0, 5.0, 5.0),
    ]
)
TABLE_LOW_MM, TABLE_STEP_MM = -420.0, 5.0


def sections() -> np.ndarray:
    """(n, 5) outline and cavity every `TABLE_STEP_MM` from `TABLE_LOW_MM` up."""
    z = np.arange(TABLE_LOW_MM, 341.0, TABLE_STEP_MM)
    ordered = _SECTIONS[::-1]
    return np.stack([np.interp(z, ordered[:, 0], ordered[:, c]) for c in range(1, 6)], axis=1)


def cavity_at(z: float) -> tuple[float, float, float]:
    """Half width, half depth and centre y of the cavity at height `z`."""
    ordered = _SECTIONS[::-1]
    a, b, y = (float(np.interp(z, ordered[:, 0], ordered[:, c])) for c in (3, 4, 5))
    return a, b, y


def paint_trunk(painter: Painter, person: Person) -> None:
    """Fill the body with skin, fat, muscle, cavity fat, diaphragm and lung."""
    rng = np.random.default_rng([person.seed, 11])
    domes = np.array([rng.normal(66.0, 5.0), rng.normal(54.0, 5.0), rng.uniform(-62, -56), rng.uniform(58, 66)])
    fissures = np.array([rng.normal(128.0, 6.0), rng.uniform(1.05, 1.3), rng.normal(118.0, 6.0)])
    lobes = np.array(
        [
            NUMBER[name]
            for name in (
                "lung_upper_lobe_right",
                "lung_middle_lobe_right",
                "lung_lower_lobe_right",
                "lung_upper_lobe_left",
                "lung_lower_lobe_left",
            )
        ]
    )
    hu = person.hu
    _trunk(
        painter.hu, painter.label, painter.x, painter.y, painter.z, painter.warp, sections(), domes, fissures, lobes,
        (person.fat_mm, hu["fat"], hu["muscle"], hu["lung"] + person.lung_shift_hu),
    )  # fmt: skip


@njit(cache=True, inline="always")
def diaphragm_mm(x, y, domes):  # type: ignore[no-untyped-def]
    """Height of the diaphragm above (x, y), body mm."""
    right_k = 0.015 if x < domes[2] else 0.004
    left_k = 0.015 if x > domes[3] else 0.004
    back = 0.0112 * y * y if y > 0.0 else 0.0062 * y * y
    right = domes[0] - right_k * (x - domes[2]) ** 2
    left = domes[1] - left_k * (x - domes[3]) ** 2
    return max(right, left) - back


@njit(cache=True)
def _trunk(hu, label, xs, ys, zs, warp, table, domes, fissures, lobes, numbers):  # type: ignore[no-untyped-def]
    fat_mm, fat, muscle, lung = numbers
    for k in range(len(zs)):
        for j in range(len(ys)):
            for i in range(len(xs)):
                if abs(xs[i]) > 178.0 + fat_mm or abs(ys[j]) > 112.0 + 1.4 * fat_mm:
                    continue
                x, y, z = _warped(xs, ys, zs, warp, k, j, i)
                t = (z + 420.0) / 5.0
                n = min(max(int(t), 0), len(table) - 2)
                f = min(max(t - n, 0.0), 1.0)
                a = table[n, 0] * (1.0 - f) + table[n + 1, 0] * f
                b = table[n, 1] * (1.0 - f) + table[n + 1, 1] * f
                # fat is thicker at the belly and the buttocks than over the chest
                lower = min(max((60.0 - z) / 160.0, 0.0), 1.0)
                thick = fat_mm * (0.65 + 0.45 * lower)
                u, v = abs(x) / (a + thick), abs(y) / (b + thick * (0.75 + 0.35 * lower))
                outer = u * u * np.sqrt(u) + v * v * np.sqrt(v)
                if outer >= 1.0:
                    continue
                if outer > 0.965:
                    hu[k, j, i] = 5.0 if outer < 0.985 else -450.0
                    label[k, j, i] = 204
                    continue
                u, v = abs(x) / a, abs(y) / b
                wall = u * u * np.sqrt(u) + v * v * np.sqrt(v)
                if wall > 1.0:
                    hu[k, j, i] = fat
                    label[k, j, i] = 203
                    continue
                ca = table[n, 2] * (1.0 - f) + table[n + 1, 2] * f
                cb = table[n, 3] * (1.0 - f) + table[n + 1, 3] * f
                cy = table[n, 4] * (1.0 - f) + table[n + 1, 4] * f
                u, v = abs(x) / ca, abs(y - cy) / cb
                inner = u * u * np.sqrt(u) + v * v * np.sqrt(v)
                if inner > 1.0:
                    # muscle in layers with fat between them
                    layer = np.sin(26.0 * wall + 2.0 * np.sin(0.05 * z)) + 0.6 * np.sin(0.11 * x + 0.09 * y)
                    share = min(max(layer - 0.75, 0.0), 0.6)
                    hu[k, j, i] = muscle + share * (fat - muscle)
                    label[k, j, i] = 202
                    continue
                rise = z - diaphragm_mm(x, y, domes)
                if rise < -3.0:
                    hu[k, j, i] = fat
                    label[k, j, i] = 200
                    continue
                if rise < 0.0:
                    hu[k, j, i] = muscle - 8.0
                    label[k, j, i] = 205
                    continue
                # lung: denser behind and below (gravity), fissures as faint lines
                major = z - (fissures[0] + fissures[1] * y)
                minor = z - (fissures[2] + 0.06 * x)
                density = lung + 0.55 * y + 12.0 * np.sin(0.09 * x + 0.5) * np.sin(0.08 * z)
                if x < 0.0:
                    lobe = lobes[2] if major < 0.0 else (lobes[0] if minor > 0.0 else lobes[1])
                else:
                    lobe = lobes[4] if major < 0.0 else lobes[3]
                if abs(major) < 1.6 or (x < 0.0 and major > 0.0 and abs(minor) < 1.1):
                    density += 130.0
                hu[k, j, i] = density
                label[k, j, i] = lobe


assert (labels.ABDOMEN, labels.MUSCLE, labels.FAT, labels.SKIN, labels.DIAPHRAGM) == (200, 202, 203, 204, 205)
