"""Draws: stateless, on the sentence's region, with hard negatives, never padding only."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from train_data import TINY, write_nifti, write_tiny_dataset

from curation import contract
from curation.contract import Dataset
from reports.regions import region_tree
from t3dkit.errors import DataError
from t3dkit.tables import read_rows, write_table
from train.batch import Batcher, prefetched
from train.catalogue import Box, Catalogue, Sentence, read_catalogue, told_of
from train.config import CropConfig, load_config
from train.crops import N_CHANCES, _drawn_last, chances, covered, covered_fraction, draw, draw_views
from train.places import _rules
from train.reader import VolumeStore
from train.text import train_tokens


def _catalogue(tiny_dataset: Path, **changes: object) -> Catalogue:
    crop = dataclasses.replace(CropConfig(size_vox=24), **changes)  # type: ignore[arg-type]
    return read_catalogue(Dataset.open(tiny_dataset), ("train",), crop)


def _batcher(root: Path, cache: Path, *words: str) -> Batcher:
    config = load_config("t3d", [*TINY, *words], scale="cpu")
    dataset = Dataset.open(root)
    catalogue = read_catalogue(dataset, ("train",), config.crop)
    tokens = train_tokens([one.text for one in catalogue.sentences], config.text)
    return Batcher(catalogue, VolumeStore(dataset, cache), tokens, config)


def test_a_draw_depends_on_its_key_alone(tiny_dataset: Path) -> None:
    one, two = _catalogue(tiny_dataset), _catalogue(tiny_dataset)
    forward = [draw(one, seed=3, step=step, slot=slot, n_slots=4) for step in range(3) for slot in range(4)]
    backward = [draw(two, seed=3, step=step, slot=slot, n_slots=4) for step in (2, 1, 0) for slot in (3, 2, 1, 0)]
    assert forward == backward[::-1]
    assert forward != [draw(one, seed=4, step=step, slot=slot, n_slots=4) for step in range(3) for slot in range(4)]


_EDGES = st.tuples(*[st.integers(1, 60)] * 3)


@given(shape=st.tuples(*[st.integers(8, 60)] * 3), corner=_EDGES, edges=_EDGES, seed=st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_both_views_hold_the_target_and_stay_inside(
    shape: tuple[int, int, int], corner: tuple[int, ...], edges: tuple[int, ...], seed: int
) -> None:
    start = [min(c, n - 1) for c, n in zip(corner, shape, strict=True)]
    stop = [min(s + e, n) for s, e, n in zip(start, edges, shape, strict=True)]
    box = Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
    sentence = Sentence("s", "p", "patient", "v", "text", ("liver",), (("liver", box),), False, True)
    catalogue = Catalogue((sentence,), {"v": shape}, CropConfig(size_vox=16))
    drawn = draw_views(catalogue, 0, np.random.default_rng(seed).random(N_CHANCES).tolist())
    for axis in range(3):
        assert box.start_ijk[axis] <= drawn.target.start_ijk[axis] < drawn.target.stop_ijk[axis] <= box.stop_ijk[axis]
        for view in drawn.views:
            assert view.start_ijk[axis] <= drawn.target.start_ijk[axis]
            assert view.start_ijk[axis] + 16 >= drawn.target.stop_ijk[axis]
            if shape[axis] >= 16:
                assert 0 <= view.start_ijk[axis] <= shape[axis] - 16
            else:
                assert view.start_ijk[axis] <= 0
                assert view.start_ijk[axis] + 16 >= shape[axis]
    assert drawn.views[0].sentences[0][0] == "s"


@given(start=st.integers(0, 30), edge=st.integers(1, 50), seed=st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_a_crop_holds_the_box_or_stays_inside_it(start: int, edge: int, seed: int) -> None:
    size, play = 16, 1  # an eighth of the edge, half to each side
    box = Box((start,) * 3, (start + edge,) * 3)
    sentence = Sentence("s", "p", "patient", "v", "text", ("liver",), (("liver", box),), False, True)
    catalogue = Catalogue((sentence,), {"v": (80, 80, 80)}, CropConfig(size_vox=size))
    for view in draw_views(catalogue, 0, np.random.default_rng(seed).random(N_CHANCES).tolist()).views:
        for first in view.start_ijk:
            low, high = sorted((start, start + edge - size))
            assert low - play <= first <= high + play


def test_crops_show_a_random_place_of_a_large_box_as_often_as_their_size_allows() -> None:
    box = Box((0, 0, 0), (24, 16, 16))
    sentence = Sentence("s", "p", "patient", "v", "text", ("liver",), (("liver", box),), False, True)
    catalogue = Catalogue((sentence,), {"v": (80, 80, 80)}, CropConfig(size_vox=16))
    rng, held = np.random.default_rng(0), []
    for _ in range(2000):
        place = rng.uniform((0, 0, 0), box.stop_ijk)
        view = draw_views(catalogue, 0, rng.random(N_CHANCES).tolist()).views[0]
        held.append(bool(np.all((place >= view.start_ijk) & (place < np.add(view.start_ijk, 16)))))
    assert np.mean(held) > 0.6  # two thirds at best: 16 of 24; 0.5 where crops spill over the box


_WHOLE = Box((10, 20, 30), (20, 40, 70))


@pytest.mark.parametrize(
    ("region", "text", "expected"),
    [
        ("pleura_left", "Small left pleural effusion.", Box((10, 20, 30), (20, 32, 52))),
        ("pleura_left", "Moderate left pneumothorax.", Box((10, 30, 30), (20, 40, 70))),
        ("pleura_left", "No pleural effusion or pneumothorax.", _WHOLE),
        ("pleura_left", "Left apical pneumothorax.", Box((10, 30, 50), (20, 40, 70))),
        ("pleura_left", "Left pleural thickening.", _WHOLE),
        ("lung_lower_lobe_left", "Atelectasis at the left lung BASE.", Box((10, 20, 30), (20, 40, 54))),
        ("liver", "Pleural effusion; the liver is normal at its base.", _WHOLE),
        ("lungs", "Baseline examination of the lungs.", _WHOLE),
    ],
)
def test_words_of_place_cut_the_box_of_their_region_alone(region: str, text: str, expected: Box) -> None:
    assert told_of(region, _WHOLE, text) == expected


@given(
    region=st.sampled_from(sorted(region_tree().codes)),
    words=st.lists(st.sampled_from(["effusion", "pneumothorax", "apex", "base", "ascites", "free air", "lingula"])),
    edge=st.integers(1, 30),
)
def test_what_is_told_is_part_of_the_box_and_never_nothing(region: str, words: list[str], edge: int) -> None:
    box = Box((3, 3, 3), (3 + edge,) * 3)
    part = told_of(region, box, " ".join(words))
    for axis in range(3):
        assert 3 <= part.start_ijk[axis] < part.stop_ijk[axis] <= 3 + edge


def test_the_places_are_of_known_regions() -> None:
    assert set(_rules()) <= set(region_tree().codes)


def test_half_of_a_batch_shares_a_region_of_different_patients(tiny_dataset: Path) -> None:
    catalogue = _catalogue(tiny_dataset)
    patient = {one.sentence_id: one.patient_id for one in catalogue.located}
    for step in range(10):
        draws = [draw(catalogue, seed=0, step=step, slot=slot, n_slots=8) for slot in range(8)]
        for group in (draws[:4], draws[4:]):
            assert len({drawn.region for drawn in group}) == 1
            assert len({patient[drawn.sentence_id] for drawn in group}) == 4


def test_findings_and_rare_regions_are_drawn_more_often(tiny_dataset: Path) -> None:
    catalogue = _catalogue(tiny_dataset, same_region_share=0.0)
    by_kind = Counter()
    for one, weight in zip(catalogue.located, catalogue.weights, strict=True):
        by_kind[one.is_abnormal] += weight / sum(other.is_abnormal == one.is_abnormal for other in catalogue.located)
    assert by_kind[True] / by_kind[False] == pytest.approx(4.0, rel=0.1)


def test_listed_sentences_are_those_the_crop_covers(tiny_dataset: Path) -> None:
    catalogue = _catalogue(tiny_dataset, max_sentences=10)
    boxes = {one.sentence_id: one.boxes[0][1] for one in catalogue.located}
    pair_of = {one.sentence_id: one.pair_id for one in catalogue.located}
    for step in range(20):
        drawn = draw(catalogue, seed=1, step=step, slot=0, n_slots=1)
        for view in drawn.views:
            listed = dict(view.sentences)
            for name, box in boxes.items():
                if pair_of[name] == drawn.pair_id:
                    covered = covered_fraction(box, view.start_ijk, 24)
                    assert (name in listed) == (covered >= 0.5 or name == drawn.sentence_id)
                    if name in listed:
                        assert listed[name] == pytest.approx(covered, abs=1e-3)


@given(seed=st.integers(0, 999), size=st.integers(4, 40))
@settings(max_examples=60, deadline=None)
def test_coverage_of_a_pair_at_once_equals_box_by_box(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    sentences = []
    for number in range(6):
        boxes = []
        for _ in range(int(rng.integers(1, 4))):
            start, edge = rng.integers(0, 30, 3).tolist(), rng.integers(1, 30, 3).tolist()
            stop = [a + b for a, b in zip(start, edge, strict=True)]
            boxes.append(("liver", Box(tuple(start), tuple(stop))))
        pair = f"p{number // 2}"
        sentences.append(Sentence(f"s{number}", pair, pair, "v", "text", ("liver",), tuple(boxes), False, True))
    catalogue = Catalogue(tuple(sentences), {"v": (60, 60, 60)}, CropConfig(size_vox=size))
    starts = [tuple(rng.integers(-5, 40, 3).tolist()) for _ in range(2)]
    for number in range(3):
        first, fractions = catalogue.covered(f"p{number}", starts)
        mine = sentences[first : first + fractions.shape[1]]
        assert {one.pair_id for one in mine} == {f"p{number}"}
        assert len(mine) == 2
        expected = [[covered(one, start, size) for one in mine] for start in starts]
        np.testing.assert_allclose(fractions, expected, rtol=1e-12)


def test_chances_are_uniform_and_differ_between_keys() -> None:
    drawn = np.array([chances(8, 7, step) for step in range(4000)])
    assert drawn.min() >= 0
    assert drawn.max() < 1
    counts = np.histogram(drawn, bins=16, range=(0, 1))[0]
    assert ((counts - 2000) ** 2 / 2000).sum() < 45  # chi square, 15 degrees of freedom, p < 1e-4 beyond
    assert len(np.unique(drawn)) == drawn.size
    assert chances(3, 7, 1) == chances(8, 7, 1)[:3]


@given(order=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=9), more=st.integers(0, 5))
@settings(max_examples=80, deadline=None)
def test_companions_are_drawn_without_replacement(order: list[float], more: int) -> None:
    n = len(order) + more
    drawn = [_drawn_last(order[: count + 1], n) for count in range(len(order))]
    assert len(set(drawn)) == len(drawn)
    assert set(drawn) <= set(range(n))


def test_each_companion_is_equally_likely() -> None:
    counts = Counter(_drawn_last(chances(3, 1, step), 6) for step in range(6000))
    assert min(counts.values()) > 880
    assert max(counts.values()) < 1120


def test_covered_fraction_counts_what_a_crop_could_hold() -> None:
    small, large = Box((10, 10, 10), (14, 14, 14)), Box((0, 0, 0), (100, 100, 100))
    assert covered_fraction(small, (8, 8, 8), 16) == 1.0
    assert covered_fraction(large, (40, 40, 40), 16) == 1.0
    assert covered_fraction(small, (12, 8, 8), 16) == 0.5
    assert covered_fraction(small, (50, 8, 8), 16) == 0.0


def test_a_pointer_wins_for_its_sentence(tiny_dataset: Path, tmp_path: Path) -> None:
    import shutil

    root = tmp_path / "dataset"
    shutil.copytree(tiny_dataset, root)
    rows = read_rows(root / "regions.parquet", contract.REGIONS)
    rows.append(
        {
            "volume_id": "volume000",
            "region": "liver",
            "source": "pointer",
            "start_ijk": [1, 2, 3],
            "size_ijk": [4, 5, 6],
            "confidence": 0.9,
            "sentence_id": "report000-2",
        }
    )
    write_table(root / "regions.parquet", rows, contract.REGIONS)
    by_id = {one.sentence_id: one for one in _catalogue(root).located}
    assert by_id["report000-2"].boxes == (("liver", Box((1, 2, 3), (5, 7, 9))),)
    assert by_id["report001-2"].boxes[0][1] != Box((1, 2, 3), (5, 7, 9))


def test_shuffled_reports_come_from_other_patients(tiny_dataset: Path) -> None:
    for one in _catalogue(tiny_dataset, shuffled_reports=True).sentences:
        assert one.sentence_id[6:9] != one.pair_id[4:7]


def test_excluded_pairs_and_other_sections_are_not_drawn(tiny_dataset: Path, tmp_path: Path) -> None:
    import shutil

    root = tmp_path / "dataset"
    shutil.copytree(tiny_dataset, root)
    verdicts = [{"pair_id": "pair000", "verdict": "reject", "updated_at": ""}]
    write_table(root / "verdicts.parquet", verdicts, contract.VERDICT_ROWS)
    rows = read_rows(root / "sentences.parquet", contract.SENTENCES)
    for row in rows:
        if row["sentence_id"] == "report001-0":
            row["section"] = "indication"
    write_table(root / "sentences.parquet", rows, contract.SENTENCES)
    ids = {one.sentence_id for one in _catalogue(root).sentences}
    assert not any(name.startswith("report000") for name in ids)
    assert "report001-0" not in ids
    assert "report001-1" in ids


def test_a_split_without_boxes_says_so(tmp_path: Path) -> None:
    root = write_tiny_dataset(tmp_path / "dataset", n_patients=5)
    write_table(root / "regions.parquet", [], contract.REGIONS)
    with pytest.raises(DataError, match="located region"):
        _catalogue(root)


def test_padding_only_volumes_stop_with_the_pair(tmp_path: Path) -> None:
    root = write_tiny_dataset(tmp_path / "dataset", n_patients=5)
    for path in (root / "volumes").glob("*.nii"):
        write_nifti(path, np.full((40, 40, 40), -1024, np.int16), np.eye(4))
    with pytest.raises(DataError, match="pair00"):
        _batcher(root, tmp_path).make(0, range(4), 4)


def test_no_crop_holds_padding_only_where_half_of_the_volumes_do(tmp_path: Path) -> None:
    root = write_tiny_dataset(tmp_path / "dataset", n_patients=10)
    empty = sorted((root / "volumes").glob("*.nii"))[::2]
    for path in empty:
        write_nifti(path, np.full((40, 40, 40), -1024, np.int16), np.eye(4))
    sampler = _batcher(root, tmp_path).sampler
    room, n_redrawn = sampler.room(), 0
    for step in range(8):
        for slot, drawn in enumerate(sampler.samples(room, seed=0, step=step, slots=range(4), n_slots=4)):
            assert f"{drawn.volume_id}.nii" not in {path.name for path in empty}
            n_redrawn += drawn != draw(sampler.catalogue, seed=0, step=step, slot=slot, n_slots=4)
            for view, crop in zip(drawn.views, room, strict=True):
                assert crop.max() > -1024
                np.testing.assert_array_equal(crop, sampler.store.crop(drawn.volume_id, view.start_ijk, 24))
    assert n_redrawn > 5


@pytest.mark.parametrize("policy", ["aligned", "random", "whole"])
def test_batches_are_reproducible_whoever_makes_them(tiny_dataset: Path, tmp_path: Path, policy: str) -> None:
    batcher = _batcher(tiny_dataset, tmp_path, f"crop.policy={policy}")
    whole = batcher.make(5, range(4), 4)
    half = _batcher(tiny_dataset, tmp_path, f"crop.policy={policy}").make(5, range(2, 4), 4)
    threaded = next(iter(prefetched(batcher, [(5, range(4), 4)])))
    assert whole.draws[2:] == half.draws
    for name in ("views", "clean", "corrupted", "hidden", "ids", "held", "text_key", "normal_key"):
        assert (getattr(whole, name)[2:] == getattr(half, name)).all()
        assert (getattr(whole, name) == getattr(threaded, name)).all()
    assert whole.views.shape == (4, 2, 1, 24, 24, 24)
    assert whole.held[:, 0].any(dim=1).all()
