"""One batch job that is its own cluster: `gridstride submit` writes and sends it, `main` is what runs in it.

    #SBATCH --nodes=2 --ntasks-per-node=2 ...      task 0   scheduler          on the first node, beside
    srun --ntasks=6 ... python -m ...batch RUN     task 1   the command        its workers
                                                   tasks 2-5  workers          on all nodes

Client and scheduler wait most of the time: they share the first node's cores with its workers (`--overcommit`) instead
of asking for their own. The roles are dask-jobqueue's SLURMRunner's.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from gridstride.pipeline.clusters import deployment
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.options import ClusterConfig, RunOptions, load_cluster
from gridstride.workers import security
from gridstride.workers.clusters import slurm
from gridstride.workers.clusters.base import CannotStart, Deployment, last_line, output_of, wait_for_workers
from gridstride.workers.sizes import mebibytes

MODULE = "gridstride.pipeline.clusters.batch"


def script(words: Sequence[str], options: RunOptions) -> str:
    """The batch script that runs a command of ours, given as words, on the cluster of `options`."""
    config = load_cluster(options.cluster)
    if config.kind != "slurm" or config.slurm is None:
        raise UsageError(f"{options.cluster or 'the default'} is of kind {config.kind}: submit needs kind slurm")
    deployed, _ = deployment.described(config, options)
    asked = config.slurm
    tasks = _tasks_per_node(asked, deployed)
    nodes = deployed.size.workers // asked.workers
    logs = Path(asked.log_directory).absolute()
    python = asked.python or sys.executable
    directives = [
        f"--job-name={slurm.NAME}",
        f"--output={logs}/{slurm.NAME}-%j.out",
        f"--partition={asked.partition}" if asked.partition else "",
        f"--account={asked.account}" if asked.account else "",
        f"--time={asked.walltime}",
        f"--nodes={nodes}",
        f"--ntasks-per-node={tasks}",
        f"--cpus-per-task={max(1, asked.cores // tasks)}",
        f"--mem={mebibytes(asked.memory)}M",
        *asked.directives,
    ]
    inside = config.model_copy(update={"slurm": asked.model_copy(update={"jobs": nodes}), "workers": None})
    content = yaml.safe_dump(inside.model_dump(exclude_defaults=True, mode="json"), sort_keys=False)
    settings = [f"export {k}={shlex.quote(v)}" for k, v in slurm.worker_environment(deployed).items()]
    return "\n".join(
        [
            "#!/usr/bin/env bash",
            *(f"#SBATCH {line}" for line in directives if line),
            "",
            "export DASK_LOGGING__DISTRIBUTED=critical",
            *settings,
            *asked.prologue,
            f"export RUN={shlex.quote(str(logs))}/{slurm.NAME}-$SLURM_JOB_ID.run",
            'mkdir -m 700 "$RUN"',
            "trap 'rm -rf \"$RUN\"' EXIT",
            "cat > \"$RUN/cluster.yaml\" <<'END'",
            content + "END",
            f'{python} -m {MODULE} prepare "$RUN" || exit',
            'export SLURM_HOSTFILE="$RUN/hosts"',
            "unset SLURM_CPU_BIND SLURM_NTASKS_PER_NODE",
            f"srun --overcommit --ntasks={nodes * tasks + 2} --distribution=arbitrary --kill-on-bad-exit=1 \\",
            f'    {python} -m {MODULE} run "$RUN" {shlex.join(words)}',
            "code=$?",
            '[ -e "$RUN/exit" ] && code=$(cat "$RUN/exit")',
            "exit $code",
            "",
        ]
    )


def send(text: str, options: RunOptions) -> tuple[str, Path]:
    """Check and send a batch script: (job number, its log)."""
    asked = load_cluster(options.cluster).slurm
    assert asked is not None
    try:
        slurm.check_commands()
        slurm.check_partition(asked.partition)
        slurm.check_python(asked.python)
        slurm.check_script(text)
        logs = slurm.make_logs(asked)
    except CannotStart as error:
        raise UsageError(str(error)) from None
    sent = subprocess.run(["sbatch", "--parsable"], input=text, capture_output=True, text=True)
    if sent.returncode:
        raise UsageError(f"sbatch did not take the job: {last_line(sent.stderr)}")
    job = sent.stdout.strip().split(";")[0]
    return job, logs / f"{slurm.NAME}-{job}.out"


def _tasks_per_node(asked: slurm.Options, deployed: Deployment) -> int:
    # One CUDAWorker starts a process for each GPU of its node.
    return 1 if deployed.size.device_memory is not None else asked.workers


# --- in the job -------------------------------------------------------------------------------------------------


def prepare(run: Path) -> None:
    """Before the tasks start: which node each runs on, and the certificates."""
    config = load_cluster(run / "cluster.yaml")
    _, out, _ = output_of("scontrol", "show", "hostnames", os.environ["SLURM_JOB_NODELIST"])
    lines: list[str] = []
    for host, tasks in zip(out.split(), _counts(os.environ["SLURM_TASKS_PER_NODE"]), strict=True):
        lines += [host] * (tasks + (0 if lines else 2))
    (run / "hosts").write_text("\n".join(lines) + "\n")
    if config.security == "tls" and config.tls is None:
        files = security.write(security.temporary(), run / "tls")
        content = yaml.safe_load((run / "cluster.yaml").read_text())
        (run / "cluster.yaml").write_text(yaml.safe_dump({**content, "tls": files.model_dump()}))


def _counts(text: str) -> list[int]:
    """Numbers from SLURM's short form: 2(x3),1 is 2, 2, 2, 1."""
    found = re.findall(r"(\d+)(?:\(x(\d+)\))?", text)
    return [int(count) for count, times in found for _ in range(int(times or 1))]


