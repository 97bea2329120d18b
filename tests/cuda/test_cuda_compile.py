"""Every kernel compiles, without a warning, for the GPUs there are; no GPU is needed for that.

`python -m benchmarks kernels` does so for all of them and records what the compiler says. Here some are compiled again,
and the record is of the very sources that are here.
"""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from benchmarks import kernels as record
from gridstride.workers import kernels, launches
from gridstride.workers.families import march, stencil_gpu
from gridstride.workers.families.separable import Pass, Separable
from gridstride.workers.families.stencil import Stencil
from gridstride.workers.launches import Ref
from gridstride.workers.operators.base import Region
from tests.cuda_host import table
from tests.cuda_host.table import planned, whole
from tests.marks import quick

pytest.importorskip("cuda.bindings.nvrtc", reason="cuda-bindings compiles the kernels; it is missing")

SOURCES = Path(kernels.SOURCES)


def compile_all(instantiations, arch):
    groups = defaultdict(list)
    for file, expression in instantiations:
        groups[file, kernels.options(expression)].append(expression)
    for (file, _), expressions in groups.items():
        cubin, log = kernels.compile_to_cubin(file, expressions, arch)
        assert cubin.startswith(b"\x7fELF")
        assert log == ""


@pytest.mark.slow
@pytest.mark.parametrize("arch", quick(1, sorted(kernels.ARCHITECTURES, key=lambda arch: arch != "sm_90")))
def test_each_kernel_compiles(arch):
    """Every kernel, for some types: bytes in, both accumulators, bytes and truth values out; a flow's for all."""
    some = [
        (file, expression)
        for file, expression in record.instantiations()
        if file in ("separable.cu", "correlate.cu")
        and set(expression.split("<")[1].rstrip(">").split(", ")) <= {"u8", "f32", "f64", "bool"}
        and expression.count("f64") in (0, 1, 3)
    ]
    assert {expression.split("<")[0] for _, expression in some} == {
        "pass_columns",
        "pass_rows",
        "pass_direct",
        "cast",
        "halves",
        "correlate",
    }
    marches = (("fused<u8, f32, 5, 3, 3>", "fused<f32, f32, 3, 3, 1>"), ("dense<u8, u8, 1, 3, 3, false>",))
    for expressions in marches:
        some += [("march.cu", expression) for expression in expressions]
    others = ("rank.cu", "pool.cu", "project.cu", "reindex.cu", "histogram.cu", "elementwise.cu")
    some += [found for found in record.instantiations() if found[0] in others and re.search(r"<(u8|f64)\b", found[1])]
    some += [found for found in record.instantiations() if found[0] == "edac.cu"]
    compile_all(some, arch)


@pytest.mark.slow
def test_kernels_that_march_compile():
    """Of the hundreds, those of one number of taps an axis. (What does not march compiles for the record of spills.)"""
    every = [found for found in record.instantiations() if found[0] == "march.cu" and len(set(taps_of(found[1]))) == 1]
    compile_all(every, "sm_90")


def taps_of(expression):
    return re.findall(r"\b\d+\b", expression)


def test_kernels_compile_alone():
    """As on a GPU, where each is a program of its own: what others of its file use must not be left unused."""
    alone = {}
    for file, expression in record.instantiations():
        alone.setdefault(expression.split("<")[0], (file, expression))
    for file, expression in alone.values():
        assert kernels.compile_to_cubin(file, [expression], "sm_90")[1] == ""


def test_the_record_is_of_these_kernels_and_sources():
    recorded = record.load()
    assert recorded["sources"] == record.sources(), "the kernels were edited: python -m benchmarks kernels"
    assert set(recorded["kernels"]) == {expression for _, expression in record.instantiations()}
    for expression, found in recorded["kernels"].items():
        assert set(found) == set(kernels.ARCHITECTURES), expression


def spills(instantiations):
    """Which of the kernels spill more now than is recorded."""
    return record.new_spills(record.load()["kernels"], record.measure(instantiations, ["sm_90"]))


