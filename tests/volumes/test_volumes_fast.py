"""The short ways (plain files, packed streams, one buffer, threads) give what the long way gives, or leave it to it."""

from __future__ import annotations

from dataclasses import replace

import dicom_files as files
import numpy as np
import phantom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phantom import Series, setter

from t3dkit.verdict import Dropped
from volumes import plain, scratch
from volumes.codecs import FrameSpec
from volumes.convert import convert_stack
from volumes.errors import DecodeError
from volumes.index import read_instance
from volumes.isolation import SharedPixels
from volumes.kernels import unpack_segment
from volumes.reasons import DropReason
from volumes.records import Grid
from volumes.rle import decode_rle
from volumes.sources import iter_files
from volumes.stacks import build_stacks

NATIVE, COARSE = Grid(spacing_mm=None), Grid(spacing_mm=(1.7, 1.9, 2.3))
SYNTAXES = {
    "explicit": files.EXPLICIT,
    "implicit": files.IMPLICIT,
    "RLE": files.RLE,
    "JPEG-LS": files.JPEG_LS,
    "JPEG lossless": files.JPEG_LOSSLESS_SV1,
}


def twelve_bits(ds, k):
    stored = np.frombuffer(ds.PixelData, np.int16)
    ds.PixelData = (stored + 1024).clip(0, 4095).astype(np.uint16).tobytes()
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 11, 0


def stray(ds, k):
    twelve_bits(ds, k)
    if k == 3:
        ds.PixelData = (np.frombuffer(ds.PixelData, np.uint16) | 0x4000).tobytes()


EDITS = {
    "signed 16": setter(),
    "signed 12": setter(BitsStored=12, HighBit=11),
    "unsigned 12": twelve_bits,
    "stray bits": stray,
    "padding": lambda ds, k: ds.add_new("PixelPaddingValue", "US", 124),
}


def stack_of(folder, series, syntax=files.EXPLICIT):
    folder.mkdir()
    for k in range(series.n):
        ds = series.dataset(k)
        ds.file_meta, ds.preamble = files.FileMetaDataset(), bytes(128)
        ds["PixelData"].VR = "OW"
        (folder / f"{k:03d}").write_bytes(files.encode(ds, syntax))
    (stack,) = build_stacks([read_instance(ref) for ref in iter_files(folder)]).stacks
    return stack


def answer(stack, grid, threads=1):
    made = convert_stack(stack, grid, threads=threads)
    if isinstance(made, Dropped):
        return made
    volume = made.value
    return volume.data.tobytes(order="F"), volume.affine_ras.tolist(), volume.hu_percentiles, made.repairs


@pytest.mark.parametrize("orientation", [phantom.AXIAL, phantom.FEET_FIRST_PRONE, phantom.SAGITTAL])
@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES.keys())
def test_the_short_way_is_the_long_way(tmp_path, monkeypatch, syntax, edit, orientation):
    series = Series(edit=edit, orientation=orientation)
    if syntax in files.COMPRESSED and edit is not stray:
        series = replace(series, edit=lambda ds, k: (edit(ds, k), twelve_bits(ds, k))[0])
    stack = stack_of(tmp_path / "x", series, syntax)
    short = [answer(stack, grid, threads) for grid in (NATIVE, COARSE) for threads in (1, 2)]
    monkeypatch.setattr(plain, "is_plain", lambda instance: False)
    monkeypatch.setattr(plain, "is_packed", lambda instance: False)
    long = [answer(stack, grid) for grid in (NATIVE, COARSE)]
    assert short == [long[0], long[0], long[1], long[1]]


