"""SIGTERM and SIGHUP, by which schedulers, services and closing terminals end a process, as orderly as Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN_SECONDS = 5.0  # a terminal that closes sends SIGHUP twice; what comes so soon after is the same wish


class Stopped(KeyboardInterrupt):
    """The process was asked to end by a signal, whose name is the message."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def exit_code(self) -> int:
        """What a shell says of a process that a signal ended."""
        return 128 + self.number


@contextmanager
def orderly() -> Iterator[bool]:
    """Let SIGTERM and SIGHUP raise Stopped in this thread while the context lasts; gives whether they do.

    Signals that are ignored (nohup) or have somebody else's handler are left alone, and all of them in other threads
    than the main one, where Python sets no handlers.
    """
    last = -AGAIN_SECONDS

    def stop(number: int, _: FrameType | None) -> None:
        nonlocal last
        if time.monotonic() - last >= AGAIN_SECONDS:
            last = time.monotonic()
            raise Stopped(number)

    main = threading.current_thread() is threading.main_thread()
    signals = (signal.SIGTERM, signal.SIGHUP) if main else ()
    ours = [number for number in signals if signal.getsignal(number) == signal.SIG_DFL]
    for number in ours:
        signal.signal(number, stop)
    try:
        yield bool(ours)
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def ends_program(last_words: Callable[[], str]) -> Iterator[None]:
    """For a program that calls us: on SIGTERM or SIGHUP, what runs in the context ends in order, one line says so, and
    then the signal does to the program what it would have done."""
    try:
        with orderly() as ours:
            yield
    except Stopped as stop:
        if not ours:  # a command of ours is around this
            raise
        print(f"gridstride: stopped by {stop}{last_words()}", file=sys.stderr, flush=True)
        sys.stdout.flush()
        os.kill(os.getpid(), stop.number)
        raise SystemExit(stop.exit_code) from None  # the first process of a container survives its signals
