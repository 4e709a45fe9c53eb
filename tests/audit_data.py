"""Data sets for tests of the audit, written through the contract: one of two pairs, one of very many."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
from starlette.testclient import TestClient

from curation.audit.server import COOKIE, application
from curation.contract import SCHEMA_VERSION, TABLES
from t3dkit.tables import write_table

TOKEN = "a-token-of-this-test"
BASE = "http://127.0.0.1:8999"
HOSTILE = "<script>alert('x')</script>"
TEXTS = (
    "FINDINGS:\nThe liver is normal. There is a 12 mm nodule in the right upper lobe.\n",
    f"Findings: spleen {HOSTILE} enlarged. No effusion. <img src=x onerror=alert(1)>\n",
)
SPANS = tuple(
    tuple((text.index(part), text.index(part) + len(part)) for part in parts)
    for text, parts in zip(
        TEXTS,
        (
            ("The liver is normal.", "There is a 12 mm nodule in the right upper lobe."),
            (f"spleen {HOSTILE} enlarged.", "No effusion."),
        ),
        strict=True,
    )
)
REGIONS = ((("liver",), ("lung_upper_lobe_right",)), (("spleen",), ("pleura_left", "pleura_right")))


@contextmanager
def signed_in(root: Path) -> Iterator[TestClient]:
    """A client that has shown the token of the audit of `root`."""
    with TestClient(application(root, token=TOKEN, port=8999), base_url=BASE) as client:
        client.cookies.set(COOKIE, TOKEN)
        yield client


def write_small_dataset(root: Path) -> Path:
    """Write the data set to `root`; its second report is hostile, its first pair the more suspicious one."""
    shape = (20, 24, 30)
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    (root / "volumes").mkdir(parents=True)
    rows: dict[str, list] = {name: [] for name in TABLES}
    for n, (text, spans, regions) in enumerate(zip(TEXTS, SPANS, REGIONS, strict=True)):
        data = np.random.default_rng(n).integers(-1000, 400, shape, dtype=np.int16)
        nib.save(nib.Nifti1Image(data, affine), root / f"volumes/volume-{n}.nii")
        rows["pairs"].append(
            {
                "pair_id": f"pair-{n}",
                "patient_id": f"patient-{n}",
                "study_id": f"study-{n}",
                "report_id": f"report-{n}",
                "volume_id": f"volume-{n}",
                "split": ("test", "train")[n],
                "link_rule": "accession",
                "link_confidence": 0.99,
                "n_sentences": 2,
                "n_located": 2 * n,
                "flags": ["NOTHING_LOCATED"] if n == 0 else [],
                "suspicion": 0.7 - 0.5 * n,
            }
        )
        rows["volumes"].append(
            {
                "volume_id": f"volume-{n}",
                "study_id": f"study-{n}",
                "series_id": f"series-{n}",
                "path": f"volumes/volume-{n}.nii",
                "sha256": "0" * 64,
                "shape_ijk": shape,
                "spacing_mm": [3.0, 3.0, 3.0],
                "affine_ras": affine.ravel().tolist(),
                "modality": "CT",
                "body_regions": ["chest", "abdomen"],
                "n_slices_source": 45,
                "spacing_source_mm": [0.8, 0.8, 2.0],
                "kernel": "B30f",
                "vendor": "SIEMENS",
                "repairs": [{"code": "DEDUP_IDENTICAL", "detail": "1 slice"}],
                "hu_percentiles": [-1000.0] * 7,
                "padding_fraction": 0.1,
            }
        )
        rows["series"].append(
            {
                "study_id": f"study-{n}",
                "series_id": f"series-{n}",
                "stack": 0,
                "modality": "CT",
                "n_instances": 45,
                "geometry": "axial",
                "verdict": "kept",
                "rank": 1,
                "rank_reasons": ["thin"],
            }
        )
        rows["reports"].append({"report_id": f"report-{n}", "pair_id": f"pair-{n}", "text": text, "sections": []})
        for index, (span, named) in enumerate(zip(spans, regions, strict=True)):
            rows["sentences"].append(
                {
                    "sentence_id": f"sentence-{n}-{index}",
                    "report_id": f"report-{n}",
                    "pair_id": f"pair-{n}",
                    "section": "findings",
                    "index": index,
                    "char_start": span[0],
                    "char_end": span[1],
                    "text": text[slice(*span)],
                    "regions": list(named),
                    "assertion": ("present", "absent")[index],
                    "is_normal": False,
                    "is_prior_comparison": False,
                    "measurements_mm": [],
                }
            )
            for region in named if n else ():
                rows["regions"].append(
                    {
                        "volume_id": f"volume-{n}",
                        "region": region,
                        "source": "landmark",
                        "start_ijk": [2, 3, 4 + index],
                        "size_ijk": [8, 9, 10],
                        "confidence": 0.8,
                    }
                )
    rows["dropped"].append(
        {"stage": "convert", "kind": "series", "item_id": "series-9", "reason": "TOO_FEW_SLICES", "detail": "2"}
    )
    rows["dropped"].append(
        {"stage": "link_studies", "kind": "study", "item_id": "study-9", "reason": "UNMATCHED_STUDY", "detail": ""}
    )
    rows["suspicions"].append(
        {"pair_id": "pair-0", "code": "NOTHING_LOCATED", "severity": "look", "detail": "fits nothing here"}
    )
    for name, schema in TABLES.items():
        write_table(root / f"{name}.parquet", rows[name], schema)
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "name": "small",
        "counts": {"convert": {"in": 3, "kept": 2, "dropped": 1}},
    }
    (root / "dataset.json").write_text(json.dumps(manifest), encoding="utf-8")
    return root


def write_many(root: Path, n: int) -> Path:
    """A data set of `n` pairs with one sentence each and no voxels: what a list of pairs needs."""
    root.mkdir(parents=True)
    rng = np.random.default_rng(3)
    rows: dict[str, list] = {name: [] for name in TABLES}
    flags = ([], ["LOSSY"], ["COVERAGE_GAP"], ["POINTER_ELSEWHERE", "LOSSY"])
    for k in range(n):
        found = [*flags[k % 4], *(["ROW_SHIFT"] if k % 50 == 0 else [])]
        text = f"FINDINGS: Nodule of {k % 40} mm. The liver is normal. {'No effusion. ' * 60}IMPRESSION: Nodule."
        rows["pairs"].append(
            {
                "pair_id": f"{k:016x}", "patient_id": f"p{k}", "study_id": f"s{k}", "report_id": f"r{k}",
                "volume_id": f"v{k}", "split": ("train", "train", "validation", "test")[k % 4],
                "link_rule": "accession", "link_confidence": 1.0, "n_sentences": 2, "n_located": 1,
                "flags": sorted(found), "suspicion": round(float(rng.random()), 4),
            }
        )  # fmt: skip
        rows["volumes"].append(
            {
                "volume_id": f"v{k}", "path": f"volumes/v{k}.nii", "study_id": f"s{k}",
                "body_regions": ["chest"], "vendor": f"vendor {k % 5}",
                "spacing_source_mm": [0.8, 0.8, 1.0 + k % 5], "repairs": [], "modality": "CT",
                "shape_ijk": [9, 9, 9], "spacing_mm": [1.0] * 3, "affine_ras": np.eye(4).ravel().tolist(),
            }
        )  # fmt: skip
        rows["reports"].append({"report_id": f"r{k}", "pair_id": f"{k:016x}", "text": text, "language": "en"})
        for index, (section, region) in enumerate((("findings", "liver"), ("impression", "lungs"))):
            rows["sentences"].append(
                {
                    "sentence_id": f"r{k}-{index}", "report_id": f"r{k}", "section": section, "index": index,
                    "regions": [region], "text": text[:20], "char_start": 20 * index, "char_end": 20 * index + 20,
                }
            )  # fmt: skip
    for name, schema in TABLES.items():
        write_table(root / f"{name}.parquet", rows[name], schema)
    (root / "dataset.json").write_text(json.dumps({"schema_version": SCHEMA_VERSION, "name": "many"}), encoding="utf-8")
    return root
