"""Beginning a simulation with a snapshot of another one."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.simulations.case import Case
from gridstride.pipeline.simulations.store import FlowStore, field_path
from gridstride.pipeline.storage.journal import Journal
from gridstride.pipeline.storage.regions import read_wrapped
from gridstride.workers.models.edac.block import FlowBlock
from gridstride.workers.models.edac.setup import Setup


def check_source(case: Case) -> int:
    """Number of the snapshot that a from-store case begins with. Raises UsageError if there is none of its grid."""
    initial: Any = case.initial
    store = FlowStore.open(initial.path)
    wanted = tuple(case.grid.cells[a] for a in store.axes) if set(store.axes) == set(case.axes) else ()
    cells = tuple(store.centres[a].size for a in store.axes)
    if wanted != cells:
        raise UsageError(f"{initial.path} has {' x '.join(map(str, cells))} cells: expected the case's own grid")
    names = [*"uvw"[: case.components], "p"]
    missing = [name for name in names if name not in store.fields]
    if missing:
        raise UsageError(f"{initial.path} has no array {', '.join(missing)}: expected velocity and pressure")
    written = sorted(store.written(names))
    if initial.time is None:
        if not written:
            raise UsageError(f"{initial.path} has no snapshot yet")
        return written[-1]
    number = int(np.abs(store.times - initial.time).argmin())
    spacing = np.diff(store.times).min() if store.times.size > 1 else np.inf
    if abs(store.times[number] - initial.time) > 0.01 * spacing or number not in written:
        times = ", ".join(f"{store.times[n]:g}" for n in written[:8])
        raise UsageError(f"{initial.path} has no snapshot at time {initial.time:g}: expected one of {times}")
    return number


@lru_cache(maxsize=4)
def _source(out: str) -> tuple[str, int]:
    record = Journal(out).read()
    return record["case"]["initial"]["path"], int(record["snapshot"])


def begin_from_store(out: str, setup: Setup, block: FlowBlock) -> None:
    """Fill a block and its halos from the snapshot: velocities at faces are the means of the cells beside them.

    Both levels are the same: the first step is Euler's.
    """
    path, number = _source(out)
    flow = block.flow
    low, high = block.held()
    fields = []
    for field in range(flow.fields):
        name = "p" if field == flow.components else "uvw"[field]
        source = field_path(path, name)
        start = list(low)
        if field < flow.components:
            start[2 - field] -= 1
        values = _read(source, number, start, list(high), flow)
        if field < flow.components:
            axis = 2 - field
            before = [slice(None, -1) if a == axis else slice(None) for a in range(3)]
            after = [slice(1, None) if a == axis else slice(None) for a in range(3)]
            values = (values[tuple(before)] + values[tuple(after)]) * flow.dtype.type(0.5)
        fields.append(values)
    level = np.stack(fields).astype(flow.dtype)
    block.load(np.concatenate([level, level]), low)
    setup.shape(block)


def _read(path: str, number: int, start: list[int], stop: list[int], flow: Any) -> np.ndarray:
    """A region of a snapshot; past a face that is not periodic, its last cells."""
    inside = []
    for axis, (a, b) in enumerate(zip(start, stop, strict=True)):
        index = np.arange(a, b)
        inside.append(index if flow.periodic(axis) else index.clip(0, flow.cells[axis] - 1))
    skip = 1 if flow.planar else 0
    first = [int(i.min()) for i in inside]
    last = [int(i.max()) + 1 for i in inside]
    data = read_wrapped(path, (number, *first[skip:]), (number + 1, *last[skip:]))[0]
    data = data[None] if flow.planar else data
    return data[np.ix_(*(i - f for i, f in zip(inside, first, strict=True)))]
