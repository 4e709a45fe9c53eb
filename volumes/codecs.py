"""One compressed frame to its pixels. Runs in the child process (`volumes.decode_child`), never in a worker.

Enters: a codestream, its transfer syntax, the header's shape. (RLE needs no codec: `volumes.rle`.) Leaves: an array as
the codestream has it, and the codestream's own precision. Refuses: colour, a shape that differs from the header's.

imagecodecs decodes first: libjpeg-turbo reads 12-bit and lossless JPEG, which Pillow and GDCM refuse in places, and
OpenJPEG's sign is the codestream's own. GDCM and pylibjpeg, through pydicom, are asked when it fails.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from volumes.errors import DecodeError
from volumes.reasons import DropReason

RLE = "1.2.840.10008.1.2.5"
JPEG = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70))
JPEG_LS = frozenset({"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"})
JPEG_2000 = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 201, 202, 203))
LOSSY = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 81))
"""Always lossy; 91 and 203 may be either, LossyImageCompression tells."""
COMPRESSED = frozenset({RLE}) | JPEG | JPEG_LS | JPEG_2000


@dataclass(frozen=True)
class FrameSpec:
    """What the header says about one grey frame."""

    syntax: str
    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    is_signed: bool


def decode_frame(data: bytes, spec: FrameSpec) -> tuple[np.ndarray, int | None]:
    """Pixels (rows, columns) as the codestream has them, and its precision in bits (None where it has none).

    Raises
    ------
    DecodeError
        CODEC_MISSING, DECODE_FAIL, PIXEL_LENGTH.
    """
    if spec.syntax not in COMPRESSED or spec.syntax == RLE:
        raise DecodeError(DropReason.CODEC_MISSING, f"transfer syntax {spec.syntax}")
    failures: list[str] = []
    for decoder in (_decode_first, _decode_pydicom):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pixels = decoder(data, spec)
        except Exception as error:  # codecs raise what they please
            failures.append(type(error).__name__)
            continue
        if pixels.shape == (spec.rows, spec.columns):
            return pixels, codestream_precision(data, spec.syntax)
        if pixels.size:  # some decoders answer damage with an empty array
            detail = f"the stream is {'x'.join(map(str, pixels.shape))}, the header says {spec.rows}x{spec.columns}"
            raise DecodeError(DropReason.PIXEL_LENGTH, detail)
        failures.append("empty")
    raise DecodeError(DropReason.DECODE_FAIL, f"{spec.syntax}: {', '.join(failures)}")


def codestream_precision(data: bytes, syntax: str) -> int | None:
    """Bits per sample that a JPEG, JPEG-LS or JPEG 2000 stream announces; None for RLE and damaged streams."""
    if syntax in JPEG_2000:
        start = data.find(b"\xff\x4f\xff\x51")  # SOC, SIZ: ISO 15444-1 A.5.1
        return (data[start + 42] & 0x7F) + 1 if start >= 0 and start + 42 < len(data) else None
    if syntax == RLE:
        return None
    position = 2
    while position + 5 <= len(data) and data[position] == 0xFF:
        marker, (length,) = data[position + 1], struct.unpack_from(">H", data, position + 2)
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):  # SOF: ISO 10918-1 B.2.2
            return data[position + 4]
        position += 2 + length
    return None


def _decode_first(data: bytes, spec: FrameSpec) -> np.ndarray:
    import imagecodecs

    decode: Callable[[bytes], np.ndarray]
    if spec.syntax in JPEG:
        decode = imagecodecs.jpeg8_decode
    elif spec.syntax in JPEG_LS:
        decode = imagecodecs.jpegls_decode
    else:
        decode = imagecodecs.jpeg2k_decode
    return decode(data)


def _decode_pydicom(data: bytes, spec: FrameSpec) -> np.ndarray:
    """pydicom's plugins, with pydicom's own sign correction."""
    from pydicom.encaps import encapsulate
    from pydicom.pixels import get_decoder

    options: dict[str, Any] = {
        "number_of_frames": 1,
        "rows": spec.rows,
        "columns": spec.columns,
        "bits_allocated": spec.bits_allocated,
        "bits_stored": spec.bits_stored,
        "pixel_representation": int(spec.is_signed),
        "samples_per_pixel": 1,
        "photometric_interpretation": "MONOCHROME2",
        "pixel_keyword": "PixelData",
    }
    pixels, _ = get_decoder(spec.syntax).as_array(encapsulate([data]), raw=True, **options)
    return pixels
