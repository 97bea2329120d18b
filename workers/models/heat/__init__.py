"""The heat equation, du/dt = diffusivity lap u + source, by explicit Euler steps and central differences in space."""

from __future__ import annotations

from gridstride.workers.models.heat.case import HeatCase as MODEL

__all__ = ["MODEL", "instantiations"]


def instantiations() -> list[tuple[str, str]]:
    """The instantiations of cuda/heat.cu."""
    steps = [f"heat_step<{number}, {dimensions}>" for number in ("f32", "f64") for dimensions in (2, 3)]
    return [("heat.cu", expression) for expression in (*steps, "heat_ghosts<f32>", "heat_ghosts<f64>")]
