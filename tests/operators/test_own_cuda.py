"""The user's own CUDA kernels: on the CPU, in both forms, against NumPy; compiled for a GPU; faults at their lines."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from gridstride.workers import gpu, kernels, saving
from gridstride.workers.code import Code, CodeError
from gridstride.workers.families import user_program
from gridstride.workers.families.user_cuda import CudaKernel
from gridstride.workers.families.user_sanitised import complaint
from gridstride.workers.gpu import Machine
from gridstride.workers.operators.apply import Apply
from gridstride.workers.region import Region
from tests.blockwise import apply, grid_of, window_of
from tests.marks import quick

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ compiles the kernels; it is missing")
BILATERAL = Path(__file__).parents[2] / "examples" / "kernels" / "bilateral.cu"


@pytest.fixture
def own(tmp_path: Path) -> Any:
    def write(text: str, name: str = "own.cu") -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


def bound(file: Any, array: np.ndarray, **fields: Any) -> Any:
    return Apply(file=file, **{"halo": 1, **fields}).bind(grid_of(array))


def bilateral(array: np.ndarray, halo: int, range_: float, sigma: float, mode: str) -> np.ndarray:
    """Of the last two axes, in float64."""
    widths = [(0, 0)] * (array.ndim - 2) + [(halo, halo)] * 2
    windows = sliding_window_view(np.pad(array.astype(float), widths, mode), (2 * halo + 1,) * 2, (-2, -1))
    far = np.arange(-halo, halo + 1) ** 2
    away = (windows - array[..., None, None]) / range_
    weights = np.exp(-0.5 * (away**2 + (far[:, None] + far) / sigma**2))
    return (weights * windows).sum((-2, -1)) / weights.sum((-2, -1))


@pytest.mark.slow
def test_bilateral(own: Any) -> None:
    array = np.random.default_rng(0).integers(0, 999, (3, 14, 19)).astype("uint16")
    fields = {"halo": 2, "axes": (1, 2), "param": {"range": 300, "sigma": 1.25}, "mode": "mirror"}
    operator = bound(BILATERAL, array, **fields)
    whole = apply(operator, array)
    np.testing.assert_allclose(whole, bilateral(array, 2, 300, 1.25, "reflect"), rtol=2e-6)
    assert whole.dtype == "float32"
    for block in ((2, 5, 7), (1, 14, 3)):
        np.testing.assert_array_equal(apply(operator, array, block), whole)
    rounded = bound(BILATERAL, array, **fields, dtype="uint16")
    np.testing.assert_array_equal(apply(rounded, array), np.rint(whole).astype("uint16"))


KERNEL = """
// __global__ void not_this(const T* block) { }
extern "C" __global__ void
weigh(const T* __restrict__ block, U* result,
      const long long* origin, const long long *shape, const long long* whole, const double* spacing,
      T add, int times = 2)
{
    const long long count = shape[0] * shape[1];
    const long long e = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (e >= count) return;
    const long long y = e / shape[1], x = e % shape[1], width = shape[1] + 2 * HALO_1;
    const T below = block[(y + HALO_0 + 1) * width + x + HALO_1];
    /* the place too */
    result[e] = U(below) * times + U(add) + U((origin[0] + y) * whole[1] + origin[1] + x) * U(spacing[1]);
}
"""


@pytest.mark.parametrize("dtype", quick(1, ["float16", "uint8", "int64", "bool"]))
def test_a_kernel_is_told_of_its_block(dtype: str, own: Any) -> None:
    array = np.random.default_rng(0).integers(0, 2, (9, 7)).astype(dtype)
    operator = bound(own(KERNEL), array, halo=(1, 0), param={"add": 1}, dtype="float64", mode="wrap")
    place = np.arange(array.size).reshape(array.shape)
    wanted = np.roll(array, -1, 0).astype("float64") * 2 + 1 + place
    for block in (None, (4, 3)):
        np.testing.assert_array_equal(apply(operator, array, block), wanted, strict=True)
    assert saving.digest(operator) == saving.digest(bound(own(KERNEL), array, halo=(1, 0), param=["add=1", "times=2"],
                                                          dtype="float64", mode="wrap"))  # fmt: skip


TILE = """
extern "C" __global__ void tile(const T* block, U* result, const long long* shape, bool apart = false)
{
    __shared__ T line[256 + 2 * HALO_0];
    const long long first = blockIdx.x * (long long)blockDim.x;
    for (int i = threadIdx.x; i < 256 + 2 * HALO_0; i += blockDim.x)
        if (first + i < shape[0] + 2 * HALO_0) line[i] = block[first + i];
    if (apart && threadIdx.x < 9) __syncthreads();
    else
        __syncthreads();
    const long long e = first + threadIdx.x;
    if (e < shape[0]) result[e] = line[threadIdx.x] + line[threadIdx.x + 2 * HALO_0];
}
"""


def test_threads_that_wait_for_each_other(own: Any) -> None:
    array = np.random.default_rng(0).integers(0, 99, 700).astype("int32")
    padded = np.pad(array, 3, "symmetric")
    np.testing.assert_array_equal(apply(bound(own(TILE), array, halo=3), array, (300,)), padded[:-6] + padded[6:])

    apart = bound(own(TILE), array, halo=3, param={"apart": True})
    with pytest.raises(CodeError, match=r"^own\.cu:tile: divergent barriers: lines (8|10) and (8|10) \(block 0:5\)$"):
        apply(apart, array[:5])


def test_a_function_of_one_element_knows_its_place(own: Any) -> None:
    text = "__device__ inline i32 f(const At& at, i32 by) { return at(1, 0, -1) + by * int(at.index[1]); }\n"
    array = np.random.default_rng(0).integers(0, 99, (5, 6, 7)).astype("int32")
    operator = bound(own('#include "stencil.cuh"\n' + text), array, halo=(1, 0, 1), param={"by": 1000}, mode="nearest")
    padded = np.pad(array, [(1, 1), (0, 0), (1, 1)], "edge")
    wanted = padded[2:, :, :-2] + 1000 * np.arange(6)[:, None]
    for block in (None, (2, 3, 4)):
        np.testing.assert_array_equal(apply(operator, array, block), wanted)


ONE = "{ return 1; }\n"
OF_BLOCK = "__global__ void f(const T* block"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("__device__ U f(At at) {\n    return at(0, 0) + nope;\n}\n", r"own\.cu:2:\d+: .*nope.* was not declared"),
        ("__device__ U f(At at) {\n\n    return at(1);\n}\n", r"own\.cu:3.*at\(\) takes an offset for each filtered"),
        (f'#include "mine.h"\n__device__ U f(At at) {ONE}', r"own\.cu:1: mine\.h is not there: only this one file"),
        (f"{OF_BLOCK}, float gain) {{}}\n", r"own\.cu:1: f has no parameter result: expected const T\*"),
        (f"\n{OF_BLOCK}, U* result, int* n) {{}}\n", r"own\.cu:2: f has the parameter 'int\* n': expected "),
        (f"{OF_BLOCK}, U* result, int shape) {{}}\n", r"'int shape': expected block, result, origin, shape"),
        (f"{OF_BLOCK}, U* result, const int* shape) {{}}\n", r"expected const long long\* shape"),
        (f"__device__ U f(At at, Thing x) {ONE}", r"own\.cu:1: f has the parameter 'Thing x': expected a number"),
        (f"__device__ auto f(At at) {ONE}", r"own\.cu:1: f returns auto: expected U"),
        (f"__device__ U f(At at, int n) {ONE}", r"param n is missing: f\(int n\) needs it; give --param n=VALUE"),
        (f"template <class T>\n__device__ U f(At at, T x) {ONE}", r"own\.cu:2: f is a template: leave template away"),
        ("void f() {}\n", r"own\.cu defines no kernel: write one"),
        (f"__device__ float f(double x) {ONE}", r"own\.cu defines no kernel"),
        (f"__device__ U f(At at) {ONE}__device__ U g(At at) {ONE}", r"own\.cu defines f, g: say which"),
    ],
)
def test_what_is_wrong_with_a_kernel_is_said_at_its_line(text: str, said: str, own: Any) -> None:
    with pytest.raises(ValueError, match=said):
        bound(own(text), np.ones((4, 5), "float32"))


def test_parameters_of_a_kernel_are_judged_by_their_types(own: Any) -> None:
    text = "__device__ U f(At at, int n, unsigned char small = 7, float x = 1.5f) { return at(0) * n + small + x; }\n"
    array = np.ones(4, "float32")
    operator = bound(own(text), array, param={"n": 2.0})
    assert dict(operator.params) == {"n": 2, "small": 7, "x": 1.5}
    np.testing.assert_array_equal(apply(operator, array), np.full(4, 10.5, "float32"))
    for param, said in (
        ({"n": 1.5}, "param n is 1.5: expected a whole number"),
        ({"n": 1, "small": 256}, "param small is 256: expected what uint8 holds"),
        ({"n": 1, "y": 2}, "param y: f(int n, unsigned char small, float x) has no such parameter"),
        ({"n": "two"}, "param n is 'two': expected a whole number"),
        ({"n": 10**30}, "expected what int32 holds"),
        ({"n": float("nan")}, "param n is nan: expected a whole number"),
        ({"n": 1, "x": 1e300}, "param x is 1e+300: expected what float32 holds"),
        ({"n": 1, "x": 10**400}, "param x is beyond the range of float64: expected a number"),
    ):
        with pytest.raises(ValueError) as error:
            bound(own(text), array, param=param)
        assert said in str(error.value)
    assert dict(bound(own(text), array, param={"n": 2, "x": float("inf")}).params)["x"] == float("inf")


@pytest.mark.parametrize(("result", "array"), [(24, "block"), (12, "block or result"), (0, "an array")])
def test_an_array_is_named_by_its_size_if_only_one_has_it(result: int, array: str) -> None:
    log = "own.cu:3:5\nREAD of size 4\n0x1 is located 8 bytes after 12-byte region"
    said = complaint(log, Code("own.cu", "", "f"), [(12 if result else 8, "block"), (result, "result")])
    assert said.endswith(f"it reads outside of {array}: 4 bytes, 8 bytes past its end")


def test_an_array_that_a_kernel_does_not_take_is_refused(own: Any) -> None:
    text = "__global__ void f(const float* block, float* result, const long long* shape) { }\n"
    with pytest.raises(ValueError, match=r"own\.cu:1: f takes float \(float32\), and the array is of float64: write T"):
        bound(own(text), np.ones(4), halo=0)
    assert bound(own(text), np.ones(4, "uint16"), halo=0).takes == "float32"


def test_without_a_compiler_and_without_a_gpu_it_is_said(own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from gridstride.workers.families import user_cuda

    monkeypatch.setattr(user_program.shutil, "which", lambda name: None)
    monkeypatch.setattr(user_cuda, "on_a_gpu", lambda: False)
    with pytest.raises(ValueError, match=r"own\.cu: there is no GPU here, and no C\+\+ compiler .*: install g\+\+"):
        bound(own("__device__ U f(At at) { return 1; }\n"), np.ones(4, "float32"))
    monkeypatch.setattr(user_cuda, "on_a_gpu", lambda: True)
    operator = bound(own("__device__ U f(At at) { return 1; }\n"), np.ones(4, "float32"))
    user_program.compiled.cache_clear()
    with pytest.raises(RuntimeError, match=r"own\.cu: no C\+\+ compiler was found on .*: install g\+\+ there"):
        apply(operator, np.ones(4, "float32"))


TEXTS = [KERNEL, TILE.replace("shape[0]", "(shape[0] * shape[1])"), BILATERAL.read_text()]


@pytest.mark.parametrize("text", quick(1, TEXTS))
def test_it_compiles_for_a_gpu_and_is_launched_there(text: str, own: Any) -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="cuda-bindings compiles the kernels; it is missing")
    array = np.ones((5, 6), "uint16")
    param = {"add": 1} if text is KERNEL else {"range": 2} if "bilateral" in text else {}
    operator: CudaKernel = bound(own(text), array, halo=(1, 2), param=param)
    launched = []

    def run(plan: Any, data: np.ndarray, more: Any = None) -> np.ndarray:
        (launch,) = plan.launches
        kernels.check(launch.file, launch.expression)
        sizes = [8 if isinstance(arg, kernels.Ref) else arg.nbytes for arg in launch.args]
        launched.append((data.shape, launch.grid, sizes))
        return np.zeros(plan.out_shape, plan.out_dtype)

    made = gpu.compute(operator, window_of(operator, array, Region(((1, 4), (0, 6)))), Machine(np, None, run))
    assert (made.shape, made.dtype) == ((3, 6), operator.out_grid(grid_of(array)).dtype)
    ((shape, grid, sizes),) = launched
    assert (shape, grid) == ((5, 10), 1)
    assert len(sizes) == (8 if text is KERNEL else 6 if "bilateral" in text else 4)
