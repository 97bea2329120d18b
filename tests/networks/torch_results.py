"""What PyTorch makes of the layers' cases, stored in results.npz so that tests need no PyTorch.

    python -m tests.networks.torch_results

writes the file again, with PyTorch's version in it, and the network's result for the cells of examples/data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).with_name("results.npz")
NETWORK = Path(__file__).parents[2] / "examples" / "networks" / "edges.safetensors"
PART = (slice(20, 25), slice(60, 102), slice(100, 146))  # of the cells, for the network

# (operator, options, shape of the array, shape of the weights); channels come first.
CASES: list[tuple[str, dict[str, Any], tuple[int, ...], tuple[int, ...]]] = [
    ("conv", {}, (2, 17), (3, 2, 4)),
    ("conv", {"stride": 3, "padding": 2, "dilation": 2}, (4, 23), (6, 2, 3)),
    ("conv", {"padding": "same"}, (1, 9, 11), (8, 1, 3, 3)),
    ("conv", {"padding": "same", "dilation": (2, 3)}, (3, 13, 11), (5, 3, 2, 3)),
    ("conv", {"stride": (2, 1), "padding": (0, 3)}, (5, 12, 7), (4, 5, 3, 5)),
    ("conv", {"stride": 2, "padding": 3}, (3, 18, 21), (7, 3, 7, 7)),
    ("conv", {"padding": 5}, (2, 4, 3), (2, 2, 3, 3)),
    ("conv", {}, (6, 9, 8), (6, 1, 3, 3)),
    ("conv", {"stride": 2}, (3, 8, 9), (4, 3, 1, 1)),
    ("conv", {"stride": (1, 2, 2), "padding": 1}, (2, 6, 9, 8), (4, 2, 3, 3, 3)),
    ("conv", {"dilation": (1, 2, 1), "padding": (1, 2, 0)}, (4, 5, 9, 7), (2, 2, 3, 3, 2)),
    ("dense", {}, (5, 6, 7), (3, 5)),
    ("dense", {}, (16, 11), (4, 16)),
    ("relu", {}, (3, 7, 9), ()),
    ("softmax", {"axis": 0}, (5, 6, 7), ()),
    ("softmax", {"axis": 2}, (3, 4, 19), ()),
    ("max-pool", {"kernel_size": 2}, (3, 11), ()),
    ("max-pool", {"kernel_size": 3, "stride": 2, "padding": 1}, (2, 12, 13), ()),
    ("max-pool", {"kernel_size": (2, 3), "stride": (1, 2), "dilation": (2, 1)}, (2, 9, 10), ()),
    ("max-pool", {"kernel_size": 3, "stride": 2, "ceil_mode": True}, (2, 8, 9, 10), ()),
    ("avg-pool", {"kernel_size": 2}, (3, 11), ()),
    ("avg-pool", {"kernel_size": 3, "stride": 2, "padding": 1}, (2, 12, 13), ()),
    ("avg-pool", {"kernel_size": (4, 3), "stride": 3, "padding": (2, 1), "count_include_pad": False}, (2, 11, 10), ()),
    ("avg-pool", {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}, (2, 8, 9, 10), ()),
]


def inputs(number: int) -> dict[str, np.ndarray]:
    """The arrays of a case: x, and weights and bias where it has them."""
    name, _, shape, weights = CASES[number]
    rng = np.random.default_rng(number)
    arrays = {"x": rng.normal(size=shape).astype(np.float32)}
    if weights:
        arrays["weights"] = rng.normal(size=weights).astype(np.float32)
        arrays["bias"] = rng.normal(size=weights[0]).astype(np.float32)
    if name == "max-pool":
        arrays["x"].flat[::23] = np.nan
    return arrays


def torch_result(number: int, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """What PyTorch makes of a case, on the CPU."""
    import torch
    from torch.nn import functional

    name, options, _, _ = CASES[number]
    tensors = {key: torch.from_numpy(array) for key, array in arrays.items()}
    x = tensors.pop("x")
    if name in ("relu", "softmax"):
        return (torch.relu(x) if name == "relu" else torch.softmax(x, options["axis"])).numpy()
    if name == "dense":
        return functional.linear(x.movedim(0, -1), tensors["weights"], tensors["bias"]).movedim(-1, 0).numpy()
    function = getattr(functional, f"{name.replace('-', '_')}{x.ndim - 1}d")
    if name == "conv":
        groups = len(x) // tensors["weights"].shape[1]
        return function(x[None], tensors["weights"], tensors["bias"], **options, groups=groups)[0].numpy()
    return function(x[None], **options)[0].numpy()


def network_result(cells: np.ndarray) -> np.ndarray:
    """What PyTorch makes of slices (z, y, x) by examples/networks/train.py's network: (3, z, y / 2, x / 2)."""
    import torch
    from torch.nn import functional

    from gridstride.workers.array_files import read_array

    def layer(x: Any, name: str, **options: Any) -> Any:
        weights, bias = (
            torch.from_numpy(np.array(read_array(f"{NETWORK}:{name}.{kind}", name))) for kind in ("weight", "bias")
        )
        return functional.conv2d(
            x, weights.reshape(*weights.shape[:2], *(weights.shape[2:] or (1, 1))), bias, **options
        )

    x = torch.from_numpy(cells.astype(np.float32))[:, None]
    x = functional.max_pool2d(torch.relu(layer(x, "conv1", padding="same")), 2)
    x = layer(torch.relu(layer(x, "conv2", padding="same", dilation=2)), "dense")
    return torch.softmax(x, 1).movedim(1, 0).numpy()


def make() -> None:
    import tifffile
    import torch

    torch.set_num_threads(1)
    stored = {}
    for number in range(len(CASES)):
        arrays = inputs(number)
        stored |= {f"{number}/{key}": array for key, array in arrays.items()}
        stored[f"{number}/result"] = torch_result(number, arrays)
    cells = tifffile.imread(NETWORK.parents[1] / "data" / "cells3d_nuclei.tif")[PART]
    stored |= {"cells": cells, "network": network_result(cells), "version": np.array(torch.__version__)}
    np.savez_compressed(RESULTS, **stored)


if __name__ == "__main__":
    make()
