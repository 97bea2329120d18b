"""apply: the user's own kernel, a Python function of a block or a CUDA kernel."""

from __future__ import annotations

from math import prod
from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field

from gridstride.workers import code as codes
from gridstride.workers.code import Code, CodeError
from gridstride.workers.families.elementwise import stored_as
from gridstride.workers.families.iterated import iterated
from gridstride.workers.families.rank import constant
from gridstride.workers.families.user_code import check_parameters, code_of, pairs
from gridstride.workers.families.user_cuda import CudaKernel, fitted
from gridstride.workers.families.user_kernel import TRIAL_ELEMENTS, PythonKernel, UserKernel, trial_shape, tried
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import DType, File, Neighbourhood, per_axis
from gridstride.workers.operators.kinds import Counts, Pairs, Size

MOST_ELEMENTS = 2**31  # of the smallest block with its halo
Program = Annotated[Code, BeforeValidator(code_of), File()]
Parameters = Annotated[dict[str, Any], BeforeValidator(pairs), Pairs()]


class Apply(Neighbourhood):
    """Your own kernel: a Python function of a block, or a CUDA kernel.

    A function gets a NumPy block (CuPy's on a GPU) with its halo and returns an array that is smaller by the halo on
    each side. A CUDA kernel runs on CPUs too, where there is a C++ compiler: docs/own-kernels.md. Example:
    gridstride apply contrast.py:local_contrast cells.zarr contrast.zarr --halo 3 --param floor=500
    """

    formula = "out = FUNCTION(block, PARAMETERS), where block is the elements within the halo"
    source = "the file that you give"

    file: Program = Field(description="FILE.py:FUNCTION or FILE.cu; in Python a function too.")
    halo: Counts = Field(description="Elements beyond a block's edge that it needs, one or one per filtered axis.")
    param: Parameters = Field(
        {}, validation_alias=AliasChoices("param", "params"), description="A parameter: NAME=VALUE, once for each."
    )
    iterations: Size = Field(1, description="How often it is applied, each time to the result of the time before.")
    dtype: DType = Field(
        None,
        validation_alias=AliasChoices("dtype", "out_dtype"),
        description="Of the result (default: what the function gives).",
    )

    def resolved(self, grid: Grid) -> dict[str, Any]:
        return {"code": self.file.digest[:16], "axes": self.filtered(grid), "dtype": self.dtype}

    def bind(self, grid: Grid) -> Operator:
        codes.allow([self.file.call])  # the user has named it
        try:
            return iterated(self.once, grid, self.iterations)
        except CodeError as error:
            raise ValueError(str(error)) from None

    def once(self, grid: Grid) -> Operator:
        kernel = self.kernel(grid)
        return stored_as(kernel, grid, kernel.dtype if self.dtype is None else self.out_dtype(grid))

    def kernel(self, grid: Grid) -> UserKernel:
        """The program on a grid: a CUDA kernel compiled, a function tried."""
        axes = self.filtered(grid)
        halo, modes = per_axis(self.halo, axes, "halo"), self.modes(axes)
        order = sorted(range(len(axes)), key=axes.__getitem__)
        cval = constant(self.outside(grid), grid.dtype) if "constant" in modes else 0
        kind: type[UserKernel] = CudaKernel if self.file.is_cuda else PythonKernel
        kernel = kind(
            code=self.file,
            axes=tuple(axes[i] for i in order),
            halo=tuple(halo[i] for i in order),
            modes=tuple(modes[i] for i in order),
            dtype=self.out_dtype(grid),
            cval=cval,
        )
        smallest = prod(2 * h + n for h, n in zip(kernel.halo, trial_shape(kernel, grid), strict=True))
        if smallest > MOST_ELEMENTS:
            raise ValueError(f"halo is {self.halo}: the smallest block has {smallest:.3g} elements with it; give less")
        if isinstance(kernel, CudaKernel):
            return fitted(kernel, grid, self.param, None if self.dtype is None else self.out_dtype(grid))
        assert isinstance(kernel, PythonKernel)
        kernel = kernel.but(params=check_parameters(self.file, self.param))
        if smallest <= TRIAL_ELEMENTS:
            return tried(kernel, grid, self.dtype is not None)
        if self.dtype is None:
            raise ValueError(
                f"halo is {self.halo}: a trial, which finds the dtype of the result, takes a block of {smallest:.3g} "
                "elements; give --out-dtype"
            )
        return kernel
