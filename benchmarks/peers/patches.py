"""What other libraries call the operators that weigh by likeness, on one thread: bilateral and non-local means."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.operators import Call, Fields, Table, only


def ball(f: Fields) -> tuple[float, float, int]:
    """The settings of a bilateral filter."""
    only(f, "sigma_color", "sigma_spatial", "radius")
    return f["sigma_color"], f["sigma_spatial"], 2 * f["radius"] + 1


def skimage_table() -> Table:
    from skimage import restoration

    def bilateral(a: np.ndarray, f: Fields) -> Call:
        """Of a box around the ball, with weights of distances that are those of other places."""
        color, spatial, size = ball(f)
        if a.ndim != 2:
            raise KeyError("no three axes")
        image = a.astype(np.float32)
        return lambda: restoration.denoise_bilateral(image, size, color, spatial, mode="symmetric")

    return {
        "bilateral": bilateral,
        "nl-means": lambda a, f: lambda: restoration.denoise_nl_means(a, **f),
    }


def diplib_table() -> Table:
    import diplib as dip

    def bilateral(a: np.ndarray, f: Fields) -> Call:
        color, spatial, size = ball(f)
        image = dip.Image(a)
        terms = {"spatialSigmas": [spatial] * a.ndim, "tonalSigma": color, "truncation": size // 2 / spatial}
        return lambda: dip.BilateralFilter(image, **terms, method="full")

    return {"bilateral": bilateral}


def simpleitk_table() -> Table:
    import SimpleITK as sitk

    def bilateral(a: np.ndarray, f: Fields) -> Call:
        color, spatial, _ = ball(f)
        image = sitk.GetImageFromArray(a)
        return lambda: sitk.Bilateral(image, spatial, color)

    return {"bilateral": bilateral}


def opencv_table() -> Table:
    import cv2

    def bilateral(a: np.ndarray, f: Fields) -> Call:
        color, spatial, size = ball(f)
        if a.ndim != 2:
            raise KeyError("no three axes")
        return lambda: cv2.bilateralFilter(a, size, color, spatial, borderType=cv2.BORDER_REFLECT)

    def nl_means(a: np.ndarray, f: Fields) -> Call:
        if a.ndim != 2 or a.dtype != np.uint8:
            raise KeyError("none but uint8 of two axes")
        patch, window = f["patch_size"], 2 * f["patch_distance"] + 1
        return lambda: cv2.fastNlMeansDenoising(a, None, f["h"], patch, window)

    return {"bilateral": bilateral, "nl-means": nl_means}
