"""Runs a stage over many items: in this process, on local processes, or on a Dask cluster. The only importer of Dask.

Enters: a module-level function and (key, argument) tasks, few at a time. Leaves: (key, outcome) in the order of
completion; the same outcomes whatever ran them. Refuses to let a worker's message or traceback out: a failure
comes back as the error's type and place. Durability is the ledger's, not Dask's.

Keys are pseudonyms, since Dask logs them.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from t3dkit.errors import ConfigError, DataError
from volumes import scratch

SINGLE_THREAD = {
    name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
}
"""One task is one core: libraries that start threads of their own would oversubscribe the machine."""

ENVIRONMENT_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE})
"""A file of the export that cannot be read never raises these here: `volumes` turns it into READ_ERROR."""

CHUNK_FILES = 256
"""Headers read per task: 50 ms or more, so that Dask's cost per task (5 ms) and that of a commit disappear."""

SETTINGS = {
    # A result is small and a worker holds no state worth moving: spilling only costs.
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.target": False,
    # A paused worker waits for memory that it keeps for its next study: for ever, with the tasks it was given.
    # `settle` gives it back instead; one that still grows is ended at 95 % of its limit, its task tried again alone.
    "distributed.worker.memory.pause": False,
    "distributed.worker.multiprocessing-method": "forkserver",
    # In place of Dask's own, which hold MALLOC_TRIM_THRESHOLD_=65536: every array of a study would be mapped, zeroed
    # page by page and given back (twenty times the page faults, a fifth more processor time).
    "distributed.nanny.pre-spawn-environ": SINGLE_THREAD,
    "distributed.scheduler.allowed-failures": 0,  # `DaskExecutor.run` gives the second try
    # Nobody looks at these, and they sample a hundred times a second.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.admin.system-monitor.interval": "10s",
    # Each scheduler, nanny and worker would look fifty times a second whether its loop still turns.
    "distributed.admin.tick.interval": "10s",
    "distributed.admin.tick.limit": "1h",
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
SETTLE_SHARE = 0.5
START_TRIES = 3
WORKER_DIED = "KilledWorker"
"""`Failure.kind` of a task whose worker died: Dask's name for it."""

Task = tuple[str, Any]


@dataclass(frozen=True)
class Failure:
    """A task that raised or whose worker died; only the type and place of the error."""

    kind: str
    place: str = ""
    is_environment: bool = False
    """The machine is at fault (disk full, quota, I/O error), not the item: the run has to stop."""

    def __str__(self) -> str:
        return f"{self.kind} at {self.place}" if self.place else self.kind


class Executor(Protocol):
    """What runs stages."""

    n_workers: int

    def run(self, function: Callable[[Any], Any], tasks: Iterable[Task]) -> Iterator[tuple[str, Any]]:
        """Call ``function(argument)`` for each task; yields (key, value or Failure) as they complete."""


class SerialExecutor:
    """Everything in this process, one task after another."""

    n_workers = 1

    def run(self, function: Callable[[Any], Any], tasks: Iterable[Task]) -> Iterator[tuple[str, Any]]:
        """See `Executor.run`."""
        for key, argument in tasks:
            yield key, guarded(function, argument)


class DaskExecutor:
    """Tasks on a Dask cluster, at most `window` of them outstanding."""

    def __init__(self, client: Any, *, n_workers: int, window_per_worker: int) -> None:
        self.client, self.n_workers = client, n_workers
        self.window = max(2, n_workers * window_per_worker)

    def run(self, function: Callable[[Any], Any], tasks: Iterable[Task]) -> Iterator[tuple[str, Any]]:
        """See `Executor.run`.

        A worker that dies takes every task with it that waits there. Each of them is tried once more, alone, when the
        others are done: the one that kills its worker again is known, and the others have lost nothing.
        """
        suspects: list[Task] = []
        for task, outcome in self._spread(function, tasks):
            if isinstance(outcome, Failure) and outcome.kind == WORKER_DIED:
                suspects.append(task)
            else:
                yield task[0], outcome
        for suspect in suspects:
            yield from ((key, outcome) for (key, _argument), outcome in self._spread(function, [suspect]))

    def _spread(self, function: Callable[[Any], Any], tasks: Iterable[Task]) -> Iterator[tuple[Task, Any]]:
        from distributed import as_completed

        waiting = iter(tasks)
        running = as_completed(loop=self.client.loop)
        submitted: dict[str, Task] = {}

        def submit() -> None:
            for key, argument in waiting:
                name = f"{function.__name__}-{key}"
                submitted[name] = (key, argument)
                # pure=False with an explicit key: a task done before under the same key must run again
                running.add(self.client.submit(guarded, function, argument, key=name, pure=False))
                return

        for _ in range(self.window):
            submit()
        for future in running:
            task = submitted.pop(future.key)
            outcome = _outcome(future)
            future.release()
            submit()
            yield task, outcome


@contextmanager
def open_executor(
    *, workers: int, scheduler: str | None, memory_gb: float, window_per_worker: int
) -> Iterator[Executor]:
    """An executor for the duration of a run.

    Parameters
    ----------
    workers : int
        1 runs in this process; more start a LocalCluster on loopback, without dashboard.
    scheduler : str or None
        Address of a running Dask scheduler, used instead.

    Raises
    ------
    ConfigError
        Nothing answers at `scheduler`, or it needs certificates that Dask's configuration does not name.
    DataError
        The worker processes do not start.
    """
    os.environ.update({name: os.environ.get(name, one) for name, one in SINGLE_THREAD.items()})
    if scheduler is None and workers <= 1:
        yield SerialExecutor()
        return
    import dask
    from distributed import Client, Security
    from distributed.utils import get_mp_context

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with dask.config.set(SETTINGS):
        get_mp_context().set_forkserver_preload(["distributed", "curation.warm"])  # after Dask's own list
        if scheduler is not None:
            if scheduler.startswith("tls:") and not Security().get_connection_args("client").get("ssl_context"):
                raise ConfigError(f"{scheduler} needs certificates: give DASK_CONFIG as docs/cluster.md says")
            try:
                client = Client(scheduler, timeout="10s", set_as_default=False)
            except (OSError, ValueError) as error:
                raise ConfigError(
                    f"no Dask scheduler answers at {scheduler!r} ({type(error).__name__}): "
                    "start one, or leave out --scheduler"
                ) from None
            with client:
                n_workers = max(len(client.scheduler_info(n_workers=-1)["workers"]), 1)
                yield DaskExecutor(client, n_workers=n_workers, window_per_worker=window_per_worker)
            return
        with _local_cluster(workers, memory_gb) as cluster, Client(cluster, set_as_default=False) as client:
            yield DaskExecutor(client, n_workers=workers, window_per_worker=window_per_worker)


def _local_cluster(workers: int, memory_gb: float) -> Any:
    """Worker processes on this machine; tried again where one dies while they start."""
    from distributed import LocalCluster

    for left in reversed(range(START_TRIES)):
        try:
            return LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": False},
                memory_limit=f"{memory_gb}GB",
                silence_logs=logging.CRITICAL,
            )
        except RuntimeError:
            if not left:
                break
    raise DataError(
        f"{workers} worker processes could not be started: see to free memory and limits on processes, then run again"
    )


