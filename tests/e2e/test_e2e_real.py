"""The whole curation on the public series and notes beside the checkout; skips where they are absent."""

import csv

import pytest
from programs import run_command, summary_of, write_config

from benchmarks.real_export import DATA, LOST_NOTE, NOTE_OF_STUDY, assemble
from curation.contract import Dataset

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real,
    pytest.mark.xdist_group("real"),
    pytest.mark.skipif(not DATA.is_dir(), reason=f"the real data is not there ({DATA})"),
]


@pytest.fixture(scope="module")
def real_dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    dicom, reports = assemble(folder)
    config = write_config(folder / "site.toml", "[grid]\nspacing_mm = 3.0\n")
    words = ("curation", "run", dicom, "--reports", reports, "--out", folder / "dataset", "--config", config)
    return folder / "dataset", summary_of(run_command(*words, "--workers", 1))


def test_every_file_series_and_report_is_accounted_for(real_dataset):
    root, summary = real_dataset
    dataset = Dataset.open(root)
    for stage, count in summary["counts"].items():
        assert count["in"] == count["kept"] + count["dropped"], stage
    assert summary["counts"]["files"]["in"] > 800
    # the leg study of this export is a phantom's, so its report loses its study
    assert len(dataset.rows("pairs")) == len(NOTE_OF_STUDY) - 1
    assert {"REPORT_OBJECT", "DICOMDIR", "NOT_DICOM"} & {row["reason"] for row in dataset.rows("dropped")}


def test_the_sentences_slice_back_and_the_lost_report_is_named(real_dataset):
    root, _summary = real_dataset
    dataset = Dataset.open(root)
    text_of = {row["report_id"]: row["text"] for row in dataset.rows("reports")}
    rows = dataset.rows("sentences")
    assert len(rows) > 100
    for row in rows:
        assert text_of[row["report_id"]][row["char_start"] : row["char_end"]] == row["text"]
    with open(DATA / "mtsamples" / "notes.csv", newline="", encoding="utf-8") as file:
        lost = next(row["text"] for row in csv.DictReader(file) if row["note_id"] == LOST_NOTE)
    assert all(text[:80] not in lost for text in text_of.values())
    assert any(row["reason"] == "UNMATCHED_REPORT" for row in dataset.rows("dropped"))


def test_the_regions_that_are_located_are_those_that_the_series_show(real_dataset):
    root, _summary = real_dataset
    seen = {region for row in Dataset.open(root).rows("volumes") for region in row["body_regions"]}
    assert {"chest", "abdomen"} <= seen
