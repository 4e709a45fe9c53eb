"""``python -m train``: pre-train, evaluate, export, look at crops."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
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


def _pretrain_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="DATASET", type=Path, help="a curated data set")
    parser.add_argument("--out", metavar="RUN", type=Path, required=True, help="folder of the run")
    _config_arguments(parser)
    parser.add_argument("--resume", action="store_true", help="go on with RUN from its newest whole checkpoint")


def _config_arguments(parser: argparse.ArgumentParser) -> None:
    methods = [name for name in preset_names() if name not in SCALES]
    parser.add_argument("--config", metavar="FILE", help="a TOML file, or a preset: " + ", ".join(preset_names()))
    parser.add_argument("--method", metavar="NAME", choices=methods, help="one of " + ", ".join(methods))
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override one key, repeatable")


def _words(arguments: argparse.Namespace) -> list[str]:
    return [*([f"method={arguments.method}"] if arguments.method else []), *arguments.set]


def _pretrain(arguments: argparse.Namespace, progress: Progress) -> Summary:
    from train.loop import pretrain

    config: Config | None = None
    if not arguments.resume or arguments.config or _words(arguments):
        config = load_config(arguments.config, _words(arguments))
    elif not (arguments.out / "config.json").is_file():
        config = load_config()  # nothing to resume yet: the first start of a job that may be restarted
    return pretrain(arguments.dataset, arguments.out, config, resume=arguments.resume, progress=progress)


def _evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="a run of `pretrain`")
    parser.add_argument("dataset", metavar="DATASET", type=Path, help="the data set; its held-out splits are used")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override an evaluate.* key")
    parser.add_argument("--only", metavar="TASK", action="append", help="run some tasks only, repeatable")


def _evaluate(arguments: argparse.Namespace, progress: Progress) -> Summary:
    from train.evaluate import evaluate

    return evaluate(
        arguments.run_folder, arguments.dataset, words=arguments.set, only=arguments.only, progress=progress
    )


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="a run of `pretrain`")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder of the export")


def _export(arguments: argparse.Namespace, progress: Progress) -> Summary:
    from train.export import export_encoder

    return export_encoder(arguments.run_folder, arguments.out)


def _features_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("export", metavar="EXPORT", type=Path, help="a folder written by `export`")
    parser.add_argument("volume", metavar="NIFTI", type=Path, help="a CT in Hounsfield units, on the export's grid")
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="the features, as safetensors")
    parser.add_argument("--crops", metavar="N", type=int, default=216, help="at most so many crops (default 216)")


def _features(arguments: argparse.Namespace, progress: Progress) -> Summary:
    from train.features import features

    if arguments.crops < 1:
        raise ConfigError("--crops must be at least 1")
    return features(arguments.export, arguments.volume, arguments.out, n_crops=arguments.crops, progress=progress)


def _crops_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="DATASET", type=Path, help="a curated data set")
    parser.add_argument("--pair", metavar="ID", help="crops of this pair; without it, of the first batches")
    parser.add_argument("--out", metavar="PNG", type=Path, help="the draws as a picture")
    parser.add_argument("--rows", metavar="N", type=int, default=6, help="how many draws (default 6)")
    parser.add_argument("--table", metavar="PARQUET", type=Path, help="the draws as a table")
    _config_arguments(parser)


def _crops(arguments: argparse.Namespace, progress: Progress) -> Summary:
    from train.show import show_crops

    if arguments.rows < 1:
        raise ConfigError("--rows must be at least 1")
    if not (arguments.out or arguments.table):
        raise ConfigError("give --out for a picture of the draws, --table for a table, or both")
    config = load_config(arguments.config, _words(arguments))
    return show_crops(
        arguments.dataset,
        config,
        pair_id=arguments.pair,
        out=arguments.out,
        n_rows=arguments.rows,
        table=arguments.table,
    )


def _search_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="a run of `pretrain --method t3d-align`")
    parser.add_argument("dataset", metavar="DATASET", type=Path, help="the data set; its held-out volumes are searched")
    parser.add_argument("sentence", metavar="SENTENCE", help="what to look for")
    parser.add_argument("--out", metavar="PNG", type=Path, required=True, help="the picture")
    parser.add_argument("--rows", metavar="N", type=int, default=6, help="how many crops (default 6)")


def _search(arguments: argparse.Namespace, progress: Progress) -> Summary:
    from train.show import search

    if arguments.rows < 1:
        raise ConfigError("--rows must be at least 1")
    return search(
        arguments.run_folder,
        arguments.dataset,
        arguments.sentence,
        out=arguments.out,
        n_rows=arguments.rows,
        progress=progress,
    )


def _baselines_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="DATASET", type=Path, help="a curated data set")
    parser.add_argument("--out", metavar="GRID", type=Path, required=True, help="folder of the grid")
    parser.add_argument("--methods", metavar="NAMES", help="comma-separated, or `all` (default: the baselines and t3d)")
    parser.add_argument("--seeds", metavar="N", type=int, default=1, help="how many seeds, from 0 (default 1)")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override one key, repeatable")


def _baselines(arguments: argparse.Namespace, progress: Progress) -> Summary:
    from train.baselines import ABLATIONS, METHODS, baselines

    if arguments.seeds < 1:
        raise ConfigError("--seeds must be at least 1")
    methods = {None: METHODS, "all": (*METHODS, *ABLATIONS)}.get(arguments.methods)
    return baselines(
        arguments.dataset,
        arguments.out,
        methods=methods or tuple(arguments.methods.split(",")),
        seeds=range(arguments.seeds),
        words=arguments.set,
        progress=progress,
    )


PROGRAM = Program(
    name="train",
    description="T3D: text-informed contrastive learning and restoration on crops of a curated data set.",
    commands=(
        Command(
            "pretrain",
            "pre-train T3D, or a baseline, on a data set",
            _pretrain_arguments,
            _pretrain,
            "Pre-train on the train split of a data set. Under torchrun it is distributed.\n\n"
            "  python -m train pretrain DATASET --out RUN\n"
            "  python -m train pretrain DATASET --out RUN --method t3d-align --set loop.steps=1000\n"
            "  python -m train pretrain DATASET --out RUN --resume\n"
            "  torchrun --nproc-per-node 8 -m train pretrain DATASET --out RUN --config gpu\n\n"
            "RUN/history.jsonl and RUN/tensorboard hold the losses, RUN/samples pictures of crops with their\n"
            "sentences. Ctrl-C or SIGTERM saves and stops; --resume goes on, and does nothing where the run is\n"
            "finished.",
        ),
        Command(
            "evaluate",
            "controls, probes, retrieval and segmentation on held-out patients",
            _evaluate_arguments,
            _evaluate,
            "Measure a run on the validation and test splits: the text-only probe, the shuffled-text gap, retrieval,\n"
            "finding probes, segmentation, pointing. Writes RUN/metrics.json and RUN/report.html.\n\n"
            "  python -m train evaluate RUN DATASET\n"
            "  python -m train evaluate RUN DATASET --only text_only --only text_gain",
        ),
        Command(
            "baselines",
            "the same trainer under every method, in one table",
            _baselines_arguments,
            _baselines,
            "Pre-train and evaluate scratch, restore, simclr, clip, t3d and t3d-align (with `--methods all` the\n"
            "ablations too) for each seed with equal steps and encoder, and write GRID/table.md.\n"
            "A grid that was cut off goes on where it stopped.\n\n"
            "  python -m train baselines DATASET --out GRID --seeds 3\n"
            "  python -m train baselines DATASET --out GRID --methods restore,t3d --set loop.steps=200",
        ),
        Command(
            "export",
            "the encoder's weights for plain MONAI, with a model card",
            _export_arguments,
            _export,
            "Write encoder.safetensors under MONAI's own names, encoder.json to build the network, the preprocessing\n"
            "contract and a model card.\n\n"
            "  python -m train export RUN --out encoder",
        ),
        Command(
            "features",
            "what an exported encoder makes of a volume",
            _features_arguments,
            _features,
            "Read a NIfTI crop by crop with an exported encoder and write one vector per crop and where it lies. A\n"
            "volume on another grid, or not in Hounsfield units, is refused with what to do.\n\n"
            "  python -m train export RUN --out encoder\n"
            "  python -m train features encoder volume.nii.gz --out features.safetensors",
        ),
        Command(
            "crops",
            "draw crops as pictures, with their sentences",
            _crops_arguments,
            _crops,
            "Show which crops training sees for a pair, the part of the region both views cover, and the sentences\n"
            "each crop covers.\n\n"
            "  python -m train crops DATASET --pair ID --out crops.png",
        ),
        Command(
            "search",
            "type a sentence, see the crops that suit it best",
            _search_arguments,
            _search,
            "Rate crops of the held-out volumes against a sentence with the run's alignment head, and draw the best\n"
            "of each volume with the place the sentence looks at and what the report says about the crop.\n\n"
            '  python -m train search RUN DATASET "There is a pleural effusion." --out found.png',
        ),
    ),
)


def main(words: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit code."""
    return run_program(PROGRAM, words)


if __name__ == "__main__":
    raise SystemExit(main())
