"""``python -m train features``: what an exported encoder makes of a volume.

Enters: the folder of an export and a NIfTI. Leaves: one feature vector per crop of a grid over the volume, with where
each crop lies. Refuses: a volume that is not what the export's preprocessing contract says; nothing is fed raw.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from safetensors.torch import load_file, save_file

from t3dkit.atomic import write_with
from t3dkit.errors import ConfigError, ContractError
from t3dkit.progress import Progress
from train.batch import normalise
from train.bench import grid_starts
from train.catalogue import as_ijk
from train.config import Config, build
from train.networks import Backbone, build_backbone
from train.reader import cut

SPACING_TOLERANCE = 0.01
"""Share by which a voxel may differ from the contract's: half a voxel over a crop of 48."""
LEAST_HU_RANGE = 200.0
"""A CT between its least and its greatest voxel; less is a normalised image, or nothing."""
BATCH = 4


def features(export: Path, volume: Path, out: Path, *, n_crops: int, progress: Progress) -> dict[str, Any]:
    """Write ``features`` (m, channels), ``start_ijk`` (m, 3) and ``centre_ras_mm`` (m, 3) as safetensors.

    `export` is a folder of `train.export`, `volume` a NIfTI in HU on its grid. At most `n_crops` crops are spread
    evenly; the mean over the places of a crop's bottleneck is its feature.

    Raises
    ------
    ConfigError
        `export` is no export, or `volume` cannot be read.
    ContractError
        Another spacing, orientation, or values that are no HU.
    """
    backbone, config, contract = open_export(export)
    voxels, affine = read_volume(volume, contract)
    size = int(contract["crop_size_vox"])
    starts = grid_starts(as_ijk(voxels.shape), size, n_crops)
    rows = []
    with progress.task("features", len(starts)) as task, torch.no_grad():
        for first in range(0, len(starts), BATCH):
            part = starts[first : first + BATCH]
            crops = [cut(voxels, start, size, fill=int(contract["pad_value_hu"])) for start in part]
            stacked = torch.from_numpy(normalise(np.stack(crops), config.intensity)[:, None])
            rows.append(backbone.encode(stacked)[0].flatten(2).mean(dim=2))
            task.advance(len(part))
    found = torch.cat(rows)
    centres = (np.asarray(starts) + (size - 1) / 2) @ affine[:3, :3].T + affine[:3, 3]
    table = {
        "features": found.contiguous(),
        "start_ijk": torch.tensor(starts, dtype=torch.int64),
        "centre_ras_mm": torch.from_numpy(centres.astype(np.float32)),
    }
    write_with(out, lambda path: save_file(table, path, metadata={"format": "pt"}))
    return {"out": out.name, "crops": len(starts), "channels": found.shape[1]}


def open_export(folder: Path) -> tuple[Backbone, Config, dict[str, Any]]:
    """The encoder of an export ready to use, the configuration it was trained with, its preprocessing contract."""
    try:
        table = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
        contract = dict(table["preprocessing"])
        config = build(Config, table["training"]["config"])
        weights = load_file(folder / "encoder.safetensors")
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(f"{folder} is no export: make one with `python -m train export RUN --out DIR`") from None
    backbone = build_backbone(config.image)
    backbone.network.load_state_dict(weights)
    return backbone.eval(), config, contract


def read_volume(path: Path, contract: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """(i, j, k) int16 HU of a NIfTI, RAS+, and its affine; axes are reordered, voxels never resampled.

    Raises
    ------
    ConfigError
        The file cannot be read as a NIfTI.
    ContractError
        The contract is not met.
    """
    try:
        image = nibabel.as_closest_canonical(nibabel.load(path))
        voxels, affine = np.asanyarray(image.dataobj), np.asarray(image.affine, dtype=float)
    except (OSError, EOFError, ImageFileError, HeaderDataError, ValueError):
        raise ConfigError(f"{path} cannot be read as a NIfTI") from None
    if voxels.ndim != 3:
        raise ContractError(f"{path.name} has {voxels.ndim} axes: give one volume of three")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    wanted = np.asarray(contract["spacing_mm"], dtype=float)
    is_straight = np.abs(affine[:3, :3] / spacing).max(axis=0).min() > 1 - 1e-3
    if not is_straight or np.abs(spacing / wanted - 1).max() > SPACING_TOLERANCE:
        shown = " x ".join(f"{mm:g}" for mm in np.round(spacing, 3))
        raise ContractError(
            f"{path.name} has voxels of {shown} mm{'' if is_straight else ', oblique'}; the encoder was trained on "
            f"{' x '.join(f'{mm:g}' for mm in wanted)} mm. Resample it first: "
            f"`python -m volumes convert {path.name} --spacing {wanted[0]:g} --out DIR`"
        )
    low, high = float(voxels.min()), float(voxels.max())
    if not (np.isfinite([low, high]).all() and high - low >= LEAST_HU_RANGE and low >= -32768 and high <= 32767):
        raise ContractError(
            f"{path.name} holds values from {low:g} to {high:g}: the encoder wants Hounsfield units, no other scale"
        )
    return np.rint(voxels).astype(np.int16), affine
