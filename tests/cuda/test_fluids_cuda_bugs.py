"""Bugs put into cuda/edac.cu: the harness must find each, by a wrong result or a report. This is what says that the
tests of test_fluids_cuda.py can fail."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace

import numpy as np
import pytest

from gridstride.workers.families import march as plans
from gridstride.workers.models.edac import cpu, gpu
from gridstride.workers.models.edac.kinds import FIXED, OUTFLOW, PERIODIC, SLIP
from tests.cuda_host.flows import (
    OnHost,
    arrays_far_away,
    block_of,
    make_flow,
    some_solid,
    some_state,
    sums_of_planes,
    worst,
)
from tests.cuda_host.host import Host, HostError, build

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="g++ builds the kernels for the CPU; it is missing"),
]


@dataclass(frozen=True)
class Trial:
    """A flow of several tiles for each of two blocks of threads, made to take three steps."""

    cells: tuple[int, int, int]
    kinds: tuple[tuple[int, int], ...]
    solid: bool = True
    limit: float = np.inf  # in units of the first step's peak
    still: bool = False  # at rest, under a pressure of 1; given velocities are negative
    halo: bool = False  # a block in the middle of the grid, not all of it


TRIALS = {
    "box": Trial((6, 19, 37), ((FIXED, FIXED), (FIXED, OUTFLOW), (OUTFLOW, FIXED))),
    "part": Trial((7, 19, 70), ((FIXED, FIXED), (FIXED, OUTFLOW), (OUTFLOW, FIXED)), halo=True),
    "slip": Trial((7, 19, 37), ((SLIP, OUTFLOW), (FIXED, SLIP), (PERIODIC, PERIODIC)), solid=False),
    "open": Trial((6, 9, 37), ((OUTFLOW, SLIP), (PERIODIC, PERIODIC), (FIXED, OUTFLOW)), solid=False),
    "plane": Trial((1, 53, 70), ((PERIODIC, PERIODIC), (FIXED, FIXED), (FIXED, OUTFLOW))),
    "limit": Trial((6, 9, 37), ((FIXED, FIXED), (FIXED, FIXED), (PERIODIC, PERIODIC)), limit=0.9),
    "pushed": Trial((4, 9, 37), ((PERIODIC, PERIODIC), (FIXED, FIXED), (FIXED, FIXED)), solid=False, still=True),
    "blown": Trial((4, 9, 37), ((SLIP, SLIP), (OUTFLOW, SLIP), (OUTFLOW, SLIP)), solid=False, still=True),
}
SUMS = "sums"
FAR = {"far": (6, 2**14, 2**15), "far plane": (1, 2**16 + 8, 2**15)}

LOADED, USED = "__syncthreads();  // the plane is loaded", "__syncthreads();  // the tiles before these have been used"
P_LOADED = "__syncthreads();  // the plane's pressure is loaded"
P_USED = "__syncthreads();  // the pressure before this has been used"
PARTED = "if (threadIdx.x == 0) __syncthreads();\n            else\n                __syncthreads();"
PROLOGUE = "first = march.begin - (C == 3), last"
INSIDE = "x >= range.first[2] && x < range.last[2] && y < range.last[1]"
GHOST, ENDS = "field * e.cells + z * e.plane + y * e.width + x", "e, given, values, field, AXIS == 0"
FIELD = "field = e.fields[0] + int(rest / deep);"
RAISED = "atomicMax(peak, all[0])"
ALONG_Z = "if (is_across(e, 0, field) && e.fills[0][0] && z == e.edge[0][0]) continue;"

# what is wrong: (the trial that shows it, the text, what it becomes)
BUGS = {
    # barriers
    "a plane is used before it is loaded": ("box", LOADED, ""),
    "a plane of two dimensions is": ("plane", LOADED, ""),
    "pressure is used before it is loaded": ("box", P_LOADED, ""),
    "tiles are loaded over those in use": ("box", USED, ""),
    "tiles of pressure are": ("plane", P_USED, ""),
    "threads part at a barrier": ("box", LOADED, PARTED),
    "the largest speeds overwrite tiles in use": ("box", "__syncthreads();  // the tiles have been used", ""),
    "the largest of half the speeds is taken too early": (
        "box",
        "__syncthreads();  // the larger ones so far are known",
        "",
    ),
    "rows of solids are added up before they are there": (
        "box",
        "__syncwarp();  // the row's values are there\n",
        "",
    ),
    "sums of planes are": (SUMS, "__syncthreads();  // the sums of so many are known", ""),
    "sums of planes overwrite those in use": (SUMS, "__syncthreads();  // the sums before these have been used", ""),
    # what is computed
    "the last column is not": ("box", "x < range.last[2]", "x < range.last[2] - 1"),
    "the last row is not": ("plane", "y < range.last[1]", "y < range.last[1] - 1"),
    "the last plane is not": ("box", "end = r.last[0];", "end = r.last[0] - 1;"),
    "cells past the range are": ("box", INSIDE, "x >= -99"),
    "a march is too long": ("slip", "smaller(begin + r.chunk, end)", "begin + r.chunk"),
    "columns past the array are read": ("plane", "smaller(x, r.last[2] - x0)", "x"),
    "rows past the array are read": ("box", "smaller(y, r.last[1] - row(p))", "(y + 0 * p)"),
    # planes
    "the plane below the first is not loaded": ("box", PROLOGUE, "first = march.begin, last"),
    "the plane above the last is not": ("box", "last = march.end + (C == 3);", "last = march.end;"),
    "the middle plane is another": ("box", "tiles + middle + Tile", "tiles + lower + Tile"),
    "there are two tiles for three planes": ("box", "middle = upper;", "middle = next;"),
    "u of the plane below is its neighbour's": (
        "slip",
        "east[i] = tile[i * PITCH + 1]",
        "east[i] = tile[i * PITCH - 1]",
    ),
    "v of the plane below is": ("slip", "v[R] = tile[R * PITCH + AREA]", "v[R] = tile[R * PITCH + AREA - PITCH]"),
    "p of the plane below is the same plane's": ("slip", "P[0] - below.p[i]", "P[0] - P[0]"),
    "w above is its neighbour's": ("slip", "w_up[-PITCH] + w_up[0]}", "w_up[-1] + w_up[0]}"),
    "values now are of the plane above": (
        "box",
        "stepped<C, 2, 2>(number, here[i]",
        "stepped<C, 2, 2>(number, arrived[i]",
    ),
    "solids are of the plane above": ("box", "value[i][c] * share[i][c]", "value[i][c] * arrived_share[i][c]"),
    "w through the bottom is of the first plane": ("slip", "bottom[i] = top;", "bottom[i] = bottom[i];"),
    "velocities of the pressure are a plane late": (
        "slip",
        "faces = arrived_faces;",
        "if (p % 2) faces = arrived_faces;",
    ),
    # numbers
    "the ring lacks a corner": ("slip", "t % 2 * (WIDTH + 1) - 1", "t % 2 * WIDTH - 1"),
    "the second row is the first": ("slip", "U = column + i * PITCH", "U = column + 0 * PITCH"),
    "the second row of pressure is": (
        "slip",
        "tiles[upper + Tile<R>::own() + i * PITCH]",
        "tiles[upper + Tile<R>::own()]",
    ),
    "the ring lacks a row": ("plane", "t / PITCH * (HIGH + 1) - 1", "t / PITCH * HIGH - 1"),
    "values now are not extrapolated in the ring": (
        "slip",
        "fma(part, ring_now[f] - ring_before[f], ring_now[f])",
        "ring_now[f]",
    ),
    "pressure leads by half a step": ("slip", "f < N - 1 ? T(0.5) : ahead", "T(0.5) + 0 * ahead"),
    "viscosity is another axis's": ("slip", "n.d[3 - B]", "n.d[B]"),
    "w along y is taken along z": ("slip", "W[0], wx, wz, wy,", "W[0], wx, wy, wz,"),
    "force pushes back": ("plane", "slope, -push)", "slope, push)"),
    "it pushes along another axis": ("slip", "P[-PITCH], pushes[1])", "P[-PITCH], pushes[0])"),
    "pressure is carried from the wrong side": ("slip", "fma(top, above + e", "fma(top, below[i] + e"),
    "the pressure is not damped": ("box", "if (sponge_x) value *=", "if (!sponge_x) value *="),
    "it is by its neighbour's rate": ("box", "sponge_y[y])", "sponge_y[y + 1])"),
    "velocity is not drawn to the stream": (
        "box",
        "return fma(value - wanted, kept, wanted)",
        "return value + 0 * wanted",
    ),
    "it is drawn to what the stream will be": ("box", "wanted = ramp *", "wanted = (ramp > T(0)) *"),
    "faces are damped like centres": ("box", "(component == 0 ? s.positions[2] : 0)", "0"),
    "the stream is another component's": ("box", "(component * s.rows + one)", "(0 * s.rows + one)"),
    "a solid is drawn along": ("box", "(!SOLID || share[i][c] == T(1))", "true"),
    "sums are of one piece": (SUMS, "sum += parts[i * length + e]", "sum = parts[i * length + e]"),
    "others' cells count as the block's": ("part", "&& x < range.own[2][1];", ";"),
    "tiles before the block's count as its first": ("part", "march.x0 < range.own[2][0] ? pieces", "false ? pieces"),
    "the block's first row is another's": ("part", "own_y = y - range.own[1][0]", "own_y = y - range.first[1]"),
    "solids of one component are another's": ("box", "lines + threadIdx.x * THREADS", "lines"),
    # the largest
    "negative speeds are no speeds": ("pushed", "__float_as_int(v) & largest<i32>", "__float_as_int(v)"),
    "the last block's speed is the largest": ("box", RAISED, "*peak = all[0]"),
    "speeds computed on a face count": ("blown", "!= range.given[2 - c]", "!= -7"),
    "given speeds do not": ("pushed", "return magnitude(end.face);", "return 0;"),
    "the step after goes on": ("limit", "peaks[1] = peaks[0];", ""),
    "pressure does": (
        "limit",
        "if (is_over(peaks, limit)) return;\n    for",
        "if (is_over(peaks, limit) && false) return;\n    for",
    ),
    "ghost cells do": (
        "limit",
        "if (peaks && is_over(peaks, limit)) return;",
        "if (!peaks && is_over(peaks, limit)) return;",
    ),
    "the step that goes beyond is not finished": ("limit", "return peaks[0] > limit;", "return peaks[1] > limit;"),
    # beyond the grid
    "the last ghost is not filled": ("box", "n < all;", "n < all - 1;"),
    "corners come of cells inside": ("box", f"filled<AXIS + 1>({ENDS}", f"filled<3>({ENDS}"),
    "ghosts on the high side are those of the low": ("slip", "side = int(rest % 2);", "side = 0;"),
    "the face's own velocity is left as it was": ("box", "*at = end.face;\n    return", "return"),
    "what is beyond a face is the face's": ("box", "(value + value) - inside : value", "value : value"),
    "a wall holds the fluid at its ghost": ("box", "given.ramp * T(8.0 / 3)", "given.ramp + given.ramp"),
    "a wall bends nothing": ("box", "T(1.0 / 3) * deeper", "T(1.0 / 4) * deeper"),
    "a wall holds half": ("box", "(inside + inside)) + value", "inside) + value"),
    "an outflow has any pressure": ("open", "sign = -1;", "sign = 1;"),
    "an outflow stops": ("open", "sign = kind == OUTFLOW ? 1 : 0", "sign = 0"),
    "a slip wall lets through": ("slip", "sign = kind == OUTFLOW ? 1 : 0", "sign = 1"),
    "the other side is one too far": ("slip", "low + (across ? 1 : 0) : high - 1", "low + (across ? 1 : 0) : high"),
    "x fills what z does": ("box", f"{FIELD}\n            {ALONG_Z}", FIELD),
    "y fills what z does": ("box", f"{ALONG_Z}  // made along z", ""),
    "profiles are a place off": ("box", "smaller(other, columns - 1)", "smaller(other + 1, columns - 1)"),
    # elements of 32 bits
    "planes are counted in 32 bits": ("far", "plane(p) * r.plane +", "int(plane(p) * r.plane) +"),
    "rows are": ("far plane", "row(p) * r.width + x0", "int(row(p) * r.width) + x0"),
    "fields are": ("far", "(f * r.cells + first)", "int(f * r.cells + first)"),
    "new velocities are": ("far", "out + (c * range.cells + element)", "out + int(c * range.cells + element)"),
    "velocities of the pressure are": ("far", "(2 * r.cells + r.plane)", "int(2 * r.cells + r.plane)"),
    "ghosts are": ("far plane", f"{GHOST} + e.edge", f"int({GHOST}) + e.edge"),
    "what ghosts come of is": ("far plane", f"values[{GHOST}]", f"values[int({GHOST})]"),
}


def blocks_of(trial: Trial):
    """A function that makes the block on a device, and the limit."""
    rng = np.random.default_rng(3)
    flow = make_flow(rng, trial.cells, trial.kinds, sponge=True, ramp=2.0)
    flow = replace(flow, sponge=tuple(rng.uniform(0, 5, (2, n)) for n in trial.cells), stream=(2, 0))
    state, keep = some_state(rng, flow), some_solid(rng, flow) if trial.solid else None
    if trial.still:
        state[...] = 0
        state[flow.components :: flow.fields] = 1
        faces = [[-np.abs(face) for face in pair] for pair in flow.faces]
        flow = replace(flow, faces=tuple(map(tuple, faces)), stream=None, pull=(0.0, 0.0, 0.0))
    ends = ((2, 5, 7), (6, 14, 50)) if trial.halo else (None, None)

    def block(backend):
        return block_of(flow, state, backend, *ends, 3, keep)

    limit = block(cpu).advance(1).peaks[0] * trial.limit
    return block, limit


def compare(host, trial: Trial) -> str:
    block, limit = blocks_of(trial)
    ours, theirs = block(OnHost(host, 2)), block(cpu)
    done, wanted = ours.advance(3, limit), theirs.advance(3, limit)
    if done.steps != wanted.steps:
        return f"{done.steps} steps, not {wanted.steps}"
    if not worst(ours, theirs) <= 1:
        return f"fields are {worst(ours, theirs)} times as wrong as they may be"
    if not np.allclose(done.peaks, wanted.peaks, rtol=1e-5):
        return f"peaks {done.peaks}, not {wanted.peaks}"
    return "" if np.allclose(done.gathered, wanted.gathered, rtol=0, atol=1e-4) else "solids take another sum"


def try_out(folder, name: str, edit=str) -> str:
    """What is wrong with the kernels after an edit, tried in three orders of threads; "" if nothing is."""
    kernels = ["plane_sums<f32>"]
    if name != SUMS:
        components = 2 if (FAR.get(name) or TRIALS[name].cells)[0] == 1 else 3
        solid = name not in FAR and TRIALS[name].solid
        kernels += [f"velocity<f32, {components}, {str(solid).lower()}>", f"pressure<f32, {components}>", "ghosts<f32>"]
    try:
        program = build(folder, [("edac.cu", kernel) for kernel in kernels], edit)
    except HostError as error:
        pytest.fail(f"the edited source does not compile: {error}")
    for seed in range(3):
        host = Host(program, seed)
        try:
            if name == SUMS:
                ours, theirs = sums_of_planes(host, 3, 1000)
                found = "" if np.array_equal(ours, theirs) else f"sums {ours}, not {theirs}"
            elif name in FAR:
                ours, theirs = arrays_far_away(host, FAR[name])
                found = "" if np.allclose(ours, theirs, rtol=1e-5) else f"peaks {ours}, not {theirs}"
            else:
                found = compare(host, TRIALS[name])
        except HostError as error:
            return str(error)
        finally:
            host.close()
        if found:
            return found
    return ""


@pytest.fixture(autouse=True)
def few_blocks(monkeypatch):
    monkeypatch.setattr(plans, "BLOCKS_AT_ONCE", 16)
    gpu.plan_advance.cache_clear()


@pytest.mark.parametrize("name", [*TRIALS, *FAR, SUMS])
def test_nothing_is_found_in_the_kernels_as_they_are(tmp_path, name):
    assert try_out(tmp_path, name) == ""


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(tmp_path, bug):
    name, old, new = BUGS[bug]
    planted = []

    def plant(text):
        planted.append(text.count(old))
        return text.replace(old, new)

    found = try_out(tmp_path, name, plant)
    assert sum(planted) > 0, "the source no longer holds the text that this bug replaces"
    assert found != ""
