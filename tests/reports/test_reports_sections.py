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
        ("COMPARISON: [DATE]\nFINDINGS: Clear.", [("comparison", "[DATE]"), ("findings", "Clear.")]),
        (
            "LEFT LEG VENOUS DOPPLER ULTRASOUND\nFINDINGS: Clear.",
            [("procedure", "LEFT LEG VENOUS DOPPLER ULTRASOUND"), ("findings", "Clear.")],
        ),
        (
            "Indication: Pain.\nCT Chest Abdomen Pelvis with contrast\nThe liver is normal.",
            [
                ("indication", "Pain."),
                ("procedure", "CT Chest Abdomen Pelvis with contrast"),
                ("findings", "The liver is normal."),
            ],
        ),
        (
            "Clinical: Pain.\n\nThe liver is small. No mass.\n\nIMPRESSION: Small liver.",
            [("indication", "Pain."), ("findings", "The liver is small. No mass."), ("impression", "Small liver.")],
        ),
        (
            "HISTORY: Pain.\n\nThe liver was operated on.\n\nFINDINGS: Clear.",
            [("history", "Pain.\n\nThe liver was operated on."), ("findings", "Clear.")],
        ),
        ("FINDINGS: Clear.\nCT shows no mass\nNormal.", [("findings", "Clear.\nCT shows no mass\nNormal.")]),
        ("CC: Pain.\nPMH: None.\nEXAM: Alert.", [("indication", "Pain."), ("history", "None."), ("other", "Alert.")]),
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


def tagged(text: str) -> list[tuple[str, list[str], str | None]]:
    return [(s.text, list(s.regions), s.laterality) for s in parse_report(text, language="en").sentences]


def test_a_sub_heading_inside_prose_speaks_for_its_own_sentence_only() -> None:
    text = "FINDINGS: The heart is enlarged. Left upper lobe: solid nodule of 8 mm. No emphysema. No other mass."
    assert tagged(text) == [
        ("The heart is enlarged.", ["heart"], None),
        ("Left upper lobe: solid nodule of 8 mm.", ["lung_upper_lobe_left"], "left"),
        ("No emphysema.", ["lungs"], None),
        ("No other mass.", [], None),
    ]


def test_a_sub_heading_never_narrows_what_a_later_sentence_names() -> None:
    text = "FINDINGS:\n- Left upper lobe: 8 mm nodule. No emphysema. The lungs are clear otherwise. It is spiculated."
    assert [regions for _, regions, _ in tagged(text)] == [
        ["lung_upper_lobe_left"],
        ["lungs"],
        ["lung_left", "lung_right"],
        ["lung_upper_lobe_left"],
    ]


@pytest.mark.parametrize(
    ("text", "regions"),
    [
        ("SPLEEN: Normal. No mass.\nA small mass.", [["spleen"], ["spleen"], []]),
        ("SPLEEN:\nNormal.\nNo mass.\n\nA small mass.", [["spleen"], ["spleen"], []]),
        ("SPLEEN:\n\nNormal.\nNo mass.\n\nA small mass.", [["spleen"], ["spleen"], []]),
        ("Spleen: Normal. No mass. Liver: Normal. No mass.", [["spleen"], ["spleen"], ["liver"], ["liver"]]),
        ("RIGHT KIDNEY: Normal. No hydronephrosis.", [["kidney_right"], ["kidney_right"]]),
    ],
)
def test_a_sub_heading_lasts_for_its_paragraph(text: str, regions: list[list[str]]) -> None:
    assert [found for _, found, _ in tagged(f"FINDINGS:\n{text}")] == regions


@pytest.mark.parametrize(
    ("text", "regions", "laterality"),
    [
        ("Cyst measuring 2 cm.", ["kidneys"], None),
        ("Cyst on the left measuring 2 cm.", ["kidney_left"], "left"),
        ("Normal.", ["kidney_left", "kidney_right"], "bilateral"),
        ("No stone.", ["kidney_left", "kidney_right"], "bilateral"),
        ("Both kidneys have cysts.", ["kidney_left", "kidney_right"], "bilateral"),
    ],
)
def test_a_finding_under_a_pair_is_in_one_of_them(text: str, regions: list[str], laterality: str | None) -> None:
    for gap in (" ", "\n"):
        ((_, found, side),) = tagged(f"FINDINGS:\nKIDNEYS:{gap}{text}")
        assert (found, side) == (regions, laterality)


