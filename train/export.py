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
from train.networks import network_arguments
from train.run import load_model, open_run

BOTTLENECK = {
    "unet": "output of the innermost block: follow `network.model[1].submodule` to its end",
    "segresnet": "network.encode(crop)[0]",
    "swinunetr": "network.encoder10(network.swinViT(crop, network.normalize)[4])",
    "resnet50": "output of `network.layer4`",
}

CARD = """# T3D image encoder ({method})

The image encoder of a T3D run: `monai.networks.nets.{name}`, pre-trained on crops of radiology volumes and the
sentences of their reports (after Liu et al., arXiv 2312.01529v2; the losses are described in t3dkit's docs/t3d.md).
Research use; not a medical device, not evaluated for clinical decisions.

## Load

```python
import json
from monai.networks import nets
from safetensors.torch import load_file

table = json.load(open("encoder.json"))
network = getattr(nets, table["network"])(**table["arguments"])
network.load_state_dict(load_file("encoder.safetensors"))
```

The bottleneck is: {bottleneck}. Its mean over space is the feature of a crop.

## Feed

{feed}

A volume on another grid must be resampled first; voxels must be HU.

## Training

method {method}, {step:,} steps, batch {batch}, seed {seed}; data set "{dataset}".

## Measured on held-out patients

{metrics}

## Licence

The code is Apache-2.0. The weights carry whatever terms the data set they were trained on carries.
"""


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
    feed = "\n".join(f"- {key.replace('_', ' ')}: {value}" for key, value in run.preprocessing.items())
    config = json.loads((run.root / "config.json").read_text(encoding="utf-8"))
    card = CARD.format(
        method=run.config.method,
        name=name,
        bottleneck=BOTTLENECK[run.config.image.network],
        feed=feed,
        step=step,
        batch=run.config.loop.batch * run.config.loop.accumulate,
        seed=run.config.loop.seed,
        dataset=config["dataset"]["name"],
        metrics=_metrics(run.root / "metrics.json"),
    )
    write_text(out / "README.md", card)
    n = sum(value.numel() for value in weights.values())
    return {"out": out.name, "network": name, "step": step, "parameters": n}


def _metrics(path: Path) -> str:
    if not path.is_file():
        return "Not evaluated yet: run `python -m train evaluate` and export again."
    from train.evaluate import headlines

    rows = headlines(json.loads(path.read_text(encoding="utf-8"))["results"])
    lines = [f"| {name.replace('_', ' ')} | {value} |" for name, value in rows.items() if value is not None]
    return "| measure | value |\n| --- | --- |\n" + "\n".join(lines)
