"""The program as a person types it: files, tables, summary, exit codes."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys

import nibabel
import numpy as np
import phantom
import pytest
from phantom import Series, setter

from t3dkit.tables import read_rows
from volumes.__main__ import main, parse_spacing
from volumes.series_table import DROPPED, SERIES


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """A study with a thin series, a scout, a gap, a secondary capture and junk."""
    folder = tmp_path_factory.mktemp("export")
    phantom.write_series(folder / "thin", Series(n=20, series_uid="1.2.3.10"))
    scout = setter(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    phantom.write_series(folder / "scout", Series(n=2, series_uid="1.2.3.11", orientation=phantom.CORONAL, edit=scout))
    phantom.write_series(folder / "gap", Series(series_uid="1.2.3.12"), skip=(5,))
    (folder / "notes.txt").write_text("not an image")
    (folder / "empty.dcm").write_bytes(b"")
    return folder


def run(capsys, *words):
    code = main([*words, "--quiet"])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else None, err


def test_convert_accounts_for_everything(export, tmp_path, capsys):
    out = tmp_path / "out"
    code, summary, _ = run(capsys, "convert", str(export), "--out", str(out))
    assert code == 0
    files = summary["files"]
    assert files["found"] == files["kept"] + files["dropped"] == 20 + 2 + 11 + 2
    assert files["kept"] == 20
    stacks = summary["stacks"]
    assert stacks["found"] == stacks["kept"] + stacks["dropped"] == 3
    assert summary["dropped_stacks"] == {"GEOM_MISSING_SLICE": 1, "LOCALIZER": 1}
    series, dropped = read_rows(out / "series.parquet", SERIES), read_rows(out / "dropped.parquet", DROPPED)
    assert {row["verdict"] for row in series} == {"kept", "dropped"}
    assert sum(row["kind"] == "file" for row in dropped) == files["dropped"]
    assert {row["reason"] for row in dropped} == {"NOT_DICOM", "EMPTY_FILE", "GEOM_MISSING_SLICE", "LOCALIZER"}


def test_a_person_is_told_what_was_kept_and_dropped_and_why(export, tmp_path, capsys):
    main(["convert", str(export), "--out", str(tmp_path / "out")])
    lines = capsys.readouterr().err.splitlines()
    assert "1 of 3 stacks became volumes, 20 of 35 files" in lines
    told = {line.split(": ", 1)[0].split()[-1]: line for line in lines if line.startswith("  ")}
    assert {"GEOM_MISSING_SLICE", "LOCALIZER", "NOT_DICOM", "EMPTY_FILE"} <= set(told)
    assert told["GEOM_MISSING_SLICE"].split()[:5] == ["drop", "1", "stacks", "11", "files"]
    assert told["GEOM_MISSING_SLICE"].endswith("slices are missing inside the stack")


def test_output_is_what_the_table_says_and_names_nobody(export, tmp_path, capsys):
    out = tmp_path / "out"
    run(capsys, "convert", str(export), "--out", str(out), "--spacing", "2")
    (kept,) = [row for row in read_rows(out / "series.parquet") if row["verdict"] == "kept"]
    path = out / kept["output"]
    assert [item.name for item in (out / "volumes").iterdir()] == [path.name]
    assert kept["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    image = nibabel.load(path)
    assert list(image.shape) == kept["shape_ijk"]
    np.testing.assert_allclose(image.affine.ravel(), kept["affine_ras"], atol=1e-4)
    np.testing.assert_allclose(kept["spacing_mm"], [2, 2, 2])
    for secret in ("1.2.3.10", "PHANTOM", "linear phantom"):
        assert secret not in path.name
        assert secret.encode() not in path.read_bytes()


def test_again_with_workers_and_gz_gives_the_same(export, tmp_path, capsys):
    run(capsys, "convert", str(export), "--out", str(tmp_path / "a"), "--format", "nii.gz")
    run(capsys, "convert", str(export), "--out", str(tmp_path / "b"), "--format", "nii.gz", "--workers", "2")
    a, b = ({p.name: p.read_bytes() for p in (tmp_path / x).rglob("*.*") if p.is_file()} for x in "ab")
    assert a == b
    assert any(name.endswith(".nii.gz") for name in a)


def test_a_single_file_and_a_zip_are_sources(export, tmp_path, capsys):
    import shutil

    archive = shutil.make_archive(str(tmp_path / "export"), "zip", export)
    code, summary, _ = run(capsys, "convert", archive, "--out", str(tmp_path / "out"))
    assert code == 0
    assert summary["stacks"]["kept"] == 1
    code, summary, _ = run(capsys, "inspect", str(next((export / "thin").iterdir())))
    assert code == 0
    assert summary["dropped_stacks"] == {"TOO_FEW_SLICES": 1}


def test_inspect_shows_a_table_on_stderr_and_writes_nothing(export, capsys):
    before = sorted(export.rglob("*"))
    code, summary, err = run(capsys, "inspect", str(export))
    assert code == 0
    assert summary["stacks"] == {"found": 3, "kept": 1, "repaired": 0, "dropped": 2}
    assert summary["files"]["found"] == summary["files"]["kept"] + summary["files"]["dropped"]
    assert "axial 24x20x20" in err
    assert "GEOM_MISSING_SLICE" in err
    assert sorted(export.rglob("*")) == before


def test_bad_words_and_sources(export, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("x")
    out = str(tmp_path / "out")
    for words, wanted, says in (
        (("convert", str(tmp_path / "absent"), "--out", out), 2, "does not exist"),
        (("convert", str(export), "--out", out, "--spacing", "two"), 2, "--spacing"),
        (("convert", str(export), "--out", out, "--workers", "0"), 2, "--workers"),
        (("convert", str(export), "--out", str(tmp_path / "text" / "a.txt")), 2, "is a file"),
        (("convert", str(tmp_path / "empty"), "--out", out), 1, "holds no files"),
        (("convert", str(tmp_path / "text"), "--out", out), 1, "1 NOT_DICOM"),
    ):
        code, summary, err = run(capsys, *words)
        assert (code, summary) == (wanted, None)
        assert says in err


@pytest.mark.parametrize(
    ("text", "wanted"), [("native", None), ("1.5", (1.5, 1.5, 1.5)), ("0.8,0.9,2", (0.8, 0.9, 2.0))]
)
def test_spacing_words(text, wanted):
    assert parse_spacing(text) == wanted


def test_help_teaches_and_starts_light():
    answer = subprocess.run(
        [sys.executable, "-m", "volumes", "convert", "--help"], capture_output=True, text=True, check=True
    )
    assert "example:" in answer.stdout
    names = ("numba", "torch", "pydicom", "dask", "rich")
    heavy = f"import sys, volumes.__main__; print([m for m in {names} if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


@pytest.mark.parametrize("end", [b"\n", b"\0"], ids=["lines", "NUL"])
def test_a_list_of_paths_on_stdin_is_a_source(export, tmp_path, capsys, monkeypatch, end):
    paths = sorted((export / "thin").iterdir())
    listed = [paths[0].parent / "." / paths[0].name, *paths[1:], export / "gap", paths[3], tmp_path / "gone.dcm"]
    stdin = io.TextIOWrapper(io.BytesIO(end.join(str(path).encode() for path in listed) + end))
    monkeypatch.setattr(sys, "stdin", stdin)
    code, summary, _ = run(capsys, "convert", "-", "--out", str(tmp_path / "out"))
    assert code == 0
    assert summary["files"] == {"found": 20 + 11 + 1, "kept": 20, "dropped": 12}  # the repeated path counts once
    assert summary["dropped_files"] == {"GEOM_MISSING_SLICE": 11, "UNSTABLE_INPUT": 1}
    rows = read_rows(tmp_path / "out" / "series.parquet")
    assert {row["source"] for row in rows} == {str(export / "thin"), str(export / "gap")}


def test_an_empty_list_is_a_data_fault(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n")))
    code, _, err = run(capsys, "inspect", "-")
    assert code == 1
    assert "holds no files" in err


def test_a_folder_holds_one_source_in_one_format(export, tmp_path, capsys):
    out = tmp_path / "out"
    run(capsys, "convert", str(export), "--out", str(out))
    run(capsys, "convert", str(export), "--out", str(out), "--format", "nii.gz")
    (only,) = (out / "volumes").iterdir()
    assert only.name.endswith(".nii.gz")
    other = tmp_path / "other"
    phantom.write_series(other, Series(n=20, series_uid="1.2.3.77"))
    code, _summary, err = run(capsys, "convert", str(other), "--out", str(out))
    assert code == 2
    assert "volumes of another source" in err
    assert only.exists()
