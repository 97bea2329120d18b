"""The CUDA kernels: their sources, compilation and launch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from gridstride.workers.launches import Launches, Ref, Source

SOURCES = Path(__file__).resolve().parent.parent / "cuda"

# Architectures that tests compile for: a GPU of each generation, Turing to Blackwell. (CuPy asks the GPU.)
ARCHITECTURES = ("sm_75", "sm_80", "sm_90", "sm_100", "sm_120")

# Kernels of operators in which the compiler may fuse multiply-adds of float32. All others, such as a model's, are
# compiled without.
FUSES = (
    "cast", "correlate", "count_values", "dense", "elementwise", "extreme", "extremes", "fused",
    "halves", "mean", "pad", "pass_columns", "pass_direct", "pass_rows", "rank_of",
    "zero",
)  # fmt: skip


def source(file: str | Source) -> str:
    """The text of a kernel file with our own includes inserted."""
    if isinstance(file, Source):
        return file.text
    text = (SOURCES / file).read_text()
    includes = re.compile(r'^#include "([\w.]+)"$', re.MULTILINE)

    def put_in(found: re.Match[str]) -> str:
        after = text.count("\n", 0, found.end()) + 2
        return f'#line 1 "{found[1]}"\n{source(found[1])}#line {after} "{file}"'

    return includes.sub(put_in, text)


def options(expression: str) -> tuple[str, ...]:
    """Compiler options. Sums in float64 must not use fused multiply-adds, to have scipy's bits. Nor must kernels
    outside `FUSES` (a model's), except where the source says so: a cell's bits must not depend on the compiler.

    CuPy adds -ftz=true to all it compiles, and overrules a later -ftz=false. It is here so that kernels compiled
    without CuPy are those that a GPU runs. (float32 numbers below 1.2e-38 are 0 with it.)
    """
    name, _, types = expression.partition("<")
    exact = name not in FUSES or types.split(",")[1:2] == [" f64"]
    return ("-std=c++17", "-ftz=true", *(["-fmad=false"] if exact else []))


def compile_to_cubin(file: str, expressions: Iterable[str], arch: str) -> tuple[bytes, str]:
    """Compile for an architecture ("sm_90") without CuPy or a device: the binary and the compiler's log.

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

    if log.count("Used ") != 1:
        raise RuntimeError(f"{expression}: unexpected report of the assembler:\n{log}")

    def number(pattern: str) -> int:
        """Of the kernel and the functions that it calls."""
        return sum(map(int, re.findall(pattern, log)))

    return {
        "registers": number(r"Used (\d+) registers"),
        "spill_stores_bytes": number(r"(\d+) bytes spill stores"),
        "spill_loads_bytes": number(r"(\d+) bytes spill loads"),
        "shared_bytes": number(r"(\d+) bytes smem"),
    }


class CompileError(RuntimeError):
    """A compiler's log with an error in it."""


def check(program: Source, expression: str, arch: str = "sm_80") -> None:
    """Compile a program without a device. Raises CompileError, and ImportError or another where NVRTC is not there."""
    _compile(program, [expression], arch)


def _compile(file: str | Source, expressions: list[str], arch: str, *more: str) -> tuple[bytes, str]:
    """The binary, and the compiler's log. Raises CompileError with the log on an error."""
    from cuda.bindings import nvrtc

    flags = {options(expression) for expression in expressions}
    if len(flags) != 1:
        raise ValueError(f"expressions need different compiler options: {sorted(flags)}")
    name = file.name if isinstance(file, Source) else file
    error, program = nvrtc.nvrtcCreateProgram(source(file).encode(), name.encode(), 0, [], [])
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
        raise CompileError(f"{name} for {arch}: {error.name}\n{log}")
    return cubin, log


@cache
def kernel(file: str | Source, expression: str, device: int) -> Any:
    """The kernel, compiled once a process (CuPy keeps the binary on disk) and loaded on the current device."""
    import cupy

    module = cupy.RawModule(code=source(file), options=options(expression), name_expressions=(expression,))
    return module.get_function(expression)


def run(plan: Launches, data: Any, more: Mapping[str, Any] | None = None) -> Any:
    """Run a plan on the current device and stream, and return the result without waiting for it.

    data: contiguous CuPy array; more: other buffers of the launches, by name. Scratch memory returns to CuPy's pool in
    the order of the stream.
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
