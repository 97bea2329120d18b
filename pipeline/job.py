"""A job: one operator swept over one array into another, planned, run, and resumed if it was cut short."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import gridstride
from gridstride.pipeline import checks
from gridstride.pipeline.clusters import deployment
from gridstride.pipeline.errors import JobFailed, UsageError
from gridstride.pipeline.events import events, spans
from gridstride.pipeline.events.events import Events, open_events, say_waiting
from gridstride.pipeline.events.watch import watch_workers
from gridstride.pipeline.options import ClusterConfig, RunOptions
from gridstride.pipeline.planning.plan import Plan, Request, make_plan
from gridstride.pipeline.reports.progress import Progress, job_facts
from gridstride.pipeline.reports.report import reported
from gridstride.pipeline.storage import fingerprints
from gridstride.pipeline.storage.create import check_disk, create
from gridstride.pipeline.storage.describe import ArrayInfo, describe
from gridstride.pipeline.storage.journal import Journal, job_hash, json_bytes
from gridstride.pipeline.storage.mirror import mirrored
from gridstride.pipeline.storage.paths import Place, ends_if_lost, place
from gridstride.pipeline.sweep.block_task import Work, write_work
from gridstride.pipeline.sweep.sweep import Outcome, Sweep
from gridstride.pipeline.sweep.waiting import reachable
from gridstride.workers import cluster, operators

# Raised when a change to the code changes the bytes of results: a job begun before cannot be resumed after.
RESULT_VERSION = 1


@dataclass(frozen=True)
class Job:
    """Everything that determines the result.

    request: the user's own terms (command and options), kept for provenance
    """

    input: ArrayInfo
    out: Place
    operator: Any
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None
    codec: str
    request: dict[str, Any] = field(default_factory=dict)

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.operator.out_shape(self.input.shape)

    def identity(self, device_kind: str) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            operators.save(self.operator, Path(folder))
            digest = hashlib.sha256((Path(folder) / "operator.json").read_bytes())
        for array in _arrays(self.operator):
            digest.update(np.ascontiguousarray(array).tobytes())
        return {
            "result_version": RESULT_VERSION,
            "operator": digest.hexdigest(),
            "input": fingerprints.identity(self.input),
            "output": {
                "chunks": self.chunks,
                "shards": self.shards,
                "codec": self.codec,
                "shape": self.out_shape,
            },
            "device": device_kind,
        }


def _arrays(value: Any) -> list[np.ndarray]:
    """The arrays in an operator, in order."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, tuple):
        return [a for item in value for a in _arrays(item)]
    if hasattr(value, "__dataclass_fields__"):
        return [a for f in dataclasses.fields(value) for a in _arrays(getattr(value, f.name))]
    return []


FAILURES_NAMED = 3  # blocks that a line about a reason names


@dataclass
class Summary:
    """What a job did.

    blocks, computed, skipped, retried: counts; failed: {block index: reasons}
    seconds: of the sweep; startup_seconds: of the cluster; stages: seconds summed over threads; idle likewise
    voxels: elements of the result that were computed
    """

    out: str
    device: str
    plan: Plan
    computed: int = 0
    skipped: int = 0
    retried: int = 0
    failed: dict[str, list[str]] = field(default_factory=dict)
    voxels: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    seconds: float = 0.0
    startup_seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    idle: float = 0.0
    workers: int = 0
    threads: int = 0

    @property
    def voxels_per_second(self) -> float:
        return self.voxels / self.seconds if self.seconds else 0.0

    def failures(self) -> list[str]:
        """A line for each reason: one bad chunk fails all blocks that read it."""
        blocks: dict[str, list[str]] = {}
        for index, reasons in self.failed.items():
            for reason in reasons:
                blocks.setdefault(reason, []).append(index)
        lines = []
        for reason, those in blocks.items():
            more = f" and {len(those) - FAILURES_NAMED} more" if len(those) > FAILURES_NAMED else ""
            named = ", ".join(those[:FAILURES_NAMED]) + more
            lines.append(f"failed: {'block' if len(those) == 1 else 'blocks'} {named}: {reason}")
        return lines

    def raise_if_failed(self) -> None:
        if self.failed:
            raise JobFailed(
                f"{len(self.failed)} of {self.plan.blocks} blocks failed; the others are written to {self.out}"
            )


