"""Verify: a sound data set passes, and each invariant has a breach that is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curation.__main__ import main
from curation.contract import TABLES, Dataset
from curation.verify import CHECKS, Depth, verify_dataset
from t3dkit.tables import write_table

Row = dict[str, Any]


def rewrite(root: Path, table: str, change: Callable[[list[Row]], object]) -> None:
    """Change the rows of a table in place."""
    rows = Dataset.open(root).rows(table)
    changed = change(rows)
    write_table(root / f"{table}.parquet", changed if isinstance(changed, list) else rows, TABLES[table])


def edit(column: str, value: Any) -> Callable[[list[Row]], None]:
    def change(rows: list[Row]) -> None:
        rows[0][column] = value(rows[0][column]) if callable(value) else value

    return change


def volume(root: Path) -> Path:
    return sorted((root / "volumes").rglob("*.nii"))[0]


def flip_byte(root: Path) -> None:
    raw = bytearray(volume(root).read_bytes())
    raw[5000] ^= 1
    volume(root).write_bytes(raw)


def uncount(root: Path) -> None:
    manifest = json.loads((root / "dataset.json").read_text())
    manifest["counts"]["stacks"]["kept"] += 1
    (root / "dataset.json").write_text(json.dumps(manifest))


def resplit(root: Path) -> None:
    manifest = json.loads((root / "dataset.json").read_text())
    manifest["splits"]["train"]["pairs"] += 1
    (root / "dataset.json").write_text(json.dumps(manifest))


def drop_column(root: Path) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(root / "pairs.parquet")
    pq.write_table(table.drop_columns(["suspicion"]), root / "pairs.parquet")


def plant(root: Path, text: str) -> None:
    """An identifier of the batch in the text of a report, its spans kept right."""

    def change(rows: list[Row]) -> None:
        rows[0]["text"] += f" {text}"

    rewrite(root, "reports", change)


BREACHES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a table is gone": ("tables", lambda root: (root / "regions.parquet").unlink()),
    "a column is gone": ("tables", drop_column),
    "a stage does not balance": ("counts", uncount),
    "a drop is not listed": ("counts", lambda root: rewrite(root, "dropped", lambda rows: rows[1:])),
    "a pair is twice": ("ids", lambda root: rewrite(root, "pairs", lambda rows: [*rows, rows[0]])),
    "a volume is unknown": ("ids", lambda root: rewrite(root, "pairs", edit("volume_id", "f" * 16))),
    "a sentence is unknown": ("ids", lambda root: rewrite(root, "regions", lambda rows: [
        row | {"sentence_id": "x"} if row["sentence_id"] else row for row in rows])),
    "a suspicion is of no pair": ("ids", lambda root: rewrite(root, "suspicions", lambda rows: [
        *rows, {"pair_id": "f" * 16, "code": "LOSSY", "severity": "note", "detail": ""}])),
    "a flag is not explained": ("reasons", lambda root: rewrite(root, "pairs", edit("flags", ["LOSSY", "ROW_SHIFT"]))),
    "a verdict is unknown": ("ids", lambda root: rewrite(root, "pairs", edit("verdict", "lovely"))),
    "a count of sentences is wrong": ("numbers", lambda root: rewrite(root, "pairs", edit("n_sentences", 99))),
    "a count of located sentences is wrong": ("numbers", lambda root: rewrite(
        root, "pairs", edit("n_located", lambda n: n + 1 if n == 0 else n - 1))),
    "an assertion is unknown": ("words", lambda root: rewrite(root, "sentences", edit("assertion", "maybe"))),
    "a sentence's region is unknown": ("words", lambda root: rewrite(root, "sentences", edit("regions", ["nonsense"]))),
    "a box's region is unknown": ("words", lambda root: rewrite(root, "regions", edit("region", "nonsense"))),
    "a section is unknown": ("words", lambda root: rewrite(root, "reports", edit(
        "sections", lambda old: [old[0] | {"name": "chapter"}, *old[1:]]))),
    "a status is unknown": ("words", lambda root: rewrite(root, "reports", edit("status", "rumour"))),
    "a suspicion is no share": ("numbers", lambda root: rewrite(root, "pairs", edit("suspicion", 1.5))),
    "a voxel rots": ("volumes", flip_byte),
    "a volume is gone": ("volumes", lambda root: volume(root).unlink()),
    "a volume is truncated": ("volumes", lambda root: volume(root).write_bytes(volume(root).read_bytes()[:-10])),
    "a stray file that is no gzip": ("volumes", lambda root: volume(root).with_suffix(".nii.gz").write_bytes(b"x")),
    "a file too many": ("volumes", lambda root: (root / "volumes" / "extra.nii").write_bytes(b"x")),
    "a shape is wrong": ("volumes", lambda root: rewrite(
        root, "volumes", edit("shape_ijk", lambda n: [n[0] + 1, *n[1:]]))),
    "an affine is wrong": ("volumes", lambda root: rewrite(
        root, "volumes", edit("affine_ras", lambda a: [*a[:3], a[3] + 1, *a[4:]]))),
    "a spacing is wrong": ("volumes", lambda root: rewrite(root, "volumes", edit("spacing_mm", [3.0, 3.0, 3.5]))),
    "a path leaves the data set": ("volumes", lambda root: rewrite(root, "volumes", edit("path", "../secret.nii"))),
    "a span is off by one": ("spans", lambda root: rewrite(root, "sentences", edit("char_start", lambda n: n + 1))),
    "a section leaves the text": ("spans", lambda root: rewrite(root, "reports", edit("sections", [
        {"name": "findings", "char_start": 0, "char_end": 10**6}]))),
    "a box leaves its volume": ("boxes", lambda root: rewrite(root, "regions", edit("size_ijk", [1, 1, 10**4]))),
    "a box is empty": ("boxes", lambda root: rewrite(root, "regions", edit("size_ijk", [1, 1, 0]))),
    "a box has no source": ("boxes", lambda root: rewrite(root, "regions", edit("source", "guess"))),
    "a pointer has no sentence": ("boxes", lambda root: rewrite(root, "regions", lambda rows: [
        row | {"sentence_id": None} for row in rows])),
    "counts of the splits are wrong": ("splits", resplit),
    "a split is moved": ("splits", lambda root: rewrite(
        root, "pairs", edit("split", lambda s: "test" if s != "test" else "train"))),
    "a reason is invented": ("reasons", lambda root: rewrite(root, "dropped", edit("reason", "FELT_WRONG"))),
    "a kept series has a reason": ("reasons", lambda root: rewrite(root, "series", lambda rows: [
        row | {"reason": "BLANK"} if row["verdict"] == "kept" else row for row in rows])),
    "an accession number in a text": ("crosswalk", lambda root: plant(root, "acc5500103")),
    "a name in a text": ("crosswalk", lambda root: plant(root, "seen with Augusta Quillfeather")),
    "a UID in a loose file": ("crosswalk", lambda root: (root / "notes.txt").write_text(
        "1.2.826.0.1.3680043.10.1451.1.2")),
    "an id in a file name": ("crosswalk", lambda root: (root / "MRN700102.txt").write_text("x")),
    "an id in a NIfTI header": ("crosswalk", lambda root: volume(root).write_bytes(
        volume(root).read_bytes()[:148] + b"ACC5500101" + volume(root).read_bytes()[158:])),
}  # fmt: skip


def test_a_sound_data_set_passes(made_dataset: Path, capsys):
    findings, summary = verify_dataset(made_dataset)
    assert findings == []
    assert summary["identifiers_searched"] > 100
    assert main(["verify", str(made_dataset), "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == 0


@pytest.mark.parametrize("breach", BREACHES)
def test_each_breach_is_found_by_its_check(own_dataset: Path, breach: str):
    check, break_it = BREACHES[breach]
    break_it(own_dataset)
    findings, _summary = verify_dataset(own_dataset)
    assert check in {finding.check for finding in findings}, [str(finding) for finding in findings]


def test_every_check_has_a_breach():
    names = {check.__name__.removeprefix("check_") for check in CHECKS} | {"tables"}
    assert names == {check for check, _break in BREACHES.values()}


def test_a_broken_data_set_exits_1_with_a_list_that_names_nobody(own_dataset: Path, capsys):
    plant(own_dataset, "acc5500103")
    assert main(["verify", str(own_dataset)]) == 1
    told = capsys.readouterr().err
    assert "crosswalk: reports.parquet: holds an identifier (AccessionNumber)" in told
    assert "acc5500103" not in told.casefold()


def test_without_the_private_folder_the_search_is_said_to_be_left_out(own_dataset: Path, capsys):
    import shutil

    shutil.rmtree(own_dataset.with_name("set.private"))
    assert main(["verify", str(own_dataset), "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["identifiers_searched"] is None


def test_a_sample_reads_so_many_volumes_whole_and_looks_at_all(own_dataset: Path, capsys):
    n_volumes = len(Dataset.open(own_dataset).rows("volumes"))
    assert verify_dataset(own_dataset, depth=Depth(2))[1]["volumes_read_whole"] == 2
    assert verify_dataset(own_dataset, depth=Depth(99))[1]["volumes_read_whole"] == n_volumes
    flip_byte(own_dataset)
    assert verify_dataset(own_dataset, depth=Depth(0))[0] == [], "nothing was read whole"
    found = [bool(verify_dataset(own_dataset, depth=Depth(1, seed))[0]) for seed in range(16)]
    assert True in found, "another seed takes other volumes"
    assert False in found
    assert main(["verify", str(own_dataset), "--quiet", "--sample", "0"]) == 0
    assert json.loads(capsys.readouterr().out)["volumes_read_whole"] == 0
    volume(own_dataset).write_bytes(volume(own_dataset).read_bytes()[:-10])
    assert verify_dataset(own_dataset, depth=Depth(0))[0], "a truncated volume is seen by its size"
    assert main(["verify", str(own_dataset), "--quiet", "--sample", "-1"]) == 2


def test_processes_find_the_same(own_dataset: Path):
    flip_byte(own_dataset)
    assert verify_dataset(own_dataset, workers=2) == verify_dataset(own_dataset)


def test_what_is_no_data_set_is_refused(tmp_path: Path, capsys):
    assert main(["verify", str(tmp_path)]) == 2
    (tmp_path / "dataset.json").write_text("{")
    assert main(["verify", str(tmp_path)]) == 1
    assert "damaged" in capsys.readouterr().err
