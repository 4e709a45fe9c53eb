"""From the results of all studies to the tables of the data set.

Enters: the rows each study gave, the decisions made before. Leaves: the tables, ``dataset.json`` and the card, each
file replaced only when its bytes change. Refuses to release a report in which any identifier of the batch is left.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curation.config import SplitConfig
from curation.contract import TABLES, VERDICT_ROWS
from curation.reasons import DropReason
from curation.scan import Matcher
from curation.splits import leave_out_copies, split_of, text_key
from curation.suspicion import judge_dataset
from curation.suspicion.clues import SourceRow
from t3dkit.atomic import atomic_path, write_json, write_text
from t3dkit.tables import read_rows, write_table

Row = dict[str, Any]

SORTED_BY = {
    "pairs": ("pair_id",),
    "volumes": ("volume_id",),
    "reports": ("report_id",),
    "sentences": ("sentence_id",),
    "regions": ("volume_id", "source", "region", "sentence_id", "start_ijk", "size_ijk"),
    "series": ("study_id", "series_id", "stack"),
    "dropped": ("stage", "kind", "item_id", "reason", "detail"),
    "suspicions": ("pair_id", "code"),
}


@dataclass
class Stage:
    """The balance of one stage: everything that came in was kept or dropped."""

    kind: str
    n_in: int = 0
    kept: int = 0


@dataclass
class Tables:
    """All rows of a data set in the making."""

    rows: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in TABLES})
    stages: dict[str, Stage] = field(default_factory=dict)
    named: list[tuple[str, str, str]] = field(default_factory=list)
    """(kind, real identifier, pseudonym) of what was dropped: for the crosswalk, in no table."""

    def add_study(self, result: Mapping[str, Any]) -> None:
        """Add the rows of one study."""
        for name in TABLES:
            self.rows[name] += result.get(name, ())

    def drop(self, stage: str, kind: str, item_id: str, reason: Any, detail: str = "", *, real: str = "") -> None:
        """Account for one thing that goes no further; `real` is what its pseudonym stands for, where that is new."""
        if real:
            self.named.append((kind, real, item_id.rsplit("-", 1)[0] if kind == "series" else item_id))
        self.rows["dropped"].append(
            {"stage": stage, "kind": kind, "item_id": item_id, "reason": str(reason), "detail": detail}
        )

    def counts(self) -> dict[str, Any]:
        """In, kept and dropped by reason of every stage."""
        reasons: dict[str, Counter[str]] = {name: Counter() for name in self.stages}
        for row in self.rows["dropped"]:
            reasons.setdefault(row["stage"], Counter())[row["reason"]] += 1
        return {
            name: {
                "kind": stage.kind,
                "in": stage.n_in,
                "kept": stage.kept,
                "dropped": sum(reasons[name].values()),
                "reasons": dict(sorted(reasons[name].items())),
            }
            for name, stage in self.stages.items()
        }


def finish_pairs(
    tables: Tables,
    split: SplitConfig,
    matcher: Matcher,
    verdicts: Mapping[str, str],
    *,
    source: Sequence[SourceRow] = (),
    mistaken: AbstractSet[str] = frozenset(),
) -> None:
    """Judge and split the pairs, withhold what leaks, leave out copies and the `mistaken` reports (by id).

    Rows of reports without a pair go with them.
    """
    suspicions = judge_dataset(tables.rows, source)
    leaking = {row["report_id"] for row in tables.rows["reports"] if matcher.in_text(row["text"])}
    for row in tables.rows["pairs"]:
        row["split"] = split_of(row["patient_id"], split)
        row["verdict"] = verdicts.get(row["pair_id"])
    withheld = dict.fromkeys(mistaken, DropReason.OTHER_PATIENT_NAMED) | dict.fromkeys(leaking, DropReason.DEID_LEAK)
    pairs = [row for row in tables.rows["pairs"] if row["report_id"] not in withheld]
    left_out = [(row, withheld[row["report_id"]]) for row in tables.rows["pairs"] if row["report_id"] in withheld]
    volume_hash = {row["volume_id"]: row["sha256"] for row in tables.rows["volumes"]}
    report_key = {row["report_id"]: text_key(row["text"]) for row in tables.rows["reports"]}
    pairs, copies = leave_out_copies(pairs, volume_hash=volume_hash, report_key=report_key)
    for row, reason in [*left_out, *copies]:
        tables.drop("release", "pair", row["pair_id"], reason)
    tables.stages["release"] = Stage("pair", len(tables.rows["pairs"]), len(pairs))
    tables.rows["pairs"] = pairs
    first_pair = {row["report_id"]: row["pair_id"] for row in sorted(pairs, key=lambda r: r["pair_id"], reverse=True)}
    for name in ("reports", "sentences"):
        kept = [row for row in tables.rows[name] if row["report_id"] in first_pair]
        tables.rows[name] = [row | {"pair_id": first_pair[row["report_id"]]} for row in kept]
    sentences = {row["sentence_id"] for row in tables.rows["sentences"]}
    released = {row["pair_id"] for row in pairs}
    tables.rows["suspicions"] = [row for row in suspicions if row["pair_id"] in released]
    tables.rows["regions"] = [
        row for row in tables.rows["regions"] if row["sentence_id"] is None or row["sentence_id"] in sentences
    ]


def split_counts(pairs: Iterable[Row]) -> dict[str, dict[str, int]]:
    """Pairs and patients per split."""
    pairs = list(pairs)
    return {
        split: {
            "pairs": sum(row["split"] == split for row in pairs),
            "patients": len({row["patient_id"] for row in pairs if row["split"] == split}),
        }
        for split in ("train", "validation", "test")
    }


def read_verdicts(dataset: Path) -> dict[str, str]:
    """The verdicts of an audit of an earlier run, by pair."""
    path = dataset / "verdicts.parquet"
    if not path.is_file():
        return {}
    return {row["pair_id"]: row["verdict"] for row in read_rows(path, VERDICT_ROWS) if row["verdict"]}


def write_dataset(dataset: Path, staging: Path, tables: Tables, manifest: Mapping[str, Any], card: str) -> int:
    """Write the tables, the card and ``dataset.json``; returns how many files changed.

    Everything is made in `staging` first. If anything differs, ``dataset.json`` goes away before the first table
    changes and comes back last: a reader never sees tables of two runs.
    """
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    for name, schema in TABLES.items():
        write_table(staging / f"{name}.parquet", tables.rows[name], schema, sort_by=SORTED_BY[name])
    write_text(staging / "README.md", card)
    write_json(staging / "dataset.json", manifest)
    names = [*(f"{name}.parquet" for name in TABLES), "README.md", "dataset.json"]
    changed = [name for name in names if not _same(staging / name, dataset / name)]
    if changed:
        (dataset / "dataset.json").unlink(missing_ok=True)
        for name in [*(n for n in changed if n != "dataset.json"), "dataset.json"]:
            with atomic_path(dataset / name) as temporary:
                shutil.copyfile(staging / name, temporary)
    shutil.rmtree(staging)
    return len(changed)


def sweep_volumes(dataset: Path, volumes: Sequence[Row]) -> int:
    """Remove volumes that no row names any more; returns how many."""
    named = {row["path"] for row in volumes}
    folder = dataset / "volumes"
    stale = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(dataset).as_posix() not in named
    ]
    for path in stale:
        path.unlink()
    for inner in sorted(folder.glob("*")):
        if inner.is_dir() and not any(inner.iterdir()):
            inner.rmdir()
    return len(stale)


def manifest_of(
    *, name: str, config: Mapping[str, Any], digest: str, versions: Mapping[str, str], tables: Tables
) -> dict[str, Any]:
    """The content of ``dataset.json``."""
    from curation.contract import SCHEMA_VERSION

    grid = config["grid"]
    return {
        "schema_version": SCHEMA_VERSION,
        "name": name,
        "config": json.loads(json.dumps(config)),
        "config_digest": digest,
        "versions": dict(versions),
        "grid": {"spacing_mm": grid["spacing_mm"], "orientation": "RAS", "hu_range": list(grid["hu_range"])},
        "counts": tables.counts(),
        "splits": split_counts(tables.rows["pairs"]),
    }


def _same(new: Path, old: Path) -> bool:
    return old.is_file() and old.stat().st_size == new.stat().st_size and old.read_bytes() == new.read_bytes()
