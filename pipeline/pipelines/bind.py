"""Binds a pipeline to the grid of an array: the checked operator, and what its steps come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.pipelines.joins import JOINS, Join
from gridstride.pipeline.pipelines.pipeline import Pipeline, StepTerms, plain
from gridstride.pipeline.storage.axes import axes_text
from gridstride.pipeline.text import shape_text
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.graph import INPUT, Graph, Step
from gridstride.workers.operators.staged import alone


@dataclass(frozen=True)
class BoundStep:
    """A step on the grid that it reads. reads: INPUT, or the numbers of earlier steps as texts"""

    terms: StepTerms
    reads: tuple[str, ...]
    resolved: dict[str, Any]
    operator: Operator
    grid: Grid
    out: Grid

    def request(self) -> dict[str, Any]:
        """The user's terms with what defaults came to, for provenance."""
        step = self.terms
        named = {"name": step.name, "inputs": step.inputs}
        return plain({"command": step.operator, **named, **step.options, **self.resolved})


@dataclass(frozen=True)
class Bound:
    """A pipeline's operator, whose steps (if there are several) are called by their numbers; and its notes."""

    pipeline: Pipeline
    operator: Operator
    steps: tuple[BoundStep, ...]
    notes: tuple[str, ...]

    def request(self) -> dict[str, Any]:
        """The user's terms, for provenance: of one operator, a chain, or a whole pipeline."""
        terms = [step.request() for step in self.steps]
        if self.pipeline.source is not None:
            return {"command": "run", "pipeline": self.pipeline.text(), "steps": terms}
        return terms[0] if len(terms) == 1 else {"command": "chain", "steps": terms}

    def axes(self) -> str:
        """Which axes are filtered and which are not, in words; "" where no step has any."""
        told = [
            (step.terms.operator, axes_text(step.grid.axes, step.resolved["axes"]))
            for step in self.steps
            if "axes" in step.resolved
        ]
        if len({text for _, text in told}) == 1:
            return told[0][1]
        return "; ".join(f"{name} {text}" for name, text in told)

    def table(self) -> str:
        """A line for each step: its operator, what it reads, and what it gives."""
        lines = []
        for number, step in enumerate(self.steps, 1):
            name = f" {step.terms.name}" if step.terms.name else ""
            reads = [read if read == INPUT else f"step {int(read) + 1}" for read in step.reads]
            plainly = step.terms.inputs is None
            source = "" if plainly else f" of {' and '.join(reads)}"
            shape = f", {shape_text(step.out.shape)}" if step.out.shape != step.grid.shape else ""
            dtypes = f"{step.grid.dtype} -> {step.out.dtype}"
            lines.append(f"{number}{name}: {step.terms.operator}{source}, {step.operator.describe()}; {dtypes}{shape}")
        return "\n".join(lines)


def bind(pipeline: Pipeline, grid: Grid, labels: bool = False) -> Bound:
    """A pipeline on a grid. Raises UsageError, in one line that names the step.

    labels: whether elements are numbers of objects, which may not be summed
    """
    if not pipeline.steps:
        raise UsageError("a chain has no steps: expected one or more, each (name, {parameter: value})")
    recipes = [step.recipe() for step in pipeline.steps]
    grids, holding, steps = {INPUT: grid}, {INPUT: labels}, []
    single = len(recipes) == 1 and pipeline.source is None
    for number, (terms, recipe, reads) in enumerate(zip(pipeline.steps, recipes, pipeline.reads(), strict=True)):
        place = "" if single else f"{terms.place}: "
        if len(reads) > 1 and not isinstance(recipe, Join):
            several = f"inputs names {len(reads)}: join them in a step before, by {', '.join(JOINS)}"
            raise UsageError(f"{place}{terms.operator} reads one array, and {several}")
        source = _joined([grids[name] for name in reads], terms, place)
        try:
            operator = recipe.bind(source)
            resolved = recipe.resolved(source)
            out = operator.out_grid(source)
        except ValueError as error:
            raise UsageError(f"{place}{error}") from None
        held = any(holding[name] for name in reads)
        truth = out.dtype.kind == "b" or operator.meaning().truths
        if held and not (truth or operator.meaning().chosen):
            here = place if pipeline.source is not None else ""
            raise UsageError(
                f"{here}the array holds labels, and {terms.operator} would mix the numbers of objects into those of "
                "others: use median, downsample with method mode or another operator that chooses, make a mask by "
                "threshold first, or give --force-labels"
            )
        grids[str(number)], holding[str(number)] = out, (held and not truth) or operator.meaning().labels
        steps.append(BoundStep(terms, reads, resolved, operator, source, out))
    _check_stored(steps)
    notes = [
        f"{terms.place if pipeline.source is not None else terms.operator}: {note}"
        for terms, recipe in zip(pipeline.steps, recipes, strict=True)
        for note in recipe.notes()
    ]
    graph = Graph(tuple(Step(str(number), step.operator, step.reads) for number, step in enumerate(steps)))
    return Bound(pipeline, alone(graph), tuple(steps), tuple(notes))


def _check_stored(steps: list[BoundStep]) -> None:
    """Refuse a step that stores its result where later steps read what comes before it: a sweep reads one array."""
    for number, step in enumerate(steps):
        first = step.operator.first_sweep()
        if first is None or not first.writes():
            continue
        before = {INPUT, *(str(n) for n in range(number))}
        for later in steps[number + 1 :]:
            if before & set(later.reads):
                raise UsageError(
                    f"{later.terms.place}: it reads what comes before {step.terms.operator} (step {number + 1}), which "
                    "is computed in several sweeps and stores what they give: only its result can be read after it"
                )


def _joined(sources: list[Grid], terms: StepTerms, place: str) -> Grid:
    """The grid that a step reads: that of its first array, with the dtypes of the others."""
    first, *rest = sources
    for other in rest:
        if other.shape != first.shape:
            shapes = " and ".join(shape_text(grid.shape) for grid in sources)
            raise UsageError(f"{place}{terms.operator} joins arrays of one shape, and these are of {shapes}")
    return Grid(first.shape, first.dtype, first.axes, tuple(grid.dtype for grid in rest))
