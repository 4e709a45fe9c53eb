"""The suspicion rules: each speaks where it should, and keeps silent on a pair that fits."""

import random
from datetime import date, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from curation.link import Link
from curation.reasons import PairFlag
from curation.suspicion import RULES, judge_dataset, judge_pair, severity_of
from curation.suspicion.clues import (
    Clues,
    Directory,
    SourceRow,
    Who,
    contradictions,
    source_rows,
    usual_days_to_sign,
)
from curation.suspicion.copies import whole_digest
from curation.suspicion.facts import TextFacts, VolumeFacts, exams, stated_contrast, text_facts, volume_facts
from curation.suspicion.fit import pair_findings
from curation.suspicion.judge import shift_detail
from curation.suspicion.shift import find_shifts
from reports.parse import parse_report
from reports.records import MergedReport, RawReport

TEXT = (
    "EXAM: CT CHEST WITH CONTRAST\n\nTECHNIQUE: CT was performed after intravenous contrast.\n\n"
    "FINDINGS:\nLungs: There is a 12 mm nodule in the right upper lobe (series 2, image 40). The heart is normal. "
    "Small right pleural effusion. The trachea is patent.\n\n"
    "IMPRESSION:\n1. Right upper lobe nodule. Right pleural effusion.\n"
)
LUNG_BOXES = {
    "lung_upper_lobe_right": (40, 55), "lung_left": (10, 55), "lung_right": (10, 55), "heart": (15, 35),
    "pleura_right": (10, 55), "trachea": (35, 58), "liver": (0, 12), "pleura_left": (10, 55),
}  # fmt: skip


def tables(texts, **volume):
    """Rows of one chest pair per text: 60 slices of 5 mm, images 1 to 60 from below."""
    rows = {name: [] for name in ("pairs", "volumes", "reports", "sentences", "regions")}
    for n, text in enumerate(texts):
        parsed = parse_report(text)
        name = f"{n:03d}"
        rows["pairs"].append(
            {
                "pair_id": f"pair-{name}", "patient_id": f"patient-{name}", "study_id": f"study-{name}",
                "report_id": f"report-{name}", "volume_id": f"volume-{name}", "flags": [], "suspicion": 0.0,
                "link_confidence": 0.99,
            }
        )  # fmt: skip
        rows["reports"].append(
            {
                "report_id": f"report-{name}",
                "text": text,
                "sections": [{"name": s.name, "char_start": s.span.start} for s in parsed.sections],
            }
        )
        for sentence in parsed.sentences:
            pointer = sentence.image_pointer
            rows["sentences"].append(
                {
                    "report_id": f"report-{name}", "section": sentence.section, "char_start": sentence.span.start,
                    "text": sentence.text, "regions": list(sentence.regions), "assertion": sentence.assertion,
                    "is_normal": sentence.is_normal, "is_prior_comparison": sentence.is_prior_comparison,
                    "image_pointer": pointer and {"series": pointer.series, "image": pointer.image},
                    "measurements_mm": list(sentence.measurements_mm),
                }
            )  # fmt: skip
        rows["volumes"].append(
            {
                "volume_id": f"volume-{name}", "sha256": name, "vendor": None,
                "affine_ras": np.diag([4.0, 4.0, 5.0, 1.0]).ravel().tolist(),
                "shape_ijk": [80, 80, 60], "spacing_mm": [4.0, 4.0, 5.0], "body_regions": ["abdomen", "chest"],
                "contrast": "with", "patient_sex": "M", "n_slices_source": 60, "padding_fraction": 0.1 + n / 1000,
                "hu_percentiles": [-1000.0, -990.0, -800.0, -50.0, 40.0, 200.0, 600.0],
                "slice_map": {
                    "series_number": 2, "instance_number": list(range(1, 61)),
                    "position_mm": [5.0 * k for k in range(60)], "normal_lps": [0.0, 0.0, 1.0],
                },
            }
            | volume
        )  # fmt: skip
        rows["regions"] += [
            {
                "volume_id": f"volume-{name}", "region": region, "source": "landmark", "sentence_id": None,
                "start_ijk": [10, 10, low], "size_ijk": [40, 40, high - low], "confidence": 0.8,
            }
            for region, (low, high) in LUNG_BOXES.items()
        ]  # fmt: skip
    return rows


