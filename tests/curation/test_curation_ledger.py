"""The ledger: what was committed is there, what was not is not, and there is one writer."""

import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from curation.errors import BusyError, LedgerError
from curation.ledger import LEDGER_VERSION, FileRow, open_ledger, read_only
from volumes.records import FileRef

ODD = b"caf\xe9/i.dcm".decode("utf-8", "surrogateescape")


def rows() -> list[FileRow]:
    image = FileRow(
        FileRef("b.dcm", "/x/b.dcm", size_bytes=7), "7:1", "image", None, "", "1.2", "1.2.3", "1.2.3.4", {"a": 1}
    )
    inner = FileRow(FileRef(ODD, "/x/a.zip", ("in.zip", ODD), 9, True), "9:2", "dropped", "EMPTY_FILE", "0 bytes")
    return [image, inner]


def test_what_goes_in_comes_out_in_order_of_name(tmp_path: Path):
    with open_ledger(tmp_path / "p") as ledger:
        with ledger.transaction():
            ledger.put_files(rows())
        assert list(ledger.files()) == rows()
        assert list(ledger.files("kind = ?", ("image",))) == rows()[:1]
        assert ledger.file_stamps(["b.dcm", ODD, "c"]) == {"b.dcm": "7:1", ODD: "9:2"}


def test_files_not_seen_again_are_forgotten(tmp_path: Path):
    with open_ledger(tmp_path / "p") as ledger, ledger.transaction():
        ledger.put_files(rows())
        assert ledger.forget_unseen() == 0
    with open_ledger(tmp_path / "p") as ledger:
        ledger.mark_seen([FileRef("b.dcm", "/elsewhere/b.dcm")])
        assert ledger.forget_unseen() == 1
        assert [row.ref.path for row in ledger.files()] == ["/elsewhere/b.dcm"]


def test_a_result_is_found_under_its_key_alone_and_after_reopening(tmp_path: Path):
    with open_ledger(tmp_path / "p") as ledger:
        ledger.put_result("study", "s", "key1", {"rows": [1, None, "ü"]})
    with open_ledger(tmp_path / "p") as ledger:
        assert ledger.result("study", "s", "key1") == {"rows": [1, None, "ü"]}
        assert ledger.result("study", "s", "key2") is None
        ledger.forget_results("study", keep=[])
        assert ledger.result("study", "s", "key1") is None


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path):
    with open_ledger(tmp_path / "p") as ledger:

        def fail_half_way() -> None:
            with ledger.transaction():
                ledger.put_files(rows())
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail_half_way()
        assert list(ledger.files()) == []


def test_a_killed_writer_leaves_what_it_committed(tmp_path: Path):
    program = (
        "import os, sys; sys.path.insert(0, '.')\n"
        "from pathlib import Path\nfrom curation.ledger import open_ledger\n"
        f"with open_ledger(Path({str(tmp_path / 'p')!r})) as ledger:\n"
        "    ledger.put_result('study', 'done', 'k', 1)\n"
        "    ledger._db.execute(\"INSERT INTO meta VALUES ('half', 'x')\")\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", program], cwd=root, check=False).returncode == -9
    with open_ledger(tmp_path / "p") as ledger:
        assert ledger.result("study", "done", "k") == 1
        assert ledger.meta("half") is None


def test_the_private_folder_is_private(tmp_path: Path):
    (tmp_path / "p").mkdir(mode=0o755)
    with open_ledger(tmp_path / "p"):
        assert stat.S_IMODE((tmp_path / "p").stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "p" / "ledger.sqlite").stat().st_mode) == 0o600


def test_a_second_writer_is_refused(tmp_path: Path):
    with open_ledger(tmp_path / "p"), pytest.raises(BusyError, match="another run"), open_ledger(tmp_path / "p"):
        pass
    with open_ledger(tmp_path / "p"):
        pass  # let go


def test_damage_and_newer_versions_are_named(tmp_path: Path):
    with open_ledger(tmp_path / "p") as ledger:
        ledger.set_meta("ledger_version", str(LEDGER_VERSION + 1))
    with pytest.raises(LedgerError, match="update t3dkit"), open_ledger(tmp_path / "p"):
        pass
    for left in (tmp_path / "p").glob("ledger.sqlite*"):
        left.unlink()
    (tmp_path / "p" / "ledger.sqlite").write_bytes(b"this is no database" * 100)
    with pytest.raises(LedgerError, match="damaged"), open_ledger(tmp_path / "p"):
        pass
    with pytest.raises(LedgerError, match="damaged"):
        read_only(tmp_path / "p")


def test_reading_needs_no_lock_and_cannot_write(tmp_path: Path):
    assert read_only(tmp_path / "nothing") is None
    with open_ledger(tmp_path / "p") as ledger:
        ledger.put_crosswalk([("study", "1.2.3", "abcd")])
        ledger.set_meta("x", "y")
        connection = read_only(tmp_path / "p")
        assert connection is not None
        assert connection.execute("SELECT value FROM meta WHERE key = 'x'").fetchone() == ("y",)
        with pytest.raises(sqlite3.OperationalError):
            connection.execute("DELETE FROM meta")
        connection.close()


def test_a_file_dropped_for_a_passing_reason_is_read_again(tmp_path: Path):
    with open_ledger(tmp_path / "p") as ledger:
        ref = FileRef("x.dcm", "/x/x.dcm")
        ledger.put_files([FileRow(ref, "1:1", "dropped", "READ_ERROR")])
        assert ledger.file_stamps(["x.dcm"]) == {}
        ledger.put_files([FileRow(ref, "1:1", "dropped", "NOT_DICOM")])
        assert ledger.file_stamps(["x.dcm"]) == {"x.dcm": "1:1"}


def test_what_meets_its_limits_in_two_runs_is_given_up_until_it_changes_or_is_forgiven(tmp_path: Path):
    with open_ledger(tmp_path / "p") as ledger:
        for n_strikes in range(2):
            assert ledger.may_pass({"RESOURCE_LIMIT", None}, "study", ODD, "key1"), n_strikes
            ledger.strike("study", ODD, "key1")
        assert ledger.is_given_up("study", ODD, "key1")
        assert not ledger.may_pass({"RESOURCE_LIMIT", None}, "study", ODD, "key1")
        assert ledger.may_pass({"RESOURCE_LIMIT", "READ_ERROR"}, "study", ODD, "key1"), "a disk may come back"
        assert ledger.may_pass({"RESOURCE_LIMIT"}, "study", ODD, "key2"), "another input or configuration"
        ledger.strike("study", ODD, "key2")
        assert not ledger.is_given_up("study", ODD, "key2"), "counted from one again"
        ledger.strike("study", ODD, "key2")
        ledger.forgive()
        assert ledger.may_pass({"RESOURCE_LIMIT"}, "study", ODD, "key2")


def test_a_file_is_read_again_after_its_first_strike_alone(tmp_path: Path):
    poison = FileRow(FileRef("b.dcm", "/x/b.dcm"), "7:1", "dropped", "RESOURCE_LIMIT", "KilledWorker")
    with open_ledger(tmp_path / "p") as ledger:
        for known in ({}, {"b.dcm": "7:1"}):
            ledger.put_files([poison])
            ledger.strike("file", "b.dcm", "7:1")
            assert ledger.file_stamps(["b.dcm"]) == known
