"""Local contrast: how far each element is from the mean of the box around it, in standard deviations.

    gridstride apply examples/kernels/contrast.py:local_contrast cells.zarr contrast.zarr --halo 3 --param gain=2

It works on two and three axes alike, with NumPy on a CPU and with CuPy on a GPU. W. K. Pratt, "Digital Image
Processing", 1978, section 12.3: statistical differencing.
"""

from itertools import product


def local_contrast(block, gain: float = 1.0, floor: float = 1.0, *, shape):
    """(x - mean) / (standard deviation + floor), times gain, of the box within the halo."""
    block = block.astype("float32")
    sides = [n - m for n, m in zip(block.shape, shape, strict=True)]  # twice the halo
    total = squares = 0.0
    for corner in product(*(range(side + 1) for side in sides)):
        part = block[tuple(slice(first, first + n) for first, n in zip(corner, shape, strict=True))]
        total = total + part
        squares = squares + part * part
    count = 1
    for side in sides:
        count *= side + 1
    mean = total / count
    spread = (squares / count - mean * mean).clip(0) ** 0.5
    middle = block[tuple(slice(side // 2, side // 2 + n) for side, n in zip(sides, shape, strict=True))]
    return gain * (middle - mean) / (spread + floor)
