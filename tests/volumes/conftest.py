"""Shared fixtures of the tests of `volumes`."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that tests can import phantom.py, which is no test

BESIDE = [parent / "shared" / "data" for parent in Path(__file__).resolve().parents]
REAL = next((path for path in BESIDE if path.is_dir()), BESIDE[2])


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real data; skips where it is absent."""
    if not REAL.is_dir():
        pytest.skip("the real data are not beside this checkout")
    return REAL


@pytest.fixture(scope="session")
def instances_of(tmp_path_factory):
    """Write a phantom series and read its headers."""
    from phantom import write_series

    from volumes.index import read_instance
    from volumes.records import FileDrop
    from volumes.sources import iter_files

    numbers = itertools.count()

    def run(series, *, skip=()):
        folder = tmp_path_factory.mktemp(f"series{next(numbers)}")
        write_series(folder, series, skip=skip)
        found = [read_instance(ref) for ref in iter_files(folder)]
        assert not [item for item in found if isinstance(item, FileDrop)], found
        return found

    return run
