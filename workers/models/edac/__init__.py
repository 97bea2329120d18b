"""EDAC: the Navier-Stokes equations with entropically damped artificial compressibility. `flow` has the scheme."""

from __future__ import annotations

from gridstride.workers.models.edac.case import Edac as MODEL

__all__ = ["MODEL", "instantiations"]


def instantiations() -> list[tuple[str, str]]:
    """The instantiations of cuda/edac.cu."""
    found = []
    for number in ("f32", "f64"):
        for components in (2, 3):
            found += [f"velocity<{number}, {components}, {solid}>" for solid in ("false", "true")]
            found += [f"pressure<{number}, {components}>"]
        found += [f"{name}<{number}>" for name in ("ghosts", "plane_sums")]
    return [("edac.cu", expression) for expression in found]
