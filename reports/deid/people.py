"""People that nobody told us of: the shape of a person's name, read where something shows that a person is meant.

Enters: a folded text cut into words. Leaves: findings. Refuses to take a word of the language, an eponym or a device
for a name without a title, a label, credentials or somebody's deed.

From each word that may begin a name the longest run of name parts is read (`reports.deid.runs`); what stands before and
after (`reports.deid.signs`) tells how sure the parts must be. A name found once is found wherever it stands again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from reports.deid.cues import Grade, cues, grade, heading_words, is_given_name
from reports.deid.findings import Finding
from reports.deid.runs import Run, Runs
from reports.deid.signs import Sign, Signs
from reports.deid.tokens import Tokens
from reports.deid.words import words


def find_people(tokens: Tokens) -> list[Finding]:
    """Names of people by their shape and by what stands around them."""
    return [*_People(tokens).find(), *_glued(tokens)]


_GLUED = re.compile(r"[A-Z][a-z]{2,20}[A-Z][a-z]{2,20}")


def _glued(tokens: Tokens) -> Iterator[Finding]:
    """A given and a family name without the blank between: "JaneRoe"."""
    for index in tokens.capitals:
        start, end, word = tokens.words[index]
        if len(word) > 5 and not word[1:].islower() and _is_glued(word):
            yield Finding(start, end, "NAME")


@lru_cache(maxsize=1 << 14)
def _is_glued(word: str) -> bool:
    if not _GLUED.fullmatch(word):
        return False
    first, second = (part.lower() for part in re.findall(r"[A-Z][a-z]+", word))
    return is_given_name(first) and grade(second) in (Grade.NAME, Grade.UNKNOWN)


@lru_cache(maxsize=1 << 16)
def _is_opening(low: str) -> bool:
    """Whether a name may begin with a word in small letters."""
    return low[0].isalpha() and (low in cues().particles or grade(low) is not Grade.WORD)


_NO_INITIALS = words().not_initials | {
    "om",
    "rt",
    "lt",
    "dr",
    "mt",
    "st",
    "xr",
    "nm",
    "ot",
    "op",
    "ms",
    "ir",
    "np",
    "pt",
}


class _People:
    """One pass over a text."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens, self._signs = tokens, Signs(tokens)
        self._runs = Runs(self._signs)
        self._text, self._words, self._gap, self._low = tokens.text, tokens.words, tokens.gap, self._signs.low

    def find(self) -> Iterator[Finding]:
        """Findings, first to last, none overlapping but the first of "Mei and Ravi Khan"."""
        last, last_sign = -1, Sign.NONE
        for index in self._openings():
            if index < last or not self._may_begin(index):
                continue
            initials = self._is_behind_initials(index)
            sign = self._signs.before(index - 1 if initials else index)
            initials, sign = (True, sign) if initials and sign >= Sign.PERSON else (False, self._signs.before(index))
            is_listed = last >= 0 and self._continues(last, index)
            if is_listed:
                sign = max(sign, min(last_sign, Sign.PERSON), Sign.WEAK)
            run = self._runs.read(index, sign)
            behind = self._signs.after(run.first, run.stop) if run else Sign.NONE
            if run is None or not self._is_person(run, sign, behind):
                continue
            yield self._finding(run.first - initials, run.stop)
            if max(sign, behind) >= Sign.STRONG and self._is_first_of_two(run.first):
                yield self._finding(run.first - (1 if self._gap(run.first - 1).strip() else 2), run.first)
            last_sign = last_sign if is_listed else sign
            last = run.stop

    def _is_behind_initials(self, index: int) -> bool:
        """Whether two initials without full stops stand before a word that is a name: "GB Roe"."""
        if index == 0 or self._gap(index - 1) != " " or grade(self._low[index]) not in (Grade.NAME, Grade.UNKNOWN):
            return False
        word, low = self._words[index - 1][2], self._low[index - 1]
        return len(word) == 2 and word.isupper() and low not in _NO_INITIALS and self._words[index][2][0].isupper()

    def _openings(self) -> list[int]:
        """The places of words with which a name may begin, by the words alone."""
        tokens = self._tokens
        return sorted(
            {*tokens.capitals, *(at for low in tokens.places if _is_opening(low) for at in tokens.places[low])}
        )

    def _finding(self, first: int, stop: int) -> Finding:
        return Finding(self._words[first][0], self._words[stop - 1][1], "NAME")

    def _is_first_of_two(self, first: int) -> bool:
        """Whether a given name and an "and" stand before a name that is found: "Mei and Ravi Khan (parents)"."""
        if first < 2:
            return False
        mark = self._gap(first - 1).strip()
        other = first - 1 if mark in ("&", "/") else first - 2
        if (not mark and self._low[first - 1] != "and") or mark not in ("", "&", "/"):
            return False
        word = self._words[other][2]
        return word[0].isupper() and len(word) > 2 and grade(self._low[other]) is Grade.NAME

    def _may_begin(self, index: int) -> bool:
        word, low = self._words[index][2], self._low[index]
        if not word[0].isalpha():
            return False
        if word[0].isupper():
            if (
                len(word) == 1
                or low in cues().particles
                or grade(low) > Grade.WORD
                or (index > 0 and self._signs.is_title(index - 1))
            ):
                return True
            gap, following = (self._gap(index), self._low[index + 1]) if index + 1 < len(self._words) else (" ", "")
            return gap in (",", ", ", "^", "-") and (gap == "-" or following in cues().given)
        if low in cues().particles:
            return index + 1 < len(self._words) and index > 0
        level = grade(low)
        if index == 0 or level is Grade.WORD:
            return False
        return level is not Grade.BOTH or (self._signs.is_title(index - 1) and low not in cues().alone)

    def _continues(self, last: int, index: int) -> bool:
        """Whether a name at `index` is one of a list after the name that ends before `last`."""
        if not 0 <= index - last <= 1 or index == 0:
            return False
        between = self._text[self._words[last - 1][1] : self._words[index][0]].strip().lower()
        return between in (",", "and", ", and", "&", "/", "or", ";", "und", "y", "et")

    # --- the verdict --------------------------------------------------------------------------------------------------

    def _is_person(self, run: Run, before: Sign, behind: Sign) -> bool:
        sign, best = max(before, behind), max(run.grades, default=Grade.WORD)
        if sign is Sign.TITLE:
            return True
        if self._is_thing(run, sign):
            return False
        if run.is_lower:
            return self._is_lower_person(run, before, sign, best)
        if not run.grades:
            return sign is Sign.LABEL and run.n_initials > 1
        return self._is_shown(run, before, behind, best) if sign >= Sign.STRONG else self._is_seen(run, sign, best)

    def _is_lower_person(self, run: Run, before: Sign, sign: Sign, best: Grade) -> bool:
        """Whether a run without capitals is a person: "spoke with jane roe", "nurse roe", "attending: roe"."""
        low, is_label = self._low[run.first], before is Sign.LABEL and ":" in self._gap(run.first - 1)
        if len(run.grades) > 1 or is_label:
            return sign >= Sign.STRONG and (best is Grade.NAME or (before >= Sign.PERSON and best is not Grade.BOTH))
        is_patient = self._low[run.first - 1] in ("patient", "pt", "patients", "pts", "client")
        return before >= Sign.PERSON and best in (Grade.NAME, Grade.UNKNOWN) and len(low) > 3 and not is_patient

    def _is_shown(self, run: Run, before: Sign, behind: Sign, best: Grade) -> bool:
        """Whether a run of which something says that it is a person may be one."""
        if len(run.grades) + run.n_initials > 1 or best is Grade.NAME:
            return True
        word, low = self._words[run.stop - 1][2], self._low[run.first]
        if best is Grade.UNKNOWN:
            return not (len(low) < 5 and word.isupper()) or ":" in self._gap(run.first - 1)
        if not self._is_ordinary(run):
            return True
        if low in cues().alone or len(low) < 3 or max(before, behind) < Sign.PERSON:
            return False
        if behind >= Sign.PERSON:
            return True
        return (before is Sign.LABEL and low in cues().given and self._ends(run.stop)) or self._stands_alone(run.stop)

    def _stands_alone(self, stop: int) -> bool:
        """Whether what stands behind word `stop` - 1 ends its sentence or takes up another thought."""
        if self._ends(stop):
            return not self._gap(stop - 1).startswith(("-", "/")) if stop < len(self._words) else True
        low = self._low[stop]
        lists = cues()
        is_doing = low in lists.told or low in lists.verbs or low in lists.talk or low in lists.agents
        return low in lists.onward or is_doing or low.lstrip("x").isdigit() or self._signs.is_credential(stop)

    def _is_seen(self, run: Run, sign: Sign, best: Grade) -> bool:
        """Whether a run is a person by its own shape."""
        grades, n_real = run.grades, len(run.grades)
        n_sure = sum(one is Grade.NAME for one in grades)
        fills_line = self._signs.starts_line(run.first) and self._signs.ends_line(run.stop)
        is_title_case = self._is_title_case(run)
        if (
            n_real == 1
            and run.n_initials
            and is_title_case
            and self._has_dotted_initial(run)
            and (best is not Grade.BOTH or fills_line)
        ):
            return True
        if self._tokens.is_foreign:  # that no list has a word says nothing
            return n_sure > 0 and n_real > 1 and (run.is_given_first or fills_line)
        is_likely = n_real > 1 and (best is not Grade.BOTH or (grades[0] is Grade.UNKNOWN and is_title_case))
        is_likely = is_likely or best is Grade.NAME or (is_title_case and best is Grade.UNKNOWN and self._is_block(run))
        if is_likely and fills_line:
            return True
        first = self._low[run.first]
        is_written = is_title_case or (len(first) > 3 and self._runs.is_capitals(run.first))
        if best is not Grade.BOTH and is_written and self._owns(run.stop) and (n_sure or len(first) > 3):
            return True
        if is_title_case and is_given_name(first) and len(first) > 3:
            return True  # told by nobody, and yet a given name and nothing else
        if any(self._gap(place) in ("_", "^") for place in range(run.first, run.stop - 1)):
            return True
        if sign is Sign.WEAK:
            return n_sure > 0 or (n_real > 1 and best is not Grade.BOTH and not self._runs.is_capitals(run.first))
        is_family_first = n_real == 2 and n_sure == 2 and self._low[run.stop - 1] in cues().given
        if n_real > 1 and best is not Grade.BOTH and Grade.BOTH not in grades and is_title_case:
            return self._gap(run.first) != "-"
        return n_sure > 0 and n_real > 1 and (run.is_given_first or is_family_first) and self._gap(run.first) != "-"

    def _is_block(self, run: Run) -> bool:
        """Whether the one word of a line neither goes on the line before nor goes on in the next one."""
        before = self._text[max(0, self._words[run.first][0] - 12) : self._words[run.first][0]].rstrip(" -~*_\t\n")
        following = self._text[self._words[run.stop - 1][1] :][:12].lstrip(" .,-~*_\t\n")
        low = self._low[run.first]
        is_apart = (not before or not (before[-1].islower() or before[-1] == ",")) and not following[:1].islower()
        return is_apart and len(low) > 3 and low not in cues().eponyms and low not in heading_words()

    def _owns(self, stop: int) -> bool:
        """Whether something is somebody's: "Okafor's mass"; what is named after people, `_is_thing` knows."""
        is_owner = stop + 1 < len(self._words) and self._gap(stop - 1) == "'" and self._low[stop] == "s"
        following = self._words[stop + 1][2] if is_owner else "A"
        is_capitals = following.isupper() and self._runs.is_capitals(stop - 1)
        return is_owner and self._gap(stop) in (" ", "\n") and (following[0].islower() or is_capitals)

    def _has_dotted_initial(self, run: Run) -> bool:
        """Whether an initial with a full stop stands in the run: "T. Mabuso", "Mabuso, T."."""
        places = (place for place in range(run.first, run.stop) if len(self._low[place]) == 1)
        return any(self._text.startswith(".", self._words[place][1]) for place in places)

    def _is_title_case(self, run: Run) -> bool:
        real = [
            self._words[place][2]
            for place in range(run.first, run.stop)
            if len(self._low[place]) > 1 and self._low[place] not in cues().particles
        ]
        return all(len(word) > 2 and not word[1:].isupper() for word in real)

    def _ends(self, stop: int) -> bool:
        """Whether a sentence or a line ends behind word `stop` - 1."""
        if stop >= len(self._words):
            return True
        gap = self._gap(stop - 1)
        return not gap.isspace() or ("\n" in gap and self._words[stop][2][0].isupper())

    def _is_ordinary(self, run: Run) -> bool:
        return all(
            self._low[place] in words().ordinary or self._words[place][2].isupper()
            for place in range(run.first, run.stop)
        )

    def _is_thing(self, run: Run, sign: Sign) -> bool:
        """Whether the run names a disease, a device or a method."""
        low = self._low[run.first : run.stop]
        if all(part in cues().makers for part in low):
            return sign < Sign.TITLE
        if sign >= Sign.LABEL:
            return False
        if self._names_a_noun(run.stop):
            return True
        if sign >= Sign.STRONG and self._has_dotted_initial(run):
            return False
        if sign is Sign.PERSON:
            return False
        is_given = is_given_name(low[0]) and low[0] not in cues().eponyms
        is_reversed = any(
            "," in self._gap(at) and self._low[at + 1] in cues().given for at in range(run.first, run.stop - 1)
        )
        if (sum(len(part) > 1 for part in low) > 1 and is_given) or is_reversed:
            return False
        if any(part in cues().eponyms for part in low) and sign < Sign.STRONG:
            return True
        if sign is Sign.STRONG and is_given_name(low[0]):
            return False
        return all(part in cues().eponyms or len(part) == 1 or part in cues().particles for part in low)

    def _names_a_noun(self, stop: int) -> bool:
        """Whether a noun that diseases, devices and methods are called follows: "Roe cyst", "Roe-like"."""
        if stop >= len(self._words):
            return False
        gap = self._gap(stop - 1)
        if gap == "-" and self._words[stop][2].islower():
            return True
        if self._low[stop] in cues().nouns and gap in (" ", "\n", "-", "'s "):
            return gap != "\n" or self._words[stop][2].islower()  # a line that begins so is a heading
        following = self._low[stop + 1 : stop + 2]
        return gap == "'" and self._low[stop] == "s" and bool(following) and following[0] in cues().nouns


