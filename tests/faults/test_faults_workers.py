"""Kill -9 of the driver, a worker or a decode child at random moments of a run: the next run ends in the same bytes.

`T3DKIT_KILLS` says how many moments; docs/curation_faults.md has the figures of the full count.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from compressed import compress
from hospital import KEY, StudyPlan, report_row, write_reports, write_study

N_STUDIES = 12
N_POINTS = int(os.environ.get("T3DKIT_KILLS", "3"))
VICTIMS = ("driver", "worker", "child")


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve small studies, a third of them compressed; eleven have a report."""
    root = tmp_path_factory.mktemp("export")
    plans = [
        StudyPlan(60 + n, f"MRN9300{n:02}", f"Surname{chr(97 + n)}^Given", f"ACC9300{n:02}", "20210401")
        for n in range(N_STUDIES)
    ]
    for plan in plans:
        folder = root / "dicom" / f"study{plan.number}"
        write_study(folder, plan, n_slices=8)
        if plan.number % 3 == 0:
            for path in folder.rglob("*.dcm"):
                compress(path)
    write_reports(root / "reports.csv", [report_row(plan) for plan in plans[:-1]])
    (root / "config.toml").write_text("[grid]\nspacing_mm = 5\n[volumes]\nmin_slices = 8\n")
    (root / "key").write_text(KEY)
    return root


class Harness:
    """The warm process of `kill_harness`."""

    def __init__(self, export: Path, folder: Path) -> None:
        program = Path(__file__).with_name("kill_harness.py")
        self.process = subprocess.Popen(
            [sys.executable, str(program), str(export), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def order(self, name: str, victim: str, after_s: float) -> dict:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({"name": name, "victim": victim, "after_s": after_s}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()
        self.process.wait(timeout=60)


def test_a_killed_process_costs_no_byte(export: Path, tmp_path: Path):
    harness = Harness(export, tmp_path)
    generator = random.Random(7)
    try:
        calm = harness.order("calm", "nobody", 0)
        assert (calm["status"], calm["again"]) == (0, 0)
        seconds = calm["seconds"]
        hit: Counter[str] = Counter()
        n_missed = 0
        while hit.total() < N_POINTS:
            victim = VICTIMS[hit.total() % len(VICTIMS)]
            name = f"{victim}-{hit.total()}-{n_missed}"
            met = harness.order(name, victim, generator.uniform(0, seconds))
            if not met["killed"]:  # the run had ended before the moment came
                n_missed += 1
                assert n_missed < 10 + N_POINTS
                continue
            hit[victim] += 1
            if victim == "driver":
                assert os.WTERMSIG(met["status"]) == signal.SIGKILL, name
            else:
                assert met["status"] == 0, f"{name}: the run did not get over it"
                seconds = 0.8 * seconds + 0.2 * met["seconds"]
            assert (met["torn"], met["again"]) == ([], 0), name
            assert met["hash"] == calm["hash"], name
        print(f"{hit.total()} of {N_POINTS} points end in the same bytes: {dict(hit)}, {n_missed} came too late")
    finally:
        harness.close()
