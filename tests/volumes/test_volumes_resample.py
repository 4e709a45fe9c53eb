"""The resampler against its own promise (a ramp stays a ramp) and against SimpleITK."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import volumes_stripes
from volumes.geometry import SourceGrid
from volumes.resample import axis_weights, native, resample

LIMITS = (-1024, 3071)


def make_grid(shape=(10, 12, 14), spacing=(2.0, 1.5, 1.25), *, axes=(2, 1, 0), shear=(0.0, 0.0), nodes=None):
    """A grid whose array axes (slice, row, column) point along the patient axes `axes`."""
    directions = np.eye(3)[list(axes)]
    nodes = np.arange(shape[0]) * spacing[0] if nodes is None else np.asarray(nodes, float)
    offsets = nodes[:, None] * np.array(shear)[None, :]
    step = directions[0] * spacing[0] + spacing[0] * (shear[0] * directions[1] + shear[1] * directions[2])
    return SourceGrid(
        flips=(False,) * 3,
        axes=axes,
        directions_ras=directions,
        nodes_mm=nodes,
        offsets_mm=offsets,
        spacing_mm=spacing,
        shape=shape,
        origin_ras=np.array([-7.0, 11.0, -3.0]),
        step_ras=step,
    )


def ramp(grid, gradient=(3.0, -2.0, 5.0), offset=40.0):
    """HU linear in RAS position, on the source grid."""
    n, rows, columns = grid.shape
    k, r, c = np.meshgrid(np.arange(n), np.arange(rows), np.arange(columns), indexing="ij")
    ras = (
        grid.origin_ras
        + grid.nodes_mm[k][..., None] * grid.directions_ras[0]
        + (grid.offsets_mm[k, 0] + r * grid.spacing_mm[1])[..., None] * grid.directions_ras[1]
        + (grid.offsets_mm[k, 1] + c * grid.spacing_mm[2])[..., None] * grid.directions_ras[2]
    )
    return np.rint(ras @ np.array(gradient) + offset).astype(np.int16)


def ramp_error(resampled, grid, gradient=(3.0, -2.0, 5.0), offset=40.0, margin_mm=0.0):
    """Largest error over output voxels whose centre lies within the source's voxel centres."""
    ijk = np.stack(np.meshgrid(*[np.arange(n) for n in resampled.data.shape], indexing="ij"), axis=-1)
    ras = ijk @ resampled.affine_ras[:3, :3].T + resampled.affine_ras[:3, 3]
    wanted = ras @ np.array(gradient) + offset
    along = (ras - grid.origin_ras) @ grid.directions_ras.T
    inside = (along[..., 0] >= margin_mm) & (along[..., 0] <= grid.nodes_mm[-1] - margin_mm)
    for axis in (1, 2):
        offset_mm = np.interp(along[..., 0], grid.nodes_mm, grid.offsets_mm[:, axis - 1])
        extent = (grid.shape[axis] - 1) * grid.spacing_mm[axis]
        place = along[..., axis] - offset_mm
        inside &= (place >= margin_mm) & (place <= extent - margin_mm)
    assert inside.sum() > 20
    return float(np.abs(resampled.data - wanted)[inside].max())


@given(
    target=st.tuples(*[st.floats(0.6, 4.5)] * 3),
    axes=st.sampled_from([(2, 1, 0), (1, 2, 0), (0, 2, 1)]),
)
@settings(max_examples=30, deadline=None)
def test_ramp_stays_a_ramp_at_any_spacing_and_orientation(target, axes):
    grid = make_grid(axes=axes)
    out = resample(ramp(grid), grid, target, fill=-1024, limits=LIMITS)
    assert ramp_error(out, grid) <= 1.01  # source and result are both rounded to whole HU
    np.testing.assert_allclose(np.linalg.norm(out.affine_ras[:3, :3], axis=0), target, rtol=1e-12)


@given(shear=st.tuples(st.floats(-0.4, 0.4), st.floats(-0.2, 0.2)))
@settings(max_examples=15, deadline=None)
def test_tilted_grid_is_straightened_without_moving_anything(shear):
    grid = make_grid(shape=(12, 40, 40), shear=shear)
    out = resample(ramp(grid), grid, (1.3, 1.3, 1.3), fill=-1024, limits=LIMITS)
    directions = out.affine_ras[:3, :3] / 1.3
    np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-12)
    assert ramp_error(out, grid, margin_mm=1.0) <= 1.01


def test_uneven_slices_are_placed_where_they_lie():
    nodes = [0, 4, 8, 12, 13, 20, 27, 34]
    grid = make_grid(shape=(8, 12, 14), nodes=nodes)
    out = resample(ramp(grid), grid, (1.0, 1.0, 1.0), fill=-1024, limits=LIMITS)
    assert ramp_error(out, grid) <= 1.01


def test_source_is_covered_whole_and_centred():
    grid = make_grid(shape=(7, 9, 11), spacing=(2.5, 0.7, 0.9))
    out = resample(ramp(grid), grid, (1.5, 1.5, 1.5), fill=-1024, limits=LIMITS)
    lows = out.affine_ras[:3, 3] - 0.75
    highs = lows + 1.5 * np.array(out.data.shape)
    source_low = grid.origin_ras - np.array([0.9, 0.7, 2.5]) / 2
    source_high = source_low + np.array([11 * 0.9, 9 * 0.7, 7 * 2.5])
    assert np.all(lows <= source_low + 1e-9)
    assert np.all(highs >= source_high - 1e-9)
    np.testing.assert_allclose(source_low - lows, highs - source_high, atol=1e-9)


