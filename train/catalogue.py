"""What can be drawn: the located sentences of a split, their boxes and their weights.

Enters: a data set through its contract. Leaves: a `Catalogue`. Refuses: a split without a located sentence.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from curation.contract import Dataset, best_boxes
from t3dkit.errors import DataError
from train.config import CropConfig
from train.places import WHOLE, share_told

Ijk = tuple[int, int, int]


def as_ijk(values: Iterable[Any]) -> Ijk:
    """Three whole numbers of any kind, one for each axis."""
    i, j, k = (int(value) for value in values)
    return i, j, k


@dataclass(frozen=True)
class Box:
    """A half-open box of voxels, on its volume's grid."""

    start_ijk: Ijk
    stop_ijk: Ijk

    @property
    def size_ijk(self) -> Ijk:
        """Edges, voxels."""
        return as_ijk(stop - start for start, stop in zip(self.start_ijk, self.stop_ijk, strict=True))

    def seen_from(self, start_ijk: Ijk) -> Box:
        """The same box in the coordinates of a crop that starts at `start_ijk`."""
        first, stop = (np.subtract(end, start_ijk) for end in (self.start_ijk, self.stop_ijk))
        return Box(as_ijk(first), as_ijk(stop))


@dataclass(frozen=True)
class Sentence:
    """A sentence of a pair, with the boxes of the regions it names in the pair's volume.

    Its ids are pseudonyms and may be logged; its text is never.
    """

    sentence_id: str
    pair_id: str
    patient_id: str
    volume_id: str
    text: str
    regions: tuple[str, ...]  # every one it names, located or not
    boxes: tuple[tuple[str, Box], ...]  # the located ones, cut to what the words say of the place (`train.places`)
    is_normal: bool  # it states that nothing is wrong (`is_normal`, or a finding that is absent)
    is_abnormal: bool  # it states that a finding is present

    @property
    def text_key(self) -> int:
        """Equal for sentences of equal wording, whatever case and spaces."""
        return _key(" ".join(self.text.lower().split()))

    @property
    def normal_key(self) -> int:
        """Equal for normal statements on the same regions; 0 for any other sentence."""
        return _key("|".join(sorted(self.regions))) if self.is_normal and self.regions else 0


def _key(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:7], "big")


