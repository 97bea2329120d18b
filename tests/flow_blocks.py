"""Blocks of small flows for tests of the solver."""

from __future__ import annotations

from typing import Any

import numpy as np

from gridstride.pipeline.simulations.case import make_case
from gridstride.pipeline.simulations.schedules import make_timeline
from gridstride.workers.models.edac import cpu
from gridstride.workers.models.edac.block import FlowBlock
from gridstride.workers.models.edac.flow import PRESSURE_LEAD, Flow, longest_step
from gridstride.workers.models.edac.kinds import CUT, FIXED, OUTFLOW, PERIODIC

NONE = np.zeros((3, 1, 1))


def flow_of(cells: Any, ends: Any = None, seed: int = 0, **more: Any) -> Flow:
    """A flow with c = 10 on cells of unequal edges; ends: kinds of (z, y, x); given velocities are random, place by
    place."""
    rng = np.random.default_rng(seed)
    components = 2 if cells[0] == 1 else 3
    ends = ends or ((CUT if components == 2 else PERIODIC,) * 2, (PERIODIC,) * 2, (PERIODIC,) * 2)
    spacing = (0.09, 0.11, 0.08)
    faces = []
    for axis, pair in enumerate(ends):
        shape = [n for a, n in enumerate(cells) if a != axis]
        faces.append(tuple(rng.random((components, *shape)) if k == FIXED else NONE[:components] for k in pair))
    sponge: Any = ()
    if OUTFLOW in sum(ends, ()):
        absorbs = [PERIODIC not in pair and CUT not in pair for pair in ends]
        rates = (np.linspace([0, 0.1], 5, n).T * (np.arange(n) >= n // 2) for n in cells)
        sponge = tuple(r if absorb else r[:, :0] for r, absorb in zip(rates, absorbs, strict=True))
    fixed = [axis for axis in range(3) if ends[axis][0] == FIXED]
    given: dict[str, Any] = {
        "cells": cells,
        "spacing": spacing,
        "components": components,
        "dt": 0.8 * longest_step(spacing[-components:], 10.0, 1.0, 0.02),
        "viscosity": 0.02,
        "pressure_diffusivity": 0.01,
        "sound_speed": 10.0,
        "force": (0.1, 0.2, 0.3),
        "kinds": ends,
        "faces": tuple(faces),
        "ramp": 0.0,
        "sponge": sponge,
        "dtype": np.dtype(np.float64),
        "stream": (fixed[0], 0) if sponge and fixed else None,
        "pull": (0.1, 0.2, 0.3) if sponge else (0.0,) * 3,
    }
    return Flow(**(given | more))


def noise(flow: Flow, seed: int = 1) -> np.ndarray:
    """Both levels of a random state."""
    return (np.random.default_rng(seed).random((2 * flow.fields, *flow.cells)) - 0.5).astype(flow.dtype)


def whole(flow: Flow, data: np.ndarray | None = None, keep: np.ndarray | None = None) -> FlowBlock:
    """The grid in one block."""
    block = FlowBlock(flow, (0, 0, 0), flow.cells, 0, cpu)
    if keep is not None:
        block.fluid_factor = region(flow, keep, block.low, block.high)
    if data is not None:
        block.load(data, (0, 0, 0))
        block.fill()
    return block


def region(flow: Flow, data: np.ndarray, low: Any, high: Any) -> np.ndarray:
    """Values at global indices, around periodic axes; elsewhere the outermost ones go on."""
    for axis in range(3):
        index = np.arange(low[axis], high[axis])
        n = flow.cells[axis]
        data = data.take(index % n if flow.periodic(axis) else index.clip(0, n - 1), axis + 1)
    return np.ascontiguousarray(data)


def begun(content: dict[str, Any]) -> tuple[FlowBlock, Any, int]:
    """A case's block at its beginning, its setup, and its last step."""
    case = make_case(content)
    timeline = make_timeline(case)
    setup = case.setup(timeline.dt)
    block = setup.block((0, 0, 0), setup.flow.cells, 0, "cpu")
    setup.begin(block)
    return block, setup, timeline.last


def own(block: FlowBlock) -> np.ndarray:
    return block.now[(slice(None), *block.own)]


def plain_step(flow: Flow, now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """One step on a periodic grid, with whole arrays, as flow.py says it. Fields (u, v, .. p) are (fields, z, y, x)."""
    d, axes = flow.components, [2, 1, 0][: flow.components]
    h = {axis: flow.spacing[axis] for axis in axes}

    def up(f: np.ndarray, axis: int) -> np.ndarray:
        return np.roll(f, -1, axis)

    def down(f: np.ndarray, axis: int) -> np.ndarray:
        return np.roll(f, 1, axis)

    def laplace(f: np.ndarray) -> Any:
        return sum((up(f, a) - 2 * f + down(f, a)) / h[a] ** 2 for a in axes)

    ahead = now + 0.5 * (now - before)
    driving = now[d] + PRESSURE_LEAD * (now[d] - before[d])
    new = np.empty_like(now)
    for i, own_axis in enumerate(axes):
        u, convection = ahead[i], np.zeros_like(ahead[i])
        for j, axis in enumerate(axes):
            # The carrying velocity on the low face of this velocity's control volume, and on the high one.
            carrier = (ahead[j] + down(ahead[j], own_axis)) / 2
            low, high = carrier, up(carrier, axis)
            flux = high * (u + up(u, axis)) / 2 - low * (u + down(u, axis)) / 2
            carried = (high * (up(u, axis) - u) + low * (u - down(u, axis))) / 2
            convection += (flux + carried) / 2 / h[axis]
        slope = (driving - down(driving, own_axis)) / h[own_axis]
        new[i] = now[i] + flow.dt * (flow.viscosity * laplace(u) - convection - slope + flow.force[i])
    p = ahead[d]
    divergence = sum((up(new[i], a) - new[i]) / h[a] for i, a in enumerate(axes))
    carried = sum((up(new[i], a) * (up(p, a) + p) - new[i] * (p + down(p, a))) / 2 / h[a] for i, a in enumerate(axes))
    rate = flow.pressure_diffusivity * laplace(p) - carried - flow.sound_speed**2 * divergence
    new[d] = now[d] + flow.dt * rate
    return new
