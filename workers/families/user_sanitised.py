"""A user's CUDA kernel run on the CPU under the address and undefined-behaviour sanitizers, in a process of its own.

Its arrays are no longer than they must be, and threads that wait for each other are resumed in a random order.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
from collections.abc import Sequence

import numpy as np

from gridstride.workers.code import Code, CodeError
from gridstride.workers.families.local import padded
from gridstride.workers.families.user_cuda import CudaKernel
from gridstride.workers.families.user_program import build, host_program
from gridstride.workers.operators.base import Window

FLAGS = ("-std=c++20", "-O1", "-g", "-fno-omit-frame-pointer", "-ffp-contract=off", "-w")
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-sanitize=float-divide-by-zero")
SECONDS = 300
MAIN = """
#include <cstdio>
#include <cstdlib>
#include <vector>
int main()
{
    std::vector<void*> arrays;
    long long count = 0, size = 0, result = 0;
    if (!std::fread(&count, 8, 1, stdin) || !std::fread(&result, 8, 1, stdin)) return 9;
    for (long long i = 0; i < count; ++i) {
        if (!std::fread(&size, 8, 1, stdin)) return 9;
        arrays.push_back(std::malloc(size ? size : 1));
        if (size && std::fread(arrays.back(), size, 1, stdin) != 1) return 9;
    }
    const char* said = gridstride_run(arrays.data());
    if (said) std::fprintf(stderr, "cuda_host: %s\\n", said);
    return said != nullptr;
}
"""


def sanitised(kernel: CudaKernel, window: Window) -> None:
    """Run a kernel for each slice of a window. Raises CodeError with what a sanitizer found, at the user's own line."""
    text = host_program(kernel.code, kernel.takes, kernel.dtype, kernel.halo) + MAIN
    program = build(kernel.code, text, (*FLAGS, *SANITIZE), ".check")
    block = padded(kernel, window, kernel.cval, kernel.takes)
    for place, told in kernel.calls(window):
        part = np.ascontiguousarray(block[place])
        result = np.full(told["shape"], 0xCD, np.uint8).repeat(kernel.dtype.itemsize, -1)
        arguments = kernel.arguments(told)
        arrays = [np.array(told["shape"], np.int64)]
        arrays += [{"block": part, "result": result}[a] if isinstance(a, str) else a for a in arguments]
        request = struct.pack("<2q", len(arrays), 1 + arguments.index("result"))
        request += b"".join(struct.pack("<q", array.nbytes) + array.tobytes() for array in arrays)
        try:
            done = subprocess.run(
                [str(program)],
                input=request,
                capture_output=True,
                timeout=SECONDS,
                env=os.environ | {"ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0"},
            )
        except subprocess.TimeoutExpired:
            raise CodeError(f"{kernel.code.name}: it did not end within {SECONDS} s") from None
        if done.returncode:
            sizes = [(part.nbytes, "block"), (result.nbytes, "result")]
            raise CodeError(complaint(done.stderr.decode(errors="replace"), kernel.code, sizes))


def complaint(log: str, code: Code, sizes: Sequence[tuple[int, str]]) -> str:
    """What a sanitizer found, in one line. sizes: of the arrays in bytes, and what each is called"""
    line = re.search(rf"{re.escape(code.file)}:(\d+)(?::(\d+))?", log)
    place = f"{code.file}:{line[1]}" if line else code.name
    if found := re.search(r"runtime error: (.*)", log):
        return f"{place}: {found[1]}"
    access = re.search(r"(READ|WRITE) of size (\d+)", log)
    if access:
        where = re.search(r"(\d+) bytes (after|before|to the right of|to the left of|inside of) (\d+)-byte region", log)
        verb = "reads" if access[1] == "READ" else "writes"
        if where is None:
            return f"{place}: it {verb} outside of its arrays"
        side = "before its start" if where[2] in ("before", "to the left of") else "past its end"
        array = " or ".join(name for size, name in sizes if size == int(where[3])) or "an array"
        return f"{place}: it {verb} outside of {array}: {access[2]} bytes, {where[1]} bytes {side}"
    if found := re.search(r"cuda_host: (.*)", log):
        return f"{place}: {found[1]}"
    return f"{place}: {' '.join(log.split())[:200] or 'it ended without a word'}"
