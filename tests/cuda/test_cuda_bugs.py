"""Bugs put into the CUDA sources: the harness must find each, by a wrong result or a report. This is what says
that the tests of test_cuda_host.py and test_cuda_march.py can fail."""

from __future__ import annotations

import shutil
from functools import partial

import numpy as np
import pytest

from gridstride.workers.families.separable import Pass, Separable
from gridstride.workers.families.stencil import Stencil
from gridstride.workers.operators.base import Grid, Region, Window
from tests.cuda_host import table
from tests.cuda_host.host import Host, HostError, build
from tests.cuda_host.table import Case, gaussian, planned, whole

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="g++ builds the kernels for the CPU; it is missing"),
]

FLOAT = np.dtype(np.float64)
SINGLE = np.dtype(np.float32)
CUBE = np.random.default_rng(0).normal(size=(1, 1, 3, 3, 3))
WEIGHTS = np.random.default_rng(0).normal(size=(1, 1, 5, 5))
OPERATORS = {
    "rows": Separable((Pass(0, gaussian(31, 6), 15, "reflect"),), FLOAT, "double"),
    "columns": Separable((Pass(0, gaussian(31, 6), 15, "reflect"),), FLOAT, "double"),
    "direct": Separable((Pass(0, gaussian(399, 60), 199, "reflect"),), FLOAT, "double"),
    "cast": Separable((Pass(0, gaussian(9, 3), 4, "reflect"),), np.dtype(np.int16), "double"),
    "dense": Stencil(WEIGHTS, (2, 2), ("mirror",) * 2, 0.0, FLOAT, "double"),
    "fused": Separable(tuple(Pass(a, gaussian(3, 1), 1, "mirror") for a in range(3)), SINGLE),
    "flat": Separable(tuple(Pass(a, gaussian(5, 1), 2, "mirror") for a in range(2)), SINGLE),
    "cube": Stencil(CUBE, (1, 1, 1), ("mirror",) * 3, 0.0, SINGLE),
}
MARCHES = ("fused", "flat", "cube")

LOADED, SUMMED, HELD = (
    f"__syncthreads();  // {why}" for why in ("the tile is loaded", "every sum is made", "the tile holds results")
)
USED = "__syncthreads();  // the tile before this one has been used"
PARTED = "if (threadIdx.x == 0) __syncthreads();\n        else\n            __syncthreads();"
LAST_OUT, LAST_LOAD = "if (i0 + i < size && a < before)", "i < padded; i +="

ROWS_KNOWN = "__syncthreads();  // the rows are known, and the tile before this one has been used"
PLANE_SUMMED = "__syncthreads();  // the plane is loaded, and summed along x the one before it"
PLANE_LOADED = "__syncthreads();  // the plane is loaded\n"
COLUMN_AT = "(a * available + source) * after + b"
OTHER_HALF = "input.next.store(raw + (1 - half) * RAW)"

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
    "an output of many taps is not written": ("direct", "e < before * size * after", "e < before * size * after - 1"),
    "an output of many taps past the end is": ("direct", "e < before * size * after", "e <= before * size * after"),
    "the table of many taps is off by one": ("direct", "table[i + k]", "table[i + k + 1]"),
    "the middle tap counts twice": ("direct", "k < lead; ++k", "k <= lead; ++k"),
    "the last element is not cast": ("cast", "e < count;", "e < count - 1;"),
    "an element past the end is cast": ("cast", "e < count;", "e <= count;"),
    "halves are rounded down": ("cast", "v = rint(v);", "v = rint(v - Acc(0.5));"),
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
    "rows are stored past their end": ("dense", "x < columns && i64(x0) + x < g.size[5]", "x < columns"),
    "a march goes on before its planes are there": ("fused", PLANE_SUMMED, ""),
    "a march along z and y alone does": ("flat", PLANE_SUMMED, ""),
    "a dense march does": ("cube", PLANE_LOADED, ""),
    "a march begins before its rows are known": ("fused", ROWS_KNOWN, ""),
    "a dense march does so": ("cube", ROWS_KNOWN, ""),
    "threads part at a march's barrier": ("cube", PLANE_LOADED, f"{PARTED}\n"),
    "a plane is loaded over the one in use": ("cube", OTHER_HALF, "input.next.store(raw + half * RAW)"),
    "a fused plane is": ("fused", OTHER_HALF, "input.next.store(raw + half * RAW)"),
    "sums along x go over those in use": ("fused", "middle + half * TALL", "middle + (1 - half) * TALL"),
    "a plane is loaded twice": ("fused", "input.load(p + 2)", "input.load(p + 1)"),
    "the last plane is not loaded": ("fused", "if (p + 2 < last)", "if (p + 3 < last)"),
    "a tap along x is left out": ("fused", "k > 0 && k < TAPS)", "k > 0 && k < TAPS - 1)"),
    "sums along z wait in the wrong place": ("fused", "waiting[k][r] + w.z[Z - 1 - k]", "waiting[k][r] + w.z[Z - k]"),
    "results come a plane early": ("fused", "p - LATE - (Z - 1) >= tile.z0", "p - LATE - (Z - 2) >= tile.z0"),
    "a row of results too many": ("fused", "if (r < high)", "if (r <= high)"),
    "a dense row of results too many": ("cube", "if (r < high)", "if (r <= high)"),
    "a column of results too many": ("cube", "high = x < box.size[2]", "high = x <= box.size[2]"),
    "a column of the halo too few": ("cube", "near = x < wide", "near = x < wide - 1"),
    "a row of the halo too few": ("fused", "tile.y0 + y < tall", "tile.y0 + y < tall - 1"),
    "a chunk too long": (
        "fused",
        "smaller(int(box.chunk), int(box.size[0])",
        "smaller(int(box.chunk) + 1, int(box.size[0]) + 1",
    ),
    "sums that wait are not shifted": ("cube", "sum[k - 1][r] = sum[k][r]", "sum[k][r] = sum[k][r]"),
    "plane offsets of 32 bits": ("far march", "source * row_bytes", "int(source * row_bytes)"),
    "offsets of 32 bits along rows": ("far rows", "in[a * available + source]", "in[int(a * available + source)]"),
    "offsets of 32 bits along columns": ("far columns", f"in[{COLUMN_AT}]", f"in[int({COLUMN_AT})]"),
    "offsets of 32 bits": ("far", "const i64 at = sy * g.in_stride[4]", "const int at = sy * g.in_stride[4]"),
}


