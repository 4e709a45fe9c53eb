"""The tables of a demo export: reports.csv, and truth/*.csv.

Enters: the truth of every study. Leaves: CSV files (UTF-8, quoted where needed). Never read by the curation.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from curation.demo import report_text
from curation.demo.faults import Fault
from curation.demo.labels import LESION_NUMBER, NAME
from curation.demo.plan import CATALOGUE_ID, StudyPlan, make_uid
from curation.demo.study import StudyTruth, finding_values

REPORT_COLUMNS = (
    "report_number", "accession_number", "patient_id", "issuer_of_patient_id", "patient_name", "birth_date", "sex",
    "study_date", "report_datetime", "status", "modality", "description", "report_text",
)  # fmt: skip


def write_tables(out: Path, truths: Sequence[StudyTruth], *, seed: int) -> dict[str, int]:
    """Write reports.csv and everything under truth/ but the masks; returns counts."""
    rows = [row for truth in truths for row in _report_rows(truth)] + _orphans(truths, seed)
    order = np.random.default_rng([seed, 3]).permutation(len(rows))
    _write(out / "reports.csv", REPORT_COLUMNS, [rows[int(n)] for n in order])
    links = [
        {
            "accession_number": t.plan.accession_number,
            "study_instance_uid": t.plan.study_uid,
            "report_number": t.plan.report_number,
        }
        for t in truths
        if t.plan.report_fault != "no_report"
    ]
    folder = out / "truth"
    _write(folder / "links.csv", ("accession_number", "study_instance_uid", "report_number"), links)
    _write(folder / "series.csv",
           ("study_instance_uid", "series_instance_uid", "kind", "is_best", "fault", "expected", "expected_reason"),
           [row for truth in truths for row in _series_rows(truth)])  # fmt: skip
    _write(
        folder / "lesions.csv",
        ("study_instance_uid", "kind", "region", "laterality", "size_mm", "x_ras", "y_ras", "z_ras", "named_in_report"),
        [row for truth in truths for row in _lesion_rows(truth)],
    )
    _write(folder / "findings.csv", ("study_instance_uid", "finding", "value"),
           [{"study_instance_uid": t.plan.study_uid, "finding": name, "value": value}
            for t in truths for name, value in finding_values(t).items()])  # fmt: skip
    _write(folder / "identifiers.csv", ("kind", "value", "study_instance_uid"), _identifier_rows(truths))
    _write(
        folder / "faults.csv",
        ("fault", "name", "detail", "study_instance_uid", "series_instance_uid", "expected_reason"),
        [row for truth in truths for row in _fault_rows(truth)],
    )
    _write_json(folder / "organs" / "labels.json", {str(n): name for n, name in sorted(NAME.items())})
    _write_json(folder / "lesions" / "labels.json", {str(n): name for name, n in LESION_NUMBER.items()})
    return {"n_reports": len(rows), "n_links": len(links), "n_lesions": sum(len(t.lesions) for t in truths)}


def _report_rows(truth: StudyTruth) -> list[dict[str, object]]:
    plan, fault = truth.plan, truth.plan.report_fault
    if fault == "no_report":
        return []
    final = _row(plan, truth.report, status="final", hours=3)
    if fault == "preliminary":
        return [_row(plan, report_text.preliminary_text(truth.report), status="preliminary", hours=1), final]
    if fault == "preliminary_only":
        return [{**final, "status": "preliminary"}]
    if fault == "addendum":
        return [final, _row(plan, report_text.addendum_text(plan), status="addendum", hours=30)]
    if fault == "corrected":
        wrong = truth.report.replace("left", "LEFTSIDE").replace("right", "left").replace("LEFTSIDE", "right")
        return [{**final, "report_text": wrong}, _row(plan, truth.report, status="corrected", hours=8)]
    if fault == "cancelled":
        void = _row(plan, "Report cancelled: dictated on the wrong examination.", status="cancelled", hours=2)
        return [{**void, "report_number": plan.report_number + "X"}, final]
    return [final]


def _row(plan: StudyPlan, text: str, *, status: str, hours: int) -> dict[str, object]:
    patient = plan.patient
    hour = int(plan.study_time[:2]) + hours
    day = date.fromisoformat(plan.study_date) + timedelta(days=hour // 24)
    family, _, given = patient.name.partition("^")
    part = {"chest": "CT CHEST", "abdomen": "CT ABDOMEN AND PELVIS"}.get(plan.coverage, "CT CHEST, ABDOMEN AND PELVIS")
    return {
        "report_number": plan.report_number,
        "accession_number": plan.accession_number,
        "patient_id": patient.patient_id,
        "issuer_of_patient_id": patient.issuer,
        "patient_name": f"{family}, {given}",
        "birth_date": patient.birth_date,
        "sex": patient.sex,
        "study_date": plan.study_date,
        "report_datetime": f"{day}T{hour % 24:02d}:{plan.study_time[2:4]}:{plan.study_time[4:]}",
        "status": status,
        "modality": "CT",
        "description": part,
        "report_text": text,
    }


def _orphans(truths: Sequence[StudyTruth], seed: int) -> list[dict[str, object]]:
    """Reports whose images were not exported: about one in sixteen."""
    rows = []
    for n in range(max(1, len(truths) // 16)):
        model = truths[(n * 16 + 1) % len(truths)]
        unique = make_uid("orphan", seed, n)[-9:]
        row = _row(model.plan, model.report, status="final", hours=4)
        text = "CT HEAD WITHOUT CONTRAST\n\nFINDINGS: No intracranial hemorrhage. Ventricles are normal.\n\n"
        text += "IMPRESSION: Normal."
        row |= {
            "report_number": f"Q{unique}",
            "accession_number": f"X{unique}",
            "patient_id": f"Z{unique}",
            "patient_name": "ORPHANED, REPORT",
            "description": "CT HEAD",
            "report_text": text,
        }
        rows.append(row)
    return rows


def _series_rows(truth: StudyTruth) -> list[dict[str, object]]:
    return [
        {
            "study_instance_uid": truth.plan.study_uid,
            "series_instance_uid": s.series_uid,
            "kind": s.kind,
            "is_best": int(s.is_best),
            "fault": s.fault,
            "expected": s.expected,
            "expected_reason": s.reason,
        }
        for s in truth.series
    ]


def _lesion_rows(truth: StudyTruth) -> list[dict[str, object]]:
    mentioned = truth.plan.report_fault != "no_report"
    rows = []
    for lesion, named in zip(truth.lesions, truth.named, strict=True):
        x, y, z = lesion.centre_lps
        rows.append(
            {
                "study_instance_uid": truth.plan.study_uid,
                "kind": lesion.kind,
                "region": lesion.region,
                "laterality": lesion.laterality,
                "size_mm": f"{lesion.size_mm:.1f}",
                "x_ras": f"{-x:.2f}",
                "y_ras": f"{-y:.2f}",
                "z_ras": f"{z:.2f}",
                "named_in_report": int(named and mentioned),
            }
        )
    return rows


def _identifier_rows(truths: Iterable[StudyTruth]) -> list[dict[str, object]]:
    seen = set()
    for truth in truths:
        own = list(truth.identifiers)
        if truth.plan.report_fault != "no_report":
            own += [*truth.report_identifiers, ("report_number", truth.plan.report_number)]
        seen |= {(kind, value, truth.plan.study_uid) for kind, value in own}
    return [{"kind": kind, "value": value, "study_instance_uid": uid} for kind, value, uid in sorted(seen)]


def _fault_rows(truth: StudyTruth) -> list[dict[str, object]]:
    plan = truth.plan
    done = [*truth.faults, *([Fault(plan.report_fault, "report")] if plan.report_fault else [])]
    return [
        {
            "fault": CATALOGUE_ID[fault.fault],
            "name": fault.fault,
            "detail": fault.detail,
            "study_instance_uid": plan.study_uid,
            "series_instance_uid": fault.series_uid,
            "expected_reason": fault.reason,
        }
        for fault in done
    ]


def _write(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _write_json(path: Path, value: Mapping[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
