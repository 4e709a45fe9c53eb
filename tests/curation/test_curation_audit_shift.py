"""Reports that slipped by a row, from the export to the data set: named with their rows, whoever else is there."""

import pytest
from hospital import CONFIG, StudyPlan, configured, curate, report_row, write_export, write_reports

from curation.contract import Dataset

N = 14
FIRST, LAST = 5, 11  # rows of the reports, from 1
FAMILIES = (
    "Ashgrove", "Birchall", "Cawthorne", "Dunsford", "Eldershaw", "Fairburn", "Garside", "Hathersage", "Ingoldsby",
    "Jessamine", "Kettlewell", "Lathbury", "Marchmont", "Netherby",
)  # fmt: skip
TEXT = (
    "EXAM: CT ABDOMEN\n\nFINDINGS: The liver is normal. There is a {size} mm cyst in the right kidney. The spleen is "
    "unremarkable. No ascites.\n\nIMPRESSION: Simple renal cyst of {size} mm.\n\nMRN: {patient}\n"
    "Electronically signed on {day}\n"
)


def plans():
    return tuple(
        StudyPlan(
            n, f"MRN81{n:02d}55", f"{family}^Robin", f"ACC81{n:02d}77", f"2021{1 + n % 12:02d}{3 + 2 * n % 25:02d}"
        )
        for n, family in enumerate(FAMILIES, start=1)
    )


@pytest.fixture(scope="module")
def slipped(tmp_path_factory):
    """A data set of which rows FIRST to LAST carry the text of the row before."""
    root = configured(
        write_export(tmp_path_factory.mktemp("slipped"), plans()), CONFIG + "[link]\nother_patient = 'flag'\n"
    )
    rows = [report_row(plan) for plan in plans()]
    for n, (row, plan) in enumerate(zip(rows, plans(), strict=True)):
        day = f"{plan.date[4:6]}/{plan.date[6:]}/{plan.date[:4]}"
        row["report_text"] = TEXT.format(size=11 + n, patient=plan.patient, day=day)
    texts = [row["report_text"] for row in rows]
    for n in range(FIRST - 1, LAST):
        rows[n]["report_text"] = texts[n - 1]
    write_reports(root / "reports.csv", rows)
    dataset = root.parent / "slipped-set"
    assert curate(root, dataset) == 0
    return Dataset.open(dataset)


def test_the_block_is_named_with_its_first_and_last_row(slipped):
    found = [row for row in slipped.rows("suspicions") if row["code"] == "ROW_SHIFT"]
    assert {row["detail"] for row in found} == {
        f"reports {FIRST} to {LAST} of the source fit the study 1 row(s) before their own"
    }
    assert {row["severity"] for row in found} == {"alarm"}


def test_every_slipped_pair_is_flagged_or_withheld_and_no_other(slipped):
    n_slipped = LAST - FIRST + 1
    pairs = slipped.rows("pairs")
    flagged = [row for row in pairs if "ROW_SHIFT" in row["flags"]]
    withheld = [row for row in slipped.rows("dropped") if row["reason"] in ("DEID_LEAK", "DUPLICATE_REPORT")]
    assert len(flagged) + len(withheld) == n_slipped
    assert len(pairs) == N - len(withheld)
    assert all("TEXT_OTHER_PATIENT" in row["flags"] or "TEXT_OTHER_DAY" in row["flags"] for row in flagged)
    others = [row for row in pairs if "ROW_SHIFT" not in row["flags"]]
    assert not any("TEXT_OTHER_PATIENT" in row["flags"] for row in others)
    assert min(row["suspicion"] for row in flagged) > max(row["suspicion"] for row in others)


def test_what_the_rules_saw_names_nobody(slipped):
    words = " ".join(row["detail"] for row in slipped.rows("suspicions"))
    assert not any(family in words for family in FAMILIES)
    assert not any(word in words for word in ("MRN", "ACC", "2021"))
