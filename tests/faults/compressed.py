"""Slices as JPEG 2000, sound or poisoned, and a decode child that the poison works on."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless

POISONS = ("POISON-KILL", "POISON-SPIN", "POISON-SLEEP", "POISON-SWELL")
_SITE = '''
"""Loaded by every Python that has this folder on its path: poisons the decoder of the decode child alone."""
import os, signal, sys, time

if "volumes.decode_child" in sys.orig_argv:
    import volumes.codecs

    sound = volumes.codecs.decode_frame

    def decode_frame(data, spec):
        if b"POISON-KILL" in data:
            os.kill(os.getpid(), signal.SIGSEGV)
        while b"POISON-SPIN" in data:
            pass
        while b"POISON-SLEEP" in data:
            time.sleep(1000)
        hoard = []
        while b"POISON-SWELL" in data:
            hoard.append(bytearray(2**26))
        return sound(data, spec)

    volumes.codecs.decode_frame = decode_frame
'''


def compress(path: Path, poison: str = "") -> None:
    """Rewrite a slice as JPEG 2000, so that a decode child is needed; a poison stands behind the stream's end."""
    header = dcmread(path)
    pixels = np.frombuffer(header.PixelData, "<u2").reshape(header.Rows, header.Columns)
    stream = imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, codecformat="j2k")
    header.PixelData = encapsulate([stream + poison.encode()])
    header["PixelData"].is_undefined_length = True
    header.file_meta.TransferSyntaxUID = JPEG2000Lossless
    header.save_as(path, enforce_file_format=True)


def poison_decoder(folder: Path) -> Path:
    """Write the module; returns what belongs on PYTHONPATH."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_SITE)
    return folder
