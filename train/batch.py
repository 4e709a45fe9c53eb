"""A step's arrays: crops, views, what is hidden, the tokens of what is said.

Enters: a catalogue, the volumes, the tokenizer, (step, slots). Leaves: a `Batch`. Refuses: crops of padding only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from train.catalogue import Catalogue, Ijk, Sentence
from train.config import Config, IntensityConfig
from train.corruption import Corruption, corrupt, draw_corruption
from train.crops import Draw, draw
from train.reader import VolumeStore
from train.sampler import Sampler
from train.text import Tokens

SHRUNK_BYTES = 1 << 30
"""Of whole volumes, shrunk to the size of a crop, that a batcher remembers; making one reads a whole volume."""


@dataclass(frozen=True)
class Batch:
    """The arrays of b slots, two views, k sentences of s tokens, crops of c^3 voxels."""

    views: torch.Tensor  # (b, 2, 1, c, c, c) float32, augmented crops, normalised HU
    clean: torch.Tensor  # (b, 1, c, c, c) float32, the first view as it is
    corrupted: torch.Tensor  # (b, 1, c, c, c) float32, the first view with its hidden voxels replaced
    hidden: torch.Tensor  # (b, 1, c, c, c) bool
    ids: torch.Tensor  # (b, k, s) int64, tokens of the first view's sentences, the drawn one first
    held: torch.Tensor  # (b, k, s) bool, which tokens exist; absent sentences hold none
    text_key: torch.Tensor  # (b, k) int64, of these sentences, 0 for none; for false negatives, see `Sentence`
    normal_key: torch.Tensor  # (b, k) int64
    draws: tuple[Draw, ...]  # how it was made

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return self._each(lambda array: array.to(device, non_blocking=True))

    def pinned(self) -> Batch:
        """The same batch in memory that a GPU can fetch by itself, without waiting for it."""
        return self._each(torch.Tensor.pin_memory)

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
        names = [entry.name for entry in fields(self) if entry.name != "draws"]
        changed: dict[str, Any] = {name: change(getattr(self, name)) for name in names}
        return replace(self, **changed)


class Batcher:
    """Makes batches of a catalogue; stateless but for open volumes."""

    def __init__(self, catalogue: Catalogue, store: VolumeStore, tokens: Tokens, config: Config) -> None:
        self.catalogue, self.store, self.tokens, self.config = catalogue, store, tokens, config
        self.sampler = Sampler(catalogue, store)
        self.whole = lru_cache(max(1, SHRUNK_BYTES // (4 * config.crop.size_vox**3)))(self._shrunk)
        texts = sorted({one.text for one in catalogue.sentences})
        ids, held = tokens.encode(texts)
        self._encoded = {text: (ids[row], held[row]) for row, text in enumerate(texts)}

    def sentence(self, drawn: Draw) -> Sentence:
        """The sentence of a draw."""
        return self.catalogue.by_id[drawn.pair_id, drawn.sentence_id]

    def sentences(self, drawn: Draw, view: int = 0) -> tuple[Sentence, ...]:
        """The sentences a view covers, the drawn one first; never for a log."""
        return tuple(self.catalogue.by_id[drawn.pair_id, name] for name, _ in drawn.views[view].sentences)

    def make(self, step: int, slots: Sequence[int], n_slots: int) -> Batch:
        """The batch of `slots` of `step`."""
        seed = self.config.loop.seed
        drawn = self._drawn(seed=seed, step=step, slots=slots, n_slots=n_slots)
        rngs = (np.random.default_rng([seed, step, slot, 2]) for slot in slots)
        return self.assemble([(*one, rng) for one, rng in zip(drawn, rngs, strict=True)])

    def of_draws(self, draws: Sequence[Draw], *, seed: int) -> Batch:
        """The batch of given draws; what is hidden depends on `seed` and the place in `draws`."""
        rngs = [np.random.default_rng([seed, place, 3]) for place in range(len(draws))]
        return self.assemble([(drawn, self._crops(drawn), rng) for drawn, rng in zip(draws, rngs, strict=True)])

    def assemble(self, made: Sequence[tuple[Draw, list[np.ndarray], np.random.Generator]]) -> Batch:
        """Augment, corrupt, encode and stack."""
        rows = []
        for drawn, crops, rng in made:
            views = np.stack([augment(crop, self.config.intensity, rng) for crop in crops])[:, None]
            corruption = self.corruption(drawn, rng)
            corrupted = corrupt(crops[0], corruption, fill=self.config.corruption.fill)
            images = (views, crops[0][None], corrupted[None], corruption.hidden[None])
            rows.append((*images, *self.encode(self.sentences(drawn))))
        columns: list[Any] = [torch.from_numpy(np.stack(parts)) for parts in zip(*rows, strict=True)]
        columns.append(tuple(drawn for drawn, _, _ in made))
        return Batch(*columns)

    def corruption(self, drawn: Draw, rng: np.random.Generator) -> Corruption:
        """What is hidden of the first view."""
        view = drawn.views[0]
        target = drawn.target.seen_from(view.start_ijk) if self.config.crop.policy == "aligned" else None
        return draw_corruption(rng, self.config.corruption, size_vox=drawn.size_vox, target=target)

    def encode(self, sentences: Sequence[Sentence]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(k, s) ids and held, (k,) text and normal keys of one view's sentences; k is `max_sentences`, padded."""
        k = self.config.crop.max_sentences
        ids = np.full((k, self.tokens.max_tokens), self.tokens.pad_id, dtype=np.int64)
        held = np.zeros((k, self.tokens.max_tokens), dtype=bool)
        keys = np.zeros((2, k), dtype=np.int64)
        for row, one in enumerate(sentences[:k]):
            ids[row], held[row] = self._encoded[one.text]
            keys[:, row] = one.text_key, one.normal_key
        return ids, held, keys[0], keys[1]

    def crop(self, volume_id: str, start_ijk: Ijk) -> np.ndarray:
        """One crop, normalised."""
        size = self.config.crop.size_vox
        return normalise(self.store.crop(volume_id, start_ijk, size), self.config.intensity)

    def _drawn(self, **key: Any) -> Iterator[tuple[Draw, list[np.ndarray]]]:
        if self.config.crop.policy == "whole":
            slots = key.pop("slots")
            yield from ((one, self._crops(one)) for one in (draw(self.catalogue, slot=slot, **key) for slot in slots))
            return
        room = self.sampler.room()
        for drawn in self.sampler.samples(room, **key):
            yield drawn, [normalise(crop, self.config.intensity) for crop in room]

    def _crops(self, drawn: Draw) -> list[np.ndarray]:
        if self.config.crop.policy == "whole":
            return [self.whole(drawn.volume_id)] * 2
        return [self.crop(drawn.volume_id, view.start_ijk) for view in drawn.views]

    def _shrunk(self, volume_id: str) -> np.ndarray:
        """A volume shrunk to the size of a crop by averaging, normalised (preset clip)."""
        volume = normalise(np.asarray(self.store.volume(volume_id)), self.config.intensity)
        size = self.config.crop.size_vox
        return torch.nn.functional.adaptive_avg_pool3d(torch.from_numpy(volume)[None], size)[0].numpy()


