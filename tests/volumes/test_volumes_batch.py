"""Workers that die, and a cache that cannot be written: one job is lost, not the run."""

from __future__ import annotations

import os
import subprocess
import sys

import phantom
from phantom import Series

from volumes import batch
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
