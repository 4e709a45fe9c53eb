"""Organs of abdomen and pelvis.

Enters: a painter with trunk and bones, a person. Leaves: liver, gallbladder, spleen, kidneys, adrenals, pancreas,
stomach, bowel, bladder, prostate or uterus, and the vessels between them.
"""

from __future__ import annotations

import numpy as np

from curation.demo import labels
from curation.demo.bones import SIDES
from curation.demo.labels import NUMBER
from curation.demo.painter import Painter, curve, only, rotation_deg
from curation.demo.person import Person

CAVITY = only(labels.ABDOMEN)
GAS_HU = -920.0


def kidney_centre(person: Person, side: str) -> np.ndarray:
    """Centre of a kidney, body mm; the right one lies lower."""
    rng = np.random.default_rng([person.seed, 41, int(side == "left")])
    return np.array([SIDES[side] * 63.0, 32.0, -44.0 if side == "left" else -58.0]) + rng.normal(0.0, [3.0, 3.0, 7.0])


def paint_upper_organs(painter: Painter, person: Person) -> None:
    """Liver with its vessels, gallbladder, spleen, kidneys, adrenals."""
    rng = np.random.default_rng([person.seed, 43])
    jitter = rng.normal(0.0, 1.0, (8, 3))
    hu, phase = person.hu, person.seed % 9
    grow = rng.uniform(0.9, 1.1)
    inside = only(labels.ABDOMEN, NUMBER["liver"])
    liver = NUMBER["liver"]
    painter.ellipsoid(np.array([-76, -2, 8]) + 3 * jitter[0], np.array([64, 82, 80]) * grow, hu["liver"], liver,
                      power=2.5, only=inside, rough=0.05, phase=phase, shear_z=(-0.3, 0.0))  # fmt: skip
    painter.ellipsoid(np.array([-18, -44, 26]) + 3 * jitter[1], np.array([66, 36, 36]) * grow, hu["liver"], liver,
                      rotation=rotation_deg(y=8), only=inside, rough=0.06, phase=phase + 1)  # fmt: skip
    spleen = np.array([102, 34, 8]) + 3 * jitter[2]
    painter.ellipsoid(spleen, np.array([22, 44, 50]) * person.spleen_scale * rng.uniform(0.9, 1.06), hu["spleen"],
                      NUMBER["spleen"], rotation=rotation_deg(z=24, x=10), only=CAVITY, rough=0.05,
                      phase=phase + 2)  # fmt: skip
    _liver_vessels(painter, person, rng)
    _kidneys(painter, person, rng)
    for side, s in SIDES.items():
        at = kidney_centre(person, side) + np.array([-s * 22, -16, 52])
        for limb in ((-s * 2, 9, -12), (s * 10, 8, -12)):
            painter.tube([at, at + np.asarray(limb)], [2.9, 2.4], hu["adrenal"], NUMBER[f"adrenal_gland_{side}"],
                         only=CAVITY)  # fmt: skip
    bladder = gallbladder_centre(person)
    painter.ellipsoid(bladder, (14.5, 17, 25), hu["bowel_wall"], NUMBER["gallbladder"], rotation=rotation_deg(x=24))
    painter.ellipsoid(bladder, (12.8, 15.2, 23), person.tags.get("bile", 8.0), NUMBER["gallbladder"],
                      rotation=rotation_deg(x=24))  # fmt: skip


def gallbladder_centre(person: Person) -> np.ndarray:
    """Centre of the gallbladder, under the liver, body mm."""
    rng = np.random.default_rng([person.seed, 47])
    return np.array([-54.0, -48.0, -44.0]) + rng.normal(0.0, 4.0, 3)


