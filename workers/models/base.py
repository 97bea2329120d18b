"""A model: an equation that is advanced in time. The protocol that simulations know it by; docs/models.md shows how to
write one.

    Model    a case of the equation, as a user's file says it, checked; it stays with the client
    Setup    the same in numbers; it travels to the workers, which make blocks from it (`saving.save`)
    Domain   of a setup: the grid, what is beyond its faces, and how the state on it is stored (`models.domain`)
    Block    a part of the grid on a device (`models.block`)

Tuples of three are (z, y, x). A grid of two dimensions has one layer of cells in z, and blocks there are cut along y.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field, model_validator

from gridstride.workers.models.domain import Domain, Index, Sums
from gridstride.workers.models.sections import AXES, Defaulted, Grid, Output, Run, vector

if TYPE_CHECKING:
    from gridstride.workers.models.block import Block

Read = Callable[[str, Sequence[int], Sequence[int]], np.ndarray]

CHUNK = {2: 256, 3: 128}  # cells along an axis of the output's chunks, by default


class Setup(ABC):
    """All that a worker needs to make any block. Implementations are frozen dataclasses."""

    @property
    @abstractmethod
    def domain(self) -> Domain: ...

    @property
    def starts(self) -> bool:
        """Whether `begin` knows the state to begin with; else a snapshot does."""
        return True

    @property
    def extra_arrays(self) -> int:
        """Arrays of a field's size that a block holds beside its state, for the estimate of memory."""
        return 0

    @property
    def gathers(self) -> bool:
        """Whether steps gather what diagnostics need (`Advance.gathered`)."""
        return False

    @abstractmethod
    def block(self, start: Index, stop: Index, reach: int, device: str, step: int = 0, threads: int = 1) -> Block:
        """The block [start, stop), empty, with a halo for `reach` steps between two exchanges."""

    @abstractmethod
    def begin(self, block: Block) -> None:
        """Put the state at time 0 into a block, halos and ghost cells included."""

    def begin_from(self, block: Block, levels: np.ndarray, dt: float) -> None:
        """Put another run's state into a block: what the block holds of it, as `Block.load` takes it; dt: its step."""
        block.load(levels.astype(self.domain.dtype), block.held()[0])
        block.fill()

    def interpolate(self, block: Block, read: Read) -> None:
        """Put a state that is interpolated from a snapshot's values at cell centres into a block.

        read(array, low, high): these values, for any global indices.
        """
        raise NotImplementedError

    def interpolation_note(self, read: Read) -> str:
        """What is lost by that, in words."""
        return ""

    @abstractmethod
    def measure(self, block: Block) -> Sums:
        """The diagnostics' share of a block: sums by planes, so that the cut changes no bit of their total."""

    @abstractmethod
    def output(self, block: Block, name: str) -> np.ndarray:
        """An array of the output over the block's own cells, at their centres: (z, y, x) or (y, x), on the host."""

    def static(self, name: str, start: Sequence[int], stop: Sequence[int]) -> np.ndarray:
        """A region (z, y, x) of an array of the output that does not change with time."""
        raise NotImplementedError

    def exact(self, block: Block, time: float) -> dict[str, np.ndarray]:
        """The exact solution over the block's own cells, by name of an output; empty where none is known."""
        return {}


@dataclass(frozen=True)
class Input:
    """A file or Zarr array that a case names: field of the case, where it is, and the shape that it must have."""

    field: str
    path: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Snapshot:
    """A simulation's state that a case begins with: its store, and the time (None: the last).

    arrays: of snapshots, that hold a state whole, in the order of `Block.load`
    centres: of snapshots, that hold values at cell centres, from which a state is interpolated if `interpolate` says so
    """

    path: str
    time: float | None
    arrays: tuple[str, ...]
    centres: tuple[str, ...] = ()
    interpolate: bool = False


@dataclass(frozen=True)
class Problem:
    """A case with an exact solution: content without the grid's cells, and by which order its error falls with them."""

    name: str
    case: dict[str, Any]
    cells: tuple[int, int] = (16, 32)  # along each axis: a coarse grid, and one that is finer
    order: float = 2.0


