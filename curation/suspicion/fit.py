"""Does this report describe this volume? The rules over one pair, and one number that sums them up.

Enters: what a report claims, what a volume shows. Leaves: findings with code and detail, and a fit: above zero the
two agree, below zero they contradict. Refuses: to count silence as evidence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from curation.reasons import PairFlag
from curation.suspicion.facts import TextFacts, VolumeFacts, part_of

MIN_MISSING_REGIONS = 2
LUNGS = ("lung_left", "lung_right")
WHOLE_ORGANS = {
    "chest": ((LUNGS, "top"), (LUNGS, "bottom")),
    "abdomen": ((("liver",), "top"), (("kidney_left", "kidney_right"), "bottom")),
}
"""Body part -> organs that its examination shows to their end; of two sides one may be misjudged, both are not. Of one
that is cut so far that it is not found, the other side tells."""
DOME_MM, WHOLE_LUNG_MM = 30.0, 80.0
"""The domes of the diaphragm stand higher above the lungs' lowest recess than the first: where less of the lungs is
seen below the scan's end, the top of the liver is missing too. A lung that ends within the scan is whole, and higher
than the second: a lower one is gas that was taken for lung."""
POINTER_SLACK_MM = 60.0
"""A finding is pointed at on one slice, its organ's box is a landmark estimate."""
REGION_FACTOR = 2.0
"""A measurement may exceed its organ's box diagonal this much: masses grow, boxes are estimates."""
MIN_OVERSIZE_MM = 60.0
AIR_LOW_HU, BONE_HIGH_HU = -600.0, 2000.0
TELLING_PARTS = frozenset({"head", "chest", "abdomen", "pelvis"})
"""Parts whose absence from the text or the scan means another examination; the neck is often passed over."""


@dataclass(frozen=True)
class Finding:
    """One rule that spoke: its code, and what it saw, in words that identify nobody."""

    code: str
    detail: str = ""


def pair_findings(text: TextFacts, volume: VolumeFacts) -> list[Finding]:
    """Every contradiction between a report and a volume."""
    return [
        Finding(str(code), detail)
        for rule in (_coverage, _gap, _cut, _unread, _exam, _contrast, _sex, _sides, _sizes, _pointers, _fingerprint)
        for code, detail in rule(text, volume)
    ]


def fit(text: TextFacts, volume: VolumeFacts) -> float:
    """How well a report fits a volume: a sum of agreements less contradictions, about -12 to 8."""
    score = _coverage_fit(text, volume)
    if text.contrast and volume.contrast:
        score += 1.0 if text.contrast == volume.contrast else -3.0
    elif text.contrast == "with":
        score -= 0.7
    elif text.contrast == "without":
        score += 0.5  # a scan without contrast has no agent to name
    if text.sex and volume.sex in ("M", "F"):
        score += 0.7 if text.sex == volume.sex else -4.0
    return score + _pointer_fit(text, volume)


def _coverage_fit(text: TextFacts, volume: VolumeFacts) -> float:
    if not volume.parts:
        return 0.0
    claimed = claimed_parts(text)
    score = sum(0.5 if part in volume.parts else -2.0 for part in claimed)
    if claimed:
        score -= 1.0 * len((volume.parts & TELLING_PARTS) - claimed)
    return score - 0.4 * min(5, len(missing_regions(text, volume)))


def _pointer_fit(text: TextFacts, volume: VolumeFacts) -> float:
    score = 0.0
    for pointer in text.pointers[:8]:
        if pointer.series is not None and pointer.series != volume.series_number:
            score -= 0.3
            continue
        if not len(volume.numbers):
            continue
        distance = pointer_distance_mm(pointer.image, pointer.regions, volume)
        if volume.position_of(pointer.image) is None:
            score -= 1.5
        elif distance is not None:
            score += 0.8 if distance <= 0 else -min(1.5, distance / 60)
    return max(score, -6.0)


def claimed_parts(text: TextFacts) -> frozenset[str]:
    """Body parts that the report is about: those of its title, else those named at least three times."""
    often = frozenset(part for part, n in text.parts.items() if n >= 3)
    return text.title_parts or often


