"""Labels of a mask larger than a worker's memory: gridstride beside dask-image, bioimage-py and patchworks.

    python -m benchmarks labels [--size N] [--connectivity N ...] [--without LIBRARY ...]

The mask is of real nuclei (examples/data, smoothed, Otsu's threshold), tiled to N^3 in chunks of 128^3. Each library
reads and writes Zarr in a process of its own, with its own workers; time and memory are of the process and its
children, start and all. Its labels are compared with those of scipy.ndimage.label on the whole array in memory: the
same numbers, the same objects by other numbers, or others. Libraries that are not installed are left out, and said:
pip install dask-image bioimage-py patchworks
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from benchmarks import report
from benchmarks.memory import peak_memory

CHUNK = 128
GRIDSTRIDE = """
import sys
from gridstride.pipeline.commands.main import main
main(["filter", "label", sys.argv[1], sys.argv[2], "--connectivity", sys.argv[3], "--quiet", "--device", "cpu"])
"""
OPEN = """
import sys
import numpy as np, zarr
from scipy import ndimage
mask, reach = zarr.open_array(sys.argv[1], mode="r"), int(sys.argv[3])
structure = ndimage.generate_binary_structure(3, reach)
def made(dtype):
    return zarr.create_array(sys.argv[2], shape=mask.shape, chunks=mask.chunks, dtype=dtype)
"""
SCIPY = OPEN + 'made("uint32")[...] = ndimage.label(mask[...], structure)[0]\n'
DASK_IMAGE = (
    OPEN
    + """
import dask.array as da
from dask_image.ndmeasure import label
labels, count = label(da.from_zarr(sys.argv[1]), structure)
da.to_zarr(labels, sys.argv[2])
"""
)
BIOIMAGE = (
    OPEN
    + """
import os
from bioimage_py.segmentation import label
label(mask, made("uint64"), connectivity=reach, block_shape=mask.chunks, num_workers=os.cpu_count())
"""
)
PATCHWORKS = (
    OPEN
    + """
import dask.array as da, patchworks
def fn(tile):
    return ndimage.label(tile, structure)[0].astype("int32")
patchworks.tile_process(
    da.from_zarr(sys.argv[1]), fn, overlap=0, write_to=sys.argv[2], output_component="labels", sequential_labels=True,
    progress=False,
)
"""
)
# (library, its package, program, where its labels are in the output)
RACE = (
    ("scipy, in memory", "scipy", SCIPY, ""),
    ("gridstride", "gridstride", GRIDSTRIDE, ""),
    ("dask-image", "dask_image", DASK_IMAGE, ""),
    ("bioimage-py", "bioimage_py", BIOIMAGE, ""),
    ("patchworks", "patchworks", PATCHWORKS, "labels"),
)
COLUMNS = ["library", "connectivity", "seconds", "Mvoxel/s", "peak MB", "labels"]


def make_mask(path: str, size: int) -> None:
    """Nuclei, tiled, written slab by slab."""
    import tifffile
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    cells = tifffile.imread(Path(__file__).parents[1] / "examples" / "data" / "cells3d_nuclei.tif")
    smooth = ndimage.gaussian_filter(cells.astype(np.float32), (1, 2, 2))
    mask = smooth > threshold_otsu(smooth)
    planes = np.tile(mask, (1, -(-size // mask.shape[1]), -(-size // mask.shape[2])))[:, :size, :size]
    out = zarr.create_array(path, shape=(size,) * 3, chunks=(CHUNK,) * 3, dtype=bool)
    for z in range(0, size, CHUNK):
        out[z : z + CHUNK] = planes[np.arange(z, min(z + CHUNK, size)) % len(planes)]


def compared(path: str, reference: str) -> str:
    """How labels are those of the reference, slab by slab."""
    mine, theirs = zarr.open_array(path, mode="r"), zarr.open_array(reference, mode="r")
    same, pairs = True, np.empty((2, 0), np.uint64)
    for z in range(0, mine.shape[0], CHUNK):
        slab, wanted = (np.asarray(array[z : z + CHUNK]).astype(np.uint64) for array in (mine, theirs))
        same &= bool((slab == wanted).all())
        if not same:
            runs = np.flatnonzero(np.append(True, (np.diff(slab.ravel()) != 0) | (np.diff(wanted.ravel()) != 0)))
            found = np.stack([slab.ravel()[runs], wanted.ravel()[runs]])
            pairs = np.unique(np.concatenate([pairs, found], axis=1), axis=1)
    if same:
        return "scipy's numbers"
    counts = [len(np.unique(column)) for column in pairs]
    if counts[0] == counts[1] == pairs.shape[1]:
        return "the same objects, other numbers"
    return f"WRONG: {counts[0] - 1} objects for {counts[1] - 1}"


def run(library: str, program: str, source: str, out: str, reach: int) -> tuple[float, int] | str:
    """Seconds and peak bytes of a library's process, or why there are none."""
    try:
        peak, _, seconds = peak_memory([sys.executable, "-c", program, source, out, str(reach)], dict(os.environ))
    except SystemExit:
        return f"{library} does not label with connectivity {reach}, or failed: see above"
    return seconds, peak


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks labels", description="Labels out of core.")
    parser.add_argument("--size", type=int, default=1024, help="elements along each axis")
    names = [name for name, *_ in RACE[2:]]
    parser.add_argument("--without", nargs="*", default=[], choices=names, help="libraries to leave out")
    parser.add_argument("--connectivity", nargs="*", type=int, default=[1, 3])
    options = parser.parse_args(sys.argv[2:] if arguments is None else arguments)
    rows: list[list[Any]] = []
    missing = [name for name, package, _, _ in RACE if importlib.util.find_spec(package) is None]
    left_out = [*missing, *options.without]
    with tempfile.TemporaryDirectory() as folder:
        source, reference = f"{folder}/mask.zarr", f"{folder}/reference.zarr"
        make_mask(source, options.size)
        for reach in options.connectivity:
            shutil.rmtree(reference, ignore_errors=True)
            for library, _, program, inside in RACE:
                if library in left_out:
                    continue
                out = reference if program is SCIPY else f"{folder}/out.zarr"
                found = run(library, program, source, out, reach)
                if isinstance(found, str):
                    rows.append([library, reach, "", "", "", found])
                else:
                    seconds, peak = found
                    judged = compared(f"{out}/{inside}".rstrip("/"), reference)
                    rows.append([library, reach, seconds, options.size**3 / seconds / 1e6, peak / 1e6, judged])
                print("  ".join(f"{x:.4g}" if isinstance(x, float) else str(x) for x in rows[-1]), flush=True)
                shutil.rmtree(f"{folder}/out.zarr", ignore_errors=True)
                report.save("labels", COLUMNS, rows, size=options.size, left_out=left_out)  # as far as it is
    report.show(f"labels of {options.size}^3 voxels, Zarr to Zarr", COLUMNS, rows)


if __name__ == "__main__":
    main(sys.argv[1:])
