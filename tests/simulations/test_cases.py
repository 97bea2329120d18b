"""Case files: what is accepted, and what it resolves to."""

from __future__ import annotations

import json
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import yaml
import zarr

import gridstride
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.simulations.case import Case, load_case, make_case
from gridstride.workers import saving
from gridstride.workers.models import registry
from gridstride.workers.models.edac import obstacles, problems
from gridstride.workers.models.edac.bind import make_geometry, make_obstacles, make_problem

EXAMPLES = Path(gridstride.__file__).parent.resolve() / "examples" / "cases"
CYLINDER = EXAMPLES / "cylinder.yaml"
ALL = sorted(EXAMPLES.glob("*.yaml"))
FLOWS = [path for path in ALL if "\nmodel:" not in path.read_text()]
SMALL = """
grid: {cells: {x: 8, y: 8}, size: {x: 2, y: 1}}
fluid: {viscosity: 0.1}
run: {until: 1}
"""


def case_of(tmp_path: Path, text: str, *overrides: str) -> Case:
    file = tmp_path / "case.yaml"
    file.write_text(SMALL + text)
    return load_case(file, overrides)


# --- what comes with us -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.stem)
def test_examples_load_and_make_their_problem(path: Path) -> None:
    case = load_case(path)
    if case.initial.problem == "from-store":
        assert Path(case.initial.path) == EXAMPLES.parent.parent / "turbulence.zarr"
        with pytest.raises(ValueError, match="from-store"):
            make_problem(case)
        return
    problem, geometry = make_problem(case), make_geometry(case)
    assert problem.name == case.initial.problem
    fields = problems.sample(problem, geometry, (0, 0, 0), [min(n, 8) for n in geometry.cells])
    assert np.isfinite(fields).all()
    # Nothing is faster than the reference speed, from which the speed of sound follows.
    assert np.abs(fields[:-1]).max() <= case.fluid.speed


def test_examples_are_of_every_kind() -> None:
    assert {load_case(path).model for path in ALL} == set(registry.modules())
    loaded: list[Any] = [load_case(path) for path in FLOWS]
    problem = {case.initial.problem for case in loaded}
    assert {"travelling-taylor-green", "taylor-green", "shear-layer", "random", "from-store"} <= problem
    kinds = {face.kind for case in loaded for face in case.boundaries.values()}
    assert {"periodic", "wall", "inflow", "outflow"} <= kinds
    assert {case.components for case in loaded if case.name.startswith("lid-driven")} == {2, 3}


def test_the_cylinder_is_that_of_schaefer_and_turek() -> None:
    case = load_case(CYLINDER)
    assert case.spacing == pytest.approx({"x": 0.005, "y": 0.005})
    assert case.fluid.viscosity == 0.001
    assert {name: face.kind for name, face in case.boundaries.items()} == {
        "x-": "inflow",
        "x+": "outflow",
        "y-": "wall",
        "y+": "wall",
    }
    assert case.boundaries["x-"].velocity == {"x": 1.5, "y": 0.0}
    assert case.boundaries["x-"].profile == "parabolic"
    assert make_obstacles(case) == (obstacles.Cylinder((0.2, 0.2), 0.05),)


def test_the_channel_s_force_drives_speed_one() -> None:
    case = load_case(EXAMPLES / "channel.yaml", ["initial.problem=poiseuille"])
    assert make_problem(case).velocity(0, 0.0, np.array([0.0, 0.5, 1.0]), None, 0.0) == pytest.approx([0, 1, 0])


# --- what a case resolves to ------------------------------------------------------------------------------------


