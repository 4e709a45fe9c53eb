"""Folders, archives in archives, and everything that is wrong or hostile about them."""

from __future__ import annotations

import contextlib
import gzip
import inspect
import io
import os
import socket
import struct
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import dicom_files as files
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volumes import archives
from volumes.archives import MAX_DEPTH
from volumes.decode import read_slice
from volumes.errors import DecodeError, SourceError
from volumes.index import read_instance
from volumes.reasons import DropReason, RepairCode
from volumes.records import FileDrop, FileRef, Instance
from volumes.sources import close_archives, iter_files, read_bytes


@pytest.fixture(autouse=True)
def _close_archives():
    yield
    close_archives()


def listed(source: Path) -> dict[str, DropReason | None]:
    """Name of everything found, with its reason (None: a file to read)."""
    found = list(iter_files(source))
    names = {(item.file if isinstance(item, FileDrop) else item).name: item for item in found}
    assert len(names) == len(found), "a name occurs twice"
    return {name: item.reason if isinstance(item, FileDrop) else None for name, item in names.items()}


def zipped(members: dict[str, bytes], method=zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return buffer.getvalue()


def tarred(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


# ------------------------------------------------------------------------------------------- folders


def test_a_tree_is_listed_in_order_of_path(tmp_path):
    names = ["a-b.dcm", "a/2.dcm", "a/10/x", "a.dcm", "b/c/d/e/f/deep", "Z"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"content of " + name.encode())
    found = list(iter_files(tmp_path))
    assert [ref.name for ref in found] == sorted(names)
    assert [read_bytes(ref) for ref in found] == [b"content of " + name.encode() for name in sorted(names)]


def test_a_single_file_and_a_dicomdir_are_sources(tmp_path):
    (tmp_path / "IM1").write_bytes(b"one")
    (tmp_path / "DICOMDIR").write_bytes(b"two")
    assert listed(tmp_path / "IM1") == {"IM1": None}
    assert listed(tmp_path / "DICOMDIR") == {"DICOMDIR": None, "IM1": None}


@pytest.fixture
def deep_folder(tmp_path):
    """A folder for very deep trees, emptied without recursion: pytest's own clean-up recurses and gives up."""
    root = tmp_path / "deep"
    root.mkdir()
    yield root
    folders = [root]
    for folder in folders:  # grows while it is walked: parents come before children
        for path in folder.iterdir():
            folders.append(path) if path.is_dir() else path.unlink()
    for folder in reversed(folders):
        folder.rmdir()


def test_a_very_deep_tree_does_not_exhaust_the_stack(deep_folder):
    deep = deep_folder
    for _ in range(300):
        deep = deep / "d"
        deep.mkdir()
    (deep / "leaf").write_bytes(b"x")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 150)  # less than the tree is deep
    try:
        found = list(iter_files(deep_folder))
    finally:
        sys.setrecursionlimit(limit)
    assert [ref.name for ref in found] == ["d/" * 300 + "leaf"]


def test_empty_special_and_looping_files_are_never_opened(tmp_path):
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "up").symlink_to(tmp_path.parent)
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "again").symlink_to(tmp_path / "file")
    (tmp_path / "device").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket"))
        special = DropReason.SPECIAL_FILE
        assert listed(tmp_path) == {
            "again": special,
            "broken": special,
            "device": special,
            "empty": DropReason.EMPTY_FILE,
            "file": None,
            "loop": special,
            "pipe": special,
            "self": special,
            "socket": special,
            "up": special,
        }


def test_links_out_of_the_source_are_followed_once(tmp_path):
    outside, source = tmp_path / "outside", tmp_path / "source"
    outside.mkdir()
    source.mkdir()
    (outside / "x").write_bytes(b"x")
    (outside / "back").symlink_to(source)
    (source / "first").symlink_to(outside)
    (source / "second").symlink_to(outside)
    (source / "file").symlink_to(outside / "x")
    special = DropReason.SPECIAL_FILE
    assert listed(source) == {"file": None, "first/back": special, "first/x": None, "second": special}


