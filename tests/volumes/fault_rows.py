"""The harness of the fault catalogue: cases that write faulty exports, and a judge with an oracle.

A case bears the id of its row, writes an export and says what must come of it: which volumes, with which repair or
flag codes, and which files are dropped for which reason. The oracle is the function of patient position from which the
phantom's pixels were made: every voxel of every volume is checked at its own world position.
"""

from __future__ import annotations

import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import phantom
from phantom import ROOT, Series, write_series

from t3dkit.errors import DataError
from t3dkit.progress import Progress
from t3dkit.tables import read_rows
from volumes.batch import convert_source
from volumes.records import Grid
from volumes.sources import close_archives

SEEDS = (1, 2, 3)
NATIVE_HU, RESAMPLED_HU = 0.8, 2.0
"""What the oracle forgives: rounding of source and result, and half a unit more between voxels."""


EDGE_MM = 1e-4


class Outcome(StrEnum):
    """What became of a case."""

    RIGHT = "right"
    FALSE_DROP = "false drop"  # a volume that should have come out was dropped, with a reason
    OTHER_REASON = "other reason"  # what was dropped should have been, but for another reason
    NOT_SAID = "not said"  # a volume came out right without the code that it should bear
    SILENTLY_WRONG = "silently wrong"
    SILENTLY_LOST = "silently lost"


@dataclass(frozen=True)
class Wanted:
    """A volume that must come out.

    Parameters
    ----------
    series : Series
        The truth: its slices, and HU by position.
    codes : set of str
        Codes that must be among the volume's repairs.
    tolerance_hu : float
    only : slice
        Which slices of `series` the volume holds.
    """

    series: Series
    codes: frozenset[str] = frozenset()
    tolerance_hu: float = NATIVE_HU
    only: slice = field(default_factory=lambda: slice(None))
    low: int = -1024
    high: int = 3071

    @property
    def n_voxels(self) -> int:
        return len(range(self.series.n)[self.only]) * self.series.rows * self.series.columns


@dataclass(frozen=True)
class Case:
    """One generated export of one row.

    Parameters
    ----------
    row, name : str
    action : str
        R, S, P, Q or X, as the catalogue has it; R, S and P must come out right.
    make : callable
        ``(folder, rng) -> volumes wanted``.
    dropped : dict
        Reason -> number of files that must be dropped for it; None for any number.
    during : callable, optional
        ``(folder) -> context manager`` in force while the export is converted.
    spacing : tuple of 3 float, optional
        Convert to this spacing; None keeps the scanner's voxels.
    source : callable, optional
        ``(folder) -> path`` to convert; default the folder.
    """

    row: str
    name: str
    action: str
    make: Callable[[Path, np.random.Generator], Iterable[Wanted]]
    dropped: dict[str, int | None]
    during: Callable[[Path], AbstractContextManager[Any]] | None = None
    spacing: tuple[float, float, float] | None = None
    source: Callable[[Path], Path] | None = None

    @property
    def label(self) -> str:
        return f"{self.row} {self.name}"


CASES: list[Case] = []


def case(row: str, action: str, **dropped: int | None) -> Callable[..., Any]:
    """Register a maker; keywords are reasons with counts, those in lower case are fields of `Case`."""
    fields = {key: dropped.pop(key) for key in list(dropped) if key.islower()}

    def register(make: Callable[..., Any]) -> Callable[..., Any]:
        name = make.__name__.replace("_", " ")
        CASES.append(Case(row, name, action, make, dict(dropped), **fields))  # type: ignore[arg-type]
        return make

    return register


@dataclass(frozen=True)
class Result:
    """What came of one run of a case."""

    outcome: Outcome
    detail: str = ""


