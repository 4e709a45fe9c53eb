"""The crops that training would draw for the sentences of one pair.

Enters: a case. Leaves: draws per sentence, made by ``python -m train crops`` itself in a process of its own, and a crop
as a picture. Refuses: to import `train`, or to draw by a rule of its own.

The process is given a data set of this one pair, so that a case of a large data set is as quick as one of a small one.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from curation.audit.casebook import Case
from curation.audit.slices import grey, png_of, slice_pixels
from curation.contract import EXCLUDING_VERDICTS, TABLES, Dataset
from t3dkit.atomic import write_json
from t3dkit.tables import write_table

DRAWS_PER_SENTENCE, MAX_DRAWS = 2, 120
TIMEOUT_S = 120
MAX_SIZE_VOX = 256
AIR_HU = -1024
Row = dict[str, Any]


class NoCropsError(Exception):
    """Training draws nothing here, or could not be asked; the message says why."""


def draws_of(dataset: Dataset, case: Case, verdict: str | None) -> dict[str, list[Row]]:
    """Sentence -> its draws by the default configuration of training, each with two views.

    Parameters
    ----------
    verdict : str or None
        What holds for the pair: an excluding one keeps it out of training.

    Raises
    ------
    NoCropsError
        The pair is excluded or nothing of it is located, or training is not installed or gives no answer.
    """
    if verdict in EXCLUDING_VERDICTS:
        raise NoCropsError(f"training draws nothing from this pair: its verdict is {verdict.replace('_', ' ')}")
    n_located = sum(bool(boxes) for boxes in case.boxes.values())
    if not n_located:
        raise NoCropsError("no sentence of this report is tied to a place: training draws nothing from it")
    with tempfile.TemporaryDirectory() as temporary:
        root, table = Path(temporary) / "pair", Path(temporary) / "draws.parquet"
        _write_pair(root, dataset, case)
        command = [sys.executable, "-m", "train", "crops", str(root), "--pair", case.pair["pair_id"], "--quiet",
                   "--rows", str(min(MAX_DRAWS, DRAWS_PER_SENTENCE * n_located)), "--table", str(table)]  # fmt: skip
        try:
            answer = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            raise NoCropsError(f"training gave no answer within {TIMEOUT_S} s") from None
        if answer.returncode == 2:
            raise NoCropsError("training draws nothing from this pair: no section that it reads names a located region")
        if answer.returncode or not table.is_file():
            raise NoCropsError(f"training could not be asked (exit {answer.returncode})")
        draws: dict[str, list[Row]] = defaultdict(list)
        for row in pq.read_table(table).to_pylist():
            if len(draws[row["sentence_id"]]) < DRAWS_PER_SENTENCE:
                draws[row["sentence_id"]].append(_draw(row))
    return dict(draws)


def crop_png(data: np.ndarray, start_ijk: Sequence[int], size_vox: int, *, index: int, window: str) -> bytes:
    """One axial slice of a cubic crop, air where it leaves the volume; `index` counts from the crop's lowest slice."""
    plane = np.full((size_vox, size_vox, 1), AIR_HU, dtype=np.float32)
    k = start_ijk[2] + index
    low = [max(0, start) for start in start_ijk[:2]]
    high = [min(n, start + size_vox) for n, start in zip(data.shape[:2], start_ijk[:2], strict=True)]
    if 0 <= k < data.shape[2] and low[0] < high[0] and low[1] < high[1]:
        i, j = (slice(a - start, b - start) for a, b, start in zip(low, high, start_ijk[:2], strict=True))
        plane[i, j, 0] = data[low[0] : high[0], low[1] : high[1], k]
    return png_of(Image.fromarray(grey(slice_pixels(plane, plane="axial", index=0), window)))


def _draw(row: Row) -> Row:
    middle = (row["target_start_ijk"][2] + row["target_stop_ijk"][2]) // 2
    views = []
    for name in ("view_a", "view_b"):
        start = row[f"{name}_start_ijk"]
        index = min(max(middle - start[2], 0), row["size_vox"] - 1)
        views.append({"start": start, "index": index, "sentences": row[f"{name}_sentences"]})
    return {"region": row["region"], "size": row["size_vox"], "views": views}


def _write_pair(root: Path, dataset: Dataset, case: Case) -> None:
    """The tables of a data set of this pair alone; drawing needs no voxels."""
    root.mkdir()
    volume_id = case.volume["volume_id"]
    rows: dict[str, Sequence[Row]] = {
        "pairs": [case.pair | {"verdict": None}],
        "volumes": [case.volume],
        "sentences": [row | {"pair_id": case.pair["pair_id"]} for row in case.sentences],
        "regions": pq.read_table(dataset.root / "regions.parquet", filters=[("volume_id", "=", volume_id)]).to_pylist(),
    }
    for name, schema in TABLES.items():
        write_table(root / f"{name}.parquet", rows.get(name, ()), schema)
    write_json(root / "dataset.json", dict(dataset.manifest))
