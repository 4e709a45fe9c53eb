"""A scale at which a CPU can test what pre-training teaches, and whether it can be learned there at all.

    python -m benchmarks.train_scale make OUT SET [SET ...] [--factor 2]
    python -m benchmarks.train_scale bound DATASET [--steps 1500] [--kept FILE]

``make`` joins curated data sets (with their label maps and findings) into one whose voxels are `factor` times larger,
by averaging: at 4 mm a crop of 32 voxels holds an organ, and a volume costs an eighth. ``bound`` trains the encoder of
the CPU scale *with labels*, on the crops that pre-training draws: to say which regions a crop covers, and which kinds
of lesion lie in it. No pre-training without labels can be expected to do better than that.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from curation.contract import FINDINGS, TABLES, Dataset, affine_of, best_boxes
from t3dkit.atomic import write_json
from t3dkit.tables import write_table
from train.batch import Batcher
from train.bench import HELD_OUT
from train.catalogue import Box, read_catalogue
from train.config import load_config
from train.crops import Draw, covered_fraction
from train.intervals import statistic_interval
from train.networks import build_backbone
from train.probes import auroc_of
from train.reader import VolumeStore, map_nifti
from train.text import train_tokens

BATCH, RATE = 16, 2e-3
HELD_OUT_BATCHES = 128
SHOWN_EVERY = 250
LEAST_CASES = 5
"""Held-out crops with and without, for a class to be measured."""
COVERED = 0.5
"""Share of what a crop could hold of a region, from which on it covers it."""


def make(out: Path, sources: list[Path], factor: int) -> dict[str, Any]:
    """Join `sources` into the data set `out`, shrunk by `factor` along each axis; volumes there already are kept."""
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    findings: list[dict[str, Any]] = []
    spacing: set[float] = set()
    for source in sources:
        dataset = Dataset.open(source)
        found = {name: dataset.rows(name) for name in TABLES}
        for row in found["volumes"]:
            _shrink(dataset, row, out, factor)
            spacing.update(row["spacing_mm"])
        shapes = {row["volume_id"]: np.array(row["shape_ijk"]) for row in found["volumes"]}
        for row in found["regions"]:
            first, stop = np.array(row["start_ijk"]), np.array(row["start_ijk"]) + row["size_ijk"]
            start = np.minimum(first // factor, shapes[row["volume_id"]] - 1)
            row |= {"start_ijk": start.tolist(), "size_ijk": np.maximum(stop // factor - start, 1).tolist()}
        for name in TABLES:
            tables[name] += found[name]
        findings += dataset.findings()
        for name in ("organs", "lesions"):
            names = dataset.label_names(name)
            if names:
                write_json(out / "labels" / f"{name}.json", {str(value): label for value, label in names.items()})
    for name, schema in TABLES.items():
        write_table(out / f"{name}.parquet", tables[name], schema)
    write_table(out / "labels" / "findings.parquet", findings, FINDINGS)
    if len(spacing) != 1:
        raise SystemExit(f"the data sets must be on one cubic grid, found {sorted(spacing)} mm")
    manifest = Dataset.open(sources[0]).manifest
    write_json(out / "dataset.json", manifest | {"grid": manifest["grid"] | {"spacing_mm": spacing.pop()}})
    return {"volumes": len(tables["volumes"]), "pairs": len(tables["pairs"]), "findings": len(findings)}


def _shrink(dataset: Dataset, row: dict[str, Any], out: Path, factor: int) -> None:
    """Write one volume and its label maps; alters its row."""
    affine, name = affine_of(row), row["volume_id"]
    affine[:3, 3] += affine[:3, :3].sum(axis=1) * (factor - 1) / 2  # the middle of the first block
    affine[:3, :3] *= factor
    path = out / row["path"]
    if not path.is_file():
        blocks = _blocks(map_nifti(dataset.volume_path(row)), factor)
        _write_nifti(path, np.rint(blocks.mean(axis=(1, 3, 5), dtype=np.float32)).astype(np.int16), affine)
        for kind in ("organs", "lesions"):
            labels = dataset.label_path(kind, name)
            if labels is not None:
                cells, middle = _blocks(map_nifti(labels), factor), factor // 2
                # A lesion counts where any of it is; an organ where the block's middle lies in it.
                centre = cells[:, middle, :, middle, :, middle]
                small = cells.max(axis=(1, 3, 5)) if kind == "lesions" else centre
                _write_nifti(out / "labels" / kind / f"{name}.nii", small, affine)
    shape = [n // factor for n in row["shape_ijk"]]
    row |= {"shape_ijk": shape, "spacing_mm": [value * factor for value in row["spacing_mm"]]}
    row |= {"affine_ras": affine.ravel().tolist(), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _blocks(voxels: np.ndarray, factor: int) -> np.ndarray:
    i, j, k = (n // factor for n in voxels.shape)
    return np.asarray(voxels[: i * factor, : j * factor, : k * factor]).reshape(i, factor, j, factor, k, factor)


def _write_nifti(path: Path, data: np.ndarray, affine: np.ndarray) -> None:
    import nibabel

    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(np.asfortranarray(data), affine)
    image.header.set_slope_inter(1.0, 0.0)
    working = path.with_name(f".{path.name}")
    nibabel.save(image, working.with_suffix(".nii"))
    working.with_suffix(".nii").replace(path)


def bound(root: Path, steps: int, seed: int, kept: Path | None, words: Sequence[str] = ()) -> dict[str, Any]:
    """Train with labels and measure on held-out patients; goes on from `kept` where a part was done before.

    Nothing in the encoder differs between training and use (group normalisation, no dropout).
    """
    dataset, config = Dataset.open(root), load_config("t3d", [f"loop.seed={seed}", *words], scale="cpu")
    store = VolumeStore(dataset, root / "cache")
    sides = [read_catalogue(dataset, splits, config.crop) for splits in (("train",), HELD_OUT)]
    tokens = train_tokens([one.text for one in sides[0].sentences], config.text)
    train, held = (Batcher(side, store, tokens, config) for side in sides)
    truth = Truth(dataset, store, sorted({region for one in sides[0].located for region, _ in one.boxes}))
    torch.manual_seed(seed)
    backbone = build_backbone(config.image).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    model = nn.ModuleDict({"backbone": backbone, "head": nn.Linear(2 * backbone.width, len(truth.names))})
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    first = 0
    if kept and kept.is_file():
        state = torch.load(kept, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        first = state["step"]
    for step in range(first, steps):
        batch = train.make(step, range(BATCH), BATCH)
        logits = _logits(model, batch.views[:, 0])
        loss = nn.functional.binary_cross_entropy_with_logits(logits, truth.of(batch.draws))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if kept and (step % 100 == 99 or step + 1 == steps):
            whole = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
            torch.save(whole | {"schedule": schedule.state_dict()}, kept)
        if step % SHOWN_EVERY == SHOWN_EVERY - 1:
            row = {"step": step + 1, "loss": float(loss.detach()), **_measured(model, held, truth, seed)}
            print(json.dumps(row), file=sys.stderr, flush=True)
    return _measured(model, held, truth, seed) | {"steps": steps, "patients": sides[0].n_patients}


class Truth:
    """What a crop shows, by the labels: regions it covers enough of, kinds of lesion with a voxel in it."""

    def __init__(self, dataset: Dataset, store: VolumeStore, regions: list[str]) -> None:
        kinds = dataset.label_names("lesions")
        self.store, self.n_regions, self.names = store, len(regions), [*regions, *kinds.values()]
        self.column = {value: self.n_regions + place for place, value in enumerate(kinds)}
        self.boxes: dict[str, list[tuple[int, Box]]] = {}
        for (volume_id, region), row in best_boxes(dataset.rows("regions")).items():
            if region in regions:
                i, j, k = row["start_ijk"]
                di, dj, dk = row["size_ijk"]
                box = Box((i, j, k), (i + di, j + dj, k + dk))
                self.boxes.setdefault(volume_id, []).append((regions.index(region), box))

    def of(self, draws: Sequence[Draw]) -> torch.Tensor:
        """(b, classes) float32, 0 or 1, of the first views."""
        found = torch.zeros(len(draws), len(self.names))
        for row, drawn in enumerate(draws):
            start, size = drawn.views[0].start_ijk, drawn.size_vox
            for column, box in self.boxes.get(drawn.volume_id, ()):
                found[row, column] = float(covered_fraction(box, start, size) >= COVERED)
            lesions = self.store.label_crop("lesions", drawn.volume_id, start, size)
            for value in np.unique(lesions[lesions > 0]) if lesions is not None else ():
                found[row, self.column[int(value)]] = 1.0
        return found


def _logits(model: nn.ModuleDict, crops: torch.Tensor) -> torch.Tensor:
    places = model["backbone"].encode(crops)[0].flatten(2)  # type: ignore[operator]
    return model["head"](torch.cat([places.mean(dim=2), places.amax(dim=2)], dim=1))


@torch.no_grad()
def _measured(model: nn.ModuleDict, held: Batcher, truth: Truth, seed: int) -> dict[str, Any]:
    """Mean AUROC over regions and over kinds of lesion, each with its interval over patients.

    ``within`` is the mean over kinds of the mean over drawn regions of the AUROC among the crops of one region: there
    the place of a crop answers nothing, only the lesion can. ``kinds`` lists it for each kind.
    """
    patients, wanted, given, drawn_on = [], [], [], []
    for step in range(HELD_OUT_BATCHES):
        batch = held.make(step, range(BATCH), BATCH)
        patients += [held.sentence(drawn).patient_id for drawn in batch.draws]
        drawn_on += [drawn.region for drawn in batch.draws]
        wanted.append(truth.of(batch.draws).numpy())
        given.append(_logits(model, batch.clean).numpy())
    y, score, region = np.concatenate(wanted), np.concatenate(given), np.array(drawn_on)
    names, place = np.unique(patients, return_inverse=True)
    rows_of = [np.flatnonzero(place == index) for index in range(len(names))]

    def macro(columns: np.ndarray, within: bool = False) -> Callable[[np.ndarray], float]:
        def auroc(drawn: np.ndarray) -> float:
            rows = np.concatenate([rows_of[int(index)] for index in drawn])
            of_kind = [_auroc(y[rows, c], score[rows, c], region[rows] if within else None) for c in columns]
            return float(np.nanmean(of_kind)) if not np.isnan(of_kind).all() else float("nan")

        return auroc

    often = np.flatnonzero(np.minimum(y.sum(axis=0), (1 - y).sum(axis=0)) >= LEAST_CASES)
    lesions = often[often >= truth.n_regions]
    told = {int(c): _auroc(y[:, c], score[:, c], region) for c in lesions}
    sides = {"regions": (often[often < truth.n_regions], False), "lesions": (lesions, False)}
    sides["within"] = (np.array([c for c, value in told.items() if not np.isnan(value)], dtype=int), True)
    return {
        name: statistic_interval(macro(columns, within), len(names), n=100, seed=seed) | {"classes": len(columns)}
        for name, (columns, within) in sides.items()
        if len(columns)
    } | {"kinds": {truth.names[c]: round(value, 3) for c, value in told.items() if not np.isnan(value)}}


def _auroc(wanted: np.ndarray, given: np.ndarray, region: np.ndarray | None) -> float:
    """AUROC of one class; with `region`, its mean over the regions that have cases enough; NaN where none has."""
    if region is None:
        return auroc_of(wanted, given)
    found = []
    for name in np.unique(region):
        rows = region == name
        if LEAST_CASES <= wanted[rows].sum() <= rows.sum() - LEAST_CASES:
            found.append(auroc_of(wanted[rows], given[rows]))
    return float(np.mean(found)) if found else float("nan")


def main(words: list[str] | None = None) -> int:
    """Make a data set or measure the bound; prints one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make")
    making.add_argument("out", type=Path)
    making.add_argument("sources", type=Path, nargs="+")
    making.add_argument("--factor", type=int, default=2)
    bounding = commands.add_parser("bound")
    bounding.add_argument("dataset", type=Path)
    bounding.add_argument("--steps", type=int, default=1500)
    bounding.add_argument("--seed", type=int, default=0)
    bounding.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override one key")
    bounding.add_argument("--kept", type=Path, help="state of a part, so that a cut run goes on")
    arguments = parser.parse_args(words)
    if arguments.command == "make":
        print(json.dumps(make(arguments.out, arguments.sources, arguments.factor)))
    else:
        found = bound(arguments.dataset, arguments.steps, arguments.seed, arguments.kept, arguments.set)
        print(json.dumps(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
