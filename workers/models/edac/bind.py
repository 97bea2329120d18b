"""From a case to what the workers compute: its grid, the flow in numbers, and the solids."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers.models.domain import PERIODIC
from gridstride.workers.models.edac import kinds
from gridstride.workers.models.edac.flow import Flow
from gridstride.workers.models.edac.geometry import Geometry
from gridstride.workers.models.edac.initial import Rest
from gridstride.workers.models.edac.obstacles import Mask, Shape, cell_fractions
from gridstride.workers.models.edac.openings import check_on_grid, open_cells, searched
from gridstride.workers.models.edac.problems import Problem
from gridstride.workers.models.edac.setup import Setup

if TYPE_CHECKING:
    from gridstride.workers.models.edac.case import Edac

KINDS = {
    "periodic": PERIODIC,
    "wall": kinds.FIXED,
    "inflow": kinds.FIXED,
    "slip": kinds.SLIP,
    "outflow": kinds.OUTFLOW,
}
AXES = "zyx"
# Of a sponge: largest rate x thickness / c. Damped alike, velocity and pressure send no wave back that comes straight;
# with more damping of the velocity along the axis, waves that run almost along the face are absorbed best. Where
# pressure alone is damped, a stronger damping sends back more (docs/navier-stokes.md).
ALONG, REST, PRESSURE_ALONE = 16.0, 6.0, 18.0


def make_problem(case: Edac) -> Problem:
    """The case's initial flow. Raises ValueError for from-store, whose parameters are in `case.initial`."""
    return case.initial.build(case)


def make_obstacles(case: Edac) -> tuple[Shape | Mask, ...]:
    return tuple(obstacle.build() for obstacle in case.obstacles)


def make_geometry(case: Edac) -> Geometry:
    """The case's grid in the order of arrays, (z, y, x)."""
    periodic = {axis: case.boundaries[axis + "-"].kind == "periodic" for axis in case.axes}
    return Geometry(
        cells=case.ordered(case.grid.cells, 1),
        spacing=case.ordered(case.spacing, 1.0),
        origin=case.ordered(case.grid.origin, 0.0),
        periodic=case.ordered(periodic, True),
        components=case.components,
    )


def make_setup(case: Edac, dt: float) -> Setup:
    """Everything a worker needs to make a block of the case."""
    geometry, solids = make_geometry(case), make_obstacles(case)
    problem = None if case.snapshot() else make_problem(case)
    for number, solid in enumerate(solids):
        check_on_grid(geometry, solid, f"obstacles.{number}")
    flow = make_flow(case, geometry, dt)
    return Setup(replace(flow, faces=_opened(case, flow, geometry, solids)), geometry, solids, problem)


def make_flow(case: Edac, geometry: Geometry, dt: float) -> Flow:
    """The flow in numbers, as if there were no solids."""
    fluid = case.fluid
    ends: Any = {axis: tuple(case.boundaries.get(axis + side) for side in "-+") for axis in AXES}
    faces: Any = tuple(
        tuple(_given(face, number, side, geometry, ends) for side, face in enumerate(ends[axis]))
        for number, axis in enumerate(AXES)
    )
    closed = {axis: all(f is not None and f.kind in ("wall", "slip") for f in ends[axis]) for axis in AXES}
    force: Any = tuple(0.0 if closed[axis] else case.force.get(axis, 0.0) for axis in "xyz")
    head: Any = tuple(case.force.get(axis, 0.0) if closed[axis] else 0.0 for axis in "xyz")
    stream = _stream(case, geometry)
    beyond: Any = tuple(tuple(KINDS[f.kind] if f else PERIODIC for f in ends[axis]) for axis in AXES)
    return Flow(
        cells=geometry.cells,
        spacing=geometry.spacing,
        components=case.components,
        dt=dt,
        viscosity=fluid.viscosity,
        pressure_diffusivity=fluid.pressure_diffusivity,
        sound_speed=fluid.speed / fluid.mach,
        force=force,
        kinds=beyond,
        faces=faces,
        ramp=case.run.ramp,
        sponge=_sponges(case, geometry, stream is not None),
        dtype=case.dtype,
        head=head,
        carried=fluid.pressure == "carried",
        lead=case.lead,
        stream=stream,
        pull=_pull(case, faces),
    )


def inflow_facts(case: Edac, setup: Any) -> dict[str, str]:
    """What flows in, in words: volume (area, in two dimensions) by time, and how much of the face is open to it."""
    flow, said = setup.flow, []
    for name, (axis, side) in _faces_of(case, "inflow").items():
        normal = flow.faces[axis][side][2 - axis]
        area = prod(n * h for a, (n, h) in enumerate(zip(flow.cells, flow.spacing, strict=True)) if a != axis)
        text = f"{name}: {abs(float(normal.mean())) * area:.4g} in each unit of time"
        if (normal == 0).any():
            text += f", through {(normal != 0).mean():.1%} of the face: obstacles cover or close off the rest"
        said.append(text)
    if said and setup.solids and not searched(setup.geometry, setup.solids):
        said.append("whether obstacles leave a way to the outflow was not looked at: they are too large")
    return {"inflow": "; ".join(said)} if said else {}


def _faces_of(case: Edac, kind: str) -> dict[str, tuple[int, int]]:
    """(axis, side) of the faces of a kind, by name."""
    named = {name: (AXES.index(name[0]), "-+".index(name[1])) for name in case.boundaries}
    return {name: face for name, face in named.items() if case.boundaries[name].kind == kind}


