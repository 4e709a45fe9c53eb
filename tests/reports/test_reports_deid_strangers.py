"""What no list knows and no cue shows: capitalised words in prose, numbers without a unit, telephones in a list."""

from __future__ import annotations

import pytest

from reports.deidentify import Deidentifier


def deidentify(text: str) -> str:
    return Deidentifier((), shift_days=-3, seed=b"test").apply(text).text


@pytest.mark.parametrize("name", ["Okwuosa", "Zvekic", "Mkhwebane", "Vanslembrouck"])
@pytest.mark.parametrize(
    "context",
    [
        "Under the {} firm since May.",
        "I showed this to {}.",
        "In the opinion of {} this is benign.",
        "No change, as {} noted before.",
        "Firm: {}",
        "Arbitration: {}, 2019",
        "[{}]",
        "~{}",
        "Final: {} 14:05",
        "Engineer {} present.",
        "MDT {}",
        "{} to review tomorrow.",
        "{} and I reviewed this.",
        "{} from surgery called.",
        "{}'s scan is missing.",
    ],
)
def test_a_capitalised_word_that_nothing_knows_is_a_person(name: str, context: str) -> None:
    out = deidentify(f"FINDINGS: The liver is normal.\n{context.format(name)}\nNo effusion.")
    assert name not in out
    assert out.endswith("No effusion.")


@pytest.mark.parametrize("name", ["King", "Hope", "Ng", "Li"])
def test_within_a_sentence_a_word_that_is_also_a_name_is_one(name: str) -> None:
    shown = deidentify(f"The images were shown to {name} before lunch.")
    assert (shown == "The images were shown to [NAME] before lunch.") is (name != "King")  # King's classification


@pytest.mark.parametrize(
    "text",
    [
        "Lasix 40 mg and Zzyvox 7.5mg were given. He takes Coumadin.",
        "Goutallier grade 3, Poschl and Stenvers planes, Gamna-Gandy bodies.",
        "Bard Denali IVC filter and a Zzyvox stent. Using Vicryl sutures.",
        "FINDINGS: Triphasic scan. Hyperenhancing lesion. IMPRESSION: Pneumobilia.",
        "Hill of the Long thoracic nerve, 4 Fr catheter, Ib stage, Se 3, Ca 2.5.",
        "Platelets 152000, CPT 71260, heparin 12000 units, DLP 11042, TR/TE 4500/98, 2019/20, 3.2-4.1 cm.",
        "Die Leber und die Milz sind unauffällig. Kein Nachweis einer Raumforderung in der Lunge.",
    ],
)
def test_drugs_devices_eponyms_doses_and_counts_stay(text: str) -> None:
    assert deidentify(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sticker: 48811", "Sticker: [ID]"),
        ("PHN 9123 456 789\n1. Liver normal.", "PHN [PHONE]\n1. Liver normal."),
        ("Tel. 020 7946 0881\n2 cysts in the liver.", "Tel. [PHONE]\n2 cysts in the liver."),
        ("Call the ward at 4-8112.", "Call the ward at [PHONE]."),
        ("555-481-1223 poste 48 is out of order", "[PHONE] is out of order"),
        ("Klappe 4811", "Klappe [PHONE]"),
        ("Historia 00-88-21-3", "Historia [ID]"),
        ("nr 4471/2023", "nr [ID]"),
        ("PIN 4811", "PIN [ID]"),
        ("number plate LK48 XYZ", "number plate [ID]"),
        ("mrn forty-eight eleven twenty-two period", "mrn [ID] period"),
        ("Record number is four eight one dash one two two.", "Record number is [ID]."),
        ("call back five five five, four eight one, one two two three", "call back [PHONE]"),
        ("One to two of three nodules, four to five mm.", "One to two of three nodules, four to five mm."),
        ("C.R.No. 456/21, CT/45/21, typed by 1042", "C.R.No. [ID], [ID], typed by [ID]"),
    ],
)
def test_numbers_that_no_unit_follows_are_somebodys(text: str, expected: str) -> None:
    assert deidentify(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Trauma team (Hall/Setiawan) aware.", "Trauma team ([NAME]/[NAME]) aware."),
        ("Agree with above. N'Diaye", "Agree with above. [NAME]'[NAME]"),
        ("HISTORY: MS. LIGHT IS STATUS POST FALL.", "HISTORY: MS. [NAME] IS STATUS POST FALL."),
        ("OBR|1|||71260^CT CHEST||1142849408^DO^DEWI", "OBR|1|||[ID]^CT CHEST||[ID]^[NAME]"),
        ("Seen by Dr. Setiawan Radiology. Kidney normal.", "Seen by Dr. [NAME] Radiology. Kidney normal."),
    ],
)
def test_what_stands_beside_a_name_and_may_be_one_goes_with_it(text: str, expected: str) -> None:
    assert deidentify(text) == expected
