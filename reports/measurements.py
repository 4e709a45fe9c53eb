"""Lengths in a sentence, in millimetres.

Enters: cleaned text. Leaves: every length in reading order. Refuses: vertebral levels, fractions, image numbers, areas,
pressures and the thickness of slices.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_WORDS = dict(
    one=1.0, two=2.0, three=3.0, four=4.0, five=5.0, six=6.0, seven=7.0, eight=8.0, nine=9.0, ten=10.0, eleven=11.0,
    twelve=12.0, thirteen=13.0, fourteen=14.0, fifteen=15.0, sixteen=16.0, seventeen=17.0, eighteen=18.0, twenty=20.0,
)  # fmt: skip
_NUMBER = r"(?:\d{1,4}(?:[.,]\d{1,2})?|\.\d{1,2})"
_UNIT = r"(?:millimet(?:er|re)s?|centimet(?:er|re)s?|mms?|cms?)(?![\w²³^/]|\s?(?:2|3|squared|cubed)\b)"
_JOINT = r"\s{0,2}(?:x|X|×|by|\*|-|to|and)\s{0,2}"
_AXIS = (
    r"(?: ?\((?:AP|TR|TV|CC|SI|ML|RL|LR|[LWHDT]|transverse|craniocaudal|anteroposterior)\)| (?:AP|TR|TV|CC|SI|ML)\b)?"
)
_PART = rf"{_NUMBER}(?:[ -]?{_UNIT})?{_AXIS}(?:[ -]?{_UNIT})?"
_AXES = re.compile(_AXIS.removesuffix("?"), re.IGNORECASE)
_LENGTH = re.compile(rf"(?<![\w.,/]){_PART}(?:{_JOINT}{_PART}){{0,3}}", re.IGNORECASE)
_NUMBER_START = re.compile(r"[\d.]")
_SPELLED = re.compile(rf"\b({'|'.join(_WORDS)})[ -]({_UNIT})", re.IGNORECASE)
_VALUE = re.compile(rf"(\d{{0,4}}(?:[.,]\d{{1,2}})?)[ -]?({_UNIT})?", re.IGNORECASE)
_SLICE_AFTER = re.compile(
    r"[\s-]{0,2}(?:thick (?:contiguous|axial|slice|section|cut|image|helical|spiral|recon|multiplanar|mip)"
    r"|(?:[a-z]{1,12} )?needle\b|contiguous\s|axial\s|helical\s|spiral\s|collimat|slice|section|interval|increment"
    r"|reconstruct|images\b|cuts\b)",
    re.IGNORECASE,
)
"""What makes a length one of the scan or of an instrument; "7 mm thick" alone is the lesion's."""
_AND = re.compile(r"\band\b", re.IGNORECASE)


def find_measurements_mm(text: str) -> tuple[float, ...]:
    """Lengths of `text` in millimetres: ``3.2 x 1.4 cm`` is (32.0, 14.0), ``3-4 mm`` is (3.0, 4.0)."""
    lowered = text.lower()
    if not any(unit in lowered for unit in ("mm", "cm", "imet")):
        return ()
    found = [
        (m.start(), _lengths_mm(m.group())) for m in _length_matches(text) if not _SLICE_AFTER.match(text, m.end())
    ]
    found += [(m.start(), (_to_mm(_WORDS[m.group(1).lower()], m.group(2)),)) for m in _SPELLED.finditer(text)]
    return tuple(value for _, values in sorted(found) for value in values)


def _length_matches(text: str) -> Iterator[re.Match[str]]:
    """What ``_LENGTH.finditer`` gives, tried only where a number may begin."""
    at = 0
    while start := _NUMBER_START.search(text, at):
        match = _LENGTH.match(text, start.start())
        at = match.end() if match else start.end()
        if match:
            yield match


def _lengths_mm(words: str) -> tuple[float, ...]:
    """The numbers of one expression; a number without unit takes that of the next one that has one."""
    if "m" not in words.lower():
        return ()
    parts = [(match.group(1), match.group(2)) for match in _VALUE.finditer(_AXES.sub("", words)) if match.group(1)]
    lengths: list[float] = []
    unit: str | None = None
    for number, own in reversed(parts):
        if own is None and unit is None:
            continue  # "2 cm and 3": the last number is no length
        if own is None and _AND.search(words):
            continue  # "series 2 and 5 mm": "and" shares no unit
        unit = own or unit
        assert unit is not None
        value = float(number.replace(",", "."))
        if value > 0:
            lengths.append(_to_mm(value, unit))
    return tuple(reversed(lengths))


def _to_mm(value: float, unit: str) -> float:
    return round(value * (10.0 if unit.lower().startswith("c") else 1.0), 3)