@dataclass(frozen=True)
class Prepared:
    """A job with its plan, ready to run."""

    job: Job
    options: RunOptions
    config: ClusterConfig
    size: cluster.Size
    device: str
    reason: str
    plan: Plan

    @property
    def out(self) -> Place:
        return self.job.out


def prepare(job: Job, options: RunOptions) -> Prepared:
    """Check and plan a job. Nothing is written and nothing is started."""
    config, kind, reason, size = deployment.environment(options)
    checks.check_output(job, options)
    block = options.block
    stored = Journal(job.out)
    if stored.exists() and not options.overwrite:
        block = checks.stored_block(stored, job, kind, block)
    request = Request(
        shape=job.input.shape,
        out_shape=job.out_shape,
        itemsize=job.input.dtype.itemsize,
        out_itemsize=job.operator.out_dtype.itemsize,
        write_unit=job.shards or job.chunks,
        halo=job.operator.halo,
        modes=job.operator.modes,
        scratch=lambda extent: job.operator.scratch_bytes(extent, kind),
        workers=size.workers,
        threads=size.threads,
        memory=size.memory,
        device_memory=size.device_memory if kind == "gpu" else None,
        block=block,
        read_unit=job.input.chunks,
        exact=job.operator.exact,
        halos=options.halos,
    )
    plan = make_plan(request)
    if stored.exists() and not options.overwrite:
        checks.check_input(stored, job, plan)
    return Prepared(job, options, config, size, kind, reason, plan)


@reported
def run(prepared: Prepared, client: Any = None) -> Summary:
    """Run a job from where it stands, on the cluster it was planned for, or on that of `client`.

    Raises UsageError before anything is written; blocks that failed are in the summary.
    """
    job, options, plan = prepared.job, prepared.options, prepared.plan
    journal = Journal(job.out)
    if not options.ignore_disk and not journal.exists():
        check_disk(job.out.resolve(), plan.bytes_out)
    journal.lock(say_waiting(options))
    try:
        if options.overwrite:
            journal.clear()
        with ends_if_lost(job.out):
            _create(prepared, journal)
        done = int(journal.done_mask(plan.grid).sum())
        if done >= plan.blocks:
            return _summary(prepared, Outcome(skipped=done), 0.0)
        facts = {"done": done, "total": plan.blocks, "unit": "blocks", "plan": job_facts(prepared)}
        identity = journal.read()["hash"]
        with (
            mirrored(journal.folder, (events.FILE, spans.FILE)) as folder,
            open_events(folder, identity, options, prepared.device, done > 0, **facts) as story,
        ):
            return _sweep(prepared, journal, done, story, client)
    except KeyboardInterrupt:
        journal.check_lock()
        raise
    finally:
        journal.unlock()


def _sweep(prepared: Prepared, journal: Journal, done: int, story: Events, client: Any) -> Summary:
    job, options, plan, device = prepared.job, prepared.options, prepared.plan, prepared.device
    begin = time.perf_counter()
    start = deployment.start(prepared.config, device, prepared.size, options.debug)
    with (
        nullcontext(client) if client else start as client,
        watch_workers(client, story, prepared.config.io_timeout),
        reachable(client),
    ):
        started = time.perf_counter() - begin
        work = Work(job.input.path, str(job.out.resolve()), device, plan, job.operator)
        run_id = f"{os.getpid():x}{time.time_ns():x}"
        with Progress(plan.blocks, done, not options.watched, events=story) as progress:
            outcome = Sweep(client, work, run_id, progress.report, story, prepared.config.patience).run()
    summary = _summary(prepared, outcome, started)
    journal.write_summary(_plain(summary))
    if summary.failed:
        story.say("failed", f"{len(summary.failed)} blocks failed", "error", summary=_plain(summary))
    else:
        story.say("finished", f"{summary.computed} blocks in {summary.seconds:.2f} s", summary=_plain(summary))
    return summary


