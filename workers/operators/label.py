"""label: the objects of an array, numbered as scipy.ndimage.label numbers them."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import DType
from gridstride.workers.operators.objects import Objects, most_objects


class Label(Objects):
    """Number the objects: elements that are not 0 and connected.

    Equal to scipy.ndimage.label: numbers from 1 on, in the order of the objects' first elements, wherever blocks are
    cut. NaN is not 0. Axes that are not filtered connect nothing, and no two objects of the array have one number.
    Objects that touch are one. A watershed, which would divide them, is left out: its floods depend on the order of all
    elements, so that blocks would change the result.
    Example: gridstride filter label mask.zarr labels.zarr --connectivity 3
    """

    formula: ClassVar[str] = "out[i] = the number of the object that i is in; 0 where in[i] = 0"
    source: ClassVar[str] = "scipy.ndimage.label"

    dtype: DType = Field(
        None, description="Of the result, an integer (default: uint32, or uint64 if there may be 2^32 objects or more)."
    )

    def bind(self, grid: Grid) -> Operator:
        return self.labels(grid).but(dtype=self.out_dtype(grid))

    def out_dtype(self, grid: Grid) -> np.dtype:
        if self.dtype is None:
            most = most_objects(grid, tuple(self.filtered(grid)))
            return np.dtype(np.uint32 if most < 2**32 else np.uint64)
        dtype = np.dtype(self.dtype)
        if dtype.kind not in "iu":
            raise ValueError(f"dtype is {dtype}: expected an integer, such as uint32, which objects are numbered in")
        return dtype
