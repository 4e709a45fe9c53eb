"""The parts of the GPU benchmark, on a CPU and small."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks import train_gpu
from benchmarks.train_memory import gpu_config

SMALL = (
    "image.network=unet",
    "image.features=8",
    "crop.size_vox=32",
    "corruption.block_vox=8",
    "text.width=48",
    "text.layers=1",
    "text.heads=2",
    "text.vocabulary=300",
    "text.max_tokens=16",
    "loop.batch=2",
)


def test_a_step_counts_its_operations() -> None:
    words = (*SMALL, "loop.precision=float32", "loop.accumulate=2")
    found = train_gpu.measure_step(gpu_config(2, checkpointing=True, words=words), torch.device("cpu"))
    more = train_gpu.measure_step(
        gpu_config(2, checkpointing=True, words=(*words, "loop.batch=4")), torch.device("cpu")
    )
    assert found["seconds"] > 0
    assert more["operations"] == pytest.approx(2 * found["operations"], rel=0.1)


def test_our_loop_is_clocked_step_by_step(tmp_path: Path, tiny_dataset: Path) -> None:
    config = train_gpu.loop_config("t3d", checkpointing=True, precision="float32", words=(*SMALL, "loop.steps=4"))
    found = train_gpu.our_loop(tiny_dataset, tmp_path / "run", config, 1)
    assert found["crops_per_s"] > 0
    assert 0 <= found["between"] < 1


def test_the_page_compares_ours_with_each_plain_loop() -> None:
    loops = [
        {"kind": "loop", "who": who, "checkpointing": kept, "precision": "bf16", "crops_per_s": speed}
        | {"between": 0.1, "allocated": 1.0}
        for who, kept, speed in (("plain", True, 10.0), ("ours", True, 15.0), ("plain", False, 8.0))
    ]
    step = {"kind": "step", "batch": 4, "checkpointing": True, "precision": "bf16", "failed": "out of memory"}
    page = train_gpu.page([{"kind": "device", "name": "card", "rate": 1e12}, step, *loops])
    assert "Ours over the plain loop: 1.50 (checkpointed, bf16). Bar" in page
    assert "| 4 x 4 | checkpointed | bf16 | out of memory |" in page
