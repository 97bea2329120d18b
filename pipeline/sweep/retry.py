"""What is tried again, in which order, after a sweep has gone through all its blocks.

Block by block: a bad chunk must not take its neighbours with it, and disks and networks have bad moments. Blocks whose
workers were lost come last, one at a time: one of them may end whatever worker it is on, and with it what others do
there. The reason may be the memory that it takes: it is computed in parts then.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import product

import numpy as np

from gridstride.pipeline.sweep.failures import IOTimeout, killed_workers
from gridstride.pipeline.sweep.record import Box, Index

RETRIES = 2
RETRY_PAUSE = 1.0  # seconds before the second

Errors = dict[Index, BaseException]
# Tries blocks again, each in a task of its own: (blocks, name of the attempt, how many at a time, with little memory);
# gives those that failed.
Again = Callable[[list[Index], str, int, bool], Errors]


def still_to_do(errors: dict[Box, BaseException], done: np.ndarray) -> tuple[Errors, list[Index]]:
    """The blocks of boxes that failed, with the reason; and those of them that are done all the same."""
    failed: Errors = {}
    written: list[Index] = []
    for (first, last), error in sorted(errors.items(), key=lambda item: item[0]):
        for index in product(*(range(a, b + 1) for a, b in zip(first, last, strict=True))):
            if done[index]:
                written.append(index)
            else:
                failed[index] = error
    return failed, written


def retry(failed: Errors, again: Again, in_flight: int, alone: Callable[[Index], None]) -> Errors:
    """Try blocks again; those that failed for good. alone: told of each block that is tried alone"""
    waiting = dict(failed)
    worker_killers: Errors = {}
    stuck: Errors = {}  # these are tried once: each time is long
    for attempt in range(RETRIES):
        worker_killers |= {index: error for index, error in waiting.items() if killed_workers(error)}
        stuck |= {index: error for index, error in waiting.items() if attempt and isinstance(error, IOTimeout)}
        waiting = {index: error for index, error in waiting.items() if index not in worker_killers | stuck}
        if waiting:
            time.sleep(RETRY_PAUSE * attempt)
            waiting = again(sorted(waiting), f"again{attempt}", in_flight, False)
    worker_killers |= {index: error for index, error in waiting.items() if killed_workers(error)}
    waiting = {index: error for index, error in waiting.items() if index not in worker_killers}
    for index in sorted(worker_killers):
        alone(index)
    return waiting | stuck | again(sorted(worker_killers), "alone", 1, True)
