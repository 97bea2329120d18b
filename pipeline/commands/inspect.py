"""The commands that look at stores: info, stats, and pictures of them."""

from __future__ import annotations

from typing import Any

import click

from gridstride.pipeline.commands.shared import (
    INPUT_OPTIONS,
    MISSING_OPTION,
    PLACE_OPTIONS,
    QUIET_OPTIONS,
    Numbers,
    guard,
    print_table,
    split_options,
    words,
)


@click.command("info")
@click.argument("store")
@click.option("--array", metavar="NAME", help="Array to read if the store is a group.")
@click.option("--debug", is_flag=True, hidden=True)
@guard
def info(store: str, array: str | None, debug: bool) -> None:
    """Describe a Zarr array and the job that wrote it, or list what is in a group."""
    from gridstride.pipeline.reports.info import info_table

    print_table(info_table(store, array))


@click.command("stats")
@click.argument("input", metavar="IN")
@click.option("--per", metavar="A[,B...]", callback=words, help="Axes, each index of which has numbers of its own.")
@click.option(
    "--percentiles", type=Numbers(float), metavar="N[,N...]", help="Which ones, 0 to 100  [default: 1,5,25,50,75,95,99]"
)
@click.option("--bins", type=int, default=10, show_default=True, help="Of the histogram; 0 for none.")
@click.option(
    "--values", metavar="CSV", help="Write how many elements have each value (whole numbers), as the sizes of labels."
)
@click.option("--overwrite", is_flag=True, help="Replace the CSV file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@INPUT_OPTIONS
@PLACE_OPTIONS
@MISSING_OPTION
@QUIET_OPTIONS
@guard
def stats(input: str, as_json: bool, values: str | None, overwrite: bool, **given: Any) -> None:
    """Count, extremes, mean, deviation, percentiles and histogram of the array IN.

    They are exact, whatever the blocks. NaN and no data are counted, and left out of the rest. Nothing is written.
    Example: gridstride stats cells.zarr --per c --json
    """
    from gridstride.pipeline import api, measure
    from gridstride.pipeline.pictures.canvas import check_file
    from gridstride.pipeline.reports.numbers import numbers_json, numbers_table, values_csv
    from gridstride.pipeline.storage.paths import durable_write

    terms, options = split_options(given)
    table = check_file(values, overwrite, (".csv",)) if values else None
    measurement = measure.prepare(input, options=options, values=table is not None, **terms)
    found = api.measured(measurement)
    if table:
        durable_write(table, values_csv(found[0]))
    if as_json:
        click.echo(numbers_json(measurement, found))
        return
    print_table(numbers_table(measurement, found))
    for note in measurement.notes:
        click.echo(f"note: {note}")


@click.command("preview")
@click.argument("store")
@click.argument("png")
@click.option("--array", metavar="NAME", help="Array to read if the store is a group.")
@click.option("--compare", metavar="STORE", help="Draw this array beside it.")
@click.option("--compare-array", metavar="NAME", help="Array to draw of it if it is a group.")
@click.option("--axis", help="Axis to project, or to slice at --index (default: the third from last).")
@click.option("--index", type=int, help="Draw one slice instead of the maximum along the axis.")
@click.option("--select", multiple=True, metavar="AXIS=N", help="Element of another axis (default: 0).")
@click.option("--field", metavar="NAME", help="Of a simulation: speed, vorticity, q or a stored field.")
@click.option("--time", type=float, help="Of a simulation: draw the snapshot nearest to this time (default: the last).")
@click.option("--limits", type=Numbers(float), metavar="LOW,HIGH", help="Of a simulation: ends of the colour scale.")
@click.option("--overwrite", is_flag=True, help="Replace PNG if it exists.")
@click.option("--debug", is_flag=True, hidden=True)
@guard
def preview(store: str, png: str, debug: bool, **values: Any) -> None:
    """Draw STORE into the picture PNG: a maximum projection or a slice; of a simulation, a field on a plane."""
    from gridstride.pipeline.pictures.arrays import preview as draw

    click.echo(f"wrote {draw(store, png, **values)}")


@click.command("movie")
@click.argument("store", metavar="OUT")
@click.argument("file")
@click.option("--field", metavar="NAME", help="Speed, vorticity, q or a stored field (default: speed).")
@click.option("--axis", help="In three dimensions: axis that the plane cuts (default: z).")
@click.option("--index", type=int, help="In three dimensions: cell at which the plane cuts it (default: the middle).")
@click.option("--limits", type=Numbers(float), metavar="LOW,HIGH", help="Ends of the colour scale.")
@click.option("--fps", type=float, default=15.0, show_default=True, help="Frames per second.")
@click.option("--every", type=int, default=1, show_default=True, metavar="N", help="Film every N-th snapshot.")
@click.option("--size", type=int, default=800, show_default=True, help="Longer side of the picture, in pixels.")
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@click.option("--quiet", is_flag=True, help="No progress.")
@click.option("--debug", is_flag=True, hidden=True)
@guard
def movie(store: str, file: str, debug: bool, **values: Any) -> None:
    """Film the simulation OUT into FILE, an .mp4 or .gif: one frame for each snapshot written so far."""
    from gridstride.pipeline.pictures.movie import movie as film

    made = film(store, file, **values)
    more = f" (snapshots not written yet: {made.missing})" if made.missing else ""
    click.echo(f"wrote {made.path}: {made.frames} frames{more}")


@click.command("plot")
@click.argument("store", metavar="OUT")
@click.argument("png")
@click.option("--overwrite", is_flag=True, help="Replace PNG if it exists.")
@click.option("--debug", is_flag=True, hidden=True)
@guard
def plot(store: str, png: str, debug: bool, overwrite: bool) -> None:
    """Draw the diagnostics of the simulation OUT against time into the picture PNG."""
    from gridstride.pipeline.pictures.plots import plot as draw

    click.echo(f"wrote {draw(store, png, overwrite=overwrite)}")
