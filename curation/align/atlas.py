"""Boxes of the regions that have no landmark of their own, from ``atlas.toml``.

Enters: a frame, located boxes. Leaves: coarse boxes with the confidence of the atlas. Refuses: an entry that names an
unknown region.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from curation.align.frame import Frame
from reports.regions import region_tree

SIDES = (("left", -1.0), ("right", 1.0))
FIRST_RIB_LEVEL = 7.6
"""Head of the first rib; each rib begins one vertebra lower."""
RIB_DROPS = (1.6, 2.6, 3.2, 3.8, 4.1, 4.3, 4.4, 4.4, 4.1, 3.4, 2.3, 1.5)
"""Levels from a rib's head down to its front end, from the first on (anatomy; eleventh and twelfth float)."""
RIB_FRONTS = (0.95, 1.0, 1.0, 1.0, 1.0, 1.0, 0.9, 0.75, 0.5, 0.2, -0.2, -0.5)
"""How far forward a rib reaches."""
RIB_CONFIDENCE = 0.35
LONG_SPINES = (7, *range(12, 17))
"""C7, and T5 to T9, whose spinous processes hang down to the lower end of the vertebra below."""
VERTEBRA_CONFIDENCE = 0.5
VERTEBRA_HALF_MM = 42.0
"""Half width of a vertebra with its transverse processes."""


@dataclass(frozen=True)
class Placed:
    """A box on the coarse grid.

    Parameters
    ----------
    edges : (3, 2) float64
        Along x, y, z; may reach out of the grid.
    confidence : float
    levels : (float, float) or None
        Upper and lower level and, by `scale`, the ruler they were read from; None for what was seen itself.
    scale : str
    """

    edges: np.ndarray
    confidence: float
    levels: tuple[float, float] | None = None
    scale: str = "organs"


@dataclass(frozen=True)
class BoxEntry:
    """One box of the atlas, in frame coordinates."""

    across: tuple[float, float]
    forward: tuple[float, float]
    levels: tuple[float, float]
    scale: str
    confidence: float
    source: str


@dataclass(frozen=True)
class PartEntry:
    """A share of another region's box."""

    of: str
    shares: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
    confidence: float
    source: str


@dataclass(frozen=True)
class Atlas:
    """The atlas, sides written out."""

    boxes: Mapping[str, BoxEntry]
    parts: Mapping[str, PartEntry]


@cache
def read_atlas() -> Atlas:
    """The built-in atlas.

    Raises
    ------
    ValueError
        An entry names a region that the region tree lacks, or has edges out of order.
    """
    table = tomllib.loads(files("curation.align").joinpath("atlas.toml").read_text(encoding="utf-8"))
    boxes: dict[str, BoxEntry] = {}
    for name, entry in table["box"].items():
        for region, sign in [(f"{name}_{side}", sign) for side, sign in SIDES] if entry.get("sided") else [(name, 1.0)]:
            boxes[region] = _box_entry(entry, mirror=sign < 0)
    boxes |= _rib_entries()
    parts = {name: _part_entry(entry) for name, entry in table["part"].items()}
    _require_known(boxes, parts)
    return Atlas(boxes=boxes, parts=parts)


def place_boxes(frame: Frame) -> dict[str, Placed]:
    """Every box of the atlas, and every vertebra, in a patient's frame."""
    placed = {}
    for region, entry in read_atlas().boxes.items():
        edges = frame.box(entry.across, entry.forward, entry.levels, scale=entry.scale)
        placed[region] = Placed(edges, entry.confidence, entry.levels, entry.scale)
    for level, region in vertebra_levels().items():
        placed[region] = _vertebra(frame, level)
    return placed


def place_parts(located: Mapping[str, Placed]) -> dict[str, Placed]:
    """Every part whose whole was located; its confidence is that of the whole times its own."""
    placed = {}
    for region, entry in read_atlas().parts.items():
        whole = located.get(entry.of)
        if whole is None:
            continue
        low, size = whole.edges[:, 0], whole.edges[:, 1] - whole.edges[:, 0]
        shares = np.array(entry.shares)
        edges = low[:, None] + shares * size[:, None]
        placed[region] = Placed(edges, entry.confidence * whole.confidence, whole.levels, whole.scale)
    return placed


def vertebra_levels() -> dict[int, str]:
    """Level -> region of each vertebra: 1 is C1, 25 S1."""
    names = [f"C{n}" for n in range(1, 8)] + [f"T{n}" for n in range(1, 13)] + [f"L{n}" for n in range(1, 6)] + ["S1"]
    return {level: f"vertebrae_{name}" for level, name in enumerate(names, start=1)}


def _vertebra(frame: Frame, level: int) -> Placed:
    levels = (level - 0.6, level + (1.1 if level in LONG_SPINES else 0.75))  # processes reach below the body
    edges = frame.box((-1.0, 1.0), (-0.8, 0.02), levels, scale="bones")
    middle = edges[0].mean()
    edges[0] = middle - VERTEBRA_HALF_MM / 4.0, middle + VERTEBRA_HALF_MM / 4.0
    return Placed(edges, VERTEBRA_CONFIDENCE, levels, "bones")


def _pair(values: list[float]) -> tuple[float, float]:
    low, high = values
    return float(low), float(high)


def _box_entry(entry: Mapping[str, object], *, mirror: bool) -> BoxEntry:
    across, forward, levels = (_pair(entry[key]) for key in ("across", "forward", "levels"))  # type: ignore[arg-type]
    return BoxEntry(
        across=(-across[1], -across[0]) if mirror else across,
        forward=forward,
        levels=levels,
        scale=str(entry.get("scale", "organs")),
        confidence=float(entry["confidence"]),  # type: ignore[arg-type]
        source=str(entry["source"]),
    )


def _part_entry(entry: Mapping[str, object]) -> PartEntry:
    x, y, z = (_pair(entry.get(axis, [0.0, 1.0])) for axis in ("x", "y", "z"))  # type: ignore[arg-type]
    return PartEntry(
        of=str(entry["of"]),
        shares=(x, y, z),
        confidence=float(entry["confidence"]),  # type: ignore[arg-type]
        source=str(entry["source"]),
    )


def _rib_entries() -> dict[str, BoxEntry]:
    entries = {}
    for number, (drop, ahead) in enumerate(zip(RIB_DROPS, RIB_FRONTS, strict=True), start=1):
        start = FIRST_RIB_LEVEL + number - 1
        for side, sign in SIDES:
            reach = 0.75 if number <= 2 else 1.02
            across = (-reach, -0.08) if sign < 0 else (0.08, reach)
            levels = (start - 0.3, start + drop)
            entries[f"rib_{side}_{number}"] = BoxEntry(
                across, (-0.9, ahead), levels, "bones", RIB_CONFIDENCE, "anatomy"
            )
    return entries


def _require_known(boxes: Mapping[str, BoxEntry], parts: Mapping[str, PartEntry]) -> None:
    tree = region_tree()
    names = [*boxes, *parts, *(part.of for part in parts.values())]
    unknown = sorted({name for name in names if name not in tree})
    if unknown:
        raise ValueError(f"atlas.toml names regions that regions.toml lacks: {unknown}")
    for name, entry in boxes.items():
        if not (
            entry.across[0] < entry.across[1]
            and entry.forward[0] < entry.forward[1]
            and entry.levels[0] < entry.levels[1]
        ):
            raise ValueError(f"atlas.toml: {name} has edges out of order")