# The largest of each kind, and those that came near to spilling.
CLOSE = (
    "fused<f32, f32, 17, 17, 17>",
    "fused<u16, u16, 7, 7, 7>",
    "fused<u8, u8, 9, 9, 9>",
    "dense<u8, u8, 7, 7, 7, false>",
    "dense<f32, f32, 5, 5, 5, false>",
    "dense<u16, u16, 1, 3, 3, false>",
    "dense<f32, f32, 1, 15, 15, false>",
    "correlate<u16, f32, f32>",
    "pass_direct<f32, f32, u8>",
    "velocity<f32, 3, false>",
    "velocity<f32, 3, true>",
    "velocity<f64, 3, true>",
    "pressure<f32, 3>",
    "rank_counted<u16>",
    "box_median<u32, 5, 5, 5>",
    "lowest<f64>",
)


def test_no_kernel_that_came_near_to_it_spills():
    some = [found for found in record.instantiations() if found[1] in CLOSE]
    assert len(some) == len(CLOSE)
    assert spills(some) == []


@pytest.mark.slow
def test_no_kernel_spills_that_did_not():
    """One of each name, and one in thirteen of all; all were compiled when they were recorded."""
    every = record.instantiations()
    named = {(file, expression.split("<")[0]): (file, expression) for file, expression in every}
    assert spills(sorted({*named.values(), *every[::13]})) == []


def edited(monkeypatch, tmp_path, old, new):
    """The sources with one thing changed in them."""
    for path in SOURCES.iterdir():
        (tmp_path / path.name).write_text(path.read_text().replace(old, new))
    monkeypatch.setattr(kernels, "SOURCES", tmp_path)


def test_a_spill_is_seen_and_not_recorded(monkeypatch, tmp_path):
    largest = ("march.cu", "fused<f32, f32, 17, 17, 17>")
    monkeypatch.setattr(record, "instantiations", lambda: [largest])
    monkeypatch.setattr(kernels, "ARCHITECTURES", ("sm_90",))
    monkeypatch.setattr(record, "RECORD", tmp_path / "kernels.json")
    record.main([])
    before = record.load()
    assert before["kernels"][largest[1]]["sm_90"][1:3] == [0, 0]
    edited(monkeypatch, tmp_path, "Z <= 7 ? 3 : 2)", "8)")
    with pytest.raises(SystemExit, match="nothing was saved"):
        record.main([])
    assert record.load() == before
    record.main(["--accept"])
    registers, stores, loads, _ = record.load()["kernels"][largest[1]]["sm_90"]
    assert registers <= 32
    assert stores > 0 < loads