def codes(text, **volume):
    rows = tables([text], **volume)
    judge_dataset(rows)
    return set(rows["pairs"][0]["flags"])


def test_a_pair_that_fits_raises_nothing():
    assert codes(TEXT) == set()


@pytest.mark.parametrize(
    ("code", "text", "volume"),
    [
        ("COVERAGE_MISMATCH", TEXT, {"body_regions": ["pelvis"]}),
        ("EXAM_MISMATCH", TEXT.replace("CHEST", "HEAD"), {}),
        ("CONTRAST_MISMATCH", TEXT, {"contrast": "without"}),
        ("CONTRAST_MISMATCH", TEXT.replace("WITH ", "WITHOUT ").replace("after", "without"), {}),
        ("SEX_MISMATCH", TEXT.replace("FINDINGS", "HISTORY: 61-year-old woman.\n\nFINDINGS"), {}),
        ("SEX_MISMATCH", TEXT.replace("The heart", "The uterus is enlarged. The heart"), {}),
        ("LATERALITY_CONFLICT", TEXT.replace("Right pleural effusion.", "Left pleural effusion."), {}),
        ("MEASUREMENT_TOO_LARGE", TEXT.replace("12 mm", "71 cm"), {}),
        ("MEASUREMENT_TOO_LARGE", TEXT.replace("right upper lobe (", "trachea of 52 cm ("), {}),
        ("POINTER_MISSING", TEXT.replace("image 40", "image 95"), {}),
        ("POINTER_ELSEWHERE", TEXT.replace("image 40", "image 4"), {}),
        ("HU_OUTLIER", TEXT, {"hu_percentiles": [-1000.0, -990.0, -800.0, 0.0, 900.0, 2200.0, 3000.0]}),
        ("HU_OUTLIER", TEXT, {"hu_percentiles": [20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0]}),
        ("COVERAGE_GAP", TEXT.replace("The heart", "The urinary bladder is normal. The heart"), {}),
        ("ORGAN_CUT", TEXT, {"shape_ijk": [80, 80, 55]}),
        ("PART_UNREAD", TEXT, {"body_regions": ["abdomen", "chest", "head"]}),
        ("PART_UNREAD", TEXT, {"body_regions": ["abdomen", "chest", "pelvis"]}),
        (
            "COVERAGE_GAP",
            TEXT.replace("The heart", "The urinary bladder is normal. The prostate is enlarged. The heart"),
            {},
        ),
    ],
)
def test_a_contradiction_is_named(code, text, volume):
    assert code in codes(text, **volume)


@pytest.mark.parametrize(
    ("tops", "is_cut"),
    [
        ({"lung_left": 298.0, "lung_right": 298.0}, True),  # cut within a step of the localizer's grid
        ({"lung_left": 296.0, "lung_right": 296.0}, False),  # a step from the end: lungs that end by themselves
        ({"lung_left": 300.0, "lung_right": 292.0}, False),
        ({"lung_right": 300.0}, True),  # so little is left of the other that it was not found
        ({}, False),
    ],
)
def test_a_scan_that_ends_within_the_lungs_is_named(tops, is_cut):
    assert is_cut_off("chest", {region: (100.0, top) for region, top in tops.items()}) is is_cut


@pytest.mark.parametrize(
    ("part", "low", "high", "is_cut"),
    [
        ("abdomen", 220.0, 300.0, False),  # the lungs' lowest 80 mm lie below the first slice
        ("abdomen", 275.0, 300.0, True),  # 25 mm: the domes stand higher
        ("abdomen", 40.0, 290.0, False),  # whole lungs
        ("abdomen", 200.0, 260.0, True),  # a "lung" of 60 mm that ends within the scan
        ("pelvis", 275.0, 300.0, False),  # nobody asked for the domes
    ],
)
def test_an_abdomen_without_the_domes_of_the_diaphragm_is_named(part, low, high, is_cut):
    assert is_cut_off(part, {"lung_left": (low, high), "lung_right": (low + 4, high)}) is is_cut


