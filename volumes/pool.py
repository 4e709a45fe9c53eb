"""Threads that live as long as the process, so that each keeps its decoding child from one series to the next.

Enters: how many. Leaves: an executor. Refuses: to be shared across a fork.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}


def threads_pool(n_threads: int) -> ThreadPoolExecutor:
    """This process's executor of `n_threads` threads."""
    key = (os.getpid(), n_threads)
    if key not in _pools:
        _pools[key] = ThreadPoolExecutor(n_threads, thread_name_prefix="volumes")
    return _pools[key]
