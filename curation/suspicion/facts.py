"""What a report claims and what a volume shows, in the few numbers that the rules compare.

Enters: rows of reports, sentences, volumes, regions. Leaves: `TextFacts`, `VolumeFacts`. Refuses: to judge.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from curation.contract import BOX_SOURCES, affine_of
from reports.regions import region_tree

Row = dict[str, Any]

PARTS = ("head", "neck", "chest", "abdomen", "pelvis")
TOUCH_MM = 3.0
"""An organ that ends by itself leaves at least a step of the localizer's grid (4 mm) to the edge of the scan;
one that is cut may leave half a step, where the scan is no multiple of it."""
NARRATIVE = ("findings", "impression", "other", "addendum")
"""Sections that describe the images; "other" holds the findings of reports without that heading."""
MALE = frozenset({"prostate", "seminal_vesicles", "testes"})
FEMALE = frozenset({"uterus", "ovaries", "ovary_left", "ovary_right", "adnexa"})

_TITLE_WORDS = {
    "head": "head", "brain": "head", "cranium": "head", "neck": "neck", "chest": "chest", "thorax": "chest",
    "thoracic": "chest", "lung": "chest", "lungs": "chest", "abdomen": "abdomen", "abdominal": "abdomen",
    "pelvis": "pelvis", "pelvic": "pelvis",
}  # fmt: skip
_PART = f"(?:{'|'.join(_TITLE_WORDS)})"
_TITLE = re.compile(
    r"\bC\.?T\.?A?\b(?: angiogra(?:m|phy))?(?: scan)?(?: of)?(?: the)? "
    rf"({_PART}(?:[ ,]{{0,3}}(?:and |& |/|\+)?(?:the )?{_PART}){{0,4}})\b",
    re.IGNORECASE,
)
_WITHOUT = re.compile(
    r"\b(?:without|no|non)[ -]{1,2}(?:the (?:use|administration) of )?(?:i\.?v\.? |intravenous |iodinated )?contrast\b"
    r"|\b(?:un|non-?)enhanced (?:CT|scan|study|images?)\b",
    re.IGNORECASE,
)
_WITH = re.compile(
    r"\bwith(?: and|/| or)? without\b"
    r"|\b(?:with|after|following)(?: the administration of)? (?:i\.?v\.? |intravenous |iodinated )?contrast\b"
    r"|\b(?:arterial|portal(?: venous)?|nephrographic) phase\b|\bcontrast[- ]enhanced\b",
    re.IGNORECASE,
)
_SEXES = (
    ("M", re.compile(r"\b\d{1,3}[ -]{0,2}(?:years?|yrs?|y)[ /.-]{0,2}(?:old|o)? {0,2}(?:man|male|gentleman)\b", re.I)),
    ("F", re.compile(r"\b\d{1,3}[ -]{0,2}(?:years?|yrs?|y)[ /.-]{0,2}(?:old|o)? {0,2}(?:woman|female|lady)\b", re.I)),
)
_GONE = re.compile(r"\b(?:absent|agenesis|(?:nephr|splen|pneumon|lob|hyster|prostat)ectomy|surgically removed)\b", re.I)
_NO_LOBE = re.compile(r"\bleft middle lobe\b|\bright lingula\b", re.I)
"""Only the right lung has a middle lobe, only the left a lingula: the side was mistaken."""
_INVERSUS = re.compile(r"\b(?:situs (?:inversus|ambiguus)|dextrocardia|heterotaxy)\b", re.I)


@dataclass(frozen=True)
class Pointer:
    """A sentence's "series 3, image 45" with the regions that the sentence names."""

    series: int | None
    image: int
    regions: tuple[str, ...]


@dataclass(frozen=True)
class TextFacts:
    """What one report claims.

    Parameters
    ----------
    named : mapping
        Region code -> number of narrative sentences that name it.
    parts : mapping
        Body part -> number of narrative mentions of anatomy in it.
    exams : tuple of frozenset of str
        Body parts of each examination that the title names.
    contrast, sex : str or None
    pointers : tuple of Pointer
    measurements : tuple of (mm, regions)
    sides : mapping
        section -> organ -> sides on which a finding is stated.
    gone : frozenset of str
        Regions that the text says are absent or were removed.
    no_lobe : str or None
        A lobe that its side does not have.
    own_words : tuple of str
        Narrative sentences with a number or a finding: what no template explains.
    """

    named: Mapping[str, int] = field(default_factory=dict)
    parts: Mapping[str, int] = field(default_factory=dict)
    exams: tuple[frozenset[str], ...] = ()
    contrast: str | None = None
    sex: str | None = None
    pointers: tuple[Pointer, ...] = ()
    measurements: tuple[tuple[float, tuple[str, ...]], ...] = ()
    sides: Mapping[str, Mapping[str, frozenset[str]]] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()
    is_mirrored: bool = False
    no_lobe: str | None = None
    own_words: tuple[str, ...] = ()

    @property
    def title_parts(self) -> frozenset[str]:
        """Every body part that the title names."""
        return frozenset().union(*self.exams)


