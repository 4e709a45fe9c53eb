"""Files that are either whole or absent.

Enters: bytes or a writer. Leaves: a file under its final name, fsynced, or nothing. Refuses to leave a torn file.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary name in the same folder; rename it to `path` when the block ends without an error.

    The temporary name starts with ``.tmp-`` so that leftovers of a kill are recognised and swept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".tmp-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        _fsync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, payload: bytes) -> None:
    """Write `payload` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(payload)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as sorted, indented JSON, atomically; the same value gives the same bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def write_with(path: Path, writer: Callable[[Path], None]) -> None:
    """Let `writer` fill a temporary file and move it to `path`."""
    with atomic_path(path) as temporary:
        writer(temporary)


def sweep_temporaries(folder: Path) -> int:
    """Remove what a killed run left behind under `folder`; returns how many files."""
    leftovers = list(folder.rglob(".tmp-*")) if folder.is_dir() else []
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)
    return len(leftovers)


def _umask() -> int:
    # os.umask can only be read by setting it; 0o22 is set for the instant in between.
    current = os.umask(0o22)
    os.umask(current)
    return current


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
