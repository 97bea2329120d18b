"""The solver on one block or several: the equations, what is beyond the grid, solids, measures, and known flows."""

from __future__ import annotations

import csv
import threading
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline

import gridstride
from gridstride.pipeline.flows.cases import make_case
from gridstride.pipeline.flows.setup import make_setup
from gridstride.pipeline.flows.timeline import make_timeline
from gridstride.workers.fluids import cpu, loops, measures, problems
from gridstride.workers.fluids.block import FlowBlock
from gridstride.workers.fluids.flow import PRESSURE_LEAD, Flow, longest_step
from gridstride.workers.fluids.geometry import Geometry
from gridstride.workers.fluids.kinds import CUT, FIXED, OUTFLOW, PERIODIC, SLIP
from gridstride.workers.fluids.obstacles import Box, Cylinder, Sphere
from gridstride.workers.fluids.solids import kept
from gridstride.workers.stages import stages

DATA = Path(gridstride.__file__).parent / "benchmarks" / "data"
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
    sponge = tuple(np.linspace(0, 5, n) for n in cells) if OUTFLOW in sum(ends, ()) else ()
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
    }
    return Flow(**(given | more))


def noise(flow: Flow, seed: int = 1) -> np.ndarray:
    """Both levels of a random state."""
    return (np.random.default_rng(seed).random((2 * flow.fields, *flow.cells)) - 0.5).astype(flow.dtype)


def whole(flow: Flow, data: np.ndarray | None = None, keep: np.ndarray | None = None) -> FlowBlock:
    """The grid in one block."""
    block = FlowBlock(flow, (0, 0, 0), flow.cells, 0, cpu)
    if keep is not None:
        block.keep = region(flow, keep, block.low, block.high)
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
    setup = make_setup(case, timeline.dt)
    block = setup.block((0, 0, 0), setup.flow.cells, 0, "cpu")
    setup.begin(block)
    return block, setup, timeline.last


def own(block: FlowBlock) -> np.ndarray:
    return block.now[(slice(None), *block.own)]


# --- cuts -------------------------------------------------------------------------------------------------------

ENDS = st.sampled_from(
    [(PERIODIC, PERIODIC), (FIXED, FIXED), (SLIP, SLIP), (FIXED, OUTFLOW), (OUTFLOW, FIXED), (SLIP, FIXED)]
)


@st.composite
def cut_flows(draw: st.DrawFn) -> tuple[Flow, list[list[int]], int, int, bool]:
    """A flow, where its axes are cut, steps per exchange, exchanges, and whether there are solids."""
    planar = draw(st.booleans())
    cells = (1 if planar else draw(st.integers(4, 9)), draw(st.integers(4, 12)), draw(st.integers(4, 12)))
    ends = ((CUT, CUT) if planar else draw(ENDS), draw(ENDS), draw(ENDS))
    dtype, ramp = np.dtype(draw(st.sampled_from(["f4", "f8"]))), draw(st.sampled_from([0.0, 0.02]))
    cuts = [sorted({0, n, *draw(st.lists(st.integers(0, n), max_size=2))}) for n in cells]
    flow = flow_of(cells, ends, draw(st.integers(0, 9)), dtype=dtype, ramp=ramp)
    return flow, cuts, draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.booleans())


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(cut_flows(), st.integers(2, 4), st.sampled_from([1, 600_000]))
def test_threads_that_share_a_block_do_not_change_a_bit(drawn: Any, threads: int, strip: int) -> None:
    flow, cuts, steps, _, solid = drawn
    rng = np.random.default_rng(3)
    shares = rng.choice([0.0, 0.7, 1.0, 1.0], (flow.components, *flow.cells)).astype(flow.dtype) if solid else None
    start, stop = tuple(cut[0] for cut in cuts), tuple(cut[1] for cut in cuts)
    one, several = (FlowBlock(flow, start, stop, steps, cpu, threads=n) for n in (1, threads))
    done = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "CELLS_OF_A_THREAD", 1)
        patch.setattr(loops, "rows_at_a_time", lambda *_: 8 if strip == 1 else 600)
        for block in (one, several):
            if shares is not None:
                block.keep = region(flow, shares, block.low, block.high)
            low, high = block.held()
            block.load(region(flow, noise(flow), low, high), low)
            block.fill()
            done.append(block.advance(steps))
    around = one.local([max(a - 1, 0) for a in start], [min(b + 1, n) for b, n in zip(stop, flow.cells, strict=True)])
    for level in ("now", "before"):
        np.testing.assert_array_equal(getattr(several, level)[(slice(None), *around)],
                                      getattr(one, level)[(slice(None), *around)])  # fmt: skip
    np.testing.assert_array_equal(done[1].peaks, done[0].peaks)
    np.testing.assert_array_equal(done[1].taken, done[0].taken)


