"""``python -m train``: pre-train, evaluate, export, look at crops."""

from __future__ import annotations

import argparse
import inspect
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from t3dkit.command import Command, Program, run_program
from t3dkit.errors import ConfigError
from t3dkit.progress import Progress
from train.config import SCALES, Config, load_config, preset_names

# Before torch is imported: threads that spin while they wait make a step five times slower on a machine that has
# other work, and gain nothing on one that has not.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

Summary = dict[str, Any]
Run = Callable[[argparse.Namespace, Progress], Summary]
Argument = tuple[str, dict[str, Any]]
"""Name and settings of an argument, as argparse takes them."""

COMMANDS: list[Command] = []
AGAIN = "run the same command again"


def _command(name: str, says: str, *arguments: Argument, goes_on: str = AGAIN) -> Callable[[Run], Run]:
    """Makes a command of a function; its docstring is what ``--help`` shows above the arguments."""

    def add(parser: argparse.ArgumentParser) -> None:
        for argument, settings in arguments:
            parser.add_argument(argument, **settings)

    def registered(run: Run) -> Run:
        COMMANDS.append(Command(name, says, add, run, inspect.getdoc(run) or "", goes_on))
        return run

    return registered


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found {text!r}")
    return int(text)


def _argument(name: str, metavar: str, says: str, **settings: Any) -> Argument:
    return name, {"metavar": metavar, "help": says, **settings}


def _path(name: str, metavar: str, says: str, **settings: Any) -> Argument:
    return _argument(name, metavar, says, type=Path, **settings)


def _number(name: str, default: int, says: str) -> Argument:
    return _argument(name, "N", f"{says} (default {default})", type=_count, default=default)


METHODS = [name for name in preset_names() if name not in SCALES]
DATASET = _path("dataset", "DATASET", "a curated data set")
RUN = _path("run_folder", "RUN", "a run of `pretrain`")
KEYS = "override one key of docs/train_configuration.md, repeatable"
SET = _argument("--set", "KEY=VALUE", KEYS, action="append", default=[])
ROWS = _number("--rows", 6, "how many crops")
CONFIG = (
    _argument("--config", "FILE", "a TOML file, or a preset: " + ", ".join(preset_names())),
    _argument("--method", "NAME", "one of " + ", ".join(METHODS), choices=METHODS),
    SET,
)


def _words(arguments: argparse.Namespace) -> list[str]:
    return [*([f"method={arguments.method}"] if arguments.method else []), *arguments.set]


@_command(
    "pretrain",
    "pre-train T3D, or a baseline, on a data set",
    DATASET,
    _path("--out", "RUN", "folder of the run", required=True),
    *CONFIG,
    ("--resume", {"action": "store_true", "help": "go on with RUN from its newest whole checkpoint"}),
    goes_on="run the same command with --resume to go on",
)
def _pretrain(arguments: argparse.Namespace, progress: Progress) -> Summary:
    """Pre-train on the train split of a data set. Under torchrun it is distributed.

      python -m train pretrain DATASET --out RUN
      python -m train pretrain DATASET --out RUN --method t3d-align --set loop.steps=1000
      python -m train pretrain DATASET --out RUN --resume
      torchrun --nproc-per-node 8 -m train pretrain DATASET --out RUN --config gpu

    RUN/history.jsonl and RUN/tensorboard hold the losses, RUN/samples pictures of crops with their
    sentences. Ctrl-C or SIGTERM saves and stops; --resume goes on, and does nothing where the run is
    finished.
    """
    from train.loop import pretrain

    config: Config | None = None
    is_new = not (arguments.out / "config.json").is_file()  # with --resume: a job that may be restarted
    if is_new or not arguments.resume or arguments.config or _words(arguments):
        config = load_config(arguments.config, _words(arguments))
    if is_new and config and arguments.resume:
        progress.say(f"{arguments.out} holds no run to go on with: starting one, method {config.method}")
    return pretrain(arguments.dataset, arguments.out, config, resume=arguments.resume, progress=progress)


@_command(
    "evaluate",
    "controls, probes, retrieval and segmentation on held-out patients",
    RUN,
    DATASET,
    SET,
    _argument("--only", "TASK", "one task (text_only, organs, ...), repeatable", action="append"),
    goes_on="run the same command again to go on",
)
def _evaluate(arguments: argparse.Namespace, progress: Progress) -> Summary:
    """Measure a run on the validation and test splits: the text-only probe, the shuffled-text gap, retrieval,
    finding probes, segmentation, pointing. Writes RUN/metrics.json and RUN/report.html. --set takes keys
    of `evaluate`. Whether aligned crops beat random ones takes a second run, see the last line.

      python -m train evaluate RUN DATASET
      python -m train evaluate RUN DATASET --only text_only --only text_gain
      python -m train evaluate RUN DATASET --only organs --set segment_steps=500 --set segment_volumes=40
      python -m train baselines DATASET --out GRID --methods t3d,random-crops
    """
    from train.evaluate import evaluate

    run, dataset = arguments.run_folder, arguments.dataset
    return evaluate(run, dataset, words=arguments.set, only=arguments.only, progress=progress)


