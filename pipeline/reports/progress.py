"""The plan, the progress bar and the summary of a job, for people."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from gridstride.pipeline.events.bar import Bar
from gridstride.pipeline.events.events import Events
from gridstride.pipeline.job import Job
from gridstride.pipeline.planning.plan import Plan
from gridstride.pipeline.storage.attributes import dropped
from gridstride.pipeline.sweep.record import Record
from gridstride.pipeline.text import megabytes, shape_text

# Stages in the order a block goes through them.
STAGES = (
    "read + decode", "transfer", "halo", "wait", "upload", "kernel", "download", "measure", "encode + write",
)  # fmt: skip


class Progress(Bar):
    """Progress of a sweep in blocks. A voxel here is an element of the result."""

    def __init__(
        self, total: int, done: int, quiet: bool = False, every: float = 5.0, events: Events | None = None
    ) -> None:
        super().__init__("sweep", "blocks", total, done, quiet, every, events)
        self.done = done
        self.voxels = self.bytes_in = self.bytes_out = 0

    def report(self, record: Record) -> None:
        """Count a finished block, or box of blocks."""
        if not record.skipped:
            self.voxels += record.voxels
            self.bytes_in += record.bytes_in
            self.bytes_out += record.bytes_out
        self.done += record.blocks
        read, written = self.bytes_in / self.seconds / 1e9, self.bytes_out / self.seconds / 1e9
        rate = f"{self.voxels / self.seconds / 1e6:.1f} Mvoxel/s, {read:.2f} GB/s in, {written:.2f} GB/s out"
        self.show(self.done, rate, voxels=self.voxels, bytes_in=self.bytes_in, bytes_out=self.bytes_out)
        self.events.spans.take(record.worker, record.spans)


class StepProgress(Bar):
    """Progress of a simulation: its step, the simulated time, and cells advanced a second."""

    def __init__(
        self, last: int, first: int, cells: int, dt: float,
        quiet: bool = False, every: float = 5.0, events: Events | None = None,
    ) -> None:  # fmt: skip
        super().__init__("simulate", "steps", last, first, quiet, every, events)
        self.cells, self.dt = cells, dt

    def report(self, step: int) -> None:
        """Show the step that was reached."""
        rate = (step - self.first) * self.cells / self.seconds / 1e6
        self.show(step, f"t = {step * self.dt:.4g}, {rate:.1f} Mcell-steps/s", time_reached=step * self.dt)


def job_facts(job: Job) -> dict[str, str]:
    """A job and its plan in words, line by line."""
    size, layout = job.environment.size, job.layout
    facts = {
        "device": job.environment.reason,
        "workers": f"{size.workers} with {size.threads} threads each",
        "algorithm": job.operator.describe(),
        **({"steps": job.told["steps"]} if "steps" in job.told else {}),
        **({"axes": job.axes} if job.axes else {}),
        "dtype": f"{job.input.dtype} -> {job.out_grid.dtype}",
        "chunks": f"{shape_text(job.input.chunks)} ({job.input.codecs}) -> "
        f"{shape_text(layout.chunks)} ({layout.codec})",
    }
    if layout.shards:
        facts["shards"] = shape_text(layout.shards)
    if isinstance(missing := job.request.get("nodata"), list):
        facts["no data"] = f"{', '.join(missing)} in the input, {job.request['nodata_of_result']} in the result"
    if lost := dropped(job.input.attributes, job.attributes):
        facts["attributes"] = f"without {', '.join(lost)}, which would not be right for the result"
    if job.notes:
        facts["notes"] = "\n".join(job.notes)
    if job.groups:
        facts["groups"] = "\n".join(job.groups)
    if job.stages and len(job.stages.groups) > 1:
        facts["last group"] = (
            f"what follows is of the sweep that writes the result; {megabytes(job.disk)} on disk at most"
        )
    return facts | plan_facts(job.plan)


def plan_facts(plan: Plan) -> dict[str, str]:
    """The plan in words, line by line."""
    parts = ", ".join(f"{name} {megabytes(size)}" for name, size in plan.memory_parts.items() if size)
    return {
        "input": f"{shape_text(plan.in_shape)}, {megabytes(plan.bytes_in)}",
        "result": f"{shape_text(plan.shape)}, {megabytes(plan.bytes_out)} before compression",
        "halo": ", ".join(f"{b}+{a}" for b, a in plan.halo.depth) + " (where blocks are cut)",
        "blocks": f"{plan.blocks} of {shape_text(plan.block)} (grid {shape_text(plan.grid)})",
        "batches": f"{plan.batches} of up to {shape_text(plan.batch)} blocks",
        "halo overhead": f"{plan.halo.overhead:.1%} more elements taken in than the grid has",
        "reads": f"{megabytes(plan.bytes_in)} and the edges between batches; writes {megabytes(plan.bytes_out)}",
        "halos": "exchanged between neighbours, by map_overlap" if plan.halos == "exchange" else "read with the blocks",
        "tasks": f"about {plan.tasks} ({plan.tasks / max(1, plan.blocks):.3g} a block)",
        "memory per worker": f"{megabytes(plan.memory_per_worker)} ({parts})",
        "memory in all": megabytes(plan.memory_total),
    }


def plan_table(facts: dict[str, str]) -> Table:
    """The lines of `job_facts` as a table."""
    table = Table(title="plan", show_header=False, title_justify="left")
    for name, text in facts.items():
        table.add_row(name, Text(text))
    return table


def summary_table(stages: dict[str, float], idle: float, seconds: float) -> Table:
    """Seconds by stage summed over threads, each stage's share, and the number of threads in it at a time: the average
    over the job's `seconds`, so stages overlap where these numbers sum to more than one."""
    table = Table(title="time by stage, summed over threads", title_justify="left")
    for column in ("stage", "seconds", "share", "at a time"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    known = {name: stages[name] for name in STAGES if stages.get(name, 0) > 0}
    known["idle"] = max(0.0, idle)
    total = sum(known.values()) or 1.0
    for name, spent in known.items():
        table.add_row(name, f"{spent:.2f}", f"{spent / total:.0%}", f"{spent / seconds:.2f}" if seconds else "")
    return table
