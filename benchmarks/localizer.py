"""How well the landmark localizer places regions: hit rates and centre errors against masks, and its cost.

    python -m benchmarks.localizer VOLUME.nii.gz LABELS.nii.gz [--names labels.json]
    python -m benchmarks.localizer --demo EXPORT [--studies N]
    python -m benchmarks.localizer --cost

Without arguments: the cost, then the labelled real volume where the real data lies beside the checkout.

A hit: a crop of 144 mm (96 voxels of 1.5 mm) around the box centre holds at least half of the structure's voxels, or
the structure's box centre where it is larger than the crop. `random` is the same for a crop placed
at random in the body.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd

from curation.align.locate import locate_regions
from curation.align.masks import boxes_of_masks, label_map_on_grid, totalsegmentator_classes
from curation.align.records import LabelMap, RegionBox

REAL = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "totalsegmentator_tests"
REAL_PAIR = (REAL / "example_ct.nii.gz", REAL / "example_seg_fast_force_split.nii.gz")
CROP_MM = 144.0
MIN_VOXELS_ML = 0.3
LARGE = (
    "lung_left", "lung_right", "heart", "liver", "spleen", "kidney_left", "kidney_right", "spine", "urinary_bladder",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A labelled volume, RAS+ closest axes."""

    name: str
    data: np.ndarray
    affine_ras: np.ndarray
    labels: LabelMap


def measure(case: Case, *, seed: int = 0) -> list[dict[str, object]]:
    """One row per region that truth or the localizer names."""
    location = locate_regions(case.data, case.affine_ras)
    found = {box.region: box for box in location.boxes}
    truth = boxes_of_masks(case.labels, case.data.shape, case.affine_ras)
    on_grid = label_map_on_grid(case.labels, case.data.shape, case.affine_ras)
    spacing = np.linalg.norm(case.affine_ras[:3, :3], axis=0)
    body = np.argwhere(case.data[::4, ::4, ::4] > -300) * 4
    draws = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    for box in truth.boxes:
        mask = _mask_of(box, on_grid, case.labels)
        if np.count_nonzero(mask) * spacing.prod() < 1000 * MIN_VOXELS_ML:
            continue
        guess = found.get(box.region)
        row: dict[str, object] = {"case": case.name, "region": box.region, "located": guess is not None}
        row["random"] = float(
            np.mean([_is_hit(mask, box, body[n], spacing) for n in draws.integers(len(body), size=8)])
        )
        if guess is not None:
            center = np.add(guess.start_ijk, np.divide(guess.size_ijk, 2))
            row["hit"] = _is_hit(mask, box, center, spacing)
            off = (center - np.add(box.start_ijk, np.divide(box.size_ijk, 2))) * spacing
            row |= {"error_mm": float(np.linalg.norm(off)), "off_x": off[0], "off_y": off[1], "off_z": off[2]}
            row |= {"inside": _share_inside(mask, guess), "iou": _iou(box, guess), "confidence": guess.confidence}
        else:
            row["hit"] = False
        rows.append(row)
    covered = {box.region for box in truth.boxes}
    named = set(case.labels.names.values())
    for region, guess in found.items():
        if region in named and region not in covered:
            rows.append(
                {"case": case.name, "region": region, "located": True, "ghost": True, "confidence": guess.confidence}
            )
    return rows


def _mask_of(box: RegionBox, on_grid: np.ndarray, labels: LabelMap) -> np.ndarray:
    from reports.regions import region_tree

    tree = region_tree()
    classes = {box.region, *tree.mask_classes(box.region)}
    for code in tree.codes:
        if tree.is_within(code, box.region):
            classes |= {code, *tree.masks[code]}
    values = [value for value, name in labels.names.items() if name in classes]
    return np.isin(on_grid, values)


