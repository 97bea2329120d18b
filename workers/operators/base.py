"""The operator protocol: what an operator says of its geometry, and how it computes one block.

        start of have   want              stop of want   stop of have
             |  before |     the block      | after |
    ---------+---------+--------------------+-------+--------> one axis, global index
             |<-------------- data --------------->|

A recipe (`operators.recipe`), which is what a user asks for, makes an `Operator` for one grid. docs/operators.md says
how to add one. Nothing here imports pydantic: workers know operators alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from gridstride.workers.launches import Launches
from gridstride.workers.nodata import NoData
from gridstride.workers.region import Region

if TYPE_CHECKING:
    from gridstride.workers.gpu import Machine

Cast = Literal["round", "scipy"]
Device = Literal["cpu", "gpu"]
# What one block of a sweep that only reports has to say: an array of any shape, such as a histogram.
Report = np.ndarray
# float32 holds integers exactly up to 2^24: wider types are summed in float64 unless the user says otherwise.
WIDE = ("int32", "uint32", "int64", "uint64", "float64")
Kind = Literal["space", "channel", "time", "unknown"]
# Names of axes in lower case and the kind of axis that each means where the array does not say it.
NAMES: dict[Kind, str] = {
    "space": "z y x zc yc xc depth height width altitude elevation plane slice row rows col cols column columns line "
    "lines lat lon latitude longitude rlat rlon northing easting",
    "time": "t time times frame frames date",
    "channel": "c ch channel channels s sample samples band bands variable variables lambda wavelength wavelengths "
    "spectral",
}
KINDS: dict[str, Kind] = {name: kind for kind, names in NAMES.items() for name in names.split()}
# Names that writers make up for axes without one.
MADE_UP = re.compile(r"(phony_)?(dim|axis)[ _]?\d+|\d+", re.IGNORECASE)


@dataclass(frozen=True)
class Axis:
    """One axis of a grid. spacing: between elements, origin: position of the first one, both in `unit`"""

    name: str
    type: Kind = "space"
    spacing: float = 1.0
    unit: str | None = None
    origin: float = 0.0

    def moved(self, elements: float) -> Axis:
        """The axis that begins so many elements later. Channels have no positions."""
        return self if self.type == "channel" else replace(self, origin=self.origin + elements * self.spacing)


def named_axes(names: Sequence[str | None]) -> tuple[Axis, ...]:
    """Axes whose names are all that is known. Where no name means anything, all are taken to be space."""
    if all(not name or MADE_UP.fullmatch(name) for name in names):
        return tuple(Axis(name or "") for name in names)
    return tuple(Axis(name or "", KINDS.get((name or "").lower(), "unknown")) for name in names)


@dataclass(frozen=True)
class Grid:
    """Shape, dtype and axes of an array; `others` are the dtypes of further arrays on the same grid (a mask, say)."""

    shape: tuple[int, ...]
    dtype: np.dtype
    axes: tuple[Axis, ...]
    others: tuple[np.dtype, ...] = field(default=())

    @classmethod
    def of(cls, shape: Sequence[int], dtype: Any, names: Sequence[str | None] | None = None) -> Grid:
        return cls(tuple(shape), np.dtype(dtype), named_axes(names or [""] * len(shape)))

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        return Region.whole(self.shape).size * self.dtype.itemsize

    def having(self, dtype: Any = None, shape: Sequence[int] | None = None) -> Grid:
        """One array on this grid, of another dtype or shape: what an operator gives out."""
        shape = self.shape if shape is None else tuple(shape)
        return Grid(shape, self.dtype if dtype is None else np.dtype(dtype), self.axes)

    def axis_list(self) -> str:
        """The axes for people: 0 (z), 1 (y), 2 (x)."""
        return ", ".join(f"{i} ({axis.name[:40]})" if axis.name else str(i) for i, axis in enumerate(self.axes))


@dataclass(frozen=True)
class Meaning:
    """What the numbers of a result say of the quantity that the input's numbers are of.

    gain:    what a constant input is multiplied by (1: a mean, 0: a difference); None: the result is another quantity
    between: whether results lie between the smallest and the largest of the elements that they are made from
    chosen:  whether each of them is one of these elements
    truths:  whether results say what is so, by 0 and 1 in whatever dtype, or how far it is so
    labels:  whether they are numbers of objects that had none before
    """

    gain: float | None = None
    between: bool = False
    chosen: bool = False
    truths: bool = False
    labels: bool = False

    @classmethod
    def of_sum(cls, gain: float, positive: bool) -> Meaning:
        """Of a weighted sum: the sum of the weights, up to rounding, and whether none is below 0."""
        whole = float(round(gain))
        gain = whole if abs(gain - whole) < 1e-9 else float(gain)
        return cls(gain, positive and gain == 1)

    def then(self, other: Meaning) -> Meaning:
        """Of one operator after another."""
        gain = None if self.gain is None or other.gain is None else self.gain * other.gain
        between, chosen = self.between and other.between, self.chosen and other.chosen
        return Meaning(gain, between, chosen, other.truths, other.labels)


@dataclass(frozen=True)
class Window:
    """One block's view of its input.

    data: the elements `have` of the input (NumPy, or CuPy on a GPU), which may pass the ends of an axis (modulo n) and
          may be more than what is needed
    want: the block to compute, in the OUTPUT's indices, always inside the output's grid
    grid: the whole input's; others: further arrays of the same elements
    """

    data: Any
    have: Region
    want: Region
    grid: Grid
    others: tuple[Any, ...] = ()

    @property
    def arrays(self) -> tuple[Any, ...]:
        return self.data, *self.others

    def part(self, need: Region, want: Region | None = None) -> Window:
        """The window of a smaller want, or of this one, with just the data it needs."""
        want = self.want if want is None else want
        if need == self.have:
            return replace(self, want=want)
        cut = tuple(crop(array, self.have, need, self.grid.shape) for array in self.arrays)
        return replace(self, data=cut[0], others=cut[1:], have=need, want=want)


def crop(array: Any, have: Region, need: Region, shape: Sequence[int]) -> Any:
    """The elements `need` of an array that holds `have`: a view where they lie in a row, else a copy.

    Raises IndexError where the array lacks an element.
    """
    for axis, ((a, b), (lo, hi), n) in enumerate(zip(need.spans, have.spans, shape, strict=True)):
        first = _position(a, b, lo, hi, n)
        if first + (b - a) <= hi - lo:
            array = array[(slice(None),) * axis + (slice(first, first + b - a),)]
        else:
            index = (np.arange(a, b) - lo) % max(n, 1)
            if index.max(initial=-1) >= hi - lo:
                raise IndexError(f"data of {(lo, hi)} lack elements of {(a, b)} on an axis of {n}")
            array = array.take(index, axis)
    return array


def _position(a: int, b: int, lo: int, hi: int, n: int) -> int:
    if a >= b:
        return 0
    return a - lo if lo <= a < hi else (a - lo) % max(n, 1)


@dataclass(frozen=True)
class Operator:
    """What a sweep applies to a grid. Frozen dataclasses of numbers, strings, arrays and other such dataclasses, which
    `saving` carries to the workers. Made by a recipe's `bind`, once, by the client (`np.exp` depends on the processor).

    Contracts, each with a test in tests/operators/test_registry.py:
    `needed(want)` holds every element that `cpu` reads; a want inside another needs what lies inside; `want` lies
    inside the grid in `cpu` and `gpu`; the same bits at every cut of every axis that is not `uncut`, unless `exact` is
    False.
    """

    version: ClassVar[int] = 1  # raised when the bytes of the result change; part of a job's identity
    exact: ClassVar[bool] = True  # the same bits however the grid is cut
    even: ClassVar[bool] = True  # blocks need as much beyond their edges wherever they lie, the ends of axes aside
    cpu_only: ClassVar[bool] = False  # it has no CUDA twin: a sweep of it runs on the CPU, whatever the job's device

    # --- elements that are missing ---
    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData | None]:
        """The operator for an array in which some values stand for no data, and what stands for it in the result (None:
        all its elements have a value). Families say how. Raises ValueError where there is none."""
        raise ValueError(f"{self.describe()} cannot leave out elements without data: leave nodata out, or make it none")

    def without_several(self, nodata: Sequence[NoData | None], grid: Grid) -> tuple[Operator, NoData | None]:
        """The same for a step that reads several arrays. nodata: of each; None: all its elements have a value"""
        raise ValueError(f"{self.describe()} joins several arrays: elements without data cannot be left out of them")

    # --- geometry: pure, on grids alone ---
    def out_grid(self, grid: Grid) -> Grid:
        """Shape, dtype and axes of the result."""
        return grid.having()

    def axes_from(self, grid: Grid) -> tuple[int | None, ...]:
        """For each axis of the result, the axis of the input that it is, or None for a new one. Chunks, attributes with
        a value for each axis, and the plan follow from it."""
        return tuple(range(grid.ndim))

    def needed(self, want: Region, grid: Grid) -> Region:
        """Region of the OUTPUT -> hull of what is read of the INPUT. Both may pass the ends of axes (modulo n), `want`
        only between the steps of a graph."""
        return want

    def uncut(self, grid: Grid) -> frozenset[int]:
        """Axes of the OUTPUT that a block must hold whole."""
        return frozenset()

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        """Bytes of working memory on the device besides the window and the result."""
        return 0

    def element_time(self, grid: Grid) -> float:
        """Nanoseconds that a thread of a CPU takes for an element of the result, for estimates: by default, of passes
        along each axis over what an element needs."""
        middle = Region(tuple((n // 2, n // 2 + 1) for n in self.out_grid(grid).shape))
        return 1.0 + 0.06 * sum(self.needed(middle, grid).shape)

    def sweeps(self) -> int:
        """The number of sweeps that come before its own, for estimates: `first_sweep` is the first of them."""
        return 0 if self.first_sweep() is None else 1

    def kept(self, grid: Grid) -> tuple[int, ...]:
        """Bytes of each result that a sweep before its own writes for the next one to read, in order."""
        first = self.first_sweep()
        return (first.out_grid(grid).nbytes,) if first is not None and first.writes() else ()

    def describe(self) -> str:
        """The algorithm in a few words, for the plan."""
        return type(self).__name__.lower()

    def meaning(self) -> Meaning:
        """What the result says of the input's quantity, which decides what attributes it keeps. Labels, whose numbers
        are names of objects, are refused to operators whose results are neither `chosen` nor truth values."""
        return Meaning()

    def joins(self, meanings: Sequence[Meaning]) -> Meaning:
        """The same of a step that reads several arrays, each of which means something."""
        return Meaning()

    def remarks(self, grid: Grid) -> tuple[str, ...]:
        """What a user would not expect of the result's numbers, a line each."""
        return ()

    # --- work ---
    def cpu(self, window: Window, out: np.ndarray) -> Report | None:
        """Compute `window.want` into `out`, every element of it; `out` may have any strides. A first sweep that only
        reports returns its report."""
        raise NotImplementedError

    def gpu(self, window: Window, launches: Launches) -> None:
        """Describe the launches that compute `window.want` (or a report) from contiguous data, the buffers "data",
        "data1" (the first of `others`), ... Imports no CuPy."""
        raise NotImplementedError

    def on_gpu(self, window: Window, machine: Machine) -> Any:
        """The result (or the report) as an array on the device: the launches of `gpu`, unless a library does it."""
        if self.writes():
            launches = Launches(window.want.shape, self.out_grid(window.grid).dtype)
        else:
            launches = Launches((0,), np.dtype(np.int64))  # `gpu` says what its report is
        self.gpu(window, launches)
        return machine.run(launches, window.data, {f"data{n}": array for n, array in enumerate(window.others, 1)})

    # --- more than one sweep ---
    def writes(self) -> bool:
        """False for a sweep that only reports; the blocks of its `out_grid` are then only how it is cut."""
        return True

    def first_sweep(self) -> Operator | None:
        """The sweep that must be made before this one can be, or None. If it writes, what it wrote is the input of what
        `resolve` returns; else the same input is read again."""
        return None

    def resolve(self, reports: Iterable[Report], grid: Grid) -> Operator:
        """This operator, given the reports of `first_sweep` (of any partition of the grid, in any order, to
        be gone through once; none if that sweep only writes)."""
        raise NotImplementedError

    def but(self, **changes: Any) -> Self:
        return replace(self, **changes)


def rounding(grid: Grid, precision: str) -> tuple[str, ...]:
    """The remark on sums in floating-point numbers of integers that they cannot hold."""
    if grid.dtype.kind not in "iu" or grid.dtype.itemsize < 8 or precision == "whole":
        return ()
    bits = {"single": 24, "double": 53}[precision]
    return (f"integers beyond 2^{bits} are rounded: sums are made in {precision} precision",)


def signs(out: np.dtype, cast: str) -> tuple[str, ...]:
    """The remark on results about half of which are below 0, such as derivatives."""
    if out.kind != "u":
        return ()
    what = "are stored as 0" if cast == "round" else "wrap around"
    return (f"results below 0 {what} in {out}: give a dtype that has them, such as float32",)


def accumulator(precision: str) -> np.dtype:
    """The type that sums are made in."""
    return np.dtype({"single": np.float32, "double": np.float64, "whole": np.int64}[precision])
