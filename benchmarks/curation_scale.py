"""What a curation costs beside its stages, with more workers, with more studies, with a large series.

Three tables, printed as docs/curation_scale.md has them:
overhead: processor time of driver and workers while files are indexed and studies curated, less the processor time of
the stages themselves, called in a plain loop; linear: processor time per study of exports of small studies; memory: the
peak of a process that curates a series of 1,000 slices among small studies.

``python -m benchmarks.curation_scale [--export DEMO] [--studies N ...] [--slices N] [--repeat N]``; without a demo
export one of 16 studies is made. Two workers against one are timed by the clock: raise the priority for that, and look
at the load that is printed. With ``--work FOLDER --limit S`` a row of the second table stops after S processor seconds;
the same command goes on there, and what the parts cost is added up.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
N_SMALL_SLICES = 8
UID_ROOT = "1.2.826.0.1.3680043.10.1451.5"
TEXT = (
    "FINDINGS:\nThe liver is normal in size. There is a {size} mm cyst in the right kidney. The spleen is unremarkable."
    " No pleural effusion. Number {number} of the day.\n\nIMPRESSION:\nSimple cyst of the right kidney, {size} mm.\n"
)


@dataclass(frozen=True)
class Cost:
    """Processor seconds of a run: while indexing and curating studies, and in all."""

    wall_s: float
    studies_wall_s: float
    phases_cpu_s: float
    stages_cpu_s: float
    total_cpu_s: float
    driver_cpu_s: float = 0.0
    """Of `phases_cpu_s`, what this process took."""
    loops_cpu_s: float = 0.0
    """Of the workers' main threads, which run Dask and no stage."""
    start_cpu_s: float = 0.0
    """Of the fork server and the workers, until they are ready."""
    is_finished: bool = True


class OutOfTimeError(BaseException):
    """The limit of processor time is reached; no stage takes it for a failure of its own."""


def curated(export: Path, dataset: Path, config: Path | None, *, workers: int, limit_s: float = float("inf")) -> Cost:
    """Curate in this process, counting processor time of this process and of its workers; `limit_s` of one process."""
    import psutil

    import curation.executor
    import curation.run
    from curation.config import read_config
    from t3dkit.progress import Progress

    stages = phases = driver = loops = start = 0.0
    counted: list[Any] = []

    def counting(function: Callable[..., Any], argument: Any) -> Any:
        nonlocal stages
        before = time.process_time()
        if before - began_cpu > limit_s:
            raise OutOfTimeError
        try:
            return guarded(function, argument)
        finally:
            stages += time.process_time() - before

    def processes_cpu_s() -> float:
        return time.process_time() + sum(sum(one.cpu_times()[:2]) for one in counted)

    @contextlib.contextmanager
    def opened(**words: Any) -> Iterator[Any]:
        nonlocal start, loops
        before = time.process_time()
        with open_executor(**words) as executor:
            if workers > 1:
                counted.extend(psutil.Process(pid) for pid in executor.client.run(os.getpid).values())
                start = time.process_time() - before
                start += sum(sum(one.cpu_times()[:2]) for one in psutil.Process().children(recursive=True))
                loops = -sum(executor.client.run(main_thread_cpu_s).values())
            yield executor
            if workers > 1:
                loops += sum(executor.client.run(main_thread_cpu_s).values())

    def phase(method: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*arguments: Any) -> Any:
            nonlocal phases, driver
            before, own = processes_cpu_s(), time.process_time()
            try:
                return method(*arguments)
            finally:
                phases += processes_cpu_s() - before
                driver += time.process_time() - own

        return measured

    run = curation.run._Run
    kept = run._index, run._process
    guarded, open_executor = curation.executor.guarded, curation.run.open_executor
    run._index, run._process = phase(run._index), phase(run._process)  # type: ignore[method-assign]
    curation.run.open_executor = opened  # type: ignore[assignment]
    if workers == 1:
        curation.executor.guarded = counting
    began, began_cpu = time.monotonic(), time.process_time()
    summary: dict[str, Any] = {"exit_code": 0, "seconds": {"studies": 0.0}, "counts": {}}
    is_finished = False
    try:
        options = curation.run.Options(export=export, reports=export / "reports.csv", dataset=dataset, workers=workers)
        summary = curation.run.run_curation(options, read_config(config), Progress(quiet=True))
        is_finished = True
    except OutOfTimeError:
        pass
    finally:
        run._index, run._process = kept  # type: ignore[method-assign]
        curation.executor.guarded, curation.run.open_executor = guarded, open_executor
    assert summary["exit_code"] == 0, summary["counts"]
    wall, total = time.monotonic() - began, time.process_time() - began_cpu
    return Cost(wall, summary["seconds"]["studies"], phases, stages, total, driver, loops, start, is_finished)


