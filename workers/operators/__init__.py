"""The operators: what a sweep applies to each block. One file for each family; `base` says what an operator is."""

from __future__ import annotations

import dataclasses
import json
from io import BytesIO
from typing import Any

import numpy as np

from gridstride.workers.models.edac.flow import Flow
from gridstride.workers.models.edac.geometry import Geometry
from gridstride.workers.models.edac.obstacles import SHAPES
from gridstride.workers.models.edac.problems import PROBLEMS
from gridstride.workers.models.edac.setup import Setup
from gridstride.workers.operators.correlate import Correlate
from gridstride.workers.operators.separable import Pass, Separable
from gridstride.workers.operators.steps import Steps

STORED = (Correlate, Pass, Separable, Steps, Setup, Flow, Geometry, *SHAPES.values(), *PROBLEMS.values())
TYPES: dict[str, type] = {cls.__name__: cls for cls in STORED}


def save(operator: Any, folder: Any) -> None:
    """Write an operator as `operator.json` and its arrays as `operator.npz`: data alone, never a pickle.

    folder: a Path, or what has its `/`, `read_bytes` and `write_bytes`
    """
    arrays: dict[str, Any] = {}

    def encode(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            name = f"a{len(arrays)}"
            arrays[name] = value
            return {"array": name}
        if isinstance(value, np.dtype):
            return {"dtype": value.name}
        if isinstance(value, tuple):
            return [encode(item) for item in value]
        if type(value) in TYPES.values():
            fields = {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
            return {"type": type(value).__name__, **fields}
        return value

    text = json.dumps(encode(operator), indent=1)
    packed = BytesIO()
    np.savez(packed, **arrays)
    (folder / "operator.npz").write_bytes(packed.getvalue())
    (folder / "operator.json").write_bytes(text.encode())


def load(folder: Any) -> Any:
    """Read what `save` wrote."""
    with np.load(BytesIO((folder / "operator.npz").read_bytes()), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}

    def decode(value: Any) -> Any:
        if isinstance(value, list):
            return tuple(decode(item) for item in value)
        if isinstance(value, dict):
            if "type" in value:
                fields = {name: decode(item) for name, item in value.items() if name != "type"}
                return TYPES[value["type"]](**fields)
            return arrays[value["array"]] if "array" in value else np.dtype(value["dtype"])
        return value

    return decode(json.loads((folder / "operator.json").read_bytes()))
