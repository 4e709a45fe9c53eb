"""Slices that need no care: one grey image in a file of its own, whose header told where its pixels lie.

Enters: an instance, and the place in the stack that its pixels go to. Leaves: whether they are there now (words of 16
bits), or the compressed stream. Refuses: everything else, and every slice whose file is not what its header was. Those
go the long way (`volumes.decode`), which parses the header again and repairs, or says what is wrong.
"""

from __future__ import annotations

import os
import stat

import numpy as np

from t3dkit.verdict import Repair
from volumes.codecs import COMPRESSED, FrameSpec
from volumes.encapsulated import PREAMBLE_BYTES, split_frames
from volumes.headers import EXPLICIT_LE, IMPLICIT_LE
from volumes.records import Instance

_HEAD_BYTES = {IMPLICIT_LE: 8, EXPLICIT_LE: 12}
"""Tag and length of PixelData, with VR and two reserved bytes where it is explicit. PS3.5 7.1."""
ENCAPSULATED_HEAD_BYTES = 12
"""Compressed pixels are always explicit. PS3.5 A.4."""
_TAG = b"\xe0\x7f\x10\x00"


def is_plain(instance: Instance) -> bool:
    """Whether the header leaves nothing to decide about the pixels."""
    n_bytes = 2 * (instance.rows or 0) * (instance.columns or 0)
    return instance.transfer_syntax_uid in _HEAD_BYTES and instance.pixel_length == n_bytes > 0 and _is_usual(instance)


def is_packed(instance: Instance) -> bool:
    """Whether the pixels are one compressed stream, and nothing else has to be read from the header."""
    return instance.transfer_syntax_uid in COMPRESSED and instance.pixel_length is None and _is_usual(instance)


def _is_usual(instance: Instance) -> bool:
    bits = instance.bits_stored or 16
    return (
        instance.pixel_offset is not None
        and bool(instance.rows and instance.columns)
        and not instance.file.members
        and not instance.frames
        and instance.number_of_frames == 1
        and not instance.has_modality_lut
        and instance.bits_allocated == 16
        and (instance.samples_per_pixel or 1) == 1
        and instance.pixel_representation in (0, 1)
        and 1 <= bits <= 16
        and instance.high_bit in (None, bits - 1)
    )


def read_plain(instance: Instance, into: np.ndarray) -> bool:
    """Fill `into` ((rows, columns) uint16, contiguous) with the stored words; False leaves it to the long way.

    Bits above the stored ones come along: whether there are any shows in the counts of the whole stack.
    """
    try:
        return _read(instance, into)
    except OSError:
        return False


def read_packed(instance: Instance) -> tuple[np.ndarray, tuple[Repair, ...]] | None:
    """Stored values of a compressed slice; None leaves it to the long way.

    Raises
    ------
    DecodeError
        What decoding meets.
    """
    from volumes.decode import decode_fragments

    n_bytes = instance.file.size_bytes - (instance.pixel_offset or 0)
    data = bytearray(max(n_bytes, 0))
    try:
        if not _read_at(instance, data, ENCAPSULATED_HEAD_BYTES, b"\xff\xff\xff\xff"):
            return None
    except OSError:
        return None
    (fragments,) = split_frames(bytes(data), 1)
    bits = instance.bits_stored or 16
    is_signed = instance.pixel_representation == 1
    spec = FrameSpec(instance.transfer_syntax_uid, instance.rows or 0, instance.columns or 0, 16, bits, is_signed)
    return decode_fragments(instance.file, spec, fragments, high_bit=bits - 1)


def _read(instance: Instance, into: np.ndarray) -> bool:
    offset, length = instance.pixel_offset or 0, instance.pixel_length or 0
    if instance.file.size_bytes >= offset + length + PREAMBLE_BYTES:  # what follows may be another file
        return False
    n_head = _HEAD_BYTES[instance.transfer_syntax_uid]
    return _read_at(instance, into.data.cast("B"), n_head, length.to_bytes(4, "little"))


def _read_at(instance: Instance, into: memoryview | bytearray, n_head: int, length: bytes) -> bool:
    """Fill `into` from where the pixels start; False where the file is not what it was when it was found."""
    head = bytearray(n_head)
    descriptor = os.open(instance.file.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size != instance.file.size_bytes:
            return False
        n_read = os.preadv(descriptor, [head, into], (instance.pixel_offset or 0) - n_head)
        return n_read == n_head + len(into) and head[:4] == _TAG and head[-4:] == length
    finally:
        os.close(descriptor)
