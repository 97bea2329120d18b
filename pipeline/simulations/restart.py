"""Beginning a simulation with a snapshot of another one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.simulations.inputs import chunks_version
from gridstride.pipeline.simulations.store import FlowStore, field_path
from gridstride.pipeline.storage.chunks import check_chunks
from gridstride.pipeline.storage.describe import describe
from gridstride.pipeline.storage.journal import Journal
from gridstride.pipeline.storage.paths import store_path
from gridstride.pipeline.storage.regions import read_wrapped
from gridstride.workers.models.base import Model, Setup, Snapshot
from gridstride.workers.models.block import Block


def check_snapshot(case: Model, source: Snapshot) -> int:
    """Number of the snapshot that a case begins with. Raises UsageError if there is none of its grid."""
    store = FlowStore.open(source.path)
    wanted = tuple(case.grid.cells[a] for a in store.axes) if set(store.axes) == set(case.axes) else ()
    cells = tuple(store.centres[a].size for a in store.axes)
    if wanted != cells:
        raise UsageError(f"{source.path} has {' x '.join(map(str, cells))} cells: expected the case's own grid")
    for name in source.arrays:
        if name in store.fields:
            check_chunks(describe(field_path(source.path, name)))  # absent are snapshots that are not written
    missing = [name for name in source.arrays if name not in store.fields]
    if missing:
        raise UsageError(f"{source.path} has no array {', '.join(missing)}: expected {', '.join(source.arrays)}")
    written = sorted(store.written(source.arrays))
    if source.time is None:
        if not written:
            raise UsageError(f"{source.path} has no snapshot yet")
        return written[-1]
    number = int(np.abs(store.times - source.time).argmin())
    spacing = np.diff(store.times).min() if store.times.size > 1 else np.inf
    if abs(store.times[number] - source.time) > 0.01 * spacing or number not in written:
        times = ", ".join(f"{store.times[n]:g}" for n in written[:8])
        raise UsageError(f"{source.path} has no snapshot at time {source.time:g}: expected one of {times}")
    return number


def snapshot_version(source: Snapshot, number: int) -> str | None:
    """What tells a snapshot's content from any other; None if its store is gone."""
    if not store_path(source.path).exists():
        return None
    return "-".join(chunks_version(field_path(source.path, name), (number,)) for name in source.arrays)


@lru_cache(maxsize=4)
def _source(out: str) -> tuple[str, int]:
    record = Journal(out).read()
    return record.get("source") or record["case"]["initial"]["path"], int(record["snapshot"])


def begin_from_store(out: str, setup: Setup, block: Block) -> None:
    """Fill a block and its halos from the snapshot."""
    path, number = _source(out)
    domain = setup.domain

    def read(name: str, low: Sequence[int], high: Sequence[int]) -> np.ndarray:
        """A region of the snapshot; past a face that is not periodic, its last cells."""
        inside = []
        for axis, (a, b) in enumerate(zip(low, high, strict=True)):
            index = np.arange(a, b)
            inside.append(index if domain.periodic(axis) else index.clip(0, domain.cells[axis] - 1))
        skip = 1 if domain.planar else 0
        first = [int(i.min()) for i in inside]
        last = [int(i.max()) + 1 for i in inside]
        data = read_wrapped(field_path(path, name), (number, *first[skip:]), (number + 1, *last[skip:]))[0]
        data = data[None] if domain.planar else data
        return data[np.ix_(*(i - f for i, f in zip(inside, first, strict=True)))]

    setup.begin_from(block, read)
