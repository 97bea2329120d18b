"""Time step and schedules: arithmetic that decides when something is written."""

from __future__ import annotations

import math

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
    assert time_step(case({"dt": 1e-4})) == 1e-4
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
