"""A flow as a case file says it: the sections that are EDAC's own, and what a simulation asks of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator, model_validator

from gridstride.workers.models import sections
from gridstride.workers.models.base import Conclusion, Input, Model, Problem, Snapshot
from gridstride.workers.models.base import Setup as AnySetup
from gridstride.workers.models.edac import bind, checks, measures, watch
from gridstride.workers.models.edac.boundaries import Face, check_inflows, complete
from gridstride.workers.models.edac.flow import PRESSURE_LEAD, longest_step
from gridstride.workers.models.edac.initial import NAMES, FromStore, Initial, Rest
from gridstride.workers.models.edac.reference import Reference, completed, speeds, usual_length
from gridstride.workers.models.edac.scales import figures
from gridstride.workers.models.edac.setup import Setup
from gridstride.workers.models.edac.shapes import SHAPES, Mask, Obstacle, check_inside
from gridstride.workers.models.sections import AXES, Defaulted, Positive, Vector, per_face, vector

NONE: Any = None  # the default of what is always there once a model is complete
COARSE = 20  # speed x cell / viscosity, above which a blow-up may be the grid's fault


class Fluid(Defaulted):
    """Give viscosity or reynolds, not both. A complete model has every value but `reynolds`, if it was not given.

    viscosity: kinematic; from reynolds it is reference.speed * length / reynolds
    speed:     the flow's, as expected; the speed of sound is speed / mach
    max_speed: the largest that the time step must be stable for, which nothing else depends on; default speed
    length:    of the Reynolds number; default reference.length, else 1 if reynolds is given, else the body's or box's
    pressure: carried with the flow (EDAC), or resting (artificial compressibility); default resting where a face is not
        periodic or a body rests in the grid
    pressure_diffusivity: default viscosity where pressure is carried, else 0
    """

    viscosity: Positive = NONE
    reynolds: Positive | None = None
    speed: Positive = 1.0
    max_speed: Positive = NONE
    length: Positive = NONE
    mach: Annotated[float, Field(gt=0, lt=1)] = 0.1
    pressure: Literal["carried", "resting"] = NONE
    pressure_diffusivity: Annotated[float, Field(ge=0)] = NONE

    @model_validator(mode="after")
    def _viscosities(self) -> Fluid:
        if (self.viscosity is None) == (self.reynolds is None):
            found = "neither" if self.reynolds is None else "both"
            raise ValueError(f"expected viscosity or reynolds, found {found}")
        if self.max_speed is not None and self.max_speed < self.speed:
            raise ValueError(f"fluid.max_speed is {self.max_speed:g}: expected fluid.speed, {self.speed:g}, or more")
        return self

    def completed(self, case: Edac) -> Fluid:
        """With the viscosity of the Reynolds number, and defaults."""
        given = case.reference.length or (None if self.reynolds is None else 1.0)
        length = self.length or given or usual_length(case)[0]
        viscosity = self.viscosity
        if self.reynolds is not None:
            viscosity = case.reference.speed * length / self.reynolds
        rests = case.obstacles or any(face.kind != "periodic" for face in case.boundaries.values())
        pressure = self.pressure or ("resting" if rests else "carried")
        usual = viscosity if pressure == "carried" else 0.0
        diffusivity = usual if self.pressure_diffusivity is None else self.pressure_diffusivity
        found = {"pressure": pressure, "viscosity": viscosity, "length": length, "pressure_diffusivity": diffusivity}
        return self.model_copy(update={**found, "max_speed": self.max_speed or self.speed})


class Run(sections.Run):
    """ramp: time over which given velocities and the force rise from 0."""

    ramp: Annotated[float, Field(ge=0)] = 0.0


class Output(sections.Output):
    fields: list[Literal["velocity", "pressure", "vorticity", "q-criterion", "state"]] = Field(
        default=["velocity", "pressure"]
    )


class Edac(Model):
    """A flow, complete: boundaries have all faces (x-, x+, ..)."""

    tags: ClassVar[tuple[str, ...]] = (*SHAPES, *NAMES)
    long_names: ClassVar[dict[str, str]] = {
        **{name: f"velocity along {axis}" for name, axis in zip(measures.NAMES, AXES, strict=True)},
        "p": "pressure divided by density",
        "vorticity": "vorticity",
        **{f"vorticity_{axis}": f"vorticity along {axis}" for axis in AXES},
        "q": "Q-criterion",
        "solid": "solid share of the cell",
        **measures.state_arrays(3),
    }

    model: Literal["edac"] = "edac"
    fluid: Fluid
    reference: Reference = Reference()
    force: Vector = Field(default={})
    boundaries: dict[str, Face] = Field(default={}, validate_default=True)
    obstacles: list[Obstacle] = Field(default=[])
    initial: Initial = Rest()
    run: Run
    output: Output = Output()

    @field_validator("boundaries", mode="before")
    @classmethod
    def _per_face(cls, given: Any, info: ValidationInfo) -> Any:
        if "grid" not in info.data:
            return {}  # the grid is wrong, which is said first
        return per_face(given, tuple(info.data["grid"].cells))

    @model_validator(mode="after")
    def _go_together(self) -> Edac:
        self._complete(
            force=vector(self.force, self.axes, "force"),
            boundaries=complete(self.boundaries, self.grid.size),
        )
        for number, obstacle in enumerate(self.obstacles):
            obstacle.check(self.axes, f"obstacles.{number}")
            check_inside(obstacle.build(), self.grid.origin, self.grid.size, f"obstacles.{number}")
        self._complete(reference=completed(self))
        self._complete(fluid=self.fluid.completed(self))
        check_inflows(self.boundaries, self.fluid.max_speed)
        self._complete(initial=self.initial.completed(self))
        return self

    @property
    def components(self) -> int:
        """Of velocity: 2 or 3."""
        return len(self.axes)

    def resolved(self) -> dict[str, Any]:
        plain = super().resolved()
        del plain["fluid"]["reynolds"]
        plain["boundaries"] = {name: face.resolved() for name, face in self.boundaries.items()}
        return plain

    # --- what a simulation asks -------------------------------------------------------------------------------

    def stable_step(self) -> float:
        fluid = self.fluid
        diffusivity = max(fluid.viscosity, fluid.pressure_diffusivity)
        walls = tuple(any(self.boundaries[a + side].kind in ("wall", "inflow") for side in "-+") for a in self.spacing)
        return longest_step(
            tuple(self.spacing.values()), fluid.speed / fluid.mach, fluid.max_speed, diffusivity, walls, self.lead
        )

    @property
    def lead(self) -> float:
        """What damps sound must be stronger where pressure rests and sound runs against the flow."""
        return PRESSURE_LEAD if self.fluid.pressure == "carried" else max(PRESSURE_LEAD, 2.5 * self.fluid.mach)

    def setup(self, dt: float) -> Setup:
        return bind.make_setup(self, dt)

    def arrays(self) -> tuple[str, ...]:
        return measures.arrays_of(self.output.fields, self.components)

    def statics(self) -> tuple[str, ...]:
        return ("solid",) if self.obstacles else ()

    def sums(self) -> tuple[str, ...]:
        return measures.quantities(self.components)

    def largest(self) -> tuple[str, ...]:
        return measures.LARGEST

    def gathered(self) -> tuple[str, ...]:
        return tuple(f"force_{a}" for a in self.axes) if self.obstacles else ()

    def from_gathered(self, totals: np.ndarray, setup: AnySetup) -> np.ndarray:
        """The force on solids, from the velocity that they removed."""
        return totals * (prod(setup.domain.spacing) / setup.domain.dt)

    def derived(self) -> tuple[str, ...]:
        return watch.derived(self)

    def derive(self, row: Mapping[str, float]) -> dict[str, float]:
        return watch.derive(self, row)

    def stops(self, row: Mapping[str, float]) -> str | None:
        return watch.stops(self, row)

    def conclude(self, samples: Mapping[str, np.ndarray], dt: float) -> Conclusion:
        return watch.conclude(self, samples, dt)

    def inputs(self) -> list[Input]:
        shape = tuple(reversed(self.grid.cells.values()))
        return [
            Input(f"obstacles.{number}.path", obstacle.path, shape)
            for number, obstacle in enumerate(self.obstacles)
            if isinstance(obstacle, Mask)
        ]

    def snapshot(self) -> Snapshot | None:
        start = self.initial
        if not isinstance(start, FromStore):
            return None
        centres = (*measures.NAMES[: self.components], "p")
        return Snapshot(
            start.path, start.time, tuple(measures.state_arrays(self.components)), centres, start.interpolate
        )

    def about(self) -> str:
        fluid = self.fluid
        return f"speed {fluid.speed:g}, Mach {fluid.mach:g}, viscosity {fluid.viscosity:g}, pressure {fluid.pressure}"

    def facts(self, setup: AnySetup) -> dict[str, str]:
        return {**figures(self), **bind.inflow_facts(self, setup)}

    def attributes(self, setup: AnySetup) -> dict[str, Any]:
        return {"mach": self.fluid.mach, "sound_speed": setup.domain.limit, **figures(self)}

    def warnings(self) -> list[str]:
        return checks.warnings(self)

    def blown_up(self, where: str, setup: AnySetup, largest: Mapping[str, float]) -> str:
        fluid, sound = self.fluid, setup.domain.limit
        given = max(speed for speed, _ in speeds(self))
        if given > sound / 2:
            likely = f"speeds of {given:g} are given: raise fluid.speed, from which the speed of sound follows"
        else:
            met = largest.get("max_speed", 0.0)
            likely = (
                f"dt is {setup.domain.dt / self.stable_step():.0%} of the stable one for speeds up to fluid.max_speed "
                f"{fluid.max_speed:g}" + (f" ({met:.3g} was measured last)" if met > fluid.max_speed else "")
            )
            likely += f": raise fluid.max_speed to {2 * fluid.max_speed:g}, which shortens dt and changes nothing else"
        peclet = self.reference.speed * max(self.spacing.values()) / fluid.viscosity
        if peclet > COARSE:
            likely += (
                f"; or cells are too coarse (cell Reynolds number {peclet:.3g}): take smaller cells or more viscosity"
            )
        return f"the flow blew up at {where} (speed of sound {sound:g}); {likely}"

    @classmethod
    def problems(cls) -> Iterator[Problem]:
        vortex = {
            "grid": {"size": {"x": 1.0, "y": 1.0}},
            "fluid": {"viscosity": 0.01, "speed": 2.0, "mach": 0.05},
            "initial": {"problem": "travelling-taylor-green", "speed": 1.0, "background": {"x": 1.0, "y": 0.5}},
            "run": {"until": 0.5, "precision": "double"},
        }
        yield Problem("travelling vortex", vortex)
        couette = {
            "grid": {"size": {"x": 1.0, "y": 1.0, "z": 1.0}},
            "fluid": {"viscosity": 0.1, "mach": 0.2},
            "boundaries": {"y-": "wall", "y+": {"kind": "wall", "velocity": {"x": 1.0, "z": -0.5}}},
            "initial": {"problem": "couette"},
            "run": {"until": 0.2, "precision": "double"},
        }
        yield Problem("flow between walls", couette, (6, 12), order=np.inf)
