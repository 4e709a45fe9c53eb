"""What makes the benchmark of planted errors cheap: parts that a stop loses nothing of, and conversions done once.

Enters: a work folder. Leaves: the demo export and its data set in it, after as many calls as it takes. Refuses: to
remember a volume whose files changed, or boxes of a volume that changed.
"""

from __future__ import annotations

import hashlib
import pickle
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from curation.align.locate import locate_regions
from curation.config import read_config
from curation.demo.plan import StudyPlan
from curation.demo.study import StudyTruth, make_study
from curation.demo.truth import write_tables
from curation.run import Options, run_curation
from t3dkit.progress import Progress
from volumes.convert import convert_stack

ROOT = Path(__file__).resolve().parents[1]
KEY, CONFIG = ROOT / "curation/demo/demo.key", ROOT / "curation/demo/curation.toml"
COARSE = 1.6
"""Voxels this much larger than the demo's usual ones, about 4 to 5 mm slices."""


class TimeUp(BaseException):
    """The minutes of this part are over; no stage may take it for its own failure."""


@contextmanager
def minutes(limit: float | None) -> Iterator[None]:
    """Raise `TimeUp` after so many minutes; never where `limit` is None."""

    def stop(*_: object) -> None:
        raise TimeUp

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 60 * (limit or 0))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def make_export(work: Path, plans: Sequence[StudyPlan], *, seed: int, progress: Progress) -> Path:
    """The demo export of `plans`, study by study; a study that was made before is kept."""
    out, made = work / "export", work / "made"
    if (out / "reports.csv").is_file():
        return out
    made.mkdir(parents=True, exist_ok=True)
    truths: list[StudyTruth] = []
    with progress.task("demo studies", len(plans)) as task:
        for plan in plans:
            record = made / f"{plan.number}.pkl"
            if not record.is_file():
                _store(record, make_study(plan, out, coarse=COARSE))
            truths.append(_read(record))
            task.advance()
    write_tables(out, truths, seed=seed)
    return out


def curate(export: Path, dataset: Path, memory: Path) -> None:
    """Curate with the demo's configuration and key; what `memory` holds is neither converted nor located again."""
    options = Options(export=export, reports=export / "reports.csv", dataset=dataset, key=KEY)
    config = read_config(CONFIG)
    link = config.link.model_copy(update={"other_patient": "flag"})  # what is dropped cannot be found by the audit
    memory.mkdir(parents=True, exist_ok=True)
    with (
        patch("volumes.convert.convert_stack", partial(_converted, memory)),
        patch("curation.align.locate.locate_regions", partial(_located, memory)),
    ):
        run_curation(options, config.model_copy(update={"link": link}), Progress(quiet=True))


def linked_copy(source: Path, target: Path, *, links: Callable[[str], bool] = lambda _name: True) -> None:
    """Copy a tree; files that `links` names become hard links, which cost nothing and are never written to."""

    def copy(one: str, other: str) -> None:
        if links(one):
            Path(other).hardlink_to(one)
        else:
            shutil.copy2(one, other)

    shutil.copytree(source, target, copy_function=copy)


def _converted(memory: Path, stack: Any, grid: Any, **options: Any) -> Any:
    files = {instance.file for instance, _frame in stack.slices}
    stamps = sorted((*_stamp(Path(ref.path)), *ref.members) for ref in files)
    known = repr((stamps, stack.index, stack.repairs, grid))
    return _remembered(memory, "volume", known.encode(), partial(convert_stack, stack, grid, **options))


def _located(memory: Path, data: np.ndarray, affine_ras: np.ndarray, **options: Any) -> Any:
    known = (
        hashlib.blake2b(np.ascontiguousarray(data).tobytes()).digest()
        + affine_ras.tobytes()
        + repr(data.shape).encode()
    )
    return _remembered(memory, "location", known, partial(locate_regions, data, affine_ras, **options))


def _stamp(path: Path) -> tuple[int, int, int]:
    """The same for every hard link to a file, until it is written anew."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _remembered(memory: Path, kind: str, known: bytes, make: Callable[[], Any]) -> Any:
    path = memory / f"{kind}-{hashlib.blake2b(known, digest_size=16).hexdigest()}.pkl"
    if path.is_file():
        return _read(path)
    value = make()
    _store(path, value)
    return value


def _store(path: Path, value: Any) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(pickle.dumps(value, protocol=5))
    part.replace(path)


def _read(path: Path) -> Any:
    return pickle.loads(path.read_bytes())  # written by this benchmark alone
