"""What must hold before a job writes: that its output is its own, and that its input is what it was."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.planning.plan import Plan
from gridstride.pipeline.storage import fingerprints
from gridstride.pipeline.storage.create import is_removable
from gridstride.pipeline.storage.journal import FOLDER, Journal, job_hash, json_bytes
from gridstride.pipeline.storage.paths import Place, names, place
from gridstride.pipeline.storage.remote import Remote

if TYPE_CHECKING:
    from gridstride.pipeline.job import Job


def check_output(job: Job, options: RunOptions) -> None:
    out, source = job.out.resolve(), place(job.input.path)
    if out == source:
        raise UsageError(f"the output is the input ({out}): give another place")
    if source in out.parents:
        raise UsageError(f"the output {out} lies inside the input {source}: give a place outside it")
    if out in source.parents:
        raise UsageError(f"the input lies inside the output {out}: give another place")
    check_place(out, options)


def check_place(out: Place, options: RunOptions) -> None:
    """Refuse an output that cannot be made, or that would overwrite what is not ours."""
    out = out.resolve()
    if isinstance(out, Remote):
        _check_remote(out)
    else:
        parent = next(p for p in out.parents if p.exists())
        if not parent.is_dir():
            raise UsageError(f"{parent} is a file: the output cannot be made inside it")
        if not os.access(out if out.is_dir() else parent, os.W_OK):
            raise UsageError(f"{out if out.is_dir() else parent} is not writable")
    if not out.exists():
        return
    if isinstance(out, Path):
        _check_links(out / FOLDER if options.overwrite else out)
    if options.overwrite:
        if not is_removable(out):
            raise UsageError(f"{out} is no Zarr store: --overwrite does not delete it")
    elif not Journal(out).exists() and not (out.is_dir() and names(out) <= {FOLDER}):
        raise UsageError(f"{out} exists: give another place, or --overwrite")


def _check_links(folder: Path) -> None:
    """Refuse an output with links in it: writing through them would write elsewhere."""
    if folder.is_symlink():
        raise UsageError(f"{folder} is a link, which would lead what we write elsewhere: remove it")
    waiting = [folder] if folder.is_dir() else []
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_symlink():
                    raise UsageError(
                        f"{entry.path} is a link: what we write there would be written elsewhere; remove it"
                    )
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))


def _check_remote(out: Remote) -> None:
    if out.read_only:
        raise UsageError(f"{out} cannot be written: web servers are read only here; give a path, s3:// or gs://")
    if not out.key:
        raise UsageError(f"{out} is a whole bucket: give a key in it")
    out.contact()


def stored_block(stored: Journal, job: Job, kind: str, block: tuple[int, ...] | None) -> tuple[int, ...]:
    """The block shape an unfinished output was begun with, if the job is the same."""
    record = stored.read()
    identity = json.loads(json_bytes(job.identity(kind)))
    if record["hash"] != job_hash(identity):
        differs = [name for name, value in identity.items() if record["identity"].get(name) != value]
        if differs == ["device"]:
            raise UsageError(
                f"{job.out} was begun on {record['identity']['device']} and this would go on on {kind}, whose last "
                f"bits may differ: use --device {record['identity']['device']}, or --overwrite"
            )
        what = {
            "input": "the input has changed since",
            "operator": "with other parameters",
            "output": "in another form",
        }
        reasons = ", ".join(what.get(name, name) for name in differs)
        raise UsageError(f"{job.out} holds another job's output ({reasons}): give another place, or --overwrite")
    begun_with = tuple(record["block"])
    if block is not None and block != begun_with:
        begun = ",".join(map(str, begun_with))
        raise UsageError(f"{job.out} was begun with --block {begun}: leave --block out, or --overwrite")
    return begun_with


def check_input(stored: Journal, job: Job, plan: Plan) -> None:
    """Refuse to go on if chunks that finished blocks were made from have been written again since.

    Others may have been: a chunk that could not be read is mended before the job is resumed.
    """
    before, now = stored.read()["fingerprint"], fingerprints.fingerprint(job.input)
    for name in [n for n in now if now[n] != before.get(n)]:
        first = [int(i) * u for i, u in zip(name.split("."), job.input.write_unit, strict=True)]
        last = [f + u for f, u in zip(first, job.input.write_unit, strict=True)]
        for index in stored.done():
            lo, hi = plan.needed(index)
            # The halo of a periodic axis may reach round to the other side.
            touched = all(
                any(a + turn < z and y < b + turn for turn in (-n, 0, n))
                for a, b, y, z, n in zip(first, last, lo, hi, plan.shape, strict=True)
            )
            if touched:
                raise UsageError(
                    f"{job.input.path} has changed since {job.out} was begun (chunk {name}, which finished blocks were "
                    "made from): --overwrite starts afresh"
                )
