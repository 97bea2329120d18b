"""Whatever dies, hangs or fails while a job runs: its bytes are the undisturbed run's, and it says what happened."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from test_resume import digest

from gridstride.pipeline import images, jobs
from gridstride.pipeline.config import RunOptions
from gridstride.pipeline.events import read_events
from gridstride.pipeline.journal import Journal
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
        jobs.run(prepared(source, out), client)
    return digest(out)


def prepared(source: str, out: Path, halos: str = "store", runs: bool = False) -> Any:
    """96 blocks, one to a task unless `runs`."""
    options = RunOptions(device="cpu", workers=2, block=BLOCK, halos=halos)
    made = images.prepare_filter("gaussian", source, out, sigma=0.8, options=options)
    batch = made.plan.batch if runs or halos == "neighbours" else (1, 1, 1)
    return jobs.dataclasses.replace(made, plan=jobs.dataclasses.replace(made.plan, batch=batch))


def story(out: Path, event: str) -> list[dict[str, Any]]:
    return [e for e in read_events(Journal(out).folder) if e["event"] == event]


def spoil(client: Any, what: Callable[..., None], seconds: float = 0.0) -> None:
    """In all workers, now and later ones: call `what(start)` before a block is written, `start` its first element; and
    take `seconds` longer."""
    from distributed.diagnostics.plugin import WorkerPlugin

    class Spoiler(WorkerPlugin):
        name = "spoiler"

        def setup(self, worker: Any) -> None:

            from gridstride.pipeline import stores

            write = stores.Regions.write

            def spoilt(self: Any, start: Any, data: Any) -> None:
                time.sleep(seconds)
                what(tuple(start))
                write(self, start, data)

            stores.Regions.write = spoilt  # type: ignore[method-assign]

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
                os.kill(chance.choice(alive), signal.SIGKILL)
                kills += 1

    with cluster.start("cpu", cluster.Size(3, 1, 2_000_000_000)) as client:
        spoil(client, nothing, 0.1)
        for number in range(12):
            if kills >= 20:
                break
            out = tmp_path / f"out{number}"
            with meanwhile(kill):
                summary = jobs.run(prepared(source, out, ["neighbours", "store"][number % 2], number % 3 == 0), client)
            assert summary.failed == {}
            assert digest(out) == calm
    assert kills == 20
    print(number + 1, "jobs")


def test_all_workers_killed_at_once(source: str, calm: str, tmp_path: Path) -> None:
    with cluster.start("cpu", cluster.Size(2, 1, 2_000_000_000)) as client:
        for halos in ("neighbours", "store"):
            out = tmp_path / halos

            def kill(over: threading.Event, out: Path = out) -> None:
                if when_done(out, 20, over):
                    for pid in workers(client):
                        os.kill(pid, signal.SIGKILL)

            with meanwhile(kill):
                summary = jobs.run(prepared(source, out, halos), client)
            assert summary.failed == {}
            assert digest(out) == calm
            assert len(story(out, "worker-lost")) == 2


def test_a_worker_that_hangs_is_killed_and_its_blocks_go_elsewhere(source: str, calm: str, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def stop(over: threading.Event) -> None:
        if when_done(out, 20, over):
            os.kill(workers(client)[0], signal.SIGSTOP)

    with cluster.start("cpu", cluster.Size(2, 1, 2_000_000_000), worker_timeout=5.0) as client:
        before = set(workers(client))
        with meanwhile(stop):
            summary = jobs.run(prepared(source, out), client)
        assert summary.failed == {}
        assert digest(out) == calm
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
        summary = jobs.run(prepared(source, out), client)
    assert summary.failed == {}
    assert summary.retried >= 1
    assert digest(out) == calm
    assert "bad moment" in story(out, "block-failed")[0]["text"]


@pytest.mark.parametrize("halos", ["store", "neighbours"])
def test_a_block_that_kills_its_workers_is_named_and_the_others_are_finished(
    source: str, calm: str, tmp_path: Path, halos: str
) -> None:
    out = tmp_path / "out"

    def die(start: Any) -> None:
        import os
        import signal

        if start == (16, 32, 16):
            os.kill(os.getpid(), signal.SIGKILL)

    settings = {"distributed.scheduler.allowed-failures": 1}  # two deaths will do
    with cluster.start("cpu", cluster.Size(2, 1, 2_000_000_000), dask=settings) as client:
        spoil(client, die)
        summary = jobs.run(prepared(source, out, halos), client)
        assert list(summary.failed) == ["2.2.1"]
        assert summary.failed["2.2.1"] == [
            "every worker that it was on died: too little memory, or a fault in native code"
        ]
        assert len(Journal(out).done()) == 95
        client.unregister_worker_plugin("spoiler")
        client.restart_workers(list(client.scheduler_info(n_workers=-1)["workers"]))
        summary = jobs.run(jobs.resume(out, RunOptions(device="cpu")), client)
    assert (summary.skipped, summary.computed) == (95, 1)
    assert digest(out) == calm
