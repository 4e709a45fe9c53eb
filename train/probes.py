"""Linear probes on frozen features: is the finding there, is the crop abnormal?

Enters: a bench. Leaves: AUROC with intervals over patients. Refuses: a finding too rare to measure; it is listed as
left out.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from train.bench import HELD_OUT, Bench
from train.intervals import statistic_interval
from train.retrieval import aligned

MIN_CASES = 2
"""Fewest positives and negatives, on each side, for a finding to be measured."""
STRENGTH = 0.01
"""Inverse regularisation of the logistic regression; a few dozen patients do not support more."""
SENTENCE_DRAWS = 256
PRESENT, ABSENT = "There is {}.", "No {}."
"""What a finding's name becomes for zero-shot use."""

Scores = dict[str, tuple[np.ndarray, np.ndarray]]
"""finding -> truth of each held-out volume, NaN where it has no label, and score."""


def findings(bench: Bench) -> dict[str, Any]:
    """AUROC of each finding of ``labels/findings.parquet`` by volume, patients disjoint.

    Linear: logistic regression on frozen features, fitted on the train split. Zero-shot, where the run has an
    alignment head: how well the sentence that names the finding suits the volume's crop that suits it best, minus
    the same for the sentence that denies it; nothing is fitted.
    """
    rows = bench.dataset.findings()
    if not rows:
        return {"skipped": "the data set has no labels/findings.parquet"}
    labels: dict[str, dict[str, int]] = defaultdict(dict)
    for row in rows:
        labels[row["finding"]][row["volume_id"]] = row["value"]
    train = sorted(pair["volume_id"] for pair in bench.dataset.trainable_pairs("train"))
    held = sorted(pair["volume_id"] for split in HELD_OUT for pair in bench.dataset.trainable_pairs(split))
    features, matches = _volume_features(bench, [*train, *held], sorted(labels))
    x_fit, x_test = np.split(features, [len(train)])
    linear: Scores = {}
    zero_shot: Scores = {}
    left_out = []
    for place, (finding, values) in enumerate(sorted(labels.items())):
        y_fit, y_test = (np.asarray([values.get(name, np.nan) for name in ids]) for ids in (train, held))
        if min(*_cases(y_fit), *_cases(y_test)) < MIN_CASES:
            left_out.append(finding)
            continue
        known = ~np.isnan(y_fit)
        linear[finding] = (y_test, _scores(x_fit[known], y_fit[known], x_test))
        if matches is not None:
            zero_shot[finding] = (y_test, matches[len(train) :, place])
    if not linear:
        return {"skipped": "no finding has enough cases on both sides", "left_out": left_out}
    result = {name: _macro(bench, scores) for name, scores in (("linear", linear), ("zero_shot", zero_shot)) if scores}
    return {**result, "left_out": left_out, "n_train": len(train), "n_held_out": len(held)}


@torch.no_grad()
def _volume_features(bench: Bench, volume_ids: list[str], names: list[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """By volume: mean and maximum of the bottleneck over a grid of crops, and how well each finding suits it."""
    features, matches, prompts = [], [], None
    if bench.model.align is not None:
        words = [name.replace("_", " ") for name in names]
        prompts = bench.sentences([says.format(word) for says in (PRESENT, ABSENT) for word in words])
    with bench.progress.task("finding probes", len(volume_ids)) as task:
        for volume_id in volume_ids:
            _, cells = bench.grid(volume_id)
            flat = cells.flatten(0, 1).double()
            features.append(torch.cat([flat.mean(dim=0), flat.amax(dim=0)]).numpy())
            if prompts is not None:
                suits = aligned(bench, prompts, bench.model.project(cells.to(bench.device))).max(axis=1)
                matches.append(suits[: len(names)] - suits[len(names) :])
            task.advance()
    return np.stack(features), np.stack(matches) if matches else None


def _macro(bench: Bench, scores: Scores) -> dict[str, Any]:
    def auroc(finding: str, drawn: np.ndarray) -> float:
        truth, score = (column[drawn] for column in scores[finding])
        known = ~np.isnan(truth)
        return auroc_of(truth[known], score[known])

    def macro(drawn: np.ndarray) -> float:
        known = [value for finding in scores if (value := auroc(finding, drawn)) == value]
        return float(np.mean(known)) if known else float("nan")

    n_held = len(next(iter(scores.values()))[0])
    by_finding = {finding: auroc(finding, np.arange(n_held)) for finding in scores}
    return {"macro_auroc": _interval(bench, macro, n_held), "auroc": by_finding}


def abnormal_crops(bench: Bench) -> dict[str, Any]:
    """AUROC of telling a crop whose sentence states a finding from one whose sentence says normal."""
    sides = []
    for batcher, seed in ((bench.train, 7), (bench.held_out, 8)):
        draws = bench.draws(batcher, SENTENCE_DRAWS, seed=seed)
        crops = [batcher.crop(drawn.volume_id, drawn.views[0].start_ijk) for drawn in draws]
        sentences = [batcher.sentence(drawn) for drawn in draws]
        kept = [index for index, one in enumerate(sentences) if one.is_abnormal != one.is_normal]
        if not kept:
            return {"skipped": "no sentence is asserted"}
        x = bench.bottlenecks([crops[index] for index in kept]).mean(dim=1).double().numpy()
        y = np.asarray([int(sentences[index].is_abnormal) for index in kept])
        sides.append((x, y, np.asarray([sentences[index].patient_id for index in kept])))
    (x_fit, y_fit, _), (x_test, y_test, patients) = sides
    if min(*_cases(y_fit), *_cases(y_test)) < MIN_CASES:
        return {"skipped": "too few normal or abnormal sentences"}
    score = _scores(x_fit, y_fit, x_test)
    names = np.unique(patients)
    of_patient = [np.flatnonzero(patients == name) for name in names]

    def auroc(drawn: np.ndarray) -> float:
        index = np.concatenate([of_patient[int(i)] for i in drawn])
        return auroc_of(y_test[index], score[index])

    interval = _interval(bench, auroc, len(names))
    return {"auroc": interval, "n_crops": len(y_test), "share_abnormal": float(y_test.mean())}


def auroc_of(truth: np.ndarray, score: np.ndarray) -> float:
    """AUROC of `score` for 0 or 1 of `truth`, (n,) each; NaN where all are alike."""
    return float(roc_auc_score(truth, score)) if len(set(truth)) == 2 else float("nan")


def _interval(bench: Bench, statistic: Callable[[np.ndarray], float], n_items: int) -> dict[str, float]:
    return statistic_interval(statistic, n_items, n=bench.config.bootstrap // 5, seed=bench.config.seed)


def _scores(x_fit: np.ndarray, y_fit: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    scaler = StandardScaler().fit(x_fit)
    probe = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=500)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a probe that has not fully converged is still the probe we report
        probe.fit(scaler.transform(x_fit), y_fit)
    return np.asarray(probe.decision_function(scaler.transform(x_test)))


def _cases(labels: np.ndarray) -> tuple[int, int]:
    return int((labels == 1).sum()), int((labels == 0).sum())
