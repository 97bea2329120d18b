"""Requests for plans, made from shapes and halos alone: the operator only reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from gridstride.pipeline.planning.request import Request
from gridstride.workers.families.local import WHOLE, Local
from gridstride.workers.operators.base import Grid
from gridstride.workers.operators.boundary import Taps
from gridstride.workers.region import Region


@dataclass(frozen=True)
class Reader(Local):
    """Reads (before, after) elements on each axis; outputs: of the channel axis 0, or None where nothing is mixed."""

    halo: tuple[tuple[int, int], ...]
    modes: tuple[str, ...]
    itemsize: int
    outputs: int | None
    bytes_of: Callable[[tuple[int, ...]], int]

    def reads(self, grid: Grid) -> tuple[Taps | None, ...]:
        taps = [Taps(b + a + 1, -b, mode=m) for (b, a), m in zip(self.halo, self.modes, strict=True)]
        return tuple(WHOLE if axis == 0 and self.outputs else t for axis, t in enumerate(taps))

    def out_grid(self, grid: Grid) -> Grid:
        shape = grid.shape if self.outputs is None else (self.outputs, *grid.shape[1:])
        return grid.having(f"u{self.itemsize}", shape)

    def uncut(self, grid: Grid) -> frozenset[int]:
        return frozenset() if self.outputs is None else frozenset([0])

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        return self.bytes_of(want.shape)


def request(**changes: Any) -> Request:
    values: dict[str, Any] = {
        "shape": (512, 512, 512),
        "itemsize": 2,
        "out_itemsize": 4,
        "write_unit": (128, 128, 128),
        "halo": ((8, 8),) * 3,
        "modes": ("reflect",) * 3,
        "scratch": lambda extent: 0,
        "outputs": None,
        "workers": 1,
        "threads": 2,
        "memory": 16_000_000_000,
        **changes,
    }
    of_reader = [values.pop(name) for name in ("halo", "modes", "out_itemsize", "outputs", "scratch")]
    grid = Grid.of(values.pop("shape"), f"u{values.pop('itemsize')}")
    values.setdefault("read_unit", values["write_unit"])
    return Request(operator=Reader(*of_reader), grid=grid, **values)


def elements(shape: tuple[int, ...]) -> int:
    return prod(shape)
