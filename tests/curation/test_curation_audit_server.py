"""The audit server refuses strangers, keeps a log without identifiers, and is quick with a large volume."""

import json
import shutil
import socket
import subprocess
import sys
import time

import nibabel as nib
import numpy as np
import pytest
from audit_data import BASE, TOKEN, write_small_dataset
from starlette.testclient import TestClient

from curation.audit.serve import Place, require_safe
from curation.audit.server import COOKIE, application
from curation.contract import TABLES, Dataset, private_folder
from t3dkit.errors import ConfigError
from t3dkit.tables import write_table

PAGES = (
    "/", "/sheet", "/distributions", "/sample", "/agreement", "/drops", "/case/pair-0", "/slice/volume-0/axial/1.png",
    "/thumbnail/volume-0.png", "/volume/volume-0", "/assets/niivue.js", "/assets/audit.js", "/assets/audit.css",
    "/assets/icon.svg", "/no-such-page",
)  # fmt: skip


@pytest.fixture
def root(tmp_path):
    return write_small_dataset(tmp_path / "dataset")


@pytest.fixture
def stranger(root):
    with TestClient(application(root, token=TOKEN, port=8999), base_url=BASE) as made:
        yield made


@pytest.mark.parametrize("token", ["", "a-token-of-this-tes", "A-TOKEN-OF-THIS-TEST", "ü" * 20, TOKEN + " "])
def test_no_page_without_the_token(stranger, token):
    for path in PAGES:
        assert stranger.get(path).status_code == 401, path
        assert stranger.get(path, params={"token": token}, follow_redirects=False).status_code == 401, path
    assert stranger.post("/verdict/pair-0", json={"verdict": "accept"}, headers={"Origin": BASE}).status_code == 401
    assert stranger.post("/reader", content="eve", headers={"Origin": BASE}).status_code == 401


@pytest.mark.parametrize(
    "host",
    ["evil.example:8999", "127.0.0.1", "127.0.0.1:80", "localhost.evil.example:8999", "[::1]:8999", "",
     "127.0.0.1:8999.x"],
)  # fmt: skip
def test_a_foreign_host_header_is_refused_with_the_right_token_too(stranger, host):
    stranger.cookies.set(COOKIE, TOKEN)
    assert stranger.get("/", headers={"Host": host}).status_code == 421
    assert stranger.get("/", headers={"Host": "localhost:8999"}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:8999", "http://127.0.0.1:1", None]
)
def test_another_sites_form_changes_nothing(stranger, root, origin):
    stranger.cookies.set(COOKIE, TOKEN)
    headers = {"Origin": origin} if origin else {}
    assert stranger.post("/verdict/pair-0", json={"verdict": "reject"}, headers=headers).status_code == 403
    assert Dataset.open(root).verdicts == {}


def test_paths_lead_nowhere_else(stranger):
    stranger.cookies.set(COOKIE, TOKEN)
    for path in ("/assets/../server.py", "/assets/%2e%2e/server.py", "/thumbnail/..%2f..%2fetc%2fpasswd.png",
                 "/case/..%2f..%2f", "/slice/volume-0/axial/-1.png", "/slice/volume-0/axial/9e9.png"):  # fmt: skip
        assert stranger.get(path).status_code == 404, path


def test_every_answer_carries_the_policy(stranger):
    stranger.cookies.set(COOKIE, TOKEN)
    for path in PAGES:
        headers = stranger.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_the_log_holds_pseudonyms_and_no_word_of_a_report(stranger, root):
    stranger.get("/secret-of-a-stranger?token=x")
    stranger.cookies.set(COOKIE, TOKEN)
    stranger.post("/reader", content="ann", headers={"Origin": BASE})
    for path in ("/?words=nodule", "/case/pair-0", "/case/Jane-Doe"):
        stranger.get(path)
    path = private_folder(root) / "access.jsonl"
    text = path.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line["path"], line["status"]) for line in lines] == [
        ("", 401), ("/reader", 200), ("/", 200), ("/case/pair-0", 200), ("", 404)
    ]  # fmt: skip
    assert lines[3]["reader"] == "ann"
    assert not any(word in text for word in ("nodule", "Jane", "secret", TOKEN))
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("place", "word"),
    [
        (Place(host="0.0.0.0"), "loopback"),
        (Place(host="192.0.2.7", name="audit.example"), "SSH"),
        (Place(host="audit.example"), "IP address"),
        (Place(host="::"), "loopback"),
    ],
)
def test_no_address_but_loopback_without_tls(place, word):
    with pytest.raises(ConfigError, match=word):
        require_safe(place)


