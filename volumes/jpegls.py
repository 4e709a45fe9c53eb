"""JPEG-LS frames of the usual kind, decoded here and not in the child: `volumes.jpegls_kernels` checks every index.

Enters: one frame's stream. Leaves: its pixels. Refuses, without a word of why: everything but one grey lossless scan of
9 to 16 bits with the default parameters that decodes to its last bit. CharLS, in the child, decides over the rest.

References
----------
ISO/IEC 14495-1 (ITU-T T.87), annex C (markers) and C.2.4.1.1 (default parameters).
"""

from __future__ import annotations

import struct
from functools import cache

import numpy as np

from volumes.codecs import FrameSpec

_SOI, _SOF, _LSE, _SOS = 0xD8, 0xF7, 0xF8, 0xDA
_PASSED_OVER = frozenset({0xFE, *range(0xE0, 0xF0)})
"""Comments and application data."""
_RESET = 64


def decode_jpegls(data: bytes, spec: FrameSpec) -> tuple[np.ndarray, int] | None:
    """Pixels ((rows, columns) uint16) and precision in bits; None where another decoder has to see to it."""
    from volumes.jpegls_kernels import MAX_CODE_BITS, decode_scan, unstuff

    found = _scan(data, spec)
    if found is None:
        return None
    start, bits = found
    packed = np.frombuffer(data, np.uint8, offset=start)
    words = np.zeros(len(packed) // 4 + MAX_CODE_BITS // 32 * spec.columns + 4, np.uint32)
    n_bits = unstuff(packed, words)
    pixels = np.empty((spec.rows, spec.columns), np.uint16)
    if n_bits < 0 or not decode_scan(words, n_bits, bits, _steps(bits), pixels):
        return None
    return pixels, bits


def _scan(data: bytes, spec: FrameSpec) -> tuple[int, int] | None:
    """Where the bits of the only scan start, and the precision; None where anything is unusual."""
    position, bits = 2, 0
    if data[:2] != bytes([0xFF, _SOI]):
        return None
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        part = data[position + 4 : end]
        position = end
        if marker == _SOF:
            if len(part) != 9 or part[1:] != struct.pack(">HHB", spec.rows, spec.columns, 1) + part[6:7] + b"\x11\0":
                return None
            bits = part[0]
            if not 9 <= bits <= 16:
                return None
        elif marker == _LSE:
            if part != b"\1" + struct.pack(">5H", (1 << bits) - 1, *_thresholds(bits), _RESET):
                return None
        elif marker == _SOS:
            is_usual = len(part) == 6 and part[0] == 1 and part[2:] == bytes(4)
            return (position, bits) if is_usual and bits else None
        elif marker not in _PASSED_OVER:
            return None
    return None


def _thresholds(bits: int) -> tuple[int, int, int]:
    """T1, T2, T3 of a lossless scan of at least 8 bits."""
    factor = (min((1 << bits) - 1, 4095) + 128) // 256
    return factor + 2, 4 * factor + 3, 17 * factor + 4


@cache
def _steps(bits: int) -> np.ndarray:
    """Quantised value of every difference of two pixels. T.87 A.3.3."""
    differences = np.arange(1 - (1 << bits), 1 << bits)
    steps = np.searchsorted([1, *_thresholds(bits)], np.abs(differences), side="right")
    return (np.sign(differences) * steps).astype(np.int8)
