"""A case: everything that defines a simulation, from one YAML file. examples/cases/ has many, explained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, field_validator, model_validator

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.simulations.boundaries import Face, complete, per_face
from gridstride.pipeline.simulations.initial import NAMES, Initial, Rest
from gridstride.pipeline.simulations.overrides import anchored, overridden
from gridstride.pipeline.simulations.parts import (
    AXES,
    Axis,
    Counts,
    Lengths,
    Part,
    Positive,
    Vector,
    complaint,
    in_order,
    same_axes,
    vector,
)
from gridstride.pipeline.simulations.solids import SHAPES, Obstacle, check_files, check_inside
from gridstride.pipeline.storage.create import CODECS
from gridstride.workers.models.edac import problems
from gridstride.workers.models.edac.geometry import Geometry
from gridstride.workers.models.edac.obstacles import Mask, Shape

CHUNK = {2: 256, 3: 128}  # cells along an axis of the output's chunks, by default
FEWEST = 4  # cells along an axis
NONE: Any = None  # the default of what is always there once a model is complete


class Grid(Part):
    """cells, size (lengths) and origin along x, y and, in three dimensions, z."""

    cells: Annotated[dict[Axis, Annotated[int, Field(ge=FEWEST)]], AfterValidator(in_order)]
    size: Lengths
    origin: Vector = Field(default={})

    @model_validator(mode="after")
    def _axes(self) -> Grid:
        axes = tuple(self.cells)
        if axes not in (AXES[:2], AXES):
            raise ValueError(f"grid.cells gives {', '.join(axes) or 'no axis'}: expected x, y or x, y, z")
        same_axes(self.size, axes, "grid.size")
        self._complete(origin=vector(self.origin, axes, "grid.origin"))
        return self


class Fluid(Part):
    """Give viscosity or reynolds, not both. A complete model has every value but `reynolds`, if it was not given.

    viscosity: kinematic; from reynolds it is speed * length / reynolds
    speed:     the largest expected; the speed of sound is speed / mach
    pressure_diffusivity: of the EDAC pressure equation; default viscosity
    """

    viscosity: Positive = NONE
    reynolds: Positive | None = None
    speed: Positive = 1.0
    length: Positive = 1.0
    mach: Annotated[float, Field(gt=0, lt=1)] = 0.1
    pressure_diffusivity: Annotated[float, Field(ge=0)] = NONE

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_default(cls, content: Any) -> Any:
        return {k: v for k, v in content.items() if v is not None} if isinstance(content, dict) else content

    @model_validator(mode="after")
    def _viscosities(self) -> Fluid:
        if (self.viscosity is None) == (self.reynolds is None):
            found = "neither" if self.reynolds is None else "both"
            raise ValueError(f"expected viscosity or reynolds, found {found}")
        if self.reynolds is not None:
            self._complete(viscosity=self.speed * self.length / self.reynolds)
        if self.pressure_diffusivity is None:
            self._complete(pressure_diffusivity=self.viscosity)
        return self


class Schedule(Part):
    """When something is written: every so much time, every so many steps, or at given times."""

    time: Positive | None = None
    steps: Annotated[int, Field(ge=1)] | None = None
    at: list[Annotated[float, Field(ge=0)]] | None = None

    @model_validator(mode="after")
    def _one(self) -> Schedule:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"expected one of time (every), steps (every) and at (list of times), found {found}")
        if self.at is not None:
            self._complete(at=sorted(set(self.at)))
        return self


class Run(Part):
    """until: end time; cfl: share of the stability limit; dt: fixed, instead; ramp: time over which boundary velocities
    rise from 0; substeps: steps per exchange between blocks."""

    until: Positive
    cfl: Annotated[float, Field(gt=0, le=1)] = 0.95
    dt: Positive | None = None
    ramp: Annotated[float, Field(ge=0)] = 0.0
    precision: Literal["single", "double"] = "single"
    substeps: Literal["auto"] | int = "auto"

    @field_validator("substeps", mode="before")
    @classmethod
    def _substeps(cls, value: Any) -> Any:
        if value == "auto":
            return value
        try:
            number = int(str(value))
        except ValueError:
            number = 0
        if number < 1:
            raise ValueError("expected auto, or a number of 1 or more")
        return number


class Output(Part):
    """What is written, and when; a schedule of null means at the end only. chunks: cells along each axis."""

    fields: list[Literal["velocity", "pressure", "vorticity", "q-criterion"]] = Field(default=["velocity", "pressure"])
    snapshots: Schedule | None = None
    diagnostics: Schedule | None = Schedule(steps=100)
    checkpoints: Schedule | None = None
    chunks: Counts = Field(default={})
    codec: str = "lz4"

    @field_validator("fields")
    @classmethod
    def _some(cls, value: list[Any]) -> list[Any]:
        if not value:
            raise ValueError("expected at least one of velocity, pressure, vorticity, q-criterion")
        return list(dict.fromkeys(value))

    @field_validator("chunks", mode="before")
    @classmethod
    def _chunks(cls, value: Any) -> Any:
        return {} if value is None else value

    @field_validator("codec")
    @classmethod
    def _codec(cls, value: str) -> str:
        name, colon, level = value.partition(":")
        if name not in CODECS or (colon and not level.isdigit()):
            raise ValueError(f"expected one of {', '.join(CODECS)}, with :LEVEL if you like")
        return value


class Case(Part):
    """A simulation, complete: defaults are filled in, vectors have all axes, and boundaries all faces (x-, x+, ..)."""

    name: str = "unnamed"
    grid: Grid
    fluid: Fluid
    force: Vector = Field(default={})
    boundaries: dict[str, Face] = Field(default={}, validate_default=True)
    obstacles: list[Obstacle] = Field(default=[])
    initial: Initial = Rest()
    run: Run
    output: Output = Output()

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_default(cls, content: Any) -> Any:
        return {k: v for k, v in content.items() if v is not None} if isinstance(content, dict) else content

    @field_validator("boundaries", mode="before")
    @classmethod
    def _per_face(cls, given: Any, info: ValidationInfo) -> Any:
        if "grid" not in info.data:
            return {}  # the grid is wrong, which is said first
        return per_face(given, tuple(info.data["grid"].cells))

    @model_validator(mode="after")
    def _go_together(self) -> Case:
        self._complete(
            force=vector(self.force, self.axes, "force"),
            boundaries=complete(self.boundaries, self.grid.size),
        )
        for number, obstacle in enumerate(self.obstacles):
            obstacle.check(self.axes, f"obstacles.{number}")
            check_inside(obstacle.build(), self.grid.origin, self.grid.size, f"obstacles.{number}")
        self._complete(initial=self.initial.completed(self))
        chunks = self.output.chunks
        vector(chunks, self.axes, "output.chunks")
        most = CHUNK[len(self.axes)]
        filled = {axis: min(n, chunks.get(axis, most)) for axis, n in self.grid.cells.items()}
        self._complete(output=self.output.model_copy(update={"chunks": filled}))
        return self

    @property
    def axes(self) -> tuple[str, ...]:
        """x, y and, in three dimensions, z."""
        return tuple(self.grid.cells)

    @property
    def components(self) -> int:
        """Of velocity: 2 or 3."""
        return len(self.axes)

    @property
    def spacing(self) -> dict[str, float]:
        return {axis: self.grid.size[axis] / n for axis, n in self.grid.cells.items()}

    def resolved(self) -> dict[str, Any]:
        """The case as plain numbers, strings, lists and mappings, every default filled in; it makes the same case."""
        plain = self.model_dump(mode="json")
        del plain["fluid"]["reynolds"]
        for name in ("snapshots", "diagnostics", "checkpoints"):
            schedule = getattr(self.output, name)
            plain["output"][name] = schedule and schedule.model_dump(exclude_none=True)
        plain["boundaries"] = {name: face.resolved() for name, face in self.boundaries.items()}
        return plain


def make_case(content: Any, source: str = "case") -> Case:
    """A case from a file's content, or from what `Case.resolved` gave. Raises UsageError, one line, naming `source`."""
    if not isinstance(content, dict):
        raise UsageError(f"{source} holds a {type(content).__name__}: expected keys and values, such as 'grid: ...'")
    try:
        return Case.model_validate(content)
    except ValidationError as error:
        raise UsageError(f"{source}: {complaint(error, (*SHAPES, *NAMES))}") from None


