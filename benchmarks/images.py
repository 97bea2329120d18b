"""Image jobs end to end, Zarr to Zarr, against dask-image, a plain Dask copy and tensorstore's copy, in one run.

uint16 cells (a real 3-D fluorescence image, tiled to SIZE^3) to float32; the same blocks, chunks, codec, workers and
threads for each job; cluster start and array creation are not counted. Each figure is the median of REPEAT turns.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import zarr

from benchmarks import report
from gridstride.pipeline import api
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.storage.create import create
from gridstride.pipeline.storage.regions import open_regions
from gridstride.workers import cluster

CELLS = Path(__file__).parents[1] / "examples" / "data" / "cells3d_nuclei.tif"


def make_input(path: str, size: int, chunk: int) -> None:
    import tifffile

    cells = tifffile.imread(CELLS)
    repeats = [-(-size // n) for n in cells.shape]
    image = np.tile(cells, repeats)[:size, :size, :size]
    create(path, image.shape, image.dtype, (chunk,) * 3)
    open_regions(path).write((0, 0, 0), np.ascontiguousarray(image))


def ours(client: Any, prepared: Any) -> tuple[float, dict[str, float]]:
    """Time of the sweep alone, on a running cluster, as for the peers."""
    shutil.rmtree(prepared.out, ignore_errors=True)
    summary = api.run(prepared, client)
    assert (summary.computed, summary.retried, summary.failed) == (summary.plan.blocks, 0, {}), summary
    return summary.seconds, summary.stages


def theirs(client: Any, source: str, out: str, chunk: int, block: tuple[int, ...], apply: Any) -> float:
    """Time of Dask: from_zarr, `apply`, rechunk to whole chunks, to_zarr into an array made before."""
    shutil.rmtree(out, ignore_errors=True)
    shape = zarr.open_array(source, mode="r").shape
    create(out, shape, np.dtype(np.float32), (chunk,) * 3)
    target = zarr.open_array(out, mode="r+")
    begin = time.perf_counter()
    image = da.from_zarr(source, chunks=block).astype(np.float32)
    result = apply(image)
    assert result.chunks == image.chunks
    da.store(result, target, lock=False)
    return time.perf_counter() - begin


def tensorstore_copy(source: str, out: str, chunk: int) -> float:
    import tensorstore as ts

    shutil.rmtree(out, ignore_errors=True)
    shape = zarr.open_array(source, mode="r").shape
    create(out, shape, np.dtype(np.float32), (chunk,) * 3)

    def open_(path: str) -> Any:
        return ts.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": path + "/"}}).result()

    begin = time.perf_counter()
    open_(out).write(ts.cast(open_(source), ts.float32)).result()
    return time.perf_counter() - begin


def main(size: int = 512, chunk: int = 128, block: int = 256, repeat: int = 4) -> None:
    from dask_image import ndfilters

    # Memory-backed storage where there is any, so that no disk limits the results.
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=base) as folder:
        source = f"{folder}/input.zarr"
        make_input(source, size, chunk)
        blocks = (block,) * 3
        dense = np.random.default_rng(0).random((5, 5, 5)).astype(np.float32)
        dense /= dense.sum()
        options = RunOptions(device="cpu", block=blocks, workers=1, ignore_disk=True)
        common: dict[str, Any] = {"dtype": "float32", "options": options}
        gaussian = api.prepare("gaussian", source, f"{folder}/gaussian.zarr", sigma=2.0, **common)
        free = api.prepare(
            "gaussian", source, f"{folder}/free.zarr", sigma=2.0, dtype="float32",
            options=RunOptions(device="cpu", workers=1, ignore_disk=True),
        )  # fmt: skip
        convolve = api.prepare("convolve", source, f"{folder}/dense.zarr", kernel=dense, **common)
        times: dict[str, list[float]] = {}
        stages: dict[str, float] = {}
        with cluster.start("cpu", gaussian.environment.size) as client:
            theirs_gaussian = f"{folder}/theirs-gaussian.zarr"
            theirs_dense = f"{folder}/theirs-dense.zarr"
            for turn in range(repeat + 1):
                run = {
                    "tensorstore copy": tensorstore_copy(source, f"{folder}/copy1.zarr", chunk),
                    "plain Dask copy": theirs(client, source, f"{folder}/copy2.zarr", chunk, blocks, lambda x: x),
                    "dask-image gaussian": theirs(
                        client,
                        source,
                        theirs_gaussian,
                        chunk,
                        blocks,
                        lambda x: ndfilters.gaussian_filter(x, 2.0),
                    ),
                }
                run["gridstride gaussian"], stages = ours(client, gaussian)
                run["gridstride gaussian, own blocks"], _ = ours(client, free)
                if turn < 3:
                    run["dask-image dense 5x5x5"] = theirs(
                        client, source, theirs_dense, chunk, blocks, lambda x: ndfilters.convolve(x, dense)
                    )
                run["gridstride dense 5x5x5"], _ = ours(client, convolve)
                if turn:  # the first turn compiles and fills caches
                    for name, seconds in run.items():
                        times.setdefault(name, []).append(seconds)
            # Times are comparable only if the results are equal.
            for mine, other in (("gaussian", theirs_gaussian), ("dense", theirs_dense)):
                a, b = zarr.open_array(f"{folder}/{mine}.zarr")[:], zarr.open_array(other)[:]
                assert np.allclose(a, b, rtol=2e-5, atol=0.5), f"{mine}: results differ by {np.abs(a - b).max()}"
    median = {name: statistics.median(values) for name, values in times.items()}
    voxels = size**3
    threads = gaussian.environment.size.threads
    columns = ["job", "seconds", "min", "max", "Mvoxel/s", "peer / this"]
    peers = {
        "gridstride gaussian": "dask-image gaussian",
        "gridstride gaussian, own blocks": "dask-image gaussian",
        "gridstride dense 5x5x5": "dask-image dense 5x5x5",
    }
    rows = []
    for name, seconds in median.items():
        ratio = f"{median[peers[name]] / seconds:.2f}x" if name in peers else ""
        rows.append([name, seconds, min(times[name]), max(times[name]), voxels / seconds / 1e6, ratio])
    report.show(
        f"uint16 {size}^3 to float32, chunks {chunk}^3 lz4, blocks {block}^3, {threads} threads",
        columns,
        rows,
    )
    report.show("stages of gridstride gaussian", ["stage", "thread-seconds"], [[k, v] for k, v in stages.items()])
    copy = median["plain Dask copy"] / median["gridstride gaussian"]
    print(f"gaussian: {copy:.2f} times as fast as the plain Dask copy")
    report.save("images", columns, rows, stages=stages, size=size, chunk=chunk, block=block, repeat=repeat)


if __name__ == "__main__":
    main()
