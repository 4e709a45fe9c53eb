"""What a stage answers: keep a value, or drop it with a reason from a closed list.

Enters: nothing. Leaves: the records `Kept`, `Dropped`, `Repair`, and `Code`, the base of every enumeration of
reasons and repairs. Refuses: a free-text reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Self, TypeVar

T_co = TypeVar("T_co", covariant=True)


class Code(StrEnum):
    """A code with one line that explains it: ``NAME = "NAME", "what it means"``."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> Self:
        """Make a member whose value is the code and whose `meaning` is the line that explains it."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


@dataclass(frozen=True)
class Repair:
    """One thing that was put right, or one thing worth a flag, and on what evidence.

    Parameters
    ----------
    code : Code
        From a closed enumeration.
    detail : str
        Field, old value, new value, in words; never anything identifying.
    """

    code: Code
    detail: str = ""


@dataclass(frozen=True)
class Kept(Generic[T_co]):
    """The stage's value, with the repairs that were needed to get it."""

    value: T_co
    repairs: tuple[Repair, ...] = ()


@dataclass(frozen=True)
class Dropped:
    """Why an item goes no further.

    Parameters
    ----------
    reason : Code
        From a closed enumeration.
    detail : str
        Numbers and field names that make the reason concrete; never anything identifying.
    """

    reason: Code
    detail: str = ""


class VerdictError(Exception):
    """Base of errors that cost one item its place: caught in one function, which answers with `dropped`."""

    def __init__(self, reason: Code, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail

    def dropped(self) -> Dropped:
        """The verdict this error stands for."""
        return Dropped(self.reason, self.detail)

    def __reduce__(self) -> tuple[type, tuple[Code, str]]:
        return type(self), (self.reason, self.detail)  # so that it survives a trip between processes
