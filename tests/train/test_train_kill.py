"""A run that is killed at a random moment, however often, ends in the bits of one that was not.

``T3DKIT_KILLS=20 pytest tests/train/test_train_kill.py`` measures 20 runs, each killed until it is done.
"""

from __future__ import annotations

import os
import random
import time
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from train_data import TINY

from t3dkit.progress import Progress
from train.config import load_config
from train.loop import pretrain

N_RUNS = int(os.environ.get("T3DKIT_KILLS", "2"))
STEPS = ("loop.steps=12", "loop.checkpoint_every=3", "loop.threads=1", "text.warmup_steps=12")
MOST_KILLS = 3
"""Of one run; afterwards it may finish."""
PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload(["train.loop"])


def run_process(dataset: Path, out: Path) -> None:
    """Start a run, or go on with it."""
    config = None if (out / "config.json").is_file() else load_config("t3d", [*TINY, *STEPS], scale="cpu")
    pretrain(dataset, out, config, resume=True, progress=Progress(quiet=True))


def seconds_of(dataset: Path, out: Path, *, kill_after: float | None = None) -> float:
    """Run in a process of its own, killed by SIGKILL after `kill_after` seconds unless it is done before."""
    process = PROCESSES.Process(target=run_process, args=(dataset, out))
    started = time.monotonic()
    process.start()
    process.join(kill_after)
    if kill_after is None or process.exitcode is not None:
        assert process.exitcode == 0
    process.kill()
    process.join()
    return time.monotonic() - started


@pytest.fixture(scope="module")
def whole(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A run without interruption and how long it took."""
    out = tmp_path_factory.mktemp("kills") / "whole"
    return out, seconds_of(tiny_dataset, out)


@pytest.mark.parametrize("seed", range(N_RUNS))
def test_kills_at_random_moments_change_no_bit(
    tiny_dataset: Path, tmp_path: Path, whole: tuple[Path, float], seed: int
) -> None:
    moments, (reference, seconds) = random.Random(seed), whole
    for _ in range(MOST_KILLS):
        seconds_of(tiny_dataset, tmp_path / "run", kill_after=moments.uniform(0.0, seconds))
    seconds_of(tiny_dataset, tmp_path / "run")
    names = [path.relative_to(reference) for path in (reference / "checkpoints").rglob("*") if path.is_file()]
    assert sorted(names) == sorted(
        path.relative_to(tmp_path / "run") for path in (tmp_path / "run" / "checkpoints").rglob("*") if path.is_file()
    )
    for name in (name for name in names if name.suffix == ".safetensors"):
        one, two = load_file(reference / name), load_file(tmp_path / "run" / name)
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in one)
    assert (reference / "history.jsonl").read_bytes() == (tmp_path / "run" / "history.jsonl").read_bytes()
