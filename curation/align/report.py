"""How well the sentences of a data set are located, without labels: a table that any data set can have.

Enters: rows of pairs, volumes, sentences and regions. Leaves: counts, and the same as Markdown. Refuses: nothing; it
proves nothing either, and says by which chance figures its agreements are to be read.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curation.contract import BOX_SOURCES, best_boxes

Row = dict[str, Any]
MAX_REGIONS = 40
SIZE_SLACK = 1.1
"""A measured length may exceed the diagonal of its region's box by a tenth: boxes are estimates."""


@dataclass(frozen=True)
class Said:
    """A sentence that names a region, in one pair's volume.

    Parameters
    ----------
    section : str
    regions : tuple of str
        Those it names.
    located : tuple of str
        Those of them that have a box.
    source : str or None
        Of the box to use: pointer, or the most trusted of the regions' boxes; None where there is no box.
    """

    section: str
    regions: tuple[str, ...]
    located: tuple[str, ...]
    source: str | None


def alignment_report(rows: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """What `rows` (tables of a data set by name) say about alignment.

    Returns
    -------
    dict
        sections, regions, sources: name -> counts; measurements and pointers: how far text and boxes agree.
    """
    volumes = {row["volume_id"]: row for row in rows["volumes"]}
    volume_of = {row["pair_id"]: row["volume_id"] for row in rows["pairs"]}
    boxes = best_boxes(rows["regions"])
    pointed = {(row["volume_id"], row["sentence_id"]): row for row in rows["regions"] if row["sentence_id"] is not None}
    mine = [(row, volume_of[row["pair_id"]]) for row in rows["sentences"] if row["pair_id"] in volume_of]
    said = [_said(row, volume, boxes, pointed) for row, volume in mine if row["regions"]]
    return {
        "sentences": len(mine),
        "naming_a_region": len(said),
        "located": sum(one.source is not None for one in said),
        "sections": _by_section(said, mine),
        "sources": dict(sorted(Counter(one.source for one in said if one.source).items())),
        "regions": _by_region(said, boxes),
        "measurements": _measurements(mine, boxes, volumes),
        "pointers": _pointers(mine, boxes, pointed, volumes),
    }


def _said(row: Row, volume_id: str, boxes: Mapping[Any, Row], pointed: Mapping[Any, Row]) -> Said:
    located = tuple(region for region in row["regions"] if (volume_id, region) in boxes)
    source = min((boxes[volume_id, region]["source"] for region in located), key=BOX_SOURCES.index, default=None)
    if (volume_id, row["sentence_id"]) in pointed:
        source = "pointer"
    return Said(row["section"], tuple(row["regions"]), located, source)


def _by_section(said: Sequence[Said], mine: Sequence[tuple[Row, str]]) -> dict[str, list[int]]:
    """section -> [sentences, naming a region, located], the largest first."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for row, _ in mine:
        counts[row["section"]][0] += 1
    for one in said:
        counts[one.section][1] += 1
        counts[one.section][2] += one.source is not None
    return dict(sorted(counts.items(), key=lambda item: (-item[1][0], item[0])))


def _by_region(said: Sequence[Said], boxes: Mapping[tuple[str, str], Row]) -> dict[str, dict[str, Any]]:
    """region -> how often it is named and located, the sources and the median confidence of its boxes."""
    named = Counter(region for one in said for region in one.regions)
    located = Counter(region for one in said for region in one.located)
    held: dict[str, list[Row]] = defaultdict(list)
    for (_, region), row in sorted(boxes.items()):
        held[region].append(row)
    return {
        region: {
            "named": n,
            "located": located[region],
            "sources": dict(sorted(Counter(row["source"] for row in held[region]).items())),
            "confidence": round(float(np.median([row["confidence"] for row in held[region]])), 2)
            if held[region]
            else None,
        }
        for region, n in sorted(named.items(), key=lambda item: (-item[1], item[0]))
    }


def _measurements(
    mine: Sequence[tuple[Row, str]], boxes: Mapping[tuple[str, str], Row], volumes: Mapping[str, Row]
) -> dict[str, Any]:
    """Lengths in sentences on a located region: how many fit into its box, and how long they are beside it."""
    shares = []
    for row, volume_id in mine:
        if not row["measurements_mm"]:
            continue
        diagonals = [float(np.linalg.norm(size)) for _, size in _boxes_mm(row, volume_id, boxes, volumes)]
        if diagonals:
            shares.append(max(row["measurements_mm"]) / max(diagonals))
    return {
        "n": len(shares),
        "fit": round(float(np.mean(np.array(shares) <= SIZE_SLACK)), 3) if shares else None,
        "median_share_of_diagonal": round(float(np.median(shares)), 3) if shares else None,
    }


def _pointers(
    mine: Sequence[tuple[Row, str]],
    boxes: Mapping[tuple[str, str], Row],
    pointed: Mapping[tuple[str, str], Row],
    volumes: Mapping[str, Row],
) -> dict[str, Any]:
    """Image pointers in sentences on a located region: how many meet its box, and how many would by chance."""
    met, chance = [], []
    for row, volume_id in mine:
        slab = pointed.get((volume_id, row["sentence_id"]))
        places = list(_boxes_mm(row, volume_id, boxes, volumes))
        if slab is None or not places:
            continue
        spacing, height = volumes[volume_id]["spacing_mm"][2], volumes[volume_id]["shape_ijk"][2]
        low, size = slab["start_ijk"][2] * spacing, slab["size_ijk"][2] * spacing
        met.append(any(start[2] < low + size and low < start[2] + edge[2] for start, edge in places))
        reach = max(float(edge[2]) for _, edge in places) + 30.0  # the slab's own height on a box it just meets
        chance.append(min(1.0, reach / (height * spacing)))
    return {
        "n": len(met),
        "meet": round(float(np.mean(met)), 3) if met else None,
        "meet_by_chance": round(float(np.mean(chance)), 3) if met else None,
    }


def _boxes_mm(
    row: Row, volume_id: str, boxes: Mapping[tuple[str, str], Row], volumes: Mapping[str, Row]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Start and size, mm, of the boxes of a sentence's regions."""
    spacing = np.array(volumes[volume_id]["spacing_mm"])
    for region in row["regions"] or ():
        box = boxes.get((volume_id, region))
        if box is not None:
            yield np.array(box["start_ijk"]) * spacing, np.array(box["size_ijk"]) * spacing


def alignment_text(report: Mapping[str, Any]) -> str:
    """The report as Markdown."""
    lines = [
        f"Of {report['sentences']:,} sentences {report['naming_a_region']:,} name a region, and "
        f"{report['located']:,} of these have a box. No label says whether the boxes are right; what follows is what "
        "can be seen without.\n",
        "| section | sentences | naming a region | located |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {name} | {n:,} | {named:,} | {located:,} |" for name, (n, named, located) in report["sections"].items()
    ]
    lines += ["", "| source of the box | sentences |", "| --- | ---: |"]
    lines += [f"| {name} | {n:,} |" for name, n in report["sources"].items()]
    lines += [
        "",
        "| region | named | located | boxes by source | median confidence |",
        "| --- | ---: | ---: | --- | ---: |",
    ]
    for name, one in list(report["regions"].items())[:MAX_REGIONS]:
        sources = ", ".join(f"{source} {n:,}" for source, n in one["sources"].items())
        lines.append(f"| {name} | {one['named']:,} | {one['located']:,} | {sources} | {one['confidence'] or ''} |")
    if len(report["regions"]) > MAX_REGIONS:
        lines.append(f"| {len(report['regions']) - MAX_REGIONS} others | | | | |")
    sizes, pointers = report["measurements"], report["pointers"]
    lines.append("")
    if sizes["n"]:
        lines.append(
            f"- {sizes['n']:,} sentences on a located region state a length; {100 * sizes['fit']:.1f} % fit into the "
            f"region's box, the median is {100 * sizes['median_share_of_diagonal']:.0f} % of its diagonal."
        )
    if pointers["n"]:
        lines.append(
            f"- {pointers['n']:,} sentences on a located region point at an image; {100 * pointers['meet']:.1f} % of "
            f"the images meet the region's box ({100 * pointers['meet_by_chance']:.1f} % would by chance)."
        )
    return "\n".join(lines) + "\n"
