"""The user's own functions: what they are told, how they are named, and faults at their own lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from gridstride.workers import code as codes
from gridstride.workers import saving
from gridstride.workers.code import Code, CodeError
from gridstride.workers.families import user_kernel
from gridstride.workers.families.user_code import code_of, is_meant, named
from gridstride.workers.operators.apply import Apply
from gridstride.workers.operators.base import Grid, Window
from gridstride.workers.region import Region
from tests.blockwise import apply, grid_of, window_of

KERNELS = Path(__file__).parents[2] / "examples" / "kernels"
SCALE = 3.0  # these are of scaled, below
HALF = np.float32(0.5)
WEIGHTS = np.array([[1, 2], [np.nan, -np.inf]])
OPTIONS = {"ends": [1]}


@pytest.fixture
def own(tmp_path: Path) -> Any:
    """A function that writes a file of the user's and gives its path."""

    def write(text: str, name: str = "own.py") -> str:
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


def bound(file: Any, array: np.ndarray, names: Any = None, **fields: Any) -> Any:
    return Apply(file=file, **fields).bind(grid_of(array, names))


def refused(file: Any, array: np.ndarray | None = None, **fields: Any) -> str:
    with pytest.raises(ValueError) as error:
        bound(file, np.ones((6, 7), "float32") if array is None else array, **{"halo": 1, **fields})
    lines = [line for line in str(error.value).splitlines() if "For further" not in line]
    assert "\n" not in str(error.value) or len(lines) == 3  # pydantic's head and tail
    return lines[0] if len(lines) == 1 else lines[2].strip()


LAPLACE = """
import numpy as np

def laplace(block):
    return block[2:, 1:-1] + block[:-2, 1:-1] + block[1:-1, 2:] + block[1:-1, :-2] - 4 * block[1:-1, 1:-1]
"""


@pytest.mark.parametrize("mode", ["reflect", "mirror", "nearest", "wrap", "constant"])
def test_a_function_gets_its_boundary_in_its_block(mode: str, own: Any) -> None:
    array = np.random.default_rng(0).normal(size=(7, 12))
    operator = bound(own(LAPLACE), array, halo=1, mode=mode, cval=2.5)
    for block in (None, (3, 5), (1, 12)):
        np.testing.assert_allclose(
            apply(operator, array, block), ndimage.laplace(array, mode=mode, cval=2.5), atol=1e-12
        )


def test_a_function_of_two_axes_goes_over_the_others_slice_by_slice(own: Any) -> None:
    array = np.random.default_rng(0).integers(0, 9, (2, 3, 4, 6, 5)).astype("int32")
    operator = bound(own(LAPLACE), array, ["t", "c", "z", "y", "x"], halo=1, spatial=2)
    wanted = np.empty_like(array)
    for i in np.ndindex(2, 3, 4):
        wanted[i] = ndimage.laplace(array[i])
    np.testing.assert_array_equal(apply(operator, array, (1, 2, 3, 4, 2)), wanted, strict=True)
    swapped = np.ascontiguousarray(np.moveaxis(array[0, 0], 0, 1))  # y, z, x: filtered axes are no neighbours
    operator = bound(own(LAPLACE), swapped, halo=(1, 1), axes=(2, 0))
    np.testing.assert_array_equal(apply(operator, swapped, (2, 3, 3)), np.moveaxis(wanted[0, 0], 0, 1))


TOLD = """
def told(block, *, origin, shape, whole, spacing, where, halo, inner):
    assert halo == (2, 2) and block[inner].shape == shape
    assert block.flags.c_contiguous and block.flags.writeable
    row = 100 * (origin[0] + __import__("numpy").arange(shape[0]))
    column = origin[1] + __import__("numpy").arange(shape[1])
    assert whole == (5, 7) and spacing == (1.0, 1.0), (whole, spacing)
    return 1000.0 * where[0] + row[:, None] + column
"""


def test_a_function_is_told_where_its_block_lies(own: Any) -> None:
    array = np.zeros((3, 5, 7), "float32")
    operator = bound(own(TOLD), array, halo=2, axes=(1, 2))
    wanted = np.fromfunction(lambda c, y, x: 1000 * c + 100 * y + x, array.shape)
    for block in (None, (1, 2, 4)):
        np.testing.assert_array_equal(apply(operator, array, block), wanted)


PARAMETERS = """
def scaled(block, gain: float, floor=1.5, names: "int" = 2, *, on: bool = False, label="a"):
    assert isinstance(gain, float) and isinstance(floor, float) and type(names) is int, (gain, floor, names)
    assert type(on) is bool and type(label) is str
    return block * gain
"""


