"""The data card: DATASET/README.md, made from the tables alone.

Enters: the manifest and the rows of a data set. Leaves: Markdown, the same for the same rows. Refuses: anything that
is not in the data set itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from curation.align.report import alignment_report, alignment_text
from curation.contract import in_order_of_work
from curation.verify import known_reasons

Row = dict[str, Any]
MAX_LINES = 30


def data_card(manifest: Mapping[str, Any], rows: Mapping[str, Sequence[Row]]) -> str:
    """The card as Markdown."""
    parts = [
        f"# {manifest['name']}\n",
        _summary(manifest, rows),
        "## Where everything went\n",
        _flow(in_order_of_work(manifest["counts"])),
        _reasons(in_order_of_work(manifest["counts"])),
        "## Splits\n",
        _splits(manifest["splits"]),
        "## Volumes\n",
        _volumes(rows["volumes"]),
        "## Reports\n",
        _reports(rows),
        "## Alignment\n",
        alignment_text(alignment_report(rows)),
        "## Privacy\n",
        _PRIVACY,
        "## How to read it\n",
        _READING,
    ]
    return "\n".join(parts)


_PRIVACY = """\
Identifiers are replaced by HMAC-SHA256 pseudonyms (64 bits) under a key that is not part of the data set. Dates in
texts are moved by one offset per patient. NIfTI headers carry no text. Names, numbers, places and contacts in the texts
are replaced by surrogates: those known from the images and the report's own fields by exact and variant match, others
by pattern. A text in which an identifier was still found was withheld (`DEID_LEAK`). Every byte of the data set was
searched for the identifiers of the whole batch. Faces of head scans were treated as `deid.faces` in the configuration
says. What this does not promise: a name that occurs in no header and follows no pattern; a head known by its vault or
ears; rare combinations of findings.
"""

_READING = """\
`pairs.parquet` joins `reports.parquet`, `volumes.parquet`, `sentences.parquet` and `regions.parquet` by their ids.
Volumes are int16 Hounsfield units, RAS+, in NIfTI. `python -m curation verify` proves what this card says.
"""


def _summary(manifest: Mapping[str, Any], rows: Mapping[str, Sequence[Row]]) -> str:
    grid = manifest["grid"]
    spacing = grid["spacing_mm"]
    low, high = grid["hu_range"]
    shown = "native spacing" if spacing == "native" else f"{spacing} mm"
    return (
        f"{len(rows['pairs']):,} pairs of a CT volume and its report, from "
        f"{len({row['patient_id'] for row in rows['pairs']}):,} patients; {len(rows['sentences']):,} sentences, "
        f"{len(rows['regions']):,} located regions. Grid: {shown}, RAS+, {low} to {high} HU.\n\n"
        f"Schema version {manifest['schema_version']}, configuration {manifest['config_digest']}, made by "
        + ", ".join(f"{name} {version}" for name, version in manifest["versions"].items())
        + ".\n"
    )


def _flow(counts: Mapping[str, Any]) -> str:
    lines = ["| stage | of | in | kept | dropped |", "| --- | --- | ---: | ---: | ---: |"]
    lines += [
        f"| {name} | {stage['kind']} | {stage['in']:,} | {stage['kept']:,} | {stage['dropped']:,} |"
        for name, stage in counts.items()
    ]
    return "\n".join(lines) + "\n"


def _reasons(counts: Mapping[str, Any]) -> str:
    meanings = known_reasons()
    lines = ["| stage | reason | n | meaning |", "| --- | --- | ---: | --- |"]
    lines += [
        f"| {name} | {reason} | {n:,} | {meanings.get(reason, '')} |"
        for name, stage in counts.items()
        for reason, n in stage["reasons"].items()
    ]
    return "\n".join(lines) + "\n"


def _splits(splits: Mapping[str, Any]) -> str:
    lines = ["By a salted hash of the patient; copies of a volume or text do not cross.\n"]
    lines += ["| split | patients | pairs |", "| --- | ---: | ---: |"]
    lines += [f"| {name} | {part['patients']:,} | {part['pairs']:,} |" for name, part in splits.items()]
    return "\n".join(lines) + "\n"


def _volumes(volumes: Sequence[Row]) -> str:
    thick = Counter(_bin(row["spacing_source_mm"][2]) for row in volumes)
    repairs = Counter(code for row in volumes for code in {repair["code"] for repair in row["repairs"]})
    return "\n".join(
        [
            _table("source slice spacing, mm", thick.items(), sort=False),
            _table("vendor", Counter(row["vendor"] or "unknown" for row in volumes).items()),
            _table("kernel", Counter(row["kernel"] or "unknown" for row in volumes).items()),
            _table("body region", Counter(part for row in volumes for part in row["body_regions"]).items()),
            _table("repair or flag", repairs.items()),
        ]
    )


def _reports(rows: Mapping[str, Sequence[Row]]) -> str:
    sections = Counter(row["section"] for row in rows["sentences"])
    regions = Counter(region for row in rows["sentences"] for region in row["regions"])
    return "\n".join(
        [
            _table("language", Counter(row["language"] for row in rows["reports"]).items()),
            _table("section (sentences)", sections.items()),
            _table("assertion (sentences)", Counter(row["assertion"] for row in rows["sentences"]).items()),
            _table("region named (sentences)", regions.items()),
            _table("link rule (pairs)", Counter(row["link_rule"] for row in rows["pairs"]).items()),
            _table("flag (pairs)", Counter(flag for row in rows["pairs"] for flag in row["flags"]).items()),
        ]
    )


def _bin(spacing_mm: float) -> str:
    for low, high in ((0, 1), (1, 2), (2, 3), (3, 5)):
        if low < spacing_mm <= high:
            return f"{low} to {high}"
    return "over 5"


def _table(title: str, counted: Iterable[tuple[str, int]], *, sort: bool = True) -> str:
    order = sorted(counted, key=(lambda item: (-item[1], item[0])) if sort else (lambda item: (item[0],)))
    lines = [f"| {title} | n |", "| --- | ---: |"]
    lines += [f"| {_cell(name)} | {n:,} |" for name, n in order[:MAX_LINES]]
    if len(order) > MAX_LINES:
        lines.append(f"| {len(order) - MAX_LINES} others | {sum(n for _name, n in order[MAX_LINES:]):,} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")
