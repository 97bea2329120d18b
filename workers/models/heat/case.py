"""A heat problem as a case file says it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from gridstride.workers.models import sections
from gridstride.workers.models.base import Model, Problem, Snapshot
from gridstride.workers.models.domain import PERIODIC
from gridstride.workers.models.heat.kinds import KINDS
from gridstride.workers.models.heat.setup import Heat
from gridstride.workers.models.heat.start import NAMES, FromStore, Start, Uniform, Wave
from gridstride.workers.models.sections import Positive, Section, check_pairs, per_face


class Face(Section):
    """One face of the grid: periodic, fixed (a given temperature, `value`), or insulated (no flux)."""

    kind: Literal["periodic", "fixed", "insulated"]
    value: float = 0.0

    @model_validator(mode="after")
    def _only_of_fixed(self) -> Face:
        if self.value and self.kind != "fixed":
            raise ValueError(f"kind {self.kind} takes no value, which is for fixed")
        return self


class Output(sections.Output):
    fields: list[Literal["temperature"]] = Field(default=["temperature"])


class HeatCase(Model):
    tags: ClassVar[tuple[str, ...]] = NAMES
    long_names: ClassVar[dict[str, str]] = {"temperature": "temperature"}

    model: Literal["heat"]
    diffusivity: Positive
    source: float = 0.0
    boundaries: dict[str, Face] = Field(default={}, validate_default=True)
    initial: Start = Uniform()
    output: Output = Output()

    @field_validator("boundaries", mode="before")
    @classmethod
    def _per_face(cls, given: Any, info: ValidationInfo) -> Any:
        return per_face(given, tuple(info.data["grid"].cells)) if "grid" in info.data else {}

    @model_validator(mode="after")
    def _go_together(self) -> HeatCase:
        check_pairs({name: face.kind for name, face in self.boundaries.items()})
        for name, face in self.boundaries.items():
            if isinstance(self.initial, Wave) and face.kind == "fixed" and face.value != self.initial.level:
                raise ValueError(f"boundaries.{name}.value is {face.value}: expected initial.level of the wave, "
                                 f"{self.initial.level}")  # fmt: skip
        return self

    def stable_step(self) -> float:
        """Where a mode alternates from cell to cell its amplification factor reaches -1."""
        return 1 / (2 * self.diffusivity * sum(1 / h**2 for h in self.spacing.values()))

    def setup(self, dt: float) -> Heat:
        ends = [[self.boundaries.get(axis + side) for side in "-+"] for axis in "zyx"]
        kinds: Any = tuple(tuple(KINDS[face.kind] if face else PERIODIC for face in pair) for pair in ends)
        given: Any = tuple(tuple(face.value if face else 0.0 for face in pair) for pair in ends)
        return Heat(
            cells=self.ordered(self.grid.cells, 1),
            spacing=self.ordered(self.spacing, 1.0),
            dt=dt,
            kinds=kinds,
            dtype=self.dtype,
            origin=self.ordered(self.grid.origin, 0.0),
            diffusivity=self.diffusivity,
            source=self.source,
            given=given,
            start=None if self.snapshot() else self.initial,
        )

    def arrays(self) -> tuple[str, ...]:
        return tuple(self.output.fields)

    def sums(self) -> tuple[str, ...]:
        return ("temperature", "temperature_squared")

    def largest(self) -> tuple[str, ...]:
        return ("max_temperature",)

    def snapshot(self) -> Snapshot | None:
        start = self.initial
        return Snapshot(start.path, start.time, ("temperature",)) if isinstance(start, FromStore) else None

    def about(self) -> str:
        return f"heat, diffusivity {self.diffusivity:g}"

    @classmethod
    def problems(cls) -> Iterator[Problem]:
        run = {"run": {"until": 0.3, "precision": "double"}}
        flat = {"model": "heat", "grid": {"size": {"x": 1.0, "y": 0.8}}, "diffusivity": 0.05, **run}
        deep = {**flat, "grid": {"size": {"x": 1.0, "y": 0.8, "z": 1.3}}, "boundaries": {"z": "insulated"}}
        faces = {"x": {"kind": "fixed", "value": 2.0}, "y-": "insulated", "y+": {"kind": "fixed", "value": 2.0}}
        wave = {"problem": "wave"}
        yield Problem("periodic wave", {**flat, "initial": wave, "source": 0.5}, (24, 48))
        yield Problem("wave between faces", {**flat, "boundaries": faces, "initial": {**wave, "level": 2.0}}, (24, 48))
        yield Problem("box", {**deep, "initial": wave}, (16, 32))
        spot = {"problem": "gaussian", "width": 0.06}
        yield Problem("warm spot", {**flat, "diffusivity": 0.005, "initial": spot}, (48, 96))
