"""The time step of a simulation, and the steps of every schedule, known before it begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, gcd, lcm
from typing import Any

import numpy as np

from gridstride.pipeline.errors import UsageError
from gridstride.workers.models.base import Model
from gridstride.workers.models.sections import Schedule

UNSEEN = 1e-6  # share of a step by which times may differ and still be called the same
# A step may be so much shorter than the scheme allows to make the end fall on a step too.
WORTH = 0.8
MOST_STEPS, MOST_SAMPLES = 2**40, 10_000_000  # of a run; samples are kept in memory


@dataclass(frozen=True)
class Timeline:
    """dt; the last step; and the steps after which there is a snapshot, a sample of diagnostics, a checkpoint.

    ratio: dt as a ratio of whole numbers, from which times are made: 3 steps of 0.1 are 0.3
    ends: last steps of the shorter runs that this one makes longer
    notes: where something falls on another time than asked for
    """

    dt: float
    last: int
    snapshots: np.ndarray
    diagnostics: np.ndarray
    checkpoints: np.ndarray
    ratio: tuple[int, int]
    ends: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def times(self, steps: np.ndarray) -> np.ndarray:
        """The times after some steps, each rounded once."""
        numerator, denominator = self.ratio
        return np.array([int(step) * numerator / denominator for step in steps], np.float64)

    def plain(self) -> dict[str, Any]:
        """What a longer run needs of this one, as JSON holds it."""
        return {"dt": self.dt, "ratio": list(self.ratio), "last": self.last, "ends": list(self.ends)}

    def cut(self, end: int) -> Timeline:
        """As it was while `end`, one of the ends, was the last step."""
        snapshots, diagnostics = (steps[steps <= end] for steps in (self.snapshots, self.diagnostics))
        return replace(self, last=end, snapshots=snapshots, diagnostics=diagnostics)

    def next_event(self, step: int) -> int:
        """The first step after `step` at which something is due; the last step at the latest."""
        due = [self.last]
        for steps in (self.snapshots, self.diagnostics, self.checkpoints):
            at = int(np.searchsorted(steps, step, side="right"))
            due += [int(steps[at])] if at < len(steps) else []
        return min(due)

    def snapshot(self, step: int) -> int | None:
        """Number of the snapshot due after a step."""
        at = int(np.searchsorted(self.snapshots, step))
        return at if at < len(self.snapshots) and self.snapshots[at] == step else None

    def sampled(self, step: int) -> bool:
        return bool(np.isin(step, self.diagnostics))

    def checkpointed(self, step: int) -> bool:
        return step == self.last or bool(np.isin(step, self.checkpoints))


def time_step(case: Model) -> tuple[float, Fraction]:
    """The case's dt, as a number and as the ratio that it stands for. It is run.dt, or run.cfl of the stable step,
    shortened so that snapshots, and the end too where that is worth it, fall on steps.

    Raises UsageError for a dt that is not stable.
    """
    stable, until = case.stable_step(), _decimal(case.run.until)
    if case.run.dt is not None:
        if case.run.dt > stable:
            raise UsageError(
                f"run.dt is {case.run.dt:g}: expected at most {stable:.4g}, beyond which the scheme is unstable"
            )
        return case.run.dt, _decimal(case.run.dt)

    def step(unit: Fraction) -> Fraction:
        return unit / ceil(float(unit) / (case.run.cfl * stable))

    snapshots, unit = case.output.snapshots, until
    if snapshots is not None and snapshots.time is not None:
        unit = min(_decimal(snapshots.time), until)
    elif snapshots is not None and snapshots.at is not None and any(snapshots.at):
        listed = _common([_decimal(t) for t in snapshots.at if t])
        unit = listed if step(listed) >= WORTH * step(until) else until
    both = _common([unit, until])
    unit = both if step(both) >= WORTH * step(unit) else unit
    return float(unit) / ceil(float(unit) / (case.run.cfl * stable)), step(unit)


def make_timeline(case: Model, begun: Mapping[str, Any] | None = None) -> Timeline:
    """When things happen in a case. begun: `Timeline.plain` of the run that is there, whose step this one keeps."""
    dt, ratio = time_step(case)
    notes, ends = [], ()
    if begun is not None:
        if begun["dt"] != dt:
            notes.append(f"the step is that of the run so far; a run of this length at once has steps of {dt:.4g}")
        dt, ratio = begun["dt"], Fraction(*begun["ratio"])
    last = max(1, round(_decimal(case.run.until) / ratio))
    _check_counts(case, dt, last)
    if begun is not None:
        ends = (*begun["ends"], begun["last"]) if begun["last"] < last else tuple(begun["ends"])
    output = case.output
    timeline = Timeline(
        dt,
        last,
        np.union1d(_steps(output.snapshots, dt, last), [*ends, last]).astype(np.int64),
        _steps(output.diagnostics, dt, last),
        _steps(output.checkpoints, dt, last),
        ratio.as_integer_ratio(),
        ends,
    )
    notes += _shifted("snapshots", output.snapshots, timeline) + _shifted("diagnostics", output.diagnostics, timeline)
    if abs(timeline.times(np.array([last]))[0] - case.run.until) > UNSEEN * dt:
        notes.append(f"the end is the step nearest to run.until, {case.run.until:g}")
    return replace(timeline, notes=tuple(notes))


def _check_counts(case: Model, dt: float, last: int) -> None:
    """Raise UsageError for more steps or samples than any run has."""
    if last > MOST_STEPS:
        raise UsageError(
            f"run.until {case.run.until:g} takes {last:.3g} steps of {dt:.3g}: expected up to {MOST_STEPS:g}; check "
            "units, and what makes the stable step so short"
        )
    for name in ("snapshots", "diagnostics", "checkpoints"):
        schedule: Schedule | None = getattr(case.output, name)
        if schedule is None or schedule.at is not None:
            continue
        count = last / schedule.steps if schedule.steps else min(last, case.run.until / (schedule.time or dt))
        if count > MOST_SAMPLES:
            raise UsageError(
                f"output.{name} makes {count:.3g} of them: expected up to {MOST_SAMPLES:g}; make them less frequent"
            )


def schedule_warnings(case: Model, timeline: Timeline) -> list[str]:
    """Schedules of which the run's time leaves nothing, or a part, a line each."""
    found, until = [], case.run.until
    for name in ("snapshots", "diagnostics"):
        schedule: Schedule | None = getattr(case.output, name)
        if schedule is None:
            continue
        if schedule.time is not None and schedule.time > until * (1 + 1e-9):
            found.append(f"output.{name}.time {schedule.time:g} is longer than run.until {until:g}: give a shorter one")
        elif schedule.steps is not None and schedule.steps > timeline.last:
            found.append(f"output.{name}.steps {schedule.steps} is more than the run has, {timeline.last}: give fewer")
        late = [f"{t:g}" for t in schedule.at or () if t > until * (1 + 1e-9)]
        if late:
            found.append(
                f"output.{name}.at {', '.join(late)} is after the end, run.until {until:g}: nothing is written then"
            )
    return found


