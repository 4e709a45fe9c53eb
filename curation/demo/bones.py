"""The skeleton of the trunk: vertebrae one by one, ribs one by one, sternum, shoulder girdle, pelvis, femora; and
the muscles along them.

Enters: a painter whose trunk is painted, a person. Leaves: bones with a dense cortex and a lighter marrow.
"""

from __future__ import annotations

import numpy as np

from curation.demo import labels
from curation.demo.labels import NUMBER
from curation.demo.painter import Painter, Points, Vector, curve, only, rotation_deg
from curation.demo.person import Person
from curation.demo.trunk import cavity_at

_SPINE_YZ = ((48, -205), (38, -180), (30, -150), (26, -115), (28, -80), (38, -16), (45, 30), (54, 100), (54, 180),
             (40, 250), (30, 300), (26, 345))  # fmt: skip
SIDES = {"left": 1.0, "right": -1.0}
CORTEX_MM = 2.4


def spine_y(z: float) -> float:
    """Centre of the vertebral body along y at height `z`: lordosis below, kyphosis above."""
    return float(np.interp(z, [p[1] for p in _SPINE_YZ], [p[0] for p in _SPINE_YZ]))


def vertebra_levels() -> list[tuple[str, float, float]]:
    """(name, centre z, height) from C7 down to L5, body mm."""
    heights = (
        [("C7", 17.0)] + [(f"T{n}", 17.6 + 0.9 * n) for n in range(1, 13)] + [(f"L{n}", 33.0) for n in range(1, 6)]
    )
    z = sum(height for name, height in heights if not name.startswith("L"))
    levels = []
    for name, height in heights:
        levels.append((name, z - height / 2, height))
        z -= height
    return levels


class Bone:
    """Paints with a cortex and a marrow."""

    def __init__(self, painter: Painter, person: Person) -> None:
        self.painter, self.cortex, self.marrow = painter, person.bone_cortex_hu, person.bone_marrow_hu

    def ellipsoid(
        self,
        centre: Vector,
        radii: Vector,
        label: int,
        *,
        rotation: np.ndarray | None = None,
        power: float = 2.0,
        shear_z: tuple[float, float] = (0.0, 0.0),
        density: float = 1.0,
    ) -> None:
        """A solid bone; thin ones are all cortex."""
        r = np.asarray(radii, dtype=np.float64)
        self.painter.ellipsoid(centre, r, self.cortex * density, label, rotation=rotation, power=power, shear_z=shear_z)
        if r.min() > CORTEX_MM + 1.5:
            self.painter.ellipsoid(
                centre, r - CORTEX_MM, self.marrow * density, label, rotation=rotation, power=power, shear_z=shear_z
            )

    def tube(self, points: Points, radii: float | np.ndarray, label: int, *,
             flat_z: float = 1.0) -> None:  # fmt: skip
        """A long bone."""
        r = np.broadcast_to(np.asarray(radii, dtype=np.float64), (len(points),))
        self.painter.tube(points, r, self.cortex, label, flat_z=flat_z)
        if r.min() > CORTEX_MM + 1.2:
            self.painter.tube(points, r - CORTEX_MM, self.marrow, label, flat_z=flat_z, only=only(label))


def paint_muscles(painter: Painter, person: Person) -> None:
    """Back muscles, psoas and buttocks, each in its own class."""
    hu, fat = person.hu["muscle"], person.hu["fat"]
    rng = np.random.default_rng([person.seed, 13])
    bulk = rng.uniform(0.85, 1.1)
    for side, s in SIDES.items():
        heights = np.linspace(-200, 260, 24)
        path = [(s * 34, spine_y(z) + 33, z) for z in heights]
        painter.tube(path, 4 + bulk * np.interp(heights, [-200, -100, 100, 260], [14, 22, 16, 12]), fat)
        painter.tube(path, bulk * np.interp(heights, [-200, -100, 100, 260], [14, 22, 16, 12]), hu,
                     NUMBER[f"autochthon_{side}"])  # fmt: skip
        psoas = curve(
            [(26, 30, -20, 7), (41, 22, -90, 19), (58, 0, -165, 23), (74, -22, -235, 19), (92, -2, -315, 13)], 16
        )
        psoas[:, 0] *= s
        painter.tube(psoas[:, :3], bulk * psoas[:, 3], hu, NUMBER[f"iliopsoas_{side}"])
        painter.ellipsoid((s * 86, 80, -255), (62 * bulk, 26, 74), hu - 6, NUMBER[f"gluteus_maximus_{side}"],
                          rotation=rotation_deg(z=-s * 18), rough=0.06, phase=s)  # fmt: skip
        painter.ellipsoid((s * 124, 22, -190), (15 * bulk, 46, 52), hu - 3, NUMBER[f"gluteus_medius_{side}"],
                          rotation=rotation_deg(z=s * 34))  # fmt: skip


