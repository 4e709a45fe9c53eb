"""Parity with dcm2niix on real series: the same voxels at the same places, or a reason.

    python benchmarks/parity_dcm2niix.py [--data ../shared/data] [--out docs/parity.md]

Converts every folder of the real data with both, brings both to the closest RAS+ axes without interpolation, and
compares all voxels (0.5 HU, after clipping dcm2niix's to our HU range) and affines (0.01 mm at the corners of the
volume). A series of ours is paired with the volume of dcm2niix of the same matrix that is closest in place, then value.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom

from benchmarks.pages import publish
from t3dkit.errors import DataError
from t3dkit.progress import Progress
from t3dkit.tables import read_rows
from t3dkit.version import VERSION
from volumes.batch import convert_source
from volumes.reasons import DropReason
from volumes.records import Grid

HU_TOLERANCE, MM_TOLERANCE = 0.5, 0.01
HU_RANGE = (-1024, 3071)
SKIPPED = {"mtsamples", "radreport_templates_de", "idc_index_sample"}
"""Folders of the real data without DICOM."""

NOTES = {
    (
        "dcm_qa_ct_philips_ge",
        "TILTED SPLIT",
    ): "one series with 4 mm and 7 mm steps: dcm2niix writes its 28 slices at one "
    "spacing, and an interpolated volume; ours are the two regular blocks, every slice at its own position",
    (
        "dcm_qa_ct_philips_ge",
        "TILTED",
    ): "tilted gantry: dcm2niix's native affine goes the way of the table but steps by the "
    "distance of the slice planes (2.37 mm) where ImagePositionPatient steps 2.50 mm; ours meets every position",
    (
        "panimg",
        "theirs",
    ): "the multi-frame twin (dropped: its SOP class is secondary capture) and 19 blank stubs (BLANK)",
    ("dcmqi", "theirs"): "segmentation objects (NOT_IMAGE)",
    ("highdicom", "theirs"): "segmentation objects (NOT_IMAGE) and single slices",
    ("dcm_qa_ct_philips_ge", "theirs"): "localizers (LOCALIZER), the unsplit series and tilt-corrected interpolations",
    ("dicom2nifti_failing", "theirs"): "the stubs that we drop: a missing slice is re-spaced, four images at one place "
    "become time points",
    ("pydicom_data", "theirs"): "single slices and projections, colour and secondary captures, the dose grid",
}
"""Why a row differs, looked into one by one; keyed by folder and codes."""


@dataclass(frozen=True)
class Comparison:
    """One of our volumes against the closest of theirs."""

    folder: str
    geometry: str
    ours: str
    theirs: str
    error_hu: float | None
    error_mm: float | None
    ours_header_mm: float | None
    theirs_header_mm: float | None
    verdict: str
    note: str


def dcm2niix_program() -> str:
    """Path of the dcm2niix that the development extra installs."""
    beside = Path(sys.executable).with_name("dcm2niix")
    if beside.exists():
        return str(beside)
    import dcm2niix

    return str(dcm2niix.bin)


def run_dcm2niix(source: Path, out: Path) -> str:
    """Convert a folder with dcm2niix's defaults for research use; answers its version line."""
    out.mkdir(parents=True, exist_ok=True)
    command = [dcm2niix_program(), "-z", "n", "-b", "n", "-f", "%3s_%d_%t", "-o", str(out), str(source)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    return next((line for line in answer.stdout.splitlines() if "version" in line), "dcm2niix")


def as_closest_ras(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Values (float32, scaled) and affine in RAS+ order; only axes are exchanged and reversed."""
    image = nibabel.as_closest_canonical(nibabel.load(path))
    return np.asarray(image.dataobj, dtype=np.float32), np.asarray(image.affine)


def is_grey(path: Path) -> bool:
    """Whether a file holds numbers; dcm2niix writes the colour images of secondary captures as triples."""
    return nibabel.load(path).get_data_dtype().fields is None


def affine_error_mm(one: np.ndarray, other: np.ndarray, shape: tuple[int, ...]) -> float:
    """Largest distance between the places both affines give a corner voxel."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape], indexing="ij")).reshape(3, -1)
    points = [a[:3, :3] @ corners + a[:3, 3:] for a in (one, other)]
    return float(np.linalg.norm(points[0] - points[1], axis=0).max())


def voxel_error_hu(ours: np.ndarray, theirs: np.ndarray, *, modality: str) -> float:
    """Largest difference over all voxels; for CT theirs are clipped to our range first, which maps padding to air."""
    return float(np.abs(ours - (np.clip(theirs, *HU_RANGE) if modality == "CT" else theirs)).max())


def header_error_mm(affine_ras: np.ndarray, shape: tuple[int, ...], positions_lps: np.ndarray) -> float:
    """Largest distance between a slice's ImagePositionPatient and the place the affine gives that corner of it.

    Read with pydicom, so that it judges both converters from outside.
    """
    ras = np.c_[positions_lps * [-1, -1, 1], np.ones(len(positions_lps))]
    ijk = (np.linalg.inv(affine_ras) @ ras.T).T[:, :3]
    along = int(np.argmax(np.ptp(ijk, axis=0)))
    if len(ijk) != shape[along]:  # the series was split: only the slices of this volume
        number = np.rint(ijk[:, along])
        ijk = ijk[(number >= 0) & (number < shape[along]) & (np.abs(ijk[:, along] - number) < 0.1)]
    ijk = ijk[np.argsort(ijk[:, along])]
    if len(ijk) != shape[along]:
        return float("nan")
    wanted = np.zeros_like(ijk)
    wanted[:, along] = np.arange(len(ijk))
    for axis in range(3):
        if axis != along:  # in the plane, every slice begins at the same corner
            first = ijk[0, axis]
            wanted[:, axis] = 0 if abs(first) < abs(first - (shape[axis] - 1)) else shape[axis] - 1
    return float(np.linalg.norm((ijk - wanted) @ affine_ras[:3, :3].T, axis=1).max())


def positions_of(folder: Path) -> dict[str, np.ndarray]:
    """ImagePositionPatient of every single-frame image by series."""
    found: dict[str, list[list[float]]] = defaultdict(list)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with suppress(Exception):  # whatever is no DICOM is no witness either
            ds = pydicom.dcmread(path, stop_before_pixels=True)
            position = [float(value) for value in ds.ImagePositionPatient]
            found[ds.SeriesInstanceUID].append(position)
    return {uid: np.array(rows) for uid, rows in found.items()}


def compare_folder(folder: Path, scratch: Path) -> tuple[list[Comparison], str]:
    """Convert a folder with both and pair the volumes by matrix, place and content."""
    ours_out, theirs_out = scratch / "ours", scratch / "theirs"
    quiet = Progress(quiet=True)
    with suppress(DataError):  # nothing of use in the folder: the tables are there all the same
        convert_source(folder, ours_out, grid=Grid(spacing_mm=None), suffix=".nii", workers=1, progress=quiet)
    version = run_dcm2niix(folder, theirs_out)
    theirs = {path: as_closest_ras(path) for path in sorted(theirs_out.glob("*.nii")) if is_grey(path)}
    positions = positions_of(folder)
    used: set[Path] = set()
    answer = []
    reasons: Counter[tuple[str, str]] = Counter()
    for row in read_rows(ours_out / "series.parquet"):
        if row["source"].endswith(".nii"):  # NIfTI goes in as well; dcm2niix does not read it
            continue
        if row["verdict"] == "kept":
            answer.append(_compare(folder.name, row, ours_out, theirs, used, positions))
        elif row["modality"] in ("CT", "MR"):
            reasons[row["modality"], row["reason"]] += 1
    for (modality, reason), count in sorted(reasons.items()):
        note = DropReason(reason).meaning
        answer.append(
            Comparison(
                folder.name, f"{count} {modality}", f"dropped {reason}", "", None, None, None, None, "reason", note
            )
        )
    rest = len(theirs) - len(used)
    if rest:
        note = NOTES.get((folder.name, "theirs"), "")
        plural = f"{rest} more volume" + ("s" if rest > 1 else "")
        answer.append(Comparison(folder.name, "", "-", plural, None, None, None, None, "reason", note))
    return answer, version


def _compare(
    folder: str,
    row: dict[str, Any],
    out: Path,
    theirs: dict[Path, tuple[np.ndarray, np.ndarray]],
    used: set[Path],
    positions: dict[str, np.ndarray],
) -> Comparison:
    ours, affine = as_closest_ras(out / row["output"])
    codes = sorted({item["code"] for item in row["repairs"]})
    note = NOTES.get((folder, " ".join(sorted(set(codes) & {"TILTED", "SPLIT"}, reverse=True))), "")
    places = positions.get(row["series_instance_uid"])
    ours_header = header_error_mm(affine, ours.shape, places) if places is not None else None
    kept = " ".join(["kept", *codes])
    candidates = []
    for path, (data, other) in theirs.items():
        if data.shape == ours.shape:  # copies of one image are equal: each may be the partner of both
            error_mm = affine_error_mm(affine, other, ours.shape)
            error_hu = voxel_error_hu(ours, data, modality=row["modality"])
            candidates.append((round(error_mm, 3), error_hu, error_mm, str(path), path))
    if not candidates:
        return Comparison(folder, row["geometry"], kept, "no such volume", None, None, ours_header, None, "ours", note)
    _, error_hu, error_mm, _, path = min(candidates)
    used.add(path)
    theirs_header = header_error_mm(theirs[path][1], ours.shape, places) if places is not None else None
    is_same = error_hu <= HU_TOLERANCE and error_mm <= MM_TOLERANCE
    verdict = "equal"
    if not is_same:
        is_ours = ours_header is not None and theirs_header is not None and ours_header < MM_TOLERANCE < theirs_header
        verdict = "ours" if is_ours and error_hu <= HU_TOLERANCE else "DIFFERS"
    return Comparison(
        folder,
        row["geometry"],
        kept,
        "volume",
        error_hu,
        error_mm,
        ours_header,
        theirs_header,
        verdict,
        "" if is_same else note,
    )


HEADER = """# Parity with dcm2niix

Written by `python benchmarks/parity_dcm2niix.py --out docs/parity.md` on {date}: t3dkit {ours}, dcm2niix {theirs},
on the public series of the development data. Both convert the same folders (`--spacing native`; dcm2niix with its
defaults, `-z n -b n`); both results are brought to the closest RAS+ axes without interpolation.

- **HU**: largest difference of any voxel, over all of them, after clipping dcm2niix's values to our range of {low} to
  {high} HU (which maps padding below air to air). Bar: {hu} HU.
- **mm**: largest distance between the places the two affines give a corner of the volume. Bar: {mm} mm.
- **ours / theirs to header**: largest distance between a slice's ImagePositionPatient, read with pydicom, and the place
  the affine gives it. It says who is right where the affines differ.
- **verdict**: `equal` within both bars; `ours` where we differ and the header agrees with us; `reason` where one side
  has no such volume, and why.

| data | series | ours | dcm2niix | HU | mm | ours to header | theirs to header | verdict | note |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


def as_markdown(rows: list[Comparison], version: str) -> str:
    """The page docs/parity.md."""

    def number(value: float | None, digits: int) -> str:
        return "" if value is None or np.isnan(value) else f"{value:.{digits}f}"

    release = next((word for word in version.split() if word.startswith("v1")), version)
    page = HEADER.format(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        ours=VERSION,
        theirs=release,
        low=HU_RANGE[0],
        high=HU_RANGE[1],
        hu=HU_TOLERANCE,
        mm=MM_TOLERANCE,
    )
    for row in rows:
        numbers = (number(row.error_hu, 2), number(row.error_mm, 4))
        headers = (number(row.ours_header_mm, 4), number(row.theirs_header_mm, 4))
        cells = (row.folder, row.geometry, row.ours, row.theirs, *numbers, *headers, row.verdict, row.note)
        page += "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |\n"
    return page


def main() -> int:
    """Run on all folders and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows: list[Comparison] = []
    version = ""
    for folder in sorted(path for path in arguments.data.iterdir() if path.is_dir() and path.name not in SKIPPED):
        with tempfile.TemporaryDirectory() as scratch:
            found, version = compare_folder(folder, Path(scratch))
            rows += found
    page = as_markdown(rows, version)
    publish(page, arguments.out)
    return 1 if any(row.verdict == "DIFFERS" for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
