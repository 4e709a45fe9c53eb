"""Mutated files, a few of those that benchmarks/volumes_fuzz.py tries: nothing but a verdict may come of them."""

from __future__ import annotations

import json
from pathlib import Path

import pydicom.data
import pytest

from benchmarks import volumes_fuzz
from t3dkit.verdict import Code
from volumes.__main__ import main
from volumes.reasons import DropReason

VERDICTS = {*map(str, DropReason), "decoded", "NIfTI kept"}


def test_inputs_are_a_function_of_their_number():
    assert volumes_fuzz.mutated(7) == volumes_fuzz.mutated(7)
    assert len({volumes_fuzz.mutated(number) for number in range(40)}) > 35


@pytest.mark.parametrize("block", range(8))
def test_mutated_files_get_a_verdict(block, tmp_path):
    path = tmp_path / "input"
    seen: set[str | Code] = set()
    for number in range(block * 50, block * 50 + 50):
        path.write_bytes(volumes_fuzz.mutated(number))
        words = volumes_fuzz.digest(path)
        assert words, number
        seen.update(words)
    assert seen <= VERDICTS


def test_the_watcher_counts_deaths_and_goes_on(monkeypatch):
    """A worker that dies at input 2 and one that hangs at input 4."""
    script = (
        "import json, os, sys, time\n"
        "first, last = map(int, sys.argv[-2:])\n"
        "for n in range(first, last):\n"
        "    print(json.dumps({'start': n}), flush=True)\n"
        "    if n == 2: os._exit(9)\n"
        "    if n == 4: time.sleep(60)\n"
        "    print(json.dumps({'end': n, 's': 0.1, 'gb': 0.1, 'words': ['decoded']}), flush=True)\n"
    )
    started = volumes_fuzz.subprocess.Popen

    def start(words, **options):
        return started([words[0], "-c", script, *words[-2:]], **options)

    monkeypatch.setattr(volumes_fuzz.subprocess, "Popen", start)
    monkeypatch.setattr(volumes_fuzz, "HANG_S", 5.0)
    outcome = volumes_fuzz.watch(0, 6)
    assert (outcome["deaths"], outcome["hangs"]) == ([2], [4])
    assert outcome["words"] == {"decoded": 4}


def test_pydicoms_own_files_are_all_accounted_for(tmp_path, capsys):
    folder = Path(pydicom.data.__file__).parent
    assert main(["convert", str(folder), "--out", str(tmp_path), "--quiet"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    on_disk = sum(path.is_file() for path in folder.rglob("*"))
    assert files["found"] >= on_disk > 100  # members of archives count as files
    assert files["found"] == files["kept"] + files["dropped"]
