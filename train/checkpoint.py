"""Checkpoints: safetensors and JSON, whole or absent, never pickle; and when they are written.

Enters: a model, its optimizer, a step. Leaves: ``step-NNNNNNNN/`` with ``model.safetensors``,
``optimizer.safetensors`` (moments and random state) and ``state.json`` (step, hashes). Refuses: a file whose hash
is not the one in its ``state.json``; then the checkpoint before is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from t3dkit.atomic import write_json, write_with
from t3dkit.command import Stopped
from t3dkit.progress import Progress
from train.distributed import any_process, rank, wait_for_all
from train.errors import DamagedCheckpoint

KEPT = 2
FILES = ("model.safetensors", "optimizer.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint, in memory."""

    step: int
    model: dict[str, torch.Tensor]
    optimizer: dict[str, torch.Tensor]
    groups: list[dict[str, Any]]


def write_checkpoint(folder: Path, step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> Path:
    """Write the checkpoint of `step` under `folder` and drop all but the last two; returns its path."""
    final = folder / f"step-{step:08d}"
    working = folder / f".tmp-{final.name}"
    shutil.rmtree(working, ignore_errors=True)
    working.mkdir(parents=True)
    state = optimizer.state_dict()
    tensors = {
        f"{index}.{name}": value.detach().cpu().contiguous()
        for index, entry in state["state"].items()
        for name, value in entry.items()
    }
    tensors["random.torch"] = torch.get_rng_state()
    weights = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    for name, content in zip(FILES, (weights, tensors), strict=True):
        write_with(working / name, lambda path, content=content: save_file(content, path))  # type: ignore[misc]
    write_json(
        working / "state.json",
        {"step": step, "groups": state["param_groups"], "sha256": {name: _sha256(working / name) for name in FILES}},
    )
    if final.exists():
        shutil.rmtree(final)
    os.replace(working, final)
    for old in _folders(folder)[:-KEPT]:
        shutil.rmtree(old)
    return final


def read_checkpoint(folder: Path) -> tuple[Checkpoint, int]:
    """The newest whole checkpoint under `folder`, and how many newer ones are damaged.

    Raises
    ------
    DamagedCheckpoint
        There is none.
    """
    folders = _folders(folder)
    for n_damaged, path in enumerate(reversed(folders)):
        held = _read_one(path)
        if held is not None:
            return held, n_damaged
    place = f"{folder.parent.name}/{folder.name}"
    if not folders:
        raise DamagedCheckpoint(f"{place} holds no checkpoint yet: go on with `python -m train pretrain ... --resume`")
    raise DamagedCheckpoint(
        f"no whole checkpoint in {place}: all {len(folders)} are damaged. Start the run anew in another folder"
    )


def restore_optimizer(optimizer: torch.optim.Optimizer, checkpoint: Checkpoint) -> None:
    """Put the optimizer's moments and the random state of torch back."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in checkpoint.optimizer.items():
        index, _, name = key.partition(".")
        if index == "random":
            torch.set_rng_state(value)
        else:
            state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": checkpoint.groups})


class Keeper:
    """Saves what learns, now and then and when a signal asks for it, and takes it up again.

    Parameters
    ----------
    folder : Path
        Of the checkpoints.
    model, optimizer
        What is saved.
    steps, every : int
        How many steps there are, and after how many it is saved.
    progress : Progress
        Hears of damaged checkpoints, and of what was saved before a stop.
    """

    def __init__(
        self,
        folder: Path,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        steps: int,
        every: int,
        progress: Progress,
    ) -> None:
        self.folder, self.model, self.optimizer = folder, model, optimizer
        self.steps, self.every, self.progress = steps, every, progress
        self._signal = 0

    def restore(self) -> int:
        """Take up the newest whole checkpoint; the step to go on with, 0 where there is none."""
        if not newest_name(self.folder):
            return 0
        checkpoint, n_damaged = read_checkpoint(self.folder)
        if n_damaged:
            self.progress.say(f"{n_damaged} newer checkpoint(s) are damaged; going on from step {checkpoint.step}")
        self.model.load_state_dict(checkpoint.model)
        restore_optimizer(self.optimizer, checkpoint)
        return checkpoint.step

    def save(self, step: int) -> None:
        """Write the checkpoint of `step`; of several processes the first one does."""
        if rank() == 0:
            write_checkpoint(self.folder, step, self.model, self.optimizer)
        wait_for_all()

    def after(self, done: int) -> None:
        """Save where it is time after `done` steps; where a signal came, save and end the program as it would have.

        A signal to one process stops all of them; in the others it counts as SIGTERM.
        """
        stopping = any_process(bool(self._signal))
        if stopping or done % self.every == 0 or done == self.steps:
            self.save(done)
        if stopping:
            self.progress.say(f"saved after step {done:,} of {self.steps:,}")
            raise KeyboardInterrupt if self._signal == signal.SIGINT else Stopped

    @contextmanager
    def listening(self) -> Iterator[None]:
        """SIGTERM and Ctrl-C wait for `after`, so that a step is never torn; a second Ctrl-C stops at once."""

        def ask(number: int, _frame: Any) -> None:
            if self._signal == number == signal.SIGINT:
                raise KeyboardInterrupt
            self._signal = number

        try:
            previous = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
        except ValueError:  # not the main thread: whoever runs the thread stops it
            previous = {}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def newest_name(folder: Path) -> str:
    """Name of the newest checkpoint, "" where there is none."""
    folders = _folders(folder)
    return folders[-1].name if folders else ""


def _read_one(path: Path) -> Checkpoint | None:
    try:
        state = json.loads((path / "state.json").read_text(encoding="utf-8"))
        if any(_sha256(path / name) != state["sha256"][name] for name in FILES):
            return None
        model, optimizer = (load_file(path / name) for name in FILES)
        return Checkpoint(step=int(state["step"]), model=model, optimizer=optimizer, groups=state["groups"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return None


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*") if path.is_dir())


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
