"""Workers that die, and a cache that cannot be written: one job is lost, not the run."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import phantom
from phantom import Series, write_series

from t3dkit.progress import Progress
from volumes import batch, scan
from volumes.reasons import DropReason
from volumes.records import Grid
from volumes.stacks import build_stacks


def _die_on_marked(job):
    """Stands in for a decoder that kills its process."""
    if job.item.head.series_description == "poison":
        os._exit(9)
    return {"verdict": "kept", "series": job.item.series_instance_uid}


def test_a_job_that_kills_its_process_is_dropped_alone(instances_of, tmp_path, monkeypatch):
    poison = phantom.setter(SeriesDescription="poison")
    series = [Series(series_uid=f"1.2.3.{k}", n=3, edit=poison if k == 1 else None) for k in range(4)]
    stacks = [build_stacks(instances_of(one)).stacks[0] for one in series]
    monkeypatch.setattr(batch, "convert_job", _die_on_marked)
    jobs = [batch.Job(stack, Grid(), tmp_path, ".nii") for stack in stacks]
    rows = {job.item.series_instance_uid: row for job, row in batch._in_pool(jobs, 2)}
    assert len(rows) == 4
    assert rows["1.2.3.1"]["reason"] == DropReason.RESOURCE_LIMIT
    assert all(rows[f"1.2.3.{k}"]["verdict"] == "kept" for k in (0, 2, 3))


def test_name_is_stable_and_says_nothing(instances_of):
    (stack,) = build_stacks(instances_of(Series())).stacks
    name = batch.volume_name(stack)
    assert name == batch.volume_name(stack)
    assert Series().series_uid not in name
    assert len(name) == 20


def test_kernels_compile_where_no_cache_can_be_written(tmp_path):
    code = (
        "import numba.core.caching as c\n"
        "c.CacheImpl._locator_classes = []\n"
        "import numpy as np\n"
        "from volumes.kernels import count_codes\n"
        "counts = np.zeros(65536, np.int64)\n"
        "count_codes(np.array([3, 3, 7], np.uint16), counts)\n"
        "print(counts[3], counts[7])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["2", "1"]


def _die_on_marked_file(files):
    """Stands in for a header that kills whoever reads it, in a worker process alone."""
    marked = [Path(found.path) for found in files if found.name == "im0008.dcm"]
    if marked and multiprocessing.parent_process() is not None:
        (marked[0].parent / "died").touch()
        os._exit(9)
    return [scan._read(found) for found in files]


def test_headers_read_by_several_processes_are_those_read_by_one(tmp_path, monkeypatch):
    for k in range(3):
        write_series(tmp_path / str(k), Series(series_uid=f"1.2.3.{k}", n=5))
    (tmp_path / "notes.txt").write_text("no DICOM")
    one = scan.scan_source(tmp_path, Progress(quiet=True))
    monkeypatch.setattr(scan, "PIECE_FILES", 2)
    assert scan.scan_source(tmp_path, Progress(quiet=True), workers=2) == one
    assert one.n_files == 16


def test_a_file_that_kills_the_process_that_reads_it_is_read_here(tmp_path, monkeypatch):
    write_series(tmp_path, Series(n=9))
    monkeypatch.setattr(scan, "PIECE_FILES", 2)
    monkeypatch.setattr(scan, "_read_all", _die_on_marked_file)
    assert scan.scan_source(tmp_path, Progress(quiet=True), workers=2).n_files == 9
    assert (tmp_path / "died").exists()


def test_two_processes_give_the_same_bytes_as_one(tmp_path):
    for k in range(3):
        write_series(tmp_path / "in" / str(k), Series(series_uid=f"1.2.3.{k}", n=5))
    for workers in (1, 2):
        out = tmp_path / f"out{workers}"
        batch.convert_source(
            tmp_path / "in", out, grid=Grid(), suffix=".nii", workers=workers, progress=Progress(quiet=True)
        )
    found = [
        {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*.*")) if path.is_file()}
        for out in (tmp_path / "out1", tmp_path / "out2")
    ]
    assert found[0] == found[1]
    assert len(found[0]) == 5
