"""How well the landmark localizer places regions: hit rates and centre errors against masks, and its cost.

    python -m benchmarks.localizer VOLUME.nii.gz LABELS.nii.gz [--names labels.json]
    python -m benchmarks.localizer --seeds 9101,9102 [--studies 50] [--rows ROWS.parquet]
    python -m benchmarks.localizer --pool ROWS.parquet [ROWS.parquet ...]
    python -m benchmarks.localizer --cost

Without arguments: the cost, then the labelled real volume where the real data lies beside the checkout. With --seeds,
demo studies of these seeds, painted in memory; with --slabs, pieces of them besides, reported apart.

A hit: a crop of 144 mm (96 voxels of 1.5 mm) around the box centre holds at least half of the structure's voxels, or
the structure's box centre where it is larger than the crop. `random` is the same for a crop placed at random in the
body. A region of which the scan shows at least 0.3 ml is covered, one of which it shows no voxel is not. A lesion is
hit when the crop holds its centre, by a crop around the centre of its region's box and by the crops that training
draws.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmarks.localizer_cases import REAL_PAIR, Case, Lesion, made_cases, read_case, slabs_of
from curation.align.locate import locate_regions
from curation.align.masks import boxes_of_masks, label_map_on_grid, totalsegmentator_classes
from curation.align.records import Location, RegionBox
from reports.regions import region_tree
from volumes.reasons import Flag

if TYPE_CHECKING:
    from train.catalogue import Box as TrainBox

CROP_MM = 144.0
DRAW_MM = 1.5
"""Voxel of the grid on which training's crops of 96 voxels are drawn."""
MIN_VOXELS_ML = 0.3
MOST_POINTS = 20_000
"""Of a class; more are thinned out evenly."""
N_DRAWS = 8
LARGE = (
    "lung_left", "lung_right", "heart", "liver", "spleen", "kidney_left", "kidney_right", "spine", "urinary_bladder",
    "lung_upper_lobe_left", "lung_lower_lobe_left", "lung_upper_lobe_right", "lung_middle_lobe_right",
    "lung_lower_lobe_right",
)  # fmt: skip
Row = dict[str, Any]


def measure(case: Case, *, seed: int = 0, mirrored: bool = True) -> list[Row]:
    """One row per region that truth shows or that the localizer names without, per lesion, and one of the volume."""
    location = locate_regions(case.data, case.affine_ras)
    rows = [*_region_rows(case, location, seed=seed), *_lesion_rows(case, location, seed=seed)]
    volume: Row = {"kind": "volume", "flagged": Flag.LATERALITY_SUSPECT in location.flags}
    if mirrored:
        turned = locate_regions(case.data[::-1], case.affine_ras)
        volume["mirror_flagged"] = Flag.LATERALITY_SUSPECT in turned.flags
    return [{"case": case.name, **row} for row in (*rows, volume)]


def _region_rows(case: Case, location: Location, *, seed: int) -> list[Row]:
    found = {box.region: box for box in location.boxes}
    truth = boxes_of_masks(case.labels, case.data.shape, case.affine_ras)
    points = _points_by_class(case)
    spacing = np.linalg.norm(case.affine_ras[:3, :3], axis=0)
    size = np.array(case.data.shape)
    body = np.argwhere(case.data[::4, ::4, ::4] > -300) * 4
    draws = np.random.default_rng(seed)
    rows: list[Row] = []
    for box in truth.boxes:
        places, n_voxels = _points_of(box.region, points)
        if n_voxels * spacing.prod() < 1000 * MIN_VOXELS_ML:
            continue
        guess = found.get(box.region)
        row: Row = {"kind": "region", "region": box.region, "covered": True, "located": guess is not None}
        somewhere = body[draws.integers(len(body), size=N_DRAWS)]
        row["random"] = float(np.mean([_is_hit(places, box, at, spacing, size) for at in somewhere]))
        row["hit"] = False
        if guess is not None:
            center = np.add(guess.start_ijk, np.divide(guess.size_ijk, 2))
            row["hit"] = _is_hit(places, box, center, spacing, size)
            off = (center - np.add(box.start_ijk, np.divide(box.size_ijk, 2))) * spacing
            row |= {"error_mm": float(np.linalg.norm(off)), "off_x": off[0], "off_y": off[1], "off_z": off[2]}
            row |= {"inside": _share_inside(places, guess), "iou": _iou(box, guess), "confidence": guess.confidence}
        rows.append(row)
    shown = {name for name, places in points.items() if len(places)}
    tree = region_tree()
    for region in sorted(set(case.classes or case.labels.names.values()) - shown):
        if region in tree:
            row = {"kind": "region", "region": region, "covered": False, "located": region in found}
            rows.append(row | ({"confidence": found[region].confidence, "hit": False} if region in found else {}))
    return rows


