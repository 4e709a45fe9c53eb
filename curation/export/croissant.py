"""Croissant metadata (JSON-LD) over the Hugging Face layout.

Enters: a data set. Leaves: the folder of `export_huggingface` and ``croissant.json`` that describes its files, hashes
and fields. Refuses: to need the `mlcroissant` package, which validates it when installed.

References
----------
Croissant format specification 1.0, MLCommons.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from curation.contract import Dataset
from curation.export.huggingface import export_huggingface
from t3dkit.atomic import write_json

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
FIELDS = {
    "pair_id": ("sc:Text", "Pseudonym of the pair"),
    "patient_id": ("sc:Text", "Pseudonym of the patient"),
    "file_name": ("sc:Text", "Name of the NIfTI volume in the folder of its split"),
    "report": ("sc:Text", "De-identified report"),
    "findings": ("sc:Text", "Findings section"),
    "impression": ("sc:Text", "Impression section"),
    "language": ("sc:Text", "Language code of the report"),
    "verdict": ("sc:Text", "Verdict of the audit, empty where nobody looked"),
}


def export_croissant(dataset: Dataset, out: Path) -> dict[str, Any]:
    """Write the folder and its Croissant description."""
    summary = export_huggingface(dataset, out)
    tables = sorted(out.glob("*/metadata.parquet"))
    write_json(
        out / "croissant.json",
        {
            "@context": CONTEXT,
            "@type": "sc:Dataset",
            "name": dataset.manifest["name"],
            "description": "Pairs of CT volumes and radiology reports, de-identified; see README.md.",
            "conformsTo": "http://mlcommons.org/croissant/1.0",
            "version": f"{dataset.manifest['schema_version']}.0.0",
            "distribution": [_file_object(path, out) for path in tables] + [_volume_set()],
            "recordSet": [_record_set(path) for path in tables],
        },
    )
    return {**summary, "format": "croissant"}


def _file_object(path: Path, out: Path) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": f"{path.parent.name}-table",
        "name": f"{path.parent.name}-table",
        "contentUrl": path.relative_to(out).as_posix(),
        "encodingFormat": "application/x-parquet",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def _volume_set() -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": "volumes",
        "name": "volumes",
        "encodingFormat": "application/octet-stream",
        "includes": "*/*.nii",
    }


def _record_set(path: Path) -> dict[str, Any]:
    split, columns = path.parent.name, pq.read_schema(path).names
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": split,
        "description": f"Pairs of the split {split}",
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{split}/{name}",
                "name": name,
                "description": description,
                "dataType": kind,
                "source": {"fileObject": {"@id": f"{split}-table"}, "extract": {"column": name}},
            }
            for name, (kind, description) in FIELDS.items()
            if name in columns
        ],
    }
