"""What samples of a running flow say of it: whether it is still incompressible, and whether it is steady."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from gridstride.workers.models.base import Conclusion
from gridstride.workers.models.edac.reference import coefficients
from gridstride.workers.models.edac.scales import driven

if TYPE_CHECKING:
    from gridstride.workers.models.edac.case import Edac

COMPRESSIBLE = 0.01  # largest |p| / c^2, by which results differ from those of an incompressible fluid
TOO_COMPRESSIBLE = 1.0  # at which c^2 is no more than the pressure itself
STEADY = 1e-3  # change of velocity in the time that the flow takes for the reference length, over the largest speed
ROUNDING = 4  # units in the last place by which a steady velocity may change in a step


def derived(case: Edac) -> tuple[str, ...]:
    """Names of what `derive` gives."""
    found = coefficients(case)
    return ("unsteadiness", *(found.names(case.axes) if found else ()))


def derive(case: Edac, row: Mapping[str, float]) -> dict[str, float]:
    """unsteadiness: largest |du/dt| over the largest speed, in 1 / time; coefficients of the force on bodies."""
    speed = row["max_speed"]
    values = [row["max_acceleration"] / speed if speed else 0.0]
    found = coefficients(case)
    if found:
        values += found.of({axis: row[f"force_{axis}"] for axis in case.axes})
    return dict(zip(derived(case), values, strict=True))


def stops(case: Edac, row: Mapping[str, float]) -> str | None:
    """Why a sample is the last, if it is."""
    if row["compressibility"] <= TOO_COMPRESSIBLE:
        return None
    return (
        f"at step {int(row['step'])} the largest |p| / c^2 is {row['compressibility']:.3g}, beyond "
        f"{TOO_COMPRESSIBLE:g}: this is no incompressible flow any more; if it was started suddenly give run.ramp, "
        f"else make fluid.mach smaller than {case.fluid.mach:g}"
    )


def conclude(case: Edac, samples: Mapping[str, np.ndarray], dt: float) -> Conclusion:
    """Means and largest values are those of the last half of the samples."""
    if len(samples["step"]) < 2:
        return Conclusion()
    late = slice(len(samples["step"]) // 2, None)
    since = f"t = {samples['time'][late][0]:.4g}"
    findings, warnings = [], []
    if driven(case):
        findings.append(_steadiness(case, float(samples["unsteadiness"][-1]), dt))
    found = coefficients(case)
    if found:
        means = [f"{n.replace('_', ' ')} {np.nanmean(samples[n][late]):.4g}" for n in found.names(case.axes)]
        findings.append(f"{', '.join(means)} (means from {since} on; {found.words})")
    compressibility = float(np.max(samples["compressibility"][late]))
    if compressibility > COMPRESSIBLE:
        warnings.append(
            f"the largest |p| / c^2 from {since} on is {compressibility:.1%}, by about which the flow differs from an "
            f"incompressible one: make fluid.mach smaller than {case.fluid.mach:g}"
        )
    return Conclusion(tuple(findings), tuple(warnings))


def _steadiness(case: Edac, rate: float, dt: float) -> str:
    rounding = ROUNDING * float(np.finfo(case.dtype).eps) / dt
    if rate * case.fluid.length / case.reference.speed < STEADY or rate < rounding:
        return "steady"
    return f"still changing by {100 * rate:.2g} % a time unit"
