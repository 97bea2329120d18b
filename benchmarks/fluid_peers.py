"""Other packages' flow solvers on this machine: jax-cfd, XLB and lbmpy, each in an environment of its own.

Their dependencies conflict with ours, so `--install-peers` puts each into benchmarks/.peers/NAME, where a script of
benchmarks/peers runs and prints its figures. Versions are pinned to the fastest that ran here:
on a CPU, JAX 0.4.30 steps jax-cfd 1.6 and XLB 4 times as fast as JAX 0.10.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import report

HERE = Path(__file__).parent
ENVIRONMENTS = HERE / ".peers"
REFERENCE = HERE / "data" / "cavity_reference.csv"
INSTALL_SECONDS, RUN_SECONDS = 1800, 900


class Unavailable(Exception):
    """A peer that cannot be measured, with the reason in one line."""


@dataclass(frozen=True)
class Peer:
    script: str
    packages: tuple[str, ...]
    alone: tuple[str, ...] = ()  # installed without their dependencies


PEERS = {
    "jax-cfd": Peer(
        "jax_cfd_peer.py", ("jax-cfd==0.2.1", "jax==0.4.30", "jaxlib==0.4.30", "numpy==1.26.4", "scipy==1.17.1")
    ),
    # XLB asks for JAX 0.8 or later but runs with this one; its import needs warp 1.10, not a later one.
    "XLB": Peer(
        "xlb_peer.py",
        (
            "jax==0.4.30",
            "jaxlib==0.4.30",
            "numpy==2.4.6",
            "scipy==1.17.1",
            "matplotlib==3.11.2",
            "numpy-stl==4.1.1",
            "pydantic==2.14.3",
            "pyvista==0.49.1",
            "trimesh==5.2.0",
            "warp-lang==1.10.1",
        ),
        alone=("xlb==0.3.1",),
    ),
    # py-cpuinfo tells pystencils which vector instructions there are.
    "lbmpy": Peer("lbmpy_peer.py", ("lbmpy==2.0", "pystencils==2.0", "numpy==2.4.6", "py-cpuinfo==9.0.0")),
}


def call(command: list[str], seconds: float) -> str:
    """The command's output. Raises Unavailable with the last line of its errors."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"took more than {seconds:.0f} s") from None
    if done.returncode:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")]  # pip's, among its warnings
        raise Unavailable((errors or lines or [f"ended with {done.returncode}"])[-1])
    return done.stdout


def python_of(name: str, install: bool) -> str:
    """The peer's interpreter; if `install`, its environment is first brought to the pinned versions."""
    peer, folder = PEERS[name], ENVIRONMENTS / name
    python, installed = folder / "bin" / "python", folder / "installed.txt"
    pins = "\n".join((*peer.packages, *peer.alone))
    if not (installed.exists() and installed.read_text() == pins):
        if not install:
            raise Unavailable("not installed: python -m benchmarks.fluid_peers --install-peers")
        print(f"installing {name} into benchmarks/.peers/{name}")
        call([sys.executable, "-m", "venv", "--clear", str(folder)], INSTALL_SECONDS)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        call([*pip, *peer.packages], INSTALL_SECONDS)
        if peer.alone:
            call([*pip, "--no-deps", *peer.alone], INSTALL_SECONDS)
        installed.write_text(pins)
    return str(python)


def cavity_errors(profiles: dict[str, Any]) -> dict[str, float | None]:
    """Minimum of u on the vertical centreline, and the largest errors of u and v against the reference at Re 1000.

    `profiles` has u over y and v over x, in lid speeds and lid lengths, with the walls. Cubic between cells; errors
    are None if the reference file is missing.
    """
    from scipy.interpolate import CubicSpline

    errors: dict[str, float | None] = {"min_u": min(profiles["u"]), "u_error": None, "v_error": None}
    if REFERENCE.exists():
        lines = [line for line in REFERENCE.read_text().splitlines() if not line.startswith("#")]
        points = [row for row in csv.DictReader(lines) if row["Re"] == "1000"]
        for name, along in (("u", "y"), ("v", "x")):
            spline = CubicSpline(profiles[along], profiles[name])
            there = [(float(row["coord"]), float(row["computed"])) for row in points if row["profile"] == name]
            errors[f"{name}_error"] = max(abs(float(spline(at)) - value) for at, value in there)
    return errors


def measure_one(name: str, install: bool, size: int) -> dict[str, Any]:
    try:
        python = python_of(name, install)
        output = call([python, str(HERE / "peers" / PEERS[name].script), "--size", str(size)], RUN_SECONDS)
        figures: dict[str, Any] = json.loads(output.splitlines()[-1])
        for cavity in (part for key, part in figures.items() if key.startswith("cavity")):
            cavity |= cavity_errors({key: cavity.pop(key) for key in ("x", "y", "u", "v")})
    except Unavailable as problem:
        return {"unavailable": str(problem)}
    except (OSError, ValueError, IndexError) as problem:
        return {"unavailable": f"{type(problem).__name__}: {problem}".splitlines()[0]}
    return figures


def measure(names: Sequence[str] | None = None, install: bool = False, size: int = 128) -> dict[str, dict[str, Any]]:
    """Figures of each peer, or {"unavailable": reason}; `size` is the edge of the 3-D grid.

    "flow" is the Taylor-Green flow: cell_steps_per_second, and the length of a step in units of length over speed.
    "cavity" is the lid-driven one at Re 1000 on 128 x 128: time_units_per_second, then its errors against
    the reference at time `t`; "cavity_fast_lid" is the same in half as many steps, at twice the Mach number.
    """
    return {name: measure_one(name, install, size) for name in names or PEERS}


def show(results: dict[str, dict[str, Any]]) -> None:
    """Print the results of `measure` as a table."""
    rows = []
    for name, figures in results.items():
        if "unavailable" in figures:
            rows.append([name, figures["unavailable"], ""])
        for part in (value for value in figures.values() if isinstance(value, dict) and "settings" in value):
            if "cell_steps_per_second" in part:
                result = f"{part['size']}^3: {part['cell_steps_per_second'] / 1e6:.1f} Mcell-steps/s"
            else:
                errors = ", ".join(f"{key} {part[key]:.4f}" for key in ("min_u", "u_error", "v_error") if part[key])
                result = f"{part['time_units_per_second']:.1f} time units/s; t {part['t']:.0f}: {errors}"
            rows.append([name, part["settings"], result])
    report.show("other packages: 3-D flow, and lid-driven cavity at Re 1000", ["peer", "settings", "result"], rows)


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--install-peers", action="store_true", help="set up benchmarks/.peers first")
    parser.add_argument("--size", type=int, default=128, help="edge of the 3-D grid")
    asked = parser.parse_args()
    show(measure(install=asked.install_peers, size=asked.size))