def trimmed(batches: Sequence[Batch]) -> list[Batch]:
    """The same batches without the token columns that no sentence of theirs reaches; they cost time."""
    longest = max(1, *(int(batch.held.sum(dim=-1).max()) for batch in batches))
    return [replace(batch, ids=batch.ids[..., :longest], held=batch.held[..., :longest]) for batch in batches]


def normalise(crop_hu: np.ndarray, config: IntensityConfig) -> np.ndarray:
    """HU, clipped to `hu_range` and mapped to -1 .. 1, float32, in C order: turned while a voxel has two bytes."""
    low, high = config.hu_range
    clipped = np.clip(np.ascontiguousarray(crop_hu), low, high).astype(np.float32)
    return (clipped - low) * np.float32(2.0 / (high - low)) - np.float32(1.0)


def to_hu(crop: np.ndarray, config: IntensityConfig) -> np.ndarray:
    """The inverse of `normalise`, within the clipped range."""
    low, high = config.hu_range
    return (crop + 1.0) * (high - low) / 2.0 + low


def augment(crop: np.ndarray, config: IntensityConfig, rng: np.random.Generator) -> np.ndarray:
    """A view of a crop: gain, shift, noise. Never a flip: left and right are in the text."""
    gain, shift = 1.0 + rng.uniform(-config.gain, config.gain), rng.uniform(-config.shift, config.shift)
    noise = rng.standard_normal(crop.shape, dtype=np.float32) * np.float32(config.noise)
    return crop * np.float32(gain) + np.float32(shift) + noise


def prefetched(
    batcher: Batcher,
    keys: Sequence[tuple[int, Sequence[int], int]],
    *,
    ahead: int = 2,
    threads: int = 1,
    pin: bool = False,
) -> Iterator[Batch]:
    """The batches of `keys` = (step, slots, n_slots), in order, made in threads while the last one is trained on.

    Threads are enough: reading maps pages and NumPy releases the lock; and no worker process can leak.

    Parameters
    ----------
    ahead : int
        Batches that are made or wait beside the one handed over; at least the micro-batches of a step.
    pin : bool
        For a GPU, see `Batch.pinned`.
    """

    def made(*key: Any) -> Batch:
        batch = batcher.make(*key)
        return batch.pinned() if pin else batch

    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="batches") as pool:
        waiting: list[Future[Batch]] = []
        remaining = iter(keys)
        try:
            for key in remaining:
                waiting.append(pool.submit(made, *key))
                if len(waiting) > ahead:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()
