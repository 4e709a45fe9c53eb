"""A tiny data set, written through the contract: bodies with organs, lesions that the text names.

What the text says and the neighbourhood does not: whether the lung is aerated or consolidated, whether the liver is
enhanced, whether a cyst sits in the kidney. So the mechanism of T3D can be seen in seconds.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch

from curation import contract
from curation.contract import Dataset
from t3dkit.atomic import write_json
from t3dkit.progress import Progress
from t3dkit.tables import write_table
from train.batch import trimmed
from train.catalogue import read_catalogue
from train.config import Config
from train.gradients import backward
from train.loop import Trainer
from train.models import T3D
from train.run import Run, open_run
from train.text import rebuild_encoder

EDGE = 40
SPACING_MM = 4.0
ORGANS = {
    # region: (centre ijk, radii ijk, HU) on a 40^3 grid
    "lung_right": ((28, 20, 28), (7, 9, 9), -800),
    "lung_left": ((12, 20, 28), (7, 9, 9), -800),
    "liver": ((27, 20, 11), (9, 9, 7), 60),
    "spleen": ((10, 16, 11), (5, 5, 6), 50),
}
WORDS = {"lung_right": "right lung", "lung_left": "left lung", "liver": "liver", "spleen": "spleen"}
FINDINGS = {
    "lung_right": ("consolidation", "nodule"),
    "lung_left": ("consolidation", "nodule"),
    "liver": ("calcification", "cyst"),
    "spleen": ("calcification", "cyst"),
}
CHANGE_HU = {"consolidation": 830, "nodule": 900, "calcification": 500, "cyst": -300}
NORMAL = ("The {organ} is normal.", "{organ} unremarkable.", "No abnormality of the {organ}.")
ABNORMAL = ("There is {size} {finding} in the {organ}.", "{size} {finding} of the {organ} is seen.")


def write_tiny_dataset(root: Path, *, n_patients: int = 12, seed: int = 0, suffix: str = ".nii") -> Path:
    """Write a data set of `n_patients` studies under `root`; returns `root`."""
    rng = np.random.default_rng(seed)
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in contract.TABLES}
    findings: list[dict[str, Any]] = []
    for number in range(n_patients):
        _write_study(root, number, n_patients, rng, tables, findings, suffix)
    for name, schema in contract.TABLES.items():
        write_table(root / f"{name}.parquet", tables[name], schema)
    write_table(root / "labels" / "findings.parquet", findings, contract.FINDINGS)
    write_json(root / "labels" / "organs.json", {str(n + 1): name for n, name in enumerate(ORGANS)})
    write_json(
        root / "dataset.json",
        {
            "schema_version": contract.SCHEMA_VERSION,
            "name": "tiny",
            "grid": {"spacing_mm": [SPACING_MM] * 3, "orientation": "RAS", "hu_range": [-1024, 3071]},
            "versions": {"lexicon": "1"},
        },
    )
    return root


def _write_study(
    root: Path,
    number: int,
    n_patients: int,
    rng: np.random.Generator,
    tables: dict[str, list[dict[str, Any]]],
    findings: list[dict[str, Any]],
    suffix: str,
) -> None:
    ids = {kind: f"{kind}{number:03d}" for kind in ("pair", "patient", "study", "report", "volume", "series")}
    grid = np.stack(np.meshgrid(*[np.arange(EDGE)] * 3, indexing="ij")).astype(np.float64)
    volume = np.full((EDGE,) * 3, -1024.0)
    body = (((grid[0] - 19.5) / 18) ** 2 + ((grid[1] - 19.5) / 14) ** 2) < 1
    volume[body] = 20
    labels = np.zeros((EDGE,) * 3, dtype=np.uint8)
    sentences = []
    for value, (region, (centre, radii, hu)) in enumerate(ORGANS.items(), start=1):
        moved = np.asarray(centre) + rng.integers(-1, 2, size=3)
        inside = _ellipsoid(grid, moved, radii)
        volume[inside], labels[inside] = hu, value
        first, stop = (np.argwhere(inside).min(axis=0), np.argwhere(inside).max(axis=0) + 1)
        kind = (None, *FINDINGS[region])[int(rng.integers(3))]
        for finding in FINDINGS[region]:
            findings.append(
                {"volume_id": ids["volume"], "finding": f"{region}_{finding}", "value": int(finding == kind)}
            )
        size = ("small", "large")[int(rng.integers(2))]
        if kind:
            share = 0.45 if size == "small" else 0.8
            volume[_ellipsoid(grid, moved, np.asarray(radii) * share)] += CHANGE_HU[kind]
        wording = ABNORMAL if kind else NORMAL
        text = wording[int(rng.integers(len(wording)))].format(organ=WORDS[region], finding=kind, size=size)
        sentences.append((region, text[0].upper() + text[1:], kind is None))
        tables["regions"].append(
            {
                "volume_id": ids["volume"],
                "region": region,
                "source": "mask",
                "start_ijk": first.tolist(),
                "size_ijk": (stop - first).tolist(),
                "confidence": 1.0,
            }
        )
    volume += rng.normal(0, 12, size=volume.shape) * body
    _write_tables(root, ids, number, n_patients, volume, labels, sentences, tables, suffix)


def _ellipsoid(grid: np.ndarray, centre: np.ndarray, radii: Any) -> np.ndarray:
    return sum(((grid[axis] - centre[axis]) / radii[axis]) ** 2 for axis in range(3)) < 1


def _write_tables(
    root: Path,
    ids: dict[str, str],
    number: int,
    n_patients: int,
    volume: np.ndarray,
    labels: np.ndarray,
    sentences: list[tuple[str, str, bool]],
    tables: dict[str, list[dict[str, Any]]],
    suffix: str,
) -> None:
    affine = np.diag([SPACING_MM] * 3 + [1.0])
    path = f"volumes/{ids['volume']}{suffix}"
    write_nifti(root / path, np.round(volume).astype(np.int16), affine)
    write_nifti(root / "labels" / "organs" / f"{ids['volume']}.nii", labels, affine)
    split = "train" if number < 0.6 * n_patients else "validation" if number < 0.8 * n_patients else "test"
    tables["pairs"].append(
        {
            **{f"{kind}_id": ids[kind] for kind in ("pair", "patient", "study", "report", "volume")},
            "split": split,
            "link_rule": "accession",
            "link_confidence": 1.0,
            "n_sentences": len(sentences),
            "n_located": len(sentences),
            "flags": [],
            "suspicion": 0.0,
        }
    )
    tables["volumes"].append(
        {
            "volume_id": ids["volume"],
            "study_id": ids["study"],
            "series_id": ids["series"],
            "path": path,
            "sha256": hashlib.sha256((root / path).read_bytes()).hexdigest(),
            "shape_ijk": list(volume.shape),
            "spacing_mm": [SPACING_MM] * 3,
            "affine_ras": affine.ravel().tolist(),
            "modality": "CT",
            "body_regions": ["chest", "abdomen"],
        }
    )
    for index, (region, text, is_normal) in enumerate(sentences):
        tables["sentences"].append(
            {
                "sentence_id": f"{ids['report']}-{index}",
                "report_id": ids["report"],
                "pair_id": ids["pair"],
                "section": "findings",
                "index": index,
                "text": text,
                "regions": [region],
                "assertion": "absent" if text.startswith("No ") else "present",
                "is_normal": is_normal,
                "is_prior_comparison": False,
                "measurements_mm": [],
            }
        )


def write_nifti(path: Path, data: np.ndarray, affine: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(data, affine)
    image.header.set_slope_inter(1.0, 0.0)
    nibabel.save(image, path)


TINY = (
    "crop.size_vox=24",
    "corruption.block_vox=4",
    "image.channels=[8, 16, 32, 32]",
    "image.features=4",
    "text.width=32",
    "text.max_tokens=16",
    "text.warmup_steps=3",
    "loop.batch=4",
    "loop.steps=4",
    "loop.warmup_steps=2",
    "loop.checkpoint_every=2",
    "loop.sample_every=4",
    "loop.log_every=1",
    "loop.threads=1",
)
"""Overrides that make a run of a second."""


def step_gradients(config: Config, dataset_root: Path, made: Path, folder: Path) -> dict[str, torch.Tensor]:
    """Gradients of the first step in double precision, from the weights of seed 0 and the tokenizer of run `made`."""
    run, dataset = open_run(made), Dataset.open(dataset_root)
    torch.manual_seed(0)
    model = T3D(config, rebuild_encoder(run.text_settings))
    catalogue = read_catalogue(dataset, ("train",), config.crop)
    here = Run(folder, config, {}, run.text_settings, run.tokens)
    trainer = Trainer(here, model, dataset, catalogue, torch.device("cpu"), Progress(quiet=True))
    model.double()
    parts = trimmed([trainer.batcher.make(*key) for key in trainer.keys(0)[: config.loop.accumulate]])
    parts = [
        dataclasses.replace(one, **{name: getattr(one, name).double() for name in ("views", "clean", "corrupted")})
        for one in parts
    ]
    backward(model, parts, trainer.autocast)
    return {name: one.grad.contiguous() for name, one in model.named_parameters() if one.grad is not None}
