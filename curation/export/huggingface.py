"""A folder that Hugging Face ``load_dataset`` reads, volumes and all.

Enters: released cases. Leaves: a folder per split with its volumes and ``metadata.parquet`` (text, structure, and the
volume of each row), the layout of `datasets`' NiftiFolder, whose column ``nifti`` gives a nibabel image; and a
README.md whose front matter names the splits. Refuses: to need the `datasets` package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from curation.contract import EXCLUDING_VERDICTS, SENTENCES, Dataset
from curation.export.handover import (
    Case,
    new_folder,
    place_plain_volumes,
    plain_name,
    released_cases,
    verdict_counts,
)
from t3dkit.atomic import write_text
from t3dkit.tables import write_table

_SENTENCE_FIELDS = [
    SENTENCES.field(name)
    for name in ("section", "char_start", "char_end", "text", "regions", "laterality", "assertion", "is_normal")
]
SCHEMA = pa.schema(
    [
        ("pair_id", pa.string()),
        ("patient_id", pa.string()),
        ("file_name", pa.string()),  # of the volume, relative to metadata.parquet
        ("report", pa.string()),
        ("findings", pa.string()),
        ("impression", pa.string()),
        ("language", pa.string()),
        ("verdict", pa.string()),  # of the audit; null where nobody looked
        ("spacing_mm", pa.list_(pa.float64())),
        ("shape_ijk", pa.list_(pa.int32())),
        ("body_regions", pa.list_(pa.string())),
        ("sentences", pa.list_(pa.struct(_SENTENCE_FIELDS))),
    ]
)


def export_huggingface(dataset: Dataset, out: Path) -> dict[str, Any]:
    """Write the Hugging Face hand-over."""
    cases = released_cases(dataset)
    new_folder(out, dataset)
    sentences: dict[str, list[dict[str, Any]]] = {}
    for row in dataset.rows("sentences"):
        kept = {field.name: row[field.name] for field in _SENTENCE_FIELDS}
        sentences.setdefault(row["report_id"], []).append(kept)
    splits = [split for split, part in cases.items() if part]
    n_volumes = 0
    for split in splits:
        n_volumes += place_plain_volumes(dataset, cases[split], out / split)
        rows = [_row(case, sentences.get(case.report["report_id"], [])) for case in cases[split]]
        write_table(out / split / "metadata.parquet", rows, SCHEMA, sort_by=("pair_id",))
    card = (dataset.root / "README.md").read_text(encoding="utf-8")
    write_text(out / "README.md", _front_matter(dataset, splits) + card.rstrip("\n") + _audited(dataset))
    return {
        "format": "huggingface",
        "out": str(out),
        "pairs": sum(map(len, cases.values())),
        "volumes": n_volumes,
        "verdicts": verdict_counts(dataset),
    }


def _audited(dataset: Dataset) -> str:
    """What the audit said of how many pairs, as a section of the card."""
    rows = [
        f"| {name.replace('_', ' ')} | {n} | {'no' if name in EXCLUDING_VERDICTS else 'yes'} |"
        for name, n in verdict_counts(dataset).items()
    ]
    head = ["", "", "## Audit", "", "| verdict | pairs | in this folder |", "| --- | ---: | --- |"]
    return "\n".join([*head, *rows, ""])


def _row(case: Case, sentences: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "pair_id": case.pair["pair_id"],
        "patient_id": case.pair["patient_id"],
        "file_name": plain_name(case.volume),
        "report": case.report["text"],
        "findings": case.section("findings"),
        "impression": case.section("impression"),
        "language": case.report["language"],
        "verdict": case.verdict,
        "spacing_mm": case.volume["spacing_mm"],
        "shape_ijk": case.volume["shape_ijk"],
        "body_regions": case.volume["body_regions"],
        "sentences": sorted(sentences, key=lambda row: row["char_start"]),
    }


def _front_matter(dataset: Dataset, splits: list[str]) -> str:
    lines = ["---", f'pretty_name: "{dataset.manifest["name"]}"', "tags: [medical, ct, radiology]", "configs:"]
    lines += ["- config_name: default", "  data_files:"]
    for split in splits:
        lines += [f"  - split: {split}", f"    path: {split}/**"]
    return "\n".join([*lines, "---", "", ""])
