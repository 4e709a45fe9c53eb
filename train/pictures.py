"""Crops as pictures, with what is said about them.

Enters: normalised crops, sentences, loss curves. Leaves: matplotlib figures, PNG bytes. Refuses: nothing. The
pictures hold report text, so they go into a run's folder and never into a log line.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from t3dkit.atomic import write_bytes
from train.batch import Batch, Batcher, to_hu
from train.catalogue import Box
from train.config import IntensityConfig

TERMS = ("total", "tcl", "tir", "align")
"""Of the loss, as they are logged and drawn."""
WINDOW_HU = (-200.0, 300.0)
"""Soft tissue with a little lung and bone; for the eye only."""


def slice_of(crop: np.ndarray, index: int) -> np.ndarray:
    """The axial slice at k = `index` of an (i, j, k) RAS+ crop, as a radiologist sees it: right on the left."""
    return crop[::-1, ::-1, index].T


@dataclass(frozen=True)
class Panel:
    """One crop of a row."""

    title: str
    crop: np.ndarray  # (c, c, c) float32, normalised
    box: Box | None = None  # outlined, in crop coordinates
    heat: np.ndarray | None = None  # (n, n, n), drawn through the plane where it is strongest; n divides c

    @property
    def plane(self) -> int:
        """The axial slice that is shown."""
        edge = self.crop.shape[2]
        if self.heat is not None:
            cell = edge // self.heat.shape[2]
            return int(self.heat.max(axis=(0, 1)).argmax()) * cell + cell // 2
        middle = (self.box.start_ijk[2] + self.box.stop_ijk[2]) // 2 if self.box else edge // 2
        return min(max(middle, 0), edge - 1)


@dataclass(frozen=True)
class Row:
    """Panels side by side and what is said about them."""

    panels: Sequence[Panel]
    sentences: Sequence[str]


def crop_rows(rows: Sequence[Row], intensity: IntensityConfig) -> Figure:
    """Rows of crops, the sentences beside them; HU as `intensity` says."""
    n_panels = max(len(row.panels) for row in rows)
    figure = Figure(figsize=(2.2 * n_panels + 4.2, 2.4 * len(rows)), dpi=80)
    grid = figure.add_gridspec(len(rows), n_panels + 1, width_ratios=[1.0] * n_panels + [1.8])
    for place, row in enumerate(rows):
        for column, panel in enumerate(row.panels):
            _draw(figure.add_subplot(grid[place, column]), panel, intensity)
        axes = figure.add_subplot(grid[place, n_panels])
        axes.set_axis_off()
        lines = [textwrap.fill(text, 52) for text in row.sentences]
        axes.text(0.0, 0.95, "\n".join(lines), va="top", fontsize=7, transform=axes.transAxes, parse_math=False)
    figure.subplots_adjust(left=0.01, right=0.99, top=0.97, bottom=0.01, wspace=0.05, hspace=0.15)
    return figure


def _draw(axes: Axes, panel: Panel, intensity: IntensityConfig) -> None:
    edge = panel.crop.shape[0]
    image = to_hu(slice_of(panel.crop, panel.plane), intensity)
    axes.imshow(image, cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1], interpolation="nearest")
    if panel.heat is not None:
        cell = edge // panel.heat.shape[0]
        low, high = panel.heat.min(), panel.heat.max()
        strength = (slice_of(panel.heat, panel.plane // cell) - low) / max(high - low, 1e-12)
        extent = (-0.5, edge - 0.5, edge - 0.5, -0.5)
        axes.imshow(strength, cmap="inferno", vmin=0, vmax=1, alpha=0.6 * strength, extent=extent)
    if panel.box is not None:
        # slice_of flips both axes, so a box's far corner comes first.
        i, j = edge - panel.box.stop_ijk[0], edge - panel.box.stop_ijk[1]
        di, dj, _ = panel.box.size_ijk
        axes.add_patch(Rectangle((i - 0.5, j - 0.5), di, dj, fill=False, edgecolor="#e8a33d", linewidth=1))
        axes.set_xlim(-0.5, edge - 0.5)
        axes.set_ylim(edge - 0.5, -0.5)
    axes.set_title(panel.title, fontsize=8)
    axes.set_axis_off()


def sample_figure(batcher: Batcher, batch: Batch, restored: torch.Tensor | None, *, n_rows: int = 4) -> Figure:
    """Crops of a batch as rows: both views, what was hidden, what was restored, and the sentences."""
    rows = []
    for place, drawn in list(enumerate(batch.draws))[:n_rows]:
        is_aligned = batcher.config.crop.policy == "aligned"
        target = drawn.target.seen_from(drawn.views[0].start_ijk) if is_aligned else None
        panels = [Panel("view a", batch.clean[place, 0].cpu().numpy(), target)]
        if restored is not None:
            panels.append(Panel("hidden", batch.corrupted[place, 0].cpu().numpy(), target))
            panels.append(Panel("restored", restored[place, 0].numpy(), target))
        panels.append(Panel("view b", batch.views[place, 1, 0].cpu().numpy()))
        rows.append(Row(panels, [one.text for one in batcher.sentences(drawn)]))
    return crop_rows(rows, batcher.config.intensity)


def curves(history: Sequence[dict[str, float]]) -> Figure:
    """Loss terms by step."""
    figure = Figure(figsize=(7, 3), dpi=80)
    axes = figure.add_subplot()
    steps = [row["step"] for row in history]
    for name in TERMS:
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
