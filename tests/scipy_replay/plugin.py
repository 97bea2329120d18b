"""A pytest plugin: runs scipy's own tests of scipy.ndimage with this package's engine in its place.

    PYTHONPATH=tests pytest -p scipy_replay.plugin --pyargs scipy.ndimage.tests.test_filters

A function in `ADAPTERS` is answered by an operator; every other one is scipy's. A function's calls take turns: in one
block, in blocks of 4, in blocks of 7 elements along each axis. scipy is called first, on copies, for what is not
arithmetic (errors, warnings, the result's dtype); the values it computes are compared with the engine's and thrown
away: a test only ever sees the engine's. A result of other bytes than scipy's is compared with that of one block.

GRIDSTRIDE_REPLAY: "off": scipy alone
GRIDSTRIDE_REPLAY_REPORT: a file for outcomes and counts, as JSON
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage
from blockwise import apply, bound
from scipy.ndimage import _ni_support

from gridstride.workers.families.separable import Pass, Separable
from gridstride.workers.families.weights import taps_before
from gridstride.workers.operators.boundary import MODES

CUTS = (None, 4, 7)
EXACT = {"precision": "double", "cast": "scipy"}

# An adapter makes the operator of one call from its arguments (scipy's names, defaults filled in, weights and
# cval real), the array (real) and the dtype of the result. None where there is nothing to do but copy.
Arguments = dict[str, Any]
Adapter = Callable[[Arguments, np.ndarray, np.dtype], Any]


def each(value: Any, axes: Any) -> list[Any]:
    """One value for each axis, from one or a sequence of them."""
    return list(_ni_support._normalize_sequence(value, len(axes)))


def dense(flip: bool) -> Adapter:
    def adapter(a: Arguments, array: np.ndarray, dtype: np.dtype) -> Any:
        # With `axes` out of order scipy still lays the weights' dimensions along the axes in rising order; it
        # takes origins to the axes they were given for if an axis is left out, and else also in rising order.
        axes = _ni_support._check_axes(a["axes"], array.ndim)
        origins = each(a["origin"], axes)
        if len(axes) < array.ndim:
            origins = [o for _, o in sorted(zip(axes, origins, strict=True))]
        weights = np.asarray(a["weights"], np.float64)
        options = {"mode": a["mode"], "cval": a["cval"], "origin": origins, "axes": sorted(axes), "kernel": weights}
        return bound("convolve" if flip else "correlate", array, dtype=dtype, **options, **EXACT)

    return adapter


def along_one_axis(flip: bool) -> Adapter:
    def adapter(a: Arguments, array: np.ndarray, dtype: np.dtype) -> Any:
        weights = np.asarray(a["weights"], np.float64)
        before = taps_before(len(weights), a["origin"], flip)
        weights = weights[::-1].copy() if flip else weights
        axis = a["axis"] % array.ndim
        step = Pass(axis, weights, before, MODES[a["mode"]], a["cval"])
        return Separable((step,), dtype, between=True, **EXACT)

    return adapter


def gaussian_filter(a: Arguments, array: np.ndarray, dtype: np.dtype) -> Any:
    axes = _ni_support._check_axes(a["axes"], array.ndim)
    names = ("sigma", "order", "mode", "radius")
    steps = zip(axes, *(each(a[name], axes) for name in names), strict=True)
    steps = [step for step in steps if step[1] > 1e-15]  # scipy leaves the others out
    if not steps:
        return None
    axes, *values = map(list, zip(*steps, strict=True))
    options = dict(zip(names, values, strict=True))
    options |= {"cval": a["cval"], "truncate": a["truncate"]}
    if options["radius"] == [None] * len(axes):
        options["radius"] = None
    return bound("gaussian", array, axes=axes, dtype=dtype, **options, **EXACT)


def gaussian_filter1d(a: Arguments, array: np.ndarray, dtype: np.dtype) -> Any:
    options = {name: a[name] for name in ("sigma", "order", "mode", "cval", "truncate", "radius")}
    return bound("gaussian", array, axes=[a["axis"] % array.ndim], dtype=dtype, **options, **EXACT)


def uniform_filter(a: Arguments, array: np.ndarray, dtype: np.dtype) -> Any:
    axes = _ni_support._check_axes(a["axes"], array.ndim)
    names = ("size", "mode", "origin")
    steps = zip(axes, *(each(a[name], axes) for name in names), strict=True)
    steps = [step for step in steps if step[1] > 1]  # scipy leaves the others out, whatever their origin
    if not steps:
        return None
    axes, sizes, modes, origins = map(list, zip(*steps, strict=True))
    options = {"size": sizes, "mode": modes, "origin": origins, "cval": a["cval"]}
    return bound("uniform", array, axes=axes, dtype=dtype, **options, **EXACT)


def uniform_filter1d(a: Arguments, array: np.ndarray, dtype: np.dtype) -> Any:
    options = {name: a[name] for name in ("size", "mode", "cval", "origin")}
    return bound("uniform", array, axes=[a["axis"] % array.ndim], dtype=dtype, **options, **EXACT)


def boxed(operator: str, *more: str) -> Adapter:
    """Of a filter with size, footprint and origin; more: its other arguments, by scipy's names and ours."""

    def adapter(a: Arguments, array: np.ndarray, dtype: np.dtype) -> Any:
        axes = _ni_support._check_axes(a["axes"], array.ndim)
        origins = each(a["origin"], axes)
        options: Arguments = {name: a[name] for name in (*more, "cval")}
        if a["footprint"] is not None:  # as weights of `dense`
            if len(axes) < array.ndim:
                origins = [o for _, o in sorted(zip(axes, origins, strict=True))]
            axes, options["footprint"] = sorted(axes), np.asarray(a["footprint"], bool)
        else:
            options["size"] = each(a["size"], axes)
        modes = each(a["mode"], axes)
        return bound(operator, array, dtype=dtype, axes=axes, origin=origins, mode=modes, **options)

    return adapter


