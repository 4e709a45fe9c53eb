"""The audit: slices as radiologists see them, verdicts that last, a server that refuses strangers, a page to mail."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from audit_data import HOSTILE, write_small_dataset
from PIL import Image
from starlette.testclient import TestClient

from curation.audit.casebook import Box, Casebook
from curation.audit.pages import STAGE_WORK, report_parts
from curation.audit.server import COOKIE, application
from curation.audit.slices import grey, slice_pixels, slice_png, thumbnail_png
from curation.audit.static import N_CASES, telling_sentence, write_static
from curation.audit.verdicts import VerdictStore
from curation.contract import STAGES, Dataset, private_folder
from curation.suspicion import severity_of
from t3dkit.errors import ConfigError
from t3dkit.progress import Progress

TOKEN = "a-token-of-this-test"
ORIGIN = {"Origin": "http://127.0.0.1:8999"}


@pytest.fixture
def root(tmp_path):
    return write_small_dataset(tmp_path / "dataset")


@pytest.fixture
def client(root):
    with TestClient(application(root, token=TOKEN, port=8999), base_url="http://127.0.0.1:8999") as made:
        made.cookies.set(COOKIE, TOKEN)
        yield made


def test_the_patients_right_is_on_the_left_and_the_head_is_up():
    data = np.zeros((4, 5, 6), np.int16)
    data[3, 4, 5] = 1  # most right, most anterior, most superior
    assert slice_pixels(data, plane="axial", index=5).shape == (5, 4)
    assert slice_pixels(data, plane="axial", index=5)[0, 0] == 1
    assert slice_pixels(data, plane="coronal", index=4)[0, 0] == 1
    assert slice_pixels(data, plane="sagittal", index=3)[0, 0] == 1


def test_windows_map_their_ends_to_black_and_white():
    assert grey(np.array([-160.0, 40.0, 240.0]), "soft").tolist() == [0, 127, 255]


def test_pictures_have_the_right_size():
    data = np.zeros((10, 20, 30), np.int16)
    import io

    png = Image.open(io.BytesIO(slice_png(data, plane="coronal", index=99, window="lung")))
    assert png.size == (10, 30)
    thumbnail = Image.open(io.BytesIO(thumbnail_png(data, (3.0, 3.0, 2.0), longest_px=60)))
    assert thumbnail.size == (30, 60)


def test_a_verdict_lasts_is_published_and_excludes_the_pair(root):
    store = VerdictStore(root)
    store.decide("pair-0", "reject", note="shows another patient: Jane")
    assert VerdictStore(root).latest()["pair-0"].verdict == "reject"
    dataset = Dataset.open(root)
    assert dataset.verdicts["pair-0"] == "reject"
    assert "pair-0" not in {pair["pair_id"] for split in ("train", "test") for pair in dataset.trainable_pairs(split)}
    assert b"Jane" not in (root / "verdicts.parquet").read_bytes()
    assert private_folder(root).stat().st_mode & 0o077 == 0


def test_undo_returns_to_the_verdict_before(root):
    store = VerdictStore(root)
    store.decide("pair-0", "accept")
    store.decide("pair-0", "reject")
    assert store.undo("pair-0") == "accept"
    assert [entry.verdict for entry in store.history("pair-0")] == ["accept", "reject", "accept"]
    assert VerdictStore(root).undo("pair-1") is None
    with pytest.raises(ValueError, match="accept"):
        store.decide("pair-0", "maybe")


def test_a_verdict_taken_back_frees_the_pair_again(root):
    store = VerdictStore(root)
    store.decide("pair-0", "reject")
    store.undo("pair-0")
    assert "pair-0" not in Dataset.open(root).verdicts


def test_the_report_is_shown_whole_and_in_order(root):
    book = Casebook(Dataset.open(root))
    for pair_id in book.pairs:
        case = book.case(pair_id)
        assert "".join(part["text"] for part in report_parts(case)) == case.report["text"]
        assert sum(part["sentence"] is not None for part in report_parts(case)) == len(case.sentences)


def test_the_worst_pair_comes_first(root):
    book = Casebook(Dataset.open(root))
    suspicion = [pair["suspicion"] for pair in book.pairs.values()]
    assert suspicion == sorted(suspicion, reverse=True)


def test_pages_answer_with_a_strict_policy(client):
    pages = ("/", "/sheet", "/distributions", "/sample", "/agreement", "/case/pair-0", "/drops?reason=TOO_FEW_SLICES")
    for path in (*pages, "/assets/audit.js", "/assets/lists.js", "/assets/audit.css"):
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert client.get("/case/pair-99").status_code == 404
    assert client.get("/assets/..%2Fserver.py").status_code == 404


def test_filters_narrow_the_worklist(client):
    assert "pair-1" in client.get("/").text
    assert "pair-1" not in client.get("/?split=test").text
    assert "pair-0" in client.get("/?flag=NOTHING_LOCATED").text
    assert client.get("/?page=zero").status_code == 200


def test_the_list_says_why_and_every_bar_leads_to_its_cases(client, root):
    page = client.get("/").text
    assert "NOTHING_LOCATED 1" in page
    assert "fits nothing here" in page
    assert "Rows slipped" not in page
    bars = re.findall(
        r'href="(/\?[^"]+)">([^<]+)</a></th>.*?<td class="number">(\d+)</td>', client.get("/distributions").text
    )
    assert len(bars) > 10
    for address, _, count in bars:
        assert f"{count} found" in client.get(address.replace("&amp;", "&")).text


def test_search_reaches_the_text_of_the_report(client):
    page = client.get("/?words=SPLEEN").text
    assert "pair-1" in page
    assert "pair-0" not in page
    assert "pair-0" in client.get("/?words=air-0").text


def test_next_follows_the_list_that_the_analyst_came_from(client):
    assert 'id="next"' in client.get("/case/pair-0").text
    assert 'id="next"' not in client.get("/case/pair-0?split=test").text


def test_the_case_says_why_its_series_was_chosen_and_what_was_repaired(client):
    page = client.get("/case/pair-0").text
    assert "rank 1: thin" in page
    assert "identical copies of a slice were dropped: 1 slice" in page


def test_the_sample_gives_the_rate_and_what_is_missing(client):
    page = client.get("/sample?size=2&width=20").text
    assert "no case of the sample was read yet" in page
    assert "pair-0" in page
    client.post("/verdict/pair-0", json={"verdict": "reject"}, headers=ORIGIN)
    assert "of 1 cases read" in client.get("/sample?size=2&width=20").text
    assert "1 found" in client.get("/?sample=2.0&verdict=none").text
    assert "2 found" in client.get("/?sample=x.y").text
    assert client.get("/sample?size=x&seed=-4&width=0").status_code == 200


def test_a_dropped_thing_can_be_judged(client, root):
    key = "link_studies/study-9/UNMATCHED_STUDY"
    assert client.post(f"/verdict/{key}", json={"verdict": "reject"}, headers=ORIGIN).status_code == 200
    assert client.post("/verdict/a/b/c", json={"verdict": "reject"}, headers=ORIGIN).status_code == 404
    assert "100.0 %" in client.get("/sample").text
    assert Dataset.open(root).verdicts == {}


def test_the_other_readers_verdict_is_shown_after_ones_own(client):
    client.post("/reader", content="ann", headers=ORIGIN)
    client.post("/verdict/pair-0", json={"verdict": "reject", "note": "annsnote"}, headers=ORIGIN)
    client.post("/reader", content="bob", headers=ORIGIN)
    assert "annsnote" not in client.get("/case/pair-0").text
    client.post("/verdict/pair-0", json={"verdict": "accept"}, headers=ORIGIN)
    assert "annsnote" in client.get("/case/pair-0").text
    assert "pair-0" in client.get("/agreement").text
    assert "pair-0" in client.get("/?verdict=disputed").text
    assert client.post("/reader", content="x" * 41, headers=ORIGIN).status_code == 400
    assert client.post("/reader", content="a\nb", headers=ORIGIN).status_code == 400


def test_slices_come_as_png(client):
    answer = client.get("/slice/volume-0/sagittal/3.png?window=bone")
    assert answer.headers["content-type"] == "image/png"
    assert client.get("/thumbnail/volume-0.png").content.startswith(b"\x89PNG")
    for path in (
        "/slice/volume-0/oblique/3.png",
        "/slice/volume-9/axial/3.png",
        "/slice/volume-0/axial/3.png?window=x",
    ):
        assert client.get(path).status_code == 404


def test_a_verdict_by_request_is_kept(client, root):
    assert client.post("/verdict/pair-1", json={"verdict": "wrong_region"}, headers=ORIGIN).status_code == 200
    assert Dataset.open(root).verdicts["pair-1"] == "wrong_region"
    assert client.post("/verdict/pair-1", json={"verdict": "undo"}, headers=ORIGIN).json()["verdict"] is None
    assert client.post("/verdict/pair-1", json={"verdict": "maybe"}, headers=ORIGIN).status_code == 400
    assert client.post("/verdict/pair-1", content=b"[1]", headers=ORIGIN).status_code == 400
    assert client.post("/verdict/pair-9", json={"verdict": "accept"}, headers=ORIGIN).status_code == 404


def test_strangers_are_refused(client, root):
    assert client.get("/", headers={"Host": "evil.example:8999"}).status_code == 421
    assert (
        client.post("/verdict/pair-0", json={"verdict": "accept"}, headers={"Origin": "http://evil"}).status_code == 403
    )
    assert client.post("/verdict/pair-0", json={"verdict": "accept"}).status_code == 403
    client.cookies.clear()
    assert client.get("/").status_code == 401
    assert client.get("/slice/volume-0/axial/1.png").status_code == 401
    exchanged = client.get(f"/?token={TOKEN}", follow_redirects=False)
    assert exchanged.status_code == 303
    assert "httponly" in exchanged.headers["set-cookie"].lower()
    assert "samesite=strict" in exchanged.headers["set-cookie"].lower()


def test_hostile_text_is_inert(client, root):
    page = client.get("/case/pair-1").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    assert HOSTILE not in page


def test_the_static_page_stands_alone(root, tmp_path):
    file = tmp_path / "audit.html"
    summary = write_static(root, file, progress=Progress(quiet=True))
    page = file.read_text(encoding="utf-8")
    assert summary["cases_shown"] == summary["pairs"] == 2
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    assert "TOO_FEW_SLICES" in page
    assert "fewer slices than make a volume" in page
    assert "<script" not in page
    assert HOSTILE not in page


def test_the_pictured_sentence_describes_the_images_and_is_placed_most_closely():
    rows = [
        ("indication", "indication", "present", (40, 40, 40)), ("normal", "findings", "absent", (2, 2, 2)),
        ("whole lungs", "findings", "present", (30, 30, 30)), ("nodule", "findings", "present", (9, 9, 9)),
        ("not located", "findings", "present", None),
    ]  # fmt: skip
    sentences = [{"sentence_id": name, "section": section, "assertion": assertion, "is_normal": assertion == "absent"}
                 for name, section, assertion, _ in rows]  # fmt: skip
    boxes = {name: (Box("chest", "landmark", 0.9, (0, 0, 0), size),) if size else () for name, _, _, size in rows}
    for kept, expected in ((5, "nodule"), (3, "whole lungs"), (2, "normal"), (1, "indication"), (0, None)):
        case = SimpleNamespace(sentences=tuple(sentences[:kept]), boxes=boxes)
        assert (telling_sentence(case) or {}).get("sentence_id") == expected


def test_the_static_page_is_reproducible(root, tmp_path):
    for name in ("one.html", "two.html"):
        write_static(root, tmp_path / name, progress=Progress(quiet=True))
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_the_flow_says_what_each_stage_keeps(root, tmp_path):
    assert list(STAGE_WORK) == list(STAGES)
    write_static(root, tmp_path / "page.html", progress=Progress(quiet=True))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    counts = Dataset.open(root).manifest["counts"]
    assert counts
    assert all(f"<td>{stage}</td><td>{STAGE_WORK[stage]}</td>" in page for stage in counts)


def test_the_static_page_says_how_many_pairs_are_suspected_at_all(root, tmp_path):
    pairs = Dataset.open(root).rows("pairs")
    n = sum(any(severity_of(flag) in ("alarm", "look") for flag in row["flags"]) for row in pairs)
    write_static(root, tmp_path / "page.html", progress=Progress(quiet=True))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert f"{n} of {len(pairs)} pairs carry a flag graver than a note" in page
    n_unsuspected = sum(not row["suspicion"] for row in pairs)
    assert page.count("no rule speaks against it") == min(n_unsuspected, max(0, N_CASES - len(pairs) + n_unsuspected))


def test_a_folder_that_is_no_data_set_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"dataset\.json"):
        application(tmp_path, token=TOKEN, port=1)
