"""How far a job is, seen from outside, whether it runs or was killed; and that looking disturbs nothing."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from flow_stores import CHANNEL, FLAT, flow_layout

from gridstride.pipeline import api
from gridstride.pipeline.commands.main import main
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.events.events import Events
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.reports import status as looking
from gridstride.pipeline.reports.status import failures, recent_rate, shortened, status
from gridstride.pipeline.simulations import simulation
from gridstride.pipeline.simulations.case import make_case
from gridstride.pipeline.simulations.store import create
from gridstride.pipeline.storage import lock
from gridstride.pipeline.storage.journal import Journal
from gridstride.pipeline.storage.lock import is_held
from gridstride.pipeline.text import clock
from gridstride.workers import cluster

COMMAND = [sys.executable, "-m", "gridstride.pipeline.commands.main"]


@pytest.fixture(scope="module")
def client() -> Any:
    with cluster.start("cpu", cluster.Size(1, 2, 4_000_000_000)) as client:
        yield client


@pytest.fixture
def out(store: Any, tmp_path: Path, client: Any) -> Path:
    """The output of a job of five blocks."""
    source = store(np.ones((40, 16), np.float32), (8, 16))
    options = RunOptions(device="cpu", block=(8, 16), halos="exchange")
    api.run(api.prepare("uniform", source, tmp_path / "out", size=3, options=options), client)
    return tmp_path / "out"


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file and folder with its time and content."""
    return {
        str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.read_bytes() if p.is_file() else b"")
        for p in [folder, *folder.rglob("*")]
    }


def test_a_job_is_finished_then_killed_then_running(out: Path) -> None:
    found = status(out)
    assert (found.state, found.done, found.total, found.unit, found.resume) == ("finished", 5, 5, "blocks", None)
    journal = Journal(out)
    for index in ((1, 0), (3, 0)):
        os.unlink(journal.marker(index))  # noqa: PTH108  (a StorePath)
    with Events(journal.folder) as events:
        events.say("resumed", "the job goes on", pid=7, machine={"host": "here"}, done=2, total=5, unit="blocks")
        events.say("cluster", "3 workers", workers=[], count=3)
        events.say("worker-lost", "worker 0 died", "warning", worker="tcp://a", name="0")
        events.say("block-lost", "block 1.0 failed again: no", "error", block="1.0", reason="no")
    found = status(out)
    assert (found.state, found.why) == ("killed", "it ended without a message")
    assert (found.done, found.runs, found.workers) == (3, 2, 2)
    assert found.resume == f"gridstride resume {out}"
    assert found.failed == {"1.0": "no"}
    assert found.faults == "1 worker lost, 1 block given up"
    journal.lock()
    try:
        found = status(out)
        assert (found.state, found.process, found.resume) == ("running", "process 7 on here", None)
    finally:
        journal.unlock()
    with Events(journal.folder) as events:
        events.say("failed", "1 blocks failed", "error")
    assert (status(out).state, status(out).why) == ("failed", "1 blocks failed")


def test_looking_writes_nothing_and_takes_nothing(out: Path) -> None:
    os.unlink(Journal(out).marker((1, 0)))  # noqa: PTH108
    journal = Journal(out)
    journal.lock()
    before = snapshot(out)
    assert status(out).state == "running"
    assert CliRunner().invoke(main, ["status", str(out)]).exit_code == 0
    assert snapshot(out) == before
    with pytest.raises(UsageError, match="another gridstride is writing"):
        Journal(out).lock()  # still held
    journal.unlock()
    assert not is_held(out / ".gridstride" / "lock")  # type: ignore[arg-type]
    assert not is_held(out / "nothing")


def test_a_job_that_begins_while_somebody_looks_gets_its_lock(tmp_path: Path, monkeypatch: Any) -> None:
    file = tmp_path / "lock"
    file.touch()
    with file.open("rb") as looker:
        fcntl.flock(looker, fcntl.LOCK_SH)
        threading.Timer(0.03, fcntl.flock, (looker, fcntl.LOCK_UN)).start()
        lock.lock(file).release()
        fcntl.flock(looker, fcntl.LOCK_SH)
        monkeypatch.setattr(lock, "TRIES", 1)
        with pytest.raises(UsageError, match="another gridstride"):
            lock.lock(file)


def test_one_scan_of_the_markers_is_enough(out: Path, monkeypatch: Any) -> None:
    blocks = Path(str(Journal(out).blocks))
    for number in range(2000):
        (blocks / f"{number + 5}.0-3").touch()
    scans = []
    scan = os.scandir
    monkeypatch.setattr(looking.os, "scandir", lambda path: scans.append(str(path)) or scan(path))
    assert status(out).done == 5 + 4 * 2000  # a marker may stand for a box of blocks
    assert scans == [str(blocks)]


def test_the_rate_is_that_of_the_later_half_of_this_run() -> None:
    times = np.array([1.0, 2.0, 100.0, 110.0, 120.0, 122.0, 124.0, 126.0])
    counts = np.array([9, 9, 1, 1, 1, 2, 2, 2])
    assert recent_rate(counts, times, 90.0, 126.0) == pytest.approx(6 / 6)  # after t = 120
    assert recent_rate(counts, times, 90.0, 138.0) == pytest.approx(6 / 18)  # a job that hangs becomes slow
    assert recent_rate(counts[::-1], times[::-1], 90.0, 126.0) == pytest.approx(6 / 6)
    assert recent_rate(counts, times, 125.0, 126.0) is None


