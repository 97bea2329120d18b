"""Why tasks fail, in words: from the errors that Dask hands over."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gridstride.pipeline.errors import first_line
from gridstride.pipeline.storage.regions import unreadable_chunks
from gridstride.pipeline.sweep.block_task import Work
from gridstride.pipeline.text import duration
from gridstride.workers.region import Region


class IOTimeout(RuntimeError):
    """A task whose workers were ended, each in turn, because its reading or writing did not end."""


def killed_workers(error: BaseException) -> bool:
    """Whether the workers that a task was on were lost, one after another."""
    return type(error).__name__ == "KilledWorker"


def classify_error(error: BaseException, news: Iterable[dict[str, Any]]) -> BaseException:
    """Why a task failed, where Dask knows no more than that its workers were lost. news: what workers said of
    themselves"""
    if not killed_workers(error):
        return error
    task, worker = str(error.task), error.last_worker.address  # type: ignore[attr-defined]
    for said in news:
        if said["action"] == "stuck" and (said["task"], said["worker"]) == (task, worker):
            what, span = f"{said['doing']} {said['what']}", duration(said["seconds"])
            return IOTimeout(f"stuck in {what} for {span} on each worker that it was on: does the store answer?")
    return error


def reason(error: BaseException) -> str:
    """One line for people."""
    if killed_workers(error):
        return "every worker that it was on was lost: too little memory, or a fault in native code"
    if isinstance(error, IOTimeout):
        return str(error)
    return f"{type(error).__name__}: {first_line(error)}"


def explain(error: BaseException, work: Work, region: Region) -> list[str]:
    """What is wrong with a block: the chunks it cannot read, else the error itself."""
    if killed_workers(error) or isinstance(error, IOTimeout):
        return [reason(error)]  # to look for it here would be the end of this process too
    needed = work.needed(region)
    try:
        bad = [f"chunk {key}: {why}" for key, why in unreadable_chunks(work.input, needed.start, needed.stop)]
    except Exception:
        bad = []
    where = traceback.extract_tb(error.__traceback__)
    line = f" ({Path(where[-1].filename).name}:{where[-1].lineno})" if where else ""
    return bad or [f"{reason(error)}{line}"]
