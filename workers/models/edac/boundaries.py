"""What is beyond each face of a simulation's grid, as a case file says it and as it is resolved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from gridstride.workers.models.sections import Section, Vector, check_pairs, vector

# What a face of each kind takes besides its kind.
KEYS: dict[str, tuple[str, ...]] = {
    "periodic": (),
    "wall": ("velocity",),
    "slip": (),
    "inflow": ("velocity", "profile"),
    "outflow": ("sponge",),
}
SPONGE = 0.1  # of the axis: the default thickness of an outflow's absorbing layer


class Face(Section):
    """One face of the grid.

    kind:     periodic; wall (no slip); slip (a wall without friction); inflow (given velocity); outflow
    velocity: of a wall along itself, or of what flows in (with profile parabolic: its peak)
    profile:  of inflow: uniform, or parabolic (zero at walls of the other axes)
    sponge:   of outflow: thickness of the layer in which pressure waves are absorbed; default a tenth of the axis
    """

    kind: Literal["periodic", "wall", "slip", "inflow", "outflow"]
    velocity: Vector = Field(default={})
    profile: Literal["uniform", "parabolic"] = "uniform"
    sponge: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _keys_of_its_kind(self) -> Face:
        for key in sorted(self.model_fields_set - {"kind", *KEYS[self.kind]}):
            takers = [kind for kind, keys in KEYS.items() if key in keys]
            raise ValueError(f"kind {self.kind} takes no {key}, which is for {' and '.join(takers)}")
        return self

    def resolved(self) -> dict[str, Any]:
        return {"kind": self.kind, **{key: getattr(self, key) for key in KEYS[self.kind]}}


def complete(boundaries: dict[str, Face], size: dict[str, float]) -> dict[str, Face]:
    """The faces with every default filled in. Raises ValueError where they do not go together."""
    axes = tuple(size)
    check_pairs({name: face.kind for name, face in boundaries.items()})
    done = {}
    for name, face in boundaries.items():
        axis, field = name[0], f"boundaries.{name}"
        velocity = vector(face.velocity, axes, f"{field}.velocity")
        normal = velocity[axis]
        if face.kind == "wall" and normal:
            raise ValueError(f"{field}.velocity.{axis} is {normal}: a wall moves along itself; use kind inflow")
        if face.kind == "inflow" and (normal <= 0 if name[1] == "-" else normal >= 0):
            sign = "above" if name[1] == "-" else "below"
            raise ValueError(f"{field}.velocity.{axis} is {normal}: expected {sign} 0, into the grid")
        if face.profile == "parabolic":
            _check_parabola(boundaries, name, axes)
        sponge = face.sponge
        if face.kind == "outflow":
            sponge = SPONGE * size[axis] if sponge is None else sponge
            if sponge > size[axis]:
                raise ValueError(f"{field}.sponge is {sponge}: expected at most the axis, {size[axis]}")
        done[name] = face.model_copy(update={"velocity": velocity, "sponge": sponge})
    kinds = [face.kind for face in boundaries.values()]
    if "inflow" in kinds and "outflow" not in kinds:
        raise ValueError("boundaries have inflow and no outflow: what flows in must leave through a face")
    return done


def check_inflows(boundaries: dict[str, Face], fastest: float) -> None:
    """Raise ValueError for an inflow that is faster than the time step would be stable for."""
    for name, face in boundaries.items():
        speed = max(map(abs, face.velocity.values()), default=0.0)
        if face.kind == "inflow" and speed > fastest:
            raise ValueError(
                f"boundaries.{name}.velocity is {speed:g}, faster than fluid.speed allows ({fastest:g}), from which "
                f"sound and time step follow: expected fluid.speed of {speed:g} or more"
            )


def _check_parabola(boundaries: dict[str, Face], name: str, axes: Sequence[str]) -> None:
    pairs = [{boundaries[axis + side].kind for side in "-+"} for axis in axes if axis != name[0]]
    if {"wall"} not in pairs or any("wall" in pair and len(pair) > 1 for pair in pairs):
        raise ValueError(
            f"boundaries.{name}.profile is parabolic: expected another axis with a wall on both faces, and none with a "
            "wall on one"
        )
