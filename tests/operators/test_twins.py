"""The CUDA source of every operator gives what the CPU gives, for its mirror's examples (tests/cases.py)."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.fft

from gridstride.workers import gpu, kernels, saving
from gridstride.workers.gpu import Machine
from gridstride.workers.launches import Launches
from gridstride.workers.operators import registry
from gridstride.workers.operators.base import Operator, Window
from tests.blockwise import grid_of, on_cpu, swept
from tests.cases import NAMES, Case, case, examples, mirror, resolved
from tests.cuda_host.host import Host, HostError, build, end

host_only = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ builds the kernels for the CPU; it is missing")


def asked(operator: Operator, window: Window) -> set[tuple[str, str]]:
    """The kernels that an operator asks for; none if it runs on the CPU alone."""
    if operator.cpu_only:
        return set()
    found: set[tuple[str, str]] = set()

    def run(plan: Launches, data: np.ndarray, more: Any = None) -> np.ndarray:
        found.update((launch.file, launch.expression) for launch in plan.launches)
        return np.zeros(plan.out_shape, plan.out_dtype)

    gpu.compute(operator, window, Machine(np, scipy.fft, run))
    return found


@cache
def asked_by(name: str, number: int) -> frozenset[tuple[str, str]]:
    """The kernels that an example and the sweeps before it ask for."""
    found, kernels_ = case(name, number), set()

    def compute(operator: Operator, window: Window) -> Any:
        kernels_.update(asked(operator, window))
        return on_cpu(operator, window)

    operator, array = resolved(found, np.random.default_rng(0), compute)
    swept(operator, array, None, compute)
    return frozenset(kernels_)


def kernels_of(name: str) -> list[tuple[str, str]]:
    return sorted(set().union(*(asked_by(name, number) for number in range(len(mirror(name).EXAMPLES)))))


@cache
def host() -> Host:
    """One program for all examples."""
    folder = Path(tempfile.mkdtemp(prefix="registry"))
    every = set().union(*(kernels_of(name) for name in NAMES))
    return Host(build(folder, every))


@pytest.fixture(scope="module", autouse=True)
def _close_the_host() -> Any:
    yield
    end(host)


def on_host(program: Host, found: Case) -> tuple[np.ndarray, np.ndarray]:
    """What the CUDA source makes of an example, in blocks and with few blocks of threads; and what the CPU makes."""

    def compute(operator: Operator, window: Window) -> Any:
        result = program.compute(operator, window, 3)
        if not operator.writes():  # what follows from reports may hide what is wrong with them
            report = on_cpu(operator, window)
            if report.shape == result.shape:
                np.testing.assert_array_equal(result, report)
        return result

    theirs, read = resolved(found, np.random.default_rng(0), compute)
    ours, array = resolved(found, np.random.default_rng(0))
    assert saving.digest(theirs) == saving.digest(ours)
    block = [n // 2 + 1 for n in ours.out_grid(grid_of(array)).shape]
    return swept(theirs, read, block, compute), swept(ours, array, block, on_cpu)


@pytest.mark.slow
@host_only
@pytest.mark.parametrize(("name", "number"), examples())
def test_the_cuda_source_gives_what_the_cpu_gives(name: str, number: int) -> None:
    found = case(name, number)
    if found.operator.cpu_only:
        pytest.skip("it runs on the CPU alone")
    theirs, ours = on_host(host(), found)
    found.same(theirs, ours)
    if theirs.dtype.kind == "f" and not found.tolerance:  # -0.0 too; NaN has many bits
        number_ = ~np.isnan(ours)
        np.testing.assert_array_equal(np.signbit(theirs[number_]), np.signbit(ours[number_]))


@pytest.mark.slow
def test_every_kernel_that_examples_ask_for_is_listed_and_compiles() -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="cuda-bindings compiles the kernels; it is missing")
    every = sorted(set().union(*(kernels_of(name) for name in NAMES)))
    assert set(every) <= set(registry.instantiations())
    for file, expression in {
        (file, expression.split("<")[0]): (file, expression) for file, expression in every
    }.values():
        assert kernels.compile_to_cubin(file, [expression], "sm_90")[0].startswith(b"\x7fELF")


def planted() -> list[tuple[str, int]]:
    """(name, number) of the planted bugs, each of the first operator that plants it."""
    bugs = [(name, number) for name in NAMES for number in range(len(mirror(name).PLANTED))]
    return list({mirror(name).PLANTED[number]: (name, number) for name, number in reversed(bugs)}.values())[::-1]


@pytest.mark.slow
@host_only
@pytest.mark.parametrize(("name", "number"), planted())
def test_planted_bugs_are_noticed(name: str, number: int, tmp_path: Path) -> None:
    file, old, new = mirror(name).PLANTED[number]
    assert old in kernels.source(file), "the bug's text is no longer there: plant it anew"
    asks = [asked_by(name, example) for example in range(len(mirror(name).EXAMPLES))]
    tried = [example for example, found in enumerate(asks) if any(kernel[0] == file for kernel in found)]
    program = build(tmp_path, set().union(*(asks[example] for example in tried)), lambda text: text.replace(old, new))
    smallest_first = sorted((case(name, example) for example in tried), key=lambda found: found.array.size)
    noticed = any(differs(program, found, seed) for seed in range(3) for found in smallest_first)
    assert noticed, f"no example of {name} notices that {old!r} became {new!r}"


def differs(program: Path, found: Case, seed: int) -> bool:
    """Whether a program gives other results than the CPU, or fails, for an order of its threads."""
    edited = Host(program, seed)
    try:
        found.same(*on_host(edited, found))
    except (HostError, AssertionError):
        return True
    finally:
        edited.close()
    return False