def _decimal(number: float) -> Fraction:
    """The number as it is written: 0.1 is a tenth."""
    return Fraction(repr(float(number)))


def _common(numbers: Sequence[Fraction]) -> Fraction:
    """The largest number that divides all of them."""
    whole = lcm(*(n.denominator for n in numbers))
    return Fraction(gcd(*(int(n * whole) for n in numbers)), whole)


def _shifted(name: str, schedule: Schedule | None, timeline: Timeline) -> list[str]:
    """How far from the times asked for things happen."""
    if schedule is None or schedule.steps is not None:
        return []
    end = timeline.last * timeline.dt
    times = np.array(schedule.at) if schedule.at is not None else _every(schedule, end)
    times = times[times <= end]
    off = np.abs(np.rint(times / timeline.dt) * timeline.dt - times).max(initial=0.0)
    return (
        [f"{name} are of the steps nearest to the times asked for, up to {off:.2g} away"]
        if off > UNSEEN * timeline.dt
        else []
    )


def _every(schedule: Schedule, end: float) -> np.ndarray:
    """The times of a schedule that has one interval."""
    assert schedule.time is not None
    return np.arange(int(end / schedule.time * (1 + 1e-9)) + 1) * schedule.time


def _steps(schedule: Schedule | None, dt: float, last: int) -> np.ndarray:
    """Steps of a schedule, 0 and the last included where they fall on it; every time at its nearest step."""
    if schedule is None:
        return np.zeros(0, np.int64)
    if schedule.at is not None:
        steps = np.rint(np.array(schedule.at) / dt)
    elif schedule.steps is not None:
        steps = np.arange(0, last + 1, schedule.steps)
    else:
        steps = np.rint(_every(schedule, last * dt) / dt)
    steps = np.unique(steps.astype(np.int64))
    return steps[steps <= last]
