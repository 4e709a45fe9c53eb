"""The side of a finding in the images against the side in the text, on a painted trunk."""

import gc
import weakref

import numpy as np
import pytest
from align_phantom import LUNG_AXES, LUNGS, ORGANS, ellipsoid, trunk
from hospital import curate

from curation.align.coarse import block_means
from curation.align.locate import locate_regions
from curation.contract import Dataset
from curation.suspicion.facts import text_facts, volume_facts
from curation.suspicion.fit import pair_findings
from curation.suspicion.judge import judge_dataset
from curation.suspicion.shown import Shown, mirror
from curation.suspicion.sides import opposite_sides, pointed_row
from reports.parse import parse_report
from reports.work import sentence_rows

LOW, HIGH, STEP = 20.0, 560.0, 3.0
SIGN = {"left": -1.0, "right": 1.0}
OTHER = {"left": "right", "right": "left"}


@pytest.fixture(scope="module")
def plain():
    data, affine = trunk(LOW, HIGH, spacing_mm=STEP)
    boxes = locate_regions(data, affine).boxes
    return data, affine, {box.region: (np.array(box.start_ijk), np.array(box.stop_ijk)) for box in boxes}


def axes_of(data, affine):
    return [affine[a, 3] + affine[a, a] * np.arange(n).reshape([-1 if b == a else 1 for b in range(3)])
            for a, n in enumerate(data.shape)]  # fmt: skip


def ball(data, affine, center, radius_mm, hu):
    data[ellipsoid(*axes_of(data, affine), center, (radius_mm,) * 3)] = hu


def effusion(data, affine, side):
    x, y, z = axes_of(data, affine)
    data[ellipsoid(x, y, z, LUNGS[f"lung_{side}"], LUNG_AXES) & (y < -8) & (z > 240) & (z < 380)] = 10


def pneumothorax(data, affine, side):
    x, y, z = axes_of(data, affine)
    data[ellipsoid(x, y, z, LUNGS[f"lung_{side}"], LUNG_AXES) & (y > 60)] = -1000


def consolidation(data, affine, side):
    ball(data, affine, (SIGN[side] * 95, 10, 350), 24, 0)


def band(data, affine, side):
    data[ellipsoid(*axes_of(data, affine), (SIGN[side] * 95, 10, 350), (28, 20, 5))] = -20


def nodules(data, affine, side):
    for height in (340, 480):
        ball(data, affine, (SIGN[side] * 90, 20, height), 10, 30)


def stone(data, affine, side):
    ball(data, affine, ORGANS[f"kidney_{side}"][0], 5, 900)


def cyst(data, affine, side):
    (x, y, z), _, _ = ORGANS[f"kidney_{side}"]
    ball(data, affine, (x + SIGN[side] * 10, y, z), 20, 8)


CASES = (
    (effusion, "There is a moderate {side} pleural effusion.", "pleural effusion"),
    (pneumothorax, "Small {side} pneumothorax.", "pneumothorax"),
    (consolidation, "There is consolidation in the {side} lower lobe.", "filled lung"),
    (band, "Linear atelectasis in the {side} lower lobe.", "band of atelectasis"),
    (nodules, "A 20 mm nodule in the {side} upper lobe. A 20 mm nodule in the {side} lower lobe.", "nodule"),
    (stone, "There is a 10 mm stone in the {side} kidney.", "kidney stone"),
    (cyst, "There is a 28 mm cyst of the {side} kidney.", "renal cyst"),
)


def said(text):
    return sentence_rows(parse_report(f"FINDINGS: {text}\n"), "report")


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(("paint", "text", "name"), CASES, ids=[case[2] for case in CASES])
def test_a_finding_on_the_other_side_is_named_and_one_on_its_own_side_is_not(plain, paint, text, name, side):
    data, affine, boxes = plain[0].copy(), *plain[1:]
    paint(data, affine, side)
    wrong = opposite_sides(said(text.format(side=OTHER[side])), data, (STEP,) * 3, boxes)
    assert wrong == f"{name}: {OTHER[side]} in the text, {side} in the images"
    assert opposite_sides(said(text.format(side=side)), data, (STEP,) * 3, boxes) is None


