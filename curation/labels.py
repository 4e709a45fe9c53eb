"""Labels for downstream tasks: label maps on the volumes' own grids, findings per volume.

Enters: a data set, a folder of label maps or a table of findings, both under real UIDs. Leaves: ``labels/`` inside the
data set, under pseudonyms. Refuses: a label table without names, values that do not fit uint8.

The crosswalk in the private folder turns UIDs to pseudonyms; without it nothing can be joined.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import numpy as np

from curation.contract import FINDINGS, Dataset, affine_of
from curation.ledger import read_only
from t3dkit.atomic import write_bytes
from t3dkit.errors import ConfigError, DataError
from t3dkit.progress import Progress
from t3dkit.tables import read_rows, write_table


def add_label_maps(dataset: Dataset, source: Path, name: str, progress: Progress) -> dict[str, Any]:
    """Put ``source/<SeriesInstanceUID>.nii[.gz]`` onto the grid of each volume, nearest neighbour in world space.

    Parameters
    ----------
    source : Path
        Multi-label NIfTI files and ``labels.json`` (value -> name).
    name : str
        Of the label set: letters, digits, ``_`` and ``-``.

    Raises
    ------
    ConfigError
        No ``labels.json``, a bad name, no private folder.
    DataError
        No label map belongs to any volume.
    """
    from curation.align.masks import find_label_map, label_map_on_grid
    from volumes.nifti import write_array

    if not name.replace("_", "").replace("-", "").isalnum() or not name.isascii():
        raise ConfigError(f"the label name {name!r} must be made of letters, digits, _ and -")
    names = _label_names(source / "labels.json")
    series_of = _crosswalk(dataset, "volume")
    volumes = dataset.rows("volumes")
    n_written = 0
    with progress.task(f"labels {name}", total=len(volumes)) as task:
        for row in volumes:
            uid = series_of.get(row["volume_id"])
            label_map = find_label_map(source, [uid]) if uid else None
            task.advance(1, without=int(label_map is None))
            if label_map is None:
                continue
            data = label_map_on_grid(label_map, row["shape_ijk"], affine_of(row))
            if data.size and int(data.max()) > 255:
                raise DataError(f"a label map of {name!r} holds values above 255: uint8 is what the data set stores")
            path = dataset.root / "labels" / name / f"{row['volume_id']}.nii"
            write_array(np.ascontiguousarray(data, dtype=np.uint8), affine_of(row), path)
            n_written += 1
    if not n_written:
        raise DataError(f"no label map in {source} belongs to a volume: expected <SeriesInstanceUID>.nii[.gz]")
    _write_if_new(
        dataset.root / "labels" / f"{name}.json",
        (json.dumps({str(value): label for value, label in sorted(names.items())}, indent=2) + "\n").encode(),
    )
    return {"labels": name, "written": n_written, "volumes": len(volumes), "classes": len(names)}


def add_findings(dataset: Dataset, source: Path) -> dict[str, Any]:
    """Findings per study (columns study_instance_uid, finding, value) to ``labels/findings.parquet``, per volume.

    Raises
    ------
    ConfigError
        A column is missing, or there is no private folder.
    DataError
        A value is neither 0 nor 1, or no row belongs to a volume.
    """
    study_of = _crosswalk(dataset, "study")
    volumes_of: dict[str, list[str]] = {}
    for row in dataset.rows("volumes"):
        uid = study_of.get(row["study_id"])
        if uid:
            volumes_of.setdefault(uid, []).append(row["volume_id"])
    rows: dict[tuple[str, str], int] = {}
    n_read = 0
    for uid, finding, value in _finding_rows(source):
        n_read += 1
        for volume_id in volumes_of.get(uid, ()):
            rows[volume_id, finding] = value
    if not rows:
        raise DataError(f"none of the {n_read} rows belongs to a volume of this data set")
    table = [{"volume_id": key[0], "finding": key[1], "value": value} for key, value in sorted(rows.items())]
    write_table(dataset.root / "labels" / "findings.parquet", table, FINDINGS, sort_by=("volume_id", "finding"))
    return {"findings": len({key[1] for key in rows}), "rows": len(table), "read": n_read}


def sweep_labels(root: Path, volumes: AbstractSet[str]) -> int:
    """Remove labels of volumes that are not among `volumes` any more; returns how many files."""
    folder = root / "labels"
    maps = [path for path in sorted(folder.glob("*/*")) if path.name.endswith((".nii", ".nii.gz"))]
    stale = [path for path in maps if path.name.split(".")[0] not in volumes]
    for path in stale:
        path.unlink()
    findings = folder / "findings.parquet"
    if findings.is_file():
        rows = read_rows(findings, FINDINGS)
        kept = [row for row in rows if row["volume_id"] in volumes]
        if len(kept) < len(rows):
            write_table(findings, kept, FINDINGS, sort_by=("volume_id", "finding"))
    return len(stale)


def _finding_rows(source: Path) -> Iterator[tuple[str, str, int]]:
    wanted = ("study_instance_uid", "finding", "value")
    with open(source, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [column for column in wanted if column not in (reader.fieldnames or ())]
        if missing:
            raise ConfigError(f"{source} lacks the columns {missing}; expected {list(wanted)}")
        for number, row in enumerate(reader, start=2):
            if row["value"] not in ("0", "1"):
                raise DataError(f"line {number}: value must be 0 or 1")
            yield row["study_instance_uid"], row["finding"], int(row["value"])


def _label_names(path: Path) -> dict[int, str]:
    if not path.is_file():
        raise ConfigError(f"{path} is missing: it names each label value, as {{'1': 'spleen'}}")
    try:
        return {int(value): str(label) for value, label in json.loads(path.read_text(encoding="utf-8")).items()}
    except (ValueError, AttributeError):
        raise ConfigError(f"{path} is no JSON object of label value to name") from None


def _crosswalk(dataset: Dataset, kind: str) -> dict[str, str]:
    """Pseudonym -> real identifier."""
    connection = read_only(dataset.private)
    if connection is None:
        raise ConfigError(f"{dataset.private} is missing: labels under real UIDs can be joined only with the crosswalk")
    try:
        found = connection.execute("SELECT pseudonym, value FROM crosswalk WHERE kind = ?", (kind,)).fetchall()
    finally:
        connection.close()
    return {pseudonym: value.split("\x1f")[0] for pseudonym, value in found}


def _write_if_new(path: Path, payload: bytes) -> None:
    if not path.is_file() or path.read_bytes() != payload:
        write_bytes(path, payload)
