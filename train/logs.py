"""What a run writes while it trains: loss terms by step, TensorBoard, pictures.

Enters: rows of numbers, figures. Leaves: ``history.jsonl``, ``tensorboard/``, ``samples/``. Refuses: report text in
anything but a picture.
"""

from __future__ import annotations

import io
import json
from typing import Any

import matplotlib.image
import numpy as np

from t3dkit.atomic import write_bytes, write_text
from train.pictures import png
from train.run import Run


class Logs:
    """history.jsonl, TensorBoard and pictures; on resume, what lies beyond the checkpoint is dropped."""

    def __init__(self, run: Run, first: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.root, self.every = run.root, run.config.loop.log_every
        self.path = run.root / "history.jsonl"
        kept = [json.dumps(row) for row in run.history() if row["step"] < first]
        write_text(self.path, "".join(line + "\n" for line in kept))
        self.board = SummaryWriter(run.root / "tensorboard", purge_step=first)

    def write(self, step: int, row: dict[str, float], speed: dict[str, float]) -> None:
        """One step's numbers; speeds go to TensorBoard alone, so that a resumed history equals an uninterrupted one."""
        if step % self.every:
            return
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **row}) + "\n")
        for name, value in {**row, **speed}.items():
            self.board.add_scalar(name, value, step)

    def picture(self, step: int, figure: Any) -> None:
        """One picture of crops with their sentences."""
        content = png(figure)
        write_bytes(self.root / "samples" / f"step-{step:08d}.png", content)
        pixels = np.asarray(matplotlib.image.imread(io.BytesIO(content), format="png"))[..., :3]
        self.board.add_image("crops", pixels, step, dataformats="HWC")

    def close(self) -> None:
        """Flush."""
        self.board.close()
