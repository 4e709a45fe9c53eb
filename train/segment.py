"""Segmentation probe: the backbone, fine-tuned for a few steps on label maps, against the same from scratch.

Enters: a bench, a name of label maps (``organs``, ``lesions``). Leaves: Dice over whole held-out volumes, per share of
the train volumes and start. Refuses: nothing; where a data set has no such maps it says so.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from monai.losses import DiceCELoss
from torch import nn

from train.batch import normalise
from train.bench import HELD_OUT, Bench
from train.catalogue import Ijk, as_ijk
from train.networks import Backbone, build_backbone

RATE = 5e-3
FOREGROUND_SHARE = 0.67
"""Of the crops, those near a labelled voxel; the rest lie anywhere in the volume."""
REMEMBERED = 200
"""Voxels of each class and volume that crops are placed on."""


def segmentation(bench: Bench, name: str) -> dict[str, Any]:
    """Dice of the label maps `name` after a short fine-tuning, from the run's weights and from scratch.

    For each share of train volumes: mean over classes and volumes with its interval over volumes (mean over seeds),
    and Dice by class.
    """
    task = Segmentation(bench, name)
    train, held = (task.labelled(splits) for splits in (("train",), HELD_OUT))
    if not task.groups or not train or not held:
        return {"skipped": f"the data set has no label maps {name!r} on both sides"}
    order = np.random.default_rng([bench.config.seed, 31]).permutation(len(held))
    held = [held[int(index)] for index in order[: bench.config.segment_volumes]]
    config = bench.config
    result: dict[str, Any] = {"n_train_volumes": len(train), "n_held_out_volumes": len(held)}
    result["steps"] = config.segment_steps
    for fraction in config.segment_fractions:
        result[f"{fraction:g}"] = {}
        for start in ("pretrained", "scratch")[: 1 + config.segment_compare]:
            dice = [task.dice(train, held, fraction, start, seed) for seed in config.segment_seeds]
            result[f"{fraction:g}"][start] = task.summed(np.mean(dice, axis=0))
    return result


class Segmentation:
    """One kind of label maps: its classes, its crops, fine-tuning and measuring.

    Attributes
    ----------
    groups : dict
        Class -> label values: the wanted organs, or any lesion as one class, since each kind alone is rare.
    """

    def __init__(self, bench: Bench, name: str) -> None:
        self.bench, self.name = bench, name
        classes = {label: [value] for value, label in sorted(bench.dataset.label_names(name).items())}
        wanted = {label: values for label, values in classes.items() if label in bench.config.segment_organs}
        any_lesion = {"lesion": [value for values in classes.values() for value in values]} if classes else {}
        self.groups = any_lesion if name == "lesions" else wanted or classes
        self.lookup = np.zeros(256, dtype=np.uint8)
        for place, values in enumerate(self.groups.values(), start=1):
            self.lookup[values] = place
        self._voxels: dict[str, list[np.ndarray]] = {}

    def labelled(self, splits: Sequence[str]) -> list[str]:
        """The volumes of `splits` that have such a map."""
        ids = [pair["volume_id"] for split in splits for pair in self.bench.dataset.trainable_pairs(split)]
        return sorted(volume_id for volume_id in ids if self.bench.dataset.label_path(self.name, volume_id))

    def labels(self, volume_id: str) -> np.ndarray:
        """(i, j, k) uint8 classes of a volume, 0 for none."""
        return self.lookup[np.asarray(self.bench.store.labels(self.name, volume_id))]

    def crops(self, volume_ids: Sequence[str], rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """One crop of each volume, most of them near a voxel of a class drawn evenly: (b, 1, c, c, c) and classes."""
        crops, labels = [], []
        size = self.bench.train.config.crop.size_vox
        for volume_id in volume_ids:
            start = self._start(volume_id, size, rng)
            crops.append(self.bench.train.crop(volume_id, start))
            labels.append(self.lookup[self.bench.store.label_crop(self.name, volume_id, start, size)])
        stacked = (np.stack(part)[:, None] for part in (crops, labels))
        x, y = (torch.from_numpy(part).to(self.bench.device) for part in stacked)
        return x, y.long()

    def _start(self, volume_id: str, size: int, rng: np.random.Generator) -> Ijk:
        if volume_id not in self._voxels:
            labels = self.labels(volume_id)
            found = [np.argwhere(labels == value) for value in np.unique(labels[labels > 0])]
            self._voxels[volume_id] = [where[:: max(1, len(where) // REMEMBERED)].astype(np.int32) for where in found]
        classes, shape = self._voxels[volume_id], np.asarray(self.bench.store.shape_ijk(volume_id))
        centre = rng.integers(0, shape)
        if classes and rng.random() < FOREGROUND_SHARE:
            voxels = classes[int(rng.integers(len(classes)))]
            centre = voxels[int(rng.integers(len(voxels)))] + rng.integers(-size // 4, size // 4 + 1, size=3)
        # Inside the volume where it is larger than the crop, around it where it is not.
        inside = np.clip(centre - size // 2, 0, np.maximum(shape - size, 0))
        return as_ijk(np.where(shape >= size, inside, (shape - size) // 2))

    def dice(self, train: list[str], held: list[str], fraction: float, start: str, seed: int) -> np.ndarray:
        """(volumes, classes) Dice after fine-tuning on a share of `train`; NaN where a volume has not the class."""
        rng = np.random.default_rng([self.bench.config.seed, seed, 37])
        chosen = [train[int(index)] for index in rng.permutation(len(train))[: max(1, round(fraction * len(train)))]]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            fresh = build_backbone(self.bench.run.config.image)
            backbone = fresh if start == "scratch" else copy.deepcopy(self.bench.model.backbone)
            model = Segmenter(backbone, len(self.groups) + 1).to(self.bench.device)
        self._fine_tune(model, chosen, rng, f"segmentation, {self.name}, {start}")
        return self._measured(model.eval(), held)

    def _fine_tune(self, model: Segmenter, volumes: list[str], rng: np.random.Generator, name: str) -> None:
        steps, size = self.bench.config.segment_steps, self.bench.config.segment_batch
        loss_of = DiceCELoss(to_onehot_y=True, softmax=True, include_background=False, batch=True)
        optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=max(2, steps))
        model.train()
        with self.bench.progress.task(name, steps) as task:
            for step in range(steps):
                x, y = self.crops([volumes[(step * size + slot) % len(volumes)] for slot in range(size)], rng)
                loss = loss_of(model(x), y)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
                task.advance(note=f"loss {float(loss.detach()):.3f}")

    @torch.no_grad()
    def _measured(self, model: Segmenter, held: list[str]) -> np.ndarray:
        n, window = len(self.groups) + 1, (self.bench.train.config.crop.size_vox,) * 3
        rows = []
        with self.bench.progress.task(f"segmentation, {self.name}, measured", len(held)) as task:
            for volume_id in held:
                hu = np.asarray(self.bench.store.volume(volume_id))
                x = torch.from_numpy(normalise(hu, self.bench.run.config.intensity))[None, None].to(self.bench.device)
                logits: Any = sliding_window_inference(x, window, 2 * self.bench.config.batch, model, overlap=0.0)
                guess, truth = logits.argmax(dim=1)[0].cpu().numpy(), self.labels(volume_id)
                both, one, two = (
                    np.bincount(part.ravel(), minlength=n)[1:] for part in (truth[guess == truth], guess, truth)
                )
                rows.append(np.where(two > 0, 2 * both / np.maximum(one + two, 1), np.nan))
                task.advance()
        return np.stack(rows)

    def summed(self, dice: np.ndarray) -> dict[str, Any]:
        """(volumes, classes) Dice as a mean with its interval over volumes, and by class."""
        known = ~np.isnan(dice)
        mean = np.asarray([float(row[seen].mean()) for row, seen in zip(dice, known, strict=True) if seen.any()])
        by_class = {name: float(dice[known[:, c], c].mean()) for c, name in enumerate(self.groups) if known[:, c].any()}
        return {"dice": self.bench.mean(mean, np.arange(len(mean))), "by_class": by_class}


class Segmenter(nn.Module):
    """A backbone and a voxel-wise linear head."""

    def __init__(self, backbone: Backbone, n_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Conv3d(backbone.features, n_classes, kernel_size=1)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """(b, 1, c, c, c) -> (b, classes, c, c, c) logits."""
        return self.head(self.backbone.decode(*self.backbone.encode(crops)))