def paint_spine(painter: Painter, person: Person) -> None:
    """Discs, vertebrae C7 to L5 with arches and processes, sacrum, and the canal with its cord."""
    bone = Bone(painter, person)
    heights = np.linspace(-195, 345, 60)
    widths = np.interp(heights, [-180, 0, 250], [23.0, 19.0, 13.0])
    painter.tube([(0, spine_y(z), z) for z in heights], widths * 0.82, 82.0, labels.DISC)
    for name, z, height in vertebra_levels():
        _vertebra(bone, name, z, height, person.fracture)
    for n in range(6):
        bone.ellipsoid(
            (0, 52 + 5 * n - 0.8 * n * n, -190 - 19 * n),
            (54 - 7.5 * n, 21 - 2.2 * n, 14),
            NUMBER["sacrum"],
            rotation=rotation_deg(x=-28),
            power=3.0,
        )
    canal = [(0, spine_y(z) + float(np.interp(z, [-180, 0, 250], [27, 25, 20])), float(z)) for z in heights]
    painter.tube(canal, 8.5, 14.0, labels.DISC)
    cord = [p for p in canal if p[2] > -20]
    painter.tube(cord, 5.2, 38.0, NUMBER["spinal_cord"])
    painter.tube([p for p in canal if p[2] <= 0], 5.0, 24.0)


def _vertebra(bone: Bone, name: str, z: float, height: float, fracture: tuple[str, float] | None) -> None:
    label, y = NUMBER[f"vertebrae_{name}"], spine_y(z)
    width = float(np.interp(z, [-180, 0, 250], [25.0, 20.0, 13.5]))
    depth = width * 0.72
    loss = fracture[1] if fracture and fracture[0] == f"vertebrae_{name}" else 0.0
    tilt = rotation_deg(x=float(np.degrees(np.arctan((spine_y(z + 8) - spine_y(z - 8)) / 16.0))))
    half = (height / 2 - 2.2) * (1 - 0.35 * loss)
    bone.ellipsoid((0, y, z - 0.3 * loss * height / 2), (width, depth, half), label, rotation=tilt, power=5.0,
                   shear_z=(0.0, 0.62 * loss), density=1.0 + 0.35 * loss)  # fmt: skip
    back = y + depth + float(np.interp(z, [-180, 250], [22, 15]))
    for s in (1.0, -1.0):
        bone.tube([(s * width * 0.62, y + depth * 0.7, z + 2), (s * width * 0.66, back - 5, z), (0, back + 3, z - 4)],
                  4.6, label)  # fmt: skip
        reach = width + (20 if name.startswith("L") else 17)
        bone.tube([(s * width * 0.66, back - 6, z), (s * reach, back + (0 if name.startswith("L") else 6), z + 3)], 4.2,
                  label)  # fmt: skip
    drop = 22 if name.startswith("T") else 8
    bone.tube([(0, back + 2, z - 4), (0, back + 17, z - drop)], 4.0, label, flat_z=1.9)


def rib_path(n: int, side: str) -> np.ndarray:
    """(m, 3) centre line of rib `n`, from the spine forwards, body mm."""
    s = SIDES[side]
    levels = {name: (z, height) for name, z, height in vertebra_levels()}
    z0 = levels[f"T{n}"][0] + levels[f"T{n}"][1] * 0.35
    end_deg = (128, 142, 146, 148, 149, 148, 146, 138, 128, 116, 92, 66)[n - 1]
    drop = (30, 52, 66, 76, 84, 90, 94, 96, 96, 90, 66, 44)[n - 1]
    points = [(s * 21.0, spine_y(z0) + 19.0, z0)]
    for angle in np.radians(np.linspace(26, end_deg, 22)):
        z = z0 - drop * ((1 - np.cos(angle)) / 2) ** 0.85
        a, b, y0 = cavity_at(min(z, 258.0))
        x, y = np.sin(angle), np.cos(angle)
        shape = (np.abs(x) ** 2.5 + np.abs(y) ** 2.5) ** (-0.4)
        points.append((s * (a + 4.5) * x * shape, y0 + (b + 4.5) * y * shape, z))
    return np.asarray(points)


