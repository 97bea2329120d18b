"""prewitt: the derivative along an axis, averaged along the others, as scipy.ndimage.prewitt."""

from __future__ import annotations

from typing import ClassVar

from gridstride.workers.operators.sobel import Sobel


class Prewitt(Sobel):
    """Derivative along an axis by Prewitt's kernel.

    Equal to scipy.ndimage.prewitt, of no unit: a ramp of 1 gives 2 x 3^(axes - 1). --magnitude: the square root of the
    sum of the squares of these derivatives along all filtered axes, in floating-point numbers until it is stored.
    Results below 0 are 0 in unsigned integers: give a dtype. NaN gives NaN there and in all neighbours.
    Example: gridstride filter prewitt cells.zarr edges.zarr --magnitude --dtype float32
    """

    formula: ClassVar[str] = "(-1, 0, 1) along the axis, (1, 1, 1) along each other; magnitude: sqrt(sum of squares)"
    source: ClassVar[str] = "scipy.ndimage.prewitt"
    smoothing: ClassVar[tuple[float, float, float]] = (1.0, 1.0, 1.0)
