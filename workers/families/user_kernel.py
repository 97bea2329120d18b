"""The user's own kernels: a function of a block with its halo, whose result is smaller by the halo on each side.

        |<- halo ->|<-------- result -------->|<- halo ->|
        |<---------------- block ---------------------->|         one filtered axis

The block has the filtered axes alone, in the array's order; others are gone over slice by slice. Beyond the array's
ends it holds what the boundary mode puts there, so that a function knows no edges.
"""

from __future__ import annotations

import inspect
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers import code as codes
from gridstride.workers.code import Code, CodeError
from gridstride.workers.families.local import Local, padded
from gridstride.workers.families.user_code import GIVEN
from gridstride.workers.operators.base import Grid, Window
from gridstride.workers.operators.boundary import Taps
from gridstride.workers.region import Region
from gridstride.workers.saving import MEASURED

if TYPE_CHECKING:
    from gridstride.workers.gpu import Machine

WORK_BYTES = 2**18  # of what a call takes whatever the size of its block
# Bytes of working memory for each element of a block where none was measured: four arrays of float64.
UNMEASURED = 32.0


@dataclass(frozen=True)
class UserKernel(Local):
    """A program of the user's, applied along `axes` (ascending), each with its `halo` and boundary mode.

    params: names and values; dtype: of what the program gives
    work:   bytes of working memory for each element of a block
    """

    code: Code
    axes: tuple[int, ...]
    halo: tuple[int, ...]
    modes: tuple[str, ...]
    dtype: np.dtype
    cval: float | int = 0
    params: tuple[tuple[str, Any], ...] = field(default=())
    work: float = field(default=UNMEASURED, metadata=MEASURED)

    def out_grid(self, grid: Grid) -> Grid:
        return grid.having(self.dtype)

    def reads(self, grid: Grid) -> tuple[Taps, ...]:
        taps = [Taps()] * grid.ndim
        for axis, halo, mode in zip(self.axes, self.halo, self.modes, strict=True):
            taps[axis] = Taps(2 * halo + 1, -halo, mode=mode)
        return tuple(taps)

    def describe(self) -> str:
        given = ", ".join(f"{name}={value}" for name, value in self.params)
        return f"{self.code.name}{f' with {given}' if given else ''}, halo {', '.join(map(str, self.halo))}"

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        """The padded block, one slice of it in a row, and what the program takes for a slice."""
        shape = self.padded_shape(want, grid)
        part = prod(shape[axis] for axis in self.axes)
        tables = 16 * sum(shape)
        return (prod(shape) + part) * grid.dtype.itemsize + int(part * self.work) + tables + WORK_BYTES

    def calls(self, window: Window) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
        """For each slice of a window: its place in block and result, and what the program may be told of it."""
        want, grid = window.want, window.grid
        others = [axis for axis in range(grid.ndim) if axis not in self.axes]
        told = {
            "origin": tuple(want.start[axis] for axis in self.axes),
            "shape": tuple(want.shape[axis] for axis in self.axes),
            "whole": tuple(grid.shape[axis] for axis in self.axes),
            "spacing": tuple(grid.axes[axis].spacing for axis in self.axes),
            "halo": self.halo,
            "inner": self.inner(tuple(want.shape[axis] for axis in self.axes)),
        }
        for number in np.ndindex(*(want.shape[axis] for axis in others)):
            place: list[Any] = [slice(None)] * grid.ndim
            where = {}
            for axis, i in zip(others, number, strict=True):
                place[axis] = i
                where[grid.axes[axis].name or axis] = want.start[axis] + i
            yield tuple(place), told | {"where": where}

    def inner(self, shape: tuple[int, ...]) -> tuple[slice, ...]:
        """Where in its block a result of a shape lies."""
        return tuple(slice(h, h + n) for h, n in zip(self.halo, shape, strict=True))

    def text(self, window: Window) -> str:
        """A window's want, for people."""
        return "block " + " x ".join(f"{a}:{b}" for a, b in window.want.spans)


