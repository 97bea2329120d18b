"""`make demo`: real microscopy from TIFF to Zarr, smoothed, edge-filtered and segmented on a local cluster, with
pictures and times; then two shear layers that roll up into vortices, with a film.

Everything is written to demo-output/. scipy.ndimage runs the same filters on the whole array in memory, to compare
results and times.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr
from rich.console import Console
from rich.table import Table
from scipy import ndimage

import gridstride
from gridstride.pipeline.pictures.arrays import preview
from gridstride.pipeline.pictures.movie import movie
from gridstride.pipeline.pictures.plots import plot
from gridstride.pipeline.storage.create import create
from gridstride.workers.families.weights import named_kernel

HERE = Path(__file__).parent
OUT = HERE.parent / "demo-output"
VOXEL = [0.29, 0.26, 0.26]  # micrometre (z, y, x)


def to_zarr(image: np.ndarray, name: str) -> Path:
    path = OUT / name
    create(path, image.shape, image.dtype, (32, 64, 64), None, "lz4", ["z", "y", "x"], {"voxel_size": VOXEL})
    zarr.open_array(str(path))[...] = image
    return path


def main() -> None:
    if OUT.exists():
        shutil.rmtree(OUT)
    OUT.mkdir()
    print("gridstride demo: nuclei in 3-D fluorescence microscopy (scikit-image's cells3d, CC0)")
    cells = tifffile.imread(HERE / "data" / "cells3d_nuclei.tif")
    tiled = np.tile(cells, (4, 2, 2))
    source, large = to_zarr(cells, "cells.zarr"), to_zarr(tiled, "cells-tiled.zarr")
    begin = time.perf_counter()
    small = to_zarr(cells[:32, :64, :64], "small.zarr")
    gridstride.gaussian(small, OUT / "small-gaussian.zarr", 2.0, dtype="float32")
    gridstride.convolve(OUT / "small-gaussian.zarr", OUT / "small-laplace.zarr", "laplace")
    print(f"kernels compiled on a corner of the image, needed only once: {time.perf_counter() - begin:.1f} s")
    for name in ("small.zarr", "small-gaussian.zarr", "small-laplace.zarr"):
        shutil.rmtree(OUT / name)
    laplace = named_kernel("laplace", 3)
    steps: list[tuple[str, Path, np.ndarray, Callable[..., Any], Callable[[np.ndarray], np.ndarray]]] = [
        (
            "gaussian sigma 2",
            source,
            cells,
            lambda i, o: gridstride.gaussian(i, o, 2.0, dtype="float32"),
            lambda a: ndimage.gaussian_filter(a, 2.0),
        ),
        (
            "laplace of it",
            OUT / "gaussian.zarr",
            np.empty(0),
            lambda i, o: gridstride.convolve(i, o, "laplace"),
            lambda a: ndimage.convolve(a, laplace),
        ),
        (
            "gaussian sigma 2, tiled 4 x 2 x 2",
            large,
            tiled,
            lambda i, o: gridstride.gaussian(i, o, 2.0, dtype="float32"),
            lambda a: ndimage.gaussian_filter(a, 2.0),
        ),
    ]
    table = Table(title="gridstride, Zarr to Zarr, beside scipy.ndimage, in memory on one core", title_justify="left")
    for column in ("job", "shape", "sweep s", "Mvoxel/s", "scipy s", "cluster start s", "largest difference"):
        table.add_column(column, justify="left" if column == "job" else "right")
    for name, path, array, ours, scipys in steps:
        names = {"gaussian sigma 2": "gaussian.zarr", "laplace of it": "laplace.zarr"}
        out = OUT / names.get(name, "gaussian-tiled.zarr")
        print(f"{name}: {path.name} -> {out.name} ...", flush=True)
        summary = ours(path, out)
        summary.raise_if_failed()
        data = (array if array.size else zarr.open_array(str(path))[...]).astype(np.float32)
        begin = time.perf_counter()
        expected = scipys(data)
        seconds = time.perf_counter() - begin
        result = zarr.open_array(str(out))[...]
        worst = float(np.abs(result - expected).max() / np.abs(expected).max())
        if worst > 1e-5:
            raise SystemExit(f"{name}: differs from scipy by {worst:.1e} of the largest value")
        table.add_row(
            name,
            " x ".join(map(str, data.shape)),
            f"{summary.seconds:.2f}",
            f"{summary.voxels_per_second / 1e6:.1f}",
            f"{seconds:.2f}",
            f"{summary.startup_seconds:.1f}",
            f"{worst:.1e}",
        )
    Console(width=130).print(table)
    print("A sweep of so small an image is mostly imports in a new worker; docs/performance.md has large ones.")
    found = gridstride.run(HERE / "pipelines" / "nuclei-detection.yaml", source, OUT / "nuclei.zarr")
    share = zarr.open_array(str(OUT / "nuclei.zarr"))[...].mean()
    text = "examples/pipelines/nuclei-detection.yaml: noise and background out, Otsu's threshold"
    print(f"{text}: {found.seconds:.2f} s, {share:.1%} of the voxels are nuclei")
    pictures = [
        preview(source, OUT / "gaussian.png", compare=OUT / "gaussian.zarr"),
        preview(source, OUT / "laplace.png", compare=OUT / "laplace.zarr", index=30),
        preview(source, OUT / "nuclei.png", compare=OUT / "nuclei.zarr", index=30),
    ]
    results = ", ".join(f"{OUT.name}/{name}.zarr" for name in ("gaussian", "laplace", "nuclei", "gaussian-tiled"))
    print(f"results: {results}")
    print("pictures, before and after: " + ", ".join(f"{OUT.name}/{p.name}" for p in pictures))
    flow()
    print("next: .venv/bin/gridstride info demo-output/gaussian.zarr; .venv/bin/gridstride filter gaussian --help;")
    print("      .venv/bin/gridstride simulate examples/cases/cylinder.yaml cylinder.zarr")


def flow() -> None:
    """A simulation, its film and its diagnostics."""
    out = OUT / "shear-layer.zarr"
    print(
        "\nNavier-Stokes: two shear layers roll up, 128 x 128, Re 10000 (the first run compiles its kernels)",
        flush=True,
    )
    case = [f"grid.cells.{axis}=128" for axis in "xy"] + ["initial.sharpness=30", "output.snapshots.time=0.04"]
    summary = gridstride.simulate(HERE / "cases" / "shear-layer.yaml", out, case)
    kernel = summary.stages["kernel"]
    print(f"{out.name}: {summary.last} steps in {summary.seconds:.1f} s, {kernel:.1f} s of it in kernels")
    made = movie(out, OUT / "vorticity.gif", field="vorticity", size=480)
    graph = plot(out, OUT / "diagnostics.png")
    print(f"film: {OUT.name}/{made.path.name}, {made.frames} frames; diagnostics: {OUT.name}/{graph.name}")


if __name__ == "__main__":
    main()
