"""Whether the words around a name say that a person is meant, and how clearly.

Enters: a text cut into words. Leaves: a `Sign` for a place in it. Refuses: nothing.
"""

from __future__ import annotations

import re
from enum import IntEnum

from reports.deid.cues import Grade, cues, grade
from reports.deid.tokens import Tokens

GAP = re.compile(r"[ \t]{1,3}|[ \t]{0,2}\n[ \t]{0,4}")
_LABEL_GAP = re.compile(
    r"(?:\([sS]\))?[ \t]{0,8}[:=#;][ \t\n]{0,20}[\"'(\[]?|[ \t]-{1,2}[ \t]"
    r"|[ ]?[._]{2,40}[ :]?|[ ]?-{1,2}>[ ]?|[ ]?[|~\]][ ]?"
)
_PLAIN_GAP = re.compile(r"\.?(?:[ \t]{1,20}|[ \t]{0,2}\n[ \t]{0,4}){1,2}[\"'(\[<]?")
_COMMA_GAP = re.compile(r"\.?,[ \t\n]{1,4}|[ \t\n]?\([ \t]?")
_TITLE_GAP = re.compile(r"\.?(?:[ \t]{1,3}|[ \t]?\n[ \t]{0,4})|\.")
_AFTER_GAP = re.compile(r",?[ \t\n]{1,3}|,|[ \t\n]?[(\[]|[ ]?-{1,2}[ ]?|;[ ]|/")
_SENTENCE_END = re.compile(r"[.;:?!][)\"']?[ \t\n]|\n[ \t]*\n")
_LOWER_TITLES = frozenset(["dr", "drs", "mr", "mrs", "ms", "prof", "doctor"])
_MODALITY_TITLES = frozenset(["MR", "MS"])
_CREDENTIAL_WORDS = frozenset(["do", "pt", "od", "ot", "pa", "dc", "rt", "ma"])
_AGED = re.compile(r"(?:(?:is|was) )?(?:an? )?\d{1,3}(?:[- ]?(?:y\b|yo\b|y/o|years?\b|yr)|,| ?[MF]\b)", re.IGNORECASE)
_CONTACT = re.compile(r"(?:pager|ext|x\d{3}|phone|tel|cell|beeper|badge|extension|npi|mobile|fax)", re.IGNORECASE)
_LISTED = re.compile(r"(?:DOB|MRN|ID|[MF]\b|\d{5}|\d{1,2}/\d{1,2}/\d\d)")
_TALK_REACH = 12
"""Words behind a verb of telling within which "with", "to" and "by" name the person told."""


class Sign(IntEnum):
    """How clearly the words around say that a person is named."""

    NONE = 0
    WEAK = 1
    STRONG = 2
    PERSON = 3
    LABEL = 4
    TITLE = 5


