"""The content of a store, as a table for people: what is there, and what can be computed with, and why not."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from math import ceil, prod
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from gridstride.pipeline.errors import UsageError, first_line
from gridstride.pipeline.simulations.states import read_checkpoint
from gridstride.pipeline.simulations.store import FlowStore, is_flow
from gridstride.pipeline.storage import tree
from gridstride.pipeline.storage.axes import Naming, axis_text, images_of, labels_of, naming_of, paths_of, wells_of
from gridstride.pipeline.storage.describe import ArrayInfo, describe
from gridstride.pipeline.storage.journal import Journal
from gridstride.pipeline.storage.paths import StorePath, store_path
from gridstride.pipeline.storage.regions import open_regions
from gridstride.pipeline.storage.remote import Remote
from gridstride.pipeline.storage.tree import Node
from gridstride.pipeline.text import counted, megabytes, one_line, shape_text

LETTERS = 200  # of an attribute's value


def info_table(path: str | Path, array: str | None = None) -> Table:
    """A table that describes an array, or lists what is in a group. Raises UsageError if there is neither."""
    where = store_path(path)
    if isinstance(where, Remote):
        where.contact()
    root = tree.read(where)
    if root is not None and not root.is_array:
        if array is None:
            return _group(where, root)
        where = tree.array_in(where, root, array)
        root = tree.read(where)
        if root is not None and not root.is_array:
            return _group(where, root)
    elif root is not None and array is not None:
        raise UsageError(f"{where} is an array, not a group: leave out --array")
    table = Table(title=plain(where), title_justify="left", show_header=False)
    rows = _rows(where, root)
    for name, text in rows.items():
        table.add_row(plain(name), plain(text))
    return table


def plain(value: Any) -> Text:
    """Text from a store, safe for a terminal: markup and control characters in it have no effect."""
    return Text(one_line(str(value)))


def _rows(where: StorePath, node: Node | None) -> dict[str, str]:
    """The description of one array; of one that cannot be computed with, what its metadata say."""
    try:
        info = describe(where)
    except UsageError as error:
        if node is None or not node.shape == tuple(node.metadata.get("shape", ())):
            raise
        rows = {**dict(zip(("shape", "axes", "dtype", "chunks", "codecs"), _facts(where, node), strict=True))}
        return rows | _attributes(node.attributes) | {"filters": f"cannot take it: {_reason(where, error)}"}
    return {**_array(info), **_job(info)}


def _group(path: StorePath, root: Node) -> Table:
    """What is in a group, and the progress of the simulation that writes it."""
    table = Table(
        title=plain(f"{path}: group"), title_justify="left", caption_justify="left", box=None, padding=(0, 2, 0, 0)
    )
    for column in ("name", "shape", "axes", "dtype", "chunks", "codecs", "remarks"):
        table.add_column(column, overflow="fold")
    nodes = tree.walk(path, root)
    with ThreadPoolExecutor(16 if isinstance(path, Remote) else 1) as several:
        for row in several.map(lambda node: _row(path, node, nodes), nodes):
            table.add_row(*map(plain, row))
    arrays = [node for node in nodes if node.is_array]
    meant = tree.the_array(path, root, nodes)
    table.caption = plain(
        f"{counted(len(arrays), 'array')}" + (f"; without --array, filters take {meant}" if meant else "")
    )
    made: Any = root.attributes.get("gridstride")
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


def _row(path: StorePath, node: Node, nodes: Sequence[Node]) -> tuple[str, ...]:
    """A node's row in the list of a group."""
    if not node.is_array:
        return f"{node.path}/", "", "", "", "", "", _remarks(path, node, nodes)
    where = path / node.path
    try:
        return node.path, *_facts(where, node), _check(where)
    except Exception as error:  # metadata of any form may lie there
        return node.path, "?", "?", "?", "?", "?", first_line(error)


def _check(where: StorePath) -> str:
    """What hinders filters on an array, or what it is."""
    try:
        info = describe(where)
    except UsageError as error:
        return f"cannot be filtered: {_reason(where, error)}"
    return "; ".join([*(["labels"] if info.naming.labels else []), *info.naming.notes])


def _reason(where: StorePath, error: UsageError) -> str:
    return str(error).removeprefix(f"{where} ")


def _remarks(path: StorePath, group: Node, nodes: Sequence[Node]) -> str:
    """What a group says of itself: that it is an image, a plate, of whose wells some are not there, and the like."""
    there = {node.path for node in nodes}

    def lacking(paths: Sequence[str]) -> str:
        missing = [path for path in paths if f"{group.path}/{path}".strip("/") not in there]
        return f", not there: {', '.join(missing)}" if missing else ""

    said, kind = [], "labels" if labels_of(group.attributes) else "image"
    for image in images_of(group.attributes):
        levels = paths_of(image)
        said.append(f"{kind} of {counted(len(levels), 'level')}{lacking(levels)}")
    wells = wells_of(group.attributes)
    if wells:
        said.append(f"plate of {counted(len(wells), 'well')}{lacking(wells)}")
    listed = set() if group.path else {node.path for node in tree.consolidated(path, group)}
    if listed and listed != there - {""}:
        said.append("consolidated metadata are stale; listed here is what is there")
    others = [name for name in group.attributes if name not in ("multiscales", "plate", "ome", "gridstride")]
    return "; ".join([*said, *([f"attributes {', '.join(others)}"[:LETTERS]] if others else [])])