def overhead(export: Path, config: Path | None, work: Path, n_repeats: int) -> Iterator[str]:
    """One process and two workers on the same export, alternating."""
    serial, spread = [], []
    warm_up(export, config, work)
    for number in range(n_repeats):
        for workers, costs in ((1, serial), (2, spread)):
            dataset = work / f"set-{workers}-{number}"
            costs.append(curated(export, dataset, config, workers=workers))
            shutil.rmtree(dataset)
            shutil.rmtree(dataset.with_name(f"{dataset.name}.private"))
    stages = median(cost.stages_cpu_s for cost in serial)
    one, two = (median(cost.phases_cpu_s for cost in costs) for costs in (serial, spread))
    yield "| indexing and curating | processor s | over the stages alone |\n| --- | ---: | ---: |"
    yield f"| the stages, in a loop | {stages:.1f} | |"
    yield f"| one process, with the ledger | {one:.1f} | {100 * (one / stages - 1):.1f} % |"
    yield f"| Dask, two workers, with the ledger | {two:.1f} | {100 * (two / stages - 1):.1f} % |"
    own = [cost.driver_cpu_s + cost.loops_cpu_s for cost in spread]
    yield f"| ... of which the driver and the workers' loops | {median(own):.1f} | {100 * median(own) / stages:.1f} % |"
    yield f"\nStarting the two workers: {spread[0].start_cpu_s:.1f} processor seconds, once, not in the table."
    ratios = [a.studies_wall_s / b.studies_wall_s for a, b in zip(serial, spread, strict=True)]
    yield f"\nTwo workers are {median(ratios):.2f}x one by the clock over the studies ({n_repeats} pairs of runs, load "
    yield f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} processors)."


