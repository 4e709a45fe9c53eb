"""Controls and downstream tasks, the report page, the export, the pictures."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.image
import nibabel
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from train_data import TINY

from t3dkit.tables import read_rows
from train import baselines as baselines_module
from train import evaluate as evaluate_module
from train.__main__ import main
from train.batch import normalise
from train.bench import grid_starts
from train.checkpoint import read_checkpoint
from train.evaluate import TASKS
from train.intervals import mean_interval, statistic_interval
from train.reader import cut
from train.run import load_model, open_run
from train.show import DRAWS

REPOSITORY = Path(__file__).resolve().parents[2]
QUICK = (
    "batch=4",
    "probe_batches=40",
    "obvious_steps=60",
    "gap_draws=12",
    "pool=20",
    "bootstrap=200",
    "volume_crops=1",
    "segment_steps=2",
    "segment_batch=2",
    "segment_volumes=2",
)


@pytest.fixture(scope="module")
def run(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few steps of t3d-align."""
    out = tmp_path_factory.mktemp("evaluated") / "run"
    words = [word for key in (*TINY, "loop.steps=12") for word in ("--set", key)]
    assert main(["pretrain", str(tiny_dataset), "--out", str(out), "--config", "t3d-align", "--quiet", *words]) == 0
    return out


@pytest.fixture(scope="module")
def metrics(run: Path, tiny_dataset: Path) -> dict[str, Any]:
    """Its metrics.json."""
    words = [word for key in QUICK for word in ("--set", key)]
    assert main(["evaluate", str(run), str(tiny_dataset), "--quiet", *words]) == 0
    return json.loads((run / "metrics.json").read_text())


def test_every_task_answers(metrics: dict[str, Any]) -> None:
    assert set(metrics["results"]) == set(TASKS)
    assert "random-crops" in metrics["not_measured"]["random_crops"]
    skipped = {name for name, result in metrics["results"].items() if "skipped" in result}
    assert skipped <= {"lesions", "findings"}
    assert metrics["n_held_out_patients"] == 4
    assert metrics["n_train_patients"] == 8


def test_the_text_alone_cannot_answer_ours_and_can_answer_the_obvious_form(metrics: dict[str, Any]) -> None:
    probe = metrics["results"]["text_only"]
    assert probe["chance"] == 1.0 / probe["batch"]
    assert probe["conditioned"]["readout"] == "of the run"
    assert probe["obvious"]["readout"].startswith("trained here")
    noise = probe["conditioned"]["noise"]
    assert noise["low"] <= probe["chance"]  # no better than chance; a 95 % interval ends just below it now and then
    assert noise["high"] > 0.9 * probe["chance"]
    assert probe["obvious"]["noise"]["low"] > 1.5 * probe["chance"]


def test_intervals_hold_their_means(metrics: dict[str, Any]) -> None:
    seen = 0

    def walk(value: Any) -> None:
        nonlocal seen
        if isinstance(value, Mapping):
            if value.get("mean") is not None and value.get("low") is not None:
                assert value["low"] - 1e-9 <= value["mean"] <= value["high"] + 1e-9
                seen += 1
            for item in value.values():
                walk(item)

    walk(metrics["results"]["text_gain"])
    walk(metrics["results"]["retrieval"])
    walk(metrics["results"]["organs"])
    assert seen > 10


def test_what_attends_is_measured_against_the_box(metrics: dict[str, Any]) -> None:
    pointing = metrics["results"]["pointing"]
    assert set(pointing) == {"readout", "align"}
    for measured in pointing.values():
        assert 0 < measured["in_box"]["chance"] < 1
        assert "on_lesion" not in measured  # the tiny set has no lesion maps


def test_findings_are_measured_with_and_without_fitting(metrics: dict[str, Any]) -> None:
    findings = metrics["results"]["findings"]
    assert set(findings["linear"]["auroc"]) == set(findings["zero_shot"]["auroc"])
    assert set(findings["left_out"]).isdisjoint(findings["linear"]["auroc"])
    assert len(findings["left_out"]) + len(findings["linear"]["auroc"]) == 8
    for kind in ("linear", "zero_shot"):
        mean = np.mean(list(findings[kind]["auroc"].values()))
        assert findings[kind]["macro_auroc"]["mean"] == pytest.approx(mean)


