"""Train, validation, test: a salted hash of the patient's pseudonym, and nothing else.

Enters: a patient pseudonym. Leaves: a split. Refuses to move a patient when the data set grows.

Two patients may share a volume (pushed twice under two ids) or a report text (a normal template). Joining such
patients into one split would move old patients when a new one arrives, and a template shared by a hundred patients
would put them all on one side; so the copy is left out instead (`leave_out_copies`).
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from curation.config import SplitConfig
from curation.contract import SPLITS
from curation.reasons import DropReason

Row = dict[str, Any]


def split_of(patient_id: str, config: SplitConfig) -> str:
    """The split of a patient: the same for the same salt and fractions, whoever else is in the data set."""
    raw = hashlib.sha256(f"{config.salt}\x1f{patient_id}".encode()).digest()
    draw = int.from_bytes(raw[:8]) / 2**64
    if draw < config.train:
        return "train"
    return "validation" if draw < config.train + config.validation else "test"


def text_key(text: str) -> str:
    """Equal for texts that differ only in case, spaces and punctuation."""
    words = " ".join(re.findall(r"[^\W_]+", text.casefold()))
    return hashlib.sha256(words.encode()).hexdigest()


def leave_out_copies(
    pairs: Sequence[Row], *, volume_hash: Mapping[str, str], report_key: Mapping[str, str]
) -> tuple[list[Row], list[tuple[Row, DropReason]]]:
    """Keep one pair per volume content, and keep equal report texts inside one split.

    Of equal volumes the pair with the smallest id stays. Of equal texts those in the first of train, validation, test
    stay: what is left in validation and test has not been seen in training.

    Returns
    -------
    kept : list of rows
    left_out : list of (row, reason)
    """
    ordered = sorted(pairs, key=lambda row: (row["study_id"], row["pair_id"]))
    left_out: list[tuple[Row, DropReason]] = []
    kept: list[Row] = []
    owner: dict[str, str] = {}
    for row in ordered:
        # Several reports of one study may share its volume; only another study's copy is a copy.
        if owner.setdefault(volume_hash[row["volume_id"]], row["study_id"]) == row["study_id"]:
            kept.append(row)
        else:
            left_out.append((row, DropReason.DUPLICATE_VOLUME))
    first = _first_split(kept, lambda row: report_key[row["report_id"]])
    stays = [row["split"] == first[report_key[row["report_id"]]] for row in kept]
    left_out += [(row, DropReason.DUPLICATE_REPORT) for row, stay in zip(kept, stays, strict=True) if not stay]
    return [row for row, stay in zip(kept, stays, strict=True) if stay], left_out


def crossing(pairs: Sequence[Row], key_of: Callable[[Row], str]) -> list[str]:
    """Keys (patient, volume content, text) that occur in more than one split; empty in a sound data set."""
    found: dict[str, set[str]] = defaultdict(set)
    for row in pairs:
        found[key_of(row)].add(row["split"])
    return sorted(key for key, splits in found.items() if len(splits) > 1)


def _first_split(pairs: Sequence[Row], key_of: Callable[[Row], str]) -> dict[str, str]:
    first: dict[str, str] = {}
    for row in pairs:
        key = key_of(row)
        first[key] = min(first.get(key, row["split"]), row["split"], key=SPLITS.index)
    return first
