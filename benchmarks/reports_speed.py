"""How fast reports are read: per core, in two processes, and whether memory stays flat.

``python -m benchmarks reports_speed`` parses the real CT notes and the written reports of the gold set over and over,
without a model, and prints reports per second: parsing alone, and with de-identification and its verifier, as
``reports parse`` does. The bars: 250 a second and core; two processes 1.8 times one; memory flat over many reports.
CPU seconds are counted beside the clock, since a busy machine slows the clock only.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence

from benchmarks.reports_gold import find_notes
from benchmarks.reports_gold_files import read_real, read_written
from reports.records import MergedReport, RawReport
from reports.work import ParseSettings, process_report

SECONDS = 8.0
KNOWN = (
    ("PatientName", "QUIGLEY^JASPER^M"),
    ("PatientID", "C-5500917"),
    ("PatientBirthDate", "19510517"),
    ("AccessionNumber", "CX202007150042"),
    ("ReferringPhysicianName", "Longacre^Hilda"),
    ("StudyDate", "20200715"),
)
"""What the table and the DICOM header of a study usually tell."""


def texts_of(name: str) -> list[str]:
    """The texts of a set of the gold files."""
    if name == "written":
        return [one.text for one in read_written()]
    notes = find_notes()
    return [one.text for one in read_real(notes) if one.kind == "ct"] if notes else []


def _parse_only(text: str) -> object:
    from reports.parse import parse_report

    return parse_report(text, language="en")


def _as_the_command_does(text: str) -> object:
    raw = RawReport("row", text, known_identifiers=KNOWN)
    return process_report(MergedReport(raw, ("row",)), ParseSettings(key=b"benchmark"))


JOBS: dict[str, Callable[[str], object]] = {"parse": _parse_only, "de-identify, verify, parse": _as_the_command_does}


def rate(texts: Sequence[str], job: str, seconds: float) -> tuple[int, float, float]:
    """Reports done in about `seconds` by the clock, and the wall and CPU seconds they took."""
    run = JOBS[job]
    for text in texts:
        run(text)
    n, wall, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < seconds:
        for text in texts:
            run(text)
        n += len(texts)
    return n, time.perf_counter() - wall, time.process_time() - cpu


def _worker(job: str, start: object, results: object) -> None:
    texts = texts_of("written")
    for text in texts:
        JOBS[job](text)
    start.wait()  # type: ignore[attr-defined]
    results.put(rate(texts, job, SECONDS))  # type: ignore[attr-defined]


def in_processes(n: int, job: str) -> tuple[float, float]:
    """Reports per wall second of `n` processes together, and per CPU second of each on average."""
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(n), context.Queue()
    workers = [context.Process(target=_worker, args=(job, start, results)) for _ in range(n)]
    for worker in workers:
        worker.start()
    done = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    return sum(count / wall for count, wall, _ in done), sum(count / cpu for count, _, cpu in done) / n


def memory_mb(n_reports: int) -> list[tuple[int, float]]:
    """Peak resident memory after a tenth, half and all of `n_reports`, MB; every text differs by a number."""
    texts = texts_of("written")
    marks, points = {max(n_reports // 10, 1), n_reports // 2, n_reports}, []
    for number in range(1, n_reports + 1):
        _as_the_command_does(f"{texts[number % len(texts)]}\nNodule {number % 9973} measures {number % 97} mm.")
        if number in marks:
            points.append((number, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
    return points


def main(words: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reports_speed")
    parser.add_argument("--memory", type=int, default=20_000, metavar="N", help="reports of the memory run; 0 for none")
    arguments = parser.parse_args([] if words is None else words)
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    print("set | job | characters a report | reports per CPU second | reports per second by the clock")
    for name in ("real CT", "written"):
        texts = texts_of("written" if name == "written" else "ct")
        for job in JOBS if texts else ():
            n, wall, cpu = rate(texts, job, SECONDS)
            print(f"{name} | {job} | {sum(map(len, texts)) // len(texts)} | {n / cpu:.0f} | {n / wall:.0f}", flush=True)
    print("processes | reports per second by the clock, together | reports per CPU second of each")
    alone = in_processes(1, "parse")
    both = in_processes(2, "parse")
    for count, (clock, cpu_rate) in ((1, alone), (2, both)):
        print(f"{count} | {clock:.0f} | {cpu_rate:.0f}", flush=True)
    print(f"two against one: {both[0] / alone[0]:.2f} by the clock, {2 * both[1] / alone[1]:.2f} by CPU time")
    if arguments.memory:
        print("reports | peak memory, MB")
        for number, megabytes in memory_mb(arguments.memory):
            print(f"{number} | {megabytes:.0f}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
