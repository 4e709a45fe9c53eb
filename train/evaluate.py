"""``python -m train evaluate``: every control and downstream task of a run, on held-out patients.

Enters: a run, a data set. Leaves: ``RUN/metrics.json`` and ``RUN/report.html``. Refuses: a task it does not know, a
data set on another grid.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from curation.contract import Dataset
from t3dkit.atomic import write_json, write_text
from t3dkit.command import finite
from t3dkit.errors import ConfigError
from t3dkit.progress import Progress
from train.bench import Bench
from train.config import EvaluateConfig, as_table, overridden
from train.controls import pointing, text_gain, text_only
from train.probes import abnormal_crops, findings
from train.report_page import write_report
from train.retrieval import retrieval
from train.run import open_run
from train.segment import segmentation

TASKS: Mapping[str, Callable[[Bench], dict[str, Any]]] = {
    "text_only": text_only,
    "text_gain": text_gain,
    "retrieval": retrieval,
    "pointing": pointing,
    "findings": findings,
    "abnormal_crops": abnormal_crops,
    "organs": lambda bench: segmentation(bench, "organs"),
    "lesions": lambda bench: segmentation(bench, "lesions"),
}

PARTIAL = "metrics.partial.json"
"""Tasks that are done, while others are not."""
HEADLINES = {
    "text_only_conditioned": "text_only conditioned noise mean",
    "text_only_obvious": "text_only obvious noise mean",
    "text_only_chance": "text_only chance",
    "tcl_accuracy": "text_only conditioned crops mean",
    "text_gain": "text_gain shuffled_minus_right mean",
    "text_gain_low": "text_gain shuffled_minus_right low",
    "text_gain_same_region": "text_gain same_region_minus_right mean",
    "retrieval_R@5": "retrieval ridge sentence_to_crop R@5 mean",
    "finding_auroc": "findings linear macro_auroc mean",
    "finding_auroc_zero_shot": "findings zero_shot macro_auroc mean",
    "organ_dice": "organs 1 pretrained dice mean",
    "organ_dice_scratch": "organs 1 scratch dice mean",
    "lesion_dice": "lesions 1 pretrained dice mean",
}


def evaluate(
    run_folder: Path,
    dataset_root: Path,
    *,
    config: EvaluateConfig | None = None,
    words: Sequence[str] = (),
    only: Sequence[str] | None = None,
    progress: Progress,
) -> dict[str, Any]:
    """Measure a run as `config` says, or as the run's own configuration changed by `words`; returns the short summary.

    Raises
    ------
    ConfigError
        No run, no data set, an unknown task or key.
    ContractError
        The data set is on another grid than the run.
    """
    unknown = sorted(set(only or ()) - set(TASKS))
    if unknown:
        raise ConfigError(f"no task {unknown[0]!r}; there are {', '.join(TASKS)}")
    run = open_run(run_folder)
    dataset = Dataset.open(dataset_root)
    asked = [word if word.startswith("evaluate.") else f"evaluate.{word}" for word in words]
    config = config or overridden(run.config, asked).evaluate
    bench = Bench(run, dataset, config, progress, run.root / "cache")
    torch.manual_seed(bench.config.seed)
    started = time.monotonic()
    results = {name: TASKS[name](bench) for name in TASKS if name in only} if only else _every_task(bench)
    metrics = {
        "method": run.config.method,
        "step": bench.step,
        "n_held_out_patients": bench.held_out.catalogue.n_patients,
        "n_train_patients": bench.train.catalogue.n_patients,
        "evaluate": as_table(config),
        "results": results,
        "not_measured": {"random_crops": RANDOM_CROPS},
    }
    write_report(run.root / "report.html", bench, metrics)
    write_json(run.root / "metrics.json", finite(metrics))  # where it is, the run is measured
    (run.root / PARTIAL).unlink(missing_ok=True)
    return {"run": run.root.name, "seconds": round(time.monotonic() - started, 1), **headlines(results)}


def _every_task(bench: Bench) -> dict[str, Any]:
    """The results of all tasks; what a measurement of the same that was cut off had, is taken from `PARTIAL`."""
    path = bench.run.root / PARTIAL
    pairs = [sorted(side.catalogue.by_pair) for side in (bench.train, bench.held_out)]
    labels = [(one.name, one.stat().st_mtime_ns) for one in sorted((bench.dataset.root / "labels").rglob("*"))]
    known = json.dumps([as_table(bench.config), bench.step, pairs, labels])
    key = hashlib.sha256(known.encode("utf-8")).hexdigest()
    held = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    results: dict[str, Any] = held["results"] if held.get("key") == key else {}
    if results:
        bench.progress.say(
            f"going on with a measurement that was cut off: {len(results)} of {len(TASKS)} tasks are done"
        )
    for name in (one for one in TASKS if one not in results):
        results[name] = TASKS[name](bench)
        write_text(path, json.dumps({"key": key, "results": results}))
    return results


RANDOM_CROPS = (
    "whether aligned crops beat crops that ignore the sentences takes a second training: "
    "python -m train baselines DATASET --out GRID --methods t3d,random-crops"
)
"""The one control that a run cannot show by itself."""


def headlines(results: Mapping[str, Any]) -> dict[str, Any]:
    """The few numbers a person asks for first; None where a task was skipped."""
    found = {name: result_at(results, *keys.split(" ")) for name, keys in HEADLINES.items()}
    head = result_at(results, "retrieval", "align_head", "sentence_to_crop", "R@5", "mean")
    found["retrieval_R@5"] = found["retrieval_R@5"] if head is None else head
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in found.items()}


def result_at(results: Any, *keys: str) -> Any:
    """What stands under nested keys, None where there is nothing."""
    for key in keys:
        results = results.get(key) if isinstance(results, Mapping) else None
    return results
