"""XLB on JAX: Taylor-Green flow (D3Q19) and the lid-driven cavity (D2Q9, as in its own example), BGK, float32."""

from __future__ import annotations

import time

import common
import jax
import numpy as np
import xlb
from xlb.grid import grid_factory
from xlb.helper.initializers import initialize_eq
from xlb.operator.boundary_condition import EquilibriumBC, HalfwayBounceBackBC
from xlb.operator.macroscopic import Macroscopic
from xlb.operator.stepper import IncompressibleNavierStokesStepper
from xlb.velocity_set import D2Q9, D3Q19

BACKEND, PRECISION = xlb.ComputeBackend.JAX, xlb.PrecisionPolicy.FP32FP32
SPEED = 0.1  # of the flow, in cells per step
CAVITY_SECONDS = 45.0  # limit for the steady cavity


class Run:
    """A flow with one streaming scheme; `advance(k)` runs k steps in one compiled loop."""

    def __init__(self, grid, conditions, scheme, viscosity, start=None):
        step = IncompressibleNavierStokesStepper(
            grid=grid, boundary_conditions=conditions, collision_type="BGK", streaming_scheme=scheme
        )
        first, second, wall, missing = step.prepare_fields(start)
        omega = 1 / (3 * viscosity + 0.5)
        self.state = (first, second)

        def many(state, count):
            def body(i, fields):
                return step(*fields, wall, missing, omega, i)[::-1]

            return jax.lax.fori_loop(0, count, body, state)

        self.many = jax.jit(many)

    def advance(self, count):
        self.state = jax.block_until_ready(self.many(self.state, count))

    def velocity(self):
        return np.asarray(Macroscopic()(self.state[0])[1], np.float64)


def taylor_green(n):
    lattice = D3Q19(precision_policy=PRECISION, compute_backend=BACKEND)
    xlb.init(lattice, BACKEND, PRECISION)
    grid = grid_factory((n,) * 3, compute_backend=BACKEND)
    axis = np.arange(n) * 2 * np.pi / n
    *u, p = common.taylor_green(*np.meshgrid(axis, axis, axis, indexing="ij"))
    u = np.asarray(u, np.float32) * np.float32(SPEED)
    rho = np.asarray(1 + 3 * SPEED**2 * p, np.float32)[None]

    def start(*_):
        return initialize_eq(None, grid, lattice, PRECISION, BACKEND, rho, u)

    dt = SPEED * 2 * np.pi / n
    runs = {
        scheme: Run(grid, [], scheme, common.VISCOSITY * SPEED * n / (2 * np.pi), start) for scheme in ("push", "pull")
    }
    count = round(common.CHECKED / dt)
    for run in runs.values():
        before = np.square(run.velocity()).mean()
        run.advance(count)
        decay = common.check_decay(before, np.square(run.velocity()).mean(), count * dt)
    scheme, speed = common.best({name: run.advance for name, run in runs.items()})
    return {
        "size": n,
        "cell_steps_per_second": speed * n**3,
        "settings": f"D3Q19, BGK, {scheme} scheme, {SPEED} cells a step, float32, one jitted loop",
        "time_step": dt,
        "decay": decay,
    }


def cavity():
    n = common.CAVITY_SIZE
    lattice = D2Q9(precision_policy=PRECISION, compute_backend=BACKEND)
    xlb.init(lattice, BACKEND, PRECISION)
    grid = grid_factory((n, n), compute_backend=BACKEND)
    sides, lid = grid.bounding_box_indices(), grid.bounding_box_indices(remove_edges=True)["top"]
    walls = np.unique(np.hstack([sides[name] for name in ("bottom", "left", "right")]), axis=1).tolist()

    def at_rest():
        conditions = [EquilibriumBC(rho=1.0, u=(SPEED, 0.0), indices=lid), HalfwayBounceBackBC(indices=walls)]
        return Run(grid, conditions, "push", SPEED * n / common.REYNOLDS)

    unit = round(n / SPEED)  # steps in a time unit
    speed = common.steps_per_second(at_rest().advance)
    run = at_rest()
    begin, end = time.perf_counter(), 0
    while end < common.CAVITY_END and time.perf_counter() - begin < CAVITY_SECONDS:
        run.advance(unit)
        end += 1
    return {
        "size": n,
        "time_units_per_second": speed / unit,
        "settings": f"D2Q9, BGK, push scheme, lid {SPEED} cells a step on the last row (EquilibriumBC), half-way walls",
        **common.cavity(np.moveaxis(run.velocity(), 0, -1), SPEED, float(end), height=n - 0.5),
    }


if __name__ == "__main__":
    common.report(("xlb", "jax", "jaxlib", "numpy"), flow=taylor_green(common.size_asked()), cavity=cavity())
