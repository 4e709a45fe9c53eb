"""The structured rules: what looks like an identifier of anybody.

Enters: folded text. Leaves: findings. Refuses: a rules file with an unbounded repetition (a test holds that).
Rules are data, ``lexicon/deid_rules.toml``, each with examples of what it hides and what it spares.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from itertools import chain

from reports.deid.cues import SPECIALTIES, cue_table, cues, is_word
from reports.deid.findings import Finding
from reports.deid.tokens import Tokens, matches_at
from reports.deid.words import words

_MACROS = {
    "{WORD}": r"(?:[A-Z]\.(?=[ \t\n]{0,3}[A-Z])|(?:S[Tt]\. ?)?[A-Z][A-Za-z'-]{0,30}(?![\w]))",
    "{GAP}": r"[ \t]{0,2}[:#=.\-]{0,2}[ \t]{0,3}",
}
_PARTICLE = r"(?:(?:van|von|de|der|den|la|del|di|da|al|el|bin) ){0,2}"
_GAP = r"(?:[ \t]{1,2}|[ \t]?\n[ \t]{0,4})"  # a hard wrap may fall inside a name: see _names_end
_MACROS["{NAME}"] = _MACROS["{WORD}"] + "(?:" + _GAP + _PARTICLE + _MACROS["{WORD}"] + "){0,3}"
_MACROS["{FULL}"] = _MACROS["{WORD}"] + "(?:,?" + _GAP + _PARTICLE + _MACROS["{WORD}"] + "){0,3}"

_LEVELS = re.compile(r"(?:[CTLS]\d{1,2}[-/]?){1,6}", re.IGNORECASE)
_YEAR = re.compile(r"(?:19|20)\d\d")
_LOOK_BACK = 24
_PART = re.compile(r"[A-Za-z][A-Za-z'-]*")
_PAIR = re.compile(
    r"(?<![\w])([A-Z][a-z]{1,14}|[A-Z]{2,15})[ \t]{1,2}(?:[A-Z]\.?[ \t])?([A-Z][A-Za-z'-]{1,30})(?![\w])"
)


@dataclass(frozen=True)
class Rule:
    """One structured rule; see the comments of the rules file."""

    kind: str
    pattern: re.Pattern[str]
    filter: bool
    trust: bool
    require_digits: int
    starts: tuple[str, ...]
    numbers: bool
    capitals: bool
    marks: re.Pattern[str] | None
    needs: tuple[str, ...]
    quick: re.Pattern[str] | None
    digits: re.Pattern[str] | None
    before: re.Pattern[str] | None
    check: Callable[[str], bool] | None
    matches: tuple[str, ...]
    spares: tuple[str, ...]


@cache
def rules() -> tuple[Rule, ...]:
    """The built-in rules."""
    table = tomllib.loads(files("reports").joinpath("lexicon/deid_rules.toml").read_text(encoding="utf-8"))
    return tuple(_rule(entry) for entry in table["rule"])


def apply_rules(tokens: Tokens) -> Iterator[Finding]:
    """Findings of every rule, and of first names that a surname follows."""
    text, low = tokens.text, tokens.text.lower()
    starts: dict[int, list[int]] = {}
    for word, indices in tokens.places.items():
        for number in _rules_from(word):
            starts.setdefault(number, []).extend([tokens.words[index][0] for index in indices])
    for number, rule in enumerate(rules()):
        elsewhere = rule.numbers or rule.capitals or rule.marks
        if (number in starts or elsewhere or not rule.starts) and _is_possible(rule, tokens, low):
            at = _tried_at(rule, tokens, starts.get(number, [])) if rule.starts or elsewhere else None
            matches = rule.pattern.finditer(text) if at is None else matches_at(rule.pattern, text, at)
            yield from _findings(rule, matches, text)
    yield from _first_names(tokens)


def apply_rule(rule: Rule, text: str) -> list[Finding]:
    """Findings of one rule wherever its pattern matches: slower than `apply_rules`, which looks where it may match."""
    return list(_findings(rule, rule.pattern.finditer(text), text))


@lru_cache(maxsize=1 << 16)
def _rules_from(word: str) -> tuple[int, ...]:
    """The numbers of the rules whose matches may begin with this word."""
    return tuple(number for number, rule in enumerate(rules()) if rule.starts and f"{word} ".startswith(rule.starts))


def _tried_at(rule: Rule, tokens: Tokens, starts: list[int]) -> list[int]:
    """Where the pattern of a rule may match: at the `starts` of its words, at numbers, capitals and marks; sorted."""
    places = [starts] if starts else []
    places += [tokens.number_starts] if rule.numbers else []
    places += [tokens.capital_starts] if rule.capitals else []
    places += [[match.start() for match in rule.marks.finditer(tokens.text)]] if rule.marks else []
    if len(places) == 1 and places[0] is not starts:
        return places[0]
    return sorted(chain.from_iterable(places))


def _is_possible(rule: Rule, tokens: Tokens, low: str) -> bool:
    if rule.digits is not None and not rule.digits.search(tokens.numerals):
        return False
    for part in rule.needs:  # a generator costs more than the search
        if part in low:
            break
    else:
        if rule.needs:
            return False
    return rule.quick is None or rule.quick.search(tokens.text) is not None


def _findings(rule: Rule, matches: Iterable[re.Match[str]], text: str) -> Iterator[Finding]:
    for match in matches:
        start, end = match.span("hide")
        hidden = match["hide"]
        if rule.before and not rule.before.search(text[max(0, start - _LOOK_BACK) : start]):
            continue
        if rule.kind == "ID" and (sum(map(str.isdigit, hidden)) < rule.require_digits or _LEVELS.fullmatch(hidden)):
            continue
        if rule.check and not rule.check(hidden):
            continue
        if rule.kind == "ID" and _YEAR.fullmatch(hidden):
            continue
        if rule.kind == "PHONE" and sum(map(str.isdigit, hidden)) < rule.require_digits:
            continue
        if rule.filter or rule.trust:
            end = start + _names_end(hidden, trust_first=rule.trust)
        if rule.kind == "PLACE":
            start, end = _place(text, match)
        if end > start:
            yield Finding(start, end, rule.kind)


@cache
def _places() -> dict[str, frozenset[str]]:
    """Words of streets and institutions, and words that tell that something is neither."""
    return {name: frozenset(text.split()) for name, text in cue_table()["places"].items()}


def _is_no_word(hidden: str) -> bool:
    """A login: letters that are no word."""
    return not (
        is_word(hidden.lower()) or hidden.endswith(("ous", "ic", "al", "ive", "ary", "ing", "ion", "ine", "ase", "ide"))
    )


def _is_domain(hidden: str) -> bool:
    """A host: not two words with a full stop and no blank between."""
    labels = re.split(r"[:/]", hidden)[0].lower().split(".")
    return len(labels) > 2 or labels[-1] in ("com", "org", "net", "edu", "gov") or not is_word(labels[0])


def _is_street(hidden: str) -> bool:
    """A street: its words are written large and none of them belongs to a sentence."""
    parts = [part for part in re.findall(r"(?:[dl]')?([A-Za-z][A-Za-z']*)", hidden) if part not in ("bis", "ter")]
    low = [part.lower() for part in parts]
    if not _places()["no_street"].isdisjoint(low) or not parts:
        return False
    if low[0] in _places()["street_first"]:
        named = [part for part in parts[1:] if part.lower() not in cues().particles]
        is_numbered = any(letter.isdigit() for letter in hidden)
        return (
            bool(named)
            and (is_numbered or low[0] in _places()["street_sure"])
            and named[0][0].isupper()
            and not is_word(named[0].lower() if not is_numbered else "")
        )
    if hidden.islower() or all(part.islower() for part in parts):
        return low[-1] in _places()["street_last"] or low[-2:-1] in [[one] for one in _places()["street_last"]]
    return all(
        part[0].isupper() or part.lower() in ("or", "st", "nd", "rd", "th", "jr", "bis", "ter", "apt", "of")
        for part in parts
    )


def _is_postal_town(hidden: str) -> bool:
    """A postal code with its town, or one that needs none: "67000 Strasbourg", "SW1A 1AA"."""
    if re.search(r" [0-9](?:ST|ND|RD|TH|HR|HU|DS)$", hidden):
        return False
    if re.search(r"[A-Z]{1,2}[0-9][A-Z0-9]? [0-9][A-Z]{2}$", hidden):
        return True
    parts = re.findall(r"[A-Za-z'-]{3,}", hidden)
    if re.match(r"(?:19|20)[0-9]{2}[ \n]", hidden) and not re.match(r"[0-9]{4} [A-Z]{2} ", hidden):
        return False
    return not parts or not is_word(parts[0].lower())


def _is_home(hidden: str) -> bool:
    """The name of a town: no word in a text of capitals, no ward or ordinary word elsewhere."""
    names = [part.lower() for part in re.findall(r"[A-Za-z']+", hidden) if part.lower() not in cues().particles]
    names = [name for name in names if name not in _places()["institutions"]]
    first = names[0] if names else "the"
    if first in words().ordinary or first in words().month_numbers or first == "course":
        return False
    return not is_word(first) or not hidden.isupper() or first in cues().family


def _is_written_street(hidden: str) -> bool:
    """A street or district whose own name is no word of the language."""
    parts = [part.lower() for part in re.findall(r"[A-Za-z]{3,}", hidden)]
    named = [part for part in parts if part not in cues().particles and part not in _places()["street_first"]]
    return bool(named) and not is_word(named[0])


def _is_plate(hidden: str) -> bool:
    """The number of a vehicle: written large."""
    return hidden.isupper()


_CHECKS: dict[str, Callable[[str], bool]] = {
    "no_word": _is_no_word, "domain": _is_domain, "street": _is_street, "town": _is_postal_town, "home": _is_home,
    "written_street": _is_written_street, "plate": _is_plate,
}  # fmt: skip


def _rule(entry: dict[str, object]) -> Rule:
    pattern = str(entry["pattern"])
    for name in ("{NAME}", "{FULL}", "{WORD}", "{GAP}"):
        pattern = pattern.replace(name, _MACROS[name])
    return Rule(
        kind=str(entry["kind"]),
        pattern=re.compile(pattern, re.IGNORECASE if entry.get("ignore_case") else 0),
        filter=bool(entry.get("filter")),
        trust=bool(entry.get("trust")),
        require_digits=int(str(entry.get("require_digits", 0))),
        quick=re.compile(str(entry["quick"])) if "quick" in entry else None,
        digits=re.compile(str(entry["digits"])) if "digits" in entry else None,
        starts=tuple(entry.get("starts", ())),  # type: ignore[arg-type]
        numbers=bool(entry.get("numbers")),
        capitals=bool(entry.get("capitals")),
        marks=re.compile(f"[{re.escape(str(entry['marks']))}]") if "marks" in entry else None,
        needs=tuple(entry.get("needs", ())),  # type: ignore[arg-type]
        before=re.compile(str(entry["before"]), re.IGNORECASE) if "before" in entry else None,
        check=_CHECKS[str(entry["check"])] if "check" in entry else None,
        matches=tuple(entry["matches"]),  # type: ignore[arg-type]
        spares=tuple(entry["spares"]),  # type: ignore[arg-type]
    )


def _names_end(hidden: str, *, trust_first: bool) -> int:
    """Characters of `hidden` before the first ordinary word: a heading or a department is nobody's name."""
    end, follows_name = 0, trust_first
    parts = list(_PART.finditer(hidden))
    for number, part in enumerate(parts):
        word = part[0].lower()
        if number and "\n" in hidden[end : part.start()] and not follows_name:
            break
        if len(word) == 1:
            if number == 0 and not trust_first and hidden[1:2] != ".":
                break
            follows_name = True
        elif word in words().prefixes and _has_noun(parts[number + 1 :]):
            continue  # "Von Humboldt": the particle goes with what follows
        elif _is_ordinary(word) and not (follows_name and (word in words().surnames or (number == 0 and trust_first))):
            break
        else:
            follows_name = word in words().first_names
        end = part.end()
    return end


