"""The controls of T3D: does the image answer, and does the text help?

Enters: a bench. Leaves: numbers with intervals. Refuses: to report one form of the contrastive loss without the
other beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import torch

from train.batch import Batch
from train.bench import Bench, Features
from train.catalogue import Sentence
from train.crops import Draw
from train.losses import contrast_loss, restoration_errors, soft_targets
from train.models import tcl_logits
from train.readout import Readout

OBVIOUS_POOL = 192
"""Train draws that a readout is trained on where the run has none of its form."""
READOUT_RATE = 2e-3
WRONG_TEXTS = 4
"""Other crops whose sentences each crop is restored under."""
UNUSED = -1


def text_only(bench: Bench) -> dict[str, Any]:
    """TCL accuracy on held-out patients, with the real crops and with noise in place of all visual tokens.

    With noise only the text can answer. The form whose readout the run has not is trained briefly here, on the
    run's frozen encoders and its train split, so that both are shown.
    """
    config = bench.config
    held = bench.features(bench.held_out, bench.draws(bench.held_out, config.pool, seed=1), name="text-only probe")
    batches = distinct_batches(held, config.batch, config.probe_batches, seed=config.seed)
    size = min((len(batch) for batch in batches), default=0)
    if size < 2:
        return {"skipped": "fewer than two held-out sentences that differ"}
    result: dict[str, Any] = {"batch": size, "chance": 1.0 / size, "n_batches": len(batches)}
    parts, groups = [held.rows(batch) for batch in batches], np.repeat(np.arange(len(batches)), 2 * size)
    for form in ("conditioned", "obvious"):
        own = bench.model.readout if bench.run.config.tcl.form == form else None
        readout = (trained_readout(bench, form) if own is None else own).cpu().eval()
        found: dict[str, Any] = {
            "readout": f"trained here, {config.obvious_steps} steps" if own is None else "of the run"
        }
        for name, noise in (("noise", True), ("crops", False)):
            hits = [_accuracy(bench, readout, part, form, noise, place) for place, part in enumerate(parts)]
            found[name] = bench.mean(np.concatenate(hits), groups)
        result[form] = found | {"noise_at_chance": found["noise"]["low"] <= 1.0 / size <= found["noise"]["high"]}
        readout.to(bench.device)
    return result


def distinct_batches(features: Features, size: int, n: int, *, seed: int) -> list[list[int]]:
    """`n` batches of `size` draws among which no two are soft positives, so that chance is exactly 1/size."""
    rng = np.random.default_rng([seed, 11])
    keys = [(one.text_key, one.normal_key or one.text_key) for one in features.sentences]
    batches = []
    for _ in range(n):
        taken: set[int] = set()
        batch: list[int] = []
        for index in rng.permutation(len(keys)):
            if not taken.intersection(keys[index]) and len(batch) < size:
                batch.append(int(index))
                taken.update(keys[index])
        batches.append(batch)
    shortest = min(len(batch) for batch in batches)
    return [batch[:shortest] for batch in batches]


@torch.no_grad()
def _accuracy(bench: Bench, readout: Readout, part: Features, form: str, noise: bool, place: int) -> np.ndarray:
    """(2b,) whether each anchor finds its own, from view a to b and from b to a."""
    view_a, view_b = part.view_a, part.view_b
    if noise:
        generator = torch.Generator().manual_seed(bench.config.seed * 1000 + place)
        view_a, view_b = (_noise_like(view, generator) for view in (view_a, view_b))
    hits = []
    for first, second in ((view_a, view_b), (view_b, view_a)):
        logits = tcl_logits(readout, part.text, part.held, first, second, form)
        hits.append((logits.argmax(dim=1) == torch.arange(len(logits))).numpy())
    return np.concatenate(hits).astype(np.float64)


def _noise_like(tokens: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Noise with the mean and spread of each channel of the real tokens."""
    mean, spread = tokens.mean(dim=(0, 1)), tokens.std(dim=(0, 1))
    return torch.randn(tokens.shape, generator=generator) * spread + mean


