"""``python -m train``: pre-train, evaluate, export, look at crops."""

from __future__ import annotations

import argparse
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
Argument = Callable[[argparse.ArgumentParser], object]


def _argument(*names: str, **settings: Any) -> Argument:
    return lambda parser: parser.add_argument(*names, **settings)


def _takes(*arguments: Argument) -> Callable[[argparse.ArgumentParser], None]:
    def add(parser: argparse.ArgumentParser) -> None:
        for argument in arguments:
            argument(parser)

    return add


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found {text!r}")
    return int(text)


def _out(metavar: str, says: str, *, required: bool = True) -> Argument:
    return _argument("--out", metavar=metavar, type=Path, required=required, help=says)


METHODS = [name for name in preset_names() if name not in SCALES]
DATASET = _argument("dataset", metavar="DATASET", type=Path, help="a curated data set")
RUN = _argument("run_folder", metavar="RUN", type=Path, help="a run of `pretrain`")
SET = _argument(
    "--set",
    metavar="KEY=VALUE",
    action="append",
    default=[],
    help="override one key of docs/train_configuration.md, repeatable",
)
ROWS = _argument("--rows", metavar="N", type=_count, default=6, help="how many crops (default 6)")
CONFIG = _takes(
    _argument("--config", metavar="FILE", help="a TOML file, or a preset: " + ", ".join(preset_names())),
    _argument("--method", metavar="NAME", choices=METHODS, help="one of " + ", ".join(METHODS)),
    SET,
)


def _words(arguments: argparse.Namespace) -> list[str]:
    return [*([f"method={arguments.method}"] if arguments.method else []), *arguments.set]


def _pretrain(arguments: argparse.Namespace, progress: Progress) -> Summary:
    from train.loop import pretrain

    config: Config | None = None
    is_new = not (arguments.out / "config.json").is_file()  # with --resume: a job that may be restarted
    if is_new or not arguments.resume or arguments.config or _words(arguments):
        config = load_config(arguments.config, _words(arguments))
    if is_new and config and arguments.resume:
        progress.say(f"{arguments.out} holds no run to go on with: starting one, method {config.method}")
    return pretrain(arguments.dataset, arguments.out, config, resume=arguments.resume, progress=progress)


def _evaluate(arguments: argparse.Namespace, progress: Progress) -> Summary:
    from train.evaluate import evaluate

    run, dataset = arguments.run_folder, arguments.dataset
    return evaluate(run, dataset, words=arguments.set, only=arguments.only, progress=progress)


def _export(arguments: argparse.Namespace, progress: Progress) -> Summary:
    from train.export import export_encoder

    return export_encoder(arguments.run_folder, arguments.out)


def _features(arguments: argparse.Namespace, progress: Progress) -> Summary:
    from train.features import features

    return features(arguments.export, arguments.volume, arguments.out, n_crops=arguments.crops, progress=progress)


def _crops(arguments: argparse.Namespace, progress: Progress) -> Summary:
    from train.show import show_crops

    if not (arguments.out or arguments.table):
        raise ConfigError("give --out for a picture of the draws, --table for a table, or both")
    config = load_config(arguments.config, _words(arguments))
    what = {"pair_id": arguments.pair, "n_rows": arguments.rows, "out": arguments.out, "table": arguments.table}
    return show_crops(arguments.dataset, config, **what)


def _search(arguments: argparse.Namespace, progress: Progress) -> Summary:
    from train.show import search

    what = (arguments.run_folder, arguments.dataset, arguments.sentence)
    return search(*what, out=arguments.out, n_rows=arguments.rows, progress=progress)


def _baselines(arguments: argparse.Namespace, progress: Progress) -> Summary:
    from train.baselines import ABLATIONS, METHODS, baselines

    known = {None: METHODS, "all": (*METHODS, *ABLATIONS)}
    methods = known.get(arguments.methods) or tuple(arguments.methods.split(","))
    what = {"methods": methods, "seeds": range(arguments.seeds), "words": arguments.set, "jobs": arguments.jobs}
    return baselines(arguments.dataset, arguments.out, **what, progress=progress)


