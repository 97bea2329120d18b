"""The CUDA kernels, run on the CPU: the launches of workers/gpu.py, each thread a fibre, under sanitizers.

This shows index arithmetic, barriers, memory accesses and rounding, and nothing of a GPU's own ways or speed.
"""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from gridstride.workers import cpu, gpu, kernels
from gridstride.workers.operators import Correlate, Pass, Separable
from gridstride.workers.operators.base import Block
from tests.cuda_host import table
from tests.cuda_host.host import Host, build
from tests.cuda_host.table import Case, gaussian, whole
from tests.marks import quick

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ builds the kernels for the CPU; it is missing")

FLOAT = np.dtype(np.float64)


# Of the kernels that march there are hundreds: all types once, and the shapes that take different ways.
TYPES = tuple((i, o) for i in kernels.MARCH_TYPES for o in dict.fromkeys(("f32", i)))
MARCHES = [
    *((kernel, types, (3, 3, 3)) for kernel in ("fused", "dense") for types in TYPES),
    *(
        ("fused", types, taps)
        for types in (("f32", "f32"), ("u16", "u16"))
        for taps in ((1, 5, 5), (5, 3, 3), (5, 5, 1))
    ),
    *(("dense", types, taps) for types in (("f32", "f32"), ("u16", "u16")) for taps in ((1, 5, 5), (7, 7, 7))),
    ("fused", ("f32", "f32"), (17, 17, 17)),
    ("dense", ("f32", "f32"), (1, 15, 15)),
]


def march_expression(kernel, types, taps, skip=False):
    last = [str(skip).lower()] if kernel == "dense" else []
    return f"{kernel}<{', '.join([*types, *map(str, taps), *last])}>"


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    some = {("march.cu", march_expression(*march)) for march in MARCHES}
    some.add(("march.cu", march_expression("dense", ("f32", "f32"), (3, 3, 3), skip=True)))
    others = {found for found in kernels.instantiations() if found[0] in ("separable.cu", "correlate.cu")}
    assert some <= set(kernels.instantiations())
    return build(tmp_path_factory.mktemp("cuda_host"), some | others)


@pytest.fixture(scope="module")
def host(program):
    host = Host(program, seed=1)
    yield host
    host.close()


def assert_same(result, wanted, name=""):
    assert result.dtype == wanted.dtype, name
    np.testing.assert_array_equal(result, wanted, err_msg=name)


def check(host, case: Case, rng, pieces=1):
    """The grid, and blocks of it, against scipy's sums."""
    wanted = table.expected(case)
    channel = getattr(case.op, "channel_axis", None)
    for start, stop in table.cuts(case, rng, pieces):
        block = table.block_of(case.op, case.data, start, stop)
        here = tuple(
            slice(None) if axis == channel else slice(a, b) for axis, (a, b) in enumerate(zip(start, stop, strict=True))
        )
        assert_same(host.compute(case.op, block), wanted[here], f"{case.name} {start} {stop}")


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
        result = host.compute(case.op, whole(case.data))
        atol = table.rounding(case)
        np.testing.assert_allclose(result, table.expected(case), rtol=0, atol=atol, err_msg=case.name)


@pytest.mark.parametrize("seed", quick(6, range(12)))
def test_the_cpu_gives_the_same(host, seed):
    rng = np.random.default_rng(seed)
    dtype = ("uint8", "float32", "int16", "float64")[seed % 4]
    case = table.correlate_case(rng, "double", "float64", dtype)
    assert_same(host.compute(case.op, whole(case.data)), cpu.correlate(case.op, whole(case.data)), case.name)
    case = table.separable_case(rng, "double", "float64", dtype)
    assert_same(host.compute(case.op, whole(case.data)), cpu.separable(case.op, whole(case.data)), case.name)