@pytest.mark.parametrize(("paint", "text", "name"), CASES, ids=[case[2] for case in CASES])
def test_nothing_is_said_where_the_images_show_it_on_neither_or_on_both_sides(plain, paint, text, name):
    data, affine, boxes = plain[0].copy(), *plain[1:]
    for side in ("left", "right"):
        assert opposite_sides(said(text.format(side=side)), data, (STEP,) * 3, boxes) is None, f"{name}, on neither"
    for side in ("left", "right"):
        paint(data, affine, side)
    for side in ("left", "right"):
        assert opposite_sides(said(text.format(side=side)), data, (STEP,) * 3, boxes) is None, f"{name}, on both"


@pytest.mark.parametrize(
    "text",
    [
        "Left pleural effusion. Smaller right pleural effusion.",  # both sides are named
        "Bilateral pleural effusions.",
        "No right pleural effusion.",
        "Small pleural effusion.",
        "The right lung is clear.",
    ],
)
def test_texts_that_do_not_put_it_on_the_other_side_alone_are_left_alone(plain, text):
    data, affine, boxes = plain[0].copy(), *plain[1:]
    effusion(data, affine, "left")
    assert opposite_sides(said(text), data, (STEP,) * 3, boxes) is None


def test_a_mirrored_volume_contradicts_the_right_text(plain):
    data, affine, boxes = plain[0].copy(), *plain[1:]
    pneumothorax(data, affine, "left")
    mirrored = np.ascontiguousarray(data[::-1])
    found = opposite_sides(said("Small left pneumothorax."), mirrored, (STEP,) * 3, boxes)
    assert found == "pneumothorax: left in the text, right in the images"


@pytest.mark.parametrize("grades", [("Large", "small"), ("small", "Large"), ("Moderate", "large")])
def test_of_two_effusions_the_larger_one_tells_the_sides(plain, grades):
    data, affine, boxes = plain[0].copy(), *plain[1:]
    effusion(data, affine, "left")
    text = said(f"{grades[0]} left pleural effusion. {grades[1]} right pleural effusion.")
    is_right = grades[0] == "Large"
    expected = None if is_right else "pleural effusion: right in the text, left in the images"
    assert opposite_sides(text, data, (STEP,) * 3, boxes) == expected


def test_two_effusions_of_one_grade_tell_nothing(plain):
    data, affine, boxes = plain[0].copy(), *plain[1:]
    effusion(data, affine, "left")
    text = said("Moderate left pleural effusion. Moderate right pleural effusion.")
    assert opposite_sides(text, data, (STEP,) * 3, boxes) is None


@pytest.mark.parametrize("reach_mm", [0, 30])
def test_the_lungs_are_compared_across_the_middle_of_the_chest_even_where_one_reaches_over_it(plain, reach_mm):
    data, affine, boxes = plain[0].copy(), *plain[1:]
    effusion(data, affine, "right")
    low, high = boxes["lung_right"]
    boxes = {**boxes, "lung_right": (low - [round(reach_mm / STEP), 0, 0], high)}
    assert abs(Shown(data, (STEP,) * 3, boxes).chest.middle + affine[0, 3] / STEP) <= 2
    assert opposite_sides(said("Moderate right pleural effusion."), data, (STEP,) * 3, boxes) is None
    assert opposite_sides(said("Moderate left pleural effusion."), data, (STEP,) * 3, boxes) is not None


EFFUSION = "FINDINGS: Moderate right pleural effusion.\n"


@pytest.mark.parametrize(
    ("text", "is_heard"),
    [
        (f"HISTORY: Left pleural effusion?\n{EFFUSION}", True),
        (f"INDICATION: Rule out pleural effusion.\n{EFFUSION}", True),
        (f"{EFFUSION}IMPRESSION: Pleural effusion.\n", True),
        (f"{EFFUSION}IMPRESSION: Left pleural effusion.\n", False),
        (EFFUSION.replace("effusion.", "effusion, unchanged compared to 2021-03-04."), True),
        (EFFUSION.replace("Moderate", "Previous").replace("effusion.", "effusion seen on the prior study."), False),
    ],
)
def test_only_what_the_report_finds_today_counts_for_or_against_a_side(plain, text, is_heard):
    data, affine, boxes = plain[0].copy(), *plain[1:]
    effusion(data, affine, "left")
    rows = sentence_rows(parse_report(text), "report")
    assert (opposite_sides(rows, data, (STEP,) * 3, boxes) is not None) is is_heard


