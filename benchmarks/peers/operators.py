"""What other libraries call gridstride's operators.

A row of a table is a function of an image and gridstride's fields that makes a call without arguments, or raises
KeyError for fields that the library has not. An image of the library's own type is made before the call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Call = Callable[[], Any]
Table = dict[str, Callable[[np.ndarray, dict[str, Any]], Call]]


class Only(dict[str, Any]):
    """Fields that a library's call must not leave aside: KeyError for any beside those named."""

    def __init__(self, fields: dict[str, Any], *known: str) -> None:
        if unknown := set(fields) - set(known):
            raise KeyError(*unknown)
        super().__init__(fields)


def footprint(fields: dict[str, Any], ndim: int) -> np.ndarray:
    """The footprint of size or footprint, as an array."""
    if "footprint" in fields:
        return np.asarray(fields["footprint"], bool)
    return np.ones(sizes(fields["size"], ndim), bool)


def sizes(size: Any, ndim: int) -> tuple[int, ...]:
    return tuple(size) if isinstance(size, tuple) else (size,) * ndim


def scipy_table() -> Table:
    from scipy import ndimage

    def named(name: str, **renamed: str) -> Callable[[np.ndarray, dict[str, Any]], Call]:
        function = getattr(ndimage, name)
        return lambda a, f: lambda: function(a, **{renamed.get(key, key): value for key, value in f.items()})

    names = (
        "grey-erosion grey-dilation grey-opening grey-closing white-tophat black-tophat morphological-gradient laplace"
    )
    table = {name: named(name.replace("-", "_")) for name in names.split()}
    for name in ("median", "rank", "percentile", "minimum", "maximum", "gaussian", "uniform"):
        table[name] = named(f"{name}_filter")
    table["convolve"], table["correlate"] = named("convolve", kernel="weights"), named("correlate", kernel="weights")
    table["gaussian-laplace"] = named("gaussian_laplace")
    table["gaussian-gradient-magnitude"] = named("gaussian_gradient_magnitude")
    for name in ("sobel", "prewitt"):
        plain = named(name)
        table[name] = lambda a, f, plain=plain: plain(a, Only(f, "axis"))
    for name in ("binary-erosion", "binary-dilation", "binary-opening", "binary-closing"):
        function = getattr(ndimage, name.replace("-", "_"))

        def binary(a: np.ndarray, f: dict[str, Any], function: Any = function) -> Call:
            f = Only(f, "iterations", "connectivity")
            structure = ndimage.generate_binary_structure(a.ndim, f.get("connectivity", 1))
            return lambda: function(a, structure, f.get("iterations", 1))

        table[name] = binary
    return table


def numpy_table() -> Table:
    def project(a: np.ndarray, f: dict[str, Any]) -> Call:
        f = Only(f, "axis", "method")
        return lambda: getattr(np, f.get("method", "max"))(a, axis=f["axis"])

    def pad(a: np.ndarray, f: dict[str, Any]) -> Call:
        f = Only(f, "width", "mode")
        mode = {"reflect": "symmetric", "mirror": "reflect", "nearest": "edge"}.get(f["mode"], f["mode"])
        return lambda: np.pad(a, f["width"], mode)

    return {
        "project": project,
        "pad": pad,
        "cast": lambda a, f: lambda: a.astype(Only(f, "dtype")["dtype"]),
        "threshold": lambda a, f: lambda: a > Only(f, "value")["value"],
    }


def skimage_table() -> Table:
    from skimage import feature, filters, transform

    def eigenvalues(make: Any, eigen: Any, *known: str) -> Any:
        def row(a: np.ndarray, f: dict[str, Any]) -> Call:
            return lambda: eigen(make(a, **Only(f, *known)))

        return row

    def hessian(a: np.ndarray, **f: Any) -> Any:
        return feature.hessian_matrix(a, use_gaussian_derivatives=True, **f)

    def tensor(a: np.ndarray, **f: Any) -> Any:
        return feature.structure_tensor(a, order="rc", **f)

    def downsample(a: np.ndarray, f: dict[str, Any]) -> Call:
        f = Only(f, "factors", "method")
        method = {"mean": np.mean, "max": np.max, "min": np.min, "median": np.median}[f.get("method", "mean")]
        from skimage.measure import block_reduce

        if method is np.mean:
            return lambda: transform.downscale_local_mean(a, sizes(f["factors"], a.ndim))
        return lambda: block_reduce(a, sizes(f["factors"], a.ndim), method)

    def otsu(a: np.ndarray, f: dict[str, Any]) -> Call:
        Only(f, "method")
        return lambda: a > filters.threshold_otsu(a)

    return {
        "hessian-eigenvalues": eigenvalues(hessian, feature.hessian_matrix_eigvals, "sigma"),
        "structure-tensor-eigenvalues": eigenvalues(tensor, feature.structure_tensor_eigenvalues, "sigma"),
        "sato": lambda a, f: lambda: filters.sato(a, **f),
        "frangi": lambda a, f: lambda: filters.frangi(a, **f),
        "dog": lambda a, f: lambda: filters.difference_of_gaussians(a, f["low"], f.get("high")),
        "unsharp": lambda a, f: lambda: filters.unsharp_mask(a, **{"preserve_range": True, **f}),
        "downsample": downsample,
        "threshold": otsu,
    }


