"""A child process that decodes, and what happens when it dies.

Enters: one compressed frame. Leaves: its pixels. Refuses: to wait for a child that spins or sleeps longer than
`STUCK_S`, or at all longer than `TIMEOUT_S`; to try a frame that killed its process more than twice.

Each thread of a worker has a child of its own, started with the first compressed frame (half a second) and kept.
"""

from __future__ import annotations

import fcntl
import json
import mmap
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
"""For one frame, by the clock, however busy the machine is."""
STUCK_S = 4.0
"""Processor time for one frame of up to `LARGE_PIXELS` (the slowest real ones, JPEG 2000, take two seconds), and time
that a child may sleep over it: a hung decoder is known by these long before a busy machine is mistaken for one."""
LARGE_PIXELS = 4096**2
_LOOK_S = 0.25
MAX_TRIES = 2
MAX_WORD_BYTES = 4
DTYPES = frozenset({"|u1", "|i1", "<u2", "<i2", "<u4", "<i4"})
"""What a child may answer with."""
_READ_BYTES = 1024**2


class ChildDiedError(Exception):
    """The child ended, or did not answer in time."""

    def __init__(self, words: str, *, may_retry: bool) -> None:
        super().__init__(words)
        self.may_retry = may_retry


class SharedPixels:
    """Memory without a name that a child process writes to; sealed, so that the child cannot shorten it."""

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("pixels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        self.n_bytes = 0
        self._map: mmap.mmap | None = None

    def grow(self, n_bytes: int) -> None:
        """Make it at least `n_bytes` long."""
        if n_bytes > self.n_bytes:
            os.ftruncate(self.descriptor, n_bytes)
            if self._map is not None:
                self._map.close()
            self._map = mmap.mmap(self.descriptor, n_bytes)
            self.n_bytes = n_bytes

    def pixels(self, dtype: str, rows: int, columns: int) -> np.ndarray:
        """A copy of what the child wrote."""
        assert self._map is not None
        return np.frombuffer(self._map, dtype, rows * columns).reshape(rows, columns).copy()

    def close(self) -> None:
        """Let it go."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        if self._map is not None:
            self._map.close()
            self._map = None


class ChildDecoder:
    """A decoding process, the pipes to it, and memory that both see, through which pixels come back."""

    def __init__(self) -> None:
        self.process_id = os.getpid()
        self._shared = SharedPixels()
        root = str(Path(__file__).resolve().parents[1])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._child = subprocess.Popen(
            [sys.executable, "-m", "volumes.decode_child", str(self._shared.descriptor)],
            pass_fds=(self._shared.descriptor,),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
            bufsize=0,
        )
        self.stop = weakref.finalize(self, _stop, self._child, self._shared)
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
        self._shared.grow(MAX_WORD_BYTES * spec.rows * spec.columns)
        text = json.dumps({"spec": asdict(spec), "shared_bytes": self._shared.n_bytes}).encode()
        deadline = time.monotonic() + timeout_s
        self._watch = _Watch(self._child.pid, STUCK_S * max(1.0, spec.rows * spec.columns / LARGE_PIXELS))
        self._send(memoryview(LENGTHS.pack(len(text), len(data)) + text + data), deadline)
        n_json, n_data = LENGTHS.unpack(self._receive(LENGTHS.size, deadline))
        if n_json > 64 * 1024 or n_data:
            raise ChildDiedError("an answer that is none", may_retry=False)
        answer = json.loads(bytes(self._receive(n_json, deadline)))
        if "reason" in answer:
            raise DecodeError(DropReason(answer["reason"]), answer["detail"])
        if answer["dtype"] not in DTYPES or answer["shape"] != [spec.rows, spec.columns]:
            raise ChildDiedError("an answer that is none", may_retry=False)
        return self._shared.pixels(answer["dtype"], spec.rows, spec.columns), answer["precision"]

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
        while True:
            remaining = deadline - time.monotonic()
            if remaining > 0 and any(select.select(readable, writable, [], min(remaining, _LOOK_S))):
                return
            if remaining <= 0 or self._watch.is_stuck():
                raise ChildDiedError("the decoder took too long", may_retry=False)


class _Watch:
    """Whether a process has had its time for one frame: on the processor, or asleep."""

    def __init__(self, process_id: int, limit_s: float) -> None:
        self._path, self._limit_s = Path(f"/proc/{process_id}/stat"), limit_s
        self._began_s = self._seen_s = self._look()[1]
        self._awake_at = time.monotonic()

    def is_stuck(self) -> bool:
        """Look once; to be called a few times a second."""
        state, used_s = self._look()
        if state in ("R", "D") or used_s > self._seen_s:
            self._seen_s, self._awake_at = used_s, time.monotonic()
        return used_s - self._began_s > self._limit_s or time.monotonic() - self._awake_at > self._limit_s

    def _look(self) -> tuple[str, float]:
        """State and processor seconds (proc(5): fields 3, 14 and 15); a process that is gone counts as asleep."""
        try:
            fields = self._path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            return "S", 0.0
        return fields[0], (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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


def _stop(child: subprocess.Popen, shared: SharedPixels) -> None:
    shared.close()
    child.kill()
    for stream in (child.stdin, child.stdout):
        if stream:
            stream.close()
    child.wait()
