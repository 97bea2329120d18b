"""Whatever dies, hangs or fails while a job runs: its bytes are the undisturbed run's, and it says what happened."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from dask_processes import dask_processes
from test_resume import COMMAND, digest

from gridstride.pipeline import api
from gridstride.pipeline import job as jobs
from gridstride.pipeline.events.events import read_events
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.storage.journal import Journal
from gridstride.workers import cluster

pytestmark = pytest.mark.slow
BLOCK = (8, 16, 16)


@pytest.fixture(scope="module")
def source(tmp_path_factory: Any) -> str:
    import zarr

    path = tmp_path_factory.mktemp("input") / "in.zarr"
    array = np.random.default_rng(0).integers(0, 60000, (48, 64, 64)).astype(np.uint16)
    zarr.create_array(str(path), shape=array.shape, chunks=BLOCK, dtype=array.dtype)[...] = array
    return str(path)


@pytest.fixture(scope="module")
def calm(source: str, tmp_path_factory: Any) -> str:
    """The digest of the undisturbed run."""
    out = tmp_path_factory.mktemp("calm") / "out"
    with cluster.start("cpu", cluster.Size(1, 1, 2_000_000_000)) as client:
        api.run(prepared(source, out), client)
    return digest(out / "c")


def prepared(source: str, out: Path, halos: str = "store", runs: bool = False) -> Any:
    """96 blocks, one to a task unless `runs`."""
    options = RunOptions(device="cpu", workers=2, block=BLOCK, halos=halos)
    made = api.prepare("gaussian", source, out, sigma=0.8, options=options)
    batch = made.plan.batch if runs or halos == "exchange" else (1, 1, 1)
    return replace(made, plan=replace(made.plan, batch=batch))


def story(out: Path, event: str) -> list[dict[str, Any]]:
    return [e for e in read_events(Journal(out).folder) if e["event"] == event]


def spoil(client: Any, what: Callable[..., None], seconds: float = 0.0) -> None:
    """In all workers, now and later ones: call `what(start)` before a block is written, `start` its first element; and
    take `seconds` longer."""
    from distributed.diagnostics.plugin import WorkerPlugin

    class Spoiler(WorkerPlugin):
        name = "spoiler"

        def setup(self, worker: Any) -> None:

            from gridstride.pipeline.storage.regions import Regions

            write = Regions.write

            def spoilt(self: Any, start: Any, data: Any) -> None:
                time.sleep(seconds)
                what(tuple(start))
                write(self, start, data)

            Regions.write = spoilt  # type: ignore[method-assign]

    client.register_plugin(Spoiler())


def nothing(start: Any) -> None:
    pass


def workers(client: Any) -> list[int]:
    """Process numbers of the workers of a local cluster."""
    return [nanny.pid for nanny in client.cluster.workers.values() if nanny.pid]


@contextlib.contextmanager
def meanwhile(work: Callable[[threading.Event], None]) -> Iterator[threading.Thread]:
    """Run `work` in a thread beside the body; it is told when the body is over."""
    over = threading.Event()
    thread = threading.Thread(target=work, args=(over,))
    thread.start()
    try:
        yield thread
    finally:
        over.set()
        thread.join()


def when_done(out: Path, blocks: int, over: threading.Event) -> bool:
    """Wait until so many blocks are written; False if the job is over first."""
    while len(Journal(out).done()) < blocks:
        if over.wait(0.005):
            return False
    return True


def test_twenty_workers_killed_at_random_moments(source: str, calm: str, tmp_path: Path) -> None:
    chance = random.Random(11)
    kills = 0

    def kill(over: threading.Event) -> None:
        nonlocal kills
        while kills < 20 and not over.wait(chance.uniform(0.0, 0.8)):
            alive = workers(client)
            if len(alive) > 1:
                try:
                    os.kill(chance.choice(alive), signal.SIGKILL)
                except ProcessLookupError:  # it was killed already, and the scheduler has not heard of it
                    continue
                kills += 1

    with cluster.start("cpu", cluster.Size(3, 1, 2_000_000_000)) as client:
        spoil(client, nothing, 0.1)
        for number in range(12):
            if kills >= 20:
                break
            out = tmp_path / f"out{number}"
            with meanwhile(kill):
                summary = api.run(prepared(source, out, ["exchange", "read"][number % 2], number % 3 == 0), client)
            assert summary.failed == {}
            assert digest(out / "c") == calm
    assert kills == 20
    print(number + 1, "jobs")


def test_all_workers_killed_at_once(source: str, calm: str, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def kill(over: threading.Event) -> None:
        if when_done(out, 20, over):
            for pid in workers(client):
                os.kill(pid, signal.SIGKILL)

    with cluster.start("cpu", cluster.Size(2, 1, 2_000_000_000)) as client:
        with meanwhile(kill):
            summary = api.run(prepared(source, out, "exchange"), client)
        assert summary.failed == {}
        assert digest(out / "c") == calm
        assert len(story(out, "worker-lost")) == 2


def test_a_worker_that_hangs_is_killed_and_its_blocks_go_elsewhere(source: str, calm: str, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def stop(over: threading.Event) -> None:
        if when_done(out, 20, over):
            os.kill(workers(client)[0], signal.SIGSTOP)

    with cluster.start("cpu", cluster.Size(2, 1, 2_000_000_000), worker_timeout=5.0) as client:
        before = set(workers(client))
        with meanwhile(stop):
            summary = api.run(prepared(source, out), client)
        assert summary.failed == {}
        assert digest(out / "c") == calm
        (lost,) = story(out, "worker-lost")
        assert "did not answer for too long" in lost["text"]
        assert not psutil.pid_exists((before - set(workers(client))).pop())


def test_a_block_that_raises_twice_works_the_third_time(source: str, calm: str, tmp_path: Path) -> None:
    out, count = tmp_path / "out", str(tmp_path / "count")

    def fail_twice(start: Any) -> None:
        from pathlib import Path

        if start[0] == 16:
            with Path(count).open("a") as file:
                file.write("x")
            if Path(count).stat().st_size <= 2 * 16:  # all the blocks of that row
                raise OSError("the disk has a bad moment")

    with cluster.start("cpu", cluster.Size(2, 1, 2_000_000_000)) as client:
        spoil(client, fail_twice)
        summary = api.run(prepared(source, out), client)
    assert summary.failed == {}
    assert summary.retried >= 1
    assert digest(out / "c") == calm
    assert "bad moment" in story(out, "block-failed")[0]["text"]


def test_a_block_that_kills_its_workers_is_named_and_the_others_are_finished(
    source: str, calm: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def die(start: Any) -> None:
        import os
        import signal

        if start == (16, 32, 16):
            os.kill(os.getpid(), signal.SIGKILL)

    settings = {"distributed.scheduler.allowed-failures": 0}  # each death blames all that its worker had
    with cluster.start("cpu", cluster.Size(2, 1, 2_000_000_000), dask=settings) as client:
        spoil(client, die)
        summary = api.run(prepared(source, out, "exchange"), client)
        assert list(summary.failed) == ["2.2.1"]
        assert summary.failed["2.2.1"] == [
            "every worker that it was on was lost: too little memory, or a fault in native code"
        ]
        assert len(Journal(out).done()) == 95
        client.unregister_worker_plugin("spoiler")
        client.restart_workers(list(client.scheduler_info(n_workers=-1)["workers"]))
        summary = api.run(jobs.resume(out, RunOptions(device="cpu")), client)
    assert (summary.skipped, summary.computed) == (95, 1)
    assert digest(out / "c") == calm


# --- a cluster of processes of its own --------------------------------------------------------------------------


def begin(source: str, out: Path, *more: Any) -> subprocess.Popen[str]:
    command = [*COMMAND, "filter", "gaussian", source, out, "--sigma", "0.8", "--block", "8,16,16", *more]
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def wait_until_done(out: Path, blocks: int, process: subprocess.Popen[str]) -> None:
    while len(Journal(out).done()) < blocks:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.005)


def end(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    """Exit code and lines of a command."""
    said, _ = process.communicate(timeout=120)
    return process.returncode, said.splitlines()


def resumed(out: Path) -> str:
    """The digest after `gridstride resume` on a local cluster."""
    subprocess.run([*COMMAND, "resume", str(out), "--quiet", "--workers", "1"], check=True, timeout=120)
    return digest(out / "c")


def test_the_scheduler_is_killed(source: str, calm: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with dask_processes(tmp_path / "dask") as dask:
        command = begin(source, out, "--quiet", "--cluster", dask.file, "--halos", "exchange")
        wait_until_done(out, 20, command)
        dask.scheduler.kill()
        code, lines = end(command)
    assert code == 1
    (line,) = lines
    assert re.fullmatch(
        rf"gridstride: the scheduler (at {dask.address} )?is gone; \d+ of 96 blocks are kept; "
        rf"go on with: gridstride resume {out} --cluster {dask.file}",
        line,
    )
    assert 20 <= len(Journal(out).done()) < 96
    assert resumed(out) == calm


def test_a_nanny_and_then_the_client_are_killed(source: str, calm: str, tmp_path: Path) -> None:
    """The nanny's worker goes with it; the client's job goes on where it was."""
    out = tmp_path / "out"
    with dask_processes(tmp_path / "dask", seconds=0.1) as dask:
        command = begin(source, out, "--quiet", "--cluster", dask.file, "--halos", "exchange")
        wait_until_done(out, 12, command)
        (worker,) = spawned(psutil.Process(dask.workers[0].pid))
        dask.workers[0].kill()
        worker.wait(20)
        (lost,) = wait_for_story(out, "worker-lost")
        assert "was lost" in lost["text"]
        wait_until_done(out, len(Journal(out).done()) + 12, command)
        command.kill()
        assert end(command) == (-signal.SIGKILL, [])
        done = len(Journal(out).done())
        assert done < 96
        code, lines = end(begin(source, out, "--quiet", "--cluster", dask.file))
        assert code == 0
        assert "0 failed" in lines[-1]
    assert digest(out / "c") == calm


def spawned(process: psutil.Process) -> list[psutil.Process]:
    """The workers that a nanny, or a client with its own cluster, has started."""
    return [p for p in process.children(recursive=True) if "spawn_main" in " ".join(p.cmdline())]


def wait_for_story(out: Path, event: str) -> list[dict[str, Any]]:
    until = time.monotonic() + 20
    while not (found := story(out, event)) and time.monotonic() < until:
        time.sleep(0.05)
    return found


def test_the_workers_of_a_client_that_is_killed_go_away(source: str, calm: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = begin(source, out, "--quiet", "--workers", "2", "--halos", "exchange")
    wait_until_done(out, 5, command)
    children = psutil.Process(command.pid).children(recursive=True)
    assert len(spawned(psutil.Process(command.pid))) == 2
    command.kill()
    command.wait()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []
    assert resumed(out) == calm


def test_the_network_between_workers_and_scheduler_is_cut(source: str, calm: str, tmp_path: Path) -> None:
    """For a while: the job goes on. For good: it says so in one line, and can be resumed elsewhere."""
    once, out = tmp_path / "once", tmp_path / "out"
    with dask_processes(tmp_path / "dask", ttl=5, patience=8, proxy=True) as dask:
        command = begin(source, once, "--quiet", "--cluster", dask.file, "--halos", "exchange")
        wait_until_done(once, 20, command)
        dask.proxy.send_signal(signal.SIGSTOP)
        time.sleep(3)
        dask.proxy.send_signal(signal.SIGCONT)
        assert end(command)[0] == 0
        assert digest(once / "c") == calm
        command = begin(source, out, "--quiet", "--cluster", dask.file, "--halos", "exchange")
        wait_until_done(out, 20, command)
        dask.proxy.send_signal(signal.SIGSTOP)
        code, lines = end(command)
    assert code == 1
    assert re.fullmatch(
        r"gridstride: no worker has been heard of for 8 s; \d+ of 96 blocks are kept; "
        rf"go on with: gridstride resume {out} --cluster {dask.file}",
        lines[-1],
    )
    assert resumed(out) == calm


def test_a_worker_over_its_memory_limit_is_replaced(source: str, calm: str, tmp_path: Path) -> None:
    """By its nanny, as Dask's own setting has it on a cluster that is not ours."""
    out, marker = tmp_path / "out", str(tmp_path / "marker")

    def eat_memory_once(start: Any) -> None:
        import time
        from pathlib import Path

        import numpy as np

        if start == (16, 32, 16) and not Path(marker).exists():
            Path(marker).touch()
            hoard = np.ones(3 * 2**30 // 8)
            time.sleep(30)
            del hoard

    settings = {"distributed.worker.memory.terminate": 0.9}
    with cluster.start("cpu", cluster.Size(2, 1, 2_000_000_000), dask=settings) as client:
        spoil(client, eat_memory_once)
        summary = api.run(prepared(source, out), client)
    assert summary.failed == {}
    assert digest(out / "c") == calm
    assert len(story(out, "worker-lost")) == 1
