"""Launches of CUDA kernels, described without CuPy: tests run the same launches on the CPU (tests/cuda_host)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

SHARED_BYTES = 48 * 1024  # that every device gives a block without a special request
MAX_GRID = 2**31 - 1
# Types of elements that kernels read; bool is read as u8, float16 as f32.
INPUTS = ("u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f32", "f64")


@dataclass(frozen=True)
class Ref:
    """An address in device memory: a buffer's name and an offset in bytes."""

    buffer: str
    offset: int = 0


@dataclass(frozen=True)
class Source:
    """A program that is no file of cuda/."""

    name: str
    text: str


@dataclass(frozen=True)
class Launch:
    """One launch: grid blocks (1-D) of `block` threads (x, y), with `shared` bytes of dynamic shared memory.

    file: of cuda/; args: `Ref` for pointers, NumPy scalars for the rest, in the kernel's order
    """

    file: str | Source
    expression: str
    grid: int
    block: tuple[int, int]
    shared: int
    args: tuple[Any, ...]


@dataclass
class Launches:
    """Launches in order, and the memory they work in.

    The buffer "data" is the block's data (contiguous), "out" the result, "constants" tables, weights and geometry that
    are uploaded with the launches; scratch: sizes of the other buffers in bytes.
    """

    out_shape: tuple[int, ...]
    out_dtype: np.dtype
    launches: list[Launch] = field(default_factory=list)
    scratch: dict[str, int] = field(default_factory=dict)
    constants: bytearray = field(default_factory=bytearray)

    def constant(self, array: np.ndarray) -> Ref:
        """Add an array to the constants, 16-byte aligned."""
        self.constants.extend(bytes(-len(self.constants) % 16))
        ref = Ref("constants", len(self.constants))
        self.constants.extend(np.ascontiguousarray(array).tobytes())
        return ref

    def reserve(self, name: str, nbytes: int) -> Ref:
        """A scratch buffer of at least `nbytes` bytes."""
        self.scratch[name] = max(self.scratch.get(name, 0), nbytes)
        return Ref(name)

    def launch(
        self, file: str | Source, expression: str, tiles: int, block: tuple[int, int], shared: int, args: Iterable[Any]
    ) -> None:
        """Add a launch. Kernels loop over tiles with the grid's stride, so any number of blocks of threads is right."""
        self.launches.append(Launch(file, expression, min(tiles, MAX_GRID), block, shared, tuple(args)))


def type_name(dtype: np.dtype) -> str:
    """The kernels' name of a dtype: u8 ... i64, f32, f64, bool."""
    dtype = np.dtype(dtype)
    return "bool" if dtype.kind == "b" else f"{dtype.kind}{8 * dtype.itemsize}"


def instantiation(kernel: str, types: Any) -> str:
    return f"{kernel}<{', '.join(type_name(dtype) for dtype in types)}>"


def strides(shape: tuple[int, ...]) -> list[int]:
    """Strides of a contiguous array, in elements."""
    return [prod(shape[axis + 1 :]) for axis in range(len(shape))]


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def power_of_two(n: int) -> int:
    """The first power of two that is not below n."""
    return 1 << (n - 1).bit_length()


# Axes as the kernels for arrays of any number of axes have them.
AXES = 6


def six(values: Sequence[int], missing: int) -> tuple[int, ...]:
    """Of six axes, the leading ones of which may be missing."""
    return (*(missing,) * (AXES - len(values)), *values)
