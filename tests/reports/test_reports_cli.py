"""``python -m reports parse``: tables, summary, exit codes, privacy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from reports_real import REAL

from curation import contract
from reports import tables
from reports.__main__ import main
from t3dkit.tables import read_rows

FIXTURES = Path(__file__).parent / "fixtures"

HEADER = "accession_number,patient_id,patient_name,study_date,report_datetime,status,report_text\n"
ROWS = (
    'A777001,880077,"Doe, Jane",20200309,2020-03-09,preliminary,FINDINGS: Early.\n'
    'A777001,880077,"Doe, Jane",20200309,2020-03-10,final,"FINDINGS: Nodule 4 mm in the right upper lobe of Jane Doe. '
    'IMPRESSION: Stable since 03/09/2019."\n'
    'A777001,880077,"Doe, Jane",20200309,2020-03-11,addendum,Liver cyst.\n'
    'A777002,880078,"Roe, Rick",20200401,2020-04-01,final,\n'
    "torn,row\n"
)


def parse(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, object], str]:
    code = main(["parse", *words])
    captured = capsys.readouterr()
    return code, json.loads(captured.out) if captured.out.startswith("{") else {}, captured.err


def test_parse_writes_three_tables_that_add_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "reports.csv", tmp_path / "out" / "sentences.parquet"
    source.write_text(HEADER + ROWS)
    code, summary, _ = parse(capsys, str(source), "--out", str(out))
    assert code == 0
    assert (summary["rows"], summary["reports"], summary["merged"], summary["dropped"]) == (5, 1, 1, 3)
    assert summary["reasons"] == {"EMPTY_TEXT": 1, "ROW_PARSE": 1, "SUPERSEDED": 1}
    sentences = read_rows(out, tables.SENTENCES)
    (report,) = read_rows(out.with_name("sentences.reports.parquet"), tables.REPORTS)
    dropped = read_rows(out.with_name("sentences.dropped.parquet"), tables.DROPPED)
    assert len(sentences) == summary["sentences"] == report["n_sentences"] >= 3
    assert all(report["text"][row["char_start"] : row["char_end"]] == row["text"] for row in sentences)
    assert [row["index"] for row in sentences] == sorted(row["index"] for row in sentences)
    assert "of [NAME]" in report["text"]
    assert "03/09/2019" not in report["text"]
    assert {row["section"] for row in sentences} == {"findings", "impression", "addendum"}
    assert len({row["item_id"] for row in dropped}) == 3


def test_nothing_identifying_is_written_or_said(tmp_path: Path) -> None:
    source = tmp_path / "reports.csv"
    source.write_text(HEADER + ROWS)
    command = [sys.executable, "-m", "reports", "parse", str(source), "--out", str(tmp_path / "s.parquet")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stderr.splitlines()
    written = b"".join(path.read_bytes() for path in tmp_path.glob("*.parquet"))
    texts = repr([read_rows(path) for path in sorted(tmp_path.glob("*.parquet"))])
    for secret in ("A777001", "880077", "Doe", "Jane", "Roe", "reports.csv"):
        assert secret not in texts
        assert secret.encode() not in written
        assert secret not in done.stderr
    assert "FINDINGS" not in done.stderr + done.stdout


def test_the_same_source_gives_the_same_bytes_and_the_key_moves_dates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, key = tmp_path / "reports.csv", tmp_path / "key"
    source.write_text(HEADER + ROWS)
    key.write_bytes(b"0123456789abcdef")
    for name, extra in (("a", []), ("b", []), ("c", ["--key", str(key)])):
        assert parse(capsys, str(source), "--out", str(tmp_path / f"{name}.parquet"), *extra)[0] == 0
    for part in ("parquet", "reports.parquet", "dropped.parquet"):
        assert (tmp_path / f"a.{part}").read_bytes() == (tmp_path / f"b.{part}").read_bytes()
    assert (tmp_path / "a.reports.parquet").read_bytes() != (tmp_path / "c.reports.parquet").read_bytes()


def test_columns_and_no_deid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "r.csv"
    source.write_text("Nr,Befund, voll\n".replace(", voll", "") + "A1,Dr. Smith saw it.\n")
    out = tmp_path / "o.parquet"
    assert parse(capsys, str(source), "--columns", "text=Befund,accession=Nr", "--no-deid", "--out", str(out))[0] == 0
    assert read_rows(tmp_path / "o.reports.parquet")[0]["text"] == "Dr. Smith saw it."


def test_a_leak_is_dropped_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "reports.csv"
    source.write_text(HEADER + ROWS)
    monkeypatch.setattr("reports.work.leaks", lambda text, identifiers: ("name",))
    code, summary, _ = parse(capsys, str(source), "--out", str(tmp_path / "o.parquet"))
    assert (code, summary["reports"], summary["merged"], summary["dropped"]) == (0, 0, 0, 5)
    assert summary["reasons"]["DEID_LEAK"] == 2  # type: ignore[index]


def test_a_text_that_cannot_be_parsed_is_dropped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(text: str, *, language: str | None = None) -> None:
        raise RuntimeError(text)

    source = tmp_path / "reports.csv"
    source.write_text(HEADER + ROWS)
    monkeypatch.setattr("reports.parse.parse_report", broken)
    code, summary, error = parse(capsys, str(source), "--out", str(tmp_path / "o.parquet"))
    assert (code, summary["dropped"]) == (0, 5)
    assert summary["reasons"]["PARSE_FAILED"] == 2  # type: ignore[index]
    assert "Nodule" not in error


@pytest.mark.parametrize(
    ("content", "words", "code", "says"),
    [
        (None, [], 2, "does not exist"),
        ("a,b\n1,2\n", [], 2, "no usable text column"),
        ("", [], 2, "empty"),
        ("id,text\n", [], 1, ""),
        ("id,text\n1,Clear.\n", ["--columns", "text"], 2, "FIELD=COLUMN"),
        ("id,text\n1,Clear.\n", ["--columns", "text=body"], 2, "no column 'body'"),
        ("id,text\n1,Clear.\n", ["--key", "no-such-key"], 2, "does not exist"),
    ],
)
def test_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, words: list[str], code: int, says: str
) -> None:
    source = tmp_path / "r.csv"
    if content is not None:
        source.write_text(content)
    found, _, error = parse(capsys, str(source), "--out", str(tmp_path / "o.parquet"), *words)
    assert found == code
    assert says in error


def test_out_must_be_a_parquet_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "r.csv"
    source.write_text("text\nClear.\n")
    assert parse(capsys, str(source), "--out", str(tmp_path / "o.csv"))[0] == 2


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parse", "--help"]) == 0
    assert "python -m reports parse reports.csv --out" in capsys.readouterr().out


def test_sentence_table_has_the_columns_of_a_data_set() -> None:
    assert tables.SENTENCES.equals(contract.SENTENCES)
    assert tables.DROPPED.equals(contract.DROPPED)
    assert [field for field in tables.REPORTS if field.name in contract.REPORTS.names] == list(contract.REPORTS)


def test_hl7_and_fhir_through_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, summary, _ = parse(capsys, str(FIXTURES), "--out", str(tmp_path / "o.parquet"))
    assert code == 0
    assert summary["rows"] == summary["reports"] + summary["merged"] + summary["dropped"]  # type: ignore[operator]
    texts = [row["text"] for row in read_rows(tmp_path / "o.reports.parquet")]
    assert sum("present in 2018" in text for text in texts) == 1


def test_workers_change_no_byte(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "reports.csv"
    lines = [f"A{number},FINDINGS: The liver has a {number} mm cyst." for number in range(1, 60)]
    source.write_text("\n".join(["accession_number,report_text", *lines]))
    for workers in ("1", "2"):
        code, summary, _ = parse(
            capsys, str(source), "--out", str(tmp_path / f"{workers}.parquet"), "--workers", workers
        )
        assert (code, summary["reports"]) == (0, 59)
    for name in ("", ".reports", ".dropped"):
        one, two = ((tmp_path / f"{workers}{name}.parquet").read_bytes() for workers in ("1", "2"))
        assert one == two


def test_no_worker_is_no_parse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "A1.txt").write_text("FINDINGS: Clear.")
    assert main(["parse", str(tmp_path / "A1.txt"), "--out", str(tmp_path / "o.parquet"), "--workers", "0"]) == 2
    assert "--workers" in capsys.readouterr().err


def test_a_table_is_written_in_groups_and_only_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    rows = [{"report_id": str(number), "label": "x"} for number in range(tables.ROWS_PER_GROUP + 5)]
    with tables.table_sink(path, tables.ENTITIES) as sink:
        sink.extend(rows)
        assert len(sink) == len(rows)
        assert not path.exists()
    assert [row["report_id"] for row in read_rows(path)] == [row["report_id"] for row in rows]
    with pytest.raises(AttributeError), tables.table_sink(tmp_path / "u.parquet", tables.ENTITIES) as sink:
        sink.extend([*rows, "no row"])  # type: ignore[list-item]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["t.parquet"]


@pytest.mark.real
def test_real_notes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = REAL / "mtsamples" / "notes.csv"
    if not source.is_file():
        pytest.skip("the real notes are not beside this checkout")
    code, summary, _ = parse(capsys, str(source), "--out", str(tmp_path / "o.parquet"))
    assert code == 0
    assert (summary["rows"], summary["reports"], summary["dropped"]) == (112, 112, 0)
