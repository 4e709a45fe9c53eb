"""Stated confidences rise with the landmarks' own, name their source, and leave heads alone."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.localizer_confidence import PLACES, fit
from curation.align.confidence import knots, own_of, stated
from reports.regions import region_tree


def test_the_table_rises_and_says_where_it_comes_from() -> None:
    own, said = knots()
    assert own[0] == 0.0
    assert own[-1] == 1.0
    assert np.all(np.diff(own) > 0)
    assert np.all(np.diff(said) > 0)
    assert said[0] > 0
    assert said[-1] < 1
    table = tomllib.loads(files("curation.align").joinpath("confidence.toml").read_text(encoding="utf-8"))
    assert "seeds" in table["landmark"]["source"]


@given(own=st.floats(0, 1))
def test_stating_is_monotone_and_can_be_undone(own: float) -> None:
    assert own_of(stated("liver", own)) == pytest.approx(own, abs=1e-9)
    assert stated("liver", own) <= stated("liver", min(1.0, own + 0.01))


@pytest.mark.parametrize("region", ["head", "face", "orbit_left", "sinuses", "brain"])
def test_heads_keep_their_own_figure_on_which_removing_a_face_hangs(region: str) -> None:
    assert region in region_tree()
    assert stated(region, 0.2) == 0.2


def test_a_fit_follows_the_hits_and_stays_below_them() -> None:
    rng = np.random.default_rng(0)
    own = rng.random(20_000)
    chance = np.where(own < 0.4, 0.5, 0.95)
    said = np.interp(np.array([0.2, 0.3, 0.8]), PLACES, fit(own, rng.random(own.size) < chance))
    np.testing.assert_allclose(said, [0.47, 0.47, 0.92], atol=0.03)
    assert np.all(said <= [0.5, 0.5, 0.95])
    assert np.all(np.diff(fit(own, rng.random(own.size) < chance)) > 0)
