"""A served audit and a page of headless Chromium."""

import shutil
import socket
import threading
import time

import pytest
import uvicorn
from audit_data import write_small_dataset

from curation.audit.server import application
from curation.audit.viewer import viewer_script

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
NO_WEBGL = ["--disable-3d-apis"]
"""As on a machine without WebGL: the pre-rendered slices serve."""
TOKEN = "browser-test-token"


@pytest.fixture
def root(tmp_path):
    return write_small_dataset(tmp_path / "dataset")


@pytest.fixture
def address(root):
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
def page(request):
    """A page of a browser with WebGL; `viewer_page` says in which viewer a test runs."""
    yield from opened([])


@pytest.fixture(params=["niivue", "slices"])
def viewer_page(request):
    """The same page in both viewers."""
    if request.param == "niivue" and viewer_script() is None:
        pytest.skip("NiiVue is not installed (`make viewer`)")
    for made in opened(NO_WEBGL if request.param == "slices" else []):
        made.viewer = request.param
        yield made


def opened(flags):
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (Debian package chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])
        made = browser.new_page(viewport={"width": 1500, "height": 950})
        made.troubles = []
        made.asked = []
        made.on("pageerror", lambda error: made.troubles.append(str(error)))
        made.on("dialog", lambda dialog: made.troubles.append(f"dialog {dialog.message}"))
        made.on("console", lambda message: message.type == "error" and made.troubles.append(message.text))
        made.on("request", lambda asked: made.asked.append(asked.url))
        yield made
        browser.close()