def test_defaults_are_filled_in(tmp_path: Path) -> None:
    case = case_of(tmp_path, "boundaries: {x-: {kind: inflow, velocity: {x: 1}}, x+: outflow, y: wall}")
    assert case.resolved() == {
        "name": "unnamed",
        "model": "edac",
        "grid": {"cells": {"x": 8, "y": 8}, "size": {"x": 2.0, "y": 1.0}, "origin": {"x": 0.0, "y": 0.0}},
        "fluid": {
            "viscosity": 0.1,
            "speed": 1.0,
            "max_speed": 1.0,
            "length": 1.0,
            "mach": 0.1,
            "pressure": "resting",
            "pressure_diffusivity": 0.0,
        },
        "reference": {"speed": 1.0, "length": None, "area": None},
        "force": {"x": 0.0, "y": 0.0},
        "boundaries": {
            "x-": {"kind": "inflow", "velocity": {"x": 1.0, "y": 0.0}, "profile": "uniform"},
            "x+": {"kind": "outflow", "sponge": 0.2},
            "y-": {"kind": "wall", "velocity": {"x": 0.0, "y": 0.0}},
            "y+": {"kind": "wall", "velocity": {"x": 0.0, "y": 0.0}},
        },
        "obstacles": [],
        "initial": {"problem": "rest"},
        "run": {"until": 1.0, "cfl": 0.95, "dt": None, "ramp": 0.0, "precision": "single", "substeps": "auto"},
        "output": {
            "fields": ["velocity", "pressure"],
            "snapshots": None,
            "diagnostics": {"steps": 100},
            "checkpoints": None,
            "chunks": {"x": 8, "y": 8},
            "codec": "lz4",
        },
    }


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_a_resolved_case_survives_json_and_makes_the_same_case(path: Path) -> None:
    case = load_case(path)
    again = make_case(json.loads(json.dumps(case.resolved())))
    assert again.resolved() == case.resolved()
    dt = case.stable_step()
    assert again.stable_step() == dt
    assert saving.digest(again.setup(dt)) == saving.digest(case.setup(dt))


def test_axes_come_in_order_and_numbers_may_be_written_as_yaml_does_not_know_them(tmp_path: Path) -> None:
    """YAML takes 1e-3 for text."""
    case = case_of(
        tmp_path, "", "grid.cells={z: 5, y: 6, x: 7}", "grid.size={y: 2, z: 3, x: 1}", "fluid.viscosity=1e-3"
    )
    assert list(case.grid.cells.items()) == [("x", 7), ("y", 6), ("z", 5)]
    assert list(case.grid.size) == ["x", "y", "z"]
    assert case.fluid.viscosity == 0.001
    geometry = make_geometry(case)
    assert geometry.cells == (5, 6, 7)
    assert geometry.spacing == (3 / 5, 2 / 6, 1 / 7)
    assert geometry.periodic == (True, True, True)


def test_a_flat_grid_has_one_layer_of_cells(tmp_path: Path) -> None:
    geometry = make_geometry(case_of(tmp_path, "boundaries: {y: slip}", "grid.origin.x=-3"))
    assert geometry.cells == (1, 8, 8)
    assert geometry.origin == (0.0, 0.0, -3.0)
    assert geometry.periodic == (True, False, True)
    assert geometry.components == 2


def test_viscosity_follows_from_reynolds(tmp_path: Path) -> None:
    case = case_of(tmp_path, "", "fluid={reynolds: 400, speed: 2, length: 3}")
    assert case.fluid.viscosity == 2 * 3 / 400
    assert case.fluid.pressure_diffusivity == case.fluid.viscosity
    assert case_of(tmp_path, "", "fluid.pressure_diffusivity=0").fluid.pressure_diffusivity == 0


@pytest.mark.parametrize(
    ("overrides", "speed"),
    [
        ([], 1.0),  # 2/3 of the inflow's peak, which is 1.5
        (["boundaries.x-.profile=uniform"], 1.5),
        (["reference.speed=0.7"], 0.7),
        (["fluid.speed=5", "fluid.max_speed=9"], 1.0),  # sound and step are no part of the Reynolds number
        (["boundaries={x: wall, y: wall, y+: {velocity: {x: 0.6}}}"], 0.6),
        (["boundaries={}", "initial={problem: uniform, velocity: {x: 0.3, y: -0.4}}"], 0.4),
        (["boundaries={}", "initial={problem: shear-layer, speed: 0.2}"], 0.2),
        (["boundaries={}"], 2.0),
    ],
)
def test_the_reynolds_number_is_on_the_speed_that_is_given(overrides: list[str], speed: float) -> None:
    case = load_case(CYLINDER, ["fluid={reynolds: 50, length: 0.1, speed: 2.0}", *overrides])
    assert case.reference.speed == pytest.approx(speed)
    assert case.fluid.viscosity == pytest.approx(speed * 0.1 / 50)
    assert make_case(case.resolved()).fluid == case.fluid.model_copy(update={"reynolds": None})


