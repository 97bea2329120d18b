"""What is said of a flow while it runs and at its end, from its samples."""

from __future__ import annotations

from math import exp, pi
from typing import Any

import numpy as np
import pytest
from flow_blocks import begun
from flow_cases import BALL, BOX, CAVITY, CHANNEL, TUNNEL

from gridstride.pipeline.simulations.case import make_case
from gridstride.workers.models.edac import measures
from gridstride.workers.models.edac.reference import coefficients


def sample(case: Any, **values: float) -> dict[str, float]:
    """A row of diagnostics before what is derived of it."""
    names = (*case.sums(), *case.largest(), *case.gathered())
    return {"step": 7, **dict.fromkeys(names, 0.0), **values}


@pytest.mark.parametrize(
    ("content", "forces", "found"),
    [
        (TUNNEL, (0.7, -0.2), {"drag_coefficient": 1.4, "lift_coefficient": -0.4}),  # 2 F / (U^2 D) with U = D = 1
        ({**TUNNEL, "reference": {"speed": 2.0, "length": 0.5}}, (0.7, 0.1), {"drag_coefficient": 0.7}),
        (
            BALL,
            (pi / 8, pi / 16, 0.0),  # 2 F / (U^2 pi D^2 / 4)
            {"drag_coefficient": 1.0, "lift_coefficient_y": 0.5, "lift_coefficient_z": 0.0},
        ),
        ({**BALL, "reference": {"area": 2.0}}, (0.5, 0.0, 0.0), {"drag_coefficient": 0.5}),
        (
            {  # a stream that comes from the right
                **TUNNEL,
                "boundaries": {"x+": {"kind": "inflow", "velocity": {"x": -1.0}}, "x-": "outflow", "y": "slip"},
                "obstacles": [{"shape": "box", "low": {"x": 9, "y": 4}, "high": {"x": 12, "y": 6}}],
                "initial": {"problem": "rest"},
            },
            (-2.0, 1.0),
            {"drag_coefficient": 2.0, "lift_coefficient": 1.0},
        ),
    ],
    ids=["cylinder", "reference", "sphere", "area", "from the right"],
)
def test_coefficients_are_forces_over_half_the_square_of_the_speed(content: Any, forces: Any, found: Any) -> None:
    case = make_case(content)
    row = sample(case, **{f"force_{a}": f for a, f in zip(case.axes, forces, strict=True)})
    derived = case.derive(row)
    assert tuple(derived) == case.derived()
    assert set(derived) <= set(case.columns())
    assert {name: derived[name] for name in found} == pytest.approx(found)


def test_coefficients_say_what_they_are_made_with() -> None:
    assert coefficients(make_case(TUNNEL)).words == "speed 1 (mean of the inflow at x-), length 1"
    ball = coefficients(make_case({**BALL, "reference": {"speed": 2.5}}))
    assert ball.words == "speed 2.5 (reference.speed), area 0.7854"


def test_there_are_no_coefficients_where_nothing_says_of_what() -> None:
    two = {**TUNNEL, "obstacles": [*TUNNEL["obstacles"], {**TUNNEL["obstacles"][0], "center": {"x": 9, "y": 5}}]}
    assert make_case(two).derived() == ("unsteadiness",)
    assert make_case({**two, "reference": {"length": 1.0}}).derived()[1:] == ("drag_coefficient", "lift_coefficient")
    assert make_case(CAVITY).derived() == ("unsteadiness",)


def test_a_flow_beyond_all_compressibility_is_the_last() -> None:
    case = make_case(TUNNEL)
    assert case.stops(sample(case, compressibility=0.99)) is None
    for value in (1.01, np.nan):
        reason = case.stops(sample(case, compressibility=value))
        assert reason is not None
        assert "at step 7" in reason
        assert "make fluid.mach smaller than 0.15" in reason


def concluded(content: dict[str, Any], dt: float = 1e-3, **columns: Any) -> Any:
    case = make_case(content)
    steps = np.arange(4) * 100
    rows = {name: np.zeros(4) for name in case.columns()}
    return case.conclude({"step": steps, "time": steps * dt, **rows, **columns}, dt)


def test_the_end_says_whether_the_flow_is_steady() -> None:
    assert concluded(CAVITY, unsteadiness=np.array([np.nan, 1, 1, 1e-4])).findings == ("steady",)
    moving = concluded(CAVITY, unsteadiness=np.array([np.nan, 1, 1, 0.053])).findings
    assert moving == ("still changing by 5.3 % a time unit",)
    # In single precision 4 units in the last place in a step of 1e-6 are 0.48 a time unit.
    assert concluded(CAVITY, 1e-6, unsteadiness=np.array([np.nan, 1, 1, 0.4])).findings == ("steady",)
    double = {**CAVITY, "run": {"until": 40.0, "precision": "double"}}
    assert concluded(double, 1e-6, unsteadiness=np.array([np.nan, 1, 1, 0.4])).findings != ("steady",)
    assert concluded(BOX, unsteadiness=np.ones(4)).findings == ()  # nothing drives it: it is not to become steady


def test_the_end_says_mean_coefficients_and_compressibility() -> None:
    drag, pressed = np.array([np.nan, 9, 1.2, 1.4]), np.array([0.5, 0.2, 0.004, 0.02])
    said = concluded(TUNNEL, drag_coefficient=drag, compressibility=pressed)
    assert "drag coefficient 1.3, lift coefficient 0 (means from t = 0.2 on; speed 1 " in said.findings[1]
    assert len(said.warnings) == 1
    assert "the largest |p| / c^2 from t = 0.2 on is 2.0%" in said.warnings[0]
    pressed[3] = 0.009
    assert concluded(TUNNEL, drag_coefficient=drag, compressibility=pressed).warnings == ()


def test_a_channel_changes_as_its_series_says_and_is_then_steady() -> None:
    """u of the middle is 1 - 32 / pi^3 sum (-1)^k / n^3 exp(-n^2 pi^2 nu t / H^2): du/dt = F - what friction takes."""
    grid = {"cells": {"x": 4, "y": 16}, "size": {"x": 0.25, "y": 1.0}}
    content = {**CHANNEL, "grid": grid, "run": {"until": 5.0, "precision": "double"}, "fluid": {"viscosity": 0.5}}
    content["force"] = {"x": 4.0}  # the same final speed of 1
    block, setup, last = begun(content)
    case = make_case(content)

    def unsteadiness() -> float:
        sums = measures.measure(block)
        return case.derive(sample(case, **sums.largest))["unsteadiness"]

    block.advance(round(0.4 / setup.flow.dt))
    n, t = np.arange(1, 40, 2), block.step * setup.flow.dt
    terms = (-1.0) ** ((n - 1) // 2) / n * np.exp(-(n**2) * pi**2 * 0.5 * t)
    rate = 32 / pi**3 * pi**2 * 0.5 * terms.sum()
    speed = 1 - 32 / pi**3 * (terms / n**2).sum()
    assert unsteadiness() == pytest.approx(rate / speed, rel=0.02)
    block.advance(last - block.step)
    assert unsteadiness() < 1e-3 * exp(1)