def boxed_along(operator: str) -> Adapter:
    def adapter(a: Arguments, array: np.ndarray, dtype: np.dtype) -> Any:
        axis = a["axis"] % array.ndim
        options = {name: a[name] for name in ("size", "mode", "cval", "origin")}
        return bound(operator, array, axes=[axis], dtype=dtype, **options)

    return adapter


def derivative(operator: str, *names: str) -> Adapter:
    def adapter(a: Arguments, array: np.ndarray, dtype: np.dtype) -> Any:
        axes = _ni_support._check_axes(a["axes"], array.ndim)
        options = {name: each(a[name], axes) for name in (*names, "mode")}
        if operator == "gaussian-gradient-magnitude" and dtype.kind in "iu":
            raise NotOurs("integers, whose squares scipy makes in their own type, where they overflow")
        if a.get("kwargs"):
            raise NotOurs(", ".join(a["kwargs"]))
        return bound(operator, array, axes=axes, dtype=dtype, cval=a["cval"], **options, **EXACT)

    return adapter


def along(operator: str) -> Adapter:
    def adapter(a: Arguments, array: np.ndarray, dtype: np.dtype) -> Any:
        modes = each(a["mode"], range(array.ndim))
        return bound(operator, array, axis=a["axis"] % array.ndim, mode=modes, cval=a["cval"], dtype=dtype, **EXACT)

    return adapter


def grey(operator: str) -> Adapter:
    def adapter(a: Arguments, array: np.ndarray, dtype: np.dtype) -> Any:
        if a["structure"] is not None and np.any(np.asarray(a["structure"]) != 0):
            raise NotOurs("a structure that is not flat")
        if a["structure"] is not None and a["footprint"] is None:
            a = {**a, "footprint": np.ones(np.shape(a["structure"]), bool)}
        return boxed(operator)(a, array, dtype)

    return adapter


