"""The process in which compressed frames are decoded: it may crash, hang or swell without harm.

Enters: requests on stdin. Leaves: answers on stdout; both are two lengths, a JSON head, raw bytes (nothing is pickled,
since a codec that was taken over must not reach its parent). Pixels go into memory that the parent shares. Refuses:
more memory than `MEMORY_LIMIT_BYTES`.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import struct
import sys
from typing import Any, BinaryIO

import numpy as np

from volumes.codecs import FrameSpec, decode_frame
from volumes.errors import DecodeError
from volumes.reasons import DropReason

MEMORY_LIMIT_BYTES = 1024**3
"""Address space beyond what the loaded codecs take."""
LENGTHS = struct.Struct("<IQ")


def serve(requests: BinaryIO, answers: BinaryIO, descriptor: int) -> None:
    """Answer requests until stdin closes; `descriptor` is the shared memory."""
    shared = mmap.mmap(-1, 1)
    while len(head := requests.read(LENGTHS.size)) == LENGTHS.size:
        n_json, n_data = LENGTHS.unpack(head)
        request = json.loads(requests.read(n_json))
        if len(shared) != request["shared_bytes"]:
            shared.close()
            shared = mmap.mmap(descriptor, request["shared_bytes"])
        text = json.dumps(_answer(request["spec"], requests.read(n_data), shared)).encode()
        answers.write(LENGTHS.pack(len(text), 0) + text)
        answers.flush()


def _answer(spec: dict[str, Any], data: bytes, shared: mmap.mmap) -> dict[str, Any]:
    try:
        pixels, precision = decode_frame(data, FrameSpec(**spec))
    except DecodeError as error:
        return {"reason": str(error.reason), "detail": error.detail}
    except MemoryError:
        return {"reason": str(DropReason.RESOURCE_LIMIT), "detail": "out of memory"}
    if pixels.nbytes > len(shared):
        return {"reason": str(DropReason.BITS), "detail": f"words of {8 * pixels.itemsize} bits"}
    np.copyto(np.frombuffer(shared, pixels.dtype, pixels.size).reshape(pixels.shape), pixels)
    return {"dtype": pixels.dtype.str, "shape": pixels.shape, "precision": precision}


def limit_resources() -> None:
    """Cap the address space and leave no core dumps, which would hold a patient's pixels."""
    import imagecodecs  # noqa: F401 - loaded first, so that the cap counts only what decoding takes

    with open("/proc/self/statm", encoding="ascii") as statm:
        loaded = int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (loaded + MEMORY_LIMIT_BYTES, loaded + MEMORY_LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    limit_resources()
    # Codecs print to stdout and stderr: answers leave by a descriptor of their own.
    answers_descriptor = os.dup(1)
    os.dup2(2, 1)
    with open(answers_descriptor, "wb") as answers_stream:
        serve(sys.stdin.buffer, answers_stream, int(sys.argv[1]))
