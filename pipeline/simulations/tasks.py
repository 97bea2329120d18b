"""What workers do for a simulation: begin a block, advance it between exchanges, write and measure what is due.

A block stays in the memory of its worker (of its GPU) from round to round and is changed in place; what goes from task
to task beside it are its edges, which are copies. A block knows its step, so that a task that Dask runs again after a
worker died, on a block that has moved on, is refused (`LostState`) instead of computing nonsense.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from gridstride.pipeline.simulations import states
from gridstride.pipeline.simulations.restart import begin_from_store
from gridstride.pipeline.simulations.states import Checkpoint
from gridstride.pipeline.simulations.store import field_path
from gridstride.pipeline.storage.paths import store_path
from gridstride.pipeline.storage.regions import open_regions, sync_chunk_folders
from gridstride.workers import saving
from gridstride.workers.compiling import announce
from gridstride.workers.identity import this_worker
from gridstride.workers.models.base import Setup
from gridstride.workers.models.block import Block
from gridstride.workers.models.domain import Index, Sums
from gridstride.workers.stages import Span, stages


class LostState(RuntimeError):
    """The state in the workers' memory is no longer what it should be: go back to a checkpoint."""


@dataclass(frozen=True)
class StorePath:
    """Which block of which simulation: OUT, the run, the device, the block's index, and its range of the grid."""

    out: str
    run_id: str
    device: str
    index: int
    start: Index
    stop: Index


@dataclass(frozen=True)
class Due:
    """What is due after a round: number of the snapshot, a sample of diagnostics, the state's name; None if not.

    keep: whether the block is put where `pick_up` finds it
    """

    snapshot: int | None = None
    sample: bool = False
    state: str | None = None
    keep: bool = False


@dataclass
class Record:
    """What a task says of a block: index; the step it is at; seconds by stage; what was measured.

    spans: when threads of its worker were in which stage
    blown: where and how the state went beyond its limit, for people; sums, gathered: as the model gives them
    """

    index: int
    step: int
    worker: str
    stages: dict[str, float]
    blown: str | None = None
    sums: Sums | None = None
    gathered: np.ndarray | None = None
    spans: list[Span] = field(default_factory=list)


@dataclass
class ResidentBlock:
    """A block with its edges and its record: the result of a task. Dask must know its size, or it would move blocks to
    where their neighbours' edges are."""

    at: StorePath
    block: Block
    edges: np.ndarray | None
    record: Record

    def __sizeof__(self) -> int:
        return int(self.block.state.nbytes) + (0 if self.edges is None else self.edges.nbytes)


@lru_cache(maxsize=4)
def open_setup(out: str, run_id: str) -> tuple[Setup, tuple[str, ...]]:
    """The setup and the names of the output's arrays, read once per process and run."""
    folder = store_path(out) / states.FOLDER
    with stages.unmeasured("read + decode", "the simulation's setup"):
        return saving.load(folder, "setup"), tuple(json.loads((folder / "arrays.json").read_bytes()))


_resident: dict[tuple[str, int], ResidentBlock] = {}


# --- in memory --------------------------------------------------------------------------------------------------


def begin_block(
    at: StorePath, reach: int, checkpoint: Checkpoint | None, exchange: bool, due: Due, threads: int = 1
) -> ResidentBlock:
    """A block at the checkpoint, or at the beginning."""
    if at.device == "cpu":
        announce()
    setup, _ = open_setup(at.out, at.run_id)
    computed = checkpoint is None and setup.starts  # which may take long
    with stages("read + decode", "" if computed else f"block {at.index}"):
        block = setup.block(at.start, at.stop, reach, at.device, 0 if checkpoint is None else checkpoint.step, threads)
        if checkpoint is not None:
            states.read_state(states.state_path(at.out, checkpoint.state), block)
        elif setup.starts:
            setup.begin(block)
        else:
            begin_from_store(at.out, at.run_id, setup, block)
    record = Record(at.index, block.step, this_worker(), {})
    if checkpoint is None:
        _observe(at, block, due, record)
    return _resident_block(at, block, record, exchange)


def as_they_are(edges: np.ndarray) -> np.ndarray:
    """The function of `map_overlap`, which has put the neighbours' planes around a block's edges."""
    return edges


