"""What is said of a flow before it runs: set-ups that people get wrong, each refused or warned of; right ones are not.

Nothing is computed here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flow_cases import RIGHT

import gridstride
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.simulations.case import load_case, make_case
from gridstride.pipeline.simulations.overrides import overridden
from gridstride.pipeline.simulations.schedules import make_timeline, schedule_warnings

EXAMPLES = sorted((Path(gridstride.__file__).parent.resolve() / "examples" / "cases").glob("*.yaml"))
# Each row changes a case that is right.
WARNED = [
    # the grid and the Reynolds number
    ("ball", "fluid.viscosity=1e-4", "cell Reynolds number (speed x cell / viscosity) is 938"),
    ("ball", "fluid.viscosity=1e-4", "layer of length / sqrt(Re) 0.11 cells thick"),
    ("ball", "fluid.viscosity=1e-4", "or a Reynolds number up to 114"),  # 50 / 938 of 10,000: 533; (10.7 cells)^2: 114
    ("cavity", "grid.size={x: 100, y: 100} fluid={viscosity: 0.001}", "is 1000, and a layer"),  # lattice units
    ("cavity", "fluid.reynolds=20000", "this grid does not resolve Reynolds number 20000"),
    ("tunnel", "grid.size={x: 20000, y: 10000} obstacles=[]", "this grid does not resolve"),  # mm, and m / s
    ("box", "fluid.viscosity=1e-5", "is 1560: this grid does not resolve"),
    ("box", "initial.sharpness=80", "layers 0.8 cells thick: take 160 cells along y"),
    ("cavity", "grid.size.x=10", "cells are 10 times as long along x (0.1) as along y (0.01)"),
    ("tunnel", "fluid={reynolds: 100, speed: 1.5}", "is made with speed 1 (mean of the inflow at x-), not with"),
    ("duct", "fluid={reynolds: 100, speed: 1.5}", "fluid.length 1, which fluid.reynolds is made with, is the"),
    ("duct", "fluid={reynolds: 100, speed: 1.5}", "with that of the size along y, 0.4, the Reynolds number is 40"),
    # speeds
    ("cavity", "boundaries.y+.velocity.x=5", "the wall at y+ moves at 5, faster than fluid.speed 1"),
    ("box", "initial.speed=3", "the initial flow moves at 3, faster than fluid.speed 1"),
    ("box", "initial={problem: random}", "the initial flow moves at 2.5, faster than fluid.speed 1"),
    ("cavity", "fluid.mach=0.6", "the Mach number is 0.6: results differ from those of an incompressible fluid by "),
    ("tunnel", "fluid.speed=1 fluid.max_speed=3 fluid.mach=0.35", "the Mach number is 0.35"),
    ("channel", "force.x=80", "force.x drives the flow to about 100 by t = 10: faster than fluid.speed 1"),
    ("box", "force={y: 9.81}", "to about 9.81 by t = 1, for no wall or body resists it"),
    # what drives
    ("channel", "force={}", "nothing moves: give an inflow"),
    ("channel", "force={} initial={problem: poiseuille}", "nothing drives the flow (no inflow, moving wall or force)"),
    ("tunnel", "boundaries={}", "nothing drives the flow (no inflow, moving wall or force)"),
    ("channel", "force={y: -9.81}", "force.y acts along an axis that is closed at both ends: it makes a pr"),
    ("tunnel", "boundaries.x-=outflow", "x- is an outflow and there is no inflow"),
    ("duct", "force.x=1", "force.x acts along the way from inflow to outflow"),
    # time
    ("tunnel", "run.until=5", "run.until 5 is shorter than the flow takes through the grid, 20"),
    ("channel", "run.until=1", "run.until 1 is 0.1 of the viscous time H^2 / viscosity, 10"),
    ("channel", "force={} boundaries.y+={kind: wall, velocity: {x: 1}} run.until=1", "of the viscous time"),
    ("tunnel", "initial.velocity.x=0.1", "the inflow at x- starts within 0 against fluid that moves"),
    ("tunnel", "initial={problem: rest}", "or begin with initial.problem uniform"),
    ("tunnel", "run.ramp=5", "run.ramp 5 starts the inflow from 0, and the initial flow moves at 1"),
    ("box", "output.snapshots.time=5", "output.snapshots.time 5 is longer than run.until 1"),
    ("box", "output.snapshots={at: [0.5, 7]}", "output.snapshots.at 7 is after the end"),
    ("box", "output.diagnostics.steps=1000000", "output.diagnostics.steps 1000000 is more than the run has"),
    ("cavity", "fluid.reynolds=0.01", "friction makes pressures of 100, 100.0% of c^2"),  # nu U / L, and c = 10
    ("duct", "grid.size.x=200", "friction makes pressures of 60"),  # 12 nu U L / H^2
    ("tunnel", "initial.velocity={y: 1}", "against fluid that moves into the grid at 0"),
    # outflow and bodies
    ("tunnel", "boundaries.x+.sponge=15", "boundaries.x+.sponge is 15, 75% of the grid"),
    ("tunnel", "boundaries.x+.sponge=0.1", "boundaries.x+.sponge is 0.1, 1.2 cells, and absorbs no sound"),
    ("tunnel", "boundaries.x+.sponge=10 obstacles.0.center.x=9", "obstacles.0 is 0.5 of its own size from the sponge"),
    ("tunnel", "obstacles.0.center.x=0.8", "obstacles.0 is 0.3 of its own size from the inflow at x-"),
    ("tunnel", "obstacles.0.radius=0.01", "obstacles.0 is 0.24 of a cell along x, smaller than the grid can show"),
    ("tunnel", "obstacles.0.radius=0.2", "obstacles.0 is 4.8 cells across: its drag is wrong"),
    ("tunnel", "obstacles.0.radius=1.5", "blockage: the body takes 30% of the section, and its drag is about 104%"),
    ("duct", "obstacles=[{shape: box, low: {x: 0.8, y: 0}, high: {x: 1, y: 0.3}}]", "beside it is 4 or faster"),
    ("cavity", "obstacles=[{shape: box, low: {x: 0.4, y: 0.5}, high: {x: 0.6, y: 1}}]", "touches the wall at y+"),
    ("tunnel", "obstacles.0.center.y=5", "the set-up is symmetric about y = 5 and so stays the flow"),
    ("tunnel", "obstacles.0.center.y=5", "give initial.velocity.y a tenth of the stream"),
    ("ball", "fluid.viscosity=2e-3", "at Reynolds number 500 (above 210) vortices should leave obstacles.0"),
]  # fmt: skip

REFUSED = [
    ("tunnel", "boundaries.x-.velocity.x=5", "boundaries.x-.velocity is 5, faster than fluid.speed allows (1.5)"),
    ("tunnel", "boundaries.x+=inflow", "boundaries.x+.velocity.x is 0.0: expected below 0, into the grid"),
    ("tunnel", "boundaries.x+={kind: inflow, velocity: {x: -1}}", "boundaries have inflow and no outflow"),
    ("tunnel", "boundaries.x+.sponge=30", "boundaries.x+.sponge is 30.0: expected at most the axis"),
    ("tunnel", "obstacles.0.center.x=50", "obstacles.0 is outside of the grid"),
    (
        "tunnel",
        "boundaries.x-.velocity={x: 1, z: 1}",
        "boundaries.x-.velocity has a part along z, which the grid has not",
    ),
    ("tunnel", "initial.velocity={x: 1, y: 0, z: 1}", "initial.velocity has a part along z, which the grid has not"),
    ("tunnel", "fluid.viscosity=0", "fluid.viscosity is 0: expected greater than 0"),
    ("tunnel", "grid.size.x=-20", "grid.size.x is -20: expected greater than 0"),
    ("tunnel", "grid.size.x=20mm", "grid.size.x is '20mm': expected a valid number"),
    ("tunnel", "units=mm", "unknown key 'units'"),
    ("tunnel", "obstacles.0.radius=-1", "obstacles.0.radius is -1: expected greater than 0"),
    ("tunnel", "fluid.mach=1", "fluid.mach is 1: expected less than 1"),
    ("tunnel", "run.until=-1", "run.until is -1: expected greater than 0"),
    ("cavity", "boundaries.y+.velocity.y=1", "a wall moves along itself; use kind inflow"),
]


def changed(name: str, overrides: str) -> Any:
    """The content of a case after overrides, split at spaces that are outside of brackets."""
    content, depth, parts = RIGHT[name], 0, [""]
    for letter in overrides:
        depth += (letter in "{[") - (letter in "}]")
        if letter == " " and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    for part in filter(None, parts):
        content = overridden(content, part)
    return content


def told(case: Any) -> list[str]:
    return [*case.warnings(), *schedule_warnings(case, make_timeline(case))]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_nothing_is_wrong_with_the_examples(path: Path) -> None:
    assert told(load_case(path)) == []


@pytest.mark.parametrize("name", RIGHT)
def test_nothing_is_wrong_with_right_cases(name: str) -> None:
    assert told(make_case(RIGHT[name])) == []


@pytest.mark.parametrize(("name", "overrides", "words"), WARNED, ids=[f"{n} {o}: {w[:20]}" for n, o, w in WARNED])
def test_a_doubtful_case_is_warned_of_with_figure_and_cure(name: str, overrides: str, words: str) -> None:
    lines = told(make_case(changed(name, overrides)))
    assert any(words in line for line in lines), lines
    assert all("\n" not in line and len(line) < 400 for line in lines)


@pytest.mark.parametrize(("name", "overrides", "words"), REFUSED, ids=[f"{n} {o}" for n, o, _ in REFUSED])
def test_an_impossible_case_is_refused_in_one_line(name: str, overrides: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        make_case(changed(name, overrides))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_perturbed_or_slow_symmetric_flow_is_not_warned_of() -> None:
    for overrides in ("initial.velocity.y=0.1", "fluid.viscosity=0.03"):
        lines = told(make_case(changed("tunnel", f"obstacles.0.center.y=5 {overrides}")))
        assert not any("symmetric" in line for line in lines)


def test_a_step_below_the_inflow_takes_nothing_of_the_section() -> None:
    lines = told(make_case(changed("duct", "obstacles=[{shape: box, low: {x: 0, y: 0}, high: {x: 0.5, y: 0.2}}]")))
    assert not any("section" in line for line in lines)


def test_two_bodies_are_symmetric_about_the_middle_between_them() -> None:
    other = "{shape: cylinder, center: {x: 5, y: 6}, radius: 0.5}"
    pair = "obstacles=[{shape: cylinder, center: {x: 5, y: %s}, radius: 0.5}, " + other + "]"
    assert any("symmetric about y = 5" in line for line in told(make_case(changed("tunnel", pair % 4))))
    assert not any("symmetric" in line for line in told(make_case(changed("tunnel", pair % 3))))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ("fluid={viscosity: 1e+12}", "run.until 40 takes"),
        ("output.diagnostics.steps=1 run.until=1e5", "output.diagnostics makes 2.08e+08 of them: expected up to 1e+07"),
        ("output.snapshots.time=1e-6", "output.snapshots makes 4e+07 of them: expected up to 1e+07"),
    ],
)
def test_more_steps_or_samples_than_a_run_can_have_are_refused(overrides: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        make_timeline(make_case(changed("cavity", overrides)))
    assert words in str(refused.value)


def test_the_plan_says_the_figures() -> None:
    case = load_case(next(path for path in EXAMPLES if path.stem == "cylinder"))
    facts = case.facts(case.setup(1e-3))
    assert facts["physics"].startswith(
        "Reynolds number 100 (speed 1, mean of the inflow at x-; length 0.1; viscosity 0.001)"
    )
    assert facts["times"] == "the flow passes the grid in 2.2, sound in 0.11; viscous time 168"


@pytest.mark.parametrize("ramp", [0, 0.1])
def test_a_stream_that_is_pushed_as_its_inflow_rises_is_not_warned_of(ramp: float) -> None:
    assert not [line for line in told(make_case(changed("duct", f"run.ramp={ramp}"))) if "starts within" in line]
