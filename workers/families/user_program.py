"""The text of a user's CUDA kernel: its signature, and the program that is compiled, for a GPU or for the CPU."""

from __future__ import annotations

import ctypes
import hashlib
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from gridstride.workers import kernels
from gridstride.workers.code import Code, CodeError, compilers_complaint, kept
from gridstride.workers.launches import Source

# What a kernel is told of its block if it has parameters of these names.
POINTERS = {"origin": np.int64, "shape": np.int64, "whole": np.int64, "spacing": np.float64}
ARRAYS = ("block", "result", *POINTERS)
SIZED = {f"{kind[0]}{bits}": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)}
TYPES = {
    "bool": "bool", "signed char": "int8", "char": "int8", "unsigned char": "uint8", "short": "int16",
    "unsigned short": "uint16", "int": "int32", "unsigned int": "uint32", "unsigned": "uint32", "long long": "int64",
    "unsigned long long": "uint64", "float": "float32", "double": "float64", "f32": "float32", "f64": "float64",
    **SIZED, **{f"{kind}_t": kind for kind in SIZED.values()},
}  # fmt: skip
NAMES = {dtype: name for name, dtype in reversed(TYPES.items())}  # C's names of dtypes: the first of each
BOUNDS = r"(?:__launch_bounds__\s*\([^)]*\)\s*)?"
GLOBAL = re.compile(rf"__global__\s+{BOUNDS}void\s+{BOUNDS}(\w+)\s*\(([^)]*)\)")
ELEMENT = re.compile(
    r"__device__\s+(?:(?:inline|static|__forceinline__)\s+)*([\w ]+?)\s+(\w+)\s*\(\s*((?:const\s+)?At\b[^)]*)\)"
)
MADE = "gridstride_element"  # the kernel that is made of a function of one element
FLAGS = (
    "-std=c++20",
    "-O3",
    "-march=native",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fvisibility=hidden",
    "-fPIC",
    "-shared",
    "-w",
)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]*)"', re.MULTILINE)


@dataclass(frozen=True)
class Signature:
    """What a kernel takes. places: names and types in order; of a function of one element, after At

    gives: the type that a function of one element returns; "" for a kernel
    """

    name: str
    places: tuple[tuple[str, str], ...]
    defaults: tuple[tuple[str, str], ...]
    gives: str
    line: int

    @property
    def kernel(self) -> str:
        return MADE if self.gives else self.name

    @classmethod
    def of(cls, code: Code) -> Signature:
        return _signature(code)

    def type_of(self, name: str) -> str:
        return dict(self.places)[name]

    def dtype_of(self, kind: str, takes: np.dtype, gives: np.dtype) -> np.dtype:
        return {"T": takes, "U": gives}.get(kind) or np.dtype(TYPES[kind])


def bare(text: str) -> str:
    """A program without comments and text in quotes, its lines where they are."""

    def blank(found: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", found[0]) if found[0].startswith("/") else found[0]

    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.DOTALL)


def kernels_of(text: str) -> list[tuple[str, str, str, int]]:
    """(name, parameters, type of result, line) of each kernel, and each function of one element."""
    text = bare(text)
    found = [(m[1], m[2], "", m.start()) for m in GLOBAL.finditer(text)]
    found += [(m[2], m[3], m[1].strip(), m.start()) for m in ELEMENT.finditer(text)]
    found.sort(key=lambda kernel: kernel[3])
    return [(name, inner, gives, text.count("\n", 0, at) + 1) for name, inner, gives, at in found]


