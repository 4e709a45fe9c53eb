"""Our JPEG-LS decoder against CharLS: the same pixels, or a stream that is left to CharLS."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import imagecodecs
import jpeg_ls
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volumes.codecs import JPEG_LS, FrameSpec
from volumes.jpegls import decode_jpegls

LOSSLESS = "1.2.840.10008.1.2.4.80"


def spec_of(pixels):
    return FrameSpec(LOSSLESS, *pixels.shape, 16, 16, is_signed=False)


def image(seed):
    """Noise, slopes, runs and runs with specks, of any precision and of sizes down to one pixel."""
    rng = np.random.default_rng(seed)
    top, shape = (1 << rng.integers(9, 17)) - 1, rng.integers(1, 40, 2)
    kind = seed % 4
    if kind == 0:
        values = rng.integers(0, top + 1, shape)
    elif kind == 1:
        values = top / 2 + np.cumsum(rng.normal(0, rng.choice([0.3, 2, 20]), shape), axis=1)
    elif kind == 2:
        rows = np.repeat(rng.integers(0, top + 1, (shape[0], 1)), shape[1], axis=1)
        values = np.where(rng.random(shape) < 0.1, rng.integers(0, top + 1, shape), rows)
    else:
        values = rng.normal(100, rng.choice([0.2, 0.5, 10]), shape)
    pixels = np.clip(np.rint(values), 0, top).astype(np.uint16)
    pixels[0, 0] = top  # which tells the encoder the precision
    return pixels


def encoded(pixels):
    try:
        return bytes(jpeg_ls.encode_array(pixels))  # of the precision of its largest value
    except RuntimeError:  # no room: it refuses what does not become smaller
        return imagecodecs.jpegls_encode(pixels)


def mutated(stream, seed):
    rng = np.random.default_rng(seed)
    octets = bytearray(stream)
    at = int(rng.integers(len(octets)))
    if seed % 3 == 0:
        octets[at] ^= 1 << int(rng.integers(8))
    elif seed % 3 == 1:
        octets = octets[:at] + b"\xff\xd9"
    else:
        octets[at:at] = rng.integers(0, 256, 3, dtype=np.uint8).tobytes()
    return bytes(octets)


@given(st.integers(0, 10**6))
@settings(deadline=None, max_examples=300)
def test_every_image_comes_back(seed):
    pixels = image(seed)
    found, bits = decode_jpegls(encoded(pixels), spec_of(pixels))
    np.testing.assert_array_equal(found, pixels)
    assert bits in (16, int(pixels.max()).bit_length())


def compare_mutated(seeds):
    """How many damaged streams were decoded; each of them must be what CharLS makes of it."""
    n_decoded = 0
    for seed in seeds:
        pixels = image(seed)
        stream = mutated(encoded(pixels), seed)
        answer = decode_jpegls(stream, spec_of(pixels))
        if answer is not None:
            np.testing.assert_array_equal(answer[0], imagecodecs.jpegls_decode(stream))
            n_decoded += 1
    return n_decoded


def test_damage_that_is_not_seen_gives_what_charls_gives():
    assert 50 < compare_mutated(range(3000)) < 1500


def test_no_damage_makes_the_loops_leave_their_arrays(tmp_path):
    """The same in a process whose loops check every index."""
    code = "import test_volumes_jpegls as t; print(t.compare_mutated(range(3000, 5000)))"
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    words = [sys.executable, "-c", code]
    done = subprocess.run(
        words, capture_output=True, text=True, env=environment, cwd=Path(__file__).parent, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 30


@pytest.mark.parametrize(
    "stream",
    [
        bytes(jpeg_ls.encode_array(image(1), lossy_error=2)),
        imagecodecs.jpegls_encode((image(1) >> 8).astype(np.uint8)),
        encoded(image(1))[:-9],
        encoded(np.pad(image(1), 1)),
        b"\xff\xd8",
        b"",
    ],
    ids=["near lossless", "8 bits", "truncated", "another size", "only a head", "nothing"],
)
def test_what_is_unusual_is_left_to_charls(stream):
    assert decode_jpegls(stream, spec_of(image(1))) is None


def test_real_slices_equal_charls(real):
    folder = real / "tcia_lidc_0314_jpegls"
    n_slices = 0
    for path in sorted(folder.glob("*.dcm"))[::20]:
        ds = pydicom.dcmread(path)
        if ds.file_meta.TransferSyntaxUID not in JPEG_LS:
            continue
        (frame,) = pydicom.encaps.generate_frames(ds.PixelData, number_of_frames=1)
        spec = FrameSpec(LOSSLESS, ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, is_signed=False)
        found, bits = decode_jpegls(frame, spec)
        np.testing.assert_array_equal(found, imagecodecs.jpegls_decode(frame))
        assert bits == ds.BitsStored
        n_slices += 1
    assert n_slices > 10