def _create(prepared: Prepared, journal: Journal) -> None:
    """Make the output array and its journal, or what a killed run did not come to make of them."""
    job, plan = prepared.job, prepared.plan
    if not journal.exists():
        identity = json.loads(json_bytes(job.identity(prepared.device)))
        record = {
            "hash": job_hash(identity),
            "identity": identity,
            "block": plan.block,
            "input": job.input.path,
            "fingerprint": fingerprints.fingerprint(job.input),
            "chunks": job.chunks,
            "shards": job.shards,
            "codec": job.codec,
            "request": job.request,
        }
        operators.save(job.operator, journal.folder)
        journal.begin(record)
    write_work(str(job.out.resolve()), job.input.path, prepared.device, plan)
    if not (job.out / "zarr.json").is_file():
        attributes = {k: v for k, v in job.input.attributes.items() if k != "_ARRAY_DIMENSIONS"}
        # Nothing here may differ between two runs of the same job: no times, no process numbers.
        attributes["gridstride"] = {
            "version": gridstride.__version__,
            "request": job.request,
            "input": {"path": job.input.path, "shape": list(job.input.shape), "dtype": job.input.dtype.name},
            "plan": {
                "block": list(plan.block),
                "halo": [list(h) for h in plan.halo],
                "device": prepared.device,
            },
        }
        create(
            job.out,
            job.out_shape,
            job.operator.out_dtype,
            job.chunks,
            job.shards,
            job.codec,
            job.input.dimension_names,
            attributes,
        )


def _summary(prepared: Prepared, outcome: Outcome, started: float) -> Summary:
    size = prepared.size
    stages = {name: round(seconds, 4) for name, seconds in outcome.stages.items()}
    return Summary(
        out=str(prepared.job.out),
        device=prepared.device,
        plan=prepared.plan,
        computed=outcome.computed,
        skipped=outcome.skipped,
        retried=outcome.retried,
        failed={".".join(map(str, index)): reasons for index, reasons in outcome.failed.items()},
        voxels=outcome.voxels,
        bytes_in=outcome.bytes_in,
        bytes_out=outcome.bytes_out,
        seconds=outcome.seconds,
        startup_seconds=started,
        stages=stages,
        idle=max(0.0, outcome.seconds * size.workers * size.threads - sum(stages.values())),
        workers=size.workers,
        threads=size.threads,
    )


def _plain(summary: Summary) -> dict[str, Any]:
    content = asdict(summary)
    content["plan"] = {"blocks": summary.plan.blocks, "block": summary.plan.block, "grid": summary.plan.grid}
    return content


def resume(out: str | Place, options: RunOptions | None = None) -> Prepared:
    """The unfinished job at `out`, prepared to go on."""
    out = place(out)
    journal = Journal(out)
    if not journal.exists() and not out.exists():
        raise UsageError(f"{out} does not exist")
    record = journal.read()
    options = options or RunOptions()
    if options.device == "auto":
        options = RunOptions(**{**options.__dict__, "device": record["identity"]["device"]})
    try:
        operator = operators.load(journal.folder)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"{journal.folder} is damaged ({error}): --overwrite with the original command starts afresh"
        ) from None
    job = Job(
        input=describe(record["input"]),
        out=out,
        operator=operator,
        chunks=tuple(record["chunks"]),
        shards=tuple(record["shards"]) if record["shards"] else None,
        codec=record["codec"],
        request=record["request"],
    )
    return prepare(job, options)


def output_layout(
    info: ArrayInfo,
    out_shape: Sequence[int],
    chunks: Sequence[int] | None,
    shards: Sequence[int] | None,
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Chunk and shard shape of the result: the input's unless given; a chunk is no longer than its axis."""

    def check(name: str, given: Sequence[int]) -> tuple[int, ...]:
        if len(given) != info.ndim or min(given, default=1) < 1:
            raise UsageError(f"--{name} is {','.join(map(str, given))}: expected {info.ndim} numbers of 1 or more")
        return tuple(given)

    wide = check("chunks", chunks) if chunks is not None else info.chunks
    new_chunks = tuple(min(c, max(n, 1)) for c, n in zip(wide, out_shape, strict=True))
    if shards is None:
        whole = info.shards if chunks is None else None
    else:
        whole = check("shards", shards)
        if any(s % c for s, c in zip(whole, wide, strict=True)):
            raise UsageError(f"--shards {','.join(map(str, whole))} are not whole chunks of {','.join(map(str, wide))}")
    if whole is None:
        return new_chunks, None
    # A chunk that was cut down to its axis is alone in its shard there.
    return new_chunks, tuple(
        c if c < w else max(1, s // c) * c for s, c, w in zip(whole, new_chunks, wide, strict=True)
    )
