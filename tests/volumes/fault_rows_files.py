"""Section A: files, containers, media."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import tarfile
import zipfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

import dicom_files as files
import numpy as np
import pydicom
from fault_rows import Wanted, case, control, linear, stored_of
from phantom import ROOT, write_series

from volumes import folders


def rewrite(folder: Path, change) -> None:
    """Replace the bytes of every file under `folder` by ``change(bytes)``."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        path.write_bytes(change(path.read_bytes()))


def in_syntax(folder: Path, series, syntax: str) -> None:
    for k in range(series.n):
        ds = series.dataset(k)
        ds.file_meta = files.FileMetaDataset()
        ds.preamble = bytes(128)
        ds.PixelData = bytes(ds.PixelData)
        ds["PixelData"].VR = "OW"
        (folder / f"s{k:03d}").write_bytes(files.encode(ds, syntax))


@case("A01", "X", EMPTY_FILE=1)
def zero_byte_file(folder, rng):
    (folder / "MARK").touch()
    yield control(folder, rng)


@case("A01", "X", EMPTY_FILE=1)
def zero_byte_slice(folder, rng):
    series = linear(rng)
    write_series(folder, series, skip=(series.n - 1,))
    (folder / "last.dcm").touch()
    yield Wanted(series, frozenset({"POSSIBLY_CROPPED"}), only=slice(0, series.n - 1))


@case("A02", "X", NOT_DICOM=9)
def files_of_other_kinds(folder, rng):
    junk = {
        "Thumbs.db": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
        ".DS_Store": b"\0\0\0\1Bud1" + bytes(600),
        "index.html": b"<html><body>viewer</body></html>",
        "key.jpg": b"\xff\xd8\xff\xe0" + bytes(rng.integers(0, 256, 900, dtype="u1")),
        "report.pdf": b"%PDF-1.4\n" + bytes(900),
        "viewer.exe": b"MZ" + bytes(rng.integers(0, 256, 900, dtype="u1")),
        "autorun.inf": b"[autorun]\r\nopen=viewer.exe\r\n",
        "noise": bytes(rng.integers(0, 256, 20_000, dtype="u1")),
        "short": b"x",
    }
    for name, data in junk.items():
        (folder / name).write_bytes(data)
    yield control(folder, rng)


@case("A03", "R")
def no_preamble_implicit(folder, rng):
    series = linear(rng)
    in_syntax(folder, series, files.IMPLICIT)
    rewrite(folder, files.without_meta)
    yield Wanted(series, frozenset({"ASSUME_IMPLICIT_LE"}))


@case("A03", "R")
def no_preamble_explicit(folder, rng):
    series = linear(rng)
    in_syntax(folder, series, files.EXPLICIT)
    rewrite(folder, files.without_meta)
    yield Wanted(series, frozenset({"ASSUME_IMPLICIT_LE"}))


@case("A03", "R")
def no_preamble_big_endian(folder, rng):
    series = linear(rng)
    in_syntax(folder, series, files.BIG)
    rewrite(folder, files.without_meta)
    yield Wanted(series, frozenset({"ASSUME_IMPLICIT_LE"}))


@case("A04", "R")
def wrong_group_length(folder, rng):
    series = linear(rng)
    in_syntax(folder, series, files.EXPLICIT)
    wrong = int(rng.integers(0, 5000)).to_bytes(4, "little")
    rewrite(folder, lambda data: data[:140] + wrong + data[144:])
    yield Wanted(series, frozenset({"META_LENGTH"}))


@case("A04", "R")
def missing_group_length(folder, rng):
    series = linear(rng)
    in_syntax(folder, series, files.EXPLICIT)
    rewrite(folder, lambda data: data[:132] + data[144:])
    yield Wanted(series, frozenset({"META_LENGTH"}))


