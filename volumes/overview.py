"""What a source holds, as lines for a person's eyes.

Enters: a plan. Leaves: lines on stderr and a summary. Refuses: to write anything.
"""

from __future__ import annotations

import sys
from pathlib import PurePosixPath
from typing import Any

from t3dkit.progress import Progress
from volumes import series_table
from volumes.batch import files_of, lost_files, plan_source, summarise
from volumes.reasons import DropReason, Flag, RepairCode
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
    summary = summarise(plan.scan.n_files, rows, dropped_rows, n_kept_files=len(kept))
    if show:
        _show(rows)
        for line in told(summary, kept="may become volumes"):
            progress.say(line)
    return summary


def told(summary: dict[str, Any], *, kept: str) -> list[str]:
    """A summary in lines for a person: what was kept, repaired, flagged and dropped, the commonest first, and why."""
    stacks, files = summary["stacks"], summary["files"]
    lines = [f"{stacks['kept']:,} of {stacks['found']:,} stacks {kept}, {files['kept']:,} of {files['found']:,} files"]
    for name, kind in (("repairs", RepairCode), ("flags", Flag)):
        counts = sorted(summary[name].items(), key=lambda pair: (-pair[1], pair[0]))
        lines += [f"  {name[:-1]:6} {count:7,} stacks  {code}: {kind(code).meaning}" for code, count in counts]
    by_stack, by_file = summary["dropped_stacks"], summary["dropped_files"]
    for reason in sorted({*by_stack, *by_file}, key=lambda code: (-by_file.get(code, 0), code)):
        counted = f"{by_stack.get(reason, 0):7,} stacks {by_file.get(reason, 0):7,} files"
        lines.append(f"  drop   {counted}  {reason}: {DropReason(reason).meaning}")
    return lines


def _show(rows: list[dict[str, Any]]) -> None:
    """One line a series, best ranked first within its study, and below it why it is ranked or dropped as it is."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(file=sys.stderr, stderr=True, width=None if sys.stderr.isatty() else 160, highlight=False)
    rows = sorted(rows, key=_place)
    cells = [_cells(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    shown: dict[str, int] = {}
    for row, cell in zip(rows, cells, strict=True):
        study = row["study_instance_uid"] or row["source"]
        if study not in shown:
            shown[study] = len(shown) + 1
            console.print(Text(f"study {shown[study]}", style="bold"))
        line = "  ".join(text.ljust(width) for text, width in zip(cell, widths, strict=True))
        verdict = f"rank {row['rank']}" if row.get("rank") else row["verdict"]
        colour = "red" if row["verdict"] == "dropped" else "green"
        console.print(Padding(Text.assemble((f"{verdict:9}", colour), line.rstrip()), (0, 0, 0, 2)))
        if why := _why(row):
            console.print(Padding(Text(why, style="dim"), (0, 0, 0, 6)))


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    rank, number = row.get("rank") or 10**6, row.get("series_number") or 0
    return row["study_instance_uid"], rank, number, row["source"]


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Series number, description, modality, images, geometry."""
    number = "" if row.get("series_number") is None else str(row["series_number"])
    description = (row.get("series_description") or PurePosixPath(row["source"]).name)[:24]
    n_images = f"{row['n_instances']} image{'' if row['n_instances'] == 1 else 's'}"
    return number, description, row.get("modality") or "?", n_images, row["geometry"]


def _why(row: dict[str, Any]) -> str:
    if row["verdict"] == "dropped":
        return f"{row['reason']}: {row['detail']}" if row["detail"] else str(DropReason(row["reason"]).meaning)
    codes = " ".join(dict.fromkeys(item["code"] for item in row["repairs"]))
    return "; ".join(filter(None, [", ".join(row.get("rank_reasons") or ()), codes]))
