"""The loop: loss falls, a resumed run equals an uninterrupted one, damage and faults are told."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from train_data import TINY, step_gradients

from curation.contract import Dataset
from t3dkit.errors import ConfigError, DataError
from t3dkit.progress import Progress
from train import loop as loop_module
from train import text as text_module
from train.__main__ import main
from train.batch import Batcher
from train.catalogue import read_catalogue
from train.checkpoint import read_checkpoint
from train.config import METHODS_WITHOUT_STEPS, Config, load_config, preset_names
from train.errors import DamagedCheckpoint, NonFiniteLoss, UnreadableVolume
from train.loop import learning_rate, pretrain
from train.models import T3D
from train.reader import VolumeStore
from train.run import grid_of, open_run
from train.text import rebuild_encoder

REPOSITORY = Path(__file__).resolve().parents[2]
QUIET = Progress(quiet=True)
METHODS = [name for name in preset_names() if name not in ("cpu", "gpu")]


def _config(method: str = "t3d", *words: str) -> Config:
    return load_config(method, [*TINY, *words], scale="cpu")


def _train(dataset: Path, out: Path, *words: str, method: str = "t3d", resume: bool = False) -> dict[str, Any]:
    return pretrain(dataset, out, _config(method, *words), resume=resume, progress=QUIET)


def _weights(run: Path) -> dict[str, torch.Tensor]:
    folder = sorted((run / "checkpoints").glob("step-*"))[-1]
    return {**load_file(folder / "model.safetensors"), **load_file(folder / "optimizer.safetensors")}


def _require_equal(one: Path, two: Path) -> None:
    first, second = _weights(one), _weights(two)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert (one / "history.jsonl").read_bytes() == (two / "history.jsonl").read_bytes()


@pytest.fixture(scope="module")
def whole_run(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four steps without interruption."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    _train(tiny_dataset, out)
    return out


def test_the_same_seed_gives_the_same_run(tiny_dataset: Path, tmp_path: Path, whole_run: Path) -> None:
    _train(tiny_dataset, tmp_path / "again")
    _require_equal(whole_run, tmp_path / "again")


def test_a_run_holds_what_it_promises(whole_run: Path) -> None:
    names = {path.relative_to(whole_run).as_posix() for path in whole_run.rglob("*") if path.is_file()}
    assert {"config.json", "tokenizer.json", "history.jsonl", "samples/step-00000004.png"} <= names
    assert {path.name for path in (whole_run / "checkpoints").iterdir()} == {"step-00000002", "step-00000004"}
    assert not any(name.endswith((".pt", ".pkl", ".bin", ".ckpt")) for name in names)
    assert any(name.startswith("tensorboard/") for name in names)
    preprocessing = json.loads((whole_run / "config.json").read_text())["preprocessing"]
    assert preprocessing["spacing_mm"] == [4.0, 4.0, 4.0]
    assert preprocessing["lexicon_version"] == "1"
    assert preprocessing["pad_value_hu"] == -1024
    assert {"orientation", "hu_range", "tokenizer_sha256"} <= set(preprocessing)
    assert [row["step"] for row in open_run(whole_run).history()] == [0, 1, 2, 3]


def test_killed_and_resumed_equals_uninterrupted(
    tiny_dataset: Path, tmp_path: Path, whole_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dies at the third step, after the checkpoint of the second; nothing else of the process survives."""
    real = loop_module.Trainer._step

    def dies(self: Any, step: int, parts: Any) -> Any:
        if step == 3:
            raise KeyboardInterrupt
        return real(self, step, parts)

    monkeypatch.setattr(loop_module.Trainer, "_step", dies)
    with pytest.raises(KeyboardInterrupt):
        _train(tiny_dataset, tmp_path / "run")
    monkeypatch.undo()
    torch.manual_seed(999)
    np.random.seed(999)
    _train(tiny_dataset, tmp_path / "run", resume=True)
    _require_equal(whole_run, tmp_path / "run")


