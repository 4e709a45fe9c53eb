"""The whole curation on a small export: what comes out, resumes, grows, is refused."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hospital import (
    PLANS,
    StudyPlan,
    curate,
    report_row,
    tree_hash,
    write_export,
    write_reports,
    write_slice,
    write_study,
)
from pydicom import dcmread

from curation.__main__ import main
from curation.contract import SCHEMA_VERSION, VERDICT_ROWS, Dataset
from curation.executor import WORKER_DIED, Failure
from curation.ledger import open_ledger
from curation.verify import verify_dataset
from t3dkit.tables import write_table
from t3dkit.verdict import Dropped
from volumes.reasons import DropReason


def reasons(dataset: Path, stage: str) -> dict[str, int]:
    return json.loads((dataset / "dataset.json").read_text())["counts"][stage]["reasons"]


def modified(root: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in (root, *root.rglob("*"))}


def summary(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def test_what_comes_out(made_dataset: Path):
    data = Dataset.open(made_dataset)
    assert len(data.rows("pairs")) == 4
    assert {row["link_rule"] for row in data.rows("pairs")} == {"accession"}
    assert reasons(made_dataset, "files") == {"NOT_DICOM": 1}
    assert reasons(made_dataset, "link_studies") == {"LINK_CONFLICT": 1, "UNMATCHED_STUDY": 1}
    assert reasons(made_dataset, "link_reports") == {"LINK_CONFLICT": 1}
    assert reasons(made_dataset, "stacks") == {"LINK_CONFLICT": 2, "LOCALIZER": 4, "UNMATCHED_STUDY": 2}
    assert len({row["patient_id"] for row in data.rows("pairs")}) == 3
    for row in data.rows("volumes"):
        assert row["spacing_mm"] == [3.0, 3.0, 3.0]
        assert row["n_slices_source"] == 20
    pointed = [row for row in data.rows("regions") if row["source"] == "pointer"]
    assert len(pointed) == 4
    cysts = [row for row in data.rows("sentences") if row["image_pointer"]]
    assert {row["regions"][0] for row in cysts} == {"kidney_right"}
    assert data.manifest["grid"] == {"spacing_mm": 3.0, "orientation": "RAS", "hu_range": [-1024, 3071]}
    assert "| convert | series | 4 | 4 | 0 |" in (made_dataset / "README.md").read_text()


def test_nothing_identifying_is_in_the_data_set(made_dataset: Path):
    data = Dataset.open(made_dataset)
    written = json.dumps(
        [data.rows(table) for table in ("pairs", "volumes", "reports", "sentences", "series", "dropped")]
    )
    written += (made_dataset / "README.md").read_text() + (made_dataset / "dataset.json").read_text()
    for plan in PLANS:
        for value in (plan.patient, plan.accession, plan.uid, *plan.name.split("^"), plan.date):
            assert value.casefold() not in written.casefold()


def test_the_private_folder_knows_who_is_who(made_dataset: Path):
    database = sqlite3.connect(made_dataset.with_name("set.private") / "ledger.sqlite")
    names = {kind for (kind,) in database.execute("SELECT DISTINCT kind FROM crosswalk")}
    assert names == {"patient", "study", "series", "volume", "report", "file"}
    reals = {value for (value,) in database.execute("SELECT value FROM crosswalk WHERE kind = 'study'")}
    assert reals == {plan.uid for plan in PLANS}
    known = {pseudonym for (pseudonym,) in database.execute("SELECT pseudonym FROM crosswalk")}
    for row in Dataset.open(made_dataset).rows("dropped"):
        if row["kind"] != "pair":  # a pair's id is that of its report and volume
            item = row["item_id"].rsplit("-", 1)[0] if row["kind"] == "series" else row["item_id"]
            assert item in known, f"nobody can say what this drop was: {row}"
    decided = dict(
        database.execute("SELECT item, others FROM (SELECT item, detail AS others FROM decision WHERE kind = 'study')")
    )
    assert json.loads(decided[PLANS[5].uid]), "the other side of a conflict is named"
    database.close()


def test_again_writes_nothing_and_processes_write_the_same(
    small_export: Path, own_dataset: Path, tmp_path: Path, capsys
):
    before, content = modified(own_dataset), tree_hash(own_dataset)
    ledger = own_dataset.with_name(f"{own_dataset.name}.private") / "ledger.sqlite"
    assert curate(small_export, own_dataset) == 0  # the copy lies elsewhere, which the ledger learns once
    held = ledger.read_bytes()
    assert curate(small_export, own_dataset) == 0
    assert ledger.read_bytes() == held
    capsys.readouterr()
    assert curate(small_export, own_dataset) == 0
    again = summary(capsys)
    assert (again["studies_processed"], again["files_changed"]) == (0, 0)
    assert modified(own_dataset) == before
    assert curate(small_export, tmp_path / "two", "--workers", "2") == 0
    assert tree_hash(tmp_path / "two") == content


def test_moved_or_reordered_input_gives_the_same_bytes(small_export: Path, made_dataset: Path, tmp_path: Path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(small_export, moved)
    rows = [report_row(plan) for plan in PLANS if plan.has_report]
    write_reports(moved / "reports.csv", rows[::-1])
    assert curate(moved, tmp_path / "set2") == 0
    assert tree_hash(tmp_path / "set2") == tree_hash(made_dataset)


def test_growth_does_only_what_is_new(small_export: Path, own_dataset: Path, tmp_path: Path, capsys):
    grown = tmp_path / "grown"
    shutil.copytree(small_export, grown)
    before = {row["pair_id"]: row for row in Dataset.open(own_dataset).rows("pairs")}
    late = StudyPlan(7, "MRN700107", "Halvorsen^Signe", "ACC5500107", "20210310")
    write_study(grown / "dicom" / "late", late)
    write_reports(grown / "reports.csv", [report_row(plan) for plan in (*PLANS, late) if plan.has_report])
    assert curate(grown, own_dataset) == 0
    assert summary(capsys)["studies_processed"] == 1
    after = {row["pair_id"]: row for row in Dataset.open(own_dataset).rows("pairs")}
    assert len(after) == 5
    assert all(after[pair_id] == row for pair_id, row in before.items())
    shutil.rmtree(grown / "dicom" / "late")
    assert curate(grown, own_dataset) == 0
    assert {row["pair_id"] for row in Dataset.open(own_dataset).rows("pairs")} == set(before)
    assert len(list((own_dataset / "volumes").rglob("*.nii"))) == 4


def test_a_changed_grid_redoes_the_volumes_and_a_changed_split_does_not(
    small_export: Path, own_dataset: Path, tmp_path, capsys
):
    export = tmp_path / "export"
    shutil.copytree(small_export, export)
    (export / "config.toml").write_text("[grid]\nspacing_mm = 3\n[volumes]\nmin_slices = 8\n[split]\nsalt = 'other'\n")
    assert curate(export, own_dataset) == 0
    assert summary(capsys)["studies_processed"] == 0
    (export / "config.toml").write_text("[grid]\nspacing_mm = 4\n[volumes]\nmin_slices = 8\n")
    assert curate(export, own_dataset) == 0
    assert summary(capsys)["studies_processed"] == 4
    assert {tuple(row["spacing_mm"]) for row in Dataset.open(own_dataset).rows("volumes")} == {(4.0, 4.0, 4.0)}


def test_a_lost_volume_is_made_again(small_export: Path, own_dataset: Path):
    content = tree_hash(own_dataset)
    next((own_dataset / "volumes").rglob("*.nii")).unlink()
    assert curate(small_export, own_dataset) == 0
    assert tree_hash(own_dataset) == content


def test_verdicts_are_folded_in(small_export: Path, own_dataset: Path):
    pairs = Dataset.open(own_dataset).rows("pairs")
    rows = [{"pair_id": pairs[0]["pair_id"], "verdict": "reject", "updated_at": "2021-01-01T00:00:00Z"}]
    write_table(own_dataset / "verdicts.parquet", rows, VERDICT_ROWS)
    assert curate(small_export, own_dataset) == 0
    folded = {row["pair_id"]: row["verdict"] for row in Dataset.open(own_dataset).rows("pairs")}
    assert folded == {row["pair_id"]: "reject" if row is pairs[0] else None for row in pairs}


def test_identity_faults_are_dropped_with_their_reasons(tmp_path: Path):
    plans = tuple(
        StudyPlan(20 + number, f"MRN8001{number}", f"Person{'abcdefgh'[number]}^Some", f"ACC66001{number}", "20210401")
        for number in range(5)
    )
    root = write_export(tmp_path / "export", plans)
    (root / "config.toml").write_text("[grid]\nspacing_mm = 4\n[volumes]\nmin_slices = 8\n")
    (root / "key").write_text("0" * 32)
    hu = np.full((64, 64), -1000.0)
    stray = {"PatientID": "MRN99999", "PatientName": "Other^Person"}
    write_slice(root / "dicom/x/conflict.dcm", plans[0], series=3, number=1, hu=hu, z_mm=0, **stray)
    write_slice(root / "dicom/x/nobody.dcm", plans[1], series=3, number=1, hu=hu, z_mm=0, PatientID="", PatientName="")
    write_slice(root / "dicom/x/test.dcm", plans[2], series=3, number=1, hu=hu, z_mm=0, PatientName="ZZTest^Phantom")
    taken = {"SOPInstanceUID": f"{plans[3].uid}.2.5"}
    write_slice(root / "dicom/x/collision.dcm", plans[3], series=4, number=1, hu=hu, z_mm=0, **taken)
    original = root / f"dicom/study{plans[4].number}/s2/i005.dcm"
    copied = dcmread(original)
    copied.SeriesInstanceUID = f"{plans[4].uid}.8"
    copied.save_as(root / "dicom/x/zcopy.dcm")
    assert curate(root, tmp_path / "set") == 0
    assert reasons(tmp_path / "set", "identity") == {"DUPLICATE_FILE": 1, "NO_PATIENT": 1, "UID_COLLISION": 2}
    assert reasons(tmp_path / "set", "studies") == {"PATIENT_CONFLICT": 1, "TEST_DATA": 1}
    assert reasons(tmp_path / "set", "link_reports") == {"LINK_CONFLICT": 1, "UNMATCHED_REPORT": 1}, (
        "the reports of dropped studies find no other study"
    )
    # the collision took one slice out of the middle of a series, which is then no volume
    assert reasons(tmp_path / "set", "pairs") == {"NO_VOLUME": 1}
    assert "GEOM_MISSING_SLICE" in reasons(tmp_path / "set", "stacks")


def test_copies_of_a_volume_and_leaking_texts_are_withheld(tmp_path: Path):
    one = StudyPlan(40, "MRN810001", "Marsh^Heather", "ACC7700001", "20210401")
    twin = StudyPlan(40, "MRN810002", "Bexleyheath^Tom", "ACC7700002", "20210402")
    other = StudyPlan(41, "MRN810003", "Cricklewood^Ann", "ACC7700003", "20210403")
    root = write_export(tmp_path / "export", (one, other))
    write_study(root / "dicom" / "twin", twin)
    for path in (root / "dicom" / "twin").rglob("*.dcm"):
        header = dcmread(path)
        header.StudyInstanceUID += ".77"
        header.SeriesInstanceUID += ".77"
        header.SOPInstanceUID += ".77"
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
        header.save_as(path)
    rows = [report_row(plan) for plan in (one, twin, other)]
    # another patient's name, of ordinary words in lower case: neither a rule nor this study's own headers can know it
    rows[2]["report_text"] += " Unchanged from marsh heather of last week."
    write_reports(root / "reports.csv", rows)
    (root / "config.toml").write_text("[grid]\nspacing_mm = 4\n[volumes]\nmin_slices = 8\n")
    (root / "key").write_text("0" * 32)
    assert curate(root, tmp_path / "set") == 0
    assert reasons(tmp_path / "set", "release") == {"DEID_LEAK": 1, "DUPLICATE_VOLUME": 1}
    assert "aldersgate" not in json.dumps(Dataset.open(tmp_path / "set").rows("sentences"))
    findings, _summary = verify_dataset(tmp_path / "set")
    assert not findings


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ("empty", 1, "no DICOM image"),
        ("columns", 2, "column"),
        ("absent", 2, "does not exist"),
        ("newer", 1, "update t3dkit"),
        ("key", 2, "another key"),
        ("config", 2, "did you mean 'spacing_mm'"),
        ("inside", 2, "inside the export"),
        ("foreign", 2, "no data set of ours"),
    ],
)
def test_bad_input_is_a_message_and_a_code(
    small_export: Path, own_dataset: Path, tmp_path: Path, capsys, change: str, code: int, message: str
):
    export, dataset = tmp_path / "export", own_dataset
    shutil.copytree(small_export, export, ignore=shutil.ignore_patterns("study[2-9]"))
    if change == "empty":
        shutil.rmtree(export / "dicom")
        (export / "dicom").mkdir()
        dataset = tmp_path / "fresh"
    elif change == "columns":
        (export / "reports.csv").write_text("a,b\n1,2\n")
    elif change == "absent":
        shutil.rmtree(export / "dicom")
    elif change == "newer":
        manifest = json.loads((dataset / "dataset.json").read_text())
        (dataset / "dataset.json").write_text(json.dumps(manifest | {"schema_version": SCHEMA_VERSION + 1}))
    elif change == "key":
        (export / "key").write_text("f" * 40)
    elif change == "config":
        (export / "config.toml").write_text("[grid]\nspacing = 3\n")
    elif change == "inside":
        dataset = export / "dicom" / "set"
    elif change == "foreign":
        dataset = tmp_path / "holiday"
        dataset.mkdir()
        (dataset / "photo.jpg").write_bytes(b"x")
    before = tree_hash(own_dataset)
    assert curate(export, dataset) == code
    assert message in capsys.readouterr().err
    assert tree_hash(own_dataset) == before


def test_a_second_run_at_once_is_refused(small_export: Path, own_dataset: Path, capsys):
    with open_ledger(own_dataset.with_name("set.private")):
        assert curate(small_export, own_dataset) == 1
    assert "another run is at work" in capsys.readouterr().err


def test_no_pair_at_all_is_an_error_that_points_to_the_card(small_export: Path, tmp_path: Path):
    export = tmp_path / "export"
    shutil.copytree(small_export, export)
    write_reports(export / "reports.csv", [report_row(StudyPlan(9, "MRN1", "Nobody^At", "ACC1", "20000101"))])
    assert curate(export, tmp_path / "set") == 1
    assert "UNMATCHED_STUDY" in (tmp_path / "set" / "README.md").read_text()


def test_a_demo_export_is_curated_without_its_truth(small_export: Path, tmp_path: Path):
    from curation.index import dicom_root

    (tmp_path / "truth").mkdir()
    (tmp_path / "dicom").mkdir()
    assert dicom_root(tmp_path) == tmp_path / "dicom"
    assert dicom_root(tmp_path / "dicom") == tmp_path / "dicom"
    assert dicom_root(small_export) == small_export, "a folder called dicom alone makes no demo export"


def test_every_command_teaches(capsys):
    for command in ("run", "verify", "audit", "export", "demo", "labels", "config"):
        assert main([command, "--help"]) == 0
        assert "python -m curation" in capsys.readouterr().out


def test_an_institutions_words_are_read(small_export: Path, own_dataset: Path, tmp_path: Path, capsys):
    export = tmp_path / "export"
    shutil.copytree(small_export, export)
    rows = [report_row(plan) for plan in PLANS if plan.has_report]
    for row in rows:
        row["report_text"] = row["report_text"].replace("FINDINGS:", "SCAN WORDS:")
    write_reports(export / "reports.csv", rows)
    assert curate(export, own_dataset) == 0
    sections = {row["section"] for row in Dataset.open(own_dataset).rows("sentences")}
    assert "findings" not in sections
    (export / "words.toml").write_text('[headings]\nfindings = ["scan words"]\n')
    (export / "config.toml").write_text((export / "config.toml").read_text() + '[reports]\nprofile = "words.toml"\n')
    assert curate(export, own_dataset) == 0
    sections = {row["section"] for row in Dataset.open(own_dataset).rows("sentences")}
    assert "findings" in sections


def summaries(export: Path, dataset: Path, capsys, *more: tuple[str, ...]) -> list[dict]:
    """What a run says, and again, and once with each of `more`."""
    told = []
    for words in ((), (), (), *more):
        assert curate(export, dataset, *words) == 0
        told.append(summary(capsys) | {"hash": tree_hash(dataset)})
    return told


def test_a_stack_that_met_its_limits_twice_is_tried_again_only_when_asked(
    small_export: Path, made_dataset: Path, tmp_path: Path, capsys, monkeypatch
):
    import volumes.convert

    sound = volumes.convert.convert_stack
    poison = PLANS[1].uid

    def limited(stack, grid):
        is_poison = stack.head.study_instance_uid == poison
        return Dropped(DropReason.RESOURCE_LIMIT, "planted") if is_poison else sound(stack, grid)

    monkeypatch.setattr(volumes.convert, "convert_stack", limited)
    told = summaries(small_export, tmp_path / "set", capsys, ("--retry",))
    assert [one["studies_processed"] for one in told] == [4, 1, 0, 1]
    assert len({one["hash"] for one in told}) == 1, "another try does not show in the data set"
    assert reasons(tmp_path / "set", "convert") == {"RESOURCE_LIMIT": 1}
    monkeypatch.setattr(volumes.convert, "convert_stack", sound)
    assert curate(small_export, tmp_path / "set", "--retry") == 0
    assert tree_hash(tmp_path / "set") == tree_hash(made_dataset)


def test_a_study_and_a_file_that_kill_their_workers_twice_are_left_alone(
    small_export: Path, made_dataset: Path, tmp_path: Path, capsys, monkeypatch
):
    import curation.executor

    export = tmp_path / "export"
    shutil.copytree(small_export, export)
    (export / "dicom" / "poison.dcm").write_bytes(bytes(128) + b"DICM")
    sound, tried = curation.executor.guarded, []

    def deadly(function, argument):
        is_file = function.__name__ == "index_chunk" and "poison.dcm" in {ref.name for ref, _stamp in argument}
        is_study = function.__name__ == "process_study" and PLANS[1].uid in Path(argument).read_text()
        if is_file or is_study:
            tried.append("file" if is_file else "study")
            return Failure(WORKER_DIED)
        return sound(function, argument)

    monkeypatch.setattr(curation.executor, "guarded", deadly)
    told = summaries(export, tmp_path / "set", capsys)
    assert tried == ["file", "file", "study", "file", "study"], "the file among its neighbours and alone, then alone"
    assert len({one["hash"] for one in told}) == 1
    assert reasons(tmp_path / "set", "process") == {"RESOURCE_LIMIT": 1}
    assert reasons(tmp_path / "set", "files") == {"NOT_DICOM": 1, "RESOURCE_LIMIT": 1}
    assert verify_dataset(tmp_path / "set")[0] == []
