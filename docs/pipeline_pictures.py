"""Makes the pictures of docs/pipelines.md: what the pipelines of examples/pipelines do to real nuclei.

python docs/pipeline_pictures.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import matplotlib
import numpy as np
import tifffile
import zarr
from matplotlib import colors
from matplotlib import pyplot as plt

import gridstride

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"
VOXEL = (0.29, 0.26, 0.26)  # micrometre (z, y, x)


def run(name: str, folder: Path) -> np.ndarray:
    """The result of a pipeline."""
    gridstride.run(EXAMPLES / "pipelines" / f"{name}.yaml", folder / "cells.zarr", folder / f"{name}.zarr")
    return zarr.open_array(str(folder / f"{name}.zarr"), mode="r")[...]


def scattered(count: int) -> colors.ListedColormap:
    """Black, and then colours that neighbours in number do not share."""
    hues = np.random.default_rng(3).permutation(np.linspace(0, 1, count, endpoint=False))
    return colors.ListedColormap([(0, 0, 0), *matplotlib.colormaps["hsv"](hues)])


def page(columns: int, height: float) -> tuple[plt.Figure, np.ndarray]:
    figure, panels = plt.subplots(1, columns, figsize=(3.6 * columns, height), layout="constrained")
    for panel in panels:
        panel.set_xticks([])
        panel.set_yticks([])
    return figure, panels


def save(figure: plt.Figure, name: str) -> None:
    figure.savefig(HERE / f"{name}.png", dpi=80, pil_kwargs={"optimize": True})
    plt.close(figure)


def draw_labels(cells: np.ndarray, labels: np.ndarray) -> None:
    """The nuclei, projected along z, their numbers as colours, and how large they are."""
    count = int(labels.max())
    figure, panels = page(3, 3.8)
    panels[0].imshow(cells.max(0), "gray", vmax=np.percentile(cells.max(0), 99.5))
    panels[0].set_title("nuclei, the brightest along z")
    panels[1].imshow(labels.max(0), scattered(count), interpolation="nearest")
    panels[1].set_title(f"{count} objects")
    sizes = np.sort(np.bincount(labels.ravel())[1:])[::-1] * np.prod(VOXEL)
    panels[2].bar(range(1, count + 1), sizes)
    panels[2].set_yticks([0, 500, 1000, 1500, 2000])
    panels[2].set_title("their volumes, cubic micrometres")
    save(figure, "nuclei-labels")


def draw_deconvolution(cells: np.ndarray, sharp: np.ndarray) -> None:
    """A part of the plane y = 180, before and after."""
    figure, panels = page(2, 1.7)
    part = (slice(6, 56), 180, slice(60, 240))
    for panel, image, title in zip(panels, (cells, sharp), ("as it was taken", "deconvolved"), strict=True):
        shown = image[part]
        panel.imshow(shown, "gray", vmin=0, vmax=np.percentile(shown, 99.8), aspect=VOXEL[0] / VOXEL[2])
        panel.set_title(f"{title} (x, z)")
    save(figure, "nuclei-deconvolution")


def draw_edges(cells: np.ndarray, edges: np.ndarray) -> None:
    """A slice, and how likely the network finds each element of it to be an edge."""
    figure, panels = page(2, 3.8)
    z = len(cells) // 2
    panels[0].imshow(cells[z], "gray", vmax=np.percentile(cells[z], 99.5))
    panels[0].set_title("a slice")
    panels[1].imshow(edges[-1, z], "magma", vmin=0, vmax=1)
    panels[1].set_title("how likely an edge")
    save(figure, "nuclei-edges")


if __name__ == "__main__":
    nuclei = tifffile.imread(EXAMPLES / "data" / "cells3d_nuclei.tif")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = str(folder / "cells.zarr")
        node = zarr.create_array(path, shape=nuclei.shape, dtype=nuclei.dtype, dimension_names=["z", "y", "x"])
        node[...] = nuclei
        draw_labels(nuclei, run("nuclei-labels", folder))
        draw_deconvolution(nuclei, run("nuclei-deconvolution", folder))
        draw_edges(nuclei, run("nuclei-edges", folder))