def diplib_table() -> Table:
    import diplib as dip

    dip.SetNumberOfThreads(1)

    def image(a: np.ndarray) -> Any:
        return dip.Image(a.astype("u1") if a.dtype == bool else a)

    def element(f: dict[str, Any], ndim: int, make: Any) -> Any:
        if "footprint" not in f:
            return make(list(sizes(f["size"], ndim))[::-1], "rectangular")
        return make(dip.Image(np.asarray(f["footprint"], np.uint8)))

    def shaped(function: Any, make: Any = dip.SE) -> Any:
        def row(a: np.ndarray, f: dict[str, Any]) -> Call:
            of, shape = image(a), element(Only(f, "size", "footprint"), a.ndim, make)
            return lambda: function(of, shape)

        return row

    def blurred(function: Any, *known: str) -> Any:
        def row(a: np.ndarray, f: dict[str, Any]) -> Call:
            of, sigma = image(a), Only(f, *known)[known[0]]
            return lambda: function(of, sigma)

        return row

    def percentile(a: np.ndarray, f: dict[str, Any]) -> Call:
        of, kernel = image(a), element(Only(f, "size", "footprint", "percentile"), a.ndim, dip.Kernel)
        return lambda: dip.PercentileFilter(of, float(f["percentile"]), kernel)

    def rank(a: np.ndarray, f: dict[str, Any]) -> Call:
        of, shape = image(a), element(Only(f, "size", "footprint", "rank"), a.ndim, dip.SE)
        return lambda: dip.RankFilter(of, shape, f["rank"] + 1)

    def binary(function: Any) -> Any:
        def row(a: np.ndarray, f: dict[str, Any]) -> Call:
            f, of = Only(f, "iterations", "connectivity"), dip.Image(a)
            return lambda: function(of, f.get("connectivity", 1), f.get("iterations", 1))

        return row

    def sobel(a: np.ndarray, f: dict[str, Any]) -> Call:
        of, axis = image(a), a.ndim - 1 - Only(f, "axis").get("axis", -1) % a.ndim
        return lambda: dip.SobelGradient(of, axis)

    def project(a: np.ndarray, f: dict[str, Any]) -> Call:
        f, of = Only(f, "axis", "method"), image(a)
        names = {"max": dip.Maximum, "min": dip.Minimum, "mean": dip.Mean, "sum": dip.Sum}
        function = names[f.get("method", "max")]
        process = [axis == a.ndim - 1 - f["axis"] for axis in range(a.ndim)]
        return lambda: function(of, process=process)

    return {
        "median": shaped(dip.MedianFilter, dip.Kernel),
        "percentile": percentile,
        "rank": rank,
        "minimum": shaped(dip.Erosion),
        "maximum": shaped(dip.Dilation),
        "grey-erosion": shaped(dip.Erosion),
        "grey-dilation": shaped(dip.Dilation),
        "grey-opening": shaped(dip.Opening),
        "grey-closing": shaped(dip.Closing),
        "white-tophat": shaped(dip.Tophat),
        "morphological-gradient": shaped(dip.MorphologicalGradientMagnitude),
        "binary-erosion": binary(dip.BinaryErosion),
        "binary-dilation": binary(dip.BinaryDilation),
        "binary-opening": binary(dip.BinaryOpening),
        "binary-closing": binary(dip.BinaryClosing),
        "gaussian": blurred(lambda of, sigma: dip.Gauss(of, sigma, method="FIR", truncation=4), "sigma"),
        "gaussian-laplace": blurred(lambda of, sigma: dip.Laplace(of, sigma, method="gaussFIR"), "sigma"),
        "gaussian-gradient-magnitude": blurred(
            lambda of, sigma: dip.GradientMagnitude(of, sigma, method="gaussFIR"), "sigma"
        ),
        "hessian-eigenvalues": blurred(lambda of, sigma: dip.Eigenvalues(dip.Hessian(of, sigma)), "sigma"),
        "structure-tensor-eigenvalues": blurred(
            lambda of, sigma: dip.Eigenvalues(dip.StructureTensor(of, None, 1, sigma)), "sigma"
        ),
        "uniform": shaped(dip.Uniform, dip.Kernel),
        "sobel": sobel,
        "project": project,
    }