@dataclass(frozen=True)
class PythonKernel(UserKernel):
    """A Python function of a NumPy block, or on a GPU of a CuPy block."""

    def cpu(self, window: Window, out: np.ndarray) -> None:
        block = padded(self, window, self.cval)
        for place, told in self.calls(window):
            out[place] = self.call(np.ascontiguousarray(block[place]), told, np, self.text(window))

    def on_gpu(self, window: Window, machine: Machine) -> Any:
        xp, dtype = machine.xp, window.grid.dtype
        shape = self.padded_shape(window.want, window.grid)
        block = padded(self, window, self.cval, into=xp.empty(shape, window.data.dtype))
        block = block.view(dtype) if dtype.kind == "b" else block.astype(dtype, copy=False)
        out = xp.empty(window.want.shape, self.dtype)
        for place, told in self.calls(window):
            out[place] = self.call(xp.ascontiguousarray(block[place]), told, xp, self.text(window))
        return out

    def call(self, block: Any, told: dict[str, Any], xp: Any, text: str) -> Any:
        """The function's result for a block. Raises CodeError for what it raises, or if the result is no such array."""
        result = called(self, block, told, text)
        wanted = told["shape"]
        if not isinstance(result, xp.ndarray) or isinstance(result, np.ma.MaskedArray):
            result = self.as_array(result, xp, text)
        if result.shape != wanted:
            raise CodeError(f"{self.code.name}: {shape_complaint(self, block.shape, wanted, result.shape)} ({text})")
        if result.dtype != self.dtype:
            raise CodeError(
                f"{self.code.name}: expected dtype {self.dtype}, as in the trial, got {result.dtype} ({text})"
            )
        return result

    def as_array(self, result: Any, xp: Any, text: str) -> Any:
        if np.isscalar(result):  # of a block without axes: np.mean gives a number
            return xp.asarray(result)
        kind = type(result)
        raise CodeError(
            f"{self.code.name}: expected a result that is an array of {xp.__name__}, got {kind.__module__}."
            f"{kind.__qualname__} ({text})"
        )


def called(kernel: UserKernel, block: Any, told: dict[str, Any], text: str) -> Any:
    """What the function returns. Raises CodeError for what it raises, but for lack of memory, which halves blocks."""
    function = codes.function_of(kernel.code)
    wanted = {name: told[name] for name in names_of(kernel.code)}
    try:
        return function(block, **dict(kernel.params), **wanted)
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        if 2 in (getattr(error, "status", 0), getattr(error, "result", 0)):  # CUDA's own error of no memory
            raise
        raise codes.located(error, kernel.code, text) from error


@lru_cache(64)
def names_of(code: Code) -> tuple[str, ...]:
    """What a function is told of its block: none if it does not say what it takes."""
    try:
        known = inspect.signature(codes.function_of(code)).parameters
    except (TypeError, ValueError):
        return ()
    return tuple(name for name in GIVEN if name in known)


def shape_complaint(kernel: UserKernel, block: tuple[int, ...], wanted: tuple[int, ...], got: tuple[int, ...]) -> str:
    halo = ", ".join(map(str, kernel.halo)) if len(set(kernel.halo)) > 1 else kernel.halo[0]
    text = f"expected a result of shape {wanted}, got {got}: the block of {block} less the halo of {halo} on each side"
    if got == block:
        text += f"; return result[{', '.join(f'{h}:-{h}' if h else ':' for h in kernel.halo)}], or result[inner]"
    return text


# --- a trial, before anything is written ---
TRIAL_ELEMENTS = 2**22  # of a block that a trial is made on at most
MEASURED_ELEMENTS = 2**15  # of a block that memory is measured on, or an eighth at least, if that takes no longer than
MEASURED_SECONDS = 0.5


def trial_shape(kernel: UserKernel, grid: Grid) -> tuple[int, ...]:
    """Of the result of a trial along the filtered axes: small, and different on each."""
    return tuple(min(max(grid.shape[axis], 1), 5 + i) for i, axis in enumerate(kernel.axes))


