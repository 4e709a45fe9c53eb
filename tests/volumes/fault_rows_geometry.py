"""Section D: geometry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import phantom
from fault_rows import Wanted, case, control, linear
from phantom import ROOT, Series, enhanced, save, setter, write_series


def written(folder, series: Series, *codes: str, **more) -> Wanted:
    """Write a series with its edit; the truth is the series without it."""
    write_series(folder, series)
    return Wanted(replace(series, edit=None), frozenset(codes), **more)


def at_random(rng, series: Series, *, inner: bool = True) -> int:
    """A slice number; an inner one has two neighbours on each side."""
    return int(rng.integers(2, series.n - 2)) if inner else int(rng.integers(series.n))


@case("D01", "Q", GEOM_MISSING_SLICE=None)
def one_slice_inside_is_missing(folder, rng):
    series = linear(rng)
    write_series(folder, series, skip=(at_random(rng, series),))
    return []


@case("D01", "Q", GEOM_MISSING_SLICE=None)
def several_slices_inside_are_missing(folder, rng):
    series = linear(rng, n=16)
    first = int(rng.integers(3, 8))
    write_series(folder, series, skip=(first, first + 1, 12))
    return []


@case("D02", "P")
def last_slices_are_missing_and_announced(folder, rng):
    series = linear(rng)
    write_series(folder, replace(series, edit=setter(ImagesInAcquisition=series.n)), skip=(series.n - 1,))
    yield Wanted(series, frozenset({"POSSIBLY_CROPPED"}), only=slice(0, series.n - 1))


@case("D02", "P")
def last_slices_are_missing_beside_a_sibling(folder, rng):
    edit = setter(FrameOfReferenceUID=f"{ROOT}.5", ConvolutionKernel="B30f")
    series = linear(rng, edit=edit)
    sharp = setter(FrameOfReferenceUID=f"{ROOT}.5", ConvolutionKernel="B70f")
    other = replace(series, series_uid=series.series_uid + ".7", series_number=4, edit=sharp)
    n_lost = int(rng.integers(1, 3))
    write_series(folder / "a", series)
    write_series(folder / "b", other, skip=tuple(range(series.n - n_lost, series.n)))
    yield Wanted(series)
    yield Wanted(other, frozenset({"POSSIBLY_CROPPED"}), only=slice(0, series.n - n_lost))


@case("D03", "R", DUPLICATE_IMAGE=None)
def same_place_and_pixels_twice(folder, rng):
    series = linear(rng)
    write_series(folder, series)
    for k in (0, at_random(rng, series)):
        ds = series.dataset(k)
        ds.SOPInstanceUID += ".9"
        ds.InstanceNumber = 900 + k
        save(ds, folder / f"again{k}")
    yield Wanted(series, frozenset({"DEDUP_IDENTICAL"}))


def _shifted(points):
    return phantom.linear_hu(points) + 37


def _two_phases(folder, rng, first: dict, second: dict):
    series = linear(rng)
    edits = (setter(**first), setter(**second))
    other = replace(series, first_instance=series.first_instance + 100, hu=_shifted)
    write_series(folder / "a", replace(series, edit=edits[0]))
    write_series(folder / "b", replace(other, edit=edits[1]))
    return series, other


@case("D04", "S")
def two_phases_by_acquisition_number(folder, rng):
    for one in _two_phases(folder, rng, {"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}):
        yield Wanted(one, frozenset({"SPLIT"}))


@case("D04", "S")
def two_phases_by_acquisition_time(folder, rng):
    for one in _two_phases(folder, rng, {"AcquisitionTime": "101010.5"}, {"AcquisitionTime": "101044.0"}):
        yield Wanted(one, frozenset({"SPLIT"}))


@case("D04", "S")
def two_kernels(folder, rng):
    for one in _two_phases(folder, rng, {"ConvolutionKernel": "B30f"}, {"ConvolutionKernel": "B70f"}):
        yield Wanted(one, frozenset({"SPLIT"}))


@case("D04", "S")
def two_temporal_positions(folder, rng):
    for one in _two_phases(folder, rng, {"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2}):
        yield Wanted(one, frozenset({"SPLIT"}))


@case("D04", "Q", PHASE_AMBIGUOUS=None)
def two_phases_that_nothing_tells_apart(folder, rng):
    _two_phases(folder, rng, {}, {})
    return []


@case("D05", "S")
def two_blocks_of_regular_steps(folder, rng):
    coarse, fine = round(float(rng.uniform(4, 7)), 1), round(float(rng.uniform(1, 2)), 2)
    places = [k * coarse for k in range(7)] + [6 * coarse + (k + 1) * fine for k in range(9)]
    series = linear(rng, n=16, positions_mm=tuple(round(place, 4) for place in places))
    write_series(folder, series)
    yield Wanted(series, frozenset({"SPLIT"}), only=slice(0, 6))
    yield Wanted(series, frozenset({"SPLIT"}), only=slice(6, 16))


@case("D05", "Q", GEOM_IRREGULAR=None)
def steps_without_any_pattern(folder, rng):
    places = np.round(np.cumsum(rng.uniform(1, 5, 12)), 2)
    places[1::2] += 0.37
    write_series(folder, linear(rng, n=12, positions_mm=tuple(places.tolist())))
    return []


@case("D06", "P")
def positions_jitter(folder, rng):
    series = linear(rng)
    shake = rng.uniform(-1, 1, series.n) * 0.005 * series.spacing

    def jitter(ds, k):
        ds.ImagePositionPatient = [f"{v:.5f}" for v in series.position(k) + shake[k] * series.directions[2]]

    yield written(folder, replace(series, edit=jitter))


@case("D06", "P")
def positions_are_rounded_to_a_tenth(folder, rng):
    series = linear(rng, spacing=round(float(rng.uniform(1.1, 3.9)), 3), origin=(-14.0, -15.0, -10.0))

    def rounded(ds, k):
        ds.ImagePositionPatient = [f"{v:.1f}" for v in series.position(k)]

    yield written(folder, replace(series, edit=rounded), tolerance_hu=1.1)


@case("D07", "R")
def thickness_is_not_the_spacing(folder, rng):
    series = linear(rng)
    thickness = round(series.spacing * float(rng.choice([0.5, 1.5, 2.0])), 2)
    yield written(folder, replace(series, edit=setter(SliceThickness=thickness)), "SPACING_FROM_POSITIONS")


@case("D08", "R")
def spacing_between_slices_lies(folder, rng):
    series = linear(rng)
    wrong = (-series.spacing, 0.0, series.spacing * 2, 999.0)[int(rng.integers(4))]
    yield written(folder, replace(series, edit=setter(SpacingBetweenSlices=wrong)))


@case("D09", "R")
def instance_numbers_in_another_order(folder, rng):
    series = linear(rng)
    order = rng.permutation(series.n)

    def shuffle(ds, k):
        ds.InstanceNumber = int(order[k]) + 1

    yield written(folder, replace(series, edit=shuffle), "SORTED_BY_POSITION")


@case("D10", "R")
def instance_numbers_missing(folder, rng):
    yield written(folder, linear(rng, edit=setter(InstanceNumber=None)))


@case("D10", "R")
def instance_numbers_all_zero(folder, rng):
    yield written(folder, linear(rng, edit=setter(InstanceNumber=0)), "SORTED_BY_POSITION")


@case("D10", "R")
def instance_numbers_twice(folder, rng):
    def halve(ds, k):
        ds.InstanceNumber = k // 2

    yield written(folder, linear(rng, edit=halve), "SORTED_BY_POSITION")


def _tilted(rng, **changes):
    tilt = round(float(rng.uniform(5, 25)) * float(rng.choice([-1, 1])), 2)
    return linear(rng, tilt_deg=tilt, orientation=phantom.AXIAL, rows=24, columns=24, **changes)


@case("D11", "R")
def tilted_gantry_native(folder, rng):
    series = _tilted(rng)
    yield written(folder, replace(series, edit=setter(GantryDetectorTilt=series.tilt_deg)), "TILTED")


@case("D11", "R", spacing=(1.3, 1.2, 1.4))
def tilted_gantry_straightened(folder, rng):
    yield replace(written(folder, _tilted(rng), "TILT_RESAMPLED"), tolerance_hu=2.0)


@case("D12", "R")
def tilt_tag_is_wrong(folder, rng):
    series = linear(rng)
    yield written(folder, replace(series, edit=setter(GantryDetectorTilt=round(float(rng.uniform(5, 30)), 1))))


@case("D12", "R")
def tilt_tag_is_no_number(folder, rng):
    def nan(ds, k):
        ds.GantryDetectorTilt = "0"
        ds["GantryDetectorTilt"]._value = _Raw("NaN")

    yield written(folder, linear(rng, edit=nan))


class _Raw(str):
    """A decimal string that pydicom writes as it is."""

    original_string: str

    def __new__(cls, text):
        made = super().__new__(cls, text)
        made.original_string = text
        return made


@case("D12", "R")
def tilt_without_its_tag(folder, rng):
    yield written(folder, _tilted(rng), "TILTED")


@case("D13", "Q", GEOM_NO_ORIENTATION=None)
def orientation_is_missing(folder, rng):
    write_series(folder, linear(rng, edit=setter(ImageOrientationPatient=None)))
    return []


@case("D14", "Q", GEOM_NO_POSITION=None)
def position_is_missing(folder, rng):
    write_series(folder, linear(rng, edit=setter(ImagePositionPatient=None)))
    return []


@case("D14", "Q", GEOM_NO_POSITION=None)
def position_is_the_same_everywhere(folder, rng):
    write_series(folder, linear(rng, edit=setter(ImagePositionPatient=[0, 0, 0])))
    return []


@case("D14", "Q", GEOM_NO_POSITION=None)
def only_slice_location(folder, rng):
    series = linear(rng)

    def location(ds, k):
        ds.SliceLocation = k * series.spacing
        del ds.ImagePositionPatient

    write_series(folder, replace(series, edit=location))
    return []


@case("D14", "Q", GEOM_NO_POSITION=1)
def one_slice_at_the_end_has_no_position(folder, rng):
    series = linear(rng)

    def lose(ds, k):
        if k == series.n - 1:
            del ds.ImagePositionPatient

    write_series(folder, replace(series, edit=lose))
    yield Wanted(series, frozenset({"POSSIBLY_CROPPED"}), only=slice(0, series.n - 1))


@case("D15", "Q", GEOM_ORIENTATION=None)
def directions_are_not_perpendicular(folder, rng):
    write_series(folder, linear(rng, edit=setter(ImageOrientationPatient=[1, 0, 0, 0.1, 0.99, 0])))
    return []


@case("D15", "Q", GEOM_ORIENTATION=None)
def directions_are_not_unit(folder, rng):
    write_series(folder, linear(rng, edit=setter(ImageOrientationPatient=[1.2, 0, 0, 0, 1, 0])))
    return []


@case("D15", "R")
def directions_drift_by_rounding(folder, rng):
    series = linear(rng, orientation=phantom.AXIAL)
    angles = rng.uniform(-4e-5, 4e-5, series.n)

    def drift(ds, k):
        ds.ImageOrientationPatient = [1, f"{angles[k]:.8f}", 0, f"{-angles[k]:.8f}", 1, 0]

    yield written(folder, replace(series, edit=drift), "ORIENTATION_AVERAGED")


@case("D15", "Q", GEOM_ORIENTATION=None)
def directions_wander(folder, rng):
    series = linear(rng, orientation=phantom.AXIAL)
    angles = rng.permutation(np.linspace(-0.01, 0.01, series.n))

    def wander(ds, k):
        c, s = np.cos(angles[k]), np.sin(angles[k])
        ds.ImageOrientationPatient = [f"{value:.8f}" for value in (c, s, 0, -s, c, 0)]

    write_series(folder, replace(series, edit=wander))
    return []


@case("D16", "S", LOCALIZER=1)
def a_localizer_inside(folder, rng):
    series = linear(rng, orientation=phantom.AXIAL)
    write_series(folder, series)
    scout = linear(rng, orientation=phantom.CORONAL, n=1, series_uid=series.series_uid, study_uid=series.study_uid)
    scout = replace(scout, first_instance=800, edit=setter(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    write_series(folder / "scout", scout)
    yield Wanted(series, frozenset({"LOCALIZER_REMOVED"}))


@case("D16", "S")
def a_reformat_inside(folder, rng):
    series = linear(rng, orientation=phantom.AXIAL)
    write_series(folder, series)
    other = linear(rng, orientation=phantom.SAGITTAL, series_uid=series.series_uid, study_uid=series.study_uid)
    other = replace(other, first_instance=800)
    write_series(folder / "other", other)
    yield Wanted(series, frozenset({"SPLIT"}))
    yield Wanted(other, frozenset({"SPLIT"}))


def _spacing(value):
    def edit(ds, k):
        ds.PixelSpacing = [1, 1]
        ds["PixelSpacing"]._value = [_Raw(value), _Raw(value)]

    return edit


@case("D17", "Q", GEOM_SPACING=None)
def pixel_spacing_is_absurd(folder, rng):
    write_series(folder, linear(rng, edit=_spacing(str(rng.choice(["0", "-0.7", "77", "0.001"])))))
    return []


@case("D17", "Q", GEOM_SPACING=None)
def pixel_spacing_is_missing(folder, rng):
    write_series(folder, linear(rng, edit=setter(PixelSpacing=None)))
    return []


@case("D17", "Q", BAD_NUMBER=None)
def pixel_spacing_is_no_number(folder, rng):
    write_series(folder, linear(rng, edit=_spacing(str(rng.choice(["NaN", "inf", "abc"])))))
    return []


@case("D18", "S")
def two_pixel_spacings_in_two_runs(folder, rng):
    series = linear(rng, n=14)
    near = replace(series, n=7)
    far = replace(series, n=7, origin=tuple(series.position(7).tolist()), first_instance=series.first_instance + 7)
    far = replace(far, pixel_spacing=(series.pixel_spacing[0] + 0.2, series.pixel_spacing[1]))
    write_series(folder / "a", near)
    write_series(folder / "b", far)
    yield Wanted(near, frozenset({"SPLIT"}))
    yield Wanted(far, frozenset({"SPLIT"}))


@case("D18", "Q", GEOM_MIXED_SPACING=None)
def pixel_spacings_alternate(folder, rng):
    series = linear(rng)

    def alternate(ds, k):
        ds.PixelSpacing = [0.7 + 0.1 * (k % 2), 0.7]

    write_series(folder, replace(series, edit=alternate))
    return []


@case("D19", "P")
def pixels_are_far_from_square(folder, rng):
    yield control(folder, rng, pixel_spacing=(0.45, round(float(rng.uniform(1.2, 2.4)), 3)), rows=18, columns=27)


@case("D20", "S")
def two_matrices(folder, rng):
    series = linear(rng, n=14)
    near = replace(series, n=7)
    far = replace(series, n=7, origin=tuple(series.position(7).tolist()), rows=series.rows + 4)
    far = replace(far, first_instance=series.first_instance + 7)
    write_series(folder / "a", near)
    write_series(folder / "b", far)
    yield Wanted(near, frozenset({"SPLIT"}))
    yield Wanted(far, frozenset({"SPLIT"}))


@case("D21", "R")
def feet_first_prone(folder, rng):
    yield control(folder, rng, orientation=phantom.FEET_FIRST_PRONE, edit=setter(PatientPosition="FFP"))


@case("D21", "R")
def decubitus(folder, rng):
    yield control(folder, rng, orientation=(0.0, -1.0, 0.0, 1.0, 0.0, 0.0), edit=setter(PatientPosition="HFDL"))


@case("D23", "P")
def derived_series_with_borrowed_coordinates(folder, rng):
    derived = setter(ImageType=["DERIVED", "SECONDARY", "AXIAL"])
    yield control(folder, rng, "DERIVED", edit=derived)


@case("D24", "X", TOO_FEW_SLICES=None)
def one_or_two_slices(folder, rng):
    write_series(folder, linear(rng, n=int(rng.integers(1, 3))))
    return []


@case("D25", "S")
def two_stacks_interleaved_side_by_side(folder, rng):
    series = linear(rng)
    row = series.directions[0]
    origin = series.position(0) + 0.5 * series.spacing * series.directions[2] + 60 * row
    other = replace(series, origin=tuple(np.round(origin, 4).tolist()), first_instance=500)
    write_series(folder / "a", series)
    write_series(folder / "b", other)
    yield Wanted(series, frozenset({"SPLIT"}))
    yield Wanted(other, frozenset({"SPLIT"}))


@case("D26", "R")
def enhanced_with_frames_in_any_order(folder, rng):
    series = linear(rng)
    slopes = tuple(float(value) for value in rng.choice([1.0, 0.5, 2.0], series.n))
    intercept = -1024.0
    order = tuple(int(k) for k in rng.permutation(series.n))
    save(enhanced(replace(series, intercept=intercept), order=order, slopes=slopes), folder / "e")
    yield Wanted(series, frozenset({"RESCALE_PER_SLICE"}), tolerance_hu=1.5)


@case("D26", "R")
def enhanced_with_a_wrong_dimension_index(folder, rng):
    series = linear(rng)
    ds = enhanced(series)
    for group in ds.PerFrameFunctionalGroupsSequence:
        content = phantom.Dataset()
        content.DimensionIndexValues = [1, int(rng.integers(1, 99))]
        content.InStackPositionNumber = int(rng.integers(1, 99))
        group.FrameContentSequence = [content]
    save(ds, folder / "e")
    yield Wanted(series)


@case("D26", "Q", ENHANCED_BAD=1)
def enhanced_without_per_frame_groups(folder, rng):
    ds = enhanced(linear(rng))
    del ds.PerFrameFunctionalGroupsSequence
    save(ds, folder / "e")
    return []


@case("D26", "Q", ENHANCED_BAD=1)
def enhanced_with_too_few_groups(folder, rng):
    ds = enhanced(linear(rng))
    ds.PerFrameFunctionalGroupsSequence = list(ds.PerFrameFunctionalGroupsSequence)[:-2]
    save(ds, folder / "e")
    return []


@case("D26", "Q", ENHANCED_BAD=1)
def enhanced_with_one_place_missing(folder, rng):
    series = linear(rng)
    ds = enhanced(series)
    del ds.PerFrameFunctionalGroupsSequence[at_random(rng, series, inner=False)].PlanePositionSequence
    save(ds, folder / "e")
    return []


@case("D27", "Q", ENHANCED_BAD=1)
def many_frames_in_a_single_frame_class(folder, rng):
    series = linear(rng)
    ds = series.dataset(0)
    ds.NumberOfFrames = series.n
    ds.PixelData = b"".join(bytes(series.dataset(k).PixelData) for k in range(series.n))
    save(ds, folder / "m")
    return []


@case("D28", "R")
def a_dimension_beyond_int16(folder, rng):
    columns = int(rng.integers(32768, 33500))
    series = linear(rng, n=3, rows=4, columns=columns, orientation=phantom.AXIAL, pixel_spacing=(1.0, 0.05))
    yield written(folder, replace(series, hu=_gentle, origin=(0.0, 0.0, 0.0)), "NIFTI2")


def _gentle(points):
    """Small slopes, since a row is 1.6 m long: from air to bone."""
    return points @ [0.8, 2.0, 3.0] - 1000


@case("D29", "P")
def coronal_or_sagittal(folder, rng):
    plane = (phantom.CORONAL, phantom.SAGITTAL)[int(rng.integers(2))]
    yield control(folder, rng, orientation=plane)


@case("D29", "P", spacing=(2.1, 1.4, 1.2))
def oblique_and_resampled(folder, rng):
    angle = float(rng.uniform(0.1, 0.5))
    c, s = np.cos(angle), np.sin(angle)
    orientation = tuple(round(value, 9) for value in (c, s, 0.0, -s * 0.8, c * 0.8, 0.6))
    series = linear(rng, orientation=orientation, rows=24, columns=24)
    yield replace(written(folder, series), tolerance_hu=2.0)