def run(folder: Path, words: Sequence[str]) -> None:
    """One task of the job: the scheduler, a worker, or the command, whose exit code goes into a file: a task that
    ended badly would make srun kill the others, which end by themselves."""
    from dask_jobqueue.slurm import SLURMRunner

    config = load_cluster(folder / "cluster.yaml")
    deployed, _ = deployment.described(config, RunOptions(cluster=str(folder / "cluster.yaml")))
    if int(os.environ["SLURM_PROCID"]) < 2:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the GPUs are for the workers
    try:
        runner = SLURMRunner(
            scheduler_file=str(folder / "scheduler.json"),
            scheduler_options={"port": 0, "dashboard_address": config.dashboard, **_common(deployed)},
            **_worker(deployed),
        )
    except SystemExit:  # how the runner ends a scheduler or a worker
        return
    # The scheduler and the workers do not come here. The runner is kept: it ends the cluster when it is forgotten.
    code = _command(folder, config, deployed, runner.scheduler_address, words)
    (folder / "exit").write_text(str(code))


def _common(deployed: Deployment) -> dict[str, Any]:
    """Where the parts listen, and how they talk."""
    options = deployed.options
    if options.interface:
        where = {"interface": options.interface}
    elif int(os.environ["SLURM_JOB_NUM_NODES"]) == 1:
        where = {"host": "127.0.0.1"}
    else:
        code = slurm.FACING.format(host=os.environ["SLURM_LAUNCH_NODE_IPADDR"])
        where = {"host": output_of(sys.executable, "-c", code)[1].strip()}
    tls = {"security": security.make(deployed)} if deployed.security == "tls" else {}
    return {"protocol": f"{deployed.scheme}://", **where, **tls}


def _worker(deployed: Deployment) -> dict[str, Any]:
    options, size = deployed.options, deployed.size
    common = _common(deployed) | {
        "nthreads": size.threads,
        "memory_limit": options.memory // options.workers,
        "dashboard_address": "127.0.0.1:0",
        "local_directory": deployed.local_directory,
    }
    if size.device_memory is None:
        return {"worker_class": "distributed.Nanny", "worker_options": common}
    common.pop("protocol")  # it is known from the scheduler's address
    common |= {"memory_limit": options.memory, "device_memory_limit": 0, **deployed.rmm}
    return {"worker_class": "dask_cuda.CUDAWorker", "worker_options": common}


def _command(folder: Path, config: ClusterConfig, deployed: Deployment, address: str, words: Sequence[str]) -> int:
    from distributed import Client

    from gridstride.pipeline.clusters.holder import write_state
    from gridstride.pipeline.commands.main import main as gridstride

    how = security.make(deployed) if deployed.security == "tls" else None
    with Client(address, security=how, set_as_default=False) as client:
        try:
            wait_for_workers(client, deployed)
            write_state(folder / "joined.yaml", config, address, deployed.size.workers, deployed.size)
            gridstride.main([*words, "--cluster", str(folder / "joined.yaml")], standalone_mode=False)
            return 0
        except SystemExit as ended:
            return int(ended.code or 0)
        except Exception as error:
            print(f"gridstride: {' '.join(str(error).split())}", file=sys.stderr)
            return getattr(error, "exit_code", 1)
        finally:
            with suppress(Exception):
                client.shutdown()


def main() -> None:
    what, folder, *words = sys.argv[1:]
    if what == "prepare":
        prepare(Path(folder))
    else:
        run(Path(folder), words)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # threads of the runner and the nanny would complain of the end, or wait for one another


if __name__ == "__main__":
    main()
