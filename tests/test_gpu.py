"""The operators on a real GPU, against the CPU's, scipy's sums and cupyx.scipy.ndimage. The same table runs without one
in test_cuda_host.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gridstride.workers import gpu
from gridstride.workers.code import CodeError
from gridstride.workers.families.separable import Pass, Separable
from gridstride.workers.families.stencil import Stencil
from gridstride.workers.operators.base import Region
from tests.blockwise import apply, bound, on_cpu
from tests.cases import case as example
from tests.cases import examples
from tests.cuda_host import table
from tests.cuda_host.table import whole

cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not cupy.is_available(), reason="no CUDA device: cupy.is_available() is False"),
]


def on_gpu(op, window):
    return cupy.asnumpy(gpu.compute(op, replace(window, data=cupy.asarray(window.data)), gpu.this_gpu()))


def blocks(case, rng):
    for want in table.cuts(case, rng, 2):
        yield case.window(want)


@pytest.mark.parametrize(("name", "number"), examples())
def test_every_operator_gives_what_the_cpu_gives(name, number):
    found = example(name, number)
    block = [n // 2 + 1 for n in found.array.shape]
    found.same(apply(found.operator, found.array, block, on_gpu), apply(found.operator, found.array, block))


@pytest.mark.parametrize("make", [table.separable_case, table.correlate_case])
@pytest.mark.parametrize("seed", range(40))
def test_float64_sums_have_scipys_bits(make, seed):
    rng = np.random.default_rng(seed)
    case = make(rng, "double")
    wanted = table.expected(case)
    for block in blocks(case, rng):
        here = block.want.within(Region.whole(wanted.shape))
        result = on_gpu(case.op, block)
        assert result.dtype == wanted.dtype
        np.testing.assert_array_equal(result, wanted[here], err_msg=case.name)


@pytest.mark.parametrize("make", [table.separable_case, table.correlate_case])
@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize("seed", range(10))
def test_gpu_and_cpu_agree(make, precision, seed):
    """Within the rounding of float32 sums, which may be fused on either side; of float64, within 1e-12."""
    rng = np.random.default_rng(seed)
    case = make(rng, precision, out="float32" if precision == "single" else "float64")
    atol = table.rounding(case) * (2 if precision == "single" else 1e-5)
    for block in blocks(case, rng):
        ours, theirs = on_gpu(case.op, block), on_cpu(case.op, block)
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol, err_msg=case.name)


@pytest.mark.parametrize(("axes", "dtype"), [((1, 2), "uint16"), ((0, 2), "float16"), ((0, 1), "bool")])
def test_a_users_cuda_kernel_gives_what_it_gives_on_the_cpu(axes, dtype):
    file = Path(__file__).parents[1] / "examples" / "kernels" / "bilateral.cu"
    array = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 99, (5, 23, 31)).astype(dtype)
    op = bound("apply", array, file=file, halo=2, axes=axes, param={"range": 30}, mode="wrap")
    np.testing.assert_allclose(apply(op, array, (2, 9, 31), on_gpu), apply(op, array), rtol=1e-5)


def test_a_users_function_of_numpy_alone_is_told_so():
    array = np.ones((5, 6), "float32")
    op = bound("apply", array, file=whole_sum, halo=0)
    with pytest.raises(CodeError, match=r"test_gpu\.py:\d+: .* the block is CuPy's: use --device cpu"):
        apply(op, array, None, on_gpu)


def whole_sum(block):
    return np.asarray(block) + 1


# In float32 all but `convolve` take kernels that march; in float64 none does.
FILTERS = {
    "gaussian": ("gaussian_filter", {"sigma": (1.0, 2.0, 2.0)}),
    "derivative": ("gaussian_filter", {"sigma": (1.0, 2.0, 2.0), "order": (0, 1, 2)}),
    "uniform": ("uniform_filter", {"size": (3, 5, 5)}),
}


def filter_and_peer(name, ndimage, grid, **options):
    """An operator on three axes, and the function of ndimage that does the same."""
    dtype = np.dtype(grid[1])
    precision = "single" if dtype == np.float32 else "double"
    if name in FILTERS:
        peer, more = FILTERS[name]
        ours = "gaussian" if peer == "gaussian_filter" else "uniform"
        op = bound(ours, grid, precision=precision, **options, **more)
        return op, lambda data: getattr(ndimage, peer)(data, output=dtype, **options, **more)
    kernel = np.random.default_rng(1).normal(size=(3, 3, 3) if name == "correlate" else (3, 4, 5))
    op = bound(name, grid, kernel=kernel, precision=precision, algorithm="direct", **options)
    return op, lambda data: getattr(ndimage, name)(data, cupy.asarray(kernel), output=dtype, **options)


@pytest.mark.parametrize("mode", table.MODES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [*FILTERS, "correlate", "convolve"])
def test_cupyx_gives_the_same(name, dtype, mode):
    from cupyx.scipy import ndimage

    data = (100 * np.random.default_rng(0).normal(size=(40, 50, 60))).astype(dtype)
    op, peer = filter_and_peer(name, ndimage, (data.shape, dtype), mode=mode, cval=3.0)
    wanted = cupy.asnumpy(peer(cupy.asarray(data)))
    result = on_gpu(op, whole(op, data))
    assert result.dtype == wanted.dtype
    atol = 2 * table.march_rounding(table.Case(name, op, data)) * (1 if dtype == "float32" else 2.0**-29)
    np.testing.assert_allclose(result, wanted, rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", [*table.DTYPES, "float16"])
def test_every_dtype_is_read_and_written(dtype):
    rng = np.random.default_rng(5)
    for make in (table.separable_case, table.correlate_case):
        for kinds in ({"dtype": dtype}, {"out": dtype}, {"dtype": dtype, "out": dtype}):
            case = make(rng, "double", **kinds)
            result = on_gpu(case.op, whole(case.op, case.data))
            np.testing.assert_array_equal(result, table.expected(case), err_msg=case.name)


@pytest.mark.parametrize("seed", range(10))
def test_fft_agrees_with_the_cpu(seed):
    rng = np.random.default_rng(seed)
    case = table.correlate_case(rng, "double", out="float64")
    op = replace(case.op, algorithm="fft")
    for block in blocks(replace(case, op=op), rng):
        wanted = on_cpu(op, block)
        np.testing.assert_allclose(on_gpu(op, block), wanted, rtol=0, atol=1e-10 * (1 + np.abs(wanted).max()))


def test_a_large_block_of_real_size():
    """Many tiles on every axis, and more blocks of threads than run at a time."""
    rng = np.random.default_rng(0)
    data = rng.integers(0, 4096, (200, 300, 500)).astype(np.uint16)
    w = np.exp(-0.5 * (np.arange(-8, 9) / 2) ** 2)
    w /= w.sum()
    operators = [
        Separable(tuple(Pass(axis, w, 8, "reflect") for axis in range(3)), np.dtype(np.float64), "double"),
        Stencil(rng.normal(size=(1, 1, 3, 3, 3)), (1, 1, 1), ("mirror",) * 3, 0.0, np.dtype(np.float64), "double"),
    ]
    for op in operators:
        case = table.Case("large", op, data)
        result = on_gpu(op, whole(op, data))
        np.testing.assert_array_equal(result, table.expected(case))


def test_threads_with_streams_of_their_own_do_not_disturb_each_other():
    from concurrent.futures import ThreadPoolExecutor

    rng = np.random.default_rng(0)
    cases = [table.separable_case(rng, "double") for _ in range(32)]

    def one(case):
        window = whole(case.op, case.data)
        with cupy.cuda.Stream(non_blocking=True) as stream:
            result = gpu.compute(case.op, replace(window, data=cupy.asarray(case.data)), gpu.this_gpu())
            result = cupy.asnumpy(result, stream=stream)
            stream.synchronize()
        return result

    with ThreadPoolExecutor(4) as pool:
        for case, result in zip(cases, pool.map(one, cases), strict=True):
            np.testing.assert_array_equal(result, table.expected(case), err_msg=case.name)
