"""How a simulation goes from store to store: chunks of the states, steps a pass, and the blocks of a pass."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, prod

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.planning.batches import STORE_BYTE_SECONDS, TASK_SECONDS
from gridstride.pipeline.planning.plan import Plan, make_plan
from gridstride.pipeline.planning.request import Request
from gridstride.pipeline.simulations.plan import FlowPlan, cell_seconds
from gridstride.workers.cluster import Size
from gridstride.workers.models.base import Setup
from gridstride.workers.models.domain import Domain
from gridstride.workers.models.steps import Steps
from gridstride.workers.operators.base import Grid

STEPS = (2, 4, 8, 16)
PLANES = 8  # of a chunk of the state along the slab axis, in three dimensions; in two, rows
ROWS = 64


def plan_passes(
    setup: Setup, size: Size, device: str, block: Sequence[int] | None, substeps: int | None,
    chunks: Sequence[int] | None,
) -> FlowPlan:  # fmt: skip
    """How the state is to be chunked, and how many steps a pass makes: what costs least of what fits.

    Chunks span whole planes if memory allows, so that blocks have halos on two sides only.
    block: wanted for a pass; substeps: wanted for a pass; chunks: of the states that are there
    Raises UsageError where no block fits the memory.
    """
    domain = setup.domain
    _, ny, nx = domain.cells
    options: list[tuple[int, ...]]
    if chunks is not None:
        options = [tuple(chunks)]
    elif domain.planar:
        options = [(1, min(ROWS, ny), nx), (1, min(ROWS, ny), min(ROWS, nx))]
    else:
        options = [(PLANES, rows, nx) for rows in dict.fromkeys(min(ny, n) for n in (ny, 256, 128, 64, 32))]
    best: tuple[float, FlowPlan] | None = None
    refused = UsageError("")
    for option in options:
        for steps in STEPS if substeps is None else (substeps,):
            try:
                plan = plan_pass(Steps(setup, 0, steps), size, device, block, option)
            except UsageError as error:
                refused = error
                continue
            found = _cost_of_a_step(plan, steps, option, domain)
            if best is None or found < best[0]:
                best = found, FlowPlan(False, (0, 0), steps, plan.memory_total, option)  # type: ignore[arg-type]
    if best is None:
        raise refused
    return best[1]


def plan_pass(operator: Steps, size: Size, device: str, block: Sequence[int] | None, chunks: Sequence[int]) -> Plan:
    """Blocks of one pass over states of such chunks."""
    domain = operator.setup.domain
    shape = (domain.arrays, *domain.cells)
    request = Request(
        operator=operator,
        grid=Grid.of(shape, domain.dtype),
        write_unit=(shape[0], *chunks),
        read_unit=(shape[0], *chunks),
        workers=size.workers,
        threads=size.threads,
        memory=size.memory,
        device_memory=size.device_memory if device == "gpu" else None,
        block=None if block is None else (shape[0], *block),
    )
    return make_plan(request)


def _cost_of_a_step(plan: Plan, steps: int, chunks: Sequence[int], domain: Domain) -> float:
    """Estimated seconds of one thread for a step of one cell, in passes of `steps` steps."""
    read = taken = 1.0
    for b, n, (before, after), chunk in zip(plan.block[1:], plan.shape[1:], plan.halo.depth[1:], chunks, strict=True):
        if b < n:
            read *= (b + chunk * (ceil(before / chunk) + ceil(after / chunk))) / b
            taken *= (b + (before + after) / 2) / b  # what each step computes, on average
    state = domain.arrays * domain.dtype.itemsize * STORE_BYTE_SECONDS * (1 + read)
    dask = plan.tasks_per_block * TASK_SECONDS / prod(plan.block[1:])
    return (state + dask) / steps + taken * cell_seconds(domain)
