"""Labels by their sizes: all elements of one value in a slice are an object, connected or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gridstride.workers.families.labels_cells import TOGETHER, boxes, indices
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Meaning, Operator, Report, Window
from gridstride.workers.region import Region

RUN_BYTES = 100  # of arrays with an entry for each run, at a time


@dataclass(frozen=True)
class ByValue(Operator):
    """What sweeps over labels share. axes: that are filtered, ascending; elements along others are in other slices"""

    axes: tuple[int, ...]

    cpu_only = True

    def runs(self, window: Window) -> Iterator[tuple[tuple[slice, ...], np.ndarray, np.ndarray, np.ndarray]]:
        """Boxes of the window, the filtered axes last: where; and of the runs of one value in each, their slices, their
        values as int64, and how long they are."""
        grid = window.grid
        others = [axis for axis in range(grid.ndim) if axis not in self.axes]
        names = indices([window.want.spans[axis] for axis in others], [grid.shape[axis] for axis in others])
        data = window.part(window.want).data.transpose(*others, *self.axes)
        for where in boxes(data.shape, TOGETHER):
            flat = np.ascontiguousarray(data[where]).reshape(-1)
            some = names[where[: len(others)]].reshape(-1)
            length = flat.size // some.size
            first = np.empty(flat.size, bool)
            np.not_equal(flat[1:], flat[:-1], out=first[1:])
            first[::length] = True
            start = np.flatnonzero(first)
            values = flat[start].astype(np.int64, casting="unsafe")
            yield where, some[start // length], values, np.diff(start, append=flat.size)

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        return min(want.size, TOGETHER) * RUN_BYTES + 2**14

    def element_time(self, grid: Grid) -> float:
        return 5.0


@dataclass(frozen=True)
class Counts(ByValue):
    """Reports slices, values and how many elements have them: (3, n) int64."""

    def writes(self) -> bool:
        return False

    def describe(self) -> str:
        return "sizes of labels"

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        """And all that is counted, several times while it is joined."""
        return super().scratch(want, grid, device) + 100 * want.size

    def cpu(self, window: Window, out: np.ndarray) -> Report:
        return summed([summed([np.array(runs)]) for _, *runs in self.runs(window)])


def summed(counts: list[np.ndarray]) -> np.ndarray:
    """Counts of the same slice and value added up, in the order of both."""
    joined = np.concatenate(counts, axis=1) if counts else np.empty((3, 0), np.int64)
    if joined.shape[1] == 0:
        return joined
    joined = joined[:, np.lexsort((joined[1], joined[0]))]
    first = np.flatnonzero(np.append(True, (joined[:2, 1:] != joined[:2, :-1]).any(axis=0)))
    return np.stack([joined[0, first], joined[1, first], np.add.reduceat(joined[2], first)])


@dataclass(frozen=True)
class Sized(ByValue):
    """The elements, but 0 for those of labels that fewer than `size` elements of their slice have.

    small: slices and values of these, (2, n), in the order of both; None before the first sweep
    """

    size: int
    nodata: NoData | None = None
    small: np.ndarray | None = None

    def describe(self) -> str:
        return f"labels of {self.size} elements or more"

    def meaning(self) -> Meaning:
        return Meaning(1.0, chosen=True)

    def remarks(self, grid: Grid) -> tuple[str, ...]:
        return ("integers are taken as labels: the elements of one value are one object, connected or not",)

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData]:
        """Elements without data are of no object and stay as they are."""
        return self.but(nodata=nodata), nodata.stored_as(grid.dtype)

    def first_sweep(self) -> Operator | None:
        return Counts(self.axes) if self.small is None else None

    def resolve(self, reports: Iterable[Report], grid: Grid) -> Operator:
        counts = summed(list(reports))
        small = counts[:2, counts[2] < self.size]
        if self.nodata is not None:
            values = np.array([grid.dtype.type(value) for value in self.nodata.values]).astype(
                np.int64, casting="unsafe"
            )
            small = small[:, ~np.isin(small[1], values)]
        return self.but(small=small)

    @cached_property
    def _known(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Slices and values that occur among the small ones, each ascending, and the pairs of their places, as one
        number each."""
        assert self.small is not None
        slices, values = np.unique(self.small[0]), np.unique(self.small[1])
        places = np.searchsorted(slices, self.small[0]) * len(values) + np.searchsorted(values, self.small[1])
        return slices, values, places

    def cpu(self, window: Window, out: np.ndarray) -> None:
        order = [axis for axis in range(out.ndim) if axis not in self.axes] + list(self.axes)
        result = out.transpose(*order)
        result[...] = window.part(window.want).data.transpose(*order)
        slices, values, known = self._known
        if not len(known):
            return
        for where, names, labels, lengths in self.runs(window):
            s, v = (np.searchsorted(a, b).clip(max=len(a) - 1) for a, b in ((slices, names), (values, labels)))
            pairs = s * len(values) + v
            found = known[np.searchsorted(known, pairs).clip(max=len(known) - 1)] == pairs
            found &= (slices[s] == names) & (values[v] == labels)
            part = result[where]
            np.copyto(part, 0, where=np.repeat(found, lengths).reshape(part.shape))
