"""The loops of a JPEG-LS decoder, compiled: one grey lossless scan of 9 to 16 bits.

Enters: entropy-coded bytes. Leaves: pixels, or the word that the stream is not as it should be. Refuses: to read or
write beyond its arrays, whatever the stream says: every value is masked to its range, every code is at most
`MAX_CODE_BITS` long, and the words are followed by enough zeros for a line of the longest codes.

Written from ISO/IEC 14495-1 (ITU-T T.87), whose names are given where ours differ. What makes it fast: there is hardly
a branch that depends on a pixel, k of each context is ready before it is needed, and the bits are read from words that
are no longer stuffed. No fast-math, no state between calls.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from volumes.kernels import compiled

MAX_CODE_BITS = 128
"""Bits that one pixel takes at most: 64 of a limited code, 31 of a run before it, and room to spare."""
RESET = 64
N_CONTEXTS = 365
_NO_CODE = 1 << 20
"""Stands for a code that no pixel has: more zeros than the limit."""
K, C, N, B, A = (np.uint64(place) for place in range(5))
"""Columns of a context: Golomb parameter, correction, count, bias (Nn of a run), sum of magnitudes. T.87 A.2.1."""
_RUN_ORDERS = np.array([0] * 4 + [1] * 4 + [2] * 4 + [3] * 4 + [4, 4, 5, 5, 6, 6, 7, 7, *range(8, 16)], np.int64)
_ONE, _THREE = np.uint64(1), np.uint64(3)


@intrinsic
def _leading_zeros(_context: Any, _word: Any) -> Any:
    """Zeros before the first one of a 64-bit word; 64 for none."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


@compiled
def unstuff(data: np.ndarray, words: np.ndarray) -> int:
    """Bits of a scan without the zero that follows each 0xFF, in `words` (uint32, zeroed); -1 unless EOI ends it.

    T.87 A.1: a bit that is set after 0xFF makes it a marker.
    """
    held = np.uint64(0)
    n_held: Any = np.int64(0)
    n_words: Any = n_held
    total: Any = n_held
    width: Any = np.int64(8)
    for index in range(data.size):
        octet = data[index]
        if width == 7 and octet >= 128:
            words[n_words] = np.uint32((held << np.uint64(32 - n_held)) & np.uint64(0xFFFFFFFF))
            return int(total - 8) if octet == 0xD9 else -1
        held = held << np.uint64(width) | np.uint64(octet)
        n_held += width
        total += width
        width = 7 if octet == 255 else 8
        if n_held >= 32:
            n_held -= 32
            words[n_words] = np.uint32((held >> np.uint64(n_held)) & np.uint64(0xFFFFFFFF))
            n_words += 1
    return -1


@compiled
def _bits(words, position):  # type: ignore[no-untyped-def]
    """64 bits from `position` on, of which the last 31 may be missing."""
    index, offset = np.uint64(position) >> np.uint64(5), np.uint64(position) & np.uint64(31)
    return (np.uint64(words[index]) << np.uint64(32) | np.uint64(words[index + _ONE])) << offset


@compiled
def _long_code(words, position, k, limit, bits):  # type: ignore[no-untyped-def]
    """A code of any length, with its end. T.87 A.5.3."""
    zeros, start = np.int64(0), position
    while zeros < limit - bits - 1 and not _bits(words, start) >> np.uint64(63):
        zeros += 1
        start += 1
    if not _bits(words, start) >> np.uint64(63):
        return np.int64(_NO_CODE), start
    start += 1
    if zeros == limit - bits - 1:
        return np.int64(_bits(words, start) >> np.uint64(64 - bits)) + 1, start + bits
    return zeros << k | np.int64(_bits(words, start) >> _ONE >> np.uint64(63 - k)), start + k


@compiled
def _run(words, position, bits, contexts, state, previous, current, x):  # type: ignore[no-untyped-def]
    """A run from `x` on and the pixel that ends it; the new `x` and position, x 0 for a damaged stream. T.87 A.7."""
    left, a = np.int64(current.size - 1) - x, np.int64(current[x - 1])
    length, order = np.int64(0), _RUN_ORDERS[state[0]]
    while length < left and _bits(words, position) >> np.uint64(63):
        position += 1
        whole = np.int64(1) << order
        if length + whole <= left:
            state[0] = min(31, state[0] + 1)
        length = min(length + whole, left)
        order = _RUN_ORDERS[state[0]]
    if length < left:
        length += np.int64(_bits(words, position + 1) >> _ONE >> np.uint64(63 - order))
        position += 1 + order
        if length >= left:
            return np.int64(0), position
    current[x : x + length] = a
    x += length
    if length == left:
        return x, position
    top, b = (1 << bits) - 1, np.int64(previous[x])
    same = np.int64(a == b)
    which = np.uint64(N_CONTEXTS + same) << _THREE
    total = np.int64(contexts[which + A]) + (np.int64(contexts[which + N]) >> 1) * same
    k = np.int64(0)
    while np.int64(contexts[which + N]) << k < total and k < bits:
        k += 1
    limit = 2 * (bits + max(bits, 8)) - order - 1
    code, position = _long_code(words, position, k, limit, bits)
    odd = (code + same) & 1
    error = (code + same + odd) >> 1
    if (k != 0 or 2 * np.int64(contexts[which + B]) >= np.int64(contexts[which + N])) == (odd == 1):
        error = -error
    contexts[which + B] += error < 0
    contexts[which + A] += (code + 1 - same) >> 1
    if contexts[which + N] == RESET:
        contexts[which + A] >>= 1
        contexts[which + B] >>= 1
        contexts[which + N] >>= 1
    contexts[which + N] += 1
    state[0] = max(0, state[0] - 1)
    current[x] = (a + error if same else b + (error if b > a else -error)) & top
    return (x + 1 if code <= 2 * top + 1 else np.int64(0)), position