@lru_cache(64)
def _signature(code: Code) -> Signature:
    """Raises CodeError at the line of the kernel."""
    name, inner, gives, line = next(found for found in kernels_of(code.text) if found[0] == code.function)
    here = f"{code.file}:{line}: {name}"
    if re.search(rf"\btemplate\s*<[^<>]*>[^;{{}}]*\b{name}\s*\(", bare(code.text)):
        raise CodeError(f"{here} is a template: leave template away, T and U are the types of block and result")
    parts = [part.strip() for part in inner.split(",") if part.strip()]
    if gives:
        parts = parts[1:]
        if gives not in ("U", "T") and gives not in TYPES:
            raise CodeError(f"{here} returns {gives}: expected U, or a number's type such as float")
    places: list[tuple[str, str]] = []
    defaults: list[tuple[str, str]] = []
    if gives:
        places = [("block", "T"), ("result", gives), ("origin", "long long"), ("shape", "long long")]
    for part in parts:
        wrong = f"{here} has the parameter '{' '.join(part.split())}': expected"
        found = re.fullmatch(r"(.*?[\s*&])\s*(?:__restrict__\s*)?(\w+)\s*(?:=\s*(.+))?", part, re.DOTALL)
        kind = " ".join(re.sub(r"\b(const|__restrict__)\b|\*", " ", found[1]).split()) if found else ""
        if not found or (kind not in TYPES and kind not in ("T", "U")):
            raise CodeError(f"{wrong} a number such as float, or a pointer to some")
        word = found[2]
        if ("*" in found[1]) != (word in ARRAYS):
            raise CodeError(f"{wrong} {', '.join(ARRAYS)} as pointers, and nothing else")
        if word in POINTERS and np.dtype(TYPES.get(kind, "bool")) != POINTERS[word]:
            raise CodeError(f"{wrong} const {'double' if word == 'spacing' else 'long long'}* {word}")
        places.append((word, kind))
        if found[3]:
            defaults.append((word, found[3].strip()))
    if missing := {"block", "result"} - {word for word, _ in places}:
        raise CodeError(f"{here} has no parameter {sorted(missing)[0]}: expected const T* block, U* result")
    return Signature(name, tuple(places), tuple(defaults), gives, line)


# --- the program ---
def program(code: Code, takes: np.dtype, gives: np.dtype, halo: Sequence[int]) -> str:
    """The text that a GPU's compiler is given: the user's, between what it finds in place and the kernel made of it."""
    signature = Signature.of(code)
    head = [f"using T = {NAMES[takes.name]};", f"using U = {NAMES[gives.name]};", f"#define DIMS {len(halo)}"]
    head += [f"#define HALOS {', '.join(map(str, halo))}", *(f"#define HALO_{i} {h}" for i, h in enumerate(halo))]
    text = INCLUDE.sub(lambda found: _included(found, code), code.text)
    parts = [*head, (kernels.SOURCES / "own.cuh").read_text(), f'#line 1 "{code.file}"', text]
    if signature.gives:
        parts += ['#line 1 "made"', _element_kernel(signature)]
    return "\n".join(parts) + "\n"


def _included(found: re.Match[str], code: Code) -> str:
    name, line = found[1], code.text.count("\n", 0, found.start()) + 1
    if "/" in name or not (kernels.SOURCES / name).is_file():
        raise CodeError(f"{code.file}:{line}: {name} is not there: only this one file goes to the workers")
    return f'#line 1 "{name}"\n{kernels.source(name)}\n#line {line} "{code.file}"'


def _element_kernel(signature: Signature) -> str:
    """A kernel that loops over elements. What the user's function takes stands after the shape and the origin."""
    own = signature.places[4:]
    takes = "".join(f", {kind} {name}" for name, kind in own)
    call = f"{signature.name}(At(block, shape, origin, e){''.join(f', {name}' for name, _ in own)})"
    return f"""extern "C" __global__
void {MADE}(const T* block, U* result, const long long* origin, const long long* shape{takes})
{{
    const long long count = elements_of(shape), step = (long long)gridDim.x * blockDim.x;
    for (long long e = (long long)blockIdx.x * blockDim.x + threadIdx.x; e < count; e += step) result[e] = {call};
}}"""


def host_program(code: Code, takes: np.dtype, gives: np.dtype, halo: Sequence[int]) -> str:
    """The text that the CPU's compiler is given: a function `gridstride_run` of the addresses of the result's shape and
    of the kernel's arguments, in order."""
    signature, text = Signature.of(code), bare(code.text)
    waits = re.search(r"\b__(syncthreads|syncwarp|any_sync)\b", text) is not None
    args = []
    for number, (name, kind) in enumerate(signature.places, 1):
        pointer = name in ARRAYS
        const = "" if name == "result" else "const "
        args.append(f"({const}{kind}*)a[{number}]" if pointer else f"*(const {kind}*)a[{number}]")
    body = _rows(signature, args) if signature.gives else _threads(signature.name, args, waits)
    # Flat, because only what is inlined can become vectors.
    run = 'extern "C" __attribute__((flatten, visibility("default"))) const char* gridstride_run(void** a)'
    run += f"\n{{\n    const long long* of = (const long long*)a[0];\n{body}    return nullptr;\n}}\n"
    head = '#define CUDA_HOST_THROWS\n#include "fibres.h"' if waits else '#include "host.h"'
    return f'{head}\n{program(code, takes, gives, halo)}#line 1 "made"\n{run}'


