"""One large buffer per thread, used again for every series.

Enters: a number of bytes. Leaves: memory that was used before, where there is enough of it. Refuses: to hand out what
somebody still holds: a buffer that is not given back is forgotten.

A series of 512 x 512 x 300 takes 157 MB. Fresh memory of that size comes from the operating system page by page, each
cleared first, which costs as much as reading the pixels.
"""

from __future__ import annotations

import os
import threading

import numpy as np

MAX_KEPT_BYTES = 1024**3
"""A larger one, of a rare series, is not kept for the usual ones."""

_local = threading.local()


def take(shape: tuple[int, ...]) -> np.ndarray:
    """A uint16 array of `shape` with whatever it held before."""
    size = int(np.prod(shape, dtype=np.int64))
    kept: tuple[int, np.ndarray] | None = _local.__dict__.pop("buffer", None)
    is_mine = kept is not None and kept[0] == os.getpid()  # after a fork the pages are the parent's
    buffer = kept[1] if kept is not None and is_mine and kept[1].size >= size else np.empty(size, np.uint16)
    return buffer[:size].reshape(shape)


def give_back(array: np.ndarray) -> None:
    """Keep the buffer behind `array` for the next series; the caller holds no view of it any more."""
    base = array
    while isinstance(base.base, np.ndarray):
        base = base.base
    if base.dtype == np.uint16 and base.ndim == 1 and base.flags.owndata and base.nbytes <= MAX_KEPT_BYTES:
        _local.buffer = (os.getpid(), base)


def release() -> None:
    """Let this thread's buffer go."""
    _local.__dict__.pop("buffer", None)
