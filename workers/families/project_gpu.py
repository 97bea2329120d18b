"""Launches of projections: cuda/pool.cu, where a line is a box of elements, and cuda/project.cu."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from gridstride.workers.families.pool import Pool
from gridstride.workers.families.pool_gpu import THREADS, launch_pool
from gridstride.workers.launches import INPUTS, Launches, Ref, ceil_div, type_name
from gridstride.workers.operators.base import Window
from gridstride.workers.region import Region

if TYPE_CHECKING:
    from gridstride.workers.families.project import Project

METHODS = ("sum", "mean", "std")


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that can be asked for beside those of pools."""
    return [("project.cu", f"project<{t}>") for t in INPUTS]


def launch_project(op: Project, window: Window, launches: Launches) -> None:
    """The one launch: a thread for each line. window.data: no more than is needed."""
    dtype, count = np.dtype(window.data.dtype), prod(window.want.shape)
    if op.method in ("max", "min") or (op.method == "mean" and op.out_dtype.kind != "f"):
        factors = tuple(n if axis == op.axis else 1 for axis, n in enumerate(window.grid.shape))
        spans = window.want.spans
        boxes = Region((*spans[: op.axis], (0, 1), *spans[op.axis :]))
        launch_pool(Pool(factors, op.method, op.out_dtype), window.part(window.have, boxes), launches)
        return
    if count == 0:
        return
    inner = prod(window.data.shape[op.axis + 1 :])
    numbers = [np.int64(n) for n in (count, window.data.shape[op.axis], inner)]
    args = Ref("data"), Ref("out"), *numbers, np.int32(METHODS.index(op.method))
    expression = f"project<{type_name(dtype)}>"
    launches.launch("project.cu", expression, ceil_div(count, THREADS), (THREADS, 1), 0, args)
