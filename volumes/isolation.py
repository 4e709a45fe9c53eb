"""A child process that decodes, and what happens when it dies.

Enters: one compressed frame. Leaves: its pixels. Refuses: to wait longer than `TIMEOUT_S`, to try a frame that killed
its process more than twice.

Each thread of a worker has a child of its own, started with the first compressed frame (half a second) and kept.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
import weakref
from dataclasses import asdict
from pathlib import Path

import numpy as np

from volumes.codecs import FrameSpec
from volumes.decode_child import LENGTHS
from volumes.errors import DecodeError
from volumes.reasons import DropReason

TIMEOUT_S = 20.0
"""For one frame; the slowest real ones (JPEG 2000, 4096 x 4096) take two seconds."""
MAX_TRIES = 2
_READ_BYTES = 1024**2


class ChildDiedError(Exception):
    """The child ended, or did not answer in time."""

    def __init__(self, words: str, *, may_retry: bool) -> None:
        super().__init__(words)
        self.may_retry = may_retry


class ChildDecoder:
    """A decoding process and the pipes to it."""

    def __init__(self) -> None:
        self.process_id = os.getpid()
        root = str(Path(__file__).resolve().parents[1])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._child = subprocess.Popen(
            [sys.executable, "-m", "volumes.decode_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
            bufsize=0,
        )
        self.stop = weakref.finalize(self, _stop, self._child)
        requests, answers = self._child.stdin, self._child.stdout
        if requests is None or answers is None:
            raise ChildDiedError("the decoder has no pipes", may_retry=False)
        self._requests, self._answers = requests.fileno(), answers.fileno()
        os.set_blocking(self._requests, False)
        os.set_blocking(self._answers, False)

    def decode(self, data: bytes, spec: FrameSpec, *, timeout_s: float) -> tuple[np.ndarray, int | None]:
        """Pixels and precision of one frame, as `volumes.codecs.decode_frame`.

        Raises
        ------
        DecodeError
            What the codec found.
        ChildDiedError
            There is no answer and never will be.
        """
        text = json.dumps(asdict(spec)).encode()
        deadline = time.monotonic() + timeout_s
        self._send(memoryview(LENGTHS.pack(len(text), len(data)) + text + data), deadline)
        n_json, n_data = LENGTHS.unpack(self._receive(LENGTHS.size, deadline))
        if n_json > 64 * 1024 or n_data > 2 * 8 * spec.rows * spec.columns:
            raise ChildDiedError("an answer that is none", may_retry=False)
        answer = json.loads(bytes(self._receive(n_json, deadline)))
        payload = self._receive(n_data, deadline)
        if "reason" in answer:
            raise DecodeError(DropReason(answer["reason"]), answer["detail"])
        return np.frombuffer(payload, dtype=answer["dtype"]).reshape(answer["shape"]), answer["precision"]

    def _send(self, data: memoryview, deadline: float) -> None:
        while data:
            self._wait([], [self._requests], deadline)
            try:
                data = data[os.write(self._requests, data) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise ChildDiedError("the decoder died", may_retry=True) from None

    def _receive(self, n_bytes: int, deadline: float) -> bytearray:
        received = bytearray()
        while len(received) < n_bytes:
            self._wait([self._answers], [], deadline)
            try:
                chunk = os.read(self._answers, min(_READ_BYTES, n_bytes - len(received)))
            except BlockingIOError:
                continue
            if not chunk:
                raise ChildDiedError("the decoder died", may_retry=True)
            received += chunk
        return received

    def _wait(self, readable: list[int], writable: list[int], deadline: float) -> None:
        remaining = deadline - time.monotonic()
        if remaining <= 0 or not any(select.select(readable, writable, [], remaining)):
            raise ChildDiedError("the decoder took too long", may_retry=False)


_local = threading.local()


def decode_isolated(data: bytes, spec: FrameSpec, *, timeout_s: float = TIMEOUT_S) -> tuple[np.ndarray, int | None]:
    """Decode one frame where a crash costs one frame.

    Raises
    ------
    DecodeError
        What the codec found; RESOURCE_LIMIT when the child died twice, or took too long once.
    """
    for left in reversed(range(MAX_TRIES)):
        try:
            return _child().decode(data, spec, timeout_s=timeout_s)
        except ChildDiedError as error:
            stop_child()
            if not (left and error.may_retry):
                raise DecodeError(DropReason.RESOURCE_LIMIT, str(error)) from None
    raise AssertionError("unreachable")


def stop_child() -> None:
    """End this thread's child, if it has one; the next frame starts another."""
    child = getattr(_local, "child", None)
    if child is not None and child.process_id == os.getpid():
        child.stop()
    _local.child = None


def _child() -> ChildDecoder:
    child = getattr(_local, "child", None)
    if child is None or child.process_id != os.getpid():  # a forked worker must not share its parent's pipes
        child = _local.child = ChildDecoder()
    return child


def _stop(child: subprocess.Popen) -> None:
    child.kill()
    for stream in (child.stdin, child.stdout):
        if stream:
            stream.close()
    child.wait()
