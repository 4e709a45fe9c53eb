"""Pseudonyms: stable, keyed, apart by domain; one date shift per patient."""

import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.pseudonyms import MAX_SHIFT_DAYS, Pseudonyms, make_key, read_key
from t3dkit.errors import ConfigError

ONE, OTHER = Pseudonyms(b"a" * 32), Pseudonyms(b"b" * 32)


@given(st.text(max_size=20), st.text(max_size=20))
@settings(deadline=None, max_examples=100)
def test_pseudonyms_depend_on_key_domain_and_the_borders_of_parts(left: str, right: str):
    made = ONE.of("study", left, right)
    assert made == Pseudonyms(b"a" * 32).of("study", left, right)
    assert len(made) == 16
    assert made != OTHER.of("study", left, right)
    assert made != ONE.of("series", left, right)
    assert made != ONE.of("study", left + "x", right)
    if left:
        assert made != ONE.of("study", left[:-1], left[-1] + right)


def test_one_id_of_two_issuers_is_two_people():
    assert ONE.patient("A", "1") != ONE.patient("B", "1")
    assert ONE.patient("A", "1") == ONE.patient("A", "1")


def test_shifts_cover_the_year_both_ways_and_are_never_nothing():
    shifts = {ONE.shift_days("", str(number)) for number in range(20_000)}
    assert shifts == set(range(-MAX_SHIFT_DAYS, MAX_SHIFT_DAYS + 1)) - {0}


def test_names_that_are_no_utf8_have_pseudonyms():
    assert ONE.of("file", b"caf\xe9.dcm".decode("utf-8", "surrogateescape"))


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path):
    path = make_key(tmp_path / "key")
    first = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert make_key(path).read_bytes() == first
    assert read_key(path).fingerprint() == Pseudonyms(first.strip()).fingerprint()
    assert first.decode().strip() not in repr(read_key(path))


def test_a_short_or_absent_key_is_refused(tmp_path: Path):
    (tmp_path / "short").write_text("secret")
    with pytest.raises(ConfigError, match="at least 16"):
        read_key(tmp_path / "short")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_key(tmp_path / "absent")