def _is_hit(mask: np.ndarray, box: RegionBox, center: np.ndarray, spacing: np.ndarray) -> bool:
    half = CROP_MM / 2 / spacing
    # a crop stays inside the volume where the volume is larger than it
    size = np.array(mask.shape)
    center = np.where(size > 2 * half, np.clip(center, half, size - half), size / 2)
    low, high = np.floor(center - half).astype(int), np.ceil(center + half).astype(int)
    if np.any(np.array(box.size_ijk) * spacing > CROP_MM):
        middle = np.add(box.start_ijk, np.divide(box.size_ijk, 2))
        return bool(np.all((middle >= low) & (middle <= high)))
    cut = tuple(slice(max(0, a), max(0, b)) for a, b in zip(low, high, strict=True))
    return bool(2 * np.count_nonzero(mask[cut]) >= np.count_nonzero(mask))


def _share_inside(mask: np.ndarray, box: RegionBox) -> float:
    cut = tuple(slice(a, b) for a, b in zip(box.start_ijk, box.stop_ijk, strict=True))
    return float(np.count_nonzero(mask[cut]) / max(1, np.count_nonzero(mask)))


def _iou(one: RegionBox, other: RegionBox) -> float:
    low = np.maximum(one.start_ijk, other.start_ijk)
    high = np.minimum(one.stop_ijk, other.stop_ijk)
    both = float(np.prod(np.maximum(high - low, 0)))
    return both / (float(np.prod(one.size_ijk)) + float(np.prod(other.size_ijk)) - both)


def read_case(name: str, volume: Path, labels: Path, names: dict[int, str]) -> Case:
    """A volume and its label map, turned to RAS+ closest axes."""
    image = nibabel.as_closest_canonical(nibabel.load(volume))
    mask = nibabel.load(labels)
    data = np.clip(np.asarray(image.dataobj), -1024, 3071).astype(np.int16)
    label_map = LabelMap(np.asarray(mask.dataobj).astype(np.uint8), np.asarray(mask.affine), names)
    return Case(name, data, np.asarray(image.affine), label_map)


def demo_cases(export: Path, limit: int | None) -> Iterator[Case]:
    """The best series of each demo study with its truth."""
    from volumes.convert import convert_stack
    from volumes.index import read_instance
    from volumes.records import FileRef, Grid
    from volumes.sources import iter_files
    from volumes.stacks import build_stacks

    truth = export / "truth"
    names = {int(k): v for k, v in json.loads((truth / "organs" / "labels.json").read_text(encoding="utf-8")).items()}
    wanted = {path.name.removesuffix(".nii.gz"): path for path in sorted((truth / "organs").glob("*.nii.gz"))}
    by_series: dict[str, list[object]] = {}
    for ref in iter_files(export / "dicom"):
        if not isinstance(ref, FileRef):
            continue
        instance = read_instance(ref)
        if getattr(instance, "series_instance_uid", None) in wanted:
            by_series.setdefault(instance.series_instance_uid, []).append(instance)  # type: ignore[union-attr]
    for number, (uid, path) in enumerate(wanted.items()):
        if limit is not None and number >= limit:
            return
        stacks = build_stacks(by_series.get(uid, [])).stacks  # type: ignore[arg-type]
        if not stacks:
            continue
        volume = convert_stack(max(stacks, key=lambda stack: len(stack.slices)), Grid()).value  # type: ignore[union-attr]
        mask = nibabel.load(path)
        label_map = LabelMap(np.asarray(mask.dataobj).astype(np.uint8), np.asarray(mask.affine), names)
        yield Case(f"demo{number}", volume.data, volume.affine_ras, label_map)


def trunk(shape: tuple[int, int, int]) -> np.ndarray:
    """A body (i, j, k) int16, HU, in the order of a file, with lungs and spine in noise, that fills `shape`."""
    n_x, n_y, n_z = shape
    x, y, z = np.ogrid[-1 : 1 : n_x * 1j, -1 : 1 : n_y * 1j, 0 : 1 : n_z * 1j]
    draws = np.random.default_rng(0)
    data = np.empty(shape, dtype=np.int16, order="F")
    for k in range(shape[2]):
        plane = np.full(shape[:2], -1000.0)
        plane[(x / 0.9)[:, :, 0] ** 2 + (y / 0.65)[:, :, 0] ** 2 < 1] = 50
        if float(z[0, 0, k]) > 0.55:
            for middle in (-0.42, 0.42):
                plane[((x - middle) / 0.3)[:, :, 0] ** 2 + (y / 0.45)[:, :, 0] ** 2 < 1] = -830
        plane[(x / 0.08)[:, :, 0] ** 2 + ((y + 0.42) / 0.14)[:, :, 0] ** 2 < 1] = 320
        data[:, :, k] = plane + draws.normal(0, 20, shape[:2])
    return data