_FOREIGN_LETTER = r"[^\W\d_\u0000-\u02af\u1e00-\u1eff\u2100-\u214f年月日]"
_FOREIGN = re.compile(rf"{_FOREIGN_LETTER}{{2,60}}(?:[ \t·,-]{{1,2}}{_FOREIGN_LETTER}{{1,60}}){{0,3}}")
_MOSTLY = 0.3
"""Share of letters of other scripts from which on a text is written in another language."""


def find_foreign(tokens: Tokens) -> Iterator[Finding]:
    """Words in another script than the Latin one, in a text that is written in it: "Patient: 王伟"."""
    if tokens.text.isascii():
        return
    found = [match.span() for match in _FOREIGN.finditer(tokens.text)]
    n_letters = sum(map(str.isalpha, tokens.text))
    if sum(stop - start for start, stop in found) < _MOSTLY * n_letters:
        yield from (Finding(start, stop, "NAME") for start, stop in found)


def find_repeats(tokens: Tokens, found: Iterable[Finding]) -> Iterator[Finding]:
    """Names that stand elsewhere in the text too: parts of the people found, written as a name and not as a thing."""
    low_parts = set()
    for one in found:
        if one.kind == "NAME":
            low_parts |= {part.lower() for part in _NAME_PART.findall(tokens.text[one.start : one.end])}
    for part in sorted(low_parts & tokens.places.keys()):
        if part in cues().eponyms or part in cues().makers or grade(part) not in (Grade.NAME, Grade.UNKNOWN):
            continue
        for index in tokens.places[part]:
            start, end, word = tokens.words[index]
            if word[0].isupper() and not _is_noun_behind(tokens, index):
                yield Finding(start, end, "NAME")


