from __future__ import annotations

import pytest

from reports.measurements import find_measurements_mm
from reports.parse import parse_report
from reports.pointers import find_pointer
from reports.records import ImagePointer


@pytest.mark.parametrize(
    ("text", "regions", "laterality"),
    [
        ("The left kidney and ureter are normal.", ["kidney_left", "ureter_left"], "left"),
        ("Stone in the kidney on the left.", ["kidney_left"], "left"),
        ("The left kidney is normal and the right has a cyst.", ["kidney_left", "kidney_right"], "bilateral"),
        ("Right upper and left lower lobe nodules.", ["lung_lower_lobe_left", "lung_upper_lobe_right"], "bilateral"),
        ("Right upper and lower lobe nodules.", ["lung_lower_lobe_right", "lung_upper_lobe_right"], "right"),
        ("Neither kidney is obstructed.", ["kidney_left", "kidney_right"], "bilateral"),
        ("Both kidneys and the bladder are normal.", ["kidney_left", "kidney_right", "urinary_bladder"], "bilateral"),
        ("Hydronephrosis is present.", ["kidneys"], None),
        ("Fracture of ribs 3-5 on the right.", ["rib_right_3", "rib_right_4", "rib_right_5"], "right"),
        ("Right third through fifth rib fractures.", ["rib_right_3", "rib_right_4", "rib_right_5"], "right"),
        (
            "Lesions in segments 5/6 and IVb of the liver.",
            ["liver_segment_4", "liver_segment_5", "liver_segment_6"],
            None,
        ),
        ("A long segment 5 of bowel.", ["bowel"], None),
        (
            "Disc bulges C5-C7 and L5/S1.",
            ["vertebrae_C5", "vertebrae_C6", "vertebrae_C7", "vertebrae_L5", "vertebrae_S1"],
            None,
        ),
        ("High T2 signal, T1-weighted, stage T2.", [], None),
        ("A 5 mm lesion is seen.", [], None),
        ("Abnormal liver enzymes.", ["liver"], None),
        ("Heart and pericardium are normal.", ["heart", "pericardium"], None),
        ("Nodule of the lung, right upper lobe.", ["lung_upper_lobe_right"], "right"),
        ("Facial bone fracture.", ["face"], None),
        ("Hypodensity in seg. IVa.", ["liver_segment_4"], None),
        ("Rt. kidney has a cyst.", ["kidney_right"], "right"),
        ("No hydro.", ["kidneys"], None),
        ("R kidney has a cyst.", ["kidney_right"], "right"),
        ("L4 and L5 are normal.", ["vertebrae_L4", "vertebrae_L5"], None),
        ("Infarcts in the spleen.", ["spleen"], None),
        ("Old infarct.", ["brain"], None),
        ("Nodule below the lower pole of the thyroid.", ["thyroid_gland"], None),
        ("Cyst in the left lower pole.", ["kidney_left"], "left"),
        ("Right lower lobe mass with loculated effusion.", ["lung_lower_lobe_right", "pleura_right"], "right"),
        ("Knee effusion.", ["lower_limbs"], None),
        ("Marrow edema in the tibia.", ["lower_limbs"], None),
        ("Osteopenia of the spine.", ["bones", "spine"], None),
        ("Celiac disease.", ["small_bowel"], None),
        ("Stone at the UVJ.", ["ureters", "urinary_bladder"], None),
        ("Left lateral segment 6 mm focus.", ["liver_segment_2", "liver_segment_3"], "left"),
        ("Severe central canal stenosis at L4-L5.", ["vertebrae_L4", "vertebrae_L5"], None),
        ("Type II odontoid fracture.", ["vertebrae_C2"], None),
        ("Leak at the anastomosis.", [], None),
        ("Left maxillary sinus: mucosal thickening.", ["sinuses"], "left"),
        ("Right kidney: Normal.", ["kidney_right"], "right"),
        ("Lungs: nodule in the left upper lobe.", ["lung_upper_lobe_left"], "left"),
        ("Kidneys: 2 cm cyst.", ["kidneys"], None),
        ("Bilateral, subpleural reticulation.", ["lung_left", "lung_right"], "bilateral"),
        ("Thickening of the right colon.", ["colon"], "right"),
    ],
)
def test_regions(text: str, regions: list[str], laterality: str | None) -> None:
    (found,) = parse_report(f"FINDINGS: {text}", language="en").sentences
    assert (list(found.regions), found.laterality) == (regions, laterality)


