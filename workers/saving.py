"""Save frozen dataclasses and pydantic models as data alone, never a pickle: NAME.json, and their arrays in NAME.npz.

The tag of an object is its class's dotted path. `load` makes objects of this package's classes, and of those of
installed operators and models: a file cannot name any other code.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from io import BytesIO
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

OURS = "gridstride."
MEASURED = {"measured": True}  # metadata of a dataclass's field
GROUPS = ("gridstride.operators", "gridstride.models")


class Folder(Protocol):
    """A Path, or what has its `/`, `read_bytes` and `write_bytes`."""

    def __truediv__(self, name: str) -> Any: ...


def write_bytes(where: Any, content: bytes) -> None:
    where.write_bytes(content)


def save(value: Any, folder: Folder, name: str, write: Callable[[Any, bytes], None] = write_bytes) -> None:
    """Write an object as `name`.json and its arrays as `name`.npz. write: a file, such as so that it is never half
    there"""
    text, arrays = encoded(value)
    packed = BytesIO()
    named: Any = {f"a{number}": array for number, array in enumerate(arrays)}
    np.savez(packed, **named)
    write(folder / f"{name}.npz", packed.getvalue())
    write(folder / f"{name}.json", text.encode())


def load(folder: Folder, name: str) -> Any:
    """Read what `save` wrote. Raises ValueError, KeyError or OSError where it is damaged."""
    with np.load(BytesIO((folder / f"{name}.npz").read_bytes()), allow_pickle=False) as stored:
        arrays = {key: stored[key] for key in stored.files}

    def decode(value: Any) -> Any:
        if isinstance(value, list):
            return tuple(decode(item) for item in value)
        if not isinstance(value, dict):
            return value
        if "type" in value:
            return _class_of(value["type"])(**{key: decode(item) for key, item in value["fields"].items()})
        if "map" in value:
            return {key: decode(item) for key, item in value["map"].items()}
        return arrays[value["array"]] if "array" in value else np.dtype(value["dtype"])

    return decode(json.loads((folder / f"{name}.json").read_bytes()))


def encoded(value: Any, identity: bool = False) -> tuple[str, list[np.ndarray]]:
    """An object as JSON, and the arrays that the JSON names, in order. A class's `version` is in it, for identities.

    identity: leave out what was measured, which differs from one time to the next (a field with MEASURED)
    """
    arrays: list[np.ndarray] = []

    def encode(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            arrays.append(value)
            return {"array": f"a{len(arrays) - 1}"}
        if isinstance(value, np.dtype):
            return {"dtype": value.name}
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, tuple | list):
            return [encode(item) for item in value]
        if isinstance(value, dict):
            return {"map": {str(key): encode(item) for key, item in value.items()}}
        if dataclasses.is_dataclass(value) or _is_model(type(value)):
            kind = type(value)
            left_out = _measured(kind) if identity else ()
            fields = {name: encode(getattr(value, name)) for name in _fields(kind) if name not in left_out}
            version = {"version": kind.version} if isinstance(getattr(kind, "version", None), int) else {}
            return {"type": f"{kind.__module__}.{kind.__qualname__}", **version, "fields": fields}
        return value

    return json.dumps(encode(value), indent=1), arrays


def digest(value: Any) -> str:
    """A hash of an object and the bytes of its arrays."""
    text, arrays = encoded(value, identity=True)
    found = hashlib.sha256(text.encode())
    for array in arrays:
        found.update(f"{array.dtype.str}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def _fields(kind: Any) -> list[str]:
    if _is_model(kind):
        return list(kind.model_fields)
    return [f.name for f in dataclasses.fields(kind)]


def _measured(kind: Any) -> frozenset[str]:
    """The fields that are no part of an object's identity."""
    if not dataclasses.is_dataclass(kind):
        return frozenset()
    return frozenset(f.name for f in dataclasses.fields(kind) if "measured" in f.metadata)


@cache
def _class_of(path: str) -> type:
    """The class of a dotted path. Raises ValueError for one that files may not name."""
    module, _, name = path.rpartition(".")
    if not module.startswith(OURS) and module not in {e.module for group in GROUPS for e in entry_points(group=group)}:
        raise ValueError(f"{path} is no class of an operator or a model that is installed here")
    found = getattr(import_module(module), name, None)
    if not (isinstance(found, type) and (dataclasses.is_dataclass(found) or _is_model(found))):
        raise ValueError(f"{path} is no class that can be loaded")
    return found


def _is_model(kind: type) -> bool:
    """Whether it is one of pydantic's models; pydantic takes time to import, and most workers need none of it."""
    return hasattr(kind, "model_fields")