@compiled
def _learn(contexts, which, error, bits, n, b, c):  # type: ignore[no-untyped-def]
    """Bias, correction and Golomb parameter of a context after one more error. T.87 A.6."""
    a, b = np.int64(contexts[which + A]) + abs(error), b + error
    if n == RESET:
        n, a, b = n >> 1, a >> 1, b >> 1
    n += 1
    is_low, is_high = b <= -n, b > 0
    raised, lowered = max(b + n, 1 - n), min(b - n, 0)  # both, and then one of them: a branch would be guessed wrong
    b = raised if is_low else (lowered if is_high else b)
    k = max(np.int64(_leading_zeros(np.uint64(n))) - np.int64(_leading_zeros(np.uint64(a))), 0)
    contexts[which + K] = min(k + np.int64(n << k < a), bits)
    contexts[which + C] = min(max(c - np.int64(is_low) + np.int64(is_high), -128), 127)
    contexts[which + N], contexts[which + B], contexts[which + A] = n, b, a


@compiled
def _line(words, position, bits, steps, contexts, state, previous, current):  # type: ignore[no-untyped-def]
    """Decode a line into `current`; where its bits end, -1 for a damaged stream. T.87 A.3 to A.6.

    Lines hold a pixel more at either end. a, b, c, d: the pixel to the left, above, above to the left and right.
    """
    top, limit = (1 << bits) - 1, 2 * (bits + max(bits, 8))
    end, x, worst = current.size - 1, np.int64(1), np.int64(0)
    a, b, c = np.int64(current[0]), np.int64(previous[1]), np.int64(previous[0])
    while x < end:
        d = np.int64(previous[np.uint64(x + 1)])
        q = 81 * np.int64(steps[np.uint64(d - b + top)]) + 9 * np.int64(steps[np.uint64(b - c + top)])
        q += np.int64(steps[np.uint64(c - a + top)])
        if q == 0:
            x, position = _run(words, position, bits, contexts, state, previous, current, x)
            if x == 0:
                return np.int64(-1)
            a, b, c = np.int64(current[x - 1]), np.int64(previous[x]), np.int64(previous[x - 1])
            continue
        sign = q >> 63
        which = np.uint64((q ^ sign) - sign) << _THREE
        k, n = np.int64(contexts[which + K]), np.int64(contexts[which + N])
        bias, correction = np.int64(contexts[which + B]), np.int64(contexts[which + C])
        guess = max(min(a, b), min(max(a, b), a + b - c)) + ((correction ^ sign) - sign)
        guess = min(max(guess, 0), top)
        window = _bits(words, position)
        zeros = np.int64(_leading_zeros(window))
        code = zeros << k | np.int64(window << np.uint64(zeros + 1) >> _ONE >> np.uint64(63 - k))
        start, position = position, position + zeros + 1 + k
        if zeros + k >= 32 or zeros >= limit - bits - 1:
            code, position = _long_code(words, start, k, limit, bits)
        worst = max(worst, code)
        error = (code >> 1) ^ -(code & 1) ^ -np.int64((k == 0) & (2 * bias <= -n))
        a, b, c = (guess + ((error ^ sign) - sign)) & top, d, b
        current[np.uint64(x)] = a
        x += 1
        _learn(contexts, which, error, bits, n, bias, correction)
    return np.int64(-1) if worst > 2 * top + 1 else position


@compiled
def decode_scan(words: np.ndarray, n_bits: int, bits: int, steps: np.ndarray, out: np.ndarray) -> bool:
    """Fill `out` from the bits of a scan; whether they were as they should be, to the last.

    Parameters
    ----------
    words : (n,) uint32
        Of `unstuff`, with at least `MAX_CODE_BITS` zeros for each column of `out` behind them.
    n_bits : int
    bits : int
        Precision, 9 to 16.
    steps : (2 ** (bits + 1) - 1,) int8
        Quantised value (-4 to 4) of each difference from -(2 ** bits - 1) on.
    out : (rows, columns) uint16
    """
    contexts = np.zeros(8 * (N_CONTEXTS + 2), np.int32)
    mean = max(2, ((1 << bits) + 32) >> 6)
    k = 0
    while 1 << k < mean:
        k += 1
    contexts[K::8], contexts[N::8], contexts[A::8] = k, 1, mean
    n_columns = out.shape[1]
    previous, current = np.zeros(n_columns + 2, np.int32), np.zeros(n_columns + 2, np.int32)
    state, position = np.zeros(1, np.int64), np.int64(0)
    for y in range(out.shape[0]):
        previous[n_columns + 1] = previous[n_columns]
        current[0] = previous[1]
        position = _line(words, position, bits, steps, contexts, state, previous, current)
        if position < 0 or position > n_bits:
            return False
        for x in range(n_columns):
            out[y, x] = current[x + 1]
        previous, current = current, previous
    left = n_bits - position
    return bool(left == 0 or (left < 8 and _bits(words, position) >> np.uint64(64 - left) == 0))
