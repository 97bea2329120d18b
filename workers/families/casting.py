"""Floating-point results written as any dtype: rounded and saturated, or truncated as scipy does."""

from __future__ import annotations

import numpy as np

from gridstride.workers.families.rows import in_order


def store(values: np.ndarray, out: np.ndarray, cast: str) -> None:
    """Write floating-point values into `out`, of the same shape and any dtype; integers into one of their own.

    To integers, "round" rounds half to even and saturates, "scipy" truncates and keeps the low bits.
    """
    kind = out.dtype.kind
    if out.dtype == values.dtype:
        out[...] = values
    elif kind == "f":
        with np.errstate(over="ignore"):
            out[...] = values
    elif kind == "b":
        out[...] = np.trunc(values) != 0 if cast == "scipy" else values > 0.5
    elif cast == "scipy":
        with np.errstate(invalid="ignore"):
            out[...] = values.astype(np.int64) if out.dtype != np.uint64 else _truncate_to_uint64(values)
    else:
        limits = np.iinfo(out.dtype)
        flat = out.reshape(-1) if out.flags.c_contiguous else np.empty(out.size, out.dtype)
        values = in_order(values).reshape(-1)
        from gridstride.workers.loops import round_to, round_to_64  # Numba takes time to import

        if out.dtype.itemsize == 8:
            ints = (out.dtype.type(limits.min), out.dtype.type(limits.max))
            round_to_64(values, float(limits.min), float(limits.max), *ints, flat)
        else:
            round_to(values, float(limits.min), float(limits.max), flat)
        if not out.flags.c_contiguous:
            out[...] = flat.reshape(out.shape)


def _truncate_to_uint64(values: np.ndarray) -> np.ndarray:
    """As C converts: what is negative wraps around."""
    size = np.abs(values).astype(np.uint64)
    return np.where(values < 0, ~size + np.uint64(1), size)
