"""Measures where labelled organs lie in the patient's coordinates: the numbers behind ``curation/align/atlas.toml``.

    python -m benchmarks.derive_atlas VOLUME.nii.gz LABELS.nii.gz [VOLUME LABELS ...] [--names labels.json]

For each class: the span across, forward and in levels (1st to 99th percentile of its voxels) in the frame that the
localizer finds on the same volume, averaged over volumes, beside the atlas's own. Classes cut by the scan are left out.
The atlas is not overwritten: its boxes are wider than any one patient, and a person decides by how much.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.localizer_cases import REAL_PAIR, Case, read_case
from curation.align.atlas import read_atlas
from curation.align.coarse import make_coarse
from curation.align.landmarks import Landmarks, find_landmarks
from curation.align.masks import label_map_on_grid, totalsegmentator_classes

Spans = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]


def measure_spans(case: Case) -> dict[str, Spans]:
    """Region -> (across, forward, levels) of each class that the scan does not cut, in frame coordinates."""
    coarse = make_coarse(case.data, case.affine_ras)
    landmarks = None if coarse is None else find_landmarks(coarse)
    if landmarks is None:
        return {}
    labels = label_map_on_grid(case.labels, case.data.shape, case.affine_ras)
    spans = {}
    for value, name in sorted(case.labels.names.items()):
        places = np.argwhere(labels == value)
        if len(places) < 50 or places[:, 2].min() == 0 or places[:, 2].max() == labels.shape[2] - 1:
            continue
        spans[name] = _span(places, landmarks)
    return spans


def _span(places: np.ndarray, landmarks: Landmarks) -> Spans:
    frame, coarse = landmarks.frame, landmarks.coarse
    edges = places * coarse.scale + coarse.offset + 0.5
    low, high = np.percentile(edges, 1, axis=0), np.percentile(edges, 99, axis=0)
    rows = slice(int(max(0, low[2])), int(min(len(frame.middle), high[2] + 1)))
    middle, front, half = (float(line[rows].mean()) for line in (frame.middle, frame.front, frame.half))
    rear, ahead = float(frame.rear[rows].mean()), float(frame.ahead[rows].mean())

    def forward(y: float) -> float:
        return (y - front) / ((ahead - front) if y > front else (front - rear))

    return (
        ((low[0] - middle) / half, (high[0] - middle) / half),
        (forward(low[1]), forward(high[1])),
        (frame.organs.to_level(high[2]), frame.organs.to_level(low[2])),
    )


def main(words: Sequence[str] = ()) -> int:
    """Print the measured spans and the atlas's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="VOLUME LABELS")
    parser.add_argument("--names", type=Path, help="labels.json; default: TotalSegmentator's order")
    arguments = parser.parse_args(words)
    files = arguments.files or [path for path in REAL_PAIR if path.is_file()]
    if not files:
        print("no labelled volume given, and the real data beside the checkout is absent", file=sys.stderr)
        return 0
    names = dict(totalsegmentator_classes())
    if arguments.names:
        names = {int(k): v for k, v in json.loads(arguments.names.read_text(encoding="utf-8")).items()}
    found: dict[str, list[Spans]] = {}
    for volume, labels in zip(files[::2], files[1::2], strict=True):
        for name, span in measure_spans(read_case(volume.name, volume, labels, names)).items():
            found.setdefault(name, []).append(span)
    atlas = read_atlas().boxes
    for name, spans in found.items():
        mean = np.mean(np.array(spans), axis=0)
        entry = atlas.get(name)
        own = "" if entry is None else f"   atlas {_text((entry.across, entry.forward, entry.levels))}"
        print(f"{name:30s} n={len(spans)} {_text(mean)}{own}")
    return 0


def _text(spans: Sequence[Sequence[float]] | np.ndarray) -> str:
    return "  ".join(f"{low:6.2f} {high:6.2f}" for low, high in spans)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
