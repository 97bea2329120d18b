"""What is wrong with a store's metadata, judged before zarr-python opens it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.storage.paths import StorePath
from gridstride.pipeline.storage.remote import Denied


def check_metadata(where: StorePath) -> None:
    """Raises UsageError for metadata that does not say what the array holds, and for pickles."""
    v3, v2 = _document(where, "zarr.json"), _document(where, ".zarray")
    codecs = [v2.get("compressor"), *(v2.get("filters") or ())]
    if any(isinstance(codec, dict) and "pickle" in str(codec.get("id")) for codec in codecs):
        raise UsageError(f"{where} is stored as Python pickles, which can run any program when they are read: refused")
    if v3.get("node_type") == "array" and v3.get("fill_value") is None:
        raise UsageError(
            f"{where}/zarr.json has no fill_value, so that chunks that are absent would have no value: "
            "set it there to one, such as 0"
        )
    if v3 and v2 and (differs := _difference(v3, v2)):
        raise UsageError(
            f"{where} has zarr.json and .zarray, which disagree about {differs}: remove the one that is not this data's"
        )


def read_json(file: StorePath) -> Any:
    """The content of a JSON file; None if it is not there or may not be read, a ValueError if it is damaged."""
    try:
        return json.loads(file.read_bytes())
    except (OSError, Denied):
        return None
    except (ValueError, RecursionError) as error:
        return ValueError(str(error))


def _document(where: StorePath, name: str) -> dict[str, Any]:
    """A JSON file of a store; {} if there is none, or none that is a mapping, which zarr-python reports."""
    content = read_json(where / name)
    return content if isinstance(content, dict) else {}


def _difference(v3: dict[str, Any], v2: dict[str, Any]) -> str:
    """What metadata of Zarr v3 and v2 in one place say differently, or ""."""
    if v3.get("node_type") != "array":
        return "whether it is a group or an array"
    try:
        chunks = v3["chunk_grid"]["configuration"]["chunk_shape"]
        same = np.dtype(v3["data_type"]) == np.dtype(v2["dtype"]).newbyteorder("=")
    except (KeyError, TypeError):
        return "its form"
    if v3["shape"] != v2["shape"]:
        return f"the shape, {v3['shape']} and {v2['shape']}"
    if not same:
        return f"the data type, {v3['data_type']} and {v2['dtype']}"
    return "" if chunks == v2["chunks"] else f"the chunks, {chunks} and {v2['chunks']}"
