"""Bugs put into the CUDA sources: the harness must find each, by a wrong result or a report. This is what says
that the tests of test_cuda_host.py can fail."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from gridstride.workers import gpu
from gridstride.workers.operators import Correlate, Pass, Separable
from gridstride.workers.operators.base import Block
from tests.cuda_host import table
from tests.cuda_host.host import Host, HostError, build
from tests.cuda_host.table import Case, gaussian, whole

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="g++ builds the kernels for the CPU; it is missing"),
]

FLOAT = np.dtype(np.float64)
WEIGHTS = np.random.default_rng(0).normal(size=(1, 1, 5, 5))
OPERATORS = {
    "rows": Separable(1, (Pass(0, gaussian(31, 6), 15, "reflect"),), FLOAT, "double"),
    "columns": Separable(2, (Pass(0, gaussian(31, 6), 15, "reflect"),), FLOAT, "double"),
    "dense": Correlate(WEIGHTS, (2, 2), ("mirror",) * 2, 0.0, FLOAT, "double"),
}

LOADED, SUMMED, HELD = (
    f"__syncthreads();  // {why}" for why in ("the tile is loaded", "every sum is made", "the tile holds results")
)
USED = "__syncthreads();  // the tile before this one has been used"
PARTED = "if (threadIdx.x == 0) __syncthreads();\n        else\n            __syncthreads();"
LAST_OUT, LAST_LOAD = "if (i0 + i < size && a < before)", "i < padded; i +="

# what is wrong: (the kernel it is in, the text, what it becomes)
BUGS = {
    "rows are summed before they are loaded": ("rows", LOADED, ""),
    "results overwrite what others still sum": ("rows", SUMMED, ""),
    "results are stored before they are made": ("rows", HELD, ""),
    "the last element is not loaded": ("rows", LAST_LOAD, "i < padded - 1; i +="),
    "one element too many is loaded": ("rows", LAST_LOAD, "i <= padded; i +="),
    "the last output is not written": ("rows", LAST_OUT, "if (i0 + i < size - 1 && a < before)"),
    "an output past the end is written": ("rows", LAST_OUT, "if (i0 + i <= size && a < before)"),
    "columns are summed before they are loaded": ("columns", LOADED, ""),
    "a tile is loaded over one that is in use": ("columns", USED, ""),
    "threads part at a barrier": ("columns", LOADED, PARTED),
    "the table is off by one": ("columns", "table[i0 + i] : -1", "table[i0 + i + 1] : -1"),
    "pairs are summed in another order": (
        "columns",
        "for (int first = 0; first < middle",
        "for (int first = R; first < middle",
    ),
    "a sum in float32": ("columns", "Acc near[R], far[R];", "float near[R], far[R];"),
    "a dense tile is used before it is loaded": ("dense", LOADED, ""),
    "a dense tile is loaded over one in use": ("dense", USED, ""),
    "dense results overwrite what others still sum": ("dense", SUMMED, ""),
    "dense results are stored before they are made": ("dense", HELD, ""),
    "a row too few is loaded": ("dense", "y < rows + high - 1;", "y < rows + high - 2;"),
    "a window slides too late": (
        "dense",
        "window[j] = line[(k + R) * step]",
        "window[j] = line[(k + R - 1) * step]",
    ),
    "rows are stored past their end": ("dense", "x < columns && x0 + x < g.size[5]", "x < columns"),
    "offsets of 32 bits": ("far", "const i64 at = sy * g.in_stride[4]", "const int at = sy * g.in_stride[4]"),
}


def far_apart():
    """The plan of a correlation over elements 2^32 bytes apart, for three columns of one row; and its data."""
    weights = np.array([1.0, 0, 0, 0, 2]).reshape(1, 1, 5, 1)
    op = Correlate(weights, (0, 0), ("nearest",) * 2, 0.0, FLOAT, "double")
    n = 2**30
    data = np.broadcast_to(np.uint8(0), (5, n))
    plan = gpu.plan_correlate(op, Block(data, (0, 0), (0, n - 3), (1, n), (5, n)))
    return plan, 5 * n, [(n - 3, bytes([1, 2, 3])), (5 * n - 3, bytes([4, 5, 6]))]


def try_out(folder, kernel, edit=str):
    """What is wrong with a kernel after an edit, tried in three orders of threads; "" if nothing is."""
    if kernel == "far":
        plan, *sparse = far_apart()
        wanted = np.array([[9.0, 12, 15]])
    else:
        op = OPERATORS[kernel]
        # Several tiles for each of two blocks of threads.
        data = np.random.default_rng(0).normal(size=(6000,) if kernel == "rows" else (150, 331))
        plan = (gpu.plan_correlate if kernel == "dense" else gpu.plan_separable)(op, whole(data))
        wanted = table.expected(Case("", op, data))
    program = build(folder, {(launch.file, launch.expression) for launch in plan.launches}, edit)
    for seed in range(3):
        host = Host(program, seed)
        try:
            result = host.run_sparse(plan, *sparse) if kernel == "far" else host.run(plan, data, max_grid=2)
        except HostError as error:
            return str(error)
        finally:
            host.close()
        if not np.array_equal(result, wanted):
            return f"{np.count_nonzero(result != wanted)} wrong elements"
    return ""


@pytest.mark.parametrize("kernel", [*OPERATORS, "far"])
def test_nothing_is_found_in_the_kernels_as_they_are(tmp_path, kernel):
    assert try_out(tmp_path, kernel) == ""


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(tmp_path, bug):
    kernel, old, new = BUGS[bug]
    planted = []

    def plant(text):
        planted.append(text.count(old))
        return text.replace(old, new)

    found = try_out(tmp_path, kernel, plant)
    assert sum(planted) > 0, "the sources no longer hold the text that this bug replaces"
    assert found != ""
