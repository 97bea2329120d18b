"""Flows that the kernels of cuda/edac.cu are tried on, by the harness and on a GPU, and what their results must be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import numpy as np

from gridstride.workers import launches
from gridstride.workers.launches import MAX_GRID, Launches
from gridstride.workers.models.block import Block
from gridstride.workers.models.domain import Advance, Index
from gridstride.workers.models.edac import cpu, gpu
from gridstride.workers.models.edac.block import LEVELS, FlowBlock
from gridstride.workers.models.edac.flow import Flow, longest_step
from gridstride.workers.models.edac.kinds import CUT, EXTRA_HALO, FIXED, OUTFLOW, PERIODIC, SLIP
from tests.cuda_host.host import Host

ENDS = (FIXED, SLIP, OUTFLOW)
PAIRS = ((PERIODIC, PERIODIC), *product(ENDS, ENDS))
WALLS = ((FIXED, FIXED), (FIXED, OUTFLOW), (FIXED, OUTFLOW))
STILL = ((CUT, CUT), *[(PERIODIC, PERIODIC)] * 2)


class OnHost:
    """A model's backend for the GPU, by default EDAC's, with the harness in place of a GPU."""

    name = "gpu"
    xp = np

    def __init__(self, host: Host, max_grid: int = MAX_GRID, module: Any = gpu) -> None:
        self.host, self.max_grid, self.module = host, max_grid, module

    @staticmethod
    def to_host(array: np.ndarray) -> np.ndarray:
        return array

    def run(self, plan: Launches, data: np.ndarray, more: dict[str, np.ndarray]) -> None:
        changed = {"data", "peaks", "removed"} & {"data", *more}
        self.host.change(plan, {"data": data, **more}, sorted(changed), self.max_grid)

    def advance(self, block: Block, steps: int, limit: float) -> Advance:
        return self.module.advance(block, steps, limit, self.run)

    def fill(self, block: Block, level: int, step: int) -> None:
        self.module.fill(block, level, step, self.run)


def make_flow(
    rng: np.random.Generator,
    cells: Index,
    kinds: Sequence[tuple[int, int]],
    dtype: str = "float32",
    sponge: bool = False,
    ramp: float = 0.0,
) -> Flow:
    """A flow with random numbers; cells of one layer in z make it planar. Faces have velocities of all three kinds:
    one for the whole face, and profiles along one or both of its axes."""
    components = 2 if cells[0] == 1 else 3
    spacing = (0.11, 0.1, 0.13)
    sound, viscosity = 4.0, 0.02
    dt = 0.4 * longest_step(spacing[3 - components :], sound, 1.0, viscosity)

    def face(axis: int) -> np.ndarray:
        shape = [n if rng.random() < 0.6 else 1 for a, n in enumerate(cells) if a != axis]
        return 0.5 * rng.normal(size=(components, *shape))

    return Flow(
        cells=cells,
        spacing=spacing,
        components=components,
        dt=dt,
        viscosity=viscosity,
        pressure_diffusivity=0.015,
        sound_speed=sound,
        force=(0.3, -0.2, 0.1),
        kinds=tuple(kinds),
        faces=tuple((face(axis), face(axis)) for axis in range(3)),
        ramp=ramp * dt,
        sponge=tuple(some_sponge(rng, n, kinds[axis]) for axis, n in enumerate(cells)) if sponge else (),
        dtype=np.dtype(dtype),
        lead=0.3,
        carried=bool(rng.random() < 0.7),
        stream=(int(rng.integers(1 if cells[0] == 1 else 0, 3)), int(rng.integers(2))) if sponge else None,
        pull=(0.1, 0.2, -0.1),
    )


def some_sponge(rng: np.random.Generator, n: int, kinds: tuple[int, int]) -> np.ndarray:
    """Rates (2, n) of a sponge at none, one or both ends of an axis, as far as they reach."""
    rates = rng.uniform(0, 5, (2, n))
    rates[:, n // 4 : n - n // int(rng.integers(3, 6))] = 0
    return rates if rng.random() < 0.7 and PERIODIC not in kinds else rates[:, :0]


def some_kinds(rng: np.random.Generator, planar: bool) -> list[tuple[int, int]]:
    """Of each axis, low and high."""
    kinds = [PAIRS[i] for i in rng.integers(len(PAIRS), size=3)]
    return [PAIRS[0], *kinds[1:]] if planar else kinds


def some_state(rng: np.random.Generator, flow: Flow) -> np.ndarray:
    """Both levels, (2 fields, z, y, x), as `FlowBlock.load` takes them."""
    return (0.3 * rng.normal(size=(2 * flow.fields, *flow.cells))).astype(flow.dtype)


def some_solid(rng: np.random.Generator, flow: Flow) -> np.ndarray:
    """What part of each velocity's cell is no solid: of a few cells none, of a few some, of the rest all."""
    shares = rng.uniform(-0.2, 1, (flow.components, *flow.cells)).clip(0)
    shares[rng.random(shares.shape) < 0.8] = 1
    shares[:, :, : flow.cells[1] // 2, flow.cells[2] // 2 :] = 1  # and where tiles have no solid at all
    return shares.astype(flow.dtype)


def block_of(
    flow: Flow,
    state: np.ndarray,
    backend: Any,
    start: Index | None = None,
    stop: Index | None = None,
    reach: int = 4,
    keep: np.ndarray | None = None,
    step: int = 0,
) -> FlowBlock:
    """A block that holds its part of a state, halo and ghost cells too; the level that comes next is NaN."""
    block = FlowBlock(flow, start or (0, 0, 0), stop or flow.cells, reach, backend, step)
    first, last = block.held()
    here = np.ix_(*(np.arange(a, b) % n for a, b, n in zip(first, last, flow.cells, strict=True)))
    block.load(np.stack([field[here] for field in state]), first)
    block.fill()
    if keep is not None:
        here = np.ix_(*(block._indices(axis) for axis in range(3)))
        block.fluid_factor = backend.xp.asarray(np.stack([share[here] for share in keep]))
    block.state[(block.slot + 1) % LEVELS] = np.nan
    return block


def right_cells(block: FlowBlock, field: int) -> tuple[slice, ...]:
    """The cells of a block's arrays that must be right after its last step: with `EXTRA_HALO` cells around the block
    and one more in front of those of velocity, or up to the grid's ghost cells."""
    places = []
    for axis in range(3):
        (first, last), kinds, edges = block.box[axis], block.kinds[axis], block.edges_of_grid[axis]
        if not (block.flow.planar and axis == 0):
            first, last = first - EXTRA_HALO, last + EXTRA_HALO + (field < block.flow.components)
        if kinds[0] != CUT and first <= edges[0]:
            first = edges[0] - 1
        if kinds[1] != CUT and last >= edges[1]:
            last = edges[1] + 1
        places.append(slice(first, last))
    return tuple(places)


def worst(block: FlowBlock, wanted: FlowBlock) -> float:
    """The largest difference from what the CPU has made of the same block, in units of 64 roundings of a field's
    largest value; NaN if one is NaN."""
    found = 0.0
    for ours, theirs in ((block.now, wanted.now), (block.before, wanted.before)):
        for field in range(block.flow.fields):
            where = right_cells(block, field)
            a, b = block.backend.to_host(ours[field][where]), theirs[field][where]
            scale = 64 * np.finfo(b.dtype).eps * np.abs(b).max()
            found = np.maximum(found, np.abs(a - b).max() / scale)
    return float(found)


def in_parts(
    flow: Flow,
    state: np.ndarray,
    backend: Any,
    cuts: Sequence[Iterable[int]],
    rounds: Sequence[int],
    keep: np.ndarray | None = None,
) -> np.ndarray:
    """The state after rounds of so many steps each, of blocks between cuts (of z, y and x), with exchanges between."""
    step = 0
    for steps in rounds:
        result = np.full_like(state, np.nan)
        edges = [(0, *sorted(cut), n) for cut, n in zip(cuts, flow.cells, strict=True)]
        for ends in product(*(list(pairwise(e)) for e in edges)):
            start, stop = (tuple(end[side] for end in ends) for side in (0, 1))
            block = block_of(flow, state, backend, start, stop, steps, keep, step)
            block.advance(steps)
            result[(slice(None), *(slice(a, b) for a, b in ends))] = block.saved()
        state, step = result, step + steps
    return state


def far_away(part: gpu.Part, shape) -> gpu.Part:
    """The same block in the last corner of an array of another shape."""
    moves = [b - a for a, b in zip(part.shape, shape, strict=True)]

    def moved(ends):
        return tuple((a + move, b + move) for (a, b), move in zip(ends, moves, strict=True))

    # (Given velocities that are not the same all over a face would have to be moved, too.)
    assert all(set(lengths) == {1} for pair in part.faces for lengths in pair)
    return replace(part, shape=tuple(shape), box=moved(part.box), edges=moved(part.edges))


def arrays_far_away(host, shape):
    """Peaks of three steps in a corner of an array of a shape, and the CPU's. The third step's velocity comes of all
    that those before have written."""
    rng = np.random.default_rng(9)
    flow = make_flow(rng, (1, 7, 9) if shape[0] == 1 else (4, 7, 9), WALLS)
    flow = replace(flow, faces=tuple(tuple(face[:, :1, :1] for face in pair) for pair in flow.faces))
    block = block_of(flow, some_state(rng, flow), cpu)
    part, state = gpu.Part.of(block), np.nan_to_num(block.state)
    corner = [b - a for a, b in zip(part.shape, shape, strict=True)]
    pieces = []
    for level, field, z, y in np.ndindex(*state.shape[:4]):
        at = np.ravel_multi_index((level, field, corner[0] + z, corner[1] + y, corner[2]), (*state.shape[:2], *shape))
        pieces.append((int(at) * part.item, state[level, field, z, y].tobytes()))
    size = int(np.prod(state.shape[:2], dtype=np.int64)) * int(np.prod(shape, dtype=np.int64)) * part.item
    arrays = gpu._given(block, flow.ramps(0, 3))
    arrays |= {"pushes": flow.pushes(0, 3), "peaks": np.zeros(4, part.bits), "removed": np.zeros(part.removed)}
    plan = gpu.plan_advance(far_away(part, shape), 0, 3, 0x7F800000)
    host.change(plan, arrays, ["peaks"], sparse={"data": (size, pieces)})
    return arrays["peaks"][1:].view(flow.dtype), block.advance(3).peaks


def sums_of_planes(host, count, length):
    """Sums of whole numbers, which are the same in any order; and NumPy's."""
    parts = np.random.default_rng(0).integers(-1000, 1000, (count, length)).astype(float)
    arrays = {"parts": parts, "sums": np.full(count, np.nan), "peaks": np.zeros(1, np.int32)}
    plan = launches.Launches((0,), np.dtype(np.uint8))
    places = (launches.Ref(name) for name in ("parts", "sums", "peaks"))
    args = next(places), next(places), np.int64(count), np.int64(length), next(places), np.int32(1)
    plan.launch(gpu.FILE, "plane_sums<f32>", count, (gpu.WIDTH, gpu.WARPS), gpu.THREADS * 8, args)
    host.change(plan, arrays, ["sums"], max_grid=2)
    return arrays["sums"], parts.sum(axis=1)
