"""The Zarr group a simulation writes, laid out in full when the run begins.

    OUT/
        zarr.json            attributes; written last: where it is, the layout is whole
        x y z time           coordinates: cell centres and the times of all snapshots
        u v w p ...          (time, z, y, x) or (time, y, x), NaN until a snapshot is written
        solid ...            (z, y, x) or (y, x), arrays that do not change with time
        diagnostics/         one array for each quantity, (sample,), NaN until computed
        diagnostics.csv      the same, appended row by row

dt is fixed, so every time is known beforehand, and nothing in the layout changes while the run goes on: no axis grows,
and no metadata is written twice. That is what makes the bytes after a kill and a resume those of an undisturbed run.
A run that is made longer is laid out anew, as if it had been so long from the beginning.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil, prod
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import zarr
from zarr.storage import MemoryStore

from gridstride.pipeline.errors import UsageError, first_line
from gridstride.pipeline.simulations.diagnostics import CSV, GROUP, Diagnostics, header
from gridstride.pipeline.storage.create import compressor
from gridstride.pipeline.storage.describe import chunk_key, describe
from gridstride.pipeline.storage.metadata import read_json
from gridstride.pipeline.storage.paths import (
    StorePath,
    durable_write,
    names,
    remove,
    store_path,
    sync_folder,
    zarr_store,
)
from gridstride.pipeline.storage.remote import Remote

__all__ = ["Diagnostics", "FlowStore", "Layout", "create", "field_path", "is_flow"]

AXES = ("z", "y", "x")
SAMPLES = 16384  # a chunk of diagnostics
# What two arrays of the same layout have in common; attributes and the forms that a version of zarr gives them aside.
LAID_OUT = ("node_type", "shape", "data_type", "chunk_grid", "dimension_names", "codecs", "fill_value")


@dataclass(frozen=True)
class Layout:
    """Everything about the group that its arrays' metadata and coordinates are made from.

    cells, spacing, origin: by axis; a grid without z has two dimensions
    fields: names of the arrays (u, v, w, p, vorticity, ...)
    times: of all snapshots, rising
    diagnostic_steps, diagnostic_times: of all samples, rising
    diagnostic_columns: the quantities, beside step and time, which are always there
    chunks: of one snapshot, (cz, cy, cx) or (cy, cx)
    statics: names of the arrays that do not change with time
    long_names: of arrays, for readers
    """

    cells: Mapping[str, int]
    spacing: Mapping[str, float]
    origin: Mapping[str, float]
    fields: tuple[str, ...]
    dtype: Any
    times: np.ndarray
    diagnostic_steps: np.ndarray
    diagnostic_times: np.ndarray
    diagnostic_columns: tuple[str, ...]
    chunks: tuple[int, ...]
    codec: str = "lz4"
    statics: tuple[str, ...] = ()
    long_names: Mapping[str, str] = field(default_factory=dict)

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes, in the arrays' order."""
        return tuple(axis for axis in AXES if axis in self.cells)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.cells[axis] for axis in self.axes)

    @property
    def columns(self) -> tuple[str, ...]:
        return ("step", "time", *(name for name in self.diagnostic_columns if name not in ("step", "time")))

    def centres(self, axis: str) -> np.ndarray:
        """Positions of the cell centres along an axis."""
        return self.origin.get(axis, 0.0) + (np.arange(self.cells[axis]) + 0.5) * self.spacing[axis]


def field_path(out: str | StorePath, name: str) -> str:
    """Where an array of the group is, for `regions`."""
    return str(store_path(out).resolve() / name)