def test_words_for_blocks() -> None:
    assert failures({"1": "no\nspace", "2": "gone", "3": "no\nspace"}) == ["block 1, 3: no space", "block 2: gone"]
    many = failures({str(n): f"reason {n}" for n in range(12)})
    assert len(many) == 11
    assert many[-1] == "... and 2 more reasons"
    assert shortened(["1", "2", "3"], 2) == "1, 2 and 1 more"


def test_a_status_for_machines(out: Path) -> None:
    result = CliRunner().invoke(main, ["status", str(out), "--json"])
    found = json.loads(result.output)
    assert (found["state"], found["done"], found["total"], found["resume"]) == ("finished", 5, 5, None)
    assert found["job"] == Journal(out).read()["hash"]


def test_no_job_is_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["status", str(tmp_path)])
    assert result.exit_code == 2
    assert result.output == f"gridstride: {tmp_path} is not the output of a gridstride job\n"


def test_hostile_names_move_no_cursor(out: Path) -> None:
    with Events(Journal(out).folder) as events:
        events.say("resumed", "x", pid="\x1b[2J", machine={"host": "\x1b]0;title\x07"})
        events.say("block-lost", "x", "error", block="[red]\x1b[2J", reason="[bold]why\x1b[31m")
    os.unlink(Journal(out).marker((1, 0)))  # noqa: PTH108
    result = CliRunner().invoke(main, ["status", str(out)])
    assert "\x1b" not in result.output
    assert "[bold]why" in result.output


def test_a_simulation_tells_its_step_time_and_checkpoint(tmp_path: Path, client: Any) -> None:
    out = tmp_path / "flow"
    options = RunOptions(device="cpu")
    summary = simulation.run(simulation.prepare(make_case(CHANNEL), out, options), client)
    found = status(out)
    assert (found.what, found.state, found.unit) == ("simulation short channel", "finished", "steps")
    assert found.done == found.total == summary.last
    assert found.more["time"] == "t = 0.2 of 0.2"
    assert found.more["snapshots"] == "3 of 3 written"
    checkpoint = out / ".gridstride" / "checkpoint.json"
    half = summary.last // 2
    checkpoint.write_text(json.dumps({**json.loads(checkpoint.read_text()), "step": half}))
    found = status(out)
    assert (found.state, found.done) == ("killed", half)
    assert found.more["checkpoint"].startswith(f"step {half}, t = 0.1")
    assert found.resume == f"gridstride resume {out}"
    result = CliRunner().invoke(main, ["status", str(out)])
    assert f"{half} of {summary.last} (50 %)" in result.output
    assert clock(found.started or 0) in result.output


def test_info_takes_no_markup_from_a_simulations_name(tmp_path: Path) -> None:
    attributes = {"case": {"name": "[red]a\x1b[2J flow"}, "dt": 0.01, "steps": 50}
    create(tmp_path / "flow.zarr", flow_layout(FLAT), {"gridstride": attributes})
    result = CliRunner().invoke(main, ["info", str(tmp_path / "flow.zarr")])
    assert result.exit_code == 0, result.output
    assert "[red]a\ufffd[2J flow: dt 0.01; checkpoint at step 0 of 50" in " ".join(result.output.split())


def watch(out: Path, process: Any, until: Any) -> dict[str, Any]:
    """Ask until the answer is as wanted."""
    for _ in range(600):
        done = subprocess.run([*COMMAND, "status", str(out), "--json"], capture_output=True, text=True, timeout=60)
        if done.returncode == 0 and until(found := json.loads(done.stdout)):
            return found
        assert process.poll() is None, "it ended too soon to be looked at"
        time.sleep(0.1)
    raise AssertionError("it never came so far")


@pytest.mark.slow
def test_from_another_terminal_a_job_that_runs_and_is_killed(store: Any, tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 60000, (96, 96, 96)).astype(np.uint16)
    source, out = store(array, (16, 16, 16)), tmp_path / "out.zarr"
    command = [*COMMAND, "filter", "uniform", source, str(out), "--size", "3", "--block", "16,16,16", "--quiet",
               "--halos", "exchange"]  # fmt: skip
    process = subprocess.Popen(command, start_new_session=True)
    while not len(Journal(out).done()) > 5:
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGSTOP)  # it runs for as long as the look at it takes
    found = watch(out, process, lambda found: found["done"] > 5)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert (found["state"], found["total"], found["workers"]) == ("running", 216, 1)
    assert found["process"].startswith(f"process {process.pid} on ")
    dead = status(out)
    assert dead.state == "killed"
    assert found["done"] <= dead.done < 216
    assert dead.resume is not None
    subprocess.run([*COMMAND, *dead.resume.split()[1:], "--quiet"], check=True, timeout=300, capture_output=True)
    assert (status(out).state, status(out).runs) == ("finished", 2)


@pytest.mark.slow
def test_from_another_terminal_a_simulation_that_runs_and_is_killed(tmp_path: Path) -> None:
    out, case = tmp_path / "flow.zarr", tmp_path / "case.yaml"
    case.write_text(yaml.safe_dump({**CHANNEL, "run": {"until": 40}}))
    process = subprocess.Popen([*COMMAND, "simulate", str(case), str(out), "--quiet"], start_new_session=True)
    found = watch(out, process, lambda found: found["done"] > 50 and found["rate"])
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert found["state"] == "running"
    assert found["left"] > 0
    dead = status(out)
    assert (dead.state, dead.total) == ("killed", found["total"])
    assert dead.done < dead.total
    assert f"step {dead.done}," in dead.more["checkpoint"]