@_command(
    "baselines",
    "the same trainer under every method, in one table",
    DATASET,
    _path("--out", "GRID", "folder of the grid", required=True),
    _argument("--methods", "NAMES", "comma-separated, or `all` (default: baselines and t3d)"),
    _number("--seeds", 1, "how many seeds, from 0"),
    _number("--jobs", 1, "runs at a time"),
    SET,
    goes_on="run the same command again to go on",
)
def _baselines(arguments: argparse.Namespace, progress: Progress) -> Summary:
    """Pre-train and evaluate scratch, restore, simclr, clip, t3d and t3d-align (with `--methods all` the
    ablations too) for each seed with equal steps and encoder, and write GRID/table.md.
    A grid that was cut off goes on where it stopped; with other keys of `evaluate` it is measured again,
    with nothing trained again.

      python -m train baselines DATASET --out GRID --seeds 3
      python -m train baselines DATASET --out GRID --methods restore,t3d --set loop.steps=200
      python -m train baselines DATASET --out GRID --set evaluate.segment_steps=500 --set evaluate.segment_volumes=40
      python -m train baselines DATASET --out GRID --set 'evaluate.segment_fractions=[0.01, 0.1]'
      python -m train baselines DATASET --out GRID --seeds 3 --jobs 16  # one GPU, many small networks
    """
    from train.baselines import ABLATIONS, METHODS, baselines

    known = {None: METHODS, "all": (*METHODS, *ABLATIONS)}
    methods = known.get(arguments.methods) or tuple(arguments.methods.split(","))
    what = {"methods": methods, "seeds": range(arguments.seeds), "words": arguments.set, "jobs": arguments.jobs}
    return baselines(arguments.dataset, arguments.out, **what, progress=progress)


@_command(
    "export",
    "the encoder's weights for plain MONAI, with a model card",
    RUN,
    _path("--out", "DIR", "folder of the export", required=True),
)
def _export(arguments: argparse.Namespace, progress: Progress) -> Summary:
    """Write encoder.safetensors under MONAI's own names, encoder.json to build the network, the preprocessing
    contract and a model card.

      python -m train export RUN --out encoder
    """
    from train.export import export_encoder

    return export_encoder(arguments.run_folder, arguments.out)


@_command(
    "features",
    "what an exported encoder makes of a volume",
    _path("export", "EXPORT", "a folder written by `export`"),
    _path("volume", "NIFTI", "a CT in Hounsfield units, on the export's grid"),
    _path("--out", "FILE", "the features, as safetensors", required=True),
    _number("--crops", 216, "at most so many crops"),
)
def _features(arguments: argparse.Namespace, progress: Progress) -> Summary:
    """Read a NIfTI crop by crop with an exported encoder and write one vector per crop and where it lies. A
    volume on another grid, or not in Hounsfield units, is refused with what to do.

      python -m train export RUN --out encoder
      python -m train features encoder volume.nii.gz --out features.safetensors
    """
    from train.features import features

    return features(arguments.export, arguments.volume, arguments.out, n_crops=arguments.crops, progress=progress)


@_command(
    "crops",
    "draw crops as pictures, with their sentences",
    DATASET,
    _argument("--pair", "ID", "crops of this pair; without it, of the first batches"),
    _path("--out", "PNG", "the draws as a picture"),
    ROWS,
    _path("--table", "PARQUET", "the draws as a table"),
    *CONFIG,
)
def _crops(arguments: argparse.Namespace, progress: Progress) -> Summary:
    """Show which crops training sees for a pair, the part of the region both views cover, and the sentences
    each crop covers.

      python -m train crops DATASET --pair ID --out crops.png
      python -m train crops DATASET --rows 100 --table draws.parquet
    """
    from train.show import show_crops

    if not (arguments.out or arguments.table):
        raise ConfigError("give --out for a picture of the draws, --table for a table, or both")
    config = load_config(arguments.config, _words(arguments))
    what = {"pair_id": arguments.pair, "n_rows": arguments.rows, "out": arguments.out, "table": arguments.table}
    return show_crops(arguments.dataset, config, **what)


@_command(
    "search",
    "type a sentence, see the crops that suit it best",
    RUN,
    DATASET,
    _argument("sentence", "SENTENCE", "what to look for"),
    _path("--out", "PNG", "the picture", required=True),
    ROWS,
)
def _search(arguments: argparse.Namespace, progress: Progress) -> Summary:
    """Rate crops of the held-out volumes against a sentence with the alignment head of a run of
    `pretrain --method t3d-align`, and draw the best of each volume with the place the sentence looks at
    and what the report says about the crop.

      python -m train search RUN DATASET "There is a pleural effusion." --out found.png
    """
    from train.show import search

    what = (arguments.run_folder, arguments.dataset, arguments.sentence)
    return search(*what, out=arguments.out, n_rows=arguments.rows, progress=progress)


PROGRAM = Program(
    name="train",
    description="T3D: text-informed contrastive learning and restoration on crops of a curated data set.",
    commands=COMMANDS,
)


def main(words: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit code."""
    return run_program(PROGRAM, words)


if __name__ == "__main__":
    raise SystemExit(main())
