"""Slices to their stored values: what the file holds, with signs and unused bits put right, before any rescale.

Enters: an `Instance` and a frame number. Leaves: `SlicePixels`. Refuses: pixels that end early, are too many, are in
colour, or cannot be decoded; a slice is never filled up with zeros.

Uncompressed pixels are read in place; compressed ones are decoded in a child process (`volumes.isolation`), except for
RLE and the usual JPEG-LS, whose decoders are our own and check every index.

References
----------
DICOM PS3.5 8.1.1 (bits allocated, stored, high bit), PS3.3 C.11.1 (modality LUT), C.7.6.3 (image pixel).
"""

from __future__ import annotations

import io
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import BinaryIO, NamedTuple, TypeVar

import numpy as np

from t3dkit.verdict import Repair
from volumes.archives import MEMBER_LIMIT_BYTES
from volumes.bits import from_codestream, mask_unused_bits
from volumes.codecs import JPEG_2000, JPEG_LS, RLE, FrameSpec
from volumes.elements import PIXEL_DATA, Bulk
from volumes.encapsulated import PREAMBLE_BYTES, require_no_data_set, split_frames
from volumes.errors import DecodeError, HeaderError, VolumeError
from volumes.headers import EXPLICIT_BE, NATIVE_SYNTAXES, Header, read_header
from volumes.index import padding_value
from volumes.isolation import decode_isolated
from volumes.jpegls import decode_jpegls
from volumes.reasons import DropReason, RepairCode
from volumes.records import FileRef, Instance
from volumes.rle import decode_rle
from volumes.sources import open_file, read_bytes
from volumes.values import Values

FRAME_LIMIT_BYTES = 256 * 1024**2
"""One frame; the largest CT matrix in use (2048 x 2048, 16 bit) takes 8 MiB."""
EXTENDED_OFFSET_TABLE = 0x7FE00001
MAX_QUARANTINED = 10_000

A = TypeVar("A")
B = TypeVar("B")


class ModalityLut(NamedTuple):
    """A modality lookup table: `values[stored - first]`, held at its ends outside. PS3.3 C.11.1.1."""

    first: int
    values: tuple[int, ...]

    def apply(self, stored: np.ndarray) -> np.ndarray:
        """Output values of the stored ones, float64."""
        index = np.clip(stored.astype(np.int64) - self.first, 0, len(self.values) - 1)
        return np.asarray(self.values, dtype=np.float64)[index]


@dataclass(frozen=True)
class SlicePixels:
    """One slice as stored.

    Parameters
    ----------
    stored : (rows, columns) int8, uint8, int16, uint16, int32 or uint32
        Without unused bits, sign extended; read-only.
    slope, intercept : float or None
        Of this frame; None where the file has none.
    modality_lut : ModalityLut or None
    padding_value, padding_limit : int or None
        In stored values, with the sign of the pixels.
    repairs : tuple of Repair
    """

    stored: np.ndarray
    slope: float | None = None
    intercept: float | None = None
    modality_lut: ModalityLut | None = None
    padding_value: int | None = None
    padding_limit: int | None = None
    repairs: tuple[Repair, ...] = ()


def read_slice(instance: Instance, frame: int) -> SlicePixels:
    """The pixels of one frame (0 for a single-frame image).

    Raises
    ------
    DecodeError
        TRUNCATED, PIXEL_LENGTH, NO_PIXELS, NOT_HU, BITS, TS_MISMATCH, CODEC_MISSING, DECODE_FAIL, DECOMP_LIMIT,
        RESOURCE_LIMIT, and what reading the file meets.
    """
    return next(read_slices([(instance, frame)]))


def read_slices(stack_slices: Iterable[tuple[Instance, int]]) -> Iterator[SlicePixels]:
    """The pixels of (instance, frame) pairs, in their order; a file is opened once for all of its neighbouring frames.

    Raises
    ------
    DecodeError
        As `read_slice`.
    """
    image: _Image | None = None
    try:
        for instance, frame in stack_slices:
            if image is None or image.instance is not instance:
                if image is not None:
                    image.close()
                image = None
                image = _open_image(instance)
            yield _as_decode_error(image.read_frame, frame)
    finally:
        if image is not None:
            image.close()


