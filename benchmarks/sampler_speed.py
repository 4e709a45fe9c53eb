"""How fast crops come off the disk: our sampler beside a bare memory map and beside TorchIO's Queue.

    python -m benchmarks.sampler_speed [--out docs/sampler_speed.md]

A data set is made at the sizes that hospitals have, with the regions that the localizer finds on the volumes and 30
sentences a pair. Then, in turn within one run, with one thread each and in processor seconds:

- ours: draw, read both views, refuse padding, list the sentences that each view covers;
- bare: ``np.array`` of crops drawn alike from one ``np.memmap`` a volume: nothing is drawn, looked up or listed;
- TorchIO: ``Queue`` with ``UniformSampler``, eight patches a volume, no worker process: nothing is listed.

The files are in the page cache: processors are compared, not disks.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.localizer import trunk
from benchmarks.pages import publish
from t3dkit.atomic import write_json
from t3dkit.tables import write_table

SIZES = (
    ("trunk at the default 1.5 mm", (288, 240, 400), (1.5, 1.5, 1.5), 8),
    ("chest as scanned, 0.75 x 0.75 x 1 mm", (512, 512, 350), (0.75, 0.75, 1.0), 4),
)
"""Name, shape, spacing, volumes."""
CROP_VOX = 96
N_SENTENCES = 30
N_BATCHES = 32
"""A round's batches of ours and of the bare loop."""
N_PATCHES = 64
"""A round's patches of TorchIO; at eight a volume it reads each volume as a whole."""
PATCHES_PER_VOLUME = 8
SLOTS = 8
RATE_BAR, SHARE_BAR, QUEUE_BAR = 500.0, 0.8, 20.0


def write_dataset(root: Path, shape: tuple[int, int, int], spacing: Sequence[float], n_volumes: int) -> None:
    """A data set of `n_volumes` equal trunks, each with its own file, pair, patient and sentences."""
    import nibabel

    from curation import contract
    from curation.align.locate import locate_regions

    affine_ras = np.diag([*spacing, 1.0])
    data = trunk(shape)
    location = locate_regions(data, affine_ras)
    image = nibabel.Nifti1Image(data, affine_ras)
    image.header.set_slope_inter(1.0, 0.0)
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in contract.TABLES}
    rng = np.random.default_rng(0)
    (root / "volumes").mkdir(parents=True)
    for number in range(n_volumes):
        ids = {f"{kind}_id": f"{kind}{number}" for kind in ("pair", "patient", "study", "report", "volume", "series")}
        path = f"volumes/{number}.nii"
        nibabel.save(image, root / path)
        tables["pairs"].append({**ids, "split": "train", "flags": [], "n_sentences": N_SENTENCES})
        tables["volumes"].append(
            {
                **ids,
                "path": path,
                "sha256": hashlib.sha256((root / path).read_bytes()).hexdigest(),
                "shape_ijk": list(shape),
                "spacing_mm": list(spacing),
                "affine_ras": affine_ras.ravel().tolist(),
                "modality": "CT",
            }
        )
        tables["regions"] += [
            {
                "volume_id": ids["volume_id"],
                "region": box.region,
                "source": box.source,
                "start_ijk": list(box.start_ijk),
                "size_ijk": list(box.size_ijk),
                "confidence": box.confidence,
            }
            for box in location.boxes
        ]
        tables["sentences"] += _sentences(ids, [box.region for box in location.boxes], rng)
    for name, schema in contract.TABLES.items():
        rows = [{key: value for key, value in row.items() if key in schema.names} for row in tables[name]]
        write_table(root / f"{name}.parquet", rows, schema)
    grid = {"spacing_mm": list(spacing), "orientation": "RAS", "hu_range": [-1024, 3071]}
    write_json(root / "dataset.json", {"schema_version": contract.SCHEMA_VERSION, "name": "speed", "grid": grid})


