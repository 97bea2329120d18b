"""What workers do for a simulation: begin a block, advance it between exchanges, write and measure what is due.

A block stays in the memory of its worker (of its GPU) from round to round and is changed in place; what goes from task
to task beside it are its edges, which are copies. A block knows its step, so that a task that Dask runs again after a
worker died, on a block that has moved on, is refused (`LostState`) instead of computing nonsense.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from gridstride.pipeline.simulations import states
from gridstride.pipeline.simulations.store import field_path
from gridstride.pipeline.storage.paths import place
from gridstride.pipeline.storage.regions import regions, sync_chunk_folders
from gridstride.workers import saving
from gridstride.workers.cluster import this_worker
from gridstride.workers.models.edac import measures
from gridstride.workers.models.edac.block import FlowBlock
from gridstride.workers.models.edac.setup import Setup
from gridstride.workers.stages import Span, stages


class LostState(RuntimeError):
    """The state in the workers' memory is no longer what it should be: go back to a checkpoint."""


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
    peaks: the largest velocity component after each step; blown: where it is beyond the speed of sound, for people
    """

    index: int
    step: int
    worker: str
    stages: dict[str, float]
    peaks: np.ndarray = field(default_factory=lambda: np.zeros(0))
    blown: str | None = None
    sums: measures.Sums | None = None
    taken: np.ndarray | None = None
    spans: list[Span] = field(default_factory=list)


@dataclass
class Held:
    """A block with its edges and its record: the result of a task. Dask must know its size, or it would move blocks to
    where their neighbours' edges are."""

    block: FlowBlock
    edges: np.ndarray | None
    record: Record

    def __sizeof__(self) -> int:
        return int(self.block.state.nbytes) + (0 if self.edges is None else self.edges.nbytes)


@lru_cache(maxsize=4)
def open_setup(out: str, run_id: str) -> tuple[Setup, tuple[str, ...]]:
    """The setup and the names of the output's arrays, read once per process and run."""
    import json

    folder = place(out) / states.FOLDER
    with stages.unmeasured("read + decode", "the simulation's setup"):
        return saving.load(folder / "setup", "operator"), tuple(json.loads((folder / "arrays.json").read_bytes()))


_kept: dict[tuple[str, int], Held] = {}


def begin_block(
    out: str, run_id: str, device: str, index: int, start: Any, stop: Any, reach: int, checkpoint: Any, exchange: bool,
    due: Due, threads: int = 1,
) -> Held:  # fmt: skip
    """A block at the checkpoint, or at the beginning."""
    setup, arrays = open_setup(out, run_id)
    computed = checkpoint is None and setup.problem is not None  # which may take long
    with stages("read + decode", "" if computed else f"block {index}"):
        block = setup.block(start, stop, reach, device, 0 if checkpoint is None else checkpoint.step, threads)
        if checkpoint is not None:
            states.read_state(states.state_path(out, checkpoint.state), block)
        elif setup.problem is not None:
            setup.begin(block)
        else:
            from gridstride.pipeline.simulations.restart import begin_from_store

            begin_from_store(out, setup, block)
    record = Record(index, block.step, this_worker(), {})
    if checkpoint is None:
        _observe(out, block, arrays, due, record)
    return _held(block, record, exchange)


def as_they_are(edges: np.ndarray) -> np.ndarray:
    """The function of `map_overlap`, which has put the neighbours' planes around a block's edges."""
    return edges


def advance_block(edges: np.ndarray, here: Held, out: str, run_id: str, first: int, steps: int, due: Due) -> Held:
    """Advance a block; `edges` are its own, with the neighbours' planes around them."""
    axis = here.block.flow.slab_axis
    deep = here.block.deep
    size = edges.shape[1 + axis]
    below = above = None
    if here.block.start[axis] > 0 or here.block.flow.periodic(axis):
        below = edges[(slice(None),) * (1 + axis) + (slice(0, deep),)]
    if here.block.stop[axis] < here.block.flow.cells[axis] or here.block.flow.periodic(axis):
        above = edges[(slice(None),) * (1 + axis) + (slice(size - deep, size),)]
    return _advance(here, below, above, out, run_id, first, steps, due, True)


