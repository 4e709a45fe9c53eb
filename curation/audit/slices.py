"""Slices of a volume as pictures, in the radiologist's orientation.

Enters: a volume's voxels, RAS+. Leaves: PNG bytes. The patient's right is on the left of axial and coronal
slices, anterior is up on axial and left on sagittal ones, the head is up on coronal and sagittal ones.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Literal

import numpy as np
from PIL import Image

Plane = Literal["axial", "coronal", "sagittal"]

PLANES: Mapping[str, tuple[int, int, int]] = {"axial": (2, 0, 1), "coronal": (1, 0, 2), "sagittal": (0, 1, 2)}
"""Plane -> (axis sliced, axis along picture columns, axis along picture rows); both picture axes run backwards."""

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
    return np.take(data, index, axis=axis).T[::-1, ::-1]


def slice_png(data: np.ndarray, *, plane: str, index: int, window: str) -> bytes:
    """One slice as PNG, one picture pixel a voxel; the page stretches it to millimetres."""
    return _png(grey(np.asarray(slice_pixels(data, plane=plane, index=index), dtype=np.float32), window))


def thumbnail_png(data: np.ndarray, spacing_mm: tuple[float, float, float], *, height_px: int = 120) -> bytes:
    """The middle coronal slice at true proportions, for a contact sheet."""
    picture = Image.fromarray(grey(slice_pixels(data, plane="coronal", index=data.shape[1] // 2), "soft"))
    width_mm, height_mm = picture.width * spacing_mm[0], picture.height * spacing_mm[2]
    scale = height_px / max(height_mm, width_mm)
    size = (max(1, round(width_mm * scale)), max(1, round(height_mm * scale)))
    buffer = io.BytesIO()
    picture.resize(size, Image.Resampling.BILINEAR).save(buffer, "PNG")
    return buffer.getvalue()


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
