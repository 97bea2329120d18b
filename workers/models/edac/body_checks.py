"""What is likely to be wrong with the bodies in a flow. Masks are not looked into."""

from __future__ import annotations

from collections.abc import Iterator
from math import isclose
from typing import TYPE_CHECKING

from gridstride.workers.models.edac.reference import Extent, bodies, shadow, stream_of
from gridstride.workers.models.edac.scales import Scales, driven, faces, figure, kinds, moving_walls
from gridstride.workers.models.edac.shapes import Mask

if TYPE_CHECKING:
    from gridstride.workers.models.edac.case import Edac

BODY_CELLS = 8  # across a body, below which its drag is wrong by tens of per cent
BLOCKED = 0.105  # of an open stream's section, above which drag is too large by a fifth and more
CROWDED = 1.5  # times fluid.max_speed between body and walls
NEAR = {"inflow": 1.0, "outflow": 3.0}  # sizes of the body to the face, or to its sponge
SHEDS = {"sphere": 210.0}  # Reynolds number above which vortices leave a body; else that of a cylinder
CYLINDER_SHEDS = 47.0


def _named(case: Edac) -> list[tuple[str, str, Extent]]:
    """Field, shape and extent of each body of a known shape."""
    known = [(f"obstacles.{n}", o.shape) for n, o in enumerate(case.obstacles) if not isinstance(o, Mask)]
    return [(field, shape, body) for (field, shape), body in zip(known, bodies(case), strict=True)]


def _spans(case: Edac, body: Extent, axis: str) -> bool:
    low, high = body[axis]
    return high - low >= case.grid.size[axis] * (1 - 1e-9)


def _across(case: Edac, body: Extent) -> float:
    """The size of a body: its largest across the stream, of what does not reach from face to face."""
    stream = stream_of(case)
    own = [a for a in case.axes if not _spans(case, body, a)] or list(case.axes)
    seen = [a for a in own if stream is None or a != stream[0]] or own
    return max(body[a][1] - body[a][0] for a in seen)


def _in_inflow(case: Edac, body: Extent) -> bool:
    """Whether a body covers a part of an inflow, which is then smaller by itself."""
    ends = {"-": 0.0, "+": 1.0}
    return any(
        body[n[0]][n[1] == "+"] == case.grid.origin[n[0]] + ends[n[1]] * case.grid.size[n[0]]
        for n, _ in faces(case, "inflow")
    )


def size(case: Edac, s: Scales) -> Iterator[str]:
    for field, _, body in _named(case):
        own = [a for a in case.axes if not _spans(case, body, a)]
        cells = sorted(((body[a][1] - body[a][0]) / case.spacing[a], a) for a in own)
        if cells and cells[0][0] < 1:
            yield (
                f"{field} is {cells[0][0]:.2g} of a cell along {cells[0][1]}, smaller than the grid can show: its drag "
                "is wrong; make it larger or the cells smaller"
            )
        elif cells and cells[-1][0] < BODY_CELLS * (1 - 1e-9):
            yield (
                f"{field} is {cells[-1][0]:.3g} cells across: its drag is wrong by tens of per cent; take {BODY_CELLS} "
                "cells or more, 20 for a few per cent"
            )


def blockage(case: Edac, s: Scales) -> Iterator[str]:
    stream = stream_of(case)
    if stream is None or not any(faces(case, "inflow")):
        return
    sides = [a for a in case.axes if a != stream[0]]
    section = 1.0
    for axis in sides:
        section *= case.grid.size[axis]
    found = [(shape, body) for _, shape, body in _named(case) if not _in_inflow(case, body)]
    share = max((shadow(shape, body, stream[0]) for shape, body in found), default=0.0) / section
    if share >= 1:
        return
    between = s.speed / (1 - share)
    if share > BLOCKED and not any("wall" in kinds(case, a) for a in sides):
        yield (
            f"blockage: the body takes {share:.0%} of the section, and its drag is about "
            f"{1 / (1 - share) ** 2 - 1:.0%} larger than in an open stream; make the grid {share / 0.05:.2g} times as "
            "wide if that is meant"
        )
    elif between > CROWDED * case.fluid.max_speed:
        yield (
            f"the body takes {share:.0%} of the section: the flow beside it is {between:.3g} or faster, and "
            f"fluid.speed {case.fluid.speed:g}; set fluid.speed to {CROWDED * between:.2g}"
        )