@case("A05", "R")
def no_transfer_syntax(folder, rng):
    series = linear(rng)
    syntax = (files.IMPLICIT, files.EXPLICIT)[int(rng.integers(2))]
    in_syntax(folder, series, syntax)

    def drop(data):
        length = len(syntax) + len(syntax) % 2
        at = data.index(b"\x02\x00\x10\x00UI")
        return data[:at] + data[at + 8 + length :]

    rewrite(folder, drop)
    yield Wanted(series, frozenset({"TS_GUESSED"}))


@case("A06", "R")
def says_explicit_is_implicit(folder, rng):
    series = linear(rng)
    in_syntax(folder, series, files.IMPLICIT)
    rewrite(folder, lambda data: _claim(data, files.IMPLICIT, files.EXPLICIT))
    yield Wanted(series, frozenset({"TS_GUESSED"}))


@case("A06", "R")
def says_implicit_is_explicit(folder, rng):
    series = linear(rng)
    in_syntax(folder, series, files.EXPLICIT)
    rewrite(folder, lambda data: _claim(data, files.EXPLICIT, files.IMPLICIT))
    yield Wanted(series, frozenset({"TS_GUESSED"}))


@case("A06", "R")
def meta_group_twice(folder, rng):
    series = linear(rng)
    in_syntax(folder, series, files.EXPLICIT)

    def twice(data):
        end = files.meta_end(data)
        return data[:end] + data[132:end] + data[end:]

    rewrite(folder, twice)
    yield Wanted(series)


def _claim(data: bytes, old: str, new: str) -> bytes:
    end = files.meta_end(data)
    element = b"\x02\x00\x10\x00UI"
    at = data.index(element)
    length = len(old) + len(old) % 2
    value = new.encode() + b"\0" * (len(new) % 2)
    meta = data[:at] + element + len(value).to_bytes(2, "little") + value + data[at + 8 + length : end]
    return meta[:140] + (len(meta) - 144).to_bytes(4, "little") + meta[144:] + data[end:]


@case("A07", "Q", TRUNCATED=None)
def truncated_pixels(folder, rng):
    paths = write_series(folder, linear(rng))
    victim = paths[int(rng.integers(len(paths)))]
    data = victim.read_bytes()
    victim.write_bytes(data[: -int(rng.integers(1, 300))])
    return []


@case("A08", "Q", TRUNCATED_HEADER=None)
def truncated_after_the_series_uid(folder, rng):
    paths = write_series(folder, linear(rng))
    victim = paths[-1]
    data = victim.read_bytes()
    victim.write_bytes(data[: data.index(b"\x20\x00\x32\x00DS") + int(rng.integers(1, 12))])
    return []


@case("A08", "Q", TRUNCATED_HEADER=1)
def last_slice_truncated_before_the_series_uid(folder, rng):
    series = linear(rng)
    paths = write_series(folder, series)
    data = paths[-1].read_bytes()
    paths[-1].write_bytes(data[: data.index(b"\x08\x00\x60\x00CS") + 4])
    yield Wanted(series, frozenset({"POSSIBLY_CROPPED"}), only=slice(0, series.n - 1))


@case("A09", "P")
def one_pad_byte(folder, rng):
    def odd(ds, k):
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
        values = stored_of(ds).astype(np.uint8).tobytes()
        ds.PixelData = values + b"\0" * (len(values) % 2)
        ds["PixelData"].VR = "OB"

    series = linear(rng, rows=19, columns=21, slope=1.0, intercept=-128.0, hu=_narrow)
    write_series(folder, replace(series, edit=odd))
    yield Wanted(series)


def _narrow(points):
    return points @ [0.7, -0.4, 0.9] - 10


@case("A09", "Q", PIXEL_LENGTH=None)
def many_bytes_too_many(folder, rng):
    n = 2 * int(rng.integers(2, 400))

    def longer(ds, k):
        ds.PixelData = bytes(ds.PixelData) + bytes(n)

    write_series(folder, replace(linear(rng), edit=longer))
    return []


@case("A10", "P")
def trailing_garbage(folder, rng):
    wanted = control(folder, rng)
    rewrite(folder, lambda data: data + bytes(rng.integers(0, 256, int(rng.integers(1, 700)), dtype="u1")))
    yield wanted


