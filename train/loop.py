"""The training loop.

Enters: a data set, a configuration, the folder of a run. Leaves: a trained run. Refuses: to go on after a loss that
is not finite, or to start in a folder that holds a run already.

Every random choice is a function of (seed, step, slot), the learning rate of the step alone, so the state of a run
is its weights, the optimizer's moments and the step; that is what a checkpoint holds and why a resumed run equals an
uninterrupted one bit for bit on a CPU.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch

from curation.contract import Dataset
from t3dkit.errors import ConfigError
from t3dkit.progress import Progress
from train.batch import Batch, Batcher, prefetched, trimmed
from train.catalogue import Catalogue, read_catalogue
from train.checkpoint import Keeper, newest_name, read_checkpoint
from train.config import Config, LoopConfig, as_table, flat
from train.distributed import any_process, gather, process_group, rank, wait_for_all, world_size
from train.errors import NonFiniteLoss
from train.gradients import backward
from train.logs import SHOWN_STEPS, Logs, note, summary
from train.models import T3D, placed
from train.pictures import sample_figure
from train.reader import VolumeStore
from train.run import Run, create_run, open_run, require_same_grid
from train.text import build_encoder, load_encoder, rebuild_encoder, train_tokens, warm_up

MEASURED_SENTENCES = 512
"""Sentences whose tokens set the scale of the text."""
MEASURED_CROPS = 16
"""Slots whose two crops set the scale of the visual tokens."""
MOST_THREADS = 4
"""That make batches for a GPU."""


def pretrain(
    dataset_root: Path, out: Path, config: Config | None, *, resume: bool, progress: Progress
) -> dict[str, Any]:
    """Train a run in the folder `out` to its end; returns its `summary`.

    With `resume` it goes on from its newest whole checkpoint; `config` may then be None, for the run's own.

    Raises
    ------
    ConfigError
        No data set; `out` holds a run and `resume` is not set, or was made with another configuration.
    TrainError
        A volume cannot be read, the loss is not finite, every checkpoint is damaged.
    """
    dataset = Dataset.open(dataset_root)
    started = _require_place(out, config, resume)
    config = started.config if started else cast(Config, config)
    if config.loop.threads:
        torch.set_num_threads(config.loop.threads)
    if started:
        require_same_grid(started, dataset)
        step = read_checkpoint(started.checkpoints)[0].step if newest_name(started.checkpoints) else -1
        if step >= config.loop.steps:
            progress.say(f"{out.name} is finished: {step:,} of {config.loop.steps:,} steps are done, nothing to do")
            return summary(started, 0, 0.0, 0.0)
    with process_group() as device:
        catalogue = read_catalogue(dataset, ("train",), config.crop)
        torch.manual_seed(config.loop.seed)
        run, model = _prepare(dataset, out, config, catalogue, started, progress)
        wait_for_all()  # every process made the same weights from the same seed
        return Trainer(run, placed(model, device), dataset, catalogue, device, progress).train()


def _require_place(out: Path, config: Config | None, resume: bool) -> Run | None:
    if not (out / "config.json").is_file():
        if config is None:
            raise ConfigError(f"{out} holds no run to resume: leave --resume out, or give the folder of a run")
        return None
    if not resume:
        raise ConfigError(f"{out} holds a run already: add --resume to go on with it, or give another folder")
    run = open_run(out)
    if config is not None and as_table(config) != as_table(run.config):
        own, asked = flat(as_table(run.config)), flat(as_table(config))
        key = next(key for key in asked if asked[key] != own[key])
        raise ConfigError(
            f"{out} was started with another configuration ({key} {own[key]}, not {asked[key]}): leave --config, "
            "--method and --set out to go on with it, or give another folder"
        )
    return run


def _prepare(
    dataset: Dataset, out: Path, config: Config, catalogue: Catalogue, started: Run | None, progress: Progress
) -> tuple[Run, T3D]:
    """The run's folder and a model with its first weights; weights of later steps come from a checkpoint."""
    if started and newest_name(started.checkpoints):
        return started, T3D(config, rebuild_encoder(started.text_settings))
    texts = [sentence.text for sentence in catalogue.sentences]
    if config.text.encoder:
        encoder, settings, tokens = load_encoder(config.text)
    else:
        tokens = started.tokens if started else train_tokens(texts, config.text)
        encoder, settings = build_encoder(config.text, vocabulary=tokens.size)
    model = T3D(config, encoder)
    run = started or create_run(out, dataset, config, tokens=tokens, text_settings=settings)
    if not config.text.encoder and model.uses_text and config.text.warmup_steps:
        steps, every = config.text.warmup_steps, config.loop.checkpoint_every
        warm_up(encoder, tokens, texts, run.warmup, steps=steps, every=every, seed=config.loop.seed, progress=progress)
    ids, held = tokens.encode(sorted(set(texts))[:MEASURED_SENTENCES])
    model.standardise_text(torch.from_numpy(ids), torch.from_numpy(held))
    return run, model