def _has_noun(following: Sequence[re.Match[str]]) -> bool:
    """Whether a particle stands before a name, perhaps behind another particle: "De La Fuente"."""
    for part in following:
        if part[0].lower() not in words().prefixes:
            return part[0][0].isupper() and not _is_ordinary(part[0].lower())
    return False


def _is_ordinary(word: str) -> bool:
    """Whether a word names a thing, a department or a heading: listed, or built like a specialty or procedure."""
    return word in words().ordinary or word in words().titles or word.removesuffix("'s").endswith(SPECIALTIES)


def _place(text: str, match: re.Match[str]) -> tuple[int, int]:
    """The last run of words that are not ordinary: of "The Riverside Hospital" it is Riverside."""
    start, end = match.span("hide")
    parts = list(_PART.finditer(text, start, end))
    last = max((index for index, part in enumerate(parts) if part[0].lower() in _places()["function"]), default=-1)
    parts = parts[last + 1 :]
    if any(part[0].lower() in _places()["modality"] for part in parts):
        return start, start
    while parts and _is_ordinary(parts[0][0].lower()):
        parts.pop(0)
    if not parts or (len(parts) == 1 and _is_ordinary(parts[-1][0].lower())):
        return start, start
    return parts[0].start(), parts[-1].end()


def _first_names(tokens: Tokens) -> Iterator[Finding]:
    """A common first name with a surname after it: "Maria Gonzalez is a 45 year old"."""
    for name in words().first_names & tokens.places.keys():
        for index in tokens.places[name]:
            match = _PAIR.match(tokens.text, tokens.words[index][0])
            if not match or match[2].lower() in words().eponyms.get(name, ()):
                continue
            if (second := match[2].lower()) in words().surnames or not _is_ordinary(second):
                yield Finding(match.start(), match.end(), "NAME")
