"""Operators of arrays with elements without data: saved, their memory, and their CUDA source against the CPU."""

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
from gridstride.workers.operators import registry
from gridstride.workers.operators.base import Operator, Region, Window
from tests.blockwise import apply, grid_of, on_cpu, peak, window_of
from tests.cuda_host.host import Host, HostError, build, end
from tests.holes import HOLES, KERNEL, masked, with_holes

EVERY: list[tuple[str, dict[str, Any], str]] = [
    ("gaussian", {"sigma": 1.0, "mode": "wrap"}, "uint8"),
    ("gaussian", {"sigma": 1.0, "order": 1, "dtype": "float32"}, "int16"),
    ("uniform", {"size": 3, "cast": "scipy"}, "uint16"),
    ("convolve", {"kernel": KERNEL, "mode": "constant", "cval": 3.0}, "float32"),
    ("convolve", {"kernel": "laplace", "algorithm": "direct"}, "float64"),
    ("median", {"size": 3}, "int32"),
    ("median", {"size": (2, 5), "mode": "constant", "cval": 9}, "float32"),
    ("minimum", {"size": (3, 11), "mode": "wrap"}, "int16"),
    ("maximum", {"footprint": KERNEL, "mode": "constant", "cval": -1e30}, "float64"),
    ("downsample", {"factors": (2, 3)}, "int16"),
    ("downsample", {"factors": 2, "dtype": "float32"}, "uint8"),
    ("downsample", {"factors": 2, "method": "max"}, "float32"),
    ("downsample", {"factors": 2, "method": "min"}, "uint8"),
    ("threshold", {"method": "otsu"}, "float32"),
    ("threshold", {"method": "otsu"}, "uint16"),
    ("threshold", {"value": 99.5}, "float64"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "fields", "dtype"), EVERY)
def test_operators_are_saved_and_their_memory_is_counted(
    name: str, fields: dict[str, Any], dtype: str, tmp_path: Path
) -> None:
    array, _ = with_holes((70, 90), dtype)
    operator, _ = masked(name, array, HOLES[dtype], **fields)
    saving.save(operator, tmp_path, "operator")
    loaded = saving.load(tmp_path, "operator")
    assert saving.digest(loaded) == saving.digest(operator)
    wanted = apply(operator, array)
    np.testing.assert_array_equal(apply(loaded, array, (31, 33)), wanted)
    if (first := operator.first_sweep()) is not None:
        operator = first
    grid = grid_of(array)
    want = Region.whole(operator.out_grid(grid).shape)
    assert peak(operator, window_of(operator, array, want)) <= operator.scratch(want, grid, "cpu") + 100_000


def asked(operator: Operator, array: np.ndarray) -> set[tuple[str, str]]:
    """The kernels that an operator and the sweeps before it ask for."""
    found: set[tuple[str, str]] = set()

    def compute(one: Operator, window: Window) -> Any:
        def run(plan: Any, data: np.ndarray, more: Any = None) -> np.ndarray:
            found.update((launch.file, launch.expression) for launch in plan.launches)
            return np.zeros(plan.out_shape, plan.out_dtype)

        gpu.compute(one, window, Machine(np, scipy.fft, run))
        return on_cpu(one, window)

    apply(operator, array, None, compute)
    return found


@cache
def host() -> Host:
    every: set[tuple[str, str]] = set()
    for name, fields, dtype in EVERY:
        array, _ = with_holes((14, 17), dtype)
        every |= asked(masked(name, array, HOLES[dtype], **fields)[0], array)
    assert every <= set(registry.instantiations())
    return Host(build(Path(tempfile.mkdtemp(prefix="nodata")), every))


@pytest.fixture(scope="module", autouse=True)
def _close_the_host() -> Any:
    yield
    end(host)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ builds the kernels for the CPU; it is missing")
@pytest.mark.parametrize(("name", "fields", "dtype"), EVERY)
def test_the_cuda_source_gives_what_the_cpu_gives(name: str, fields: dict[str, Any], dtype: str) -> None:
    array, _ = with_holes((14, 17), dtype)
    operator, _ = masked(name, array, HOLES[dtype], **fields)
    block = [n // 2 + 1 for n in operator.out_grid(grid_of(array)).shape]
    theirs = apply(operator, array, block, lambda one, window: host().compute(one, window, 3))
    ours = apply(operator, array, block)
    if dtype == "int16" and name == "gaussian":  # a derivative is summed in float32
        np.testing.assert_allclose(theirs, ours, atol=1e-4)
    else:
        np.testing.assert_array_equal(theirs, ours, strict=True)


PLANTED = (
    ("if (v == nodata) continue;", ""),
    ("found += v != nodata && v <= middle;", "found += v <= middle;"),
    ("if (valid == 0) low = high = nodata;", ""),
    ("const int rank = ranks[valid];", "const int rank = ranks[taps];"),
)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ builds the kernels for the CPU; it is missing")
def test_planted_bugs_are_noticed(tmp_path: Path) -> None:
    array, _ = with_holes((9, 11), "uint8")
    array[array == 255] = 100
    operator, _ = masked("median", array, 100, size=3)
    wanted = apply(operator, array)
    for number, (old, new) in enumerate(PLANTED):
        assert old in kernels.source("rank.cu"), "the bug's text is no longer there: plant it anew"
        edit = lambda text, old=old, new=new: text.replace(old, new)  # noqa: E731
        edited = Host(build(tmp_path / str(number), asked(operator, array), edit))
        with pytest.raises((AssertionError, HostError)):
            np.testing.assert_array_equal(apply(operator, array, None, edited.compute), wanted)
        edited.close()
