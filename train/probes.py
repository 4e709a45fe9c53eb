"""Linear probes on frozen features: is the finding there, is the crop abnormal?

Enters: a bench. Leaves: AUROC with intervals over patients. Refuses: a finding too rare to measure; it is listed as
left out.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from train.bench import HELD_OUT, Bench
from train.intervals import statistic_interval

MIN_CASES = 2
"""Fewest positives and negatives, on each side, for a finding to be measured."""
STRENGTH = 0.01
"""Inverse regularisation of the logistic regression; a few dozen patients do not support more."""
SENTENCE_DRAWS = 256


def findings(bench: Bench) -> dict[str, Any]:
    """AUROC of each finding of ``labels/findings.parquet``, volume-level, patients disjoint."""
    rows = bench.dataset.findings()
    if not rows:
        return {"skipped": "the data set has no labels/findings.parquet"}
    labels: dict[str, dict[str, int]] = defaultdict(dict)
    for row in rows:
        labels[row["finding"]][row["volume_id"]] = row["value"]
    train = sorted(pair["volume_id"] for pair in bench.dataset.trainable_pairs("train"))
    held = sorted(pair["volume_id"] for split in HELD_OUT for pair in bench.dataset.trainable_pairs(split))
    features = volume_features(bench, [*train, *held])
    scores: dict[str, tuple[list[str], np.ndarray, np.ndarray]] = {}
    left_out = []
    for finding, values in sorted(labels.items()):
        fit_ids, test_ids = ([name for name in side if name in values] for side in (train, held))
        y_fit, y_test = (np.asarray([values[name] for name in ids]) for ids in (fit_ids, test_ids))
        if min(*_cases(y_fit), *_cases(y_test)) < MIN_CASES:
            left_out.append(finding)
            continue
        x_fit, x_test = (np.stack([features[name] for name in ids]) for ids in (fit_ids, test_ids))
        scores[finding] = (test_ids, y_test, _scores(x_fit, y_fit, x_test))
    if not scores:
        return {"skipped": "no finding has enough cases on both sides", "left_out": left_out}
    return {**_macro(bench, scores, held), "left_out": left_out, "n_train": len(train), "n_held_out": len(held)}


def _macro(
    bench: Bench, scores: dict[str, tuple[list[str], np.ndarray, np.ndarray]], held: list[str]
) -> dict[str, Any]:
    def auroc(finding: str, drawn: np.ndarray) -> float:
        ids, truth, score = scores[finding]
        place = {name: index for index, name in enumerate(ids)}
        index = [place[held[int(i)]] for i in drawn if held[int(i)] in place]
        return roc_auc_score(truth[index], score[index]) if len(set(truth[index])) == 2 else float("nan")

    def macro(drawn: np.ndarray) -> float:
        known = [value for finding in scores if (value := auroc(finding, drawn)) == value]
        return float(np.mean(known)) if known else float("nan")

    everyone = np.arange(len(held))
    return {
        "macro_auroc": statistic_interval(macro, len(held), n=bench.config.bootstrap // 5, seed=bench.config.seed),
        "auroc": {finding: float(auroc(finding, everyone)) for finding in scores},
    }


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
        x = bench.crop_features([crops[index] for index in kept]).double().numpy()
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
        return float(roc_auc_score(y_test[index], score[index])) if len(set(y_test[index])) == 2 else float("nan")

    interval = statistic_interval(auroc, len(names), n=bench.config.bootstrap // 5, seed=bench.config.seed)
    return {"auroc": interval, "n_crops": len(y_test), "share_abnormal": float(y_test.mean())}


def volume_features(bench: Bench, volume_ids: list[str]) -> dict[str, np.ndarray]:
    """Mean and maximum of the encoder's features over a regular grid of crops of each volume."""
    features = {}
    with bench.progress.task("finding probes", len(volume_ids)) as task:
        for volume_id in volume_ids:
            starts = grid_starts(
                bench.store.shape_ijk(volume_id), bench.train.config.crop.size_vox, bench.config.volume_crops
            )
            crops = bench.crop_features([bench.train.crop(volume_id, start) for start in starts]).double()
            features[volume_id] = np.concatenate([crops.mean(dim=0).numpy(), crops.amax(dim=0).numpy()])
            task.advance()
    return features


def grid_starts(shape: tuple[int, int, int], size: int, n_crops: int) -> list[tuple[int, int, int]]:
    """Starts of at most `n_crops` crops, evenly spread; never more along an axis than tile it."""
    per_axis = max(1, round(n_crops ** (1 / 3)))
    lines = []
    for length in shape:
        n = min(per_axis, -(-length // size))
        lines.append([round(at) for at in np.linspace(0, length - size, n)] if n > 1 else [(length - size) // 2])
    return [(i, j, k) for i in lines[0] for j in lines[1] for k in lines[2]]


def _scores(x_fit: np.ndarray, y_fit: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    scaler = StandardScaler().fit(x_fit)
    probe = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=500)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a probe that has not fully converged is still the probe we report
        probe.fit(scaler.transform(x_fit), y_fit)
    return np.asarray(probe.decision_function(scaler.transform(x_test)))


def _cases(labels: np.ndarray) -> tuple[int, int]:
    return int((labels == 1).sum()), int((labels == 0).sum())
