"""Time step and schedules: arithmetic that decides when something is written."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.simulations.case import make_case
from gridstride.pipeline.simulations.schedules import make_timeline, time_step

CASE = {
    "grid": {"cells": {"x": 16, "y": 32}, "size": {"x": 1.0, "y": 1.0}},
    "fluid": {"viscosity": 0.01, "speed": 2.0, "mach": 0.1},
    "run": {"until": 1.0},
}


def case(run=None, **output):
    return make_case({**CASE, "run": {**CASE["run"], **(run or {})}, "output": output})


def test_the_stable_step_is_that_of_sound_and_diffusion():
    inverse = 16**2 + 32**2  # sum of 1 / h^2
    assert case().stable_step() == pytest.approx(
        1 / ((math.sqrt(1.4) * 20 + 10 * 4 / 20) * math.sqrt(inverse) + 4 * 0.01 * inverse)
    )


def test_a_whole_number_of_steps_makes_up_the_time_between_snapshots():
    timeline = make_timeline(case(snapshots={"time": 0.3}))
    assert timeline.dt <= 0.95 * case().stable_step()
    steps = 0.3 / timeline.dt
    assert steps == pytest.approx(round(steps))
    np.testing.assert_array_equal(timeline.snapshots[:-1], np.arange(4) * round(steps))
    assert timeline.snapshots[-1] == timeline.last == round(1.0 / timeline.dt)


def test_a_given_step_is_kept_and_one_that_is_unstable_refused():
    assert time_step(case({"dt": 1e-4})) == (1e-4, Fraction(1, 10_000))
    with pytest.raises(UsageError, match=r"run.dt is 0.1: expected at most 0.00\d+"):
        time_step(case({"dt": 0.1}))


def test_times_fall_on_their_nearest_step():
    timeline = make_timeline(case({"dt": 1e-3}, snapshots={"at": [0.0, 0.0104, 0.5]}, diagnostics={"steps": 400}))
    assert timeline.snapshots.tolist() == [0, 10, 500, 1000]
    assert timeline.diagnostics.tolist() == [0, 400, 800]
    assert [timeline.next_event(s) for s in (0, 9, 10, 400, 800)] == [10, 10, 400, 500, 1000]
    assert timeline.snapshot(10) == 1
    assert timeline.snapshot(11) is None
    assert timeline.sampled(400)
    assert not timeline.sampled(500)
    assert timeline.checkpointed(1000)  # the end always is
    assert not timeline.checkpointed(500)


@pytest.mark.slow
@given(st.integers(1, 50), st.integers(1, 50), st.floats(0.01, 2), st.integers(0, 1000))
def test_the_next_event_is_the_first_thing_due(snapshots, diagnostics, checkpoints, step):
    timeline = make_timeline(
        case(
            {"dt": 1e-3},
            snapshots={"steps": snapshots},
            diagnostics={"steps": diagnostics},
            checkpoints={"time": checkpoints},
        )
    )
    step = min(step, timeline.last - 1)
    found = timeline.next_event(step)
    due = [
        s
        for s in range(step + 1, timeline.last + 1)
        if timeline.snapshot(s) is not None or timeline.sampled(s) or timeline.checkpointed(s)
    ]
    assert found == due[0]


@pytest.mark.parametrize(
    ("until", "snapshots", "times"),
    [
        (1.0, {"time": 0.1}, [k / 10 for k in range(11)]),
        (1.0, {"time": 0.3}, [0, 0.3, 0.6, 0.9, 1.0]),
        (1.1, {"time": 0.25}, [0, 0.25, 0.5, 0.75, 1.0, 1.1]),
        (0.9, {"at": [0.1, 0.25, 0.7]}, [0.1, 0.25, 0.7, 0.9]),
        (0.7, None, [0.7]),
    ],
)
def test_snapshots_have_the_times_asked_for(until, snapshots, times):
    timeline = make_timeline(case({"until": until}, snapshots=snapshots))
    assert timeline.times(timeline.snapshots).tolist() == times
    assert timeline.notes == ()
    assert 0.76 * case().stable_step() < timeline.dt <= 0.95 * case().stable_step()


@given(st.integers(1, 400), st.integers(1, 40))
def test_every_interval_of_snapshots_is_met_and_the_end_where_it_is_worth_it(hundredths, fifths):
    every, until = hundredths / 100, fifths / 5
    timeline = make_timeline(case({"until": until}, snapshots={"time": every}))
    asked = [k * hundredths / 100 for k in range(int(until / every * (1 + 1e-9)) + 1)]
    found = timeline.times(timeline.snapshots)
    assert found[: len(asked)].tolist() == (asked if every <= until else [0.0])
    assert found[-1] == pytest.approx(until, abs=timeline.dt / 2)
    assert (found[-1] == until) == (not any("run.until" in note for note in timeline.notes))


def test_times_that_no_step_meets_are_said():
    odd = make_timeline(
        case({"until": 1.0}, snapshots={"at": [0.123456789, 0.987654321]}, diagnostics={"time": 0.0123})
    )
    assert odd.times(np.array([odd.last])) == 1.0
    assert [note.split(",")[0] for note in odd.notes] == [
        "snapshots are of the steps nearest to the times asked for",
        "diagnostics are of the steps nearest to the times asked for",
    ]
    given = make_timeline(case({"dt": 1e-3, "until": 0.9996}))
    assert given.notes == ("the end is the step nearest to run.until, 0.9996",)


def test_a_longer_run_keeps_its_step_and_says_so():
    short, long = (make_timeline(case({"until": until})) for until in (0.7, 1.0))
    assert short.dt != long.dt
    longer = make_timeline(case({"until": 1.0}), short.plain())
    assert (longer.dt, longer.ends) == (short.dt, (short.last,))
    assert longer.snapshots.tolist() == [short.last, longer.last]
    assert "the step is that of the run so far" in longer.notes[0]
    assert longer.cut(short.last).snapshots.tolist() == [short.last]
    again = make_timeline(case({"until": 1.0}), longer.plain())
    assert again.ends == longer.ends
