"""Lesions of the organs of abdomen and pelvis.

Enters: a `LesionBrush`. Leaves: altered volumes and the brush's records of what came out.
"""

from __future__ import annotations

import numpy as np

from curation.demo import abdomen, bones, labels
from curation.demo.labels import LESION_NUMBER, NUMBER
from curation.demo.lesions import LesionBrush, longest_mm
from curation.demo.trunk import cavity_at


def _solid(
    b: LesionBrush, kind: str, organ: str, *, hu: float, low: float, high: float, side: str = "", **words: str
) -> None:
    """One round lesion inside `organ`."""
    host = NUMBER[organ]
    size = float(np.exp(b.rng.uniform(np.log(low), np.log(high))))
    spot = b.spot([host], size * 0.42)
    if spot is None:
        return
    r = b.mm(size / 2, size / 2 * b.rng.uniform(0.82, 1), size / 2 * b.rng.uniform(0.82, 1))
    v = b.blob(kind, spot.at, r, hu, [host], rough=0.08, soft_mm=4.0)
    b.record(kind, organ, side, size, v, **words)


def liver_lesion(b: LesionBrush) -> None:
    """Cysts or other dark lesions, up to five."""
    cyst = b.rng.random() < 0.4
    hu = b.rng.uniform(2, 16) if cyst else b.person.hu["liver"] - b.rng.uniform(18, 55)
    for _ in range(int(b.rng.choice([1, 1, 2, 3, 5]))):
        _solid(b, "liver_lesion", "liver", hu=hu, low=9, high=45, type="cyst" if cyst else "hypodense")


def splenic_lesion(b: LesionBrush) -> None:
    """One dark lesion."""
    _solid(b, "splenic_lesion", "spleen", hu=b.person.hu["spleen"] - b.rng.uniform(25, 55), low=9, high=32)


def gallstone(b: LesionBrush) -> None:
    """Stones on the floor of the gallbladder."""
    centre = abdomen.gallbladder_centre(b.person)
    n = int(b.rng.choice([1, 1, 2, 3, 5]))
    biggest, voxels = 0.0, []
    for _ in range(n):
        size = float(b.rng.uniform(5, 17))
        at = centre + np.array([b.rng.uniform(-5, 5), 13.0 - size / 2, b.rng.uniform(-14, 12)])
        voxels.append(
            b.blob(
                "gallstone",
                at,
                b.mm(size / 2, size / 2, size / 2),
                b.rng.uniform(160, 700),
                [NUMBER["gallbladder"]],
                rough=0.05,
            )
        )
        biggest = max(biggest, size)
    b.record("gallstone", "gallbladder", "", biggest, np.concatenate(voxels), type="single" if n == 1 else "multiple")


def splenomegaly(b: LesionBrush) -> None:
    """Recorded only: the spleen was painted large."""
    v = b.voxels([NUMBER["spleen"]], margin_slices=0)
    b.record("splenomegaly", "spleen", "", longest_mm(b, v), v)


def hepatic_steatosis(b: LesionBrush) -> None:
    """Recorded only: the liver was painted dark."""
    b.record("hepatic_steatosis", "liver", "", 0.0, b.voxels([NUMBER["liver"]], margin_slices=0))


def kidney_stone(b: LesionBrush) -> None:
    """A stone in the collecting system of one kidney."""
    side = b.side()
    label = NUMBER[f"kidney_{side}"]
    size = float(np.exp(b.rng.uniform(np.log(4), np.log(15))))
    at = abdomen.kidney_centre(b.person, side) + np.array(
        [-bones.SIDES[side] * b.rng.uniform(4, 12), -3, b.rng.uniform(-20, 20)]
    )
    v = b.blob("kidney_stone", at, b.mm(size / 2, size / 2, size / 2), b.rng.uniform(350, 1100), [label], rough=0.1)
    place = (
        "lower"
        if at[2] < abdomen.kidney_centre(b.person, side)[2] - 7
        else ("upper" if at[2] > abdomen.kidney_centre(b.person, side)[2] + 7 else "mid")
    )
    b.record("kidney_stone", f"kidney_{side}", side, size, v, place=place)


def kidney_cyst(b: LesionBrush) -> None:
    """One or two cysts that bulge out of one kidney."""
    side = b.side()
    for _ in range(int(b.rng.choice([1, 1, 2]))):
        label, s = NUMBER[f"kidney_{side}"], bones.SIDES[side]
        size = float(np.exp(b.rng.uniform(np.log(10), np.log(48))))
        centre = abdomen.kidney_centre(b.person, side)
        dz = b.rng.uniform(-36, 36)
        at = centre + np.array(
            [s * (17 + size * 0.18) * np.sqrt(max(0.1, 1 - (dz / 50) ** 2)), b.rng.uniform(-6, 10), dz]
        )
        v = b.blob(
            "kidney_cyst", at, b.mm(*(np.full(3, size / 2))), b.rng.uniform(0, 14), [label, labels.ABDOMEN], rough=0.02
        )
        b.painter.label[tuple(v.T)] = NUMBER[f"kidney_cyst_{side}"]
        place = "lower" if dz < -13 else ("upper" if dz > 13 else "mid")
        b.record("kidney_cyst", f"kidney_{side}", side, size, v, place=place)


