"""The CUDA kernels, run on the CPU: the launches of workers/families, each thread a fibre, under sanitizers.

This shows index arithmetic, barriers, memory accesses and rounding, and nothing of a GPU's own ways or speed.
Kernels that march are in test_cuda_march.py.
"""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from gridstride.workers.families.separable import Pass, Separable
from gridstride.workers.families.stencil import Stencil
from gridstride.workers.operators import registry
from gridstride.workers.operators.base import Grid, Region, Window
from tests.blockwise import on_cpu
from tests.cuda_host import table
from tests.cuda_host.host import Host, build
from tests.cuda_host.table import Case, assert_same, gaussian, planned, whole
from tests.marks import quick

pytestmark = [
    pytest.mark.skipif(shutil.which("g++") is None, reason="g++ builds the kernels for the CPU; it is missing"),
    pytest.mark.slow,
]

FLOAT = np.dtype(np.float64)


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    every = [found for found in registry.instantiations() if found[0] in ("separable.cu", "correlate.cu")]
    host = Host(build(tmp_path_factory.mktemp("cuda_host"), every), seed=1)
    yield host
    host.close()


def check(host, case: Case, rng, pieces=1):
    """The grid, and blocks of it, against scipy's sums."""
    wanted = table.expected(case)
    for want in table.cuts(case, rng, pieces):
        here = want.within(Region.whole(wanted.shape))
        assert_same(host.compute(case.op, case.window(want)), wanted[here], f"{case.name} {want}")


@pytest.mark.parametrize("seed", quick(8, range(25)))
def test_separable_sums_have_scipys_bits_on_any_grid_and_block(host, seed):
    rng = np.random.default_rng(seed)
    check(host, table.separable_case(rng, "double"), rng)
    check(host, table.separable_case(rng, "double"), rng, pieces=2)


@pytest.mark.parametrize("seed", quick(8, range(25)))
def test_correlate_sums_taps_in_order_on_any_grid_and_block(host, seed):
    rng = np.random.default_rng(seed)
    check(host, table.correlate_case(rng, "double"), rng)
    check(host, table.correlate_case(rng, "double"), rng, pieces=2)


FEW = {"uint8", "int64", "float64", "bool"}


@pytest.mark.parametrize("dtype", quick(len(FEW), sorted(table.DTYPES, key=lambda name: name not in FEW)))
def test_every_dtype_is_read_and_written(host, dtype):
    rng = np.random.default_rng(5)
    for make in (table.separable_case, table.correlate_case):
        for _ in range(3):
            check(host, make(rng, "double", dtype=dtype), rng)
            check(host, make(rng, "double", out=dtype), rng)
            check(host, make(rng, "double", out=dtype, dtype=dtype), rng)


@pytest.mark.parametrize("seed", quick(6, range(12)))
def test_float32_sums_are_within_rounding(host, seed):
    rng = np.random.default_rng(seed)
    for make in (table.separable_case, table.correlate_case):
        case = make(rng, "single", out="float32")
        case = replace(case, op=replace(case.op, cast="round"))
        result = host.compute(case.op, whole(case.op, case.data))
        atol = table.rounding(case)
        np.testing.assert_allclose(result, table.expected(case), rtol=0, atol=atol, err_msg=case.name)
        if make is table.correlate_case and not case.op.marches(case.data.dtype):
            assert_same(result, on_cpu(case.op, whole(case.op, case.data)), f"{case.name} on the CPU")


@pytest.mark.parametrize("seed", quick(6, range(12)))
def test_the_cpu_gives_the_same(host, seed):
    rng = np.random.default_rng(seed)
    dtype = ("uint8", "float32", "int16", "float64")[seed % 4]
    case = table.correlate_case(rng, "double", "float64", dtype)
    assert_same(host.compute(case.op, whole(case.op, case.data)), on_cpu(case.op, whole(case.op, case.data)), case.name)
    case = table.separable_case(rng, "double", "float64", dtype)
    assert_same(host.compute(case.op, whole(case.op, case.data)), on_cpu(case.op, whole(case.op, case.data)), case.name)


# A tile of rows is 7 * 4 ... 7 * 256 outputs wide; of columns, 2 ... 32 wide and 8 * 8 ... 8 * 128 high.
@pytest.mark.parametrize("size", [1, 27, 28, 29, 57, 1791, 1792, 1793])
def test_rows_at_the_edges_of_tiles(host, size):
    rng = np.random.default_rng(size)
    for rows in (1, 3, 65) if size < 100 else (1, 2):
        op = Separable((Pass(1, gaussian(9), 4, "mirror"),), FLOAT, "double")
        check(host, Case("rows", op, table.numbers(rng, (rows, size), "uint16")), rng)


