"""Every operator on one thread in memory, beside what other libraries call it.

    python -m benchmarks operators [NAME ...] [--values | --compile]

Images: real cells (examples/data), tiled to 192 x 256 x 256 and 4096 x 4096, as uint8, uint16 and float32. Settings:
TIMED of each operator's mirror in tests/operators. A figure is the least of alternating runs in this process; a peer
that takes longer than a second or two computes a part of the image. A row without a peer says why. The table takes over
half an hour.
--values: no times, but the largest difference of each peer's result from ours, on small images and away from their
borders. Libraries that sum in other types, have other scales or other algorithms differ.
--compile: seconds that a first call takes in a fresh process whose cache is empty, and in one that finds the cache.
Libraries that are not installed are left out: pip install -e '.[peers]'
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report
from benchmarks.peers.imaging import LIBRARIES
from benchmarks.peers.operators import Call, Fields, Table
from gridstride.workers.operators import registry
from gridstride.workers.operators.base import Grid, Operator, Region, Window

CELLS = Path(__file__).parents[1] / "examples" / "data" / "cells3d_nuclei.tif"
SHAPES = ((192, 256, 256), (4096, 4096))
SMALL = ((48, 50, 52), (100, 96))
DTYPES = ("uint8", "uint16", "float32")
SECONDS, MOST_RUNS = 0.6, 15  # that each side of a race takes about
SLOW = 1.5  # seconds that a peer's call may take; else it has an eighth of the image
COLUMNS = ["operator", "image", "Mvoxel/s", "best peer", "its Mvoxel/s", "times as fast", "others"]
DIFFERENCES = ["operator", "image", "largest value", "largest differences"]


@cache
def nuclei() -> np.ndarray:
    import tifffile

    return tifffile.imread(CELLS)


def image(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Cells, tiled: nowhere constant, so that nothing is faster than on real data. dtype "objects": the mask of the
    nuclei, "bool": half of the elements, by noise mostly."""
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    cells = nuclei()
    cells = cells if len(shape) == 3 else cells[cells.shape[0] // 2]
    tiled = np.tile(cells, [-(-n // m) for n, m in zip(shape, cells.shape, strict=True)])
    cut = np.ascontiguousarray(tiled[tuple(map(slice, shape))])
    if dtype == "objects":
        smooth = ndimage.gaussian_filter(cut.astype(np.float32), 1.5)
        return smooth > threshold_otsu(smooth)
    if dtype == "bool":
        return cut > np.median(cut)
    return (cut >> 6).clip(0, 255).astype(np.uint8) if dtype == "uint8" else cut.astype(dtype)


def timed_fields(name: str) -> list[Fields]:
    mirror = import_module(f"tests.operators.{name.replace('-', '_')}")
    return list(getattr(mirror, "TIMED", [fields for fields, _, _ in mirror.EXAMPLES[:1]]))


def timed_dtypes(name: str) -> tuple[str, ...]:
    """Those of its images: TIMED_DTYPES of its mirror, or all."""
    mirror = import_module(f"tests.operators.{name.replace('-', '_')}")
    return getattr(mirror, "TIMED_DTYPES", ("bool",) if name.startswith("binary") else DTYPES)


def fitted(fields: Fields, shape: tuple[int, ...]) -> Fields:
    """The fields for an image of a shape: functions make those that depend on it, such as references."""
    return {key: value(shape) if callable(value) else value for key, value in fields.items()}


def ours(name: str, array: np.ndarray, fields: Fields) -> Call:
    """The call that computes a whole array in one block; sweeps that come first are made in it too."""
    operator = registry.find(name)(**fields).bind(Grid.of(array.shape, array.dtype))

    def call() -> Any:
        this, read = operator, array
        while (first := this.first_sweep()) is not None:
            made, report = sweep(first, read)
            this = this.resolve([] if report is None else [report], Grid.of(read.shape, read.dtype))
            read = made if first.writes() else read
        return sweep(this, read)[0]

    return call


def sweep(operator: Operator, array: np.ndarray) -> tuple[np.ndarray, Any]:
    """What a sweep writes, if it does, and what it reports."""
    grid = Grid.of(array.shape, array.dtype)
    given = operator.out_grid(grid)
    out = np.empty(given.shape if operator.writes() else (0,), given.dtype)
    window = Window(array, Region.whole(grid.shape), Region.whole(given.shape), grid)
    return out, operator.cpu(window.part(operator.needed(window.want, grid)), out)


def seconds(call: Call) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def race(mine: Call, peers: dict[str, tuple[Call, float]]) -> dict[str, float]:
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
    name: str, array: np.ndarray, fields: Fields, libraries: dict[str, Table]
) -> tuple[dict[str, tuple[Call, float]], dict[str, str]]:
    """The peers' calls with the part of the image that each computes, and why other libraries have none."""
    found: dict[str, tuple[Call, float]] = {}
    refused = {}
    for library, table in libraries.items():
        if name not in table:
            continue
        small = np.ascontiguousarray(array[: max(array.shape[0] // 8, 1)])
        try:
            call = table[name](small, fields)
            call()
            if seconds(call) * 8 > SLOW:
                found[library] = call, len(small) / len(array)
            else:
                call = table[name](array, fields)
                call()
                found[library] = call, 1.0
        except Exception as error:  # a library may refuse a dtype or a setting in any way
            refused[library] = reason(error)
    return found, refused


def reason(error: Exception) -> str:
    return " ".join(str(error.args[0] if isinstance(error, KeyError) else error).split())[:80]


def cases(name: str, shapes: tuple[tuple[int, ...], ...]) -> Iterator[tuple[np.ndarray, str, Fields, Call]]:
    """The images and settings of an operator, with our call; settings of another number of axes are left out."""
    for shape in shapes:
        for fields in (fitted(fields, shape) for fields in timed_fields(name)):
            for dtype in timed_dtypes(name):
                array = image(shape, dtype)
                if np.ndim(fields.get("kernel", 0)) <= array.ndim:
                    yield array, dtype, fields, ours(name, array, fields)


def timed(name: str, libraries: dict[str, Table]) -> Iterator[list[Any]]:
    for array, dtype, fields, call in cases(name, SHAPES):
        peers, refused = peers_of(name, array, fields, libraries)
        rates = {peer: array.size / least / 1e6 for peer, least in race(call, peers).items()}
        mine = rates.pop("")
        order = sorted(rates, key=lambda peer: -rates[peer])
        best, rest = (order[0], order[1:]) if order else ("", [])
        others = [f"{peer} {rates[peer]:.3g}" for peer in rest]
        others += [f"{peer}: {why}" for peer, why in refused.items()] if order else without_peer(refused)
        ratio = mine / rates[best] if best else ""
        yield [*titles(name, array, dtype, fields), mine, best, rates.get(best, ""), ratio, ", ".join(others)]


def without_peer(refused: dict[str, str]) -> list[str]:
    return ["no peer: " + ("; ".join(map(": ".join, refused.items())) or "no library here has this operator")]


def compared(name: str, libraries: dict[str, Table]) -> Iterator[list[Any]]:
    for array, dtype, fields, call in cases(name, SMALL):
        mine, found = inner(call()), []
        for library, table in libraries.items():
            if name in table:
                try:
                    peers = inner(table[name](array, fields)())
                    found.append(f"{library} {np.abs(mine - peers).max():.3g}")
                except Exception as error:  # as above; another shape, too
                    found.append(f"{library}: {reason(error)}")
        yield [*titles(name, array, dtype, fields), np.abs(mine).max(), ", ".join(found or without_peer({}))]


def inner(found: Any) -> np.ndarray:
    """A result of any library as numbers, without its borders; components of a vector come first."""
    library = type(found).__module__.partition(".")[0]
    if library == "SimpleITK":
        from SimpleITK import GetArrayFromImage

        found = GetArrayFromImage(found)
    if library == "diplib" and found.TensorElements() > 1:
        found = np.moveaxis(np.asarray(found), -1, 0)
    array = np.squeeze(np.asarray(found)).astype(np.float64)
    return array[tuple(slice(n // 3, -(n // 3)) if n > 8 else slice(None) for n in array.shape)]


def titles(name: str, array: np.ndarray, dtype: str, fields: Fields) -> list[str]:
    shown = ", ".join(f"{key} {short(value)}" for key, value in fields.items())
    return [f"{name} {shown}".strip(), f"{' x '.join(map(str, array.shape))} {dtype}"]


def short(value: Any) -> str:
    return f"of {' x '.join(map(str, value.shape))}" if isinstance(value, np.ndarray) else str(value).rpartition("/")[2]


FIRST = """
import sys, time
import numpy as np
from benchmarks.operators import fitted, image, ours, timed_fields
array = image((24, 64, 64), sys.argv[2])
call = ours(sys.argv[1], array, fitted(timed_fields(sys.argv[1])[0], array.shape))
begin = time.perf_counter(); call(); print(time.perf_counter() - begin)
"""


def compile_seconds(name: str) -> list[Any]:
    """Seconds of a first call: in a process that compiles, and in one that finds the cache."""
    found: list[Any] = [name]
    dtype = "uint16" if "uint16" in timed_dtypes(name) else timed_dtypes(name)[0]
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
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--compile", action="store_true", help="time first calls instead")
    mode.add_argument("--values", action="store_true", help="compare values with the peers' instead")
    options = parser.parse_args(sys.argv[2:] if arguments is None else arguments)
    file, columns, rows = "operators", COLUMNS, list[list[Any]]()
    if options.compile:
        file, columns = "operators_compile", ["operator", "s, empty cache", "s, cached"]
    elif options.values:
        columns = DIFFERENCES
    libraries = {} if options.compile else tables()
    for name in options.names or registry.names():
        if options.compile:
            rows.append(shown(compile_seconds(name)))
        else:
            rows += map(shown, (compared if options.values else timed)(name, libraries))
        if not options.names and not options.values:
            report.save(file, columns, rows)  # as far as it is
    report.show("values" if options.values else "one thread, in memory", columns, rows)
    if columns is COLUMNS:
        behind = [row for row in rows if row[5] != "" and row[5] < 1]
        print(f"{len(behind)} of {len(rows)} rows are behind a peer")


def shown(row: list[Any]) -> list[Any]:
    """The row, printed as soon as it is there."""
    print("  ".join(f"{x:.3g}" if isinstance(x, float) else str(x) for x in row), flush=True)
    return row


if __name__ == "__main__":
    main(sys.argv[1:])
