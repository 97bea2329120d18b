"""From the user's terms (kernel, sigma, size, mode, origin) to an operator, with scipy.ndimage's meaning of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import numpy as np

from gridstride.workers.operators.base import MODES, Cast
from gridstride.workers.operators.correlate import Correlate
from gridstride.workers.operators.separable import Pass, Separable

# Nanoseconds an element on one core, float32, as (base, slope a tap): `python -m benchmarks crossover` fits them.
# A separable filter has as many taps as all its passes together. The FFT's hardly depend on the kernel's size.
DIRECT_NS = (2.0, 0.045)
SEPARABLE_NS = (3.8, 0.040)
FFT_NS = 50.0


def per_axis(value: Any, axes: Sequence[int], name: str) -> list[Any]:
    """One value for each filtered axis, from one value or a sequence of them."""
    values = list(value) if isinstance(value, (list, tuple, np.ndarray)) else [value] * len(axes)
    if len(values) != len(axes):
        raise ValueError(f"{name} has {len(values)} values for {len(axes)} filtered axes: give one, or one per axis")
    return values


def check_modes(mode: Any, axes: Sequence[int]) -> list[str]:
    modes = per_axis(mode, axes, "mode")
    for m in modes:
        if m not in MODES:
            raise ValueError(f"unknown mode {m!r}: expected one of {', '.join(MODES)}")
    return [MODES[m] for m in modes]


def taps_before(size: int, origin: int, flipped: bool) -> int:
    """Elements a correlation of `size` taps needs before the output. `flipped`: origin is meant for a convolution."""
    if flipped:
        origin = -origin - (1 if size % 2 == 0 else 0)
    before = size // 2 + origin
    if not 0 <= before < size:
        low, high = -(size // 2), (size - 1) // 2
        if flipped:
            low, high = -((size - 1) // 2), size // 2 - (1 if size % 2 == 0 else 0)
        raise ValueError(f"origin out of range for a kernel of {size}: expected {low} to {high}")
    return before


def gaussian_weights(sigma: float, order: int = 0, truncate: float = 4.0, radius: int | None = None) -> np.ndarray:
    """Weights of a Gaussian or its derivative, float64 (2 radius + 1,), in the order of correlation.

    As scipy.ndimage makes them, bit for bit: the Gaussian sampled at whole numbers, divided by its sum; a derivative
    is that, times the polynomial q in d^n/dx^n exp(-x^2 / 2 sigma^2) = q(x) exp(-x^2 / 2 sigma^2).
    """
    if radius is None:
        radius = int(truncate * float(sigma) + 0.5)
    exponents = np.arange(order + 1)
    x = np.arange(-radius, radius + 1)
    sigma2 = sigma * sigma
    phi = np.exp(-0.5 / sigma2 * x**2)
    phi = phi / phi.sum()
    if order == 0:
        return phi[::-1].copy()
    q = np.zeros(order + 1)
    q[0] = 1
    # q' - q x / sigma^2, as a matrix on the coefficients of q
    matrix = np.diag(exponents[1:], 1) + np.diag(np.ones(order) / -sigma2, -1)
    for _ in range(order):
        q = matrix.dot(q)
    q = (x[:, None] ** exponents).dot(q)
    return (q * phi)[::-1].copy()


def _in_order(axes: Iterable[Any], cast: Cast) -> list[Any]:
    """The passes' order: the axes', which can be fused; scipy's is the one they are given in."""
    return list(axes) if cast == "scipy" else sorted(axes, key=lambda item: item[0])


