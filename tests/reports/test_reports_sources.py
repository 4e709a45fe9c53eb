"""Every source format: every row is a report or a drop, and nothing is guessed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reports_real import REAL

from reports.reasons import DropReason
from reports.sources import RawReport, ReportDrop, read_reports
from reports.sources.columns import NoTextColumnError, map_columns
from reports.sources.encoding import decode
from reports.sources.markup import plain_text
from reports.sources.values import date_of, datetime_of, status_of
from t3dkit.errors import ConfigError

FIXTURES = Path(__file__).parent / "fixtures"

DEMO_HEADER = (
    "report_number,accession_number,patient_id,patient_name,birth_date,sex,study_date,report_datetime,status,"
    "modality,description,report_text"
)
DEMO_ROW = (
    'R1,A0001,007,"Doe, Jane",1950-12-24,F,20200309,2020-03-10T11:59:00,final,CT,CT chest,"FINDINGS:\nClear ""lungs""."'
)


def read(source: Path, columns: Mapping[str, str] | None = None) -> tuple[list[RawReport], list[ReportDrop]]:
    items = list(read_reports(source, columns=columns))
    keys = [item.source_key for item in items]
    assert len(keys) == len(set(keys))
    reports = [item for item in items if isinstance(item, RawReport)]
    return reports, [item for item in items if isinstance(item, ReportDrop)]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# --- CSV --------------------------------------------------------------------------------------------------------------


def test_a_row_of_the_demo_export(tmp_path: Path) -> None:
    ((report,), drops) = read(write(tmp_path / "reports.csv", f"{DEMO_HEADER}\n{DEMO_ROW}\n"))
    assert drops == []
    assert report.source_key == "reports.csv#2"
    assert report.text == 'FINDINGS:\nClear "lungs".'
    assert (report.report_number, report.accession_number, report.patient_id) == ("R1", "A0001", "007")
    assert (report.patient_birth_date, report.patient_sex, report.study_date) == ("19501224", "F", "20200309")
    assert (report.report_datetime, report.status) == ("2020-03-10T11:59:00", "final")
    assert (report.modality, report.description) == ("CT", "CT chest")
    assert dict(report.known_identifiers)["patient_name"] == "Doe, Jane"
    assert dict(report.known_identifiers)["patient_birth_date"] == "1950-12-24"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_any_dialect_and_encoding(tmp_path: Path, encoding: str, delimiter: str) -> None:
    rows = [
        ["Accession Number", "Report Text"],
        ["00123", '"Größe 3,5 cm; normal\tund\nfrei | glatt"'],
        ["00124", "Milz groß"],
    ]
    text = "\r\n".join(delimiter.join(row) for row in rows)
    reports, drops = read(write(tmp_path / "r.csv", text.encode(encoding)))
    assert drops == []
    assert [(one.accession_number, one.text) for one in reports] == [
        ("00123", "Größe 3,5 cm; normal\tund\nfrei | glatt"),
        ("00124", "Milz groß"),
    ]


def test_ragged_and_misquoted_rows_are_dropped_with_their_line(tmp_path: Path) -> None:
    lines = [
        "id,text",
        "1,fine",
        "2,one,too many",
        "3",
        '4,"open quote',
        "5,after it",
        '6,"a"b',
        "7,NUL\0 inside",
        "",
        "8,trailing,",
        "9,",
    ]
    reports, drops = read(write(tmp_path / "r.csv", "\n".join(lines)))
    assert [(one.report_number, one.text) for one in reports] == [
        ("1", "fine"),
        ("5", "after it"),
        ("7", "NUL inside"),
        ("8", "trailing"),
    ]
    assert [(one.reason, one.source_key) for one in drops] == [
        (DropReason.ROW_PARSE, "r.csv#3"),
        (DropReason.ROW_PARSE, "r.csv#4"),
        (DropReason.ROW_PARSE, "r.csv#5"),
        (DropReason.ROW_PARSE, "r.csv#7"),
        (DropReason.EMPTY_TEXT, "r.csv#11"),
    ]
    assert "line 5" in drops[2].detail


def test_excel_damage_in_csv(tmp_path: Path) -> None:
    text = f"accession,text\n1.23E+11,a\n123,{'x' * 32767}\n0123,fine\n"
    reports, drops = read(write(tmp_path / "r.csv", text))
    assert [one.accession_number for one in reports] == ["0123"]
    assert [one.reason for one in drops] == [DropReason.EXCEL_MANGLED] * 2


def test_findings_and_impression_columns_become_one_text(tmp_path: Path) -> None:
    reports, _ = read(
        write(
            tmp_path / "r.csv",
            "VolumeName,Findings_EN,Impressions_EN,Technique_EN\nv1,Clear.,Normal.,CT\nv2,,Normal.,\n",
        )
    )
    assert reports[0].text == "TECHNIQUE:\nCT\n\nFINDINGS:\nClear.\n\nIMPRESSION:\nNormal."
    assert reports[1].text == "IMPRESSION:\nNormal."


def test_an_addendum_column_is_appended(tmp_path: Path) -> None:
    ((report,), _) = read(write(tmp_path / "r.csv", "text,addendum\nClear.,Late note.\n"))
    assert report.text == "Clear.\n\nADDENDUM:\nLate note."


def test_no_usable_column_says_what_was_looked_for_and_found(tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", "foo,bar\n1,2\n")
    with pytest.raises(ConfigError, match=r"text, reporttext.*found: foo, bar.*--columns"):
        read_reports(path)
    with pytest.raises(ConfigError, match="no column 'baz'"):
        read_reports(path, columns={"text": "baz"})
    with pytest.raises(ConfigError, match="'txet' is no field"):
        read_reports(path, columns={"txet": "foo"})
    ((report,), _) = read(path, {"text": "bar", "accession": "FOO"})
    assert (report.text, report.accession_number) == ("2", "1")


def test_missing_source_and_empty_source(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="do not exist"):
        read_reports(tmp_path / "nothing.csv")
    with pytest.raises(ConfigError, match="empty"):
        read_reports(write(tmp_path / "r.csv", b""))
    assert list(read_reports(write(tmp_path / "s.csv", "text,id\n"))) == []


@settings(deadline=None, max_examples=80)
@given(rows=st.lists(st.tuples(st.text(min_size=1, max_size=12), st.text(min_size=1, max_size=60)), max_size=6))
@example(rows=[("\x00", "\x00")])  # a row of empty fields is a row
def test_what_the_csv_module_writes_is_read_back(
    rows: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    import csv
    import io

    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL)
    writer.writerows([("number", "body"), *rows])
    path = tmp_path_factory.mktemp("csv") / "r.csv"
    path.write_bytes(
        buffer.getvalue().encode("utf-8", "surrogatepass")
        if buffer.getvalue().isprintable()
        else buffer.getvalue().encode("utf-8", "replace")
    )
    reports, drops = read(path, {"text": "body", "report": "number"})
    assert len(reports) + len(drops) == len(rows)
    assert {one.reason for one in drops} <= {DropReason.EMPTY_TEXT}


@settings(deadline=None, max_examples=60)
@given(body=st.binary(max_size=400))
def test_any_bytes_after_the_header_are_rows_or_drops(body: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("csv") / "r.csv"
    path.write_bytes(b"id,text\n" + body)
    for item in read_reports(path):
        assert isinstance(item, RawReport | ReportDrop)


# --- XLSX and Parquet -------------------------------------------------------------------------------------------------


def test_workbook(tmp_path: Path) -> None:
    import datetime

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Reports"
    sheet.append(["Accession", "StudyDate", "Report"])
    sheet.append(["00012345", datetime.date(2020, 3, 9), "kept text"])
    sheet.append([12345, None, "lost zeros"])
    sheet.append([1234567890123456789, None, "lost digits"])
    sheet.append([datetime.datetime(2020, 3, 9), None, "became a date"])
    sheet.append(["1.23E+11", None, "exponent"])
    sheet.append([12345, "2020-03-09", "zeros in the format"])
    sheet.cell(7, 1).number_format = "00000000"
    sheet.append([None, None, "no number"])
    sheet.append(["00099999", None, None])
    sheet.append([None, None, None])
    book.create_sheet("Notes").append(["nothing", "here"])
    book.save(tmp_path / "r.xlsx")
    reports, drops = read(tmp_path / "r.xlsx")
    assert [(one.accession_number, one.text) for one in reports] == [
        ("00012345", "kept text"),
        ("00012345", "zeros in the format"),
        (None, "no number"),
    ]
    assert reports[0].study_date == "20200309"
    assert [one.reason for one in drops] == [DropReason.EXCEL_MANGLED] * 4 + [DropReason.EMPTY_TEXT]
    assert reports[0].source_key == "r.xlsx#Reports#2"


def test_a_workbook_that_is_none(tmp_path: Path) -> None:
    assert [one.reason for one in read(write(tmp_path / "r.xlsx", b"PK\3\4 no"))[1]] == [DropReason.READ_ERROR]
    openpyxl.Workbook().save(tmp_path / "e.xlsx")
    with pytest.raises(ConfigError):
        read_reports(tmp_path / "e.xlsx")


def test_parquet(tmp_path: Path) -> None:
    table = pa.table({"patient_id": [7, 8], "text": ["Clear.", None], "tags": [["a"], None]})
    pq.write_table(table, tmp_path / "r.parquet")
    reports, drops = read(tmp_path / "r.parquet")
    assert [(one.patient_id, one.text) for one in reports] == [("7", "Clear.")]
    assert [one.reason for one in drops] == [DropReason.EMPTY_TEXT]
    pq.write_table(pa.table({"x": [1]}), tmp_path / "n.parquet")
    with pytest.raises(NoTextColumnError):
        read_reports(tmp_path / "n.parquet")
    assert read(write(tmp_path / "t.parquet", b"PAR1 no"))[1][0].reason is DropReason.READ_ERROR


# --- JSON lines and FHIR ----------------------------------------------------------------------------------------------


def test_json_lines(tmp_path: Path) -> None:
    lines = [
        '{"id": 1, "text": "one"}',
        '{"id": 2, "text": ',
        '{"text": "a", "text": "b"}',
        "[1]",
        '{"id": 3}',
        '{"id": 4, "text": "four"}',
        '{"id": 5, "te',
    ]
    reports, drops = read(write(tmp_path / "r.jsonl", "\n".join(lines)))
    assert [one.report_number for one in reports] == ["1", "4"]
    assert [one.reason for one in drops] == [DropReason.ROW_PARSE] * 3 + [DropReason.EMPTY_TEXT, DropReason.ROW_PARSE]
    assert "line 2" in drops[0].detail
    with pytest.raises(NoTextColumnError):
        list(read_reports(write(tmp_path / "n.jsonl", '{"a": 1}\n{"a": 2}')))


def test_a_json_list_is_a_table(tmp_path: Path) -> None:
    reports, _ = read(write(tmp_path / "r.json", json.dumps([{"text": "one"}, {"text": "two"}])))
    assert [one.text for one in reports] == ["one", "two"]


def test_fhir_bundle() -> None:
    reports, drops = read(FIXTURES / "fhir_bundle.json")
    first, void, partial = reports
    assert first.text == "FINDINGS:\n\nLiver < 15 cm.\n\nIMPRESSION:\nStable nodule.\n"
    assert (first.accession_number, first.issuer_of_accession) == ("A-100-7", "urn:ris")
    assert (first.patient_id, first.patient_name, first.patient_birth_date, first.patient_sex) == (
        "00012345",
        "Doe^Jane Q",
        "19501224",
        "F",
    )
    assert (first.study_instance_uid, first.study_date, first.report_datetime) == (
        "1.2.3.4.5.6.7",
        "20200309",
        "2020-03-10T11:59:00+00:00",
    )
    assert {"name": "Reader, Rita", "address": "1 Main Street"}.items() <= dict(first.known_identifiers).items()
    assert void.status == "cancelled"
    assert (partial.status, partial.text) == ("preliminary", "IMPRESSION\nNormal.\n")
    assert [one.reason for one in drops] == [DropReason.PDF_SCAN, DropReason.EMPTY_TEXT]


def test_fhir_ndjson_and_odd_resources(tmp_path: Path) -> None:
    lines = [
        {"resourceType": "DiagnosticReport", "id": "a", "status": "amended", "conclusion": "One."},
        {"resourceType": "Observation", "id": "b"},
        {"resourceType": "DiagnosticReport", "id": "c", "subject": "no reference", "conclusion": "Two."},
    ]
    reports, drops = read(write(tmp_path / "r.ndjson", "\n".join(map(json.dumps, lines))))
    assert [(one.status, one.report_number) for one in reports] == [("corrected", "a")]
    assert [one.reason for one in drops] == [DropReason.NOT_REPORT, DropReason.ROW_PARSE]


# --- HL7 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["\n", "\r", "\r\n"])
def test_hl7_batch(tmp_path: Path, ending: str) -> None:
    text = (FIXTURES / "oru_batch.hl7").read_text().replace("\n", ending)
    reports, drops = read(write(tmp_path / "r.hl7", text))
    final, addendum = reports
    assert final.text == (
        "FINDINGS:\nThe lungs are clear.\nHeart size | normal.\nNodule 4 mm\nin the right upper lobe.\n\n"
        "IMPRESSION:\n1. Stable nodule & no effusion."
    )
    assert (final.accession_number, final.patient_id, final.issuer_of_patient_id) == ("A-100-7", "00012345", "HOSP")
    assert (final.patient_name, final.patient_birth_date, final.patient_sex) == ("DOE^JANE^Q", "19501224", "F")
    assert (final.study_date, final.report_datetime, final.status) == ("20200309", "2020-03-10T11:59:00", "final")
    assert (final.modality, final.description) == ("CT", "CT CHEST")
    assert ("name", "REFERRER^RITA") in final.known_identifiers
    assert ("phone", "(555)555-1234") in final.known_identifiers
    assert (addendum.status, addendum.text.strip()) == ("addendum", "ADDENDUM:\nThe nodule was present in 2018.")
    assert [one.reason for one in drops] == [DropReason.NOT_REPORT, DropReason.PDF_SCAN]


def test_hl7_odd_messages(tmp_path: Path) -> None:
    head = "MSH|^~\\&|A|B|C|D|2020||ORU^R01|1|P|2.3\rPID|1||7\r"
    cases = {
        "PID|1||7\rOBX|1|TX|x||text": [DropReason.ROW_PARSE],
        head: [DropReason.EMPTY_TEXT],
        head + "OBR|1||A1\rOBX|1|TX|x||": [DropReason.EMPTY_TEXT],
        head + "OBR|1||A1\rNTE|1||from a note\r": [],
        head + "OBR|1||A1||||||||||||||||||||||X\r": [],  # cancelled without text still voids
        head + "OBR|1||A1\rOBX|1|FT|x||first\ncontinued\rOBR|2||A2\rOBX|1|TX|x||second\r": [],
        "MSH|": [DropReason.ROW_PARSE],
    }
    for number, (text, reasons) in enumerate(cases.items()):
        path = write(tmp_path / f"{number}.hl7", text)
        assert [one.reason for one in read(path)[1]] == reasons, text
    reports, _ = read(tmp_path / "5.hl7")
    assert [(one.accession_number, one.text, one.source_key) for one in reports] == [
        ("A1", "first\ncontinued", "5.hl7#1.1"),
        ("A2", "second", "5.hl7#1.2"),
    ]


def test_hl7_places_can_be_given(tmp_path: Path) -> None:
    text = "MSH|^~\\&|A|B|C|D|2020||ORU^R01\rOBR|1|PL|FI||||||||||||||||ACC9\rOBX|1|TX|x||text"
    path = write(tmp_path / "r.hl7", text)
    assert read(path)[0][0].accession_number == "FI"
    assert read(path, {"accession": "OBR-19"})[0][0].accession_number == "ACC9"
    with pytest.raises(ConfigError, match="OBR-18"):
        read_reports(path, columns={"accession": "Nr"})


@settings(deadline=None, max_examples=60)
@given(text=st.text(alphabet=st.sampled_from("MSHPIDOBRX|^~\\&\r\n.1X0Dab "), max_size=120))
def test_hl7_never_raises(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("hl7") / "r.hl7"
    path.write_text("MSH|^~\\&|A|B|C|D|2020||ORU^R01|1\r" + text, newline="")
    read(path)


# --- DICOM, text and markup -------------------------------------------------------------------------------------------


def structured_report(path: Path, **changes: str) -> Path:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    def item(kind: str, name: str, relation: str = "CONTAINS", **values: object) -> Dataset:
        made, code = Dataset(), Dataset()
        code.CodeMeaning, code.CodeValue, code.CodingSchemeDesignator = name, "1", "99"
        made.ValueType, made.RelationshipType, made.ConceptNameCodeSequence = kind, relation, [code]
        for keyword, value in values.items():
            setattr(made, keyword, value)
        return made

    unit = Dataset()
    unit.CodeValue, unit.CodeMeaning, unit.CodingSchemeDesignator = "mm", "millimeter", "UCUM"
    measured = Dataset()
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = "12.5", [unit]
    findings = [
        item("TEXT", "Finding", TextValue="Liver cyst."),
        item("NUM", "Diameter", MeasuredValueSequence=[measured]),
    ]
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = changes.pop(
        "sop_class", "1.2.840.10008.5.1.4.1.1.88.11"
    )
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid(entropy_srcs=["sr"])
    made.PatientName, made.PatientID, made.AccessionNumber, made.StudyDate = "Doe^Jane", "007", "A-1", "20200309"
    made.ContentDate, made.ContentTime = "20200310", "115900"
    made.CompletionFlag, made.VerificationFlag = "COMPLETE", "VERIFIED"
    made.ContentSequence = [
        item("PNAME", "Observer", "HAS OBS CONTEXT", PersonName="Reader^Rita"),
        item("CONTAINER", "Findings", ContentSequence=findings),
        item("TEXT", "Impression", TextValue="Benign."),
    ]
    for keyword, value in changes.items():
        setattr(made, keyword, value)
    made.save_as(path, enforce_file_format=True)
    return path


def test_structured_report(tmp_path: Path) -> None:
    ((report,), _) = read(structured_report(tmp_path / "sr.dcm"))
    assert report.text == "Findings:\nLiver cyst.\nDiameter: 12.5 mm\n\nImpression:\nBenign.\n"
    assert (report.accession_number, report.patient_id, report.study_date) == ("A-1", "007", "20200309")
    assert (report.status, report.report_datetime) == ("final", "2020-03-10T11:59:00")
    assert ("name", "Reader^Rita") in report.known_identifiers


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"CompletionFlag": "PARTIAL"}, "preliminary"),
        ({"VerificationFlag": "UNVERIFIED"}, "preliminary"),
        ({"VerificationFlag": "UNVERIFIED", "PreliminaryFlag": "FINAL"}, "final"),
    ],
)
def test_structured_report_status(tmp_path: Path, changes: dict[str, str], status: str) -> None:
    assert read(structured_report(tmp_path / "sr.dcm", **changes))[0][0].status == status


def test_dicom_that_holds_no_narrative(tmp_path: Path) -> None:
    structured_report(tmp_path / "dose", sop_class="1.2.840.10008.5.1.4.1.1.88.67")
    structured_report(tmp_path / "pdf", sop_class="1.2.840.10008.5.1.4.1.1.104.1")
    structured_report(tmp_path / "image", sop_class="1.2.840.10008.5.1.4.1.1.2")
    whole = structured_report(tmp_path / "torn").read_bytes()
    (tmp_path / "torn").write_bytes(whole[:-9])
    reports, drops = read(tmp_path)
    assert reports == []
    assert {one.source_key: one.reason for one in drops} == {
        "dose": DropReason.NOT_REPORT,
        "pdf": DropReason.PDF_SCAN,
        "torn": DropReason.READ_ERROR,
    }


def test_a_folder_of_everything(tmp_path: Path) -> None:
    write(tmp_path / "A123.txt", "Clear lungs.")
    write(
        tmp_path / "A124.html",
        "<html><head><title>x</title></head><body><h1>FINDINGS</h1><p>Clear&nbsp;lungs.</p><script>1</script></body></html>",
    )
    write(tmp_path / "A125.txt", "  \n")
    write(tmp_path / "scan.pdf", b"%PDF-1.4")
    write(tmp_path / "links.csv", "a,b\n1,2\n")
    write(tmp_path / "LICENSE.txt", "Free.")
    write(tmp_path / "image.png", b"\x89PNG")
    write(tmp_path / ".hidden.txt", "no")
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub" / "r.csv", f"{DEMO_HEADER}\n{DEMO_ROW}\n")
    reports, drops = read(tmp_path)
    assert [(one.source_key, one.accession_number) for one in reports] == [
        ("A123.txt", "A123"),
        ("A124.html", "A124"),
        ("sub/r.csv#2", "A0001"),
    ]
    assert reports[1].text == "FINDINGS\n\nClear lungs.\n"
    assert {one.source_key: one.reason for one in drops} == {
        "A125.txt": DropReason.EMPTY_TEXT,
        "LICENSE.txt": DropReason.NOT_REPORT,
        "image.png": DropReason.NOT_REPORT,
        "links.csv": DropReason.NO_TEXT_COLUMN,
        "scan.pdf": DropReason.PDF_SCAN,
    }


def test_a_folder_of_tables_without_text_is_a_configuration_error(tmp_path: Path) -> None:
    write(tmp_path / "links.csv", "a,b\n1,2\n")
    with pytest.raises(ConfigError, match="no usable text column"):
        list(read_reports(tmp_path))


def test_rtf() -> None:
    ((report,), _) = read(FIXTURES / "A-100-9.rtf")
    assert report.text == "FINDINGS:\nLiver measures 15 cm – normal.\nIMPRESSION:\nNo acute finding {stable}.\n"
    assert report.accession_number == "A-100-9"


@pytest.mark.parametrize("text", ["HU < 20 and > 5", "size <5 mm", "a & b", "R&D; x<y>z", "[ ] open", "{not rtf}"])
def test_text_without_markup_is_left_alone(text: str) -> None:
    assert plain_text(text) == text


@settings(deadline=None, max_examples=80)
@given(st.text(alphabet=st.sampled_from("{}\\*rtf1abu'-09 \n<>/pdivbr&;#"), max_size=200))
def test_markup_never_raises(text: str) -> None:
    assert isinstance(plain_text("{\\rtf1" + text), str)
    assert isinstance(plain_text("<div>" + text), str)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=200))
def test_any_bytes_decode(payload: bytes) -> None:
    assert "\0" not in decode(payload)


# --- values and columns -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("20200309", "20200309"),
        ("2020-03-09", "20200309"),
        ("2020-03-09 08:00:00", "20200309"),
        ("09.03.2020", "20200309"),
        ("13/06/2020", "20200613"),
        ("06/13/2020", "20200613"),
        ("06/06/2020", "20200606"),
        ("05/06/2020", None),
        ("43831", None),
        ("2020-02-31", None),
        ("", None),
        (None, None),
        ("20200309080000.000+0100", "20200309"),
    ],
)
def test_dates_are_read_or_left_open(written: str | None, expected: str | None) -> None:
    assert date_of(written) == expected


def test_times_and_statuses() -> None:
    assert datetime_of("20200310115900-0500") == "2020-03-10T11:59:00-05:00"
    assert datetime_of("13/06/2020 2:05 PM") == "2020-06-13T14:05:00"
    assert datetime_of("2020-03-10") == "2020-03-10"
    words = {
        "F": "final",
        "C": "corrected",
        "P": "preliminary",
        "X": "cancelled",
        "Signed": "final",
        "appended": "corrected",
        "?": "unknown",
    }
    assert {word: status_of(word) for word in words} == words


def test_a_column_is_used_once() -> None:
    layout = map_columns(["Report", "Patient", "Patient Name", "Radiologist", "Exam"])
    assert (layout.text, layout.fields["patient_id"], layout.fields["patient_name"]) == (
        "Report",
        "Patient",
        "Patient Name",
    )
    assert ("name", "Radiologist") in layout.identifying


# --- real -------------------------------------------------------------------------------------------------------------


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "n_reports"),
    [("mtsamples/notes.csv", 112), ("radreport_templates_de", 6), ("dcmqi", 1), ("highdicom", 2), ("pydicom_data", 2)],
)
def test_real_sources(name: str, n_reports: int) -> None:
    if not (REAL / name).exists():
        pytest.skip("the real data is not beside this checkout")
    assert len(read(REAL / name)[0]) == n_reports
