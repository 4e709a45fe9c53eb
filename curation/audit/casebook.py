"""The data set as the audit needs it: cases ordered by suspicion, each with its report, sentences and boxes.

Enters: an opened data set. Leaves: `Casebook`. Refuses: nothing; `verify` judges the data set, not this module.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.audit.verdicts import published_verdicts
from curation.audit.worklist import Worklist
from curation.contract import Dataset, best_boxes
from curation.suspicion.rules import SEVERITIES

Row = dict[str, Any]


@dataclass(frozen=True)
class Box:
    """A located region, in voxels of its volume."""

    region: str
    source: str
    confidence: float
    start_ijk: tuple[int, int, int]
    size_ijk: tuple[int, int, int]

    @property
    def centre_ijk(self) -> tuple[int, int, int]:
        """The voxel in the middle of the box."""
        i, j, k = (start + size // 2 for start, size in zip(self.start_ijk, self.size_ijk, strict=True))
        return i, j, k


@dataclass(frozen=True)
class Case:
    """One pair with everything its page shows."""

    pair: Row
    volume: Row
    report: Row
    sentences: tuple[Row, ...]
    boxes: dict[str, tuple[Box, ...]]  # sentence_id -> boxes of the regions it names
    series: tuple[Row, ...]
    suspicions: tuple[Row, ...]


@dataclass(frozen=True)
class Casebook:
    """Lookups over a data set; of the large tables only the rows of the case asked for are read."""

    dataset: Dataset

    @cached_property
    def worklist(self) -> Worklist:
        """The pairs, the most suspicious first."""
        return Worklist(self.dataset)

    @cached_property
    def pairs(self) -> dict[str, Row]:
        """Pairs by id, the most suspicious first."""
        return {row["pair_id"]: row for row in self.worklist.rows(range(len(self.worklist)))}

    @cached_property
    def volumes(self) -> dict[str, Row]:
        """Volumes by id."""
        return {row["volume_id"]: row for row in self.dataset.rows("volumes")}

    @cached_property
    def dropped(self) -> list[Row]:
        """What was dropped, row by row."""
        return self.dataset.rows("dropped")

    def volume(self, volume_id: str) -> Row | None:
        """The row of one volume."""
        return next(iter(self._rows("volumes", "volume_id", volume_id)), None)

    def volumes_of(self, volume_ids: Sequence[str]) -> dict[str, Row]:
        """The rows of some volumes, by id."""
        return {row["volume_id"]: row for row in self._rows("volumes", "volume_id", *volume_ids)}

    def suspicions_of(self, pair_ids: Sequence[str]) -> dict[str, list[Row]]:
        """Flags with severity and detail of some pairs, the gravest first."""
        found: dict[str, list[Row]] = {pair_id: [] for pair_id in pair_ids}
        for row in self._rows("suspicions", "pair_id", *pair_ids):
            found[row["pair_id"]].append(row)
        return {pair_id: sorted(rows, key=_gravity) for pair_id, rows in found.items()}

    def rows_of_code(self, code: str) -> list[Row]:
        """Every pair with a flag, with what the rule saw."""
        return self._rows("suspicions", "code", code)

    @cached_property
    def folded(self) -> dict[str, str]:
        """The verdicts that the data set came with: those of `pairs`, overridden by its ``verdicts.parquet``."""
        pairs = self.worklist.pairs.select(["pair_id", "verdict"])
        known = {row["pair_id"]: row["verdict"] for row in pairs.filter(pc.is_valid(pairs["verdict"])).to_pylist()}
        return known | {pair_id: verdict or "" for pair_id, verdict in published_verdicts(self.dataset.root).items()}

    @cached_property
    def drop_keys(self) -> frozenset[str]:
        """Keys of the dropped things, as the sample names them."""
        return frozenset(map(drop_key, self.dropped))

    def case(self, pair_id: str) -> Case | None:
        """Everything about one pair; None when there is no such pair."""
        place = self.worklist.place.get(pair_id)
        if place is None:
            return None
        pair = self.worklist.rows([place])[0]
        volume_id, report_id = pair["volume_id"], pair["report_id"]
        volume, report = self.volume(volume_id), next(iter(self._rows("reports", "report_id", report_id)), None)
        if volume is None or report is None:
            return None
        sentences = sorted(self._rows("sentences", "report_id", report_id), key=lambda row: row["char_start"])
        regions = self._rows("regions", "volume_id", volume_id)
        best = {region: _box(row) for (_, region), row in best_boxes(regions).items()}
        pointed: dict[str, list[Box]] = defaultdict(list)
        for row in regions:
            if row["sentence_id"] is not None:
                pointed[row["sentence_id"]].append(_box(row))
        boxes = {
            row["sentence_id"]: (*pointed[row["sentence_id"]], *(best[r] for r in row["regions"] or () if r in best))
            for row in sentences
        }
        series = self._rows("series", "study_id", pair["study_id"])
        return Case(
            pair=pair,
            volume=volume,
            report=report,
            sentences=tuple(sentences),
            boxes=boxes,
            series=tuple(sorted(series, key=lambda row: (row["rank"] is None, row["rank"] or 0, row["series_id"]))),
            suspicions=tuple(self.suspicions_of([pair_id])[pair_id]),
        )

    def _rows(self, table: str, column: str, *values: str) -> list[Row]:
        """The rows of a table with one of some values; row groups without them are not read."""
        path = self.dataset.root / f"{table}.parquet"
        if not path.is_file() or not values:
            return []
        return list(pq.read_table(path, filters=[(column, "in", set(values))]).to_pylist())


def drop_key(row: Row) -> str:
    """What names a dropped thing in the history of verdicts; no pair id holds a slash."""
    return f"{row['stage']}/{row['item_id']}/{row['reason']}"


def _gravity(row: Row) -> tuple[int, str]:
    return SEVERITIES.index(row["severity"]), row["code"]


def _box(row: Row) -> Box:
    start, size = (tuple(int(value) for value in row[name]) for name in ("start_ijk", "size_ijk"))
    return Box(row["region"], row["source"], float(row["confidence"]), start, size)  # type: ignore[arg-type]