def advance_alone(here: Held, out: str, run_id: str, first: int, steps: int, due: Due) -> Held:
    """The same for a grid that is one block."""
    return _advance(here, None, None, out, run_id, first, steps, due, False)


def _advance(
    here: Held, below: Any, above: Any, out: str, run_id: str, first: int, steps: int, due: Due, exchange: bool
) -> Held:
    block = here.block
    if block.broken or block.step != first:
        raise LostState(f"block {here.record.index} is at step {block.step}, not {first}")
    with stages("halo"):
        block.join(below, above)
    with stages("kernel"):
        done = block.advance(steps, block.flow.sound_speed)
    record = Record(here.record.index, block.step, this_worker(), {}, done.peaks, taken=done.taken)
    if not done.peaks[-1] <= block.flow.sound_speed:
        record.blown = block.where_fastest()
    else:
        _observe(out, block, open_setup(out, run_id)[1], due, record)
    result = _held(block, record, exchange)
    if due.keep:
        _kept[run_id, record.index] = result
    return result


def pick_up(run_id: str, index: int, step: int) -> Held:
    """The block as it was kept here: a task that depends on no other, so that Dask may forget all before it."""
    held = _kept.pop((run_id, index), None)
    if held is None or held.block.step != step:
        raise LostState(f"block {index} is not here at step {step}")
    return held


def observe_block(
    out: str, run_id: str, device: str, index: int, start: Any, stop: Any, before: str, state: str, step: int, due: Due
) -> Record:
    """Write and measure what is due of a part of a state on disk, after `step`.

    What solids took is not in a state: to measure it, the last step is made again from the state `before`.
    """
    setup, arrays = open_setup(out, run_id)
    again = 1 if due.sample and setup.solids and step > 0 else 0
    with stages("read + decode", f"block {index}"):
        block = setup.block(start, stop, again, device, step - again)
        states.read_state(states.state_path(out, before if again else state), block)
    record = Record(index, step, this_worker(), {})
    if again:
        with stages("kernel"):
            record.taken = block.advance(1).taken
    _observe(out, block, arrays, due, record)
    record.stages, record.spans = stages.drain(), stages.spans()
    return record


def start_block(out: str, run_id: str, device: str, index: int, start: Any, stop: Any, due: Due) -> Record:
    """Write a part of the initial state to disk, and what is due of it."""
    return begin_block(out, run_id, device, index, start, stop, 0, None, False, due).record


def _held(block: FlowBlock, record: Record, exchange: bool) -> Held:
    with stages("halo"):
        edges = block.edges() if exchange else None
    record.stages, record.spans = stages.drain(), stages.spans()
    return Held(block, edges, record)


def _observe(out: str, block: FlowBlock, arrays: tuple[str, ...], due: Due, record: Record) -> None:
    if due.sample:
        with stages("measure"):
            record.sums = measures.measure(block)
    if due.snapshot is not None:
        first = block.start[1:] if block.flow.planar else block.start
        last = block.stop[1:] if block.flow.planar else block.stop
        for name in arrays:
            with stages("measure"):
                data = measures.centred(block, name)
            with stages("encode + write", f"block {record.index}"):
                path = field_path(out, name)
                regions(path).write((due.snapshot, *first), data[None])
                sync_chunk_folders(path, (due.snapshot, *first), (due.snapshot + 1, *last))
    if due.state is not None:
        with stages("encode + write", f"block {record.index}"):
            states.write_state(states.state_path(out, due.state), block)


def take_edges(held: Held) -> np.ndarray:
    assert held.edges is not None
    return held.edges


def take_record(held: Held) -> Record:
    return held.record
