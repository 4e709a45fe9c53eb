"""A text that names another patient is no pair, unless the configuration asks for a flag only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hospital import CONFIG, KEY, StudyPlan, curate, report_row, write_export, write_reports

from curation.contract import Dataset
from curation.mistaken import MAX_OTHERS, naming_others
from curation.suspicion.clues import Clues, SourceRow, Who

PLANS = tuple(
    StudyPlan(90 + n, f"MRN95000{n}", name, f"ACC95000{n}", f"2021040{n + 1}")
    for n, name in enumerate(("Ashgrove^Robin", "Birchall^Robin", "Cawthorne^Robin"))
)


def row(number: int, owner: str, *named: str) -> SourceRow:
    return SourceRow(number, Clues(frozenset(named)), f"r{number}", f"s{number}", Who(owner))


def test_a_text_that_names_another_and_not_its_own_is_mistaken():
    assert naming_others([row(1, "a", "b"), row(2, "b", "b"), row(3, "c"), row(4, "d", "d", "a")]) == {"r1"}


def test_a_row_without_a_study_is_nobodys():
    assert naming_others([SourceRow(1, Clues(frozenset("b")), "r1"), SourceRow(2, Clues(frozenset("b")))]) == set()


def test_who_is_named_in_many_patients_texts_works_there():
    few = [row(n, f"p{n}", "radiologist") for n in range(MAX_OTHERS)]
    assert naming_others(few) == {"r0", "r1"}
    assert naming_others([*few, row(9, "p9", "radiologist")]) == set()


@pytest.mark.parametrize(("policy", "n_pairs"), [("drop", 2), ("flag", 3)])
def test_a_pair_whose_text_holds_another_patients_number(tmp_path: Path, policy: str, n_pairs: int):
    root = write_export(tmp_path / "export", PLANS)
    rows = [report_row(plan) for plan in PLANS]
    rows[0]["report_text"] = rows[0]["report_text"].replace("Ashgrove", "The patient")
    rows[0]["report_text"] += f"\nMRN: {PLANS[1].patient}"
    write_reports(root / "reports.csv", rows)
    (root / "config.toml").write_text(CONFIG + f'[link]\nother_patient = "{policy}"\n')
    (root / "key").write_text(KEY)
    assert curate(root, tmp_path / "set") == 0
    data = Dataset.open(tmp_path / "set")
    assert len(data.rows("pairs")) == n_pairs
    counts = json.loads((tmp_path / "set" / "dataset.json").read_text())["counts"]["release"]
    assert counts["reasons"] == ({"OTHER_PATIENT_NAMED": 1} if policy == "drop" else {})
    assert sum("TEXT_OTHER_PATIENT" in pair["flags"] for pair in data.rows("pairs")) == (policy == "flag")
