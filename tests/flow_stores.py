"""Small simulation stores for tests, with fields that are known in closed form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gridstride.pipeline.flows.store import Layout, create, field_path
from gridstride.pipeline.storage.stores import regions

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
    return Layout(**{**values, **changes})


def write(out: Path, name: str, when: int | None, data: np.ndarray) -> None:
    start = (0,) * data.ndim
    array = regions(field_path(out, name))
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
