"""The functional groups of a multi-frame image to one `Frame` per frame.

Enters: the data set's values. Leaves: frames, shared groups and top-level values filled in. Refuses: a number of frames
that contradicts the groups, or that no scanner makes.

References
----------
DICOM PS3.3 C.7.6.16 (multi-frame functional groups), C.8.15.3 (Enhanced CT), C.8.13.5 (Enhanced MR).
"""

from __future__ import annotations

from volumes.errors import HeaderError
from volumes.reasons import DropReason
from volumes.records import Frame
from volumes.values import Values

MAX_FRAMES = 100_000
"""More than any whole-body perfusion study; keeps a lying NumberOfFrames from filling the memory."""

SHARED, PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"


def read_frames(values: Values, number_of_frames: int) -> tuple[Frame, ...]:
    """One `Frame` per frame; empty for a single-frame image without functional groups.

    Raises
    ------
    HeaderError
        ENHANCED_BAD, or BAD_NUMBER and BAD_VM in a value of the geometry or rescale.
    """
    if not 1 <= number_of_frames <= MAX_FRAMES:
        raise HeaderError(DropReason.ENHANCED_BAD, f"NumberOfFrames {number_of_frames}")
    shared, own = values.item(SHARED), values.items(PER_FRAME)
    if shared is None and not own:
        return (_frame(values, None, None),) * number_of_frames if number_of_frames > 1 else ()
    if own and len(own) != number_of_frames:
        raise HeaderError(
            DropReason.ENHANCED_BAD, f"{len(own)} items of {PER_FRAME} for NumberOfFrames {number_of_frames}"
        )
    if not own:
        return (_frame(values, shared, None),) * number_of_frames
    return tuple(_frame(values, shared, item) for item in own)


def shared_item(values: Values, sequence: str) -> Values | None:
    """The item of a functional group's `sequence` that holds for all frames, else that of the first frame."""
    for group in (values.item(SHARED), values.item(PER_FRAME)):
        item = group.item(sequence) if group else None
        if item is not None:
            return item
    return None


def _frame(values: Values, shared: Values | None, own: Values | None) -> Frame:
    def group(sequence: str) -> Values:
        for holder in (own, shared):
            item = holder.item(sequence) if holder else None
            if item is not None:
                return item
        return values  # legacy objects keep geometry at the top level

    measures = group("PixelMeasuresSequence")
    transformation = group("PixelValueTransformationSequence")
    content = group("FrameContentSequence")
    kind = group("CTImageFrameTypeSequence")
    if kind is values:
        kind = group("MRImageFrameTypeSequence")
    return Frame(
        image_position_lps=triple(group("PlanePositionSequence"), "ImagePositionPatient"),
        image_orientation_lps=group("PlaneOrientationSequence").numbers("ImageOrientationPatient", count=6),
        pixel_spacing_mm=pair(measures, "PixelSpacing"),
        slice_thickness_mm=measures.number("SliceThickness"),
        rescale_slope=transformation.number("RescaleSlope", needed=True),
        rescale_intercept=transformation.number("RescaleIntercept", needed=True),
        acquisition_time=content.text("FrameAcquisitionDateTime"),
        temporal_position=content.integer("TemporalPositionIndex"),
        image_type=kind.texts("FrameType" if kind is not values else "ImageType"),
        stack_id=content.text("StackID"),
        in_stack_position=content.integer("InStackPositionNumber"),
    )


def pair(values: Values, keyword: str) -> tuple[float, float] | None:
    """Two finite numbers; raises HeaderError (BAD_NUMBER, BAD_VM)."""
    numbers = values.numbers(keyword, count=2)
    return None if numbers is None else (numbers[0], numbers[1])


def triple(values: Values, keyword: str) -> tuple[float, float, float] | None:
    """Three finite numbers; raises HeaderError (BAD_NUMBER, BAD_VM)."""
    numbers = values.numbers(keyword, count=3)
    return None if numbers is None else (numbers[0], numbers[1], numbers[2])
