"""Validation of the flow solver: exact solutions, figures of other codes, and its own limits.

    python -m benchmarks validation [NAME ..] [--quick]

Every check runs in this process, in one block, and prints the computed value, the expected value and the error; the
command fails if a row exceeds its limit. Pictures go to docs/.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.interpolate import CubicSpline

from benchmarks import report
from gridstride.pipeline.simulations.case import Case, load_case, make_case
from gridstride.pipeline.simulations.schedules import make_timeline
from gridstride.workers.clusters.base import cpu_count
from gridstride.workers.models.domain import Advance
from gridstride.workers.models.edac import measures, problems
from gridstride.workers.models.edac.block import FlowBlock
from gridstride.workers.models.edac.setup import Setup

HERE = Path(__file__).parent
DATA, DOCS, CASES = HERE / "data", HERE.parent / "docs", HERE.parent / "examples" / "cases"
COLUMNS = ["check", "computed", "reference", "error", "limit", "cells", "Ma", "s"]


@dataclass
class Solved:
    """A case at its end, the times at which it was sampled, and the samples (sample, quantity)."""

    case: Case
    setup: Setup
    block: FlowBlock
    seconds: float
    times: np.ndarray
    samples: np.ndarray

    @property
    def fields(self) -> np.ndarray:
        """(u, v, .. p) of the grid's cells."""
        return self.block.now[(slice(None), *self.block.own)].astype(np.float64)

    def row(self, check: str, computed: float, reference: Any, error: Any, limit: Any) -> list[Any]:
        cells = " x ".join(str(n) for n in self.case.grid.cells.values())
        return [check, computed, reference, error, limit, cells, self.case.fluid.mach, round(self.seconds, 1)]


def solve(
    case: Case, sample: Callable[[FlowBlock, Advance | None], list[float]] | None = None, every: int = 0
) -> Solved:
    """Run a case to its end; take samples at the beginning, every `every` steps, and at the end."""
    timeline = make_timeline(case)
    setup = case.setup(timeline.dt)
    block = setup.block((0, 0, 0), setup.flow.cells, 0, "cpu", threads=cpu_count())
    setup.begin(block)
    limit = setup.flow.sound_speed
    block_steps = every or timeline.last
    begin = time.perf_counter()
    times = [0.0] if sample else []
    samples = [sample(block, None)] if sample else []
    while block.step < timeline.last:
        done = block.advance(min(block_steps, timeline.last - block.step), limit)
        if done.peaks[-1] > limit or not np.isfinite(done.peaks[-1]):
            raise SystemExit(f"{case.name} blew up at {block.where_largest()}")
        if sample:
            times.append(block.step * timeline.dt)
            samples.append(sample(block, done))
    return Solved(case, setup, block, time.perf_counter() - begin, np.array(times), np.array(samples))


def sums(block: FlowBlock, _: Advance | None = None) -> list[float]:
    """Means over the grid of the quantities of `measures.quantities`."""
    totals = measures.measure(block).values.sum(axis=0) / np.prod(block.flow.cells)
    return [float(t) for t in totals]


def read(name: str) -> list[dict[str, str]]:
    lines = [line for line in (DATA / name).read_text().splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines))