def test_names_that_are_no_utf8_are_shown_and_read(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.dcm"
    Path(os.fsdecode(path)).write_bytes(b"x")
    (ref,) = iter_files(tmp_path)
    assert ref.name == "caf\\xe9.dcm"
    ref.name.encode("utf-8")
    assert read_bytes(ref) == b"x"


def test_unreadable_files_and_folders_are_counted(tmp_path, monkeypatch):
    (tmp_path / "locked").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inside").write_bytes(b"x")
    real_open, real_scandir = os.open, os.scandir

    def refuse(path, *args, **kwargs):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return real_open(path, *args, **kwargs)

    def refuse_folder(path):
        if str(path).endswith("folder"):
            raise OSError(5, "Input/output error", path)
        return real_scandir(path)

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "scandir", refuse_folder)
    found = [*iter_files(tmp_path), *iter_files(tmp_path / "folder")]
    assert [item.reason for item in found] == [DropReason.READ_ERROR] * 3
    assert not any(str(tmp_path) in item.detail for item in found)


def test_files_that_change_or_vanish_are_unstable(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10)
    (ref,) = iter_files(path)
    path.write_bytes(b"x" * 11)
    with pytest.raises(SourceError, match="UNSTABLE_INPUT"):
        read_bytes(ref)
    path.unlink()
    assert read_instance(ref).reason is DropReason.UNSTABLE_INPUT


