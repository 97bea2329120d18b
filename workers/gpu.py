"""Operators on a GPU: windows hold CuPy arrays, the kernels are in cuda/.

What an operator needs of the device (array functions, FFT, and running launches) is a `Machine`; launches are described
from shapes and NumPy values alone, so that tests run the same launches on the CPU.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gridstride.workers import kernels
from gridstride.workers.operators.base import Operator, Window

# Elements along an axis that the kernels' 32-bit tables can name.
LONGEST_AXIS = 2**31 - 2**10


@dataclass(frozen=True)
class Machine:
    """Where operators run. xp: CuPy or NumPy; fft: a module like scipy.fft; run: as `kernels.run`."""

    xp: Any
    fft: Any
    run: Any


def this_gpu() -> Machine:
    import cupy
    import cupyx.scipy.fft

    return Machine(cupy, cupyx.scipy.fft, kernels.run)


def compute(operator: Operator, window: Window, machine: Machine) -> Any:
    """The operator's result for a window (or its report), as an array on the device."""
    window = _readable(window.part(operator.needed(window.want, window.grid)), machine.xp)
    result = operator.on_gpu(window, machine)
    dtype = operator.out_grid(window.grid).dtype
    return result.astype(dtype) if operator.writes() and result.dtype != dtype else result


def _readable(window: Window, xp: Any) -> Window:
    """With contiguous data of types that the kernels read: float16 as float32, bool as uint8."""
    arrays = []
    for data in window.arrays:
        if data.dtype == np.float16:
            data = data.astype(np.float32)
        if max(data.shape) >= LONGEST_AXIS:
            raise ValueError(f"a block of shape {data.shape} is too long for the kernels' 32-bit tables")
        data = xp.ascontiguousarray(data)
        arrays.append(data.view(np.uint8) if data.dtype == np.bool_ else data)
    return replace(window, data=arrays[0], others=tuple(arrays[1:]))