def find_joined(tokens: Tokens, found: Iterable[Finding]) -> Iterator[Finding]:
    """The other half of a double name of which one was found: "[NAME]-Sun", "Abdel-[NAME]"."""
    text, names = tokens.text, [one for one in found if one.kind == "NAME"]
    starts, ends = {one.start for one in names}, {one.end for one in names}
    for match in _HYPHEN.finditer(text) if names and _ANY_HYPHEN.search(text) else ():
        if match.end(1) + 1 in starts or match.start(2) - 1 in ends:
            part = 1 if match.end(1) + 1 in starts else 2
            if grade(match[part].lower()) is not Grade.WORD or match[part] == "Sun":
                yield Finding(*match.span(part), "NAME")


def find_beside(tokens: Tokens, found: Iterable[Finding]) -> Iterator[Finding]:
    """Parts of a name beside those that were found: "Sang Woo [NAME]", "[NAME]/Abu", "d'[NAME]"."""
    starts = {start: index for index, (start, _, _) in enumerate(tokens.words)}
    for one in found:
        first = starts.get(one.start) if one.kind == "NAME" else None
        if first is None:
            continue
        stop = first
        while stop < len(tokens.words) and tokens.words[stop][0] < one.end:
            stop += 1
        for step, at in ((-1, first - 1), (1, stop)):
            for _ in range(_MOST_BESIDE):
                if not 0 <= at < len(tokens.words) or not _is_part(tokens, at, tokens.gap(at if step < 0 else at - 1)):
                    break
                yield Finding(*tokens.words[at][:2], "NAME")
                at += step


