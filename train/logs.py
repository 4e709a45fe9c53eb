"""What a run writes while it trains: loss terms by step, TensorBoard, pictures; MLflow and W&B where asked for.

Enters: rows of numbers, figures. Leaves: ``history.jsonl``, ``tensorboard/``, ``samples/``. Refuses: report text in
anything but a picture, and pictures in anything but the run's folder. A tracker gets numbers and the configuration,
and writes into the run's folder unless its own environment variables name a server.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import matplotlib.image
import numpy as np

from t3dkit.atomic import write_bytes, write_text
from t3dkit.errors import ConfigError
from train.config import as_table
from train.pictures import png
from train.run import Run


class Tracker(Protocol):
    """Where numbers go besides the run's own files."""

    def write(self, step: int, row: Mapping[str, float]) -> None:
        """One step's numbers."""

    def close(self) -> None:
        """Flush."""


class MlflowTracker:
    """MLflow; a database in the run's folder unless ``MLFLOW_TRACKING_URI`` names a server."""

    def __init__(self, root: Path, config: Mapping[str, Any]) -> None:
        import mlflow

        self.mlflow = mlflow
        if "MLFLOW_TRACKING_URI" not in os.environ:
            mlflow.set_tracking_uri(f"sqlite:///{root.resolve() / 'mlflow.db'}")
        mlflow.start_run(run_name=root.name)
        mlflow.log_params(flat(config))

    def write(self, step: int, row: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self.mlflow.log_metrics(dict(row), step=step)

    def close(self) -> None:
        """See `Tracker`."""
        self.mlflow.end_run()


class WandbTracker:
    """Weights & Biases; offline in the run's folder unless ``WANDB_MODE`` says otherwise."""

    def __init__(self, root: Path, config: Mapping[str, Any]) -> None:
        import wandb

        mode = os.environ.get("WANDB_MODE", "offline")
        self.run = wandb.init(project="t3dkit", name=root.name, dir=str(root), mode=mode, config=flat(config))

    def write(self, step: int, row: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self.run.log(dict(row), step=step)

    def close(self) -> None:
        """See `Tracker`."""
        self.run.finish()


TRACKERS: Mapping[str, Callable[[Path, Mapping[str, Any]], Tracker]] = {"mlflow": MlflowTracker, "wandb": WandbTracker}


def open_trackers(run: Run) -> list[Tracker]:
    """The trackers that the configuration asks for.

    Raises
    ------
    ConfigError
        One of them is not installed.
    """
    opened = []
    for name in run.config.loop.trackers:
        try:
            opened.append(TRACKERS[name](run.root, as_table(run.config)))
        except ImportError:
            raise ConfigError(
                f"loop.trackers names {name}, which is not installed: `pip install .[tracking]`"
            ) from None
    return opened


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested table as one of dotted keys."""
    rows: dict[str, Any] = {}
    for key, value in table.items():
        rows |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return rows


class Logs:
    """history.jsonl, TensorBoard and pictures; on resume, what lies beyond the checkpoint is dropped."""

    def __init__(self, run: Run, first: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.root, self.every = run.root, run.config.loop.log_every
        self.path = run.root / "history.jsonl"
        kept = [json.dumps(row) for row in run.history() if row["step"] < first]
        write_text(self.path, "".join(line + "\n" for line in kept))
        self.trackers = open_trackers(run)
        self.board = SummaryWriter(run.root / "tensorboard", purge_step=first)

    def write(self, step: int, row: dict[str, float], speed: dict[str, float]) -> None:
        """One step's numbers; speeds go to TensorBoard alone, so that a resumed history equals an uninterrupted one."""
        if step % self.every:
            return
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **row}) + "\n")
        for name, value in {**row, **speed}.items():
            self.board.add_scalar(name, value, step)
        for tracker in self.trackers:
            tracker.write(step, {**row, **speed})

    def picture(self, step: int, figure: Any) -> None:
        """One picture of crops with their sentences."""
        content = png(figure)
        write_bytes(self.root / "samples" / f"step-{step:08d}.png", content)
        pixels = np.asarray(matplotlib.image.imread(io.BytesIO(content), format="png"))[..., :3]
        self.board.add_image("crops", pixels, step, dataformats="HWC")

    def close(self) -> None:
        """Flush."""
        self.board.close()
        for tracker in self.trackers:
            tracker.close()
