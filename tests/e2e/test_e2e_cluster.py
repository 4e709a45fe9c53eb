"""A cluster of processes on machines of their own, as docs/cluster.md has it: the same bytes, nothing in the logs.

The machines are network namespaces, which take root to make; SLURM is a `sbatch` that starts what it is given.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hospital import PLANS, configured, curate, tree_hash, write_export

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "cluster.md").read_text(encoding="utf-8")
MACHINES = {"scheduler": "10.77.0.1", "one": "10.77.0.2", "two": "10.77.0.3", "driver": "10.77.0.4"}
WAIT_S = 120


def block(kind: str, number: int = 0) -> str:
    """A block of code of the page."""
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)[number]


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return configured(write_export(tmp_path_factory.mktemp("cluster")))


@pytest.fixture(scope="module")
def expected(export: Path) -> str:
    assert curate(export, export / "here") == 0
    return tree_hash(export / "here")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`/etc/t3dkit` of the page: its dask.yaml, an authority, a certificate."""
    folder = tmp_path_factory.mktemp("settings")
    certify(folder)
    (folder / "dask.yaml").write_text(block("yaml").replace("/etc/t3dkit", str(folder)))
    return folder


def certify(folder: Path) -> None:
    """A new authority and a certificate that it signed."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    for line in (
        [*new, "-x509", "-subj", "/CN=authority", "-keyout", "ca-key.pem", "-out", "ca.pem"],
        [*new, "-subj", "/CN=machine", "-keyout", "key.pem", "-out", "request.pem"],
        ["openssl", "x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-days", "2",
         "-CAcreateserial", "-out", "cert.pem"],
    ):  # fmt: skip
        subprocess.run(line, cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def machines() -> Iterator[Mapping[str, str]]:
    """Network namespaces with an address each, joined by a bridge in one more; name -> namespace."""
    spaces = {name: f"t3d-{os.getpid()}-{name}" for name in (*MACHINES, "hub")}
    hub = spaces["hub"]
    lines = [["netns", "add", hub], ["-n", hub, "link", "add", "bridge", "type", "bridge"]]
    lines.append(["-n", hub, "link", "set", "bridge", "up"])
    for name, address in MACHINES.items():
        space = spaces[name]
        lines += [
            ["netns", "add", space],
            ["-n", hub, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", space],
            ["-n", hub, "link", "set", name, "master", "bridge", "up"],
            ["-n", space, "addr", "add", f"{address}/24", "dev", "eth0"],
            ["-n", space, "link", "set", "eth0", "up"],
            ["-n", space, "link", "set", "lo", "up"],
        ]
    try:
        for line in lines:
            done = subprocess.run(["ip", *line], check=False, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"network namespaces cannot be made here: {done.stderr.strip()}")
        yield spaces
    except FileNotFoundError:
        pytest.skip("ip (iproute2) is not installed")
    finally:
        for space in spaces.values():
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)


@contextmanager
def running(words: Sequence[str], log: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """A process of its own group while the block runs; what it says goes to `log`."""
    with (
        open(log, "w") as said,
        subprocess.Popen(
            words, cwd=REPOSITORY, env=environment, stdout=said, stderr=said, start_new_session=True
        ) as process,
    ):
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)


def wait_for(log: Path, words: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while words not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def run_words(export: Path, dataset: Path) -> list[str]:
    """What stands in place of the page's ``run /data/export --reports ... --out ...``."""
    return [
        "run", str(export / "dicom"), "--reports", str(export / "reports.csv"), "--out", str(dataset),
        "--config", str(export / "config.toml"), "--key", str(export / "key"),
    ]  # fmt: skip


def require_silent(*logs: Path) -> None:
    """Nothing that identifies is in what the processes said."""
    said = "".join(log.read_text() for log in logs).casefold()
    assert said
    for plan in PLANS:
        for value in (plan.patient, plan.accession, plan.uid, *plan.name.split("^")):
            assert value.casefold() not in said


