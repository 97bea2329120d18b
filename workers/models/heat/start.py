"""What a heat problem begins with, as a case file says it; two of them are exact solutions at every time.

All are level + amplitude times a product of lines along the axes, evaluated from global positions alone.
"""

from __future__ import annotations

from math import exp, pi, sqrt
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from gridstride.workers.models.domain import PERIODIC
from gridstride.workers.models.heat.kinds import FIXED
from gridstride.workers.models.sections import FromStore, Positive, Section, Vector

if TYPE_CHECKING:
    from gridstride.workers.models.heat.setup import Heat


class Uniform(Section):
    """The same temperature everywhere."""

    problem: Literal["uniform"] = "uniform"
    level: float = 0.0
    amplitude: ClassVar[float] = 0.0

    def line(self, heat: Heat, axis: int, at: np.ndarray, time: float) -> np.ndarray:
        return np.zeros_like(at)


class Wave(Section):
    """A product of standing waves that decays as a whole. waves: how many along each axis; 0 for none.

    Between fixed faces half a wave counts as one, and between a fixed face and an insulated one a quarter does.
    """

    problem: Literal["wave"]
    level: float = 0.0
    amplitude: float = 1.0
    waves: dict[Literal["x", "y", "z"], Annotated[int, Field(ge=0)]] = Field(default={})

    def line(self, heat: Heat, axis: int, at: np.ndarray, time: float) -> np.ndarray:
        low, high = heat.kinds[axis]
        count: float = self.waves.get("zyx"[axis], 1)  # type: ignore[call-overload]
        if count == 0:
            return np.ones_like(at)
        if low != high:
            count -= 0.5
        k = (2 if low == PERIODIC else 1) * pi * count / heat.size(axis)
        shape = np.sin if low in (PERIODIC, FIXED) else np.cos
        return shape(k * at) * exp(-heat.diffusivity * k**2 * time)


class Gaussian(Section):
    """A warm spot that spreads, exact while it is far from all faces. center: by default the grid's."""

    problem: Literal["gaussian"]
    level: float = 0.0
    amplitude: float = 1.0
    width: Positive
    center: Vector = Field(default={})

    def line(self, heat: Heat, axis: int, at: np.ndarray, time: float) -> np.ndarray:
        width = sqrt(self.width**2 + 2 * heat.diffusivity * time)
        center = self.center.get("zyx"[axis], heat.origin[axis] + heat.size(axis) / 2) - heat.origin[axis]
        return self.width / width * np.exp(-((at - center) ** 2) / (2 * width**2))


Start = Annotated[Uniform | Wave | Gaussian | FromStore, Field(discriminator="problem")]
NAMES = ("uniform", "wave", "gaussian", "from-store")
__all__ = ["NAMES", "FromStore", "Gaussian", "Start", "Uniform", "Wave"]