def missing_regions(text: TextFacts, volume: VolumeFacts) -> list[str]:
    """Regions that the text describes and that the localizer, which located others, did not find in the scan."""
    if not volume.spans_mm:
        return []
    return sorted(
        region
        for region in text.named
        if region in locatable() and region not in volume.spans_mm and not _has_relative(region, volume)
    )


def pointer_distance_mm(image: int, regions: tuple[str, ...], volume: VolumeFacts) -> float | None:
    """How far the image lies outside the nearest named region, mm, 0 inside; None where either is unknown."""
    place = volume.position_of(image)
    spans = [volume.spans_mm[region] for region in regions if region in volume.spans_mm]
    if place is None or not spans:
        return None
    return min(max(low - place, place - high, 0.0) for low, high in spans)


def _coverage(text: TextFacts, volume: VolumeFacts) -> Iterator[tuple[PairFlag, str]]:
    inside = sum(n for part, n in text.parts.items() if part in volume.parts)
    outside = sum(n for part, n in text.parts.items() if part not in volume.parts)
    if volume.parts and outside > inside:
        yield PairFlag.COVERAGE_MISMATCH, f"{outside} of {inside + outside} mentions lie outside {_list(volume.parts)}"


def _gap(text: TextFacts, volume: VolumeFacts) -> Iterator[tuple[PairFlag, str]]:
    missing = missing_regions(text, volume)
    beyond = [region for region in missing if part_of(region) in TELLING_PARTS - volume.parts]
    if len(missing) >= MIN_MISSING_REGIONS or (beyond and volume.parts):
        yield PairFlag.COVERAGE_GAP, f"described but not in the scan: {', '.join(missing[:8])}"


def _cut(text: TextFacts, volume: VolumeFacts) -> Iterator[tuple[PairFlag, str]]:
    """Organs of a body part that the report is about, of which the scan's end cuts off what should be there."""
    claimed = claimed_parts(text)
    cut = [
        f"{' and '.join(organs)} at the {end}"
        for part, ends in WHOLE_ORGANS.items()
        if part in claimed
        for organs, end in ends
        if (seen := [organ for organ in organs if organ in volume.spans_mm])
        and all(volume.touches(organ, end) for organ in seen)
    ]
    if "abdomen" in claimed and _lacks_domes(volume):
        cut.append("the upper abdomen")
    if cut:
        yield PairFlag.ORGAN_CUT, f"the scan ends within {', '.join(cut)}"


def _lacks_domes(volume: VolumeFacts) -> bool:
    """Whether so little is seen of the lungs that the domes of the diaphragm lie beyond the scan."""
    seen = [lung for lung in LUNGS if lung in volume.tops_mm]
    if not seen:
        return False
    low, high = zip(*(volume.tops_mm[lung] for lung in seen), strict=True)
    is_cut = volume.is_tilted or any(volume.touches(lung, "top") for lung in seen)
    limit = DOME_MM if is_cut else WHOLE_LUNG_MM
    return max(high) - min(low) < limit


def _unread(text: TextFacts, volume: VolumeFacts) -> Iterator[tuple[PairFlag, str]]:
    silent = {
        part for part in volume.parts & TELLING_PARTS if part not in text.title_parts and not text.parts.get(part)
    }
    telling = silent & {"head", "chest"} if "abdomen" not in silent else silent - {"abdomen"}
    if text.parts and telling:
        yield PairFlag.PART_UNREAD, f"the scan shows {_list(frozenset(telling))}, the report says nothing of it"


def _exam(text: TextFacts, volume: VolumeFacts) -> Iterator[tuple[PairFlag, str]]:
    absent = [(exam & TELLING_PARTS) - volume.parts for exam in text.exams]
    if volume.parts and absent and all(absent):  # of several examinations in one report one must fit
        yield PairFlag.EXAM_MISMATCH, f"the title names {_list(absent[0])}; the scan shows {_list(volume.parts)}"


