"""Errors planted in a demo export before it is curated: in its table of reports, in its DICOM files.

Enters: a `Ground`, a copy of an export. Leaves: the export with one kind of error, and which studies have it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.uid import UID

from curation.demo.layout import study_folder
from curation.demo.plan import StudyPlan, make_uid

FINAL = ("final", "corrected")
SIDES = re.compile(r"\b(?:[Ll]eft|[Rr]ight|[RL][UL]L)\b")
OTHER_SIDE = {
    "left": "right", "right": "left", "Left": "Right", "Right": "Left",
    "RUL": "LUL", "LUL": "RUL", "RLL": "LLL", "LLL": "RLL",
}  # fmt: skip

Reports = list[dict[str, str]]


@dataclass
class Ground:
    """An export to plant in: a copy of its own, its plans and its rows of reports."""

    export: Path
    plans: Sequence[StudyPlan]
    reports: Reports
    rng: np.random.Generator
    planted: set[int] = field(default_factory=set)
    touched: set[int] = field(default_factory=set)
    rows: tuple[int, int] | None = None

    def final_row(self, plan: StudyPlan) -> dict[str, str] | None:
        """The one row of a study's report; None where there are none or several versions."""
        rows = [row for row in self.reports if row["report_number"] == plan.report_number]
        return rows[0] if len(rows) == 1 and rows[0]["status"] == "final" else None

    def plain(self, *coverages: str) -> list[StudyPlan]:
        """Studies without a fault of their own, in random order."""
        fit = [
            plan
            for plan in self.plans
            if not plan.image_fault
            and not plan.report_fault
            and (not coverages or plan.coverage in coverages)
            and self.final_row(plan) is not None
        ]
        return [fit[int(n)] for n in self.rng.permutation(len(fit))]

    def slices(self, plan: StudyPlan) -> dict[str, list[Path]]:
        """Files of a study by SeriesInstanceUID, localizers aside, in the order of their instance numbers."""
        found: dict[str, list[tuple[int, Path]]] = {}
        for path in sorted((self.export / "dicom" / study_folder(plan)).rglob("*")):
            if path.is_file():
                head = pydicom.dcmread(path, stop_before_pixels=True)
                if "LOCALIZER" not in head.ImageType:
                    found.setdefault(str(head.SeriesInstanceUID), []).append((int(head.InstanceNumber), path))
        return {uid: [path for _, path in sorted(files)] for uid, files in found.items()}


# reports