def trained_readout(bench: Bench, form: str) -> Readout:
    """A fresh readout, trained for `obvious_steps` on frozen features of the train split."""
    config = bench.config
    features = bench.features(
        bench.train, bench.draws(bench.train, OBVIOUS_POOL, seed=2), name=f"{form} readout, features"
    )
    keys = torch.tensor([(one.text_key, one.normal_key) for one in features.sentences])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        readout = Readout(features.text.shape[-1], bench.run.config.tcl.width)
    optimizer = torch.optim.AdamW(readout.parameters(), lr=READOUT_RATE)
    rng = np.random.default_rng([config.seed, 13])
    temperature, soft = bench.run.config.tcl.temperature, bench.run.config.tcl.soft_positive
    with bench.progress.task(f"{form} readout", config.obvious_steps) as task:
        for _ in range(config.obvious_steps):
            index = rng.choice(len(features.draws), size=min(config.batch, len(features.draws)), replace=False)
            part = features.rows(index.tolist())
            equal, normal = keys[index].split(1, dim=1)
            targets = soft_targets(equal, normal, n_own=len(index), offset=0, soft_positive=soft)
            loss = torch.zeros(())
            for first, second in ((part.view_a, part.view_b), (part.view_b, part.view_a)):
                logits = tcl_logits(readout, part.text, part.held, first, second, form) / temperature
                loss = loss + 0.5 * contrast_loss(logits, targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            task.advance(note=f"loss {float(loss.detach()):.3f}")
    return readout


@torch.no_grad()
def text_gain(bench: Bench) -> dict[str, Any]:
    """Restoration error under wrong text minus under the right text, paired by crop, resampled by patient.

    Wrong text, three ways: the sentences of another patient's crop; those of another patient's crop of the same
    region (the region's name cannot help); none. Positive: the right text helps. The first two are means over
    `WRONG_TEXTS` other crops, where there are as many.
    """
    if bench.model.fusion is None:
        return {"skipped": "this method restores without text, or does not restore"}
    draws = bench.draws(bench.held_out, bench.config.gap_draws, seed=3)
    n = len(draws)
    said = [bench.held_out.encode(bench.held_out.sentences(drawn))[:2] for drawn in draws]
    ids, held = (np.stack(part) for part in zip(*said, (said[0][0], np.zeros_like(said[0][1])), strict=True))
    sentences = [bench.held_out.sentence(drawn) for drawn in draws]
    rng = np.random.default_rng([bench.config.seed, 17])
    chosen = {name: np.full((n, WRONG_TEXTS), UNUSED) for name in ("right", "shuffled", "same_region", "none")}
    chosen["right"][:, 0], chosen["none"][:, 0] = np.arange(n), n
    for name in ("shuffled", "same_region"):
        for place, row in enumerate(chosen[name]):
            others = _others(place, draws, sentences, rng, name == "same_region")
            row[: len(others)] = others
    errors = {name: np.full((n, WRONG_TEXTS), np.nan) for name in chosen}
    start = 0
    for batch in bench.batches(bench.held_out, draws, name="text gain"):
        for name, turn in product(chosen, range(WRONG_TEXTS)):
            texts = chosen[name][start : start + len(batch.draws), turn]
            rows = np.flatnonzero(texts != UNUSED)
            if len(rows):
                at = texts[rows]
                errors[name][start + rows, turn] = _restored_errors(bench, batch, rows, ids[at], held[at])
        start += len(batch.draws)
    with np.errstate(invalid="ignore"):
        means = {name: np.nansum(table, axis=1) / (~np.isnan(table)).sum(axis=1) for name, table in errors.items()}
    return _gains(bench, means, sentences)


def _restored_errors(bench: Bench, batch: Batch, rows: np.ndarray, ids: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Of some crops of a batch, each under a text."""
    tokens, there = (torch.from_numpy(part).to(bench.device) for part in (ids, held))
    restored = bench.model.restore(batch.corrupted[rows], bench.model.encode_text(tokens, there), there)
    return restoration_errors(restored, batch.clean[rows], batch.hidden[rows]).double().cpu().numpy()


def _others(
    place: int, draws: Sequence[Draw], sentences: Sequence[Sentence], rng: np.random.Generator, same_region: bool
) -> list[int]:
    """Draws of other patients; with `same_region`, of the same region and another wording."""
    own = sentences[place]
    candidates = [
        index
        for index, one in enumerate(sentences)
        if one.patient_id != own.patient_id
        and (not same_region or (draws[index].region == draws[place].region and one.text_key != own.text_key))
    ]
    return [int(index) for index in rng.permutation(candidates)[:WRONG_TEXTS]]


def _gains(bench: Bench, errors: dict[str, np.ndarray], sentences: Sequence[Sentence]) -> dict[str, Any]:
    low, high = bench.run.config.intensity.hu_range
    patients = np.asarray([one.patient_id for one in sentences])
    is_abnormal = np.asarray([one.is_abnormal for one in sentences])

    def gap(name: str, kept: np.ndarray | bool = True) -> dict[str, float]:
        difference = errors[name] - errors["right"]
        known = kept & ~np.isnan(difference)
        return bench.mean(difference[known], patients[known])

    return {
        "unit": "normalised HU",
        "hu_per_unit": (high - low) / 2.0,
        "right": bench.mean(errors["right"], patients),
        "shuffled_minus_right": gap("shuffled"),
        "same_region_minus_right": gap("same_region"),
        "same_region_minus_right_abnormal": gap("same_region", is_abnormal),
        "none_minus_right": gap("none"),
    }


def pointing(bench: Bench) -> dict[str, Any]:
    """Where the sentence looks hardest: inside its region's box, and on a lesion, against chance.

    The readout of TCL is trained to tell patients apart under a sentence, not to point; the attention of the
    alignment head is trained on which crop a sentence is about. On a lesion: of the sentences that state a finding
    and whose crop holds a lesion of the label maps ``lesions``.
    """
    draws = bench.draws(bench.held_out, bench.config.gap_draws, seed=4)
    features = bench.features(bench.held_out, draws, name="pointing")
    maps = bench.attention(features)
    if not maps:
        return {"skipped": "this method has nothing that attends from a sentence to a crop"}
    patients = np.asarray([one.patient_id for one in features.sentences])
    n = round(next(iter(maps.values())).shape[1] ** (1 / 3))
    boxes = np.stack([_cells_inside(drawn, n).ravel() for drawn in draws])
    lesions = np.stack([_cells_with_lesion(bench, drawn, n).ravel() for drawn in draws])
    lesions[[not one.is_abnormal for one in features.sentences]] = False
    result: dict[str, Any] = {}
    for name, looked in maps.items():
        result[name] = {}
        for place, cells in (("in_box", boxes), ("on_lesion", lesions)):
            kept = cells.any(axis=1)
            if not kept.any():
                continue
            hits = cells[np.arange(len(cells)), looked.argmax(axis=1)][kept].astype(float)
            result[name][place] = {**bench.mean(hits, patients[kept]), "chance": float(np.mean(cells[kept]))}
    return result


def _cells_with_lesion(bench: Bench, drawn: Draw, n: int) -> np.ndarray:
    """(n, n, n) bool, which cells of the first view hold a voxel of a lesion."""
    labels = bench.store.label_crop("lesions", drawn.volume_id, drawn.views[0].start_ijk, drawn.size_vox)
    if labels is None:
        return np.zeros((n, n, n), dtype=bool)
    edge = drawn.size_vox // n
    return labels.reshape(n, edge, n, edge, n, edge).any(axis=(1, 3, 5))


def _cells_inside(drawn: Draw, n: int) -> np.ndarray:
    """(n, n, n) bool, which cells of the first view have their centre in the target."""
    centres = np.add.outer(drawn.views[0].start_ijk, (np.arange(n) + 0.5) * (drawn.size_vox / n))  # (3, n)
    start, stop = (np.asarray(end)[:, None] for end in (drawn.target.start_ijk, drawn.target.stop_ijk))
    i, j, k = (centres >= start) & (centres < stop)
    return i[:, None, None] & j[:, None] & k