PROGRAM = Program(
    name="train",
    description="T3D: text-informed contrastive learning and restoration on crops of a curated data set.",
    commands=(
        Command(
            "pretrain",
            "pre-train T3D, or a baseline, on a data set",
            _takes(
                DATASET,
                _out("RUN", "folder of the run"),
                CONFIG,
                _argument("--resume", action="store_true", help="go on with RUN from its newest whole checkpoint"),
            ),
            _pretrain,
            "Pre-train on the train split of a data set. Under torchrun it is distributed.\n\n"
            "  python -m train pretrain DATASET --out RUN\n"
            "  python -m train pretrain DATASET --out RUN --method t3d-align --set loop.steps=1000\n"
            "  python -m train pretrain DATASET --out RUN --resume\n"
            "  torchrun --nproc-per-node 8 -m train pretrain DATASET --out RUN --config gpu\n\n"
            "RUN/history.jsonl and RUN/tensorboard hold the losses, RUN/samples pictures of crops with their\n"
            "sentences. Ctrl-C or SIGTERM saves and stops; --resume goes on, and does nothing where the run is\n"
            "finished.",
            "run the same command with --resume to go on",
        ),
        Command(
            "evaluate",
            "controls, probes, retrieval and segmentation on held-out patients",
            _takes(
                RUN,
                DATASET,
                SET,
                _argument(
                    "--only", metavar="TASK", action="append", help="one task (text_only, organs, ...), repeatable"
                ),
            ),
            _evaluate,
            "Measure a run on the validation and test splits: the text-only probe, the shuffled-text gap, retrieval,\n"
            "finding probes, segmentation, pointing. Writes RUN/metrics.json and RUN/report.html. --set takes keys\n"
            "of `evaluate`. Whether aligned crops beat random ones takes a second run, see the last line.\n\n"
            "  python -m train evaluate RUN DATASET\n"
            "  python -m train evaluate RUN DATASET --only text_only --only text_gain\n"
            "  python -m train evaluate RUN DATASET --only organs --set segment_steps=500 --set segment_volumes=40\n"
            "  python -m train baselines DATASET --out GRID --methods t3d,random-crops",
            "run the same command again",
        ),
        Command(
            "baselines",
            "the same trainer under every method, in one table",
            _takes(
                DATASET,
                _out("GRID", "folder of the grid"),
                _argument("--methods", metavar="NAMES", help="comma-separated, or `all` (default: baselines and t3d)"),
                _argument("--seeds", metavar="N", type=_count, default=1, help="how many seeds, from 0 (default 1)"),
                _argument("--jobs", metavar="N", type=_count, default=1, help="runs at a time (default 1)"),
                SET,
            ),
            _baselines,
            "Pre-train and evaluate scratch, restore, simclr, clip, t3d and t3d-align (with `--methods all` the\n"
            "ablations too) for each seed with equal steps and encoder, and write GRID/table.md.\n"
            "A grid that was cut off goes on where it stopped; with other keys of `evaluate` it is measured again,\n"
            "with nothing trained again.\n\n"
            "  python -m train baselines DATASET --out GRID --seeds 3\n"
            "  python -m train baselines DATASET --out GRID --methods restore,t3d --set loop.steps=200\n"
            "  python -m train baselines DATASET --out GRID --seeds 3 --set evaluate.segment_steps=500\n"
            "      --set evaluate.segment_volumes=40 --set 'evaluate.segment_fractions=[0.01, 0.1]'\n"
            "  python -m train baselines DATASET --out GRID --seeds 3 --jobs 16    (one GPU, many small networks)",
        ),
        Command(
            "export",
            "the encoder's weights for plain MONAI, with a model card",
            _takes(RUN, _out("DIR", "folder of the export")),
            _export,
            "Write encoder.safetensors under MONAI's own names, encoder.json to build the network, the preprocessing\n"
            "contract and a model card.\n\n"
            "  python -m train export RUN --out encoder",
            "run the same command again",
        ),
        Command(
            "features",
            "what an exported encoder makes of a volume",
            _takes(
                _argument("export", metavar="EXPORT", type=Path, help="a folder written by `export`"),
                _argument("volume", metavar="NIFTI", type=Path, help="a CT in Hounsfield units, on the export's grid"),
                _out("FILE", "the features, as safetensors"),
                _argument("--crops", metavar="N", type=_count, default=216, help="at most so many crops (default 216)"),
            ),
            _features,
            "Read a NIfTI crop by crop with an exported encoder and write one vector per crop and where it lies. A\n"
            "volume on another grid, or not in Hounsfield units, is refused with what to do.\n\n"
            "  python -m train export RUN --out encoder\n"
            "  python -m train features encoder volume.nii.gz --out features.safetensors",
            "run the same command again",
        ),
        Command(
            "crops",
            "draw crops as pictures, with their sentences",
            _takes(
                DATASET,
                _argument("--pair", metavar="ID", help="crops of this pair; without it, of the first batches"),
                _out("PNG", "the draws as a picture", required=False),
                ROWS,
                _argument("--table", metavar="PARQUET", type=Path, help="the draws as a table"),
                CONFIG,
            ),
            _crops,
            "Show which crops training sees for a pair, the part of the region both views cover, and the sentences\n"
            "each crop covers.\n\n"
            "  python -m train crops DATASET --pair ID --out crops.png\n"
            "  python -m train crops DATASET --rows 100 --table draws.parquet",
            "run the same command again",
        ),
        Command(
            "search",
            "type a sentence, see the crops that suit it best",
            _takes(
                RUN,
                DATASET,
                _argument("sentence", metavar="SENTENCE", help="what to look for"),
                _out("PNG", "the picture"),
                ROWS,
            ),
            _search,
            "Rate crops of the held-out volumes against a sentence with the alignment head of a run of\n"
            "`pretrain --method t3d-align`, and draw the best of each volume with the place the sentence looks at\n"
            "and what the report says about the crop.\n\n"
            '  python -m train search RUN DATASET "There is a pleural effusion." --out found.png',
            "run the same command again",
        ),
    ),
)


def main(words: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit code."""
    return run_program(PROGRAM, words)


if __name__ == "__main__":
    raise SystemExit(main())