@pytest.mark.parametrize(("height", "is_cut"), [(56.0, False), (25.0, True)])
def test_a_tilted_scan_ends_in_a_slope_that_lungs_need_not_touch(height, is_cut):
    lungs = {"lung_left": (260 - height, 260.0)}
    assert is_cut_off("abdomen", lungs, is_tilted=True) is is_cut
    assert is_cut_off("abdomen", lungs)


@pytest.mark.parametrize(("code", "is_tilted"), [("TILT_RESAMPLED", True), ("PADDING_TO_AIR", False)])
def test_a_volume_tells_that_its_gantry_was_tilted(code, is_tilted):
    volume = tables([TEXT])["volumes"][0] | {"repairs": [{"code": code, "detail": ""}]}
    assert volume_facts(volume, ()).is_tilted is is_tilted


def is_cut_off(part, tops_mm, *, is_tilted=False):
    volume = VolumeFacts(
        parts=frozenset({part}), spans_mm=tops_mm, masked=frozenset(), sizes_mm={}, extent_mm=500.0, contrast=None,
        sex=None, series_number=None, numbers=np.zeros(0, int), positions_mm=np.zeros(0), hu_percentiles=(),
        heights_mm=(0.0, 300.0), tops_mm=tops_mm, is_tilted=is_tilted,
    )  # fmt: skip
    found = pair_findings(TextFacts(exams=(frozenset({part}),)), volume)
    return "ORGAN_CUT" in {finding.code for finding in found}


def test_of_several_examinations_in_one_report_one_must_fit():
    for title, expected in (("CT HEAD AND CT CHEST", False), ("CT HEAD AND CT NECK AND PELVIS", True)):
        assert ("EXAM_MISMATCH" in codes(TEXT.replace("CT CHEST", title))) is expected


@pytest.mark.parametrize(("n_silent", "expected"), [(1, True), (12, False)])
def test_a_silent_header_counts_where_headers_are_seldom_silent(n_silent, expected):
    rows = tables([TEXT.replace("12 mm", f"{n + 3} mm") for n in range(30)], vendor="ACME")
    for volume in rows["volumes"][:n_silent]:
        volume["contrast"] = None
    judge_dataset(rows)
    assert ("CONTRAST_MISMATCH" in rows["pairs"][0]["flags"]) is expected
    assert not any("CONTRAST_MISMATCH" in pair["flags"] for pair in rows["pairs"][n_silent:])


def test_how_long_a_signature_may_take_is_learnt():
    def signed(days):
        return Clues(signed=(frozenset({WHO.day + timedelta(days)}),))

    rows = [SourceRow(n, signed(n % 2), who=WHO) for n in range(30)]
    assert usual_days_to_sign(rows) == 7
    assert usual_days_to_sign(rows[:10]) == 45
    assert usual_days_to_sign([SourceRow(n, signed(9), who=WHO) for n in range(30)]) == 39
    assert contradictions(signed(33), WHO, max_days=7)["TEXT_OTHER_DAY"] == "signed 33 days after the study"
    assert contradictions(signed(5), WHO, max_days=7) == {}


def test_an_organ_that_is_gone_is_not_there():
    rows = tables([TEXT.replace("The heart", "Status post left nephrectomy. The heart")])
    box = {"region": "kidney_left", "source": "mask", "start_ijk": [1, 1, 1], "size_ijk": [9, 9, 9]}
    rows["regions"].append(rows["regions"][0] | box)
    judge_dataset(rows)
    assert "LATERALITY_CONFLICT" in rows["pairs"][0]["flags"]


def test_a_mirrored_patient_explains_a_mirrored_volume():
    for text, expected in ((TEXT, True), (TEXT.replace("The heart", "Situs inversus. The heart"), False)):
        rows = tables([text])
        rows["pairs"][0]["flags"] = ["LATERALITY_SUSPECT"]
        judge_dataset(rows)
        assert ("LATERALITY_SUSPECT" in rows["pairs"][0]["flags"]) is expected


