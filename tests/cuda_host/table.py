"""The operators that kernels are tried on, and what they must give: by scipy, or by definition in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import ndimage

from gridstride.workers.families.separable import Pass, Separable
from gridstride.workers.families.stencil import Stencil
from gridstride.workers.launches import Launches
from gridstride.workers.operators.base import Grid, Operator, Region, Window
from tests.blockwise import regions, window_of

MODES = ("reflect", "mirror", "nearest", "wrap", "constant")
DTYPES = (
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "int8",
    "int16",
    "int32",
    "int64",
    "float32",
    "float64",
    "bool",
)
NUMPY_PAD = {
    "reflect": "symmetric",
    "mirror": "reflect",
    "nearest": "edge",
    "wrap": "wrap",
    "constant": "constant",
}


@dataclass(frozen=True)
class Case:
    name: str
    op: Separable | Stencil
    data: np.ndarray

    @property
    def grid(self) -> Grid:
        return Grid.of(self.data.shape, self.data.dtype)

    def window(self, want: Region) -> Window:
        """A block and exactly what it needs, as the sweep reads it."""
        return window_of(self.op, self.data, want, self.grid)

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.op.out_grid(self.grid).shape


def numbers(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Values over the whole of small types and about +-1000 of others."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return (100 * rng.normal(size=shape)).astype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    limits = np.iinfo(dtype)
    return rng.integers(max(limits.min, -1000), min(limits.max, 1000), shape, endpoint=True).astype(dtype)


def taps(rng: np.random.Generator, size: int, symmetry: int) -> np.ndarray:
    w = rng.normal(size=size)
    if symmetry and size % 2:
        w = w + symmetry * w[::-1]
    return w / np.abs(w).sum() if np.abs(w).sum() > 0 else w


def separable_case(rng: np.random.Generator, precision: str, out: str | None = None, dtype: str | None = None) -> Case:
    ndim = int(rng.integers(1, 6))
    shape = tuple(int(n) for n in rng.integers(1, (300, 70, 24, 10, 6)[ndim - 1], ndim))
    passes = []
    for axis in range(ndim):
        if rng.random() < 0.75:
            size = int(rng.integers(1, 12))
            # scipy's origin shifts the weights by up to half their number
            before = (
                size // 2 + int(rng.integers(-(size // 2), (size - 1) // 2 + 1)) if rng.random() < 0.3 else size // 2
            )
            weights, mode = taps(rng, size, int(rng.integers(-1, 2))), str(rng.choice(MODES))
            divisor = float(size) if rng.random() < 0.2 else 1.0
            passes.append(Pass(axis, weights, before, mode, float(rng.normal()), divisor))
    dtype, out = dtype or str(rng.choice(DTYPES)), out or str(rng.choice(DTYPES))
    cast = str(rng.choice(["round", "scipy"]))
    # Between passes scipy's own integers come of a conversion that C leaves open outside the type's range.
    between = bool(rng.random() < 0.3) and (cast == "round" or np.dtype(out).kind == "f")
    op = Separable(tuple(passes), np.dtype(out), precision, cast, between)
    return Case(f"{dtype} {shape} -> {op}", op, numbers(rng, shape, dtype))


def correlate_case(rng: np.random.Generator, precision: str, out: str | None = None, dtype: str | None = None) -> Case:
    ndim = int(rng.integers(1, 6))
    shape = tuple(int(n) for n in rng.integers(1, (300, 50, 16, 8, 5)[ndim - 1], ndim))
    channel_axis = int(rng.integers(ndim)) if ndim > 1 and rng.random() < 0.4 else None
    sizes = [1 if axis == channel_axis else int(rng.integers(1, (12, 7, 5, 4, 3)[ndim - 1])) for axis in range(ndim)]
    outputs, channels = (1, 1) if channel_axis is None else (int(rng.integers(1, 4)), shape[channel_axis])
    weights = rng.normal(size=(outputs, channels, *sizes))
    weights[rng.random(weights.shape) < 0.2] = 0
    before = tuple(int(rng.integers(size)) for size in sizes)
    modes = tuple(str(mode) for mode in rng.choice(MODES, ndim))
    if channel_axis is not None:
        modes = (*modes[:channel_axis], "nearest", *modes[channel_axis + 1 :])
    dtype, out = dtype or str(rng.choice(DTYPES)), out or str(rng.choice(DTYPES))
    bias = rng.normal(size=outputs) if rng.random() < 0.5 else None
    cast, cval = str(rng.choice(["round", "scipy"])), float(rng.normal())
    op = Stencil(weights, before, modes, cval, np.dtype(out), precision, cast, "direct", channel_axis, bias)
    return Case(f"{dtype} {shape} -> {op}", op, numbers(rng, shape, dtype))


def expected(case: Case) -> np.ndarray:
    """The result for the whole grid, from sums in float64."""
    op, data = case.op, case.data
    if isinstance(op, Stencil):
        return cast_to(_correlated(op, data), op.out_dtype, op.cast)
    values = data.astype(np.float64)
    for number, p in enumerate(op.passes):
        origin = p.before - len(p.weights) // 2
        values = ndimage.correlate1d(values, p.weights, p.axis, np.float64, p.mode, p.cval, origin) / p.divisor
        if op.between and number < len(op.passes) - 1:
            values = cast_to(values, op.out_dtype, op.cast).astype(np.float64)
    return cast_to(values, op.out_dtype, op.cast)


def marched(case: Case) -> np.ndarray:
    """What cuda/march.cu makes of a grid of three axes, bit by bit: float32 sums in its order."""
    op, data = case.op, case.data
    if isinstance(op, Stencil):
        padded, weights = _padded(op, data, np.float32), op.weights.astype(np.float32)[0, 0]
        total = np.full(data.shape, 0 if op.bias is None else op.bias[0], np.float32)
        for z, x, y in product(*(range(weights.shape[axis]) for axis in (0, 2, 1))):
            if weights[z, y, x] != 0:
                place = tuple(slice(k, k + n) for k, n in zip((z, y, x), data.shape, strict=True))
                # a fused multiply-add: float64 has all bits of the product, and of most sums
                total = (total + weights[z, y, x].astype(np.float64) * padded[place]).astype(np.float32)
        return cast_to(total, op.out_dtype, op.cast)
    values = _padded(op, data, np.float32)
    for p in sorted(op.passes, key=lambda p: -p.axis):
        values, lines, total = np.moveaxis(values, p.axis, 0), data.shape[p.axis], None
        for k, w in enumerate(p.weights.astype(np.float32)):
            term = w * values[k : k + lines]
            total = term if total is None else total + term
        values = np.moveaxis(total, 0, p.axis)
    divisor = np.prod([p.divisor for p in op.passes])
    return cast_to(values / np.float32(divisor), op.out_dtype, op.cast)


def march_case(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    kernel: str,
    taps: tuple[int, int, int],
    dtype: str,
    out: str,
    modes: tuple[str, str, str] | None = None,
) -> Case:
    """An operator for which one kernel of cuda/march.cu does all."""
    modes = modes or tuple(str(mode) for mode in rng.choice(MODES, 3))
    before = tuple(int(rng.integers(n)) for n in taps)
    data = numbers(rng, shape, dtype)
    if kernel == "dense":
        weights = rng.normal(size=(1, 1, *taps)) / np.sqrt(np.prod(taps))
        if np.dtype(dtype).kind != "f":
            weights[rng.random(weights.shape) < 0.2] = 0
        cval, bias = float(rng.integers(0, 200)), rng.normal(size=1) if rng.random() < 0.5 else None
        op = Stencil(weights, before, modes, cval, np.dtype(out), "single", bias=bias)
        return Case(f"{dtype} {shape} -> {op}", op, data)
    passes = []
    for axis, (n, b, mode) in enumerate(zip(taps, before, modes, strict=True)):
        if n > 1:
            uniform = rng.random() < 0.2
            weights = np.ones(n) if uniform else rng.normal(size=n) / np.sqrt(n)
            passes.append(Pass(axis, weights, b, mode, divisor=float(n) if uniform else 1.0))
    op = Separable(tuple(passes), np.dtype(out), "single")
    return Case(f"{dtype} {shape} -> {op}", op, data)


def _padded(op: Separable | Stencil, data: np.ndarray, dtype: type) -> np.ndarray:
    """The grid and all of its halo, as if the boundary were applied at once."""
    cval = getattr(op, "cval", 0.0)
    padded = data.astype(dtype)
    taps = op.reads(Grid.of(data.shape, data.dtype))
    modes = ["nearest" if one is None else one.mode for one in taps]
    halos = [(0, 0) if one is None else (one.before, one.after) for one in taps]
    for axis, (mode, halo) in enumerate(zip(modes, halos, strict=True)):
        widths = [halo if a == axis else (0, 0) for a in range(data.ndim)]
        options = {"constant_values": cval} if mode == "constant" else {}
        padded = np.pad(padded, widths, NUMPY_PAD[mode], **options)
    # In mode constant on one axis, what lies outside is cval whatever the other axes say: fill it last.
    for axis, (mode, (before, after)) in enumerate(zip(modes, halos, strict=True)):
        if mode == "constant":
            moved = np.moveaxis(padded, axis, 0)
            moved[:before] = cval
            moved[len(moved) - after :] = cval
    return padded


def _correlated(op: Stencil, data: np.ndarray) -> np.ndarray:
    padded = _padded(op, data, np.float64)
    padded = padded[None] if op.channel_axis is None else np.moveaxis(padded, op.channel_axis, 0)
    sizes = [n for axis, n in enumerate(op.taps) if axis != op.channel_axis]
    extent = [n for axis, n in enumerate(data.shape) if axis != op.channel_axis]
    weights = op.weights.reshape(*op.weights.shape[:2], *sizes)
    nothing = np.finfo(float).eps if op.cast == "scipy" else 0
    results = []
    for o in range(len(weights)):
        total = np.full(extent, 0.0 if op.bias is None else op.bias[o])
        for c, *t in product(*(range(n) for n in weights.shape[1:])):
            w = weights[(o, c, *t)]
            if abs(w) > nothing:
                total += w * padded[(c, *(slice(k, k + n) for k, n in zip(t, extent, strict=True)))]
        results.append(total)
    return results[0] if op.channel_axis is None else np.stack(results, op.channel_axis)


def rounding(case: Case) -> float:
    """Largest error that sums in float32 may have: a rounding for each term, of the largest sum of terms."""
    op, size = case.op, np.abs(case.data.astype(np.float64)).max() + 3
    if isinstance(op, Separable):
        depth = 1 + sum(len(p.weights) + 2 for p in op.passes)  # weights sum to 1 at most, in modulus
    else:
        w = np.abs(op.weights)
        depth, size = 2 + w[0].size, size * w.sum(axis=tuple(range(1, w.ndim))).max() + 3
    return float(depth * size * 2.0**-24)


def march_rounding(case: Case) -> float:
    """The same where weights are not of sum 1: each pass makes the largest value that many times as large."""
    op = case.op
    if isinstance(op, Stencil):
        return rounding(case)
    gain = float(np.prod([max(1.0, np.abs(p.weights).sum() / p.divisor) for p in op.passes]))
    return rounding(case) * gain


def cast_to(values: np.ndarray, dtype: np.dtype, cast: str) -> np.ndarray:
    """Floating-point values as any dtype: by Python's own integers, which have no limits to get wrong."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return values.astype(dtype)
    if dtype.kind == "b":
        return ~(np.abs(values) < 1) if cast == "scipy" else values > 0.5
    bits, signed = 8 * dtype.itemsize, dtype.kind == "i"
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)

    def one(v: float) -> int:
        if cast == "scipy":
            return (int(v) - low) % 2**bits + low
        if np.isnan(v):
            return 0
        return (low if v < 0 else high) if np.isinf(v) else min(max(round(v), low), high)

    return np.array([one(float(v)) for v in values.ravel()], dtype).reshape(values.shape)


