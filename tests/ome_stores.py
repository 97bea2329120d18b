"""Small OME-Zarr stores in the layouts of public collections, and the axes of each of their levels.

The metadata are what the collections' own writers make: plates of wells, series of bioformats2raw, pyramids in deep
groups, SpatialData with tables, WEBKNOSSOS with x first, levels in groups of their own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import zarr

KINDS = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}
SIZES = {"t": 2, "c": 2, "z": 4, "y": 6, "x": 8}


Levels = list[tuple[str, str]]  # the path of each, with its axes


def group(where: Path, version: int, **attributes: Any) -> Any:
    return zarr.create_group(where, zarr_format=version, attributes=attributes)


def image(where: Path, version: int, axes: str, *levels: str, labels: bool = False, **more: Any) -> Levels:
    """Write an image, of labels if asked."""
    kinds = [{"name": name, "type": KINDS[name]} for name in axes]
    datasets = [
        {"path": path, "coordinateTransformations": [{"type": "scale", "scale": [2.0**k] * len(axes)}]}
        for k, path in enumerate(levels)
    ]
    content = {"multiscales": [{"axes": kinds, "datasets": datasets, **more}]} | ({"image-label": {}} if labels else {})
    node = group(where, version, **({"ome": {"version": "0.5", **content}} if version == 3 else content))
    for path in levels:
        shape = tuple(SIZES[name] for name in axes)
        data = np.random.default_rng(len(path)).integers(0, 200, shape)
        options: Any = {"chunks": shape, "dtype": "uint32" if labels else "uint16"}
        node.create_array(path, shape=shape, **options)[...] = data
    return [(str(where / path), axes) for path in levels]


def plate(root: Path) -> Levels:
    """A plate of Zarr v2 whose well C/03 is not there; a field with labels and a table; another named 3."""
    wells = [{"path": path, "rowIndex": 0, "columnIndex": 0} for path in ("B/03", "C/03")]
    group(root, 2, plate={"wells": wells, "rows": [{"name": "B"}, {"name": "C"}], "columns": [{"name": "03"}]})
    group(root / "B", 2)
    group(root / "B/03", 2, well={"images": [{"path": "0"}, {"path": "3"}]})
    found = image(root / "B/03/0", 2, "czyx", "0", "1") + image(root / "B/03/3", 2, "czyx", "0")
    group(root / "B/03/0/labels", 2, labels=["nuclei"])
    found += image(root / "B/03/0/labels/nuclei", 2, "zyx", "0", labels=True)
    group(root / "B/03/0/tables", 2).create_array("X", shape=(3, 2), dtype="float32")
    return found


def series(root: Path) -> Levels:
    """What bioformats2raw makes of a file with two images: all five axes, whatever their lengths."""
    group(root, 2, **{"bioformats2raw.layout": 3})
    group(root / "OME", 2, series=["0", "1"])
    (root / "OME/METADATA.ome.xml").write_text("<OME/>")
    return image(root / "0", 2, "tczyx", "0", "1") + image(root / "1", 2, "tczyx", "0")


def deep(root: Path) -> Levels:
    """Groups in groups without attributes; labels in no group that says so."""
    for path in (".", "recon", "recon/em", "recon/labels", "recon/labels/crop"):
        group(root / path, 2)
    found = image(root / "recon/em/raw", 2, "zyx", "s0", "s1", name="")
    return found + image(root / "recon/labels/crop/mito", 2, "zyx", "s0")


def spatial(root: Path) -> Levels:
    """SpatialData: one image, labels, and a table with strings; transformations of the image are alternatives."""
    for path in (".", "images", "labels", "tables"):
        group(root / path, 3, spatialdata_attrs={"version": "0.2"})
    step = {"type": "scale", "scale": [1.0, 0.2, 0.2], "input": {"name": "cyx"}, "output": {"name": "microns"}}
    found = image(root / "images/tissue", 3, "cyx", "0", "1", coordinateTransformations=[step])
    found += image(root / "labels/cells", 3, "yx", "0", labels=True)
    table = group(root / "tables/table", 3, **{"encoding-type": "anndata"})
    table.create_array("X", shape=(3, 2), dtype="float32")
    table.create_array("names", shape=(3,), dtype=str)
    return found


def nested(root: Path) -> Levels:
    """Each level in a group of its own."""
    return image(root, 3, "czyx", "scale0/image", "scale1/image")


def x_first(root: Path) -> Levels:
    """WEBKNOSSOS: axes run c, x, y, z; of the older layer a file beside it says so alone."""
    group(root, 3)
    found = image(root / "color", 3, "cxyz", "1", "2-2-1")
    older = zarr.create_array(root / "older/1", shape=(2, 8, 6, 4), dtype="uint8", zarr_format=2, order="F")
    older[...] = 1
    mag = {"mag": [1, 1, 1], "path": "./older/1", "axisOrder": {"c": 0, "x": 1, "y": 2, "z": 3}}
    content = {"dataLayers": [{"name": "older", "mags": [mag]}], "scale": {"factor": [11, 11, 28], "unit": "nanometer"}}
    (root / "datasource-properties.json").write_text(json.dumps(content))
    return [*found, (str(root / "older/1"), "cxyz")]


def oldest(root: Path) -> Levels:
    """0.1: no axes are named."""
    found = image(root, 2, "tczyx", "0")
    content = json.loads((root / ".zattrs").read_text())
    del content["multiscales"][0]["axes"]
    (root / ".zattrs").write_text(json.dumps(content))
    return found


STORES = {make.__name__: make for make in (plate, series, deep, spatial, nested, x_first, oldest)}
