"""What must hold before a job writes: that its output is its own, and that its input is what it was."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.storage import fingerprints
from gridstride.pipeline.storage.create import is_removable
from gridstride.pipeline.storage.describe import ArrayInfo
from gridstride.pipeline.storage.journal import FOLDER, Journal, job_hash
from gridstride.pipeline.storage.paths import StorePath, at_home, names
from gridstride.pipeline.storage.remote import Remote
from gridstride.pipeline.sweep.block_task import begun_work
from gridstride.workers.region import Region


def check_output(source: StorePath, out: StorePath, options: RunOptions) -> None:
    """Refuse an output that is the input, or in it, or around it, or that cannot be made."""
    target = out.resolve()
    if target == source:
        raise UsageError(f"the output is the input ({target}): give another place")
    if source in target.parents:
        raise UsageError(f"the output {target} lies inside the input {source}: give a place outside it")
    if target in source.parents:
        raise UsageError(f"the input lies inside the output {target}: give another place")
    check_place(target, options)


def check_place(out: StorePath, options: RunOptions) -> None:
    """Refuse an output that cannot be made, or that would overwrite what is not ours; and a log that cannot be."""
    out = out.resolve()
    if options.log is not None:
        _check_log(at_home(options.log))
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


def _check_log(file: Path) -> None:
    folder = file.absolute().parent
    if file.is_dir() or not folder.is_dir():
        what = f"{file} is a folder" if file.is_dir() else f"there is no folder {folder}"
        raise UsageError(f"log is {file}: {what}; give the name of a file in a folder that exists")
    if not os.access(file if file.exists() else folder, os.W_OK):
        raise UsageError(f"log is {file}: it cannot be written; give another place")


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


def check_same_job(stored: Journal, identity: dict[str, Any], block: tuple[int, ...] | None) -> tuple[int, ...]:
    """The block shape that an unfinished output was begun with. Raises UsageError if it is another job's."""
    record, out = stored.read(), stored.out
    if record["hash"] != job_hash(identity):
        before = record["identity"]
        differs = [name for name, value in identity.items() if before.get(name) != value]
        if differs == ["device"]:
            raise UsageError(
                f"{out} was begun on {before['device']} and this would go on on {identity['device']}, whose last bits "
                f"may differ: use --device {before['device']}, or --overwrite"
            )
        programs = before.get("code", {})
        for file, digest in identity.get("code", {}).items():
            if programs.get(file, digest) != digest:
                raise UsageError(f"{file} has changed since {out} was begun: put back what it was, or --overwrite")
        differs = [name for name in differs if name != "code"]
        what = {
            "input": "the input has changed since",
            "operator": "with other parameters",
            "output": "in another form",
            "result_version": "by another edition of gridstride",
        }
        reasons = ", ".join(what.get(name, name) for name in differs)
        raise UsageError(f"{out} holds another job's output ({reasons}): give another place, or --overwrite")
    begun_with = tuple(record["block"])
    if block is not None and tuple(block) != begun_with:
        begun = ",".join(map(str, begun_with))
        raise UsageError(f"{out} was begun with --block {begun}: leave --block out, or --overwrite")
    return begun_with


def check_input(stored: Journal, info: ArrayInfo, needed: Callable[[tuple[int, ...]], Region]) -> None:
    """Refuse to go on if chunks that finished blocks were made from have been written again since.

    Others may have been: a chunk that could not be read is mended before the job is resumed.
    needed: what a block reads of the input
    """
    before, now = stored.read()["fingerprint"], fingerprints.fingerprint(info)
    changed = [name for name in now if now[name] != before.get(name)]
    used = [needed(block) for block in stored.done()] + list(_read_before(stored, info)) if changed else []
    for name in changed:
        index = [int(i) for i in name.split(".")]
        chunk = Region(tuple((i * u, i * u + u) for i, u in zip(index, info.write_unit, strict=True)))
        if any(region.meets(chunk, info.shape) for region in used):
            raise UsageError(
                f"{info.path} has changed since {stored.out} was begun (chunk {name}, which finished blocks were "
                "made from): use --overwrite to start again"
            )


def _read_before(stored: Journal, info: ArrayInfo) -> Iterator[Region]:
    """What the finished blocks of sweeps before the last one have read of the input."""
    for part in stored.parts():
        work = begun_work(stored.out, part)
        if work is not None and work.input == info.path:
            yield from (work.needed(work.plan.region(index)) for index in Journal(stored.out, part).done())
