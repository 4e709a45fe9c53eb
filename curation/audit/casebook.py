"""The data set as the audit needs it: cases ordered by suspicion, each with its report, sentences and boxes.

Enters: an opened data set. Leaves: `Casebook`. Refuses: nothing; `verify` judges the data set, not this module.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from curation.contract import Dataset, best_boxes

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
    volume_boxes: tuple[Box, ...]
    series: tuple[Row, ...]


@dataclass(frozen=True)
class Casebook:
    """Lookups over a data set, made once when the audit starts."""

    dataset: Dataset

    @cached_property
    def pairs(self) -> dict[str, Row]:
        """Pairs by id, the most suspicious first."""
        rows = sorted(self.dataset.rows("pairs"), key=lambda row: (-(row["suspicion"] or 0.0), row["pair_id"]))
        return {row["pair_id"]: row for row in rows}

    @cached_property
    def volumes(self) -> dict[str, Row]:
        """Volumes by id."""
        return {row["volume_id"]: row for row in self.dataset.rows("volumes")}

    @cached_property
    def dropped(self) -> list[Row]:
        """What was dropped, row by row."""
        return self.dataset.rows("dropped")

    @cached_property
    def flags(self) -> Counter[str]:
        """How many pairs carry each flag."""
        return Counter(flag for pair in self.pairs.values() for flag in pair["flags"] or ())

    def case(self, pair_id: str) -> Case | None:
        """Everything about one pair; None when there is no such pair."""
        pair = self.pairs.get(pair_id)
        if pair is None:
            return None
        sentences = tuple(self._sentences.get(pair["report_id"], ()))
        volume_id = pair["volume_id"]
        return Case(
            pair=pair,
            volume=self.volumes[volume_id],
            report=self._reports[pair["report_id"]],
            sentences=sentences,
            boxes={sentence["sentence_id"]: tuple(self._boxes_of(sentence, volume_id)) for sentence in sentences},
            volume_boxes=tuple(box for (holder, _), box in sorted(self._best.items()) if holder == volume_id),
            series=tuple(self._series.get(pair["study_id"], ())),
        )

    def neighbours(self, pair_id: str) -> tuple[str | None, str | None]:
        """The pairs before and after in the order of the worklist."""
        ids = list(self.pairs)
        place = ids.index(pair_id)
        return (ids[place - 1] if place else None, ids[place + 1] if place + 1 < len(ids) else None)

    @cached_property
    def _reports(self) -> dict[str, Row]:
        return {row["report_id"]: row for row in self.dataset.rows("reports")}

    @cached_property
    def _sentences(self) -> dict[str, list[Row]]:
        return _grouped(self.dataset.rows("sentences"), "report_id", order="index")

    @cached_property
    def _series(self) -> dict[str, list[Row]]:
        return _grouped(self.dataset.rows("series"), "study_id", order="rank")

    @cached_property
    def _regions(self) -> list[Row]:
        return self.dataset.rows("regions")

    @cached_property
    def _best(self) -> dict[tuple[str, str], Box]:
        return {key: _box(row) for key, row in best_boxes(self._regions).items()}

    @cached_property
    def _pointers(self) -> dict[tuple[str, str], list[Box]]:
        found: dict[tuple[str, str], list[Box]] = defaultdict(list)
        for row in self._regions:
            if row["sentence_id"] is not None:
                found[row["volume_id"], row["sentence_id"]].append(_box(row))
        return found

    def _boxes_of(self, sentence: Row, volume_id: str) -> Iterator[Box]:
        yield from self._pointers.get((volume_id, sentence["sentence_id"]), ())
        for region in sentence["regions"] or ():
            box = self._best.get((volume_id, region))
            if box is not None:
                yield box


def _box(row: Row) -> Box:
    start, size = (tuple(int(value) for value in row[name]) for name in ("start_ijk", "size_ijk"))
    return Box(row["region"], row["source"], float(row["confidence"]), start, size)  # type: ignore[arg-type]


def _grouped(rows: list[Row], key: str, *, order: str) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row[order] is None, row[order])):
        groups[row[key]].append(row)
    return groups
