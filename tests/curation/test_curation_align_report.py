"""The label-free report counts what is located; `locate` draws a volume's boxes."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from align_phantom import trunk
from PIL import Image

from curation.__main__ import main
from curation.align.picture import draw_boxes
from curation.align.records import RegionBox
from curation.align.report import alignment_report, alignment_text


def _rows() -> dict[str, list[dict]]:
    def sentence(name: str, section: str, regions: list[str], mm: list[float] | None = None) -> dict:
        return {
            "sentence_id": name, "pair_id": "p", "section": section, "regions": regions, "measurements_mm": mm or []
        }  # fmt: skip

    def region(name: str, source: str, start: list[int], size: list[int], sentence_id: str | None = None) -> dict:
        return {
            "volume_id": "v", "region": name, "source": source, "start_ijk": start, "size_ijk": size,
            "confidence": 0.8, "sentence_id": sentence_id,
        }  # fmt: skip

    return {
        "pairs": [{"pair_id": "p", "volume_id": "v"}],
        "volumes": [{"volume_id": "v", "spacing_mm": [2.0, 2.0, 2.0], "shape_ijk": [100, 100, 100]}],
        "sentences": [
            sentence("s0", "findings", ["liver"], [30.0]),
            sentence("s1", "findings", ["liver", "spleen"], [400.0]),
            sentence("s2", "findings", ["brain"]),
            sentence("s3", "impression", []),
            sentence("s4", "impression", ["spleen"]),
        ],
        "regions": [
            region("liver", "landmark", [10, 10, 10], [50, 40, 30]),
            region("liver", "mask", [12, 10, 10], [48, 40, 30]),
            region("spleen", "landmark", [0, 0, 40], [10, 10, 10]),
            region("liver", "pointer", [12, 10, 20], [48, 40, 15], "s0"),
            region("spleen", "pointer", [0, 0, 80], [10, 10, 15], "s4"),
        ],
    }


def test_sentences_are_counted_by_section_region_and_source() -> None:
    report = alignment_report(_rows())
    assert (report["sentences"], report["naming_a_region"], report["located"]) == (5, 4, 3)
    assert report["sections"] == {"findings": [3, 3, 2], "impression": [2, 1, 1]}
    assert report["sources"] == {"mask": 1, "pointer": 2}
    assert report["regions"]["liver"] == {"named": 2, "located": 2, "sources": {"mask": 1}, "confidence": 0.8}
    assert report["regions"]["brain"] == {"named": 1, "located": 0, "sources": {}, "confidence": None}


def test_lengths_and_pointers_are_held_against_the_boxes() -> None:
    report = alignment_report(_rows())
    assert report["measurements"]["n"] == 2
    assert report["measurements"]["fit"] == 0.5  # 400 mm in a liver of 139 mm does not
    assert report["pointers"]["n"] == 2
    assert report["pointers"]["meet"] == 0.5  # the slab of s4 lies far above the spleen
    assert 0 < report["pointers"]["meet_by_chance"] < 1
    text = alignment_text(report)
    assert "| liver | 2 | 2 | mask 1 | 0.8 |" in text
    assert "50.0 % of the images" in text


def test_a_data_set_without_boxes_has_a_report_too() -> None:
    rows = {**_rows(), "regions": []}
    assert "0 of these have a box" in alignment_text(alignment_report(rows))


def test_the_command_reports_any_data_set(made_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["alignment", str(made_dataset), "--out", str(tmp_path / "a.md"), "--quiet"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert 0 < summary["located"] <= summary["naming_a_region"] <= summary["sentences"]
    assert "| findings |" in (tmp_path / "a.md").read_text()
    assert "## Alignment" in (made_dataset / "README.md").read_text()


def test_locate_draws_a_volume_and_says_what_it_shows(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    data, affine_ras = trunk(-205.0, 590.0)
    nibabel.save(nibabel.Nifti1Image(np.asarray(data)[::-1], affine_ras @ np.diag([-1, 1, 1, 1])), tmp_path / "v.nii")
    words = ["locate", str(tmp_path / "v.nii"), "--out", str(tmp_path / "v.png"), "--quiet"]
    assert main([*words, "--regions", "liver,brain"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert list(summary["drawn"]) == ["liver"]
    assert summary["not_covered"] == ["brain"]
    assert "abdomen" in summary["body_regions"]
    assert (tmp_path / "v.png").read_bytes().startswith(b"\x89PNG")
    assert main([*words, "--regions", "lever"]) == 2


def test_pictures_have_the_patients_right_and_front_on_the_left_and_the_head_up(tmp_path: Path) -> None:
    data = np.full((60, 60, 60), -1000, dtype=np.int16)
    data[30:, 30:, 30:] = 100  # RAS+: right, front, head
    draw_boxes(data, np.eye(4), [RegionBox("liver", "landmark", (45, 45, 45), (6, 6, 6), 0.9)], tmp_path / "p.png")
    grey = np.asarray(Image.open(tmp_path / "p.png").convert("L"), dtype=int)
    panels = np.array_split(grey[:, : grey.shape[1] // 2], 3, axis=1)
    for panel in panels:  # coronal, sagittal, axial
        bright, dark = np.argwhere(np.abs(panel - 153) < 12).mean(axis=0), np.argwhere(panel < 20).mean(axis=0)
        assert np.all(bright + 10 < dark)


def test_locate_refuses_what_is_no_volume(tmp_path: Path) -> None:
    (tmp_path / "v.nii").write_bytes(b"nothing")
    assert main(["locate", str(tmp_path / "v.nii"), "--out", str(tmp_path / "v.png"), "--quiet"]) == 1