def test_parameters_have_the_kinds_that_the_function_says(own: Any) -> None:
    file, array = own(PARAMETERS), np.ones(4, "float32")
    typed = ["gain=3", "floor=1", "names=2", "on=true", "label=7"]
    operator = bound(file, array, halo=0, param=typed)
    assert dict(operator.params) == {"gain": 3.0, "floor": 1.0, "names": 2, "on": True, "label": "7"}
    same = bound(file, array, halo=0, params={"label": "7", "on": True, "gain": np.float32(3), "floor": 1, "names": 2})
    assert saving.digest(same) == saving.digest(operator)
    several = bound(own("def f(b, at, name=''):\n    return b\n", "s.py"), array, halo=0, param=["at=1,2.5", "name="])
    assert dict(several.params) == {"at": (1.0, 2.5), "name": ""}
    weights = np.arange(3.0)
    operator = bound(own("def f(b, w, more):\n    return b * w[2]\n", "w.py"), array, halo=0,
                     param={"w": weights, "more": [[1, 2], [3]]})  # fmt: skip
    np.testing.assert_array_equal(apply(operator, array), array * 2)


@pytest.mark.parametrize(
    ("param", "said"),
    [
        ({}, "param gain is missing: scaled(block, gain: float, "),
        ({"gian": 1}, "has no such parameter: did you mean 'gain'?"),
        ({"gain": "much"}, "param gain is 'much': expected a number"),
        ({"gain": 1, "names": 1.5}, "param names is 1.5: expected a whole number"),
        ({"gain": 1, "names": float("inf")}, "param names is inf: expected a whole number"),
        ({"gain": 10**400}, "param gain is beyond the range of float64: expected a number"),
        (["gain=1", "on=maybe"], "param on is 'maybe': expected true or false"),
        (["gain"], "'gain' is no parameter: expected NAME=VALUE"),
        (["gain=1", "gain=2"], "gain is given twice"),
        ({"gain": {1: 2}}, "gain is a dict: expected numbers"),
    ],
)
def test_a_wrong_parameter_is_named(param: Any, said: str, own: Any) -> None:
    assert said in refused(own(PARAMETERS), param=param)


def test_what_a_function_is_told_is_not_the_users_to_give(own: Any) -> None:
    assert "param origin is not yours to give" in refused(
        own("def f(block, origin):\n    return block\n"), param={"origin": 1}
    )


FAULTS = {
    "wrong shape": ("def f(b):\n    return b[1:]\n", "f: expected a result of shape (5, 6), got (6, 8): the block of"),
    "same shape": ("def f(b):\n    return b\n", "; return result[1:-1, 1:-1], or result[inner]"),
    "no array": ("def f(b):\n    return [1]\n", "expected a result that is an array of numpy, got builtins.list"),
    "nothing": ("def f(b):\n    b + 1\n", "got builtins.NoneType"),
    "complex": ("def f(b):\n    return 1j * b[1:-1, 1:-1]\n", "expected real numbers of up to 64 bits, got complex"),
    "error": ("import math\n\ndef f(b):\n    c = b\n    return math.sqrt(-1)\n", "own.py:5: ValueError: "),
    "inner": ("def g(b):\n    return b.nope\n\ndef f(b):\n    return g(b)\n", "own.py:2: AttributeError: "),
    "library": ("import numpy as np\ndef f(b):\n    return np.reshape(b, 3)\n", "own.py:3: ValueError: cannot reshape"),
    "exit": ("def f(b):\n    raise SystemExit(3)\n", "own.py:2: SystemExit: 3"),
    "syntax": ("def f(b):\n    return b[1:-1\n", "own.py:2: SyntaxError: '[' was never closed"),
    "import": ("import no_such_module\ndef f(b):\n    return b\n", "own.py:1: ModuleNotFoundError: No module named"),
    "top": ("x = 1 / 0\ndef f(b):\n    return b\n", "own.py:1: ZeroDivisionError"),
    "no block": ("def f():\n    return 1\n", "own.py:f: f() takes no block"),
    "masked": ("import numpy as np\ndef f(b):\n    return np.ma.masked_less(b, 1)\n", ".ma.MaskedArray"),
}  # fmt: skip


@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_fault_is_one_line_at_the_users_own_line(fault: str, own: Any) -> None:
    text, said = FAULTS[fault]
    assert said in refused(own(text) + ":f")


