"""Capitalised words that nothing knows: in a report's prose they are people more often than anything else.

Enters: a folded text cut into words. Leaves: findings. Refuses: words of the language, of medicine by their form,
eponyms, makers, drugs, what a noun of diseases, devices or a dose follows; texts in a language without lists, where
everything is strange.

No sign is asked for, so only some places count: within a sentence ("seen by the Okwuosa firm"), where only names are
written large; alone between marks ("Firm: Okwuosa/Pettersson", "[Okwuosa]"), where no sentence begins; and where a
sentence begins with what only somebody does ("Okwuosa to review"). A word of the lists of names needs no place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache

from reports.deid.cues import Grade, cue_table, cues, grade, heading_words
from reports.deid.findings import Finding
from reports.deid.tokens import Tokens
from reports.deid.words import words

_TITLE_CASE = re.compile(r"[A-Z][a-z]{1,}|(?:Mc|Mac|De|Di|Van|Le|La|Fitz)[A-Z][a-z]{2,}")
_WITHIN = re.compile(r",?[ \t]{1,3}|[ \t]{0,2}\n[ \t]{0,4}")
_OPENS = re.compile(r"[:=/(\[<>{~&|\n*.#@\"'+-]?")
"""Behind one of these a word may stand alone."""
_INITIAL = re.compile(r"(?:(?<=[^\w.])|^)[A-Z]\.?[ \t]{0,2}$")
"""An initial in front of a word."""
_CLOSES = re.compile(
    r"[ \t]{0,2}(?:[/(\[)\]<>}|&~;\n\"'+]|$|(?:[01]\d|2[0-3])[0-5]\d(?![\w.,])|[ ][A-Z]\.?(?![\w])|(?:19|20)\d\d(?!\d)"
    r"|\d{1,2}(?:[:h]\d\d|[/.]\d{1,2}[/.]\d)|@|\d{4} ?h|[ap]m\b|twin\b"
    r"|[.,][ \t]{0,2}(?:\n|$|(?:19|20)\d\d(?!\d)|[A-Z]{1,2}(?![\w])))"
)
_DOES = re.compile(
    r" (?:(?:was |were )?made aware|aware|and (?:I|me|myself)\b|reviewed\b|agrees?\b|addendum\b"
    r"|to (?:review|chase|follow|call|see|discuss|contact|arrange|inform|confirm|check|advise|decide|repeat|attend)\b"
    r"|(?:has|have) (?:seen|reviewed|read|agreed|asked|called)\b"
    r"|will (?:chase|review|see|call|follow|arrange|discuss|contact|inform)\b"
    r"|(?:from|in|of|at) [a-z]{4,16} (?:called|rang|phoned|aware|informed|asked|agreed|notified))"
    r"|'s (?:CT|MRI?|scan|images?|study|report|films?|clinic|list|team|patient|request|opinion|mother|father|wife)\b"
    r"|: ?(?:agreed?|concur|noted|no change|ok|yes)\b"
)
"""What only people do, behind the first word of a sentence."""
_MEDICAL = re.compile(
    r"(?:hyper|hypo|endo|extra|inter|intra|multi|non|peri|supra|trans|poly|micro|macro|neuro|cardio|broncho|hepato|pneumo"
    r"|haemo|hemo|hydro|osteo|arthro|chondro|fibro|angio|arterio|veno|thrombo|athero|cholecysto|thoraco|retro|immuno"
    r"|chemo|radio|hetero|homo|pyelo|epi|dys|tachy|brady|lympho|myelo|spondylo|meningo|encephalo)[a-z]{4,}"
    r"|[a-z]{2,}(?:ous|ity|ism|itis|osis|asis|emia|pathy|plasty|ectomy|otomy|ostomy|gram|graphy|scopy|tropic|cyte|cytes"
    r"|tion|tions|sion|ness|ular|form|megaly|rrhage|rrhea|cele|celes|omas|omata|olol|pril|sartan|statin|azole|cillin|mycin"
    r"|micin|oxacin|cycline|gliptin|dipine|zepam|zolam|caine|thiazide|semide|profen|olone|asone|idine|etine|ated|uria"
    r"|algia|plegia|trophy|plasia|stasis|lysis|ectasis|ectasia|ectatic|opathic|genic|phagia|pnea|cardia|thorax|bilia"
    r"|coele|sclerosis|physis|desis|pexy|ally|ically|phasic|enhancing|terone|amine|edema)"
)  # fmt: skip
"""Words formed as medicine forms them; asked only of words that no list has."""
_FORMED = re.compile(
    r"(?:ed|ary|ory|ics?|al|ive|ences?|ents?|iles?|[ai]ble|ing|[iy]ne|ia|us|is|es|um|ates?|ols?|ions?|ly|ment|body|wall)$"
)
"""How words end that are no names, in a text of capitals."""
_DOSE = re.compile(
    r"[- ]?\d{1,4}(?:[.,]\d{1,3})?[ -]?(?:mg|mcg|g|ml|cc|%|units?|meq|iu|tab|cap|fr|gauge)\b", re.IGNORECASE
)
_SHORT_THING = re.compile(
    r"[IVX]{1,4}[a-d]?\b|[A-Z][a-z]{1,2}\.?[ -]?\d|(?:[FHRDSTB]x|[CL]a|[CR]o|[SP]t"
    r"|Se|Im|Fr|Hb|Na|Cl|Mg|Ga|Tc|Lu|Ra|Fl|Ex)\b"
)
"""Stages, numbers of series, sizes of catheters, elements, short forms."""


def find_strangers(tokens: Tokens) -> Iterator[Finding]:
    """Words that are only names, and capitalised ones that nothing knows where they stand as names."""
    places = [at for at in tokens.capitals if _strangeness(tokens.words[at][2]) is not Grade.WORD]
    names = [low for low in tokens.places if _is_only_name(low)]
    if not (places or names) or tokens.is_foreign:
        return
    certain = {at for low in names for at in tokens.places[low] if len(low) > 4 or not tokens.words[at][2].isupper()}
    for at in sorted(certain.union(places)):
        if (at in certain or _is_meant(tokens, at)) and not names_a_thing(tokens, at + 1):
            yield Finding(tokens.words[at][0], tokens.words[at][1], "NAME")


@lru_cache(maxsize=1 << 16)
def _is_only_name(low: str) -> bool:
    """Whether a word in lower case is in the lists of names and in no other: also dictated, without capitals."""
    return len(low) > 3 and grade(low) is Grade.NAME and _strangeness(low.capitalize()) is Grade.NAME


@lru_cache(maxsize=1 << 16)
def _strangeness(word: str) -> Grade:
    """The grade of a word written large, WORD for eponyms, makers, things, words of the lexicon and abbreviations."""
    low, level = word.lower(), grade(word.lower())
    is_capitals = word.isupper() and len(word) > 4 and level is not Grade.BOTH
    if not (is_capitals or _TITLE_CASE.fullmatch(word)) or (level is Grade.UNKNOWN and len(word) < 4):
        return Grade.WORD
    if low in cues().eponyms or low in cues().makers or low in heading_words() or is_thing(low):
        return Grade.WORD
    return Grade.WORD if level is Grade.BOTH and low in cues().alone else level


def _is_meant(tokens: Tokens, at: int) -> bool:
    """Whether a word that no list has stands where a name may."""
    if tokens.words[at][2].isupper():
        if _is_among_capitals(tokens, at):  # any word may stand there, but one that looks like none
            return not _FORMED.search(tokens.low[at]) and (_follows_capitals(tokens, at) or _is_alone(tokens, at))
        return len(tokens.words[at][2]) > 5 and _is_within(tokens, at)
    if len(tokens.words[at][2]) < 4 and _SHORT_THING.match(tokens.text, tokens.words[at][0]):
        return False
    if _is_within(tokens, at):
        return True
    if tokens.low[at] in words().ordinary:  # a sentence begins with it, or consists of it
        return False
    return _is_alone(tokens, at) or bool(_DOES.match(tokens.text, tokens.words[at][1]))


def _follows_capitals(tokens: Tokens, at: int) -> bool:
    """Whether a word stands behind another in a line of capitals: not first, where headings and their slips stand."""
    return at > 0 and tokens.gap(at - 1) in (" ", ", ", "  ", ": ") and tokens.words[at - 1][2].isupper()


def _is_among_capitals(tokens: Tokens, at: int) -> bool:
    near = [word for _, _, word in tokens.words[max(0, at - 3) : at + 4] if len(word) > 2 and word.isalpha()]
    return sum(map(str.isupper, near)) > 1


@cache
def _things() -> frozenset[str]:
    return frozenset(form for word in cue_table()["things"]["named"].split() for form in (word, f"{word}s"))


@lru_cache(maxsize=1 << 16)
def is_thing(low: str) -> bool:
    """Whether a word in lower case names a drug, a material or a people, or is formed as medicine forms its words."""
    return low in _things() or (grade(low) is Grade.UNKNOWN and _MEDICAL.fullmatch(low) is not None)


def _is_within(tokens: Tokens, at: int) -> bool:
    """Whether a word goes on a sentence: a small word or number stands before it, and no label."""
    if at == 0 or not _WITHIN.fullmatch(tokens.gap(at - 1)):
        return False
    before = tokens.words[at - 1][2]
    if "\n" in tokens.gap(at - 1):  # a line that begins large may be an item or a heading
        return before.islower() and before in _GOES_ON
    if before.islower() or (before.isdigit() and len(before) > 3):
        return True
    is_first = at == 1 or not _WITHIN.fullmatch(tokens.gap(at - 2)) or "\n" in tokens.gap(at - 2)
    goes_on = at + 1 < len(tokens.words) and tokens.gap(at) in (" ", "  ", ", ")
    following = tokens.words[at + 1][2] if goes_on else "x"
    # Engineer Okwuosa, MDT Okwuosa; not a heading in which all words begin large
    return is_first and (
        following.lower() in cues().roles or following[0].islower() or following.isdigit() or following.isupper()
    )


_GOES_ON = frozenset(["the", "by", "with", "of", "to", "from", "and", "or", "for", "dr", "in", "at", "as", "per"])


def _is_alone(tokens: Tokens, at: int) -> bool:
    """Whether a word stands alone between marks."""
    start, end, _ = tokens.words[at]
    before = tokens.text[max(0, start - 8) : start].rstrip(" \t")
    before = _INITIAL.sub("", before)
    return _OPENS.fullmatch(before[-1:]) is not None and _CLOSES.match(tokens.text, end) is not None


def names_a_thing(tokens: Tokens, stop: int) -> bool:
    """Whether a noun of diseases, signs, devices or drugs stands behind word `stop` - 1, or a dose."""
    at = stop
    for _ in range(6):  # Poschl and Stenvers planes; Gamna-Gandy bodies; Bard Denali IVC filter
        if at >= len(tokens.words):
            break
        gap, word = tokens.gap(at - 1), tokens.words[at][2]
        if _DOSE.match(tokens.text, tokens.words[at - 1][1]):
            return True
        if gap.strip(" \t\n") not in ("", "-", "'", "/", "&"):
            break
        if tokens.low[at] in cues().nouns or tokens.low[at] in _nouns():
            return "\n" not in gap or word.islower()
        if not (word[0].isupper() or tokens.low[at] in ("s", "and", "or", "de", "of")):
            break
        at += 1
    return False


@cache
def _nouns() -> frozenset[str]:
    return frozenset(cue_table()["things"]["nouns"].split())
