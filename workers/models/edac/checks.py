"""What is likely to be wrong with a flow, judged from its case alone: a line for each finding, with figure and cure."""

from __future__ import annotations

from collections.abc import Iterator
from math import isclose, pi
from typing import TYPE_CHECKING

from gridstride.workers.models.edac import body_checks
from gridstride.workers.models.edac.bind import through_flow
from gridstride.workers.models.edac.reference import (
    bodies,
    largest,
    mean_inflow,
    source_of_speed,
    stream_of,
    usual_length,
)
from gridstride.workers.models.edac.scales import (
    Scales,
    closed,
    driven,
    driving_force,
    faces,
    figure,
    kinds,
    moving_walls,
    scales,
)

if TYPE_CHECKING:
    from gridstride.workers.models.edac.case import Edac

FREE_CELL_REYNOLDS = 200  # without walls, above which a second-order scheme is wrong by tens of per cent
WALL_CELL_REYNOLDS = 50  # beside walls, where layers are thin
SHEAR_CELLS = 2  # across a shear layer
MACH = 0.3  # above which errors are a tenth and more
LONGEST_SPONGE = 0.5  # of the axis
SPONGE_CELLS = 4
STRETCHED = 5  # longest edge of a cell over the shortest
RAMP = 2  # passages of sound
COMPRESSED = 0.01  # largest |p| / c^2
JUMP = 0.5  # of the speed, between inflow and initial flow
STEADY = 0.5  # viscous times: what is left then of the start is 1 %
TALL = {2: 8, 1: 2}  # F H^2 / (8 nu) is the largest speed between two walls, / (2 nu) over one


def warnings(case: Edac) -> list[str]:
    found = scales(case)
    return [line for check in (*CHECKS, *body_checks.CHECKS) for line in check(case, found)]


def resolution(case: Edac, s: Scales) -> Iterator[str]:
    rough = bool(case.obstacles) or any(faces(case, "wall"))
    most = WALL_CELL_REYNOLDS if rough else FREE_CELL_REYNOLDS
    finer = max(s.cell / most, 1 / s.layer if rough else 0.0)
    if finer > 1:
        layer = f", and a layer of length / sqrt(Re) {s.layer:.2g} cells thick" if rough else ""
        reynolds = s.reynolds / max(s.cell / most, 1 / s.layer**2 if rough else 0.0)
        yield (
            f"the cell Reynolds number (speed x cell / viscosity) is {figure(s.cell)}{layer}: this grid does not "
            f"resolve Reynolds number {figure(s.reynolds)}; take cells {figure(finer)} times smaller, or a Reynolds "
            f"number up to {figure(reynolds)}"
        )
    sharpness = getattr(case.initial, "sharpness", None)
    if sharpness and case.grid.cells["y"] / sharpness < SHEAR_CELLS:
        yield (
            f"initial.sharpness {sharpness:g} makes layers {case.grid.cells['y'] / sharpness:.2g} cells thick: take "
            f"{SHEAR_CELLS * sharpness:.0f} cells along y or more, or less sharp layers"
        )
    edges = sorted((h, axis) for axis, h in case.spacing.items())
    if edges[-1][0] > STRETCHED * edges[0][0]:
        (short, a), (long, b) = edges[0], edges[-1]
        yield (
            f"cells are {long / short:.3g} times as long along {b} ({long:.3g}) as along {a} ({short:.3g}): check "
            "grid.size and grid.cells"
        )


def speed(case: Edac, s: Scales) -> Iterator[str]:
    fluid = case.fluid
    walls = [(largest(case.boundaries[name].velocity), f"the wall at {name}") for name in moving_walls(case)]
    for found, what in [*walls, (s.start, "the initial flow")]:
        if found > fluid.max_speed * (1 + 1e-9):
            yield (
                f"{what} moves at {found:.3g}, faster than fluid.speed {fluid.speed:g}, from which sound and time step "
                f"follow: set fluid.speed to {found:.3g} or more"
            )
    mach = max(fluid.mach, max([s.start, s.speed, *(w for w, _ in walls)]) / s.sound_speed)
    if mach > MACH:
        yield (
            f"the Mach number is {mach:.3g}: results differ from those of an incompressible fluid by about its square, "
            f"{mach**2:.0%}; take fluid.mach 0.1"
        )


