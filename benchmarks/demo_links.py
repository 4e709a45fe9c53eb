"""Links of a curated demo against its truth: found, missed, wrong; ``python -m benchmarks.demo_links [demo]``.

Wants the folder that ``make demo`` left. A link is a report number with a StudyInstanceUID: the truth has them in
``truth/links.csv``, and the private ledger says which study and report the pseudonyms of a pair stand for.
"""

from __future__ import annotations

import csv
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from curation.contract import Dataset, private_folder

Link = tuple[str, str]


def main(folder: str = "demo") -> int:
    """Count and print; exit 1 where a link is wrong or missing."""
    demo = Path(folder)
    if not (demo / "export" / "truth" / "links.csv").is_file():
        print(f"{demo} is no finished demo: run `make demo` first", file=sys.stderr)
        return 0
    right, found = true_links(demo / "export"), found_links(demo / "dataset")
    missed, wrong = right - found, found - right
    print(f"right links {len(right)}, found {len(right & found)}, missed {len(missed)}, wrong {len(wrong)}")
    return int(bool(missed or wrong))


def true_links(export: Path) -> set[Link]:
    """(StudyInstanceUID, report number) of the demo's truth."""
    with open(export / "truth" / "links.csv", newline="", encoding="utf-8") as file:
        return {(row["study_instance_uid"], row["report_number"]) for row in csv.DictReader(file)}


def found_links(root: Path) -> set[Link]:
    """(StudyInstanceUID, report number) of every pair of a data set."""
    with closing(sqlite3.connect(private_folder(root) / "ledger.sqlite")) as base:
        study = dict(base.execute("SELECT pseudonym, value FROM crosswalk WHERE kind = 'study'"))
        report = dict(base.execute("SELECT pseudonym, value FROM crosswalk WHERE kind = 'report'"))
    pairs = Dataset.open(root).rows("pairs")
    return {(study[row["study_id"]], report[row["report_id"]].split("\x1f")[-1]) for row in pairs}


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:2]))
