"""Crops of volumes, straight from disk.

Enters: a data set, a volume id, a box. Leaves: int16 HU crops, air where the box leaves the volume. Refuses: a
file that is not the volume its row promises; a bad volume stops the run and is never replaced by another.

An uncompressed NIfTI is mapped, so a crop costs the pages it touches. A ``.nii.gz`` is unpacked once into a cache.
"""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, HeaderTypeError
from nibabel.wrapstruct import WrapStructError

from curation.contract import Dataset
from t3dkit.atomic import atomic_path
from t3dkit.errors import DataError
from train.catalogue import Ijk, as_ijk
from train.errors import UnreadableVolume

AIR_HU = -1024
"""HU outside the volume, as the data set's own padding (design.md, section 5)."""

DTYPES = (np.dtype("<i2"), np.dtype("u1"))
MAX_OPEN = 256


class VolumeStore:
    """The volumes of a data set, opened when first asked for; compressed ones are unpacked into `cache`."""

    def __init__(self, dataset: Dataset, cache: Path) -> None:
        self.dataset, self.cache = dataset, cache
        self.rows: dict[str, dict[str, Any]] = {row["volume_id"]: row for row in dataset.rows("volumes")}
        self._mapped = lru_cache(MAX_OPEN)(self._opened)

    def shape_ijk(self, volume_id: str) -> Ijk:
        """Shape of a volume, from its row."""
        return as_ijk(self.rows[volume_id]["shape_ijk"])

    def volume(self, volume_id: str) -> np.ndarray:
        """A volume as a read-only (i, j, k) int16 memory map, HU.

        Raises
        ------
        UnreadableVolume
            The file is missing, torn, or not what its row says.
        """
        return self._mapped(volume_id)

    def crop(
        self, volume_id: str, start_ijk: Sequence[int], size_vox: int, *, out: np.ndarray | None = None
    ) -> np.ndarray:
        """(size_vox, size_vox, size_vox) int16 HU from `start_ijk` on; air where it leaves the volume. See `cut`."""
        return cut(self.volume(volume_id), start_ijk, size_vox, fill=AIR_HU, out=out)

    def labels(self, name: str, volume_id: str) -> np.ndarray | None:
        """The label map `name` of a volume as a read-only memory map of its shape; None where there is none.

        Raises
        ------
        UnreadableVolume
            The file is torn, or of another shape.
        """
        path = self.dataset.label_path(name, volume_id)
        if path is None:
            return None
        try:
            labels = map_nifti(path)
        except (OSError, DataError) as error:
            raise UnreadableVolume(volume_id, f"label map {name}: {_why(error)}") from None
        if labels.shape != self.shape_ijk(volume_id):
            raise UnreadableVolume(volume_id, f"label map {name} has another shape than the volume")
        return labels

    def label_crop(self, name: str, volume_id: str, start_ijk: Sequence[int], size_vox: int) -> np.ndarray | None:
        """The same cube of the label map `name`, 0 outside; None where the volume has no such map."""
        labels = self.labels(name, volume_id)
        return None if labels is None else cut(labels, start_ijk, size_vox, fill=0)

    def _opened(self, volume_id: str) -> np.ndarray:
        row = self.rows.get(volume_id)
        if row is None:
            raise UnreadableVolume(volume_id, "volumes.parquet has no such row")
        path = self.dataset.volume_path(row)
        try:
            volume = map_nifti(path if path.suffix != ".gz" else self._unpacked(volume_id, path))
        except (OSError, EOFError, DataError) as error:
            raise UnreadableVolume(volume_id, _why(error)) from None
        if volume.shape != self.shape_ijk(volume_id) or volume.dtype != np.int16:
            raise UnreadableVolume(
                volume_id, f"expected int16 {self.shape_ijk(volume_id)}, found {volume.dtype} {volume.shape}"
            )
        return np.asarray(volume)  # still mapped; slices of the subclass cost ten times as much

    def _unpacked(self, volume_id: str, path: Path) -> Path:
        # The row's hash is in the name: a volume that was curated anew is unpacked anew.
        target = self.cache / f"{volume_id}-{self.rows[volume_id]['sha256'][:12]}.nii"
        if not target.is_file():
            with atomic_path(target) as temporary, gzip.open(path) as packed, open(temporary, "wb") as plain:
                shutil.copyfileobj(packed, plain, 1 << 20)
        return target


def map_nifti(path: Path) -> np.ndarray:
    """A three-dimensional, uncompressed NIfTI-1 file as a read-only (i, j, k) memory map.

    Raises
    ------
    DataError
        No NIfTI-1, another data type than a data set may hold, scaled voxels, or fewer bytes than promised.
    OSError
        The file cannot be read.
    """
    try:
        proxy: Any = nibabel.Nifti1Image.from_filename(path, mmap="r").dataobj
        voxels: np.ndarray = proxy.get_unscaled()
    except (ImageFileError, HeaderDataError, HeaderTypeError, WrapStructError):
        raise DataError("it is no NIfTI-1 file") from None
    if voxels.dtype not in DTYPES or voxels.ndim != 3:
        raise DataError(f"{voxels.dtype} {voxels.shape}; a data set holds int16 volumes and uint8 labels")
    if (proxy.slope, proxy.inter) != (1.0, 0.0):
        raise DataError("the voxels are scaled (scl_slope); a data set holds HU as they are")
    return voxels


def cut(
    volume: np.ndarray, start_ijk: Sequence[int], size_vox: int, *, fill: int, out: np.ndarray | None = None
) -> np.ndarray:
    """A cube of `volume` from `start_ijk`, `fill` where it leaves the volume; a copy in the memory order of the file.

    Another order would cost four times as long, and is only wanted where voxels become floats. `out` takes the voxels
    where it is given.
    """
    source, target, is_inside = [], [], True
    for start, length in zip(start_ijk, volume.shape, strict=True):
        first, last = max(start, 0), min(start + size_vox, length)
        is_inside = is_inside and last - first == size_vox
        source.append(slice(first, max(first, last)))
        target.append(slice(first - start, max(first, last) - start))
    crop = np.empty((size_vox,) * 3, dtype=volume.dtype, order="F") if out is None else out
    if is_inside:
        crop[...] = volume[tuple(source)]
        return crop
    crop.fill(fill)
    if all(part.stop > part.start for part in source):
        crop[tuple(target)] = volume[tuple(source)]
    return crop


def _why(error: Exception) -> str:
    # An OSError's text holds a path of the machine; a DataError's text is ours.
    return str(error) if isinstance(error, DataError) else type(error).__name__
