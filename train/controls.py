"""The controls of T3D: does the image answer, and does the text help?

Enters: a bench. Leaves: numbers with intervals. Refuses: to report one form of the contrastive loss without the
other beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from train.bench import Bench, Features
from train.intervals import mean_interval
from train.losses import contrast_logits, contrast_loss, restoration_errors, soft_targets
from train.readout import Readout

OBVIOUS_POOL = 192
"""Train draws that a readout is trained on where the run has none of its form."""
READOUT_RATE = 2e-3


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
    for form in ("conditioned", "obvious"):
        own = bench.model.readout is not None and bench.run.config.tcl.form == form
        readout = bench.model.readout if own else trained_readout(bench, form)
        assert readout is not None
        readout = readout.cpu().eval()
        result[form] = {"readout": "of the run" if own else f"trained here, {config.obvious_steps} steps"}
        for name, noise in (("noise", True), ("crops", False)):
            hits = [
                _accuracy(bench, readout, held.rows(batch), form, noise, place) for place, batch in enumerate(batches)
            ]
            interval = mean_interval(
                np.concatenate(hits), np.repeat(np.arange(len(batches)), 2 * size), n=config.bootstrap, seed=config.seed
            )
            result[form][name] = interval
        result[form]["noise_at_chance"] = result[form]["noise"]["low"] <= 1.0 / size <= result[form]["noise"]["high"]
        readout.to(bench.device)
    return result


def distinct_batches(features: Features, size: int, n: int, *, seed: int) -> list[list[int]]:
    """`n` batches of `size` draws among which no two are soft positives, so that chance is exactly 1/size."""
    rng = np.random.default_rng([seed, 11])
    keys = [(one.text_key, one.normal_key or one.text_key) for one in features.sentences]
    distinct = len({key[0] for key in keys})
    size = min(size, distinct)
    batches = []
    for _ in range(20 * n):
        taken: set[int] = set()
        batch: list[int] = []
        for index in rng.permutation(len(keys)):
            if not taken.intersection(keys[index]) and len(batch) < size:
                batch.append(int(index))
                taken.update(keys[index])
        batches.append(batch)
        if len(batches) == n:
            break
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
        logits = form_logits(readout, part.text, part.held, first, second, form, bench.run.config.tcl.temperature)
        hits.append((logits.argmax(dim=1) == torch.arange(len(logits))).numpy())
    return np.concatenate(hits).astype(np.float64)


def _noise_like(tokens: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Noise with the mean and spread of each channel of the real tokens."""
    mean, spread = tokens.mean(dim=(0, 1)), tokens.std(dim=(0, 1))
    return torch.randn(tokens.shape, generator=generator) * spread + mean


def form_logits(
    readout: Readout,
    text: torch.Tensor,
    held: torch.Tensor,
    first: torch.Tensor,
    second: torch.Tensor,
    form: str,
    temperature: float,
) -> torch.Tensor:
    """(b, b) logits of one form of TCL, in one process."""
    anchor = readout.paired(text, held, first)
    others = readout(text, held, second) if form == "conditioned" else readout.paired(text, held, second)
    return contrast_logits(anchor, others, temperature)


