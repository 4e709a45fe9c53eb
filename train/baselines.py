"""``python -m train baselines``: the same trainer, data, encoder and steps under every method, in one table.

Enters: a data set, methods, seeds. Leaves: a run for each, ``table.json`` and ``table.md``. Refuses: to do again what
is done; a grid that was cut off goes on where it stopped.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import sem
from scipy.stats import t as student

from t3dkit.atomic import write_json, write_text
from t3dkit.command import Stopped
from t3dkit.errors import ConfigError
from t3dkit.progress import Progress
from train.config import METHODS_WITHOUT_STEPS, Config, as_table, load_config
from train.errors import TrainError
from train.evaluate import TASKS, evaluate, result_at
from train.loop import pretrain
from train.run import open_run

METHODS = ("scratch", "restore", "simclr", "clip", "t3d", "t3d-align")
ABLATIONS = ("tcl-only", "tir-only", "random-crops", "obvious-tcl", "shuffled-reports")
SHARES = ("0.01", "0.1", "1")
COLUMNS = {
    **{f"organ Dice, {float(s):.0%} of labels": f"organs {s} pretrained dice" for s in SHARES},
    **{f"lesion Dice, {float(s):.0%} of labels": f"lesions {s} pretrained dice" for s in SHARES},
    "finding AUROC, linear": "findings linear macro_auroc",
    "finding AUROC, zero-shot": "findings zero_shot macro_auroc",
    "abnormal crop AUROC": "abnormal_crops auroc",
    "sentence to crop R@5, ridge": "retrieval ridge sentence_to_crop R@5",
    "sentence to crop R@5, head": "retrieval align_head sentence_to_crop R@5",
    "text gain": "text_gain shuffled_minus_right",
}
GRID_WORDS = ("evaluate.segment_fractions=[0.01, 0.1, 1.0]", "evaluate.segment_compare=false")
NOTE = (
    "Mean over seeds with its 95 % interval: over patients where there is one seed, over seeds (Student's t) where "
    "there are more. Held-out patients, whose labels no method saw.\n"
)


def baselines(
    dataset_root: Path,
    out: Path,
    *,
    methods: Sequence[str],
    seeds: Sequence[int],
    words: Sequence[str],
    jobs: int = 1,
    progress: Progress,
) -> dict[str, Any]:
    """Train and measure every (method, seed), then write the table; returns the short summary.

    Parameters
    ----------
    words : sequence of str
        Overrides for all of them, such as ``loop.steps=400``.
    jobs : int
        Runs at a time, each in a process of its own. A small network leaves a GPU idle between its kernels: many runs
        share one well, best under NVIDIA's Multi-Process Service.

    Raises
    ------
    ConfigError
        An unknown method or key, or a run of the grid was made with another configuration.
    """
    unknown = sorted(set(methods) - {*METHODS, *ABLATIONS})
    if unknown:
        raise ConfigError(f"no method {unknown[0]!r}; there are {', '.join((*METHODS, *ABLATIONS))}")
    fixed = {method: ["loop.steps=0"] if method in METHODS_WITHOUT_STEPS else [] for method in methods}
    configs = {
        (method, seed): load_config(method, [*GRID_WORDS, *words, f"loop.seed={seed}", *fixed[method]])
        for method in methods
        for seed in seeds
    }
    runs = {out / f"{method}-{seed}": config for (method, seed), config in configs.items()}
    if jobs == 1:
        for folder, config in runs.items():
            progress.say(folder.name)
            _measured(dataset_root, folder, config, progress)
    else:
        _side_by_side(dataset_root, runs, jobs, progress)
    table = {
        method: summed([json.loads((out / f"{method}-{seed}" / "metrics.json").read_text()) for seed in seeds])
        for method in methods
    }
    write_json(out / "table.json", {"seeds": list(seeds), "words": list(words), "methods": table})
    write_text(out / "table.md", as_markdown(table))
    return {"table": "table.md", "methods": len(methods), "seeds": len(seeds), "runs": len(configs)}


def _measured(dataset_root: Path, folder: Path, config: Config, progress: Progress) -> None:
    """Train and measure one run of the grid, as far as it was not done before.

    Other keys of `evaluate` than before are measured again, with nothing trained again.
    """
    if not (folder / "config.json").is_file():
        pretrain(dataset_root, folder, config, resume=False, progress=progress)
    elif as_table(replace(open_run(folder).config, evaluate=config.evaluate)) != as_table(config):
        raise ConfigError(f"{folder} was trained with another configuration: give another --out")
    else:
        pretrain(dataset_root, folder, None, resume=True, progress=progress)
    path = folder / "metrics.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if found.get("evaluate") != as_table(config.evaluate) or set(found["results"]) != set(TASKS):
        evaluate(folder, dataset_root, config=config.evaluate, progress=progress)


def _side_by_side(dataset_root: Path, runs: Mapping[Path, Config], jobs: int, progress: Progress) -> None:
    threads = max(1, (os.cpu_count() or 1) // jobs)
    context = multiprocessing.get_context("spawn")  # a forked process could not use the GPU
    with (
        ProcessPoolExecutor(jobs, context, torch.set_num_threads, (threads,)) as pool,
        progress.task("runs", len(runs)) as task,
    ):
        left = {pool.submit(_in_process, dataset_root, folder, config): folder.name for folder, config in runs.items()}
        try:
            for done in as_completed(left):
                done.result()
                task.advance(note=left[done])
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()  # a run that is training saves first
            if isinstance(error, BrokenProcessPool):
                raise TrainError(
                    "a process of the grid was killed, perhaps for want of memory: give fewer --jobs; the same "
                    "command goes on"
                ) from None
            raise


def _in_process(dataset_root: Path, folder: Path, config: Config) -> None:
    try:
        _measured(dataset_root, folder, config, Progress(quiet=True))
    except (Stopped, KeyboardInterrupt):
        os._exit(1)  # else the pool's process would go on with the run that waits in its queue


def summed(metrics: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Column -> mean and interval over the seeds of one method; columns that were skipped are left out."""
    row = {}
    for name, keys in COLUMNS.items():
        found = [result_at(one["results"], *keys.split(" ")) for one in metrics]
        if all(result_at(one, "mean") is not None for one in found):
            row[name] = over_seeds(found)
    return row


def over_seeds(intervals: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean and 95 % interval of one number measured under several seeds."""
    if len(intervals) == 1:
        return {name: intervals[0][name] for name in ("mean", "low", "high")}
    values = [one["mean"] for one in intervals]
    mean = float(np.mean(values))
    half = float(student.ppf(0.975, len(values) - 1) * sem(values))
    return {"mean": mean, "low": mean - half, "high": mean + half}


def as_markdown(table: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """The table, measures down, methods across."""
    shown = [name for name in COLUMNS if any(name in row for row in table.values())]
    lines = ["| | " + " | ".join(table) + " |", "| --- |" + " --- |" * len(table)]
    lines += [f"| {name} | " + " | ".join(_cell(row.get(name)) for row in table.values()) + " |" for name in shown]
    return "\n".join(lines) + "\n\n" + NOTE


def _cell(interval: Mapping[str, float] | None) -> str:
    if not interval:
        return ""
    return f"{interval['mean']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]"
