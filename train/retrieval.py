"""Retrieval on held-out patients: from a sentence to its crop, from a report to its volume.

Enters: a bench. Leaves: R@1, R@5, R@10 with pool size, duplicates and chance. Refuses: to hide that two sentences
of a pool read the same; both the strict and the lenient count are given.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from train.bench import Bench, Features
from train.intervals import mean_interval

RANKS = (1, 5, 10)
RIDGE = 10.0
"""Strength of the ridge map, on standardised features."""
RIDGE_POOL = 512


def retrieval(bench: Bench) -> dict[str, Any]:
    """Sentence -> crop and report -> volume.

    With an alignment head (preset t3d-align, clip) the head embeds both; every method is also measured through a
    linear (ridge) map from its text features to its image features, fitted on the train split, so that methods
    without a head can be compared.
    """
    held = bench.features(
        bench.held_out, bench.draws(bench.held_out, bench.config.pool, seed=5), name="retrieval, held-out"
    )
    fitted = bench.features(bench.train, bench.draws(bench.train, RIDGE_POOL, seed=6), name="retrieval, train")
    embeddings = {"ridge": _ridge(fitted, held)}
    if bench.run.config.align.weight:
        embeddings["align_head"] = _aligned(bench, held)
    result: dict[str, Any] = {}
    for name, (text, image) in embeddings.items():
        result[name] = {
            "sentence_to_crop": ranks(bench, text, image, held, by="draw"),
            "report_to_volume": ranks(bench, text, image, held, by="pair"),
        }
    return result


def ranks(bench: Bench, text: np.ndarray, image: np.ndarray, held: Features, *, by: str) -> dict[str, Any]:
    """R@k of text rows against image rows, by draw or averaged over each pair."""
    keys = np.asarray([one.text_key for one in held.sentences])
    patients = np.asarray([one.patient_id for one in held.sentences])
    if by == "pair":
        pairs, place = np.unique([one.pair_id for one in held.sentences], return_inverse=True)
        text, image = (np.stack([rows[place == p].mean(axis=0) for p in range(len(pairs))]) for rows in (text, image))
        patients = np.asarray([patients[place == p][0] for p in range(len(pairs))])
        keys = np.arange(len(pairs))
    similarity = _unit(text) @ _unit(image).T
    own = similarity[np.arange(len(keys)), np.arange(len(keys))]
    strict = (similarity > own[:, None]).sum(axis=1)
    equal = keys[:, None] == keys[None, :]
    best = np.where(equal, similarity, -np.inf).max(axis=1)
    lenient = (similarity > best[:, None]).sum(axis=1)
    n = len(keys)
    result: dict[str, Any] = {"pool": n, "distinct_texts": len(np.unique(keys)), "duplicates": n - len(np.unique(keys))}
    for k in RANKS:
        interval = mean_interval((strict < k).astype(float), patients, n=bench.config.bootstrap, seed=bench.config.seed)
        result[f"R@{k}"] = {**interval, "chance": min(1.0, k / n)}
        if by == "draw":
            result[f"R@{k}"]["any_crop_of_equal_text"] = float((lenient < k).mean())
    return result


def _ridge(fitted: Features, held: Features) -> tuple[np.ndarray, np.ndarray]:
    text, image = fitted.pooled_text.double().numpy(), fitted.view_a.mean(dim=1).double().numpy()
    text_mean, text_std = text.mean(axis=0), text.std(axis=0) + 1e-6
    image_mean, image_std = image.mean(axis=0), image.std(axis=0) + 1e-6
    x, y = (text - text_mean) / text_std, (image - image_mean) / image_std
    weights = np.linalg.solve(x.T @ x + RIDGE * len(x) ** 0.5 * np.eye(x.shape[1]), x.T @ y)
    held_x = (held.pooled_text.double().numpy() - text_mean) / text_std
    held_y = (held.view_a.mean(dim=1).double().numpy() - image_mean) / image_std
    return held_x @ weights, held_y


@torch.no_grad()
def _aligned(bench: Bench, held: Features) -> tuple[np.ndarray, np.ndarray]:
    text = bench.model.align_text(held.pooled_text.to(bench.device))
    image = bench.model.embed_image(held.view_a.to(bench.device))
    return text.double().cpu().numpy(), image.double().cpu().numpy()


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