def test_retrieval_prints_pool_and_duplicates(metrics: dict[str, Any]) -> None:
    for kind in ("ridge", "align_head"):
        table = metrics["results"]["retrieval"][kind]["sentence_to_crop"]
        assert table["pool"] == 16
        assert table["duplicates"] == 16 - table["distinct_texts"] > 0
        assert table["R@1"]["mean"] <= table["R@5"]["mean"] <= table["R@10"]["mean"]
        assert table["R@5"]["chance"] == 5 / 16
        assert table["R@5"]["any_crop_of_equal_text"] >= table["R@5"]["mean"]


def test_evaluating_twice_gives_the_same_numbers(run: Path, tiny_dataset: Path, metrics: dict[str, Any]) -> None:
    words = [word for key in QUICK for word in ("--set", key)]
    before = [(run / name, (run / name).read_bytes()) for name in ("metrics.json", "report.html")]
    only = ["--only", "text_only", "--only", "text_gain"]
    assert main(["evaluate", str(run), str(tiny_dataset), "--quiet", *words, *only]) == 0
    again = json.loads((run / "metrics.json").read_text())["results"]
    for path, content in before:
        path.write_bytes(content)
    assert again == {name: metrics["results"][name] for name in ("text_only", "text_gain")}


def test_a_measurement_that_was_cut_off_goes_on_and_ends_in_the_same_bytes(
    run: Path, tiny_dataset: Path, metrics: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_bench: Any) -> Any:
        raise KeyboardInterrupt

    real = evaluate_module.TASKS["organs"]
    command = ["evaluate", str(run), str(tiny_dataset), *(word for key in QUICK for word in ("--set", key))]
    before = {name: (run / name).read_bytes() for name in ("metrics.json", "report.html")}
    monkeypatch.setitem(evaluate_module.TASKS, "organs", interrupted)
    assert main([*command, "--quiet"]) == 130
    for name in list(TASKS)[: list(TASKS).index("organs")]:
        monkeypatch.setitem(evaluate_module.TASKS, name, lambda _bench: pytest.fail("measured twice"))
    monkeypatch.setitem(evaluate_module.TASKS, "organs", real)
    assert main([*command, "--quiet"]) == 0
    assert {name: (run / name).read_bytes() for name in before} == before
    assert not (run / "metrics.partial.json").exists()


