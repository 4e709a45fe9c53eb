"""The folder of a run: what it was made with, and how to open it again.

    RUN/config.json       configuration, preprocessing contract, text encoder, data set, versions
    RUN/tokenizer.json    the tokenizer
    RUN/warmup/           the text encoder's warm-up, until step 0 is written
    RUN/checkpoints/      the last two
    RUN/history.jsonl     loss terms by step
    RUN/samples/          pictures of crops, corruption and restoration with their sentences
    RUN/tensorboard/      the same for TensorBoard

Enters: a folder. Leaves: a `Run`. Refuses: a folder that is no run, a data set with another grid than the run's.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from curation.contract import Dataset
from t3dkit.atomic import write_json, write_text
from t3dkit.errors import ConfigError, ContractError
from t3dkit.version import VERSION
from train.checkpoint import read_checkpoint
from train.config import Config, as_table, build
from train.distributed import rank
from train.models import T3D, placed
from train.reader import AIR_HU
from train.text import Tokens, read_tokens, rebuild_encoder

RUN_SCHEMA = 1


@dataclass(frozen=True)
class Run:
    """An opened run."""

    root: Path  # its folder
    config: Config  # what it is trained with
    preprocessing: dict[str, Any]  # what a volume must look like before the encoder sees it
    text_settings: dict[str, Any]  # Hugging Face configuration of the text encoder
    tokens: Tokens  # its tokenizer

    @property
    def checkpoints(self) -> Path:
        """Where the checkpoints lie."""
        return self.root / "checkpoints"

    @property
    def warmup(self) -> Path:
        """Where those of the text encoder's warm-up lie, before there are others."""
        return self.root / "warmup"

    def history(self) -> list[dict[str, float]]:
        """The logged loss terms, by step."""
        path = self.root / "history.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        return [json.loads(line) for line in lines]


def preprocessing_contract(dataset: Dataset, config: Config, tokenizer_json: str) -> dict[str, Any]:
    """What the encoder was trained on, and so what it must be given."""
    grid = grid_of(dataset)
    return {
        "spacing_mm": grid.get("spacing_mm"),
        "orientation": grid.get("orientation"),
        "dataset_hu_range": grid.get("hu_range"),
        "hu_range": list(config.intensity.hu_range),
        "normalised_to": [-1.0, 1.0],
        "pad_value_hu": AIR_HU,
        "crop_size_vox": config.crop.size_vox,
        "tokenizer_sha256": hashlib.sha256(tokenizer_json.encode("utf-8")).hexdigest(),
        "lexicon_version": dataset.manifest.get("versions", {}).get("lexicon"),
    }


def create_run(root: Path, dataset: Dataset, config: Config, *, tokens: Tokens, text_settings: dict[str, Any]) -> Run:
    """A new run; of several processes the first one writes its ``config.json`` and ``tokenizer.json``."""
    tokenizer_json = tokens.to_json()
    preprocessing = preprocessing_contract(dataset, config, tokenizer_json)
    digest = hashlib.sha256((dataset.root / "dataset.json").read_bytes()).hexdigest()
    if rank() == 0:
        write_text(root / "tokenizer.json", tokenizer_json)
        write_json(
            root / "config.json",
            {
                "run_schema": RUN_SCHEMA,
                "config": as_table(config),
                "preprocessing": preprocessing,
                "text_encoder": json.loads(json.dumps(text_settings, default=str)),
                "dataset": {"name": dataset.manifest.get("name"), "sha256": digest},
                "versions": {"t3dkit": VERSION, "torch": torch.__version__},
            },
        )
    return Run(root=root, config=config, preprocessing=preprocessing, text_settings=text_settings, tokens=tokens)


def open_run(root: Path | str) -> Run:
    """The run in `root`.

    Raises
    ------
    ConfigError
        `root` is no run, or one of a newer program.
    """
    root = Path(root)
    try:
        table = json.loads((root / "config.json").read_text(encoding="utf-8"))
        tokenizer_json = (root / "tokenizer.json").read_text(encoding="utf-8")
        schema = int(table["run_schema"])
        known = {key: table[key] for key in ("config", "preprocessing", "text_encoder")}
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(
            f"{root} is no run: it has no readable config.json and tokenizer.json. Make one with "
            "`python -m train pretrain DATASET --out RUN`"
        ) from None
    if schema > RUN_SCHEMA:
        raise ConfigError(f"{root} has run schema {schema}, this program reads up to {RUN_SCHEMA}: update t3dkit")
    config = build(Config, known["config"])
    return Run(
        root=root,
        config=config,
        preprocessing=known["preprocessing"],
        text_settings=known["text_encoder"],
        tokens=read_tokens(tokenizer_json, config.text.max_tokens),
    )


def load_model(run: Run, device: torch.device | None = None) -> tuple[T3D, int]:
    """The model of the newest whole checkpoint, ready to evaluate, and its step."""
    checkpoint, _ = read_checkpoint(run.checkpoints)
    model = T3D(run.config, rebuild_encoder(run.text_settings))
    model.load_state_dict(checkpoint.model)
    return placed(model, device or torch.device("cpu")).eval(), checkpoint.step


def require_same_grid(run: Run, dataset: Dataset) -> None:
    """The data set must be on the grid that the run was trained on.

    Raises
    ------
    ContractError
        Another spacing or orientation; a volume on another grid is never fed raw.
    """
    grid = grid_of(dataset)
    for key in ("spacing_mm", "orientation"):
        if grid.get(key) != run.preprocessing[key]:
            raise ContractError(
                f"the run was trained on {key} {run.preprocessing[key]}, the data set has {grid.get(key)}: give a data "
                f"set on the run's grid, made by `python -m curation run --config FILE` with grid.{key} in the file"
            )


def grid_of(dataset: Dataset) -> dict[str, Any]:
    """The grid of a data set's manifest; one spacing for all axes is written as three."""
    grid = dict(dataset.manifest.get("grid", {}))
    if isinstance(grid.get("spacing_mm"), (int, float)):
        grid["spacing_mm"] = [float(grid["spacing_mm"])] * 3
    return grid
