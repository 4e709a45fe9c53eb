"""One series, cut into groups of slices that may belong together, before anything is stacked.

Enters: the image instances of one series. Leaves: groups of slices of equal matrix, spacing, orientation, kernel and
phase, without two at one place. Refuses: to tell phases apart by file order or instance number.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from volumes import geometry
from volumes.errors import SeriesGeometryError
from volumes.reasons import DropReason
from volumes.records import Frame, Instance

MIN_SLICES = 3
"""Fewer positions cannot show that they are regular."""

SAME_PLACE_MM = 0.01
"""Two slices closer than this along the normal are at one place."""

SAME_COLUMN_MM = 1.0
"""Slices whose corners are closer than this, seen along the normal, lie above one another."""

ORIENTATION_DRIFT = 1e-4
"""Directions that differ by less, in every component, are one orientation, averaged (fault D15)."""


@dataclass(frozen=True)
class SliceHeader:
    """One slice (a file, or a frame of one) with what places it and what tells it from others at the same place."""

    instance: Instance
    frame: int
    position_lps: np.ndarray
    orientation_lps: np.ndarray
    pixel_spacing_mm: tuple[float, float]
    image_type: tuple[str, ...]
    acquisition_time: str | None
    temporal_position: int | None
    stack_id: str | None

    @property
    def order(self) -> tuple[str, str, int]:
        """A total order that does not depend on the order of files."""
        return (self.instance.sop_instance_uid, self.instance.file.name, self.frame)


@dataclass
class Group:
    """Slices of equal matrix, spacing, orientation, kernel."""

    slices: list[SliceHeader]
    is_orientation_averaged: bool = False
    labels: list[str] = field(default_factory=list)


def slice_headers(instance: Instance) -> list[SliceHeader]:
    """The slices of an instance, placed.

    Raises
    ------
    SeriesGeometryError
        A slice lacks a believable position, orientation or pixel spacing; ENHANCED_BAD when a multi-frame image
        has no per-frame geometry at all.
    """
    if instance.number_of_frames > 1 and len(instance.frames) != instance.number_of_frames:
        detail = f"{instance.number_of_frames} frames, geometry for {len(instance.frames)}"
        raise SeriesGeometryError(DropReason.ENHANCED_BAD, detail)
    if not instance.frames:
        return [_header(instance, 0, Frame())]
    if len(instance.frames) > 1 and len({frame.image_position_lps for frame in instance.frames}) == 1:
        raise SeriesGeometryError(DropReason.ENHANCED_BAD, f"{len(instance.frames)} frames without places of their own")
    return [_header(instance, number, frame) for number, frame in enumerate(instance.frames)]


def _header(instance: Instance, number: int, frame: Frame) -> SliceHeader:
    position = frame.image_position_lps or instance.image_position_lps
    if position is None or len(position) != 3 or not all(map(math.isfinite, position)):
        reason = DropReason.ENHANCED_BAD if instance.frames else DropReason.GEOM_NO_POSITION
        raise SeriesGeometryError(reason, "ImagePositionPatient is absent")
    return SliceHeader(
        instance=instance,
        frame=number,
        position_lps=np.asarray(position, dtype=float),
        orientation_lps=geometry.unit_orientation(frame.image_orientation_lps or instance.image_orientation_lps),
        pixel_spacing_mm=geometry.require_pixel_spacing(frame.pixel_spacing_mm or instance.pixel_spacing_mm),
        image_type=frame.image_type or instance.image_type,
        acquisition_time=frame.acquisition_time or instance.acquisition_time,
        temporal_position=_first(frame.temporal_position, instance.temporal_position),
        stack_id=frame.stack_id,
    )


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def group_alike(slices: Sequence[SliceHeader]) -> list[Group]:
    """Cut by what never differs inside one volume: modality, matrix, orientation, kernel, tube voltage, stack.

    Pixel spacing is cut as well, by `split_spacing`, since there two spacings may be a fault and not two stacks.
    """
    orientations = _cluster_orientations(slices)
    kernels = _distinct([item.instance.convolution_kernel for item in slices])
    voltages = _distinct([item.instance.kvp for item in slices])
    groups: dict[tuple[Hashable, ...], list[SliceHeader]] = defaultdict(list)
    for item, orientation, kernel, voltage in zip(slices, orientations, kernels, voltages, strict=True):
        instance = item.instance
        key = (
            instance.modality or "",
            instance.rows,
            instance.columns,
            orientation,
            kernel,
            voltage,
            item.stack_id or "",
        )
        groups[key].append(item)
    return [_averaged(groups[key]) for key in sorted(groups, key=str)]


def _distinct(values: Sequence[Hashable]) -> list[Hashable]:
    """The values as keys; all alike when at most one is known, so that an absent element cuts nothing off."""
    known = {value for value in values if value not in (None, "")}
    return list(values) if len(known) > 1 else [""] * len(values)


def _cluster_orientations(slices: Sequence[SliceHeader]) -> list[int]:
    """Number of the orientation of each slice; neighbours within `ORIENTATION_DRIFT` of the first seen share one."""
    centres: list[np.ndarray] = []
    numbers: list[int] = []
    last: np.ndarray | None = None
    for item in slices:
        if item.orientation_lps is last:  # the very same array, as in nearly every series
            numbers.append(numbers[-1])
            continue
        last = item.orientation_lps
        for number, centre in enumerate(centres):
            if np.abs(centre - item.orientation_lps).max() <= ORIENTATION_DRIFT:
                numbers.append(number)
                break
        else:
            numbers.append(len(centres))
            centres.append(item.orientation_lps)
    return numbers


def _averaged(slices: list[SliceHeader]) -> Group:
    orientations = np.stack([item.orientation_lps for item in slices])
    return Group(slices, is_orientation_averaged=bool(np.ptp(orientations, axis=0).max() > 0))


def mean_orientation(slices: Sequence[SliceHeader]) -> np.ndarray:
    """Mean row and column direction of slices that differ by rounding: (6,) float64, unit and perpendicular."""
    return geometry.unit_orientation(np.stack([item.orientation_lps for item in slices]).mean(axis=0))


def places(slices: Sequence[SliceHeader]) -> np.ndarray:
    """Number of the place of each slice along the normal, from 0: (n,) int."""
    along = places_mm(slices)
    order = np.argsort(along, kind="stable")
    numbers = np.zeros(len(slices), dtype=int)
    numbers[order] = np.concatenate([[0], np.cumsum(np.diff(along[order]) > SAME_PLACE_MM)])
    return numbers


def places_mm(slices: Sequence[SliceHeader]) -> np.ndarray:
    """Place of each slice along the normal: (n,) float64, mm."""
    direction = geometry.normal(mean_orientation(slices))
    return np.stack([item.position_lps for item in slices]) @ direction


def split_spacing(group: Group) -> list[Group]:
    """Cut a group by pixel spacing.

    Raises
    ------
    SeriesGeometryError
        GEOM_MIXED_SPACING: slices of different spacing alternate along the normal, at places of their own, so that
        none of them is a volume by itself.
    """
    by_spacing: dict[tuple[float, float], list[SliceHeader]] = defaultdict(list)
    for item in group.slices:
        by_spacing[(round(item.pixel_spacing_mm[0], 4), round(item.pixel_spacing_mm[1], 4))].append(item)
    if len(by_spacing) == 1:
        return [group]
    numbers = places(group.slices)
    if len(set(numbers.tolist())) == len(group.slices):  # no place twice: one run of slices, or a mixture
        ordered = [group.slices[i] for i in np.argsort(numbers, kind="stable")]
        changes = sum(a.pixel_spacing_mm != b.pixel_spacing_mm for a, b in itertools.pairwise(ordered))
        if changes >= len(by_spacing):
            detail = f"{len(by_spacing)} pixel spacings alternate in one stack of {len(ordered)} slices"
            raise SeriesGeometryError(DropReason.GEOM_MIXED_SPACING, detail)
    return [Group(by_spacing[key], group.is_orientation_averaged, ["pixel spacing"]) for key in sorted(by_spacing)]


def split_phases(group: Group) -> list[Group]:
    """Cut a group in which places repeat into phases without repeats, by what the header says of each slice.

    An attribute is believed when every group it makes is free of repeats and the groups are few: as many as the most
    crowded place has slices, or each a stack by itself. An acquisition number that differs in every slice, as
    sequential scanners write it, is therefore not mistaken for a phase.

    Raises
    ------
    SeriesGeometryError
        BOLUS_TRACKING: images repeat at fewer places than make a volume, at different times. GEOM_NO_POSITION: the
        same, with nothing that shows a repeat in time. PHASE_AMBIGUOUS: nothing tells the repeats apart.
    """
    numbers = places(group.slices)
    crowd = max(Counter(numbers.tolist()).values())
    if crowd == 1:
        return [group]
    n_places = int(numbers.max()) + 1
    if n_places < MIN_SLICES and len(group.slices) > n_places:
        raise _repeated_place(group, n_places)
    for name, attribute in PHASE_ATTRIBUTES:
        parts: dict[Hashable, list[int]] = defaultdict(list)
        for index, item in enumerate(group.slices):
            parts[attribute(item)].append(index)
        if len(parts) > 1 and _are_phases(list(parts.values()), numbers, crowd):
            return [_part(group, parts[key], name) for key in sorted(parts, key=_phase_order)]
    passes = _passes_in_time(group.slices, numbers)
    if passes is not None:
        return [_part(group, indices, "acquisition time") for indices in passes]
    detail = f"{len(group.slices)} images at {n_places} places, up to {crowd} at one"
    raise SeriesGeometryError(DropReason.PHASE_AMBIGUOUS, detail)


def _part(group: Group, indices: list[int], label: str) -> Group:
    return Group([group.slices[i] for i in indices], group.is_orientation_averaged, [*group.labels, label])


def _phase_order(key: Hashable) -> tuple[bool, float, str]:
    is_number = isinstance(key, int | float)
    return (not is_number, float(key) if is_number else 0.0, str(key))  # type: ignore[arg-type]


def _are_phases(parts: list[list[int]], numbers: np.ndarray, crowd: int) -> bool:
    if any(len(set(numbers[part].tolist())) < len(part) for part in parts):
        return False
    return len(parts) == crowd or min(len(part) for part in parts) >= MIN_SLICES


def split_overlapping(group: Group) -> list[Group] | None:
    """Cut slices that make no regular row into regular rows that overlap along the normal (faults D25, F09).

    Told apart by where they lie in their plane, or by what the header says. Rows that only follow one another are not
    cut here: between them slices may be missing.
    """
    for name, keys in (("place in plane", _in_plane_classes(group.slices)), *_header_keys(group.slices)):
        parts: dict[Hashable, list[int]] = defaultdict(list)
        for index, key in enumerate(keys):
            parts[key].append(index)
        if len(parts) > 1 and all(_is_regular_row(group.slices, part) for part in parts.values()):
            rows = [_part(group, parts[key], name) for key in sorted(parts, key=_phase_order)]
            if _overlap(rows):
                return rows
    return None


def _header_keys(slices: Sequence[SliceHeader]) -> Iterator[tuple[str, list[Hashable]]]:
    for name, attribute in PHASE_ATTRIBUTES:
        yield name, [attribute(item) for item in slices]


def _in_plane_classes(slices: Sequence[SliceHeader]) -> list[Hashable]:
    """Number of the place that each slice has within its plane, to a millimetre."""
    orientation = mean_orientation(slices)
    in_plane = np.stack([item.position_lps for item in slices]) @ orientation.reshape(2, 3).T
    centres: list[np.ndarray] = []
    numbers: list[Hashable] = []
    for place in in_plane:
        near = [number for number, centre in enumerate(centres) if np.abs(centre - place).max() <= SAME_COLUMN_MM]
        if not near:
            centres.append(place)
        numbers.append(near[0] if near else len(centres) - 1)
    return numbers


def _is_regular_row(slices: Sequence[SliceHeader], part: list[int]) -> bool:
    if len(part) < MIN_SLICES:
        return False
    own = [slices[i] for i in part]
    order = np.argsort(places_mm(own), kind="stable")
    positions = np.stack([own[i].position_lps for i in order])
    fit = geometry.fit_spacing(positions, geometry.normal(mean_orientation(own)))
    return fit.spacing_mm > SAME_PLACE_MM and geometry.is_regular(fit)


def _overlap(rows: Sequence[Group]) -> bool:
    """Whether every row reaches into another one along the normal."""
    direction = geometry.normal(mean_orientation(rows[0].slices))
    spans = []
    for row in rows:
        along = [float(item.position_lps @ direction) for item in row.slices]
        spans.append((min(along), max(along)))
    return all(
        any(low < other_high and other_low < high for other_low, other_high in spans[:number] + spans[number + 1 :])
        for number, (low, high) in enumerate(spans)
    )


def _passes_in_time(slices: Sequence[SliceHeader], numbers: np.ndarray) -> list[list[int]] | None:
    """Passes over all places, told apart by acquisition time alone; None unless every pass is complete."""
    times = [item.acquisition_time for item in slices]
    if any(time is None for time in times):
        return None
    ordered = sorted(range(len(slices)), key=lambda i: (str(times[i]), int(numbers[i])))
    passes: list[list[int]] = [[]]
    seen: set[int] = set()
    for index in ordered:
        if int(numbers[index]) in seen:
            if times[index] == times[passes[-1][-1]]:
                return None  # a repeat at the same instant: time does not tell
            passes.append([])
            seen = set()
        passes[-1].append(index)
        seen.add(int(numbers[index]))
    complete = int(numbers.max()) + 1
    return passes if all(len(one) == complete for one in passes) else None


def _repeated_place(group: Group, n_places: int) -> SeriesGeometryError:
    detail = f"{len(group.slices)} images at {n_places} place{'s' if n_places > 1 else ''}"
    in_time = {
        (item.acquisition_time, item.temporal_position, item.instance.acquisition_number) for item in group.slices
    }
    reason = DropReason.BOLUS_TRACKING if len(in_time) > 1 else DropReason.GEOM_NO_POSITION
    return SeriesGeometryError(reason, detail)


PHASE_ATTRIBUTES: tuple[tuple[str, Callable[[SliceHeader], Hashable]], ...] = (
    ("image type", lambda item: item.image_type),
    ("temporal position", lambda item: item.temporal_position),
    ("acquisition number", lambda item: item.instance.acquisition_number),
    ("contrast agent", lambda item: item.instance.contrast_bolus_agent),
    ("acquisition time", lambda item: item.acquisition_time),
    ("series description", lambda item: item.instance.series_description),
    ("instance file", lambda item: item.instance.sop_instance_uid if item.instance.frames else None),
)
"""What may tell slices at one place apart, the surest first."""
