"""What libraries of arrays call gridstride's operators; `imaging` has DIPlib, SimpleITK and OpenCV.

A row of a table is a function of an image and gridstride's fields that makes a call without arguments, or raises
KeyError for fields that the library has not, with what it has instead. An image of the library's own type is made
before the call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Fields = dict[str, Any]
Call = Callable[[], Any]
Row = Callable[[np.ndarray, Fields], Call]
Table = dict[str, Row]

BINARY = ("erosion", "dilation", "opening", "closing")


def only(fields: Fields, *known: str) -> Fields:
    """Fields that a library's call must not leave aside: KeyError for any beside those named."""
    if unknown := sorted(set(fields) - set(known)):
        raise KeyError(f"no {', '.join(unknown)}")
    return fields


def sizes(size: Any, ndim: int) -> tuple[int, ...]:
    return tuple(size) if isinstance(size, tuple) else (size,) * ndim


def footprint(fields: Fields, ndim: int) -> np.ndarray:
    """The footprint of size or footprint on all axes, where `axes` has only the last."""
    given = len(fields.get("axes", range(ndim)))
    if "footprint" in fields:
        return spread(np.asarray(fields["footprint"], bool), ndim)
    return spread(np.ones(sizes(fields["size"], given), bool), ndim)


def spread(kernel: np.ndarray, ndim: int) -> np.ndarray:
    """A kernel of the last axes, of one element on the others."""
    return kernel.reshape((1,) * (ndim - kernel.ndim) + kernel.shape)


def spans(region: str) -> tuple[slice, ...]:
    """0=4:-4,1=2: as slices of the first axes."""
    ends = [part.partition("=")[2].split(":") for part in region.split(",")]
    return tuple(slice(*(int(end) if end else None for end in pair)) for pair in ends)


def scipy_table() -> Table:
    from scipy import ndimage

    def named(name: str) -> Row:
        function = getattr(ndimage, name)
        return lambda a, f: lambda: function(a, **{{"dtype": "output"}.get(key, key): f[key] for key in f})

    def derivative(name: str) -> Row:
        function = getattr(ndimage, name)

        def row(a: np.ndarray, f: Fields) -> Call:
            out = only(f, "axis", "magnitude", "dtype").get("dtype")
            if f.get("magnitude"):
                return lambda: ndimage.generic_gradient_magnitude(a, function, out)
            return lambda: function(a, f["axis"], out)

        return row

    def dense(function: Any) -> Row:
        return lambda a, f: lambda: function(a, spread(only(f, "kernel")["kernel"], a.ndim))

    def binary(name: str) -> Row:
        function = getattr(ndimage, name)

        def row(a: np.ndarray, f: Fields) -> Call:
            only(f, "iterations", "connectivity")
            structure = ndimage.generate_binary_structure(a.ndim, f.get("connectivity", 1))
            return lambda: function(a, structure, f["iterations"])

        return row

    names = "grey-erosion grey-dilation grey-opening grey-closing white-tophat black-tophat morphological-gradient "
    names += "laplace gaussian-laplace gaussian-gradient-magnitude"
    filters = "median rank percentile minimum maximum uniform gaussian"
    table = {name: named(name.replace("-", "_")) for name in names.split()}
    table |= {name: named(f"{name}_filter") for name in filters.split()}
    table |= {name: derivative(name) for name in ("sobel", "prewitt")}
    table |= {f"binary-{name}": binary(f"binary_{name}") for name in BINARY}
    return table | {"convolve": dense(ndimage.convolve), "correlate": dense(ndimage.correlate)}


