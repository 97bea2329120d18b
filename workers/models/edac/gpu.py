"""Blocks of a flow on a GPU: the launches of cuda/edac.cu for some steps, and what came of them.

Launches are planned from shapes and numbers alone, as in `workers.gpu`, and those of a block are planned once: what
changes from one exchange to the next (boundary velocities that rise) is in buffers.

The largest velocity is looked at when all the steps are made. So that a block stays at the step that went beyond the
limit, as it does on the CPU, the kernels of later steps look at that step's peak first, and do nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers import kernels
from gridstride.workers.families.march import march_length
from gridstride.workers.launches import Launches, Ref, ceil_div
from gridstride.workers.models.accelerator import __getattr__, name, to_host
from gridstride.workers.models.domain import CUT, Advance
from gridstride.workers.models.edac.kinds import EXTRA_HALO, FIXED, OUTFLOW, SLIP
from gridstride.workers.models.edac.part import NUMBERS, THREADS, WARPS, WIDTH, Part

if TYPE_CHECKING:
    from gridstride.workers.models.edac.block import FlowBlock

__all__ = ["__getattr__", "advance", "fill", "name", "to_host"]

FILE = "edac.cu"
RANGE = np.dtype(
    [(key, np.int64) for key in ("cells", "plane", "width")]
    + [("first", np.int32, 3), ("last", np.int32, 3), ("own", np.int32, (3, 2)), ("given", np.int32, 3)]
    + [(key, np.int32) for key in ("origin", "across", "down", "chunk", "marches")],
    align=True,
)
EDGES = np.dtype(
    [(key, np.int64) for key in ("cells", "plane", "width")]
    + [("first", np.int32, 3), ("last", np.int32, 3)]
    + [(key, np.int32, (3, 2)) for key in ("edge", "kind", "fills")]
    + [("face", np.int32, (3, 2, 2)), ("components", np.int32), ("fields", np.int32, 2), ("ends", np.int32, 3)],
    align=True,
)
STREAM = np.dtype([(key, np.int32) for key in ("axis", "rows", "columns")] + [("positions", np.int32, 3)], align=True)
STEPS_OF_A_PLAN = 48  # of a block without halos, which may be asked for many thousands; a multiple of the ring's levels

NULL = np.uint64(0)
Run = Callable[[Launches, Any, dict[str, Any]], Any]


def advance(block: FlowBlock, steps: int, limit: float, run: Run | None = None) -> Advance:
    """As `cpu.advance`. It waits for the GPU. run: what runs plans, as `kernels.run`."""
    flow, backend = block.flow, block.backend
    part = Part.of(block)
    buffers = _given(block, flow.ramps(block.step, steps))
    buffers["pushes"] = backend.xp.asarray(flow.pushes(block.step, steps))
    buffers["peaks"] = backend.xp.zeros(steps + 1, part.bits)
    buffers["removed"] = backend.xp.zeros(part.removed)
    if block.fluid_factor is not None:
        buffers["factor"] = block.fluid_factor
    buffers |= {f"sponge{axis}": factors for axis, factors in enumerate(block.sponge)}
    last = int(np.array(limit, flow.dtype).view(part.bits))
    # Where no halo shrinks, all steps are alike: the same plan again and again.
    most = steps if part.cut else STEPS_OF_A_PLAN
    for first in range(0, steps, most):
        count = min(most, steps - first)
        here = {"peaks": buffers["peaks"][first : first + count + 1]}
        here |= {name: buffers[name][first : first + count] for name in ("ramps", "pushes")}
        plan = plan_advance(part, (block.slot + first) % 3, count, last)
        (run or kernels.run)(plan, block.state, buffers | here)
    peaks = backend.to_host(buffers["peaks"])[1:]
    beyond = np.flatnonzero(peaks > last)
    done = int(beyond[0]) + 1 if beyond.size else steps
    return Advance(done, peaks[:done].view(flow.dtype), backend.to_host(buffers["removed"]))


def fill(block: FlowBlock, level: int, step: int, run: Run | None = None) -> None:
    """Fill the ghost cells of one level, which belongs to a step."""
    ramps = block.flow.ramps(step - 1, 1)
    (run or kernels.run)(plan_fill(Part.of(block), level), block.state, _given(block, ramps))


def _given(block: FlowBlock, ramps: np.ndarray) -> dict[str, Any]:
    """What the ghost cells are filled from."""
    faces = {f"face{axis}{side}": face for axis, pair in enumerate(block.faces) for side, face in enumerate(pair)}
    return {**faces, "ramps": block.backend.xp.asarray(ramps)}


@lru_cache(maxsize=64)
def plan_advance(part: Part, slot: int, steps: int, limit: int) -> Launches:
    """The launches of `steps` steps of a block whose time level now is `slot`; limit: the number's bits.

    Buffers beside the state: "peaks" (steps + 1 integers), "removed" (float64), "factor", "sponge0" ... along z, y, x,
    "face00" (z, low) to "face21" (x, high), "ramps" (steps), "pushes" (steps, 3).
    """
    plan = Launches((0,), np.dtype(np.uint8))
    components, item = part.components, part.item
    numbers, most = _numbers(part), part.bits.type(limit)
    parts: Any = NULL
    if part.solid:
        pieces = ceil_div(part.box[2][1] - part.box[2][0], WIDTH)
        rows = part.box[1][1] - part.box[1][0]
        length = pieces * (1 if components == 2 else rows)
        parts = plan.reserve("parts", prod(part.removed) * length * 8)
    factor: Any = Ref("factor") if part.solid else NULL
    sponge = [Ref(f"sponge{axis}") if part.sponge else NULL for axis in range(3)]
    stream: Any = NULL if part.stream is None else Ref("face{}{}".format(*part.stream))
    for step in range(steps):
        now, before, new = slot, (slot + 2) % 3, (slot + 1) % 3
        first, last, faces = part.computed(steps - 1 - step + EXTRA_HALO)
        peaks, ramp = Ref("peaks", step * item), Ref("ramps", step * item)

        around, marches = _range(part, first, faces, part.solid)
        shared = 3 * (components + 1) * part.tile + (components * THREADS * 8 if part.solid else 0)
        levels = part.at(now), part.at(before), part.at(new)
        push = Ref("pushes", 3 * step * item)
        args: tuple[Any, ...] = (*levels, factor, parts, push, *sponge, stream, ramp)
        args = (*args, peaks, most, around, numbers, _stream(part))
        plan.launch(FILE, part.kernel("velocity", components, part.solid), marches, (WIDTH, WARPS), shared, args)
        _launch_ghosts(plan, part, part.at(new), (0, components), (first, faces), (ramp, peaks, most))

        around, marches = _range(part, first, last)
        args = part.at(now, components), part.at(before, components), part.at(new), part.at(new, components)
        args = (*args, *sponge, peaks, most, around, numbers)
        plan.launch(FILE, part.kernel("pressure", components), marches, (WIDTH, WARPS), 3 * part.tile, args)
        _launch_ghosts(plan, part, part.at(new), (components, components + 1), (first, last), (ramp, peaks, most))
        slot = new
    if part.solid and steps:
        count = prod(part.removed)
        args = parts, Ref("removed"), np.int64(count), np.int64(length), Ref("peaks"), most
        plan.launch(FILE, part.kernel("plane_sums"), count, (WIDTH, WARPS), THREADS * 8, args)
    return plan


@lru_cache(maxsize=16)
def plan_fill(part: Part, level: int) -> Launches:
    """The launch that fills the ghost cells of a time level, from all cells the block's arrays hold."""
    plan = Launches((0,), np.dtype(np.uint8))
    first = [e[0] if k[0] != CUT else 0 for e, k in zip(part.edges, part.kinds, strict=True)]
    last = [e[1] if k[1] != CUT else n for e, k, n in zip(part.edges, part.kinds, part.shape, strict=True)]
    given = Ref("ramps"), NULL, part.bits.type(0)
    _launch_ghosts(plan, part, part.at(level), (0, part.components + 1), (first, last), given)
    return plan


