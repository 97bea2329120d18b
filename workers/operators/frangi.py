"""frangi: how much like a vessel, as skimage.filters.frangi."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

from pydantic import Field

from gridstride.workers.families.derivatives import stored
from gridstride.workers.families.histogram import Extremes, extremes
from gridstride.workers.families.joined import OfAll
from gridstride.workers.families.symmetric import Symmetric
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Meaning, Operator, Report
from gridstride.workers.operators.graph import Graph, Step
from gridstride.workers.operators.kinds import Width
from gridstride.workers.operators.sato import Sato, largest
from gridstride.workers.region import Region


class Frangi(Sato):
    """How much each element is in a vessel, 0 to 1, by the Hessian's eigenvalues; the largest over all sigmas.

    Equal to skimage.filters.frangi of scikit-image 0.26: integers keep their range, results are floating-point numbers,
    and vessels are dark unless --no-black-ridges is given. Without --gamma the array is read twice: gamma is then half
    of the largest norm of the Hessian at the smallest sigma. (scikit-image takes the sigma that is given first.) Of 2
    or 3 axes. NaN gives NaN as far as the widest Gaussian reaches.
    Example: gridstride filter frangi cells.zarr vessels.zarr --sigmas 1,2,3 --no-black-ridges
    """

    formula: ClassVar[str] = (
        "max over sigma of (1 - exp(-Ra^2 / 2 alpha^2)) exp(-Rb^2 / 2 beta^2) (1 - exp(-S^2 / 2 gamma^2))"
    )
    source: ClassVar[str] = "skimage.filters.frangi; A. F. Frangi et al., Multiscale vessel enhancement filtering, 1998"

    alpha: Width = Field(0.5, description="The larger, the less like a plate a vessel must be; of 3 axes.")
    beta: Width = Field(0.5, description="The larger, the more like a blob a vessel may be.")
    gamma: Width | None = Field(
        None, description="Norm of the Hessian below which it is noise (default: half of the largest one)."
    )

    def bind(self, grid: Grid) -> Operator:
        steps: list[Step] = []
        for number, sigma in enumerate(self.widths):
            more, names = self.matrices(grid, sigma, f"s{number} ")
            measure = Symmetric("frangi", (self.sign, self.alpha, self.beta, self.gamma or 1.0))
            steps += [*more, *largest(measure, names, number)]
        graph = stored(steps, self.between(grid), self.out_dtype(grid), self.cast)
        if self.gamma is not None:
            return graph
        more, names = self.matrices(grid, self.widths[0])
        norms = Graph(
            (*more, Step("norm", Symmetric("frobenius"), names), Step("extremes", Extremes(), ("norm",))), own=True
        )
        return Unscaled(graph, norms)


@dataclass(frozen=True)
class Unscaled(Operator):
    """Frangi's measure before gamma is known. norms: the graph that reports the extremes of the Hessian's norm"""

    graph: Graph
    norms: Graph

    def out_grid(self, grid: Grid) -> Grid:
        return self.graph.out_grid(grid)

    def needed(self, want: Region, grid: Grid) -> Region:
        return self.graph.needed(want, grid)

    def uncut(self, grid: Grid) -> frozenset[int]:
        return self.graph.uncut(grid)

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        return self.graph.scratch(want, grid, device)

    def element_time(self, grid: Grid) -> float:
        return self.graph.element_time(grid)

    def describe(self) -> str:
        return f"{self.graph.describe()}, with gamma from a first sweep"

    def meaning(self) -> Meaning:
        return self.graph.meaning()

    def remarks(self, grid: Grid) -> tuple[str, ...]:
        return self.graph.remarks(grid)

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData | None]:
        graph, left = self.graph.without(nodata, grid)
        return replace(self, graph=graph, norms=self.norms.without(nodata, grid)[0]), left

    def first_sweep(self) -> Operator:
        return self.norms

    def resolve(self, reports: Iterable[Report], grid: Grid) -> Operator:
        """Half of the largest norm, or 1 where all are 0, as scikit-image has it."""
        found = extremes(reports)
        gamma = (0.0 if found is None else float(found[1]) / 2) or 1.0
        return self.graph.but(steps=tuple(replace(s, operator=_with(s.operator, gamma)) for s in self.graph.steps))


def _with(operator: Operator, gamma: float) -> Operator:
    """A step's operator, given gamma."""
    if isinstance(operator, OfAll):
        return operator.but(operator=_with(operator.operator, gamma))
    if isinstance(operator, Symmetric) and operator.formula == "frangi":
        return operator.but(numbers=(*operator.numbers[:3], gamma))
    return operator
