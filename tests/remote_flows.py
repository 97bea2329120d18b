"""A small simulation for tests of object stores, and its output's bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gridstride.pipeline.storage import paths
from gridstride.pipeline.storage.journal import FOLDER

# A post in a channel, in thin slabs: 30 steps, snapshots at 0, 10, 20 and 30, checkpoints at 8, 16, 24 and 30.
CASE: dict[str, Any] = {
    "name": "post in a channel",
    "grid": {"cells": {"x": 20, "y": 24}, "size": {"x": 1.0, "y": 1.0}},
    "fluid": {"viscosity": 0.02, "speed": 1.5, "mach": 0.2},
    "boundaries": {
        "x-": {"kind": "inflow", "velocity": {"x": 1.0}, "profile": "parabolic"},
        "x+": "outflow",
        "y": "wall",
    },
    "obstacles": [{"shape": "cylinder", "center": {"x": 0.5, "y": 0.5}, "radius": 0.15}],
    "run": {"until": 0.03, "dt": 0.001, "ramp": 0.01},
    "output": {
        "snapshots": {"steps": 10},
        "diagnostics": {"steps": 4},
        "checkpoints": {"steps": 8},
        "chunks": {"x": 10, "y": 12},
    },
}


def content(out: str | Path) -> dict[str, bytes]:
    """Every file or object of a result, but for the journal's."""
    root = paths.store_path(out)
    if isinstance(root, Path):
        keys = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
    else:
        keys = [key.removeprefix(f"{root.key}/") for key in root.each_key()]
    return {key: (root / key).read_bytes() for key in sorted(keys) if not key.startswith(FOLDER)}


def assert_same(one: dict[str, bytes], other: dict[str, bytes]) -> None:
    assert list(one) == list(other)
    assert [name for name in one if one[name] != other[name]] == []