def _opened(case: Edac, flow: Flow, geometry: Geometry, solids: tuple[Shape | Mask, ...]) -> Any:
    """The faces' given velocities, 0 where solids leave no way from an inflow. Raises ValueError if all is closed."""
    inflows, outflows = (_faces_of(case, kind) for kind in ("inflow", "outflow"))
    if not solids or not inflows:
        return flow.faces
    faces = [list(pair) for pair in flow.faces]
    opened = open_cells(geometry, solids, tuple(inflows.values()), tuple(outflows.values()))
    for name, (axis, side) in inflows.items():
        cells = opened[axis, side]
        if not cells.any():
            raise ValueError(
                f"obstacles leave no way from the inflow at boundaries.{name} to the outflow at boundaries."
                f"{' and '.join(outflows)}: move them, or make them smaller"
            )
        if not cells.all():
            faces[axis][side] = faces[axis][side] * cells
    return tuple(tuple(pair) for pair in faces)


def _given(face: Any, axis: int, side: int, geometry: Geometry, ends: dict[str, Any]) -> np.ndarray:
    """Given velocities of a face (components, one axis, other axis), at the places of each component."""
    values = np.zeros((geometry.components, 1, 1))
    if face is None or face.kind not in ("wall", "inflow"):
        return values
    values[:, 0, 0] = [face.velocity.get(a, 0.0) for a in "xyz"[: geometry.components]]
    if getattr(face, "profile", "uniform") != "parabolic":
        return values
    lo, hi = [0, 0, 0], list(geometry.cells)
    lo[axis], hi[axis] = side * geometry.cells[axis], side * geometry.cells[axis] + 1
    full = np.empty((geometry.components, *(n for a, n in enumerate(geometry.cells) if a != axis)))
    for component in range(geometry.components):
        places = geometry.positions(component, lo, hi)[::-1]  # z, y, x
        shape: Any = 1.0
        for other in range(3):
            walls = all(f is not None and f.kind == "wall" for f in ends[AXES[other]])
            if other == axis or not walls:
                continue
            part = (places[other] - geometry.origin[other]) / (geometry.cells[other] * geometry.spacing[other])
            shape = shape * (4 * part * (1 - part))
        full[component] = values[component, 0, 0] * np.broadcast_to(
            shape, [b - a for a, b in zip(lo, hi, strict=True)]
        ).squeeze(axis)
    return full


def through_flow(case: Edac) -> tuple[int, int] | None:
    """(axis, side) of the one inflow, if the face opposite is an outflow."""
    inflows = [name for name, face in case.boundaries.items() if face.kind == "inflow"]
    if len(inflows) != 1 or case.boundaries[inflows[0][0] + "+-"["-+".index(inflows[0][1])]].kind != "outflow":
        return None
    return AXES.index(inflows[0][0]), "-+".index(inflows[0][1])


def _stream(case: Edac, geometry: Geometry) -> tuple[int, int] | None:
    """(axis, side) of the inflow, if its velocities may be those that leave through the face opposite: walls along the
    stream want a profile that is 0 on them, and solids at both faces must be the same."""
    through = through_flow(case)
    if through is None:
        return None
    axis, side = through
    walls = any(face.kind == "wall" for face in case.boundaries.values())
    if walls and case.boundaries[AXES[axis] + "-+"[side]].profile != "parabolic":
        return None
    first, last = ([0, 0, 0], list(geometry.cells)), ([0, 0, 0], list(geometry.cells))
    first[1][axis], last[0][axis] = 1, geometry.cells[axis] - 1
    inner, outer = (cell_fractions(geometry, make_obstacles(case), lo, hi) for lo, hi in (first, last))
    return through if np.array_equal(inner, outer) else None


def _pull(case: Edac, faces: Any) -> tuple[float, float, float]:
    """The mean velocity of what flows through, of a run that begins at rest."""
    through = through_flow(case)
    if through is None or not isinstance(case.initial, Rest):
        return (0.0, 0.0, 0.0)
    mean = faces[through[0]][through[1]].mean(axis=(1, 2))
    return tuple(float(mean[c]) if c == 2 - through[0] else 0.0 for c in range(3))  # type: ignore[return-value]


def _sponges(case: Edac, geometry: Geometry, matched: bool) -> tuple[np.ndarray, ...]:
    """Rates at which sound decays along each axis, at centres and low faces: growing with the square of the depth.
    matched: whether velocity is damped like pressure."""
    sound = case.fluid.speed / case.fluid.mach
    found = []
    for number, axis in enumerate(AXES):
        n, h = geometry.cells[number], geometry.spacing[number]
        rates = np.zeros((2, 0))
        for side in "-+":
            face = case.boundaries.get(axis + side)
            if face is None or not face.sponge:
                continue
            places = (np.arange(n) + np.array([[0.5], [0.0]])) * h
            distance = places if side == "-" else n * h - places
            depth = np.clip(1 - distance / face.sponge, 0, 1)
            strengths = np.array([[REST], [ALONG]] if matched else [[PRESSURE_ALONE]] * 2) * sound / face.sponge
            rates = (rates if rates.size else np.zeros((2, n))) + strengths * depth**2
        found.append(rates)
    return tuple(found)
