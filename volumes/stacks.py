"""From the images of one series to stacks that are volumes, or reasons why not.

Enters: the instances of one SeriesInstanceUID, in any order. Leaves: every slice once, in a `Stack` or in a
`StackDrop`. Refuses: file order, instance numbers, SliceThickness or a tilt tag as evidence of where a slice lies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from t3dkit.verdict import Code, Repair
from volumes import classify, geometry, split
from volumes.codecs import LOSSY
from volumes.duplicates import drop_identical
from volumes.errors import SeriesGeometryError, VolumeError
from volumes.gaps import Gaps
from volumes.reasons import DropReason, Flag, RepairCode
from volumes.records import Instance, Stack
from volumes.split import MIN_SLICES, Group, SliceHeader


@dataclass(frozen=True)
class StackDrop:
    """Slices of a series that go no further, and why."""

    series_instance_uid: str
    index: int
    n_instances: int
    modality: str | None
    geometry: str
    reason: Code
    detail: str
    instances: tuple[Instance, ...]


@dataclass(frozen=True)
class SeriesOutcome:
    """What became of a series: every slice is in one of the two, never in both, never in neither."""

    stacks: tuple[Stack, ...]
    dropped: tuple[StackDrop, ...]


@dataclass(frozen=True)
class StackPolicy:
    """What is a matter of taste.

    Parameters
    ----------
    irregular : "split" or "resample"
        Blocks of regular spacing become volumes of their own (no voxel is invented), or one volume, resampled.
    min_slices : int
        Stacks with fewer slices are dropped.
    """

    irregular: Literal["split", "resample"] = "split"
    min_slices: int = MIN_SLICES


@dataclass(frozen=True)
class _Drop:
    """A drop before it has its number."""

    reason: Code
    detail: str
    slices: tuple[SliceHeader, ...] = ()
    instances: tuple[Instance, ...] = ()

    def all_instances(self) -> tuple[Instance, ...]:
        unique = {id(item): item for item in [*self.instances, *(item.instance for item in self.slices)]}
        return tuple(sorted(unique.values(), key=lambda item: (item.sop_instance_uid, item.file)))


def build_stacks(
    instances: Sequence[Instance], policy: StackPolicy | None = None, *, gaps: Gaps | None = None
) -> SeriesOutcome:
    """Cut the images of one series into stacks.

    Parameters
    ----------
    instances : sequence of Instance
        All image instances of one SeriesInstanceUID, in any order.
    policy : StackPolicy, optional
    gaps : Gaps, optional

    Returns
    -------
    SeriesOutcome
        Stacks and drops, numbered from 0 by where they come from, the same for any order of `instances`.
    """
    policy, gaps = policy or StackPolicy(), gaps or Gaps()
    if not instances:
        return SeriesOutcome((), ())
    ordered = sorted(instances, key=lambda item: (item.sop_instance_uid, item.file))
    conflict = _patient_conflict(ordered)
    if conflict is not None:
        return _number([], [conflict])
    usable, drops = _refuse_by_class(ordered)
    is_localizer_removed = bool(usable) and any(drop.reason == DropReason.LOCALIZER for drop in drops)
    slices, unplaced = _place(usable)
    is_incomplete = bool(slices) and bool(unplaced)
    drops += unplaced
    stacks: list[Stack] = []
    unique, copies = drop_identical(slices)
    drops += [_Drop(reason, detail, slices=tuple(items)) for reason, detail, items in copies]
    for group in split.group_alike(unique):
        made, refused = _build_group(group, policy)
        stacks += made
        drops += refused
    drops = _name_drift(drops)
    refusal = gaps.refusal()
    if refusal is not None:
        return _number([], drops + [_held_back(stack, *refusal) for stack in stacks])
    extra = [Repair(RepairCode.LOCALIZER_REMOVED)] if is_localizer_removed else []
    if is_incomplete:
        extra.append(Repair(Flag.POSSIBLY_CROPPED, "images of the series without a usable position were set aside"))
    if gaps.n_unread_beside:
        detail = f"{gaps.n_unread_beside} files beside it could not be read"
        extra.append(Repair(Flag.POSSIBLY_CROPPED, detail))
    if copies:
        extra.append(Repair(RepairCode.DEDUP_IDENTICAL, f"{sum(len(items) for *_, items in copies)} copies"))
    if len(stacks) > 1:
        extra.append(Repair(RepairCode.SPLIT, f"{len(stacks)} stacks"))
    return _number([replace(stack, repairs=(*stack.repairs, *extra)) for stack in stacks], drops)


def describe_geometry(stack: Stack) -> str:
    """One line: plane, matrix and voxel size, as ``axial 512x512x120 0.70x0.70x2.50 mm``."""
    rows, columns, n = stack.shape_rcs
    voxel = f"{stack.pixel_spacing_mm[1]:.2f}x{stack.pixel_spacing_mm[0]:.2f}x{stack.spacing_mm:.2f} mm"
    return f"{plane(stack)} {columns}x{rows}x{n} {voxel}" + (
        f", tilt {stack.tilt_deg:.1f} deg" if stack.tilt_deg else ""
    )


def plane(stack: Stack) -> str:
    """axial, coronal or sagittal: the patient plane closest to the slices."""
    axis = geometry.closest_axes(
        np.stack([geometry.normal(stack.orientation_lps), stack.orientation_lps[3:], stack.orientation_lps[:3]])
    )[0]
    return ("sagittal", "coronal", "axial")[axis]


# ---------------------------------------------------------------------------------------------- before stacking


def _patient_conflict(instances: Sequence[Instance]) -> _Drop | None:
    known = {(item.patient_key, item.patient_birth_date or "") for item in instances if any(item.patient_key)}
    if len({key for key, _ in known}) > 1 or len({date for _, date in known if date}) > 1:
        return _Drop(DropReason.PATIENT_CONFLICT, "one series names several patients", instances=tuple(instances))
    return None


def _refuse_by_class(instances: Sequence[Instance]) -> tuple[list[Instance], list[_Drop]]:
    usable: list[Instance] = []
    refused: dict[tuple[Code, str], list[Instance]] = defaultdict(list)
    for item in instances:
        verdict = classify.refuse(item)
        if verdict is None:
            usable.append(item)
        else:
            refused[verdict].append(item)
    return usable, [
        _Drop(reason, detail, instances=tuple(items)) for (reason, detail), items in sorted(refused.items())
    ]


def _place(instances: Sequence[Instance]) -> tuple[list[SliceHeader], list[_Drop]]:
    slices: list[SliceHeader] = []
    refused: dict[tuple[Code, str], list[Instance]] = defaultdict(list)
    for item in instances:
        try:
            slices += split.slice_headers(item)
        except SeriesGeometryError as error:
            refused[error.reason, error.detail].append(item)
    return slices, [
        _Drop(reason, detail, instances=tuple(items)) for (reason, detail), items in sorted(refused.items())
    ]


# ---------------------------------------------------------------------------------------------------- stacking


def _build_group(group: Group, policy: StackPolicy) -> tuple[list[Stack], list[_Drop]]:
    """Stacks of one group of like slices; a step that fails drops the slices it was given, not their neighbours."""
    stacks: list[Stack] = []
    drops: list[_Drop] = []
    for by_spacing in _or_drop(split.split_spacing, group, drops):
        for phase in _or_drop(split.split_phases, by_spacing, drops):
            try:
                stacks += _stack_phase(phase, policy)
            except VolumeError as error:
                drops.append(_Drop(error.reason, error.detail, slices=tuple(phase.slices)))
    return stacks, drops


def _or_drop(cut: object, group: Group, drops: list[_Drop]) -> list[Group]:
    try:
        return cut(group)  # type: ignore[operator]
    except VolumeError as error:
        drops.append(_Drop(error.reason, error.detail, slices=tuple(group.slices)))
        return []


def _stack_phase(phase: Group, policy: StackPolicy) -> list[Stack]:
    """The stacks of slices at places of their own: one when they are regular, one per block when blocks are.

    Raises
    ------
    SeriesGeometryError
        TOO_FEW_SLICES, GEOM_MISSING_SLICE, GEOM_IRREGULAR.
    """
    n = len(phase.slices)
    if n < policy.min_slices:
        detail = f"{n} slice{'s' if n > 1 else ''}, at least {policy.min_slices} are needed"
        raise SeriesGeometryError(DropReason.TOO_FEW_SLICES, detail)
    along = split.places_mm(phase.slices)
    ordered = [phase.slices[i] for i in np.argsort(along, kind="stable")]
    orientation = split.mean_orientation(ordered)
    fit = geometry.fit_spacing(_positions(ordered), geometry.normal(orientation))
    if geometry.is_regular(fit):
        return [_stack(ordered, phase, orientation, ())]
    parts = split.split_overlapping(phase)
    if parts is not None:
        return [stack for part in parts for stack in _stack_phase(part, policy)]
    steps = np.diff(np.sort(along))
    blocks = geometry.regular_blocks(steps, min_slices=policy.min_slices)
    if blocks is None:
        raise _irregular(steps, fit)
    if policy.irregular == "resample":
        detail = ", ".join(
            f"{stop - start} slices {np.median(steps[start : stop - 1]):.2f} mm" for start, stop in blocks
        )
        return [_stack(ordered, phase, orientation, (Repair(RepairCode.IRREGULAR_RESAMPLED, detail),))]
    return [_stack(ordered[start:stop], phase, orientation, ()) for start, stop in blocks]


def _irregular(steps: np.ndarray, fit: geometry.Spacing) -> SeriesGeometryError:
    missing = geometry.missing_slices(steps)
    if missing is not None:
        where = [f"{count} after slice {index + 1}" for index, count in enumerate(missing) if count]
        shown = "; ".join(where[:5]) + ("; ..." if len(where) > 5 else "")
        detail = f"{sum(missing)} of {len(missing) + 1 + sum(missing)} slices missing: {shown}"
        return SeriesGeometryError(DropReason.GEOM_MISSING_SLICE, detail)
    detail = (
        f"steps of {steps.min():.2f} to {steps.max():.2f} mm, median {np.median(steps):.2f}; "
        f"up to {fit.residual_mm:.2f} mm off a straight regular row"
    )
    return SeriesGeometryError(DropReason.GEOM_IRREGULAR, detail)


def _positions(slices: Iterable[SliceHeader]) -> np.ndarray:
    return np.stack([item.position_lps for item in slices])


def _stack(ordered: Sequence[SliceHeader], phase: Group, orientation: np.ndarray, repairs: tuple[Repair, ...]) -> Stack:
    head = ordered[0].instance
    positions = _positions(ordered)
    fit = geometry.fit_spacing(positions, geometry.normal(orientation))
    if not repairs and not geometry.is_regular(fit):  # a block whose steps drift: regular pairwise, not as a whole
        raise _irregular(np.diff(positions @ geometry.normal(orientation)), fit)
    return Stack(
        series_instance_uid=head.series_instance_uid,
        index=0,
        slices=tuple((item.instance, item.frame) for item in ordered),
        positions_lps=positions,
        orientation_lps=orientation,
        pixel_spacing_mm=ordered[0].pixel_spacing_mm,
        spacing_mm=fit.spacing_mm,
        shape_rcs=(int(head.rows or 0), int(head.columns or 0), len(ordered)),
        tilt_deg=fit.tilt_deg,
        repairs=(*_inherited(ordered), *repairs, *_remarks(ordered, phase, fit)),
    )


def _held_back(stack: Stack, reason: Code, detail: str) -> _Drop:
    unique = {id(instance): instance for instance, _ in stack.slices}
    return _Drop(reason, detail, instances=tuple(unique.values()))


# ----------------------------------------------------------------------------------------------------- remarks


def _inherited(ordered: Sequence[SliceHeader]) -> list[Repair]:
    """Repairs made to the files, each once, with the number of slices it concerns."""
    counts: dict[Repair, int] = defaultdict(int)
    for item in ordered:
        for repair in set(item.instance.repairs):
            counts[repair] += 1
    n = len(ordered)
    return [
        Repair(repair.code, "; ".join(filter(None, [repair.detail, f"{count} of {n} slices" if count < n else ""])))
        for repair, count in sorted(counts.items(), key=lambda pair: (pair[0].code, pair[0].detail))
    ]


def _remarks(ordered: Sequence[SliceHeader], phase: Group, fit: geometry.Spacing) -> list[Repair]:
    head = ordered[0].instance
    remarks = []
    if phase.is_orientation_averaged:
        remarks.append(Repair(RepairCode.ORIENTATION_AVERAGED))
    if _contradicts_positions([_number_in_series(item) for item in ordered]):
        remarks.append(Repair(RepairCode.SORTED_BY_POSITION))
    thickness = head.slice_thickness_mm
    if thickness is not None and abs(thickness - fit.spacing_mm) > max(0.01 * fit.spacing_mm, 0.01):
        detail = f"SliceThickness {thickness:g} mm, spacing {fit.spacing_mm:.4g} mm"
        remarks.append(Repair(RepairCode.SPACING_FROM_POSITIONS, detail))
    if fit.tilt_deg:
        remarks.append(Repair(Flag.TILTED, f"{fit.tilt_deg:.2f} degrees, from positions"))
    if any(classify.is_derived(item.instance) for item in ordered):
        remarks.append(Repair(Flag.DERIVED))
    if any(item.instance.photometric_interpretation == "MONOCHROME1" for item in ordered):
        remarks.append(Repair(Flag.MONOCHROME1))
    has_lossy_flag = any(repair.code == Flag.LOSSY for item in ordered for repair in item.instance.repairs)
    if not has_lossy_flag and any(item.instance.transfer_syntax_uid in LOSSY for item in ordered):
        remarks.append(Repair(Flag.LOSSY, "transfer syntax"))
    why_suspect = classify.why_date_suspect(head)
    if why_suspect:
        remarks.append(Repair(Flag.DATE_SUSPECT, why_suspect))
    announced = head.images_in_acquisition
    if announced and len({item.instance.acquisition_number for item in ordered}) == 1 and announced > len(ordered):
        remarks.append(Repair(Flag.POSSIBLY_CROPPED, f"{len(ordered)} slices, ImagesInAcquisition {announced}"))
    return remarks


def _number_in_series(item: SliceHeader) -> int | None:
    if item.instance.frames:
        return item.instance.frames[item.frame].in_stack_position
    return item.instance.instance_number


def _contradicts_positions(numbers: Sequence[int | None]) -> bool:
    """Whether the numbers would have put the slices in another order, up to direction."""
    if any(number is None for number in numbers):
        return False
    steps = np.diff(np.array(numbers, dtype=float))
    return not (np.all(steps > 0) or np.all(steps < 0))


# ------------------------------------------------------------------------------------------------------ numbers


def _name_drift(drops: list[_Drop]) -> list[_Drop]:
    """Rename TOO_FEW_SLICES to GEOM_ORIENTATION where a stack fell apart because its directions wander (fault D15)."""
    few = [drop for drop in drops if drop.reason == DropReason.TOO_FEW_SLICES and drop.slices]
    if sum(len(drop.slices) for drop in few) < MIN_SLICES:
        return drops
    directions = np.stack([drop.slices[0].orientation_lps for drop in few])
    wander = np.abs(directions - directions.mean(axis=0)).max()
    if not split.ORIENTATION_DRIFT < wander < 0.05:
        return drops
    slices = tuple(item for drop in few for item in drop.slices)
    detail = f"directions of {len(slices)} slices differ by up to {wander:.2g}"
    return [drop for drop in drops if drop not in few] + [_Drop(DropReason.GEOM_ORIENTATION, detail, slices=slices)]


def _number(stacks: list[Stack], drops: list[_Drop]) -> SeriesOutcome:
    """Give stacks, then drops, their numbers: by acquisition, place and size, not by file order."""
    ordered = sorted(stacks, key=_stack_order)
    numbered = tuple(replace(stack, index=index) for index, stack in enumerate(ordered))
    dropped = []
    for index, drop in enumerate(sorted(drops, key=_drop_order), start=len(numbered)):
        items = drop.all_instances()
        dropped.append(
            StackDrop(
                series_instance_uid=items[0].series_instance_uid,
                index=index,
                n_instances=len(items),
                modality=items[0].modality,
                geometry=_describe_instances(items),
                reason=drop.reason,
                detail=drop.detail,
                instances=items,
            )
        )
    return SeriesOutcome(numbered, tuple(dropped))


def _stack_order(stack: Stack) -> tuple[object, ...]:
    head = stack.head
    frame = head.frames[stack.slices[0][1]] if head.frames else None
    return (
        head.acquisition_number if head.acquisition_number is not None else -1,
        (frame.acquisition_time if frame else None) or head.acquisition_time or "",
        tuple(np.round(stack.orientation_lps, 3)),
        tuple(np.round(stack.positions_lps[0], 2)),
        head.sop_instance_uid,
        head.file,
        stack.slices[0][1],
    )


def _drop_order(drop: _Drop) -> tuple[str, str, str]:
    first = drop.all_instances()[0]
    return (str(drop.reason), drop.detail, first.sop_instance_uid + first.file.name)


def _describe_instances(items: Sequence[Instance]) -> str:
    n = sum(max(item.number_of_frames, 1) for item in items)
    head = items[0]
    return f"{head.columns or '?'}x{head.rows or '?'}x{n}"