@dataclass(frozen=True)
class Conclusion:
    """What a finished run's diagnostics say, a line each: findings in few words; warnings with what to change."""

    findings: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Model(Defaulted):
    """A case, complete: defaults are filled in, vectors have all axes. Each model adds its own sections."""

    tags: ClassVar[tuple[str, ...]] = ()  # names that stand between fields in pydantic's errors, and in no file
    long_names: ClassVar[dict[str, str]] = {}  # of output arrays

    name: str = "unnamed"
    model: str
    grid: Grid
    run: Run
    output: Output = Field(default={}, validate_default=True)

    @model_validator(mode="after")
    def _chunks(self) -> Model:
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
    def spacing(self) -> dict[str, float]:
        return {axis: self.grid.size[axis] / n for axis, n in self.grid.cells.items()}

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.float32 if self.run.precision == "single" else np.float64)

    def ordered(self, values: dict[str, Any], flat: Any) -> Any:
        """Values by axis as (z, y, x); flat: of a z that the grid has not."""
        return tuple(values.get(axis, flat) for axis in reversed(AXES))

    def resolved(self) -> dict[str, Any]:
        """The case as plain numbers, strings, lists and mappings, every default filled in; it makes the same case."""
        plain = self.model_dump(mode="json")
        for name in ("snapshots", "diagnostics", "checkpoints"):
            schedule = getattr(self.output, name)
            plain["output"][name] = schedule and schedule.model_dump(exclude_none=True)
        return plain

    # --- what a simulation asks -------------------------------------------------------------------------------

    @abstractmethod
    def stable_step(self) -> float:
        """The longest stable dt."""

    @abstractmethod
    def setup(self, dt: float) -> Setup:
        """The case in numbers. Raises ValueError, one line, for what only the numbers show to be impossible."""

    @abstractmethod
    def arrays(self) -> tuple[str, ...]:
        """Names of the output's arrays that each snapshot has."""

    def statics(self) -> tuple[str, ...]:
        """Names of the output's arrays that do not change with time."""
        return ()

    @abstractmethod
    def sums(self) -> tuple[str, ...]:
        """Names of what `Setup.measure` adds up: means over the grid once divided by its number of cells."""

    @abstractmethod
    def largest(self) -> tuple[str, ...]:
        """Names of what `Setup.measure` gives the largest of."""

    def gathered(self) -> tuple[str, ...]:
        """Names of what steps gather, one for each column of `Advance.gathered`."""
        return ()

    def from_gathered(self, totals: np.ndarray, setup: Setup) -> np.ndarray:
        """What is written of the totals that were gathered."""
        return totals

    def columns(self) -> tuple[str, ...]:
        """Quantities of the diagnostics."""
        return (*self.sums(), *self.largest(), *self.gathered(), *self.derived())

    def derived(self) -> tuple[str, ...]:
        """Names of what `derive` gives."""
        return ()

    def derive(self, row: Mapping[str, float]) -> dict[str, float]:
        """Quantities that follow from the others of a sample."""
        return {}

    def stops(self, row: Mapping[str, float]) -> str | None:
        """Why the run must end with this sample, and what to change, for people; None if it need not."""
        return None

    def conclude(self, samples: Mapping[str, np.ndarray], dt: float) -> Conclusion:
        """What all samples together, of steps dt, say of the result."""
        return Conclusion()

    def inputs(self) -> list[Input]:
        """Files that the workers read while they compute: their content belongs to the simulation's identity."""
        return []

    def snapshot(self) -> Snapshot | None:
        """The state of another simulation that this begins with, if it does."""
        return None

    def about(self) -> str:
        """The physics in a few words, for the plan."""
        return self.model

    def facts(self, setup: Setup) -> dict[str, str]:
        """What else the plan should say, line by line."""
        return {}

    def warnings(self) -> list[str]:
        """What is likely to be wrong with the case, a line each: the figure, and what to change."""
        return []

    def attributes(self, setup: Setup) -> dict[str, Any]:
        """What is stored with the output beside the case."""
        return {}

    def blown_up(self, where: str, setup: Setup, largest: Mapping[str, float]) -> str:
        """What it means that the state went beyond its limit at a place, and what to change, for people.

        largest: of the diagnostics' largest values, as far as any was measured
        """
        return f"the solution blew up at {where}; make run.cfl smaller"

    @classmethod
    def problems(cls) -> Iterator[Problem]:
        """Cases with exact solutions, for tests of the model's order."""
        return iter(())
