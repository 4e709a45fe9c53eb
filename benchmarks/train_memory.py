"""Memory of a training step at the GPU scale, counted tensor by tensor where no GPU is at hand.

    python -m benchmarks.train_memory [--out docs/train_memory.md]

The model of ``--method t3d-align --config gpu`` (SwinUNETR-48, crops of 96^3, global batch 16) makes a step on
torch's meta device: every tensor has its shape and type, and no voxel. Each is followed from its making to its end:
parameters, moments, gradients, what is kept for the backward pass, temporaries. Counted is the peak of their sum, as
a GPU's allocator would have to hold it. Two micro-batches stand for all: a later one finds what the second finds, all
gradients there; the readings of the others, which wait for their second reading, take a few MiB and are added.
`tests/train` compares the count with one over real tensors.
"""

from __future__ import annotations

import argparse
import sys
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.fx.experimental import _config as fake_config
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from benchmarks.pages import publish
from train.batch import Batch
from train.config import Config, load_config
from train.gradients import backward
from train.models import T3D
from train.text import build_encoder

GLOBAL_BATCH = 16
BAR_GIB = 24.0
OUTSIDE_GIB = 2.0
"""Allowance for what no tensor holds: CUDA's context (about 0.5), cuDNN's workspaces, fragments of the allocator."""
PARTS = 2
CASES = ((1, True), (2, True), (4, True), (8, True), (1, False), (4, False))
"""Micro-batch, and whether activations are checkpointed."""


class LiveBytes(TorchDispatchMode):
    """Bytes of all tensors that are alive, and the most there were.

    torch.distributed's MemTracker does the same, but refuses a module that runs twice in a step, as ours do.
    """

    def __init__(self, held: Iterable[Any]) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._known: Any = WeakIdKeyDictionary()
        self._follow(list(held))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and follow what it makes."""
        if func is torch.ops.aten._local_scalar_dense.default and args[0].is_meta:
            return 1  # "is any sentence there?": they all are
        made = func(*args, **(kwargs or {}))
        self._follow(made)
        return made

    def _follow(self, made: Any) -> None:
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor) and (storage := tensor.untyped_storage()) not in self._known:
                self._known[storage] = True
                self._add(storage.nbytes())
                weakref.finalize(storage, self._add, -storage.nbytes())

    def _add(self, n_bytes: int) -> None:
        self.live += n_bytes
        self.peak = max(self.peak, self.live)


@dataclass(frozen=True)
class Count:
    """Bytes of a step: of parameters, moments and gradients together, and at the peak."""

    state: int
    peak: int


def count_step(config: Config, device: torch.device) -> Count:
    """One step of `train.loop` on noise: gradients over all micro-batches, then the optimizer's step."""
    fake_config.meta_nonzero_assume_all_nonzero = True  # every sentence is there
    torch.manual_seed(0)
    model = T3D(config, build_encoder(config.text, vocabulary=config.text.vocabulary)[0]).train().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()  # makes the moments, which every later step finds there
    optimizer.zero_grad(set_to_none=True)
    moments = [value for state in optimizer.state.values() for value in state.values()]
    parameters = list(model.parameters())
    parts = [noise_batch(config, seed).to(device) for seed in range(min(PARTS, config.loop.accumulate))]
    held = [*parameters, *model.buffers(), *moments]
    with LiveBytes([*held, *(list(vars(part).values()) for part in parts)]) as step:
        backward(model, parts, torch.autocast("cpu", enabled=False))
        optimizer.step()
    with LiveBytes([]), torch.no_grad():
        reading = model.read(parts[0])
    waiting = sum(one.nbytes for one in vars(reading).values()) * (config.loop.accumulate - len(parts))
    state = sum(value.nbytes for value in [*held, *parameters])  # gradients are as large as parameters
    return Count(state, step.peak + waiting)


def gpu_config(micro_batch: int, *, checkpointing: bool, words: tuple[str, ...] = ()) -> Config:
    """The configuration counted: the GPU scale, with the global batch in micro-batches."""
    split = (f"loop.batch={micro_batch}", f"loop.accumulate={GLOBAL_BATCH // micro_batch}")
    kept = f"loop.activation_checkpointing={str(checkpointing).lower()}"
    return load_config("t3d-align", [*split, kept, *words], scale="gpu")


def noise_batch(config: Config, seed: int) -> Batch:
    """A micro-batch of full size: every sentence is there, every token held."""
    generator = torch.Generator().manual_seed(seed)
    b, c, k, s = config.loop.batch, config.crop.size_vox, config.crop.max_sentences, config.text.max_tokens
    views = torch.randn(b, 2, 1, c, c, c, generator=generator)
    ids = torch.randint(5, config.text.vocabulary, (b, k, s), generator=generator)
    keys = torch.randint(1, 2**40, (2, b, k), generator=generator)
    hidden = torch.rand(b, 1, c, c, c, generator=generator) < 0.8
    clean = views[:, 0].clone()
    return Batch(
        views, clean, clean * ~hidden, hidden, ids, torch.ones_like(ids, dtype=torch.bool), keys[0], keys[1], ()
    )


def page() -> str:
    """The table as Markdown."""
    lines = [
        "# Memory of a step at the GPU scale",
        "",
        "`python -m benchmarks.train_memory`: a step of `--method t3d-align --config gpu` (SwinUNETR-48, crops of",
        f"96^3), global batch {GLOBAL_BATCH} through accumulation with cached contrastive gradients, in float32.",
        "Counted on torch's meta device: bytes of all live tensors at their peak, GiB. bf16, the default on a GPU,",
        f"keeps most activations in half of that. {OUTSIDE_GIB:g} GiB are allowed for what no tensor holds: CUDA's",
        "context, cuDNN's workspaces, fragments. docs/train_gpu.md has what a GPU measured.",
        "",
        f"| micro-batch x accumulation | activations | parameters, moments, gradients | peak | in {BAR_GIB:g} GiB |",
        "| --- | --- | ---: | ---: | --- |",
    ]
    for micro_batch, checkpointing in CASES:
        found = count_step(gpu_config(micro_batch, checkpointing=checkpointing), torch.device("meta"))
        peak = found.peak / 2**30
        lines.append(
            f"| {micro_batch} x {GLOBAL_BATCH // micro_batch} | {'checkpointed' if checkpointing else 'kept'} "
            f"| {found.state / 2**30:.2f} | {peak:.2f} | {'yes' if peak + OUTSIDE_GIB <= BAR_GIB else 'no'} |"
        )
    return "\n".join([*lines, ""])


def main(words: list[str] | None = None) -> int:
    """Print the page, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args(words if words is not None else [])
    text = page()
    publish(text, arguments.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