def test_what_the_study_itself_can_tell():
    flags, suspicion = judge_pair(confidence=0.8, n_sentences=2, n_located=0, flags=["LOSSY"])
    assert flags == ["FEW_SENTENCES", "LINK_WEAK", "LOSSY", "NOTHING_LOCATED"]
    assert suspicion == pytest.approx(1 - 0.8 * 0.9 * 0.8 * 0.95 * 0.8, abs=1e-4)
    assert judge_pair(confidence=1.0, n_sentences=9, n_located=3, flags=[]) == ([], 0.0)


def test_the_same_findings_on_two_patients_are_found_whatever_the_dates():
    dated = TEXT.replace("nodule in", "nodule, unchanged since {}, in")
    other = TEXT.replace("12 mm", "14 mm")
    rows = tables([dated.format("2019-03-02"), dated.format("2021-11-23"), other])
    judge_dataset(rows)
    assert ["SAME_TEXT" in pair["flags"] for pair in rows["pairs"]] == [True, True, False]
    same_patient = tables([TEXT, TEXT])
    same_patient["pairs"][1]["patient_id"] = "patient-000"
    judge_dataset(same_patient)
    assert not any("SAME_TEXT" in pair["flags"] for pair in same_patient["pairs"])


def test_a_whole_text_with_its_signature_on_two_patients_is_a_copy_even_when_normal():
    normal = "FINDINGS: The lungs are clear. The heart is normal. No effusion.\n\nIMPRESSION: Normal CT of the chest.\n"
    for text, expected in ((normal, False), (normal + "Signed on 06/01/2021", True)):
        rows = tables([normal, normal, normal])
        digests = [whole_digest(text), whole_digest(text.upper()), whole_digest(text + " Addendum.")]
        source = [SourceRow(n, report_id=f"report-{n:03d}", digest=digest) for n, digest in enumerate(digests)]
        judge_dataset(rows, source)
        assert ["SAME_TEXT" in pair["flags"] for pair in rows["pairs"]] == [expected, expected, False]


def test_normal_templates_are_no_copies():
    normal = "FINDINGS: The lungs are clear. The heart is normal. No effusion.\n\nIMPRESSION: Normal CT of the chest.\n"
    rows = tables([normal, normal])
    judge_dataset(rows)
    assert not any("SAME_TEXT" in pair["flags"] for pair in rows["pairs"])


def test_the_same_volume_twice():
    rows = tables([TEXT, TEXT.replace("12 mm", "9 mm"), TEXT.replace("12 mm", "8 mm")])
    rows["volumes"][1]["padding_fraction"] = rows["volumes"][0]["padding_fraction"]
    suspicions = judge_dataset(rows)
    found = [row for row in suspicions if row["code"] == "SAME_VOLUME"]
    assert [row["pair_id"] for row in found] == ["pair-000", "pair-001"]
    assert "pair-001" in found[0]["detail"]


def test_a_report_built_unlike_the_others():
    odd = "Nodule seen in the right upper lobe of 12 mm. RECOMMENDATION: Follow-up in six months.\n"
    rows = tables([TEXT.replace("12 mm", f"{n + 3} mm") for n in range(45)] + [odd])
    judge_dataset(rows)
    assert {"TEMPLATE_FAR", "SECTION_MISSING"} <= set(rows["pairs"][-1]["flags"])
    assert not any({"TEMPLATE_FAR", "SECTION_MISSING"} & set(pair["flags"]) for pair in rows["pairs"][:-1])


# who and when

