"""Chest organs: mediastinum, heart, great vessels, airway, oesophagus, and the vessels inside the lungs.

Enters: a painter with trunk and bones, a person. Leaves: the chest's organs.
"""

from __future__ import annotations

import numpy as np

from curation.demo import labels
from curation.demo.bones import SIDES, spine_y
from curation.demo.labels import LOBES, LOBES_OF, NUMBER
from curation.demo.painter import Painter, curve, only
from curation.demo.person import Person
from curation.demo.trunk import cavity_at

HEART_CENTRE = np.array([20.0, -33.0, 100.0])
HEART_AXES = np.array([[0.76, -0.50, -0.42], [0.55, 0.83, 0.0], [0.35, -0.23, 0.91]])
HEART_RADII = np.array([60.0, 41.0, 45.0])
HILUM = {"left": np.array([42.0, 14.0, 150.0]), "right": np.array([-40.0, 14.0, 147.0])}

_AORTA_UP = ((8, -28, 122, 15.5), (-6, -38, 158, 16), (-4, -30, 188, 15), (6, -8, 206, 14), (18, 20, 200, 13),
             (25, 38, 178, 12.5), (27, 42, 140, 12))  # fmt: skip
_AORTA_DOWN = (
    (27, 42, 140, 12),
    (25, 40, 100, 12),
    (16, 30, 40, 11.5),
    (8, 16, 0, 11),
    (6, 6, -50, 10),
    (3, 0, -90, 9.3),
    (2, -1, -124, 9),
)


def aorta_down() -> np.ndarray:
    """(n, 4) descending and abdominal aorta: centre line and radius, body mm, from above."""
    return curve(_AORTA_DOWN, 90)


def paint_mediastinum(painter: Painter, person: Person) -> None:
    """Fat between the lungs, and around the heart and the spine."""
    fat, lung = person.hu["fat"], only(LOBES)
    painter.ellipsoid((0, -8, 195), (31, 66, 92), fat, labels.MEDIASTINUM, power=3.0, only=lung, rough=0.04)
    scale = person.heart_scale
    painter.ellipsoid(
        heart_centre(person) + np.array([0, -2, -4]),
        HEART_RADII * scale + (11, 10, 9),
        fat,
        labels.MEDIASTINUM,
        rotation=axes(),
        only=only(LOBES, labels.DIAPHRAGM),
    )
    heights = np.linspace(0, 280, 30)
    painter.tube([(0, spine_y(z) - 2, z) for z in heights], 25.0, fat, labels.MEDIASTINUM, only=lung)
    painter.ellipsoid((4, 32, 95), (30, 22, 120), fat, labels.MEDIASTINUM, power=3.0, only=lung)
    painter.tube([(0, cavity_at(z)[2] - cavity_at(z)[1] + 4, z) for z in np.linspace(90, 230, 12)], 11.0, fat,
                 labels.MEDIASTINUM, only=lung)  # fmt: skip


def axes() -> np.ndarray:
    """(3, 3) the heart's long, cross and short axes as orthonormal rows."""
    q, r = np.linalg.qr(HEART_AXES.T)
    return (q * np.sign(np.diag(r))).T


def heart_centre(person: Person) -> np.ndarray:
    """An enlarged heart grows to the left."""
    return HEART_CENTRE + (person.heart_scale - 1.0) * np.array([26.0, 0.0, 8.0])


def paint_heart(painter: Painter, person: Person) -> None:
    """Muscle and four chambers, all in the class heart."""
    scale, centre, rot, hu = person.heart_scale, heart_centre(person), axes(), person.hu
    label = NUMBER["heart"]
    painter.ellipsoid(centre, HEART_RADII * scale, hu["myocardium"], label, rotation=rot, rough=0.03,
                      phase=person.seed % 7)  # fmt: skip
    chambers = (  # along, across (to the back), up; radii; blood
        ((0.26, 0.34, 0.05), (33, 17, 19), "artery"),
        ((0.22, -0.42, -0.05), (36, 15, 25), "pulmonary"),
        ((-0.42, 0.52, 0.28), (24, 18, 22), "artery"),
        ((-0.55, -0.30, 0.05), (22, 18, 25), "pulmonary"),
    )
    for place, radii, blood in chambers:
        at = centre + (np.asarray(place) * HEART_RADII * scale) @ rot
        painter.ellipsoid(at, np.asarray(radii) * scale * (1.06 if scale > 1.1 else 1.0), hu[blood], label,
                          rotation=rot, only=only(label), soft_mm=4.0)  # fmt: skip


