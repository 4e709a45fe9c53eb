from __future__ import annotations

import subprocess
import sys
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.reports_gold_files import read_written
from reports.clean import clean
from reports.parse import guess_language, parse_report
from reports.pipeline import (
    abbreviations_of,
    build_pipeline,
    cached_pipeline,
    find_abbreviations,
    read_text,
    run_pipeline,
)
from reports.records import ParsedReport

PIECES = st.sampled_from(
    [
        *(
            "FINDINGS:",
            "IMPRESSION",
            "LUNGS:",
            "Liver:",
            "XYZ:",
            "The liver is normal.",
            "no nodule",
            " ",
            "\n",
            "\n\n",
            ".,",
        ),
        *("3.2 x 1.4 cm.", "Dr.", "L1-L2.", "e.g.", "1.", "- ", "(", ")", "[NAME]", "left", "right kidney", "series 3"),
        *(
            "image 45",
            ":",
            "?",
            "Page 1 of 2",
            "ribs 3-5",
            "segment IV",
            "lymph nodes",
            "mediastinal",
            "\u00a0",
            "Ä",
            "\x00",
        ),
    ]
)
texts = st.one_of(st.text(max_size=150), st.lists(PIECES, max_size=25).map("".join))


def check(parsed: ParsedReport, text: str) -> None:
    assert parsed.text == text
    assert all(s.text == text[s.span.start : s.span.end] and s.text.strip() for s in parsed.sentences)
    assert [s.index for s in parsed.sentences] == list(range(len(parsed.sentences)))
    for items in (parsed.sections, parsed.sentences):
        assert all(a.span.end <= b.span.start for a, b in pairwise(items))
    for sentence in parsed.sentences:
        owners = [x for x in parsed.sections if x.span.start <= sentence.span.start and sentence.span.end <= x.span.end]
        assert [owner.name for owner in owners] == [sentence.section]


@given(texts)
@settings(deadline=None, max_examples=250)
def test_spans_slice_back_and_never_overlap(text: str) -> None:
    check(parse_report(text, language="en"), text)


def test_the_same_text_gives_the_same_record() -> None:
    text = "FINDINGS: Left adrenal mass (LAM). LAM is new."
    assert parse_report(text) == parse_report(text)


HOSTILE = [
    "(",
    "(a)",
    "A: ",
    "a.",
    ".,",
    "a\n",
    "1 x ",
    "T1-",
    "right and ",
    "upper and ",
    "kidney ",
    "no nodule, ",
    "a,b",
]
HOSTILE += [
    "word The ",
    "FINDINGS: x ",
    "lymph nodes and ",
    "rib 3 ",
    "image 3 ",
    "IMPRESSION ",
    "left kidney or ",
    "abcdefgh",
    "a,b c d e f g h,",
    "Liver - ",
    "[NAME] ",
    "[NAME]\n",
    "Date: ",
    "Date: x\n",
    "RIGHT:\n",
    "1) a, ",
    "II. ",
    "HISTORY: x\n\n",
    "may ",
    "none ",
    "nodule left (3, 87",
    "nodule, a b c d e f g h ",
    "5 (AP) x ",
    "Fall AGE: COMPARISON: ",
    "ARCH AND VALVE\nx\n",
    "Lungs\nx\n\n",
    "mass it did not ",
    "mass a b c d e f g does not ",
    "a the and the arch and ",
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_time_grows_no_faster_than_length(unit: str) -> None:
    def seconds(n: int) -> float:
        text = (unit * n)[:n]
        best = float("inf")
        for _ in range(2):
            start = time.process_time()
            parse_report(text, language="en")
            best = min(best, time.process_time() - start)
        return best

    parse_report("warm", language="en")
    short, long = seconds(4_000), seconds(32_000)
    assert long < 0.15 or long / short < 24, f"8 times the text took {long / short:.0f} times as long"


def test_an_unread_language_keeps_its_sentences_and_claims_nothing() -> None:
    parsed = parse_report(
        "Befund: Die Leber ist normal. Kein Pleuraerguss und keine Raumforderung.\nBeurteilung: Unauffällig."
    )
    assert parsed.language == "de"
    assert parsed.flags == ("UNTAGGED_LANGUAGE",)
    assert [s.section for s in parsed.sentences] == ["findings", "findings", "impression"]
    assert {(s.regions, s.assertion, s.is_normal) for s in parsed.sentences} == {((), "uncertain", False)}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("The liver is normal", "en"),
        ("Die Leber ist nicht vergrößert", "de"),
        ("El hígado es de tamaño normal, sin lesiones en la imagen", "es"),
        ("", "en"),
    ],
)
def test_language(text: str, code: str) -> None:
    assert guess_language(text) == code