DIRECTORY = Directory([("A", "MRN44100", "Harrow^Wilma"), ("A", "MRN44200", "Oakes^Peter"), ("B", None, None)])
WHO = Who("A\x1fMRN44100", date(1950, 3, 1), date(2021, 6, 1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Patient: Harrow, Wilma MRN: MRN44100 DOB: 1950-03-01. Signed on 06/01/2021", set()),
        ("Patient: Oakes, Peter", {"TEXT_OTHER_PATIENT"}),
        ("MRN MRN44200", {"TEXT_OTHER_PATIENT"}),
        ("DOB: 04.03.1951", {"TEXT_OTHER_PATIENT"}),
        ("Electronically signed by Dr. X on 05/28/2021", {"TEXT_OTHER_DAY"}),
        ("Electronically signed by Dr. X on 12/28/2022", {"TEXT_OTHER_DAY"}),
        ("Exam date: 2021-06-03", {"TEXT_OTHER_DAY"}),
        ("Exam date: 01.06.2021. Signed 2021-06-02. Compared with CT of 2018-01-01.", set()),
        ("No date, no name.", set()),
    ],
)
def test_the_text_says_who_and_when(text, expected):
    from curation.index import patient_owner

    who = Who(patient_owner("A", "MRN44100"), WHO.born, WHO.day)
    found = contradictions(DIRECTORY.clues(text), who)
    assert set(found) == expected
    assert not any(secret in " ".join(found.values()) for secret in ("Oakes", "MRN", "19", "2021"))


def test_the_report_is_dated_after_its_study():
    rows = tables([TEXT.replace("12 mm", f"{n} mm") for n in (7, 8, 9, 11)])
    days = [date(2021, 6, 1), date(2021, 5, 20), date(2022, 1, 1), None]
    source = [SourceRow(n, Clues(), f"report-{n:03d}", f"study-{n:03d}", WHO, day) for n, day in enumerate(days)]
    judge_dataset(rows, source)
    assert ["REPORT_DATE" in pair["flags"] for pair in rows["pairs"]] == [False, True, True, False]


def test_source_rows_join_text_report_and_study():
    raws = [RawReport(source_key=f"r:{n}", text=f"MRN: MRN44{n}00") for n in (1, 2, 3)]
    taken = SimpleNamespace(
        reports={"rep-1": MergedReport(raws[0], ("r:1",)), "rep-2": MergedReport(raws[1], ("r:2",))}
    )
    header = {"issuer": "A", "patient_id": "MRN44100", "name": "", "birth_date": "19500301", "study_date": "20210601"}
    pseudonyms = SimpleNamespace(of=lambda kind, uid: f"{kind}-{uid}")
    rows = source_rows(raws, taken, [Link("rep-1", "uid", "accession", 1.0)], {"uid": [header]}, pseudonyms)
    assert [(row.number, row.report_id, row.study_id) for row in rows] == [
        (1, "rep-1", "study-uid"),
        (2, "rep-2", None),
        (3, None, None),
    ]
    assert rows[0].who.day == date(2021, 6, 1)


# shifts


def known(n, *, shifted=range(0), offset=0, silent=()):
    """A fit of texts that know their own study: +6 right, -5 wrong, 0 where the text says nothing."""
    truth = {row: row + offset if row in shifted else row for row in range(n)}
    return lambda text, study: 0.0 if text in silent else 6.0 if truth[text] == study else -5.0


@pytest.mark.parametrize("offset", [-1, 1, 2, -3])
def test_a_shifted_block_is_found_with_its_ends(offset):
    shifts = find_shifts(200, known(200, shifted=range(60, 95), offset=offset))
    assert [(s.first, s.last, s.offset) for s in shifts] == [(60, 94, offset)]


def test_silent_rows_do_not_end_a_block():
    silent = set(range(0, 200, 3))
    shifts = find_shifts(200, known(200, shifted=range(60, 95), offset=-1, silent=silent))
    assert len(shifts) == 1
    assert abs(shifts[0].first - 60) <= 1
    assert abs(shifts[0].last - 94) <= 1


@pytest.mark.parametrize(
    ("silent", "earliest", "latest"), [((), 60, 94), ((58, 59, 94), 58, 94), (range(93, 99), 60, 95)]
)
def test_rows_beside_a_block_that_fit_both_studies_may_belong_to_it(silent, earliest, latest):
    (shift,) = find_shifts(200, known(200, shifted=range(60, 95), offset=-1, silent=silent))
    assert (shift.earliest, shift.latest) == (earliest, latest)
    source = [SourceRow(n) for n in range(1, 201)]
    maybe = [f"from {earliest + 1}"] * (earliest < shift.first) + [f"to {latest + 1}"] * (latest > shift.last)
    words = f"reports {shift.first + 1} to {shift.last + 1} of the source fit the study 1 row(s) before their own"
    assert shift_detail(shift, source) == words + (f", perhaps {' '.join(maybe)}" if maybe else "")