def test_a_pipe_that_took_a_files_place_does_not_hang(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x")
    (ref,) = iter_files(path)
    path.unlink()
    os.mkfifo(path)
    assert read_instance(ref).reason is DropReason.SPECIAL_FILE


# ------------------------------------------------------------------------------------------- archives


@pytest.mark.parametrize("pack", [zipped, tarred, lambda members: zipped(members, zipfile.ZIP_STORED)])
def test_archives_are_expanded_in_place(tmp_path, pack):
    (tmp_path / "b").write_bytes(b"plain")
    (tmp_path / "a.bin").write_bytes(pack({"y/2": b"two", "y/1": b"one", "x": b""}))
    found = list(iter_files(tmp_path))
    assert listed(tmp_path) == {"a.bin!/x": DropReason.EMPTY_FILE, "a.bin!/y/1": None, "a.bin!/y/2": None, "b": None}
    assert [read_bytes(ref) for ref in found if isinstance(ref, FileRef)] == [b"one", b"two", b"plain"]


def test_archives_nest_to_the_limit(tmp_path):
    data = b"payload"
    name = "file"
    for level in range(MAX_DEPTH):
        data = [zipped, tarred][level % 2]({name: data})
        name = f"level{level}"
    (tmp_path / "all").write_bytes(data)
    (ref,) = iter_files(tmp_path)
    assert (ref.name, read_bytes(ref)) == ("all!/level1!/level0!/file", b"payload")
    (tmp_path / "all").write_bytes(zipped({"one.more": data}))
    assert list(listed(tmp_path).values()) == [DropReason.ARCHIVE_LIMIT]


def test_gzip_and_tar_gz(tmp_path):
    (tmp_path / "slice.dcm.gz").write_bytes(gzip.compress(files.encode(files.ct())))
    (tmp_path / "study.tgz").write_bytes(gzip.compress(tarred({"slice.dcm": files.encode(files.ct())})))
    names = list(listed(tmp_path))
    assert names == ["slice.dcm.gz!/slice.dcm", "study.tgz!/study.tar!/slice.dcm"]
    for ref in iter_files(tmp_path):
        instance = read_instance(ref)
        assert isinstance(instance, Instance)
        np.testing.assert_array_equal(read_slice(instance, 0).stored, files.pixels())


def test_members_are_read_from_threads_and_many_archives(tmp_path):
    for number in range(5):
        members = {f"{k}.dcm": f"{number}/{k}".encode() for k in range(20)}
        (tmp_path / f"{number}.zip").write_bytes(zipped({"inner.tar": tarred(members)}))
    refs = [ref for ref in iter_files(tmp_path) if isinstance(ref, FileRef)]
    assert len(refs) == 100
    wrong: list[str] = []

    def read_all(order):
        for ref in order:
            number, k = ref.name.split(".zip")[0], ref.members[-1].split(".")[0]
            if read_bytes(ref) != f"{number}/{k}".encode():
                wrong.append(ref.name)
        close_archives()

    threads = [threading.Thread(target=read_all, args=(refs[start:] + refs[:start],)) for start in (0, 30, 60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_repeated_member_names_are_told_apart(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x", b"first")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("x", b"second")
    (tmp_path / "a.zip").write_bytes(buffer.getvalue())
    assert [read_bytes(ref) for ref in iter_files(tmp_path)] == [b"first", b"second"]


@pytest.mark.parametrize(
    "head",
    [b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07\x01\x00", b"\xfd7zXZ\0", b"BZh91AY&SY"],
    ids=["7z", "rar", "xz", "bz2"],
)
def test_other_containers_are_named(tmp_path, head):
    (tmp_path / "a").write_bytes(head + bytes(500))
    assert listed(tmp_path) == {"a": DropReason.CONTAINER_UNSUPPORTED}


def test_an_iso_image_is_known_by_its_descriptor(tmp_path):
    (tmp_path / "cd.iso").write_bytes(bytes(32769) + b"CD001" + bytes(100))
    assert listed(tmp_path) == {"cd.iso": DropReason.CONTAINER_UNSUPPORTED}


# ------------------------------------------------------------------------------------------- hostile archives

ESCAPES = ["../out", "/etc/out", "a/../../out", "C:\\out", "..\\out"]


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_escaping_members_are_refused_and_nothing_is_written(tmp_path, pack):
    inside = tmp_path / "in" / "side"
    inside.mkdir(parents=True)
    (inside / "a").write_bytes(pack(dict.fromkeys(ESCAPES, b"x") | {"good": b"y"}))
    before = sorted(tmp_path.rglob("*"))
    found = listed(inside)
    assert [name for name, reason in found.items() if reason is None] == ["a!/good"]
    assert sorted(set(found.values()) - {None}) == [DropReason.ARCHIVE_ESCAPE]
    assert sorted(tmp_path.rglob("*")) == before


def test_links_and_devices_in_a_tar_are_special(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            info = tarfile.TarInfo(f"kind{kind.decode()}")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    (tmp_path / "a.tar").write_bytes(buffer.getvalue())
    assert set(listed(tmp_path).values()) == {DropReason.SPECIAL_FILE}


def test_encrypted_members_are_said_and_the_others_read(tmp_path):
    data = bytearray(zipped({"locked": b"secret", "open": b"plain"}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(signature) + offset
        data[at : at + 2] = struct.pack("<H", 1)
    (tmp_path / "a.zip").write_bytes(bytes(data))
    assert listed(tmp_path) == {"a.zip!/locked": DropReason.ENCRYPTED, "a.zip!/open": None}


def test_a_member_that_swells_beyond_its_ratio_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "RATIO_FREE_BYTES", 100_000)
    (tmp_path / "a.zip").write_bytes(zipped({"bomb": bytes(5_000_000), "blank": bytes(50_000)}))
    assert listed(tmp_path) == {"a.zip!/blank": None, "a.zip!/bomb": DropReason.ARCHIVE_LIMIT}


def test_a_nested_bomb_is_stopped_while_it_unpacks(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "RATIO_FREE_BYTES", 100_000)
    (tmp_path / "a.gz").write_bytes(gzip.compress(tarred({"zeros": bytes(5_000_000)})))
    assert list(listed(tmp_path).values()) == [DropReason.ARCHIVE_LIMIT]


def test_many_small_bombs_are_counted_together(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "RATIO_FREE_BYTES", 100_000)
    (tmp_path / "a.zip").write_bytes(zipped({f"{k:03}": bytes(90_000) for k in range(200)}))
    found = listed(tmp_path)
    assert found["a.zip"] is DropReason.ARCHIVE_LIMIT
    assert sum(reason is None for reason in found.values()) < 100


def test_too_many_members_stop_an_archive(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 10)
    (tmp_path / "a.zip").write_bytes(zipped({f"{k:03}": b"x" for k in range(30)}))
    found = listed(tmp_path)
    assert found["a.zip"] is DropReason.ARCHIVE_LIMIT
    assert len(found) == 11


def test_overlapping_members_are_a_bomb(tmp_path):
    """Directory entries that all point at one kernel (Fifield 2019)."""
    data = zipped({"a": os.urandom(3000)}, zipfile.ZIP_STORED)
    start = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    entry = data[start:end]
    directory = b"".join(entry[:46] + bytes([97 + k]) + entry[47:] for k in range(8))
    tail = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 8, 8, len(directory), start, 0)
    (tmp_path / "a.zip").write_bytes(data[:start] + directory + tail)
    assert set(listed(tmp_path).values()) == {DropReason.ARCHIVE_LIMIT}


def test_reading_is_limited(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(5000)))
    (tmp_path / "b").write_bytes(bytes(5000))
    member, plain = iter_files(tmp_path)
    for ref, reason in ((member, "ARCHIVE_LIMIT"), (plain, "READ_ERROR")):
        assert len(read_bytes(ref, 5000)) == 5000
        with pytest.raises(SourceError, match=reason):
            read_bytes(ref, 4999)


# ------------------------------------------------------------------------------------------- damaged archives


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_members_of_a_zip_without_directory_are_salvaged(tmp_path, method):
    slices = {f"{k}.dcm": files.encode(files.ct(number=k)) for k in range(1, 5)}
    data = zipped(slices, method)
    cut = data.index(b"PK\x03\x04", data.index(b"4.dcm") - 40) + 100  # inside the last member
    (tmp_path / "a.zip").write_bytes(data[:cut])
    found = listed(tmp_path)
    assert found == {
        "a.zip": DropReason.ARCHIVE_DAMAGED,
        "a.zip!/1.dcm": None,
        "a.zip!/2.dcm": None,
        "a.zip!/3.dcm": None,
        "a.zip!/4.dcm": DropReason.ARCHIVE_DAMAGED,
    }
    (first, *_) = [ref for ref in iter_files(tmp_path) if isinstance(ref, FileRef)]
    instance = read_instance(first)
    assert [repair.code for repair in instance.repairs] == [RepairCode.ZIP_SALVAGED]
    np.testing.assert_array_equal(read_slice(instance, 0).stored, files.pixels())


def test_streamed_members_of_a_zip_without_directory_are_salvaged(tmp_path):
    """Writers that cannot seek put sizes behind the data (flag bit 3)."""

    class Unseekable(io.RawIOBase):
        def __init__(self):
            self.data = bytearray()

        def writable(self):
            return True

        def write(self, data):
            self.data += bytes(data)
            return len(data)

    out = Unseekable()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("one", b"1" * 1000)
        archive.writestr("two", b"2" * 1000)
    (tmp_path / "a.zip").write_bytes(bytes(out.data[: out.data.index(b"PK\x01\x02")]))
    found = {item.name: item for item in iter_files(tmp_path) if isinstance(item, FileRef)}
    assert {name: read_bytes(ref) for name, ref in found.items()} == {
        "a.zip!/one": b"1" * 1000,
        "a.zip!/two": b"2" * 1000,
    }


def test_a_wrong_checksum_costs_one_member(tmp_path):
    good, bad = os.urandom(40_000), os.urandom(40_000)
    data = bytearray(zipped({"bad": bad, "good": good}, zipfile.ZIP_STORED))
    data[data.index(bad[:100]) + 20_000] ^= 1
    (tmp_path / "a.zip").write_bytes(bytes(data))
    first, second = iter_files(tmp_path)
    with pytest.raises(SourceError, match="ARCHIVE_DAMAGED"):
        read_bytes(first)
    assert read_bytes(second) == good


def test_a_tar_that_breaks_off_keeps_what_came_before(tmp_path):
    data = tarred({"1": b"a" * 2000, "2": b"b" * 2000})
    (tmp_path / "a.tar").write_bytes(data[: 512 + 2048 + 512 + 1000])
    assert listed(tmp_path)["a.tar!/1"] is None
    refs = {ref.name: ref for ref in iter_files(tmp_path) if isinstance(ref, FileRef)}
    assert read_bytes(refs["a.tar!/1"]) == b"a" * 2000
    assert listed(tmp_path)["a.tar"] is DropReason.ARCHIVE_DAMAGED


@given(
    noise=st.binary(min_size=1, max_size=60),
    at=st.floats(0, 1),
    which=st.sampled_from(["zip", "tar", "gz", "zip in zip"]),
)
@settings(deadline=None, max_examples=150)
def test_no_damage_to_an_archive_raises(tmp_path_factory, noise, at, which):
    members = {"1.dcm": files.encode(files.ct()), "x/2": b"text"}
    data = {
        "zip": zipped(members),
        "tar": tarred(members),
        "gz": gzip.compress(tarred(members)),
        "zip in zip": zipped({"inner": zipped(members)}, zipfile.ZIP_STORED),
    }[which]
    start = int(at * len(data))
    folder = tmp_path_factory.mktemp("noise")
    (folder / "a").write_bytes(data[:start] + noise + data[start + len(noise) :])
    found = [read_instance(item) if isinstance(item, FileRef) else item for item in iter_files(folder)]
    assert found
    for item in found:
        if isinstance(item, Instance):
            with contextlib.suppress(DecodeError):
                read_slice(item, 0)
    close_archives()