def test_an_image_pointer_singles_out_one_of_two_nodules(plain):
    data, affine, boxes = plain[0].copy(), *plain[1:]
    ball(data, affine, (SIGN["left"] * 90, 20, 340), 10, 30)
    ball(data, affine, (SIGN["right"] * 90, 20, 480), 10, 30)
    row = {height: (height - LOW) / STEP for height in (340, 480)}
    text = said("A 20 mm nodule in the left lung. A second nodule of 21 mm in the left upper lobe.")
    for height, expected in ((340, None), (480, "nodule: left in the text, right in the images")):
        found = opposite_sides(text, data, (STEP,) * 3, boxes, lambda _row, at=height: row[at])
        assert found == expected
    assert opposite_sides(text, data, (STEP,) * 3, boxes) is None


def test_each_side_is_looked_up_in_its_own_lobe(plain):
    data, affine, boxes = plain[0].copy(), plain[1], dict(plain[2])
    ball(data, affine, (SIGN["left"] * 90, 20, 360), 10, 30)
    for side, bottom in (("left", 320), ("right", 420)):
        low, high = boxes[f"lung_{side}"]
        boxes[f"lung_upper_lobe_{side}"] = (np.array([*low[:2], round((bottom - LOW) / STEP)]), high)
    for side in ("left", "right"):
        text = said(f"There is a 20 mm solid nodule in the {side} upper lobe.")
        assert (opposite_sides(text, data, (STEP,) * 3, boxes) is not None) is (side == "right")


@pytest.mark.parametrize(("hu", "word"), [(30, "solid"), (-600, "ground-glass")])
def test_a_nodule_is_looked_for_by_its_density(plain, hu, word):
    data, affine, boxes = plain[0].copy(), *plain[1:]
    ball(data, affine, (SIGN["left"] * 90, 20, 400), 10, hu)
    ball(data, affine, (SIGN["right"] * 90, 20, 400), 10, 30 if hu < 0 else -600)
    for side in ("left", "right"):
        text = said(f"There is a 20 mm {word} nodule in the {side} upper lobe. {side.title()} lung nodule, 20 mm.")
        assert (opposite_sides(text, data, (STEP,) * 3, boxes) is not None) is (side == "right")


def test_a_vessel_is_no_nodule(plain):
    data, affine, boxes = plain[0].copy(), *plain[1:]
    x, y, z = axes_of(data, affine)
    data[np.broadcast_to(((x - SIGN["right"] * 90) ** 2 + (y - 20) ** 2 < 36) & (abs(z - 400) < 60), data.shape)] = 40
    ball(data, affine, (SIGN["left"] * 90, 20, 400), 6, 40)
    assert opposite_sides(said("A 12 mm nodule in the left upper lobe."), data, (STEP,) * 3, boxes) is None
    assert opposite_sides(said("A 12 mm nodule in the right upper lobe."), data, (STEP,) * 3, boxes) is not None


def test_what_is_too_small_to_see_tells_nothing_without_an_image(plain):
    data, affine, boxes = plain[0].copy(), *plain[1:]
    ball(data, affine, (SIGN["left"] * 90, 20, 400), 4.5, 40)
    row = (400 - LOW) / STEP
    text = said("A 9 mm nodule in the right upper lobe.")
    assert opposite_sides(text, data, (STEP,) * 3, boxes) is None
    assert opposite_sides(text, data, (STEP,) * 3, boxes, lambda _row: row) is not None


@pytest.mark.parametrize("side", ["left", "right"])
def test_consolidation_at_the_front_against_the_chest_wall_is_seen_and_the_heart_is_none(plain, side):
    data, affine, boxes = plain[0].copy(), *plain[1:]
    x, y, z = axes_of(data, affine)
    lung = ellipsoid(x, y, z, LUNGS[f"lung_{side}"], LUNG_AXES)
    data[lung & (abs(x) > 105) & (y > 10) & (abs(z - 380) < 25)] = 0
    for stated in ("left", "right"):
        found = opposite_sides(said(f"Consolidation in the {stated} lung."), data, (STEP,) * 3, boxes)
        assert (found is not None) is (stated != side)


def test_no_volume_is_held_once_its_study_is_done(plain):
    shown = Shown(plain[0], (STEP,) * 3, plain[2])
    assert shown.nodule_hu("left", slice(None), 20.0) >= 0
    chest = weakref.ref(shown.chest)
    del shown
    gc.collect()
    assert chest() is None


