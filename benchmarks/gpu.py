"""The kernels on one GPU against its copy bandwidth and other libraries; then a job, Zarr to Zarr.

    python -m benchmarks gpu [--size 640] [--end-to-end 512] [--quick] [--rehearse]

Kernels: data resident on the GPU and far larger than its cache, three inputs in turn, CUDA events around each call,
median. The GPU is given other work first, so that the time to plan and launch a call is not in it. Bandwidth counts one
read and one write for each element; its ceiling is a copy of as many bytes, measured in the same run.

--rehearse takes the same steps on the CPU with small arrays and saves nothing: its figures mean nothing.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, prod
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report
from gridstride.workers import device, gpu
from gridstride.workers.families.stencil import Stencil
from gridstride.workers.launches import Launches
from gridstride.workers.operators.base import Grid, Operator, Region, Window
from gridstride.workers.operators.correlate import Correlate
from gridstride.workers.operators.gaussian import Gaussian
from gridstride.workers.operators.recipe import Recipe
from gridstride.workers.operators.uniform import Uniform

# All rows and the job must take less than five minutes: peers not yet measured after this time are left out.
SECONDS_FOR_KERNELS = 170
RUNS, WARM_UP, INPUTS = 20, 3, 3
PEER_SECONDS = 3.0  # a peer's runs are repeated up to RUNS times within this time

Apply = Callable[[Any], Any]  # from an array to its filtered array


# --- what is measured -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One operator on one type of data. axes: filtered; sigma, size or kernel: which of the three operators it is."""

    name: str
    dtype: str
    out: str
    axes: tuple[int, ...] = (0, 1, 2)
    sigma: float | None = None
    size: int | None = None
    kernel: np.ndarray | None = None

    @property
    def bytes_per_voxel(self) -> int:
        """One read and one write."""
        return np.dtype(self.dtype).itemsize + np.dtype(self.out).itemsize

    def grid(self, shape: tuple[int, ...] = (1, 1, 1)) -> Grid:
        return Grid.of(shape, self.dtype)

    def operator(self) -> Any:
        options: dict[str, Any] = {"axes": self.axes, "dtype": self.out}
        recipe: Recipe
        if self.sigma is not None:
            recipe = Gaussian(sigma=self.sigma, **options)
        elif self.size is not None:
            recipe = Uniform(size=self.size, **options)
        else:
            assert self.kernel is not None
            recipe = Correlate(kernel=self.kernel, algorithm="direct", **options)
        return recipe.bind(self.grid())

    def shape(self, side: int) -> tuple[int, int, int]:
        """A cube, or a stack of images of `side` rounded up to a power of two, of no less than 8 side^3 bytes moved."""
        wanted = 8 * side**3 / self.bytes_per_voxel
        if self.axes == (1, 2):
            edge = 1 << (side - 1).bit_length()
            return (max(1, ceil(wanted / edge**2)), edge, edge)
        edge = max(side, ceil(wanted ** (1 / 3) / 32) * 32) if wanted > side**3 else side
        return (edge,) * 3


def rows() -> list[Row]:
    rng = np.random.default_rng(0)

    def dense(*shape: int) -> np.ndarray:
        kernel = rng.random(shape)
        return kernel / kernel.sum()

    table = []
    for dtype in ("float32", "uint16"):
        for sigma in (1.0, 2.0, 4.0):
            table.append(Row(f"gaussian sigma {sigma:g}", dtype, "float32", sigma=sigma))
    table.append(Row("uniform 5", "float32", "float32", size=5))
    for n in (3, 5, 7):
        table.append(Row(f"dense {n}x{n}x{n}", "float32", "float32", kernel=dense(n, n, n)))
    for n in (3, 7, 15):
        table.append(Row(f"dense {n}x{n}, stack", "float32", "float32", (1, 2), kernel=dense(n, n)))
    table.append(Row("gaussian sigma 2", "uint8", "uint8", sigma=2.0))
    table.append(Row("dense 3x3, stack", "uint8", "uint8", (1, 2), kernel=dense(3, 3)))
    return table


def whole(row: Row, data: Any) -> Window:
    """The whole grid as one block."""
    everything = Region.whole(data.shape)
    return Window(data, everything, everything, row.grid(data.shape))