def _liver_vessels(painter: Painter, person: Person, rng: np.random.Generator) -> None:
    hu, liver = person.hu, only(NUMBER["liver"])
    portal = hu["portal_vein"] if abs(hu["portal_vein"] - hu["liver"]) > 12 else hu["liver"] - 14
    for name, root, value in (("portal", (-28, -12, -8), portal), ("hepatic", (-24, 4, 52), hu["vein"])):
        for _ in range(9 if name == "portal" else 5):
            far = np.array([rng.uniform(-128, -8), rng.uniform(-70, 55), rng.uniform(-60, 52)])
            bend = 0.55 * np.asarray(root) + 0.45 * far + rng.normal(0, 9, 3)
            path = curve([root, bend, far], 9)
            painter.tube(path, np.linspace(4.8, 1.2, 9), value, only=liver)
    painter.tube(curve([(-30, -14, -6), (-12, -22, -22), (0, -22, -34)], 8), 6.5, hu["portal_vein"],
                 NUMBER["portal_vein_and_splenic_vein"])  # fmt: skip


def _kidneys(painter: Painter, person: Person, rng: np.random.Generator) -> None:
    hu = person.hu
    for side, s in SIDES.items():
        at, turn = kidney_centre(person, side), rotation_deg(y=s * 12, z=-s * 28)
        size = np.array([27.0, 24.0, 52.0]) * rng.uniform(0.88, 1.08)
        label = NUMBER[f"kidney_{side}"]
        painter.ellipsoid(at, size, hu["kidney_cortex"], label, rotation=turn, rough=0.04, phase=s + person.seed % 5,
                          only=only(labels.ABDOMEN, NUMBER[f"iliopsoas_{side}"], labels.MUSCLE, NUMBER["liver"],
                                    NUMBER["spleen"]))  # fmt: skip
        for _ in range(9):  # pyramids
            way = rng.normal(0, 1, 3)
            way /= np.linalg.norm(way)
            painter.ellipsoid(at + way * size * 0.55, size * 0.24, hu["kidney_medulla"], label, only=only(label))
        sinus = at + np.array([-s * 13.0, -6.0, 0.0])
        painter.ellipsoid(sinus, (15, 9, 25), hu["fat"] + 15, label, rotation=turn, only=only(label))
        painter.tube(
            [sinus + np.array([0, 0, 14]), sinus, sinus - np.array([0, 0, 14])],
            3.6,
            hu["kidney_pelvis"],
            only=only(label),
        )
        painter.tube(
            curve([sinus, (s * 30, 4, at[2] - 4), (s * 14 - 4, 2, at[2] + 2)], 8),
            3.6,
            hu["vein"],
            labels.VESSEL,
            only=CAVITY,
        )
        if person.hydronephrosis and person.hydronephrosis[0] == side:
            paint_hydronephrosis(painter, person, side)


def paint_hydronephrosis(painter: Painter, person: Person, side: str) -> None:
    """A dilated renal pelvis and calyces, and a dilated upper ureter."""
    s, at = SIDES[side], kidney_centre(person, side)
    grade = person.hydronephrosis[1] if person.hydronephrosis else 0.0
    water, label = person.hu["water"] + 4, only(NUMBER[f"kidney_{side}"], labels.ABDOMEN, labels.VESSEL)
    pelvis = at + np.array([-s * 14.0, -7.0, -2.0])
    painter.ellipsoid(pelvis, np.array([13, 10, 17]) * (0.75 + 0.5 * grade), water, labels.LESION, only=label)
    for dz in (-24.0, -8.0, 10.0, 26.0):
        painter.ellipsoid(
            at + np.array([-s * 3, 0, dz]), np.array([8, 8, 7]) * (0.7 + 0.5 * grade), water, labels.LESION, only=label
        )
    painter.tube(curve([pelvis, (s * 40, 8, at[2] - 45), (s * 38, 2, at[2] - 85)], 10), 3.0 + 2.0 * grade, water,
                 labels.LESION, only=label)  # fmt: skip


