"""A point spread function from an image of fluorescent beads, at the voxels of cells3d_nuclei.tif, as psf.npy is made.

    python examples/data/psf.py Bead_Image1_crop.tif examples/data/psf.npy

Beads are smaller than what the microscope resolves, so each shows the function itself. They are found, laid over each
other by their centres of brightness, averaged, and averaged again over the larger voxels.
"""

from __future__ import annotations

import sys

import numpy as np
import tifffile
from scipy import ndimage

BEADS = (0.125, 0.022, 0.022)  # micrometre a voxel (z, y, x)
NUCLEI = (0.29, 0.26, 0.26)
REACH = (1.6, 0.7, 0.7)  # micrometre around a bead


def beads(image: np.ndarray) -> list[tuple[float, ...]]:
    """The centres of all beads."""
    smooth = ndimage.gaussian_filter(image, (1, 4, 4))
    labels, count = ndimage.label(smooth > smooth.max() / 4)
    return ndimage.center_of_mass(image * (smooth > smooth.max() / 4), labels, range(1, count + 1))


def is_inside(centre: tuple[float, ...], image: np.ndarray) -> bool:
    """Whether all that is averaged around a bead lies in the image."""
    ends = zip(centre, REACH, BEADS, image.shape, strict=True)
    return all(reach / voxel <= x <= n - 1 - reach / voxel for x, reach, voxel, n in ends)


def function(image: np.ndarray) -> np.ndarray:
    """The beads' mean in voxels of NUCLEI, an odd number along each axis; its sum is 1."""
    image, every = image - np.median(image), beads(image)
    size = [2 * int(reach / voxel) + 1 for reach, voxel in zip(REACH, NUCLEI, strict=True)]
    fine = 8  # points along each axis of a voxel, whose mean is its value
    offsets = [(np.arange(n * fine) - (n * fine - 1) / 2) * v / fine for n, v in zip(size, NUCLEI, strict=True)]
    found = np.zeros(size)
    for centre in (centre for centre in every if is_inside(centre, image)):
        places = np.meshgrid(*[c + o / v for c, o, v in zip(centre, offsets, BEADS, strict=True)], indexing="ij")
        values = ndimage.map_coordinates(image, places, order=1, mode="nearest").clip(0)
        across = [np.hypot(*[(p - c) for p, c in zip(places[1:], other[1:], strict=True)]) for other in every]
        own = across[every.index(centre)] <= np.min(across, 0)  # what is nearer to another bead is that one's
        found += (values * own).reshape([m for n in size for m in (n, fine)]).mean((1, 3, 5))
    return (found / found.sum()).astype(np.float32)


if __name__ == "__main__":
    np.save(sys.argv[2], function(tifffile.imread(sys.argv[1]).astype(float)))
