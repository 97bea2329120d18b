"""Launches of cuda/variation.cu."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers.launches import AXES, Launches, Ref, ceil_div, six, strides, type_name
from gridstride.workers.operators.base import Window
from gridstride.workers.region import Region

if TYPE_CHECKING:
    from gridstride.workers.families.variation import Variation

THREADS = 256
PLACES = np.dtype([("count", np.int64), *((key, np.int64, AXES) for key in ("size", "begin", "window", "stride"))])


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that can be asked for."""
    return [("variation.cu", f"{name}<{t}>") for name in ("variation_image", "variation_field") for t in ("f32", "f64")]


def launch_variation(op: Variation, window: Window, launches: Launches) -> None:
    """All updates, each of the whole window: what comes from its edges does not reach the want."""
    launches.out_dtype = dtype = np.dtype(window.data.dtype)
    have, want = Region(window.have.spans[op.takes :]), op.spatial(window.want)
    if want.size == 0:
        return
    count, item, components = have.size, dtype.itemsize, len(op.axes)
    filtered = np.int32(sum(1 << AXES - len(have.spans) + axis for axis in op.axes))
    whole, part = (places(launches, have, box) for box in (have, want))
    data, out = Ref("data"), Ref("out")
    numbers = dtype.type(op.tau), dtype.type(op.tau / op.weight)

    def launch(name: str, box: Region, *args: Any) -> None:
        expression, tiles = f"{name}<{type_name(dtype)}>", ceil_div(box.size, THREADS)
        launches.launch("variation.cu", expression, tiles, (THREADS, 1), 0, args)

    def cut(source: Ref, p: Ref, target: Ref, zero: bool, copy: bool = False) -> None:
        flags = np.int32(zero), np.int32(copy), np.int32(True)
        launch("variation_image", want, source, p, target, part, np.int64(count), filtered, *flags)

    p, zero = Ref("data", count * item if op.takes else 0), not op.takes
    u, field = launches.reserve("u", count * item), launches.reserve("field", components * count * item)
    for _ in range(op.updates):
        terms = whole, np.int64(count), filtered, np.int32(zero)
        launch("variation_image", have, data, p, u, *terms, np.int32(False), np.int32(False))
        launch("variation_field", have, u, p, field, *terms, *numbers)
        p, zero = field, False
    if not op.gives:
        cut(data, p, out, zero)
        return
    for n in range(1 + components):
        source = Ref(p.buffer, p.offset + (n - 1) * count * item) if n else data
        cut(source, p, Ref("out", n * want.size * item), True, copy=True)


def places(launches: Launches, have: Region, box: Region) -> Ref:
    """A box of a window, for the kernels."""
    places = np.zeros((), PLACES)
    begin = [a - first for (a, _), (first, _) in zip(box.spans, have.spans, strict=True)]
    places["count"], places["size"], places["begin"] = prod(box.shape), six(box.shape, 1), six(begin, 0)
    places["window"], places["stride"] = six(have.shape, 1), six(strides(have.shape), 0)
    return launches.constant(places)