def test_a_fault_in_a_block_says_which(own: Any) -> None:
    text = "def f(b, *, origin):\n    if origin[0] >= 4:\n        raise KeyError('late')\n    return b[1:-1]\n"
    operator = bound(own(text), np.ones((9,), "float32"), halo=1)
    with pytest.raises(CodeError, match=r"^own.py:3: KeyError: 'late' \(block 4:8\)$"):
        apply(operator, np.ones((9,), "float32"), (4,))


def test_a_result_of_another_dtype_than_in_the_trial_is_refused(own: Any) -> None:
    text = "def f(b, *, origin):\n    return b[1:-1].astype('f8' if origin[0] else 'f4')\n"
    operator = bound(own(text), np.ones(9, "float32"), halo=1)
    with pytest.raises(
        CodeError, match=r"own.py:f: expected dtype float32, as in the trial, got float64 \(block 4:8\)"
    ):
        apply(operator, np.ones((9,), "float32"), (4,))


def test_lack_of_memory_is_no_fault_of_the_function(own: Any) -> None:
    """Blocks are halved for it."""
    operator = bound(
        own("def f(b):\n    if b.size > 20:\n        raise MemoryError\n    return b\n"), np.ones(9), halo=0
    )
    with pytest.raises(MemoryError):
        apply(operator, np.ones(30))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("own.py:locl", "own.py has no function 'locl': did you mean 'local'?"),
        ("own.py:zzz", "own.py has no function 'zzz': it defines local, other"),
        ("own.py", "own.py defines local, other: say which, own.py:local"),
        ("own.py:", "say which"),
        ("gone.py:f", "gone.py cannot be read (No such file or directory)"),
        ("own.txt", "expected FILE.py:FUNCTION, FILE.cu or a function"),
        ("own.py:local:other", "own.py has no function 'local:other'"),
        ("", "expected FILE.py:FUNCTION"),
    ],
)
def test_what_names_no_function_is_refused(name: str, said: str, own: Any, tmp_path: Path) -> None:
    own("def local(b):\n    return b\n\ndef other(b):\n    return b\n\ndef _helper():\n    pass\n")
    assert said in refused(str(tmp_path / name) if name else name)


def test_one_function_needs_no_name(own: Any) -> None:
    assert (
        code_of(own("import os\n_x = 1\n\ndef only(b):\n    return b\n\ndef _helper():\n    pass\n")).function == "only"
    )


def test_a_file_from_elsewhere_is_the_same_program(tmp_path: Path) -> None:
    text = "def f(b):\n    return b\n"
    (tmp_path / "own.py").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert code_of(tmp_path / "own.py") == Code("own.py", text, "f")
    (tmp_path / "own.py").write_bytes(b"\xff\xfe")
    assert "is no text: expected a program in UTF-8" in refused(tmp_path / "own.py")


def test_a_halo_that_no_block_can_have_is_refused_before_memory_is_taken(own: Any) -> None:
    assert "halo is 1000000: the smallest block has" in refused(own(LAPLACE), halo=10**6)
    assert "give --out-dtype" in refused(own(LAPLACE), halo=2000)
    with pytest.raises(ValueError, match="halo has 3 values for 2 filtered axes"):
        bound(own(LAPLACE), np.ones((4, 4)), halo=(1, 1, 1))


# --- functions handed over from Python ---
def scaled(block: np.ndarray, offset: float = 1.0) -> np.ndarray:
    assert OPTIONS["ends"] == [1]
    assert np.isinf(WEIGHTS[1, 1])
    return shifted(block, offset) * SCALE * WEIGHTS[0, 1] * HALF


def shifted(block: np.ndarray, offset: float) -> np.ndarray:
    return np.add(block, offset)[1:-1]


def test_a_function_takes_what_it_uses_with_it() -> None:
    array = np.arange(9.0)
    operator = bound(scaled, array, halo=1, param={"offset": 2})
    np.testing.assert_array_equal(apply(operator, array), (array + 2) * 3)
    text = operator.code.text
    assert "pytest" not in text
    assert "def bound" not in text
    line = text.splitlines().index("    assert np.isinf(WEIGHTS[1, 1])") + 1
    assert line == scaled.__code__.co_firstlineno + 2


def uses_an_array(block: np.ndarray) -> np.ndarray:
    return block * np.float32(GRID.shape[0])


GRID = Grid.of((3,), "uint8")


def test_a_function_that_cannot_take_what_it_uses_is_refused() -> None:
    here = 3
    assert "uses_an_array uses GRID, a Grid: only functions" in refused(uses_an_array)
    assert "uses here of the function around it" in refused(called_so(lambda: here)(lambda b: b * here))
    assert "made by def" in refused(lambda b: b)


