"""Curates an export assembled from the public series and notes beside the checkout: the whole path on real input.

The notes are of other people than the series, so what this proves is the path (reading, linking, dropping,
de-identifying, verifying), not the pairs. Each note goes to a series of its own body part, by StudyInstanceUID; one
note goes nowhere, to be accounted for. ``python -m benchmarks real_export`` prints the flow.
"""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

NOTE_OF_STUDY = {
    "1.3.6.1.4.1.14519.5.2.1.6279.6001.265704884949271879044145982159": "mt0098",  # chest
    "1.3.6.1.4.1.14519.5.2.1.9203.8273.319461848560755521018609264462": "mt0045",  # abdomen
    "1.3.6.1.4.1.14519.5.2.1.8421.4017.314265299318486820415948375829": "mt0047",  # abdomen and pelvis
    "1.3.6.1.4.1.14519.5.2.1.1078.3273.382194720873684027956624363347": "mt0027",  # abdomen and pelvis
    "1.2.826.0.1.3680043.9.4245.1760717064491086528325869788156915668": "mt0080",  # head
    "1.3.46.670589.33.1.15053592413351079234.27718218421047494460": "mt0031",  # head phantom
    "1.3.12.2.1107.5.1.4.60204.30000017090505090890800000005": "mt0074",  # another body part: for the audit to find
}
"""Which note stands in for the report of which study."""

LOST_NOTE = "mt0014"
"""A report whose study is not in the export."""


def assemble(out: Path) -> tuple[Path, Path]:
    """Copy the series to ``out/dicom`` and write ``out/reports.csv``; returns both paths."""
    for folder in sorted(DATA.iterdir()):
        if folder.is_dir() and folder.name != "mtsamples":
            shutil.copytree(folder, out / "dicom" / folder.name, copy_function=shutil.copyfile)
    with open(DATA / "mtsamples" / "notes.csv", newline="", encoding="utf-8") as file:
        text_of = {row["note_id"]: row["text"] for row in csv.DictReader(file)}
    with open(out / "reports.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["study_instance_uid", "report_text"])
        writer.writerows([study, text_of[note]] for study, note in sorted(NOTE_OF_STUDY.items()))
        writer.writerow(["1.2.3.4.5", text_of[LOST_NOTE]])
    return out / "dicom", out / "reports.csv"


def main() -> int:
    """Assemble, curate, verify, print the flow."""
    if not DATA.is_dir():
        print(f"{DATA} is absent: nothing to curate", file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        dicom, reports = assemble(Path(temporary))
        words = ["run", dicom, "--reports", reports, "--out", Path(temporary) / "dataset", "--workers", "2"]
        done = subprocess.run([sys.executable, "-m", "curation", *map(str, words)], stdout=subprocess.PIPE, check=False)
        summary = json.loads(done.stdout)
        for stage, count in summary["counts"].items():
            print(f"{stage:10} in {count['in']:5}  kept {count['kept']:5}  dropped {count['dropped']:5}")
        print(f"pairs {summary['pairs']}, seconds {summary['seconds']}")
        return done.returncode


if __name__ == "__main__":
    raise SystemExit(main())
