"""Threads and processes that are ready when work comes.

Enters: how many. Leaves: executors. Threads live as long as their process, so that each keeps its decoding child from
one series to the next; worker processes are forked from a server that has imported and loaded all they need. Refuses:
to be shared across a fork.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import forkserver, get_context

_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}


def threads_pool(n_threads: int) -> ThreadPoolExecutor:
    """This process's executor of `n_threads` threads."""
    key = (os.getpid(), n_threads)
    if key not in _pools:
        _pools[key] = ThreadPoolExecutor(n_threads, thread_name_prefix="volumes")
    return _pools[key]


def start_server() -> None:
    """Start the process that worker processes are forked from; it loads what they need meanwhile."""
    get_context("forkserver").set_forkserver_preload(["volumes.worker"])
    forkserver.ensure_running()


def processes_pool(n_processes: int) -> ProcessPoolExecutor:
    """An executor of `n_processes` new processes; a context manager."""
    start_server()
    return ProcessPoolExecutor(n_processes, mp_context=get_context("forkserver"))