def paint_gut(painter: Painter, person: Person) -> None:
    """Pancreas, stomach, duodenum, colon with gas and stool, loops of small bowel."""
    rng = np.random.default_rng([person.seed, 51])
    hu = person.hu
    drunk = 15.0 if rng.random() < 0.7 else 190.0  # water or oral contrast
    pancreas = curve(
        [
            (-30, -20, -58, 11),
            (-22, -24, -42, 12),
            (-2, -28, -32, 8.5),
            (28, -16, -20, 9),
            (60, 4, -6, 8.5),
            (82, 14, 4, 7),
        ],
        26,
    )
    pancreas[:, :3] += np.sin(np.arange(26) * 0.9 + person.seed % 6)[:, None] * (0.8, 1.2, 1.5)
    into = only(labels.ABDOMEN, labels.VESSEL)
    for n in range(25):
        painter.ellipsoid(pancreas[n, :3], pancreas[n, 3] * rng.uniform(0.86, 1.08, 3), hu["pancreas"],
                          NUMBER["pancreas"], only=into, rough=0.14, phase=float(n))  # fmt: skip
    painter.tube(curve([(0, -18, -36), (30, -8, -24), (60, 10, -8), (86, 22, 4)], 14), 3.9, hu["portal_vein"],
                 NUMBER["portal_vein_and_splenic_vein"], only=only(labels.ABDOMEN, NUMBER["pancreas"]))  # fmt: skip
    full = rng.uniform(0.7, 1.12)
    stomach = curve([(34, 2, 46, 18), (58, 0, 40, 30), (66, -28, 12, 31), (50, -48, -16, 25), (14, -56, -34, 18),
                     (-16, -48, -34, 12)], 26)  # fmt: skip
    stomach[:, 3] *= full
    for n in range(26):
        painter.ellipsoid(stomach[n, :3], stomach[n, 3] * np.ones(3), hu["bowel_wall"], NUMBER["stomach"],
                          only=only(labels.ABDOMEN, NUMBER["stomach"]))  # fmt: skip
    level = rng.uniform(-44, -18)
    for n in range(26):
        r = stomach[n, 3] - 3.4
        painter.ellipsoid(stomach[n, :3], r * np.ones(3), drunk + 15, NUMBER["stomach"], only=only(NUMBER["stomach"]),
                          gas_hu=GAS_HU, gas_level=(level - stomach[n, 1]) / r)  # fmt: skip
    duodenum = curve([(-20, -46, -34), (-44, -30, -44), (-46, -12, -78), (-20, -4, -98), (20, -10, -88)], 22)
    _lumen(painter, person, duodenum, np.full(22, 10.5), NUMBER["duodenum"], drunk, rng, gas=0.1)
    _colon(painter, person, rng)
    _small_bowel(painter, person, rng, drunk)


def _lumen(painter: Painter, person: Person, path: np.ndarray, radii: np.ndarray, label: int, content_hu: float,
           rng: np.random.Generator, *, gas: float) -> None:  # fmt: skip
    """A wall around a content that changes along the way; `gas` is the share of stretches that hold gas."""
    into = only(labels.ABDOMEN)
    painter.tube(path, radii, person.hu["bowel_wall"], label, only=into)
    n = 0
    while n < len(path) - 1:
        step = int(rng.integers(2, 6))
        piece = slice(n, min(n + step + 1, len(path)))
        airy = rng.random() < gas
        painter.tube(path[piece], radii[piece] - 2.3, content_hu + rng.normal(0, 12), label, only=only(label),
                     gas_hu=GAS_HU if airy else None, gas_level=rng.uniform(-0.5, 0.7))  # fmt: skip
        n += step


def _colon(painter: Painter, person: Person, rng: np.random.Generator) -> None:
    rectum = [(0, 42, -316), (4, 40, -280), (8, 28, -242)]
    left = [(34, -8, -222), (66, -22, -208), (96, 6, -180), (104, 22, -120), (106, 26, -50), (100, 2, -2)]
    across = [(70, -62, -40), (30, -72, -78), (-20, -72, -82), (-70, -58, -60), (-100, -10, -62)]
    right = [(-104, 14, -100), (-100, 10, -150), (-84, -12, -196)]
    way = np.asarray(rectum + left + across + right, dtype=float)
    way[3:] += rng.normal(0.0, 5.0, (len(way) - 3, 3))
    path = curve(way, 120)
    wave = 1.0 + 0.14 * np.sin(np.arange(120) * 1.15)
    size = rng.uniform(13.0, 18.0) * np.interp(np.arange(120), [0, 25, 60, 119], [1.0, 0.85, 1.05, 1.45])
    _lumen(painter, person, path, size * wave, NUMBER["colon"], rng.uniform(15, 60), rng, gas=rng.uniform(0.3, 0.75))


