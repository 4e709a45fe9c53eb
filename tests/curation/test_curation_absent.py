"""What an export lacks: UIDs, files that cannot be read, images that a directory lists, the end of a series.

Each fault is curated once as it is and once grown: the second must be what a first run on the grown export gives.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hospital import CONFIG, StudyPlan, configured, curate, report_row, tree_hash, write_reports, write_study
from pydicom import dcmread
from pydicom.dataset import Dataset as DicomDataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from curation.absent import read_media as sound
from curation.contract import Dataset
from curation.ledger import LEDGER_VERSION, FileRow, open_ledger
from volumes.records import FileRef

ONE = StudyPlan(71, "MRN930001", "Aldersgate^Nell", "ACC9300001", "20210401")
TWO = StudyPlan(72, "MRN930002", "Bexleyheath^Tom", "ACC9300002", "20210402")
N_SLICES = 12


@pytest.fixture
def export(tmp_path: Path) -> Path:
    root = tmp_path / "export"
    for plan in (ONE, TWO):
        write_study(root / "dicom" / f"study{plan.number}", plan, n_slices=N_SLICES)
    write_reports(root / "reports.csv", [report_row(ONE), report_row(TWO)])
    return configured(root)


def images(export: Path, plan: StudyPlan = ONE) -> list[Path]:
    return sorted((export / "dicom" / f"study{plan.number}" / "s2").glob("*.dcm"))


def change(path: Path, edit: Callable[[DicomDataset], None]) -> None:
    header = dcmread(path)
    edit(header)
    header.save_as(path, enforce_file_format=False)


def without(*keywords: str) -> Callable[[DicomDataset], None]:
    def edit(header: DicomDataset) -> None:
        for keyword in keywords:
            del header[keyword]
        if "SOPInstanceUID" in keywords:
            del header.file_meta.MediaStorageSOPInstanceUID

    return edit


def reasons(dataset: Path, stage: str) -> dict[str, int]:
    return json.loads((dataset / "dataset.json").read_text())["counts"][stage]["reasons"]


def repairs(dataset: Path, plan: StudyPlan) -> set[str]:
    """Codes on the volumes of one plan's study, found by the number of its cyst."""
    data = Dataset.open(dataset)
    reports = {row["report_id"] for row in data.rows("reports") if f"{10 + plan.number} mm cyst" in row["text"]}
    volumes = {row["volume_id"] for row in data.rows("pairs") if row["report_id"] in reports}
    assert volumes, "the study has a pair"
    return {item["code"] for row in data.rows("volumes") if row["volume_id"] in volumes for item in row["repairs"]}


def same_as_fresh(export: Path, dataset: Path) -> bool:
    """Whether going on with a data set gives the bytes of a first run on the same export; then nothing changes."""
    assert curate(export, dataset) == 0
    grown = tree_hash(dataset)
    fresh = dataset.with_name("fresh")
    assert curate(export, fresh) == 0
    assert curate(export, dataset) == 0
    return grown == tree_hash(fresh) == tree_hash(dataset)


@pytest.mark.parametrize(
    "gone",
    [
        ("SeriesInstanceUID",),
        ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
    ],
)
def test_a_study_without_uids_makes_its_pair_and_says_so(export: Path, tmp_path: Path, gone: tuple[str, ...], capsys):
    for path in (export / "dicom" / "study71").rglob("*.dcm"):
        change(path, without(*gone))
    assert curate(export, tmp_path / "set") == 0
    assert "NO_UID" not in reasons(tmp_path / "set", "files")
    assert "UID_SYNTHESISED" in repairs(tmp_path / "set", ONE)
    assert "UID_SYNTHESISED" not in repairs(tmp_path / "set", TWO)
    capsys.readouterr()
    assert curate(export, tmp_path / "set") == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["studies_processed"], again["files_changed"]) == (0, 0)