@case("A10", "Q", TRAILING_DATA=None)
def two_datasets_in_one_file(folder, rng):
    paths = write_series(folder, linear(rng, n=12))
    for one, other in zip(paths[0::2], paths[1::2], strict=True):
        one.write_bytes(one.read_bytes() + other.read_bytes())
        other.unlink()
    return []


@case("A11", "R")
def gzipped_slices(folder, rng):
    wanted = control(folder, rng)
    for path in sorted(folder.iterdir()):
        path.with_suffix(".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    yield wanted


@case("A11", "R")
def zip_in_zip(folder, rng):
    wanted = control(folder / "x", rng)
    inner = _zip(folder / "x")
    with zipfile.ZipFile(folder / "outer.zip", "w") as archive:
        archive.writestr("deep/inner.zip", inner)
    shutil.rmtree(folder / "x")
    yield wanted


@case("A11", "R")
def tar_gz(folder, rng):
    wanted = control(folder / "x", rng)
    with tarfile.open(folder / "a.tar.gz", "w:gz") as archive:
        archive.add(folder / "x", "x")
    shutil.rmtree(folder / "x")
    yield wanted


@case("A11", "Q", CONTAINER_UNSUPPORTED=3)
def containers_of_other_kinds(folder, rng):
    (folder / "a.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(200))
    (folder / "a.rar").write_bytes(b"Rar!\x1a\x07\x01\x00" + bytes(200))
    (folder / "a.iso").write_bytes(bytes(32769) + b"CD001" + bytes(3000))
    yield control(folder, rng)


def _zip(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    return buffer.getvalue()


@case("A12", "Q", ENCRYPTED=None)
def encrypted_archive(folder, rng):
    yield control(folder / "open", rng)
    write_series(folder / "x", linear(rng))
    data = bytearray(_zip(folder / "x"))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.find(mark)
        while start >= 0:
            data[start + at] |= 1
            start = data.find(mark, start + 4)
    (folder / "locked.zip").write_bytes(bytes(data))
    shutil.rmtree(folder / "x")


@case("A13", "R", ARCHIVE_DAMAGED=1)
def zip_without_directory(folder, rng):
    wanted = control(folder / "x", rng)
    data = _zip(folder / "x")
    (folder / "a.zip").write_bytes(data[: data.index(b"PK\x01\x02")])
    shutil.rmtree(folder / "x")
    yield Wanted(wanted.series, frozenset({"ZIP_SALVAGED", "POSSIBLY_CROPPED"}))


@case("A13", "R", ARCHIVE_DAMAGED=1)
def last_member_fails_its_crc(folder, rng):
    series = linear(rng)
    paths = write_series(folder / "x", series)
    victim = paths[-1].name.encode()
    data = bytearray(_zip(folder / "x"))
    at = data.index(victim) + len(victim) + 20
    data[at : at + 40] = bytes(40)
    (folder / "a.zip").write_bytes(bytes(data))
    shutil.rmtree(folder / "x")
    yield Wanted(series, frozenset({"POSSIBLY_CROPPED"}), only=slice(0, series.n - 1))


def _media(folder: Path) -> None:
    """A DICOMDIR that lists the files of `folder`: one patient, one study, its series (PS3.3 F.3)."""
    images = [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(folder.iterdir())]
    first = images[0]
    records = [
        files.item(DirectoryRecordType="PATIENT", PatientID=first.PatientID),
        files.item(DirectoryRecordType="STUDY", StudyInstanceUID=first.StudyInstanceUID),
        files.item(DirectoryRecordType="SERIES", SeriesInstanceUID=first.SeriesInstanceUID, Modality="CT"),
    ]
    for path, image in zip(sorted(folder.iterdir()), images, strict=True):
        records.append(
            files.item(
                DirectoryRecordType="IMAGE",
                ReferencedFileID=path.name.upper().replace(".", "_"),
                ReferencedSOPInstanceUIDInFile=image.SOPInstanceUID,
            )
        )
    ds = files.FileDataset("", {}, preamble=bytes(128), file_meta=files.FileMetaDataset())
    ds.FileSetID = "DISC1"
    ds.DirectoryRecordSequence = records
    ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    ds.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}.77"
    ds.file_meta.TransferSyntaxUID = files.EXPLICIT
    ds.save_as(folder / "DICOMDIR", enforce_file_format=True)


@case("A14", "Q", EXPORT_INCOMPLETE=None, DICOMDIR=1)
def a_disc_is_missing(folder, rng):
    paths = write_series(folder, linear(rng))
    _media(folder)
    for path in paths[-int(rng.integers(1, 4)) :]:
        path.unlink()
    return []


@case("A14", "P", DICOMDIR=1)
def a_complete_disc(folder, rng):
    wanted = control(folder, rng)
    _media(folder)
    yield wanted


@case("A15", "P", DICOMDIR=1)
def directory_of_another_disc(folder, rng):
    paths = write_series(folder, linear(rng))
    _media(folder)
    for path in paths:
        path.unlink()
    yield control(folder / "other", rng)


@case("A15", "P", NOT_DICOM=1)
def directory_that_is_junk(folder, rng):
    (folder / "DICOMDIR").write_bytes(bytes(rng.integers(0, 256, 3000, dtype="u1")))
    yield control(folder, rng)


@case("A16", "R", DUPLICATE_IMAGE=None)
def same_files_under_other_names(folder, rng):
    wanted = control(folder, rng, "DEDUP_IDENTICAL")
    for path in sorted(folder.iterdir())[::2]:
        shutil.copy(path, path.with_name("copy of " + path.name))
    yield wanted


@case("A17", "R")
def names_that_break_programs(folder, rng):
    series = linear(rng)
    deep = folder / "/".join("long folder name " * 3 for _ in range(6))
    paths = write_series(deep, series)
    odd = [b"\xff\xfe\xe9.dcm", b"CT. ", b"ct. ", b"-rf *", b"a\nb", b"%s%n", "ß漢字.dcm".encode(), b"." * 3 + b"x"]
    for path, name in zip(paths, odd, strict=False):
        os.rename(os.fsencode(path), os.path.join(os.fsencode(deep), name))
    yield Wanted(series)


@contextmanager
def at_conversion(action):
    """Call `action` between the reading of headers and the reading of pixels."""
    from volumes import batch

    plan = batch.plan_source

    def planned(*arguments, **options):
        answer = plan(*arguments, **options)
        action()
        return answer

    with mock.patch.object(batch, "plan_source", planned):
        yield


def _vanish(folder: Path):
    return at_conversion(lambda: sorted(folder.iterdir())[0].unlink())


def _shrink(folder: Path):
    def cut():
        path = sorted(folder.iterdir())[0]
        path.write_bytes(path.read_bytes()[:-50])

    return at_conversion(cut)


@case("A18", "Q", UNSTABLE_INPUT=None, during=_vanish)
def file_vanishes(folder, rng):
    control(folder, rng)
    return []


@case("A18", "Q", UNSTABLE_INPUT=None, during=_shrink)
def file_shrinks(folder, rng):
    control(folder, rng)
    return []


@contextmanager
def _denied(folder: Path):
    opened = folders.os.open

    def refuse(path, *arguments, **more):
        if os.fspath(path).endswith("denied.dcm"):
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments, **more)

    with mock.patch.object(folders.os, "open", refuse):
        yield


@case("A19", "Q", READ_ERROR=1, during=_denied)
def last_slice_cannot_be_read(folder, rng):
    series = linear(rng)
    write_series(folder, series)[-1].rename(folder / "denied.dcm")
    yield Wanted(series, frozenset({"POSSIBLY_CROPPED"}), only=slice(0, series.n - 1))


@case("A20", "X", SPECIAL_FILE=4)
def links_pipes_and_devices(folder, rng):
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to(folder)
    (folder / "device").symlink_to("/dev/zero")
    (folder / "broken").symlink_to(folder / "nowhere")
    yield control(folder / "x", rng)
