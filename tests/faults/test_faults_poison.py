"""A file that kills its decoder, hangs it, puts it to sleep or makes it swell costs itself and a few seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from compressed import POISONS, compress, poison_decoder
from hospital import KEY, StudyPlan, report_row, write_reports, write_study
from kill_harness import children_of
from pydicom.uid import JPEG2000Lossless

from curation.contract import Dataset
from volumes.codecs import FrameSpec
from volumes.errors import DecodeError
from volumes.isolation import _Watch, decode_isolated, stop_child

REPOSITORY = Path(__file__).resolve().parents[2]
MAX_DELAY_S = 5.0
"""By which one poison file may delay a batch."""


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


@pytest.mark.parametrize("poison", ["", *POISONS])
def test_a_poisoned_frame_delays_what_follows_by_five_seconds_at_most(poison: str, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(poison_decoder(tmp_path / "poison")))
    pixels = np.arange(64 * 64, dtype="<u2").reshape(64, 64)
    frame = imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, codecformat="j2k")
    spec = FrameSpec(JPEG2000Lossless, 64, 64, 16, 16, is_signed=False)
    stop_child()
    try:
        assert (decode_isolated(frame, spec)[0] == pixels).all()
        with stopwatch() as taken:
            with pytest.raises(DecodeError) if poison else nullcontext() as met:
                decode_isolated(frame + poison.encode(), spec)
            assert (decode_isolated(frame, spec)[0] == pixels).all(), "what follows is decoded"
            stop_child()
    finally:
        stop_child()
    assert not poison or met.value.reason == "RESOURCE_LIMIT"
    print(f"{poison or 'sound'}: {taken[0]:.2f} s")
    assert taken[0] <= MAX_DELAY_S


class Waiting(threading.Thread):
    """Looks how long this process's children waited for a processor, twenty times a second (proc(5): schedstat)."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.is_over = threading.Event()
        self.waited_s: dict[int, float] = {}

    def run(self) -> None:
        while not self.is_over.wait(0.05):
            for child in children_of(os.getpid()):
                self.waited_s[child] = waited_s(f"/proc/{child}/schedstat")


def waited_s(path: str) -> float:
    try:
        return int(Path(path).read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


@contextmanager
def stopwatch() -> Iterator[list[float]]:
    """How long the block would take on a free machine: by the clock, less what it and its children waited for a
    processor; their processor time at least."""
    taken: list[float] = []
    children = Waiting()
    children.start()
    cpu, own, began_s = os.times(), waited_s("/proc/thread-self/schedstat"), time.monotonic()
    try:
        yield taken
    finally:
        clock_s = time.monotonic() - began_s - (waited_s("/proc/thread-self/schedstat") - own)
        used_s = sum(os.times()[:4]) - sum(cpu[:4])
        children.is_over.set()
        children.join()
        taken.append(max(clock_s - sum(children.waited_s.values()), used_s))


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
