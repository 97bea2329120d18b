"""Killed at any moment and resumed, a job's result is the uninterrupted one's, byte for byte."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import zarr

import gridstride
from gridstride.pipeline import api
from gridstride.pipeline import job as jobs
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.simulations import states
from gridstride.pipeline.storage import journal as journals
from gridstride.pipeline.storage import paths
from gridstride.pipeline.storage.journal import Journal
from gridstride.pipeline.sweep.block_task import Work, begun_work, write_work
from gridstride.workers import cluster

COMMAND = [sys.executable, "-m", "gridstride.pipeline.commands.main"]


@pytest.fixture(scope="module")
def client() -> Any:
    with cluster.start("cpu", cluster.Size(1, 2, 4_000_000_000)) as client:
        yield client


def digest(out: Path) -> str:
    """A hash of every file of the result, names and bytes, but for the journal."""
    total = hashlib.sha256()
    for file in sorted(p for p in out.rglob("*") if p.is_file() and ".gridstride" not in p.parts):
        total.update(str(file.relative_to(out)).encode() + file.read_bytes())
    return total.hexdigest()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_twenty_times_and_resumed_gives_the_same_bytes(store: Any, tmp_path: Path) -> None:
    """A third of the kills come at any time from the start on, the others once some number of blocks is written."""
    array = np.random.default_rng(0).integers(0, 60000, (96, 96, 96)).astype(np.uint16)
    source = store(array, (16, 16, 16))
    first = ["filter", "gaussian", source]
    options = ["--sigma", "1.5", "--block", "16,32,32", "--shards", "16,32,32", "--chunks", "16,16,16", "--quiet"]
    blocks = 54
    calm, out = tmp_path / "calm.zarr", tmp_path / "out.zarr"
    subprocess.run([*COMMAND, *first, calm, *options], check=True, timeout=300)
    expected = digest(calm)
    chance = random.Random(7)
    journal = Journal(out)
    kills = between = 0
    while kills < 20:
        done = len(journal.done())
        if done == blocks:
            assert digest(out) == expected
            shutil.rmtree(out)
            done = 0
        resume = journal.exists() and (out / "zarr.json").exists() and chance.random() < 0.5
        command = [*COMMAND, "resume", out, "--quiet"] if resume else [*COMMAND, *first, out, *options]
        command += ["--halos", chance.choice(["exchange", "read"])]
        process = subprocess.Popen(list(map(str, command)), start_new_session=True)
        if chance.random() < 0.33:
            time.sleep(chance.uniform(0.0, 2.5))
        else:
            wanted = chance.randint(done + 1, min(blocks, done + 20))
            while process.poll() is None and len(journal.done()) < wanted:
                time.sleep(0.002)
            time.sleep(chance.uniform(0.0, 0.03))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
            between += 0 < len(journal.done()) < blocks
        process.wait()
        assert process.returncode in (0, -signal.SIGKILL)
    summary = subprocess.run([*COMMAND, *first, out, *options], check=True, timeout=300, capture_output=True, text=True)
    assert digest(out) == expected, summary.stdout
    assert between >= 5, f"only {between} kills fell into the sweep: the test proves too little"
    print(f"20 kills, {between} of them in the middle of the sweep")


def prepared(source: str, out: Path, **changes: Any) -> Any:
    values: dict[str, Any] = {"sigma": 1.0, "options": RunOptions(device="cpu", block=(8, 16)), **changes}
    return api.prepare("gaussian", source, out, **values)


def test_blocks_with_a_marker_are_not_computed_again(store: Any, tmp_path: Path, client: Any) -> None:
    source = store(np.random.default_rng(0).random((40, 16)).astype(np.float32), (8, 16))
    out = tmp_path / "out"
    api.run(prepared(source, out), client)
    expected = digest(out)
    for index in ((1, 0), (3, 0)):
        Journal(out).marker(index).unlink()
    # Block 3's data goes; block 4's is spoilt, which must stay so: its marker says that it is done.
    (out / "c" / "3" / "0").unlink()
    good = (out / "c" / "4" / "0").read_bytes()
    (out / "c" / "4" / "0").write_bytes(b"left alone")
    summary = api.run(jobs.resume(out, RunOptions(device="cpu")), client)
    assert (summary.computed, summary.skipped, summary.failed) == (2, 3, {})
    assert (out / "c" / "4" / "0").read_bytes() == b"left alone"
    (out / "c" / "4" / "0").write_bytes(good)
    assert digest(out) == expected


def test_what_a_sweep_goes_on_from_is_never_half_written(tmp_path: Path, monkeypatch: Any) -> None:
    """Killed at any write, a run leaves what was there or what is to be there."""
    where = tmp_path / "out"
    Journal(where).begin({"job": 1})
    work = Work("in", str(where), "", "", Journal(where).hash, "cpu", *({"plan": n} for n in (1, 2, 3)))  # type: ignore[arg-type]
    write_work(work)
    for _ in range(2):

        def killed(handle: int) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", killed)
            with pytest.raises(KeyboardInterrupt):
                write_work(replace(work, device="gpu"))
        begun = begun_work(where, "")
        assert begun is not None
        assert begun.device == "cpu"


def test_sweeps_before_the_last_one_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (0, 10, 2, 1):
        (tmp_path / journals.FOLDER / f"first-{number}").mkdir(parents=True)
    assert Journal(tmp_path).parts() == ["first-0", "first-1", "first-2", "first-10"]


def test_the_lock_files_of_a_killed_writer_stop_nobody(store: Any, tmp_path: Path, client: Any) -> None:
    source = store(np.random.default_rng(0).random((40, 16)).astype(np.float32), (8, 16))
    out = tmp_path / "out"
    api.run(prepared(source, out), client)
    expected = digest(out)
    Journal(out).marker((2, 0)).unlink()
    (out / "c" / "2" / "0.__lock").write_bytes(b"half a chunk")
    summary = api.run(jobs.resume(out, RunOptions(device="cpu")), client)
    assert (summary.computed, summary.retried, summary.failed) == (1, 0, {})
    assert digest(out) == expected  # and no lock file is left


def test_a_marker_comes_after_the_data(store: Any, tmp_path: Path, client: Any) -> None:
    """A writer that fails leaves no marker, so the block is computed by the next run."""
    source = store(np.random.default_rng(0).random((40, 16)).astype(np.float32), (8, 16))
    out = tmp_path / "out"
    job = prepared(source, out)

    def break_writes() -> None:
        from gridstride.pipeline.storage.regions import Regions

        def fail(self: Any, start: Any, data: Any) -> None:
            if start[0] == 16:
                raise OSError("no space left on device")
            Regions_write(self, start, data)

        Regions_write = Regions.write
        Regions.good_write = Regions_write  # type: ignore[attr-defined]
        Regions.write = fail  # type: ignore[method-assign]

    def mend_writes() -> None:
        from gridstride.pipeline.storage.regions import Regions

        Regions.write = Regions.good_write  # type: ignore[attr-defined, method-assign]

    client.run(break_writes)
    try:
        summary = api.run(job, client)
    finally:
        client.run(mend_writes)
    assert list(summary.failed) == ["2.0"]
    assert "no space left" in summary.failed["2.0"][0]
    assert Journal(out).done() == {(0, 0), (1, 0), (3, 0), (4, 0)}
    summary = api.run(prepared(source, out), client)
    assert (summary.computed, summary.skipped) == (1, 4)


def test_another_jobs_output_is_refused(store: Any, tmp_path: Path, client: Any) -> None:
    array = np.random.default_rng(0).random((40, 16)).astype(np.float32)
    source, other = store(array, (8, 16)), store(array, (8, 16))
    out = tmp_path / "out"
    api.run(prepared(source, out), client)
    before = digest(out)
    for job in (
        lambda: prepared(source, out, sigma=1.1),
        lambda: prepared(source, out, mode="wrap"),
        lambda: prepared(source, out, dtype="float64"),
        lambda: prepared(source, out, codec="zstd"),
        lambda: prepared(other, out),
    ):
        with pytest.raises(UsageError, match="another job's output"):
            job()
    with pytest.raises(UsageError, match="begun with --block 8,16"):
        prepared(source, out, options=RunOptions(device="cpu", block=(16, 16)))
    assert digest(out) == before
    # The same command again has nothing to do; with --overwrite it starts afresh.
    assert api.run(prepared(source, out), client).skipped == 5
    summary = api.run(prepared(source, out, sigma=1.1, options=RunOptions(device="cpu", overwrite=True)), client)
    assert summary.skipped == 0
    assert digest(out) != before


def test_what_a_kill_left_of_the_creation_is_made_good(store: Any, tmp_path: Path, client: Any) -> None:
    source = store(np.random.default_rng(0).random((40, 16)).astype(np.float32), (8, 16))
    calm = tmp_path / "calm"
    api.run(prepared(source, calm), client)
    for left in ("empty folder", "lock only", "operator without job", "job without array"):
        out = tmp_path / left.replace(" ", "-")
        out.mkdir()
        journal = Journal(out)
        if left != "empty folder":
            journal.lock()
            journal.unlock()
        if left == "operator without job":
            (journal.folder / "operator.json").write_text("{")
        if left == "job without array":
            api.run(prepared(source, out), client)
            (out / "zarr.json").unlink()
        api.run(prepared(source, out), client)
        assert digest(out) == digest(calm), left


@pytest.mark.slow
def test_two_clients_do_not_write_one_output(store: Any, tmp_path: Path) -> None:
    source = store(np.zeros((8, 16), np.uint8), (8, 16))
    out = tmp_path / "out"
    job = prepared(source, out)
    journal = Journal(out)
    journal.lock()
    with pytest.raises(UsageError, match="another gridstride is writing"):
        api.run(job)
    (out / "theirs").write_text("x")
    with pytest.raises(UsageError, match="another gridstride is writing"):
        api.run(prepared(source, out, options=RunOptions(device="cpu", overwrite=True)))
    assert (out / "theirs").exists(), "an overwrite that was refused deleted something"
    (out / "theirs").unlink()
    journal.unlock()
    assert gridstride.gaussian(source, out, 1.0, device="cpu", block=(8, 16)).computed == 1
    assert zarr.open_array(str(out)).shape == (8, 16)


def test_an_overwrite_that_is_killed_leaves_no_marker_without_its_data(
    store: Any, tmp_path: Path, client: Any, monkeypatch: Any
) -> None:
    """Whenever it dies, the job that was there is computed again, or is none."""
    source = store(np.random.default_rng(0).random((40, 16)).astype(np.float32), (8, 16))
    calm = tmp_path / "calm"
    api.run(prepared(source, calm), client)
    remove = journals.remove
    for survived in range(3):
        out = tmp_path / str(survived)
        shutil.copytree(calm, out)
        left = iter(range(survived))

        def remove_or_die(path: Path, left: Any = left) -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt
            remove(path)

        monkeypatch.setattr(journals, "remove", remove_or_die)
        with pytest.raises(KeyboardInterrupt):
            Journal(out).clear()
        monkeypatch.setattr(journals, "remove", remove)
        assert Journal(out).done() == (set() if survived else {(i, 0) for i in range(5)})
        assert Journal(out).exists() == (survived < 2)
        assert digest(out) == digest(calm), "data went before its markers"


@pytest.mark.slow
@pytest.mark.usefixtures("default_hangup")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_with_one_line_and_can_be_resumed(number: int, store: Any, tmp_path: Path, client: Any) -> None:
    array = np.random.default_rng(0).integers(0, 60000, (128, 128, 128)).astype(np.uint16)
    source, out = store(array, (16, 32, 32)), tmp_path / "the out"
    command = [*COMMAND, "filter", "gaussian", source, out, "--sigma", "1", "--block", "16,32,32", "--quiet"]
    process = subprocess.Popen(
        list(map(str, command)), start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    while len(Journal(out).done()) < 3:
        time.sleep(0.005)
    parts = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, number)  # as a terminal and systemd do: to every process
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert not psutil.wait_procs(parts, timeout=10)[1]
    by = "" if number == signal.SIGINT else f" by {signal.Signals(number).name}"
    kept = f"{len(Journal(out).done())} of 128 blocks are kept"
    assert said == f"gridstride: stopped{by}; {kept}; go on with: gridstride resume '{out}'\n"
    assert gridstride.resume(out).failed == {}
    result = zarr.open_array(str(out), mode="r")[...]
    calm = tmp_path / "calm"
    api.run(prepared(source, calm, sigma=1, options=RunOptions(device="cpu", block=(16, 32, 32))), client)
    np.testing.assert_array_equal(result, zarr.open_array(str(calm), mode="r")[...])


@pytest.mark.parametrize("done", [0, 1, 2])
def test_a_state_whose_deletion_is_killed_leaves_no_marker_without_its_data(
    done: int, tmp_path: Path, monkeypatch: Any
) -> None:
    state = Journal(tmp_path / ".gridstride" / "state-8-1x4x4")
    state.begin({"first": 0})
    state.mark((0, 0))
    data = state.out / "c"
    data.write_bytes(b"data")
    remove, left = paths.remove, iter([True] * done)

    def killed(where: Any) -> None:
        if not next(left, False):
            raise KeyboardInterrupt
        remove(where)

    for module in (journals, paths):
        monkeypatch.setattr(module, "remove", killed)
    with pytest.raises(KeyboardInterrupt):
        states.switch(tmp_path, states.Checkpoint("state-16-1x4x4", 16), None)
    assert states.read_checkpoint(tmp_path) == states.Checkpoint("state-16-1x4x4", 16)
    assert data.exists()
    assert state.exists() == (done < 2), "the job goes after its markers"
    assert state.done() == (set() if done else {(0, 0)})
