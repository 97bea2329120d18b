"""Times of the direct kernel, separable passes and the FFT on one core: workers/families/convolution.py chooses by
them.

One float32 block in memory, no I/O. The limit beside each direct row: multiply-adds at the rate of a kernel that does
nothing else (`peak`, measured here).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from benchmarks import report
from gridstride.workers.operators.base import Grid, Operator, Region, Window
from gridstride.workers.operators.convolve import Convolve


@njit(fastmath={"contract"})
def multiply_adds(values, repeat):  # type: ignore[no-untyped-def]
    """`repeat` multiply-adds on each of a cache-resident array's elements, eight at a time."""
    a = np.float32(0.999)
    b = np.float32(0.001)
    for _ in range(repeat // 8):
        for i in range(len(values)):
            v = values[i]
            for _ in range(8):
                v = v * a + b
            values[i] = v


def middle(shape: tuple[int, ...], size: int) -> tuple[Grid, Region]:
    """A grid, and a block of `shape` in it that sees no boundary."""
    margin = size // 2 + 1
    return Grid.of([n + 2 * margin for n in shape], np.float32), Region(tuple((margin, margin + n) for n in shape))


def seconds(op: Operator, want: Region, grid: Grid, rng: np.random.Generator) -> float:
    need = op.needed(want, grid)
    window = Window(rng.random(need.shape, dtype=np.float32), need, want, grid)
    out = np.empty(want.shape, np.float32)
    return report.median_seconds(lambda: op.cpu(window, out), 3)


def main() -> None:
    rng = np.random.default_rng(0)
    values = rng.random(4096, dtype=np.float32)
    peak = report.median_seconds(lambda: multiply_adds(values, 8000), 5) * 1e9 / (4096 * 8000)
    rows: list[list[Any]] = []
    fits: dict[str, list[tuple[float, float]]] = {"direct": [], "separable": [], "fft": []}
    for shape, sizes in (((128, 128, 128), (3, 5, 7, 9, 11, 13)), ((2048, 2048), (3, 7, 15, 25, 35, 45))):
        for size in sizes:
            kernel = rng.random((size,) * len(shape))
            line = rng.random(size)
            outer = line
            for _ in shape[1:]:
                outer = np.multiply.outer(outer, line)
            times: dict[str, float] = {}
            grid, want = middle(shape, size)
            for algorithm, weights in (("direct", kernel), ("separable", outer), ("fft", kernel)):
                op = Convolve(kernel=weights, algorithm=algorithm).bind(grid)  # type: ignore[arg-type]
                times[algorithm] = seconds(op, want, grid, rng) * 1e9 / want.size
                taps = size ** len(shape) if algorithm == "direct" else size * len(shape)
                fits[algorithm].append((taps, times[algorithm]))
            share = peak * size ** len(shape) / times["direct"]
            name = f"{'x'.join(map(str, shape))}, kernel {size}^{len(shape)}"
            best = min(("direct", "fft"), key=lambda a: times[a])
            rows.append([name, times["direct"], f"{share:.0%}", times["separable"], times["fft"], best])
    columns = ["block and kernel", "direct ns", "of peak", "separable ns", "fft ns", "best for rank > 1"]
    report.show("nanoseconds an element, one core, float32", columns, rows)
    fit = {name: np.polyfit(*np.array(points).T, 1)[::-1].tolist() for name, points in fits.items()}
    print(f"one multiply-add at the peak rate: {peak:.4f} ns")
    print("fit, ns = base + slope * taps: " + "; ".join(f"{n} {b:.2f} + {s:.4f} taps" for n, (b, s) in fit.items()))
    report.save("crossover", columns, rows, fit=fit, peak_ns=peak)


if __name__ == "__main__":
    main()
