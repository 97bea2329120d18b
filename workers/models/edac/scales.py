"""A case's figures: Reynolds numbers, speeds and times, as checks judge them and the plan says them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gridstride.workers.models.edac.reference import coefficients, largest, source_of_speed, stream_of

if TYPE_CHECKING:
    from gridstride.workers.models.edac.boundaries import Face
    from gridstride.workers.models.edac.case import Edac

GUSTS = 2.5  # largest speed of a random flow over its root mean square


@dataclass(frozen=True)
class Scales:
    """reynolds, cell: Reynolds numbers of the reference length, and of the longest edge of a cell
    layer: thickness length / sqrt(Re) of a layer beside a wall, in cells; start: largest speed to begin with
    passage: time in which the flow passes the grid, along the stream where there is one; sound: in which sound does
    viscosity: in which friction spreads over the gap between walls, or else the length
    """

    speed: float
    reynolds: float
    cell: float
    layer: float
    start: float
    sound_speed: float
    passage: float
    sound: float
    viscosity: float


def scales(case: Edac) -> Scales:
    fluid, size, speed = case.fluid, case.grid.size, case.reference.speed
    stream, h = stream_of(case), max(case.spacing.values())
    reynolds = speed * fluid.length / fluid.viscosity
    gap = min((size[axis] for axis in case.axes if kinds(case, axis) == {"wall"}), default=fluid.length)
    return Scales(
        speed=speed,
        reynolds=reynolds,
        cell=speed * h / fluid.viscosity,
        layer=fluid.length / reynolds**0.5 / h,
        start=initial_speed(case),
        sound_speed=fluid.speed / fluid.mach,
        passage=(size[stream[0]] if stream else max(size.values())) / speed,
        sound=max(size.values()) * fluid.mach / fluid.speed,
        viscosity=gap**2 / fluid.viscosity,
    )


def figures(case: Edac) -> dict[str, str]:
    """The figures of the plan."""
    s, fluid, made = scales(case), case.fluid, coefficients(case)
    size = "length" if len(case.axes) == 2 else "area"
    found = {
        "coefficients": f"forces over speed^2 / 2 x {size}; {made.words}" if made else f"none: give reference.{size}"
    }
    return {
        "physics": f"Reynolds number {figure(s.reynolds)} (speed {s.speed:.4g}, {source_of_speed(case)}; length "
        f"{fluid.length:.4g}; viscosity {fluid.viscosity:.4g}), cell Reynolds number {figure(s.cell)}; Mach number "
        f"{fluid.mach:g}, speed of sound {s.sound_speed:.4g}",
        "times": f"the flow passes the grid in {s.passage:.4g}, sound in {s.sound:.3g}; viscous time "
        f"{figure(s.viscosity)}",
        **(found if case.obstacles else {}),
    }


def figure(number: float) -> str:
    """Three digits, without an exponent up to a million."""
    return f"{number:.3g}" if not 1000 <= abs(number) < 1e6 else f"{float(f'{number:.3g}'):.0f}"


def initial_speed(case: Edac) -> float:
    """The largest speed to begin with: of a component, as far as the case says it."""
    start = case.initial
    velocity, speed = getattr(start, "velocity", None), abs(getattr(start, "speed", None) or 0.0)
    background = largest(getattr(start, "background", None) or {})
    return largest(velocity or {}) + background + speed * (GUSTS if start.problem == "random" else 1.0)


def kinds(case: Edac, axis: str) -> set[str]:
    """Of both faces of an axis."""
    return {case.boundaries[axis + side].kind for side in "-+"}


def closed(case: Edac, axis: str) -> bool:
    """Whether nothing gets through either face of an axis."""
    return kinds(case, axis) <= {"wall", "slip"}


def faces(case: Edac, kind: str) -> Iterator[tuple[str, Face]]:
    return ((name, face) for name, face in case.boundaries.items() if face.kind == kind)


def moving_walls(case: Edac) -> list[str]:
    return [name for name, face in faces(case, "wall") if largest(face.velocity)]


def driving_force(case: Edac) -> list[str]:
    """Axes along which a force can drive something."""
    return [axis for axis in case.axes if case.force[axis] and not closed(case, axis)]


def driven(case: Edac) -> bool:
    """Whether anything drives the flow, which would die else."""
    return bool(any(faces(case, "inflow")) or moving_walls(case) or driving_force(case))
