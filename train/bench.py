"""What every evaluation stands on: the model, both sides of the data, and how draws become features.

Enters: a run and a data set. Leaves: a `Bench`. Refuses: a data set without held-out patients.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from curation.contract import Dataset
from t3dkit.progress import Progress
from train.batch import Batch, Batcher
from train.catalogue import Ijk, Sentence, as_ijk, read_catalogue
from train.config import CropConfig, EvaluateConfig
from train.crops import N_CHANCES, Draw, draw_views
from train.intervals import mean_interval
from train.models import as_query
from train.reader import VolumeStore
from train.run import Run, load_model, require_same_grid

HELD_OUT = ("validation", "test")


@dataclass(frozen=True)
class Features:
    """Frozen features of m draws."""

    draws: tuple[Draw, ...]
    sentences: tuple[Sentence, ...]
    text: torch.Tensor  # (m, s, d), tokens of each drawn sentence
    held: torch.Tensor  # (m, s), which exist
    pooled_text: torch.Tensor  # (m, d), the sentences as one vector each
    view_a: torch.Tensor  # (m, n, d), visual tokens
    view_b: torch.Tensor  # (m, n, d), of the other view

    def rows(self, index: Sequence[int]) -> Features:
        """Some of the draws."""
        at = torch.as_tensor(list(index))
        draws, sentences, *tensors = vars(self).values()
        return Features(
            tuple(draws[i] for i in index), tuple(sentences[i] for i in index), *(tensor[at] for tensor in tensors)
        )


class Bench:
    """An opened run with both sides of a data set.

    Crops are always aligned here, whatever the run was trained on, so that the methods are measured on the same
    crops.
    """

    def __init__(self, run: Run, dataset: Dataset, config: EvaluateConfig, progress: Progress, cache: Path) -> None:
        require_same_grid(run, dataset)
        self.run, self.dataset, self.config, self.progress = run, dataset, config, progress
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model, self.step = load_model(run, self.device)
        self.store = VolumeStore(dataset, cache)
        crop: CropConfig = replace(run.config.crop, policy="aligned", shuffled_reports=False)
        measured = replace(run.config, crop=crop)
        self.train = Batcher(read_catalogue(dataset, ("train",), crop), self.store, run.tokens, measured)
        self.held_out = Batcher(read_catalogue(dataset, HELD_OUT, crop), self.store, run.tokens, measured)

    def draws(self, batcher: Batcher, n: int, *, seed: int) -> list[Draw]:
        """At most `n` located sentences, each once, heavy ones first in line, with a pair of crops each."""
        catalogue = batcher.catalogue
        rng = np.random.default_rng([self.config.seed, seed])
        n = min(n, len(catalogue.located))
        chosen = rng.choice(len(catalogue.located), size=n, replace=False, p=catalogue.weights)
        return [draw_views(catalogue, int(index), rng.random(N_CHANCES).tolist()) for index in chosen]

    def batches(self, batcher: Batcher, draws: Sequence[Draw], *, name: str) -> Iterator[Batch]:
        """The batches of `draws`, on the device."""
        size = self.config.batch
        with self.progress.task(name, len(draws)) as task:
            for start in range(0, len(draws), size):
                part = draws[start : start + size]
                yield batcher.of_draws(part, seed=self.config.seed + start).to(self.device)
                task.advance(len(part))

    @torch.no_grad()
    def features(self, batcher: Batcher, draws: Sequence[Draw], *, name: str) -> Features:
        """Frozen features of `draws`, on the CPU."""
        rows = []
        for batch in self.batches(batcher, draws, name=name):
            text, held = self.model.encode_text(batch.ids[:, :1], batch.held[:, :1])[:, 0], batch.held[:, 0]
            visual = self.model.visual_tokens(batch.views.flatten(0, 1)).unflatten(0, (-1, 2))
            rows.append((text, held, self.model.sentences(text, held), visual[:, 0], visual[:, 1]))
        sentences = tuple(batcher.sentence(drawn) for drawn in draws)
        return Features(tuple(draws), sentences, *(torch.cat(parts).cpu() for parts in zip(*rows, strict=True)))

    def mean(self, values: np.ndarray, groups: Sequence[Any] | np.ndarray) -> dict[str, float]:
        """`mean_interval` as configured."""
        return mean_interval(values, groups, n=self.config.bootstrap, seed=self.config.seed)

    @torch.no_grad()
    def sentences(self, texts: Sequence[str]) -> torch.Tensor:
        """(r, d) any sentences as one vector each."""
        ids, held = (torch.from_numpy(part)[:, None].to(self.device) for part in self.run.tokens.encode(texts))
        return self.model.sentences(self.model.encode_text(ids, held), held)[:, 0]

    @torch.no_grad()
    def attention(self, features: Features) -> dict[str, np.ndarray]:
        """Where each drawn sentence looks in its first view: (m, n) for each part of the model that looks."""
        text, held, tokens = (part.to(self.device) for part in (features.text, features.held, features.view_a))
        maps = {}
        if self.model.readout is not None:
            maps["readout"] = self.model.readout.attention(text, held, tokens).cpu().numpy()
        if self.model.align is not None and self.model.align.readout is not None:
            query = as_query(features.pooled_text.to(self.device))
            maps["align"] = self.model.align.readout.attention(*query, tokens).cpu().numpy()
        return maps

    @torch.no_grad()
    def bottlenecks(self, crops: Sequence[np.ndarray]) -> torch.Tensor:
        """(m, n, channels) the bottleneck of each normalised crop, place by place, on the CPU."""
        parts = []
        size = 2 * self.config.batch
        for start in range(0, len(crops), size):
            stacked = torch.from_numpy(np.stack(crops[start : start + size])[:, None]).to(self.device)
            parts.append(self.model.backbone.encode(stacked)[0].flatten(2).transpose(1, 2).cpu())
        return torch.cat(parts)

    def grid(self, volume_id: str) -> tuple[list[Ijk], torch.Tensor]:
        """Starts of a regular grid of crops of a volume, and their bottlenecks (m, n, channels)."""
        size = self.train.config.crop.size_vox
        starts = grid_starts(self.store.shape_ijk(volume_id), size, self.config.volume_crops)
        return starts, self.bottlenecks([self.train.crop(volume_id, start) for start in starts])


def grid_starts(shape: Ijk, size: int, n_crops: int) -> list[Ijk]:
    """Starts of at most `n_crops` crops, evenly spread; never more along an axis than tile it."""
    per_axis = max(1, round(n_crops ** (1 / 3)))
    lines = []
    for length in shape:
        n = min(per_axis, -(-length // size))
        lines.append([round(at) for at in np.linspace(0, length - size, n)] if n > 1 else [(length - size) // 2])
    return [as_ijk(start) for start in product(*lines)]