def hydronephrosis(b: LesionBrush) -> None:
    """Recorded only: the collecting system was painted wide."""
    if b.person.hydronephrosis is None:
        return
    side, grade = b.person.hydronephrosis
    v = b.take("hydronephrosis", NUMBER[f"kidney_{side}"])
    b.record(
        "hydronephrosis",
        f"kidney_{side}",
        side,
        0.0,
        v,
        type="mild" if grade < 0.4 else ("moderate" if grade < 0.75 else "severe"),
    )


def pancreatic_mass(b: LesionBrush) -> None:
    """A mass of head, body or tail."""
    place, centre = (("head", (-26, -23, -48)), ("body", (26, -17, -21)), ("tail", (70, 9, -2)))[
        int(b.rng.integers(0, 3))
    ]
    size = float(b.rng.uniform(17, 46))
    at = np.asarray(centre) + b.rng.normal(0, 2.5, 3)
    cystic = b.rng.random() < 0.25
    hu = b.rng.uniform(5, 18) if cystic else b.person.hu["pancreas"] - b.rng.uniform(12, 42)
    hosts = [NUMBER["pancreas"], labels.ABDOMEN, *labels.BOWEL, NUMBER["stomach"]]
    v = b.blob("pancreatic_mass", at, b.mm(size / 2, size / 2.2, size / 2.2), hu, hosts, rough=0.1, soft_mm=3.5)
    b.painter.label[tuple(v.T)] = NUMBER["pancreas"]
    b.record("pancreatic_mass", "pancreas", "", size, v, place=place, type="cystic" if cystic else "solid")


def bladder_stone(b: LesionBrush) -> None:
    """A stone on the floor of the bladder."""
    centre, radii = abdomen.bladder_shape(b.person)
    size = float(b.rng.uniform(8, 26))
    at = centre + np.array([b.rng.uniform(-12, 12), radii[1] - size / 2, b.rng.uniform(-8, 6)])
    v = b.blob(
        "bladder_stone",
        at,
        b.mm(size / 2, size / 2.4, size / 2),
        b.rng.uniform(400, 1000),
        [NUMBER["urinary_bladder"]],
        rough=0.08,
    )
    b.record("bladder_stone", "urinary_bladder", "", size, v)


def bladder_mass(b: LesionBrush) -> None:
    """A mass that grows from the side wall into the bladder."""
    centre, radii = abdomen.bladder_shape(b.person)
    size, side = float(b.rng.uniform(14, 40)), b.side()
    at = centre + np.array([bones.SIDES[side] * radii[0] * 0.82, b.rng.uniform(-6, 8), b.rng.uniform(-8, 8)])
    v = b.blob(
        "bladder_mass",
        at,
        b.mm(size / 2, size / 2, size / 2.3),
        b.person.hu["mass"],
        [NUMBER["urinary_bladder"]],
        rough=0.16,
    )
    b.record("bladder_mass", "urinary_bladder", "", size, v, place=side)


def ascites(b: LesionBrush) -> None:
    """Free fluid in the gutters and the pelvis."""
    where = b.voxels([labels.ABDOMEN], margin_slices=0)
    p = b.painter.coordinates(where)
    grade = float(b.rng.uniform(0, 1))
    heights = np.linspace(-380, 120, 101)
    half = np.array([cavity_at(z) for z in heights])
    a, depth, y0 = (np.interp(p[:, 2], heights, half[:, c]) for c in range(3))
    rim = (np.abs(p[:, 0]) / a) ** 2.5 + (np.abs(p[:, 1] - y0) / depth) ** 2.5
    gutter = (rim > 0.86 - 0.30 * grade) & (np.abs(p[:, 0]) > 0.6 * a) & (p[:, 1] > -30 - 30 * grade)
    pelvis = (p[:, 2] < -238 + 30 * grade) & (p[:, 1] > -25 - 20 * grade) & (rim < 1.0)
    chosen = where[gutter | pelvis]
    b.painter.hu[tuple(chosen.T)] = b.rng.uniform(4, 16)
    b.painter.label[tuple(chosen.T)] = labels.FLUID
    b.mask[tuple(chosen.T)] = LESION_NUMBER["ascites"]
    b.record(
        "ascites",
        "peritoneum",
        "",
        0.0,
        chosen,
        type="small" if grade < 0.35 else ("moderate" if grade < 0.75 else "large"),
    )
