"""People that nobody told us of: the shape of a person's name, read where something shows that a person is meant.

Enters: a folded text cut into words. Leaves: findings. Refuses to take a word of the language, an eponym or a device for
a name without a title, a label or credentials.

Every word is graded once: a name of the lists, a name that is also a word, neither, or a word. From each word that may
begin a name the longest run of name parts is read; what stands before and after tells how sure the parts must be.
"""  # noqa: E501

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, lru_cache
from importlib.resources import files

from reports.deid.findings import Finding
from reports.deid.tokens import Tokens
from reports.deid.words import words

_GAP = re.compile(r"[ \t]{1,3}|[ \t]{0,2}\n[ \t]{0,4}")
_GLUED = ("-", "'", "^", "^^", "_")
_QUOTED = re.compile(r" ?[\"'(] ?|[\"')] ?")
_LABEL_GAP = re.compile(
    r"[ \t]{0,8}[:=#][ \t\n]{0,20}[\"'(\[]?|[ \t]-{1,2}[ \t]|[ ]?[._]{2,40}[ :]?|[ ]?-{1,2}>[ ]?|[ ]?[|~][ ]?"
)
_PLAIN_GAP = re.compile(r"\.?(?:[ \t]{1,20}|[ \t]{0,2}\n[ \t]{0,4})[\"'(\[<]?")
_COMMA_GAP = re.compile(r"\.?,[ \t\n]{1,4}|[ \t\n]?\([ \t]?")
_TITLE_GAP = re.compile(r"\.?(?:[ \t]{1,3}|[ \t]?\n[ \t]{0,4})|\.")
_LOWER_TITLES = frozenset(["dr", "drs", "mr", "mrs", "ms"])
_SHAPE = re.compile(r"[A-Z][a-z]+|[A-Z][a-z]?[A-Z]*|(?:[A-Z][a-z]+[A-Z]|[A-Z][A-Z])[a-z]{2,}|[A-Z][a-z]+[A-Z]")
_MODALITY_TITLES = frozenset(["MR", "MS"])
SPECIALTIES = (
    "ology", "ologist", "ologists", "iatrics", "iatry", "iatrist", "surgery", "ectomy", "oscopy", "graphy", "itis",
    "osis",
)  # fmt: skip
"""Endings of what doctors are, do and diagnose."""
_ENDINGS = (
    *SPECIALTIES, "pathy", "plasty", "gram", "grams", "ation", "ations", "emia", "aemia", "uria", "algia", "ostomy",
    "otomy", "oses", "oma", "omas", "omatous", "ated", "ating", "ically", "ness", "ment", "ments", "eous", "ious",
    "aceous", "scopic", "graphic", "genic", "trophy", "trophic", "plasia", "plastic", "megaly",
)  # fmt: skip
_CREDENTIAL_WORDS = frozenset(["do", "pt", "od", "ot", "pa", "dc", "rt", "ma"])
_AGED = re.compile(r"(?:(?:is|was) )?(?:an? )?\d{1,3}[- ]?(?:y\b|yo\b|y/o|years?\b|yr)", re.IGNORECASE)
_CONTACT = re.compile(r"(?:pager|ext|x\d{3}|phone|tel|cell|beeper|badge|extension|npi|mobile|fax)", re.IGNORECASE)
_AFTER_GAP = re.compile(r",?[ \t\n]{1,3}|,|[ \t\n]?[(\[]|[ ]?-{1,2}[ ]?|;[ ]|/")
_LISTED = re.compile(r"(?:DOB|MRN|ID|[MF]\b|\d{5}|\d{1,2}/\d{1,2}/\d\d)")
_AUXILIARIES = frozenset(["was", "is", "has", "had", "will", "did", "could", "would", "can", "cannot", "also", "who"])
_HOUSEHOLD = frozenset(["family", "household", "residence", "estate"])
_POSSESSIVES = frozenset(
    [
        "his",
        "her",
        "their",
        "the",
        "my",
        "our",
        "a",
        "patient",
        "s",
        "covering",
        "on",
        "call",
        "senior",
        "chief",
        "charge",
        "staff",
    ]
)
_CLOSINGS = frozenset(
    [
        "sincerely",
        "regards",
        "thanks",
        "submitted",
        "yours",
        "truly",
        "you",
        "cordially",
        "respectfully",
        "best",
        "signed",
        "faithfully",
    ]
)
_MAX_PARTS = 6


