"""What a pipeline file may hold, and what is said of one that is wrong: one line, with file, step and field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from click.testing import CliRunner

import gridstride
from gridstride.pipeline import api
from gridstride.pipeline.commands.main import main
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.pipelines.file import load_pipeline
from gridstride.workers import saving

CHAIN = (
    "- median: {size: 3}\n- gaussian: {sigma: [1, 2], mode: mirror, name: smooth}\n- median\n- threshold: {value: 9}"
)
# What a file holds, and how what is said of it begins, after its name, or where it lacks one.
WRONG = [
    ("- gausian: {sigma: 2}", ", line 1, step 1 (gausian): there is no operator 'gausian': did you mean 'gaussian'?"),
    ("- median\n\n- gaussian: {sgima: 2}", ", line 3, step 2 (gaussian): unknown key 'sgima': did you mean 'sigma'?"),
    ("- gaussian:", ", line 1, step 1 (gaussian): sigma is missing"),
    ("- gaussian: {sigma: soft}", ", line 1, step 1 (gaussian): sigma is 'soft': expected a number"),
    ("- gaussian: {sigma: [1, -1]}", ", line 1, step 1 (gaussian): sigma is -1.0: expected a number above 0"),
    ("- gaussian: {sigma: [1, 1, 1]}", ", line 1, step 1 (gaussian): sigma has 3 values for 2 filtered axes"),
    ("- median: {mode: mirrored}", ", line 1, step 1 (median): unknown mode 'mirrored': expected one of "),
    ("- median: {footprint_: 1}", ", line 1, step 1 (median): unknown key 'footprint_': "),
    ("- median: {1: 2}", ", line 1, step 1 (median): 1 is no option: "),
    ("- median: 5", ", line 1, step 1 (median): 5 is no set of options: expected median: {size: ...}"),
    ("- gaussian:\n  sigma: 2", ", line 1, step 1 (gaussian): sigma stands beside gaussian and not under it: "),
    ("- {median: {}, sobel: {}}", ", line 1, step 1: a step is one operator, and this has the keys median, sobel: "),
    ("- {name: fine}", ", line 1, step 1: a step is one operator, and this has no operator: "),
    ("- 3", ", line 1, step 1: 3 is no step: "),
    ("- median\n-", ", line 2, step 2: nothing is no step: "),
    ("- median: {size: 3, size: 5}", " is not YAML: line 1, column 21: 'size' is given twice"),
    ("- median: {size: 3", " is not YAML: line 1, column 19: "),
    ("- &a [*a]", " is not YAML: its aliases make it more than 100000 values"),
    ("", ": a pipeline is a list of steps, and this is no steps: "),
    ("steps: []", ": a pipeline is a list of steps, and this is no steps: "),
    ("steps: 4", ": a pipeline is a list of steps, and this is 4: "),
    ("stpes: []", ": unknown key 'stpes': did you mean 'steps'?"),
    ("median: {size: 3}", ": unknown key 'median': steps are a list, each after a dash"),
    ("description: 4\nsteps: [median]", ": description is 4: expected text"),
    ("- median: {name: a}\n- median: {name: a}", ", line 2, step 2 (median): an earlier step has the name 'a' too: "),
    ("- median: {name: input}", ", line 1, step 1 (median): name is 'input': expected letters, "),
    ("- median: {name: 3}", ", line 1, step 1 (median): name is 3: expected letters, "),
    ("- median: {inputs: 3}", ", line 1, step 1 (median): inputs is 3: expected names of earlier steps, or input"),
    (
        "- median: {inputs: inptu}",
        ", line 1, step 1 (median): inputs names 'inptu', which no step is called: did you mean",
    ),
    ("- median: {inputs: b}\n- median: {name: b}", ", line 1, step 1 (median): inputs names 'b', which comes later: "),
    (
        "- median\n- median\n- median: {inputs: median}",
        ", line 3, step 3 (median): inputs names 'median', which are 2 ",
    ),
    ("- median: {name: a, inputs: a}", ", line 1, step 1 (median): inputs names 'a', which comes later: "),
    ("- median\n- median: {inputs: input}", ", line 1, step 1 (median): no later step reads its result: "),
    ("- median: {name: a}\n  name: b", ", line 1, step 1 (median): name is given twice, "),
    (
        "- apply: {file: own.py, halo: 0, dtype: int8, out-dtype: int8}",
        ", line 1, step 1 (apply): dtype is given twice, the second time as out-dtype",
    ),
]
# --set, and what is said of it.
SETTINGS = [
    (
        "medain.size=5",
        "--set medain.size=5: there is no step 'medain': did you mean 'median'? (or a number from 1 to 4)",
    ),
    (
        "median.size=5",
        "--set median.size=5: steps 1 and 3 are both median: use names or numbers",
    ),
    ("smooth.sgima=5", "--set smooth.sgima=5: gaussian has no option 'sgima': did you mean 'sigma'?"),
    (
        "smooth.sigma=soft",
        "--set smooth.sigma=soft, {file}, line 2, step 2 (gaussian): sigma is 'soft': expected a number",
    ),
    ("smooth.sigma=[", "--set 'smooth.sigma=[': the value is not YAML: "),
    ("smooth.sigma", "--set 'smooth.sigma': expected key=value, such as median.size=5"),
    ("smooth=3", "--set smooth=3: expected STEP.OPTION, such as median.size"),
    ("5.size=3", "--set 5.size=3: there is no step '5': "),
    ("smooth.name=a", "--set smooth.name=a: name is not an option: "),
]


@pytest.fixture
def source(store: Any) -> str:
    return store(np.arange(20 * 24, dtype=np.uint16).reshape(20, 24), (8, 8), dimension_names=["y", "x"])


@pytest.mark.parametrize(("text", "words"), WRONG)
def test_what_is_wrong_with_a_file_is_one_line(text: str, words: str, source: str, tmp_path: Path) -> None:
    file, out = tmp_path / "steps.yaml", tmp_path / "out.zarr"
    file.write_text(text)
    said = CliRunner().invoke(main, ["run", str(file), source, str(out), "--device", "cpu"])
    assert (said.exit_code, said.output.count("\n"), out.exists()) == (2, 1, False), said.output
    assert said.output.startswith(f"gridstride: {file}{words}")
    with pytest.raises(UsageError) as refused:
        gridstride.run(file, source, out)
    assert said.output == f"gridstride: {refused.value}\n"


@pytest.mark.parametrize(("setting", "words"), SETTINGS)
def test_what_is_wrong_with_a_setting_is_one_line(setting: str, words: str, source: str, tmp_path: Path) -> None:
    file, out = tmp_path / "steps.yaml", tmp_path / "out.zarr"
    file.write_text(CHAIN)
    said = CliRunner().invoke(main, ["run", str(file), source, str(out), "--set", setting])
    assert (said.exit_code, said.output.count("\n"), out.exists()) == (2, 1, False), said.output
    assert said.output.startswith(f"gridstride: {words.format(file=file)}")


def test_settings_change_options_by_name_operator_or_number(tmp_path: Path) -> None:
    file = tmp_path / "steps.yaml"
    file.write_text(CHAIN)
    texts = [
        "smooth.sigma=1,3",
        "gaussian.order=1",
        "1.size=5",
        "3.size=[3, 5]",
        "threshold.value=1e1",
        "smooth.mode=nearest",
    ]
    steps = load_pipeline(file, texts).steps
    assert [dict(step.options) for step in steps] == [
        {"size": 5}, {"sigma": [1, 3], "mode": "nearest", "order": 1}, {"size": [3, 5]}, {"value": 10.0}
    ]  # fmt: skip
    terms = {
        "smooth.sigma": (1, 3),
        "1.size": np.int64(5),
        "3.size": [3, 5],
        "threshold.value": 10,
        "2.mode": "nearest",
        "gaussian.order": 1,
    }
    assert [step.recipe() for step in load_pipeline(file, terms).steps] == [step.recipe() for step in steps]


def test_files_lists_and_chains_of_the_same_steps_are_the_same_job(source: str, tmp_path: Path) -> None:
    file = tmp_path / "steps.yaml"
    file.write_text(f"description: Smooth\nsteps:\n{CHAIN}")
    steps: Any = [
        ("median", {"size": 3}), ("gaussian", {"sigma": (1, 2), "mode": "mirror"}), ("median", {}),
        ("threshold", {"value": 9}),
    ]  # fmt: skip
    forms = [load_pipeline(file), load_pipeline(steps), steps, load_pipeline([{name: terms} for name, terms in steps])]
    jobs = [api.prepare(form, source, tmp_path / "out", device="cpu") for form in forms]
    assert len({saving.digest(job.operator) for job in jobs}) == 1
    again = tmp_path / "again.yaml"
    again.write_text(jobs[0].request["pipeline"])  # the result's attributes have what runs it again
    assert load_pipeline(again).description == "Smooth"
    assert api.prepare(load_pipeline(again), source, tmp_path / "out", device="cpu").request == jobs[0].request


def test_names_and_inputs_stand_among_the_options_or_beside_the_operator() -> None:
    among = [{"median": {"size": 3, "name": "a", "inputs": "input"}}]
    beside = [{"median": {"size": 3}, "name": "a", "inputs": ["input"]}]
    assert load_pipeline(among) == load_pipeline(beside)


def test_paths_are_relative_to_the_file(source: str, tmp_path: Path) -> None:
    (tmp_path / "kernels").mkdir()
    np.save(tmp_path / "kernels" / "box.npy", np.ones((3, 3)))
    file = tmp_path / "steps.yaml"
    file.write_text("- convolve: {kernel: kernels/box.npy}\n- convolve: {kernel: laplace}")
    kernels = [step.options["kernel"] for step in load_pipeline(file).steps]
    assert kernels == [str(tmp_path / "kernels" / "box.npy"), "laplace"]
    api.prepare(load_pipeline(file), source, tmp_path / "out", device="cpu")


def test_a_program_is_beside_the_file_and_its_options_have_all_their_names(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.py").write_text("def f(block, gain):\n    return block * gain\n")
    (tmp_path / "here").mkdir()
    file = tmp_path / "here" / "steps.yaml"
    file.write_text("- apply: {file: own.py, halo: 0, params: {gain: 2.0}, out-dtype: float32}")
    monkeypatch.chdir(tmp_path)  # where no file is looked for
    with pytest.raises(UsageError, match=r"line 1, step 1 \(apply\): file is .*here/own\.py cannot be read"):
        api.prepare(load_pipeline(file), source, tmp_path / "out", device="cpu")
    (tmp_path / "own.py").rename(file.with_name("own.py"))
    assert load_pipeline(file, ["apply.out-dtype=int32"]).steps[0].options["dtype"] == "int32"
    job = api.prepare(load_pipeline(file, {"apply.params": {"gain": 3.0}}), source, tmp_path / "out", device="cpu")
    assert job.out_grid.dtype == "float32"


def test_labels_are_refused_by_the_step_that_would_mix_them(tmp_path: Path) -> None:
    group = zarr.create_group(str(tmp_path / "labels"), attributes={"image-label": {}})
    group.create_array("0", shape=(8, 8), chunks=(8, 8), dtype="uint16")
    labels = tmp_path / "labels" / "0"
    steps = [{"median": {}}, {"gaussian": {"sigma": 1}}]
    with pytest.raises(UsageError, match=r"^step 2 \(gaussian\): the array holds labels"):
        api.prepare(load_pipeline(steps), labels, tmp_path / "out")
    masked = [{"median": {}}, {"threshold": {"value": 0}}, {"gaussian": {"sigma": 1, "dtype": "float32"}}]
    api.prepare(load_pipeline(masked), labels, tmp_path / "out")


EXAMPLES = Path(gridstride.__file__).parent / "examples" / "pipelines"


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_the_examples_are_pipelines(file: Path, store: Any, tmp_path: Path) -> None:
    source = store(np.zeros((12, 20, 24), np.uint16), (8, 8, 8), dimension_names=["z", "y", "x"])
    assert api.prepare(load_pipeline(file), source, tmp_path / "out", device="cpu").groups


def test_a_pipeline_is_run_by_the_command_and_known_by_the_others(source: str, tmp_path: Path) -> None:
    file, out, page = tmp_path / "steps.yaml", str(tmp_path / "out.zarr"), str(tmp_path / "page.html")
    file.write_text("- median: {size: 3}\n- uniform: {size: 3, name: smooth}\n- threshold: {method: otsu}")
    run = ["run", str(file), source, out, "--set", "smooth.size=5", "--device", "cpu"]
    planned = CliRunner().invoke(main, [*run, "--dry-run"])
    assert planned.exit_code == 0, planned.output
    for text in (
        "1: median, ",
        "2 smooth: uniform, ",
        "3: threshold, otsu; uint16 -> bool",
        "steps 1 to 3 ",
        "fused: ",
    ):
        assert text in planned.output
    assert not Path(out).exists()
    done = CliRunner().invoke(main, [*run, "--report", page])
    assert done.exit_code == 0, done.output
    assert "steps 1 to 3 (median, uniform, threshold): 2 sweeps, of which the last one writes" in done.output
    about = zarr.open_array(out, mode="r").attrs["gridstride"]["request"]  # type: ignore[index,call-overload]
    lines = ["- median: {size: 3}", "- uniform: {size: 5, name: smooth}", "- threshold: {method: otsu}"]
    assert about["pipeline"].splitlines() == lines  # type: ignore[index,call-overload,union-attr]
    for words in (["status", out], ["info", out], ["resume", out], run):
        said = CliRunner().invoke(main, words)
        assert said.exit_code == 0, said.output
    assert "0 blocks computed, 1 skipped" in said.output
    assert "median" in Path(page).read_text()
    changed = CliRunner().invoke(main, [*run[:-2], "--set", "median.size=5", "--device", "cpu"])
    assert (changed.exit_code, "with other parameters" in changed.output) == (2, True)
