"""The states a simulation can go on from, and the record that says which one is whole.

OUT/.gridstride/
    setup.json arrays.json  what the workers compute, as data (`saving.save`), and the names of the output's arrays
    checkpoint.json     {"step": n, "state": name}: replaced when a state is whole and on disk
    state-n-CxCxC       after step n: (levels x fields, z, y, x), all time levels of each field of the model

A state is named by its step and its chunks, so that whoever writes into one writes the same bytes: a worker that
outlived its client, or a client that was stopped while another took over, spoils nothing. Once the record names a
state, the others are deleted; but in a folder the one before becomes the next one, because writing over its chunks
takes half the time of making new files and deleting the old ones.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gridstride.pipeline.errors import UsageError, first_line
from gridstride.pipeline.storage import paths
from gridstride.pipeline.storage.create import create
from gridstride.pipeline.storage.journal import FOLDER, Journal, json_bytes
from gridstride.pipeline.storage.paths import StorePath, store_path
from gridstride.pipeline.storage.regions import open_regions, read_wrapped, sync_chunk_folders
from gridstride.workers.models.block import Block
from gridstride.workers.models.domain import Domain

RECORD = "checkpoint.json"


@dataclass(frozen=True)
class Checkpoint:
    """A whole state: its name, and after which step. tag: of the record, as `paths.replace` wants it"""

    state: str
    step: int
    tag: str = ""


def state_path(out: str | StorePath, state: str) -> str:
    return str(store_path(out).resolve() / FOLDER / state)


def create_state(
    out: str | StorePath, domain: Domain, step: int, chunks: tuple[int, ...], codec: str, last: Checkpoint | None
) -> str:
    """Make the array for the state after a step, if it is not there; its name.

    chunks: of one field, (z, y, x)
    last: the state that is whole; one that is neither may become the new one
    """
    form = "x".join(map(str, chunks))
    state = f"state-{step}-{form}"
    path = store_path(state_path(out, state))
    if (path / "zarr.json").is_file():
        return state
    spare = None
    if isinstance(path, Path) and not path.exists():
        found = (path.parent / name for name in paths.names(path.parent) if re.fullmatch(rf"state-\d+-{form}", name))
        whole = (p for p in found if (p / "zarr.json").is_file() and (last is None or p.name != last.state))
        spare = next(whole, None)
    if isinstance(path, Path) and spare is not None:
        Journal(spare).forget()
        spare.rename(path)
        paths.sync_folder(path.parent)
    else:
        create(path, (domain.arrays, *domain.cells), domain.dtype, (1, *chunks), None, codec)
    return state


def read_checkpoint(out: str | StorePath) -> Checkpoint | None:
    """The last whole state; None before the first."""
    path = store_path(out) / FOLDER / RECORD
    try:
        tag = paths.tag_of(path)  # before the record is read: an older tag is refused, a newer one would not be
        content = json.loads(path.read_bytes())
        return Checkpoint(str(content["state"]), int(content["step"]), tag)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is damaged ({first_line(error)}): use --overwrite to start again") from None


def switch(out: str | StorePath, reached: Checkpoint, before: Checkpoint | None) -> Checkpoint:
    """Make a state that is whole and on disk the one to go on from, and delete others.

    Raises JobFailed if another client has gone on from `before`.
    """
    folder = store_path(out) / FOLDER
    content = {"step": reached.step, "state": reached.state}
    tag = paths.replace(folder / RECORD, json_bytes(content), before.tag if before else "")
    kept = {reached.state, before.state if before and isinstance(folder, Path) else ""}
    for name in paths.names(folder) - kept:
        if name.startswith("state-"):
            Journal(folder / name).forget()
            paths.remove(folder / name)
    return Checkpoint(reached.state, reached.step, tag)


def write_state(path: str, block: Block) -> None:
    """Write a block's own cells, field by field; on return they are on disk."""
    target = open_regions(path)
    where = block.own
    fields = block.domain.fields
    for age, (_, level) in enumerate(block.past):
        for field in range(fields):
            data = block.backend.to_host(level[(field, *where)])
            target.write((age * fields + field, *block.start), np.ascontiguousarray(data)[None])
    first, last = (0, *block.start), (block.domain.arrays, *block.stop)
    sync_chunk_folders(path, first, last)


def read_state(path: str, block: Block) -> None:
    """Fill a block and its halos."""
    low, high = block.held()
    data: Any = read_wrapped(path, (0, *low), (block.domain.arrays, *high))
    block.load(data, low)
    block.fill()
