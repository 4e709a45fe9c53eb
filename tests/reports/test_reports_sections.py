from __future__ import annotations

import pytest

from reports.parse import parse_report


def sections(text: str) -> list[tuple[str, str]]:
    parsed = parse_report(text, language="en")
    return [(section.name, text[section.span.start : section.span.end]) for section in parsed.sections]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FINDINGS: Clear lungs. IMPRESSION: Normal.", [("findings", "Clear lungs."), ("impression", "Normal.")]),
        ("FINDINGS\nClear lungs.\nIMPRESSION\nNormal.", [("findings", "Clear lungs."), ("impression", "Normal.")]),
        ("Findings:\nClear.\n\nConclusion:\nNormal.", [("findings", "Clear."), ("impression", "Normal.")]),
        (
            "FINDINGS: Clear.\nIMPRESSION No acute disease.",
            [("findings", "Clear."), ("impression", "No acute disease.")],
        ),
        (
            "FINDINGS: Clear lungs. IMPRESSION No acute disease.",
            [("findings", "Clear lungs."), ("impression", "No acute disease.")],
        ),
        ("1. FINDINGS: Clear.\n2. IMPRESSION: Normal.", [("findings", "Clear."), ("impression", "Normal.")]),
        ("**FINDINGS**\nClear.\n== IMPRESSION ==\nNormal.", [("findings", "Clear."), ("impression", "Normal.")]),
        ("FINDNGS: Clear.\nIMPRESION: Normal.", [("findings", "Clear."), ("impression", "Normal.")]),
        (
            "TECHNIQUE: Axial CT. COMPARISON: None. FINDINGS: Clear.",
            [("technique", "Axial CT."), ("comparison", "None."), ("findings", "Clear.")],
        ),
        (
            "INDICATION: Pain.\nHISTORY: Cancer.\nPROCEDURE: CT chest.\nRECOMMENDATION: Follow up.\nADDENDUM: Seen.",
            [
                ("indication", "Pain."),
                ("history", "Cancer."),
                ("procedure", "CT chest."),
                ("recommendation", "Follow up."),
                ("addendum", "Seen."),
            ],
        ),
        ("MEDICATION: Aspirin.\nFINDINGS: Clear.", [("other", "Aspirin."), ("findings", "Clear.")]),
        (
            "CT ABDOMEN WITH CONTRAST\nFINDINGS: Clear.",
            [("procedure", "CT ABDOMEN WITH CONTRAST"), ("findings", "Clear.")],
        ),
        (
            "The liver is normal in size. IMPRESSION: Normal.",
            [("findings", "The liver is normal in size."), ("impression", "Normal.")],
        ),
        (
            "TECHNIQUE: Axial CT.\nLUNGS: Clear.\nHEART: Normal.",
            [("technique", "Axial CT."), ("findings", "LUNGS: Clear.\nHEART: Normal.")],
        ),
        (
            "CT ABDOMEN: The liver is normal. CT PELVIS: The bladder is normal.",
            [("findings", "CT ABDOMEN: The liver is normal. CT PELVIS: The bladder is normal.")],
        ),
        (
            "FINDINGS: Pleural effusion: none. Ascites: small.",
            [("findings", "Pleural effusion: none. Ascites: small.")],
        ),
        (
            "IMPRESSION: Normal.\nElectronically signed by [NAME]",
            [("impression", "Normal."), ("other", "Electronically signed by [NAME]")],
        ),
        ("FINDINGS:\nIMPRESSION: Normal.", [("impression", "Normal.")]),
    ],
)
def test_sections(text: str, expected: list[tuple[str, str]]) -> None:
    assert sections(text) == expected


def test_organ_headings_keep_the_section_and_lend_their_region() -> None:
    text = "FINDINGS:\nABDOMEN: Liver: Normal. Spleen: Normal.\nRIGHT KIDNEY:\nModerate hydronephrosis.\nOTHER: None."
    parsed = parse_report(text, language="en")
    assert [section.name for section in parsed.sections] == ["findings"]
    assert [(s.text, s.regions) for s in parsed.sentences] == [
        ("Liver: Normal.", ("liver",)),
        ("Spleen: Normal.", ("spleen",)),
        ("Moderate hydronephrosis.", ("kidney_right",)),
        ("None.", ()),
    ]


def test_an_unknown_heading_starts_its_own_section_and_is_counted() -> None:
    parsed = parse_report("FINDINGS: Clear.\nQUALITY ASSURANCE: Peer reviewed.\nIMPRESSION: Normal.", language="en")
    assert [section.name for section in parsed.sections] == ["findings", "other", "impression"]
    assert parsed.unknown_headings == ("QUALITY ASSURANCE",)
    assert parsed.flags == ("UNKNOWN_HEADING",)


def test_without_a_heading_the_whole_text_is_findings() -> None:
    parsed = parse_report("The lungs are clear. No effusion.", language="en")
    assert [(section.name, section.heading) for section in parsed.sections] == [("findings", "")]
    assert parsed.flags == ("NO_SECTIONS",)


def test_prose_with_a_colon_is_no_heading() -> None:
    parsed = parse_report(
        "FINDINGS: The largest nodule measures as follows: 5 mm. It is at 12:05 position.", language="en"
    )
    assert [section.name for section in parsed.sections] == ["findings"]
    assert parsed.unknown_headings == ()