def paint_great_vessels(painter: Painter, person: Person) -> None:
    """Aorta from root to bifurcation with an aneurysm if there is one, its branches, caval and pulmonary vessels."""
    hu, rng = person.hu, np.random.default_rng([person.seed, 21])
    widen = rng.uniform(0.9, 1.12)
    pulmonary = hu["pulmonary"]
    painter.tube(curve([(14, -46, 122, 13), (18, -36, 150, 13.5), (24, -12, 162, 12), (44, 12, 158, 8)], 20)[:, :3],
                 np.linspace(13, 8, 20), pulmonary, labels.VESSEL)  # fmt: skip
    painter.tube(curve([(16, -24, 155), (-8, -4, 154), (-42, 8, 148)], 14), np.linspace(12, 8, 14), pulmonary,
                 labels.VESSEL)  # fmt: skip
    for s in SIDES.values():
        painter.tube(
            [(s * 14 + 4, 2, 118), (s * 46, 12, 122 + 4 * s)], [9, 6.5], hu["artery"], NUMBER["pulmonary_vein"]
        )
    painter.tube(curve([(-22, -24, 218), (-24, -22, 180), (-24, -22, 130)], 10), 9.0, hu["superior_cava"],
                 NUMBER["superior_vena_cava"])  # fmt: skip
    painter.tube(curve([(-20, -26, 216), (10, -44, 226), (40, -34, 250)], 10), 6.5, hu["superior_cava"],
                 NUMBER["brachiocephalic_vein_left"])  # fmt: skip
    painter.tube([(-22, -26, 218), (-40, -34, 252)], 6.5, hu["superior_cava"], NUMBER["brachiocephalic_vein_right"])
    up = curve(_AORTA_UP, 50)
    painter.tube(up[:, :3], up[:, 3] * widen, hu["artery"], NUMBER["aorta"])
    arteries = {
        "brachiocephalic_trunk": ((0, -22, 206), (-14, -14, 235), (-22, -10, 262)),
        "common_carotid_artery_left": ((10, -6, 212), (18, -6, 240), (24, -6, 300)),
        "subclavian_artery_left": ((18, 10, 208), (30, 2, 245), (70, -18, 262)),
    }
    for name, path in arteries.items():
        painter.tube(curve(path, 10), 5.5 if name.startswith("brachio") else 4.2, hu["artery"], NUMBER[name])
    paint_lower_aorta(painter, person, widen=widen)


def paint_lower_aorta(painter: Painter, person: Person, *, widen: float) -> None:
    """Descending aorta; an aneurysm carries a rim of thrombus and calcified plaques."""
    hu, rng = person.hu, np.random.default_rng([person.seed, 23])
    down = aorta_down()
    radii = down[:, 3] * widen
    lumen = radii - 1.0
    if person.aneurysm:
        z, radius = person.aneurysm
        bump = np.exp(-(((down[:, 2] - z) / (1.1 * radius + 12.0)) ** 2))
        radii = radii + (radius - np.interp(z, down[::-1, 2], radii[::-1])) * bump
        lumen = radii - 1.0 - 0.28 * radius * bump
        down = down.copy()
        down[:, 1] -= bump * (radius - 10.0) * 0.8  # it grows forwards, away from the spine
    painter.tube(down[:, :3], radii, hu["muscle"] - 8, NUMBER["aorta"])
    painter.tube(down[:, :3], lumen, hu["artery"], NUMBER["aorta"])
    for _ in range(int(rng.integers(0, 9))):
        n = int(rng.integers(20, len(down)))
        angle = rng.uniform(0, 2 * np.pi)
        at = down[n, :3] + radii[n] * np.array([np.cos(angle), np.sin(angle), 0.0])
        painter.ellipsoid(at, rng.uniform(1.2, 2.6, 3), 700.0, NUMBER["aorta"])


