"""The static audit: one HTML file to mail, with everything inside it and nothing that identifies.

Enters: a data set. Leaves: a self-contained page: cohort flow, distributions, the most suspicious cases with
pictures, every drop reason. It loads nothing from anywhere.
"""

from __future__ import annotations

import base64
import math
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ImageDraw

from curation.audit.casebook import Box, Case, Casebook
from curation.audit.lists import MAX_BARS, rules, shifts
from curation.audit.pages import environment, report_parts
from curation.audit.slices import PLANES, png_of, shown_slice
from curation.audit.worklist import FACETS
from curation.contract import Dataset, in_order_of_work
from curation.suspicion import severity_of
from curation.suspicion.facts import NARRATIVE
from t3dkit.atomic import write_text
from t3dkit.progress import Progress
from volumes.nifti import read_volume

N_CASES = 12
PICTURE_PX = 300
_COLOURS = {"mask": (125, 240, 140), "pointer": (255, 139, 208), "landmark": (90, 209, 255)}


def write_static(root: Path, file: Path, *, progress: Progress) -> dict[str, Any]:
    """Write the static audit page of the data set at `root` to `file`; returns the summary.

    Raises
    ------
    ConfigError
        `root` is no data set.
    """
    book = Casebook(Dataset.open(root))
    worst = book.worklist.ids[:N_CASES]
    cases = []
    with progress.task("audit page", total=len(worst)) as task:
        for pair_id in worst:
            case = book.case(pair_id)
            if case is not None:
                cases.append(_illustrated(book, case))
            task.advance()
    reasons = Counter((row["stage"], row["kind"], row["reason"]) for row in book.dropped)
    page = (
        environment()
        .get_template("static.html")
        .render(
            name=book.dataset.manifest.get("name", "data set"),
            style=files("curation.audit").joinpath("assets/audit.css").read_text(encoding="utf-8"),
            flow=in_order_of_work(book.dataset.manifest.get("counts", {})),
            counts=[(*key, count) for key, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))],
            charts=distributions(book),
            rules=rules(book),
            shifts=shifts(book),
            cases=cases,
            n_suspected=sum(any(severity_of(flag) != "note" for flag in row["flags"]) for row in book.pairs.values()),
            n_pairs=len(book.worklist),
            verdicts=sorted(Counter(book.folded.values()).items()),
        )
    )
    write_text(file, page)
    return {"page": str(file), "pairs": len(book.worklist), "cases_shown": len(cases), "bytes": file.stat().st_size}


def distributions(book: Casebook) -> list[tuple[str, list[tuple[str, int]]]]:
    """Bar charts of the data set: (title, [(label, count)])."""
    return [
        (FACETS[name], [bar for bar in bars if bar[1]][:MAX_BARS])
        for name, bars in book.worklist.counts().items()
        if name != "flag"
    ]


def picture_png(data: np.ndarray, spacing_mm: list[float], boxes: Sequence[Box], *, plane: str) -> bytes:
    """A slice through the middle of the first box (or of the volume) with every box that it cuts, as PNG."""
    axis, across, along = PLANES[plane]
    index = boxes[0].centre_ijk[axis] if boxes else data.shape[axis] // 2
    grey_picture, px_per_mm = shown_slice(data, spacing_mm, plane=plane, index=index, longest_px=PICTURE_PX)
    picture = grey_picture.convert("RGB")
    draw = ImageDraw.Draw(picture)
    for box in boxes:
        if box.start_ijk[axis] <= index < box.start_ijk[axis] + box.size_ijk[axis]:
            corners = [
                (data.shape[a] - box.start_ijk[a] - far * box.size_ijk[a]) * spacing_mm[a] * px_per_mm
                for far in (1, 0)
                for a in (across, along)
            ]
            draw.rectangle(corners, outline=_COLOURS[box.source], width=2)
    return png_of(picture)


def telling_sentence(case: Case) -> dict[str, Any] | None:
    """The sentence to picture: of the located findings the most closely placed, else the first located sentence.

    An indication or a title names a body part too; only what describes the images tells.
    """
    located = [sentence for sentence in case.sentences if case.boxes[sentence["sentence_id"]]]
    told = [row for row in located if row["section"] in NARRATIVE]
    findings = [row for row in told if row["assertion"] == "present" and not row["is_normal"]]
    findings.sort(key=lambda row: math.prod(case.boxes[row["sentence_id"]][0].size_ijk))
    return next(iter(findings + told + located), None)


def _illustrated(book: Casebook, case: Case) -> dict[str, Any]:
    data, _ = read_volume(book.dataset.volume_path(case.volume))
    sentence = telling_sentence(case)
    boxes = case.boxes[sentence["sentence_id"]] if sentence else ()
    pictures = [
        (plane, base64.b64encode(picture_png(data, case.volume["spacing_mm"], boxes, plane=plane)).decode())
        for plane in ("axial", "coronal", "sagittal")
    ]
    return {"case": case, "sentence": sentence, "parts": report_parts(case), "pictures": pictures}
