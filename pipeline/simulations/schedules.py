"""The time step of a simulation, and the steps of every schedule, known before it begins."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np

from gridstride.pipeline.errors import UsageError
from gridstride.workers.models.base import Model
from gridstride.workers.models.sections import Schedule


@dataclass(frozen=True)
class Timeline:
    """dt; the last step; and the steps after which there is a snapshot, a sample of diagnostics, a checkpoint."""

    dt: float
    last: int
    snapshots: np.ndarray
    diagnostics: np.ndarray
    checkpoints: np.ndarray

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


def time_step(case: Model) -> float:
    """The case's dt, or run.cfl of the stable one, shortened so that a whole number of steps makes up the time between
    snapshots (or the whole run). Raises UsageError for a dt that is not stable."""
    stable = case.stable_step()
    if case.run.dt is not None:
        if case.run.dt > stable:
            raise UsageError(
                f"run.dt is {case.run.dt:g}: expected at most {stable:.4g}, beyond which the scheme is unstable"
            )
        return case.run.dt
    every = case.output.snapshots.time if case.output.snapshots else None
    span = min(every or case.run.until, case.run.until)
    return span / ceil(span / (case.run.cfl * stable))


def make_timeline(case: Model) -> Timeline:
    dt = time_step(case)
    last = max(1, round(case.run.until / dt))
    snapshots = np.union1d(_steps(case.output.snapshots, dt, last), [last])
    return Timeline(
        dt,
        last,
        snapshots.astype(np.int64),
        _steps(case.output.diagnostics, dt, last),
        _steps(case.output.checkpoints, dt, last),
    )


def schedule_warnings(case: Model, timeline: Timeline) -> list[str]:
    """Schedules of which the run's time leaves nothing, or a part, a line each."""
    found, until = [], case.run.until
    for name in ("snapshots", "diagnostics", "checkpoints"):
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


def _steps(schedule: Schedule | None, dt: float, last: int) -> np.ndarray:
    """Steps of a schedule, 0 and the last included where they fall on it; every time at its nearest step."""
    if schedule is None:
        return np.zeros(0, np.int64)
    if schedule.at is not None:
        steps = np.rint(np.array(schedule.at) / dt)
    elif schedule.steps is not None:
        steps = np.arange(0, last + 1, schedule.steps)
    else:
        assert schedule.time is not None
        steps = np.rint(np.arange(int(last * dt / schedule.time * (1 + 1e-9)) + 1) * schedule.time / dt)
    steps = np.unique(steps.astype(np.int64))
    return steps[steps <= last]