def test_a_late_neighbour_counts_as_one_that_came_at_once(export: Path, tmp_path: Path):
    paths = images(export)
    late = tmp_path / "late"
    late.mkdir()
    for path in paths[6:]:  # these name their series, and come later
        shutil.move(path, late / path.name)
    for path in paths[:6]:
        change(path, without("SeriesInstanceUID"))
    assert curate(export, tmp_path / "set") in (0, 1)
    for path in paths[6:]:
        shutil.move(late / path.name, path)
    assert same_as_fresh(export, tmp_path / "set")
    data = Dataset.open(tmp_path / "set")
    assert [row["n_slices_source"] for row in data.rows("volumes")] == [N_SLICES, N_SLICES]
    assert "UID_SYNTHESISED" in repairs(tmp_path / "set", ONE)


def test_images_without_uids_of_two_patients_in_one_folder_are_dropped(export: Path, tmp_path: Path):
    for path in images(export, TWO):
        shutil.move(path, images(export)[0].with_name(f"other-{path.name}"))
    for path in images(export):
        change(path, without("SeriesInstanceUID"))
    assert curate(export, tmp_path / "set") == 1
    assert reasons(tmp_path / "set", "files") == {"NO_UID": 2 * N_SLICES}
    for path in images(export):  # one of the two leaves: now it is plain who belongs together
        if path.name.startswith("other-"):
            path.unlink()
    assert same_as_fresh(export, tmp_path / "set")
    assert "UID_SYNTHESISED" in repairs(tmp_path / "set", ONE)


def test_a_series_that_ends_before_its_sibling_is_flagged(export: Path, tmp_path: Path):
    (export / "config.toml").write_text(CONFIG + "per_study = 2\n")
    for path in images(export)[:-2]:

        def as_sibling(header: DicomDataset) -> None:
            header.SeriesInstanceUID += ".5"
            header.SOPInstanceUID += ".5"
            header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
            header.ConvolutionKernel = "B50f"
            header.SeriesNumber = 5

        sibling = path.parent.with_name("s5") / path.name
        sibling.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, sibling)
        change(sibling, as_sibling)
    assert curate(export, tmp_path / "set") == 0
    volumes = Dataset.open(tmp_path / "set").rows("volumes")
    cropped = {row["n_slices_source"]: "POSSIBLY_CROPPED" in {r["code"] for r in row["repairs"]} for row in volumes}
    assert cropped == {N_SLICES: False, N_SLICES - 2: True}


def media(paths: list[Path]) -> FileDataset:
    """A DICOMDIR of one series."""
    first = dcmread(paths[0])
    named = [
        {"DirectoryRecordType": "PATIENT", "PatientID": first.PatientID},
        {"DirectoryRecordType": "STUDY", "StudyInstanceUID": first.StudyInstanceUID},
        {"DirectoryRecordType": "SERIES", "SeriesInstanceUID": first.SeriesInstanceUID},
    ]
    named += [
        {"DirectoryRecordType": "IMAGE", "ReferencedSOPInstanceUIDInFile": dcmread(path).SOPInstanceUID}
        for path in paths
    ]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MediaStorageDirectoryStorage, "1.2.3.77"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    directory = FileDataset("", {}, preamble=bytes(128), file_meta=meta)
    records = []
    for values in named:
        record = DicomDataset()
        for keyword, value in values.items():
            setattr(record, keyword, value)
        records.append(record)
    directory.DirectoryRecordSequence = records
    return directory


def test_a_series_of_which_the_directory_lists_more_is_held_back(export: Path, tmp_path: Path):
    paths = images(export)
    media(paths).save_as(export / "dicom" / "DICOMDIR", enforce_file_format=True)
    shutil.move(paths[-1], tmp_path / "late.dcm")
    assert curate(export, tmp_path / "set") == 0
    assert reasons(tmp_path / "set", "stacks")["EXPORT_INCOMPLETE"] == 1
    assert reasons(tmp_path / "set", "pairs") == {"NO_VOLUME": 1}
    shutil.move(tmp_path / "late.dcm", paths[-1])
    assert same_as_fresh(export, tmp_path / "set")
    assert "EXPORT_INCOMPLETE" not in reasons(tmp_path / "set", "stacks")
    assert len(Dataset.open(tmp_path / "set").rows("pairs")) == 2