def shift_rows(ground: Ground, n: int) -> None:
    """Each text of a block is that of the row before; the block's rows are one and a half times `n`."""
    size = max(8, n + n // 2)
    first = int(ground.rng.integers(4, max(5, len(ground.reports) - size - 4)))
    texts = [row["report_text"] for row in ground.reports]
    last = {row["report_number"]: place for place, row in enumerate(ground.reports) if row["status"] in FINAL}
    by_number = {plan.report_number: plan.number for plan in ground.plans}
    for place in range(first, first + size):
        ground.reports[place]["report_text"] = texts[place - 1]
        number = ground.reports[place]["report_number"]
        if number in by_number:  # a version that is not the last one does not reach its pair
            (ground.planted if last.get(number) == place else ground.touched).add(by_number[number])
    ground.touched |= {by_number.get(ground.reports[first - 1]["report_number"], -1)}
    ground.rows = (first + 1, first + size)


def shift_scrubbed_rows(ground: Ground, n: int) -> None:
    """The same, where no text names its patient or day."""
    shift_rows(ground, n)
    assert ground.rows is not None
    for row in ground.reports[max(0, ground.rows[0] - 9) : ground.rows[1] + 8]:  # the block and the rows around it
        row["report_text"] = scrubbed(row["report_text"])


def swap_reports(ground: Ground, n: int) -> None:
    """Two studies exchange their texts."""
    chosen = ground.plain()[: 2 * max(1, n // 2)]
    for one, other in zip(chosen[::2], chosen[1::2], strict=False):
        a, b = ground.final_row(one), ground.final_row(other)
        assert a is not None
        assert b is not None
        a["report_text"], b["report_text"] = b["report_text"], a["report_text"]
        ground.planted |= {one.number, other.number}


def repeat_reports(ground: Ground, n: int) -> None:
    """A study gets another's text, which stays where it was too."""
    chosen = ground.plain()[: 2 * n]
    for one, other in zip(chosen[::2], chosen[1::2], strict=False):
        a, b = ground.final_row(one), ground.final_row(other)
        assert a is not None
        assert b is not None
        b["report_text"] = a["report_text"]
        ground.planted |= {other.number}
        ground.touched |= {one.number}


def exchange_sides(ground: Ground, n: int) -> None:
    """Left and right exchanged throughout a text that names a side."""
    for plan in ground.plain():
        row = ground.final_row(plan)
        if row is not None and SIDES.search(row["report_text"]) and len(ground.planted) < n:
            row["report_text"] = exchanged(row["report_text"])
            ground.planted.add(plan.number)


def exchanged(text: str) -> str:
    """A text with left and right exchanged, in words and in the short names of lobes."""
    return SIDES.sub(lambda match: OTHER_SIDE[match[0]], text)


def wrong_part(ground: Ground, n: int) -> None:
    """A chest study gets the text of an abdominal one, or the reverse; names and days removed."""
    chests, abdomens = ground.plain("chest")[:n], ground.plain("abdomen")[:n]
    texts = {plan.number: (ground.final_row(plan) or {})["report_text"] for plan in (*chests, *abdomens)}
    for place, (chest, abdomen) in enumerate(zip(chests, abdomens, strict=False)):
        target, source = (chest, abdomen) if place % 2 else (abdomen, chest)
        row = ground.final_row(target)
        if row is not None and len(ground.planted) < n:
            row["report_text"] = scrubbed(texts[source.number])
            ground.planted.add(target.number)
            ground.touched.add(source.number)


def scrubbed(text: str) -> str:
    """A text without the lines that name its patient or day."""
    kept = [line for line in text.split("\n") if not re.search(r"Patient:|signed|MRN|Reported by|-year-old", line)]
    return "\n".join(kept)


# images


def mirror(ground: Ground, n: int) -> None:
    """Columns reversed in every slice, the header left as it was (fault D22)."""
    for plan in ground.plain()[:n]:
        for files in ground.slices(plan).values():
            for path in files:
                _rewrite(path, lambda ds: _set_pixels(ds, ds.pixel_array[:, ::-1]))
        ground.planted.add(plan.number)


def truncate(ground: Ground, n: int) -> None:
    """The upper or lower 45 % of every axial series is missing."""
    for place, plan in enumerate(ground.plain()[:n]):
        for files in ground.slices(plan).values():
            heights = {path: float(pydicom.dcmread(path, stop_before_pixels=True).ImagePositionPatient[2])
                       for path in files}  # fmt: skip
            ordered = sorted(files, key=lambda path: heights[path], reverse=bool(place % 2))
            if max(heights.values()) - min(heights.values()) < 20:
                gone = ordered  # a coronal reformat of the whole would tell
            else:
                gone = ordered[: int(0.45 * len(ordered))]
            for path in gone:
                path.unlink()
        ground.planted.add(plan.number)


def rescale_twice(ground: Ground, n: int) -> None:
    """Stored values are HU already, the intercept is still declared."""

    def change(ds: Any) -> None:
        hu = ds.pixel_array.astype(np.int32) + int(ds.RescaleIntercept)
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 15, 1
        for keyword in ("PixelPaddingValue", "SmallestImagePixelValue", "LargestImagePixelValue"):
            if keyword in ds:
                del ds[keyword]
        ds.RescaleIntercept = "-1024"
        _set_pixels(ds, hu.astype("<i2"))

    for plan in ground.plain()[:n]:
        for files in ground.slices(plan).values():
            for path in files:
                _rewrite(path, change)
        ground.planted.add(plan.number)


def foreign_series(ground: Ground, n: int) -> None:
    """The images are another patient's, under this patient's headers."""
    chosen = ground.plain()[: 2 * n]
    for one, other in zip(chosen[::2], chosen[1::2], strict=False):
        mine, theirs = ground.slices(one), ground.slices(other)
        head = pydicom.dcmread(next(iter(mine.values()))[0], stop_before_pixels=True)
        for files in mine.values():
            for path in files:
                path.unlink()
        for uid, files in theirs.items():
            for place, path in enumerate(files):
                ds = pydicom.dcmread(path)
                for keyword in ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex",
                                "StudyInstanceUID", "AccessionNumber", "StudyDate", "StudyTime"):  # fmt: skip
                    if keyword in head:
                        setattr(ds, keyword, head.get(keyword))
                ds.SeriesInstanceUID = make_uid("foreign", uid)
                ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(make_uid("foreign", uid, place))
                folder = ground.export / "dicom" / study_folder(one) / f"foreign{list(theirs).index(uid)}"
                folder.mkdir(exist_ok=True)
                ds.save_as(folder / f"{place:04d}.dcm", enforce_file_format=True)
        ground.planted.add(one.number)
        ground.touched.add(other.number)


def _rewrite(path: Path, change: Callable[[Any], None]) -> None:
    ds = pydicom.dcmread(path)
    change(ds)
    path.unlink()  # a hard link to the base export
    ds.save_as(path, enforce_file_format=True)


def _set_pixels(ds: Any, pixels: np.ndarray) -> None:
    if ds.file_meta.TransferSyntaxUID.is_compressed:
        ds.decompress()
    ds.PixelData = np.ascontiguousarray(pixels).tobytes()
