"""Images without UIDs: bound to their neighbours or to each other where that is plain, dropped where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from phantom import ROOT, Series, oracle_error_hu, save, setter, shuffled, write_series

from t3dkit.progress import Progress
from volumes.convert import convert_stack
from volumes.index import read_instance
from volumes.missing_uids import fill_uids
from volumes.reasons import DropReason, RepairCode
from volumes.records import FileDrop, Grid, Instance
from volumes.scan import scan_source
from volumes.sources import iter_files
from volumes.stacks import build_stacks

QUIET = Progress(quiet=True)
NO_UIDS = {"StudyInstanceUID": "", "SeriesInstanceUID": "", "SOPInstanceUID": ""}


def bare(**elements):
    """An edit that empties all UIDs and binds the slices by a frame of reference."""
    return setter(**{**NO_UIDS, "FrameOfReferenceUID": f"{ROOT}.5", **elements})


def scanned(folder):
    scan = scan_source(folder, QUIET)
    assert scan.n_files == sum(path.is_file() for path in folder.rglob("*"))
    return scan


def codes(instance):
    return [repair.code for repair in instance.repairs]


def test_a_series_without_any_uid_is_one_volume(tmp_path):
    write_series(tmp_path, Series(edit=bare()))
    scan = scanned(tmp_path)
    assert not scan.dropped
    (items,) = scan.series
    (stack,) = build_stacks(items).stacks
    volume = convert_stack(stack, Grid(spacing_mm=None)).value
    assert oracle_error_hu(volume.data, volume.affine_ras) <= 0.51
    assert RepairCode.UID_SYNTHESISED in {repair.code for repair in volume.repairs}
    assert all(item.series_instance_uid.startswith("2.25.") for item in items)
    assert all(len(item.study_instance_uid) <= 64 for item in items)


def test_uids_are_the_same_for_any_order_and_any_place(tmp_path):
    answers = []
    for name in ("a", "b"):
        paths = write_series(tmp_path / name / "same", Series(edit=bare()))
        items = [read_instance(ref, may_lack_uids=True) for ref in iter_files(tmp_path / name)]
        items = [items[i] for i in np.random.default_rng(len(name)).permutation(len(items))] if name == "b" else items
        kept, dropped = fill_uids(items)
        assert not dropped
        assert len(kept) == len(paths)
        answers.append({item.file.name: (item.study_instance_uid, item.series_instance_uid) for item in kept})
    assert answers[0] == answers[1]
    assert len(set(answers[0].values())) == 1


def test_slices_that_lost_their_uid_go_back_to_their_series(tmp_path):
    def lose(ds, k):
        ds.FrameOfReferenceUID = f"{ROOT}.5"
        if k in (0, 11):
            ds.SeriesInstanceUID = ds.StudyInstanceUID = ""

    write_series(tmp_path, Series(edit=lose))
    scan = scanned(tmp_path)
    (items,) = scan.series
    assert len(items) == 12
    assert {item.series_instance_uid for item in items} == {Series().series_uid}
    assert {item.study_instance_uid for item in items} == {Series().study_uid}
    assert sum(RepairCode.UID_SYNTHESISED in codes(item) for item in items) == 2


def test_two_series_in_one_folder_stay_two(tmp_path):
    write_series(tmp_path / "a", Series(edit=bare(SeriesNumber=1)))
    for number, path in enumerate(write_series(tmp_path / "b", Series(edit=bare(SeriesNumber=2)))):
        path.rename(tmp_path / "a" / f"other{number}")
    assert [len(items) for items in scanned(tmp_path).series] == [12, 12]


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ((bare(PatientID="A"), bare(PatientID="B")), "mixes patients"),
        ((bare(StudyDate="20200101"), bare(StudyDate="20200102")), "mixes patients or studies"),
        ((setter(**NO_UIDS, SeriesNumber=None), setter(**NO_UIDS, SeriesNumber=None)), "neither FrameOfReferenceUID"),
    ],
)
def test_what_nothing_binds_stays_dropped(tmp_path, edits, words):
    for name, edit in zip("ab", edits, strict=True):
        for path in write_series(tmp_path / name, Series(edit=edit)):
            path.rename(tmp_path / f"{name}{path.name}")
    scan = scanned(tmp_path)
    assert scan.series == ()
    assert {drop.reason for drop in scan.dropped} == {DropReason.NO_UID}
    assert all(words in drop.detail for drop in scan.dropped)


def test_a_slice_that_may_belong_to_two_series_is_dropped(tmp_path):
    for name, uid in (("a", f"{ROOT}.2.1"), ("b", f"{ROOT}.2.2")):
        for path in write_series(tmp_path / name, Series(series_uid=uid)):
            path.rename(tmp_path / f"{name}{path.name}")
    save(Series(edit=setter(SeriesInstanceUID="")).dataset(3), tmp_path / "stray")
    (drop,) = scanned(tmp_path).dropped
    assert (drop.file.name, drop.reason) == ("stray", DropReason.NO_UID)


def test_a_study_without_uid_is_one_study(tmp_path):
    for number in (1, 2):
        edit = setter(StudyInstanceUID="")
        write_series(tmp_path / str(number), Series(series_uid=f"{ROOT}.2.{number}", edit=edit))
    series = scanned(tmp_path).series
    assert len(series) == 2
    assert len({item.study_instance_uid for items in series for item in items}) == 1


def test_an_instance_without_uid_gets_one_from_its_bytes(tmp_path):
    paths = write_series(tmp_path, Series())
    for path in paths[:2]:
        data = path.read_bytes()
        uid = read_instance(next(iter(iter_files(path)))).sop_instance_uid.encode()
        assert data.count(uid) == 2  # in the meta group and in the data set
        path.write_bytes(data.replace(uid, bytes(len(uid))))
    (items,) = scanned(tmp_path).series
    made = [item.sop_instance_uid for item in items if RepairCode.UID_SYNTHESISED in codes(item)]
    assert len(set(made)) == 2
    assert all(uid.startswith("2.25.") for uid in made)


def test_a_complete_source_is_left_alone(tmp_path):
    write_series(tmp_path, Series())
    items = [read_instance(ref) for ref in iter_files(tmp_path)]
    kept, dropped = fill_uids(items)
    assert kept == items
    assert dropped == []


def test_alone_a_file_without_uid_stays_a_drop(tmp_path):
    save(Series(edit=bare()).dataset(0), tmp_path / "x")
    (ref,) = iter_files(tmp_path)
    answer = read_instance(ref)
    assert isinstance(answer, FileDrop)
    assert answer.reason == DropReason.NO_UID
    assert isinstance(read_instance(ref, may_lack_uids=True), Instance)


@pytest.mark.real
def test_real_files_with_emptied_uids(real):
    scan = scan_source(real / "totalsegmentator_tests" / "example_ct_dicom", QUIET)
    (items,) = scan.series
    assert len(items) == 20
    (stack,) = build_stacks(shuffled(list(items))).stacks
    assert stack.spacing_mm == pytest.approx(2.0)
