"""A look at a SLURM site before a job is sent: its commands, partition, Python, network and log folder.

dask-jobqueue shows all that goes wrong there as a timeout, so SLURM itself is asked (`sbatch --test-only`).
"""

from __future__ import annotations

import difflib
import shlex
import shutil
import socket
import sys
import tempfile
from pathlib import Path

from gridstride.workers.clusters import probe
from gridstride.workers.clusters.base import CannotStart, last_line, output_of
from gridstride.workers.clusters.config import Slurm


def check(options: Slurm) -> None:
    """Raises CannotStart if a command of SLURM, the partition, or the nodes' Python is missing."""
    for command in ("sbatch", "squeue", "sinfo", "scontrol", "scancel"):
        if shutil.which(command) is None:
            raise CannotStart(f"{command} is not on the PATH: is this a login node of a SLURM cluster?")
    partition = options.partition
    code, out, err = output_of("sinfo", "--noheader", "--format=%R %a")
    if code:
        raise CannotStart(f"SLURM does not answer: {last_line(err) or f'sinfo ended with {code}'}")
    there = dict(line.split() for line in out.splitlines() if len(line.split()) == 2)
    if partition is not None and partition not in there:
        near = difflib.get_close_matches(partition, there, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(there) or 'none'}"
        raise CannotStart(f"SLURM has no partition {partition!r}: {hint}")
    if partition is not None and there[partition] != "up":
        raise CannotStart(f"SLURM's partition {partition!r} is {there[partition]}: its jobs would wait")
    _check_python(options.python)


def _check_python(python: str | None) -> None:
    """Whether the nodes' Python has gridstride: asked of the same path here, where there is one."""
    if python is None or (words := shlex.split(python))[0] == sys.executable:
        return
    if shutil.which(words[0]) is None:
        if Path(words[0]).is_absolute() and not Path(words[0]).parent.exists():
            return  # a path that only the nodes have: their error log will say
        raise CannotStart(f"slurm.python is {python}: there is no such program")
    probe.read(f"slurm.python ({python})", *output_of(*words, "-c", probe.PROGRAM, timeout=120))


def check_script(text: str) -> None:
    """Ask SLURM whether it would take a job script."""
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
        file.write(text)
        file.flush()
        code, out, err = output_of("sbatch", "--test-only", file.name)
    if code:
        said = last_line(err) or last_line(out)
        raise CannotStart(f"SLURM would not take the job: {said.removeprefix('allocation failure: ')}")


def check_reach(options: Slurm, host: str) -> None:
    """Raises CannotStart if the nodes cannot reach a scheduler at `host`: on loopback, it serves this machine alone."""
    if options.interface or not host.startswith(("127.", "localhost", "::1")):
        return
    which = [f"--partition={options.partition}"] if options.partition else []
    _, out, _ = output_of("sinfo", "--noheader", "--Node", "--format=%N", *which)
    names = {socket.gethostname(), socket.gethostname().split(".")[0]}
    if others := sorted(set(out.split()) - names):
        raise CannotStart(
            f"host is {host}, which node {others[0]} cannot reach: set host to this machine's address as the nodes see "
            "it, or set slurm.interface"
        )


def make_logs(options: Slurm) -> Path:
    """The folder of the jobs' logs."""
    logs = Path(options.log_directory).absolute()
    try:
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotStart(f"slurm.log_directory {logs} cannot be made: {error.strerror}") from None
    return logs
