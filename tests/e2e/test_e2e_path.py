"""The whole path on the demo export: curate, verify, pre-train, evaluate, export, audit; and the same bytes again."""

import csv
import hashlib
import json
import shutil
from pathlib import Path

import pytest
from programs import run_command, summary_of, write_config

from benchmarks.demo_links import found_links, true_links
from curation.contract import Dataset

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("e2e")]

TINY_TRAINING = """
method = "t3d"
[loop]
steps = 6
[text]
warmup_steps = 5
[evaluate]
probe_batches = 2
obvious_steps = 4
gap_draws = 8
segment_steps = 3
segment_volumes = 2
volume_crops = 8
"""


def tree_digest(root: Path) -> str:
    """One digest over every file's name and bytes."""
    total = hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        total.update(path.relative_to(root).as_posix().encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def curated(export: Path, out: Path, config: Path, *, workers: int, key: Path | None = None) -> dict:
    words = ["curation", "run", export, "--reports", export / "reports.csv", "--out", out, "--config", config]
    return summary_of(run_command(*words, "--workers", workers, *(["--key", key] if key else [])))


def test_the_demo_data_set_verifies(demo_dataset):
    summary_of(run_command("curation", "verify", demo_dataset))
    dataset = Dataset.open(demo_dataset)
    assert len(dataset.rows("pairs")) >= 5
    for stage, count in dataset.manifest["counts"].items():
        assert count["in"] == count["kept"] + count["dropped"], stage


def test_links_equal_the_truth(demo_export, demo_dataset):
    right = true_links(demo_export)
    assert len(right) >= 6
    assert found_links(demo_dataset) == right


def test_workers_change_no_byte_and_a_second_run_writes_nothing(demo_export, tmp_path):
    config = write_config(tmp_path / "demo.toml", "[grid]\nspacing_mm = 4.0\n")
    key = tmp_path / "key"
    key.write_bytes(bytes(range(32)))
    curated(demo_export, tmp_path / "one", config, workers=1, key=key)
    curated(demo_export, tmp_path / "two", config, workers=2, key=key)
    assert tree_digest(tmp_path / "one") == tree_digest(tmp_path / "two")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*")}
    curated(demo_export, tmp_path / "one", config, workers=1, key=key)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*")} == before


def test_no_planted_identifier_survives(demo_export, demo_dataset):
    with open(demo_export / "truth" / "identifiers.csv", newline="", encoding="utf-8") as file:
        planted = {row["value"].encode() for row in csv.DictReader(file) if len(row["value"]) >= 5}
    tables = [
        json.dumps(Dataset.open(demo_dataset).rows(name), default=str, ensure_ascii=False).encode()
        for name in ("pairs", "volumes", "reports", "sentences", "regions", "series", "dropped")
    ]
    texts = tables + [path.read_bytes() for path in demo_dataset.rglob("*") if path.suffix in {".json", ".md", ".nii"}]
    names = [path.relative_to(demo_dataset).as_posix().encode() for path in demo_dataset.rglob("*")]
    found = [value for value in planted if any(value in text for text in [*texts, *names])]
    assert len(planted) > 50
    assert found == []


def test_train_evaluate_export_and_static_audit(demo_dataset, tmp_path):
    config = write_config(tmp_path / "train.toml", TINY_TRAINING)
    run = tmp_path / "run"
    summary_of(run_command("train", "pretrain", demo_dataset, "--out", run, "--config", config))
    summary_of(run_command("train", "evaluate", run, demo_dataset))
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    assert {"text_only", "text_gain"} <= metrics["results"].keys()
    summary_of(run_command("train", "export", run, "--out", tmp_path / "encoder"))
    assert list((tmp_path / "encoder").glob("*.safetensors"))
    made_under = json.loads((demo_dataset / "dataset.json").read_text(encoding="utf-8"))["versions"]["lexicon"]
    assert made_under in (tmp_path / "encoder" / "README.md").read_text(encoding="utf-8")
    summary_of(run_command("curation", "audit", demo_dataset, "--static", tmp_path / "audit.html"))
    assert (tmp_path / "audit.html").stat().st_size > 20_000


def test_hand_over_formats(demo_dataset, tmp_path):
    for name in ("monai", "croissant", "huggingface"):
        summary_of(run_command("curation", "export", demo_dataset, "--format", name, "--out", tmp_path / name))
        written = [path for path in (tmp_path / name).rglob("*") if path.is_file()]
        assert written, name


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("volumes", "convert", "{missing}", "--out", "{tmp}/o"), 2, "does not exist"),
        (("volumes", "inspect", "{missing}"), 2, "does not exist"),
        (("reports", "parse", "{missing}", "--out", "{tmp}/o.parquet"), 2, "does not exist"),
        (("curation", "run", "{missing}", "--reports", "{csv}", "--out", "{tmp}/d"), 2, "does not exist"),
        (("curation", "run", "{empty}", "--reports", "{csv}", "--out", "{tmp}/d"), 1, "no DICOM"),
        (("curation", "run", "{export}", "--reports", "{badcsv}", "--out", "{tmp}/d"), 2, "column"),
        (
            ("curation", "run", "{export}", "--reports", "{csv}", "--out", "{tmp}/d", "--config", "{bad}"),
            2,
            "spacing_mm",
        ),
        (("curation", "verify", "{newer}"), 1, "schema version"),
        (("curation", "verify", "{empty}"), 2, "no data set"),
        (("train", "pretrain", "{newer}", "--out", "{tmp}/r"), 1, "schema version"),
        (("train", "evaluate", "{empty}", "{dataset}"), 2, "no run"),
        (("train", "export", "{empty}", "--out", "{tmp}/e"), 2, "no run"),
    ],
)
def test_bad_input_gives_a_clear_message_and_code(words, code, says, demo_export, demo_dataset, tmp_path):
    places = {"tmp": tmp_path, "missing": tmp_path / "missing", "export": demo_export, "dataset": demo_dataset}
    places["csv"] = demo_export / "reports.csv"
    places["empty"] = tmp_path / "empty"
    places["empty"].mkdir()
    places["badcsv"] = write_config(tmp_path / "bad.csv", "colour,shape\nred,round\n")
    places["bad"] = write_config(tmp_path / "bad.toml", "[grid]\nspacing_millimetres = 2.0\n")
    places["newer"] = tmp_path / "newer"
    shutil.copytree(demo_dataset, places["newer"], ignore=shutil.ignore_patterns("volumes", "labels"))
    manifest = json.loads((places["newer"] / "dataset.json").read_text(encoding="utf-8"))
    manifest["schema_version"] = 99
    (places["newer"] / "dataset.json").write_text(json.dumps(manifest), encoding="utf-8")
    finished = run_command(*(word.format(**places) for word in words))
    assert finished.returncode == code, finished.stderr
    assert says in finished.stderr
    assert "Traceback" not in finished.stderr
    assert finished.stdout == ""
