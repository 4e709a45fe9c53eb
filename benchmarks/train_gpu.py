"""What a GPU gives the trainer: memory and speed of a step, and a whole loop beside a plain one.

    python -m benchmarks.train_gpu [--out docs/train_gpu.md]

Needs a CUDA device and a dozen processor cores. Three tables:

- steps of ``--method t3d-align --config gpu`` (SwinUNETR-48, crops of 96^3, global batch 16) on noise, with the batch
  split in several ways: peak memory, time, and the matrix operations done in it as a share of what one large bf16
  product reaches on the same device in the same run;
- the whole loop, volumes on disk to optimizer step: restoration of hidden blocks by the same network, ours
  (`train.loop`) beside a plain loop of MONAI's network, a DataLoader and TorchIO's Queue, in float32 as its
  documentation has it and with bf16 autocast;
- the loop of ``t3d`` itself, with the share of time in which the device waits for a batch.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.pages import publish
from benchmarks.sampler_speed import write_dataset
from benchmarks.train_memory import BAR_GIB, GLOBAL_BATCH, gpu_config, noise_batch
from curation.contract import Dataset
from t3dkit.progress import Progress
from train import loop
from train.config import Config, load_config
from train.gradients import backward
from train.models import T3D, placed
from train.text import build_encoder

CASES = ((4, True, "bf16"), (1, True, "bf16"), (8, True, "bf16"), (4, False, "bf16"), (4, True, "float32"))
"""Micro-batch, whether activations are checkpointed, precision."""
TIMED_STEPS, WARM_STEPS = 3, 2
TRUNK_VOX, SPACING_MM, N_VOLUMES = (288, 240, 400), (1.5, 1.5, 1.5), 16
LOOP_BATCH, LOOP_STEPS, LOOP_WARM = 4, 72, 8
"""Of the restoring loops: crops a step, steps, and steps before the clock runs."""
QUEUE_LENGTH, PATCHES_PER_VOLUME = 128, 8
BLOCK_VOX, HIDDEN_SHARE = 16, 0.8
SPEED_BAR, WAIT_BAR = 1.5, 0.02


def matrix_rate(device: torch.device, n: int = 8192, repeats: int = 20) -> float:
    """Operations a second of an (n, n) bf16 product of random numbers."""
    a, b = (torch.randn(n, n, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    return 2.0 * n**3 * repeats / _seconds(device, lambda: [a @ b for _ in range(repeats)])


def measure_step(config: Config, device: torch.device) -> dict[str, float]:
    """Peak memory (GiB), seconds and counted matrix operations of a step of `train.loop` on noise."""
    _forget(device)
    torch.manual_seed(0)
    model = placed(T3D(config, build_encoder(config.text, vocabulary=config.text.vocabulary)[0]), device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    parts = [noise_batch(config, seed).to(device) for seed in range(config.loop.accumulate)]
    autocast = torch.autocast(device.type, dtype=torch.bfloat16, enabled=config.loop.precision == "bf16")

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        backward(model, parts, autocast)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    for _ in range(WARM_STEPS):
        step()
    seconds = _seconds(device, lambda: [step() for _ in range(TIMED_STEPS)]) / TIMED_STEPS
    peak = _peak(device)
    with FlopCounterMode(display=False) as counter:
        step()
    return {"seconds": seconds, "operations": float(counter.get_total_flops()), **peak}


class Clock:
    """When each step began and ended."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.begins: list[float] = []
        self.ends: list[float] = []

    def step(self, work: Callable[[], Any]) -> Any:
        """Do one step's work."""
        self.begins.append(time.monotonic())
        result = work()
        _wait(self.device)
        self.ends.append(time.monotonic())
        return result

    def measured(self, crops: int, warm: int) -> dict[str, float]:
        """Crops a second and the share of time between steps, after the first `warm` steps."""
        whole = self.ends[-1] - self.ends[warm - 1]
        between = sum(self.begins[i] - self.ends[i - 1] for i in range(warm, len(self.ends)))
        return {"crops_per_s": crops * (len(self.ends) - warm) / whole, "between": between / whole}


def our_loop(root: Path, out: Path, config: Config, warm: int) -> dict[str, float]:
    """`train.loop.pretrain` as it is, its steps clocked; what lies between them is waiting and logging."""
    device = _device()
    _forget(device)
    clock = Clock(device)

    class Clocked(loop.Trainer):
        def _step(self, *work: Any) -> Any:
            return clock.step(lambda: super(Clocked, self)._step(*work))

    with mock.patch.object(loop, "Trainer", Clocked):
        loop.pretrain(root, out, config, resume=False, progress=Progress(quiet=True))
    return {**clock.measured(config.loop.batch * config.loop.accumulate, warm), **_peak(device)}


