"""Programs run as a user would run them, for tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


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


def write_config(path: Path, text: str = "[grid]\nspacing_mm = 3.0\n") -> Path:
    """A configuration that is quick to run."""
    path.write_text(text, encoding="utf-8")
    return path