def picture(name: str, axes: int, draw: Callable[..., None]) -> None:
    figure = Figure(figsize=(4.2 * axes, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    draw(*figure.subplots(1, axes, squeeze=False)[0])
    figure.savefig(DOCS / name, dpi=90)


def grid(cells: int, size: float = 1.0, axes: str = "xy") -> dict[str, Any]:
    return {"cells": dict.fromkeys(axes, cells), "size": dict.fromkeys(axes, size)}


# --- the travelling vortex --------------------------------------------------------------------------------------


def vortex(cells: int, mach: float) -> tuple[Solved, np.ndarray, float]:
    """The case at its end; its velocities, and the largest error of these."""
    sizes = [f"grid.cells.{axis}={cells}" for axis in "xy"]
    solved = solve(load_case(CASES / "travelling-taylor-green.yaml", [*sizes, f"fluid.mach={mach}"]))
    setup = solved.setup
    exact = problems.sample(setup.problem, setup.geometry, (0, 0, 0), setup.flow.cells, solved.case.run.until)
    velocity = solved.fields[:2]
    return solved, velocity, float(np.abs(velocity - exact[:2]).max())


def travelling(quick: bool) -> list[list[Any]]:
    """Second order in space; compressibility's error falls as Ma^2, measured from the limit of Ma = 0 on one grid."""
    rows: list[list[Any]] = []
    sizes = (16, 32, 64) if quick else (16, 32, 64, 128, 256)
    errors: list[float] = []
    for cells in sizes:
        solved, _, error = vortex(cells, 0.05)
        order = np.log2(errors[-1] / error) if errors else np.nan
        errors.append(error)
        rows.append(solved.row("vortex: max |u error|", error, 0, error, "-"))
        if len(errors) > 1:
            rows.append(solved.row("vortex: order in space", order, 2, 2 - order, 0.1))
    machs = (0.4, 0.2, 0.1, 0.05, 0.025)
    runs = [vortex(64, mach) for mach in machs]
    limit = runs[-1][1] + (runs[-1][1] - runs[-2][1]) / 3  # Richardson: their errors are as 1 to 4
    distances = [float(np.abs(velocity - limit).max()) for _, velocity, _ in runs]
    for (solved, _, _), distance in zip(runs, distances, strict=True):
        rows.append(solved.row("vortex: |u - u(Ma -> 0)|", distance, 0, distance, "-"))
    order = float(np.log2(distances[0] / distances[3]) / 3)
    rows.append(runs[3][0].row("vortex: order in Ma, 0.4 to 0.05", order, 2, abs(order - 2), 0.3))

    def draw(space: Any, mach: Any) -> None:
        space.loglog(sizes, errors, "o-", label="max |u error|, Ma 0.05")
        space.loglog(sizes, [errors[0] * (sizes[0] / n) ** 2 for n in sizes], "k:", label="second order")
        space.set_xlabel("cells along an edge")
        mach.loglog(machs, distances, "o-", label="max |u - u(Ma -> 0)|, 64²")
        mach.loglog(machs, [distances[0] * (m / machs[0]) ** 2 for m in machs], "k:", label="Ma²")
        mach.set_xlabel("Mach number")
        for axes, ticks in ((space, sizes), (mach, machs)):
            axes.set_xticks(ticks, [str(t) for t in ticks])
            axes.set_xticks([], minor=True)
            axes.legend(fontsize=8)
            axes.grid(alpha=0.3)

    picture("validation-vortex.png", 2, draw)
    return rows


# --- cavities ---------------------------------------------------------------------------------------------------


def cavity_profiles(solved: Solved) -> dict[str, CubicSpline]:
    """u along y at the middle of x, and v along x at the middle of y, as functions."""
    u, v, _ = (field[0] for field in solved.fields)
    n = len(u)
    at = np.concatenate([[0.0], (np.arange(n) + 0.5) / n, [1.0]])
    return {
        "u": CubicSpline(at, [0.0, *u[:, n // 2], 1.0]),
        "v": CubicSpline(at, [0.0, *v[n // 2], 0.0]),
    }


def cavity(quick: bool) -> list[list[Any]]:
    """The lid-driven cavity against a Newton solution (column computed) and Botella & Peyret's spectral one."""
    rows: list[list[Any]] = []
    drawn = []
    runs = [(100, 128, 20.0, 0.004), (1000, 128, 60.0, None)] + ([] if quick else [(1000, 256, 60.0, 0.006)])
    for reynolds, cells, until, limit in runs:
        sets = [f"grid.cells.{axis}={cells}" for axis in "xy"]
        solved = solve(load_case(CASES / "cavity.yaml", [*sets, f"fluid.reynolds={reynolds}", f"run.until={until}"]))
        profiles = cavity_profiles(solved)
        references = {"Newton": [r for r in read("cavity_reference.csv") if float(r["Re"]) == reynolds]}
        if reynolds == 1000:
            references["Botella"] = read("botella1998_re1000.csv")
        for source, table in references.items():
            key = "computed" if source == "Newton" else "value"
            for name, profile in profiles.items():
                points = [(float(r["coord"]), float(r[key])) for r in table if r["profile"] == name]
                error = max(abs(float(profile(at)) - value) for at, value in points)
                rows.append(solved.row(f"cavity Re {reynolds}: max |{name} - {source}|", error, 0, error, limit or "-"))
                if source == "Newton":
                    drawn.append((reynolds, cells, name, profile, points))
        fine = np.linspace(0, 1, 4001)
        if reynolds == 1000:
            lowest = float(profiles["u"](fine).min())
            rows.append(solved.row("cavity Re 1000: min u", lowest, -0.3885698, abs(lowest + 0.3885698), "-"))

    def draw(along_y: Any, along_x: Any) -> None:
        fine = np.linspace(0, 1, 400)
        finest = {(reynolds, name): (profile, points, cells) for reynolds, cells, name, profile, points in drawn}
        for (reynolds, name), (profile, points, cells) in finest.items():
            axes, at, value = (along_y, profile(fine), fine) if name == "u" else (along_x, fine, profile(fine))
            color = "C0" if reynolds == 100 else "C1"
            axes.plot(at, value, color=color, label=f"Re {reynolds}, {cells}²")
            a, b = zip(*points, strict=True)
            axes.plot(*((b, a) if name == "u" else (a, b)), "o", color=color, mfc="none", ms=4)
        along_y.set(xlabel="u at x = 1/2", ylabel="y")
        along_x.set(xlabel="x", ylabel="v at y = 1/2")
        for axes in (along_y, along_x):
            axes.legend(fontsize=8)
            axes.grid(alpha=0.3)

    picture("validation-cavity.png", 2, draw)
    return rows


def cavity3d(quick: bool) -> list[list[Any]]:
    """The cubic cavity at Re 1000: extremes of the centre lines in the plane of symmetry."""
    cells, until = (48, 25.0) if quick else (64, 40.0)
    sets = [f"grid.cells.{axis}={cells}" for axis in "xyz"]
    solved = solve(load_case(CASES / "cavity-3d.yaml", [*sets, f"run.until={until}"]))
    u, v, _, _ = solved.fields
    half = slice(cells // 2 - 1, cells // 2 + 1)  # the middle lies between two rows of centres
    at = np.concatenate([[0.0], (np.arange(cells) + 0.5) / cells, [1.0]])
    fine = np.linspace(0, 1, 4001)
    along_y = CubicSpline(at, [0.0, *u[half, :, cells // 2].mean(axis=0), 1.0])(fine)
    along_x = CubicSpline(at, [0.0, *v[half, cells // 2, :].mean(axis=0), 0.0])(fine)
    values = {"min u": along_y.min(), "max v": along_x.max(), "min v": along_x.min()}
    return [solved.row(f"cavity 3-D Re 1000: {name}", float(x), "-", "-", "-") for name, x in values.items()]


# --- channels, streams, momentum --------------------------------------------------------------------------------


def channels(quick: bool) -> list[list[Any]]:
    """Poiseuille and Couette flow, from rest until nothing changes."""
    rows = []
    for cells in (16, 32, 64):
        sets = ["grid.cells.x=4", f"grid.size.x={4 / cells}", f"grid.cells.y={cells}", "run.precision=double"]
        solved = solve(load_case(CASES / "channel.yaml", [*sets, "run.until=16"]))
        y = (np.arange(cells) + 0.5) / cells
        error = float(np.abs(solved.fields[0, 0, :, 0] - 4 * y * (1 - y)).max())
        rows.append(solved.row("Poiseuille: max |u error|", error, 0, error, 1e-3 if cells >= 32 else "-"))
    for cells in (16, 32):
        case = {
            "grid": {"cells": {"x": 4, "y": cells}, "size": {"x": 4 / cells, "y": 1.0}},
            "fluid": {"viscosity": 0.1},
            "boundaries": {"y": "wall", "y+": {"velocity": {"x": 1.0}}},
            "run": {"until": 30.0, "precision": "double"},
        }
        solved = solve(make_case(case))
        error = float(np.abs(solved.fields[0, 0, :, 0] - (np.arange(cells) + 0.5) / cells).max())
        rows.append(solved.row("Couette: max |u error|", error, 0, error, 1e-3))
    return rows


def streams(quick: bool) -> list[list[Any]]:
    """A uniform stream stays uniform; the mean momentum of turbulence drifts no more than div u allows."""
    rows = []
    for precision, tolerance in (("single", 2e-6), ("double", 4e-15)):
        case = {
            "name": "uniform stream",
            "grid": grid(32, 1.0, "xyz"),
            "fluid": {"viscosity": 0.001, "speed": 1.5},
            "initial": {"problem": "uniform", "velocity": {"x": 1.0, "y": 0.5, "z": -0.3}},
            "run": {"until": 2.0, "precision": precision},
        }
        solved = solve(make_case(case))
        error = max(float(np.abs(f - s).max()) for f, s in zip(solved.fields, (1.0, 0.5, -0.3, 0.0), strict=True))
        rows.append(solved.row(f"uniform stream, {precision}: largest change", error, 0, error, tolerance))
    for mach in (0.2, 0.1, 0.05):
        for precision in ("single", "double") if mach == 0.1 else ("double",):
            sets = ["grid.cells.x=32", "grid.cells.y=32", "grid.cells.z=32", "run.until=2", "fluid.viscosity=0.02"]
            sets += [f"run.precision={precision}", f"fluid.mach={mach}"]
            solved = solve(load_case(CASES / "turbulence.yaml", sets), sums, 50)
            momentum = solved.samples[:, 3:6]
            drift = float(np.abs(momentum - momentum[0]).max())
            rows.append(solved.row(f"turbulence, {precision}: drift of mean u", drift, 0, drift, "-"))
    return rows


# --- Taylor-Green -----------------------------------------------------------------------------------------------


def taylor_green(quick: bool) -> list[list[Any]]:
    """Re 1600: loss of kinetic energy, and dissipation of the resolved gradients. Reference: spectral, 512^3."""
    rows, curves = [], []
    for cells in (32, 64) if quick else (32, 64, 128, 256):
        sets = [f"grid.cells.{axis}={cells}" for axis in "xyz"]
        solved = solve(load_case(CASES / "taylor-green-1600.yaml", [*sets, "run.until=12"]), sums, max(4, cells // 4))
        t, energy, dissipation = solved.times, solved.samples[:, 0], solved.samples[:, 2]
        step = t[1] - t[0]
        lost = -np.gradient(energy, t)
        width = max(1, round(0.1 / step))
        lost = np.convolve(lost, np.ones(width) / width, "same")  # removes sound, whose period is much shorter
        curves.append((cells, t, lost, dissipation))
        inner = slice(width, -width)
        for name, curve in (("-dE/dt", lost), ("resolved dissipation", dissipation)):
            at = int(curve[inner].argmax())
            peak, when = float(curve[inner][at]), float(t[inner][at])
            rows.append(solved.row(f"TGV: peak of {name}", peak, 0.012858, abs(peak / 0.012858 - 1), "-"))
            rows.append(solved.row(f"TGV: time of it, {name}", when, 8.97, abs(when - 8.97), "-"))
        e10 = float(np.interp(10.0, t, energy))
        rows.append(solved.row("TGV: energy at t = 10", e10, 0.07448, abs(e10 - 0.07448), "-"))

    def draw(left: Any, right: Any) -> None:
        for cells, t, lost, dissipation in curves:
            left.plot(t[:-2], lost[:-2], label=f"{cells}³")
            right.plot(t, dissipation, label=f"{cells}³")
        left.set(xlabel="t", title="-dE/dt")
        right.set(xlabel="t", title="dissipation of the resolved gradients")
        for axes in (left, right):
            axes.plot([8.97], [0.012858], "k*", label="peak, spectral 512³")
            axes.legend(fontsize=8)
            axes.grid(alpha=0.3)
            axes.set_ylim(0, 0.014)

    picture("validation-taylor-green.png", 2, draw)
    return rows


# --- the cylinder -----------------------------------------------------------------------------------------------


def cylinder(quick: bool) -> list[list[Any]]:
    """Schaefer & Turek's 2D-2, as examples/cases/cylinder.yaml has it; from time 6 on."""
    case = load_case(CASES / "cylinder.yaml")
    length, mean = 2 * case.obstacles[0].build().radius, 1.0  # type: ignore[union-attr]

    def forces(block: FlowBlock, done: Advance | None) -> list[float]:
        if done is None:
            return [0.0, 0.0]
        flow = block.flow
        taken = done.gathered.sum(axis=0) * flow.spacing[1] * flow.spacing[2] / flow.dt
        return [float(2 * f / (mean**2 * length)) for f in taken]

    solved = solve(case, forces, 10)
    late = solved.times > 6.0
    t, (drag, lift) = solved.times[late], solved.samples[late].T
    swing = lift - lift.mean()
    rises = np.flatnonzero((swing[:-1] < 0) & (swing[1:] >= 0))
    crossings = t[rises] - swing[rises] * (t[rises + 1] - t[rises]) / (swing[rises + 1] - swing[rises])
    periods = np.diff(crossings)
    strouhal = float(length / (periods.mean() * mean))
    found = [r for r in read("schaefer_turek1996.csv") if r["case"] == "2D-2"]
    table = {r["quantity"]: (float(r["lower"]), float(r["upper"])) for r in found}
    rows = [solved.row("cylinder: Strouhal number", strouhal, 0.3, abs(strouhal - 0.3), 0.01)]
    for name, key, value in (("c_d,max", "c_d_max", drag.max()), ("c_l,max", "c_l_max", lift.max())):
        middle = sum(table[key]) / 2
        error = float(abs(value / middle - 1))
        rows.append(solved.row(f"cylinder: {name}", float(value), middle, error, 0.05 if key == "c_d_max" else "-"))
    change = float(np.abs(periods / periods.mean() - 1).max())
    rows.append(solved.row("cylinder: change from period to period", change, 0, change, 0.005))

    def draw(both: Any, vorticity: Any) -> None:
        shown = solved.times > 1.0
        both.plot(solved.times[shown], solved.samples[shown, 0], label="c_d")
        both.plot(solved.times[shown], solved.samples[shown, 1], label="c_l")
        both.set(xlabel="t", ylim=(-1.3, 3.8))
        both.legend(fontsize=8)
        both.grid(alpha=0.3)
        turning = measures.centred(solved.block, "vorticity")
        vorticity.imshow(turning, origin="lower", extent=(0, 2.2, 0, 0.41), cmap="RdBu", vmin=-40, vmax=40)
        vorticity.set_title("vorticity at the end")

    picture("validation-cylinder.png", 2, draw)
    return rows


CHECKS: dict[str, Callable[[bool], list[list[Any]]]] = {
    "vortex": travelling,
    "cavity": cavity,
    "channels": channels,
    "streams": streams,
    "cylinder": cylinder,
    "taylor-green": taylor_green,
    "cavity3d": cavity3d,
}


def save(name: str, rows: list[list[Any]]) -> None:
    """Replace a check's stored rows."""
    path = report.RESULTS / "validation.json"
    stored = json.loads(path.read_text())["rows"] if path.exists() else []
    kept = {check: [row for row in stored if row[0] == check] for check in CHECKS}
    kept[name] = [[name, *row] for row in rows]
    report.save("validation", ["group", *COLUMNS], [row for check in CHECKS for row in kept[check]])


def failed(rows: Iterable[list[Any]]) -> list[str]:
    return [row[0] for row in rows if isinstance(row[4], float) and not row[3] <= row[4]]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks validation", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(CHECKS)}; default all")
    parser.add_argument("--quick", action="store_true", help="small grids")
    options = parser.parse_args(sys.argv[2:] if arguments is None else arguments)
    if unknown := set(options.names) - set(CHECKS):
        parser.error(f"unknown check {', '.join(sorted(unknown))}: expected some of {', '.join(CHECKS)}")
    rows: list[list[Any]] = []
    for name in options.names or list(CHECKS):
        found = CHECKS[name](options.quick)
        report.show(name, COLUMNS, found)
        rows += found
        if not options.quick:
            save(name, found)
    if broken := failed(rows):
        raise SystemExit(f"error beyond the limit: {'; '.join(broken)}")
