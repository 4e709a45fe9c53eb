"""What is hidden: the wanted share, the region whole, everything else untouched."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.catalogue import Box
from train.config import CorruptionConfig
from train.corruption import corrupt, draw_corruption

KINDS = ("mask", "shuffle", "inpaint", "outpaint")


@given(
    seed=st.integers(0, 999),
    kind=st.sampled_from(KINDS),
    ratio=st.floats(0.1, 1.0),
)
@settings(max_examples=60, deadline=None)
def test_the_share_is_hidden_and_the_rest_untouched(seed: int, kind: str, ratio: float) -> None:
    rng = np.random.default_rng(seed)
    crop = rng.normal(size=(16, 16, 16)).astype(np.float32)
    drawn = draw_corruption(
        rng, CorruptionConfig(kinds=(kind,), ratio=(ratio, ratio), block_vox=4), size_vox=16, target=None
    )
    assert drawn.hidden.mean() == pytest.approx(max(1, round(ratio * 64)) / 64)
    spoilt = corrupt(crop, drawn, fill=0.0)
    np.testing.assert_array_equal(spoilt[~drawn.hidden], crop[~drawn.hidden])
    assert (spoilt[drawn.hidden] != crop[drawn.hidden]).mean() > 0.9
    np.testing.assert_array_equal(spoilt, corrupt(crop, drawn, fill=0.0))


def test_the_region_is_hidden_first() -> None:
    target = Box((3, 5, -2), (9, 7, 20))
    config = CorruptionConfig(ratio=(0.5, 0.5), block_vox=4)
    for seed in range(10):
        drawn = draw_corruption(np.random.default_rng(seed), config, size_vox=16, target=target)
        assert drawn.hidden[3:9, 5:7, 0:16].all()
        assert drawn.hidden.mean() == 0.5


def test_shuffling_keeps_the_values_of_each_block() -> None:
    rng = np.random.default_rng(0)
    crop = rng.normal(size=(8, 8, 8)).astype(np.float32)
    config = CorruptionConfig(kinds=("shuffle",), ratio=(1.0, 1.0), block_vox=4)
    spoilt = corrupt(crop, draw_corruption(rng, config, size_vox=8, target=None), fill=0.0)
    for i in (0, 4):
        block = np.s_[i : i + 4, 0:4, 4:8]
        np.testing.assert_array_equal(np.sort(spoilt[block].ravel()), np.sort(crop[block].ravel()))


def test_outpainting_leaves_a_box() -> None:
    config = CorruptionConfig(kinds=("outpaint",), ratio=(0.6, 0.6), block_vox=4)
    for seed in range(5):
        drawn = draw_corruption(np.random.default_rng(seed), config, size_vox=32, target=None)
        seen = np.argwhere(~drawn.cells)
        spread = seen.max(axis=0) - seen.min(axis=0) + 1
        assert len(seen) / np.prod(spread) > 0.4
