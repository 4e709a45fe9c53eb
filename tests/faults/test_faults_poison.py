"""A file that kills its decoder, hangs it, puts it to sleep or makes it swell costs itself and a few seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from compressed import POISONS, compress, poison_decoder
from hospital import KEY, StudyPlan, report_row, write_reports, write_study

from curation.contract import Dataset
from volumes.isolation import _Watch

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sound studies, and one per poison in its fourth slice."""
    root = tmp_path_factory.mktemp("poison")
    plans = [
        StudyPlan(80 + n, f"MRN9400{n:02}", f"Surname{chr(97 + n)}^Given", f"ACC9400{n:02}", "20210401")
        for n in range(2 + len(POISONS))
    ]
    for plan, poison in zip(plans, ["", "", *POISONS], strict=True):
        folder = root / "dicom" / f"study{plan.number}"
        write_study(folder, plan, n_slices=8)
        for number, path in enumerate(sorted(folder.glob("s2/*.dcm"))):
            compress(path, poison if number == 3 else "")
    write_reports(root / "reports.csv", [report_row(plan) for plan in plans])
    (root / "config.toml").write_text("[grid]\nspacing_mm = 5\n[volumes]\nmin_slices = 8\n")
    (root / "key").write_text(KEY)
    return root


def test_poison_costs_its_own_study_and_no_worker(export: Path, tmp_path: Path):
    words = [
        sys.executable, "-m", "curation", "run", str(export / "dicom"), "--reports", str(export / "reports.csv"),
        "--config", str(export / "config.toml"), "--key", str(export / "key"), "--out", str(tmp_path / "set"),
        "--workers", "2", "--quiet",
    ]  # fmt: skip
    poisoned = {**os.environ, "PYTHONPATH": str(poison_decoder(tmp_path / "poison"))}
    done = subprocess.run(words, cwd=REPOSITORY, env=poisoned, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)["counts"]
    assert counts["process"]["dropped"] == 0, "a worker died"
    dropped = [row for row in Dataset.open(tmp_path / "set").rows("dropped") if row["stage"] == "convert"]
    assert [row["reason"] for row in dropped] == ["RESOURCE_LIMIT"] * len(POISONS)
    assert len(Dataset.open(tmp_path / "set").rows("pairs")) == 2


@pytest.mark.parametrize(("words", "limit_s"), [("while True: pass", 0.5), ("import time; time.sleep(60)", 0.5)])
def test_a_process_that_spins_or_sleeps_has_had_its_time(words: str, limit_s: float):
    with subprocess.Popen([sys.executable, "-c", words]) as process:
        watch = _Watch(process.pid, limit_s)
        try:
            assert not watch.is_stuck()
            deadline = time.monotonic() + 60
            while not watch.is_stuck():
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finally:
            process.kill()


def test_a_process_that_waits_for_the_processor_has_not(monkeypatch):
    watch = _Watch(os.getpid(), 0.2)
    began_s = watch._look()[1]
    monkeypatch.setattr(watch, "_look", lambda: ("R", began_s))
    time.sleep(0.5)
    assert not watch.is_stuck()
