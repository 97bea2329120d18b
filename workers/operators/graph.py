"""Graph: a chain (or small DAG) of operators as one operator: what it needs is found backwards, work goes forwards.

        input ---> blur ---> edges ---> difference ---> result
             \\________________________/

Between two steps lies what the first would have stored: its dtype, its grid, its own boundary. So a graph has the bytes
of its steps run one after another on whole arrays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers.buffers import Borrowed
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Meaning, Operator, Report, Window, crop
from gridstride.workers.region import Region, hull_of

if TYPE_CHECKING:
    from gridstride.workers.gpu import Machine
    from gridstride.workers.operators.recipe import Recipe

INPUT = "input"
MOST_FOUND = 64  # wants of which a graph remembers what they take


@dataclass(frozen=True)
class Step:
    """A named step: an operator and the names of what it reads (INPUT, or earlier steps)."""

    name: str
    operator: Operator
    reads: tuple[str, ...] = (INPUT,)


def chain(recipes: Sequence[Recipe], grid: Grid) -> Graph:
    """Recipes one after another, each bound to the grid that the one before gives out."""
    steps, source = [], INPUT
    for number, recipe in enumerate(recipes):
        operator = recipe.bind(grid)
        steps.append(Step(f"step{number}", operator, (source,)))
        grid, source = operator.out_grid(grid), steps[-1].name
    return Graph(tuple(steps))


@dataclass(frozen=True)
class Graph(Operator):
    """Steps in order; the last is the result.

    inputs: names of the arrays on the input's grid (`Window.data` and `Window.others`)
    own:    the steps are those of one operator, which stores nothing between them: what is missing there is NaN in
            floating-point numbers, so that no number is mistaken for it
    says:   what else a user would not expect of the result's numbers
    """

    steps: tuple[Step, ...]
    inputs: tuple[str, ...] = (INPUT,)
    own: bool = False
    says: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:  # type: ignore[override]
        return all(step.operator.exact for step in self.steps)

    @property
    def even(self) -> bool:  # type: ignore[override]
        return all(step.operator.even for step in self.steps)

    @property
    def cpu_only(self) -> bool:  # type: ignore[override]
        return any(step.operator.cpu_only for step in self.steps)

    def describe(self) -> str:
        every = [step.operator.describe() for step in self.steps]
        if self.own:  # what one operator does many times is said once
            return " | ".join(f"{n} x {text}" if n > 1 else text for text, n in Counter(every).items())
        return " | ".join(every)

    def remarks(self, grid: Grid) -> tuple[str, ...]:
        known = self.grids(grid)
        found = [line for step in self.steps for line in step.operator.remarks(_read_by(step, known))]
        return tuple(dict.fromkeys([*found, *self.says]))

    def meaning(self) -> Meaning:
        return self.joins([Meaning(1.0, between=True, chosen=True)] * len(self.inputs))

    def joins(self, meanings: Sequence[Meaning]) -> Meaning:
        found = dict(zip(self.inputs, meanings, strict=True))
        for step in self.steps:
            first, *others = [found[name] for name in step.reads]
            operator = step.operator
            found[step.name] = operator.joins((first, *others)) if others else first.then(operator.meaning())
        return found[self.steps[-1].name]

    def without(self, nodata: NoData, grid: Grid) -> tuple[Graph, NoData | None]:
        return self.without_several((nodata,), grid)

    def without_several(self, nodata: Sequence[NoData | None], grid: Grid) -> tuple[Graph, NoData | None]:
        """Every step leaves out what those before it leave without data."""
        grids, steps = self.grids(grid), []
        missing: dict[str, NoData | None] = dict(zip(self.inputs, nodata, strict=True))
        value = next((one.value for one in nodata if one is not None), nan)
        for step in self.steps:
            there, operator, left = [missing[name] for name in step.reads], step.operator, None
            if self.own:
                hidden = step is not self.steps[-1] and grids[step.name].dtype.kind == "f"
                marker = nan if hidden else value
                there = [one and replace(one, marker=marker) for one in there]
            if len(there) > 1 and any(there):
                operator, left = operator.without_several(there, _read_by(step, grids))
            elif there[0] is not None:
                operator, left = operator.without(there[0], _read_by(step, grids))
            missing[step.name] = left
            steps.append(replace(step, operator=operator))
        return self.but(steps=tuple(steps)), left

    # --- geometry ---
    @cached_property
    def _found(self) -> dict[Any, dict[str, Any]]:
        """Grids and wants that were asked for before: planners ask again and again."""
        return {}

    def grids(self, grid: Grid) -> dict[str, Grid]:
        """The grid that each name stands for."""
        if (found := self._found.get(grid)) is not None:
            return found
        known = {n: grid.having(t) for n, t in zip(self.inputs, (grid.dtype, *grid.others), strict=True)}
        for step in self.steps:
            known[step.name] = step.operator.out_grid(_read_by(step, known))
        self._found[grid] = known
        return known

    def out_grid(self, grid: Grid) -> Grid:
        return self.grids(grid)[self.steps[-1].name]

    def axes_from(self, grid: Grid) -> tuple[int | None, ...]:
        """By way of what each step reads first."""
        known = {name: tuple[int | None, ...](range(grid.ndim)) for name in self.inputs}
        grids = self.grids(grid)
        for step in self.steps:
            before = known[step.reads[0]]
            axes = step.operator.axes_from(_read_by(step, grids))
            known[step.name] = tuple(None if axis is None else before[axis] for axis in axes)
        return known[self.steps[-1].name]

    def uncut(self, grid: Grid) -> frozenset[int]:
        last = self.steps[-1]
        return last.operator.uncut(_read_by(last, self.grids(grid)))

    def wants(self, want: Region, grid: Grid) -> dict[str, Region]:
        """What must be had of each name, found backwards. A step is asked for all of an axis that it may not cut."""
        if (found := self._found.get((want, grid))) is not None:
            return found
        grids = self.grids(grid)
        asked: dict[str, list[Region]] = {self.steps[-1].name: [want]}
        had: dict[str, Region] = {}
        for step in reversed(self.steps):
            if step.name not in asked:
                continue  # a step that nothing reads
            source, shape = _read_by(step, grids), grids[step.name].shape
            region = hull_of(asked[step.name], shape)
            for axis in step.operator.uncut(source):
                region = region.having(axis, (0, shape[axis]))
            had[step.name] = region
            for name in step.reads:
                asked.setdefault(name, []).append(step.operator.needed(region, source))
        had |= {name: hull_of(asked[name], grid.shape) for name in self.inputs if name in asked}
        if len(self._found) >= MOST_FOUND:
            self._found.clear()
        self._found[want, grid] = had
        return had

    def asked(self, want: Region, grid: Grid) -> Iterator[tuple[Step, Grid, Region]]:
        """The steps that a want takes, in order, each with the grid that it reads and what is asked of it."""
        grids, wants = self.grids(grid), self.wants(want, grid)
        for step in self.steps:
            if step.name in wants:
                yield step, _read_by(step, grids), wants[step.name]

    def element_time(self, grid: Grid) -> float:
        whole = Region.whole(self.out_grid(grid).shape)
        taken = sum(s.operator.element_time(source) * r.size for s, source, r in self.asked(whole, grid))
        return taken / max(1, whole.size)

    def sweeps(self) -> int:
        return sum(step.operator.sweeps() for step in self.steps)

    def kept(self, grid: Grid) -> tuple[int, ...]:
        grids = self.grids(grid)
        return tuple(size for step in self.steps for size in step.operator.kept(_read_by(step, grids)))

    def needed(self, want: Region, grid: Grid) -> Region:
        wants = self.wants(want, grid)
        return hull_of([wants[name] for name in self.inputs if name in wants], grid.shape)

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        """At the step that needs most: the intermediate results that it or a later one reads and its own, its working
        memory, and a copy of what it reads."""
        grids, wants = self.grids(grid), self.wants(want, grid)
        made = {s.name: wants[s.name].size * grids[s.name].dtype.itemsize for s in self.steps if s.name in wants}
        last = {name: number for number, step in enumerate(self.steps) for name in step.reads}
        most, held = 0, 0
        for number, step in enumerate(self.steps):
            if step.name not in made:
                continue
            source = _read_by(step, grids)
            copies = step.operator.needed(wants[step.name], source).size * source.dtype.itemsize * len(step.reads)
            held += made[step.name] if step is not self.steps[-1] else 0
            most = max(most, held + step.operator.scratch(wants[step.name], source, device) + copies)
            held -= sum(made.get(name, 0) for name in set(step.reads) if last[name] == number)
        return most

    # --- work ---
    def cpu(self, window: Window, out: np.ndarray) -> Report | None:
        grids, wants = self.grids(window.grid), self.wants(window.want, window.grid)
        had = {name: (array, window.have) for name, array in zip(self.inputs, window.arrays, strict=True)}
        report = None
        with Borrowed() as memory:
            for step in (step for step in self.steps if step.name in wants):
                region, grid = wants[step.name], grids[step.name]
                result = out if step is self.steps[-1] else memory.array(region.shape, grid.dtype)
                for piece, there in region.pieces(grid.shape) if region.size else ():  # inside its grid
                    view = _window(step, piece, grids, had)
                    report = step.operator.cpu(view, result[there] if step.operator.writes() else result)
                had[step.name] = (result, region)
                for array in _forget(had, step, self.steps):
                    memory.give_back(array)
        return report

    def on_gpu(self, window: Window, machine: Machine) -> Any:
        from gridstride.workers.gpu import compute

        grids, wants = self.grids(window.grid), self.wants(window.want, window.grid)
        had = {name: (array, window.have) for name, array in zip(self.inputs, window.arrays, strict=True)}
        result = window.data
        for step in (step for step in self.steps if step.name in wants):
            region, grid = wants[step.name], grids[step.name]
            pieces = list(region.pieces(grid.shape)) if region.size else []
            if len(pieces) == 1:
                result = compute(step.operator, _window(step, pieces[0][0], grids, had), machine)
            else:
                result = machine.xp.empty(region.shape, grid.dtype)
                for piece, there in pieces:
                    result[there] = compute(step.operator, _window(step, piece, grids, had), machine)
            had[step.name] = (result, region)
            _forget(had, step, self.steps)
        return result

    # --- a step that needs a sweep before it can be ---
    def writes(self) -> bool:
        return self.steps[-1].operator.writes()

    def _waiting(self) -> tuple[int, Operator] | None:
        """The first step that needs a sweep, and the operator of that sweep."""
        firsts = ((number, step.operator.first_sweep()) for number, step in enumerate(self.steps))
        return next(((number, first) for number, first in firsts if first is not None), None)

    def first_sweep(self) -> Operator | None:
        """The graph up to the first step that waits, which reports on its own (intermediate) grid."""
        waiting = self._waiting()
        if waiting is None:
            return None
        number, first = waiting
        return self.but(steps=(*self.steps[:number], replace(self.steps[number], operator=first)))

    def resolve(self, reports: Iterable[Report], grid: Grid) -> Operator:
        waiting = self._waiting()
        assert waiting is not None
        number, first = waiting
        step, later = self.steps[number], self.steps[number + 1 :]
        operator = step.operator.resolve(reports, _read_by(step, self.grids(grid)))
        if not first.writes():
            return self.but(steps=(*self.steps[:number], replace(step, operator=operator), *later))
        lost = {name for s in later for name in s.reads} - {s.name for s in (step, *later)}
        if lost:
            raise ValueError(f"step {step.name} stores a result: later steps cannot read {', '.join(sorted(lost))} too")
        return self.but(steps=(replace(step, operator=operator, reads=(INPUT,)), *later), inputs=(INPUT,))


Had = dict[str, tuple[Any, Region]]


def _read_by(step: Step, known: dict[str, Grid]) -> Grid:
    """The grid a step reads: of its first array, and the dtypes of the others, which must have the same shape."""
    first, *rest = [known[name] for name in step.reads]
    if any(grid.shape != first.shape for grid in rest):
        raise ValueError(f"step {step.name} joins arrays of shapes {[known[name].shape for name in step.reads]}")
    return Grid(first.shape, first.dtype, first.axes, tuple(grid.dtype for grid in rest))


def _window(step: Step, want: Region, grids: dict[str, Grid], had: Had) -> Window:
    """The window of one step: the part of what it reads that it needs."""
    grid = _read_by(step, grids)
    need = step.operator.needed(want, grid)
    arrays = [crop(had[name][0], had[name][1], need, grid.shape) for name in step.reads]
    return Window(arrays[0], need, want, grid, tuple(arrays[1:]))


def _forget(had: Had, step: Step, steps: Sequence[Step]) -> list[Any]:
    """Give up what no later step reads: the arrays."""
    later = {name for s in steps[steps.index(step) + 1 :] for name in s.reads}
    return [had.pop(name)[0] for name in list(had) if name not in later and name != step.name]