def trained_readout(bench: Bench, form: str) -> Readout:
    """A fresh readout, trained for `obvious_steps` on frozen features of the train split."""
    config = bench.config
    features = bench.features(
        bench.train, bench.draws(bench.train, OBVIOUS_POOL, seed=2), name=f"{form} readout, features"
    )
    text_keys = torch.tensor([one.text_key for one in features.sentences])
    normal_keys = torch.tensor([one.normal_key for one in features.sentences])
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
            targets = soft_targets(text_keys[index], normal_keys[index], n_own=len(index), offset=0, soft_positive=soft)
            loss = torch.zeros(())
            for first, second in ((part.view_a, part.view_b), (part.view_b, part.view_a)):
                logits = form_logits(readout, part.text, part.held, first, second, form, temperature)
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
    region (the region's name cannot help); none. Positive: the right text helps.
    """
    if bench.model.fusion is None:
        return {"skipped": "this method restores without text, or does not restore"}
    draws = bench.draws(bench.held_out, bench.config.gap_draws, seed=3)
    texts = [bench.held_out.encode(bench.held_out.texts(drawn)) for drawn in draws]
    sentences = [bench.held_out.sentence(drawn) for drawn in draws]
    rng = np.random.default_rng([bench.config.seed, 17])
    other = [_other(place, draws, sentences, rng, same_region=False) for place in range(len(draws))]
    same = [_other(place, draws, sentences, rng, same_region=True) for place in range(len(draws))]
    errors: dict[str, list[np.ndarray]] = {"right": [], "shuffled": [], "same_region": [], "none": []}
    start = 0
    for batch in bench.batches(bench.held_out, draws, name="text gain"):
        here = range(start, start + len(batch.draws))
        start += len(batch.draws)
        for name, chosen in (("right", list(here)), ("shuffled", other), ("same_region", same), ("none", None)):
            rows = [None if chosen is None else (place if name == "right" else chosen[place]) for place in here]
            errors[name].append(_errors(bench, batch, [None if row is None else texts[row] for row in rows]))
    table = {name: np.concatenate(parts) for name, parts in errors.items()}
    return _gains(bench, table, sentences, draws, other, same)


def _errors(bench: Bench, batch: Any, texts: Sequence[tuple[np.ndarray, np.ndarray] | None]) -> np.ndarray:
    ids, held = batch.ids.clone(), batch.held.clone()
    for row, pair in enumerate(texts):
        if pair is None:
            held[row] = False
        else:
            ids[row], held[row] = torch.from_numpy(pair[0]), torch.from_numpy(pair[1])
    text, present = bench.model.encode_text(ids, held)
    restored = bench.model.restore(batch.corrupted, text, present)
    return restoration_errors(restored, batch.clean, batch.hidden).double().cpu().numpy()


def _other(
    place: int, draws: Sequence[Any], sentences: Sequence[Any], rng: np.random.Generator, *, same_region: bool
) -> int | None:
    """Another patient's draw; with `same_region`, of the same region and another wording."""
    own = sentences[place]
    candidates = [
        index
        for index, one in enumerate(sentences)
        if one.patient_id != own.patient_id
        and (not same_region or (draws[index].region == draws[place].region and one.text_key != own.text_key))
    ]
    return int(rng.choice(candidates)) if candidates else None


def _gains(
    bench: Bench,
    errors: dict[str, np.ndarray],
    sentences: Sequence[Any],
    draws: Sequence[Any],
    other: Sequence[int | None],
    same: Sequence[int | None],
) -> dict[str, Any]:
    low, high = bench.run.config.intensity.hu_range
    hu = (high - low) / 2.0  # one normalised unit in HU
    patients = np.asarray([one.patient_id for one in sentences])
    is_abnormal = np.asarray([one.is_abnormal for one in sentences])
    everyone = np.ones(len(draws), dtype=bool)
    has_other = np.asarray([row is not None for row in other])
    has_same = np.asarray([row is not None for row in same])

    def gap(name: str, kept: np.ndarray) -> dict[str, float]:
        values = (errors[name] - errors["right"])[kept]
        return mean_interval(values, patients[kept], n=bench.config.bootstrap, seed=bench.config.seed)

    return {
        "unit": "normalised HU",
        "hu_per_unit": hu,
        "right": mean_interval(errors["right"], patients, n=bench.config.bootstrap, seed=bench.config.seed),
        "shuffled_minus_right": gap("shuffled", has_other),
        "same_region_minus_right": gap("same_region", has_same),
        "same_region_minus_right_abnormal": gap("same_region", has_same & is_abnormal),
        "none_minus_right": gap("none", everyone),
    }


@torch.no_grad()
def pointing(bench: Bench) -> dict[str, Any]:
    """Share of held-out sentences whose readout looks hardest at a place inside the sentence's box."""
    readout = bench.model.readout
    if readout is None:
        return {"skipped": "this method has no readout"}
    draws = bench.draws(bench.held_out, bench.config.gap_draws, seed=4)
    features = bench.features(bench.held_out, draws, name="pointing")
    looked = readout.attention(
        features.text.to(bench.device), features.held.to(bench.device), features.view_a.to(bench.device)
    ).cpu()
    n = round(looked.shape[1] ** (1 / 3))
    hits, chances = [], []
    for drawn, weights in zip(draws, looked, strict=True):
        inside = _cells_inside(drawn, n)
        hits.append(float(inside.ravel()[int(weights.argmax())]))
        chances.append(float(inside.mean()))
    patients = [one.patient_id for one in features.sentences]
    return {
        "hit_rate": mean_interval(np.asarray(hits), patients, n=bench.config.bootstrap, seed=bench.config.seed),
        "chance": float(np.mean(chances)),
    }


def _cells_inside(drawn: Any, n: int) -> np.ndarray:
    """(n, n, n) bool, which cells of the first view have their centre in the target."""
    cell = drawn.size_vox / n
    inside = np.ones((n, n, n), dtype=bool)
    for axis in range(3):
        centres = drawn.views[0].start_ijk[axis] + (np.arange(n) + 0.5) * cell
        along = (centres >= drawn.target.start_ijk[axis]) & (centres < drawn.target.stop_ijk[axis])
        inside &= along.reshape([-1 if a == axis else 1 for a in range(3)])
    return inside
