"""Chambolle's iteration on the CPU; `variation_loops` has the loops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers.buffers import Borrowed
from gridstride.workers.families import variation_loops as loops
from gridstride.workers.families.rows import LINE
from gridstride.workers.operators.base import Window
from gridstride.workers.region import Region

if TYPE_CHECKING:
    from gridstride.workers.families.variation import Variation


def run(op: Variation, window: Window, out: np.ndarray) -> None:
    """A window that has just what is needed, slice by slice along the axes that are not filtered."""
    image, want = Region(window.have.spans[op.takes :]), op.spatial(window.want)
    field, leading, missing = op.loops(image.shape, window.data.dtype)
    made = boxes(op, image, want, op.image(window.grid).shape)
    inner = [(want.spans[k][0] - image.spans[k][0], want.spans[k][1] - image.spans[k][0]) for k in op.axes]
    limits = np.array([(0, 1)] * missing + inner, np.int64)
    made = np.concatenate([np.broadcast_to(limits[:missing], (len(made), missing, 2)), made], axis=1)
    rows, places = rows_of_plane(leading[1:]), np.empty(2 * field.axes, np.int64)
    with Borrowed() as memory:
        spare = field.first  # from where a line of the cache begins
        kept = [
            memory.array((size + spare,), window.data.dtype)
            for size in ((field.axes + 1) * field.far, 2 * field.together * field.rows * field.apart)
        ]
        fields, held = (array[-array.ctypes.data % LINE // array.itemsize :][: len(array) - spare] for array in kept)
        numbers = np.array([op.tau, op.tau / op.weight], fields.dtype)
        component = [_component(fields, n + missing if n else 0, field, leading) for n in range(1 + len(op.axes))]
        for source, target in _slices(op, window.data, out):
            fields[:] = 0
            for n, values in enumerate(source):
                component[n][...] = values.reshape(component[n].shape)
            loops.update(fields, held, np.ascontiguousarray(made), *rows, places, numbers, field)
            if op.gives:
                for n, values in enumerate(target):
                    values[...] = component[n].reshape(source.shape[1:])[tuple(slice(*span) for span in inner)]
            else:
                result = np.empty(target.shape, fields.dtype)
                flat = result.reshape(limits[0, 1] - limits[0, 0], -1, target.shape[-1])
                loops.result(fields, held, limits, *rows, places, field, inner[-1][0], flat)
                target[...] = result


def rows_of_plane(shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Of the rows of a plane: the coordinates of each on the axes of the plane but the last; and for these axes the
    strides, in rows, and then the lengths."""
    coordinates = np.indices(shape).reshape(len(shape), -1).T if shape else np.zeros((1, 1))
    strides = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return np.ascontiguousarray(coordinates, np.int64).reshape(-1), np.array([*strides, *shape, 0], np.int64)


def _component(fields: np.ndarray, number: int, field: loops.Field, leading: Sequence[int]) -> np.ndarray:
    """A view of the image or of a component of p, on the axes of the loops."""
    begin = number * field.far + field.pitch + field.first
    lines = fields[begin : begin + field.planes * field.rows * field.pitch]
    return lines.reshape(*leading, field.pitch)[..., : field.size]


def _slices(op: Variation, data: np.ndarray, out: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Views of what is read, with its components first, and of the result for each place on the other axes."""
    source = data if op.takes else data[None]
    target = out if op.gives else out[None]
    others = [axis for axis in range(source.ndim - 1) if axis not in op.axes]
    source, target = (
        array.transpose(*(1 + axis for axis in others), 0, *(1 + axis for axis in op.axes))
        for array in (source, target)
    )
    for place in np.ndindex(source.shape[: len(others)]):
        yield source[place], target[place] if op.gives else target[place][0]


def boxes(op: Variation, have: Region, want: Region, shape: tuple[int, ...]) -> np.ndarray:
    """Where p must be made by each update on each filtered axis: (updates, axes, 2), from the start of what is read.
    What a block needs becomes less by an element on each side."""
    left = np.arange(op.updates - 1, -1, -1)
    found: list[Any] = []
    for axis in op.axes:
        (start, stop), begin, n = want.spans[axis], have.spans[axis][0], shape[axis]
        found.append([np.maximum(start - 1 - left, 0) - begin, np.minimum(stop + left, n) - begin])
    return np.array(found, np.int64).transpose(2, 0, 1) if op.axes else np.empty((op.updates, 0, 2), np.int64)
