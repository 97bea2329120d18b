"""Beginning a simulation with the state of another one.

That is exact where the other store holds all of a state: at its checkpoint, which is at its end once it has finished,
and in snapshots with the arrays that make up a state. From values at cell centres alone it is interpolated, if the case
says so, or if somebody has changed them since that run wrote them: a way to begin with fields of one's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from gridstride.pipeline.errors import JobFailed, UsageError
from gridstride.pipeline.simulations import states
from gridstride.pipeline.simulations.case import make_case
from gridstride.pipeline.simulations.inputs import chunks_version
from gridstride.pipeline.simulations.store import FlowStore, field_path
from gridstride.pipeline.storage.chunks import check_chunks
from gridstride.pipeline.storage.describe import describe
from gridstride.pipeline.storage.journal import Journal
from gridstride.pipeline.storage.paths import store_path
from gridstride.pipeline.storage.regions import read_wrapped
from gridstride.workers.models.base import Model, Read, Setup, Snapshot
from gridstride.workers.models.block import Block
from gridstride.workers.models.domain import Domain, Index

SLAB = 2**26  # bytes of a state that are compared at a time


@dataclass(frozen=True)
class Origin:
    """Where a state to begin with is: the store, the state's time there, and the time step of that run.

    state: name of a checkpoint's state, or None; else the number of a snapshot, and its arrays
    exact: whether these hold all of the state, else values that it is interpolated from; note: what that means
    """

    path: str
    time: float
    dt: float
    state: str | None = None
    snapshot: int = -1
    arrays: tuple[str, ...] = ()
    exact: bool = True
    note: str = ""

    @property
    def places(self) -> list[tuple[str, tuple[int, ...]]]:
        """The Zarr arrays that hold it, each with the index along leading axes."""
        if self.state is not None:
            return [(states.state_path(self.path, self.state), ())]
        return [(field_path(self.path, name), (self.snapshot,)) for name in self.arrays]

    def about(self) -> str:
        what = "exactly" if self.exact else f"interpolated from cell centres{self.note}"
        return f"{self.path} at its time {self.time:g}, {what}"


def find_origin(case: Model, wanted: Snapshot) -> Origin:
    """The state that a case begins with. Raises UsageError if there is none of its time, grid and model."""
    store = FlowStore.open(wanted.path)
    _check_grid(case, store)
    about = store.attributes["gridstride"]
    model, dt = about["case"].get("model", case.model), float(about["dt"])
    if model != case.model:
        raise UsageError(f"{wanted.path} is of model {model}: expected {case.model}")
    whole = [*_snapshots(store, wanted.path, dt, wanted.arrays, True), *_checkpoint(store, wanted.path, dt)]
    centres = list(_snapshots(store, wanted.path, dt, wanted.centres, False))

    def at_the_time(origins: list[Origin]) -> list[Origin]:
        return [o for o in origins if wanted.time is None or abs(o.time - wanted.time) < 0.51 * dt]

    found = at_the_time([*whole, *centres] if wanted.interpolate else whole)
    if found:
        best = max(found, key=lambda origin: (round(origin.time / dt), origin.exact))
        beside = [o for o in centres if round(o.time / dt) == round(best.time / dt)] if best.exact else []
        changed = beside and _changed(store, best, beside[0])
        return replace(beside[0], note=" that were changed since they were written") if changed else best
    at = "" if wanted.time is None else f" at time {wanted.time:g}"
    if at_the_time(centres):
        ways = [f"begin at its time {whole[-1].time:g}"] if whole else []
        ways += ["write it with state in output.fields", "accept that with initial.interpolate: true"]
        raise UsageError(
            f"{wanted.path} has velocities at cell centres alone{at}, and to interpolate them to faces loses energy: "
            f"{', or '.join(ways)}"
        )
    times = ", ".join(f"{time:g}" for time in sorted({origin.time for origin in (*whole, *centres)})[:8])
    raise UsageError(f"{wanted.path} has no snapshot{at}{': expected one of ' + times if times else ' yet'}")


def _changed(store: FlowStore, whole: Origin, centres: Origin) -> bool:
    """Whether a snapshot differs from what its run computed of the state at that time."""
    try:
        setup = make_case(store.attributes["gridstride"]["case"], str(store.path)).setup(whole.dt)
        return any(_differs(setup, whole, centres, part) for part in _slabs(setup.domain))
    except (ValueError, UsageError, OSError):  # a file that the case names is gone
        return False


def _slabs(domain: Domain) -> Iterator[tuple[Index, Index]]:
    """Parts of the grid whose state takes about `SLAB` bytes, one after another along the slab axis."""
    axis = domain.slab_axis
    plane = prod(domain.cells) // domain.cells[axis] * domain.arrays * domain.dtype.itemsize
    thick = max(1, SLAB // plane)
    for start in range(0, domain.cells[axis], thick):
        low, high = [0, 0, 0], list(domain.cells)
        low[axis], high[axis] = start, min(start + thick, domain.cells[axis])
        yield (low[0], low[1], low[2]), (high[0], high[1], high[2])


def _differs(setup: Setup, whole: Origin, centres: Origin, part: tuple[Index, Index]) -> bool:
    """Whether values of a snapshot are, by more than rounding, others than those of a state. NaN is."""
    block = setup.block(*part, 0, "cpu", round(whole.time / whole.dt))
    setup.begin_from(block, _levels(whole, block), whole.dt)
    read, rounding = reader(centres, setup.domain), 16 * float(np.finfo(setup.domain.dtype).eps)
    for name in centres.arrays:
        found = read(name, *part)
        computed = setup.output(block, name).reshape(found.shape)
        if not np.abs(found - computed).max() <= rounding * max(np.abs(found).max(), np.abs(computed).max()):
            return True
    return False


def _check_grid(case: Model, store: FlowStore) -> None:
    """Raise UsageError unless a store has the case's grid."""
    if set(store.axes) != set(case.axes) or any(store.centres[a].size != case.grid.cells[a] for a in store.axes):
        cells = " x ".join(str(store.centres[axis].size) for axis in store.axes)
        raise UsageError(f"{store.path} has {cells} cells ({', '.join(store.axes)}): expected the case's own grid")
    for axis, origin in case.grid.origin.items():
        h = store.spacing(axis)
        found = store.centres[axis][0] - h / 2, store.centres[axis][-1] + h / 2
        wanted = origin, origin + case.grid.size[axis]
        if np.abs(np.subtract(found, wanted)).max() > 1e-3 * h:
            raise UsageError(
                f"{store.path} reaches from {found[0]:g} to {found[1]:g} along {axis}: expected the case's own grid, "
                f"from {wanted[0]:g} to {wanted[1]:g}"
            )


