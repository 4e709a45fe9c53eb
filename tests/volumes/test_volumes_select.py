"""The ranking of a study's stacks: plain preferences, explained."""

from __future__ import annotations

import itertools
from dataclasses import replace

import phantom
import pytest
from phantom import Series, setter

from volumes.select import Preferences, kernel_kind, rank_stacks
from volumes.stacks import build_stacks

THIN = Series(n=60, spacing=1.0, rows=4, columns=4, series_uid="1.2.3.1")
THICK = Series(n=12, spacing=5.0, rows=4, columns=4, series_uid="1.2.3.2")
CORONAL = replace(THIN, orientation=phantom.CORONAL, series_uid="1.2.3.3")
SHARP = replace(THIN, edit=setter(ConvolutionKernel="B70f"), series_uid="1.2.3.4")
SOFT = replace(THIN, edit=setter(ConvolutionKernel="B30f"), series_uid="1.2.3.5")
DERIVED = replace(THIN, edit=setter(ImageType=["DERIVED", "SECONDARY", "REFORMATTED"]), series_uid="1.2.3.6")
SHORT = replace(THIN, n=4, series_uid="1.2.3.7")


@pytest.fixture(scope="module")
def stack_of(instances_of):
    known = {}

    def run(series):
        if series.series_uid not in known:
            (known[series.series_uid],) = build_stacks(instances_of(series)).stacks
        return known[series.series_uid]

    return run


@pytest.mark.parametrize(
    ("better", "worse"),
    [(THIN, THICK), (THIN, CORONAL), (SOFT, SHARP), (THIN, DERIVED), (THIN, SHORT)],
    ids=["thin", "axial", "soft", "original", "coverage"],
)
def test_better_comes_first_whatever_the_order(stack_of, better, worse):
    one, other = stack_of(better), stack_of(worse)
    for stacks in ([one, other], [other, one]):
        ranked = rank_stacks(stacks)
        assert ranked[0].stack is one
        assert [item.rank for item in ranked] == [1, 2]


def test_reasons_add_up_to_the_order(stack_of):
    ranked = rank_stacks([stack_of(s) for s in (THICK, CORONAL, SHARP, SOFT, DERIVED, THIN)])
    points = [sum(float(reason.split()[0]) for reason in item.reasons) for item in ranked]
    assert all(a >= b - 1.5 for a, b in itertools.pairwise(points))  # reasons show whole points
    assert ranked[0].stack.series_instance_uid == SOFT.series_uid
    assert "soft kernel" in " ".join(ranked[0].reasons)


def test_too_short_is_not_usable_and_says_so(stack_of):
    (only,) = rank_stacks([stack_of(SHORT)])
    assert not only.usable
    assert "not usable: 4 slices, at least 8 wanted" in only.reasons


def test_preferences_override(stack_of):
    wanted = Preferences(soft_kernel=-10, sharp_kernel=15)
    assert rank_stacks([stack_of(SOFT), stack_of(SHARP)], wanted)[0].stack is stack_of(SHARP)


KERNELS = {
    "soft": ["B30f", "Br40d\\3", "STANDARD", "FC08", "B"],
    "sharp": ["B70f", "Bl57d\\3", "Br64d\\3", "LUNG", "BONEPLUS", "FC51", "YC"],
    None: [None, "", "XQ9"],
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in KERNELS.items() for name in names])
def test_kernels(kind, name):
    assert kernel_kind(name) == kind
