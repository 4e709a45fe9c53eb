"""RLE frames, decoded here and not in the child: the loop below checks every index, so no stream can hurt it.

Enters: one frame's bytes. Leaves: its words. Refuses: segments that end early, run over, or are of another number.

References
----------
DICOM PS3.5 annex G (RLE compression: a header of 16 offsets, one segment per byte of a word, most significant first).
"""

from __future__ import annotations

import struct
from itertools import pairwise

import numpy as np

from volumes.codecs import FrameSpec
from volumes.errors import DecodeError
from volumes.reasons import DropReason

HEADER_BYTES = 64


def decode_rle(data: bytes, spec: FrameSpec) -> np.ndarray:
    """(rows, columns) uint8, uint16 or uint32 words of one grey frame.

    Raises
    ------
    DecodeError
        DECODE_FAIL, BITS.
    """
    from volumes.kernels import unpack_segment

    if spec.bits_allocated not in (8, 16, 32):
        raise DecodeError(DropReason.BITS, f"BitsAllocated {spec.bits_allocated}")
    n_segments = spec.bits_allocated // 8
    if len(data) < HEADER_BYTES:
        raise DecodeError(DropReason.DECODE_FAIL, "RLE: no header")
    count, *offsets = struct.unpack_from("<16I", data)
    if count != n_segments:
        raise DecodeError(DropReason.DECODE_FAIL, f"RLE: {count} segments, expected {n_segments}")
    bounds = [*offsets[:n_segments], len(data)]
    if any(not HEADER_BYTES <= low <= high for low, high in pairwise(bounds)):
        raise DecodeError(DropReason.DECODE_FAIL, "RLE: offsets out of order")
    packed = np.frombuffer(data, np.uint8)
    words = np.empty((spec.rows * spec.columns, n_segments), np.uint8)
    for segment in range(n_segments):
        n_bytes = unpack_segment(packed[bounds[segment] : bounds[segment + 1]], words, n_segments - 1 - segment)
        if n_bytes != len(words):
            raise DecodeError(DropReason.DECODE_FAIL, f"RLE: a segment of {n_bytes} bytes, expected {len(words)}")
    return words.view(f"<u{n_segments}").reshape(spec.rows, spec.columns)