def test_a_row_is_looked_up_where_the_pointer_points():
    slice_map = {"series_number": 2, "instance_number": [1, 2, 3], "position_mm": [0.0, 50.0, 100.0],
                 "normal_lps": [0.0, 0.0, 1.0]}  # fmt: skip
    row_of = pointed_row(slice_map, np.diag([2.0, 2.0, 2.0, 1.0]), (10, 10, 51))
    assert row_of({"image_pointer": {"series": 2, "image": 2}}) == pytest.approx(25, abs=1)
    assert row_of({"image_pointer": {"series": 3, "image": 2}}) is None
    assert row_of({"image_pointer": None}) is None


@pytest.mark.parametrize("is_narrow", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_mass_in_the_bladder_lies_where_the_urine_is_missing(side, is_narrow):
    data, affine = trunk(-205, 60, spacing_mm=STEP)
    low, high = (((np.array(ORGANS["urinary_bladder"][0]) + sign * np.array([44, 38, 36])
                   - affine[:3, 3]) / STEP).astype(int) for sign in (-1, 1))  # fmt: skip
    if is_narrow:  # the localizer's box ends with the urine
        (low if side == "left" else high)[0] += -round(SIGN[side] * 24 / STEP)
    boxes = {"urinary_bladder": (low, high)}
    ball(data, affine, (SIGN[side] * 30, 40, -130), 13, 55)
    for stated in ("left", "right"):
        found = opposite_sides(said(f"There is a 26 mm mass of the {stated} bladder wall."), data, (STEP,) * 3, boxes)
        assert (found is None) == (stated == side)


def test_evidence_for_the_text_outweighs_a_weaker_doubt(plain):
    data, affine, boxes = plain[0].copy(), *plain[1:]
    pneumothorax(data, affine, "left")
    cyst(data, affine, "right")
    text = "Small left pneumothorax. There is a 28 mm cyst of the left kidney."
    assert opposite_sides(said(text), data, (STEP,) * 3, boxes) is None


@pytest.mark.parametrize("finding", ["There is a 40 mm cyst of the {side} kidney.", "Mild {side} hydronephrosis."])
def test_water_in_a_kidney_shows_without_contrast_too(plain, finding):
    data, affine, boxes = plain[0].copy(), *plain[1:]
    for side in ("left", "right"):
        low, high = boxes[f"kidney_{side}"]
        kidney = data[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))]
        kidney[kidney > 50] = 35
    cyst(data, affine, "right")
    for side in ("left", "right"):
        found = opposite_sides(said(finding.format(side=side)), data, (STEP,) * 3, boxes)
        assert (found is not None) is (side == "left")


def test_a_wide_collecting_system_tells_its_side_beside_ascites(plain):
    data, affine, boxes = plain[0].copy(), *plain[1:]
    cyst(data, affine, "right")
    text = said("Severe left hydronephrosis. Moderate ascites.")
    found = opposite_sides(text, data, (STEP,) * 3, boxes)
    assert found == "hydronephrosis: left in the text, right in the images"


def test_a_cyst_tells_its_side_beside_ascites(plain):
    data, affine, boxes = plain[0].copy(), *plain[1:]
    for organ in ("kidney_left", "kidney_right"):
        (x, y, z), _, _ = ORGANS[organ]
        ball(data, affine, (x * 1.6, y + 20, z), 18, 10)  # fluid in the gutters
    cyst(data, affine, "right")
    for side in ("left", "right"):
        text = said(f"There is a 40 mm cyst of the {side} kidney. Moderate ascites.")
        assert (opposite_sides(text, data, (STEP,) * 3, boxes) is not None) is (side == "left")


def test_compressive_atelectasis_tells_nothing_beside_its_effusion(plain):
    data, affine, boxes = plain[0].copy(), *plain[1:]
    band(data, affine, "left")
    for kind, is_heard in (("compressive", False), ("linear", True)):
        text = said(f"There is {kind} atelectasis in the right lower lobe.")
        assert (opposite_sides(text, data, (STEP,) * 3, boxes) is not None) is is_heard


def test_a_volume_without_boxes_says_nothing(plain):
    assert opposite_sides(said("Small left pneumothorax."), plain[0], (STEP,) * 3, {}) is None


