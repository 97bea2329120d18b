"""Blocks on their way to a GPU and back, without one: moved by a stand-in for CuPy."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import prod
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gridstride.workers import device, gpu, slots
from gridstride.workers.families.separable import Pass, Separable
from gridstride.workers.gpu import Machine
from gridstride.workers.operators.base import Window
from tests.blockwise import on_cpu
from tests.cuda_host import table
from tests.cuda_host.table import whole


class Driver:
    """Just so much of CuPy as workers.device uses, on host memory.

    What is asked of a stream is done as late as it may be, when something waits for it: a piece of pinned memory that
    is used again too early would be seen. Memory counts until Python lets go of it, and there is `limit` of it.
    """

    def __init__(self, limit: float = float("inf")) -> None:
        self.limit, self.used, self.peak, self.freed = limit, 0, 0, 0
        self.failures: list[int] = []  # what was in use when memory ran out
        self.lock = threading.RLock()
        self.current = threading.local()
        runtime = SimpleNamespace(memcpyAsync=self.copy, memcpyHostToDevice=1, memcpyDeviceToHost=2)
        self.streams: list[Stream] = []
        self.cuda = SimpleNamespace(
            Stream=lambda non_blocking: Stream(self), Event=Event, alloc_pinned_memory=bytearray, runtime=runtime
        )
        self.plans: list[str] = []
        self.fft = SimpleNamespace(config=SimpleNamespace(get_plan_cache=lambda: self.plans))

    def empty(self, shape: Any, dtype: Any) -> Array:
        return Array(self, np.empty(shape, dtype))

    def ascontiguousarray(self, array: Array) -> Array:
        return array

    def get_default_memory_pool(self) -> Any:
        return SimpleNamespace(free_all_blocks=self.free_all_blocks)

    def free_all_blocks(self) -> None:
        self.freed += 1

    def copy(self, target: int, source: int, size: int, kind: int, stream: int) -> None:
        import ctypes

        self.streams[stream].ask(lambda: ctypes.memmove(target, source, size))


class Array:
    def __init__(self, driver: Driver, values: np.ndarray) -> None:
        self.nbytes = 0
        with driver.lock:
            if driver.used + values.nbytes > driver.limit:
                driver.failures.append(driver.used)
                raise MemoryError("out of memory allocating")
            driver.used += values.nbytes
            driver.peak = max(driver.peak, driver.used)
        self.driver, self.values, self.nbytes = driver, values, values.nbytes
        self.shape, self.dtype = values.shape, values.dtype
        self.data = SimpleNamespace(ptr=values.ctypes.data)

    def view(self, dtype: Any) -> Array:
        """The same memory, which counts once."""
        same = object.__new__(Array)
        same.__dict__.update(self.__dict__, nbytes=0, values=self.values.view(dtype), dtype=np.dtype(dtype), owner=self)
        return same

    def __del__(self) -> None:
        if self.nbytes:
            with self.driver.lock:
                self.driver.used -= self.nbytes


class Stream:
    def __init__(self, driver: Driver) -> None:
        self.driver, self.asked, self.done = driver, [], 0
        with driver.lock:
            self.ptr = len(driver.streams)
            driver.streams.append(self)

    def ask(self, work: Callable[[], Any]) -> None:
        self.asked.append(work)

    def run(self, until: int) -> None:
        while self.done < until:
            self.asked[self.done]()
            self.asked[self.done] = int
            self.done += 1

    def __enter__(self) -> Stream:
        self.driver.current.stream = self
        return self

    def __exit__(self, *_: object) -> None:
        self.driver.current.stream = None


class Event:
    def __init__(self, block: bool, disable_timing: bool) -> None:
        self.at: tuple[Stream, int] | None = None

    def record(self, stream: Stream) -> None:
        self.at = stream, len(stream.asked)

    def synchronize(self) -> None:
        if self.at:
            self.at[0].run(self.at[1])


@dataclass
class OnDriver:
    """An operator whose work is asked of the current stream, and which takes `scratch` bytes for each of its data's."""

    op: Any
    driver: Driver
    scratch: float = 0.0
    seconds: float = 0.0
    company: int = 0
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.inside = self.most = 0
        self.waits = 2000

    def __getattr__(self, name: str) -> Any:
        return getattr(self.op, name)

    def on_gpu(self, window: Window, machine: Machine) -> Array:
        with self.driver.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        try:
            if self.error:
                raise self.error
            there = window.data
            out = self.driver.empty(window.want.shape, self.op.out_grid(window.grid).dtype)
            work = self.driver.empty(int(self.scratch * there.values.nbytes), np.uint8)
            values, target = there.values, out.values

            def kernel() -> None:
                time.sleep(self.seconds)
                self.op.cpu(replace(window, data=values), target)

            self.driver.current.stream.ask(kernel)
            del work
            while self.most < self.company and self.waits > 0:
                time.sleep(0.001)  # others may come in
                self.waits -= 1
            return out
        finally:
            with self.driver.lock:
                self.inside -= 1


