"""The report page of a run: one HTML file that needs no network.

Enters: a bench and its metrics. Leaves: ``report.html`` with curves, tables and crops as pictures inside it.
Refuses: to load anything from elsewhere; text is escaped.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from matplotlib.figure import Figure

from t3dkit.atomic import write_text
from train.bench import Bench
from train.crops import Draw
from train.pictures import Panel, Row, crop_rows, curves, png, sample_figure

PAGES = Environment(
    loader=PackageLoader("train"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    keep_trailing_newline=True,
)
"""``train/templates``; what goes into a page of HTML is escaped, what is not given is an error."""

Verdict = tuple[bool, str, Mapping[str, float]]
"""Whether a claim holds, in words, and its interval."""


def write_report(path: Path, bench: Bench, metrics: Mapping[str, Any]) -> None:
    """Write the page."""
    results = metrics["results"]
    page = PAGES.get_template("report.html").render(
        metrics,
        verdicts=[(held, text, _number(interval)) for held, text, interval in _verdicts(results)],
        losses=_picture(curves(bench.run.history())),
        crops=_picture(_crops(bench)),
        looks=_picture(_looks(bench)),
        tables={name: _leaves(result, ()) for name, result in results.items()},
    )
    write_text(path, page)


def _verdicts(results: Mapping[str, Any]) -> list[Verdict]:
    rows: list[Verdict] = []
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
    return rows


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
        crop, box = bench.held_out.crop(drawn.volume_id, start), drawn.target.seen_from(start)
        panels = [Panel("view a", crop, box)]
        for name, looked in maps.items():
            edge = round(looked.shape[1] ** (1 / 3))
            panels.append(Panel(name, crop, box, looked[place].reshape(edge, edge, edge)))
        rows.append(Row(panels, [features.sentences[place].text]))
    return crop_rows(rows, bench.run.config.intensity) if rows else None


def _varied(bench: Bench, n: int = 6) -> Sequence[Draw]:
    """Draws of different regions first."""
    seen: Counter[str] = Counter()

    def is_repeated(drawn: Draw) -> bool:
        seen[drawn.region] += 1
        return seen[drawn.region] > 1

    return sorted(bench.draws(bench.held_out, 64, seed=9), key=is_repeated)[:n]


def _picture(figure: Figure | None) -> str:
    """The figure for a page, "" where there is none."""
    return base64.b64encode(png(figure)).decode("ascii") if figure else ""