def place(case: Edac, s: Scales) -> Iterator[str]:
    for field, _, body in _named(case):
        for name, face in case.boundaries.items():
            axis, low = name[0], case.grid.origin[name[0]]
            if face.kind not in NEAR or _spans(case, body, axis):
                continue
            high = low + case.grid.size[axis] - (face.sponge or 0.0)
            low += face.sponge or 0.0
            gap = (body[axis][0] - low if name[1] == "-" else high - body[axis][1]) / _across(case, body)
            if face.kind == "inflow" and gap <= 0:
                continue  # a part of the face is solid, as before a step
            if gap < NEAR[face.kind] * (1 - 1e-9):
                what = "sponge of the outflow" if face.sponge else face.kind
                yield (
                    f"{field} is {max(gap, 0):.2g} of its own size from the {what} at {name}, which changes the flow "
                    f"around it: expected {NEAR[face.kind]:g} or more"
                )
        for name in moving_walls(case):
            axis, end = name[0], case.grid.origin[name[0]] + (name[1] == "+") * case.grid.size[name[0]]
            if abs(body[axis][name[1] == "+"] - end) < case.spacing[axis]:
                yield f"{field} touches the wall at {name}, which moves: leave a gap of some cells between them"


def symmetry(case: Edac, s: Scales) -> Iterator[str]:
    """A mirror image of itself has no reason to shed vortices on either side first."""
    stream, known = stream_of(case), _named(case)
    if stream is None or not known or len(known) < len(case.obstacles) or not driven(case):
        return
    known_speed = any(faces(case, "inflow")) or case.initial.problem == "uniform"
    if not known_speed or case.initial.problem not in ("rest", "uniform", "poiseuille"):
        return
    field, shape, body = known[0]
    sides = [a for a in case.axes if a != stream[0] and not _spans(case, body, a)]
    reynolds = s.speed * _across(case, body) / case.fluid.viscosity
    limit = SHEDS.get(shape, CYLINDER_SHEDS)
    if sides and reynolds > limit and all(_mirrored(case, axis) for axis in sides):
        axis = sides[0]
        low, high = body[axis]
        middle = (low + high) / 2 if kinds(case, axis) == {"periodic"} else _middle(case, axis)
        yield (
            f"the set-up is symmetric about {axis} = {middle:.4g} and so stays the flow: at Reynolds number "
            f"{figure(reynolds)} (above {limit:g}) vortices should leave {field} in turn, and will not before rounding "
            f"errors have grown; to perturb it give initial.velocity.{axis} a tenth of the stream, or move the body by "
            "a cell"
        )


def _mirrored(case: Edac, axis: str) -> bool:
    """Whether the case is its own mirror image across the middle of an axis, or of its only body where it is "
    "periodic."""
    a, b = (case.boundaries[axis + side] for side in "-+")
    if a != b or case.force[axis] or (getattr(case.initial, "velocity", None) or {}).get(axis):
        return False
    if any(face.velocity.get(axis) for _, face in faces(case, "inflow")):
        return False
    found = [{name: body[name] for name in case.axes} for body in bodies(case)]
    if kinds(case, axis) == {"periodic"} and len(found) == 1:
        return True
    middle = _middle(case, axis)
    images = [{**body, axis: (2 * middle - body[axis][1], 2 * middle - body[axis][0])} for body in found]
    tiny = 1e-6 * case.grid.size[axis]
    return all(any(_same(image, body, tiny) for body in found) for image in images)


def _middle(case: Edac, axis: str) -> float:
    return case.grid.origin[axis] + case.grid.size[axis] / 2


def _same(one: Extent, other: Extent, tiny: float) -> bool:
    return all(isclose(x, y, abs_tol=tiny) for a in one for x, y in zip(one[a], other[a], strict=True))


CHECKS = (size, blockage, place, symmetry)
