"""Retrieval on held-out patients: from a sentence to its crop, from a report to its volume.

Enters: a bench. Leaves: R@1, R@5, R@10 with pool size, duplicates and chance. Refuses: to hide that two sentences
of a pool read the same; both the strict and the lenient count are given.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.preprocessing import StandardScaler

from train.bench import Bench, Features

RANKS = (1, 5, 10)
RIDGE = 10.0
"""Strength of the ridge map, on standardised features."""
RIDGE_POOL = 512
CHUNK = 16
"""Sentences that are compared with all crops at a time."""


def retrieval(bench: Bench) -> dict[str, Any]:
    """Sentence -> crop and report -> volume.

    The alignment head, where there is one, rates sentences against crops; every method is also measured through a
    linear (ridge) map from its text features to its image features, fitted on the train split, so that methods
    without a head can be compared. A report and a volume are as similar as the report's sentences are, on average,
    to the volume's crop that suits each best.
    """
    held = bench.features(
        bench.held_out, bench.draws(bench.held_out, bench.config.pool, seed=5), name="retrieval, held-out"
    )
    fitted = bench.features(bench.train, bench.draws(bench.train, RIDGE_POOL, seed=6), name="retrieval, train")
    similarities = {"ridge": _ridge(fitted, held)}
    if bench.model.align is not None:
        similarities["align_head"] = aligned(bench, held.pooled_text, held.view_a)
    keys = np.asarray([one.text_key for one in held.sentences])
    patients = np.asarray([one.patient_id for one in held.sentences])
    pairs, first, place = np.unique([one.pair_id for one in held.sentences], return_index=True, return_inverse=True)
    result: dict[str, Any] = {}
    for name, similarity in similarities.items():
        best = np.stack([similarity[:, place == p].max(axis=1) for p in range(len(pairs))], axis=1)
        by_pair = np.stack([best[place == p].mean(axis=0) for p in range(len(pairs))])
        sentences = ranks(bench, similarity, keys, patients)
        reports = ranks(bench, by_pair, np.arange(len(pairs)), patients[first])
        result[name] = {"sentence_to_crop": sentences, "report_to_volume": reports}
    return result


def ranks(bench: Bench, similarity: np.ndarray, keys: np.ndarray, patients: np.ndarray) -> dict[str, Any]:
    """R@k of rows among columns, (m, m); rows of equal key read the same."""
    n = len(keys)
    strict = (similarity > similarity.diagonal()[:, None]).sum(axis=1)
    best = np.where(keys[:, None] == keys[None, :], similarity, -np.inf).max(axis=1)
    lenient = (similarity > best[:, None]).sum(axis=1)
    distinct = len(np.unique(keys))
    result: dict[str, Any] = {"pool": n, "distinct_texts": distinct, "duplicates": n - distinct}
    for k in RANKS:
        result[f"R@{k}"] = {**bench.mean((strict < k).astype(float), patients), "chance": min(1.0, k / n)}
        if distinct < n:
            result[f"R@{k}"]["any_crop_of_equal_text"] = float((lenient < k).mean())
    return result


def _ridge(fitted: Features, held: Features) -> np.ndarray:
    scaled = [StandardScaler().fit(rows) for rows in (_text(fitted), _image(fitted))]
    model = Ridge(alpha=RIDGE * len(fitted.draws) ** 0.5)
    model.fit(scaled[0].transform(_text(fitted)), scaled[1].transform(_image(fitted)))
    return cosine_similarity(model.predict(scaled[0].transform(_text(held))), scaled[1].transform(_image(held)))


def _text(features: Features) -> np.ndarray:
    return features.pooled_text.double().numpy()


def _image(features: Features) -> np.ndarray:
    return features.view_a.mean(dim=1).double().numpy()


@torch.no_grad()
def aligned(bench: Bench, sentences: torch.Tensor, tokens: torch.Tensor) -> np.ndarray:
    """(r, m) logits of the alignment head: (r, d) sentences against the (m, n, d) tokens of crops."""
    align, tokens = bench.model.align, tokens.to(bench.device)
    assert align is not None
    rows = [align(part.to(bench.device), tokens) for part in sentences.split(CHUNK)]
    return torch.cat(rows).double().cpu().numpy()
