"""The two ways a command ends badly. Both print as one line; `--debug` adds the traceback."""

from __future__ import annotations


class UsageError(ValueError):
    """The request cannot be met as it stands; nothing was written. Exit code 2."""

    exit_code = 2


class JobFailed(RuntimeError):
    """The job ran and did not finish. Exit code 1."""

    exit_code = 1


class ClusterGone(JobFailed):
    """The scheduler or all workers went away; the job can be resumed."""


def first_line(error: BaseException) -> str:
    """The first line of an error's text, without tensorstore's source annotations."""
    text = str(error).strip().split(" [source locations=")[0]
    return text.splitlines()[0][:300] if text else type(error).__name__