def test_max_speed_shortens_the_step_and_changes_nothing_else() -> None:
    slow, safe = load_case(CYLINDER), load_case(CYLINDER, ["fluid.max_speed=6"])
    assert safe.stable_step() < 0.8 * slow.stable_step()
    assert saving.digest(safe.setup(0.001)) == saving.digest(slow.setup(0.001))


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("boundaries: {}", "periodic periodic periodic periodic"),
        ("boundaries: {x: wall}", "wall wall periodic periodic"),
        ("boundaries: {x: wall, x+: slip}", "wall slip periodic periodic"),
        ("boundaries: {x+: slip, x: wall}", "wall slip periodic periodic"),
        ("boundaries: {y-: {kind: wall}, y+: slip}", "periodic periodic wall slip"),
        ("boundaries: {x: periodic, y: {kind: slip}}", "periodic periodic slip slip"),
    ],
)
def test_boundaries_are_resolved_to_faces(tmp_path: Path, text: str, kinds: str) -> None:
    faces = case_of(tmp_path, text).boundaries
    assert list(faces) == ["x-", "x+", "y-", "y+"]
    assert " ".join(face.kind for face in faces.values()) == kinds


def test_a_face_takes_over_what_its_axis_says_of_the_same_kind(tmp_path: Path) -> None:
    faces = case_of(tmp_path, "boundaries: {y: {kind: wall, velocity: {x: 3}}, y+: {velocity: {x: 5}}}").boundaries
    assert [faces[name].velocity["x"] for name in ("y-", "y+")] == [3, 5]
    faces = case_of(tmp_path, "boundaries: {y: {kind: wall, velocity: {x: 3}}, y+: slip}").boundaries
    assert [faces[name].kind for name in ("y-", "y+")] == ["wall", "slip"]


def test_problems_get_what_the_case_says(tmp_path: Path) -> None:
    walls = "boundaries: {y-: {kind: wall, velocity: {x: -1}}, y+: {kind: wall, velocity: {x: 2}}}\n"
    assert make_problem(case_of(tmp_path, walls + "initial: {problem: couette}")) == problems.Couette(
        low=(-1.0, 0.0), high=(2.0, 0.0), height=1.0, bottom=0.0
    )
    random = case_of(tmp_path, "initial: {problem: random, seed: 4, peak: 1}", "grid.origin.y=0.5", "fluid.speed=3")
    assert make_problem(random) == problems.Random(4, 3.0, 1.0, (2.0, 1.0), (0.0, 0.5), (0.25, 0.125))
    assert random.resolved()["initial"] == {"problem": "random", "seed": 4, "speed": 3.0, "peak": 1.0}
    uniform = case_of(tmp_path, "initial: {problem: uniform, velocity: {y: 2}}")
    assert make_problem(uniform) == problems.Uniform((0.0, 2.0))
    assert make_problem(case_of(tmp_path, "initial: {problem: uniform}")) == problems.Uniform((1.0, 0.0))


def test_every_problem_can_be_asked_for() -> None:
    from gridstride.workers.models.edac.initial import NAMES

    assert set(NAMES) == {*problems.PROBLEMS, "from-store"}


def test_schedules(tmp_path: Path) -> None:
    output = case_of(tmp_path, "output: {snapshots: {at: [2, 1, 1]}, checkpoints: {time: 3}, diagnostics: null}").output
    assert output.snapshots is not None
    assert output.snapshots.at == [1, 2]
    assert output.checkpoints is not None
    assert output.checkpoints.time == 3
    assert output.diagnostics is None


def test_chunks_are_modest_by_default(tmp_path: Path) -> None:
    assert case_of(tmp_path, "", "grid.cells={x: 1000, y: 9}").output.chunks == {"x": 256, "y": 9}
    deep = ["grid.cells={x: 1000, y: 9, z: 200}", "grid.size.z=1", "output.chunks={z: 64}"]
    assert case_of(tmp_path, "", *deep).output.chunks == {"x": 128, "y": 9, "z": 64}