def gaussian(
    ndim: int,
    axes: Sequence[int],
    sigma: Any,
    out_dtype: np.dtype,
    *,
    order: Any = 0,
    mode: Any = "reflect",
    cval: float = 0.0,
    truncate: float = 4.0,
    radius: Any = None,
    precision: str = "single",
    cast: Cast = "round",
) -> Separable:
    """scipy.ndimage.gaussian_filter as an operator."""
    modes = check_modes(mode, axes)
    sigmas = per_axis(sigma, axes, "sigma")
    orders = per_axis(order, axes, "order")
    radii = per_axis(radius, axes, "radius")
    for s in sigmas:
        if not (s > 0 and np.isfinite(s)):
            raise ValueError(f"sigma is {s}: expected a number above 0 (leave an axis out with --axes)")
    for o in orders:
        if o != int(o) or o < 0:
            raise ValueError(f"order is {o}: expected a whole number, 0 or more")
    if not (truncate > 0 and np.isfinite(truncate)):
        raise ValueError(f"truncate is {truncate}: expected a number above 0")
    passes = []
    for axis, s, o, m, r in _in_order(zip(axes, sigmas, orders, modes, radii, strict=True), cast):
        weights = gaussian_weights(float(s), int(o), truncate, r)
        passes.append(Pass(axis, weights, len(weights) // 2, m, cval))
    return Separable(ndim, tuple(passes), out_dtype, precision, cast, between=cast == "scipy")


def uniform(
    ndim: int,
    axes: Sequence[int],
    size: Any,
    out_dtype: np.dtype,
    *,
    mode: Any = "reflect",
    cval: float = 0.0,
    origin: Any = 0,
    precision: str = "single",
    cast: Cast = "round",
) -> Separable:
    """scipy.ndimage.uniform_filter as an operator: sums, each divided by its size."""
    modes = check_modes(mode, axes)
    sizes = per_axis(size, axes, "size")
    origins = per_axis(origin, axes, "origin")
    passes = []
    for axis, n, m, o in _in_order(zip(axes, sizes, modes, origins, strict=True), cast):
        if n != int(n) or n < 1:
            raise ValueError(f"size is {n}: expected a whole number, 1 or more")
        before = taps_before(int(n), int(o), flipped=False)
        if n > 1:
            passes.append(Pass(axis, np.ones(int(n)), before, m, cval, float(n)))
    return Separable(ndim, tuple(passes), out_dtype, precision, cast, between=cast == "scipy")


def rank_one(kernel: np.ndarray) -> list[np.ndarray] | None:
    """The factors whose outer product is the kernel, one for each axis, or None if there are none.

    They are the fibres through the largest element; its value is divided out of all but the first. The product may
    differ from the kernel by four roundings of the kernel's own dtype.
    """
    eps = float(np.finfo(kernel.dtype).eps) if kernel.dtype.kind == "f" else float(np.finfo(np.float64).eps)
    kernel = kernel.astype(np.float64)
    peak = tuple(int(i) for i in np.unravel_index(int(np.argmax(np.abs(kernel))), kernel.shape))
    top = kernel[peak]
    if top == 0:
        return None
    factors = []
    rebuilt = np.ones(())
    for axis in range(kernel.ndim):
        where: tuple[Any, ...] = (*peak[:axis], slice(None), *peak[axis + 1 :])
        fibre = kernel[where]
        factor = fibre if axis == 0 else fibre / top
        factors.append(factor.copy())
        rebuilt = rebuilt[..., None] * factor
    return factors if (np.abs(rebuilt - kernel) <= 4 * eps * abs(top)).all() else None


def convolution(
    shape: Sequence[int],
    axes: Sequence[int],
    kernel: np.ndarray,
    out_dtype: np.dtype,
    *,
    flip: bool,
    mode: Any = "reflect",
    cval: float = 0.0,
    origin: Any = 0,
    precision: str = "single",
    cast: Cast = "round",
    algorithm: str = "auto",
    channel_axis: int | None = None,
    bias: np.ndarray | None = None,
) -> Separable | Correlate:
    """scipy.ndimage.convolve (`flip`) or correlate as an operator, over `axes` of an array of `shape`.

    kernel: one dimension for each of `axes`; with a channel axis (outputs, channels, *those dimensions)
    algorithm: "direct", "separable", "fft", or "auto" for the one measured to be fastest. With cast "scipy" it is
               always direct, in scipy's order.
    """
    ndim = len(shape)
    if kernel.size == 0:
        raise ValueError("the kernel is empty")
    if not np.isfinite(kernel).all():
        raise ValueError("the kernel has NaN or infinite entries")
    expected = len(axes) + (0 if channel_axis is None else 2)
    if kernel.ndim != expected:
        also = "" if channel_axis is None else " (outputs, channels, then one for each filtered axis)"
        raise ValueError(f"the kernel has {kernel.ndim} dimensions: expected {expected}{also}")
    stacked = kernel if channel_axis is not None else kernel[None, None]
    if channel_axis is not None and stacked.shape[1] != shape[channel_axis]:
        raise ValueError(f"the kernel has {stacked.shape[1]} input channels, the array {shape[channel_axis]}")
    if bias is not None and bias.shape != (stacked.shape[0],):
        raise ValueError(f"bias has shape {bias.shape}: expected ({stacked.shape[0]},), one for each output channel")
    modes, origins = check_modes(mode, axes), per_axis(origin, axes, "origin")
    sizes = stacked.shape[2:]
    befores = [taps_before(n, int(o), flip) for n, o in zip(sizes, origins, strict=True)]
    if flip:
        stacked = np.flip(stacked, axis=tuple(range(2, stacked.ndim)))
    order = np.argsort(axes, kind="stable")
    stacked = stacked.transpose(0, 1, *(2 + order))
    axes, sizes = [axes[i] for i in order], tuple(sizes[i] for i in order)
    modes, befores = [modes[i] for i in order], [befores[i] for i in order]

    factors = rank_one(stacked[0, 0]) if channel_axis is None else None
    if algorithm == "separable" and factors is None:
        raise ValueError("the kernel is not of rank one: --algorithm separable cannot be had")
    if algorithm == "auto":
        if cast == "scipy":
            algorithm = "direct"
        else:
            filtered = [max(1, shape[axis]) for axis in axes]
            taps = int(np.count_nonzero(stacked)) // stacked.shape[0]
            algorithm = choose(filtered, sizes, taps, factors is not None, precision)
    if algorithm == "separable":
        passes = []
        value = cval
        for axis, factor, before, m in zip(axes, factors or [], befores, modes, strict=True):
            passes.append(Pass(axis, factor, before, m, value))
            value *= float(factor.sum())  # what the passes so far have made of the constant outside
        return Separable(ndim, tuple(passes), out_dtype, precision, cast)
    if max(sizes) == 1:
        algorithm = "direct"  # there is nothing to transform
    shape_of_taps, start, all_modes = [1] * ndim, [0] * ndim, ["nearest"] * ndim
    for axis, n, b, m in zip(axes, sizes, befores, modes, strict=True):
        shape_of_taps[axis], start[axis], all_modes[axis] = n, b, m
    weights = np.ascontiguousarray(stacked, dtype=np.float64).reshape(*stacked.shape[:2], *shape_of_taps)
    return Correlate(
        weights,
        tuple(start),
        tuple(all_modes),
        cval,
        out_dtype,
        precision,
        cast,
        algorithm,
        channel_axis,
        bias,
    )


def choose(shape: Sequence[int], sizes: Sequence[int], taps: int, separable: bool, precision: str) -> str:
    """The algorithm with the least estimated time an element: "direct", "separable" or "fft".

    shape: of the filtered axes; sizes: of the kernel; taps: its entries that are not 0. float64 sums take twice the
    time tap by tap; the FFT is always made in float64.
    """
    slower = 2 if precision == "double" else 1
    padded = prod(min(n, 256) + k - 1 for n, k in zip(shape, sizes, strict=True)) / prod(min(n, 256) for n in shape)
    times = {"direct": slower * (DIRECT_NS[0] + DIRECT_NS[1] * taps), "fft": FFT_NS * padded}
    if separable:
        times["separable"] = slower * (SEPARABLE_NS[0] + SEPARABLE_NS[1] * sum(sizes))
    return min(times, key=lambda name: times[name])