def test_machines_that_talk_over_tls_give_the_same_bytes(
    export: Path, expected: str, settings: Path, machines: Mapping[str, str], tmp_path: Path
):
    inside = {name: ["ip", "netns", "exec", space] for name, space in machines.items()}
    scheduler, worker, driver = (
        [sys.executable, *line.split()[1:]] for line in block("sh").strip().splitlines() if line.startswith("python")
    )
    address = driver[-1]
    environment = {**os.environ, "DASK_CONFIG": str(settings)}
    logs = {name: tmp_path / f"{name}.log" for name in MACHINES}
    with ExitStack() as stack:
        stack.enter_context(running([*inside["scheduler"], *scheduler], logs["scheduler"], environment))
        wait_for(logs["scheduler"], address)
        for name in ("one", "two"):
            stack.enter_context(running([*inside[name], *worker], logs[name], environment))
        for name in ("one", "two"):
            wait_for(logs[name], "Registered to")
        words = [*inside["driver"], *driver[:3], *run_words(export, tmp_path / "set"), *driver[-2:]]
        with open(logs["driver"], "w") as said:
            done = subprocess.run(words, cwd=REPOSITORY, env=environment, check=False, stdout=said, stderr=said)
        assert done.returncode == 0, logs["driver"].read_text()
        stranger = tmp_path / "stranger"
        stranger.mkdir()
        certify(stranger)
        (stranger / "dask.yaml").write_text(block("yaml").replace("/etc/t3dkit", str(stranger)))
        for config, told in ((stranger, "no Dask scheduler answers"), (tmp_path / "nothing", "needs certificates")):
            refused = subprocess.run(
                words, cwd=REPOSITORY, env={**os.environ, "DASK_CONFIG": str(config)}, check=False,
                capture_output=True, text=True,
            )  # fmt: skip
            assert refused.returncode == 2, refused.stderr
            assert told in refused.stderr
    assert tree_hash(tmp_path / "set") == expected
    for name in ("one", "two"):
        assert MACHINES[name] in logs[name].read_text(), "the worker has an address of its own"
    require_silent(*logs.values())


@pytest.mark.timeout(600)  # six processes of Dask start, which a busy machine of two cores draws out
def test_the_slurm_recipe_asks_for_workers_and_gives_the_same_bytes(
    export: Path, expected: str, settings: Path, tmp_path: Path
):
    pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "sbatch").write_text(
        # a copy, as SLURM takes one: dask-jobqueue removes its script once this has answered
        f'#!/bin/sh\ncat "$1" >> {tmp_path}/jobs.txt\ncp "$1" {tmp_path}/job.$$.sh\n'
        f"setsid sh {tmp_path}/job.$$.sh >> {tmp_path}/workers.log 2>&1 &\n"
        "echo Submitted batch job $!\n"
    )
    (programs / "scancel").write_text('#!/bin/sh\nfor job in "$@"; do kill -TERM -- -"$job"; done\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    recipe = block("python").replace("/etc/t3dkit", str(settings))
    recipe = re.sub(r"^RUN = .*$", f"RUN = {run_words(export, tmp_path / 'set')!r}", recipe, flags=re.MULTILINE)
    (tmp_path / "recipe.py").write_text(recipe)
    environment = {
        **os.environ, "DASK_CONFIG": str(settings), "PYTHONPATH": str(REPOSITORY),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    with open(tmp_path / "driver.log", "w") as said:
        done = subprocess.run(
            [sys.executable, str(tmp_path / "recipe.py")], env=environment, check=False, stdout=said, stderr=said
        )
    assert done.returncode == 0, (tmp_path / "driver.log").read_text()
    assert tree_hash(tmp_path / "set") == expected
    jobs = (tmp_path / "jobs.txt").read_text()
    assert jobs.count("#!/usr/bin/env bash") == 2
    for line in ("#SBATCH -p cpu", "#SBATCH -A radiology", "#SBATCH --cpus-per-task=1", "#SBATCH --mem=4G",
                 "#SBATCH -t 08:00:00", f"export DASK_CONFIG={settings}"):  # fmt: skip
        assert jobs.count(f"\n{line}\n") == 2, line
    assert len(re.findall(r"dask_worker tls://\S+ .*--nthreads 1 .*--no-dashboard", jobs)) == 2
    require_silent(tmp_path / "driver.log", tmp_path / "workers.log", tmp_path / "jobs.txt")


def test_the_kubernetes_page_is_whole():
    yaml = pytest.importorskip("yaml")
    cluster = yaml.safe_load(block("yaml", 1))
    for role, module in (("worker", "dask_worker"), ("scheduler", "dask_scheduler")):
        pod = cluster["spec"][role]["spec"]
        (container,) = pod["containers"]
        assert f"distributed.cli.{module}" in container["args"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        assert {"name": "DASK_CONFIG", "value": "/etc/t3dkit"} in container["env"]
