"""NiiVue is taken as it was pinned or not at all, and the audit works without it."""

import base64
import hashlib
import io
import json
import subprocess
import sys
import tarfile

import nibabel as nib
import numpy as np
import pytest
from audit_data import signed_in, write_small_dataset

from curation.audit import pages, server, viewer
from curation.audit.casebook import Casebook
from curation.contract import TABLES, Dataset
from t3dkit.tables import write_table


def package(*, without=""):
    """The bytes of an archive as npm packs it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in (("package/dist/index.js", b"export class Niivue {}"), ("package/package.json", b"{}")):
            if name != without:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def registry(monkeypatch, tmp_path):
    """An npm client that packs the bytes it is told, and an environment of its own."""
    told = {"bytes": package(), "code": 0}

    def run(command, *, cwd, **_):
        assert command[1:3] == ["pack", f"@niivue/niivue@{viewer.VERSION}"]
        assert "--ignore-scripts" in command
        if told["code"] == "silent":
            raise subprocess.TimeoutExpired(command, 1)
        if not told["code"]:
            (cwd / "niivue.tgz").write_bytes(told["bytes"])
        return subprocess.CompletedProcess(command, told["code"])

    monkeypatch.setattr(viewer.subprocess, "run", run)
    monkeypatch.setattr(viewer.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "env"))
    monkeypatch.setattr(viewer, "SHA512", base64.b64encode(hashlib.sha512(told["bytes"]).digest()).decode())
    return told


def test_the_pinned_package_is_installed_once(registry):
    assert viewer.viewer_script() is None
    script = viewer.install_viewer()
    assert script.read_bytes() == b"export class Niivue {}"
    registry["code"] = 1  # a second call asks nobody
    assert viewer.install_viewer() == script
    assert viewer.main() == 0


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ({"bytes": package() + b"x"}, "another hash"),
        ({"code": 1}, "could not fetch"),
        ({"code": "silent"}, "no answer"),
    ],
)
def test_what_goes_wrong_leaves_nothing_behind_and_says_why(registry, capsys, told, word):
    registry |= told
    assert viewer.main() == 1
    assert word in capsys.readouterr().err
    assert viewer.viewer_script() is None


def test_without_npm_the_viewer_stays_away(registry, monkeypatch):
    monkeypatch.setattr(viewer.shutil, "which", lambda name: None)
    with pytest.raises(viewer.ViewerError, match="npm"):
        viewer.install_viewer()


def test_the_licence_of_the_installed_viewer_is_permissive():
    script = viewer.viewer_script()
    if script is None:
        pytest.skip("NiiVue is not installed (`make viewer`)")
    manifest = json.loads(script.with_suffix(".json").read_text(encoding="utf-8"))
    assert (manifest["license"], manifest["version"]) == ("BSD-2-Clause", viewer.VERSION)


@pytest.fixture
def root(tmp_path):
    return write_small_dataset(tmp_path / "dataset")


@pytest.fixture
def client(root):
    with signed_in(root) as made:
        yield made


def test_without_the_viewer_the_case_page_says_so_and_serves_slices(client, root, monkeypatch):
    monkeypatch.setattr(pages, "viewer_script", lambda: None)
    monkeypatch.setattr(server, "viewer_script", lambda: None)
    case = Casebook(Dataset.open(root)).case("pair-1")
    assert pages.viewer_facts(case)["niivue"] is None
    assert client.get("/assets/niivue.js").status_code == 404
    assert client.get("/slice/volume-1/axial/3.png").status_code == 200


def test_any_range_of_a_volume_is_served_and_the_parts_are_the_file(client, root):
    whole = (root / "volumes/volume-1.nii").read_bytes()
    assert client.get("/volume/volume-1").content == whole
    parts, step = [], 7001
    for start in range(0, len(whole), step):
        answer = client.get("/volume/volume-1", headers={"Range": f"bytes={start}-{start + step - 1}"})
        assert answer.status_code == 206
        assert answer.headers["content-range"].endswith(f"/{len(whole)}")
        parts.append(answer.content)
    assert b"".join(parts) == whole
    assert client.get("/volume/volume-1", headers={"Range": f"bytes={len(whole)}-"}).status_code == 416
    assert client.get("/volume/volume-1").headers["cache-control"] == "no-store"


def test_a_compressed_volume_is_served_as_it_lies(client, root):
    path = root / "volumes/volume-0.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((2, 3, 4), np.int16), np.eye(4)), path)
    rows = Dataset.open(root).rows("volumes")
    rows[0] |= {"path": "volumes/volume-0.nii.gz"}
    write_table(root / "volumes.parquet", rows, TABLES["volumes"])
    assert client.get("/volume/volume-0").content == path.read_bytes()
    assert pages.viewer_facts(Casebook(Dataset.open(root)).case("pair-0"))["is_gz"]


def test_no_volume_but_the_data_sets_own(client, root):
    (root.parent / "secret.nii").write_bytes(b"x")
    rows = Dataset.open(root).rows("volumes")
    rows[0] |= {"path": "../secret.nii"}
    write_table(root / "volumes.parquet", rows, TABLES["volumes"])
    for volume_id in ("volume-0", "volume-9", "..%2fdataset.json"):
        assert client.get(f"/volume/{volume_id}").status_code == 404, volume_id
