"""How far blocks look beyond their edges, measured from what the operator says it needs; and whether neighbours can
give it to each other by `map_overlap`. Pure arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.region import Region

Edges = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Halo:
    """What blocks take in beyond their own elements, an entry for each axis of the result.

    depth:    elements (before, after) on axes that are cut, (0, 0) on others
    periodic: whether the first block needs the last one
    possible: whether neighbours can exchange it: block i of the result lies where block i of the input does, and no
              halo is thicker than a block
    overhead: elements that blocks take in, over elements of the input, less 1
    """

    depth: tuple[tuple[int, int], ...]
    periodic: tuple[bool, ...]
    possible: bool
    overhead: float


def measure(operator: Operator, grid: Grid, edges: Edges) -> Halo:
    """The halo of a grid that is cut at `edges`, from its first, middle and last block along each axis; from all of
    them where what they need depends on where they lie."""
    out = operator.out_grid(grid)
    if 0 in out.shape or 0 in grid.shape:
        return Halo(((0, 0),) * out.ndim, (False,) * out.ndim, False, 0.0)
    middle = Region(tuple((e[(len(e) - 1) // 2], e[(len(e) - 1) // 2 + 1]) for e in edges))
    same = out.ndim == grid.ndim
    depths, periodic, thin = [], [], False
    for axis, cuts in enumerate(edges):
        if len(cuts) == 2:
            depths.append((0, 0))
            periodic.append(False)
            same = same and (out.shape[axis] == grid.shape[axis] or axis in operator.uncut(grid))
            continue
        same = same and out.shape[axis] == grid.shape[axis]
        some = sorted({0, 1, (len(cuts) - 1) // 2, len(cuts) - 3, len(cuts) - 2})
        spans = [(cuts[i], cuts[i + 1]) for i in (some if operator.even else range(len(cuts) - 1))]
        needs = [operator.needed(middle.having(axis, span), grid) for span in spans]
        if not same:
            continue
        reads = [need.spans[axis] for need in needs]
        before = max(0, *(a - c for (a, _), (c, _) in zip(spans, reads, strict=True)))
        after = max(0, *(d - b for (_, b), (_, d) in zip(spans, reads, strict=True)))
        depths.append((before, after))
        periodic.append(any(c < 0 or d > grid.shape[axis] for c, d in reads))
        thin = thin or max(before, after) > min(b - a for a, b in pairwise(cuts))
    depth = tuple(depths) if same else ((0, 0),) * out.ndim
    overhead = _overhead(operator, grid, edges, middle)
    return Halo(depth, tuple(periodic) if same else (False,) * out.ndim, same and not thin, overhead)


def _overhead(operator: Operator, grid: Grid, edges: Edges, middle: Region) -> float:
    """Elements that all blocks take in, over those of the grid, less 1: what blocks along each axis need, times each
    other."""
    base = operator.needed(middle, grid).size
    total = float(base)
    for axis, cuts in enumerate(edges):
        count = len(cuts) - 1
        if count == 1 or not base:
            continue
        first, last = (
            operator.needed(middle.having(axis, span), grid).size for span in ((cuts[0], cuts[1]), (cuts[-2], cuts[-1]))
        )
        total *= (first + last + base * (count - 2)) / base if count > 2 else (first + last) / base
    return max(0.0, total / max(1, Region.whole(grid.shape).size) - 1)


def shared_edges(edges: Sequence[int], least: int) -> tuple[int, ...]:
    """Edges along one axis, a last block thinner than `least` joined to the one before."""
    if len(edges) > 2 and edges[-1] - edges[-2] < least:
        return (*edges[:-2], edges[-1])
    return tuple(edges)
