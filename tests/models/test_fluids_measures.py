"""What is measured of a flow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flow_blocks import begun, flow_of, noise, own, whole

from gridstride.workers.models.edac import cpu, measures
from gridstride.workers.models.edac.geometry import Geometry


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
    u, v, slab = own(block)[0], own(block)[1], flow.slab_axis
    other = tuple(a for a in range(3) if a != slab)
    before = block.before[(slice(None), *block.own)]
    assert largest[-2] == np.abs(own(block)[-1]).max()
    assert largest[-1] == pytest.approx(np.sqrt(((own(block) - before)[:-1] ** 2).sum(axis=0).max()))
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


def test_compressibility_and_acceleration_of_a_known_state() -> None:
    """p = -3 with c = 10; velocity changed by (3, 4) h in a step of dt somewhere, by less elsewhere."""
    flow = flow_of((1, 6, 7))
    data = np.zeros((2 * flow.fields, *flow.cells))
    data[2, 0, 3, 2], data[0, 0, 4, 4], data[1, 0, 4, 4], data[1, 0, 2, 2] = -3.0, 0.3, 0.4, 0.4
    block = whole(flow, data)
    assert np.isnan(measures.measure(block).largest["max_acceleration"])  # both levels of a start are the same
    block.step = 5
    found = measures.measure(block).largest
    assert found["compressibility"] == pytest.approx(0.03)
    assert found["max_acceleration"] == pytest.approx(0.5 / flow.dt)


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