_MOST_BESIDE = 3


def _is_part(tokens: Tokens, at: int, gap: str) -> bool:
    """Whether a word that only `gap` parts from a name is a part of it too or, beyond a slash, another name."""
    word, low = tokens.words[at][2], tokens.low[at]
    if gap in ("-", "'") and word.isalpha() and (word.islower() or word[0].isupper()):
        return len(word) < 9 and (grade(low) is not Grade.WORD or len(word) < 4) and low != "s"
    if gap not in (" ", "/") or not word[0].isupper() or len(word) < 2 or grade(low) is Grade.WORD:
        return False
    lists = cues()
    return not any(
        low in words for words in (lists.roles, lists.titles, lists.credentials, lists.eponyms, lists.alone)
    ) and (low not in heading_words() and not (word.isupper() and len(word) < 3))


_ANY_HYPHEN = re.compile(r"-(?<=[a-z]-)[A-Z]")
_HYPHEN = re.compile(r"(?<![^\W_])([A-Z][a-z]{2,30})-(?=([A-Z][a-z]{2,30})(?![^\W_]))")
_NAME_PART = re.compile(r"(?<![A-Za-z])[A-Z][A-Za-z]{2,}")


def _is_noun_behind(tokens: Tokens, index: int) -> bool:
    following = [word.lower() for _, _, word in tokens.words[index + 1 : index + 3]]
    following = following[1:] if following[:1] == ["s"] else following[:1]
    return bool(following) and following[0] in cues().nouns and "." not in tokens.gap(index)
