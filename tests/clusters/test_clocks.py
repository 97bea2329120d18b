"""Clocks that are set, on all machines of a cluster. (Set back in a run, they may stall Dask: docs/faults.md.)"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dask_processes import dask_processes
from test_resume import COMMAND, digest

from gridstride.pipeline.storage.journal import Journal

pytestmark = pytest.mark.slow
DAY = 86400
# What each process of the cluster, and the client, imports first: their time is off by what a file says.
CLOCK = """
import os, time
true = time.time

def told():
    try:
        with open(os.environ["CLOCK_OFF_BY"]) as file:
            return true() + float(file.read() or 0)
    except (KeyError, OSError):
        return true()

time.time = told
"""


class Job:
    """`gridstride filter` of 96 blocks on a cluster whose clocks a test may set."""

    def __init__(self, folder: Path) -> None:
        import zarr

        self.folder, self.out = folder, folder / "out"
        array = np.random.default_rng(0).integers(0, 60000, (48, 64, 64)).astype(np.uint16)
        zarr.create_array(str(folder / "in"), shape=array.shape, chunks=(8, 16, 16), dtype=array.dtype)[...] = array
        (folder / "sitecustomize.py").write_text(CLOCK)
        path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
        self.environment = {"CLOCK_OFF_BY": str(folder / "offset"), "PYTHONPATH": path}
        self.set_clocks(0)

    def set_clocks(self, seconds: float) -> None:
        (self.folder / "offset.new").write_text(str(seconds))
        (self.folder / "offset.new").rename(self.folder / "offset")

    def begin(self, out: Path, *more: Any) -> subprocess.Popen[str]:
        command = [*COMMAND, "filter", "gaussian", self.folder / "in", out, "--sigma", "0.8", "--block", "8,16,16"]
        return subprocess.Popen(
            [*map(str, command), "--quiet", *map(str, more)], env={**os.environ, **self.environment}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def wait_for(self, blocks: int, process: subprocess.Popen[str]) -> None:
        while len(Journal(self.out).done()) < blocks:
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.005)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def end(process: subprocess.Popen[str]) -> str:
    """What a command said, which ended well."""
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return said


def test_a_clock_that_is_set_ahead_in_a_run_costs_restarts_alone(job: Job) -> None:
    with dask_processes(job.folder / "dask", ttl=3, patience=20, seconds=0.1, environment=job.environment) as dask:
        end(job.begin(job.folder / "calm", "--cluster", dask.file))
        running = job.begin(job.out, "--cluster", dask.file, "--halos", "exchange")
        job.wait_for(12, running)
        job.set_clocks(DAY)
        said = end(running)
    assert "0 failed" in said
    assert digest(job.out / "c") == digest(job.folder / "calm" / "c")


def test_clocks_that_are_set_between_runs_change_nothing(job: Job) -> None:
    end(job.begin(job.out, "--workers", "1"))
    calm = digest(job.out / "c")
    for leap in (-DAY, DAY):
        for name in sorted(Journal(job.out).markers())[::2]:
            (Journal(job.out).blocks / name).unlink()
        job.set_clocks(leap)
        assert "48 blocks computed, 48 skipped (already done)" in end(job.begin(job.out, "--workers", "1"))
        assert digest(job.out / "c") == calm
