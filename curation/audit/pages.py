"""The audit's pages as HTML: worklist, case, drops.

Enters: a casebook, verdicts. Leaves: HTML, everything escaped. Templates hold the words and layout.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from curation.audit.casebook import Case, Casebook
from curation.audit.slices import PLANES, WINDOWS
from curation.audit.verdicts import Decision
from curation.codes import meaning
from curation.contract import SPLITS, VERDICTS, affine_of, in_order_of_work

PAGE_SIZE = 100


@dataclass(frozen=True)
class Filter:
    """What the worklist is narrowed to; empty strings do not narrow."""

    verdict: str = ""  # a verdict, "none", or ""
    flag: str = ""
    split: str = ""
    words: str = ""  # part of a pair id
    page: int = 1


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
    made.globals.update(verdict_names=VERDICTS, split_names=SPLITS)
    return made


def worklist_page(book: Casebook, decisions: dict[str, Decision], *, narrowed: Filter) -> str:
    """The pairs that match, most suspicious first, a page of `PAGE_SIZE` at a time."""
    verdicts = {pair_id: decision.verdict or "" for pair_id, decision in decisions.items()}
    rows = [pair for pair in book.pairs.values() if _matches(pair, verdicts, narrowed)]
    first = (narrowed.page - 1) * PAGE_SIZE
    return (
        environment()
        .get_template("worklist.html")
        .render(
            name=book.dataset.manifest.get("name", "data set"),
            rows=[_with_volume(book, pair) for pair in rows[first : first + PAGE_SIZE]],
            verdicts=verdicts,
            n_found=len(rows),
            n_pairs=len(book.pairs),
            n_audited=sum(bool(verdict) for verdict in verdicts.values()),
            flags=book.flags.most_common(),
            narrowed=narrowed,
            n_pages=max(1, -(-len(rows) // PAGE_SIZE)),
        )
    )


def case_page(book: Casebook, case: Case, history: list[Decision]) -> str:
    """Volume, report, verdict of one pair."""
    before, after = book.neighbours(case.pair["pair_id"])
    current = history[-1].verdict if history else case.pair["verdict"]
    return (
        environment()
        .get_template("case.html")
        .render(
            case=case,
            parts=report_parts(case),
            history=history,
            current=current,
            before=before,
            after=after,
            facts=json.dumps(viewer_facts(case)),
            planes=list(PLANES),
            windows=list(WINDOWS),
        )
    )


def drops_page(book: Casebook) -> str:
    """Everything that was dropped: counts per stage and reason, with what each reason means."""
    counts = Counter((row["stage"], row["kind"], row["reason"]) for row in book.dropped)
    rows = [(*key, count) for key, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    return (
        environment()
        .get_template("drops.html")
        .render(
            name=book.dataset.manifest.get("name", "data set"),
            counts=rows,
            flow=in_order_of_work(book.dataset.manifest.get("counts", {})),
            n_dropped=len(book.dropped),
        )
    )


def viewer_facts(case: Case) -> dict[str, Any]:
    """What the page's script needs: shape, spacing, boxes per sentence and of the volume, slice positions."""
    volume = case.volume
    return {
        "pair_id": case.pair["pair_id"],
        "volume_id": volume["volume_id"],
        "shape_ijk": list(volume["shape_ijk"]),
        "spacing_mm": list(volume["spacing_mm"]),
        "origin_ras": affine_of(volume)[:3, 3].tolist(),
        "sentences": {
            sentence_id: [_box_facts(box) for box in boxes] for sentence_id, boxes in case.boxes.items() if boxes
        },
        "regions": [_box_facts(box) for box in case.volume_boxes],
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


def _with_volume(book: Casebook, pair: dict[str, Any]) -> dict[str, Any]:
    volume = book.volumes[pair["volume_id"]]
    return {**pair, "body_regions": volume["body_regions"], "n_repairs": len(volume["repairs"] or ())}


def _matches(pair: dict[str, Any], verdicts: dict[str, str], narrowed: Filter) -> bool:
    verdict = verdicts.get(pair["pair_id"], pair["verdict"] or "")
    return (
        (not narrowed.verdict or (verdict or "none") == narrowed.verdict)
        and (not narrowed.flag or narrowed.flag in (pair["flags"] or ()))
        and (not narrowed.split or pair["split"] == narrowed.split)
        and (not narrowed.words or narrowed.words.lower() in pair["pair_id"])
    )
