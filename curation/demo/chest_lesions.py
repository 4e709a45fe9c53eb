"""Lesions of lungs, pleura and heart.

Enters: a `LesionBrush`. Leaves: altered volumes and the brush's records of what came out.
"""

from __future__ import annotations

import numpy as np

from curation.demo import chest, labels
from curation.demo.labels import LESION_NUMBER, LOBES, LOBES_OF, NAME, NUMBER
from curation.demo.lesions import LesionBrush, depth_mm, longest_mm, side_of
from curation.demo.painter import only, rotation_deg
from curation.demo.trunk import cavity_at


def lung_nodule(b: LesionBrush) -> None:
    """One to three nodules, solid or ground-glass."""
    for _ in range(int(b.rng.choice([1, 1, 1, 2, 3]))):
        size = float(np.exp(b.rng.uniform(np.log(6.0), np.log(24.0))))
        spot = b.spot(LOBES, size / 2 + 3.0)
        if spot is None:
            continue
        lobe = NAME[spot.label]
        ground_glass = b.rng.random() < 0.18
        hu = b.rng.uniform(-620, -420) if ground_glass else b.rng.uniform(5, 60)
        r = b.mm(size / 2, size / 2 * b.rng.uniform(0.8, 1), size / 2 * b.rng.uniform(0.8, 1))
        v = b.blob("lung_nodule", spot.at, r, hu, LOBES, rough=0.12)
        b.record("lung_nodule", lobe, side_of(lobe), size, v, type="ground-glass" if ground_glass else "solid")


def consolidation(b: LesionBrush) -> None:
    """Patchy filling of part of a lobe, with air bronchograms."""
    spot = b.spot(LOBES, 16.0)
    if spot is None:
        return
    at, lobe, size = spot.at, NAME[spot.label], float(b.rng.uniform(30, 75))
    before, host = b.painter.label.copy(), only(spot.label, labels.LESION)
    for _ in range(int(b.rng.integers(8, 18))):
        way = b.rng.normal(0, size / 5.5, 3)
        b.painter.ellipsoid(
            at + way,
            b.mm(*(size * b.rng.uniform(0.14, 0.3, 3))),
            b.rng.uniform(-160, 45),
            labels.LESION,
            only=host,
            rough=0.25,
            phase=b.rng.uniform(0, 6),
            soft_mm=7.0,
        )
    for _ in range(4):  # air bronchograms
        path = [at + b.rng.normal(0, size / 7, 3) for _ in range(2)]
        b.painter.tube(path, 1.7, -700.0, only=only(labels.LESION))
    v = b.take("consolidation", None, before)
    b.record("consolidation", lobe, side_of(lobe), longest_mm(b, v), v)


def pleural_effusion(b: LesionBrush) -> None:
    """Fluid that collects behind and below, with collapsed lung on top."""
    sides = ["left", "right"] if b.rng.random() < 0.3 else [b.side()]
    for side in sides:
        where = b.voxels(LOBES_OF[side], margin_slices=0)
        p = b.painter.coordinates(where)
        depth = float(b.rng.uniform(12, 55))
        top = 20.0 + 2.2 * depth
        level = 88.0 - (depth / b.scale[1]) * np.clip(1.15 - np.maximum(p[:, 2] + 10, 0) / top, 0, 1) ** 0.8
        level -= 0.06 * (np.abs(p[:, 0]) - 65)  # the meniscus climbs along the chest wall
        under = p[:, 1] > level
        chosen = where[under]
        collapsed = where[(p[:, 1] > level - 7) & ~under & (p[:, 2] < top * 0.7)]
        b.painter.hu[tuple(collapsed.T)] = 35.0 + b.rng.normal(0, 25, len(collapsed))
        b.painter.hu[tuple(chosen.T)] = b.rng.uniform(2, 18)
        b.painter.label[tuple(chosen.T)] = labels.FLUID
        b.mask[tuple(chosen.T)] = LESION_NUMBER["pleural_effusion"]
        size = "small" if depth < 24 else ("moderate" if depth < 40 else "large")
        deep = depth_mm(b, chosen)
        b.record("pleural_effusion", f"pleura_{side}", side, deep, chosen, type=size)


