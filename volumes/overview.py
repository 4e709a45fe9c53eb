"""What a source holds, as a table for a person's eyes.

Enters: a plan. Leaves: a table on stderr and a summary. Refuses: to write anything.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from t3dkit.progress import Progress
from volumes import series_table
from volumes.batch import Plan, plan_source, summarise
from volumes.reasons import DropReason


def inspect_source(source: Path, progress: Progress, *, show: bool = True) -> dict[str, Any]:
    """Show every series of `source` with its geometry, verdict and rank; answers the summary.

    Pixels are not read, so a series that is shown as usable may still be dropped by `convert` (values that are no HU,
    pixels that cannot be decoded).
    """
    plan = plan_source(source, progress)
    rows = [{**series_table.stack_row(stack), **plan.rank(stack), "verdict": "usable"} for stack in plan.stacks]
    rows += [series_table.drop_row(drop) for drop in plan.dropped]
    kept = {instance.file.name for stack in plan.stacks for instance, _ in stack.slices}
    dropped_rows = [series_table.dropped_file(drop) for drop in plan.scan.dropped]
    dropped_rows += [
        row
        for drop in plan.dropped
        for row in series_table.dropped_files(
            "stacks", [item.file for item in drop.instances], drop.reason, drop.detail
        )
        if row["item"] not in kept
    ]
    dropped_rows = list({row["item"]: row for row in dropped_rows}.values())
    if show:
        _show(rows, plan)
    return summarise(plan.scan.n_files, rows, dropped_rows, n_kept_files=len(kept))


def _show(rows: list[dict[str, Any]], plan: Plan) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(file=sys.stderr, stderr=True, width=None if sys.stderr.isatty() else 160)
    table = Table(title="series found", title_justify="left", header_style="bold")
    for name in ("study", "series", "description", "kind", "geometry", "images", "verdict", "rank", "why"):
        table.add_column(name, justify="right" if name in ("study", "series", "images", "rank") else "left")
    studies: dict[str, int] = {}
    rows = sorted(
        rows, key=lambda row: (row["study_instance_uid"], row.get("rank") or 10**6, row["series_number"] or 0)
    )
    for row in rows:
        study = studies.setdefault(row["study_instance_uid"], len(studies) + 1)
        is_dropped = row["verdict"] == "dropped"
        table.add_row(
            str(study),
            "" if row["series_number"] is None else str(row["series_number"]),
            escape((row["series_description"] or "")[:32]),
            escape(row["modality"] or "?"),
            escape(row["geometry"]),
            str(row["n_instances"]),
            f"[red]{row['verdict']}[/red]" if is_dropped else f"[green]{row['verdict']}[/green]",
            str(row.get("rank") or ""),
            escape(_why(row)),
        )
    console.print(table)
    for reason, count in _counted(plan).items():
        console.print(f"{count} files dropped: {DropReason(reason).meaning}", highlight=False, markup=False)


def _why(row: dict[str, Any]) -> str:
    if row["verdict"] == "dropped":
        return f"{row['reason']}: {row['detail']}" if row["detail"] else str(DropReason(row["reason"]).meaning)
    codes = " ".join(dict.fromkeys(item["code"] for item in row["repairs"]))
    return "; ".join(filter(None, [", ".join(row["rank_reasons"]), codes]))


def _counted(plan: Plan) -> dict[str, int]:
    counts: dict[str, int] = {}
    for drop in plan.scan.dropped:
        counts[str(drop.reason)] = counts.get(str(drop.reason), 0) + 1
    return dict(sorted(counts.items()))
