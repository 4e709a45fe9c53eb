"""Parity with dcm2niix on the real series, as `benchmarks/parity_dcm2niix.py` measures it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared" / "data"

pytest.importorskip("dcm2niix")
pytest.importorskip("nibabel")


@pytest.fixture(scope="module")
def parity():
    spec = importlib.util.spec_from_file_location("parity_dcm2niix", ROOT / "benchmarks" / "parity_dcm2niix.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.real
@pytest.mark.parametrize(
    ("folder", "n_equal", "n_ours"),
    [
        ("tcia_crlm_1004", 1, 0),
        ("tcia_tcga_coad_AY-4070A", 1, 0),
        ("tcia_cptac_pda_C3L-00189", 1, 0),
        ("panimg", 1, 0),
        ("dcmqi", 5, 0),
        ("dcm_qa_ct_philips_ge", 0, 3),
    ],
)
def test_equal_where_dcm2niix_is_right_and_right_where_it_is_not(parity, tmp_path, folder, n_equal, n_ours):
    if not REAL.is_dir():
        pytest.skip("the real data are not beside this checkout")
    rows, _ = parity.compare_folder(REAL / folder, tmp_path)
    verdicts = [row.verdict for row in rows]
    assert "DIFFERS" not in verdicts
    assert verdicts.count("equal") == n_equal
    assert verdicts.count("ours") == n_ours
    for row in rows:
        if row.verdict == "ours":
            assert row.ours_header_mm < 0.01
            assert row.note
        if row.verdict == "reason":
            assert row.note


def test_the_judge_sees_a_lost_shear_and_a_mirrored_volume(parity):
    positions = np.array([[0.0, 0.0, 0.0], [0.0, 0.5, 2.0], [0.0, 1.0, 4.0]])
    right = np.diag([-1.0, -1.0, 2.0, 1.0])
    right[1, 2] = -0.5
    straight = np.diag([-1.0, -1.0, 2.0, 1.0])
    assert parity.header_error_mm(right, (5, 5, 3), positions) < 1e-9
    assert parity.header_error_mm(straight, (5, 5, 3), positions) == pytest.approx(1.0)
    ours = np.arange(27, dtype=np.float32).reshape(3, 3, 3)
    assert parity.voxel_error_hu(ours, ours, modality="CT") == 0
    assert parity.voxel_error_hu(ours, ours[::-1], modality="CT") > 1
