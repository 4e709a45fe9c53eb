"""Parts of the demo: shapes, plan, faults, acquisition."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.demo import acquire, faults
from curation.demo.dicom_files import slice_datasets
from curation.demo.labels import FINDINGS, LESION_NUMBER, NAME
from curation.demo.painter import BodyMap, GridSpec, Painter, only, rotation_deg
from curation.demo.plan import (
    ABDOMEN_FINDINGS,
    CATALOGUE_ID,
    CHEST_FINDINGS,
    IMAGE_FAULTS,
    REPORT_FAULTS,
    TRUNK_FINDINGS,
    StudyPlan,
    make_uid,
    plan_studies,
    shown_findings,
)
from curation.demo.study import SeriesImages
from curation.demo.wording import ABSENT, GROUPS, IMPRESSION, PRESENT
from reports.regions import region_tree

STILL = BodyMap(np.ones(3), np.zeros((3, 1)), np.zeros((3, 1, 3)), np.zeros((3, 1, 3)))


def painter(n: int = 48) -> Painter:
    return Painter(GridSpec((-n / 2, -n / 2, -n / 2), 1.0, 1.0, (n, n, n)), STILL)


@settings(deadline=None, max_examples=15)
@given(radii=st.tuples(*[st.floats(5.0, 14.0)] * 3), turn=st.tuples(*[st.floats(-180.0, 180.0)] * 3))
def test_an_ellipsoid_has_its_volume_whatever_its_turn(
    radii: tuple[float, float, float], turn: tuple[float, float, float]
) -> None:
    p = painter()
    p.ellipsoid((0, 0, 0), radii, 50.0, 7, rotation=rotation_deg(*turn))
    assert (p.label == 7).sum() == pytest.approx(4 / 3 * np.pi * np.prod(radii), rel=0.08)


@settings(deadline=None, max_examples=15)
@given(end=st.tuples(*[st.floats(-15.0, 15.0)] * 3), radius=st.floats(3.0, 6.0))
def test_a_tube_has_the_volume_of_a_capsule(end: tuple[float, float, float], radius: float) -> None:
    p = painter()
    p.tube([(0, 0, 0), end], radius, 50.0, 7)
    length = float(np.linalg.norm(end))
    surface = 2 * np.pi * radius * (length + 2 * radius)  # the lattice may shift it by a fifth of a voxel
    assert (p.label == 7).sum() == pytest.approx(np.pi * radius**2 * (length + 4 / 3 * radius), abs=0.2 * surface)


def test_shapes_spare_what_they_may_not_paint_and_keep_hu_between_old_and_new() -> None:
    p = painter()
    p.ellipsoid((0, 0, 0), (8, 8, 8), 100.0, 7)
    p.ellipsoid((0, 0, 0), (14, 14, 14), -50.0, 8, only=only(0))
    assert (p.label == 7).sum() == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.05)
    assert p.hu[24, 24, 24] == 100.0
    assert p.hu.min() >= -1000.0
    assert p.hu.max() <= 100.0


def test_a_warped_body_maps_every_voxel_where_body_points_says() -> None:
    rng = np.random.default_rng(0)
    body = BodyMap(
        np.array([0.9, 1.1, 1.0]),
        rng.uniform(1, 3, (3, 2)),
        rng.uniform(0.02, 0.06, (3, 2, 3)),
        rng.uniform(0, 6, (3, 2, 3)),
    )
    p = Painter(GridSpec((-40, -40, -40), 2.0, 2.0, (40, 40, 40)), body)
    p.ellipsoid((3, -4, 5), (9, 9, 9), 40.0, 7, soft_mm=0.5)
    points = p.coordinates(np.argwhere(p.label == 7))
    assert np.linalg.norm(points - (3, -4, 5), axis=1).max() < 9.6


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 70))
def test_plans_are_stable_and_consistent(seed: int, n: int) -> None:
    plans = plan_studies(n, seed)
    assert plans == plan_studies(n, seed)
    assert len({p.study_uid for p in plans}) == n
    assert len({p.report_number for p in plans}) == n
    for p in plans:
        assert set(p.findings) <= set(shown_findings(p.coverage))
        assert not (p.image_fault and p.report_fault)
    owners = {}
    for p in plans:  # an accession number belongs to one study but for the planted collision
        owners.setdefault((p.accession_number, p.patient.issuer, p.patient.patient_id, p.study_date), set()).add(
            p.study_uid
        )
    assert all(len(studies) == 1 for studies in owners.values())


def test_each_finding_is_drawn_in_its_share_of_64_studies() -> None:
    plans = plan_studies(64, 1)
    drawn = Counter(name for p in plans for name in p.findings)
    able = Counter(name for p in plans for name in shown_findings(p.coverage))
    for name in FINDINGS:
        assert 0.17 <= drawn[name] / able[name] <= 0.46, name
    assert {p.image_fault for p in plans} >= set(IMAGE_FAULTS)
    assert {p.report_fault for p in plans} >= set(REPORT_FAULTS)
    assert sum(not p.image_fault and not p.report_fault for p in plans) >= 30


def test_every_finding_has_words_a_place_in_the_text_and_a_share() -> None:
    grouped = {kind for _, kinds in GROUPS.values() for kind in kinds}
    assert set(FINDINGS) == grouped == set(PRESENT) == set(IMPRESSION) == set(ABSENT)
    assert set(FINDINGS) == {*CHEST_FINDINGS, *ABDOMEN_FINDINGS, *TRUNK_FINDINGS}
    assert set(LESION_NUMBER) <= set(FINDINGS)
    assert set(IMAGE_FAULTS) | set(REPORT_FAULTS) <= set(CATALOGUE_ID)


def test_label_names_are_known_classes() -> None:
    known = {name for masks in region_tree().masks.values() for name in masks}
    assert set(NAME.values()) <= known
    assert NAME[5] == "liver"
    assert NAME[92] == "rib_left_1"
    assert NAME[117] == "costal_cartilages"


def test_uids_are_valid_and_depend_on_every_part() -> None:
    uids = {make_uid("a", n) for n in range(200)}
    assert len(uids) == 200
    assert all(uid.startswith("2.25.") and len(uid) <= 44 for uid in uids)


# ---- acquisition


def ramp(grid: GridSpec) -> np.ndarray:
    """HU that is linear in patient position: every resampling must keep it."""
    x, y, z = grid.axes_mm()
    return (2 * z[:, None, None] + y[None, :, None] - x[None, None, :]).astype(np.float32)


@pytest.mark.parametrize(
    "make",
    [
        acquire.base_grid,
        lambda g: acquire.thick_grid(g, 6.0),
        lambda g: acquire.tilted_grid(g, 10.0),
        lambda g: acquire.coronal_grid(g, 4.0),
    ],
)
def test_resampling_keeps_a_linear_ramp(make) -> None:  # type: ignore[no-untyped-def]
    grid = GridSpec((-30.0, -40.0, 10.0), 2.0, 3.0, (30, 40, 30))
    target = make(grid)
    out = acquire.resample(ramp(grid), grid, target)
    k, j, i = np.indices(target.shape_kji)
    x, y, z = np.einsum("ab,b...->a...", target.affine_lps[:3], np.stack([i, j, k, np.ones_like(i)]))
    slack = target.slab_mm
    inside = np.ones(target.shape_kji, dtype=bool)
    for value, (first, last) in zip((x, y, z), (axis[[0, -1]] for axis in grid.axes_mm()), strict=True):
        inside &= (value > first + slack) & (value < last - slack)
    assert inside.sum() > 500
    assert np.abs(out - (2 * z + y - x))[inside].max() <= 1.0


def test_reconstruction_has_the_noise_asked_for() -> None:
    hu = np.zeros((8, 60, 60), dtype=np.float32)
    for sharp in (False, True):
        out = acquire.reconstruct(hu, sharp=sharp, noise_hu=20.0, rng=np.random.default_rng(1))
        assert out.std() == pytest.approx(20.0, rel=0.1)


# ---- faults on data sets


def series(n: int = 9) -> tuple[StudyPlan, SeriesImages]:
    plan = plan_studies(1, 2)[0]
    grid = GridSpec((0.0, 0.0, 0.0), 2.0, 2.5, (n, 24, 24))
    hu = (np.arange(n * 24 * 24).reshape(n, 24, 24) % 900 - 400).astype(np.int16)
    images = SeriesImages(
        "thin", 2, "thin", "B30f", ("ORIGINAL", "PRIMARY", "AXIAL"), hu, acquire.base_grid(grid), plan.uid("x")
    )
    return plan, images.with_numbers(range(1, n + 1))


@pytest.mark.parametrize(
    "fault",
    [
        "jpeg_ls",
        "jpeg_lossless",
        "jpeg_2000",
        "rle",
        "deflated",
        "big_endian",
        "high_bits",
        "monochrome1",
        "wrong_thickness",
    ],
)
def test_faults_that_are_no_loss_keep_every_hu_inside_the_circle(fault: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    import pydicom

    plan, images = series()
    clean = slice_datasets(plan, images)
    altered = faults.alter_datasets(fault, slice_datasets(plan, images), np.random.default_rng(0))
    inside = acquire.circle((24, 24))
    for before, after in zip(clean, altered, strict=True):
        after.save_as(tmp_path / "one.dcm", enforce_file_format=True)
        read = pydicom.dcmread(tmp_path / "one.dcm")
        pixels = read.pixel_array
        if fault == "high_bits":
            stored = np.frombuffer(read.PixelData, dtype="<u2").reshape(24, 24)
            assert (stored > 4095).any()
            pixels = stored & 4095
        hu = pixels.astype(int) + int(read.RescaleIntercept)
        expected = before.pixel_array.astype(int) + int(before.RescaleIntercept)
        np.testing.assert_array_equal(hu[inside], expected[inside])
        assert read.SOPInstanceUID == before.SOPInstanceUID


def test_slice_faults_change_the_number_of_slices() -> None:
    plan, images = series()
    rng = np.random.default_rng(0)
    z = [
        float(ds.ImagePositionPatient[2])
        for ds in faults.alter_datasets("missing_slice", slice_datasets(plan, images), rng)
    ]
    assert len(z) == 8
    assert max(np.diff(z)) == pytest.approx(5.0)
    twice = faults.alter_datasets("duplicate_slice", slice_datasets(plan, images), rng)
    assert len(twice) == 10
    assert len({ds.SOPInstanceUID for ds in twice}) == 10
    assert len({tuple(ds.ImagePositionPatient) for ds in twice}) == 9
