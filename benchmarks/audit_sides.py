"""How often the side of a finding is judged rightly: every sided text of curated data sets, as it is and exchanged.

    python -m benchmarks.audit_sides "demo of 64 studies, seed 1=DATASET" [NAME=DATASET ...] --work DIR

The rule (`curation.suspicion.sides`) is given each volume with its own text, which it should let pass, and with that
text after every "left" and "right" were exchanged, which it should flag. Regions are located anew, nothing is curated
again. `--work` keeps what each data set gave for the next call. The tables, the second over the threshold, go to
docs/audit.md.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.audit_planted import ROOT
from benchmarks.audit_planted_errors import SIDES, exchanged
from curation.align.locate import locate_regions
from curation.contract import Dataset, affine_of
from curation.suspicion import sides
from curation.suspicion.facts import text_facts
from curation.suspicion.shown import Shown
from reports.parse import parse_report
from reports.work import sentence_rows
from t3dkit.progress import Progress
from volumes.nifti import read_volume

MARKERS = ("<!-- sides, by benchmarks.audit_sides -->", "<!-- end of sides -->")
THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0)

Sign = tuple[float, bool]
"""Sum of the evidence for a text's sides; whether it names a lobe that its side does not have."""


def measure(dataset: Dataset) -> list[tuple[Sign, Sign, int]]:
    """Per sided text: what the volume says of it, of the exchanged text, and how many findings are measured."""
    volumes = {row["volume_id"]: row for row in dataset.rows("volumes")}
    texts = {row["report_id"]: row["text"] for row in dataset.rows("reports")}
    pairs = [row for row in dataset.rows("pairs") if SIDES.search(texts[row["report_id"]])]
    measured = []
    with Progress().task("sided texts", len(pairs)) as task:
        for pair in pairs:
            text, volume = texts[pair["report_id"]], volumes[pair["volume_id"]]
            data, affine = read_volume(dataset.volume_path(volume))[0], affine_of(volume)
            location = locate_regions(data, affine, modality=volume["modality"])
            boxes = {box.region: (np.array(box.start_ijk), np.array(box.stop_ijk)) for box in location.boxes}
            shown = Shown(data, volume["spacing_mm"], boxes)
            row_of = sides.pointed_row(volume["slice_map"], affine, volume["shape_ijk"])
            own, n = _sign(text, shown, row_of)
            measured.append((own, _sign(exchanged(text), shown, row_of)[0], n))
            task.advance()
    return measured


def _sign(text: str, shown: Shown, row_of: sides.RowOf) -> tuple[Sign, int]:
    rows = sentence_rows(parse_report(text), "report")
    said = list(sides.sided(rows, row_of))
    return (sum(sides.evidence(one, shown) for one in said), bool(text_facts(text, rows).no_lobe)), len(said)


def _flagged(signs: Sequence[Sign], threshold: float) -> int:
    return sum(total <= -threshold or no_lobe for total, no_lobe in signs)


def tables(measured: dict[str, list[tuple[Sign, Sign, int]]]) -> list[str]:
    """A row per data set at the rule's threshold; a row per threshold over all of them."""
    lines = [
        "`python -m benchmarks.audit_sides`: every text that names a side, as it is and with its sides exchanged.",
        "",
        "| data set | texts that name a side | flagged, sides exchanged | flagged as they are | nothing is measured |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, found in measured.items():
        lines.append(f"| {name} | {len(found)} | {_counts(found, sides.ENOUGH)} | {sum(not n for *_, n in found)} |")
    everything = [one for found in measured.values() for one in found]
    lines += ["", "| threshold | flagged, sides exchanged | flagged as they are |", "| ---: | ---: | ---: |"]
    for threshold in THRESHOLDS:
        name = f"{threshold:g}{' (the rule)' if threshold == sides.ENOUGH else ''}"
        lines.append(f"| {name} | {_counts(everything, threshold)} |")
    return lines


def _counts(found: Sequence[tuple[Sign, Sign, int]], threshold: float) -> str:
    """Two cells: flagged with exchanged sides, flagged as they are."""
    counts = _flagged([one[1] for one in found], threshold), _flagged([one[0] for one in found], threshold)
    return " | ".join(f"{count} ({count / max(1, len(found)):.1%})" for count in counts)


def write_page(lines: Sequence[str]) -> None:
    """Put the tables between the markers of docs/audit.md."""
    page = ROOT / "docs/audit.md"
    head, rest = page.read_text(encoding="utf-8").split(MARKERS[0])
    tail = rest.split(MARKERS[1])[1]
    page.write_text(f"{head}{MARKERS[0]}\n\n" + "\n".join(lines) + f"\n\n{MARKERS[1]}{tail}", encoding="utf-8")


def main(words: Sequence[str] = ()) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("datasets", nargs="+", metavar="NAME=DATASET")
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps what each data set gave")
    asked = parser.parse_args(words)
    asked.work.mkdir(parents=True, exist_ok=True)
    measured = {}
    for name, _, folder in (one.rpartition("=") for one in asked.datasets):
        record = asked.work / f"{re.sub('[^a-z0-9]+', '-', name.lower())}.json"
        if not record.is_file():
            record.write_text(json.dumps(measure(Dataset.open(Path(folder)))), encoding="utf-8")
        measured[name] = json.loads(record.read_text(encoding="utf-8"))
    lines = tables(measured)
    print("\n".join(lines))
    write_page(lines)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
