"""A cluster that others use too: jobs beside each other, and nothing of a job that stays in it or in this process."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import zarr
from dask_processes import dask_processes
from scipy import ndimage

import gridstride
from gridstride.pipeline.events.events import Events, read_events
from gridstride.pipeline.events.watch import watch_workers
from gridstride.pipeline.sweep.halo_timer import halo_timer
from gridstride.workers import cluster
from gridstride.workers.clusters import Size

pytestmark = pytest.mark.slow

SIZE = Size(2, 1, 2_000_000_000)


def joined(client: Any) -> Any:
    """Another client of the same cluster, as another command would have."""
    return cluster.start("cpu", SIZE, kind="address", address=client.scheduler.address)


def left_behind(client: Any) -> list[str]:
    """Names of our plugins in the scheduler, and of those that it hands to its workers."""

    def look(dask_scheduler: Any = None) -> list[str]:
        return [str(name) for name in (*dask_scheduler.plugins, *dask_scheduler.worker_plugins)]

    return [name for name in client.run_on_scheduler(look) if "gridstride" in name]


@pytest.mark.slow
def test_two_jobs_at_once_are_right_and_told_of_what_happens(tmp_path: Path) -> None:
    """The short one ends in the middle of the other, which is to hear of the worker that is killed after that."""
    array = np.random.default_rng(0).integers(0, 60000, (96, 64, 64)).astype(np.uint16)
    zarr.create_array(str(tmp_path / "in"), shape=array.shape, chunks=(8, 16, 16), dtype=array.dtype)[...] = array
    command = [sys.executable, "-m", "gridstride.pipeline.commands.main", "filter", "gaussian", str(tmp_path / "in")]
    command += ["--precision", "double", "--cast", "scipy", "--quiet", "--halos", "neighbours"]
    blocks = {"long": "8,16,16", "short": "16,32,32"}
    with dask_processes(tmp_path / "dask", seconds=0.1) as dask:
        running = {
            name: subprocess.Popen(
                [*command, str(tmp_path / name), "--sigma", "0.8", "--block", block, "--cluster", str(dask.file)],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )
            for name, block in blocks.items()
        }  # fmt: skip
        said = {"short": running["short"].communicate(timeout=120)[0]}
        assert running["long"].poll() is None
        (worker,) = [p for p in psutil.Process(dask.workers[0].pid).children() if "spawn_main" in " ".join(p.cmdline())]
        worker.kill()
        said["long"] = running["long"].communicate(timeout=120)[0]
    for name in blocks:
        assert running[name].returncode == 0, said[name]
        np.testing.assert_array_equal(zarr.open_array(str(tmp_path / name))[...], ndimage.gaussian_filter(array, 0.8))
        stages = json.loads((tmp_path / name / ".gridstride" / "summary.json").read_text())["stages"]
        assert stages["halo"] > 0
    assert [e["event"] for e in read_events(tmp_path / "long" / ".gridstride")].count("worker-lost") == 1


def test_names_in_a_cluster_are_each_jobs_own(tmp_path: Path) -> None:
    with cluster.start("cpu", SIZE) as first, joined(first) as second:
        with Events(tmp_path) as events, watch_workers(first, events, io_timeout=100), halo_timer(first):
            with Events() as others, watch_workers(second, others, io_timeout=100), halo_timer(second):
                assert len(left_behind(first)) == 6  # watch, timer and watchdog, twice
            assert len(left_behind(first)) == 3
            pid = next(iter(first.run(os.getpid).values()))
            os.kill(pid, signal.SIGKILL)
            for _ in range(300):
                if "worker-restarted" in (told := [e["event"] for e in read_events(tmp_path)]):
                    break
                time.sleep(0.1)
            assert told == ["cluster", "worker-lost", "worker-restarted"]
        assert left_behind(first) == []


def test_a_client_that_dies_leaves_no_names(tmp_path: Path) -> None:
    with cluster.start("cpu", SIZE) as first, ExitStack() as never_left:
        with joined(first) as second:
            for context in (watch_workers(second, Events(), io_timeout=100), halo_timer(second)):
                never_left.enter_context(context)
            assert len(left_behind(first)) == 3
        for _ in range(100):
            if not (names := left_behind(first)):
                break
            time.sleep(0.1)
        assert names == []


def test_halos_are_timed_by_job() -> None:
    import dask.array as da

    def overlap(client: Any) -> Any:
        array = da.ones((8, 8), chunks=(4, 4))
        return client.compute(da.map_overlap(lambda block: block + 1, array, depth=1, boundary="none")).result()

    with cluster.start("cpu", SIZE) as first, joined(first) as second:
        with halo_timer(first) as mine, halo_timer(second) as other:
            pass
        with halo_timer(second) as other:
            with halo_timer(first) as mine:
                np.testing.assert_array_equal(overlap(first), np.full((8, 8), 2.0))
                times = mine()
                assert times["cut"] > 0
                assert times["block"] > 0
            assert other() == {"transfer": 0.0, "cut": 0.0, "block": 0.0}


def test_a_deadline_for_reads_is_for_the_jobs_own(tmp_path: Path) -> None:
    def stay(seconds: float) -> int:
        """A read that takes so long; the process it was in."""
        from gridstride.workers.stages import stages

        with stages("read + decode", "block 0"):
            time.sleep(seconds)
        return os.getpid()

    with cluster.start("cpu", Size(1, 2, SIZE.memory)) as first, joined(first) as second:
        pids = set(first.run(os.getpid).values())
        with Events(tmp_path) as events, watch_workers(first, events, io_timeout=0.5):
            with watch_workers(second, Events()):
                assert second.submit(stay, 2.0, pure=False).result() in pids  # nobody ended it
            mine = first.submit(stay, 2.0, key="stay")
            for _ in range(300):
                if stuck := [e for e in read_events(tmp_path) if e["event"] == "worker-stuck"]:
                    break
                time.sleep(0.1)
            assert stuck[0]["what"] == "block 0"
            mine.cancel()


def test_clocks_and_levels_stay_as_they_are() -> None:
    """In a cluster that is joined, and in this process."""

    def clocks(dask_scheduler: Any = None, dask_worker: Any = None) -> list[str]:
        from distributed import scheduler, worker

        timers = (dask_scheduler or dask_worker).loop.time
        return [f"{f.__module__}.{f.__qualname__}" for f in (timers, scheduler.time, worker.time)]

    def levels() -> dict[str, tuple[int, list[int]]]:
        found = (logging.getLogger(name) for name in ("distributed", "distributed.client", "asyncssh"))
        return {logger.name: (logger.level, [h.level for h in logger.handlers]) for logger in found}

    import distributed

    start = distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0")
    with start as there, distributed.Client(there) as client:
        before = [client.run_on_scheduler(clocks), *client.run(clocks).values(), levels()]
        for second in (joined(client), cluster.start("cpu", Size(1, 1, 10**9))):
            with second as running:
                assert running.submit(sum, [1, 2]).result() == 3
        assert [client.run_on_scheduler(clocks), *client.run(clocks).values(), levels()] == before


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("sys.modules['gridstride'] = None", "cannot import gridstride"),
        ("import gridstride; gridstride.__version__ = '9'", f"has gridstride 9, this process {gridstride.__version__}"),
    ],
    ids=["lacking", "other"],
)  # fmt: skip
def test_workers_without_this_gridstride_are_said(
    tmp_path: Path, monkeypatch: Any, change: str, complaint: str
) -> None:
    import distributed

    (tmp_path / "sitecustomize.py").write_text(f"import sys\n{change}\n")
    old = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(tmp_path), old])))
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as there:
        file = tmp_path / "cluster.yaml"
        file.write_text(f"kind: address\naddress: {there.scheduler_address}\n")
        command = [
            sys.executable,
            "-m",
            "gridstride.pipeline.commands.main",
            "cluster",
            "check",
            "--cluster",
            str(file),
        ]
        monkeypatch.setenv("PYTHONPATH", old or "")
        said = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert said.returncode == 2, said.stderr
    assert complaint in said.stderr
    assert said.stderr.count("\n") == 1
