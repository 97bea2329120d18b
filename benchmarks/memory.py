"""An 8 GB array filtered with --memory 2GB: the peak of all processes together must stay under it.

The peak is of proportional set size (pages shared by several processes count once), summed over the command and its
children, sampled twenty times a second.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np
import psutil

from benchmarks import report
from gridstride.pipeline.storage.create import create
from gridstride.pipeline.storage.regions import open_regions


def make_input(path: str, shape: tuple[int, ...], chunks: tuple[int, ...]) -> None:
    """Smooth values and a little noise, float32, written slab by slab."""
    create(path, shape, np.dtype(np.float32), chunks, codec="lz4:1")
    rng = np.random.default_rng(0)
    plane = rng.random(shape[1:], dtype=np.float32)
    out = open_regions(path)
    for z in range(0, shape[0], chunks[0]):
        n = min(chunks[0], shape[0] - z)
        slab = plane * np.arange(z, z + n, dtype=np.float32)[:, None, None]
        out.write((z, 0, 0), np.round(slab, 1))


def peak_memory(command: list[str], environment: dict[str, str] | None = None) -> tuple[int, dict[str, int], float]:
    """(bytes, bytes of each process at the peak, seconds) of a command and its children."""
    peak, parts = 0, {}
    begin = time.perf_counter()
    process = subprocess.Popen(command, env=environment)
    parent = psutil.Process(process.pid)
    while process.poll() is None:
        now: dict[str, int] = {}
        with contextlib.suppress(psutil.Error):
            for child in [parent, *parent.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    now[f"{child.name()} {child.pid}"] = child.memory_full_info().pss
        if sum(now.values()) > peak:
            peak, parts = sum(now.values()), now
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"the command failed with exit code {process.returncode}")
    return peak, parts, time.perf_counter() - begin


def main(limit: int = 2_000_000_000, shape: tuple[int, ...] = (2048, 1024, 1024)) -> None:
    rows: list[list[Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        source, out = f"{folder}/input.zarr", f"{folder}/out.zarr"
        make_input(source, shape, (64, 256, 256))
        size = int(np.prod(shape)) * 4
        for workers, sigma in ((1, "2"), (2, "2"), (2, "0.5")):
            command = [sys.executable, "-m", "gridstride.pipeline.commands.main", "filter", "gaussian", source, out]
            command += ["--sigma", sigma, "--memory", str(limit), "--workers", str(workers), "--overwrite", "--quiet"]
            command += ["--device", "cpu"]
            print(f"{workers} workers, sigma {sigma}", flush=True)
            peak, parts, seconds = peak_memory(command)
            largest = ", ".join(f"{v / 1e6:.0f}" for v in sorted(parts.values(), reverse=True)[:4])
            rows.append([f"{workers} workers, sigma {sigma}", peak / 1e6, peak / limit, largest, seconds])
            shutil.rmtree(out)
    columns = ["job", "peak MB", "peak / limit", "largest processes, MB", "seconds"]
    report.show(f"{size / 1e9:.1f} GB float32 with --memory {limit / 1e9:.0f}GB", columns, rows)
    report.save("memory", columns, rows, limit=limit, shape=shape)
    worst = max(row[2] for row in rows)
    if worst > 1:
        raise SystemExit(f"peak memory is {worst:.2f} times the limit")


if __name__ == "__main__":
    main()
