"""A table on screen and a JSON file with the machine's description."""

from __future__ import annotations

import datetime
import json
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "numpy",
    "scipy",
    "numba",
    "dask",
    "distributed",
    "zarr",
    "tensorstore",
    "dask-image",
    "cupy-cuda13x",
    "nvidia-cuda-nvrtc",
    "scikit-image",
    "diplib",
    "simpleitk",
    "opencv-python-headless",
    "fastmorph",
    "imops",
    "connected-components-3d",
    "fill-voids",
    "bioimage-py",
    "patchworks",
)


def machine() -> dict[str, Any]:
    """Processor, cores, memory and versions."""
    import psutil

    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "date": datetime.date.today().isoformat(),
        "processor": model,
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "python": platform.python_version(),
        "versions": versions,
    }


def show(title: str, columns: list[str], rows: list[list[Any]]) -> None:
    table = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row))
    Console(width=130).print(table)


def save(name: str, columns: list[str], rows: list[list[Any]], **more: Any) -> None:
    RESULTS.mkdir(exist_ok=True)
    content = {"machine": machine(), "columns": columns, "rows": rows, **more}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    print(f"saved benchmarks/results/{name}.json")


def median_seconds(work: Callable[[], Any], repeat: int = 5) -> float:
    """Median time of `repeat` calls after one that is not counted."""
    work()
    times = []
    for _ in range(repeat):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)
