"""The device that blocks are computed on: its choice, and the way of a block to it and back.

A block on a GPU goes through three stages, each of which ends when the GPU is done: upload, kernel, download. A block
that does not fit the GPU's memory is cut in two, and again, until the pieces fit.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
import traceback
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gridstride.workers.compiling import announce
from gridstride.workers.operators.base import Operator, Report, Window
from gridstride.workers.region import Region
from gridstride.workers.slots import DeviceSlot, slots
from gridstride.workers.split import halves
from gridstride.workers.stages import stages

# Blocks of fewer elements are not cut for lack of memory: a GPU without room for them has too little to use.
SMALLEST_PIECE = 2**15


def gpu_count() -> int:
    """Number of CUDA devices, from the driver itself: no context is made and no package is imported."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return 0
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    return count.value if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 else 0


def resolve(wanted: str) -> tuple[str, str]:
    """("gpu" or "cpu", the reason) for --device "auto", "gpu" or "cpu". Raises ValueError if there is no GPU to use."""
    if wanted == "cpu":
        return "cpu", "CPU, as asked"
    missing = [name for name in ("cupy", "dask_cuda") if importlib.util.find_spec(name) is None]
    gpus = gpu_count()
    if gpus and not missing:
        return "gpu", f"{gpus} GPU{'s' if gpus > 1 else ''}"
    reason = (
        "no CUDA device was found" if not gpus else f"{gpus} GPUs are here but {' and '.join(missing)} is not installed"
    )
    if wanted == "gpu":
        advice = "" if not gpus else " (pip install 'gridstride[gpu]')"
        raise ValueError(f"--device gpu: {reason}{advice}; use --device cpu or auto")
    return "cpu", f"CPU: {reason}"


def device_memory() -> int:
    """Bytes for us on the GPU with the least free memory of those that this process may use. NVML is asked, because the
    client, which plans, makes no CUDA context."""
    import pynvml

    pynvml.nvmlInit()
    return int(0.85 * min(pynvml.nvmlDeviceGetMemoryInfo(handle).free for handle in _visible_gpus(pynvml)))


def _visible_gpus(nvml: Any) -> list[Any]:
    """NVML's handles of the GPUs that CUDA_VISIBLE_DEVICES names: by number, by UUID or by the start of one."""
    count = nvml.nvmlDeviceGetCount()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [nvml.nvmlDeviceGetHandleByIndex(number) for number in range(count)]
    handles = []
    for name in (part.strip() for part in visible.split(",")):
        if name.isdigit() and int(name) < count:
            handles.append(nvml.nvmlDeviceGetHandleByIndex(int(name)))
        elif name.startswith("MIG-"):
            handles.append(nvml.nvmlDeviceGetHandleByUUID(name))
        elif name.startswith("GPU-"):
            everyone = map(nvml.nvmlDeviceGetHandleByIndex, range(count))
            handles += [handle for handle in everyone if _text(nvml.nvmlDeviceGetUUID(handle)).startswith(name)]
        else:
            break  # as in CUDA: names after an invalid one are ignored
    return handles


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


@dataclass
class Result:
    """Result of a window: its values, or the reports of its parts."""

    values: np.ndarray | None
    reports: list[Report]


def compute(operator: Operator, window: Window, device: str) -> Result:
    """The operator's result for a window in host memory, as an array in host memory, or its reports. An operator
    without CUDA twin is computed by the CPU whatever the device.

    Raises MemoryError if the device has no room even for a small part of the window.
    """
    values = np.empty(window.want.shape, operator.out_grid(window.grid).dtype) if operator.writes() else None
    result = Result(values, [])
    if device == "cpu" or operator.cpu_only:
        with stages("kernel"):  # Numba's loading and first compilation count here
            announce()
            _on_cpu(operator, window, window.want, result)
        return result
    with stages("wait"):
        slot = slots.take()
    try:
        done = _attempt(operator, window, window.want, slot, result)
    finally:
        slots.give_back(slot)
    if not done:
        with slots.alone() as slot:
            _in_pieces(operator, window, slot, result)
    return result


