"""Makes the reference page's pictures: what each operator's example does to real cells, before and after.

    python docs/pictures.py [NAME ...]

Runs the command that the operator's docstring gives, in a folder with cells.zarr (nuclei, 3-D microscopy), mask.zarr
(which of them are bright), labels.zarr (each of these by number), flat.npy (how the light falls) and the kernels of
examples/kernels.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import tempfile
from contextlib import chdir
from pathlib import Path

import numpy as np
import tifffile
import zarr
from click.testing import CliRunner
from PIL import Image
from scipy import ndimage

from gridstride.pipeline.commands.main import main
from gridstride.workers.operators import registry

HERE = Path(__file__).parent
CELLS = HERE.parent / "examples" / "data" / "cells3d_nuclei.tif"
PSF = CELLS.with_name("psf.npy")
KERNELS, NETWORKS = (HERE.parent / "examples" / name for name in ("kernels", "networks"))
PART = (slice(12, 48), slice(60, 188), slice(60, 188))
SIDE, GAP, GREYS = 128, 4, 48  # of a picture in pixels, between the two, and levels of grey


def example(name: str) -> list[str]:
    """The words of an operator's example, without the command's own name."""
    text = " ".join((registry.find(name).__doc__ or "").split())
    found = re.search(r"Example: gridstride (.+?)\.?$", text)
    if found is None:
        raise ValueError(f"{name}: its docstring ends with no example")
    return shlex.split(found[1])


def make_inputs(folder: Path) -> None:
    for given in (KERNELS, NETWORKS):
        shutil.copytree(given, folder, dirs_exist_ok=True)
    shutil.copy(PSF, folder)
    cells = tifffile.imread(CELLS)[PART]
    mask = ndimage.gaussian_filter(cells.astype(float), 1.5) > np.percentile(cells, 80)
    labels = ndimage.label(mask)[0].astype(np.uint16)
    np.save(folder / "flat.npy", ndimage.gaussian_filter(cells.mean(0), 25))
    for name, array in (("cells", cells), ("mask", mask), ("labels", labels)):
        path = str(folder / f"{name}.zarr")
        node = zarr.create_array(path, shape=array.shape, dtype=array.dtype, dimension_names=list("zyx"))
        node[...] = array


def run_example(words: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Input and output of an example, run in this folder. Raises RuntimeError where it fails."""
    given, out = [word for word in words if word.endswith(".zarr")][:2]
    made = "made.zarr"  # an example's own output may be an input of others
    shutil.rmtree(made, ignore_errors=True)
    done = CliRunner().invoke(main, [made if word == out else word for word in words])
    if done.exit_code:
        raise RuntimeError(f"gridstride {shlex.join(words)}: {done.output}")
    return zarr.open_array(given)[...], zarr.open_array(made)[...]


def plane(array: np.ndarray) -> np.ndarray:
    """The middle plane, of the first of several arrays, as grey values; labels get scattered ones."""
    while array.ndim > 3:
        array = array[0]
    array = array[len(array) // 2] if array.ndim == 3 else array
    values = array.astype(float)
    low, high = np.percentile(values[np.isfinite(values)], (0.5, 99.7)) if values.size else (0, 1)
    if low == high:
        low, high = values.min(), values.max()
    grey = np.nan_to_num((values - low) / ((high - low) or 1)).clip(0, 1) * 255
    size = [round(n * min(1.0, SIDE / max(array.shape))) for n in array.shape[::-1]]
    return np.asarray(Image.fromarray(grey.astype(np.uint8)).resize(size, Image.Resampling.NEAREST))


def side_by_side(before: np.ndarray, after: np.ndarray) -> Image.Image:
    page = Image.new("L", (2 * SIDE + GAP, SIDE), 255)
    for number, shown in enumerate((plane(before), plane(after))):
        at = number * (SIDE + GAP) + (SIDE - shown.shape[1]) // 2, (SIDE - shown.shape[0]) // 2
        page.paste(Image.fromarray(shown), at)
    return page.quantize(GREYS)


def make_pictures(names: list[str], target: Path) -> None:
    target.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        make_inputs(Path(folder))
        for name in names:
            side_by_side(*run_example(example(name))).save(target / f"{name}.png", optimize=True)
            print(name, (target / f"{name}.png").stat().st_size, "bytes")


if __name__ == "__main__":
    make_pictures(sys.argv[1:] or registry.names(), HERE / "operators")
