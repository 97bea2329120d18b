"""Local contrast: how far each element is from the mean of the box around it, in standard deviations.

    gridstride apply examples/kernels/contrast.py:local_contrast cells.zarr contrast.zarr --halo 3 --param gain=2

It works on two and three axes alike, with NumPy on a CPU and with CuPy on a GPU. W. K. Pratt, "Digital Image
Processing", 1978, section 12.3: statistical differencing.
"""

from itertools import product


def local_contrast(block, gain: float = 1.0, floor: float = 1.0, *, shape, halo, inner):
    """(x - mean) / (standard deviation + floor), times gain, of the box within the halo."""
    block = block.astype("float32")
    centre = block[inner]
    total = squares = 0.0
    count = 0
    for corner in product(*(range(2 * h + 1) for h in halo)):
        # Distances, because squares of large numbers would leave nothing of a small spread.
        apart = block[tuple(slice(first, first + n) for first, n in zip(corner, shape, strict=True))] - centre
        total, squares, count = total + apart, squares + apart * apart, count + 1
    mean = total / count
    spread = (squares / count - mean * mean).clip(0) ** 0.5
    return gain * -mean / (spread + floor)
