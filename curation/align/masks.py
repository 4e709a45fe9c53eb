"""Masks that the user brings: found by key, put onto the volume's grid, turned into boxes.

Enters: a folder of masks (one multi-label NIfTI per key, or a folder per key with one NIfTI per class), keys to try.
Leaves: a `LabelMap`, label maps on another grid, boxes with source "mask". Refuses: labels that are no whole numbers,
classes on different grids, a key that is no plain file name.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from curation.align.reasons import AlignFlag
from curation.align.records import LabelMap, RegionBox
from reports.regions import region_tree
from t3dkit.errors import DataError

SUFFIXES = (".nii.gz", ".nii")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]*")
"""What a key must look like to become a file name: an accession number may hold slashes."""


@dataclass(frozen=True)
class MaskBoxes:
    """Boxes of the regions that a label map names, and what is odd about the map."""

    boxes: tuple[RegionBox, ...] = ()
    flags: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)


@cache
def totalsegmentator_classes() -> dict[int, str]:
    """Label value -> class name of TotalSegmentator v2's task "total", 117 classes."""
    table = tomllib.loads(files("curation.align").joinpath("totalsegmentator.toml").read_text(encoding="utf-8"))
    return dict(enumerate(table["classes"], start=1))


def find_label_map(masks: Path, keys: Sequence[str]) -> LabelMap | None:
    """The masks of a volume.

    Parameters
    ----------
    masks : Path
        Folder. ``KEY.nii.gz`` or ``KEY.nii`` holds all classes, named by ``labels.json`` beside it (value -> class),
        without one by TotalSegmentator's own order; or the folder ``KEY/`` holds ``CLASS.nii.gz`` for each class.
    keys : sequence of str
        Tried in order: series UID, study UID, accession number, volume id.

    Raises
    ------
    DataError
        A file is no NIfTI, holds no whole numbers, names classes wrongly, or the classes lie on different grids.
    """
    for key in keys:
        if not key or not _KEY.fullmatch(key):
            continue
        for suffix in SUFFIXES:
            path = masks / f"{key}{suffix}"
            if path.is_file():
                data, affine_ras = _read_labels(path)
                return LabelMap(data, affine_ras, _read_names(masks / "labels.json"))
        if (masks / key).is_dir():
            found = _read_folder(masks / key)
            if found is not None:
                return found
    return None


def label_map_on_grid(label_map: LabelMap, shape_ijk: Sequence[int], affine_ras: np.ndarray) -> np.ndarray:
    """A label map on another grid, nearest neighbour in world space; background outside the map.

    Parameters
    ----------
    label_map : LabelMap
    shape_ijk : 3 int
        Of the grid wanted.
    affine_ras : (4, 4) float64
        Of the grid wanted, voxel ijk -> mm, RAS.

    Returns
    -------
    (i, j, k) array of the map's dtype
    """
    to_map = np.linalg.inv(label_map.affine_ras) @ np.asarray(affine_ras, dtype=np.float64)
    matrix, offset = to_map[:3, :3], to_map[:3, 3]
    shape = tuple(int(size) for size in shape_ijk)
    axes = np.abs(matrix).argmax(axis=1)
    drift = np.abs(matrix) * np.array(shape)[None, :]
    drift[np.arange(3), axes] = 0
    if len(set(axes.tolist())) == 3 and drift.max() < 0.05:  # axes agree up to order and direction: index each apart
        return _take_axes(label_map.data, matrix, offset, axes, shape)
    result = np.empty(shape, dtype=label_map.data.dtype)
    for k in range(shape[2]):  # slice by slice: bounded memory
        plane = np.column_stack([matrix[:, :2], matrix[:, 2] * k + offset])
        indices = np.indices(shape[:2]).reshape(2, -1)
        places = plane[:, :2] @ indices + plane[:, 2:]
        result[:, :, k] = ndimage.map_coordinates(label_map.data, places, order=0, mode="constant", cval=0).reshape(
            shape[:2]
        )
    return result


def boxes_of_masks(label_map: LabelMap, shape_ijk: Sequence[int], affine_ras: np.ndarray) -> MaskBoxes:
    """Exact boxes on a volume's grid of the regions that the map names, confidence 1.

    A region made of several classes gets a box when the map names all of them; a class may be empty.
    """
    data = label_map_on_grid(label_map, shape_ijk, affine_ras)
    cuts = ndimage.find_objects(data) if data.any() else []
    by_class: dict[str, list[tuple[slice, ...]]] = {}
    for value, name in label_map.names.items():
        cut = cuts[value - 1] if 0 < value <= len(cuts) else None
        by_class.setdefault(name, []).extend([] if cut is None else [cut])
    flags, notes = _check_classes(label_map, data, by_class)
    boxes = []
    for region in region_tree().codes:
        found = _region_cuts(region, by_class)
        if found:
            low = [min(cut[axis].start for cut in found) for axis in range(3)]
            high = [max(cut[axis].stop for cut in found) for axis in range(3)]
            size = (high[0] - low[0], high[1] - low[1], high[2] - low[2])
            boxes.append(RegionBox(region, "mask", (low[0], low[1], low[2]), size, 1.0))
    return MaskBoxes(tuple(boxes), flags, notes)


