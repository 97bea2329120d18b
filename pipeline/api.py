"""What `import gridstride` offers: a function for each operator, made from the registry, and the simulations."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, overload

from gridstride.pipeline import job as jobs
from gridstride.pipeline import runner
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.events.events import Events
from gridstride.pipeline.job import Job
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.pipelines.file import load_pipeline
from gridstride.pipeline.pipelines.pipeline import Parameters, Pipeline
from gridstride.pipeline.reports.progress import Progress, job_facts
from gridstride.pipeline.reports.report import reported
from gridstride.pipeline.stopping import ends_program
from gridstride.pipeline.storage.journal import Journal
from gridstride.pipeline.summary import JobSummary
from gridstride.pipeline.text import shown
from gridstride.pipeline.validation import judged
from gridstride.workers.families.user_code import is_program
from gridstride.workers.operators import registry
from gridstride.workers.operators.kinds import LARGEST, within

if TYPE_CHECKING:
    from gridstride.pipeline.measure import Measurement, Numbers
    from gridstride.pipeline.simulations.case import Case
    from gridstride.pipeline.simulations.simulation import FlowSummary, Simulation

LAYOUT = ("array", "chunks", "shards", "codec", "nodata")
Steps = Sequence[tuple[str, Parameters]]
Program = Callable[..., Any]


def prepare(
    steps: str | Path | Program | Steps | Pipeline, input: str | Path, out: str | Path, **arguments: Any
) -> Job:
    """Check and plan a job; see `apply` and `run_pipeline`. Nothing is written and nothing is started."""
    if is_program(steps):
        steps, arguments = "apply", {"file": steps, **arguments}
    layout = {name: arguments.pop(name) for name in LAYOUT if name in arguments}
    names = RunOptions.model_fields
    own = _fields(steps) if isinstance(steps, str) else set()  # an operator's keyword is its own: log of flatfield
    given = {name: arguments.pop(name) for name in list(arguments) if name in names and name not in own}
    options = arguments.pop("options", None) or RunOptions()
    if not isinstance(options, RunOptions):
        raise UsageError(f"options is {shown(options)}: expected RunOptions")
    options = options.but(**given)
    if isinstance(steps, str):
        steps, arguments = [(steps, arguments)], {}
    if not isinstance(steps, Pipeline) and not (isinstance(steps, list | tuple) and all(map(_is_step, steps))):
        raise UsageError("steps: expected the name of an operator, or a list of (name, {parameter: value})")
    if arguments:
        what = "pipeline" if isinstance(steps, Pipeline) else "chain"
        raise UsageError(f"unknown keywords of a {what}: {', '.join(arguments)}")
    return jobs.make_job(steps, input, out, options=options, **layout)


def _fields(name: str) -> set[str]:
    """The fields of an operator, none where there is none of this name."""
    return set(registry.find(name).model_fields) if name.replace("_", "-") in registry.names() else set()


def _is_step(step: object) -> bool:
    return (
        isinstance(step, tuple | list) and len(step) == 2 and isinstance(step[0], str) and isinstance(step[1], Mapping)
    )


@reported
def run(job: Job, client: Any = None) -> JobSummary:
    """Run a job from where it stands, telling of it as its options say."""
    return runner.run(job, client, _shown(job.options), job_facts(job))


def apply(steps: str | Path | Program | Steps, input: str | Path, out: str | Path, **arguments: Any) -> JobSummary:
    """Apply an operator to a Zarr array and write the result to another.

    steps: an operator's name, whose parameters are keywords; or a chain of several, each (name, {parameter: value}):
           one read, one write, with the bytes of the operators applied one after another; or a program of your own, a
           function of a block or its file, with keywords halo and params (docs/own-kernels.md)
    Keywords: those of the operator, of `RunOptions` (options=RunOptions(log=...) for one of a name that the operator
    has), array (which one, where the input is a group), chunks, shards and codec (of the result), and nodata: the value
    that stands for missing elements, several of them, "nan", "auto" (what the array declares) or "none".
    Returns a summary. Raises UsageError if the request is wrong; blocks that failed are in `summary.failed`.
    """
    with ends_program(lambda: _kept(out)):
        return run(prepare(steps, input, out, **arguments))


def run_pipeline(
    pipeline: str | Path | Sequence[Any] | Mapping[str, Any],
    input: str | Path,
    out: str | Path,
    set: Mapping[str, Any] | Sequence[str] = (),
    **arguments: Any,
) -> JobSummary:
    """Apply a pipeline (docs/pipelines.md) to a Zarr array and write the result to another.

    pipeline: the path of a YAML file, or what it holds: steps, each {operator: {option: value}}, with `name` and
              `inputs` among the options where steps are no mere chain
    set: options to change: {"median.size": 5}, by a step's name, operator or number; or texts "median.size=5"
    Other keywords: those of `apply`. The result has the bytes of its steps run one after another.
    Raises UsageError, one line that names file, step and option, if the request is wrong.
    """
    with ends_program(lambda: _kept(out)):
        return run(prepare(load_pipeline(pipeline, set), input, out, **arguments))


def check(program: str | Path | Program, input: str | Path, array: str | None = None, **terms: Any) -> list[str]:
    """Check a program of your own on parts of an array: that its results depend on what lies within the halo, and on no
    more; a CUDA kernel under sanitizers. Nothing is written.

    Keywords: those of the program's `apply` (halo, params, axes, mode, ...). Returns complaints, a line each; [] if all
    is well. Raises UsageError for what is wrong before it can run.
    """
    from gridstride.pipeline.kernel_check import check_kernel

    return [found.complaint for found in check_kernel(program, input, terms, array) if found.complaint]


@overload
def stats(input: str | Path, per: None = None, **arguments: Any) -> Numbers: ...


@overload
def stats(input: str | Path, per: str | int | Sequence[str | int], **arguments: Any) -> list[Numbers]: ...


def stats(input: str | Path, per: Any = None, **arguments: Any) -> Numbers | list[Numbers]:
    """The numbers of a Zarr array: counts, least and greatest, mean, standard deviation, percentiles and a histogram.

    They are exact, whatever the blocks: the mean and the deviation are rounded once, percentiles are those of
    numpy.percentile, the histogram is that of numpy.histogram. NaN and no data are counted and left out of the rest.
    per: axes, such as "c": numbers of each index of them, as a list in the order of the indices
    Keywords: percentiles (0 to 100), bins (of the histogram, 0 for none), values (True: how many elements have each
    value, of whole numbers, such as the sizes of labels), array (which one, where the input is a
    group), nodata (as in `apply`), and of `RunOptions` device, cluster, workers, memory, block, missing, quiet, debug.
    Nothing is written.
    Raises UsageError if the request is wrong, JobFailed for what cannot be read.
    """
    from gridstride.pipeline import measure

    options = RunOptions(**{name: arguments.pop(name) for name in list(arguments) if name in measure.OPTIONS})
    if unknown := set(arguments) - {"percentiles", "bins", "array", "nodata", "values"}:
        raise UsageError(f"unknown keywords of stats: {', '.join(sorted(unknown))}")
    measurement = measure.prepare(input, per, options=options, **arguments)
    with ends_program(lambda: ""):
        found = measured(measurement)
    return found[0] if per is None else found


def measured(measurement: Measurement) -> list[Numbers]:
    """Measure, showing the progress as the options say."""
    from gridstride.pipeline import measure

    return measure.run(measurement, None, _shown(measurement.options))


def _shown(options: RunOptions) -> runner.Progress:
    """A progress bar of a sweep, unless the options say that none is wanted."""

    @contextmanager
    def progress(total: int, done: int, story: Events) -> Iterator[Any]:
        with Progress(total, done, not options.watched, events=story) as bar:
            yield bar.report

    return progress


def _kept(out: str | Path) -> str:
    from gridstride.pipeline.reports.status import kept  # takes time to import

    return kept(out)


class OperatorFunction(Protocol):
    def __call__(self, input: str | Path, out: str | Path, *values: Any, **arguments: Any) -> JobSummary: ...


def operator_function(name: str) -> OperatorFunction:
    """The Python function of an operator: `input`, `out`, and its fields, the required ones by position too."""
    recipe = registry.find(name)
    fields = recipe.own_fields()
    # By position too: what is required, or else the first.
    positional = [field for field, info in fields.items() if info.is_required()] or list(fields)[:1]

    def function(input: str | Path, out: str | Path, *values: Any, **arguments: Any) -> JobSummary:
        if len(values) > len(positional):
            raise TypeError(f"{name} takes {2 + len(positional)} arguments by position: {len(values) + 2} were given")
        return apply(name, input, out, **dict(zip(positional, values, strict=False)), **arguments)

    lines = [f"    {field}: {info.description}" for field, info in fields.items() if info.description]
    function.__name__ = function.__qualname__ = name.replace("-", "_")
    function.__doc__ = "\n".join([inspect.getdoc(recipe) or "", "", *lines, "    Other keywords: those of `apply`."])
    kind = inspect.Parameter
    places = [kind(p, kind.POSITIONAL_OR_KEYWORD) for p in ("input", "out")]
    for field, info in fields.items():
        how = kind.POSITIONAL_OR_KEYWORD if field in positional else kind.KEYWORD_ONLY
        places.append(kind(field, how, default=kind.empty if info.is_required() else info.get_default()))
    signature = inspect.Signature([*places, kind("options", kind.VAR_KEYWORD)])
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


def simulate(
    case: str | Path | Mapping[str, Any] | Case,
    out: str | Path,
    overrides: Sequence[str] = (),
    *,
    blocks: int | None = None,
    from_store: bool = False,
    **options: Any,
) -> FlowSummary:
    """Run a simulation, or go on with it, and write it to the Zarr group `out`.

    case: path of a case file, a mapping of its content, or a `Case`; overrides: "key.of.field=value"
    blocks: number of slabs kept in memory (default: chosen by the planner); from_store: keep the state in stores even
            if it fits the memory
    Keywords: those of `RunOptions`. Raises UsageError before anything is written, JobFailed if the run blows up.
    What is likely to be wrong with the case or its result is in the summary's `warnings`, and a UserWarning each.
    """
    # Models take time to import, which operators do not need.
    from gridstride.pipeline.simulations import simulation
    from gridstride.pipeline.simulations.case import load_case

    blocks = None if blocks is None else judged("blocks", blocks, within(1, LARGEST))
    with ends_program(lambda: _kept(out)):
        prepared = simulation.prepare(load_case(case, overrides), out, RunOptions(**options), blocks, from_store)
        return _run_simulation(prepared)


def _run_simulation(prepared: Simulation) -> FlowSummary:
    """Run a simulation and give its warnings as Python does: of the case before it runs, of the result after."""
    from gridstride.pipeline.reports.simulations import run_shown

    said = prepared.warnings
    for line in said:
        warnings.warn(line, UserWarning, stacklevel=3)
    summary = run_shown(prepared)
    for line in summary.warnings[len(said) :]:
        warnings.warn(line, UserWarning, stacklevel=3)
    return summary


def prepare_resume(
    out: str | Path, options: RunOptions, until: float | None = None, code: Sequence[Any] = ()
) -> Job | Simulation:
    """Check and plan to go on with what writes `out`; see `resume`."""
    journal = Journal(out)
    if not journal.is_simulation():
        if until is not None and journal.exists():
            raise UsageError(f"{out} is not the output of a simulation, which alone is made longer by until")
        return jobs.resume(out, options, code)
    from gridstride.pipeline.simulations import simulation

    return simulation.resume(out, options, until)


def resume(
    out: str | Path, until: float | None = None, code: str | Path | Program | Sequence[Any] = (), **options: Any
) -> JobSummary | FlowSummary:
    """Go on with the unfinished job or simulation at `out`.

    until: make a simulation longer, finished or not: the time at which it ends, in place of its case's run.until
    code:  the program of your own that the job runs, or its file; several of them
    Keywords: those of `RunOptions`. Raises UsageError for an end before that of the run that is there.
    """
    with ends_program(lambda: _kept(out)):
        programs = code if isinstance(code, list | tuple) else [code]
        prepared = prepare_resume(out, RunOptions(**options), until, programs)
        if isinstance(prepared, Job):
            return run(prepared)
        return _run_simulation(prepared)