def plain_loop(root: Path, config: Config, *, workers: int, warm: int) -> dict[str, float]:
    """The same restoration as a user would write it with MONAI and TorchIO."""
    from monai.networks.nets import SwinUNETR

    device = _device()
    _forget(device)
    kept = config.loop.activation_checkpointing
    network = SwinUNETR(
        in_channels=1, out_channels=1, feature_size=config.image.features, spatial_dims=3, use_checkpoint=kept
    ).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    autocast = torch.autocast(device.type, dtype=torch.bfloat16, enabled=config.loop.precision == "bf16")
    clock = Clock(device)
    for crops in patches(root, config, workers):
        clock.step(lambda crops=crops: _plain_step(network, optimizer, crops.to(device), autocast))  # type: ignore[misc]
        if len(clock.ends) == config.loop.steps:
            break
    return {**clock.measured(config.loop.batch, warm), **_peak(device)}


def _plain_step(
    network: nn.Module, optimizer: torch.optim.Optimizer, crops: torch.Tensor, autocast: AbstractContextManager[object]
) -> None:
    cells = torch.rand(len(crops), 1, *[edge // BLOCK_VOX for edge in crops.shape[2:]], device=crops.device)
    hidden = F.interpolate((cells < HIDDEN_SHARE).float(), scale_factor=BLOCK_VOX)
    with autocast:
        restored = network(crops * (1 - hidden))
    loss = ((restored.float() - crops).abs() * hidden).sum() / hidden.sum()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()


def patches(root: Path, config: Config, workers: int) -> Iterator[torch.Tensor]:
    """Batches of normalised crops from TorchIO's Queue, without end."""
    import torchio

    dataset = Dataset.open(root)
    paths = [dataset.volume_path(row) for row in dataset.rows("volumes")]
    low, high = config.intensity.hu_range
    normalise = torchio.Compose([torchio.Clamp(low, high), torchio.RescaleIntensity((-1, 1), in_min_max=(low, high))])
    queue = torchio.Queue(
        torchio.SubjectsDataset([torchio.Subject(image=torchio.ScalarImage(path)) for path in paths], normalise),
        max_length=QUEUE_LENGTH,
        samples_per_volume=PATCHES_PER_VOLUME,
        sampler=torchio.UniformSampler(config.crop.size_vox),
        num_workers=workers,
    )
    while True:
        for batch in torchio.SubjectsLoader(queue, batch_size=config.loop.batch, num_workers=0, pin_memory=True):
            yield batch["image"][torchio.DATA]


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _seconds(device: torch.device, work: Callable[[], Any]) -> float:
    _wait(device)
    begin = time.monotonic()
    work()
    _wait(device)
    return time.monotonic() - begin


def _forget(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _peak(device: torch.device) -> dict[str, float]:
    if device.type != "cuda":
        return {"allocated": 0.0, "reserved": 0.0}
    found = torch.cuda.max_memory_allocated(device), torch.cuda.max_memory_reserved(device)
    return {"allocated": found[0] / 2**30, "reserved": found[1] / 2**30}


def loop_config(method: str, *, checkpointing: bool, precision: str, words: tuple[str, ...] = ()) -> Config:
    """A run of the GPU scale, short, without warm-up, pictures or accumulated steps."""
    steps = (f"loop.steps={LOOP_STEPS}", f"loop.batch={LOOP_BATCH}", "loop.accumulate=1", f"loop.precision={precision}")
    kept = f"loop.activation_checkpointing={str(checkpointing).lower()}"
    return load_config(method, [*steps, kept, "text.warmup_steps=0", "loop.warmup_steps=1", *words], scale="gpu")


def measure() -> Iterator[dict[str, Any]]:
    """Every row of the page, as it is found."""
    device = _device()
    rate = matrix_rate(device)
    yield {"kind": "device", "name": torch.cuda.get_device_name(device), "rate": rate}
    for batch, checkpointing, precision in CASES:
        config = gpu_config(batch, checkpointing=checkpointing, words=(f"loop.precision={precision}",))
        case = {"kind": "step", "batch": batch, "checkpointing": checkpointing, "precision": precision}
        yield {**case, **_tried(lambda config=config: measure_step(config, device))}  # type: ignore[misc]
    workers = max(1, (os.cpu_count() or 2) - 2)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "dataset"
        write_dataset(root, TRUNK_VOX, SPACING_MM, N_VOLUMES)
        for kept in (True, False):
            for precision in ("float32", "bf16"):
                config = loop_config("restore", checkpointing=kept, precision=precision)
                case = {"kind": "loop", "checkpointing": kept, "precision": precision}
                found = _tried(lambda config=config: plain_loop(root, config, workers=workers, warm=LOOP_WARM))  # type: ignore[misc]
                yield {**case, "who": "plain", **found}
            out = Path(folder) / f"ours-{kept}"
            found = _tried(lambda config=config, out=out: our_loop(root, out, config, LOOP_WARM))  # type: ignore[misc]
            yield {**case, "who": "ours", **found}
        for method in ("t3d", "t3d-align"):
            words = ("loop.accumulate=4", f"loop.steps={WARM_STEPS + 6}")
            config = loop_config(method, checkpointing=True, precision="bf16", words=words)
            out = Path(folder) / method
            found = _tried(lambda config=config, out=out: our_loop(root, out, config, WARM_STEPS))  # type: ignore[misc]
            yield {"kind": "t3d", "method": method, **found}


def _tried(work: Callable[[], dict[str, float]]) -> dict[str, Any]:
    """What `work` finds, or that the device has not the memory for it."""
    try:
        return dict(work())
    except torch.OutOfMemoryError:
        return {"failed": "out of memory"}


def page(rows: list[dict[str, Any]]) -> str:
    """The tables as Markdown."""
    device = next(row for row in rows if row["kind"] == "device")
    lines = [
        "# The trainer on a GPU",
        "",
        f"`python -m benchmarks.train_gpu`, {datetime.date.today().isoformat()}, one {device['name']}, torch",
        f"{torch.__version__}, {os.cpu_count()} processor cores. One bf16 product of 8192 x 8192 reaches "
        f"{device['rate'] / 1e12:.0f} TFLOP/s.",
        "",
        "## A step",
        "",
        "`--method t3d-align --config gpu`: SwinUNETR-48, crops of 96^3, global batch 16, on noise. Operations are",
        "those that torch counts in a step (matrix products and convolutions, those done again by checkpointing and by",
        "the second reading of cached gradients included).",
        "",
        "| micro-batch x accumulation | activations | precision | peak allocated, GiB | reserved, GiB | s a step "
        "| slots/s | share of the matrix rate |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        if row["kind"] == "step":
            how = f"| {row['batch']} x {GLOBAL_BATCH // row['batch']} | {_kept(row)} | {row['precision']} "
            if "failed" in row:
                lines.append(how + f"| {row['failed']} | | | | |")
                continue
            share = row["operations"] / row["seconds"] / device["rate"]
            lines.append(
                how + f"| {row['allocated']:.2f} | {row['reserved']:.2f} | {row['seconds']:.2f} "
                f"| {GLOBAL_BATCH / row['seconds']:.1f} | {share:.1%} |"
            )
    lines += [
        "",
        f"Bar: a step with global batch {GLOBAL_BATCH} within {BAR_GIB:g} GiB.",
        "",
        "## The whole loop beside a plain one",
        "",
        f"Restoration of hidden blocks, SwinUNETR-48, {LOOP_BATCH} crops of 96^3 a step, {N_VOLUMES} volumes of",
        f"{'x'.join(map(str, TRUNK_VOX))} voxels as uncompressed NIfTI. The plain loop is MONAI's network, AdamW and",
        f"TorchIO's Queue ({QUEUE_LENGTH} patches, {PATCHES_PER_VOLUME} a volume, two cores left free of its workers).",
        f"Steps after the first {LOOP_WARM} of {LOOP_STEPS}.",
        "",
        "| loop | activations | precision | crops/s | between steps | peak allocated, GiB |",
        "| --- | --- | --- | ---: | ---: | ---: |",
    ]
    for row in rows:
        if row["kind"] == "loop":
            numbers = _loop_cells(row)
            lines.append(f"| {row['who']} | {_kept(row)} | {row['precision']} | {numbers} |")
    lines += [
        "",
        f"Ours over the plain loop: {_ratios(rows)}. Bar: {SPEED_BAR}.",
        "",
        "## T3D",
        "",
        "The loop of `--config gpu` (4 x 4, checkpointed, bf16) on the same volumes; a slot is a sentence with two",
        f"crops. Between two steps lie the wait for the batch (bar: under {WAIT_BAR:.0%}) and the log.",
        "",
        "| method | slots/s | between steps | peak allocated, GiB |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [f"| {row['method']} | {_loop_cells(row)} |" for row in rows if row["kind"] == "t3d"]
    return "\n".join([*lines, ""])


def _ratios(rows: list[dict[str, Any]]) -> str:
    """How many times as fast ours is as each plain loop that keeps as much."""
    speeds = [row for row in rows if row["kind"] == "loop" and "failed" not in row]
    ours = {row["checkpointing"]: row["crops_per_s"] for row in speeds if row["who"] == "ours"}
    return ", ".join(
        f"{ours[row['checkpointing']] / row['crops_per_s']:.2f} ({_kept(row)}, {row['precision']})"
        for row in speeds
        if row["who"] == "plain" and row["checkpointing"] in ours
    )


def _kept(row: dict[str, Any]) -> str:
    return "checkpointed" if row["checkpointing"] else "kept"


def _loop_cells(row: dict[str, Any]) -> str:
    if "failed" in row:
        return f"{row['failed']} | |"
    return f"{row['crops_per_s']:.1f} | {row['between']:.1%} | {row['allocated']:.2f}"


def main(words: list[str] | None = None) -> int:
    """Print the page, and write it where asked; every row goes to stderr as it is found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args(words)
    if not torch.cuda.is_available():
        print("benchmarks.train_gpu needs a CUDA device; benchmarks.train_memory counts a step's memory without one")
        return 2
    rows = []
    for row in measure():
        print(json.dumps(row), file=sys.stderr, flush=True)
        rows.append(row)
    publish(page(rows), arguments.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
