"""What a person sees of a job: the plan, the bar, and the summary."""

from __future__ import annotations

import sys
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from gridstride.pipeline.errors import megabytes
from gridstride.pipeline.plan import Plan

# Stages in the order a block goes through them.
STAGES = (
    "read + decode", "transfer", "halo", "wait", "upload", "kernel", "download", "measure", "encode + write",
)  # fmt: skip


def shape_text(shape: Any) -> str:
    return " x ".join(map(str, shape))


class Progress:
    """A bar on a terminal, a line every few seconds elsewhere, nothing if `quiet`.

    A voxel here is an element of the result.
    """

    def __init__(self, total: int, done: int, quiet: bool = False, every: float = 5.0) -> None:
        self.total, self.done, self.first = total, done, done
        self.quiet, self.every = quiet, every
        self.voxels = self.bytes_in = self.bytes_out = 0
        self.begin = self.last = time.monotonic()
        self.console = Console(stderr=True)
        self.bar: Any = None
        if not quiet and self.console.is_terminal:
            from rich import progress

            self.bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TextColumn("blocks  {task.fields[rate]}"),
                progress.TimeRemainingColumn(),
                console=self.console,
            )
            self.task = self.bar.add_task("sweep", total=total, completed=done, rate="")

    def __enter__(self) -> Progress:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def report(self, record: dict[str, Any]) -> None:
        """Count one finished block."""
        if not record["skipped"]:
            self.voxels += record["voxels"]
            self.bytes_in += record["bytes_in"]
            self.bytes_out += record["bytes_out"]
        self.done += 1
        now = time.monotonic()
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done, rate=self._rate(now))
        elif not self.quiet and (now - self.last >= self.every):
            self.last = now
            left = (now - self.begin) / (self.done - self.first) * (self.total - self.done)
            print(
                f"{self.done}/{self.total} blocks, {self._rate(now)}, {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )

    def _rate(self, now: float) -> str:
        seconds = max(now - self.begin, 1e-9)
        return (
            f"{self.voxels / seconds / 1e6:.1f} Mvoxel/s, "
            f"{self.bytes_in / seconds / 1e9:.2f} GB/s in, {self.bytes_out / seconds / 1e9:.2f} GB/s out"
        )


class StepProgress:
    """The same for a simulation: steps made, the time reached in it, and cells advanced a second."""

    def __init__(self, last: int, first: int, cells: int, dt: float, quiet: bool = False, every: float = 5.0) -> None:
        self.last_step, self.first, self.cells, self.dt = last, first, cells, dt
        self.quiet, self.every = quiet, every
        self.begin = self.printed = time.monotonic()
        self.console = Console(stderr=True)
        self.bar: Any = None
        if not quiet and self.console.is_terminal:
            from rich import progress

            self.bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TextColumn("steps  {task.fields[rate]}"),
                progress.TimeRemainingColumn(),
                console=self.console,
            )
            self.task = self.bar.add_task("simulate", total=last, completed=first, rate="")

    def __enter__(self) -> StepProgress:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def report(self, step: int) -> None:
        """Show that a step has been reached."""
        now = time.monotonic()
        seconds = max(now - self.begin, 1e-9)
        rate = f"t = {step * self.dt:.4g}, {(step - self.first) * self.cells / seconds / 1e6:.1f} Mcell-steps/s"
        if self.bar is not None:
            self.bar.update(self.task, completed=step, rate=rate)
        elif not self.quiet and now - self.printed >= self.every and step > self.first:
            self.printed = now
            left = seconds / (step - self.first) * (self.last_step - step)
            print(f"{step}/{self.last_step} steps, {rate}, {left:.0f} s left", file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """A line of news, above the bar."""
        if not self.quiet:
            self.console.print(text, highlight=False)


def plan_table(plan: Plan, facts: dict[str, str]) -> Table:
    """The plan as a table; `facts` are lines about the job that the plan does not know."""
    table = Table(title="plan", show_header=False, title_justify="left")
    rows = dict(facts)
    rows["input"] = f"{shape_text(plan.shape)}, {megabytes(plan.bytes_in)}"
    rows["result"] = f"{shape_text(plan.out_shape)}, {megabytes(plan.bytes_out)} before compression"
    rows["halo"] = ", ".join(f"{b}+{a}" for b, a in plan.halo)
    rows["blocks"] = f"{plan.blocks} of {shape_text(plan.block)} (grid {shape_text(plan.grid)})"
    rows["batches"] = f"{plan.batches} of up to {shape_text(plan.batch)} blocks"
    rows["halo overhead"] = f"{plan.halo_overhead:.1%} more elements taken in than the grid has"
    rows["reads"] = f"{megabytes(plan.bytes_in)} and the edges between batches; writes {megabytes(plan.bytes_out)}"
    rows["tasks"] = f"about {plan.tasks_per_block * plan.blocks} ({plan.tasks_per_block} a block)"
    parts = ", ".join(f"{name} {megabytes(size)}" for name, size in plan.memory_parts.items() if size)
    rows["memory per worker"] = f"{megabytes(plan.memory_per_worker)} ({parts})"
    rows["memory in all"] = megabytes(plan.memory_total)
    for name, text in rows.items():
        table.add_row(name, text)
    return table


def summary_table(stages: dict[str, float], idle: float, seconds: float) -> Table:
    """Seconds by stage, summed over all threads; each stage's share; and how many threads were in it at a time, on
    average over the job's `seconds`: stages overlap where these sum to more than one."""
    table = Table(title="time by stage, summed over threads", title_justify="left")
    for column in ("stage", "seconds", "share", "at a time"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    known = {name: stages[name] for name in STAGES if stages.get(name, 0) > 0}
    known["idle"] = max(0.0, idle)
    total = sum(known.values()) or 1.0
    for name, spent in known.items():
        table.add_row(name, f"{spent:.2f}", f"{spent / total:.0%}", f"{spent / seconds:.2f}" if seconds else "")
    return table
