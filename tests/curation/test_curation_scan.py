"""The search for identifiers: finds what is there in any spelling, and nothing else."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.scan import Matcher, kinds_in_file, tokens
from t3dkit.tables import write_table

KNOWN = [
    ("PatientName", "Quillfeather^Augusta^M"),
    ("PatientID", "MRN-700101"),
    ("AccessionNumber", "88123456"),
    ("StudyInstanceUID", "1.2.826.0.1.77.42"),
    ("PatientAddress", "12 Larkspur Lane"),
]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("seen by Augusta Quillfeather today", "PatientName"),
        ("QUILLFEATHER, AUGUSTA", "PatientName"),
        ("mrn 700101", "PatientID"),
        ("id MRN700101.", "PatientID"),
        ("order no. 88123456;", "AccessionNumber"),
        ("８８１２３４５６", "AccessionNumber"),
        ("8812\u200b3456", "AccessionNumber"),
        ("study=1.2.826.0.1.77.42/x", "StudyInstanceUID"),
        ("lives at 12, larkspur lane", "PatientAddress"),
    ],
)
def test_texts_are_searched_in_any_spelling(text: str, kind: str):
    assert Matcher(KNOWN).in_text(text) == {kind}


@pytest.mark.parametrize("text", ["Augusta was seen", "881234567", "Larkspur 12 lane", "1.2.826.0.1.77.43", ""])
def test_other_words_are_not_found(text: str):
    assert not Matcher(KNOWN).in_text(text)


def test_short_and_common_values_are_skipped_and_counted():
    matcher = Matcher([("PatientID", "12"), ("PatientName", "Stone"), ("PatientSex", "F"), ("StationName", "CT1")])
    assert (matcher.n_searched, matcher.n_skipped) == (0, 4)
    assert not matcher.in_text("a 12 mm stone")
    assert not matcher.in_bytes(b"Stone" * 100)


@given(st.binary(max_size=64), st.binary(max_size=64), st.sampled_from([value for _kind, value in KNOWN]))
@settings(deadline=None, max_examples=150)
def test_bytes_are_searched_at_every_offset(before: bytes, after: bytes, value: str):
    matcher = Matcher(KNOWN)
    assert matcher.in_bytes(before + value.encode() + after)
    assert matcher.in_bytes(before + value.lower().encode() + after)


@given(st.binary(max_size=400))
@settings(deadline=None, max_examples=100)
def test_bytes_without_an_identifier_hold_none(raw: bytes):
    expected = {
        kind for kind, value in KNOWN if any(form.encode() in raw for form in (value, value.lower(), value.upper()))
    }
    assert Matcher(KNOWN).in_bytes(raw) == expected


def test_tokens_fold_compatibility_forms():
    assert tokens("ﬁbrosis, Ⅳ x_1") == ["fibrosis", "iv", "x", "1"]


def test_the_encoding_of_a_table_spells_no_identifier(tmp_path):
    # Indexes 0 to 255 in a row are the bytes of "12345678" and of "abcdefgh": real patient ids of test systems.
    matcher = Matcher([("PatientID", "12345678"), ("PatientName", "abcdefgh1")])
    path = tmp_path / "table.parquet"
    schema = pa.schema([("key", pa.string()), ("parts", pa.list_(pa.struct([("note", pa.string())])))])
    rows = [{"key": f"row {number}", "parts": [{"note": f"note {number}"}]} for number in range(300)]
    write_table(path, rows, schema)
    assert kinds_in_file(path, matcher, is_spelling=True) == set()
    rows[7]["parts"].append({"note": "see x12345678y"})  # inside a longer word, in a nested column
    write_table(path, rows, schema)
    assert kinds_in_file(path, matcher, is_spelling=True) == {"PatientID"}
