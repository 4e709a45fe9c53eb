"""The floor: atomic files, tables, the command line."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from t3dkit.atomic import atomic_path, sweep_temporaries, write_json
from t3dkit.command import Command, Program, run_program
from t3dkit.errors import ConfigError, ContractError
from t3dkit.tables import read_rows, write_table
from t3dkit.verdict import Code

SCHEMA = pa.schema([("name", pa.string()), ("value", pa.float64()), ("tags", pa.list_(pa.string()))])


class Fruit(Code):
    APPLE = "APPLE", "a pome"


def program(run) -> Program:
    return Program("program", "a program", [Command("go", "goes", lambda parser: None, run)])


def test_a_code_is_its_value_and_has_a_meaning():
    assert Fruit.APPLE == "APPLE"
    assert Fruit.APPLE.meaning == "a pome"
    assert Fruit("APPLE") is Fruit.APPLE


def test_a_failed_write_leaves_the_old_file_and_no_temporary(tmp_path: Path):
    target = tmp_path / "deep" / "value.json"
    write_json(target, {"a": 1})
    with pytest.raises(UnicodeEncodeError), atomic_path(target) as temporary:
        temporary.write_text("half, then \udcff", encoding="utf-8")
    assert json.loads(target.read_text()) == {"a": 1}
    assert [path.name for path in target.parent.iterdir()] == ["value.json"]


def test_leftovers_of_a_kill_are_swept(tmp_path: Path):
    (tmp_path / "volumes").mkdir()
    (tmp_path / "volumes" / ".tmp-abc.nii").write_bytes(b"half")
    (tmp_path / "volumes" / "whole.nii").write_bytes(b"whole")
    assert sweep_temporaries(tmp_path) == 1
    assert [path.name for path in tmp_path.rglob("*.nii")] == ["whole.nii"]


def test_tables_are_reproducible_and_sorted(tmp_path: Path):
    rows = [{"name": "b", "value": 2.0, "tags": ["x"]}, {"name": "a", "value": None}]
    write_table(tmp_path / "one.parquet", rows, SCHEMA, sort_by=("name",))
    write_table(tmp_path / "two.parquet", rows[::-1], SCHEMA, sort_by=("name",))
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    assert [row["name"] for row in read_rows(tmp_path / "one.parquet", SCHEMA)] == ["a", "b"]


def test_a_column_outside_the_schema_is_refused(tmp_path: Path):
    with pytest.raises(ContractError, match="colour"):
        write_table(tmp_path / "one.parquet", [{"name": "a", "colour": "red"}], SCHEMA)
    write_table(tmp_path / "one.parquet", [], pa.schema([("name", pa.string())]))
    with pytest.raises(ContractError, match="value"):
        read_rows(tmp_path / "one.parquet", SCHEMA)


def test_a_program_prints_one_summary(capsys):
    assert run_program(program(lambda arguments, progress: {"done": 3}), ["go"]) == 0
    assert json.loads(capsys.readouterr().out) == {"done": 3}


def test_a_summary_is_json_even_where_a_figure_is_no_number(capsys):
    assert (
        run_program(program(lambda arguments, progress: {"gain": float("nan"), "by": [float("inf"), 1]}), ["go"]) == 0
    )
    assert json.loads(capsys.readouterr().out) == {"gain": None, "by": [None, 1]}


def test_exit_codes_follow_the_error(capsys):
    def usage(arguments, progress):
        raise ConfigError("expected a folder")

    def data(arguments, progress):
        raise ContractError("the table lies")

    assert run_program(program(usage), ["go"]) == 2
    assert run_program(program(data), ["go"]) == 1
    assert run_program(program(data), ["fly"]) == 2
    captured = capsys.readouterr()
    assert "expected a folder" in captured.err
    assert captured.out == ""


def test_an_unexpected_error_keeps_its_message_to_itself(capsys, monkeypatch):
    monkeypatch.delenv("T3DKIT_DEBUG", raising=False)

    def leak(arguments, progress):
        raise ValueError("Jane Roe, MRN 12345")

    assert run_program(program(leak), ["go"]) == 1
    captured = capsys.readouterr()
    assert "Jane" not in captured.err + captured.out
    assert "ValueError at test_floor.py" in captured.err


def test_sigterm_stops_a_program_with_143():
    code = (
        "import time\nfrom t3dkit.command import *\n"
        "def run(a, p):\n    print('up', flush=True)\n    time.sleep(60)\n"
        "raise SystemExit(run_program(Program('p', '', [Command('go', '', lambda q: None, run)]), ['go']))"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline().strip() == "up"
    os.kill(child.pid, signal.SIGTERM)
    _, said = child.communicate(timeout=20)
    assert child.returncode == 143
    assert "run the same command again" in said