@pytest.fixture
def driver(monkeypatch: Any) -> Driver:
    driver = Driver()
    monkeypatch.setitem(sys.modules, "cupy", driver)
    monkeypatch.setattr(gpu, "this_gpu", lambda: Machine(driver, None, None))
    monkeypatch.setattr(device, "slots", slots.DeviceSlots(2))
    monkeypatch.setattr(slots, "STAGING_BYTES", 1000)
    monkeypatch.setattr(device, "SMALLEST_PIECE", 64)
    device.stages.drain()
    return driver


def gaussian(shape: tuple[int, ...], seed: int = 0) -> tuple[Separable, Window]:
    rng = np.random.default_rng(seed)
    w = table.gaussian(9)
    op = Separable(tuple(Pass(a, w, 4, "reflect") for a in range(len(shape))), np.dtype(np.float32))
    return op, whole(op, rng.integers(0, 5000, shape).astype(np.uint16))


def made(operator: Any, window: Window) -> np.ndarray:
    values = device.compute(operator, window, "gpu").values
    assert values is not None
    return values


def test_blocks_of_many_threads_come_back_as_the_cpu_makes_them(driver: Driver) -> None:
    jobs = [gaussian(shape, seed) for seed, shape in enumerate([(20, 30, 10), (7,), (50, 60), (1, 1, 1)] * 8)]
    operators = [OnDriver(op, driver, seconds=0.001) for op, _ in jobs]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda i: made(operators[i], jobs[i][1]), range(len(jobs)), timeout=60))
    for (op, block), result in zip(jobs, results, strict=True):
        np.testing.assert_array_equal(result, on_cpu(op, block))
        assert result.flags.owndata
    assert len(driver.streams) <= 2
    assert driver.used == 0


def test_data_in_any_layout_and_of_any_dtype(driver: Driver) -> None:
    rng = np.random.default_rng(0)
    identity = Separable((), np.dtype(np.float64), "double")
    for dtype in table.DTYPES:
        data = table.numbers(rng, (30, 20, 10), dtype)
        for view in (data, data[::2, 3:], data.transpose(2, 0, 1), data[:, ::-1], data[:0], np.asfortranarray(data)):
            result = made(OnDriver(identity, driver), whole(identity, view))
            np.testing.assert_array_equal(result, view.astype(np.float64))


def test_no_more_blocks_are_on_the_gpu_than_there_are_slots(driver: Driver) -> None:
    op, block = gaussian((20, 20))
    shared = OnDriver(op, driver, seconds=0.01, company=3)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: made(shared, block), range(16), timeout=60))
    assert shared.most == 2
    one = 2 * block.data.nbytes + 2 * 4 * block.data.size  # uint16 in, float32 out
    assert driver.peak <= 2 * one


def test_a_stage_lasts_until_the_gpu_is_done_with_it(driver: Driver) -> None:
    op, block = gaussian((20, 20))
    made(OnDriver(op, driver, seconds=0.2), block)
    seconds = device.stages.drain()
    assert set(seconds) == {"wait", "upload", "kernel", "download"}
    assert seconds["kernel"] >= 0.2
    assert seconds["upload"] + seconds["download"] < 0.1


@pytest.mark.parametrize("threads", [1, 8])
@pytest.mark.parametrize("mode", table.MODES)
def test_a_block_that_does_not_fit_is_cut_until_it_does(driver: Driver, mode: str, threads: int) -> None:
    op, block = gaussian((40, 41, 42))
    op = replace(op, passes=tuple(replace(step, mode=mode) for step in op.passes))
    shared = OnDriver(op, driver, scratch=4.0)
    driver.limit = 600_000  # the block's data alone are 138 KB, with result and scratch 964 KB
    with ThreadPoolExecutor(threads) as pool:
        results = list(pool.map(lambda _: made(shared, block), range(threads), timeout=120))
    for result in results:
        np.testing.assert_array_equal(result, on_cpu(op, block))
    assert device.slots.splits >= threads
    assert driver.freed >= threads
    assert driver.used == 0


def test_a_block_that_fits_alone_is_not_cut(driver: Driver) -> None:
    op, block = gaussian((40, 41, 42))
    shared = OnDriver(op, driver, scratch=4.0, seconds=0.02)
    driver.limit = 1_000_000
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda _: made(shared, block), range(6), timeout=60))
    for result in results:
        np.testing.assert_array_equal(result, on_cpu(op, block))
    assert driver.failures, "nothing ran out of memory: the test shows nothing"
    assert device.slots.splits == 0