def test_same_spacing_changes_no_voxel():
    grid = make_grid()
    data = ramp(grid)
    out = resample(data, grid, (1.25, 1.5, 2.0), fill=-1024, limits=LIMITS)
    np.testing.assert_array_equal(out.data, native(data, grid).data)
    np.testing.assert_array_equal(out.affine_ras, grid.affine_ras())


def test_threads_give_the_same_voxels():
    grid = make_grid(shape=(30, 40, 50))
    data = np.random.default_rng(1).integers(-1000, 1000, grid.shape).astype(np.int16)
    one = resample(data, grid, (1.7, 2.1, 1.1), fill=-1024, limits=LIMITS)
    three = resample(data, grid, (1.7, 2.1, 1.1), fill=-1024, limits=LIMITS, threads=3)
    np.testing.assert_array_equal(one.data, three.data)


@pytest.mark.parametrize("target", [(1.0, 1.0, 1.0), (0.8, 1.5, 1.1)])
def test_enlarging_equals_simpleitk_linear(target):
    sitk = pytest.importorskip("SimpleITK")
    grid = make_grid(shape=(12, 18, 20))
    data = np.random.default_rng(3).integers(-1000, 1500, grid.shape).astype(np.int16)
    out = resample(data, grid, target, fill=-1024, limits=LIMITS)
    image = sitk.GetImageFromArray(data.astype(np.float32))
    image.SetSpacing(grid.spacing_mm[::-1])
    image.SetOrigin(grid.origin_ras.tolist())  # the frame is arbitrary: both sides use the same
    theirs = sitk.Resample(
        image,
        out.data.shape,
        sitk.Transform(),
        sitk.sitkLinear,
        out.affine_ras[:3, 3].tolist(),
        target,
        np.eye(3).ravel().tolist(),
        -1024.0,
        sitk.sitkFloat32,
    )
    difference = np.abs(out.data.transpose(2, 1, 0) - sitk.GetArrayFromImage(theirs))
    assert difference.max() <= 0.51


def test_landmark_stays_within_a_tenth_of_a_voxel():
    grid = make_grid(shape=(40, 60, 60), spacing=(1.0, 0.8, 0.8))
    n, rows, columns = grid.shape
    centre = np.array([20.3, 24.1, 22.7])  # mm along slice, row, column
    k, r, c = np.meshgrid(np.arange(n) * 1.0, np.arange(rows) * 0.8, np.arange(columns) * 0.8, indexing="ij")
    blob = 1000 * np.exp(-((k - centre[0]) ** 2 + (r - centre[1]) ** 2 + (c - centre[2]) ** 2) / (2 * 3.0**2))
    out = resample(np.rint(blob).astype(np.int16), grid, (1.5, 1.5, 1.5), fill=0, limits=(0, 3071))
    weights = out.data.astype(float)
    ijk = np.stack(np.meshgrid(*[np.arange(m) for m in out.data.shape], indexing="ij"), axis=-1)
    found_ijk = (ijk * weights[..., None]).sum(axis=(0, 1, 2)) / weights.sum()
    found = found_ijk @ out.affine_ras[:3, :3].T + out.affine_ras[:3, 3]
    true = grid.origin_ras + centre[::-1]
    assert np.linalg.norm((found - true) / 1.5) < 0.1


def test_shrinking_removes_stripes_that_plain_linear_aliases():
    sitk = pytest.importorskip("SimpleITK")
    grid = make_grid(shape=(8, 64, 64), spacing=(1.0, 1.0, 1.0))
    stripes = np.where(np.arange(64) % 2 == 0, 500, -500).astype(np.int16)
    data = np.broadcast_to(stripes, grid.shape).copy()
    out = resample(data, grid, (3.2, 3.2, 3.2), fill=-1024, limits=LIMITS)
    inner = out.data[2:-2, 2:-2, :]
    image = sitk.GetImageFromArray(data.astype(np.float32))
    theirs = sitk.Resample(image, (18, 18, 2), sitk.Transform(), sitk.sitkLinear, (3.3, 3.3, 2.0), (3.2, 3.2, 3.2))
    assert np.abs(inner).max() < 60
    assert np.abs(sitk.GetArrayFromImage(theirs)).max() > 250


@pytest.mark.parametrize("target_mm", volumes_stripes.TARGETS_MM)
def test_stripes_go_and_slow_waves_stay(target_mm):
    stripes, slow = volumes_stripes.STRIPES_MM, 10 * target_mm
    assert volumes_stripes.left_percent(volumes_stripes.ours, stripes, target_mm) < 15
    assert volumes_stripes.left_percent(volumes_stripes.simpleitk, stripes, target_mm) > 55
    assert 95 < volumes_stripes.left_percent(volumes_stripes.ours, slow, target_mm) < 101


def test_outside_is_air_and_counted():
    grid = make_grid(shape=(6, 20, 20), spacing=(5.0, 1.0, 1.0), shear=(0.3, 0.0))
    out = resample(np.zeros(grid.shape, np.int16), grid, (1.0, 1.0, 1.0), fill=-1024, limits=LIMITS)
    assert set(np.unique(out.data)) >= {-1024, 0}
    assert out.outside_fraction == pytest.approx(np.mean(out.data == -1024), abs=1e-6)


@given(st.integers(2, 40), st.floats(0.3, 6.0), st.integers(1, 50))
@settings(max_examples=60, deadline=None)
def test_weights_sum_to_one_and_are_centred(n, spacing, m):
    nodes = np.arange(n) * 1.0
    targets = np.linspace(0, n - 1, m)
    axis = axis_weights(nodes, targets, spacing)
    index = axis.first[:, None] + np.arange(axis.weights.shape[1])
    assert index[axis.weights != 0].max() < n
    np.testing.assert_allclose(axis.weights.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose((axis.weights * np.minimum(index, n - 1)).sum(axis=1), targets, atol=1e-4)