HEADER = "Patient: [NAME] MRN: [ID]\nAccession: [ID]\nReferring physician: Dr. [NAME]\nExam date: [DATE]\n"


@pytest.mark.parametrize(
    "text",
    [
        HEADER + "CT CHEST\nThe lungs are clear.",
        HEADER + "FINDINGS: The lungs are clear.",
        "Patient:\nJane Doe\nMRN:\n123\n\nFINDINGS: The lungs are clear.\nRadiologist: Dr. [NAME]\n[DATE]",
        "FINDINGS: The lungs are clear.\nElectronically signed by:\n[NAME], MD\n[DATE] [TIME]",
        "Patient: Jane Doe MRN: 12345 DOB: 1/2/1934 Findings: The lungs are clear.",
        "Dictated by: Dr. [NAME]\n\nThe lungs are clear.",
        "[PLACE] Medical Center\nDepartment of Radiology, [PLACE]\n\nFINDINGS: The lungs are clear.\n[NAME]  Dr [NAME]",
    ],
)
def test_administrative_lines_are_no_sentences_and_end_with_their_value(text: str) -> None:
    parsed = parse_report(text, language="en")
    found = [(s.section, s.text) for s in parsed.sentences if s.section != "procedure"]
    assert found == [("findings", "The lungs are clear.")]
    assert parsed.unknown_headings == ()


def test_an_administrative_line_inside_the_findings_does_not_end_them() -> None:
    text = "FINDINGS: Clear lungs.\nExam date: 1/2/2020\nThe liver is normal."
    assert sections(text) == [("findings", "Clear lungs."), ("other", "1/2/2020"), ("findings", "The liver is normal.")]


def test_prose_behind_an_administrative_word_is_kept() -> None:
    parsed = parse_report("PRELIMINARY REPORT: There is a mass in the liver.\nIMPRESSION: Mass.", language="en")
    assert [s.text for s in parsed.sentences] == ["There is a mass in the liver.", "Mass."]


def test_a_side_as_heading_lends_its_side() -> None:
    text = "FINDINGS:\nRIGHT:\nThe mastoid is clear.\nThe left kidney is small.\nLEFT:\nThe mastoid is opacified."
    assert tagged(text) == [
        ("The mastoid is clear.", ["temporal_bone_right"], "right"),
        ("The left kidney is small.", ["kidney_left"], "left"),
        ("The mastoid is opacified.", ["temporal_bone_left"], "left"),
    ]


@pytest.mark.parametrize("label", ["NODULES", "PLEURAL EFFUSION", "Emphysema", "LESION 1"])
def test_a_finding_with_a_colon_stays_in_the_findings(label: str) -> None:
    parsed = parse_report(f"FINDINGS:\nLUNGS: Clear.\n{label}: None.\nHEART: Normal.", language="en")
    assert [section.name for section in parsed.sections] == ["findings"]
    assert [s.text for s in parsed.sentences] == ["LUNGS: Clear.", f"{label}: None.", "HEART: Normal."]


def test_headings_in_lower_case_even_mistyped() -> None:
    text = "techniqe: axial images\nfindings: lungs are clear\nimpression: normal"
    assert [name for name, _ in sections(text)] == ["technique", "findings", "impression"]


ORGANS = [
    "Lower chest",
    "Hepatobiliary",
    "Kidneys/ureters",
    "Peritoneum / retroperitoneum",
    "Lungs and airways",
    "Calvarium",
]
ORGANS += ["Mediastinum/hila", "Bones/soft tissues", "Brain parenchyma", "Internal auditory canals", "Pelvic organs"]
KEPT = ["Lines/tubes", "Hardware", "Alignment", "Cardiovascular", "Lymph nodes", "Interval changes", "Other findings"]