def _checkpoint(store: FlowStore, path: str, dt: float) -> Iterator[Origin]:
    found = states.read_checkpoint(store.path)
    if found is not None and (store_path(states.state_path(path, found.state)) / "zarr.json").is_file():
        yield Origin(path, found.step * dt, dt, found.state)


def _snapshots(store: FlowStore, path: str, dt: float, arrays: Sequence[str], exact: bool) -> Iterator[Origin]:
    if arrays and set(arrays) <= set(store.fields):
        for name in arrays:
            check_chunks(describe(field_path(path, name)))  # absent are snapshots that are not written
        for number in store.written(arrays):
            yield Origin(path, float(store.times[number]), dt, None, number, tuple(arrays), exact)


def origin_version(origin: Origin) -> str | None:
    """What tells a state's content from any other; None if it is gone."""
    if not all((store_path(path) / "zarr.json").is_file() for path, _ in origin.places):
        return None
    return "-".join(chunks_version(path, first) for path, first in origin.places)


def origin_of(record: dict[str, Any]) -> Origin | None:
    """What the job of a record begins with."""
    found = record.get("origin")
    return None if found is None else Origin(**{**found, "arrays": tuple(found["arrays"])})


def check_unchanged(out: str) -> None:
    """Raise JobFailed if the state that the simulation at `out` begins with changed since it was prepared: the other
    run went on meanwhile, say."""
    record = Journal(out).read()
    origin = origin_of(record)
    if origin is not None and origin_version(origin) != record["identity"]["inputs"]["initial.path"]:
        raise JobFailed(f"{origin.path} was written while {out} began with it: start again with --overwrite after that")


@lru_cache(maxsize=4)
def _origin(out: str, run_id: str) -> Origin:
    found = origin_of(Journal(out).read())
    assert found is not None
    return found


def begin_from_store(out: str, run_id: str, setup: Setup, block: Block) -> None:
    """Fill a block and its halos from the state that the simulation at `out` begins with."""
    origin = _origin(out, run_id)
    if not origin.exact:
        setup.interpolate(block, reader(origin, setup.domain))
        return
    setup.begin_from(block, _levels(origin, block), origin.dt)


def _levels(origin: Origin, block: Block) -> np.ndarray:
    """What a block holds of a whole state, as `Block.load` takes it."""
    low, high = block.held()
    skip = 1 if block.domain.planar else 0
    if origin.state is not None:
        return read_wrapped(origin.places[0][0], (0, *low), (block.domain.arrays, *high))
    ends = (origin.snapshot, *low[skip:]), (origin.snapshot + 1, *high[skip:])
    levels = np.concatenate([read_wrapped(path, *ends) for path, _ in origin.places])
    return levels[:, None] if skip else levels


def reader(origin: Origin, domain: Domain) -> Read:
    """What reads a region (z, y, x) of an array of a snapshot; past a face that is not periodic, its last cells."""

    def read(name: str, low: Sequence[int], high: Sequence[int]) -> np.ndarray:
        inside = []
        for axis, (a, b) in enumerate(zip(low, high, strict=True)):
            index = np.arange(a, b)
            inside.append(index if domain.periodic(axis) else index.clip(0, domain.cells[axis] - 1))
        skip = 1 if domain.planar else 0
        first = [int(i.min()) for i in inside]
        last = [int(i.max()) + 1 for i in inside]
        ends = (origin.snapshot, *first[skip:]), (origin.snapshot + 1, *last[skip:])
        data = read_wrapped(field_path(origin.path, name), *ends)[0]
        data = data[None] if domain.planar else data
        return data[np.ix_(*(i - f for i, f in zip(inside, first, strict=True)))]

    return read
