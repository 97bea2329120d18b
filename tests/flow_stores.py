"""Small simulation stores for tests, with fields that are known in closed form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gridstride.pipeline.pictures import flow_view
from gridstride.pipeline.simulations.store import FlowStore, Layout, create, field_path
from gridstride.pipeline.storage.regions import open_regions
from gridstride.workers.models.edac.case import Edac

# A case that runs in a moment.
CHANNEL: dict[str, Any] = {
    "name": "short channel",
    "grid": {"cells": {"x": 16, "y": 12}, "size": {"x": 2.0, "y": 1.0}},
    "fluid": {"viscosity": 0.05, "speed": 1.0, "mach": 0.2},
    "boundaries": {"y": "wall", "x": "periodic"},
    "run": {"until": 0.2},
    "output": {"snapshots": {"time": 0.1}, "diagnostics": {"steps": 5}, "checkpoints": {"time": 0.1}},
}
ATTRIBUTES = {"gridstride": {"version": "0", "case": {"name": "a test"}, "dt": 0.01}}


def flow_layout(cells: dict[str, int], **changes: Any) -> Layout:
    """A layout of a grid on boxes of 1.5 x 1 x 2, unless `changes` say otherwise."""
    size = {"x": 1.5, "y": 1.0, "z": 2.0}
    steps = np.arange(1, 13) * 10
    values: dict[str, Any] = {
        "cells": cells,
        "spacing": {axis: size[axis] / n for axis, n in cells.items()},
        "origin": {"x": -0.5},
        "fields": ("u", "v", "w", "p") if "z" in cells else ("u", "v", "p"),
        "dtype": "float64",
        "times": np.arange(5) * 0.25,
        "diagnostic_steps": steps,
        "diagnostic_times": steps * 0.01,
        "diagnostic_columns": ("kinetic_energy", "max_speed", "force_x", "force_y"),
        "chunks": tuple(3 + i for i in range(len(cells))),
    }
    if changes.pop("solid", False):
        values["statics"] = ("solid",)
    return Layout(**{"long_names": Edac.long_names, **values, **changes})


def write(out: Path, name: str, when: int | None, data: np.ndarray) -> None:
    start = (0,) * data.ndim
    array = open_regions(field_path(out, name))
    array.write(start, data) if when is None else array.write((when, *start), data[None])


def flow_store(
    out: Path, layout: Layout, fields: dict[str, Callable[..., Any]], written: Sequence[int] = (0, 1, 2, 3, 4)
) -> Path:
    """A store whose fields are functions of (x, y, t) or (x, y, z, t), at the snapshots `written`."""
    create(out, layout, ATTRIBUTES)
    grid = np.meshgrid(*(layout.centres(axis) for axis in layout.axes), indexing="ij")
    position = [grid[layout.axes.index(axis)] for axis in ("x", "y", "z") if axis in layout.axes]
    for when in written:
        for name, function in fields.items():
            values = np.broadcast_to(function(*position, layout.times[when]), layout.shape)
            write(out, name, when, np.array(values, layout.dtype))
    return out


FLAT = {"x": 9, "y": 7}
DEEP = {"x": 9, "y": 7, "z": 6}
K = 2 * np.pi
# A velocity gradient: A[i, j] = d(velocity i)/d(axis j), axes x, y, z. Differences of a linear field are exact.
A = np.array([[0.7, -1.3, 0.4], [2.1, -0.2, 1.1], [-0.6, 0.9, -0.5]])


def linear(i: int) -> Callable[..., Any]:
    return lambda x, y, z, t: (1 + t) * (A[i, 0] * x + A[i, 1] * y + A[i, 2] * z + i)


def shear_store(out: Path) -> Path:
    """Its velocity has the gradient A, times 1 + t."""
    fields = {"u": linear(0), "v": linear(1), "w": linear(2), "p": lambda x, y, z, t: x * y * z}
    return flow_store(out, flow_layout(DEEP), fields)


def vortex(amplitude: Callable[[float], float] = lambda t: 1.0) -> dict[str, Callable[..., Any]]:
    return {
        "u": lambda x, y, t: amplitude(t) * np.sin(K * x) * np.cos(K * y),
        "v": lambda x, y, t: -amplitude(t) * np.cos(K * x) * np.sin(K * y),
        "p": lambda x, y, t: amplitude(t) ** 2 * (np.cos(2 * K * x) + np.cos(2 * K * y)) / 4,
    }


def see(path: Path, field: str | None, axis: Any = None, index: Any = None, size: int = 1024) -> flow_view.FlowView:
    return flow_view.flow_view(FlowStore.open(path), field, axis, index, size)
