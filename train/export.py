"""``python -m train export``: the image encoder for use elsewhere.

Enters: a run. Leaves: ``encoder.safetensors`` (the network's own MONAI names), ``encoder.json`` (how to build it,
what it must be fed) and ``README.md`` (the model card). Refuses: pickle, names of its own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from t3dkit.atomic import write_json, write_text, write_with
from t3dkit.errors import ConfigError
from t3dkit.version import VERSION
from train.config import as_table
from train.evaluate import headlines
from train.networks import network_arguments
from train.report_page import PAGES
from train.run import load_model, open_run

BOTTLENECK = {
    "unet": "output of the innermost block: follow `network.model[1].submodule` to its end",
    "segresnet": "network.encode(crop)[0]",
    "swinunetr": "network.encoder10(network.swinViT(crop, network.normalize)[4])",
    "resnet50": "output of `network.layer4`",
}


def export_encoder(run_folder: Path, out: Path) -> dict[str, Any]:
    """Write the encoder of the run's newest whole checkpoint to the folder `out`.

    Raises
    ------
    ConfigError
        `run_folder` is no run, or `out` is a file.
    DamagedCheckpoint
        The run has no whole checkpoint.
    """
    run = open_run(run_folder)
    if out.is_file():
        raise ConfigError(f"{out} is a file: give a folder for the export")
    model, step = load_model(run)
    name, arguments = network_arguments(run.config.image)
    weights = {key: value.contiguous().clone() for key, value in model.backbone.network.state_dict().items()}
    write_with(out / "encoder.safetensors", lambda path: save_file(weights, path, metadata={"format": "pt"}))
    write_json(
        out / "encoder.json",
        {
            "network": name,
            "arguments": arguments,
            "bottleneck": BOTTLENECK[run.config.image.network],
            "preprocessing": run.preprocessing,
            "training": {"step": step, "config": as_table(run.config), "t3dkit": VERSION},
        },
    )
    metrics = run.root / "metrics.json"
    card = PAGES.get_template("card.md").render(
        method=run.config.method,
        name=name,
        bottleneck=BOTTLENECK[run.config.image.network],
        preprocessing=run.preprocessing,
        step=step,
        batch=run.config.loop.batch * run.config.loop.accumulate,
        seed=run.config.loop.seed,
        dataset=json.loads((run.root / "config.json").read_text(encoding="utf-8"))["dataset"]["name"],
        metrics=headlines(json.loads(metrics.read_text(encoding="utf-8"))["results"]) if metrics.is_file() else {},
    )
    write_text(out / "README.md", card)
    n = sum(value.numel() for value in weights.values())
    return {"out": out.name, "network": name, "step": step, "parameters": n}