@dataclass(frozen=True)
class Catalogue:
    """The sentences of one or more splits."""

    sentences: tuple[Sentence, ...]  # those of the wanted sections, in order of pair and place in the report
    shapes_ijk: dict[str, Ijk]  # volume_id -> shape
    crop: CropConfig  # what the weights are made with

    @cached_property
    def located(self) -> tuple[Sentence, ...]:
        """The sentences with at least one box."""
        return tuple(sentence for sentence in self.sentences if sentence.boxes)

    @cached_property
    def by_pair(self) -> dict[str, tuple[Sentence, ...]]:
        """pair_id -> its sentences."""
        table: dict[str, list[Sentence]] = defaultdict(list)
        for sentence in self.sentences:
            table[sentence.pair_id].append(sentence)
        return {pair_id: tuple(rows) for pair_id, rows in table.items()}

    @cached_property
    def by_id(self) -> dict[tuple[str, str], Sentence]:
        """(pair_id, sentence_id) -> the sentence."""
        return {(one.pair_id, one.sentence_id): one for one in self.sentences}

    @cached_property
    def weights(self) -> np.ndarray:
        """(len(located),) float64, sums to 1: findings and rare regions are drawn more often."""
        counts = Counter(region for sentence in self.located for region, _ in sentence.boxes)
        raw = [
            (self.crop.abnormal_weight if sentence.is_abnormal else 1.0)
            * min(counts[region] for region, _ in sentence.boxes) ** -self.crop.rare_region_power
            for sentence in self.located
        ]
        return np.asarray(raw) / np.sum(raw)

    @cached_property
    def _up_to(self) -> np.ndarray:
        """Cumulated `weights`."""
        return np.cumsum(self.weights)

    def weighted(self, chance: float) -> int:
        """An index into `located` by `weights`, from a number in [0, 1)."""
        index = int(self._up_to.searchsorted(chance * self._up_to[-1], side="right"))
        return min(index, len(self._up_to) - 1)

    def weighted_of(self, indices: Sequence[int], chance: float) -> int:
        """One of a few indices into `located`, by their weights."""
        left = chance * sum(float(self.weights[index]) for index in indices)
        for index in indices:
            left -= self.weights[index]
            if left < 0:
                return index
        return indices[-1]

    @cached_property
    def on_region(self) -> dict[str, tuple[list[str], list[list[int]]]]:
        """region -> the patients with a sentence on it, in order, and for each the indices into `located`."""
        table: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for index, sentence in enumerate(self.located):
            for region, _ in sentence.boxes:
                table[region][sentence.patient_id].append(index)
        return {region: (sorted(held), [held[patient] for patient in sorted(held)]) for region, held in table.items()}

    @cached_property
    def _flat(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Of every box of `located`: start, stop and what a crop could hold of it (3, 1, m); where sentences begin."""
        boxes = [box for one in self.located for _, box in one.boxes]
        start, stop = (np.array([getattr(box, name) for box in boxes]).T for name in ("start_ijk", "stop_ijk"))
        most = np.minimum(stop - start, self.crop.size_vox)
        begins = np.cumsum([0, *(len(one.boxes) for one in self.located)])
        return start[:, None].copy(), stop[:, None].copy(), most[:, None].copy(), begins

    @cached_property
    def _ranges(self) -> dict[str, tuple[int, int]]:
        """pair_id -> first and one past the last of its sentences in `located`, where a pair's lie together."""
        ranges: dict[str, tuple[int, int]] = {}
        for index, one in enumerate(self.located):
            ranges[one.pair_id] = (ranges.get(one.pair_id, (index, 0))[0], index + 1)
        return ranges

    def covered(self, pair_id: str, starts: Sequence[Ijk]) -> tuple[int, np.ndarray]:
        """How much of the regions of a pair's located sentences each crop covers.

        Along each axis the overlap is divided by the shorter of box and crop, so that a crop deep inside the liver
        covers a sentence on the liver, though it holds a tenth of the organ. Of several boxes the best covered counts.

        Returns
        -------
        first : int
            Index into `located` of the pair's first sentence.
        (len(starts), n) float64
            0 .. 1, of the pair's n located sentences.
        """
        start, stop, most, begins = self._flat
        first, end = self._ranges[pair_id]
        at = begins[first:end]
        rows = slice(at[0], begins[end])
        crop = np.array(starts).T[:, :, None]  # (3, views, 1) beside (3, 1, boxes)
        overlap = np.minimum(crop + self.crop.size_vox, stop[..., rows]) - np.maximum(crop, start[..., rows])
        share = np.maximum(overlap, 0) / most[..., rows]
        return first, np.maximum.reduceat(share[0] * share[1] * share[2], at - at[0], axis=1)

    @property
    def n_patients(self) -> int:
        """Patients with a located sentence."""
        return len({sentence.patient_id for sentence in self.located})


def read_catalogue(dataset: Dataset, splits: Sequence[str], crop: CropConfig) -> Catalogue:
    """The sentences of `splits` that may be drawn.

    Raises
    ------
    DataError
        No pair of these splits has a located sentence.
    """
    pairs = [pair for split in splits for pair in dataset.trainable_pairs(split)]
    volumes = {row["volume_id"]: row for row in dataset.rows("volumes")}
    regions = dataset.rows("regions")
    boxes = {key: _box(row) for key, row in best_boxes(regions).items()}
    pointers = {
        (row["volume_id"], row["sentence_id"]): (row["region"], _box(row))
        for row in regions
        if row["sentence_id"] is not None
    }
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in sorted(dataset.rows("sentences"), key=lambda row: (row["pair_id"] or "", row["index"])):
        if row["section"] in crop.sections:
            rows[row["pair_id"]].append(row)
    source = _other_patient(pairs) if crop.shuffled_reports else {pair["pair_id"]: pair["pair_id"] for pair in pairs}
    sentences = tuple(_sentence(row, pair, boxes, pointers) for pair in pairs for row in rows[source[pair["pair_id"]]])
    shapes = {pair["volume_id"]: as_ijk(volumes[pair["volume_id"]]["shape_ijk"]) for pair in pairs}
    catalogue = Catalogue(sentences=sentences, shapes_ijk=shapes, crop=crop)
    if not catalogue.located:
        raise DataError(
            f"no sentence of the splits {', '.join(splits)} has a located region: {len(pairs)} pairs, "
            f"{len(sentences)} sentences. Look at regions.parquet, or curate more studies"
        )
    return catalogue


def _sentence(
    row: dict[str, Any],
    pair: dict[str, Any],
    boxes: dict[tuple[str, str], Box],
    pointers: dict[tuple[str, str], tuple[str, Box]],
) -> Sentence:
    volume_id = pair["volume_id"]
    regions = tuple(row["regions"] or ())
    pointer = pointers.get((volume_id, row["sentence_id"])) if row["pair_id"] == pair["pair_id"] else None
    held = tuple(
        (region, told_of(region, boxes[volume_id, region], row["text"]))
        for region in regions
        if (volume_id, region) in boxes
    )
    is_normal = bool(row["is_normal"]) or row["assertion"] == "absent"
    return Sentence(
        sentence_id=row["sentence_id"],
        pair_id=pair["pair_id"],
        patient_id=pair["patient_id"],
        volume_id=volume_id,
        text=row["text"],
        regions=regions,
        boxes=(pointer,) if pointer else held,
        is_normal=is_normal,
        is_abnormal=row["assertion"] == "present" and not is_normal,
    )


def told_of(region: str, box: Box, text: str) -> Box:
    """The part of a region's box, at least a voxel, that a sentence tells of."""
    share = share_told(region, text)
    if share == WHOLE:
        return box
    ends = []
    for first, size, (low, high) in zip(box.start_ijk, box.size_ijk, share, strict=True):
        start = min(int(low * size), size - 1)
        ends.append((first + start, first + max(start + 1, math.ceil(high * size))))
    starts, stops = zip(*ends, strict=True)
    return Box(as_ijk(starts), as_ijk(stops))


def _box(row: dict[str, Any]) -> Box:
    return Box(as_ijk(row["start_ijk"]), as_ijk(np.add(row["start_ijk"], row["size_ijk"])))


def _other_patient(pairs: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Each pair -> the next pair of another patient, around the circle; the sentences of the control come from it."""
    ids = [(pair["pair_id"], pair["patient_id"]) for pair in pairs]
    other = {}
    for place, (pair_id, patient_id) in enumerate(ids):
        around = ids[place + 1 :] + ids[:place]
        other[pair_id] = next((there for there, patient in around if patient != patient_id), pair_id)
    return other