def settle() -> None:
    """Give freed memory back to the system, in a worker that holds more than `SETTLE_SHARE` of its limit.

    What a study freed is kept for the next one, which is faster, until a large study would no longer fit beside it.
    """
    distributed = sys.modules.get("distributed")
    try:
        limit = distributed.get_worker().memory_manager.memory_limit if distributed else None
    except ValueError:  # no worker
        limit = None
    if not limit:
        return
    import psutil  # type: ignore[import-untyped]  # Dask needs it too

    if psutil.Process().memory_info().rss > SETTLE_SHARE * limit:
        scratch.release()
        gc.collect()
        with suppress(OSError, AttributeError):  # a libc without it
            ctypes.CDLL(None).malloc_trim(0)


def guarded(function: Callable[[Any], Any], argument: Any) -> Any:
    """``function(argument)``, or a `Failure` that names only the error's type and place."""
    try:
        try:
            return function(argument)
        finally:
            settle()
    except Exception as error:
        if os.environ.get("T3DKIT_DEBUG"):
            traceback.print_exception(error)
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        if isinstance(error, OSError) and error.errno in ENVIRONMENT_ERRORS:
            return Failure(errno.errorcode[error.errno], place, is_environment=True)
        return Failure(type(error).__name__, place)


def _outcome(future: Any) -> Any:
    try:
        return future.result()
    except Exception as error:  # the worker died (KilledWorker) or the task could not travel
        return Failure(type(error).__name__)
