"""Signals that end a process end a job in order, and are the caller's again afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest

from gridstride.pipeline.stopping import Stopped, orderly

pytestmark = pytest.mark.usefixtures("default_hangup")
BOTH = (signal.SIGTERM, signal.SIGHUP)


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_stops_what_runs_once(number: int) -> None:
    def run() -> None:
        with orderly() as ours:
            assert ours
            try:
                os.kill(os.getpid(), number)
            finally:
                for again in BOTH:  # as a closing terminal does, while the job ends
                    os.kill(os.getpid(), again)

    with pytest.raises(Stopped, match=signal.Signals(number).name) as stopped:
        run()
    assert stopped.value.exit_code == 128 + number
    assert [signal.getsignal(n) for n in BOTH] == [signal.SIG_DFL] * 2


def test_handlers_of_others_and_ignored_signals_are_left_alone() -> None:
    heard: list[int] = []
    before = [signal.signal(signal.SIGTERM, lambda *_: heard.append(1)), signal.signal(signal.SIGHUP, signal.SIG_IGN)]
    try:
        with orderly() as ours:
            for number in BOTH:
                os.kill(os.getpid(), number)
        assert (ours, heard) == (False, [1])
    finally:
        for number, handler in zip(BOTH, before, strict=True):
            signal.signal(number, handler)


def test_nothing_is_set_in_other_threads() -> None:
    found: list[Any] = []

    def look() -> None:
        with orderly() as ours:
            found.extend([ours, signal.getsignal(signal.SIGTERM)])

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [False, signal.SIG_DFL]


def test_a_program_ends_by_the_signal_after_what_runs_has_ended() -> None:
    program = """
import os, signal
from gridstride.pipeline.stopping import ends_program
with ends_program(lambda: "; 3 of 4 blocks are kept"):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        print("closed")
print("never")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "closed\n")
    assert done.stderr == "gridstride: stopped by SIGTERM; 3 of 4 blocks are kept\n"
