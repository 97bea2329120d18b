"""What `import gridstride` offers: every command as a function."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gridstride.pipeline import job as jobs
from gridstride.pipeline.images import convolve, correlate, gaussian, uniform
from gridstride.pipeline.job import Summary
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.reports.simulations import run_shown
from gridstride.pipeline.simulations import simulation
from gridstride.pipeline.simulations.case import Case, load_case, make_case
from gridstride.pipeline.simulations.simulation import FlowSummary

__all__ = ["convolve", "correlate", "gaussian", "resume", "simulate", "uniform"]


def simulate(
    case: str | Path | dict[str, Any] | Case,
    out: str | Path,
    overrides: Sequence[str] = (),
    *,
    blocks: int | None = None,
    from_store: bool = False,
    **options: Any,
) -> FlowSummary:
    """Run a Navier-Stokes simulation, or go on with it, and write it to the Zarr group `out`.

    case: path of a case file, a mapping of its content, or a `Case`; overrides: "key.of.field=value"
    blocks: slabs in memory, as many as pay by default; from_store: whether the state goes from store to store anyway
    Keywords: those of `RunOptions`. Raises UsageError before anything is written, JobFailed if the flow blows up.
    """
    if isinstance(case, str | Path):
        case = load_case(case, overrides)
    elif isinstance(case, dict):
        case = make_case(case)
    return run_shown(simulation.prepare(case, out, RunOptions(**options), blocks, from_store))


def resume(out: str | Path, **options: Any) -> Summary | FlowSummary:
    """Go on with the unfinished job or simulation at `out`. Keywords: those of `RunOptions`."""
    if simulation.is_simulation(out):
        return run_shown(simulation.resume(out, RunOptions(**options)))
    return jobs.run(jobs.resume(out, RunOptions(**options)))
