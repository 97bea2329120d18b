"""One SLURM batch job that is its own cluster: `gridstride submit` writes and sends it.

    first node                                  every node
      the batch script:                           srun: one task, which is the same
        scheduler (in the background)             script as of a job of workers
        srun (in the background)          ---->   (`slurm.script`)
        the command, on kind address

Scheduler and command wait most of the time: they share the first node's cores with its workers. This module also runs
in the job: `prepare` before anything is started, `join` once the scheduler and the workers come.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from gridstride.pipeline.clusters import deployment
from gridstride.pipeline.clusters.holder import write_state
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.options import RunOptions, load_cluster
from gridstride.workers import security
from gridstride.workers.clusters import slurm
from gridstride.workers.clusters.base import CannotStart, environment, last_line, output_of, wait_for_workers
from gridstride.workers.clusters.config import ClusterConfig, TLSFiles
from gridstride.workers.sizes import mebibytes

MODULE, COMMAND = "gridstride.pipeline.clusters.batch", "gridstride.pipeline.commands.main"
# In the job: the folder of its certificates and files, and the address that the scheduler listens at.
FOLDER, HOST = "$RUN", "$HOST"


def script(words: Sequence[str], options: RunOptions) -> str:
    """The batch script that runs a command of ours, given as words, on the cluster of `options`."""
    config = load_cluster(options.cluster)
    if config.kind != "slurm" or config.slurm is None:
        raise UsageError(f"{options.cluster or 'the default'} is of kind {config.kind}: submit needs kind slurm")
    deployed, _ = deployment.described(config, options)
    asked, nodes = config.slurm, deployed.size.workers // slurm.each(config.slurm)
    logs, python = Path(asked.log_directory).absolute(), asked.python or sys.executable
    inside = config.model_copy(update={"slurm": asked.model_copy(update={"jobs": nodes}), "workers": None})
    on_node = replace(deployed, config=config.model_copy(update={"host": HOST}))
    worker = slurm.script(on_node, f'--scheduler-file "{FOLDER}/scheduler.json"', "$SLURM_PROCID")
    listen = f"--interface {asked.interface}" if asked.interface else f"--host {HOST}"
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
    lines = [
        "#!/usr/bin/env bash",
        *(f"#SBATCH {line}" for line in directives if line),
        "",
        "export DASK_LOGGING__DISTRIBUTED=critical",
        *(f"export {name}={shlex.quote(value)}" for name, value in deployed.environment.items()),
        *asked.prologue,
        f"export RUN={shlex.quote(str(logs))}/{slurm.NAME}-$SLURM_JOB_ID.run",
        'mkdir -m 700 "$RUN" || exit',
        "trap 'rm -rf \"$RUN\"' EXIT",
        *_written(
            "cluster.yaml", yaml.safe_dump(inside.model_dump(exclude_defaults=True, mode="json"), sort_keys=False)
        ),
        *_written("worker.sh", worker),
        f'export HOST=$({python} -m {MODULE} prepare "$RUN") || exit',
        *_tls(config),
        f"CUDA_VISIBLE_DEVICES= {python} -m distributed.cli.dask_scheduler {listen} --port 0 "
        f"--protocol {config.scheme}:// --dashboard-address {config.dashboard} "
        '--scheduler-file "$RUN/scheduler.json" &',
        "scheduler=$!",
        f'srun --nodes={nodes} --ntasks={nodes} --cpus-per-task={asked.cores} bash "$RUN/worker.sh" &',
        f'CUDA_VISIBLE_DEVICES= {python} -m {MODULE} join "$RUN" &&',
        f'    CUDA_VISIBLE_DEVICES= {python} -m {COMMAND} {shlex.join(words)} --cluster "$RUN/joined.yaml"',
        "code=$?",
        "kill $scheduler && wait",  # the workers end with it
        "exit $code",
    ]
    return "\n".join(lines) + "\n"


def _written(name: str, content: str) -> list[str]:
    """Shell lines that write a file of the job."""
    return [f"cat > \"{FOLDER}/{name}\" <<'END'", content.rstrip("\n"), "END"]


def _files(config: ClusterConfig, folder: str) -> TLSFiles | None:
    """The certificates of a job: those that are given, or those that `prepare` makes."""
    if config.security != "tls" or config.tls is not None:
        return config.tls
    return TLSFiles(**{name: f"{folder}/tls/{name}.pem" for name in TLSFiles.model_fields})


def _tls(config: ClusterConfig) -> list[str]:
    """Shell lines that make Dask's parts use the certificates."""
    files = _files(config, FOLDER)
    found = environment(security.settings(files)) if files else {}
    return [f'export {name}="{value}"' for name, value in found.items()]


def send(text: str, options: RunOptions) -> tuple[str, Path]:
    """Check and send a batch script: (job number, its log)."""
    asked = load_cluster(options.cluster).slurm
    assert asked is not None
    try:
        slurm.check_site(asked)
        slurm.check_script(text)
        logs = slurm.make_logs(asked)
    except CannotStart as error:
        raise UsageError(str(error)) from None
    sent = subprocess.run(["sbatch", "--parsable"], input=text, capture_output=True, text=True)
    if sent.returncode:
        raise UsageError(f"sbatch refused the job: {last_line(sent.stderr)}")
    job = sent.stdout.strip().split(";")[0]
    return job, logs / f"{slurm.NAME}-{job}.out"


# --- in the job -------------------------------------------------------------------------------------------------


def prepare(folder: Path) -> str:
    """Make the job's certificates; the address for its scheduler: the one that faces the other nodes."""
    config = load_cluster(folder / "cluster.yaml")
    if config.security == "tls" and config.tls is None:
        security.write(folder / "tls")
    _, out, _ = output_of("scontrol", "show", "hostnames", os.environ["SLURM_JOB_NODELIST"])
    nodes = out.split()
    if len(nodes) < 2:
        return "127.0.0.1"
    return output_of(sys.executable, "-c", slurm.FACING, nodes[-1])[1].strip()


def join(folder: Path) -> None:
    """Wait for scheduler and workers, and write the cluster file by which the command joins them."""
    from distributed import Client

    config = load_cluster(folder / "cluster.yaml")
    config = config.model_copy(update={"tls": _files(config, str(folder))})
    deployed, _ = deployment.described(config, RunOptions(cluster=str(folder / "cluster.yaml")))
    at, end = folder / "scheduler.json", time.monotonic() + config.timeout
    while not at.exists():
        if time.monotonic() > end:
            raise CannotStart(f"the scheduler did not start within {config.timeout:g} s")
        time.sleep(0.1)
    address = json.loads(at.read_text())["address"]
    with Client(address, security=security.make(config)) as client:
        wait_for_workers(client, deployed)
    write_state(folder / "joined.yaml", config, address, deployed.size.workers, deployed.size)


def main(what: str, folder: str) -> None:
    try:
        print(prepare(Path(folder)), end="") if what == "prepare" else join(Path(folder))
    except (UsageError, CannotStart) as error:
        print(f"gridstride: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main(*sys.argv[1:])
