"""`gridstride apply ... --check`: a kernel of the user's tried on parts of the real input; nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.pipelines.bind import bind
from gridstride.pipeline.pipelines.pipeline import of_list
from gridstride.pipeline.storage.describe import describe
from gridstride.pipeline.storage.regions import read_wrapped
from gridstride.workers.families.user_check import CHECKS, Part, applies, leaves_its_block
from gridstride.workers.families.user_kernel import UserKernel
from gridstride.workers.operators.base import Grid, Operator, Window
from gridstride.workers.operators.graph import Graph
from gridstride.workers.region import Region

MOST_ELEMENTS = 2**16  # of a part's result
SLICES = 2  # of each axis that is not filtered


@dataclass(frozen=True)
class Checked:
    """What one check found. complaint: in one line, or "" where all is well"""

    check: str
    complaint: str


def check_kernel(
    program: Any, input: str | Path, terms: Mapping[str, Any], array: str | None = None
) -> Iterator[Checked]:
    """Check a program with the terms of `apply`, on the array's first elements and on its middle. Raises UsageError
    for what is wrong before it can run."""
    info = describe(input, array)
    given = {**terms, "file": program, "iterations": 1}
    kernel = kernel_of(bind(of_list([("apply", given)]), info.grid).operator)
    if 0 in info.grid.shape:
        raise UsageError(f"{info.path} has no elements: expected some to check with")
    parts = [read_part(kernel, want, info.grid, info.path) for want in wanted(kernel, info.grid)]
    for name, check in CHECKS.items():
        if not applies(name, kernel):
            continue
        found = next((said for part in parts if (said := check(part))), "")
        yield Checked(name, found)
        if found and check is not leaves_its_block:
            return  # what else would be found follows from it


def kernel_of(operator: Operator) -> UserKernel:
    """The user's kernel, without what stores its result as another dtype."""
    found = operator.steps[0].operator if isinstance(operator, Graph) else operator
    assert isinstance(found, UserKernel)
    return found


def wanted(kernel: UserKernel, grid: Grid) -> list[Region]:
    """Parts of the result: at the array's start and in its middle, large enough for cuts beyond the reach of halos."""
    edge = round(MOST_ELEMENTS ** (1 / len(kernel.axes)))
    sizes = [min(n, edge if axis in kernel.axes else SLICES) for axis, n in enumerate(grid.shape)]
    first = Region(tuple((0, size) for size in sizes))
    middle = Region(tuple(((n - size) // 2, (n - size) // 2 + size) for n, size in zip(grid.shape, sizes, strict=True)))
    return list(dict.fromkeys([first, middle]))


def read_part(kernel: UserKernel, want: Region, grid: Grid, path: str) -> Part:
    have = kernel.needed(want, grid)
    return Part(kernel, Window(read_wrapped(path, have.start, have.stop), have, want, grid))
