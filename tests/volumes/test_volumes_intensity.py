"""Stored values to HU: every decision with evidence, every refusal with a reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import phantom
import pytest
from phantom import Series, setter

from t3dkit.verdict import Dropped
from volumes.convert import convert_stack
from volumes.fingerprint import fingerprint
from volumes.reasons import DropReason, Flag, RepairCode
from volumes.records import Grid
from volumes.stacks import build_stacks

NATIVE = Grid(spacing_mm=None)


def body(points):
    """Something like a body: noisy air, a soft-tissue ellipse with fat around, some lung and bone."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    rng = np.random.default_rng(abs(int(z.flat[0] * 1000)))
    radius = np.hypot(x / 50, y / 40)
    hu = np.where(radius < 1, 45.0, -1000.0)
    hu = np.where((radius < 1) & (radius > 0.85), -100.0, hu)
    hu = np.where(np.hypot((x - 20) / 14, y / 18) < 1, -820.0, hu)
    hu = np.where(np.hypot(x + 25, y - 10) < 6, 1150.0, hu)
    return np.clip(hu + rng.normal(0, 12, hu.shape), -1024, 3071)


BODY = Series(n=4, rows=96, columns=96, pixel_spacing=(1.5, 1.5), origin=(-72.0, -72.0, -10.0), hu=body)


@pytest.fixture(scope="module")
def convert(instances_of):
    def run(series):
        (stack,) = build_stacks(instances_of(series)).stacks
        return convert_stack(stack, NATIVE)

    return run


@pytest.fixture(scope="module")
def reference(convert):
    return convert(BODY).value.data


def codes(answer):
    assert not isinstance(answer, Dropped), answer
    return {repair.code for repair in answer.repairs}


def restored(edit_values, **elements):
    """A body whose stored values and header are changed: what a faulty exporter does."""

    def edit(ds, _k):
        stored = np.frombuffer(ds.PixelData, np.int16).astype(np.int64)
        ds.PixelData = edit_values(stored).astype(np.uint16).tobytes()
        for keyword, value in elements.items():
            if value is None:
                delattr(ds, keyword)
            else:
                setattr(ds, keyword, value)

    return replace(BODY, edit=edit)


def test_body_is_read_without_remarks(convert, reference):
    answer = convert(BODY)
    assert codes(answer) <= {RepairCode.CLIPPED}
    marks = fingerprint(np.bincount(reference.ravel().astype(int) + 32768, minlength=65536))
    assert abs(marks.air_hu + 1000) < 10
    assert abs(marks.soft_hu - 45) < 10
    low, *_, high = answer.value.hu_percentiles
    assert low < -1000 < high


# ------------------------------------------------------------------------------------------ E01: missing rescale


@pytest.mark.parametrize("offset", [0, 1024])
def test_missing_rescale_is_found_from_air_and_tissue(convert, reference, offset):
    series = restored(lambda stored: stored - 1024 + offset, RescaleSlope=None, RescaleIntercept=None)
    answer = convert(series)
    assert RepairCode.RESCALE_ASSUMED in codes(answer)
    np.testing.assert_array_equal(answer.value.data, reference)


