"""The layers of a convolutional network, each a line or two of array code, and a forward pass through some of them.

    python examples/article/layers.py

Arrays are (channels, y, x). Stacks larger than memory: gridstride filter conv, relu, max-pool, avg-pool, dense,
softmax, normalise, one-hot.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from device import on_host, xp


def normalise(array: Any) -> Any:
    """(x - mean) / standard deviation: mean 0, deviation 1."""
    return (array - array.mean()) / array.std()


def one_hot(labels: Any, classes: int) -> Any:
    """Labels (y, x) -> (classes, y, x), 1 in the label's channel and 0 elsewhere."""
    return (labels[None] == xp.arange(classes).reshape(-1, *[1] * labels.ndim)).astype(xp.float32)


def conv(array: Any, weights: Any, bias: Any) -> Any:
    """out[o, y, x] = bias[o] + sum over c, j, i of weights[o, c, j, i] in[c, y + j, x + i]; weights (out, in, j, i)."""
    height, width = (n - k + 1 for n, k in zip(array.shape[1:], weights.shape[2:], strict=True))
    out = xp.zeros((len(weights), height, width)) + bias[:, None, None]
    for j, i in np.ndindex(*weights.shape[2:]):
        out += xp.tensordot(weights[:, :, j, i], array[:, j : j + height, i : i + width], 1)
    return out


def relu(array: Any) -> Any:
    """max(x, 0)"""
    return xp.maximum(array, 0)


def boxes(array: Any, size: int) -> Any:
    """(c, y, x) -> (c, y / size, x / size, size^2): the elements of each box; what is left at the ends is not used."""
    c, height, width = array.shape[0], array.shape[1] // size, array.shape[2] // size
    cut = array[:, : height * size, : width * size].reshape(c, height, size, width, size)
    return cut.swapaxes(2, 3).reshape(c, height, width, size * size)


def max_pool(array: Any, size: int) -> Any:
    return boxes(array, size).max(-1)


def avg_pool(array: Any, size: int) -> Any:
    return boxes(array, size).mean(-1)


def dense(array: Any, weights: Any, bias: Any) -> Any:
    """W x + b at each place; weights (out, in)."""
    return xp.tensordot(weights, array, 1) + bias.reshape(-1, *[1] * (array.ndim - 1))


def softmax(array: Any) -> Any:
    """exp(x) / sum(exp(x)) over the channels."""
    powers = xp.exp(array - array.max(0))
    return powers / powers.sum(0)


if __name__ == "__main__":
    # Is a place left or right of an edge, or on none? Sobel's kernel and the opposite one, then a layer that decides.
    image = normalise(xp.asarray(np.kron([[0, 1, 1, 0]], np.ones((8, 8)))))[None]
    sobel = xp.array([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]])
    kernels = xp.stack([sobel, -sobel])[:, None]
    found = max_pool(relu(conv(image, kernels, xp.zeros(2))), 2)
    decide = xp.array([[1.0, 0], [0, 1], [0, 0]])  # falls, rises, neither
    shares = softmax(dense(found, decide, xp.array([0.0, 0, 3])))
    names = np.array(["falls", "rises", "-"])
    print("along x, the brightness", " ".join(names[on_host(shares[:, 0]).argmax(0)]))
