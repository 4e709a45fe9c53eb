"""Stored values: every transfer syntax, signs, unused bits, lengths, damage."""

from __future__ import annotations

import dicom_files as files
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volumes import bits, isolation
from volumes.codecs import FrameSpec
from volumes.decode import read_slice, read_slices
from volumes.encapsulated import split_frames
from volumes.errors import DecodeError
from volumes.index import read_instance
from volumes.reasons import DropReason, RepairCode
from volumes.records import Instance
from volumes.sources import iter_files


@pytest.fixture
def open_bytes(tmp_path):
    """Write bytes as a file and read its header."""

    def run(data: bytes) -> Instance:
        path = tmp_path / "slice.dcm"
        path.write_bytes(data)
        (ref,) = iter_files(path)
        instance = read_instance(ref)
        assert isinstance(instance, Instance), instance
        return instance

    return run


def reason_of(instance, frame=0):
    with pytest.raises(DecodeError) as caught:
        read_slice(instance, frame)
    return caught.value.reason


def codes(pixels):
    return [repair.code for repair in pixels.repairs]


@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize("n_bits", [12, 16])
@pytest.mark.parametrize("syntax", files.NATIVE + files.COMPRESSED)
def test_every_syntax_gives_the_stored_values(open_bytes, syntax, n_bits, is_signed):
    stored = files.pixels(32, 40, bits=n_bits, is_signed=is_signed)
    pixels = read_slice(open_bytes(files.encode(files.ct(stored, bits=n_bits), syntax)), 0)
    np.testing.assert_array_equal(pixels.stored, stored)
    assert pixels.stored.dtype == stored.dtype
    assert (pixels.slope, pixels.intercept, pixels.modality_lut) == (1.0, -1024.0, None)


@pytest.mark.parametrize("syntax", [files.EXPLICIT, files.DEFLATED, files.RLE, files.JPEG_LS])
def test_frames_of_an_enhanced_image_come_with_their_own_rescale(open_bytes, syntax):
    stored = np.stack([files.pixels(16, 8, seed=k) for k in range(4)])
    instance = open_bytes(files.encode(files.enhanced_ct(stored), syntax))
    order = [2, 0, 3, 1]
    for frame, pixels in zip(order, read_slices([(instance, k) for k in order]), strict=True):
        np.testing.assert_array_equal(pixels.stored, stored[frame])
        assert pixels.intercept == -1024 - frame
    assert reason_of(instance, 4) is DropReason.ENHANCED_BAD


def test_truncated_pixels_are_never_filled(open_bytes):
    data = files.encode(files.ct())
    assert reason_of(open_bytes(data[:-20])) is DropReason.TRUNCATED
    compressed = files.encode(files.ct(), files.JPEG_LS)
    assert reason_of(open_bytes(compressed[:-60])) is DropReason.TRUNCATED


def test_one_pad_byte_passes_and_many_bytes_do_not(open_bytes):
    stored = files.pixels(3, 3, bits=8).astype(np.uint8)
    instance = open_bytes(files.encode(files.ct(stored, bits=8, PixelData=stored.tobytes() + b"\0")))
    np.testing.assert_array_equal(read_slice(instance, 0).stored, stored)
    long = files.ct()
    long.PixelData += bytes(32)
    assert reason_of(open_bytes(files.encode(long))) is DropReason.PIXEL_LENGTH


def test_garbage_above_bits_stored_is_masked_and_said(open_bytes):
    stored = files.pixels(bits=12)
    dirty = stored | np.uint16(0xA000)
    pixels = read_slice(open_bytes(files.encode(files.ct(dirty, bits=12))), 0)
    np.testing.assert_array_equal(pixels.stored, stored)
    assert codes(pixels) == [RepairCode.HIGH_BITS_MASKED]


@given(value=st.integers(-2048, 2047), rubbish=st.integers(0, 15))
@settings(deadline=None, max_examples=50)
def test_masking_keeps_the_stored_bits_of_signed_values(value, rubbish):
    raw = np.array([[(value & 0xFFF) | rubbish << 12]], dtype=np.uint16)
    stored, _ = bits.mask_unused_bits(raw, FrameSpec(files.EXPLICIT, 1, 1, 16, 12, is_signed=True), high_bit=11)
    assert stored.tolist() == [[value]]


def test_a_wrong_high_bit_is_ignored_and_a_right_one_shifts():
    spec = FrameSpec(files.EXPLICIT, 1, 2, 16, 12, is_signed=False)
    low = np.array([[5, 4095]], dtype=np.uint16)
    assert bits.mask_unused_bits(low, spec, high_bit=15)[0].tolist() == [[5, 4095]]
    assert bits.mask_unused_bits(low << 4, spec, high_bit=15)[0].tolist() == [[5, 4095]]


