"""What every hand-over format is made of: the pairs that may leave, with their volumes and texts.

Enters: an opened data set. Leaves: `Case` records. Refuses: pairs that an audit excluded.
"""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.contract import SPLITS, VERDICTS, Dataset
from t3dkit.atomic import atomic_path
from t3dkit.errors import ConfigError, DataError


@dataclass(frozen=True)
class Case:
    """A pair that may leave the house.

    Parameters
    ----------
    pair, volume, report : mapping
        Rows of the tables.
    verdict : str or None
        What the audit says of the pair; never one that excludes it.
    """

    pair: dict[str, Any]
    volume: dict[str, Any]
    report: dict[str, Any]
    verdict: str | None = None

    def section(self, name: str) -> str:
        """The text of all sections of one name, joined by a newline; "" where there is none."""
        text = self.report["text"]
        return "\n".join(
            text[part["char_start"] : part["char_end"]].strip()
            for part in self.report["sections"]
            if part["name"] == name
        )


def released_cases(dataset: Dataset) -> dict[str, list[Case]]:
    """Split -> cases, ordered by pair_id.

    Raises
    ------
    DataError
        No pair is left.
    """
    volumes = {row["volume_id"]: row for row in dataset.rows("volumes")}
    reports = {row["report_id"]: row for row in dataset.rows("reports")}
    cases = {
        split: [
            Case(pair, volumes[pair["volume_id"]], reports[pair["report_id"]], dataset.verdicts.get(pair["pair_id"]))
            for pair in dataset.trainable_pairs(split)
        ]
        for split in SPLITS
    }
    if not any(cases.values()):
        raise DataError("the data set has no pair to hand over")
    return cases


def verdict_counts(dataset: Dataset) -> dict[str, int]:
    """Verdict -> pairs that have it, the excluded ones, which do not leave, counted as well; "none" -> not audited."""
    given = [dataset.verdicts.get(row["pair_id"], "none") for row in dataset.rows("pairs")]
    return {name: given.count(name) for name in (*VERDICTS, "none") if name in given}


def new_folder(out: Path, dataset: Dataset) -> Path:
    """`out`, made; it must be new or empty, and outside the data set.

    Raises
    ------
    ConfigError
        It is not.
    """
    if out.resolve().is_relative_to(dataset.root.resolve()):
        raise ConfigError("--out must not lie inside the data set")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is not empty: give a new folder")
    out.mkdir(parents=True, exist_ok=True)
    return out


def place_file(source: Path, target: Path) -> None:
    """`source` under the name `target`: a hard link where the file system allows, else a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)


def plain_name(volume: dict[str, Any]) -> str:
    """File name of a volume where all lie uncompressed in one folder."""
    return f"{volume['volume_id']}.nii"


def place_plain_volumes(dataset: Dataset, cases: Sequence[Case], folder: Path) -> int:
    """Put each case's volume once, uncompressed, into `folder`; returns how many files."""
    volumes = {case.volume["volume_id"]: case.volume for case in cases}
    for _id, volume in sorted(volumes.items()):
        source, target = dataset.volume_path(volume), folder / plain_name(volume)
        if not source.name.endswith(".gz"):
            place_file(source, target)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(source) as packed, atomic_path(target) as temporary, open(temporary, "wb") as plain:
            shutil.copyfileobj(packed, plain)
    return len(volumes)


def place_volumes(dataset: Dataset, cases: Sequence[Case], out: Path) -> int:
    """Put each case's volume once under its data set path in `out`; returns how many files."""
    paths = {case.volume["path"]: dataset.volume_path(case.volume) for case in cases}
    for relative, source in sorted(paths.items()):
        place_file(source, out / relative)
    return len(paths)
