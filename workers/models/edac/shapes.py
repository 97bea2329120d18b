"""Solid obstacles as a case file says them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gridstride.workers.models.edac import obstacles
from gridstride.workers.models.sections import Positive, Section, Vector, same_axes


class Cylinder(Section):
    """A cylinder along z; a disc in two dimensions."""

    shape: Literal["cylinder"]
    center: Vector
    radius: Positive

    def build(self) -> obstacles.Shape:
        return obstacles.Cylinder(tuple(self.center.values()), self.radius)

    def check(self, axes: tuple[str, ...], field: str) -> None:
        same_axes(self.center, ("x", "y"), f"{field}.center")


class Sphere(Section):
    """A ball, in three dimensions."""

    shape: Literal["sphere"]
    center: Vector
    radius: Positive

    def build(self) -> obstacles.Shape:
        return obstacles.Sphere(tuple(self.center.values()), self.radius)

    def check(self, axes: tuple[str, ...], field: str) -> None:
        if len(axes) == 2:
            raise ValueError(f"{field}.shape is sphere and the grid 2-D: use cylinder")
        same_axes(self.center, axes, f"{field}.center")


class Box(Section):
    """A box between two corners."""

    shape: Literal["box"]
    low: Vector
    high: Vector

    def build(self) -> obstacles.Shape:
        return obstacles.Box(tuple(self.low.values()), tuple(self.high.values()))

    def check(self, axes: tuple[str, ...], field: str) -> None:
        same_axes(self.low, axes, f"{field}.low")
        same_axes(self.high, axes, f"{field}.high")
        for axis, low in self.low.items():
            if low >= self.high[axis]:
                raise ValueError(f"{field}.high.{axis} is {self.high[axis]}: expected above low.{axis}, {low}")


class Mask(Section):
    """Solid fraction (bool, or 0 to 1) at cell centres, of the grid's shape: a .npy file or a Zarr array."""

    shape: Literal["mask"]
    path: str

    def build(self) -> obstacles.Mask:
        return obstacles.Mask(self.path)

    def check(self, axes: tuple[str, ...], field: str) -> None:
        """Its file is one of the case's inputs."""


SHAPES = ("cylinder", "sphere", "box", "mask")
Obstacle = Annotated[Cylinder | Sphere | Box | Mask, Field(discriminator="shape")]


def check_inside(
    shape: obstacles.Shape | obstacles.Mask, origin: dict[str, float], size: dict[str, float], field: str
) -> None:
    """Raise ValueError for a shape that has nothing inside the grid."""
    if isinstance(shape, obstacles.Mask):
        return
    for axis, (low, high) in zip(size, shape.bounds(), strict=False):
        start, stop = origin[axis], origin[axis] + size[axis]
        if high <= start or low >= stop:
            raise ValueError(
                f"{field} is outside of the grid: along {axis} it is from {low:g} to {high:g}, the grid from {start:g} "
                f"to {stop:g}"
            )