def _points_by_class(case: Case) -> dict[str, np.ndarray]:
    """Class -> its voxels (n, 3), of large ones an even choice."""
    on_grid = label_map_on_grid(case.labels, case.data.shape, case.affine_ras)
    flat = on_grid.ravel()
    shown = np.flatnonzero(flat)
    shown = shown[np.argsort(flat[shown], kind="stable")]
    ends = np.cumsum(np.bincount(flat[shown], minlength=int(on_grid.max()) + 1))
    places = {}
    for value, name in case.labels.names.items():
        if 0 < value < len(ends):
            part = shown[ends[value - 1] : ends[value]]
            places[name] = np.column_stack(np.unravel_index(part, on_grid.shape))
    return places


def _points_of(region: str, points: dict[str, np.ndarray]) -> tuple[np.ndarray, int]:
    """The voxels of a region, thinned out, and how many it has."""
    tree = region_tree()
    classes = {region, *tree.mask_classes(region)}
    for code in tree.codes:
        if tree.is_within(code, region):
            classes |= {code, *tree.masks[code]}
    parts = [points[name] for name in sorted(classes) if name in points]
    n_voxels = sum(map(len, parts))
    step = max(1, n_voxels // MOST_POINTS)
    return np.concatenate([part[::step] for part in parts]) if parts else np.empty((0, 3), int), n_voxels


def _crop_around(center: np.ndarray, spacing: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and one past the last voxel of a crop; inside the volume where the volume is larger than it."""
    half = CROP_MM / 2 / spacing
    center = np.where(size > 2 * half, np.clip(center, half, size - half), size / 2)
    return np.floor(center - half).astype(int), np.ceil(center + half).astype(int)


def _is_hit(places: np.ndarray, box: RegionBox, center: np.ndarray, spacing: np.ndarray, size: np.ndarray) -> bool:
    low, high = _crop_around(center, spacing, size)
    if np.any(np.array(box.size_ijk) * spacing > CROP_MM):
        middle = np.add(box.start_ijk, np.divide(box.size_ijk, 2))
        return bool(np.all((middle >= low) & (middle <= high)))
    return bool(2 * np.count_nonzero(np.all((places >= low) & (places < high), axis=1)) >= len(places))


def _share_inside(places: np.ndarray, box: RegionBox) -> float:
    within = np.all((places >= box.start_ijk) & (places < box.stop_ijk), axis=1)
    return float(np.count_nonzero(within) / max(1, len(places)))


def _iou(one: RegionBox, other: RegionBox) -> float:
    low = np.maximum(one.start_ijk, other.start_ijk)
    high = np.minimum(one.stop_ijk, other.stop_ijk)
    both = float(np.prod(np.maximum(high - low, 0)))
    return both / (float(np.prod(one.size_ijk)) + float(np.prod(other.size_ijk)) - both)


def _lesion_rows(case: Case, location: Location, *, seed: int) -> list[Row]:
    """Whether crops for the sentence that names a lesion hold the lesion's centre.

    `hit`: the crop around the centre of the true region's box, cut to what the sentence tells of it. `drawn`: crops as
    training draws them, on the regions that the parser reads from the sentence, without image pointers.
    """
    from train.catalogue import told_of

    found = {box.region: box for box in location.boxes}
    spacing = np.linalg.norm(case.affine_ras[:3, :3], axis=0)
    size = np.array(case.data.shape)
    to_ijk = np.linalg.inv(case.affine_ras)
    body = np.argwhere(case.data[::4, ::4, ::4] > -300) * 4
    draws = np.random.default_rng([seed, 1])
    rows: list[Row] = []
    for number, lesion in enumerate(case.lesions):
        at = to_ijk[:3, :3] @ lesion.centre_ras + to_ijk[:3, 3]
        named = _regions_named(lesion)
        row: Row = {"kind": "lesion", "lesion": lesion.kind, "region": lesion.region, "located": lesion.region in found}
        row |= {"reads_right": lesion.region in named, "hit": False, "drawn": 0.0}
        somewhere = body[draws.integers(len(body), size=N_DRAWS)]
        row["random"] = float(np.mean([_holds(_crop_around(place, spacing, size), at) for place in somewhere]))
        fine = {region: _on_draw_grid(found[region], spacing) for region in {lesion.region, *named} & found.keys()}
        told = {region: told_of(region, box, lesion.text) for region, box in fine.items()}
        if lesion.region in told:
            box = told[lesion.region]
            center = (np.array(box.start_ijk) + np.array(box.stop_ijk)) / 2 * DRAW_MM / spacing
            row["hit"] = _holds(_crop_around(center, spacing, size), at)
        boxes = tuple((region, told[region]) for region in named if region in told)
        if boxes:
            row["drawn"] = _drawn_hits(boxes, at * spacing, size * spacing, seed=number)
        rows.append(row)
    return rows


def _regions_named(lesion: Lesion) -> tuple[str, ...]:
    """The regions that the parser reads from a lesion's sentence."""
    from reports.parse import parse_report

    parsed = parse_report(f"FINDINGS:\n{lesion.text}")
    return tuple(dict.fromkeys(region for sentence in parsed.sentences for region in sentence.regions))


def _holds(crop: tuple[np.ndarray, np.ndarray], at: np.ndarray) -> bool:
    return bool(np.all((at >= crop[0]) & (at < crop[1])))


def _on_draw_grid(box: RegionBox, spacing: np.ndarray) -> TrainBox:
    """A box on the grid of `DRAW_MM` on which crops are drawn."""
    from train.catalogue import Box

    low = np.floor(np.array(box.start_ijk) * spacing / DRAW_MM).astype(int)
    high = np.maximum(np.ceil(np.array(box.stop_ijk) * spacing / DRAW_MM).astype(int), low + 1)
    return Box(tuple(low.tolist()), tuple(high.tolist()))


def _drawn_hits(boxes: tuple[tuple[str, TrainBox], ...], at_mm: np.ndarray, size_mm: np.ndarray, *, seed: int) -> float:
    """Share of training's crops for a sentence on these boxes that hold a place."""
    from train.catalogue import Catalogue, Sentence
    from train.config import CropConfig
    from train.crops import N_CHANCES, chances, draw_views

    shape = np.maximum(np.ceil(size_mm / DRAW_MM).astype(int), np.max([box.stop_ijk for _, box in boxes], axis=0))
    sentence = Sentence("s", "p", "patient", "v", "", tuple(region for region, _ in boxes), boxes, False, True)
    crop = CropConfig(size_vox=round(CROP_MM / DRAW_MM))
    catalogue = Catalogue((sentence,), {"v": tuple(shape.tolist())}, crop)
    hits = []
    for number in range(N_DRAWS):
        drawn = draw_views(catalogue, 0, chances(N_CHANCES, seed, number))
        for view in drawn.views:
            start = np.array(view.start_ijk)
            hits.append(_holds((start, start + crop.size_vox), at_mm / DRAW_MM))
    return float(np.mean(hits))


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


def summarize(frame: pd.DataFrame) -> Row:
    """Rates over regions, lesions and volumes, and the calibration table, of the rows of `measure`."""
    regions = frame[frame["kind"] == "region"]
    covered = regions[regions["covered"].astype(bool)]
    located = covered[covered["located"].astype(bool)]
    large = covered[covered["region"].isin(LARGE)]
    summary: Row = {
        "volumes": int(frame["case"].nunique()),
        "regions": len(covered),
        "hit_rate": _mean(covered["hit"]),
        "hit_rate_large": _mean(large["hit"]),
        "hit_rate_each_large": {name: _mean(rows["hit"]) for name, rows in large.groupby("region")},
        "random": _mean(covered["random"]),
        "random_large": _mean(large["random"]),
        "median_error_mm": round(float(located["error_mm"].median()), 1),
        "median_error_large_mm": round(float(large["error_mm"].median()), 1),
        "median_inside": round(float(located["inside"].median()), 2),
        **_not_covered(regions),
        "calibration": calibration(claimed(regions)),
    }
    volumes = frame[frame["kind"] == "volume"]
    summary["flagged_unmirrored"] = int(volumes["flagged"].sum())
    if "mirror_flagged" in volumes:
        summary["flagged_mirrored"] = _mean(volumes["mirror_flagged"])
    lesions = frame[frame["kind"] == "lesion"]
    if len(lesions):
        summary["lesions"] = {
            "n": len(lesions),
            **{name: _mean(lesions[name]) for name in ("hit", "drawn", "random", "reads_right")},
            "hit_by_region": {
                f"{name} ({len(rows)})": [_mean(rows["hit"]), _mean(rows["drawn"])]
                for name, rows in lesions.groupby("region")
            },
        }
    return summary


def _mean(values: pd.Series) -> float:
    return round(float(values.astype(float).mean()), 3)


def _not_covered(regions: pd.DataFrame) -> Row:
    """How right "not covered" is, over the classes that some volume shows: a phantom lacks a few."""
    shown = set(regions.loc[regions["covered"].astype(bool), "region"])
    absent_somewhere = set(regions.loc[~regions["covered"].astype(bool), "region"])
    classes = regions[regions["region"].isin(shown & absent_somewhere)]
    absent, silent = ~classes["covered"].astype(bool), ~classes["located"].astype(bool)
    both = int((absent & silent).sum())
    return {
        "not_covered_precision": round(both / int(silent.sum()), 3) if silent.any() else None,
        "not_covered_recall": round(both / int(absent.sum()), 3) if absent.any() else None,
        "called_though_shown": classes[silent & ~absent]["region"].value_counts().head(12).to_dict(),
        "located_though_absent": classes[absent & ~silent]["region"].value_counts().head(12).to_dict(),
    }


def claimed(regions: pd.DataFrame) -> pd.DataFrame:
    """The boxes that were given, with those of classes that the scan does not show, which are misses."""
    shown = set(regions.loc[regions["covered"].astype(bool), "region"])
    return regions[regions["located"].astype(bool) & regions["region"].isin(shown)]


def calibration(boxes: pd.DataFrame) -> Row:
    """Per tenth of confidence: mean confidence, hit rate, boxes."""
    tenths = boxes.groupby((boxes["confidence"] * 10).clip(upper=9.999).astype(int) / 10)
    return {
        f"{key:.1f}": [round(float(rows["confidence"].mean()), 3), _mean(rows["hit"]), len(rows)]
        for key, rows in tenths
    }


def main(words: Sequence[str] = ()) -> int:
    """Print a table on stderr and a JSON summary on stdout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="VOLUME LABELS")
    parser.add_argument("--names", type=Path, help="labels.json; default: TotalSegmentator's order")
    parser.add_argument("--seeds", help="demo seeds, separated by commas")
    parser.add_argument("--studies", type=int, default=50, help="of each seed")
    parser.add_argument("--slabs", type=int, default=0, help="of each volume, cut besides; not mirrored")
    parser.add_argument("--rows", type=Path, help="keep what was measured, as Parquet")
    parser.add_argument("--pool", type=Path, nargs="+", help="sum up rows that were kept")
    parser.add_argument("--cost", action="store_true")
    arguments = parser.parse_args(words)
    if arguments.pool:
        print(json.dumps(summarize(pd.concat([pd.read_parquet(path) for path in arguments.pool])), indent=1))
        return 0
    if arguments.cost or not (arguments.files or arguments.seeds):
        print(json.dumps(cost()))
    if arguments.seeds:
        seeds = [int(seed) for seed in arguments.seeds.split(",")]
        made = (case for seed in seeds for case in made_cases(seed, arguments.studies))
        _report(made, arguments.rows, n_slabs=arguments.slabs)
        return 0
    files = arguments.files or ([] if arguments.cost else [path for path in REAL_PAIR if path.is_file()])
    if files:
        names = dict(totalsegmentator_classes())
        if arguments.names:
            names = {int(k): v for k, v in json.loads(arguments.names.read_text(encoding="utf-8")).items()}
        pairs = zip(files[::2], files[1::2], strict=True)
        read = (read_case(volume.name, volume, labels, names) for volume, labels in pairs)
        _report(read, arguments.rows, n_slabs=arguments.slabs)
    return 0


def _report(cases: Iterable[Case], keep: Path | None, *, n_slabs: int) -> None:
    rows = []
    for number, case in enumerate(cases, start=1):
        rows += measure(case)
        for slab in slabs_of(case, n_slabs, seed=number):
            rows += [{**row, "slab": True} for row in measure(slab, mirrored=False)]
        print(f"\r{number} volumes", end="", file=sys.stderr, flush=True)
    frame = pd.DataFrame(rows)
    if keep is not None:
        frame.to_parquet(keep)
    print("\n" + _table(frame), file=sys.stderr)
    summary = summarize(frame[~frame["slab"].eq(True)] if n_slabs else frame)
    if n_slabs:
        slabs = frame[frame["slab"].eq(True)]
        boxes = claimed(frame[frame["kind"] == "region"])
        boxes = boxes[boxes["slab"].eq(True)]
        summary["slabs"] = {
            "n": int(slabs["case"].nunique()),
            "hit_rate_of_boxes": _mean(boxes["hit"]),
            "calibration": calibration(boxes),
        }
    print(json.dumps(summary, indent=1))


def _table(frame: pd.DataFrame) -> str:
    frame = frame[(frame["kind"] == "region") & (frame["covered"] == True)]  # noqa: E712
    grouped = frame.groupby("region", sort=False)
    table = grouped.agg(
        n=("hit", "size"), located=("located", "mean"), hit=("hit", "mean"), random=("random", "mean"),
        error_mm=("error_mm", "median"), inside=("inside", "median"), iou=("iou", "median"),
        off_x=("off_x", "median"), off_y=("off_y", "median"), off_z=("off_z", "median"),
        confidence=("confidence", "mean"),
    )  # fmt: skip
    return table.astype(float).round(2).to_string()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
