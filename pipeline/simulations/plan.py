"""How a simulation is cut up: in memory or from store to store, into which slabs, with how many steps an exchange.

Pure arithmetic on shapes, bytes and three measured costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil, prod

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.planning.request import CLIENT_BYTES, HEADROOM, WORKER_BYTES
from gridstride.pipeline.text import megabytes
from gridstride.workers.models.edac.block import FlowBlock
from gridstride.workers.models.edac.flow import Flow
from gridstride.workers.models.edac.kinds import SPARE

# Measured on the 2-core machine of docs/performance.md (`python -m benchmarks fluids`): they choose, and bound nothing.
CELL_SECONDS = {2: 2.5e-9, 3: 7e-9}  # of a step for a cell, by number of dimensions, on one thread
EXCHANGE_SECONDS = 0.035  # of an exchange that are Dask's and waiting
BLOCK_SECONDS = 0.009  # the same, for each block in it
BYTE_SECONDS = 1.5e-9  # for each byte of halo that is copied out, moved and copied in
LAUNCH_SECONDS = 50e-6  # of a step on a GPU, for Python to launch it; not measured
DEVICE_SPEED = 100  # how many times faster a GPU is than one CPU thread
MOST_SUBSTEPS = 32
ROUND_SECONDS = 2.0  # how long a single block computes before it is heard of again


@dataclass(frozen=True)
class FlowPlan:
    """in_memory: whether the state stays with the workers; else it goes from store to store, `substeps` steps a pass
    edges: of the slabs along the flow's slab axis; one slab if the blocks of a pass are planned by `plan.make_plan`
    substeps: steps for one exchange of halos
    threads: that advance a block together
    chunks: of the states on disk, (z, y, x)
    memory: bytes of all processes together that this takes
    """

    in_memory: bool
    edges: tuple[int, ...]
    substeps: int
    memory: int
    chunks: tuple[int, int, int] = (0, 0, 0)
    threads: int = 1

    @property
    def blocks(self) -> int:
        return len(self.edges) - 1


def slab_edges(cells: int, unit: int, blocks: int) -> tuple[int, ...]:
    """Edges of so many slabs, each of whole write units and as equal as that allows."""
    units = ceil(cells / unit)
    return tuple(min(cells, unit * (i * units // blocks)) for i in range(blocks + 1))


def make_flow_plan(
    flow: Flow, unit: int, solids: bool, workers: int, threads: int, memory: int | None, device: str,
    device_memory: int | None = None, substeps: int | None = None, blocks: int | None = None, from_store: bool = False,
) -> FlowPlan:  # fmt: skip
    """Choose the cheapest way that fits.

    unit: planes along the slab axis that are written together
    threads: of each worker, which share its blocks
    blocks: slabs in memory; by default one for each worker, if that is worth an exchange
    from_store: whether the state goes from store to store even if memory holds it
    Raises UsageError if a given number of blocks or of steps an exchange is not possible.
    """
    axis = flow.slab_axis
    cells = flow.cells[axis]
    most = ceil(cells / unit)
    if blocks is not None and not 1 <= blocks <= most:
        raise UsageError(f"{blocks} blocks for {cells} planes written {unit} at a time: expected 1 to {most}")
    if device == "gpu":
        threads = 1
    nothing = FlowPlan(False, (0, cells), substeps or 1, memory or 0)  # `passes.plan_passes` has the last word
    if from_store:
        return nothing
    choices = [blocks] if blocks is not None else sorted({1, min(workers, most)})
    best: tuple[float, FlowPlan] | None = None
    for n in choices:
        edges = slab_edges(cells, unit, n)
        thinnest = min(b - a for a, b in pairwise(edges))
        deepest = thinnest - SPARE - 1
        if n > 1 and deepest < 1:
            continue
        share = max(1, threads // ceil(n / workers))
        if n == 1:
            plans = [substeps or _steps_of_a_round(flow, device, share)]
        elif substeps is not None:
            if substeps > deepest:
                raise UsageError(
                    f"substeps is {substeps}: slabs of {thinnest} planes have a halo for at most {deepest} steps"
                )
            plans = [substeps]
        else:
            plans = list(range(1, min(MOST_SUBSTEPS, deepest) + 1))
        for k in plans:
            need = _memory(flow, edges, k, solids, workers)
            on_device = _memory(flow, edges, k, solids, 0) / workers
            fits = (memory is None or need <= memory) and (
                device_memory is None or on_device < HEADROOM * device_memory
            )
            if not fits:
                continue
            seconds = cost(flow, edges, k, workers * max(1, threads // share), share, device)
            if best is None or seconds < best[0] * 0.98:  # more steps an exchange only if they pay
                best = seconds, FlowPlan(True, edges, k, need, threads=share)
    if best is not None:
        return best[1]
    if blocks is not None:
        raise UsageError(
            f"{blocks} blocks in memory do not fit {megabytes(memory or 0)}: leave out --blocks, or give more"
        )
    return nothing


def cost(flow: Flow, edges: tuple[int, ...], k: int, lanes: int, threads: int, device: str) -> float:
    """Estimated seconds for one step of the whole grid. lanes: blocks that are computed at a time, each by so many
    threads."""
    plane = prod(flow.cells) / flow.cells[flow.slab_axis]
    thickest = max(b - a for a, b in pairwise(edges))
    n = len(edges) - 1
    cell = CELL_SECONDS[flow.components] / (DEVICE_SPEED if device == "gpu" else threads)
    if n == 1:
        return plane * thickest * cell
    rounds = ceil(n / lanes)
    redundant = k + 2 * SPARE  # planes: k - 1 on average over both sides, and the spare ones
    halo = 2 * 2 * (k + SPARE + 1) * plane * 2 * flow.fields * flow.dtype.itemsize
    return (
        rounds * plane * (thickest + redundant) * cell
        + (EXCHANGE_SECONDS + n * BLOCK_SECONDS + rounds * halo * BYTE_SECONDS) / k
    )


def _steps_of_a_round(flow: Flow, device: str, threads: int) -> int:
    seconds = prod(flow.cells) * CELL_SECONDS[flow.components] / threads
    if device == "gpu":
        seconds = max(seconds / DEVICE_SPEED, LAUNCH_SECONDS)
    return max(1, int(ROUND_SECONDS / seconds))


def _memory(flow: Flow, edges: tuple[int, ...], k: int, solids: bool, workers: int) -> int:
    """All blocks, their edges twice (in flight and joined), what writing them takes, and the processes."""
    extents = [[*flow.cells] for _ in edges[1:]]
    total, axis = 0, flow.slab_axis
    for extent, a, b in zip(extents, edges[:-1], edges[1:], strict=True):
        extent[axis] = b - a
        ring = FlowBlock.bytes(flow, tuple(extent), k if len(edges) > 2 else 0)  # type: ignore[arg-type]
        share = ring * (flow.components if solids else 0) // (3 * flow.fields)
        plane = prod(extent) // extent[axis] * 2 * flow.fields * flow.dtype.itemsize
        halo = 4 * 2 * (k + SPARE + 1) * plane if len(edges) > 2 else 0
        # What is written goes field by field: gathered, put together, and encoded.
        total += ring + share + halo + 3 * ring // (3 * flow.fields)
    return int(total / HEADROOM) + (CLIENT_BYTES + workers * WORKER_BYTES if workers else 0)
