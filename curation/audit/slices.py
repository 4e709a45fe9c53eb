"""Slices of a volume as pictures, in the radiologist's orientation.

Enters: a volume's voxels, RAS+. Leaves: PNG bytes. The patient's right is on the left of axial and coronal
slices, anterior is up on axial and left on sagittal ones, the head is up on coronal and sagittal ones.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from PIL import Image

Plane = Literal["axial", "coronal", "sagittal"]

PLANES: Mapping[str, tuple[int, int, int]] = {"axial": (2, 0, 1), "coronal": (1, 0, 2), "sagittal": (0, 1, 2)}
"""Plane -> (axis sliced, axis along picture columns, axis along picture rows); both picture axes run backwards."""

EDGES: Mapping[str, Mapping[str, str]] = {
    "axial": {"left": "R", "right": "L", "top": "A"},
    "coronal": {"left": "R", "right": "L", "top": "S"},
    "sagittal": {"left": "A", "right": "P", "top": "S"},
}
"""Plane -> edge of its picture -> the patient's direction there."""

WINDOWS: Mapping[str, tuple[float, float]] = {
    "soft": (40.0, 400.0),
    "lung": (-600.0, 1500.0),
    "bone": (400.0, 1800.0),
    "brain": (40.0, 80.0),
}
"""Window -> (level, width), HU: the usual reading-room presets."""


def grey(hu: np.ndarray, window: str) -> np.ndarray:
    """HU to 0..255 under a named window, any shape."""
    level, width = WINDOWS[window]
    return (np.clip((hu - (level - width / 2)) / width, 0.0, 1.0) * 255.0).astype(np.uint8)


def slice_pixels(data: np.ndarray, *, plane: str, index: int) -> np.ndarray:
    """One slice, (rows, columns), as it is shown; `index` is clamped to the volume."""
    axis = PLANES[plane][0]
    index = min(max(index, 0), data.shape[axis] - 1)
    # np.take would first copy the whole volume, since the file is in Fortran order
    return data[(slice(None),) * axis + (index,)].T[::-1, ::-1]


def slice_png(data: np.ndarray, *, plane: str, index: int, window: str) -> bytes:
    """One slice as PNG, one picture pixel a voxel; the page stretches it to millimetres."""
    pixels = grey(np.asarray(slice_pixels(data, plane=plane, index=index), dtype=np.float32), window)
    return png_of(Image.fromarray(pixels))


def shown_slice(
    data: np.ndarray, spacing_mm: Sequence[float], *, plane: str, index: int, longest_px: int, window: str = "soft"
) -> tuple[Image.Image, float]:
    """One slice at true proportions and its scale in picture pixels per mm; the longer side is `longest_px`."""
    picture = Image.fromarray(grey(np.asarray(slice_pixels(data, plane=plane, index=index), dtype=np.float32), window))
    _, across, along = PLANES[plane]
    width_mm, height_mm = picture.width * spacing_mm[across], picture.height * spacing_mm[along]
    px_per_mm = longest_px / max(width_mm, height_mm)
    size = (max(1, round(width_mm * px_per_mm)), max(1, round(height_mm * px_per_mm)))
    return picture.resize(size, Image.Resampling.BILINEAR), px_per_mm


def thumbnail_png(data: np.ndarray, spacing_mm: Sequence[float], *, longest_px: int = 120) -> bytes:
    """The middle coronal slice at true proportions, for a contact sheet."""
    picture, _ = shown_slice(data, spacing_mm, plane="coronal", index=data.shape[1] // 2, longest_px=longest_px)
    return png_of(picture)


def png_of(picture: Image.Image) -> bytes:
    """A picture as PNG bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()
