"""Which device blocks are computed on, and the way there and back."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from gridstride.workers.operators.base import Block

# Blocks on a GPU at one time: one is computed while the next is uploaded or the last downloaded.
BLOCKS_ON_DEVICE = 2


def gpu_count() -> int:
    """Number of CUDA devices, asked of the driver itself: no context is made and no package is imported."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return 0
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    return count.value if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 else 0


def resolve(wanted: str) -> tuple[str, str]:
    """("gpu" or "cpu", one sentence saying why) for a wish of "auto", "gpu" or "cpu". Raises ValueError."""
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
    """Bytes of the smallest visible GPU that are free for us."""
    import cupy

    free = []
    for i in range(cupy.cuda.runtime.getDeviceCount()):
        with cupy.cuda.Device(i):
            free.append(cupy.cuda.runtime.memGetInfo()[0])
    return int(min(free) * 0.85)


class Stages:
    """Seconds spent in each stage by the threads of this process, handed over by `drain`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - begin)

    def add(self, name: str, seconds: float) -> None:
        with self._lock:
            self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    def drain(self) -> dict[str, float]:
        """What was measured since the last call."""
        with self._lock:
            seconds, self._seconds = self._seconds, {}
        return seconds


stages = Stages()


def compute(operator: Any, block: Block, device: str) -> np.ndarray:
    """The operator's result for a block in host memory, as an array in host memory."""
    if device == "cpu":
        with stages("kernel"):  # which is where Numba loads and, the first time, compiles
            from gridstride.workers import cpu

            return operator.compute(block, cpu)
    return _compute_on_gpu(operator, block)


@lru_cache(maxsize=1)
def _places() -> threading.Semaphore:
    return threading.Semaphore(BLOCKS_ON_DEVICE)


def _compute_on_gpu(operator: Any, block: Block) -> np.ndarray:
    import cupy

    try:
        with _places():
            return _on_gpu(operator, block)
    except cupy.cuda.memory.OutOfMemoryError:
        # The pool keeps freed memory in pieces that may be of no use to a larger request (cupy#7678).
        cupy.get_default_memory_pool().free_all_blocks()
        with _places():
            return _on_gpu(operator, block)


def _on_gpu(operator: Any, block: Block) -> np.ndarray:
    import cupy

    from gridstride.workers import gpu

    # Each thread has a stream of its own, so that copies of one block overlap the kernel of another.
    with cupy.cuda.Stream(non_blocking=True) as stream:
        with stages("upload"):
            data = cupy.empty(block.data.shape, block.data.dtype)
            data.set(_pinned(block.data), stream=stream)
            stream.synchronize()
        with stages("kernel"):
            result = operator.compute(Block(data, block.lo, block.start, block.stop, block.shape), gpu)
            stream.synchronize()
        with stages("download"):
            return cupy.asnumpy(result, stream=stream, blocking=True)


def _pinned(data: np.ndarray) -> np.ndarray:
    """A copy in pinned memory, from which the GPU reads at the full speed of the bus."""
    import cupy

    memory = cupy.cuda.alloc_pinned_memory(data.nbytes)
    copy = np.frombuffer(memory, data.dtype, data.size).reshape(data.shape)
    copy[...] = data
    return copy