def called_so(_: Any) -> Any:
    def keep(function: Any) -> Any:
        function.__name__ = "kept"
        return function

    return keep


# --- who may run it ---
def test_a_program_that_nobody_named_here_is_not_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    code = Code("evil.py", f"open({str(ran)!r}, 'w')\ndef f(b):\n    return b\n", "f")
    with pytest.raises(CodeError, match="not run unless you name it"):
        codes.function_of(code)
    assert not ran.exists()
    codes.allow_marked(codes.marked("run-1", (1, code)))
    codes.function_of(code)
    assert ran.exists()
    with pytest.raises(CodeError, match="not run unless you name it"):
        codes.function_of(Code(code.file, code.text, "open"))


def test_a_named_program_is_run_only_by_what_it_defines_itself(own: Any) -> None:
    """An output of a stranger's says which function of it is called."""
    text = "from shutil import rmtree\n\ndef f(b):\n    return b\n\ng = f\n"
    mine, there = named(own(text)), lambda name, file="own.py", text=text: Code(file, text, name)
    assert is_meant(there("f"), mine)
    assert is_meant(there("g"), mine)
    assert not is_meant(there("rmtree"), mine)
    assert is_meant(there("f"), named(own(text) + ":f"))
    assert not is_meant(there("g"), named(own(text) + ":f"))
    line, _, rest = text.partition("\n")
    assert not is_meant(there("f", "own.py\n" + line, rest), mine)


def test_iterations_are_the_function_again_and_again_in_a_few_sweeps(own: Any) -> None:
    array = np.random.default_rng(0).random((9, 40)).astype("float32")
    text = "import numpy as np\ndef f(b):\n    return (b[1:-1, :-2] + b[2:, 1:-1]) * np.float32(0.5)\n"
    once = bound(own(text), array, halo=1, mode="wrap")
    wanted = array
    for _ in range(37):
        wanted = apply(once, wanted)
    operator = bound(own(text), array, halo=1, mode="wrap", iterations=37)
    assert "37 times in 3 sweeps of up to 13" in operator.describe()
    for block in (None, (4, 7)):
        np.testing.assert_array_equal(apply(operator, array, block), wanted, strict=True)
    many = bound(own(text), array, halo=1, iterations=10**9)
    assert many.needed(Region(((0, 9), (20, 22))), grid_of(array)).size <= array.size
    assert "it gives float32 of float16" in refused(
        own("def f(b):\n    return b[1:-1, 1:-1].astype('f2' if b.dtype != 'f2' else 'f4')\n"), iterations=4
    )


def test_memory_is_measured_for_each_element_of_a_block(own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_kernel, "MEASURED_SECONDS", 60)
    waits = "import time\ndef f(b):\n    time.sleep(0.01)\n    return b[1:-1]\n"  # as where others use the machine
    lean = bound(own(waits), np.ones(9, "uint8"), halo=1)
    wide = bound(
        own("def f(b):\n    c = [b * 1.0 for _ in range(20)]\n    return b[1:-1]\n"), np.ones(9, "uint8"), halo=1
    )
    assert lean.work < 4
    assert saving.digest(lean) == saving.digest(lean.but(work=99.0))  # it is no part of a job's identity
    assert 160 < wide.work < 260
    monkeypatch.setattr(user_kernel, "MEASURED_SECONDS", 0)
    assert bound(own(waits), np.ones(9, "uint8"), halo=1).work == user_kernel.UNMEASURED


def test_a_window_on_a_device_has_the_arrays_own_dtype(own: Any) -> None:
    from gridstride.workers import gpu
    from gridstride.workers.gpu import Machine

    for dtype in ("bool", "float16", "uint8"):
        array = np.ones((6,), dtype)
        operator = bound(
            own(f"def f(b):\n    assert b.dtype == '{dtype}', b.dtype\n    return b[1:-1]\n"), array, halo=1
        )
        window: Window = window_of(operator, array, Region(((1, 4),)))
        np.testing.assert_array_equal(gpu.compute(operator, window, Machine(np, None, None)), array[1:4], strict=True)


def test_local_contrast_of_large_numbers() -> None:
    values = np.random.default_rng(0).integers(0, 4, (9, 8)).astype("float32")
    fields = {"file": str(KERNELS / "contrast.py:local_contrast"), "halo": 1}
    found = apply(bound(array=values + 2**20, **fields), values + 2**20)
    np.testing.assert_allclose(found, apply(bound(array=values, **fields), values), rtol=1e-5)