@dataclass(frozen=True)
class VolumeFacts:
    """What one volume shows.

    Parameters
    ----------
    parts : frozenset of str
        Body parts that the scan holds; empty where nothing was recognised.
    spans_mm : mapping
        Region -> (low, high) along the stack normal of its most trusted box, mm.
    masked : frozenset of str
        Regions located by a mask.
    sizes_mm : mapping
        Region -> diagonal of its box, mm.
    extent_mm : float
        Diagonal of the volume.
    series_number : int or None
    numbers, positions_mm : (n,) arrays
        Instance numbers of the source, sorted, and where each lies along the normal.
    is_tilted : bool
        Whether the gantry was: the scan ends in a slope, and what it cuts need not touch the last slice.
    heights_mm, tops_mm
        Lowest and highest voxel edge of the volume, and of each region's box, towards the head.
    """

    parts: frozenset[str]
    spans_mm: Mapping[str, tuple[float, float]]
    masked: frozenset[str]
    sizes_mm: Mapping[str, float]
    extent_mm: float
    contrast: str | None
    sex: str | None
    series_number: int | None
    numbers: np.ndarray
    positions_mm: np.ndarray
    hu_percentiles: tuple[float, ...]
    heights_mm: tuple[float, float] = (0.0, 0.0)
    tops_mm: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    is_tilted: bool = False

    def touches(self, region: str, end: str) -> bool:
        """Whether a region's box reaches the "top" or "bottom" slice."""
        low, high = self.tops_mm[region]
        return high >= self.heights_mm[1] - TOUCH_MM if end == "top" else low <= self.heights_mm[0] + TOUCH_MM

    def position_of(self, image: int) -> float | None:
        """Where an image of the source lies along the normal, mm; None where the series has no such image."""
        place = int(np.searchsorted(self.numbers, image))
        if place < len(self.numbers) and self.numbers[place] == image:
            return float(self.positions_mm[place])
        return None


def text_facts(text: str, sentences: Sequence[Row]) -> TextFacts:
    """What a report claims: its text, its sentences in order."""
    named: dict[str, int] = {}
    parts: dict[str, int] = {}
    sides: dict[str, dict[str, set[str]]] = {}
    pointers, measurements, own, gone = [], [], [], set()
    for row in sentences:
        regions = tuple(row["regions"] or ())
        if row["section"] not in NARRATIVE:
            continue
        for region in regions:
            named[region] = named.get(region, 0) + 1
            part = part_of(region)
            if part:
                parts[part] = parts.get(part, 0) + 1
        pointer = row["image_pointer"]
        if pointer and pointer["image"] is not None:
            pointers.append(Pointer(pointer["series"], pointer["image"], regions))
        if not row["is_prior_comparison"]:
            measurements += [(float(mm), regions) for mm in row["measurements_mm"] or ()]
        is_finding = row["assertion"] == "present" and not row["is_normal"]
        if is_finding:
            _note_sides(sides.setdefault(row["section"], {}), regions)
        if _GONE.search(row["text"]) and row["assertion"] == "present":
            gone |= {region for region in regions if region.endswith(("_left", "_right"))}
        if row["measurements_mm"] or pointer or (is_finding and regions):
            own.append(row["text"])
    lacking = _NO_LOBE.search(text)
    return TextFacts(
        named, parts, exams(text), stated_contrast(text), stated_sex(text, named), tuple(pointers),
        tuple(measurements), {s: {o: frozenset(v) for o, v in found.items()} for s, found in sides.items()},
        frozenset(gone), bool(_INVERSUS.search(text)), lacking[0].casefold() if lacking else None, tuple(own),
    )  # fmt: skip


