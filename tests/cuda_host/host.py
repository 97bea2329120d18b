"""Builds the CUDA sources for the CPU and runs plans on them: a GPU's own launches, under sanitizers."""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy.fft

from gridstride.workers import gpu, kernels, launches
from gridstride.workers.gpu import Machine
from gridstride.workers.launches import Launches, Ref
from gridstride.workers.operators.base import Operator, Window

HERE = Path(__file__).parent
FLAGS = ["-std=c++20", "-O0", "-ffp-contract=off"]
STRICT = ["-g1", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-fsanitize=address,undefined"]
STRICT += ["-fno-sanitize-recover=all"]
# Half the time to compile. For planted bugs: what they do is noticed, not how they are written.
LENIENT = ["-w", "-fsanitize=address"]


class HostError(RuntimeError):
    """A kernel did what it must not: what the sanitizer or the scheduler said."""


@cache
def _header(strict: bool) -> Path:
    """A folder with the header precompiled, and what serves requests compiled: most of a small program's time."""
    folder = Path(tempfile.mkdtemp(prefix="cuda_host"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in ("cuda_host.h", "cuda_host.cpp"):
        shutil.copy(HERE / name, folder)
    _compile(folder, ["-c", "cuda_host.cpp"], strict)
    _compile(folder, ["-x", "c++-header", "cuda_host.h"], strict)
    return folder


def _compile(folder: Path, arguments: list[str], strict: bool) -> None:
    command = ["g++", *FLAGS, *(STRICT if strict else LENIENT), f"-I{kernels.SOURCES}", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise HostError(done.stderr[:8000])


def build(folder: Path, instantiations: Iterable[tuple[str, str]], edit: Callable[[str], str] | None = None) -> Path:
    """Compile instantiations (file, expression) to a program. edit: plants a bug in a file's text."""
    folder.mkdir(parents=True, exist_ok=True)
    instantiations = sorted(set(instantiations))
    parts, files = [], sorted({file for file, _ in instantiations})
    for file in files:
        # A namespace for each file: they share names. Their shared memory is the harness's.
        text = re.sub(r"extern __shared__ \w+ shared_memory\[\];", "", kernels.source(file))
        here = [name for of, name in instantiations if of == file]
        table = "\n".join(f'    harness::kernel<&{name}>("{name}", &{name}),' for name in here)
        parts.append(f"""namespace {file.split(".")[0]}_cu {{
{edit(text) if edit else text}
const harness::Kernel kernels[] = {{
{table}
}};
}}""")
    tables = " ".join(f"{file.split('.')[0]}_cu::kernels," for file in files)
    program = f"""#include "cuda_host.h"
{chr(10).join(parts)}
int main()
{{
    const std::span<const harness::Kernel> tables[] = {{{tables}}};
    return harness::serve(tables, std::size(tables));
}}
"""
    (folder / "host.cpp").write_text(program)
    made = _header(edit is None)
    _compile(folder, [f"-I{made}", "host.cpp", str(made / "cuda_host.o"), "-o", "host"], edit is None)
    return folder / "host"


def end(host: Any) -> None:
    """End the program of a cached function that builds and runs one, and remove its folder, if it was called."""
    if host.cache_info().currsize:
        host().close()
        shutil.rmtree(host().program.parent)


class Host:
    """A running program. `run` takes a plan and the block's data, as `kernels.run` does on a GPU."""

    def __init__(self, program: Path, seed: int = 0) -> None:
        self.program, self.seed, self.process = program, seed, None

    def compute(self, op: Operator, window: Window, max_grid: int = launches.MAX_GRID) -> np.ndarray:
        """What workers.gpu makes of an operator and a window, on at most max_grid blocks of threads a launch."""
        return gpu.compute(
            op, window, Machine(np, scipy.fft, lambda plan, data, more=None: self.run(plan, data, max_grid, more))
        )

    def run(
        self,
        plan: Launches,
        data: np.ndarray,
        max_grid: int = launches.MAX_GRID,
        more: dict[str, np.ndarray] | None = None,
    ) -> np.ndarray:
        """Raises HostError on a sanitizer's report or an output element that was never written."""
        arrays = {"data": data, **(more or {})}
        contents = {name: (array.nbytes, 0, [(0, array.tobytes())]) for name, array in arrays.items()}
        return self._result(plan, contents, max_grid)

    def change(
        self,
        plan: Launches,
        arrays: dict[str, np.ndarray],
        changed: Iterable[str],
        max_grid: int = launches.MAX_GRID,
        sparse: dict[str, tuple[int, list[tuple[int, bytes]]]] | None = None,
    ) -> None:
        """Run a plan whose kernels change some of the arrays, or of those as in `run_sparse`: the changed arrays get
        their new values. Raises HostError as `run` does."""
        contents: dict = {name: (array.nbytes, 0, [(0, array.tobytes())]) for name, array in arrays.items()}
        contents |= {name: (nbytes, 1, pieces) for name, (nbytes, pieces) in (sparse or {}).items()}
        answer = self._talk(*self._request(plan, contents, max_grid, changed := list(changed)))
        for array in (arrays[name] for name in changed):
            array[...] = np.frombuffer(answer[: array.nbytes], array.dtype).reshape(array.shape)
            answer = answer[array.nbytes :]

    def run_sparse(self, plan: Launches, nbytes: int, pieces: list[tuple[int, bytes]]) -> np.ndarray:
        """With data of nbytes zeros but for the pieces (offset, bytes): for arrays larger than memory."""
        return self._result(plan, {"data": (nbytes, 1, pieces)}, launches.MAX_GRID)

    def _result(self, plan: Launches, contents: dict, max_grid: int) -> np.ndarray:
        answer = self._talk(*self._request(plan, contents, max_grid, ["out"]))
        return np.frombuffer(answer, plan.out_dtype).reshape(plan.out_shape)

    def _request(self, plan: Launches, contents: dict, max_grid: int, wanted: list[str]) -> tuple[bytes, int]:
        """What is asked of the program: to make buffers of contents, to launch, and to send some back; and its size."""
        contents["out"] = (int(np.prod(plan.out_shape)) * plan.out_dtype.itemsize, 0, [])
        contents["constants"] = (len(plan.constants), 0, [(0, bytes(plan.constants))])
        contents |= {name: (nbytes, 0, []) for name, nbytes in plan.scratch.items()}
        names = list(contents)
        request = [_int(len(names))]
        for nbytes, sparse, pieces in contents.values():
            request += [_int(nbytes, sparse, len(pieces))]
            for at, piece in pieces:
                request += [_int(at, len(piece)), piece]
        request.append(_int(len(plan.launches)))
        for launch in plan.launches:
            expression = launch.expression.encode()
            request += [_int(len(expression)), expression]
            request.append(_int(min(launch.grid, max_grid), *launch.block, launch.shared, self.seed, len(launch.args)))
            for arg in launch.args:
                if isinstance(arg, Ref):
                    request.append(_int(names.index(arg.buffer), arg.offset))
                else:
                    request += [_int(-1, arg.nbytes), arg.tobytes()]
        sizes = [contents[name][0] for name in wanted]
        request.append(_int(len(wanted)))
        request += [_int(names.index(name), size) for name, size in zip(wanted, sizes, strict=True)]
        return b"".join(request), sum(sizes)

    def _talk(self, request: bytes, size: int) -> bytes:
        if self.process is None:
            self.errors = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the process)
            environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0"}
            self.process = subprocess.Popen(
                [self.program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
                env=environment,
            )
        try:
            self.process.stdin.write(request)
            self.process.stdin.flush()
            answer = self.process.stdout.read(size)
        except BrokenPipeError:
            answer = b""
        if len(answer) != size or self.process.poll() is not None:
            self.close()
            self.errors.seek(0)
            raise HostError(self.errors.read().decode(errors="replace")[:8000])
        return answer

    def close(self) -> None:
        if self.process is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
            self.process.stdout.close()
            self.process.wait()
            self.process = None


def _int(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}q", *values)
