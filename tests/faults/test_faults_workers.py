"""Kill -9 of the driver, a worker or a decode child at random moments of a run: the next run ends in the same bytes.

`T3DKIT_KILLS` says how many moments, `T3DKIT_SEED` which; docs/curation_faults.md has the figures of the full count.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest
from compressed import compress
from hospital import KEY, StudyPlan, report_row, write_reports, write_study
from warm_process import WarmProcess

N_STUDIES = 12
N_POINTS = int(os.environ.get("T3DKIT_KILLS", "5"))
SEED = os.environ.get("T3DKIT_SEED", "1")
VICTIMS = ("worker", "worker", "child", "child")
"""Of one run, beside its driver."""


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


class Harness(WarmProcess):
    """The warm process of `kill_harness`."""

    def __init__(self, export: Path, folder: Path) -> None:
        super().__init__([str(Path(__file__).with_name("kill_harness.py")), str(export), str(folder)])

    def order(self, name: str, *kills: tuple[str, float]) -> dict:
        return self.ask(name=name, kills=kills)


@pytest.mark.timeout(300 + 60 * N_POINTS)
def test_killed_processes_cost_no_byte(export: Path, tmp_path: Path):
    """Each run loses workers, decode children and at last its driver, at random moments; the next run finishes it."""
    harness = Harness(export, tmp_path)
    generator = random.Random(SEED)
    try:
        calm = harness.order("calm")
        assert (calm["status"], calm["again"]) == (0, 0)
        seconds, n_runs = calm["seconds"], 0
        hit: Counter[str] = Counter()
        while hit.total() < N_POINTS:
            n_runs += 1
            assert n_runs < 10 + N_POINTS, "kills come too late"
            moments = sorted(generator.uniform(0, seconds) for _ in range(1 + len(VICTIMS)))
            victims = [*generator.sample(VICTIMS, len(VICTIMS)), "driver"]
            met = harness.order(f"run-{n_runs}", *zip(victims, moments, strict=True))
            if "driver" in met["killed"]:
                assert os.WTERMSIG(met["status"]) == signal.SIGKILL, n_runs
                seconds *= 1.02  # the moments cover the whole of a run, however busy the machine becomes
            else:
                assert met["status"] == 0, (
                    f"run {n_runs} did not get over {met['killed']}: " + (tmp_path / f"run-{n_runs}.said").read_text()
                )
                seconds = met["seconds"]
            hit.update(met["killed"])
            assert (met["torn"], met["again"]) == ([], 0), n_runs
            assert met["hash"] == calm["hash"], n_runs
            shutil.rmtree(tmp_path / f"run-{n_runs}")
            shutil.rmtree(tmp_path / f"run-{n_runs}.private")
            print(f"{n_runs} runs end in the same bytes after {hit.total()} kills: {dict(hit)}", flush=True)
    finally:
        harness.close()
