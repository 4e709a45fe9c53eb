"""What a sentence asserts: a finding present, absent or uncertain; a normal statement; a comparison with a prior.

Enters: the words of a sentence, the findings in it, the cues of ``lexicon/assertion.toml``. Leaves: `Judgement`.
Refuses: to reach beyond a clause.

Each finding is judged by the cues whose scope it stands in. The sentence takes its most clinically positive finding:
present before uncertain before absent. A sentence without a finding is absent if it states normality ("The liver is
unremarkable."), uncertain if it doubts or could not see, else present. What is only historical, conditional, or asked
for is uncertain: it says nothing about this picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from reports.grammar import ENGLISH, Grammar, grammar, read_data
from reports.records import Assertion
from reports.statements import Marked, Neutral, is_advice, is_measured, states_something
from reports.vocabulary import Hit, Trie, Tries, Word


class Judgement(NamedTuple):
    """What a sentence asserts.

    Parameters
    ----------
    assertion : str
        present, absent, uncertain.
    is_normal : bool
        Nothing abnormal is asserted, and something is said to be normal or absent.
    is_prior_comparison : bool
        It compares with an earlier examination.
    """

    assertion: Assertion
    is_normal: bool
    is_prior_comparison: bool


class _Rules(NamedTuple):
    phrases: Tries  # cues, normal, compared, terminators, limited
    restart: frozenset[str]
    verbs: frozenset[str]
    alone: frozenset[str]
    joints: frozenset[str]
    conditions: frozenset[str]
    be: frozenset[str]
    not_words: frozenset[str]
    not_denied: frozenset[str]
    taken: frozenset[str]
    denials: frozenset[tuple[str, ...]]
    not_deniable: frozenset[str]
    none_of: Trie[str]
    none: Trie[str]
    past: Trie[str]
    current: frozenset[str]
    tells: frozenset[str]
    neutral: Neutral | None
    reach: Mapping[str, int]
    grammar: Grammar


@cache
def _rules(language: str) -> _Rules:
    data = read_data("assertion", language)
    adverbs, neutral = data["scope"].get("adverbs", ()), data.get("neutral", {})
    roles: dict[str, set[str]] = {}
    for polarity in ("absent", "uncertain"):
        for direction in ("pre", "post", "over", "pseudo"):
            for phrase in _spelled_out(data[polarity].get(direction, ()), adverbs):
                roles.setdefault(phrase, set()).add("pseudo" if direction == "pseudo" else f"{polarity} {direction}")
    cues: Trie[frozenset[str]] = Trie()
    for phrase, role in roles.items():
        cues.add(phrase, frozenset(role - {"pseudo"}))
    scope = data["scope"]
    reach = {name.removeprefix("reach_"): int(n) for name, n in scope.items() if name.startswith("reach_")}
    return _Rules(
        Tries(
            cues,
            _phrases(data["normal"]),
            _phrases(data["compared"]),
            _phrases({"phrases": scope["terminators"]}),
            _phrases({"phrases": _spelled_out(data["limited"]["phrases"], adverbs)}),
        ),
        frozenset(scope["restart"]),
        frozenset(scope["verbs"]),
        frozenset(scope["alone"]),
        frozenset(scope["joints"]),
        frozenset(scope["conditions"]),
        frozenset(scope["be"]),
        frozenset(scope["not"]),
        frozenset(neutral.get("not_denied", ())),
        frozenset(neutral.get("taken", ())),
        frozenset(tuple(phrase.split()) for phrase in data["absent"].get("subject", ())),
        frozenset(data["absent"].get("not_subject", ())),
        _phrases({"phrases": data["absent"].get("none_of", ())}),
        _phrases({"phrases": neutral.get("none", ())}),
        _phrases({"phrases": neutral.get("past", ())}),
        frozenset(neutral.get("current", ())),
        frozenset(neutral.get("tells", ())),
        _neutral(neutral, scope) if neutral else None,
        reach,
        grammar(language),
    )


def _neutral(table: Mapping[str, Any], scope: Mapping[str, Any]) -> Neutral:
    return Neutral(
        frozenset(table["empty"].split()),
        *map(frozenset, (table["opens"], table["asks"], scope["verbs"])),
        *map(frozenset, (table["advised"], table["examinations"], table["settings"])),
    )


def _spelled_out(phrases: Iterable[str], adverbs: Sequence[str]) -> list[str]:
    """Phrases with an adverb, or none, for "*"."""
    return [
        " ".join(phrase.replace("*", adverb).split())
        for phrase in phrases
        for adverb in (("", *adverbs) if "*" in phrase else ("",))
    ]


def _phrases(table: Mapping[str, Sequence[str]]) -> Trie[str]:
    trie: Trie[str] = Trie()
    for kind in ("pseudo", "phrases"):
        for phrase in table.get(kind, ()):
            trie.add(phrase, kind)
    return trie


def is_denial_alone(text: str, language: str = ENGLISH) -> bool:
    """Whether a sentence denies all its heading asks for and says nothing else: "None."."""
    return text.strip(" .").lower() in _rules(language).alone


def judge_sentence(
    words: Sequence[Word],
    findings: Sequence[tuple[int, int]],
    language: str = ENGLISH,
    *,
    anatomy: Iterable[tuple[int, int]] = (),
    is_background: bool = False,
) -> Judgement:
    """Judge one sentence.

    Parameters
    ----------
    words : sequence of Word
    findings : sequence of (int, int)
        Half-open ranges of words that name an abnormality.
    language : str
        One of `reports.grammar.tagged_languages`.
    anatomy : iterable of (int, int)
        Half-open ranges of words that name anatomy or a side.
    is_background : bool
        The sentence tells why or after what the examination was done: what is only past says nothing about it.
    """
    rules = _rules(language)
    cues, found_normal, compared, stops, limited = rules.phrases.find(words)
    normal = [hit for hit in found_normal if hit.value == "phrases"]
    # "if pain persists": a condition compares nothing
    is_compared = any(hit.value == "phrases" for hit in compared) and words[0].lower not in rules.conditions
    if not findings and rules.none.begins(words):  # "None provided."
        return Judgement("absent", True, is_compared)
    restarts = _restarts(words, rules)
    breaks = {index for hit in stops for index in range(hit.start, hit.end)} | restarts
    judged = [_judge_finding(finding, cues, normal, words, breaks, rules) for finding in findings]
    if judged:
        assertion = min(judged, key=_POSITIVITY.__getitem__)
        if assertion == "absent" and _is_limited_elsewhere(limited, findings, breaks):
            assertion = "uncertain"
    else:
        assertion = _judge_without_finding(words, cues, normal, rules, is_limited=bool(limited))
    if assertion != "present" and rules.neutral and not (assertion == "uncertain" and limited):
        covered = {i for start, end in (*findings, *anatomy) for i in range(start, end)}
        covered |= {i for hit in compared for i in range(hit.start, hit.end)}
        marked, is_doubtful = Marked(words, cues, normal, breaks, restarts, covered), assertion == "uncertain"
        if (is_doubtful and is_advice(words, cues, rules.neutral)) or states_something(
            marked, rules.neutral, is_doubtful=is_doubtful
        ):
            assertion = "present"
    if is_background and assertion == "present" and _is_past(words, rules):
        assertion = "uncertain"
    elif is_background and assertion == "uncertain" and any(word.lower in rules.tells for word in words):
        assertion = "present"
    is_normal = assertion == "absent" and not _speaks_of_lesion(words, findings, breaks, rules)
    return Judgement(assertion, is_normal, is_compared)


def _speaks_of_lesion(
    words: Sequence[Word], findings: Sequence[tuple[int, int]], breaks: set[int], rules: _Rules
) -> bool:
    """Whether the denial is about something that stays: "None of the masses has grown", "It does not invade ..."."""
    is_subject = any(_is_denied_subject(finding, words, breaks, rules) for finding in findings)
    return is_subject or (bool(findings) and rules.none_of.begins(words))


def _is_denied_subject(finding: tuple[int, int], words: Sequence[Word], breaks: set[int], rules: _Rules) -> bool:
    """Whether all that is said of a finding is denied: "The mass does not invade the chest wall"."""
    for at in range(finding[1], min(finding[1] + rules.reach.get("subject", 0), len(words) - 2)):
        word = words[at].lower
        if (word, words[at + 1].lower) in rules.denials:
            return words[at + 2].lower not in rules.not_deniable
        if at in breaks or word in rules.verbs or word == ",":
            return False
    return False


def _is_past(words: Sequence[Word], rules: _Rules) -> bool:
    """Whether a sentence of the history tells only what was: "Status post cholecystectomy."."""
    return rules.past.begins(words) and rules.current.isdisjoint(word.lower for word in words)


def _is_limited_elsewhere(limited: Sequence[Hit[str]], findings: Sequence[tuple[int, int]], breaks: set[int]) -> bool:
    """Whether something could not be seen that is none of the findings: "Appendix not seen, but no inflammation."."""
    return any(
        not any(end <= hit.start and not _any_in(breaks, end, hit.start) for _, end in findings) for hit in limited
    )


_POSITIVITY: Mapping[Assertion, int] = {"present": 0, "uncertain": 1, "absent": 2}


def _restarts(words: Sequence[Word], rules: _Rules) -> set[int]:
    """Indices of words that begin a new statement after a comma or "and"."""
    joints, restart = rules.joints, rules.restart
    behind = [index for index, word in enumerate(words, 1) if word[0] in joints and index < len(words)]
    return {index for index in behind if words[index].lower in restart or words[index].lower.isdigit()}


def _judge_finding(
    finding: tuple[int, int],
    cues: Sequence[Hit[frozenset[str]]],
    normal: Sequence[Hit[str]],
    words: Sequence[Word],
    breaks: set[int],
    rules: _Rules,
) -> Assertion:
    acting = {role for cue in cues for role in cue.value if _reaches(role, cue, finding, words, breaks, rules)}
    if "uncertain over" in acting:
        return "uncertain"
    is_denied = bool(acting & {"absent pre", "absent post"}) or _is_denied_subject(finding, words, breaks, rules)
    if is_denied or any(_is_called_normal(finding, hit, words, rules) for hit in normal):
        return "absent"
    return "uncertain" if acting & {"uncertain pre", "uncertain post"} else "present"


def _reaches(
    role: str,
    cue: Hit[frozenset[str]],
    finding: tuple[int, int],
    words: Sequence[Word],
    breaks: set[int],
    rules: _Rules,
) -> bool:
    polarity, direction = role.split()
    start, end = finding
    reach = rules.reach[polarity]
    if direction == "pre":
        if polarity == "absent" and words[cue.start].lower in rules.not_words and cue.end - cue.start == 1:
            reach = rules.reach["not"]
        return (
            start >= cue.start
            and start - cue.end <= reach
            and not _any_in(breaks, max(cue.end, cue.start + 1), start + 1)
        )
    if end > cue.start or cue.start - end > reach or _any_in(breaks, end, cue.start):
        return False
    between = {word.lower for word in words[end : cue.start]}
    if "," in between and between.isdisjoint(rules.grammar.and_or):  # "Effusion, tamponade cannot be excluded"
        return False
    last = cue.start
    while last > end and words[last - 1].lower in rules.be:
        last -= 1
    return not any(words[index].lower in rules.verbs for index in range(end, last))


def _any_in(indices: set[int], low: int, high: int) -> bool:
    return any(index in indices for index in range(low, high))


def _is_called_normal(finding: tuple[int, int], hit: Hit[str], words: Sequence[Word], rules: _Rules) -> bool:
    """ "normal enhancement" or "enhancement is normal"."""
    start, end = finding
    if hit.start <= start and end <= hit.end:
        return True
    if hit.end <= start:
        between = words[hit.end : start]
        return len(between) <= rules.reach["normal"] and all(
            w.raw.isalpha() and w.lower not in rules.grammar.but for w in between
        )
    between = words[end : hit.start]
    is_adverb = words[hit.start].lower.endswith("ly") if hit.start < len(words) else False
    return (not is_adverb) <= len(between) <= rules.reach["normal"] and all(word.lower in rules.be for word in between)


def _judge_without_finding(
    words: Sequence[Word],
    cues: Sequence[Hit[frozenset[str]]],
    normal: Sequence[Hit[str]],
    rules: _Rules,
    *,
    is_limited: bool,
) -> Assertion:
    if normal and not (is_limited and rules.neutral):
        return "absent"
    # "no cortical thinning": what is denied is in no list, but it is denied; a bare "not" may deny anything
    denials = [cue for cue in cues if "absent pre" in cue.value and cue.end < len(words)]
    if not is_limited and any(words[cue.start].lower not in rules.not_words for cue in denials):
        return "absent"
    if not is_limited and any(_is_denied_participle(cue, words, rules) for cue in denials):
        return "absent"
    doubts = [cue for cue in cues if any(role.startswith("uncertain") for role in cue.value)]
    if is_limited or (doubts and not is_measured(words[: doubts[0].start])):
        return "uncertain"
    is_denied = any(
        "absent post" in cue.value and rules.taken.isdisjoint(word.lower for word in words[cue.start : cue.end])
        for cue in cues
    )
    return "absent" if is_denied else "present"


def _is_denied_participle(cue: Hit[frozenset[str]], words: Sequence[Word], rules: _Rules) -> bool:
    """ "not invaded"; but "not imaged" denies nothing."""
    following = words[cue.end].lower
    is_bare = cue.end - cue.start == 1 and words[cue.start].lower in rules.not_words
    return is_bare and following.endswith("ed") and following not in rules.not_denied
