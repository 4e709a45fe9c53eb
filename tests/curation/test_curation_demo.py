"""The demo export: same bytes from the same seed, and a truth that is true."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import re
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from curation.demo.export import write_demo
from curation.demo.faults import SERIES_OF_FAULT
from curation.demo.labels import FINDINGS, LESION_NUMBER, NAME
from reports.regions import region_tree
from t3dkit.errors import ConfigError
from t3dkit.progress import Progress

QUIET = Progress(quiet=True)
COARSE = 2.0


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def digest(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def instances(out: Path) -> list[tuple[Path, pydicom.Dataset]]:
    """Every readable DICOM file with its pixels undecoded, zip members included."""
    found = []
    for path in sorted((out / "dicom").rglob("*")):
        if not path.is_file() or path.stat().st_size == 0:
            continue
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    with archive.open(name) as member:
                        found.append((path / name, pydicom.dcmread(member)))
        elif path.name not in ("Thumbs.db", ".DS_Store", "INDEX.HTM"):
            found.append((path, pydicom.dcmread(path)))
    return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "export"
    write_demo(out, n_studies=10, seed=5, workers=1, progress=QUIET, coarse=COARSE)
    return out


@pytest.fixture(scope="module")
def series_of(demo: Path) -> dict[str, list[pydicom.Dataset]]:
    by_uid: dict[str, list[pydicom.Dataset]] = {}
    for _, ds in instances(demo):
        by_uid.setdefault(str(ds.SeriesInstanceUID), []).append(ds)
    return by_uid


def organ_map(demo: Path, uid: str, name: str = "organs") -> tuple[np.ndarray, np.ndarray]:
    image = nib.load(demo / "truth" / name / f"{uid}.nii.gz")
    return np.asarray(image.dataobj), image.affine


def best(demo: Path) -> dict[str, dict[str, str]]:
    return {row["study_instance_uid"]: row for row in rows(demo / "truth/series.csv") if row["is_best"] == "1"}


def hu_by_position(slices: list[pydicom.Dataset]) -> tuple[np.ndarray, list[pydicom.Dataset]]:
    """(columns, rows, slices) HU of an axial single-frame series, from the lowest slice up."""
    kept = [ds for ds in slices if "ImagePositionPatient" in ds and "LOCALIZER" not in ds.ImageType]
    by_z = {round(float(ds.ImagePositionPatient[2]), 3): ds for ds in kept}
    ordered = [by_z[z] for z in sorted(by_z)]
    volume = [ds.pixel_array.astype(np.float32) * float(ds.RescaleSlope) + float(ds.RescaleIntercept) for ds in ordered]
    return np.stack(volume).transpose(2, 1, 0), ordered


def test_same_bytes_whatever_the_workers_and_another_seed_differs(tmp_path: Path) -> None:
    for name, seed, workers in (("one", 3, 1), ("two", 3, 2), ("other", 4, 1)):
        write_demo(tmp_path / name, n_studies=3, seed=seed, workers=workers, progress=QUIET, coarse=3.0)
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    assert digest(tmp_path / "one") != digest(tmp_path / "other")


def test_an_identical_demo_is_kept_and_another_folder_is_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    first = write_demo(out, n_studies=1, seed=1, workers=1, progress=QUIET, coarse=3.0)
    stamp = (out / "demo.json").stat().st_mtime_ns
    again = write_demo(out, n_studies=1, seed=1, workers=1, progress=QUIET, coarse=3.0)
    assert (first["reused"], again["reused"]) == (False, True)
    assert (out / "demo.json").stat().st_mtime_ns == stamp
    assert write_demo(out, n_studies=1, seed=2, workers=1, progress=QUIET, coarse=3.0)["reused"] is False
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(ConfigError, match="no demo export"):
        write_demo(tmp_path / "mine", n_studies=1, seed=1, workers=1, progress=QUIET)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"
    with pytest.raises(ConfigError, match="1 or more"):
        write_demo(tmp_path / "none", n_studies=0, seed=1, workers=1, progress=QUIET)


def test_every_series_of_the_truth_is_there_and_decodes(
    demo: Path, series_of: dict[str, list[pydicom.Dataset]]
) -> None:
    listed = rows(demo / "truth/series.csv")
    assert {row["series_instance_uid"] for row in listed} == set(series_of)
    cut = {row["series_instance_uid"] for row in rows(demo / "truth/faults.csv") if row["name"] == "truncated"}
    for uid, slices in series_of.items():
        if uid not in cut:
            assert all(ds.pixel_array.size for ds in slices)


def test_links_name_existing_reports_and_studies(demo: Path, series_of: dict[str, list[pydicom.Dataset]]) -> None:
    reports = rows(demo / "reports.csv")
    studies = {(str(ds.StudyInstanceUID), str(ds.AccessionNumber)) for group in series_of.values() for ds in group[:1]}
    known = {(row["report_number"], row["accession_number"]) for row in reports}
    links = rows(demo / "truth/links.csv")
    assert links
    for link in links:
        assert (link["report_number"], link["accession_number"]) in known
        assert (link["study_instance_uid"], link["accession_number"]) in studies
    orphans = {row["report_number"] for row in reports} - {link["report_number"] for link in links}
    assert any(number.startswith("Q") for number in orphans)


def test_masks_lie_on_the_best_series_and_labels_are_where_hu_says(
    demo: Path, series_of: dict[str, list[pydicom.Dataset]]
) -> None:
    checked = 0
    for row in best(demo).values():
        uid = row["series_instance_uid"]
        organs, affine = organ_map(demo, uid)
        if row["fault"] in ("D26", "D11"):
            continue
        hu, ordered = hu_by_position(series_of[uid])
        assert organs.shape == hu.shape
        corner = affine @ np.array([0.0, 0.0, 0.0, 1.0])
        np.testing.assert_allclose(
            corner[:3] * (-1, -1, 1), np.asarray(ordered[0].ImagePositionPatient, dtype=float), atol=1e-3
        )
        step = float(ordered[1].ImagePositionPatient[2]) - float(ordered[0].ImagePositionPatient[2])
        assert affine[2, 2] == pytest.approx(step, abs=1e-3)
        ranges = {
            "liver": (0, 190),
            "vertebrae_L2": (60, 700),
            "aorta": (10, 480),
            "heart": (10, 350),
            "trachea": (-1000, -700),
        }
        lungs = np.isin(organs, [n for n, name in NAME.items() if name.startswith("lung_")])
        if lungs.any():
            assert -950 < np.median(hu[lungs]) < -650
        for name, (low, high) in ranges.items():
            inside = organs == next(n for n, known in NAME.items() if known == name)
            if inside.sum() > 50:
                assert low < np.median(hu[inside]) < high, name
                checked += 1
    assert checked >= 8


def test_sides_are_the_patients(demo: Path) -> None:
    number = {name: n for n, name in NAME.items()}
    for row in best(demo).values():
        organs, affine = organ_map(demo, row["series_instance_uid"])
        x = {}
        for name in ("liver", "spleen", "kidney_left", "kidney_right", "lung_lower_lobe_left", "lung_lower_lobe_right"):
            where = np.argwhere(organs == number[name])
            if len(where) > 30:
                x[name] = (where.mean(axis=0) @ affine[:3, :3].T + affine[:3, 3])[0]
        assert x.get("liver", 50) > x.get("spleen", -50)  # RAS: x grows to the patient's right
        assert x.get("kidney_right", 50) > x.get("kidney_left", -50)


def test_lesions_are_marked_where_the_table_says(demo: Path) -> None:
    tree, chosen = region_tree(), best(demo)
    lesions = rows(demo / "truth/lesions.csv")
    assert len({row["kind"] for row in lesions}) >= 12
    for row in lesions:
        assert row["region"] in tree
        assert row["kind"] in FINDINGS
        uid = chosen[row["study_instance_uid"]]["series_instance_uid"]
        if row["kind"] not in LESION_NUMBER or chosen[row["study_instance_uid"]]["fault"] == "D11":
            continue
        mask, affine = organ_map(demo, uid, "lesions")
        point = np.array([float(row[axis]) for axis in ("x_ras", "y_ras", "z_ras")])
        index = np.round(np.linalg.solve(affine, np.array([*point, 1.0]))[:3]).astype(int)
        assert mask[tuple(index)] == LESION_NUMBER[row["kind"]]
        if row["laterality"] in ("left", "right") and row["kind"] not in (
            "atelectasis",
            "lung_nodule",
            "consolidation",
        ):
            assert (point[0] < 0) == (row["laterality"] == "left")


def test_lesions_differ_from_their_surroundings(demo: Path, series_of: dict[str, list[pydicom.Dataset]]) -> None:
    expected = {
        "lung_nodule": 1,
        "consolidation": 1,
        "pleural_effusion": 1,
        "kidney_stone": 1,
        "gallstone": 1,
        "bladder_stone": 1,
        "kidney_cyst": -1,
        "emphysema": -1,
        "pneumothorax": -1,
        "splenic_lesion": -1,
    }
    hosts = {
        "kidney_stone": "kidney",
        "gallstone": "gallbladder",
        "bladder_stone": "urinary_bladder",
        "splenic_lesion": "spleen",
    }
    compared = set()
    for row in best(demo).values():
        if row["fault"] in ("D26", "D11"):
            continue
        uid = row["series_instance_uid"]
        hu, _ = hu_by_position(series_of[uid])
        organs, _ = organ_map(demo, uid)
        mask, _ = organ_map(demo, uid, "lesions")
        for kind, sign in expected.items():
            inside = mask == LESION_NUMBER[kind]
            stem = hosts.get(kind, "kidney" if kind == "kidney_cyst" else "lung_")
            host = np.isin(organs, [n for n, name in NAME.items() if name.startswith(stem) and "cyst" not in name]) & (
                mask == 0
            )
            if inside.sum() >= 12 and host.sum() > 100:
                difference = np.mean(hu[inside]) - np.mean(hu[host])
                assert np.sign(difference) == sign, kind
                compared.add(kind)
    assert len(compared) >= 5


def test_findings_follow_the_lesions(demo: Path) -> None:
    painted = {(row["study_instance_uid"], row["kind"]) for row in rows(demo / "truth/lesions.csv")}
    findings = rows(demo / "truth/findings.csv")
    assert {(row["study_instance_uid"], row["finding"]) for row in findings if row["value"] == "1"} == painted
    assert {row["value"] for row in findings} == {"0", "1"}


def test_pointers_in_reports_name_a_slice_that_shows_a_lesion(
    demo: Path, series_of: dict[str, list[pydicom.Dataset]]
) -> None:
    pattern = re.compile(
        r"\((?:series|se) (\d+)[,/] ?(?:image|im) (\d+)\)|image (\d+) of series (\d+)|series (\d+)\s+image (\d+)"
    )
    text = {row["report_number"]: row["report_text"] for row in rows(demo / "reports.csv") if row["status"] == "final"}
    chosen, found = best(demo), 0
    for link in rows(demo / "truth/links.csv"):
        row = chosen[link["study_instance_uid"]]
        uid = row["series_instance_uid"]
        if row["fault"] in ("D26", "D11"):
            continue
        mask, affine = organ_map(demo, uid, "lesions")
        heights = affine[2, 2] * np.arange(mask.shape[2]) + affine[2, 3]
        for match in pattern.finditer(text[link["report_number"]]):
            series, image = (
                int(n) for n in (match.groups()[i] for i in ((0, 1), (3, 2), (4, 5))[match.lastindex // 2 - 1])
            )
            slices = [ds for ds in series_of[uid] if ds.InstanceNumber == image and "LOCALIZER" not in ds.ImageType]
            assert slices[0].SeriesNumber == series
            k = int(np.argmin(np.abs(heights - float(slices[0].ImagePositionPatient[2]))))
            assert mask[:, :, k].any()
            found += 1
    assert found >= 5


def test_planted_identifiers_occur(demo: Path) -> None:
    text = (demo / "reports.csv").read_text(encoding="utf-8")
    headers: dict[str, str] = {}
    for _, ds in instances(demo):
        headers.setdefault(str(ds.StudyInstanceUID), str(ds))
    series = {row["series_instance_uid"] for row in rows(demo / "truth/series.csv")}
    planted = rows(demo / "truth/identifiers.csv")
    assert len(planted) > 100
    assert len({row["kind"] for row in planted}) >= 12
    for row in planted:
        value = row["value"]
        assert value in headers[row["study_instance_uid"]] or value in text or value in series, row["kind"]


def test_faults_of_the_table_are_in_the_series_table(demo: Path) -> None:
    faults = rows(demo / "truth/faults.csv")
    listed = {row["series_instance_uid"]: row for row in rows(demo / "truth/series.csv")}
    assert len(faults) >= 4
    for fault in faults:
        if fault["name"] in SERIES_OF_FAULT:
            assert listed[fault["series_instance_uid"]]["fault"] == fault["fault"]
    clean = {row["study_instance_uid"] for row in listed.values()} - {row["study_instance_uid"] for row in faults}
    assert len(clean) >= 5


def test_masks_have_reproducible_headers_and_names(demo: Path) -> None:
    labels = json.loads((demo / "truth/organs/labels.json").read_text())
    assert labels["5"] == "liver"
    assert labels["1"] == "spleen"
    one = next((demo / "truth/organs").glob("*.nii.gz"))
    assert one.read_bytes()[4:8] == b"\0\0\0\0"  # gzip: no time stamp
    assert gzip.decompress(one.read_bytes())[344:348] == b"n+1\0"
