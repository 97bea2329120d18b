"""The command line: its groups and commands. Nothing heavy is imported before a command runs (`--help` answers at once,
and spawned workers import this module before their environment is set)."""

from __future__ import annotations

import sys
from typing import Any

import click

from gridstride import __version__
from gridstride.pipeline.commands import report
from gridstride.pipeline.commands.cluster import clusters, submit
from gridstride.pipeline.commands.filter import Alias, filters
from gridstride.pipeline.commands.inspect import info, movie, plot, preview, stats
from gridstride.pipeline.commands.run import run as run_command
from gridstride.pipeline.commands.shared import guard
from gridstride.pipeline.commands.simulate import resume, simulate
from gridstride.pipeline.commands.streams import make_lasting
from gridstride.pipeline.text import one_line


class Commands(click.Group):
    """The commands. What is wrong with a command line is one line, as all that is wrong is."""

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        try:
            result = super().main(*args, standalone_mode=False, **extra)  # type: ignore[call-overload]
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(error.exit_code)
        except click.UsageError as error:
            where = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
            click.echo(f"gridstride: {one_line(error.format_message())}{where}", err=True)
            sys.exit(error.exit_code)
        except click.Abort:
            sys.exit(130)
        if not standalone_mode:
            return result
        sys.exit(result if isinstance(result, int) else 0)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="gridstride")
def main() -> None:
    """Stencil work on Zarr arrays larger than memory: exact, resumable, on every GPU or CPU there is."""


for command in (filters, run_command, simulate, resume, clusters, submit):
    main.add_command(command)
for command in (info, stats, preview, movie, plot, Alias("convolve"), Alias("correlate"), Alias("apply", "file")):
    main.add_command(command)
report.register(main, guard)


def run() -> None:
    """The command line in a process of its own."""
    make_lasting()
    main()


if __name__ == "__main__":
    run()
