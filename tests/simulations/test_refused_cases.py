"""Case files that are refused, each in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_cases import CYLINDER, case_of

import gridstride
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.simulations.case import load_case

REFUSED = [
    ("gird={}", "unknown key 'gird': did you mean 'grid'?"),
    ("grid.cels.x=3", "grid: unknown key 'cels': did you mean 'cells'?"),
    ("grid.cells.q=3", "grid.cells: unknown key 'q': expected x, y or z"),
    ("grid.cells.x=3", "grid.cells.x is 3: expected greater than or equal to 4"),
    ("grid.cells.x=many", "grid.cells.x is 'many': expected a valid integer"),
    ("grid.cells={x: 8}", "grid.cells gives x: expected x, y or x, y, z"),
    ("grid.size.z=1", "grid.size gives x, y, z: expected x, y"),
    ("grid.origin.z=1", "grid.origin has a part along z"),
    ("grid=5", "grid is 5: expected keys and values"),
    ("grid=null", "grid is missing"),
    ("fluid.reynolds=10", "fluid: expected viscosity or reynolds, found both"),
    ("fluid.viscosity=null", "fluid: expected viscosity or reynolds, found neither"),
    ("fluid.viscosity=0", "fluid.viscosity is 0: expected greater than 0"),
    ("fluid.max_speed=1", "fluid.max_speed is 1: expected fluid.speed, 2, or more"),
    ("boundaries.x-.velocity.x=5", "boundaries.x-.velocity is 5, faster than fluid.speed allows (2)"),
    ("reference.speed=0", "reference.speed is 0: expected greater than 0"),
    ("fluid.mach=.nan", "fluid.mach is nan: expected a finite number"),
    ("force.z=1", "force has a part along z, which the grid has not: expected x, y"),
    ("boundaries.x-=wal", "boundaries.x-.kind is 'wal': expected 'periodic', 'wall', 'slip', 'inflow' or 'outflow'"),
    ("boundaries.y-=periodic", "boundaries.y- is periodic and boundaries.y+ is wall: both must be periodic or neither"),
    ("boundaries.z=wall", "boundaries: unknown key 'z': expected one of x, x-, x+, y, y-, y+"),
    ("boundaries.x+.spong=1", "boundaries.x+: unknown key 'spong': did you mean 'sponge'?"),
    ("boundaries.x+.velocity.x=1", "boundaries.x+: kind outflow takes no velocity, which is for wall and inflow"),
    ("boundaries.x+.sponge=3", "boundaries.x+.sponge is 3.0: expected at most the axis, 2.2"),
    ("boundaries.x-.velocity.x=-1", "boundaries.x-.velocity.x is -1.0: expected above 0, into the grid"),
    ("boundaries.y+.velocity.y=1", "boundaries.y+.velocity.y is 1.0: a wall moves along itself"),
    ("boundaries.x+=wall", "boundaries have inflow and no outflow"),
    ("boundaries.y+=slip", "boundaries.x-.profile is parabolic: expected another axis with a wall on both faces"),
    ("boundaries.y+=3", "boundaries.y+ is 3: expected keys and values"),
    ("obstacles.0.radius=-1", "obstacles.0.radius is -1: expected greater than 0"),
    (
        "obstacles.0.shape=cylindr",
        "obstacles.0.shape is 'cylindr': expected one of 'cylinder', 'sphere', 'box', 'mask'",
    ),
    ("obstacles=[{radius: 1}]", "obstacles.0.shape is missing"),
    ("obstacles.0.center.z=1", "obstacles.0.center gives x, y, z: expected x, y"),
    ("obstacles.0.center.x=9", "obstacles.0 is outside of the grid: along x it is from 8.95 to 9.05"),
    ("obstacles=[{shape: sphere, center: {x: 1}, radius: 1}]", "obstacles.0.shape is sphere and the grid 2-D"),
    (
        "obstacles=[{shape: box, low: {x: 1, y: 1}, high: {x: 0, y: 2}}]",
        "obstacles.0.high.x is 0.0: expected above low.x, 1.0",
    ),
    ("obstacles=[{shape: mask, path: nowhere.npy}]", "obstacles.0.path cannot be read"),
    ("obstacles=[{shape: mask, path: nowhere.zarr}]", "obstacles.0.path cannot be read"),
    ("obstacles={}", "obstacles is {}: expected a list"),
    ("initial.problem=tailor-green", "initial.problem is 'tailor-green': expected one of 'rest', 'uniform', "),
    ("initial={problem: taylor-green}", "initial.problem taylor-green is 3-D, and the grid 2-D"),
    ("initial={problem: random}", "boundaries.x- is inflow: initial.problem random needs periodic there"),
    ("initial={seed: 3}", "initial.problem is missing"),
    ("initial={problem: rest, seed: 3}", "initial: unknown key 'seed'"),
    ("initial={problem: from-store}", "initial.path is missing"),
    ("initial={problem: from-store, path: a.zarr, time: soon}", "initial.time is 'soon': expected a valid number"),
    ("initial={problem: uniform, velocity: {z: 1}}", "initial.velocity has a part along z"),
    ("run.until=0", "run.until is 0: expected greater than 0"),
    ("run.cfl=2", "run.cfl is 2: expected less than or equal to 1"),
    ("run.substeps=0", "run.substeps is 0: expected auto, or a number of 1 or more"),
    ("run.precision=half", "run.precision is 'half': expected 'single' or 'double'"),
    ("output.fields=[]", "output.fields is []: expected at least one of velocity, pressure, vorticity, q-criterion"),
    ("output.fields=[speed]", "output.fields.0 is 'speed': expected 'velocity', 'pressure', 'vorticity'"),
    ("output.snapshots={}", "output.snapshots: expected one of time (every), steps (every) and at"),
    ("output.snapshots={time: 1, steps: 2}", "output.snapshots: expected one of time (every)"),
    ("output.chunks.z=2", "output.chunks has a part along z"),
    ("output.codec=lzma", "output.codec: unknown codec 'lzma': expected one of lz4, zstd, blosc-zstd, gzip, none"),
]


@pytest.mark.parametrize(("override", "words"), REFUSED, ids=[override for override, _ in REFUSED])
def test_a_wrong_field_is_one_line_that_names_it(override: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        load_case(CYLINDER, [override])
    assert str(refused.value).startswith(f"{CYLINDER}: {words}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("foo", "expected key=value, such as grid.cells.x=256"),
        ("=3", "expected key=value"),
        ("grid..x=3", "expected key=value"),
        ("grid.cells.x=[", "the value is not YAML"),
        ("grid.cells.x.y=3", "grid.cells.x is 440, which has no 'y'"),
        ("obstacles.1.radius=3", "obstacles has 1 elements, counted from 0, and no '1'"),
    ],
)
def test_a_wrong_override_is_one_line(override: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        load_case(CYLINDER, [override])
    assert str(refused.value).startswith(f"--set {override!r}: ")
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "grid is missing"),
        ("- a\n- b", "holds a list: expected keys and values"),
        ("grid: [", "is not YAML"),
        ("!!python/object/apply:os.system ['true']", "is not YAML"),
    ],
)
def test_what_is_no_case_is_one_line(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "case.yaml"
    file.write_text(content)
    with pytest.raises(UsageError) as refused:
        load_case(file)
    assert words in str(refused.value)
    assert str(refused.value).startswith(str(file))
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no.yaml cannot be read: No such file"):
        load_case(tmp_path / "no.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("initial: {problem: poiseuille}", "boundaries.y- is periodic: initial.problem poiseuille needs wall there"),
        (
            "boundaries: {y: wall, x: slip}\ninitial: {problem: couette}",
            "boundaries.x- is slip: initial.problem couette",
        ),
        ("initial: {problem: random, peak: 2}", "initial.peak is 2.0: its 6 waves along x need more than 12 cells"),
    ],
)
def test_problems_are_refused_where_they_make_no_sense(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        case_of(tmp_path, text)
    assert words in str(refused.value)


def test_taylor_green_needs_a_cube(tmp_path: Path) -> None:
    deep = ["grid.cells.z=8", "grid.size.z=1"]
    with pytest.raises(UsageError, match="problem taylor-green needs a cube"):
        case_of(tmp_path, "initial: {problem: taylor-green}", *deep)
    case_of(tmp_path, "initial: {problem: taylor-green}\nboundaries: {x: slip}", *deep, "grid.size.x=1")


@pytest.mark.parametrize("case", [None, 3, ["grid"], b"case.yaml"])
def test_what_is_no_case_from_python_is_one_line(case: Any) -> None:
    with pytest.raises(UsageError, match=r"^case is .*: expected the path of a case file, a mapping"):
        gridstride.simulate(case, "out.zarr")
