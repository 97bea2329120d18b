"""What a job says: one line for each event, for people and for machines, and none that harms the job."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gridstride.pipeline import api
from gridstride.pipeline import job as jobs
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.events import events as told
from gridstride.pipeline.events.events import Events, open_events, read_events
from gridstride.pipeline.events.lines import read_lines
from gridstride.pipeline.events.machine import machine
from gridstride.pipeline.events.spans import FILE, Spans, read_spans
from gridstride.pipeline.events.watch import watch_workers
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.storage.journal import Journal
from gridstride.workers import cluster
from gridstride.workers.stages import SPANS_KEPT, Stages

SOMETIMES = ("progress", "compiling")
COMMAND = [sys.executable, "-m", "gridstride.pipeline.commands.main"]


def names(folder: Path) -> list[str]:
    return [event["event"] for event in read_events(folder) if event["event"] != "compiling"]


def test_an_event_is_one_line_with_time_level_job_and_block(tmp_path: Path, capsys: Any) -> None:
    with Events(tmp_path, "0123abc", as_json=True, log=tmp_path / "log") as events:
        events.say("block-failed", "block 1.2\n failed\x1b[2J", "warning", block="1.2", worst=float("nan"))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    line = json.loads(lines[0])
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "event": "block-failed",
        "job": "0123abc",
        "text": "block 1.2 failed\ufffd[2J",
        "block": "1.2",
        "worst": None,
    }
    for file in (tmp_path / told.FILE, tmp_path / "log"):
        assert file.read_text().splitlines() == lines


def test_people_see_what_the_plan_the_bar_and_the_summary_do_not_say(capsys: Any) -> None:
    events = Events(show=True)
    events.say("started", "the job begins")
    events.say("worker-lost", "worker [red]0[/red] died", "warning", worker="tcp://x")
    events.say("worker-restarted", "worker\n0 is back at tcp://me:hunter2@host")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [
        "warning: worker [red]0[/red] died",
        "worker 0 is back at tcp://***@host",
    ]


def test_a_flood_of_one_event_is_cut_off_on_the_terminal_but_not_in_the_file(tmp_path: Path, capsys: Any) -> None:
    with Events(tmp_path, show=True) as events:
        for number in range(30):
            events.say("block-failed", f"block {number} failed", "warning")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == told.MOST_SHOWN
    assert "all are in .gridstride/events.jsonl" in lines[-1]
    assert len(names(tmp_path)) == 30


def test_a_line_that_a_kill_cut_short_takes_no_other_with_it(tmp_path: Path) -> None:
    for run in ("started", "resumed"):
        with Events(tmp_path) as events:
            events.say(run, "a run")
        with (tmp_path / told.FILE).open("a") as file:
            file.write('{"time": "2026-11-24T12:0')
    with (tmp_path / told.FILE).open("a") as file:
        file.write('"text"\n{"time": "2026-11-24T12:00:00Z", "event": "started"}\n{"event": "x", "time": "noon"}\n')
    assert names(tmp_path) == ["started", "resumed"]


def test_events_that_cannot_be_written_do_not_stop_the_job(tmp_path: Path, monkeypatch: Any) -> None:
    with Events(tmp_path) as events:
        write = os.write

        def full(handle: int, data: bytes) -> int:
            write(handle, data[:10])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        events.say("progress", "half")
        monkeypatch.undo()
        events.say("finished", "all")
    assert names(tmp_path) == ["finished"]


def test_a_log_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    options = RunOptions(log=str(tmp_path / "no" / "log"))
    with (
        pytest.raises(UsageError, match="no/log cannot be written: No such file"),
        open_events(tmp_path, "job", options, "cpu", False, done=0, total=1, unit="blocks"),
    ):
        pass


def test_credentials_in_addresses_are_never_written(tmp_path: Path) -> None:
    with Events(tmp_path) as events:
        events.say("failed", "GET https://me:hunter2@host/a?X-Amz-Signature=abc&x=1: no", facts={"in": "s3://k:s@b/c"})
        events.say("failed", "https://host/a?sv=1&sig=abc%3D&AWSAccessKeyId=x&token=y and mail a@b")
    text = (tmp_path / told.FILE).read_text()
    for secret in ("hunter2", "=abc", "k:s", "=y"):
        assert secret not in text
    assert "https://***@host/a?X-Amz-Signature=***&x=1: no" in text
    assert "mail a@b" in text


def test_progress_is_told_less_and_less_often(tmp_path: Path, monkeypatch: Any) -> None:
    clock = [0.0]
    monkeypatch.setattr(told.time, "monotonic", lambda: clock[0])
    with Events(tmp_path) as events:
        for second in range(36_000):  # ten hours, a block a second
            clock[0] = float(second)
            events.progress(second, 36_000, "blocks", "some")
        events.progress(36_000, 36_000, "blocks", "all")
    done = [event["done"] for event in read_events(tmp_path)]
    assert 300 < len(done) < 1000
    assert done == sorted(done)
    assert done[-1] == 36_000


def test_a_clock_that_is_set_back_turns_no_story_around(tmp_path: Path, monkeypatch: Any) -> None:
    with Events(tmp_path) as events:
        events.say("started", "one")
        monkeypatch.setattr(told.time, "time", lambda: 0.0)
        events.say("progress", "two")
    first, second = (told.seconds(event) for event in read_events(tmp_path))
    assert first <= second < first + 60


def test_a_machine_names_the_gpus_that_are_visible_and_no_others(monkeypatch: Any) -> None:
    """A GPU that CUDA_VISIBLE_DEVICES hides may be another user's, and NVML may not be allowed to ask it."""
    names = {0: b"hidden", 1: "old", 2: "new", "GPU-ab": "by its id"}
    fake = SimpleNamespace(
        nvmlInit=lambda: None, nvmlDeviceGetCount=lambda: 3, nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetHandleByUUID=lambda text: text, nvmlDeviceGetName=names.__getitem__,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    for visible, found in (("2,1", ["new", "old"]), ("GPU-ab", ["by its id"]), ("", [])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert machine("gpu")["gpus"] == found
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert machine("gpu")["gpus"] == ["hidden", "old", "new"]
    assert "gpus" not in machine("cpu")


def test_spans_of_many_threads_stay_few_rows_and_lose_no_second(tmp_path: Path, monkeypatch: Any) -> None:
    from gridstride.pipeline.events import spans as written

    clock = [0.0]
    monkeypatch.setattr(written.time, "monotonic", lambda: clock[0])
    spans = Spans(tmp_path)
    for second in range(20_000):
        clock[0] = float(second)
        for thread in (1, 2):
            spans.take(
                "tcp://a", [(thread, "kernel", second, second + 0.75), (thread, "wait", second + 0.8, second + 1)]
            )
    spans.close()
    rows = read_spans(read_lines(tmp_path / FILE))
    assert 4000 < len(rows) < 25_000
    assert sum(row.stages.get("kernel", 0) for row in rows) == pytest.approx(2 * 20_000 * 0.75)
    assert all(row.begin <= row.end and sum(row.stages.values()) <= row.end - row.begin + 1e-6 for row in rows)


def test_stages_say_when_each_thread_was_in_them() -> None:
    stages = Stages()

    def work() -> None:
        with stages("kernel"):
            pass

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    with stages("read + decode"):
        pass
    (other, first, a, b), (own, second, c, d) = stages.spans()
    assert (first, second) == ("kernel", "read + decode")
    assert own == threading.get_ident() != other
    assert a <= b <= c <= d
    assert stages.drain() == pytest.approx({"kernel": b - a, "read + decode": d - c}, abs=1e-6)
    for _ in range(SPANS_KEPT + 5):
        work()
    assert len(stages.spans()) == SPANS_KEPT
    assert stages.spans() == []


@pytest.fixture(scope="module")
def client() -> Any:
    with cluster.start("cpu", cluster.Size(1, 2, 4_000_000_000)) as client:
        yield client


def test_a_bad_chunk_is_told_and_so_is_the_run_that_mends_it(store: Any, tmp_path: Path, client: Any) -> None:
    source = store(np.ones((40, 16), np.float32), (8, 16))
    out = tmp_path / "out"
    good = Path(source, "c", "2", "0").read_bytes()
    Path(source, "c", "2", "0").write_bytes(b"broken")
    job = api.prepare("uniform", source, out, size=1, options=RunOptions(device="cpu", block=(8, 16)))
    assert list(api.run(job, client).failed) == ["2.0"]
    folder = Journal(out).folder
    story = [event for event in read_events(folder) if event["event"] not in SOMETIMES]
    assert [event["event"] for event in story] == ["started", "cluster", "block-failed", "block-lost", "failed"]
    assert {event["job"] for event in story} == {Journal(out).read()["hash"]}
    assert [event.get("block") for event in story[2:4]] == ["2.0", "2.0"]
    assert "chunk c/2/0" in story[3]["text"]
    assert story[4]["summary"]["computed"] == 4
    Path(source, "c", "2", "0").write_bytes(good)
    api.run(jobs.resume(out), client)
    story = [event for event in read_events(folder) if event["event"] not in SOMETIMES][5:]
    assert [event["event"] for event in story] == ["resumed", "cluster", "finished"]
    assert story[0]["done"] == 4
    rows = read_spans(read_lines(folder / FILE))
    assert {stage for row in rows for stage in row.stages} >= {"read + decode", "kernel", "encode + write"}
    assert {row.worker for row in rows} == {worker["worker"] for worker in story[1]["workers"]}


def test_a_job_is_told_once_that_kernels_are_compiled(client: Any, tmp_path: Path) -> None:
    def compile_something(number: int) -> int:
        from numba import njit

        from gridstride.workers.compiling import announce

        announce()
        return njit(lambda x: x + number)(1)

    with Events(tmp_path) as events, watch_workers(client, events):
        assert client.gather(client.map(compile_something, [1, 2], pure=False)) == [2, 3]
        while "compiling" not in [event["event"] for event in read_events(tmp_path)]:
            time.sleep(0.01)
        assert client.submit(compile_something, 3, pure=False).result() == 4
    assert [event["event"] for event in read_events(tmp_path)] == ["cluster", "compiling"]


@pytest.mark.slow
def test_a_worker_that_is_killed_is_named_with_what_it_had_to_do(tmp_path: Path) -> None:
    start = cluster.start("cpu", cluster.Size(2, 1, 4_000_000_000))
    with start as both, Events(tmp_path) as events, watch_workers(both, events):
        pids = both.run(os.getpid)
        victim = sorted(pids)[0]
        pid = pids[victim]

        def stay() -> None:
            if os.getpid() == pid:
                time.sleep(600)

        # for this worker alone: another that has nothing to do would steal one
        waiting = [both.submit(stay, key=f"s{n}", pure=False, workers=[victim]) for n in range(3)]
        while len(both.processing()[victim]) < 3:
            time.sleep(0.05)
        os.kill(pids[victim], signal.SIGKILL)
        while len(names(tmp_path)) < 3:
            time.sleep(0.05)
        del waiting
        # What happens after the job is no news: here the cluster closes.
    story = list(read_events(tmp_path))
    assert [event["event"] for event in story] == ["cluster", "worker-lost", "worker-restarted"]
    (name,) = [worker["name"] for worker in story[0]["workers"] if worker["worker"] == victim]
    lost, back = story[1:]
    assert (lost["worker"], lost["name"], lost["level"]) == (victim, name, "warning")
    assert lost["text"].startswith(f"worker {name} ({victim}) was lost; {lost['tasks']} tasks and")
    assert lost["tasks"] >= 3
    assert (back["name"], back["worker"] != victim) == (name, True)


@pytest.mark.slow
def test_log_json_leaves_nothing_but_json_lines_on_stderr(store: Any, tmp_path: Path) -> None:
    source, out = store(np.ones((8, 16), np.float32), (8, 16)), str(tmp_path / "out")
    command = [*COMMAND, "filter", "uniform", source, out, "--size", "1", "--log-json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    lines = [line for line in map(json.loads, done.stderr.splitlines()) if line["event"] != "compiling"]
    assert [line["event"] for line in lines] == ["started", "cluster", "progress", "finished"]
    assert done.returncode == 0
    assert done.stdout.startswith(f"{out}: 1 blocks computed")
    done = subprocess.run([*command, "--block", "3,16"], capture_output=True, text=True, timeout=120)
    (line,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert (done.returncode, line["event"], line["code"]) == (2, "exit", 2)
