"""`--check` finds what is wrong with a kernel of the user's, at its line, and nothing where all is well."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import gridstride
from gridstride.pipeline.commands.main import main

KERNELS = Path(__file__).parents[2] / "examples" / "kernels"
compiled = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ compiles the kernels; it is missing")


@pytest.fixture
def check(store: Any, tmp_path: Path) -> Any:
    """Writes a program and checks it on an array, without anything being written."""

    def checked(text: str, array: np.ndarray, name: str = "own.py", **terms: Any) -> list[str]:
        (tmp_path / name).write_text(text)
        source = store(array, (16,) * array.ndim)
        before = sorted(tmp_path.iterdir())
        found = gridstride.check(tmp_path / name, source, **{"halo": 1, **terms})
        assert sorted(tmp_path.iterdir()) == before
        assert all("\n" not in line for line in found)
        return found

    return checked


@pytest.fixture
def array() -> np.ndarray:
    return np.random.default_rng(0).random((30, 41)).astype("float32")


FAULTS = {
    "looks farther": (
        "from scipy import ndimage\ndef f(b):\n    return ndimage.uniform_filter(b, 7)[1:-1, 1:-1]\n",
        r"own\.py:f looks farther than its halo of 1: \d+ elements up to 2 from the edge .* give --halo 3 or more",
    ),
    "place": (
        "import numpy as np\ndef f(b, shape):\n    return b[1:-1, 1:-1] + np.arange(shape[1], dtype='f4')\n",
        r"own\.py:f depends on its block's place or size: \d+ elements differ in blocks cut at 20 of axis 1, such as",
    ),
    "whole block": (
        "def f(b):\n    return b[1:-1, 1:-1] - b.mean()\n",
        r"depends on its block's place or size: .* in blocks cut at 15 of axis 0",
    ),
    "writes": (
        "def f(b):\n    c = b[1:-1, 1:-1]\n    c += 1\n    return c.copy()\n",
        r"own\.py:3: ValueError: .*read-only.* it writes into its block; it must copy it first",
    ),
    "random": (
        "import numpy as np\ndef f(b):\n    return np.random.random((b.shape[0] - 2, b.shape[1] - 2))\n",
        r"own\.py:f gives other numbers when it is called again, at \(0, 0\), which is 0\.\d+ and 0\.\d+: if it draws",
    ),
    "outside": (
        "import numpy as np\ndef f(b):\n    wide = np.lib.stride_tricks.as_strided(b, (b.shape[0], b.shape[1] + 9))\n"
        "    return wide[1:-1, 10:-1].copy() + 0 * wide.sum(1, initial=0)[1:-1, None]\n",
        r"own\.py:f reads outside of its block: its result changes with the memory around it",
    ),
    "late": (
        "def f(b, origin):\n    if origin[1] > 0:\n        raise KeyError('late')\n    return b[1:-1, 1:-1]\n",
        r"own\.py:3: KeyError: 'late' \(block 0:30 x 20:41\)",
    ),
    "shape": (
        "def f(b):\n    return b[1:-1, 1:-1] if b.shape[0] < 30 or b.shape[0] > 100 else b\n",
        r"own\.py:f: expected a result of shape \(30, 41\), got \(32, 43\)",
    ),
}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_what_is_wrong_with_a_function_is_found(fault: str, check: Any, array: np.ndarray) -> None:
    text, said = FAULTS[fault]
    found = check(text, array)
    assert found
    assert any(re.search(said, line) for line in found), found


def test_nothing_is_found_where_all_is_well(check: Any, array: np.ndarray) -> None:
    text = (
        "import numpy as np\ndef f(b, origin, shape):\n    y = np.arange(origin[0], origin[0] + shape[0], dtype='f4')\n"
    )
    assert check(text + "    return b[2:, 1:-1] - b[:-2, 1:-1] + y[:, None]\n", array, mode="wrap") == []
    assert check((KERNELS / "contrast.py").read_text(), (array * 99).astype("uint8"), halo=2, axes=(0,)) == []
    array[3:9] = np.nan
    assert check((KERNELS / "fisher.py").read_text(), array) == []


def test_the_command_says_each_check_and_ends_with_1(check: Any, store: Any, array: np.ndarray, tmp_path: Path) -> None:
    source = store(array, (16, 16))
    (tmp_path / "own.py").write_text(FAULTS["whole block"][0])
    words = ["apply", str(tmp_path / "own.py"), source, str(tmp_path / "out"), "--halo", "1", "--check"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ["ok", "ok", "ok", "ok", "FAULT"]
    assert lines[-1].startswith("gridstride: own.py:f depends on its block's place or size")
    (tmp_path / "own.py").write_text("def f(b):\n    return b[1:-1, 1:-1] + 1\n")
    result = CliRunner().invoke(main, [*words, "--chunks", "8,8", "--halos", "read"])
    assert (result.exit_code, result.output.count("ok ")) == (0, 5)
    assert result.output.startswith("note: --check has no use for --chunks, --halos\n")
    assert not (tmp_path / "out").exists()


CUDA = """
__global__ void f(const T* block, U* result, const long long* shape, const long long* origin, int fault)
{
    for (long long e = threadIdx.x + blockIdx.x * 256LL; e < elements_of(shape); e += 256LL * gridDim.x) {
        if (fault == 1) result[e] = block[e + 11 * 15 - 9 * 13 + 1];
        else if (fault == 2) result[e + 1] = 1;
        else if (fault == 3) result[e] = 7 / int(e - 5);
        else if (fault != 4 || e != 7) result[e] = At(block, shape, origin, e)(0, 0);
    }
}
"""
CUDA_FAULTS = [
    r"^$",
    r"^own\.cu:5: it reads outside of block: 4 bytes, 0 bytes past its end$",
    r"^own\.cu:6: it writes outside of result: 4 bytes, 0 bytes past its end$",
    r"^own\.cu:7: division by zero$",
    r"^own\.cu:f never writes the result at \(0, 7\)$",
]


@compiled
@pytest.mark.parametrize("fault", range(len(CUDA_FAULTS)))
def test_what_is_wrong_with_a_cuda_kernel_is_found(fault: int, check: Any) -> None:
    array = np.random.default_rng(0).random((9, 13)).astype("float32")
    found = check(CUDA, array, "own.cu", params={"fault": fault})
    assert re.search(CUDA_FAULTS[fault], found[0] if found else ""), found


@compiled
def test_nothing_is_found_in_the_cuda_example(check: Any, array: np.ndarray) -> None:
    assert check((KERNELS / "bilateral.cu").read_text(), array, "bilateral.cu", halo=2, params={"range": 0.3}) == []
