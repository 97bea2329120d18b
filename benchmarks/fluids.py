"""The flow solver on the CPU: kernel against memory bandwidth, whole runs against the kernel, and other packages.

    python -m benchmarks fluids [--size 256] [--install-peers] [--only runs,cavity,exchange,peers]
    python -m benchmarks fluids --gpu

The kernel's rate is that of one block advancing in memory on all cores, with nothing else running. Its limit is the
bandwidth of a copy on all cores, measured in the same run, over the bytes that a step must move for a cell: both levels
of every field read and one written, `BYTES_PER_FIELD` in float32.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report
from gridstride.pipeline.clusters.deployment import open_cluster
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.simulations import simulation
from gridstride.pipeline.simulations.case import make_case
from gridstride.pipeline.simulations.schedules import make_timeline
from gridstride.workers.clusters.base import cpu_count
from gridstride.workers.models.edac import cpu
from gridstride.workers.models.edac.block import FlowBlock

BYTES_PER_FIELD = 12  # now and before read, the next written; a cache that fetches what it overwrites moves 4 more
SECONDS = 1.0  # of a measurement
REPEAT = 3
WHOLE_STEPS = 900  # of a whole run


def vortex(n: int, dimensions: int = 3, until: float = 1.0, **output: Any) -> Any:
    """A periodic Taylor-Green vortex: 3-D of Brachet, 2-D travelling."""
    axes = "xyz"[:dimensions]
    return make_case(
        {
            "grid": {"cells": dict.fromkeys(axes, n), "size": dict.fromkeys(axes, 6.283185307179586)},
            "fluid": {"reynolds": 1600.0, "mach": 0.1},
            "initial": {"problem": "taylor-green" if dimensions == 3 else "travelling-taylor-green"},
            "run": {"until": until},
            "output": {"diagnostics": None, **output},
        }
    )


def on_every_core(work: Callable[[int], Any], threads: int) -> float:
    """Median seconds of `work` done by `threads` threads at a time."""
    times = []
    for _ in range(REPEAT):
        running = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
        begin = time.perf_counter()
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def copy_bandwidth(threads: int) -> float:
    """Bytes read and written a second by copies of large arrays."""
    size = 64_000_000
    pairs = [(np.ones(size, np.float32), np.zeros(size, np.float32)) for _ in range(threads)]
    seconds = on_every_core(lambda i: np.copyto(pairs[i][1], pairs[i][0]), threads)
    return 2 * 4 * size * threads / seconds


def kernel_rate(cells: tuple[int, int, int], threads: int) -> float:
    """Cell-steps a second of one block of these cells that so many threads share."""
    n = cells[1]
    case = vortex(n, 2 if cells[0] == 1 else 3)
    flow = case.setup(0.5 * case.stable_step()).flow
    block = FlowBlock(flow, (0, 0, 0), flow.cells, 0, cpu, threads=threads)
    block.load(np.zeros((2 * flow.fields, *flow.cells), np.float32) + np.float32(0.1), (0, 0, 0))
    block.fill()
    block.advance(1)
    begin = time.perf_counter()
    block.advance(2)
    steps = max(1, int(SECONDS / ((time.perf_counter() - begin) / 2)))
    seconds = on_every_core(lambda _: block.advance(steps), 1)
    return steps * prod(flow.cells) / seconds


def kernels(size: int) -> tuple[list[list[Any]], dict[str, Any]]:
    cores = cpu_count()
    rows, facts = [], {}
    for threads in sorted({1, cores}):
        bandwidth = copy_bandwidth(threads)
        facts[f"copy_gb_per_s_{threads}_threads"] = round(bandwidth / 1e9, 2)
        for cells in ((size,) * 3, (size // 2,) * 3, (1, 128, 128), (1, 512, 512), (1, 2048, 2048)):
            rate = kernel_rate(cells, threads)
            fields = 3 if cells[0] == 1 else 4
            limit = bandwidth / (BYTES_PER_FIELD * fields)
            name = " x ".join(str(n) for n in cells if n > 1)
            rows.append([name, threads, rate / 1e6, 1e9 / rate, BYTES_PER_FIELD * fields, limit / 1e6, rate / limit])
    return rows, facts


def gpu_kernels(size: int) -> tuple[list[list[Any]], dict[str, Any]]:
    """The same on the current GPU, whose copies are timed between events; blocks hold a run's whole state."""
    import cupy

    from gridstride.workers.models.edac import gpu

    n = 2**28
    source, target = cupy.ones(n, cupy.float32), cupy.empty(n, cupy.float32)
    times = []
    for _ in range(REPEAT):
        begin, end = cupy.cuda.Event(), cupy.cuda.Event()
        begin.record()
        cupy.copyto(target, source)
        end.record()
        end.synchronize()
        times.append(cupy.cuda.get_elapsed_time(begin, end) / 1e3)
    bandwidth = 2 * 4 * n / statistics.median(times)
    del source, target
    rows = []
    for cells in ((128,) * 3, (size,) * 3, (2 * size,) * 3, (1, 1024, 1024), (1, 8192, 8192)):
        case = vortex(cells[1], 2 if cells[0] == 1 else 3)
        flow = case.setup(0.5 * case.stable_step()).flow
        block = FlowBlock(flow, (0, 0, 0), flow.cells, 0, gpu)
        block.state[...] = cupy.float32(0.1)
        block.fill()
        block.advance(3)
        begin = time.perf_counter()
        block.advance(5)  # ends when the peaks have come down
        steps = max(10, int(SECONDS / ((time.perf_counter() - begin) / 5)))
        times = []
        for _ in range(REPEAT):
            begin = time.perf_counter()
            block.advance(steps)
            times.append(time.perf_counter() - begin)
        rate = steps * prod(flow.cells) / statistics.median(times)
        bytes_moved = BYTES_PER_FIELD * flow.fields
        limit = bandwidth / bytes_moved
        name = " x ".join(str(n) for n in cells if n > 1)
        rows.append([name, "GPU", rate / 1e6, 1e9 / rate, bytes_moved, limit / 1e6, rate / limit])
        del block
    properties = cupy.cuda.runtime.getDeviceProperties(0)
    driver = cupy.cuda.runtime.driverGetVersion()
    facts = {"device": properties["name"].decode(), "driver_cuda": driver, "copy_gb_per_s": round(bandwidth / 1e9, 1)}
    return rows, facts


