"""The audit in a real browser: headless Chromium through Playwright."""

import shutil
import threading
import time

import pytest
import uvicorn
from audit_data import write_small_dataset

from curation.audit.server import application
from curation.audit.static import write_static
from curation.contract import Dataset
from t3dkit.progress import Progress

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TOKEN = "browser-test-token"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian package chromium)"),
]


@pytest.fixture
def root(tmp_path):
    return write_small_dataset(tmp_path / "dataset")


@pytest.fixture
def address(root):
    import socket

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(application(root, token=TOKEN, port=port), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(timeout=20)


@pytest.fixture
def page():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        made = browser.new_page(viewport={"width": 1500, "height": 950})
        made.troubles = []
        made.on("pageerror", lambda error: made.troubles.append(str(error)))
        made.on("dialog", lambda dialog: made.troubles.append(f"dialog {dialog.message}"))
        made.on("console", lambda message: message.type == "error" and made.troubles.append(message.text))
        yield made
        browser.close()


def test_a_sentence_click_moves_the_crosshair_into_its_box(page, address):
    page.goto(f"{address}/?token={TOKEN}")
    page.click("text=pair-1")
    page.click("button.sentence >> nth=0")
    at = [int(value) for value in page.get_attribute("body", "data-crosshair").split(",")]
    assert all(start <= place < start + size for place, start, size in zip(at, (2, 3, 4), (8, 9, 10), strict=True))
    assert page.locator("svg.plane rect.box").count() == 3
    assert page.locator("button.sentence.chosen").count() == 1
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


def test_a_click_in_the_volume_marks_the_sentences_about_that_place(page, address):
    page.goto(f"{address}/?token={TOKEN}")
    page.goto(f"{address}/case/pair-1")
    page.click("button.sentence >> nth=0")
    box = page.locator("svg.plane[data-plane=axial] rect.box").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert page.locator("button.sentence.here").count() >= 1


def test_hostile_reports_run_nothing(page, address):
    page.goto(f"{address}/?token={TOKEN}")
    page.goto(f"{address}/case/pair-1")
    page.wait_for_timeout(300)
    assert "<script>alert" in page.inner_text(".text")
    assert page.troubles == []


def test_the_static_page_opens_from_disk(page, root, tmp_path):
    file = tmp_path / "audit.html"
    write_static(root, file, progress=Progress(quiet=True))
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(f"file://{file}")
    assert page.inner_text("h1") == "Audit of small"
    assert [url for url in requests if not url.startswith(("file://", "data:"))] == []
    assert page.troubles == []