@pytest.mark.parametrize("size", [1, 63, 64, 65, 130])
@pytest.mark.parametrize("after", [2, 3, 17, 31, 32, 33, 65])
def test_columns_at_the_edges_of_tiles(host, size, after):
    rng = np.random.default_rng(size)
    for weights in (gaussian(9), rng.normal(size=8)):
        op = Separable((Pass(1, weights, 4, "reflect"),), FLOAT, "double")
        check(host, Case("columns", op, table.numbers(rng, (2, size, after), "uint8")), rng)


@pytest.mark.parametrize(("size", "taps"), [(3, 4301), (3000, 2176), (3000, 2177)])
def test_rows_of_any_number_of_taps(host, size, taps):
    rng = np.random.default_rng(0)
    for symmetry in (0, 1, -1):
        op = Separable((Pass(0, table.taps(rng, taps, symmetry), taps // 2, "wrap"),), FLOAT, "double")
        check(host, Case("long", op, table.numbers(rng, (size,), "float64")), rng)


@pytest.mark.parametrize("taps", [124, 125, 126, 399])
def test_columns_of_any_number_of_taps(host, taps):
    rng = np.random.default_rng(0)
    for symmetry in (0, 1, -1):
        op = Separable((Pass(0, table.taps(rng, taps, symmetry), taps // 2, "constant", 2.5),), FLOAT, "double")
        check(host, Case("tall", op, table.numbers(rng, (90, 40), "float64")), rng)


def test_both_ways_through_a_pass_are_tried_above():
    """The taps above lie on both sides of what a tile holds in shared memory."""

    def names(shape, axis, taps):
        op = Separable((Pass(axis, np.ones(taps), 0, "wrap"),), FLOAT, "double")
        return [launch.expression.split("<")[0] for launch in planned(op, whole(op, np.zeros(shape))).launches]

    assert names((3000,), 0, 2176) == ["pass_rows"]
    assert names((3000,), 0, 2177) == ["pass_direct"]
    assert names((90, 40), 0, 125) == ["pass_columns"]
    assert names((90, 40), 0, 126) == ["pass_direct"]


@pytest.mark.parametrize("shape", [(1, 1), (15, 159), (16, 160), (17, 161), (33, 40), (130, 3), (1, 1281), (1300,)])
def test_correlate_at_the_edges_of_tiles(host, shape):
    rng = np.random.default_rng(0)
    for sizes in ((1, 1), (3, 4), (7, 5), (2, 66), (3, 150), (40, 9)):
        sizes = sizes[-len(shape) :]
        weights = rng.normal(size=(1, 1, *sizes))
        before = tuple(n // 2 for n in sizes)
        op = Stencil(weights, before, ("nearest",) * len(shape), 0.0, FLOAT, "double", "scipy")
        data = table.numbers(rng, shape, "float32")
        result = host.compute(op, whole(op, data))
        assert_same(result, ndimage.correlate(data, weights[0, 0], np.float64, "nearest"), f"{shape} {sizes}")


@pytest.mark.parametrize("mode", table.MODES)
def test_halos_wider_than_the_grid(host, mode):
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 5):
        op = Separable((Pass(0, rng.normal(size=25), 12, mode, 1.5),), FLOAT, "double")
        check(host, Case(mode, op, table.numbers(rng, (n,), "float64")), rng)
        weights = rng.normal(size=(1, 1, 1, 13, 15))
        op = Stencil(weights, (0, 6, 7), ("wrap", mode, mode), 1.5, FLOAT, "double")
        check(host, Case(mode, op, table.numbers(rng, (3, n, 2), "float64")), rng)


def test_a_grid_smaller_than_the_tiles_loops(host):
    rng = np.random.default_rng(0)
    data = table.numbers(rng, (5, 200, 70), "uint16")
    passes = tuple(Pass(axis, gaussian(7), 3, "reflect") for axis in range(3))
    cases = [
        Separable(passes, np.dtype(np.uint16), "double"),
        Stencil(rng.normal(size=(1, 1, 3, 3, 3)), (1, 1, 1), ("mirror",) * 3, 0.0, np.dtype(np.uint8), "double"),
        Separable((Pass(1, gaussian(399, 60), 199, "reflect"),), FLOAT, "double"),  # has no tiles: a few outputs do
    ]
    for op, given in zip(cases, (data, data, data[:2, :, :5]), strict=True):
        for max_grid in (1, 3):
            assert_same(host.compute(op, whole(op, given), max_grid), table.expected(Case("", op, given)))


SPECIAL = [
    0.0,
    -0.0,
    0.5,
    1.5,
    2.5,
    -0.5,
    -1.5,
    0.49999999999999994,
    126.5,
    127.5,
    128,
    -128.5,
    -129,
    254.5,
    255.5,
    256,
]
SPECIAL += [sign * 2.0**k + d for k in (15, 16, 31, 32, 53, 62) for sign in (-1, 1) for d in (-1, -0.5, 0, 0.5, 1)]
SPECIAL += [2.0**63 - 1024, 2.0**63, 2.0**64 - 2048, -(2.0**63), 0.999, -0.999, -1.0]
TOO_LARGE = [2.0**64, 1e30, -1e30, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize("dtype", table.DTYPES)
def test_casts_round_saturate_and_truncate(host, dtype, precision):
    acc = np.float32 if precision == "single" else np.float64
    with np.errstate(over="ignore"):
        for cast, values in (("round", SPECIAL + TOO_LARGE), ("scipy", SPECIAL)):
            data = np.array(values, acc)
            if cast == "scipy":
                data = data[np.abs(data) < 2.0 ** (64 if dtype == "uint64" else 63)]
            op = Separable((), np.dtype(dtype), precision, cast)
            assert_same(host.compute(op, whole(op, data)), table.cast_to(data, np.dtype(dtype), cast), cast)


def test_half_precision(host):
    rng = np.random.default_rng(0)
    half = np.dtype(np.float16)
    values = np.concatenate([rng.normal(size=500) * 10.0 ** rng.integers(-9, 6, 500), SPECIAL, [65519, 65520, 65536]])
    values = np.concatenate([values, [np.inf, -np.inf, np.nan, 1e300]])
    passes = (Pass(0, np.ones(1), 0, "wrap"), Pass(1, np.array([1.0, 0, 0]), 1, "wrap"))
    for between in (False, True):
        op = Separable(passes, half, "double", between=between)
        data = values[:, None].repeat(2, 1)
        with np.errstate(over="ignore", invalid="ignore"):
            first = data.astype(half).astype(float) if between else data
            wanted = ndimage.correlate1d(first, passes[1].weights, 1, mode="wrap").astype(half)
            assert_same(host.compute(op, whole(op, data)), wanted)
    data = rng.normal(size=(20, 30)).astype(half)
    op = Stencil(rng.normal(size=(1, 1, 3, 3)), (1, 1), ("mirror",) * 2, 0.0, half, "double")
    assert_same(host.compute(op, whole(op, data)), table.expected(Case("", op, data)))


def test_a_tap_of_zero_keeps_infinity_and_nan_away(host):
    data = np.ones((9, 9))
    data[4, 4], data[0, 0] = np.inf, np.nan
    weights = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 1e-17]])[None, None]
    for cast, reached in (("round", 6), ("scipy", 5)):
        op = Stencil(weights, (1, 1), ("nearest",) * 2, 0.0, FLOAT, "double", cast)
        result = host.compute(op, whole(op, data))
        assert np.isinf(result).sum() == reached


def test_data_may_be_a_view(host):
    rng = np.random.default_rng(0)
    data = table.numbers(rng, (40, 30), "float32").T[::-1, ::2]
    for op in (
        Separable((Pass(0, gaussian(5), 2, "wrap"), Pass(1, gaussian(5), 2, "wrap")), FLOAT, "double"),
        Stencil(rng.normal(size=(1, 1, 3, 3)), (1, 1), ("wrap",) * 2, 0.0, FLOAT, "double"),
    ):
        assert_same(host.compute(op, whole(op, data)), table.expected(Case("", op, data)))


def test_an_empty_block_gives_an_empty_result(host):
    block = Window(np.zeros((4, 3)), Region(((0, 4), (0, 3))), Region(((2, 2), (0, 3))), Grid.of((9, 3), FLOAT))
    for op in (
        Separable((Pass(0, gaussian(5), 2, "wrap"),), np.dtype(np.uint8)),
        Stencil(np.ones((1, 1, 3, 1)), (1, 0), ("wrap",) * 2, 0.0, np.dtype(np.uint8)),
        Stencil(np.ones((1, 1, 3, 1)), (1, 0), ("wrap",) * 2, 0.0, np.dtype(np.uint8), algorithm="fft"),
    ):
        result = host.compute(op, block)
        assert result.shape == (0, 3)
        assert result.dtype == np.uint8


@pytest.mark.parametrize("seed", range(10))
def test_fft_gives_what_taps_give(host, seed):
    rng = np.random.default_rng(seed)
    case = table.correlate_case(rng, "double", out="float64")
    op = replace(case.op, algorithm="fft")
    result = host.compute(op, whole(op, case.data))
    np.testing.assert_allclose(result, table.expected(case), rtol=0, atol=1e-10 * (1 + np.abs(result).max()))
    small = replace(op, out_dtype=np.dtype(np.uint16), cast="round")
    assert_same(host.compute(small, whole(small, case.data)), table.cast_to(result, np.dtype(np.uint16), "round"))


def test_fft_of_a_block_with_infinity_goes_tap_by_tap(host):
    data = np.random.default_rng(0).normal(size=(30, 30))
    data[3, 3] = np.inf
    op = Stencil(np.ones((1, 1, 5, 5)), (2, 2), ("reflect",) * 2, 0.0, FLOAT, "double", algorithm="fft")
    result = host.compute(op, whole(op, data))
    assert np.isinf(result).sum() == 25
    assert_same(result, table.expected(Case("", replace(op, algorithm="direct"), data)))