def reynolds(case: Edac, s: Scales) -> Iterator[str]:
    fluid = case.fluid
    if fluid.reynolds is None:
        return
    if "speed" not in case.reference.model_fields_set and not isclose(s.speed, fluid.speed):
        yield (
            f"fluid.reynolds {fluid.reynolds:g} is made with speed {s.speed:.4g} ({source_of_speed(case)}), not with "
            f"fluid.speed {fluid.speed:g}: viscosity is {fluid.viscosity:.4g}; write reference.speed to choose"
        )
    stream, sizes = stream_of(case), case.grid.size
    known = [share * (high - low) for body in bodies(case) for low, high in body.values() for share in (0.5, 1)]
    known += [*sizes.values(), *(size / 2 for axis, size in sizes.items() if stream is None or axis != stream[0])]
    known += [size / (2 * pi * waves) for size in sizes.values() for waves in (1, 2)]
    if not any(isclose(fluid.length, size, rel_tol=0.02) for size in known):
        length, what = usual_length(case)
        yield (
            f"fluid.length {fluid.length:g}, which fluid.reynolds is made with, is the size of nothing here: with that "
            f"of the {what}, {length:.3g}, the Reynolds number is {figure(s.speed * length / fluid.viscosity)}; set "
            "fluid.length"
        )


def drive(case: Edac, s: Scales) -> Iterator[str]:
    outlets = [name for name, _ in faces(case, "outflow")]
    inert = [axis for axis in case.axes if case.force[axis] and closed(case, axis)]
    if not driven(case):
        if inert:
            yield (
                f"force.{inert[0]} acts along an axis that is closed at both ends: it makes a pressure and no flow"
                + ("" if s.start else ", and what is at rest stays so")
            )
        elif not s.start and case.snapshot() is None:
            yield "nothing moves: give an inflow, a moving wall, a force or an initial flow"
        elif case.obstacles or any(faces(case, "wall")):
            yield (
                "nothing drives the flow (no inflow, moving wall or force): walls and bodies bring it to rest; give an "
                "inflow, or a force along a periodic axis"
            )
    if outlets and not any(faces(case, "inflow")):
        yield (
            f"{outlets[0]} is an outflow and there is no inflow: what leaves must come in through an outflow, which "
            "gives it no velocity; make a face kind inflow"
        )
    for axis in driving_force(case):
        if "inflow" in kinds(case, axis):
            yield (
                f"force.{axis} acts along the way from inflow to outflow, where the inflow gives the flux: it changes "
                f"the pressure alone, by {abs(case.force[axis]) * case.grid.size[axis]:.3g}; leave one of them out"
            )
        yield from _runaway(case, axis)


def _runaway(case: Edac, axis: str) -> Iterator[str]:
    """A force that drives the flow beyond what sound and step are made for."""
    force, others = abs(case.force[axis]), [a for a in case.axes if a != axis]
    if case.obstacles or kinds(case, axis) != {"periodic"}:
        return
    walls = [[case.boundaries[a + side].kind for side in "-+"].count("wall") for a in others]
    # How strongly each pair of walls holds a unit of speed back.
    held = [TALL[n] * case.fluid.viscosity / case.grid.size[a] ** 2 for a, n in zip(others, walls, strict=True) if n]
    reached = min([force * case.run.until, *([force / sum(held)] if held else [])])
    if reached > 1.05 * case.fluid.max_speed:
        resists = "" if held else ", for no wall or body resists it"
        yield (
            f"force.{axis} drives the flow to about {reached:.3g} by t = {case.run.until:g}{resists}: faster than "
            f"fluid.speed {case.fluid.speed:g}; set fluid.speed to that, or a smaller force"
        )