def at_the_end(data, start, stop):
    """The window of a few elements, with all the data there are."""
    return Window(data, Region.whole(data.shape), Region.of(start, stop), Grid.of(data.shape, data.dtype))


def far_apart():
    """The plan of a correlation over elements 2^32 bytes apart, for three columns of one row; and its data."""
    weights = np.array([1.0, 0, 0, 0, 2]).reshape(1, 1, 5, 1)
    op = Stencil(weights, (0, 0), ("nearest",) * 2, 0.0, FLOAT, "double")
    n = 2**30
    data = np.broadcast_to(np.uint8(0), (5, n))
    plan = planned(op, at_the_end(data, (0, n - 3), (1, n)))
    return plan, 5 * n, [(n - 3, bytes([1, 2, 3])), (5 * n - 3, bytes([4, 5, 6]))]


def far_march():
    """The same for a kernel that marches."""
    weights = np.array([[1.0, 0, 0], [0, 0, 0], [2, 0, 0]]).reshape(1, 1, 3, 3)
    op = Stencil(weights, (0, 0), ("nearest",) * 2, 0.0, SINGLE)
    n = 2**30
    data = np.broadcast_to(np.uint8(0), (3, n))
    plan = planned(op, at_the_end(data, (0, n - 3), (1, n)))
    return plan, 3 * n, [(n - 3, bytes([1, 2, 3])), (3 * n - 3, bytes([4, 5, 6]))]


def far_line(before, after):
    """The same for a pass along lines of 2^30 elements, which filters the last three: only the last line, or the last
    column, is not zero."""
    n = 2**30
    op = Separable((Pass(1, np.array([1.0, 0, 1]), 1, "constant"),), FLOAT, "double")
    shape = (before, n, after)
    data = np.broadcast_to(np.uint8(0), shape)
    plan = planned(op, at_the_end(data, (0, n - 3, 0), shape))
    size = before * n * after
    return plan, size, [(size - 1 - 2 * after, b"\1"), (size - 1 - after, b"\2"), (size - 1, b"\3")]


def far_lines_sums(before, after):
    wanted = np.zeros((before, 3, after))
    wanted[-1, :, -1] = 2, 4, 2
    return wanted


FAR = {
    "far": (far_apart, np.array([[9.0, 12, 15]])),
    "far march": (far_march, np.array([[9.0, 12, 15]])),
    "far rows": (partial(far_line, 3, 1), far_lines_sums(3, 1)),
    "far columns": (partial(far_line, 1, 3), far_lines_sums(1, 3)),
}


def try_out(folder, kernel, edit=str):
    """What is wrong with a kernel after an edit, tried in three orders of threads; "" if nothing is."""
    if kernel in FAR:
        make, wanted = FAR[kernel]
        plan, *sparse = make()
    else:
        op = OPERATORS[kernel]
        # Several tiles for each of two blocks of threads.
        shape = {"rows": (6000,)}.get(kernel, (8, 70, 67) if kernel in MARCHES else (150, 331))
        data = np.random.default_rng(0).normal(size=shape)
        data = data.astype(np.float32) if kernel in MARCHES else data
        plan = planned(op, whole(op, data))
        wanted = (table.marched if kernel in MARCHES else table.expected)(Case("", op, data))
    program = build(folder, {(launch.file, launch.expression) for launch in plan.launches}, edit)
    for seed in range(3):
        host = Host(program, seed)
        try:
            result = host.run_sparse(plan, *sparse) if kernel in FAR else host.run(plan, data, max_grid=2)
        except HostError as error:
            return str(error)
        finally:
            host.close()
        if not np.array_equal(result, wanted):
            return f"{np.count_nonzero(result != wanted)} wrong elements"
    return ""


@pytest.mark.parametrize("kernel", [*OPERATORS, *FAR])
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
