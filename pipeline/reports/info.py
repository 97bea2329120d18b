"""What is in a store, for people."""

from __future__ import annotations

from math import ceil, prod
from pathlib import Path
from typing import Any

import zarr
from rich.table import Table
from rich.text import Text

from gridstride.pipeline.errors import UsageError, first_line, megabytes
from gridstride.pipeline.events.events import one_line
from gridstride.pipeline.reports.progress import shape_text
from gridstride.pipeline.simulations.states import read_checkpoint
from gridstride.pipeline.simulations.store import FlowStore, is_flow
from gridstride.pipeline.storage.describe import describe, has_metadata, list_arrays
from gridstride.pipeline.storage.journal import Journal
from gridstride.pipeline.storage.paths import Place, place, zarr_store
from gridstride.pipeline.storage.regions import regions
from gridstride.pipeline.storage.remote import Remote


def info_table(path: str | Path, array: str | None = None) -> Table:
    """A table that describes an array, or lists the arrays of a group."""
    where = place(path)
    if isinstance(where, Remote):
        where.contact()
    if array is None and has_metadata(where):
        try:
            node = zarr.open(zarr_store(where), mode="r")
        except Exception as error:
            raise UsageError(f"{path} is not a Zarr store: {first_line(error)}") from None
        if isinstance(node, zarr.Group):
            table = Table(title=plain(f"{path}: group"), title_justify="left")
            for column in ("array", "shape", "dtype", "chunks"):
                table.add_column(column)
            for name in list_arrays(node, where):
                item = describe(path, name)
                _add(table, name, shape_text(item.shape), str(item.dtype), shape_text(item.chunks))
            table.caption, table.caption_justify = _simulation(where, node), "left"
            return table
    info = describe(path, array)
    table = Table(title=plain(path), title_justify="left", show_header=False)
    names = [name or f"axis {i}" for i, name in enumerate(info.dimension_names)]
    _add(table, "shape", f"{shape_text(info.shape)} ({', '.join(names)})")
    _add(table, "dtype", str(info.dtype))
    _add(table, "size", f"{megabytes(info.nbytes)} uncompressed")
    chunk_bytes = prod(info.chunks) * info.dtype.itemsize
    _add(table, "chunks", f"{shape_text(info.chunks)} ({megabytes(chunk_bytes)} each)")
    if info.shards:
        _add(table, "shards", shape_text(info.shards))
    units = [ceil(n / u) for n, u in zip(info.shape, info.write_unit, strict=True)]
    _add(table, "write units", f"{prod(units)} of {shape_text(info.write_unit)}")
    _add(table, "codecs", info.codecs)
    _add(table, "format", f"Zarr v{info.zarr_format}, read through {regions(info.path).engine}")
    for name, value in info.attributes.items():
        if name != "gridstride":
            text = str(value)
            _add(table, f"attribute {name}", text if len(text) <= 200 else text[:197] + "...")
    journal = Journal(info.path)
    if made := info.attributes.get("gridstride"):
        request = made["request"]
        words = ", ".join(f"{k}={v}" for k, v in request.items() if k != "command")
        _add(table, "made by", f"gridstride {made['version']} {request['command']}: {words}")
        _add(table, "from", str(made["input"]["path"]))
    if journal.exists():
        block = journal.read()["block"]
        grid = [ceil(n / b) if b else 0 for n, b in zip(info.shape, block, strict=True)]
        listed = not (isinstance(where, Remote) and where.read_only)  # a web server does not list
        done = len(journal.done()) if listed else "?"
        _add(table, "job", f"{done} blocks of {shape_text(block)} written (grid {shape_text(grid)})")
    return table


def plain(value: Any) -> Text:
    """A stranger's text for a terminal: neither markup nor control characters mean anything in it."""
    return Text(one_line(str(value)))


def _add(table: Table, *cells: Any) -> None:
    table.add_row(*(plain(cell) for cell in cells))


def _simulation(path: Place, group: zarr.Group) -> str | None:
    """How far the simulation that writes a group is."""
    made: Any = group.attrs.get("gridstride")
    if not is_flow(path) or not isinstance(made, dict) or (isinstance(path, Remote) and path.read_only):
        return None
    store = FlowStore.open(path)
    checkpoint = read_checkpoint(path)
    step = 0 if checkpoint is None else checkpoint.step
    written = sum(1 for _ in store.written(store.fields))
    return (
        f"{store.name}: Mach {made['mach']:g}, dt {made['dt']:.4g}; checkpoint at step {step} of {made['steps']}, "
        f"t = {step * made['dt']:.4g}; {written} of {store.times.size} snapshots written"
    )