def load_case(path: str | Path, overrides: Sequence[str] = ()) -> Case:
    """Read a case file.

    overrides: "dotted.path=value" with value in YAML, as `--set` gives them: boundaries.y+.velocity.x=2
    Relative paths in the file are relative to it, those of overrides to the working directory.
    Raises UsageError: one line that names file, field and what was expected.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    content = anchored({} if content is None else content, path.parent)
    for override in overrides:
        content = overridden(content, override)
    case = make_case(content, str(path))
    check_files(case.obstacles, tuple(reversed(case.grid.cells.values())), str(path))
    return case


def make_problem(case: Case) -> problems.Problem:
    """The case's initial flow. Raises ValueError for from-store, whose parameters are in `case.initial`."""
    return case.initial.build(case)


def make_obstacles(case: Case) -> tuple[Shape | Mask, ...]:
    return tuple(obstacle.build() for obstacle in case.obstacles)


def make_geometry(case: Case) -> Geometry:
    """The case's grid in the order of arrays, (z, y, x)."""

    def ordered(values: dict[str, Any], flat: Any) -> Any:
        return tuple(values.get(axis, flat) for axis in reversed(AXES))

    periodic = {axis: case.boundaries[axis + "-"].kind == "periodic" for axis in case.axes}
    return Geometry(
        cells=ordered(case.grid.cells, 1),
        spacing=ordered(case.spacing, 1.0),
        origin=ordered(case.grid.origin, 0.0),
        periodic=ordered(periodic, True),
        components=case.components,
    )