@pytest.mark.parametrize("number", range(4))
def test_memory_that_operators_say_they_need_is_enough(number):
    """What a plan reserves, what is uploaded with it, copies of float16 and sums in place of it."""
    rng = np.random.default_rng(number)
    for _ in range(100):
        make = (table.separable_case, table.correlate_case)[number % 2]
        case = make(rng, ("single", "double")[number // 2], dtype="float32")
        op = case.op if rng.random() < 0.7 else dataclasses.replace(case.op, out_dtype=np.dtype(np.float16))
        plan = planned(op, whole(op, case.data))
        needed = sum(plan.scratch.values()) + len(plan.constants) + case.data.nbytes
        if plan.out_dtype != op.out_dtype:
            needed += int(np.prod(plan.out_shape)) * plan.out_dtype.itemsize
        assert needed <= op.scratch(Region.whole(case.out_shape), case.grid, "gpu"), case.name


def test_a_compiler_error_is_shown_with_its_line(monkeypatch, tmp_path):
    edited(monkeypatch, tmp_path, "Acc sum = weights", "Acc sum = weihgts")
    line = 1 + (tmp_path / "separable.cu").read_text().split("weihgts")[0].count("\n")
    with pytest.raises(RuntimeError, match=rf"separable.cu\({line}\): error: .*weihgts"):
        kernels.compile_to_cubin("separable.cu", ["pass_direct<u8, f32, f32>"], "sm_90")


def test_warnings_are_errors(monkeypatch, tmp_path):
    middle = "const int middle = taps / 2, last"
    edited(monkeypatch, tmp_path, middle, f"int unused; {middle}")
    for work in (kernels.compile_to_cubin, record_usage):
        with pytest.raises(RuntimeError, match="unused"):
            work("separable.cu", ["pass_direct<u8, f32, f32>"], "sm_90")


def record_usage(file, expressions, arch):
    record.measure([(file, expression) for expression in expressions], [arch])


def test_float64_sums_are_compiled_without_fused_multiply_adds():
    """They are to have scipy's bits; whatever the input and output are."""
    for file, expression in record.instantiations():
        if file in ("separable.cu", "correlate.cu", "march.cu", "pool.cu") and not expression.startswith(
            ("cast", "halves", "extreme", "ordered")
        ):
            acc = expression.split(", ")[1]
            assert ("-fmad=false" in kernels.options(expression)) == (acc == "f64"), expression


def test_every_kernel_an_operator_asks_for_is_listed_and_within_limits():
    listed = set(record.instantiations())
    rng = np.random.default_rng(0)
    for number in range(600):
        make = (table.separable_case, table.correlate_case)[number % 2]
        case = make(rng, ("single", "double")[number // 2 % 2])
        data = case.data.view(np.uint8) if case.data.dtype == bool else case.data
        for launch in planned(case.op, whole(case.op, data)).launches:
            assert (launch.file, launch.expression) in listed
            assert 0 < launch.grid <= 2**31 - 1
            assert launch.block[0] * launch.block[1] <= 256
            assert launch.shared <= 48 * 1024


def test_kernels_that_march_are_listed_and_within_limits():
    rng = np.random.default_rng(0)
    listed, seen = set(record.instantiations()), set()
    for kernel, shapes in (("fused", march.FUSED_SHAPES), ("dense", march.DENSE_SHAPES)):
        for taps in shapes:
            for shape in ((1, 1, 1), (300, 40, 70)):
                for dtype, out in (("float32", "float32"), ("uint16", "uint16"), ("int16", "float32")):
                    case = table.march_case(rng, (1, 1, 1), kernel, taps, dtype, out)
                    block = whole(case.op, np.broadcast_to(case.data, shape))
                    (launch,) = planned(case.op, block).launches
                    assert (launch.file, launch.expression) in listed
                    assert launch.block == (32, 8)
                    assert launch.shared <= 48 * 1024
                    # The driver takes 4 KB of arguments.
                    assert sum(8 if isinstance(a, Ref) else a.nbytes for a in launch.args) < 4096 - 64
                    assert all(isinstance(a, Ref) or np.size(a) == 1 for a in launch.args), "CuPy passes one"
                    seen.add(launch.expression.split("<")[0] + str(taps))
    assert len(seen) == len(march.FUSED_SHAPES) + len(march.DENSE_SHAPES)


def test_z_is_cut_so_that_all_multiprocessors_have_work():
    for size, taps, columns in ((512, 17, 256), (512, 17, 16), (100, 7, 300), (1000, 3, 1), (1, 1, 5), (64, 17, 1000)):
        chunk = march.march_length(size, taps, columns)
        chunks = launches.ceil_div(size, chunk)
        assert 1 <= chunk <= size
        assert chunks == 1 or chunk >= taps
        waves = launches.ceil_div(columns * chunks, march.BLOCKS_AT_ONCE)
        assert waves * (chunk + taps) <= launches.ceil_div(columns, march.BLOCKS_AT_ONCE) * (size + taps)


@pytest.mark.parametrize("taps", [(1, 1), (3, 3), (200, 200), (1, 5000), (5000, 1), (65, 13)])
@pytest.mark.parametrize("shape", [(1, 1), (1000, 3), (3, 1000), (64, 64), (1, 5000)])
def test_any_size_of_kernel_fits_shared_memory(shape, taps):
    op = Stencil(np.ones((1, 1, *taps)), (0, 0), ("wrap",) * 2, 0.0, np.dtype(float), "double")
    (launch,) = planned(op, whole(op, np.zeros(shape))).launches
    assert launch.shared <= stencil_gpu.CORRELATE_BYTES


def test_grids_of_more_than_2_to_31_elements_are_planned():
    """The numbers alone: no such array is made."""
    data = np.broadcast_to(np.uint8(0), (2**14, 2**14, 2**8))
    op = Separable(tuple(Pass(a, np.ones(3), 1, "wrap") for a in range(3)), np.dtype(np.uint8))
    for launch in planned(op, whole(op, data)).launches:
        assert launch.grid < 2**31


def test_sources_are_ascii_and_no_python_package():
    for path in SOURCES.iterdir():
        assert path.suffix in (".cu", ".cuh", ".h"), path
        assert path.read_bytes().isascii(), path