def _small_bowel(painter: Painter, person: Person, rng: np.random.Generator, drunk: float) -> None:
    """Loops that wander over the middle of the abdomen."""
    for loop in range(11):
        at = np.array([rng.uniform(-60, 60), rng.uniform(-62, -20), -78.0 - 15.0 * loop + rng.uniform(-8, 8)])
        points = [at]
        way = rng.normal(0, 1, 3)
        for _ in range(9):
            way = 0.45 * way + rng.normal(0, 1, 3) * (1.0, 0.7, 0.6)
            step = points[-1] + 26 * way / np.linalg.norm(way)
            limit = 78 if step[2] > -200 else 45
            points.append(np.clip(step, (-limit, -72, -262), (limit, -6, -66)))
        path = curve(points, 40)
        _lumen(painter, person, path, np.full(40, rng.uniform(9.5, 13.5)), NUMBER["small_bowel"],
               drunk if rng.random() < 0.6 else 22.0, rng, gas=0.15)  # fmt: skip


def bladder_shape(person: Person) -> tuple[np.ndarray, np.ndarray]:
    """Centre and radii of the bladder's lumen, body mm."""
    rng = np.random.default_rng([person.seed, 61])
    fill = rng.uniform(0.75, 1.25)
    radii = np.array([38.0, 27.0, 26.0]) * fill
    return np.array([0.0, -28.0, -300.0 + radii[2]]), radii


def paint_pelvic_organs(painter: Painter, person: Person) -> None:
    """Bladder; prostate or uterus."""
    centre, radii = bladder_shape(person)
    label = NUMBER["urinary_bladder"]
    into = only(labels.ABDOMEN, labels.BOWEL)
    painter.ellipsoid(centre, radii + 3.0, person.hu["bowel_wall"], label, only=into, rough=0.03, power=2.2)
    painter.ellipsoid(centre, radii, person.hu["water"], label, only=only(label), rough=0.03, power=2.2)
    if person.sex == "M":
        painter.ellipsoid((0, -16, -318), (21, 16, 17), person.hu["prostate"], NUMBER["prostate"],
                          only=only(labels.ABDOMEN, labels.MUSCLE, label))  # fmt: skip
    else:
        painter.ellipsoid(
            (3, 10, -268), (25, 17, 32), person.hu["prostate"] + 8, labels.VESSEL, only=CAVITY, rough=0.08
        )


def paint_lower_vessels(painter: Painter, person: Person) -> None:
    """Inferior cava, iliac vessels, mesenteric and coeliac stems."""
    hu = person.hu
    painter.tube(curve([(-18, 2, -128), (-20, 5, -60), (-21, 8, 0), (-24, 2, 45), (-24, -10, 82)], 30), 9.6, hu["vein"],
                 NUMBER["inferior_vena_cava"])  # fmt: skip
    for side, s in SIDES.items():
        artery = curve(
            [(2, -2, -122), (s * 26, 2, -160), (s * 48, 10, -205), (s * 66, -30, -262), (s * 72, -52, -300)], 18
        )
        painter.tube(artery + np.array([0.0, 6.0, -4.0]), 6.0, hu["vein"], NUMBER[f"iliac_vena_{side}"])
        painter.tube(artery, 4.9, hu["artery"], NUMBER[f"iliac_artery_{side}"])
    painter.tube(curve([(6, -6, -30), (4, -22, -58), (2, -34, -120)], 10), 3.4, hu["artery"], labels.VESSEL)
    painter.tube(curve([(-2, -24, -34), (-6, -30, -70), (-6, -38, -130)], 10), 4.6, hu["portal_vein"], labels.VESSEL)
    painter.tube(curve([(7, 0, -14), (6, -18, -10), (-14, -20, -2)], 8), 3.2, hu["artery"], labels.VESSEL)