class Signs:
    """What stands before and behind the words of one text."""

    def __init__(self, tokens: Tokens) -> None:
        self.text, self.words, self.gap = tokens.text, tokens.words, tokens.gap
        self.low = tokens.low
        self._talk = self._reach_of_talk(tokens)

    def _reach_of_talk(self, tokens: Tokens) -> dict[int, int]:
        """Place of each verb of telling -> the place behind the last word of its reach."""
        places = sorted(at for verb in cues().talk & tokens.places.keys() for at in tokens.places[verb])
        reach = {}
        for place in places:
            stop = place + 1
            while stop < min(len(self.words), place + _TALK_REACH) and not _SENTENCE_END.search(self.gap(stop - 1)):
                stop += 1
            reach[place] = stop
        return reach

    def _is_told(self, index: int) -> bool:
        """Whether word `index` stands behind "with", "to" or "by" after a verb of telling of the same sentence."""
        return self.low[index - 1] in cues().receivers and any(
            place < index - 1 and index < stop + 1 for place, stop in self._talk.items()
        )

    def is_title(self, index: int) -> bool:
        """Whether word `index` is a title with a name behind it."""
        word, low = self.words[index][2], self.low[index]
        if low == "med" and index and self.low[index - 1] in cues().titles:
            return True  # Dr. med.
        if low not in cues().titles and low not in cues().plural_titles:
            return False
        gap = self.gap(index)
        if index and low == "ms" and self.low[index - 1].isdigit():
            return False  # milliseconds
        if (word in _MODALITY_TITLES or (low in ("mr", "ms") and word.islower())) and not gap.startswith("."):
            return gap in (" ", "\n") and self._is_addressed(index + 1)
        return _TITLE_GAP.fullmatch(gap) is not None and (low in _LOWER_TITLES or word[0].isupper())

    def _is_addressed(self, index: int) -> bool:
        """Whether MR or MS stands before a name and not before what is imaged: "MR PEMBERTON", "mr stone reports"."""
        word, low = self.words[index][2], self.low[index]
        level, following = grade(low), self.low[index + 1 : index + 2]
        if len(low) < 4 or level is Grade.WORD or low in cues().makers or low in cues().alone:
            return False
        if level is Grade.BOTH:
            return bool(following) and (following[0] in cues().told or following[0] in cues().verbs)
        return word.isupper() or word.islower() or level is Grade.NAME

    def before(self, index: int) -> Sign:
        """What stands before word `index`."""
        if index == 0:
            return Sign.NONE
        if self.is_title(index - 1):
            return Sign.TITLE
        gap, low = self.gap(index - 1), self.low[index - 1]
        if low == "s" and gap.startswith("/") and gap.strip() == "/" and gap != "/":
            return Sign.LABEL  # /s/ Jane Doe
        if low == "s" and "(s)" in self.text[self.words[index - 1][0] - 1 : self.words[index][0]]:
            return Sign.LABEL if index > 1 and self.low[index - 2] in cues().roles else Sign.WEAK  # Operator(s): Roe
        if _LABEL_GAP.fullmatch(gap):
            return Sign.LABEL if self._is_label(index) else Sign.WEAK
        if _PLAIN_GAP.fullmatch(gap) or (low in ("w", "b") and gap.strip() == "/"):
            return max(self._behind_blank(index), Sign.PERSON if self._is_told(index) else Sign.NONE)
        if _COMMA_GAP.fullmatch(gap):
            if low in cues().closings and "(" not in gap:
                return Sign.PERSON
            if low in cues().roles:
                return Sign.LABEL
            return Sign.PERSON if low in cues().stages else Sign.WEAK if gap.endswith("(") else Sign.NONE
        return Sign.NONE

    def _is_label(self, index: int) -> bool:
        low = self.low[index - 1]
        is_label = self._matches(cues().labels, index) or low in cues().roles or low in cues().titles
        return is_label or self._matches(cues().phrases, index) or self._names_a_role(index)

    def _behind_blank(self, index: int) -> Sign:
        """The sign of the word before, from which no more than blanks, a full stop or a bracket separate."""
        gap, low, word = self.gap(index - 1), self.low[index - 1], self.words[index - 1][2]
        if word in _MODALITY_TITLES and gap == " ":
            return Sign.WEAK
        if low in cues().roles and not (gap.startswith(".") and low not in ("pt", "tech")):
            return Sign.LABEL
        if gap.startswith(". ") and low in ("above", "agree", "agreed", "concur") and self.ends_line(index + 1):
            return Sign.PERSON  # Agree with above. Roe
        if gap.startswith(".") and low not in ("attn", "re", "pt", "ref", "no", "aka", "a"):
            return Sign.NONE
        if low == "by" and index > 1 and not self.low[index - 2].isdigit():
            return Sign.PERSON if self._is_agent(index - 2) else Sign.STRONG
        if low in cues().stages and gap.rstrip().endswith("("):
            return Sign.PERSON
        if self._matches(cues().phrases, index):
            return Sign.PERSON if self._is_personal(index) else Sign.STRONG
        if low in ("re", "attn", "cc", "dear") and word != "re":
            return Sign.STRONG
        if low in ("is", "was", "are") and index > 1 and self.low[index - 2] in cues().roles:
            return Sign.STRONG
        if gap.rstrip().endswith(('"', "(")):  # Trauma team (Roe/Doe)
            return Sign.STRONG if low in ("team", "crew") and gap.endswith("(") else Sign.WEAK
        return Sign.WEAK if low in cues().weak else Sign.NONE

    def _is_agent(self, place: int) -> bool:
        """Whether the verb before "by" is one that only people do: "read by", "is followed by"."""
        low = self.low[place]
        if low == "followed":
            return place > 0 and self.low[place - 1] in ("is", "been", "closely", "currently")
        return low in cues().agents or low in cues().talk

    def _is_personal(self, index: int) -> bool:
        """Whether the phrase before word `index` can only be followed by a person."""
        near = self.low[max(0, index - 3) : index]
        return not cues().talk.isdisjoint(near) or self._matches(cues().personal, index)

    def _names_a_role(self, index: int) -> bool:
        """Whether the label before `index` speaks of a person: "Name on wristband:", "Doctor who ordered:"."""
        start = max(0, index - 5)
        while start < index - 1 and any(
            mark in self.text[self.words[start][1] : self.words[index - 1][0]] for mark in ".,;:\n"
        ):
            start += 1
        near = self.low[start:index]
        return near[-1] == "by" or any(low in cues().roles or low == "name" for low in near)

    def _matches(self, phrases: frozenset[tuple[str, ...]], index: int) -> bool:
        """Whether a phrase ends before word `index`."""
        return any(tuple(self.low[index - n : index]) in phrases for n in range(1, min(5, index) + 1))

    def is_credential(self, place: int) -> bool:
        """Whether an academic degree or a profession in letters begins at `place`: "MD", "M.D.", "PA-C"."""
        joined = self.low[place]
        for after in range(place + 1, min(place + 3, len(self.words))):
            if joined in cues().credentials or self.gap(after - 1) not in (".", "-", ". "):
                break
            joined += self.low[after]
        return joined in cues().credentials and self.words[place][2][0].isupper()

    def after(self, first: int, stop: int) -> Sign:
        """What stands behind the words from `first` to before `stop`."""
        if stop >= len(self.words):
            return Sign.NONE
        gap, low = self.gap(stop - 1), self.low[stop]
        if _AFTER_GAP.fullmatch(gap):
            if self.is_credential(stop):
                return Sign.LABEL if low not in _CREDENTIAL_WORDS or gap.startswith(",") else Sign.STRONG
            if low in cues().household and self.low[stop + 1 : stop + 2] not in (["history"], ["hx"], ["practice"]):
                return Sign.PERSON
            if low in cues().follow or self._is_followed(first, stop, gap):
                return Sign.STRONG
            if gap in (" ", "\n") and self._is_doing(first, stop):
                following = set(self.low[stop + 1 : stop + 2])
                is_told = low in ("was", "were") and bool(following & (cues().told | cues().done))
                return Sign.PERSON if low in cues().told or is_told else Sign.WEAK
        if low == "as" and gap == " " and self.is_role(stop + 1):
            return Sign.STRONG
        if gap == "'" and low == "s" and self.is_role(stop + 1):
            return Sign.STRONG
        return Sign.NONE

    def _is_doing(self, first: int, stop: int) -> bool:
        low, single, following = self.low[stop], stop - first == 1, self.low[stop + 1 : stop + 2]
        if low in ("was", "were") and not (cues().told.isdisjoint(following) and cues().done.isdisjoint(following)):
            return True
        if low in ("has", "had", "was", "is") and single:
            return following in (["a"], ["been"], ["an"], ["no"], ["seen"], ["given"], ["not"])
        return low in cues().told or low in cues().verbs or low in cues().auxiliaries

    def _is_followed(self, first: int, stop: int, gap: str) -> bool:
        """Whether a role, an age or a way to be reached follows."""
        at = self.words[stop][0]
        if gap.strip() and self.is_role(stop):
            return True
        if stop - first > 1 and _LISTED.match(self.text, at):
            return True
        aged = _AGED.match(self.text, at)
        return bool(_CONTACT.match(self.text, at)) or (
            aged is not None and (stop - first > 1 or not aged[0].endswith(","))
        )

    def starts_line(self, index: int) -> bool:
        """Whether word `index` is the first of its line."""
        start = self.words[index][0]
        return not self.text[max(0, start - 8) : start].rpartition("\n")[2].strip(" -*~_\t")

    def ends_line(self, stop: int) -> bool:
        """Whether the word before `stop` is the last of its line."""
        end = self.words[stop - 1][1]
        return not self.text[end : end + 3].split("\n")[0].strip(" .,-*~_\t\r")

    def is_role(self, place: int) -> bool:
        """Whether somebody's part is named at `place`: "her daughter", "charge nurse"."""
        for at in range(place, min(place + 4, len(self.words))):
            if self.low[at] in cues().roles and self.low[at] not in ("patient", "pt", "baby", "infant"):
                return True
            if not (self.low[at] in cues().possessives or grade(self.low[at]) is Grade.WORD) or (
                at + 1 < len(self.words) and self.gap(at).strip() not in ("", "'", "-")
            ):
                return False
        return False
