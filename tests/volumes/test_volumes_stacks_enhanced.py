"""Multi-frame images: frames are slices, wherever they stand in the file."""

from __future__ import annotations

import numpy as np
import phantom
import pytest
from phantom import Series, oracle_error_hu

from volumes.convert import convert_stack
from volumes.index import read_instance
from volumes.reasons import DropReason, RepairCode
from volumes.records import Grid
from volumes.sources import iter_files
from volumes.stacks import build_stacks

NATIVE = Grid(spacing_mm=None)
SHUFFLED = tuple(int(k) for k in np.random.default_rng(5).permutation(12))


def outcome_of(folder):
    return build_stacks([read_instance(ref) for ref in iter_files(folder)])


@pytest.mark.parametrize("order", [None, SHUFFLED])
def test_frames_are_placed_by_position_and_rescaled_one_by_one(tmp_path, order):
    slopes = tuple(1.0 if k % 2 else 0.5 for k in range(12))
    phantom.save(phantom.enhanced(Series(), order=order, slopes=slopes), tmp_path / "mf.dcm")
    outcome = outcome_of(tmp_path)
    (stack,) = outcome.stacks
    assert not outcome.dropped
    answer = convert_stack(stack, NATIVE)
    assert oracle_error_hu(answer.value.data, answer.value.affine_ras) <= 0.51
    assert RepairCode.RESCALE_PER_SLICE in {repair.code for repair in answer.repairs}
    assert sorted(answer.value.slice_map.instance_number) == list(range(1, 13))


def test_twin_of_a_classic_series_is_set_aside_whole(tmp_path):
    phantom.write_series(tmp_path, Series())
    phantom.save(phantom.enhanced(Series()), tmp_path / "mf.dcm")
    outcome = outcome_of(tmp_path)
    (stack,) = outcome.stacks
    assert len({instance.sop_instance_uid for instance, _ in stack.slices}) == 12
    assert [(drop.reason, drop.n_instances) for drop in outcome.dropped] == [(DropReason.DUPLICATE_IMAGE, 1)]


def test_frames_without_places_are_no_volume(tmp_path):
    ds = phantom.enhanced(Series())
    for group in ds.PerFrameFunctionalGroupsSequence:
        del group.PlanePositionSequence
    phantom.save(ds, tmp_path / "mf.dcm")
    assert [drop.reason for drop in outcome_of(tmp_path).dropped] == [DropReason.ENHANCED_BAD]


def test_frames_that_share_one_place_are_no_volume(tmp_path):
    ds = phantom.enhanced(Series())
    for group in ds.PerFrameFunctionalGroupsSequence:
        group.PlanePositionSequence[0].ImagePositionPatient = [0, 0, 0]
    phantom.save(ds, tmp_path / "mf.dcm")
    assert [drop.reason for drop in outcome_of(tmp_path).dropped] == [DropReason.ENHANCED_BAD]
