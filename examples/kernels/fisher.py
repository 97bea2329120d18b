"""One step in time of Fisher's equation: a population that spreads and grows to what its surroundings carry.

    gridstride apply examples/kernels/fisher.py:step seed.zarr later.zarr --halo 1 --iterations 200 --param dt=0.1

    du/dt = diffusion * laplace(u) + rate * u * (1 - u),    u(t + dt) = u(t) + dt * du/dt

R. A. Fisher, "The wave of advance of advantageous genes", 1937. On one to three axes, in the input's precision.
"""


def step(block, dt: float = 0.1, diffusion: float = 1.0, rate: float = 1.0, *, spacing, inner):
    """Second-order differences in space, Euler's step in time."""
    limit = 1 / (2 * diffusion * sum(1 / h**2 for h in spacing))
    if dt > limit:
        raise ValueError(f"dt is {dt}: this grid needs {limit:.3g} or less")
    u = block[inner]
    change = rate * u * (1 - u)
    for axis, h in enumerate(spacing):
        before, after = list(inner), list(inner)
        before[axis], after[axis] = slice(None, -2), slice(2, None)
        change = change + diffusion / h**2 * (block[tuple(before)] - 2 * u + block[tuple(after)])
    return u + dt * change
