"""Raw pixel words to stored values: unused bits away, sign in place.

Enters: pixels as a file or a codestream holds them. Leaves: pixels with their sign, and what was put right. Refuses: a
stream of more bits than its words have.

References
----------
DICOM PS3.5 8.1.1 (bits above the high bit are undefined), PS3.5 8.2 (compressed streams carry their own description).
"""

from __future__ import annotations

import numpy as np

from t3dkit.verdict import Repair
from volumes.codecs import FrameSpec
from volumes.errors import DecodeError
from volumes.reasons import DropReason, RepairCode

Repaired = tuple[np.ndarray, tuple[Repair, ...]]


def mask_unused_bits(raw: np.ndarray, spec: FrameSpec, *, high_bit: int) -> Repaired:
    """Stored values of unsigned words; a repair only where the unused bits hold more than a copied sign.

    Parameters
    ----------
    raw : (rows, columns) uint8, uint16 or uint32
    spec : FrameSpec
    high_bit : int
        Position of the most significant stored bit; it counts only where the pixels agree.
    """
    signed = raw.view(f"i{raw.dtype.itemsize}")
    if spec.bits_stored == spec.bits_allocated:
        return (signed if spec.is_signed else raw), ()
    down = _shift(raw, spec, high_bit)
    masked = raw if down == 0 else raw >> down
    is_filled = int(masked.max(initial=0)) >> spec.bits_stored > 0  # something stands above the stored bits
    if spec.is_signed:
        stored = _extend(masked, spec.bits_stored)
        is_clean = not is_filled or np.array_equal(stored, signed)
    else:
        stored = masked & raw.dtype.type((1 << spec.bits_stored) - 1) if is_filled else masked
        is_clean = not is_filled
    if is_clean and down == 0:
        return stored, ()
    detail = f"BitsStored {spec.bits_stored}, HighBit {high_bit} of {spec.bits_allocated}"
    return stored, (Repair(RepairCode.HIGH_BITS_MASKED, detail),)


def _shift(raw: np.ndarray, spec: FrameSpec, high_bit: int) -> int:
    """How far the stored bits lie above the lowest; HighBit is often wrong, so what it skips must be empty."""
    down = high_bit + 1 - spec.bits_stored
    if not 0 < down <= spec.bits_allocated - spec.bits_stored:
        return 0
    skipped = raw.dtype.type((1 << down) - 1)
    return 0 if (raw & skipped).any() else down


def from_codestream(pixels: np.ndarray, precision: int | None, spec: FrameSpec, *, is_jpeg_2000: bool) -> Repaired:
    """Stored values of decoded pixels; where codestream and header disagree, the codestream wins and it is said.

    Only JPEG 2000 can say that its values are signed. Streams of the others, and JPEG 2000 streams of careless writers,
    hold the two's complement of signed values, cut to BitsStored or to the stream's precision.
    """
    top = int(pixels.max()) if pixels.size else 0
    if pixels.dtype.kind == "i":
        wins = is_jpeg_2000 and not spec.is_signed
        return pixels, _codestream_wins("signed stream, PixelRepresentation 0") if wins else ()
    is_wider = top >> spec.bits_stored > 0
    precision = precision or spec.bits_stored
    words = f"stream of {precision} bits, BitsStored {spec.bits_stored}"
    if not spec.is_signed:
        return pixels, _codestream_wins(words) if is_wider else ()
    n_bits = precision if is_wider or precision < spec.bits_stored else spec.bits_stored
    stored = _extend(pixels, n_bits)
    has_negative = top >> (n_bits - 1) > 0
    if is_jpeg_2000 and has_negative:
        return stored, (Repair(RepairCode.PIXREP, f"unsigned stream, sign extended from bit {n_bits}"),)
    exceeds = int(np.abs(stored.astype(np.int64)).max(initial=0)) > 1 << (spec.bits_stored - 1)
    wins = exceeds or (has_negative and n_bits < spec.bits_stored)
    return stored, _codestream_wins(words) if wins else ()


def _codestream_wins(detail: str) -> tuple[Repair, ...]:
    return (Repair(RepairCode.CODESTREAM_WINS, detail),)


def _extend(values: np.ndarray, n_bits: int) -> np.ndarray:
    """Sign extend the low `n_bits` of unsigned words."""
    shift = 8 * values.dtype.itemsize - n_bits
    if shift < 0:
        raise DecodeError(DropReason.BITS, f"{n_bits} bits in words of {8 * values.dtype.itemsize}")
    return (values << shift).view(f"i{values.dtype.itemsize}") >> shift