def test_seconds_are_noted_for_every_thread_that_shares_a_block() -> None:
    """Each other thread notes its own; the caller's are noted where it calls."""
    flow = flow_of((40, 40, 40), dt=0.001)
    block = FlowBlock(flow, (0, 0, 0), flow.cells, 0, cpu, threads=3)
    block.fill()
    stages.drain(), stages.spans()
    block.advance(4)
    spans = stages.spans()
    assert [name for _, name, _, _ in spans] == ["kernel", "kernel"]
    assert threading.get_ident() not in [thread for thread, *_ in spans]
    assert stages.drain()["kernel"] == pytest.approx(sum(end - begin for *_, begin, end in spans), rel=1e-3)


def test_threads_stop_together_at_the_first_step_beyond_the_limit() -> None:
    flow = flow_of((40, 30, 30), dt=0.05)
    one, several = (FlowBlock(flow, (0, 0, 0), flow.cells, 0, cpu, threads=n) for n in (1, 3))
    data = noise(flow)
    data[:, 8:] *= 1e-9  # what grows is seen by the first thread alone
    for block in (one, several):
        block.load(data, (0, 0, 0))
        block.fill()
    first, second = one.advance(50, 10.0), several.advance(50, 10.0)
    assert 1 < first.steps < 50
    assert second.steps == first.steps
    np.testing.assert_array_equal(second.peaks, first.peaks)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(cut_flows())
def test_the_cut_steps_per_exchange_and_reloading_do_not_change_a_bit(drawn: Any) -> None:
    flow, cuts, steps, exchanges, solid = drawn
    rng = np.random.default_rng(3)
    shares = rng.choice([0.0, 0.7, 1.0, 1.0], (flow.components, *flow.cells)).astype(flow.dtype) if solid else None
    data = noise(flow)
    one = whole(flow, data, shares)
    peaks = one.advance(steps * exchanges).peaks[-1]
    for exchange in range(exchanges):
        new, found, turning = np.empty_like(data), [], np.empty(flow.cells, flow.dtype)
        for ranges in product(*(pairwise(cut) for cut in cuts)):
            start, stop = zip(*ranges, strict=True)
            block = FlowBlock(flow, start, stop, steps, cpu, step=exchange * steps)
            if shares is not None:
                block.keep = region(flow, shares, block.low, block.high)
            low, high = block.held()
            block.load(region(flow, data, low, high), low)
            block.fill()
            found.append(block.advance(steps).peaks[-1])
            where = tuple(slice(a, b) for a, b in ranges)
            new[(slice(None), *where)] = block.saved()
            turning[where] = measures.centred(block, "q").reshape(turning[where].shape)
        data = new
    np.testing.assert_array_equal(data, one.saved())
    # Derivatives need a cell around the block.
    np.testing.assert_array_equal(turning, measures.centred(one, "q").reshape(flow.cells))
    assert max(found) >= peaks  # a block also sees its halo, no block's own peak is lost


def test_what_solids_took_is_summed_by_planes_whatever_the_cut() -> None:
    flow = flow_of((8, 6, 7))
    shares = np.random.default_rng(3).choice([0.0, 0.7, 1.0], (3, *flow.cells))
    data = noise(flow)
    taken = whole(flow, data, shares).advance(2).taken
    parts = []
    for first, last in ((0, 3), (3, 8)):
        block = FlowBlock(flow, (first, 0, 0), (last, 6, 7), 2, cpu)
        block.keep = region(flow, shares, block.low, block.high)
        low, high = block.held()
        block.load(region(flow, data, low, high), low)
        block.fill()
        parts.append(block.advance(2).taken)
    np.testing.assert_array_equal(np.concatenate(parts), taken)


