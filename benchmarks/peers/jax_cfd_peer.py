"""jax-cfd: Taylor-Green flow by its explicit finite-volume step with a pressure projection, float32."""

from __future__ import annotations

import common
import jax
import jax.numpy as jnp
import jax_cfd.base as cfd
import numpy as np


def main() -> None:
    n = common.size_asked()
    grid = cfd.grids.Grid((n,) * 3, domain=((0, 2 * np.pi),) * 3)
    periodic = cfd.boundaries.periodic_boundary_conditions(3)
    velocity = tuple(
        cfd.grids.GridVariable(
            cfd.grids.GridArray(
                jnp.asarray(common.taylor_green(*(np.asarray(a) for a in grid.mesh(offset)))[axis], jnp.float32),
                offset,
                grid,
            ),
            periodic,
        )
        for axis, offset in enumerate(grid.cell_faces)
    )
    dt = 0.2 * 2 * np.pi / n

    def central(v):
        return tuple(cfd.advection.advect_linear(u, v, dt) for u in v)

    def runner(convect):
        step = cfd.equations.semi_implicit_navier_stokes(1.0, common.VISCOSITY, dt, grid, convect=convect)
        many = jax.jit(lambda v, count: jax.lax.fori_loop(0, count, lambda _, w: step(w), v))
        return lambda count: jax.block_until_ready(many(velocity, count))

    def energy(v) -> float:
        return sum(float(np.square(np.asarray(u.data, np.float64)).mean()) for u in v)

    speeds, decays = {}, {}
    for name, convect in (("central advection", central), ("van Leer advection (its default)", None)):
        run = runner(convect)
        count = round(common.CHECKED / dt)
        decays[name] = common.check_decay(energy(velocity), energy(run(count)), count * dt)
        speeds[name] = common.steps_per_second(run) * n**3
    fastest = max(speeds, key=lambda name: speeds[name])
    common.report(
        ("jax-cfd", "jax", "jaxlib", "numpy"),
        flow={
            "size": n,
            "cell_steps_per_second": speeds[fastest],
            "settings": f"{fastest}, forward Euler, FFT pressure solve, float32, jit",
            "time_step": dt,
            "decay": decays[fastest],
            "all": speeds,
        },
    )


if __name__ == "__main__":
    main()
