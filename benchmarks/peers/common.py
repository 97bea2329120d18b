"""Shared by the peers' scripts: the flow, the timing, the check and the line they print.

It runs in each peer's own environment, so it imports nothing but numpy.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np

THREADS = len(os.sched_getaffinity(0))
VISCOSITY = 1 / 100  # of the Taylor-Green flow: speed 1, lengths 2 pi
CHECKED = 0.25  # time until which the energy of the Taylor-Green flow is followed
CAVITY_SIZE, REYNOLDS = 128, 1000
CAVITY_END = 60.0  # lid lengths / lid speed; the cavity is steady by then


def size_asked() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=128)
    return parser.parse_args().size


def taylor_green(x: Any, y: Any, z: Any) -> tuple[Any, ...]:
    """u, v, w and pressure."""
    u = np.sin(x) * np.cos(y) * np.cos(z)
    v = -np.cos(x) * np.sin(y) * np.cos(z)
    return u, v, np.zeros_like(u), (np.cos(2 * x) + np.cos(2 * y)) * (np.cos(2 * z) + 2) / 16


def check_decay(before: float, after: float, elapsed: float) -> float:
    """Energy lost, over the loss of the first modes by viscosity (exp(-6 nu t)): about 1 if the flow is right."""
    ratio = math.log(before / after) / (6 * VISCOSITY * elapsed)
    if not 0.8 < ratio < 1.2:
        raise ArithmeticError(f"the flow's energy decays {ratio:.3g} times as fast as it should")
    return ratio


def steps_per_second(advance: Callable[[int], Any], seconds: float = 2.0, repeat: int = 3, multiple: int = 1) -> float:
    """Median of `repeat` timings of about `seconds` each, after warm-up; `advance(k)` returns when k steps are done."""

    def timed(count: int) -> float:
        begin = time.perf_counter()
        advance(count)
        return time.perf_counter() - begin

    count = multiple
    timed(count)
    while (took := timed(count)) < seconds / 10:
        count *= 2
    count = max(1, round(count / multiple * seconds / took)) * multiple
    return count / statistics.median(timed(count) for _ in range(repeat))


def best(candidates: dict[str, Callable[[int], Any]], multiple: int = 1) -> tuple[str, float]:
    """The fastest of several settings after a short try, and its speed in steps per second."""
    tried = {name: steps_per_second(run, 0.5, 1, multiple) for name, run in candidates.items()}
    name = max(tried, key=lambda key: tried[key])
    return name, steps_per_second(candidates[name], multiple=multiple)


def cavity(velocity: Any, lid: float, end: float, height: float = CAVITY_SIZE) -> dict[str, Any]:
    """Centreline profiles of `velocity` (x, y, component) with cells half a cell from the walls, walls included."""
    n = CAVITY_SIZE
    u, v = velocity[..., 0] / lid, velocity[..., 1] / lid
    x, y = (np.arange(n) + 0.5) / n, (np.arange(n) + 0.5) / height
    inside = y < 1 - 1e-9  # a lid on the last row of cells is the wall itself
    middle = u[n // 2 - 1 : n // 2 + 1].mean(axis=0)
    across = [float(np.interp(0.5, y, row)) for row in v]
    return {
        "t": end,
        "y": [0.0, *y[inside].tolist(), 1.0],
        "u": [0.0, *middle[inside].tolist(), 1.0],
        "x": [0.0, *x.tolist(), 1.0],
        "v": [0.0, *across, 0.0],
    }


def report(packages: tuple[str, ...], **figures: Any) -> None:
    print(json.dumps({"versions": {name: version(name) for name in packages}, "threads": THREADS, **figures}))