@pytest.mark.parametrize("heading", [*ORGANS, *KEPT])
@pytest.mark.parametrize("is_upper", [True, False])
def test_sub_headings_of_report_templates_keep_the_findings(heading: str, is_upper: bool) -> None:
    words = heading.upper() if is_upper else heading
    parsed = parse_report(f"FINDINGS:\n{words}: Unremarkable.\nIMPRESSION: Normal.", language="en")
    assert [section.name for section in parsed.sections] == ["findings", "impression"]
    assert parsed.unknown_headings == ()
    assert bool(parsed.sentences[0].regions) == (heading in ORGANS)


def test_a_label_alone_on_its_line_is_no_sentence() -> None:
    parsed = parse_report("FINDINGS:\nNodules:\n1. RUL, 5 mm.\nThe following were seen:\nCysts.", language="en")
    assert [s.text for s in parsed.sentences] == ["RUL, 5 mm.", "The following were seen:", "Cysts."]


def test_the_name_of_the_examination_before_prose_is_no_finding():
    text = "CT Chest, Abdomen and Pelvis without contrast. There is a small pericardial effusion. No ascites."
    sections = [sentence.section for sentence in parse_report(text).sentences]
    assert sections == ["procedure", "findings", "findings"]
    assert parse_report("CT shows a liver lesion. No ascites.").sentences[0].section == "findings"


def test_reports_of_several_systems() -> None:
    text = (
        "CT BRAIN\nCLINICAL NOTES:\nHeadache ?SAH\nREPORT:\nLines/tubes: None.\nUPPER ABD: s/p chole.\n"
        "COMMENT:\nNo SAH.\n\n"
        "I, the teaching physician, have reviewed the images.\nReport Electronically Signed by: [NAME], MD"
    )
    parsed = parse_report(text, language="en")
    assert [(s.section, s.text, s.assertion) for s in parsed.sentences] == [
        ("procedure", "CT BRAIN", "present"),
        ("indication", "Headache ?SAH", "present"),
        ("findings", "None.", "absent"),
        ("findings", "UPPER ABD: s/p chole.", "present"),
        ("impression", "No SAH.", "absent"),
    ]
    assert parsed.unknown_headings == ()


def test_a_dash_may_end_a_heading() -> None:
    text = "Clinical indication - sinusitis\nFINDINGS -\nRight maxillary sinus - clear\nEthmoids - clear\nNodule - 5 mm"
    parsed = parse_report(text, language="en")
    assert parsed.sentences[1].laterality == "right"
    assert [(s.section, s.text, s.regions) for s in parsed.sentences] == [
        ("indication", "sinusitis", ("sinuses",)),
        ("findings", "Right maxillary sinus - clear", ("sinuses",)),
        ("findings", "Ethmoids - clear", ("sinuses",)),
        ("findings", "Nodule - 5 mm", ()),
    ]


def test_vessels_of_the_heart_as_headings() -> None:
    text = "FINDINGS:\nLAD: Plaque with stenosis in the mid segment.\nRCA: No stenosis.\nNon-cardiac: Clear lungs."
    assert [regions for _, regions, _ in tagged(text)] == [
        ["coronary_arteries"],
        ["coronary_arteries"],
        ["lung_left", "lung_right"],
    ]


def test_two_known_headings_in_one_are_the_first() -> None:
    assert sections("FIND/DISCUSSION: Clear.\nImpression & Recommendation: CT.") == [
        ("findings", "Clear."),
        ("impression", "CT."),
    ]


def test_an_examination_under_recommendations_is_what_is_recommended() -> None:
    text = "FINDINGS:\nNodule.\nRECOMMENDATIONS:\nCT 12 months\nIMPRESSION:\nCT HEAD NEGATIVE"
    assert sections(text) == [
        ("findings", "Nodule."),
        ("recommendation", "CT 12 months"),
        ("impression", "CT HEAD NEGATIVE"),
    ]