class Grade(IntEnum):
    """How much a capitalised word looks like part of a name."""

    WORD = 0
    UNKNOWN = 1
    BOTH = 2
    NAME = 3


class Sign(IntEnum):
    """How clearly the words around say that a person is named."""

    NONE = 0
    WEAK = 1
    STRONG = 2
    LABEL = 3
    TITLE = 4


@dataclass(frozen=True)
class Cues:
    """The lists of ``lexicon/deid_cues.toml``, ``deid_people.toml`` and ``deid_english.toml``."""

    titles: frozenset[str]
    plural_titles: frozenset[str]
    roles: frozenset[str]
    labels: frozenset[tuple[str, ...]]
    phrases: frozenset[tuple[str, ...]]
    weak: frozenset[str]
    credentials: frozenset[str]
    verbs: frozenset[str]
    follow: frozenset[str]
    suffixes: frozenset[str]
    particles: frozenset[str]
    eponyms: frozenset[str]
    nouns: frozenset[str]
    given: frozenset[str]
    family: frozenset[str]
    english: frozenset[str]


@cache
def cues() -> Cues:
    """The built-in lists."""
    table, people, english = (
        tomllib.loads(files("reports").joinpath(f"lexicon/{name}.toml").read_text(encoding="utf-8"))
        for name in ("deid_cues", "deid_people", "deid_english")
    )

    def phrases(text: str) -> frozenset[tuple[str, ...]]:
        split = (tuple(re.findall(r"[a-z0-9]+", one)) for line in text.split("\n") for one in line.split("|"))
        return frozenset(one for one in split if one)

    after = table["after"]
    return Cues(
        frozenset(table["titles"]["one"].split()),
        frozenset(table["titles"]["plural"].split()),
        frozenset(
            one for word in table["roles"]["words"].split() for one in (word, f"{word}s" if len(word) > 3 else word)
        ),
        phrases(table["labels"]["phrases"]),
        phrases(table["phrases"]["strong"]),
        frozenset(table["phrases"]["weak"].split()),
        frozenset(after["credentials"].split()),
        frozenset(after["verbs"].split()),
        frozenset(after["follow"].split()),
        frozenset(table["suffixes"]["words"].split()),
        frozenset(table["particles"]["words"].split()),
        frozenset(table["eponyms"]["words"].split()) | words().eponyms.keys(),
        frozenset(table["eponyms"]["nouns"].split()),
        frozenset(people["given"].split()) | words().first_names,
        frozenset(people["family"].split()) | words().surnames | frozenset(table["more"]["family"].split()),
        frozenset(english["words"].split()) | words().ordinary | words().month_numbers.keys(),
    )


@lru_cache(maxsize=1 << 16)
def grade(word: str) -> Grade:
    """What a word in lower case is."""
    lists = cues()
    is_name = word in lists.given or word in lists.family
    if is_word(word):
        return Grade.BOTH if is_name and word not in _never() else Grade.WORD
    return Grade.NAME if is_name else Grade.UNKNOWN if word.isalpha() and len(word) > 1 else Grade.WORD


@lru_cache(maxsize=1 << 16)
def is_word(word: str) -> bool:
    """Whether a word in lower case belongs to the language or to medicine."""
    lists = cues()
    if word in lists.english or word in lists.roles or word in lists.titles or word in lists.credentials:
        return True
    is_name = word in lists.given or word in lists.family
    is_formed = (word.endswith("s") and word[:-1] in lists.english) or (len(word) > 6 and word.endswith(_ENDINGS))
    return is_formed and not is_name


@cache
def _never() -> frozenset[str]:
    """Words that are in the lists of names and yet nobody's name in a report."""
    weekdays = {name for names in words().weekdays for name in names}
    return frozenset(
        weekdays
        | cues().weak
        | cues().titles
        | cues().credentials
        | {"the", "no", "not", "in", "on", "is", "as", "an", "us", "we", "he", "it"}
    )