def test_resuming_a_finished_run_does_nothing_and_says_so(
    tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [word for key in TINY for word in ("--set", key)]
    command = ["pretrain", str(tiny_dataset), "--out", str(tmp_path / "run")]
    assert main([*command, *words, "--quiet"]) == 0
    first = json.loads(capsys.readouterr().out)
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    monkeypatch.setattr(loop_module, "read_catalogue", pytest.fail)
    assert main([*command, "--resume"]) == 0
    shown = capsys.readouterr()
    second = json.loads(shown.out)
    assert "run is finished: 4 of 4 steps are done" in shown.err
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before
    assert second.keys() == first.keys()
    assert second["loss_first_and_last_tenth"] == first["loss_first_and_last_tenth"]


def test_sigterm_saves_and_resume_goes_on(tiny_dataset: Path, tmp_path: Path) -> None:
    words = [word for key in [*TINY, "loop.steps=4000", "loop.checkpoint_every=4000"] for word in ("--set", key)]
    command = [sys.executable, "-m", "train", "pretrain", str(tiny_dataset), "--out", str(tmp_path / "run"), *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    history = tmp_path / "run" / "history.jsonl"
    while time.monotonic() < deadline and not (history.is_file() and history.stat().st_size):
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 143, said
    assert "run the same command with --resume to go on" in said
    checkpoint, _ = read_checkpoint(tmp_path / "run" / "checkpoints")
    assert checkpoint.step > 0
    assert len(open_run(tmp_path / "run").history()) == checkpoint.step


def test_ctrl_c_saves_and_resume_equals_uninterrupted(
    tiny_dataset: Path, tmp_path: Path, whole_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loop_module.Trainer._step

    def interrupted(self: Any, step: int, parts: Any) -> Any:
        if step == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return real(self, step, parts)

    words = [word for key in TINY for word in ("--set", key)]
    command = ["pretrain", str(tiny_dataset), "--out", str(tmp_path / "run"), "--quiet"]
    monkeypatch.setattr(loop_module.Trainer, "_step", interrupted)
    assert main([*command, *words]) == 130
    monkeypatch.undo()
    assert read_checkpoint(tmp_path / "run" / "checkpoints")[0].step == 3
    assert main([*command, "--resume"]) == 0
    _require_equal(whole_run, tmp_path / "run")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stop_in_the_text_warm_up_is_saved_and_resume_equals_uninterrupted(
    tiny_dataset: Path,
    tmp_path: Path,
    whole_run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
    code: int,
) -> None:
    """The words on stderr name the command that goes on; the one that was stopped says so too."""
    real, calls = text_module._masked, iter(range(100))

    def stopped(*arguments: Any) -> Any:
        if next(calls) == 1:
            os.kill(os.getpid(), number)
        return real(*arguments)

    words = [word for key in TINY for word in ("--set", key)]
    command = ["pretrain", str(tiny_dataset), "--out", str(tmp_path / "run")]
    monkeypatch.setattr(text_module, "_masked", stopped)
    assert main([*command, *words]) == code
    said = capsys.readouterr().err
    assert "saved after step 2 of 3" in said
    assert "run the same command with --resume to go on" in said
    assert main([*command, *words]) == 2
    assert "add --resume" in capsys.readouterr().err
    assert main([*command[:2], "--out", str(tmp_path / "run"), "--resume", *words]) == 0
    assert "text warm-up: 3/3" in capsys.readouterr().err
    _require_equal(whole_run, tmp_path / "run")
    assert not (tmp_path / "run" / "warmup").exists()


def test_a_stop_before_anything_was_learned_leaves_nothing_and_resume_starts(
    tiny_dataset: Path, tmp_path: Path, whole_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    words = [word for key in TINY for word in ("--set", key)]
    command = ["pretrain", str(tiny_dataset), "--out", str(tmp_path / "run"), "--quiet", *words]
    monkeypatch.setattr(loop_module, "read_catalogue", stopped)
    assert main(command) == 143
    monkeypatch.undo()
    assert not (tmp_path / "run").exists()
    assert main([*command, "--resume"]) == 0
    _require_equal(whole_run, tmp_path / "run")


def test_a_damaged_checkpoint_falls_back_one(tiny_dataset: Path, tmp_path: Path, whole_run: Path) -> None:
    shutil.copytree(whole_run, tmp_path / "run")
    newest = tmp_path / "run" / "checkpoints" / "step-00000004" / "model.safetensors"
    content = bytearray(newest.read_bytes())
    content[-5] ^= 1
    newest.write_bytes(content)
    assert read_checkpoint(tmp_path / "run" / "checkpoints")[0].step == 2
    _train(tiny_dataset, tmp_path / "run", resume=True)
    _require_equal(whole_run, tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints").glob("*/state.json"):
        path.write_text("{")
    with pytest.raises(DamagedCheckpoint, match="all 2 are damaged"):
        read_checkpoint(tmp_path / "run" / "checkpoints")


def test_a_loss_that_is_not_finite_stops_with_the_pairs(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loop_module.T3D.forward

    def spoilt(self: Any, batch: Any) -> dict[str, torch.Tensor]:
        spoilt.calls += 1  # type: ignore[attr-defined]
        terms = real(self, batch)
        return {name: term * float("nan") for name, term in terms.items()} if spoilt.calls == 4 else terms  # type: ignore[attr-defined]

    spoilt.calls = 0  # type: ignore[attr-defined]
    monkeypatch.setattr(loop_module.T3D, "forward", spoilt)
    with pytest.raises(NonFiniteLoss, match="step-00000002") as caught:
        _train(tiny_dataset, tmp_path / "run")
    assert caught.value.step == 3
    assert caught.value.pair_ids
    assert all(name.startswith("pair") for name in caught.value.pair_ids)
    assert read_checkpoint(tmp_path / "run" / "checkpoints")[0].step == 2


def test_an_unreadable_volume_stops_the_run(tiny_dataset: Path, tmp_path: Path) -> None:
    root = tmp_path / "dataset"
    shutil.copytree(tiny_dataset, root)
    for path in (root / "volumes").glob("*.nii"):
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UnreadableVolume, match="volume00"):
        _train(root, tmp_path / "run")


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains(tiny_dataset: Path, tmp_path: Path, method: str) -> None:
    steps = 0 if method in METHODS_WITHOUT_STEPS else 2
    summary = _train(tiny_dataset, tmp_path / "run", f"loop.steps={steps}", method=method)
    assert summary["steps"] == steps
    model_terms = set(summary["loss_first_and_last_tenth"])
    expected = {
        "scratch": set(),
        "restore": {"total", "tir"},
        "tir-only": {"total", "tir"},
        "simclr": {"total", "tcl"},
        "tcl-only": {"total", "tcl"},
        "clip": {"total", "align"},
        "t3d-align": {"total", "tcl", "tir", "align"},
    }
    assert model_terms == expected.get(method, {"total", "tcl", "tir"})


def test_restoration_falls_over_a_run(tiny_dataset: Path, tmp_path: Path) -> None:
    words = ("loop.steps=40", "loop.warmup_steps=5", "loop.sample_every=1000", "loop.checkpoint_every=1000")
    ends = _train(tiny_dataset, tmp_path / "run", *words, method="tir-only")["loss_first_and_last_tenth"]
    assert ends["tir"][1] < 0.8 * ends["tir"][0]


def test_every_term_falls_on_one_batch(tiny_dataset: Path, tmp_path: Path, whole_run: Path) -> None:
    """Contrast and alignment are learned too, far below what equal similarities give."""
    config = _config("t3d-align", "tcl.soft_positive=0.0", "crop.same_region_share=0.25")
    run = open_run(whole_run)
    dataset = Dataset.open(tiny_dataset)
    catalogue = read_catalogue(dataset, ("train",), config.crop)
    batch = Batcher(catalogue, VolumeStore(dataset, tmp_path), run.tokens, config).make(0, range(4), 4)
    torch.manual_seed(0)
    model = T3D(config, rebuild_encoder(run.text_settings))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    rows = []
    for _ in range(40):
        terms = model(batch)
        optimizer.zero_grad()
        model.total(terms).backward()
        optimizer.step()
        rows.append({name: float(term.detach()) for name, term in terms.items()})
    for name in ("tcl", "tir", "align"):
        assert rows[-1][name] < 0.8 * rows[0][name], name
    assert rows[-1]["tcl"] < 0.8 * np.log(4)


@pytest.mark.parametrize("method", ["t3d-align", "simclr", "obvious-tcl", "restore"])
def test_a_split_into_micro_batches_changes_no_gradient(
    tiny_dataset: Path, tmp_path: Path, whole_run: Path, method: str
) -> None:
    """Negatives included: the contrastive terms compare all slots of the step, whatever fits into memory."""
    splits = [("loop.batch=4",), ("loop.batch=2", "loop.accumulate=2"), ("loop.batch=1", "loop.accumulate=4")]
    whole, *others = [step_gradients(_config(method, *words), tiny_dataset, whole_run, tmp_path) for words in splits]
    for other in others:
        _require_close(whole, other)


def _require_close(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> None:
    assert one.keys() == two.keys()
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-6
    assert max(float(gradient.abs().max()) for gradient in one.values()) > 1e-2


def test_bf16_and_activation_checkpointing_train_to_the_same_loss(
    tiny_dataset: Path, tmp_path: Path, whole_run: Path
) -> None:
    plain = open_run(whole_run).history()
    for name, words in {
        "checkpointed": ["loop.activation_checkpointing=true"],
        "bf16": ["loop.precision=bf16"],
    }.items():
        _train(tiny_dataset, tmp_path / name, *words)
        rows = open_run(tmp_path / name).history()
        tolerance = 1e-5 if name == "checkpointed" else 3e-2
        assert [row["total"] for row in rows] == pytest.approx([row["total"] for row in plain], rel=tolerance)
    assert rows != plain


def test_learning_rate_warms_up_and_falls() -> None:
    config = load_config("t3d", ["loop.steps=100", "loop.warmup_steps=10"], scale="cpu").loop
    rates = [learning_rate(config, step) for step in range(100)]
    assert rates[0] == pytest.approx(config.learning_rate / 10)
    assert max(rates) == rates[9] == pytest.approx(config.learning_rate)
    assert all(a >= b for a, b in pairwise(rates[9:]))
    assert rates[-1] < 0.02 * config.learning_rate


def test_places_that_are_no_run_or_no_data_set(
    tiny_dataset: Path, tmp_path: Path, whole_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    cases = [
        (["pretrain", str(empty), "--out", str(tmp_path / "a")], "is no data set"),
        (["pretrain", str(tmp_path / "none"), "--out", str(tmp_path / "a")], "is no data set"),
        (["pretrain", str(tiny_dataset), "--out", str(whole_run)], "holds a run already"),
        (
            ["pretrain", str(tiny_dataset), "--out", str(whole_run), "--resume", "--config", "clip"],
            "(method t3d, not clip)",
        ),
        (["evaluate", str(empty), str(tiny_dataset)], "is no run"),
        (["evaluate", str(whole_run), str(empty)], "is no data set"),
        (["evaluate", str(whole_run), str(tiny_dataset), "--only", "everything"], "no task"),
        (["export", str(empty), "--out", str(tmp_path / "b")], "is no run"),
        (["crops", str(empty), "--out", str(tmp_path / "c.png")], "is no data set"),
        (["crops", str(tiny_dataset), "--pair", "nobody", "--out", str(tmp_path / "c.png")], "no located sentence"),
    ]
    for words, says in cases:
        assert main([*words, "--quiet"]) == 2, words
        assert says in capsys.readouterr().err


def test_another_grid_is_refused(tiny_dataset: Path, tmp_path: Path, whole_run: Path) -> None:
    root = tmp_path / "dataset"
    shutil.copytree(tiny_dataset, root)
    table = json.loads((root / "dataset.json").read_text())
    table["grid"]["spacing_mm"] = [1.0, 1.0, 1.0]
    (root / "dataset.json").write_text(json.dumps(table))
    with pytest.raises(DataError, match="spacing_mm"):
        pretrain(root, whole_run, None, resume=True, progress=QUIET)
    table["grid"]["spacing_mm"] = 4.0  # the same grid, as one number
    (root / "dataset.json").write_text(json.dumps(table))
    assert grid_of(Dataset.open(root)) == grid_of(Dataset.open(tiny_dataset))
    table["grid"]["spacing_mm"] = 1.0
    (root / "dataset.json").write_text(json.dumps(table))
    assert main(["evaluate", str(whole_run), str(root), "--quiet"]) == 1


def test_resume_without_a_run_is_refused(tiny_dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no run to resume"):
        pretrain(tiny_dataset, tmp_path / "none", None, resume=True, progress=QUIET)


TWO_PROCESSES = """
import sys
from pathlib import Path
from safetensors.torch import save_file
from train.config import load_config
from train.distributed import process_group, rank
from train_data import step_gradients

root, run, out, *words = sys.argv[1:]
with process_group():
    for batch, accumulate in ((2, 1), (1, 2)):
        config = load_config("t3d-align", [*words, f"loop.batch={batch}", f"loop.accumulate={accumulate}"], scale="cpu")
        gradients = step_gradients(config, Path(root), Path(run), Path(out))
        if rank() == 0:
            save_file(gradients, Path(out) / f"{accumulate}.safetensors")
"""


@pytest.mark.slow
def test_two_processes_make_the_gradients_of_one(tiny_dataset: Path, tmp_path: Path, whole_run: Path) -> None:
    """Under torchrun with gloo, with and without micro-batches: no gradient differs by more than 1e-6."""
    (tmp_path / "gradients.py").write_text(TWO_PROCESSES)
    path = os.pathsep.join((str(REPOSITORY), str(Path(__file__).parent)))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launch, str(tmp_path / "gradients.py"), str(tiny_dataset), str(whole_run), str(tmp_path), *TINY]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    one = step_gradients(_config("t3d-align", "loop.batch=4"), tiny_dataset, whole_run, tmp_path)
    for accumulate in (1, 2):
        _require_close(one, load_file(tmp_path / f"{accumulate}.safetensors"))


@pytest.mark.slow
def test_a_run_under_torchrun_logs_what_one_process_logs(tiny_dataset: Path, tmp_path: Path, whole_run: Path) -> None:
    words = [word for key in (*TINY, "loop.batch=2", "text.warmup_steps=3") for word in ("--set", key)]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "train"]
    command = [*launch, "pretrain", str(tiny_dataset), "--out", str(tmp_path / "run"), "--quiet", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = open_run(whole_run).history(), open_run(tmp_path / "run").history()
    for first, second in zip(one, two, strict=True):
        for name in ("total", "tcl", "tir", "grad_norm"):
            assert first[name] == pytest.approx(second[name], rel=1e-4), name


def test_errors_keep_what_they_say_between_processes() -> None:
    for error in (NonFiniteLoss(3, ["p1", "p2"], "step-00000002"), UnreadableVolume("v1", "it is no NIfTI-1 file")):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