COLUMNS = ["grid", "threads", "Mcell-steps/s", "ns a cell and step", "bytes", "limit, Mcell-steps/s", "of limit"]


def whole_runs(size: int, kernel: float) -> list[list[Any]]:
    """`simulate` with Dask, exchange, snapshots and diagnostics, against the kernel's rate on all cores."""
    rows = []
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    options = RunOptions(device="cpu", overwrite=True)
    with open_cluster(options) as (client, _):
        for name, blocks, substeps in (
            ("as planned", None, "auto"),
            ("a slab a core", cpu_count(), "auto"),
        ):
            case = vortex(size, snapshots={"steps": WHOLE_STEPS // 2})
            dt = make_timeline(case).dt
            content = case.resolved()
            content["run"] |= {"until": WHOLE_STEPS * dt, "dt": dt, "substeps": substeps}
            content["output"] |= {"chunks": {"x": 128, "y": 128, "z": 32}, "diagnostics": {"steps": WHOLE_STEPS // 2}}
            prepared = simulation.prepare(make_case(content), folder / "run.zarr", options, blocks)
            summary = simulation.run(prepared, client)
            rate = summary.cell_steps_per_second
            lanes = prepared.size.workers * prepared.size.threads
            shares = {k: v / (summary.seconds * lanes) for k, v in summary.stages.items()}
            plan = prepared.plan
            rows.append(
                [f"{name}: {plan.blocks} blocks, k = {plan.substeps}", rate / 1e6, 1e9 / rate, rate / kernel,
                 *(shares.get(s, 0.0) for s in ("kernel", "halo", "measure", "encode + write"))]
            )  # fmt: skip
    shutil.rmtree(folder)
    return rows


RUN_COLUMNS = ["whole run", "Mcell-steps/s", "ns", "of kernel", "kernel", "halo", "measure", "encode + write"]


def exchange(size: int) -> list[list[Any]]:
    """How cost grows with blocks and steps an exchange: seconds a step over those of one block, and its parts."""
    rows = []
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    options = RunOptions(device="cpu", overwrite=True)
    with open_cluster(options) as (client, _):
        for blocks in (1, 2, 4, 8, 16):
            for k in (1, 2, 4, 8, 16):
                if blocks == 1 and k > 1:
                    continue
                case = vortex(size)
                dt = make_timeline(case).dt
                content = case.resolved()
                steps = 48 if k < 4 else 96
                content["run"] |= {"until": steps * dt, "dt": dt, "substeps": "auto" if blocks == 1 else k}
                content["output"]["chunks"] = {"x": size, "y": size, "z": max(1, size // 16)}
                try:
                    prepared = simulation.prepare(make_case(content), folder / "run.zarr", options, blocks)
                except ValueError:  # the slabs are too thin for the halo
                    continue
                summary = simulation.run(prepared, client)
                rate = summary.cell_steps_per_second
                rounds = -(-steps // (k if blocks > 1 else steps))
                lanes = prepared.size.workers * prepared.size.threads
                kernel, halo = (summary.stages.get(s, 0.0) for s in ("kernel", "halo"))
                rest = summary.seconds * lanes - sum(summary.stages.values())
                rows.append([blocks, k, rate / 1e6, 1e3 * summary.seconds / steps, kernel / (summary.seconds * lanes),
                             halo / (summary.seconds * lanes), 1e3 * rest / rounds / blocks])  # fmt: skip
    shutil.rmtree(folder)
    return rows


EXCHANGE_COLUMNS = [
    "blocks",
    "k",
    "Mcell-steps/s",
    "ms a step",
    "in kernel",
    "in halo copies",
    "rest, ms a block and round",
]


def cavity(n: int = 128, mach: float = 0.1, until: float = 50.0) -> list[Any]:
    """Simulated time a second of wall time for the lid-driven cavity at Re 1000, and the least u on its centreline."""
    content = {
        "grid": {"cells": {"x": n, "y": n}, "size": {"x": 1.0, "y": 1.0}},
        "fluid": {"viscosity": 0.001, "mach": mach},
        "boundaries": {"x": "wall", "y-": "wall", "y+": {"kind": "wall", "velocity": {"x": 1.0}}},
        "run": {"until": until},
    }
    case = make_case(content)
    timeline = make_timeline(case)
    setup = case.setup(timeline.dt)
    block = FlowBlock(setup.flow, (0, 0, 0), setup.flow.cells, 0, cpu, threads=cpu_count())
    block.fill()
    block.advance(10)
    begin = time.perf_counter()
    block.advance(timeline.last - 10)
    seconds = time.perf_counter() - begin
    u = block.now[0, 0, 1:-1, 1 + n // 2]
    at = int(u.argmin())
    least = np.polynomial.Polynomial.fit(np.arange(-2, 3), u[at - 2 : at + 3].astype(float), 4)
    x = np.linspace(-1, 1, 2001)
    return [f"cavity {n} x {n}, Ma {mach:g}", until / seconds, float(least(x).min()), float(least(x).min()) + 0.3885698]


CAVITY_COLUMNS = ["lid-driven cavity, Re 1000", "time units a second", "min u", "error (Botella & Peyret)"]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks fluids")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--exchange-size", type=int, default=128)
    parser.add_argument("--install-peers", action="store_true", help="install other packages into benchmarks/.peers")
    parser.add_argument("--only", default="kernels,runs,cavity,exchange,peers")
    parser.add_argument("--gpu", action="store_true", help="only the kernels, on the GPU")

    chosen = parser.parse_args(sys.argv[2:] if arguments is None else arguments)
    if chosen.gpu:
        rows, facts = gpu_kernels(chosen.size)
        report.show(f"kernel on {facts['device']}, float32", COLUMNS, rows)
        report.save(f"fluids-{facts['device'].lower().replace(' ', '-')}", COLUMNS, rows, **facts)
        return
    parts = chosen.only.split(",")
    stored = report.RESULTS / "fluids.json"  # parts not measured now are kept
    more: dict[str, Any] = json.loads(stored.read_text()) if stored.exists() else {}
    more = {part: more[part] for part in ("runs", "cavity", "exchange", "peers") if part in more}
    rows, facts = kernels(chosen.size)
    report.show("kernel: one block, float32", COLUMNS, rows)
    more |= facts
    if "runs" in parts:
        whole = next(row[2] for row in rows if row[1] == cpu_count() and row[0].count("x") == 2)
        more["runs"] = {"columns": RUN_COLUMNS, "rows": whole_runs(chosen.size, whole * 1e6)}
        report.show(f"whole runs of {WHOLE_STEPS} steps, {chosen.size}^3", RUN_COLUMNS, more["runs"]["rows"])
    if "cavity" in parts:
        table = [cavity(128), cavity(128, 0.2), cavity(256, 0.2)]
        more["cavity"] = {"columns": CAVITY_COLUMNS, "rows": table}
        report.show(f"lid-driven cavity on {cpu_count()} threads", CAVITY_COLUMNS, table)
    if "exchange" in parts:
        more["exchange"] = {"columns": EXCHANGE_COLUMNS, "rows": exchange(chosen.exchange_size)}
        report.show(
            f"blocks and steps an exchange, {chosen.exchange_size}^3", EXCHANGE_COLUMNS, more["exchange"]["rows"]
        )
    if "peers" in parts:
        from benchmarks import fluid_peers

        more["peers"] = fluid_peers.measure(install=chosen.install_peers, size=min(chosen.size, 128))
        fluid_peers.show(more["peers"])
    report.save("fluids", COLUMNS, rows, **more)


if __name__ == "__main__":
    main()
