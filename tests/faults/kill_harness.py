"""Curations on two worker processes, of which some are killed at given moments; then the run that goes on.

Run as a program: EXPORT FOLDER, orders as JSON lines on stdin, answers on stdout. Each curation is a fork of this warm
process, its workers are forks of one warm fork server; else a run would be start-up for nine tenths.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import warnings
from multiprocessing import forkserver
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests")]

FORK_SERVER = forkserver._forkserver  # type: ignore[attr-defined]


def main() -> None:
    """Answer orders until stdin closes."""
    warnings.simplefilter("ignore")
    from hospital import tree_hash

    warm_up()
    export, folder = Path(sys.argv[1]), Path(sys.argv[2])
    for line in sys.stdin:
        order = json.loads(line)
        dataset = folder / order["name"]
        answer = disturbed(export, dataset, order["kills"])
        final = [path for path in dataset.rglob("*.parquet") if not path.name.startswith(".tmp-")]
        answer["torn"] = [path.name for path in final if path.read_bytes()[-4:] != b"PAR1"]
        answer["again"] = os.waitpid(curation(export, dataset, workers=1), 0)[1]
        print(json.dumps(answer | {"hash": tree_hash(dataset)}), flush=True)


def warm_up() -> None:
    """Load what a driver needs, start the fork server with what a worker needs; forks of this process share both."""
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"))
    import distributed  # noqa: F401

    FORK_SERVER.set_forkserver_preload(["distributed", "curation.warm"])
    FORK_SERVER.ensure_running()
    FORK_SERVER.ensure_running = lambda: None  # a fork is not its parent, and would refuse to use it


def curation(export: Path, dataset: Path, *, workers: int) -> int:
    """Start a curation in a fork; returns its process id."""
    process = os.fork()
    if process == 0:
        said = os.open(dataset.with_suffix(".said"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for descriptor in (1, 2):
            os.dup2(said, descriptor)
        from hospital import curate

        code = 70
        try:
            code = curate(export, dataset, "--workers", str(workers))
        finally:
            os._exit(code)
    return process


def disturbed(export: Path, dataset: Path, kills: list[tuple[str, float]]) -> dict:
    """A curation of which processes are killed after so many seconds each, in order, as soon as there is one."""
    started = time.monotonic()
    driver = curation(export, dataset, workers=2)
    killed: list[str] = []
    status = None
    while status is None:
        ended, code = os.waitpid(driver, os.WNOHANG)
        status = code if ended else None
        for victim, after_s in kills[len(killed) :][: status is None]:
            if time.monotonic() - started >= after_s and kill_one(victim, driver):
                killed.append(victim)
        time.sleep(0.002)
    return {"killed": killed, "status": status, "seconds": time.monotonic() - started}


def kill_one(victim: str, driver: int) -> bool:
    """Kill -9 a process of the kind, if there is one."""
    workers = children_of(FORK_SERVER._forkserver_pid)
    decoders = [child for worker in workers for child in children_of(worker) if is_decoder(child)]
    found = {"driver": [driver], "worker": workers, "child": decoders}[victim]
    for process in found[-1:]:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True
    return False


def children_of(process: int) -> list[int]:
    """Process ids of the children of a process; none where it is gone."""
    found: list[int] = []
    try:
        for thread in Path(f"/proc/{process}/task").iterdir():
            found += map(int, (thread / "children").read_text().split())
    except OSError:
        pass
    return sorted(found)


def is_decoder(process: int) -> bool:
    """Whether a process is a child that decodes frames."""
    try:
        return b"volumes.decode_child" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False


if __name__ == "__main__":
    main()
