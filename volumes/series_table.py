"""The tables of `volumes convert`: every series found and its verdict, every file or series dropped and why.

Enters: outcomes. Leaves: rows and schemas. These tables hold identifiers (SeriesInstanceUID, descriptions, relative
paths); they are the data engineer's own. What may be shared is written by `curation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from t3dkit.verdict import Code, Dropped, Repair
from volumes.records import FileDrop, FileRef, Stack, Volume
from volumes.stacks import StackDrop, describe_geometry

if TYPE_CHECKING:
    from volumes.nifti_input import NiftiImage

_REPAIRS = pa.list_(pa.struct([("code", pa.string()), ("detail", pa.string())]))

SERIES = pa.schema(
    [
        ("study_instance_uid", pa.string()),
        ("series_instance_uid", pa.string()),
        ("stack", pa.int64()),  # a series is split into stacks
        ("source", pa.string()),  # the file, or the folder of the first file, relative to the source
        ("modality", pa.string()),
        ("series_number", pa.int64()),
        ("study_description", pa.string()),
        ("series_description", pa.string()),
        ("n_instances", pa.int64()),
        ("geometry", pa.string()),
        ("verdict", pa.string()),  # kept, dropped
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("repairs", _REPAIRS),  # what was put right, and flags
        ("rank", pa.int64()),  # among the stacks of its study, 1 is best
        ("rank_reasons", pa.list_(pa.string())),
        ("output", pa.string()),  # relative to the output folder
        ("sha256", pa.string()),
        ("shape_ijk", pa.list_(pa.int64())),
        ("spacing_mm", pa.list_(pa.float64())),
        ("affine_ras", pa.list_(pa.float64())),
        ("kernel", pa.string()),
        ("vendor", pa.string()),
        ("padding_fraction", pa.float64()),
        ("hu_percentiles", pa.list_(pa.float64())),
    ]
)
DROPPED = pa.schema(
    [
        ("stage", pa.string()),  # index, stacks, convert
        ("kind", pa.string()),  # file, series
        ("item_id", pa.string()),  # relative path of a file, or SeriesInstanceUID and stack
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)


def item_row(item: Stack | NiftiImage) -> dict[str, Any]:
    """What the header says of a stack or NIfTI image, without a verdict."""
    return stack_row(item) if isinstance(item, Stack) else nifti_row(item)


def nifti_row(image: NiftiImage) -> dict[str, Any]:
    """What a NIfTI header says; it names no study and no modality."""
    from volumes.nifti_input import describe_nifti

    return {
        "study_instance_uid": "",
        "series_instance_uid": "",
        "stack": 0,
        "source": image.file.name,
        "n_instances": 1,
        "geometry": describe_nifti(image),
        "repairs": [],
    }


def folder_of(file: FileRef) -> str:
    """The folder of a file within its source; the archive, for a member."""
    return str(PurePosixPath(file.name).parent)


def stack_row(stack: Stack) -> dict[str, Any]:
    """What the header says of a stack, without a verdict."""
    head = stack.head
    return {
        "study_instance_uid": head.study_instance_uid,
        "series_instance_uid": stack.series_instance_uid,
        "stack": stack.index,
        "source": folder_of(min(instance.file for instance, _ in stack.slices)),
        "modality": head.modality,
        "series_number": head.series_number,
        "study_description": head.study_description,
        "series_description": head.series_description,
        "n_instances": len({id(instance) for instance, _ in stack.slices}),
        "geometry": describe_geometry(stack),
        "repairs": repair_rows(stack.repairs),
        "kernel": head.convolution_kernel,
    }


def kept_row(item: Stack | NiftiImage, volume: Volume, *, output: str, sha256: str) -> dict[str, Any]:
    """A stack or image that became a file."""
    import numpy as np

    return {
        **item_row(item),
        "verdict": "kept",
        "modality": volume.modality,
        "repairs": repair_rows(volume.repairs),
        "output": output,
        "sha256": sha256,
        "shape_ijk": list(volume.data.shape),
        "spacing_mm": np.linalg.norm(volume.affine_ras[:3, :3], axis=0).tolist(),
        "affine_ras": volume.affine_ras.ravel().tolist(),
        "vendor": volume.vendor,
        "padding_fraction": volume.padding_fraction,
        "hu_percentiles": list(volume.hu_percentiles),
    }


def refused_row(item: Stack | NiftiImage, dropped: Dropped) -> dict[str, Any]:
    """A stack or image whose voxels did not become a volume."""
    return {**item_row(item), "verdict": "dropped", "reason": str(dropped.reason), "detail": dropped.detail}


def drop_row(drop: StackDrop) -> dict[str, Any]:
    """Slices that did not become a stack."""
    head = drop.instances[0]
    return {
        "study_instance_uid": head.study_instance_uid,
        "series_instance_uid": drop.series_instance_uid,
        "stack": drop.index,
        "source": folder_of(min(item.file for item in drop.instances)),
        "modality": drop.modality,
        "series_number": head.series_number,
        "study_description": head.study_description,
        "series_description": head.series_description,
        "n_instances": drop.n_instances,
        "geometry": drop.geometry,
        "verdict": "dropped",
        "reason": str(drop.reason),
        "detail": drop.detail,
        "repairs": [],
        "kernel": head.convolution_kernel,
    }


def dropped_series(stage: str, row: dict[str, Any]) -> dict[str, Any]:
    """The row of dropped.parquet that belongs to a dropped row of series.parquet."""
    item = f"{row['series_instance_uid'] or row['source']}#{row['stack']}"
    return {"stage": stage, "kind": "series", "item_id": item, "reason": row["reason"], "detail": row["detail"]}


def dropped_files(stage: str, files: Iterable[FileRef], reason: Code | str, detail: str) -> list[dict[str, Any]]:
    """One row per file that went with a dropped series."""
    names = sorted({file.name for file in files})
    shared = {"stage": stage, "kind": "file", "reason": str(reason), "detail": detail}
    return [{**shared, "item_id": name} for name in names]


def dropped_file(drop: FileDrop) -> dict[str, Any]:
    """A file that never reached a series."""
    return dropped_files("index", [drop.file], drop.reason, drop.detail)[0]


def repair_rows(repairs: Sequence[Repair]) -> list[dict[str, str]]:
    """Repairs and flags as rows."""
    return [{"code": str(repair.code), "detail": repair.detail} for repair in repairs]