def create(out: str | StorePath, layout: Layout, attributes: Mapping[str, Any], shorter: Sequence[Layout] = ()) -> None:
    """Lay out the group at `out`; `attributes` are the group's, {"gridstride": {...}}.

    What is there stays, so a creation that was killed is completed, and a second one changes nothing.
    shorter: layouts of shorter runs, which become this one; diagnostics are then in their CSV file alone until `flush`
    Raises UsageError, before anything is written, if what is there has another layout.
    """
    out = store_path(out)
    wanted, before = _files(layout, attributes), [_files(one, attributes) for one in shorter]
    missing = [name for name, data in wanted.items() if not _agrees(out, name, data, [one[name] for one in before])]
    if isinstance(out, Path):
        for folder in {(out / name).parent for name in wanted}:
            for leftover in folder.glob("*.tmp"):  # of a creation that was killed
                leftover.unlink()
    for name in missing if before else ():
        if name.startswith(GROUP) and name.endswith("zarr.json"):  # its chunks are as long as the shorter array
            with suppress(FileNotFoundError):
                remove((out / name).parent / "c")
    for name in missing:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        durable_write(out / name, wanted[name])
    if missing and isinstance(out, Path):
        for folder in {parent for name in missing for parent in (out / name).parents if parent.is_relative_to(out)}:
            sync_folder(folder)
        sync_folder(out.resolve().parent)


def _files(layout: Layout, attributes: Mapping[str, Any]) -> dict[str, bytes]:
    """Every file of the new group, by its path in the group; the group's own metadata is the last."""
    content: dict[str, Any] = {}
    memory = MemoryStore(content)
    group = zarr.create_group(memory, attributes=dict(attributes), zarr_format=3)

    def coordinate(parent: zarr.Group, name: str, values: np.ndarray, axis: str, long_name: str) -> None:
        values = np.asarray(values)
        length = max(1, values.size)
        # Not compressed: these bytes are compared when the run is resumed, perhaps by another version of the codec.
        made = parent.create_array(
            name, shape=values.shape, dtype=values.dtype, chunks=(length,), compressors=None,
            fill_value=np.nan if values.dtype.kind == "f" else -1, dimension_names=[axis],
            attributes={"long_name": long_name},
        )  # fmt: skip
        if values.size:
            made[:] = values

    def on_grid(name: str, dtype: Any, leading: tuple[int, ...], names: list[str], fill: float) -> None:
        group.create_array(
            name, shape=(*leading, *layout.shape), dtype=dtype, chunks=(*(1 for _ in leading), *layout.chunks),
            compressors=compressor(layout.codec, np.dtype(dtype)), fill_value=fill,
            dimension_names=[*names, *layout.axes], attributes={"long_name": layout.long_names.get(name, name)},
        )  # fmt: skip

    for axis in layout.axes:
        coordinate(group, axis, layout.centres(axis), axis, axis)
    coordinate(group, "time", np.asarray(layout.times, np.float64), "time", "time")
    for name in layout.fields:
        on_grid(name, layout.dtype, (len(layout.times),), ["time"], np.nan)
    for name in layout.statics:
        on_grid(name, np.float32, (), [], 0.0)
    samples = group.create_group(GROUP, attributes={"columns": list(layout.columns)})
    coordinate(samples, "step", np.asarray(layout.diagnostic_steps, np.int64), "sample", "time step")
    coordinate(samples, "time", np.asarray(layout.diagnostic_times, np.float64), "sample", "time")
    count = len(layout.diagnostic_steps)
    for name in layout.columns[2:]:
        samples.create_array(
            name, shape=(count,), dtype=np.float64, chunks=(min(max(count, 1), SAMPLES),), compressors=None,
            fill_value=np.nan, dimension_names=["sample"], attributes={"long_name": name.replace("_", " ")},
        )  # fmt: skip
    with warnings.catch_warnings():
        # Readers that know it need not list the folder, where diagnostics.csv would surprise them.
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        zarr.consolidate_metadata(memory)
    files = {name: data.to_bytes() for name, data in sorted(content.items())}
    root = files.pop("zarr.json")
    return {**files, CSV: header(layout.columns), "zarr.json": root}


def _agrees(out: StorePath, name: str, data: bytes, shorter: Sequence[bytes]) -> bool:
    """Whether a file of the layout is there, and not that of a shorter run. Raises UsageError if it is of another."""
    try:
        found = (out / name).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return False
    if _same(name, found, data):
        return True
    if not any(_same(name, found, one) for one in shorter):
        raise UsageError(f"{out} holds another simulation ({name} differs): choose another folder, or --overwrite")
    return False


def _same(name: str, found: bytes, data: bytes) -> bool:
    """Whether two contents of a file of the group lay it out alike."""
    if not name.endswith("zarr.json"):
        return found.startswith(data) if name == CSV else found == data
    try:
        return _layout_of(json.loads(found)) == _layout_of(json.loads(data))
    except ValueError:
        return False


