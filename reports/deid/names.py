"""The names known for the patient, found in every way people write them.

Enters: names as fields hold them; folded text cut into words. Leaves: findings. Refuses to take an ordinary word
for a name without a sign that a person is meant: a patient called Stone keeps the renal stone, a patient called
Baker the Baker cyst.

Each word is looked up, so the time is linear in the text whatever the name.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import permutations

from rapidfuzz.distance import OSA

from reports.deid.cues import heading_words, is_word
from reports.deid.findings import Finding
from reports.deid.fold import TOKEN, fold
from reports.deid.tokens import Tokens
from reports.deid.words import words

_NUMBERED = re.compile(r"[^\W_]{0,64}\d[^\W_]{0,64}")
_LATIN = re.compile(r"[A-Za-z]")
_OCR = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s", "8": "b"})
_DOTTED = re.compile(r"[A-Z]\. ?[A-Z]\.")
_NAME_GAP = re.compile(r"[ \t\n,;.^'-]{0,4}")
_PAIR_GAP = re.compile(r"[ \t\n,;:.^'\"/|\\+&_*~=<>()-]{0,5}")
"""What may stand between two parts of one name, both ordinary words: "DAY/RICH"."""
_BETWEEN = words().prefixes | {"jr", "sr", "ii", "iii", "iv"}
_INITIALLED = frozenset(
    ["signed", "by", "initials", "dictated", "read", "verified", "approved", "reported", "transcribed", "typed",
     "signature", "dict", "trans", "rad", "tech", "reader", "checked", "esigned"]
)  # fmt: skip
_MARKED = re.compile(r"(?<=[^\W_])[-']")
_AFTER_INITIAL = re.compile(r"[ \t]{0,2}(?:$|[\n,;)|/(-]|\d)|[ \t][A-Z](?![\w])")
"""Behind an initial without full stop: "BROWN M, ward 4", "BROWN M T"."""
_SPELLED_GAP = re.compile(r"[ .\t-]{1,2}")
_NAMING = frozenset(["patient", "named", "called", "pt", "name"])
_AFTER_NAMING = re.compile(r"[,:]?[ \t]{1,2}")
_APART_GAP = re.compile(r"[ \t]{1,2}|\n|[-']| '|' |-\n")
_NEAR_LENGTH = 5
"""From this length on a part of the name is found with one letter wrong, lost, doubled or swapped."""
_FUNCTION_WORDS = frozenset(
    ["a", "an", "and", "as", "at", "but", "by", "do", "for", "if", "in", "is", "it", "no", "not", "of", "on", "or",
     "so", "the", "to", "up", "we", "he", "she", "they", "this", "that", "there", "these", "then", "what", "when",
     "which", "who", "de", "la", "el", "di", "da", "du", "del", "van", "von"]
)  # fmt: skip


@dataclass
class NameTable:
    """What the words of a text are looked up in; filled once per patient by `add`."""

    strong: set[str] = field(default_factory=set)  # skeletons that are the name wherever they stand
    weak: set[str] = field(default_factory=set)  # lower-case words that are also ordinary words, or short
    initials: set[str] = field(default_factory=set)
    dotted: set[str] = field(default_factory=set)  # initials in the order of the name: "jms", "js"
    unspaced: set[str] = field(default_factory=set)  # names in scripts without spaces, as written
    broken: set[str] = field(default_factory=set)  # in lower case: names whose marks an encoding broke
    joined: set[str] = field(default_factory=set)  # skeletons of parts of several words written as one
    pairs: set[tuple[str, str]] = field(default_factory=set)  # two parts of one name that are also ordinary words
    near: dict[str, tuple[str, ...]] = field(default_factory=dict)  # a long part without one letter -> the parts

    def find(self, tokens: Tokens) -> Iterator[Finding]:
        """Findings in a text."""
        yield from _Pass(self, tokens).find()
        for written in self.unspaced:
            start = tokens.text.find(written)
            while start >= 0:
                yield Finding(start, start + len(written), "NAME")
                start = tokens.text.find(written, start + len(written))
        yield from self._find_broken(tokens.text)

    def _find_broken(self, text: str) -> Iterator[Finding]:
        if not self.broken:
            return
        low = text.lower()
        if len(low) != len(text):  # positions would be wrong
            low = text
        for written in sorted(self.broken):
            start = low.find(written)
            while start >= 0:
                end = start + len(written)
                if not low[start - 1 : start].isalpha() and not low[end : end + 1].isalpha():
                    yield Finding(start, end, "NAME")
                start = low.find(written, start + 1)

    def add(self, value: str) -> None:
        """Take in a name as a field holds it: ``Last^First^Middle``, ``Last, First`` or ``First Last``."""
        for group in value.split("="):  # DICOM PS3.5 6.2.1: alphabetic, ideographic, phonetic
            folded = fold(group).text
            if folded.strip() and not _LATIN.search(folded):
                self.unspaced |= {
                    piece
                    for piece in ("".join(TOKEN.findall(folded)), " ".join(TOKEN.findall(folded)))
                    if len(piece) > 1
                }
                self.unspaced |= {piece for piece in TOKEN.findall(folded) if len(piece) > 1}
                continue
            self.broken |= {
                fold(one).text.lower() for part in re.split(r"[\s^,=]+", group) for one in broken_forms(part)
            }
            folded = _NUMBERED.sub(" ", folded)
            pieces = [piece for piece in re.split(r"[\s^,_]+", folded) if piece]
            parts = [part.lower() for piece in pieces for part in TOKEN.findall(piece)]
            parts = [part for part in parts if part not in words().not_parts]
            for component in re.split(r"[\^,]", folded):  # Van der Berg and De La Cruz without blanks
                if len(TOKEN.findall(component)) > 1:
                    self.joined.add(skeleton("".join(TOKEN.findall(component))))
                    self._add_part("".join(TOKEN.findall(component)).lower())
            for part in parts:
                self._add_part(part)
            for piece in pieces:  # O'Brien, Smith-Jones and McDonald without their mark
                joined = "".join(TOKEN.findall(piece)).lower()
                if joined and joined not in words().not_parts:
                    self._add_part(joined)
            self._add_runs(parts[:5])
            weak = [part for part in parts if part in self.weak and (len(part) > 2 or part not in _FUNCTION_WORDS)]
            self.pairs |= set(permutations(weak, 2))

    def _add_part(self, part: str) -> None:
        for written in (part, *words().nicknames.get(part, ())):
            if len(written) == 1:
                self.initials.add(written)
                continue
            self.initials.add(written[0])
            if len(written) < 3 or written in words().ordinary or written in words().prefixes:
                self.weak.add(written)
            else:
                self.strong.add(skeleton(written))
                if len(written) >= _NEAR_LENGTH and written.isalpha():
                    for short in {written, *_without_one(written)}:
                        self.near[short] = tuple(sorted({*self.near.get(short, ()), written}))

    def _add_runs(self, parts: Sequence[str]) -> None:
        """Parts written as one word, initials with a surname (jsmith), and initials alone (J.M.S.)."""
        for first, second in permutations(parts, 2):
            for run in (first + second, first[0] + second, first + second[0]):
                if len(run) >= 5 and len(max(first, second, key=len)) >= 4:
                    self.strong.add(skeleton(run)) if run not in words().ordinary else None
        if len(parts) >= 2:
            for order in (parts, [*parts[1:], parts[0]]):
                short = {"".join(part[0] for part in order), order[0][0] + order[-1][0]}
                self.dotted |= {letters for letters in short if letters not in words().not_initials}


def broken_forms(word: str) -> set[str]:
    """A word with marks as it looks when an encoding is mistaken for another, or loses what it cannot write."""
    if word.isascii() or not _LATIN.search(word):
        return set()
    forms = set()
    for whole in {
        unicodedata.normalize("NFC", word),
        unicodedata.normalize("NFC", word).upper(),
        unicodedata.normalize("NFD", word),
    }:
        for mistaken in ("mac_roman", "cp437", "cp850"):
            forms.add(whole.encode("utf-8").decode(mistaken, errors="ignore"))
        forms |= {
            "".join(letter if letter.isascii() else lost for letter in whole)
            for lost in ("?", "\ufffd", "_", "??", " ", "#")
        }
    plain = fold(word).text.lower()
    return {form for form in forms if len(form) > 2 and fold(form).text.lower() != plain and not form.isalpha()}


def _without_one(word: str) -> set[str]:
    """The word without each of its letters."""
    return {word[:index] + word[index + 1 :] for index in range(len(word))}


@lru_cache(maxsize=1 << 16)
def skeleton(word: str) -> str:
    """A word as a careless reader sees it: digits for look-alike letters, ae, oe and ue for umlauts."""
    low = word.lower().translate(_OCR) if len(word) >= 4 else word.lower()
    for pair, letter in (("ae", "a"), ("oe", "o"), ("ue", "u")):
        low = low.replace(pair, letter)
    return low


@lru_cache(maxsize=1 << 16)
def _skeletons(word: str) -> tuple[str, ...]:
    """The skeletons of a word, with and without the digits around it."""
    bare = word.strip("0123456789")
    return (skeleton(word), skeleton(bare)) if bare != word and len(bare) >= 3 else (skeleton(word),)


@lru_cache(maxsize=1 << 15)
def _misspelt(word: str) -> tuple[str, ...]:
    """What a word may be short of a letter of a name for; nothing for a word of the language."""
    is_candidate = len(word) >= _NEAR_LENGTH - 1 and word.isalpha() and not is_word(word)
    return (word, *_without_one(word)) if is_candidate else ()


@lru_cache(maxsize=1 << 15)
def _written(word: str) -> tuple[str, ...]:
    return (*_skeletons(word), *_misspelt(word))


class _Pass:
    """One pass over the words of a text for the names of one patient."""

    def __init__(self, names: NameTable, tokens: Tokens) -> None:
        self.names, self.text, self.tokens, self.places = names, tokens.text, tokens.words, tokens.places
        self._gap = tokens.gap
        self.hits: set[int] = set()

    def find(self) -> Iterator[Finding]:
        if not (self.names.strong or self.names.weak):
            return
        known = self.names.strong | self.names.near.keys()
        found = [word for word in self.places if not known.isdisjoint(_written(word)) and self._is_hit(word)]
        self.hits = {index for word in found for index in self.places[word] if not self._is_eponym(index)}
        yield from self._joined()
        yield from self._apart()
        candidates = [index for word in self.names.weak & self.places.keys() for index in self.places[word]]
        before = -1
        while before != len(self.hits):  # a weak part beside a weak part that is a hit is a hit: at most one pass each
            before = len(self.hits)
            self.hits |= {index for index in candidates if index not in self.hits and self._is_person(index)}
        self.hits |= set(self._initials())
        yield from (Finding(self.tokens[index][0], self.tokens[index][1], "NAME") for index in sorted(self.hits))
        yield from self._dotted()
        yield from self._initialled()

    def _is_hit(self, word: str) -> bool:
        return not self.names.strong.isdisjoint(_skeletons(word)) or self._is_misspelt(word)

    def _is_misspelt(self, word: str) -> bool:
        """Whether one slip of the pen makes a long part of the name of this word, which is none of the language."""
        parts = {part for short in _misspelt(word) for part in self.names.near.get(short, ())}
        return any(OSA.distance(word, part, score_cutoff=1) <= 1 for part in parts)

    def _apart(self) -> Iterator[Finding]:
        """Parts of several words whose blank has slipped or that lost a letter: "te nBoom", "van 't Hof"."""
        for name in self.names.joined if self.names.joined else ():
            for index in sorted(at for low, ats in self.places.items() if low[0] == name[0] for at in ats):
                written = ""
                for stop in range(index, min(index + 4, len(self.tokens))):
                    if stop > index and not _APART_GAP.fullmatch(self._gap(stop - 1)):
                        break
                    written += self.tokens[stop][2]
                    if stop > index and abs(len(written) - len(name)) <= 1 and self._is_slip(skeleton(written), name):
                        yield Finding(self.tokens[index][0], self.tokens[stop][1], "NAME")

    def _is_slip(self, written: str, name: str) -> bool:
        return written == name or (len(name) >= _NEAR_LENGTH + 1 and OSA.distance(written, name, score_cutoff=1) <= 1)

    def _joined(self) -> Iterator[Finding]:
        """Names cut by a hyphen or line break, or by a blank after Mc or van, or with blanks between all letters."""
        prefixed = {index for word in words().prefixes & self.places.keys() for index in self.places[word]}
        marked = {bisect_left(self.tokens, (match.start() + 1,)) - 1 for match in _MARKED.finditer(self.text)}
        for index in sorted(marked | prefixed):
            if index < 0 or index + 1 >= len(self.tokens):
                continue
            start, _, token = self.tokens[index]
            if self._gap(index).strip(" \t\n") in ("", "-", "'"):
                _, stop, following = self.tokens[index + 1]
                if len(self._gap(index)) <= 4 and skeleton(token + following) in self.names.strong:
                    yield Finding(start, stop, "NAME")
        singles = sorted(index for word, places in self.places.items() if len(word) == 1 for index in places)
        run: list[int] = []
        for index in [*singles, len(self.tokens)]:
            if run and index == run[-1] + 1 and index < len(self.tokens) and _SPELLED_GAP.fullmatch(self._gap(run[-1])):
                run.append(index)
                continue
            if len(run) >= 4:
                yield from self._spelled(run)
            run = [index]

    def _spelled(self, run: Sequence[int]) -> Iterator[Finding]:
        letters = skeleton("".join(self.tokens[index][2] for index in run))
        for name in self.names.strong:
            at = letters.find(name) if len(name) >= 4 else -1
            if at >= 0 and at + len(name) <= len(run):
                yield Finding(self.tokens[run[at]][0], self.tokens[run[at + len(name) - 1]][1], "NAME")

    def _is_person(self, index: int) -> bool:
        """Whether an ordinary word that is also the name stands here as the name."""
        token = self.tokens[index][2]
        if self._is_eponym(index):
            return False
        if self._is_across(index, index + 2) or self._is_across(index - 2, index):
            return True
        for neighbour in (index - 1, index + 1):
            if 0 <= neighbour < len(self.tokens) and self._beside(index, neighbour):
                return True
        if (
            index
            and self.tokens[index - 1][2].lower() in words().titles
            and (token[0].isupper() or self._gap(index - 1).startswith("."))
        ):
            title = self.tokens[index - 1][2]
            if re.fullmatch(r"\.?[ \t\n]{1,3}", self._gap(index - 1)) and not (
                title.isupper()
                and len(title) == 2
                and "." not in self._gap(index - 1)
                and token.lower() in heading_words()  # MR HEAD, and MR BROWN
            ):
                return True
        if self._beside_initial(index):
            return True
        if not (token[0].isupper() and token[1:].islower()):
            return False
        if index and self.tokens[index - 1][2].lower() in _NAMING and _AFTER_NAMING.fullmatch(self._gap(index - 1)):
            return True
        if (
            index + 1 < len(self.tokens)
            and self.tokens[index + 1][2].lower() in words().person_verbs
            and token.lower() not in _FUNCTION_WORDS
        ):
            return self._gap(index) == " "
        if token.lower() not in words().ordinary:
            return True  # short names such as Li or Vu: no word of the language
        start = self.tokens[index][0]
        before = self.text[max(0, start - 3) : start].rstrip(" \t")
        return bool(before) and before[-1] not in ".:;!?\n-*)(•#," and len(token) > 2

    def _is_across(self, first: int, last: int) -> bool:
        """Whether two ordinary words are the name with a middle one, an initial or a suffix between: "Mark T Brown"."""
        if first < 0 or last >= len(self.tokens):
            return False
        one, middle, other = (self.tokens[place][2] for place in (first, first + 1, last))
        if (one.lower(), other.lower()) not in self.names.pairs:
            return False
        if not all(_PAIR_GAP.fullmatch(self._gap(place)) for place in (first, first + 1)):
            return False
        is_written = one[0].isupper() and other[0].isupper()
        return is_written and (middle[0].isupper() or middle.lower() in _BETWEEN)

    def _beside_initial(self, index: int) -> bool:
        """Whether an initial of the name with its full stop stands beside the capitalised word: "Root, D.", "E. Small"."""  # noqa: E501
        if not self.tokens[index][2][0].isupper():
            return False
        for place, gaps in ((index - 1, (". ", ".")), (index + 1, (", ", ",", " "))):
            if not 0 <= place < len(self.tokens) or self._gap(min(place, index)) not in gaps:
                continue
            letter, end = self.tokens[place][2], self.tokens[place][1]
            if (
                len(letter) == 1
                and letter.isupper()
                and letter.lower() in self.names.initials
                and self.text[end : end + 1] == "."
            ):
                return True
        following = self.tokens[index + 1] if index + 1 < len(self.tokens) else (0, 0, "")
        letters = following[2]
        is_initial = 0 < len(letters) < 3 and letters.isupper() and self.names.initials.issuperset(letters.lower())
        return (
            is_initial and self._gap(index) in (" ", ", ", ",") and bool(_AFTER_INITIAL.match(self.text, following[1]))
        )

    def _beside(self, index: int, neighbour: int) -> bool:
        """Whether the next word is another part of the name, with no more than a comma or an initial between."""
        gap = self._gap(min(index, neighbour))
        first, second = (self.tokens[place][2] for place in sorted((index, neighbour)))
        if (first.lower(), second.lower()) in self.names.pairs and _PAIR_GAP.fullmatch(gap):
            return "." not in gap or gap == "." or (first[0].isupper() and second[0].isupper())  # Pt: Brown. Mark
        if not _NAME_GAP.fullmatch(gap) or "." in gap:
            return False
        if neighbour in self.hits:
            return True
        other, own = self.tokens[neighbour][2].lower(), self.tokens[index][2].lower()
        both_capital = self.tokens[neighbour][2][0].isupper() and self.tokens[index][2][0].isupper()
        if other in self.names.weak and other != own and both_capital:
            return not {other, own} <= _FUNCTION_WORDS
        return False

    def _is_eponym(self, index: int) -> bool:
        """Whether the word is part of the name of a disease or structure: "Baker's cyst", "Hill-Sachs"."""
        low = [self.tokens[place][2].lower() for place in range(index, min(index + 3, len(self.tokens)))]
        following = words().eponyms.get(low[0], frozenset())
        nexts = low[2:] if low[1:2] == ["s"] and self._gap(index) == "'" else low[1:]
        if nexts and nexts[0] in following and "." not in self._gap(index):
            return True
        before = self.tokens[index - 1][2].lower() if index else ""
        return low[0] in words().eponyms.get(before, ()) and self._gap(index - 1) in ("-", " ")

    def _initials(self) -> Iterator[int]:
        """Initials beside a part of the name: "J. Smith", "SMITH, J M"."""
        for hit in sorted(self.hits):
            for step in (-1, 1):
                place = hit + step
                for _ in range(3):
                    if not (0 <= place < len(self.tokens)) or not self._is_initial(place, step):
                        break
                    yield place
                    place += step

    def _is_initial(self, place: int, step: int) -> bool:
        token = self.tokens[place][2]
        if len(token) != 1 or not token.isupper() or token.lower() not in self.names.initials:
            return False
        gap = self._gap(place if step < 0 else place - 1)
        if step < 0:
            return bool(re.fullmatch(r"\.?[ \t]{0,2}", gap))
        dot = self.text[self.tokens[place][1] : self.tokens[place][1] + 1] == "."
        return bool(re.fullmatch(r",?[ \t]{1,2}", gap)) and (dot or token not in ("A", "I"))

    def _initialled(self) -> Iterator[Finding]:
        """The initials of a known name behind what only people do: "Signed: SSH"."""
        for letters in self.names.dotted & self.places.keys():
            for index in self.places[letters]:
                start, end, word = self.tokens[index]
                if index and word.isupper() and self.tokens[index - 1][2].lower() in _INITIALLED:
                    yield Finding(start, end, "NAME")

    def _dotted(self) -> Iterator[Finding]:
        if not _DOTTED.search(self.text):
            return
        for letters in self.names.dotted:
            pattern = r"(?<!\w)" + r"\.[ ]?".join(re.escape(letter.upper()) for letter in letters) + r"\.(?!\w)"
            for match in re.finditer(pattern, self.text):
                yield Finding(match.start(), match.end() - 1, "NAME")
