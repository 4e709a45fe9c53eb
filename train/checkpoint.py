"""Checkpoints: safetensors and JSON, whole or absent, never pickle.

Enters: a model, its optimizer, a step. Leaves: ``RUN/checkpoints/step-NNNNNNNN/`` with ``model.safetensors``,
``optimizer.safetensors`` (moments and random state) and ``state.json`` (step, hashes). Refuses: a file whose hash
is not the one in its ``state.json``; then the checkpoint before is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from t3dkit.atomic import write_json, write_with
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
    found = f"all {len(folders)} are damaged" if folders else "there is none"
    raise DamagedCheckpoint(f"no whole checkpoint in {folder.parent.name}/checkpoints: {found}. Start the run anew")


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
