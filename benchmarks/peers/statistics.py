"""What libraries call gridstride's operators of values: ranges, and what follows from the whole array's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.peers.operators import Call, Fields, Table, only


def numpy_table() -> Table:
    def clip(a: np.ndarray, f: Fields) -> Call:
        return lambda: np.clip(a, f.get("low"), f.get("high"))

    def normalise(a: np.ndarray, f: Fields) -> Call:
        method, real = only(f, "method")["method"], np.float32

        def call() -> Any:
            if method == "zscore":
                return ((a - a.mean(dtype=float)) / a.std(dtype=float)).astype(real)
            low, high = (a.min(), a.max()) if method == "minmax" else np.percentile(a, (1, 99))
            return ((a - real(low)) / real(float(high) - float(low))).astype(real)

        return call

    return {"clip": clip, "normalise": normalise}


def diplib_table() -> Table:
    import diplib as dip

    def clip(a: np.ndarray, f: Fields) -> Call:
        of = dip.Image(a)
        return lambda: dip.ClipRange(of, f["low"], f["high"])

    return {"clip": clip}


def simpleitk_table() -> Table:
    import SimpleITK as sitk

    def clip(a: np.ndarray, f: Fields) -> Call:
        of = sitk.GetImageFromArray(a)
        return lambda: sitk.Clamp(of, of.GetPixelID(), f["low"], f["high"])

    def normalise(a: np.ndarray, f: Fields) -> Call:
        filters = {"zscore": sitk.NormalizeImageFilter, "minmax": sitk.RescaleIntensityImageFilter}
        if (method := f["method"]) not in filters:
            raise KeyError("no percentiles")
        of, made = sitk.GetImageFromArray(a.astype(np.float32)), filters[method]()
        if method == "minmax":
            made.SetOutputMinimum(0)
            made.SetOutputMaximum(1)
        return lambda: made.Execute(of)

    return {"clip": clip, "normalise": normalise}


def opencv_table() -> Table:
    import cv2

    cv2.setNumThreads(1)

    def clip(a: np.ndarray, f: Fields) -> Call:
        rows: Any = a.reshape(a.shape[0], -1)
        return lambda: cv2.max(cv2.min(rows, f["high"]), f["low"])

    def normalise(a: np.ndarray, f: Fields) -> Call:
        rows: Any = a.reshape(a.shape[0], -1)
        if f["method"] != "minmax":
            raise KeyError("no method but minmax")
        return lambda: cv2.normalize(rows, None, 0, 1, cv2.NORM_MINMAX, cv2.CV_32F)

    return {"clip": clip, "normalise": normalise}


def skimage_table() -> Table:
    from skimage import exposure

    def rescale(a: np.ndarray, f: Fields) -> Call:
        out = only(f, "percentiles", "out_range").get("out_range", "dtype")
        if "percentiles" in f:
            return lambda: exposure.rescale_intensity(a, tuple(np.percentile(a, f["percentiles"])), out)
        return lambda: exposure.rescale_intensity(a, out_range=out)

    return {"rescale": rescale}
