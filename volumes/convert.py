"""One stack to one volume.

Enters: a stack and the wanted grid. Leaves: a `Volume` that identifies nobody, or the reason why there is none.
Refuses: to return a volume with fewer slices than the stack, or with values that are no HU.
"""

from __future__ import annotations

import numpy as np

from t3dkit.verdict import Dropped, Kept, Repair
from volumes import geometry, scratch
from volumes.errors import VolumeError
from volumes.intensity import Intensities, read_intensities, settled
from volumes.nifti import MAX_NIFTI1_DIM
from volumes.reasons import Flag, RepairCode
from volumes.records import Grid, SliceMap, Stack, Volume
from volumes.resample import Resampled, is_straight, native, resample

STAGE_VERSION = 4
"""Raised by one whenever the same stack and grid would give other bytes."""

VENDORS = {
    "GE": ("GE ",),
    "Siemens": ("SIEMENS",),
    "Philips": ("PHILIPS", "MARCONI", "PICKER"),
    "Canon": ("TOSHIBA", "CANON"),
    "Hitachi": ("HITACHI", "FUJIFILM"),
    "United Imaging": ("UIH", "UNITED IMAGING"),
    "Neusoft": ("NEUSOFT",),
}
"""First letters of Manufacturer, in capitals; the element itself is free text, so only our names leave the room."""


def convert_stack(stack: Stack, grid: Grid, *, threads: int = 1) -> Kept[Volume] | Dropped:
    """Read, turn to HU and resample a stack; the one place where a `VolumeError` becomes a `Dropped`.

    Parameters
    ----------
    stack : Stack
    grid : Grid
        ``spacing_mm=None`` keeps the stack's own voxels.
    threads : int
        For decompression and resampling.
    """
    try:
        volume = _convert(stack, grid, threads)
    except VolumeError as error:
        return error.dropped()
    return Kept(volume, volume.repairs)


def _convert(stack: Stack, grid: Grid, threads: int) -> Volume:
    source = geometry.source_grid(stack)
    values = read_intensities(stack, source, grid.hu_range, threads=threads)
    resampled, remarks = _to_grid(values, source, stack, grid, threads)
    if max(resampled.data.shape) > MAX_NIFTI1_DIM:
        remarks = (*remarks, Repair(RepairCode.NIFTI2, "x".join(map(str, resampled.data.shape))))
    outside = resampled.outside_fraction
    if not np.may_share_memory(resampled.data, values.data):
        scratch.give_back(values.data)
    return Volume(
        data=resampled.data,
        affine_ras=resampled.affine_ras,
        modality=stack.head.modality or "",
        slice_map=slice_map(stack),
        n_slices_source=len(stack.slices),
        spacing_source_mm=(stack.pixel_spacing_mm[1], stack.pixel_spacing_mm[0], stack.spacing_mm),
        padding_fraction=outside + (1 - outside) * values.padding_fraction,
        hu_percentiles=values.percentiles,
        kernel=stack.head.convolution_kernel,
        vendor=vendor(stack.head.manufacturer),
        repairs=tuple(dict.fromkeys((*remarks, *values.repairs))),
    )


def _to_grid(
    values: Intensities, source: geometry.SourceGrid, stack: Stack, grid: Grid, threads: int
) -> tuple[Resampled, tuple[Repair, ...]]:
    """The values on the wanted grid, and the stack's remarks as they hold afterwards."""
    is_uneven = any(repair.code == RepairCode.IRREGULAR_RESAMPLED for repair in stack.repairs)
    spacing = grid.spacing_mm
    if spacing is None and not is_uneven:
        return native(settled(values, grid.hu_range).data, source), stack.repairs
    if spacing is None:  # unequal steps have no native grid: the finest of them, straight
        own = (float(np.diff(source.nodes_mm).min()), source.spacing_mm[1], source.spacing_mm[2])
        by_axis = dict(zip(source.axes, own, strict=True))
        spacing = (by_axis[0], by_axis[1], by_axis[2])
    limits = grid.hu_range if stack.head.modality == "CT" else (-32768, 32767)
    if not is_straight(source):
        values = settled(values, grid.hu_range)
    shift = values.shift or 0
    resampled = resample(values.data, source, spacing, fill=values.fill, limits=limits, shift=shift, threads=threads)
    remarks = tuple(
        Repair(RepairCode.TILT_RESAMPLED, repair.detail) if repair.code == Flag.TILTED else repair
        for repair in stack.repairs
    )
    return resampled, remarks


def slice_map(stack: Stack) -> SliceMap:
    """Series and instance numbers of the slices and their places along the normal.

    A slice without a number has 0, which no report points at. Frames of a multi-frame image count from 1 (the viewer's
    numbering).
    """
    direction = geometry.normal(stack.orientation_lps)
    numbers = [frame + 1 if item.frames else item.instance_number or 0 for item, frame in stack.slices]
    return SliceMap(
        series_number=stack.head.series_number,
        instance_number=tuple(numbers),
        position_mm=tuple(float(value) for value in stack.positions_lps @ direction),
        normal_lps=(float(direction[0]), float(direction[1]), float(direction[2])),
    )


def vendor(manufacturer: str | None) -> str | None:
    """Our name of the scanner's maker; ``other`` for one we do not know, None when the header is silent."""
    if not manufacturer or not manufacturer.strip():
        return None
    text = manufacturer.strip().upper() + " "
    return next((name for name, starts in VENDORS.items() if text.startswith(starts)), "other")
