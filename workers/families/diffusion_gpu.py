"""Launches of cuda/diffusion.cu."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridstride.workers.families.variation_gpu import places
from gridstride.workers.launches import AXES, Launches, Ref, ceil_div, type_name
from gridstride.workers.operators.base import Window

if TYPE_CHECKING:
    from gridstride.workers.families.diffusion import Diffusion

THREADS = 256


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that can be asked for."""
    return [("diffusion.cu", f"diffusion<{t}>") for t in ("f32", "f64")]


def launch_diffusion(op: Diffusion, window: Window, launches: Launches) -> None:
    """All iterations, each of the whole window but the last: what comes from its edges does not reach the want."""
    launches.out_dtype = dtype = np.dtype(window.data.dtype)
    have, want = window.have, window.want
    if want.size == 0:
        return
    axes = [AXES - len(have.spans) + axis for axis in op.axes]
    rates = np.zeros((2, AXES), dtype)
    rates[:, axes] = op.rates(dtype)
    terms = launches.constant(rates), np.int32(sum(1 << axis for axis in axes)), np.int32(op.quadratic)
    memory = [launches.reserve(name, have.size * dtype.itemsize) for name in ("one", "other")]
    source = Ref("data")
    for n in range(op.count):
        last = n == op.count - 1
        box, target = (want, Ref("out")) if last else (have, memory[n % 2])
        args = source, target, places(launches, have, box), *terms, np.int32(last), dtype.type(op.largest(dtype))
        tiles = ceil_div(box.size, THREADS)
        launches.launch("diffusion.cu", f"diffusion<{type_name(dtype)}>", tiles, (THREADS, 1), 0, args)
        source = target
