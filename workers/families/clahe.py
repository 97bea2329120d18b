"""Contrast limited adaptive histogram equalisation, in four sweeps: the extremes of each slice, histograms of tiles,
the extremes of what is interpolated between them, and the result.

In the steps of skimage.exposure.equalize_adapthist, for its numbers. What is done with arrays is written once for NumPy
and CuPy.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import isfinite, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers.families.casting import store
from gridstride.workers.families.clahe_bins import LEVELS, MISSING, bins_of, exact_type, looked_up
from gridstride.workers.families.lattice import Lattice
from gridstride.workers.launches import AXES, Launches, Ref, ceil_div, six, strides
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Operator, Report, Window
from gridstride.workers.region import Region

if TYPE_CHECKING:
    from gridstride.workers.gpu import Machine

THREADS = 256
LATTICE = np.dtype([(key, np.int64, AXES) for key in ("size", "start", "step")])


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that can be asked for."""
    return [("clahe.cu", "interpolate<u16>")]


@dataclass(frozen=True)
class Equalised(Operator):
    """The equalised array.

    clip: the most elements of a bin; bins: of a histogram; dtype: of the array
    ranges: the extremes of each slice, (slices, 2) of `exact_type`; maps: the level of each bin of each tile, uint16
    (slices * tiles, bins); tops: the extremes of the levels of each slice, int64 (slices, 2): as soon as they are known
    """

    lattice: Lattice
    clip: int
    bins: int
    dtype: np.dtype
    out_dtype: np.dtype
    ranges: np.ndarray | None = None
    maps: np.ndarray | None = None
    tops: np.ndarray | None = None
    nodata: NoData | None = None

    @property
    def width(self) -> int:
        """Of a bin, in levels."""
        return 1 + LEVELS // self.bins

    @property
    def single(self) -> bool:
        """Whether the result's numbers are made in float32."""
        return self.dtype.kind == "f" and self.dtype.itemsize < 8

    def out_grid(self, grid: Grid) -> Grid:
        return grid.having(self.out_dtype)

    def describe(self) -> str:
        size, lattice = " x ".join(map(str, self.lattice.kernel)), self.lattice
        return f"equalised by {self.bins} bins of tiles of {size}, {lattice.slices * lattice.tiles} in all"

    def remarks(self, grid: Grid) -> tuple[str, ...]:
        if self.out_dtype.kind in "iu":
            return (f"results from 0 to 1 are stored as 0 to {np.iinfo(self.out_dtype).max} in {self.out_dtype}",)
        return ()

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData]:
        """Missing elements are in no histogram."""
        return replace(self, nodata=nodata), nodata.stored_as(self.out_dtype)

    def element_time(self, grid: Grid) -> float:
        return 4.0 + 3.0 * 2 ** len(self.lattice.axes)

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        """Numbers that become bins, and bins; for the result levels and what they become, for histograms the places of
        elements, and the histograms; tables."""
        size, lines = want.size, 40 * sum(want.shape) + 2**22
        touched = 1 if self.ranges is None else self._touched(want)
        counts = 3 * 8 * touched * (self.bins + 1) if self.maps is None else 0
        constants = 0 if self.maps is None or device == "cpu" else self.maps.nbytes
        return (40 if device == "gpu" else 28) * size + counts + constants + lines

    def _touched(self, want: Region) -> int:
        """How many tiles a region has elements of, at most."""
        tiles = zip(want.spans, range(len(want.spans)), strict=True)
        kernel = dict(zip(self.lattice.axes, self.lattice.kernel, strict=True))
        return prod((b - 1) // kernel.get(axis, 1) - a // kernel.get(axis, 1) + 2 for (a, b), axis in tiles if b > a)

    # --- sweeps ---
    def sweeps(self) -> int:
        return sum(found is None for found in (self.ranges, self.maps, self.tops))

    def first_sweep(self) -> Operator | None:
        return Told(self) if self.sweeps() else None

    def resolve(self, reports: Iterable[Report], grid: Grid) -> Operator:
        if self.ranges is None:
            found = _extremes(reports, self.lattice.slices, exact_type(self.dtype))
            for low, high in found if self.dtype.kind == "f" else ():
                if not isfinite(float(high) - float(low)):
                    raise ValueError(f"clahe: the array's values go from {low} to {high}: expected a finite range")
            return replace(self, ranges=found)
        if self.maps is None:
            return replace(self, maps=self._mapped(reports))
        return replace(self, tops=_extremes(reports, self.lattice.slices, np.dtype(np.int64)))

    def _mapped(self, reports: Iterable[Report]) -> np.ndarray:
        from gridstride.workers.families import clahe_cpu  # Numba takes time to import

        counts = np.zeros((self.lattice.slices * self.lattice.tiles, self.bins), np.int64)
        for report in reports:
            counts[report[:, 0]] += report[:, 1:]
        maps = np.empty(counts.shape, np.uint16)
        clahe_cpu.mappings(counts, self.clip, LEVELS, self.width, maps)
        return maps

    # --- what is done with one slice ---
    def binned(self, data: Any, number: int, xp: Any) -> Any:
        """The bins of a slice's elements, uint16."""
        assert self.ranges is not None
        found = bins_of(data, self.dtype, self.ranges[number], self.width, xp)
        return found if self.nodata is None else xp.where(self.nodata.valid(data, xp), found, np.uint16(MISSING))

    def stored(self, number: int) -> np.ndarray:
        """What each level, uint16, becomes in the result."""
        assert self.tops is not None
        low, high = (float(value) for value in self.tops[number])
        kind = np.dtype(np.float32 if self.single else np.float64)
        levels: Any = np.arange(MISSING + 1).astype(kind).clip(low, high)
        found = (levels - low) / (high - low) if low != high else levels.clip(0, 1)
        missing = np.nan if self.nodata is None else self.nodata.stored_as(self.out_dtype).value
        result = np.empty(found.shape, self.out_dtype)
        if self.out_dtype.kind in "iu":
            found, missing = found * np.float64(np.iinfo(self.out_dtype).max), 0 if missing != missing else missing
        store(found, result, "round")
        result[MISSING] = missing
        return result

    def levels(self, bins: Any, number: int, want: Region, machine: Machine | None = None) -> Any:
        """The levels of a slice's elements, uint16."""
        assert self.maps is not None
        tiles, between = self.lattice.tiles, self.lattice.between(want)
        maps = self.maps[number * tiles : (number + 1) * tiles]
        before, after, part = (np.concatenate(one) for one in zip(*between, strict=True))
        starts = np.cumsum([0, *(len(one[0]) for one in between[:-1])])
        steps = np.array(strides(self.lattice.counts), np.int64)
        if machine is not None:
            return self._on_gpu(bins, machine, maps, starts, steps, (before, after, part))
        from gridstride.workers.families import clahe_cpu  # Numba takes time to import

        found = np.empty(bins.shape, np.uint16)
        shape = np.array(bins.shape, np.int64)
        changes = np.flatnonzero(np.diff(between[-1][0]) | np.diff(between[-1][1])) + 1
        terms = shape, starts, before, after, part, steps, np.append(changes, shape[-1]), np.uint16(MISSING)
        clahe_cpu.interpolate(bins.reshape(-1), np.ascontiguousarray(maps), *terms, found.reshape(-1))
        return found

    def _on_gpu(self, bins: Any, machine: Machine, maps: Any, starts: Any, steps: Any, lines: tuple[Any, ...]) -> Any:
        launches, lattice = Launches(bins.shape, np.dtype(np.uint16)), np.zeros((), LATTICE)
        lattice["size"] = six(bins.shape, 1)
        lattice["start"], lattice["step"] = six(starts.tolist(), 0), six(steps.tolist(), 0)
        before, after, part = lines
        tables = (maps, before.astype(np.int32), after.astype(np.int32), part)
        constants = [launches.constant(array) for array in (lattice, *tables)]
        numbers = [np.int32(number) for number in (len(steps), self.bins, MISSING)]
        args = Ref("data"), Ref("out"), *constants, *numbers, np.int64(bins.size)
        launches.launch("clahe.cu", "interpolate<u16>", ceil_div(bins.size, THREADS), (THREADS, 1), 0, args)
        return machine.run(launches, machine.xp.ascontiguousarray(bins), {})

    # --- work ---
    def cpu(self, window: Window, out: np.ndarray) -> None:
        window = window.part(window.want)
        for number, place in self.lattice.cut(window.want) if window.want.size else ():
            bins = self.binned(window.data[place], number, np)
            out[place] = looked_up(self.levels(bins, number, window.want), self.stored(number), np)

    def on_gpu(self, window: Window, machine: Machine) -> Any:
        out = machine.xp.empty(window.want.shape, self.out_dtype)
        for number, place in self.lattice.cut(window.want) if window.want.size else ():
            bins = self.binned(window.data[place], number, machine.xp)
            levels = self.levels(bins, number, window.want, machine)
            out[place] = looked_up(levels, self.stored(number), machine.xp)
        return out


@dataclass(frozen=True)
class Told(Operator):
    """What must be known of all blocks next: reports of a row for each slice or tile, which begins with its number."""

    of: Equalised

    def writes(self) -> bool:
        return False

    def describe(self) -> str:
        return ("extremes", "extremes of levels", "histograms of tiles")[
            0 if self.of.ranges is None else self.of.sweeps()
        ]

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, None]:
        return Told(replace(self.of, nodata=nodata)), None

    def element_time(self, grid: Grid) -> float:
        return self.of.element_time(grid) if self.of.maps is not None else 4.0

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        return self.of.scratch(want, grid, device)

    def cpu(self, window: Window, out: np.ndarray) -> Report:
        return self._report(window.part(window.want), np, None)

    def on_gpu(self, window: Window, machine: Machine) -> Any:
        return self._report(window, machine.xp, machine)

    def _report(self, window: Window, xp: Any, machine: Machine | None) -> Any:
        of, rows = self.of, []
        kind = exact_type(of.dtype) if of.ranges is None else np.dtype(np.int64)
        for number, place in of.lattice.cut(window.want) if window.want.size else ():
            data = window.data[place]
            if of.ranges is None:
                valid = None if of.nodata is None else of.nodata.valid(data, xp)
                if of.dtype.kind == "f":
                    valid = data == data if valid is None else valid & (data == data)
                rows.append(_row(number, data, valid, kind, xp))
                continue
            bins = of.binned(data, number, xp)
            if of.maps is None:
                rows.append(self._histograms(bins, number, window.want, xp))
            else:
                levels = of.levels(bins, number, window.want, machine)
                rows.append(_row(number, levels, levels < MISSING, kind, xp))
        columns = 3 if of.ranges is None or of.maps is not None else of.bins + 1
        return xp.concatenate(rows) if rows else xp.zeros((0, columns), kind)

    def _histograms(self, bins: Any, number: int, want: Region, xp: Any) -> Any:
        """Of the tiles that a slice's elements are in: rows of the tile's number and its counts, int64."""
        lattice, members = self.of.lattice, self.of.lattice.members(want)
        owners = [np.unique(tiles, return_inverse=True) for tiles, _ in members]
        shape = tuple(len(found) for found, _ in owners)
        ids = np.ravel_multi_index(np.ix_(*(found for found, _ in owners)), lattice.counts).reshape(-1)
        places = [inverse * step for (_, inverse), step in zip(owners, strides(shape), strict=True)]
        counts = xp.zeros((len(ids), self.of.bins), np.int64)
        if xp is np:
            from gridstride.workers.families import clahe_cpu  # Numba takes time to import

            steps = strides(bins.shape)
            lines = [source * step for (_, source), step in zip(members, steps, strict=True)]
            firsts, rows = (np.asarray(_sums(one[:-1]), np.int64) for one in (lines, places))
            clahe_cpu.count(np.ascontiguousarray(bins).reshape(-1), firsts, rows, lines[-1], places[-1], counts)
        else:
            taken = bins[tuple(map(xp.asarray, np.ix_(*(source for _, source in members))))].reshape(-1)
            tiles = xp.asarray(_sums(places))
            index = (tiles * self.of.bins + taken)[taken < self.of.bins]
            counts += xp.bincount(index, minlength=counts.size).reshape(counts.shape)
        numbers = xp.asarray(ids + number * lattice.tiles)[:, None]
        return xp.concatenate([numbers, counts], axis=1)


def _sums(parts: list[np.ndarray]) -> np.ndarray:
    """All sums of one of each, in C order."""
    found = np.zeros(1, np.int64)
    for part in parts:
        found = (found[:, None] + part).reshape(-1)
    return found


def _row(number: int, values: Any, valid: Any, kind: np.dtype, xp: Any) -> Any:
    """A slice's number and the extremes of its values, those that are `valid`; none where there are none."""
    if valid is not None and not valid.all():
        values = values[valid]
    if values.size == 0:
        return xp.zeros((0, 3), kind)
    return xp.stack([xp.asarray(number, kind), values.min().astype(kind), values.max().astype(kind)])[None]


def _extremes(reports: Iterable[Report], slices: int, dtype: np.dtype) -> np.ndarray:
    """Of each slice, (slices, 2); 0 where it has no values."""
    found, known = np.zeros((slices, 2), dtype), np.zeros(slices, bool)
    for report in reports:
        for row in report:
            number = int(row[0])
            low, high = (row[1], row[2])
            found[number, 0] = min(found[number, 0], low) if known[number] else low
            found[number, 1] = max(found[number, 1], high) if known[number] else high
            known[number] = True
    return found