def _on_cpu(operator: Operator, window: Window, want: Region, result: Result) -> None:
    """Compute a part of the window, by halves where memory is short (and an operator's results do not depend on the
    cut). Raises MemoryError where it is too short even for a small part."""
    try:
        part = window.part(operator.needed(want, window.grid), want)
        values = np.empty((0,)) if result.values is None else result.values[want.within(window.want)]
        report = operator.cpu(part, values)
        if report is not None:
            result.reports.append(report)
        return
    except MemoryError as error:
        if not operator.exact or want.size < 2 * SMALLEST_PIECE:
            raise
        traceback.clear_frames(error.__traceback__)  # they hold the attempt's arrays
    shortages.count += 1
    for half in halves(operator, want, window.grid):
        _on_cpu(operator, window, half, result)


class Shortages:
    """Number of times that this process cut a block in two because memory was short."""

    def __init__(self) -> None:
        self.count = 0

    def drain(self) -> int:
        """The number since the last call."""
        count, self.count = self.count, 0
        return count


shortages = Shortages()


def _attempt(operator: Operator, window: Window, want: Region, slot: DeviceSlot, result: Result) -> bool:
    """Compute a part of the window; False if the GPU's memory is too small."""
    try:
        values = _on_gpu(operator, window.part(operator.needed(want, window.grid), want), slot)
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        # The error's frames keep the attempt's arrays on the GPU.
        traceback.clear_frames(error.__traceback__)
        return False
    if result.values is None:
        result.reports.append(values)
    elif want == window.want:
        result.values = values
    else:
        result.values[want.within(window.want)] = values
    return True


def _on_gpu(operator: Operator, window: Window, slot: DeviceSlot) -> np.ndarray:
    from gridstride.workers import gpu

    with slot.stream:
        with stages("upload"):
            arrays = [slot.upload(data) for data in window.arrays]
            there = replace(window, data=arrays[0], others=tuple(arrays[1:]))
            del arrays
        with stages("kernel"):
            values = gpu.compute(operator, there, gpu.this_gpu())
            del there
            slot.wait()
            _forget_fft_plans()
        with stages("download"):
            return slot.download(values)


def _is_out_of_memory(error: Exception) -> bool:
    """CuPy and RMM raise MemoryErrors; CUDA's runtime and driver and cuFFT all report lack of memory as error 2."""
    if isinstance(error, MemoryError):
        return True
    package = type(error).__module__.partition(".")[0]
    return package in ("cupy", "cupy_backends") and 2 in (getattr(error, "status", 0), getattr(error, "result", 0))


def _in_pieces(operator: Operator, window: Window, slot: DeviceSlot, result: Result) -> None:
    """Compute a window that did not fit: retry it once, then cut it in two, and so on."""
    waiting = [window.want]
    while waiting:
        want = waiting.pop()
        _free_memory()
        if _attempt(operator, window, want, slot, result):
            continue
        if want.size < 2 * SMALLEST_PIECE:
            raise MemoryError(
                f"the GPU has no room for {' x '.join(map(str, want.shape))} elements and their halo, a part of a "
                f"block of {' x '.join(map(str, window.want.shape))}: check whether another program uses its memory"
            )
        waiting.extend(halves(operator, want, window.grid))
        slots.splits += 1


def _free_memory() -> None:
    """Free what CuPy's pool keeps: its pieces may each be too small for a larger request (cupy#7678)."""
    import cupy

    _forget_fft_plans()
    cupy.get_default_memory_pool().free_all_blocks()


def _forget_fft_plans() -> None:
    """Clear CuPy's FFT plans: it keeps some for each thread, and each keeps the memory it worked in."""
    if "cupy.cuda.cufft" in sys.modules:
        import cupy

        cupy.fft.config.get_plan_cache().clear()  # clear_plan_cache() warns at each call that it is experimental