# A tile of rows is 7 * 4 ... 7 * 256 outputs wide; of columns, 2 ... 32 wide and 8 * 8 ... 8 * 128 high.
@pytest.mark.parametrize("size", [1, 27, 28, 29, 57, 1791, 1792, 1793])
def test_rows_at_the_edges_of_tiles(host, size):
    rng = np.random.default_rng(size)
    for rows in (1, 3, 65) if size < 100 else (1, 2):
        op = Separable(2, (Pass(1, gaussian(9), 4, "mirror"),), FLOAT, "double")
        check(host, Case("rows", op, table.numbers(rng, (rows, size), "uint16")), rng)


@pytest.mark.parametrize("size", [1, 63, 64, 65, 130])
@pytest.mark.parametrize("after", [2, 3, 17, 31, 32, 33, 65])
def test_columns_at_the_edges_of_tiles(host, size, after):
    rng = np.random.default_rng(size)
    for weights in (gaussian(9), rng.normal(size=8)):
        op = Separable(3, (Pass(1, weights, 4, "reflect"),), FLOAT, "double")
        check(host, Case("columns", op, table.numbers(rng, (2, size, after), "uint8")), rng)


@pytest.mark.parametrize(("size", "taps"), [(3, 4301), (3000, 2176), (3000, 2177)])
def test_rows_of_any_number_of_taps(host, size, taps):
    rng = np.random.default_rng(0)
    for symmetry in (0, 1, -1):
        op = Separable(1, (Pass(0, table.taps(rng, taps, symmetry), taps // 2, "wrap"),), FLOAT, "double")
        check(host, Case("long", op, table.numbers(rng, (size,), "float64")), rng)


@pytest.mark.parametrize("taps", [124, 125, 126, 399])
def test_columns_of_any_number_of_taps(host, taps):
    rng = np.random.default_rng(0)
    for symmetry in (0, 1, -1):
        op = Separable(2, (Pass(0, table.taps(rng, taps, symmetry), taps // 2, "constant", 2.5),), FLOAT, "double")
        check(host, Case("tall", op, table.numbers(rng, (90, 40), "float64")), rng)


def test_both_ways_through_a_pass_are_tried_above():
    """The taps above lie on both sides of what a tile holds in shared memory."""

    def names(shape, axis, taps):
        op = Separable(len(shape), (Pass(axis, np.ones(taps), 0, "wrap"),), FLOAT, "double")
        return [launch.expression.split("<")[0] for launch in gpu.plan_separable(op, whole(np.zeros(shape))).launches]

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
        op = Correlate(weights, before, ("nearest",) * len(shape), 0.0, FLOAT, "double", "scipy")
        data = table.numbers(rng, shape, "float32")
        result = host.compute(op, whole(data))
        assert_same(result, ndimage.correlate(data, weights[0, 0], np.float64, "nearest"), f"{shape} {sizes}")


@pytest.mark.parametrize("mode", table.MODES)
def test_halos_wider_than_the_grid(host, mode):
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 5):
        op = Separable(1, (Pass(0, rng.normal(size=25), 12, mode, 1.5),), FLOAT, "double")
        check(host, Case(mode, op, table.numbers(rng, (n,), "float64")), rng)
        weights = rng.normal(size=(1, 1, 1, 13, 15))
        op = Correlate(weights, (0, 6, 7), ("wrap", mode, mode), 1.5, FLOAT, "double")
        check(host, Case(mode, op, table.numbers(rng, (3, n, 2), "float64")), rng)


def test_a_grid_smaller_than_the_tiles_loops(host):
    rng = np.random.default_rng(0)
    data = table.numbers(rng, (5, 200, 70), "uint16")
    passes = tuple(Pass(axis, gaussian(7), 3, "reflect") for axis in range(3))
    cases = [
        Separable(3, passes, np.dtype(np.uint16), "double"),
        Correlate(rng.normal(size=(1, 1, 3, 3, 3)), (1, 1, 1), ("mirror",) * 3, 0.0, np.dtype(np.uint8), "double"),
        Separable(3, (Pass(1, gaussian(399, 60), 199, "reflect"),), FLOAT, "double"),  # has no tiles: a few outputs do
    ]
    for op, given in zip(cases, (data, data, data[:2, :, :5]), strict=True):
        for max_grid in (1, 3):
            assert_same(host.compute(op, whole(given), max_grid), table.expected(Case("", op, given)))


NAMES = {"f32": "float32", "u8": "uint8", "u16": "uint16", "i16": "int16"}
MARCH_IDS = [f"{kernel} {i} {o} {z}{y}{x}" for kernel, (i, o), (z, y, x) in MARCHES]


def check_march(host, case, kernel, rng, pieces=1):
    """One launch, and for every block the grid's bits; these are within rounding of scipy's sums."""
    plan_of = gpu.plan_separable if isinstance(case.op, Separable) else gpu.plan_correlate
    (launch,) = plan_of(case.op, whole(case.data)).launches
    assert launch.expression.startswith(kernel)
    wanted = table.marched(case)
    if wanted.dtype == np.float32:
        atol = table.march_rounding(case)
        np.testing.assert_allclose(wanted, table.expected(case), rtol=0, atol=atol, err_msg=case.name)
    for start, stop in table.cuts(case, rng, pieces):
        here = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        result = host.compute(case.op, table.block_of(case.op, case.data, start, stop))
        assert_same(result, wanted[here], f"{case.name} {start} {stop}")


@pytest.fixture
def few_chunks(monkeypatch):
    monkeypatch.setattr(gpu, "BLOCKS_AT_ONCE", 4)


@pytest.mark.parametrize(("kernel", "types", "taps"), MARCHES, ids=MARCH_IDS)
def test_kernels_that_march_sum_in_their_order_on_any_grid_and_block(host, few_chunks, kernel, types, taps):
    rng = np.random.default_rng(0)
    i, o = (NAMES[name] for name in types)
    for shape in ((5, 37, 35), (1, 3, 2)):
        check_march(host, table.march_case(rng, shape, kernel, taps, i, o), kernel, rng)
    check_march(host, table.march_case(rng, (7, 6, 40), kernel, taps, i, o), kernel, rng, pieces=2)


@pytest.mark.parametrize("mode", table.MODES)
@pytest.mark.parametrize(("kernel", "types", "taps"), MARCHES[:14:7], ids=MARCH_IDS[:14:7])
def test_kernels_that_march_at_every_boundary_and_edge_of_a_tile(host, few_chunks, kernel, types, taps, mode):
    rng = np.random.default_rng(1)
    high = 32 if kernel == "fused" else 64
    for shape in ((1, 1, 1), (2, 1, 31), (3, high - 1, 32), (2, high, 33), (9, high + 1, 1)):
        check_march(host, table.march_case(rng, shape, kernel, taps, "uint8", "float32", (mode,) * 3), kernel, rng)


@pytest.mark.parametrize("at_once", [1, 3, 30, 264])
def test_how_z_is_cut_into_chunks_does_not_matter(host, monkeypatch, at_once):
    monkeypatch.setattr(gpu, "BLOCKS_AT_ONCE", at_once)
    rng = np.random.default_rng(2)
    for kernel, taps in (("fused", (3, 3, 3)), ("dense", (3, 3, 3)), ("fused", (5, 5, 1)), ("dense", (1, 5, 5))):
        case = table.march_case(rng, (31, 20, 34), kernel, taps, "uint16", "uint16")
        wanted = table.marched(case)
        for max_grid in (2, kernels.MAX_GRID):
            assert_same(host.compute(case.op, whole(case.data), max_grid), wanted, case.name)


def test_axes_before_the_last_three_and_other_types_out_have_launches_of_their_own(host, few_chunks):
    rng = np.random.default_rng(3)
    weights = [rng.normal(size=3) / 2 for _ in range(4)]
    data = table.numbers(rng, (2, 3, 9, 10), "uint8")
    for out, first in (("float32", 0), ("uint8", 0), ("int32", 0), ("float16", 0), ("float32", 1), ("uint8", 1)):
        passes = tuple(Pass(axis, weights[axis], 1, "reflect") for axis in range(first, 4))
        op = Separable(4, passes, np.dtype(out), "single")
        names = [launch.expression.split("<")[0] for launch in gpu.plan_separable(op, whole(data)).launches]
        cast = out == "int32" or (out == "uint8" and first == 0)
        assert names == ["pass_columns"] * (first == 0) + ["fused"] + ["cast"] * cast
        exact = table.expected(Case("", replace(op, out_dtype=FLOAT), data))
        result = host.compute(op, whole(data)).astype(float)
        tolerance = {"float32": 1e-4, "float16": 0.2}.get(out, 0.5001)
        limits = np.iinfo(out) if np.dtype(out).kind in "iu" else np.finfo(out)
        np.testing.assert_allclose(result, exact.clip(limits.min, limits.max), rtol=0, atol=tolerance)
    weights = rng.normal(size=(1, 1, 1, 3, 3, 3))
    op = Correlate(weights, (0, 1, 1, 1), ("mirror",) * 4, 0.0, np.dtype(np.float32), "single")
    block = Block(data, (0,) * 4, (1, 0, 0, 0), data.shape, data.shape)  # with more than it needs of the first axis
    np.testing.assert_allclose(host.compute(op, block), table.expected(Case("", op, data))[1:], rtol=0, atol=1e-2)


def test_what_does_not_commute_or_has_scipys_bits_is_not_fused():
    fused = Separable(3, tuple(Pass(a, np.ones(3), 1, "constant") for a in range(3)), np.dtype(np.float32))
    first, *others = fused.passes
    dense = Correlate(np.ones((1, 1, 3, 3, 3)), (1,) * 3, ("constant",) * 3, 0.0, np.dtype(np.float32))

    def launches(op, dtype="float32"):
        plan_of = gpu.plan_separable if isinstance(op, Separable) else gpu.plan_correlate
        plan = plan_of(op, whole(np.zeros((4, 5, 6), dtype)))
        return {launch.file for launch in plan.launches}

    assert launches(fused) == launches(dense) == launches(replace(dense, cval=7.0), "uint8") == {"march.cu"}
    for op in (
        replace(fused, precision="double"),
        replace(fused, cast="scipy"),
        replace(fused, between=True),
        replace(fused, passes=(replace(first, cval=1.0), *others[:1])),
        replace(fused, passes=(replace(first, weights=np.ones(4)), *others)),
        replace(fused, passes=(replace(first, weights=np.ones(19)), *others)),
    ):
        assert launches(op) == {"separable.cu"}
    assert launches(fused, "uint32") == {"separable.cu"}
    for op in (replace(dense, precision="double"), replace(dense, cast="scipy"), replace(dense, channel_axis=0)):
        assert launches(op) == {"correlate.cu"}
    for cval in (0.5, 256.0, -1.0, np.inf, np.nan):
        assert launches(replace(dense, cval=cval), "uint8") == {"correlate.cu"}
    # But a constant is nothing to the passes after the last that has one.
    assert launches(replace(fused, passes=(replace(first, cval=1.0), *others))) == {"separable.cu", "march.cu"}


def test_dense_kernels_keep_infinity_from_taps_of_zero(host):
    data = np.ones((5, 5, 5), np.float32)
    data[2, 2, 2] = np.inf
    weights = np.zeros((1, 1, 3, 3, 3))
    weights[0, 0, 1, 1], weights[0, 0, 1, :, 1], weights[0, 0, :, 1, 1] = 1, 1, 1
    op = Correlate(weights, (1, 1, 1), ("nearest",) * 3, 0.0, np.dtype(np.float32))
    (launch,) = gpu.plan_correlate(op, whole(data)).launches
    assert launch.expression == "dense<f32, f32, 3, 3, 3, true>"
    result = host.compute(op, whole(data))
    assert (np.isinf(result) == (weights[0, 0] > 0).sum()).sum() == 0
    assert np.isinf(result).sum() == 7
    assert np.isnan(result).sum() == 0


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
            op = Separable(1, (), np.dtype(dtype), precision, cast)
            assert_same(host.compute(op, whole(data)), table.cast_to(data, np.dtype(dtype), cast), cast)


def test_half_precision(host):
    rng = np.random.default_rng(0)
    half = np.dtype(np.float16)
    values = np.concatenate([rng.normal(size=500) * 10.0 ** rng.integers(-9, 6, 500), SPECIAL, [65519, 65520, 65536]])
    values = np.concatenate([values, [np.inf, -np.inf, np.nan, 1e300]])
    passes = (Pass(0, np.ones(1), 0, "wrap"), Pass(1, np.array([1.0, 0, 0]), 1, "wrap"))
    for between in (False, True):
        op = Separable(2, passes, half, "double", between=between)
        data = values[:, None].repeat(2, 1)
        with np.errstate(over="ignore", invalid="ignore"):
            first = data.astype(half).astype(float) if between else data
            wanted = ndimage.correlate1d(first, passes[1].weights, 1, mode="wrap").astype(half)
            assert_same(host.compute(op, whole(data)), wanted)
    data = rng.normal(size=(20, 30)).astype(half)
    op = Correlate(rng.normal(size=(1, 1, 3, 3)), (1, 1), ("mirror",) * 2, 0.0, half, "double")
    assert_same(host.compute(op, whole(data)), table.expected(Case("", op, data)))


def test_a_tap_of_zero_keeps_infinity_and_nan_away(host):
    data = np.ones((9, 9))
    data[4, 4], data[0, 0] = np.inf, np.nan
    weights = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 1e-17]])[None, None]
    for cast, reached in (("round", 6), ("scipy", 5)):
        op = Correlate(weights, (1, 1), ("nearest",) * 2, 0.0, FLOAT, "double", cast)
        result = host.compute(op, whole(data))
        assert np.isinf(result).sum() == reached


def test_data_may_be_a_view(host):
    rng = np.random.default_rng(0)
    data = table.numbers(rng, (40, 30), "float32").T[::-1, ::2]
    for op in (
        Separable(2, (Pass(0, gaussian(5), 2, "wrap"), Pass(1, gaussian(5), 2, "wrap")), FLOAT, "double"),
        Correlate(rng.normal(size=(1, 1, 3, 3)), (1, 1), ("wrap",) * 2, 0.0, FLOAT, "double"),
    ):
        assert_same(host.compute(op, whole(data)), table.expected(Case("", op, data)))


def test_an_empty_block_gives_an_empty_result(host):
    block = Block(np.zeros((4, 3)), (0, 0), (2, 0), (2, 3), (9, 3))
    for op in (
        Separable(2, (Pass(0, gaussian(5), 2, "wrap"),), np.dtype(np.uint8)),
        Correlate(np.ones((1, 1, 3, 1)), (1, 0), ("wrap",) * 2, 0.0, np.dtype(np.uint8)),
        Correlate(np.ones((1, 1, 3, 1)), (1, 0), ("wrap",) * 2, 0.0, np.dtype(np.uint8), algorithm="fft"),
    ):
        result = host.compute(op, block)
        assert result.shape == (0, 3)
        assert result.dtype == np.uint8


@pytest.mark.parametrize("seed", range(10))
def test_fft_gives_what_taps_give(host, seed):
    rng = np.random.default_rng(seed)
    case = table.correlate_case(rng, "double", out="float64")
    op = replace(case.op, algorithm="fft")
    result = host.compute(op, whole(case.data))
    np.testing.assert_allclose(result, table.expected(case), rtol=0, atol=1e-10 * (1 + np.abs(result).max()))
    small = replace(op, out_dtype=np.dtype(np.uint16), cast="round")
    assert_same(host.compute(small, whole(case.data)), table.cast_to(result, np.dtype(np.uint16), "round"))


def test_fft_of_a_block_with_infinity_goes_tap_by_tap(host):
    data = np.random.default_rng(0).normal(size=(30, 30))
    data[3, 3] = np.inf
    op = Correlate(np.ones((1, 1, 5, 5)), (2, 2), ("reflect",) * 2, 0.0, FLOAT, "double", algorithm="fft")
    result = host.compute(op, whole(data))
    assert np.isinf(result).sum() == 25
    assert_same(result, table.expected(Case("", replace(op, algorithm="direct"), data)))
