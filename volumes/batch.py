"""A whole source to a folder of volumes and two tables.

Enters: a source, a grid, an output folder. Leaves: OUT/volumes/*.nii, OUT/series.parquet, OUT/dropped.parquet and a
summary whose numbers add up. Refuses: to stop for one bad series.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence, Set
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from t3dkit.atomic import sweep_temporaries
from t3dkit.errors import ConfigError, DataError
from t3dkit.progress import Progress
from t3dkit.tables import write_table
from t3dkit.verdict import Dropped
from volumes import series_table
from volumes.gaps import Gaps
from volumes.pool import processes_pool, start_server
from volumes.reasons import DropReason, Flag, RepairCode
from volumes.records import FileRef, Grid, Stack
from volumes.scan import Scan, Source, scan_source
from volumes.select import rank_stacks
from volumes.siblings import flag_cropped
from volumes.stacks import StackDrop, build_stacks

if TYPE_CHECKING:
    from volumes.nifti_input import NiftiImage

Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One stack or NIfTI image to one file; small enough to be sent to another process."""

    item: Stack | NiftiImage
    grid: Grid
    folder: Path
    suffix: str
    threads: int = 1


@dataclass(frozen=True)
class Plan:
    """What a source holds before any pixel is converted."""

    scan: Scan
    stacks: tuple[Stack, ...]
    dropped: tuple[StackDrop, ...]
    ranks: dict[tuple[str, int, str], tuple[int, tuple[str, ...]]]

    @property
    def items(self) -> list[Stack | NiftiImage]:
        """Everything that may become a volume."""
        return [*self.stacks, *self.scan.niftis]

    def rank(self, stack: Stack | NiftiImage) -> Row:
        """Columns of a stack's place among its study's; a NIfTI image names no study."""
        if not isinstance(stack, Stack):
            return {}
        rank, reasons = self.ranks[_key(stack)]
        return {"rank": rank, "rank_reasons": list(reasons)}


def plan_source(source: Source, progress: Progress, *, workers: int = 1) -> Plan:
    """Read all headers, build all stacks, rank them within their study."""
    scan = scan_source(source, progress, workers=workers)
    stacks: list[Stack] = []
    dropped: list[StackDrop] = []
    with progress.task("building stacks", len(scan.series)) as task:
        for instances in scan.series:
            uid = instances[0].series_instance_uid
            gaps = Gaps(scan.lost_of(uid), scan.n_unread_beside(instances), scan.missing.get(uid, 0))
            outcome = build_stacks(instances, gaps=gaps)
            stacks += outcome.stacks
            dropped += outcome.dropped
            task.advance(1, stacks=len(outcome.stacks), dropped=len(outcome.dropped))
    stacks = flag_cropped(stacks)
    studies: dict[str, list[Stack]] = defaultdict(list)
    for stack in stacks:
        studies[stack.head.study_instance_uid].append(stack)
    ranks = {
        _key(ranked.stack): (ranked.rank, ranked.reasons) for study in studies.values() for ranked in rank_stacks(study)
    }
    return Plan(scan, tuple(stacks), tuple(dropped), ranks)


