"""Every operator on one thread in memory, beside what other libraries call it.

    python -m benchmarks operators [NAME ...] [--compile]

Images: real cells (examples/data), tiled to 192 x 256 x 256 and 4096 x 4096, as uint8, uint16 and float32. Settings:
TIMED of each operator's mirror in tests/operators. A figure is the least of alternating runs in this process; a peer
that takes longer than a few seconds computes a part of the image. --compile: seconds that a first call takes in a fresh
process whose cache is empty, and in one that finds the cache.
Libraries that are not installed are left out: pip install -e '.[peers]'
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report
from benchmarks.peers.operators import LIBRARIES, Table
from gridstride.workers.operators import registry
from gridstride.workers.operators.base import Grid, Operator, Region, Window

CELLS = Path(__file__).parents[1] / "examples" / "data" / "cells3d_nuclei.tif"
SHAPES = ((192, 256, 256), (4096, 4096))
DTYPES = ("uint8", "uint16", "float32")
SECONDS, MOST_RUNS = 1.5, 15  # that each side of a race takes about
SLOW = 4.0  # seconds that a peer's call may take; else it has an eighth of the image
COLUMNS = ["operator", "image", "Mvoxel/s", "best peer", "its Mvoxel/s", "times as fast", "others"]


def image(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Cells, tiled: nowhere constant, so that nothing is faster than on real data."""
    import tifffile

    cells = tifffile.imread(CELLS)
    cells = cells if len(shape) == 3 else cells[cells.shape[0] // 2]
    tiled = np.tile(cells, [-(-n // m) for n, m in zip(shape, cells.shape, strict=True)])
    cut = np.ascontiguousarray(tiled[tuple(map(slice, shape))])
    if dtype == "bool":
        return cut > np.median(cut)
    return (cut >> 6).clip(0, 255).astype(np.uint8) if dtype == "uint8" else cut.astype(dtype)


def timed_fields(name: str) -> list[dict[str, Any]]:
    mirror = import_module(f"tests.operators.{name.replace('-', '_')}")
    return list(getattr(mirror, "TIMED", [fields for fields, _, _ in mirror.EXAMPLES[:1]]))


def ours(name: str, array: np.ndarray, fields: dict[str, Any]) -> Callable[[], Any]:
    """The call that computes a whole array in one block; sweeps that come first are made in it too."""
    grid = Grid.of(array.shape, array.dtype)
    operator = registry.find(name)(**fields).bind(grid)

    def call() -> Any:
        this: Operator = operator
        while (first := this.first_sweep()) is not None:
            if first.writes():
                raise NotImplementedError("a first sweep that writes")
            this = this.resolve([sweep(first, array, grid)], grid)
        return sweep(this, array, grid)

    return call


def sweep(operator: Operator, array: np.ndarray, grid: Grid) -> Any:
    given = operator.out_grid(grid)
    out = np.empty(given.shape if operator.writes() else (0,), given.dtype)
    window = Window(array, Region.whole(grid.shape), Region.whole(given.shape), grid)
    found = operator.cpu(window.part(operator.needed(window.want, grid)), out)
    return out if operator.writes() else found


def seconds(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def race(mine: Callable[[], Any], peers: dict[str, tuple[Callable[[], Any], float]]) -> dict[str, float]:
    """Voxels' worth of seconds: the least of alternating runs of each; peers come with their part of the image."""
    least = {"": seconds(mine)} | {name: seconds(call) for name, (call, _) in peers.items()}
    spent = dict.fromkeys(least, 0.0)
    for _ in range(MOST_RUNS):
        for name in least:
            if spent[name] < SECONDS:
                took = seconds(mine if name == "" else peers[name][0])
                spent[name] += took
                least[name] = min(least[name], took)
    return {name: value / (1.0 if name == "" else peers[name][1]) for name, value in least.items()}


def tables() -> dict[str, Table]:
    found = {}
    for library, make in LIBRARIES.items():
        try:
            found[library] = make()
        except ImportError as error:
            print(f"{library} is left out: {error}")
    return found


def peers_of(
    name: str, array: np.ndarray, fields: dict[str, Any], libraries: dict[str, Table]
) -> dict[str, tuple[Callable[[], Any], float]]:
    """The peers' calls, and the part of the image that each computes."""
    found = {}
    for library, table in libraries.items():
        if name not in table:
            continue
        small = np.ascontiguousarray(array[: max(array.shape[0] // 8, 1)])
        try:
            call = table[name](small, fields)
            call()
            slow = seconds(call) * 8 > SLOW
            found[library] = (call, len(small) / len(array)) if slow else (table[name](array, fields), 1.0)
            if not slow:
                found[library][0]()
        except Exception as error:  # a library may refuse a dtype or a setting in any way
            print(f"  {library} does not {name} {array.dtype} {array.shape} {fields}: {str(error)[:80]!r}")
            found.pop(library, None)
    return found


def rows_of(name: str, libraries: dict[str, Table]) -> list[list[Any]]:
    rows = []
    for fields in timed_fields(name):
        for shape in SHAPES:
            for dtype in ("bool",) if name.startswith("binary") else DTYPES:
                row = one_row(name, image(shape, dtype), fields, libraries)
                if row:
                    rows.append(row)
                    print("  ".join(f"{x:.3g}" if isinstance(x, float) else str(x) for x in row), flush=True)
    return rows


def one_row(name: str, array: np.ndarray, fields: dict[str, Any], libraries: dict[str, Table]) -> list[Any] | None:
    try:
        call = ours(name, array, fields)
    except ValueError as error:  # settings for the other number of axes
        print(f"  {name} {array.shape} {fields}: {error}")
        return None
    times = race(call, peers_of(name, array, fields, libraries))
    rates = {peer: array.size / least / 1e6 for peer, least in times.items()}
    mine = rates.pop("")
    order = sorted(rates, key=lambda peer: -rates[peer])
    best, rest = (order[0], order[1:]) if order else ("", [])
    shown = ", ".join(f"{key} {short(value)}" for key, value in fields.items())
    label = f"{name} {shown}".strip()
    size = " x ".join(map(str, array.shape))
    ratio = mine / rates[best] if best else ""
    others = ", ".join(f"{peer} {rates[peer]:.3g}" for peer in rest)
    return [label, f"{size} {array.dtype}", mine, best, rates.get(best, ""), ratio, others]


def short(value: Any) -> str:
    return f"of {' x '.join(map(str, value.shape))}" if isinstance(value, np.ndarray) else str(value)


FIRST = """
import sys, time
import numpy as np
from benchmarks.operators import image, ours, timed_fields
array = image((24, 64, 64), sys.argv[2])
call = ours(sys.argv[1], array, timed_fields(sys.argv[1])[0])
begin = time.perf_counter(); call(); print(time.perf_counter() - begin)
"""


def compile_seconds(name: str) -> list[Any]:
    """Seconds of a first call: in a process that compiles, and in one that finds the cache."""
    found: list[Any] = [name]
    dtype = "bool" if name.startswith("binary") else "uint16"
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, "-c", FIRST, name, dtype], env=os.environ | {"NUMBA_CACHE_DIR": folder},
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            found.append(float(done.stdout))
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks operators", description="Time every operator.")
    parser.add_argument("names", nargs="*", help="operators (default: all)")
    parser.add_argument("--compile", action="store_true", help="time first calls instead")
    options = parser.parse_args(sys.argv[2:] if arguments is None else arguments)
    names = options.names or registry.names()
    if options.compile:
        columns = ["operator", "s, empty cache", "s, cached"]
        rows = [compile_seconds(name) for name in names]
        title, file = "a first call", "operators_compile"
    else:
        libraries = tables()
        columns, rows = COLUMNS, [row for name in names for row in rows_of(name, libraries)]
        title, file = "one thread, in memory", "operators"
    report.show(title, columns, rows)
    behind = [row for row in rows if not options.compile and row[5] != "" and row[5] < 1]
    print(f"{len(behind)} of {len(rows)} rows are behind a peer" if not options.compile else "")
    if not options.names:
        report.save(file, columns, rows)


if __name__ == "__main__":
    main(sys.argv[1:])