def test_components_serve_any_pipeline() -> None:
    doc = run_pipeline(build_pipeline(), "FINDINGS: Left adrenal mass (LAM) is seen. The LAM is new.")
    assert [sent.text for sent in doc.sents][-1] == "The LAM is new."
    assert [span.label_ for span in doc.spans["t3d_sections"]] == ["findings"]
    assert {short.text for short in doc._.abbreviations} == {"LAM"}


def test_records_and_regions_do_not_load_spacy() -> None:
    code = "import sys, reports.records, reports.regions, reports.parse; sys.exit('spacy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.real
def test_every_real_note_slices_back(real_notes: dict[str, tuple[str, str]]) -> None:
    for _, text in real_notes.values():
        check(parse_report(text), text)


@pytest.mark.real
def test_real_ct_reports_are_sectioned_and_located(real_notes: dict[str, tuple[str, str]]) -> None:
    ids = ("mt0001", "mt0014", "mt0027", "mt0031", "mt0045", "mt0053", "mt0074", "mt0080")
    sentences = []
    for note in ids:
        parsed = parse_report(real_notes[note][1])
        assert {"findings", "impression"} <= {section.name for section in parsed.sections}
        assert parsed.unknown_headings == ()
        sentences += [s for s in parsed.sentences if s.section in ("findings", "impression")]
    assert sum(bool(s.regions) for s in sentences) / len(sentences) > 0.75


@pytest.mark.real
def test_german_templates_do_not_crash(german_templates: list[str]) -> None:
    for text in german_templates:
        check(parse_report(text), text)


def test_a_sentence_that_names_its_own_side_does_not_take_that_of_the_label_before_it() -> None:
    parsed = parse_report("FINDINGS:\nRUL: 8 mm nodule. 1.2 cm solid nodule, LUL.\nHeart normal.", language="en")
    assert [(one.regions, one.laterality) for one in parsed.sentences] == [
        (("lung_upper_lobe_right",), "right"),
        (("lung_upper_lobe_left",), "left"),
        (("heart",), None),
    ]


def _abbreviation_texts() -> list[str]:
    """Texts in which a short form stands in parentheses, before them, or is none."""
    heads = ("The left adrenal mass", "A ground glass opacity", "Nodule", "CT: lung, LN", "", "see e.g. the lobe [3]")
    inside = ("LAM", "GGO", "series 3, image 45", "large active mass here", "PE)", "8", "mm", ":)", "stable", "(LAM")
    return [f"{head} ({words}) is seen.\u2029The LAM and the GGO are new." for head in heads for words in inside]


@pytest.mark.parametrize("text", [*_abbreviation_texts(), *(one.text for one in read_written())])
def test_a_text_is_read_without_a_doc_as_it_is_with_one(text: str) -> None:
    cleaned = clean(text).text
    doc = run_pipeline(cached_pipeline(), cleaned)
    _, sentences = read_text(cleaned)
    assert sentences == doc.user_data["t3d_sentences"]
    assert find_abbreviations(cleaned) == abbreviations_of(doc)