def _contrast(text: TextFacts, volume: VolumeFacts) -> Iterator[tuple[PairFlag, str]]:
    if text.contrast and volume.contrast and text.contrast != volume.contrast:
        yield PairFlag.CONTRAST_MISMATCH, f"the text says {text.contrast} contrast, the header {volume.contrast}"


def _sex(text: TextFacts, volume: VolumeFacts) -> Iterator[tuple[PairFlag, str]]:
    if text.sex and volume.sex in ("M", "F") and text.sex != volume.sex:
        yield PairFlag.SEX_MISMATCH, f"the text speaks of sex {text.sex}, the header says {volume.sex}"


def _sides(text: TextFacts, volume: VolumeFacts) -> Iterator[tuple[PairFlag, str]]:
    found, concluded = text.sides.get("findings", {}), text.sides.get("impression", {})
    for organ in sorted(found.keys() & concluded.keys()):
        if not found[organ] & concluded[organ]:
            sides = f"{_list(found[organ])} in the findings, {_list(concluded[organ])} in the impression"
            yield PairFlag.LATERALITY_CONFLICT, f"{organ}: {sides}"
    if text.no_lobe and not text.is_mirrored:
        yield PairFlag.LATERALITY_CONFLICT, f"there is no {text.no_lobe}"
    for region in sorted(text.gone & volume.masked):
        yield PairFlag.LATERALITY_CONFLICT, f"{region} is absent by the text, but its mask is there"


def _sizes(text: TextFacts, volume: VolumeFacts) -> Iterator[tuple[PairFlag, str]]:
    for mm, regions in text.measurements:
        limits = [volume.sizes_mm[region] * REGION_FACTOR for region in regions if region in volume.sizes_mm]
        if mm > volume.extent_mm:
            yield PairFlag.MEASUREMENT_TOO_LARGE, f"{mm:g} mm in a volume of {volume.extent_mm:.0f} mm"
            return
        if limits and mm > max([*limits, MIN_OVERSIZE_MM]):
            yield PairFlag.MEASUREMENT_TOO_LARGE, f"{mm:g} mm in {', '.join(regions)}"
            return


def _pointers(text: TextFacts, volume: VolumeFacts) -> Iterator[tuple[PairFlag, str]]:
    here = [p for p in text.pointers if p.series is None or p.series == volume.series_number]
    if not len(volume.numbers) or not here:
        return
    absent = [p.image for p in here if volume.position_of(p.image) is None]
    if absent:
        yield PairFlag.POINTER_MISSING, f"image {absent[0]} is not among the {len(volume.numbers)} of the series"
    far = [d for p in here if (d := pointer_distance_mm(p.image, p.regions, volume)) and d > POINTER_SLACK_MM]
    if far:
        yield PairFlag.POINTER_ELSEWHERE, f"{len(far)} of {len(here)} images lie up to {max(far):.0f} mm off"


def _fingerprint(_text: TextFacts, volume: VolumeFacts) -> Iterator[tuple[PairFlag, str]]:
    """Percentiles 0.5 and 99.5: a scan holds air, and bone that is no metal."""
    if len(volume.hu_percentiles) == 7:
        low, high = volume.hu_percentiles[0], volume.hu_percentiles[-1]
        if low > AIR_LOW_HU or high > BONE_HIGH_HU or high < 0:
            yield PairFlag.HU_OUTLIER, f"99 % of the voxels lie between {low:.0f} and {high:.0f} HU"


def _has_relative(region: str, volume: VolumeFacts) -> bool:
    """Whether a region inside or around it was located, other than a whole body part: "lungs" for a lobe."""
    from reports.regions import region_tree

    tree = region_tree()
    return any(
        found not in ("body", "chest", "abdomen", "pelvis", "head", "neck", "spine", "bones", "lungs", "vessels")
        and (tree.is_within(found, region) or tree.is_within(region, found))
        for found in volume.spans_mm
        if found in tree
    )


@cache
def locatable() -> frozenset[str]:
    """Regions that lie in one body part and that the landmark localizer places."""
    from curation.align.atlas import read_atlas

    atlas = read_atlas()
    return frozenset(region for region in (*atlas.boxes, *atlas.parts) if part_of(region))


def _list(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