def launches(operator: Operator, window: Window) -> list[str]:
    """The kernels that are run for a block, in order."""
    plan = Launches(window.want.shape, operator.out_grid(window.grid).dtype)
    operator.gpu(window, plan)
    return [launch.expression for launch in plan.launches]


def on_cpu(operator: Operator, window: Window) -> np.ndarray:
    out = np.empty(window.want.shape, operator.out_grid(window.grid).dtype)
    operator.cpu(window, out)
    return out


def taps(operator: Any) -> int:
    """Multiplications for an element, without savings by symmetry."""
    if isinstance(operator, Stencil):
        return int(np.count_nonzero(operator.weights))
    return sum(len(step.weights) for step in operator.passes)


def fp32_peak(multiprocessors: int, clock_khz: int, capability: tuple[int, int]) -> float:
    """Operations in float32 a second: multiprocessors x lanes x 2 (a fused multiply-add) x the highest clock."""
    lanes = 64 if capability in ((7, 0), (7, 2), (7, 5), (8, 0)) else 128
    return multiprocessors * lanes * 2.0 * clock_khz * 1e3


def figures(row: Row, voxels: int, seconds: float, copy_seconds: float, peak: float | None) -> dict[str, float]:
    """GB/s, share of the copy's bandwidth, GFLOP/s and share of peak of one measurement.

    copy_seconds: of a copy that reads and writes as many bytes in all
    """
    operations = 2.0 * taps(row.operator()) * voxels / seconds
    found = {
        "ms": 1e3 * seconds,
        "gb_per_s": row.bytes_per_voxel * voxels / seconds / 1e9,
        "share_of_copy": copy_seconds / seconds,
        "gflop_per_s": operations / 1e9,
    }
    return found | ({"share_of_peak": operations / peak} if peak else {})


# --- where it is measured ---------------------------------------------------------------------------------------


class Gpu:
    """The current CUDA device."""

    def __init__(self) -> None:
        import cupy

        self.xp = cupy
        attributes = cupy.cuda.Device().attributes
        self.clock_khz, self.multiprocessors = int(attributes["ClockRate"]), int(attributes["MultiProcessorCount"])
        digits = cupy.cuda.Device().compute_capability  # "90", "120"
        capability = int(digits[:-1]), int(digits[-1])
        self.peak = fp32_peak(self.multiprocessors, self.clock_khz, capability)
        properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.runtime.getDevice())
        self.name = properties["name"].decode()
        self.filler = cupy.empty(2**30, np.uint8)
        self.facts = {
            "name": self.name,
            "driver": driver_version(),
            "cuda_driver": cupy.cuda.runtime.driverGetVersion(),
            "cuda_runtime": cupy.cuda.runtime.runtimeGetVersion(),
            "compute_capability": ".".join(map(str, capability)),
            "memory": int(properties["totalGlobalMem"]),
            "l2_bytes": int(attributes["L2CacheSize"]),
            "multiprocessors": self.multiprocessors,
            "clock_khz": self.clock_khz,
            "fp32_peak_tflop_per_s": self.peak / 1e12,
            "fp32_peak_is": "multiprocessors x lanes (64 or 128, by capability) x 2 x highest clock",
        }

    def compute(self, operator: Operator, window: Window) -> Any:
        return gpu.compute(operator, window, gpu.this_gpu())

    def numbers(self, shape: tuple[int, ...], dtype: str, seed: int) -> Any:
        rng = self.xp.random.default_rng(seed)
        if dtype == "float32":
            return rng.random(shape, dtype=np.float32)
        # integers() would make 8 bytes for each of them
        values = self.xp.empty(shape, dtype)
        for plane in values:
            plane[...] = (rng.random(plane.shape, dtype=np.float32) * np.float32(250)).astype(dtype)
        return values

    def copy(self, target: Any, source: Any) -> None:
        target.data.copy_from_device_async(source.data, source.nbytes, self.xp.cuda.get_current_stream())

    def seconds(self, work: Callable[[], Any]) -> float:
        begin, end = self.xp.cuda.Event(), self.xp.cuda.Event()
        for _ in range(8):  # some milliseconds, in which the host plans and launches `work`; it also empties the cache
            self.filler.data.memset_async(0, self.filler.nbytes, self.xp.cuda.get_current_stream())
        begin.record()
        work()
        end.record()
        end.synchronize()
        return self.xp.cuda.get_elapsed_time(begin, end) / 1e3

    def host(self, array: Any) -> np.ndarray:
        return self.xp.asnumpy(array)

    def poison(self, nbytes: int) -> None:
        """Fill the memory of later results with NaN, so that elements that a kernel does not write are noticed."""
        self.xp.full(nbytes, 255, np.uint8)

    def free(self) -> None:
        self.xp.get_default_memory_pool().free_all_blocks()
        if "torch" in sys.modules:
            sys.modules["torch"].cuda.empty_cache()

    def peers(self, row: Row) -> dict[str, Callable[[], Apply]]:
        return gpu_peers(row, self.xp)


