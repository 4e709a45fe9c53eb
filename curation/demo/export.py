"""The demo export as a whole: plan, make every study, write the tables, give it its final name.

Enters: a folder to be made, number of studies, seed. Leaves: the folder, with ``demo.json`` written last. Refuses to
write over a folder that holds anything but a demo.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from curation.demo.plan import StudyPlan, plan_studies
from curation.demo.study import StudyTruth, make_study
from curation.demo.truth import write_tables
from t3dkit.atomic import write_json
from t3dkit.errors import ConfigError
from t3dkit.progress import Progress

DEMO_VERSION = 3
"""Raised whenever the same seed gives other bytes; an older demo is then made anew."""
MANIFEST = "demo.json"


def write_demo(
    out: Path, *, n_studies: int, seed: int, workers: int, progress: Progress, coarse: float = 1.0
) -> dict[str, Any]:
    """Write a synthetic hospital export to `out`; an identical one that is there already is kept.

    Parameters
    ----------
    out : Path
        Folder to be made.
    n_studies, seed, workers : int
        The bytes depend on the first two alone.
    progress : Progress
    coarse : float
        Voxels this much larger than usual; for tests.

    Returns
    -------
    dict
        Counts, and whether the export was there before.

    Raises
    ------
    ConfigError
        `n_studies` or `workers` is below one, or `out` holds something that is no demo.
    """
    if n_studies < 1 or workers < 1:
        raise ConfigError(f"--studies and --workers must be 1 or more, found {n_studies} and {workers}")
    wanted = {"demo_version": DEMO_VERSION, "n_studies": n_studies, "seed": seed, "coarse": coarse}
    known = _manifest(out)
    if known is not None and all(known.get(key) == value for key, value in wanted.items()):
        return {"out": str(out), **known, "reused": True}
    building = out.with_name(f".building-{out.name}")
    shutil.rmtree(building, ignore_errors=True)
    try:
        truths = _make_all(plan_studies(n_studies, seed), building, workers=workers, progress=progress, coarse=coarse)
        counts = write_tables(building, truths, seed=seed)
        summary = {
            **wanted,
            "n_patients": len({truth.plan.patient.number for truth in truths}),
            "n_series": sum(len(truth.series) for truth in truths),
            "n_files": sum(truth.n_files for truth in truths),
            **counts,
        }
        write_json(building / MANIFEST, summary)
        if out.exists():
            shutil.rmtree(out)
        os.replace(building, out)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return {"out": str(out), **summary, "reused": False}


def _manifest(out: Path) -> dict[str, Any] | None:
    """The manifest of the demo in `out`, {} of an unfinished or older one, None where nothing is there."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    path = out / MANIFEST
    if not path.is_file():
        raise ConfigError(f"{out} exists and is no demo export (it has no {MANIFEST}): choose another folder")
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        return {}


def _make_all(
    plans: Sequence[StudyPlan], out: Path, *, workers: int, progress: Progress, coarse: float
) -> list[StudyTruth]:
    out.mkdir(parents=True)
    make = partial(make_study, out=out, coarse=coarse)
    truths: list[StudyTruth] = []
    with progress.task("demo studies", len(plans)) as task:
        for truth in _results(plans, make, workers):
            truths.append(truth)
            task.advance(files=truth.n_files, lesions=len(truth.lesions))
    return truths


def _results(plans: Sequence[StudyPlan], make: partial[StudyTruth], workers: int) -> Iterator[StudyTruth]:
    """Each study's truth, in the order of the plans.

    The first study is always made here, so that compiled kernels are cached before workers start to look for them.
    """
    yield make(plans[0])
    rest = plans[1:]
    if workers == 1 or not rest:
        yield from map(make, rest)
        return
    with multiprocessing.get_context("spawn").Pool(min(workers, len(rest))) as pool:
        yield from pool.imap(make, rest, chunksize=1)