def _sentences(ids: dict[str, str], regions: Sequence[str], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Sentences on one to three regions each, a fifth of them findings."""
    return [
        {
            **ids,
            "sentence_id": f"{ids['report_id']}-{index}",
            "section": "findings",
            "index": index,
            "text": f"Sentence {index}.",
            "regions": [str(name) for name in rng.choice(regions, size=int(rng.integers(1, 4)), replace=False)],
            "assertion": "present",
            "is_normal": bool(rng.random() < 0.8),
            "is_prior_comparison": False,
            "measurements_mm": [],
        }
        for index in range(N_SENTENCES)
    ]


class Contest:
    """The three ways to the same kind of crop, on one data set."""

    def __init__(self, root: Path, scratch: Path) -> None:
        from curation.contract import Dataset
        from train.catalogue import read_catalogue
        from train.config import CropConfig
        from train.reader import VolumeStore
        from train.sampler import Sampler

        dataset = Dataset.open(root)
        self.paths = {row["volume_id"]: dataset.volume_path(row) for row in dataset.rows("volumes")}
        crop = replace(CropConfig(), size_vox=CROP_VOX)
        self.sampler = Sampler(read_catalogue(dataset, ("train",), crop), VolumeStore(dataset, scratch))
        self.room, self.step = self.sampler.room(), 0
        shapes = {row["volume_id"]: tuple(row["shape_ijk"]) for row in dataset.rows("volumes")}
        self.maps = {
            name: np.memmap(path, dtype="<i2", mode="r", offset=352, shape=shapes[name], order="F")
            for name, path in self.paths.items()
        }
        self.places = [self._places(step) for step in range(N_BATCHES)]

    def _places(self, step: int) -> list[tuple[str, tuple[int, int, int]]]:
        from train.crops import draw

        draws = [draw(self.sampler.catalogue, seed=1, step=step, slot=slot, n_slots=SLOTS) for slot in range(SLOTS)]
        return [(drawn.volume_id, view.start_ijk) for drawn in draws for view in drawn.views]

    def ours(self) -> None:
        """Draws and crops of the next batch."""
        self.step += 1
        for _ in self.sampler.samples(self.room, seed=0, step=self.step, slots=range(SLOTS), n_slots=SLOTS):
            pass

    def bare(self) -> None:
        """As many crops as a batch has; drawn alike, beforehand, but not the same: those would lie in the cache."""
        for name, (i, j, k) in self.places[self.step % N_BATCHES]:
            np.array(self.maps[name][i : i + CROP_VOX, j : j + CROP_VOX, k : k + CROP_VOX])

    def torchio(self) -> None:
        """As many patches as a queue of eight volumes hands over."""
        import torchio

        subjects = [torchio.Subject(image=torchio.ScalarImage(path)) for path in self.paths.values()]
        queue = torchio.Queue(
            torchio.SubjectsDataset(subjects * (N_PATCHES // PATCHES_PER_VOLUME // len(subjects))),
            max_length=N_PATCHES,
            samples_per_volume=PATCHES_PER_VOLUME,
            sampler=torchio.UniformSampler(CROP_VOX),
            num_workers=0,
        )
        for _ in range(N_PATCHES):
            queue[0]


def measure(root: Path, scratch: Path, rounds: int) -> dict[str, float]:
    """Crops per processor second of each, the median of `rounds`, and the median of each round's ratios.

    Ours and the bare loop take turns batch by batch, so that what else the machine does meets both.
    """
    contest = Contest(root, scratch)
    rates = np.array([_round(contest) for _ in range(rounds + 1)][1:])  # the first opens files and compiles
    ours, bare, queue = rates.T
    return {
        "ours": float(np.median(ours)),
        "bare": float(np.median(bare)),
        "torchio": float(np.median(queue)),
        "share": float(np.median(ours / bare)),
        "times": float(np.median(ours / queue)),
    }


def _round(contest: Contest) -> tuple[float, ...]:
    """Crops per processor second of ours, the bare loop and TorchIO."""
    turns = [(_seconds(contest.ours), _seconds(contest.bare)) for _ in range(N_BATCHES)]
    ours, bare = np.sum(turns, axis=0)
    n = N_BATCHES * 2 * SLOTS
    return n / ours, n / bare, N_PATCHES / _seconds(contest.torchio)


def _seconds(work: Callable[[], None]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def page(rounds: int) -> str:
    """The table as Markdown."""
    lines = [
        "# Speed of the crop sampler",
        "",
        f"`python -m benchmarks.sampler_speed`: crops of {CROP_VOX}^3 int16 voxels from uncompressed NIfTI, per",
        f"processor second of one core, median of {rounds} rounds; files in the page cache.",
        "",
        f"- Ours: draw {SLOTS} slots, read both views of each, refuse padding, list what each view covers",
        f"  ({N_SENTENCES} sentences a pair).",
        "- Bare: as many crops, drawn alike beforehand, through `np.memmap`; ours and these take turns batch by batch.",
        "- TorchIO: `Queue` with `UniformSampler`, eight patches a volume, no workers. It lists nothing.",
        "",
        "| volumes | ours | bare memory map | share of bare | TorchIO Queue | times TorchIO |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    worst = {"ours": np.inf, "share": np.inf, "times": np.inf}
    for name, shape, spacing, n_volumes in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            write_dataset(Path(folder) / "dataset", shape, spacing, n_volumes)
            found = measure(Path(folder) / "dataset", Path(folder) / "cache", rounds)
        size = "x".join(map(str, shape))
        lines.append(
            f"| {name}, {size} | {found['ours']:.0f} | {found['bare']:.0f} | {found['share']:.2f} "
            f"| {found['torchio']:.0f} | {found['times']:.0f} |"
        )
        worst = {key: min(value, found[key]) for key, value in worst.items()}
    bars = {"ours": RATE_BAR, "share": SHARE_BAR, "times": QUEUE_BAR}
    verdicts = ", ".join(f"{bars[key]:g} ({'met' if worst[key] >= bars[key] else 'missed'})" for key in bars)
    return "\n".join(
        [*lines, "", f"Bars on the worst row: crops a second, share of bare, times TorchIO: {verdicts}.", ""]
    )


def main(words: list[str] | None = None) -> int:
    """Print the page, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args(words if words is not None else [])
    import torch

    torch.set_num_threads(1)
    text = page(arguments.rounds)
    publish(text, arguments.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
