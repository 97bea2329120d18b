"""The commands `gridstride cluster` and `gridstride submit`: parse, call, print."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from gridstride.pipeline.commands.shared import RUN_OPTIONS, guard, split_options

STATE = click.option(
    "--state", type=click.Path(path_type=Path), default="gridstride-cluster.yaml", show_default=True,
    metavar="FILE", help="State file, by which other commands join the cluster: --cluster FILE.",
)  # fmt: skip


@click.group("cluster")
def clusters() -> None:
    """Start, check and stop clusters."""


@clusters.command("check")
@RUN_OPTIONS
@guard
def check(**values: Any) -> None:
    """Start the cluster, show its workers, and stop it."""
    from rich.console import Console

    from gridstride.pipeline.clusters import deployment
    from gridstride.workers import cluster

    with deployment.open_cluster(split_options(values)[1]) as (client, reason):
        rows = cluster.describe(client)
    Console(width=None if sys.stdout.isatty() else 160).print(_workers_table(rows, reason))


@clusters.command("start")
@STATE
@click.option("--foreground", is_flag=True, help="Keep the cluster in this process, until Ctrl-C.")
@RUN_OPTIONS
@guard
def start(state: Path, foreground: bool, **values: Any) -> None:
    """Start the cluster and leave it running, for commands with --cluster STATE."""
    from gridstride.pipeline.clusters import holder

    options = split_options(values)[1]
    if not foreground:
        held = holder.start(options, state)
        click.echo(f"{held.workers} workers, scheduler at {held.address}, log in {held.log}")
        click.echo(f"use it with --cluster {held.state}; end it with: gridstride cluster stop --state {held.state}")
        return
    with holder.hold(options, state) as held:
        click.echo(f"{held.workers} workers, scheduler at {held.address}; use it with --cluster {held.state}")
        holder.wait_for_signal(held.client)


@clusters.command("stop")
@STATE
@click.option("--debug", is_flag=True, hidden=True)
@guard
def stop(state: Path, debug: bool) -> None:
    """Stop a cluster that `cluster start` left running."""
    from gridstride.pipeline.clusters import holder

    click.echo(holder.stop(state))


@clusters.command("script")
@RUN_OPTIONS
@guard
def script(**values: Any) -> None:
    """Print the job script, resource or commands that would start the cluster."""
    from gridstride.pipeline.clusters import deployment

    click.echo(deployment.script(split_options(values)[1]), nl=False)


@click.command("submit", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--cluster", metavar="FILE", required=True, help="Cluster file of kind slurm.")
@click.option("--dry-run", is_flag=True, help="Print the batch script, and send nothing.")
@click.option("--debug", is_flag=True, hidden=True)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@guard
def submit(cluster: str, dry_run: bool, debug: bool, command: tuple[str, ...]) -> None:
    """Send COMMAND (such as: filter gaussian IN OUT --sigma 2) to SLURM, as one job with a cluster of its own."""
    from gridstride.pipeline.clusters import batch
    from gridstride.pipeline.options import RunOptions

    _check_command(click.get_current_context().find_root().command, command)
    options = RunOptions(cluster=cluster)
    text = batch.script(command, options)
    if dry_run:
        click.echo(text, nl=False)
        return
    job, log = batch.send(text, options)
    click.echo(f"sent as job {job}; its log: {log}; cancel it with: scancel {job}")


def _workers_table(rows: list[dict[str, Any]], reason: str) -> Any:
    from rich.table import Table

    from gridstride.pipeline.text import megabytes

    table = Table(title=f"{len(rows)} workers: {reason}", title_justify="left")
    for column in ("worker", "pid", "threads", "memory", "device", "versions"):
        table.add_column(column)
    for row in rows:
        memory = megabytes(row["memory"]) if row["memory"] else "no limit"
        device = row["device"] + (f", {megabytes(row['device_memory'])}" if row["device_memory"] else "")
        versions = ", ".join(f"{name} {version}" for name, version in row["versions"].items())
        table.add_row(row["address"], str(row["pid"]), str(row["threads"]), memory, device, versions)
    return table


def _check_command(main: click.Command, words: tuple[str, ...]) -> None:
    """Refuse a command with an error in it, or that needs no cluster, before it waits in a queue."""
    command: Any = main
    context = click.Context(main, info_name="gridstride")
    rest = list(words)
    while isinstance(command, click.Group):
        name, command, rest = command.resolve_command(context, rest)
        if isinstance(command, click.Group) and not rest:
            raise click.UsageError(f"{name} needs a command", context)
        if not isinstance(command, click.Group):
            context = command.make_context(name, rest, parent=context)
        else:
            context = click.Context(command, info_name=name, parent=context)
    if not any(p.name == "cluster" for p in command.params) or command.name in ("submit", "check", "start", "script"):
        raise click.UsageError(f"{words[0]} needs no cluster: run it here", context)
    if command.name == "run":
        from gridstride.pipeline.pipelines.file import load_pipeline

        for step in load_pipeline(context.params["pipeline"], context.params["settings"]).steps:
            step.recipe()
    if context.params.get("cluster"):
        raise click.UsageError("--cluster belongs to submit: give it before the command", context)
