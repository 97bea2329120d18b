"""Up to 100,000 blocks of 16^3: cost of a block, memory of scheduler and client, start-up, and resume at 99 %.

Scheduler, two workers and client are processes of their own here, so that each one's memory can be measured (resident
set size, the largest of samples every 0.1 s). A job is resumed from one marker for each block, with 1 % of the blocks
missing at random places, on a local cluster, whose start counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks import report
from gridstride.pipeline.storage.create import create
from gridstride.pipeline.storage.journal import Journal, marker_name
from gridstride.pipeline.storage.regions import open_regions

GRIDS = {1000: (10, 10, 10), 10_000: (20, 25, 20), 100_000: (40, 50, 50)}
BLOCK = "16,16,16"
COMMAND = [sys.executable, "-m", "gridstride.pipeline.commands.main"]


def make_input(path: str, grid: tuple[int, ...]) -> None:
    shape = tuple(16 * n for n in grid)
    create(path, shape, np.dtype(np.uint8), (64, 64, 64))
    out, rng = open_regions(path), np.random.default_rng(0)
    for z in range(0, shape[0], 64):
        out.write((z, 0, 0), rng.integers(0, 200, (min(64, shape[0] - z), *shape[1:]), dtype=np.uint8))


def start_dask(folder: str) -> tuple[list[subprocess.Popen[bytes]], str]:
    """A scheduler, first, and two workers of one thread; and a cluster file for them."""
    file = Path(folder) / "scheduler.json"
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    here = ["--host", "127.0.0.1", "--no-dashboard"]
    module = [sys.executable, "-m", "distributed.cli.dask_scheduler", *here, "--port", "0"]
    processes = [subprocess.Popen([*module, "--scheduler-file", str(file)], **quiet)]
    while not file.exists() or not file.read_text().endswith("}"):
        time.sleep(0.1)
    address = json.loads(file.read_text())["address"]
    module = [sys.executable, "-m", "distributed.cli.dask_worker", address, *here, "--nthreads", "1"]
    processes += [subprocess.Popen([*module, "--local-directory", folder], **quiet) for _ in range(2)]
    from distributed import Client

    with Client(address) as client:
        client.wait_for_workers(2)
    cluster = Path(folder) / "cluster.yaml"
    cluster.write_text(f"kind: address\naddress: {address}\nmemory: 4GB\n")
    return processes, str(cluster)


def measure(source: str, out: str, scheduler: int, cluster: str, *more: str) -> tuple[float, float, int, int]:
    """Seconds to the first marker, seconds of the sweep, and most bytes of scheduler and client."""
    command = [*COMMAND, "convolve", source, out, "--kernel", "identity", "--block", BLOCK, "--chunks", BLOCK]
    begin, first = time.perf_counter(), 0.0
    with (Path(out).parent / "log").open("ab") as log:
        process = subprocess.Popen([*command, "--cluster", cluster, "--quiet", *more], stdout=log, stderr=log)
    most = [0, 0]
    while process.poll() is None:
        for i, pid in enumerate((scheduler, process.pid)):
            try:
                most[i] = max(most[i], psutil.Process(pid).memory_info().rss)
            except psutil.Error:
                continue
        if not first and any(Journal(out).markers()):
            first = time.perf_counter() - begin
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit((Path(out).parent / "log").read_text())
    seconds = json.loads((Path(out) / ".gridstride" / "summary.json").read_text())["seconds"]
    return first, seconds, *most  # type: ignore[return-value]


def go_on(out: str, grid: tuple[int, ...]) -> float:
    """Seconds of `gridstride resume` where 1 % of the blocks are missing."""
    journal = Journal(out)
    for name in list(journal.markers()):
        os.unlink(journal.blocks / name)  # noqa: PTH108
    missing = np.random.default_rng(0).random(grid) < 0.01
    for index in product(*map(range, grid)):
        if not missing[index]:
            (journal.blocks / marker_name(index)).touch()
    begin = time.perf_counter()
    subprocess.run([*COMMAND, "resume", out, "--quiet", "--workers", "2"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def main() -> None:
    rows: list[list[Any]] = []
    for blocks, halos in ((1000, "exchange"), (1000, "read"), (10_000, "read"), (100_000, "read")):
        with tempfile.TemporaryDirectory() as folder:
            source, out = f"{folder}/in.zarr", f"{folder}/out.zarr"
            make_input(source, GRIDS[blocks])
            processes, cluster = start_dask(folder)
            try:
                measure(
                    source, f"{folder}/warm.zarr", processes[0].pid, cluster, "--halos", "read"
                ) if blocks == 1000 else None
                first, seconds, scheduler, client = measure(source, out, processes[0].pid, cluster, "--halos", halos)
            finally:
                for process in processes[::-1]:
                    process.terminate()
                    process.wait()
            again = go_on(out, GRIDS[blocks])
        row = [blocks, halos, seconds, 1000 * seconds / blocks, scheduler / 1e6, client / 1e6, first, again]
        print(row, flush=True)
        rows.append(row)
    columns = [
        "blocks", "halos", "sweep s", "ms a block", "scheduler MB", "client MB", "first marker s", "resume s",
    ]  # fmt: skip
    report.show("blocks of 16^3, identity of 3^3 taps", columns, rows)
    report.save("scale", columns, rows)


if __name__ == "__main__":
    main()