def binary(operator: str) -> Adapter:
    def adapter(a: Arguments, array: np.ndarray, dtype: np.dtype) -> Any:
        if a["mask"] is not None:
            raise NotOurs("a mask")
        if a["iterations"] < 1:
            raise NotOurs("iterations until nothing changes")
        axes = _ni_support._check_axes(a["axes"], array.ndim)
        options: Arguments = {"iterations": int(a["iterations"]), "origin": each(a["origin"], axes), "axes": axes}
        if a["structure"] is not None:
            options["structure"] = np.asarray(a["structure"], bool)
        return bound(operator, array, border_value=int(a["border_value"]), **options)

    return adapter


ADAPTERS: dict[str, Adapter] = {
    "convolve": dense(flip=True),
    "convolve1d": along_one_axis(flip=True),
    "correlate": dense(flip=False),
    "correlate1d": along_one_axis(flip=False),
    "gaussian_filter": gaussian_filter,
    "gaussian_filter1d": gaussian_filter1d,
    "uniform_filter": uniform_filter,
    "uniform_filter1d": uniform_filter1d,
    "median_filter": boxed("median"),
    "rank_filter": boxed("rank", "rank"),
    "percentile_filter": boxed("percentile", "percentile"),
    "minimum_filter": boxed("minimum"),
    "maximum_filter": boxed("maximum"),
    "minimum_filter1d": boxed_along("minimum"),
    "maximum_filter1d": boxed_along("maximum"),
    "sobel": along("sobel"),
    "prewitt": along("prewitt"),
    "laplace": derivative("laplace"),
    "gaussian_laplace": derivative("gaussian-laplace", "sigma"),
    "gaussian_gradient_magnitude": derivative("gaussian-gradient-magnitude", "sigma"),
    "grey_erosion": grey("grey-erosion"),
    "grey_dilation": grey("grey-dilation"),
    "grey_opening": grey("grey-opening"),
    "grey_closing": grey("grey-closing"),
    "white_tophat": grey("white-tophat"),
    "black_tophat": grey("black-tophat"),
    "morphological_gradient": grey("morphological-gradient"),
    "binary_erosion": binary("binary-erosion"),
    "binary_dilation": binary("binary-dilation"),
    "binary_opening": binary("binary-opening"),
    "binary_closing": binary("binary-closing"),
}


class NotOurs(Exception):
    """What no operator does; its text says what."""


calls: Counter[str] = Counter()  # how often the engine computed something, by function
different: dict[str, Counter[str]] = {}  # how many results were not scipy's bytes, by function and test
cut: dict[str, Counter[str]] = {}  # how many results had other bytes in blocks
left: dict[str, Counter[str]] = {}  # calls that scipy answered, by function and reason
turns: Counter[str] = Counter()  # how often each function was called
outside: set[str] = set()  # the functions without an adapter that the tests take
outcomes: dict[str, str] = {}
lock = threading.Lock()  # scipy's tests call from several threads


def engine(name: str, a: Arguments, array: np.ndarray, dtype: np.dtype, block: int | None) -> np.ndarray:
    """The engine's result for a real array, in blocks of `block` along each axis."""
    if array.ndim == 0:
        raise NotOurs("an array without axes")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)  # as a store gives it
    operator = ADAPTERS[name](a, array, dtype)
    if operator is None:
        return array.astype(dtype)
    with lock:
        calls[name] += 1
    return apply(operator, array, block and (block,) * array.ndim)


def count(table: dict[str, Counter[str]], name: str, what: str) -> None:
    with lock:
        table.setdefault(name, Counter())[what] += 1


def running() -> str:
    """The test that is running."""
    return os.environ.get("PYTEST_CURRENT_TEST", "?").split("::", 1)[-1].removesuffix(" (call)")