def test_two_blocks_are_two():
    def fits(text, study):
        wanted = text - 1 if 20 <= text < 40 else text + 1 if 100 <= text < 120 else text
        return 3.0 if wanted == study else -3.0

    assert [(s.first, s.last, s.offset) for s in find_shifts(150, fits)] == [(20, 39, -1), (100, 119, 1)]


@pytest.mark.parametrize("seed", range(5))
def test_weak_random_evidence_is_no_block(seed):
    draw = random.Random(seed)
    table = [[draw.gauss(0.0, 1.5) for _ in range(7)] for _ in range(2000)]
    fits = lambda text, study: table[text][study - text + 3] + (1.5 if text == study else 0.0)  # noqa: E731
    assert find_shifts(2000, fits) == []


def test_the_data_set_names_the_shift_and_its_rows():
    """A scrubbed text names nobody: coverage, contrast and pointers alone show the slip."""
    draw = random.Random(4)
    texts, volumes = [], []
    for _ in range(40):
        image, side = draw.randrange(5, 58), draw.choice(["left", "right"])
        contrast = draw.choice(["with", "without"])
        texts.append(
            f"EXAM: CT CHEST {contrast.upper()} CONTRAST\n\nFINDINGS: {draw.randrange(3, 30)} mm {side} lung nodule "
            f"(series 2, image {image}). The heart is normal. No effusion. The trachea is patent.\n\n"
            "IMPRESSION: Nodule."
        )
        volumes.append({"contrast": contrast, "image": image})
    shifted = texts[:12] + [texts[n - 1] for n in range(12, 30)] + texts[30:]
    rows = tables(shifted)
    for n, row in enumerate(rows["volumes"]):
        row["contrast"] = volumes[n]["contrast"]
        row["slice_map"] |= {"series_number": 2, "instance_number": [volumes[n]["image"]], "position_mm": [150.0]}
    owners = [Who(f"patient-{n:03d}") for n in range(40)]
    source = [SourceRow(n + 1, Clues(), f"report-{n:03d}", f"study-{n:03d}", owners[n]) for n in range(40)]
    suspicions = judge_dataset(rows, source)
    found = [row for row in suspicions if row["code"] == "ROW_SHIFT"]
    flagged = {int(row["pair_id"][-3:]) for row in found}
    assert len(flagged & set(range(12, 30))) >= 17
    assert len(flagged - set(range(12, 30))) <= 1
    assert "1 row(s) before" in found[0]["detail"]


def test_the_answer_does_not_depend_on_the_order_of_the_rows():
    texts = [TEXT, TEXT.replace("12 mm", "9 mm"), TEXT]
    one, other = tables(texts), tables(texts)
    for rows in other.values():
        rows.reverse()
    key = lambda row: (row["pair_id"], row["code"])  # noqa: E731
    assert sorted(judge_dataset(one), key=key) == sorted(judge_dataset(other), key=key)


def test_every_flag_of_a_pair_has_a_rule_and_a_severity():
    assert {str(flag) for flag in PairFlag} - {"MASK_UNREADABLE"} <= RULES.keys()
    assert severity_of("ROW_SHIFT") == "alarm"
    assert severity_of("NO_SUCH_FLAG") == "note"


def test_titles_and_contrast_are_read():
    assert exams("CT of the abdomen and pelvis without contrast") == ({"abdomen", "pelvis"},)
    assert exams("CT HEAD WITHOUT CONTRAST, CT CHEST, ABDOMEN AND PELVIS") == ({"head"}, {"chest", "abdomen", "pelvis"})
    assert exams("Procedure: CT. Clinical: cough") == ()
    assert exams("TECHNIQUE: CT images were obtained from the base of the brain to the chest") == ()
    assert stated_contrast("performed without intravenous contrast") == "without"
    assert stated_contrast("in the portal venous phase") == "with"
    assert stated_contrast("with and without contrast") is None
    assert text_facts("", ()).own_words == ()
