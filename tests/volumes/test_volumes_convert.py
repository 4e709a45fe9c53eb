"""Whole series through the converter, judged by the linear-HU oracle at each voxel's own world position."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import phantom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phantom import Series, linear_hu, oracle_error_hu, setter

from t3dkit.verdict import Dropped
from volumes.convert import convert_stack, vendor
from volumes.reasons import DropReason, Flag, RepairCode
from volumes.records import Grid
from volumes.stacks import StackPolicy, build_stacks

NATIVE = Grid(spacing_mm=None)
OBLIQUE = tuple(np.round([0.96, 0.28, 0, -0.28 * 0.8, 0.96 * 0.8, 0.6], 9))
ORIENTATIONS = {
    "axial": phantom.AXIAL,
    "coronal": phantom.CORONAL,
    "sagittal": phantom.SAGITTAL,
    "feet first prone": phantom.FEET_FIRST_PRONE,
    "decubitus": (0.0, -1.0, 0.0, 1.0, 0.0, 0.0),
    "oblique": OBLIQUE,
}


@pytest.fixture(scope="module")
def convert(instances_of):
    def run(series, grid=NATIVE, *, policy=None):
        outcome = build_stacks(instances_of(series), policy)
        answers = [convert_stack(stack, grid) for stack in outcome.stacks]
        assert answers, outcome.dropped
        return answers

    return run


def is_ras(affine):
    """Whether each axis points closest to its own patient axis."""
    return np.array_equal(np.argmax(np.abs(affine[:3, :3]), axis=0), [0, 1, 2]) and np.all(np.diag(affine)[:3] > 0)


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS.keys())
def test_native_voxels_are_where_they_were(convert, orientation):
    (answer,) = convert(Series(orientation=orientation))
    volume = answer.value
    assert oracle_error_hu(volume.data, volume.affine_ras) <= 0.51
    assert volume.data.size == 12 * 20 * 24
    assert is_ras(volume.affine_ras)
    assert volume.data.flags.f_contiguous


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS.keys())
def test_resampled_voxels_are_right_away_from_edges(convert, orientation):
    (answer,) = convert(Series(orientation=orientation), Grid(spacing_mm=(1.0, 2.5, 1.7)))
    volume = answer.value
    assert oracle_error_hu(volume.data, volume.affine_ras, margin=2) <= 1.5
    np.testing.assert_allclose(np.linalg.norm(volume.affine_ras[:3, :3], axis=0), [1.0, 2.5, 1.7])
    assert is_ras(volume.affine_ras)


@given(
    spacing=st.floats(0.7, 6.0),
    pixel=st.tuples(st.floats(0.4, 2.0), st.floats(0.4, 2.0)),
    target=st.floats(0.8, 3.0),
    tilt=st.floats(-20, 20),
)
@settings(max_examples=12, deadline=None)
def test_any_spacing_and_tilt(convert, spacing, pixel, target, tilt):
    pixel = (round(pixel[0], 3), round(pixel[1], 3))
    series = Series(spacing=spacing, pixel_spacing=pixel, tilt_deg=tilt, rows=28, columns=28)
    native = convert(series)[0].value
    # tags carry 16 characters, so positions are exact to a micrometre
    assert oracle_error_hu(native.data, native.affine_ras) <= 0.55
    volume = convert(series, Grid(spacing_mm=(target,) * 3))[0].value
    core = away_from_edges(series, volume, target)
    assert core.any()
    # half a unit for the rounding of the source, half for that of the result
    assert np.abs(volume.data - expected(volume))[core].max() <= 1.05


def away_from_edges(series, volume, target):
    """Voxels between the outermost centres of the source, in every slice that they are mixed from.

    How wide the edge is depends on the source: half a voxel beyond its last centre the last value is repeated, which
    for slices of 6 mm is 3 mm, whatever the target. Where the gantry tilts, each slice ends at another row.
    """
    row, column, direction = series.directions
    offset = points(volume) - series.position(0)
    along, down, right = offset @ direction, offset @ column, offset @ row
    lean = np.tan(np.radians(series.tilt_deg))
    margin = abs(lean) * max(series.spacing, target)  # how far the slices within the kernel's reach are shifted
    down = down - lean * along
    return (
        within(along, 0, (series.n - 1) * series.spacing)
        & within(down, margin, (series.rows - 1) * series.pixel_spacing[0] - margin)
        & within(right, 0, (series.columns - 1) * series.pixel_spacing[1])
    )


def within(values, low, high):
    return (values >= low - 1e-6) & (values <= high + 1e-6)


def points(volume):
    """(i, j, k, 3) mm, LPS, of the voxel centres."""
    ijk = np.stack(np.meshgrid(*[np.arange(n) for n in volume.data.shape], indexing="ij"), axis=-1)
    return (ijk @ volume.affine_ras[:3, :3].T + volume.affine_ras[:3, 3]) * [-1, -1, 1]


def expected(volume):
    return linear_hu(points(volume))


@pytest.mark.parametrize("tilt", [18.5, -18.5])
def test_tilt_is_kept_in_the_affine_or_straightened(convert, tilt):
    series = Series(tilt_deg=tilt, rows=40, columns=40, spacing=2.4)
    (native,) = convert(series)
    affine = native.value.affine_ras
    angle = np.degrees(np.arccos(abs(affine[2, 2]) / np.linalg.norm(affine[:3, 2])))
    assert angle == pytest.approx(18.5, abs=0.01)
    assert Flag.TILTED in {repair.code for repair in native.repairs}
    (straight,) = convert(series, Grid(spacing_mm=(1.5, 1.5, 1.5)))
    directions = straight.value.affine_ras[:3, :3] / 1.5
    np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-9)
    assert RepairCode.TILT_RESAMPLED in {repair.code for repair in straight.repairs}
    assert straight.value.padding_fraction > 0.02


def test_blocks_split_and_resampled_both_meet_the_oracle(convert):
    series = Series(n=12, positions_mm=(0, 4, 8, 12, 16, 20, 21, 28, 35, 42, 49, 56))
    for answer in convert(series):
        assert oracle_error_hu(answer.value.data, answer.value.affine_ras) <= 0.51
    (one,) = convert(series, policy=StackPolicy(irregular="resample"))
    assert oracle_error_hu(one.value.data, one.value.affine_ras, margin=4) <= 1.5
    assert np.linalg.norm(one.value.affine_ras[:3, 2]) == pytest.approx(1.0)


def test_same_bytes_for_any_file_order_and_threads(instances_of):
    items = instances_of(Series())
    answers = []
    for order in (items, items[::-1]):
        (stack,) = build_stacks(order).stacks
        for threads in (1, 2):
            answers.append(convert_stack(stack, Grid(spacing_mm=(1.1,) * 3), threads=threads).value)
    for other in answers[1:]:
        assert answers[0].data.tobytes(order="F") == other.data.tobytes(order="F")
        np.testing.assert_array_equal(answers[0].affine_ras, other.affine_ras)


def test_slice_map_leads_from_a_report_to_a_place(convert):
    (answer,) = convert(Series(first_instance=40))
    places = answer.value.slice_map
    assert places.series_number == 3
    assert dict(zip(places.instance_number, places.position_mm, strict=True))[45] == pytest.approx(0.0)
    assert places.normal_lps == (0.0, 0.0, 1.0)


def test_volume_names_nobody(convert):
    (answer,) = convert(
        Series(edit=setter(SeriesDescription="Doe^Jane", ConvolutionKernel="B30f", Manufacturer="GE MEDICAL SYSTEMS"))
    )
    volume = answer.value
    text = repr(replace(volume, data=None))
    for secret in ("Doe", "PHANTOM-1", Series().series_uid, Series().study_uid):
        assert secret not in text
    assert (volume.kernel, volume.vendor) == ("B30f", "GE")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("SIEMENS", "Siemens"), ("GE MEDICAL SYSTEMS", "GE"), ("Genoray", "other"), ("", None), (None, None)],
)
def test_vendor_is_one_of_our_names(name, wanted):
    assert vendor(name) == wanted


def test_truncated_slice_drops_the_stack(instances_of, tmp_path):
    from volumes.index import read_instance
    from volumes.sources import iter_files

    paths = phantom.write_series(tmp_path, Series())
    paths[5].write_bytes(paths[5].read_bytes()[:-100])
    (stack,) = build_stacks([read_instance(ref) for ref in iter_files(tmp_path)]).stacks
    answer = convert_stack(stack, NATIVE)
    assert isinstance(answer, Dropped)
    assert answer.reason == DropReason.TRUNCATED
    assert "PHANTOM" not in answer.detail
