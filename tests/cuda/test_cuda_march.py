"""The CUDA kernels that march, run on the CPU as in test_cuda_host.py."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from gridstride.workers import launches
from gridstride.workers.families import march
from gridstride.workers.families.separable import Pass, Separable
from gridstride.workers.families.stencil import Stencil
from gridstride.workers.operators import registry
from gridstride.workers.operators.base import Grid, Region, Window
from tests.blockwise import on_cpu
from tests.cuda_host import table
from tests.cuda_host.host import Host, build
from tests.cuda_host.table import Case, assert_same, planned, whole

pytestmark = [
    pytest.mark.skipif(shutil.which("g++") is None, reason="g++ builds the kernels for the CPU; it is missing"),
    pytest.mark.slow,
]

FLOAT = np.dtype(np.float64)


# Of the kernels that march there are hundreds: all types once, and the shapes that take different ways.
TYPES = tuple((i, o) for i in march.MARCH_TYPES for o in dict.fromkeys(("f32", i)))
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


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    some = {("march.cu", march_expression(*march)) for march in MARCHES}
    some.add(("march.cu", march_expression("dense", ("f32", "f32"), (3, 3, 3), skip=True)))
    # Other types out, and axes before the last three, take a launch more.
    some |= {found for found in registry.instantiations() if found[1].startswith(("cast", "pass_columns"))}
    assert some <= set(registry.instantiations())
    host = Host(build(tmp_path_factory.mktemp("cuda_march"), some), seed=1)
    yield host
    host.close()


NAMES = {"f32": "float32", "u8": "uint8", "u16": "uint16", "i16": "int16"}
MARCH_IDS = [f"{kernel} {i} {o} {z}{y}{x}" for kernel, (i, o), (z, y, x) in MARCHES]


def check_march(host, case, kernel, rng, pieces=1):
    """One launch, and for every block the grid's bits; these are within rounding of scipy's sums."""
    (launch,) = planned(case.op, whole(case.op, case.data)).launches
    assert launch.expression.startswith(kernel)
    wanted = table.marched(case)
    if wanted.dtype == np.float32:
        atol = table.march_rounding(case)
        np.testing.assert_allclose(wanted, table.expected(case), rtol=0, atol=atol, err_msg=case.name)
    if kernel == "dense":
        assert_same(on_cpu(case.op, whole(case.op, case.data)), wanted, f"{case.name} on the CPU")
    for want in table.cuts(case, rng, pieces):
        result = host.compute(case.op, case.window(want))
        assert_same(result, wanted[want.within(Region.whole(wanted.shape))], f"{case.name} {want}")


@pytest.fixture
def few_chunks(monkeypatch):
    monkeypatch.setattr(march, "BLOCKS_AT_ONCE", 4)


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
    monkeypatch.setattr(march, "BLOCKS_AT_ONCE", at_once)
    rng = np.random.default_rng(2)
    for kernel, taps in (("fused", (3, 3, 3)), ("dense", (3, 3, 3)), ("fused", (5, 5, 1)), ("dense", (1, 5, 5))):
        case = table.march_case(rng, (31, 20, 34), kernel, taps, "uint16", "uint16")
        wanted = table.marched(case)
        for max_grid in (2, launches.MAX_GRID):
            assert_same(host.compute(case.op, whole(case.op, case.data), max_grid), wanted, case.name)


def test_axes_before_the_last_three_and_other_types_out_have_launches_of_their_own(host, few_chunks):
    rng = np.random.default_rng(3)
    weights = [rng.normal(size=3) / 2 for _ in range(4)]
    data = table.numbers(rng, (2, 3, 9, 10), "uint8")
    for out, first in (("float32", 0), ("uint8", 0), ("int32", 0), ("float16", 0), ("float32", 1), ("uint8", 1)):
        passes = tuple(Pass(axis, weights[axis], 1, "reflect") for axis in range(first, 4))
        op = Separable(passes, np.dtype(out), "single")
        names = [launch.expression.split("<")[0] for launch in planned(op, whole(op, data)).launches]
        cast = out == "int32" or (out == "uint8" and first == 0)
        assert names == ["pass_columns"] * (first == 0) + ["fused"] + ["cast"] * cast
        exact = table.expected(Case("", replace(op, out_dtype=FLOAT), data))
        result = host.compute(op, whole(op, data)).astype(float)
        tolerance = {"float32": 1e-4, "float16": 0.2}.get(out, 0.5001)
        limits = np.iinfo(out) if np.dtype(out).kind in "iu" else np.finfo(out)
        np.testing.assert_allclose(result, exact.clip(limits.min, limits.max), rtol=0, atol=tolerance)
    weights = rng.normal(size=(1, 1, 1, 3, 3, 3))
    op = Stencil(weights, (0, 1, 1, 1), ("mirror",) * 4, 0.0, np.dtype(np.float32), "single")
    have, want = Region.whole(data.shape), Region.of((1, 0, 0, 0), data.shape)
    block = Window(data, have, want, Grid.of(data.shape, data.dtype))  # with more than it needs of the first axis
    np.testing.assert_allclose(host.compute(op, block), table.expected(Case("", op, data))[1:], rtol=0, atol=1e-2)


def test_what_does_not_commute_or_has_scipys_bits_is_not_fused():
    fused = Separable(tuple(Pass(a, np.ones(3), 1, "constant") for a in range(3)), np.dtype(np.float32))
    first, *others = fused.passes
    dense = Stencil(np.ones((1, 1, 3, 3, 3)), (1,) * 3, ("constant",) * 3, 0.0, np.dtype(np.float32))

    def launches(op, dtype="float32"):
        plan = planned(op, whole(op, np.zeros((4, 5, 6), dtype)))
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
    op = Stencil(weights, (1, 1, 1), ("nearest",) * 3, 0.0, np.dtype(np.float32))
    (launch,) = planned(op, whole(op, data)).launches
    assert launch.expression == "dense<f32, f32, 3, 3, 3, true>"
    result = host.compute(op, whole(op, data))
    assert (np.isinf(result) == (weights[0, 0] > 0).sum()).sum() == 0
    assert np.isinf(result).sum() == 7
    assert np.isnan(result).sum() == 0