def _facts(where: StorePath, node: Node) -> tuple[str, str, str, str, str]:
    """Shape, axes, dtype, chunks and codecs as the metadata of an array say."""
    naming = naming_of(
        where, node.zarr_format, node.shape, np.dtype("V1"), node.metadata.get("dimension_names"), node.attributes
    )
    dtype = node.dtype
    if isinstance(dtype, list):
        dtype = "records of " + ", ".join(str(field[0]) for field in dtype)
    elif isinstance(dtype, dict):
        dtype = " ".join(str(part) for part in [dtype.get("name"), *(dtype.get("configuration") or {}).values()])
    elif node.is_numbers:
        dtype = np.dtype(dtype).name
    chunks, codecs = _storage(node)
    shape = shape_text(node.shape) or ("one number" if node.metadata.get("shape") == [] else "?")
    return shape, _axes(naming), str(dtype)[:LETTERS], chunks, codecs


def _storage(node: Node) -> tuple[str, str]:
    """Chunks, with shards, and the names of codecs that compress."""
    if node.zarr_format == 2:
        codecs = [*(node.metadata.get("filters") or ()), node.metadata.get("compressor")]
        names = [f"blosc-{c['cname']}" if "cname" in c else str(c.get("id")) for c in codecs if isinstance(c, dict)]
        return shape_text(node.metadata.get("chunks") or ()), ", ".join(names) or "none"
    chunks = shape_text(node.metadata["chunk_grid"]["configuration"]["chunk_shape"])
    codecs = node.metadata.get("codecs") or []
    shards = next((c["configuration"] for c in codecs if c.get("name") == "sharding_indexed"), None)
    if shards is not None:
        chunks, codecs = f"{shape_text(shards['chunk_shape'])} in shards of {chunks}", shards.get("codecs") or []
    blosc = {c["name"]: c["configuration"]["cname"] for c in codecs if c.get("name") == "blosc"}
    names = [f"blosc-{blosc[c['name']]}" if c["name"] in blosc else str(c["name"]) for c in codecs]
    return chunks, ", ".join(name for name in names if name not in ("bytes", "crc32c")) or "none"


def _axes(naming: Naming, detail: bool = False) -> str:
    """The axes: c (channel), z, y, x; in detail with their spacing, and where that is from."""
    words = [axis_text(axis) or "-" for axis in naming.axes]
    if detail:
        sizes = [f" {a.spacing:g} {a.unit or ''}".rstrip() if a.spacing != 1 or a.unit else "" for a in naming.axes]
        words = [word + size for word, size in zip(words, sizes, strict=True)]
    named = any(axis.name for axis in naming.axes)
    return ", ".join(words) + (f" (by {naming.source})" if detail and naming.source else "") if named else "no names"


def _array(info: ArrayInfo) -> dict[str, str]:
    units = [ceil(n / u) for n, u in zip(info.shape, info.write_unit, strict=True)]
    naming, names = info.naming, [name or f"axis {i}" for i, name in enumerate(info.dimension_names)]
    rows = {
        "shape": f"{shape_text(info.shape)} ({', '.join(names)})",
        "axes": "; ".join([_axes(naming, True), *naming.notes]),
        **({"labels": "elements are numbers of objects"} if naming.labels else {}),
        "dtype": str(info.dtype),
        "size": f"{megabytes(info.nbytes)} uncompressed",
        "chunks": f"{shape_text(info.chunks)} ({megabytes(prod(info.chunks) * info.dtype.itemsize)} each)",
        **({"shards": shape_text(info.shards)} if info.shards else {}),
        "write units": f"{prod(units)} of {shape_text(info.write_unit)}",
        "codecs": info.codecs,
        "format": f"Zarr v{info.zarr_format}, read through {open_regions(info.path).engine}",
    }
    return rows | _attributes(info.attributes)


def _attributes(attributes: Any) -> dict[str, str]:
    others = {name: str(value) for name, value in attributes.items() if name != "gridstride"}
    cut = LETTERS - 3
    return {f"attribute {name}": text if len(text) <= LETTERS else f"{text[:cut]}..." for name, text in others.items()}


def _job(info: ArrayInfo) -> dict[str, str]:
    """The job that wrote an array, and how many of its blocks are written."""
    rows, journal, where = {}, Journal(info.path), store_path(info.path)
    made: Any = info.attributes.get("gridstride")  # anyone may have written it
    made = made if isinstance(made, dict) else {}
    request, source = made.get("request"), made.get("input")
    if isinstance(request, dict):
        words = ", ".join(f"{k}={v}" for k, v in request.items() if k != "command")
        rows["made by"] = f"gridstride {made.get('version')} {request.get('command')}: {words}"
    if isinstance(source, dict):
        rows["from"] = str(source.get("path"))
    if journal.exists():
        block = journal.read()["block"]
        grid = [ceil(n / b) if b else 0 for n, b in zip(info.shape, block, strict=True)]
        listed = not (isinstance(where, Remote) and where.read_only)  # a web server does not list files
        done = len(journal.done()) if listed else "?"
        rows["job"] = f"{done} blocks of {shape_text(block)} written (grid {shape_text(grid)})"
    return rows
