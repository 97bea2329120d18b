"""Attention: softmax(Q K^T / sqrt(d)) V: each row of the result is a mean of V's rows, weighted by how alike its query
is to their keys.

    python examples/article/attention.py

A. Vaswani et al., "Attention is all you need", 2017, eq. 1.
"""

from __future__ import annotations

from typing import Any

from device import on_host, xp


def softmax(scores: Any) -> Any:
    """exp(scores) divided by its sum along the last axis. The largest is taken off first, so that none overflows."""
    powers = xp.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def attention(queries: Any, keys: Any, values: Any) -> Any:
    """queries (..., m, d), keys (..., n, d), values (..., n, e) -> (..., m, e)."""
    scores = queries @ keys.swapaxes(-1, -2) / queries.shape[-1] ** 0.5
    return softmax(scores) @ values


if __name__ == "__main__":
    # Three positions ask, each for the key that points its way: the first two get one value each, the last a mean.
    keys = xp.array([[9.0, 0.0], [0.0, 9.0]])
    values = xp.array([[1.0, 0.0], [0.0, 1.0]])
    queries = xp.array([[9.0, 0.0], [0.0, 9.0], [5.0, 5.0]])
    print(on_host(attention(queries, keys, values)).round(6))