class _Image:
    """An open image: header parsed, pixels located."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self._stack = ExitStack()
        try:
            self._stream = self._open(instance.file)
            self._header = read_header(self._stream)
            self._values = Values(self._header.elements, little=self._header.encoding.little)
            self._bulk = self._require_pixels()
            self.spec = self._frame_spec()
            self._common = self._common_parts()
            self._frames: list[list[bytes]] | None = None
            if self.spec.syntax not in NATIVE_SYNTAXES:
                self._frames = self._split()
            else:
                self._base = self._locate()
        except BaseException:
            self._stack.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._stack.close()

    def read_frame(self, frame: int) -> SlicePixels:
        """The pixels of frame number `frame`."""
        if not 0 <= frame < max(self.instance.number_of_frames, 1):
            raise DecodeError(DropReason.ENHANCED_BAD, f"frame {frame} of {self.instance.number_of_frames}")
        stored, repairs = self._read_native(frame) if self._frames is None else self._decode(self._frames[frame])
        stored.flags.writeable = False
        own = self.instance.frames[frame] if self.instance.frames else self.instance
        return replace(
            self._common,
            stored=stored,
            slope=own.rescale_slope,
            intercept=own.rescale_intercept,
            repairs=repairs,
        )

    def _open(self, ref: FileRef) -> BinaryIO:
        if ref.members:  # members cannot be sought in cheaply
            return io.BytesIO(read_bytes(ref))
        return self._stack.enter_context(open_file(ref))

    def _require_pixels(self) -> Bulk:
        bulk = self._header.bulk
        if bulk is None or bulk.tag != PIXEL_DATA:
            raise DecodeError(DropReason.NO_PIXELS, "no integer PixelData")
        return bulk

    def _frame_spec(self) -> FrameSpec:
        instance = self.instance
        if (instance.samples_per_pixel or 1) != 1:
            raise DecodeError(DropReason.NOT_HU, f"SamplesPerPixel {instance.samples_per_pixel}")
        if not instance.rows or not instance.columns:
            raise DecodeError(DropReason.NO_PIXELS, "no Rows or Columns")
        allocated = instance.bits_allocated
        stored = instance.bits_stored or allocated
        if allocated not in (8, 16, 32) or not stored or not 1 <= stored <= allocated:
            raise DecodeError(DropReason.BITS, f"BitsAllocated {allocated}, BitsStored {instance.bits_stored}")
        if instance.rows * instance.columns * allocated // 8 > FRAME_LIMIT_BYTES:
            raise DecodeError(DropReason.DECOMP_LIMIT, f"{instance.rows}x{instance.columns} pixels in one frame")
        is_signed = instance.pixel_representation == 1
        syntax = self._header.transfer_syntax_uid
        return FrameSpec(syntax, instance.rows, instance.columns, allocated, stored, is_signed)

    def _common_parts(self) -> SlicePixels:
        value = padding_value(self._values, "PixelPaddingValue", is_signed=self.spec.is_signed)
        limit = padding_value(self._values, "PixelPaddingRangeLimit", is_signed=self.spec.is_signed)
        return SlicePixels(np.empty(0), None, None, _modality_lut(self._values, self.spec), value, limit)

    def _locate(self) -> int:
        """Where the first native frame starts; the length is checked once for all frames."""
        if self._header.deflated_from is not None:
            self._stream = _inflate_rest(self._stream, self._header)
        if self._bulk.length is None:
            raise DecodeError(DropReason.TS_MISMATCH, "encapsulated pixels under an uncompressed transfer syntax")
        expected = self.spec.rows * self.spec.columns * self.spec.bits_allocated // 8 * self._n_frames()
        available = self._stream.seek(0, io.SEEK_END) - self._bulk.offset
        if available < min(expected, self._bulk.length):
            raise DecodeError(DropReason.TRUNCATED, f"{available} bytes of pixel data, expected {expected}")
        self._refuse_second_data_set(self._bulk.offset + self._bulk.length)
        if not expected <= self._bulk.length <= expected + 1:  # one pad byte makes the length even
            raise DecodeError(DropReason.PIXEL_LENGTH, f"{self._bulk.length} bytes of pixel data, expected {expected}")
        return self._bulk.offset

    def _refuse_second_data_set(self, end: int) -> None:
        """A file may go on behind its pixels (padding, signatures, rubbish), but not with another DICOM file."""
        self._stream.seek(end)
        require_no_data_set(self._stream.read(PREAMBLE_BYTES))

    def _n_frames(self) -> int:
        return max(self.instance.number_of_frames, 1)

    def _read_native(self, frame: int) -> tuple[np.ndarray, tuple[Repair, ...]]:
        spec = self.spec
        n_bytes = spec.rows * spec.columns * spec.bits_allocated // 8
        self._stream.seek(self._base + frame * n_bytes)
        data = self._stream.read(n_bytes)
        if len(data) != n_bytes:
            raise DecodeError(DropReason.UNSTABLE_INPUT, "the file became shorter while it was read")
        if spec.syntax == EXPLICIT_BE:
            data = _to_little(data, spec.bits_allocated, is_words=self._bulk.vr == "OW")
        raw = np.frombuffer(data, dtype=f"<u{spec.bits_allocated // 8}").reshape(spec.rows, spec.columns)
        return mask_unused_bits(raw, spec, high_bit=self._high_bit())

    def _high_bit(self) -> int:
        value = self._values.integer("HighBit")
        return self.spec.bits_stored - 1 if value is None else value

    def _split(self) -> list[list[bytes]]:
        if self._bulk.length is not None:
            raise DecodeError(DropReason.TS_MISMATCH, "pixels of fixed length under a compressed transfer syntax")
        self._stream.seek(self._bulk.offset)
        offsets = self._header.elements.get(EXTENDED_OFFSET_TABLE)
        data = self._stream.read(MEMBER_LIMIT_BYTES)
        return split_frames(data, self._n_frames(), extended_offsets=offsets.value if offsets else b"")

    def _decode(self, fragments: list[bytes]) -> tuple[np.ndarray, tuple[Repair, ...]]:
        return decode_fragments(self.instance.file, self.spec, fragments, high_bit=self._high_bit())


def decode_fragments(
    ref: FileRef, spec: FrameSpec, fragments: list[bytes], *, high_bit: int
) -> tuple[np.ndarray, tuple[Repair, ...]]:
    """Stored values of one compressed frame, and what was put right.

    Raises
    ------
    DecodeError
        What decoding meets; RESOURCE_LIMIT at once for a file that killed or stalled its decoder before.
    """
    joined = (Repair(RepairCode.FRAGMENTS_JOINED, "frame in several fragments"),) if len(fragments) > 1 else ()
    data = fragments[0] if len(fragments) == 1 else b"".join(fragments)
    if spec.syntax == RLE:
        stored, more = mask_unused_bits(decode_rle(data, spec), spec, high_bit=high_bit)
        return stored, joined + more
    pixels, precision = _decode_stream(ref, spec, data)
    stored, more = from_codestream(pixels, precision, spec, is_jpeg_2000=spec.syntax in JPEG_2000)
    return stored, joined + more


def _decode_stream(ref: FileRef, spec: FrameSpec, data: bytes) -> tuple[np.ndarray, int | None]:
    """Pixels and precision of a stream; the usual JPEG-LS is decoded here, all else in a child."""
    if spec.syntax in JPEG_LS:
        answer = decode_jpegls(data, spec)
        if answer is not None:
            return answer
    _require_not_quarantined(ref)
    try:
        return decode_isolated(data, spec)
    except DecodeError as error:
        if error.reason == DropReason.RESOURCE_LIMIT:
            _quarantine(ref)
        raise


def _open_image(instance: Instance) -> _Image:
    return _as_decode_error(_Image, instance)


def _as_decode_error(action: Callable[[A], B], argument: A) -> B:
    """`action(argument)`; whatever is wrong with the file becomes a DecodeError."""
    try:
        return action(argument)
    except DecodeError:
        raise
    except VolumeError as error:
        raise DecodeError(error.reason, error.detail) from None
    except OSError as error:
        raise DecodeError(DropReason.READ_ERROR, type(error).__name__) from None


def _modality_lut(values: Values, spec: FrameSpec) -> ModalityLut | None:
    item = values.item("ModalityLUTSequence")
    if item is None:
        return None
    try:
        descriptor = item.numbers("LUTDescriptor", count=3)
        data = item.elements.get(0x00283006)
        if descriptor is None or data is None:
            raise DecodeError(DropReason.BAD_VM, "ModalityLUTSequence without LUTDescriptor or LUTData")
    except HeaderError as error:
        raise DecodeError(error.reason, error.detail) from None
    n_entries, first, bits = (int(number) for number in descriptor)
    n_entries = n_entries or 0x10000  # PS3.3 C.11.1.1: 0 stands for 65,536
    first = first - 0x10000 if spec.is_signed and first >= 0x8000 else first
    order = "<" if values.little else ">"
    kind = "u1" if bits <= 8 and len(data.value) < 2 * n_entries else order + "u2"
    if len(data.value) < n_entries * np.dtype(kind).itemsize:
        raise DecodeError(DropReason.BAD_VM, f"LUTData has {len(data.value)} bytes for {n_entries} entries")
    return ModalityLut(first, tuple(np.frombuffer(data.value, dtype=kind, count=n_entries).tolist()))


def _inflate_rest(stream: BinaryIO, header: Header) -> BinaryIO:
    assert header.deflated_from is not None
    stream.seek(header.deflated_from)
    machine = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = machine.decompress(stream.read(), MEMBER_LIMIT_BYTES // 4)
    except zlib.error:
        raise DecodeError(DropReason.DECODE_FAIL, "the deflated data set is damaged") from None
    if len(inflated) >= MEMBER_LIMIT_BYTES // 4:
        raise DecodeError(DropReason.DECOMP_LIMIT, f"the deflated data set exceeds {MEMBER_LIMIT_BYTES // 4} bytes")
    if not machine.eof:
        raise DecodeError(DropReason.TRUNCATED, "the deflated data set breaks off")
    return io.BytesIO(inflated)


def _to_little(data: bytes, bits_allocated: int, *, is_words: bool) -> bytes:
    """Big endian pixels as little endian; 8-bit ones in OW words lie swapped in pairs (PS3.5 D)."""
    n_bytes = max(bits_allocated // 8, 2 if is_words else 1)
    if n_bytes == 1 or len(data) % n_bytes:
        return data
    return np.frombuffer(data, dtype=f">u{n_bytes}").astype(f"<u{n_bytes}").tobytes()


_quarantined: OrderedDict[tuple[str, tuple[str, ...]], None] = OrderedDict()


def _quarantine(ref: FileRef) -> None:
    """Remember a file that killed or stalled its decoder, so that its other frames do not try again."""
    _quarantined[ref.path, ref.members] = None
    while len(_quarantined) > MAX_QUARANTINED:
        _quarantined.popitem(last=False)


def forgive() -> None:
    """Forget which files killed or stalled their decoder, where other files have come under their names."""
    _quarantined.clear()


def _require_not_quarantined(ref: FileRef) -> None:
    if (ref.path, ref.members) in _quarantined:
        raise DecodeError(DropReason.RESOURCE_LIMIT, "an earlier frame of this file killed its decoder")