def test_modality_lut_and_padding_pass_through(open_bytes):
    lut = files.item(LUTDescriptor=[4, 65534, 16], ModalityLUTType="HU", LUTData=[10, 20, 30, 40])
    ds = files.ct(
        files.pixels(bits=16, is_signed=True),
        bits=16,
        ModalityLUTSequence=[lut],
        RescaleSlope=None,
        RescaleIntercept=None,
    )
    ds["ModalityLUTSequence"][0]["LUTDescriptor"].VR = ds["ModalityLUTSequence"][0]["LUTData"].VR = "US"
    ds.add_new(0x00280120, "US", 63536)
    ds.add_new(0x00280121, "US", 63546)
    instance = open_bytes(files.encode(ds))
    pixels = read_slice(instance, 0)
    assert instance.has_modality_lut
    assert pixels.modality_lut == (-2, (10, 20, 30, 40))
    assert pixels.modality_lut.apply(np.array([-9, -2, 0, 9])).tolist() == [10, 10, 30, 40]
    assert (pixels.padding_value, pixels.padding_limit) == (-2000, -1990) == (instance.pixel_padding_value, -1990)


def test_colour_unknown_codecs_and_wrong_shapes_have_reasons(open_bytes):
    colour = files.ct(SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0)
    assert reason_of(open_bytes(files.encode(colour))) is DropReason.NOT_HU
    video = files.encode(files.ct(), files.JPEG_LS).replace(b"1.2.840.10008.1.2.4.80", b"1.2.840.10008.1.2.4.98")
    assert reason_of(open_bytes(video)) is DropReason.CODEC_MISSING
    shape = files.ct(files.pixels(16, 16))
    data = files.encode(shape, files.JPEG_LS)
    rows = b"\x28\x00\x10\x00US\x02\x00"
    at = data.index(rows) + len(rows)
    assert reason_of(open_bytes(data[:at] + b"\x0f\x00" + data[at + 2 :])) is DropReason.PIXEL_LENGTH


@pytest.mark.parametrize("syntax", files.COMPRESSED)
def test_damaged_streams_cost_one_file(open_bytes, syntax):
    data = bytearray(files.encode(files.ct(files.pixels(64, 64)), syntax))
    start = data.index(b"\xe0\x7f\x10\x00OB") + 36
    data[start : start + 40] = bytes(40)
    assert reason_of(open_bytes(bytes(data))) in (DropReason.DECODE_FAIL, DropReason.PIXEL_LENGTH)
    np.testing.assert_array_equal(  # and the child goes on
        read_slice(open_bytes(files.encode(files.ct(files.pixels()), syntax)), 0).stored, files.pixels()
    )


def test_syntax_and_encapsulation_must_agree(open_bytes):
    native_in_compressed = files.encode(files.ct()).replace(
        b"UI\x14\x001.2.840.10008.1.2.1\0", b"UI\x14\x001.2.840.10008.1.2.5\0"
    )
    assert reason_of(open_bytes(native_in_compressed)) is DropReason.TS_MISMATCH
    compressed_in_native = files.encode(files.ct(), files.RLE).replace(
        b"UI\x14\x001.2.840.10008.1.2.5\0", b"UI\x14\x001.2.840.10008.1.2.1\0"
    )
    assert reason_of(open_bytes(compressed_in_native)) is DropReason.TS_MISMATCH


def test_absurd_sizes_are_refused_before_memory_is_taken(open_bytes):
    huge = files.encode(files.ct(files.pixels(16, 16)), files.RLE)
    for element in (b"\x28\x00\x10\x00US\x02\x00", b"\x28\x00\x11\x00US\x02\x00"):
        at = huge.index(element) + len(element)
        huge = huge[:at] + b"\xff\xff" + huge[at + 2 :]
    assert reason_of(open_bytes(huge)) is DropReason.DECOMP_LIMIT


def fragments_of(*parts):
    return b"".join(b"\xfe\xff\x00\xe0" + len(part).to_bytes(4, "little") + part for part in parts)


def test_fragments_are_joined_into_frames():
    end = b"\xfe\xff\xdd\xe0" + bytes(4)
    soi = b"\xff\xd8\xff"
    assert split_frames(fragments_of(b"", b"aa", b"bb") + end, 1) == [[b"aa", b"bb"]]
    assert split_frames(fragments_of(b"", b"aa", b"bb") + end, 2) == [[b"aa"], [b"bb"]]
    table = (0).to_bytes(4, "little") + (20).to_bytes(4, "little")
    assert split_frames(fragments_of(table, b"aa", b"bb", b"cc") + end, 2) == [[b"aa", b"bb"], [b"cc"]]
    marked = fragments_of(b"", soi + b"a", b"bb", soi + b"c")
    assert split_frames(marked + end, 2) == [[soi + b"a", b"bb"], [soi + b"c"]]
    extended = (0).to_bytes(8, "little") + (20).to_bytes(8, "little")
    assert split_frames(fragments_of(b"", b"aa", b"bb", b"cc"), 2, extended_offsets=extended)[1] == [b"cc"]
    with pytest.raises(DecodeError, match="TRUNCATED"):
        split_frames(fragments_of(b"", b"aaaa")[:-1], 1)
    with pytest.raises(DecodeError, match="DECODE_FAIL"):
        split_frames(fragments_of(b"", b"aa", b"bb", b"cc") + end, 2)


