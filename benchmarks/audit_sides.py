"""How often the side of a finding is judged rightly: every sided text of a curated data set, as it is and exchanged.

    python -m benchmarks.audit_sides DATASET [--name "demo export of 64 studies, seed 2026"]

The rule (`curation.suspicion.sides`) is given each volume with its own text, which it should let pass, and with that
text after every "left" and "right" were exchanged, which it should flag. Nothing is curated again. The table goes to
docs/audit.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.audit_planted import ROOT
from benchmarks.audit_planted_errors import SIDES, exchanged
from curation.contract import Dataset, affine_of, best_boxes
from curation.suspicion import sides
from curation.suspicion.facts import text_facts
from reports.parse import parse_report
from reports.work import sentence_rows
from volumes.nifti import read_volume

MARKERS = ("<!-- sides, by benchmarks.audit_sides -->", "<!-- end of sides -->")


@dataclass
class Count:
    """Texts that name a side, and how many of them the rule flags; `silent` have no finding that is measured."""

    texts: int = 0
    flagged: int = 0
    flagged_exchanged: int = 0
    silent: int = 0


def measure(dataset: Dataset) -> Count:
    """Every pair whose text names a side, with its own text and with the exchanged one."""
    volumes = {row["volume_id"]: row for row in dataset.rows("volumes")}
    texts = {row["report_id"]: row["text"] for row in dataset.rows("reports")}
    boxes: dict[str, dict[str, sides.Box]] = {}
    for (volume_id, region), row in best_boxes(dataset.rows("regions")).items():
        start = np.array(row["start_ijk"])
        boxes.setdefault(volume_id, {})[region] = (start, start + row["size_ijk"])
    count = Count()
    for pair in dataset.rows("pairs"):
        text, volume = texts[pair["report_id"]], volumes[pair["volume_id"]]
        if not SIDES.search(text):
            continue
        data = read_volume(dataset.volume_path(volume))[0]
        look = partial(
            sides.opposite_sides,
            data=data,
            spacing_mm=volume["spacing_mm"],
            boxes=boxes.get(pair["volume_id"], {}),
            row_of=sides.pointed_row(volume["slice_map"], affine_of(volume), volume["shape_ijk"]),
        )
        count.texts += 1
        count.flagged += _is_flagged(text, look)
        count.flagged_exchanged += _is_flagged(exchanged(text), look)
        count.silent += not list(sides.sided(_sentences(exchanged(text))))
    return count


def _sentences(text: str) -> list[dict[str, object]]:
    return sentence_rows(parse_report(text), "report")


def _is_flagged(text: str, look: Callable[[Sequence[dict[str, object]]], str | None]) -> bool:
    rows = _sentences(text)
    return bool(text_facts(text, rows).no_lobe) or look(rows) is not None


def write_page(count: Count, name: str) -> None:
    """Put the table between the markers of docs/audit.md."""
    page = ROOT / "docs/audit.md"
    text = page.read_text(encoding="utf-8")
    head, rest = text.split(MARKERS[0])
    tail = rest.split(MARKERS[1])[1]
    table = [
        f"`python -m benchmarks.audit_sides`: {name}.",
        "",
        "| texts that name a side | flagged, sides exchanged | flagged as they are | no finding that is measured |",
        "| ---: | ---: | ---: | ---: |",
        f"| {count.texts} | {count.flagged_exchanged} ({count.flagged_exchanged / max(1, count.texts):.1%}) "
        f"| {count.flagged} ({count.flagged / max(1, count.texts):.1%}) | {count.silent} |",
    ]
    page.write_text(f"{head}{MARKERS[0]}\n\n" + "\n".join(table) + f"\n\n{MARKERS[1]}{tail}", encoding="utf-8")


def main(words: Sequence[str] = ()) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--name", default="a curated data set", help="what the data set is, for the page")
    asked = parser.parse_args(words)
    count = measure(Dataset.open(asked.dataset))
    print(count)
    write_page(count, asked.name)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
