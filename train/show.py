"""``python -m train crops``: which crops training sees, as a picture and a table.

Enters: a data set, a pair id. Leaves: a PNG, a table of draws. Refuses: a pair that is not in the data set or has no
located sentence.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from curation.contract import SPLITS, Dataset
from t3dkit.errors import ConfigError
from t3dkit.tables import write_table
from train.batch import Batcher, in_crop
from train.catalogue import read_catalogue
from train.config import Config
from train.crops import Draw, draw, draw_views
from train.pictures import crop_rows, write_png
from train.reader import VolumeStore
from train.text import train_tokens

_COVERED = pa.list_(pa.struct([("sentence_id", pa.string()), ("covered", pa.float64())]))
DRAWS = pa.schema(
    [
        ("row", pa.int64()),
        ("pair_id", pa.string()),
        ("volume_id", pa.string()),
        ("sentence_id", pa.string()),
        ("region", pa.string()),
        ("target_start_ijk", pa.list_(pa.int32())),
        ("target_stop_ijk", pa.list_(pa.int32())),
        ("size_vox", pa.int64()),
        ("view_a_start_ijk", pa.list_(pa.int32())),
        ("view_b_start_ijk", pa.list_(pa.int32())),
        ("view_a_sentences", _COVERED),
        ("view_b_sentences", _COVERED),
    ]
)


def show_crops(
    dataset_root: Path, config: Config, *, pair_id: str | None, out: Path, n_rows: int, table: Path | None
) -> dict[str, Any]:
    """Draw crops of a pair, or of the first batches of training; returns the summary.

    Raises
    ------
    ConfigError
        The pair is not in the data set, is excluded by a verdict, or has no located sentence.
    """
    dataset = Dataset.open(dataset_root)
    splits = SPLITS if pair_id else ("train",)
    catalogue = read_catalogue(dataset, splits, config.crop)
    if pair_id:
        draws = _of_pair(catalogue, pair_id, n_rows, config.loop.seed)
    else:
        size = config.loop.batch
        draws = [
            draw(catalogue, seed=config.loop.seed, step=row // size, slot=row % size, n_slots=size)
            for row in range(n_rows)
        ]
    tokens = train_tokens([one.text for one in catalogue.sentences], config.text)
    with TemporaryDirectory() as cache:
        batcher = Batcher(catalogue, VolumeStore(dataset, Path(cache)), tokens, config)
        rows = []
        for drawn in draws:
            panels = [
                (f"view {name}", batcher.crop(drawn.volume_id, view.start_ijk))
                for name, view in zip("ab", drawn.views, strict=True)
            ]
            said = [
                f"{covered:.2f}  {one.text}"
                for (_, covered), one in zip(drawn.views[0].sentences, batcher.sentences(drawn), strict=True)
            ]
            rows.append((panels, in_crop(drawn.target, drawn.views[0].start_ijk), said))
        write_png(out, crop_rows(rows, config.intensity))
    if table:
        write_table(table, [as_row(row, drawn) for row, drawn in enumerate(draws)], DRAWS)
    return {"picture": out.name, "draws": len(draws), "regions": sorted({drawn.region for drawn in draws})}


def as_row(row: int, drawn: Draw) -> dict[str, Any]:
    """A draw as a row of `DRAWS`."""
    views = {
        f"view_{name}_{key}": value
        for name, view in zip("ab", drawn.views, strict=True)
        for key, value in (
            ("start_ijk", list(view.start_ijk)),
            ("sentences", [{"sentence_id": one, "covered": covered} for one, covered in view.sentences]),
        )
    }
    return {
        "row": row,
        "pair_id": drawn.pair_id,
        "volume_id": drawn.volume_id,
        "sentence_id": drawn.sentence_id,
        "region": drawn.region,
        "target_start_ijk": list(drawn.target.start_ijk),
        "target_stop_ijk": list(drawn.target.stop_ijk),
        "size_vox": drawn.size_vox,
        **views,
    }


def _of_pair(catalogue: Any, pair_id: str, n_rows: int, seed: int) -> list[Draw]:
    located = [one for one in catalogue.located if one.pair_id == pair_id]
    if not located:
        raise ConfigError(
            f"pair {pair_id!r} has no located sentence that may be drawn: it is not in pairs.parquet, a verdict "
            "excludes it, or none of its regions was found"
        )
    located.sort(key=lambda one: (not one.is_abnormal, one.sentence_id))
    rng = np.random.default_rng([seed, 41])
    return [draw_views(catalogue, located[row % len(located)], rng) for row in range(n_rows)]
