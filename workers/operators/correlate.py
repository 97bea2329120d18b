"""correlate: correlation with any kernel, as scipy.ndimage.correlate."""

from __future__ import annotations

from typing import ClassVar

from gridstride.workers.operators.convolve import Convolve


class Correlate(Convolve):
    """Correlation with a kernel: convolution that does not flip it.

    Equal to scipy.ndimage.correlate. NaN gives NaN where its weight is not 0; of a kernel that is made in passes along
    the axes, as far as it reaches. Example: gridstride filter correlate cells.zarr edges.zarr --kernel sobel-x
    """

    flip: ClassVar[bool] = False
    formula: ClassVar[str] = "out[i] = sum over k of kernel[k] * in[i - size // 2 - origin + k]"
    source: ClassVar[str] = "scipy.ndimage.correlate"