def _threads(name: str, args: list[str], waits: bool) -> str:
    """Every thread of a launch, one after another; as fibres where they wait for each other."""
    call = f"{name}({', '.join(args)})"
    if not waits:
        block = f"for (threadIdx.x = 0; threadIdx.x < blockDim.x; ++threadIdx.x) {call};"
        return _blocks(block)
    block = f"scheduler.body = [&] {{ {call}; }};\n        scheduler.run_block(blockDim.x, random);"
    return f"""    static thread_local std::string said;
    std::mt19937_64 random(0);
    try {{
{_blocks(block)}    }} catch (const std::exception& error) {{
        said = error.what();
        return said.c_str();
    }}
"""


def _blocks(block: str) -> str:
    return f"""    const long long count = elements_of(of);
    blockDim.x = 256, blockDim.y = blockDim.z = gridDim.y = gridDim.z = 1;
    gridDim.x = (count + 255) / 256;
    for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x) {{
        {block}
    }}
"""


def _rows(signature: Signature, args: list[str]) -> str:
    """A function of one element, row by row: a loop that the compiler can make vectors of."""
    own = "".join(f", p{number}" for number in range(len(args) - 4))
    take = "".join(f"    const auto p{number} = {arg};\n" for number, arg in enumerate(args[4:]))
    return f"""    const long long* origin = {args[2]};
{take}    const long long row = of[DIMS - 1], count = elements_of(of);
    U* __restrict result = {args[1]};
    for (long long first = 0; first < count; first += row) {{
        At at({args[0]}, of, origin, first);
        for (long long x = 0; x < row; ++x, at.advance()) result[first + x] = {signature.name}(at{own});
    }}
"""


# --- compiled for the CPU ---
def compiler() -> str | None:
    """The C++ compiler of this machine."""
    return shutil.which("g++") or shutil.which("clang++")


@cache
def _machine() -> str:
    """What a program compiled here depends on, besides its text: the compiler, the processor, and our headers."""
    version = subprocess.run([str(compiler()), "--version"], capture_output=True, text=True).stdout
    try:
        processor = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        processor = platform.processor()
    headers = "".join((kernels.SOURCES / name).read_text() for name in ("host.h", "fibres.h"))
    return f"{version}{platform.machine()}{processor}{headers}"


def build(code: Code, text: str, flags: Sequence[str], suffix: str) -> Path:
    """A program's text compiled, once for this machine and user. Raises CodeError at the user's own line."""
    if compiler() is None:
        raise CodeError(f"{code.file}: no C++ compiler was found on {platform.node()}: install g++ there, or use a GPU")
    key = hashlib.sha256("\n".join([text, *flags, _machine()]).encode()).hexdigest()[:24]
    made = kept(code.digest) / f"{code.function}-{key}{suffix}"
    if made.is_file():
        return made
    with tempfile.TemporaryDirectory(dir=made.parent) as folder:
        (Path(folder) / "program.cpp").write_text(text)
        command = [str(compiler()), *flags, f"-I{kernels.SOURCES}", "program.cpp", "-o", "program"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
        if done.returncode:
            raise CodeError(compilers_complaint(done.stderr, code))
        (Path(folder) / "program").replace(made)
    return made


@lru_cache(64)
def compiled(code: Code, takes: np.dtype, gives: np.dtype, halo: tuple[int, ...]) -> Callable[[Any], bytes | None]:
    """The kernel for the CPU: a function of the arguments' addresses, which gives what went wrong. Raises CodeError."""
    library = ctypes.CDLL(str(build(code, host_program(code, takes, gives, halo), FLAGS, ".so")))
    run = library.gridstride_run
    run.restype = ctypes.c_char_p
    return run


def check_on_gpu(code: Code, takes: np.dtype, gives: np.dtype, halo: tuple[int, ...]) -> None:
    """Compile a kernel for a GPU, which need not be here, where NVRTC is. Raises CodeError."""
    source = Source(code.file, program(code, takes, gives, halo))
    try:
        kernels.check(source, Signature.of(code).kernel)
    except kernels.CompileError as error:
        raise CodeError(compilers_complaint(str(error), code)) from None
    except Exception:  # NVRTC is not here, or cannot be loaded: the GPU's own will say
        return
