from __future__ import annotations

from pathlib import Path

import pytest

from reports.parse import parse_report


@pytest.mark.parametrize(
    ("text", "assertion", "is_normal"),
    [
        ("No evidence of nodule, mass or effusion.", "absent", True),
        ("Without hydronephrosis.", "absent", True),
        ("Pleural effusion: none.", "absent", True),
        ("A fracture is not identified.", "absent", True),
        ("The effusion has resolved.", "absent", True),
        ("The gallbladder is unremarkable.", "absent", True),
        ("Normal enhancement of the liver.", "absent", True),
        ("No cortical bulging.", "absent", True),
        ("No history of cancer.", "absent", True),
        ("Not enlarged nodes.", "absent", True),
        ("Malignancy is not excluded.", "uncertain", False),
        ("Cannot exclude a small nodule.", "uncertain", False),
        ("Possible early pneumonia.", "uncertain", False),
        ("This may be due to an abscess.", "uncertain", False),
        ("Retention cyst versus polyp.", "present", False),
        ("Evaluate for appendicitis.", "uncertain", False),
        ("History of colon cancer.", "uncertain", False),
        ("The uterus is not visualized.", "uncertain", False),
        ("Diverticulosis without diverticulitis.", "present", False),
        ("No effusion, but a nodule is seen.", "present", False),
        ("No hydronephrosis, stable 5 mm stone.", "present", False),
        ("No significant change in the mass.", "present", False),
        ("Nodule which may represent a granuloma.", "present", False),
        ("The liver is normal with a small cyst.", "present", False),
        ("No abnormality other than a cyst.", "present", False),
        ("Not only a nodule is seen.", "present", False),
        ("No complete obstruction is suspected.", "absent", True),
        ("The kidney measures 11 cm.", "present", False),
        ("There is questionable wall thickening.", "uncertain", False),
        ("There is a possible nodule.", "uncertain", False),
        ("The adrenal gland cannot be assessed.", "uncertain", False),
        ("The ascending colon is spared.", "absent", True),
        ("Testing did not reveal any stenosis.", "absent", True),
        ("A sprain without a tear.", "present", False),
        ("MRI without gadolinium.", "present", False),
        ("Father died of a tumor.", "uncertain", False),
    ],
)
def test_assertion(text: str, assertion: str, is_normal: bool) -> None:
    (found,) = parse_report(f"FINDINGS: {text}", language="en").sentences
    assert (found.assertion, found.is_normal) == (assertion, is_normal)


LINES = (Path(__file__).parent / "assertion_sentences.txt").read_text(encoding="utf-8").splitlines()
NAMES = {"p": "present", "a": "absent", "u": "uncertain"}


@pytest.mark.parametrize("line", [line for line in LINES if not line.startswith("#")])
def test_assertion_of_many_constructions(line: str) -> None:
    label, _, text = line.partition("|")
    assert [one.assertion for one in parse_report(f"FINDINGS: {text}", language="en").sentences] == [NAMES[label]]


@pytest.mark.parametrize(
    ("text", "is_comparison"),
    [
        ("Nodule is unchanged.", True),
        ("Compared to the prior study, the mass is larger.", True),
        ("The effusion is again seen.", True),
        ("New nodule.", True),
        ("Previously seen stone has passed.", True),
        ("There are no comparison studies.", False),
        ("Prior cholecystectomy.", False),
        ("The atlanto-dens interval is normal.", False),
        ("A nodule is seen.", False),
        ("Tiny effusion, decreased.", True),
        ("Decreased attenuation of the liver.", False),
        ("If pain persists, repeat the scan.", False),
    ],
)
def test_prior_comparison(text: str, is_comparison: bool) -> None:
    (found,) = parse_report(f"FINDINGS: {text}", language="en").sentences
    assert found.is_prior_comparison is is_comparison


def test_complaints_that_worsened_are_no_comparison() -> None:
    parsed = parse_report("HISTORY: Pain has worsened.\nFINDINGS: The mass has worsened.", language="en")
    assert [one.is_prior_comparison for one in parsed.sentences] == [False, True]