def test_fine_volumes_are_averaged_to_the_same_verdict(plain):
    data, affine, boxes = plain[0].copy(), *plain[1:]
    stone(data, affine, "left")
    fine = data.repeat(3, axis=0).repeat(3, axis=1).repeat(3, axis=2)
    finer = {region: (low * 3, high * 3) for region, (low, high) in boxes.items()}
    text = said("There is a 10 mm stone in the right kidney.")
    assert opposite_sides(text, fine, (1.0,) * 3, finer) is not None
    assert Shown(fine, (1.0,) * 3, finer).hu.shape == tuple(3 * n // 2 for n in data.shape)


def test_blocks_are_averaged_and_masks_are_mirrored():
    data = np.arange(5 * 4 * 2, dtype=np.int16).reshape(5, 4, 2)
    assert block_means(data, (2, 2, 1))[0, 0, 0] == data[:2, :2, 0].mean()
    assert block_means(data, (2, 2, 1)).shape == (2, 2, 2)
    uneven = np.random.default_rng(4).integers(-1024, 3071, (11, 10, 12)).astype(np.int16)
    plain = uneven[:10].reshape(2, 5, 2, 5, 2, 6).mean(axis=(1, 3, 5))
    for order in ("C", "F"):
        means = block_means(np.asarray(uneven, order=order), (5, 5, 6), most_lines=6)
        assert np.allclose(means, plain, atol=1e-3)
    mask = np.array([1, 0, 0, 0, 1, 1, 0], bool)[:, None, None]
    assert mirror(mask, 3)[:, 0, 0].tolist() == [True, True, False, False, False, True, False]


VOLUME = {
    "volume_id": "v", "affine_ras": np.eye(4).ravel().tolist(), "shape_ijk": [9, 9, 9], "spacing_mm": [1.0] * 3,
    "slice_map": None, "body_regions": [], "contrast": None, "patient_sex": None, "hu_percentiles": [],
    "padding_fraction": 0.0, "sha256": "0", "n_slices_source": 9, "vendor": "",
}  # fmt: skip


@pytest.mark.parametrize(("lobe", "is_mistake"), [("left middle lobe", True), ("right lingula", True),
                                                  ("right middle lobe", False), ("lingula", False)])  # fmt: skip
def test_a_lobe_that_its_side_does_not_have_is_a_conflict(lobe, is_mistake):
    text = f"FINDINGS: Nodule in the {lobe}.\n"
    found = pair_findings(text_facts(text, said(f"Nodule in the {lobe}.")), volume_facts(VOLUME, ()))
    details = {finding.detail for finding in found if finding.code == "LATERALITY_CONFLICT"}
    assert details == ({f"there is no {lobe}"} if is_mistake else set())


def test_what_a_study_saw_reaches_the_table_of_suspicions():
    detail = "pneumothorax: left in the text, right in the images"
    pair = {
        "pair_id": "p", "patient_id": "q", "study_id": "s", "report_id": "r", "volume_id": "v",
        "flags": ["SIDE_ELSEWHERE"], "link_confidence": 1.0, "suspicion": 0.0, "n_sentences": 4, "n_located": 2,
    }  # fmt: skip
    rows = {
        "pairs": [pair], "volumes": [VOLUME], "reports": [{"report_id": "r", "text": "Nothing.", "sections": []}],
        "sentences": [], "regions": [],
        "suspicions": [{"pair_id": "p", "code": "SIDE_ELSEWHERE", "severity": "", "detail": detail}],
    }  # fmt: skip
    (found,) = judge_dataset(rows)
    assert found == {"pair_id": "p", "code": "SIDE_ELSEWHERE", "severity": "look", "detail": detail}
    assert pair["suspicion"] > 0.3


def test_a_contradiction_costs_no_study_and_reaches_the_data_set(small_export, tmp_path, monkeypatch):
    detail = "kidney stone: left in the text, right in the images"
    monkeypatch.setattr("curation.suspicion.sides.opposite_sides", lambda *_: detail)
    assert curate(small_export, tmp_path / "set") == 0
    data = Dataset.open(tmp_path / "set")
    pairs = data.rows("pairs")
    assert pairs
    assert all("SIDE_ELSEWHERE" in row["flags"] for row in pairs)
    said_of = {row["pair_id"]: row["detail"] for row in data.rows("suspicions") if row["code"] == "SIDE_ELSEWHERE"}
    assert said_of == {row["pair_id"]: detail for row in pairs}
    assert not any(row["reason"] == "STAGE_FAILED" for row in data.rows("dropped"))
