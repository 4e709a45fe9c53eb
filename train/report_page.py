"""The report page of a run: one HTML file that needs no network.

Enters: a bench and its metrics. Leaves: ``report.html`` with curves, tables and crops as pictures inside it.
Refuses: to load anything from elsewhere; text is escaped.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from t3dkit.atomic import write_text
from train.batch import in_crop
from train.bench import Bench
from train.crops import Draw
from train.pictures import Panel, Row, crop_rows, curves, png, sample_figure

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1080px;margin:2rem auto;padding:0 1rem;color:#1c2430;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem;border-bottom:1px solid #d8dee6;padding-bottom:.2rem}
table{border-collapse:collapse;margin:.6rem 0}
td,th{padding:.25rem .8rem;text-align:left;border-bottom:1px solid #e6eaf0}
th{font-weight:600}td.n{text-align:right;font-variant-numeric:tabular-nums}img{max-width:100%}
.good{color:#12703a}.bad{color:#a3261f}.note{color:#5a6675}
"""
CAPTIONS = {
    "text_only": "Accuracy of the contrastive task on held-out patients. With noise in place of the crops only the "
    "text can answer: our form must be at chance, the obvious form is not.",
    "text_gain": "Restoration error (normalised HU, hidden voxels) under other text minus under the right text. Above "
    "zero: the text helps. 'Same region' takes the sentences of another patient's crop of the same region.",
    "retrieval": "Recall among held-out crops and volumes. Strict counts the own crop only; sentences that read the "
    "same are duplicates.",
    "pointing": "Whether the readout looks hardest inside the box of the sentence's region.",
    "findings": "Logistic regression on frozen features of whole volumes, labels from the data set.",
    "abnormal_crops": "Logistic regression on frozen features of one crop: does its sentence state a finding?",
    "organs": "Dice after a short fine-tuning, from the run's weights and from scratch.",
    "lesions": "Dice after a short fine-tuning, from the run's weights and from scratch.",
}


def write_report(path: Path, bench: Bench, metrics: Mapping[str, Any]) -> None:
    """Write the page."""
    parts = [
        f"<h1>T3D run, method {html.escape(bench.run.config.method)}, step {bench.step}</h1>",
        f'<p class="note">{metrics["n_train_patients"]} patients trained on, {metrics["n_held_out_patients"]} held '
        "out. Intervals are 95 %, resampled by patient unless said otherwise.</p>",
        _verdicts(metrics["results"]),
        *(f'<p class="note">Not measured: {html.escape(one)}</p>' for one in metrics["not_measured"].values()),
        "<h2>Losses</h2>",
        _picture(curves(bench.run.history()), "loss terms by step"),
        "<h2>Held-out crops</h2>",
        '<p class="note">The part of the region that both views cover is outlined. '
        "Pictures show a soft-tissue window; the patient's right is on the left.</p>",
        _picture(_crops(bench), "crops, what was hidden, what was restored, and the sentences"),
    ]
    looks = _looks(bench)
    if looks:
        parts += [
            "<h2>Where sentences look</h2>",
            '<p class="note">Attention of held-out sentences that state a finding over their crops, through the plane '
            "where it is strongest; the sentence's region is outlined.</p>",
            _picture(looks, "attention of sentences over their crops"),
        ]
    for name, result in metrics["results"].items():
        parts += [f"<h2>{name.replace('_', ' ')}</h2>", f'<p class="note">{CAPTIONS[name]}</p>', _table(result)]
    body = "\n".join(parts)
    write_text(
        path,
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>T3D run</title>'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        f"style-src 'unsafe-inline'\"><style>{STYLE}</style></head><body>\n{body}\n</body></html>\n",
    )