def gaussian(size: int, sigma: float = 2.0) -> np.ndarray:
    w = np.exp(-0.5 * ((np.arange(size) - size // 2) / sigma) ** 2)
    return w / w.sum()


def whole(op: Operator, data: np.ndarray) -> Window:
    """The whole grid as one block."""
    grid = Grid.of(data.shape, data.dtype)
    return Window(data, Region.whole(data.shape), Region.whole(op.out_grid(grid).shape), grid)


def planned(op: Operator, window: Window) -> Launches:
    """The launches that compute a window, whose data the kernels read as they are."""
    launches = Launches(window.want.shape, op.out_grid(window.grid).dtype)
    op.gpu(window, launches)
    return launches


def cuts(case: Case, rng: np.random.Generator, pieces: int) -> list[Region]:
    """Blocks that cover the result's grid, each axis but the channels' cut at random places."""
    edges = []
    for axis, n in enumerate(case.out_shape):
        inner = [] if axis in case.op.uncut(case.grid) or n == 1 else rng.integers(1, n, pieces - 1)
        edges.append(sorted({0, n, *(int(e) for e in inner)}))
    return list(regions(edges))


def assert_same(result: np.ndarray, wanted: np.ndarray, name: str = "") -> None:
    assert result.dtype == wanted.dtype, name
    np.testing.assert_array_equal(result, wanted, err_msg=name)
