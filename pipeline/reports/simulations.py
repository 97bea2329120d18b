"""The plan and the summary of a simulation, for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from typing import TYPE_CHECKING, Any

from gridstride.pipeline.events.events import Events
from gridstride.pipeline.reports.progress import StepProgress
from gridstride.pipeline.reports.report import reported
from gridstride.pipeline.simulations import simulation as simulations
from gridstride.pipeline.simulations.plan import step_seconds
from gridstride.pipeline.text import counted, duration, megabytes, shape_text

if TYPE_CHECKING:
    from gridstride.pipeline.simulations.simulation import FlowSummary, Simulation


def plan_facts(prepared: Simulation) -> dict[str, str]:
    """A simulation's case and plan in words, line by line."""
    case, plan, timeline, domain = prepared.case, prepared.plan, prepared.timeline, prepared.setup.domain
    cells = case.grid.cells
    state = domain.arrays * prod(domain.cells) * domain.dtype.itemsize
    seconds = step_seconds(domain, plan, prepared.size, prepared.device)
    if plan.in_memory and plan.blocks > 1:
        width = min(b - a for a, b in zip(plan.edges[:-1], plan.edges[1:], strict=True))
        way = (
            f"{plan.blocks} slabs in memory, exchanged every {plan.substeps} steps "
            f"(halo of {domain.halo(plan.substeps)[0]} planes for slabs of {width}), "
            f"{counted(plan.threads, 'thread')} each"
        )
    elif plan.in_memory:
        way = f"one block in memory, no exchange, {counted(plan.threads, 'thread')}"
    else:
        way = f"from store to store, {plan.substeps} steps in each pass"
    return {
        "case": f"{case.name}: {case.about()}",
        "grid": f"{shape_text(cells.values())} ({', '.join(cells)}), state {megabytes(state)}",
        "time": f"{timeline.last} steps of {timeline.dt:.4g} to t = {timeline.last * timeline.dt:g} "
        f"({timeline.dt / case.stable_step():.0%} of the longest stable step)"
        + "".join(f"; {note}" for note in timeline.notes),
        **case.facts(prepared.setup),
        **({"begins with": prepared.begins_with.about()} if prepared.begins_with else {}),
        "output": f"{len(timeline.snapshots)} snapshots of {', '.join(prepared.arrays)}, "
        f"{megabytes(prepared.bytes_out - 2 * state)}, and up to two checkpoints, {megabytes(2 * state)}, before "
        f"compression; {len(timeline.diagnostics)} samples of diagnostics",
        "duration": f"about {duration(max(1.0, timeline.last * seconds))} beside start-up and compilation, an estimate "
        "from another machine's speed",
        "device": f"{prepared.reason}; workers: {prepared.size.workers}, threads each: {prepared.size.threads}",
        "plan": way,
        "memory": f"{megabytes(plan.memory)} of {megabytes(prepared.size.memory)}"
        if prepared.size.memory
        else "no limit",
    }


def plan_lines(prepared: Simulation) -> list[str]:
    facts = plan_facts(prepared)
    return [f"{name}: {text}" for name, text in facts.items() if name not in ("output", "memory")]


def summary_line(prepared: Simulation, summary: FlowSummary) -> str:
    steps = summary.last - summary.first
    if not steps:
        return f"{summary.out}: already finished, {summary.last} steps"
    rate = summary.cell_steps_per_second
    text = (
        f"{summary.out}: steps {summary.first} to {summary.last}, t = {summary.last * prepared.timeline.dt:g}; "
        f"{summary.seconds:.2f} s, {rate / 1e6:.1f} Mcell-steps/s, {1e9 / rate:.2f} ns per cell and step; "
        f"{prepared.case.about()}"
    )
    if summary.max_divergence == summary.max_divergence:
        text += f", largest |div u| {summary.max_divergence:.3g}"
    text += "".join(f"; {finding}" for finding in summary.findings)
    return text + (f"; state lost and recovered: {counted(summary.recoveries, 'time')}" if summary.recoveries else "")


@reported
def run_shown(prepared: Simulation, client: Any = None) -> FlowSummary:
    """Run a simulation with its progress shown, and write the report that its options ask for."""
    return simulations.run(prepared, client, simulations.Reporting(plan_facts(prepared), _progress))


@contextmanager
def _progress(prepared: Simulation, first: int, events: Events) -> Iterator[Callable[[int], None]]:
    last, dt, quiet = prepared.timeline.last, prepared.timeline.dt, not prepared.options.watched
    with StepProgress(last, first, prepared.cells, dt, quiet, events=events) as bar:
        yield bar.report