def learning_rate(config: LoopConfig, step: int) -> float:
    """Linear warm-up, then half a cosine down to a hundredth."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.learning_rate * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0))))


class Trainer:
    """One run on its way: model, optimizer, batches, logs."""

    def __init__(
        self, run: Run, model: T3D, dataset: Dataset, catalogue: Catalogue, device: torch.device, progress: Progress
    ) -> None:
        self.run, self.model, self.device, self.progress = run, model, device, progress
        self.config = run.config
        self.batcher = Batcher(catalogue, VolumeStore(dataset, run.root / "cache"), run.tokens, run.config)
        self.optimizer = torch.optim.AdamW(
            _parameter_groups(model, run.config), lr=run.config.loop.learning_rate, betas=(0.9, 0.98)
        )
        loop = run.config.loop
        self.keeper = Keeper(
            run.checkpoints, model, self.optimizer, steps=loop.steps, every=loop.checkpoint_every, progress=progress
        )
        asked = loop.precision
        wants_bf16 = asked == "bf16" or (asked == "auto" and device.type == "cuda")
        self.autocast = torch.autocast(device.type, dtype=torch.bfloat16, enabled=wants_bf16)
        torch.backends.cudnn.benchmark = True  # all crops are of one size: the fastest convolution is looked for once

    def train(self) -> dict[str, Any]:
        """All steps that are left; returns the summary."""
        loop = self.config.loop
        first = self._restore()
        started, waited = time.monotonic(), 0.0
        recent: deque[tuple[float, dict[str, float]]] = deque(maxlen=SHOWN_STEPS)
        self.model.train()
        with contextlib.ExitStack() as stack:
            logs = stack.enter_context(contextlib.closing(Logs(self.run, first))) if rank() == 0 else None
            stack.enter_context(self.keeper.listening())
            task = stack.enter_context(self.progress.task(f"pretrain {self.config.method}", loop.steps))
            task.advance(first)
            batches = prefetched(self.batcher, self.keys(first), ahead=loop.accumulate + 1, **self._making())
            for step in range(first, loop.steps):
                before = time.monotonic()
                parts = [part.to(self.device) for part in trimmed([next(batches) for _ in range(loop.accumulate)])]
                waited += time.monotonic() - before
                row = self._step(step, parts)
                now, done = time.monotonic(), step + 1
                speed = (done - first) * loop.batch * loop.accumulate * world_size() / (now - started)
                recent.append((now, row))
                task.advance(note=note(recent, waited / (now - started)))
                if logs:
                    logs.write(step, row, {"crops_per_s": speed, "wait_share": waited / (now - started)})
                    if done % loop.sample_every == 0 or done == loop.steps:
                        self._picture(logs, done, parts[0])
                self.keeper.after(done)
        return summary(self.run, loop.steps - first, time.monotonic() - started, waited)

    def _step(self, step: int, parts: Sequence[Batch]) -> dict[str, float]:
        """One optimizer step over the micro-batches of `parts`; returns what is logged."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * learning_rate(self.config.loop, step)
        self.optimizer.zero_grad(set_to_none=True)
        terms = backward(self.model, parts, self.autocast)
        total = self.model.total(terms)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.loop.clip_norm)
        # A step that one process finds not finite stops all of them: a NaN spreads through the averaged gradients.
        if any_process(not bool(torch.isfinite(total + norm))):
            pair_ids = sorted({drawn.pair_id for part in parts for drawn in part.draws})
            raise NonFiniteLoss(step, pair_ids, newest_name(self.run.checkpoints))
        self.optimizer.step()
        logged = {name: float(gather(term[None]).mean()) for name, term in {"total": total, **terms}.items()}
        return {**logged, "grad_norm": float(norm), "learning_rate": learning_rate(self.config.loop, step)}

    def _making(self) -> dict[str, Any]:
        """How batches are made: on a CPU by one thread, so that torch keeps its cores; for a GPU by several, pinned."""
        if self.device.type != "cuda":
            return {"threads": 1, "pin": False}
        return {"threads": max(1, min(MOST_THREADS, (os.cpu_count() or 1) // world_size() - 1)), "pin": True}

    def keys(self, first: int) -> list[tuple[int, Sequence[int], int]]:
        """What the batcher is asked for: (step, slots, all slots), one per micro-batch.

        A step's slots are the same however they are split over processes and micro-batches.
        """
        loop = self.config.loop
        own = loop.batch * loop.accumulate
        firsts = [rank() * own + part * loop.batch for part in range(loop.accumulate)]
        return [
            (step, range(start, start + loop.batch), own * world_size())
            for step in range(first, loop.steps)
            for start in firsts
        ]

    def _restore(self) -> int:
        """The step to begin with; a new run saves its first weights, and needs those of the warm-up no more."""
        is_new = not newest_name(self.run.checkpoints)
        if is_new:
            crops = [self.batcher.make(0, [slot], MEASURED_CROPS).views[0] for slot in range(MEASURED_CROPS)]
            self.model.standardise_crops(torch.cat(crops).to(self.device))
            self.keeper.save(0)
        shutil.rmtree(self.run.warmup, ignore_errors=True)
        return 0 if is_new else self.keeper.restore()

    @torch.no_grad()
    def _picture(self, logs: Logs, step: int, batch: Batch) -> None:
        self.model.eval()
        logs.picture(step, sample_figure(self.batcher, batch, self.model.restored(batch)))
        self.model.train()


def _parameter_groups(model: T3D, config: Config) -> list[dict[str, Any]]:
    """Weights decay; biases, norms and single numbers do not. The text encoder learns at its own rate.

    Parameters that are frozen are left out.
    """
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, value in model.named_parameters():
        if value.requires_grad:
            rate = config.text.rate if name.startswith("text_encoder.") else 1.0
            groups.setdefault((rate, config.loop.weight_decay if value.dim() > 1 else 0.0), []).append(value)
    return [
        {"params": held, "rate": rate, "weight_decay": weight_decay} for (rate, weight_decay), held in groups.items()
    ]
