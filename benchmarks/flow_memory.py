"""Peak memory of simulations with --memory: one from store to store, with a state of four times that; two in memory.

The peak of all processes together, measured as in `benchmarks.memory`, must stay under the limit.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from benchmarks import report
from benchmarks.memory import peak_memory
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.simulations.case import make_case
from gridstride.pipeline.simulations.simulation import prepare


def vortex(n: int, steps: int) -> dict[str, Any]:
    """The Taylor-Green vortex on n^3 cells."""
    case = {
        "grid": {"cells": dict.fromkeys("xyz", n), "size": dict.fromkeys("xyz", 6.283185307179586)},
        "fluid": {"reynolds": 1600.0, "mach": 0.1},
        "initial": {"problem": "taylor-green"},
        "run": {"until": 1.0},
        "output": {"diagnostics": {"steps": steps}, "chunks": {"x": 128, "y": 128, "z": 32}},
    }
    dt = 0.9 * make_case(case).stable_step()
    return {**case, "run": {"dt": dt, "until": steps * dt}}


def main() -> None:
    rows: list[list[Any]] = []
    for name, n, steps, limit, workers in (
        ("from store to store", 544, 8, 1_200_000_000, 1),
        ("in memory", 256, 32, 2_500_000_000, 1),
        ("in memory", 256, 32, 2_500_000_000, 2),
    ):
        with tempfile.TemporaryDirectory() as folder:
            file, out = Path(folder) / "case.yaml", Path(folder) / "out.zarr"
            content = vortex(n, steps)
            file.write_text(yaml.safe_dump(content))
            plan = prepare(
                make_case(content), out, RunOptions(device="cpu", workers=workers, memory=limit)
            ).plan  # says which way it goes
            assert plan.in_memory == (name == "in memory"), plan
            command = [sys.executable, "-m", "gridstride.pipeline.commands.main", "simulate", str(file), str(out)]
            command += ["--memory", str(limit), "--workers", str(workers), "--quiet", "--device", "cpu"]
            print(f"{name}, {workers} workers", flush=True)
            peak, _, seconds = peak_memory(command)
            state = 8 * 4 * n**3
            rate = n**3 * steps / seconds / 1e6
            rows.append([f"{name}, {workers} workers", state / 1e9, limit / 1e9, state / limit, peak / limit,
                         seconds, rate])  # fmt: skip
            shutil.rmtree(out)
    columns = ["simulation", "state GB", "limit GB", "state / limit", "peak / limit", "seconds", "Mcell-steps/s"]
    report.show("simulations with --memory", columns, rows)
    report.save("flow_memory", columns, rows)
    if max(row[4] for row in rows) > 1:
        raise SystemExit("peak memory is over the limit")


if __name__ == "__main__":
    main()