def _verdicts(results: Mapping[str, Any]) -> str:
    rows: list[tuple[bool, str, Mapping[str, float]]] = []
    probe, gain = results.get("text_only", {}), results.get("text_gain", {})
    if "conditioned" in probe:
        ours, obvious, chance = probe["conditioned"], probe["obvious"]["noise"], f"chance {probe['chance']:.3f}"
        says = f"our form cannot be solved from the text alone ({chance})"
        rows.append((ours["noise_at_chance"], says, ours["noise"]))
        rows.append((obvious["low"] > probe["chance"], f"the obvious form can ({chance})", obvious))
    if "right" in gain:
        other, same = gain["shuffled_minus_right"], gain["same_region_minus_right"]
        rows.append((other["low"] > 0, "the right text restores better than another patient's", other))
        rows.append((same["low"] > 0, "... also than another patient's on the same region", same))
    items = "".join(
        f'<li class="{"good" if held else "bad"}">{"yes" if held else "not shown"}: {html.escape(text)}, '
        f"{_number(interval)}</li>"
        for held, text, interval in rows
    )
    return f"<ul>{items}</ul>" if items else ""


def _table(result: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><th>{html.escape(" · ".join(keys))}</th><td class="n">{html.escape(text)}</td></tr>'
        for keys, text in _leaves(result, ())
    )
    return f"<table>{rows}</table>"


def _leaves(value: Any, keys: tuple[str, ...]) -> list[tuple[tuple[str, ...], str]]:
    if isinstance(value, Mapping) and "mean" in value:
        extra = {key: item for key, item in value.items() if key not in ("mean", "low", "high", "n", "n_groups")}
        return [(keys, _number(value)), *(row for key, item in extra.items() for row in _leaves(item, (*keys, key)))]
    if isinstance(value, Mapping):
        return [row for key, item in value.items() for row in _leaves(item, (*keys, str(key).replace("_", " ")))]
    if isinstance(value, float):
        return [(keys, f"{value:.4f}")]
    if isinstance(value, list):
        return [(keys, ", ".join(str(item) for item in value) or "none")]
    return [(keys, str(value))]


def _number(interval: Mapping[str, float]) -> str:
    digits = 4 if abs(interval["mean"]) < 0.1 else 3
    return f"{interval['mean']:.{digits}f} [{interval['low']:.{digits}f}, {interval['high']:.{digits}f}]"


@torch.no_grad()
def _crops(bench: Bench) -> Figure:
    draws = _varied(bench)
    batch = bench.held_out.of_draws(draws, seed=bench.config.seed).to(bench.device)
    restored = bench.model.restored(batch)
    return sample_figure(bench.held_out, batch, restored, n_rows=len(draws))


def _looks(bench: Bench, n: int = 5) -> Figure | None:
    abnormal = [one for one in bench.draws(bench.held_out, 64, seed=9) if bench.held_out.sentence(one).is_abnormal][:n]
    if not abnormal:
        return None
    features = bench.features(bench.held_out, abnormal, name="attention")
    maps = bench.attention(features)
    rows = []
    for place, drawn in enumerate(abnormal if maps else ()):
        start = drawn.views[0].start_ijk
        crop, box = bench.held_out.crop(drawn.volume_id, start), in_crop(drawn.target, start)
        panels = [Panel("view a", crop, box)]
        for name, looked in maps.items():
            edge = round(looked.shape[1] ** (1 / 3))
            panels.append(Panel(name, crop, box, looked[place].reshape(edge, edge, edge)))
        rows.append(Row(panels, [features.sentences[place].text]))
    return crop_rows(rows, bench.run.config.intensity) if rows else None


def _varied(bench: Bench, n: int = 6) -> Sequence[Draw]:
    """Draws of different regions first."""
    seen: set[str] = set()
    kept: list[Draw] = []
    rest: list[Draw] = []
    for drawn in bench.draws(bench.held_out, 64, seed=9):
        (rest if drawn.region in seen else kept).append(drawn)
        seen.add(drawn.region)
    return (kept + rest)[:n]


def _picture(figure: Figure, caption: str) -> str:
    data = base64.b64encode(png(figure)).decode("ascii")
    return f'<p><img alt="{html.escape(caption)}" src="data:image/png;base64,{data}"></p>'
