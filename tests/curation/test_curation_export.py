"""Hand-over formats: each is read by its reader, carries no excluded pair and nothing private."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hospital import PLANS

from curation.__main__ import main
from curation.contract import VERDICT_ROWS, Dataset
from t3dkit.tables import write_table


@pytest.fixture
def judged(own_dataset: Path) -> Path:
    """The small data set with one pair rejected and one accepted."""
    rejected, accepted = (row["pair_id"] for row in Dataset.open(own_dataset).rows("pairs")[:2])
    rows = [
        {"pair_id": pair_id, "verdict": verdict, "updated_at": "2021-01-01T00:00:00Z"}
        for pair_id, verdict in ((rejected, "wrong_report"), (accepted, "accept"))
    ]
    write_table(own_dataset / "verdicts.parquet", rows, VERDICT_ROWS)
    return own_dataset


def export(dataset: Path, out: Path, kind: str) -> int:
    return main(["export", str(dataset), "--format", kind, "--out", str(out), "--quiet"])


def released(dataset: Path) -> set[str]:
    data = Dataset.open(dataset)
    return {row["pair_id"] for split in ("train", "validation", "test") for row in data.trainable_pairs(split)}


def test_monai_reads_its_own_layout(judged: Path, tmp_path: Path):
    from monai.data import load_decathlon_datalist
    from monai.transforms import LoadImage

    assert export(judged, tmp_path / "out", "monai") == 0
    found = []
    for part in ("training", "validation", "test"):
        if json.loads((tmp_path / "out" / "dataset.json").read_text())[part]:
            found += load_decathlon_datalist(tmp_path / "out" / "dataset.json", data_list_key=part)
    assert {item["pair_id"] for item in found} == released(judged)
    assert len(found) == 3
    image = LoadImage(image_only=True)(found[0]["image"])
    assert np.allclose(np.abs(np.diag(image.affine)[:3]), 3)
    assert "cyst" in found[0]["findings"]
    assert "FINDINGS" in found[0]["text"]
    assert "effusion" not in found[0]["impression"]


def test_hugging_face_tables_name_volumes_that_are_there(judged: Path, tmp_path: Path):
    assert export(judged, tmp_path / "out", "huggingface") == 0
    tables = sorted((tmp_path / "out").glob("*/metadata.parquet"))
    rows = [(path.parent, row) for path in tables for row in pq.read_table(path).to_pylist()]
    assert {row["pair_id"] for _folder, row in rows} == released(judged)
    assert all((folder / row["file_name"]).is_file() for folder, row in rows)
    for _folder, row in rows:
        assert all(s["text"] == row["report"][s["char_start"] : s["char_end"]] for s in row["sentences"])
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith("---\n")
    assert "path: train/**" in card


def test_hugging_face_datasets_loads_it(judged: Path, tmp_path: Path):
    datasets = pytest.importorskip("datasets", reason="the extra `huggingface` is not installed")
    assert export(judged, tmp_path / "out", "huggingface") == 0
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert sum(len(part) for part in loaded.values()) == 3
    case = next(iter(loaded.values()))[0]
    volume = next(r for r in Dataset.open(judged).rows("volumes") if r["shape_ijk"] == list(case["nifti"].shape))
    np.testing.assert_allclose(case["nifti"].affine.ravel(), volume["affine_ras"], atol=1e-4)
    assert case["sentences"][0]["text"] in case["report"]


def test_croissant_describes_the_files_that_are_there(judged: Path, tmp_path: Path):
    import hashlib

    assert export(judged, tmp_path / "out", "croissant") == 0
    described = json.loads((tmp_path / "out" / "croissant.json").read_text())
    assert described["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    objects = {part["@id"]: part for part in described["distribution"] if part["@type"] == "cr:FileObject"}
    for part in objects.values():
        assert hashlib.sha256((tmp_path / "out" / part["contentUrl"]).read_bytes()).hexdigest() == part["sha256"]
    for records in described["recordSet"]:
        for field in records["field"]:
            source = objects[field["source"]["fileObject"]["@id"]]
            assert field["source"]["extract"]["column"] in pq.read_schema(tmp_path / "out" / source["contentUrl"]).names
    patterns = [part["includes"] for part in described["distribution"] if part["@type"] == "cr:FileSet"]
    assert len(list((tmp_path / "out").glob(patterns[0]))) == 3


def test_mlcroissant_validates_it(judged: Path, tmp_path: Path):
    mlcroissant = pytest.importorskip("mlcroissant", reason="the extra `croissant` is not installed")
    assert export(judged, tmp_path / "out", "croissant") == 0
    described = mlcroissant.Dataset(str(tmp_path / "out" / "croissant.json"))
    assert not described.metadata.ctx.issues.errors
    splits = [path.parent.name for path in sorted((tmp_path / "out").glob("*/metadata.parquet"))]
    records = [record for split in splits for record in described.records(split)]
    pair_ids = {value.decode() for record in records for key, value in record.items() if key.endswith("/pair_id")}
    assert pair_ids == released(judged)


def test_every_format_lists_the_verdicts(judged: Path, tmp_path: Path, capsys):
    data = Dataset.open(judged)
    accepted = next(pair_id for pair_id, verdict in data.verdicts.items() if verdict == "accept")
    for kind in ("monai", "huggingface", "croissant"):
        out = tmp_path / kind
        assert export(judged, out, kind) == 0
        summary = json.loads(capsys.readouterr().out)
        assert summary["verdicts"] == {"accept": 1, "wrong_report": 1, "none": 2}
        if kind == "monai":
            told = json.loads((out / "dataset.json").read_text())
            items = [item for part in ("training", "validation", "test") for item in told[part]]
            assert told["verdicts"] == summary["verdicts"]
        else:
            items = [row for path in out.glob("*/metadata.parquet") for row in pq.read_table(path).to_pylist()]
            assert "| wrong report | 1 | no |" in (out / "README.md").read_text()
        assert {item["pair_id"]: item["verdict"] for item in items} == {
            item["pair_id"]: "accept" if item["pair_id"] == accepted else None for item in items
        }


@pytest.mark.parametrize("kind", ["monai", "huggingface", "croissant"])
def test_nothing_private_and_nothing_rejected_leaves(judged: Path, tmp_path: Path, kind: str):
    assert export(judged, tmp_path / "out", kind) == 0
    rejected = {row["pair_id"] for row in Dataset.open(judged).rows("pairs")} - released(judged)
    for path in (tmp_path / "out").rglob("*"):
        assert "private" not in path.name
        assert "verdict" not in path.name
        if path.is_file() and path.suffix != ".nii":
            raw = json.dumps(pq.read_table(path).to_pylist()) if path.suffix == ".parquet" else path.read_text()
            assert not any(plan.accession in raw or plan.patient in raw or plan.uid in raw for plan in PLANS)
            assert not any(pair_id in raw for pair_id in rejected)


def test_a_full_or_inner_folder_is_refused(judged: Path, tmp_path: Path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    assert export(judged, tmp_path / "full", "monai") == 2
    assert export(judged, judged / "inside", "monai") == 2
    assert main(["export", str(judged), "--format", "zip", "--out", str(tmp_path / "o")]) == 2
    assert "not empty" in capsys.readouterr().err
