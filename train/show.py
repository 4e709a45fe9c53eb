"""Crops as pictures: those that training sees, and those that suit a sentence.

Enters: a data set and a pair id, or a run and a sentence. Leaves: a PNG, a table of draws. Refuses: a pair that is not
in the data set or has no located sentence; a run without an alignment head.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from curation.contract import SPLITS, Dataset
from t3dkit.errors import ConfigError
from t3dkit.progress import Progress
from t3dkit.tables import write_table
from train.batch import normalise
from train.bench import Bench
from train.catalogue import Catalogue, read_catalogue
from train.config import Config
from train.crops import N_CHANCES, Draw, covered, draw, draw_views
from train.models import as_query
from train.pictures import Panel, Row, crop_rows, write_png
from train.reader import VolumeStore
from train.retrieval import aligned
from train.run import open_run

Summary = dict[str, Any]
MOST_SENTENCES = 5
_IJK = pa.list_(pa.int32())
_COVERED = pa.list_(pa.struct([("sentence_id", pa.string()), ("covered", pa.float64())]))
DRAWS = pa.schema(
    [
        ("row", pa.int64()),
        *((name, pa.string()) for name in ("pair_id", "volume_id", "sentence_id", "region")),
        *((name, _IJK) for name in ("target_start_ijk", "target_stop_ijk")),
        ("size_vox", pa.int64()),
        *((name, _IJK) for name in ("view_a_start_ijk", "view_b_start_ijk")),
        *((name, _COVERED) for name in ("view_a_sentences", "view_b_sentences")),
    ]
)


def show_crops(
    dataset_root: Path, config: Config, *, pair_id: str | None, out: Path | None, n_rows: int, table: Path | None
) -> dict[str, Any]:
    """Draw crops of a pair, or of the first batches of training, as a picture, a table or both; returns the summary.

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
    if out:
        _write_picture(out, draws, dataset, catalogue, config)
    if table:
        write_table(table, [as_row(row, drawn) for row, drawn in enumerate(draws)], DRAWS)
    summary: Summary = {"draws": len(draws), "regions": sorted({drawn.region for drawn in draws})}
    return {"picture": out.name, **summary} if out else summary


def _write_picture(out: Path, draws: Sequence[Draw], dataset: Dataset, catalogue: Catalogue, config: Config) -> None:
    with TemporaryDirectory() as cache:
        store, rows = VolumeStore(dataset, Path(cache)), []
        for drawn in draws:
            a, b = (
                normalise(store.crop(drawn.volume_id, view.start_ijk, drawn.size_vox), config.intensity)
                for view in drawn.views
            )
            said = [
                f"{share:.2f}  {catalogue.by_id[drawn.pair_id, name].text}" for name, share in drawn.views[0].sentences
            ]
            target = drawn.target.seen_from(drawn.views[0].start_ijk)
            rows.append(Row([Panel("view a", a, target), Panel("view b", b)], said))
        write_png(out, crop_rows(rows, config.intensity))


def search(run_folder: Path, dataset_root: Path, words: str, *, out: Path, n_rows: int, progress: Progress) -> Summary:
    """Draw the held-out crops that suit `words` best, at most one of each volume, and where the words look.

    Raises
    ------
    ConfigError
        The run has no alignment head that attends, or there is nothing to look for.
    """
    run = open_run(run_folder)
    bench = Bench(run, Dataset.open(dataset_root), run.config.evaluate, progress, run.root / "cache")
    align = bench.model.align
    if align is None or align.readout is None:
        raise ConfigError(f"{run_folder} cannot search: train it with `--method t3d-align`")
    if not words.strip():
        raise ConfigError("give a sentence to look for, such as 'There is a pleural effusion.'")
    sentence = bench.sentences([words])
    query, there = as_query(sentence)
    found = []
    catalogue = bench.held_out.catalogue
    with progress.task("search", len(catalogue.by_pair)) as task:
        for pair_id, sentences in catalogue.by_pair.items():
            starts, cells = bench.grid(sentences[0].volume_id)
            with torch.no_grad():
                tokens = bench.model.project(cells.to(bench.device))
                looked = align.readout.attention(
                    query.expand(len(tokens), -1, -1), there.expand(len(tokens), -1), tokens
                )
            rated = aligned(bench, sentence, tokens)[0]
            best = int(rated.argmax())
            found.append(
                (float(rated[best]), pair_id, sentences[0].volume_id, starts[best], looked[best].cpu().numpy())
            )
            task.advance()
    found.sort(key=lambda one: (-one[0], one[1]))
    rows, hits = [], []
    for score, pair_id, volume_id, start, look in found[:n_rows]:
        edge = round(len(look) ** (1 / 3))
        crop = bench.held_out.crop(volume_id, start)
        said = [
            one.text
            for one in catalogue.by_pair[pair_id]
            if covered(one, start, catalogue.crop.size_vox) >= catalogue.crop.coverage_threshold
        ]
        panels = [Panel(f"score {score:.2f}", crop), Panel("where it looks", crop, heat=look.reshape(edge, edge, edge))]
        rows.append(Row(panels, said[:MOST_SENTENCES]))
        hits.append({"pair_id": pair_id, "start_ijk": list(start), "score": round(score, 4)})
    write_png(out, crop_rows(rows, run.config.intensity))
    return {"picture": out.name, "volumes": len(found), "hits": hits}


def as_row(row: int, drawn: Draw) -> dict[str, Any]:
    """A draw as a row of `DRAWS`."""
    table = {"row": row, **{name: value for name, value in vars(drawn).items() if name in DRAWS.names}}
    table |= {"target_start_ijk": list(drawn.target.start_ijk), "target_stop_ijk": list(drawn.target.stop_ijk)}
    for name, view in zip("ab", drawn.views, strict=True):
        said = [{"sentence_id": one, "covered": covered} for one, covered in view.sentences]
        table |= {f"view_{name}_start_ijk": list(view.start_ijk), f"view_{name}_sentences": said}
    return table


def _of_pair(catalogue: Catalogue, pair_id: str, n_rows: int, seed: int) -> list[Draw]:
    located = [index for index, one in enumerate(catalogue.located) if one.pair_id == pair_id]
    if not located:
        raise ConfigError(
            f"pair {pair_id!r} has no located sentence that may be drawn: it is not in pairs.parquet, a verdict "
            "excludes it, or none of its regions was found"
        )
    located.sort(key=lambda index: (not catalogue.located[index].is_abnormal, catalogue.located[index].sentence_id))
    rng = np.random.default_rng([seed, 41])
    return [draw_views(catalogue, located[row % len(located)], rng.random(N_CHANCES).tolist()) for row in range(n_rows)]
