"""A withdrawn patient leaves at once, stays away, and what changed is listed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hospital import PLANS, StudyPlan, curate, report_row, tree_hash, write_reports, write_study

from curation.__main__ import main
from curation.contract import Dataset, private_folder
from curation.ledger import open_ledger
from curation.verify import verify_dataset

TWO_STUDIES = "MRN700101"


def withdraw(dataset: Path, names: str, tmp_path: Path) -> int:
    (tmp_path / "names.txt").write_text(names)
    return main(["withdraw", str(dataset), str(tmp_path / "names.txt"), "--quiet"])


def pseudonym(dataset: Path, patient: str) -> str:
    with open_ledger(private_folder(dataset)) as ledger:
        return next(p for p, owner in ledger.crosswalk("patient").items() if owner.endswith(patient))


def test_everything_of_the_patient_leaves_and_stays_away(small_export: Path, own_dataset: Path, tmp_path, capsys):
    patient = pseudonym(own_dataset, TWO_STUDIES)
    gone = [row for row in Dataset.open(own_dataset).rows("pairs") if row["patient_id"] == patient]
    labels = own_dataset / "labels" / "organs"
    labels.mkdir(parents=True)
    (labels / f"{gone[0]['volume_id']}.nii").write_bytes(b"a label map")
    assert withdraw(own_dataset, f"{TWO_STUDIES}\n", tmp_path) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["changes"] == {name: {"removed": 2} for name in ("pairs", "volumes", "reports")}
    data = Dataset.open(own_dataset)
    assert len(data.rows("pairs")) == len(data.rows("volumes")) == len(data.rows("reports")) == 2
    assert not list(labels.iterdir())
    left = b"".join(path.read_bytes() for path in own_dataset.rglob("*.nii"))
    assert left
    for row in gone:
        assert not list(own_dataset.rglob(f"{row['volume_id']}*"))
    withheld = {row["item_id"] for row in data.rows("dropped") if row["reason"] == "CONSENT_WITHDRAWN"}
    assert {row["pair_id"] for row in gone} <= withheld
    assert verify_dataset(own_dataset)[0] == []

    late = StudyPlan(7, TWO_STUDIES, "Quillfeather^Augusta", "ACC5500107", "20211001")  # of the same patient
    export = tmp_path / "export"
    shutil.copytree(small_export, export)
    write_study(export / "dicom" / "late", late)
    write_reports(export / "reports.csv", [report_row(plan) for plan in (*PLANS, late) if plan.has_report])
    assert curate(export, own_dataset) == 0
    data = Dataset.open(own_dataset)
    assert patient not in {row["patient_id"] for row in data.rows("pairs")}
    assert data.manifest["counts"]["studies"]["reasons"] == {"CONSENT_WITHDRAWN": 3}


def test_a_pseudonym_names_a_patient_and_again_changes_nothing(own_dataset: Path, tmp_path: Path, capsys):
    patient = Dataset.open(own_dataset).rows("pairs")[0]["patient_id"]
    assert withdraw(own_dataset, patient, tmp_path) == 0
    before = tree_hash(own_dataset)
    lines = (private_folder(own_dataset) / "changes.jsonl").read_text().splitlines()
    assert [json.loads(line)["cause"] for line in lines] == ["run", "withdraw"]
    capsys.readouterr()
    assert withdraw(own_dataset, patient, tmp_path) == 0
    assert json.loads(capsys.readouterr().out)["changes"] == {}
    assert tree_hash(own_dataset) == before
    assert (private_folder(own_dataset) / "changes.jsonl").read_text().splitlines() == lines


@pytest.mark.parametrize(("names", "code"), [("MRN999999\n", 2), ("\n \n", 2)])
def test_nobody_is_withdrawn_by_mistake(own_dataset: Path, tmp_path: Path, capsys, names: str, code: int):
    before = tree_hash(own_dataset)
    assert withdraw(own_dataset, names, tmp_path) == code
    assert "MRN999999" not in capsys.readouterr().err
    assert tree_hash(own_dataset) == before


def test_a_run_lists_what_it_changed(small_export: Path, own_dataset: Path, tmp_path: Path, capsys):
    export = tmp_path / "export"
    shutil.copytree(small_export, export)
    rows = [report_row(plan) for plan in PLANS if plan.has_report]
    rows[0]["report_text"] = rows[0]["report_text"].replace("unremarkable", "mildly enlarged")
    write_reports(export / "reports.csv", rows)
    assert curate(export, own_dataset) == 0
    changes = json.loads(capsys.readouterr().out)["changes"]
    assert changes["reports"] in ({"changed": 1}, {"added": 1, "removed": 1})
    assert "volumes" not in changes