def _numbers(part: Part) -> np.ndarray:
    """`Numbers` in cuda/edac.cu."""
    dtype = np.dtype(part.dtype)
    numbers = np.zeros((), [(key, dtype, 3) for key in NUMBERS] + [("lead", dtype)])
    for key, values in zip(NUMBERS, part.numbers, strict=True):
        numbers[key] = values
    numbers["lead"] = part.lead
    return numbers


def _stream(part: Part) -> np.ndarray:
    """`Stream` in cuda/edac.cu."""
    values = np.zeros((), STREAM)
    if part.stream is not None:
        axis, side = part.stream
        values["axis"], values["positions"] = axis, part.shape
        values["rows"], values["columns"] = part.faces[axis][side]
    return values


def _strides(part: Part, values: np.ndarray) -> None:
    """Of a field, a plane and a row, in elements."""
    values["cells"], values["plane"], values["width"] = (prod(part.shape[axis:]) for axis in range(3))


def _range(part: Part, first: list[int], last: list[int], aligned: bool = False) -> tuple[np.ndarray, int]:
    """`Range` in cuda/edac.cu, and its number of marches.

    aligned: whether tiles begin where the block's own cells begin, so that the pieces of rows that solids are summed
        over are the same in every step
    """
    if part.shape[2] >= 2**26:
        raise ValueError(f"a block of shape {part.shape} is too wide for the kernels' 32-bit numbers")
    values = np.zeros((), RANGE)
    _strides(part, values)
    values["first"], values["last"], values["own"] = first, last, part.box
    stopping = ((FIXED, SLIP), (FIXED, SLIP, OUTFLOW), (FIXED, SLIP, OUTFLOW))  # as in `loops.advance`
    values["given"] = [
        edge[0] if kinds[0] in stops else -1
        for edge, kinds, stops in zip(part.edges, part.kinds, stopping, strict=True)
    ]
    own = part.box[2][0]
    values["origin"] = origin = own - ceil_div(own - first[2], WIDTH) * WIDTH if aligned else first[2]
    values["across"] = across = ceil_div(last[2] - origin, WIDTH)
    high = ceil_div(last[1] - first[1], part.high)
    values["down"] = down = high if part.components == 3 else 1
    size, more = (last[0] - first[0], 3) if part.components == 3 else (high, 1)
    values["chunk"] = chunk = march_length(size, more, across * down)
    values["marches"] = marches = across * down * ceil_div(size, chunk)
    return values, marches


