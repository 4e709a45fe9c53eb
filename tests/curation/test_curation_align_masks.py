"""Masks: how they are found, read, put on a grid and turned into boxes."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from align_phantom import trunk
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.align.locate import locate_regions
from curation.align.masks import boxes_of_masks, find_label_map, label_map_on_grid, totalsegmentator_classes
from curation.align.records import LabelMap
from reports.regions import region_tree
from t3dkit.errors import DataError

AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])
AFFINE[:3, 3] = (-20.0, 10.0, 5.0)


def save(path: Path, data: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    nibabel.save(nibabel.Nifti1Image(data, affine), path)


def cube(value: int = 1, *, shape=(12, 10, 8), start=(2, 3, 1), stop=(6, 7, 5)) -> np.ndarray:
    data = np.zeros(shape, dtype=np.uint8)
    data[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = value
    return data


def test_class_order_is_totalsegmentators():
    classes = totalsegmentator_classes()
    assert len(classes) == len(set(classes.values())) == 117
    assert [classes[n] for n in (1, 5, 10, 51, 52, 79, 90, 92, 117)] == [
        "spleen", "liver", "lung_upper_lobe_left", "heart", "aorta", "spinal_cord", "brain", "rib_left_1",
        "costal_cartilages",
    ]  # fmt: skip
    named = {name for names in region_tree().masks.values() for name in names}
    assert set(classes.values()) <= named, "every class is the mask of a region"


def test_multi_label_file_by_the_first_key_that_matches(tmp_path):
    save(tmp_path / "1.2.3.nii.gz", cube(5))
    save(tmp_path / "A77.nii.gz", cube(1))
    found = find_label_map(tmp_path, ["9.9.9", "1.2.3", "A77"])
    assert found.names[5] == "liver"
    assert set(np.unique(found.data)) == {0, 5}
    assert np.array_equal(found.affine_ras, AFFINE)


def test_labels_json_overrides_the_order(tmp_path):
    save(tmp_path / "A77.nii", cube(5))
    (tmp_path / "labels.json").write_text(json.dumps({"5": "spleen"}))
    assert find_label_map(tmp_path, ["A77"]).names == {5: "spleen"}


def test_one_file_per_class(tmp_path):
    folder = tmp_path / "A77"
    folder.mkdir()
    save(folder / "spleen.nii.gz", cube())
    save(folder / "liver.nii.gz", cube(start=(6, 3, 1), stop=(9, 7, 5)))
    found = find_label_map(tmp_path, ["A77"])
    assert sorted(found.names.values()) == ["liver", "spleen"]
    boxes = {box.region: box for box in boxes_of_masks(found, (12, 10, 8), AFFINE).boxes}
    assert boxes["spleen"].start_ijk == (2, 3, 1)
    assert boxes["liver"].start_ijk == (6, 3, 1)


def test_classes_on_different_grids_are_refused(tmp_path):
    folder = tmp_path / "A77"
    folder.mkdir()
    save(folder / "spleen.nii.gz", cube())
    save(folder / "liver.nii.gz", cube(), np.diag([1.0, 1.0, 1.0, 1.0]))
    with pytest.raises(DataError, match="another grid"):
        find_label_map(tmp_path, ["A77"])


def test_nothing_found(tmp_path):
    assert find_label_map(tmp_path, ["1.2.3", ""]) is None
    (tmp_path / "A77").mkdir()
    assert find_label_map(tmp_path, ["A77"]) is None


@pytest.mark.parametrize("key", ["../secret", "a/b", "/etc", "..", ".hidden"])
def test_a_key_never_leaves_the_folder(tmp_path, key):
    inside = tmp_path / "masks"
    inside.mkdir()
    save(tmp_path / "secret.nii.gz", cube())
    assert find_label_map(inside, [key]) is None


@pytest.mark.parametrize(
    "data", [np.full((4, 4, 4), 0.5, dtype=np.float32), np.full((4, 4, 4), -1, dtype=np.int16)], ids=["half", "minus"]
)
def test_values_that_are_no_labels_are_refused(tmp_path, data):
    save(tmp_path / "A77.nii", data)
    with pytest.raises(DataError, match="whole numbers"):
        find_label_map(tmp_path, ["A77"])


def test_damage_is_a_data_error_that_names_no_key(tmp_path):
    (tmp_path / "A77.nii").write_bytes(b"no nifti")
    with pytest.raises(DataError) as caught:
        find_label_map(tmp_path, ["A77"])
    assert "A77" not in str(caught.value)


def test_damaged_names_are_a_data_error(tmp_path):
    save(tmp_path / "A77.nii", cube())
    (tmp_path / "labels.json").write_text("[1, 2]")
    with pytest.raises(DataError, match=r"labels\.json"):
        find_label_map(tmp_path, ["A77"])


def test_same_grid_is_the_identity():
    data = np.random.default_rng(0).integers(0, 5, (7, 6, 5)).astype(np.uint8)
    on_grid = label_map_on_grid(LabelMap(data, AFFINE, {}), data.shape, AFFINE)
    assert np.array_equal(on_grid, data)
    assert on_grid.dtype == np.uint8


@settings(max_examples=20, deadline=None)
@given(
    order=st.permutations([0, 1, 2]),
    flips=st.tuples(*[st.booleans()] * 3),
    seed=st.integers(0, 1000),
)
def test_any_axis_order_and_direction_gives_the_same_map(order, flips, seed):
    data = np.random.default_rng(seed).integers(0, 4, (6, 5, 4)).astype(np.uint8)
    image = nibabel.Nifti1Image(data, AFFINE)
    turned = image.as_reoriented(np.array([[axis, -1 if flip else 1] for axis, flip in zip(order, flips, strict=True)]))
    label_map = LabelMap(np.asarray(turned.dataobj), turned.affine, {})
    assert np.array_equal(label_map_on_grid(label_map, data.shape, AFFINE), data)


def test_an_oblique_grid_keeps_world_positions():
    data = cube(3, shape=(30, 30, 20), start=(10, 12, 6), stop=(20, 18, 14))
    angle = np.deg2rad(20)
    turned = AFFINE.copy()
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    turned[:3, :3] = rotation @ AFFINE[:3, :3]
    on_grid = label_map_on_grid(LabelMap(data, AFFINE, {}), (40, 40, 20), turned)
    one = np.argwhere(data == 3).mean(axis=0) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    two = np.argwhere(on_grid == 3).mean(axis=0) @ turned[:3, :3].T + turned[:3, 3]
    assert one == pytest.approx(two, abs=0.5)
    assert np.count_nonzero(on_grid) == pytest.approx(np.count_nonzero(data), rel=0.06)


def test_beyond_the_map_is_background():
    shifted = AFFINE.copy()
    shifted[:3, 3] += (8.0, 0.0, 0.0)  # four voxels
    on_grid = label_map_on_grid(LabelMap(np.full((12, 10, 8), 7, np.uint8), AFFINE, {}), (12, 10, 8), shifted)
    assert np.all(on_grid[:8] == 7)
    assert np.all(on_grid[8:] == 0)


def test_a_composite_needs_all_its_parts():
    lobes = ["lung_upper_lobe_left", "lung_lower_lobe_left"]
    data = cube(1)
    data[6:9, 3:7, 1:5] = 2
    one = boxes_of_masks(LabelMap(data, AFFINE, dict(enumerate(lobes[:1], 1))), data.shape, AFFINE)
    both = boxes_of_masks(LabelMap(data, AFFINE, dict(enumerate(lobes, 1))), data.shape, AFFINE)
    assert "lung_left" not in {box.region for box in one.boxes}
    whole = {box.region: box for box in both.boxes}["lung_left"]
    assert (whole.start_ijk, whole.size_ijk) == ((2, 3, 1), (7, 4, 4))
    assert (whole.source, whole.confidence) == ("mask", 1.0)


def test_a_class_named_like_a_region_is_taken():
    found = boxes_of_masks(LabelMap(cube(), AFFINE, {1: "lung_left"}), (12, 10, 8), AFFINE)
    assert [box.region for box in found.boxes] == ["lung_left"]
    assert found.flags == ()


def test_a_cyst_belongs_to_its_kidney():
    data = cube(1)
    data[6:9, 3:7, 1:5] = 2
    found = boxes_of_masks(LabelMap(data, AFFINE, {1: "kidney_left", 2: "kidney_cyst_left"}), data.shape, AFFINE)
    assert {box.region: box.size_ijk for box in found.boxes} == {"kidney_left": (7, 4, 4)}


def test_unknown_classes_and_unnamed_values_are_reported():
    data = cube(1)
    data[0, 0, 0] = 9
    found = boxes_of_masks(LabelMap(data, AFFINE, {1: "left_flipper"}), data.shape, AFFINE)
    assert found.flags == ("MASK_CLASS_UNKNOWN",)
    assert "left_flipper" in found.notes["MASK_CLASS_UNKNOWN"]
    assert "[9]" in found.notes["MASK_CLASS_UNKNOWN"]


def test_a_map_elsewhere_or_empty_is_flagged():
    far = AFFINE.copy()
    far[:3, 3] += 900.0
    assert boxes_of_masks(LabelMap(cube(), AFFINE, {1: "liver"}), (12, 10, 8), far).flags == ("MASK_GRID_MISMATCH",)
    empty = LabelMap(np.zeros((12, 10, 8), np.uint8), AFFINE, {1: "liver"})
    assert boxes_of_masks(empty, (12, 10, 8), AFFINE).flags == ("MASK_EMPTY",)


def test_masks_win_over_landmarks_and_the_rest_stays():
    data, affine_ras = trunk(-205.0, 590.0)
    labels = np.zeros(data.shape, np.uint8)
    labels[10:20, 30:40, 50:60] = 1
    location = locate_regions(data, affine_ras, mask=LabelMap(labels, affine_ras, {1: "liver"}))
    boxes = {box.region: box for box in location.boxes}
    assert (boxes["liver"].source, boxes["liver"].start_ijk, boxes["liver"].size_ijk) == (
        "mask", (10, 30, 50), (10, 10, 10),
    )  # fmt: skip
    assert boxes["spleen"].source == "landmark"
    assert len(boxes) == len(location.boxes)


def test_masks_serve_other_modalities():
    data = np.zeros((12, 10, 8), np.int16)
    location = locate_regions(data, AFFINE, modality="MR", mask=LabelMap(cube(), AFFINE, {1: "liver"}))
    assert [box.region for box in location.boxes] == ["liver"]
