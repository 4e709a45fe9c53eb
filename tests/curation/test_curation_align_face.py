"""A face is taken off or the volume withheld; what is behind it stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from curation.align.face import DEPTH_MM, face_boxes, remove_face
from curation.align.locate import locate_regions
from curation.align.records import Location, RegionBox

AIR, SKIN, BONE, BRAIN = -1000, 40, 900, 35


def head(spacing_mm: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """A skull with brain on a neck, nose in front: RAS, mm; the chin at z 0, the vertex at z 200."""
    x = np.arange(-120, 120, spacing_mm)[:, None, None]
    y = np.arange(-130, 130, spacing_mm)[None, :, None]
    z = np.arange(-60, 212, spacing_mm)[None, None, :]
    hu = np.full(np.broadcast_shapes(x.shape, y.shape, z.shape), AIR, dtype=np.int16)

    def ball(center: tuple[float, float, float], axes: tuple[float, float, float]) -> np.ndarray:
        return sum(((a - c) / r) ** 2 for a, c, r in zip((x, y, z), center, axes, strict=True)) < 1

    hu[np.broadcast_to((x / 60) ** 2 + ((y + 15) / 60) ** 2 < 1, hu.shape) & (z < 70)] = SKIN  # neck
    hu[np.broadcast_to((x / 18) ** 2 + ((y + 25) / 18) ** 2 < 1, hu.shape) & (z < 90)] = 400  # cervical spine
    hu[ball((0, 20, 50), (62, 72, 70))] = SKIN  # face
    hu[ball((0, 92, 60), (14, 20, 22))] = SKIN  # nose
    hu[ball((0, 0, 125), (80, 98, 80))] = SKIN  # scalp
    hu[ball((0, 0, 125), (75, 93, 75))] = BONE
    hu[ball((0, 0, 125), (68, 86, 68))] = BRAIN
    affine_ras = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine_ras[:3, 3] = (-120, -130, -60)
    return hu, affine_ras


@pytest.fixture(scope="module")
def scan() -> tuple[np.ndarray, np.ndarray, Location]:
    data, affine_ras = head()
    return data, affine_ras, locate_regions(data, affine_ras)


def test_a_head_shows_a_face_and_a_trunk_does_not(scan):
    from align_phantom import trunk

    assert face_boxes(scan[2])
    assert "head" in scan[2].body_regions
    data, affine_ras = trunk(-100, 400)
    assert face_boxes(locate_regions(data, affine_ras)) == []


def test_the_front_goes_and_the_brain_stays(scan):
    data, affine_ras, location = scan
    defaced = remove_face(data, affine_ras, location)
    assert defaced is not None
    middle = data.shape[0] // 2

    def foremost(volume: np.ndarray, z_mm: float) -> int:
        return int(np.flatnonzero(volume[middle, :, round((z_mm + 60) / 2)] > -300)[-1]) * 2

    for z_mm in (30, 60, 80):  # chin, nose, orbits
        assert foremost(defaced.data, z_mm) <= foremost(data, z_mm) - DEPTH_MM + 2
    assert foremost(defaced.data, 160) == foremost(data, 160)  # the forehead above the brow
    brain = data == BRAIN
    assert np.mean(defaced.data[brain] == BRAIN) > 0.95
    changed = defaced.data != data
    assert np.all(defaced.data[changed] == -1024)
    assert 0.01 < defaced.share < 0.2
    assert face_boxes(defaced.location) == []
    assert len(defaced.location.boxes) > 3


def test_it_follows_the_skin_sideways(scan):
    data, affine_ras, location = scan
    defaced = remove_face(data, affine_ras, location)
    k = round((60 + 60) / 2)
    for x_mm in (-40, -20, 20, 40):
        i = round((x_mm + 120) / 2)
        before, after = np.flatnonzero(data[i, :, k] > -300)[-1], np.flatnonzero(defaced.data[i, :, k] > -300)[-1]
        assert (before - after) * 2 == pytest.approx(DEPTH_MM, abs=2)


def test_a_doubtful_place_is_refused(scan):
    data, affine_ras, location = scan
    doubtful = tuple(replace(box, confidence=0.1) for box in location.boxes)
    assert remove_face(data, affine_ras, replace(location, boxes=doubtful)) is None
    assert remove_face(data, affine_ras, Location()) is None
    nowhere = RegionBox("face", "landmark", (0, 0, 0), (5, 5, 5), 0.9)
    assert remove_face(np.full_like(data, AIR), affine_ras, Location(boxes=(nowhere,))) is None
