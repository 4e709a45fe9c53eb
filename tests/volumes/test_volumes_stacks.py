"""From instances to stacks: what belongs together, what is missing, and nothing lost on the way."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import phantom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phantom import Series, setter

from volumes.gaps import Gaps
from volumes.reasons import DropReason, Flag, RepairCode
from volumes.records import FileDrop, FileRef
from volumes.stacks import StackPolicy, build_stacks, describe_geometry


def codes(stack):
    return {repair.code for repair in stack.repairs}


def reasons(outcome):
    return [drop.reason for drop in outcome.dropped]


def assert_conserved(outcome, instances):
    """Every image is in a stack or in a drop, and none in both."""
    kept = [(id(instance), frame) for stack in outcome.stacks for instance, frame in stack.slices]
    assert len(kept) == len(set(kept))
    in_stacks = {key for key, _ in kept}
    in_drops = {id(instance) for drop in outcome.dropped for instance in drop.instances}
    assert in_stacks | in_drops == {id(instance) for instance in instances}
    multi = {id(item) for item in instances if item.frames}
    assert not (in_stacks & in_drops) - multi


@pytest.fixture(scope="module")
def build(instances_of):
    def run(*series, policy=None, skip=(), lost=()):
        items = [item for one in series for item in instances_of(one, skip=skip)]
        outcome = build_stacks(items, policy, gaps=Gaps(lost))
        assert_conserved(outcome, items)
        return outcome

    return run


def test_clean_series_is_one_stack_without_remarks(build):
    outcome = build(Series())
    (stack,) = outcome.stacks
    assert not outcome.dropped
    assert not stack.repairs
    assert stack.spacing_mm == pytest.approx(2.0)
    assert stack.shape_rcs == (20, 24, 12)
    assert describe_geometry(stack) == "axial 24x20x12 1.25x1.50x2.00 mm"
    along = stack.positions_lps[:, 2]
    assert np.all(np.diff(along) > 0)


@given(seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_outcome_does_not_depend_on_file_order(instances_of, seed):
    items = instances_of(Series(positions_mm=(*range(0, 20, 4), 17, 24, 31, 38), n=9))
    shuffled = [items[i] for i in np.random.default_rng(seed).permutation(len(items))]
    one, other = build_stacks(items), build_stacks(shuffled)
    for a, b in zip(one.stacks, other.stacks, strict=True):
        assert a.slices == b.slices
        assert a.index == b.index
        np.testing.assert_array_equal(a.positions_lps, b.positions_lps)


@pytest.mark.parametrize("orientation", [phantom.AXIAL, phantom.CORONAL, phantom.SAGITTAL, phantom.FEET_FIRST_PRONE])
def test_planes(build, orientation):
    outcome = build(Series(orientation=orientation))
    name = {phantom.CORONAL: "coronal", phantom.SAGITTAL: "sagittal"}.get(orientation, "axial")
    assert describe_geometry(outcome.stacks[0]).startswith(name)


# ------------------------------------------------------------------------------------------------ D: geometry


def test_missing_interior_slice_is_counted_and_placed(build):
    outcome = build(Series(), skip=(4, 5, 8))
    (drop,) = outcome.dropped
    assert drop.reason == DropReason.GEOM_MISSING_SLICE
    assert drop.detail == "3 of 12 slices missing: 2 after slice 4; 1 after slice 6"


def test_missing_end_slice_shows_in_images_in_acquisition(build):
    outcome = build(Series(edit=setter(ImagesInAcquisition=12)), skip=(11,))
    assert Flag.POSSIBLY_CROPPED in codes(outcome.stacks[0])


def test_unreadable_file_holds_the_series_back(build):
    drop = FileDrop(FileRef("x", "x"), DropReason.TRUNCATED_HEADER, "", Series().series_uid)
    outcome = build(Series(), skip=(11,), lost=(drop,))
    assert not outcome.stacks
    assert reasons(outcome) == [DropReason.TRUNCATED_HEADER]


def test_blocks_of_spacing_are_split_or_resampled(build):
    series = Series(n=12, positions_mm=(0, 4, 8, 12, 16, 20, 21, 28, 35, 42, 49, 56))
    split = build(series)
    assert [stack.spacing_mm for stack in split.stacks] == [pytest.approx(4), pytest.approx(7)]
    assert [len(stack.slices) for stack in split.stacks] == [6, 6]
    assert all(RepairCode.SPLIT in codes(stack) for stack in split.stacks)
    (one,) = build(series, policy=StackPolicy(irregular="resample")).stacks
    assert RepairCode.IRREGULAR_RESAMPLED in codes(one)
    assert len(one.slices) == 12


def test_slice_shared_by_two_blocks_goes_to_the_finer(build):
    outcome = build(Series(n=11, positions_mm=(0, 5, 10, 15, 20, 21.25, 22.5, 23.75, 25, 26.25, 27.5)))
    assert [len(stack.slices) for stack in outcome.stacks] == [4, 7]


def test_steps_without_pattern_are_irregular(build):
    outcome = build(Series(n=8, positions_mm=(0, 2, 5, 6.1, 9.7, 11, 16, 17.2)))
    assert reasons(outcome) == [DropReason.GEOM_IRREGULAR]


def test_gap_that_is_no_multiple_is_irregular_not_two_blocks(build):
    outcome = build(Series(n=10, positions_mm=(0, 2, 4, 6, 8, 11.1, 13.1, 15.1, 17.1, 19.1)))
    assert reasons(outcome) == [DropReason.GEOM_IRREGULAR]


def test_jitter_is_fitted_not_taken_from_the_first_pair(build):
    jitter = np.round(np.arange(12) * 0.625, 1)
    outcome = build(Series(positions_mm=tuple(jitter)))
    assert outcome.stacks[0].spacing_mm == pytest.approx(0.625, abs=0.01)


def test_spacing_comes_from_positions(build):
    outcome = build(Series(edit=setter(SliceThickness=5.0)))
    assert outcome.stacks[0].spacing_mm == pytest.approx(2.0)
    assert RepairCode.SPACING_FROM_POSITIONS in codes(outcome.stacks[0])


def test_instance_numbers_do_not_order(build):
    def scramble(ds, k):
        ds.InstanceNumber = (k * 5) % 12 + 1

    (stack,) = build(Series(edit=scramble)).stacks
    assert RepairCode.SORTED_BY_POSITION in codes(stack)
    assert np.all(np.diff(stack.positions_lps[:, 2]) > 0)


@pytest.mark.parametrize("number", [None, 0])
def test_useless_instance_numbers_are_no_matter(build, number):
    (stack,) = build(Series(edit=setter(InstanceNumber=number))).stacks
    assert len(stack.slices) == 12


@pytest.mark.parametrize(("tilt", "tag"), [(18.5, None), (-18.5, "18.5"), (14.0, "0")])
def test_tilt_comes_from_positions_not_from_its_tag(build, tilt, tag):
    edit = setter(GantryDetectorTilt=tag) if tag else None
    (stack,) = build(Series(tilt_deg=tilt, edit=edit)).stacks
    assert stack.tilt_deg == pytest.approx(abs(tilt), abs=1e-3)
    assert stack.spacing_mm == pytest.approx(2.0)
    assert Flag.TILTED in codes(stack)


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"ImageOrientationPatient": None}, DropReason.GEOM_NO_ORIENTATION),
        ({"ImagePositionPatient": None}, DropReason.GEOM_NO_POSITION),
        ({"ImagePositionPatient": [0, 0, 0]}, DropReason.GEOM_NO_POSITION),
        ({"ImageOrientationPatient": [1, 0, 0, 0.5, 0.8, 0]}, DropReason.GEOM_ORIENTATION),
        ({"ImageOrientationPatient": [2, 0, 0, 0, 1, 0]}, DropReason.GEOM_ORIENTATION),
        ({"PixelSpacing": None}, DropReason.GEOM_SPACING),
        ({"PixelSpacing": [0, 0]}, DropReason.GEOM_SPACING),
        ({"PixelSpacing": [-1, 1]}, DropReason.GEOM_SPACING),
        ({"PixelSpacing": [33.3, 33.3]}, DropReason.GEOM_SPACING),
    ],
)
def test_broken_geometry_is_never_guessed(build, elements, reason):
    outcome = build(Series(edit=setter(**elements)))
    assert not outcome.stacks
    assert set(reasons(outcome)) == {reason}


def test_tiny_drift_of_orientation_is_averaged_and_more_is_refused(build):
    def drift(size):
        def edit(ds, k):
            angle = size * (k % 5)
            ds.ImageOrientationPatient = [
                f"{v:.7f}" for v in (np.cos(angle), np.sin(angle), 0, -np.sin(angle), np.cos(angle), 0)
            ]

        return edit

    (stack,) = build(Series(edit=drift(2e-5))).stacks
    assert RepairCode.ORIENTATION_AVERAGED in codes(stack)
    outcome = build(Series(n=5, edit=drift(1e-3)))
    assert reasons(outcome) == [DropReason.GEOM_ORIENTATION]


def test_two_orientations_are_two_stacks(build):
    coronal = Series(orientation=phantom.CORONAL, first_instance=50)
    outcome = build(Series(), coronal)
    assert sorted(describe_geometry(stack).split()[0] for stack in outcome.stacks) == ["axial", "coronal"]


def test_two_matrices_and_two_kernels_are_two_stacks(build):
    big = Series(rows=32, columns=32, first_instance=50)
    assert len(build(Series(), big).stacks) == 2
    soft = Series(edit=setter(ConvolutionKernel="B30f"))
    sharp = replace(phases(None, None)[1], edit=setter(ConvolutionKernel="B70f"))
    outcome = build(soft, sharp)
    assert {stack.head.convolution_kernel for stack in outcome.stacks} == {"B30f", "B70f"}


def test_kernel_absent_in_some_slices_cuts_nothing(build):
    def edit(ds, k):
        if k % 2:
            ds.ConvolutionKernel = "B30f"

    assert len(build(Series(edit=edit)).stacks) == 1


def test_pixel_spacing_that_alternates_is_a_fault_and_two_runs_are_two_stacks(build):
    def alternate(ds, k):
        ds.PixelSpacing = [1.5, 1.25] if k % 2 else [1.4, 1.2]

    assert reasons(build(Series(edit=alternate))) == [DropReason.GEOM_MIXED_SPACING]

    def two_runs(ds, k):
        ds.PixelSpacing = [1.5, 1.25] if k < 6 else [1.4, 1.2]

    assert [len(stack.slices) for stack in build(Series(edit=two_runs)).stacks] == [6, 6]


def test_too_few_slices(build):
    assert reasons(build(Series(n=2))) == [DropReason.TOO_FEW_SLICES]


# ---------------------------------------------------------------------------------- phases, copies, collisions


def phases(edit_a, edit_b, *, noise=7):
    """Two series under one UID at the same places with different pixels."""
    other = Series(first_instance=50, edit=edit_b, hu=lambda points: phantom.linear_hu(points) + noise)
    return Series(edit=edit_a), other


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}),
        ({"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2}),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"]}, {"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "VNC"]}),
        ({"AcquisitionTime": "100000"}, {"AcquisitionTime": "100130"}),
        ({"ContrastBolusAgent": None}, {"ContrastBolusAgent": "agent"}),
    ],
)
def test_phases_are_told_apart_by_what_the_header_says(build, a, b):
    outcome = build(*phases(setter(**a), setter(**b)))
    assert [len(stack.slices) for stack in outcome.stacks] == [12, 12]
    for stack in outcome.stacks:
        assert len({instance.sop_instance_uid.split(".")[-1] >= "50" for instance, _ in stack.slices}) <= 2
        assert len(set(np.round(stack.positions_lps[:, 2], 3))) == 12


def test_phases_are_told_apart_by_time_when_every_slice_has_its_own(build):
    def at(start):
        def edit(ds, k):
            ds.AcquisitionTime = f"10{start + k:04d}"

        return edit

    outcome = build(*phases(at(0), at(100)))
    assert [len(stack.slices) for stack in outcome.stacks] == [12, 12]


def test_phases_that_nothing_tells_apart_are_ambiguous(build):
    outcome = build(*phases(None, None))
    assert reasons(outcome) == [DropReason.PHASE_AMBIGUOUS]


def test_acquisition_number_of_every_slice_is_no_phase(build):
    def edit(ds, k):
        ds.AcquisitionNumber = k + 1

    assert len(build(Series(edit=edit)).stacks) == 1


def test_identical_copies_are_set_aside(build):
    outcome = build(Series(), Series(first_instance=50))
    (stack,) = outcome.stacks
    assert len(stack.slices) == 12
    assert reasons(outcome) == [DropReason.DUPLICATE_IMAGE]
    assert outcome.dropped[0].n_instances == 12
    assert RepairCode.DEDUP_IDENTICAL in codes(stack)


def test_different_images_under_one_uid_are_refused(build):
    other = Series(n=2, hu=lambda points: phantom.linear_hu(points) + 9)
    outcome = build(Series(), other)
    assert DropReason.UID_COLLISION in reasons(outcome)
    assert DropReason.GEOM_IRREGULAR not in reasons(outcome)


def test_bolus_tracking_and_constant_position(build):
    def bolus(ds, k):
        ds.ImagePositionPatient = [0, 0, 0]
        ds.AcquisitionTime = f"1000{k:02d}"

    assert reasons(build(Series(n=6, edit=bolus))) == [DropReason.BOLUS_TRACKING]


# ------------------------------------------------------------------------------------------- F: what images are


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, DropReason.LOCALIZER),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, DropReason.SECONDARY),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, DropReason.SECONDARY),
        ({"Modality": "PT"}, DropReason.MODALITY_UNSUPPORTED),
        ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "IODINE"]}, DropReason.NOT_HU),
        ({"RescaleType": "MGML"}, DropReason.NOT_HU),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, DropReason.NOT_HU),
        ({"BurnedInAnnotation": "YES"}, DropReason.BURNED_IN),
    ],
)
def test_class_rules(build, elements, reason):
    outcome = build(Series(n=4, edit=setter(**elements)))
    assert reasons(outcome) == [reason]


def test_localizer_inside_a_series_is_set_aside(build):
    scout = Series(
        n=1, orientation=phantom.CORONAL, first_instance=90, edit=setter(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    )
    outcome = build(Series(), scout)
    assert RepairCode.LOCALIZER_REMOVED in codes(outcome.stacks[0])
    assert reasons(outcome) == [DropReason.LOCALIZER]


def test_two_patients_under_one_series_uid(build):
    outcome = build(Series(), Series(patient_id="PHANTOM-2", first_instance=50))
    assert reasons(outcome) == [DropReason.PATIENT_CONFLICT]
    assert outcome.dropped[0].n_instances == 24


def test_flags(build):
    (stack,) = build(
        Series(edit=setter(ImageType=["DERIVED", "SECONDARY", "REFORMATTED"], PhotometricInterpretation="MONOCHROME1"))
    ).stacks
    assert codes(stack) >= {Flag.DERIVED, Flag.MONOCHROME1}


def test_phantom_header_is_still_convertible(build):
    assert len(build(replace(Series(), patient_id="QA PHANTOM")).stacks) == 1


@pytest.mark.parametrize(
    ("day", "birth", "is_suspect"),
    [
        ("20190312", "19520104", False),
        ("2019.03.12", "19520104", False),
        ("20190312", "1952", False),
        ("20190312", None, False),
        (None, "19520104", False),
        ("19000101", "19520104", True),
        ("19700101", None, True),
        ("20190231", None, True),
        ("unknown", None, True),
        ("19510312", "19520104", True),
        ("20190312", "20200101", True),
    ],
)
def test_an_impossible_study_date_is_flagged_and_not_told(instances_of, day, birth, is_suspect):
    edit = setter(StudyDate=day or "", PatientBirthDate=birth or "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom would not write such dates without a word
        (stack,) = build_stacks(instances_of(Series(edit=edit))).stacks
    flagged = [repair for repair in stack.repairs if repair.code == Flag.DATE_SUSPECT]
    assert bool(flagged) == is_suspect
    assert not any(text and text in repair.detail for repair in flagged for text in (day, birth))
