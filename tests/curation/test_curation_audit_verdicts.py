"""Verdicts of one reader, of two, of a server that is killed; what was dropped judged too."""

import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from audit_data import write_small_dataset

from curation.audit.agreement import agreements, cohens_kappa
from curation.audit.verdicts import VerdictStore, published_verdicts
from curation.contract import VERDICTS, Dataset, private_folder


@pytest.fixture
def root(tmp_path):
    return write_small_dataset(tmp_path / "dataset")


def test_undo_takes_back_step_by_step_and_only_the_readers_own(root):
    store = VerdictStore(root)
    for verdict in ("accept", "reject", "wrong_region"):
        store.decide("pair-0", verdict, reader="ann")
    store.decide("pair-0", "needs_expert", reader="bob")
    assert [store.undo("pair-0", reader="ann") for _ in range(4)] == ["reject", "accept", None, None]
    assert store.by_reader()["pair-0"]["bob"].verdict == "needs_expert"
    assert len(store.history("pair-0")) == 7
    store.decide("pair-0", "accept", reader="ann")
    assert store.by_reader()["pair-0"]["ann"].verdict == "accept"


def test_a_disputed_pair_stays_out_until_the_readers_agree(root):
    store = VerdictStore(root)
    store.decide("pair-0", "reject", reader="ann")
    store.decide("pair-0", "accept", reader="bob")
    assert store.disputed() == ["pair-0"]
    assert published_verdicts(root) == {"pair-0": "reject"}
    assert all(pair["pair_id"] != "pair-0" for pair in Dataset.open(root).trainable_pairs("test"))
    store.decide("pair-0", "accept", reader="ann")
    assert store.disputed() == []
    assert [pair["pair_id"] for pair in Dataset.open(root).trainable_pairs("test")] == ["pair-0"]


def test_a_second_server_sees_what_the_first_one_kept(root):
    one, other = VerdictStore(root), VerdictStore(root)
    one.decide("pair-0", "accept", reader="ann")
    assert other.latest()["pair-0"].verdict == "accept"
    other.decide("pair-1", "reject", reader="bob")
    assert one.latest()["pair-1"].verdict == "reject"


def test_verdicts_on_drops_are_kept_and_published_to_nobody(root):
    VerdictStore(root).decide("convert/series-9/TOO_FEW_SLICES", "reject")
    assert published_verdicts(root) == {}
    assert VerdictStore(root).latest()["convert/series-9/TOO_FEW_SLICES"].verdict == "reject"


def test_a_store_of_the_first_version_is_carried_over(root):
    path = private_folder(root) / "verdicts.sqlite"
    path.parent.mkdir()
    with sqlite3.connect(path) as base:
        base.execute(
            "CREATE TABLE event (id INTEGER PRIMARY KEY, pair_id TEXT, verdict TEXT, reader TEXT, note TEXT, at TEXT)"
        )
        base.execute("INSERT INTO event VALUES (1, 'pair-0', 'reject', '', 'old', '2024-01-01T00:00:00+00:00')")
    assert VerdictStore(root).latest()["pair-0"].note == "old"


def test_kappa_is_cohens():
    table = [("accept", "accept")] * 20 + [("accept", "reject")] * 5 + [("reject", "accept")] * 10
    table += [("reject", "reject")] * 15
    assert cohens_kappa(table) == pytest.approx(0.4)  # the worked example of Cohen's kappa: (0.7 - 0.5) / (1 - 0.5)
    assert cohens_kappa([]) is None
    assert cohens_kappa([("accept", "accept")] * 3) is None
    draw = random.Random(1)
    chance = [(draw.choice(VERDICTS), draw.choice(VERDICTS)) for _ in range(20_000)]
    assert cohens_kappa(chance) == pytest.approx(0.0, abs=0.02)


def test_readers_are_compared_on_what_both_judged(root):
    store = VerdictStore(root)
    store.decide("pair-0", "reject", reader="ann")
    store.decide("pair-0", "reject", reader="bob")
    store.decide("pair-1", "accept", reader="ann")
    (found,) = agreements(store.by_reader())
    assert (found.one, found.other, found.n_both, found.n_agree) == ("ann", "bob", 1, 1)


def judge_many(root, reader, n):
    store = VerdictStore(root)
    for k in range(n):
        store.decide(f"pair-{k}", "accept" if k % 2 else "reject", reader=reader)


def test_two_analysts_at_once_lose_nothing(root):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=judge_many, args=(root, reader, 25)) for reader in ("ann", "bob")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0]
    store = VerdictStore(root)
    assert all(set(store.by_reader()[f"pair-{k}"]) == {"ann", "bob"} for k in range(25))
    store.publish()
    assert len(published_verdicts(root)) == 25


ENDLESS = (
    "import sys; from pathlib import Path; from curation.audit.verdicts import VerdictStore\n"
    "store = VerdictStore(Path(sys.argv[1]))\n"
    "for k in range(10**6):\n"
    "    store.decide(f'pair-{k}', 'reject'); print(k, flush=True)\n"
)


def test_what_was_acknowledged_survives_a_kill(root):
    writer = subprocess.Popen([sys.executable, "-c", ENDLESS, str(root)], stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    acknowledged = -1
    while acknowledged < 20 and time.monotonic() < deadline:
        acknowledged = int(writer.stdout.readline())
    os.kill(writer.pid, signal.SIGKILL)
    rest = writer.stdout.read().split()
    writer.wait()
    acknowledged = max([acknowledged, *map(int, rest)])
    latest = VerdictStore(root).latest()
    assert all(latest[f"pair-{k}"].verdict == "reject" for k in range(acknowledged + 1))
    assert set(published_verdicts(root)) <= set(latest)
