"""The user's own CUDA kernels: on a GPU as they are, on a CPU compiled by g++ or clang++ (cuda/host.h).

    extern "C" __global__
    void NAME(const T* block, U* result, const long long* origin, const long long* shape, float gain)

one thread for each element of the result and more; or, of one element, for which the loop is made here:

    __device__ U NAME(At at, float gain)

Parameters are known by their names: `block`, `result` and those of POINTERS; all others are the user's own.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers import code as codes
from gridstride.workers.code import CodeError
from gridstride.workers.families.local import padded
from gridstride.workers.families.user_code import check_arguments
from gridstride.workers.families.user_kernel import UserKernel
from gridstride.workers.families.user_program import (
    POINTERS,
    TYPES,
    Signature,
    check_on_gpu,
    compiled,
    compiler,
    program,
)
from gridstride.workers.launches import Launches, Ref, Source, ceil_div
from gridstride.workers.operators.base import Grid, Window
from gridstride.workers.region import Region

if TYPE_CHECKING:
    from gridstride.workers.gpu import Machine

THREADS = 256


@dataclass(frozen=True)
class CudaKernel(UserKernel):
    """A CUDA kernel. takes: the dtype of its block, which the array's is converted to; params: of its C types

    filler: the byte that results are full of before (on the CPU), to see what is never written
    """

    takes: np.dtype = field(default=np.dtype(np.float32))
    filler: int | None = None

    @property
    def signature(self) -> Signature:
        return Signature.of(self.code)

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        return super().scratch(want, grid.having(self.takes), device)

    def cpu(self, window: Window, out: np.ndarray) -> None:
        codes.check_allowed(self.code)
        run = compiled(self.code, self.takes, self.dtype, self.halo)
        block = padded(self, window, self.cval, self.takes)
        for place, told in self.calls(window):
            part = np.ascontiguousarray(block[place])
            into = out[place]
            result = into if into.flags.c_contiguous else np.empty(told["shape"], self.dtype)
            if self.filler is not None:
                result.view(np.uint8)[...] = self.filler
            try:
                call(run, self.arguments(told), part, result)
            except CodeError as error:
                raise CodeError(f"{self.code.name}: {error} ({self.text(window)})") from None
            if result is not into:
                out[place] = result

    def arguments(self, told: Mapping[str, Any]) -> list[np.ndarray | str]:
        """What the kernel takes, in its order: arrays, scalars as arrays without axes, and names of buffers."""
        given = dict(self.params)
        found: list[np.ndarray | str] = []
        for name, kind in self.signature.places:
            if name in ("block", "result"):
                found.append(name)
            elif name in POINTERS:
                found.append(np.array(told[name], POINTERS[name]))
            else:
                found.append(np.array(given[name], self.signature.dtype_of(kind, self.takes, self.dtype)))
        return found

    def on_gpu(self, window: Window, machine: Machine) -> Any:
        codes.check_allowed(self.code)
        xp = machine.xp
        shape = self.padded_shape(window.want, window.grid)
        block = padded(self, window, self.cval, into=xp.empty(shape, window.data.dtype)).astype(self.takes, copy=False)
        out = xp.empty(window.want.shape, self.dtype)
        for place, told in self.calls(window):
            try:
                out[place] = machine.run(self.launches(told), xp.ascontiguousarray(block[place]))
            except Exception as error:
                if type(error).__name__ != "CompileException":
                    raise
                raise CodeError(codes.compilers_complaint(str(error), self.code)) from error
        return out

    def launches(self, told: Mapping[str, Any]) -> Launches:
        """The launch for one slice of a block, which is the buffer "data"."""
        shape = told["shape"]
        found = Launches(shape, self.dtype)
        source = Source(self.code.file, program(self.code, self.takes, self.dtype, self.halo))
        args: list[Any] = []
        for value in self.arguments(told):
            if isinstance(value, str):
                args.append(Ref("data" if value == "block" else "out"))
            else:
                args.append(found.constant(value) if value.ndim else value[()])
        count = int(np.prod(shape))
        if count:
            found.launch(source, self.signature.kernel, ceil_div(count, THREADS), (THREADS, 1), 0, args)
        return found


def call(run: Any, arguments: list[np.ndarray | str], block: np.ndarray, result: np.ndarray) -> None:
    """Call a program compiled for the CPU: it takes an address for each argument, the result's shape first."""
    arrays = [{"block": block, "result": result}[a] if isinstance(a, str) else a for a in arguments]
    arrays.insert(0, np.array(result.shape, np.int64))
    if not result.size:
        return
    said = run((ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays)))
    if said:
        raise CodeError(said.decode())


def fitted(kernel: CudaKernel, grid: Grid, given: Mapping[str, Any], wanted: np.dtype | None) -> CudaKernel:
    """The kernel for a grid's dtype, compiled to see that it can be. wanted: dtype of the result, or None

    Raises CodeError, and ValueError for parameters, and for an array that the kernel does not take.
    """
    signature, code = kernel.signature, kernel.code
    element = np.dtype(np.float32) if grid.dtype == np.float16 else grid.dtype
    takes, gives = signature.type_of("block"), signature.type_of("result")
    kernel = kernel.but(takes=element if takes in "TU" else np.dtype(TYPES[takes]))
    if not np.can_cast(grid.dtype, kernel.takes):
        raise CodeError(
            f"{code.file}:{signature.line}: {code.function} takes {takes} ({kernel.takes}), and the array is of "
            f"{grid.dtype}: write T, the array's type, or convert the array first (gridstride filter cast)"
        )
    result = wanted if wanted is not None and wanted != np.float16 else element
    kernel = kernel.but(dtype=signature.dtype_of(gives, kernel.takes, result))
    kernel = kernel.but(params=check_arguments(code, given, kernel.takes, kernel.dtype))
    if compiler() is not None:
        compiled(code, kernel.takes, kernel.dtype, kernel.halo)
    if on_a_gpu():
        check_on_gpu(code, kernel.takes, kernel.dtype, kernel.halo)
    elif compiler() is None:
        raise CodeError(f"{code.file}: there is no GPU here, and no C++ compiler to run it on the CPU: install g++")
    return kernel.but(work=float(kernel.dtype.itemsize))


def on_a_gpu() -> bool:
    """Whether this machine has CUDA's driver."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True
