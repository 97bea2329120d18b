"""Threads that make the steps of one block together: their barrier, in compiled code that holds no GIL.

A step of a small grid takes microseconds, so they wait by looking, and give up their core only after a while. A thread
that raises breaks the barrier: all others then return from it at once, with a number below 0.
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
BROKEN = -(2**62)  # below 0 however many threads arrive after it was written


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
def barrier(gate, parts, turn):
    """Wait until all threads are here for the turn after `turn`, which is returned; -1 if one of them has raised.
    gate: one int64, at first 0."""
    turn += 1
    _arrive(gate)
    looks = 0
    while True:
        arrived = _arrived(gate)
        if arrived < 0:
            return -1
        if arrived >= turn * parts:
            return turn
        looks += 1
        if looks > LOOKS:
            _give_way()


def together(work: Callable[[int, int, np.ndarray], Any], parts: int) -> Any:
    """The result of `work(part, parts, gate)`, called in so many threads at once. Raises what the first of them raised,
    once all have ended."""
    gate = np.zeros(1, np.int64)
    errors: list[BaseException] = []
    results: list[Any] = [None] * parts

    def one(part: int) -> None:
        try:
            results[part] = work(part, parts, gate)
        except BaseException as error:
            errors.append(error)
            gate[0] = BROKEN

    others = [threading.Thread(target=one, args=(part,)) for part in range(1, parts)]
    try:
        for thread in others:
            thread.start()
        one(0)
    except BaseException:  # a thread could not be started, for one
        gate[0] = BROKEN
        raise
    finally:
        for thread in others:
            if thread.ident is not None:
                thread.join()
    if errors:
        raise errors[0]
    return results[0]