class Rehearsal:
    """The CPU in a GPU's place."""

    name, peak, xp, facts = "rehearsal", 1e11, np, {"name": "the CPU, in a rehearsal"}

    def compute(self, operator: Operator, window: Window) -> np.ndarray:
        return on_cpu(operator, window)

    def numbers(self, shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
        return (np.random.default_rng(seed).random(shape) * (1 if dtype == "float32" else 250)).astype(dtype)

    def copy(self, target: np.ndarray, source: np.ndarray) -> None:
        target[...] = source

    def seconds(self, work: Callable[[], Any]) -> float:
        begin = time.perf_counter()
        work()
        return time.perf_counter() - begin

    def host(self, array: np.ndarray) -> np.ndarray:
        return array

    def poison(self, nbytes: int) -> None:
        pass

    def free(self) -> None:
        pass

    def peers(self, row: Row) -> dict[str, Callable[[], Apply]]:
        from scipy import ndimage

        return {"scipy": lambda: image_peer(row, ndimage, np)}


def driver_version() -> str:
    """NVIDIA's own number, such as 580.65.06."""
    try:
        command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"


# --- the peers --------------------------------------------------------------------------------------------------


def image_peer(row: Row, ndimage: Any, xp: Any) -> Apply:
    """scipy.ndimage or cupyx.scipy.ndimage."""
    out = np.dtype(row.out)
    if row.sigma is not None:
        return partial(ndimage.gaussian_filter, sigma=row.sigma, output=out, mode="reflect")
    if row.size is not None:
        return partial(ndimage.uniform_filter, size=row.size, output=out, mode="reflect")
    assert row.kernel is not None
    weights = xp.asarray(row.kernel.reshape((1,) * (3 - row.kernel.ndim) + row.kernel.shape))
    return lambda data: ndimage.correlate(data, weights, output=out, mode="reflect")


def gpu_peers(row: Row, cupy: Any) -> dict[str, Callable[[], Apply]]:
    """Installed libraries that do the same on the GPU: functions that import and prepare each, because that may fail.
    All work on CUDA's default stream."""

    def cupyx() -> Apply:
        import cupyx.scipy.ndimage

        return image_peer(row, cupyx.scipy.ndimage, cupy)

    def cucim() -> Apply:
        from cucim.skimage import filters

        return partial(filters.gaussian, sigma=row.sigma, mode="reflect", preserve_range=True)

    found = {"cupyx": cupyx}
    if row.sigma is not None and row.dtype == "float32" and importlib.util.find_spec("cucim"):
        found["cucim"] = cucim
    if row.kernel is not None and row.dtype == "float32" and importlib.util.find_spec("torch"):
        found["torch"] = lambda: torch_convolution(row, cupy)
    return found


def torch_convolution(row: Row, cupy: Any) -> Apply:
    """conv2d or conv3d in full float32, by the fastest of cuDNN's algorithms. It fills the edges with zeros, which
    saves it the boundary's work."""
    import torch

    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    assert row.kernel is not None
    weights = torch.as_tensor(row.kernel.astype(np.float32), device="cuda")[None, None]
    convolve = torch.nn.functional.conv2d if len(row.axes) == 2 else torch.nn.functional.conv3d

    def apply(data: Any) -> Any:
        image = torch.from_dlpack(data)
        with torch.no_grad():
            result = convolve(image[:, None] if len(row.axes) == 2 else image[None, None], weights, padding="same")
        return cupy.from_dlpack(result).reshape(data.shape)

    return apply


# --- measuring --------------------------------------------------------------------------------------------------


def check(row: Row, on: Any, data: Any, result: Any, edges: bool) -> str | None:
    """Error text for a wrong result, by our CPU's float64 sums: in the middle, and at two corners if `edges`."""
    exact = replace(row.operator(), precision="double", out_dtype=np.dtype(np.float64))
    if not bool(on.xp.isfinite(result).all()):
        return "not all of the result is finite: elements were not written"
    shape = tuple(data.shape)
    boxes = [tuple((max(0, n // 2 - 12), min(n, n // 2 + 12)) for n in shape)]
    if edges:
        boxes += [tuple((0, min(n, 24)) for n in shape), tuple((max(0, n - 24), n) for n in shape)]
    for box in boxes:
        want, grid = Region(box), row.grid(shape)
        need = exact.needed(want, grid)
        wanted = on_cpu(exact, Window(on.host(data[need.within(Region.whole(shape))]), need, want, grid))
        got = on.host(result[tuple(slice(a, b) for a, b in box)]).astype(np.float64)
        if row.out == "float32":
            error = float(np.linalg.norm(got - wanted) / np.linalg.norm(wanted))
            if not error < 1e-5:
                return f"relative error {error:.2g} in {box}"
        # Ours are rounded once; peers truncate, some after each pass.
        elif not np.abs(got - wanted).max() < (0.51 if edges else 4):
            return f"elements are off by {np.abs(got - wanted).max():.3g} in {box}"
    return None


def times(on: Any, apply: Apply, inputs: list[Any], most: float | None = None) -> list[float]:
    """Seconds of each call after a warm-up, on the inputs in turn: RUNS of them, or fewer within `most`."""
    for number in range(WARM_UP):
        apply(inputs[number % len(inputs)])
    measured: list[float] = []
    while len(measured) < RUNS and (most is None or len(measured) < 5 or sum(measured) < most):
        measured.append(on.seconds(lambda: apply(inputs[len(measured) % len(inputs)])))
    return measured


def measure(row: Row, on: Any, side: int, copies: dict[int, float], late: Callable[[], bool]) -> dict[str, Any]:
    """One row: the copy, ours and the peers. copies: seconds of copies by bytes moved, which rows share."""
    shape, operator = row.shape(side), row.operator()
    voxels = prod(shape)
    moved = row.bytes_per_voxel * voxels
    if moved not in copies:
        sources = [on.xp.ones(moved // 2, np.uint8) for _ in range(INPUTS)]
        target = on.xp.zeros(moved // 2, np.uint8)
        copies[moved] = statistics.median(times(on, lambda source: on.copy(target, source), sources))
        del sources, target
        on.free()
    inputs = [on.numbers(shape, row.dtype, seed) for seed in range(INPUTS)]

    def ours(data: Any) -> Any:
        return on.compute(operator, whole(row, data))

    found: dict[str, Any] = {
        "row": row.name,
        "types": f"{row.dtype} -> {row.out}",
        "shape": shape,
        "bytes_moved": moved,
        "taps": taps(operator),
        "kernels": launches(operator, whole(row, inputs[0])),
        "copy_gb_per_s": moved / copies[moved] / 1e9,
        "results": {},
    }
    for name, ready in {"gridstride": lambda: ours, **on.peers(row)}.items():
        mine = name == "gridstride"
        if not mine and late():
            found["results"][name] = {"left out": "no time was left"}
            continue
        try:
            apply = ready()
            on.poison(np.dtype(row.out).itemsize * voxels)
            wrong = check(row, on, inputs[1], apply(inputs[1]), edges=mine)
            if wrong:
                found["results"][name] = {"wrong": wrong}
                continue
            measured = times(on, apply, inputs, None if mine else PEER_SECONDS)
        except Exception as error:  # a peer that fails is a result too
            found["results"][name] = {"failed": f"{type(error).__name__}: {str(error)[:200]}"}
            continue
        finally:
            on.free()
        seconds = statistics.median(measured)
        found["results"][name] = {
            **figures(row, voxels, seconds, copies[moved], on.peak),
            "min_ms": 1e3 * min(measured),
            "max_ms": 1e3 * max(measured),
            "runs": len(measured),
        }
    return found


# --- showing ----------------------------------------------------------------------------------------------------

COLUMNS = ["operator", "types", "by", "ms", "GB/s", "of copy", "GFLOP/s", "of peak", "gridstride is"]


def lines(results: list[dict[str, Any]]) -> list[list[Any]]:
    """The table's rows."""
    table = []
    for found in results:
        ours = found["results"].get("gridstride", {}).get("ms")
        for number, (name, r) in enumerate(found["results"].items()):
            head = [found["row"], found["types"]] if number == 0 else ["", ""]
            if "ms" not in r:
                table.append([*head, name, next(iter(r)), "", "", "", "", ""])
                continue
            faster = f"{r['ms'] / ours:.2f}x" if ours and name != "gridstride" else ""
            peak = f"{r['share_of_peak']:.0%}" if "share_of_peak" in r else ""
            copy = f"{r['share_of_copy']:.0%}"
            table.append([*head, name, r["ms"], r["gb_per_s"], copy, r["gflop_per_s"], peak, faster])
    return table


def chart(results: list[dict[str, Any]], device_name: str, path: Path) -> None:
    """Share of the copy's bandwidth, ours and the peers', as bars."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import PercentFormatter

    colours = {
        "gridstride": "#1f5fa8",
        "cupyx": "#e08a2c",
        "cucim": "#5a9a57",
        "torch": "#b0455b",
        "scipy": "#888888",
    }
    names = [name for name in colours if any(name in found["results"] for found in results)]
    # A row's height is that of the bars it has.
    figure, axes = plt.subplots(figsize=(8.5, 1.3 + 0.21 * sum(len(f["results"]) + 0.8 for f in results)))
    y, ticks, longest = 0.0, [], 0.0
    for found in results:
        first = y
        for name, r in found["results"].items():
            share = r.get("share_of_copy", 0.0)
            longest = max(longest, share)
            axes.barh(y, share, height=0.9, color=colours.get(name, "#444444"))
            text = f"{share:.0%}" if "ms" in r else f"{name}: {next(iter(r))}"
            axes.annotate(text, (share, y), (3, 0), textcoords="offset points", va="center", fontsize=7)
            y += 1
        ticks.append(((first + y - 1) / 2, f"{found['row']}\n{found['types']}"))
        y += 0.8
    axes.set_yticks([at for at, _ in ticks], [text for _, text in ticks], fontsize=8)
    axes.set_ylim(y - 0.5, -0.9)
    axes.set_xlim(0, max(1.08, longest * 1.08))
    axes.axvline(1, color="black", linewidth=0.8)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("bandwidth (one read and one write an element), share of a copy's on the same GPU")
    axes.set_title(f"Filters on resident data, {device_name}", loc="left", fontsize=10)
    handles = [plt.Rectangle((0, 0), 1, 1, color=colours[name]) for name in names]
    axes.legend(handles, names, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(names), fontsize=8, frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)


# --- end to end -------------------------------------------------------------------------------------------------


def end_to_end(kind: str, size: int, chunk: int, block: int, repeat: int) -> dict[str, Any]:
    """Seconds of a gaussian job and of plain copies by Dask and tensorstore, and the job's stages; as `images` does."""
    from benchmarks import images as jobs_on_images
    from gridstride.pipeline import api
    from gridstride.pipeline.job import RunOptions
    from gridstride.workers import cluster

    base = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=base) as folder:
        source = f"{folder}/input.zarr"
        jobs_on_images.make_input(source, size, chunk)
        options = RunOptions(device=kind, block=(block,) * 3, workers=1, ignore_disk=True)
        out = f"{folder}/gaussian.zarr"
        job = api.prepare("gaussian", source, out, sigma=2.0, dtype="float32", options=options)
        measured: dict[str, list[float]] = {}
        stages: dict[str, float] = {}
        with cluster.start(kind, job.environment.size, rmm_pool=0) as client:
            for turn in range(repeat + 1):
                run = {
                    "tensorstore copy": jobs_on_images.tensorstore_copy(source, f"{folder}/copy1.zarr", chunk),
                    "plain Dask copy": jobs_on_images.theirs(
                        client, source, f"{folder}/copy2.zarr", chunk, (block,) * 3, lambda x: x
                    ),
                }
                run["gridstride gaussian"], stages = jobs_on_images.ours(client, job)
                if turn:  # the first compiles and fills caches
                    for name, seconds in run.items():
                        measured.setdefault(name, []).append(seconds)
    return {
        "size": size,
        "chunk": chunk,
        "block": block,
        "threads": job.environment.size.threads,
        "seconds": {name: statistics.median(values) for name, values in measured.items()},
        "all": measured,
        "stages": stages,
    }


def show_end_to_end(found: dict[str, Any]) -> None:
    size, seconds = found["size"], found["seconds"]
    rows = [
        [name, value, min(found["all"][name]), max(found["all"][name]), size**3 / value / 1e6]
        for name, value in seconds.items()
    ]
    title = f"uint16 {size}^3 to float32, compressed Zarr to compressed Zarr, {found['threads']} threads"
    report.show(title, ["job", "seconds", "min", "max", "Mvoxel/s"], rows)
    stages = [[name, value] for name, value in found["stages"].items()]
    report.show("stages of gridstride gaussian", ["stage", "thread-seconds"], stages)
    ratio = seconds["plain Dask copy"] / seconds["gridstride gaussian"]
    print(f"gaussian: {ratio:.2f} times as fast as the plain Dask copy")


# --- all of it --------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu", description="Kernels and a job on one GPU.")
    parser.add_argument("--size", type=int, default=640, help="edge of the cube that kernels work on")
    parser.add_argument("--end-to-end", type=int, default=512, help="edge of the job's cube; 0 leaves the job out")
    parser.add_argument("--quick", action="store_true", help="every third row, and a smaller job")
    parser.add_argument("--rehearse", action="store_true", help="the same steps on the CPU, small; nothing is saved")
    options = parser.parse_args(sys.argv[2:] if arguments is None else arguments)
    begin = time.monotonic()
    if options.rehearse:
        on: Any = Rehearsal()
        options.size, options.end_to_end = min(options.size, 48), min(options.end_to_end, 128)
    else:
        reason = "CuPy is not installed" if importlib.util.find_spec("cupy") is None else ""
        reason = reason if device.gpu_count() else "no CUDA device was found"
        if reason:
            print(f"benchmarks gpu: {reason}; nothing was measured")
            return
        on = Gpu()
    table = rows()[::3] if options.quick else rows()
    copies: dict[int, float] = {}
    results = []
    for row in table:
        results.append(measure(row, on, options.size, copies, lambda: time.monotonic() - begin > SECONDS_FOR_KERNELS))
        print(f"{row.name}, {row.dtype}: {time.monotonic() - begin:.0f} s", flush=True)
    shown = lines(results)
    report.show(f"{on.name}: kernels on resident data, median of up to {RUNS} runs", COLUMNS, shown)
    for found in results:
        for by, r in found["results"].items():
            if "ms" not in r:
                print(f"{found['row']}, {found['types']}, {by}: {' '.join(next(iter(r.items())))}")
    job = None
    if options.end_to_end:
        missing = [name for name in ("zarr", "dask", "tensorstore", "tifffile") if not importlib.util.find_spec(name)]
        if not options.rehearse and not importlib.util.find_spec("dask_cuda"):
            missing.append("dask_cuda")
        if missing:
            print(f"the job, end to end, was skipped: {', '.join(missing)} not installed")
        else:
            size = options.end_to_end // 2 if options.quick else options.end_to_end
            kind = "cpu" if options.rehearse else "gpu"
            job = end_to_end(kind, size, max(16, size // 4), size // 2, 1 if options.quick else 3)
            show_end_to_end(job)
    bad = [f["row"] for f in results if "ms" not in f["results"]["gridstride"]]
    if options.rehearse:
        with tempfile.TemporaryDirectory() as folder:
            chart(results, on.name, Path(folder) / "chart.png")
            json.dumps([results, job])
        print("a rehearsal on the CPU: these figures mean nothing, and nothing was saved")
    else:
        save(on, options.size, shown, results, job)
        print(f"{time.monotonic() - begin:.0f} s in all")
    if bad:
        raise SystemExit(f"gridstride was wrong or failed: {', '.join(bad)}")


def save(on: Any, size: int, shown: list[list[Any]], results: list[dict[str, Any]], job: dict[str, Any] | None) -> None:
    name = "gpu-" + on.name.replace(" ", "-").replace("/", "-")
    report.save(name, COLUMNS, shown, device=on.facts, size=size, results=results, end_to_end=job)
    chart(results, on.name, report.RESULTS / f"{name}.png")
    print(f"saved benchmarks/results/{name}.png")


if __name__ == "__main__":
    main(sys.argv[1:])