def numpy_table() -> Table:
    def project(a: np.ndarray, f: Fields) -> Call:
        function = getattr(np, only(f, "axis", "method").get("method", "max"))
        return lambda: function(a, axis=f["axis"])

    def pad(a: np.ndarray, f: Fields) -> Call:
        mode = {"reflect": "symmetric", "mirror": "reflect", "nearest": "edge"}.get(only(f, "width", "mode")["mode"])
        return lambda: np.pad(a, f["width"], mode)

    def cast(a: np.ndarray, f: Fields) -> Call:
        dtype = np.dtype(only(f, "dtype")["dtype"])
        if dtype.kind == "f" or np.can_cast(a.dtype, dtype):
            return lambda: a.astype(dtype)
        ends = np.iinfo(dtype)
        if a.dtype.kind == "f":
            return lambda: np.rint(a).clip(ends.min, ends.max).astype(dtype)
        return lambda: a.clip(ends.min, ends.max).astype(dtype)

    return {
        "project": project,
        "pad": pad,
        "cast": cast,
        "crop": lambda a, f: lambda: a[spans(only(f, "region")["region"])].copy(),
        "flip": lambda a, f: lambda: np.flip(a, only(f, "axes")["axes"]).copy(),
        "threshold": lambda a, f: (lambda value: lambda: a > value)(only(f, "value")["value"]),
    }


def skimage_table() -> Table:
    from skimage import feature, filters, measure, transform

    def eigenvalues(make: Any, eigen: Any) -> Row:
        return lambda a, f: lambda: eigen(make(a, **only(f, "sigma")))

    def hessian(a: np.ndarray, **f: Any) -> Any:
        return feature.hessian_matrix(a, use_gaussian_derivatives=True, **f)

    def tensor(a: np.ndarray, **f: Any) -> Any:
        return feature.structure_tensor(a, order="rc", **f)

    def magnitude(function: Any) -> Row:
        """Of a scale of its own: divided by the sum of the weights and the square root of the number of axes."""

        def row(a: np.ndarray, f: Fields) -> Call:
            if not only(f, "axis", "magnitude", "dtype").get("magnitude"):
                return lambda: function(a, axis=f["axis"])
            return lambda: function(a)

        return row

    def downsample(a: np.ndarray, f: Fields) -> Call:
        method, factors = only(f, "factors", "method").get("method", "mean"), sizes(f["factors"], a.ndim)
        if method == "mean":
            return lambda: transform.downscale_local_mean(a, factors)
        if method == "mode":
            raise KeyError("no method mode")
        return lambda: measure.block_reduce(a, factors, getattr(np, method))

    def threshold(a: np.ndarray, f: Fields) -> Call:
        find = getattr(filters, f"threshold_{only(f, 'method')['method']}")
        return lambda: a > find(a)

    return {
        "hessian-eigenvalues": eigenvalues(hessian, feature.hessian_matrix_eigvals),
        "structure-tensor-eigenvalues": eigenvalues(tensor, feature.structure_tensor_eigenvalues),
        "sobel": magnitude(filters.sobel),
        "prewitt": magnitude(filters.prewitt),
        "sato": lambda a, f: lambda: filters.sato(a, **f),
        "frangi": lambda a, f: lambda: filters.frangi(a, **f),
        "dog": lambda a, f: lambda: filters.difference_of_gaussians(a, f["low"], f["high"]),
        "unsharp": lambda a, f: lambda: filters.unsharp_mask(a, **f, preserve_range=True),
        "downsample": downsample,
        "threshold": threshold,
    }


def fastmorph_table() -> Table:
    import fastmorph

    def three(function: Any) -> Row:
        def row(a: np.ndarray, f: Fields) -> Call:
            if a.ndim != 3 or a.dtype.kind not in "bui" or sizes(f["size"], 3) != (3, 3, 3):
                raise KeyError("no boxes but 3 x 3 x 3 of integers")
            # Version 1.10 makes 0 of the largest uint8, 255, in dilations.
            return lambda: function(a, parallel=1, mode=fastmorph.Mode.grey)

        return row

    names = {"minimum": fastmorph.erode, "maximum": fastmorph.dilate}
    names |= {"grey-erosion": fastmorph.erode, "grey-dilation": fastmorph.dilate}
    return {name: three(function) for name, function in names.items()}


def imops_table() -> Table:
    import imops

    def binary(function: Any) -> Row:
        def row(a: np.ndarray, f: Fields) -> Call:
            if f["iterations"] != 1 or f.get("connectivity", 1) != 1:
                raise KeyError("no iterations")
            return lambda: function(a, num_threads=1)

        return row

    return {f"binary-{name}": binary(getattr(imops, f"binary_{name}")) for name in BINARY}
