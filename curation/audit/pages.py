"""The page of a case as HTML, and what all pages share.

Enters: a case, its verdicts. Leaves: HTML, everything escaped. Templates hold the words and layout.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from curation.audit.casebook import Case, Casebook
from curation.audit.slices import EDGES, PLANES, WINDOWS
from curation.audit.verdicts import Decision
from curation.audit.viewer import VERSION, viewer_script
from curation.audit.worklist import Filter
from curation.codes import meaning
from curation.contract import SPLITS, VERDICTS, affine_of
from curation.suspicion import severity_of


@dataclass(frozen=True)
class Following:
    """The pairs before and after in the list that the analyst came from, and the place in it."""

    before: str | None
    after: str | None
    place: int
    n_found: int


STAGE_WORK = {
    "files": "files found and read as DICOM",
    "identity": "files that name patient, study and image, each once",
    "studies": "studies that name one patient",
    "reports": "reports read, the last version of each",
    "link_studies": "studies with a report",
    "link_reports": "reports with a study",
    "process": "studies worked through to their end",
    "reread": "files read again with their pixels",
    "stacks": "stacks of slices that are regular and in Hounsfield units",
    "select": "stacks chosen for their study",
    "convert": "volumes written",
    "pairs": "reports with a volume, free of identifiers",
    "release": "pairs released: no duplicate, nothing that identifies",
}
"""Stage -> what it keeps, as the flow shows it."""


@cache
def environment() -> Environment:
    """Jinja with autoescape on everywhere and undefined names an error."""
    made = Environment(
        loader=PackageLoader("curation.audit", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["meaning"] = meaning
    made.filters["severity"] = severity_of
    made.filters["work"] = lambda stage: STAGE_WORK.get(stage, "")
    made.globals.update(verdict_names=VERDICTS, split_names=SPLITS)
    return made


def case_page(
    book: Casebook, case: Case, history: list[Decision], *, narrowed: Filter, reader: str, following: Following
) -> str:
    """Volume, report, verdict of one pair.

    Parameters
    ----------
    history : list of Decision
        Every reader's; another reader's entries are shown once this reader has judged the pair.
    """
    own = [entry for entry in history if entry.reader == reader]
    has_judged = bool(own and own[-1].verdict)
    shown = history if has_judged or not reader else own
    current = own[-1].verdict if own else book.folded.get(case.pair["pair_id"]) if not reader else None
    return (
        environment()
        .get_template("case.html")
        .render(
            case=case,
            parts=report_parts(case),
            history=shown,
            n_hidden=len(history) - len(shown),
            current=current,
            reader=reader,
            following=following,
            query=urlencode(narrowed.query()),
            facts=json.dumps(viewer_facts(case)),
            planes=list(PLANES),
            edges=EDGES,
            windows=list(WINDOWS),
        )
    )


def viewer_facts(case: Case) -> dict[str, Any]:
    """What the page's script needs: shape, spacing, boxes per sentence and of the volume, slice positions."""
    volume = case.volume
    return {
        "pair_id": case.pair["pair_id"],
        "volume_id": volume["volume_id"],
        "is_gz": volume["path"].endswith(".gz"),
        "niivue": VERSION if viewer_script() else None,
        "windows": {name: [level - width / 2, level + width / 2] for name, (level, width) in WINDOWS.items()},
        "shape_ijk": list(volume["shape_ijk"]),
        "spacing_mm": list(volume["spacing_mm"]),
        "affine_ras": affine_of(volume).tolist(),
        "slices": slice_places(volume),
        "sentences": {
            sentence_id: [_box_facts(box) for box in boxes] for sentence_id, boxes in case.boxes.items() if boxes
        },
    }


def slice_places(volume: dict[str, Any]) -> dict[str, Any]:
    """Where the source's images lie: series number, image numbers, their place along the normal, the normal in RAS."""
    held = volume["slice_map"] or {}
    x, y, z = held.get("normal_lps") or (0.0, 0.0, 1.0)
    return {
        "series": held.get("series_number"),
        "images": held.get("instance_number") or [],
        "mm": held.get("position_mm") or [],
        "normal_ras": [-x, -y, z],
    }


def report_parts(case: Case) -> list[dict[str, Any]]:
    """The report's text cut into plain stretches and sentences, in order, so that joining them gives the text."""
    text, parts, place = case.report["text"], [], 0
    for sentence in sorted(case.sentences, key=lambda row: row["char_start"]):
        if sentence["char_start"] < place:
            continue
        if sentence["char_start"] > place:
            parts.append({"text": text[place : sentence["char_start"]], "sentence": None, "boxes": ()})
        place = sentence["char_end"]
        boxes = case.boxes[sentence["sentence_id"]]
        parts.append({"text": text[sentence["char_start"] : place], "sentence": sentence, "boxes": boxes})
    parts.append({"text": text[place:], "sentence": None, "boxes": ()})
    return [part for part in parts if part["text"]]


def _box_facts(box: Any) -> dict[str, Any]:
    return {
        "region": box.region,
        "source": box.source,
        "confidence": round(box.confidence, 2),
        "start": list(box.start_ijk),
        "size": list(box.size_ijk),
    }
