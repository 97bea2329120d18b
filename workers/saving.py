"""Objects as data: what the client makes and the workers compute with, saved as JSON and arrays, never as a pickle.

An object is a frozen dataclass or a pydantic model of `gridstride.workers`, of numbers, texts, tuples, dictionaries,
dtypes, arrays, and further such objects. Its type is stored as the class's dotted path, and nothing else can be named
by one.
"""

from __future__ import annotations

import dataclasses
import json
from importlib import import_module
from io import BytesIO
from typing import Any, Protocol

import numpy as np
from pydantic import BaseModel

OURS = "gridstride.workers."


class Folder(Protocol):
    """A Path, or what has its `/`, `read_bytes` and `write_bytes`."""

    def __truediv__(self, name: str) -> Any: ...


def save(thing: Any, folder: Folder) -> None:
    """Write an object as `operator.json` and its arrays as `operator.npz`. Raises TypeError or ValueError for what
    could not be loaded again."""
    arrays: dict[str, Any] = {}

    def encode(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            name = f"a{len(arrays)}"
            arrays[name] = value
            return {"array": name}
        if isinstance(value, np.dtype):
            return {"dtype": value.name}
        if isinstance(value, tuple | list):
            return [encode(item) for item in value]
        if isinstance(value, dict):
            return {"map": {name: encode(item) for name, item in value.items()}}
        if isinstance(value, BaseModel) or (dataclasses.is_dataclass(value) and not isinstance(value, type)):
            cls = type(value)
            path = f"{cls.__module__}:{cls.__qualname__}"
            if class_of(path) is not cls:
                raise TypeError(f"{path} cannot be saved: it is another class than the one of this name")
            return {"type": path, "fields": {name: encode(getattr(value, name)) for name in fields_of(cls)}}
        return value

    text = json.dumps(encode(thing), indent=1)
    packed = BytesIO()
    np.savez(packed, **arrays)
    (folder / "operator.npz").write_bytes(packed.getvalue())
    (folder / "operator.json").write_bytes(text.encode())


def load(folder: Folder) -> Any:
    """Read what `save` wrote. Raises ValueError for a type that is none of ours."""
    with np.load(BytesIO((folder / "operator.npz").read_bytes()), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}

    def decode(value: Any) -> Any:
        if isinstance(value, list):
            return tuple(decode(item) for item in value)
        if not isinstance(value, dict):
            return value
        if "type" in value:
            return class_of(value["type"])(**{name: decode(item) for name, item in value["fields"].items()})
        if "map" in value:
            return {name: decode(item) for name, item in value["map"].items()}
        return arrays[value["array"]] if "array" in value else np.dtype(value["dtype"])

    return decode(json.loads((folder / "operator.json").read_bytes()))


def fields_of(cls: type) -> list[str]:
    if issubclass(cls, BaseModel):
        return list(cls.model_fields)
    return [field.name for field in dataclasses.fields(cls) if field.init]


def class_of(path: str) -> type:
    """The class at "gridstride.workers.module:Name". Raises ValueError unless it is a frozen dataclass or a pydantic
    model that is defined there."""
    module, _, name = path.partition(":")
    found = getattr(import_module(module), name, None) if module.startswith(OURS) else None
    if isinstance(found, type) and found.__module__ == module:
        frozen = dataclasses.is_dataclass(found) and found.__dataclass_params__.frozen  # type: ignore[attr-defined]
        if frozen or issubclass(found, BaseModel):
            return found
    raise ValueError(f"{path!r} is no frozen dataclass or pydantic model of {OURS.rstrip('.')}: it is not loaded")