def paint_thoracic_cage(painter: Painter, person: Person) -> None:
    """Ribs, costal cartilages, sternum, clavicles and shoulder blades."""
    bone = Bone(painter, person)
    sternum = [(0.0, cavity_at(z)[2] - cavity_at(z)[1] - 6.0, z) for z in np.linspace(228, 92, 14)]
    for side, s in SIDES.items():
        for n in range(1, 13):
            path = rib_path(n, side)
            bone.tube(path, 3.6 if n > 1 else 4.2, NUMBER[f"rib_{side}_{n}"], flat_z=1.7)
            if n <= 10:
                target = np.asarray(sternum[min(int((n - 1) * 1.7) + 1, len(sternum) - 1)]) + np.array(
                    [s * 12.0, 1.0, 0.0]
                )
                middle = (path[-1] + target) / 2 + (0.0, -3.0, -6.0)
                painter.tube(
                    curve([path[-1], middle, target], 8),
                    4.4,
                    95.0,
                    NUMBER["costal_cartilages"],
                    only=only(labels.MUSCLE, labels.ABDOMEN, labels.DIAPHRAGM, labels.FAT),
                )
        bone.tube(curve([(s * 22, -72, 246), (s * 70, -66, 262), (s * 120, -30, 280), (s * 150, 2, 286)], 10), 5.6,
                  NUMBER[f"clavicula_{side}"])  # fmt: skip
        blade = rotation_deg(z=-s * 38) @ rotation_deg(y=s * 8)
        bone.ellipsoid((s * 112, 66, 176), (37, 3.2, 58), NUMBER[f"scapula_{side}"], rotation=blade)
        bone.tube([(s * 88, 84, 205), (s * 128, 66, 232), (s * 152, 30, 262)], 5.5, NUMBER[f"scapula_{side}"])
        bone.ellipsoid((s * 163, 18, 302), (21, 21, 24), NUMBER[f"humerus_{side}"])
    for n in range(len(sternum) - 1):
        x, y, z = sternum[n]
        bone.ellipsoid((x, y, z - 5), (21 if n < 3 else 15, 5.6, 8.5), NUMBER["sternum"], power=3.0)


def paint_pelvis(painter: Painter, person: Person) -> None:
    """Hip bones and the upper ends of the femora."""
    bone = Bone(painter, person)
    for side, s in SIDES.items():
        hip, femur = NUMBER[f"hip_{side}"], NUMBER[f"femur_{side}"]
        along = np.array([s * 0.62, -0.76, 0.18])
        along /= np.linalg.norm(along)
        up = np.array([s * 0.30, 0.0, 0.95])
        up -= along * (up @ along)
        up /= np.linalg.norm(up)
        plate = np.stack([along, np.cross(along, up), up])
        bone.ellipsoid((s * 88, 16, -168), (64, 5.6, 56), hip, rotation=plate, power=2.6)
        bone.tube([(s * 78, 22, -200), (s * 84, 8, -235), (s * 88, 4, -268)], np.array([13.0, 17.0, 24.0]), hip)
        bone.ellipsoid((s * 88, 4, -280), (31, 31, 31), hip)
        bone.tube([(s * 76, -18, -278), (s * 42, -52, -292), (s * 7, -62, -306)], 8.5, hip)
        bone.tube([(s * 80, 30, -285), (s * 66, 44, -318), (s * 56, 36, -342)], 13.0, hip)
        bone.tube([(s * 56, 34, -344), (s * 32, -14, -336), (s * 8, -54, -322)], 7.0, hip)
        painter.ellipsoid((s * 95, 1, -284), (26.5, 26.5, 26.5), 70.0, labels.DISC)
        bone.ellipsoid((s * 95, 1, -284), (23.5, 23.5, 23.5), femur)
        bone.tube([(s * 98, 2, -288), (s * 130, 12, -318)], 14.0, femur)
        bone.tube([(s * 134, 16, -306), (s * 136, 12, -345), (s * 134, 6, -430)], np.array([19.0, 18.0, 15.0]), femur)