def convert_source(
    source: Source, out: Path, *, grid: Grid, suffix: str, workers: int, threads: int = 0, progress: Progress
) -> dict[str, Any]:
    """Convert everything under `source`; answers the summary. `threads` are per worker; 0 shares the processors out.

    Raises
    ------
    ConfigError
        `out` holds volumes of another source.
    DataError
        The source holds no file, or neither DICOM nor NIfTI; the tables are written all the same.
    """
    if workers > 1:
        start_server()
    plan = plan_source(source, progress, workers=workers)
    folder = out / "volumes"
    folder.mkdir(parents=True, exist_ok=True)
    sweep_temporaries(out)
    rows: list[Row] = []
    dropped_rows: list[Row] = [series_table.dropped_file(drop) for drop in plan.scan.dropped]
    kept_files: set[str] = set()
    for drop in plan.dropped:
        rows.append(series_table.drop_row(drop))
        dropped_rows.append(series_table.dropped_series("stacks", rows[-1]))
    lost: list[tuple[str, Sequence[Any], str, str]] = [
        ("stacks", [item.file for item in drop.instances], str(drop.reason), drop.detail) for drop in plan.dropped
    ]
    threads = threads or max(1, len(os.sched_getaffinity(0)) // workers)
    jobs = [Job(item, grid, folder, suffix, threads) for item in plan.items]
    require_own(folder, {volume_name(job.item) for job in jobs})
    with progress.task("converting", len(jobs)) as task:
        for job, row in _run_jobs(jobs, workers):
            row.update(plan.rank(job.item))
            rows.append(row)
            files = files_of(job.item)
            if row["verdict"] == "kept":
                kept_files.update(file.name for file in files)
                task.advance(1, kept=1)
            else:
                dropped_rows.append(series_table.dropped_series("convert", row))
                lost.append(("convert", files, row["reason"], row["detail"]))
                task.advance(1, dropped=1)
    _keep_only(folder, {Path(row["output"]).name for row in rows if row.get("output")})
    dropped_rows += lost_files(lost, kept_files)
    write_table(
        out / "series.parquet",
        rows,
        series_table.SERIES,
        sort_by=("study_instance_uid", "series_instance_uid", "stack", "source"),
    )
    write_table(
        out / "dropped.parquet", dropped_rows, series_table.DROPPED, sort_by=("stage", "kind", "item_id", "reason")
    )
    if not plan.scan.series and not plan.scan.niftis:
        found = Counter(row["reason"] for row in dropped_rows if row["kind"] == "file")
        why = ", ".join(f"{count} {reason}" for reason, count in found.most_common())
        raise DataError(
            f"none of the {plan.scan.n_files} files found is a usable DICOM object or NIfTI image ({why}); "
            "dropped.parquet in the output lists them"
        )
    return summarise(plan.scan.n_files, rows, dropped_rows, n_kept_files=len(kept_files))


def summarise(n_files: int, rows: Sequence[Row], dropped_rows: Sequence[Row], *, n_kept_files: int) -> dict[str, Any]:
    """Counts of files and stacks; files found = kept + dropped, series rows found = kept + dropped."""
    kept = [row for row in rows if row["verdict"] != "dropped"]
    dropped = [row for row in rows if row["verdict"] == "dropped"]
    codes = Counter(code for row in kept for code in {item["code"] for item in row["repairs"]})
    file_drops = [row for row in dropped_rows if row["kind"] == "file"]
    return {
        "files": {"found": n_files, "kept": n_kept_files, "dropped": len(file_drops)},
        "stacks": {
            "found": len(rows),
            "kept": len(kept),
            "repaired": sum(1 for row in kept if any(item["code"] in set(RepairCode) for item in row["repairs"])),
            "dropped": len(dropped),
        },
        "repairs": {code: n for code, n in sorted(codes.items()) if code in set(RepairCode)},
        "flags": {code: n for code, n in sorted(codes.items()) if code in set(Flag)},
        "dropped_stacks": dict(sorted(Counter(row["reason"] for row in dropped).items())),
        "dropped_files": dict(sorted(Counter(row["reason"] for row in file_drops).items())),
    }


OURS = re.compile(r"([0-9a-f]{20})(\.nii|\.nii\.gz)")
"""File name of a volume."""


def require_own(folder: Path, names: Set[str]) -> None:
    """Refuse a folder that holds volumes of another source: no table would list them any more.

    Raises
    ------
    ConfigError
        It does.
    """
    strange = {match[1] for path in folder.iterdir() if (match := OURS.fullmatch(path.name))} - names
    if strange:
        raise ConfigError(
            f"{folder.parent} holds {len(strange)} volumes of another source: give a new folder with --out, "
            "or remove it first"
        )


def _keep_only(folder: Path, names: Set[str]) -> None:
    """Remove what an earlier run left: a volume under another suffix, or of a stack that is dropped now."""
    for path in folder.iterdir():
        if OURS.fullmatch(path.name) and path.name not in names:
            path.unlink()


def files_of(item: Stack | NiftiImage) -> list[FileRef]:
    """The files that a stack or image is made of."""
    return [instance.file for instance, _ in item.slices] if isinstance(item, Stack) else [item.file]


def volume_name(item: Stack | NiftiImage) -> str:
    """File name of a volume: a digest, since UIDs, descriptions and file names identify."""
    if isinstance(item, Stack):
        words = "|".join([item.head.study_instance_uid, item.series_instance_uid, "", str(item.index)])
    else:
        words = "nifti|" + item.file.name
    return hashlib.sha256(words.encode()).hexdigest()[:20]


def convert_job(job: Job) -> Row:
    """Convert and write one stack or image; runs in this process or in a worker."""
    from volumes.nifti import write_volume

    item = job.item
    if isinstance(item, Stack):
        from volumes.convert import convert_stack

        answer = convert_stack(item, job.grid, threads=job.threads)
    else:
        from volumes.nifti_input import convert_nifti

        answer = convert_nifti(item, job.grid, threads=job.threads)
    if isinstance(answer, Dropped):
        return series_table.refused_row(item, answer)
    name = volume_name(item) + job.suffix
    digest = write_volume(answer.value, job.folder / name)
    return series_table.kept_row(item, answer.value, output=f"volumes/{name}", sha256=digest)


def _run_jobs(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, Row]]:
    if workers <= 1:
        for job in jobs:
            yield job, convert_job(job)
        return
    yield from _in_pool(jobs, workers)


def _in_pool(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, Row]]:
    """Convert in processes; a job that kills its process twice is dropped, the others are not touched by it."""
    again: list[Job] = []
    with processes_pool(workers) as pool:
        futures: dict[Future[Row], Job] = {pool.submit(convert_job, job): job for job in jobs}
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except BrokenProcessPool:
                again.append(futures[future])
    for job in again:  # one at a time, so that the one at fault is known
        try:
            with processes_pool(1) as pool:
                row = pool.submit(convert_job, job).result()
        except BrokenProcessPool:
            row = series_table.refused_row(job.item, Dropped(DropReason.RESOURCE_LIMIT, "its process was killed twice"))
        yield job, row


def lost_files(lost: Sequence[tuple[str, Sequence[Any], str, str]], kept_files: set[str]) -> list[Row]:
    """One row per file of dropped stacks that no kept stack uses, with the first reason it met."""
    rows: dict[str, Row] = {}
    for stage, files, reason, detail in lost:
        for row in series_table.dropped_files(stage, files, reason, detail):
            if row["item_id"] not in kept_files:
                rows.setdefault(row["item_id"], row)
    return list(rows.values())


def _key(stack: Stack) -> tuple[str, int, str]:
    return (stack.series_instance_uid, stack.index, stack.head.file.name)