def _launch_ghosts(
    plan: Launches,
    part: Part,
    level: Ref,
    fields: tuple[int, int],
    known: tuple[list[int], list[int]],
    given: tuple[Any, Any, Any],
) -> None:
    """Fill fields beyond the grid's faces, if there are any here.

    known: (first, last), the cells to fill from; given: ramp, peaks and limit
    """
    first, last = known
    values = np.zeros((), EDGES)
    _strides(part, values)
    values["first"], values["last"], values["edge"], values["kind"] = first, last, part.edges, part.kinds
    # A block that comes near a face, and not up to it with this step, has no use for what is beyond.
    fills = [
        [kind[0] != CUT and first[axis] == edge[0], kind[1] != CUT and last[axis] == edge[1]]
        for axis, (kind, edge) in enumerate(zip(part.kinds, part.edges, strict=True))
    ]
    values["fills"], values["face"], values["components"], values["fields"] = fills, part.faces, part.components, fields
    inner = [b - a for a, b in zip(first, last, strict=True)]
    outer = [n + sum(f) for n, f in zip(inner, fills, strict=True)]
    lines = outer[1] * outer[2], inner[0] * outer[2], inner[0] * inner[1]
    ends = [2 * (fields[1] - fields[0]) * n * any(f) for n, f in zip(lines, fills, strict=True)]
    if not sum(ends):
        return
    if sum(ends) >= 2**31:
        raise ValueError(f"a block of shape {part.shape} has too many ghost cells for the kernels' 32-bit numbers")
    values["ends"] = ends
    faces = [Ref(f"face{axis}{side}") for axis in range(3) for side in range(2)]
    tiles = ceil_div(sum(ends), THREADS)
    plan.launch(FILE, part.kernel("ghosts"), tiles, (WIDTH, WARPS), 0, (level, *faces, *given, values))