def until(case: Edac, s: Scales) -> Iterator[str]:
    end = case.run.until
    slides = [a for a in case.axes if kinds(case, a) == {"periodic"} and (case.force[a] or _slides(case, a))]
    started = case.initial.problem in ("poiseuille", "couette")
    across = any(kinds(case, a) == {"wall"} for a in case.axes)
    if slides and across and not (case.obstacles or any(faces(case, "inflow")) or started):
        if end < STEADY * s.viscosity:
            yield (
                f"run.until {end:g} is {end / s.viscosity:.2g} of the viscous time H^2 / viscosity, "
                f"{figure(s.viscosity)}: laminar flow is not steady before {figure(STEADY * s.viscosity)}"
            )
    elif driven(case) and not slides and end < s.passage * (1 - 1e-9):
        yield (
            f"run.until {end:g} is shorter than the flow takes through the grid, {figure(s.passage)}: what was there "
            f"at the start is still in it; set run.until to {figure(2 * s.passage)} or more"
        )


def _slides(case: Edac, axis: str) -> bool:
    """Whether a wall moves along an axis."""
    return any(case.boundaries[name].velocity[axis] for name in moving_walls(case))


def start(case: Edac, s: Scales) -> Iterator[str]:
    ramp, inflow = (
        case.run.ramp,
        max(((mean_inflow(case, name), name) for name, _ in faces(case, "inflow")), default=None),
    )
    if inflow is None or case.initial.problem not in ("rest", "uniform"):
        return
    axis, sign = inflow[1][0], 1 if inflow[1][1] == "-" else -1
    begun = sign * (getattr(case.initial, "velocity", None) or {}).get(axis, 0.0)
    jump = abs(inflow[0] - begun)
    pushed = case.initial.problem == "rest" and through_flow(case) and (ramp or not case.obstacles)  # all of it at once
    if not pushed and jump > JUMP * s.speed and ramp < RAMP * s.sound:
        yield (
            f"the inflow at {inflow[1]} starts within {ramp:g} against fluid that moves into the grid at {begun:.3g}, "
            f"and sound takes {s.sound:.3g} through it: a pressure of {jump * s.sound_speed:.3g} runs to and fro; set "
            f"run.ramp to {figure(5 * s.sound)} or more, or begin with initial.problem uniform"
        )
    if ramp and begun:
        yield (
            f"run.ramp {ramp:g} starts the inflow from 0, and the initial flow moves at {begun:.3g}: leave out "
            "run.ramp, or begin at rest"
        )


def friction(case: Edac, s: Scales) -> Iterator[str]:
    """Pressures of slow flow and of long channels beside the square of the speed of sound."""
    fluid = case.fluid
    pressure = fluid.viscosity * s.speed / fluid.length
    gaps = [case.grid.size[a] for a in case.axes if kinds(case, a) == {"wall"}]
    if gaps and any(faces(case, "inflow")):
        pressure = max(pressure, 12 * fluid.viscosity * s.passage * s.speed**2 / min(gaps) ** 2)
    if pressure > COMPRESSED * s.sound_speed**2:
        mach = fluid.speed * (COMPRESSED / pressure) ** 0.5
        yield (
            f"friction makes pressures of {figure(pressure)}, {pressure / s.sound_speed**2:.1%} of c^2, by about which "
            f"the flow differs from an incompressible one: set fluid.mach to {mach:.2g} or less"
        )


def sponges(case: Edac, s: Scales) -> Iterator[str]:
    for name, face in faces(case, "outflow"):
        size, h = case.grid.size[name[0]], case.spacing[name[0]]
        if face.sponge and face.sponge > LONGEST_SPONGE * size:
            yield (
                f"boundaries.{name}.sponge is {face.sponge:g}, {face.sponge / size:.0%} of the grid, and the flow in "
                f"it is not to be used: expected up to {LONGEST_SPONGE * size:.3g}"
            )
        elif face.sponge and face.sponge < SPONGE_CELLS * h:
            yield (
                f"boundaries.{name}.sponge is {face.sponge:g}, {face.sponge / h:.2g} cells, and absorbs no sound: "
                f"expected {SPONGE_CELLS * h:.3g} or more"
            )


CHECKS = (resolution, speed, reynolds, drive, until, start, friction, sponges)
