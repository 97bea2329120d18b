"""What other libraries call the layers of neural networks, each on one thread."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.peers.operators import Call, Fields, Table, only, sizes


def of_channels(a: np.ndarray, f: Fields) -> np.ndarray:
    """The weights of an image's channels: a part of it may have been taken."""
    return f["weights"][:, : len(a)] if "channel_axis" in f else f["weights"]


def numpy_table() -> Table:
    def dense(a: np.ndarray, f: Fields) -> Call:
        weights = of_channels(a, only(f, "weights", "channel_axis")).astype(np.float32)
        return lambda: np.tensordot(weights, a.astype(np.float32), (1, f["channel_axis"]))

    return {"relu": lambda a, f: lambda: np.maximum(a, np.float32(0)), "dense": dense}


def scipy_table() -> Table:
    from scipy import ndimage, special

    def conv(a: np.ndarray, f: Fields) -> Call:
        weights = of_channels(a, only(f, "weights", "padding", "channel_axis")).astype(np.float32)
        images = a.astype(np.float32) if "channel_axis" in f else a[None].astype(np.float32)
        extra = (1,) * (images.ndim + 1 - weights.ndim)
        layers = weights.reshape(*weights.shape[:2], *extra, *weights.shape[2:])

        def call() -> np.ndarray:
            pairs = (zip(images, kernels, strict=True) for kernels in layers)
            return np.stack([sum(ndimage.correlate(*pair, mode="constant") for pair in channels) for channels in pairs])

        return call

    def pooled(function: Any, outside: float) -> Any:
        def row(a: np.ndarray, f: Fields) -> Call:
            if only(f, "kernel_size", "stride", "padding").get("stride") != 1:
                raise KeyError("no steps")
            return lambda: function(a.astype(np.float32), f["kernel_size"], mode="constant", cval=outside)

        return row

    return {
        "conv": conv,
        "softmax": lambda a, f: lambda: special.softmax(a.astype(np.float32), **only(f, "axis")),
        "max-pool": pooled(ndimage.maximum_filter, -np.inf),
        "avg-pool": pooled(ndimage.uniform_filter, 0.0),
    }


def skimage_table() -> Table:
    from skimage.measure import block_reduce

    def pooled(function: Any) -> Any:
        def row(a: np.ndarray, f: Fields) -> Call:
            return lambda: block_reduce(a, sizes(only(f, "kernel_size")["kernel_size"], a.ndim), function)

        return row

    return {"max-pool": pooled(np.max), "avg-pool": pooled(np.mean)}


def torch_table() -> Table:
    import torch
    from torch.nn import functional

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)

    def tensor(a: np.ndarray) -> Any:
        return torch.from_numpy(a.astype(np.float32))

    convolutions = functional.conv1d, functional.conv2d, functional.conv3d

    def conv(a: np.ndarray, f: Fields) -> Call:
        weights, padding = tensor(of_channels(a, f)), only(f, "weights", "padding", "channel_axis").get("padding", 0)
        function = convolutions[weights.ndim - 3]
        if "channel_axis" in f or weights.ndim == a.ndim + 2:
            of = tensor(a)[None] if "channel_axis" in f else tensor(a)[None, None]
            return lambda: function(of, weights, padding=padding)[0]
        of = tensor(a)[:, None]  # slice by slice
        return lambda: function(of, weights, padding=padding).movedim(1, 0)

    def dense(a: np.ndarray, f: Fields) -> Call:
        weights = tensor(of_channels(a, only(f, "weights", "channel_axis")))
        of, kernel = tensor(a)[None], weights.reshape(*weights.shape, *(1,) * (a.ndim - 1))
        return lambda: convolutions[a.ndim - 2](of, kernel)[0]

    def pooled(functions: tuple[Any, ...]) -> Any:
        def row(a: np.ndarray, f: Fields) -> Call:
            of, function = tensor(a)[None, None], functions[a.ndim - 1]
            return lambda: function(of, **only(f, "kernel_size", "stride", "padding"))[0, 0]

        return row

    def softmax(a: np.ndarray, f: Fields) -> Call:
        of = tensor(a)
        return lambda: torch.softmax(of, only(f, "axis")["axis"])

    def relu(a: np.ndarray, f: Fields) -> Call:
        of = tensor(a)
        return lambda: torch.relu(of)

    return {
        "conv": conv,
        "dense": dense,
        "max-pool": pooled((functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)),
        "avg-pool": pooled((functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)),
        "softmax": softmax,
        "relu": relu,
    }
