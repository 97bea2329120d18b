"""What workers do for a sweep: read blocks, compute and write them, and mark in the journal that they are done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from gridstride.pipeline.planning.plan import Plan
from gridstride.pipeline.storage.journal import FOLDER, journal, json_bytes, marker_name
from gridstride.pipeline.storage.paths import durable_write, place
from gridstride.pipeline.storage.regions import read_wrapped, regions, sync_chunk_folders
from gridstride.workers import device as devices
from gridstride.workers import operators
from gridstride.workers import split as parts
from gridstride.workers.cluster import this_worker
from gridstride.workers.operators.base import Block
from gridstride.workers.stages import stages

Index = tuple[int, ...]
Box = tuple[Index, Index]  # of blocks: the first and the last
# A block whose workers died is computed in 2^3 parts, for want of memory may be what they died of.
HALVINGS = 3


@dataclass(frozen=True)
class Work:
    """What a worker needs to compute any block of a sweep."""

    input: str
    out: str
    device: str
    plan: Plan
    operator: Any


def write_work(out: str, input: str, device: str, plan: Plan) -> None:
    """Put beside the operator what else the workers need; they read it from the output's folder."""
    content = {"input": input, "device": device, "plan": asdict(plan)}
    durable_write(place(out) / FOLDER / "work.json", json_bytes(content))


@lru_cache(maxsize=4)
def open_work(out: str, run_id: str) -> Work:
    """Read a sweep's work, once per process. `run_id` tells one run from the next."""
    import json

    folder = place(out) / FOLDER
    with stages.unmeasured("read + decode", "what is to be computed"):
        content, operator = json.loads((folder / "work.json").read_bytes()), operators.load(folder)

    def tuples(value: Any) -> Any:
        return tuple(tuples(v) for v in value) if isinstance(value, list) else value

    plan = Plan(**{name: tuples(value) for name, value in content["plan"].items()})
    return Work(content["input"], out, content["device"], plan, operator)


def read_region(path: str, start: Index, stop: Index, what: str | None = None) -> np.ndarray:
    """A region of the input. what: it is read for; itself by default."""
    with stages("read + decode", what or " x ".join(f"{a}:{b}" for a, b in zip(start, stop, strict=True))):
        return read_wrapped(path, start, stop)


def compute_block(data: np.ndarray, out: str, run_id: str, first: Index, block_id: Index) -> np.ndarray:
    """Compute and write one block of a batch; `first` is the grid index of the batch array's first chunk.

    `map_overlap` has put the neighbours' edges around the block, on every side where there is a chunk.
    """
    work = open_work(out, run_id)
    index = tuple(f + i for f, i in zip(first, block_id, strict=True))
    start = work.plan.start(index)
    lo = tuple(s - (before if i > 0 else 0) for s, i, (before, _) in zip(start, block_id, work.plan.depth, strict=True))
    record = np.empty((1,) * data.ndim, object)
    record[(0,) * data.ndim] = _finish(work, index, data, lo)
    return record


def compute_boxes(out: str, run_id: str, boxes: Sequence[Box], sparing: bool = False) -> list[dict[str, Any]]:
    """Compute and write boxes of blocks, each as one, reading just what they need; `sparing`: in parts, each with its
    own halo, where the operator's results do not depend on it."""
    work = open_work(out, run_id)
    records = []
    for first, last in boxes:
        if _has(out, first, last):
            records.append(skipped(first, last))
        elif sparing and work.operator.exact:
            records.append(_write(work, first, last, _in_parts(work, first, last)))
        else:
            start, stop = work.plan.needed(first, last)
            data = read_region(work.input, start, stop, name_of(first, last))
            records.append(_finish(work, first, data, start, last))
    return records


def name_of(first: Index, last: Index) -> str:
    """A block, or a box of blocks, for people."""
    return f"{'block' if first == last else 'blocks'} {marker_name(first, last)}"


def _has(out: str, first: Index, last: Index) -> bool:
    with stages.unmeasured("read + decode", f"the marker of {name_of(first, last)}"):
        return journal(out).has(first, last)


def _in_parts(work: Work, first: Index, last: Index) -> np.ndarray:
    """The result for a block or box of blocks, with the memory that a part of it takes, the result's own aside."""
    operator, start = work.operator, work.plan.start(first)
    whole = Block(None, start, start, work.plan.stop(last), work.plan.shape)
    result = np.empty(operator.out_shape(whole.extent), operator.out_dtype)
    for part in parts.ranges(operator, whole, HALVINGS):
        lo, hi = parts.reach(operator, part)
        part = replace(part, data=read_region(work.input, lo, hi, name_of(first, last)), lo=lo)
        result[parts.where(operator, part, whole)] = devices.compute(operator, part, work.device)
        del part  # before the next is read
    return result


def skipped(first: Index, last: Index) -> dict[str, Any]:
    """The record of what was done before: a rerun after its worker died. What it wrote is final."""
    return {"index": first, "blocks": count(first, last), "skipped": True, **_drained()}


def _finish(work: Work, index: Index, data: np.ndarray, lo: Index, last: Index | None = None) -> dict[str, Any]:
    """Compute, write and mark a block, or the box of blocks up to `last`."""
    last = last or index
    if _has(work.out, index, last):
        return skipped(index, last)
    block = Block(data, lo, work.plan.start(index), work.plan.stop(last), work.plan.shape)
    return _write(work, index, last, devices.compute(work.operator, block, work.device))


def _write(work: Work, index: Index, last: Index, result: np.ndarray) -> dict[str, Any]:
    """Write and mark a block, or the box of blocks up to `last`."""
    start, stop = work.plan.start(index), work.plan.stop(last)
    written = work.plan.out_range(index, last)
    with stages("encode + write", name_of(index, last)):
        regions(work.out).write(written[0], result)
        sync_chunk_folders(work.out, *written)
        journal(work.out).mark(index, last)
    return {
        "index": index,
        "blocks": count(index, last),
        "skipped": False,
        "voxels": result.size,
        "bytes_in": prod(b - a for a, b in zip(start, stop, strict=True)) * work.plan.itemsize,
        "bytes_out": result.nbytes,
        **_drained(),
    }


def _drained() -> dict[str, Any]:
    """What this process measured since it was last asked, and which worker it is."""
    return {
        "worker": this_worker(),
        "stages": stages.drain(),
        "spans": stages.spans(),
        "shortages": devices.shortages.drain(),
    }


def count(first: Index, last: Index) -> int:
    return prod(b - a + 1 for a, b in zip(first, last, strict=True))
