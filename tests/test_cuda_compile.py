"""Every kernel compiles, without a warning, for the GPUs there are; no GPU is needed for that."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from gridstride.workers import gpu, kernels
from gridstride.workers.operators.base import Block
from tests.cuda_host import table

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


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120"])
def test_each_kernel_compiles(arch):
    """Every kernel, for some types: bytes in, both accumulators, bytes and truth values out."""
    some = [
        (file, expression)
        for file, expression in kernels.instantiations()
        if set(expression.split("<")[1].rstrip(">").split(", ")) <= {"u8", "f32", "f64", "bool"}
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
    compile_all(some, arch)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(2))
def test_every_instantiation_compiles(part):
    compile_all(kernels.instantiations()[part::2], "sm_90")


def test_a_compiler_error_is_shown_with_its_line(monkeypatch, tmp_path):
    for path in SOURCES.iterdir():
        (tmp_path / path.name).write_text(path.read_text().replace("Acc sum = weights", "Acc sum = weihgts"))
    monkeypatch.setattr(kernels, "SOURCES", tmp_path)
    line = 1 + (tmp_path / "separable.cu").read_text().split("weihgts")[0].count("\n")
    with pytest.raises(RuntimeError, match=rf"separable.cu\({line}\): error: .*weihgts"):
        kernels.compile_to_cubin("separable.cu", ["pass_direct<u8, f32, f32>"], "sm_90")


def test_warnings_are_errors(monkeypatch, tmp_path):
    for path in SOURCES.iterdir():
        text = path.read_text().replace(
            "const int middle = taps / 2, last", "int unused; const int middle = taps / 2, last"
        )
        (tmp_path / path.name).write_text(text)
    monkeypatch.setattr(kernels, "SOURCES", tmp_path)
    with pytest.raises(RuntimeError, match="unused"):
        kernels.compile_to_cubin("separable.cu", ["pass_direct<u8, f32, f32>"], "sm_90")


def test_float64_sums_are_compiled_without_fused_multiply_adds():
    """They are to have scipy's bits; whatever the input and output are."""
    for _, expression in kernels.instantiations():
        if not expression.startswith(("cast", "halves")):
            acc = expression.split(", ")[1]
            assert ("-fmad=false" in kernels.options(expression)) == (acc == "f64"), expression


def test_every_kernel_an_operator_asks_for_is_listed_and_within_limits():
    listed = set(kernels.instantiations())
    rng = np.random.default_rng(0)
    for number in range(600):
        make, plan_of = (table.separable_case, gpu.plan_separable), (table.correlate_case, gpu.plan_correlate)
        make, plan_of = (make, plan_of)[number % 2]
        case = make(rng, ("single", "double")[number // 2 % 2])
        data = case.data.view(np.uint8) if case.data.dtype == bool else case.data
        zero = (0,) * data.ndim
        for launch in plan_of(case.op, Block(data, zero, zero, data.shape, data.shape)).launches:
            assert (launch.file, launch.expression) in listed
            assert 0 < launch.grid <= 2**31 - 1
            assert launch.block[0] * launch.block[1] <= 256
            assert launch.shared <= 48 * 1024


@pytest.mark.parametrize("taps", [(1, 1), (3, 3), (200, 200), (1, 5000), (5000, 1), (65, 13)])
@pytest.mark.parametrize("shape", [(1, 1), (1000, 3), (3, 1000), (64, 64), (1, 5000)])
def test_any_size_of_kernel_fits_shared_memory(shape, taps):
    op = gpu.Correlate(np.ones((1, 1, *taps)), (0, 0), ("wrap",) * 2, 0.0, np.dtype(float), "double")
    (launch,) = gpu.plan_correlate(op, Block(np.zeros(shape), (0, 0), (0, 0), shape, shape)).launches
    assert launch.shared <= gpu.CORRELATE_BYTES


def test_grids_of_more_than_2_to_31_elements_are_planned():
    """The numbers alone: no such array is made."""
    data = np.broadcast_to(np.uint8(0), (2**14, 2**14, 2**8))
    op = gpu.Separable(3, tuple(gpu.Pass(a, np.ones(3), 1, "wrap") for a in range(3)), np.dtype(np.uint8))
    block = Block(data, (0, 0, 0), (0, 0, 0), data.shape, data.shape)
    for launch in gpu.plan_separable(op, block).launches:
        assert launch.grid < 2**31


def test_sources_are_ascii_and_no_python_package():
    for path in SOURCES.iterdir():
        assert path.suffix in (".cu", ".cuh"), path
        assert path.read_bytes().isascii(), path
