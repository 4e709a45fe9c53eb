"""Trackers get numbers and the configuration, stay offline, and are closed."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from train_data import TINY

from train.__main__ import main

Calls = list[tuple[str, Any]]


class Recorder:
    """Stands in for the modules of both trackers."""

    def __init__(self) -> None:
        self.calls: Calls = []

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append((name, (args, kwargs)))
            return self

        return call

    def of(self, name: str) -> list[Any]:
        """What one function was called with."""
        return [held for called, held in self.calls if called == name]


@pytest.fixture
def trackers(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Both stand-ins, and no environment that names a server."""
    found = SimpleNamespace(mlflow=Recorder(), wandb=Recorder())
    for name, module in vars(found).items():
        monkeypatch.setitem(sys.modules, name, module)  # type: ignore[arg-type]
    for name in ("MLFLOW_TRACKING_URI", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    return found


def _pretrain(dataset: Path, out: Path, trackers: str) -> int:
    words = [word for key in (*TINY, f"loop.trackers={trackers}") for word in ("--set", key)]
    return main(["pretrain", str(dataset), "--out", str(out), "--quiet", *words])


def test_trackers_get_the_numbers_of_every_step_and_stay_offline(
    tiny_dataset: Path, tmp_path: Path, trackers: SimpleNamespace
) -> None:
    assert _pretrain(tiny_dataset, tmp_path / "run", '["mlflow", "wandb"]') == 0
    assert trackers.mlflow.of("set_tracking_uri") == [((f"sqlite:///{tmp_path / 'run' / 'mlflow.db'}",), {})]
    assert trackers.wandb.of("init")[0][1]["mode"] == "offline"
    for rows in (trackers.mlflow.of("log_metrics"), trackers.wandb.of("log")):
        assert [row[1]["step"] for row in rows] == [0, 1, 2, 3]
        assert {"total", "tcl", "tir", "crops_per_s", "wait_share"} <= set(rows[0][0][0])
    assert trackers.mlflow.of("end_run")
    assert trackers.wandb.of("finish")
    assert trackers.wandb.of("init")[0][1]["config"]["loop.steps"] == 4
    handed = repr(trackers.mlflow.calls) + repr(trackers.wandb.calls)
    assert "There is" not in handed  # the words of the data set's reports
    assert str(tiny_dataset) not in handed


def test_a_tracker_that_is_not_installed_is_named(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)  # type: ignore[arg-type]
    assert _pretrain(tiny_dataset, tmp_path / "run", '["wandb"]') != 0
    assert "pip install .[tracking]" in capsys.readouterr().err
