"""Who is who in a cluster: which job a task belongs to, and which worker runs it. Tasks import it: nothing heavy."""

from __future__ import annotations

from typing import Any

# The annotation by which a cluster's parts know which job a task belongs to.
JOB = "gridstride_job"


def job_name(client: Any) -> str:
    """The name of a client's job in its cluster, which may run others: of its plugins, topic and annotation."""
    return f"gridstride-{client.id}"


def this_worker() -> str:
    """Address of the Dask worker that runs this task; "" outside one."""
    from distributed import get_worker

    try:
        return get_worker().address
    except ValueError:
        return ""
