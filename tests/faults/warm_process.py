"""A process that has imported everything and runs one curation after the other, as it is told on stdin."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class WarmProcess:
    """A Python program that answers each line of JSON with one.

    Parameters
    ----------
    arguments : sequence of str
        Of the interpreter.
    folder : Path or None
        Where it runs; None: here.
    """

    def __init__(self, arguments: Sequence[str], folder: Path | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder
        )

    def ask(self, **order: Any) -> dict:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()
        self.process.wait(timeout=60)
