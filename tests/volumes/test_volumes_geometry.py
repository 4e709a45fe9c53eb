"""The arithmetic of slices: runs, gaps, blocks, closest axes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volumes.geometry import closest_axes, fit_spacing, is_regular, missing_slices, regular_blocks, unit_orientation

counts = st.integers(3, 12)
steps = st.floats(0.4, 8.0).map(lambda value: round(value, 2))


@given(n=st.integers(3, 60), step=steps, jitter=st.integers(0, 1000), tilt=st.floats(-0.4, 0.4))
@settings(max_examples=50, deadline=None)
def test_positions_rounded_to_a_tenth_are_regular(n, step, jitter, tilt):
    along = np.arange(n) * step
    shift = np.random.default_rng(jitter).uniform(-0.049, 0.049, n)
    positions = np.stack([np.zeros(n), tilt * along, along + shift], axis=1)
    fit = fit_spacing(positions, np.array([0.0, 0.0, 1.0]))
    if step > 0.5:
        assert is_regular(fit)
    assert abs(fit.spacing_mm - step) * (n - 1) < 0.2
    assert fit.tilt_deg == pytest.approx(abs(np.degrees(np.arctan(tilt))), abs=0.1 + 6 / n / step)


@given(n=st.integers(6, 40), step=steps, data=st.data())
@settings(max_examples=50, deadline=None)
def test_interior_gaps_are_counted(n, step, data):
    lost = data.draw(st.sets(st.integers(1, n - 2), min_size=1, max_size=max(1, n // 4)))
    keep = [k for k in range(n) if k not in lost]
    if np.sum(np.diff(keep) == 1) < len(keep) / 2 + 1:
        return  # too little is left to show the usual step
    along = np.array(keep) * step
    assert not is_regular(fit_spacing(np.c_[np.zeros((len(keep), 2)), along], np.array([0.0, 0.0, 1.0])))
    missing = missing_slices(np.diff(along))
    assert missing is not None
    assert sum(missing) == len(lost)


@given(
    blocks=st.lists(st.tuples(counts, st.sampled_from([1.0, 2.5, 5.0, 7.0])), min_size=2, max_size=4),
    passage=st.floats(0.3, 0.85),  # nearer to 1 mm it is a step of the block itself
)
@settings(max_examples=60, deadline=None)
def test_blocks_cover_every_slice_once(blocks, passage):
    if any(a[1] == b[1] for a, b in itertools.pairwise(blocks)):
        return
    along, end = [], 0.0
    for n, step in blocks:
        along += [end + k * step for k in range(n)]
        end = along[-1] + passage
    found = regular_blocks(np.diff(along), min_slices=3)
    assert found is not None
    assert [stop - start for start, stop in found] == [n for n, _ in blocks]
    assert [index for start, stop in found for index in range(start, stop)] == list(range(len(along)))


def test_equal_blocks_around_a_gap_are_no_blocks():
    assert regular_blocks(np.array([2.0, 2, 2, 3.1, 2, 2, 2]), min_slices=3) is None


@given(st.permutations([0, 1, 2]), st.tuples(*[st.sampled_from([-1, 1])] * 3), st.floats(-0.5, 0.5))
@settings(max_examples=30, deadline=None)
def test_closest_axes_survive_a_rotation_of_half_a_radian(order, signs, angle):
    cosine, sine = np.cos(angle), np.sin(angle)
    rotation = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    directions = np.diag(signs) @ np.eye(3)[list(order)] @ rotation
    assert closest_axes(directions) == tuple(order)


def test_orientation_is_made_exactly_perpendicular():
    found = unit_orientation((1.0, 0.0, 0.0, 2e-4, 0.9999, 0.0))
    assert found[:3] @ found[3:] == pytest.approx(0, abs=1e-15)
    np.testing.assert_allclose(np.linalg.norm(found.reshape(2, 3), axis=1), 1)
