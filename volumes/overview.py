"""What a source holds, as a table for a person's eyes.

Enters: a plan. Leaves: a table on stderr and a summary. Refuses: to write anything.
"""

from __future__ import annotations

import sys
from pathlib import PurePosixPath
from typing import Any

from t3dkit.progress import Progress
from volumes import series_table
from volumes.batch import Plan, files_of, lost_files, plan_source, summarise
from volumes.reasons import DropReason
from volumes.scan import Source


def inspect_source(source: Source, progress: Progress, *, show: bool = True) -> dict[str, Any]:
    """Show every series of `source` with its geometry, verdict and rank; answers the summary.

    The pixels of DICOM images are not read, so a series that is shown as usable may still be dropped by `convert`
    (values that are no HU, pixels that cannot be decoded). A NIfTI image is read, since nothing else says what it is.
    """
    from volumes.nifti_input import check_nifti

    plan = plan_source(source, progress)
    rows = [{**series_table.stack_row(stack), **plan.rank(stack), "verdict": "usable"} for stack in plan.stacks]
    rows += [series_table.drop_row(drop) for drop in plan.dropped]
    lost = [("stacks", [item.file for item in drop.instances], drop.reason, drop.detail) for drop in plan.dropped]
    kept = {file.name for stack in plan.stacks for file in files_of(stack)}
    for image in plan.scan.niftis:
        problem = check_nifti(image)
        if problem is None:
            rows.append({**series_table.nifti_row(image), "verdict": "usable", "modality": "CT"})
            kept.add(image.file.name)
        else:
            rows.append(series_table.refused_row(image, problem))
            lost.append(("convert", [image.file], problem.reason, problem.detail))
    dropped_rows = [series_table.dropped_file(drop) for drop in plan.scan.dropped]
    dropped_rows += lost_files(lost, kept)
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
        rows,
        key=lambda row: (
            row["study_instance_uid"],
            row.get("rank") or 10**6,
            row.get("series_number") or 0,
            row["source"],
        ),
    )
    for row in rows:
        study = studies.setdefault(row["study_instance_uid"] or row["source"], len(studies) + 1)
        is_dropped = row["verdict"] == "dropped"
        table.add_row(
            str(study),
            "" if row.get("series_number") is None else str(row["series_number"]),
            escape((row.get("series_description") or PurePosixPath(row["source"]).name)[:32]),
            escape(row.get("modality") or "?"),
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
    return "; ".join(filter(None, [", ".join(row.get("rank_reasons") or ()), codes]))


def _counted(plan: Plan) -> dict[str, int]:
    counts: dict[str, int] = {}
    for drop in plan.scan.dropped:
        counts[str(drop.reason)] = counts.get(str(drop.reason), 0) + 1
    return dict(sorted(counts.items()))
