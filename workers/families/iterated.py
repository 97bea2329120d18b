"""Iterated: an operator applied again and again, each time to its own result, some times in one read and write.

Where the halos of many times would be larger than it pays to compute twice, the result of some times is stored and read
again: a sweep for each such run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from gridstride.workers.operators.base import Grid, Meaning, Operator, Report
from gridstride.workers.operators.graph import Graph, Step
from gridstride.workers.region import Region

FUSED_REACH = 16  # elements that one sweep looks beyond a block's edge at most, if it is to make more than one time
MOST_FUSED = 32  # times in one sweep


@dataclass(frozen=True)
class Iterated(Operator):
    """A first step, and then another `times` - 1 times, `each` times in a sweep. Made by `iterated`.

    The geometry is that of the last sweep, which alone is left when the others are made.
    """

    first: Operator
    step: Operator
    times: int
    each: int

    def run(self, times: int) -> Graph:
        """The first steps, so many of them, as one operator."""
        names = [f"time{number}" for number in range(times)]
        operators = [self.first, *[self.step] * (times - 1)]
        reads = [("input",), *((name,) for name in names[:-1])]
        return Graph(tuple(map(Step, names, operators, reads)))

    @cached_property
    def last(self) -> Graph:
        left = self.times - self.each * ((self.times - 1) // self.each)
        return self.but(first=self.step).run(left)

    @property
    def exact(self) -> bool:  # type: ignore[override]
        return self.first.exact and self.step.exact

    @property
    def cpu_only(self) -> bool:  # type: ignore[override]
        return self.first.cpu_only

    def out_grid(self, grid: Grid) -> Grid:
        return self.first.out_grid(grid)

    def needed(self, want: Region, grid: Grid) -> Region:
        return self.last.needed(want, self.out_grid(grid))

    def uncut(self, grid: Grid) -> frozenset[int]:
        return self.step.uncut(self.out_grid(grid))

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        return self.last.scratch(want, self.out_grid(grid), device)

    def element_time(self, grid: Grid) -> float:
        """Of all times together."""
        return self.first.element_time(grid) + (self.times - 1) * self.step.element_time(self.out_grid(grid))

    def sweeps(self) -> int:
        return -(-self.times // self.each) - 1

    def kept(self, grid: Grid) -> tuple[int, ...]:
        return (self.out_grid(grid).nbytes,) * self.sweeps()

    def describe(self) -> str:
        return f"{self.first.describe()}, {self.times} times in {self.sweeps() + 1} sweeps of up to {self.each}"

    def remarks(self, grid: Grid) -> tuple[str, ...]:
        return self.first.remarks(grid)

    def meaning(self) -> Meaning:
        return self.first.meaning().then(self.step.meaning())

    def first_sweep(self) -> Operator:
        return self.run(self.each)

    def resolve(self, reports: Iterable[Report], grid: Grid) -> Operator:
        left = self.but(first=self.step, times=self.times - self.each)
        return left if left.times > self.each else left.last


@dataclass(frozen=True)
class Repeated(Graph):
    """A graph of one step again and again, in one sweep."""

    def describe(self) -> str:
        return f"{self.steps[0].operator.describe()}, {len(self.steps)} times in one sweep"


def iterated(bind: Callable[[Grid], Operator], grid: Grid, times: int) -> Operator:
    """What `bind` makes, applied so many times. Raises ValueError if it goes on changing shape or dtype."""
    first = bind(grid)
    if times == 1:
        return first
    between = first.out_grid(grid)
    step = first if between == grid else bind(between)
    after = step.out_grid(between)
    if after != between:
        raise ValueError(
            f"iterations is {times}: it gives {after.dtype} of {between.dtype}, and what is applied again must give "
            f"what it takes; give --out-dtype {after.dtype}"
        )
    reach = _reach(step, between)
    fused = min(MOST_FUSED, FUSED_REACH // reach if reach else MOST_FUSED)
    sweeps = -(-times // max(1, fused))
    made = Iterated(first, step, times, -(-times // sweeps))
    return Repeated(made.run(times).steps) if sweeps == 1 else made


def _reach(step: Operator, grid: Grid) -> int:
    """How far a step looks beyond a block's edge, on a grid that is large enough to see it."""
    large = grid.having(shape=[2**20] * grid.ndim)
    middle = Region.of([2**19] * grid.ndim, [2**19 + 1] * grid.ndim)
    need = step.needed(middle, large)
    return max((max(2**19 - a, b - 2**19 - 1) for a, b in need.spans), default=0)
