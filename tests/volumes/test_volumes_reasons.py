"""The closed lists are lived: every reason and repair is given somewhere, and every drop reason is met in a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from volumes.reasons import DropReason, Flag, RepairCode

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = {DropReason.NOT_SELECTED}
"""Given by curation, whose tests compare it with the truth that the demo export carries."""


def words_of(*folders: str) -> str:
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    mine = ("reasons.py", Path(__file__).name)
    return "".join(path.read_text(encoding="utf-8") for path in paths if path.name not in mine)


@pytest.fixture(scope="module")
def code() -> str:
    return words_of("volumes", "curation")


@pytest.fixture(scope="module")
def tests() -> str:
    return words_of("tests")


@pytest.mark.parametrize("kind", [DropReason, RepairCode, Flag])
def test_every_code_is_given_somewhere(kind, code):
    assert [one.name for one in kind if f".{one.name}" not in code] == []


def test_every_drop_reason_is_met_in_a_test(tests):
    assert [one.name for one in DropReason if one.name not in tests and one not in ELSEWHERE] == []
