"""Pointers to a picture: "series 3, image 45".

Enters: cleaned text. Leaves: the first pointer. Refuses: to guess which number is which.
"""

from __future__ import annotations

import re

from reports.records import ImagePointer

_SERIES = r"\b(?:series?|ser|se)\.?[ :#-]{0,3}(?:number |no\.? ?|# ?)?(\d{1,5})"
_IMAGE = r"\b(?:images?(?:\(s\))?|imagen|imgs?|ima?|slices?|corte)\.?[ :#-]{0,3}(?:numbers? |no\.? ?|# ?)?(\d{1,5})"
_MORE = r"(?:(?: ?- ?|, ?| and | to | through )\d{1,5}){0,3}"
_GAP = r"[ ,;:/()-]{0,4}(?:and |on |of |at |in |axial |coronal |sagittal |y |en |de la |de ){0,2}"
_SERIES_IMAGE = re.compile(rf"{_SERIES}{_GAP}{_IMAGE}", re.IGNORECASE)
_IMAGE_SERIES = re.compile(rf"{_IMAGE}{_MORE}{_GAP}{_SERIES}", re.IGNORECASE)
_BOTH_WORDS = re.compile(
    r"\bse(?:r(?:ies)?)?\.? ?/ ?im(?:g|ages?)?\.?[ :#]{0,3}(\d{1,5}) ?[/:-] ?(\d{1,5})\b", re.IGNORECASE
)
_SERIES_SLASH = re.compile(r"\b(?:series|ser|se)\.? ?[:#]? ?(\d{1,5}) ?[/:] ?(\d{1,5})\b", re.IGNORECASE)
_IMAGE_SLASH = re.compile(r"\b(?:images?|img|im|slices?)\.?[ :-]{0,2}(#)? ?(\d{1,5}) ?[/:] ?(\d{1,5})\b", re.IGNORECASE)
_SHORT = re.compile(r"\(\s?s ?(\d{1,5})[ ,;:/]{0,3}i ?(\d{1,5})\s?\)", re.IGNORECASE)
_BEHIND_LENGTH = re.compile(
    r"\d ?[cm]m(?: [a-z]{1,20}){0,4},? [(\[](?:axial |coronal |sagittal )?(\d{1,3})(?:[/:]|, ?)(\d{1,4})[)\]]",
    re.IGNORECASE,
)
_BEHIND_LESION = re.compile(
    r"\b(?:nodul|mass|lesion|cyst|stone|calcul|node|opacit|foc[iu]|collection|aneurysm|fracture|abscess|polyp|thromb|defect"
    r"|hypodens|densit|metastas|granuloma|adenoma|hemangioma|infarct|hematoma|consolidation|tumou?r|lymph)[a-z]{0,8}"
    r"(?:,? (?!positive|negative|involved|score|grade|ratio)[a-z]{1,20}){0,8},? "
    r"[(\[](\d|1\d|20)(?:[/:]|, )([2-9]\d|\d{3,4})[)\]]",
    re.IGNORECASE,
)
"""In brackets straight behind what is to be seen there; a score or a ratio stands behind other words."""
_NUMBERED = re.compile(r"\(# ?(\d{1,4})[-/:] ?(\d{1,4})\)")
_PLANE = re.compile(r"\b(?:axial|coronal|sagittal|supine|prone|decubitus) (\d{1,4})[/:](\d{1,4})\b", re.IGNORECASE)
_PLANE_IMAGE = re.compile(
    r"\((?:axial|coronal|sagittal|supine|prone|decubitus) (\d{2,4})\b(?![.,/:-]?\d| ?[cm]m)", re.IGNORECASE
)
_BARE = re.compile(r"\(([2-9]\d\d|1\d\d\d)/(\d{1,4})\)")
"""Philips numbers series 201, 301, ...; no pressure or score is written with such a number first."""
_IMAGE_OF = re.compile(rf"{_IMAGE} of \d{{1,5}}\b", re.IGNORECASE)
_IMAGE_ONLY = re.compile(_IMAGE, re.IGNORECASE)
_SERIES_NUMBER = re.compile(_SERIES, re.IGNORECASE)
_DIGIT = re.compile(r"\d")
_SERIES_ONLY = re.compile(rf"{_SERIES}\b(?! (?:year|month|week|day|of))", re.IGNORECASE)

SERIES_NUMBERS_AT_MOST = 20
"""In "image 3/45" the 3 may be a series or, rarely, the 45 a total. Scanners number series from 1 up, or in hundreds
(Philips: 201, 301); between this and 100 the first number is read as an image of a total."""


def find_pointer(text: str) -> ImagePointer | None:
    """The first pointer in a sentence, or None.

    English and Spanish words are read. ``image 3/45`` is series 3, image 45; ``image #33/68``, with the sign, is image
    33 of 68. Bare numbers, ``(3/45)``, are a pointer only straight behind a length, a lesion or the name of a plane, or
    with a series from 200 up.
    """
    if not _DIGIT.search(text):
        return None
    has_series, has_image = _SERIES_NUMBER.search(text) is not None, _IMAGE_ONLY.search(text) is not None
    has_slash, has_bracket = "/" in text or ":" in text, "(" in text or "[" in text
    for is_possible, pattern, series_group, image_group in (  # a pattern is slow where its marks are not there
        (has_slash, _BOTH_WORDS, 1, 2),
        (has_series and has_image, _SERIES_IMAGE, 1, 2),
        (has_series and has_image, _IMAGE_SERIES, 2, 1),
        (has_series and has_slash, _SERIES_SLASH, 1, 2),
        (has_bracket, _SHORT, 1, 2),
        (has_bracket, _BEHIND_LENGTH, 1, 2),
        (has_bracket, _BEHIND_LESION, 1, 2),
        (has_bracket, _NUMBERED, 1, 2),
        (has_slash, _PLANE, 1, 2),
        (has_bracket, _BARE, 1, 2),
    ):
        match = pattern.search(text) if is_possible else None
        if match:
            return ImagePointer(int(match.group(series_group)), int(match.group(image_group)))
    match = _IMAGE_SLASH.search(text) if has_image else None
    if match:
        return _of_slash(match)
    match = (_IMAGE_OF.search(text) or _IMAGE_ONLY.search(text)) if has_image else None
    match = match or (_PLANE_IMAGE.search(text) if has_bracket else None)
    if match:
        return ImagePointer(None, int(match.group(1)))
    match = _SERIES_ONLY.search(text) if has_series else None
    return ImagePointer(int(match.group(1)), None) if match else None


def _of_slash(match: re.Match[str]) -> ImagePointer:
    first, second = int(match.group(2)), int(match.group(3))
    is_total = match.group(1) is not None or (SERIES_NUMBERS_AT_MOST < first < 100 and first <= second)
    return ImagePointer(None, first) if is_total else ImagePointer(first, second)
