"""What flow a simulation begins with, as a case file says it: one model for each problem, and the problem it makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field

from gridstride.workers.models import sections
from gridstride.workers.models.edac import problems
from gridstride.workers.models.sections import Positive, Section, Vector, vector

if TYPE_CHECKING:
    from gridstride.workers.models.edac.case import Edac


class Start(Section):
    """A problem's parameters. `completed` fills in those that follow from the rest of the case; `build` then makes it.

    Both raise ValueError where problem and case do not go together.
    """

    makes: ClassVar[Any] = None  # the class of problem, or None

    def completed(self, case: Edac) -> Any:
        updates = {}
        if getattr(self, "speed", 0.0) is None:
            updates["speed"] = case.fluid.speed
        if self.makes:
            check(self.makes, case)
        return self.model_copy(update=updates)

    def build(self, case: Edac) -> problems.Problem:
        raise NotImplementedError


class Rest(Start):
    """Nothing moves."""

    makes = problems.Rest
    problem: Literal["rest"] = "rest"

    def build(self, case: Edac) -> problems.Problem:
        return problems.Rest()


class Uniform(Start):
    """velocity: everywhere; default fluid.speed along x."""

    makes = problems.Uniform
    problem: Literal["uniform"]
    velocity: Vector | None = None

    def completed(self, case: Edac) -> Uniform:
        super().completed(case)
        given: Any = {"x": case.fluid.speed} if self.velocity is None else self.velocity
        return self.model_copy(update={"velocity": vector(given, case.axes, "initial.velocity")})

    def build(self, case: Edac) -> problems.Problem:
        return problems.Uniform(tuple((self.velocity or {}).values()))


class TaylorGreen(Start):
    """speed: default fluid.speed. For a cube, periodic or with slip faces."""

    makes = problems.TaylorGreen
    problem: Literal["taylor-green"]
    speed: Positive | None = None

    def build(self, case: Edac) -> problems.Problem:
        size, origin = _box(case)
        return problems.TaylorGreen(self.speed or case.fluid.speed, size[0], (origin[0], origin[1], origin[2]))

    def completed(self, case: Edac) -> TaylorGreen:
        if len(set(case.grid.size.values())) != 1 and len(case.axes) == 3:
            raise ValueError(f"grid.size is {case.grid.size}: problem taylor-green needs a cube")
        return super().completed(case)


class TravellingTaylorGreen(Start):
    """speed: of the vortices, default fluid.speed; background: velocity that carries them, default speed along each."""

    makes = problems.TravellingTaylorGreen
    problem: Literal["travelling-taylor-green"]
    speed: Positive | None = None
    background: Vector | None = None

    def completed(self, case: Edac) -> TravellingTaylorGreen:
        done: TravellingTaylorGreen = super().completed(case)
        given: Any = dict.fromkeys(case.axes, done.speed) if self.background is None else self.background
        return done.model_copy(update={"background": vector(given, case.axes, "initial.background")})

    def build(self, case: Edac) -> problems.Problem:
        size, origin = _box(case)
        x, y = (self.background or {}).values()
        return problems.TravellingTaylorGreen(
            self.speed or case.fluid.speed, (x, y), case.fluid.viscosity, (size[0], size[1]), (origin[0], origin[1])
        )


class ShearLayer(Start):
    """speed: default fluid.speed; sharpness: box height over layer thickness; perturbation: share of speed."""

    makes = problems.ShearLayer
    problem: Literal["shear-layer"]
    speed: Positive | None = None
    sharpness: Positive = 80.0
    perturbation: float = 0.05

    def build(self, case: Edac) -> problems.Problem:
        size, origin = _box(case)
        speed = self.speed or case.fluid.speed
        return problems.ShearLayer(speed, self.sharpness, self.perturbation, (size[0], size[1]), (origin[0], origin[1]))


class Poiseuille(Start):
    """speed: at the middle; default what force.x drives in the long run, or fluid.speed without a force."""

    makes = problems.Poiseuille
    problem: Literal["poiseuille"]
    speed: float | None = None

    def completed(self, case: Edac) -> Poiseuille:
        super().completed(case)
        force = case.force.get("x", 0.0)
        driven = force * case.grid.size["y"] ** 2 / (8 * case.fluid.viscosity)
        return self if self.speed is not None else self.model_copy(update={"speed": driven or case.fluid.speed})

    def build(self, case: Edac) -> problems.Problem:
        size, origin = _box(case)
        return problems.Poiseuille(
            case.fluid.speed if self.speed is None else self.speed,
            viscosity=case.fluid.viscosity,
            force=case.force["x"],
            height=size[1],
            bottom=origin[1],
            outlet=origin[0] + size[0],
        )


class Couette(Start):
    """Between the velocities of the walls at y- and y+."""

    makes = problems.Couette
    problem: Literal["couette"]

    def build(self, case: Edac) -> problems.Problem:
        size, origin = _box(case)
        low, high = (tuple(case.boundaries[name].velocity.values()) for name in ("y-", "y+"))
        return problems.Couette(low, high, height=size[1], bottom=origin[1])


class Random(Start):
    """seed; speed: root mean square, default fluid.speed; peak: waves along x where the energy spectrum peaks."""

    makes = problems.Random
    problem: Literal["random"]
    seed: int = Field(default=0, ge=0)
    speed: Positive | None = None
    peak: Annotated[float, Field(ge=1)] = 4.0

    def completed(self, case: Edac) -> Random:
        done: Random = super().completed(case)
        for axis, waves in zip(case.axes, done.build(case).reach, strict=True):
            if case.grid.cells[axis] <= 2 * waves:
                raise ValueError(
                    f"initial.peak is {self.peak}: its {waves} waves along {axis} need more than {2 * waves} cells, "
                    f"and grid.cells.{axis} is {case.grid.cells[axis]}"
                )
        return done

    def build(self, case: Edac) -> problems.Random:
        size, origin = _box(case)
        spacing = tuple(case.spacing.values())
        return problems.Random(self.seed, self.speed or case.fluid.speed, self.peak, size, origin, spacing)


class FromStore(sections.FromStore, Start):
    """interpolate: whether velocities at faces may be means of those at cell centres where the store has no more."""

    interpolate: bool = False

    def completed(self, case: Edac) -> FromStore:
        if case.run.ramp and any(face.kind == "inflow" for face in case.boundaries.values()):
            raise ValueError(
                f"run.ramp is {case.run.ramp:g}: with initial.problem from-store the inflow of a flow that is there "
                "would stop, and rise again: leave out run.ramp"
            )
        return super().completed(case)

    def build(self, case: Edac) -> problems.Problem:
        raise ValueError("initial.problem is from-store, which is read from its store and has no formula")


MODELS = (Rest, Uniform, TaylorGreen, TravellingTaylorGreen, ShearLayer, Poiseuille, Couette, Random, FromStore)
NAMES = tuple(get_args(model.model_fields["problem"].annotation)[0] for model in MODELS)
Initial = Annotated[
    Rest | Uniform | TaylorGreen | TravellingTaylorGreen | ShearLayer | Poiseuille | Couette | Random | FromStore,
    Field(discriminator="problem"),
]


def check(problem: Any, case: Edac) -> None:
    """Raise ValueError unless a problem's dimensions and boundaries are the case's."""
    if len(case.axes) not in problem.dimensions:
        raise ValueError(
            f"initial.problem {problem.name} is {problem.dimensions[0]}-D, and the grid {len(case.axes)}-D"
        )
    kinds = {name: face.kind for name, face in case.boundaries.items()}
    allowed: dict[str, tuple[str, ...]] = {}
    if problem.boundaries == "channel":
        allowed = {"y-": ("wall",), "y+": ("wall",), "x-": ("periodic", "inflow"), "x+": ("periodic", "outflow")}
    elif problem.boundaries != "any":
        allowed = dict.fromkeys(kinds, tuple(problem.boundaries.split(" or ")))
    for name, choices in allowed.items():
        if kinds[name] not in choices:
            raise ValueError(
                f"boundaries.{name} is {kinds[name]}: initial.problem {problem.name} needs {' or '.join(choices)} there"
            )


def _box(case: Edac) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(case.grid.size.values()), tuple(case.grid.origin.values())