def test_the_command_line_refuses_to_bind_in_clear(root):
    command = [sys.executable, "-m", "curation", "audit", str(root), "--host", "0.0.0.0", "--name", "audit.example"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 2
    assert "loopback" in answer.stderr


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_tls_and_a_name_open_the_door_and_the_cookie_is_secure(root, tmp_path):
    cert, key = tmp_path / "c.pem", tmp_path / "k.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
         "-subj", "/CN=audit.example"], check=True, capture_output=True,
    )  # fmt: skip
    require_safe(Place(host="0.0.0.0", name="audit.example", certificate=cert, certificate_key=key))
    with pytest.raises(ConfigError, match="--name"):
        require_safe(Place(host="0.0.0.0", certificate=cert, certificate_key=key))
    with pytest.raises(ConfigError, match="PEM"):
        require_safe(Place(certificate=key, certificate_key=key))
    app = application(root, token=TOKEN, port=8999, names=("audit.example",), scheme="https")
    with TestClient(app, base_url="https://audit.example:8999") as client:
        answer = client.get(f"/?token={TOKEN}", follow_redirects=False)
        assert "secure" in answer.headers["set-cookie"].lower()
        assert client.get("/", headers={"Host": "127.0.0.1:8999"}).status_code == 421


def served(root):
    command = [sys.executable, "-m", "curation", "audit", str(root), "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    line = next(line for line in server.stderr if "http://" in line)
    return server, next(word for word in line.split() if word.startswith("http://"))


def test_verdicts_survive_a_kill_of_the_server(root):
    import httpx

    server, address = served(root)
    base = address.split("/?")[0]
    with httpx.Client(base_url=base, follow_redirects=True) as client:
        assert client.get(address).status_code == 200
        for verdict in ("accept", "reject"):
            answer = client.post("/verdict/pair-0", json={"verdict": verdict}, headers={"Origin": base})
            assert answer.json()["verdict"] == verdict
    server.kill()
    server.wait()
    assert Dataset.open(root).verdicts == {"pair-0": "reject"}
    assert all(row["pair_id"] != "pair-0" for split in ("train", "test") for row in
               Dataset.open(root).trainable_pairs(split))  # fmt: skip
    server, address = served(root)
    with httpx.Client(base_url=address.split("/?")[0], follow_redirects=True) as client:
        client.get(address)
        page = client.get("/case/pair-0").text
    server.kill()
    server.wait()
    assert page.count("<li>") >= 2
    assert '<strong id="current" role="status">reject</strong>' in page


def test_the_port_of_another_program_is_not_taken(root):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        command = [sys.executable, "-m", "curation", "audit", str(root), "--port", str(other.getsockname()[1])]
        assert subprocess.run(command, capture_output=True, timeout=120).returncode == 2


def test_a_damaged_volume_costs_its_pictures_alone(root):
    (root / "volumes/volume-0.nii").write_bytes(b"no NIfTI at all")
    with TestClient(application(root, token=TOKEN, port=8999), base_url=BASE) as client:
        client.cookies.set(COOKIE, TOKEN)
        assert client.get("/slice/volume-0/axial/1.png").status_code == 404
        assert client.get("/thumbnail/volume-0.png").status_code == 404
        assert client.get("/case/pair-0").status_code == 200


def test_the_first_slice_of_a_large_volume_comes_within_two_seconds(root):
    shape = (512, 512, 600)
    affine = np.diag([0.7, 0.7, 1.0, 1.0])
    image = nib.Nifti1Image(np.zeros((2, 2, 2), np.int16), affine)
    header = image.header.copy()
    header.set_data_shape(shape)
    header.set_sform(affine, code=1)
    path = root / "volumes/large.nii"
    with open(path, "wb") as file:
        header["vox_offset"], header["magic"] = 352, b"n+1"
        header["scl_slope"], header["scl_inter"] = 1, 0
        file.write(header.binaryblock + b"\0\0\0\0")
        file.truncate(352 + 2 * int(np.prod(shape)))  # a hole: no bytes on disk, the same work for the server
    rows = Dataset.open(root).rows("volumes")
    rows[0] |= {"path": "volumes/large.nii", "shape_ijk": list(shape), "spacing_mm": [0.7, 0.7, 1.0],
                "affine_ras": affine.ravel().tolist()}  # fmt: skip
    write_table(root / "volumes.parquet", rows, TABLES["volumes"])
    with TestClient(application(root, token=TOKEN, port=8999), base_url=BASE) as client:
        client.cookies.set(COOKIE, TOKEN)
        seconds = {}
        for plane, index in (("axial", 300), ("coronal", 256), ("sagittal", 256)):
            start = time.perf_counter()
            assert client.get(f"/slice/volume-0/{plane}/{index}.png").status_code == 200
            seconds[plane] = time.perf_counter() - start
    assert max(seconds.values()) < 2.0, seconds
