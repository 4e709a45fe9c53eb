"""The layout that MONAI's ``load_decathlon_datalist`` reads.

Enters: released cases. Leaves: ``dataset.json`` with training, validation and test lists of image and text, and the
volumes. Paths are relative to the folder.

References
----------
Medical Segmentation Decathlon, dataset.json; monai.data.load_decathlon_datalist.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curation.contract import Dataset
from curation.export.handover import Case, new_folder, place_file, place_volumes, released_cases, verdict_counts
from t3dkit.atomic import write_json


def export_monai(dataset: Dataset, out: Path) -> dict[str, Any]:
    """Write the MONAI hand-over; label maps of the data set come along under their names."""
    cases = released_cases(dataset)
    new_folder(out, dataset)
    everyone = [case for part in cases.values() for case in part]
    n_volumes = place_volumes(dataset, everyone, out)
    names = sorted(path.stem for path in (dataset.root / "labels").glob("*.json"))
    lists = {split: [_item(dataset, case, names, out) for case in part] for split, part in cases.items()}
    write_json(
        out / "dataset.json",
        {
            "name": dataset.manifest["name"],
            "description": "report-volume pairs, de-identified",
            "tensorImageSize": "3D",
            "modality": {"0": dataset.manifest["config"]["volumes"]["modality"]},
            "labels": {name: {str(v): label for v, label in dataset.label_names(name).items()} for name in names},
            "verdicts": verdict_counts(dataset),
            "numTraining": len(lists["train"]),
            "numValidation": len(lists["validation"]),
            "numTest": len(lists["test"]),
            "training": lists["train"],
            "validation": lists["validation"],
            "test": lists["test"],
        },
    )
    return {
        "format": "monai",
        "out": str(out),
        "pairs": len(everyone),
        "volumes": n_volumes,
        "verdicts": verdict_counts(dataset),
    }


def _item(dataset: Dataset, case: Case, names: list[str], out: Path) -> dict[str, Any]:
    item = {
        "image": case.volume["path"],
        "text": case.report["text"],
        "findings": case.section("findings"),
        "impression": case.section("impression"),
        "pair_id": case.pair["pair_id"],
        "patient_id": case.pair["patient_id"],
        "verdict": case.verdict,
    }
    for name in names:
        source = dataset.label_path(name, case.volume["volume_id"])
        if source is not None:
            relative = source.relative_to(dataset.root)
            if not (out / relative).exists():
                place_file(source, out / relative)
            item[name] = relative.as_posix()
    return item
