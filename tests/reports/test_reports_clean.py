from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.clean import BREAK, clean
from reports.records import Span

PIECES = st.sampled_from(
    [
        *(
            "a",
            "The liver",
            "no",
            "1.",
            "-",
            ".",
            ",",
            ".,",
            ":",
            ":,",
            "FINDINGS",
            "IMPRESSION:",
            " ",
            "  ",
            "\t",
            "\n",
        ),
        *(
            "\r\n",
            "\n\n",
            "\x0c",
            BREAK,
            "\x00",
            "\u00a0",
            "\u200b",
            "Page 1",
            "of 2",
            "Page 3 of 4",
            "---",
            "e.g",
            "(",
        ),
        *(
            "para-",
            "aortic",
            "Dr",
            "3.2 cm",
            "x" * 60,
            "cheek.sinus, bone, face, head, neck",
            "’",
            "\u0085",
            "…",
            "é",
            ")",
        ),
    ]
)
texts = st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=30).map("".join))


@given(texts)
@settings(deadline=None, max_examples=400)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    once = clean(text).text
    assert clean(once).text == once


@given(texts)
@settings(deadline=None, max_examples=200)
def test_map_is_monotone_and_leads_into_the_original(text: str) -> None:
    cleaned = clean(text)
    assert cleaned.original == text
    assert len(cleaned.origin) == len(cleaned.text)
    assert all(0 <= place < len(text) for place in cleaned.origin)
    assert cleaned.origin == sorted(set(cleaned.origin))


@given(texts)
@settings(deadline=None, max_examples=200)
def test_letters_and_digits_come_from_their_own_place(text: str) -> None:
    cleaned = clean(text)
    assert all(
        cleaned.text[i] == text[cleaned.origin[i]] for i in range(len(cleaned.text)) if cleaned.text[i].isalnum()
    )


def test_wrapped_lines_are_joined_and_short_lines_are_not() -> None:
    text = (
        "The lungs are clear without focal consolidation, pleural effusion or\n"
        "pneumothorax in either hemithorax\n"
        "The heart is normal in size\n"
        "No pericardial effusion"
    )
    assert clean(text).text.split(BREAK) == [
        "The lungs are clear without focal consolidation, pleural effusion or pneumothorax in either hemithorax",
        "The heart is normal in size",
        "No pericardial effusion",
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("A line\nwhich goes on", ["A line which goes on"]),
        ("enlarged para-\naortic nodes", ["enlarged para-aortic nodes"]),
        ("FINDINGS\nThe liver is normal.", ["FINDINGS", "The liver is normal."]),
        ("One.\n\ntwo.", ["One.", "", "two."]),
        ("Findings are:\n1. One\n2. Two\n- three", ["Findings are:", "1. One", "2. Two", "- three"]),
        ("One.\nPage 2 of 3\nTwo.", ["One.", "Two."]),
        ("One.\nReport continued on\nnext page", ["One."]),
        (
            "EXAM:,  CT chest.,FINDINGS: ,Clear lungs.,IMPRESSION:,1.  Normal.",
            ["EXAM:", "CT chest.", "FINDINGS:", "Clear lungs.", "IMPRESSION:", "1. Normal."],
        ),
        ("No mass, e.g., a cyst, i.e., none", ["No mass, e.g., a cyst, i.e., none"]),
        ("EXAM:,Chest.,FINDINGS:,Clear.,ct, chest, lung, nodule, heart", ["EXAM:", "Chest.", "FINDINGS:", "Clear."]),
        (f"{'A long line. ' * 10}\nIMPRESSION\nOne.", ["A long line. " * 9 + "A long line.", "IMPRESSION", "One."]),
        (
            "Clinical History: FALL FROM A LADDER WITH PAIN IN THE LOWER BACK AND\n"
            "LEFT HIP. THERE IS A FRACTURE OF THE LEFT FEMORAL NECK WITH SLIGHT\nIMPACTION. NO OTHER FRACTURE.",
            [
                "Clinical History: FALL FROM A LADDER WITH PAIN IN THE LOWER BACK AND LEFT HIP. "
                "THERE IS A FRACTURE OF THE LEFT FEMORAL NECK WITH SLIGHT IMPACTION. NO OTHER FRACTURE."
            ],
        ),
        (
            "Left maxillary sinus shows mild mucosal thickening\n"
            "The right maxillary sinus and the ethmoids are clear\nEnd",
            [
                "Left maxillary sinus shows mild mucosal thickening",
                "The right maxillary sinus and the ethmoids are clear",
                "End",
            ],
        ),
        ("a\x00b\u200bc  d\u00a0e", ["abc d e"]),
        ("", [""]),
        (" \n ", [""]),
    ],
)
def test_layout(text: str, lines: list[str]) -> None:
    assert clean(text).text.split(BREAK) == lines


def test_keywords_glued_to_the_end_are_left_out_and_counted() -> None:
    cleaned = clean("Mild swelling about the right cheek.radiology, sinuses, mandible, maxilla, ct")
    assert cleaned.text == "Mild swelling about the right cheek."
    assert cleaned.removed == (Span(36, 77),)


def test_a_span_leads_back_over_a_wrapped_line() -> None:
    text = "Nodule  in the\n right lung"
    cleaned = clean(text)
    start = cleaned.text.index("in the right")
    span = cleaned.span(start, start + len("in the right"))
    assert text[span.start : span.end] == "in the\n right"