def paint_airway(painter: Painter, person: Person) -> None:
    """Trachea, main bronchi, oesophagus, thyroid."""
    wall, air = person.hu["muscle"] - 15, -985.0
    trachea = curve([(0, 4, 345), (0, 10, 280), (1, 16, 230), (3, 24, 178)], 24)
    painter.tube(curve([(3, 30, 345), (4, 31, 260), (6, 37, 178), (11, 28, 100), (20, 14, 58), (30, 8, 44)], 40), 7.2,
                 person.hu["bowel_wall"], NUMBER["esophagus"])  # fmt: skip
    painter.tube(trachea, 10.2, wall, labels.AIRWAY)
    painter.tube(trachea, 8.4, air, NUMBER["trachea"])
    for s in SIDES.values():
        path = curve([(3, 24, 178), (s * 20, 25, 161 - 2 * s), (s * 38, 22, 148)], 12)
        painter.tube(path, 8.0, wall, labels.AIRWAY)
        painter.tube(path, 6.2, air, labels.AIRWAY)
        painter.ellipsoid((s * 15, -6, 292), (9, 10, 20), person.hu["thyroid"], NUMBER["thyroid_gland"])


def paint_lung_vessels(painter: Painter, person: Person) -> None:
    """A branching tree of vessels in each lung, with bronchi along its first branches."""
    for side, s in SIDES.items():
        rng = np.random.default_rng([person.seed, 31, int(s > 0)])
        segments = vessel_tree(rng, side)
        inside = only(LOBES_OF[side])
        for start, end, r0, r1 in segments:
            painter.tube([start, end], [r0, r1], person.hu["pulmonary"] - 10, only=inside, soft_mm=1.6)
        for start, end, r0, r1 in segments[:16]:
            shift = np.array([0.0, 1.5 + r0 + r1 * 0.5, 0.0])
            painter.tube([start + shift, end + shift], [r0 + 0.6, r1 + 0.6], -120.0, only=inside, soft_mm=1.6)
            painter.tube([start + shift, end + shift], [max(r0 - 0.8, 0.6), max(r1 - 0.8, 0.6)], -975.0, only=inside,
                         soft_mm=1.6)  # fmt: skip


def vessel_tree(
    rng: np.random.Generator, side: str, n_tips: int = 240
) -> list[tuple[np.ndarray, np.ndarray, float, float]]:
    """Segments (start, end, radius at start, at end) from the hilum to points strewn over the lung.

    Tips are taken from near to far, and each is joined to the nearest place of the tree that lies nearer to the hilum.
    """
    s, hilum = SIDES[side], HILUM[side]
    z = rng.uniform(0.0, 252.0, n_tips)
    angle, reach = rng.uniform(0, 2 * np.pi, n_tips), np.sqrt(rng.uniform(0.03, 0.93, n_tips))
    half = np.array([cavity_at(value) for value in z])
    tips = np.stack(
        [s * (0.5 + 0.47 * reach * np.cos(angle)) * half[:, 0], half[:, 2] + reach * np.sin(angle) * half[:, 1], z],
        axis=1,
    )
    tips = tips[np.argsort(np.linalg.norm(tips - hilum, axis=1))]
    nodes, radii = [hilum], [6.0]
    segments = []
    for tip in tips:
        known = np.asarray(nodes)
        cost = np.linalg.norm(known - tip, axis=1) + 0.35 * np.linalg.norm(known - hilum, axis=1)
        n = int(np.argmin(cost))
        start, r0 = known[n], radii[n]
        r1 = max(0.95, r0 * float(rng.uniform(0.66, 0.84)))
        bend = (start + tip) / 2 + rng.normal(0.0, 3.0, 3)
        middle = (r0 * 0.9 + r1) / 2
        segments += [(start, bend, r0 * 0.9, middle), (bend, tip, middle, r1)]
        nodes += [bend, tip]
        radii += [middle, r1]
    return segments
