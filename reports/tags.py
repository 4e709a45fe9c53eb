"""Regions and laterality of a sentence.

Enters: the words of a sentence and the sub-heading it stands under. Leaves: `Tags`. Refuses: to guess; a sentence that
names no anatomy under no organ heading has no region.

Laterality is the patient's. A side belongs to the structure it precedes ("left kidney and ureter"), else to the one
it follows ("stone in the kidney on the left"). A paired organ in the plural and without a side means both. The names
of heart chambers and coronary arteries ("left ventricle") are names, not sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from reports.grammar import ENGLISH, Grammar, grammar
from reports.mentions import Mention, Mentions, find_mentions
from reports.records import Laterality
from reports.regions import region_tree
from reports.vocabulary import Word, vocabulary

_GENERAL = frozenset({"bones", "muscles", "vessels"})
_SPECIFIC = {
    "bones": (
        "limbs",
        "spine",
        "ribs",
        "sternum",
        "clavicula_left",
        "clavicula_right",
        "pelvic_bones",
        "skull",
        "face",
    ),
    "muscles": ("limbs",),
}
"""Where a general tissue is when the sentence names such a place."""
_PREFIX_REACH = 5
_BILATERAL_REACH = 8
"""Words; an adjective of both sides may stand before others: "bilateral, subpleural and basal reticulation"."""
_SUFFIX_REACH = 20

_Side = tuple[int, int, str]


class Tags(NamedTuple):
    """What a sentence is about.

    Parameters
    ----------
    regions : tuple of str
        Codes of `reports.regions`, sorted.
    laterality : str or None
        left, right, bilateral.
    mentions : Mentions
        Where the words stand; findings are what the assertion judges.
    """

    regions: tuple[str, ...]
    laterality: Laterality | None
    mentions: Mentions


class Context(NamedTuple):
    """The organ sub-heading a sentence stands under.

    Parameters
    ----------
    mentions : tuple of Mention
        What the heading names, its sides settled.
    is_own : bool
        The heading introduces this very sentence, so it may narrow what the sentence names; later sentences of the
        paragraph only learn the side of the same structure from it.
    """

    mentions: tuple[Mention, ...] = ()
    is_own: bool = True


NO_CONTEXT = Context()


def tag_sentence(
    words: Sequence[Word],
    mentions: Mentions,
    *,
    context: Context = NO_CONTEXT,
    body_start: int = 0,
    is_normal: bool = False,
    language: str = ENGLISH,
) -> Tags:
    """Regions and laterality of one sentence.

    Parameters
    ----------
    words : sequence of Word
        Words of the sentence.
    mentions : Mentions
        What they name.
    context : Context
        Inherited where the sentence names no anatomy of its own.
    body_start : int
        Index of the first word after a sub-heading that is part of the sentence's text.
    is_normal : bool
        The sentence denies or clears: under "KIDNEYS:" that holds for both, whereas a cyst is in one of them.
    language : str
        One of `reports.grammar.tagged_languages`.
    """
    small = grammar(language)
    own = _without_nouns_of_others([mention for mention in mentions.anatomy if mention.start >= body_start])
    free = _merge_compared([side for side in mentions.sides if side[0] >= body_start], words, small)
    if not own and not context.mentions:
        return Tags((), _laterality({side for _, _, side in free}, (), set()), mentions)
    sides = _settle_sides(own, free, words, small)
    headed_side = next((m.side for m in context.mentions if m.kind == "side"), "")
    if headed_side:
        sides = [
            s or ({headed_side} if _has_sides(m.stem) and not m.side else s) for m, s in zip(own, sides, strict=True)
        ]
    pairs = list(zip(own, _shared_sides(own, sides, words, small), strict=True))
    strong = [(m, s) for m, s in pairs if m.kind != "weak"]
    weak = [(m, s) for m, s in pairs if m.kind == "weak"]
    # an effusion beside a lung is a pleural one, beside a knee it is not
    strong += [(m, s) for m, s in weak if strong and m.stem == "pleura" and _all_within(strong, "chest")]
    spoken = {side for _, _, side in free} | {m.side for m in own if m.side} or {headed_side} - {""}
    named = [m for m in context.mentions if m.kind not in ("weak", "side")]
    inherited = [(m, spoken or ({m.side} if m.side else set())) for m in named]
    if not is_normal:
        inherited = [(_one_of_pair(m) if not s else m, s) for m, s in inherited]
    regions = _codes(strong)
    if regions and named:
        both = _codes([(m, s) for m, s in strong if m.kind == "pair" and not s])
        headed = _codes([(m, s) for m, s in inherited if s or m.kind != "pair" or is_normal])
        regions = both | _sharpen(regions - both, headed, is_own=context.is_own)
        if context.is_own and _is_about_heading(mentions, strong, words, body_start, small):
            regions |= _elsewhere(headed, regions)
    elif named:
        tree = region_tree()
        placed = [(m, s) for m, s in weak if any(tree.is_within(m.stem, one.stem) for one in named if one.stem in tree)]
        regions = _sharpen(_codes(placed), _codes(inherited), is_own=True) if placed else _codes(inherited)
    if not regions:
        regions = _codes(weak)
    regions -= _unspecific(regions, strong)
    laterality = _laterality(spoken, strong or inherited, regions)
    if laterality is None and regions & _codes(inherited):  # "Left maxillary sinus: mucosal thickening"
        laterality = _laterality(set(), inherited, set())
    return Tags(tuple(sorted(regions)), laterality, mentions)


def _is_about_heading(
    mentions: Mentions,
    strong: Sequence[tuple[Mention, set[str]]],
    words: Sequence[Word],
    body_start: int,
    small: Grammar,
) -> bool:
    """Whether a finding with no place of its own comes before the first place: "Liver: Gas, in the veins"."""
    first = min((m.start for m, _ in strong), default=0)
    return any(
        body_start <= start and end <= first and any(w.lower in small.separators for w in words[end:first])
        for start, end in mentions.findings
    )


def _elsewhere(headed: set[str], regions: set[str]) -> set[str]:
    """What of the heading neither holds nor lies in one of `regions`."""
    tree = region_tree()
    return {
        code for code in headed if not any(tree.is_within(code, one) or tree.is_within(one, code) for one in regions)
    }


def _unspecific(regions: set[str], mentions: Sequence[tuple[Mention, set[str]]]) -> set[str]:
    """ "bones" where the sentence names the bone, unless they stand in a list or are a finding of their own."""
    if regions.isdisjoint(_SPECIFIC):
        return set()
    tree = region_tree()
    listed = {m.stem for m, _ in mentions if m.is_listed or m.kind == "finding"}
    return {
        general
        for general, places in _SPECIFIC.items()
        if general in regions - listed and any(tree.is_within(one, place) for one in regions for place in places)
    }


def _shared_sides(
    own: Sequence[Mention], sides: Sequence[set[str]], words: Sequence[Word], small: Grammar
) -> list[set[str]]:
    """The side of a lobe for the effusion "associated" with it."""
    shared = list(sides)
    given: set[str] = set()
    for index, mention in enumerate(own):
        is_open = not shared[index] and mention.kind in ("finding", "weak") and _has_sides(mention.stem)
        if is_open and len(given) == 1:  # so it is not the first
            end = mention.end + 1 if small.is_side_behind else mention.start  # "derrame pleural asociado"
            between = {word.lower for word in words[own[index - 1].end : end]}
            if between & small.beside and not between & (small.separators - small.with_words - {","}):
                shared[index] = set(given)
        given |= shared[index]
        if mention.side:
            given.add(mention.side)
    return shared


def _all_within(mentions: Sequence[tuple[Mention, set[str]]], region: str) -> bool:
    tree = region_tree()
    return all(tree.is_within(code, region) for code in _codes(mentions))


def _one_of_pair(mention: Mention) -> Mention:
    """A plural as the singular it is made of, where that has a code: which of the kidneys has the cyst is open."""
    is_open = mention.kind == "pair" and mention.stem in region_tree()
    return mention._replace(kind="anatomy") if is_open else mention


def _without_nouns_of_others(anatomy: list[Mention]) -> list[Mention]:
    """ "bone" in "facial bone" is no bone of its own."""
    if not any(mention.stem in _GENERAL for mention in anatomy):
        return anatomy
    ends = {mention.end for mention in anatomy}
    return [mention for mention in anatomy if not (mention.stem in _GENERAL and mention.start in ends)]


def heading_mentions(text: str, words: Sequence[Word], language: str = ENGLISH) -> tuple[Mention, ...]:
    """The anatomy a sub-heading names, its sides settled; its one side is also that of what has none of its own."""
    mentions = find_mentions(text, words, language=language)
    settled = _settle_sides(mentions.anatomy, list(mentions.sides), words, grammar(language))
    only = {side for _, _, side in mentions.sides}
    return tuple(
        m._replace(side=next(iter(s)) if len(s) == 1 else ("bilateral" if s else m.side))
        for m, s in zip(mentions.anatomy, (s or (only if len(only) == 1 else s) for s in settled), strict=True)
    )


def _merge_compared(sides: list[_Side], words: Sequence[Word], small: Grammar) -> list[_Side]:
    """ "right greater than left" is both sides."""
    merged: list[_Side] = []
    for start, end, side in sides:
        if (
            merged
            and merged[-1][1] < start
            and all(w.lower in small.comparatives for w in words[merged[-1][1] : start])
        ):
            merged[-1] = (merged[-1][0], end, "bilateral")
        else:
            merged.append((start, end, side))
    return merged


def _settle_sides(
    anatomy: Sequence[Mention], sides: Sequence[_Side], words: Sequence[Word], small: Grammar
) -> list[set[str]]:
    """The sides of each mention; empty where none is said."""
    settled: list[set[str]] = []
    used: set[_Side] = set()
    for index, mention in enumerate(anatomy):
        if mention.side or not _has_sides(mention.stem):
            settled.append({mention.side} if mention.side else set())
            continue
        previous = anatomy[index - 1] if index else None
        before = _side_before(mention, previous, sides, words, small) if sides and not small.is_side_behind else None
        if before:
            used.add(before)
            settled.append({before[2]})
        elif (
            previous
            and _is_coordinated(previous, mention, words, small)
            and settled[-1]
            and (mention.kind != "pair" or previous.is_elliptic)
        ):
            settled.append(set(settled[-1]))
        else:
            settled.append(set())
    for index, mention in enumerate(anatomy) if sides else ():
        if mention.side or not _has_sides(mention.stem):
            continue
        after = _sides_after(index, anatomy, [side for side in sides if side not in used], words, small)
        if settled[index]:  # "left kidney is normal and right has a cyst": a side with no noun of its own
            settled[index] |= {side[2] for side in after if not _has_noun(side, anatomy)}
        else:
            settled[index] = {side[2] for side in after} or _side_announced(mention, sides, words, small)
    return settled


def _has_noun(side: _Side, anatomy: Sequence[Mention]) -> bool:
    return any(0 <= mention.start - side[1] <= _PREFIX_REACH for mention in anatomy)


@cache
def _has_sides(stem: str) -> bool:
    is_sided = stem.endswith(("_left", "_right"))
    return not is_sided and any(region_tree().sided(stem, side) is not None for side in ("left", "right"))


def _side_before(
    mention: Mention, previous: Mention | None, sides: Sequence[_Side], words: Sequence[Word], small: Grammar
) -> _Side | None:
    """The side word that stands straight before: ``left renal``, ``right anterior mid pole``."""
    for side in reversed(sides):
        if side[1] > mention.start:
            continue
        between = words[side[1] : mention.start]
        has_noun_between = previous is not None and side[1] <= previous.start < mention.start
        is_both = side[2] == "bilateral"
        reach, stops = (_BILATERAL_REACH, small.separators - {","}) if is_both else (_PREFIX_REACH, small.separators)
        if len(between) > reach or has_noun_between or any(w.lower in stops for w in between):
            return None
        return side
    return None


def _is_coordinated(previous: Mention, mention: Mention, words: Sequence[Word], small: Grammar) -> bool:
    return previous.end <= mention.start and all(
        w.lower in small.joints_and_articles for w in words[previous.end : mention.start]
    )


def _sides_after(
    index: int, anatomy: Sequence[Mention], sides: Sequence[_Side], words: Sequence[Word], small: Grammar
) -> list[_Side]:
    """Side words behind a mention that belong to no later one: ``effusion on the left``, ``kidneys bilaterally``."""
    end = last = anatomy[index].end
    limit = len(words)
    for mention in anatomy[index + 1 :]:
        if mention.start < end or not _has_sides(mention.stem):
            continue
        if not all(word.lower in small.joints_and_articles for word in words[last : mention.start]):
            limit = mention.start
            break
        last = mention.end  # the side reaches over coordinated nouns: "kidneys and ureters bilaterally"
    found: list[_Side] = []
    for side in sides:
        if end <= side[0] < limit:
            if side[0] - end > _SUFFIX_REACH or any(word.lower == ";" for word in words[end : side[0]]):
                break
            found.append(side)
    return found


def _side_announced(mention: Mention, sides: Sequence[_Side], words: Sequence[Word], small: Grammar) -> set[str]:
    """ "On the left, there is an effusion": a side set in front of the statement."""
    before = [side for side in sides if side[1] <= mention.start]
    if before:
        start, end, side = before[-1]
        opens = start == 0 or words[start - 1].lower in small.announces
        if opens and end < len(words) and words[end].lower in small.announced:
            return {side}
    return set()


def _codes(mentions: Sequence[tuple[Mention, set[str]]]) -> set[str]:
    """Region codes; one that contains another of them is left out, unless it is a named pair or listed."""
    tree = region_tree()
    found: set[str] = set()
    kept: set[str] = set()
    for mention, sides in mentions:
        codes = _mention_codes(mention.stem, mention.kind == "pair", mention.numbers, frozenset(sides))
        found |= codes
        if mention.kind == "pair" or mention.is_listed:
            kept |= codes
    if len(found) < 2:
        return found
    containing = {ancestor for code in found for ancestor in tree.ancestors(code)}
    return {code for code in found if code not in containing or code in kept}


@lru_cache(maxsize=1 << 14)
def _mention_codes(stem: str, is_pair: bool, numbers: tuple[int, ...], sides: frozenset[str]) -> frozenset[str]:
    """Region codes of one mention on its sides."""
    tree, both = region_tree(), ("left", "right")
    wanted = both if "bilateral" in sides or (is_pair and not sides) else tuple(sorted(sides))
    codes = {code for side in wanted if (code := tree.sided(stem, side)) is not None}
    if numbers and codes:
        codes = {f"rib_{side}_{number}" for side in wanted for number in numbers}
    if codes and _has_sides(stem):
        return frozenset(codes)
    return frozenset({stem if stem in tree else vocabulary().unsided[stem]})


def _sharpen(regions: set[str], headed: set[str], *, is_own: bool) -> set[str]:
    """Under "RIGHT KIDNEY:", hydronephrosis is in the right kidney; under "C5-C6:", the canal is the canal there."""
    tree = region_tree()
    levels = {code for code in headed if tree.is_within(code, "vertebrae")}
    if levels and all(tree.is_within(code, "spine") for code in regions):
        return regions | levels if "spinal_cord" in regions else levels
    return {sharper for code in regions for sharper in (_sharper(code, headed, is_own=is_own) or {code})}


def _sharper(code: str, headed: set[str], *, is_own: bool) -> set[str]:
    """What of the heading's anatomy is inside `code`: anything for its own sentence, else `code` on one side."""
    tree = region_tree()
    if is_own:
        return {one for one in headed if one != code and tree.is_within(one, code)}
    sided = {tree.sided(code, "left"), tree.sided(code, "right")}
    return headed & sided if code not in sided else set()


def _laterality(spoken: set[str], mentions: Sequence[tuple[Mention, set[str]]], regions: set[str]) -> Laterality | None:
    sides = set(spoken)
    for mention, settled in mentions:
        sides |= settled or ({"bilateral"} if mention.kind == "pair" else set())
    if not sides:
        sides = {
            side for side in ("left", "right") for code in regions if f"_{side}" in code and "appendage" not in code
        }
    if "bilateral" in sides or {"left", "right"} <= sides:
        return "bilateral"
    return "left" if "left" in sides else "right" if "right" in sides else None
