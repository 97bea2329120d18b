"""The content of a store, as a table for people."""

from __future__ import annotations

from math import ceil, prod
from pathlib import Path
from typing import Any

import zarr
from rich.table import Table
from rich.text import Text

from gridstride.pipeline.errors import UsageError, first_line
from gridstride.pipeline.simulations.states import read_checkpoint
from gridstride.pipeline.simulations.store import FlowStore, is_flow
from gridstride.pipeline.storage.describe import ArrayInfo, describe, has_metadata, list_arrays
from gridstride.pipeline.storage.journal import Journal
from gridstride.pipeline.storage.paths import StorePath, store_path, zarr_store
from gridstride.pipeline.storage.regions import open_regions
from gridstride.pipeline.storage.remote import Remote
from gridstride.pipeline.text import megabytes, one_line, shape_text

LETTERS = 200  # of an attribute's value


def info_table(path: str | Path, array: str | None = None) -> Table:
    """A table that describes an array, or lists the arrays of a group. Raises UsageError if there is neither."""
    where = store_path(path)
    if isinstance(where, Remote):
        where.contact()
    if array is None and has_metadata(where):
        try:
            node = zarr.open(zarr_store(where), mode="r")
        except Exception as error:
            raise UsageError(f"{path} is not a Zarr store: {first_line(error)}") from None
        if isinstance(node, zarr.Group):
            return _group(where, node)
    info = describe(path, array)
    table = Table(title=plain(path), title_justify="left", show_header=False)
    for name, text in {**_array(info), **_job(info)}.items():
        table.add_row(plain(name), plain(text))
    return table


def plain(value: Any) -> Text:
    """Text from a store, safe for a terminal: markup and control characters in it have no effect."""
    return Text(one_line(str(value)))


def _group(path: StorePath, group: zarr.Group) -> Table:
    """The arrays of a group, and the progress of the simulation that writes it."""
    table = Table(title=plain(f"{path}: group"), title_justify="left", caption_justify="left")
    for column in ("array", "shape", "dtype", "chunks"):
        table.add_column(column)
    for name in list_arrays(group, path):
        item = describe(path, name)
        table.add_row(*map(plain, (name, shape_text(item.shape), item.dtype, shape_text(item.chunks))))
    made: Any = group.attrs.get("gridstride")
    if isinstance(made, dict) and is_flow(path) and not (isinstance(path, Remote) and path.read_only):
        store, checkpoint = FlowStore.open(path), read_checkpoint(path)
        step = 0 if checkpoint is None else checkpoint.step
        written = sum(1 for _ in store.written(store.fields))
        mach = f"Mach {made['mach']:g}, " if "mach" in made else ""
        table.caption = plain(
            f"{store.name}: {mach}dt {made['dt']:.4g}; checkpoint at step {step} of {made['steps']}, "
            f"t = {step * made['dt']:.4g}; {written} of {store.times.size} snapshots written"
        )
    return table


def _array(info: ArrayInfo) -> dict[str, str]:
    names = [name or f"axis {i}" for i, name in enumerate(info.dimension_names)]
    units = [ceil(n / u) for n, u in zip(info.shape, info.write_unit, strict=True)]
    rows = {
        "shape": f"{shape_text(info.shape)} ({', '.join(names)})",
        "dtype": str(info.dtype),
        "size": f"{megabytes(info.nbytes)} uncompressed",
        "chunks": f"{shape_text(info.chunks)} ({megabytes(prod(info.chunks) * info.dtype.itemsize)} each)",
        **({"shards": shape_text(info.shards)} if info.shards else {}),
        "write units": f"{prod(units)} of {shape_text(info.write_unit)}",
        "codecs": info.codecs,
        "format": f"Zarr v{info.zarr_format}, read through {open_regions(info.path).engine}",
    }
    others = {name: str(value) for name, value in info.attributes.items() if name != "gridstride"}
    cut = LETTERS - 3
    return rows | {
        f"attribute {name}": text if len(text) <= LETTERS else f"{text[:cut]}..." for name, text in others.items()
    }


def _job(info: ArrayInfo) -> dict[str, str]:
    """The job that wrote an array, and how many of its blocks are written."""
    rows, journal, where = {}, Journal(info.path), store_path(info.path)
    if made := info.attributes.get("gridstride"):
        request = made["request"]
        words = ", ".join(f"{k}={v}" for k, v in request.items() if k != "command")
        rows["made by"] = f"gridstride {made['version']} {request['command']}: {words}"
        rows["from"] = str(made["input"]["path"])
    if journal.exists():
        block = journal.read()["block"]
        grid = [ceil(n / b) if b else 0 for n, b in zip(info.shape, block, strict=True)]
        listed = not (isinstance(where, Remote) and where.read_only)  # a web server does not list files
        done = len(journal.done()) if listed else "?"
        rows["job"] = f"{done} blocks of {shape_text(block)} written (grid {shape_text(grid)})"
    return rows
