"""Blocks that are the fault's cause: stuck in a read or a write, too large for a worker's memory, deadly."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from test_faults import story
from test_resume import digest

from gridstride.pipeline import api
from gridstride.pipeline import job as jobs
from gridstride.pipeline.errors import JobFailed
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.storage.journal import Journal
from gridstride.workers import cluster

pytestmark = pytest.mark.slow
BLOCK = (8, 16, 16)
IO_TIMEOUT = 4.0
ONE_DEATH = {"distributed.scheduler.allowed-failures": 0}  # fails a task, and whatever else its worker had
KILLED = "every worker that it was on was lost: too little memory, or a fault in native code"


@pytest.fixture(scope="module")
def source(tmp_path_factory: Any) -> Path:
    return make(tmp_path_factory.mktemp("input") / "in.zarr", (16, 32, 48))


@pytest.fixture(scope="module")
def calm(source: Path) -> str:
    """The digest of the undisturbed run."""
    out = source.with_name("calm")
    with cluster.start("cpu", cluster.Size(1, 1, 2_000_000_000)) as client:
        api.run(prepared(source, out), client)
    return digest(out / "c")


def make(path: Path, shape: tuple[int, ...]) -> Path:
    array = np.random.default_rng(0).integers(0, 60000, shape).astype(np.uint16)
    zarr.create_array(str(path), data=array, chunks=BLOCK)
    return path


def prepared(source: Path, out: Path, io_timeout: float = IO_TIMEOUT) -> Any:
    """One block to a task, which reads its own halo."""
    options = RunOptions(device="cpu", workers=2, block=BLOCK, halos="read")
    made = api.prepare("gaussian", str(source), out, sigma=0.8, options=options)
    config = made.environment.config.model_copy(update={"io_timeout": io_timeout})
    plan = replace(made.plan, batch=(1, 1, 1))
    return replace(made, plan=plan, environment=replace(made.environment, config=config))


def in_workers(client: Any, change: Callable[[], None]) -> None:
    """Call `change` in all workers, now and later ones, before their first task."""
    from distributed.diagnostics.plugin import WorkerPlugin

    class Change(WorkerPlugin):
        name = "change"

        def setup(self, worker: Any) -> None:
            import tensorstore  # noqa: F401  which is part of no read then

            change()

    client.register_plugin(Change())


@pytest.mark.parametrize("doing", ["reading", "writing"])
def test_a_worker_that_is_stuck_is_ended_and_its_block_goes_elsewhere(
    source: Path, calm: str, tmp_path: Path, doing: str
) -> None:
    """Kernels may take as long as they like."""
    out, marker = tmp_path / "out", tmp_path / "marker"

    def change() -> None:
        import threading
        import time

        from gridstride.pipeline.storage.regions import Regions
        from gridstride.workers import device

        name = {"reading": "read", "writing": "write"}[doing]
        region, kernel = getattr(Regions, name), device._on_cpu

        def stuck_once(self: Any, start: Any, more: Any) -> Any:
            # What block 1.1.1 reads begins a halo of three before it.
            here = {"reading": (5, 13, 13), "writing": (8, 16, 16)}[doing]
            if tuple(start) == here and not marker.exists():
                marker.touch()
                threading.Event().wait()
            return region(self, start, more)

        def slow(operator: Any, window: Any, want: Any, result: Any) -> Any:
            if want.start == (0, 16, 32):
                time.sleep(1.5 * IO_TIMEOUT)
            return kernel(operator, window, want, result)

        setattr(Regions, name, stuck_once)
        device._on_cpu = slow

    with cluster.start("cpu", cluster.Size(2, 1, 2_000_000_000)) as client:
        in_workers(client, change)
        summary = api.run(prepared(source, out), client)
    assert summary.failed == {}
    assert digest(out / "c") == calm
    said = story(out, "worker-stuck")
    assert f"is stuck in {doing} block 1.1.1 for" in said[0]["text"]
    assert {event["stage"] for event in said} == {"read + decode" if doing == "reading" else "encode + write"}
    assert len(story(out, "worker-lost")) >= 1


def test_blocks_that_are_always_stuck_are_named_and_the_others_are_finished(tmp_path: Path) -> None:
    source, out = make(tmp_path / "in.zarr", (8, 16, 64)), tmp_path / "out"
    job = prepared(source, out)
    chunk = source / "c" / "0" / "0" / "0"
    with cluster.start("cpu", cluster.Size(2, 1, 2_000_000_000), dask=ONE_DEATH) as client:
        in_workers(client, lambda: None)
        content = chunk.read_bytes()
        chunk.unlink()
        os.mkfifo(chunk)  # whoever opens it waits for a writer
        summary = api.run(job, client)
        assert sorted(summary.failed) == ["0.0.0", "0.0.1"]  # for the halo of the second, too
        for name, (reason,) in summary.failed.items():
            assert reason.startswith(f"stuck in reading block {name} for ")
        assert len(Journal(out).done()) == 2
        chunk.unlink()
        chunk.write_bytes(content)
        api.run(prepared(source, tmp_path / "calm"), client)
        api.run(job, client)
    assert digest(out / "c") == digest(tmp_path / "calm" / "c")


def test_a_store_that_answers_nobody_is_given_up(source: Path, tmp_path: Path) -> None:
    def change() -> None:
        import threading

        from gridstride.pipeline.storage.regions import Regions

        def stuck(self: Any, start: Any, stop: Any) -> Any:
            threading.Event().wait()

        Regions.read = stuck  # type: ignore[method-assign]

    with cluster.start("cpu", cluster.Size(2, 1, 2_000_000_000), dask=ONE_DEATH) as client:
        in_workers(client, change)
        with pytest.raises(JobFailed, match=r"^5 tasks one after another, the last of them stuck in reading block "):
            api.run(prepared(source, tmp_path / "out", 2.0), client)


def test_a_block_that_is_too_large_for_a_worker_is_computed_in_parts(source: Path, calm: str, tmp_path: Path) -> None:
    """Its nanny kills the worker at the limit; what the kernel takes here grows with what it is given."""
    out = tmp_path / "out"

    def change() -> None:
        import time
        from math import prod

        import numpy as np

        from gridstride.workers import device

        kernel = device._on_cpu

        def hungry(operator: Any, window: Any, want: Any, result: Any) -> Any:
            here = zip((8, 16, 16), want.start, want.stop, (16, 32, 32), strict=True)
            if all(a <= start < stop <= b for a, start, stop, b in here):  # block 1.1.1, or a part of it
                size = prod(want.shape)
                taken = np.ones(size * 2**19 // 8)  # 1 GiB for the whole
                if size > 256:
                    time.sleep(600)
                del taken
            return kernel(operator, window, want, result)

        device._on_cpu = hungry

    settings = {**ONE_DEATH, "distributed.worker.memory.terminate": 0.95}
    with cluster.start("cpu", cluster.Size(2, 1, 800_000_000), dask=settings) as client:
        in_workers(client, change)
        summary = api.run(prepared(source, out), client)
    assert summary.failed == {}
    assert digest(out / "c") == calm
    assert "alone, in smaller pieces" in story(out, "block-alone")[0]["text"]
    assert "1.1.1" in {event["block"] for event in story(out, "block-alone")}


def test_blocks_whose_workers_died_are_tried_one_at_a_time(source: Path, calm: str, tmp_path: Path) -> None:
    """Block 0.1.1 kills its worker, always and as soon as its neighbour is there too; 0.1.2 waits for that."""
    out, met = tmp_path / "out", tmp_path / "met"

    def change() -> None:
        import os
        import signal
        import time

        from gridstride.pipeline.storage.regions import Regions

        write = Regions.write
        here: set[tuple[int, ...]] = set()
        deadly, neighbour = (0, 16, 16), (0, 16, 32)

        def together(self: Any, start: Any, data: Any) -> None:
            start = tuple(start)
            here.add(start)
            if start in (deadly, neighbour):
                # The first time they are sure to meet. Later they do if both are sent.
                until = time.monotonic() + (3 if met.exists() else 60)
                while not {deadly, neighbour} <= here and time.monotonic() < until:
                    time.sleep(0.01)
                if start == deadly:
                    met.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                if deadly in here:
                    time.sleep(60)
            write(self, start, data)
            here.discard(start)

        Regions.write = together  # type: ignore[method-assign]

    with cluster.start("cpu", cluster.Size(1, 2, 2_000_000_000), dask=ONE_DEATH) as client:
        in_workers(client, change)
        summary = api.run(prepared(source, out, 600.0), client)
        assert {"0.1.1", "0.1.2"} <= {event["block"] for event in story(out, "block-alone")}
        assert summary.failed == {"0.1.1": [KILLED]}
        assert len(Journal(out).done()) == 11
        client.unregister_worker_plugin("change")
        client.restart_workers(list(client.scheduler_info(n_workers=-1)["workers"]))
        api.run(jobs.resume(out, RunOptions(device="cpu")), client)
    assert digest(out / "c") == calm
