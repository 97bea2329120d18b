"""The speed and the size that a flow's Reynolds number and its coefficients of force are made with, and where they are
from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import pi
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers.models.edac.shapes import Mask
from gridstride.workers.models.sections import Defaulted, Positive

if TYPE_CHECKING:
    from gridstride.workers.models.edac.case import Edac

Extent = dict[str, tuple[float, float]]  # from where to where a body is along each axis
NONE: Any = None  # the default of what may not be there
WALLED_MEAN = 2 / 3  # of a parabola, over its peak


class Reference(Defaulted):
    """speed: default the inflow's mean over its face, else the fastest moving wall's, the initial flow's, fluid.speed
    length, area: of coefficients in two and in three dimensions; default the body's, across the stream
    """

    speed: Positive = NONE
    length: Positive = NONE
    area: Positive = NONE


@dataclass(frozen=True)
class Coefficients:
    """axis: of the stream, with its sign; scale: of the force; words: what they are made with."""

    axis: str
    sign: float
    scale: float
    words: str

    def names(self, axes: tuple[str, ...]) -> tuple[str, ...]:
        """Columns for the forces along the axes."""
        lift = "lift_coefficient" if len(axes) == 2 else "lift_coefficient_{}"
        return tuple("drag_coefficient" if axis == self.axis else lift.format(axis) for axis in axes)

    def of(self, forces: dict[str, float]) -> list[float]:
        return [(self.sign if a == self.axis else 1.0) * force / self.scale for a, force in forces.items()]


def mean_inflow(case: Edac, name: str) -> float:
    """The mean speed through a face with an inflow."""
    face = case.boundaries[name]
    others = [axis for axis in case.axes if axis != name[0]]
    walled = [axis for axis in others if all(case.boundaries[axis + side].kind == "wall" for side in "-+")]
    share = WALLED_MEAN ** len(walled) if face.profile == "parabolic" else 1.0
    return abs(face.velocity[name[0]]) * share


def speeds(case: Edac) -> Iterator[tuple[float, str]]:
    """Speeds that may be the reference, the most telling first, and what they are of."""
    inflows = [name for name, face in case.boundaries.items() if face.kind == "inflow"]
    yield from sorted(((mean_inflow(case, n), f"mean of the inflow at {n}") for n in inflows), reverse=True)
    walls = [(largest(f.velocity), f"wall at {n}") for n, f in case.boundaries.items() if f.kind == "wall"]
    yield from sorted((wall for wall in walls if wall[0]), reverse=True)
    velocity, speed = (getattr(case.initial, name, None) for name in ("velocity", "speed"))
    if velocity or speed:
        yield largest(velocity) if velocity else abs(speed or 0.0), "initial flow"
    yield case.fluid.speed, "fluid.speed"


def largest(velocity: dict[str, float]) -> float:
    return max((abs(v) for v in velocity.values()), default=0.0)


def completed(case: Edac) -> Reference:
    """With the speed; `model_fields_set` tells whether it was given."""
    found = case.reference.model_copy()
    found._complete(speed=found.speed or next(speed for speed, _ in speeds(case) if speed))
    return found


def source_of_speed(case: Edac) -> str:
    """What the reference speed is the speed of."""
    return next((words for speed, words in speeds(case) if speed == case.reference.speed), "reference.speed")


def usual_length(case: Edac) -> tuple[float, str]:
    """The length that people would give the Reynolds number of a case on, and what it is of."""
    if case.reference.length:
        return case.reference.length, "reference.length"
    body, stream = next(iter(bodies(case)), None), stream_of(case)
    if body is not None:
        across = [axis for axis in body if stream is None or axis != stream[0]]
        return min(body[axis][1] - body[axis][0] for axis in across[:2]), "body"
    walled = [a for a in case.axes if all(case.boundaries[a + side].kind == "wall" for side in "-+")]
    return min((case.grid.size[axis], f"size along {axis}") for axis in walled or case.axes)


def bodies(case: Edac) -> list[Extent]:
    """From where to where each body of a known shape is along each axis, inside the grid."""
    found = []
    for obstacle in case.obstacles:
        if isinstance(obstacle, Mask):
            continue
        ends = dict(zip(case.axes, obstacle.build().bounds(), strict=False))
        body = {}
        for axis in case.axes:
            low, size = case.grid.origin[axis], case.grid.size[axis]
            a, b = ends.get(axis, (low, low + size))
            body[axis] = (max(a, low), min(b, low + size))
        found.append(body)
    return found


def only_body(case: Edac) -> Extent | None:
    """The body, if there is one alone and its shape is known."""
    known = bodies(case)
    return known[0] if len(case.obstacles) == len(known) == 1 else None


def stream_of(case: Edac) -> tuple[str, float] | None:
    """The axis along which fluid streams past bodies, and its sign; None if the case does not say."""
    faces = sorted(case.boundaries.items(), key=lambda item: item[1].kind != "inflow")
    given = [face.velocity for _, face in faces if face.kind in ("inflow", "wall")]
    given.insert(sum(face.kind == "inflow" for _, face in faces), getattr(case.initial, "velocity", None) or {})
    for velocity in (*given, case.force):
        axis = max(velocity, key=lambda a: abs(velocity[a]), default=None)
        if axis is not None and velocity[axis]:
            return axis, float(np.sign(velocity[axis]))
    return None


def coefficients(case: Edac) -> Coefficients | None:
    """What forces are divided by: speed^2 / 2 x length, or area in three dimensions; None if it is not known."""
    stream = stream_of(case)
    if not case.obstacles or stream is None:
        return None
    body, planar = only_body(case), len(case.axes) == 2
    size = case.reference.length if planar else case.reference.area
    if size is None:
        if body is None:
            return None
        size = shadow(case.obstacles[0].shape, body, stream[0])
    speed, what = case.reference.speed, "length" if planar else "area"
    words = f"speed {speed:.4g} ({source_of_speed(case)}), {what} {size:.4g}"
    return Coefficients(*stream, speed**2 / 2 * size, words)


def shadow(shape: str, body: Extent, axis: str) -> float:
    """The length or area of a body seen along an axis."""
    sides = [high - low for a, (low, high) in body.items() if a != axis]
    round_seen = len(sides) == 2 and (shape == "sphere" or (shape == "cylinder" and axis == "z"))
    return pi / 4 * sides[0] * sides[1] if round_seen else float(np.prod(sides))