def test_a_media_directory_is_read_once_and_again_when_it_changed(export: Path, tmp_path: Path, monkeypatch):
    import curation.absent

    paths = images(export)
    media(paths).save_as(export / "dicom" / "DICOMDIR", enforce_file_format=True)
    read: list[str] = []
    monkeypatch.setattr(curation.absent, "read_media", lambda ref: read.append(ref.name) or sound(ref))
    assert [curate(export, tmp_path / "set") for _ in range(2)] == [0, 0]
    assert read == ["DICOMDIR"]
    shutil.move(paths[-1], tmp_path / "late.dcm")
    assert curate(export, tmp_path / "set") == 0
    assert read == ["DICOMDIR"]
    assert reasons(tmp_path / "set", "stacks")["EXPORT_INCOMPLETE"] == 1, "compared anew, though not read anew"
    media(paths[:-1]).save_as(export / "dicom" / "DICOMDIR", enforce_file_format=True)
    assert curate(export, tmp_path / "set") == 0
    assert read == ["DICOMDIR"] * 2
    assert "EXPORT_INCOMPLETE" not in reasons(tmp_path / "set", "stacks")


def test_a_file_beside_a_series_that_cannot_be_read_is_a_flag(export: Path, tmp_path: Path):
    beside = images(export)[0].with_name("i099.dcm")
    beside.write_bytes(b"")
    assert curate(export, tmp_path / "set") == 0
    assert "POSSIBLY_CROPPED" in repairs(tmp_path / "set", ONE)
    assert "POSSIBLY_CROPPED" not in repairs(tmp_path / "set", TWO)
    beside.unlink()
    assert same_as_fresh(export, tmp_path / "set")
    assert "POSSIBLY_CROPPED" not in repairs(tmp_path / "set", ONE)


def test_a_file_that_changed_since_the_index_holds_its_series_back(export: Path, tmp_path: Path, monkeypatch):
    """Here the last slice: the rest would look like a whole, shorter series."""
    import curation.study

    stamp_of = curation.study.stamp_of
    last = images(export)[-1].name
    monkeypatch.setattr(
        curation.study, "stamp_of", lambda ref: "changed" if ref.name == f"study71/s2/{last}" else stamp_of(ref)
    )
    assert curate(export, tmp_path / "set") == 0
    assert reasons(tmp_path / "set", "reread") == {"UNSTABLE_INPUT": 1}
    assert reasons(tmp_path / "set", "stacks")["UNSTABLE_INPUT"] == 1
    assert reasons(tmp_path / "set", "pairs") == {"NO_VOLUME": 1}
    monkeypatch.undo()
    assert same_as_fresh(export, tmp_path / "set")
    assert len(Dataset.open(tmp_path / "set").rows("pairs")) == 2


def test_a_ledger_of_version_1_goes_on_and_reads_what_lacked_a_uid_again(tmp_path: Path):
    with open_ledger(tmp_path / "p") as ledger:
        kept = FileRow(FileRef("a", "/a"), "1:1", "image", None, "", "1", "2", "3", {"name": "x"})
        with ledger.transaction():
            ledger.put_files([kept, FileRow(FileRef("b", "/b"), "1:1", "dropped", "NO_UID")])
    database = sqlite3.connect(tmp_path / "p" / "ledger.sqlite")
    database.execute("DROP INDEX file_that_lacks")
    for column in ("binding", "lacks"):
        database.execute(f"ALTER TABLE file DROP COLUMN {column}")
    database.execute("ALTER TABLE file ADD COLUMN run INTEGER NOT NULL DEFAULT 1")
    database.execute("UPDATE meta SET value = '1' WHERE key = 'ledger_version'")
    database.commit()
    database.close()
    with open_ledger(tmp_path / "p") as ledger:
        assert list(ledger.files()) == [kept]
        ledger.put_files([kept])
        assert ledger.meta("ledger_version") == str(LEDGER_VERSION)
