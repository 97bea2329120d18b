"""Trains edges.safetensors, a small network that finds the edges of nuclei, on a CPU in a minute. Needs PyTorch.

    python examples/networks/train.py

It learns, slice by slice, what is background, what lies in a nucleus and what is its edge: of the image's every second
row and column, from a mask by Otsu's threshold. examples/pipelines/nuclei-edges.yaml has the same layers.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import tifffile
import torch
from scipy import ndimage
from skimage.filters import threshold_otsu
from torch import nn

HERE = Path(__file__).parent
CELLS = HERE.parent / "data" / "cells3d_nuclei.tif"
SCALE = 2.0**-13  # of the image's numbers, which the first weights have in them
STEPS, BATCH, SEED = 1500, 8, 1


class Net(nn.Sequential):
    """(n, 1, y, x) to (n, 3, y / 2, x / 2): how much each place is background, inside and edge."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 8, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 8, 3, padding="same", dilation=2), nn.ReLU(), nn.Conv2d(8, 3, 1),
        )  # fmt: skip

    def arrays(self) -> dict[str, np.ndarray]:
        """The weights as the pipeline's steps call them."""
        names = {"0": "conv1", "3": "conv2", "5": "dense"}
        found = {}
        for key, value in self.state_dict().items():
            number, kind = key.split(".")
            found[f"{names[number]}.{kind}"] = value.numpy()
        found["conv1.weight"] = found["conv1.weight"] * np.float32(SCALE)
        found["dense.weight"] = found["dense.weight"][:, :, 0, 0]
        return found


def classes(cells: np.ndarray) -> np.ndarray:
    """0: background, 1: inside, 2: edge, of every second row and column."""
    smooth = ndimage.gaussian_filter(cells.astype(np.float32), (1, 2, 2))
    smooth -= ndimage.gaussian_filter(smooth, (1, 25, 25))
    mask = (smooth > threshold_otsu(smooth))[:, ::2, ::2]
    disc = ndimage.generate_binary_structure(2, 1)[None]
    inner, outer = ndimage.binary_erosion(mask, disc), ndimage.binary_dilation(mask, disc)
    return np.where(outer & ~inner, 2, mask).astype(np.int64)


def train(cells: np.ndarray) -> Net:
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    images, wanted = torch.from_numpy(cells * np.float32(SCALE))[:, None], torch.from_numpy(classes(cells))
    weights = 1 / torch.bincount(wanted.reshape(-1)).float().sqrt()
    net = Net()
    optimiser = torch.optim.Adam(net.parameters(), 0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in range(STEPS):
        of = torch.randint(len(images), (BATCH,))
        loss = nn.functional.cross_entropy(net(images[of]), wanted[of], weights)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        found = torch.cat([net(image[None]).argmax(1) for image in images])
    print(f"right: {(found == wanted).float().mean():.1%}, of edges {(found == 2)[wanted == 2].float().mean():.1%}")
    return net


def save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """A .safetensors file of float32 arrays."""
    header, at = {}, 0
    for name, array in arrays.items():
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(array.tobytes() for array in arrays.values()))


if __name__ == "__main__":
    save(HERE / "edges.safetensors", train(tifffile.imread(CELLS)).arrays())
