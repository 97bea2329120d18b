"""The plan and the summary of a simulation, for people."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from gridstride.pipeline.simulations.schedules import stable_step
from gridstride.pipeline.text import counted, megabytes, shape_text
from gridstride.workers.models.edac.kinds import SPARE

if TYPE_CHECKING:
    from gridstride.pipeline.simulations.simulation import FlowSummary, Prepared


def plan_facts(prepared: Prepared) -> dict[str, str]:
    """A simulation's case and plan in words, line by line."""
    case, plan, timeline, flow = prepared.case, prepared.plan, prepared.timeline, prepared.setup.flow
    cells = case.grid.cells
    state = 2 * flow.fields * prod(flow.cells) * flow.dtype.itemsize
    speed = f"speed {case.fluid.speed:g}, Mach {case.fluid.mach:g}, viscosity {flow.viscosity:g}"
    if plan.in_memory and plan.blocks > 1:
        width = min(b - a for a, b in zip(plan.edges[:-1], plan.edges[1:], strict=True))
        way = (
            f"{plan.blocks} slabs in memory, exchanged every {plan.substeps} steps "
            f"(halo of {plan.substeps + SPARE} planes for slabs of {width}), {counted(plan.threads, 'thread')} each"
        )
    elif plan.in_memory:
        way = f"one block in memory, no exchange, {counted(plan.threads, 'thread')}"
    else:
        way = f"from store to store, {plan.substeps} steps in each pass"
    return {
        "case": f"{case.name}: {speed}",
        "grid": f"{shape_text(cells.values())} ({', '.join(cells)}), state {megabytes(state)}",
        "time": f"{timeline.last} steps of {timeline.dt:.4g} to t = {timeline.last * timeline.dt:g} "
        f"({timeline.dt / stable_step(case):.0%} of the longest stable step)",
        "output": f"{len(timeline.snapshots)} snapshots of {', '.join(prepared.arrays)}; "
        f"{len(timeline.diagnostics)} samples of diagnostics",
        "device": f"{prepared.reason}; workers: {prepared.size.workers}, threads each: {prepared.size.threads}",
        "plan": way,
        "memory": f"{megabytes(plan.memory)} of {megabytes(prepared.size.memory)}"
        if prepared.size.memory
        else "no limit",
    }


def plan_lines(prepared: Prepared) -> list[str]:
    facts = plan_facts(prepared)
    return [f"{name}: {facts[name]}" for name in ("case", "grid", "time", "device", "plan")]


def summary_line(prepared: Prepared, summary: FlowSummary) -> str:
    steps = summary.last - summary.first
    if not steps:
        return f"{summary.out}: already finished, {summary.last} steps"
    rate = summary.cell_steps_per_second
    text = (
        f"{summary.out}: steps {summary.first} to {summary.last}, t = {summary.last * prepared.timeline.dt:g}; "
        f"{summary.seconds:.2f} s, {rate / 1e6:.1f} Mcell-steps/s, {1e9 / rate:.2f} ns per cell and step; "
        f"Mach {prepared.case.fluid.mach:g}"
    )
    if summary.max_divergence == summary.max_divergence:
        text += f", largest |div u| {summary.max_divergence:.3g}"
    return text + (f"; state lost and recovered: {counted(summary.recoveries, 'time')}" if summary.recoveries else "")