# --- the equations ----------------------------------------------------------------------------------------------


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
    carried = sum((new[i] * (p - down(p, a)) + up(new[i], a) * (up(p, a) - p)) / 2 / h[a] for i, a in enumerate(axes))
    rate = flow.pressure_diffusivity * laplace(p) - carried - flow.sound_speed**2 * divergence
    new[d] = now[d] + flow.dt * rate
    return new


@pytest.mark.parametrize("cells", [(1, 9, 12), (6, 7, 10)], ids=["2-D", "3-D"])
def test_steps_are_those_of_the_equations(cells: Any) -> None:
    flow = flow_of(cells)
    data = noise(flow)
    block = whole(flow, data)
    now, before = data[: flow.fields], data[flow.fields :]
    for _ in range(4):
        now, before = plain_step(flow, now, before), now
        block.advance(1)
        np.testing.assert_allclose(own(block), now, rtol=0, atol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("kind", [PERIODIC, FIXED, SLIP, OUTFLOW], ids=["periodic", "fixed", "slip", "outflow"])
def test_ghost_cells_hold_what_is_beyond_the_face(axis: int, kind: int) -> None:
    ends: Any = [(PERIODIC,) * 2] * 3
    ends[axis] = (kind, kind)
    ramp = 0.02
    flow = flow_of((5, 6, 7), tuple(ends), ramp=ramp, sponge=())
    block = whole(flow, noise(flow))
    block.advance(2)
    rise = min(1.0, 2 * flow.dt / ramp)
    scale = rise**2 * (3 - 2 * rise)
    n = flow.cells[axis]
    # (field, along the axis, the others), ghost cells of the others cut off: cell i of the axis is at i + 1
    fields = np.moveaxis(block.now, axis + 1, 1)[:, :, 1:-1, 1:-1]
    given = [face if kind == FIXED else np.zeros((3, 1, 1)) for face in flow.faces[axis]]
    for field in range(4):
        f = fields[field]
        if kind == PERIODIC:
            np.testing.assert_array_equal(f[0], f[n])
            np.testing.assert_array_equal(f[n + 1], f[1])
        elif field == 2 - axis:
            low, high = (f[2], f[n]) if kind == OUTFLOW else (scale * given[0][field], scale * given[1][field])
            np.testing.assert_allclose(f[1], np.broadcast_to(low, f[1].shape), atol=1e-15)
            np.testing.assert_allclose(f[n + 1], np.broadcast_to(high, f[1].shape), atol=1e-15)
        elif field == 3:
            sign = -1 if kind == OUTFLOW else 1
            np.testing.assert_array_equal(f[0], sign * f[1])
            np.testing.assert_array_equal(f[n + 1], sign * f[n])
        elif kind == FIXED:  # the parabola through the ghost and two cells has the given velocity on the face
            np.testing.assert_allclose((3 * f[0] + 6 * f[1] - f[2]) / 8, scale * given[0][field], atol=1e-14)
            np.testing.assert_allclose((3 * f[n + 1] + 6 * f[n] - f[n - 1]) / 8, scale * given[1][field], atol=1e-14)
        else:
            np.testing.assert_array_equal(f[0], f[1])
            np.testing.assert_array_equal(f[n + 1], f[n])


def test_an_exact_flow_begins_with_the_level_before_and_pressure_half_a_step_ahead() -> None:
    block, setup, _ = begun(
        {
            "grid": {"cells": {"x": 12, "y": 8}, "size": {"x": 1.0, "y": 1.0}},
            "fluid": {"viscosity": 0.05, "speed": 2.0},
            "initial": {"problem": "travelling-taylor-green", "speed": 1.0, "background": {"x": 1.0, "y": 0.5}},
            "run": {"until": 0.5, "precision": "double"},
        }
    )
    dt = setup.flow.dt
    for level, t in ((block.now, 0.0), (block.before, -dt)):
        for field, at in ((0, t), (1, t), (2, t + dt / 2)):
            exact = problems.sample(setup.problem, setup.geometry, (0, 0, 0), setup.flow.cells, at)[field]
            np.testing.assert_allclose(level[(field, *block.own)], exact, atol=1e-14)


# --- known flows ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize("boundaries", [{}, {"x-": {"kind": "inflow", "velocity": {"x": 1.0}}, "x+": "outflow"}])
def test_a_uniform_stream_stays_uniform_to_round_off(boundaries: Any, precision: str) -> None:
    speeds = {"x": 1.0, "y": 0.0 if boundaries else 0.7, "z": 0.0 if boundaries else -0.4}
    block, _, _ = begun(
        {
            "grid": {"cells": {"x": 12, "y": 10, "z": 8}, "size": {"x": 1.1, "y": 0.9, "z": 1.3}},
            "fluid": {"viscosity": 0.001, "speed": 1.5},
            "boundaries": {**boundaries, **({"y": "slip", "z": "slip"} if boundaries else {})},
            "initial": {"problem": "uniform", "velocity": speeds},
            "run": {"until": 1.0, "precision": precision},
        }
    )
    block.advance(300)
    here, small = own(block), 20 * np.finfo(block.flow.dtype).eps
    for component, axis in enumerate("xyz"):
        np.testing.assert_allclose(here[component], speeds[axis], atol=small)
    np.testing.assert_allclose(here[3], 0.0, atol=10 * small)


def travelled(cells: int, mach: float) -> tuple[np.ndarray, float]:
    """Velocities of the travelling vortex at the end, and their largest error."""
    block, setup, last = begun(
        {
            "grid": {"cells": {"x": cells, "y": cells}, "size": {"x": 1.0, "y": 1.0}},
            "fluid": {"viscosity": 0.01, "speed": 2.0, "mach": mach},
            "initial": {"problem": "travelling-taylor-green", "speed": 1.0, "background": {"x": 1.0, "y": 0.5}},
            "run": {"until": 0.5, "precision": "double"},
        }
    )
    block.advance(last)
    exact = problems.sample(setup.problem, setup.geometry, (0, 0, 0), setup.flow.cells, 0.5)
    here = own(block)[:2].copy()
    return here, float(np.abs(here - exact[:2]).max())


def test_the_travelling_vortex_is_of_second_order() -> None:
    coarse, fine = (travelled(cells, mach=0.05)[1] for cells in (16, 32))
    assert np.log2(coarse / fine) > 1.9
    assert fine < 0.02


def test_the_error_of_compressibility_falls_as_mach_squared() -> None:
    flows = [travelled(24, mach)[0] for mach in (0.2, 0.1, 0.05)]
    first, second = (np.abs(a - b).max() for a, b in pairwise(flows))
    assert 3.3 < first / second < 5


def channel(cells: int, problem: Any, boundaries: Any, force: float, until: float = 12.0) -> tuple[np.ndarray, Any]:
    block, _, last = begun(
        {
            "grid": {"cells": {"x": 4, "y": cells}, "size": {"x": 0.25, "y": 1.0}},
            "fluid": {"viscosity": 0.1, "mach": 0.2},
            "force": {"x": force},
            "boundaries": {"y": "wall", **boundaries},
            "initial": problem,
            "run": {"until": until, "precision": "double"},
        }
    )
    block.advance(last)
    return own(block), (np.arange(cells) + 0.5) / cells


def test_channel_flow_from_rest_becomes_the_parabola() -> None:
    for cells in (4, 8, 16):
        here, y = channel(cells, {"problem": "rest"}, {}, 0.8)
        np.testing.assert_allclose(here[0, 0, :, 0], 4 * y * (1 - y), atol=1e-5)
        assert np.abs(here[1]).max() < 1e-9


def test_flow_between_moving_walls_becomes_the_straight_line() -> None:
    walls = {"y-": {"velocity": {"x": -0.3}}, "y+": {"velocity": {"x": 0.9}}}
    here, y = channel(8, {"problem": "rest"}, walls, 0.0, until=30.0)
    np.testing.assert_allclose(here[0, 0, :, 0], -0.3 + 1.2 * y, atol=1e-9)


def test_the_cavity_has_the_reference_profiles() -> None:
    n = 48
    block, _, last = begun(
        {
            "grid": {"cells": {"x": n, "y": n}, "size": {"x": 1.0, "y": 1.0}},
            "fluid": {"reynolds": 100, "mach": 0.1},
            "boundaries": {"x": "wall", "y": "wall", "y+": {"velocity": {"x": 1.0}}},
            "run": {"until": 15.0},
        }
    )
    block.advance(last)
    here = own(block)[:, 0].astype(float)
    centres = np.concatenate([[0.0], (np.arange(n) + 0.5) / n, [1.0]])
    profiles = {
        "u": CubicSpline(centres, [0.0, *here[0, :, n // 2], 1.0]),
        "v": CubicSpline(centres, [0.0, *here[1, n // 2, :], 0.0]),
    }
    lines = [line for line in (DATA / "cavity_reference.csv").read_text().splitlines() if not line.startswith("#")]
    rows = [row for row in csv.DictReader(lines) if row["Re"] == "100"]
    assert len(rows) > 30
    errors = [abs(profiles[r["profile"]](float(r["coord"])) - float(r["computed"])) for r in rows]
    assert max(errors) < 0.005


# --- measures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cells", [(1, 9, 12), (6, 7, 10)], ids=["2-D", "3-D"])
def test_measures_by_loops_and_by_arrays_are_the_same(cells: Any) -> None:
    flow = flow_of(cells)
    block = whole(flow, noise(flow))
    sums, largest = cpu.measure(block)
    by_arrays, largest_too = measures.measure_arrays(block)
    n = 3 + flow.components
    assert by_arrays.shape == (flow.cells[flow.slab_axis], n)
    np.testing.assert_allclose(sums[:, :n], by_arrays, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(largest, largest_too, rtol=1e-12)
    u, v, p = own(block)[0], own(block)[1], flow.slab_axis
    other = tuple(a for a in range(3) if a != p)
    np.testing.assert_allclose(sums[:, 3], u.sum(axis=other), atol=1e-12)
    np.testing.assert_allclose(sums[:, 4], v.sum(axis=other), atol=1e-12)


@pytest.mark.parametrize("planar", [True, False], ids=["2-D", "3-D"])
def test_vorticity_and_q_of_rotation_and_strain(planar: bool) -> None:
    """u = W r + S r has vorticity 2 W and Q = |W|^2 - |S|^2 / 2, everywhere."""
    flow = flow_of((1, 6, 7) if planar else (5, 6, 7))
    block = whole(flow)
    turn = np.array([0.0, 0.0, 0.6] if planar else [0.3, -0.5, 0.6])
    strain = np.array([[0.4, 0.2, 0.0], [0.2, -0.4, 0.0], [0.0, 0.0, 0.0]])
    if not planar:
        strain = np.array([[0.4, 0.2, -0.1], [0.2, -0.7, 0.5], [-0.1, 0.5, 0.3]])
    rotation = np.array([[0, -turn[2], turn[1]], [turn[2], 0, -turn[0]], [-turn[1], turn[0], 0]])
    geometry = Geometry(flow.cells, flow.spacing, (0.0,) * 3, (False,) * 3, flow.components)
    for component in range(flow.components):
        place = geometry.positions(component, block.low, block.high)
        row = (rotation + strain)[component]
        block.now[component] = sum(row[i] * place[i] for i in range(flow.components))
    names = ["vorticity"] if planar else ["vorticity_x", "vorticity_y", "vorticity_z"]
    for name, wanted in zip(names, 2 * (turn[2:] if planar else turn), strict=True):
        np.testing.assert_allclose(measures.centred(block, name), wanted, atol=1e-12)
    q = turn @ turn - (strain**2).sum() / 2
    np.testing.assert_allclose(measures.centred(block, "q"), q, atol=1e-12)
    centre = geometry.positions(flow.components, (0, 0, 0), flow.cells)
    u = sum((rotation + strain)[0, i] * centre[i] for i in range(flow.components))
    np.testing.assert_allclose(measures.centred(block, "u"), u[0] if planar else u, atol=1e-12)
    assert measures.measure(block).largest["max_divergence"] < 1e-12


def test_pressure_is_written_for_the_time_of_the_velocity() -> None:
    flow = flow_of((1, 6, 7))
    data = noise(flow)
    block = whole(flow, data)
    np.testing.assert_allclose(measures.centred(block, "p"), (data[2, 0] + data[5, 0]) / 2)


@pytest.mark.parametrize("problem", ["taylor-green", "random"])
def test_kinetic_energy_falls_by_what_is_dissipated(problem: str) -> None:
    size = 2 * np.pi
    block, _, _ = begun(
        {
            "grid": {"cells": dict.fromkeys("xyz", 16), "size": dict.fromkeys("xyz", size)},
            "fluid": {"viscosity": 0.05, "speed": 2.5, "mach": 0.1},
            "initial": {"problem": problem, **({"seed": 1, "peak": 2} if problem == "random" else {})},
            "run": {"until": 1.0, "precision": "double"},
        }
    )
    cells = 16**3
    steps, rates, energies = 60, [], []
    for _ in range(steps + 1):
        energy, _, dissipation = measures.measure(block).values.sum(axis=0)[:3] / cells
        energies.append(energy)
        rates.append(dissipation)
        block.advance(1)
    lost = np.trapezoid(rates, dx=block.flow.dt)
    assert lost > 0.05 * energies[0] * 60 * block.flow.dt
    assert energies[0] - energies[-1] == pytest.approx(lost, rel=0.02)


# --- solids -----------------------------------------------------------------------------------------------------


def test_inside_solids_nothing_moves_and_what_was_taken_is_what_is_missing() -> None:
    flow = flow_of((10, 12, 14))
    geometry = Geometry(flow.cells, flow.spacing, (0.0,) * 3, (True,) * 3, 3)
    ball = Sphere((0.5, 0.6, 0.4), 0.25)
    shares = kept(flow, geometry, [ball], (0, 0, 0), flow.cells)
    data = noise(flow)
    block = whole(flow, data, shares)
    taken = block.advance(1).taken
    free = plain_step(flow, data[:4], data[4:])[:3]
    inside = 0
    for component in range(3):
        x, y, z = geometry.positions(component, (0, 0, 0), flow.cells)
        deep = (x - 0.5) ** 2 + (y - 0.6) ** 2 + (z - 0.4) ** 2 < 0.2**2
        inside += deep.sum()
        assert not own(block)[component][deep].any()
    assert inside > 50
    # The control volume is each plane of z: what is there without solids, less what was taken, is left.
    np.testing.assert_allclose(taken, (free - own(block)[:3]).sum(axis=(2, 3)).T, atol=1e-11)


def test_the_force_on_a_body_balances_what_drives_the_stream() -> None:
    """Control volume: a whole periodic box, in which a force on the fluid is in balance with the drag."""
    force = 0.3
    block, setup, last = begun(
        {
            "grid": {"cells": {"x": 24, "y": 24}, "size": {"x": 1.0, "y": 1.0}},
            "fluid": {"viscosity": 0.05, "mach": 0.1},
            "force": {"x": force},
            "obstacles": [{"shape": "cylinder", "center": {"x": 0.51, "y": 0.5}, "radius": 0.2}],
            "run": {"until": 8.0, "precision": "double"},
        }
    )
    area = np.prod(setup.flow.spacing[1:])
    first = block.advance(40).taken.sum(axis=0) * area / setup.flow.dt
    assert first[0] > 0
    drag, lift = block.advance(last - 40).taken.sum(axis=0) * area / setup.flow.dt
    assert own(block)[0].mean() > 0.02
    assert drag == pytest.approx(force, rel=2e-3)
    assert abs(lift) < 1e-6 * drag


@pytest.mark.parametrize("wall", [0.2, 0.22, 0.24, 0.26, 0.28])
def test_a_surface_between_velocities_is_where_it_is(wall: float) -> None:
    """A channel between two boxes, driven by a force, has the parabola that begins at their surfaces."""
    n = 20
    block, _, last = begun(
        {
            "grid": {"cells": {"x": 4, "y": n}, "size": {"x": 0.2, "y": 1.0}},
            "fluid": {"viscosity": 0.1, "mach": 0.2},
            "force": {"x": 0.8},
            "boundaries": {"y": "wall"},
            "obstacles": [
                {"shape": "box", "low": {"x": -0.5, "y": -0.5}, "high": {"x": 1.0, "y": wall}},
                {"shape": "box", "low": {"x": -0.5, "y": 1 - wall}, "high": {"x": 1.0, "y": 1.5}},
            ],
            "run": {"until": 8.0, "precision": "double"},
        }
    )
    block.advance(last)
    y = (np.arange(n) + 0.5) / n
    exact = np.maximum(0.0, 4 * (y - wall) * (1 - wall - y))
    # Velocities a wall's thickness apart would differ by 0.1; counting to 1/8 of a cell leaves a sixteenth of that.
    np.testing.assert_allclose(own(block)[0, 0, :, 0], exact, atol=0.011)


def test_a_plate_thinner_than_a_cell_stops_the_flow() -> None:
    block, _, _ = begun(
        {
            "grid": {"cells": {"x": 20, "y": 10}, "size": {"x": 2.0, "y": 1.0}},
            "fluid": {"viscosity": 0.01},
            "obstacles": [{"shape": "box", "low": {"x": 1.01, "y": -1.0}, "high": {"x": 1.04, "y": 2.0}}],
            "initial": {"problem": "uniform", "velocity": {"x": 1.0, "y": 0.0}},
            "run": {"until": 5.0},
        }
    )
    block.advance(500)
    assert np.abs(own(block)[0, 0, :, 10]).max() < 0.01


def test_what_is_kept_does_not_depend_on_the_range_asked_for() -> None:
    flow = flow_of((1, 12, 14))
    geometry = Geometry(flow.cells, flow.spacing, (0.0,) * 3, (True, False, True), 2)
    bodies = [Cylinder((0.1, 0.6), 0.21), Box((0.6, 0.3), (0.95, 0.63))]
    all_of_it = kept(flow, geometry, bodies, (0, -1, -1), (1, 13, 15))
    assert ((all_of_it > 0) & (all_of_it < 1)).any()
    part = kept(flow, geometry, bodies, (0, 3, 4), (1, 9, 11))
    np.testing.assert_array_equal(part, all_of_it[:, :, 4:10, 5:12])


# --- limits, sponges --------------------------------------------------------------------------------------------


def test_peaks_and_the_limit_are_those_of_each_step() -> None:
    """A force alone: velocity grows by the same in each step."""
    flow = flow_of((1, 6, 7), force=(0.5, 0.0, 0.0), dt=0.004)
    block = whole(flow, np.zeros((6, *flow.cells)))
    done = block.advance(10, limit=1.0)
    np.testing.assert_allclose(done.peaks, 0.002 * np.arange(1, 11), rtol=1e-12)
    assert done.steps == 10
    done = block.advance(50, limit=0.0251)
    assert (done.steps, block.step, len(done.peaks)) == (3, 13, 3)
    np.testing.assert_allclose(own(block)[0], 0.026, rtol=1e-12)
    block.now[0, 0, 3, 3] = np.nan
    assert block.advance(5, limit=1.0).steps == 1


def test_peaks_see_every_face_of_the_grid() -> None:
    flow = flow_of((5, 6, 7), force=(0.0,) * 3, viscosity=0.0, dt=1e-9)
    for component, place in product(range(3), [(0, 0, 0), (4, 5, 6), (2, 3, 3)]):
        data = np.zeros((8, *flow.cells))
        data[(component, *place)] = data[(component + 4, *place)] = -0.7
        assert whole(flow, data).advance(1).peaks[0] == pytest.approx(0.7, rel=1e-4)


def test_a_sponge_swallows_a_pulse_that_would_come_back() -> None:
    def left(sponge: float) -> float:
        """The share of a pulse's energy that is there after it has run into the outflow and back."""
        block, setup, _ = begun(
            {
                "grid": {"cells": {"x": 200, "y": 4}, "size": {"x": 1.0, "y": 0.02}},
                "fluid": {"viscosity": 1e-6, "mach": 0.1},
                "boundaries": {"x-": "wall", "x+": {"kind": "outflow", "sponge": sponge}, "y": "slip"},
                "run": {"until": 1.0, "precision": "double"},
            }
        )
        c, dt = setup.flow.sound_speed, setup.flow.dt
        x = (np.arange(200) + 0.5) / 200
        level = np.zeros((3, 1, 4, 200))
        level[2], level[0] = (0.01 * np.exp(-(((x - shift - 0.7) / 0.025) ** 2)) for shift in (0.0, 0.0025))
        level[0] /= c
        block.load(np.concatenate([level, level]), (0, 0, 0))
        block.fill()

        def energy() -> float:
            here = own(block)
            return float((here[2] ** 2).sum() + c**2 * (here[:2] ** 2).sum())

        before = energy()
        block.advance(round(0.6 / c / dt))
        return energy() / before

    assert left(sponge=0.0) > 0.6
    assert left(sponge=0.2) < 0.15


def test_boundary_velocities_rise_smoothly() -> None:
    flow = replace(flow_of((1, 6, 7)), ramp=1.0, dt=0.1)
    rises = flow.ramps(0, 12)
    assert rises[4] == pytest.approx(0.5)
    np.testing.assert_array_equal(rises[9:], 1.0)
    assert (np.diff(rises[:10]) > 0).all()
    assert rises[0] < 0.03