def trial_block(kernel: UserKernel, grid: Grid, shape: tuple[int, ...]) -> np.ndarray:
    """A block of random numbers with its halo: integers from 0 to 100, others from 0 to 1."""
    rng = np.random.default_rng(0)
    full = tuple(n + 2 * h for n, h in zip(shape, kernel.halo, strict=True))
    if grid.dtype.kind == "f":
        return rng.random(full).astype(grid.dtype)
    return rng.integers(0, 2 if grid.dtype.kind == "b" else 101, full).astype(grid.dtype)


def told_in_trial(kernel: UserKernel, grid: Grid, shape: tuple[int, ...]) -> dict[str, Any]:
    want = Region.of((0,) * grid.ndim, [1 if i not in kernel.axes else n for i, n in enumerate(grid.shape)])
    _, told = next(kernel.calls(Window(None, want, want, grid)))
    return told | {"shape": shape, "inner": kernel.inner(shape)}


def tried(kernel: PythonKernel, grid: Grid, known: bool) -> PythonKernel:
    """The kernel with the dtype that its function gives, and the memory it takes. Raises CodeError, also for a result
    that is of no dtype that results may have.

    known: whether the user said the dtype: a function that takes CuPy's arrays alone cannot be tried without a GPU
    """
    try:
        return _tried(kernel, grid)
    except CodeError as error:
        if "cupy" not in kernel.code.text or "numpy.ndarray" not in str(error):
            raise
        if known:
            return kernel
        raise CodeError(f"{error}: a function of CuPy's arrays alone needs --out-dtype") from None


def _tried(kernel: PythonKernel, grid: Grid) -> PythonKernel:
    shape = trial_shape(kernel, grid)
    block, told = trial_block(kernel, grid, shape), told_in_trial(kernel, grid, shape)
    text = f"in a trial on a block of {' x '.join(map(str, block.shape))} random numbers"
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = called(kernel, block.copy(), told, text)
        dtype = getattr(np.asarray(result) if np.isscalar(result) else result, "dtype", None)
        if isinstance(dtype, np.dtype) and (dtype.kind not in "buif" or dtype.itemsize > 8):
            raise CodeError(f"{kernel.code.name}: expected real numbers of up to 64 bits, got {dtype} ({text})")
        kernel = kernel.but(dtype=dtype or kernel.dtype)
        kernel.call(block.copy(), told, np, text)
        return kernel.but(work=_measured(kernel, grid, shape))


def _measured(kernel: PythonKernel, grid: Grid, shape: tuple[int, ...]) -> float:
    """Bytes that the function takes at most for each element of its block, and a quarter more.

    Blocks grow from the trial's until they are large beside what a call takes for itself; the time that counts is the
    thread's own, whatever else the machine does.
    """
    block, seconds = trial_block(kernel, grid, shape), 0.0
    try:
        while block.size < MEASURED_ELEMENTS:
            larger = tuple(2 * n for n in shape)
            size = prod(n + 2 * h for n, h in zip(larger, kernel.halo, strict=True))
            if seconds * size / block.size > MEASURED_SECONDS or size > TRIAL_ELEMENTS:
                break
            shape, block, begin = larger, trial_block(kernel, grid, larger), time.thread_time()
            kernel.call(block.copy(), told_in_trial(kernel, grid, shape), np, "in a trial")
            seconds = time.thread_time() - begin
        if block.size < MEASURED_ELEMENTS / 8:
            return UNMEASURED
        told = told_in_trial(kernel, grid, shape)
        taken = min(_peak(lambda: kernel.call(block, told, np, "in a trial")) for _ in range(2))  # others may add to it
    except (CodeError, MemoryError):  # it does not like the size: blocks will show
        return UNMEASURED
    return max(float(kernel.dtype.itemsize + grid.dtype.itemsize), 1.25 * taken / block.size)


def _peak(call: Callable[[], Any]) -> int:
    """Bytes that a call takes at a time at most."""
    running = tracemalloc.is_tracing()
    if not running:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        if not running:
            tracemalloc.stop()
