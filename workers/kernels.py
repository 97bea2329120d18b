"""The CUDA kernels: their sources, the instantiations there can be, how to compile and how to launch them.

A launch is described without CuPy (`Plan`), so that tests run the same launches on the CPU (tests/cuda_host).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

SOURCES = Path(__file__).resolve().parent.parent / "cuda"

SHARED_BYTES = 48 * 1024  # what every device gives a block without being asked for more
MAX_GRID = 2**31 - 1

# What the kernels are compiled for in tests: a GPU of each generation, Turing to Blackwell. (CuPy asks the GPU.)
ARCHITECTURES = ("sm_75", "sm_80", "sm_90", "sm_100", "sm_120")

INPUTS = ("u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f32", "f64")
OUTPUTS = (*INPUTS, "bool")
ACCUMULATORS = ("f32", "f64")

# What cuda/march.cu is compiled for: types it reads (it writes float32 or the same) and taps along z, y and x.
MARCH_TYPES = ("u8", "u16", "i16", "f32")
FUSED_TAPS = range(3, 18, 2)
FUSED_SHAPES = frozenset((m, n, n) for m in (1, *FUSED_TAPS) for n in FUSED_TAPS) | {(n, n, 1) for n in FUSED_TAPS}
DENSE_SHAPES = frozenset({(n, n, n) for n in (3, 5, 7)} | {(1, n, n) for n in range(3, 16, 2)})

# Of operators, kernels whose sums in float32 the compiler may make of fused multiply-adds.
FUSES = ("pass_columns", "pass_rows", "pass_direct", "cast", "halves", "correlate", "fused", "dense")


@dataclass(frozen=True)
class Ref:
    """A place in device memory: a buffer's name and an offset in bytes."""

    buffer: str
    offset: int = 0


@dataclass(frozen=True)
class Launch:
    """One launch: grid blocks (1-D) of `block` threads (x, y), with `shared` bytes of dynamic shared memory.

    args: `Ref` for pointers, NumPy scalars for the rest, in the kernel's order
    """

    file: str
    expression: str
    grid: int
    block: tuple[int, int]
    shared: int
    args: tuple[Any, ...]


@dataclass
class Plan:
    """Launches in order, and the memory they work in.

    The buffer "data" is the block's data (contiguous), "out" the result, "constants" what is uploaded with the
    launches (tables, weights and geometry); `scratch` says the others' sizes in bytes.
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
        """A scratch buffer of at least so many bytes."""
        self.scratch[name] = max(self.scratch.get(name, 0), nbytes)
        return Ref(name)

    def launch(
        self, file: str, expression: str, tiles: int, block: tuple[int, int], shared: int, args: Iterable[Any]
    ) -> None:
        """Add a launch. Kernels loop over tiles with the grid's stride, so any number of tiles is right."""
        self.launches.append(Launch(file, expression, min(tiles, MAX_GRID), block, shared, tuple(args)))


def type_name(dtype: np.dtype) -> str:
    """The kernels' name of a dtype: u8 ... i64, f32, f64, bool."""
    dtype = np.dtype(dtype)
    return "bool" if dtype.kind == "b" else f"{dtype.kind}{8 * dtype.itemsize}"


def instantiation(kernel: str, types: Any) -> str:
    return f"{kernel}<{', '.join(type_name(dtype) for dtype in types)}>"


def strides(shape: tuple[int, ...]) -> list[int]:
    """Of a contiguous array, in elements."""
    return [prod(shape[axis + 1 :]) for axis in range(len(shape))]


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def power_of_two(n: int) -> int:
    """The first power of two that is not below n."""
    return 1 << (n - 1).bit_length()


def source(file: str) -> str:
    """The text of a kernel file with our own includes put in place."""
    text = (SOURCES / file).read_text()
    includes = re.compile(r'^#include "([\w.]+)"$', re.MULTILINE)

    def put_in(found: re.Match[str]) -> str:
        after = text.count("\n", 0, found.end()) + 2
        return f'#line 1 "{found[1]}"\n{source(found[1])}#line {after} "{file}"'

    return includes.sub(put_in, text)


