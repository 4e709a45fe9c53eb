"""What a worker process needs, loaded once in the server that they are forked from (`volumes.pool`).

Importing numba, loading the compiled loops and importing the rest take most of a second; a fork takes milliseconds.
Enters: nothing. Leaves: a process in which all that is done. Refuses: to be imported by anything but that server.
"""

from __future__ import annotations

import numpy as np

import volumes.batch
import volumes.convert
import volumes.index
import volumes.nifti
import volumes.plain  # noqa: F401
from volumes.kernels import apply_table, count_codes
from volumes.resample import axis_weights, sample


def load_kernels() -> None:
    """Run the loops that nearly every series needs on next to nothing: the first call loads them."""
    axis = axis_weights(np.arange(2.0), np.zeros(1), 1.0)
    for codes in (np.zeros((2, 2, 2), np.uint16), np.zeros((2, 2, 2), np.int16)):
        sample(codes, (0.0, 0.0), (0, 1), (axis, [axis], [axis]), np.empty((1, 1, 1), np.int16), threads=1)
    codes = np.zeros(1, np.uint16)
    count_codes(codes, np.zeros(1, np.int64))
    apply_table(codes, np.zeros(1, np.int16), codes.view(np.int16))


load_kernels()
