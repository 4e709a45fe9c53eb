"""Boxes drawn over three planes, to be looked at: ``python -m curation locate``.

Enters: a volume, its affine, boxes. Leaves: a PNG, oriented as on the audit page: the patient's right on the left of
axial and coronal planes, and the letters on every panel. Refuses: a file that is no volume, a region nobody knows.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from curation.align.locate import locate_regions
from curation.align.records import RegionBox
from curation.audit.slices import EDGES, PLANES, slice_pixels
from reports.regions import region_tree
from t3dkit.atomic import write_bytes
from t3dkit.errors import ConfigError, DataError

HU_RANGE = (-1024, 3071)
WINDOW_HU = (-200.0, 300.0)
SHOWN = (
    "lung_left", "lung_right", "trachea", "heart", "aorta", "liver", "spleen", "stomach", "pancreas", "kidney_left",
    "kidney_right", "colon", "urinary_bladder", "spine", "hip_left", "hip_right", "brain", "thyroid_gland",
)  # fmt: skip
"""Drawn when nothing is asked for."""
SHOWN_PLANES = ("coronal", "sagittal", "axial")


def draw_boxes(
    data: np.ndarray, affine_ras: np.ndarray, boxes: Sequence[RegionBox], path: Path, *, title: str = ""
) -> None:
    """Write a PNG: one row per box, three planes through its centre.

    Parameters
    ----------
    data : (i, j, k) int16, HU
    affine_ras : (4, 4) float64
    boxes : sequence of RegionBox
    path : Path
    title : str
    """
    import matplotlib

    matplotlib.use("Agg", force=False)
    from matplotlib import pyplot as plt
    from matplotlib.patches import Rectangle

    spacing = np.linalg.norm(np.asarray(affine_ras)[:3, :3], axis=0)
    columns = 2
    rows = max(1, -(-len(boxes) // columns))
    figure, axes = plt.subplots(rows, 3 * columns, figsize=(3.2 * 3 * columns, 2.9 * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for number, box in enumerate(boxes):
        row, first = divmod(number, columns)
        for place, plane in enumerate(SHOWN_PLANES):
            axis = axes[row, 3 * first + place]
            normal, across, up = PLANES[plane]
            pixels = slice_pixels(data, plane=plane, index=box.start_ijk[normal] + box.size_ijk[normal] // 2)
            # the horizontal coordinate falls from left to right: the patient's right, and front, are on the left
            extent = (data.shape[across] * spacing[across], 0, 0, data.shape[up] * spacing[up])
            axis.imshow(
                np.asarray(pixels, dtype=np.float32),
                cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1], extent=extent,
            )  # fmt: skip
            corner = (box.start_ijk[across] * spacing[across], box.start_ijk[up] * spacing[up])
            size = (box.size_ijk[across] * spacing[across], box.size_ijk[up] * spacing[up])
            axis.add_patch(Rectangle(corner, *size, fill=False, edgecolor="#ffb000", linewidth=1.4))
            axis.set_title(f"{box.region} {box.confidence:.2f}" if place == 0 else plane, fontsize=8)
            for x, side in ((0.02, "left"), (0.98, "right")):
                axis.text(x, 0.5, EDGES[plane][side], transform=axis.transAxes, color="#ffd27f", fontsize=9,
                          ha=side, va="center")  # fmt: skip
    if title:
        figure.suptitle(title, fontsize=9)
    figure.tight_layout()
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=70, format="png", metadata={"Software": None})
    plt.close(figure)
    write_bytes(path, buffer.getvalue())


def picture_of_volume(volume: Path, path: Path, wanted: Sequence[str] = ()) -> dict[str, Any]:
    """Locate the regions of a NIfTI file, draw some of them, and say what was found.

    Parameters
    ----------
    volume : Path
        CT, Hounsfield units, any orientation.
    path : Path
        The PNG.
    wanted : sequence of str
        Regions to draw; none: `SHOWN`.

    Raises
    ------
    ConfigError
        A wanted region is no code of the region tree.
    DataError
        The file is no three-dimensional NIfTI.
    """
    import nibabel
    from nibabel.filebasedimages import ImageFileError

    unknown = sorted(set(wanted) - set(region_tree().codes))
    if unknown:
        raise ConfigError(f"no region is called {', '.join(unknown)}; docs/dataset.md says where the codes are listed")
    try:
        image: Any = nibabel.as_closest_canonical(nibabel.load(volume))
        data = np.clip(np.asarray(image.dataobj), *HU_RANGE).astype(np.int16)
    except (ImageFileError, EOFError, OSError) as error:
        raise DataError(f"the volume is no readable NIfTI ({type(error).__name__})") from None
    if data.ndim != 3:
        raise DataError(f"expected a volume of three axes, found {data.ndim}")
    location = locate_regions(data, image.affine)
    boxes = {box.region: box for box in location.boxes}
    drawn = [boxes[region] for region in wanted or SHOWN if region in boxes]
    draw_boxes(data, image.affine, drawn, path)
    return {
        "body_regions": list(location.body_regions),
        "flags": list(location.flags),
        "n_regions": len(boxes),
        "drawn": {box.region: box.confidence for box in drawn},
        "not_covered": [region for region in wanted if region not in boxes],
    }
