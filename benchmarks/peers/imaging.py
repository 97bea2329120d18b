"""What DIPlib, SimpleITK and OpenCV call gridstride's operators, each on one thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.peers import denoising, distance, layers, light, objects, operators, patches, statistics
from benchmarks.peers.operators import BINARY, Call, Fields, Row, Table, footprint, only, sizes, spread


def bytes_of(a: np.ndarray) -> np.ndarray:
    """Truth values as bytes, which libraries of images have instead."""
    return a.astype(np.uint8) if a.dtype == bool else a


def diplib_table() -> Table:
    import diplib as dip

    dip.SetNumberOfThreads(1)

    def image(a: np.ndarray) -> Any:
        return dip.Image(bytes_of(a))

    def shaped(function: Any, make: Any = dip.SE, last: Callable[[Fields, int], Any] | None = None) -> Row:
        """A filter of a box or a footprint; last: makes its last argument, of the count of elements."""

        def row(a: np.ndarray, f: Fields) -> Call:
            box = footprint(f, a.ndim)
            whole = box.all()
            shape = make(list(box.shape)[::-1], "rectangular") if whole else make(dip.Image(box))
            more = () if last is None else (last(f, np.count_nonzero(box)),)
            args = (image(a), *more, shape) if make is dip.Kernel and more else (image(a), shape, *more)
            return lambda: function(*args)

        return row

    def blurred(function: Any) -> Row:
        def row(a: np.ndarray, f: Fields) -> Call:
            of, sigma = image(a), only(f, "sigma", "dtype")["sigma"]
            return lambda: function(of, sigma)

        return row

    def binary(name: str) -> Row:
        function = getattr(dip, f"Binary{name.title()}")

        def row(a: np.ndarray, f: Fields) -> Call:
            of = dip.Image(a)
            return lambda: function(of, f.get("connectivity", 1), f["iterations"])

        return row

    def sobel(a: np.ndarray, f: Fields) -> Call:
        of, axis = image(a), a.ndim - 1 - only(f, "axis")["axis"] % a.ndim
        return lambda: dip.SobelGradient(of, axis)

    def project(a: np.ndarray, f: Fields) -> Call:
        names = {"max": dip.Maximum, "min": dip.Minimum, "mean": dip.Mean, "sum": dip.Sum}
        of, function = image(a), names[only(f, "axis", "method").get("method", "max")]
        process = [axis == a.ndim - 1 - f["axis"] for axis in range(a.ndim)]
        return lambda: function(of, process=process)

    return {f"binary-{name}": binary(name) for name in BINARY} | {
        "median": shaped(dip.MedianFilter, dip.Kernel),
        "percentile": shaped(dip.PercentileFilter, dip.Kernel, lambda f, _: float(f["percentile"])),
        "rank": shaped(dip.RankFilter, last=lambda f, count: f["rank"] % count + 1),
        "minimum": shaped(dip.Erosion),
        "maximum": shaped(dip.Dilation),
        "grey-erosion": shaped(dip.Erosion),
        "grey-dilation": shaped(dip.Dilation),
        "grey-opening": shaped(dip.Opening),
        "grey-closing": shaped(dip.Closing),
        "white-tophat": shaped(dip.Tophat),
        "black-tophat": shaped(lambda of, shape: dip.Tophat(of, shape, polarity="black")),
        "morphological-gradient": shaped(dip.MorphologicalGradientMagnitude),
        "gaussian": blurred(lambda of, sigma: dip.Gauss(of, sigma, method="FIR", truncation=4)),
        "gaussian-laplace": blurred(lambda of, sigma: dip.Laplace(of, sigma, method="gaussFIR")),
        "gaussian-gradient-magnitude": blurred(lambda of, sigma: dip.GradientMagnitude(of, sigma, method="gaussFIR")),
        "hessian-eigenvalues": blurred(lambda of, sigma: dip.Eigenvalues(dip.Hessian(of, sigma))),
        "structure-tensor-eigenvalues": blurred(
            lambda of, sigma: dip.Eigenvalues(dip.StructureTensor(of, None, 1, sigma))
        ),
        "uniform": shaped(dip.Uniform, dip.Kernel),
        "sobel": sobel,
        "project": project,
    }


def simpleitk_table() -> Table:
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)

    def image(a: np.ndarray, real: bool = False) -> Any:
        return sitk.GetImageFromArray(a.astype(np.float32) if real else bytes_of(a))

    def boxed(function: Any, *more: Any, real: bool = False) -> Row:
        def row(a: np.ndarray, f: Fields) -> Call:
            size = sizes(only(f, "size")["size"], a.ndim)[::-1]
            if any(n % 2 == 0 for n in size):
                raise KeyError("no even sizes")
            of, half = image(a, real), [n // 2 for n in size]
            return lambda: function(of, half, *more)

        return row

    def blurred(function: Any) -> Row:
        def row(a: np.ndarray, f: Fields) -> Call:
            of, sigma = image(a, True), float(only(f, "sigma", "dtype")["sigma"])
            return lambda: function(of, sigma)

        return row

    def laplace(a: np.ndarray, f: Fields) -> Call:
        of = image(a, bool(only(f, "dtype")))
        return lambda: sitk.Laplacian(of, False)

    def unsharp(a: np.ndarray, f: Fields) -> Call:
        of, sigmas = image(a, True), [float(only(f, "radius", "amount")["radius"])] * a.ndim
        return lambda: sitk.UnsharpMask(of, sigmas, f["amount"], 0.0)

    def project(a: np.ndarray, f: Fields) -> Call:
        names = {"max": "Maximum", "min": "Minimum", "mean": "Mean", "sum": "Sum", "std": "StandardDeviation"}
        of = image(a)
        function = getattr(sitk, names[only(f, "axis", "method").get("method", "max")] + "Projection")
        return lambda: function(of, a.ndim - 1 - f["axis"])

    def convolve(a: np.ndarray, f: Fields) -> Call:
        of, kernel = image(a, True), image(spread(only(f, "kernel")["kernel"], a.ndim), True)
        return lambda: sitk.Convolution(of, kernel)

    def downsample(a: np.ndarray, f: Fields) -> Call:
        if f.get("method", "mean") != "mean":
            raise KeyError("no method but the mean")
        of, factors = image(a), sizes(f["factors"], a.ndim)[::-1]
        return lambda: sitk.BinShrink(of, factors)

    def cast(a: np.ndarray, f: Fields) -> Call:
        dtype = np.dtype(only(f, "dtype")["dtype"])
        of, pixel = image(a), {"uint8": sitk.sitkUInt8, "float32": sitk.sitkFloat32}[dtype.name]
        if dtype.kind == "f" or np.can_cast(a.dtype, dtype):
            return lambda: sitk.Cast(of, pixel)
        if a.dtype.kind == "f":
            raise KeyError("no rounding")
        return lambda: sitk.Clamp(of, pixel, 0, 255)

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
        "laplace": laplace,
        "unsharp": unsharp,
        "convolve": convolve,
        "downsample": downsample,
        "project": project,
        "cast": cast,
    }


def opencv_table() -> Table:
    import cv2

    cv2.setNumThreads(1)
    reflect = cv2.BORDER_REFLECT

    def flat(make: Row) -> Row:
        def row(a: np.ndarray, f: Fields) -> Call:
            if a.ndim != 2:
                raise KeyError("no three axes")
            return make(bytes_of(a), f)

        return row

    def shaped(function: Any, *code: int) -> Row:
        def row(a: np.ndarray, f: Fields) -> Call:
            shape = footprint(f, 2).astype(np.uint8)
            return lambda: function(a, *code, shape, borderType=reflect)

        return row

    def binary(function: Any, *code: int) -> Row:
        def row(a: np.ndarray, f: Fields) -> Call:
            shape = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
            return lambda: function(a, *code, shape, iterations=f["iterations"])

        return row

    def sobel(a: np.ndarray, f: Fields) -> Call:
        def along(axis: int) -> Any:
            return cv2.Sobel(a, cv2.CV_32F, axis, 1 - axis, ksize=3, borderType=reflect)

        if only(f, "axis", "magnitude", "dtype").get("magnitude"):
            return lambda: cv2.magnitude(along(0), along(1))
        return lambda: along(f["axis"] % 2)

    def gaussian(a: np.ndarray, f: Fields) -> Call:
        sigma = only(f, "sigma")["sigma"]
        size = 2 * int(4 * sigma + 0.5) + 1
        return lambda: cv2.GaussianBlur(a, (size, size), sigma, borderType=reflect)

    def uniform(a: np.ndarray, f: Fields) -> Call:
        size = sizes(only(f, "size")["size"], 2)[::-1]
        return lambda: cv2.blur(a, size, borderType=reflect)

    def dense(flip: bool) -> Row:
        def row(a: np.ndarray, f: Fields) -> Call:
            kernel = np.asarray(only(f, "kernel")["kernel"], np.float32)
            kernel = np.flip(kernel).copy() if flip else kernel
            return lambda: cv2.filter2D(a, -1, kernel, borderType=reflect)

        return row

    def downsample(a: np.ndarray, f: Fields) -> Call:
        if f.get("method", "mean") != "mean":
            raise KeyError("no method but the mean")
        size = [n // factor for n, factor in zip(a.shape, sizes(f["factors"], 2), strict=True)][::-1]
        return lambda: cv2.resize(a, size, interpolation=cv2.INTER_AREA)

    def threshold(a: np.ndarray, f: Fields) -> Call:
        code = cv2.THRESH_BINARY | (0 if "value" in f else cv2.THRESH_OTSU)
        return lambda: cv2.threshold(a, f.get("value", 0), 1, code)[1]

    def flip(a: np.ndarray, f: Fields) -> Call:
        code = {(0, 1): -1, (-1,): 1}[f["axes"]]
        return lambda: cv2.flip(a, code)

    def pad(a: np.ndarray, f: Fields) -> Call:
        return lambda: cv2.copyMakeBorder(a, *[f["width"]] * 4, {"reflect": reflect}[f["mode"]])

    table = {
        "median": lambda a, f: lambda: cv2.medianBlur(a, only(f, "size")["size"]),
        "minimum": shaped(cv2.erode),
        "maximum": shaped(cv2.dilate),
        "grey-erosion": shaped(cv2.erode),
        "grey-dilation": shaped(cv2.dilate),
        "grey-opening": shaped(cv2.morphologyEx, cv2.MORPH_OPEN),
        "grey-closing": shaped(cv2.morphologyEx, cv2.MORPH_CLOSE),
        "white-tophat": shaped(cv2.morphologyEx, cv2.MORPH_TOPHAT),
        "black-tophat": shaped(cv2.morphologyEx, cv2.MORPH_BLACKHAT),
        "morphological-gradient": shaped(cv2.morphologyEx, cv2.MORPH_GRADIENT),
        "binary-erosion": binary(cv2.erode),
        "binary-dilation": binary(cv2.dilate),
        "binary-opening": binary(cv2.morphologyEx, cv2.MORPH_OPEN),
        "binary-closing": binary(cv2.morphologyEx, cv2.MORPH_CLOSE),
        "gaussian": gaussian,
        "uniform": uniform,
        "convolve": dense(True),
        "correlate": dense(False),
        "sobel": sobel,
        "laplace": lambda a, f: lambda: cv2.Laplacian(a, cv2.CV_32F, borderType=reflect),
        "downsample": downsample,
        "threshold": threshold,
        "flip": flip,
        "pad": pad,
    }
    return {name: flat(row) for name, row in table.items()}


def joined(*makers: Callable[[], Table]) -> Callable[[], Table]:
    """The rows of several tables of one library."""
    return lambda: {name: row for make in makers for name, row in make().items()}


LIBRARIES: dict[str, Callable[[], Table]] = {
    "scipy": joined(operators.scipy_table, layers.scipy_table, objects.scipy_table, distance.scipy_table),
    "numpy": joined(operators.numpy_table, layers.numpy_table, light.numpy_table, statistics.numpy_table),
    "scikit-image": joined(
        operators.skimage_table,
        denoising.skimage_table,
        layers.skimage_table,
        light.skimage_table,
        objects.skimage_table,
        patches.skimage_table,
        distance.skimage_table,
        statistics.skimage_table,
    ),
    "DIPlib": joined(
        diplib_table,
        denoising.diplib_table,
        statistics.diplib_table,
        objects.diplib_table,
        patches.diplib_table,
        distance.diplib_table,
    ),
    "SimpleITK": joined(
        simpleitk_table,
        denoising.simpleitk_table,
        statistics.simpleitk_table,
        objects.simpleitk_table,
        patches.simpleitk_table,
        distance.simpleitk_table,
    ),
    "OpenCV": joined(
        opencv_table, light.opencv_table, statistics.opencv_table, patches.opencv_table, distance.opencv_table
    ),
    "fastmorph": operators.fastmorph_table,
    "cc3d": objects.cc3d_table,
    "edt": distance.edt_table,
    "fill-voids": objects.fill_voids_table,
    "imops": operators.imops_table,
    "mclahe": light.mclahe_table,
    "PyTorch": layers.torch_table,
}
