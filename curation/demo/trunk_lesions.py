"""Lesions that chest and abdomen share: aorta, lymph nodes, bones.

Enters: a `LesionBrush`. Leaves: altered volumes and the brush's records of what came out.
"""

from __future__ import annotations

import numpy as np

from curation.demo import bones, labels
from curation.demo.labels import LESION_NUMBER, LOBES, NUMBER
from curation.demo.lesions import LesionBrush
from curation.demo.painter import only, rotation_deg


def aortic_aneurysm(b: LesionBrush) -> None:
    """Recorded only: the aorta was painted wide."""
    if b.person.aneurysm is None:
        return
    z, radius = b.person.aneurysm
    v = b.voxels([NUMBER["aorta"]], margin_slices=0)
    p = b.painter.coordinates(v)
    v = v[(np.abs(p[:, 2] - z) < 1.1 * radius) & ((z < 50) | (p[:, 1] > 12))]
    b.mask[tuple(v.T)] = LESION_NUMBER["aortic_aneurysm"]
    region = "aorta_thoracic" if z > 20 else "aorta_abdominal"
    size = 2 * radius * float(b.scale[:2].mean())
    b.record("aortic_aneurysm", region, "", size, v, type="thoracic" if z > 20 else "abdominal")


_NODE_PLACES = {
    "lymph_nodes_mediastinal": (
        ("right paratracheal", (-15, 8, 196)),
        ("subcarinal", (0, 14, 146)),
        ("prevascular", (10, -46, 196)),
        ("aortopulmonary", (24, -8, 182)),
    ),
    "lymph_nodes_abdominal": (
        ("left para-aortic", (24, 4, -66)),
        ("aortocaval", (-6, -8, -80)),
        ("mesenteric", (18, -36, -112)),
        ("retrocaval", (-30, 10, -92)),
        ("left para-aortic", (20, 0, -96)),
    ),
}


def lymphadenopathy(b: LesionBrush) -> None:
    """Clusters of enlarged nodes in mediastinum and retroperitoneum."""
    heights = b.painter.z
    for region in ("lymph_nodes_mediastinal", "lymph_nodes_abdominal"):
        places = [p for p in _NODE_PLACES[region] if heights[6] < p[1][2] < heights[-6]]
        if not places or (b.has("lymphadenopathy") and b.rng.random() < 0.6):
            continue
        hosts = [labels.MEDIASTINUM, labels.ABDOMEN, labels.VESSEL, *labels.BOWEL]
        for n in b.rng.permutation(len(places))[: int(b.rng.integers(1, 3))]:
            name, centre = places[int(n)]
            biggest, voxels = 0.0, []
            for _ in range(int(b.rng.integers(1, 4))):
                short = float(b.rng.uniform(11, 24))
                at = np.asarray(centre) + b.rng.normal(0, 5, 3)
                voxels.append(
                    b.blob(
                        "lymphadenopathy",
                        at,
                        b.mm(short / 2, short / 2, short * 0.62),
                        b.person.hu["node"],
                        hosts,
                        rough=0.06,
                    )
                )
                biggest = max(biggest, short)
            b.record("lymphadenopathy", region, "", biggest, np.concatenate(voxels), type=name)


def vertebral_fracture(b: LesionBrush) -> None:
    """Recorded only: the vertebra was painted as a wedge."""
    if b.person.fracture is None:
        return
    name, loss = b.person.fracture
    v = b.voxels([NUMBER[name]], margin_slices=0)
    b.mask[tuple(v.T)] = LESION_NUMBER["vertebral_fracture"]
    b.record(
        "vertebral_fracture",
        name,
        "",
        0.0,
        v,
        type=f"{round(loss * 100 / 5) * 5}",
        level=name.removeprefix("vertebrae_"),
    )


def rib_fracture(b: LesionBrush) -> None:
    """A gap with callus in one rib."""
    side, n = b.side(), int(b.rng.integers(4, 10))
    path = bones.rib_path(n, side)
    at = path[int(b.rng.integers(7, 17))]
    name = f"rib_{side}_{n}"
    before = b.painter.label.copy()
    hosts = [NUMBER[name], labels.MUSCLE, labels.ABDOMEN, labels.DIAPHRAGM, *LOBES]
    b.painter.ellipsoid(at, (7.5, 6.5, 9.0), 260.0, labels.LESION, only=only(hosts), rough=0.2, soft_mm=4.0)
    b.painter.ellipsoid(at, (2.2, 6.0, 7.5), 75.0, labels.LESION, only=only(labels.LESION),
                        rotation=rotation_deg(z=b.rng.uniform(-50, 50)))  # fmt: skip
    before[b.painter.label == labels.LESION] = NUMBER[name]
    v = b.take("rib_fracture", None, before)
    b.record(
        "rib_fracture",
        name,
        side,
        0.0,
        v,
        level=str(n),
        place="posterior" if at[1] > 40 else ("anterior" if at[1] < -30 else "lateral"),
    )
