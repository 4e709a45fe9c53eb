"""Errors of `volumes`.

VolumeError            ends as Dropped(reason, detail), in one function
├── SourceError        a file or container cannot be read
├── HeaderError        a header lies
├── DecodeError        pixels cannot be had
├── SeriesGeometryError  slices do not make a volume
└── IntensityError     values are no HU
"""

from __future__ import annotations

from t3dkit.verdict import VerdictError


class VolumeError(VerdictError):
    """One file, series or stack is at fault; it is dropped and the run goes on."""


class SourceError(VolumeError):
    """A file or container cannot be read."""


class HeaderError(VolumeError):
    """A header is damaged or contradicts itself."""


class DecodeError(VolumeError):
    """Pixels cannot be decoded."""


class SeriesGeometryError(VolumeError):
    """The slices do not make a volume."""


class IntensityError(VolumeError):
    """The values are not, and cannot be made, Hounsfield units."""
