"""Splits: of the patient alone, stable under growth, and copies do not cross."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from curation.config import SplitConfig
from curation.contract import SPLITS
from curation.reasons import DropReason
from curation.splits import crossing, leave_out_copies, split_of, text_key


@given(st.text(min_size=1, max_size=20))
@settings(deadline=None, max_examples=100)
def test_a_split_is_a_function_of_patient_salt_and_fractions(patient: str):
    assert split_of(patient, SplitConfig()) == split_of(patient, SplitConfig()) in SPLITS
    assert split_of(patient, SplitConfig(train=1, validation=0, test=0)) == "train"
    assert split_of(patient, SplitConfig(train=0, validation=0, test=1)) == "test"


def test_fractions_are_kept_and_salt_deals_anew():
    patients = [f"{number:016x}" for number in range(20_000)]
    counts = Counter(split_of(patient, SplitConfig()) for patient in patients)
    for split, fraction in (("train", 0.8), ("validation", 0.1), ("test", 0.1)):
        assert abs(counts[split] / len(patients) - fraction) < 0.01
    moved = sum(split_of(p, SplitConfig()) != split_of(p, SplitConfig(salt="other")) for p in patients)
    assert moved > 0.25 * len(patients)


def test_a_larger_train_share_takes_from_the_others_only():
    for number in range(2000):
        before = split_of(str(number), SplitConfig(train=0.6, validation=0.2, test=0.2))
        after = split_of(str(number), SplitConfig(train=0.7, validation=0.2, test=0.1))
        assert not (before == "train" and after != "train")


def pair(number: int, split: str, *, study: int | None = None) -> dict:
    return {
        "pair_id": f"p{number}", "study_id": f"s{number if study is None else study}", "volume_id": f"v{number}",
        "report_id": f"r{number}", "split": split, "patient_id": f"x{number}",
    }  # fmt: skip


def test_a_copied_volume_stays_once():
    pairs = [pair(2, "test"), pair(1, "train"), pair(3, "train")]
    kept, out = leave_out_copies(
        pairs, volume_hash={"v1": "h", "v2": "h", "v3": "i"}, report_key={"r1": "a", "r2": "b", "r3": "c"}
    )
    assert [row["pair_id"] for row in kept] == ["p1", "p3"]
    assert [(row["pair_id"], reason) for row, reason in out] == [("p2", DropReason.DUPLICATE_VOLUME)]


def test_a_text_stays_in_the_first_split_that_has_it():
    pairs = [pair(1, "test"), pair(2, "train"), pair(3, "train"), pair(4, "validation")]
    hashes = {f"v{number}": str(number) for number in range(5)}
    kept, out = leave_out_copies(pairs, volume_hash=hashes, report_key={"r1": "a", "r2": "a", "r3": "a", "r4": "b"})
    assert [row["pair_id"] for row in kept] == ["p2", "p3", "p4"]
    assert [(row["pair_id"], reason) for row, reason in out] == [("p1", DropReason.DUPLICATE_REPORT)]


@given(st.lists(st.tuples(st.sampled_from(SPLITS), st.integers(0, 3), st.integers(0, 3)), max_size=12))
@settings(deadline=None, max_examples=150)
def test_nothing_crosses_and_nothing_is_lost(parts: list[tuple[str, int, int]]):
    pairs = [pair(number, split) for number, (split, _v, _r) in enumerate(parts)]
    hashes = {f"v{number}": str(volume) for number, (_s, volume, _r) in enumerate(parts)}
    texts = {f"r{number}": str(text) for number, (_s, _v, text) in enumerate(parts)}
    kept, out = leave_out_copies(pairs, volume_hash=hashes, report_key=texts)
    assert len(kept) + len(out) == len(pairs)
    assert not crossing(kept, lambda row: hashes[row["volume_id"]])
    assert not crossing(kept, lambda row: texts[row["report_id"]])


def test_texts_are_compared_without_case_and_punctuation():
    assert text_key("No  Nodule.\nNormal") == text_key("no nodule; normal") != text_key("no nodules normal")
