"""A profile teaches the parser an institution's words; a survey of a corpus proposes one."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from reports.__main__ import main
from reports.parse import parse_report
from reports.profiles import NO_PROFILE, Profile, plain, read_profile
from reports.survey import suggest_section
from t3dkit.errors import ConfigError
from t3dkit.tables import read_rows

TEXT = """QZX READOUT
The liver is normal.
VISITNR: 12
This text was dictated with speech recognition and may hold errors.
VALIDATED WITH CARE by nobody
"""
PROFILE = """
[headings]
findings = ["Qzx Readout"]
administrative = ["VisitNr"]
[text]
boilerplate = ["This text was dictated with  speech recognition and may hold errors"]
signature = ["Validated with care"]
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_profile_teaches_headings_boilerplate_and_signatures(tmp_path: Path) -> None:
    profile = read_profile(write(tmp_path / "p.toml", PROFILE))
    parsed = parse_report(TEXT, language="en", profile=profile)
    assert [(s.section, s.text) for s in parsed.sentences] == [("findings", "The liver is normal.")]
    assert [s.index for s in parsed.sentences] == [0]
    assert parsed.unknown_headings == ()
    without = parse_report(TEXT, language="en", profile=NO_PROFILE)
    assert len(without.sentences) > 1


def test_an_empty_profile_changes_nothing() -> None:
    text = "FINDINGS: The liver is normal.\nXYZ: Odd.\nIMPRESSION: Normal."
    assert parse_report(text, language="en", profile=Profile()) == parse_report(text, language="en")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[headings\n", "cannot be read"),
        ("[sections]\nfindings = []", r"\[sections\]"),
        ("[headings]\nfinding = ['x']", "'finding'"),
        ("[headings]\nfindings = 'x'", "list of texts"),
        ("[headings]\nfindings = [3]", "list of texts"),
        ("headings = 3", r"\[headings\]"),
        ("[text]\nsignature = ['']", "list of texts"),
    ],
)
def test_a_wrong_profile_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_profile(write(tmp_path / "p.toml", text))


def test_plain_ignores_case_spaces_and_edges() -> None:
    assert plain("  The  LIVER\nis :") == "the liver is"


@pytest.mark.parametrize(
    ("words", "section"),
    [("intraoperative findings", "findings"), ("conclusoin", "impression"), ("heent", ""), ("zzz", "")],
)
def test_suggestions(words: str, section: str) -> None:
    assert suggest_section(words) == section


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    body = "FINDINGS: The glomus liver is fine. Something odd is here today.\n"
    texts = [
        body + "BODY READ-OUT CONCLUSION: Normal liver.",
        body + "BODY READ-OUT CONCLUSION: Normal liver.",
        body + "OVERSIGHT <script>: Peer reviewed.\nHEENTX: Nothing.",
        "FINDINGS: The spleen measures 11 cm.\nHEENTX: Nothing.",
        "FINDINGS: The spleen measures 12 cm.\nHEENTX: Nothing.",
    ]
    path = tmp_path / "reports.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["accession_number", "report_text"])
        writer.writerows([[f"A{number}", text] for number, text in enumerate(texts)])
    return path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert main(words) == 0
    summary: dict[str, object] = json.loads(capsys.readouterr().out)
    return summary


def test_a_survey_lists_what_the_parser_does_not_know(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "profile"
    summary = run(capsys, "profile", str(corpus), "--out", str(out))
    assert (summary["reports"], summary["duplicated_texts"], summary["same_but_numbers"]) == (5, 1, 1)
    rows = read_rows(out / "profile.parquet")
    headings = [row for row in rows if row["kind"] == "heading"]
    n_unmatched = summary["unmatched_headings"]
    assert isinstance(n_unmatched, int)
    assert {row["detail"] for row in headings[:n_unmatched]} == {"unknown"}
    assert headings[0]["item"] == "heentx"
    assert headings[0]["n_reports"] == 3
    assert ("body read-out conclusion", "impression") in {(row["item"], row["suggestion"]) for row in headings}
    by_kind = {kind: [row for row in rows if row["kind"] == kind] for kind in {row["kind"] for row in rows}}
    assert {row["item"]: row["n_reports"] for row in by_kind["unlocated"]}["Something odd is here today."] == 3
    assert ("glomus", 3) in {(row["item"], row["n_reports"]) for row in by_kind["unknown_word"]}
    assert ("something odd is here today", 3) in {(row["item"], row["n_reports"]) for row in by_kind["repeated"]}
    assert {row["item"]: row["n_reports"] for row in by_kind["section"]}["findings"] == 5


def test_the_page_is_self_contained_and_escapes(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "profile", str(corpus), "--out", str(tmp_path / "p"))
    page = (tmp_path / "p" / "profile.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "heentx" in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_proposed_profile_is_read_by_parse_and_by_the_next_survey(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "p"
    run(capsys, "profile", str(corpus), "--out", str(out))
    proposed = out / "profile.toml"
    assert read_profile(proposed).headings["body read-out conclusion"] == "impression"
    table = str(tmp_path / "o.parquet")
    before = run(capsys, "parse", str(corpus), "--out", table)
    after = run(capsys, "parse", str(corpus), "--out", table, "--profile", str(proposed))
    assert "impression" not in before["sections"]  # type: ignore[operator]
    assert after["sections"]["impression"] == 2  # type: ignore[index]
    run(capsys, "profile", str(corpus), "--out", str(tmp_path / "q"), "--profile", str(proposed))
    assert read_profile(tmp_path / "q" / "profile.toml").headings == read_profile(proposed).headings


def test_out_must_be_a_folder(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", str(corpus), "--out", str(write(tmp_path / "file", ""))]) == 2
    assert "folder" in capsys.readouterr().err
