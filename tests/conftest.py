"""Shared by all tests: one demo export and its data set, made once whatever the number of test processes."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from programs import ROOT, run_command, summary_of, write_config

for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

N_STUDIES = 8
DEMO_CONFIG = """
[grid]
spacing_mm = 3.0
[split]
train = 0.5
validation = 0.25
test = 0.25
"""


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
            config = write_config(shared_folder / "demo.toml", DEMO_CONFIG)
            key = ROOT / "curation" / "demo" / "demo.key"
            reports = demo_export / "reports.csv"
            words = ("curation", "run", demo_export, "--reports", reports, "--out", out, "--config", config)
            summary_of(run_command(*words, "--key", key, "--workers", 1))
            summary_of(run_command("curation", "labels", out, truth / "organs", "--name", "organs"))
            lesions = ("curation", "labels", out, truth / "lesions", "--name", "lesions")
            summary_of(run_command(*lesions, "--findings", truth / "findings.csv"))
    return out
