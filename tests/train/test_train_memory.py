"""The memory that is counted without voxels is the memory that real tensors take."""

from __future__ import annotations

import pytest
import torch
from train_data import TINY

from benchmarks.train_memory import LiveBytes, count_step
from train.config import load_config

WORDS = [*TINY, "loop.batch=2", "loop.accumulate=2"]


@pytest.mark.parametrize("checkpointing", ["true", "false"])
def test_a_step_counted_on_the_meta_device_is_the_step_on_the_cpu(checkpointing: str) -> None:
    words = [*WORDS, f"loop.activation_checkpointing={checkpointing}"]
    config = load_config("t3d-align", words, scale="cpu")
    meta, real = (count_step(config, torch.device(name)) for name in ("meta", "cpu"))
    assert meta.state == real.state
    assert meta.peak == pytest.approx(real.peak, rel=0.05)
    assert real.peak > 1.5 * real.state


def test_live_bytes_forget_what_is_freed_and_keep_the_peak() -> None:
    held = torch.zeros(100)
    with LiveBytes([held]) as counted:
        assert counted.live == 400
        half = torch.zeros(1000) + 1  # two tensors of 4,000 bytes, of which one is left
        view = half[:10]
        del half
        assert (counted.live, counted.peak) == (4400, 8400)
        del view
        assert counted.live == 400