def volume_facts(volume: Row, regions: Sequence[Row]) -> VolumeFacts:
    """What a volume shows: its row, its located regions."""
    affine = affine_of(volume)
    shape, spacing = np.asarray(volume["shape_ijk"], float), np.asarray(volume["spacing_mm"], float)
    slices = volume["slice_map"] or {}
    normal = np.asarray(slices.get("normal_lps") or (0.0, 0.0, 1.0), float)
    along = np.array([-1.0, -1.0, 1.0]) * normal  # the normal in RAS: dot(LPS, normal) = dot(RAS, along)
    best: dict[str, Row] = {}
    for row in regions:
        held = best.get(row["region"])
        if row["sentence_id"] is None and (
            held is None or BOX_SOURCES.index(row["source"]) < BOX_SOURCES.index(held["source"])
        ):
            best[row["region"]] = row
    spans = _spans(list(best.values()), affine, along) if best else np.zeros((0, 2))
    numbers = np.asarray(slices.get("instance_number") or (), np.int64)
    order = np.argsort(numbers, kind="stable")
    return VolumeFacts(
        parts=frozenset(set(volume["body_regions"] or ()) & set(PARTS)),
        spans_mm=dict(zip(best, map(tuple, spans.tolist()), strict=True)),
        masked=frozenset(region for region, row in best.items() if row["source"] == "mask"),
        sizes_mm={region: math.dist((0, 0, 0), np.multiply(row["size_ijk"], spacing)) for region, row in best.items()},
        extent_mm=float(np.linalg.norm(shape * spacing)),
        contrast=volume["contrast"],
        sex=volume["patient_sex"],
        series_number=slices.get("series_number"),
        numbers=numbers[order],
        positions_mm=np.asarray(slices.get("position_mm") or (), float)[order],
        hu_percentiles=tuple(volume["hu_percentiles"] or ()),
        heights_mm=(0.0, float(shape[2] * spacing[2])),
        tops_mm={
            region: (row["start_ijk"][2] * spacing[2], (row["start_ijk"][2] + row["size_ijk"][2]) * spacing[2])
            for region, row in best.items()
        },
        is_tilted=any(repair["code"] == "TILT_RESAMPLED" for repair in volume.get("repairs") or ()),
    )


def part_of(region: str) -> str | None:
    """The body part that holds a region; None for what spans several, as vessels and bones."""
    tree = region_tree()
    if region not in tree:
        return None
    return next((code for code in (region, *tree.ancestors(region)) if code in PARTS), None)


def exams(text: str) -> tuple[frozenset[str], ...]:
    """Body parts of each examination that the opening names: "CT CHEST AND ABDOMEN", "CT head and CT neck"."""
    head = "\n".join(text.split("\n", 12)[:12])[:1500]
    named = (re.findall(r"[a-z]+", match[1].casefold()) for match in _TITLE.finditer(head))
    found = (frozenset(_TITLE_WORDS[word] for word in words if word in _TITLE_WORDS) for words in named)
    return tuple(dict.fromkeys(found))


def stated_contrast(text: str) -> str | None:
    """ "with", "without", or None where the opening does not say or says both."""
    head = text[:2500]
    is_without, is_with = bool(_WITHOUT.search(head)), bool(_WITH.search(head))
    if is_without == is_with:
        return None
    return "without" if is_without else "with"


def stated_sex(text: str, named: Mapping[str, int]) -> str | None:
    """The sex that the text gives the patient, by word or organ; None where it does not say or says both."""
    said = {sex for sex, pattern in _SEXES if pattern.search(text)}
    said |= {sex for sex, organs in (("M", MALE), ("F", FEMALE)) if organs & named.keys()}
    return said.pop() if len(said) == 1 else None


def _note_sides(found: dict[str, set[str]], regions: Sequence[str]) -> None:
    for region in regions:
        for side in ("left", "right"):
            if region.endswith(f"_{side}"):
                organ = "lung" if region.startswith("lung") else region.removesuffix(f"_{side}")
                found.setdefault(organ, set()).add(side)


def _spans(rows: Sequence[Row], affine: np.ndarray, along_ras: np.ndarray) -> np.ndarray:
    """(n, 2) lowest and highest place of each box along a direction, mm."""
    step = along_ras @ affine[:3, :3]  # mm along the direction per voxel of each axis
    starts = np.array([row["start_ijk"] for row in rows], float) - 0.5
    sizes = np.array([row["size_ijk"] for row in rows], float)
    first = starts @ step + along_ras @ affine[:3, 3]
    reach = sizes * step
    return np.stack([first + np.minimum(reach, 0).sum(axis=1), first + np.maximum(reach, 0).sum(axis=1)], axis=1)
