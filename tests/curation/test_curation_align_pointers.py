"""Image pointers: from series and image number to a slab."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.align.pointers import HALF_SLAB_MM, pointer_box
from curation.align.records import RegionBox
from reports.records import ImagePointer
from volumes.records import SliceMap

SHAPE = (50, 40, 100)
AFFINE = np.diag([2.0, 2.0, 1.5, 1.0])
AFFINE[:3, 3] = (-50.0, -40.0, -75.0)
MAP = {
    "series_number": 3,
    "instance_number": list(range(30, 0, -1)),  # numbered from the head down
    "position_mm": [-75.0 + 5.0 * n for n in range(30)],
    "normal_lps": [0.0, 0.0, 1.0],
}
LIVER = RegionBox("liver", "landmark", (5, 6, 20), (30, 20, 50), 0.9)


def test_slab_around_the_slice_cut_to_the_region():
    box = pointer_box({"series": 3, "image": 20}, MAP, AFFINE, SHAPE, LIVER)
    # image 20 is the eleventh position: -25 mm, voxel 33.3; 15 mm are 10 voxels
    assert (box.start_ijk, box.size_ijk) == ((5, 6, 24), (30, 20, 20))
    assert (box.region, box.source) == ("liver", "pointer")
    assert box.confidence == 0.95


def test_without_a_region_the_slab_is_whole():
    box = pointer_box(ImagePointer(series=3, image=20), MAP, AFFINE, SHAPE)
    assert (box.region, box.start_ijk, box.size_ijk) == ("body", (0, 0, 24), (50, 40, 20))


def test_slab_that_misses_the_region_is_kept_and_trusted_less():
    box = pointer_box({"series": 3, "image": 1}, MAP, AFFINE, SHAPE, LIVER)
    assert box.start_ijk[2] >= LIVER.stop_ijk[2]
    assert (box.size_ijk[:2], box.region) == ((50, 40), "liver")
    assert box.confidence < 0.8


def test_series_must_match_where_one_is_given():
    assert pointer_box({"series": 4, "image": 20}, MAP, AFFINE, SHAPE) is None
    assert pointer_box({"series": 3, "image": 20}, {**MAP, "series_number": None}, AFFINE, SHAPE) is None
    free = pointer_box({"series": None, "image": 20}, {**MAP, "series_number": None}, AFFINE, SHAPE)
    assert free is not None
    assert free.confidence < 0.95


@pytest.mark.parametrize("image", [0, 31, 999, None])
def test_an_unknown_image_points_nowhere(image):
    assert pointer_box({"series": 3, "image": image}, MAP, AFFINE, SHAPE) is None


def test_an_image_number_at_two_places_points_nowhere():
    twice = {**MAP, "instance_number": [7] * 30}
    assert pointer_box({"series": 3, "image": 7}, twice, AFFINE, SHAPE) is None


def test_a_slice_outside_the_volume_points_nowhere():
    above = {**MAP, "position_mm": [500.0 + n for n in range(30)]}
    assert pointer_box({"series": 3, "image": 20}, above, AFFINE, SHAPE) is None


def test_a_slice_map_record_works_like_the_dictionary():
    record = SliceMap(3, tuple(MAP["instance_number"]), tuple(MAP["position_mm"]), (0.0, 0.0, 1.0))
    pointer = {"series": 3, "image": 20}
    assert pointer_box(pointer, record, AFFINE, SHAPE) == pointer_box(pointer, MAP, AFFINE, SHAPE)


def test_a_coronal_series_cuts_along_y():
    coronal = {**MAP, "normal_lps": [0.0, 1.0, 0.0], "position_mm": [-30.0 + 2 * n for n in range(30)]}
    box = pointer_box({"series": 3, "image": 20}, coronal, AFFINE, SHAPE)
    # LPS y -10 mm is RAS y 10 mm: voxel 25
    assert (box.start_ijk, box.size_ijk) == ((0, 18, 0), (50, 15, 100))


@settings(max_examples=60, deadline=None)
@given(
    normal=st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda n: np.linalg.norm(n) > 0.2),
    position=st.floats(-60, 60),
)
def test_the_slab_is_the_exact_bounding_box_for_any_plane(normal, position):
    unit = np.array(normal) / np.linalg.norm(normal)
    slice_map = {"series_number": 3, "instance_number": [1], "position_mm": [position], "normal_lps": unit.tolist()}
    shape = (12, 10, 14)
    affine = np.diag([6.0, 5.0, 4.0, 1.0])
    affine[:3, 3] = (-30, -25, -28)
    box = pointer_box({"series": 3, "image": 1}, slice_map, affine, shape)
    ijk = np.indices(shape).reshape(3, -1)
    distance = (unit * [-1, -1, 1]) @ (affine[:3, :3] @ ijk + affine[:3, 3:]) - position
    inside = ijk[:, np.abs(distance) <= HALF_SLAB_MM - 1e-4]
    if inside.shape[1] == 0:
        return
    assert box is not None
    # a plane between voxels may reserve one voxel more than it holds, never one less
    assert np.all(np.array(box.start_ijk) <= inside.min(axis=1))
    assert np.all(np.array(box.stop_ijk) >= inside.max(axis=1) + 1)
    assert np.all(np.array(box.start_ijk) >= inside.min(axis=1) - 4)
    assert np.all(np.array(box.stop_ijk) <= inside.max(axis=1) + 5)
