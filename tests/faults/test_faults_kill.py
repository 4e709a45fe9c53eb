"""Kill -9, a full disk, an I/O error at any write: run again, and the bytes are those of an undisturbed run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hospital import StudyPlan, configured, tree_hash, write_export
from warm_process import WarmProcess

REPOSITORY = Path(__file__).resolve().parents[2]
N_POINTS = int(os.environ.get("T3DKIT_KILLS", "4"))
"""Moments per kind of fault; more with T3DKIT_KILLS."""

HARNESS = '''
"""Runs curations in forks of a warm process; the fork counts its writes and meets its end at a given one."""
import errno, json, os, sqlite3, sys, warnings
sys.path[:0] = [REPOSITORY, REPOSITORY + "/tests"]
warnings.simplefilter("ignore")
from pathlib import Path
from hospital import curate, tree_hash
import reports.deidentify, reports.parse, volumes.convert, curation.align.locate, curation.run

reports.parse.parse_report("FINDINGS: The liver is normal.")
EXPORT, FOLDER = Path(sys.argv[1]), Path(sys.argv[2])
state = {"n": 0, "at": -1, "fault": ""}

def tick():
    state["n"] += 1
    if state["n"] == state["at"]:
        if state["fault"] == "kill":
            os.kill(os.getpid(), 9)
        raise OSError(getattr(errno, state["fault"]), "injected")

def counted(function, before=True, after=False):
    def call(*args, **kwargs):
        if before: tick()
        result = function(*args, **kwargs)
        if after and state["fault"] == "kill": tick()
        return result
    return call

class Counting(sqlite3.Connection):
    def execute(self, *args):
        if state["fault"] == "kill": tick()
        return super().execute(*args)
    def commit(self):
        if state["fault"] == "kill": tick()
        super().commit()

def run(name, at=-1, fault=""):
    """Exit status of a forked curation, and how many writes it counted."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        state.update(n=0, at=at, fault=fault)
        os.replace, os.fsync = counted(os.replace, after=True), counted(os.fsync)
        connect = sqlite3.connect
        sqlite3.connect = lambda *args, **kwargs: connect(*args, **kwargs, factory=Counting)
        code = curate(EXPORT, FOLDER / name)
        os.write(write, str(state["n"]).encode())
        os._exit(code)
    os.close(write)
    counted_writes = os.read(read, 64)
    os.close(read)
    return os.waitpid(child, 0)[1], int(counted_writes or 0)

for line in sys.stdin:
    order = json.loads(line)
    status, n = run(order["name"], order["at"], order["fault"])
    root = FOLDER / order["name"]
    final = [path for path in root.rglob("*.parquet") if not path.name.startswith(".tmp-")]
    torn = [path.name for path in final if path.read_bytes()[-4:] != b"PAR1"]
    again, _n = run(order["name"])
    print(json.dumps({"status": status, "n": n, "torn": torn, "again": again, "hash": tree_hash(root)}), flush=True)
'''


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three studies that link and one that does not."""
    plans = tuple(
        StudyPlan(60 + n, f"MRN9200{n}", f"Surname{'abcd'[n]}^Given", f"ACC92000{n}", "20210401", has_report=n < 3)
        for n in range(4)
    )
    return configured(write_export(tmp_path_factory.mktemp("faults"), plans))


class Harness(WarmProcess):
    """The warm process of `HARNESS`."""

    def __init__(self, export: Path, folder: Path) -> None:
        program = HARNESS.replace("REPOSITORY", repr(str(REPOSITORY)))
        super().__init__(["-c", program, str(export), str(folder)], REPOSITORY)

    def order(self, name: str, at: int = -1, fault: str = "") -> dict:
        return self.ask(name=name, at=at, fault=fault)


@pytest.mark.parametrize("fault", ["kill", "ENOSPC", "EIO"])
def test_any_interruption_ends_in_the_same_bytes(export: Path, tmp_path: Path, fault: str):
    harness = Harness(export, tmp_path)
    try:
        # A point beyond the last write disturbs nothing: it counts them.
        calm = harness.order("calm", at=10**9, fault=fault)
        assert (calm["status"], calm["again"]) == (0, 0)
        assert calm["n"] > 30
        points = sorted(random.Random(fault).sample(range(1, calm["n"] + 1), min(N_POINTS, calm["n"])))
        for point in points:
            met = harness.order(f"{fault}-{point}", at=point, fault=fault)
            if fault == "kill":
                assert os.WTERMSIG(met["status"]) == signal.SIGKILL
            else:
                assert os.WEXITSTATUS(met["status"]) == 1, f"{fault} at write {point} went unnoticed"
            assert met["torn"] == []
            assert met["again"] == 0, point
            assert met["hash"] == calm["hash"], point
    finally:
        harness.close()


def test_killed_processes_resume_to_the_same_bytes(export: Path, tmp_path: Path):
    """The driver dies while workers are at work; a later run, in one process, finishes what they began."""
    words = [
        sys.executable, "-m", "curation", "run", str(export / "dicom"), "--reports", str(export / "reports.csv"),
        "--config", str(export / "config.toml"), "--key", str(export / "key"), "--quiet", "--out",
    ]  # fmt: skip
    killed = tmp_path / "killed"
    with subprocess.Popen(
        [*words, str(killed), "--workers", "2"], cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as driver:
        deadline = time.monotonic() + 120
        while not any(killed.rglob("*.nii")) and driver.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        driver.kill()
    assert driver.returncode == -signal.SIGKILL
    for dataset in (killed, tmp_path / "calm"):
        subprocess.run([*words, str(dataset)], cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    assert tree_hash(killed) == tree_hash(tmp_path / "calm")
