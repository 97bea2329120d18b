"""Cost of `security: tls`: the same jobs on two workers connected by TCP and by TLS, in turns."""

from __future__ import annotations

import dataclasses
import shutil
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from benchmarks import report
from benchmarks.fluids import vortex
from gridstride.pipeline import api
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.simulations import simulation
from gridstride.pipeline.simulations.case import make_case
from gridstride.pipeline.simulations.schedules import make_timeline
from gridstride.workers import cluster

REPEATS = 3
SIZE = cluster.Size(2, 1, 8_000_000_000)
COLUMNS = ["two workers of one thread", "TCP, s", "TLS, s", "TLS / TCP"]


def filtered(folder: Path, shape: tuple[int, ...], block: int) -> Callable[[Any], float]:
    """Seconds of a Gaussian whose halos travel between workers."""
    source = folder / f"in{block}.zarr"
    data = np.random.default_rng(0).integers(0, 60000, shape).astype(np.uint16)
    zarr.create_array(str(source), shape=shape, chunks=(block,) * 3, dtype=data.dtype)[...] = data

    def seconds(client: Any) -> float:
        options = RunOptions(device="cpu", workers=2, block=(block,) * 3, halos="exchange", overwrite=True)
        prepared = api.prepare("gaussian", str(source), folder / "out.zarr", sigma=2.0, options=options)
        environment = dataclasses.replace(prepared.environment, size=SIZE)
        return api.run(dataclasses.replace(prepared, environment=environment), client).seconds

    return seconds


def simulated(folder: Path, size: int, steps: int) -> Callable[[Any], float]:
    """Seconds of a flow in two slabs that exchange after every step."""
    case = vortex(size)
    dt = make_timeline(case).dt
    content = case.resolved()
    content["run"] |= {"until": steps * dt, "dt": dt, "substeps": 1}
    content["output"]["chunks"] = {"x": size, "y": size, "z": size // 2}

    def seconds(client: Any) -> float:
        options = RunOptions(device="cpu", workers=2, overwrite=True)
        prepared = simulation.prepare(make_case(content), folder / "run.zarr", options, 2)
        return simulation.run(prepared, client).seconds

    return seconds


def main() -> None:
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        jobs_of = {
            "gaussian, 27 blocks of 128^3": filtered(folder, (384, 384, 384), 128),
            "gaussian, 216 blocks of 16^3": filtered(folder, (96, 96, 96), 16),
            "flow of 128^3, 2 slabs, an exchange a step": simulated(folder, 128, 50),
        }
        rows = []
        with (
            cluster.start("cpu", SIZE) as plain,
            cluster.start("cpu", SIZE, security="tls") as safe,
        ):
            for name, seconds in jobs_of.items():
                seconds(plain), seconds(safe)
                times = [(seconds(plain), seconds(safe)) for _ in range(REPEATS)]
                tcp, tls = (statistics.median(column) for column in zip(*times, strict=True))
                rows.append([name, tcp, tls, tls / tcp])
    finally:
        shutil.rmtree(folder)
    report.show("cost of TLS", COLUMNS, rows)
    report.save("tls", COLUMNS, rows)


if __name__ == "__main__":
    main()
