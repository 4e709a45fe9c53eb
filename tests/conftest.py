"""Shared by all tests: one demo export and its data set, made once whatever the number of test processes."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "data"
N_STUDIES = 8


def run_command(*words: object, timeout_s: float = 280) -> subprocess.CompletedProcess[str]:
    """Run ``python -m WORDS`` as a user would, from the checkout."""
    command = [sys.executable, "-m", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=timeout_s, check=False)


def summary_of(finished: subprocess.CompletedProcess[str]) -> dict:
    """The JSON summary of a command that must have succeeded."""
    assert finished.returncode == 0, finished.stderr[-4000:]
    lines = finished.stdout.splitlines()
    assert len(lines) == 1, "stdout holds one JSON summary and nothing else"
    return json.loads(lines[0])


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory) -> Path:
    """A folder that all test processes of this run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


@pytest.fixture(scope="session")
def demo_export(shared_folder: Path) -> Path:
    """A small demo export, seed 7."""
    out = shared_folder / "demo-export"
    with open(shared_folder / "demo-export.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (out / "demo.json").is_file():
            summary_of(run_command("curation", "demo", out, "--studies", N_STUDIES, "--seed", 7, "--workers", 1))
    return out


@pytest.fixture(scope="session")
def demo_dataset(shared_folder: Path, demo_export: Path) -> Path:
    """The demo export curated at 3 mm, with labels; read-only for tests (copy it to change it)."""
    out = shared_folder / "demo-dataset"
    with open(shared_folder / "demo-dataset.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (out / "labels" / "findings.parquet").is_file():
            truth = demo_export / "truth"
            config = write_config(shared_folder / "demo.toml")
            reports = demo_export / "reports.csv"
            words = ("curation", "run", demo_export, "--reports", reports, "--out", out, "--config", config)
            summary_of(run_command(*words, "--workers", 1))
            summary_of(run_command("curation", "labels", out, truth / "organs", "--name", "organs"))
            lesions = ("curation", "labels", out, truth / "lesions", "--name", "lesions")
            summary_of(run_command(*lesions, "--findings", truth / "findings.csv"))
    return out


def write_config(path: Path, text: str = "[grid]\nspacing_mm = 3.0\n") -> Path:
    """A configuration that is quick to run."""
    path.write_text(text, encoding="utf-8")
    return path