def test_fft_plans_are_forgotten_with_their_block(driver: Driver, monkeypatch: Any) -> None:
    """Each keeps memory on the GPU. Until CuPy has loaded cuFFT there are none."""
    op, block = gaussian((20, 20))
    driver.plans.append("plan")
    made(OnDriver(op, driver), block)
    assert driver.plans
    monkeypatch.setitem(sys.modules, "cupy.cuda.cufft", driver)
    made(OnDriver(op, driver), block)
    assert not driver.plans


def test_who_is_alone_is_alone(driver: Driver) -> None:
    free, steps = device.slots, []
    first = free.take()

    def alone() -> None:
        with free.alone():
            steps.append("in")
            time.sleep(0.05)
            steps.append("out")

    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(alone) for _ in range(3)]
        time.sleep(0.1)
        assert steps == []
        free.give_back(first)
        for future in futures:
            future.result(timeout=60)
    assert steps == ["in", "out"] * 3
    assert {free.take(), free.take()} >= {first}


class KeepsErrors(OnDriver):
    """As code does that keeps an error in a variable: error and frame then hold each other."""

    def on_gpu(self, window: Window, machine: Machine) -> Array:
        try:
            return super().on_gpu(window, machine)
        except MemoryError as error:
            kept = error
            raise kept from None


@pytest.mark.parametrize("kind", [OnDriver, KeepsErrors])
def test_what_failed_has_left_the_gpu_before_it_is_tried_again(driver: Driver, kind: Any) -> None:
    """An exception that is being handled keeps its frames alive, and they the arrays."""
    op, block = gaussian((40, 41, 42))
    driver.limit = 600_000
    seen: list[int] = []
    driver.free_all_blocks = lambda: seen.append(driver.used)  # type: ignore[method-assign]
    gc.disable()
    try:
        made(kind(op, driver, scratch=4.0), block)
    finally:
        gc.enable()
    assert len(seen) > 2
    assert not any(seen)


def test_a_gpu_without_room_is_said_so_and_nothing_is_stuck(driver: Driver) -> None:
    op, block = gaussian((20, 20))
    driver.limit = 100
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(made, OnDriver(op, driver), block) for _ in range(8)]
        for future in futures:
            with pytest.raises(MemoryError, match=r"no room for .* a part of a block of 20 x 20"):
                future.result(timeout=60)
    driver.limit = 1e9
    np.testing.assert_array_equal(made(OnDriver(op, driver), block), on_cpu(op, block))


def test_other_errors_are_not_taken_for_lack_of_memory(driver: Driver) -> None:
    op, block = gaussian((20, 20))
    for error in (ValueError("no"), RuntimeError("cudaErrorIllegalAddress")):
        for _ in range(5):
            with pytest.raises(type(error), match=str(error)):
                made(OnDriver(op, driver, error=error), block)
    assert device.slots.splits == 0
    np.testing.assert_array_equal(made(OnDriver(op, driver), block), on_cpu(op, block))


def test_errors_of_cuda_that_mean_lack_of_memory() -> None:
    def cuda_error(module: str, **fields: int) -> Exception:
        made = type("CUDARuntimeError", (RuntimeError,), {"__module__": module})()
        made.__dict__.update(fields)
        return made

    assert device._is_out_of_memory(cuda_error("cupy_backends.cuda.api.runtime", status=2))
    assert device._is_out_of_memory(cuda_error("cupy.cuda.cufft", result=2))
    assert device._is_out_of_memory(MemoryError("std::bad_alloc: out_of_memory: RMM failure"))
    assert not device._is_out_of_memory(cuda_error("cupy_backends.cuda.api.runtime", status=700))
    assert not device._is_out_of_memory(cuda_error("somewhere.else", status=2))


def test_the_real_cupy_says_lack_of_memory_so() -> None:
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    assert device._is_out_of_memory(cupy.cuda.runtime.CUDARuntimeError(2))
    assert not device._is_out_of_memory(cupy.cuda.runtime.CUDARuntimeError(700))
    assert issubclass(cupy.cuda.memory.OutOfMemoryError, MemoryError)


def test_the_real_cupy_has_what_is_called() -> None:
    """Names, not behaviour, which takes a GPU; the stand-in above has them by definition."""
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    runtime = ("memcpyAsync", "memcpyHostToDevice", "memcpyDeviceToHost", "getDevice", "getDeviceProperties")
    attributes = ("cudaDevAttrClockRate", "cudaDevAttrMultiProcessorCount", "cudaDevAttrL2CacheSize")
    for module, names in (
        (cupy.cuda.runtime, (*runtime, *attributes)),
        (cupy.cuda, ("Stream", "Event", "alloc_pinned_memory", "get_elapsed_time", "get_current_stream")),
        (cupy.fft.config, ("get_plan_cache",)),
        (cupy, ("RawModule", "get_default_memory_pool", "from_dlpack", "asnumpy")),
    ):
        for name in names:
            assert hasattr(module, name), name


def test_the_smallest_piece_is_a_block_of_some_size() -> None:
    assert 16**3 < device.SMALLEST_PIECE < prod((64, 64, 64))
