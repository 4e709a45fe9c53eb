"""The data set on disk: its files, columns and the one way to read it.

Enters: the folder of a data set. Leaves: typed tables and memory-mapped volumes. Refuses: a folder that is no
data set, a newer schema, a table that lacks a column.

This module is the whole interface between `curation` and `train`: it imports no Dask, pydicom or spaCy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from t3dkit.errors import ConfigError, ContractError
from t3dkit.tables import read_frame, read_rows

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
"""Raised by one whenever a reader of the previous version would misread the data set."""

SPLITS = ("train", "validation", "test")
STAGES = (
    "files",
    "identity",
    "studies",
    "reports",
    "link_studies",
    "link_reports",
    "process",
    "reread",
    "stacks",
    "select",
    "convert",
    "pairs",
    "release",
)
"""The stages of a curation in the order of the work; each keeps or drops what enters it."""
ASSERTIONS = ("present", "absent", "uncertain")
BOX_SOURCES = ("mask", "pointer", "landmark")
"""In order of trust: the first source that located a region is the one to use."""
VERDICTS = ("accept", "reject", "wrong_report", "wrong_region", "needs_expert")
EXCLUDING_VERDICTS = ("reject", "wrong_report")
"""Pairs with one of these verdicts never reach a training batch."""


def in_order_of_work(counts: Mapping[str, Any]) -> dict[str, Any]:
    """The counts per stage of ``dataset.json``, first stage first."""
    known = [name for name in STAGES if name in counts]
    return {name: counts[name] for name in [*known, *sorted(set(counts) - set(known))]}


_TEXTS = pa.list_(pa.string())
_FLOATS = pa.list_(pa.float64())
_IJK = pa.list_(pa.int32())
_REPAIRS = pa.list_(pa.struct([("code", pa.string()), ("detail", pa.string())]))
_SLICE_MAP = pa.struct(
    [
        ("series_number", pa.int64()),  # DICOM (0020,0011) of the source series, null when absent
        ("instance_number", pa.list_(pa.int64())),  # per slice, in stack order
        ("position_mm", _FLOATS),  # dot(ImagePositionPatient LPS, normal_lps) per slice
        ("normal_lps", _FLOATS),  # unit stack normal, patient coordinates, LPS
    ]
)

PAIRS = pa.schema(
    [
        ("pair_id", pa.string()),
        ("patient_id", pa.string()),
        ("study_id", pa.string()),
        ("report_id", pa.string()),
        ("volume_id", pa.string()),
        ("split", pa.string()),
        ("link_rule", pa.string()),
        ("link_confidence", pa.float64()),
        ("n_sentences", pa.int64()),
        ("n_located", pa.int64()),
        ("flags", _TEXTS),
        ("suspicion", pa.float64()),  # 0 clean .. 1 certainly wrong
        ("verdict", pa.string()),  # one of VERDICTS, or null
    ]
)
VOLUMES = pa.schema(
    [
        ("volume_id", pa.string()),
        ("study_id", pa.string()),
        ("series_id", pa.string()),
        ("path", pa.string()),  # relative to the data set
        ("sha256", pa.string()),
        ("shape_ijk", _IJK),
        ("spacing_mm", _FLOATS),
        ("affine_ras", _FLOATS),  # 16 numbers, row by row, voxel ijk -> mm RAS
        ("modality", pa.string()),
        ("body_regions", _TEXTS),  # of head, neck, chest, abdomen, pelvis
        ("n_slices_source", pa.int64()),
        ("spacing_source_mm", _FLOATS),
        ("kernel", pa.string()),
        ("vendor", pa.string()),
        ("contrast", pa.string()),  # with, without, or null when the header does not say
        ("patient_sex", pa.string()),
        ("repairs", _REPAIRS),
        ("slice_map", _SLICE_MAP),
        ("hu_percentiles", _FLOATS),  # 0.5, 5, 25, 50, 75, 95, 99.5 % of the voxels that are not padding
        ("padding_fraction", pa.float64()),
    ]
)
REPORTS = pa.schema(
    [
        ("report_id", pa.string()),
        ("pair_id", pa.string()),
        ("language", pa.string()),
        ("status", pa.string()),
        ("text", pa.string()),
        (
            "sections",
            pa.list_(pa.struct([("name", pa.string()), ("char_start", pa.int64()), ("char_end", pa.int64())])),
        ),
    ]
)
SENTENCES = pa.schema(
    [
        ("sentence_id", pa.string()),
        ("report_id", pa.string()),
        ("pair_id", pa.string()),
        ("section", pa.string()),
        ("index", pa.int64()),
        ("char_start", pa.int64()),
        ("char_end", pa.int64()),
        ("text", pa.string()),
        ("regions", _TEXTS),
        ("laterality", pa.string()),  # left, right, bilateral, or null
        ("assertion", pa.string()),
        ("is_normal", pa.bool_()),
        ("is_prior_comparison", pa.bool_()),
        ("image_pointer", pa.struct([("series", pa.int64()), ("image", pa.int64())])),
        ("measurements_mm", _FLOATS),
    ]
)
REGIONS = pa.schema(
    [
        ("volume_id", pa.string()),
        ("region", pa.string()),
        ("source", pa.string()),
        ("start_ijk", _IJK),
        ("size_ijk", _IJK),
        ("confidence", pa.float64()),
        ("sentence_id", pa.string()),  # set when source is pointer: the box is that sentence's alone
    ]
)
SERIES = pa.schema(
    [
        ("study_id", pa.string()),
        ("series_id", pa.string()),
        ("stack", pa.int64()),  # a series is split into stacks; a dropped whole series is stack 0
        ("modality", pa.string()),
        ("n_instances", pa.int64()),
        ("geometry", pa.string()),  # e.g. "axial 512x512x120 0.70x0.70x2.50 mm"
        ("verdict", pa.string()),  # kept, not_selected, dropped
        ("reason", pa.string()),
        ("rank", pa.int64()),
        ("rank_reasons", _TEXTS),
    ]
)
DROPPED = pa.schema(
    [
        ("stage", pa.string()),
        ("kind", pa.string()),  # file, series, study, report, sentence, pair
        ("item_id", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)
SUSPICIONS = pa.schema(
    [
        ("pair_id", pa.string()),
        ("code", pa.string()),  # a flag of the pair
        ("severity", pa.string()),  # alarm, look, note
        ("detail", pa.string()),  # what the rule saw
    ]
)
VERDICT_ROWS = pa.schema([("pair_id", pa.string()), ("verdict", pa.string()), ("updated_at", pa.string())])
"""`verdicts.parquet`, written by the audit: it overrides the `verdict` column of `pairs.parquet`."""

FINDINGS = pa.schema([("volume_id", pa.string()), ("finding", pa.string()), ("value", pa.int64())])
"""`labels/findings.parquet`: labels for downstream tasks, brought by `curation labels`; value 0 or 1."""

TABLES = {
    "pairs": PAIRS,
    "volumes": VOLUMES,
    "reports": REPORTS,
    "sentences": SENTENCES,
    "regions": REGIONS,
    "series": SERIES,
    "dropped": DROPPED,
    "suspicions": SUSPICIONS,
}


@dataclass(frozen=True)
class Dataset:
    """A data set opened for reading; tables are read when first asked for.

    Parameters
    ----------
    root : Path
        The folder that holds ``dataset.json``.
    manifest : dict
        The content of ``dataset.json``.
    """

    root: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, root: Path | str) -> Dataset:
        """Open the data set in `root`.

        Raises
        ------
        ConfigError
            `root` is no folder or holds no ``dataset.json``.
        ContractError
            ``dataset.json`` is damaged, or its schema is newer than this program reads.
        """
        root = Path(root)
        path = root / "dataset.json"
        if not path.is_file():
            raise ConfigError(f"{root} is no data set: it has no dataset.json. Make one with `python -m curation run`")
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            version = int(manifest["schema_version"])
        except (ValueError, KeyError, TypeError):
            raise ContractError(f"{path} is damaged: it is no JSON object with schema_version") from None
        if version > SCHEMA_VERSION:
            raise ContractError(
                f"{root} has schema version {version}, this program reads up to {SCHEMA_VERSION}: update t3dkit"
            )
        return cls(root=root, manifest=manifest)

    @property
    def private(self) -> Path:
        """The folder beside the data set that holds what may identify; never exported."""
        return private_folder(self.root)

    def frame(self, table: str) -> pd.DataFrame:
        """A table of the data set (a key of `TABLES`) as a pandas frame."""
        return read_frame(self.root / f"{table}.parquet", TABLES[table])

    def rows(self, table: str) -> list[dict[str, Any]]:
        """A table of the data set (a key of `TABLES`) as dictionaries."""
        return read_rows(self.root / f"{table}.parquet", TABLES[table])

    @cached_property
    def verdicts(self) -> dict[str, str]:
        """The latest verdict of each audited pair: the audit's own, else what curation folded in."""
        known = {row["pair_id"]: row["verdict"] for row in self.rows("pairs") if row["verdict"]}
        path = self.root / "verdicts.parquet"
        if path.is_file():
            known.update({row["pair_id"]: row["verdict"] for row in read_rows(path, VERDICT_ROWS)})
        return {pair_id: verdict for pair_id, verdict in known.items() if verdict}

    def trainable_pairs(self, split: str) -> list[dict[str, Any]]:
        """The pairs of a split that no verdict excludes, ordered by pair_id."""
        pairs = [row for row in self.rows("pairs") if row["split"] == split]
        excluded = {pair_id for pair_id, verdict in self.verdicts.items() if verdict in EXCLUDING_VERDICTS}
        return sorted((row for row in pairs if row["pair_id"] not in excluded), key=lambda row: row["pair_id"])

    def label_names(self, name: str) -> dict[int, str]:
        """Label value -> class name of the label maps `name` (``labels/NAME.json``); {} where there are none."""
        path = self.root / "labels" / f"{name}.json"
        if not path.is_file():
            return {}
        return {int(value): label for value, label in json.loads(path.read_text(encoding="utf-8")).items()}

    def label_path(self, name: str, volume_id: str) -> Path | None:
        """The label map `name` on the volume's own grid (uint8 NIfTI, uncompressed), or None."""
        path = self.root / "labels" / name / f"{volume_id}.nii"
        return path if path.is_file() else None

    def findings(self) -> list[dict[str, Any]]:
        """Rows of ``labels/findings.parquet``, study-level truth; empty where there is none."""
        path = self.root / "labels" / "findings.parquet"
        return read_rows(path, FINDINGS) if path.is_file() else []

    def volume_path(self, row: dict[str, Any]) -> Path:
        """Where the NIfTI of a row of `volumes` lies.

        Raises
        ------
        ContractError
            The row's path leaves the data set.
        """
        path = (self.root / row["path"]).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise ContractError(f"volume {row['volume_id']}: its path leaves the data set")
        return path


def private_folder(root: Path) -> Path:
    """``DATASET.private`` beside ``DATASET``."""
    resolved = root.resolve()
    return resolved.with_name(resolved.name + ".private")


def affine_of(row: dict[str, Any]) -> np.ndarray:
    """The (4, 4) affine, voxel ijk -> mm RAS, of a row of `volumes`."""
    return np.asarray(row["affine_ras"], dtype=np.float64).reshape(4, 4)


def best_boxes(regions: Sequence[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """The most trusted box of each (volume_id, region), pointers aside since those belong to one sentence."""
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for row in regions:
        if row["sentence_id"] is not None:
            continue
        key = (row["volume_id"], row["region"])
        held = best.get(key)
        if held is None or BOX_SOURCES.index(row["source"]) < BOX_SOURCES.index(held["source"]):
            best[key] = row
    return best
