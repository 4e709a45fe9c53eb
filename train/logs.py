"""What a run writes while it trains: loss terms by step, TensorBoard, pictures; MLflow and W&B where asked for.

Enters: rows of numbers, figures. Leaves: ``history.jsonl``, ``tensorboard/``, ``samples/``. Refuses: report text in
anything but a picture, and pictures in anything but the run's folder. A tracker gets numbers and the configuration,
and writes into the run's folder unless its own environment variables name a server.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np

from t3dkit.atomic import write_bytes, write_text
from t3dkit.errors import ConfigError
from train.config import as_table, flat
from train.distributed import world_size
from train.pictures import TERMS, png
from train.run import Run

SHOWN_STEPS = 20
"""Steps that the loss and speed behind the bar are taken over."""


@dataclass(frozen=True)
class Tracker:
    """Where numbers go besides the run's own files: `write` takes a row of numbers and ``step=``."""

    write: Callable[..., object]
    close: Callable[[], object]


def _mlflow(root: Path, config: Mapping[str, Any]) -> Tracker:
    """MLflow; a database in the run's folder unless ``MLFLOW_TRACKING_URI`` names a server."""
    import mlflow

    if "MLFLOW_TRACKING_URI" not in os.environ:
        mlflow.set_tracking_uri(f"sqlite:///{root.resolve() / 'mlflow.db'}")
    mlflow.start_run(run_name=root.name)
    mlflow.log_params(config)
    return Tracker(mlflow.log_metrics, mlflow.end_run)


def _wandb(root: Path, config: Mapping[str, Any]) -> Tracker:
    """Weights & Biases; offline in the run's folder unless ``WANDB_MODE`` says otherwise."""
    import wandb

    mode = os.environ.get("WANDB_MODE", "offline")
    run = wandb.init(project="t3dkit", name=root.name, dir=str(root), mode=mode, config=config)
    return Tracker(run.log, run.finish)


TRACKERS: Mapping[str, Callable[[Path, Mapping[str, Any]], Tracker]] = {"mlflow": _mlflow, "wandb": _wandb}


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
            opened.append(TRACKERS[name](run.root, flat(as_table(run.config))))
        except ImportError:
            raise ConfigError(
                f"loop.trackers names {name}, which is not installed: `pip install .[tracking]`"
            ) from None
    return opened


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
            tracker.write({**row, **speed}, step=step)

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


def note(recent: Sequence[tuple[float, dict[str, float]]], wait_share: float) -> str:
    """What stands behind the bar: the last steps' mean loss and speed, and the share of time spent on waiting."""
    rows = [row for _, row in recent]
    means = {name: sum(row[name] for row in rows) / len(rows) for name in TERMS if name in rows[0]}
    terms = " ".join(f"{name} {means[name]:.3f}" for name in TERMS[1:] if name in means)
    seconds = recent[-1][0] - recent[0][0]
    speed = f"{(len(rows) - 1) / seconds:.2f} steps/s · " if seconds else ""
    return f"loss {means['total']:.3f} · {speed}waiting {wait_share:.1%} · {terms}"


def summary(run: Run, n_steps: int, seconds: float, waited: float) -> dict[str, Any]:
    """What `pretrain` prints: `n_steps` were made just now, in `seconds`, of which `waited` for data."""
    loop, rows = run.config.loop, run.history()
    n = max(1, len(rows) // 10)
    ends = {
        name: [round(sum(row[name] for row in part) / len(part), 4) for part in (rows[:n], rows[-n:])]
        for name in TERMS
        if rows and name in rows[0]
    }
    slots = n_steps * loop.batch * loop.accumulate * world_size()
    return {
        "run": run.root.name,
        "method": run.config.method,
        "steps": loop.steps,
        "loss_first_and_last_tenth": ends,
        "seconds": round(seconds, 1),
        "slots_per_s": round(slots / seconds, 2) if n_steps else None,
        "wait_share": round(waited / seconds, 4) if n_steps else None,
    }
