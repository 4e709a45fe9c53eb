"""Small DICOM files for tests: one CT slice in any transfer syntax, an Enhanced CT, and a parser-independent encoder.

Written with pydicom, so that what `volumes` reads was not written by itself.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import UID, CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian

IMPLICIT, EXPLICIT, DEFLATED, BIG = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.2",
)
JPEG_LOSSLESS, JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"
JPEG_LS, JPEG_2000, HTJ2K, RLE = (
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.5",
)
NATIVE = (IMPLICIT, EXPLICIT, DEFLATED, BIG)
COMPRESSED = (JPEG_LOSSLESS, JPEG_LOSSLESS_SV1, JPEG_LS, JPEG_2000, HTJ2K, RLE)


def pixels(rows=12, columns=10, *, is_signed=False, bits=12, seed=0):
    """Random stored values that use every bit."""
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if is_signed else (0, (1 << bits) - 1)
    values = np.random.default_rng(seed).integers(low, high, (rows, columns), endpoint=True)
    values.flat[:2] = low, high
    return values.astype(np.int16 if is_signed else np.uint16)


def ct(stored=None, *, bits=12, number=1, series="1.2.3.4.1", **elements):
    """A CT slice as a pydicom data set without a transfer syntax of its own yet."""
    stored = pixels(bits=bits) if stored is None else stored
    ds = FileDataset("", {}, preamble=bytes(128), file_meta=FileMetaDataset())
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, f"1.2.3.4.1.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3.4", series
    ds.Modality, ds.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.PatientID, ds.PatientName, ds.PatientBirthDate, ds.PatientSex = "P-4711", "Roe^Richard", "19500312", "M"
    ds.PatientAge, ds.AccessionNumber, ds.StudyDate, ds.StudyTime = "065Y", "ACC0099", "20150407", "101500"
    ds.InstitutionName, ds.ReferringPhysicianName = "St Elsewhere", "Doe^Jane"
    ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = 3, number, 1
    ds.Manufacturer, ds.ConvolutionKernel, ds.KVP, ds.SliceThickness = "ACME", "B30f", "120", "2.5"
    ds.Rows, ds.Columns = stored.shape[-2:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8 * stored.dtype.itemsize, bits, bits - 1
    ds.PixelRepresentation = int(stored.dtype.kind == "i")
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [-120.5, -80, 2.5 * number], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.RescaleSlope, ds.RescaleIntercept = [0.7, 0.8], 1, -1024
    ds.PixelData = stored.tobytes()
    ds["PixelData"].VR = "OW"
    for keyword, value in elements.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def enhanced_ct(stored, *, order=None, bits=12):
    """An Enhanced CT of (n, rows, columns) values; frame k lies at 2.5 k mm with rescale intercept -1024 - k."""
    ds = ct(stored, bits=bits)
    ds.SOPClassUID, ds.NumberOfFrames = EnhancedCTImageStorage, len(stored)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "KVP"):
        delattr(ds, keyword)
    del ds.RescaleIntercept, ds.SliceThickness, ds.ConvolutionKernel
    measures = item(PixelSpacing=[0.7, 0.8], SliceThickness="2.5")
    shared = item(
        PixelMeasuresSequence=[measures],
        PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        CTReconstructionSequence=[item(ConvolutionKernel="B30f")],
        CTXRayDetailsSequence=[item(KVP=120.0)],
        CTImageFrameTypeSequence=[item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])],
    )
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    ds.PerFrameFunctionalGroupsSequence = Sequence(
        item(
            PlanePositionSequence=[item(ImagePositionPatient=[-120.5, -80, 2.5 * k])],
            PixelValueTransformationSequence=[item(RescaleSlope=1, RescaleIntercept=-1024 - k)],
            FrameContentSequence=[item(StackID="1", InStackPositionNumber=k + 1, TemporalPositionIndex=1)],
        )
        for k in (order if order is not None else range(len(stored)))
    )
    return ds


def item(**elements):
    """A sequence item."""
    ds = Dataset()
    for keyword, value in elements.items():
        setattr(ds, keyword, Sequence(value) if keyword.endswith("Sequence") else value)
    return ds


def encode(ds, syntax=EXPLICIT):
    """`ds` as the bytes of a file in `syntax`; its PixelData must hold uncompressed little endian values."""
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    ds.file_meta.MediaStorageSOPClassUID = ds.get("SOPClassUID", "")
    ds.file_meta.MediaStorageSOPInstanceUID = ds.get("SOPInstanceUID", "")
    if syntax in COMPRESSED:
        frames = array(ds).reshape(-1, ds.Rows, ds.Columns)
        ds.PixelData = encapsulate([compress(frame, ds, syntax) for frame in frames])
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    elif syntax == BIG:
        ds.PixelData = array(ds).byteswap().tobytes()
    buffer = io.BytesIO()
    if syntax in (BIG, IMPLICIT):
        dcmwrite(buffer, ds, implicit_vr=syntax == IMPLICIT, little_endian=syntax != BIG, enforce_file_format=True)
    else:
        ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def array(ds):
    """The stored values of an uncompressed little endian data set."""
    kind = f"<{'i' if ds.PixelRepresentation else 'u'}{ds.BitsAllocated // 8}"
    count = ds.Rows * ds.Columns * int(ds.get("NumberOfFrames", 1))
    return np.frombuffer(ds.PixelData, dtype=kind, count=count)


def compress(frame, ds, syntax):
    """One frame, lossless, in `syntax`; two's complement where the format knows no sign."""
    frame = np.ascontiguousarray(frame)
    raw = frame.view(f"u{frame.dtype.itemsize}")
    raw = raw & raw.dtype.type((1 << int(ds.BitsStored)) - 1)
    if syntax in (JPEG_LOSSLESS, JPEG_LOSSLESS_SV1):
        return imagecodecs.ljpeg_encode(raw, bitspersample=int(ds.BitsStored))
    if syntax == JPEG_LS:
        return imagecodecs.jpegls_encode(raw)
    if syntax == JPEG_2000:
        return imagecodecs.jpeg2k_encode(frame, level=0, codecformat="j2k", bitspersample=int(ds.BitsStored))
    if syntax == HTJ2K:
        return imagecodecs.htj2k_encode(frame, reversible=True)
    return encode_rle(raw)


