"""What WEBKNOSSOS says of its arrays in datasource-properties.json, in the words of OME-Zarr.

https://docs.webknossos.org/webknossos/data/concepts.html: older datasets have nothing else that names their axes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gridstride.pipeline.storage.metadata import read_json
from gridstride.pipeline.storage.paths import StorePath

FILE = "datasource-properties.json"


def attributes(place: StorePath, inside: str) -> Mapping[str, Any]:
    """The attributes that a group with the array at the path `inside` would have; none if the file does not say."""
    try:
        content = read_json(place / FILE)
        size = content["scale"]
        for layer in content["dataLayers"]:
            for level in layer["mags"]:
                if level.get("path", "").removeprefix("./").strip("/") == inside:
                    image = {"multiscales": [_image(level, inside, size["factor"], size["unit"])]}
                    return image | ({"image-label": [{}]} if layer.get("category") == "segmentation" else {})
    except Exception:  # there is no such file, or it may not be read, or it is another version's
        pass
    return {}


def _image(level: Mapping[str, Any], inside: str, factor: list[float], unit: str) -> Mapping[str, Any]:
    order = sorted(level["axisOrder"], key=level["axisOrder"].get)
    space = {name: step * size for name, step, size in zip("xyz", level["mag"], factor, strict=True)}
    axes = [{"name": n, "type": "space", "unit": unit} if n in space else {"name": n, "type": "channel"} for n in order]
    scale = {"type": "scale", "scale": [space.get(name, 1.0) for name in order]}
    return {"axes": axes, "datasets": [{"path": inside, "coordinateTransformations": [scale]}]}