def _layout_of(metadata: dict[str, Any]) -> dict[str, Any]:
    members = (metadata.get("consolidated_metadata") or {}).get("metadata", {})
    shapes = {name: member.get("shape") for name, member in members.items()}
    return {**{key: metadata.get(key) for key in LAID_OUT}, "members": shapes}


def is_flow(path: str | StorePath) -> bool:
    """Whether a simulation wrote the store at `path`."""
    metadata = read_json(store_path(path) / "zarr.json")
    laid_out = all((store_path(path) / name / "zarr.json").is_file() for name in ("time", GROUP))
    return isinstance(metadata, dict) and metadata.get("node_type") == "group" and laid_out


@dataclass(frozen=True)
class FlowStore:
    """A simulation's group, opened to be looked at; it may still be growing.

    axes: names, in the arrays' order      centres: cell centres by axis      times: of all snapshots
    fields: names of the arrays with a time axis                              solid: whether there are obstacles
    """

    path: StorePath
    axes: tuple[str, ...]
    centres: dict[str, np.ndarray]
    times: np.ndarray
    fields: tuple[str, ...]
    solid: bool
    attributes: dict[str, Any]

    @staticmethod
    def open(path: str | StorePath) -> FlowStore:
        """Raises UsageError if no simulation wrote what is at `path`."""
        path = store_path(path)
        if isinstance(path, Remote):
            if path.read_only:
                raise UsageError(f"{path}: a web server does not list what a simulation has written: copy it first")
            path.contact()
        if not path.exists():
            raise UsageError(f"{path} does not exist")
        if not is_flow(path):
            raise UsageError(f"{path} is not the output of a simulation")
        try:
            group = zarr.open_group(zarr_store(path), mode="r")
            arrays = dict(group.arrays())
            axes = tuple(axis for axis in AXES if axis in arrays)
            fields = tuple(sorted(name for name, node in arrays.items() if node.ndim == len(axes) + 1))
            centres = {axis: np.asarray(arrays[axis][:]) for axis in axes}
            times = np.asarray(arrays["time"][:])
        except Exception as error:
            raise UsageError(f"{path} cannot be opened as a simulation: {first_line(error)}") from error
        return FlowStore(path, axes, centres, times, fields, "solid" in arrays, dict(group.attrs))

    @property
    def name(self) -> str:
        """The case's name, else the folder's."""
        about: Any = self.attributes.get("gridstride", {})
        case = about.get("case", {}) if isinstance(about, dict) else {}
        return str((case.get("name") if isinstance(case, dict) else None) or self.path.resolve().name)

    def spacing(self, axis: str) -> float:
        at = self.centres[axis]
        return float(at[-1] - at[0]) / (at.size - 1)

    def written(self, names: Iterable[str], latest_first: bool = False) -> Iterator[int]:
        """Indices of the snapshots that are whole in all arrays of `names`, which each have a time axis.

        A chunk is one file, renamed into place when it is whole, or one object, so that is the proof.
        """
        chunks = {name: self._chunks(name) for name in names}
        begun = [_numbers(root) for root, _ in chunks.values()]
        for when in sorted(set.intersection(*begun), reverse=latest_first):
            if all(_count(root / str(when)) == count for root, count in chunks.values()):
                yield when

    def _chunks(self, name: str) -> tuple[StorePath, int]:
        """The folder with a folder for each snapshot, and the number of files in one of those."""
        info = describe(self.path / name)
        key = PurePosixPath(chunk_key(info.path, (0,) * info.ndim))
        counts = [ceil(n / unit) for n, unit in zip(info.shape[1:], info.write_unit[1:], strict=True)]
        return store_path(info.path) / str(key.parents[len(counts)]), prod(counts)


def _numbers(folder: StorePath) -> set[int]:
    return {int(name) for name in names(folder) if name.isdecimal()}


def _count(folder: StorePath) -> int:
    if isinstance(folder, Remote):
        return sum(key.rpartition("/")[2].isdecimal() for key in folder.each_key())
    return sum(name.isdecimal() for _, _, names in os.walk(folder) for name in names)