def run_case(one: Case, folder: Path, seed: int) -> Result:
    """Make the export under `folder`, convert it, judge what came of it."""
    export, out = folder / "export", folder / "out"
    export.mkdir(parents=True)
    rng = np.random.default_rng([seed, zlib.crc32(one.label.encode())])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom says of every fault that it is one
        wanted = list(one.make(export, rng))
    source = one.source(export) if one.source else export
    with one.during(export) if one.during else nullcontext(), suppress(DataError):
        convert_source(
            source, out, grid=Grid(spacing_mm=one.spacing), suffix=".nii", workers=1, progress=Progress(quiet=True)
        )
    close_archives()
    return judge(one, wanted, out)


def judge(one: Case, wanted: list[Wanted], out: Path) -> Result:
    """Compare what came out with what must."""
    rows = [row for row in read_rows(out / "series.parquet") if row["verdict"] == "kept"]
    dropped = [row for row in read_rows(out / "dropped.parquet") if row["kind"] == "file"]
    missing, unsaid = list(wanted), ""
    for row in rows:
        image = nibabel.load(out / row["output"])
        data, codes = np.asarray(image.dataobj), {item["code"] for item in row["repairs"]}
        matching = [(item, error) for item in missing if (error := error_hu(item, data, image.affine, one)) is not None]
        fits = [item for item, error in matching if error <= item.tolerance_hu]
        if not fits:
            closest = min((error for _, error in matching), default=None)
            return Result(Outcome.SILENTLY_WRONG, f"{row['geometry']}: off by {closest} HU, codes {sorted(codes)}")
        best = next((item for item in fits if item.codes <= codes), fits[0])
        if not best.codes <= codes:
            unsaid = f"{row['geometry']}: {sorted(best.codes - codes)} not among {sorted(codes)}"
        missing.remove(best)
    reasons = Counter(row["reason"] for row in dropped)
    words = f"{len(missing)} of {len(wanted)} volumes missing, files dropped: {dict(reasons)}"
    if missing:
        return Result(Outcome.FALSE_DROP if dropped else Outcome.SILENTLY_LOST, words)
    if set(reasons) != set(one.dropped) or any(
        count is not None and reasons[reason] != count for reason, count in one.dropped.items()
    ):
        is_lost = sum(count or 0 for count in one.dropped.values()) > sum(reasons.values())
        return Result(Outcome.SILENTLY_LOST if is_lost else Outcome.OTHER_REASON, f"{words}, wanted {one.dropped}")
    return Result(Outcome.NOT_SAID, unsaid) if unsaid else Result(Outcome.RIGHT)


def error_hu(item: Wanted, data: np.ndarray, affine_ras: np.ndarray, one: Case) -> float | None:
    """Largest error of a volume as `item`, at each voxel's own place; None where it cannot be this one at all."""
    if one.spacing is None and data.size != item.n_voxels:
        return None
    ijk = np.stack(np.meshgrid(*[np.arange(n) for n in data.shape], indexing="ij"), axis=-1)
    places = (ijk @ affine_ras[:3, :3].T + affine_ras[:3, 3]) * [-1, -1, 1]
    error = np.abs(data - np.clip(item.series.hu(places), item.low, item.high))
    if error.max() > item.tolerance_hu:  # a voxel may lie on the edge of an organ: rounding decides on which side
        for shift in np.array([[1, 1, 0], [1, -1, 0], [-1, 1, 0], [-1, -1, 0]]) * EDGE_MM:
            error = np.minimum(error, np.abs(data - np.clip(item.series.hu(places + shift), item.low, item.high)))
    if one.spacing is not None:
        core = _core(item.series, places, max(one.spacing))
        return float(error[core].max()) if core.any() else None
    return float(error.max())


def _core(series: Series, places: np.ndarray, target_mm: float) -> np.ndarray:
    """Places between the outermost centres of all slices that a voxel is mixed from."""
    row, column, direction = series.directions
    offset = places - series.position(0)
    along = offset @ direction
    lean = np.tan(np.radians(series.tilt_deg))
    down, right = offset @ column - lean * along, offset @ row
    margin = abs(lean) * max(series.spacing, target_mm) + 1e-3
    inside = (along >= -1e-3) & (along <= (series.n - 1) * series.spacing + 1e-3)
    inside &= (down >= margin) & (down <= (series.rows - 1) * series.pixel_spacing[0] - margin)
    return inside & (right >= -1e-3) & (right <= (series.columns - 1) * series.pixel_spacing[1] + 1e-3)


