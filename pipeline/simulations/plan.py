"""How a simulation is cut up: in memory or from store to store, into which slabs, with how many steps an exchange.

Pure arithmetic on shapes, bytes and three measured costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, prod
from typing import Any

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.planning.request import CLIENT_BYTES, HEADROOM, WORKER_BYTES
from gridstride.pipeline.text import megabytes
from gridstride.workers.cluster import Size
from gridstride.workers.models.base import Setup
from gridstride.workers.models.block import Block
from gridstride.workers.models.domain import Domain, Index

# Measured on the 2-core machine of docs/performance.md (`python -m benchmarks fluids`): they choose, and bound nothing.
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
    edges: of the slabs along the domain's slab axis; one slab if the blocks of a pass are planned by `plan.make_plan`
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


@dataclass(frozen=True)
class Wishes:
    """What a user asks of the plan: steps an exchange, slabs in memory (None: as the planner chooses), and whether the
    state is to go from store to store even if memory holds it."""

    substeps: int | None = None
    blocks: int | None = None
    from_store: bool = False


def slab_edges(cells: int, unit: int, blocks: int) -> tuple[int, ...]:
    """Edges of so many slabs, each of whole write units and as equal as that allows."""
    units = ceil(cells / unit)
    return tuple(min(cells, unit * (i * units // blocks)) for i in range(blocks + 1))


def slabs(domain: Domain, edges: Sequence[int]) -> list[tuple[Index, Index]]:
    """(start, stop) of the slabs between edges."""
    found: list[Any] = []
    for a, b in pairwise(edges):
        start, stop = [0, 0, 0], list(domain.cells)
        start[domain.slab_axis], stop[domain.slab_axis] = a, b
        found.append((tuple(start), tuple(stop)))
    return found


def make_flow_plan(setup: Setup, unit: int, size: Size, device: str, wishes: Wishes | None = None) -> FlowPlan:
    """Choose the cheapest way that fits.

    unit: planes along the slab axis that are written together
    Raises UsageError if a given number of blocks or of steps an exchange is not possible.
    """
    wishes, domain = wishes or Wishes(), setup.domain
    cells = domain.cells[domain.slab_axis]
    most = ceil(cells / unit)
    if wishes.blocks is not None and not 1 <= wishes.blocks <= most:
        raise UsageError(f"{wishes.blocks} blocks for {cells} planes written {unit} at a time: expected 1 to {most}")
    threads = 1 if device == "gpu" else size.threads
    nothing = FlowPlan(False, (0, cells), wishes.substeps or 1, size.memory or 0)  # `plan_passes` has the last word
    if wishes.from_store:
        return nothing
    choices = [wishes.blocks] if wishes.blocks is not None else sorted({1, min(size.workers, most)})
    best: tuple[float, FlowPlan] | None = None
    for n in choices:
        edges = slab_edges(cells, unit, n)
        share = max(1, threads // ceil(n / size.workers))
        lanes = size.workers * max(1, threads // share)
        for k in _substeps(domain, edges, device, share, wishes.substeps):
            need = _memory(setup, edges, k, size.workers)
            if not _fits(need, _memory(setup, edges, k, 0) / size.workers, size, device):
                continue
            seconds = cost(domain, edges, k, lanes, share, device)
            if best is None or seconds < best[0] * 0.98:  # more steps an exchange only if they pay
                best = seconds, FlowPlan(True, edges, k, need, threads=share)
    if best is not None:
        return best[1]
    if wishes.blocks is not None:
        raise UsageError(
            f"{wishes.blocks} blocks in memory do not fit {megabytes(size.memory or 0)}: leave out --blocks, or give "
            "more"
        )
    return nothing


def _substeps(domain: Domain, edges: tuple[int, ...], device: str, threads: int, wanted: int | None) -> list[int]:
    """Steps an exchange that are possible for these slabs, or the wanted number of them."""
    if len(edges) == 2:
        return [wanted or _steps_of_a_round(domain, device, threads)]
    thinnest = min(b - a for a, b in pairwise(edges))
    deepest = thinnest - max(domain.halo(0))
    if deepest < 1:
        return []
    if wanted is None:
        return list(range(1, min(MOST_SUBSTEPS, deepest) + 1))
    if wanted > deepest:
        raise UsageError(f"substeps is {wanted}: slabs of {thinnest} planes have a halo for at most {deepest} steps")
    return [wanted]


def _fits(need: int, on_device: float, size: Size, device: str) -> bool:
    room = size.device_memory if device == "gpu" else None
    return (size.memory is None or need <= size.memory) and (room is None or on_device < HEADROOM * room)


def cost(domain: Domain, edges: tuple[int, ...], k: int, lanes: int, threads: int, device: str) -> float:
    """Estimated seconds for one step of the whole grid. lanes: blocks that are computed at a time, each by so many
    threads."""
    plane = prod(domain.cells) / domain.cells[domain.slab_axis]
    thickest = max(b - a for a, b in pairwise(edges))
    n = len(edges) - 1
    cell = cell_seconds(domain) / (DEVICE_SPEED if device == "gpu" else threads)
    if n == 1:
        return plane * thickest * cell
    rounds = ceil(n / lanes)
    redundant = k + 2 * domain.extra[0]  # planes: k - 1 on average over both sides, and those that are right besides
    halo = 2 * 2 * max(domain.halo(k)) * plane * domain.arrays * domain.dtype.itemsize
    return (
        rounds * plane * (thickest + redundant) * cell
        + (EXCHANGE_SECONDS + n * BLOCK_SECONDS + rounds * halo * BYTE_SECONDS) / k
    )


def step_seconds(domain: Domain, plan: FlowPlan, size: Size, device: str) -> float:
    """Estimated seconds for one step as planned, from rates measured on another machine."""
    if plan.in_memory:
        lanes = size.workers * max(1, size.threads // plan.threads)
        return cost(domain, plan.edges, plan.substeps, lanes, plan.threads, device)
    state = domain.arrays * prod(domain.cells) * domain.dtype.itemsize
    fast = DEVICE_SPEED if device == "gpu" else size.workers * size.threads
    return prod(domain.cells) * cell_seconds(domain) / fast + 2 * state * BYTE_SECONDS / plan.substeps


def cell_seconds(domain: Domain) -> float:
    return domain.cell_seconds[2 if domain.planar else 3]


def _steps_of_a_round(domain: Domain, device: str, threads: int) -> int:
    seconds = prod(domain.cells) * cell_seconds(domain) / threads
    if device == "gpu":
        seconds = max(seconds / DEVICE_SPEED, LAUNCH_SECONDS)
    return max(1, int(ROUND_SECONDS / seconds))


def _memory(setup: Setup, edges: tuple[int, ...], k: int, workers: int) -> int:
    """All blocks, their edges twice (in flight and joined), what writing them takes, and the processes."""
    domain, total = setup.domain, 0
    arrays = (domain.levels + 1) * domain.fields
    for start, stop in slabs(domain, edges):
        extent: Any = tuple(b - a for a, b in zip(start, stop, strict=True))
        ring = Block.bytes(domain, extent, k if len(edges) > 2 else 0)
        more = ring * setup.extra_arrays // arrays
        plane = prod(extent) // extent[domain.slab_axis] * domain.arrays * domain.dtype.itemsize
        halo = 4 * 2 * max(domain.halo(k)) * plane if len(edges) > 2 else 0
        # What is written goes field by field: gathered, put together, and encoded.
        total += ring + more + halo + 3 * ring // arrays
    return int(total / HEADROOM) + (CLIENT_BYTES + workers * WORKER_BYTES if workers else 0)
