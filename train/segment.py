"""Segmentation probe: the backbone, fine-tuned for a few steps on label maps, against the same from scratch.

Enters: a bench, a name of label maps (``organs``, ``lesions``). Leaves: Dice on held-out patients, per share of the
train volumes and start. Refuses: nothing; where a data set has no such maps it says so.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.losses import DiceCELoss
from torch import nn

from train.bench import HELD_OUT, Bench
from train.intervals import mean_interval
from train.networks import Backbone, build_backbone
from train.reader import map_nifti

RATE = 5e-3
FOREGROUND_SHARE = 0.67
"""Of the crops, those centred on a labelled voxel; the rest lie anywhere in the volume."""


@dataclass(frozen=True)
class Place:
    """A crop with its labels, by position."""

    volume_id: str
    start_ijk: tuple[int, int, int]


def segmentation(bench: Bench, name: str) -> dict[str, Any]:
    """Dice of the label maps `name` after a short fine-tuning, from the run's weights and from scratch.

    Returns
    -------
    dict
        For each share of train volumes, ``pretrained`` and ``scratch``: mean Dice over classes and patients with
        its interval over patients (mean over seeds), and Dice by class.
    """
    groups = class_groups(bench, name)
    sides = [_labelled(bench, name, splits) for splits in (("train",), HELD_OUT)]
    if not groups or not all(sides):
        return {"skipped": f"the data set has no label maps {name!r} on both sides"}
    train, held = sides
    lookup = torch.zeros(256, dtype=torch.long)
    for place, values in enumerate(groups.values(), start=1):
        lookup[torch.as_tensor(values)] = place
    finder = Finder(bench, name, lookup.numpy())
    test = finder.places(held, bench.config.segment_validation, np.random.default_rng([bench.config.seed, 31]))
    result: dict[str, Any] = {
        "n_train_volumes": len(train),
        "n_held_out_volumes": len(held),
        "steps": bench.config.segment_steps,
    }
    for fraction in bench.config.segment_fractions:
        rows: dict[str, Any] = {}
        for start in ("pretrained", "scratch")[: 1 + bench.config.segment_compare]:
            scores = [
                _one(bench, finder, train, test, lookup, fraction, start, seed) for seed in bench.config.segment_seeds
            ]
            rows[start] = _summed(bench, np.mean(scores, axis=0), test, list(groups))
        result[f"{fraction:g}"] = rows
    return result


def class_groups(bench: Bench, name: str) -> dict[str, list[int]]:
    """Class -> label values: the wanted organs, or any lesion as one class, since each kind alone is rare."""
    classes = bench.dataset.label_names(name)
    if name == "lesions":
        return {"lesion": sorted(classes)} if classes else {}
    wanted = {label: [value] for value, label in sorted(classes.items()) if label in bench.config.segment_organs}
    return wanted or {label: [value] for value, label in sorted(classes.items())}


class Finder:
    """Chooses crops of labelled volumes; remembers where each volume's labels are."""

    def __init__(self, bench: Bench, name: str, lookup: np.ndarray) -> None:
        self.bench, self.name, self.lookup = bench, name, lookup
        self._voxels: dict[str, dict[int, np.ndarray]] = {}

    def places(self, volume_ids: Sequence[str], n: int, rng: np.random.Generator) -> list[Place]:
        """`n` crops, volumes in turn; most of them centred on a voxel of a class drawn evenly."""
        return [self._place(volume_ids[index % len(volume_ids)], rng) for index in range(n)]

    def load(self, place: Place) -> tuple[np.ndarray, np.ndarray]:
        """(c, c, c) float32 normalised crop and uint8 labels."""
        size = self.bench.train.config.crop.size_vox
        labels = self.bench.store.label_crop(self.name, place.volume_id, place.start_ijk, size)
        assert labels is not None
        return self.bench.train.crop(place.volume_id, place.start_ijk), labels

    def _place(self, volume_id: str, rng: np.random.Generator) -> Place:
        size = self.bench.train.config.crop.size_vox
        shape = self.bench.store.shape_ijk(volume_id)
        by_class = self._classes(volume_id)
        centre = [int(rng.integers(0, n)) for n in shape]
        if by_class and rng.random() < FOREGROUND_SHARE:
            voxels = by_class[sorted(by_class)[int(rng.integers(len(by_class)))]]
            jitter = rng.integers(-size // 4, size // 4 + 1, size=3)
            centre = [int(n) for n in voxels[int(rng.integers(len(voxels)))] + jitter]
        start = [_inside(middle - size // 2, size, length) for middle, length in zip(centre, shape, strict=True)]
        return Place(volume_id, (start[0], start[1], start[2]))

    def _classes(self, volume_id: str) -> dict[int, np.ndarray]:
        if volume_id not in self._voxels:
            path = self.bench.dataset.label_path(self.name, volume_id)
            assert path is not None
            labels = self.lookup[np.asarray(map_nifti(path))]
            kept = {}
            for value in np.unique(labels[labels > 0]):
                where = np.argwhere(labels == value)
                kept[int(value)] = where[:: max(1, len(where) // 200)].astype(np.int32)
            self._voxels[volume_id] = kept
        return self._voxels[volume_id]


def _labelled(bench: Bench, name: str, splits: Sequence[str]) -> list[str]:
    ids = [pair["volume_id"] for split in splits for pair in bench.dataset.trainable_pairs(split)]
    return sorted(volume_id for volume_id in ids if bench.dataset.label_path(name, volume_id))


def _inside(start: int, size: int, length: int) -> int:
    return min(max(start, 0), max(length - size, 0)) if length >= size else (length - size) // 2


def _one(
    bench: Bench,
    finder: Finder,
    train: Sequence[str],
    test: Sequence[Place],
    lookup: torch.Tensor,
    fraction: float,
    start: str,
    seed: int,
) -> np.ndarray:
    """(len(test), classes, 3) sums of intersection, prediction and truth after fine-tuning."""
    rng = np.random.default_rng([bench.config.seed, seed, 37])
    n = max(1, round(fraction * len(train)))
    chosen = [train[int(index)] for index in rng.permutation(len(train))[:n]]
    n_classes = int(lookup.max())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = build_backbone(bench.run.config.image) if start == "scratch" else copy.deepcopy(bench.model.backbone)
        head = nn.Conv3d(backbone.features, n_classes + 1, kernel_size=1)
    model = nn.ModuleList([backbone, head]).to(bench.device)
    _fine_tune(bench, finder, model, chosen, lookup, rng, f"segmentation, {finder.name}, {start}")
    return _measure(bench, finder, model, test, lookup, n_classes)


def _fine_tune(
    bench: Bench,
    finder: Finder,
    model: nn.ModuleList,
    volumes: Sequence[str],
    lookup: torch.Tensor,
    rng: np.random.Generator,
    name: str,
) -> None:
    config = bench.config
    loss_of = DiceCELoss(to_onehot_y=True, softmax=True, include_background=False, batch=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=max(2, config.segment_steps))
    model.train()
    with bench.progress.task(name, config.segment_steps) as task:
        for step in range(config.segment_steps):
            order = [
                volumes[(step * config.segment_batch + slot) % len(volumes)] for slot in range(config.segment_batch)
            ]
            crops, labels = _stacked(finder, finder.places(order, len(order), rng), lookup, bench.device)
            loss = loss_of(_logits(model, crops), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            task.advance(note=f"loss {float(loss.detach()):.3f}")


@torch.no_grad()
def _measure(
    bench: Bench, finder: Finder, model: nn.ModuleList, test: Sequence[Place], lookup: torch.Tensor, n_classes: int
) -> np.ndarray:
    model.eval()
    rows = []
    for start in range(0, len(test), bench.config.segment_batch):
        crops, labels = _stacked(finder, test[start : start + bench.config.segment_batch], lookup, bench.device)
        guess = _logits(model, crops).argmax(dim=1, keepdim=True)
        for one, truth in zip(guess.cpu().numpy(), labels.cpu().numpy(), strict=True):
            both = np.bincount(truth[one == truth], minlength=n_classes + 1)
            rows.append(np.stack([both, *(np.bincount(x.ravel(), minlength=n_classes + 1) for x in (one, truth))]))
    return np.stack(rows)[:, :, 1:].transpose(0, 2, 1).astype(np.float64)


def _stacked(
    finder: Finder, places: Sequence[Place], lookup: torch.Tensor, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    loaded = [finder.load(place) for place in places]
    crops = torch.from_numpy(np.stack([crop for crop, _ in loaded])[:, None])
    labels = lookup[torch.from_numpy(np.stack([labels for _, labels in loaded])[:, None].astype(np.int64))]
    return crops.to(device), labels.to(device)


def _logits(model: nn.ModuleList, crops: torch.Tensor) -> torch.Tensor:
    backbone, head = model[0], model[1]
    assert isinstance(backbone, Backbone)
    return head(backbone.decode(*backbone.encode(crops)))


def _summed(bench: Bench, sums: np.ndarray, test: Sequence[Place], names: Sequence[str]) -> dict[str, Any]:
    """Dice per patient volume and class, from sums over its crops; classes a volume's crops lack do not count."""
    volumes = np.asarray([place.volume_id for place in test])
    table = []
    for volume_id in np.unique(volumes):
        both, guess, truth = sums[volumes == volume_id].sum(axis=0).T
        table.append(np.where(truth > 0, 2 * both / np.maximum(guess + truth, 1e-9), np.nan))
    dice = np.stack(table)
    known = ~np.isnan(dice)
    mean = [float(row[seen].mean()) for row, seen in zip(dice, known, strict=True) if seen.any()]
    interval = mean_interval(np.asarray(mean), np.arange(len(mean)), n=bench.config.bootstrap, seed=bench.config.seed)
    by_class = {name: float(dice[known[:, c], c].mean()) for c, name in enumerate(names) if known[:, c].any()}
    return {"dice": interval, "by_class": by_class}