def test_an_abbreviation_that_the_report_defines_is_known_afterwards() -> None:
    text = "FINDINGS: A left adrenal mass (LAM) is seen. The LAM is new. The QQQ is normal."
    assert [s.regions for s in parse_report(text, language="en").sentences] == [
        ("adrenal_gland_left",),
        ("adrenal_gland_left",),
        (),
    ]


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("3.2 x 1.4 cm", [32, 14]),
        ("2.4 X 3.9 X 3.0cm (AP X transverse)", [24, 39, 30]),
        ("3.4 cm x 2.5 cm", [34, 25]),
        ("3-4 mm, or 3 to 4 mm", [3, 4, 3, 4]),
        ("8 mm, previously 0.6 cm", [8, 6]),
        ("Thirteen millimeter collection", [13]),
        ("a 10-cm segment and 1,5 cm", [100, 15]),
        (".5 cm", [5]),
        ("L4-5, 5/12, image 45, 120 mmHg, 3 cm2, on mm/dd/yy", []),
        ("5 mm axial slices", []),
        ("5 mm thick contiguous sections", []),
        ("a rim 7 mm thick", [7]),
        ("an 18 gauge 15 cm trocar needle", []),
        ("6.2 (AP) x 5.4 (TR) x 7.0 (CC) cm", [62, 54, 70]),
        ("6.2 AP x 5.4 TR cm", [62, 54]),
        ("2.3 x 1.2 cms", [23, 12]),
        ("series 2 and 5 mm", [5]),
    ],
)
def test_measurements(text: str, lengths: list[float]) -> None:
    assert list(find_measurements_mm(text)) == lengths


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ("series 3, image 45", (3, 45)),
        ("(se 3 im 45)", (3, 45)),
        ("(Se:3, Im:45)", (3, 45)),
        ("image 3/45", (3, 45)),
        ("image 45 of series 3", (3, 45)),
        ("image 45 on series 3", (3, 45)),
        ("images 12-14, series 5", (5, 12)),
        ("(S3 I45)", (3, 45)),
        ("series #6 images #6-17", (6, 6)),
        ("Series 201, images 45-48", (201, 45)),
        ("(image #33/68)", (None, 33)),
        ("image 45 of 120", (None, 45)),
        ("axial image 45", (None, 45)),
        ("on series 4", (4, None)),
        ("series of 3 images", None),
        ("imaging 3 weeks later", None),
        ("(3/45)", None),
        ("a 12 mm lesion (3/45)", (3, 45)),
        ("a 12 mm lesion (3-45)", None),
        ("a 12 mm lesion (#3-45)", (3, 45)),
        ("nodule in the right lower lobe (3:142)", (3, 142)),
        ("calcified granuloma [4/87]", (4, 87)),
        ("fluid collection, subhepatic (2, 66)", (2, 66)),
        ("a mass (3/4)", None),
        ("muscle strength (5/55)", None),
        ("nodes positive for tumour (3/15)", None),
        ("a polyp (supine 3/412, prone 5/388)", (3, 412)),
        ("a polyp (supine 211, decubitus 198)", (None, 211)),
        ("the patient was prone 30 minutes", None),
        ("lesion on images 33 and 34 of series 601", (601, 33)),
        ("nodule (se/im 3/45)", (3, 45)),
        ("nodule (Series/Image: 3/45)", (3, 45)),
        ("image(s) 45-47 of series 3", (3, 45)),
        ("(IMG: 45, SER: 3)", (3, 45)),
        ("ratio of 3:142", None),
        ("On 3/14 a nodule was larger", None),
    ],
)
def test_pointers(text: str, pointer: tuple[int | None, int | None] | None) -> None:
    assert find_pointer(text) == (ImagePointer(*pointer) if pointer else None)
