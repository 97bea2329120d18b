"""One SLURM batch job that is its own cluster: `gridstride submit` writes its script and sends it.

The script runs the command on the job's first node, which starts the workers on all of them (`slurm.allocation`).
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from gridstride.pipeline.clusters import deployment
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.options import RunOptions, load_cluster
from gridstride.workers.clusters import slurm, slurm_site
from gridstride.workers.clusters.base import CannotStart, last_line
from gridstride.workers.sizes import mebibytes

COMMAND = "gridstride.pipeline.commands.main"


def script(words: Sequence[str], options: RunOptions) -> str:
    """The batch script that runs a command of ours, given as words, on the cluster of `options`."""
    config = load_cluster(options.cluster)
    if config.kind != "slurm" or config.slurm is None:
        raise UsageError(f"{options.cluster or 'the default'} is of kind {config.kind}: submit needs kind slurm")
    deployed, _ = deployment.described(config, options)
    asked, nodes = config.slurm, deployed.size.workers // slurm.each(config.slurm)
    logs = Path(asked.log_directory).absolute()
    directives = [
        f"--job-name={slurm.NAME}",
        f"--output={logs}/{slurm.NAME}-%j.out",
        f"--partition={asked.partition}" if asked.partition else "",
        f"--account={asked.account}" if asked.account else "",
        f"--time={asked.walltime}",
        f"--nodes={nodes}",
        "--ntasks-per-node=1",
        f"--cpus-per-task={asked.cores}",
        f"--mem={mebibytes(asked.memory)}M",
        *asked.directives,
    ]
    section = asked.model_copy(update={"jobs": nodes, "log_directory": str(logs), "allocation": True})
    inside = config.model_copy(update={"slurm": section, "workers": None})
    lines = [
        "#!/usr/bin/env bash",
        *(f"#SBATCH {line}" for line in directives if line),
        "",
        "export DASK_LOGGING__DISTRIBUTED=critical",
        *asked.prologue,
        f"CLUSTER={shlex.quote(str(logs))}/{slurm.NAME}-$SLURM_JOB_ID.yaml",
        "trap 'rm -f \"$CLUSTER\"' EXIT",
        "install -m 600 /dev/stdin \"$CLUSTER\" <<'END'",
        yaml.safe_dump(inside.model_dump(exclude_defaults=True, mode="json"), sort_keys=False) + "END",
        f'{asked.python or sys.executable} -m {COMMAND} {shlex.join(words)} --cluster "$CLUSTER"',
    ]
    return "\n".join(lines) + "\n"


def send(text: str, options: RunOptions) -> tuple[str, Path]:
    """Check and send a batch script: (job number, its log)."""
    asked = load_cluster(options.cluster).slurm
    assert asked is not None
    try:
        slurm_site.check(asked)
        slurm_site.check_script(text)
        logs = slurm_site.make_logs(asked)
    except CannotStart as error:
        raise UsageError(str(error)) from None
    sent = subprocess.run(["sbatch", "--parsable"], input=text, capture_output=True, text=True)
    if sent.returncode:
        raise UsageError(f"sbatch refused the job: {last_line(sent.stderr)}")
    job = sent.stdout.strip().split(";")[0]
    return job, logs / f"{slurm.NAME}-{job}.out"
