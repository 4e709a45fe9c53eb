"""What restoration has to restore: hidden blocks of a crop.

Enters: a seeded generator, the part of the crop the sentence is about, a crop. Leaves: a `Corruption` (drawn) and
the corrupted crop with the mask of hidden voxels (applied). Refuses: nothing.

The draw is apart from its application, so that a report or an audit can show exactly what was hidden.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from train.catalogue import Box
from train.config import CorruptionConfig, CorruptionKind


@dataclass(frozen=True)
class Corruption:
    """One drawn corruption.

    mask: hidden voxels become one value; shuffle: they are permuted inside each block; inpaint: they become noise;
    outpaint: all but one box becomes noise.
    """

    kind: CorruptionKind
    cells: np.ndarray  # (n, n, n) bool, the hidden blocks
    block_vox: int  # edge of a block
    seed: int  # of the noise or the permutation

    @property
    def hidden(self) -> np.ndarray:
        """(edge, edge, edge) bool, the hidden voxels."""
        return np.kron(self.cells, np.ones((self.block_vox,) * 3, dtype=bool))


def draw_corruption(
    rng: np.random.Generator, config: CorruptionConfig, *, size_vox: int, target: Box | None
) -> Corruption:
    """Choose the blocks of a crop to hide.

    `target`, the sentence's part in crop coordinates, is hidden whole when `cover_region`, so that what the text
    describes can be known from the text alone.
    """
    kind = config.kinds[int(rng.integers(len(config.kinds)))]
    n = size_vox // config.block_vox
    ratio = rng.uniform(*config.ratio)
    wanted = max(1, round(ratio * n**3))
    rank = rng.random((n, n, n))
    if kind == "outpaint":
        rank = _distance_from(rng, n) + 1e-6 * rank
    elif config.cover_region and target is not None:
        rank[_cells_of(target, n, config.block_vox)] += 1.0
    cells = np.zeros(n**3, dtype=bool)
    cells[np.argsort(-rank, axis=None, kind="stable")[:wanted]] = True
    seed = int(rng.integers(2**31))
    return Corruption(kind=kind, cells=cells.reshape(n, n, n), block_vox=config.block_vox, seed=seed)


def corrupt(crop: np.ndarray, corruption: Corruption, *, fill: float) -> np.ndarray:
    """`crop` (edge, edge, edge) float32 with its hidden voxels replaced; a copy."""
    hidden = corruption.hidden
    rng = np.random.default_rng(corruption.seed)
    if corruption.kind == "mask":
        return np.where(hidden, np.float32(fill), crop)
    if corruption.kind == "shuffle":
        return np.where(hidden, _shuffled(crop, corruption.block_vox, rng), crop)
    noise = rng.uniform(-1.0, 1.0, size=crop.shape).astype(np.float32)
    return np.where(hidden, noise, crop)


def _cells_of(target: Box, n: int, block: int) -> tuple[slice, slice, slice]:
    spans = [
        slice(min(max(start // block, 0), n), min(max(-(-stop // block), 0), n))
        for start, stop in zip(target.start_ijk, target.stop_ijk, strict=True)
    ]
    return spans[0], spans[1], spans[2]


def _distance_from(rng: np.random.Generator, n: int) -> np.ndarray:
    """Chebyshev distance of each block from a random one: what is left visible is a box."""
    centre = rng.integers(0, n, size=3)
    grid = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"))
    return np.abs(grid - centre[:, None, None, None]).max(axis=0).astype(np.float64)


def _shuffled(crop: np.ndarray, block: int, rng: np.random.Generator) -> np.ndarray:
    n = crop.shape[0] // block
    blocks = crop.reshape(n, block, n, block, n, block).transpose(0, 2, 4, 1, 3, 5).reshape(n**3, block**3)
    mixed = rng.permuted(blocks, axis=1)
    return mixed.reshape(n, n, n, block, block, block).transpose(0, 3, 1, 4, 2, 5).reshape(crop.shape)
