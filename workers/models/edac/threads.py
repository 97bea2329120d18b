"""Threads that make the steps of one block together: where they meet, in compiled code that holds no GIL.

A step of a small grid takes microseconds, so they wait by looking, and give up their core only after a while.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

LOOKS = 4000  # before a thread gives up its core: a few microseconds


@intrinsic
def _arrive(typing: Any, gate: Any) -> Any:
    """Add one to gate[0]."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.atomic_rmw("add", pointer, context.get_constant(types.int64, 1), "seq_cst")

    return types.int64(gate), code


@intrinsic
def _arrived(typing: Any, gate: Any) -> Any:
    """gate[0], as other threads have left it."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load_atomic(pointer, "seq_cst", 8)

    return types.int64(gate), code


@intrinsic
def _give_way(typing: Any) -> Any:
    """The system's sched_yield."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])

    return types.int32(), code


@njit(nogil=True, cache=True)
def meet(gate, parts, turn):
    """Wait until all threads are here for the turn after `turn`, which is returned. gate: one int64, at first 0."""
    turn += 1
    _arrive(gate)
    looks = 0
    while _arrived(gate) < turn * parts:
        looks += 1
        if looks > LOOKS:
            _give_way()
    return turn


def together(work: Callable[[int, int, np.ndarray], Any], parts: int) -> Any:
    """The result of `work(part, parts, gate)`, called in so many threads at once."""
    gate = np.zeros(1, np.int64)
    others = [threading.Thread(target=work, args=(part, parts, gate)) for part in range(1, parts)]
    for thread in others:
        thread.start()
    try:
        return work(0, parts, gate)
    finally:
        for thread in others:
            thread.join()
