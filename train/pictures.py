"""Crops as pictures, with what is said about them.

Enters: normalised crops, sentences, loss curves. Leaves: matplotlib figures, PNG bytes. Refuses: nothing. The
pictures hold report text, so they go into a run's folder and never into a log line.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from t3dkit.atomic import write_bytes
from train.batch import to_hu
from train.catalogue import Box
from train.config import IntensityConfig

WINDOW_HU = (-200.0, 300.0)
"""Soft tissue with a little lung and bone; for the eye only."""


def slice_of(crop: np.ndarray, index: int) -> np.ndarray:
    """The axial slice at k = `index` of an (i, j, k) RAS+ crop, as a radiologist sees it: right on the left."""
    return crop[::-1, ::-1, index].T


def crop_rows(
    rows: Sequence[tuple[Sequence[tuple[str, np.ndarray]], Box | None, Sequence[str]]], intensity: IntensityConfig
) -> Figure:
    """One row per slot: titled crops through the middle of the target, and the sentences beside them.

    Parameters
    ----------
    rows : sequence of (panels, target, sentences)
        panels: (title, (c, c, c) normalised crop); target: box in crop coordinates of the first panel, or None.
    intensity : IntensityConfig
        To show HU.
    """
    n_panels = max(len(panels) for panels, _, _ in rows)
    figure = Figure(figsize=(2.2 * n_panels + 4.2, 2.4 * len(rows)), dpi=80)
    grid = figure.add_gridspec(len(rows), n_panels + 1, width_ratios=[1.0] * n_panels + [1.8])
    for place, (panels, target, sentences) in enumerate(rows):
        for column, (title, crop) in enumerate(panels):
            axes = figure.add_subplot(grid[place, column])
            box = target if column == 0 or title in ("hidden", "restored") else None
            index = _middle(target, crop.shape[2])
            image = to_hu(slice_of(crop, index), intensity)
            axes.imshow(image, cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1], interpolation="nearest")
            if box is not None:
                _outline(axes, box, crop.shape[0])
            axes.set_title(title, fontsize=8)
            axes.set_axis_off()
        axes = figure.add_subplot(grid[place, n_panels])
        axes.set_axis_off()
        lines = [textwrap.fill(text, 52) for text in sentences]
        axes.text(0.0, 0.95, "\n".join(lines), va="top", fontsize=7, transform=axes.transAxes, parse_math=False)
    figure.subplots_adjust(left=0.01, right=0.99, top=0.97, bottom=0.01, wspace=0.05, hspace=0.15)
    return figure


def curves(history: Sequence[dict[str, float]]) -> Figure:
    """Loss terms by step."""
    figure = Figure(figsize=(7, 3), dpi=80)
    axes = figure.add_subplot()
    steps = [row["step"] for row in history]
    for name in ("total", "tcl", "tir", "align"):
        values = [row.get(name) for row in history]
        if any(value is not None for value in values):
            axes.plot(steps, [np.nan if value is None else value for value in values], label=name, linewidth=1)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    if history:
        axes.legend(frameon=False)
    figure.tight_layout()
    return figure


def png(figure: Figure) -> bytes:
    """The figure as PNG, without a date in it."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def write_png(path: Path, figure: Figure) -> None:
    """The figure as a PNG file."""
    write_bytes(path, png(figure))


def _middle(target: Box | None, edge: int) -> int:
    if target is None:
        return edge // 2
    return int(np.clip((target.start_ijk[2] + target.stop_ijk[2]) // 2, 0, edge - 1))


def _outline(axes: object, box: Box, edge: int) -> None:
    from matplotlib.patches import Rectangle

    # slice_of flips both axes, so a box's far corner comes first.
    i, j = edge - box.stop_ijk[0], edge - box.stop_ijk[1]
    di, dj, _ = box.size_ijk
    axes.add_patch(Rectangle((i - 0.5, j - 0.5), di, dj, fill=False, edgecolor="#e8a33d", linewidth=1))  # type: ignore[attr-defined]
