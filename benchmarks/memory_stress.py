"""--memory under stress: two workers, blocks of which every third takes long, and a disk that takes 20 MB/s of each.

Peak memory as in `benchmarks.memory`: of all processes together.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.memory import make_input, peak_memory

# Run by Dask, twice, in each worker.
SPOILED = """
import time
from gridstride.pipeline.storage.regions import Regions
from gridstride.workers import device

if not hasattr(Regions, "quick"):
    Regions.quick, device.quick = Regions.write, device.compute

def write(self, start, data):
    self.quick(start, data)
    time.sleep(data.nbytes / 20e6)

def compute(operator, block, kind):
    result = device.quick(operator, block, kind)
    if sum(block.start) // 64 % 3 == 0:
        time.sleep(2)
    return result

Regions.write, device.compute = write, compute
"""


def main(limit: int = 1_200_000_000, shape: tuple[int, ...] = (512, 512, 512)) -> None:
    rows: list[list[Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        source, out, preload = f"{folder}/input.zarr", f"{folder}/out.zarr", Path(folder) / "spoiled.py"
        make_input(source, shape, (64, 64, 64))
        preload.write_text(SPOILED)
        environment = {**os.environ, "DASK_DISTRIBUTED__WORKER__PRELOAD": f'["{preload}"]'}
        for halos in ("exchange", "read"):
            command = [
                sys.executable,
                "-m",
                "gridstride.pipeline.commands.main",
                "filter",
                "gaussian",
                source,
                out,
                "--sigma",
                "2",
            ]
            command += ["--memory", str(limit), "--workers", "2", "--quiet", "--device", "cpu", "--halos", halos]
            peak, parts, seconds = peak_memory(command, environment)
            largest = ", ".join(f"{v / 1e6:.0f}" for v in sorted(parts.values(), reverse=True)[:4])
            rows.append([halos, peak / 1e6, peak / limit, largest, seconds])
            shutil.rmtree(out)
    columns = ["halos from", "peak MB", "peak / limit", "largest processes, MB", "seconds"]
    report.show(f"512^3 float32 with --memory {limit / 1e9:.1f}GB, skewed blocks, slow disk", columns, rows)
    report.save("memory_stress", columns, rows, limit=limit, shape=shape)
    worst = max(row[2] for row in rows)
    if worst > 1:
        raise SystemExit(f"peak memory is {worst:.2f} times the limit")


if __name__ == "__main__":
    main()
