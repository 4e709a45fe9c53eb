"""The executor: the same outcomes wherever stages run, failures without words, a dead worker costs its task."""

from __future__ import annotations

import os
import re
import resource
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from curation.executor import DaskExecutor, Failure, SerialExecutor, open_executor
from t3dkit.errors import ConfigError

SECRET = "Quillfeather"


DEADLY = (5, 6, 17)


def double(number: int) -> int:
    if number == 3:
        raise ValueError(SECRET)
    return 2 * number


def double_or_die(number: int) -> int:
    if number in DEADLY:
        os._exit(1)
    return double(number)


def threads(_nothing: int) -> str | None:
    return os.environ.get("OMP_NUM_THREADS")


def page_faults(n_arrays: int) -> int:
    """How many pages are mapped anew while as many arrays of a megabyte come and go."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(n_arrays):
        np.ones(2**20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


PINS: list[bytearray] = []


def swell(_nothing: int) -> int:
    """Hold 400 MB in small pieces, free all but the last: the C library keeps the memory. Then be looked at."""
    pieces = [bytearray(20_000) for _ in range(20_000)]
    PINS.append(pieces.pop())
    del pieces
    time.sleep(0.3)
    return psutil.Process().memory_info().rss


@pytest.mark.timeout(120)  # a paused worker waits for ever
def test_a_worker_that_keeps_its_memory_goes_on_and_gives_it_back_between_tasks():
    with open_executor(workers=2, scheduler=None, memory_gb=0.8, window_per_worker=2) as executor:
        held = dict(executor.run(swell, [(str(n), n) for n in range(8)]))
    assert max(held.values()) > 0.8 * 0.8e9, "nothing was kept: the test shows nothing"
    assert all(rss < 0.95 * 0.8e9 for rss in held.values())


def test_serial_runs_all_and_says_no_more_than_type_and_place():
    outcomes = dict(SerialExecutor().run(double, [(str(n), n) for n in range(5)]))
    assert {key: value for key, value in outcomes.items() if key != "3"} == {"0": 0, "1": 2, "2": 4, "4": 8}
    failure = outcomes["3"]
    assert isinstance(failure, Failure)
    assert str(failure).startswith("ValueError at test_curation_executor.py:")
    assert SECRET not in str(failure)


def test_processes_give_the_same_and_survive_a_dead_worker(capfd):
    drawn: list[int] = []

    def tasks():
        for number in range(40):
            drawn.append(number)
            yield str(number), number

    with open_executor(workers=2, scheduler=None, memory_gb=1, window_per_worker=2) as executor:
        assert isinstance(executor, DaskExecutor)
        outcomes = {}
        for key, value in executor.run(double_or_die, tasks()):
            outcomes[key] = value
            outstanding = len(drawn) - len(outcomes) - len(DEADLY) * executor.window
            assert outstanding <= executor.window, "only a window of tasks is outstanding, and what a death put off"
        assert dict(executor.run(threads, [("t", 0)])) == {"t": "1"}
        assert dict(executor.run(page_faults, [("f", 400)]))["f"] < 20_000, "what is freed is not given back each time"
    assert {key: value for key, value in outcomes.items() if key not in ("3", *map(str, DEADLY))} == {
        str(number): 2 * number for number in range(40) if number not in (3, *DEADLY)
    }
    assert outcomes["3"].kind == "ValueError"
    assert {outcomes[str(number)].kind for number in DEADLY} == {"KilledWorker"}
    assert SECRET not in "".join(capfd.readouterr())


def test_nobody_at_the_address():
    with (
        pytest.raises(ConfigError, match="no Dask scheduler answers"),
        open_executor(workers=1, scheduler="tcp://127.0.0.1:9", memory_gb=1, window_per_worker=2),
    ):
        pass


def test_dask_is_imported_in_one_module_only():
    package = Path(__file__).resolve().parents[2]
    named = re.compile(r"^\s*(import|from) (dask|distributed)\b", re.MULTILINE)
    rooms = ("volumes", "reports", "curation", "train", "t3dkit")
    paths = [path for room in rooms for path in (package / room).rglob("*.py")]
    importers = {p.relative_to(package).as_posix() for p in paths if named.search(p.read_text(encoding="utf-8"))}
    assert importers == {"curation/executor.py"}
