"""Slices that need no care: uncompressed words of 16 bits in a file of their own, straight into the stack.

Enters: an instance whose header told where its pixels lie, and the place they go to. Leaves: whether they are there
now. Refuses: everything else, and every slice whose file is not what its header was. Those go the long way
(`volumes.decode`), which repairs or says what is wrong.
"""

from __future__ import annotations

import os
import stat

import numpy as np

from volumes.encapsulated import PREAMBLE_BYTES
from volumes.headers import EXPLICIT_LE, IMPLICIT_LE
from volumes.records import Instance

_HEAD_BYTES = {IMPLICIT_LE: 8, EXPLICIT_LE: 12}
"""Tag and length of PixelData, with VR and two reserved bytes where it is explicit. PS3.5 7.1."""
_TAG = b"\xe0\x7f\x10\x00"


def is_plain(instance: Instance) -> bool:
    """Whether the header leaves nothing to decide about the pixels."""
    n_bytes = 2 * (instance.rows or 0) * (instance.columns or 0)
    bits = instance.bits_stored or 16
    return (
        instance.transfer_syntax_uid in _HEAD_BYTES
        and instance.pixel_offset is not None
        and instance.pixel_length == n_bytes > 0
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
    """Fill `into` ((rows, columns) uint16, contiguous) with the stored words; False leaves it to the long way."""
    from volumes.kernels import stray_bits

    try:
        if not _read(instance, into):
            return False
    except OSError:
        return False
    bits = instance.bits_stored or 16
    return bits == 16 or not stray_bits(into.reshape(-1), bits, instance.pixel_representation == 1)


def _read(instance: Instance, into: np.ndarray) -> bool:
    offset, length = instance.pixel_offset or 0, instance.pixel_length or 0
    head = bytearray(_HEAD_BYTES[instance.transfer_syntax_uid])
    descriptor = os.open(instance.file.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size != instance.file.size_bytes:
            return False
        n_read = os.preadv(descriptor, [head, into.data.cast("B")], offset - len(head))
        is_whole = n_read == len(head) + length
        is_same = head[:4] == _TAG and int.from_bytes(head[-4:], "little") == length
        ends_here = status.st_size < offset + length + PREAMBLE_BYTES  # what follows may be another file
        return is_whole and is_same and ends_here
    finally:
        os.close(descriptor)
