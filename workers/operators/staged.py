"""Staged: a graph cut into stages, each of which stores its result for the next one to read.

input ---> median ---> gaussian ---> STORED ---> otsu ---> result
           stage 0                               stage 1
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Meaning, Operator, Report
from gridstride.workers.operators.graph import INPUT, Graph
from gridstride.workers.region import Region


@dataclass(frozen=True)
class Staged(Operator):
    """A graph that is swept stage by stage, with the graph's bytes.

    cuts: for each stage but the last, the number of steps before its end; no step after a cut reads anything from
          before it but the result of the step just before it
    """

    graph: Graph
    cuts: tuple[int, ...]

    @property
    def exact(self) -> bool:  # type: ignore[override]
        return self.graph.exact

    @property
    def cpu_only(self) -> bool:  # type: ignore[override]
        return self.graph.cpu_only

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData | None]:
        graph, left = self.graph.without(nodata, grid)
        return replace(self, graph=graph), left

    def out_grid(self, grid: Grid) -> Grid:
        return self.graph.out_grid(grid)

    def axes_from(self, grid: Grid) -> tuple[int | None, ...]:
        return self.graph.axes_from(grid)

    def needed(self, want: Region, grid: Grid) -> Region:
        return self.graph.needed(want, grid)

    def describe(self) -> str:
        return " || ".join(stage.describe() for stage in self.stages())

    def meaning(self) -> Meaning:
        return self.graph.meaning()

    def remarks(self, grid: Grid) -> tuple[str, ...]:
        return self.graph.remarks(grid)

    def stages(self) -> Iterator[Operator]:
        """The operators of the stages in order; each reads what the one before it gives."""
        edges = [0, *self.cuts, len(self.graph.steps)]
        for first, last in pairwise(edges):
            yield part(self.graph, first, last)

    def first_sweep(self) -> Operator | None:
        """The first stage, or the sweep that it asks for itself."""
        stage = next(self.stages())
        return stage.first_sweep() or (stage if self.cuts else None)

    def resolve(self, reports: Iterable[Report], grid: Grid) -> Operator:
        cut, *later = self.cuts
        front = _graph_of(self.graph, 0, cut)
        if front.first_sweep() is not None:
            front = _as_graph(front.resolve(reports, grid))
            steps = (*front.steps, *self.graph.steps[cut:])
            moved = len(front.steps) - cut  # a step that stored its result itself has left those before it behind
            return Staged(Graph(steps, front.inputs), tuple(at + moved for at in self.cuts))
        rest = _graph_of(self.graph, cut, len(self.graph.steps))
        return Staged(rest, tuple(at - cut for at in later)) if later else alone(rest)


def fused(operator: Operator) -> Operator:
    """The operator without its cuts, which change no byte of its result."""
    return operator.graph if isinstance(operator, Staged) else operator


def steps_of(operator: Operator) -> list[Operator]:
    """The operators of a graph, cut or not, in order; an operator that is none is the only one."""
    operator = fused(operator)
    return [step.operator for step in operator.steps] if isinstance(operator, Graph) else [operator]


def cuttable(graph: Graph) -> list[int]:
    """Where a graph may be cut: the numbers of steps before a place that only the result of the last of them passes."""
    found = []
    for cut in range(1, len(graph.steps)):
        known = {step.name for step in graph.steps[cut:]} | {graph.steps[cut - 1].name}
        if all(name in known for step in graph.steps[cut:] for name in step.reads):
            found.append(cut)
    return found


def part(graph: Graph, first: int, last: int) -> Operator:
    """Some steps in a row of a graph, as an operator of what the step before them gives."""
    return alone(_graph_of(graph, first, last))


def alone(graph: Graph) -> Operator:
    """A graph of one step as that step."""
    return graph.steps[0].operator if len(graph.steps) == 1 and graph.steps[0].reads == (INPUT,) else graph


def _graph_of(graph: Graph, first: int, last: int) -> Graph:
    if first == 0:
        return graph.but(steps=graph.steps[:last])
    before, steps = graph.steps[first - 1].name, graph.steps[first:last]
    renamed = (replace(step, reads=tuple(INPUT if name == before else name for name in step.reads)) for step in steps)
    return Graph(tuple(renamed))


def _as_graph(operator: Operator) -> Graph:
    assert isinstance(operator, Graph)
    return operator
