"""Fits ``curation/align/confidence.toml`` to labelled volumes: from how sure a step was to how often it is right.

    python -m benchmarks.localizer --seeds 1001,1002 --rows ROWS.parquet
    python -m benchmarks.localizer_confidence ROWS.parquet --source "demo seeds 1001 and 1002" [--write]

The hit rate rises with the figure (isotonic regression), is read at ten places and lowered by `MARGIN`. Measure the
result on seeds that had no part in it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression

from benchmarks.localizer import calibration, claimed
from curation.align.confidence import own_of
from t3dkit.atomic import write_text

TABLE = Path(__file__).parents[1] / "curation" / "align" / "confidence.toml"
PLACES = (0.0, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.6, 0.8, 1.0)
MARGIN = 0.03
"""The share that is taken off: painted volumes are kinder than patients."""
LEAST = 0.005
"""Below this share of the figures nothing was measured to speak of: what is stated falls to the half."""
STEP = 0.004
"""Between one place and the next at least: what is surer stays surer."""
HEAD = """\
# The chance that a crop of 144 mm around the centre of a landmark box shows the region, by how sure the step that
# placed the box was. Written by python -m benchmarks.localizer_confidence; see docs/alignment.md.

[landmark]
"""


def fit(own: np.ndarray, hit: np.ndarray) -> list[float]:
    """What to state at `PLACES`, for figures `own` (n,) of boxes that hit or not (n,)."""
    order = np.argsort(own, kind="stable")
    rates = isotonic_regression(hit[order].astype(float)).x
    read = np.interp(PLACES, own[order], rates) * (1.0 - MARGIN)
    read *= np.interp(PLACES, (0.0, np.quantile(own, LEAST)), (0.5, 1.0))
    return [round(float(value), 3) for value in _rising(read)]


def _rising(values: np.ndarray) -> np.ndarray:
    steps = STEP * np.arange(len(values))
    return np.maximum.accumulate(values - steps) + steps


def main(words: list[str] | None = None) -> int:
    """Print the fit and the table of reliability under it; write it where asked."""
    if not words:
        print("wants rows that benchmarks.localizer kept; see its module", file=sys.stderr)
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, nargs="+")
    parser.add_argument("--source", required=True, help="which volumes these are")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args(words)
    rows = pd.concat([pd.read_parquet(path) for path in arguments.rows])
    boxes = claimed(rows[rows["kind"] == "region"])
    own = np.array([own_of(value) for value in boxes["confidence"]])
    said = fit(own, boxes["hit"].to_numpy(dtype=bool))
    text = HEAD + f"own = {list(PLACES)}\nstated = {said}\n"
    text += f'source = "{len(boxes)} boxes of {boxes["case"].nunique()} volumes: {arguments.source}"\n'
    print(text)
    for key, row in calibration(boxes.assign(confidence=np.interp(own, PLACES, said))).items():
        print(key, *row)
    if arguments.write:
        write_text(TABLE, text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
