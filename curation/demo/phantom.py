"""A whole phantom: the order in which anatomy is painted, and the texture of tissue.

Enters: a grid and a person. Leaves: a `Painter` whose volumes hold the anatomy without lesions.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from curation.demo import abdomen, bones, chest, labels, trunk
from curation.demo.labels import NUMBER
from curation.demo.painter import GridSpec, Painter
from curation.demo.person import Person

_TILE = 64


def paint_anatomy(grid: GridSpec, person: Person) -> Painter:
    """Paint everything that a healthy person, or one with the person's build, has."""
    painter = Painter(grid, person.body)
    trunk.paint_trunk(painter, person)
    chest.paint_mediastinum(painter, person)
    bones.paint_muscles(painter, person)
    bones.paint_thoracic_cage(painter, person)
    bones.paint_spine(painter, person)
    bones.paint_pelvis(painter, person)
    chest.paint_heart(painter, person)
    abdomen.paint_upper_organs(painter, person)
    abdomen.paint_lower_vessels(painter, person)
    chest.paint_great_vessels(painter, person)
    chest.paint_airway(painter, person)
    chest.paint_lung_vessels(painter, person)
    abdomen.paint_pelvic_organs(painter, person)
    abdomen.paint_gut(painter, person)
    return painter


def texture_amplitude() -> np.ndarray:
    """(256,) standard deviation of the texture per label, HU."""
    amplitude = np.full(256, 6.0, dtype=np.float32)
    amplitude[0] = 0.0
    amplitude[list(labels.BONES)] = 55.0
    amplitude[list(labels.LOBES)] = 24.0
    amplitude[list(labels.BOWEL)] = 16.0
    amplitude[[labels.ABDOMEN, labels.MEDIASTINUM, labels.FAT]] = 9.0
    amplitude[[labels.MUSCLE]] = 9.0
    amplitude[[NUMBER["pancreas"]]] = 13.0
    amplitude[[NUMBER["trachea"], labels.AIRWAY, labels.FLUID, NUMBER["urinary_bladder"], NUMBER["gallbladder"]]] = 2.0
    return amplitude


def add_texture(painter: Painter, rng: np.random.Generator) -> None:
    """Modulate HU by two scales of correlated noise, as strong as the tissue is uneven."""
    tiles = np.stack([_tile(rng, 1.1), _tile(rng, 2.6)])
    _texture(painter.hu, painter.label, tiles, texture_amplitude(), rng.integers(0, _TILE, 3))


def _tile(rng: np.random.Generator, sigma_vox: float) -> np.ndarray:
    """A (64, 64, 64) block of smooth noise that repeats without a seam, unit variance."""
    spectrum = np.fft.rfftn(rng.standard_normal((_TILE, _TILE, _TILE)))
    f = np.fft.fftfreq(_TILE)
    g = np.exp(-2 * (np.pi * sigma_vox * f) ** 2)
    spectrum *= g[:, None, None] * g[None, :, None] * g[None, None, : _TILE // 2 + 1]
    tile = np.fft.irfftn(spectrum, s=(_TILE,) * 3)
    return (tile / tile.std()).astype(np.float32)


@njit(cache=True)
def _texture(hu, label, tiles, amplitude, shift):  # type: ignore[no-untyped-def]
    for k in range(hu.shape[0]):
        for j in range(hu.shape[1]):
            for i in range(hu.shape[2]):
                a = amplitude[label[k, j, i]]
                if a > 0.0:
                    # the two tiles slide against each other so that the repeat does not show
                    fine = tiles[0, (k + shift[0]) % 64, (j + shift[1]) % 64, (i + shift[2]) % 64]
                    coarse = tiles[1, (k + j // 7) % 64, (j + i // 5) % 64, (i + k // 6) % 64]
                    hu[k, j, i] += a * (0.75 * fine + 0.66 * coarse)