def emphysema(b: LesionBrush) -> None:
    """Many small dark holes in the upper lobes."""
    upper = [NUMBER["lung_upper_lobe_left"], NUMBER["lung_upper_lobe_right"]]
    where = b.voxels(upper)
    grade = b.rng.uniform(0.25, 1.0)
    before = b.painter.label.copy()
    points = b.painter.coordinates(where[b.rng.integers(0, len(where), int(120 + 380 * grade))])
    for point in points:
        b.painter.ellipsoid(point, b.rng.uniform(2.5, 5 + 5 * grade, 3), b.rng.uniform(-985, -945), labels.LESION,
                            only=only(upper, labels.LESION))  # fmt: skip
    v = b.take("emphysema", None, before)
    b.record(
        "emphysema",
        "lungs",
        "bilateral",
        0.0,
        v,
        type="mild" if grade < 0.5 else ("moderate" if grade < 0.75 else "severe"),
    )


def atelectasis(b: LesionBrush) -> None:
    """Thin plates in a lower lobe."""
    side = b.side()
    lobe = NUMBER[f"lung_lower_lobe_{side}"]
    spot = b.spot([lobe], 5.0, lambda p: p[:, 2] < 90)
    if spot is None:
        return
    before = b.painter.label.copy()
    for _ in range(int(b.rng.integers(1, 4))):
        turn = rotation_deg(*b.rng.uniform(-22, 22, 3))
        b.painter.ellipsoid(
            spot.at + b.rng.normal(0, 6, 3),
            b.mm(b.rng.uniform(18, 34), b.rng.uniform(12, 24), b.rng.uniform(2, 4)),
            b.rng.uniform(-80, 40),
            labels.LESION,
            only=only(lobe, labels.LESION),
            rotation=turn,
        )
    v = b.take("atelectasis", None, before)
    b.record("atelectasis", NAME[lobe], side, longest_mm(b, v), v)


def pneumothorax(b: LesionBrush) -> None:
    """Air in front of one lung."""
    side = b.side()
    where = b.voxels(LOBES_OF[side], margin_slices=0)
    p = b.painter.coordinates(where)
    depth = float(b.rng.uniform(10, 34))
    front = np.array([cavity_at(z)[2] - cavity_at(z)[1] for z in np.linspace(-40, 290, 67)])
    edge = np.interp(p[:, 2], np.linspace(-40, 290, 67), front)
    chosen = where[
        (p[:, 1] < edge + depth / b.scale[1] * np.clip((p[:, 2] + 40) / 160, 0.2, 1.25)) & (np.abs(p[:, 0]) > 30)
    ]
    b.painter.hu[tuple(chosen.T)] = -999.0
    b.painter.label[tuple(chosen.T)] = labels.FLUID
    b.mask[tuple(chosen.T)] = LESION_NUMBER["pneumothorax"]
    b.record("pneumothorax", f"pleura_{side}", side, depth_mm(b, chosen), chosen,
             type="small" if depth < 20 else "moderate")  # fmt: skip


def pericardial_effusion(b: LesionBrush) -> None:
    """A shell of fluid around the heart."""
    thick = float(b.rng.uniform(6, 17))
    p = b.person
    before = b.painter.label.copy()
    b.painter.ellipsoid(
        chest.heart_centre(p),
        chest.HEART_RADII * p.heart_scale + thick,
        b.rng.uniform(6, 22),
        labels.LESION,
        rotation=chest.axes(),
        only=only(labels.MEDIASTINUM, LOBES),
    )
    before[b.painter.label == labels.LESION] = labels.FLUID
    v = b.take("pericardial_effusion", None, before)
    b.record("pericardial_effusion", "pericardium", "", round(thick), v, type="small" if thick < 11 else "moderate")


def cardiomegaly(b: LesionBrush) -> None:
    """Recorded only: the heart was painted large."""
    v = b.voxels([NUMBER["heart"]], margin_slices=0)
    b.record("cardiomegaly", "heart", "", 0.0, v, type="mild" if b.person.heart_scale < 1.3 else "marked")
