"""The audit shows the crops that training draws: asked of training itself, cut from the volume as it lies."""

import io
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from audit_data import BASE, signed_in, write_small_dataset
from PIL import Image

from curation.audit import crops
from curation.audit.casebook import Casebook
from curation.audit.crops import NoCropsError, crop_png, draws_of
from curation.audit.slices import grey
from curation.contract import Dataset


@pytest.fixture
def root(tmp_path):
    return write_small_dataset(tmp_path / "dataset")


@pytest.fixture
def client(root):
    with signed_in(root) as made:
        yield made


def test_the_draws_are_those_of_training_on_the_whole_data_set(root, client, tmp_path):
    table = tmp_path / "draws.parquet"
    command = [sys.executable, "-m", "train", "crops", str(root), "--pair", "pair-1", "--rows", "4", "--table", table]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    told = client.get("/crops/pair-1").json()
    assert told["said"] == ""
    expected = pq.read_table(table).to_pylist()
    assert len(expected) == sum(map(len, told["draws"].values())) == 4
    seen = dict.fromkeys(told["draws"], 0)
    for row in expected:
        draw = told["draws"][row["sentence_id"]][seen[row["sentence_id"]]]
        seen[row["sentence_id"]] += 1
        assert draw["size"] == row["size_vox"]
        assert [view["start"] for view in draw["views"]] == [row["view_a_start_ijk"], row["view_b_start_ijk"]]
        assert draw["views"][0]["sentences"] == row["view_a_sentences"]


def test_nothing_is_drawn_from_an_excluded_or_unlocated_pair(root, client):
    client.post("/verdict/pair-1", json={"verdict": "wrong_report"}, headers={"Origin": BASE})
    assert client.get("/crops/pair-1").json() == {
        "said": "training draws nothing from this pair: its verdict is wrong report", "draws": {}
    }  # fmt: skip
    assert "tied to a place" in client.get("/crops/pair-0").json()["said"]
    assert client.get("/crops/nobody").status_code == 404


@pytest.mark.parametrize(("code", "word"), [(1, "could not be asked"), (2, "no section"), ("silent", "no answer")])
def test_a_training_that_does_not_answer_is_said_so(root, monkeypatch, code, word):
    def run(command, **_):
        if code == "silent":
            raise subprocess.TimeoutExpired(command, 1)
        return subprocess.CompletedProcess(command, code, b"", b"")

    monkeypatch.setattr(crops.subprocess, "run", run)
    data = Dataset.open(root)
    case = Casebook(data).case("pair-1")
    with pytest.raises(NoCropsError, match=word):
        draws_of(data, case, None)


@pytest.mark.parametrize("start", [(2, 3, 4), (-3, 20, 25), (15, -9, -2), (90, 90, 90)])
def test_a_crop_is_cut_from_the_volume_with_air_around_it(start):
    data = np.random.default_rng(1).integers(-1000, 400, (20, 24, 30)).astype(np.int16)
    padded = np.full((220, 224, 230), -1024, np.float32)
    padded[100:120, 100:124, 100:130] = data
    i, j, k = (100 + place for place in start)
    expected = grey(padded[i : i + 9, j : j + 9, k + 5].T[::-1, ::-1], "soft")
    shown = np.asarray(Image.open(io.BytesIO(crop_png(data, start, 9, index=5, window="soft"))))
    assert (shown == expected).all()


def test_odd_crops_are_refused(client):
    assert client.get("/crop/volume-1/0.0.0.8.4.png").headers["content-type"] == "image/png"
    for place in ("0.0.0.0.0", "0.0.0.9999.0", "0.0.0.8", "a.b.c.d.e", "0.0.0.8.4.5", "1e9.0.0.8.0"):
        assert client.get(f"/crop/volume-1/{place}.png").status_code == 404, place
    assert client.get("/crop/volume-9/0.0.0.8.4.png").status_code == 404
