"""Remakes what the README shows from a finished demo: its pictures, its flow and its figures.

``python -m docs.pictures [demo]`` wants the folder that ``make demo`` left, and Chromium. The audit is photographed
as it is served; the restoration comes out of the run's report page; the tables go between the README's markers.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from curation.contract import Dataset, in_order_of_work

ROOT = Path(__file__).parents[1]
IMAGES = Path(__file__).parent / "images"
SHOWN_STAGES = {
    "files": "files indexed",
    "studies": "studies that name one patient",
    "link_studies": "studies linked to a report",
    "stacks": "stacks that are regular and in Hounsfield units",
    "select": "stacks chosen, one a study",
    "release": "pairs released",
}


def main(words: list[str]) -> int:
    """Write the pictures and the README's tables."""
    demo = Path(words[0] if words else "demo")
    dataset = Dataset.open(demo / "dataset")
    metrics = json.loads((demo / "run" / "metrics.json").read_text(encoding="utf-8"))
    photograph_audit(demo / "dataset", striking_pair(dataset), IMAGES / "audit-case.png")
    take_restoration(demo / "run" / "report.html", IMAGES / "restoration.png")
    draw_leak(metrics["results"]["text_only"], IMAGES / "leak.png")
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    text = _between(text, "flow", flow_table(dataset.manifest["counts"]))
    text = _between(text, "metrics", metrics_table(metrics))
    readme.write_text(text, encoding="utf-8")
    return 0


def striking_pair(dataset: Dataset) -> str:
    """A pair worth a picture: the most sentences about a finding whose region was located."""
    located: dict[str, set[str]] = {}
    for row in dataset.rows("regions"):
        located.setdefault(row["volume_id"], set()).add(row["region"])
    volume_of = {row["pair_id"]: row["volume_id"] for row in dataset.rows("pairs")}
    score = dict.fromkeys(sorted(volume_of), 0)
    for row in dataset.rows("sentences"):
        is_finding = row["assertion"] == "present" and not row["is_normal"] and row["measurements_mm"]
        score[row["pair_id"]] += bool(is_finding and located[volume_of[row["pair_id"]]] & set(row["regions"]))
    return max(score, key=lambda pair_id: score[pair_id])


@contextmanager
def served(dataset: Path) -> Iterator[str]:
    """The address, token included, at which the audit of a data set is served."""
    command = [sys.executable, "-m", "curation", "audit", str(dataset), "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        assert server.stderr is not None
        line = next(line for line in server.stderr if "http://" in line)
        yield next(word for word in line.split() if word.startswith("http://"))
    finally:
        server.terminate()
        server.wait(timeout=30)


def photograph_audit(dataset: Path, pair_id: str, out: Path) -> None:
    """The page of a case with a sentence chosen that states a measured finding."""
    from playwright.sync_api import sync_playwright

    with served(dataset) as address, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 860})
        page.goto(address)
        page.click(f"text={pair_id}")
        page.locator("#viewer-state", has_text=re.compile("NiiVue|slices")).wait_for(timeout=60_000)
        sentences = page.locator("[data-sentence]")
        measured = sentences.filter(has_text=re.compile(r"\d\s?(mm|cm)\b"))
        (measured if measured.count() else sentences).first.click()
        page.wait_for_timeout(1500)
        page.screenshot(path=str(out))
        browser.close()


def take_restoration(report: Path, out: Path) -> None:
    """The picture of held-out crops in a run's report page."""
    found = re.search(
        r'<img alt="crops, what was hidden[^"]*" src="data:image/png;base64,([^"]+)"',
        report.read_text(encoding="utf-8"),
    )
    if found is None:
        raise SystemExit(f"{report} holds no picture of held-out crops")
    out.write_bytes(base64.b64decode(found[1]))


def draw_leak(probe: dict[str, Any], out: Path) -> None:
    """The text-only probe: how often each form of TCL is right with the crops, and with noise in their place."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 2.6), dpi=110)
    axes = figure.add_subplot()
    bars = [
        ("ours, with the crops", probe["conditioned"]["crops"], "#2f6f9f"),
        ("ours, noise for crops", probe["conditioned"]["noise"], "#2f6f9f"),
        ("obvious, with the crops", probe["obvious"]["crops"], "#b3541e"),
        ("obvious, noise for crops", probe["obvious"]["noise"], "#b3541e"),
    ]
    for place, (name, held, colour) in enumerate(reversed(bars)):
        error = [[held["mean"] - held["low"]], [held["high"] - held["mean"]]]
        alpha = 1.0 if "with" in name else 0.55
        axes.barh(place, held["mean"], xerr=error, color=colour, alpha=alpha, capsize=3)
        axes.text(held["high"] + 0.01, place, f"{held['mean']:.2f}", va="center", fontsize=9)
    axes.set_yticks(range(len(bars)), [name for name, _, _ in reversed(bars)])
    axes.axvline(probe["chance"], color="black", linewidth=1, linestyle="--")
    axes.text(probe["chance"] + 0.005, len(bars) - 0.45, "chance", fontsize=8)
    axes.set_xlim(0, 1.1)
    axes.set_xlabel("right answers in the contrastive task, held-out patients")
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(out, metadata={"Software": None})


def flow_table(counts: dict[str, Any]) -> str:
    """What entered, was kept and dropped, stage by stage, as Markdown."""
    lines = ["| | in | kept | dropped, and why |", "| --- | ---: | ---: | --- |"]
    for name, stage in in_order_of_work(counts).items():
        if name in SHOWN_STAGES:
            reasons = sorted(stage["reasons"].items(), key=lambda item: (-item[1], item[0]))
            why = ", ".join(f"{n} `{reason}`" for reason, n in reasons[:5])
            more = f" and {len(reasons) - 5} more reasons" if len(reasons) > 5 else ""
            lines.append(f"| {SHOWN_STAGES[name]} | {stage['in']} | {stage['kept']} | {why}{more} |")
    return "\n".join(lines)


def metrics_table(metrics: dict[str, Any]) -> str:
    """The controls of a run as Markdown."""
    results = metrics["results"]
    probe, gain = results["text_only"], results["text_gain"]
    rows = [
        ("contrastive task solved with noise in place of the crop: our form", probe["conditioned"]["noise"]),
        ("... the obvious form, which leaks", probe["obvious"]["noise"]),
        ("contrastive task solved with the crop", probe["conditioned"]["crops"]),
        ("restoration error under another patient's text minus under the right one", gain["shuffled_minus_right"]),
        ("... under another patient's text on the same region", gain["same_region_minus_right"]),
    ]
    lines = ["| on held-out patients | mean | 95 % interval |", "| --- | ---: | --- |"]
    lines += [f"| {name} | {row['mean']:.4f} | {row['low']:.4f} to {row['high']:.4f} |" for name, row in rows]
    chance = f"Chance in the contrastive task is {probe['chance']:.3f}. "
    held_out = f"{metrics['n_train_patients']} patients trained on, {metrics['n_held_out_patients']} held out."
    return "\n".join([*lines, "", chance + held_out])


def _between(text: str, name: str, content: str) -> str:
    start, end = f"<!-- {name}, by docs.pictures -->", f"<!-- end of {name} -->"
    head, rest = text.split(start)
    return f"{head}{start}\n\n{content}\n\n{end}{rest.split(end)[1]}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