# --------------------------------------------------------------------------------------------------- the phantoms


def linear(rng: np.random.Generator, **changes: Any) -> Series:
    """A series of the linear phantom with a random grid; small enough that no histogram judges it."""
    orientation = changes.pop("orientation", phantom.AXIAL if rng.random() < 0.6 else _turned(rng))
    series = Series(
        n=int(rng.integers(9, 14)),
        rows=int(rng.integers(18, 24)),
        columns=int(rng.integers(18, 26)),
        pixel_spacing=(round(float(rng.uniform(0.6, 1.6)), 3), round(float(rng.uniform(0.6, 1.6)), 3)),
        spacing=round(float(rng.uniform(1.0, 4.0)), 2),
        orientation=orientation,
        origin=tuple(round(float(value), 2) for value in rng.uniform(-20, 5, 3)),  # type: ignore[arg-type]
        series_uid=f"{ROOT}.2.{int(rng.integers(1, 10**9))}",
        study_uid=f"{ROOT}.1.{int(rng.integers(1, 10**9))}",
        first_instance=int(rng.integers(1, 30)),
    )
    return replace(series, **changes)


def _turned(rng: np.random.Generator) -> tuple[float, ...]:
    planes = (phantom.CORONAL, phantom.SAGITTAL, phantom.FEET_FIRST_PRONE, (0.0, -1.0, 0.0, 1.0, 0.0, 0.0))
    return planes[int(rng.integers(len(planes)))]


def body_hu(points: np.ndarray) -> np.ndarray:
    """HU of something like a body: air, fat, soft tissue, lung, bone, with a gradient and a fine texture."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    radius = np.hypot(x / 44, y / 36)
    hu = np.where(radius < 1, 40 + 0.3 * z, -1000.0)
    hu = np.where((radius < 1) & (radius > 0.86), -100.0, hu)
    hu = np.where(np.hypot((x - 16) / 13, y / 16) < 1, -820.0 + 0.5 * z, hu)
    hu = np.where(np.hypot(x + 22, y - 9) < 6, 900.0 + 2 * z, hu)
    return hu + 9 * np.sin(1.9 * x + 0.7 * y) + 7 * np.sin(1.3 * y - 0.8 * z) + 4 * np.sin(2.3 * x - 1.1 * z)


def body(rng: np.random.Generator, **changes: Any) -> Series:
    """An axial series of the body phantom, large enough that its histogram is judged."""
    side = int(rng.integers(60, 72))
    pixel = round(float(rng.uniform(1.45, 1.7)), 3)
    corner = round(-pixel * (side - 1) / 2, 3)
    series = Series(
        n=int(rng.integers(6, 9)),
        rows=side,
        columns=side,
        pixel_spacing=(pixel, pixel),
        spacing=round(float(rng.uniform(1.5, 4.0)), 2),
        origin=(corner, corner, round(float(rng.uniform(-20, 20)), 2)),
        series_uid=f"{ROOT}.2.{int(rng.integers(1, 10**9))}",
        study_uid=f"{ROOT}.1.{int(rng.integers(1, 10**9))}",
        hu=body_hu,
    )
    return replace(series, **changes)


def control(folder: Path, rng: np.random.Generator, *codes: str, **changes: Any) -> Wanted:
    """Write a series of the linear phantom and want it back."""
    series = linear(rng, **changes)
    write_series(folder, series)
    return Wanted(replace(series, edit=None), frozenset(codes))


def stored_of(ds: Any) -> np.ndarray:
    """Stored values of a phantom's slice, (n,) int64."""
    return np.frombuffer(ds.PixelData, np.int16).astype(np.int64)