def test_plain_files_do_take_the_short_way(tmp_path, monkeypatch):
    stack = stack_of(tmp_path / "x", Series())
    monkeypatch.setattr("volumes.decode.read_slices", None)
    assert not isinstance(convert_stack(stack, NATIVE), Dropped)
    packed = stack_of(tmp_path / "y", Series(edit=twelve_bits), files.JPEG_LS)
    assert not isinstance(convert_stack(packed, NATIVE), Dropped)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data[:-1], DropReason.UNSTABLE_INPUT),
        (lambda data: data + b"x", DropReason.UNSTABLE_INPUT),
        (lambda data: data.replace(b"\xe0\x7f\x10\x00", b"\xe0\x7f\x20\x00"), None),
    ],
)
def test_a_file_that_changed_since_is_not_believed(tmp_path, change, reason):
    stack = stack_of(tmp_path / "x", Series())
    path = tmp_path / "x" / "005"
    path.write_bytes(change(path.read_bytes()))
    made = convert_stack(stack, NATIVE)
    assert isinstance(made, Dropped)
    assert reason is None or made.reason == reason


# ----------------------------------------------------------------------------------------------------- one buffer


def test_a_buffer_is_used_again_and_volumes_stay_their_own(tmp_path):
    one = stack_of(tmp_path / "one", Series())
    other = stack_of(tmp_path / "other", Series(hu=lambda points: phantom.linear_hu(points) - 77, series_uid="1.2.9"))
    scratch.release()
    native, coarse = convert_stack(one, NATIVE).value, convert_stack(one, COARSE).value
    kept = native.data.copy(), coarse.data.copy()
    for grid in (COARSE, NATIVE, COARSE):
        convert_stack(other, grid)
    np.testing.assert_array_equal(native.data, kept[0])
    np.testing.assert_array_equal(coarse.data, kept[1])


def test_scratch_hands_out_what_was_given_back_only():
    scratch.release()
    first = scratch.take((3, 4, 5))
    second = scratch.take((3, 4, 5))
    assert not np.may_share_memory(first, second)
    scratch.give_back(first.view(np.int16))
    third = scratch.take((2, 4, 5))
    assert np.may_share_memory(first, third)
    scratch.give_back(third)
    assert np.may_share_memory(first, scratch.take((60,)))
    assert not np.may_share_memory(first, scratch.take((61,)))


# ------------------------------------------------------------------------------------------------------------ RLE


def spec_of(rows, columns, bits=16):
    return FrameSpec(files.RLE, rows, columns, bits, bits, is_signed=False)


@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from([8, 16, 32]), st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=60, deadline=None)
def test_rle_streams_of_another_encoder(rows, columns, bits, seed, is_flat):
    from rle.utils import encode_pixel_data

    rng = np.random.default_rng(seed)
    words = rng.integers(0, 3 if is_flat else 2**bits, (rows, columns)).astype(f"<u{bits // 8}")
    data = encode_pixel_data(
        words.tobytes(), byteorder="<", rows=rows, columns=columns, samples_per_pixel=1, bits_allocated=bits
    )
    np.testing.assert_array_equal(decode_rle(data, spec_of(rows, columns, bits)), words)


@given(st.binary(max_size=400), st.integers(0, 63))
@settings(max_examples=300, deadline=None)
def test_damaged_rle_is_refused_or_read_within_its_bounds(noise, at):
    data = bytearray(files.encode_rle(np.arange(64, dtype=np.uint16).reshape(8, 8)))
    data[at : at + len(noise)] = noise
    try:
        outcome = decode_rle(bytes(data), spec_of(8, 8)).shape
    except DecodeError as error:
        outcome = error.reason
    assert outcome in ((8, 8), DropReason.DECODE_FAIL)


@given(st.binary(max_size=200), st.integers(0, 50))
@settings(max_examples=200, deadline=None)
def test_a_segment_never_writes_beyond_its_column(packed, n):
    words = np.full((n + 2, 2), 7, np.uint8)
    inner = words[1 : n + 1]
    assert unpack_segment(np.frombuffer(packed, np.uint8), inner, 1) <= n
    assert set(words[0].tolist() + words[-1].tolist() + words[:, 0].tolist()) == {7}


# -------------------------------------------------------------------------------------------------- shared memory


def test_shared_memory_cannot_be_shortened():
    import os

    shared = SharedPixels()
    shared.grow(1000)
    with pytest.raises(PermissionError):
        os.ftruncate(shared.descriptor, 10)
    shared.close()
    shared.close()