def options(expression: str) -> tuple[str, ...]:
    """Compiler options. Sums in float64 may not use fused multiply-adds: they are to have scipy's bits. Nor may what
    is not in `FUSES` (a model's steps) but where the source says so: a cell's bits are not to depend on the compiler.

    -ftz is CuPy's: it adds it to whatever it compiles, and a later -ftz=false it overrules. It stands here so that what
    is compiled without CuPy is what a GPU runs. (float32 numbers below 1.2e-38 are 0 with it.)
    """
    name, types = expression.split("<")
    exact = name not in FUSES or types.split(",")[1:2] == [" f64"]
    return ("-std=c++17", "-ftz=true", *(["-fmad=false"] if exact else []))


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that an operator can ask for; `models.registry.kernels` has those of the models.

    A pass reads the block's type and leaves sums, or reads sums and writes any type; correlate writes sums or
    the block's own type. All else goes through `cast`: the full product of types would be many times as many.
    """
    found = []
    for acc in ACCUMULATORS:
        types = [(i, acc) for i in INPUTS] + [(acc, o) for o in OUTPUTS if o != acc]
        for name in ("pass_columns", "pass_rows", "pass_direct"):
            found += [("separable.cu", f"{name}<{i}, {acc}, {o}>") for i, o in types]
        found += [("separable.cu", f"cast<{acc}, {o}, {o}>") for o in OUTPUTS if o != acc]
        found += [("separable.cu", f"cast<{acc}, {o}, {acc}>") for o in OUTPUTS if o != acc]
        found += [("separable.cu", f"halves<{acc}>")]
        found += [("correlate.cu", f"correlate<{i}, {acc}, {o}>") for i in INPUTS for o in dict.fromkeys((acc, i))]
    for i, o in ((read, written) for read in MARCH_TYPES for written in dict.fromkeys(("f32", read))):
        for z, y, x in sorted(FUSED_SHAPES):
            found += [("march.cu", f"fused<{i}, {o}, {z}, {y}, {x}>")]
        for z, y, x in sorted(DENSE_SHAPES):
            found += [("march.cu", f"dense<{i}, {o}, {z}, {y}, {x}, false>")]
            if i == "f32":  # a tap of zero matters where there are infinities
                found += [("march.cu", f"dense<{i}, {o}, {z}, {y}, {x}, true>")]
    return found


def compile_to_cubin(file: str, expressions: Iterable[str], arch: str) -> tuple[bytes, str]:
    """Compile for an architecture ("sm_90") without CuPy or a device: the binary, and what the compiler said.

    The expressions must agree in `options`. Raises RuntimeError with the compiler's log on error or warning.
    """
    cubin, log = _compile(file, list(expressions), arch)
    if log:
        raise RuntimeError(f"{file} for {arch}: a warning\n{log}")
    return cubin, log


def resource_usage(file: str, expression: str, arch: str) -> dict[str, int]:
    """A thread's registers and bytes of spill (stored and loaded), and a block's static shared memory in bytes.

    (Dynamic shared memory is the launch's.) The numbers are the assembler's own, from its report.
    Raises RuntimeError on a warning, as on an error.
    """
    _, log = _compile(file, [expression], arch, "--ptxas-options=-v")
    if "warning" in log:
        raise RuntimeError(f"{expression} for {arch}: a warning\n{log}")

    def number(pattern: str) -> int:
        found = re.findall(pattern, log)
        if len(found) > 1 or "Used " not in log:
            raise RuntimeError(f"{expression}: the assembler's report is not understood:\n{log}")
        return int(found[0]) if found else 0

    return {
        "registers": number(r"Used (\d+) registers"),
        "spill_stores_bytes": number(r"(\d+) bytes spill stores"),
        "spill_loads_bytes": number(r"(\d+) bytes spill loads"),
        "shared_bytes": number(r"(\d+) bytes smem"),
    }


def _compile(file: str, expressions: list[str], arch: str, *more: str) -> tuple[bytes, str]:
    """The binary, and the compiler's log. Raises RuntimeError with the log on an error."""
    from cuda.bindings import nvrtc

    flags = {options(expression) for expression in expressions}
    if len(flags) != 1:
        raise ValueError(f"expressions need different compiler options: {sorted(flags)}")
    error, program = nvrtc.nvrtcCreateProgram(source(file).encode(), file.encode(), 0, [], [])
    for expression in expressions:
        nvrtc.nvrtcAddNameExpression(program, expression.encode())
    arguments = [flag.encode() for flag in (f"--gpu-architecture={arch}", *flags.pop(), *more)]
    (error,) = nvrtc.nvrtcCompileProgram(program, len(arguments), arguments)
    size = nvrtc.nvrtcGetProgramLogSize(program)[1]
    text = bytearray(size)
    nvrtc.nvrtcGetProgramLog(program, text)
    log = bytes(text).rstrip(b"\0 \n").decode()
    cubin = b""
    if error == nvrtc.nvrtcResult.NVRTC_SUCCESS:
        binary = bytearray(nvrtc.nvrtcGetCUBINSize(program)[1])
        nvrtc.nvrtcGetCUBIN(program, binary)
        cubin = bytes(binary)
    nvrtc.nvrtcDestroyProgram(program)
    if not cubin:
        raise RuntimeError(f"{file} for {arch}: {error.name}\n{log}")
    return cubin, log


@cache
def kernel(file: str, expression: str, device: int) -> Any:
    """The kernel, compiled once a process (CuPy keeps the binary on disk) and loaded on the current device."""
    import cupy

    module = cupy.RawModule(code=source(file), options=options(expression), name_expressions=(expression,))
    return module.get_function(expression)


def run(plan: Plan, data: Any, more: Mapping[str, Any] | None = None) -> Any:
    """Run a plan on the current device and stream, and return the result without waiting for it.

    data: contiguous CuPy array; more: others that launches refer to, by name. Scratch memory goes back to CuPy's pool
    in the order of the stream.
    """
    import cupy

    out = cupy.empty(plan.out_shape, plan.out_dtype)
    buffers = {name: cupy.empty(nbytes, cupy.uint8) for name, nbytes in plan.scratch.items()}
    buffers |= {"data": data, "out": out, **(more or {})}
    if plan.constants:
        buffers["constants"] = cupy.asarray(np.frombuffer(plan.constants, np.uint8))
    device = cupy.cuda.runtime.getDevice()
    for launch in plan.launches:
        args = [buffers[a.buffer].data.ptr + a.offset if isinstance(a, Ref) else a for a in launch.args]
        function = kernel(launch.file, launch.expression, device)
        function((launch.grid,), launch.block, tuple(args), shared_mem=launch.shared)
    return out