def _region_cuts(region: str, by_class: Mapping[str, list[tuple[slice, ...]]]) -> list[tuple[slice, ...]]:
    """The class boxes whose union is the region; none unless every class that makes it up is named."""
    tree = region_tree()
    if region in by_class:  # a class named like the region itself, cysts and the like beside it
        return [cut for name in {region, *tree.masks[region]} for cut in by_class.get(name, [])]
    if tree.masks[region]:
        return []
    children = tree.children(region)
    if not children or not all(_is_named(child, by_class) for child in children):
        return []
    return [cut for child in children for cut in _region_cuts(child, by_class)]


def _is_named(region: str, by_class: Mapping[str, list[tuple[slice, ...]]]) -> bool:
    children = region_tree().children(region)
    return region in by_class or (bool(children) and all(_is_named(child, by_class) for child in children))


def _check_classes(
    label_map: LabelMap, data: np.ndarray, by_class: Mapping[str, object]
) -> tuple[tuple[str, ...], dict[str, str]]:
    tree = region_tree()
    known = set(tree.codes) | {name for names in tree.masks.values() for name in names}
    unknown = sorted(name for name in by_class if name not in known)
    present = np.flatnonzero(np.bincount(data.ravel(), minlength=1)) if data.size else np.zeros(0, dtype=int)
    unnamed = [int(value) for value in present if value and int(value) not in label_map.names]
    notes = {}
    if unknown or unnamed:
        parts = [f"classes {', '.join(unknown)}"] * bool(unknown) + [f"values {unnamed[:20]} without a name"] * bool(
            unnamed
        )
        notes[str(AlignFlag.MASK_CLASS_UNKNOWN)] = "; ".join(parts)
    if len(present[present > 0]) == 0:
        lost = bool(label_map.data.any())
        notes[str(AlignFlag.MASK_GRID_MISMATCH if lost else AlignFlag.MASK_EMPTY)] = "no labelled voxel in the volume"
    return tuple(sorted(notes)), notes


def _take_axes(
    data: np.ndarray, matrix: np.ndarray, offset: np.ndarray, axes: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """Nearest neighbour along each axis apart."""
    picks, inside = [], []
    for axis in range(3):
        places = matrix[axis, axes[axis]] * np.arange(shape[axes[axis]]) + offset[axis]
        # half-way places go down: the same for every axis and platform
        nearest = np.ceil(places - 0.5 - 1e-6).astype(int)
        inside.append((nearest >= 0) & (nearest < data.shape[axis]))
        picks.append(np.clip(nearest, 0, data.shape[axis] - 1))
    taken = data[np.ix_(*picks)]
    taken[~inside[0], :, :] = 0
    taken[:, ~inside[1], :] = 0
    taken[:, :, ~inside[2]] = 0
    return np.ascontiguousarray(taken.transpose(np.argsort(axes)))


def _read_folder(folder: Path) -> LabelMap | None:
    """One file per class; where classes overlap the first name in order keeps the voxel."""
    paths = {path.name.removesuffix(suffix): path for suffix in SUFFIXES for path in folder.glob(f"*{suffix}")}
    merged: np.ndarray | None = None
    affine_ras = np.eye(4)
    names: dict[int, str] = {}
    for value, name in enumerate(sorted(paths), start=1):
        data, affine = _read_labels(paths[name])
        if merged is None:
            merged, affine_ras = np.zeros(data.shape, dtype=np.uint16), affine
        elif data.shape != merged.shape or not np.allclose(affine, affine_ras, atol=1e-3):
            raise DataError(f"masks: class {name} lies on another grid than the class before it; write all on one grid")
        merged[(data > 0) & (merged == 0)] = value
        names[value] = name
    return None if merged is None else LabelMap(merged, affine_ras, names)


def _read_names(path: Path) -> dict[int, str]:
    """``labels.json``: value -> class; TotalSegmentator's order where there is none."""
    if not path.is_file():
        return dict(totalsegmentator_classes())
    try:
        table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {int(value): str(name) for value, name in table.items()}
    except (ValueError, AttributeError):
        raise DataError(f'{path.name}: expected an object of label values and class names, {{"1": "spleen"}}') from None


def _read_labels(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Labels and affine of a NIfTI, uint8 where they fit, else uint16."""
    import nibabel

    try:
        image: Any = nibabel.load(path)
        values = np.asanyarray(image.dataobj)
        affine_ras = np.asarray(image.affine, dtype=np.float64)
    except (nibabel.filebasedimages.ImageFileError, OSError, ValueError, EOFError) as error:
        raise DataError(f"masks: a mask file cannot be read as NIfTI ({type(error).__name__})") from None
    if values.ndim != 3 or abs(np.linalg.det(affine_ras[:3, :3])) < 1e-9:
        raise DataError(f"masks: expected a 3-D NIfTI with an invertible affine, found {values.ndim} dimensions")
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if not (low >= 0 and high <= np.iinfo(np.uint16).max) or (values.dtype.kind == "f" and np.any(values % 1)):
        raise DataError(f"masks: labels must be whole numbers from 0 to 65535, found {low:g} to {high:g}")
    return values.astype(np.uint8 if high < 256 else np.uint16), affine_ras