def test_what_was_measured_on_other_labels_is_measured_again(
    run: Path, tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []

    def interrupted(_bench: Any) -> Any:
        raise KeyboardInterrupt

    for name in TASKS:
        monkeypatch.setitem(evaluate_module.TASKS, name, interrupted)
    monkeypatch.setitem(evaluate_module.TASKS, next(iter(TASKS)), lambda _bench: measured.append(1) or {})
    command = ["evaluate", str(run), str(tiny_dataset), "--quiet", "--set", "batch=4"]
    assert [main(command) for _ in range(2)] == [130, 130]
    assert len(measured) == 1
    os.utime(next((tiny_dataset / "labels").rglob("*.nii")), ns=(1, 1))
    assert main(command) == 130
    assert len(measured) == 2
    (run / "metrics.partial.json").unlink()


def test_numbers_that_are_not_finite_become_null(
    run: Path, tiny_dataset: Path, metrics: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    undefined = {"hit_rate": {"mean": float("nan"), "low": float("-inf"), "high": float("inf")}}
    monkeypatch.setitem(evaluate_module.TASKS, "pointing", lambda _bench: undefined)
    before = [(run / name, (run / name).read_bytes()) for name in ("metrics.json", "report.html")]
    assert main(["evaluate", str(run), str(tiny_dataset), "--quiet", "--only", "pointing"]) == 0
    written = json.loads((run / "metrics.json").read_text(), parse_constant=pytest.fail)
    for path, content in before:
        path.write_bytes(content)
    assert written["results"]["pointing"]["hit_rate"] == {"mean": None, "low": None, "high": None}


def test_the_page_needs_nothing_else(run: Path, metrics: dict[str, Any]) -> None:
    page = (run / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert "http" not in re.sub(r'http-equiv="[^"]*"|data:image/png;base64,[^"]*', "", page)
    assert "our form cannot be solved from the text alone" in page


def test_the_export_loads_in_plain_monai_and_gives_the_same_features(run: Path, tmp_path: Path) -> None:
    assert main(["export", str(run), "--out", str(tmp_path / "encoder"), "--quiet"]) == 0
    assert {path.name for path in (tmp_path / "encoder").iterdir()} == {
        "encoder.safetensors",
        "encoder.json",
        "README.md",
    }
    # From here on nothing of train: what a stranger would write.
    from monai.networks import nets

    table = json.loads((tmp_path / "encoder" / "encoder.json").read_text())
    network = getattr(nets, table["network"])(**table["arguments"])
    network.load_state_dict(load_file(tmp_path / "encoder" / "encoder.safetensors"))
    network.eval()
    block = network.model
    while hasattr(block, "__len__") and len(block) == 3 and hasattr(block[1], "submodule"):
        block = block[1].submodule
    seen: list[torch.Tensor] = []
    block.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    crop = torch.randn(2, 1, 24, 24, 24, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        decoded = network(crop)
        model, _ = load_model(open_run(run))
        bottleneck, skips = model.backbone.encode(crop)
        torch.testing.assert_close(seen[0], bottleneck)
        torch.testing.assert_close(decoded, model.backbone.decode(bottleneck, skips))
    assert table["preprocessing"]["spacing_mm"] == [4.0, 4.0, 4.0]
    card = (tmp_path / "encoder" / "README.md").read_text()
    assert "t3d-align" in card
    assert "tiny" in card


@pytest.fixture(scope="module")
def encoder(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's export."""
    out = tmp_path_factory.mktemp("exported") / "encoder"
    assert main(["export", str(run), "--out", str(out), "--quiet"]) == 0
    return out


def test_an_exported_encoder_reads_a_volume_as_the_run_does(
    run: Path, encoder: Path, tiny_dataset: Path, tmp_path: Path
) -> None:
    source = sorted((tiny_dataset / "volumes").rglob("*.nii"))[0]
    image = nibabel.load(source)
    turned = nibabel.as_closest_canonical(image).slicer[::-1]  # the file's axes may run either way
    nibabel.save(turned, tmp_path / "turned.nii.gz")
    for name, path in (("plain", source), ("turned", tmp_path / "turned.nii.gz")):
        out = tmp_path / f"{name}.safetensors"
        assert main(["features", str(encoder), str(path), "--out", str(out), "--quiet"]) == 0
    plain, other = (load_file(tmp_path / f"{name}.safetensors") for name in ("plain", "turned"))
    torch.testing.assert_close(plain["features"], other["features"])
    model, _ = load_model(open_run(run))
    config = open_run(run).config
    start, size = plain["start_ijk"][0].tolist(), config.crop.size_vox
    crop = normalise(cut(np.asarray(image.dataobj), start, size, fill=-1024), config.intensity)
    with torch.no_grad():
        expected = model.backbone.encode(torch.from_numpy(crop)[None, None])[0].flatten(2).mean(dim=2)
    torch.testing.assert_close(plain["features"][:1], expected)
    centre = nibabel.affines.apply_affine(image.affine, np.asarray(start) + (size - 1) / 2)
    np.testing.assert_allclose(plain["centre_ras_mm"][0].numpy(), centre, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "says"),
    [("spacing", "--spacing 4"), ("oblique", "oblique"), ("normalised", "Hounsfield"), ("nan", "Hounsfield")],
)
def test_a_volume_that_breaks_the_contract_is_refused(
    encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str, says: str
) -> None:
    voxels, affine = np.zeros((30, 30, 30), np.float32), np.diag([4.0, 4.0, 4.0, 1.0])
    voxels[:10] = -1000
    if change == "spacing":
        affine[2, 2] = 4.1
    elif change == "oblique":
        affine[:3, :3] = affine[:3, :3] @ np.array([[0.9, -0.436, 0], [0.436, 0.9, 0], [0, 0, 1]])
    elif change == "normalised":
        voxels /= 1000
    else:
        voxels[0, 0, 0] = np.nan
    nibabel.save(nibabel.Nifti1Image(voxels, affine), tmp_path / "volume.nii")
    out = tmp_path / "features.safetensors"
    assert main(["features", str(encoder), str(tmp_path / "volume.nii"), "--out", str(out), "--quiet"]) != 0
    assert says in capsys.readouterr().err
    assert not out.exists()


def test_crops_are_drawn_as_a_picture_and_a_table(tiny_dataset: Path, tmp_path: Path) -> None:
    words = ["crops", str(tiny_dataset), "--pair", "pair001", "--out", str(tmp_path / "c.png"), "--rows", "3"]
    words += ["--table", str(tmp_path / "c.parquet"), "--set", "crop.size_vox=24", "--quiet"]
    assert main(words) == 0
    picture = matplotlib.image.imread(tmp_path / "c.png")
    assert picture.shape[0] > 300
    assert np.asarray(picture)[..., :3].std() > 0.05
    rows = read_rows(tmp_path / "c.parquet", DRAWS)
    assert [row["pair_id"] for row in rows] == ["pair001"] * 3
    assert all(row["view_a_sentences"][0]["sentence_id"] == row["sentence_id"] for row in rows)
    first = (tmp_path / "c.png").read_bytes()
    assert main(words) == 0
    assert (tmp_path / "c.png").read_bytes() == first


def test_a_sentence_finds_crops_of_held_out_volumes(
    run: Path, tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["search", str(run), str(tiny_dataset), "There is a cyst in the liver.", "--rows", "3", "--quiet"]
    assert main([*words, "--out", str(tmp_path / "found.png")]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["volumes"] == 4
    scores = [hit["score"] for hit in summary["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert len({hit["pair_id"] for hit in summary["hits"]}) == 3
    assert np.asarray(matplotlib.image.imread(tmp_path / "found.png"))[..., :3].std() > 0.05
    words[3] = " "
    assert main([*words, "--out", str(tmp_path / "none.png")]) == 2
    assert "give a sentence" in capsys.readouterr().err


def test_a_grid_gives_one_table_and_goes_on_where_it_stopped(
    tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = (*TINY, *(f"evaluate.{key}" for key in QUICK), "evaluate.obvious_steps=1", "loop.steps=2")
    words = ["baselines", str(tiny_dataset), "--out", str(tmp_path), "--methods", "scratch,t3d-align", "--quiet"]
    words += [word for key in keys for word in ("--set", key)]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["runs"] == 2
    table = json.loads((tmp_path / "table.json").read_text())["methods"]
    assert {"organ Dice, 10% of labels", "finding AUROC, linear"} <= set(table["scratch"])
    assert "text gain" in table["t3d-align"]
    assert load_model(open_run(tmp_path / "scratch-0"))[1] == 0  # no steps, whatever the grid's are
    shown = (tmp_path / "table.md").read_text().splitlines()
    assert shown[0] == "| | scratch | t3d-align |"
    words[3] = str(tmp_path / "side-by-side")
    assert main([*words, "--jobs", "2", "--set", "loop.batch=0"]) == 2
    assert "loop.batch" in capsys.readouterr().err
    assert main([*words, "--jobs", "2"]) == 0
    assert (tmp_path / "side-by-side" / "table.md").read_text().splitlines() == shown
    words[3] = str(tmp_path)
    weights = sorted((tmp_path / "scratch-0" / "checkpoints").rglob("*"))
    times = [path.stat().st_mtime_ns for path in weights]
    fewer = [*words, "--set", "evaluate.segment_volumes=1", "--set", "evaluate.segment_steps=1"]
    fewer[fewer.index("--methods") + 1] = "scratch"
    assert main(fewer) == 0  # measured anew, not trained anew
    organs = json.loads((tmp_path / "scratch-0" / "metrics.json").read_text())["results"]["organs"]
    assert (organs["n_held_out_volumes"], organs["steps"]) == (1, 1)
    assert [path.stat().st_mtime_ns for path in weights] == times
    assert main(words) == 0
    assert (tmp_path / "table.md").read_text().splitlines() == shown
    monkeypatch.setattr(baselines_module, "evaluate", pytest.fail)
    assert main(words) == 0
    assert (tmp_path / "table.md").read_text().splitlines() == shown
    assert main([*words, "--set", "loop.batch=3"]) == 2
    assert "another configuration" in capsys.readouterr().err


def test_a_torn_label_map_is_told_by_the_name_of_its_volume(
    run: Path, tiny_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "dataset"
    shutil.copytree(tiny_dataset, root)
    for path in (root / "labels" / "organs").glob("*.nii"):
        path.write_bytes(path.read_bytes()[:400])
    before = {name: (run / name).read_bytes() for name in ("metrics.json", "report.html") if (run / name).exists()}
    assert main(["evaluate", str(run), str(root), "--only", "organs", "--quiet"]) == 1
    assert re.search(r"volume volume\d+ cannot be read: label map organs", capsys.readouterr().err)
    assert all((run / name).read_bytes() == content for name, content in before.items())


@pytest.mark.slow
def test_a_grid_that_is_stopped_saves_every_run_and_leaves_no_process(tiny_dataset: Path, tmp_path: Path) -> None:
    keys = [word for key in (*TINY, "loop.steps=4000", "loop.checkpoint_every=4000") for word in ("--set", key)]
    methods = ["--methods", "restore,simclr,t3d", "--jobs", "2"]
    command = [sys.executable, "-m", "train", "baselines", str(tiny_dataset), "--out", str(tmp_path), *methods, *keys]
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) as process:
        histories = [tmp_path / name / "history.jsonl" for name in ("restore-0", "simclr-0")]
        deadline = time.monotonic() + 200
        while time.monotonic() < deadline and not all(one.is_file() and one.stat().st_size for one in histories):
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)  # its children hold stderr open for as long as they live
    assert process.returncode == 143, said
    assert "run the same command again to go on" in said
    assert all(read_checkpoint(one.parent / "checkpoints")[0].step > 0 for one in histories)
    assert not (tmp_path / "t3d-0" / "config.json").exists()


def test_a_retrieval_of_nothing_is_shown_as_nothing() -> None:
    rank = {name: {"sentence_to_crop": {"R@5": {"mean": mean}}} for name, mean in (("align_head", 0.0), ("ridge", 0.4))}
    assert evaluate_module.headlines({"retrieval": rank})["retrieval_R@5"] == 0.0
    assert evaluate_module.headlines({"retrieval": {"ridge": rank["ridge"]}})["retrieval_R@5"] == 0.4
    assert evaluate_module.headlines({})["retrieval_R@5"] is None


def test_seeds_give_a_students_interval() -> None:
    one = baselines_module.over_seeds([{"mean": 0.5, "low": 0.4, "high": 0.6, "n": 9}])
    assert one == {"mean": 0.5, "low": 0.4, "high": 0.6}
    three = baselines_module.over_seeds([{"mean": value} for value in (0.4, 0.5, 0.6)])
    assert three["mean"] == pytest.approx(0.5)
    # t(0.975, 2) = 4.3027, standard error 0.1 / sqrt(3)
    assert three["high"] - 0.5 == pytest.approx(4.3027 * 0.1 / 3**0.5, rel=1e-3)


def test_mean_interval_resamples_groups_not_values() -> None:
    values = np.repeat([0.0, 1.0], 50)
    grouped = mean_interval(values, np.repeat([0, 1], 50), n=500, seed=0)
    free = mean_interval(values, np.arange(100), n=500, seed=0)
    assert grouped["mean"] == free["mean"] == 0.5
    assert (grouped["low"], grouped["high"]) == (0.0, 1.0)
    assert free["high"] - free["low"] < 0.25
    assert grouped["n_groups"] == 2


def test_statistic_interval_leaves_undefined_resamples_out() -> None:
    interval = statistic_interval(lambda index: float("nan") if 0 in index else 2.0, 3, n=50, seed=0)
    assert interval["low"] == interval["high"] == 2.0


def test_grid_starts_tile_without_leaving_large_volumes() -> None:
    assert grid_starts((24, 24, 24), 24, 27) == [(0, 0, 0)]
    assert grid_starts((20, 24, 30), 24, 27) == [(-2, 0, 0), (-2, 0, 6)]
    assert len(grid_starts((200, 200, 200), 24, 27)) == 27
    assert max(i for i, _, _ in grid_starts((200, 200, 200), 24, 27)) == 176
