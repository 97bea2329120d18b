"""Runs a job: makes its output, sweeps as often as its operator asks, from where an earlier run stood."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import gridstride
from gridstride.pipeline.clusters import deployment
from gridstride.pipeline.errors import JobFailed
from gridstride.pipeline.events import events, spans
from gridstride.pipeline.events.events import Events, open_events, say_waiting
from gridstride.pipeline.events.watch import watch_workers
from gridstride.pipeline.job import Job
from gridstride.pipeline.storage.create import check_disk, create
from gridstride.pipeline.storage.journal import FOLDER, Journal
from gridstride.pipeline.storage.mirror import mirrored
from gridstride.pipeline.storage.paths import durable_write, ends_if_lost, remove, store_path
from gridstride.pipeline.summary import JobSummary
from gridstride.pipeline.sweep.block_task import Work, begun_work, foreign_jobs, write_work
from gridstride.pipeline.sweep.record import Record, Summary
from gridstride.pipeline.sweep.sweep import Sweep
from gridstride.pipeline.sweep.waiting import reachable
from gridstride.workers import saving
from gridstride.workers.operators.base import Grid, Operator

# Shows how far a sweep is: (blocks, blocks done before, events) -> a context that takes records.
Progress = Callable[[int, int, Events], AbstractContextManager[Callable[[Record], None]]]
FOREIGN_SECONDS = 1.0  # between looks at whether blocks of another job are still computed


def no_progress(total: int, done: int, story: Events) -> AbstractContextManager[Callable[[Record], None]]:
    return nullcontext(lambda record: None)


def run(
    job: Job, client: Any = None, progress: Progress = no_progress, facts: dict[str, str] | None = None
) -> JobSummary:
    """Run a job from where it stands, on the cluster it was planned for, or on that of `client`.

    facts: the plan in words, for the record of events
    Raises UsageError before anything is written; blocks that failed are in the summary.
    """
    journal = Journal(job.out)
    if not job.options.ignore_disk and not journal.exists():
        check_disk(
            job.out.resolve(),
            job.disk,
            "result, with what is stored before it," if job.disk > job.plan.bytes_out else "result",
        )
    journal.lock(say_waiting(job.options))
    try:
        if job.options.overwrite:
            journal.clear()
        job.check_begun()
        with ends_if_lost(job.out):
            _create(job, journal)
        done = int(journal.done_mask(job.plan.grid).sum())
        summary = _summary(job)
        if done >= job.plan.blocks:
            summary.skipped = done
            _tidy(job)
            return summary
        told = {"done": done, "total": job.plan.blocks, "unit": "blocks", "plan": facts or {}}
        with (
            journal.must_stay(),
            mirrored(journal.folder, (events.FILE, spans.FILE)) as folder,
            open_events(folder, journal.hash, job.options, job.device, done > 0, **told) as story,
        ):
            for note in job.notes:
                story.say("note", note)
            _with_cluster(job, journal, summary, story, client, progress)
            return summary
    except KeyboardInterrupt:
        journal.check_lock()
        raise
    finally:
        journal.unlock()


def _summary(job: Job) -> JobSummary:
    size = job.environment.size
    return JobSummary(
        out=str(job.out),
        device=job.device,
        plan=job.plan,
        workers=size.workers,
        threads=size.threads,
        axes=job.axes,
        groups=job.groups,
        notes=job.notes,
    )


def _with_cluster(
    job: Job, journal: Journal, summary: JobSummary, story: Events, client: Any, progress: Progress
) -> None:
    environment, config = job.environment, job.environment.config
    begin = time.perf_counter()
    start = deployment.start(config, environment.device, environment.size, job.options.debug)
    with (
        nullcontext(client) if client else start as client,
        watch_workers(client, story, config.io_timeout),
        reachable(client),
    ):
        summary.startup_seconds = time.perf_counter() - begin
        if client is not None and config.kind == "address":
            _wait_for_foreign(job, journal.hash, client, story)
        _sweeps(job, journal.hash, summary, client, story, progress)
    journal.write_summary(summary.plain())
    if summary.failed:
        story.say("failed", f"{len(summary.failed)} blocks failed", "error", summary=summary.plain())
    else:
        story.say("finished", f"{summary.computed} blocks in {summary.seconds:.2f} s", summary=summary.plain())


def _sweeps(job: Job, job_hash: str, summary: JobSummary, client: Any, story: Events, progress: Progress) -> None:
    """Every sweep that the operator asks for, then the one that writes the result."""
    out, operator, grid, source = str(job.out.resolve()), job.operator, job.grid, job.input.path
    chunks = job.input.chunks  # of the source
    run_id = f"{os.getpid():x}{time.time_ns():x}"

    def sweep(operator: Operator, part: str, target: str, begun: Work | None = None) -> Summary:
        if not part and grid == job.planned:
            plan = job.plan
        else:
            plan = job.plan_sweep(operator, grid, chunks, part, _block(job, part, begun))
        if job.stages:
            what = "" if not part else " (its result is stored)" if target else " (it only reports)"
            story.say("sweep", f"sweep {number + 1}: {operator.describe()}{what}")
        work = Work(source, out, part, target, job_hash, job.device, plan, operator, grid)
        work.journal.begin_sweep()
        write_work(work)
        done = int(work.journal.done_mask(plan.grid).sum())
        with progress(plan.blocks, done, story) as report:
            patience = job.environment.config.patience
            return Sweep(client, work, f"{run_id}{part}", report, story, patience).run()

    number = 0
    while (first := operator.first_sweep()) is not None:
        part, target = f"first-{number}", ""
        begun, unit = begun_work(job.out, part), job.unit_of(first, grid, chunks)
        if first.writes():
            target = _intermediate(job, part, first.out_grid(grid), unit, begun)
        done = sweep(first, part, target, begun)
        summary.add(done, last=False)
        if done.failed:
            return
        if first.writes():
            _forget(job, source)
        try:
            operator = operator.resolve(Journal(job.out, part).reports() if not first.writes() else (), grid)
        except ValueError as error:  # the array's values are none that the operator can go on with
            raise JobFailed(str(error)) from None
        if first.writes():
            source, grid, chunks = target, first.out_grid(grid), unit
        number += 1
    done = sweep(operator, "", out)
    summary.add(done, last=True)
    if not done.failed:
        _forget(job, source)


def _block(job: Job, part: str, begun: Work | None) -> tuple[int, ...] | None:
    """The block shape that a sweep must have: what an earlier run began it with, whose markers are of such blocks."""
    return (begun.plan.block if begun else None) if part else job.plan.block


def _intermediate(job: Job, part: str, grid: Grid, unit: tuple[int, ...], begun: Work | None) -> str:
    """The address of the array that a sweep before the last one writes, in chunks of `unit`. It is made if it is not
    there; but if the sweep was finished, a later one may have read and deleted it."""
    where = job.out / FOLDER / part / "data"
    finished = begun is not None and Journal(job.out, part).done_mask(begun.plan.grid).all()
    if not finished and not (where / "zarr.json").is_file():
        create(where, grid.shape, grid.dtype, unit)
    return str(where.resolve())


def _forget(job: Job, source: str) -> None:
    """Delete what a sweep has read, if another sweep of the job wrote it: nothing reads it again."""
    if source != job.input.path and (where := store_path(source)).exists():
        remove(where)


def _tidy(job: Job) -> None:
    """Delete what a run that was killed after its last block left of the sweeps before."""
    for part in Journal(job.out).parts():
        _forget(job, str(job.out / FOLDER / part / "data"))


def _wait_for_foreign(job: Job, job_hash: str, client: Any, story: Events) -> None:
    """Wait until workers of a cluster that others use compute no more blocks of an earlier job at this output.

    They check before they write; this closes the gap between that check and the end of the write.
    """
    out, patience = str(job.out.resolve()), job.environment.config.patience
    begin, told = time.monotonic(), False
    while sum(client.run(foreign_jobs, out, job_hash).values()):
        if not told:
            story.say("waiting", f"waiting for blocks of an earlier job that still write to {job.out}", "warning")
            told = True
        if time.monotonic() - begin > patience:
            raise JobFailed(f"an earlier job still writes to {job.out}: stop it, or give another place")
        time.sleep(FOREIGN_SECONDS)


def _create(job: Job, journal: Journal) -> None:
    """Make the output array and its journal, or what a killed run did not come to make of them."""
    if not journal.exists():
        saving.save(job.operator, journal.make_folder(), "operator", durable_write)
        journal.begin(job.record())
    if not (job.out / "zarr.json").is_file():
        attributes = dict(job.attributes)
        # Nothing here may differ between two runs of the same job: no times, no process numbers.
        attributes["gridstride"] = {
            "version": gridstride.__version__,
            "request": job.request,
            "input": {"path": job.input.path, "shape": list(job.input.shape), "dtype": job.input.dtype.name},
            "plan": {
                "block": list(job.plan.block),
                "halo": [list(depth) for depth in job.plan.halo.depth],
                "device": job.device,
            },
        }
        out, layout = job.out_grid, job.layout
        names = [axis.name or None for axis in out.axes]
        create(job.out, out.shape, out.dtype, layout.chunks, layout.shards, layout.codec, names, attributes)