def simpleitk_table() -> Table:
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)

    def image(a: np.ndarray) -> Any:
        return sitk.GetImageFromArray(a.astype(np.uint8) if a.dtype == bool else a)

    def radius(f: dict[str, Any], ndim: int) -> list[int]:
        found = sizes(f["size"], ndim)[::-1]
        if any(size % 2 == 0 for size in found):
            raise KeyError("even sizes")
        return [size // 2 for size in found]

    def boxed(function: Any, *more: Any, real: bool = False) -> Any:
        def row(a: np.ndarray, f: dict[str, Any]) -> Call:
            of, half = image(a.astype(np.float32) if real else a), radius(Only(f, "size"), a.ndim)
            return lambda: function(of, half, *more)

        return row

    def blurred(function: Any) -> Any:
        def row(a: np.ndarray, f: dict[str, Any]) -> Call:
            of, sigma = image(a.astype(np.float32)), Only(f, "sigma")["sigma"]
            return lambda: function(of, float(sigma))

        return row

    def project(a: np.ndarray, f: dict[str, Any]) -> Call:
        f, of = Only(f, "axis", "method"), image(a)
        name = {"max": "Maximum", "min": "Minimum", "mean": "Mean", "sum": "Sum", "std": "StandardDeviation"}
        function = getattr(sitk, name[f.get("method", "max")] + "Projection")
        return lambda: function(of, a.ndim - 1 - f["axis"])

    def convolve(a: np.ndarray, f: dict[str, Any]) -> Call:
        of, kernel = image(a.astype(np.float32)), image(np.asarray(Only(f, "kernel")["kernel"], np.float32))
        return lambda: sitk.Convolution(of, kernel)

    return {
        "median": boxed(sitk.Median),
        "minimum": boxed(sitk.GrayscaleErode, sitk.sitkBox),
        "maximum": boxed(sitk.GrayscaleDilate, sitk.sitkBox),
        "grey-erosion": boxed(sitk.GrayscaleErode, sitk.sitkBox),
        "grey-dilation": boxed(sitk.GrayscaleDilate, sitk.sitkBox),
        "grey-opening": boxed(sitk.GrayscaleMorphologicalOpening, sitk.sitkBox),
        "grey-closing": boxed(sitk.GrayscaleMorphologicalClosing, sitk.sitkBox),
        "white-tophat": boxed(sitk.WhiteTopHat, sitk.sitkBox),
        "black-tophat": boxed(sitk.BlackTopHat, sitk.sitkBox),
        "morphological-gradient": boxed(sitk.MorphologicalGradient, sitk.sitkBox),
        "gaussian": blurred(sitk.SmoothingRecursiveGaussian),
        "gaussian-laplace": blurred(sitk.LaplacianRecursiveGaussian),
        "gaussian-gradient-magnitude": blurred(sitk.GradientMagnitudeRecursiveGaussian),
        "uniform": boxed(sitk.BoxMean, real=True),
        "convolve": convolve,
        "project": project,
        "cast": lambda a, f: (lambda of: lambda: sitk.Cast(of, sitk.sitkFloat32))(image(a)),
    }


def opencv_table() -> Table:
    import cv2

    cv2.setNumThreads(1)

    def flat(a: np.ndarray) -> np.ndarray:
        if a.ndim != 2:
            raise KeyError("OpenCV has two axes")
        return a.astype(np.uint8) if a.dtype == bool else a

    def median(a: np.ndarray, f: dict[str, Any]) -> Call:
        of, size = flat(a), Only(f, "size")["size"]
        return lambda: cv2.medianBlur(of, size)

    def shaped(function: Any, *code: int) -> Any:
        def row(a: np.ndarray, f: dict[str, Any]) -> Call:
            of, shape = flat(a), footprint(Only(f, "size", "footprint"), 2).astype(np.uint8)
            return lambda: function(of, *code, shape, borderType=cv2.BORDER_REFLECT)

        return row

    def derivative(kernel: int) -> Any:
        def row(a: np.ndarray, f: dict[str, Any]) -> Call:
            of, along = flat(a), Only(f, "axis").get("axis", -1) % 2
            return lambda: cv2.Sobel(of, cv2.CV_32F, along, 1 - along, ksize=kernel, borderType=cv2.BORDER_REFLECT)

        return row

    def gaussian(a: np.ndarray, f: dict[str, Any]) -> Call:
        of, sigma = flat(a), Only(f, "sigma")["sigma"]
        size = 2 * int(4 * sigma + 0.5) + 1
        return lambda: cv2.GaussianBlur(of, (size, size), sigma, borderType=cv2.BORDER_REFLECT)

    def uniform(a: np.ndarray, f: dict[str, Any]) -> Call:
        of, size = flat(a), sizes(Only(f, "size")["size"], 2)[::-1]
        return lambda: cv2.blur(of, size, borderType=cv2.BORDER_REFLECT)

    def correlate(a: np.ndarray, f: dict[str, Any]) -> Call:
        of, kernel = flat(a), np.asarray(Only(f, "kernel")["kernel"], np.float32)
        return lambda: cv2.filter2D(of, -1, kernel, borderType=cv2.BORDER_REFLECT)

    def downsample(a: np.ndarray, f: dict[str, Any]) -> Call:
        if Only(f, "factors", "method").get("method", "mean") != "mean":
            raise KeyError("method")
        of, factors = flat(a), sizes(f["factors"], 2)
        size = (a.shape[1] // factors[1], a.shape[0] // factors[0])
        return lambda: cv2.resize(of, size, interpolation=cv2.INTER_AREA)

    return {
        "median": median,
        "minimum": shaped(cv2.erode),
        "maximum": shaped(cv2.dilate),
        "grey-erosion": shaped(cv2.erode),
        "grey-dilation": shaped(cv2.dilate),
        "grey-opening": shaped(cv2.morphologyEx, cv2.MORPH_OPEN),
        "grey-closing": shaped(cv2.morphologyEx, cv2.MORPH_CLOSE),
        "white-tophat": shaped(cv2.morphologyEx, cv2.MORPH_TOPHAT),
        "black-tophat": shaped(cv2.morphologyEx, cv2.MORPH_BLACKHAT),
        "morphological-gradient": shaped(cv2.morphologyEx, cv2.MORPH_GRADIENT),
        "gaussian": gaussian,
        "uniform": uniform,
        "convolve": correlate,
        "correlate": correlate,
        "sobel": derivative(3),
        "laplace": lambda a, f: (lambda of: lambda: cv2.Laplacian(of, cv2.CV_32F, borderType=cv2.BORDER_REFLECT))(
            flat(Only(f) is not None and a)
        ),
        "downsample": downsample,
    }


def fastmorph_table() -> Table:
    import fastmorph

    def three(function: Any, **options: Any) -> Any:
        def row(a: np.ndarray, f: dict[str, Any]) -> Call:
            if a.ndim != 3 or a.dtype.kind not in "bui" or sizes(f["size"], 3) != (3, 3, 3):
                raise KeyError("fastmorph has 3 x 3 x 3 boxes of integers")
            return lambda: function(a, parallel=1, **options)

        return row

    grey = fastmorph.Mode.grey
    names = {"minimum": fastmorph.erode, "maximum": fastmorph.dilate}
    names |= {"grey-erosion": fastmorph.erode, "grey-dilation": fastmorph.dilate}
    return {name: three(function, mode=grey) for name, function in names.items()}


def imops_table() -> Table:
    import imops

    def binary(function: Any) -> Any:
        def row(a: np.ndarray, f: dict[str, Any]) -> Call:
            f = Only(f, "iterations", "connectivity")
            if f.get("iterations", 1) != 1 or f.get("connectivity", 1) != 1:
                raise KeyError("imops makes one step")
            return lambda: function(a, num_threads=1)

        return row

    names = ("binary-erosion", "binary-dilation", "binary-opening", "binary-closing")
    return {name: binary(getattr(imops, name.replace("-", "_"))) for name in names}


LIBRARIES: dict[str, Callable[[], Table]] = {
    "scipy": scipy_table,
    "numpy": numpy_table,
    "scikit-image": skimage_table,
    "DIPlib": diplib_table,
    "SimpleITK": simpleitk_table,
    "OpenCV": opencv_table,
    "fastmorph": fastmorph_table,
    "imops": imops_table,
}