def advance_block(edges: np.ndarray, here: ResidentBlock, first: int, steps: int, due: Due) -> ResidentBlock:
    """Advance a block; `edges` are its own, with the neighbours' planes around them."""
    domain, deep = here.block.domain, here.block.deep
    axis = domain.slab_axis
    size = edges.shape[1 + axis]
    below = above = None
    if here.block.start[axis] > 0 or domain.periodic(axis):
        below = edges[(slice(None),) * (1 + axis) + (slice(0, deep),)]
    if here.block.stop[axis] < domain.cells[axis] or domain.periodic(axis):
        above = edges[(slice(None),) * (1 + axis) + (slice(size - deep, size),)]
    _check_step(here, first)
    with stages("halo"):
        here.block.join(below, above)
    return _advance(here, steps, due, True)


def advance_alone(here: ResidentBlock, first: int, steps: int, due: Due) -> ResidentBlock:
    """The same for a grid that is one block."""
    _check_step(here, first)
    return _advance(here, steps, due, False)


def _check_step(here: ResidentBlock, first: int) -> None:
    if here.block.broken or here.block.step != first:
        raise LostState(f"block {here.at.index} is at step {here.block.step}, not {first}")


def _advance(here: ResidentBlock, steps: int, due: Due, exchange: bool) -> ResidentBlock:
    block, at = here.block, here.at
    limit = block.domain.limit
    with stages("kernel"):
        announce()
        done = block.advance(steps, limit)
    record = Record(at.index, block.step, this_worker(), {}, gathered=done.gathered if due.sample else None)
    if not done.peaks[-1] <= limit:
        record.blown = block.where_largest()
    else:
        _observe(at, block, due, record)
    result = _resident_block(at, block, record, exchange)
    if due.keep:
        _resident[at.run_id, at.index] = result
    return result


def pick_up(run_id: str, index: int, step: int) -> ResidentBlock:
    """The block as it was kept here: a task that depends on no other, so that Dask may forget all before it."""
    found = _resident.pop((run_id, index), None)
    if found is None or found.block.step != step:
        raise LostState(f"block {index} is not here at step {step}")
    return found


def take_edges(here: ResidentBlock) -> np.ndarray:
    assert here.edges is not None
    return here.edges


def take_record(here: ResidentBlock) -> Record:
    return here.record


def _resident_block(at: StorePath, block: Block, record: Record, exchange: bool) -> ResidentBlock:
    with stages("halo"):
        edges = block.edges() if exchange else None
    record.stages, record.spans = stages.drain(), stages.spans()
    return ResidentBlock(at, block, edges, record)


# --- out of core ------------------------------------------------------------------------------------------------


def start_block(at: StorePath, due: Due) -> Record:
    """Write a part of the initial state to disk, and what is due of it."""
    return begin_block(at, 0, None, False, due).record


def observe_block(at: StorePath, before: str, state: str, step: int, due: Due) -> Record:
    """Write and measure what is due of a part of a state on disk, after `step`.

    What a model gathers in a step is not in a state: for that the last step is made again, from the state `before`.
    """
    if at.device == "cpu":
        announce()
    setup, _ = open_setup(at.out, at.run_id)
    again = 1 if due.sample and setup.gathers and step > 0 else 0
    with stages("read + decode", f"block {at.index}"):
        block = setup.block(at.start, at.stop, again, at.device, step - again)
        states.read_state(states.state_path(at.out, before if again else state), block)
    record = Record(at.index, step, this_worker(), {})
    if again:
        with stages("kernel"):
            record.gathered = block.advance(1).gathered
    _observe(at, block, due, record)
    record.stages, record.spans = stages.drain(), stages.spans()
    return record


# --- in both ways -----------------------------------------------------------------------------------------------


def _observe(at: StorePath, block: Block, due: Due, record: Record) -> None:
    """Measure and write what is due of a block."""
    setup, arrays = open_setup(at.out, at.run_id)
    if due.sample:
        with stages("measure"):
            record.sums = setup.measure(block)
    if due.snapshot is not None:
        skip = 1 if block.domain.planar else 0
        first, last = block.start[skip:], block.stop[skip:]
        for name in arrays:
            with stages("measure"):
                data = setup.output(block, name)
            with stages("encode + write", f"block {at.index}"):
                path = field_path(at.out, name)
                open_regions(path).write((due.snapshot, *first), data[None])
                sync_chunk_folders(path, (due.snapshot, *first), (due.snapshot + 1, *last))
    if due.state is not None:
        with stages("encode + write", f"block {at.index}"):
            states.write_state(states.state_path(at.out, due.state), block)