@dataclass(frozen=True)
class _Run:
    """Parts of a name side by side: indices of the first and behind the last word, and the grades of its real parts."""

    first: int
    stop: int
    grades: tuple[Grade, ...]
    n_initials: int
    is_lower: bool
    is_given_first: bool


class People:
    """One pass over a text."""

    def __init__(self, tokens: Tokens) -> None:
        self._text, self._words, self._tokens = tokens.text, tokens.words, tokens
        self._low = [word.lower() for _, _, word in tokens.words]

    def find(self) -> Iterator[Finding]:
        """Findings, first to last, none overlapping."""
        index, last, last_sign = 0, -1, Sign.NONE
        while index < len(self._words):
            if not self._may_begin(index):
                index += 1
                continue
            sign = self._before(index)
            is_listed = last >= 0 and self._continues(last, index)
            if is_listed:
                sign = max(sign, Sign.STRONG if last_sign >= Sign.LABEL else Sign.WEAK)
            run = self._read(index, sign)
            if run is None or not self._is_person(run, max(sign, self._after(run.first, run.stop))):
                index += 1
                continue
            yield Finding(self._words[run.first][0], self._words[run.stop - 1][1], "NAME")
            last_sign = last_sign if is_listed else sign
            index = last = run.stop

    def _may_begin(self, index: int) -> bool:
        word, low = self._words[index][2], self._low[index]
        if not word[0].isalpha():
            return False
        if word[0].isupper():
            if (
                len(word) == 1
                or low in cues().particles
                or grade(low) > Grade.WORD
                or (index > 0 and self._is_title(index - 1))
            ):
                return True
            gap, following = (self._gap(index), self._low[index + 1]) if index + 1 < len(self._words) else (" ", "")
            return gap in (",", ", ", "^", "-") and (gap == "-" or following in cues().given)
        if low in cues().particles:
            return index + 1 < len(self._words) and index > 0
        return index > 0 and (grade(low) is Grade.NAME or (grade(low) is Grade.UNKNOWN and self._is_title(index - 1)))

    def _gap(self, index: int) -> str:
        return self._tokens.gap(index)

    def _continues(self, last: int, index: int) -> bool:
        """Whether a name at `index` is one of a list after the name that ends before `last`."""
        if not 0 <= index - last <= 1 or index == 0:
            return False
        between = self._text[self._words[last - 1][1] : self._words[index][0]].strip().lower()
        return between in (",", "and", ", and", "&", "/", "or", ";", "und", "y", "et")

    # --- what stands before -----------------------------------------------------------------------------------------

    def _is_title(self, index: int) -> bool:
        word, low = self._words[index][2], self._low[index]
        if low not in cues().titles and low not in cues().plural_titles:
            return False
        gap = self._gap(index)
        if index and low == "ms" and self._low[index - 1].isdigit():
            return False  # milliseconds
        if (word in _MODALITY_TITLES or (low in ("mr", "ms") and word.islower())) and not gap.startswith("."):
            return False
        return _TITLE_GAP.fullmatch(gap) is not None and (low in _LOWER_TITLES or word[0].isupper())

    def _before(self, index: int) -> Sign:
        if index == 0:
            return Sign.NONE
        gap, low = self._gap(index - 1), self._low[index - 1]
        if self._is_title(index - 1):
            return Sign.TITLE
        if _LABEL_GAP.fullmatch(gap):
            is_label = self._matches(cues().labels, index) or low in cues().roles
            is_label = is_label or self._matches(cues().phrases, index) or self._names_a_role(index)
            return Sign.LABEL if is_label else Sign.WEAK
        if _PLAIN_GAP.fullmatch(gap):
            if self._words[index - 1][2] in _MODALITY_TITLES and gap == " ":
                return Sign.WEAK
            if low in cues().roles and not (gap.startswith(".") and low not in ("pt", "tech")):
                return Sign.LABEL
            if gap.startswith(".") and low not in ("attn", "re", "pt", "ref", "no", "aka", "a"):
                return Sign.NONE
            if low == "by" and index > 1 and not self._low[index - 2].isdigit():
                return Sign.STRONG
            if self._matches(cues().phrases, index):
                return Sign.STRONG
            if low in ("re", "attn", "cc", "dear") and self._words[index - 1][2] != "re":
                return Sign.STRONG
            if gap.rstrip().endswith(('"', "(")):
                return Sign.WEAK
            return Sign.WEAK if low in cues().weak else Sign.NONE
        if low == "s" and gap.startswith("/") and gap.strip() == "/" and gap != "/":
            return Sign.LABEL  # /s/ Jane Doe
        if _COMMA_GAP.fullmatch(gap):
            if low in _CLOSINGS and "(" not in gap:
                return Sign.STRONG
            return Sign.LABEL if low in cues().roles else Sign.WEAK if gap.endswith("(") else Sign.NONE
        return Sign.NONE

    def _names_a_role(self, index: int) -> bool:
        """Whether the label that ends before `index` speaks of a person: "Name on wristband:", "Doctor who ordered:"."""  # noqa: E501
        start = max(0, index - 5)
        while start < index - 1 and any(
            mark in self._text[self._words[start][1] : self._words[index - 1][0]] for mark in ".,;:\n"
        ):
            start += 1
        near = self._low[start:index]
        return near[-1] == "by" or any(low in cues().roles or low == "name" for low in near)

    def _matches(self, phrases: frozenset[tuple[str, ...]], index: int) -> bool:
        """Whether a phrase ends before word `index`."""
        return any(tuple(self._low[index - n : index]) in phrases for n in range(1, min(5, index) + 1))

    # --- the name itself ----------------------------------------------------------------------------------------------

    def _read(self, index: int, sign: Sign) -> _Run | None:
        """The longest run of name parts that begins at `index`."""
        grades: list[Grade] = []
        n_initials, stop, place, has_comma = 0, index, index, False
        is_lower = self._words[index][2][0].islower() and self._low[index] not in cues().particles
        while place < len(self._words) and place - index < _MAX_PARTS + 4:
            if place > index:
                is_first = len(grades) == 1 and not n_initials and self._starts_line(index)
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
        return _Run(index, stop, tuple(grades), n_initials, is_lower, self._is_given_first(index, stop))

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
            return "-"
        if _GAP.fullmatch(gap):
            return "\n" if "\n" in gap else " "
        if (
            gap[:1] == "."
            and (len(previous) == 1 or previous.lower() in ("st", "jr", "sr"))
            and (gap == "." or _GAP.fullmatch(gap[1:]))
        ):
            return "."
        if gap in (",", ", ", ",\n", ";", "; ") and not has_comma and not self._is_credential(place):
            low = self._low[place]
            is_given = low in cues().given or (len(low) == 1) or low in cues().suffixes
            return "," if is_given or (sign >= Sign.STRONG and grade(low) is not Grade.WORD) else ""
        return " " if _QUOTED.fullmatch(gap) and gap.strip() in ('"', "(", ")") and sign >= Sign.STRONG else ""

    def _is_credential(self, place: int) -> bool:
        """Whether an academic degree or a profession in letters begins at `place`: "MD", "M.D.", "PA-C"."""
        joined = self._low[place]
        for after in range(place + 1, min(place + 3, len(self._words))):
            if joined in cues().credentials or self._gap(after - 1) not in (".", "-", ". "):
                break
            joined += self._low[after]
        return joined in cues().credentials and self._words[place][2][0].isupper()

    def _particles(self, place: int) -> int:
        """The place behind the particles that begin at `place`, if a name part follows them; else `place`."""
        ahead = place
        while ahead + 1 < len(self._words) and ahead - place < 3 and self._low[ahead] in cues().particles:
            gap = self._gap(ahead)
            if len(self._low[ahead]) == 1 and self._words[ahead][2].isupper() and gap != "'":
                return place  # an initial
            if not (_GAP.fullmatch(gap) or gap in ("-", "'", " '", ". ", ".", "' ")):
                return place
            ahead += 1
        word = self._words[ahead][2]
        return ahead if word[0].isupper() and len(word) > 1 and grade(self._low[ahead]) is not Grade.WORD else place

    def _is_initial(self, place: int, follows: bool, sign: Sign) -> bool:
        has_dot = self._text[self._words[place][1] : self._words[place][1] + 1] == "."
        if has_dot or self._words[place][2] not in "AI":
            return has_dot or follows or sign >= Sign.STRONG
        return (
            follows
            and place + 1 < len(self._words)
            and self._gap(place) == " "
            and grade(self._low[place + 1]) >= Grade.UNKNOWN
        )

    def _part(self, place: int, first: int, sign: Sign, *, is_lower: bool, follows: bool) -> Grade | None:
        """The grade of a word as a part of this name; None when it is none."""
        word, low = self._words[place][2], self._low[place]
        level = grade(low)
        if is_lower:
            needed = (
                Grade.UNKNOWN
                if sign is Sign.TITLE or (follows and sign is Sign.LABEL)
                else Grade.BOTH
                if follows
                else Grade.NAME
            )
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
        if is_short and sign < Sign.STRONG and not self._is_capitals(place):
            return None  # an abbreviation
        return level

    def _word_as_name(self, place: int, first: int, sign: Sign, *, glued: bool, follows: bool) -> bool:
        """Whether an ordinary word is part of a name by where it stands."""
        word, low = self._words[place][2], self._low[place]
        is_title_case = word[1:].islower()
        if place == first and sign is Sign.TITLE:
            return is_title_case
        if (
            sign < Sign.STRONG
            or low in cues().nouns
            or low in cues().roles
            or low in _never()
            or self._is_credential(place)
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
        same_line = "\n" not in self._gap(place - 1)
        if not (is_title_case and same_line and (before in cues().given or len(before) == 1)):
            return False
        if low not in words().ordinary or low in words().surnames:
            return True
        return len(before) > 1 and gap != " " and not gap.startswith(":")

    def _is_capitals(self, place: int) -> bool:
        """Whether the words around are all in capitals."""
        near = [word for _, _, word in self._words[max(0, place - 3) : place + 4] if len(word) > 1 and word.isalpha()]
        return sum(word.isupper() for word in near) > len(near) - 1

    # --- what stands behind, and the verdict ----------------------------------------------------------------------------  # noqa: E501

    def _after(self, first: int, stop: int) -> Sign:
        if stop >= len(self._words):
            return Sign.NONE
        gap, low = self._gap(stop - 1), self._low[stop]
        if _AFTER_GAP.fullmatch(gap):
            if self._is_credential(stop):
                return Sign.LABEL if low not in _CREDENTIAL_WORDS or gap.startswith(",") else Sign.STRONG
            if low in cues().follow:
                return Sign.STRONG
            if gap in (" ", "\n") and (low in cues().verbs or (low in _AUXILIARIES and stop - first > 1)):
                return Sign.WEAK
            if (gap.strip() and self._is_role(stop)) or low in _HOUSEHOLD:
                return Sign.STRONG
            if stop - first > 1 and _LISTED.match(self._text, self._words[stop][0]):
                return Sign.STRONG
            if _CONTACT.match(self._text, self._words[stop][0]):
                return Sign.STRONG
            if _AGED.match(self._text, self._words[stop][0]):
                return Sign.STRONG
        if low == "as" and gap == " " and self._is_role(stop + 1):
            return Sign.STRONG
        if gap == "'" and low == "s" and self._is_role(stop + 1):
            return Sign.STRONG
        return Sign.NONE

    def _starts_line(self, index: int) -> bool:
        start = self._words[index][0]
        return not self._text[max(0, start - 8) : start].rpartition("\n")[2].strip(" -*~_\t")

    def _fills_line(self, run: _Run) -> bool:
        end = self._words[run.stop - 1][1]
        return self._starts_line(run.first) and not self._text[end : end + 3].split("\n")[0].strip(" .,-*~_\t\r")

    def _is_role(self, place: int) -> bool:
        """Whether somebody's part is named at `place`: "her daughter", "charge nurse"."""
        for at in range(place, min(place + 4, len(self._words))):
            if self._low[at] in cues().roles and self._low[at] not in ("patient", "pt", "baby", "infant"):
                return True
            if not (self._low[at] in _POSSESSIVES or grade(self._low[at]) is Grade.WORD) or (
                at + 1 < len(self._words) and self._gap(at).strip() not in ("", "'", "-")
            ):
                return False
        return False

    def _is_person(self, run: _Run, sign: Sign) -> bool:
        grades, n_real = run.grades, len(run.grades)
        best = max(grades, default=Grade.WORD)
        if sign is Sign.TITLE:
            return not run.is_lower or best in (Grade.NAME, Grade.UNKNOWN)
        if sign < Sign.LABEL and self._is_thing(run, sign):
            return False
        if run.is_lower:
            return (
                sign >= Sign.STRONG
                and best is Grade.NAME
                and (n_real > 1 or (sign is Sign.LABEL and ":" in self._gap(run.first - 1)))
            )
        if not n_real:
            return sign is Sign.LABEL and run.n_initials > 1
        if sign >= Sign.STRONG:
            if n_real + run.n_initials > 1 or best is Grade.NAME:
                return True
            if best is Grade.UNKNOWN:
                return not (
                    len(self._low[run.stop - 1]) < 5 and self._words[run.first][2].isupper()
                ) or ":" in self._gap(run.first - 1)
            return not self._is_ordinary(run) or (
                sign is Sign.LABEL and self._low[run.first] in cues().given and self._ends(run.stop)
            )
        if (
            n_real == 1
            and run.n_initials
            and best is not Grade.BOTH
            and self._is_title_case(run)
            and self._has_dotted_initial(run)
        ):
            return True
        n_sure = sum(one is Grade.NAME for one in grades)
        if ((n_real > 1 and best is not Grade.BOTH) or best is Grade.NAME) and self._fills_line(run):
            return True
        if sign is Sign.WEAK:
            return n_sure > 0 or (n_real > 1 and best is not Grade.BOTH and not self._is_capitals(run.first))
        is_family_first = n_real == 2 and n_sure == 2 and self._low[run.stop - 1] in cues().given
        if n_real > 1 and best is not Grade.BOTH and Grade.BOTH not in grades and self._is_title_case(run):
            return self._gap(run.first) != "-"
        return n_sure > 0 and n_real > 1 and (run.is_given_first or is_family_first) and self._gap(run.first) != "-"

    def _has_dotted_initial(self, run: _Run) -> bool:
        """Whether an initial with a full stop stands in the run: "T. Mabuso", "Mabuso, T."."""
        places = (place for place in range(run.first, run.stop) if len(self._low[place]) == 1)
        return any(self._text.startswith(".", self._words[place][1]) for place in places)

    def _is_title_case(self, run: _Run) -> bool:
        real = [
            self._words[place][2]
            for place in range(run.first, run.stop)
            if len(self._low[place]) > 1 and self._low[place] not in cues().particles
        ]
        return all(len(word) > 2 and word[1:].islower() for word in real)

    def _ends(self, stop: int) -> bool:
        """Whether something other than a blank stands behind word `stop` - 1."""
        return stop >= len(self._words) or not self._gap(stop - 1).isspace()

    def _is_ordinary(self, run: _Run) -> bool:
        return all(
            self._low[place] in words().ordinary or self._words[place][2].isupper()
            for place in range(run.first, run.stop)
        )

    def _is_thing(self, run: _Run, sign: Sign) -> bool:
        """Whether the run names a disease, a device or a method."""
        low = self._low[run.first : run.stop]
        if run.stop < len(self._words) and self._gap(run.stop - 1) == "-" and self._words[run.stop][2].islower():
            return True
        if (
            run.stop < len(self._words)
            and self._low[run.stop] in cues().nouns
            and self._gap(run.stop - 1) in (" ", "\n", "-", "'s ")
        ):
            return True
        if run.stop < len(self._words) and self._gap(run.stop - 1) == "'":
            following = self._low[run.stop + 1 : run.stop + 2]
            if self._low[run.stop] == "s" and following and following[0] in cues().nouns:
                return True
        if (
            sum(len(part) > 1 for part in low) > 1
            and low[0] in cues().given
            and grade(low[0]) is Grade.NAME
            and low[0] not in cues().eponyms
        ):
            return False
        if any(part in cues().eponyms for part in low) and sign < Sign.STRONG:
            return True
        return all(part in cues().eponyms or len(part) == 1 or part in cues().particles for part in low)


def find_people(tokens: Tokens) -> Iterator[Finding]:
    """Names of people by their shape and by what stands around them."""
    return People(tokens).find()