def encode_rle(raw):
    """RLE of literal runs only (PS3.5 annex G), one segment per byte of the word, most significant first."""
    planes = raw.astype(f">u{raw.dtype.itemsize}").view(np.uint8).reshape(raw.size, raw.dtype.itemsize).T
    segments = []
    for plane in planes:
        data = plane.tobytes()
        runs = [data[at : at + 128] for at in range(0, len(data), 128)]
        segment = b"".join(bytes([len(run) - 1]) + run for run in runs)
        segments.append(segment + bytes(len(segment) % 2))
    offsets, position = [], 64
    for segment in segments:
        offsets.append(position)
        position += len(segment)
    return struct.pack("<16I", len(segments), *offsets, *[0] * (15 - len(offsets))) + b"".join(segments)


def write(path: Path, ds, syntax=EXPLICIT) -> Path:
    """Write `ds` to `path` in `syntax`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(ds, syntax))
    return path


def without_meta(data: bytes) -> bytes:
    """The data set alone: no preamble, no DICM, no meta group."""
    return data[meta_end(data) :]


def meta_end(data: bytes) -> int:
    """Where the data set starts in a file with a right group length."""
    return 144 + struct.unpack_from("<I", data, 140)[0]


def deflate(data: bytes) -> bytes:
    """Raw deflate, as transfer syntax 1.2.840.10008.1.2.1.99 has it."""
    machine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return machine.compress(data) + machine.flush()


assert ExplicitVRLittleEndian == EXPLICIT
