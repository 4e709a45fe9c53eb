"""What a resampler leaves of stripes that the coarser grid cannot carry, and what it keeps of waves that it can.

``python -m benchmarks.volumes_stripes [--out docs/volumes_stripes.md]``

Waves of 500 HU along x on a 1 mm grid are resampled to coarser ones. A wave shorter than two of the new voxels cannot
be shown there: whatever is left of it is a false pattern (an alias). A wave of ten new voxels should keep its height.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.pages import publish

AMPLITUDE_HU = 500.0
SHAPE = (24, 24, 256)
TARGETS_MM = (1.5, 2.2, 3.2)
STRIPES_MM = 2.0
"""Wavelength of the stripes: one voxel up, one voxel down."""

HEADER = """# Stripes that a coarser grid cannot carry

Written by `python -m benchmarks.volumes_stripes --out docs/volumes_stripes.md`. Waves of {height:g} HU on a grid of
1 mm are resampled to {targets} mm. *Stripes* are 2 mm long, which none of these grids can carry: what is left of them
is a false pattern, in per cent (of the standard deviation; 0 is right). *Slow wave* is ten of the new voxels long: 100
is right. SimpleITK is `Resample` with `sitkLinear`, as most pipelines call it; TorchIO is `Resample` as it comes, and
with `antialias=True`.

| tool | to, mm | stripes left, % | slow wave kept, % |
| --- | --- | --- | --- |
"""

Resampler = Callable[[np.ndarray, float], np.ndarray]


def wave(length_mm: float) -> np.ndarray:
    """(z, y, x) int16 HU on a 1 mm grid, waving along x."""
    line = AMPLITUDE_HU * np.cos(2 * np.pi * np.arange(SHAPE[2]) / length_mm)
    return np.broadcast_to(np.rint(line).astype(np.int16), SHAPE).copy()


def ours(data: np.ndarray, spacing_mm: float) -> np.ndarray:
    """The resampler of `volumes`; (x, y, z)."""
    from volumes.geometry import SourceGrid
    from volumes.resample import resample

    grid = SourceGrid(
        flips=(False,) * 3, axes=(2, 1, 0), directions_ras=np.eye(3)[[2, 1, 0]], nodes_mm=np.arange(SHAPE[0]) * 1.0,
        offsets_mm=np.zeros((SHAPE[0], 2)), spacing_mm=(1.0, 1.0, 1.0), shape=SHAPE, origin_ras=np.zeros(3),
        step_ras=np.array([0.0, 0.0, 1.0]),
    )  # fmt: skip
    return resample(data, grid, (spacing_mm,) * 3, fill=-1024, limits=(-1024, 3071)).data


def simpleitk(data: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Linear interpolation of SimpleITK; (x, y, z)."""
    import SimpleITK as sitk

    size = [int(n / spacing_mm) for n in data.shape[::-1]]
    image = sitk.GetImageFromArray(data.astype(np.float32))
    placed = (sitk.Transform(), sitk.sitkLinear, (0.0,) * 3, (spacing_mm,) * 3, np.eye(3).ravel().tolist(), -1024.0)
    return sitk.GetArrayFromImage(sitk.Resample(image, size, *placed)).transpose(2, 1, 0)


def torchio(data: np.ndarray, spacing_mm: float, *, antialias: bool = False) -> np.ndarray:
    """TorchIO's Resample; (x, y, z)."""
    import torch
    import torchio as tio

    image = tio.ScalarImage(tensor=torch.from_numpy(data.astype(np.float32)).permute(2, 1, 0)[None])
    return np.asarray(tio.Resample(spacing_mm, antialias=antialias)(image).data[0])


TOOLS: dict[str, Resampler] = {
    "t3dkit": ours,
    "SimpleITK": simpleitk,
    "TorchIO": torchio,
    "TorchIO, antialias": lambda data, spacing_mm: torchio(data, spacing_mm, antialias=True),
}


def left_percent(tool: Resampler, length_mm: float, spacing_mm: float) -> float:
    """Standard deviation of what comes out, away from the edges, by that of the wave."""
    data = wave(length_mm)
    return float(100 * tool(data, spacing_mm)[8:-8, 3:-3, 3:-3].std() / data.std())


def page() -> str:
    """Measure everything."""
    text = HEADER.format(height=AMPLITUDE_HU, targets=", ".join(f"{target:g}" for target in TARGETS_MM))
    for name, tool in TOOLS.items():
        for target in TARGETS_MM:
            stripes, slow = left_percent(tool, STRIPES_MM, target), left_percent(tool, 10 * target, target)
            text += f"| {name} | {target:g} | {stripes:.1f} | {slow:.1f} |\n"
    return text


def main(words: list[str]) -> int:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args(words)
    text = page()
    publish(text, arguments.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