def test_missing_rescale_without_evidence_is_unknown(convert):
    series = restored(lambda stored: stored // 3 + 500, RescaleSlope=None, RescaleIntercept=None)
    assert convert(series).reason == DropReason.HU_UNKNOWN
    derived = restored(
        lambda stored: stored, RescaleSlope=None, RescaleIntercept=None, ImageType=["DERIVED", "PRIMARY"]
    )
    assert convert(derived).reason == DropReason.HU_UNKNOWN


# --------------------------------------------------------------------------------- E02, E03, E11: wrong rescales


def test_rescale_per_slice(convert, reference):
    def edit(ds, k):
        if k % 2:
            stored = np.frombuffer(ds.PixelData, np.int16).astype(np.int64)
            ds.PixelData = (2 * (stored - 1024) + 24).astype(np.int16).tobytes()
            ds.RescaleSlope, ds.RescaleIntercept = 0.5, -12

    answer = convert(replace(BODY, edit=edit))
    assert RepairCode.RESCALE_PER_SLICE in codes(answer)
    assert np.abs(answer.value.data.astype(int) - reference).max() <= 1


@pytest.mark.parametrize("slope", [0, -1])
def test_slope_that_is_none(convert, slope):
    assert convert(replace(BODY, edit=setter(RescaleSlope=slope))).reason == DropReason.HU_SLOPE


@pytest.mark.parametrize("intercept", [0, -2048])
def test_offset_left_out_or_applied_twice(convert, intercept):
    assert convert(replace(BODY, edit=setter(RescaleIntercept=intercept))).reason == DropReason.HU_IMPLAUSIBLE


def test_calibration_off_by_some_tens_is_a_flag(convert):
    assert Flag.HU_SHIFT in codes(convert(replace(BODY, edit=setter(RescaleIntercept=-950))))


# -------------------------------------------------------------------------------------------- E04, E05: the sign


def test_signed_values_declared_unsigned(convert, reference):
    series = restored(lambda stored: stored - 1024, RescaleIntercept=0, PixelRepresentation=0)
    answer = convert(series)
    assert RepairCode.PIXREP in codes(answer)
    np.testing.assert_array_equal(answer.value.data, reference)


def test_unsigned_12_bit_values_declared_signed(convert, reference):
    series = restored(lambda stored: stored, BitsStored=12, HighBit=11, PixelRepresentation=1)
    answer = convert(series)
    assert RepairCode.PIXREP in codes(answer)
    np.testing.assert_array_equal(answer.value.data, reference)


def test_values_wrapped_at_12_bits(convert, reference):
    series = restored(
        lambda stored: (stored - 1024) % 4096, BitsStored=12, HighBit=11, PixelRepresentation=0, RescaleIntercept=0
    )
    answer = convert(series)
    assert RepairCode.WRAP_12BIT in codes(answer)
    np.testing.assert_array_equal(answer.value.data, reference)


def test_sign_fault_that_no_reading_explains(convert):
    series = restored(lambda stored: stored % 9 + 63000, RescaleIntercept=0, PixelRepresentation=0)
    assert convert(series).reason == DropReason.HU_SIGN


# --------------------------------------------------------------------------------------------- E06, E07: padding


def circle_padded(value, **elements):
    def edit(ds, _k):
        stored = np.frombuffer(ds.PixelData, np.int16).reshape(96, 96).copy()
        y, x = np.mgrid[:96, :96] - 47.5
        stored[np.hypot(y, x) > 48.5] = value
        ds.PixelData = stored.tobytes()
        for keyword, one in elements.items():
            setattr(ds, keyword, one)

    return replace(BODY, edit=edit)


@pytest.mark.parametrize(("value", "declared"), [(-2000, -2000), (-2000, None), (-1000, None)])
def test_padding_becomes_air(convert, value, declared):
    elements = {} if declared is None else {"PixelPaddingValue": declared}
    answer = convert(circle_padded(value, **elements))
    assert codes(answer) >= {RepairCode.PADDING_TO_AIR}
    assert (RepairCode.PADDING_UNDECLARED in codes(answer)) == (declared is None)
    assert answer.value.data[0, 0, 0] == -1024
    assert answer.value.padding_fraction == pytest.approx(0.2, abs=0.03)
    assert answer.value.hu_percentiles[0] > -1050


def test_constant_around_the_circle_that_is_not_below_air(convert):
    answer = convert(circle_padded(1024))  # 0 HU
    assert RepairCode.PADDING_UNDECLARED in codes(answer)
    assert answer.value.data[0, 0, 0] == -1024
    assert (answer.value.data == 0).sum() > 0  # the body's own zeros stay


def test_padding_value_that_is_also_tissue_is_not_believed(convert, reference):
    answer = convert(replace(BODY, edit=setter(PixelPaddingValue=1024 + 45)))
    np.testing.assert_array_equal(answer.value.data, reference)


def test_padding_does_not_bleed_when_resampled(instances_of):
    (stack,) = build_stacks(instances_of(circle_padded(-2000, PixelPaddingValue=-2000))).stacks
    volume = convert_stack(stack, Grid(spacing_mm=(3.0, 3.0, 3.0), hu_range=(-3000, 3071))).value
    assert volume.data.min() >= -1060


# ----------------------------------------------------------------------------------------------- E12, E17, E18


def test_windowed_and_blank(convert):
    def window(stored):
        return np.round((np.clip(stored - 1024, -160, 240) + 160) / 400 * 255)

    eight_bits = restored(window, RescaleIntercept=-128, BitsStored=8, HighBit=7, PixelRepresentation=0)
    assert convert(eight_bits).reason == DropReason.WINDOWED
    as_hu = restored(lambda stored: np.clip(stored, 1024 - 160, 1024 + 240))
    assert convert(as_hu).reason == DropReason.WINDOWED
    assert convert(restored(lambda stored: stored * 0 + 5)).reason == DropReason.BLANK


def test_metal_is_clipped_and_said(convert):
    def edit(ds, _k):
        stored = np.frombuffer(ds.PixelData, np.int16).copy()
        stored[4000:4010] = 20000
        ds.PixelData = stored.tobytes()

    answer = convert(replace(BODY, edit=edit))
    assert answer.value.data.max() == 3071
    assert "40 above 3071" in next(item.detail for item in answer.repairs if item.code == RepairCode.CLIPPED)


def test_monochrome1_is_not_inverted(convert, reference):
    answer = convert(replace(BODY, edit=setter(PhotometricInterpretation="MONOCHROME1")))
    np.testing.assert_array_equal(answer.value.data, reference)


def test_rescale_type_is_not_needed(convert, reference):
    answer = convert(replace(BODY, edit=setter(RescaleType=None)))
    np.testing.assert_array_equal(answer.value.data, reference)


def test_mr_is_not_judged_as_hu(convert):
    series = replace(BODY, modality="MR", hu=lambda points: np.abs(phantom.linear_hu(points)), intercept=0.0)
    answer = convert(series)
    assert not isinstance(answer, Dropped)
    assert answer.value.modality == "MR"
    assert answer.value.data.min() >= 0


def test_noise_free_phantom_of_a_few_levels_is_not_windowed(convert):
    levels = np.array(
        [-1000, -870, -800, -120, -95, -60, -10, 0, 8, 25, 31, 45, 52, 60, 71, 110, 140, 190, 260, 400, 800, 1150]
    )

    def plain(points):
        return levels[np.argmin(np.abs(body(points)[..., None] - levels), axis=-1)].astype(float)

    answer = convert(replace(BODY, hu=plain))
    assert not isinstance(answer, Dropped), answer