def by_parts(name: str, a: Arguments, array: np.ndarray, dtype: np.dtype, block: int | None) -> np.ndarray:
    """The same for complex arrays and weights too, from real and imaginary parts as scipy makes it."""
    weights = np.asarray(a.get("weights", 1))
    cval = a.get("cval", 0)
    if "c" not in array.dtype.kind + weights.dtype.kind:
        return engine(name, a, array, dtype, block)
    if name.startswith("correlate"):
        weights = weights.conj()
    result = np.empty(array.shape, dtype)
    part = result.real.dtype

    def real(of: np.ndarray, w: np.ndarray, value: Any, kind: np.dtype) -> np.ndarray:
        return engine(name, {**a, "weights": w, "cval": value}, of, kind, block)

    if weights.dtype.kind != "c":
        result.real = real(array.real, weights, np.real(cval), part)
        result.imag = real(array.imag, weights, np.imag(cval), part)
    elif array.dtype.kind != "c":
        result.real = real(array, weights.real, cval, part)
        result.imag = real(array, weights.imag, cval, part)
    else:
        own = array.real.dtype
        result.real = real(array.real, weights.real, np.real(cval), part)
        result.real -= real(array.imag, weights.imag, np.imag(cval), own)
        result.imag = real(array.real, weights.imag, np.real(cval), part)
        result.imag += real(array.imag, weights.real, np.imag(cval), own)
    return result


def replayed(name: str) -> Callable[..., Any]:
    """scipy's function `name`, computed by the engine."""
    original = getattr(scipy.ndimage, name)
    signature = inspect.signature(original)

    @functools.wraps(original)
    def function(*args: Any, **kwargs: Any) -> Any:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            return original(*args, **kwargs)  # raises scipy's error
        bound.apply_defaults()
        a = bound.arguments
        array, output = np.asarray(a["input"]), a["output"]
        given = _ni_support._skip_if_dtype(output) is not None  # an array to write to, not a dtype or None
        copies = {"input": array.copy(), "output": np.array(output) if given else output}
        more = {**a, **copies}
        keywords = more.pop("kwargs", {})
        expected = original(**more, **keywords)
        with lock:
            block = CUTS[turns[name] % len(CUTS)]
            turns[name] += 1
        try:
            with np.errstate(all="ignore"):
                result = by_parts(name, a, array, expected.dtype, block)
                if result.tobytes() != expected.tobytes():
                    count(different, name, running())
                    if result.tobytes() != by_parts(name, a, array, expected.dtype, None).tobytes():
                        count(cut, name, running())
        except NotOurs as error:
            count(left, name, str(error))
            result = expected
        if not given:
            return result
        output = np.asarray(output)
        output[...] = result
        return output

    return function


FUNCTIONS = {name: replayed(name) for name in ADAPTERS}
BY_ORIGINAL = {getattr(scipy.ndimage, name): function for name, function in FUNCTIONS.items()}


class Proxy:
    """The module scipy.ndimage, with our functions."""

    def __getattr__(self, name: str) -> Any:
        if name not in FUNCTIONS and not name.startswith("_"):
            outside.add(name)
        return FUNCTIONS.get(name) or getattr(scipy.ndimage, name)


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Only now: while they were collected, scipy's decorators looked its functions up by identity."""
    if os.environ.get("GRIDSTRIDE_REPLAY") == "off":
        return
    proxy = Proxy()
    for item in items:
        if getattr(item.module, "ndimage", None) is scipy.ndimage:
            item.module.ndimage = proxy
        if hasattr(item, "callspec"):
            params = item.callspec.params
            for key, value in params.items():
                if callable(value) and value in BY_ORIGINAL:
                    params[key] = BY_ORIGINAL[value]
                elif callable(value) and value is getattr(scipy.ndimage, getattr(value, "__name__", ""), None):
                    outside.add(value.__name__)


def pytest_runtest_logreport(report: Any) -> None:
    if report.when == "call" or report.outcome != "passed":
        outcomes[report.nodeid] = report.outcome


def pytest_terminal_summary(terminalreporter: Any) -> None:
    by_function = {name: sum(tests.values()) for name, tests in different.items()}
    terminalreporter.write_line(f"gridstride replay: {calls.total()} calls {dict(calls)}")
    terminalreporter.write_line(f"results that are not scipy's bytes: {by_function}")
    if path := os.environ.get("GRIDSTRIDE_REPLAY_REPORT"):
        report = {"outcomes": outcomes, "functions": list(ADAPTERS), "calls": calls}
        report |= {"different": different, "cut": cut, "left": left, "outside": sorted(outside)}
        Path(path).write_text(json.dumps(report))