def test_a_frame_in_fragments_decodes(open_bytes):
    stored = files.pixels(32, 32)
    ds = files.ct(stored)
    stream = files.compress(stored, ds, files.JPEG_LS)
    data = files.encode(ds, files.JPEG_LS)
    start = data.index(b"\xe0\x7f\x10\x00OB") + 12
    cut = len(stream) // 4 * 2
    data = data[:start] + fragments_of(b"", stream[:cut], stream[cut:]) + b"\xfe\xff\xdd\xe0" + bytes(4)
    pixels = read_slice(open_bytes(data), 0)
    np.testing.assert_array_equal(pixels.stored, stored)
    assert codes(pixels) == [RepairCode.FRAGMENTS_JOINED]


def test_a_signed_jpeg_2000_stream_wins_over_an_unsigned_header(open_bytes):
    stored = files.pixels(bits=16, is_signed=True)
    data = files.encode(files.ct(stored, bits=16), files.JPEG_2000)
    element = b"\x28\x00\x03\x01US\x02\x00"
    at = data.index(element) + len(element)
    pixels = read_slice(open_bytes(data[:at] + b"\0\0" + data[at + 2 :]), 0)
    np.testing.assert_array_equal(pixels.stored, stored)
    assert codes(pixels) == [RepairCode.CODESTREAM_WINS]


@given(values=st.lists(st.integers(-2048, 2047), min_size=1, max_size=9), precision=st.sampled_from([12, 13, 16]))
@settings(deadline=None, max_examples=100)
def test_signed_values_survive_any_precision_of_an_unsigned_stream(values, precision):
    """Cut to BitsStored or to the precision: both occur, and both come back."""
    spec = FrameSpec(files.JPEG_LS, 1, len(values), 16, 12, is_signed=True)
    for n_bits in (12, precision):
        raw = np.array([values], dtype=np.int64) & ((1 << n_bits) - 1)
        stored, repairs = bits.from_codestream(raw.astype(np.uint16), precision, spec, is_jpeg_2000=False)
        assert stored.tolist() == [values]
        assert repairs == ()


def test_a_dying_decoder_is_retried_once_and_then_the_file_is_quarantined(open_bytes, monkeypatch):
    tries = []

    class Dying:
        process_id = None

        def decode(self, data, spec, *, timeout_s):
            tries.append(len(data))
            raise isolation.ChildDiedError("the decoder died", may_retry=True)

    monkeypatch.setattr(isolation, "_child", Dying)
    instance = open_bytes(files.encode(files.enhanced_ct(np.stack([files.pixels()] * 2)), files.JPEG_LOSSLESS))
    assert reason_of(instance, 0) is DropReason.RESOURCE_LIMIT
    assert len(tries) == isolation.MAX_TRIES
    assert reason_of(instance, 1) is DropReason.RESOURCE_LIMIT
    assert len(tries) == isolation.MAX_TRIES  # the other frame was not tried


def test_a_killed_child_is_replaced(open_bytes):
    instance = open_bytes(files.encode(files.ct(), files.JPEG_LOSSLESS))
    read_slice(instance, 0)
    isolation._child()._child.kill()
    np.testing.assert_array_equal(read_slice(instance, 0).stored, files.pixels())


def test_a_hanging_child_is_ended():
    import os
    import signal

    spec = FrameSpec(files.JPEG_LS, 12, 10, 16, 12, is_signed=False)
    data = files.compress(files.pixels(), files.ct(), files.JPEG_LS)
    np.testing.assert_array_equal(isolation.decode_isolated(data, spec)[0], files.pixels())
    hung = isolation._child()._child
    os.kill(hung.pid, signal.SIGSTOP)
    with pytest.raises(DecodeError, match="too long"):
        isolation.decode_isolated(data, spec, timeout_s=0.2)
    assert hung.poll() is not None
    np.testing.assert_array_equal(isolation.decode_isolated(data, spec)[0], files.pixels())


def test_a_child_that_swells_is_stopped():
    """A JPEG 2000 head that announces 60,000 x 60,000 pixels asks for gigabytes."""
    ds = files.ct(files.pixels(32, 32))
    stream = bytearray(files.compress(files.pixels(32, 32), ds, files.JPEG_2000))
    for at in (8, 12, 24, 28):  # Xsiz, Ysiz, XTsiz, YTsiz: ISO 15444-1 A.5.1
        stream[at : at + 4] = (60_000).to_bytes(4, "big")
    with pytest.raises(DecodeError) as caught:
        isolation.decode_isolated(bytes(stream), FrameSpec(files.JPEG_2000, 32, 32, 16, 12, is_signed=False))
    assert caught.value.reason in (DropReason.DECODE_FAIL, DropReason.RESOURCE_LIMIT, DropReason.PIXEL_LENGTH)