# --- overrides and paths ----------------------------------------------------------------------------------------


def test_overrides_change_any_field() -> None:
    case = load_case(
        CYLINDER,
        [
            "grid.cells.x=100",
            "boundaries.y+.velocity.x=2",
            "obstacles.0.radius=0.1",
            "output.snapshots={steps: 3}",
            "name=other",
            "run.substeps=4",
        ],
    )
    assert case.grid.cells == {"x": 100, "y": 82}
    assert case.boundaries["y+"].kind == "wall"
    assert case.boundaries["y+"].velocity == {"x": 2, "y": 0}
    assert case.boundaries["y-"].velocity == {"x": 0, "y": 0}
    assert case.obstacles[0].build() == obstacles.Cylinder((0.2, 0.2), 0.1)
    assert case.output.snapshots is not None
    assert case.output.snapshots.steps == 3
    assert case.name == "other"
    assert case.run.substeps == 4


def test_a_short_form_is_lengthened_by_an_override(tmp_path: Path) -> None:
    case = case_of(tmp_path, "boundaries: {y-: wall, y+: wall}", "boundaries.y+.velocity.x=2")
    assert case.boundaries["y+"].velocity["x"] == 2


def test_paths_are_relative_to_the_file_or_to_who_overrides_them(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    text = "initial: {problem: from-store, path: old.zarr, time: 2}"
    assert case_of(tmp_path, text).initial.path == str(tmp_path / "old.zarr")
    assert case_of(tmp_path, text, "initial.path=b.zarr").initial.path == str(tmp_path / "elsewhere" / "b.zarr")
    whole = "initial={problem: from-store, path: c.zarr}"
    assert case_of(tmp_path, text, whole).initial.path == str(tmp_path / "elsewhere" / "c.zarr")
    assert case_of(tmp_path, text, "initial.path=/d.zarr").initial.path == "/d.zarr"
    assert case_of(tmp_path, text).initial.time == 2


@pytest.mark.parametrize("kind", ["npy", "zarr"])
def test_masks_must_have_the_grid_s_shape(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"mask.{kind}"
    text = f"obstacles: [{{shape: mask, path: mask.{kind}}}]"
    solid = np.zeros((8, 8), bool)
    if kind == "npy":
        np.save(path, solid)
    else:
        zarr.create_array(str(path), data=solid)
    assert make_obstacles(case_of(tmp_path, text)) == (obstacles.Mask(str(path)),)
    with pytest.raises(UsageError, match=r"obstacles.0.path: .* shape \(8, 8\): expected .* shape \(8, 9\), \(y, x\)"):
        case_of(tmp_path, text, "grid.cells.x=9")


# --- from Python --------------------------------------------------------------------------------------------------


def test_a_mapping_is_overridden_and_looked_at_as_a_file_is(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("mask.npy", np.zeros((8, 8)))
    content = {**yaml.safe_load(SMALL), "obstacles": [{"shape": "mask", "path": Path("mask.npy")}]}
    case: Any = load_case(MappingProxyType(content), ["run.until=0.5"])
    assert case.run.until == 0.5
    assert case.obstacles[0].path == str(tmp_path / "mask.npy")
    assert load_case(case) is case
    assert content["run"] == {"until": 1}
    assert load_case(content, "run.until=0.5").run.until == 0.5
    with pytest.raises(UsageError, match=r"^case: run: unknown key .nonsense."):
        load_case(content, ["run.nonsense=1"])
    np.save("mask.npy", np.zeros((3, 3)))
    for given in (content, case):
        with pytest.raises(UsageError, match=r"^case: obstacles.0.path: .*expected numbers of shape \(8, 8\)"):
            load_case(given)
    Path("mask.npy").unlink()
    with pytest.raises(UsageError, match=r"^case: obstacles.0.path cannot be read"):
        gridstride.simulate(content, "out.zarr")
    with pytest.raises(UsageError, match=r"^overrides change a case file or a mapping"):
        load_case(case, ["run.until=2"])
    assert not Path("out.zarr").exists()
