"""The landmark localizer on real CT: hit rate against masks, coverage and sides on unlabelled series."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from benchmarks.localizer import LARGE, measure
from benchmarks.localizer_cases import REAL, REAL_PAIR, read_case
from curation.align.locate import locate_regions
from curation.align.masks import totalsegmentator_classes

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not REAL.is_dir(), reason="the real data is not beside the checkout"),
]


@pytest.fixture(scope="module")
def case():
    return read_case("trunk", *REAL_PAIR, dict(totalsegmentator_classes()))


def test_hit_rate_on_the_labelled_trunk(case):
    rows = {row["region"]: row for row in measure(case) if "hit" in row}
    large = [rows[region] for region in LARGE if region in rows]
    assert len(large) >= 7
    assert np.mean([row["hit"] for row in large]) >= 0.9
    assert np.mean([row["hit"] for row in rows.values()]) >= 0.85
    assert np.median([row["error_mm"] for row in large if row["located"]]) <= 25
    assert np.mean([row["random"] for row in rows.values()]) < 0.4


def test_coverage_and_sides_of_the_labelled_trunk(case):
    location = locate_regions(case.data, case.affine_ras)
    assert location.body_regions == ("abdomen", "pelvis")
    assert location.flags == ()
    regions = {box.region for box in location.boxes}
    assert not {"heart", "trachea", "brain", "thyroid_gland", "sternum", "lung_upper_lobe_right"} & regions
    mirrored = locate_regions(np.ascontiguousarray(case.data[::-1]), case.affine_ras)
    assert mirrored.flags == ("LATERALITY_SUSPECT",)


@pytest.mark.parametrize(
    ("name", "expected"), [("example_ct_sm.nii.gz", ("abdomen",)), ("aorta_models/ct_cropped.nii.gz", None)]
)
def test_slabs_and_small_fields_of_view(name, expected):
    image = nibabel.as_closest_canonical(nibabel.load(REAL / name))
    location = locate_regions(np.asarray(image.dataobj).astype(np.int16), image.affine)
    assert location.flags == ()
    assert expected is None or location.body_regions == expected
    assert "chest" in location.body_regions or expected
