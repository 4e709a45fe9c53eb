"""Runs of words that may be one name: given and family names, initials, particles, suffixes.

Enters: a text cut into words, a place in it, and the sign of what stands before. Leaves: the longest `Run`. Refuses:
a word of the language, unless a title, a label or the given name before it shows that it is a name here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from reports.deid.cues import SPECIALTIES, Grade, cues, grade, is_given_name, never
from reports.deid.signs import GAP, Sign, Signs
from reports.deid.words import words

_GLUED = ("-", "'", "^", "^^", "_")
_QUOTED = re.compile(r" [\"'(]|[\"')] ")
_SHAPE = re.compile(r"[A-Z][a-z]+|[A-Z][a-z]?[A-Z]*|(?:[A-Z][a-z]+[A-Z]|[A-Z][A-Z])[a-z]{2,}|[A-Z][a-z]+[A-Z]")
_MAX_PARTS = 6


@dataclass(frozen=True)
class Run:
    """Parts of a name side by side: indices of the first and behind the last word, and the grades of its real parts."""

    first: int
    stop: int
    grades: tuple[Grade, ...]
    n_initials: int
    is_lower: bool
    is_given_first: bool


class Runs:
    """Reads the runs of one text."""

    def __init__(self, signs: Signs) -> None:
        self._signs, self._text, self._words = signs, signs.text, signs.words
        self._low, self._gap = signs.low, signs.gap

    def read(self, index: int, sign: Sign) -> Run | None:
        """The longest run of name parts that begins at `index`."""
        grades: list[Grade] = []
        n_initials, stop, place, has_comma = 0, index, index, False
        is_lower = self._words[index][2][0].islower() and self._low[index] not in cues().particles
        while place < len(self._words) and place - index < _MAX_PARTS + 4:
            if place > index:
                is_first = len(grades) == 1 and not n_initials and self._signs.starts_line(index)
                kind = self._joint(place, stop == place, has_comma, Sign.STRONG if is_first else sign)
                if not kind:
                    break
                has_comma = has_comma or kind == ","
            ahead = self._particles(place)
            if ahead > place:
                place = ahead
            word, low = self._words[place][2], self._low[place]
            if place > index and grades and low in cues().suffixes:
                place = stop = place + 1
                continue
            if grades and self._is_pair_of_initials(place):
                n_initials, stop = n_initials + 2, place + 1
                place = stop
                continue
            if len(word) == 1:
                if not (word.isupper() and self._is_initial(place, bool(grades), sign)):
                    break
                n_initials += 1
                place = stop = place + 1
                continue
            level = self._part(place, index, sign, is_lower=is_lower, follows=bool(grades) or n_initials > 0)
            if level is None:
                break
            grades.append(level)
            place = stop = place + 1
        if not grades and not (n_initials > 1 and sign >= Sign.LABEL) and not (n_initials and sign is Sign.TITLE):
            return None
        return Run(index, stop, tuple(grades), n_initials, is_lower, self._is_given_first(index, stop))

    def _is_given_first(self, first: int, stop: int) -> bool:
        """Whether the run is "given family" or "family, given" by the lists."""
        if self._low[first] in cues().given and grade(self._low[first]) is not Grade.WORD:
            return True
        return any("," in self._gap(place - 1) and self._low[place] in cues().given for place in range(first + 1, stop))

    def _joint(self, place: int, is_whole: bool, has_comma: bool, sign: Sign) -> str:
        """What joins the part at `place` to the one before: "" for nothing that may."""
        gap = self._gap(place - 1)
        previous = self._words[place - 1][2]
        if not is_whole:
            return ""
        if gap in _GLUED:
            return "" if gap == "'" and self._low[place] == "s" else "-"
        if GAP.fullmatch(gap):
            return "\n" if "\n" in gap else " "
        if gap == "." and len(previous) > 2 and is_given_name(previous.lower()):
            return "." if grade(self._low[place]) in (Grade.NAME, Grade.UNKNOWN) else ""
        if (
            gap[:1] == "."
            and (len(previous) == 1 or previous.lower() in ("st", "jr", "sr", "th"))
            and (gap == "." or GAP.fullmatch(gap[1:]))
        ):
            return "."
        if gap in (",", ", ", ",\n", ";", "; ") and not has_comma and not self._signs.is_credential(place):
            low = self._low[place]
            is_given = low in cues().given or (len(low) == 1) or low in cues().suffixes
            return "," if is_given or (sign >= Sign.STRONG and grade(low) is not Grade.WORD) else ""
        is_nickname = sign >= Sign.STRONG or is_given_name(self._low[place - 1])
        return " " if _QUOTED.fullmatch(gap) and gap.strip() in ('"', "'", "(", ")") and is_nickname else ""

    def _particles(self, place: int) -> int:
        """The place behind the particles that begin at `place`, if a name part follows them; else `place`."""
        ahead = place
        while ahead + 1 < len(self._words) and ahead - place < 3 and self._low[ahead] in cues().particles:
            gap = self._gap(ahead)
            if len(self._low[ahead]) == 1 and self._words[ahead][2].isupper() and gap != "'":
                return place  # an initial
            if not (GAP.fullmatch(gap) or gap in ("-", "'", " '", ". ", ".", "' ")):
                return place
            ahead += 1
        word = self._words[ahead][2]
        return ahead if word[0].isupper() and len(word) > 1 and grade(self._low[ahead]) is not Grade.WORD else place

    def _is_pair_of_initials(self, place: int) -> bool:
        """Whether two initials without full stops follow a part in small letters: "Smith JA"."""
        word, low = self._words[place][2], self._low[place]
        is_pair = len(word) == 2 and word.isupper() and self._gap(place - 1) == " " and low not in words().not_initials
        is_other = self._signs.is_credential(place) or low in cues().suffixes or low in cues().roles
        return is_pair and not is_other and not self._words[place - 1][2].isupper()

    def _is_initial(self, place: int, follows: bool, sign: Sign) -> bool:
        has_dot = self._text[self._words[place][1] : self._words[place][1] + 1] == "."
        if has_dot or self._words[place][2] not in "AI":
            return has_dot or follows or sign >= Sign.STRONG
        return (
            (follows or sign >= Sign.PERSON)
            and place + 1 < len(self._words)
            and self._gap(place) == " "
            and (grade(self._low[place + 1]) >= Grade.UNKNOWN or self._particles(place + 1) > place + 1)
        )

    def _part(self, place: int, first: int, sign: Sign, *, is_lower: bool, follows: bool) -> Grade | None:
        """The grade of a word as a part of this name; None when it is none."""
        word, low = self._words[place][2], self._low[place]
        level = grade(low)
        if is_lower:
            needed = Grade.UNKNOWN if sign >= Sign.PERSON else Grade.BOTH if follows else Grade.NAME
            return level if word.islower() and level >= needed else None
        gap = self._gap(place - 1) if place > first else ""
        glued = gap in ("-", "'")
        if glued and word.islower() and 1 < len(word) < 6 and word.isalpha() and follows:
            return (
                Grade.UNKNOWN
                if level is Grade.UNKNOWN or self._low[place - 1] in cues().given or len(word) < 5
                else None
            )  # Min-ji
        if not _SHAPE.fullmatch(word):
            return None
        if "\n" in gap and level is Grade.BOTH and sign < Sign.STRONG:
            return None
        if level is Grade.WORD:
            return Grade.UNKNOWN if self._word_as_name(place, first, sign, glued=glued, follows=follows) else None
        is_short = word.isupper() and len(word) < (5 if level is Grade.UNKNOWN else 4)
        if is_short and sign < Sign.STRONG and not self.is_capitals(place):
            return None  # an abbreviation
        return level

    def _word_as_name(self, place: int, first: int, sign: Sign, *, glued: bool, follows: bool) -> bool:
        """Whether an ordinary word is part of a name by where it stands."""
        word, low = self._words[place][2], self._low[place]
        is_title_case = word[1:].islower()
        if place == first and sign is Sign.TITLE:  # Ms. Do, MS. DO
            is_dotted = place > 0 and self._gap(place - 1).startswith(".")
            return is_title_case or (word.isupper() and len(word) > 1 and is_dotted and low not in never())
        if low == "sun" and follows and is_title_case and self._gap(place - 1) in (" ", ". ", "-"):
            return place + 1 == len(self._words) or not self._low[place + 1][0].isdigit()  # Wei Sun, no Sunday
        if (
            sign < Sign.STRONG
            or low in cues().nouns
            or low in cues().roles
            or low in never()
            or self._signs.is_credential(place)
        ):
            return False
        gap = self._gap(place) if place + 1 < len(self._words) else ""
        nexts = self._words[place + 1][2] if gap else ""
        if glued:
            return is_title_case or len(word) < 5
        if gap == "-" and nexts[0].isupper() and grade(nexts.lower()) is not Grade.WORD:
            return follows or (place == first and sign >= Sign.LABEL)  # Bar-Lev
        if place == first:  # Down, Lily
            return sign >= Sign.LABEL and gap in (",", ", ", "^") and nexts.lower() in cues().given
        before = self._low[place - 1]
        if not is_title_case or "\n" in self._gap(place - 1):
            return False
        if not (before in cues().given or len(before) == 1):
            is_open = low in cues().alone or low.endswith(SPECIALTIES) or gap.startswith((":", " "))
            return follows and sign >= Sign.PERSON and not is_open
        if low not in words().ordinary or low in words().surnames:
            return True
        return len(before) > 1 and gap != " " and not gap.startswith(":")

    def is_capitals(self, place: int) -> bool:
        """Whether the words around, in the same line, are all in capitals."""
        first = stop = place
        while first > max(0, place - 3) and "\n" not in self._gap(first - 1):
            first -= 1
        while stop < min(len(self._words) - 1, place + 3) and "\n" not in self._gap(stop):
            stop += 1
        near = [word for _, _, word in self._words[first : stop + 1] if len(word) > 1 and word.isalpha()]
        return sum(word.isupper() for word in near) > len(near) - 1
