"""Launches of cuda/pool.cu."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers.launches import AXES, INPUTS, Launches, Ref, ceil_div, six, strides, type_name
from gridstride.workers.operators.base import Window

if TYPE_CHECKING:
    from gridstride.workers.families.pool import Pool

THREADS = 256
BOXES = np.dtype([(key, np.int64, AXES) for key in ("size", "available", "factor", "stride")])


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that can be asked for."""
    names = [f"extreme<{t}, {largest}>" for t in INPUTS for largest in ("true", "false")]
    names += [f"mean<{t}, f64, {o}>" for t in INPUTS for o in (*INPUTS, "bool")]
    names += [f"ordered<{t}, {o}>" for t in INPUTS for o in dict.fromkeys((t, t if t[0] == "f" else "f64"))]
    return [("pool.cu", name) for name in names]


def launch_pool(op: Pool, window: Window, launches: Launches) -> None:
    """The one launch of a pool: a thread for each output. window.data: no more than is needed."""
    dtype, count = np.dtype(window.data.dtype), prod(window.want.shape)
    out = np.dtype(np.float32) if op.out_dtype == np.float16 else op.out_dtype
    launches.out_dtype = out
    if count == 0:
        return
    geometry = np.zeros((), BOXES)
    geometry["size"], geometry["available"] = six(window.want.shape, 1), six(window.data.shape, 1)
    geometry["factor"], geometry["stride"] = six(op.factors, 1), six(strides(window.data.shape), 0)
    args: tuple[Any, ...] = (Ref("data"), Ref("out"), launches.constant(geometry), np.int64(count))
    if op.method in ("median", "mode"):
        launches.out_dtype = out if op.out_dtype.kind == "f" else op.out_dtype
        whole = "f64" if op.method == "median" and dtype.kind != "f" and out.kind == "f" else type_name(dtype)
        expression = f"ordered<{type_name(dtype)}, {whole}>"
        args += (np.int32(op.method == "mode"),)
    elif op.method == "mean":
        expression = f"mean<{type_name(dtype)}, f64, {type_name(out)}>"
    else:
        expression = f"extreme<{type_name(dtype)}, {'true' if op.method == 'max' else 'false'}>"
    launches.launch("pool.cu", expression, ceil_div(count, THREADS), (THREADS, 1), 0, args)
