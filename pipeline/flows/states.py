"""The states a simulation can go on from: two arrays, written in turn, and a file that says which one is whole.

OUT/.gridstride/
    run.json         the run's identity: its hash names everything that determines the bytes of the result
    setup/           what the workers compute, as data (`operators.save`)
    checkpoint.json  {"slot": 0 or 1, "step": n}: replaced when a state is whole and on disk
    state-0 state-1  (2 fields, z, y, x): both time levels of u, v, (w,) p on the staggered grid
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.storage import stores
from gridstride.pipeline.storage.journal import FOLDER
from gridstride.workers.fluids.block import FlowBlock
from gridstride.workers.fluids.flow import Flow


@dataclass(frozen=True)
class Checkpoint:
    """A whole state: in which slot, and after which step."""

    slot: int
    step: int


def state_path(out: str | Path, slot: int) -> str:
    return str(Path(out).resolve() / FOLDER / f"state-{slot}")


def create_states(out: str | Path, flow: Flow, chunks: tuple[int, ...], codec: str) -> None:
    """Make both arrays, if they are not there. chunks: of one field, (z, y, x)."""
    for slot in (0, 1):
        path = Path(state_path(out, slot))
        if not (path / "zarr.json").exists():
            stores.create(path, (2 * flow.fields, *flow.cells), flow.dtype, (1, *chunks), None, codec)


def read_checkpoint(out: str | Path) -> Checkpoint | None:
    """The last whole state; None before the first."""
    path = Path(out) / FOLDER / "checkpoint.json"
    try:
        content = json.loads(path.read_bytes())
        return Checkpoint(int(content["slot"]), int(content["step"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is damaged ({stores.first_line(error)}): --overwrite starts afresh") from None


def switch(out: str | Path, checkpoint: Checkpoint) -> None:
    """Make a state that is whole and on disk the one to go on from."""
    content = {"slot": checkpoint.slot, "step": checkpoint.step}
    stores.durable_write(Path(out) / FOLDER / "checkpoint.json", stores.json_bytes(content))


def write_state(path: str, block: FlowBlock) -> None:
    """Write a block's own cells, field by field; on return they are on disk."""
    target = stores.regions(path)
    where = block.own
    for number, level in enumerate((block.now, block.before)):
        for field in range(block.flow.fields):
            data = block.backend.to_host(level[(field, *where)])
            target.write((number * block.flow.fields + field, *block.start), np.ascontiguousarray(data)[None])
    first, last = (0, *block.start), (2 * block.flow.fields, *block.stop)
    stores.sync_chunk_folders(path, first, last)


def read_state(path: str, block: FlowBlock) -> None:
    """Fill a block and its halos."""
    low, high = block.held()
    data: Any = stores.read_wrapped(path, (0, *low), (2 * block.flow.fields, *high))
    block.load(data, low)
    block.fill()