def main_thread_cpu_s() -> float:
    """Processor seconds of the main thread of the process that calls it (proc(5): schedstat)."""
    thread = threading.main_thread().native_id
    return int(Path(f"/proc/self/task/{thread}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


def warm_up(export: Path, config: Path | None, work: Path) -> None:
    """Compile and load what the first study of a process pays for."""
    import curation.warm  # noqa: F401

    curated(export, work / "warm", config, workers=1)
    shutil.rmtree(work / "warm")
    shutil.rmtree(work / "warm.private")


def linear(counts: list[int], work: Path, limit_s: float) -> Iterator[str]:
    """Processor time per study of exports of so many small studies."""
    yield "| studies | stages, processor s a study | the rest, processor ms a study | peak of the process, GB | parts |"
    yield "| ---: | ---: | ---: | ---: | ---: |"
    for n_studies in counts:
        export = work / f"small-{n_studies}"
        if not (export / "config.toml").is_file():
            small_export(export, n_studies)
        told = told_of(export, "--limit", str(limit_s))
        rest = 1000 * (told["total_cpu_s"] - told["stages_cpu_s"]) / n_studies
        parts = f"{told['n_parts']}{'' if told['is_finished'] else ', goes on'}"
        stages = told["stages_cpu_s"] / n_studies
        yield f"| {n_studies:,} | {stages:.3f} | {rest:.1f} | {told['peak_gb']:.2f} | {parts} |"


def told_of(export: Path, *words: str) -> dict[str, Any]:
    """What `one_run` says, in a process of its own."""
    line = [sys.executable, "-m", "benchmarks.curation_scale", "--one", str(export), *words]
    return json.loads(subprocess.run(line, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE).stdout)


def large(n_slices: int, work: Path) -> Iterator[str]:
    """Peak memory of a process that curates a large series among small ones."""
    export = small_export(work / "large", 3)
    write_large(export, n_slices)
    told = told_of(export, "--spacing", "1.5")
    yield f"A series of {n_slices:,} x 512 x 512 among three small studies, to 1.5 mm: peak {told['peak_gb']:.2f} GB"
    yield f"of the process that does everything, {told['stages_cpu_s']:.0f} processor seconds."


def small_export(root: Path, n_studies: int) -> Path:
    """Studies of eight slices of 48 x 48, each with a report: the bytes of one under other names of equal length."""
    from benchmarks.curation_identifiers import make_slice

    marks = {"PatientID": "MRN10000000", "PatientName": "Family10000000^Given", "AccessionNumber": "ACC10000000",
             "StudyInstanceUID": f"{UID_ROOT}.10000000"}  # fmt: skip
    shared = {
        **marks,
        "PatientBirthDate": "19520617",
        "PatientSex": "F",
        "StudyDate": "20210304",
        "StudyTime": "101500",
    }
    slices = []
    (root / "dicom").mkdir(parents=True)
    for number in range(N_SMALL_SLICES):
        path = root / "template.dcm"
        make_slice(shared, marks["StudyInstanceUID"], number, np.random.default_rng(number)).save_as(path)
        slices.append(path.read_bytes())
    (root / "template.dcm").unlink()
    pixels = len(slices[0]) - 48 * 48 * 2
    with open(root / "reports.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["accession_number", "patient_id", "study_date", "report_text"])
        for study in range(10_000_001, 10_000_001 + n_studies):
            folder = root / "dicom" / str(study)
            folder.mkdir()
            for number, content in enumerate(slices):
                head = content[:pixels].replace(b"10000000", str(study).encode())
                # another noise in each study: no volume is a copy of another
                moved = np.roll(np.frombuffer(content[pixels:], "<u2"), study % 40).tobytes()
                (folder / f"{number:03d}.dcm").write_bytes(head + moved[:-8] + (study % 4096).to_bytes(2, "little") * 4)
            text = TEXT.format(size=8 + study % 30, number=study)
            table.writerow([f"ACC{study}", f"MRN{study}", "20210304", text])
    (root / "config.toml").write_text("[grid]\nspacing_mm = 5\n[volumes]\nmin_slices = 8\n")
    return root


def write_large(root: Path, n_slices: int) -> None:
    """One more study, of many slices of 512 x 512, half a millimetre apart."""
    from benchmarks.curation_identifiers import make_slice

    uid = f"{UID_ROOT}.99999999"
    shared = {"PatientID": "MRN99999999", "PatientName": "Large^Series", "AccessionNumber": "ACC99999999",
              "StudyInstanceUID": uid, "StudyDate": "20210304", "StudyTime": "101500", "PatientSex": "F"}  # fmt: skip
    generator = np.random.default_rng(9)
    y, x = np.mgrid[0:512, 0:512] - 255.5
    body = np.where((x / 220) ** 2 + (y / 150) ** 2 < 1, 45.0, -1000.0)
    (root / "dicom" / "large").mkdir()
    for number in range(n_slices):
        header = make_slice(shared, uid, number, generator)
        header.Rows = header.Columns = 512
        header.PixelSpacing, header.ImagePositionPatient = [0.7, 0.7], [-179.0, -179.0, 0.5 * number]
        hu = body + generator.integers(-20, 20, body.shape)
        header.PixelData = (np.clip(hu, -1024, 3071) + 1024).astype("<u2").tobytes()
        header.save_as(root / "dicom" / "large" / f"{number:04d}.dcm", enforce_file_format=True)
    with open(root / "reports.csv", "a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow(["ACC99999999", "MRN99999999", "20210304", TEXT.format(size=7, number=0)])


def one_run(export: Path, spacing_mm: str, limit_s: float) -> dict[str, Any]:
    """One curation in this process, or a part of it; what it has cost so far, imports aside."""
    import curation.warm  # noqa: F401

    config = export / "config.toml"
    config.write_text(f"[grid]\nspacing_mm = {spacing_mm}\n[volumes]\nmin_slices = 8\n")
    kept = export.with_name(f"{export.name}-cost.json")
    told = json.loads(kept.read_text()) if kept.is_file() else {"n_parts": 0}
    if told.get("is_finished"):
        return told
    cost = curated(export, export.with_name(f"{export.name}-set"), config, workers=1, limit_s=limit_s)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    told = {
        "n_parts": told["n_parts"] + 1,
        "is_finished": cost.is_finished,
        "stages_cpu_s": told.get("stages_cpu_s", 0.0) + cost.stages_cpu_s,
        "total_cpu_s": told.get("total_cpu_s", 0.0) + cost.total_cpu_s,
        "peak_gb": max(told.get("peak_gb", 0.0), peak),
    }
    kept.write_text(json.dumps(told))
    return told


def main(words: argparse.Namespace) -> int:
    """Print what was asked for."""
    if words.one:
        print(json.dumps(one_run(words.one, words.spacing, words.limit)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        work = words.work or Path(folder)
        if words.repeat:
            export, config = words.export, REPOSITORY / "curation" / "demo" / "curation.toml"
            if export is None:
                export = work / "demo"
                make = [sys.executable, "-m", "curation", "demo", str(export), "--studies", "16", "--quiet"]
                subprocess.run(make, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
            print(*overhead(export, config, work, words.repeat), sep="\n", flush=True)
        if words.studies:
            print(*linear(words.studies, work, words.limit), sep="\n", flush=True)
        if words.slices:
            print(*large(words.slices, work), sep="\n", flush=True)
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--export", type=Path, help="a demo export for the first table")
    parser.add_argument("--repeat", type=int, default=3, help="pairs of runs of the first table, 0 for none")
    parser.add_argument("--studies", type=int, nargs="*", default=[100, 1000, 10_000])
    parser.add_argument("--slices", type=int, default=1000, help="of the large series, 0 for none")
    parser.add_argument("--work", type=Path, help="folder for the exports, kept (default: a temporary one)")
    parser.add_argument("--limit", type=float, default=float("inf"), help="processor seconds a row of the second table")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--spacing", default="5", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main(arguments()))
