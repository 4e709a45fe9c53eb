"""What one institution writes that no general list knows: its headings, its boilerplate, its signatures.

Enters: a TOML file, as ``python -m reports profile`` writes it. Leaves: a `Profile`. Refuses: unknown keys and kinds.

    [headings]                            # section name -> aliases, in any case and without numbers and colons
    findings = ["ct read-out"]
    administrative = ["episode"]          # fields about who, when and by whom
    neutral = ["other structures"]        # sub-headings that keep the section
    [text]
    boilerplate = ["This text was dictated with speech recognition."]   # whole sentences that say nothing
    signature = ["validated by"]          # how lines begin that end the narrative
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from reports.records import SectionName
from t3dkit.errors import ConfigError

KINDS = (*get_args(SectionName), "administrative", "neutral")
"""What a heading may mean."""


@dataclass(frozen=True, eq=False)
class Profile:
    """Additions to the built-in lists; compared and hashed by identity, since parsers cache by it.

    Parameters
    ----------
    headings : mapping
        Alias in lower case -> one of `KINDS`.
    boilerplate : frozenset of str
        Sentences as `plain` gives them, left out of a parsed report.
    signature : tuple of str
        Beginnings of lines, in lower case.
    """

    headings: Mapping[str, str] = field(default_factory=dict)
    boilerplate: frozenset[str] = frozenset()
    signature: tuple[str, ...] = ()


NO_PROFILE = Profile()
_SPACES = re.compile(r"[\s\u2029]+")
_KEYS: Mapping[str, tuple[str, ...]] = {"headings": KINDS, "text": ("boilerplate", "signature")}


def plain(text: str) -> str:
    """A sentence or heading without what may differ between two prints of it: case, spaces, marks at its ends."""
    return _SPACES.sub(" ", text).strip(" .,:;-*#=_[](){}").lower()


def read_profile(path: Path) -> Profile:
    """Read a profile.

    Raises
    ------
    ConfigError
        The file is no TOML, or holds a key that is unknown or a value that is no list of texts.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"profile {str(path)!r} cannot be read: {error}") from None
    for table, keys in data.items():
        _require(table in _KEYS and isinstance(keys, dict), path, f"table [{table}]", ", ".join(_KEYS))
        for key, value in keys.items():
            _require(key in _KEYS[table], path, f"key {key!r} in [{table}]", ", ".join(_KEYS[table]))
            is_texts = isinstance(value, list) and all(isinstance(one, str) and one.strip() for one in value)
            _require(is_texts, path, f"value of {key!r}", "a list of texts")
    return _profile(data)


def _require(is_right: bool, path: Path, what: str, expected: str) -> None:
    if not is_right:
        raise ConfigError(f"profile {str(path)!r}: {what} is not known; expected {expected}")


def _profile(data: Mapping[str, Any]) -> Profile:
    text = data.get("text", {})
    return Profile(
        {plain(alias): kind for kind, aliases in data.get("headings", {}).items() for alias in aliases},
        frozenset(plain(sentence) for sentence in text.get("boilerplate", ())),
        tuple(start.strip().lower() for start in text.get("signature", ())),
    )
