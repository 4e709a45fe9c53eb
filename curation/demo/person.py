"""A person to be scanned: proportions, tissue HU by contrast phase, and what the whole body needs to know.

Enters: a seed and what was drawn for the person. Leaves: a `Person`. Refuses to paint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from curation.demo.painter import BodyMap

PHASES = ("none", "arterial", "portal")

# HU of tissue per phase (none, arterial, portal venous): ordinary textbook ranges, rounded by hand.
_HU = {
    "artery": (42, 310, 155),
    "vein": (42, 75, 150),
    "portal_vein": (42, 95, 170),
    "pulmonary": (42, 240, 150),
    "superior_cava": (42, 330, 150),
    "myocardium": (42, 100, 105),
    "liver": (57, 68, 112),
    "spleen": (48, 112, 122),
    "kidney_cortex": (33, 170, 188),
    "kidney_medulla": (31, 75, 165),
    "kidney_pelvis": (3, 5, 30),
    "pancreas": (40, 98, 96),
    "adrenal": (28, 55, 68),
    "bowel_wall": (38, 68, 82),
    "muscle": (54, 58, 64),
    "prostate": (40, 55, 75),
    "node": (38, 72, 90),
    "mass": (36, 62, 78),
    "water": (5, 5, 6),
    "thyroid": (95, 170, 160),
    "lung": (-855, -848, -845),
    "fat": (-104, -103, -102),
}


@dataclass(frozen=True)
class Person:
    """What fixes a person's anatomy and how contrast fills it.

    Parameters
    ----------
    body : BodyMap
    seed : int
        Of everything that the anatomy draws for itself.
    sex : str
        M or F.
    fat_mm, visceral_fat : float
        Thickness of the subcutaneous fat, body mm; share of it around organs.
    hu : mapping
        HU by tissue.
    bone_marrow_hu, bone_cortex_hu : float
    heart_scale, spleen_scale : float
        1 is ordinary.
    aneurysm : (z body mm, radius body mm) or None
    fracture : (label of a vertebra, relative loss of anterior height) or None
    hydronephrosis : side or None, and grade 0..1
    has_gallbladder : bool
    """

    body: BodyMap
    seed: int
    sex: str
    fat_mm: float
    hu: Mapping[str, float]
    bone_marrow_hu: float
    bone_cortex_hu: float
    heart_scale: float = 1.0
    spleen_scale: float = 1.0
    aneurysm: tuple[float, float] | None = None
    fracture: tuple[str, float] | None = None
    hydronephrosis: tuple[str, float] | None = None
    lung_shift_hu: float = 0.0
    tags: Mapping[str, float] = field(default_factory=dict)


def tissue_hu(rng: np.random.Generator, phase: str, *, steatosis: bool) -> dict[str, float]:
    """HU of every tissue in a contrast phase, with the person's own deviation; a fatty liver is darker."""
    column = PHASES.index(phase)
    hu = {name: float(values[column]) for name, values in _HU.items()}
    strength = rng.uniform(0.8, 1.2)
    for name, values in _HU.items():
        if column and name not in ("fat", "lung"):
            hu[name] = values[0] + (values[column] - values[0]) * strength
        hu[name] += rng.normal(0.0, 14.0 if name == "lung" else 2.5)
    if steatosis:
        hu["liver"] -= rng.uniform(28.0, 50.0)
    return hu


def draw_body(rng: np.random.Generator, *, sex: str, size: float) -> BodyMap:
    """Proportions and warp of a person; `size` runs from 0 (small, thin) to 1 (large)."""
    height = (0.97 if sex == "M" else 0.91) + rng.normal(0.0, 0.03)
    girth = 0.86 + 0.20 * size + rng.normal(0.0, 0.02)
    scale = np.array([girth * rng.uniform(0.97, 1.05), girth * rng.uniform(0.93, 1.06), height])
    terms = 3
    wavelength = rng.uniform(90.0, 300.0, (3, terms, 3))
    amplitude = rng.uniform(0.8, 3.4, (3, terms)) * np.array([1.0, 1.0, 1.2])[:, None]
    return BodyMap(
        scale=scale,
        amplitude=amplitude,
        frequency=2.0 * np.pi / wavelength,
        phase=rng.uniform(0.0, 2.0 * np.pi, (3, terms, 3)),
    )