def cost() -> dict[str, float]:
    """Seconds and extra memory for a 512x512x600 volume, 0.75x0.75x1 mm."""
    data = trunk((512, 512, 600))
    affine_ras = np.diag([0.75, 0.75, 1.0, 1.0])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.process_time()  # of this process: neighbours on the machine do not count
    location = locate_regions(data, affine_ras)
    seconds = time.process_time() - begin
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "cpu_seconds": round(seconds, 2),
        "extra_mib": round((after - before) / 1024, 1),
        "n_boxes": len(location.boxes),
    }


def summarize(rows: list[dict[str, object]]) -> dict[str, object]:
    """Rates over regions and the calibration table."""
    frame = pd.DataFrame(rows)
    ghosts = frame[frame["ghost"] == True] if "ghost" in frame else frame[:0]  # noqa: E712
    frame = frame[frame["ghost"] != True] if "ghost" in frame else frame  # noqa: E712
    located = frame[frame["located"]]
    large = frame[frame["region"].isin(LARGE)]
    deciles = located.groupby((located["confidence"] * 10).astype(int) / 10)["hit"].agg(["mean", "size"])
    return {
        "n": len(frame),
        "hit_rate": round(float(frame["hit"].mean()), 3),
        "hit_rate_large": round(float(large["hit"].mean()), 3),
        "random": round(float(frame["random"].mean()), 3),
        "median_error_mm": round(float(located["error_mm"].median()), 1),
        "median_error_large_mm": round(float(large["error_mm"].median()), 1),
        "median_inside": round(float(located["inside"].median()), 2),
        "not_located": sorted(set(frame[~frame["located"]]["region"])),
        "n_located_without_truth": len(ghosts),
        "located_without_truth": sorted(set(ghosts["region"])) if len(ghosts) else [],
        "calibration": {
            f"{key:.1f}": [round(float(row["mean"]), 2), int(row["size"])] for key, row in deciles.iterrows()
        },
    }


def main(words: Sequence[str] = ()) -> int:
    """Print a table on stderr and a JSON summary on stdout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="VOLUME LABELS")
    parser.add_argument("--names", type=Path, help="labels.json; default: TotalSegmentator's order")
    parser.add_argument("--demo", type=Path, help="a demo export with its truth")
    parser.add_argument("--studies", type=int)
    parser.add_argument("--cost", action="store_true")
    arguments = parser.parse_args(words)
    if arguments.cost or not (arguments.files or arguments.demo):
        print(json.dumps(cost()))
    if arguments.demo:
        _report(demo_cases(arguments.demo, arguments.studies))
        return 0
    files = arguments.files or ([] if arguments.cost else [path for path in REAL_PAIR if path.is_file()])
    if files:
        names = dict(totalsegmentator_classes())
        if arguments.names:
            names = {int(k): v for k, v in json.loads(arguments.names.read_text(encoding="utf-8")).items()}
        pairs = zip(files[::2], files[1::2], strict=True)
        _report(read_case(volume.name, volume, labels, names) for volume, labels in pairs)
    return 0


def _report(cases: Iterable[Case]) -> None:
    rows = [row for case in cases for row in measure(case)]
    print(_table(pd.DataFrame(rows)), file=sys.stderr)
    print(json.dumps(summarize(rows), indent=1))


def _table(frame: pd.DataFrame) -> str:
    if "ghost" in frame:
        frame = frame[frame["ghost"] != True]  # noqa: E712
    grouped = frame.groupby("region", sort=False)
    table = grouped.agg(
        n=("hit", "size"), located=("located", "mean"), hit=("hit", "mean"), random=("random", "mean"),
        error_mm=("error_mm", "median"), inside=("inside", "median"), iou=("iou", "median"),
        off_x=("off_x", "median"), off_y=("off_y", "median"), off_z=("off_z", "median"),
        confidence=("confidence", "mean"),
    )  # fmt: skip
    return table.astype({"hit": float}).round(2).to_string()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
